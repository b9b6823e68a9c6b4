/* Counter-based random numbers (Philox4x32-10, Salmon et al. 2011): every choice comes from a named stream, so that
 * a result depends on (seed, name, index) alone, never on the order of calls or threads. Never for keys.
 *
 * A stream is derived as   key = hash(seed, name, a, b)   with name such as "init", "shuffle", "dropout", "cohort"
 * and a, b the round and the client number, say. A struct by value; not shared between threads. */
#ifndef TRIB_BASE_RNG_H
#define TRIB_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct trib_rng {
    uint32_t key[2];
    uint64_t counter;  /* block number of the next refill */
    uint32_t block[4]; /* the current block */
    unsigned used;     /* words of it already given out, 4 = refill */
};

struct trib_rng trib_rng_init(uint64_t seed, const char *name, uint64_t a, uint64_t b);
uint32_t trib_rng_u32(struct trib_rng *rng);
uint64_t trib_rng_u64(struct trib_rng *rng);
float trib_rng_uniform(struct trib_rng *rng);              /* [0, 1), 24 bits */
double trib_rng_uniform64(struct trib_rng *rng);           /* [0, 1), 53 bits */
uint64_t trib_rng_below(struct trib_rng *rng, uint64_t n); /* [0, n) without bias; n > 0 */
double trib_rng_normal(struct trib_rng *rng);              /* N(0, 1), Box-Muller */
double trib_rng_gamma(struct trib_rng *rng, double shape); /* Gamma(shape, 1), Marsaglia and Tsang 2000 */
/* Fisher-Yates over n indices. */
void trib_rng_shuffle_u32(struct trib_rng *rng, uint32_t *items, size_t n);
/* The stateless core: word `index` of a stream, for kernels that draw per element (dropout). */
void trib_philox(const uint32_t key[2], uint64_t counter, uint32_t out[4]);
/* 64-bit mixing hash of bytes (not cryptographic). */
uint64_t trib_hash64(const void *bytes, size_t len, uint64_t seed);

#endif
