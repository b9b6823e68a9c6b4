/* topk, randk and ternary: against naive choices, at their edges, with bytes that no encoder writes; the warm-up. */
#include "codec/feedback.h"
#include "codec/frame.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEED = 11 };

/* The oracle: sort positions by magnitude, ties by position; keep k; drop zeros. */
static const float *sorted_by;

static int by_magnitude(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    float p = fabsf(sorted_by[x]), q = fabsf(sorted_by[y]);
    return p > q ? -1 : p < q ? 1 : x < y ? -1 : 1;
}

static size_t keep_naively(const float *vector, size_t n, double share, float *kept)
{
    size_t k = (size_t)ceil(share * (double)n), found = 0;
    uint32_t *order = trib_calloc(n, sizeof *order);
    ck_assert_ptr_nonnull(order);
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    sorted_by = vector;
    qsort(order, n, sizeof *order, by_magnitude);
    memset(kept, 0, n * sizeof *kept);
    for (size_t i = 0; i < k; i++) {
        kept[order[i]] = vector[order[i]];
        found += vector[order[i]] != 0;
    }
    trib_free(order);
    return found;
}

enum shape { NORMAL, FEW_LEVELS, ALL_EQUAL, SUBNORMAL, HUGE_AND_TINY, SHAPES };

static void fill(float *vector, size_t n, enum shape shape, uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "sparse", shape, n);
    for (size_t i = 0; i < n; i++) {
        double normal = trib_rng_normal(&rng);
        switch (shape) {
        case NORMAL:
            vector[i] = (float)(normal * 1e-3);
            break;
        case FEW_LEVELS:
            vector[i] = (float)round(normal) + 0.0f; /* no -0 */
            break;
        case ALL_EQUAL:
            vector[i] = normal > 0 ? 0.5f : -0.5f;
            break;
        case SUBNORMAL:
            vector[i] = (float)(normal * 1e-42);
            break;
        default:
            vector[i] = (float)ldexp(normal, (int)trib_rng_below(&rng, 240) - 120);
            break;
        }
    }
}

static void check_topk(size_t n, enum shape shape, const char *share, double number)
{
    float *vector = trib_calloc(3 * n, sizeof *vector), *back = vector + n, *oracle = back + n;
    char codec[64];
    ck_assert_ptr_nonnull(vector);
    fill(vector, n, shape, SEED);
    size_t found = keep_naively(vector, n, number, oracle);
    snprintf(codec, sizeof codec, "topk:%s|f32", share);
    there_and_back(codec, SEED, vector, back, n);
    ck_assert_msg(memcmp(back, oracle, n * sizeof *back) == 0, "%s of %zu, shape %d", codec, n, shape);
    snprintf(codec, sizeof codec, "ternary:%s", share);
    there_and_back(codec, SEED, vector, back, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += fabs((double)oracle[i]);
    }
    double mu = found == 0 ? 0 : sum / (double)found, worst = 0;
    for (size_t i = 0; i < n; i++) {
        double wanted = oracle[i] > 0 ? mu : oracle[i] < 0 ? -mu : 0;
        worst = fmax(worst, fabs((double)back[i] - wanted));
    }
    ck_assert_double_le(worst, 1e-6 * mu + 1e-45);
    trib_free(vector);
}

START_TEST(the_largest_are_kept_exactly)
{
    static const size_t sizes[] = {1, 7, 63, 64, 65, 1000, TRIB_CODEC_BLOCK, TRIB_CODEC_BLOCK + 1, 150000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (enum shape shape = NORMAL; shape < SHAPES; shape++) {
            check_topk(sizes[i], shape, "1%", 0.01);
            check_topk(sizes[i], shape, "1/400", 1.0 / 400);
            check_topk(sizes[i], shape, "0.3", 0.3);
        }
    }
    check_topk(70000, NORMAL, "0.9", 0.9);
    check_topk(70000, FEW_LEVELS, "90%", 0.9);
    check_topk(70000, FEW_LEVELS, "0.000001", 0.000001);
}
END_TEST

