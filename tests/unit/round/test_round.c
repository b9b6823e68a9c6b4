/* The round engine, event by event: the rules of a round. */
#include "fail_memory.h"
#include "round_fixture.h"

/* ---- options ---- */

START_TEST(options_are_checked)
{
    struct trib_error error;
    struct trib_round *round = NULL;
    struct trib_round_options bad[12];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bad[i] = usual();
    }
    bad[0].selector = NULL;
    bad[1].rounds = 0;
    bad[2].first_round = 0;
    bad[3].first_round = 4;
    bad[4].uploads_in_flight = 0;
    bad[5].min_updates = 0;
    bad[6].evaluate_every = 0;
    bad[7].over_selection = 0.99;
    bad[8].away_timeout_ms = -1;
    bad[9].retry_ms = -1;
    bad[10].deadline_ms = bad[10].idle_timeout_ms = 0;
    bad[11].min_updates = 3;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error.message[0] = 0;
        ck_assert_msg(trib_round_new(&bad[i], &round, &error) == TRIB_INVALID, "bad options %zu were taken", i);
        ck_assert_str_ne(error.message, "");
    }
    ck_assert_ptr_null(round);
    ck_assert_str_eq(error.message, "min_updates (3) is above clients_per_round (2): no round could commit");
}
END_TEST

/* ---- collecting ---- */

START_TEST(a_round_from_its_beginning_to_its_end)
{
    struct trib_round_options options = usual();
    options.evaluate = true;
    start(&options);
    join_all(2);
    now_ms = 2000;
    offer(0);
    EXPECT("grant:0");
    offer(1);
    EXPECT("grant:1");
    now_ms = 3000;
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1);
    EXPECT("fold:1");
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
    EXPECT("");
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 0);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
    EXPECT("apply");
    now_ms = 4000;
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    EXPECT("evaluate");
    now_ms = 5000;
    STEP(.kind = TRIB_EVENT_EVALUATED, .ok = false, .reason = "a test set that cannot be read");
    EXPECT("commit");
    now_ms = 6000;
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
    EXPECT("committed tell:0=folded tell:1=folded");
    ck_assert_uint_eq(actions[1].round, 1);
    ck_assert_uint_eq(trib_round_number(machine), 2);
    const struct trib_round_summary *s = trib_round_summary(machine);
    ck_assert_uint_eq(s->round, 1);
    ck_assert_uint_eq(s->offered, 2);
    ck_assert_uint_eq(s->granted, 2);
    ck_assert_uint_eq(s->uploaded, 2);
    ck_assert_uint_eq(s->folded, 2);
    ck_assert_int_eq(s->began_ms, 1000);
    ck_assert_int_eq(s->first_offer_ms, 2000);
    ck_assert_int_eq(s->closed_ms, 3000);
    ck_assert_int_eq(s->applied_ms, 4000);
    ck_assert_int_eq(s->evaluated_ms, 5000);
    ck_assert_int_eq(s->committed_ms, 6000);
    ck_assert_int_eq(trib_round_next_tick(machine), 6000);
    tick_at(6000);
    EXPECT("begin task:0 task:1");
}
END_TEST

static void commit_round(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        offer(i);
        fold(i);
    }
    EXPECT("apply");
    commit();
}

START_TEST(the_run_ends_after_its_rounds)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    for (int i = 0; i < 3; i++) {
        tick_at(now_ms + 1);
        commit_round();
    }
    EXPECT("committed tell:0=folded tell:1=folded finished");
    ck_assert_str_eq(reason(), "all rounds are done");
    ck_assert_int_eq(state(), TRIB_ROUND_FINISHED);
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    join(7);
    EXPECT("");
    ck_assert_str_eq(ignored, "the run is finished");
}
END_TEST

START_TEST(evaluation_comes_every_so_many_rounds_and_last)
{
    struct trib_round_options options = usual();
    options.rounds = 5;
    options.evaluate = true;
    options.evaluate_every = 2;
    start(&options);
    join_all(2);
    bool evaluated[6] = {false};
    for (uint64_t i = 1; i <= 5; i++) {
        tick_at(now_ms + 1);
        commit_round();
        evaluated[i] = trib_round_summary(machine)->evaluated_ms > 0;
    }
    ck_assert(!evaluated[1] && evaluated[2] && !evaluated[3] && evaluated[4] && evaluated[5]);
}
END_TEST

