/* uniform is a grid of evenly spaced values, at any rate.
 *
 * Before an entropy coder the grid has one step for the whole vector, which the survey finds (rate.h), and as many
 * values as it takes. Scalar quantisers with entropy coding can hardly do better (Gish and Pierce, "Asymptotically
 * efficient quantizing", 1968). Without one it has 2^bits values a block, at the step that is best for a normal
 * distribution of the block's variance (Max, "Quantizing for minimum distortion", 1960).
 *
 * Values decode to the mean of what fell to their grid point (cells.h): the least square error. Unbiased, after a
 * rotation, these are scaled by |x|^2 / <c, x> (EDEN, Vargaftik et al., 2022), and the steps of blocks of small
 * variance grow less than the others', since a block that is not sent at all would be biased; without a rotation values
 * are rounded up or down at random. */
#include "stage_table.h"

#include "cells.h"
#include "mix.h"
#include "rate.h"

#include "base/clones.h"

#include <math.h>
#include <string.h>

enum { LEVELS_MOST = TRIB_CELLS_ALPHABET_MOST / 2 };

static double rate_of(const struct trib_stage_use *use)
{
    return use->args[0];
}

static bool is_unbiased(const struct trib_stage_use *use)
{
    return use->args[1] > 0;
}

static bool is_dithered(const struct trib_stage_use *use)
{
    return is_unbiased(use) && !use->rotated;
}

/* ---- how entropy and steps go together ---- */

/* H of N(0, 1) rounded to multiples of 2^(i/8 - 9/8), i = 0, 1, ..., by integration. */
static const double entropies[] = {
    3.1846232, 3.0619692, 2.9397493, 2.8180414, 2.6969369, 2.5765423, 2.4569810, 2.3383958, 2.2209505, 2.1048327,
    1.9902543, 1.8774522, 1.7666795, 1.6581638, 1.5519870, 1.4478531, 1.3448192, 1.2411956, 1.1348294, 1.0237757,
    0.9070964, 0.7854229, 0.6610702, 0.5377366, 0.4199601, 0.3124661, 0.2194565, 0.1438955, 0.0869253, 0.0476160,
    0.0232069, 0.0098373, 0.0035299, 0.0010381, 0.0002408, 0.0000421, 0.0000052, 0.0000004, 0.0,       0.0,
};
static const struct trib_rate_curve entropy_curve = {
    .values = entropies, .n = sizeof entropies / sizeof entropies[0], .density = 8, .first = -1.125};

static double gaussian_entropy(double step)
{
    /* for small steps h - log2(step), and the first term of what rounding adds: Fisher's information / 24 */
    return step < 0.5 ? 2.0470955851806411 - trib_rate_log2(step) + step * step * 0.060112293370537
                      : trib_rate_curve_at(&entropy_curve, step);
}

static double gaussian_rate(const struct trib_stage_use *use, double step)
{
    return gaussian_entropy(is_unbiased(use) ? trib_rate_unbiased_step(step) : step);
}

/* ---- quantising ---- */

/* floor(|value| / step + nudge) is the grid point. A half is best for normal values; those of heavier tails gain from a
 * wider zero the more the lower the rate (1.4 % less error at 1 bit of a Laplacian), and lose next to nothing if they
 * have none. */
static float find_nudge(const struct trib_stage_use *use)
{
    return use->rotated || !use->entropy_follows ? 0.5F : (float)(0.5 - 0.2 / (0.5 + rate_of(use)));
}

TRIB_CLONES static void round_values(const float *values, size_t n, float inverse, float nudge, int32_t largest,
                                     uint16_t *symbols)
{
    for (size_t i = 0; i < n; i++) {
        int32_t level = (int32_t)(fabsf(values[i]) * inverse + nudge);
        level = level < largest ? level : largest;
        symbols[i] = (uint16_t)(largest + (values[i] < 0 ? -level : level));
    }
}

static float random_share(struct trib_mix mix, uint32_t counter)
{
    return (float)(int32_t)(trib_mix_bits(mix, counter) >> 8) * 0x1p-24F;
}

/* At random, so that the mean is the value. */
TRIB_CLONES static void dither_values(const float *values, size_t n, float inverse, struct trib_mix mix,
                                      int32_t largest, uint16_t *symbols)
{
    for (size_t i = 0; i < n; i++) {
        int32_t level = (int32_t)(fabsf(values[i]) * inverse + random_share(mix, (uint32_t)i));
        level = level < largest ? level : largest;
        symbols[i] = (uint16_t)(largest + (values[i] < 0 ? -level : level));
    }
}

