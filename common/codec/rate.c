/* The step that a rate asks for is found here: from energies and curves, or by trial on a sample. */
#include "rate.h"

#include "rans.h"
#include "rans_model.h"

#include "base/clones.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- numbers ---- */

double trib_rate_log2(double x)
{
    int exponent = 0;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752440) {
        m *= 2;
        exponent--;
    }
    /* ln m = 2 atanh s */
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int k = 17; k > 0; k -= 2) {
        sum = sum * square + 1.0 / k;
    }
    return exponent + sum * s * 2 * 1.44269504088896340736;
}

double trib_rate_exp2(double x)
{
    double whole = (double)(int)x, y = (x - whole) * 0.69314718055994530942, sum = 1;
    for (int k = 18; k > 0; k--) {
        sum = 1 + sum * y / k;
    }
    return ldexp(sum, (int)whole);
}

double trib_rate_curve_at(const struct trib_rate_curve *curve, double ratio)
{
    double x = (trib_rate_log2(ratio) - curve->first) * curve->density;
    if (!(x > 1)) {
        return curve->values[1];
    }
    if (x >= curve->n - 2) {
        return curve->values[curve->n - 2];
    }
    unsigned i = (unsigned)x;
    double f = x - i;
    const double *v = curve->values + i - 1;
    /* Catmull and Rom, 1974 */
    return v[1] +
           f / 2 * (v[2] - v[0] + f * (2 * v[0] - 5 * v[1] + 4 * v[2] - v[3] + f * (3 * (v[1] - v[2]) + v[3] - v[0])));
}

/* T(u) at u = 2^(i/2 - 3/2), i = 0, 1, ...: by differentiating D / (1 - D) of scalar quantisation numerically. */
static const double unbiased_steps[] = {
    0.3524, 0.4950, 0.6934, 0.9636, 1.3224, 1.7809, 2.3251, 2.8704, 3.3541, 3.7807, 4.1636,
    4.5129, 4.8358, 5.1371, 5.4206, 5.6890, 5.9444, 6.1885, 6.4226, 6.6479, 6.8652, 7.0754,
};
static const struct trib_rate_curve unbiased_curve = {
    .values = unbiased_steps, .n = sizeof unbiased_steps / sizeof unbiased_steps[0], .density = 2, .first = -1.5};

double trib_rate_unbiased_step(double step)
{
    return step < 0.5 ? step - step * step * step * 0.04 : trib_rate_curve_at(&unbiased_curve, step);
}

enum { LANES = 16 };

TRIB_CLONES struct trib_rate_size trib_rate_measure(const float *values, size_t n)
{
    double sums[LANES] = {0};
    float largest[LANES] = {0};
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            float value = fabsf(values[i + lane]);
            sums[lane] += (double)value * (double)value;
            largest[lane] = value > largest[lane] ? value : largest[lane];
        }
    }
    for (size_t i = whole; i < n; i++) {
        float value = fabsf(values[i]);
        sums[i - whole] += (double)value * (double)value;
        largest[i - whole] = value > largest[i - whole] ? value : largest[i - whole];
    }
    struct trib_rate_size size = {0};
    for (size_t lane = 0; lane < LANES; lane++) {
        size.energy += sums[lane];
        size.largest = largest[lane] > size.largest ? largest[lane] : size.largest;
    }
    return size;
}

static double bits_of_counts(const uint32_t *counts, uint32_t alphabet, uint32_t n, uint32_t *distinct)
{
    double sum = 0;
    for (uint32_t symbol = 0; symbol < alphabet; symbol++) {
        if (counts[symbol] > 0) {
            sum += counts[symbol] * trib_rate_log2((double)n / counts[symbol]);
            ++*distinct;
        }
    }
    return sum;
}

double trib_rate_of_symbols(const struct trib_block *block, uint32_t *counts, uint32_t *distinct)
{
    uint32_t whole = (uint32_t)block->n_symbols;
    const uint32_t *lengths = block->n_segments == 0 ? &whole : block->segments;
    const uint16_t *symbols = block->symbols;
    double bits = 0;
    *distinct = 0;
    for (unsigned s = 0; s < (block->n_segments == 0 ? 1 : block->n_segments); s++) {
        memset(counts, 0, block->alphabet * sizeof *counts);
        for (uint32_t i = 0; i < lengths[s]; i++) {
            counts[symbols[i]]++;
        }
        bits += bits_of_counts(counts, block->alphabet, lengths[s], distinct);
        symbols += lengths[s];
    }
    return bits;
}

/* ---- arguments ---- */

