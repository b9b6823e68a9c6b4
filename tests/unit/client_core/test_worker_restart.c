/* The worker's finished update on the disk: there before it is told, gone when it is forgotten, within the owner's disk
 * limit, and never in the way of the offer. */
#include "worker_fixture.h"

#include "base/disk.h"
#include "base/file.h"
#include "client/task_store.h"
#include "fail_disk.h"

#include <errno.h>

static uint64_t len_of(const struct fixture *f, const char *name)
{
    char path[128];
    struct trib_disk_info info;
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return trib_disk_path_info(path, &info) == 0 ? info.len : 0;
}

/* limit 0 = none */
static void setup_state(struct fixture *f, const char *feedback, uint64_t limit)
{
    char more[96];
    setup_files(f, "", "");
    trib_client_settings_clear(&f->settings);
    snprintf(more, sizeof more, "state_dir: %s\n", f->dir);
    load_settings(f, more);
    make_task(f, FEATURES);
    f->task.model_len = 1000;
    ck_assert_int_eq(trib_feedback_read(feedback, 0, &f->task.feedback, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_new(limit, &f->budget, NULL), TRIB_OK);
    start_worker(f);
    ck_assert_int_eq(await(f, TRIB_SESSION_DATA)->status, TRIB_OK);
}

static void end(struct fixture *f)
{
    static const char *const names[] = {"feedback", "feedback.pending", "model.frame", "update"};
    char path[128];
    trib_worker_free(f->worker);
    f->worker = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        (void)unlink(path);
    }
    teardown(f);
}

/* What another process would find is what this one told. */
static bool is_found(const struct fixture *f)
{
    struct trib_client_finished found;
    if (!trib_task_store_load(f->dir, &found)) {
        return false;
    }
    const struct trib_client_update *told = &f->event->is.update;
    bool same = found.task.round == f->task.round && strcmp(found.task.run, f->task.run) == 0 &&
                trib_blob_len(found.update.frame) == trib_blob_len(told->frame) &&
                memcmp(found.update.sha256, told->sha256, sizeof told->sha256) == 0 &&
                found.update.norm == told->norm && found.update.result.steps == told->result.steps;
    trib_client_update_clear(&found.update);
    ck_assert(same);
    return true;
}

/* Jobs are done in their order: after this one, the others are. */
static void train_next(struct fixture *f)
{
    f->task.round++;
    ck_assert_msg(train(f)->status == TRIB_OK, "%s", f->event->reason);
}

START_TEST(an_update_is_on_the_disk_before_it_is_told)
{
    static const char *const kinds[] = {"", "ef", "ef21", "dgc"};
    struct fixture f;
    setup_state(&f, kinds[_i], 0);
    ck_assert_msg(train(&f)->status == TRIB_OK, "%s", f.event->reason);
    ck_assert(f.event->saved);
    ck_assert(is_found(&f));
    restart_worker(&f);
    f.task.round = 2;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert(f.event->saved);
    ck_assert(is_found(&f)); /* the second */
    end(&f);
}
END_TEST

START_TEST(it_is_forgotten_before_its_round_is_settled)
{
    struct fixture f;
    struct trib_client_finished found;
    setup_state(&f, "ef", 0);
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_uint_gt(len_of(&f, "feedback.pending"), 0);
    trib_worker_forget_update(f.worker);
    trib_worker_settle(f.worker, f.task.run, f.task.round, true);
    trib_worker_cancel(f.worker);
    uint64_t round = f.task.round;
    train_next(&f);
    ck_assert_uint_gt(len_of(&f, "feedback"), 0); /* it was folded */
    trib_worker_forget_update(f.worker);
    restart_worker(&f);
    if (trib_task_store_load(f.dir, &found)) { /* the end came before its turn */
        ck_assert_uint_eq(found.task.round, round + 1);
        trib_client_update_clear(&found.update);
    }
    end(&f);
}
END_TEST

START_TEST(a_failed_training_leaves_none)
{
    struct fixture f;
    setup_state(&f, "", 0);
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert(is_found(&f));
    f.task.round = 2;
    f.task.recipe.learning_rate = 1e30f;
    ck_assert_int_ne(train(&f)->status, TRIB_OK);
    ck_assert(!f.event->saved);
    ck_assert_uint_eq(len_of(&f, "update"), 0);
    end(&f);
}
END_TEST

/* ---- the owner's limits.disk ---- */

