/* A selection to try a selector on: n candidates of whom nothing is known but their examples, 100 each. */
#ifndef SELECT_FIXTURE_H
#define SELECT_FIXTURE_H

#include "select/selector.h"

#include "base/rng.h"
#include "selector_options.h"
#include "test_main.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MOST = 64, STATE_SIZE = 256 };

static struct trib_candidate candidates[MOST];
static struct selector_options options;
static struct trib_pick picks[MOST];
static _Alignas(max_align_t) unsigned char state[STATE_SIZE];

/* A chi-square variable of so many degrees of freedom is above this with probability 1e-6. */
static inline double chi_square_limit(int degrees)
{
    static const double limits[] = {0, 23.93, 27.63, 30.66, 33.38, 35.89, 38.26, 40.52, 42.70, 44.81, 46.86, 48.87};
    ck_assert(degrees > 0 && degrees < (int)(sizeof limits / sizeof limits[0]));
    return limits[degrees];
}

static inline void reset(void)
{
    memset(state, 0, sizeof state);
    options = (struct selector_options){.explore = 0.9, .speed_penalty = 2};
    for (uint32_t i = 0; i < MOST; i++) {
        candidates[i] = (struct trib_candidate){.client = (i * 37 + 11) % MOST,
                                                .key = ((uint64_t)i << 40) + 12345,
                                                .examples = 100,
                                                .loss = NAN,
                                                .seconds = NAN,
                                                .relevance = NAN};
    }
}

static inline struct trib_selection selection_of(uint64_t round, size_t n, size_t wanted)
{
    return (struct trib_selection){.seed = 7, .round = round, .candidates = candidates, .n = n, .wanted = wanted};
}

/* Into picks. */
static inline void pick_draw(const char *name, uint64_t round, uint64_t draw, size_t n, size_t wanted)
{
    const struct trib_selector *selector = trib_selector_find(name);
    ck_assert_ptr_nonnull(selector);
    ck_assert_uint_le(selector->state_size, sizeof state);
    struct trib_selection selection = selection_of(round, n, wanted);
    selection.draw = draw;
    selection.settings = selector_settings(selector, &options);
    if (selector->pick(state, &selection, picks) != TRIB_OK) {
        ck_abort_msg("%s: does not pick", name);
    }
}

static inline void pick(const char *name, uint64_t round, size_t n, size_t wanted)
{
    pick_draw(name, round, 0, n, wanted);
}

/* How often each of n candidates is among `wanted` in so many draws of a round. */
static inline void count_picks(const char *name, uint64_t round, size_t n, size_t wanted, int draws, double *counts)
{
    memset(counts, 0, n * sizeof *counts);
    for (int draw = 0; draw < draws; draw++) {
        pick_draw(name, round, (uint64_t)draw, n, wanted);
        for (size_t i = 0; i < wanted; i++) {
            counts[picks[i].candidate]++;
        }
    }
}

/* sum (observed - expected)^2 / expected; weights are in proportion to the expected ones. */
static inline double chi_square(const double *observed, const double *weights, size_t n)
{
    double total = 0, weight = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        total += observed[i];
        weight += weights[i];
    }
    for (size_t i = 0; i < n; i++) {
        double expected = total * weights[i] / weight;
        sum += (observed[i] - expected) * (observed[i] - expected) / expected;
    }
    return sum;
}

#endif
