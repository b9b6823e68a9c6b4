/* A sketch's positions are found by arithmetic; the passes over blocks of a vector take and check its signs. */
#include "codec/sketch.h"

#include "base/buf.h"
#include "base/clones.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* ---- positions ---- */

/* Part i of the vector, [start, start + width), start = floor(i n / k). Its neighbour is found without a division. */
struct part {
    uint64_t i, start, width;
    uint64_t rest;         /* i n mod k */
    uint64_t length, step; /* n / k and n mod k */
};

static uint64_t width_of(const struct trib_sketch_plan *plan, const struct part *part)
{
    return part->length + (part->rest >= plan->k - part->step);
}

/* i < k */
static struct part part_at(const struct trib_sketch_plan *plan, uint64_t i)
{
    wide product = (wide)i * plan->n;
    struct part part = {.i = i,
                        .start = (uint64_t)(product / plan->k),
                        .rest = (uint64_t)(product % plan->k),
                        .length = plan->n / plan->k,
                        .step = plan->n % plan->k};
    part.width = width_of(plan, &part);
    return part;
}

static void go_on(const struct trib_sketch_plan *plan, struct part *part)
{
    uint64_t room = plan->k - part->step;
    part->i++;
    part->start += part->width;
    part->rest = part->rest >= room ? part->rest - room : part->rest + part->step;
    part->width = width_of(plan, part);
}

/* The position within a part: the high half of hash times width is below width. */
static uint64_t position_in(const struct trib_sketch_plan *plan, const struct part *part)
{
    uint8_t counter[8];
    trib_store_u64(counter, part->i);
    uint64_t hash = trib_hash64(counter, sizeof counter, plan->seed);
    return part->start + (uint64_t)((wide)hash * part->width >> 64);
}

struct trib_sketch_plan trib_sketch_plan(const char *run, uint64_t round, uint64_t k, uint64_t n)
{
    struct trib_rng rng = trib_rng_init(trib_hash64(run, strlen(run), 0), "sketch", round, 0);
    return (struct trib_sketch_plan){.n = n, .k = k < n ? k : n, .seed = trib_rng_u64(&rng)};
}

uint64_t trib_sketch_position(const struct trib_sketch_plan *plan, uint64_t i)
{
    const struct part part = part_at(plan, i);
    return position_in(plan, &part);
}

uint64_t trib_sketch_first(const struct trib_sketch_plan *plan, uint64_t element)
{
    if (plan->k == 0 || element >= plan->n) {
        return plan->k;
    }
    /* The last part that begins at or before the element: floor(i n / k) <= element where i n < (element + 1) k. */
    uint64_t i = (uint64_t)((((wide)element + 1) * plan->k - 1) / plan->n);
    return trib_sketch_position(plan, i) < element ? i + 1 : i;
}

/* ---- one pass over the positions in [first, first + n) ---- */

struct walk {
    const struct trib_sketch_plan *plan;
    struct part part;
    uint64_t first, n;
    uint64_t offset; /* of the position, from `first` */
};

static bool walk_arrives(struct walk *walk)
{
    if (walk->part.i >= walk->plan->k) {
        return false;
    }
    walk->offset = position_in(walk->plan, &walk->part) - walk->first;
    return walk->offset < walk->n;
}

/* Is there one at all? */
static bool walk_begin(struct walk *walk, const struct trib_sketch_plan *plan, uint64_t first, uint64_t n)
{
    uint64_t i = trib_sketch_first(plan, first);
    *walk = (struct walk){.plan = plan, .first = first, .n = n};
    if (i >= plan->k) {
        return false;
    }
    walk->part = part_at(plan, i);
    return walk_arrives(walk);
}

static bool walk_on(struct walk *walk)
{
    go_on(walk->plan, &walk->part);
    return walk_arrives(walk);
}

/* ---- a client's side ---- */

static bool sign_of(float original, float decoded)
{
    return (decoded > 0) | ((decoded == 0) & (original > 0)); /* no branch: signs are hard to predict */
}

TRIB_CLONES static void take_all(uint8_t *signs, const float *original, const float *decoded, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        signs[i] = sign_of(original[i], decoded[i]);
    }
}

void trib_sketch_take(const struct trib_sketch_plan *plan, uint8_t *signs, size_t first, const float *original,
                      const float *decoded, size_t n)
{
    if (plan->k == plan->n) {
        take_all(signs + first, original, decoded, n);
        return;
    }
    struct walk walk;
    for (bool more = walk_begin(&walk, plan, first, n); more; more = walk_on(&walk)) {
        signs[walk.part.i] = sign_of(original[walk.offset], decoded[walk.offset]);
    }
}

size_t trib_sketch_bytes(uint64_t k)
{
    return (size_t)(k / 8 + (k % 8 != 0));
}

