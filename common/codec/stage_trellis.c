/* trellis is as uniform, but trellis-coded (trellis.h): of a grid of half the spacing only every second value is
 * possible at a time. Symbols of even and of odd numbers are two segments, each with statistics of its own; their
 * decoded values are the means of what fell to them. Of the 0.254 bit a value by which a scalar grid with entropy
 * coding misses Shannon's bound this misses 0.046 from 0.6 bits on; below, the two draw level.
 *
 * The head: cells of even numbers (cells.h), cells of odd ones without scale and alphabet, u32 count of even ones. */
#include "stage_table.h"

#include "cells.h"
#include "rate.h"
#include "trellis.h"

#include "base/clones.h"

#include <math.h>
#include <string.h>

enum { MIDDLE_MOST = TRIB_CELLS_ALPHABET_MOST / 2 };

static bool is_unbiased(const struct trib_stage_use *use)
{
    return use->args[1] > 0;
}

/* ---- how entropy and steps go together ---- */

/* Bits a value of N(0, 1) at steps 2^(i/16 - 9/4), i = 0, 1, ...: measured on 2^22 values, to about 0.0005. */
static const double entropies[] = {
    3.305103, 3.243036, 3.181612, 3.120034, 3.058175, 2.996738, 2.935323, 2.874092, 2.812769, 2.751799, 2.690832,
    2.629597, 2.569360, 2.508817, 2.448345, 2.388209, 2.328193, 2.268335, 2.209235, 2.149911, 2.091048, 2.032184,
    1.973508, 1.915746, 1.857969, 1.800756, 1.744522, 1.687653, 1.631870, 1.576777, 1.522332, 1.468257, 1.414439,
    1.361532, 1.309548, 1.258310, 1.207999, 1.158565, 1.109447, 1.045581, 0.979177, 0.914545, 0.853292, 0.794660,
    0.739742, 0.688975, 0.642930, 0.606575, 0.596034, 0.578530, 0.542912, 0.466249, 0.340541, 0.213592, 0.115037,
    0.052773, 0.021419, 0.007653, 0.002644, 0.000872, 0.000257, 0.000125, 0.000045, 0.000034, 0.000017};
static const struct trib_rate_curve entropy_curve = {
    .values = entropies, .n = sizeof entropies / sizeof entropies[0], .density = 16, .first = -2.25};

/* In standard deviations: beyond it nothing might be sent of an unbiased block. */
static const double ratio_most = 2.35;

static double gaussian_rate(const struct trib_stage_use *use, double step)
{
    step = is_unbiased(use) ? trib_rate_unbiased_step(2 * step) / 2 : step;
    step = is_unbiased(use) && step > ratio_most ? ratio_most : step;
    /* small: h(N) - log2(2 step), for each value is one of a grid of twice the step; and a term to meet the table */
    return step < 0.25 ? 1.0470955851806411 - trib_rate_log2(step) + step * step * 0.177
                       : trib_rate_curve_at(&entropy_curve, step);
}

/* ---- quantising ---- */

struct coded {
    float step, inverse, unit; /* as of cells.h: the values were multiplied with unit */
    size_t n_even;
};

/* Numbers become symbols, even ones first; the values go along, into `sorted`. */
static void sort_symbols(const float *values, const int32_t *chosen, size_t n, size_t n_even, int32_t middle,
                         uint16_t *symbols, float *sorted)
{
    size_t odd = n_even, even = 0;
    for (size_t i = 0; i < n; i++) {
        size_t is_odd = chosen[i] & 1, to = is_odd ? odd : even;
        symbols[to] = (uint16_t)(middle + (chosen[i] >> 1));
        sorted[to] = values[i];
        odd += is_odd;
        even += 1 - is_odd;
    }
}

/* The symbol of zero, such that all symbols are at least 0 and below twice that, and 1; and how many are even. */
TRIB_CLONES static int32_t find_middle(const int32_t *chosen, size_t n, size_t *n_even)
{
    int32_t most = 0, n_odd = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t magnitude = chosen[i] < 0 ? -chosen[i] : chosen[i];
        most = magnitude > most ? magnitude : most;
        n_odd += chosen[i] & 1;
    }
    *n_even = n - (size_t)n_odd;
    return (most + 1) / 2;
}

