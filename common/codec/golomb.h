/* Rice codes are Golomb codes with a power of two as parameter (Golomb, 1966; Rice, 1979): a number's upper part in
 * unary, its lowest `rice` bits as they are. They are the best code for the gaps between positions drawn independently,
 * as Sattler et al. use it (sparse ternary compression, 2019); their formula for the parameter is the limit of the
 * search done here. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_GOLOMB_H
#define TRIB_CODEC_GOLOMB_H

#include "gaps.h"

enum { TRIB_RICE_MOST = 15 };

/* trib_rice_best returns the parameter that codes n numbers in the fewest bits, *cost of them. */
unsigned trib_rice_best(const uint16_t *numbers, size_t n, uint64_t *cost);
void trib_rice_put(struct trib_bit_writer *bits, const uint16_t *numbers, size_t n, unsigned rice);
/* trib_rice_get reads n numbers below `below` (1 .. 65536). False when one is not, or the bytes are short. */
bool trib_rice_get(struct trib_bit_reader *bits, unsigned rice, uint32_t below, uint16_t *numbers, size_t n);

#endif
