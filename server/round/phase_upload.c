/* The phase `upload`: members that were let through upload, so many at a time, and each update is verified and folded
 * as it arrives. A member goes from ADMITTED to GRANTED, FOLDING and FOLDED or REJECTED; or to UPLOADED, while no round
 * is collecting. */
#include "phase.h"

static void discard(struct trib_round *round, const struct member *member)
{
    if (member->granted) {
        trib_round_act_task(round, TRIB_ACTION_DISCARD, member);
    }
}

static void pump_grants(struct trib_round *round, int64_t now_ms)
{
    while (trib_round_is_open(round) && !round->closing &&
           round->counts[TRIB_MEMBER_GRANTED] + round->counts[TRIB_MEMBER_FOLDING] < round->options.uploads_in_flight) {
        struct trib_heap_entry next;
        if (!trib_heap_first(&round->lists.admitted, &next)) {
            return;
        }
        struct member *member = &round->members[next.id];
        trib_round_set_state(round, member, TRIB_MEMBER_GRANTED);
        member->granted = true;
        member->last_progress_ms = now_ms;
        round->summary.granted++;
        struct trib_round_action *action = trib_round_act_task(round, TRIB_ACTION_GRANT, member);
        trib_phase_describe(round, member, "selected", action->reason, sizeof action->reason);
    }
}

/* What has been uploaded since the last round closed. */
static void fold_waiting(struct trib_round *round)
{
    if (round->counts[TRIB_MEMBER_UPLOADED] == 0) {
        return;
    }
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        if (member->state == TRIB_MEMBER_UPLOADED) {
            trib_round_set_state(round, member, TRIB_MEMBER_FOLDING);
            trib_round_act_task(round, TRIB_ACTION_FOLD, member);
        }
    }
}

/* Is this event about the member's last task? */
static bool is_its_task(const struct member *member, const struct trib_round_event *event)
{
    return member->task_round != 0 && event->round == member->task_round && event->attempt == member->task_attempt;
}

static const char *on_uploaded(struct trib_round *round, const struct trib_round_event *event)
{
    const char *ignored = NULL;
    struct member *member = trib_phase_current_member(round, event, &ignored);
    if (!member) {
        return ignored; /* it was discarded when the client's part ended */
    }
    if (!is_its_task(member, event)) {
        return "of an earlier attempt";
    }
    if (member->state != TRIB_MEMBER_GRANTED) {
        discard(round, member); /* its session broke meanwhile: it offers again */
        return "no upload was granted";
    }
    round->summary.uploaded++;
    if (trib_round_is_open(round) && !round->closing) {
        trib_round_set_state(round, member, TRIB_MEMBER_FOLDING);
        trib_round_act_task(round, TRIB_ACTION_FOLD, member);
    } else {
        trib_round_set_state(round, member, TRIB_MEMBER_UPLOADED);
    }
    return NULL;
}

static const char *on_refused(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || !is_its_task(member, event) || !trib_round_is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    discard(round, member);
    trib_round_reject(round, member, event->reason);
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

static void note_folded(struct trib_round *round, struct member *member)
{
    uint64_t staleness = round->commits - member->task_commits;
    trib_round_set_state(round, member, TRIB_MEMBER_FOLDED);
    round->summary.folded++;
    round->summary.stale += staleness > 0;
    round->summary.staleness += staleness;
}

static const char *on_folded(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || !trib_round_is_open(round) || !trib_round_is_current_work(round, event) ||
        member->state != TRIB_MEMBER_FOLDING) {
        return "nothing of this client was being folded";
    }
    if (event->ok) {
        note_folded(round, member);
    } else if (event->harmful) {
        trib_round_abandon(round, event->now_ms, event->reason);
        return NULL;
    } else {
        if (event->lied && round->options.penalty_rounds > 0) {
            member->barred_until = round->number + round->options.penalty_rounds;
        }
        trib_round_reject(round, member, event->reason);
    }
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

static const char *take(struct trib_round *round, const struct trib_round_event *event)
{
    switch (event->kind) {
    case TRIB_EVENT_UPLOADED:
        return on_uploaded(round, event);
    case TRIB_EVENT_REFUSED:
        return on_refused(round, event);
    default:
        return on_folded(round, event);
    }
}

static void task(struct trib_round *round, struct member *member)
{
    (void)round;
    member->granted = false;
}

static void opened(struct trib_round *round, int64_t now_ms)
{
    fold_waiting(round);
    pump_grants(round, now_ms);
}

/* Somebody was let through and has not delivered yet; who left comes back. */
static bool holds(const struct trib_round *round)
{
    const uint32_t *now = round->counts_now;
    return now[TRIB_MEMBER_ADMITTED] + now[TRIB_MEMBER_GRANTED] + now[TRIB_MEMBER_FOLDING] + round->returning_now > 0;
}

static bool is_busy(const struct trib_round *round)
{
    return round->counts[TRIB_MEMBER_FOLDING] > 0;
}

const struct trib_phase trib_phase_upload = {
    .info = {.name = "upload",
             .help = "clients that were let through upload their updates, which are verified and folded"},
    .events = TRIB_PHASE_EVENT(TRIB_EVENT_UPLOADED) | TRIB_PHASE_EVENT(TRIB_EVENT_REFUSED) |
              TRIB_PHASE_EVENT(TRIB_EVENT_FOLDED),
    .take = take,
    .task = task,
    .opened = opened,
    .advance = pump_grants,
    .returned = pump_grants,
    .drop = discard,
    .holds = holds,
    .is_busy = is_busy,
};