/* The sorted values are left in block->numbers. */
static struct coded quantize_block(double step, struct trib_rate_size size, struct trib_block *block)
{
    size_t n = block->n_values;
    double least = (double)size.largest / (2 * (MIDDLE_MOST - 2));
    struct coded coded = {.unit = 1};
    least = least > TRIB_RATE_STEP_LEAST ? least : TRIB_RATE_STEP_LEAST;
    step = step > least ? step : least;
    if (step < 0x1p-100) { /* whose inverse is no float */
        coded.unit = 0x1p60F;
        for (size_t i = 0; i < n; i++) {
            block->values[i] *= coded.unit;
        }
    }
    coded.step = (float)(step * (double)coded.unit);
    coded.inverse = 1 / coded.step;
    int32_t *chosen = (int32_t *)(void *)block->scratch;
    struct trib_trellis_costs costs = trib_trellis_costs(coded.inverse, step / sqrt(size.energy / (double)n));
    trib_trellis_search(block->values, n, costs, chosen, (uint32_t *)(void *)block->numbers);
    int32_t middle = find_middle(chosen, n, &coded.n_even);
    sort_symbols(block->values, chosen, n, coded.n_even, middle, block->symbols, (float *)(void *)block->numbers);
    block->alphabet = 2 * (uint32_t)middle + 1;
    block->n_symbols = n;
    block->n_segments = 2;
    block->segments[0] = (uint32_t)coded.n_even;
    block->segments[1] = (uint32_t)(n - coded.n_even);
    return coded;
}

/* ---- the survey ---- */

static void quantize_trial(const struct trib_stage_use *use, float step, struct trib_block *block)
{
    (void)use;
    (void)quantize_block((double)step, trib_rate_measure(block->values, block->n_values), block);
}

static const struct trib_rate_model model = {
    .gaussian = gaussian_rate, .quantize = quantize_trial, .head_len = 2 * TRIB_CELLS_HEAD_LEN, .measured_blocks = 16};

static unsigned passes_for(const struct trib_stage_use *use)
{
    return use->rotated ? 1 : TRIB_RATE_PASSES;
}

static enum trib_status begin(const struct trib_stage_use *use, const struct trib_survey_info *info, void *state)
{
    return trib_rate_begin(state, &model, info, use->args[0]);
}

static const struct trib_stage_survey survey_table = {
    .state_size = sizeof(struct trib_rate_survey),
    .passes = TRIB_RATE_PASSES,
    .passes_for = passes_for,
    .begin = begin,
    .block = trib_rate_block,
    .end = trib_rate_end,
    .clear = trib_rate_clear,
};

/* ---- coding ---- */

/* Both kinds: even numbers 2k are an odd alphabet, odd ones an even alphabet, without the last symbol. */
struct both {
    struct trib_cells even, odd;
    uint32_t n_even;
};

_Static_assert(sizeof(struct both) <= sizeof(union trib_stage_memory), "kept from open to decode");

static struct both make_cells(float scale, uint32_t alphabet, size_t n_even)
{
    return (struct both){
        .even = {.scale = scale, .alphabet = alphabet, .n_offsets = trib_cells_n_offsets(alphabet)},
        .odd = {.scale = scale, .alphabet = alphabet - 1, .n_offsets = trib_cells_n_offsets(alphabet - 1)},
        .n_even = (uint32_t)n_even,
    };
}

static void fit(struct both *both, const struct coded *coded, const struct trib_block *block)
{
    const float *sorted = (const float *)(const void *)block->numbers;
    size_t n_even = both->n_even, n_odd = block->n_symbols - n_even;
    trib_cells_fit(&both->even, sorted, block->symbols, n_even, coded->inverse / 2);
    trib_cells_fit(&both->odd, sorted + n_even, block->symbols + n_even, n_odd, coded->inverse / 2);
}

static double unbiased_factor(const struct both *both, double energy, const struct trib_block *block)
{
    const float *sorted = (const float *)(const void *)block->numbers;
    size_t n_even = both->n_even, n_odd = block->n_symbols - n_even;
    trib_cells_values(&both->even, block->scratch);
    double dot = trib_cells_dot(block->scratch, sorted, block->symbols, n_even);
    trib_cells_values(&both->odd, block->scratch);
    dot += trib_cells_dot(block->scratch, sorted + n_even, block->symbols + n_even, n_odd);
    return dot > 0 ? energy / dot : 1;
}

static void write_head(const struct both *both, struct trib_writer *out)
{
    trib_cells_write(&both->even, out);
    trib_write_bytes(out, both->odd.offsets, both->odd.n_offsets);
    trib_write_u32(out, both->n_even);
}

