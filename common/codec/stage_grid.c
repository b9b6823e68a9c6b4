/* grid is 2^BITS levels from -RANGE to +RANGE, the same for every block of every client, rounded at random. So sums of
 * symbols are symbols of sums, which is what secure aggregation adds up. A value beyond RANGE is refused rather than
 * clipped: nobody downstream could tell.
 *
 * Clients that share a seed, so that they share a rotation, must still round independently, or their errors would not
 * average out: the values themselves are mixed into the random stream. */
#include "blockwise.h"
#include "stage_table.h"

#include "base/clones.h"

#include <float.h>
#include <string.h>

enum { BITS_MOST = 16 };

struct memory {
    float step, offset;
};

static const struct trib_stage_arg args[] = {
    {.name = "BITS", .kind = TRIB_STAGE_ARG_WHOLE, .least = 1, .most = BITS_MOST, .what = "a number of bits"},
    {.name = "RANGE", .kind = TRIB_STAGE_ARG_NUMBER, .least = 1e-30, .most = 1e30, .what = "the largest magnitude"},
};

/* Of the values as a set with places, in any order of summing. */
TRIB_CLONES static uint32_t digest(const float *values, size_t n, struct trib_mix mix)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        sum += trib_mix_bits(mix, bits) * (2 * (uint32_t)i + 1);
    }
    return sum;
}

/* Level k stands for (k - offset) * step. */
static float offset_of(unsigned bits)
{
    return (float)((UINT32_C(1) << bits) - 1) / 2;
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    const size_t n = block->n_values;
    const unsigned bits = (unsigned)use->args[0];
    const float range = (float)use->args[1], offset = offset_of(bits), step = range / offset;
    uint32_t bits_of_range;
    memcpy(&bits_of_range, &range, sizeof bits_of_range);
    if (trib_largest_bits(block->values, n) > bits_of_range) {
        return TRIB_NOT_FINITE;
    }
    struct trib_mix mix = trib_mix_init(block->seed, "grid", block->number, 0);
    mix = trib_mix_init(block->seed, "grid", block->number, digest(block->values, n, mix));
    block->n_symbols = n;
    block->alphabet = UINT32_C(1) << bits;
    trib_round_randomly(block->values, n, 1 / step, offset, block->alphabet - 1, mix, 0, block->symbols);
    trib_write_u8(out, (uint8_t)bits);
    trib_write_float(out, step);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    struct memory *mine = (struct memory *)(void *)memory->bytes;
    unsigned bits = trib_read_u8(in);
    bool finite = trib_read_float(in, &mine->step);
    if (in->failed || bits < 1 || bits > BITS_MOST) {
        return TRIB_CORRUPT;
    }
    mine->offset = offset_of(bits);
    block->n_symbols = block->n_values;
    block->alphabet = UINT32_C(1) << bits;
    if (!finite || (double)mine->step * (double)mine->offset > (double)FLT_MAX) {
        return TRIB_NOT_FINITE;
    }
    return mine->step > 0 ? TRIB_OK : TRIB_CORRUPT;
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    const struct memory *mine = (const struct memory *)(const void *)memory->bytes;
    trib_round_back(block->symbols, block->n_values, mine->offset, mine->step, block->values);
    return TRIB_OK;
}

const struct trib_stage trib_stage_grid = {
    .name = "grid",
    .id = TRIB_STAGE_ID_grid,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_FIXED_LENGTH,
    .help = "2^BITS levels from -RANGE to RANGE for all, rounded at random: sums of symbols are symbols of sums",
    .args = args,
    .n_args = sizeof args / sizeof args[0],
    .encode = encode,
    .open = open,
    .decode = decode,
};
