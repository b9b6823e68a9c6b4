/* Whom a round waits for, and in which order those whose time is over are told. */
#include "round_fixture.h"

/* Two updates are wanted of three members; the gate lets relevant ones through. */
static void three_for_two(void)
{
    struct trib_round_options options = usual();
    options.min_clients = 3;
    options.over_selection = 1.5;
    options.gate = (struct trib_gate){.rule = TRIB_GATE_CONSTANT, .value = 0.5};
    start(&options);
    join_all(3);
    EXPECT("begin task:0 task:1 task:2");
}

START_TEST(whoever_was_let_through_and_is_away_is_waited_for)
{
    three_for_two();
    offer_of(0, 0.75, 100);
    EXPECT("grant:0");
    leave(0);
    offer_of(1, 0.25, 100);
    EXPECT("skip:1");
    offer_of(2, 0.25, 100);
    EXPECT("skip:2"); /* as many as are wanted, but one is on its way */
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    join(0);
    EXPECT("task:0");
    offer_of(0, 0.75, 100);
    EXPECT("grant:0");
    upload(0);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
    EXPECT("apply");
}
END_TEST

START_TEST(whoever_was_let_through_is_not_waited_for_when_it_does_not_come_back)
{
    three_for_two();
    offer_of(0, 0.75, 100);
    leave(0);
    offer_of(1, 0.25, 100);
    offer_of(2, 0.25, 100);
    tick_at(now_ms + 1000);
    EXPECT("discard:0 tell:0=late carried");
}
END_TEST

START_TEST(whoever_was_not_let_through_yet_is_not_waited_for)
{
    three_for_two();
    leave(0);
    offer_of(1, 0.25, 100);
    offer_of(2, 0.25, 100);
    EXPECT("skip:2 tell:0=late carried");
}
END_TEST

START_TEST(those_whose_time_is_over_are_told_in_order)
{
    struct trib_round_options options = usual();
    options.min_clients = options.clients_per_round = 4;
    start(&options);
    join_all(4);
    for (uint32_t client = 4; client-- > 0;) { /* the last is idle for the longest */
        now_ms += 10;
        STEP(.kind = TRIB_EVENT_PROGRESS, .client = client);
    }
    ck_assert_int_eq(trib_round_next_tick(machine), 1010 + 4000);
    tick_at(1010 + 4000);
    EXPECT("tell:3=late");
    ck_assert_int_eq(trib_round_next_tick(machine), 1020 + 4000);
    tick_at(1040 + 4000);
    EXPECT("tell:0=late tell:1=late tell:2=late abandoned");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_waits");
    TCase *tests = tcase_create("waits");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, whoever_was_let_through_and_is_away_is_waited_for);
    tcase_add_test(tests, whoever_was_let_through_is_not_waited_for_when_it_does_not_come_back);
    tcase_add_test(tests, whoever_was_not_let_through_yet_is_not_waited_for);
    tcase_add_test(tests, those_whose_time_is_over_are_told_in_order);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
