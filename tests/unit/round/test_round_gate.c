/* The round engine's gate: which offers are let through, when those that are compared are decided, and what a round is
 * in which none was. */
#include "round_fixture.h"

static struct trib_round_options gated(enum trib_gate_rule rule, double value)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.gate = (struct trib_gate){.rule = rule, .value = value, .share = value, .bytes = (uint64_t)value};
    return options;
}

/* n clients, all of them in the cohort and wanted. */
static void start_with(struct trib_round_options options, uint32_t n)
{
    options.min_clients = options.clients_per_round = n;
    start(&options);
    join_all(n);
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
}

static void score(const struct trib_score *scores, size_t n)
{
    STEP(.kind = TRIB_EVENT_SCORED, .scores = scores, .n_scores = n);
}

/* ---- offers that are decided one by one ---- */

START_TEST(a_constant_threshold_decides_each_offer_when_it_comes)
{
    start_with(gated(TRIB_GATE_CONSTANT, 0.5), 4);
    offer_of(0, 0.5, 100);
    EXPECT("grant:0");
    ck_assert_str_eq(reason(), "selected: relevance 0.5000, threshold 0.5000");
    offer_of(1, 0.4999, 100);
    EXPECT("skip:1");
    ck_assert_str_eq(reason(), "not relevant enough: relevance 0.4999, threshold 0.5000");
    offer(2); /* nothing to compare it with */
    EXPECT("grant:2");
    ck_assert_str_eq(reason(), "selected");
    fold(0);
    fold(2);
    offer_of(3, 0, 100);
    EXPECT("skip:3 apply"); /* a skip is an answer: the round has all it wanted */
    const struct trib_round_summary *s = trib_round_summary(machine);
    ck_assert_uint_eq(s->offered, 4);
    ck_assert_uint_eq(s->granted, 2);
    ck_assert_uint_eq(s->skipped, 2);
    ck_assert_uint_eq(s->scored, 3);
    ck_assert_double_eq_tol(s->relevance_sum, 0.9999, 1e-12);
    ck_assert_double_eq(s->threshold, 0.5);
    commit();
    EXPECT("committed tell:0=folded tell:2=folded"); /* those who were skipped have been told */
}
END_TEST

START_TEST(a_decaying_threshold_falls_from_round_to_round)
{
    static const double relevance[] = {0.79, 0.57, 0.46, 0.41};
    start_with(gated(TRIB_GATE_DECAY, 0.8), 2); /* 0.8, 0.566, 0.462, 0.4 */
    for (int i = 0; i < 4; i++) {
        offer(0);
        fold(0);
        offer_of(1, relevance[i], 100);
        EXPECT(i % 2 ? "grant:1" : "skip:1 apply");
        if (i % 2) {
            fold(1);
        }
        commit();
        tick_at(now_ms);
    }
}
END_TEST

/* Who is skipped gains a little with each time, until its update is folded. */
START_TEST(patience_lets_everybody_through_at_last)
{
    struct trib_round_options options = gated(TRIB_GATE_CONSTANT, 0.5);
    options.patience = 0.0625;
    start_with(options, 2);
    for (int i = 0; i < 4; i++) {
        offer(0);
        fold(0);
        offer_of(1, 0.375, 100);
        EXPECT(i == 2 ? "grant:1" : "skip:1 apply");
        if (i == 1) {
            ck_assert_str_eq(actions[0].reason,
                             "not relevant enough: relevance 0.3750 and 0.0625 for its patience, threshold 0.5000");
        }
        if (i == 2) {
            fold(1);
        }
        commit();
        tick_at(now_ms);
    }
}
END_TEST

START_TEST(the_first_round_has_nothing_to_compare_with)
{
    static const enum trib_gate_rule rules[] = {TRIB_GATE_CONSTANT, TRIB_GATE_DECAY, TRIB_GATE_SHARE, TRIB_GATE_BYTES};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        start_with(gated(rules[i], rules[i] == TRIB_GATE_BYTES ? 10 : 0.25), 4);
        for (uint32_t client = 0; client < 4; client++) {
            offer(client);
        }
        fold(0);
        fold(1);
        fold(2);
        fold(3);
        EXPECT("apply");
        ck_assert_uint_eq(trib_round_summary(machine)->scored, 0);
        ck_assert_uint_eq(trib_round_summary(machine)->skipped, 0);
    }
}
END_TEST

/* ---- offers that wait for each other ---- */