struct sizes {
    uint64_t model, states, update;
};
static struct sizes measure(const char *feedback)
{
    struct fixture f;
    setup_state(&f, feedback, 0);
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    const struct sizes sizes = {.model = len_of(&f, "model.frame"),
                                .states = 2 * len_of(&f, "feedback.pending"),
                                .update = len_of(&f, "update")};
    ck_assert(sizes.model > 0 && sizes.update > 0);
    end(&f);
    return sizes;
}

START_TEST(the_held_model_goes_first_and_the_update_then)
{
    const struct sizes sizes = measure("ef");
    ck_assert_uint_gt(sizes.update, sizes.model);
    const struct {
        uint64_t limit;
        bool saved, held;
    } cases[] = {{sizes.model + sizes.states + sizes.update, true, true},
                 {sizes.model + sizes.states + sizes.update - 1, true, false},
                 {sizes.states + sizes.update, true, false},
                 {sizes.states + sizes.update - 1, false, true}, /* given up for nothing it would be */
                 {sizes.states + sizes.model - 1, false, false},
                 {sizes.states, false, false}};
    struct fixture f;
    setup_state(&f, "ef", cases[_i].limit);
    for (int i = 0; i < 3; i++) { /* and the same each time */
        train_next(&f);
        ck_assert_int_eq(f.event->saved, cases[_i].saved);
        ck_assert_int_eq(len_of(&f, "model.frame") > 0, cases[_i].held);
        ck_assert_int_eq(is_found(&f), cases[_i].saved);
        trib_worker_forget_update(f.worker);
        trib_worker_settle(f.worker, f.task.run, f.task.round, true);
    }
    end(&f);
}
END_TEST

START_TEST(a_task_that_needs_more_is_refused)
{
    const struct sizes sizes = measure("ef");
    struct fixture f;
    setup_state(&f, "ef", sizes.states - 1);
    ck_assert_int_eq(train(&f)->status, TRIB_LIMIT);
    ck_assert_msg(strstr(f.event->reason, "limits.disk"), "%s", f.event->reason);
    ck_assert_msg(strstr(f.event->reason, "error feedback"), "%s", f.event->reason);
    ck_assert_int_eq(trib_feedback_read("", 0, &f.task.feedback, NULL), TRIB_OK);
    ck_assert_int_eq(train(&f)->status, TRIB_OK); /* one that needs less is not */
    end(&f);
}
END_TEST

/* ---- a disk that is full, or broken ---- */

/* Any one of the disk's calls fails: unless the model itself cannot be read, the update is offered, and what is said to
 * be saved is. */
START_TEST(no_call_of_the_disk_stops_an_offer)
{
    static const struct {
        const char *feedback;
        int errnum;
    } cases[] = {{"", ENOSPC}, {"", EIO}, {"ef", ENOSPC}, {"dgc", EIO}};
    struct fail_disk *failing = fail_disk_new(trib_disk_system());
    trib_disk_use(fail_disk_table(failing));
    struct fixture f;
    setup_state(&f, cases[_i].feedback, 0);
    int64_t failures = 1;
    for (int64_t after = 0; failures > 0; after++) {
        struct trib_model_spool *model = received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats, "f32");
        f.task.round++;
        (void)fail_disk_after(failing, after, cases[_i].errnum, false);
        (void)train_from(&f, model);
        failures = fail_disk_failures(failing);
        (void)fail_disk_after(failing, -1, 0, false);
        bool unread = strstr(f.event->reason, "the model's file: cannot be read");
        ck_assert_msg(f.event->status == TRIB_OK || unread, "call %d: %s", (int)after, f.event->reason);
        ck_assert(f.event->status == TRIB_OK || !f.event->saved);
        bool found = f.event->status == TRIB_OK && is_found(&f);
        ck_assert(found || !f.event->saved);
    }
    end(&f);
    trib_disk_use(NULL);
    fail_disk_free(failing);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker_restart");
    TCase *tests = tcase_create("worker_restart");
    tcase_add_loop_test(tests, an_update_is_on_the_disk_before_it_is_told, 0, 4);
    tcase_add_test(tests, it_is_forgotten_before_its_round_is_settled);
    tcase_add_test(tests, a_failed_training_leaves_none);
    tcase_add_loop_test(tests, the_held_model_goes_first_and_the_update_then, 0, 6);
    tcase_add_test(tests, a_task_that_needs_more_is_refused);
    tcase_add_loop_test(tests, no_call_of_the_disk_stops_an_offer, 0, 4);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
