/* Every listed stage keeps the contract of codec/stage.h, in every chain below. A stage that stands in no chain fails,
 * and so does a chain that errs more than its row says. */
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

/* What each chain promises for a Gaussian block of GAUSSIAN elements: the mean square error against the vector's own
 * (a little above what the theory or the format gives), and the bits a value. */
static const struct {
    const char *text;
    double nmse, bits;
    float largest; /* magnitudes up to here can be carried */
} rows[] = {
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
enum { ROWS = sizeof rows / sizeof rows[0], GAUSSIAN = 32768, LARGE_BOUND = 8 };

static const size_t lengths[] = {1, 2, 3, 7, 8, 9, 31, 64, 100, 1000, TRIB_CODEC_BLOCK - 1, TRIB_CODEC_BLOCK};
enum { LENGTHS = sizeof lengths / sizeof lengths[0], SHORT_LENGTHS = 10, VECTORS = 7 };

/* Vectors unlike each other: what updates look like, every magnitude, tiny ones, few non-zeros, extremes, nothing, one.
 */
static float *make_vector(int kind, size_t n, float largest)
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
static uint8_t *heap_copy(const uint8_t *from, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, from, len);
    return copy;
}

enum { SEED = 99, NUMBER = 0 };
static struct trib_chain_work *work;

static enum trib_status encode(const struct trib_chain *chain, uint64_t seed, const float *vector, size_t n,
                               uint8_t *to, size_t capacity, size_t *len)
{
    struct trib_survey *survey;
    struct trib_error error;
    TRIB_TRY(trib_survey_new(chain, seed, vector, n, &survey, &error));
    enum trib_status status = trib_chain_encode_block(chain, survey, work, seed, NUMBER, vector, n, to, capacity, len);
    trib_survey_free(survey);
    return status;
}

