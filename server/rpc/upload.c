/* Upload: chunks of a granted update into its spool. The node is the certificate's; nothing else is believed. */
#include "service_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

struct receiving {
    struct trib_federation_service *service;
    struct trib_node *node;
    struct trib_upload *upload; /* NULL before the first chunk and after the end */
    int64_t progress_ms;        /* when the engine was last told */
    bool done, half_closed;
    char identity[TRIB_NODE_LEN], address[64];
};

/* The first bytes of a message in one piece, for the parser of the chunk's head. */
static size_t gather_head(const struct trib_net_message *message, uint8_t head[TRIB_CHUNK_HEAD_MAX])
{
    size_t at = 0, piece_len, len = 0;
    const uint8_t *piece;
    while (len < TRIB_CHUNK_HEAD_MAX && trib_net_message_next(message, &at, &piece, &piece_len)) {
        size_t n = piece_len > TRIB_CHUNK_HEAD_MAX - len ? TRIB_CHUNK_HEAD_MAX - len : piece_len;
        memcpy(head + len, piece, n);
        len += n;
    }
    return len;
}

static enum trib_status take_payload(struct trib_upload *upload, const struct trib_net_message *message, size_t skip,
                                     struct trib_error *error)
{
    size_t at = 0, len;
    const uint8_t *piece;
    while (trib_net_message_next(message, &at, &piece, &len)) {
        size_t passed = len < skip ? len : skip;
        skip -= passed;
        if (len > passed) {
            TRIB_TRY(trib_upload_piece(upload, piece + passed, len - passed, error));
        }
    }
    return TRIB_OK;
}

static enum trib_status take_chunk(struct receiving *receiving, const struct trib_net_message *message, bool *complete,
                                   struct trib_error *error)
{
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    size_t payload_offset;
    struct trib_chunk chunk;
    size_t head_len = gather_head(message, head);
    TRIB_TRY(trib_chunk_parse(head, head_len, trib_net_message_len(message), &chunk, &payload_offset, error));
    if (!receiving->upload) {
        TRIB_TRY(
            trib_hub_upload_open(receiving->service->engine, receiving->identity, &chunk, &receiving->upload, error));
    }
    TRIB_TRY(trib_upload_begin(receiving->upload, &chunk, error));
    TRIB_TRY(take_payload(receiving->upload, message, payload_offset, error));
    return trib_upload_end(receiving->upload, &chunk, complete, error);
}

static void answer(struct trib_net_call *call, uint64_t received)
{
    Tributary__V1__UploadReceipt receipt;
    tributary__v1__upload_receipt__init(&receipt);
    receipt.accepted = true;
    receipt.received = received;
    enum trib_status status = trib_service_send(call, &receipt.base, NULL);
    trib_net_call_finish(call, status, "");
}

/* Tell the engine how it ended, once. */
static void end_upload(struct receiving *receiving, const struct trib_error *fault)
{
    if (receiving->done) {
        return;
    }
    receiving->done = true;
    if (receiving->upload) {
        trib_upload_close(receiving->upload, fault);
        receiving->upload = NULL;
    } else if (fault && fault->status != TRIB_UNAVAILABLE) {
        trib_hub_upload_refused(receiving->service->engine, receiving->identity, fault);
    }
}

/* Trouble of this machine's own, which may name its files, is none of the client's business: it tries again. */
static void refuse(struct trib_net_call *call, const struct trib_error *fault)
{
    bool own = fault->status == TRIB_IO || fault->status == TRIB_NO_SPACE || fault->status == TRIB_NO_MEMORY;
    trib_net_call_finish(call, own ? TRIB_UNAVAILABLE : fault->status,
                         own ? "the server cannot take the update just now; its log says why" : fault->message);
}

static void on_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct receiving *receiving = user;
    struct trib_error error;
    bool complete = false;
    if (!message) {
        receiving->half_closed = true; /* or the connection broke: closed will tell */
        trib_net_call_finish(call, TRIB_PROTOCOL, "the upload ended before its last chunk");
        return;
    }
    size_t len = trib_net_message_len(message);
    trib_hub_count(receiving->service->engine, len, 0);
    enum trib_status status = take_chunk(receiving, message, &complete, &error);
    trib_net_message_free(message);
    if (status != TRIB_OK) {
        end_upload(receiving, &error);
        refuse(call, &error);
        return;
    }
    if (complete) {
        uint64_t received = trib_upload_received(receiving->upload);
        end_upload(receiving, NULL);
        answer(call, received);
        return;
    }
    int64_t now_ms = trib_clock_ms();
    if (now_ms - receiving->progress_ms >= 1000) {
        receiving->progress_ms = now_ms;
        trib_hub_progress(receiving->service->engine, receiving->identity);
    }
    trib_net_call_read_after(call, trib_nodes_upload(receiving->service->nodes, receiving->node, len, now_ms));
}

static void on_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)call;
    struct receiving *receiving = user;
    struct trib_error fault;
    if (receiving->half_closed && how->status == TRIB_OK) {
        (void)trib_fail(&fault, TRIB_PROTOCOL, "the upload ended before its last chunk");
    } else if (how->status == TRIB_TIMEOUT) {
        (void)trib_fail(&fault, TRIB_UNAVAILABLE, "its upload does not move (limits.idle_call)");
        trib_service_complain(receiving->service, "upload_idle", &fault, receiving->identity, receiving->address);
    } else {
        (void)trib_fail(&fault, TRIB_UNAVAILABLE, "the connection broke");
    }
    end_upload(receiving, &fault);
    trib_nodes_leave(receiving->service->nodes, receiving->node);
    trib_free(receiving);
}

static const struct trib_net_events events_table = {.message = on_message, .closed = on_closed};

enum trib_status trib_upload_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                    const struct trib_net_events **events, void **user, struct trib_error *error)
{
    struct trib_federation_service *federation = service;
    struct trib_node *node;
    TRIB_TRY(trib_service_enter(federation, call, peer, &node, error));
    struct receiving *receiving = trib_calloc(1, sizeof *receiving);
    if (!receiving) {
        trib_nodes_leave(federation->nodes, node);
        return trib_fail_no_memory(error);
    }
    receiving->service = federation;
    receiving->node = node;
    trib_str_copy(receiving->identity, sizeof receiving->identity, peer->identity);
    trib_str_copy(receiving->address, sizeof receiving->address, peer->address);
    *events = &events_table;
    *user = receiving;
    trib_net_call_read(call);
    return TRIB_OK;
}