const struct trib_stage_arg trib_rate_args[TRIB_RATE_ARGS] = {
    {.name = "BITS", .kind = TRIB_STAGE_ARG_NUMBER, .least = 0.1, .most = 8, .unit = "bit", .what = "a number of bits"},
    {.name = "unbiased",
     .kind = TRIB_STAGE_ARG_WORD,
     .optional = true,
     .caps_on = TRIB_CODEC_UNBIASED,
     .caps_off = TRIB_CODEC_FEEDBACK,
     .what = "a scale that keeps the mean"},
};

/* ---- the survey ---- */

enum { SAMPLE = 65536, SAMPLE_OF_BLOCK_LEAST = 256, ALPHABET_MOST = 65536, SOLVE_STEPS = 60, TRIALS = 12 };

/* What is known of a block. */
struct part {
    uint32_t n, n_sampled;
    size_t first; /* of its samples */
    double deviation;
};

struct trib_rate_plan {
    struct part *parts; /* [info.n_blocks] */
    uint32_t sample_of_block;
    size_t n_samples;
    float *samples; /* with room for sample_of_block from each block */
    uint32_t *counts;
    struct trib_block trial; /* its buffers alone */
    double budget;           /* bits for all blocks */
    double largest, n;
    double measured, expected; /* bits of the blocks that were measured whole, and what their samples said */
    double measured_n;
};

void trib_rate_clear(void *state)
{
    struct trib_rate_survey *survey = state;
    struct trib_rate_plan *plan = survey->plan;
    if (!plan) {
        return;
    }
    trib_free(plan->parts);
    trib_free(plan->samples);
    trib_free(plan->counts);
    trib_free(plan->trial.values);
    trib_free(plan->trial.symbols);
    trib_free(plan->trial.scratch);
    trib_free(plan->trial.numbers);
    trib_free(plan);
    survey->plan = NULL;
}

enum trib_status trib_rate_begin(struct trib_rate_survey *survey, const struct trib_rate_model *model,
                                 const struct trib_survey_info *info, double rate)
{
    struct trib_rate_plan *plan = survey->plan = trib_calloc(1, sizeof *plan);
    if (!plan) {
        return TRIB_NO_MEMORY;
    }
    survey->info = *info;
    survey->rate = rate;
    survey->model = model;
    uint32_t share = SAMPLE / info->n_blocks;
    plan->sample_of_block = share < SAMPLE_OF_BLOCK_LEAST ? SAMPLE_OF_BLOCK_LEAST : share;
    plan->parts = trib_calloc(info->n_blocks, sizeof *plan->parts);
    plan->samples = trib_malloc_aligned(info->n_blocks, plan->sample_of_block * sizeof *plan->samples);
    plan->counts = trib_malloc_aligned(ALPHABET_MOST, sizeof *plan->counts);
    plan->trial.values = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *plan->trial.values);
    plan->trial.symbols = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *plan->trial.symbols);
    plan->trial.scratch = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *plan->trial.scratch);
    plan->trial.numbers = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(float));
    if (!plan->parts || !plan->samples || !plan->counts || !plan->trial.values || !plan->trial.symbols ||
        !plan->trial.scratch || !plan->trial.numbers) {
        trib_rate_clear(survey);
        return TRIB_NO_MEMORY;
    }
    return TRIB_OK;
}

/* What the range coder writes for a block besides its stream, states and a table of the symbols that occur: measured.
 */
static double coder_bits(double distinct)
{
    return distinct < 5 ? 32 * distinct : 8 * (17 + 0.55 * distinct);
}

/* What the range coder itself makes of it: of a large alphabet it codes buckets, which cost more than entropy when few
 * values of it occur. `scratch` and `numbers` of the block are overwritten. */
static double bits_of_coder(struct trib_block *block)
{
    struct trib_rans_part parts[TRIB_BLOCK_SEGMENTS];
    struct trib_writer out = {.data = (uint8_t *)block->scratch, .capacity = TRIB_CODEC_BLOCK * sizeof *block->scratch};
    unsigned n_parts = block->n_segments > 0 ? block->n_segments : 1;
    uint16_t *symbols = block->symbols;
    for (unsigned i = 0; i < n_parts; i++) {
        size_t n = block->n_segments > 0 ? block->segments[i] : block->n_symbols;
        parts[i] = (struct trib_rans_part){.symbols = symbols, .n = n, .alphabet = block->alphabet};
        symbols += n;
    }
    trib_rans_encode(parts, n_parts, block->numbers, &out);
    return 8.0 * (double)out.len;
}

/* What the coder writes for a quantised block: so much that grows with its length, and so much once. */
struct coded_size {
    double stream, table;
};