START_TEST(blocks_without_a_kept_value_cost_next_to_nothing)
{
    enum { BLOCKS = 8, N = BLOCKS * TRIB_CODEC_BLOCK };
    static const char *const codecs[] = {"topk:1/4000|f32", "ternary:1/4000", "topk:1/4000|sign"};
    float *vector = trib_calloc(2 * (size_t)N, sizeof *vector), *back = vector + N;
    ck_assert_ptr_nonnull(vector);
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        memset(vector, 0, N * sizeof *vector);
        size_t silent = there_and_back(codecs[i], SEED, vector, back, N);
        ck_assert_uint_le(silent, 72 + 4 * BLOCKS + 64 + 4 + BLOCKS * 6);
        ck_assert_mem_eq(back, vector, N * sizeof *back);
        for (size_t at = 0; at < 200; at++) { /* more than a share of them, but all that are not zero */
            vector[3 * TRIB_CODEC_BLOCK + at * 7] = 1 + (float)at;
        }
        size_t spoken = there_and_back(codecs[i], SEED, vector, back, N);
        ck_assert_uint_le(spoken, silent + (size_t)(N / 4000 + 1) * 6 + 8);
    }
    trib_free(vector);
}
END_TEST

/* ---- randk ---- */

static size_t count_kept(const float *back, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        kept += back[i] != 0;
    }
    return kept;
}

START_TEST(random_elements_are_scaled_and_both_sides_know_them)
{
    enum { N = TRIB_CODEC_BLOCK + 1000 };
    static const struct {
        const char *codec;
        size_t kept;
        float scale;
    } cases[] = {{"randk:1%|f32", 656 + 10, 100}, {"randk:0.75|f32", 49152 + 750, 4.0f / 3}, {"randk:1|f32", N, 1}};
    float *vector = trib_calloc(3 * (size_t)N, sizeof *vector), *back = vector + N, *again = back + N;
    ck_assert_ptr_nonnull(vector);
    for (size_t i = 0; i < N; i++) {
        vector[i] = (float)(i + 1);
    }
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t len = there_and_back(cases[c].codec, SEED, vector, back, N);
        ck_assert_uint_eq(count_kept(back, N), cases[c].kept);
        ck_assert_uint_eq(len, 128 + cases[c].kept * sizeof(float) + 4 + 4 + (c == 2)); /* no positions */
        double worst = 0;
        for (size_t i = 0; i < N; i++) {
            double ratio = (double)back[i] / (double)vector[i] / cases[c].scale;
            worst = back[i] == 0 ? worst : fmax(worst, fabs(ratio - 1));
        }
        ck_assert_double_le(worst, 2e-3); /* ceil(k) is a little above the share */
        there_and_back(cases[c].codec, SEED, vector, again, N);
        ck_assert_mem_eq(again, back, N * sizeof *back);
        there_and_back(cases[c].codec, SEED + 1, vector, again, N);
        ck_assert(c == 2 || memcmp(again, back, N * sizeof *back) != 0);
    }
    trib_free(vector);
}
END_TEST

/* Each element is kept with probability p = k/n: over T seeds its count is binomial. With 6 standard deviations and 2 *
 * N counts this fails by chance once in about 10^6 sets of seeds; the seeds are fixed. */
START_TEST(random_elements_are_unbiased)
{
    enum { N = 200, SEEDS = 2000 };
    static const char *const codecs[] = {"randk:10%|f32", "randk:70%|f32"};
    static const double shares[] = {0.1, 0.7};
    float vector[N], back[N];
    uint8_t bytes[TRIB_CODEC_BLOCK];
    struct trib_chain_work *work = trib_chain_work_new();
    ck_assert_ptr_nonnull(work);
    for (size_t c = 0; c < 2; c++) {
        struct trib_chain chain = chain_of(codecs[c]);
        unsigned counts[N] = {0};
        double sums[N] = {0};
        fill(vector, N, NORMAL, SEED);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            size_t len;
            ck_assert_int_eq(trib_chain_encode_block(&chain, NULL, work, seed, 0, vector, N, bytes, sizeof bytes, &len),
                             TRIB_OK);
            ck_assert_int_eq(trib_chain_decode_block(&chain, work, seed, 0, bytes, len, back, N), TRIB_OK);
            for (size_t i = 0; i < N; i++) {
                counts[i] += back[i] != 0;
                sums[i] += (double)back[i];
            }
        }
        double p = shares[c], deviation = sqrt(SEEDS * p * (1 - p));
        for (size_t i = 0; i < N; i++) {
            ck_assert_double_le(fabs(counts[i] - SEEDS * p), 6 * deviation);
            ck_assert_double_le(fabs(sums[i] - SEEDS * (double)vector[i]),
                                6 * deviation / p * fabs((double)vector[i]) + 1e-6);
        }
    }
    trib_chain_work_free(work);
}
END_TEST

