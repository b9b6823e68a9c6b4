/* The round engine with a buffer: no cohorts, clients always at work, updates of any round. */
#include "round_fixture.h"

static struct trib_round_options buffered(uint32_t buffer, uint32_t at_work)
{
    struct trib_round_options options = usual();
    options.rounds = 9;
    options.buffer = buffer;
    options.clients_per_round = at_work;
    options.max_staleness = 2;
    options.min_clients = 2;
    options.uploads_in_flight = 4;
    return options;
}

START_TEST(so_many_clients_are_always_at_work)
{
    struct trib_round_options options = buffered(2, 3);
    start(&options);
    join_all(2);
    EXPECT("begin task:0 task:1");
    join(2);
    EXPECT("task:2");
    ck_assert_uint_eq(trib_round_summary(machine)->cohort, 3);
    join(3);
    join(4);
    EXPECT("");
    offer(0);
    fold(0);
    EXPECT("task:3"); /* in the place of client 0, who has to wait for the next model */
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1);
    EXPECT("task:4");
    leave(2);
    EXPECT(""); /* it may come back */
    tick_at(now_ms + 1000);
    EXPECT("tell:2=late");
    join(5);
    EXPECT("task:5");
    offer(3);
    fold(3);
    EXPECT("apply");
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 5, .eligible = false);
    EXPECT("");
    commit();
    EXPECT("committed tell:0=folded tell:3=folded");
    tick_at(now_ms);
    EXPECT("begin task:0"); /* clients 4 and 5 are at work */
    ck_assert_int_eq(member(5), TRIB_MEMBER_TASKED);
}
END_TEST

START_TEST(a_full_buffer_closes_the_round_whatever_the_updates_are_of)
{
    struct trib_round_options options = buffered(2, 3);
    start(&options);
    join_all(3);
    fold_both(0, 1);
    EXPECT("apply");
    ck_assert_uint_eq(trib_round_summary(machine)->staleness, 0);
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1");
    offer(2);
    fold(2);
    ck_assert_uint_eq(trib_round_summary(machine)->staleness, 1);
    offer(1);
    upload(1);
    EXPECT("fold:1");
    offer(0);
    EXPECT("grant:0");
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
    EXPECT("apply"); /* client 0 goes on */
    upload(0);
    EXPECT("");
    ck_assert_int_eq(member(0), TRIB_MEMBER_UPLOADED);
    commit();
    EXPECT("committed tell:1=folded tell:2=folded");
    ck_assert_uint_eq(actions[1].round, 2);
    ck_assert_uint_eq(actions[2].round, 1);
    tick_at(now_ms);
    EXPECT("begin task:1 task:2 fold:0+1");
    ck_assert_uint_eq(trib_round_number(machine), 3);
}
END_TEST

/* What is being folded when the buffer is full is waited for; what comes in the meantime waits for the next round. */
START_TEST(folds_under_way_are_part_of_the_round_that_closes)
{
    struct trib_round_options options = buffered(1, 3);
    start(&options);
    join_all(3);
    offer(0);
    offer(1);
    offer(2);
    upload(0);
    upload(1);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
    EXPECT("");
    upload(2);
    EXPECT("");
    ck_assert_int_eq(member(2), TRIB_MEMBER_UPLOADED);
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX); /* the answer alone is waited for */
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
    EXPECT("apply");
    ck_assert_uint_eq(trib_round_summary(machine)->folded, 2);
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1 fold:2+1");
}
END_TEST

START_TEST(who_is_too_far_behind_is_late)
{
    struct trib_round_options options = buffered(1, 2);
    options.idle_timeout_ms = 0;
    start(&options);
    join_all(2);
    for (int round = 1; round <= 3; round++) {
        offer(0);
        fold(0);
        EXPECT(round < 3 ? "apply" : "tell:1=late apply"); /* it would be three rounds behind */
        commit();
        tick_at(now_ms);
        EXPECT(round < 3 ? "begin task:0" : "begin task:0 task:1");
    }
}
END_TEST

START_TEST(a_deadline_with_nothing_folded_begins_anew)
{
    struct trib_round_options options = buffered(2, 2);
    options.deadline_ms = 3000;
    start(&options);
    join_all(2);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 0);
    EXPECT("");
    ck_assert_int_eq(member(0), TRIB_MEMBER_FAILED);
    ck_assert_int_eq(trib_round_next_tick(machine), 4000);
    tick_at(4000);
    EXPECT("task:0"); /* those who ended may be picked again; client 1 goes on */
    ck_assert_int_eq(trib_round_next_tick(machine), 5000);
    offer(1);
    upload(1);
    tick_at(7000);
    EXPECT(""); /* an update that is being folded when the deadline comes */
    ck_assert_int_gt(trib_round_next_tick(machine), now_ms);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = false, .reason = "nan");
    EXPECT("tell:1=rejected"); /* is no reason to throw away the others' work when it is refused */
    ck_assert_int_eq(member(0), TRIB_MEMBER_TASKED);
    ck_assert_uint_eq(trib_round_number(machine), 1);
}
END_TEST

