/* How relevant offered updates are: the share of an offer's signs that equal those of a direction, which is the last
 * committed update of the model (CMFL, Wang et al. 2019) or the majority of the round's offers. Engine's thread only,
 * but for trib_relevance_signs. */
#ifndef TRIB_CORE_RELEVANCE_H
#define TRIB_CORE_RELEVANCE_H

#include "base/status.h"
#include "codec/sketch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trib_relevance {
    uint64_t n, k;             /* values of the model; positions of a sketch, 0 = off */
    bool majority;             /* the direction is that of the round's offers */
    uint64_t *signs;           /* [n bits] of the last committed update; NULL: there was none yet */
    uint8_t *direction, *ties; /* [sketch bytes] the round's majority, and where there is none */
    uint8_t *sample;           /* [sketch bytes] of `signs`, at the positions of sampled_round */
    uint64_t sampled_round;    /* 0 = none */
    uint64_t majority_round;   /* that `direction` is of; 0 = none */
};

TRIB_MUST_CHECK enum trib_status trib_relevance_init(struct trib_relevance *relevance, uint64_t n, uint64_t k,
                                                     bool majority, struct trib_error *error);
void trib_relevance_clear(struct trib_relevance *relevance);
/* The relevance of an offer for this round, 0 .. 1; nan while there is nothing to compare it with. sketch: of k
 * positions, packed. */
double trib_relevance_of(struct trib_relevance *relevance, const char *run, uint64_t round, const uint8_t *sketch);
/* The majority of n_sketches offers of one round becomes that round's direction. Positions without a majority do not
 * count. */
void trib_relevance_vote(struct trib_relevance *relevance, uint64_t round, const uint8_t *const *sketches,
                         size_t n_sketches);
/* The signs of after - before, both [n]: bit j in word j / 64, set where it is above 0. The caller's, freed with
 * trib_free; NULL when out of memory. Any thread. */
uint64_t *trib_relevance_signs(const float *before, const float *after, size_t n);
size_t trib_relevance_signs_len(size_t n); /* bytes */
/* They are the last committed update's from now on; takes them over. NULL is allowed: there is no direction then. */
void trib_relevance_learn(struct trib_relevance *relevance, uint64_t *signs);

#endif
