/* Snapshots of a round engine: every field, told and taken back; what it leaves when it is
 * stopped; and damage, which is refused. */
#include "fail_memory.h"
#include "round_snapshot_fixture.h"

/* ---- every field ---- */

static enum trib_status pick_none(void *own, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)own;
    (void)selection;
    (void)picked;
    return TRIB_NO_MEMORY;
}
/* Never asked, but for its state. */
static const struct trib_selector with_state = {.name = "with_state", .state_size = 24, .pick = pick_none};

static struct trib_member_snapshot odd_member(uint32_t client, enum trib_member_state state)
{
    double x = client + 0.25;
    return (struct trib_member_snapshot){.client = client,
                                         .state = state,
                                         .task_round = 3,
                                         .task_attempt = 4,
                                         .task_commits = 1,
                                         .admitted = true,
                                         .has_offered = true,
                                         .has_score = true,
                                         .key = 1000 + client,
                                         .examples = 1100 + client,
                                         .last_round = 2,
                                         .barred_until = 1200 + client,
                                         .offer_order = 1300 + client,
                                         .bytes = 1400 + client,
                                         .offer_loss = x,
                                         .offer_seconds = x + 1,
                                         .offer_relevance = x + 2,
                                         .admitted_relevance = x + 3,
                                         .admitted_bytes = 1500 + client,
                                         .picked = 1600 + client,
                                         .folded = 1700 + client,
                                         .skipped = 1800 + client,
                                         .skipped_in_row = 1900 + client,
                                         .failed = 2000 + client,
                                         .loss = x + 4,
                                         .seconds = x + 5,
                                         .relevance = x + 6};
}

static void remember_oddly(void)
{
    struct trib_round_options of = usual();
    of.selector = &with_state;
    of.max_staleness = 9;
    begin(&of);
    memset(&kept, 0, sizeof kept);
    memset(kept.selector_state, 0x5a, with_state.state_size);
    kept.run = (struct trib_round_snapshot){.number = 3,
                                            .attempt = 4,
                                            .commits = 2,
                                            .offers = 5000,
                                            .draws = 60,
                                            .open = true,
                                            .decided = true,
                                            .cut = {.threshold = 0.375, .bytes_left = 70},
                                            .wanted = 5,
                                            .selector_state = kept.selector_state,
                                            .selector_state_len = with_state.state_size};
    kept.n = 2;
    kept.members[0] = odd_member(1, TRIB_MEMBER_TASKED);
    kept.members[1] = odd_member(6, TRIB_MEMBER_SKIPPED);
}

START_TEST(every_field_of_the_engine_survives)
{
    struct trib_round_snapshot run;
    remember_oddly();
    restore();
    trib_round_recall(machine, false, &run);
    ck_assert_uint_eq(run.number, 3);
    ck_assert_uint_eq(run.attempt, 4);
    ck_assert_uint_eq(run.commits, 2);
    ck_assert_uint_eq(run.offers, 5000);
    ck_assert_uint_eq(run.draws, 60);
    ck_assert(run.open && run.decided);
    ck_assert_double_eq(run.cut.threshold, 0.375);
    ck_assert_uint_eq(run.cut.bytes_left, 70);
    ck_assert_uint_eq(run.wanted, 5);
    ck_assert_uint_eq(run.selector_state_len, with_state.state_size);
    ck_assert_mem_eq(run.selector_state, kept.selector_state, with_state.state_size);
    ck_assert_uint_eq(trib_round_number(machine), 3);
    kept.run.open = kept.run.decided = false;
    restore();
    trib_round_recall(machine, false, &run);
    ck_assert(!run.open && !run.decided);
}
END_TEST

