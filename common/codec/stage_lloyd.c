/* lloyd is the 2^BITS levels of least mean square error for N(0, 1) (Lloyd, 1982; Max, 1960), with one scale a block
 * fitted to what was rounded. After a rotation this is EDEN (Vargaftik et al., 2022), at 1 bit DRIVE (2021).
 *
 *     biased    S = <c, x> / <c, c>     the least error
 *     unbiased  S = |x|^2 / <c, x>      over the rotations, S c keeps the mean
 *
 * where c are the levels that the values x were rounded to. Symbols ascend with the level. */
#include "stage_table.h"

#include "norm.h"

#include "base/clones.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BITS_MOST = 4, LEVELS_MOST = 8 /* above zero; those below mirror them */ };

/* Fixed points of Lloyd's iteration, in double, to 9 digits. */
static const float levels[BITS_MOST][LEVELS_MOST] = {
    {0.797884561F},
    {0.452780035F, 1.51041761F},
    {0.245094179F, 0.756005281F, 1.34390928F, 2.1519457F},
    {0.12839503F, 0.388048299F, 0.656759119F, 0.942340456F, 1.2562312F, 1.61804639F, 2.06901723F, 2.73258957F},
};
/* Half-way between them. */
static const float thresholds[BITS_MOST][LEVELS_MOST - 1] = {
    {0},
    {0.981598822F},
    {0.50054973F, 1.04995728F, 1.74792749F},
    {0.258221665F, 0.522403709F, 0.799549788F, 1.09928583F, 1.43713879F, 1.84353181F, 2.4008034F},
};

struct memory {
    unsigned bits;
    float scale;
};

static const struct trib_stage_arg args[] = {
    {.name = "BITS", .kind = TRIB_STAGE_ARG_WHOLE, .least = 1, .most = BITS_MOST, .what = "a number of bits"},
    {.name = "unbiased",
     .kind = TRIB_STAGE_ARG_WORD,
     .optional = true,
     .caps_on = TRIB_CODEC_UNBIASED,
     .caps_off = TRIB_CODEC_FEEDBACK,
     .what = "a scale that keeps the mean"},
};

/* <c, x> and <c, c>, of normalised x. */
struct sums {
    double cx, cc;
};

/* Float sums of a few terms in each of many lanes, then double: in one order at any vector width. */
enum { LANES = 64, TERMS = 16, RUN = LANES * TERMS };

#define INLINE static inline __attribute__((always_inline))

INLINE void round_one(float value, float inverse, const unsigned bits, uint16_t *symbol, float *cx, float *cc)
{
    const uint16_t half = (uint16_t)(1u << (bits - 1));
    float magnitude = fabsf(value) * inverse, level = levels[bits - 1][0];
    uint16_t index = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i + 1 < half; i++) {
        bool above = magnitude > thresholds[bits - 1][i];
        level = above ? levels[bits - 1][i + 1] : level;
        index = (uint16_t)(index + above);
    }
    *symbol = (uint16_t)(value < 0 ? half - 1 - index : half + index);
    *cx += level * magnitude;
    *cc += level * level;
}

INLINE struct sums round_all(const float *restrict values, size_t n, float inverse, const unsigned bits,
                             uint16_t *restrict symbols)
{
    struct sums sums = {0};
    for (size_t first = 0; first < n; first += RUN) {
        size_t count = n - first < RUN ? n - first : RUN, whole = count / LANES * LANES;
        float cx[LANES] = {0}, cc[LANES] = {0};
        for (size_t i = first; i < first + whole; i += LANES) {
            for (size_t lane = 0; lane < LANES; lane++) {
                round_one(values[i + lane], inverse, bits, &symbols[i + lane], &cx[lane], &cc[lane]);
            }
        }
        for (size_t i = whole; i < count; i++) {
            round_one(values[first + i], inverse, bits, &symbols[first + i], &cx[i - whole], &cc[i - whole]);
        }
        for (size_t lane = 0; lane < LANES; lane++) {
            sums.cx += (double)cx[lane];
            sums.cc += (double)cc[lane];
        }
    }
    return sums;
}

TRIB_CLONES static struct sums round_to_levels(const float *values, size_t n, float inverse, unsigned bits,
                                               uint16_t *symbols)
{
    switch (bits) { /* so that the compiler sees each number of levels */
    case 1:
        return round_all(values, n, inverse, 1, symbols);
    case 2:
        return round_all(values, n, inverse, 2, symbols);
    case 3:
        return round_all(values, n, inverse, 3, symbols);
    default:
        return round_all(values, n, inverse, 4, symbols);
    }
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    const size_t n = block->n_values;
    const unsigned bits = (unsigned)use->args[0];
    const double squares = trib_sum_squares(block->values, n);
    if (!isfinite(squares)) {
        return TRIB_NOT_FINITE;
    }
    double deviation = n > 0 ? sqrt(squares / (double)n) : 0;
    /* below the least normal float the levels do not fit, but the scale still does */
    float inverse = deviation > 0x1p-126 ? (float)(1 / deviation) : 0x1p126F;
    struct sums sums = round_to_levels(block->values, n, inverse, bits, block->symbols);
    double cx = sums.cx / (double)inverse, scale = 0;
    if (squares > 0) {
        scale = use->args[1] != 0 ? squares / cx : cx / sums.cc;
    }
    if (!(scale * (double)levels[bits - 1][(1u << (bits - 1)) - 1] <= (double)FLT_MAX)) {
        return TRIB_NOT_FINITE;
    }
    block->n_symbols = n;
    block->alphabet = UINT32_C(1) << bits;
    trib_write_u8(out, (uint8_t)bits);
    trib_write_float(out, (float)scale);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    struct memory *mine = (struct memory *)(void *)memory->bytes;
    mine->bits = trib_read_u8(in);
    bool finite = trib_read_float(in, &mine->scale);
    if (in->failed || mine->bits < 1 || mine->bits > BITS_MOST) {
        return TRIB_CORRUPT;
    }
    block->n_symbols = block->n_values;
    block->alphabet = UINT32_C(1) << mine->bits;
    if (!finite) {
        return TRIB_NOT_FINITE;
    }
    return mine->scale >= 0 ? TRIB_OK : TRIB_CORRUPT;
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    const struct memory *mine = (const struct memory *)(const void *)memory->bytes;
    const unsigned half = 1u << (mine->bits - 1);
    float scaled[2 * LEVELS_MOST];
    for (unsigned i = 0; i < half; i++) {
        scaled[half + i] = levels[mine->bits - 1][i] * mine->scale;
        scaled[half - 1 - i] = -scaled[half + i];
    }
    for (size_t i = 0; i < block->n_values; i++) {
        block->values[i] = scaled[block->symbols[i]];
    }
    return TRIB_OK;
}

/* The unbiased scale makes no unbiased values of what was not rotated. */
static enum trib_status check(struct trib_stage_use *use, struct trib_error *error)
{
    (void)error;
    if (!use->rotated) {
        use->caps = (use->caps & ~(unsigned)TRIB_CODEC_UNBIASED) | TRIB_CODEC_FEEDBACK;
    }
    return TRIB_OK;
}

const struct trib_stage trib_stage_lloyd = {
    .name = "lloyd",
    .id = TRIB_STAGE_ID_lloyd,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FEEDBACK | TRIB_CODEC_FIXED_LENGTH,
    .help = "the best 2, 4, 8 or 16 levels for Gaussian values, 1 to 4 bits each (after rotate: EDEN)",
    .args = args,
    .n_args = sizeof args / sizeof args[0],
    .check = check,
    .encode = encode,
    .open = open,
    .decode = decode,
};
