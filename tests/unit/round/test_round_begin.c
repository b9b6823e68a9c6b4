/* The beginning of a round: when there are enough clients for one, and who of them may be picked. */
#include "round_fixture.h"

START_TEST(a_round_begins_when_enough_clients_are_here)
{
    struct trib_round_options options = usual();
    start(&options);
    tick_at(now_ms); /* nobody was ever here */
    EXPECT("");
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    join(0);
    EXPECT("");
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    STEP(.kind = TRIB_EVENT_LEFT, .client = 0);
    join(1);
    EXPECT("");
    join(0);
    EXPECT("begin task:0 task:1");
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 4000);
    const struct trib_round_summary *s = trib_round_summary(machine);
    ck_assert_uint_eq(s->available, 2);
    ck_assert_uint_eq(s->cohort, 2);
    ck_assert_int_eq(s->began_ms, now_ms);
}
END_TEST

/* With fewer clients than min_updates every attempt would be in vain. */
START_TEST(a_round_waits_for_as_many_clients_as_it_needs_updates)
{
    struct trib_round_options options = usual();
    options.clients_per_round = 10;
    options.min_clients = 1;
    options.min_updates = 3;
    start(&options);
    join_all(2);
    EXPECT("");
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    join(2);
    EXPECT("begin task:0 task:1 task:2");
}
END_TEST

START_TEST(the_cohort_is_over_selected)
{
    static const struct {
        uint32_t per_round, clients;
        double over;
        uint32_t cohort;
    } cases[] = {{10, 40, 1.3, 13}, {3, 40, 1.3, 4},  {10, 11, 1.3, 11},   {10, 5, 1.3, 5},     {0, 9, 1.3, 9},
                 {10, 40, 1, 10},   {1, 40, 1.01, 2}, {20, 40, 1e300, 40}, {100, 150, 1.1, 110}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trib_round_options options = usual();
        options.selector = trib_selector_find("random");
        options.min_clients = cases[i].clients;
        options.clients_per_round = cases[i].per_round;
        options.over_selection = cases[i].over;
        start(&options);
        join_all(cases[i].clients);
        ck_assert_uint_eq(trib_round_summary(machine)->cohort, cases[i].cohort);
        ck_assert_uint_eq(n_actions, 1 + cases[i].cohort);
    }
}
END_TEST

/* Who is picked depends on names, not on who came first. */
START_TEST(arrival_order_does_not_change_the_cohort)
{
    enum { CLIENTS = 20 };
    bool first[CLIENTS] = {false};
    for (int run = 0; run < 3; run++) {
        struct trib_round_options options = usual();
        options.selector = trib_selector_find("random");
        options.min_clients = CLIENTS;
        options.clients_per_round = 6;
        start(&options);
        bool picked[CLIENTS] = {false};
        for (uint32_t i = 0; i < CLIENTS; i++) {
            /* client numbers are given out by arrival: node `name` arrives as number i */
            uint32_t name = run == 0 ? i : run == 1 ? CLIENTS - 1 - i : (i * 7 + 3) % CLIENTS;
            STEP(.kind = TRIB_EVENT_JOINED, .client = i, .examples = 10, .key = 1000 + name, .eligible = true);
        }
        for (size_t a = 0; a < n_actions; a++) {
            if (actions[a].kind == TRIB_ACTION_TASK) {
                uint32_t i = actions[a].client;
                picked[run == 0 ? i : run == 1 ? CLIENTS - 1 - i : (i * 7 + 3) % CLIENTS] = true;
            }
        }
        if (run == 0) {
            memcpy(first, picked, sizeof first);
        }
        ck_assert_mem_eq(first, picked, sizeof first);
    }
}
END_TEST

START_TEST(who_is_not_eligible_is_not_picked)
{
    struct trib_round_options options = usual();
    start(&options);
    STEP(.kind = TRIB_EVENT_JOINED, .client = 1, .examples = 10, .key = 1, .eligible = false);
    EXPECT("");
    join(0);
    EXPECT("begin task:0"); /* min_clients are here, and one of them may take part */
    ck_assert_uint_eq(trib_round_summary(machine)->available, 2);
    ck_assert_uint_eq(trib_round_summary(machine)->eligible, 1);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 0, .eligible = false);
    offer(0); /* what it began it may end */
    fold(0);
    EXPECT("apply");
    commit();
    tick_at(now_ms);
    EXPECT("");
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 0, .eligible = false);
    ck_assert_str_eq(ignored, "nothing has changed");
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 9, .eligible = true);
    ck_assert_ptr_nonnull(ignored);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 1, .eligible = true);
    EXPECT("begin task:1");
}
END_TEST

START_TEST(an_event_without_news_does_not_begin_a_round)
{
    struct trib_round_options options = usual();
    start(&options);
    join_all(2);
    fold_both(0, 1);
    commit();
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 0, .eligible = true);
    ck_assert_ptr_nonnull(ignored);
    EXPECT("");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
}
END_TEST

