/* The forward half of Viterbi's search through the trellis (trellis.h) is a file of its own, for its speed; the machine
 * of 64 states is shared with the way back and the decoder. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_TRELLIS_FORWARDS_H
#define TRIB_CODEC_TRELLIS_FORWARDS_H

#include "trellis.h"

/* The machine is Ungerboeck's code in its systematic feedback form, with parity polynomials 103 and 024 in octal. From
 * an even state s the machine goes to s / 2, from an odd one to s / 2 ^ FEEDBACK; where k is odd the next state is
 * flipped by INPUT as well. So the states below HALF follow even ones, and the others odd ones. */
enum {
    TRIB_TRELLIS_STATES = 64,
    TRIB_TRELLIS_HALF = TRIB_TRELLIS_STATES / 2,
    TRIB_TRELLIS_FEEDBACK = 0103 >> 1,
    TRIB_TRELLIS_INPUT = 024 >> 1
};

/* A row has a number for each of the machines that take turns. */
typedef float trib_trellis_row[TRIB_TRELLIS_LANES];

/* trib_trellis_forwards finds the least cost of reaching each state after n_steps steps of all machines, and by which
 * of two ways. values[n_steps * LANES]; metrics[STATES] get the costs. Bit HALF-1-i of low_ways[t * LANES + lane] tells
 * that state i was reached by its second way at step t, with an odd k; the bits of high_ways belong to states HALF + i.
 * All arrays are 64-byte aligned. */
void trib_trellis_forwards(const float *values, size_t n_steps, struct trib_trellis_costs costs,
                           trib_trellis_row *metrics, uint32_t *low_ways, uint32_t *high_ways);

#endif
