/* The names and stored numbers of the round engine's states, and the whole of it in words. */
#include "round_private.h"

#include <inttypes.h>

static const char *const state_names[TRIB_ROUND_STATE_COUNT] = {
    [TRIB_ROUND_WAITING] = "waiting",   [TRIB_ROUND_COLLECTING] = "collecting", [TRIB_ROUND_DECIDING] = "deciding",
    [TRIB_ROUND_APPLYING] = "applying", [TRIB_ROUND_EVALUATING] = "evaluating", [TRIB_ROUND_COMMITTING] = "committing",
    [TRIB_ROUND_FINISHED] = "finished",
};
static const char *const member_names[TRIB_MEMBER_STATE_COUNT] = {
#define TRIB_MEMBER_STATE_ROW(name, stored, text, meaning) [TRIB_MEMBER_##name] = text,
#include "round/member_states.def"
};

const char *trib_round_state_name(enum trib_round_state state)
{
    return state < TRIB_ROUND_STATE_COUNT ? state_names[state] : "?";
}

const char *trib_member_state_name(enum trib_member_state state)
{
    return state < TRIB_MEMBER_STATE_COUNT ? member_names[state] : "?";
}

static const uint64_t stored_states[TRIB_MEMBER_STATE_COUNT] = {
#define TRIB_MEMBER_STATE_ROW(name, stored, text, meaning) [TRIB_MEMBER_##name] = (stored),
#include "round/member_states.def"
};

uint64_t trib_member_state_stored(enum trib_member_state state)
{
    return stored_states[state];
}

bool trib_member_state_find(uint64_t stored, enum trib_member_state *state)
{
    for (int i = 0; i < TRIB_MEMBER_STATE_COUNT; i++) {
        if (stored_states[i] == stored) {
            *state = (enum trib_member_state)i;
            return true;
        }
    }
    return false;
}

const char *trib_outcome_name(enum trib_outcome outcome)
{
    static const char *const names[] = {[TRIB_OUTCOME_FOLDED] = "folded",
                                        [TRIB_OUTCOME_SKIPPED] = "skipped",
                                        [TRIB_OUTCOME_REJECTED] = "rejected",
                                        [TRIB_OUTCOME_LATE] = "late",
                                        [TRIB_OUTCOME_ABANDONED] = "abandoned"};
    return (size_t)outcome < sizeof names / sizeof names[0] ? names[outcome] : "?";
}

static enum trib_status print_member(size_t client, const struct member *member, struct trib_buf *text)
{
    TRIB_TRY(trib_buf_printf(text, "client %zu: %s%s%s", client, trib_member_state_name(member->state),
                             member->available ? "" : " (away)", member->eligible ? "" : " (filtered out)"));
    TRIB_TRY(trib_buf_printf(text,
                             " task=%" PRIu64 "/%" PRIu64 " last_progress=%" PRId64 " last_round=%" PRIu64
                             " barred_until=%" PRIu64 " order=%" PRIu64 " bytes=%" PRIu64,
                             member->task_round, member->task_attempt, member->last_progress_ms, member->last_round,
                             member->barred_until, member->offer_order, member->bytes));
    return trib_buf_printf(text,
                           " picked=%" PRIu64 " folded=%" PRIu64 " skipped=%" PRIu64 "/%" PRIu64 " failed=%" PRIu64
                           " loss=%.9g seconds=%.9g relevance=%.9g\n",
                           member->picked, member->folded, member->skipped, member->skipped_in_row, member->failed,
                           member->loss, member->seconds, member->relevance);
}

/* "members: tasked=3 granted=2": the states that occur but for none. */
static enum trib_status print_counts(const struct trib_round *round, struct trib_buf *text)
{
    TRIB_TRY(trib_buf_printf(text, "members:"));
    for (int i = TRIB_MEMBER_TASKED; i < TRIB_MEMBER_STATE_COUNT; i++) {
        if (round->counts[i] > 0) {
            TRIB_TRY(trib_buf_printf(text, " %s=%" PRIu32, member_names[i], round->counts[i]));
        }
    }
    return trib_buf_printf(text, " here=%" PRIu32 " offers=%" PRIu64 " retry_at=%" PRId64 " wait_from=%" PRId64 "\n",
                           round->n_available, round->offers, round->retry_at_ms, round->wait_from_ms);
}

enum trib_status trib_round_print(const struct trib_round *round, struct trib_buf *text)
{
    const struct trib_round_summary *s = &round->summary;
    TRIB_TRY(trib_buf_printf(text,
                             "round %" PRIu64 " attempt %" PRIu64 " %s%s%s%s wanted=%" PRIu32 " draws=%" PRIu64
                             " threshold=%.9g bytes_left=%" PRIu64 "\n",
                             round->number, round->attempt, trib_round_state_name(round->state),
                             round->closing ? " closing" : "", round->stopping ? " stopping" : "",
                             round->decided ? " decided" : "", round->wanted, round->draws, round->cut.threshold,
                             round->cut.bytes_left));
    TRIB_TRY(trib_buf_printf(text,
                             "available=%" PRIu32 " eligible=%" PRIu32 " cohort=%" PRIu32 " offered=%" PRIu32
                             " granted=%" PRIu32 " uploaded=%" PRIu32 " folded=%" PRIu32 " skipped=%" PRIu32
                             " rejected=%" PRIu32 " failed=%" PRIu32 " late=%" PRIu32 " stale=%" PRIu32 "\n",
                             s->available, s->eligible, s->cohort, s->offered, s->granted, s->uploaded, s->folded,
                             s->skipped, s->rejected, s->failed, s->late, s->stale));
    TRIB_TRY(print_counts(round, text));
    for (size_t i = 0; i < round->n_members; i++) {
        if (round->members[i].known) {
            TRIB_TRY(print_member(i, &round->members[i], text));
        }
    }
    return TRIB_OK;
}
