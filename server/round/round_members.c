/* Members, their states and counters, and the list of a step's actions. */
#include "phase.h"

#include "base/str.h"

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
    enum trib_member_state was = member->state;
    trib_round_note_change(round, member);
    round->counts[was]--;
    round->counts[state]++;
    if (member->task_round == round->number) {
        round->counts_now[was] -= was != TRIB_MEMBER_NONE;
        round->counts_now[state] += state != TRIB_MEMBER_NONE;
        round->returning_now -= was == TRIB_MEMBER_TASKED && member->admitted;
        round->returning_now += state == TRIB_MEMBER_TASKED && member->admitted;
    }
    member->state = state;
    trib_round_list_member(round, member, was);
}

/* What each state means to the spine. */
static const unsigned char meanings[TRIB_MEMBER_STATE_COUNT] = {
#define TRIB_MEMBER_STATE_ROW(name, stored, text, meaning) [TRIB_MEMBER_##name] = (meaning),
#include "round/member_states.def"
};

bool trib_member_means(enum trib_member_state state, enum member_meaning meaning)
{
    return state < TRIB_MEMBER_STATE_COUNT && (meanings[state] & meaning);
}

bool trib_round_is_pending(enum trib_member_state state)
{
    return trib_member_means(state, PENDING);
}

bool trib_round_is_at_work(enum trib_member_state state)
{
    return trib_member_means(state, PENDING | DELIVERED) && !trib_member_means(state, OVER);
}

uint32_t trib_round_count(const uint32_t counts[TRIB_MEMBER_STATE_COUNT], enum member_meaning meaning)
{
    uint32_t n = 0;
    for (int state = 0; state < TRIB_MEMBER_STATE_COUNT; state++) {
        n += meanings[state] & meaning ? counts[state] : 0;
    }
    return n;
}

uint32_t trib_round_count_at_work(const struct trib_round *round)
{
    uint32_t n = 0;
    for (int state = 0; state < TRIB_MEMBER_STATE_COUNT; state++) {
        n += trib_round_is_at_work((enum trib_member_state)state) ? round->counts[state] : 0;
    }
    return n;
}

bool trib_round_is_asynchronous(const struct trib_round *round)
{
    return round->options.buffer > 0;
}

bool trib_round_is_open(const struct trib_round *round)
{
    return round->state == TRIB_ROUND_COLLECTING || round->state == TRIB_ROUND_DECIDING;
}

struct trib_member_report trib_round_report_of(const struct member *member)
{
    return (struct trib_member_report){.examples = member->examples,
                                       .loss = member->offer_loss,
                                       .seconds = member->offer_seconds,
                                       .folded = member->state == TRIB_MEMBER_FOLDED};
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
    action->phase = NULL;
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

void trib_round_fail(struct trib_round *round, struct member *member)
{
    trib_phases_drop(round, member);
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
    trib_phases_drop(round, member);
    trib_round_set_state(round, member, TRIB_MEMBER_LATE);
    round->summary.late++;
    trib_round_tell(round, trib_round_client(round, member), member->task_round, TRIB_OUTCOME_LATE, reason);
}
