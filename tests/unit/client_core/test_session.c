/* The client's state machine, event by event: every transition, and a lost connection in every state. */
#include "harness.h"

START_TEST(a_round_from_connecting_to_its_outcome)
{
    struct harness h;
    setup(&h);
    ck_assert_state(&h, TRIB_STATE_OFFLINE);
    ck_assert_int_eq(trib_session_wake_ms(h.session), h.now);
    tick(&h);
    ck_assert_did(&h, "C");
    ck_assert_state(&h, TRIB_STATE_CONNECTING);
    connected(&h);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, HELLO);
    ck_assert_str_eq(h.sent->hello->node, "boat-7");
    ck_assert_uint_eq(h.sent->hello->protocol, 1);
    ck_assert_uint_eq(h.sent->hello->protocol_least, 1);
    ck_assert_uint_eq(h.sent->hello->n_tags, 1);
    ck_assert_uint_ge(h.sent->hello->n_codecs, 2);
    ck_assert_state(&h, TRIB_STATE_GREETING);
    welcome_to(&h, RUN, 1);
    ck_assert_reported(&h, "registered");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    task(&h, 1);
    ck_assert_did(&h, "D");
    ck_assert_uint_eq(h.offset, 0);
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    downloaded(&h, TRIB_OK, MODEL_LEN);
    ck_assert_did(&h, "T");
    ck_assert_state(&h, TRIB_STATE_TRAINING);
    trained(&h);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, OFFER);
    ck_assert_uint_eq(h.sent->offer->round, 1);
    ck_assert_uint_eq(h.sent->offer->examples, 600);
    ck_assert_uint_eq(h.sent->offer->update->len, FRAME_LEN);
    ck_assert_double_eq_tol(h.sent->offer->norm, 2.5, 1e-12);
    ck_assert_double_eq_tol(h.sent->offer->train_seconds, 1.5, 1e-12);
    ck_assert_state(&h, TRIB_STATE_OFFERED);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    ck_assert_did(&h, "U");
    ck_assert_state(&h, TRIB_STATE_UPLOADING);
    uploaded(&h, TRIB_OK, true, TRIB_OK);
    ck_assert_reported(&h, "uploaded");
    ck_assert_state(&h, TRIB_STATE_WAITING_OUTCOME);
    ck_assert_ptr_nonnull(trib_session_update(h.session));
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "outcome");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    ck_assert_ptr_null(trib_session_update(h.session));
    teardown(&h);
}
END_TEST

/* ---- the connection is lost, in each state of the work, and the same task comes again ---- */

/* Lose the connection and come back; the work's own late events are the caller's to give in between. */
static void lose(struct harness *h, const char *did)
{
    disconnected(h);
    ck_assert_did(h, did);
    ck_assert_reported(h, "disconnected");
    ck_assert_state(h, TRIB_STATE_OFFLINE);
    int64_t wait = trib_session_wake_ms(h->session) - h->now;
    ck_assert_int_ge(wait, MIN_MS);
    ck_assert_int_le(wait, MAX_MS);
}

START_TEST(reconnecting_while_idle)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    lose(&h, "");
    register_again(&h);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

START_TEST(a_download_resumes_after_a_reconnect)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    lose(&h, "t");
    downloaded(&h, TRIB_CANCELLED, 300);
    ck_assert_did(&h, "");
    register_again(&h);
    ck_assert_did(&h, "");
    task(&h, 1);
    ck_assert_did(&h, "D");
    ck_assert_reported(&h, "task_resumed");
    ck_assert_uint_eq(h.offset, 300);
    downloaded(&h, TRIB_OK, MODEL_LEN);
    ck_assert_did(&h, "T");
    teardown(&h);
}
END_TEST

START_TEST(a_download_that_ends_after_the_reconnect_is_retried)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    lose(&h, "t");
    register_again(&h);
    task(&h, 1);
    ck_assert_did(&h, ""); /* the cancelled one has not reported yet */
    downloaded(&h, TRIB_CANCELLED, 300);
    ck_assert_did(&h, "");
    wake(&h);
    ck_assert_did(&h, "D");
    ck_assert_uint_eq(h.offset, 300);
    teardown(&h);
}
END_TEST

START_TEST(a_download_that_had_just_finished_is_trained_offline)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    lose(&h, "t");
    downloaded(&h, TRIB_OK, MODEL_LEN);
    ck_assert_did(&h, "T");
    ck_assert_state(&h, TRIB_STATE_OFFLINE);
    teardown(&h);
}
END_TEST

START_TEST(training_goes_on_without_a_connection)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    lose(&h, "");
    trained(&h);
    ck_assert_did(&h, ""); /* nobody to offer it to */
    ck_assert_ptr_nonnull(trib_session_update(h.session));
    register_again(&h);
    ck_assert_did(&h, ""); /* the server has not confirmed the task yet */
    task(&h, 1);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, OFFER);
    ck_assert_state(&h, TRIB_STATE_OFFERED);
    teardown(&h);
}
END_TEST