START_TEST(random_elements_add_up)
{
    enum { N = 3000 };
    float a[N], b[N], both[N], back_a[N], back_b[N], back[N];
    fill(a, N, NORMAL, 1);
    fill(b, N, NORMAL, 2);
    for (size_t i = 0; i < N; i++) {
        both[i] = a[i] + b[i];
    }
    there_and_back("randk:1/8|f32", SEED, a, back_a, N);
    there_and_back("randk:1/8|f32", SEED, b, back_b, N);
    there_and_back("randk:1/8|f32", SEED, both, back, N);
    for (size_t i = 0; i < N; i++) {
        ck_assert_float_eq_tol(back[i], back_a[i] + back_b[i], 1e-8f);
    }
}
END_TEST

/* ---- refusals ---- */

static void refused(const char *text, enum trib_status status, const char *word)
{
    struct trib_chain chain;
    struct trib_error error = {.message = ""};
    ck_assert_msg(trib_chain_parse(text, &chain, &error) == status, "%s: %s", text, error.message);
    ck_assert_msg(strstr(error.message, word), "%s: %s", text, error.message);
}

START_TEST(shares_are_read_with_care)
{
    static const char *const bad[] = {
        "",    ":",     ":0",   ":0%", ":101%", ":1.5", ":-1%",  ":1/0",    ":2/1",
        ":1/", ":/400", ":1%%", ":x",  ":nan",  ":inf", ":1%,2", ":1/400%", ":00000000000000000000000000000000000001%"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[80];
        snprintf(text, sizeof text, "topk%s|f32", bad[i]);
        refused(text, TRIB_INVALID, "topk:SHARE");
        snprintf(text, sizeof text, "randk%s|f32", bad[i]);
        refused(text, TRIB_INVALID, "randk:SHARE");
        snprintf(text, sizeof text, "ternary%s", bad[i]);
        refused(text, TRIB_INVALID, "ternary:SHARE");
    }
    struct trib_chain chain = chain_of("topk : 1 % | f16");
    ck_assert_double_eq(chain.uses[0].args[0], 0.01);
    ck_assert_uint_eq(chain.caps & TRIB_CODEC_FEEDBACK, TRIB_CODEC_FEEDBACK);
    chain = chain_of("randk:1/400|f32");
    ck_assert_double_eq(chain.uses[0].args[0], 1.0 / 400);
    ck_assert_uint_eq(chain.caps & TRIB_CODEC_FEEDBACK, 0);
}
END_TEST

START_TEST(ternary_stands_alone)
{
    float vector[100];
    refused("topk:10%|ternary:5%", TRIB_INVALID, "ternary: picks the largest values itself");
    refused("rotate|ternary:5%", TRIB_INVALID, "ternary: picks the largest values itself");
    const uint8_t ids[] = {trib_stage_find("topk")->id, trib_stage_find("ternary")->id};
    struct trib_chain chain;
    ck_assert_int_eq(trib_chain_from_ids(ids, 2, &chain, NULL), TRIB_OK);
    struct trib_chain_work *work = trib_chain_work_new();
    static const uint8_t bytes[] = {1, 0, 1, 0, 0, 0, 0x80, 0x3f, 0, 0, 1};
    ck_assert_int_eq(trib_chain_decode_block(&chain, work, SEED, 0, bytes, sizeof bytes, vector, 100), TRIB_CORRUPT);
    trib_chain_work_free(work);
}
END_TEST

