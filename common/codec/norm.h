/* Sums over a block in double, in one order at any vector width. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_NORM_H
#define TRIB_CODEC_NORM_H

#include <stddef.h>

/* Not finite when a value is not; the squares of finite floats cannot overflow. */
double trib_sum_squares(const float *values, size_t n);

#endif
