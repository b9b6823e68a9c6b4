/* A server that misbehaves as told, in this process, over plain text on loopback. Its handlers run on the transport's
 * threads; the script is set before the call that it is about. */
#ifndef TRIB_TEST_FAKE_SERVER_H
#define TRIB_TEST_FAKE_SERVER_H

#include "base/crc.h"
#include "base/mem.h"
#include "client_rpc/link.h"
#include "crypto/hash.h"
#include "test_main.h"
#include "wire/message.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum fake_download {
    FAKE_WHOLE,
    FAKE_CORRUPT,     /* the chunk at fault_at has a wrong CRC */
    FAKE_TRUNCATE,    /* ends well at fault_at */
    FAKE_BREAK,       /* ends with UNAVAILABLE at fault_at */
    FAKE_OTHER_BYTES, /* the bytes at fault_at are not those of the hash, with a fitting CRC */
    FAKE_SKIP,        /* leaves out the chunk at fault_at */
    FAKE_TOO_LONG,    /* goes on after the end */
    FAKE_GARBAGE,     /* no protobuf at all */
    FAKE_NOT_FOUND
};
enum fake_upload { FAKE_ACCEPT, FAKE_REFUSE, FAKE_NO_RECEIPT, FAKE_DENY_AT_ONCE, FAKE_NEVER_READ };

struct fake_server {
    struct trib_net_server *server;
    _Atomic(enum fake_download) download;
    _Atomic(uint64_t) fault_at, last_offset; /* last_offset: what the last download asked for */
    _Atomic(enum fake_upload) upload;
    struct trib_blob *blob;
    uint8_t sha256[32];
    size_t chunk_len;
    pthread_mutex_t serving; /* guards what follows: the download that is served */
    uint64_t next;           /* its next byte */
    bool begins, served;
    const struct trib_net_call *downloading;
    pthread_mutex_t lock; /* the rest */
    struct trib_buf uploaded;
    struct trib_chunk first; /* of the last upload */
    struct trib_net_call *session;
    struct trib_buf heard; /* what came over the session */
    bool ended;            /* the last upload said `last` */
};

static inline void fake_head(const struct trib_net_message *message, struct trib_chunk *chunk, size_t *payload_offset)
{
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    const uint8_t *piece;
    size_t at = 0, len, head_len = 0;
    while (head_len < sizeof head && trib_net_message_next(message, &at, &piece, &len)) {
        size_t part = len < sizeof head - head_len ? len : sizeof head - head_len;
        memcpy(head + head_len, piece, part);
        head_len += part;
    }
    ck_assert_int_eq(trib_chunk_parse(head, head_len, trib_net_message_len(message), chunk, payload_offset, NULL),
                     TRIB_OK);
}

/* ---- download ---- */

static inline enum trib_status fake_send_chunk(struct trib_net_call *call, const struct fake_server *fake,
                                               struct trib_chunk *chunk, bool other_bytes, bool wrong_crc)
{
    struct trib_blob *blob = trib_blob_copy(trib_blob_data(fake->blob) + chunk->offset, chunk->payload_len);
    if (other_bytes) {
        trib_blob_fill(blob)[0] ^= 1;
    }
    chunk->crc32c = trib_crc32c(0, trib_blob_data(blob), chunk->payload_len) ^ (wrong_crc ? 1 : 0);
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    size_t head_len = trib_chunk_head(chunk, head);
    enum trib_status status = trib_net_call_send(call, head, head_len, blob, 0, chunk->payload_len);
    trib_blob_unref(blob);
    return status;
}

/* Up to the end, or to what the transport takes just now. */
static inline void fake_serve(struct fake_server *fake, struct trib_net_call *call)
{
    const enum fake_download mode = fake->download;
    const uint64_t len = trib_blob_len(fake->blob), fault_at = fake->fault_at;
    if (fake->served) {
        return;
    }
    fake->served = true;
    if (mode == FAKE_NOT_FOUND || mode == FAKE_GARBAGE) {
        if (mode == FAKE_GARBAGE) {
            (void)!trib_net_call_send(call, "\xff\xff\xff\xff", 4, NULL, 0, 0);
        }
        trib_net_call_finish(call, mode == FAKE_GARBAGE ? TRIB_OK : TRIB_NOT_FOUND, "no such blob");
        return;
    }
    while (fake->next < len) {
        const uint64_t offset = fake->next;
        bool here = offset == fault_at;
        if (here && (mode == FAKE_TRUNCATE || mode == FAKE_BREAK)) {
            trib_net_call_finish(call, mode == FAKE_BREAK ? TRIB_UNAVAILABLE : TRIB_OK, "going away");
            return;
        }
        struct trib_chunk chunk = {.offset = offset, .has_sha256 = fake->begins, .blob_len = fake->begins ? len : 0};
        memcpy(chunk.sha256, fake->sha256, sizeof chunk.sha256);
        chunk.payload_len = len - offset < fake->chunk_len ? len - offset : fake->chunk_len;
        chunk.last = offset + chunk.payload_len == len && mode != FAKE_TOO_LONG;
        if (here && mode == FAKE_SKIP) {
            fake->next += chunk.payload_len;
            continue;
        }
        if (fake_send_chunk(call, fake, &chunk, here && mode == FAKE_OTHER_BYTES, here && mode == FAKE_CORRUPT) !=
            TRIB_OK) {
            fake->served = false; /* `writable` goes on, or it has been cancelled */
            return;
        }
        fake->begins = false;
        fake->next += chunk.payload_len;
    }
    if (mode == FAKE_TOO_LONG) {
        struct trib_chunk chunk = {.offset = 0, .payload_len = fake->chunk_len};
        (void)!fake_send_chunk(call, fake, &chunk, false, false);
    }
    trib_net_call_finish(call, TRIB_OK, "");
}

