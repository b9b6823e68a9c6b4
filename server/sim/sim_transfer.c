/* Downloads and uploads: their bytes as the wire has them, their time as the client's connection gives it. */
#include "sim_private.h"

#include "base/crc.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

/* ---- chunks ---- */

/* The chunk of a transfer that begins at `offset`. */
static struct trib_chunk chunk_at(const struct sim_transfer *transfer, uint64_t offset)
{
    uint64_t left = transfer->len - offset;
    struct trib_chunk chunk = {.offset = offset};
    chunk.payload_len = left < transfer->chunk_bytes ? (size_t)left : transfer->chunk_bytes;
    chunk.last = chunk.payload_len == left;
    if (transfer->frame) {
        chunk.crc32c = trib_crc32c(0, trib_blob_data(transfer->frame) + offset, chunk.payload_len);
    } else {
        chunk.crc32c = UINT32_MAX; /* any: it takes its five bytes */
    }
    if (offset == transfer->offset) { /* the first says what it is all about */
        chunk.has_sha256 = true;
        memcpy(chunk.sha256, transfer->sha256, sizeof chunk.sha256);
        chunk.blob_len = transfer->len;
        chunk.round = transfer->round;
        (void)trib_str_copy(chunk.run, sizeof chunk.run, transfer->run);
    }
    return chunk;
}

/* Of the bytes of its chunks, how many make whole chunks within `most`; *end: where in the blob they end. */
static uint64_t wire_bytes(const struct sim_transfer *transfer, uint64_t most, uint64_t *end)
{
    uint64_t bytes = 0, offset = transfer->offset;
    bool last = false;
    while (!last) {
        struct trib_chunk chunk = chunk_at(transfer, offset);
        uint8_t head[TRIB_CHUNK_HEAD_MAX];
        uint64_t len = trib_chunk_head(&chunk, head) + chunk.payload_len;
        if (bytes + len > most) {
            break;
        }
        bytes += len;
        offset += chunk.payload_len;
        last = chunk.last;
    }
    *end = offset;
    return bytes;
}

static void begin(struct sim_actor *actor, double rate, int64_t delay_us)
{
    struct sim *sim = actor->sim;
    struct sim_transfer *transfer = &actor->transfer;
    uint64_t end;
    uint64_t bytes = wire_bytes(transfer, UINT64_MAX, &end);
    transfer->begin_us = sim->now_us + delay_us;
    transfer->end_us = transfer->begin_us + sim_us((double)bytes / rate);
    const struct sim_event event = {
        .kind = SIM_EVENT_MOVED, .actor = actor->number, .life = actor->life, .job = transfer->job};
    sim_schedule(sim, transfer->end_us, &event);
}

static void end_transfer(struct sim_actor *actor)
{
    trib_blob_unref(actor->transfer.frame);
    actor->transfer = (struct sim_transfer){.kind = SIM_NO_TRANSFER};
}

static void tell(struct sim_actor *actor, enum sim_event_kind kind, int64_t delay_us, uint64_t received,
                 const struct trib_error *error)
{
    struct sim_event event = {.kind = kind,
                              .actor = actor->number,
                              .life = actor->life,
                              .job = actor->transfer.job,
                              .status = error ? error->status : TRIB_OK,
                              .received = received,
                              .reason = error ? trib_strdup(error->message) : NULL};
    sim_schedule(actor->sim, actor->sim->now_us + delay_us, &event);
}

static void count(struct sim *sim, uint64_t up, uint64_t down)
{
    trib_hub_count(sim->engine, up, down);
    sim->total.bytes_up += up;
    sim->total.bytes_down += down;
}

/* ---- downloads ---- */

void sim_download(struct sim_actor *actor, const struct trib_session_action *action)
{
    struct trib_error error;
    end_transfer(actor);
    actor->transfer = (struct sim_transfer){.kind = SIM_DOWNLOAD,
                                            .job = action->job,
                                            .offset = action->offset,
                                            .len = action->len,
                                            .chunk_bytes = TRIB_CHUNK_PAYLOAD};
    memcpy(actor->transfer.sha256, action->sha256, sizeof actor->transfer.sha256);
    struct trib_blob *blob = trib_hub_blob(actor->sim->engine, action->sha256);
    if (!blob || trib_blob_len(blob) != action->len || action->offset >= action->len) {
        (void)trib_fail(&error, TRIB_NOT_FOUND, "this blob is not, or no longer, published");
        tell(actor, SIM_EVENT_DOWNLOADED, 2 * actor->latency_us, action->offset, &error);
        end_transfer(actor);
    } else {
        begin(actor, actor->download, 2 * actor->latency_us); /* the request goes there, the bytes come back */
    }
    trib_blob_unref(blob);
}

/* ---- uploads ---- */

