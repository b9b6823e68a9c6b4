/* The selector "random" samples uniformly, without replacement (McMahan et al. 2017), from the run's seed and the
 * round. */
#include "sampling.h"
#include "selector_tables.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>

static enum trib_status pick(void *state, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)state;
    uint32_t *order = trib_calloc(selection->n, sizeof *order);
    if (!order) {
        return TRIB_NO_MEMORY;
    }
    for (size_t i = 0; i < selection->n; i++) {
        order[i] = (uint32_t)i;
    }
    struct trib_rng rng = trib_rng_init(selection->seed, "cohort", selection->round, selection->draw);
    trib_rng_shuffle_u32(&rng, order, selection->n);
    for (size_t i = 0; i < selection->wanted; i++) {
        picked[i] = (struct trib_pick){.candidate = order[i], .score = NAN, .why = "drawn at random"};
    }
    trib_select_sort(picked, selection->wanted);
    trib_free(order);
    return TRIB_OK;
}

const struct trib_selector trib_selector_random = {
    .name = "random",
    .help = "uniform sampling without replacement, from the seed",
    .pick = pick,
};
