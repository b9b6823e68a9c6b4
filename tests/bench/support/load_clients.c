/* Clients for load. Everything happens in the transport's callbacks; one mutex guards the shared update and counts. */
#include "load_clients.h"

#include "base/crc.h"
#include "base/mem.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "model/schema.h"
#include "wire/chunk.h"
#include "wire/graph_message.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: load client: %s\n", __FILE__, __LINE__, #condition);                               \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct load_client {
    struct load_clients *all;
    struct trib_net_channel *channel;
    struct trib_net_call *session, *download, *upload;
    char node[32], run[64];
    uint64_t round, offset;
    struct trib_chunk_receiver receiver;
};
struct load_clients {
    struct load_options options;
    struct load_client *clients;
    pthread_mutex_t mutex;
    pthread_cond_t ended_cond;
    int ended;
    struct trib_blob *update;
    uint8_t sha256[32];
};

static void send_message(struct load_client *client, Tributary__V1__ClientMessage *message)
{
    struct trib_buf buf = {0};
    NEED(trib_message_pack(&message->base, &buf) == TRIB_OK);
    enum trib_status status = trib_net_call_send(client->session, buf.data, buf.len, NULL, 0, 0);
    NEED(status == TRIB_OK || status == TRIB_CANCELLED);
    trib_buf_clear(&buf);
}

/* The one update that everybody sends: small numbers of alternating sign. */
static void make_update(struct load_clients *all, const Tributary__V1__Task *task)
{
    struct trib_error error;
    struct trib_graph *graph;
    struct trib_schema schema;
    NEED(trib_graph_unpack(task->graph.data, task->graph.len, &graph, &error) == TRIB_OK);
    NEED(trib_schema_init(&schema, graph, &error) == TRIB_OK);
    size_t payload_offset, len = trib_frame_raw_len(schema.n_floats, &payload_offset);
    struct trib_blob *blob = trib_blob_new(len);
    NEED(blob);
    float *vector = (float *)(void *)(trib_blob_fill(blob) + payload_offset);
    for (size_t i = 0; i < schema.n_floats; i++) {
        vector[i] = (i % 2 ? 1e-6f : -1e-6f) * (float)(i % 1000);
    }
    NEED(trib_frame_seal_raw(TRIB_FRAME_UPDATE, schema.hash, schema.n_floats, trib_blob_fill(blob), len, &error) ==
         TRIB_OK);
    NEED(trib_sha256(trib_blob_data(blob), len, all->sha256) == TRIB_OK);
    trib_schema_clear(&schema);
    trib_graph_free(graph);
    all->update = blob;
}

static void offer(struct load_client *client)
{
    Tributary__V1__Blob blob = TRIBUTARY__V1__BLOB__INIT;
    blob.sha256.data = client->all->sha256;
    blob.sha256.len = 32;
    blob.len = trib_blob_len(client->all->update);
    Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
    offer.round = client->round;
    offer.examples = 100;
    offer.update = &blob;
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    send_message(client, &message);
}

/* ---- download ---- */

static void take_chunk(struct load_client *client, struct trib_net_message *message)
{
    struct trib_error error = {.message = ""};
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    size_t at = 0, len, head_len = 0, skip, payload_offset;
    const uint8_t *piece;
    while (head_len < sizeof head && trib_net_message_next(message, &at, &piece, &len)) {
        size_t n = len > sizeof head - head_len ? sizeof head - head_len : len;
        memcpy(head + head_len, piece, n);
        head_len += n;
    }
    struct trib_chunk chunk;
    NEED(trib_chunk_parse(head, head_len, trib_net_message_len(message), &chunk, &payload_offset, &error) == TRIB_OK);
    NEED(trib_chunk_receiver_begin(&client->receiver, &chunk, &error) == TRIB_OK);
    uint32_t crc = 0;
    at = 0;
    skip = payload_offset;
    while (trib_net_message_next(message, &at, &piece, &len)) {
        size_t passed = len < skip ? len : skip;
        skip -= passed;
        crc = trib_crc32c(crc, piece + passed, len - passed);
        NEED(trib_chunk_receiver_hash(&client->receiver, piece + passed, len - passed, &error) == TRIB_OK);
    }
    NEED(trib_chunk_receiver_end(&client->receiver, &chunk, crc, &error) == TRIB_OK);
}

