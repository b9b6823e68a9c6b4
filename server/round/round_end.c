/* The end of a round: when it closes, and what becomes of it and of its members. */
#include "phase.h"

#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void trib_round_release_members(struct trib_round *round)
{
    if (trib_round_count_at_work(round) + round->counts[TRIB_MEMBER_NONE] == round->n_members) {
        return; /* nobody's part is over */
    }
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        if (!trib_round_is_at_work(member->state)) {
            trib_round_set_state(round, member, TRIB_MEMBER_NONE);
        }
    }
}

/* Nobody will use what they are at work on. */
static void end_work(struct trib_round *round, const char *reason)
{
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        if (trib_round_is_at_work(member->state)) {
            trib_phases_drop(round, member);
            trib_round_tell(round, parts[i], member->task_round, TRIB_OUTCOME_ABANDONED, reason);
            trib_round_set_state(round, member, TRIB_MEMBER_NONE);
        }
    }
}

void trib_round_finish(struct trib_round *round, int64_t now_ms, const char *reason)
{
    if (!round->suspended) {
        end_work(round, reason);
        trib_phases_end(round, now_ms, TRIB_OUTCOME_ABANDONED, reason);
    }
    round->state = TRIB_ROUND_FINISHED;
    trib_round_act_reason(round, TRIB_ACTION_FINISHED, reason);
}

void trib_round_abandon(struct trib_round *round, int64_t now_ms, const char *reason)
{
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        if (member->state == TRIB_MEMBER_FOLDED) {
            trib_round_tell(round, parts[i], member->task_round, TRIB_OUTCOME_ABANDONED, reason);
        }
    }
    end_work(round, reason);
    trib_round_release_members(round);
    trib_round_act_reason(round, TRIB_ACTION_ABANDONED, reason);
    round->attempt++;
    round->retry_at_ms = now_ms + round->options.retry_ms;
    round->state = TRIB_ROUND_WAITING;
    if (round->stopping) {
        trib_round_finish(round, now_ms, "stopped");
    }
}

/* ---- a round that is done ---- */

void trib_round_report(struct trib_round *round)
{
    const struct trib_selector *selector = round->options.selector;
    size_t n, reported = 0;
    if (!selector->report) {
        return;
    }
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        const struct member *member = &round->members[parts[i]];
        if (!trib_round_is_at_work(member->state)) {
            round->reports[reported++] = trib_round_report_of(member);
        }
    }
    if (round->next_selector_state) {
        memcpy(round->next_selector_state, round->selector_state, selector->state_size);
    }
    selector->report(round->next_selector_state, round->options.selector_settings, round->number, round->reports,
                     reported);
}

/* What the selector has learnt counts from now on. */
static void take_report(struct trib_round *round)
{
    void *state = round->selector_state;
    if (round->options.selector->report) {
        round->selector_state = round->next_selector_state;
        round->next_selector_state = state;
    }
}

void trib_round_commit_done(struct trib_round *round, int64_t now_ms, bool carried)
{
    round->summary.committed_ms = now_ms;
    if (!carried) { /* so that the round's line can tell of it */
        trib_phases_end(round, now_ms, TRIB_OUTCOME_LATE, "the next model is committed");
    }
    trib_round_act(round, carried ? TRIB_ACTION_CARRIED : TRIB_ACTION_COMMITTED, 0);
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        if (member->state == TRIB_MEMBER_FOLDED) {
            member->folded++;
            trib_round_tell(round, parts[i], member->task_round, TRIB_OUTCOME_FOLDED, "");
        }
    }
    if (carried) {
        trib_round_report(round);
    }
    take_report(round);
    trib_round_release_members(round);
    round->number++;
    trib_round_begin_counts(round);
    round->commits += !carried;
    round->attempt = 0;
    round->retry_at_ms = now_ms;
    round->state = TRIB_ROUND_WAITING;
    if (!carried && !round->stopping) {
        trib_phases_committed(round, now_ms);
    }
    trib_round_maybe_end(round, now_ms);
    if (round->state == TRIB_ROUND_WAITING && round->stopping) {
        trib_round_finish(round, now_ms, "stopped");
    }
}