/* A good block, every cut of it, and every count in its place. */
static void maul(const char *codec, const float *values, size_t n)
{
    struct trib_chain chain = chain_of(codec);
    struct trib_chain_work *work = trib_chain_work_new();
    size_t capacity = trib_chain_bound(n), len = 0;
    uint8_t *bytes = trib_calloc(capacity, 1);
    float *back = trib_calloc(n, sizeof *back);
    struct trib_survey *survey = NULL;
    ck_assert(work && bytes && back);
    ck_assert_int_eq(trib_survey_new(&chain, SEED, values, n, &survey, NULL), TRIB_OK);
    ck_assert_int_eq(trib_chain_encode_block(&chain, survey, work, SEED, 0, values, n, bytes, capacity, &len), TRIB_OK);
    size_t exact = 0;
    ck_assert_int_eq(trib_chain_encode_block(&chain, survey, work, SEED, 0, values, n, bytes, len - 1, &exact),
                     TRIB_LIMIT);
    ck_assert_int_eq(trib_chain_encode_block(&chain, survey, work, SEED, 0, values, n, bytes, len, &exact), TRIB_OK);
    ck_assert_int_eq(trib_chain_decode_block(&chain, work, SEED, 0, bytes, len, back, n), TRIB_OK);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = trib_malloc(cut);
        memcpy(part, bytes, cut);
        ck_assert_int_ne(trib_chain_decode_block(&chain, work, SEED, 0, part, cut, back, n), TRIB_OK);
        trib_free(part);
    }
    for (unsigned wrong = 0; wrong < 0x10000; wrong++) { /* every count */
        trib_store_u16(bytes, (uint16_t)wrong);
        enum trib_status status = trib_chain_decode_block(&chain, work, SEED, 0, bytes, len, back, n);
        bool typed = status == TRIB_OK || status == TRIB_CORRUPT || status == TRIB_NOT_FINITE;
        ck_assert_msg(typed && (wrong <= n || status == TRIB_CORRUPT), "count %u: %s", wrong, trib_status_name(status));
    }
    trib_survey_free(survey);
    trib_free(bytes);
    trib_free(back);
    trib_chain_work_free(work);
}

START_TEST(mauled_blocks_are_refused)
{
    float values[300];
    fill(values, 300, NORMAL, SEED);
    maul("topk:10%|f32", values, 300);
    maul("randk:10%|f32", values, 300);
    maul("ternary:10%", values, 300);
}
END_TEST

