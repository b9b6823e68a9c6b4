/* An engine in this process with clients that are structs: each records what it is sent, and a test waits for it. */
#ifndef ENGINE_HARNESS_H
#define ENGINE_HARNESS_H

#include "hub/hub.h"

#include "base/crc.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "wire/graph_message.h"
#include "test_frames.h"
#include "test_main.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MESSAGES = 64, WAIT_SECONDS = 30 };

#define FOLDED    TRIBUTARY__V1__OUTCOME__KIND__FOLDED
#define REJECTED  TRIBUTARY__V1__OUTCOME__KIND__REJECTED
#define LATE      TRIBUTARY__V1__OUTCOME__KIND__LATE
#define ABANDONED TRIBUTARY__V1__OUTCOME__KIND__ABANDONED

/* One lock for all that the tests wait for. */
static pthread_mutex_t world_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t world_cond = PTHREAD_COND_INITIALIZER;

/* ---- a client ---- */

struct fake {
    struct trib_peer peer; /* first: a peer is a fake */
    _Atomic(int) refs;
    char node[32];
    Tributary__V1__ServerMessage *messages[MAX_MESSAGES];
    size_t n, seen;
    bool closed, final;
    uint32_t retry_seconds;
    char reason[256];
};

static inline enum trib_status fake_send(struct trib_peer *peer, const ProtobufCMessage *message)
{
    struct fake *fake = (struct fake *)(void *)peer;
    struct trib_buf buf = {0};
    ProtobufCMessage *copy = NULL;
    struct trib_error error;
    enum trib_status status = trib_message_pack(message, &buf);
    if (status == TRIB_OK) {
        status = trib_message_unpack(&tributary__v1__server_message__descriptor, buf.data, buf.len, &copy, &error);
    }
    trib_buf_clear(&buf);
    pthread_mutex_lock(&world_mutex);
    if (status == TRIB_OK && fake->n < MAX_MESSAGES) {
        fake->messages[fake->n++] = (Tributary__V1__ServerMessage *)(void *)copy;
        copy = NULL;
    }
    pthread_cond_broadcast(&world_cond);
    pthread_mutex_unlock(&world_mutex);
    trib_message_free(copy);
    return status;
}

static inline void fake_close(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds)
{
    struct fake *fake = (struct fake *)(void *)peer;
    pthread_mutex_lock(&world_mutex);
    fake->closed = true;
    fake->final = final;
    fake->retry_seconds = retry_seconds;
    snprintf(fake->reason, sizeof fake->reason, "%s", reason);
    pthread_cond_broadcast(&world_cond);
    pthread_mutex_unlock(&world_mutex);
}

static inline struct trib_peer *fake_ref(struct trib_peer *peer)
{
    atomic_fetch_add(&((struct fake *)(void *)peer)->refs, 1);
    return peer;
}

static inline void fake_unref(struct trib_peer *peer)
{
    struct fake *fake = (struct fake *)(void *)peer;
    if (atomic_fetch_sub(&fake->refs, 1) == 1) {
        for (size_t i = 0; i < fake->n; i++) {
            trib_message_free(&fake->messages[i]->base);
        }
        free(fake);
    }
}

static const struct trib_peer_ops fake_ops = {
    .send = fake_send, .close = fake_close, .ref = fake_ref, .unref = fake_unref};

static inline struct fake *new_fake(const char *node)
{
    struct fake *fake = calloc(1, sizeof *fake);
    ck_assert_ptr_nonnull(fake);
    fake->peer.ops = &fake_ops;
    atomic_init(&fake->refs, 1);
    snprintf(fake->node, sizeof fake->node, "%s", node);
    return fake;
}

static inline struct timespec until(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += WAIT_SECONDS;
    return at;
}

/* The next message of this kind, skipping others; borrowed. Ends the test when none comes. */
static inline const Tributary__V1__ServerMessage *wait_for(struct fake *fake,
                                                           Tributary__V1__ServerMessage__KindCase kind)
{
    struct timespec deadline = until();
    const Tributary__V1__ServerMessage *found = NULL;
    bool timed_out = false;
    pthread_mutex_lock(&world_mutex);
    while (!found && !timed_out) {
        while (!found && fake->seen < fake->n) {
            const Tributary__V1__ServerMessage *next = fake->messages[fake->seen++];
            found = next->kind_case == kind ? next : NULL;
        }
        timed_out = !found && pthread_cond_timedwait(&world_cond, &world_mutex, &deadline) != 0;
    }
    pthread_mutex_unlock(&world_mutex);
    ck_assert_msg(found, "%s: no message of kind %d came", fake->node, (int)kind);
    return found;
}

