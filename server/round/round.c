/* The round engine: see round.h for the contract. Every handler either changes the state and appends actions, or
 * returns why the event was ignored. */
#include "round_private.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_pending(enum trib_member_state state)
{
    return state == TRIB_MEMBER_TASKED || state == TRIB_MEMBER_OFFERED || state == TRIB_MEMBER_GRANTED;
}

static uint32_t count_members(const struct trib_round *round, enum trib_member_state state)
{
    uint32_t n = 0;
    for (size_t i = 0; i < round->n_members; i++) {
        n += round->members[i].state == state;
    }
    return n;
}

static uint32_t count_available(const struct trib_round *round)
{
    uint32_t n = 0;
    for (size_t i = 0; i < round->n_members; i++) {
        n += round->members[i].available;
    }
    return n;
}

static bool any_pending(const struct trib_round *round)
{
    for (size_t i = 0; i < round->n_members; i++) {
        if (is_pending(round->members[i].state)) {
            return true;
        }
    }
    return false;
}

/* ---- actions ---- */

/* No step appends more than this per member (a late grant, and its end), besides a handful for the round itself. */
enum { ACTIONS_PER_MEMBER = 3, ACTIONS_PER_STEP = 8 };

static struct trib_round_action *act(struct trib_round *round, enum trib_round_action_kind kind, uint32_t client)
{
    struct trib_round_action *action = &round->actions[round->n_actions++];
    action->kind = kind;
    action->client = client;
    action->reason[0] = 0;
    return action;
}

static void act_reason(struct trib_round *round, enum trib_round_action_kind kind, const char *reason)
{
    trib_str_copy(act(round, kind, 0)->reason, TRIB_ROUND_REASON_LEN, reason ? reason : "");
}

static void tell(struct trib_round *round, uint32_t client, uint64_t number, enum trib_outcome outcome,
                 const char *reason)
{
    struct trib_round_action *action = act(round, TRIB_ACTION_OUTCOME, client);
    action->round = number;
    action->outcome = outcome;
    trib_str_copy(action->reason, sizeof action->reason, reason ? reason : "");
}

static enum trib_status reserve_actions(struct trib_round *round)
{
    size_t needed = round->n_members * ACTIONS_PER_MEMBER + ACTIONS_PER_STEP;
    if (needed > round->actions_capacity) {
        size_t capacity = needed + needed / 2;
        struct trib_round_action *actions = trib_realloc_array(round->actions, capacity, sizeof *actions);
        if (!actions) {
            return TRIB_NO_MEMORY;
        }
        round->actions = actions;
        round->actions_capacity = capacity;
    }
    return TRIB_OK;
}

/* ---- members ---- */

static enum trib_status grow_array(void **array, size_t n, size_t size)
{
    void *grown = trib_realloc_array(*array, n, size);
    if (!grown) {
        return TRIB_NO_MEMORY;
    }
    *array = grown;
    return TRIB_OK;
}

static enum trib_status reserve_member(struct trib_round *round, uint32_t client)
{
    size_t needed = (size_t)client + 1;
    if (needed > round->members_capacity) {
        size_t capacity = needed * 2 < 16 ? 16 : needed * 2;
        void *members = round->members, *candidates = round->candidates, *picked = round->picked;
        enum trib_status status = grow_array(&members, capacity, sizeof *round->members);
        round->members = members;
        if (status == TRIB_OK) {
            status = grow_array(&candidates, capacity, sizeof *round->candidates);
            round->candidates = candidates;
        }
        if (status == TRIB_OK) {
            status = grow_array(&picked, capacity, sizeof *round->picked);
            round->picked = picked;
        }
        TRIB_TRY(status);
        round->members_capacity = capacity;
    }
    if (needed > round->n_members) {
        memset(round->members + round->n_members, 0, (needed - round->n_members) * sizeof *round->members);
        round->n_members = needed;
    }
    return TRIB_OK;
}

static struct member *find_member(struct trib_round *round, uint32_t client)
{
    return client < round->n_members && round->members[client].known ? &round->members[client] : NULL;
}

/* ---- the end of a round ---- */

/* Throw away what the client may have uploaded. */
static void discard(struct trib_round *round, uint32_t client)
{
    if (round->members[client].granted) {
        act(round, TRIB_ACTION_DISCARD, client);
    }
}

