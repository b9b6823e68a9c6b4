/* Philox4x32-10 streams and the distributions drawn from them. A stream belongs to one thread at a time. */
#include "base/rng.h"
#include "base/buf.h"

#include <math.h>
#include <string.h>

/* Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011), table 2 and section 2.2. */
void trib_philox(const uint32_t key[2], uint64_t counter, uint32_t out[4])
{
    uint32_t x0 = (uint32_t)counter, x1 = (uint32_t)(counter >> 32), x2 = 0, x3 = 0;
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xd2511f53u * x0;
        uint64_t product1 = (uint64_t)0xcd9e8d57u * x2;
        x0 = (uint32_t)(product1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)product1;
        x2 = (uint32_t)(product0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)product0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

/* MurmurHash64A (Appleby, public domain), read little-endian so that every machine gives the same. */
uint64_t trib_hash64(const void *bytes, size_t len, uint64_t seed)
{
    const uint64_t multiplier = 0xc6a4a7935bd1e995u;
    const uint8_t *at = bytes;
    uint64_t hash = seed ^ ((uint64_t)len * multiplier);
    size_t left = len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word = trib_load_u64(at) * multiplier;
        word ^= word >> 47;
        hash = (hash ^ (word * multiplier)) * multiplier;
    }
    if (left > 0) {
        uint64_t word = 0;
        for (size_t i = 0; i < left; i++) {
            word |= (uint64_t)at[i] << (8 * i);
        }
        hash = (hash ^ word) * multiplier;
    }
    hash ^= hash >> 47;
    hash *= multiplier;
    return hash ^ (hash >> 47);
}

struct trib_rng trib_rng_init(uint64_t seed, const char *name, uint64_t a, uint64_t b)
{
    uint8_t numbers[16];
    trib_store_u64(numbers, a);
    trib_store_u64(numbers + 8, b);
    uint64_t key = trib_hash64(numbers, sizeof numbers, trib_hash64(name, strlen(name), seed));
    return (struct trib_rng){.key = {(uint32_t)key, (uint32_t)(key >> 32)}, .used = 4};
}

uint32_t trib_rng_u32(struct trib_rng *rng)
{
    if (rng->used >= 4) {
        trib_philox(rng->key, rng->counter, rng->block);
        rng->counter++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

uint64_t trib_rng_u64(struct trib_rng *rng)
{
    uint64_t low = trib_rng_u32(rng);
    uint64_t high = trib_rng_u32(rng);
    return high << 32 | low;
}

float trib_rng_uniform(struct trib_rng *rng)
{
    return (float)(trib_rng_u32(rng) >> 8) * 0x1p-24f;
}

double trib_rng_uniform64(struct trib_rng *rng)
{
    return (double)(trib_rng_u64(rng) >> 11) * 0x1p-53;
}

/* Lemire: Fast random integer generation in an interval (2019). */
static uint32_t below_u32(struct trib_rng *rng, uint32_t n)
{
    uint64_t product = (uint64_t)trib_rng_u32(rng) * n;
    if ((uint32_t)product < n) {
        uint32_t unfair = (uint32_t)-n % n; /* 2^32 mod n low words would favour some results */
        while ((uint32_t)product < unfair) {
            product = (uint64_t)trib_rng_u32(rng) * n;
        }
    }
    return (uint32_t)(product >> 32);
}

uint64_t trib_rng_below(struct trib_rng *rng, uint64_t n)
{
    if (n <= UINT32_MAX) {
        return n == 0 ? 0 : below_u32(rng, (uint32_t)n);
    }
    uint64_t unfair = -n % n;
    uint64_t drawn = trib_rng_u64(rng);
    while (drawn < unfair) {
        drawn = trib_rng_u64(rng);
    }
    return drawn % n;
}

/* Box and Muller (1958): sqrt(-2 ln u1) cos(2 pi u2), u1 in (0, 1]. The sine half is not kept: a stream's position
 * stays a count of words. */
double trib_rng_normal(struct trib_rng *rng)
{
    const double two_pi = 6.283185307179586476925286766559;
    double u1 = 1.0 - trib_rng_uniform64(rng);
    double u2 = trib_rng_uniform64(rng);
    return sqrt(-2.0 * log(u1)) * cos(two_pi * u2);
}

/* Marsaglia and Tsang: A simple method for generating gamma variables (2000). Below 1, section 6:
 * Gamma(a) = Gamma(a + 1) U^(1/a). */
double trib_rng_gamma(struct trib_rng *rng, double shape)
{
    if (!(shape > 0.0)) {
        return 0.0;
    }
    double boost = 1.0;
    if (shape < 1.0) {
        boost = pow(1.0 - trib_rng_uniform64(rng), 1.0 / shape);
        shape += 1.0;
    }
    double d = shape - 1.0 / 3.0;
    double c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = trib_rng_normal(rng);
        double v = 1.0 + c * x;
        if (v <= 0.0) {
            continue;
        }
        v = v * v * v;
        double u = 1.0 - trib_rng_uniform64(rng);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            return boost * d * v;
        }
    }
}

void trib_rng_shuffle_u32(struct trib_rng *rng, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)trib_rng_below(rng, i);
        uint32_t kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}
