/* Grids have their heads here, and the means of what falls to each of their points. */
#include "cells.h"

#include "base/clones.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LANES = 16, BUNCH = 8, PIECE = 2048 /* added up in floats, which stay exact enough */ };

/* Offsets count in 1/128 of the scale. */
enum { OFFSET_UNIT = 128 };

unsigned trib_cells_n_offsets(uint32_t alphabet)
{
    return alphabet / 2 < TRIB_CELLS_OFFSETS ? alphabet / 2 : TRIB_CELLS_OFFSETS;
}

static float half_of(uint32_t alphabet)
{
    return alphabet % 2 == 0 ? 0.5F : 0;
}

/* ---- means ---- */

struct piece {
    float beyond[PIECE]; /* the grid point, in steps */
    int32_t levels[PIECE];
};

TRIB_CLONES static void prepare(const float *values, const uint16_t *symbols, size_t n, float inverse,
                                uint32_t alphabet, struct piece *piece)
{
    int32_t middle = (int32_t)(alphabet / 2), even = alphabet % 2 == 0;
    float half = half_of(alphabet), *beyond = piece->beyond;
    int32_t *levels = piece->levels;
    for (size_t i = 0; i < n; i++) {
        int32_t side = (int32_t)symbols[i] - middle;
        int32_t level = side < 0 ? -side : side + even;
        beyond[i] = fabsf(values[i]) * inverse - ((float)level - half);
        levels[i] = level;
    }
    for (size_t i = n; i % (BUNCH * LANES) != 0; i++) {
        beyond[i] = 0;
        levels[i] = 0; /* counts nowhere */
    }
}

/* Of the elements from each level up. A lane's sum takes its elements one after the other, a bunch of them while it is
 * in a register. */
TRIB_CLONES static void sum_levels(const struct piece *piece, size_t n, unsigned n_levels, double *counts, double *sums)
{
    for (int32_t m = 0; m < (int32_t)n_levels; m++) {
        float lane_sums[LANES] = {0};
        int32_t lane_counts[LANES] = {0};
        for (size_t i = 0; i < n; i += BUNCH * LANES) {
            const float *beyond = &piece->beyond[i];
            const int32_t *levels = &piece->levels[i];
            for (size_t lane = 0; lane < LANES; lane++) {
                float sum = lane_sums[lane];
                int32_t count = lane_counts[lane];
#pragma GCC unroll 8
                for (size_t k = 0; k < BUNCH; k++) {
                    float value = beyond[k * LANES + lane];
                    bool inside = levels[k * LANES + lane] > m;
                    sum += inside ? value : 0;
                    count += inside;
                }
                lane_sums[lane] = sum;
                lane_counts[lane] = count;
            }
        }
        for (size_t lane = 0; lane < LANES; lane++) {
            counts[m] += lane_counts[lane];
            sums[m] += (double)lane_sums[lane];
        }
    }
}

static int8_t to_offset(double mean)
{
    double units = mean * OFFSET_UNIT + (mean < 0 ? -0.5 : 0.5);
    return (int8_t)(units < INT8_MIN ? INT8_MIN : units > INT8_MAX ? INT8_MAX : (int)units);
}

void trib_cells_fit(struct trib_cells *cells, const float *values, const uint16_t *symbols, size_t n, float inverse)
{
    struct piece piece;
    double counts[TRIB_CELLS_OFFSETS + 1] = {0}, sums[TRIB_CELLS_OFFSETS + 1] = {0};
    cells->n_offsets = trib_cells_n_offsets(cells->alphabet);
    for (size_t at = 0; at < n; at += PIECE) {
        size_t len = n - at < PIECE ? n - at : PIECE;
        prepare(values + at, symbols + at, len, inverse, cells->alphabet, &piece);
        sum_levels(&piece, len, cells->n_offsets, counts, sums);
    }
    for (unsigned m = 0; m < cells->n_offsets; m++) {
        bool last = m + 1 == cells->n_offsets;
        double count = last ? counts[m] : counts[m] - counts[m + 1], sum = last ? sums[m] : sums[m] - sums[m + 1];
        cells->offsets[m] = to_offset(count > 0 ? sum / count : 0);
    }
}

double trib_cells_dot(const float *decoded, const float *values, const uint16_t *symbols, size_t n)
{
    double lanes[LANES] = {0}, dot = 0;
    for (size_t i = 0; i < n; i++) {
        lanes[i % LANES] += (double)decoded[symbols[i]] * (double)values[i];
    }
    for (size_t lane = 0; lane < LANES; lane++) {
        dot += lanes[lane];
    }
    return dot;
}

/* ---- heads ---- */

void trib_cells_write(const struct trib_cells *cells, struct trib_writer *out)
{
    trib_write_float(out, cells->scale);
    trib_write_u16(out, (uint16_t)cells->alphabet);
    trib_write_bytes(out, cells->offsets, cells->n_offsets);
}

bool trib_cells_fits(const struct trib_cells *cells)
{
    return (double)cells->scale * (cells->alphabet / 2 + 1) <= (double)FLT_MAX;
}

enum trib_status trib_cells_read(struct trib_cells *cells, struct trib_reader *in)
{
    bool finite = trib_read_float(in, &cells->scale);
    cells->alphabet = trib_read_u16(in);
    cells->n_offsets = trib_cells_n_offsets(cells->alphabet);
    const uint8_t *offsets = trib_read_bytes(in, cells->n_offsets);
    if (in->failed) {
        return TRIB_CORRUPT;
    }
    if (!finite) {
        return TRIB_NOT_FINITE;
    }
    if (!(cells->scale > 0) || cells->alphabet == 0) {
        return TRIB_CORRUPT;
    }
    if (cells->n_offsets > 0) {
        memcpy(cells->offsets, offsets, cells->n_offsets);
    }
    return trib_cells_fits(cells) ? TRIB_OK : TRIB_NOT_FINITE;
}

void trib_cells_values(const struct trib_cells *cells, float *decoded)
{
    uint32_t middle = cells->alphabet / 2, odd = cells->alphabet % 2;
    double half = (double)half_of(cells->alphabet);
    if (odd) {
        decoded[middle] = 0;
    }
    for (uint32_t m = 1; m <= middle; m++) {
        int8_t offset = cells->offsets[(m < cells->n_offsets ? m : cells->n_offsets) - 1];
        float value = (float)((double)cells->scale * (m - half + (double)offset / OFFSET_UNIT));
        decoded[middle - m] = -value;
        decoded[middle + m - 1 + odd] = value;
    }
}