static void mark_late(struct trib_round *round, uint32_t client, const char *reason)
{
    discard(round, client);
    round->members[client].state = TRIB_MEMBER_LATE;
    round->summary.late++;
    tell(round, client, round->number, TRIB_OUTCOME_LATE, reason);
}

static void forget_cohort(struct trib_round *round)
{
    for (size_t i = 0; i < round->n_members; i++) {
        round->members[i].state = TRIB_MEMBER_NONE;
    }
}

static void finish(struct trib_round *round, const char *reason)
{
    round->state = TRIB_ROUND_FINISHED;
    act_reason(round, TRIB_ACTION_FINISHED, reason);
}

static void abandon(struct trib_round *round, int64_t now_ms, const char *reason)
{
    for (uint32_t i = 0; i < round->n_members; i++) {
        enum trib_member_state state = round->members[i].state;
        if (is_pending(state) || state == TRIB_MEMBER_FOLDING) {
            discard(round, i);
        }
        if (is_pending(state) || state == TRIB_MEMBER_FOLDING || state == TRIB_MEMBER_FOLDED) {
            tell(round, i, round->number, TRIB_OUTCOME_ABANDONED, reason);
        }
    }
    act_reason(round, TRIB_ACTION_ABANDONED, reason);
    forget_cohort(round);
    round->attempt++;
    round->retry_at_ms = now_ms + round->options.retry_ms;
    round->state = TRIB_ROUND_WAITING;
    if (round->stopping) {
        finish(round, "stopped");
    }
}

static void close_round(struct trib_round *round, int64_t now_ms)
{
    round->summary.closed_ms = now_ms;
    if (round->summary.folded >= round->options.min_updates) {
        round->state = TRIB_ROUND_APPLYING;
        act(round, TRIB_ACTION_APPLY, 0);
        return;
    }
    char reason[TRIB_ROUND_REASON_LEN];
    snprintf(reason, sizeof reason, "%s with %" PRIu32 " of at least %" PRIu32 " updates", round->closing_reason,
             round->summary.folded, round->options.min_updates);
    abandon(round, now_ms, reason);
}

/* Close the round when it is time to; updates that are being folded are waited for. */
static void check_close(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_COLLECTING) {
        return;
    }
    const char *why = NULL;
    if (round->summary.folded >= round->wanted) {
        why = "enough updates";
    } else if (!any_pending(round)) {
        why = "nobody is left to wait for";
    } else if (round->options.deadline_ms > 0 && now_ms - round->summary.began_ms >= round->options.deadline_ms) {
        why = "deadline reached";
    }
    if (why && !round->closing) {
        round->closing = true;
        trib_str_copy(round->closing_reason, sizeof round->closing_reason, why);
    }
    if (!round->closing) {
        return;
    }
    for (uint32_t i = 0; i < round->n_members; i++) {
        if (is_pending(round->members[i].state)) {
            mark_late(round, i, round->closing_reason);
        }
    }
    if (count_members(round, TRIB_MEMBER_FOLDING) == 0) {
        close_round(round, now_ms);
    }
}

/* ---- the beginning of a round ---- */

static int compare_candidates(const void *a, const void *b)
{
    const struct trib_candidate *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->client > y->client) - (x->client < y->client);
}

static size_t list_candidates(struct trib_round *round)
{
    size_t n = 0;
    for (uint32_t i = 0; i < round->n_members; i++) {
        const struct member *member = &round->members[i];
        if (member->available) {
            round->candidates[n++] = (struct trib_candidate){
                .client = i, .key = member->key, .examples = member->examples, .last_round = member->last_round};
        }
    }
    if (n > 1) {
        qsort(round->candidates, n, sizeof *round->candidates, compare_candidates);
    }
    return n;
}

enum { NO_MEMORY_PAUSE_MS = 1000 };

static void send_task(struct trib_round *round, uint32_t client, int64_t now_ms)
{
    struct member *member = &round->members[client];
    member->state = TRIB_MEMBER_TASKED;
    member->last_progress_ms = now_ms;
    act(round, TRIB_ACTION_TASK, client);
}

