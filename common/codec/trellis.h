/* Trellis-coded quantisation is scalar quantisation with memory: of a grid of values each may be taken only at certain
 * times, which leaves 1 bit less to say about each, and a search finds the sequence nearest to the values among those
 * that are possible. It comes near to what vector quantisers of very high dimension could (Marcellin and Fischer,
 * "Trellis coded quantization of memoryless and Gauss-Markov sources", 1990; with entropy coding Fischer and Wang,
 * 1992).
 *
 * The grid is the whole numbers, in units of the step. In an even state of a machine of 64 the next value is an even
 * number 2k, in an odd state an odd one, 2k + 1; the parity of k decides the next state. Sixteen machines take turns,
 * so that their searches run side by side in vectors: element i belongs to machine i % 16. Each starts in state 0.
 *
 * Private to the codec block; any thread. */
#ifndef TRIB_CODEC_TRELLIS_H
#define TRIB_CODEC_TRELLIS_H

#include "codec/stage.h"

enum { TRIB_TRELLIS_LANES = 16 };

/* Costs are what the search minimises: the squared distance from values[i] * factor, plus `odd_cost` for each odd
 * number, in units of 16 steps squared. */
struct trib_trellis_costs {
    float factor, odd_cost;
};
/* trib_trellis_costs returns what to minimise. At small steps the nearest sequence is the best. At large ones, below
 * some 1.1 bits a value, it pays to spend fewer bits: a little less than the values is aimed at, as in the test channel
 * that attains Shannon's bound for normal values, and odd numbers, of which the smallest is 1, are made cheaper in
 * return. `inverse` of the step; `ratio` of it to the values' standard deviation. */
struct trib_trellis_costs trib_trellis_costs(float inverse, double ratio);

/* trib_trellis_search finds the best sequence for the values, whose magnitudes are below 2^22 steps: chosen[i], the
 * numbers themselves. Both arrays have room for n rounded up to a multiple of the lanes, and are 64-byte aligned;
 * `memory` is scratch. The values as well: what lies behind the last one is set to zero. */
void trib_trellis_search(float *values, size_t n, struct trib_trellis_costs costs, int32_t *chosen, uint32_t *memory);

/* Symbols are sent as those of even states first, then those of odd ones, each in order. */
struct trib_trellis_symbols {
    const uint16_t *symbols;
    size_t n, n_even;
    uint32_t middle;         /* a symbol is k + middle */
    const float *decoded[2]; /* what each symbol decodes to in even and in odd states */
};
/* trib_trellis_replay fills in values[n]. TRIB_CORRUPT: the machines ask for more of one kind than there are. */
TRIB_MUST_CHECK enum trib_status trib_trellis_replay(const struct trib_trellis_symbols *sent, float *values);

#endif