START_TEST(every_field_of_a_member_survives)
{
    remember_oddly();
    restore();
    for (size_t i = 0; i < kept.n; i++) {
        struct trib_member_snapshot member;
        ck_assert(trib_round_recall_member(machine, kept.members[i].client, &member));
        const char *field = member_difference(&member, &kept.members[i]);
        ck_assert_msg(!field, "%s is not what it was", field);
    }
    for (uint32_t i = 0; i < MOST_MEMBERS; i++) {
        struct trib_member_snapshot member;
        ck_assert(i == 1 || i == 6 || !trib_round_recall_member(machine, i, &member));
    }
    /* and what it does not know stays unknown */
    kept.members[0].loss = kept.members[0].offer_seconds = (double)NAN;
    kept.members[0].admitted = kept.members[0].has_offered = kept.members[0].has_score = false;
    restore();
    struct trib_member_snapshot member;
    ck_assert(trib_round_recall_member(machine, 1, &member));
    ck_assert_ptr_null(member_difference(&member, &kept.members[0]));
}
END_TEST

/* Settings may have changed, or the store have lost the last notes: who is too far behind now is not waited for. */
START_TEST(what_is_too_far_behind_is_not_taken_up)
{
    static const enum trib_member_state states[] = {TRIB_MEMBER_TASKED, TRIB_MEMBER_UPLOADED, TRIB_MEMBER_FOLDED};
    for (size_t i = 0; i < 6; i++) {
        remember_oddly();
        options.max_staleness = 0;
        kept.run.open = i % 2;
        kept.n = 1;
        kept.members[0].state = states[i / 2];
        kept.members[0].task_commits = kept.run.commits - 1;
        restore();
        ck_assert_int_eq(member(1), i % 2 ? TRIB_MEMBER_LATE : TRIB_MEMBER_NONE);
    }
}
END_TEST

/* What has to come from its client is TASKED again; what is here is UPLOADED; what was final is so while the round is
 * open. */
START_TEST(every_state_has_its_successor)
{
    static const char letters[TRIB_MEMBER_STATE_COUNT + 1] = "NTOAGUDFSREL";
    static const char *const expected[2] = {"NTTTTUUUNNNN", "NTTTTUUUSREL"};
    for (int open = 0; open < 2; open++) {
        char row[TRIB_MEMBER_STATE_COUNT + 1] = "";
        for (int state = 0; state < TRIB_MEMBER_STATE_COUNT; state++) {
            remember_oddly();
            kept.run.open = open;
            kept.n = 1;
            kept.members[0].state = (enum trib_member_state)state;
            restore();
            row[state] = letters[member(1)];
        }
        ck_assert_str_eq(row, expected[open]);
    }
}
END_TEST

START_TEST(what_happened_is_what_is_remembered)
{
    a_round_in_the_middle();
    recall(false);
    const struct remembered before = kept;
    ck_assert_uint_eq(before.n, 4);
    ck_assert_double_eq(snapshot_of(1)->offer_seconds, 0.25);
    ck_assert_double_eq(snapshot_of(1)->admitted_relevance, 0.75);
    ck_assert_uint_eq(snapshot_of(3)->skipped_in_row, 1);
    restore();
    recall(false);
    ck_assert_mem_eq(&kept.run.cut, &before.run.cut, sizeof kept.run.cut);
    for (size_t i = 0; i < before.n; i++) {
        static const enum trib_member_state now_in[] = {TRIB_MEMBER_TASKED, TRIB_MEMBER_TASKED, TRIB_MEMBER_UPLOADED,
                                                        TRIB_MEMBER_SKIPPED};
        ck_assert_int_eq(kept.members[i].state, now_in[i]);
        kept.members[i].state = before.members[i].state;
        ck_assert_ptr_null(member_difference(&kept.members[i], &before.members[i]));
    }
}
END_TEST

/* ---- to stop without an end ---- */

START_TEST(to_stop_tells_nobody)
{
    a_round_in_the_middle();
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("finished");
    ck_assert_str_eq(reason(), "stopped");
    ck_assert_int_eq(member(0), TRIB_MEMBER_TASKED);
    ck_assert_int_eq(member(1), TRIB_MEMBER_GRANTED);
    ck_assert_int_eq(member(2), TRIB_MEMBER_FOLDED);
    ck_assert_int_eq(member(3), TRIB_MEMBER_SKIPPED);
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    recall(false);
    ck_assert(kept.run.open);
    ck_assert_uint_eq(kept.run.attempt, 0);
    restore();
    resume();
    EXPECT("begin fold:2");
}
END_TEST

