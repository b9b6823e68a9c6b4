/* Interleaved rANS is entropy coding by asymmetric numeral systems in their range variant (Duda, "Asymmetric numeral
 * systems", 2013), with several independent states whose words share one stream (Giesen, "Interleaved entropy coders",
 * 2014). Statistics are those of the data itself, sent in front. Private to the codec block; any thread.
 *
 * A stream codes up to TRIB_RANS_PARTS arrays of symbols, each with statistics of its own:
 *
 *     heads of all parts, bit by bit      how a part is coded, and its frequencies
 *     states, 16-bit words                of the parts coded with rANS
 *     what stands beside, part by part    packed symbols, Rice codes, low bits of buckets
 *
 * A part is coded in whichever way is shortest: packed as pack.h does, as one symbol repeated, with rANS of its symbols
 * or of their buckets (gaps.h), or with a Rice code. So a stream is never longer than packed symbols and a few bytes.
 */
#ifndef TRIB_CODEC_RANS_H
#define TRIB_CODEC_RANS_H

#include "codec/stage.h"

enum { TRIB_RANS_PARTS = TRIB_BLOCK_SEGMENTS + 1, TRIB_RANS_SCRATCH = 4 * TRIB_CODEC_BLOCK };

/* A part is one of the arrays that a stream codes. */
struct trib_rans_part {
    uint16_t *symbols; /* [n] each below alphabet; only read by the encoder */
    size_t n;
    uint32_t alphabet; /* 1 .. 65536 */
};

/* trib_rans_encode takes at most 2 * TRIB_CODEC_BLOCK symbols in all; `scratch` has TRIB_RANS_SCRATCH bytes, 64-byte
 * aligned. Nothing is written for parts of no symbols, or of an alphabet of one. */
void trib_rans_encode(const struct trib_rans_part *parts, unsigned n_parts, void *scratch, struct trib_writer *out);
/* trib_rans_decode, given the same n and alphabets, fills in the symbols from any bytes. TRIB_CORRUPT for what no
 * encoder writes. */
TRIB_MUST_CHECK enum trib_status trib_rans_decode(const struct trib_rans_part *parts, unsigned n_parts, void *scratch,
                                                  struct trib_reader *in);

#endif