static void download_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct load_client *client = user;
    if (!message) {
        return;
    }
    take_chunk(client, message);
    trib_net_message_free(message);
    trib_net_call_read(call);
}

static void download_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)call;
    struct load_client *client = user;
    bool complete = client->receiver.complete;
    trib_chunk_receiver_clear(&client->receiver);
    if (how->status == TRIB_OK && complete) {
        offer(client);
    }
}

static const struct trib_net_events download_events = {.message = download_message, .closed = download_closed};

static void start_download(struct load_client *client, const Tributary__V1__Task *task)
{
    struct trib_error error;
    Tributary__V1__DownloadRequest request = TRIBUTARY__V1__DOWNLOAD_REQUEST__INIT;
    request.sha256 = task->model->sha256;
    struct trib_buf buf = {0};
    NEED(trib_message_pack(&request.base, &buf) == TRIB_OK);
    NEED(trib_chunk_receiver_init(&client->receiver, task->model->sha256.data, task->model->len, &error) == TRIB_OK);
    trib_net_call_unref(client->download);
    NEED(trib_net_channel_call(client->channel, TRIB_PATH_DOWNLOAD, 0, &download_events, client, &client->download,
                               &error) == TRIB_OK);
    NEED(trib_net_call_send(client->download, buf.data, buf.len, NULL, 0, 0) == TRIB_OK);
    trib_net_call_half_close(client->download);
    trib_net_call_read(client->download);
    trib_buf_clear(&buf);
}

/* ---- upload ---- */

static void pump_upload(struct load_client *client, struct trib_net_call *call)
{
    const struct trib_blob *update = client->all->update;
    size_t len = trib_blob_len(update);
    while (client->offset < len) {
        struct trib_chunk chunk = {.offset = client->offset};
        chunk.payload_len = len - client->offset < TRIB_CHUNK_PAYLOAD ? len - client->offset : TRIB_CHUNK_PAYLOAD;
        chunk.last = client->offset + chunk.payload_len == len;
        chunk.crc32c = trib_crc32c(0, trib_blob_data(update) + client->offset, chunk.payload_len);
        if (client->offset == 0) {
            memcpy(chunk.run, client->run, TRIB_RUN_ID_LEN);
            chunk.round = client->round;
            chunk.has_sha256 = true;
            memcpy(chunk.sha256, client->all->sha256, 32);
            chunk.blob_len = len;
        }
        uint8_t head[TRIB_CHUNK_HEAD_MAX];
        size_t head_len = trib_chunk_head(&chunk, head);
        if (trib_net_call_send(call, head, head_len, client->all->update, client->offset, chunk.payload_len) !=
            TRIB_OK) {
            return;
        }
        client->offset += chunk.payload_len;
    }
    trib_net_call_half_close(call);
}

static void upload_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    if (message) {
        trib_net_message_free(message);
        trib_net_call_read(call);
    }
}

static void upload_writable(void *user, struct trib_net_call *call)
{
    pump_upload(user, call);
}

static void upload_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)user;
    (void)call;
    if (how->status != TRIB_OK) {
        fprintf(stderr, "upload ended: %s\n", how->details);
    }
}

static const struct trib_net_events upload_events = {
    .message = upload_message, .writable = upload_writable, .closed = upload_closed};

static void start_upload(struct load_client *client)
{
    struct trib_error error;
    client->offset = 0;
    trib_net_call_unref(client->upload);
    NEED(trib_net_channel_call(client->channel, TRIB_PATH_UPLOAD, 0, &upload_events, client, &client->upload, &error) ==
         TRIB_OK);
    trib_net_call_read(client->upload);
    pump_upload(client, client->upload);
}

