/* A backoff is how long to wait between attempts to connect: exponential, with jitter, so that clients which lost one
 * server together do not come back together. A value; no clock of its own, one thread.
 *
 * The n-th wait in a row (from 0) is drawn from U[min, min(max, min * 2^(n+1))]  (full jitter, Brooker 2015, with a
 * floor, since a wait of nearly nothing would be a hammer). */
#ifndef TRIB_CLIENT_BACKOFF_H
#define TRIB_CLIENT_BACKOFF_H

#include "base/rng.h"

#include <stdint.h>

struct trib_backoff {
    int64_t min_ms, max_ms;
    unsigned failures; /* waits in a row */
    struct trib_rng rng;
};

/* trib_backoff_init: 0 < min_ms <= max_ms; anything else is mended to the nearest that is. */
void trib_backoff_init(struct trib_backoff *backoff, int64_t min_ms, int64_t max_ms, uint64_t seed);
int64_t trib_backoff_next(struct trib_backoff *backoff); /* milliseconds to wait */
void trib_backoff_reset(struct trib_backoff *backoff);   /* after a healthy connection */
/* trib_backoff_asked is a wait that the server asked for, with up to a tenth of it and min_ms more: never earlier than
 * asked. */
int64_t trib_backoff_asked(struct trib_backoff *backoff, int64_t asked_ms);

#endif