/* An even alphabet: cells between multiples of the step. */
TRIB_CLONES static void cut_values(const float *values, size_t n, float inverse, int32_t levels, uint16_t *symbols)
{
    float last = (float)(levels - 1);
    for (size_t i = 0; i < n; i++) {
        float at = fabsf(values[i]) * inverse;
        int32_t level = (int32_t)(at < last ? at : last);
        symbols[i] = (uint16_t)(values[i] < 0 ? levels - 1 - level : levels + level);
    }
}

TRIB_CLONES static void dither_cut_values(const float *values, size_t n, float inverse, struct trib_mix mix,
                                          int32_t levels, uint16_t *symbols)
{
    float shift = (float)levels - 0.5F, most = (float)(2 * levels - 1);
    for (size_t i = 0; i < n; i++) {
        float at = values[i] * inverse + shift + random_share(mix, (uint32_t)i);
        at = at > 0 ? at : 0;
        symbols[i] = (uint16_t)(int32_t)(at < most ? at : most);
    }
}

TRIB_CLONES static void scale_values(float *values, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++) {
        values[i] *= factor;
    }
}

/* A step whose inverse is a float: those of subnormal values are scaled up with them, exactly. */
struct step {
    float step, inverse;
    float unit; /* that the values were multiplied with */
};

static struct step use_step(double step, struct trib_block *block)
{
    struct step used = {.unit = 1};
    step = step > TRIB_RATE_STEP_LEAST ? step : TRIB_RATE_STEP_LEAST;
    if (step < 0x1p-100) {
        used.unit = 0x1p60F;
        scale_values(block->values, block->n_values, used.unit);
    }
    used.step = (float)(step * (double)used.unit);
    used.inverse = 1 / used.step;
    return used;
}

static struct step quantize_entropy(const struct trib_stage_use *use, double step, struct trib_rate_size size,
                                    struct trib_block *block)
{
    double least = (double)size.largest / (LEVELS_MOST - 1);
    struct step used = use_step(step > least ? step : least, block);
    float nudge = is_dithered(use) ? 1 : find_nudge(use);
    int32_t largest = (int32_t)(size.largest * used.unit * used.inverse + nudge);
    largest = largest < LEVELS_MOST ? largest : LEVELS_MOST;
    if (is_dithered(use)) {
        struct trib_mix mix = trib_mix_init(block->seed, "uniform", block->number, 0);
        dither_values(block->values, block->n_values, used.inverse, mix, largest, block->symbols);
    } else {
        round_values(block->values, block->n_values, used.inverse, nudge, largest, block->symbols);
    }
    block->alphabet = 2 * (uint32_t)largest + 1;
    block->n_symbols = block->n_values;
    return used;
}

/* The least error for N(0, 1) with 2^bits values, by search. */
static const double plain_steps[] = {0, 2, 0.98160, 0.56458, 0.31991, 0.17922, 0.09932, 0.05446, 0.02958};

static struct step quantize_plain(const struct trib_stage_use *use, struct trib_rate_size size,
                                  struct trib_block *block)
{
    unsigned bits = (unsigned)rate_of(use);
    int32_t levels = 1 << (bits - 1);
    double deviation = sqrt(size.energy / (double)block->n_values), range = (double)size.largest / levels;
    double step = plain_steps[bits] * deviation;
    step = step < range || bits == 1 ? step : range;
    if (is_dithered(use)) {
        step = (double)size.largest / (levels - 0.5); /* nothing beyond the last value */
    }
    struct step used = use_step(step, block);
    if (is_dithered(use)) {
        struct trib_mix mix = trib_mix_init(block->seed, "uniform", block->number, 0);
        dither_cut_values(block->values, block->n_values, used.inverse, mix, levels, block->symbols);
    } else {
        cut_values(block->values, block->n_values, used.inverse, levels, block->symbols);
    }
    block->alphabet = 2 * (uint32_t)levels;
    block->n_symbols = block->n_values;
    return used;
}

/* ---- the survey ---- */

