/* The rotation is random signs and fast Walsh-Hadamard transforms (Ailon and Chazelle, 2006), twice over.
 *
 * Why twice: once makes of a few large values a sum of a few +-1 patterns, which is not normal. 1 bit of such a block
 * is the pattern of the largest value, whatever the signs: of (1, 0.9, 0, 0, ...) an "unbiased" code keeps (1.81, 0) in
 * the mean, and of one value the rotation leaves two levels, not a bell. After a second round with signs of its own
 * every element is a sum of many terms. Two take 1.6 times as long as one.
 *
 * A block of 2^16 is a matrix of 16 chunks by 4096 elements. H = A C, where C transforms each chunk, in the first level
 * cache, and A transforms across the chunks; they commute, and either is its own inverse, but for scale. So two rounds
 * take three passes over memory: C, (A signs A), C.
 *
 * Any other length n, 2^k < n < 2^(k+1): a butterfly between the two halves, the first 2^k elements, then the last
 * 2^k, all of them orthonormal. The butterfly is there for elements that only one of the two windows sees. Where it
 * meets a window in step, patterns cancel over whole stretches; three rounds leave no stretch short of its share of
 * energy. */
#include "hadamard.h"

#include "mix.h"

#include "base/clones.h"

#include <stdbool.h>
#include <string.h>

enum { TILE_SIDE = 16, TILE = TILE_SIDE * TILE_SIDE, CHUNK = 16 * TILE, FULL = 16 * CHUNK };

/* Inlined before the loops around them are compiled once per clone. */
#define INLINE static inline __attribute__((always_inline))

static const uint32_t sign_bit = UINT32_C(0x80000000);

/* value, with its sign changed if the top bit of `random` is set. */
INLINE float flipped(float value, uint32_t random)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits ^= random & sign_bit;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

enum { SIGN_LANES = 16, SIGN_GROUP = SIGN_LANES * 32 };

/* Random signs. A random word serves one lane of 32 rows of 16. */
TRIB_CLONES static void flip(float *values, size_t n, struct trib_mix mix, size_t first)
{
    for (size_t start = 0; start < n; start += SIGN_GROUP) {
        uint32_t words[SIGN_LANES];
        for (uint32_t lane = 0; lane < SIGN_LANES; lane++) {
            words[lane] = trib_mix_bits(mix, (uint32_t)((first + start) / SIGN_GROUP * SIGN_LANES) + lane);
        }
        size_t rows = n - start < SIGN_GROUP ? (n - start) / SIGN_LANES : SIGN_GROUP / SIGN_LANES;
        float *at = values + start;
        for (size_t row = 0; row < rows; row++) {
            for (size_t lane = 0; lane < SIGN_LANES; lane++) {
                at[row * SIGN_LANES + lane] = flipped(at[row * SIGN_LANES + lane], words[lane] << row);
            }
        }
        for (size_t i = rows * SIGN_LANES; i < SIGN_GROUP && start + i < n; i++) {
            at[i] = flipped(at[i], words[i % SIGN_LANES] << rows);
        }
    }
}

/* ---- transforms ----
 *
 * Scaled before, never after: sums of large values must not overflow on the way. */

INLINE void cross(float *a, float *b)
{
    float sum = *a + *b;
    *b = *a - *b;
    *a = sum;
}

INLINE void cross4(float *a, float *b, float *c, float *d)
{
    cross(a, b);
    cross(c, d);
    cross(a, c);
    cross(b, d);
}

/* All 16 by name: an inner loop would keep gcc from vectorising the loops around this. */
INLINE void cross16(float a[16])
{
    cross4(&a[0], &a[1], &a[2], &a[3]);
    cross4(&a[4], &a[5], &a[6], &a[7]);
    cross4(&a[8], &a[9], &a[10], &a[11]);
    cross4(&a[12], &a[13], &a[14], &a[15]);
    cross4(&a[0], &a[4], &a[8], &a[12]);
    cross4(&a[1], &a[5], &a[9], &a[13]);
    cross4(&a[2], &a[6], &a[10], &a[14]);
    cross4(&a[3], &a[7], &a[11], &a[15]);
}

#define AT(r)           x[column + (r)*stride]
#define LOAD4(r, scale) AT(r) * (scale), AT((r) + 1) * (scale), AT((r) + 2) * (scale), AT((r) + 3) * (scale)
#define LOAD16(scale)                                                                                                  \
    {                                                                                                                  \
        LOAD4(0, scale), LOAD4(4, scale), LOAD4(8, scale), LOAD4(12, scale)                                            \
    }
#define STORE4(r) (AT(r) = a[r], AT((r) + 1) = a[(r) + 1], AT((r) + 2) = a[(r) + 2], AT((r) + 3) = a[(r) + 3])
#define STORE16   (STORE4(0), STORE4(4), STORE4(8), STORE4(12))

/* 16 rows of `stride` elements, transformed along the columns. */
INLINE void rows16(float *x, size_t stride, float scale)
{
    for (size_t column = 0; column < stride; column++) {
        float a[16] = LOAD16(scale);
        cross16(a);
        STORE16;
    }
}

/* Along the low half of a tile's index, which then becomes the high half. */
INLINE void columns4(const float *restrict from, float *restrict to)
{
    for (size_t i = 0; i < TILE / 4; i++) {
        float a = from[4 * i], b = from[4 * i + 1], c = from[4 * i + 2], d = from[4 * i + 3];
        cross4(&a, &b, &c, &d);
        to[i] = a;
        to[i + TILE / 4] = b;
        to[i + TILE / 2] = c;
        to[i + TILE / 4 * 3] = d;
    }
}

