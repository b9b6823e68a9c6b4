/* An accumulator is the sum of weighted updates, in integers: its result does not depend on the order in which updates
 * arrive.
 *
 * Element j holds sum_k w_k * round(delta_kj * 2^shift) as int64. The shift is fixed when the round begins, from the
 * largest total weight and the largest |delta| that will be accepted, so that no sum can overflow:
 *   shift = min(62 - ceil(log2(max_total_weight)), 50) - ceil(log2(max_abs)), at most 149.
 * (50: what a double's addition can round at any vector width; 149: a float has no finer bits.) Rounding is to nearest,
 * ties to even, once per value, and the same bits on every processor. With 10 clients of at most 65,536 examples and
 * |delta| <= 64 the step is 2^-36, far below float32's own. */
#ifndef TRIB_STRATEGY_ACCUMULATOR_H
#define TRIB_STRATEGY_ACCUMULATOR_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct trib_accumulator {
    int64_t *sums; /* [n] */
    size_t n;
    int shift;
    double max_abs;
    uint64_t max_total_weight, total_weight;
    uint32_t n_updates;
};

/* trib_accumulator_init makes an accumulator of n sums of 0. TRIB_INVALID when the bounds leave less than 20 bits below
 * 1 or below max_abs; TRIB_NO_MEMORY. */
TRIB_MUST_CHECK enum trib_status trib_accumulator_init(struct trib_accumulator *acc, size_t n, double max_abs,
                                                       uint64_t max_total_weight, struct trib_error *error);
void trib_accumulator_clear(struct trib_accumulator *acc);
/* trib_accumulator_reset makes all sums 0 again, with the same bounds. */
void trib_accumulator_reset(struct trib_accumulator *acc);
/* trib_accumulator_begin counts an update of this weight: TRIB_LIMIT when the total would exceed its bound,
 * TRIB_INVALID for weight 0. */
TRIB_MUST_CHECK enum trib_status trib_accumulator_begin(struct trib_accumulator *acc, uint64_t weight,
                                                        struct trib_error *error);
/* trib_accumulator_add adds values [first, first + n) of an update that was counted. Values were checked against
 * max_abs before. Disjoint ranges may be added from several threads at once. */
void trib_accumulator_add(struct trib_accumulator *acc, uint64_t weight, size_t first, const float *values, size_t n);
/* trib_accumulator_mean makes mean[j] = sums[first + j] / (2^shift * total_weight), as float; total weight 0 gives
 * zeros. A mean of everything may be written over the accumulator's own memory, at (float *)sums + first, ranges in
 * ascending order; the sums are gone then. */
void trib_accumulator_mean(const struct trib_accumulator *acc, size_t first, size_t n, float *mean);

#endif
