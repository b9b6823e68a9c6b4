/* The weighted mean of updates in integers (server/strategy/include/strategy/accumulator.h), once more, one value at a
 * time. */
#include "world.h"

#include <math.h>

static int bits_for(uint64_t value)
{
    int bits = 0;
    while (bits < 63 && UINT64_C(1) << bits < value) {
        bits++;
    }
    return bits;
}

int naive_shift(double max_abs, uint64_t max_total_weight)
{
    int bits = 62 - bits_for(max_total_weight), shift;
    bits = bits > 50 ? 50 : bits;
    shift = bits - (int)ceil(log2(max_abs));
    return shift > 149 ? 149 : shift;
}

static float mean_of(const struct naive_update *updates, size_t n_updates, uint64_t weight, int shift, size_t j)
{
    int64_t sum = 0;
    for (size_t k = 0; k < n_updates; k++) {
        sum += (int64_t)updates[k].weight * (int64_t)nearbyint(ldexp((double)updates[k].values[j], shift));
    }
    return (float)((double)sum / ldexp((double)weight, shift));
}

void naive_next(const struct naive_update *updates, size_t n_updates, const float *model, size_t n, int shift,
                double learning_rate, float *next)
{
    uint64_t weight = 0, counted = 0;
    for (size_t k = 0; k < n_updates; k++) {
        weight += updates[k].weight;
        counted += updates[k].counted;
    }
    for (size_t j = 0; j < n; j++) {
        double step = learning_rate * ((double)weight / (double)counted);
        next[j] = (float)((double)model[j] + step * (double)mean_of(updates, n_updates, weight, shift, j));
    }
}

void naive_ef21_next(const struct naive_update *updates, size_t n_updates, const struct naive_ef21 *weights,
                     const float *model, size_t n, int shift, double learning_rate, float *mean, float *next)
{
    uint64_t weight = 0;
    for (size_t k = 0; k < n_updates; k++) {
        weight += updates[k].weight;
    }
    for (size_t j = 0; j < n; j++) {
        double round = (double)weight * (double)mean_of(updates, n_updates, weight, shift, j);
        mean[j] =
            (float)(((double)weights->known * (double)mean[j] + round) / (double)(weights->known + weights->first));
        next[j] = (float)((double)model[j] + learning_rate * (double)mean[j]);
    }
}
