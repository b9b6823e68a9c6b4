/* A download's chunks are checked, then stored, on the transport's thread. */
#include "link_private.h"
#include "base/crc.h"
#include "base/mem.h"
#include "wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 20 };

static void partial_free(struct trib_link_partial *partial, void (*free_spool)(struct trib_model_spool *spool))
{
    if (partial) {
        trib_chunk_receiver_clear(&partial->receiver);
        free_spool(partial->spool);
        trib_free(partial);
    }
}

void trib_link_partial_free(struct trib_link_partial *partial)
{
    partial_free(partial, trib_model_spool_free);
}

void trib_link_partial_leave(struct trib_link_partial *partial)
{
    partial_free(partial, trib_model_spool_leave);
}

/* The first bytes of the file, which an earlier process has left, into the running hash. */
static enum trib_status hash_found(struct trib_link_partial *partial, uint64_t found, struct trib_error *error)
{
    const struct trib_frame_source source = trib_model_spool_source(partial->spool);
    uint8_t *piece = trib_malloc(PIECE);
    enum trib_status status = !piece ? trib_fail_no_memory(error) : TRIB_OK;
    for (uint64_t at = 0; at < found && status == TRIB_OK; at += PIECE) {
        size_t len = found - at < PIECE ? (size_t)(found - at) : PIECE;
        status = source.read(source.context, at, piece, len, error);
        if (status == TRIB_OK) {
            status = trib_chunk_receiver_hash(&partial->receiver, piece, len, error);
        }
    }
    trib_free(piece);
    return status;
}

/* Go on behind what was found. When it is the whole already, its hash decides. */
static enum trib_status take_found(struct trib_link_partial *partial, uint64_t found, struct trib_error *error)
{
    TRIB_TRY(hash_found(partial, found, error));
    partial->receiver.received = found;
    if (found < partial->receiver.blob_len) {
        return TRIB_OK;
    }
    const struct trib_chunk end = {.offset = found, .last = true};
    return trib_chunk_receiver_end(&partial->receiver, &end, end.crc32c, error);
}

/* *found: what of it is in the file already; 0 = nothing. */
static enum trib_status partial_open(const struct trib_link *link, const uint8_t sha256[32], uint64_t len,
                                     struct trib_link_partial **partial, uint64_t *found, struct trib_error *error)
{
    struct trib_link_partial *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_model_spool_new(&link->config.place, sha256, len, &made->spool, found, error);
    if (status == TRIB_OK) {
        status = trib_chunk_receiver_init(&made->receiver, sha256, len, error);
    }
    if (status != TRIB_OK) {
        trib_link_partial_leave(made);
        return status;
    }
    *partial = made;
    return TRIB_OK;
}

static enum trib_status partial_new(const struct trib_link *link, const uint8_t sha256[32], uint64_t len,
                                    struct trib_link_partial **partial, struct trib_error *error)
{
    struct trib_error fault = {.message = ""};
    struct trib_link_partial *made = NULL;
    uint64_t found = 0;
    trib_model_spool_tidy(link->config.place.dir, sha256);
    TRIB_TRY(partial_open(link, sha256, len, &made, &found, error));
    if (found > 0 && take_found(made, found, &fault) != TRIB_OK) {
        trib_log(TRIB_LOG_WARN, "client", "download_dropped", TRIB_F_INT("bytes", found),
                 TRIB_F_STR("reason", fault.message));
        trib_link_partial_free(made);
        TRIB_TRY(partial_open(link, sha256, len, &made, &found, error));
    } else if (found > 0) {
        trib_log(TRIB_LOG_INFO, "client", "download_found", TRIB_F_INT("bytes", found), TRIB_F_INT("of", len));
    }
    *partial = made;
    return TRIB_OK;
}

/* Visit a message's payload piece by piece. */
typedef enum trib_status (*piece_visit)(struct trib_link_partial *partial, uint64_t offset, const uint8_t *piece,
                                        size_t len, void *context, struct trib_error *error);
static enum trib_status each_piece(struct trib_link_partial *partial, const struct trib_net_message *message,
                                   size_t payload_offset, uint64_t offset, piece_visit visit, void *context,
                                   struct trib_error *error)
{
    const uint8_t *piece;
    size_t at = 0, len, skip = payload_offset;
    while (trib_net_message_next(message, &at, &piece, &len)) {
        size_t skipped = skip < len ? skip : len;
        skip -= skipped;
        if (len > skipped) {
            TRIB_TRY(visit(partial, offset, piece + skipped, len - skipped, context, error));
            offset += len - skipped;
        }
    }
    return TRIB_OK;
}

