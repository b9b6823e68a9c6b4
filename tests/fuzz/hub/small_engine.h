/* For fuzz targets of the server: a driven engine with a model of 15 values, and peers that remember what was last said
 * to them. One thread. */
#ifndef TRIB_FUZZ_SMALL_ENGINE_H
#define TRIB_FUZZ_SMALL_ENGINE_H

#include "../fuzz_disk.h"
#include "base/str.h"
#include "codec/frame.h"
#include "hub/hub.h"
#include "sim_disk_vfs.h"

#include <stdio.h>

enum { PEERS = 4 };

static struct trib_server_settings settings;
static struct trib_hub *engine;
static int64_t clock_ms;

static int64_t small_now_ms(void *context)
{
    return *(const int64_t *)context;
}
static const struct trib_hub_driver small_driver = {.now_ms = small_now_ms, .context = &clock_ms};

/* ---- peers ---- */

struct small_peer {
    struct trib_peer peer; /* first: a peer is a small_peer */
    unsigned refs;
    uint64_t task_round; /* of the last task */
    uint8_t schema[32];  /* of its model */
    char codec[128];
    bool granted;
    uint64_t offset;
    bool closed;
};
static struct small_peer *peers[PEERS];

static const char *small_node(size_t i)
{
    static const char *const names[PEERS] = {"client-0", "client-1", "client-2", "client-3"};
    return names[i];
}

static inline void small_take_task(struct small_peer *peer, const Tributary__V1__Task *task)
{
    struct trib_frame_header header;
    struct trib_blob *model = trib_hub_blob(engine, task->model->sha256.data);
    if (model) { /* else it is an old one, and the server was begun again since */
        require(trib_blob_len(model) == task->model->len);
        const struct trib_frame_source source = trib_frame_source_memory(model);
        require(trib_frame_parse_header(&source, &header, NULL) == TRIB_OK);
        memcpy(peer->schema, header.schema, sizeof peer->schema);
        trib_blob_unref(model);
    }
    peer->task_round = task->round;
    peer->granted = false;
    require(strlen(task->codec) < sizeof peer->codec);
    (void)trib_str_copy(peer->codec, sizeof peer->codec, task->codec);
}

/* What the server says can be read by a client. */
static inline enum trib_status small_send(struct trib_peer *base, const ProtobufCMessage *message)
{
    struct small_peer *peer = (struct small_peer *)(void *)base;
    struct trib_buf bytes = {0};
    ProtobufCMessage *read = NULL;
    require(trib_message_pack(message, &bytes) == TRIB_OK);
    require(trib_message_unpack(&tributary__v1__server_message__descriptor, bytes.data, bytes.len, &read, NULL) ==
            TRIB_OK);
    const Tributary__V1__ServerMessage *said = (const Tributary__V1__ServerMessage *)(const void *)read;
    if (said->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        small_take_task(peer, said->task);
    } else if (said->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION) {
        peer->granted = said->decision->kind == TRIBUTARY__V1__DECISION__KIND__UPLOAD;
        peer->offset = said->decision->offset;
    }
    trib_message_free(read);
    trib_buf_clear(&bytes);
    return TRIB_OK;
}

static inline void small_close(struct trib_peer *base, const char *reason, bool final, uint32_t retry_seconds)
{
    (void) final;
    (void)retry_seconds;
    require(reason[0] != '\0');
    ((struct small_peer *)(void *)base)->closed = true;
}

static inline struct trib_peer *small_ref(struct trib_peer *base)
{
    ((struct small_peer *)(void *)base)->refs++;
    return base;
}

static inline void small_unref(struct trib_peer *base)
{
    struct small_peer *peer = (struct small_peer *)(void *)base;
    if (--peer->refs == 0) {
        free(peer);
    }
}

static const struct trib_peer_ops small_ops = {
    .send = small_send, .close = small_close, .ref = small_ref, .unref = small_unref};

static inline void small_leave(size_t i)
{
    if (peers[i]) {
        trib_hub_disconnect(engine, &peers[i]->peer, "gone");
        small_unref(&peers[i]->peer);
        peers[i] = NULL;
    }
}

/* hello NULL: that of a client that can do all. */
static inline void small_join(size_t i, const Tributary__V1__Hello *hello)
{
    Tributary__V1__Hello usual = TRIBUTARY__V1__HELLO__INIT;
    const struct trib_stage *const *stages;
    char *names[UINT8_MAX];
    usual.n_codecs = trib_stages(&stages);
    usual.codecs = names;
    for (size_t s = 0; s < usual.n_codecs; s++) {
        names[s] = trib_message_lend(stages[s]->name);
    }
    usual.protocol = 1;
    usual.examples = 100;
    usual.threads = 1;
    small_leave(i);
    struct small_peer *peer = calloc(1, sizeof *peer);
    require(peer);
    peer->peer.ops = &small_ops;
    peer->refs = 1;
    if (trib_hub_connect(engine, &peer->peer, small_node(i), "here:1", hello ? hello : &usual) == TRIB_OK) {
        peers[i] = peer;
    } else {
        small_unref(&peer->peer);
    }
}

/* ---- the engine ---- */

static inline void small_settings(const char *more)
{
    char text[1024];
    const struct trib_config_row *rows;
    struct trib_config_node *tree;
    size_t n = trib_server_rows(&rows);
    snprintf(text, sizeof text,
             "state_dir: /state\ntls: {ca: a, certificate: b, key: c}\n"
             "compute: {backend: reference, threads: 1}\nmodel: {name: logistic, example: [4], classes: 3}\n"
             "federation: {rounds: 3, min_clients: 2, min_updates: 1, deadline: 60s, idle_timeout: 20s, "
             "away_timeout: 10s, retry_pause: 1s%s",
             more);
    settings = (struct trib_server_settings){0};
    require(trib_config_parse_text("settings", text, strlen(text), &tree, NULL) == TRIB_OK);
    require(trib_config_apply(tree, rows, n, &settings, NULL) == TRIB_OK);
    settings.tree = tree;
    require(trib_server_settings_check(&settings, NULL) == TRIB_OK);
}

static inline enum trib_status small_start(struct trib_error *error)
{
    const struct trib_hub_setup setup = {.software = "fuzz", .driver = &small_driver};
    error->message[0] = '\0';
    engine = NULL;
    enum trib_status status = trib_hub_new_with(&setup, &settings, false, &engine, error);
    if (status != TRIB_OK) {
        require(error->message[0] != '\0');
        engine = NULL;
    }
    return status;
}

static inline void small_stop(void)
{
    for (size_t i = 0; i < PEERS; i++) {
        if (peers[i]) {
            small_unref(&peers[i]->peer);
            peers[i] = NULL;
        }
    }
    trib_hub_free(engine);
    engine = NULL;
}

/* All that is queued; those whom it sent away are gone. */
static inline void small_turn(void)
{
    trib_hub_turn(engine);
    for (size_t i = 0; i < PEERS; i++) {
        if (peers[i] && peers[i]->closed) {
            small_leave(i);
        }
    }
    trib_hub_turn(engine);
}

static inline void small_pass(int64_t ms)
{
    clock_ms += ms;
    small_turn();
}

/* For state on a disk in memory. */
static inline void small_disk_begin(void)
{
    static bool registered;
    if (!registered) {
        sim_disk_vfs_register();
        registered = true;
    }
    sim_disk_vfs_seed(1);
    clock_ms = 1000;
    fuzz_disk_begin();
}

#endif
