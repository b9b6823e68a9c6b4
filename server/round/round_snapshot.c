/* The engine's snapshot outlives the process: it is told to whoever keeps it, and taken back. */
#include "phase.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void trib_round_recall(const struct trib_round *round, bool after_commit, struct trib_round_snapshot *snapshot)
{
    bool under_way = round->state != TRIB_ROUND_WAITING && round->state != TRIB_ROUND_FINISHED;
    *snapshot = (struct trib_round_snapshot){.number = round->number + after_commit,
                                             .attempt = after_commit ? 0 : round->attempt,
                                             .commits = round->commits + after_commit,
                                             .offers = round->offers,
                                             .draws = round->draws,
                                             .open = !after_commit && (under_way || round->reopen),
                                             .decided = round->decided,
                                             .cut = round->cut,
                                             .wanted = round->wanted,
                                             .selector_state = after_commit && round->options.selector->report
                                                                   ? round->next_selector_state
                                                                   : round->selector_state,
                                             .selector_state_len = round->options.selector->state_size};
}

bool trib_round_recall_member(const struct trib_round *round, uint32_t client, struct trib_member_snapshot *snapshot)
{
    if (client >= round->n_members || !round->members[client].known) {
        return false;
    }
    const struct member *member = &round->members[client];
    snapshot->client = client;
#define TRIB_MEMBER_FIELD(type, name) snapshot->name = member->name;
#include "round/member_fields.def"
    return true;
}

size_t trib_round_take_changed(struct trib_round *round, const uint32_t **clients)
{
    size_t n = round->n_changed;
    for (size_t i = 0; i < n; i++) {
        round->members[round->changed[i]].changed = false;
    }
    round->n_changed = 0;
    *clients = round->changed;
    return n;
}

/* ---- back ---- */

/* Where a member stands whose client has to come back first. */
static enum trib_member_state state_after(enum trib_member_state state, bool open)
{
    if (trib_round_is_pending(state)) {
        return TRIB_MEMBER_TASKED;
    }
    if (state == TRIB_MEMBER_UPLOADED || state == TRIB_MEMBER_FOLDING || state == TRIB_MEMBER_FOLDED) {
        return TRIB_MEMBER_UPLOADED;
    }
    return open ? state : TRIB_MEMBER_NONE; /* what was final for a round that is over */
}

/* Away clients get as long to come back as those that are here get to show progress: all of them have lost their
 * connection, and wait longer and longer between their attempts. */
static int64_t away_since(const struct trib_round *round, int64_t now_ms)
{
    int64_t extra_ms = round->options.idle_timeout_ms - round->options.away_timeout_ms;
    return extra_ms > 0 ? now_ms + extra_ms : now_ms;
}

static void restore_member(struct trib_round *round, const struct trib_member_snapshot *snapshot, bool open)
{
    struct member *member = &round->members[snapshot->client];
    member->known = true;
    member->granted = true;      /* maybe: to discard what is not there does no harm */
#define TRIB_MEMBER_STATE(name)  /* set below, where it is counted */
#define TRIB_MEMBER_NUMBER(name) member->name = snapshot->name;
#define TRIB_MEMBER_REAL(name)   member->name = snapshot->name;
#define TRIB_MEMBER_FLAGS(name)
#define TRIB_MEMBER_FLAG(name, bit) member->name = snapshot->name;
#define TRIB_MEMBER_KEY(name)       member->name = snapshot->name;
#include "round/member_fields.def"
    member->why = "asked before the server's restart";
    member->score = (double)NAN;
    enum trib_member_state state = state_after(snapshot->state, open);
    if (trib_round_is_at_work(state) && round->commits - snapshot->task_commits > round->options.max_staleness) {
        state = open ? TRIB_MEMBER_LATE : TRIB_MEMBER_NONE; /* its model is too far behind by now */
    }
    trib_round_set_state(round, member, state);
}

static enum trib_status check_snapshot(const struct trib_round *round, const struct trib_round_snapshot *snapshot,
                                       struct trib_error *error)
{
    if (snapshot->number == 0 || snapshot->number > round->last_round || snapshot->commits >= snapshot->number ||
        (snapshot->open && snapshot->wanted == 0) ||
        snapshot->selector_state_len != round->options.selector->state_size) {
        return trib_fail(error, TRIB_CORRUPT,
                         "round %" PRIu64 " of %" PRIu64 " after %" PRIu64 " commits, %" PRIu32
                         " updates wanted, with %zu bytes of the selector's: this is no state of this run",
                         snapshot->number, round->last_round, snapshot->commits, snapshot->wanted,
                         snapshot->selector_state_len);
    }
    return TRIB_OK;
}