/* The next message of a kind that has come already, or NULL. */
static inline const Tributary__V1__ServerMessage *next_of(struct fake *fake,
                                                          Tributary__V1__ServerMessage__KindCase kind)
{
    const Tributary__V1__ServerMessage *found = NULL;
    pthread_mutex_lock(&world_mutex);
    while (!found && fake->seen < fake->n) {
        const Tributary__V1__ServerMessage *next = fake->messages[fake->seen++];
        found = next->kind_case == kind ? next : NULL;
    }
    pthread_mutex_unlock(&world_mutex);
    return found;
}

static inline const Tributary__V1__Task *wait_task(struct fake *fake)
{
    return wait_for(fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK)->task;
}

static inline const Tributary__V1__Decision *wait_decision(struct fake *fake)
{
    return wait_for(fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION)->decision;
}

__attribute__((noinline, unused)) static void expect_outcome(struct fake *fake, Tributary__V1__Outcome__Kind kind,
                                                             uint64_t round, const char *words)
{
    const Tributary__V1__Outcome *outcome = wait_for(fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME)->outcome;
    const char *reason = outcome->reason ? outcome->reason : "";
    ck_assert_msg(outcome->kind == kind, "%s: outcome %d: %s", fake->node, (int)outcome->kind, reason);
    ck_assert_uint_eq(outcome->round, round);
    ck_assert_msg(strstr(reason, words), "%s: %s", fake->node, reason);
}

static inline void wait_closed(struct fake *fake)
{
    struct timespec deadline = until();
    bool timed_out = false;
    pthread_mutex_lock(&world_mutex);
    while (!fake->closed && !timed_out) {
        timed_out = pthread_cond_timedwait(&world_cond, &world_mutex, &deadline) != 0;
    }
    bool closed = fake->closed;
    pthread_mutex_unlock(&world_mutex);
    ck_assert_msg(closed, "%s was not closed", fake->node);
}

/* ---- the engine ---- */

static char dir[64];
static struct trib_server_settings settings;
static struct trib_hub *engine;
static struct trib_error error;
static bool finished, running;

static inline void on_finished(void *context)
{
    (void)context;
    pthread_mutex_lock(&world_mutex);
    finished = true;
    pthread_cond_broadcast(&world_cond);
    pthread_mutex_unlock(&world_mutex);
}

/* Settings of a model with 4 inputs and 3 classes, and "key=value" overrides up to NULL. */
static inline void make_engine(const char *const *overrides)
{
    static const char text[] = "state_dir: state\ntls: {ca: a, certificate: b, key: c}\n"
                               "model: {name: logistic, example: [4], classes: 3}\n"
                               "compute: {backend: reference, threads: 1}\n"
                               "federation: {rounds: 2, idle_timeout: 60s, retry_pause: 10ms}\n";
    char path[96];
    size_t n = 0;
    while (overrides && overrides[n]) {
        n++;
    }
    snprintf(dir, sizeof dir, "/tmp/trib-test-engine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/server.yaml", dir);
    ck_assert_int_eq(trib_file_replace(path, text, strlen(text), &error), TRIB_OK);
    ck_assert_msg(trib_server_settings_load(path, overrides, n, &settings, &error) == TRIB_OK, "%s", error.message);
    ck_assert_msg(trib_hub_new_with(&(struct trib_hub_setup){.software = "test 1.0"}, &settings, false, &engine,
                                    &error) == TRIB_OK,
                  "%s", error.message);
    finished = running = false;
}

static inline void start_engine(void)
{
    ck_assert_int_eq(trib_hub_start(engine, on_finished, NULL, &error), TRIB_OK);
    running = true;
}

static inline void wait_finished(void)
{
    struct timespec deadline = until();
    bool timed_out = false;
    pthread_mutex_lock(&world_mutex);
    while (!finished && !timed_out) {
        timed_out = pthread_cond_timedwait(&world_cond, &world_mutex, &deadline) != 0;
    }
    bool done = finished;
    pthread_mutex_unlock(&world_mutex);
    ck_assert_msg(done, "the run did not finish");
}

