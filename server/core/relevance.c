/* Relevance: equal signs, counted. */
#include "relevance.h"

#include "base/clones.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum trib_status trib_relevance_init(struct trib_relevance *relevance, uint64_t n, uint64_t k, bool majority,
                                     struct trib_error *error)
{
    *relevance = (struct trib_relevance){.n = n, .k = k < n ? k : n, .majority = majority};
    if (relevance->k == 0) {
        return TRIB_OK;
    }
    size_t bytes = trib_sketch_bytes(relevance->k);
    relevance->direction = trib_calloc(1, bytes);
    relevance->ties = trib_calloc(1, bytes);
    relevance->sample = trib_calloc(1, bytes);
    return relevance->direction && relevance->ties && relevance->sample ? TRIB_OK : trib_fail_no_memory(error);
}

void trib_relevance_clear(struct trib_relevance *relevance)
{
    trib_free(relevance->signs);
    trib_free(relevance->direction);
    trib_free(relevance->ties);
    trib_free(relevance->sample);
    *relevance = (struct trib_relevance){0};
}

/* Positions where the majority is clear, and those of them where the sketch agrees. */
static double agreement_with_majority(const struct trib_relevance *relevance, const uint8_t *sketch)
{
    uint64_t counted = 0, equal = 0;
    for (size_t i = 0; i < trib_sketch_bytes(relevance->k); i++) {
        unsigned valid = relevance->k - i * 8 >= 8 ? 0xffu : (1u << (relevance->k - i * 8)) - 1;
        valid &= ~(unsigned)relevance->ties[i];
        counted += (uint64_t)__builtin_popcount(valid);
        equal += (uint64_t)__builtin_popcount(valid & ~(unsigned)(sketch[i] ^ relevance->direction[i]));
    }
    return counted > 0 ? (double)equal / (double)counted : (double)NAN;
}

double trib_relevance_of(struct trib_relevance *relevance, const char *run, uint64_t round, const uint8_t *sketch)
{
    if (relevance->k == 0) {
        return (double)NAN;
    }
    if (relevance->majority) {
        return relevance->majority_round == round ? agreement_with_majority(relevance, sketch) : (double)NAN;
    }
    if (!relevance->signs) {
        return (double)NAN;
    }
    if (relevance->sampled_round != round) {
        const struct trib_sketch_plan plan = trib_sketch_plan(run, round, relevance->k, relevance->n);
        trib_sketch_sample(&plan, relevance->signs, relevance->sample);
        relevance->sampled_round = round;
    }
    return (double)trib_sketch_agreement(sketch, relevance->sample, relevance->k) / (double)relevance->k;
}

enum { PART = 64 }; /* bytes of the sketches that are counted together */

/* Add the bits of one sketch's part. */
TRIB_CLONES
static void count_bits(const uint8_t *part, size_t len, uint32_t counts[PART * 8])
{
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            counts[i * 8 + bit] += (uint32_t)part[i] >> bit & 1;
        }
    }
}

void trib_relevance_vote(struct trib_relevance *relevance, uint64_t round, const uint8_t *const *sketches,
                         size_t n_sketches)
{
    size_t bytes = trib_sketch_bytes(relevance->k);
    for (size_t first = 0; first < bytes; first += PART) {
        size_t len = bytes - first < PART ? bytes - first : PART;
        uint32_t counts[PART * 8] = {0};
        for (size_t s = 0; s < n_sketches; s++) {
            count_bits(sketches[s] + first, len, counts);
        }
        for (size_t i = 0; i < len; i++) {
            unsigned direction = 0, ties = 0;
            for (unsigned bit = 0; bit < 8; bit++) {
                uint64_t twice = (uint64_t)counts[i * 8 + bit] * 2;
                direction |= twice > n_sketches ? 1u << bit : 0;
                ties |= twice == n_sketches ? 1u << bit : 0;
            }
            relevance->direction[first + i] = (uint8_t)direction;
            relevance->ties[first + i] = (uint8_t)ties;
        }
    }
    relevance->majority_round = round;
}

TRIB_CLONES
static uint64_t signs_of(const float *before, const float *after, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)(after[i] > before[i]) << i;
    }
    return word;
}

size_t trib_relevance_signs_len(size_t n)
{
    return (n / 64 + 1) * sizeof(uint64_t);
}

uint64_t *trib_relevance_signs(const float *before, const float *after, size_t n)
{
    uint64_t *signs = trib_calloc(n / 64 + 1, sizeof *signs);
    for (size_t i = 0; signs && i < n; i += 64) {
        signs[i / 64] = signs_of(before + i, after + i, n - i < 64 ? n - i : 64);
    }
    return signs;
}

void trib_relevance_learn(struct trib_relevance *relevance, uint64_t *signs)
{
    trib_free(relevance->signs);
    relevance->signs = signs;
    relevance->sampled_round = 0;
}
