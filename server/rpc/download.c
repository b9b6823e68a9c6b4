/* Download: a published blob in chunks, by reference, as fast as the client reads. */
#include "service_private.h"

#include "base/clock.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

struct download {
    struct trib_federation_service *service;
    struct trib_node *node;
    struct trib_blob *blob;
    uint8_t sha256[32];
    uint64_t offset;
    size_t chunk_bytes; /* of a payload, at most */
    bool sent_first, sent_last;
    int64_t progress_ms; /* when the engine was last told */
    char identity[TRIB_NODE_LEN], address[64];
};

/* Queue chunks until the queue is full or the blob is sent. Runs in the call's events only, so never twice at once. */
static void pump(struct download *download, struct trib_net_call *call)
{
    size_t len = trib_blob_len(download->blob);
    while (!download->sent_last) {
        size_t n = len - download->offset;
        struct trib_chunk chunk = {.offset = download->offset};
        chunk.payload_len = n > download->chunk_bytes ? download->chunk_bytes : n;
        chunk.last = chunk.payload_len == n;
        chunk.crc32c = trib_crc32c(0, trib_blob_data(download->blob) + download->offset, chunk.payload_len);
        if (!download->sent_first) {
            chunk.has_sha256 = true;
            memcpy(chunk.sha256, download->sha256, sizeof chunk.sha256);
            chunk.blob_len = len;
        }
        uint8_t head[TRIB_CHUNK_HEAD_MAX];
        size_t head_len = trib_chunk_head(&chunk, head);
        enum trib_status status =
            trib_net_call_send(call, head, head_len, download->blob, download->offset, chunk.payload_len);
        if (status != TRIB_OK) {
            if (status != TRIB_LIMIT) {
                trib_net_call_finish(call, status, trib_status_text(status));
            }
            return;
        }
        trib_hub_count(download->service->engine, 0, head_len + chunk.payload_len);
        download->offset += chunk.payload_len;
        download->sent_first = true;
        download->sent_last = chunk.last;
    }
    trib_net_call_finish(call, TRIB_OK, "");
}

static void on_writable(void *user, struct trib_net_call *call)
{
    struct download *download = user;
    int64_t now_ms = trib_clock_ms();
    if (now_ms - download->progress_ms >= 1000) {
        download->progress_ms = now_ms;
        trib_hub_progress(download->service->engine, download->identity);
    }
    pump(download, call);
}

static enum trib_status start(struct download *download, const Tributary__V1__DownloadRequest *request,
                              struct trib_error *error)
{
    if (request->sha256.len != sizeof download->sha256) {
        return trib_fail(error, TRIB_PROTOCOL, "the request lacks a SHA-256");
    }
    memcpy(download->sha256, request->sha256.data, sizeof download->sha256);
    download->blob = trib_hub_blob(download->service->engine, download->sha256);
    if (!download->blob) {
        return trib_fail(error, TRIB_NOT_FOUND, "this blob is not, or no longer, published");
    }
    if (request->offset >= trib_blob_len(download->blob)) {
        return trib_fail(error, TRIB_PROTOCOL, "offset %" PRIu64 " is beyond the blob's %zu bytes", request->offset,
                         trib_blob_len(download->blob));
    }
    download->offset = request->offset;
    bool any = request->chunk_bytes == 0 || request->chunk_bytes > TRIB_CHUNK_PAYLOAD;
    download->chunk_bytes = any                                       ? TRIB_CHUNK_PAYLOAD
                            : request->chunk_bytes < TRIB_CHUNK_LEAST ? TRIB_CHUNK_LEAST
                                                                      : request->chunk_bytes;
    return TRIB_OK;
}

static void on_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct download *download = user;
    struct trib_error error;
    ProtobufCMessage *request;
    if (!message) {
        trib_net_call_finish(call, TRIB_PROTOCOL, "no request");
        return;
    }
    enum trib_status status =
        trib_service_unpack(&tributary__v1__download_request__descriptor, message, &request, &error);
    if (status == TRIB_OK) {
        status = start(download, (const Tributary__V1__DownloadRequest *)(const void *)request, &error);
        trib_message_free(request);
    }
    if (status != TRIB_OK) {
        trib_net_call_finish(call, status, error.message);
        return;
    }
    pump(download, call);
}

static void on_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)call;
    struct download *download = user;
    if (how->status == TRIB_TIMEOUT) {
        struct trib_error error;
        (void)trib_fail(&error, how->status,
                        "it does not read what it downloads (limits.idle_call); %" PRIu64 " of %zu bytes",
                        download->offset, download->blob ? trib_blob_len(download->blob) : 0);
        trib_service_complain(download->service, "download_idle", &error, download->identity, download->address);
    }
    trib_nodes_leave(download->service->nodes, download->node);
    trib_blob_unref(download->blob);
    trib_free(download);
}

static const struct trib_net_events events_table = {
    .message = on_message, .writable = on_writable, .closed = on_closed};

enum trib_status trib_download_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                      const struct trib_net_events **events, void **user, struct trib_error *error)
{
    struct trib_federation_service *federation = service;
    struct trib_node *node;
    TRIB_TRY(trib_service_enter(federation, call, peer, &node, error));
    struct download *download = trib_calloc(1, sizeof *download);
    if (!download) {
        trib_nodes_leave(federation->nodes, node);
        return trib_fail_no_memory(error);
    }
    download->service = federation;
    download->node = node;
    trib_str_copy(download->identity, sizeof download->identity, peer->identity);
    trib_str_copy(download->address, sizeof download->address, peer->address);
    *events = &events_table;
    *user = download;
    trib_net_call_read(call);
    return TRIB_OK;
}
