/* Members, their states and counters, and the list of a step's actions. */
#include "round_private.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

/* No step appends more than this per member (a decision, a grant, and its end), besides a handful for the round. */
enum { ACTIONS_PER_MEMBER = 4, ACTIONS_PER_STEP = 8 };

/* ---- room ---- */

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

/* *array is grown in place of itself; on failure it is as it was. */
#define GROW(array, n)                                                                                                 \
    do {                                                                                                               \
        void *grown = trib_realloc_array((array), (n), sizeof *(array));                                               \
        if (!grown) {                                                                                                  \
            return TRIB_NO_MEMORY;                                                                                     \
        }                                                                                                              \
        (array) = grown;                                                                                               \
    } while (0)

static enum trib_status grow(struct trib_round *round, size_t capacity)
{
    GROW(round->members, capacity);
    GROW(round->candidates, capacity);
    GROW(round->picks, capacity);
    GROW(round->gate_offers, capacity);
    GROW(round->reports, capacity);
    GROW(round->changed, capacity);
    round->members_capacity = capacity;
    return TRIB_OK;
}

enum trib_status trib_round_reserve_member(struct trib_round *round, uint32_t client)
{
    size_t needed = (size_t)client + 1;
    if (needed > round->members_capacity) {
        TRIB_TRY(grow(round, needed * 2 < 16 ? 16 : needed * 2));
    }
    for (; round->n_members < needed; round->n_members++) {
        struct member *member = &round->members[round->n_members];
        memset(member, 0, sizeof *member);
        member->loss = member->seconds = member->relevance = (double)NAN;
        member->offer_loss = member->offer_seconds = member->offer_relevance = (double)NAN;
        round->counts[TRIB_MEMBER_NONE]++;
    }
    return TRIB_OK;
}

/* ---- members ---- */

struct member *trib_round_find(struct trib_round *round, uint32_t client)
{
    return client < round->n_members && round->members[client].known ? &round->members[client] : NULL;
}

uint32_t trib_round_client(const struct trib_round *round, const struct member *member)
{
    return (uint32_t)(member - round->members);
}

void trib_round_note_change(struct trib_round *round, struct member *member)
{
    if (!member->changed) {
        member->changed = true;
        round->changed[round->n_changed++] = trib_round_client(round, member);
    }
}

void trib_round_set_state(struct trib_round *round, struct member *member, enum trib_member_state state)
{
    trib_round_note_change(round, member);
    round->counts[member->state]--;
    round->counts[state]++;
    member->state = state;
}

bool trib_round_is_pending(enum trib_member_state state)
{
    return state == TRIB_MEMBER_TASKED || state == TRIB_MEMBER_OFFERED || state == TRIB_MEMBER_ADMITTED ||
           state == TRIB_MEMBER_GRANTED;
}

bool trib_round_is_at_work(enum trib_member_state state)
{
    return trib_round_is_pending(state) || state == TRIB_MEMBER_UPLOADED || state == TRIB_MEMBER_FOLDING;
}

bool trib_round_is_asynchronous(const struct trib_round *round)
{
    return round->options.buffer > 0;
}

bool trib_round_is_open(const struct trib_round *round)
{
    return round->state == TRIB_ROUND_COLLECTING || round->state == TRIB_ROUND_DECIDING;
}

/* ---- actions ---- */

struct trib_round_action *trib_round_act(struct trib_round *round, enum trib_round_action_kind kind, uint32_t client)
{
    struct trib_round_action *action = &round->actions[round->n_actions++];
    action->kind = kind;
    action->client = client;
    action->round = round->number;
    action->attempt = round->attempt;
    action->staleness = 0;
    action->reason[0] = 0;
    return action;
}

void trib_round_act_reason(struct trib_round *round, enum trib_round_action_kind kind, const char *reason)
{
    trib_str_copy(trib_round_act(round, kind, 0)->reason, TRIB_ROUND_REASON_LEN, reason ? reason : "");
}

struct trib_round_action *trib_round_act_task(struct trib_round *round, enum trib_round_action_kind kind,
                                              const struct member *member)
{
    struct trib_round_action *action = trib_round_act(round, kind, trib_round_client(round, member));
    action->round = member->task_round;
    action->attempt = member->task_attempt;
    action->staleness = round->commits - member->task_commits;
    return action;
}

void trib_round_tell(struct trib_round *round, uint32_t client, uint64_t number, enum trib_outcome outcome,
                     const char *reason)
{
    struct trib_round_action *action = trib_round_act(round, TRIB_ACTION_OUTCOME, client);
    action->round = number;
    if (round->members[client].task_round == number) {
        action->attempt = round->members[client].task_attempt;
    }
    action->outcome = outcome;
    trib_str_copy(action->reason, sizeof action->reason, reason ? reason : "");
}

/* ---- the end of a member's part ---- */

void trib_round_discard(struct trib_round *round, const struct member *member)
{
    if (member->granted) {
        trib_round_act_task(round, TRIB_ACTION_DISCARD, member);
    }
}

void trib_round_fail(struct trib_round *round, struct member *member)
{
    trib_round_discard(round, member);
    trib_round_set_state(round, member, TRIB_MEMBER_FAILED);
    member->failed++;
    round->summary.failed++;
}

void trib_round_reject(struct trib_round *round, struct member *member, const char *reason)
{
    trib_round_set_state(round, member, TRIB_MEMBER_REJECTED);
    member->failed++;
    round->summary.rejected++;
    trib_round_tell(round, trib_round_client(round, member), member->task_round, TRIB_OUTCOME_REJECTED, reason);
}

void trib_round_mark_late(struct trib_round *round, struct member *member, const char *reason)
{
    trib_round_discard(round, member);
    trib_round_set_state(round, member, TRIB_MEMBER_LATE);
    round->summary.late++;
    trib_round_tell(round, trib_round_client(round, member), member->task_round, TRIB_OUTCOME_LATE, reason);
}
