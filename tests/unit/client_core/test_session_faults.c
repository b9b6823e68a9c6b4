/* The client's state machine when the work fails, and when a server says what it should not. */
#include "harness.h"

/* ---- failures of the work ---- */

START_TEST(a_failed_training_is_told)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    not_trained(&h, TRIB_NOT_FINITE, "loss is nan at step 3");
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, FAILURE);
    ck_assert_str_eq(h.sent->failure->status, "not_finite");
    ck_assert_str_eq(h.sent->failure->reason, "loss is nan at step 3");
    ck_assert_reported(&h, "failed");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

START_TEST(what_is_told_names_no_local_file)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    not_trained(&h, TRIB_NO_SPACE, "/home/me/secret: no room");
    ck_assert_sent(&h, FAILURE);
    ck_assert_str_eq(h.sent->failure->status, "no_space");
    ck_assert_ptr_null(strstr(h.sent->failure->reason, "secret"));
    ck_assert_ptr_nonnull(strstr(h.texts, "secret")); /* the owner's own log has it */
    teardown(&h);
}
END_TEST

START_TEST(a_broken_download_resumes_on_the_same_connection)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    downloaded(&h, TRIB_CORRUPT, 200);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "download_broken");
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    int64_t before = h.now;
    wake(&h);
    ck_assert_did(&h, "D");
    ck_assert_int_ge(h.now - before, 100);
    ck_assert_uint_eq(h.offset, 200);
    teardown(&h);
}
END_TEST

START_TEST(a_download_without_progress_is_given_up)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    int tries = 0;
    for (; tries < 20 && trib_session_state(h.session) == TRIB_STATE_DOWNLOADING; tries++) {
        downloaded(&h, TRIB_UNAVAILABLE, 0);
        while (trib_session_state(h.session) == TRIB_STATE_DOWNLOADING && !strchr(h.did, 'D')) {
            wake(&h);
        }
    }
    ck_assert_sent(&h, FAILURE);
    ck_assert_int_le(tries, 6);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

START_TEST(a_download_with_progress_is_not_given_up)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    for (uint64_t received = 10; received < 500; received += 10) {
        downloaded(&h, TRIB_UNAVAILABLE, received);
        while (!strchr(h.did, 'D')) {
            wake(&h);
        }
        ck_assert_uint_eq(h.offset, received);
    }
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    teardown(&h);
}
END_TEST

START_TEST(a_model_that_is_gone_fails_at_once)
{
    struct harness h;
    start(&h, TRIB_STATE_DOWNLOADING);
    downloaded(&h, TRIB_NOT_FOUND, 0);
    ck_assert_sent(&h, FAILURE);
    ck_assert_str_eq(h.sent->failure->status, "not_found");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

START_TEST(a_broken_upload_is_offered_again)
{
    struct harness h;
    start(&h, TRIB_STATE_UPLOADING);
    uploaded(&h, TRIB_UNAVAILABLE, false, TRIB_OK);
    ck_assert_reported(&h, "upload_broken");
    wake(&h);
    ck_assert_sent(&h, OFFER);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 2048);
    ck_assert_did(&h, "U");
    ck_assert_uint_eq(h.offset, 2048);
    teardown(&h);
}
END_TEST

START_TEST(an_upload_that_never_gets_through_is_given_up)
{
    struct harness h;
    start(&h, TRIB_STATE_UPLOADING);
    int tries = 0;
    while (trib_session_state(h.session) != TRIB_STATE_IDLE && tries < 20) {
        uploaded(&h, TRIB_UNAVAILABLE, false, TRIB_OK);
        tries++;
        while (trib_session_state(h.session) == TRIB_STATE_OFFERED &&
               (!h.sent || h.sent->kind_case != TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER)) {
            wake(&h);
        }
        if (trib_session_state(h.session) == TRIB_STATE_OFFERED) {
            decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
        }
    }
    ck_assert_int_le(tries, 6);
    ck_assert_sent(&h, FAILURE);
    teardown(&h);
}
END_TEST

START_TEST(a_corrupt_upload_is_sent_again_and_a_refused_one_is_not)
{
    struct harness h;
    start(&h, TRIB_STATE_UPLOADING);
    uploaded(&h, TRIB_OK, false, TRIB_CORRUPT);
    ck_assert_reported(&h, "upload_broken");
    wake(&h);
    ck_assert_sent(&h, OFFER);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    uploaded(&h, TRIB_OK, false, TRIB_MISMATCH);
    ck_assert_reported(&h, "upload_refused");
    ck_assert_state(&h, TRIB_STATE_WAITING_OUTCOME);
    teardown(&h);
    start(&h, TRIB_STATE_UPLOADING);
    uploaded(&h, TRIB_DENIED, false, TRIB_OK);
    ck_assert_reported(&h, "upload_refused");
    ck_assert_state(&h, TRIB_STATE_WAITING_OUTCOME);
    teardown(&h);
}
END_TEST

