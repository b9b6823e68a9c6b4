/* The accumulator's arithmetic is integer addition, which commutes, after one rounding per value: so the order of
 * updates, the partition into blocks and the vector width of the processor leave no trace in the result. */
#include "strategy/accumulator.h"

#include "base/mem.h"
#include "base/clones.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    SUM_BITS = 62,   /* |sum| <= 2^62: half of int64's range is left unused, for rounding at the bounds */
    VALUE_BITS = 50, /* |value * 2^shift| <= 2^50: what the rounding in add_values can do (below 2^51) */
    MIN_BITS = 20,   /* of resolution that must be left, below 1 and below max_abs */
    MAX_SHIFT = 149, /* a float has no bits below 2^-149 */
    CHUNK = 1024
};

static int ceil_log2_u64(uint64_t value)
{
    int bits = 0;
    while (bits < 64 && (bits == 63 ? value > UINT64_C(1) << 63 : value > UINT64_C(1) << bits)) {
        bits++;
    }
    return bits;
}

static int ceil_log2(double value)
{
    int exponent = 0;
    double fraction = frexp(value, &exponent); /* [0.5, 1) */
    return fraction > 0.5 ? exponent : exponent - 1;
}

static enum trib_status choose_shift(double max_abs, uint64_t max_total_weight, int *shift, struct trib_error *error)
{
    if (!isfinite(max_abs) || max_abs <= 0) {
        return trib_fail(error, TRIB_INVALID, "accumulator: the largest value accepted is %g; it must be above 0",
                         max_abs);
    }
    if (max_total_weight == 0) {
        return trib_fail(error, TRIB_INVALID, "accumulator: the largest total weight is 0; it must be at least 1");
    }
    int value_bits = SUM_BITS - ceil_log2_u64(max_total_weight);
    if (value_bits > VALUE_BITS) {
        value_bits = VALUE_BITS;
    }
    int found = value_bits - ceil_log2(max_abs);
    int least = found < value_bits ? found : value_bits;
    if (least < MIN_BITS) {
        return trib_fail(error, TRIB_INVALID,
                         "accumulator: values up to %g and a total weight up to %" PRIu64
                         " leave %d bits for fractions, %d are needed: lower one of the two",
                         max_abs, max_total_weight, least, MIN_BITS);
    }
    *shift = found < MAX_SHIFT ? found : MAX_SHIFT;
    return TRIB_OK;
}

enum trib_status trib_accumulator_init(struct trib_accumulator *acc, size_t n, double max_abs,
                                       uint64_t max_total_weight, struct trib_error *error)
{
    int shift = 0;
    TRIB_TRY(choose_shift(max_abs, max_total_weight, &shift, error));
    int64_t *sums = trib_malloc_aligned(n, sizeof *sums);
    if (!sums) {
        return trib_fail_no_memory(error);
    }
    *acc = (struct trib_accumulator){
        .sums = sums, .n = n, .shift = shift, .max_abs = max_abs, .max_total_weight = max_total_weight};
    trib_accumulator_reset(acc);
    return TRIB_OK;
}

void trib_accumulator_clear(struct trib_accumulator *acc)
{
    trib_free(acc->sums);
    *acc = (struct trib_accumulator){0};
}

void trib_accumulator_reset(struct trib_accumulator *acc)
{
    if (acc->n > 0) {
        memset(acc->sums, 0, acc->n * sizeof *acc->sums);
    }
    acc->total_weight = 0;
    acc->n_updates = 0;
}

enum trib_status trib_accumulator_begin(struct trib_accumulator *acc, uint64_t weight, struct trib_error *error)
{
    if (weight == 0) {
        return trib_fail(error, TRIB_INVALID, "an update of weight 0: a client trains on at least 1 example");
    }
    if (weight > acc->max_total_weight - acc->total_weight) {
        return trib_fail(error, TRIB_LIMIT,
                         "an update of weight %" PRIu64 " brings the round's total from %" PRIu64
                         " above its bound, %" PRIu64,
                         weight, acc->total_weight, acc->max_total_weight);
    }
    acc->total_weight += weight;
    acc->n_updates++;
    return TRIB_OK;
}

/* add_values makes sums[j] += weight * round(values[j] * 2^shift), ties to even.
 *
 * Adding 1.5 * 2^52 leaves a double no bits for fractions: the addition itself rounds, ties to even, and the result's
 * low bits are the integer, for magnitudes below 2^51. The product before it is exact (a power of two). No conversion
 * instruction is needed, so this vectorises at every level, with the same bits. Unsigned arithmetic wraps: a value out
 * of bounds would be a wrong sum, not undefined behaviour. */
TRIB_CLONES static void add_values(int64_t *sums, uint64_t weight, double scale, const float *values, size_t n)
{
    const double magic = 0x1.8p52;
    const uint64_t magic_bits = UINT64_C(0x4338000000000000);
    for (size_t j = 0; j < n; j++) {
        double shifted = (double)values[j] * scale + magic;
        uint64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        sums[j] = (int64_t)((uint64_t)sums[j] + (bits - magic_bits) * weight);
    }
}

void trib_accumulator_add(struct trib_accumulator *acc, uint64_t weight, size_t first, const float *values, size_t n)
{
    add_values(acc->sums + first, weight, ldexp(1.0, acc->shift), values, n);
}

TRIB_CLONES static void divide(const int64_t *sums, double divisor, float *mean, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        mean[j] = (float)((double)sums[j] / divisor);
    }
}

void trib_accumulator_mean(const struct trib_accumulator *acc, size_t first, size_t n, float *mean)
{
    if (acc->total_weight == 0) {
        memset(mean, 0, n * sizeof *mean);
        return;
    }
    /* exact: choose_shift leaves a total weight at most 42 bits */
    const int64_t *sums = acc->sums + first;
    double divisor = ldexp((double)acc->total_weight, acc->shift);
    for (size_t at = 0; at < n; at += CHUNK) {
        /* through a buffer and memcpy, because `mean` may be the memory of the sums just read */
        float chunk[CHUNK];
        size_t chunk_n = n - at < CHUNK ? n - at : CHUNK;
        divide(sums + at, divisor, chunk, chunk_n);
        memcpy((char *)mean + at * sizeof *mean, chunk, chunk_n * sizeof *chunk);
    }
}
