/* The forward half of the search is where nearly all of the encoder's time goes: 64 additions, comparisons and choices
 * for each element, four times as many operations as fit into a vector register's lanes. Its loops over the lanes are
 * plain C, written so that compilers make vectors of them, as wide as the processor has (SSE2, NEON, AVX2, AVX-512):
 * lanes are innermost, their number is fixed, and nothing in a loop depends on another lane, so that any width gives
 * the same bits.
 *
 * CMakeLists.txt compiles this file with -O3 in every build and without sanitizers, for scalar code would be 20 to 50
 * times slower. trellis.c, which is instrumented, touches every element that is read or written here. */
#include "trellis_forwards.h"

#include "base/clones.h"

#include <string.h>

enum {
    STATES = TRIB_TRELLIS_STATES,
    HALF = TRIB_TRELLIS_HALF,
    LANES = TRIB_TRELLIS_LANES,
    FEEDBACK = TRIB_TRELLIS_FEEDBACK,
    INPUT = TRIB_TRELLIS_INPUT,
    BUNCH = 4,  /* states at a time, whose ways are gathered in a register */
    RENORM = 64 /* steps between renormalisations of the metrics */
};

typedef trib_trellis_row row;

static const float rounder = 0x1.8p23F;

/* A loop is inlined into each clone of its caller, or it would have the width of the default alone. */
#define INLINE static inline __attribute__((always_inline))

/* The squares of the distances to the nearest of the numbers that are `kind` modulo 4, in fours; that one lies at
 * 4 * round(quarters) + kind. Adding 1.5 * 2^23 rounds. */
INLINE void find_costs(const float *restrict values, float factor, float kind, float extra, float *restrict costs)
{
    for (unsigned lane = 0; lane < LANES; lane++) {
        float quarters = (values[lane] * factor - kind) * 0.25F;
        float error = quarters - ((quarters + rounder) - rounder);
        costs[lane] = error * error + extra;
    }
}

/* The cheaper of two ways into each of HALF states, that follow even states (odd = 0) or odd ones (1). */
INLINE void step_half(const row *restrict from, row *restrict to, unsigned odd, const float *restrict first_costs,
                      const float *restrict second_costs, uint32_t *restrict ways)
{
    const unsigned turn = odd ? FEEDBACK & (HALF - 1) : 0, flip = turn ^ INPUT, inside = BUNCH - 1;
    for (unsigned lane = 0; lane < LANES; lane++) {
        ways[lane] = 0;
    }
    for (unsigned i = 0; i < HALF; i += BUNCH) {
        const row *first = &from[2 * (i ^ (turn & ~inside)) + odd];
        const row *second = &from[2 * (i ^ (flip & ~inside)) + odd];
        for (unsigned lane = 0; lane < LANES; lane++) {
            uint32_t bits = 0;
#pragma GCC unroll 4
            for (unsigned k = 0; k < BUNCH; k++) {
                float a = first[2 * (k ^ (turn & inside))][lane] + first_costs[lane];
                float b = second[2 * (k ^ (flip & inside))][lane] + second_costs[lane];
                bits = bits << 1 | (b < a);
                to[i + k][lane] = b < a ? b : a;
            }
            ways[lane] = ways[lane] << BUNCH | bits;
        }
    }
}

INLINE void step_states(const row *restrict from, row *restrict to, const float *restrict values,
                        struct trib_trellis_costs costs, uint32_t *restrict low_ways, uint32_t *restrict high_ways)
{
    _Alignas(64) row kinds[4];
    for (unsigned kind = 0; kind < 4; kind++) {
        find_costs(values, costs.factor, (float)kind, kind % 2 == 1 ? costs.odd_cost : 0, kinds[kind]);
    }
    step_half(from, to, 0, kinds[0], kinds[2], low_ways);
    step_half(from, to + HALF, 1, kinds[1], kinds[3], high_ways);
}

INLINE void renormalize(row *metrics)
{
    _Alignas(64) row least;
    memcpy(least, metrics[0], sizeof least);
    for (unsigned s = 1; s < STATES; s++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            least[lane] = metrics[s][lane] < least[lane] ? metrics[s][lane] : least[lane];
        }
    }
    for (unsigned s = 0; s < STATES; s++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            metrics[s][lane] -= least[lane];
        }
    }
}

TRIB_CLONES void trib_trellis_forwards(const float *values, size_t n_steps, struct trib_trellis_costs costs,
                                       trib_trellis_row *metrics, uint32_t *low_ways, uint32_t *high_ways)
{
    _Alignas(64) row other[STATES];
    for (unsigned s = 0; s < STATES; s++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            metrics[s][lane] = s == 0 ? 0 : 0x1p20F;
        }
    }
    for (size_t t = 0; t < n_steps; t += 2) {
        size_t at = t * LANES, next = at + LANES;
        step_states(metrics, other, &values[at], costs, &low_ways[at], &high_ways[at]);
        if (t + 1 == n_steps) {
            memcpy(metrics, other, sizeof other);
            break;
        }
        step_states(other, metrics, &values[next], costs, &low_ways[next], &high_ways[next]);
        if (t % RENORM == 0) {
            renormalize(metrics);
        }
    }
}
