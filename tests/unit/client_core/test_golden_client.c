/* A client's state directory of a released version under today's client: the finished update is offered again, the
 * states of error feedback and the held model are taken up; what is of a later version is let go with one line in the
 * log. What the directory holds was made by this very program when it was released (tests/data/state/make). */
#include "harness.h"

#include "base/buf.h"
#include "base/disk.h"
#include "client/feedback_store.h"
#include "client/model_cache.h"
#include "client/task_store.h"
#include "golden_files.h"
#include "test_frames.h"

enum { N = 20, FOLDED_ROUND = 1, ROUND = 3, VERSION = 2, SKETCH_LEN = 2 };
static const uint8_t schema[32] = {5, 6, 7};
static char dir[64], state[80], log_path[80];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-golden-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(state, sizeof state, "%s/client", dir);
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    const struct trib_log_options log = {.level = TRIB_LOG_WARN, .path = log_path};
    ck_assert_int_eq(trib_log_open(&log, NULL), TRIB_OK);
}

/* The golden directory, as this test's own. */
static void set_up(void)
{
    make_dir();
    golden_copy("state/client-1", state);
}

static void path_of(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", state, name);
}

static bool is_there(const char *name)
{
    char path[128];
    path_of(name, path);
    return trib_file_exists(path);
}

static void clean_up(void)
{
    static const char *const names[] = {"feedback", "feedback.pending", "model.frame", "update"};
    char path[128];
    trib_log_close();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        path_of(names[i], path);
        (void)unlink(path);
    }
    (void)unlink(log_path);
    ck_assert_int_eq(rmdir(state), 0); /* nothing else was left */
    ck_assert_int_eq(rmdir(dir), 0);
}

/* One line, with these words in it. */
static void expect_line(const char *event, const char *reason)
{
    struct trib_buf log = {0};
    ck_assert_int_eq(trib_file_read(log_path, 1 << 16, &log, NULL), TRIB_OK);
    const char *text = trib_buf_text(&log), *end = strchr(text, '\n');
    ck_assert_msg(end && end[1] == '\0' && strstr(text, event) && strstr(text, reason), "%s", text);
    trib_buf_clear(&log);
}

/* ---- what it holds ---- */

static float left_out(uint64_t round, unsigned i)
{
    return 0.125f * (float)(i + 1) * (float)round;
}

static struct trib_feedback_round feedback_of(uint64_t round, uint64_t folded_round)
{
    return (struct trib_feedback_round){.feedback = {.kind = TRIB_FEEDBACK_EF},
                                        .run = RUN,
                                        .schema = schema,
                                        .round = round,
                                        .folded_round = folded_round};
}

static void keep_state(struct trib_feedback_store *store, uint64_t round, uint64_t folded_round)
{
    float vector[N] = {0};
    uint64_t known;
    const struct trib_feedback_round begun = feedback_of(round, folded_round);
    ck_assert_int_eq(trib_feedback_store_begin(store, &begun, vector, N, &known, NULL), TRIB_OK);
    for (unsigned i = 0; i < N; i++) {
        vector[i] = left_out(round, i);
    }
    ck_assert_int_eq(trib_feedback_store_keep(store, vector, NULL), TRIB_OK);
}

static void make_states(void)
{
    struct trib_feedback_store *store = NULL;
    ck_assert_int_eq(trib_feedback_store_new(state, &store, NULL), TRIB_OK);
    keep_state(store, FOLDED_ROUND, 0);
    trib_feedback_store_settle(store, RUN, FOLDED_ROUND, true);
    keep_state(store, ROUND, FOLDED_ROUND);
    trib_feedback_store_free(store);
}

static void fill(float values[N])
{
    for (unsigned i = 0; i < N; i++) {
        values[i] = 0.5f - (float)i;
    }
}

static void make_model(void)
{
    float values[N];
    struct trib_blob *frame = NULL;
    struct trib_model_cache cache = {0};
    struct trib_client_task task = {.run = RUN, .model_version = VERSION};
    fill(values);
    ck_assert_int_eq(encode_frame(TRIB_FRAME_MODEL, "f32", 0, schema, values, N, &frame, NULL), TRIB_OK);
    ck_assert_int_eq(trib_sha256(trib_blob_data(frame), trib_blob_len(frame), task.model_sha256), TRIB_OK);
    struct trib_model_spool *spool = trib_model_spool_adopt(frame);
    ck_assert_ptr_nonnull(spool);
    ck_assert_int_eq(trib_model_cache_open(&cache, state, NULL), TRIB_OK);
    trib_model_cache_put(&cache, &task, &spool);
    trib_model_cache_close(&cache);
}