static enum trib_status add_to_crc(struct trib_link_partial *partial, uint64_t offset, const uint8_t *piece, size_t len,
                                   void *context, struct trib_error *error)
{
    (void)partial;
    (void)offset;
    (void)error;
    uint32_t *crc = context;
    *crc = trib_crc32c(*crc, piece, len);
    return TRIB_OK;
}

static enum trib_status keep(struct trib_link_partial *partial, uint64_t offset, const uint8_t *piece, size_t len,
                             void *context, struct trib_error *error)
{
    (void)context;
    return trib_model_spool_write(partial->spool, offset, piece, len, error);
}

static enum trib_status hash(struct trib_link_partial *partial, uint64_t offset, const uint8_t *piece, size_t len,
                             void *context, struct trib_error *error)
{
    (void)offset;
    (void)context;
    return trib_chunk_receiver_hash(&partial->receiver, piece, len, error);
}

/* One chunk. Its checksum is settled and all of it is written before a byte reaches the running hash, so that a bad
 * chunk, or a full disk, costs no more than the chunk: the download resumes where it began. */
static enum trib_status take_chunk(struct trib_link_partial *partial, const struct trib_net_message *message,
                                   struct trib_error *error)
{
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    const uint8_t *piece;
    size_t at = 0, len, head_len = 0, payload_offset = 0;
    while (head_len < sizeof head && trib_net_message_next(message, &at, &piece, &len)) {
        size_t part = len < sizeof head - head_len ? len : sizeof head - head_len;
        memcpy(head + head_len, piece, part);
        head_len += part;
    }
    struct trib_chunk chunk;
    TRIB_TRY(trib_chunk_parse(head, head_len, trib_net_message_len(message), &chunk, &payload_offset, error));
    TRIB_TRY(trib_chunk_receiver_begin(&partial->receiver, &chunk, error));
    uint32_t crc = 0;
    TRIB_TRY(each_piece(partial, message, payload_offset, chunk.offset, add_to_crc, &crc, error));
    if (crc == chunk.crc32c) {
        TRIB_TRY(each_piece(partial, message, payload_offset, chunk.offset, keep, NULL, error));
        TRIB_TRY(each_piece(partial, message, payload_offset, chunk.offset, hash, NULL, error));
    }
    return trib_chunk_receiver_end(&partial->receiver, &chunk, crc, error);
}

static void download_message(void *user, struct trib_net_call *net, struct trib_net_message *message)
{
    struct trib_link_call *call = user;
    struct trib_error error;
    if (!message || call->settled) {
        trib_net_message_free(message);
        return;
    }
    enum trib_status status = take_chunk(call->partial, message, &error);
    trib_net_message_free(message);
    if (status != TRIB_OK) {
        trib_link_call_fail(call, status, error.message);
        return;
    }
    trib_net_call_read(net);
}

/* Decide what becomes of the bytes, and what the event says about them. Under the link's lock. */
static struct trib_link_partial *settle(struct trib_link_call *call)
{
    struct trib_link *link = call->link;
    struct trib_link_partial *partial = call->partial;
    call->partial = NULL;
    if (call->drop) {
        call->final->is.received = 0;
        return partial;
    }
    if (partial->receiver.complete && link->n_complete < TRIB_TASK_DELTAS) { /* nobody asks for more between takes */
        link->complete[link->n_complete++] = partial->spool;
        partial->spool = NULL;
        call->final->status = TRIB_OK;
        call->final->is.received = partial->receiver.received;
        return partial;
    }
    /* All bytes came and yet the hash was wrong: nothing tells which of them are good. */
    bool useless = partial->receiver.received >= partial->receiver.blob_len;
    call->final->is.received = useless ? 0 : partial->receiver.received;
    if (useless) {
        return partial;
    }
    struct trib_link_partial *former = link->partial;
    link->partial = partial;
    return former;
}

static void download_closed(void *user, struct trib_net_call *net, const struct trib_net_close *how)
{
    (void)net;
    struct trib_link_call *call = user;
    trib_link_call_note(call, how);
    if (call->final->status == TRIB_OK && !call->partial->receiver.complete) {
        char message[128];
        snprintf(message, sizeof message, "the server ended the download at byte %" PRIu64 " of %" PRIu64,
                 call->partial->receiver.received, call->partial->receiver.blob_len);
        trib_link_call_fail(call, TRIB_UNAVAILABLE, message);
    }
    pthread_mutex_lock(&call->link->lock);
    struct trib_link_partial *unwanted = settle(call);
    pthread_mutex_unlock(&call->link->lock);
    trib_link_partial_free(unwanted);
    trib_link_call_done(call);
}

