/* Downloads and uploads: chunk after chunk, each with its time on the way; a break leaves both sides with what they
 * have. */
#include "world.h"

#include "base/crc.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK_EVERY_MS = 20 };

/* ---- both ---- */

static void use_disk(const struct client *client)
{
    trib_disk_use(client->host.disk ? sim_disk_table(client->host.disk) : NULL);
}

static void begin(struct world *world, struct client *client)
{
    const struct transfer *transfer = &client->transfer;
    client->transfer.number = ++world->transfers;
    const struct event event = {.kind = transfer->kind == DOWNLOAD ? EVENT_DOWN_REQUEST : EVENT_UP_CHUNK,
                                .who = client->number,
                                .job = world->server.host.life,
                                .number = client->transfer.number,
                                .a = transfer->offset};
    world_push(world, world->now_ms + net_latency(world, client), &event);
}

static void end(struct client *client)
{
    trib_blob_unref(client->transfer.frame);
    client->transfer = (struct transfer){.kind = NO_TRANSFER};
}

/* The client will learn how it ended, in gRPC's words. */
static void tell(struct world *world, const struct client *client, enum trib_status status, int64_t after_ms)
{
    const struct event event = {.kind = EVENT_TRANSFERRED,
                                .who = client->number,
                                .life = client->host.life,
                                .job = client->transfer.job,
                                .number = client->transfer.kind,
                                .status = trib_status_from_grpc(trib_status_to_grpc(status))};
    world_push(world, world->now_ms + after_ms, &event);
}

static int64_t chunk_time(struct world *world, const struct client *client)
{
    int64_t slow = client->host.slow_until_ms > world->now_ms ? (int64_t)client->host.slow : 1;
    return slow * (1 + (int64_t)host_draw(world, client->number, CHUNK_EVERY_MS));
}

/* Its bytes find no way, or nobody at the other end. */
static bool is_broken(const struct world *world, const struct event *event)
{
    return net_is_cut(world, event->who) || !world->server.engine || world->server.host.life != event->job;
}

static void break_off(struct world *world, struct client *client)
{
    if (client->transfer.kind == UPLOAD) {
        const struct event lost = {.kind = EVENT_UP_LOST, .who = client->number, .number = client->transfer.number};
        bool soon = !net_is_cut(world, client->number) && host_draw(world, client->number, 2);
        world_push(world, world->now_ms + (soon ? client->latency_ms : KEEPALIVE_MS), &lost);
    }
}

void transfer_break(struct world *world, struct client *client)
{
    if (client->transfer.kind != NO_TRANSFER) {
        world_note(world, client->number, "transfer breaks", client->transfer.number, 0);
        break_off(world, client);
        tell(world, client, TRIB_UNAVAILABLE, 1);
        end(client);
    }
}

void transfer_cancel(struct world *world, struct client *client, bool told)
{
    if (client->transfer.kind == NO_TRANSFER) {
        return;
    }
    break_off(world, client);
    if (told) {
        tell(world, client, TRIB_CANCELLED, 0);
    }
    end(client);
}

void transfer_drop(struct client *client, bool dead)
{
    void (*free_spool)(struct trib_model_spool *) = dead ? trib_model_spool_leave : trib_model_spool_free;
    if (client->partial) {
        free_spool(client->partial);
        client->partial = NULL;
    }
    for (size_t i = 0; i < client->n_arrived; i++) {
        free_spool(client->arrived[i]);
    }
    client->n_arrived = 0;
}

size_t transfer_take(struct client *client, struct trib_model_spool *spools[TRIB_TASK_DELTAS])
{
    size_t n = client->n_arrived;
    memcpy(spools, client->arrived, n * sizeof spools[0]);
    client->n_arrived = 0;
    if (n == 0) {
        trib_model_spool_tidy(client_dir(client), NULL);
    }
    return n;
}

/* ---- downloads ---- */

/* All bytes are here: are they what they ought to be? What a crash has left may not be. */
static void arrived(struct world *world, struct client *client)
{
    uint8_t bytes[4096], digest[TRIB_SHA256_LEN];
    struct trib_error error;
    const struct trib_frame_source source = trib_model_spool_source(client->partial);
    enum trib_status status = source.len <= sizeof bytes ? TRIB_OK : TRIB_LIMIT;
    if (status == TRIB_OK) {
        status = source.read(source.context, 0, bytes, (size_t)source.len, &error);
    }
    if (status == TRIB_OK && trib_sha256(bytes, (size_t)source.len, digest) == TRIB_OK &&
        memcmp(digest, client->transfer.sha256, sizeof digest) != 0) {
        status = TRIB_CORRUPT;
    }
    if (status == TRIB_CORRUPT && client->transfer.offset == 0) {
        world_break(world, "%s was served another blob than it asked for", client->node);
    }
    if (status == TRIB_OK && client->n_arrived < TRIB_TASK_DELTAS) {
        client->arrived[client->n_arrived++] = client->partial;
    } else {
        trib_model_spool_free(client->partial);
    }
    client->partial = NULL;
    client->partial_len = 0;
    tell(world, client, status, 0);
    end(client);
}

