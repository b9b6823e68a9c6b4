/* Rice codes are chosen, written and read here. */
#include "golomb.h"

static uint64_t cost_of(const uint16_t *numbers, size_t n, unsigned rice)
{
    uint64_t upper = 0;
    for (size_t i = 0; i < n; i++) {
        upper += (uint64_t)(numbers[i] >> rice);
    }
    return upper + (uint64_t)n * (rice + 1);
}

/* The cost is convex in the parameter but for rounding, so the search covers all: 16 sums over the numbers. */
unsigned trib_rice_best(const uint16_t *numbers, size_t n, uint64_t *cost)
{
    unsigned best = 0;
    *cost = cost_of(numbers, n, 0);
    for (unsigned rice = 1; rice <= TRIB_RICE_MOST; rice++) {
        uint64_t cost_here = cost_of(numbers, n, rice);
        if (cost_here < *cost) {
            *cost = cost_here;
            best = rice;
        }
    }
    return best;
}

void trib_rice_put(struct trib_bit_writer *bits, const uint16_t *numbers, size_t n, unsigned rice)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t upper = (uint32_t)numbers[i] >> rice;
        for (; upper > 31; upper -= 31) {
            trib_bit_put(bits, 0, 31);
        }
        trib_bit_put(bits, UINT32_C(1) << upper, upper + 1);
        trib_bit_put(bits, numbers[i] & ((UINT32_C(1) << rice) - 1), rice);
    }
}

bool trib_rice_get(struct trib_bit_reader *bits, unsigned rice, uint32_t below, uint16_t *numbers, size_t n)
{
    uint32_t most = (below - 1) >> rice;
    for (size_t i = 0; i < n; i++) {
        uint32_t upper = 0;
        while (trib_bit_get(bits, 1) == 0) {
            if (++upper > most) {
                return false; /* the end of the bytes comes here too: beyond it every bit is 0 */
            }
        }
        uint32_t number = upper << rice | trib_bit_get(bits, rice);
        if (number >= below) {
            return false;
        }
        numbers[i] = (uint16_t)number;
    }
    return !bits->in->failed;
}
