/* Bits, gaps and buckets are small parts of the entropy stages: a stream of single bits; positions as gaps; and
 * buckets, which make of a number that may be large a token of a small alphabet and some bits that are as good as
 * random. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_GAPS_H
#define TRIB_CODEC_GAPS_H

#include "codec/stage.h"

/* ---- bits: the first in the lowest place of a byte ---- */

/* A bit writer puts bits into bytes of its writer, or only counts them. */
struct trib_bit_writer {
    struct trib_writer *out; /* NULL: only count */
    uint64_t word;           /* of `held` bits, fewer than 8 between calls */
    unsigned held;
    uint64_t n; /* bits put so far */
};
/* trib_bit_put writes the lowest n bits of value, n <= 32; those above are 0. */
void trib_bit_put(struct trib_bit_writer *bits, uint32_t value, unsigned n);
/* trib_bit_put_gamma writes Elias' gamma code (1975) of value + 1: small numbers take few bits. value < 2^31. */
void trib_bit_put_gamma(struct trib_bit_writer *bits, uint32_t value);
/* trib_bit_end fills the last byte with zeros. */
void trib_bit_end(struct trib_bit_writer *bits);

/* A bit reader takes whole bytes from `in` as they are needed; beyond its end in->failed is set and every bit is 0. */
struct trib_bit_reader {
    struct trib_reader *in;
    uint64_t word;
    unsigned held;
};
uint32_t trib_bit_get(struct trib_bit_reader *bits, unsigned n);
/* trib_bit_get_gamma sets in->failed for what trib_bit_put_gamma does not write. */
uint32_t trib_bit_get_gamma(struct trib_bit_reader *bits);
/* trib_bit_close tells whether nothing went wrong and the last byte's other bits are 0. */
bool trib_bit_close(const struct trib_bit_reader *bits);

/* trib_bit_length returns the bits that `value` takes: 0 for 0, else 1 + floor(log2). */
static inline unsigned trib_bit_length(uint32_t value)
{
    return value == 0 ? 0 : 32 - (unsigned)__builtin_clz(value);
}

/* ---- positions ---- */

/* trib_gaps_from_positions makes gaps[i] = positions[i] - positions[i-1] - 1: the elements that were left out between
 * two. n = block->n_values. */
void trib_gaps_from_positions(const struct trib_block *block, uint16_t *gaps);
/* trib_gaps_to_positions takes gaps back. TRIB_CORRUPT when a position is not below block->n. */
TRIB_MUST_CHECK enum trib_status trib_gaps_to_positions(struct trib_block *block, const uint16_t *gaps);

/* ---- buckets ---- */

/* Buckets tell numbers below `alphabet` by their distance from `centre`, nearest first; those below 2^fine have a token
 * each, above there are 2^fine tokens to a power of two. */
struct trib_buckets {
    uint32_t alphabet, centre;
    unsigned fine; /* 0 .. 15 */
};

/* Folded numbers 0 1 2 3 4 ... are centre, centre + 1, centre - 1, centre + 2 and so on; past the nearer end of the
 * alphabet, what is left on the other side. */
static inline uint32_t trib_bucket_fold(const struct trib_buckets *buckets, uint32_t value)
{
    uint32_t last = buckets->alphabet - 1, centre = buckets->centre;
    bool low = centre <= last - centre;
    uint32_t reach = low ? centre : last - centre;
    uint32_t distance = value > centre ? value - centre : centre - value;
    if (distance > reach) {
        return low ? value : last - value;
    }
    return value > centre ? 2 * distance - 1 : 2 * distance;
}

static inline uint32_t trib_bucket_unfold(const struct trib_buckets *buckets, uint32_t folded)
{
    uint32_t last = buckets->alphabet - 1, centre = buckets->centre;
    bool low = centre <= last - centre;
    uint32_t reach = low ? centre : last - centre;
    if (folded > 2 * reach) {
        return low ? folded : last - folded;
    }
    return folded % 2 == 1 ? centre + (folded + 1) / 2 : centre - folded / 2;
}

/* trib_bucket_extra returns the number of bits below the token that tell a folded number exactly. */
static inline unsigned trib_bucket_extra(unsigned fine, uint32_t folded)
{
    unsigned length = trib_bit_length(folded);
    return length > fine + 1 ? length - 1 - fine : 0;
}

static inline uint32_t trib_bucket_token(unsigned fine, uint32_t folded)
{
    if (folded < UINT32_C(1) << fine) {
        return folded;
    }
    unsigned extra = trib_bucket_extra(fine, folded);
    return ((uint32_t)(extra + 1) << fine) + (folded >> extra) - (UINT32_C(1) << fine);
}

/* trib_bucket_first returns the smallest folded number of a token, whose *extra lowest bits are open. The token is of a
 * number below 65536. */
static inline uint32_t trib_bucket_first(unsigned fine, uint32_t token, unsigned *extra)
{
    if (token < UINT32_C(1) << fine) {
        *extra = 0;
        return token;
    }
    *extra = (token >> fine) - 1;
    return ((token & ((UINT32_C(1) << fine) - 1)) | UINT32_C(1) << fine) << *extra;
}

#endif