/* As many as a round needs to begin, and could commit with. */
static bool are_enough(const struct trib_round *round, size_t available)
{
    return available > 0 && available >= round->options.min_clients && available >= round->options.min_updates;
}

/* Begin the next round when there are enough clients and nothing forbids it. */
static void maybe_begin(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_WAITING || now_ms < round->retry_at_ms) {
        return;
    }
    size_t available = list_candidates(round);
    if (!are_enough(round, available)) {
        return;
    }
    uint32_t per_round = round->options.clients_per_round;
    size_t wanted = per_round == 0 || per_round > available ? available : per_round;
    /* less a little: 100 * 1.1 is a bit more than 110 */
    double cohort = per_round == 0 ? (double)available : ceil((double)wanted * round->options.over_selection - 1e-6);
    struct trib_selection selection = {
        .seed = round->options.seed,
        .round = round->number,
        .attempt = round->attempt,
        .candidates = round->candidates,
        .n = available,
        .wanted = cohort > (double)available ? available : (size_t)cohort,
    };
    if (round->options.selector->pick(&selection, round->picked) != TRIB_OK) {
        round->retry_at_ms = now_ms + (round->options.retry_ms > 0 ? round->options.retry_ms : NO_MEMORY_PAUSE_MS);
        return;
    }
    round->state = TRIB_ROUND_COLLECTING;
    round->closing = false;
    round->offers = 0;
    round->wanted = (uint32_t)wanted;
    round->summary = (struct trib_round_summary){.round = round->number,
                                                 .attempt = round->attempt,
                                                 .available = (uint32_t)available,
                                                 .cohort = (uint32_t)selection.wanted,
                                                 .began_ms = now_ms};
    act(round, TRIB_ACTION_BEGIN, 0);
    for (size_t i = 0; i < selection.wanted; i++) {
        uint32_t client = round->candidates[round->picked[i]].client;
        round->members[client].last_round = round->number;
        round->members[client].granted = false;
        send_task(round, client, now_ms);
    }
}

/* Let those who offered upload, in order of arrival, as far as the limit allows. */
static void pump_grants(struct trib_round *round, int64_t now_ms)
{
    uint32_t busy = count_members(round, TRIB_MEMBER_GRANTED) + count_members(round, TRIB_MEMBER_FOLDING);
    while (round->state == TRIB_ROUND_COLLECTING && !round->closing && busy < round->options.uploads_in_flight) {
        struct member *next = NULL;
        for (size_t i = 0; i < round->n_members; i++) {
            struct member *member = &round->members[i];
            if (member->state == TRIB_MEMBER_OFFERED && (!next || member->offer_order < next->offer_order)) {
                next = member;
            }
        }
        if (!next) {
            return;
        }
        next->state = TRIB_MEMBER_GRANTED;
        next->granted = true;
        next->last_progress_ms = now_ms;
        round->summary.granted++;
        act(round, TRIB_ACTION_GRANT, (uint32_t)(next - round->members));
        busy++;
    }
}

/* ---- events: each returns NULL, or why nothing changed ---- */

static const char *on_joined(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = &round->members[event->client];
    member->known = true;
    member->available = true;
    member->key = event->key;
    member->examples = event->examples;
    if (round->state == TRIB_ROUND_COLLECTING && is_pending(member->state)) {
        send_task(round, event->client, event->now_ms);
        pump_grants(round, event->now_ms);
    }
    return NULL;
}

static const char *on_left(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = find_member(round, event->client);
    if (!member || !member->available) {
        return "the client was not here";
    }
    member->available = false;
    if (is_pending(member->state)) {
        member->state = TRIB_MEMBER_TASKED; /* it may come back, offer again and go on with its upload */
        member->last_progress_ms = event->now_ms;
        pump_grants(round, event->now_ms);
    }
    return NULL;
}

/* The member that an event of a client is about, or NULL with *ignored set; a client that is behind is told. */
static struct member *current_member(struct trib_round *round, const struct trib_round_event *event,
                                     const char **ignored)
{
    struct member *member = find_member(round, event->client);
    if (!member) {
        *ignored = "unknown client";
        return NULL;
    }
    if (event->round == round->number &&
        (member->state == TRIB_MEMBER_FOLDING || member->state == TRIB_MEMBER_FOLDED)) {
        *ignored = "its update is here already";
        return NULL;
    }
    if (round->state != TRIB_ROUND_COLLECTING || event->round != round->number || member->state == TRIB_MEMBER_NONE ||
        member->state == TRIB_MEMBER_LATE) {
        tell(round, event->client, event->round, TRIB_OUTCOME_LATE, "the round went on without it");
        *ignored = "not for the round that is being collected";
        return NULL;
    }
    return member;
}

