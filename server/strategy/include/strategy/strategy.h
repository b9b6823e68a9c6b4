/* A strategy says how a round's updates become one update of the model. One const table each; strategy_list.def lists
 * them.
 *
 * A table has one of two forms:
 *   fold:    the server's calls in one round are begin; for each verified update fold_begin, then fold for each of its
 *            blocks; finish; and when the round is committed, commit. Nothing of an update is kept once it is folded.
 *   combine: for rules that need all updates at once (TRIB_STRATEGY_NEEDS_SET). The calls are begin; combine for ranges
 *            of coordinates (strategy/combine.h goes through them); finish; commit.
 *
 * What comes out is a direction and a step along it. A caller applies them (trib_strategy_apply), or offers them to
 * somebody else. */
#ifndef TRIB_STRATEGY_STRATEGY_H
#define TRIB_STRATEGY_STRATEGY_H

#include "base/config_table.h"
#include "strategy/accumulator.h"
#include "strategy/update_set.h"

#include <stdbool.h>

enum {
    TRIB_STRATEGY_ADDITIVE = 1,    /* needs only the weighted sum: fits secure aggregation, O(model) memory */
    TRIB_STRATEGY_REMEMBERS = 2,   /* its state lives from round to round: clear only at the run's end */
    TRIB_STRATEGY_DIFFERENCES = 4, /* updates are EF21's differences: goes with that feedback and no other */
    TRIB_STRATEGY_NEEDS_SET = 8    /* combines an update set: has combine and workspace, not fold */
};

struct trib_strategy_options {
    double server_learning_rate; /* 1 = plain averaging; not read when `own` is given */
    const void *own;             /* the struct that the strategy's rows fill; NULL: their defaults */
    unsigned gives;              /* what the caller can do: TRIB_STRATEGY_NEEDS_SET where it gives update sets */
};

struct trib_strategy {
    const char *name; /* "fedavg" */
    const char *help;
    unsigned caps;
    /* Of its own: rows with whole keys into a struct of its own, and rules. A key that several strategies have means
     * the same in each. */
    struct trib_config_group settings;
    size_t state_size; /* bytes of its own state, zeroed by the caller */
    /* begin starts a round: n elements, |value| <= max_abs, weights up to max_total_weight in all. A state that was
     * begun before starts over, but for what it remembers of committed rounds. After a failure it has nothing but that.
     */
    enum trib_status (*begin)(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error);

    /* ---- fold: NULL in a table that combines ---- */
    /* fold_begin counts an update, whose blocks are folded next; it refuses weights beyond the bounds. */
    enum trib_status (*fold_begin)(void *state, const struct trib_update_info *info, struct trib_error *error);
    /* fold adds values [first, first + n) of that update. Disjoint ranges may be folded from several threads at once.
     */
    void (*fold)(void *state, const struct trib_update_info *info, size_t first, const float *values, size_t n);

    /* ---- combine: NULL in a table that folds ---- */
    /* workspace returns the bytes that a call of combine for n coordinates of so many updates needs; SIZE_MAX when no
     * size_t holds them. */
    size_t (*workspace)(size_t n_updates, size_t n);
    /* combine makes out[j] = coordinate first + j of the direction. `first` is a multiple of the set's block and n <=
     * block; the set has at least one update. Disjoint ranges may be combined from several threads at once, each with a
     * workspace of its own, aligned to 64 bytes. The order of the set's updates leaves no trace. Fails as the set's
     * read does. */
    enum trib_status (*combine)(const void *state, const struct trib_update_set *set, size_t first, size_t n,
                                float *out, void *workspace, struct trib_error *error);

    /* finish gives the round's update, *step times direction[n]. After fold, it writes the direction; after combine,
     * the direction is what combine made, and finish may change it. TRIB_UNAVAILABLE when nothing was folded. It may
     * consume the round's part of the state: afterwards only commit, clear and begin are allowed. */
    enum trib_status (*finish)(void *state, float *direction, double *step, struct trib_error *error);
    void (*commit)(void *state); /* the round of the last finish is committed; NULL: the state keeps nothing of it */
    /* saved_len and save, with REMEMBERS, give what the state will remember once the round is committed: called after
     * finish, before commit. load reads that into a state that is zeroed, for n elements; TRIB_CORRUPT: the bytes are
     * not of such a state. NULL: nothing is remembered. */
    size_t (*saved_len)(const void *state);
    void (*save)(const void *state, void *to);
    enum trib_status (*load)(void *state, size_t n, const void *from, size_t len, struct trib_error *error);
    void (*clear)(void *state); /* frees everything; the state may be begun again */
};

/* trib_strategies gives the list and its length. */
size_t trib_strategies(const struct trib_strategy *const **list);
const struct trib_strategy *trib_strategy_find(const char *name); /* NULL when unknown */

/* trib_strategy_apply makes next[j] = model[j] + step * direction[j], in double and rounded to float once. `next` may
 * be the model or the direction. */
void trib_strategy_apply(const float *model, const float *direction, double step, size_t n, float *next);

#endif