START_TEST(a_share_waits_for_the_offers_that_are_wanted)
{
    struct trib_round_options options = gated(TRIB_GATE_SHARE, 0.5);
    options.min_clients = 5;
    options.clients_per_round = 4;
    options.over_selection = 1.25;
    start(&options);
    join_all(5);
    offer_of(0, 0.2, 100);
    offer_of(1, 0.9, 100);
    offer_of(2, 0.4, 100);
    EXPECT("");
    ck_assert_int_eq(member(2), TRIB_MEMBER_OFFERED);
    offer_of(3, 0.6, 100);
    EXPECT("skip:2 skip:0 grant:1 grant:3");
    ck_assert_double_eq(trib_round_summary(machine)->threshold, 0.6);
    offer_of(4, 0.59, 100); /* late: it needs what the last one let through had */
    EXPECT("skip:4");
    fold(1);
    EXPECT(""); /* one folded and three skipped are four answers, but somebody is still let through */
    fold(3);
    EXPECT("apply");
}
END_TEST

START_TEST(a_late_offer_that_is_good_enough_is_let_through)
{
    start_with(gated(TRIB_GATE_SHARE, 0.5), 3);
    leave(2);
    offer_of(0, 0.2, 100);
    offer_of(1, 0.7, 100);
    EXPECT("");
    tick_at(now_ms + 1000);
    EXPECT("tell:2=late skip:0 grant:1"); /* nobody is left to wait for */
    start_with(gated(TRIB_GATE_SHARE, 0.5), 3);
    offer_of(0, 0.2, 100);
    offer_of(1, 0.7, 100);
    tick_at(1000 + 3999);
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 2);
    tick_at(1000 + 7499);
    EXPECT("");
    ck_assert_int_eq(trib_round_next_tick(machine), 1000 + 7500);
    tick_at(1000 + 7500);
    EXPECT("skip:0 grant:1"); /* three quarters of the deadline */
    offer_of(2, 0.7, 100);
    EXPECT("grant:2");
    fold(1);
    fold(2);
    EXPECT("apply");
}
END_TEST

START_TEST(without_a_deadline_the_offers_wait_for_the_last_client)
{
    struct trib_round_options options = gated(TRIB_GATE_SHARE, 0.5);
    options.deadline_ms = 0;
    start_with(options, 2);
    offer_of(0, 0.2, 100);
    ck_assert_int_eq(trib_round_next_tick(machine), 1000 + 4000);
    tick_at(1000 + 4000);
    EXPECT("tell:1=late grant:0"); /* the idle one is gone; at least one is let through */
}
END_TEST

START_TEST(bytes_are_given_to_the_most_relevant)
{
    struct trib_round_options options = gated(TRIB_GATE_BYTES, 250);
    options.uploads_in_flight = 4;
    start_with(options, 4);
    offer_of(0, 0.3, 10);
    offer_of(1, 0.9, 150);
    offer_of(2, 0.5, 101);
    offer_of(3, 0.8, 100);
    EXPECT("skip:2 skip:0 grant:1 grant:3"); /* nobody passes for being small */
    fold(1);
    fold(3);
    EXPECT("apply");
}
END_TEST

/* What was let through once is let through again when its client comes back, without being counted twice. */
START_TEST(a_client_that_comes_back_is_not_charged_again)
{
    struct trib_round_options options = gated(TRIB_GATE_BYTES, 250);
    start_with(options, 3);
    offer_of(0, 0.9, 150);
    offer_of(1, 0.8, 100);
    offer_of(2, 0.7, 100);
    EXPECT("skip:2 grant:0 grant:1");
    leave(0);
    join(0);
    EXPECT("task:0");
    ck_assert_int_eq(member(0), TRIB_MEMBER_TASKED);
    offer_of(0, 0.9, 150);
    EXPECT("grant:0");
    leave(1);
    join(1);
    offer_of(1, 0.79, 100); /* it is not what was let through */
    EXPECT("discard:1 skip:1");
    fold(0);
    EXPECT("apply");
}
END_TEST

START_TEST(a_client_that_comes_back_with_more_bytes_is_charged)
{
    struct trib_round_options options = gated(TRIB_GATE_BYTES, 250);
    start_with(options, 2);
    offer_of(0, 0.9, 150);
    offer_of(1, 0.8, 50);
    EXPECT("grant:0 grant:1");
    join(0);
    offer_of(0, 0.9, 201); /* 50 are left, and the 150 that it does not use */
    EXPECT("discard:0 skip:0");
    join(1);
    offer_of(1, 0.9, 50);
    EXPECT("grant:1");
}
END_TEST

START_TEST(a_better_face_is_no_way_past_the_gate)
{
    start_with(gated(TRIB_GATE_CONSTANT, 0.5), 2);
    offer_of(0, 0.9, 100);
    EXPECT("grant:0");
    join(0); /* a second connection with the same certificate */
    EXPECT("task:0");
    offer_of(0, 0.1, 100);
    EXPECT("discard:0 skip:0");
    upload(0);
    EXPECT("skip:0");
    ck_assert_str_eq(ignored, "its update was skipped");
    offer_of(1, 0.9, 100);
    EXPECT("grant:1");
    offer_of(1, 0.95, 90); /* its upload broke: it asks where to go on */
    EXPECT("grant:1");
    offer_of(1, 0.1, 100); /* and would upload something else */
    EXPECT("discard:1 skip:1 carried");
}
END_TEST