static const char *on_progress(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = find_member(round, event->client);
    if (!member || !is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    member->last_progress_ms = event->now_ms;
    return NULL;
}

static const char *on_offer(struct trib_round *round, const struct trib_round_event *event)
{
    const char *ignored = NULL;
    struct member *member = current_member(round, event, &ignored);
    if (!member) {
        return ignored;
    }
    if (member->state == TRIB_MEMBER_GRANTED) {
        act(round, TRIB_ACTION_GRANT, event->client); /* its upload broke: it asks where to go on */
        member->last_progress_ms = event->now_ms;
        return NULL;
    }
    if (member->state != TRIB_MEMBER_TASKED) {
        return "it has offered already";
    }
    member->state = TRIB_MEMBER_OFFERED;
    member->last_progress_ms = event->now_ms;
    member->examples = event->examples;
    member->offer_order = round->offers++;
    round->summary.offered++;
    if (round->summary.first_offer_ms == 0) {
        round->summary.first_offer_ms = event->now_ms;
    }
    pump_grants(round, event->now_ms);
    return NULL;
}

static const char *on_failure(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = find_member(round, event->client);
    if (!member || round->state != TRIB_ROUND_COLLECTING || event->round != round->number ||
        !is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    discard(round, event->client);
    member->state = TRIB_MEMBER_FAILED;
    round->summary.failed++;
    pump_grants(round, event->now_ms);
    check_close(round, event->now_ms);
    return NULL;
}

static const char *on_uploaded(struct trib_round *round, const struct trib_round_event *event)
{
    const char *ignored = NULL;
    struct member *member = current_member(round, event, &ignored);
    if (!member) {
        return ignored; /* it was discarded when the client's part ended */
    }
    if (event->attempt != round->attempt) {
        return "of an earlier attempt";
    }
    if (member->state != TRIB_MEMBER_GRANTED) {
        if (is_pending(member->state)) {
            discard(round, event->client); /* its session broke meanwhile: it offers again */
        }
        return "no upload was granted";
    }
    member->state = TRIB_MEMBER_FOLDING;
    round->summary.uploaded++;
    act(round, TRIB_ACTION_FOLD, event->client);
    return NULL;
}

static bool is_current_work(const struct trib_round *round, const struct trib_round_event *event)
{
    return event->round == round->number && event->attempt == round->attempt;
}

static const char *on_refused(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = find_member(round, event->client);
    if (!member || round->state != TRIB_ROUND_COLLECTING || !is_current_work(round, event) ||
        !is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    discard(round, event->client);
    member->state = TRIB_MEMBER_REJECTED;
    round->summary.rejected++;
    tell(round, event->client, round->number, TRIB_OUTCOME_REJECTED, event->reason);
    pump_grants(round, event->now_ms);
    check_close(round, event->now_ms);
    return NULL;
}

static const char *on_folded(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = find_member(round, event->client);
    if (!member || round->state != TRIB_ROUND_COLLECTING || !is_current_work(round, event) ||
        member->state != TRIB_MEMBER_FOLDING) {
        return "nothing of this client was being folded";
    }
    if (event->ok) {
        member->state = TRIB_MEMBER_FOLDED;
        round->summary.folded++;
    } else if (event->harmful) {
        abandon(round, event->now_ms, event->reason);
        return NULL;
    } else {
        member->state = TRIB_MEMBER_REJECTED;
        round->summary.rejected++;
        tell(round, event->client, round->number, TRIB_OUTCOME_REJECTED, event->reason);
    }
    pump_grants(round, event->now_ms);
    check_close(round, event->now_ms);
    return NULL;
}

static bool evaluation_due(const struct trib_round *round)
{
    return round->options.evaluate &&
           (round->number % round->options.evaluate_every == 0 || round->number == round->last_round);
}

static void start_commit(struct trib_round *round)
{
    round->state = TRIB_ROUND_COMMITTING;
    act(round, TRIB_ACTION_COMMIT, 0);
}

static const char *on_applied(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_APPLYING || !is_current_work(round, event)) {
        return "no update was being applied";
    }
    round->summary.applied_ms = event->now_ms;
    if (!event->ok) {
        abandon(round, event->now_ms, event->reason);
    } else if (evaluation_due(round)) {
        round->state = TRIB_ROUND_EVALUATING;
        act(round, TRIB_ACTION_EVALUATE, 0);
    } else {
        start_commit(round);
    }
    return NULL;
}

static const char *on_evaluated(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_EVALUATING || !is_current_work(round, event)) {
        return "no model was being evaluated";
    }
    round->summary.evaluated_ms = event->now_ms;
    start_commit(round);
    return NULL;
}

static const char *on_committed(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_COMMITTING || !is_current_work(round, event)) {
        return "no model was being committed";
    }
    round->summary.committed_ms = event->now_ms;
    if (!event->ok) {
        abandon(round, event->now_ms, event->reason);
        return NULL;
    }
    act(round, TRIB_ACTION_COMMITTED, 0);
    for (uint32_t i = 0; i < round->n_members; i++) {
        if (round->members[i].state == TRIB_MEMBER_FOLDED) {
            tell(round, i, round->number, TRIB_OUTCOME_FOLDED, "");
        }
    }
    forget_cohort(round);
    round->number++;
    round->attempt = 0;
    round->retry_at_ms = event->now_ms;
    round->state = TRIB_ROUND_WAITING;
    if (round->number > round->last_round) {
        finish(round, "all rounds are done");
    } else if (round->stopping) {
        finish(round, "stopped");
    }
    return NULL;
}