START_TEST(enough_updates_close_the_round_for_the_others)
{
    struct trib_round_options options = usual();
    options.min_clients = 4;
    options.over_selection = 2;
    options.uploads_in_flight = 3;
    start(&options);
    join_all(4);
    EXPECT("begin task:0 task:1 task:2 task:3");
    offer(0);
    offer(1);
    offer(2);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 2);
    fold(0);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
    EXPECT("tell:3=late"); /* client 2 is being folded and is waited for */
    ck_assert_str_eq(reason(), "enough updates");
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    join(4);
    EXPECT("");
    offer(3);
    EXPECT("tell:3=late");
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .ok = true);
    EXPECT("apply");
    ck_assert_uint_eq(trib_round_summary(machine)->folded, 3);
    ck_assert_uint_eq(trib_round_summary(machine)->late, 1);
}
END_TEST

START_TEST(an_upload_under_way_is_thrown_away_when_the_round_closes)
{
    struct trib_round_options options = usual();
    options.min_clients = 3;
    options.over_selection = 1.5;
    options.uploads_in_flight = 3;
    start(&options);
    join_all(3);
    offer(0);
    offer(1);
    offer(2);
    fold(0);
    fold(1);
    EXPECT("discard:2 tell:2=late apply");
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 2);
    EXPECT("tell:2=late");
}
END_TEST

START_TEST(grants_go_out_in_order_of_arrival_as_far_as_the_limit_allows)
{
    struct trib_round_options options = usual();
    options.min_clients = options.clients_per_round = 5;
    start(&options);
    join_all(5);
    offer(3);
    EXPECT("grant:3");
    offer(1);
    EXPECT("grant:1");
    offer(4);
    offer(0);
    offer(2);
    EXPECT("");
    ck_assert_int_eq(trib_round_member(machine, 0), TRIB_MEMBER_ADMITTED);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1);
    EXPECT("fold:1"); /* folding still takes its place: memory and disk are bounded */
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
    EXPECT("grant:4");
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 3);
    EXPECT("discard:3 grant:0");
    STEP(.kind = TRIB_EVENT_LEFT, .client = 4);
    EXPECT("grant:2");
}
END_TEST

START_TEST(a_broken_upload_is_granted_again)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    now_ms += 3999;
    offer(0);
    EXPECT("grant:0");
    ck_assert_ptr_null(ignored);
    ck_assert_uint_eq(trib_round_summary(machine)->granted, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->offered, 1);
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 1);
    tick_at(now_ms + 2); /* the new offer is progress */
    EXPECT("");
}
END_TEST

START_TEST(a_client_that_comes_back_gets_its_task_again)
{
    struct trib_round_options options = usual();
    options.uploads_in_flight = 1;
    start(&options);
    join_all(2);
    offer(0);
    offer(1);
    STEP(.kind = TRIB_EVENT_LEFT, .client = 0);
    EXPECT("grant:1"); /* its place goes to the next */
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 1000);
    now_ms += 999;
    STEP(.kind = TRIB_EVENT_TICK);
    EXPECT("");
    join(0);
    EXPECT("task:0");
    offer(0);
    EXPECT("");
    fold(1);
    EXPECT("grant:0");
    fold(0);
    EXPECT("apply");
}
END_TEST

START_TEST(an_upload_that_ends_while_its_client_is_away_is_thrown_away)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    STEP(.kind = TRIB_EVENT_LEFT, .client = 0);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 0);
    EXPECT("discard:0");
    ck_assert_ptr_nonnull(ignored);
    tick_at(now_ms + 1000);
    EXPECT("discard:0 tell:0=late");
    ck_assert_str_eq(reason(), "disconnected and did not come back in time");
}
END_TEST

START_TEST(a_client_that_stays_away_is_late)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    STEP(.kind = TRIB_EVENT_LEFT, .client = 1);
    STEP(.kind = TRIB_EVENT_LEFT, .client = 1);
    ck_assert_str_eq(ignored, "the client was not here");
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 1000);
    tick_at(trib_round_next_tick(machine));
    EXPECT("tell:1=late");
    join(1);
    EXPECT("");
    ck_assert_int_eq(trib_round_member(machine, 1), TRIB_MEMBER_LATE);
}
END_TEST

