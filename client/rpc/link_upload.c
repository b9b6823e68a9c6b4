/* An upload's chunks go out by reference, as fast as the transport takes them. */
#include "link_private.h"
#include "base/crc.h"
#include "base/str.h"
#include "wire/message.h"

#include <stdio.h>
#include <string.h>

/* Queue chunks until the transport has enough or the update's end is reached. */
static void pump(struct trib_link_call *call)
{
    pthread_mutex_lock(&call->pump);
    const uint64_t blob_len = trib_blob_len(call->frame);
    enum trib_status status = TRIB_OK;
    while (!call->all_sent && status == TRIB_OK) {
        struct trib_chunk chunk = call->head;
        uint64_t left = blob_len - chunk.offset;
        chunk.payload_len = left < call->chunk_bytes ? (size_t)left : call->chunk_bytes;
        chunk.last = chunk.payload_len == left;
        chunk.crc32c = trib_crc32c(0, trib_blob_data(call->frame) + chunk.offset, chunk.payload_len);
        uint8_t head[TRIB_CHUNK_HEAD_MAX];
        size_t head_len = trib_chunk_head(&chunk, head);
        status = trib_net_call_send(call->call, head, head_len, call->frame, (size_t)chunk.offset, chunk.payload_len);
        if (status == TRIB_OK) {
            /* Only the first chunk says what it is all about. */
            call->head = (struct trib_chunk){.offset = chunk.offset + chunk.payload_len};
            call->all_sent = chunk.last;
        }
    }
    bool ended = call->all_sent && status == TRIB_OK;
    pthread_mutex_unlock(&call->pump);
    if (ended) {
        trib_net_call_half_close(call->call);
    } else if (status != TRIB_LIMIT && status != TRIB_CANCELLED && status != TRIB_OK) {
        trib_net_call_cancel(call->call);
    }
}

static void upload_writable(void *user, struct trib_net_call *net)
{
    (void)net;
    pump(user);
}

static enum trib_status status_by_name(const char *name)
{
    for (int i = 0; i < TRIB_STATUS_COUNT; i++) {
        if (strcmp(name, trib_status_name((enum trib_status)i)) == 0) {
            return (enum trib_status)i;
        }
    }
    return TRIB_INTERNAL;
}

static enum trib_status read_receipt(struct trib_net_message *message, struct trib_session_event *event,
                                     struct trib_error *error)
{
    ProtobufCMessage *unpacked = NULL;
    const uint8_t *bytes = trib_net_message_flat(message);
    if (!bytes) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for the receipt");
    }
    TRIB_TRY(trib_message_unpack(&tributary__v1__upload_receipt__descriptor, bytes, trib_net_message_len(message),
                                 &unpacked, error));
    const Tributary__V1__UploadReceipt *receipt = (const Tributary__V1__UploadReceipt *)unpacked;
    event->is.receipt = (struct trib_session_receipt){
        .accepted = receipt->accepted,
        .status = receipt->accepted ? TRIB_OK : status_by_name(receipt->status),
        .received = receipt->received,
    };
    if (!receipt->accepted && event->is.receipt.status == TRIB_OK) {
        event->is.receipt.status = TRIB_INTERNAL;
    }
    (void)trib_str_copy(event->reason, sizeof event->reason, receipt->reason);
    trib_message_free(unpacked);
    return TRIB_OK;
}

static void upload_message(void *user, struct trib_net_call *net, struct trib_net_message *message)
{
    (void)net;
    struct trib_link_call *call = user;
    struct trib_error error;
    if (!message || call->settled) {
        trib_net_message_free(message);
        return;
    }
    enum trib_status status = read_receipt(message, call->final, &error);
    trib_net_message_free(message);
    if (status != TRIB_OK) {
        trib_link_call_fail(call, status, error.message);
        return;
    }
    /* What the final event says is settled now, whatever still happens to the call. */
    call->settled = true;
    call->final->status = TRIB_OK;
}

static void upload_closed(void *user, struct trib_net_call *net, const struct trib_net_close *how)
{
    (void)net;
    struct trib_link_call *call = user;
    trib_link_call_note(call, how);
    if (!call->settled && how->status == TRIB_OK) {
        trib_link_call_fail(call, TRIB_PROTOCOL, "the server ended the upload without a receipt");
    }
    trib_link_call_done(call);
}

static const struct trib_net_events upload_events = {
    .message = upload_message, .writable = upload_writable, .closed = upload_closed};

enum trib_status trib_link_upload(struct trib_link *link, uint64_t job, const struct trib_link_upload *upload,
                                  struct trib_error *error)
{
    struct trib_link_call *call = NULL;
    if (upload->offset > trib_blob_len(upload->frame)) {
        return trib_fail(error, TRIB_INVALID, "an upload cannot begin beyond the update's end");
    }
    TRIB_TRY(trib_link_call_new(link, &link->upload, TRIB_SESSION_UPLOADED, job, &call, error));
    call->frame = trib_blob_ref(upload->frame);
    call->chunk_bytes = upload->chunk_bytes;
    call->head = (struct trib_chunk){
        .round = upload->round, .has_sha256 = true, .blob_len = trib_blob_len(upload->frame), .offset = upload->offset};
    (void)trib_str_copy(call->head.run, sizeof call->head.run, upload->run);
    memcpy(call->head.sha256, upload->sha256, sizeof call->head.sha256);
    enum trib_status status = trib_link_call_start(call, TRIB_PATH_UPLOAD, &upload_events, error);
    if (status == TRIB_OK) {
        trib_net_call_read(call->call);
        pump(call);
    }
    trib_link_call_unref(call);
    return status;
}
