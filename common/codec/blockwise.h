/* Blockwise quantisation is stochastic rounding to a grid whose step is fitted to each group of consecutive values: the
 * common part of q8, q4 and qsgd, and the rounding itself, for grid. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_BLOCKWISE_H
#define TRIB_CODEC_BLOCKWISE_H

#include "mix.h"

#include "codec/stage.h"

enum { TRIB_BLOCKWISE_GROUP_LEAST = 16, TRIB_BLOCKWISE_LEVELS_MOST = 32767 };

/* struct trib_blockwise is the shape of a quantiser: values become multiples -levels .. levels of their group's step:
 * its largest magnitude / levels, or (`by_norm`) its Euclidean norm / levels. The alphabet is 2 levels + 1. */
struct trib_blockwise {
    uint32_t group;  /* TRIB_BLOCKWISE_GROUP_LEAST .. TRIB_CODEC_BLOCK */
    uint32_t levels; /* 1 .. TRIB_BLOCKWISE_LEVELS_MOST */
    bool by_norm;
};

/* trib_blockwise_encode, _open and _decode are a quantiser's slots. With levels = 0, open reads them from the head,
 * where encode wrote them when told to. */
TRIB_MUST_CHECK enum trib_status trib_blockwise_encode(const struct trib_blockwise *shape, bool write_levels,
                                                       struct trib_block *block, struct trib_writer *out);
TRIB_MUST_CHECK enum trib_status trib_blockwise_open(uint32_t levels, struct trib_block *block, struct trib_reader *in,
                                                     union trib_stage_memory *memory);
TRIB_MUST_CHECK enum trib_status trib_blockwise_decode(struct trib_block *block, const union trib_stage_memory *memory);

/* trib_round_randomly makes symbols[i] = value * inverse + offset, rounded down or up at random so that its mean is
 * exact, at most `most`. `first` counts values of the block before these. The result must not be negative by more than
 * rounding. */
void trib_round_randomly(const float *values, size_t n, float inverse, float offset, uint32_t most, struct trib_mix mix,
                         uint32_t first, uint16_t *symbols);
/* trib_round_back makes values[i] = (symbols[i] - offset) * step. */
void trib_round_back(const uint16_t *symbols, size_t n, float offset, float step, float *values);
/* trib_largest_bits returns the largest magnitude as a float's bits; above those of FLT_MAX when a value is not finite.
 */
uint32_t trib_largest_bits(const float *values, size_t n);

#endif
