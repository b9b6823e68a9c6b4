/* A client that was started anew with what it had finished: it offers that again, or lets go of it. */
#include "harness.h"

/* What an earlier process has finished: the task that `task_with` sends with these options, trained. */
static struct trib_client_finished finished_of(struct task_options options)
{
    struct trib_client_finished finished = {.task = {.round = options.round, .model_len = MODEL_LEN, .seed = 42}};
    snprintf(finished.task.run, sizeof finished.task.run, "%s", options.run ? options.run : RUN);
    memset(finished.task.model_sha256, 7, sizeof finished.task.model_sha256);
    ck_assert_int_eq(trib_sha256(graph_bytes, sizeof graph_bytes, finished.task.graph_sha256), TRIB_OK);
    snprintf(finished.task.codec.text, sizeof finished.task.codec.text, "f32");
    ck_assert_int_eq(
        trib_feedback_read(options.feedback ? options.feedback : "", options.momentum, &finished.task.feedback, NULL),
        TRIB_OK);
    finished.task.recipe = (struct trib_recipe){.epochs = 1, .batch_size = 32, .learning_rate = 0.1f};
    finished.update = (struct trib_client_update){.result = {.examples = 600, .steps = 19, .ms = 1500},
                                                  .norm = 2.5,
                                                  .feedback_round = options.folded_round,
                                                  .frame = trib_blob_new(FRAME_LEN),
                                                  .sha256 = {9}};
    memset(trib_blob_fill(finished.update.frame), 1, FRAME_LEN);
    return finished;
}

/* Started with it, whose own references are gone then; registered. */
static void restart_with(struct harness *h, struct task_options options)
{
    struct trib_client_finished finished = finished_of(options);
    setup_after(h, &finished);
    trib_client_update_clear(&finished.update);
    ck_assert_ptr_nonnull(trib_session_update(h->session));
    register_again(h);
}

static void restart(struct harness *h)
{
    restart_with(h, (struct task_options){.round = 3});
}

START_TEST(the_same_task_gets_the_update_at_once)
{
    struct harness h;
    restart(&h);
    ck_assert_did(&h, "");
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX); /* it has no deadline yet */
    task_with(&h, (struct task_options){.round = 3, .deadline = 60});
    ck_assert_did(&h, "S");
    ck_assert_reported(&h, "task_resumed");
    ck_assert_ptr_nonnull(strstr(h.texts, "state=trained"));
    ck_assert_sent(&h, OFFER);
    ck_assert_uint_eq(h.sent->offer->round, 3);
    ck_assert_uint_eq(h.sent->offer->examples, 600);
    ck_assert_uint_eq(h.sent->offer->update->len, FRAME_LEN);
    ck_assert_uint_eq(h.sent->offer->update->sha256.data[0], 9);
    decision(&h, 3, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 1000);
    ck_assert_did(&h, "U");
    ck_assert_uint_eq(h.offset, 1000);
    uploaded(&h, TRIB_OK, true, TRIB_OK);
    outcome(&h, 3, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_did(&h, "f");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    ck_assert_ptr_null(trib_session_update(h.session));
    teardown(&h);
}
END_TEST

START_TEST(an_outcome_ends_it_without_a_task)
{
    static const struct {
        const char *feedback;
        Tributary__V1__Outcome__Kind kind;
        const char *did;
        bool folded;
    } cases[] = {{"ef", TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "fs", true},
                 {"ef21", TRIBUTARY__V1__OUTCOME__KIND__LATE, "f", false},
                 {"ef", TRIBUTARY__V1__OUTCOME__KIND__SKIPPED, "f", false},
                 {"", TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "f", false}};
    struct harness h;
    restart_with(&h, (struct task_options){.round = 3, .feedback = cases[_i].feedback});
    outcome(&h, 2, cases[_i].kind); /* of another round */
    ck_assert_did(&h, "");
    outcome(&h, 3, cases[_i].kind);
    ck_assert_did(&h, cases[_i].did); /* forgotten before it is settled */
    ck_assert_int_eq(h.folded, cases[_i].folded);
    ck_assert_ptr_null(trib_session_update(h.session));
    task(&h, 4);
    ck_assert_did(&h, "D");
    teardown(&h);
}
END_TEST