START_TEST(no_progress_makes_a_client_late)
{
    struct trib_round_options options = usual();
    options.uploads_in_flight = 1;
    options.min_clients = options.clients_per_round = 3;
    start(&options);
    join_all(3); /* at 1000 */
    now_ms = 3000;
    offer(0);
    offer(1); /* waits for its turn: that is not its fault */
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 2);
    ck_assert_int_eq(trib_round_next_tick(machine), 7000);
    now_ms = 6000;
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 2);
    tick_at(7000);
    EXPECT("discard:0 tell:0=late grant:1");
    ck_assert_str_eq(actions[1].reason, "made no progress in time");
    ck_assert_int_eq(trib_round_next_tick(machine), 10000);
    tick_at(10000);
    EXPECT("tell:2=late");
    tick_at(11000); /* idle and past the deadline */
    EXPECT("discard:1 tell:1=late abandoned");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
}
END_TEST

START_TEST(the_deadline_closes_the_round)
{
    struct trib_round_options options = usual();
    options.idle_timeout_ms = 0;
    start(&options);
    join_all(2);
    offer(0);
    fold(0);
    ck_assert_int_eq(trib_round_next_tick(machine), 11000);
    tick_at(10999);
    EXPECT("");
    tick_at(11000);
    EXPECT("tell:1=late apply");
    ck_assert_str_eq(reason(), "deadline reached");
}
END_TEST

START_TEST(without_a_deadline_the_idle_timeout_ends_the_round)
{
    struct trib_round_options options = usual();
    options.deadline_ms = 0;
    start(&options);
    join_all(2);
    tick_at(trib_round_next_tick(machine));
    EXPECT("tell:0=late tell:1=late abandoned");
    ck_assert_str_eq(reason(), "nobody is left to wait for with 0 of at least 1 updates");
}
END_TEST

START_TEST(a_late_offer_is_told_for_its_own_round)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    commit_round();
    tick_at(now_ms);
    ck_assert_uint_eq(trib_round_number(machine), 2);
    STEP(.kind = TRIB_EVENT_OFFER, .client = 0, .round = 1, .examples = 5);
    EXPECT("tell:0=late");
    ck_assert_uint_eq(actions[0].round, 1); /* or it would end the task of round 2 that the client has by now */
    ck_assert_int_eq(trib_round_member(machine, 0), TRIB_MEMBER_TASKED);
}
END_TEST

START_TEST(unknown_clients_change_nothing)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    for (int kind = TRIB_EVENT_ELIGIBLE; kind <= TRIB_EVENT_FOLDED; kind++) {
        STEP(.kind = (enum trib_round_event_kind)kind, .client = 99, .ok = true, .reason = "?");
        ck_assert_ptr_nonnull(ignored);
        EXPECT("");
    }
    ck_assert_int_eq(trib_round_member(machine, 99), TRIB_MEMBER_NONE);
}
END_TEST

/* ---- failures ---- */

START_TEST(an_abandoned_round_begins_again_with_another_attempt)
{
    struct trib_round_options options = usual();
    options.min_updates = 2;
    start(&options);
    join_all(2);
    offer(0);
    fold(0);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1);
    EXPECT("tell:0=abandoned abandoned");
    ck_assert_str_eq(reason(), "nobody is left to wait for with 1 of at least 2 updates");
    ck_assert_uint_eq(trib_round_summary(machine)->attempt, 0);
    ck_assert_uint_eq(trib_round_summary(machine)->failed, 1);
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 500);
    join(5);
    EXPECT(""); /* the pause holds for those who come as well */
    tick_at(now_ms + 499);
    EXPECT("");
    tick_at(now_ms + 1);
    ck_assert_str_eq(asked(), "begin task:0 task:5"); /* whoever was not asked yet comes first */
    ck_assert_uint_eq(trib_round_number(machine), 1);
    ck_assert_uint_eq(trib_round_summary(machine)->attempt, 1);
}
END_TEST

/* Without a pause, the next attempt still waits for a step of its own: the summary belongs to the log line first. */
START_TEST(the_next_attempt_begins_in_a_step_of_its_own)
{
    struct trib_round_options options = usual();
    options.retry_ms = 0;
    start(&options);
    join_all(2);
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 0);
    tick_at(20000);
    EXPECT("tell:0=late tell:1=late abandoned");
    ck_assert_uint_eq(trib_round_summary(machine)->late, 2);
    ck_assert_int_eq(trib_round_next_tick(machine), 20000);
    tick_at(20000);
    EXPECT("begin task:0 task:1");
}
END_TEST

