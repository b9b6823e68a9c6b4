/* The trellis: Ungerboeck's code of 64 states (Ungerboeck, "Trellis-coded modulation with redundant signal sets", 1987,
 * table I), the way back through Viterbi's search, and the decoder's machines. The way forwards is trellis_forwards.c.
 */
#include "trellis.h"

#include "trellis_forwards.h"

#include "base/clones.h"

enum {
    STATES = TRIB_TRELLIS_STATES,
    HALF = TRIB_TRELLIS_HALF,
    LANES = TRIB_TRELLIS_LANES,
    FEEDBACK = TRIB_TRELLIS_FEEDBACK,
    INPUT = TRIB_TRELLIS_INPUT
};

static const float rounder = 0x1.8p23F;

static unsigned next_state(unsigned state, unsigned parity)
{
    return state >> 1 ^ (FEEDBACK & (0 - (state & 1))) ^ (INPUT & (0 - parity));
}

/* ---- the search ---- */

/* Backwards: from each lane's best state along the ways. What was chosen replaces the ways that were gone. */
static void backwards(size_t n_steps, const trib_trellis_row *metrics, uint32_t *low_ways, const uint32_t *high_ways)
{
    unsigned states[LANES] = {0};
    for (unsigned lane = 0; lane < LANES; lane++) {
        for (unsigned s = 1; s < STATES; s++) {
            states[lane] = metrics[s][lane] < metrics[states[lane]][lane] ? s : states[lane];
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
    _Alignas(64) trib_trellis_row metrics[STATES];
    uint32_t *ways = (uint32_t *)chosen;
    size_t n_steps = (n + LANES - 1) / LANES;
    for (size_t i = n; i < n_steps * LANES; i++) {
        values[i] = 0;
    }
    trib_trellis_forwards(values, n_steps, costs, metrics, ways, memory);
    backwards(n_steps, metrics, ways, memory);
    name_numbers(values, n, costs.factor, chosen);
}

/* ---- the way back ---- */

/* One symbol taken; the machine moves on. */
static inline float replay_one(const struct trib_trellis_symbols *sent, size_t i, size_t *n_odd, unsigned *state)
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