/* Members that made no progress in time drop out. */
static void drop_idle(struct trib_round *round, int64_t now_ms)
{
    for (uint32_t i = 0; i < round->n_members; i++) {
        const struct member *member = &round->members[i];
        if (!is_pending(member->state)) {
            continue;
        }
        int64_t idle_ms = now_ms - member->last_progress_ms;
        bool waits_for_us = member->state == TRIB_MEMBER_OFFERED;
        if (!member->available && idle_ms >= round->options.away_timeout_ms) {
            mark_late(round, i, "disconnected and did not come back in time");
        } else if (member->available && !waits_for_us && round->options.idle_timeout_ms > 0 &&
                   idle_ms >= round->options.idle_timeout_ms) {
            mark_late(round, i, "made no progress in time");
        }
    }
}

static const char *on_tick(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state == TRIB_ROUND_COLLECTING) {
        drop_idle(round, event->now_ms);
        pump_grants(round, event->now_ms);
        check_close(round, event->now_ms);
    }
    return NULL;
}

static const char *on_stop(struct trib_round *round, const struct trib_round_event *event)
{
    round->stopping = true;
    if (round->state == TRIB_ROUND_WAITING) {
        finish(round, "stopped");
    } else if (round->state == TRIB_ROUND_COLLECTING) {
        abandon(round, event->now_ms, "the server is stopping");
    }
    return NULL;
}

static const char *dispatch(struct trib_round *round, const struct trib_round_event *event)
{
    switch (event->kind) {
    case TRIB_EVENT_JOINED:
        return on_joined(round, event);
    case TRIB_EVENT_LEFT:
        return on_left(round, event);
    case TRIB_EVENT_PROGRESS:
        return on_progress(round, event);
    case TRIB_EVENT_OFFER:
        return on_offer(round, event);
    case TRIB_EVENT_FAILURE:
        return on_failure(round, event);
    case TRIB_EVENT_UPLOADED:
        return on_uploaded(round, event);
    case TRIB_EVENT_REFUSED:
        return on_refused(round, event);
    case TRIB_EVENT_FOLDED:
        return on_folded(round, event);
    case TRIB_EVENT_APPLIED:
        return on_applied(round, event);
    case TRIB_EVENT_EVALUATED:
        return on_evaluated(round, event);
    case TRIB_EVENT_COMMITTED:
        return on_committed(round, event);
    case TRIB_EVENT_TICK:
        return on_tick(round, event);
    case TRIB_EVENT_STOP:
        return on_stop(round, event);
    }
    return "unknown event";
}