static inline void fake_download_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct fake_server *fake = user;
    ProtobufCMessage *request = NULL;
    if (!message) {
        return;
    }
    ck_assert_int_eq(trib_message_unpack(&tributary__v1__download_request__descriptor, trib_net_message_flat(message),
                                         trib_net_message_len(message), &request, NULL),
                     TRIB_OK);
    trib_net_message_free(message);
    fake->last_offset = ((Tributary__V1__DownloadRequest *)(void *)request)->offset;
    trib_message_free(request);
    pthread_mutex_lock(&fake->serving);
    fake->next = fake->last_offset;
    fake->begins = true;
    fake->downloading = call;
    fake->served = false;
    fake_serve(fake, call);
    pthread_mutex_unlock(&fake->serving);
}

static inline void fake_download_writable(void *user, struct trib_net_call *call)
{
    struct fake_server *fake = user;
    pthread_mutex_lock(&fake->serving);
    if (fake->downloading == call) {
        fake_serve(fake, call);
    }
    pthread_mutex_unlock(&fake->serving);
}

/* ---- upload ---- */

static inline void fake_receipt(struct fake_server *fake, struct trib_net_call *call, uint64_t received)
{
    char status[] = "mismatch", reason[] = "another schema";
    Tributary__V1__UploadReceipt receipt = TRIBUTARY__V1__UPLOAD_RECEIPT__INIT;
    receipt.accepted = fake->upload == FAKE_ACCEPT;
    receipt.received = received;
    if (!receipt.accepted) {
        receipt.status = status;
        receipt.reason = reason;
    }
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_message_pack(&receipt.base, &bytes), TRIB_OK);
    if (fake->upload != FAKE_NO_RECEIPT) {
        ck_assert_int_eq(trib_net_call_send(call, bytes.data, bytes.len, NULL, 0, 0), TRIB_OK);
    }
    trib_buf_clear(&bytes);
    trib_net_call_finish(call, TRIB_OK, "");
}

static inline void fake_upload_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct fake_server *fake = user;
    struct trib_chunk chunk;
    size_t payload_offset;
    if (!message) {
        return;
    }
    fake_head(message, &chunk, &payload_offset);
    const uint8_t *bytes = trib_net_message_flat(message);
    pthread_mutex_lock(&fake->lock);
    if (chunk.has_sha256) {
        fake->first = chunk;
    }
    ck_assert_uint_eq(trib_crc32c(0, bytes + payload_offset, chunk.payload_len), chunk.crc32c);
    ck_assert_uint_eq(chunk.offset, fake->first.offset + fake->uploaded.len);
    ck_assert_int_eq(trib_buf_add(&fake->uploaded, bytes + payload_offset, chunk.payload_len), TRIB_OK);
    fake->ended = chunk.last;
    pthread_mutex_unlock(&fake->lock);
    trib_net_message_free(message);
    if (chunk.last) {
        fake_receipt(fake, call, chunk.offset + chunk.payload_len);
    } else {
        trib_net_call_read(call);
    }
}

/* ---- session ---- */

