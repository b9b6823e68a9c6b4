/* A model is the statistics of one part of a rANS stream: frequencies that add up to 2^14, near the counts that they
 * were made from and cheap to send. Integer arithmetic alone, so that every machine makes the same ones. Private to the
 * codec block; any thread. */
#ifndef TRIB_CODEC_RANS_MODEL_H
#define TRIB_CODEC_RANS_MODEL_H

#include "gaps.h"

enum {
    TRIB_RANS_SLOT_BITS = 14,
    TRIB_RANS_SLOTS = 1 << TRIB_RANS_SLOT_BITS,
    TRIB_RANS_MODEL_MOST = 1024, /* symbols of a model */
    TRIB_RANS_BIT = 1 << 12      /* costs are counted in parts of a bit, so many to one */
};

/* A model has frequencies for symbols 0 .. n-1: TRIB_RANS_SLOTS in sum, of which no symbol has all. */
struct trib_rans_model {
    uint32_t n;                               /* 2 .. TRIB_RANS_MODEL_MOST */
    uint32_t largest;                         /* a symbol of the highest count */
    uint16_t frequency[TRIB_RANS_MODEL_MOST]; /* [n]; not 0 where the count is not */
};

/* trib_rans_model_make makes a model from counts[n], of which at least two are not 0; their sum is at most
 * TRIB_CODEC_BLOCK. */
void trib_rans_model_make(const uint32_t *counts, uint32_t n, size_t sum, struct trib_rans_model *model);
/* trib_rans_model_cost returns what symbols with these counts take, TRIB_RANS_BIT to a bit. */
uint64_t trib_rans_model_cost(const struct trib_rans_model *model, const uint32_t *counts);

/* trib_rans_model_put writes the model as bits. Both sides know that the model is of n symbols out of `most` (2 ..
 * TRIB_RANS_MODEL_MOST) different ones. */
void trib_rans_model_put(struct trib_bit_writer *bits, const struct trib_rans_model *model, uint32_t most, size_t n);
/* trib_rans_model_get is false for what trib_rans_model_put does not write. */
TRIB_MUST_CHECK bool trib_rans_model_get(struct trib_bit_reader *bits, struct trib_rans_model *model, uint32_t most,
                                         size_t n);

#endif
