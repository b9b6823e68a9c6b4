/* A combination goes through a model's coordinates with a strategy that needs all updates at once.
 *
 * Updates are decoded into a panel, a row each, for as many coordinates as its memory holds; then the strategy combines
 * ranges of the panel's columns. Both steps run in parallel, and neither the number of threads nor the memory leaves a
 * trace in the result. Where a panel holds less than a block of every update, a block is decoded once a panel. */
#ifndef TRIB_STRATEGY_COMBINE_H
#define TRIB_STRATEGY_COMBINE_H

#include "base/thread_pool.h"
#include "strategy/strategy.h"

struct trib_combination {
    const struct trib_strategy *strategy; /* with TRIB_STRATEGY_NEEDS_SET; begun */
    const void *state;
    const struct trib_update_set *set;
    struct trib_thread_pool *pool; /* NULL: this thread alone */
    /* Bytes of the panel; 0: TRIB_COMBINE_MEMORY, or the model's own size if that is more. A cohort that fills it with
     * less than TRIB_UPDATE_SET_GRAIN coordinates takes as much as those need. Besides the panel, each thread uses one
     * block of floats and the strategy's workspace. */
    size_t memory;
};
enum { TRIB_COMBINE_MEMORY = 64 << 20 };

/* trib_combine makes direction[set->n]. TRIB_UNAVAILABLE without an update, TRIB_INVALID for a block that is no
 * multiple of the grain, TRIB_NO_MEMORY, and whatever the set's read returns; then `direction` may hold anything. */
TRIB_MUST_CHECK enum trib_status trib_combine(const struct trib_combination *combination, float *direction,
                                              struct trib_error *error);

#endif
