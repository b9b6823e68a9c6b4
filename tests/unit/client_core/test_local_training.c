/* One task without a worker: an allocation that fails, and a sketch that fits no offer. */
#include "client/local_training.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "model/zoo.h"
#include "fail_memory.h"
#include "test_frames.h"
#include "test_main.h"
#include "wire/graph_message.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 30, FEATURES = 4, CLASSES = 3, MOST_ALLOCATIONS = 5000 };

struct fixture {
    char csv[64];
    struct trib_client_settings settings;
    struct trib_client_data data;
    struct trib_local_training local;
    struct trib_client_task task;
    struct trib_schema schema;
    struct trib_blob *model; /* the frame */
};

static void make_data(struct fixture *f)
{
    char text[512];
    struct trib_error error = {.message = ""};
    snprintf(f->csv, sizeof f->csv, "/tmp/trib-training-XXXXXX");
    FILE *file = fdopen(mkstemp(f->csv), "w");
    ck_assert_ptr_nonnull(file);
    fputs("a,b,c,d,label\n", file);
    for (int i = 0; i < ROWS; i++) {
        fprintf(file, "%d,%d,%d,%.3f,%d\n", i % 3 == 0, i % 3 == 1, i % 3 == 2, 0.01 * (i % 7), i % CLASSES);
    }
    fclose(file);
    snprintf(text, sizeof text,
             "server: {address: \"a:1\"}\ntls: {ca: a, certificate: b, key: c}\n"
             "data: {format: csv, path: %s}\n",
             f->csv);
    ck_assert_msg(trib_client_settings_parse("t.yaml", text, strlen(text), NULL, 0, &f->settings, &error) == TRIB_OK,
                  "%s", error.message);
    ck_assert_int_eq(trib_client_data_load(&f->settings, &f->data, NULL), TRIB_OK);
}

/* The task's plan, and the model as the server would send it. */
static void make_model(struct fixture *f, int64_t features)
{
    const struct trib_model_spec spec = {.example = TRIB_SHAPE(features), .classes = CLASSES};
    struct trib_graph *graph = NULL;
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_zoo_build("logistic", &spec, &graph, NULL), TRIB_OK);
    ck_assert_int_eq(trib_graph_pack(graph, &bytes, NULL), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&f->schema, graph, NULL), TRIB_OK);
    trib_graph_free(graph);
    f->task.graph = trib_blob_copy(bytes.data, bytes.len);
    ck_assert_int_eq(trib_sha256(bytes.data, bytes.len, f->task.graph_sha256), TRIB_OK);
    trib_buf_clear(&bytes);
    float *model = trib_calloc(f->schema.n_floats, sizeof *model);
    ck_assert_ptr_nonnull(model);
    trib_schema_initialise(&f->schema, 1, model);
    ck_assert_int_eq(
        encode_frame(TRIB_FRAME_MODEL, "f32", 0, f->schema.hash, model, f->schema.n_floats, &f->model, NULL), TRIB_OK);
    trib_free(model);
}

static void setup(struct fixture *f, int64_t features)
{
    memset(f, 0, sizeof *f);
    make_data(f);
    f->task = (struct trib_client_task){.run = "run-1",
                                        .round = 3,
                                        .seed = 5,
                                        .codec = chain_of("topk:1/5|f32"),
                                        .sketch_positions = TRIB_FRAME_MAX_ELEMENTS,
                                        .recipe = {.loss = TRIB_LOSS_CROSS_ENTROPY,
                                                   .optimizer = TRIB_OPTIMIZER_SGD,
                                                   .epochs = 1,
                                                   .batch_size = 10,
                                                   .learning_rate = 0.5F}};
    ck_assert_int_eq(trib_feedback_read("ef", 0, &f->task.feedback, NULL), TRIB_OK);
    make_model(f, features);
    f->local.backend = trib_backend_find("reference");
    f->local.data = &f->data;
    ck_assert_int_eq(trib_feedback_store_new(NULL, &f->local.feedback, NULL), TRIB_OK);
}

