/* The head of a frame (fixed part, table of block lengths, padding) is written and checked in one place, so that
 * encoder and reader cannot disagree. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_FRAME_HEAD_H
#define TRIB_CODEC_FRAME_HEAD_H

#include "codec/frame.h"

/* trib_frame_n_blocks and the two calls below take 1 <= n_elements <= TRIB_FRAME_MAX_ELEMENTS. */
uint32_t trib_frame_n_blocks(uint64_t n_elements);
uint64_t trib_frame_payload_offset(uint32_t n_blocks);
/* trib_frame_block_n returns the elements of block `block`: TRIB_CODEC_BLOCK, or what is left for the last one. */
size_t trib_frame_block_n(uint64_t n_elements, uint32_t block);

/* trib_frame_head_write writes everything before the first block except the block lengths (kind, chain, n_elements,
 * seed, schema and n_blocks of `header`; header->payload_offset bytes). */
void trib_frame_head_write(const struct trib_frame_header *header, uint8_t *to);
/* Block lengths stand one after the other at TRIB_FRAME_FIXED_LEN. */
enum { TRIB_FRAME_TABLE_ENTRY = 4 };

/* trib_frame_fetch gives `len` bytes at `offset` of the source: in place where it is in memory, else read into
 * `scratch`. The range lies within source->len, or it is our bug. */
TRIB_MUST_CHECK enum trib_status trib_frame_fetch(const struct trib_frame_source *source, uint64_t offset, size_t len,
                                                  uint8_t *scratch, const uint8_t **bytes, struct trib_error *error);
/* trib_frame_block_len_check tells whether `len` is a length that the chain can give to n elements. */
TRIB_MUST_CHECK enum trib_status trib_frame_block_len_check(const struct trib_chain *chain, uint32_t block, size_t n,
                                                            uint64_t len, struct trib_error *error);
/* trib_frame_head_read checks the whole head against the source's length and, unless NULL, what is expected, which
 * comes before the table is read. *crc is the running CRC of the head. */
TRIB_MUST_CHECK enum trib_status trib_frame_head_read(const struct trib_frame_source *source,
                                                      const struct trib_frame_expect *expect,
                                                      struct trib_frame_header *header, uint32_t *crc,
                                                      struct trib_error *error);

#endif
