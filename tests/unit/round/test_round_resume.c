/* A round engine that goes on where another one ended: with its open round, its gate's decisions, its next cohort, and
 * the members that outlive their round. */
#include "round_snapshot_fixture.h"
#include "selector_options.h"

/* ---- to go on ---- */

START_TEST(nothing_to_go_on_with_is_nothing)
{
    struct trib_round_options of = usual();
    begin(&of);
    resume();
    EXPECT("");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    join_all(2);
    EXPECT("begin task:0 task:1");
    STEP(.kind = TRIB_EVENT_RESUME);
    ck_assert_str_eq(ignored, "not after a restart");
}
END_TEST

START_TEST(an_open_round_goes_on_in_the_same_attempt)
{
    two_at_work();
    tick_at(now_ms + 4000);
    EXPECT("tell:0=late tell:1=late abandoned");
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1");
    ck_assert_uint_eq(attempt_of(0), 1);
    restart();
    EXPECT("begin");
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    ck_assert_uint_eq(actions[0].round, 1);
    ck_assert_uint_eq(actions[0].attempt, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->attempt, 1);
    ck_assert_uint_eq(trib_round_summary(machine)->cohort, 2);
    join(0);
    EXPECT("task:0");
    ck_assert_uint_eq(actions[0].round, 1);
    ck_assert_uint_eq(actions[0].attempt, 1);
    ck_assert_str_eq(reason(), "asked before the server's restart");
    join(1);
    fold_both(0, 1);
    EXPECT("apply");
    commit();
    EXPECT("committed tell:0=folded tell:1=folded");
}
END_TEST

START_TEST(no_round_begins_before_the_open_one_goes_on)
{
    two_at_work();
    recall(false);
    snapshot_of(0)->state = TRIB_MEMBER_SKIPPED;
    restore();
    join_all(4);
    EXPECT("");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    ck_assert_int_eq(member(0), TRIB_MEMBER_SKIPPED); /* nor is it forgotten whose part is over */
    ck_assert_int_eq(member(1), TRIB_MEMBER_TASKED);
    resume();
    EXPECT("begin");
    offer(1);
    fold(1);
    EXPECT("apply");
}
END_TEST

START_TEST(the_deadline_begins_anew)
{
    struct trib_round_options of = usual();
    of.idle_timeout_ms = 60000;
    begin(&of);
    join_all(2);
    offer(0);
    fold(0);
    now_ms += 9000;
    restart();
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 10000);
    tick_at(now_ms + 9999);
    EXPECT("");
    tick_at(now_ms + 1);
    EXPECT("discard:1 tell:1=late apply");
    ck_assert_str_eq(actions[1].reason, "deadline reached");
}
END_TEST

START_TEST(members_that_are_away_get_the_longer_timeout)
{
    static const int64_t timeouts[][3] = {{4000, 1000, 4000}, {500, 1000, 1000}, {0, 1000, 1000}}; /* idle, away */
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        struct trib_round_options of = usual();
        of.idle_timeout_ms = timeouts[i][0];
        of.away_timeout_ms = timeouts[i][1];
        begin(&of);
        join_all(2);
        now_ms += 300;
        restart();
        int64_t due_ms = now_ms + timeouts[i][2];
        ck_assert_int_eq(trib_round_next_tick(machine), due_ms);
        tick_at(due_ms - 1);
        EXPECT("");
        join(0);
        EXPECT("task:0");
        tick_at(due_ms);
        EXPECT("discard:1 tell:1=late"); /* nobody knows what it had sent */
        ck_assert_str_eq(reason(), "disconnected and did not come back in time");
        leave(0);
        tick_at(due_ms + 1000); /* from now on it is the usual one */
        EXPECT("discard:0 tell:0=late abandoned");
    }
}
END_TEST

START_TEST(what_was_delivered_is_folded_again)
{
    static const enum trib_member_state delivered[] = {TRIB_MEMBER_UPLOADED, TRIB_MEMBER_FOLDING, TRIB_MEMBER_FOLDED};
    struct trib_round_options of = usual();
    of.min_clients = of.clients_per_round = 4;
    begin(&of);
    join_all(4);
    recall(false);
    for (uint32_t i = 0; i < 3; i++) {
        snapshot_of(i)->state = delivered[i];
        snapshot_of(i)->has_offered = true;
    }
    restore();
    resume();
    EXPECT("begin fold:0 fold:1 fold:2");
    ck_assert_uint_eq(trib_round_summary(machine)->uploaded, 3);
    ck_assert_uint_eq(trib_round_summary(machine)->offered, 3);
    ck_assert_uint_eq(trib_round_summary(machine)->folded, 0);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .ok = true);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = false, .reason = "damaged on the disk");
    EXPECT("tell:1=rejected");
    join(0);
    EXPECT(""); /* it has nothing more to do */
    join(3);
    EXPECT("task:3");
    offer(3);
    fold(3);
    EXPECT("apply");
    ck_assert_uint_eq(trib_round_summary(machine)->folded, 3);
}
END_TEST

