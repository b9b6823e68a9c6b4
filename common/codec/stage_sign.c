/* sign is one bit a value and one scale a block, the mean magnitude: the best scale for the mean square error. After a
 * rotation this is DRIVE's biased form (Vargaftik et al., 2021); alone it is signSGD with a norm (Karimireddy et al.,
 * 2019), which needs error feedback. Zero counts as positive. */
#include "stage_table.h"

#include "base/clones.h"

#include <math.h>
#include <string.h>

struct memory {
    float scale;
};

TRIB_CLONES static void take_signs(const float *values, size_t n, uint16_t *symbols)
{
    for (size_t i = 0; i < n; i++) {
        symbols[i] = !(values[i] < 0);
    }
}

enum { LANES = 16 };

TRIB_CLONES static double sum_magnitudes(const float *values, size_t n)
{
    double lanes[LANES] = {0};
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            lanes[lane] += (double)fabsf(values[i + lane]);
        }
    }
    for (size_t i = whole; i < n; i++) {
        lanes[i - whole] += (double)fabsf(values[i]);
    }
    double sum = 0;
    for (size_t lane = 0; lane < LANES; lane++) {
        sum += lanes[lane];
    }
    return sum;
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)use;
    (void)survey;
    float scale =
        block->n_values == 0 ? 0 : (float)(sum_magnitudes(block->values, block->n_values) / (double)block->n_values);
    if (!isfinite(scale)) {
        return TRIB_NOT_FINITE;
    }
    take_signs(block->values, block->n_values, block->symbols);
    block->n_symbols = block->n_values;
    block->alphabet = 2;
    trib_write_float(out, scale);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    struct memory *mine = (struct memory *)(void *)memory->bytes;
    if (!trib_read_float(in, &mine->scale)) {
        return in->failed ? TRIB_CORRUPT : TRIB_NOT_FINITE;
    }
    block->n_symbols = block->n_values;
    block->alphabet = 2;
    return TRIB_OK;
}

TRIB_CLONES static void give_signs(const uint16_t *symbols, size_t n, float scale, float *values)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = symbols[i] ? scale : -scale;
    }
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    const struct memory *mine = (const struct memory *)(const void *)memory->bytes;
    give_signs(block->symbols, block->n_symbols, mine->scale, block->values);
    return TRIB_OK;
}

const struct trib_stage trib_stage_sign = {
    .name = "sign",
    .id = TRIB_STAGE_ID_sign,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FEEDBACK | TRIB_CODEC_FIXED_LENGTH,
    .help = "signs and one scale a block (signSGD with a norm; after rotate: DRIVE); 1 bit a value",
    .encode = encode,
    .open = open,
    .decode = decode,
};