/* ---- what a server should not say ---- */

static void refused(struct task_options options, const char *status, const char *reason)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    task_with(&h, options);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, FAILURE);
    ck_assert_str_eq(h.sent->failure->status, status);
    ck_assert_msg(strstr(h.sent->failure->reason, reason), "%s", h.sent->failure->reason);
    ck_assert_uint_eq(h.sent->failure->round, options.round);
    ck_assert_reported(&h, "task_refused");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}

START_TEST(tasks_that_cannot_be_are_refused_by_name)
{
    refused((struct task_options){.round = 1, .codec = "q3"}, "unsupported", "codec \"q3\"");
    refused((struct task_options){.round = 1, .loss = "hinge"}, "unsupported", "hinge");
    refused((struct task_options){.round = 1, .run = "other"}, "mismatch", "other");
    refused((struct task_options){.round = 0}, "protocol", "round");
    refused((struct task_options){.round = 1, .without_model = true}, "protocol", "model");
    refused((struct task_options){.round = 1, .short_hash = true}, "protocol", "31 bytes");
    refused((struct task_options){.round = 1, .wrong_hash = true}, "corrupt", "SHA-256");
    refused((struct task_options){.round = 1, .without_graph = true}, "not_found", "plan");
    refused((struct task_options){.round = 1, .model_len = UINT64_MAX}, "limit", "not possible");
}
END_TEST

START_TEST(a_refused_task_ends_the_one_that_runs)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    task_with(&h, (struct task_options){.round = 2, .codec = "q3"});
    ck_assert_did(&h, "Sw");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

START_TEST(plans_are_forgotten_with_the_connection)
{
    struct harness h;
    start(&h, TRIB_STATE_WAITING_OUTCOME);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    task_with(&h, (struct task_options){.round = 2, .without_graph = true});
    ck_assert_did(&h, "D");
    outcome(&h, 2, TRIBUTARY__V1__OUTCOME__KIND__ABANDONED);
    disconnected(&h);
    register_again(&h);
    task_with(&h, (struct task_options){.round = 3, .without_graph = true});
    ck_assert_sent(&h, FAILURE);
    teardown(&h);
}
END_TEST

START_TEST(messages_out_of_place_are_ignored)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "message_ignored");
    advance(&h, TRIB_STATE_TRAINING);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    ck_assert_did(&h, "");
    task(&h, 1);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "message_ignored");
    trained(&h);
    decision(&h, 2, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    ck_assert_did(&h, "");
    ck_assert_state(&h, TRIB_STATE_OFFERED);
    Tributary__V1__ServerMessage nothing = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    say(&h, &nothing);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "message_ignored");
    teardown(&h);
}
END_TEST

START_TEST(a_flood_of_them_ends_the_connection)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    int n = 0;
    while (trib_session_state(h.session) == TRIB_STATE_IDLE && n < 1000) {
        decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
        n++;
    }
    ck_assert_int_lt(n, 200);
    ck_assert_did(&h, "X");
    ck_assert_state(&h, TRIB_STATE_OFFLINE);
    teardown(&h);
}
END_TEST

START_TEST(breaches_of_the_greeting_end_the_connection)
{
    struct harness h;
    setup(&h);
    tick(&h);
    connected(&h);
    task(&h, 1); /* before the welcome */
    ck_assert_did(&h, "X");
    ck_assert_state(&h, TRIB_STATE_OFFLINE);
    wake(&h);
    connected(&h);
    welcome_to(&h, RUN, 2);
    ck_assert_did(&h, "X");
    ck_assert_ptr_nonnull(strstr(h.texts, "the server speaks protocol 2, this client 1 to 1: update the client"));
    wake(&h);
    connected(&h);
    welcome_to(&h, RUN, 0);
    ck_assert_did(&h, "X");
    ck_assert_ptr_nonnull(strstr(h.texts, "the server speaks protocol 0, this client 1 to 1: update the server"));
    wake(&h);
    connected(&h);
    welcome_to(&h, "", 1);
    ck_assert_did(&h, "X");
    wake(&h);
    connected(&h);
    welcome_to(&h, "a run id that is much longer than thirty-two bytes", 1);
    ck_assert_did(&h, "X");
    wake(&h);
    connected(&h);
    welcome_to(&h, RUN, 1);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    welcome_to(&h, RUN, 1);
    ck_assert_did(&h, "X");
    teardown(&h);
}
END_TEST