START_TEST(a_round_that_was_closed_closes_again)
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
        restart();
        EXPECT("begin fold:0 fold:1");
        STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
        STEP(.kind = TRIB_EVENT_FOLDED, .client = 1, .ok = true);
        EXPECT("apply"); /* with nobody here */
        commit();
        EXPECT("committed tell:0=folded tell:1=folded");
        ck_assert_uint_eq(trib_round_number(machine), 2);
    }
}
END_TEST

START_TEST(a_round_that_nobody_is_left_in_ends_at_once)
{
    two_at_work();
    recall(false);
    snapshot_of(0)->state = TRIB_MEMBER_SKIPPED;
    snapshot_of(1)->state = TRIB_MEMBER_FAILED;
    restore();
    resume();
    EXPECT("begin carried");
    ck_assert_uint_eq(trib_round_number(machine), 2);
    recall(false);
    ck_assert_uint_eq(kept.run.commits, 0);
    two_at_work();
    recall(false);
    snapshot_of(0)->state = snapshot_of(1)->state = TRIB_MEMBER_LATE;
    restore();
    resume();
    EXPECT("begin abandoned");
    ck_assert_str_eq(reason(), "nobody is left to wait for with 0 of at least 1 updates");
    join_all(2);
    tick_at(now_ms + 500);
    EXPECT("begin task:0 task:1");
    ck_assert_uint_eq(attempt_of(1), 1);
}
END_TEST

START_TEST(whose_part_is_over_is_not_asked_again_in_this_round)
{
    struct trib_round_options of = usual();
    of.min_clients = of.clients_per_round = 5;
    begin(&of);
    join_all(5);
    recall(false);
    snapshot_of(0)->state = TRIB_MEMBER_SKIPPED;
    snapshot_of(1)->state = TRIB_MEMBER_REJECTED;
    snapshot_of(2)->state = TRIB_MEMBER_LATE;
    snapshot_of(3)->state = TRIB_MEMBER_FAILED;
    restore();
    resume();
    EXPECT("begin");
    const struct trib_round_summary *s = trib_round_summary(machine);
    ck_assert_uint_eq(s->cohort, 5);
    ck_assert(s->skipped == 1 && s->rejected == 1 && s->late == 1 && s->failed == 1 && s->uploaded == 0);
    for (uint32_t i = 0; i < 4; i++) {
        join(i);
        EXPECT("");
    }
    offer(0);
    EXPECT("skip:0"); /* it may not have heard */
    offer(2);
    EXPECT("tell:2=late");
    join(4);
    EXPECT("task:4");
    offer(4);
    fold(4);
    EXPECT("apply");
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0 task:1 task:2 task:3 task:4");
}
END_TEST

/* ---- the gate ---- */

START_TEST(what_was_let_through_is_let_through_again)
{
    a_round_in_the_middle();
    restart();
    EXPECT("begin fold:2");
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .ok = true);
    join_all(4);
    offer_of(1, 0.75, 100);
    EXPECT("grant:1");
    ck_assert_uint_eq(trib_round_summary(machine)->offered, 3); /* it was counted before */
    offer_of(1, 0.25, 100);
    EXPECT("discard:1 skip:1"); /* something else */
    offer_of(0, 0.5, 100);
    EXPECT("grant:0");
}
END_TEST

START_TEST(to_offer_again_teaches_nothing)
{
    struct trib_round_options of = usual();
    begin(&of);
    join_all(2);
    recall(false);
    snapshot_of(0)->relevance = 0.5; /* of its earlier rounds */
    restore();
    resume();
    join_all(2);
    now_ms += 3000;
    offer_of(0, 0.75, 100);
    EXPECT("grant:0");
    recall(false);
    ck_assert_double_eq(snapshot_of(0)->relevance, 0.625);
    ck_assert_double_eq(snapshot_of(0)->seconds, 3);
    restart();
    now_ms += 10;
    join_all(2);
    offer_of(0, 0.75, 100);
    EXPECT("grant:0");
    recall(false);
    ck_assert_double_eq(snapshot_of(0)->relevance, 0.625);
    ck_assert_double_eq(snapshot_of(0)->seconds, 3);
    ck_assert_double_eq(snapshot_of(0)->offer_seconds, 3);
}
END_TEST

