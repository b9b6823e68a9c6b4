/* The round engine where members that are not done when a round closes go on: their updates are folded into later ones.
 */
#include "round_fixture.h"

/* Two updates wanted of four clients; the others may be `most` rounds behind. */
static void start_late(uint32_t most, uint64_t rounds)
{
    struct trib_round_options options = usual();
    options.rounds = rounds;
    options.min_clients = 4;
    options.over_selection = 2;
    options.max_staleness = most;
    options.uploads_in_flight = 4;
    start(&options);
    join_all(4);
    EXPECT("begin task:0 task:1 task:2 task:3");
}

/* Here, to be counted, and not to be picked. */
static void bystander(uint32_t client)
{
    STEP(.kind = TRIB_EVENT_JOINED, .client = client, .key = client, .eligible = false);
}

START_TEST(a_straggler_is_folded_into_the_next_round)
{
    start_late(1, 9);
    fold_both(0, 1);
    EXPECT("apply"); /* nobody is told that it is late */
    offer(2);
    EXPECT(""); /* let through; it uploads when a round collects */
    ck_assert_int_eq(member(2), TRIB_MEMBER_ADMITTED);
    commit();
    EXPECT("committed tell:0=folded tell:1=folded");
    tick_at(now_ms);
    EXPECT("begin task:0 task:1 grant:2+1");
    ck_assert_uint_eq(actions[3].round, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->eligible, 2);
    upload(2);
    EXPECT("fold:2+1");
    ck_assert_uint_eq(actions[0].round, 1);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .round = 1, .ok = true);
    ck_assert_ptr_nonnull(ignored); /* work is answered for the round that it was asked for in */
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .ok = true);
    offer(0);
    fold(0);
    EXPECT("tell:3=late apply"); /* a stale update is one of those wanted; client 1 may go on, client 3 may not */
    ck_assert_str_eq(reason(), "its model is too far behind");
    ck_assert_uint_eq(actions[0].round, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->stale, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->staleness, 1);
    commit();
    EXPECT("committed tell:0=folded tell:2=folded");
    ck_assert_uint_eq(actions[1].round, 2);
    ck_assert_uint_eq(actions[2].round, 1); /* the round of its own task */
    tick_at(now_ms);
    EXPECT("begin task:0 task:2 task:3");
}
END_TEST

START_TEST(an_upload_that_ends_between_two_rounds_waits_for_the_next)
{
    start_late(2, 9);
    offer(2);
    offer(3);
    fold_both(0, 1);
    EXPECT("apply");
    upload(2);
    EXPECT("");
    ck_assert_int_eq(member(2), TRIB_MEMBER_UPLOADED);
    ck_assert_ptr_null(ignored);
    upload(2);
    ck_assert_str_eq(ignored, "its update is here already");
    leave(2); /* its update is here: it is not needed any more */
    bystander(9);
    commit();
    upload(3);
    EXPECT("");
    tick_at(now_ms);
    EXPECT("begin task:0 task:1 fold:2+1 fold:3+1");
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .ok = true);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 3, .ok = true);
    EXPECT("apply");
    ck_assert_uint_eq(trib_round_summary(machine)->staleness, 2);
    commit();
    EXPECT("committed tell:2=folded tell:3=folded");
    join(2);
    EXPECT("begin task:2 task:3");
}
END_TEST

START_TEST(an_abandoned_round_takes_late_work_with_it)
{
    start_late(2, 9);
    offer(2);
    fold_both(0, 1);
    upload(2);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = false, .reason = "the new model is not finite");
    EXPECT("tell:0=abandoned tell:1=abandoned discard:2 tell:2=abandoned tell:3=abandoned abandoned");
    upload(2);
    EXPECT("tell:2=late");
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1 task:2 task:3");
}
END_TEST

START_TEST(a_straggler_that_comes_back_goes_on_with_its_own_task)
{
    start_late(3, 9);
    bystander(9);
    fold_both(0, 1);
    leave(2);
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1");
    join(2);
    EXPECT("task:2+1");
    ck_assert_uint_eq(actions[0].round, 1);
    STEP(.kind = TRIB_EVENT_OFFER, .client = 2, .round = 2, .examples = 1);
    EXPECT("tell:2=late"); /* it has no task of round 2 */
    offer(2);
    EXPECT("grant:2+1");
    leave(3);
    tick_at(now_ms + 1000);
    EXPECT("tell:3=late");
    ck_assert_uint_eq(actions[0].round, 1);
}
END_TEST

/* A part that ends between two rounds does not keep its client from the next. */
START_TEST(a_straggler_that_fails_between_two_rounds_is_idle)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.max_staleness = 1;
    options.min_updates = 2;
    options.over_selection = 1.5;
    start(&options);
    STEP(.kind = TRIB_EVENT_JOINED, .client = 2, .key = 2, .eligible = false);
    join(0);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 2, .eligible = true);
    EXPECT("begin task:0 task:2");
    offer(0);
    fold(0);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 2);
    EXPECT("tell:0=abandoned abandoned");
    join(1);
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1 task:2");
    fold_both(0, 1);
    EXPECT("apply");
    commit();
    leave(1);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 2);
    EXPECT("");
    ck_assert_int_eq(member(2), TRIB_MEMBER_NONE);
    tick_at(now_ms);
    EXPECT("begin task:0 task:2");
}
END_TEST

