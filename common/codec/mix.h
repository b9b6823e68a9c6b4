/* A mix gives random bits for each element, as a hash of a counter: one stream a (seed, purpose, block), which loops
 * read at any place and at any vector width. Private to the codec block. */
#ifndef TRIB_CODEC_MIX_H
#define TRIB_CODEC_MIX_H

#include "base/rng.h"

struct trib_mix {
    uint32_t offset, key;
};

static inline struct trib_mix trib_mix_init(uint64_t seed, const char *purpose, uint64_t number, uint64_t part)
{
    struct trib_rng rng = trib_rng_init(seed, purpose, number, part);
    return (struct trib_mix){.offset = rng.key[0], .key = rng.key[1]};
}

/* trib_mix_bits returns 32 random bits: the integer hash of C. Wellons' search (lowbias32, 2018), keyed before its
 * second multiplication, so that two streams whose counters overlap still differ. */
static inline uint32_t trib_mix_bits(struct trib_mix mix, uint32_t counter)
{
    uint32_t x = counter * UINT32_C(0x9e3779b9) + mix.offset;
    x = (x ^ x >> 16) * UINT32_C(0x7feb352d);
    x = (x ^ x >> 15 ^ mix.key) * UINT32_C(0x846ca68b);
    return x ^ x >> 16;
}

#endif