static void teardown(struct fixture *f)
{
    trib_local_training_forget(&f->local);
    trib_model_cache_close(&f->local.cache);
    trib_feedback_store_free(f->local.feedback);
    trib_client_data_clear(&f->data);
    trib_client_settings_clear(&f->settings);
    trib_schema_clear(&f->schema);
    trib_blob_unref(f->task.graph);
    trib_blob_unref(f->model);
    ck_assert_int_eq(unlink(f->csv), 0);
}

static struct trib_model_delivery deliver(struct fixture *f)
{
    struct trib_model_delivery delivery = {.route = trib_model_route_whole(&f->task), .n_spools = 1};
    delivery.spools[0] = trib_model_spool_adopt(trib_blob_ref(f->model));
    ck_assert_ptr_nonnull(delivery.spools[0]);
    return delivery;
}

static const _Atomic(bool) never = false;

/* Either an update with its sketch, or an error and nothing at all. */
START_TEST(any_allocation_may_fail)
{
    struct fixture f;
    struct trib_error error = {.message = ""};
    bool clean = false;
    int64_t failures = 0;
    setup(&f, FEATURES);
    for (int64_t nth = 0; !clean && nth < MOST_ALLOCATIONS; nth++) {
        struct trib_client_update update = {0};
        struct trib_model_delivery delivery = deliver(&f);
        (void)fail_memory_after(nth, false);
        enum trib_status status = trib_local_training_run(&f.local, &f.task, &delivery, &never, &update, &error);
        clean = fail_memory_after(-1, false) <= nth;
        trib_model_delivery_clear(&delivery);
        ck_assert_msg(status == TRIB_OK || status == TRIB_NO_MEMORY, "%s: %s", trib_status_name(status), error.message);
        ck_assert(!update.frame == (status != TRIB_OK) && !update.sketch == (status != TRIB_OK));
        failures += status != TRIB_OK;
        trib_client_update_clear(&update);
        ck_assert_ptr_null(update.sketch);
        trib_local_training_forget(&f.local);
    }
    ck_assert(clean);
    ck_assert_int_gt(failures, 20);
    teardown(&f);
}
END_TEST

/* Told before anything is trained, and by the name that the server's owner knows. */
START_TEST(a_sketch_that_no_offer_has_room_for_is_refused)
{
    static const struct {
        uint64_t positions;
        enum trib_status status;
        const char *reason;
    } cases[] = {{TRIB_FRAME_MAX_ELEMENTS, TRIB_LIMIT, "sketch_positions"},
                 {8 * TRIB_SKETCH_MAX_BYTES + 1, TRIB_LIMIT, "8388608"},
                 {8 * TRIB_SKETCH_MAX_BYTES, TRIB_MISMATCH, ""}}; /* the examples, which are too small */
    struct fixture f;
    setup(&f, 8 * TRIB_SKETCH_MAX_BYTES / CLASSES + 1);
    ck_assert_uint_gt(f.schema.n_floats, 8 * TRIB_SKETCH_MAX_BYTES);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trib_error error = {.message = ""};
        struct trib_client_update update = {0};
        struct trib_model_delivery delivery = deliver(&f);
        f.task.sketch_positions = cases[i].positions;
        ck_assert_int_eq(trib_local_training_run(&f.local, &f.task, &delivery, &never, &update, &error),
                         cases[i].status);
        ck_assert_msg(strstr(error.message, cases[i].reason), "%s", error.message);
        ck_assert(!update.frame && !update.sketch);
        trib_model_delivery_clear(&delivery);
    }
    teardown(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local_training");
    TCase *tests = tcase_create("local_training");
    tcase_add_test(tests, any_allocation_may_fail);
    tcase_add_test(tests, a_sketch_that_no_offer_has_room_for_is_refused);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
