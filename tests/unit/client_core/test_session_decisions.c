/* Offers with sketches, what a server decides about them, and rounds in which it takes its time. */
#include "harness.h"

enum { SKETCH = 32, DAY_MS = 86400000 };

/* A task of this round, up to its offer. */
static void offer_for(struct harness *h, struct task_options options)
{
    task_with(h, options);
    ck_assert_did(h, "D");
    downloaded(h, TRIB_OK, MODEL_LEN);
    ck_assert_did(h, "T");
    trained(h);
    ck_assert_sent(h, OFFER);
    ck_assert_uint_eq(h->sent->offer->round, options.round);
}

static void deliver(struct harness *h, uint64_t round)
{
    decision(h, round, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    ck_assert_did(h, "U");
    uploaded(h, TRIB_OK, true, TRIB_OK);
    ck_assert_state(h, TRIB_STATE_WAITING_OUTCOME);
}

/* ---- sketches ---- */

START_TEST(an_offer_carries_its_sketch)
{
    struct harness h;
    uint8_t expected[SKETCH];
    memset(expected, 0x5a, sizeof expected);
    start(&h, TRIB_STATE_IDLE);
    h.sketch_len = SKETCH;
    offer_for(&h, (struct task_options){.round = 1, .sketch_positions = 256});
    ck_assert_uint_eq(h.sent->offer->sketch.len, SKETCH);
    ck_assert_mem_eq(h.sent->offer->sketch.data, expected, SKETCH);
    disconnected(&h); /* the same one is offered again */
    register_again(&h);
    task_with(&h, (struct task_options){.round = 1, .sketch_positions = 256});
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, OFFER);
    ck_assert_uint_eq(h.sent->offer->sketch.len, SKETCH);
    ck_assert_mem_eq(h.sent->offer->sketch.data, expected, SKETCH);
    disconnected(&h); /* another one is another task */
    register_again(&h);
    task_with(&h, (struct task_options){.round = 1, .sketch_positions = 257});
    ck_assert_did(&h, "D");
    teardown(&h);
}
END_TEST

START_TEST(without_positions_there_is_no_sketch)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    offer_for(&h, (struct task_options){.round = 1});
    ck_assert_uint_eq(h.sent->offer->sketch.len, 0);
    teardown(&h);
}
END_TEST

START_TEST(more_positions_than_any_model_has_are_all_of_them)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    task_with(&h, (struct task_options){.round = 1, .sketch_positions = UINT64_MAX});
    ck_assert_did(&h, "D");
    disconnected(&h);
    register_again(&h);
    task_with(&h, (struct task_options){.round = 1, .sketch_positions = UINT64_MAX - 1});
    ck_assert_did(&h, ""); /* no other task: both mean all */
    teardown(&h);
}
END_TEST

/* ---- partial work ---- */

START_TEST(a_part_of_the_work_is_offered_as_such)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    struct trib_session_event *event = event_of(TRIB_SESSION_TRAINED, h.job, TRIB_OK, "");
    event->is.update.frame = trib_blob_copy("frame", 5);
    event->is.update.result = (struct trib_train_result){
        .examples = 600, .steps = 7, .examples_seen = 224, .mean_loss = 0.75, .ms = 900, .stopped_early = true};
    give(&h, event);
    ck_assert_sent(&h, OFFER);
    ck_assert_uint_eq(h.sent->offer->steps, 7);
    ck_assert(h.sent->offer->stopped_early);
    ck_assert_uint_eq(h.sent->offer->examples, 600);
    ck_assert_double_eq(h.sent->offer->loss, 0.75);
    teardown(&h);
}
END_TEST

/* ---- skipped ---- */

START_TEST(a_skipped_update_is_over)
{
    struct harness h;
    start(&h, TRIB_STATE_OFFERED);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "skipped");
    ck_assert_state(&h, TRIB_STATE_IDLE);
    ck_assert_ptr_null(trib_session_update(h.session));
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__SKIPPED); /* may follow */
    ck_assert_reported(&h, "outcome_ignored");
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0); /* too late for another opinion */
    ck_assert_did(&h, "");
    ck_assert_reported(&h, "message_ignored");
    teardown(&h);
}
END_TEST