enum trib_status trib_round_step(struct trib_round *round, const struct trib_round_event *event,
                                 const struct trib_round_action **actions, size_t *n, const char **ignored)
{
    if (event->kind == TRIB_EVENT_JOINED) {
        TRIB_TRY(reserve_member(round, event->client));
    }
    TRIB_TRY(reserve_actions(round));
    round->n_actions = 0;
    bool may_begin =
        round->state == TRIB_ROUND_WAITING && (event->kind == TRIB_EVENT_JOINED || event->kind == TRIB_EVENT_TICK);
    const char *why = round->state == TRIB_ROUND_FINISHED ? "the run is finished" : dispatch(round, event);
    if (may_begin) {
        maybe_begin(round, event->now_ms); /* never in the step that ended a round: its summary is still needed */
    }
    *actions = round->actions;
    *n = round->n_actions;
    if (ignored) {
        *ignored = why;
    }
    return TRIB_OK;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t trib_round_next_tick(const struct trib_round *round)
{
    if (round->state == TRIB_ROUND_WAITING) {
        return are_enough(round, count_available(round)) ? round->retry_at_ms : INT64_MAX;
    }
    if (round->state != TRIB_ROUND_COLLECTING) {
        return INT64_MAX;
    }
    int64_t next = INT64_MAX;
    if (round->options.deadline_ms > 0 && !round->closing) {
        next = round->summary.began_ms + round->options.deadline_ms;
    }
    for (size_t i = 0; i < round->n_members; i++) {
        const struct member *member = &round->members[i];
        if (!is_pending(member->state)) {
            continue;
        }
        if (!member->available) {
            next = sooner(next, member->last_progress_ms + round->options.away_timeout_ms);
        } else if (round->options.idle_timeout_ms > 0 && member->state != TRIB_MEMBER_OFFERED) {
            next = sooner(next, member->last_progress_ms + round->options.idle_timeout_ms);
        }
    }
    return next;
}

static enum trib_status check_options(const struct trib_round_options *options, struct trib_error *error)
{
    if (!options->selector || options->first_round == 0 || options->first_round > options->rounds ||
        options->uploads_in_flight == 0 || options->min_updates == 0 || options->evaluate_every == 0 ||
        !(options->over_selection >= 1) || options->away_timeout_ms < 0 || options->retry_ms < 0) {
        return trib_fail(error, TRIB_INVALID, "round options are out of range");
    }
    if (options->deadline_ms <= 0 && options->idle_timeout_ms <= 0) {
        return trib_fail(error, TRIB_INVALID,
                         "a round needs a deadline or an idle timeout, else it could wait for ever");
    }
    if (options->clients_per_round > 0 && options->min_updates > options->clients_per_round) {
        return trib_fail(error, TRIB_INVALID,
                         "min_updates (%" PRIu32 ") is above clients_per_round (%" PRIu32 "): no round could commit",
                         options->min_updates, options->clients_per_round);
    }
    return TRIB_OK;
}

enum trib_status trib_round_new(const struct trib_round_options *options, struct trib_round **round,
                                struct trib_error *error)
{
    TRIB_TRY(check_options(options, error));
    struct trib_round *result = trib_calloc(1, sizeof *result);
    if (!result) {
        return trib_fail_no_memory(error);
    }
    result->options = *options;
    result->number = options->first_round;
    result->last_round = options->rounds;
    *round = result;
    return TRIB_OK;
}

void trib_round_free(struct trib_round *round)
{
    if (round) {
        trib_free(round->members);
        trib_free(round->candidates);
        trib_free(round->picked);
        trib_free(round->actions);
        trib_free(round);
    }
}

enum trib_round_state trib_round_state(const struct trib_round *round)
{
    return round->state;
}

uint64_t trib_round_number(const struct trib_round *round)
{
    return round->number;
}

const struct trib_round_summary *trib_round_summary(const struct trib_round *round)
{
    return &round->summary;
}

enum trib_member_state trib_round_member(const struct trib_round *round, uint32_t client)
{
    return client < round->n_members ? round->members[client].state : TRIB_MEMBER_NONE;
}