static enum trib_status check_member(const struct trib_round_snapshot *snapshot,
                                     const struct trib_member_snapshot *member, struct trib_error *error)
{
    bool at_work = trib_round_is_at_work(member->state) || member->state == TRIB_MEMBER_FOLDED;
    bool ahead = member->task_round > snapshot->number || member->last_round > snapshot->number ||
                 (member->task_round == snapshot->number && member->task_attempt > snapshot->attempt) ||
                 member->task_commits > snapshot->commits;
    if ((unsigned)member->state >= TRIB_MEMBER_STATE_COUNT || ahead || (at_work && member->task_round == 0)) {
        return trib_fail(error, TRIB_CORRUPT,
                         "a client in state %d, picked last for round %" PRIu64 ", with a task of round %" PRIu64
                         " attempt %" PRIu64 " after %" PRIu64 " commits, in round %" PRIu64 " attempt %" PRIu64
                         " after %" PRIu64,
                         (int)member->state, member->last_round, member->task_round, member->task_attempt,
                         member->task_commits, snapshot->number, snapshot->attempt, snapshot->commits);
    }
    return TRIB_OK;
}

enum trib_status trib_round_restore(struct trib_round *round, const struct trib_round_snapshot *snapshot,
                                    const struct trib_member_snapshot *members, size_t n, struct trib_error *error)
{
    uint32_t last = 0;
    TRIB_TRY(check_snapshot(round, snapshot, error));
    for (size_t i = 0; i < n; i++) {
        TRIB_TRY(check_member(snapshot, &members[i], error));
        last = members[i].client > last ? members[i].client : last;
    }
    if ((n > 0 && trib_round_reserve_member(round, last) != TRIB_OK) || trib_round_reserve_step(round, n) != TRIB_OK) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for %zu clients", n);
    }
    round->number = snapshot->number;
    round->attempt = snapshot->attempt;
    round->commits = snapshot->commits;
    round->offers = snapshot->offers;
    for (size_t i = 0; i < n; i++) {
        restore_member(round, &members[i], snapshot->open);
        /* some may have come after the last note of it */
        uint64_t next = members[i].offer_order < UINT64_MAX ? members[i].offer_order + 1 : 0;
        round->offers = next > round->offers ? next : round->offers;
    }
    trib_round_set_timers(round);
    round->draws = snapshot->draws;
    round->decided = snapshot->decided;
    round->cut = snapshot->cut;
    round->wanted = snapshot->wanted;
    round->reopen = snapshot->open;
    if (snapshot->selector_state_len > 0) {
        memcpy(round->selector_state, snapshot->selector_state, snapshot->selector_state_len);
    }
    return TRIB_OK;
}

/* What the round's line will tell, as far as its members know it. */
static struct trib_round_summary sum_up(struct trib_round *round, int64_t now_ms)
{
    struct trib_round_summary summary = {
        .round = round->number, .attempt = round->attempt, .threshold = round->cut.threshold, .began_ms = now_ms};
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        const struct member *member = &round->members[parts[i]];
        bool of_round = member->task_round == round->number;
        bool scored = of_round && member->has_score && !isnan(member->offer_relevance);
        summary.cohort += of_round;
        summary.offered += of_round && member->has_offered;
        summary.uploaded += member->state == TRIB_MEMBER_UPLOADED;
        summary.skipped += member->state == TRIB_MEMBER_SKIPPED;
        summary.rejected += member->state == TRIB_MEMBER_REJECTED;
        summary.failed += member->state == TRIB_MEMBER_FAILED;
        summary.late += member->state == TRIB_MEMBER_LATE;
        summary.scored += scored;
        summary.relevance_sum += scored ? member->offer_relevance : 0;
    }
    summary.available = summary.eligible = summary.cohort;
    summary.granted = summary.uploaded;
    return summary;
}

/* Time begins for those who are at work. */
static void start_clocks(struct trib_round *round, int64_t now_ms)
{
    size_t n;
    const uint32_t *parts = trib_round_parts(round, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[parts[i]];
        member->last_progress_ms = away_since(round, now_ms);
        member->tasked_ms = now_ms;
        trib_round_touch(round, member);
    }
}

void trib_round_resume(struct trib_round *round, int64_t now_ms)
{
    start_clocks(round, now_ms);
    if (!round->reopen) {
        return;
    }
    round->reopen = false;
    if (trib_round_is_asynchronous(round) && trib_round_count_at_work(round) == 0) {
        return; /* it begins again with whoever comes */
    }
    round->state = TRIB_ROUND_COLLECTING;
    round->closing = false;
    round->wait_from_ms = now_ms;
    round->summary = sum_up(round, now_ms);
    trib_round_act(round, TRIB_ACTION_BEGIN, 0);
    trib_phases_opened(round, now_ms);
}
