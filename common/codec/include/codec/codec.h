/* Codecs: how a vector of floats (an update, a model) becomes bytes. One const table each; codec_list.def lists them.
 * The functions keep no state: any thread, any number at once.
 *
 * A vector is cut into blocks of TRIB_CODEC_BLOCK elements (the last may be shorter), each coded on its own, so that a
 * decoder needs memory for one block only and blocks can be folded in parallel. */
#ifndef TRIB_CODEC_CODEC_H
#define TRIB_CODEC_CODEC_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { TRIB_CODEC_BLOCK = 65536 };

enum {
    TRIB_CODEC_UNBIASED = 1,     /* E[decode(encode(x))] = x */
    TRIB_CODEC_ADDITIVE = 2,     /* decoding a sum of frames is the sum of the decodings */
    TRIB_CODEC_FEEDBACK = 4,     /* wants error feedback */
    TRIB_CODEC_FIXED_LENGTH = 8, /* encoded length depends on n alone */
    TRIB_CODEC_LOSSLESS = 16
};

/* What a block's coding may depend on, the same on both sides. */
struct trib_codec_context {
    uint64_t seed;  /* of (run, round, client) */
    uint64_t block; /* number of the block */
};

struct trib_codec {
    const char *name; /* "f32", "f16" */
    uint8_t id;       /* in frames; never reused */
    unsigned caps;
    const char *help;
    /* n in all three is at most TRIB_CODEC_BLOCK. The most bytes that n elements can take; with FIXED_LENGTH, the
     * bytes that they take. */
    size_t (*bound)(size_t n);
    /* Write at most `capacity` bytes, *len of them, the same ones for the same context and values. TRIB_LIMIT when
     * they do not fit; TRIB_NOT_FINITE for a value that the format cannot carry (nan, inf, or beyond its range). */
    enum trib_status (*encode)(const struct trib_codec_context *context, const float *from, size_t n, uint8_t *to,
                               size_t capacity, size_t *len);
    /* Exactly n elements from exactly len bytes, which may be any bytes at any alignment, else TRIB_CORRUPT; values
     * that are not finite: TRIB_NOT_FINITE. On failure `to` may hold anything. */
    enum trib_status (*decode)(const struct trib_codec_context *context, const uint8_t *from, size_t len, float *to,
                               size_t n);
};

size_t trib_codecs(const struct trib_codec *const **list);
const struct trib_codec *trib_codec_find(const char *name); /* NULL when unknown */
const struct trib_codec *trib_codec_by_id(uint8_t id);      /* NULL when unknown */

#endif
