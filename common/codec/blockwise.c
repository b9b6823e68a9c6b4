/* Blockwise quantisation is QSGD (Alistarh et al., 2017), with the largest magnitude in the norm's place for q8 and q4.
 * A step stands in 16 bits, those of a float below its sign, rounded up by less than 2^-8 so that no value lies beyond
 * the last level. */
#include "blockwise.h"

#include "norm.h"

#include "base/clones.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const uint32_t bits_of_infinity = UINT32_C(0x7f800000);

enum { STEP_LEN = 2, STEP_DROPPED = 15 /* of a float's 31 bits below the sign */ };

/* The smallest step whose inverse is a float. Values below it are rounded to 0 or to it, right in the mean. */
static const float least_step = 0x1p-126F;

struct memory {
    const uint8_t *steps;
    uint32_t group, levels;
};

/* ---- whole vectors ---- */

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t largest_bits(const float *values, size_t n)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits &= UINT32_C(0x7fffffff);
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

TRIB_CLONES uint32_t trib_largest_bits(const float *values, size_t n)
{
    return largest_bits(values, n);
}

/* The fraction is taken from what truncation left, not added to a random number: sums near 2^16 would lose its bits. */
INLINE void round_randomly(const float *restrict values, size_t n, float inverse, float offset, uint32_t most,
                           struct trib_mix mix, uint32_t first, uint16_t *restrict symbols)
{
    for (size_t i = 0; i < n; i++) {
        float exact = values[i] * inverse;
        int32_t below = (int32_t)(exact + offset);
        float fraction = exact - ((float)below - offset);
        float threshold = (float)(int32_t)(trib_mix_bits(mix, first + (uint32_t)i) >> 8) * 0x1p-24F;
        uint32_t symbol = (uint32_t)below + (threshold < fraction);
        symbols[i] = (uint16_t)(symbol < most ? symbol : most);
    }
}

TRIB_CLONES void trib_round_randomly(const float *values, size_t n, float inverse, float offset, uint32_t most,
                                     struct trib_mix mix, uint32_t first, uint16_t *symbols)
{
    round_randomly(values, n, inverse, offset, most, mix, first, symbols);
}

INLINE void round_back(const uint16_t *restrict symbols, size_t n, float offset, float step, float *restrict values)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = ((float)symbols[i] - offset) * step;
    }
}

TRIB_CLONES void trib_round_back(const uint16_t *symbols, size_t n, float offset, float step, float *values)
{
    round_back(symbols, n, offset, step, values);
}

/* ---- by groups ---- */

static size_t groups_of(size_t n, uint32_t group)
{
    return (n + group - 1) / group;
}

INLINE float step_of(const uint8_t *coded)
{
    uint32_t bits = ((uint32_t)coded[0] | (uint32_t)coded[1] << 8) << STEP_DROPPED;
    float step;
    memcpy(&step, &bits, sizeof step);
    return step;
}

/* False when the last level would not be a float. */
static bool choose_step(double size, uint32_t levels, uint16_t *coded)
{
    float step = (float)(size / levels);
    if (step < least_step) {
        step = size > 0 ? least_step : 0;
    }
    uint32_t bits;
    memcpy(&bits, &step, sizeof bits);
    *coded = (uint16_t)((bits + (UINT32_C(1) << STEP_DROPPED) - 1) >> STEP_DROPPED);
    uint8_t bytes[STEP_LEN];
    trib_store_u16(bytes, *coded);
    return bits < bits_of_infinity && (double)step_of(bytes) * levels <= (double)FLT_MAX;
}

static bool choose_steps(const struct trib_blockwise *shape, const float *values, size_t n, uint8_t *steps)
{
    bool sound = true;
    for (size_t first = 0; first < n; first += shape->group) {
        size_t count = n - first < shape->group ? n - first : shape->group;
        uint32_t bits = trib_largest_bits(values + first, count);
        uint16_t coded = 0;
        float largest;
        memcpy(&largest, &bits, sizeof largest);
        double size = shape->by_norm ? sqrt(trib_sum_squares(values + first, count)) : (double)largest;
        sound = sound && bits < bits_of_infinity && choose_step(size, shape->levels, &coded);
        trib_store_u16(steps + sizeof coded * (first / shape->group), coded);
    }
    return sound;
}

/* All groups in one function, so that a small group does not cost a call. */
TRIB_CLONES static void round_groups(const float *values, size_t n, const struct trib_blockwise *shape,
                                     const uint8_t *steps, struct trib_mix mix, uint16_t *symbols)
{
    for (size_t first = 0; first < n; first += shape->group) {
        size_t count = n - first < shape->group ? n - first : shape->group;
        float step = step_of(steps + STEP_LEN * (first / shape->group));
        round_randomly(values + first, count, step > 0 ? 1 / step : 0, (float)shape->levels, 2 * shape->levels, mix,
                       (uint32_t)first, symbols + first);
    }
}

TRIB_CLONES static void round_groups_back(const uint16_t *symbols, size_t n, const struct memory *memory, float *values)
{
    for (size_t first = 0; first < n; first += memory->group) {
        size_t count = n - first < memory->group ? n - first : memory->group;
        float step = step_of(memory->steps + STEP_LEN * (first / memory->group));
        round_back(symbols + first, count, (float)memory->levels, step, values + first);
    }
}

enum trib_status trib_blockwise_encode(const struct trib_blockwise *shape, bool write_levels, struct trib_block *block,
                                       struct trib_writer *out)
{
    size_t n = block->n_values;
    trib_write_u16(out, (uint16_t)(shape->group - 1));
    if (write_levels) {
        trib_write_u16(out, (uint16_t)shape->levels);
    }
    uint8_t *steps = trib_write_room(out, STEP_LEN * groups_of(n, shape->group));
    if (!steps) {
        return TRIB_LIMIT;
    }
    if (!choose_steps(shape, block->values, n, steps)) {
        return TRIB_NOT_FINITE;
    }
    round_groups(block->values, n, shape, steps, trib_mix_init(block->seed, "round", block->number, 0), block->symbols);
    block->n_symbols = n;
    block->alphabet = 2 * shape->levels + 1;
    return TRIB_OK;
}

static bool finite_steps(const uint8_t *steps, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite = finite && trib_load_u16(steps + STEP_LEN * i) < bits_of_infinity >> STEP_DROPPED;
    }
    return finite;
}

enum trib_status trib_blockwise_open(uint32_t levels, struct trib_block *block, struct trib_reader *in,
                                     union trib_stage_memory *memory)
{
    struct memory *mine = (struct memory *)(void *)memory->bytes;
    mine->group = (uint32_t)trib_read_u16(in) + 1;
    mine->levels = levels > 0 ? levels : trib_read_u16(in);
    if (in->failed || mine->group < TRIB_BLOCKWISE_GROUP_LEAST || mine->levels < 1 ||
        mine->levels > TRIB_BLOCKWISE_LEVELS_MOST) {
        return TRIB_CORRUPT;
    }
    size_t groups = groups_of(block->n_values, mine->group);
    mine->steps = trib_read_bytes(in, STEP_LEN * groups);
    if (in->failed) {
        return TRIB_CORRUPT;
    }
    block->n_symbols = block->n_values;
    block->alphabet = 2 * mine->levels + 1;
    return finite_steps(mine->steps, groups) ? TRIB_OK : TRIB_NOT_FINITE;
}

enum trib_status trib_blockwise_decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    const struct memory *mine = (const struct memory *)(const void *)memory->bytes;
    round_groups_back(block->symbols, block->n_values, mine, block->values);
    return TRIB_OK;
}
