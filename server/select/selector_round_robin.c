/* The selector "round_robin" picks those whose last turn is longest ago. Among equals, those who had fewer turns; among
 * these, as drawn from the run's seed and the round, so that no name is favoured. */
#include "sampling.h"
#include "selector_tables.h"

#include "base/mem.h"

#include <stdlib.h>

struct turn {
    uint64_t last_round, picked;
    double luck;
    uint32_t candidate;
};

static int compare(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->last_round != y->last_round) {
        return x->last_round < y->last_round ? -1 : 1;
    }
    if (x->picked != y->picked) {
        return x->picked < y->picked ? -1 : 1;
    }
    if (x->luck != y->luck) {
        return x->luck < y->luck ? -1 : 1;
    }
    return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

static enum trib_status pick(void *state, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)state;
    struct turn *turns = trib_calloc(selection->n, sizeof *turns);
    if (!turns) {
        return TRIB_NO_MEMORY;
    }
    for (size_t i = 0; i < selection->n; i++) {
        const struct trib_candidate *candidate = &selection->candidates[i];
        turns[i] = (struct turn){.last_round = candidate->last_round,
                                 .picked = candidate->picked,
                                 .luck = trib_select_luck(selection, "turns", 0, candidate->key),
                                 .candidate = (uint32_t)i};
    }
    qsort(turns, selection->n, sizeof *turns, compare);
    for (size_t i = 0; i < selection->wanted; i++) {
        double waited = (double)selection->round - (double)turns[i].last_round;
        picked[i] = (struct trib_pick){.candidate = turns[i].candidate,
                                       .score = waited > 0 ? waited : 0,
                                       .why = turns[i].last_round > 0 ? "has waited longest" : "not tried yet"};
    }
    trib_select_sort(picked, selection->wanted);
    trib_free(turns);
    return TRIB_OK;
}

const struct trib_selector trib_selector_round_robin = {
    .name = "round_robin",
    .help = "whoever has waited longest",
    .pick = pick,
};
