/* trib_all_finite tells whether every float of a vector is finite, at the speed of memory, for every byte that a peer
 * sends goes through it. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_FINITE_H
#define TRIB_CODEC_FINITE_H

#include <stdbool.h>
#include <stddef.h>

bool trib_all_finite(const float *values, size_t n);

#endif
