/* The trellis: Ungerboeck's code of 64 states, in its systematic feedback form (Ungerboeck, "Trellis-coded modulation
 * with redundant signal sets", 1987, table I: parity polynomials 103 and 024 in octal), and Viterbi's search. */
#include "trellis.h"

#include "base/clones.h"

#include <string.h>

enum {
    STATES = 64,
    HALF = STATES / 2,
    LANES = TRIB_TRELLIS_LANES,
    FEEDBACK = 0103 >> 1, /* flipped in the next state after an odd one */
    INPUT = 024 >> 1,     /* flipped where k is odd */
    RENORM = 64           /* steps between renormalisations of the metrics */
};

static const float rounder = 0x1.8p23F;

static unsigned next_state(unsigned state, unsigned parity)
{
    return state >> 1 ^ (FEEDBACK & (0 - (state & 1))) ^ (INPUT & (0 - parity));
}

typedef float lanes_f __attribute__((vector_size(LANES * sizeof(float)), may_alias));
typedef int32_t lanes_i __attribute__((vector_size(LANES * sizeof(int32_t)), may_alias));
typedef uint32_t lanes_u __attribute__((vector_size(LANES * sizeof(uint32_t)), may_alias));

/* ---- the search ---- */

/* Vectors go by pointer: passed by value they would need an ABI that depends on the processor. */
#define INLINE static inline __attribute__((always_inline))

/* The square of the distance to the nearest of the numbers that are `kind` modulo 4, in fours; that one lies at
 * 4 * round(quarters) + kind. Adding 1.5 * 2^23 rounds. */
INLINE void find_cost(const lanes_f *at, float kind, lanes_f *cost)
{
    lanes_f quarters = (*at - kind) * 0.25F;
    lanes_f error = quarters - ((quarters + rounder) - rounder);
    *cost = error * error;
}

/* The cheaper of two ways into a state; its number is shifted into `ways`. */
INLINE void find_cheaper(const lanes_f *first, const lanes_f *first_cost, const lanes_f *second,
                         const lanes_f *second_cost, lanes_f *cheaper, lanes_u *ways)
{
    lanes_f a = *first + *first_cost, b = *second + *second_cost;
    lanes_i is_second = b < a; /* -1 where so */
    *ways = *ways + *ways - (lanes_u)is_second;
    *cheaper = (lanes_f)(((lanes_i)b & is_second) | ((lanes_i)a & ~is_second));
}

/* The states below HALF follow even ones, the others odd ones. */
INLINE void step_states(const lanes_f *from, lanes_f *to, const lanes_f *at, float odd_cost, lanes_u *low_ways,
                        lanes_u *high_ways)
{
    lanes_f costs[4];
    lanes_u low = {0}, high = {0};
    for (unsigned kind = 0; kind < 4; kind++) {
        find_cost(at, (float)kind, &costs[kind]);
    }
    costs[1] += odd_cost;
    costs[3] += odd_cost;
    for (unsigned i = 0; i < HALF; i++) {
        find_cheaper(&from[2 * i], &costs[0], &from[2 * (i ^ INPUT)], &costs[2], &to[i], &low);
    }
    for (unsigned i = 0; i < HALF; i++) {
        unsigned j = i ^ (FEEDBACK & (HALF - 1));
        find_cheaper(&from[2 * j + 1], &costs[1], &from[2 * (j ^ INPUT) + 1], &costs[3], &to[HALF + i], &high);
    }
    *low_ways = low;
    *high_ways = high;
}

INLINE void renormalize(lanes_f *metrics)
{
    lanes_f least = metrics[0];
    for (unsigned s = 1; s < STATES; s++) {
        lanes_i less = metrics[s] < least;
        least = (lanes_f)(((lanes_i)metrics[s] & less) | ((lanes_i)least & ~less));
    }
    for (unsigned s = 0; s < STATES; s++) {
        metrics[s] -= least;
    }
}

/* Forwards: the least cost of reaching each state, and by which way. */
TRIB_CLONES static void forwards(const float *values, size_t n_steps, struct trib_trellis_costs costs,
                                 lanes_f metrics[STATES], lanes_u *low_ways, lanes_u *high_ways)
{
    lanes_f other[STATES];
    const lanes_f *all = (const lanes_f *)(const void *)values;
    for (size_t t = 0; t < n_steps; t += 2) {
        lanes_f at = all[t] * costs.factor;
        step_states(metrics, other, &at, costs.odd_cost, &low_ways[t], &high_ways[t]);
        if (t + 1 == n_steps) {
            memcpy(metrics, other, sizeof other);
            break;
        }
        at = all[t + 1] * costs.factor;
        step_states(other, metrics, &at, costs.odd_cost, &low_ways[t + 1], &high_ways[t + 1]);
        if (t % RENORM == 0) {
            renormalize(metrics);
        }
    }
}