/* What is there of it: of an earlier attempt of this process, or of an earlier one's file. */
static enum trib_status open_partial(struct client *client, const struct trib_session_action *action)
{
    const struct trib_spool_place place = {.dir = client_dir(client), .limits = {.max_bytes = client->spool_limit}};
    struct trib_error error;
    if (client->partial && memcmp(client->partial_sha256, action->sha256, sizeof client->partial_sha256) == 0) {
        return TRIB_OK;
    }
    trib_model_spool_free(client->partial);
    client->partial = NULL;
    trib_model_spool_tidy(place.dir, action->sha256);
    memcpy(client->partial_sha256, action->sha256, sizeof client->partial_sha256);
    return trib_model_spool_new(&place, action->sha256, action->len, &client->partial, &client->partial_len, &error);
}

void transfer_download(struct world *world, struct client *client, const struct trib_session_action *action)
{
    transfer_cancel(world, client, false);
    client->transfer = (struct transfer){.kind = DOWNLOAD, .job = action->job, .len = action->len};
    memcpy(client->transfer.sha256, action->sha256, sizeof client->transfer.sha256);
    enum trib_status status = open_partial(client, action);
    client->transfer.offset = client->partial_len;
    if (status != TRIB_OK) {
        world_note(world, client->number, "has no place for a download", (uint64_t)status, 0);
        tell(world, client, status, 1);
        end(client);
    } else if (client->partial_len == action->len) {
        world->totals.refetched++;
        arrived(world, client);
    } else {
        begin(world, client);
    }
}

static void requested(struct world *world, struct client *client, const struct event *event)
{
    if (client->transfer.number != event->number) {
        return;
    }
    if (is_broken(world, event)) {
        transfer_break(world, client);
        return;
    }
    struct event chunk = {.kind = EVENT_DOWN_CHUNK,
                          .who = client->number,
                          .job = event->job,
                          .number = event->number,
                          .a = event->a,
                          .blob = trib_hub_blob(world->server.engine, client->transfer.sha256)};
    if (!chunk.blob || trib_blob_len(chunk.blob) != client->transfer.len || event->a >= client->transfer.len) {
        trib_blob_unref(chunk.blob);
        world_note(world, client->number, "asks for what is not there", event->a, 0);
        tell(world, client, TRIB_NOT_FOUND, client->latency_ms);
        end(client);
        return;
    }
    world_push(world, world->now_ms + net_latency(world, client), &chunk);
}

static void chunk_arrived(struct world *world, struct client *client, struct event *event)
{
    if (client->transfer.number != event->number) {
        return;
    }
    if (is_broken(world, event)) {
        transfer_break(world, client);
        return;
    }
    uint64_t left = client->transfer.len - event->a, n = left < client->chunk_bytes ? left : client->chunk_bytes;
    struct trib_error error;
    use_disk(client);
    enum trib_status status =
        trib_model_spool_write(client->partial, event->a, trib_blob_data(event->blob) + event->a, n, &error);
    if (status != TRIB_OK) {
        tell(world, client, status, 0);
        end(client);
        return;
    }
    client->partial_len += n;
    if (n == left) {
        arrived(world, client);
        return;
    }
    struct event next = *event;
    next.blob = trib_blob_ref(event->blob);
    next.a += n;
    world_push(world, world->now_ms + chunk_time(world, client), &next);
}

/* ---- uploads ---- */

void transfer_upload(struct world *world, struct client *client, const struct trib_session_action *action)
{
    struct transfer *transfer = &client->transfer;
    transfer_cancel(world, client, false);
    *transfer = (struct transfer){.kind = UPLOAD,
                                  .job = action->job,
                                  .offset = action->offset,
                                  .len = trib_blob_len(action->update->frame),
                                  .frame = trib_blob_ref(action->update->frame),
                                  .round = action->task->round};
    memcpy(transfer->sha256, action->update->sha256, sizeof transfer->sha256);
    (void)trib_str_copy(transfer->run, sizeof transfer->run, action->task->run);
    begin(world, client);
}

static struct call **find_call(struct world *world, uint64_t number)
{
    struct call **link = &world->server.calls;
    while (*link && (*link)->number != number) {
        link = &(*link)->next;
    }
    return link;
}

static void end_call(struct call **link, const struct trib_error *fault)
{
    struct call *call = *link;
    *link = call->next;
    if (call->upload) {
        trib_upload_close(call->upload, fault);
    }
    trib_free(call);
}