static void remove_tree(const char *path)
{
    DIR *listing = opendir(path);
    for (const struct dirent *entry; listing && (entry = readdir(listing));) {
        char child[512];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlink(child) != 0) {
            remove_tree(child);
        }
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(path);
}

static inline void end_engine(void)
{
    if (running) {
        trib_hub_stop(engine);
        wait_finished();
        trib_hub_join(engine);
    }
    trib_hub_free(engine);
    trib_server_settings_clear(&settings);
    remove_tree(dir);
}

/* ---- what clients do ---- */

/* What clients say of themselves, until a test changes it. */
static char **hello_tags;
static size_t n_hello_tags;
static Tributary__V1__Device *hello_device;
static char no_run[] = "", *hello_run = no_run;
/* The run that uploads name; NULL: the first. */
static const char *upload_run;

/* codec NULL: it knows all. */
static inline struct fake *connect_with(const char *node, char *codec)
{
    struct fake *fake = new_fake(node);
    Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
    const struct trib_stage *const *stages;
    char *names[UINT8_MAX];
    size_t n_stages = trib_stages(&stages);
    for (size_t i = 0; i < n_stages; i++) {
        names[i] = trib_message_lend(stages[i]->name);
    }
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.examples = 100;
    hello.threads = 2;
    hello.tags = hello_tags;
    hello.n_tags = n_hello_tags;
    hello.device = hello_device;
    hello.run = hello_run;
    hello.n_codecs = codec ? 1 : n_stages;
    hello.codecs = codec ? &codec : names;
    ck_assert_int_eq(trib_hub_connect(engine, &fake->peer, node, "test:1", &hello), TRIB_OK);
    return fake;
}

static inline struct fake *connect_node(const char *node)
{
    return connect_with(node, NULL);
}

/* The connection is gone. */
static inline void leave(struct fake *fake)
{
    trib_hub_disconnect(engine, &fake->peer, "test");
    fake->peer.ops->unref(&fake->peer);
}

static inline enum trib_status say(struct fake *fake, Tributary__V1__ClientMessage *message)
{
    struct trib_buf buf = {0};
    ProtobufCMessage *copy;
    ck_assert_int_eq(trib_message_pack(&message->base, &buf), TRIB_OK);
    ck_assert_int_eq(trib_message_unpack(&tributary__v1__client_message__descriptor, buf.data, buf.len, &copy, &error),
                     TRIB_OK);
    trib_buf_clear(&buf);
    return trib_hub_message(engine, &fake->peer, (Tributary__V1__ClientMessage *)(void *)copy);
}

static inline enum trib_status say_progress(struct fake *fake)
{
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Progress progress = TRIBUTARY__V1__PROGRESS__INIT;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    message.progress = &progress;
    return say(fake, &message);
}

static inline void say_failure(struct fake *fake, uint64_t round)
{
    static char status[] = "limit", reason[] = "battery";
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Failure failure = TRIBUTARY__V1__FAILURE__INIT;
    failure.round = round;
    failure.status = status;
    failure.reason = reason;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE;
    message.failure = &failure;
    ck_assert_int_eq(say(fake, &message), TRIB_OK);
}

/* What every offer says beside its update, until a test changes it: the engine's tests are one process each. */
static struct {
    uint64_t steps;
    double loss;
    uint8_t *sketch; /* NULL: none */
    size_t sketch_len;
} offered = {.steps = 7, .loss = 0.5};

static inline void offer_hash(struct fake *fake, uint64_t round, uint64_t examples, uint8_t digest[32], uint64_t len)
{
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
    Tributary__V1__Blob blob = TRIBUTARY__V1__BLOB__INIT;
    blob.sha256.data = digest;
    blob.sha256.len = 32;
    blob.len = len;
    offer.round = round;
    offer.examples = examples;
    offer.loss = offered.loss;
    offer.steps = offered.steps;
    offer.sketch.data = offered.sketch;
    offer.sketch.len = offered.sketch_len;
    offer.norm = 1;
    offer.update = &blob;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    ck_assert_int_eq(say(fake, &message), TRIB_OK);
}

static inline void offer_blob(struct fake *fake, uint64_t round, uint64_t examples, const struct trib_blob *blob)
{
    uint8_t digest[32];
    ck_assert_int_eq(trib_sha256(trib_blob_data(blob), trib_blob_len(blob), digest), TRIB_OK);
    offer_hash(fake, round, examples, digest, trib_blob_len(blob));
}

