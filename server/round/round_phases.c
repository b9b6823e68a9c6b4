/* The phases of a round: its beginning, its grants, its end. What the events of round.c have in common. */
#include "round_private.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool trib_round_is_pending(enum trib_member_state state)
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

uint32_t trib_round_count_available(const struct trib_round *round)
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
        if (trib_round_is_pending(round->members[i].state)) {
            return true;
        }
    }
    return false;
}

/* ---- actions ---- */

/* No step appends more than this per member (a late grant, and its end), besides a handful for the round itself. */
enum { ACTIONS_PER_MEMBER = 3, ACTIONS_PER_STEP = 8 };

struct trib_round_action *trib_round_act(struct trib_round *round, enum trib_round_action_kind kind, uint32_t client)
{
    struct trib_round_action *action = &round->actions[round->n_actions++];
    action->kind = kind;
    action->client = client;
    action->reason[0] = 0;
    return action;
}

static void act_reason(struct trib_round *round, enum trib_round_action_kind kind, const char *reason)
{
    trib_str_copy(trib_round_act(round, kind, 0)->reason, TRIB_ROUND_REASON_LEN, reason ? reason : "");
}

void trib_round_tell(struct trib_round *round, uint32_t client, uint64_t number, enum trib_outcome outcome,
                     const char *reason)
{
    struct trib_round_action *action = trib_round_act(round, TRIB_ACTION_OUTCOME, client);
    action->round = number;
    action->outcome = outcome;
    trib_str_copy(action->reason, sizeof action->reason, reason ? reason : "");
}

enum trib_status trib_round_reserve_actions(struct trib_round *round)
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

enum trib_status trib_round_reserve_member(struct trib_round *round, uint32_t client)
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

struct member *trib_round_find(struct trib_round *round, uint32_t client)
{
    return client < round->n_members && round->members[client].known ? &round->members[client] : NULL;
}

/* ---- the end of a round ---- */

/* Throw away what the client may have uploaded. */
void trib_round_discard(struct trib_round *round, uint32_t client)
{
    if (round->members[client].granted) {
        trib_round_act(round, TRIB_ACTION_DISCARD, client);
    }
}

void trib_round_mark_late(struct trib_round *round, uint32_t client, const char *reason)
{
    trib_round_discard(round, client);
    round->members[client].state = TRIB_MEMBER_LATE;
    round->summary.late++;
    trib_round_tell(round, client, round->number, TRIB_OUTCOME_LATE, reason);
}

void trib_round_forget_cohort(struct trib_round *round)
{
    for (size_t i = 0; i < round->n_members; i++) {
        round->members[i].state = TRIB_MEMBER_NONE;
    }
}

void trib_round_finish(struct trib_round *round, const char *reason)
{
    round->state = TRIB_ROUND_FINISHED;
    act_reason(round, TRIB_ACTION_FINISHED, reason);
}

void trib_round_abandon(struct trib_round *round, int64_t now_ms, const char *reason)
{
    for (uint32_t i = 0; i < round->n_members; i++) {
        enum trib_member_state state = round->members[i].state;
        if (trib_round_is_pending(state) || state == TRIB_MEMBER_FOLDING) {
            trib_round_discard(round, i);
        }
        if (trib_round_is_pending(state) || state == TRIB_MEMBER_FOLDING || state == TRIB_MEMBER_FOLDED) {
            trib_round_tell(round, i, round->number, TRIB_OUTCOME_ABANDONED, reason);
        }
    }
    act_reason(round, TRIB_ACTION_ABANDONED, reason);
    trib_round_forget_cohort(round);
    round->attempt++;
    round->retry_at_ms = now_ms + round->options.retry_ms;
    round->state = TRIB_ROUND_WAITING;
    if (round->stopping) {
        trib_round_finish(round, "stopped");
    }
}

static void close_round(struct trib_round *round, int64_t now_ms)
{
    round->summary.closed_ms = now_ms;
    if (round->summary.folded >= round->options.min_updates) {
        round->state = TRIB_ROUND_APPLYING;
        trib_round_act(round, TRIB_ACTION_APPLY, 0);
        return;
    }
    char reason[TRIB_ROUND_REASON_LEN];
    snprintf(reason, sizeof reason, "%s with %" PRIu32 " of at least %" PRIu32 " updates", round->closing_reason,
             round->summary.folded, round->options.min_updates);
    trib_round_abandon(round, now_ms, reason);
}

/* Close the round when it is time to; updates that are being folded are waited for. */
void trib_round_check_close(struct trib_round *round, int64_t now_ms)
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
        if (trib_round_is_pending(round->members[i].state)) {
            trib_round_mark_late(round, i, round->closing_reason);
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

void trib_round_send_task(struct trib_round *round, uint32_t client, int64_t now_ms)
{
    struct member *member = &round->members[client];
    member->state = TRIB_MEMBER_TASKED;
    member->last_progress_ms = now_ms;
    trib_round_act(round, TRIB_ACTION_TASK, client);
}

/* As many as a round needs to begin, and could commit with. */
bool trib_round_are_enough(const struct trib_round *round, size_t available)
{
    return available > 0 && available >= round->options.min_clients && available >= round->options.min_updates;
}

/* Begin the next round when there are enough clients and nothing forbids it. */
void trib_round_maybe_begin(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_WAITING || now_ms < round->retry_at_ms) {
        return;
    }
    size_t available = list_candidates(round);
    if (!trib_round_are_enough(round, available)) {
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
    trib_round_act(round, TRIB_ACTION_BEGIN, 0);
    for (size_t i = 0; i < selection.wanted; i++) {
        uint32_t client = round->candidates[round->picked[i]].client;
        round->members[client].last_round = round->number;
        round->members[client].granted = false;
        trib_round_send_task(round, client, now_ms);
    }
}

/* Let those who offered upload, in order of arrival, as far as the limit allows. */
void trib_round_pump_grants(struct trib_round *round, int64_t now_ms)
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
        trib_round_act(round, TRIB_ACTION_GRANT, (uint32_t)(next - round->members));
        busy++;
    }
}
