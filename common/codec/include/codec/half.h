/* Half precision is IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits; round to nearest, ties to even;
 * subnormals kept. Any thread.
 *
 * The bulk functions use the processor's own conversion where it has one (F16C); the scalar ones are plain integer
 * arithmetic. Both give the same bits for every finite value. */
#ifndef TRIB_CODEC_HALF_H
#define TRIB_CODEC_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Magnitudes from 65520 up round to infinity; nan gives 0x7e00 with the sign kept. */
uint16_t trib_half_from_float(float value);
float trib_half_to_float(uint16_t half);

/* trib_half_pack makes 2n little-endian bytes from n floats. False when one of them is not finite as a half; `to` is
 * then undefined. */
bool trib_half_pack(const float *from, size_t n, uint8_t *to);
/* trib_half_unpack makes n floats from 2n little-endian bytes. False when one of them is nan or infinite; `to` is then
 * undefined. */
bool trib_half_unpack(const uint8_t *from, size_t n, float *to);

#endif
