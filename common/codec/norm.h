/* Sums over a block are taken in double, in one order at any vector width. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_NORM_H
#define TRIB_CODEC_NORM_H

#include <stddef.h>

/* trib_sum_squares returns the sum of squares, which is not finite when a value is not; the squares of finite floats
 * cannot overflow. */
double trib_sum_squares(const float *values, size_t n);

#endif
