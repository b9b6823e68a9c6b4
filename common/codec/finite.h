/* Is every float of a vector finite? At the speed of memory: this runs over every byte a peer sends. Any thread. */
#ifndef TRIB_CODEC_FINITE_H
#define TRIB_CODEC_FINITE_H

#include <stdbool.h>
#include <stddef.h>

bool trib_all_finite(const float *values, size_t n);

#endif