/* Three of four have offered and two of them were let through, at 0.8 and 0.6. */
static void decided_round(const struct trib_gate *gate)
{
    static const struct trib_score scores[] = {{0, 0.8}, {1, 0.6}, {2, 0.2}};
    struct trib_round_options of = usual();
    of.min_clients = of.clients_per_round = of.uploads_in_flight = 4;
    of.gate = *gate;
    of.idle_timeout_ms = 20000;
    begin(&of);
    join_all(4);
    for (uint32_t i = 0; i < 3; i++) {
        offer_of(i, scores[i].relevance, 100);
        EXPECT("");
    }
    tick_at(now_ms + 7500); /* three quarters of the deadline */
}

START_TEST(a_decided_share_is_not_decided_again)
{
    decided_round(&(struct trib_gate){.rule = TRIB_GATE_SHARE, .share = 0.6});
    ck_assert_int_eq(member(0), TRIB_MEMBER_GRANTED);
    ck_assert_int_eq(member(1), TRIB_MEMBER_GRANTED);
    ck_assert_int_eq(member(2), TRIB_MEMBER_SKIPPED);
    restart();
    EXPECT("begin");
    ck_assert_double_eq(trib_round_summary(machine)->threshold, 0.6);
    ck_assert_uint_eq(trib_round_summary(machine)->scored, 3);
    ck_assert_double_eq_tol(trib_round_summary(machine)->relevance_sum, 1.6, 1e-12);
    join_all(4);
    offer_of(1, 0.6, 100);
    EXPECT("grant:1"); /* without waiting for the others */
    offer_of(3, 0.59, 100);
    EXPECT("discard:3 skip:3");
    offer_of(0, 0.8, 100);
    EXPECT("grant:0");
}
END_TEST

START_TEST(decided_bytes_are_taken_once)
{
    decided_round(&(struct trib_gate){.rule = TRIB_GATE_BYTES, .bytes = 250});
    ck_assert_int_eq(member(1), TRIB_MEMBER_GRANTED);
    ck_assert_int_eq(member(2), TRIB_MEMBER_SKIPPED);
    restart();
    join_all(4);
    recall(false);
    ck_assert_uint_eq(kept.run.cut.bytes_left, 50);
    offer_of(0, 0.8, 100);
    EXPECT("grant:0");
    recall(false);
    ck_assert_uint_eq(kept.run.cut.bytes_left, 50);
    offer_of(3, 0.9, 51);
    EXPECT("discard:3 skip:3");
    offer_of(1, 0.7, 101); /* more than it was let through with: that is given back, and does not suffice */
    EXPECT("grant:1");
    recall(false);
    ck_assert_uint_eq(kept.run.cut.bytes_left, 49);
}
END_TEST

START_TEST(an_undecided_share_waits_for_the_offers_again)
{
    struct trib_round_options of = usual();
    of.gate = (struct trib_gate){.rule = TRIB_GATE_SHARE, .share = 0.5};
    begin(&of);
    join_all(2);
    offer_of(0, 0.25, 100);
    restart();
    EXPECT("begin");
    join_all(2);
    offer_of(0, 0.25, 100);
    EXPECT("");
    offer_of(1, 0.75, 100);
    EXPECT("discard:0 skip:0 grant:1");
}
END_TEST

/* ---- the next cohort ---- */

/* What a commit counts, and nothing else. */
static void count_reports(void *state, const void *of, uint64_t round, const struct trib_member_report *members,
                          size_t n)
{
    uint64_t *counted = state;
    (void)of;
    (void)members;
    counted[0] += n;
    counted[1] = round;
}
static const struct trib_selector counting = {
    .name = "counting", .state_size = 2 * sizeof(uint64_t), .pick = pick_in_turn, .report = count_reports};

static uint64_t counted(bool after_commit)
{
    recall(after_commit);
    uint64_t value;
    memcpy(&value, kept.selector_state, sizeof value);
    return value;
}

START_TEST(a_selector_learns_with_the_commit)
{
    struct trib_round_options of = usual();
    of.selector = &counting;
    begin(&of);
    join_all(2);
    fold_both(0, 1);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    ck_assert_int_eq(state(), TRIB_ROUND_COMMITTING);
    ck_assert_uint_eq(counted(false), 0);
    ck_assert_uint_eq(counted(true), 2);
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = false, .reason = "disk full");
    ck_assert_uint_eq(counted(false), 0); /* what was not committed was not */
    tick_at(now_ms + 500);
    fold_both(0, 1);
    commit();
    EXPECT("committed tell:0=folded tell:1=folded");
    ck_assert_uint_eq(counted(false), 2);
    tick_at(now_ms);
    restart();
    ck_assert_uint_eq(counted(false), 2);
    join_all(2);
    fold_both(0, 1);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    ck_assert_uint_eq(counted(true), 4);
}
END_TEST