START_TEST(clients_rest_between_two_rounds)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.separation = 1;
    options.min_clients = 4;
    start(&options);
    join_all(4);
    EXPECT("begin task:0 task:1");
    fold_both(0, 1);
    commit();
    tick_at(now_ms);
    EXPECT("begin task:2 task:3");
    ck_assert_uint_eq(trib_round_summary(machine)->eligible, 2);
    offer(2);
    fold(2);
    offer(3);
    fold(3);
    commit();
    leave(3);
    leave(0);
    join(5);
    EXPECT("");
    join(6);
    EXPECT("begin task:5 task:6");
    ck_assert_uint_eq(trib_round_summary(machine)->eligible, 3); /* not client 2, who was just here */
}
END_TEST

START_TEST(rest_is_given_up_where_no_round_could_begin)
{
    struct trib_round_options options = usual();
    options.separation = 5;
    options.min_updates = 2;
    start(&options);
    join_all(3);
    EXPECT("");
    fold_both(0, 1);
    commit();
    tick_at(now_ms);
    ck_assert_uint_eq(trib_round_summary(machine)->eligible, 3); /* only client 2 has rested: too few to commit */
    EXPECT("begin task:0 task:2");
}
END_TEST

/* A round that is begun again is no second round: those who were picked may be picked again. */
START_TEST(an_abandoned_round_tires_nobody)
{
    struct trib_round_options options = usual();
    options.min_clients = 5;
    options.clients_per_round = 4;
    options.separation = 1;
    start(&options);
    join_all(5);
    tick_at(now_ms + 5000);
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    tick_at(now_ms + 500);
    ck_assert_uint_eq(trib_round_summary(machine)->cohort, 4);
    ck_assert_uint_eq(trib_round_summary(machine)->eligible, 5);
}
END_TEST

static void lie(uint32_t client)
{
    offer(client);
    upload(client);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = client, .lied = true, .reason = "it is not what was offered");
}

START_TEST(who_lied_is_left_out)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.min_clients = 3;
    options.clients_per_round = 3;
    options.penalty_rounds = 2;
    start(&options);
    join_all(3);
    lie(2);
    EXPECT("tell:2=rejected");
    fold_both(0, 1);
    commit();
    for (int round = 2; round <= 4; round++) {
        tick_at(now_ms);
        EXPECT(round < 4 ? "begin task:0 task:1" : "begin task:0 task:1 task:2");
        leave(2);
        join(2); /* with a new connection as well */
        if (round < 4) {
            fold_both(0, 1);
            commit();
        }
    }
    options.penalty_rounds = 0;
    options.clients_per_round = 0;
    start(&options);
    join_all(3);
    for (uint32_t i = 0; i < 3; i++) {
        lie(i);
    }
    EXPECT("tell:2=rejected abandoned");
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1 task:2"); /* no penalty: not in the rest of this round either */
}
END_TEST

/* What a selector is told of a member is of its last task. */
static struct trib_member_report reported[8];
static size_t n_reported;

static void keep_report(void *own, const void *settings, uint64_t round, const struct trib_member_report *members,
                        size_t n)
{
    (void)own;
    (void)settings;
    (void)round;
    memcpy(reported, members, n * sizeof *members);
    n_reported = n;
}

START_TEST(selectors_hear_of_the_last_task_only)
{
    static const struct trib_selector selector = {.name = "reported", .pick = pick_in_turn, .report = keep_report};
    struct trib_round_options options = usual();
    options.selector = &selector;
    start(&options);
    join_all(2);
    now_ms = 3000;
    for (uint32_t i = 0; i < 2; i++) {
        STEP(.kind = TRIB_EVENT_OFFER, .client = i, .examples = 7 + i, .loss = 0.5, .relevance = (double)NAN);
        fold(i);
    }
    commit();
    ck_assert_uint_eq(n_reported, 2);
    ck_assert(reported[1].examples == 8 && reported[1].loss == 0.5 && reported[1].seconds == 2 && reported[1].folded);
    tick_at(now_ms);
    now_ms -= 1000; /* the clock was set back */
    STEP(.kind = TRIB_EVENT_OFFER, .client = 0, .examples = 7, .loss = 0.25, .relevance = (double)NAN);
    fold(0);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1);
    commit();
    ck_assert_uint_eq(n_reported, 2);
    ck_assert(reported[0].seconds == 0 && reported[0].loss == 0.25 && reported[0].folded);
    ck_assert(isnan(reported[1].loss) && isnan(reported[1].seconds) && !reported[1].folded);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_begin");
    TCase *tests = tcase_create("beginning");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, a_round_begins_when_enough_clients_are_here);
    tcase_add_test(tests, a_round_waits_for_as_many_clients_as_it_needs_updates);
    tcase_add_test(tests, the_cohort_is_over_selected);
    tcase_add_test(tests, arrival_order_does_not_change_the_cohort);
    tcase_add_test(tests, who_is_not_eligible_is_not_picked);
    tcase_add_test(tests, an_event_without_news_does_not_begin_a_round);
    tcase_add_test(tests, clients_rest_between_two_rounds);
    tcase_add_test(tests, rest_is_given_up_where_no_round_could_begin);
    tcase_add_test(tests, an_abandoned_round_tires_nobody);
    tcase_add_test(tests, who_lied_is_left_out);
    tcase_add_test(tests, selectors_hear_of_the_last_task_only);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
