/* The round engine's state in words. */
#include "round_private.h"

#include <inttypes.h>

static const char *const state_names[TRIB_ROUND_STATE_COUNT] = {
    [TRIB_ROUND_WAITING] = "waiting",       [TRIB_ROUND_COLLECTING] = "collecting", [TRIB_ROUND_APPLYING] = "applying",
    [TRIB_ROUND_EVALUATING] = "evaluating", [TRIB_ROUND_COMMITTING] = "committing", [TRIB_ROUND_FINISHED] = "finished",
};
static const char *const member_names[TRIB_MEMBER_STATE_COUNT] = {
    [TRIB_MEMBER_NONE] = "none",       [TRIB_MEMBER_TASKED] = "tasked",     [TRIB_MEMBER_OFFERED] = "offered",
    [TRIB_MEMBER_GRANTED] = "granted", [TRIB_MEMBER_FOLDING] = "folding",   [TRIB_MEMBER_FOLDED] = "folded",
    [TRIB_MEMBER_SKIPPED] = "skipped", [TRIB_MEMBER_REJECTED] = "rejected", [TRIB_MEMBER_FAILED] = "failed",
    [TRIB_MEMBER_LATE] = "late",
};

const char *trib_round_state_name(enum trib_round_state state)
{
    return state < TRIB_ROUND_STATE_COUNT ? state_names[state] : "?";
}

const char *trib_member_state_name(enum trib_member_state state)
{
    return state < TRIB_MEMBER_STATE_COUNT ? member_names[state] : "?";
}

enum trib_status trib_round_print(const struct trib_round *round, struct trib_buf *text)
{
    const struct trib_round_summary *s = &round->summary;
    TRIB_TRY(trib_buf_printf(text, "round %" PRIu64 " attempt %" PRIu64 " %s%s%s wanted=%" PRIu32 "\n", round->number,
                             round->attempt, trib_round_state_name(round->state), round->closing ? " closing" : "",
                             round->stopping ? " stopping" : "", round->wanted));
    TRIB_TRY(trib_buf_printf(text,
                             "cohort=%" PRIu32 " offered=%" PRIu32 " granted=%" PRIu32 " uploaded=%" PRIu32
                             " folded=%" PRIu32 " rejected=%" PRIu32 " failed=%" PRIu32 " late=%" PRIu32 "\n",
                             s->cohort, s->offered, s->granted, s->uploaded, s->folded, s->rejected, s->failed,
                             s->late));
    for (size_t i = 0; i < round->n_members; i++) {
        const struct member *member = &round->members[i];
        if (member->known) {
            TRIB_TRY(trib_buf_printf(text, "client %zu: %s%s last_progress=%" PRId64 "\n", i,
                                     trib_member_state_name(member->state), member->available ? "" : " (away)",
                                     member->last_progress_ms));
        }
    }
    return TRIB_OK;
}