static inline void fake_session_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct fake_server *fake = user;
    if (!message) {
        trib_net_call_finish(call, TRIB_OK, "");
        return;
    }
    pthread_mutex_lock(&fake->lock);
    trib_buf_clear(&fake->heard);
    ck_assert_int_eq(trib_buf_add(&fake->heard, trib_net_message_flat(message), trib_net_message_len(message)),
                     TRIB_OK);
    pthread_mutex_unlock(&fake->lock);
    trib_net_message_free(message);
    trib_net_call_read(call);
    /* an echo, so that the client's side knows that it was heard */
    Tributary__V1__Outcome outcome = TRIBUTARY__V1__OUTCOME__INIT;
    outcome.round = 77;
    Tributary__V1__ServerMessage echo = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    echo.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME;
    echo.outcome = &outcome;
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_message_pack(&echo.base, &bytes), TRIB_OK);
    (void)!trib_net_call_send(call, bytes.data, bytes.len, NULL, 0, 0);
    trib_buf_clear(&bytes);
}

static inline void fake_session_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    struct fake_server *fake = user;
    (void)how;
    pthread_mutex_lock(&fake->lock);
    struct trib_net_call *held = fake->session == call ? fake->session : NULL;
    if (held) {
        fake->session = NULL;
    }
    pthread_mutex_unlock(&fake->lock);
    trib_net_call_unref(held);
}

static inline void fake_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)user;
    (void)call;
    (void)how;
}

static const struct trib_net_events fake_session_events = {.message = fake_session_message,
                                                           .closed = fake_session_closed};
static const struct trib_net_events fake_download_events = {
    .message = fake_download_message, .writable = fake_download_writable, .closed = fake_closed};
static const struct trib_net_events fake_upload_events = {.message = fake_upload_message, .closed = fake_closed};

static inline enum trib_status fake_open_session(void *service, struct trib_net_call *call,
                                                 const struct trib_net_peer *peer,
                                                 const struct trib_net_events **events, void **user,
                                                 struct trib_error *error)
{
    struct fake_server *fake = service;
    (void)peer;
    (void)error;
    pthread_mutex_lock(&fake->lock);
    struct trib_net_call *former = fake->session;
    fake->session = trib_net_call_ref(call);
    pthread_mutex_unlock(&fake->lock);
    trib_net_call_unref(former);
    *events = &fake_session_events;
    *user = fake;
    trib_net_call_read(call);
    return TRIB_OK;
}

static inline enum trib_status fake_open_download(void *service, struct trib_net_call *call,
                                                  const struct trib_net_peer *peer,
                                                  const struct trib_net_events **events, void **user,
                                                  struct trib_error *error)
{
    (void)peer;
    (void)error;
    *events = &fake_download_events;
    *user = service;
    trib_net_call_read(call);
    return TRIB_OK;
}

static inline enum trib_status fake_open_upload(void *service, struct trib_net_call *call,
                                                const struct trib_net_peer *peer, const struct trib_net_events **events,
                                                void **user, struct trib_error *error)
{
    struct fake_server *fake = service;
    (void)peer;
    if (fake->upload == FAKE_DENY_AT_ONCE) {
        return trib_fail(error, TRIB_DENIED, "no upload was granted");
    }
    *events = &fake_upload_events;
    *user = service;
    if (fake->upload != FAKE_NEVER_READ) {
        trib_net_call_read(call);
    }
    return TRIB_OK;
}

/* A server on `port` (0 picks one) with a blob of blob_len bytes, cut into chunks of chunk_len. */
static inline void fake_start(struct fake_server *fake, int port, size_t blob_len, size_t chunk_len)
{
    static const struct trib_net_method methods[] = {{TRIB_PATH_SESSION, fake_open_session},
                                                     {TRIB_PATH_DOWNLOAD, fake_open_download},
                                                     {TRIB_PATH_UPLOAD, fake_open_upload}};
    memset(fake, 0, sizeof *fake);
    fake->fault_at = UINT64_MAX;
    fake->chunk_len = chunk_len;
    fake->served = true; /* nothing is asked for */
    pthread_mutex_init(&fake->serving, NULL);
    pthread_mutex_init(&fake->lock, NULL);
    fake->blob = trib_blob_new(blob_len);
    ck_assert_ptr_nonnull(fake->blob);
    for (size_t i = 0; i < blob_len; i++) {
        trib_blob_fill(fake->blob)[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    ck_assert_int_eq(trib_sha256(trib_blob_data(fake->blob), blob_len, fake->sha256), TRIB_OK);
    char listen[64];
    struct trib_error error = {.message = ""};
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    enum trib_status status = trib_net_server_new(listen, NULL, NULL, methods, 3, fake, &fake->server, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
}

static inline void fake_stop(struct fake_server *fake)
{
    trib_net_server_stop(fake->server, 0);
    trib_net_server_free(fake->server);
    trib_net_call_unref(fake->session);
    trib_blob_unref(fake->blob);
    trib_buf_clear(&fake->uploaded);
    trib_buf_clear(&fake->heard);
    pthread_mutex_destroy(&fake->serving);
    pthread_mutex_destroy(&fake->lock);
}

#endif