START_TEST(training_outlasts_a_reconnect)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    lose(&h, "");
    register_again(&h);
    task(&h, 1);
    ck_assert_did(&h, ""); /* no second training */
    ck_assert_state(&h, TRIB_STATE_TRAINING);
    trained(&h);
    ck_assert_sent(&h, OFFER);
    teardown(&h);
}
END_TEST

/* OFFERED, UPLOADING and WAITING_OUTCOME: the finished update is offered again, not trained anew. */
START_TEST(a_finished_update_is_offered_again)
{
    static const enum trib_session_state states[] = {TRIB_STATE_OFFERED, TRIB_STATE_UPLOADING,
                                                     TRIB_STATE_WAITING_OUTCOME};
    struct harness h;
    start(&h, states[_i]);
    const struct trib_client_update *before = trib_session_update(h.session);
    struct trib_blob *frame = trib_blob_ref(before->frame);
    uint64_t upload_job = h.job;
    lose(&h, states[_i] == TRIB_STATE_UPLOADING ? "t" : "");
    if (states[_i] == TRIB_STATE_UPLOADING) {
        uploaded(&h, TRIB_CANCELLED, false, TRIB_OK); /* late: of no account */
        ck_assert_did(&h, "");
    }
    register_again(&h);
    task(&h, 1);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, OFFER);
    ck_assert_ptr_eq(trib_session_update(h.session)->frame, frame);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 4096);
    ck_assert_did(&h, "U");
    ck_assert_uint_eq(h.offset, 4096);
    ck_assert_uint_ne(h.job, upload_job);
    trib_blob_unref(frame);
    teardown(&h);
}
END_TEST

START_TEST(an_outcome_after_a_reconnect_settles_the_update)
{
    struct harness h;
    start(&h, TRIB_STATE_WAITING_OUTCOME);
    lose(&h, "");
    register_again(&h);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_reported(&h, "outcome");
    ck_assert_ptr_null(trib_session_update(h.session));
    teardown(&h);
}
END_TEST

START_TEST(another_run_drops_the_work)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    lose(&h, "");
    wake(&h);
    connected(&h);
    welcome_to(&h, "run-2", 1);
    ck_assert_did(&h, "w");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

/* ---- tasks that replace, end, come late ---- */

START_TEST(a_new_task_replaces_the_running_one)
{
    struct harness h;
    start(&h, (enum trib_session_state)_i);
    bool runs = _i == TRIB_STATE_DOWNLOADING || _i == TRIB_STATE_TRAINING || _i == TRIB_STATE_UPLOADING;
    uint64_t old_job = h.job;
    task_with(&h, (struct task_options){.round = 2, .without_graph = true});
    ck_assert_did(&h, runs ? "wD" : "D");
    ck_assert_reported(&h, "task_replaced");
    ck_assert_uint_eq(h.offset, 0);
    uint64_t new_job = h.job;
    h.job = old_job; /* reports on the old task change nothing */
    trained(&h);
    ck_assert_did(&h, "");
    downloaded(&h, TRIB_OK, MODEL_LEN);
    ck_assert_did(&h, "");
    h.job = new_job;
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    teardown(&h);
}
END_TEST

START_TEST(another_seed_is_another_task)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    lose(&h, "");
    register_again(&h);
    task_with(&h, (struct task_options){.round = 1, .seed = 43});
    ck_assert_did(&h, "wD");
    teardown(&h);
}
END_TEST

START_TEST(an_outcome_ends_a_task_in_any_state)
{
    struct harness h;
    start(&h, (enum trib_session_state)_i);
    bool runs = _i == TRIB_STATE_DOWNLOADING || _i == TRIB_STATE_TRAINING || _i == TRIB_STATE_UPLOADING;
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__LATE);
    ck_assert_did(&h, runs ? "w" : "");
    ck_assert_reported(&h, "outcome");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__LATE); /* and once more */
    ck_assert_reported(&h, "outcome_ignored");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

START_TEST(an_outcome_of_another_round_changes_nothing)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    outcome(&h, 9, TRIBUTARY__V1__OUTCOME__KIND__ABANDONED);
    ck_assert_reported(&h, "outcome_ignored");
    ck_assert_state(&h, TRIB_STATE_TRAINING);
    teardown(&h);
}
END_TEST