static enum trib_status encode_zeros(struct trib_block *block, struct trib_writer *out)
{
    const struct both zeros = make_cells(1, 1, block->n_values);
    memset(block->symbols, 0, block->n_values * sizeof *block->symbols);
    block->n_symbols = block->n_values;
    block->alphabet = 1;
    write_head(&zeros, out);
    return TRIB_OK;
}

static double block_step(const struct trib_stage_use *use, double common, struct trib_rate_size size, size_t n)
{
    if (!is_unbiased(use)) {
        return common;
    }
    double deviation = sqrt(size.energy / (double)n);
    double step = trib_rate_unbiased_step(2 * common / deviation) / 2 * deviation;
    step = step < ratio_most * deviation ? step : ratio_most * deviation;
    /* few values, or all of one magnitude: zero or four steps are possible all the time; be nearer to the latter */
    double flat = (double)size.largest < 3 * deviation ? 0.2499 * (double)size.largest : step;
    return step < flat ? step : flat;
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    const struct trib_rate_survey *found = survey;
    struct trib_rate_size size = trib_rate_measure(block->values, block->n_values);
    if (size.largest == 0) {
        return encode_zeros(block, out);
    }
    struct coded coded = quantize_block(block_step(use, (double)found->step, size, block->n_values), size, block);
    struct both both = make_cells(2 * coded.step, block->alphabet, coded.n_even);
    fit(&both, &coded, block);
    if (is_unbiased(use)) {
        both.even.scale *= (float)unbiased_factor(&both, size.energy * (double)coded.unit * (double)coded.unit, block);
    }
    both.even.scale /= coded.unit;
    if (!trib_cells_fits(&both.even)) {
        return TRIB_NOT_FINITE;
    }
    write_head(&both, out);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    struct both *both = (struct both *)(void *)memory->bytes;
    TRIB_TRY(trib_cells_read(&both->even, in));
    if (both->even.alphabet % 2 == 0) {
        return TRIB_CORRUPT;
    }
    struct trib_cells even = both->even;
    *both = make_cells(even.scale, even.alphabet, 0);
    both->even = even;
    const uint8_t *offsets = trib_read_bytes(in, both->odd.n_offsets);
    both->n_even = trib_read_u32(in);
    if (in->failed || both->n_even > block->n_values) {
        return TRIB_CORRUPT;
    }
    if (both->odd.n_offsets > 0) {
        memcpy(both->odd.offsets, offsets, both->odd.n_offsets);
    }
    block->n_symbols = block->n_values;
    block->alphabet = both->even.alphabet;
    block->n_segments = 2;
    block->segments[0] = both->n_even;
    block->segments[1] = (uint32_t)block->n_values - both->n_even;
    return TRIB_OK;
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    const struct both *both = (const struct both *)(const void *)memory->bytes;
    float *even = block->scratch, *odd = (float *)(void *)block->numbers;
    trib_cells_values(&both->even, even);
    trib_cells_values(&both->odd, odd);
    odd[both->odd.alphabet] = 0; /* what no encoder writes: the last symbol is an even number's alone */
    const struct trib_trellis_symbols sent = {.symbols = block->symbols,
                                              .n = block->n_symbols,
                                              .n_even = both->n_even,
                                              .middle = both->even.alphabet / 2,
                                              .decoded = {even, odd}};
    return trib_trellis_replay(&sent, block->values);
}

static enum trib_status check(struct trib_stage_use *use, struct trib_error *error)
{
    if (!use->entropy_follows) {
        return trib_fail(error, TRIB_INVALID, "its symbols are made for an entropy coder: add |range");
    }
    if (is_unbiased(use) && !use->rotated) {
        return trib_fail(error, TRIB_INVALID, "unbiased only of what was rotated: put rotate| before it");
    }
    return TRIB_OK;
}

const struct trib_stage trib_stage_trellis = {
    .name = "trellis",
    .id = TRIB_STAGE_ID_trellis,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FEEDBACK,
    .help =
        "trellis-coded grid at 0.1 to 8 bits a value, heads included; wants range behind it, unbiased rotate before",
    .args = trib_rate_args,
    .n_args = TRIB_RATE_ARGS,
    .examples = "trellis:2bit or trellis:1.5,unbiased",
    .check = check,
    .survey = &survey_table,
    .encode = encode,
    .open = open,
    .decode = decode,
};