/* Clients at work on an earlier round can only end in one, so it begins for them, too. */
START_TEST(stragglers_count_for_the_beginning_of_a_round)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.max_staleness = 2;
    options.min_updates = 2;
    options.over_selection = 1.5;
    options.min_clients = 0;
    options.clients_per_round = 2;
    start(&options);
    STEP(.kind = TRIB_EVENT_JOINED, .client = 0, .eligible = true);
    STEP(.kind = TRIB_EVENT_JOINED, .client = 1, .key = 1, .eligible = false);
    join(2);
    EXPECT("begin task:0 task:2");
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 2);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 0);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 1, .eligible = true);
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1 task:2");
    fold_both(0, 1);
    commit();
    offer(2);
    leave(1);
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms);
    tick_at(now_ms);
    EXPECT("begin task:0 grant:2+1"); /* one idle client alone would be too few */
    offer(0);
    fold(0);
    EXPECT("");
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1, .round = 1);
    ck_assert_ptr_nonnull(ignored);
    fold(2);
    EXPECT("apply");
    commit();
    EXPECT("committed tell:0=folded tell:2=folded");
}
END_TEST

START_TEST(a_round_may_live_on_stragglers)
{
    start_late(2, 9);
    fold_both(0, 1);
    commit();
    leave(0);
    leave(1);
    bystander(5);
    EXPECT("");
    bystander(6);
    EXPECT("begin"); /* four clients are here, and nobody but those who are behind may take part */
    offer(2);
    EXPECT("grant:2+1");
    fold(2);
    EXPECT("apply");
    ck_assert_int_eq(member(3), TRIB_MEMBER_TASKED);
}
END_TEST

/* Whoever is silent is late in the end, with a deadline alone as well. */
START_TEST(a_silent_straggler_is_late_without_an_idle_timeout)
{
    struct trib_round_options options = usual();
    options.idle_timeout_ms = 0;
    options.max_staleness = 2;
    options.min_updates = 2;
    options.over_selection = 1.5;
    options.min_clients = 3;
    start(&options);
    join_all(3);
    fold_both(0, 1);
    commit();
    leave(1);
    leave(0);
    ck_assert_int_eq(trib_round_next_tick(machine), 1000 + 3 * 10000);
    tick_at(1000 + 3 * 10000);
    EXPECT("tell:2=late");
    ck_assert_str_eq(reason(), "was at work for too long");
    ck_assert_int_eq(member(2), TRIB_MEMBER_NONE);
}
END_TEST

/* The last round has no next one. */
START_TEST(the_last_round_dismisses_its_stragglers)
{
    start_late(5, 1);
    offer(2);
    fold_both(0, 1);
    EXPECT("discard:2 tell:2=late tell:3=late apply");
    ck_assert_str_eq(reason(), "enough updates");
    commit();
    EXPECT("committed tell:0=folded tell:1=folded finished");
}
END_TEST

START_TEST(stopping_after_a_commit_ends_late_work)
{
    start_late(5, 9);
    offer(2);
    fold_both(0, 1);
    upload(2);
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("");
    commit();
    EXPECT("committed tell:0=folded tell:1=folded discard:2+1 tell:2=abandoned tell:3=abandoned finished");
    ck_assert_str_eq(reason(), "stopped");
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(member(i), TRIB_MEMBER_NONE);
    }
    start_late(5, 9);
    fold_both(0, 1);
    commit();
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("tell:2=abandoned tell:3=abandoned finished");
}
END_TEST

/* Offers for an earlier round are compared with those of the present one. */
START_TEST(late_offers_are_compared_as_well)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.max_staleness = 3;
    options.over_selection = 2;
    options.min_clients = 4;
    options.gate = (struct trib_gate){.rule = TRIB_GATE_SHARE, .share = 0.5};
    options.uploads_in_flight = 4;
    options.deadline_ms = 100000;
    start(&options);
    join_all(4);
    offer_of(0, 0.9, 100);
    offer_of(1, 0.8, 100);
    EXPECT("skip:1 grant:0");
    fold(0);
    EXPECT("apply");
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1");
    offer_of(2, 0.5, 100); /* of round 1: to be late is no way past the gate */
    EXPECT("");
    offer_of(3, 0.4, 100);
    EXPECT("skip:3+1 grant:2+1");
    offer_of(0, 0.5, 100);
    EXPECT("grant:0");
    fold(2);
    EXPECT("");
    fold(0);
    EXPECT("apply");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_late");
    TCase *tests = tcase_create("late_folding");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, a_straggler_is_folded_into_the_next_round);
    tcase_add_test(tests, an_upload_that_ends_between_two_rounds_waits_for_the_next);
    tcase_add_test(tests, an_abandoned_round_takes_late_work_with_it);
    tcase_add_test(tests, a_straggler_that_comes_back_goes_on_with_its_own_task);
    tcase_add_test(tests, a_straggler_that_fails_between_two_rounds_is_idle);
    tcase_add_test(tests, stragglers_count_for_the_beginning_of_a_round);
    tcase_add_test(tests, a_round_may_live_on_stragglers);
    tcase_add_test(tests, a_silent_straggler_is_late_without_an_idle_timeout);
    tcase_add_test(tests, the_last_round_dismisses_its_stragglers);
    tcase_add_test(tests, stopping_after_a_commit_ends_late_work);
    tcase_add_test(tests, late_offers_are_compared_as_well);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