/* The task that `the_task` below makes a server send. */
static void make_update(void)
{
    float values[N];
    struct trib_client_finished finished = {.task = {.run = RUN,
                                                     .round = ROUND,
                                                     .model_len = MODEL_LEN,
                                                     .model_version = VERSION,
                                                     .seed = 42,
                                                     .sketch_positions = 16,
                                                     .feedback = {.kind = TRIB_FEEDBACK_EF},
                                                     .codec = chain_of("sign"),
                                                     .recipe = {.epochs = 1, .batch_size = 32, .learning_rate = 0.1f}},
                                            .update = {.result = {.examples = 600,
                                                                  .steps = 19,
                                                                  .examples_seen = 608,
                                                                  .first_loss = 1.5,
                                                                  .mean_loss = 0.75,
                                                                  .accuracy = 0.875,
                                                                  .ms = 1500,
                                                                  .stopped_early = true},
                                                       .norm = 2.5,
                                                       .codec = "sign",
                                                       .codec_reason = "the line is slow",
                                                       .feedback_round = FOLDED_ROUND}};
    fill(values);
    memset(finished.task.model_sha256, 7, sizeof finished.task.model_sha256);
    ck_assert_int_eq(trib_sha256(graph_bytes, sizeof graph_bytes, finished.task.graph_sha256), TRIB_OK);
    struct trib_client_update *update = &finished.update;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "sign", 42, schema, values, N, &update->frame, NULL), TRIB_OK);
    ck_assert_int_eq(trib_sha256(trib_blob_data(update->frame), trib_blob_len(update->frame), update->sha256), TRIB_OK);
    update->sketch = trib_blob_copy((const uint8_t[]){0x5a, 0xa5}, SKETCH_LEN);
    ck_assert_int_eq(trib_task_store_save(state, &finished.task, update, NULL), TRIB_OK);
    trib_client_update_clear(update);
}

