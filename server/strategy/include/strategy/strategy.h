/* Strategies: how a round's updates become the next model. One const table each; strategy_list.def lists them.
 *
 * The server's calls in one round: begin; for each verified update fold_begin, then fold for each of its blocks;
 * finish; and when the round is committed, commit. `finish` writes next = model + server update in place of nothing
 * else: model and next never overlap unless they are the same. */
#ifndef TRIB_STRATEGY_STRATEGY_H
#define TRIB_STRATEGY_STRATEGY_H

#include "strategy/accumulator.h"

#include <stdbool.h>

enum {
    TRIB_STRATEGY_ADDITIVE = 1,   /* needs only the weighted sum: fits secure aggregation, O(model) memory */
    TRIB_STRATEGY_REMEMBERS = 2,  /* its state lives from round to round: clear only at the run's end */
    TRIB_STRATEGY_DIFFERENCES = 4 /* updates are EF21's differences: goes with that feedback and no other */
};

struct trib_strategy_options {
    double server_learning_rate; /* 1 = plain averaging */
};
struct trib_update_info {
    uint64_t examples; /* as the client reports */
    uint64_t weight;   /* by which it is multiplied; with REMEMBERS the same in every round */
    uint64_t counted;  /* what it adds to the divisor: the weight, or more when a stale update is to count for less */
    bool first;        /* REMEMBERS: no update of this client has been committed before */
};

struct trib_strategy {
    const char *name; /* "fedavg" */
    const char *help;
    unsigned caps;
    size_t state_size; /* bytes of its own state, zeroed by the caller */
    /* n elements, |value| <= max_abs, weights up to max_total_weight in all. A state that was begun before starts over,
     * but for what it remembers of committed rounds. After a failure it has nothing but that. */
    enum trib_status (*begin)(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error);
    enum trib_status (*fold_begin)(void *state, const struct trib_update_info *info, struct trib_error *error);
    /* Disjoint ranges may be folded from several threads at once. */
    void (*fold)(void *state, const struct trib_update_info *info, size_t first, const float *values, size_t n);
    /* next[n] may be model itself. TRIB_UNAVAILABLE when nothing was folded. It may consume the round's part of the
     * state: afterwards only commit, clear and begin are allowed. */
    enum trib_status (*finish)(void *state, const float *model, float *next, struct trib_error *error);
    void (*commit)(void *state); /* what finish made is committed; NULL: it keeps nothing */
    /* REMEMBERS: after finish, before commit: what it will remember once that is committed, in this many bytes; and
     * back, into a state that is zeroed, for n elements. TRIB_CORRUPT: they are not of such a state. NULL: nothing. */
    size_t (*saved_len)(const void *state);
    void (*save)(const void *state, void *to);
    enum trib_status (*load)(void *state, size_t n, const void *from, size_t len, struct trib_error *error);
    void (*clear)(void *state); /* frees everything; state may be begun again */
};

size_t trib_strategies(const struct trib_strategy *const **list);
const struct trib_strategy *trib_strategy_find(const char *name); /* NULL when unknown */

#endif
