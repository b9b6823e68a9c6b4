/* The relevance of an offer is the share of its signs that equal those of a direction, which is the last committed
 * update of the model (CMFL, Wang et al. 2019) or the majority of the round's offers. One thread, but for
 * trib_relevance_signs. */
#ifndef TRIB_SELECT_RELEVANCE_H
#define TRIB_SELECT_RELEVANCE_H

#include "base/blob.h"
#include "codec/sketch.h"

struct trib_relevance; /* opaque */

/* n: values of the model; k: positions of a sketch, at most n count, 0 = off; majority: the direction is that of the
 * round's offers. */
TRIB_MUST_CHECK enum trib_status trib_relevance_new(uint64_t n, uint64_t k, bool majority,
                                                    struct trib_relevance **relevance, struct trib_error *error);
void trib_relevance_free(struct trib_relevance *relevance);                /* NULL is allowed */
uint64_t trib_relevance_positions(const struct trib_relevance *relevance); /* of a sketch; 0 = off */
/* Whether the direction is the last committed update, whose signs it must learn. */
bool trib_relevance_learns(const struct trib_relevance *relevance);
/* The standard error of a relevance that was estimated from a sketch. */
double trib_relevance_error(const struct trib_relevance *relevance, double value);
/* The relevance of an offer for this round, 0 .. 1; nan while there is nothing to compare it with. sketch: of k
 * positions, packed. */
double trib_relevance_of(struct trib_relevance *relevance, const char *run, uint64_t round, const uint8_t *sketch);
/* The majority of n_sketches offers of one round becomes that round's direction. Positions without a majority do not
 * count. */
void trib_relevance_vote(struct trib_relevance *relevance, uint64_t round, const uint8_t *const *sketches,
                         size_t n_sketches);
/* The signs of after - before, both [n]: bit j in word j / 64 (uint64_t), set where it is above 0. One reference for
 * the caller; NULL when out of memory. Any thread. */
struct trib_blob *trib_relevance_signs(const float *before, const float *after, size_t n);
size_t trib_relevance_signs_len(size_t n); /* bytes */
/* They are the last committed update's from now on; takes the reference over. NULL: there is no direction then. */
void trib_relevance_learn(struct trib_relevance *relevance, struct trib_blob *signs);

#endif
