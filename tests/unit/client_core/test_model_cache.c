/* The model between tasks: taken whole, moved on by deltas, found again after a restart, and never a wrong one. */
#include "client/model_cache.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/zoo.h"
#include "test_frames.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VERSIONS = 4, CLASSES = 30000 /* with 3 inputs: two blocks of a frame */ };

/* The server's side: a model's versions and the deltas between them. */
struct fixture {
    char dir[64], path[96];
    struct trib_schema schema;
    struct trib_model_cache cache;
    struct trib_blob *whole[VERSIONS], *deltas[VERSIONS]; /* deltas[v] leads from v - 1 to v */
    struct trib_client_task task;                         /* of the last version */
};
static struct fixture f;
static struct trib_error error;

static void make_schema(void)
{
    const struct trib_model_spec spec = {.example = {.rank = 1, .dims = {3}}, .classes = CLASSES};
    struct trib_graph *graph;
    ck_assert_msg(trib_zoo_build("logistic", &spec, &graph, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_schema_init(&f.schema, graph, &error), TRIB_OK);
    trib_graph_free(graph);
}

static struct trib_blob *frame_of(enum trib_frame_kind kind, const char *codec, const float *vector)
{
    struct trib_blob *frame = NULL;
    ck_assert_msg(encode_frame(kind, codec, kind == TRIB_FRAME_MODEL ? 0 : 7, f.schema.hash, vector, f.schema.n_floats,
                               &frame, &error) == TRIB_OK,
                  "%s", error.message);
    return frame;
}

static void make_versions(void)
{
    size_t n = f.schema.n_floats;
    float *model = trib_calloc(n, sizeof *model), *delta = trib_calloc(n, sizeof *delta);
    trib_schema_initialise(&f.schema, 5, model);
    f.whole[0] = frame_of(TRIB_FRAME_MODEL, "f32", model);
    for (size_t v = 1; v < VERSIONS; v++) {
        for (size_t i = 0; i < n; i++) {
            delta[i] = (float)((i * 31 + v * 7) % 101) / 997 - 0.05F;
        }
        f.deltas[v] = frame_of(TRIB_FRAME_UPDATE, "sign", delta);
        const struct trib_frame_source source = trib_frame_source_memory(f.deltas[v]);
        ck_assert_int_eq(trib_frame_decode(&source, NULL, delta, n, &error), TRIB_OK);
        for (size_t i = 0; i < n; i++) {
            model[i] += delta[i];
        }
        f.whole[v] = frame_of(TRIB_FRAME_MODEL, "f32", model);
    }
    trib_free(model);
    trib_free(delta);
}

/* The task of a version, with all the deltas up to it. */
static void make_task(uint64_t version)
{
    f.task = (struct trib_client_task){.model_version = version, .model_len = trib_blob_len(f.whole[version])};
    snprintf(f.task.run, sizeof f.task.run, "run-1");
    const struct trib_blob *whole = f.whole[version];
    ck_assert_int_eq(trib_sha256(trib_blob_data(whole), trib_blob_len(whole), f.task.model_sha256), TRIB_OK);
    for (uint64_t v = 1; v <= version; v++) {
        f.task.deltas[f.task.n_deltas++] =
            (struct trib_client_delta){.from_version = v - 1, .len = trib_blob_len(f.deltas[v])};
    }
    f.task.has_initialisation = true;
    f.task.initialisation_seed = 5;
}

static struct trib_model_spool *spool_of(const struct trib_blob *blob)
{
    struct trib_blob *copy = trib_blob_copy(trib_blob_data(blob), trib_blob_len(blob));
    struct trib_model_spool *spool = trib_model_spool_adopt(copy);
    ck_assert_ptr_nonnull(spool);
    return spool;
}

/* What the plan asks for. */
static struct trib_model_delivery deliver(void)
{
    struct trib_model_delivery delivery = {.route = trib_model_route_make(&f.task, &f.cache.held, 0)};
    for (size_t i = 0; i < delivery.route.n_blobs; i++) {
        delivery.spools[delivery.n_spools++] = spool_of(f.deltas[delivery.route.first_delta + i + 1]);
    }
    return delivery;
}

static enum trib_status build(struct trib_model_delivery *delivery)
{
    enum trib_status status = trib_model_cache_build(&f.cache, &f.schema, &f.task, delivery, NULL, &error);
    trib_model_delivery_clear(delivery);
    return status;
}

static void put(uint64_t version)
{
    make_task(version);
    struct trib_model_spool *spool = spool_of(f.whole[version]);
    trib_model_cache_put(&f.cache, &f.task, &spool);
    ck_assert_ptr_null(spool);
}

/* It holds this version, bit by bit. */
static void expect_held(uint64_t version)
{
    ck_assert_str_eq(f.cache.held.run, "run-1");
    ck_assert_uint_eq(f.cache.held.version, version);
    size_t len = trib_blob_len(f.whole[version]);
    const struct trib_frame_source source = trib_model_spool_source(f.cache.spool);
    ck_assert_uint_eq(source.len, len);
    uint8_t *bytes = trib_malloc(len);
    ck_assert_int_eq(source.read(source.context, 0, bytes, len, &error), TRIB_OK);
    ck_assert_mem_eq(bytes, trib_blob_data(f.whole[version]), len);
    trib_free(bytes);
}

static void setup(void)
{
    memset(&f, 0, sizeof f);
    snprintf(f.dir, sizeof f.dir, "/tmp/trib-cache-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f.dir));
    snprintf(f.path, sizeof f.path, "%s/model.frame", f.dir);
    make_schema();
    make_versions();
}

static void teardown(void)
{
    trib_model_cache_drop(&f.cache);
    trib_model_cache_close(&f.cache);
    trib_schema_clear(&f.schema);
    for (int v = 0; v < VERSIONS; v++) {
        trib_blob_unref(f.whole[v]);
        trib_blob_unref(f.deltas[v]);
    }
    ck_assert_int_eq(rmdir(f.dir), 0); /* nothing is left in it */
}

static void use_dir(bool wanted)
{
    if (wanted) {
        ck_assert_int_eq(trib_model_cache_open(&f.cache, f.dir, &error), TRIB_OK);
    }
}

/* With and without a folder. */
START_TEST(a_chain_moves_it_on)
{
    use_dir(_i == 1);
    put(0);
    expect_held(0);
    for (uint64_t v = 1; v < VERSIONS; v++) {
        make_task(v);
        struct trib_model_delivery delivery = deliver();
        ck_assert_int_eq(delivery.route.way, TRIB_MODEL_CHAIN);
        ck_assert_uint_eq(delivery.n_spools, 1);
        ck_assert_msg(build(&delivery) == TRIB_OK, "%s", error.message);
        expect_held(v);
        ck_assert_int_eq(trib_model_spool_memory(f.cache.spool) > 0, _i == 0);
    }
}
END_TEST

START_TEST(a_long_chain_and_a_beginning_lead_to_the_same)
{
    put(1);
    make_task(3);
    struct trib_model_delivery delivery = deliver();
    ck_assert_uint_eq(delivery.n_spools, 2);
    ck_assert_int_eq(build(&delivery), TRIB_OK);
    expect_held(3);
    trib_model_cache_drop(&f.cache);
    delivery = deliver();
    ck_assert_int_eq(delivery.route.way, TRIB_MODEL_INITIALISED);
    ck_assert_int_eq(build(&delivery), TRIB_OK);
    expect_held(3);
}
END_TEST

/* An earlier task's model came in after the plan was made: what is older than that is passed over. */
START_TEST(it_may_have_moved_on_meanwhile)
{
    put(0);
    make_task(3);
    struct trib_model_delivery delivery = deliver();
    put(2);
    make_task(3);
    ck_assert_int_eq(build(&delivery), TRIB_OK);
    expect_held(3);
}
END_TEST

START_TEST(a_restart_finds_it)
{
    struct trib_held_model held;
    trib_model_cache_peek(NULL, &held);
    ck_assert_str_eq(held.run, "");
    trib_model_cache_peek(f.dir, &held);
    ck_assert_str_eq(held.run, "");
    use_dir(true);
    put(2);
    trib_model_cache_close(&f.cache);
    trib_model_cache_peek(f.dir, &held);
    ck_assert_str_eq(held.run, "run-1");
    ck_assert_uint_eq(held.version, 2);
    use_dir(true);
    ck_assert_mem_eq(&f.cache.held, &held, sizeof held);
    expect_held(2);
    make_task(3);
    struct trib_model_delivery delivery = deliver();
    ck_assert_uint_eq(delivery.n_spools, 1);
    ck_assert_int_eq(build(&delivery), TRIB_OK);
    expect_held(3);
}
END_TEST

START_TEST(a_damaged_file_is_dropped)
{
    struct trib_buf content = {0};
    use_dir(true);
    put(2);
    trib_model_cache_close(&f.cache);
    ck_assert_int_eq(trib_file_read(f.path, SIZE_MAX, &content, &error), TRIB_OK);
    content.data[_i == 0 ? 5000 : 40] ^= 1;
    size_t len = _i == 2 ? content.len / 2 : content.len; /* cut: there is no note any more */
    ck_assert_int_eq(trib_file_replace(f.path, content.data, len, &error), TRIB_OK);
    trib_buf_clear(&content);
    use_dir(true);
    ck_assert_str_eq(f.cache.held.run, "");
    ck_assert_ptr_null(f.cache.spool);
    put(3); /* and the next one takes its place */
    expect_held(3);
}
END_TEST

static void expect_failure(struct trib_model_delivery *delivery, enum trib_status status, const char *words)
{
    ck_assert_msg(build(delivery) == status, "%s", error.message);
    ck_assert_msg(strstr(error.message, words), "%s", error.message);
}

START_TEST(nothing_wrong_comes_of_it)
{
    use_dir(_i == 1);
    put(1);
    make_task(3);
    struct trib_model_delivery delivery = deliver();
    ck_assert_int_eq(trib_model_spool_write(delivery.spools[1], 5000, "bent", 4, &error), TRIB_OK);
    expect_failure(&delivery, TRIB_CORRUPT, "the delta from version 2: frame: CRC");
    expect_held(1); /* as it was */
    delivery = deliver();
    trib_model_spool_free(delivery.spools[1]);
    delivery.spools[1] = spool_of(f.deltas[1]); /* sound, but another one */
    expect_failure(&delivery, TRIB_MISMATCH, "the deltas lead to another model than the server's");
    expect_held(1);
    delivery = deliver();
    trib_model_spool_free(delivery.spools[0]);
    delivery.spools[0] = spool_of(f.whole[1]); /* no update */
    expect_failure(&delivery, TRIB_MISMATCH, "the delta from version 1");
    delivery = deliver();
    f.task.model_len++;
    expect_failure(&delivery, TRIB_MISMATCH, "its plan needs");
    make_task(3);
    delivery = deliver();
    snprintf(f.task.run, sizeof f.task.run, "run-2");
    expect_failure(&delivery, TRIB_NOT_FOUND, "no model of this run");
    make_task(3);
    delivery = deliver();
    f.cache.held.version = 0; /* older than the plan believed */
    expect_failure(&delivery, TRIB_MISMATCH, "the deltas begin at version 1, the held model is 0");
    f.cache.held.version = 1;
    f.task.initialisation_seed = 6;
    delivery = deliver();
    delivery.route.way = TRIB_MODEL_INITIALISED;
    expect_failure(&delivery, TRIB_MISMATCH, "");
    expect_held(1);
}
END_TEST

/* A folder that cannot be written costs the file, not the model. */
START_TEST(a_file_that_cannot_be_written_is_done_without)
{
    char blocked[128];
    snprintf(blocked, sizeof blocked, "%s/file", f.dir);
    ck_assert_int_eq(trib_file_replace(blocked, "", 0, &error), TRIB_OK);
    ck_assert_int_eq(trib_model_cache_open(&f.cache, blocked, &error), TRIB_OK);
    put(1);
    expect_held(1);
    ck_assert_uint_gt(trib_model_spool_memory(f.cache.spool), 0);
    ck_assert_int_eq(unlink(blocked), 0);
}
END_TEST

int main(void)
{
    struct trib_log_options quiet = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    (void)!trib_log_open(&quiet, NULL);
    Suite *suite = suite_create("model_cache");
    TCase *tests = tcase_create("model_cache");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_chain_moves_it_on, 0, 2);
    tcase_add_test(tests, a_long_chain_and_a_beginning_lead_to_the_same);
    tcase_add_test(tests, it_may_have_moved_on_meanwhile);
    tcase_add_test(tests, a_restart_finds_it);
    tcase_add_loop_test(tests, a_damaged_file_is_dropped, 0, 3);
    tcase_add_loop_test(tests, nothing_wrong_comes_of_it, 0, 2);
    tcase_add_test(tests, a_file_that_cannot_be_written_is_done_without);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