START_TEST(an_offset_beyond_the_update_ends_the_connection)
{
    struct harness h;
    start(&h, TRIB_STATE_OFFERED);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, FRAME_LEN + 1);
    ck_assert_did(&h, "X");
    ck_assert_ptr_nonnull(trib_session_update(h.session)); /* still to be offered elsewhere */
    teardown(&h);
}
END_TEST

/* ---- memory runs out ---- */

/* Do what the state asks for, until round 1 is folded; false when that never happens. */
static bool drive(struct harness *h)
{
    for (int i = 0; i < 60; i++) {
        switch (trib_session_state(h->session)) {
        case TRIB_STATE_OFFLINE:
            wake(h);
            break;
        case TRIB_STATE_CONNECTING:
            connected(h);
            break;
        case TRIB_STATE_GREETING:
            welcome_to(h, RUN, 1);
            break;
        case TRIB_STATE_IDLE:
            task(h, 1);
            break;
        case TRIB_STATE_DOWNLOADING:
            downloaded(h, TRIB_OK, MODEL_LEN);
            break;
        case TRIB_STATE_TRAINING:
            trained(h);
            break;
        case TRIB_STATE_OFFERED:
            decision(h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
            if (strcmp(h->did, "U") != 0) {
                task(h, 1); /* it came back and was not told yet that the task is still on */
            }
            break;
        case TRIB_STATE_UPLOADING:
            uploaded(h, TRIB_OK, true, TRIB_OK);
            break;
        case TRIB_STATE_WAITING_OUTCOME:
            outcome(h, 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
            return trib_session_state(h->session) == TRIB_STATE_IDLE;
        case TRIB_STATE_DONE:
            return false;
        }
    }
    return false;
}

START_TEST(any_allocation_may_fail_and_the_round_is_finished_all_the_same)
{
    int failed = 0;
    for (int step = 0; step < 10; step++) {
        for (int64_t at = 0;; at++) {
            struct harness h;
            setup(&h);
            h.fail_step = step;
            h.fail_at = at;
            bool finished = drive(&h);
            bool failing = h.allocations > at;
            teardown(&h);
            ck_assert_msg(finished, "step %d, allocation %d", step, (int)at);
            if (!failing) {
                break;
            }
            failed++;
        }
    }
    ck_assert_int_ge(failed, 4);
}
END_TEST

static void add_failures(Suite *suite)
{
    TCase *tests = tcase_create("failures");
    tcase_add_test(tests, a_failed_training_is_told);
    tcase_add_test(tests, what_is_told_names_no_local_file);
    tcase_add_test(tests, a_broken_download_resumes_on_the_same_connection);
    tcase_add_test(tests, a_download_without_progress_is_given_up);
    tcase_add_test(tests, a_download_with_progress_is_not_given_up);
    tcase_add_test(tests, a_model_that_is_gone_fails_at_once);
    tcase_add_test(tests, a_broken_upload_is_offered_again);
    tcase_add_test(tests, an_upload_that_never_gets_through_is_given_up);
    tcase_add_test(tests, a_corrupt_upload_is_sent_again_and_a_refused_one_is_not);
    suite_add_tcase(suite, tests);
}

static void add_breaches(Suite *suite)
{
    TCase *tests = tcase_create("breaches");
    tcase_add_test(tests, tasks_that_cannot_be_are_refused_by_name);
    tcase_add_test(tests, a_refused_task_ends_the_one_that_runs);
    tcase_add_test(tests, plans_are_forgotten_with_the_connection);
    tcase_add_test(tests, messages_out_of_place_are_ignored);
    tcase_add_test(tests, a_flood_of_them_ends_the_connection);
    tcase_add_test(tests, breaches_of_the_greeting_end_the_connection);
    tcase_add_test(tests, an_offset_beyond_the_update_ends_the_connection);
    suite_add_tcase(suite, tests);
}

static void add_torture(Suite *suite)
{
    TCase *tests = tcase_create("torture");
    tcase_add_test(tests, any_allocation_may_fail_and_the_round_is_finished_all_the_same);
    suite_add_tcase(suite, tests);
}

int main(void)
{
    Suite *suite = suite_create("session_faults");
    add_torture(suite);
    add_failures(suite);
    add_breaches(suite);
    return trib_test_run(suite);
}
