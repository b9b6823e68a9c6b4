/* Cells are the decoding side of uniform quantisers: what lies around a grid of `alphabet` values, symmetric about
 * zero, and how far the mean of what falls to a grid point lies from it. The middle symbol of an odd alphabet is zero;
 * an even one has no zero.
 *
 * Magnitude m = 1, 2, ... of symbol s decodes to scale * (m - half + offset), half = 0.5 for even alphabets; the last
 * offset stands for all larger magnitudes as well. The head: f32 scale, u16 alphabet, one byte for each offset, in
 * 1/128 of the scale. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_CELLS_H
#define TRIB_CODEC_CELLS_H

#include "codec/stage.h"

enum { TRIB_CELLS_OFFSETS = 8, TRIB_CELLS_ALPHABET_MOST = 65535, TRIB_CELLS_HEAD_LEN = 6 + TRIB_CELLS_OFFSETS };

struct trib_cells {
    float scale;
    uint32_t alphabet;
    unsigned n_offsets;
    int8_t offsets[TRIB_CELLS_OFFSETS];
};

/* trib_cells_n_offsets returns how many offsets a grid has. */
unsigned trib_cells_n_offsets(uint32_t alphabet);

/* trib_cells_fit sets the offsets, which make each magnitude the mean of its values: |values[i]| * inverse fell to
 * symbols[i] of the alphabet, which is set already. */
void trib_cells_fit(struct trib_cells *cells, const float *values, const uint16_t *symbols, size_t n, float inverse);

/* trib_cells_write writes the head. */
void trib_cells_write(const struct trib_cells *cells, struct trib_writer *out);
/* trib_cells_read reads the head. TRIB_CORRUPT, TRIB_NOT_FINITE: scales, or values, that no encoder writes. */
TRIB_MUST_CHECK enum trib_status trib_cells_read(struct trib_cells *cells, struct trib_reader *in);
/* trib_cells_fits is false when the largest value is beyond a float. */
bool trib_cells_fits(const struct trib_cells *cells);
/* trib_cells_values fills in what each symbol decodes to. */
void trib_cells_values(const struct trib_cells *cells, float *decoded);
/* trib_cells_dot returns the inner product of decoded[symbols[i]] with the values. */
double trib_cells_dot(const float *decoded, const float *values, const uint16_t *symbols, size_t n);

#endif