START_TEST(after_the_commit_is_before_the_next_round)
{
    two_at_work();
    fold_both(0, 1);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    recall(false);
    ck_assert(kept.run.open && kept.run.number == 1 && kept.run.commits == 0);
    recall(true);
    ck_assert(!kept.run.open && kept.run.number == 2 && kept.run.commits == 1 && kept.run.attempt == 0);
    struct remembered planned = kept;
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
    recall(false);
    ck_assert(!kept.run.open && kept.run.number == 2 && kept.run.commits == 1 && kept.run.attempt == 0);
    for (uint32_t i = 0; i < 2; i++) { /* the same as if it had lived */
        ck_assert_ptr_null(member_difference(&kept.members[i], &planned.members[i]));
    }
    kept = planned;
    kept.run.selector_state = kept.selector_state;
    restore();
    resume();
    EXPECT("");
    join(0);
    EXPECT("");
    join(1);
    EXPECT("begin task:0 task:1");
    ck_assert_uint_eq(actions[0].round, 2);
}
END_TEST

enum { PICKED_ROUNDS = 6 };

/* Who is at work, as text. */
static void list_cohort(char *text, size_t size)
{
    size_t used = strlen(text);
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    for (uint32_t client = 0; client < MOST_MEMBERS; client++) {
        if (member(client) == TRIB_MEMBER_TASKED) {
            used += (size_t)snprintf(text + used, size - used, "%" PRIu32 " ", client);
        }
    }
    snprintf(text + used, size - used, "/ ");
}

static void all_fail(void)
{
    for (uint32_t client = 0; client < MOST_MEMBERS; client++) {
        if (member(client) == TRIB_MEMBER_TASKED) {
            STEP(.kind = TRIB_EVENT_FAILURE, .client = client, .reason = "battery");
        }
    }
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
}

/* Each in its own time, with its own loss. */
static void all_deliver(void)
{
    for (uint32_t client = 0; client < MOST_MEMBERS; client++) {
        now_ms += 100;
        if (member(client) == TRIB_MEMBER_TASKED) {
            STEP(.kind = TRIB_EVENT_OFFER, .client = client, .examples = 10, .loss = 1.0 / (client + 1),
                 .relevance = client / 10.0, .bytes = 100);
            fold(client);
        }
    }
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    ck_assert_int_eq(state(), TRIB_ROUND_COMMITTING);
}

/* The cohorts of some rounds; the first attempt of every second one is in vain. With `dies`, the process ends then, and
 * after every commit before anybody hears of it. */
static void list_cohorts(const struct trib_selector *selector, bool dies, char *text, size_t size)
{
    struct trib_round_options of = usual();
    of.seed = 77;
    of.rounds = PICKED_ROUNDS + 1;
    of.min_clients = MOST_MEMBERS;
    of.clients_per_round = 3;
    of.retry_ms = 0; /* a pause is not remembered */
    of.selector = selector;
    const struct selector_options options = {.explore = 0.5, .speed_penalty = 2};
    of.selector_settings = selector_settings(selector, &options);
    begin(&of);
    text[0] = 0;
    for (int i = 0; i < PICKED_ROUNDS; i++) {
        join_all(MOST_MEMBERS);
        tick_at(now_ms);
        list_cohort(text, size);
        if (i % 2 == 1) {
            all_fail();
            if (dies) {
                restart();
            }
            join_all(MOST_MEMBERS);
            tick_at(now_ms);
            list_cohort(text, size);
        }
        all_deliver();
        if (dies) {
            recall(true);
            restore();
            resume();
        } else {
            STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
        }
        ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    }
}

START_TEST(the_same_clients_are_picked_after_a_restart)
{
    const struct trib_selector *const *selectors;
    size_t n = trib_selectors(&selectors);
    for (size_t i = 0; i < n; i++) {
        char lived[512], died[512];
        list_cohorts(selectors[i], false, lived, sizeof lived);
        list_cohorts(selectors[i], true, died, sizeof died);
        printf("%s: %s\n", selectors[i]->name, lived);
        ck_assert_msg(strcmp(lived, died) == 0, "%s: %s, but after restarts %s", selectors[i]->name, lived, died);
    }
}
END_TEST

/* ---- members that outlive their round ---- */