/* Send bytes [offset, end) of the blob, in chunks of 50; TRIB_OK when the engine took them. */
static inline enum trib_status upload_range(const struct fake *fake, uint64_t round, const struct trib_blob *blob,
                                            uint64_t offset, uint64_t end)
{
    struct trib_upload *upload = NULL;
    bool complete = false;
    size_t len = trib_blob_len(blob);
    enum trib_status status = TRIB_OK;
    while (status == TRIB_OK && offset < end) {
        struct trib_chunk chunk = {.round = round, .offset = offset, .has_sha256 = !upload, .blob_len = len};
        chunk.payload_len = len - offset < 50 ? (size_t)(len - offset) : 50;
        chunk.last = offset + chunk.payload_len == len;
        chunk.crc32c = trib_crc32c(0, trib_blob_data(blob) + offset, chunk.payload_len);
        snprintf(chunk.run, sizeof chunk.run, "%s", upload_run ? upload_run : trib_run_id(trib_hub_run(engine, 0)));
        TRIB_TRY(trib_sha256(trib_blob_data(blob), len, chunk.sha256));
        if (!upload) {
            TRIB_TRY(trib_hub_upload_open(engine, fake->node, &chunk, &upload, &error));
        }
        status = trib_upload_begin(upload, &chunk, &error);
        if (status == TRIB_OK) {
            status = trib_upload_piece(upload, trib_blob_data(blob) + offset, chunk.payload_len, &error);
        }
        if (status == TRIB_OK) {
            status = trib_upload_end(upload, &chunk, &complete, &error);
        }
        offset += chunk.payload_len;
    }
    if (status == TRIB_OK && !complete) {
        (void)trib_fail(&error, TRIB_UNAVAILABLE, "the connection broke");
    }
    trib_upload_close(upload, status == TRIB_OK && complete ? NULL : &error);
    return status;
}

static inline void upload_blob(const struct fake *fake, uint64_t round, const struct trib_blob *blob)
{
    ck_assert_msg(upload_range(fake, round, blob, 0, trib_blob_len(blob)) == TRIB_OK, "%s", error.message);
}

/* An offer, its decision, its upload. */
static inline void deliver_blob(struct fake *fake, uint64_t round, uint64_t examples, const struct trib_blob *blob)
{
    offer_blob(fake, round, examples, blob);
    const Tributary__V1__Decision *decision = wait_decision(fake);
    ck_assert_int_eq(decision->kind, TRIBUTARY__V1__DECISION__KIND__UPLOAD);
    ck_assert_uint_eq(decision->round, round);
    ck_assert_uint_eq(decision->offset, 0);
    upload_blob(fake, round, blob);
}

static inline void let_go(struct fake *fake)
{
    fake->peer.ops->unref(&fake->peer);
}

/* ---- models ---- */

enum { N = 15 }; /* 4 x 3 weights and 3 biases */

/* The task's model, decoded; also the schema that updates must name. */
static inline void download(const Tributary__V1__Task *task, float model[N], uint8_t schema[32])
{
    ck_assert_uint_eq(task->model->sha256.len, 32);
    struct trib_blob *blob = trib_hub_blob(engine, task->model->sha256.data);
    ck_assert_ptr_nonnull(blob);
    ck_assert_uint_eq(trib_blob_len(blob), task->model->len);
    struct trib_frame_source source = trib_frame_source_memory(blob);
    struct trib_frame_header header;
    ck_assert_msg(trib_frame_walk(&source, NULL, NULL, NULL, NULL, &header, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(header.n_elements, N);
    ck_assert_int_eq(trib_frame_decode(&source, NULL, model, N, &error), TRIB_OK);
    memcpy(schema, header.schema, 32);
    trib_blob_unref(blob);
}

static inline struct trib_blob *encode_update(const char *codec, const uint8_t schema[32], const float update[N])
{
    struct trib_blob *blob = NULL;
    ck_assert_msg(encode_frame(TRIB_FRAME_UPDATE, codec, 0, schema, update, N, &blob, &error) == TRIB_OK, "%s",
                  error.message);
    return blob;
}

static inline struct trib_blob *constant_update(const uint8_t schema[32], float value)
{
    float update[N];
    for (int i = 0; i < N; i++) {
        update[i] = value;
    }
    return encode_update("f32", schema, update);
}

#endif