/* 256 elements. The two halves of the index end up swapped, which leaves the map symmetric and its own inverse. */
INLINE void tile(float *x, float scale)
{
    float turned[TILE] __attribute__((aligned(64)));
    rows16(x, TILE_SIDE, scale);
    columns4(x, turned);
    columns4(turned, x);
}

TRIB_CLONES static void tiles(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i += TILE) {
        tile(x + i, scale);
    }
}

TRIB_CLONES static void chunk(float *x, float scale)
{
    for (size_t i = 0; i < CHUNK; i += TILE) {
        tile(x + i, scale);
    }
    rows16(x, TILE, 1);
}

/* Across the chunks, signs, across the chunks. A random word serves the 16 elements of a column. */
TRIB_CLONES static void across(float *x, struct trib_mix mix)
{
    const size_t stride = CHUNK;
    for (size_t column = 0; column < CHUNK; column++) {
        float a[16] = LOAD16(1);
        uint32_t word = trib_mix_bits(mix, (uint32_t)column);
        cross16(a);
#define FLIP(r) a[r] = flipped(a[r], word << (r))
        FLIP(0), FLIP(1), FLIP(2), FLIP(3), FLIP(4), FLIP(5), FLIP(6), FLIP(7);
        FLIP(8), FLIP(9), FLIP(10), FLIP(11), FLIP(12), FLIP(13), FLIP(14), FLIP(15);
        cross16(a);
        STORE16;
    }
}

TRIB_CLONES static void halves(float *restrict low, float *restrict high, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++) {
        float a = low[i], b = high[i];
        low[i] = (a + b) * scale;
        high[i] = (a - b) * scale;
    }
}

TRIB_CLONES static void stretch(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++) {
        x[i] *= scale;
    }
}

static struct trib_mix stream(uint64_t seed, uint64_t number, unsigned part)
{
    return trib_mix_init(seed, "rotate", number, part);
}

/* ---- a whole block ---- */

static const float full_scale = 0x1p-8F; /* of one round: 1 / sqrt(2^16) */

static void rotate_full(uint64_t seed, uint64_t number, float *values, bool back)
{
    struct trib_mix first = stream(seed, number, 0), second = stream(seed, number, 1);
    for (size_t at = 0; at < FULL; at += CHUNK) {
        if (!back) {
            flip(values + at, CHUNK, first, at);
        }
        chunk(values + at, full_scale);
    }
    across(values, second);
    for (size_t at = 0; at < FULL; at += CHUNK) {
        chunk(values + at, full_scale);
        if (back) {
            flip(values + at, CHUNK, first, at);
        }
    }
}

/* ---- any other length ---- */

static const float sqrt_half = 0x1.6a09e6p-1F;

static unsigned log2_of(size_t n)
{
    unsigned k = 0;
    while (n >> k > 1) {
        k++;
    }
    return k;
}

/* Orthonormal, of 2^k elements, with signs of its own. */
static void window(float *x, unsigned k, struct trib_mix mix, bool back)
{
    const size_t n = (size_t)1 << k;
    const float scale = 1.0F / (float)((size_t)1 << k / 2) * (k % 2 ? sqrt_half : 1);
    size_t stride = TILE;
    if (!back) {
        flip(x, n, mix, 0);
    }
    if (n >= TILE) {
        tiles(x, n, scale);
    } else {
        stretch(x, n, scale);
        stride = 1;
    }
    for (; stride < n; stride *= 2) {
        for (size_t at = 0; at < n; at += 2 * stride) {
            halves(x + at, x + at + stride, stride, 1);
        }
    }
    if (back) {
        flip(x, n, mix, 0);
    }
}

/* Signs, the butterfly, both windows; for a power of two its window alone. */
static void round_any(uint64_t seed, uint64_t number, unsigned round, float *values, size_t n)
{
    const unsigned k = log2_of(n), part = 3 * round;
    const size_t power = (size_t)1 << k;
    if (n > power) {
        flip(values, n, stream(seed, number, part), 0);
        halves(values, values + n - n / 2, n / 2, sqrt_half);
        window(values, k, stream(seed, number, part + 1), false);
    }
    window(values + n - power, k, stream(seed, number, part + 2), false);
}

static void round_any_back(uint64_t seed, uint64_t number, unsigned round, float *values, size_t n)
{
    const unsigned k = log2_of(n), part = 3 * round;
    const size_t power = (size_t)1 << k;
    window(values + n - power, k, stream(seed, number, part + 2), true);
    if (n > power) {
        window(values, k, stream(seed, number, part + 1), true);
        halves(values, values + n - n / 2, n / 2, sqrt_half);
        flip(values, n, stream(seed, number, part), 0);
    }
}

static unsigned rounds_of(size_t n)
{
    return (n & (n - 1)) == 0 ? 2 : 3;
}

void trib_hadamard_rotate(uint64_t seed, uint64_t number, float *values, size_t n)
{
    if (n == FULL) {
        rotate_full(seed, number, values, false);
        return;
    }
    for (unsigned round = 0; n > 0 && round < rounds_of(n); round++) {
        round_any(seed, number, round, values, n);
    }
}

void trib_hadamard_restore(uint64_t seed, uint64_t number, float *values, size_t n)
{
    if (n == FULL) {
        rotate_full(seed, number, values, true);
        return;
    }
    for (unsigned round = n > 0 ? rounds_of(n) : 0; round > 0; round--) {
        round_any_back(seed, number, round - 1, values, n);
    }
}