static enum trib_status decode(const struct trib_chain *chain, uint64_t seed, const uint8_t *from, size_t len,
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

/* ---- the tables ---- */

START_TEST(stage_is_complete)
{
    const struct trib_stage *const *list;
    ck_assert_uint_lt((size_t)_i, trib_stages(&list));
    const struct trib_stage *stage = list[_i];
    ck_assert_ptr_nonnull(stage->name);
    ck_assert_ptr_nonnull(stage->help);
    ck_assert_msg(trib_str_starts_with(stage->usage, stage->name), "%s: usage \"%s\"", stage->name, stage->usage);
    ck_assert(stage->width > 0 ? stage->pack && stage->unpack && !stage->encode : stage->encode && stage->open);
    ck_assert(stage->width > 0 || stage->kind == TRIB_STAGE_ENTROPY || stage->decode);
    ck_assert(stage->parse || !strchr(stage->usage, ':'));
    ck_assert_uint_ne(stage->id, 0); /* 0 fills the unused places in a frame */
    ck_assert_ptr_eq(trib_stage_find(stage->name), stage);
    ck_assert_ptr_eq(trib_stage_by_id(stage->id), stage);
    bool used = false;
    for (size_t r = 0; r < ROWS; r++) {
        struct trib_chain chain = chain_of(rows[r].text);
        for (unsigned i = 0; i < chain.n; i++) {
            used = used || chain.uses[i].stage == stage;
        }
    }
    ck_assert_msg(used, "stage %s stands in no row: add a chain with it", stage->name);
}
END_TEST

START_TEST(unknown_names_and_ids)
{
    ck_assert_ptr_null(trib_stage_find("f64"));
    ck_assert_ptr_null(trib_stage_find(""));
    ck_assert_ptr_null(trib_stage_find(NULL));
    ck_assert_ptr_null(trib_stage_by_id(0));
    ck_assert_ptr_null(trib_stage_by_id(255));
    const struct trib_stage *const *list;
    size_t n = trib_stages(&list), ids = 0;
    for (unsigned id = 0; id <= UINT8_MAX; id++) {
        ids += trib_stage_by_id((uint8_t)id) ? 1 : 0;
    }
    ck_assert_uint_eq(ids, n);
}
END_TEST

/* ---- there and back ---- */

static void check_one(size_t row, const float *vector, size_t n)
{
    struct trib_chain chain = chain_of(rows[row].text);
    size_t bound = trib_chain_bound(n), len = 0, again_len = 0;
    uint8_t *first = malloc(bound), *second = malloc(bound);
    float *decoded = malloc(n * sizeof *decoded);
    memset(first, 0xaa, bound);
    memset(second, 0x55, bound);
    enum trib_status status = encode(&chain, SEED, vector, n, first, bound, &len);
    ck_assert_msg(status == TRIB_OK, "%s: %zu elements: %s", chain.text, n, trib_status_name(status));
    ck_assert_uint_le(len, bound);
    ck_assert_int_eq(encode(&chain, SEED, vector, n, second, bound, &again_len), TRIB_OK);
    ck_assert_uint_eq(len, again_len);
    ck_assert_mem_eq(first, second, len);

    uint8_t *exact = heap_copy(first, len);
    status = decode(&chain, SEED, exact, len, decoded, n);
    ck_assert_msg(status == TRIB_OK, "%s: %zu elements decoded: %s", chain.text, n, trib_status_name(status));
    if (chain.caps & TRIB_CODEC_LOSSLESS) {
        ck_assert_mem_eq(decoded, vector, n * sizeof *vector);
    }
    /* one byte short: as little as the encoding needs is enough, less is refused */
    size_t short_len = 12345;
    uint8_t *small = malloc(len > 0 ? len : 1);
    ck_assert_int_eq(encode(&chain, SEED, vector, n, small, len, &short_len), TRIB_OK);
    short_len = 12345;
    free(small);
    small = malloc(len > 1 ? len - 1 : 1);
    ck_assert_int_eq(encode(&chain, SEED, vector, n, small, len - 1, &short_len), TRIB_LIMIT);
    ck_assert_uint_eq(short_len, 12345);
    free(small);
    free(exact);
    free(decoded);
    free(first);
    free(second);
}

START_TEST(round_trip)
{
    for (size_t l = 0; l < LENGTHS; l++) {
        for (int kind = 0; kind < VECTORS; kind++) {
            float *vector = make_vector(kind, lengths[l], rows[_i].largest / LARGE_BOUND);
            check_one((size_t)_i, vector, lengths[l]);
            free(vector);
        }
    }
}
END_TEST

START_TEST(error_and_size_are_as_promised)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    static float decoded[GAUSSIAN];
    float *vector = make_vector(0, GAUSSIAN, 16);
    size_t bound = trib_chain_bound(GAUSSIAN), len = 0;
    uint8_t *coded = malloc(bound);
    double error = 0, energy = 0;
    ck_assert_int_eq(encode(&chain, SEED, vector, GAUSSIAN, coded, bound, &len), TRIB_OK);
    ck_assert_int_eq(decode(&chain, SEED, coded, len, decoded, GAUSSIAN), TRIB_OK);
    for (size_t i = 0; i < GAUSSIAN; i++) {
        double difference = (double)decoded[i] - (double)vector[i];
        error += difference * difference;
        energy += (double)vector[i] * (double)vector[i];
    }
    double bits = (double)len * 8 / GAUSSIAN;
    ck_assert_msg(error / energy <= rows[_i].nmse, "%s: NMSE %g", chain.text, error / energy);
    ck_assert_msg(bits <= rows[_i].bits, "%s: %g bits a value", chain.text, bits);
    free(coded);
    free(vector);
}
END_TEST