/* Counts from few values make entropy look smaller than it is; the correction is Miller's (1955). */
static struct coded_size coded_size(struct trib_block *block, uint32_t *counts, bool sampled)
{
    uint32_t distinct = 0;
    if (block->alphabet > TRIB_RANS_MODEL_MOST) {
        return (struct coded_size){.stream = bits_of_coder(block)};
    }
    double bits = trib_rate_of_symbols(block, counts, &distinct);
    return (struct coded_size){.stream = bits + (sampled ? (distinct - 1) * 0.72134752044448170368 : 0),
                               .table = coder_bits(distinct)};
}

static double room_of_frame(const struct trib_survey_info *info)
{
    double head = 72 + 4 * (double)info->n_blocks;
    return 8 * (head + 64 + 4); /* padded to a multiple of 64, and the CRC */
}

/* ---- with a rotation before ---- */

static double bits_if_gaussian(const struct trib_rate_survey *survey, const struct trib_rate_model *model,
                               const struct trib_stage_use *use, double step)
{
    double bits = 0;
    for (uint32_t i = 0; i < survey->info.n_blocks; i++) {
        const struct part *part = &survey->plan->parts[i];
        double symbols = 1, each = 0;
        if (part->deviation > 0) {
            each = model->gaussian(use, step / part->deviation);
            symbols = trib_rate_exp2(each) * 2.5; /* occur in a block, about */
            symbols = symbols < part->n ? symbols : part->n;
        }
        bits += part->n * each + coder_bits(symbols) + 8.0 * model->head_len;
    }
    return bits;
}

/* Entropy falls as the step grows. */
static double solve_gaussian(const struct trib_rate_survey *survey, const struct trib_rate_model *model,
                             const struct trib_stage_use *use)
{
    double low = survey->plan->largest * 0x1p-24, high = survey->plan->largest * 16;
    for (int i = 0; i < SOLVE_STEPS && high - low > high * 1e-7; i++) {
        double middle = sqrt(low) * sqrt(high);
        *(bits_if_gaussian(survey, model, use, middle) > survey->plan->budget ? &low : &high) = middle;
    }
    return high;
}

/* ---- without ---- */

/* Bits of block i as its sample tells. */
static double bits_of_sample(struct trib_rate_survey *survey, const struct trib_rate_model *model,
                             const struct trib_stage_use *use, double step, uint32_t i)
{
    struct trib_rate_plan *plan = survey->plan;
    const struct part *part = &plan->parts[i];
    if (part->n_sampled == 0) {
        return coder_bits(1) + 8.0 * model->head_len;
    }
    struct trib_block block = plan->trial;
    block.seed = survey->info.seed;
    block.number = i;
    block.n = block.n_values = part->n_sampled;
    memcpy(block.values, plan->samples + part->first, part->n_sampled * sizeof *block.values);
    model->quantize(use, (float)step, &block);
    struct coded_size size = coded_size(&block, plan->counts, true);
    return size.stream * part->n / part->n_sampled + size.table + 8.0 * model->head_len;
}

static double bits_of_samples(struct trib_rate_survey *survey, const struct trib_rate_model *model,
                              const struct trib_stage_use *use, double step)
{
    double bits = 0;
    for (uint32_t i = 0; i < survey->info.n_blocks; i++) {
        bits += bits_of_sample(survey, model, use, step, i);
    }
    return bits;
}

/* Between the given log2(step), in which entropy is nearly straight, by regula falsi; the Illinois variant,
 * which cannot get stuck. A few bisections first, if they are far apart. */
static double solve_samples(struct trib_rate_survey *survey, const struct trib_rate_model *model,
                            const struct trib_stage_use *use, double budget, double low, double high)
{
    double above = bits_of_samples(survey, model, use, trib_rate_exp2(low)) - budget;
    double below = bits_of_samples(survey, model, use, trib_rate_exp2(high)) - budget;
    if (above <= 0) {
        return trib_rate_exp2(low); /* so few different values that the finest grid is good enough */
    }
    for (int i = 0, side = 0; i < TRIALS && high - low > 0.0005 && below < 0; i++) {
        double middle = (high * above - low * below) / (above - below);
        middle = high - low > 3 ? (low + high) / 2 : middle;
        double found = bits_of_samples(survey, model, use, trib_rate_exp2(middle)) - budget;
        if (found > 0) {
            below /= side > 0 ? 2 : 1;
            low = middle;
            above = found;
            side = 1;
        } else {
            above /= side < 0 ? 2 : 1;
            high = middle;
            below = found;
            side = -1;
        }
        if (fabs(found) < budget * 0.0003) {
            return trib_rate_exp2(middle);
        }
    }
    return trib_rate_exp2(high);
}

