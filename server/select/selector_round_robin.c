/* Those whose last turn is longest ago; ties by position. */
#include "selector_tables.h"

#include "base/mem.h"

#include <stdlib.h>

struct turn {
    uint64_t last_round;
    uint32_t position;
};

static int compare(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->last_round != y->last_round) {
        return x->last_round < y->last_round ? -1 : 1;
    }
    return (x->position > y->position) - (x->position < y->position);
}

static enum trib_status pick(const struct trib_selection *selection, uint32_t *picked)
{
    struct turn *turns = trib_calloc(selection->n, sizeof *turns);
    if (!turns) {
        return TRIB_NO_MEMORY;
    }
    for (size_t i = 0; i < selection->n; i++) {
        turns[i] = (struct turn){.last_round = selection->candidates[i].last_round, .position = (uint32_t)i};
    }
    qsort(turns, selection->n, sizeof *turns, compare);
    for (size_t i = 0; i < selection->wanted; i++) {
        picked[i] = turns[i].position;
    }
    qsort(picked, selection->wanted, sizeof *picked, trib_selector_compare);
    trib_free(turns);
    return TRIB_OK;
}

const struct trib_selector trib_selector_round_robin = {
    .name = "round_robin",
    .help = "whoever has waited longest",
    .pick = pick,
};