START_TEST(the_deadline_ends_a_task)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    task_with(&h, (struct task_options){.round = 1, .deadline = 60});
    downloaded(&h, TRIB_OK, MODEL_LEN);
    int64_t begun = h.now;
    for (int i = 0; i < 100 && trib_session_state(h.session) == TRIB_STATE_TRAINING; i++) {
        wake(&h);
    }
    ck_assert_state(&h, TRIB_STATE_IDLE);
    ck_assert_did(&h, "w");
    ck_assert_reported(&h, "deadline_passed");
    ck_assert_int_ge(h.now - begun, 60000);
    ck_assert_int_le(h.now - begun, 70000);
    teardown(&h);
}
END_TEST

START_TEST(idle_for_long_releases_memory)
{
    struct harness h;
    start(&h, TRIB_STATE_WAITING_OUTCOME);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    wake(&h);
    ck_assert_did(&h, "r");
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX);
    teardown(&h);
}
END_TEST

/* ---- progress ---- */

START_TEST(progress_is_sent_often_enough_while_busy)
{
    static const char *const phases[] = {
        [TRIB_STATE_DOWNLOADING] = "download", [TRIB_STATE_TRAINING] = "train", [TRIB_STATE_UPLOADING] = "upload"};
    struct harness h;
    if (_i == TRIB_STATE_OFFERED) {
        return;
    }
    start(&h, (enum trib_session_state)_i);
    int64_t last = h.now;
    for (int i = 0; i < 5; i++) {
        wake(&h);
        ck_assert_sent(&h, PROGRESS);
        ck_assert_str_eq(h.sent->progress->phase, phases[_i]);
        ck_assert_uint_eq(h.sent->progress->round, 1);
        ck_assert_int_le(h.now - last, 10000); /* what the welcome asked for */
        last = h.now;
    }
    teardown(&h);
}
END_TEST

START_TEST(no_progress_is_sent_while_waiting_for_the_server)
{
    struct harness h;
    start(&h, TRIB_STATE_OFFERED);
    wake(&h);
    ck_assert_did(&h, "");
    teardown(&h);
}
END_TEST

/* ---- connecting ---- */

START_TEST(it_tries_for_ever_with_growing_waits)
{
    struct harness h;
    setup(&h);
    int64_t longest = 0;
    for (int i = 0; i < 200; i++) {
        wake(&h);
        ck_assert_did(&h, "C");
        disconnected(&h);
        int64_t wait = trib_session_wake_ms(h.session) - h.now;
        ck_assert_int_ge(wait, MIN_MS);
        ck_assert_int_le(wait, MAX_MS);
        longest = wait > longest ? wait : longest;
    }
    ck_assert_int_gt(longest, MAX_MS / 2);
    /* a session that lasts ends the growth */
    register_again(&h);
    h.now += 60000;
    disconnected(&h);
    ck_assert_int_le(trib_session_wake_ms(h.session) - h.now, 2 * MIN_MS);
    teardown(&h);
}
END_TEST

START_TEST(a_silent_server_is_given_up)
{
    struct harness h;
    setup(&h);
    tick(&h);
    wake(&h); /* no CONNECTED */
    ck_assert_did(&h, "X");
    ck_assert_state(&h, TRIB_STATE_OFFLINE);
    wake(&h);
    connected(&h);
    wake(&h); /* no Welcome */
    ck_assert_did(&h, "X");
    ck_assert_ptr_nonnull(strstr(h.texts, "did not answer"));
    teardown(&h);
}
END_TEST

START_TEST(events_of_a_former_connection_change_nothing)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    uint64_t former = h.connection;
    disconnected(&h);
    register_again(&h);
    uint64_t present = h.connection;
    h.connection = former;
    disconnected(&h);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    task(&h, 1);
    ck_assert_did(&h, "");
    h.connection = present;
    teardown(&h);
}
END_TEST

START_TEST(a_goodbye_is_obeyed)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    goodbye(&h, false, 20);
    ck_assert_did(&h, "X"); /* the training goes on */
    ck_assert_state(&h, TRIB_STATE_OFFLINE);
    ck_assert_ptr_nonnull(strstr(h.texts, "closing"));
    int64_t wait = trib_session_wake_ms(h.session) - h.now;
    ck_assert_int_ge(wait, 20000);
    ck_assert_int_le(wait, 23000);
    register_again(&h);
    goodbye(&h, false, UINT32_MAX);
    ck_assert_int_le(trib_session_wake_ms(h.session) - h.now, 4000000);
    teardown(&h);
}
END_TEST

START_TEST(a_final_goodbye_ends_the_client)
{
    struct harness h;
    start(&h, (enum trib_session_state)_i);
    bool runs = _i == TRIB_STATE_DOWNLOADING || _i == TRIB_STATE_TRAINING || _i == TRIB_STATE_UPLOADING;
    goodbye(&h, true, 0);
    ck_assert_did(&h, runs ? "wE" : "E");
    ck_assert_int_eq(h.exit_status, TRIB_OK);
    ck_assert_str_eq(h.exit_text, "closing");
    ck_assert_reported(&h, "goodbye");
    ck_assert_state(&h, TRIB_STATE_DONE);
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX);
    tick(&h); /* nothing moves it any more */
    ck_assert_did(&h, "");
    teardown(&h);
}
END_TEST