START_TEST(to_stop_while_offers_are_compared_tells_nobody)
{
    struct trib_round_options of = usual();
    of.compare_offers = true;
    begin(&of);
    join_all(2);
    offer(0);
    offer(1);
    EXPECT("score");
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("finished");
    restart();
    EXPECT("begin"); /* they are compared when they have offered again */
    join_all(2);
    EXPECT("task:1");
    offer(0);
    offer(1);
    EXPECT("score");
}
END_TEST

START_TEST(to_stop_between_rounds_leaves_those_at_work)
{
    struct trib_round_options of = usual();
    of.over_selection = 2;
    of.min_clients = 4;
    of.max_staleness = 1;
    begin(&of);
    join_all(4);
    fold_both(0, 1);
    commit();
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT("finished");
    recall(false);
    ck_assert(!kept.run.open);
    ck_assert_int_eq(snapshot_of(2)->state, TRIB_MEMBER_TASKED);
}
END_TEST

START_TEST(what_is_being_committed_is_committed_before_it_stops)
{
    for (int from = TRIB_ROUND_APPLYING; from <= TRIB_ROUND_COMMITTING; from++) {
        struct trib_round_options of = usual();
        of.evaluate = true;
        begin(&of);
        join_all(2);
        fold_both(0, 1);
        if (from > TRIB_ROUND_APPLYING) {
            STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
        }
        if (from > TRIB_ROUND_EVALUATING) {
            STEP(.kind = TRIB_EVENT_EVALUATED, .ok = true);
        }
        ck_assert_int_eq(state(), from);
        STEP(.kind = TRIB_EVENT_STOP);
        EXPECT("");
        if (from == TRIB_ROUND_APPLYING) {
            STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
        }
        if (from <= TRIB_ROUND_EVALUATING) {
            STEP(.kind = TRIB_EVENT_EVALUATED, .ok = true);
        }
        STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
        EXPECT("committed tell:0=folded tell:1=folded finished");
        recall(false);
        ck_assert(!kept.run.open);
        ck_assert_uint_eq(kept.run.number, 2);
        ck_assert_uint_eq(kept.run.commits, 1);
    }
}
END_TEST

START_TEST(a_commit_that_fails_while_it_stops_ends_the_attempt)
{
    two_at_work();
    fold_both(0, 1);
    STEP(.kind = TRIB_EVENT_STOP);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = false, .reason = "not finite");
    EXPECT("tell:0=abandoned tell:1=abandoned abandoned finished");
    recall(false);
    ck_assert(!kept.run.open);
    ck_assert_uint_eq(kept.run.attempt, 1);
}
END_TEST

/* ---- the list of those who changed ---- */

static const char *changed(void)
{
    static char text[64];
    const uint32_t *clients;
    size_t n = trib_round_take_changed(machine, &clients), used = 0;
    text[0] = 0;
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%" PRIu32 " ", clients[i]);
    }
    return text;
}

START_TEST(whoever_has_changed_is_listed_once)
{
    struct trib_round_options of = usual();
    begin(&of);
    ck_assert_str_eq(changed(), "");
    join(1);
    ck_assert_str_eq(changed(), "1 ");
    ck_assert_str_eq(changed(), "");
    join(0);
    EXPECT("begin task:0 task:1");
    offer(1);
    ck_assert_str_eq(changed(), "0 1 ");
    STEP(.kind = TRIB_EVENT_PROGRESS, .client = 0);
    ck_assert_str_eq(changed(), "");
    fold(1);
    ck_assert_str_eq(changed(), "1 ");
    join(1);
    ck_assert_str_eq(changed(), "1 "); /* maybe with other examples */
    recall(false);
    restore();
    ck_assert_str_eq(changed(), "0 1 ");
}
END_TEST

