/* A worker with its data, a task and a model. */
#ifndef TRIB_TEST_WORKER_FIXTURE_H
#define TRIB_TEST_WORKER_FIXTURE_H

#include "client/worker.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/sketch.h"
#include "crypto/hash.h"
#include "model/zoo.h"
#include "test_frames.h"
#include "test_main.h"
#include "wire/graph_message.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 120, FEATURES = 4, CLASSES = 3, DEADLINE_MS = 60000 };

struct fixture {
    char dir[64], csv[96];
    struct trib_client_settings settings;
    struct trib_mailbox events;
    struct trib_disk_budget *budget; /* NULL = no limit */
    struct trib_worker *worker;
    struct trib_session_event *event;
    struct trib_client_task task;
    struct trib_schema schema;
    float *model; /* [schema.n_floats] */
};

static inline void write_csv(const struct fixture *f, const char *fault)
{
    FILE *file = fopen(f->csv, "w");
    ck_assert_ptr_nonnull(file);
    fputs("a,b,c,d,label\n", file);
    for (int i = 0; i < ROWS; i++) {
        int label = i % CLASSES;
        fprintf(file, "%d,%d,%d,%.3f,%d\n", label == 0, label == 1, label == 2, 0.01 * (i % 7), label);
    }
    fputs(fault, file);
    fclose(file);
}

static inline void load_settings(struct fixture *f, const char *more)
{
    char text[1024];
    struct trib_error error = {.message = ""};
    snprintf(text, sizeof text,
             "server: {address: \"a:1\"}\ntls: {ca: a, certificate: b, key: c}\n"
             "compute: {backend: reference, threads: 1}\ndata:\n  format: csv\n  path: %s\n%s",
             f->csv, more);
    ck_assert_msg(trib_client_settings_parse("t.yaml", text, strlen(text), NULL, 0, &f->settings, &error) == TRIB_OK,
                  "%s", error.message);
}

static inline struct trib_session_event *await(struct fixture *f, enum trib_session_event_kind kind)
{
    int64_t until = trib_clock_ms() + DEADLINE_MS;
    trib_session_event_free(f->event);
    while (!(f->event = trib_session_event_pop(&f->events))) {
        struct pollfd fd = {.fd = trib_mailbox_fd(&f->events), .events = POLLIN};
        int64_t left = until - trib_clock_ms();
        ck_assert_msg(left > 0, "no event came");
        (void)poll(&fd, 1, (int)left);
    }
    ck_assert_int_eq(f->event->kind, kind);
    return f->event;
}

static inline void make_task(struct fixture *f, int64_t features)
{
    const struct trib_model_spec spec = {.example = TRIB_SHAPE(features), .classes = CLASSES};
    struct trib_graph *graph = NULL;
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_zoo_build("logistic", &spec, &graph, NULL), TRIB_OK);
    ck_assert_int_eq(trib_graph_pack(graph, &bytes, NULL), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&f->schema, graph, NULL), TRIB_OK);
    trib_graph_free(graph);
    f->task = (struct trib_client_task){.run = "run-1", .round = 1, .seed = 5, .codec = chain_of("f32")};
    f->task.graph = trib_blob_copy(bytes.data, bytes.len);
    ck_assert_int_eq(trib_sha256(bytes.data, bytes.len, f->task.graph_sha256), TRIB_OK);
    trib_buf_clear(&bytes);
    f->task.recipe = (struct trib_recipe){.loss = TRIB_LOSS_CROSS_ENTROPY,
                                          .optimizer = TRIB_OPTIMIZER_SGD,
                                          .epochs = 2,
                                          .batch_size = 10,
                                          .learning_rate = 0.5f};
    f->model = trib_calloc(f->schema.n_floats, sizeof *f->model);
    ck_assert_ptr_nonnull(f->model);
    trib_schema_initialise(&f->schema, 1, f->model);
}

static inline void start_worker(struct fixture *f)
{
    const struct trib_worker_config config = {
        .settings = &f->settings, .backend = trib_backend_find("reference"), .events = &f->events, .budget = f->budget};
    ck_assert_int_eq(trib_worker_new(&config, &f->worker, NULL), TRIB_OK);
}

static inline void setup_files(struct fixture *f, const char *fault, const char *more)
{
    memset(f, 0, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/trib-worker-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(f->csv, sizeof f->csv, "%s/data.csv", f->dir);
    write_csv(f, fault);
    load_settings(f, more);
    ck_assert_int_eq(trib_mailbox_init(&f->events, true, NULL), TRIB_OK);
}

static inline void setup(struct fixture *f, const char *more)
{
    setup_files(f, "", more);
    make_task(f, FEATURES);
    start_worker(f);
    const struct trib_session_event *event = await(f, TRIB_SESSION_DATA);
    ck_assert_msg(event->status == TRIB_OK, "%s", event->reason);
}

static inline void teardown(struct fixture *f)
{
    trib_worker_free(f->worker);
    trib_session_event_free(f->event);
    trib_session_events_clear(&f->events);
    trib_disk_budget_free(f->budget);
    trib_client_settings_clear(&f->settings);
    trib_blob_unref(f->task.graph);
    trib_schema_clear(&f->schema);
    trib_free(f->model);
    ck_assert_int_eq(unlink(f->csv), 0);
    ck_assert_int_eq(rmdir(f->dir), 0);
}

/* The model as the server would send it. */
static inline struct trib_model_spool *received(struct fixture *f, enum trib_frame_kind kind, const uint8_t *schema,
                                                size_t n, const char *codec)
{
    const struct trib_spool_place memory = {.dir = NULL};
    uint64_t found;
    struct trib_blob *frame = NULL;
    struct trib_model_spool *spool = NULL;
    struct trib_error error = {.message = ""};
    ck_assert_msg(encode_frame(kind, codec, 0, schema, f->model, n, &frame, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_model_spool_new(&memory, f->task.model_sha256, trib_blob_len(frame), &spool, &found, NULL),
                     TRIB_OK);
    ck_assert_int_eq(trib_model_spool_write(spool, 0, trib_blob_data(frame), trib_blob_len(frame), NULL), TRIB_OK);
    trib_blob_unref(frame);
    return spool;
}

static inline void begin(struct fixture *f, uint64_t job, struct trib_model_spool *model)
{
    struct trib_model_delivery delivery = {.route = trib_model_route_whole(&f->task), .spools = {model}, .n_spools = 1};
    ck_assert_int_eq(trib_worker_train(f->worker, job, &f->task, &delivery, NULL), TRIB_OK);
    ck_assert_uint_eq(delivery.n_spools, 0);
}

static inline struct trib_session_event *train_from(struct fixture *f, struct trib_model_spool *model)
{
    begin(f, 3, model);
    struct trib_session_event *event = await(f, TRIB_SESSION_TRAINED);
    ck_assert_uint_eq(event->job, 3);
    return event;
}

static inline struct trib_session_event *train(struct fixture *f)
{
    return train_from(f, received(f, TRIB_FRAME_MODEL, f->schema.hash, f->schema.n_floats, "f32"));
}

static inline void restart_worker(struct fixture *f)
{
    trib_worker_free(f->worker);
    start_worker(f);
    ck_assert_int_eq(await(f, TRIB_SESSION_DATA)->status, TRIB_OK);
}

#endif