static const struct trib_net_events download_events = {.message = download_message, .closed = download_closed};

static enum trib_status send_request(struct trib_link_call *call, const uint8_t sha256[32], struct trib_error *error)
{
    Tributary__V1__DownloadRequest request;
    tributary__v1__download_request__init(&request);
    uint8_t name[32];
    memcpy(name, sha256, sizeof name);
    request.sha256 = (ProtobufCBinaryData){.data = name, .len = sizeof name};
    request.offset = call->head.offset;
    request.chunk_bytes = (uint32_t)call->chunk_bytes;
    struct trib_buf bytes = {0};
    enum trib_status status = trib_message_pack(&request.base, &bytes);
    if (status == TRIB_OK) {
        status = trib_net_call_send(call->call, bytes.data, bytes.len, NULL, 0, 0);
    }
    trib_buf_clear(&bytes);
    if (status != TRIB_OK && status != TRIB_CANCELLED) {
        return trib_fail(error, status, "the download could not be asked for: %s", trib_status_text(status));
    }
    trib_net_call_half_close(call->call);
    trib_net_call_read(call->call);
    return TRIB_OK;
}

/* What an earlier attempt of this link left, if it is of this blob; of another, its file goes. */
static struct trib_link_partial *take_partial(struct trib_link *link, const uint8_t sha256[32], uint64_t len)
{
    pthread_mutex_lock(&link->lock);
    struct trib_link_partial *partial = link->partial;
    link->partial = NULL;
    pthread_mutex_unlock(&link->lock);
    if (partial && (partial->receiver.blob_len != len ||
                    memcmp(partial->receiver.sha256, sha256, sizeof partial->receiver.sha256) != 0)) {
        trib_link_partial_free(partial);
        partial = NULL;
    }
    if (partial) {
        partial->receiver.started = false; /* the next call begins with a first chunk again */
    }
    return partial;
}

static enum trib_status begin_call(struct trib_link_call *call, const uint8_t sha256[32], struct trib_error *error)
{
    call->head.offset = call->partial->receiver.received;
    TRIB_TRY(trib_link_call_start(call, TRIB_PATH_DOWNLOAD, &download_events, error));
    if (send_request(call, sha256, NULL) != TRIB_OK) {
        trib_net_call_cancel(call->call); /* its event tells */
    }
    return TRIB_OK;
}

/* Nothing has to be asked for: all of it was found. */
static void finish_at_once(struct trib_link_call *call)
{
    pthread_mutex_lock(&call->link->lock);
    struct trib_link_partial *unwanted = settle(call);
    struct trib_session_event *final = call->final;
    call->final = NULL;
    pthread_mutex_unlock(&call->link->lock);
    trib_link_partial_free(unwanted);
    trib_session_event_post(call->link->config.events, final);
}

enum trib_status trib_link_download(struct trib_link *link, uint64_t job, const uint8_t sha256[32], uint64_t len,
                                    uint32_t chunk_bytes, struct trib_error *error)
{
    struct trib_link_call *call = NULL;
    TRIB_TRY(trib_link_call_new(link, &link->download, TRIB_SESSION_DOWNLOADED, job, &call, error));
    enum trib_status status = TRIB_OK;
    call->chunk_bytes = chunk_bytes;
    call->partial = take_partial(link, sha256, len);
    if (!call->partial) {
        status = partial_new(link, sha256, len, &call->partial, error);
    }
    if (status == TRIB_OK && call->partial->receiver.complete) {
        finish_at_once(call);
    } else if (status == TRIB_OK) {
        status = begin_call(call, sha256, error);
    }
    trib_link_call_unref(call);
    return status;
}

size_t trib_link_take(struct trib_link *link, struct trib_model_spool *blobs[TRIB_TASK_DELTAS])
{
    pthread_mutex_lock(&link->lock);
    size_t n = link->n_complete;
    memcpy(blobs, link->complete, n * sizeof *blobs);
    link->n_complete = 0;
    pthread_mutex_unlock(&link->lock);
    if (n == 0) { /* nothing had to be downloaded: nor will what others left be of use */
        trib_model_spool_tidy(link->config.place.dir, NULL);
    }
    return n;
}
