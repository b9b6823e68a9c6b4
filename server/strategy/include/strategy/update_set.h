/* An update set is every update of a round, as a strategy sees them that needs them all at once: how many there are,
 * what is known of each, and a call that decodes a part of one. Whoever holds the updates brings the table; they may
 * lie coded in files, so that nobody has all of them decoded in memory.
 *
 * A set does not change while it is used, and several threads may read it at once. */
#ifndef TRIB_STRATEGY_UPDATE_SET_H
#define TRIB_STRATEGY_UPDATE_SET_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trib_update_info {
    uint64_t examples; /* as the client reports */
    uint64_t weight;   /* by which it is multiplied; with REMEMBERS the same in every round */
    uint64_t counted;  /* what it adds to the divisor: the weight, or more when a stale update is to count for less */
    bool first;        /* REMEMBERS: no update of this client has been committed before */
};

struct trib_update_set_table {
    /* info returns what is known of update i < n_updates; the record lives as long as the set. */
    const struct trib_update_info *(*info)(const void *context, size_t i);
    /* read decodes coordinates [first, first + n) of update i into out[n]. `first` is a multiple of the set's block,
     * 1 <= n <= block, first + n <= the set's n. All values are finite: updates are verified before they are in a set.
     * After a failure `out` may hold anything. */
    enum trib_status (*read)(const void *context, size_t i, size_t first, size_t n, float *out,
                             struct trib_error *error);
};
struct trib_update_set {
    const struct trib_update_set_table *table;
    const void *context;
    size_t n_updates;
    size_t n;     /* coordinates of each */
    size_t block; /* coordinates that are decoded at a time: a multiple of TRIB_UPDATE_SET_GRAIN */
};
enum { TRIB_UPDATE_SET_GRAIN = 16 };

static inline const struct trib_update_info *trib_update_set_info(const struct trib_update_set *set, size_t i)
{
    return set->table->info(set->context, i);
}
TRIB_MUST_CHECK static inline enum trib_status trib_update_set_read(const struct trib_update_set *set, size_t i,
                                                                    size_t first, size_t n, float *out,
                                                                    struct trib_error *error)
{
    return set->table->read(set->context, i, first, n, out, error);
}

#endif
