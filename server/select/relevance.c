/* Equal signs, counted. */
#include "select/relevance.h"

#include "base/clones.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

struct trib_relevance {
    uint64_t n, k;
    bool majority;
    struct trib_blob *signs;   /* [n bits] of the last committed update; NULL: there was none yet */
    uint8_t *direction, *ties; /* [sketch bytes] the round's majority, and where there is none */
    uint8_t *sample;           /* [sketch bytes] of `signs`, at the positions of sampled_round */
    uint64_t sampled_round;    /* 0 = none */
    uint64_t majority_round;   /* that `direction` is of; 0 = none */
};

enum trib_status trib_relevance_new(uint64_t n, uint64_t k, bool majority, struct trib_relevance **relevance,
                                    struct trib_error *error)
{
    struct trib_relevance *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    *made = (struct trib_relevance){.n = n, .k = k < n ? k : n, .majority = majority};
    if (made->k > 0) {
        size_t bytes = trib_sketch_bytes(made->k);
        made->direction = trib_calloc(1, bytes);
        made->ties = trib_calloc(1, bytes);
        made->sample = trib_calloc(1, bytes);
        if (!made->direction || !made->ties || !made->sample) {
            trib_relevance_free(made);
            return trib_fail_no_memory(error);
        }
    }
    *relevance = made;
    return TRIB_OK;
}

void trib_relevance_free(struct trib_relevance *relevance)
{
    if (relevance) {
        trib_blob_unref(relevance->signs);
        trib_free(relevance->direction);
        trib_free(relevance->ties);
        trib_free(relevance->sample);
        trib_free(relevance);
    }
}

uint64_t trib_relevance_positions(const struct trib_relevance *relevance)
{
    return relevance->k;
}

bool trib_relevance_learns(const struct trib_relevance *relevance)
{
    return relevance->k > 0 && !relevance->majority;
}

double trib_relevance_error(const struct trib_relevance *relevance, double value)
{
    return trib_sketch_error(value, relevance->k, relevance->n);
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
        trib_sketch_sample(&plan, (const uint64_t *)(const void *)trib_blob_data(relevance->signs), relevance->sample);
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

struct trib_blob *trib_relevance_signs(const float *before, const float *after, size_t n)
{
    struct trib_blob *blob = trib_blob_new(trib_relevance_signs_len(n));
    uint64_t *signs = blob ? (uint64_t *)(void *)trib_blob_fill(blob) : NULL;
    for (size_t i = 0; signs && i <= n; i += 64) { /* one word more than is needed may be 0 */
        signs[i / 64] = i < n ? signs_of(before + i, after + i, n - i < 64 ? n - i : 64) : 0;
    }
    return blob;
}

void trib_relevance_learn(struct trib_relevance *relevance, struct trib_blob *signs)
{
    trib_blob_unref(relevance->signs);
    relevance->signs = signs;
    relevance->sampled_round = 0;
}