/* Backwards: from each lane's best state along the ways. What was chosen replaces the ways that were gone. */
static void backwards(size_t n_steps, const float *metrics, uint32_t *low_ways, const uint32_t *high_ways)
{
    unsigned states[LANES] = {0};
    for (unsigned lane = 0; lane < LANES; lane++) {
        for (unsigned s = 1; s < STATES; s++) {
            states[lane] = metrics[s * LANES + lane] < metrics[states[lane] * LANES + lane] ? s : states[lane];
        }
    }
    const uint32_t *both[] = {low_ways, high_ways}; /* looked up, since no branch can be foretold */
    for (size_t t = n_steps; t-- > 0;) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned state = states[lane], index = state % HALF, odd = state / HALF;
            unsigned second = both[odd][t * LANES + lane] >> (HALF - 1 - index) & 1;
            unsigned before = index ^ (FEEDBACK & (HALF - 1) & (0 - odd)) ^ (INPUT & (0 - second));
            states[lane] = 2 * before + odd;
            low_ways[t * LANES + lane] = odd + 2 * second; /* the kind of number */
        }
    }
}

/* Kinds become numbers. */
TRIB_CLONES static void name_numbers(const float *values, size_t n, float factor, int32_t *chosen)
{
    for (size_t i = 0; i < n; i++) {
        float quarters = (values[i] * factor - (float)chosen[i]) * 0.25F;
        chosen[i] += 4 * (int32_t)((quarters + rounder) - rounder);
    }
}

/* Found by trial on normal values; straight lines between. From 1.6 on, where less would still be a little better, the
 * rate would fall from half a bit to nothing at one step, and no step take a rate between: back to the nearest. */
static const struct {
    double ratio, factor, odd_cost; /* the latter for factor 1, in steps squared */
} shapes[] = {{0, 1, 0}, {1.1, 1, 0}, {1.6, 0.8, -0.3}, {2.05, 1, 0}, {4, 1, 0}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

struct trib_trellis_costs trib_trellis_costs(float inverse, double ratio)
{
    unsigned i = 0;
    while (i < SHAPES - 2 && ratio > shapes[i + 1].ratio) {
        i++;
    }
    double along = (ratio - shapes[i].ratio) / (shapes[i + 1].ratio - shapes[i].ratio);
    along = along < 1 ? along : 1;
    double factor = shapes[i].factor + (shapes[i + 1].factor - shapes[i].factor) * along;
    double odd_cost = shapes[i].odd_cost + (shapes[i + 1].odd_cost - shapes[i].odd_cost) * along;
    return (struct trib_trellis_costs){.factor = (float)((double)inverse * factor),
                                       .odd_cost = (float)(odd_cost * factor / 16)};
}

void trib_trellis_search(float *values, size_t n, struct trib_trellis_costs costs, int32_t *chosen, uint32_t *memory)
{
    lanes_f metrics[STATES];
    size_t n_steps = (n + LANES - 1) / LANES;
    for (size_t i = n; i < n_steps * LANES; i++) {
        values[i] = 0;
    }
    for (unsigned s = 0; s < STATES; s++) {
        metrics[s] = (lanes_f){0} + (s == 0 ? 0 : 0x1p20F);
    }
    forwards(values, n_steps, costs, metrics, (lanes_u *)(void *)chosen, (lanes_u *)(void *)memory);
    backwards(n_steps, (const float *)(const void *)metrics, (uint32_t *)chosen, memory);
    name_numbers(values, n, costs.factor, chosen);
}

/* ---- the way back ---- */

/* One symbol taken; the machine moves on. */
INLINE float replay_one(const struct trib_trellis_symbols *sent, size_t i, size_t *n_odd, unsigned *state)
{
    unsigned odd = *state & 1;
    uint16_t symbol = sent->symbols[odd ? sent->n_even + *n_odd : i - *n_odd];
    *state = next_state(*state, (symbol ^ sent->middle) & 1);
    *n_odd += odd;
    return sent->decoded[odd][symbol];
}

enum trib_status trib_trellis_replay(const struct trib_trellis_symbols *sent, float *values)
{
    unsigned states[LANES] = {0};
    size_t i = 0, n_odd = 0, odd_most = sent->n - sent->n_even;
    /* while there are enough of both for all machines */
    for (; n_odd + LANES <= odd_most && i - n_odd + LANES <= sent->n_even; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            values[i + lane] = replay_one(sent, i + lane, &n_odd, &states[lane]);
        }
    }
    for (; i < sent->n; i++) {
        unsigned *state = &states[i % LANES];
        if (*state & 1 ? n_odd == odd_most : i - n_odd == sent->n_even) {
            return TRIB_CORRUPT;
        }
        values[i] = replay_one(sent, i, &n_odd, state);
    }
    return TRIB_OK;
}