START_TEST(same_length_where_claimed)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    if (!(chain.caps & TRIB_CODEC_FIXED_LENGTH)) {
        return;
    }
    for (size_t l = 0; l < SHORT_LENGTHS; l++) {
        size_t lens[VECTORS], bound = trib_chain_bound(lengths[l]);
        uint8_t *coded = malloc(bound);
        for (int kind = 0; kind < VECTORS; kind++) {
            float *vector = make_vector(kind, lengths[l], rows[_i].largest / LARGE_BOUND);
            ck_assert_int_eq(encode(&chain, SEED, vector, lengths[l], coded, bound, &lens[kind]), TRIB_OK);
            ck_assert_uint_eq(lens[kind], lens[0]);
            free(vector);
        }
        free(coded);
    }
}
END_TEST

/* ---- what is not to be carried ---- */

START_TEST(non_finite_refused)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t l = 0; l < 8; l++) {
        size_t n = lengths[l], bound = trib_chain_bound(n);
        uint8_t *coded = malloc(bound);
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
            for (size_t at = 0; at < n; at += 1 + at / 4) {
                float *vector = make_vector(0, n, 16);
                vector[at] = bad[b];
                size_t len = 12345;
                ck_assert_int_eq(
                    trib_chain_encode_block(&chain, NULL, work, SEED, NUMBER, vector, n, coded, bound, &len),
                    TRIB_NOT_FINITE);
                ck_assert_uint_eq(len, 12345);
                free(vector);
            }
        }
        free(coded);
    }
}
END_TEST

START_TEST(wrong_length_refused)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    const size_t n = 300;
    float *vector = make_vector(0, n, 16);
    size_t capacity = trib_chain_bound(n), len = 0;
    uint8_t *coded = calloc(capacity + 70, 1);
    float *decoded = malloc(n * sizeof *decoded);
    ck_assert_int_eq(encode(&chain, SEED, vector, n, coded, capacity, &len), TRIB_OK);
    for (size_t wrong = 0; wrong < len + 70; wrong++) {
        uint8_t *exact = heap_copy(coded, wrong);
        enum trib_status status = decode(&chain, SEED, exact, wrong, decoded, n);
        bool right = wrong == len ? status == TRIB_OK : status == TRIB_CORRUPT || status == TRIB_NOT_FINITE;
        ck_assert_msg(right, "%s: %zu bytes for %zu: %s", chain.text, wrong, len, trib_status_name(status));
        free(exact);
    }
    free(decoded);
    free(coded);
    free(vector);
}
END_TEST

static void check_answer(enum trib_status status, const float *decoded, size_t n)
{
    bool sound = status == TRIB_OK || status == TRIB_CORRUPT || status == TRIB_NOT_FINITE;
    for (size_t i = 0; i < n && status == TRIB_OK; i++) {
        sound = sound && isfinite(decoded[i]);
    }
    ck_assert(sound);
}

/* Any bytes at any alignment, and sound ones with some changed: an answer, and never a value that is not finite. */
START_TEST(any_bytes)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    struct trib_rng rng = trib_rng_init(3, "bytes", (uint64_t)_i, 0);
    enum { N = 150, MOST = 4 * N + 64 };
    float decoded[N], *vector = make_vector(0, N, 16);
    uint8_t *sound = malloc(trib_chain_bound(N));
    size_t sound_len = 0;
    int refused = 0;
    ck_assert_int_eq(encode(&chain, SEED, vector, N, sound, trib_chain_bound(N), &sound_len), TRIB_OK);
    for (int round = 0; round < 2400; round++) {
        size_t shift = trib_rng_below(&rng, 8);
        bool changed = round % 3 != 0;
        size_t len = changed ? sound_len : 1 + trib_rng_below(&rng, MOST);
        uint8_t *bytes = malloc(len + shift);
        unsigned mask = round % 2 ? 0xff : 0x3f; /* the second kind has no exponents of all ones */
        for (size_t i = 0; i < len; i++) {
            bytes[shift + i] = changed ? sound[i] : (uint8_t)(trib_rng_u32(&rng) & mask);
        }
        for (int change = 0; changed && change <= round % 4; change++) {
            bytes[shift + trib_rng_below(&rng, round % 2 ? len : (len < 24 ? len : 24))] ^= (uint8_t)(1 << round % 8);
        }
        enum trib_status status = decode(&chain, SEED, bytes + shift, len, decoded, N);
        check_answer(status, decoded, N);
        refused += status != TRIB_OK;
        free(bytes);
    }
    ck_assert_int_gt(refused, 0);
    free(sound);
    free(vector);
}
END_TEST