START_TEST(a_failed_commit_abandons_and_tries_again)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    fold(0);
    offer(1);
    fold(1);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    EXPECT("commit");
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = false, .reason = "no space left on the device");
    EXPECT("tell:0=abandoned tell:1=abandoned abandoned");
    ck_assert_str_eq(reason(), "no space left on the device");
    ck_assert_uint_eq(trib_round_number(machine), 1);
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1");
    commit_round();
    ck_assert_uint_eq(trib_round_number(machine), 2);
    ck_assert_uint_eq(trib_round_summary(machine)->attempt, 1);
}
END_TEST

START_TEST(a_failed_apply_abandons)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    fold(0);
    offer(1);
    fold(1);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = false, .reason = "the new model is not finite");
    EXPECT("tell:0=abandoned tell:1=abandoned abandoned");
}
END_TEST

START_TEST(a_rejected_update_does_not_stop_the_round)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 0);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = false, .reason = "element 3 is not finite");
    EXPECT("tell:0=rejected");
    ck_assert_str_eq(reason(), "element 3 is not finite");
    offer(1);
    fold(1);
    EXPECT("apply");
    ck_assert_uint_eq(trib_round_summary(machine)->rejected, 1);
}
END_TEST

START_TEST(a_harmful_fold_abandons_the_round)
{
    struct trib_round_options options = usual();
    options.min_clients = options.clients_per_round = 3;
    start(&options);
    join_all(3);
    offer(0);
    offer(1);
    fold(0);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .harmful = true, .reason = "the spool file cannot be read");
    EXPECT("tell:0=abandoned discard:1 tell:1=abandoned tell:2=abandoned abandoned");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
}
END_TEST

/* What an abandoned attempt left in the queues does not touch the next one. */
START_TEST(results_of_an_earlier_attempt_are_ignored)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    offer(1);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 0);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .harmful = true, .reason = "disk");
    tick_at(now_ms + 500);
    offer(1);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1, .round = 1, .attempt = 0);
    ck_assert_str_eq(ignored, "of an earlier attempt");
    EXPECT("");
    ck_assert_int_eq(trib_round_member(machine, 1), TRIB_MEMBER_GRANTED);
    STEP(.kind = TRIB_EVENT_REFUSED, .client = 1, .round = 1, .attempt = 0, .reason = "cut");
    ck_assert_ptr_nonnull(ignored);
    ck_assert_int_eq(trib_round_member(machine, 1), TRIB_MEMBER_GRANTED);
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = 1);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true, .round = 1, .attempt = 0);
    ck_assert_ptr_nonnull(ignored);
    ck_assert_int_eq(trib_round_member(machine, 1), TRIB_MEMBER_FOLDING);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
    ck_assert_ptr_null(ignored);
    offer(0);
    fold(0);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true, .round = 1, .attempt = 0);
    ck_assert_ptr_nonnull(ignored);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true, .round = 1, .attempt = 0);
    ck_assert_ptr_nonnull(ignored);
    ck_assert_int_eq(state(), TRIB_ROUND_COMMITTING);
}
END_TEST

/* ---- stopping ---- */

START_TEST(stop_abandons_what_is_collected_and_finishes_what_is_committed)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    offer(0);
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("discard:0 tell:0=abandoned tell:1=abandoned abandoned finished");
    ck_assert_str_eq(reason(), "stopped");
    for (int from = TRIB_ROUND_APPLYING; from <= TRIB_ROUND_COMMITTING; from++) {
        go_to((enum trib_round_state)from);
        STEP(.kind = TRIB_EVENT_STOP);
        ck_assert_int_eq(state(), from);
        STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
        STEP(.kind = TRIB_EVENT_EVALUATED, .ok = true);
        STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
        EXPECT("committed tell:0=folded tell:1=folded finished");
        ck_assert_str_eq(reason(), "stopped");
    }
    go_to(TRIB_ROUND_COMMITTING);
    STEP(.kind = TRIB_EVENT_STOP);
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = false, .reason = "disk");
    EXPECT("tell:0=abandoned tell:1=abandoned abandoned finished");
    go_to(TRIB_ROUND_WAITING);
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("finished");
}
END_TEST

/* ---- memory ---- */