START_TEST(what_no_encoder_writes_is_refused)
{
    struct trib_chain topk = chain_of("topk:1|f16"), ternary = chain_of("ternary:1");
    struct trib_chain_work *work = trib_chain_work_new();
    float back[100];
    ck_assert_ptr_nonnull(work);
    static const struct {
        bool ternary;
        uint8_t bytes[10];
        size_t len;
        enum trib_status status;
    } cases[] = {
        {false, {2, 0, 5, 0, 9, 0, 0, 0x3c, 0, 0x3c}, 10, TRIB_OK},
        {false, {2, 0, 9, 0, 5, 0, 0, 0x3c, 0, 0x3c}, 10, TRIB_CORRUPT},   /* do not ascend */
        {false, {2, 0, 5, 0, 5, 0, 0, 0x3c, 0, 0x3c}, 10, TRIB_CORRUPT},   /* twice the same */
        {false, {2, 0, 5, 0, 100, 0, 0, 0x3c, 0, 0x3c}, 10, TRIB_CORRUPT}, /* beyond the block */
        {false, {2, 0, 5, 0, 9, 0, 0, 0x7c, 0, 0x3c}, 10, TRIB_NOT_FINITE},
        {false, {101, 0}, 2, TRIB_CORRUPT},
        {false, {0xff, 0xff, 1}, 3, TRIB_CORRUPT},
        {false, {0, 0}, 2, TRIB_OK},
        {false, {0, 0, 0}, 3, TRIB_CORRUPT},
        {true, {1, 0, 0, 0, 0x80, 0x3f, 7, 0, 1}, 9, TRIB_OK},
        {true, {1, 0, 0, 0, 0x80, 0x7f, 7, 0, 1}, 9, TRIB_NOT_FINITE},
        {true, {1, 0, 0, 0, 0x80, 0x3f, 7, 0, 2}, 9, TRIB_CORRUPT},
        {true, {1, 0, 0, 0, 0x80, 0x3f, 100, 0, 1}, 9, TRIB_CORRUPT},
        {true, {1, 0, 0, 0, 0x80}, 5, TRIB_CORRUPT},
        {true, {0, 0}, 2, TRIB_OK},
        {true, {101, 0}, 2, TRIB_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum trib_status status = trib_chain_decode_block(cases[i].ternary ? &ternary : &topk, work, SEED, 0,
                                                          cases[i].bytes, cases[i].len, back, 100);
        ck_assert_msg(status == cases[i].status, "case %zu: %s", i, trib_status_name(status));
    }
    trib_chain_work_free(work);
}
END_TEST

START_TEST(a_count_of_a_whole_block_fits)
{
    float *values = trib_calloc(2 * (size_t)TRIB_CODEC_BLOCK, sizeof *values);
    ck_assert_ptr_nonnull(values);
    float *back = values + TRIB_CODEC_BLOCK;
    fill(values, TRIB_CODEC_BLOCK, ALL_EQUAL, SEED);
    for (size_t zeros = 0; zeros < 3; zeros++) { /* 65536, 65535, 65534 values */
        values[zeros * 5] = zeros > 0 ? 0 : values[0];
        there_and_back("topk:1|f16", SEED, values, back, TRIB_CODEC_BLOCK);
        ck_assert_mem_eq(back, values, TRIB_CODEC_BLOCK * sizeof *back);
        there_and_back("ternary:1", SEED, values, back, TRIB_CODEC_BLOCK);
        ck_assert_mem_eq(back, values, TRIB_CODEC_BLOCK * sizeof *back);
    }
    trib_free(values);
}
END_TEST

/* ---- the warm-up ---- */

START_TEST(the_share_falls_by_quarters)
{
    static const double shares[] = {0.25, 0.0625, 0.015625, 0.00390625, 0.001, 0.001};
    for (uint64_t round = 1; round <= 6; round++) {
        ck_assert_double_eq(trib_warmup_share(0.001, round, 4), shares[round - 1]);
    }
    ck_assert_double_eq(trib_warmup_share(0.02, 3, 4), 0.02);
    ck_assert_double_eq(trib_warmup_share(0.02, 1, 0), 0.02);
    ck_assert_double_eq(trib_warmup_share(0.001, 10, 40), 0.25);
    ck_assert_double_eq(trib_warmup_share(0.001, 11, 40), 0.0625);
    ck_assert_double_eq(trib_warmup_share(0.001, UINT64_MAX, UINT64_MAX), 0.00390625);
    double before = 1;
    for (uint64_t round = 1; round <= 12; round++) {
        double share = trib_warmup_share(0.001, round, 10);
        ck_assert_double_le(share, before);
        before = share;
    }
}
END_TEST

START_TEST(a_chain_is_rewritten_for_its_round)
{
    struct trib_chain chain = chain_of("topk:1/400|sign"), made;
    ck_assert_int_eq(trib_chain_at_round(&chain, 1, 4, &made, NULL), TRIB_OK);
    ck_assert_str_eq(made.text, "topk:0.25|sign");
    ck_assert_double_eq(made.uses[0].args[0], 0.25);
    ck_assert(trib_chain_same_stages(&made, &chain));
    ck_assert_int_eq(trib_chain_at_round(&chain, 5, 4, &made, NULL), TRIB_OK);
    ck_assert_str_eq(made.text, "topk:1/400|sign");
    chain = chain_of("ternary:0.1%");
    ck_assert_int_eq(trib_chain_at_round(&chain, 4, 4, &made, NULL), TRIB_OK);
    ck_assert_str_eq(made.text, "ternary:0.00390625");
    chain = chain_of("f16");
    ck_assert_int_eq(trib_chain_at_round(&chain, 1, 4, &made, NULL), TRIB_OK);
    ck_assert_str_eq(made.text, "f16");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sparse");
    TCase *tests = tcase_create("sparse");
    tcase_add_test(tests, the_largest_are_kept_exactly);
    tcase_add_test(tests, blocks_without_a_kept_value_cost_next_to_nothing);
    tcase_add_test(tests, random_elements_are_scaled_and_both_sides_know_them);
    tcase_add_test(tests, random_elements_are_unbiased);
    tcase_add_test(tests, random_elements_add_up);
    tcase_add_test(tests, shares_are_read_with_care);
    tcase_add_test(tests, ternary_stands_alone);
    tcase_add_test(tests, mauled_blocks_are_refused);
    tcase_add_test(tests, what_no_encoder_writes_is_refused);
    tcase_add_test(tests, a_count_of_a_whole_block_fits);
    tcase_add_test(tests, the_share_falls_by_quarters);
    tcase_add_test(tests, a_chain_is_rewritten_for_its_round);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