/* ---- claims ---- */

enum { BIAS_N = 512, BIAS_SEEDS = 400, DIRECTIONS = 8 };

/* E[decode(encode(x))] = x over seeds: the decoded vectors' mean is compared with x along x itself and along random
 * directions. Each comparison is a t-test at 5.5 standard errors: a false alarm in 4e-8 of them, in 1e-6 of the runs of
 * this program, if the seeds were drawn anew; they are not, so it cannot alarm today and not tomorrow. */
START_TEST(unbiased_where_claimed)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    if (!(chain.caps & TRIB_CODEC_UNBIASED)) {
        return;
    }
    float *vector = make_vector(0, BIAS_N, 16), decoded[BIAS_N];
    static float directions[DIRECTIONS + 1][BIAS_N];
    struct trib_rng rng = trib_rng_init(5, "directions", 0, 0);
    for (int d = 0; d <= DIRECTIONS; d++) {
        for (size_t i = 0; i < BIAS_N; i++) {
            directions[d][i] = d == 0 ? vector[i] * 1e3F : (float)trib_rng_normal(&rng);
        }
    }
    uint8_t *coded = malloc(trib_chain_bound(BIAS_N));
    double sums[DIRECTIONS + 1] = {0}, squares[DIRECTIONS + 1] = {0};
    for (uint64_t seed = 1; seed <= BIAS_SEEDS; seed++) {
        size_t len = 0;
        ck_assert_int_eq(encode(&chain, seed, vector, BIAS_N, coded, trib_chain_bound(BIAS_N), &len), TRIB_OK);
        ck_assert_int_eq(decode(&chain, seed, coded, len, decoded, BIAS_N), TRIB_OK);
        for (int d = 0; d <= DIRECTIONS; d++) {
            double along = 0;
            for (size_t i = 0; i < BIAS_N; i++) {
                along += (double)directions[d][i] * ((double)decoded[i] - (double)vector[i]);
            }
            sums[d] += along;
            squares[d] += along * along;
        }
    }
    for (int d = 0; d <= DIRECTIONS; d++) {
        double mean = sums[d] / BIAS_SEEDS, variance = squares[d] / BIAS_SEEDS - mean * mean;
        double allowed = 5.5 * sqrt(fmax(variance, 0) / BIAS_SEEDS) + 1e-6;
        ck_assert_msg(fabs(mean) <= allowed, "%s: direction %d: bias %g, allowed %g", chain.text, d, mean, allowed);
    }
    free(coded);
    free(vector);
}
END_TEST

/* One vector's symbols through the stages, without the bytes. */
static size_t to_symbols(const struct trib_chain *chain, struct trib_block *block, struct trib_writer *heads,
                         const float *vector)
{
    memcpy(block->values, vector, block->n * sizeof *vector);
    block->n_values = block->n;
    heads->len = 0;
    for (unsigned i = 0; i < chain->n && chain->uses[i].stage->kind != TRIB_STAGE_ENTROPY; i++) {
        ck_assert_int_eq(chain->uses[i].stage->encode(&chain->uses[i], NULL, block, heads), TRIB_OK);
    }
    return block->n_symbols;
}