/* ---- comparison ---- */

static struct trib_round_options compared(enum trib_gate_rule rule, double value)
{
    struct trib_round_options options = gated(rule, value);
    options.compare_offers = true;
    return options;
}

START_TEST(compared_offers_are_scored_together)
{
    static const struct trib_score scores[] = {{0, 0.25}, {1, (double)NAN}, {2, 0.75}, {7, 0.5}, {99, 0.5}};
    start_with(compared(TRIB_GATE_CONSTANT, 0.5), 3);
    score(scores, 5);
    ck_assert_str_eq(ignored, "no offers were being compared");
    offer(0);
    offer(1);
    EXPECT("");
    offer(2);
    EXPECT("score");
    ck_assert_int_eq(state(), TRIB_ROUND_DECIDING);
    score(scores, 5); /* clients 7 and 99 were never here */
    EXPECT("skip:0 grant:1 grant:2");
    ck_assert_str_eq(actions[0].reason, "not relevant enough: relevance 0.2500, threshold 0.5000");
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    ck_assert_uint_eq(trib_round_summary(machine)->scored, 2);
    score(scores, 5);
    ck_assert_ptr_nonnull(ignored);
    fold(1);
    fold(2);
    EXPECT("apply");
}
END_TEST

START_TEST(without_scores_every_offer_is_let_through)
{
    start_with(compared(TRIB_GATE_CONSTANT, 0.5), 2);
    offer(0);
    offer(1);
    EXPECT("score");
    score(NULL, 0);
    EXPECT("grant:0 grant:1");
}
END_TEST

START_TEST(clients_come_and_go_while_offers_are_compared)
{
    static const struct trib_score scores[] = {{0, 0.75}, {1, 0.25}, {2, 0.25}};
    struct trib_round_options options = compared(TRIB_GATE_CONSTANT, 0.5);
    options.over_selection = 1.5;
    options.min_clients = 4;
    options.clients_per_round = 3;
    start(&options);
    join_all(4);
    EXPECT("begin task:0 task:1 task:2 task:3");
    offer(0);
    offer(1);
    offer(2);
    EXPECT("score");
    leave(1);
    offer_of(3, 0.125, 100); /* comes too late to be compared: what is known of it decides */
    EXPECT("");
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 0);
    EXPECT("");
    ck_assert_int_eq(state(), TRIB_ROUND_DECIDING);
    score(scores, 3);
    EXPECT("skip:2 skip:3");
    join(1);
    EXPECT("task:1");
    offer_of(1, 0.25, 100);
    EXPECT("skip:1 carried");
}
END_TEST

START_TEST(a_comparison_that_everybody_left_is_made_again)
{
    static const struct trib_score scores[] = {{0, 0.75}, {1, 0.25}};
    start_with(compared(TRIB_GATE_CONSTANT, 0.5), 2);
    offer(0);
    offer(1);
    EXPECT("score");
    leave(0);
    leave(1);
    score(scores, 2);
    EXPECT("");
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    join(0);
    join(1);
    offer(0);
    offer(1);
    EXPECT("score");
    score(scores, 2);
    EXPECT("skip:1 grant:0");
}
END_TEST

START_TEST(offers_are_compared_when_most_of_the_deadline_has_passed)
{
    static const struct trib_score scores[] = {{0, 0.75}};
    start_with(compared(TRIB_GATE_CONSTANT, 0.5), 2);
    ck_assert_int_eq(trib_round_next_tick(machine), 5000); /* nothing to decide yet */
    offer(0);
    now_ms = 4000;
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 1);
    ck_assert_int_eq(trib_round_next_tick(machine), 8000);
    now_ms = 7000;
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 1);
    ck_assert_int_eq(trib_round_next_tick(machine), 8500);
    tick_at(8500);
    EXPECT("score");
    ck_assert_int_eq(trib_round_next_tick(machine), 11000); /* client 1; the deadline is looked at after the scores */
    tick_at(12000);
    EXPECT("tell:1=late");
    ck_assert_int_eq(state(), TRIB_ROUND_DECIDING);
    score(scores, 1);
    EXPECT("grant:0 discard:0 tell:0=late abandoned"); /* too late after all */
}
END_TEST

START_TEST(a_harmful_fold_ends_a_comparison)
{
    struct trib_round_options options = compared(TRIB_GATE_OPEN, 0);
    options.max_staleness = 1;
    options.over_selection = 2;
    options.min_clients = 4;
    start(&options);
    join_all(4);
    offer(0);
    offer(1);
    EXPECT("score");
    score(NULL, 0);
    offer(2); /* after the decision */
    fold(0);
    EXPECT("grant:2");
    fold(1);
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1");
    upload(2);
    offer(0);
    offer(1);
    EXPECT("score");
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .harmful = true, .reason = "disk");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    score(NULL, 0);
    ck_assert_ptr_nonnull(ignored);
}
END_TEST

