/* Rows are the chains that every conformance test of codecs goes through, each with what it promises; and vectors to
 * try them on. A stage that is listed but stands in no row gets one of its own. */
#ifndef CONFORM_CODEC_ROWS_H
#define CONFORM_CODEC_ROWS_H

#include "codec/chain.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include "test_frames.h"
#include "test_main.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row is what a chain promises for a Gaussian block of GAUSSIAN elements: the mean square error against the vector's
 * own (a little above what the theory or the format gives), and the bits a value. */
struct row {
    char text[TRIB_CHAIN_TEXT];
    double nmse, bits;
    float largest; /* magnitudes up to here can be carried */
};

static const struct row known_rows[] = {
    {"f32", 0, 32, FLT_MAX},
    {"f16", 1e-7, 16, 65504},
    {"bf16", 6e-6, 16, 3.38e38F},
    {"sign", 0.37, 1.01, 1e37F},
    {"rotate|sign", 0.37, 1.01, 1e35F},
    {"rotate|lloyd:1", 0.37, 1.01, 1e35F},
    {"rotate|lloyd:1,unbiased", 0.58, 1.01, 1e35F},
    {"rotate|lloyd:2", 0.12, 2.01, 1e35F},
    {"rotate|lloyd:3|range", 0.036, 2.84, 1e35F},
    {"rotate|lloyd:4,unbiased", 0.0098, 4.01, 1e35F},
    {"q8", 1.1e-4, 8.3, 1e37F},
    {"q8:64|range", 1.1e-4, 8.3, 1e37F},
    {"q4:32|zstd:1", 0.025, 4.7, 1e37F},
    {"rotate|q4", 0.03, 4.4, 1e35F},
    {"qsgd:15,256|range", 0.25, 2.3, 1e37F},
    {"grid:12,8", 12, 12.01, 8},
    {"rotate|grid:12,8|range", 12, 12, 8},
    {"uniform:8", 2e-4, 8.01, 1e35F},
    {"rotate|uniform:3", 0.04, 3.01, 1e35F},
    {"uniform:2.5bit|range", 0.048, 2.51, 1e35F},
    {"rotate|uniform:2|range", 0.096, 2.01, 1e35F},
    {"rotate|uniform:1,unbiased|range", 0.59, 1.01, 1e35F},
    {"rotate|uniform:0.2|range", 0.87, 0.21, 1e35F},
    {"rotate|trellis:2|range", 0.085, 2.01, 1e35F},
    {"rotate|trellis:1,unbiased|range", 0.5, 1.01, 1e35F},
    {"trellis:0.8bit|range", 0.40, 0.81, 1e35F},
    {"topk:10%|f32", 0.57, 6, FLT_MAX},
    {"topk:10%|q8|range", 0.57, 1.4, 1e37F},
    {"topk:1/50|f16|golomb", 0.87, 0.5, 65504},
    {"topk:2%|bf16|zstd", 0.87, 0.7, 3.3e38F},
    {"randk:25%|q8", 4, 2.2, 1e36F},
    {"randk:50%|grid:14,32", 3, 7.1, 8},
    {"ternary:1/100|golomb", 0.95, 0.12, 1e37F},
    {"ternary:5%|range", 0.8, 0.4, 1e37F},
    {"f32|range", 0, 32, FLT_MAX},
    {"f16|range", 1e-7, 16.1, 65504},
    {"f32|zstd", 0, 32.1, FLT_MAX},
};
enum { KNOWN_ROWS = sizeof known_rows / sizeof known_rows[0], GAUSSIAN = 32768, LARGE_BOUND = 8 };

static const size_t lengths[] = {1, 2, 3, 7, 8, 9, 31, 64, 100, 1000, TRIB_CODEC_BLOCK - 1, TRIB_CODEC_BLOCK};
enum { LENGTHS = sizeof lengths / sizeof lengths[0], SHORT_LENGTHS = 10, VECTORS = 7 };

/* A sanitizer makes all of this ten to twenty times slower, and sees of a code path that is run often what it has seen
 * of it before. Every chain, length and kind of vector stays; what is repeated with other random numbers is repeated
 * less. */
#ifdef TRIB_SANITIZED
enum { SANITIZED = 1, RARER = 4 };
#else
enum { SANITIZED = 0, RARER = 1 };
#endif

/* Vectors unlike each other: what updates look like, every magnitude, tiny ones, few non-zeros, extremes, nothing, one.
 */
static inline float *make_vector(int kind, size_t n, float largest)
{
    float *vector = calloc(n, sizeof *vector);
    ck_assert_ptr_nonnull(vector);
    struct trib_rng rng = trib_rng_init(17, "codec", (uint64_t)kind, n);
    const double scale = fmin(1, (double)largest / 16);
    const float extremes[] = {0.0F, -0.0F, largest, -largest, 0x1p-149F, -0x1p-149F, 0x1p-126F, 1.0F};
    for (size_t i = 0; i < n && kind < 5; i++) {
        double normal = trib_rng_normal(&rng);
        double exponent = -160 + 320 * trib_rng_uniform64(&rng);
        const double values[] = {normal * 1e-3, fmax(-(double)largest, fmin((double)largest, normal * exp2(exponent))),
                                 normal * 0x1p-24, trib_rng_below(&rng, 50) ? 0.0 : normal, (double)extremes[i % 8]};
        vector[i] = (float)(kind == 1 || kind == 4 ? values[kind] : values[kind] * scale);
    }
    if (kind == 6) {
        vector[n / 2] = (float)(-1.5 * scale);
    }
    return vector;
}