static void from_symbols(const struct trib_chain *chain, struct trib_block *block, const struct trib_writer *heads,
                         const uint16_t *symbols, float *to)
{
    union trib_stage_memory memories[TRIB_CHAIN_STAGES];
    struct trib_reader in = {.data = heads->data, .len = heads->len};
    unsigned n = chain->n - (chain->uses[chain->n - 1].stage->kind == TRIB_STAGE_ENTROPY);
    block->n_values = block->n;
    for (unsigned i = 0; i < n; i++) {
        ck_assert_int_eq(chain->uses[i].stage->open(block, &in, &memories[i]), TRIB_OK);
    }
    memcpy(block->symbols, symbols, block->n_symbols * sizeof *symbols);
    for (unsigned i = n; i-- > 0;) {
        ck_assert_int_eq(chain->uses[i].stage->decode(block, &memories[i]), TRIB_OK);
    }
    memcpy(to, block->values, block->n * sizeof *to);
}

/* Decoding is affine in the symbols: what the symbols of two vectors give, counted from what zeros give, is also what
 * their sums give. */
START_TEST(additive_where_claimed)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    if (!(chain.caps & TRIB_CODEC_ADDITIVE)) {
        return;
    }
    enum { N = 1000 };
    _Alignas(64) static float values[TRIB_CODEC_BLOCK], scratch[TRIB_CODEC_BLOCK], decoded[4][N];
    static uint32_t positions[TRIB_CODEC_BLOCK];
    static uint16_t symbols[TRIB_CODEC_BLOCK], kept[4][N];
    uint8_t bytes[4096];
    struct trib_writer heads = {.data = bytes, .capacity = sizeof bytes};
    struct trib_block block = {
        .seed = SEED, .n = N, .values = values, .positions = positions, .symbols = symbols, .scratch = scratch};
    for (int v = 0; v < 2; v++) {
        float *vector = make_vector(0, N + (size_t)v, 16);
        size_t n = to_symbols(&chain, &block, &heads, vector);
        memcpy(kept[v], symbols, n * sizeof *symbols);
        from_symbols(&chain, &block, &heads, kept[v], decoded[v]);
        free(vector);
    }
    for (size_t i = 0; i < block.n_symbols; i++) {
        kept[2][i] = (uint16_t)(kept[0][i] + kept[1][i]);
    }
    from_symbols(&chain, &block, &heads, kept[2], decoded[2]);
    from_symbols(&chain, &block, &heads, kept[3], decoded[3]); /* zeros */
    double worst = 0;
    for (size_t i = 0; i < N; i++) {
        double sum = (double)decoded[0][i] + (double)decoded[1][i] - (double)decoded[3][i];
        worst = fmax(worst, fabs(sum - (double)decoded[2][i]));
    }
    ck_assert_msg(worst <= 1e-4, "%s: %g off", chain.text, worst);
}
END_TEST

int main(void)
{
    const struct trib_stage *const *list;
    trib_mem_tune_daemon(); /* or each work space would be mapped and unmapped anew */
    work = trib_chain_work_new();
    Suite *suite = suite_create("codecs");
    TCase *tests = tcase_create("conform");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, unknown_names_and_ids);
    tcase_add_loop_test(tests, stage_is_complete, 0, (int)trib_stages(&list));
    tcase_add_loop_test(tests, round_trip, 0, ROWS);
    tcase_add_loop_test(tests, error_and_size_are_as_promised, 0, ROWS);
    tcase_add_loop_test(tests, same_length_where_claimed, 0, ROWS);
    tcase_add_loop_test(tests, non_finite_refused, 0, ROWS);
    tcase_add_loop_test(tests, wrong_length_refused, 0, ROWS);
    tcase_add_loop_test(tests, any_bytes, 0, ROWS);
    tcase_add_loop_test(tests, unbiased_where_claimed, 0, ROWS);
    tcase_add_loop_test(tests, additive_where_claimed, 0, ROWS);
    suite_add_tcase(suite, tests);
    int failed = trib_test_run(suite);
    trib_chain_work_free(work);
    return failed;
}
