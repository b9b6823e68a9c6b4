/* Uniform sampling without replacement (McMahan et al. 2017), from the run's seed and the round. */
#include "selector_tables.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

static enum trib_status pick(const struct trib_selection *selection, uint32_t *picked)
{
    uint32_t *order = trib_malloc(selection->n * sizeof *order);
    if (!order) {
        return TRIB_NO_MEMORY;
    }
    for (size_t i = 0; i < selection->n; i++) {
        order[i] = (uint32_t)i;
    }
    struct trib_rng rng = trib_rng_init(selection->seed, "cohort", selection->round, selection->attempt);
    trib_rng_shuffle_u32(&rng, order, selection->n);
    memcpy(picked, order, selection->wanted * sizeof *picked);
    qsort(picked, selection->wanted, sizeof *picked, trib_selector_compare);
    trib_free(order);
    return TRIB_OK;
}

const struct trib_selector trib_selector_random = {
    .name = "random",
    .help = "uniform sampling without replacement, from the seed",
    .pick = pick,
};