/* When memory is short the event can be given again, and the round goes on as if nothing had been. */
START_TEST(short_memory_leaves_the_state)
{
    for (int64_t after = 0;; after++) {
        struct trib_round_options options = usual();
        options.min_clients = 40;
        options.selector = trib_selector_find("random");
        start(&options);
        (void)fail_memory_after(after, false);
        int failures = 0;
        for (uint32_t i = 0; i < 40; i++) {
            struct trib_round_event event = {
                .kind = TRIB_EVENT_JOINED, .client = i, .key = i, .now_ms = now_ms, .eligible = true};
            while (trib_round_step(machine, &event, &actions, &n_actions, &ignored) != TRIB_OK) {
                failures++;
            }
        }
        (void)fail_memory_after(-1, false);
        if (state() == TRIB_ROUND_WAITING) { /* it was the selector that had none */
            ck_assert_int_gt(trib_round_next_tick(machine), now_ms);
            tick_at(trib_round_next_tick(machine));
            failures++;
        }
        ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
        ck_assert_uint_eq(trib_round_summary(machine)->cohort, 2);
        if (failures == 0) {
            ck_assert_int_gt(after, 4);
            break;
        }
    }
}
END_TEST

START_TEST(the_state_can_be_printed)
{
    struct trib_buf text = {0};
    member_to(TRIB_MEMBER_GRANTED);
    leave(2);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 4, .eligible = false);
    ck_assert_int_eq(trib_round_print(machine, &text), TRIB_OK);
    static const char *const parts[] = {"round 1 attempt 0 collecting wanted=4 ",
                                        "\navailable=5 eligible=5 cohort=4 offered=1 granted=1 ",
                                        "\nmembers: tasked=3 granted=1 here=4 offers=1 ",
                                        "\nclient 0: granted task=1/0 last_progress=1000 ",
                                        "\nclient 2: tasked (away) task=1/0 ",
                                        "\nclient 4: none (filtered out) task=0/0 "};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        ck_assert_msg(strstr(trib_buf_text(&text), parts[i]), "%s is not in:\n%s", parts[i], trib_buf_text(&text));
    }
    trib_buf_clear(&text);
    ck_assert_str_eq(trib_round_state_name(TRIB_ROUND_STATE_COUNT), "?");
    ck_assert_str_eq(trib_member_state_name(TRIB_MEMBER_STATE_COUNT), "?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round");
    TCase *rules = tcase_create("rules");
    tcase_add_checked_fixture(rules, NULL, stop);
    tcase_add_test(rules, options_are_checked);
    tcase_add_test(rules, a_round_from_its_beginning_to_its_end);
    tcase_add_test(rules, the_run_ends_after_its_rounds);
    tcase_add_test(rules, evaluation_comes_every_so_many_rounds_and_last);
    tcase_add_test(rules, enough_updates_close_the_round_for_the_others);
    tcase_add_test(rules, an_upload_under_way_is_thrown_away_when_the_round_closes);
    tcase_add_test(rules, grants_go_out_in_order_of_arrival_as_far_as_the_limit_allows);
    tcase_add_test(rules, a_broken_upload_is_granted_again);
    tcase_add_test(rules, a_client_that_comes_back_gets_its_task_again);
    tcase_add_test(rules, an_upload_that_ends_while_its_client_is_away_is_thrown_away);
    tcase_add_test(rules, a_client_that_stays_away_is_late);
    tcase_add_test(rules, no_progress_makes_a_client_late);
    tcase_add_test(rules, the_deadline_closes_the_round);
    tcase_add_test(rules, without_a_deadline_the_idle_timeout_ends_the_round);
    tcase_add_test(rules, a_late_offer_is_told_for_its_own_round);
    tcase_add_test(rules, unknown_clients_change_nothing);
    tcase_add_test(rules, an_abandoned_round_begins_again_with_another_attempt);
    tcase_add_test(rules, the_next_attempt_begins_in_a_step_of_its_own);
    tcase_add_test(rules, a_failed_commit_abandons_and_tries_again);
    tcase_add_test(rules, a_failed_apply_abandons);
    tcase_add_test(rules, a_rejected_update_does_not_stop_the_round);
    tcase_add_test(rules, a_harmful_fold_abandons_the_round);
    tcase_add_test(rules, results_of_an_earlier_attempt_are_ignored);
    tcase_add_test(rules, stop_abandons_what_is_collected_and_finishes_what_is_committed);
    tcase_add_test(rules, short_memory_leaves_the_state);
    tcase_add_test(rules, the_state_can_be_printed);
    suite_add_tcase(suite, rules);
    return trib_test_run(suite);
}