static void quantize_trial(const struct trib_stage_use *use, float step, struct trib_block *block)
{
    (void)quantize_entropy(use, (double)step, trib_rate_measure(block->values, block->n_values), block);
}

static const struct trib_rate_model model = {
    .gaussian = gaussian_rate, .quantize = quantize_trial, .head_len = TRIB_CELLS_HEAD_LEN, .measured_blocks = 256};

/* Without a coder each block has a step of its own; after a rotation the blocks' energies tell it all. */
static unsigned passes_for(const struct trib_stage_use *use)
{
    return !use->entropy_follows ? 0 : use->rotated ? 1 : TRIB_RATE_PASSES;
}

static enum trib_status begin(const struct trib_stage_use *use, const struct trib_survey_info *info, void *state)
{
    return use->entropy_follows ? trib_rate_begin(state, &model, info, rate_of(use)) : TRIB_OK;
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

static enum trib_status encode_zeros(struct trib_block *block, struct trib_writer *out)
{
    const struct trib_cells cells = {.scale = 1, .alphabet = 1};
    memset(block->symbols, 0, block->n_values * sizeof *block->symbols);
    block->n_symbols = block->n_values;
    block->alphabet = 1;
    trib_cells_write(&cells, out);
    return TRIB_OK;
}

/* The step of this block. Unbiased, at least its largest value must be sent. */
static double block_step(const struct trib_stage_use *use, double common, struct trib_rate_size size, size_t n)
{
    if (!is_unbiased(use) || !use->rotated) {
        return common;
    }
    double deviation = sqrt(size.energy / (double)n), step = trib_rate_unbiased_step(common / deviation) * deviation;
    return step < 1.999 * (double)size.largest ? step : 1.999 * (double)size.largest;
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    const struct trib_rate_survey *found = survey;
    struct trib_rate_size size = trib_rate_measure(block->values, block->n_values);
    if (size.largest == 0) {
        return encode_zeros(block, out);
    }
    struct step used =
        use->entropy_follows
            ? quantize_entropy(use, block_step(use, (double)found->step, size, block->n_values), size, block)
            : quantize_plain(use, size, block);
    struct trib_cells cells = {
        .scale = used.step, .alphabet = block->alphabet, .n_offsets = trib_cells_n_offsets(block->alphabet)};
    if (!is_dithered(use)) {
        trib_cells_fit(&cells, block->values, block->symbols, block->n_symbols, used.inverse);
    }
    if (is_unbiased(use) && use->rotated && block->alphabet > 1) {
        double energy = size.energy * (double)used.unit * (double)used.unit;
        trib_cells_values(&cells, block->scratch);
        double dot = trib_cells_dot(block->scratch, block->values, block->symbols, block->n_symbols);
        cells.scale *= dot > 0 ? (float)(energy / dot) : 1;
    }
    cells.scale /= used.unit;
    if (!trib_cells_fits(&cells)) {
        return TRIB_NOT_FINITE;
    }
    trib_cells_write(&cells, out);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    struct trib_cells *cells = (struct trib_cells *)(void *)memory->bytes;
    TRIB_TRY(trib_cells_read(cells, in));
    block->n_symbols = block->n_values;
    block->alphabet = cells->alphabet;
    return TRIB_OK;
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    trib_cells_values((const struct trib_cells *)(const void *)memory->bytes, block->scratch);
    for (size_t i = 0; i < block->n_symbols; i++) {
        block->values[i] = block->scratch[block->symbols[i]];
    }
    return TRIB_OK;
}

static enum trib_status check(struct trib_stage_use *use, struct trib_error *error)
{
    double rate = rate_of(use);
    if (!use->entropy_follows && rate != (double)(int)rate) {
        return trib_fail(error, TRIB_INVALID, "%g bits are a rate for an entropy coder: add |range, or give whole bits",
                         rate);
    }
    return TRIB_OK;
}

const struct trib_stage trib_stage_uniform = {
    .name = "uniform",
    .id = TRIB_STAGE_ID_uniform,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FEEDBACK,
    .help = "an evenly spaced grid at 0.1 to 8 bits a value, heads included, with range behind it; without, whole bits",
    .args = trib_rate_args,
    .n_args = TRIB_RATE_ARGS,
    .examples = "uniform:2bit or uniform:1.5,unbiased",
    .check = check,
    .survey = &survey_table,
    .encode = encode,
    .open = open,
    .decode = decode,
};
