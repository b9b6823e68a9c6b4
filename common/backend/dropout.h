/* The elements that dropout keeps are a function of (seed, step, stream, element), the same in every backend. Private
 * to this block. */
#ifndef TRIB_BACKEND_DROPOUT_H
#define TRIB_BACKEND_DROPOUT_H

#include "backend/backend.h"
#include "base/rng.h"

struct trib_dropout {
    uint32_t key[2];
    uint32_t threshold; /* a 24-bit draw below it drops the element */
    float scales[2];    /* of what is dropped and kept: 0 and 1 / (1 - rate); a branch would be guessed wrong */
};

static inline struct trib_dropout trib_dropout_init(const struct trib_kernel_call *call)
{
    struct trib_rng rng = trib_rng_init(call->seed, "dropout", call->step, call->attributes->stream);
    float rate = call->attributes->rate;
    return (struct trib_dropout){
        .key = {rng.key[0], rng.key[1]},
        .threshold = (uint32_t)(rate * 16777216.0f),
        .scales = {0.0f, rate < 1.0f ? 1.0f / (1.0f - rate) : 0.0f},
    };
}

/* y[0..n) for elements first .. first+n, first a multiple of 4. x may equal y. */
static inline void trib_dropout_apply(const struct trib_dropout *dropout, size_t first, size_t n, const float *x,
                                      float *y)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        trib_philox(dropout->key, (first + i) / 4, words);
        for (size_t j = 0; j < 4 && i + j < n; j++) {
            y[i + j] = x[i + j] * dropout->scales[(words[j] >> 8) >= dropout->threshold];
        }
    }
}

#endif