/* The state that the skipped update would have led to goes: error feedback stands as before the round. */
START_TEST(a_skip_leaves_error_feedback_to_the_next_task)
{
    static const char *const kinds[] = {"ef", "ef21", "dgc"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct harness h;
        start(&h, TRIB_STATE_IDLE);
        offer_for(&h, (struct task_options){.round = 4, .feedback = kinds[i]});
        decision(&h, 4, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
        ck_assert_did(&h, "");
        teardown(&h);
    }
}
END_TEST

/* A round that was given up begins anew under the same number, with the same model and seed. */
START_TEST(a_round_that_begins_again_after_a_skip_is_trained_again)
{
    struct harness h;
    start(&h, TRIB_STATE_OFFERED);
    decision(&h, 1, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
    task(&h, 1);
    ck_assert_did(&h, "D");
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    teardown(&h);
}
END_TEST

/* ---- servers that take their time ---- */

START_TEST(rounds_need_not_follow_each_other)
{
    static const uint64_t rounds[] = {2, 5, 6, 40};
    struct harness h;
    uint64_t folded_round = 0;
    start(&h, TRIB_STATE_IDLE);
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        uint64_t round = rounds[i];
        offer_for(&h, (struct task_options){.round = round, .feedback = "ef", .folded_round = folded_round});
        deliver(&h, round);
        outcome(&h, round + 1, TRIBUTARY__V1__OUTCOME__KIND__FOLDED); /* somebody else's, as far as it can tell */
        ck_assert_did(&h, "");
        ck_assert_state(&h, TRIB_STATE_WAITING_OUTCOME);
        outcome(&h, round, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
        ck_assert_did(&h, "s");
        ck_assert(h.folded);
        ck_assert_uint_eq(h.settled_round, round);
        ck_assert_state(&h, TRIB_STATE_IDLE);
        folded_round = round;
    }
    teardown(&h);
}
END_TEST

/* What was delivered, or waits for the server's word, waits for as long as it takes, whatever the deadline was. */
START_TEST(an_offer_and_an_upload_wait_for_days)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    offer_for(&h, (struct task_options){.round = 3, .feedback = "ef", .deadline = 60});
    for (int day = 0; day < 3; day++) {
        h.now += DAY_MS;
        tick(&h);
        ck_assert_did(&h, "");
        ck_assert_state(&h, TRIB_STATE_OFFERED);
        ck_assert_int_gt(trib_session_wake_ms(h.session), h.now);
    }
    deliver(&h, 3);
    for (int day = 0; day < 3; day++) {
        h.now += DAY_MS;
        tick(&h);
        ck_assert_did(&h, "");
        ck_assert_state(&h, TRIB_STATE_WAITING_OUTCOME);
        ck_assert_int_gt(trib_session_wake_ms(h.session), h.now);
    }
    outcome(&h, 3, TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    ck_assert_did(&h, "s");
    ck_assert(h.folded);
    teardown(&h);
}
END_TEST

START_TEST(the_deadline_holds_while_there_is_no_connection)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    offer_for(&h, (struct task_options){.round = 3, .deadline = 60});
    h.now += DAY_MS;
    tick(&h);
    ck_assert_state(&h, TRIB_STATE_OFFERED);
    disconnected(&h);
    ck_assert_int_le(trib_session_wake_ms(h.session), h.now);
    tick(&h);
    ck_assert_reported(&h, "deadline_passed");
    ck_assert_ptr_null(trib_session_update(h.session));
    teardown(&h);
}
END_TEST

START_TEST(without_a_deadline_training_may_take_days)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    for (int hour = 0; hour < 48; hour++) {
        h.now += DAY_MS / 24;
        tick(&h);
        ck_assert_sent(&h, PROGRESS);
        ck_assert_state(&h, TRIB_STATE_TRAINING);
    }
    trained(&h);
    ck_assert_sent(&h, OFFER);
    teardown(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_decisions");
    TCase *tests = tcase_create("session_decisions");
    tcase_add_test(tests, an_offer_carries_its_sketch);
    tcase_add_test(tests, without_positions_there_is_no_sketch);
    tcase_add_test(tests, more_positions_than_any_model_has_are_all_of_them);
    tcase_add_test(tests, a_part_of_the_work_is_offered_as_such);
    tcase_add_test(tests, a_skipped_update_is_over);
    tcase_add_test(tests, a_skip_leaves_error_feedback_to_the_next_task);
    tcase_add_test(tests, a_round_that_begins_again_after_a_skip_is_trained_again);
    tcase_add_test(tests, rounds_need_not_follow_each_other);
    tcase_add_test(tests, an_offer_and_an_upload_wait_for_days);
    tcase_add_test(tests, the_deadline_holds_while_there_is_no_connection);
    tcase_add_test(tests, without_a_deadline_training_may_take_days);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