/* ---- session ---- */

static void on_task(struct load_client *client, const Tributary__V1__Task *task)
{
    struct load_clients *all = client->all;
    snprintf(client->run, sizeof client->run, "%s", task->run);
    client->round = task->round;
    pthread_mutex_lock(&all->mutex);
    if (!all->update) {
        make_update(all, task);
    }
    pthread_mutex_unlock(&all->mutex);
    if (all->options.download) {
        start_download(client, task);
    } else {
        offer(client);
    }
}

static void session_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct load_client *client = user;
    struct trib_error error;
    ProtobufCMessage *parsed;
    if (!message) {
        trib_net_call_half_close(call);
        return;
    }
    NEED(trib_message_unpack(&tributary__v1__server_message__descriptor, trib_net_message_flat(message),
                             trib_net_message_len(message), &parsed, &error) == TRIB_OK);
    trib_net_message_free(message);
    const Tributary__V1__ServerMessage *said = (const void *)parsed;
    if (said->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        on_task(client, said->task);
    } else if (said->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION) {
        start_upload(client);
    }
    trib_message_free(parsed);
    trib_net_call_read(call);
}

static void session_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)call;
    (void)how;
    struct load_client *client = user;
    pthread_mutex_lock(&client->all->mutex);
    client->all->ended++;
    pthread_cond_signal(&client->all->ended_cond);
    pthread_mutex_unlock(&client->all->mutex);
}

static const struct trib_net_events session_events = {.message = session_message, .closed = session_closed};

static void connect_client(struct load_client *client)
{
    char ca[512], cert[512], key[512];
    struct trib_error error = {.message = ""};
    const char *dir = client->all->options.dir;
    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(cert, sizeof cert, "%s/%s.crt", dir, client->node);
    snprintf(key, sizeof key, "%s/%s.key", dir, client->node);
    struct trib_net_tls tls = {.ca_path = ca, .cert_path = cert, .key_path = key};
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    limits.threads = 1;
    NEED(trib_net_channel_new(client->all->options.address, NULL, &tls, &limits, &client->channel, &error) == TRIB_OK);
    NEED(trib_net_channel_call(client->channel, TRIB_PATH_SESSION, 0, &session_events, client, &client->session,
                               &error) == TRIB_OK);
    char *codecs[] = {"f32"};
    Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.software = "load client";
    hello.node = client->node;
    hello.n_codecs = 1;
    hello.codecs = codecs;
    hello.examples = 100;
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    send_message(client, &message);
    trib_net_call_read(client->session);
}

struct load_clients *load_clients_start(const struct load_options *options)
{
    struct load_clients *all = trib_calloc(1, sizeof *all);
    NEED(all);
    all->options = *options;
    all->clients = trib_calloc((size_t)options->n, sizeof *all->clients);
    NEED(all->clients);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&all->mutex, NULL);
    pthread_cond_init(&all->ended_cond, &monotonic);
    for (int i = 0; i < options->n; i++) {
        all->clients[i].all = all;
        snprintf(all->clients[i].node, sizeof all->clients[i].node, "c%d", i);
        connect_client(&all->clients[i]);
    }
    return all;
}

void load_clients_finish(struct load_clients *all, int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    pthread_mutex_lock(&all->mutex);
    while (all->ended < all->options.n) {
        NEED(pthread_cond_timedwait(&all->ended_cond, &all->mutex, &until) == 0);
    }
    pthread_mutex_unlock(&all->mutex);
    load_clients_leave(all);
}

void load_clients_leave(struct load_clients *all)
{
    for (int i = 0; i < all->options.n; i++) {
        struct load_client *client = &all->clients[i];
        trib_net_channel_free(client->channel);
        trib_net_call_unref(client->session);
        trib_net_call_unref(client->download);
        trib_net_call_unref(client->upload);
    }
    trib_blob_unref(all->update);
    trib_free(all->clients);
    trib_free(all);
}
