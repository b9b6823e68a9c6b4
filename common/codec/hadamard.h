/* The randomised Hadamard rotation of a block is an orthonormal map, drawn from (seed, number), after which the values
 * of any block look like draws from one normal distribution; its transpose takes them back. The same bits on every
 * machine. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_HADAMARD_H
#define TRIB_CODEC_HADAMARD_H

#include <stddef.h>
#include <stdint.h>

/* trib_hadamard_rotate works in place, n in 0 .. TRIB_CODEC_BLOCK of any length. A vector whose norm is no float gives
 * values that are not finite.
 */
void trib_hadamard_rotate(uint64_t seed, uint64_t number, float *values, size_t n);
/* trib_hadamard_restore is the inverse, but for rounding. */
void trib_hadamard_restore(uint64_t seed, uint64_t number, float *values, size_t n);

#endif