void trib_sketch_pack(const uint8_t *signs, uint64_t k, uint8_t *packed)
{
    for (uint64_t at = 0; at < k; at += 8) {
        unsigned byte = 0, n = k - at < 8 ? (unsigned)(k - at) : 8;
        for (unsigned bit = 0; bit < n; bit++) {
            byte |= (unsigned)signs[at + bit] << bit;
        }
        packed[at / 8] = (uint8_t)byte;
    }
}

/* ---- a server's side ---- */

static unsigned bit_of(const uint8_t *packed, uint64_t i)
{
    return packed[i / 8] >> (i % 8) & 1;
}

static unsigned contradicts(float decoded, unsigned bit)
{
    return ((unsigned)(decoded < 0) & bit) | ((unsigned)(decoded > 0) & (bit ^ 1));
}

/* n is a multiple of 8, one byte of signs for each 8 values. */
TRIB_CLONES static uint64_t contradictions_all(const uint8_t *packed, const float *decoded, size_t n)
{
    uint64_t found = 0;
    for (size_t at = 0; at < n; at += 8) {
        unsigned positive = 0, negative = 0, byte = packed[at / 8];
        for (unsigned bit = 0; bit < 8; bit++) {
            positive |= (unsigned)(decoded[at + bit] > 0) << bit;
            negative |= (unsigned)(decoded[at + bit] < 0) << bit;
        }
        found += (uint64_t)__builtin_popcount((positive & ~byte) | (negative & byte));
    }
    return found;
}

uint64_t trib_sketch_contradictions(const struct trib_sketch_plan *plan, const uint8_t *packed, size_t first,
                                    const float *decoded, size_t n)
{
    uint64_t found = 0;
    if (plan->k == plan->n) {
        size_t at = 0;
        for (; at < n && (first + at) % 8 != 0; at++) {
            found += contradicts(decoded[at], bit_of(packed, first + at));
        }
        size_t whole = (n - at) / 8 * 8;
        found += contradictions_all(packed + (first + at) / 8, decoded + at, whole);
        for (at += whole; at < n; at++) {
            found += contradicts(decoded[at], bit_of(packed, first + at));
        }
        return found;
    }
    struct walk walk;
    for (bool more = walk_begin(&walk, plan, first, n); more; more = walk_on(&walk)) {
        found += contradicts(decoded[walk.offset], bit_of(packed, walk.part.i));
    }
    return found;
}

TRIB_CLONES static uint64_t differences(const uint8_t *a, const uint8_t *b, size_t n_bytes)
{
    uint64_t found = 0;
    size_t at = 0;
    for (; at + 8 <= n_bytes; at += 8) {
        uint64_t x, y;
        memcpy(&x, a + at, sizeof x);
        memcpy(&y, b + at, sizeof y);
        found += (uint64_t)__builtin_popcountll(x ^ y);
    }
    for (; at < n_bytes; at++) {
        found += (uint64_t)__builtin_popcount((unsigned)(a[at] ^ b[at]));
    }
    return found;
}

uint64_t trib_sketch_agreement(const uint8_t *a, const uint8_t *b, uint64_t k)
{
    size_t whole = (size_t)(k / 8);
    uint64_t found = differences(a, b, whole);
    if (k % 8 != 0) {
        found += (uint64_t)__builtin_popcount((unsigned)(a[whole] ^ b[whole]) & ((1U << (k % 8)) - 1));
    }
    return k - found;
}

void trib_sketch_sample(const struct trib_sketch_plan *plan, const uint64_t *signs, uint8_t *packed)
{
    size_t bytes = trib_sketch_bytes(plan->k);
    if (plan->k == plan->n) {
        for (size_t at = 0; at < bytes; at++) {
            packed[at] = (uint8_t)(signs[at / 8] >> (at % 8 * 8));
        }
        if (plan->k % 8 != 0) {
            packed[bytes - 1] &= (uint8_t)((1U << (plan->k % 8)) - 1);
        }
        return;
    }
    memset(packed, 0, bytes);
    struct walk walk;
    for (bool more = walk_begin(&walk, plan, 0, plan->n); more; more = walk_on(&walk)) {
        unsigned sign = signs[walk.offset / 64] >> (walk.offset % 64) & 1;
        packed[walk.part.i / 8] |= (uint8_t)(sign << (walk.part.i % 8));
    }
}

/* sqrt(e (1 - e) / k (n - k) / (n - 1)): of k drawn without replacement (Cochran, 1977), and, on the mean
 * over all arrangements of the vector, of one drawn in each of k parts as well. Where equal signs stand together, parts
 * do better than that. Nothing is known from no position: a share is off by a half at most. */
double trib_sketch_error(double e, uint64_t k, uint64_t n)
{
    if (k == 0) {
        return 0.5;
    }
    if (k >= n) {
        return 0;
    }
    double share = e > 0 ? e < 1 ? e : 1 : 0;
    return sqrt(share * (1 - share) / (double)k * ((double)(n - k) / (double)(n - 1)));
}
