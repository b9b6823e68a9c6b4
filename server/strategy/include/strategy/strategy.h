/* Strategies: how a round's updates become the next model. One const table each; strategy_list.def lists them.
 *
 * The server's calls in one round: begin; for each verified update fold_begin, then fold for each of its blocks;
 * finish. `finish` writes next = model + server update in place of nothing else: model and next never overlap unless
 * they are the same. */
#ifndef TRIB_STRATEGY_STRATEGY_H
#define TRIB_STRATEGY_STRATEGY_H

#include "strategy/accumulator.h"

enum { TRIB_STRATEGY_ADDITIVE = 1 }; /* needs only the weighted sum: fits secure aggregation, O(model) memory */

struct trib_strategy_options {
    double server_learning_rate; /* 1 = plain averaging */
};
struct trib_update_info {
    uint64_t examples; /* as the client reports */
    uint64_t weight;   /* examples after the cap */
};

struct trib_strategy {
    const char *name; /* "fedavg" */
    const char *help;
    unsigned caps;
    size_t state_size; /* bytes of its own state, zeroed by the caller */
    /* n elements, |value| <= max_abs, weights up to max_total_weight in all. A state that was begun before starts over.
     * After a failure the state is as after clear. */
    enum trib_status (*begin)(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error);
    enum trib_status (*fold_begin)(void *state, const struct trib_update_info *info, struct trib_error *error);
    /* Disjoint ranges may be folded from several threads at once. */
    void (*fold)(void *state, const struct trib_update_info *info, size_t first, const float *values, size_t n);
    /* next[n] may be model itself. TRIB_UNAVAILABLE when nothing was folded. It may consume the state: afterwards only
     * clear and begin are allowed. */
    enum trib_status (*finish)(void *state, const float *model, float *next, struct trib_error *error);
    void (*clear)(void *state); /* frees everything; state may be begun again */
};

size_t trib_strategies(const struct trib_strategy *const **list);
const struct trib_strategy *trib_strategy_find(const char *name); /* NULL when unknown */

#endif