/* ---- damage ---- */

static void damage(int kind)
{
    struct trib_member_snapshot *member = &kept.members[0];
    switch (kind) {
    case 0:
        kept.run.number = 0;
        break;
    case 1:
        kept.run.number = 4; /* of 3 */
        break;
    case 2:
        kept.run.commits = 3;
        break;
    case 3:
        kept.run.selector_state_len++;
        break;
    case 4:
        kept.run.selector_state_len = 0;
        break;
    case 5:
        kept.run.wanted = 0;
        break;
    case 6:
        member->state = TRIB_MEMBER_STATE_COUNT;
        break;
    case 7:
        member->state = (enum trib_member_state)(-1);
        break;
    case 8:
        member->task_round = 4;
        break;
    case 9:
        member->task_commits = 3;
        break;
    case 10:
        member->task_attempt = 5;
        break;
    case 11:
        member->last_round = 4;
        break;
    default:
        member->task_round = 0;
        member->state = kind - 12 + TRIB_MEMBER_TASKED;
    }
}
enum { DAMAGES = 12 + TRIB_MEMBER_FOLDED - TRIB_MEMBER_TASKED + 1 };

START_TEST(a_damaged_snapshot_is_refused)
{
    for (int kind = 0; kind < DAMAGES; kind++) {
        struct trib_error error = {0};
        remember_oddly();
        restore();
        damage(kind);
        enum trib_status status = try_restore(&error);
        ck_assert_msg(status == TRIB_CORRUPT, "damage %d: %s", kind, trib_status_name(status));
        ck_assert_msg(strstr(error.message, kind < 6 ? "this is no state of this run" : "a client in state"),
                      "damage %d: %s", kind, error.message);
    }
}
END_TEST

START_TEST(what_is_not_at_work_needs_no_task)
{
    remember_oddly();
    kept.members[0].state = TRIB_MEMBER_NONE;
    kept.members[0].task_round = kept.members[0].task_attempt = kept.members[0].task_commits = 0;
    kept.members[1].task_round = 2; /* of an earlier round, which may have had more attempts */
    kept.members[1].task_attempt = 9;
    restore();
    ck_assert_int_eq(member(6), TRIB_MEMBER_SKIPPED);
}
END_TEST

START_TEST(without_memory_it_says_so)
{
    struct trib_error error;
    remember_oddly();
    trib_round_free(machine);
    machine = NULL;
    ck_assert_int_eq(trib_round_new(&options, &machine, &error), TRIB_OK);
    (void)fail_memory_after(0, true);
    enum trib_status status = trib_round_restore(machine, &kept.run, kept.members, kept.n, &error);
    (void)fail_memory_after(-1, false);
    ck_assert_int_eq(status, TRIB_NO_MEMORY);
    ck_assert_str_eq(error.message, "out of memory for 2 clients");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_snapshot");
    TCase *tests = tcase_create("snapshot");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, every_field_of_the_engine_survives);
    tcase_add_test(tests, every_field_of_a_member_survives);
    tcase_add_test(tests, every_state_has_its_successor);
    tcase_add_test(tests, what_is_too_far_behind_is_not_taken_up);
    tcase_add_test(tests, what_happened_is_what_is_remembered);
    tcase_add_test(tests, to_stop_tells_nobody);
    tcase_add_test(tests, to_stop_while_offers_are_compared_tells_nobody);
    tcase_add_test(tests, to_stop_between_rounds_leaves_those_at_work);
    tcase_add_test(tests, what_is_being_committed_is_committed_before_it_stops);
    tcase_add_test(tests, a_commit_that_fails_while_it_stops_ends_the_attempt);
    tcase_add_test(tests, whoever_has_changed_is_listed_once);
    tcase_add_test(tests, a_damaged_snapshot_is_refused);
    tcase_add_test(tests, what_is_not_at_work_needs_no_task);
    tcase_add_test(tests, without_memory_it_says_so);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
