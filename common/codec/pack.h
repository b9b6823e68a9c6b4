/* The stream of a chain without an entropy coder is packed: symbols in as many bits as their alphabet needs, positions
 * in 16 bits each or as a bitmap, whichever is shorter, numbers as they are. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_PACK_H
#define TRIB_CODEC_PACK_H

#include "codec/stage.h"

void trib_pack_block(struct trib_block *block, struct trib_writer *out);
/* trib_unpack_block says TRIB_CORRUPT for bytes that are short, a symbol beyond the alphabet, positions that do not
 * ascend or lie beyond the block. */
TRIB_MUST_CHECK enum trib_status trib_unpack_block(struct trib_block *block, struct trib_reader *in);

/* Packed symbols, n of them below `alphabet` (2 .. 65536), stand in (n * bits + 7) / 8 bytes, the first in the lowest
 * bits; unused bits are 0. An alphabet of 1 takes no bytes. */
unsigned trib_bits_of(uint32_t alphabet);
size_t trib_bits_len(size_t n, uint32_t alphabet);
void trib_bits_pack(const uint16_t *symbols, size_t n, uint32_t alphabet, uint8_t *to);
/* trib_bits_unpack is false for a symbol that is not below `alphabet`, or unused bits that are not 0. */
bool trib_bits_unpack(const uint8_t *from, size_t n, uint32_t alphabet, uint16_t *symbols);

#endif