START_TEST(a_skip_ends_it_without_an_offer)
{
    struct harness h;
    restart_with(&h, (struct task_options){.round = 3, .feedback = "ef"});
    decision(&h, 3, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0); /* nothing was offered */
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "message_ignored");
    decision(&h, 2, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
    ck_assert_reported(&h, "message_ignored");
    decision(&h, 3, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
    ck_assert_did(&h, "f");
    ck_assert_ptr_null(trib_session_update(h.session));
    teardown(&h);
}
END_TEST

START_TEST(another_task_replaces_it)
{
    static const struct task_options others[] = {
        {.round = 9}, /* days later */
        {.round = 3, .seed = 43},
        {.round = 3, .codec = "f16"},
        {.round = 3, .feedback = "ef"},
        {.round = 3, .sketch_positions = 16},
        {.round = 3, .model_len = MODEL_LEN + 1},
    };
    struct harness h;
    restart(&h);
    task_with(&h, others[_i]);
    ck_assert_did(&h, "fD");
    ck_assert_reported(&h, "task_replaced");
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    ck_assert_ptr_null(trib_session_update(h.session));
    teardown(&h);
}
END_TEST

START_TEST(another_run_ends_it)
{
    struct harness h;
    restart_with(&h, (struct task_options){.run = "run-0", .round = 3, .feedback = "ef"});
    ck_assert_did(&h, "f"); /* the state of error feedback is found out by its run */
    ck_assert_ptr_null(trib_session_update(h.session));
    outcome(&h, 3, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "outcome_ignored");
    teardown(&h);
}
END_TEST

START_TEST(it_outlives_lost_connections_and_days)
{
    struct harness h;
    restart(&h);
    for (int i = 0; i < 20; i++) {
        disconnected(&h);
        ck_assert_did(&h, "");
        h.now += 86400000;
        register_again(&h);
        ck_assert_did(&h, "");
    }
    task(&h, 3);
    ck_assert_did(&h, "S");
    disconnected(&h);
    h.now += 86400000;
    register_again(&h);
    task(&h, 3);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, OFFER);
    teardown(&h);
}
END_TEST

START_TEST(its_end_leaves_it_for_another_life)
{
    struct harness h;
    restart(&h);
    give(&h, event_of(TRIB_SESSION_STOP, 0, TRIB_OK, "SIGTERM"));
    ck_assert_did(&h, "SE");
    teardown(&h);
    restart(&h);
    give(&h, event_of(TRIB_SESSION_DATA, 0, TRIB_NOT_FOUND, "no such file"));
    ck_assert_did(&h, "SE");
    teardown(&h);
    restart(&h);
    goodbye(&h, true, 0); /* the run is over */
    ck_assert_did(&h, "fE");
    teardown(&h);
}
END_TEST

/* ---- what this process saves ---- */

START_TEST(a_saved_update_is_forgotten_with_its_task)
{
    static const enum trib_session_state states[] = {TRIB_STATE_OFFERED, TRIB_STATE_UPLOADING,
                                                     TRIB_STATE_WAITING_OUTCOME};
    static const char *const replaced[] = {"fD", "fwD", "fD"}, *const refused[] = {"Sf", "Sfw", "Sf"};
    struct harness h;
    setup(&h);
    h.saves = true;
    register_again(&h);
    advance(&h, states[_i]);
    task(&h, 2);
    ck_assert_did(&h, replaced[_i]);
    teardown(&h);
    setup(&h);
    h.saves = true;
    register_again(&h);
    advance(&h, states[_i]);
    task_with(&h, (struct task_options){.round = 2, .codec = "nonsense"});
    ck_assert_did(&h, refused[_i]);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__LATE);
    ck_assert_did(&h, ""); /* once */
    teardown(&h);
}
END_TEST

START_TEST(a_deadline_forgets_it)
{
    struct harness h;
    setup(&h);
    h.saves = true;
    register_again(&h);
    task_with(&h, (struct task_options){.round = 1, .deadline = 60});
    downloaded(&h, TRIB_OK, MODEL_LEN);
    disconnected(&h);
    trained(&h);
    ck_assert_did(&h, "");
    h.now += 100000;
    tick(&h);
    ck_assert_reported(&h, "deadline_passed");
    ck_assert_did(&h, "Cf");
    teardown(&h);
}
END_TEST

START_TEST(an_update_that_was_not_saved_is_not_forgotten)
{
    struct harness h;
    start(&h, TRIB_STATE_WAITING_OUTCOME);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_did(&h, "");
    teardown(&h);
}
END_TEST

START_TEST(a_download_stays_when_the_client_stops)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    give(&h, event_of(TRIB_SESSION_STOP, 0, TRIB_OK, "SIGTERM"));
    ck_assert_did(&h, "StE");
    teardown(&h);
}
END_TEST

START_TEST(an_upload_that_is_there_already_is_not_repeated)
{
    struct harness h;
    start(&h, TRIB_STATE_OFFERED);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, FRAME_LEN);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "uploaded_before");
    ck_assert_state(&h, TRIB_STATE_WAITING_OUTCOME);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_restart");
    TCase *tests = tcase_create("session_restart");
    tcase_add_test(tests, the_same_task_gets_the_update_at_once);
    tcase_add_loop_test(tests, an_outcome_ends_it_without_a_task, 0, 4);
    tcase_add_test(tests, a_skip_ends_it_without_an_offer);
    tcase_add_loop_test(tests, another_task_replaces_it, 0, 6);
    tcase_add_test(tests, another_run_ends_it);
    tcase_add_test(tests, it_outlives_lost_connections_and_days);
    tcase_add_test(tests, its_end_leaves_it_for_another_life);
    tcase_add_loop_test(tests, a_saved_update_is_forgotten_with_its_task, 0, 3);
    tcase_add_test(tests, a_deadline_forgets_it);
    tcase_add_test(tests, an_update_that_was_not_saved_is_not_forgotten);
    tcase_add_test(tests, a_download_stays_when_the_client_stops);
    tcase_add_test(tests, an_upload_that_is_there_already_is_not_repeated);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