START_TEST(make_golden)
{
    make_dir();
    snprintf(state, sizeof state, "%s/client-1", getenv("TRIB_MAKE_GOLDEN"));
    make_states();
    make_model();
    make_update();
    trib_log_close();
    (void)unlink(log_path);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* ---- tests ---- */

static void the_task(struct harness *h)
{
    task_with(h, (struct task_options){.round = ROUND,
                                       .codec = "sign",
                                       .feedback = "ef",
                                       .folded_round = FOLDED_ROUND,
                                       .sketch_positions = 16,
                                       .version = VERSION,
                                       .deadline = 60});
}

START_TEST(its_update_is_offered)
{
    struct harness h;
    struct trib_client_finished finished;
    set_up();
    ck_assert(trib_task_store_load(state, &finished));
    uint8_t digest[32];
    memcpy(digest, finished.update.sha256, sizeof digest);
    size_t len = trib_blob_len(finished.update.frame);
    setup_after(&h, &finished);
    trib_client_update_clear(&finished.update);
    register_again(&h);
    the_task(&h);
    ck_assert_did(&h, "S");
    ck_assert_reported(&h, "task_resumed");
    ck_assert_sent(&h, OFFER);
    const Tributary__V1__Offer *offer = h.sent->offer;
    ck_assert_uint_eq(offer->round, ROUND);
    ck_assert_uint_eq(offer->examples, 600);
    ck_assert_uint_eq(offer->steps, 19);
    ck_assert_double_eq(offer->loss, 0.75);
    ck_assert_double_eq(offer->accuracy, 0.875);
    ck_assert_double_eq(offer->train_seconds, 1.5);
    ck_assert_double_eq(offer->norm, 2.5);
    ck_assert(offer->stopped_early);
    ck_assert_str_eq(offer->codec, "sign");
    ck_assert_str_eq(offer->codec_reason, "the line is slow");
    ck_assert_uint_eq(offer->feedback_round, FOLDED_ROUND);
    ck_assert_uint_eq(offer->sketch.len, SKETCH_LEN);
    ck_assert_uint_eq(offer->sketch.data[0], 0x5a);
    ck_assert_uint_eq(offer->update->len, len);
    ck_assert_mem_eq(offer->update->sha256.data, digest, sizeof digest);
    teardown(&h);
    clean_up();
}
END_TEST

START_TEST(its_update_can_be_decoded)
{
    float values[N];
    struct trib_client_finished finished;
    struct trib_error error = {.message = ""};
    set_up();
    ck_assert(trib_task_store_load(state, &finished));
    const struct trib_frame_source source = trib_frame_source_memory(finished.update.frame);
    const struct trib_frame_expect expect = {.kind = TRIB_FRAME_UPDATE, .schema = schema, .n_elements = N};
    ck_assert_msg(trib_frame_decode(&source, &expect, values, N, &error) == TRIB_OK, "%s", error.message);
    ck_assert(values[0] > 0 && values[N - 1] < 0);
    trib_client_update_clear(&finished.update);
    clean_up();
}
END_TEST

/* What begins with the state that the server's last folded round makes the right one. */
static void begin_after(uint64_t folded_round)
{
    float vector[N] = {0};
    bool same = true;
    uint64_t known;
    struct trib_feedback_store *store = NULL;
    const struct trib_feedback_round next = feedback_of(ROUND + 1, folded_round);
    ck_assert_int_eq(trib_feedback_store_new(state, &store, NULL), TRIB_OK);
    ck_assert_int_eq(trib_feedback_store_begin(store, &next, vector, N, &known, NULL), TRIB_OK);
    for (unsigned i = 0; i < N; i++) {
        same = same && vector[i] == (folded_round == 0 ? 0 : left_out(folded_round, i));
    }
    ck_assert_msg(same, "folded in round %d: %g, %g ...", (int)folded_round, (double)vector[0], (double)vector[1]);
    ck_assert_uint_eq(known, folded_round);
    trib_feedback_store_abandon(store, NULL);
    trib_feedback_store_free(store);
}

START_TEST(its_states_go_on)
{
    set_up();
    ck_assert(trib_feedback_store_awaits(state, RUN, ROUND));
    begin_after(_i == 0 ? ROUND : FOLDED_ROUND);
    clean_up();
}
END_TEST

START_TEST(its_model_is_held)
{
    float expected[N], found[N];
    struct trib_held_model held;
    struct trib_model_cache cache = {0};
    set_up();
    trib_model_cache_peek(state, &held);
    ck_assert_str_eq(held.run, RUN);
    ck_assert_uint_eq(held.version, VERSION);
    ck_assert_int_eq(trib_model_cache_open(&cache, state, NULL), TRIB_OK);
    ck_assert_ptr_nonnull(cache.spool);
    const struct trib_frame_source source = trib_model_spool_source(cache.spool);
    const struct trib_frame_expect expect = {.kind = TRIB_FRAME_MODEL, .schema = schema, .n_elements = N};
    ck_assert_int_eq(trib_frame_decode(&source, &expect, found, N, NULL), TRIB_OK);
    fill(expected);
    ck_assert_mem_eq(found, expected, sizeof found);
    trib_model_cache_close(&cache);
    clean_up();
}
END_TEST

/* ---- of a later version ---- */

START_TEST(a_later_update_is_let_go)
{
    char path[128];
    struct trib_client_finished finished;
    set_up();
    path_of("update", path);
    golden_patch(path, 4, 9);
    ck_assert(!trib_task_store_load(state, &finished));
    expect_line("event=update_dropped", "it is of version 9; this client reads version 1");
    ck_assert(!is_there("update"));
    clean_up();
}
END_TEST

START_TEST(a_later_state_is_let_go)
{
    char path[128];
    set_up();
    path_of("feedback", path);
    golden_patch(path, 4, 9);
    path_of("feedback.pending", path);
    ck_assert_int_eq(unlink(path), 0);
    begin_after(0);
    expect_line("event=", "is no state of error feedback of this version");
    clean_up();
}
END_TEST

/* The last byte of "THM1", 80 bytes before the end. */
START_TEST(a_later_model_is_let_go)
{
    char path[128];
    struct trib_disk_info info;
    struct trib_held_model held;
    struct trib_model_cache cache = {0};
    set_up();
    path_of("model.frame", path);
    ck_assert_int_eq(trib_disk_path_info(path, &info), 0);
    golden_patch(path, (long)info.len - 77, '9');
    trib_model_cache_peek(state, &held);
    ck_assert_str_eq(held.run, "");
    ck_assert_int_eq(trib_model_cache_open(&cache, state, NULL), TRIB_OK);
    ck_assert_ptr_null(cache.spool);
    expect_line("event=held_model_dropped", "it is no held model of this version");
    ck_assert(!is_there("model.frame"));
    trib_model_cache_close(&cache);
    clean_up();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_client");
    TCase *tests = tcase_create("client");
    if (getenv("TRIB_MAKE_GOLDEN")) {
        tcase_add_test(tests, make_golden);
    } else {
        tcase_add_test(tests, its_update_is_offered);
        tcase_add_test(tests, its_update_can_be_decoded);
        tcase_add_loop_test(tests, its_states_go_on, 0, 2);
        tcase_add_test(tests, its_model_is_held);
        tcase_add_test(tests, a_later_update_is_let_go);
        tcase_add_test(tests, a_later_state_is_let_go);
        tcase_add_test(tests, a_later_model_is_let_go);
    }
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