void sim_upload(struct sim_actor *actor, const struct trib_session_action *action)
{
    end_transfer(actor);
    actor->transfer = (struct sim_transfer){.kind = SIM_UPLOAD,
                                            .job = action->job,
                                            .offset = action->offset,
                                            .len = trib_blob_len(action->update->frame),
                                            .chunk_bytes = action->chunk_bytes,
                                            .frame = trib_blob_ref(action->update->frame),
                                            .round = action->task->round};
    memcpy(actor->transfer.sha256, action->update->sha256, sizeof actor->transfer.sha256);
    (void)trib_str_copy(actor->transfer.run, sizeof actor->transfer.run, action->task->run);
    begin(actor, actor->upload, actor->latency_us);
}

/* One chunk, as the server reads it from the wire. */
static enum trib_status feed_chunk(struct sim_actor *actor, uint64_t offset, struct trib_upload **upload,
                                   bool *complete, uint64_t *payload_len, struct trib_error *error)
{
    struct sim *sim = actor->sim;
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    const struct trib_chunk sent = chunk_at(&actor->transfer, offset);
    const uint8_t *payload = trib_blob_data(actor->transfer.frame) + offset;
    size_t head_len = trib_chunk_head(&sent, head);
    count(sim, head_len + sent.payload_len, 0);
    struct trib_chunk chunk = sent; /* what a parser makes of the head; the payload stays where it is */
    if (!*upload) {
        TRIB_TRY(trib_hub_upload_open(sim->engine, actor->node, &chunk, upload, error));
    }
    TRIB_TRY(trib_upload_begin(*upload, &chunk, error));
    TRIB_TRY(trib_upload_piece(*upload, payload, sent.payload_len, error));
    *payload_len = sent.payload_len;
    return trib_upload_end(*upload, &chunk, complete, error);
}

/* The chunks up to `end` arrive; `broken`: and no more will. */
static enum trib_status feed(struct sim_actor *actor, uint64_t end, bool broken, struct trib_error *error)
{
    struct trib_upload *upload = NULL;
    enum trib_status status = TRIB_OK;
    bool complete = false;
    for (uint64_t offset = actor->transfer.offset; status == TRIB_OK && !complete && offset < end;) {
        uint64_t len = 0;
        status = feed_chunk(actor, offset, &upload, &complete, &len, error);
        offset += len;
    }
    if (status == TRIB_OK && broken) {
        status = trib_fail(error, TRIB_UNAVAILABLE, "the connection broke");
    }
    if (upload) {
        trib_upload_close(upload, status == TRIB_OK ? NULL : error);
    } else if (status != TRIB_OK && status != TRIB_UNAVAILABLE) {
        trib_hub_upload_refused(actor->sim->engine, actor->node, error);
    }
    actor->sim->touched = true;
    return status;
}

/* A thousand updates that wait for their round's end would be a thousand models. The server has this one, or does not
 * want it: the blob stays, its pages go. A process that is killed trains anew, so nobody asks for them again. */
static void discard(struct trib_blob *frame)
{
    trib_mem_discard(trib_blob_fill(frame), trib_blob_len(frame));
}

void sim_update_unwanted(struct sim_actor *actor)
{
    const struct trib_client_update *update = actor->session ? trib_session_update(actor->session) : NULL;
    if (update) {
        discard(update->frame);
    }
}

/* ---- on the way ---- */

void sim_transfer_moved(struct sim_actor *actor, const struct sim_event *event)
{
    struct sim_transfer *transfer = &actor->transfer;
    struct trib_error error;
    uint64_t end;
    if (transfer->job != event->job || transfer->kind == SIM_NO_TRANSFER) {
        return;
    }
    if (transfer->kind == SIM_DOWNLOAD) {
        count(actor->sim, 0, wire_bytes(transfer, UINT64_MAX, &end));
        tell(actor, SIM_EVENT_DOWNLOADED, 0, transfer->len, NULL);
        end_transfer(actor);
        return;
    }
    enum trib_status status = feed(actor, transfer->len, false, &error);
    if (status == TRIB_OK) {
        discard(transfer->frame);
    }
    tell(actor, SIM_EVENT_UPLOADED, actor->latency_us, transfer->len, status == TRIB_OK ? NULL : &error);
    end_transfer(actor); /* the receipt is on its way */
}

void sim_transfer_cancel(struct sim_actor *actor, bool tells)
{
    struct sim_transfer *transfer = &actor->transfer;
    struct sim *sim = actor->sim;
    struct trib_error error;
    if (transfer->kind == SIM_NO_TRANSFER) {
        return;
    }
    bool download = transfer->kind == SIM_DOWNLOAD;
    int64_t passed = sim->now_us - transfer->begin_us;
    uint64_t end = transfer->offset, moved = 0;
    if (passed > 0) {
        double rate = download ? actor->download : actor->upload;
        moved = wire_bytes(transfer, (uint64_t)((double)passed / 1e6 * rate), &end);
    }
    if (download) {
        count(sim, 0, moved);
    } else if (moved > 0) {
        (void)feed(actor, end, true, &error);
    }
    if (tells) {
        (void)trib_fail(&error, TRIB_CANCELLED, "the transfer was ended");
        tell(actor, download ? SIM_EVENT_DOWNLOADED : SIM_EVENT_UPLOADED, 0, end, &error);
    }
    end_transfer(actor);
}