/* Places spread evenly, but not at a fixed distance: weights come in rows. */
static void take_sample(struct trib_rate_plan *plan, struct part *part, const struct trib_block *block)
{
    uint32_t n = (uint32_t)block->n_values;
    float *to = plan->samples + part->first;
    part->n_sampled = n < plan->sample_of_block ? n : plan->sample_of_block;
    uint32_t mix = (uint32_t)block->number;
    for (uint32_t i = 0; i < part->n_sampled; i++) {
        uint32_t from = (uint32_t)((uint64_t)n * i / part->n_sampled);
        uint32_t span = (uint32_t)((uint64_t)n * (i + 1) / part->n_sampled) - from;
        mix = mix * UINT32_C(1664525) + UINT32_C(1013904223);
        to[i] = block->values[from + (uint32_t)((uint64_t)mix * span >> 32)];
    }
}

/* ---- passes ---- */

static void look(struct trib_rate_plan *plan, const struct trib_stage_use *use, const struct trib_block *block)
{
    struct trib_rate_size size = trib_rate_measure(block->values, block->n_values);
    struct part *part = &plan->parts[block->number];
    part->n = (uint32_t)block->n_values;
    part->first = plan->n_samples;
    part->deviation = part->n == 0 ? 0 : sqrt(size.energy / part->n);
    plan->n += part->n;
    plan->largest = (double)size.largest > plan->largest ? (double)size.largest : plan->largest;
    if (!use->rotated) {
        take_sample(plan, part, block);
        plan->n_samples += part->n_sampled;
    }
}

static void measure(struct trib_rate_survey *survey, const struct trib_rate_model *model,
                    const struct trib_stage_use *use, const struct trib_block *block)
{
    struct trib_rate_plan *plan = survey->plan;
    uint32_t stride = 1 + survey->info.n_blocks / model->measured_blocks;
    if (block->number % stride != 0 || block->n_values == 0) {
        return;
    }
    struct trib_block copy = *block;
    model->quantize(use, survey->step, &copy);
    struct coded_size size = coded_size(&copy, plan->counts, false);
    plan->measured += size.stream + size.table + 8.0 * model->head_len;
    plan->expected += bits_of_sample(survey, model, use, (double)survey->step, (uint32_t)block->number);
    plan->measured_n += (double)block->n_values;
}

void trib_rate_block(const struct trib_stage_use *use, void *state, unsigned pass, const struct trib_block *block)
{
    struct trib_rate_survey *survey = state;
    if (pass == 0) {
        look(survey->plan, use, block);
    } else {
        measure(survey, survey->model, use, block);
    }
}

/* Aim a little below: what is asked for is a bound, and samples leave some doubt. Of a vector that is short beside what
 * goes with it the symbols alone get half of it. */
static double find_budget(const struct trib_rate_survey *survey, const struct trib_rate_model *model, bool rotated)
{
    double asked = survey->rate * survey->plan->n * (rotated ? 0.9995 : 0.9985);
    double room = survey->plan->n < (double)survey->info.n ? 0 : room_of_frame(&survey->info); /* positions are extra */
    double least = asked / 2 + survey->info.n_blocks * (coder_bits(4) + 8.0 * model->head_len);
    return asked - room > least ? asked - room : least;
}

static float to_step(double step)
{
    step = step > TRIB_RATE_STEP_LEAST ? step : TRIB_RATE_STEP_LEAST;
    return (float)(step < (double)FLT_MAX ? step : (double)FLT_MAX);
}

void trib_rate_end(const struct trib_stage_use *use, void *state, unsigned pass)
{
    struct trib_rate_survey *survey = state;
    const struct trib_rate_model *model = survey->model;
    struct trib_rate_plan *plan = survey->plan;
    if (pass == 0) {
        plan->budget = find_budget(survey, model, use->rotated);
    }
    if (plan->largest > 0 && pass == 0) {
        double least = trib_rate_log2(plan->largest) - 15;
        survey->step = to_step(use->rotated ? solve_gaussian(survey, model, use)
                                            : solve_samples(survey, model, use, plan->budget, least, least + 17));
    }
    if (plan->largest > 0 && pass == 1 && plan->measured_n > 0) {
        double missing = (plan->measured - plan->expected) * plan->n / plan->measured_n;
        double about = trib_rate_log2((double)survey->step);
        survey->step = to_step(solve_samples(survey, model, use, plan->budget - missing, about - 0.5, about + 0.5));
    }
    if (pass == 1 || use->rotated) {
        trib_rate_clear(survey);
    }
}