/* ---- rounds in which nobody passes ---- */

START_TEST(a_round_in_which_nobody_passes_carries_the_model_over)
{
    start_with(gated(TRIB_GATE_CONSTANT, 0.5), 2);
    offer_of(0, 0.1, 100);
    EXPECT("skip:0");
    offer_of(1, 0.2, 100);
    EXPECT("skip:1 carried");
    ck_assert_uint_eq(actions[1].round, 1);
    ck_assert_uint_eq(trib_round_number(machine), 2);
    ck_assert_int_eq(trib_round_summary(machine)->committed_ms, now_ms);
    STEP(.kind = TRIB_EVENT_APPLIED, .round = 1, .ok = true);
    ck_assert_ptr_nonnull(ignored);
    tick_at(now_ms);
    EXPECT("begin task:0 task:1");
    ck_assert_uint_eq(actions[0].round, 2);
}
END_TEST

START_TEST(the_last_round_may_be_carried)
{
    struct trib_round_options options = gated(TRIB_GATE_CONSTANT, 0.5);
    options.rounds = 1;
    start_with(options, 2);
    offer_of(0, 0.1, 100);
    offer_of(1, 0.2, 100);
    EXPECT("skip:1 carried finished");
    ck_assert_str_eq(reason(), "all rounds are done");
}
END_TEST

/* Skipped or folded, min_updates have to answer. */
START_TEST(too_few_answers_abandon_the_round)
{
    struct trib_round_options options = gated(TRIB_GATE_CONSTANT, 0.5);
    options.min_updates = 2;
    start_with(options, 3);
    offer_of(0, 0.1, 100);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 2);
    EXPECT("abandoned");
    ck_assert_str_eq(reason(), "nobody is left to wait for with 1 of at least 2 updates");
    start_with(options, 3);
    offer_of(0, 0.1, 100);
    offer_of(1, 0.9, 100);
    fold(1);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 2);
    EXPECT("apply");
}
END_TEST

START_TEST(who_was_skipped_and_has_not_heard_is_told_again)
{
    start_with(gated(TRIB_GATE_CONSTANT, 0.5), 3);
    offer_of(0, 0.1, 100);
    leave(0);
    join(0);
    EXPECT(""); /* no task: its part is over */
    offer_of(0, 0.9, 100);
    EXPECT("skip:0");
    ck_assert_str_eq(reason(), "not relevant enough: relevance 0.1000, threshold 0.5000");
    ck_assert_ptr_nonnull(ignored);
    ck_assert_uint_eq(trib_round_summary(machine)->skipped, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->offered, 1);
    offer_of(1, 0.9, 100);
    fold(1);
    offer_of(2, 0.1, 100);
    commit();
    offer_of(0, 0.9, 100);
    EXPECT("tell:0=late");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_gate");
    TCase *tests = tcase_create("gate");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, a_constant_threshold_decides_each_offer_when_it_comes);
    tcase_add_test(tests, a_decaying_threshold_falls_from_round_to_round);
    tcase_add_test(tests, patience_lets_everybody_through_at_last);
    tcase_add_test(tests, the_first_round_has_nothing_to_compare_with);
    tcase_add_test(tests, a_share_waits_for_the_offers_that_are_wanted);
    tcase_add_test(tests, a_late_offer_that_is_good_enough_is_let_through);
    tcase_add_test(tests, without_a_deadline_the_offers_wait_for_the_last_client);
    tcase_add_test(tests, bytes_are_given_to_the_most_relevant);
    tcase_add_test(tests, a_client_that_comes_back_is_not_charged_again);
    tcase_add_test(tests, a_client_that_comes_back_with_more_bytes_is_charged);
    tcase_add_test(tests, a_better_face_is_no_way_past_the_gate);
    tcase_add_test(tests, compared_offers_are_scored_together);
    tcase_add_test(tests, without_scores_every_offer_is_let_through);
    tcase_add_test(tests, clients_come_and_go_while_offers_are_compared);
    tcase_add_test(tests, a_comparison_that_everybody_left_is_made_again);
    tcase_add_test(tests, offers_are_compared_when_most_of_the_deadline_has_passed);
    tcase_add_test(tests, a_harmful_fold_ends_a_comparison);
    tcase_add_test(tests, a_round_in_which_nobody_passes_carries_the_model_over);
    tcase_add_test(tests, the_last_round_may_be_carried);
    tcase_add_test(tests, too_few_answers_abandon_the_round);
    tcase_add_test(tests, who_was_skipped_and_has_not_heard_is_told_again);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