/* On the heap with nothing after it, so that a sanitizer sees every byte too far. */
static inline uint8_t *heap_copy(const uint8_t *from, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, from, len);
    return copy;
}

enum { SEED = 99, NUMBER = 0 };
static struct trib_chain_work *work;

static inline enum trib_status encode(const struct trib_chain *chain, uint64_t seed, const float *vector, size_t n,
                                      uint8_t *to, size_t capacity, size_t *len)
{
    struct trib_survey *survey;
    struct trib_error error;
    TRIB_TRY(trib_survey_new(chain, seed, vector, n, &survey, &error));
    enum trib_status status = trib_chain_encode_block(chain, survey, work, seed, NUMBER, vector, n, to, capacity, len);
    trib_survey_free(survey);
    return status;
}

static inline enum trib_status decode(const struct trib_chain *chain, uint64_t seed, const uint8_t *from, size_t len,
                                      float *to, size_t n)
{
    struct trib_chain names; /* a receiver knows the names alone */
    struct trib_error error;
    uint8_t ids[TRIB_CHAIN_STAGES];
    for (unsigned i = 0; i < chain->n; i++) {
        ids[i] = chain->uses[i].stage->id;
    }
    ck_assert_int_eq(trib_chain_from_ids(ids, chain->n, &names, &error), TRIB_OK);
    return trib_chain_decode_block(&names, work, seed, NUMBER, from, len, to, n);
}

/* ---- the rows: those above, and one for each stage that stands in none of them ---- */

static struct row rows[KNOWN_ROWS + UINT8_MAX + 1];
static size_t n_rows;

/* The stage with each argument that it requires, as near to LARGE_BOUND as its bounds allow, and what it needs around
 * it: a chain that parses. */
static inline bool derive_text(const struct trib_stage *stage, char text[TRIB_CHAIN_TEXT])
{
    static const struct {
        enum trib_stage_kind kind;
        const char *before, *after;
    } around[] = {
        {TRIB_STAGE_TRANSFORM, "", "|f32"},
        {TRIB_STAGE_SPARSIFY, "", "|f32"},
        {TRIB_STAGE_QUANTIZE, "", ""},
        {TRIB_STAGE_QUANTIZE, "", "|range"},
        {TRIB_STAGE_QUANTIZE, "rotate|", "|range"},
        {TRIB_STAGE_ENTROPY, "q8|", ""},
    };
    char args[TRIB_CHAIN_TEXT / 2] = "";
    for (unsigned i = 0; i < stage->n_args && !stage->args[i].optional; i++) {
        size_t at = strlen(args);
        if (stage->args[i].kind == TRIB_STAGE_ARG_SHARE) {
            (void)snprintf(args + at, sizeof args - at, "%s50%%", i == 0 ? ":" : ",");
        } else {
            (void)snprintf(args + at, sizeof args - at, "%s%g", i == 0 ? ":" : ",",
                           fmin(stage->args[i].most, fmax(stage->args[i].least, LARGE_BOUND)));
        }
    }
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        struct trib_chain chain;
        struct trib_error error;
        (void)snprintf(text, TRIB_CHAIN_TEXT, "%s%s%s%s", around[i].before, stage->name, args, around[i].after);
        if (around[i].kind == stage->kind && trib_chain_parse(text, &chain, &error) == TRIB_OK) {
            return true;
        }
    }
    return false;
}

static inline bool stands_in_a_row(const struct trib_stage *stage)
{
    for (size_t r = 0; r < n_rows; r++) {
        struct trib_chain chain = chain_of(rows[r].text);
        for (unsigned i = 0; i < chain.n; i++) {
            if (chain.uses[i].stage == stage) {
                return true;
            }
        }
    }
    return false;
}

/* A derived row promises nothing but that its chain keeps the contract. */
static inline void make_rows(void)
{
    const struct trib_stage *const *list;
    size_t n_stages = trib_stages(&list);
    memcpy(rows, known_rows, sizeof known_rows);
    n_rows = KNOWN_ROWS;
    for (size_t i = 0; i < n_stages; i++) {
        if (!stands_in_a_row(list[i])) {
            struct row *row = &rows[n_rows];
            n_rows += derive_text(list[i], row->text);
            row->nmse = row->bits = INFINITY;
            row->largest = LARGE_BOUND;
        }
    }
}

/* Runs the suite of tests that `add` makes. */
static inline int run_conform(const char *name, void (*add)(TCase *tests))
{
    trib_mem_tune_daemon(); /* or each work space would be mapped and unmapped anew */
    work = trib_chain_work_new();
    make_rows();
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create("conform");
    tcase_set_timeout(tests, 300);
    add(tests);
    suite_add_tcase(suite, tests);
    int failed = trib_test_run(suite);
    trib_chain_work_free(work);
    return failed;
}

#endif