START_TEST(a_deadline_with_something_folded_commits)
{
    struct trib_round_options options = buffered(2, 2);
    options.deadline_ms = 3000;
    start(&options);
    join_all(2);
    offer(0);
    fold(0);
    EXPECT("");
    tick_at(4000);
    EXPECT("apply");
    ck_assert_int_eq(member(1), TRIB_MEMBER_TASKED);
    commit();
    EXPECT("committed tell:0=folded");
}
END_TEST

/* Without a deadline nothing else would end the round. */
START_TEST(a_buffer_that_nobody_is_left_to_fill_closes)
{
    struct trib_round_options options = buffered(3, 3);
    options.deadline_ms = 0;
    start(&options);
    join_all(3);
    fold_both(0, 1);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 2);
    EXPECT("apply");
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1 task:2");
    for (uint32_t i = 0; i < 3; i++) {
        STEP(.kind = TRIB_EVENT_FAILURE, .client = i);
    }
    EXPECT("abandoned"); /* nothing is lost, and there is a pause */
    tick_at(trib_round_next_tick(machine));
    EXPECT("begin task:0 task:1 task:2");
    ck_assert_uint_eq(trib_round_number(machine), 2);
}
END_TEST

START_TEST(failures_do_not_starve_a_buffer)
{
    struct trib_round_options options = buffered(2, 2);
    start(&options);
    join_all(6);
    uint32_t next = 2;
    for (uint32_t i = 0; i < 4; i++, next++) {
        STEP(.kind = TRIB_EVENT_FAILURE, .client = i);
        char expected[16];
        snprintf(expected, sizeof expected, "task:%u", next);
        EXPECT(expected);
    }
    fold_both(4, 5);
    EXPECT("apply");
}
END_TEST

START_TEST(a_buffer_with_a_gate_that_nobody_passes_carries_the_model_over)
{
    struct trib_round_options options = buffered(2, 2);
    options.gate = (struct trib_gate){.rule = TRIB_GATE_DECAY, .value = 0.8};
    start(&options);
    join_all(3);
    for (uint64_t round = 1; round < 4; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
            for (uint32_t client = 0; client < 3; client++) {
                if (member(client) == TRIB_MEMBER_TASKED) {
                    offer_of(client, 0.1, 100);
                    break;
                }
            }
        }
        ck_assert_str_eq(asked() + strlen(asked()) - 7, "carried");
        ck_assert_uint_eq(trib_round_number(machine), round + 1); /* its threshold falls */
        tick_at(now_ms);
    }
    offer_of(0, 0.1, 100);
    tick_at(now_ms + 10000);
    ck_assert_uint_eq(trib_round_number(machine), 5);
}
END_TEST

START_TEST(everybody_who_is_here_works_for_a_buffer_without_a_limit)
{
    struct trib_round_options options = buffered(2, 0);
    start(&options);
    join_all(3);
    join(3);
    EXPECT("task:3");
    ck_assert_uint_eq(trib_round_summary(machine)->cohort, 4);
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("tell:0=abandoned tell:1=abandoned tell:2=abandoned tell:3=abandoned abandoned finished");
}
END_TEST

/* Too little memory to pick: the round goes on, and it is tried again. */
static bool no_memory;
static enum trib_status pick_or_not(void *own, const struct trib_selection *selection, struct trib_pick *picked)
{
    return no_memory ? TRIB_NO_MEMORY : pick_in_turn(own, selection, picked);
}

START_TEST(a_selector_without_memory_is_asked_again)
{
    static const struct trib_selector selector = {.name = "forgetful", .pick = pick_or_not};
    struct trib_round_options options = buffered(2, 2);
    options.selector = &selector;
    options.deadline_ms = 0;
    no_memory = true;
    start(&options);
    join_all(2);
    EXPECT("begin");
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 500);
    tick_at(now_ms + 500);
    EXPECT("");
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 500);
    no_memory = false;
    tick_at(now_ms + 500);
    EXPECT("task:0 task:1");
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 4000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_async");
    TCase *tests = tcase_create("buffers");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, so_many_clients_are_always_at_work);
    tcase_add_test(tests, a_full_buffer_closes_the_round_whatever_the_updates_are_of);
    tcase_add_test(tests, folds_under_way_are_part_of_the_round_that_closes);
    tcase_add_test(tests, who_is_too_far_behind_is_late);
    tcase_add_test(tests, a_deadline_with_nothing_folded_begins_anew);
    tcase_add_test(tests, a_deadline_with_something_folded_commits);
    tcase_add_test(tests, a_buffer_that_nobody_is_left_to_fill_closes);
    tcase_add_test(tests, failures_do_not_starve_a_buffer);
    tcase_add_test(tests, a_buffer_with_a_gate_that_nobody_passes_carries_the_model_over);
    tcase_add_test(tests, everybody_who_is_here_works_for_a_buffer_without_a_limit);
    tcase_add_test(tests, a_selector_without_memory_is_asked_again);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
