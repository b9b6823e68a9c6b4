/* The finished update on the disk: found as it was saved, or not at all, whatever became of the file. */
#include "client/task_store.h"
#include "base/buf.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/feedback_store.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "fail_disk.h"
#include "sim_disk.h"
#include "fail_memory.h"
#include "test_main.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FRAME = 3000, SKETCH = 17 };
static const char dir[] = "/state", path[] = "/state/update";

static struct sim_disk *disk;
static struct trib_error error;

static void setup(void)
{
    disk = sim_disk_new(1);
    ck_assert_ptr_null(trib_disk_use(sim_disk_table(disk)));
}

static void teardown(void)
{
    trib_disk_use(NULL);
    sim_disk_free(disk);
}

static struct trib_client_finished example(bool sketch)
{
    struct trib_client_finished made = {.task = {.run = "run-1",
                                                 .round = 41,
                                                 .model_version = 40,
                                                 .model_len = 12345678901,
                                                 .model_sha256 = {1, 2, 3},
                                                 .graph_sha256 = {4, 5, 6},
                                                 .seed = 0xfedcba9876543210,
                                                 .sketch_positions = sketch ? SKETCH * 8 : 0,
                                                 .codec = {.text = "topk:0.01,uniform:8"},
                                                 .recipe = {.loss = TRIB_LOSS_MSE,
                                                            .epochs = 3,
                                                            .batch_size = 32,
                                                            .max_steps = 7,
                                                            .learning_rate = 0.1f,
                                                            .momentum = 0.9f,
                                                            .weight_decay = 1e-4f,
                                                            .clip_norm = 5,
                                                            .proximal_mu = 0.25f}},
                                        .update = {.result = {.examples = 600,
                                                              .steps = 19,
                                                              .examples_seen = 1800,
                                                              .first_loss = 2.5,
                                                              .mean_loss = 0.5,
                                                              .accuracy = (double)NAN,
                                                              .ms = 1500,
                                                              .stopped_early = true},
                                                   .norm = 2.5,
                                                   .codec = "sign",
                                                   .codec_reason = "the network is slow",
                                                   .feedback_round = 39,
                                                   .frame = trib_blob_new(FRAME),
                                                   .sketch = sketch ? trib_blob_new(SKETCH) : NULL}};
    for (size_t i = 0; i < FRAME; i++) {
        trib_blob_fill(made.update.frame)[i] = (uint8_t)(i * 37 + i / 256);
    }
    if (sketch) {
        memset(trib_blob_fill(made.update.sketch), 0x5a, SKETCH);
    }
    ck_assert_int_eq(trib_sha256(trib_blob_data(made.update.frame), FRAME, made.update.sha256), TRIB_OK);
    return made;
}

