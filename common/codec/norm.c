/* Sums over a block are taken lane by lane, and the lanes added in order. */
#include "norm.h"

#include "base/clones.h"

/* More lanes than a vector register has: the additions of several registers overlap. */
enum { LANES = 32 };

TRIB_CLONES double trib_sum_squares(const float *values, size_t n)
{
    double lanes[LANES] = {0};
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            double value = (double)values[i + lane];
            lanes[lane] += value * value;
        }
    }
    for (size_t i = whole; i < n; i++) {
        lanes[i - whole] += (double)values[i] * (double)values[i];
    }
    double sum = 0;
    for (size_t lane = 0; lane < LANES; lane++) {
        sum += lanes[lane];
    }
    return sum;
}