START_TEST(a_straggler_goes_on_with_its_round)
{
    struct trib_round_options of = usual();
    of.rounds = 9;
    of.min_clients = 4;
    of.over_selection = 2;
    of.max_staleness = 1;
    of.uploads_in_flight = 4;
    begin(&of);
    join_all(4);
    fold_both(0, 1);
    offer(2);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    recall(true);
    restore();
    resume();
    EXPECT(""); /* no round is open; clients 2 and 3 are at work */
    join(2);
    EXPECT("task:2+1");
    ck_assert_uint_eq(actions[0].round, 1);
    join(3);
    join(0);
    EXPECT("");
    join(1);
    EXPECT("begin task:0 task:1");
    ck_assert_uint_eq(actions[1].round, 2);
    offer(2);
    EXPECT("grant:2+1");
    upload(2);
    EXPECT("fold:2+1");
    restart(); /* folding; 3 trains, of round 1; 0 and 1 train, of round 2 */
    EXPECT("begin fold:2+1");
    ck_assert_uint_eq(trib_round_summary(machine)->cohort, 2);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 2, .ok = true);
    ck_assert_uint_eq(trib_round_summary(machine)->stale, 1);
    join_all(4);
    EXPECT("task:3+1");
    offer(0);
    fold(0);
    EXPECT("discard:3+1 tell:3=late apply");
    ck_assert_str_eq(reason(), "its model is too far behind");
}
END_TEST

static void begin_buffered(uint32_t buffer)
{
    struct trib_round_options of = usual();
    of.rounds = 9;
    of.buffer = buffer;
    of.max_staleness = 4;
    of.clients_per_round = 2;
    begin(&of);
    join_all(3);
    EXPECT("");
}

START_TEST(without_cohorts_those_at_work_go_on)
{
    begin_buffered(2);
    ck_assert_int_eq(member(0), TRIB_MEMBER_TASKED);
    offer(0);
    fold(0);
    EXPECT("task:2");
    restart();
    EXPECT("begin fold:0");
    ck_assert_uint_eq(trib_round_summary(machine)->attempt, 0);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = 0, .ok = true);
    join(0);
    EXPECT(""); /* its part in this round is over */
    join_all(3);
    EXPECT("task:2");
    offer(2);
    fold(2);
    EXPECT("apply");
    commit();
    tick_at(now_ms);
    EXPECT("begin task:0");
    ck_assert_int_eq(member(1), TRIB_MEMBER_TASKED);
}
END_TEST

START_TEST(without_cohorts_nobody_at_work_begins_anew)
{
    begin_buffered(2);
    recall(false);
    for (size_t i = 0; i < kept.n; i++) {
        kept.members[i].state = i == 0 ? TRIB_MEMBER_LATE : TRIB_MEMBER_NONE;
    }
    restore();
    resume();
    EXPECT("");
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    ck_assert_int_eq(member(0), TRIB_MEMBER_NONE);
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    recall(false);
    ck_assert(!kept.run.open);
    join(0);
    join(1);
    EXPECT("begin task:0 task:1");
    ck_assert_uint_eq(actions[0].attempt, 0);
    ck_assert_uint_eq(actions[0].round, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_resume");
    TCase *tests = tcase_create("resume");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, nothing_to_go_on_with_is_nothing);
    tcase_add_test(tests, an_open_round_goes_on_in_the_same_attempt);
    tcase_add_test(tests, no_round_begins_before_the_open_one_goes_on);
    tcase_add_test(tests, the_deadline_begins_anew);
    tcase_add_test(tests, members_that_are_away_get_the_longer_timeout);
    tcase_add_test(tests, what_was_delivered_is_folded_again);
    tcase_add_test(tests, a_round_that_was_closed_closes_again);
    tcase_add_test(tests, a_round_that_nobody_is_left_in_ends_at_once);
    tcase_add_test(tests, whose_part_is_over_is_not_asked_again_in_this_round);
    tcase_add_test(tests, what_was_let_through_is_let_through_again);
    tcase_add_test(tests, to_offer_again_teaches_nothing);
    tcase_add_test(tests, a_decided_share_is_not_decided_again);
    tcase_add_test(tests, decided_bytes_are_taken_once);
    tcase_add_test(tests, an_undecided_share_waits_for_the_offers_again);
    tcase_add_test(tests, a_selector_learns_with_the_commit);
    tcase_add_test(tests, after_the_commit_is_before_the_next_round);
    tcase_add_test(tests, the_same_clients_are_picked_after_a_restart);
    tcase_add_test(tests, a_straggler_goes_on_with_its_round);
    tcase_add_test(tests, without_cohorts_those_at_work_go_on);
    tcase_add_test(tests, without_cohorts_nobody_at_work_begins_anew);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