static void save(const struct trib_client_finished *finished)
{
    enum trib_status status = trib_task_store_save(dir, &finished->task, &finished->update, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
}

static bool same_blob(const struct trib_blob *a, const struct trib_blob *b)
{
    return (!a && !b) || (a && b && trib_blob_len(a) == trib_blob_len(b) &&
                          memcmp(trib_blob_data(a), trib_blob_data(b), trib_blob_len(a)) == 0);
}

static bool same_recipe(const struct trib_recipe *a, const struct trib_recipe *b)
{
    return a->loss == b->loss && a->optimizer == b->optimizer && a->epochs == b->epochs &&
           a->batch_size == b->batch_size && a->max_steps == b->max_steps && a->learning_rate == b->learning_rate &&
           a->momentum == b->momentum && a->weight_decay == b->weight_decay && a->clip_norm == b->clip_norm &&
           a->proximal_mu == b->proximal_mu;
}

static bool same_task(const struct trib_client_task *a, const struct trib_client_task *b)
{
    return strcmp(a->run, b->run) == 0 && a->round == b->round && a->model_version == b->model_version &&
           a->model_len == b->model_len && memcmp(a->model_sha256, b->model_sha256, 32) == 0 &&
           memcmp(a->graph_sha256, b->graph_sha256, 32) == 0 && a->seed == b->seed &&
           a->sketch_positions == b->sketch_positions && strcmp(a->codec.text, b->codec.text) == 0 &&
           a->feedback.kind == b->feedback.kind && a->feedback.momentum == b->feedback.momentum &&
           same_recipe(&a->recipe, &b->recipe) && !a->graph;
}

static bool same_update(const struct trib_client_update *a, const struct trib_client_update *b)
{
    const struct trib_train_result *x = &a->result, *y = &b->result;
    return x->examples == y->examples && x->steps == y->steps && x->examples_seen == y->examples_seen &&
           x->first_loss == y->first_loss && x->mean_loss == y->mean_loss && isnan(x->accuracy) == isnan(y->accuracy) &&
           x->ms == y->ms && x->stopped_early == y->stopped_early && a->norm == b->norm &&
           strcmp(a->codec, b->codec) == 0 && strcmp(a->codec_reason, b->codec_reason) == 0 &&
           a->feedback_round == b->feedback_round && memcmp(a->sha256, b->sha256, 32) == 0 &&
           same_blob(a->frame, b->frame) && same_blob(a->sketch, b->sketch);
}

static bool same(const struct trib_client_finished *a, const struct trib_client_finished *b)
{
    return same_task(&a->task, &b->task) && same_update(&a->update, &b->update);
}

/* ---- as it was ---- */

START_TEST(what_is_saved_is_loaded)
{
    struct trib_client_finished made = example(_i == 1), loaded;
    ck_assert(!trib_task_store_load(NULL, &loaded));
    ck_assert(!trib_task_store_load(dir, &loaded));
    save(&made);
    struct trib_disk_info info;
    ck_assert_int_eq(trib_disk_path_info(path, &info), 0);
    ck_assert_uint_eq(info.len, trib_task_store_len(&made.update));
    ck_assert(trib_task_store_load(dir, &loaded));
    ck_assert(same(&loaded, &made));
    trib_client_update_clear(&loaded.update);
    made.task.round++;
    save(&made); /* in its place */
    ck_assert(trib_task_store_load(dir, &loaded));
    ck_assert_uint_eq(loaded.task.round, 42);
    trib_client_update_clear(&loaded.update);
    trib_task_store_forget(dir);
    ck_assert(!trib_task_store_load(dir, &loaded));
    trib_task_store_forget(dir);
    trib_task_store_forget(NULL);
    trib_client_update_clear(&made.update);
}
END_TEST

/* ---- damage ---- */

static enum trib_status parse(const uint8_t *bytes, size_t len, struct trib_client_finished *finished)
{
    struct trib_blob *copy = trib_blob_copy(bytes, len); /* of just that length, for whoever looks at every access */
    const struct trib_frame_source source = trib_frame_source_memory(copy);
    enum trib_status status = trib_task_store_parse(&source, finished, &error);
    trib_blob_unref(copy);
    return status;
}

static void read_back(const struct trib_client_finished *made, struct trib_buf *bytes)
{
    save(made);
    ck_assert_int_eq(trib_file_read(path, 1 << 20, bytes, NULL), TRIB_OK);
}

START_TEST(any_bit_that_flips_is_found_out)
{
    struct trib_client_finished made = example(true), parsed;
    struct trib_buf bytes = {0};
    read_back(&made, &bytes);
    ck_assert_int_eq(parse(bytes.data, bytes.len, &parsed), TRIB_OK);
    ck_assert(same(&parsed, &made));
    trib_client_update_clear(&parsed.update);
    bool found = true;
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
        enum trib_status status = parse(bytes.data, bytes.len, &parsed);
        found = found && (status == TRIB_CORRUPT || (status == TRIB_UNSUPPORTED && i / 8 >= 4 && i / 8 < 8));
        bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    ck_assert(found);
    trib_buf_clear(&bytes);
    trib_client_update_clear(&made.update);
}
END_TEST

START_TEST(any_other_length_is_found_out)
{
    struct trib_client_finished made = example(true), parsed;
    struct trib_buf bytes = {0};
    read_back(&made, &bytes);
    bool found = true;
    for (size_t len = 0; len < bytes.len; len++) {
        found = found && parse(bytes.data, len, &parsed) == TRIB_CORRUPT;
    }
    ck_assert(found);
    ck_assert_int_eq(parse(bytes.data, bytes.len + 1, &parsed), TRIB_CORRUPT); /* the NUL behind it */
    trib_buf_clear(&bytes);
    trib_client_update_clear(&made.update);
}
END_TEST

START_TEST(a_damaged_or_newer_file_goes)
{
    struct trib_client_finished made = example(false), loaded;
    struct trib_buf bytes = {0};
    read_back(&made, &bytes);
    const size_t places[] = {0, 4, 20, 300, bytes.len - 1};
    const char *const reasons[] = {"no finished update", "version 3", "fit its head", "CRC", "SHA-256"};
    bytes.data[places[_i]] ^= 2;
    ck_assert_int_ne(parse(bytes.data, bytes.len, &loaded), TRIB_OK);
    ck_assert_msg(strstr(error.message, reasons[_i]), "%s", error.message);
    ck_assert_int_eq(trib_file_replace(path, bytes.data, bytes.len, NULL), TRIB_OK);
    ck_assert(!trib_task_store_load(dir, &loaded));
    ck_assert(!trib_file_exists(path));
    trib_buf_clear(&bytes);
    trib_client_update_clear(&made.update);
}
END_TEST

/* ---- error feedback ---- */

static struct trib_feedback_store *open_feedback(void)
{
    struct trib_feedback_store *store;
    ck_assert_int_eq(trib_feedback_store_new(dir, &store, NULL), TRIB_OK);
    return store;
}

/* A pending state of that round. */
static void keep_pending(const char *run, uint64_t round)
{
    float vector[4] = {1, 2, 3, 4};
    uint64_t known;
    const uint8_t schema[32] = {1};
    const struct trib_feedback_round about = {
        .feedback = {.kind = TRIB_FEEDBACK_EF}, .run = run, .schema = schema, .round = round};
    struct trib_feedback_store *store = open_feedback();
    ck_assert_int_eq(trib_feedback_store_begin(store, &about, vector, 4, &known, NULL), TRIB_OK);
    ck_assert_int_eq(trib_feedback_store_keep(store, vector, NULL), TRIB_OK);
    trib_feedback_store_free(store);
}

static void settle_pending(const char *run, uint64_t round)
{
    struct trib_feedback_store *store = open_feedback();
    trib_feedback_store_settle(store, run, round, true);
    trib_feedback_store_free(store);
}

START_TEST(without_its_pending_state_it_is_of_no_use)
{
    struct trib_client_finished made = example(false), loaded;
    made.task.feedback.kind = TRIB_FEEDBACK_EF;
    ck_assert_int_eq(trib_task_store_save(dir, &made.task, &made.update, &error), TRIB_NOT_FOUND);
    ck_assert_msg(strstr(error.message, "error feedback"), "%s", error.message);
    ck_assert(!trib_file_exists(path));
    const struct {
        const char *run;
        uint64_t round;
        bool loads;
    } cases[] = {{"run-1", 40, false}, {"run-0", 41, false}, {"run-1", 41, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        keep_pending("run-1", 41);
        save(&made);
        keep_pending(cases[i].run, cases[i].round);
        ck_assert_int_eq(trib_task_store_load(dir, &loaded), cases[i].loads);
        ck_assert_int_eq(trib_file_exists(path), cases[i].loads);
    }
    trib_client_update_clear(&loaded.update);
    settle_pending("run-1", 41);
    ck_assert(!trib_task_store_load(dir, &loaded));
    trib_client_update_clear(&made.update);
}
END_TEST

/* ---- faults ---- */

/* One before or one after, never between. */
START_TEST(a_power_loss_leaves_the_former_or_the_new_one)
{
    struct trib_client_finished former = example(false), made = example(true), loaded;
    made.task.round++;
    int found[3] = {0};
    for (uint64_t seed = 0; seed < 40; seed++) {
        for (uint64_t stop = 0; stop < 14; stop++) {
            struct sim_disk *other = sim_disk_new(seed);
            trib_disk_use(sim_disk_table(other));
            save(&former);
            sim_disk_stop_after(other, stop);
            enum trib_status status = trib_task_store_save(dir, &made.task, &made.update, NULL);
            bool stopped = sim_disk_stopped(other);
            sim_disk_crash(other);
            sim_disk_start(other);
            bool there = trib_task_store_load(dir, &loaded);
            bool is_new = there && loaded.task.round == made.task.round;
            found[!there ? 0 : is_new ? 2 : 1]++;
            ck_assert(there && same(&loaded, is_new ? &made : &former));
            ck_assert(stopped || (status == TRIB_OK && is_new));
            trib_client_update_clear(&loaded.update);
            trib_disk_use(sim_disk_table(disk));
            sim_disk_free(other);
        }
    }
    ck_assert(found[1] > 0 && found[2] > 0);
    trib_client_update_clear(&former.update);
    trib_client_update_clear(&made.update);
}
END_TEST

START_TEST(forgotten_is_forgotten_after_a_power_loss)
{
    struct trib_client_finished made = example(false), loaded;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_disk *other = sim_disk_new(seed);
        trib_disk_use(sim_disk_table(other));
        save(&made);
        trib_task_store_forget(dir);
        sim_disk_crash(other);
        sim_disk_start(other);
        ck_assert(!trib_task_store_load(dir, &loaded));
        trib_disk_use(sim_disk_table(disk));
        sim_disk_free(other);
    }
    trib_client_update_clear(&made.update);
}
END_TEST

START_TEST(a_full_disk_is_told_and_leaves_nothing)
{
    struct trib_client_finished made = example(false), loaded;
    sim_disk_capacity(disk, FRAME / 2);
    ck_assert_int_eq(trib_task_store_save(dir, &made.task, &made.update, &error), TRIB_NO_SPACE);
    ck_assert_msg(strstr(error.message, path), "%s", error.message);
    ck_assert_uint_eq(sim_disk_counts(disk).held, 0);
    ck_assert(!trib_task_store_load(dir, &loaded));
    sim_disk_capacity(disk, 0);
    save(&made);
    ck_assert(trib_task_store_load(dir, &loaded));
    trib_client_update_clear(&loaded.update);
    trib_client_update_clear(&made.update);
}
END_TEST

/* Each call of the disk fails in turn; in the end it is the new one, or the former. */
START_TEST(any_call_of_the_disk_may_fail)
{
    struct trib_client_finished former = example(false), made = example(true), loaded;
    struct fail_disk *failing = fail_disk_new(sim_disk_table(disk));
    made.task.round++;
    int64_t failures = 1;
    for (int64_t after = 0; failures > 0; after++) {
        save(&former);
        trib_disk_use(fail_disk_table(failing));
        (void)fail_disk_after(failing, after, EIO, false);
        enum trib_status status = trib_task_store_save(dir, &made.task, &made.update, &error);
        failures = fail_disk_failures(failing);
        (void)fail_disk_after(failing, -1, 0, false);
        trib_disk_use(sim_disk_table(disk));
        ck_assert(trib_task_store_load(dir, &loaded));
        bool is_new = loaded.task.round == made.task.round;
        ck_assert(is_new || status != TRIB_OK);
        ck_assert(same(&loaded, is_new ? &made : &former));
        trib_client_update_clear(&loaded.update);
        /* And while it is read: it goes, or it is what it was; no crash, and nothing else. */
        trib_disk_use(fail_disk_table(failing));
        (void)fail_disk_after(failing, after, EIO, false);
        if (trib_task_store_load(dir, &loaded)) {
            ck_assert(same(&loaded, is_new ? &made : &former));
            trib_client_update_clear(&loaded.update);
        }
        (void)fail_disk_after(failing, -1, 0, false);
        trib_disk_use(sim_disk_table(disk));
    }
    fail_disk_free(failing);
    trib_client_update_clear(&former.update);
    trib_client_update_clear(&made.update);
}
END_TEST

START_TEST(any_allocation_may_fail)
{
    struct trib_client_finished made = example(true), loaded;
    for (int64_t after = 0;; after++) {
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_task_store_save(dir, &made.task, &made.update, &error);
        bool failed = fail_memory_after(-1, false) > after;
        ck_assert_int_eq(status, failed ? TRIB_NO_MEMORY : TRIB_OK);
        if (!failed) {
            break;
        }
    }
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_file_read(path, 1 << 20, &bytes, NULL), TRIB_OK);
    struct trib_blob *copy = trib_blob_copy(bytes.data, bytes.len);
    const struct trib_frame_source source = trib_frame_source_memory(copy);
    for (int64_t after = 0;; after++) {
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_task_store_parse(&source, &loaded, &error);
        bool failed = fail_memory_after(-1, false) > after;
        ck_assert(status == TRIB_OK || (failed && status == TRIB_NO_MEMORY));
        if (status == TRIB_OK) {
            trib_client_update_clear(&loaded.update);
        }
        if (!failed) {
            break;
        }
    }
    trib_blob_unref(copy);
    trib_buf_clear(&bytes);
    trib_client_update_clear(&made.update);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("task_store");
    TCase *tests = tcase_create("task_store");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, what_is_saved_is_loaded, 0, 2);
    tcase_add_test(tests, any_bit_that_flips_is_found_out);
    tcase_add_test(tests, any_other_length_is_found_out);
    tcase_add_loop_test(tests, a_damaged_or_newer_file_goes, 0, 5);
    tcase_add_test(tests, without_its_pending_state_it_is_of_no_use);
    tcase_add_test(tests, a_power_loss_leaves_the_former_or_the_new_one);
    tcase_add_test(tests, forgotten_is_forgotten_after_a_power_loss);
    tcase_add_test(tests, a_full_disk_is_told_and_leaves_nothing);
    tcase_add_test(tests, any_call_of_the_disk_may_fail);
    tcase_add_test(tests, any_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