void trib_round_maybe_end(struct trib_round *round, int64_t now_ms)
{
    if (round->state == TRIB_ROUND_WAITING && round->number > round->last_round && !trib_phases_open(round)) {
        trib_round_finish(round, now_ms, "all rounds are done");
    }
}

/* ---- closing ---- */

static void close_round(struct trib_round *round, int64_t now_ms)
{
    const struct trib_round_summary *summary = &round->summary;
    uint32_t answered = summary->folded + summary->skipped;
    round->summary.closed_ms = now_ms;
    bool enough = answered >= (trib_round_is_asynchronous(round) ? 1 : round->options.min_updates);
    if (summary->folded > 0 && enough) {
        round->state = TRIB_ROUND_APPLYING;
        trib_round_act(round, TRIB_ACTION_APPLY, 0);
    } else if (summary->skipped > 0 && enough) {
        trib_round_commit_done(round, now_ms, true);
    } else {
        char reason[TRIB_ROUND_REASON_LEN];
        snprintf(reason, sizeof reason, "%s with %" PRIu32 " of at least %" PRIu32 " updates", round->closing_reason,
                 answered, round->options.min_updates);
        trib_round_abandon(round, now_ms, reason);
    }
}

/* Members of earlier rounds are waited for only where this one is too few without them. */
static bool any_pending(const struct trib_round *round)
{
    bool too_few = round->summary.folded + round->summary.skipped < round->options.min_updates;
    return trib_round_count(too_few ? round->counts : round->counts_now, PENDING) > 0;
}

/* A whole deadline has brought nothing: those who have been at work for two make room for others. */
static void dismiss_slow(struct trib_round *round, int64_t now_ms)
{
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        if (trib_round_is_pending(member->state) && now_ms - member->tasked_ms >= 2 * round->options.deadline_ms) {
            member->failed++;
            trib_round_mark_late(round, member, "was at work for two deadlines, and nobody else delivered");
        }
    }
}

static const char *closing_reason_without_cohort(struct trib_round *round, bool due, int64_t now_ms)
{
    const struct trib_round_summary *summary = &round->summary;
    if (summary->folded >= round->wanted) {
        return "enough updates";
    }
    if (trib_round_count_at_work(round) == 0 && round->lists.n_idle == 0) {
        return "nobody is left to wait for";
    }
    if (due && summary->folded == 0 && summary->skipped == 0) {
        round->wait_from_ms = now_ms; /* nothing to close: go on, with those as well who had ended */
        dismiss_slow(round, now_ms);
        trib_round_release_members(round);
        return NULL;
    }
    return due ? "deadline reached" : NULL;
}

/* Why it is time to close the round, or NULL. */
static const char *closing_reason(struct trib_round *round, int64_t now_ms)
{
    bool due = round->options.deadline_ms > 0 && now_ms - round->wait_from_ms >= round->options.deadline_ms;
    const struct trib_round_summary *summary = &round->summary;
    if (trib_round_is_asynchronous(round)) {
        return closing_reason_without_cohort(round, due, now_ms);
    }
    if (summary->folded >= round->wanted ||
        (summary->folded + summary->skipped >= round->wanted && !trib_phases_hold(round))) {
        return "enough updates";
    }
    return !any_pending(round) ? "nobody is left to wait for" : due ? "deadline reached" : NULL;
}

/* What those do who have not delivered yet: go on, if their updates may still be used by the next round. */
static void dismiss_pending(struct trib_round *round)
{
    bool timed_out = round->summary.folded + round->summary.skipped < round->wanted;
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        bool too_far = round->commits + 1 - member->task_commits > round->options.max_staleness;
        bool last = round->number == round->last_round;
        if (trib_round_is_pending(member->state) && (too_far || last)) {
            member->failed += timed_out;
            trib_round_mark_late(round, member,
                                 round->options.max_staleness > 0 && !last ? "its model is too far behind"
                                                                           : round->closing_reason);
        }
    }
}

void trib_round_check_close(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_COLLECTING) {
        return;
    }
    if (!round->closing) {
        const char *why = closing_reason(round, now_ms);
        if (!why) {
            return;
        }
        round->closing = true;
        trib_str_copy(round->closing_reason, sizeof round->closing_reason, why);
        dismiss_pending(round);
    }
    if (!trib_phases_busy(round)) {
        close_round(round, now_ms);
    }
}