START_TEST(stopping_says_goodbye)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    give(&h, event_of(TRIB_SESSION_STOP, 0, TRIB_OK, "SIGTERM"));
    ck_assert_did(&h, "SwE");
    ck_assert_sent(&h, GOODBYE);
    ck_assert_int_eq(h.exit_status, TRIB_OK);
    ck_assert_str_eq(h.exit_text, "SIGTERM");
    teardown(&h);
    setup(&h);
    give(&h, event_of(TRIB_SESSION_STOP, 0, TRIB_OK, "SIGINT"));
    ck_assert_did(&h, "E"); /* nobody to say it to */
    teardown(&h);
}
END_TEST

START_TEST(unusable_data_end_the_client)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    give(&h, event_of(TRIB_SESSION_DATA, 0, TRIB_CORRUPT, "/data/labels: truncated"));
    ck_assert_did(&h, "SE");
    ck_assert_sent(&h, GOODBYE);
    ck_assert_ptr_null(strstr(h.sent->goodbye->reason, "/data"));
    ck_assert_int_eq(h.exit_status, TRIB_CORRUPT);
    ck_assert_str_eq(h.exit_text, "/data/labels: truncated");
    teardown(&h);
}
END_TEST

START_TEST(known_data_are_announced)
{
    struct harness h;
    setup(&h);
    struct trib_session_event *event = event_of(TRIB_SESSION_DATA, 0, TRIB_OK, "");
    event->is.examples = 6000;
    give(&h, event);
    tick(&h);
    connected(&h);
    ck_assert_sent(&h, HELLO);
    ck_assert_uint_eq(h.sent->hello->examples, 6000);
    teardown(&h);
}
END_TEST

static void add_rounds(Suite *suite)
{
    TCase *tests = tcase_create("rounds");
    tcase_add_test(tests, a_round_from_connecting_to_its_outcome);
    tcase_add_loop_test(tests, a_new_task_replaces_the_running_one, TRIB_STATE_DOWNLOADING, TRIB_STATE_DONE);
    tcase_add_test(tests, another_seed_is_another_task);
    tcase_add_loop_test(tests, an_outcome_ends_a_task_in_any_state, TRIB_STATE_DOWNLOADING, TRIB_STATE_DONE);
    tcase_add_test(tests, an_outcome_of_another_round_changes_nothing);
    tcase_add_test(tests, the_deadline_ends_a_task);
    tcase_add_test(tests, idle_for_long_releases_memory);
    tcase_add_loop_test(tests, progress_is_sent_often_enough_while_busy, TRIB_STATE_DOWNLOADING,
                        TRIB_STATE_WAITING_OUTCOME);
    tcase_add_test(tests, no_progress_is_sent_while_waiting_for_the_server);
    suite_add_tcase(suite, tests);
}

static void add_reconnects(Suite *suite)
{
    TCase *tests = tcase_create("reconnects");
    tcase_add_test(tests, reconnecting_while_idle);
    tcase_add_test(tests, a_download_resumes_after_a_reconnect);
    tcase_add_test(tests, a_download_that_ends_after_the_reconnect_is_retried);
    tcase_add_test(tests, a_download_that_had_just_finished_is_trained_offline);
    tcase_add_test(tests, training_goes_on_without_a_connection);
    tcase_add_test(tests, training_outlasts_a_reconnect);
    tcase_add_loop_test(tests, a_finished_update_is_offered_again, 0, 3);
    tcase_add_test(tests, an_outcome_after_a_reconnect_settles_the_update);
    tcase_add_test(tests, another_run_drops_the_work);
    suite_add_tcase(suite, tests);
}

static void add_connecting(Suite *suite)
{
    TCase *tests = tcase_create("connecting");
    tcase_add_test(tests, it_tries_for_ever_with_growing_waits);
    tcase_add_test(tests, a_silent_server_is_given_up);
    tcase_add_test(tests, events_of_a_former_connection_change_nothing);
    tcase_add_test(tests, a_goodbye_is_obeyed);
    tcase_add_loop_test(tests, a_final_goodbye_ends_the_client, TRIB_STATE_IDLE, TRIB_STATE_DONE);
    tcase_add_test(tests, stopping_says_goodbye);
    tcase_add_test(tests, unusable_data_end_the_client);
    tcase_add_test(tests, known_data_are_announced);
    suite_add_tcase(suite, tests);
}

int main(void)
{
    Suite *suite = suite_create("session");
    add_rounds(suite);
    add_reconnects(suite);
    add_connecting(suite);
    return trib_test_run(suite);
}