static enum trib_status feed(struct world *world, const struct client *client, struct call *call, uint64_t offset,
                             bool *complete, uint64_t *n, struct trib_error *error)
{
    const struct transfer *transfer = &client->transfer;
    const uint8_t *payload = trib_blob_data(transfer->frame) + offset;
    uint64_t left = transfer->len - offset;
    *n = left < client->chunk_bytes ? left : client->chunk_bytes;
    struct trib_chunk chunk = {
        .offset = offset, .payload_len = (size_t)*n, .last = *n == left, .crc32c = trib_crc32c(0, payload, (size_t)*n)};
    if (offset == transfer->offset) {
        chunk.has_sha256 = true;
        memcpy(chunk.sha256, transfer->sha256, sizeof chunk.sha256);
        chunk.blob_len = transfer->len;
        chunk.round = transfer->round;
        (void)trib_str_copy(chunk.run, sizeof chunk.run, transfer->run);
        TRIB_TRY(trib_hub_upload_open(world->server.engine, client->node, &chunk, &call->upload, error));
    }
    TRIB_TRY(trib_upload_begin(call->upload, &chunk, error));
    TRIB_TRY(trib_upload_piece(call->upload, payload, chunk.payload_len, error));
    return trib_upload_end(call->upload, &chunk, complete, error);
}

static struct call *call_of(struct world *world, const struct client *client, const struct event *event)
{
    struct call *call = *find_call(world, event->number);
    if (!call && event->a == client->transfer.offset) {
        call = trib_calloc(1, sizeof *call);
        if (call) {
            *call = (struct call){.next = world->server.calls, .number = event->number, .who = client->number};
            world->server.calls = call;
        }
    }
    return call;
}

static void upload_ended(struct world *world, struct client *client, const struct event *event, enum trib_status status,
                         const struct trib_error *error)
{
    struct call **link = find_call(world, event->number);
    bool opened = *link && (*link)->upload;
    if (*link) {
        end_call(link, status == TRIB_OK ? NULL : error);
    }
    if (status == TRIB_OK) {
        oracle_uploaded(world, client->number, client->transfer.round, client->transfer.sha256, client->transfer.frame);
    } else if (!opened && status != TRIB_UNAVAILABLE) {
        trib_hub_upload_refused(world->server.engine, client->node, error);
    }
    world_note(world, client->number, status == TRIB_OK ? "has uploaded" : "upload failed", client->transfer.round,
               status);
    tell(world, client, status, net_latency(world, client));
    end(client);
}

static void chunk_received(struct world *world, struct client *client, struct event *event)
{
    struct trib_error error = {.message = ""};
    if (client->transfer.number != event->number) {
        return;
    }
    if (is_broken(world, event)) {
        transfer_break(world, client);
        return;
    }
    struct call *call = call_of(world, client, event);
    bool complete = false;
    uint64_t n = 0;
    if (!call) { /* the server's side has given it up */
        transfer_break(world, client);
        return;
    }
    trib_disk_use(world->server.host.disk ? sim_disk_table(world->server.host.disk) : NULL);
    enum trib_status status = feed(world, client, call, event->a, &complete, &n, &error);
    trib_hub_progress(world->server.engine, client->node);
    if (host_is_dead(&world->server.host)) {
        transfer_break(world, client);
    } else if (complete || status != TRIB_OK) {
        upload_ended(world, client, event, status, &error);
    } else {
        struct event next = *event;
        next.a += n;
        world_push(world, world->now_ms + chunk_time(world, client), &next);
    }
    server_turn(world);
}

static void upload_lost(struct world *world, const struct event *event)
{
    struct trib_error error;
    struct call **link = find_call(world, event->number);
    if (*link) {
        (void)trib_fail(&error, TRIB_UNAVAILABLE, "the connection broke");
        end_call(link, &error);
        server_turn(world);
    }
}

void transfer_server_gone(struct world *world)
{
    struct trib_error error;
    (void)trib_fail(&error, TRIB_UNAVAILABLE, "the process is gone");
    while (world->server.calls) {
        end_call(&world->server.calls, &error);
    }
}

/* ---- events ---- */

static void transferred(struct world *world, struct client *client, const struct event *event)
{
    struct trib_session_event told = {.job = event->job, .status = event->status};
    if (client->host.life != event->life) {
        return;
    }
    (void)trib_str_copy(told.reason, sizeof told.reason, trib_status_text(event->status));
    if (event->number == DOWNLOAD) {
        told.kind = TRIB_SESSION_DOWNLOADED;
        told.is.received = client->partial ? client->partial_len : 0;
    } else {
        told.kind = TRIB_SESSION_UPLOADED;
        told.is.receipt.accepted = event->status == TRIB_OK;
    }
    client_step(world, client, &told);
}

void transfer_event(struct world *world, struct event *event)
{
    struct client *client = &world->clients[event->who];
    switch (event->kind) {
    case EVENT_DOWN_REQUEST:
        requested(world, client, event);
        break;
    case EVENT_DOWN_CHUNK:
        chunk_arrived(world, client, event);
        break;
    case EVENT_UP_CHUNK:
        chunk_received(world, client, event);
        break;
    case EVENT_UP_LOST:
        upload_lost(world, event);
        break;
    default:
        transferred(world, client, event);
        break;
    }
}
