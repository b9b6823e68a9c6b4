/* The backoff's waits, drawn from its own random stream. No clock, no state but its own. */
#include "client/backoff.h"

enum { MOST_DOUBLINGS = 40 };
static const int64_t LONGEST_MS = INT64_C(1000) * 3600 * 24 * 365;

static int64_t draw(struct trib_backoff *backoff, int64_t from, int64_t to)
{
    return from + (int64_t)trib_rng_below(&backoff->rng, (uint64_t)(to - from) + 1);
}

void trib_backoff_init(struct trib_backoff *backoff, int64_t min_ms, int64_t max_ms, uint64_t seed)
{
    backoff->min_ms = min_ms < 1 ? 1 : min_ms > LONGEST_MS ? LONGEST_MS : min_ms;
    backoff->max_ms = max_ms < backoff->min_ms ? backoff->min_ms : max_ms > LONGEST_MS ? LONGEST_MS : max_ms;
    backoff->failures = 0;
    backoff->rng = trib_rng_init(seed, "backoff", 0, 0);
}

int64_t trib_backoff_next(struct trib_backoff *backoff)
{
    int64_t ceiling = backoff->min_ms;
    for (unsigned i = 0; i <= backoff->failures && ceiling < backoff->max_ms; i++) {
        ceiling *= 2; /* at most twice a year in milliseconds: no overflow */
    }
    if (ceiling > backoff->max_ms) {
        ceiling = backoff->max_ms;
    }
    if (backoff->failures < MOST_DOUBLINGS) {
        backoff->failures++;
    }
    return draw(backoff, backoff->min_ms, ceiling);
}

void trib_backoff_reset(struct trib_backoff *backoff)
{
    backoff->failures = 0;
}

int64_t trib_backoff_asked(struct trib_backoff *backoff, int64_t asked_ms)
{
    int64_t wait = asked_ms < 0 ? 0 : asked_ms > LONGEST_MS ? LONGEST_MS : asked_ms;
    return draw(backoff, wait, wait + wait / 10 + backoff->min_ms);
}
