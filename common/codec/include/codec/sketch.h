/* A sketch is the signs of an update at K of its N positions, which a client offers before it uploads, and from
 * which a server estimates how far the update agrees with a direction (CMFL, Wang et al. 2019).
 *
 * Positions are derived by both sides from (run, round): one at random in each of K equal parts of the vector, so they
 * ascend, differ, and any of them is found without the others. K >= N takes every position: the estimate is exact.
 * Otherwise its standard error is at most sqrt(e (1 - e) / K), e the share of equal signs.
 *
 * A sign is one bit: set when the value is above 0. A position's value is what a decoder makes of the coded update,
 * and where that is 0 the value before coding; so whoever receives the update can check every sign that it folds. */
#ifndef TRIB_CODEC_SKETCH_H
#define TRIB_CODEC_SKETCH_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest sketch, with the offer that it is part of, (8,388,608 signs) is half of the longest message that a
 * transport takes. */
enum { TRIB_SKETCH_MAX_BYTES = 1 << 20 };

struct trib_sketch_plan {
    uint64_t n;    /* length of the vector */
    uint64_t k;    /* positions, <= n; 0 = no sketch */
    uint64_t seed; /* of (run, round) */
};

struct trib_sketch_plan trib_sketch_plan(const char *run, uint64_t round, uint64_t k, uint64_t n);
/* trib_sketch_position returns position i < k; ascending in i. */
uint64_t trib_sketch_position(const struct trib_sketch_plan *plan, uint64_t i);
/* trib_sketch_first returns the first i whose position is at least `element`; k when there is none. */
uint64_t trib_sketch_first(const struct trib_sketch_plan *plan, uint64_t element);
/* trib_sketch_bytes returns the bytes of a packed sketch: bit i in byte i / 8, the lowest first; bits beyond k are 0.
 */
size_t trib_sketch_bytes(uint64_t k);

/* trib_sketch_take is a client's side. signs [k] has one byte a position, so that blocks may be taken by several
 * threads at once: those are filled in of the elements [first, first + n), whose values before and after coding are
 * given. Then trib_sketch_pack packs them. */
void trib_sketch_take(const struct trib_sketch_plan *plan, uint8_t *signs, size_t first, const float *original,
                      const float *decoded, size_t n);
void trib_sketch_pack(const uint8_t *signs, uint64_t k, uint8_t *packed);

/* trib_sketch_contradictions is a server's side: the number of positions in [first, first + n) where the decoded value
 * is not 0 and its sign is not the sketch's. */
uint64_t trib_sketch_contradictions(const struct trib_sketch_plan *plan, const uint8_t *packed, size_t first,
                                    const float *decoded, size_t n);
/* trib_sketch_agreement returns the number of equal signs of two packed sketches. */
uint64_t trib_sketch_agreement(const uint8_t *a, const uint8_t *b, uint64_t k);
/* trib_sketch_sample makes the packed sketch of a whole vector of signs (bit j in word j / 64, the lowest first), such
 * as a past update's. */
void trib_sketch_sample(const struct trib_sketch_plan *plan, const uint64_t *signs, uint8_t *packed);
/* trib_sketch_error returns the standard error of the share e of equal signs among k of n positions, with the
 * correction for a finite vector. */
double trib_sketch_error(double e, uint64_t k, uint64_t n);

#endif
