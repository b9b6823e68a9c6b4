/* Sorted columns: for coordinate-wise rules, the values that all updates have at a coordinate, in ascending order. Any
 * thread.
 *
 * Up to TRIB_SORTED_COLUMNS coordinates are sorted side by side, as keys: integers in the order of the floats, -0 below
 * 0 and nans outside the infinities. So every value has one place, whichever order the updates came in. */
#ifndef TRIB_STRATEGY_SORTED_COLUMNS_H
#define TRIB_STRATEGY_SORTED_COLUMNS_H

#include "strategy/update_set.h"

#include <string.h>

enum { TRIB_SORTED_COLUMNS = 64 };

static inline float trib_sorted_columns_value(int32_t key)
{
    uint32_t bits = (uint32_t)key ^ ((uint32_t)(key >> 31) & UINT32_C(0x7fffffff));
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A rule makes out[j] of column j < columns: keys[i * columns + j], ascending in i < n_updates. */
typedef void (*trib_sorted_columns_rule)(const void *context, const int32_t *keys, size_t n_updates, size_t columns,
                                         float *out);

/* trib_sorted_columns_workspace is a strategy's `workspace`, and trib_sorted_columns_combine its `combine` with a rule.
 */
size_t trib_sorted_columns_workspace(size_t n_updates, size_t n);
TRIB_MUST_CHECK enum trib_status trib_sorted_columns_combine(const struct trib_update_set *set, size_t first, size_t n,
                                                             trib_sorted_columns_rule rule, const void *context,
                                                             float *out, void *workspace, struct trib_error *error);

#endif
