/* q8, q4 and qsgd: every value next to its two levels, none clipped, the mean kept; groups of zeros, of subnormals, of
 * the largest floats; bytes and values that they must refuse. */
#include "../../../common/codec/pack.h"

#include "base/buf.h"

#include "test_chain.h"
#include "test_main.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static float values[TRIB_CODEC_BLOCK], back[TRIB_CODEC_BLOCK];

static double group_size(const float *group, size_t n, bool by_norm)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)group[i]));
    }
    return by_norm ? sqrt(test_squares(group, n)) : largest;
}

/* Decoded values are whole multiples of a step that is at most 2^-8 above size / levels, at most one step away, and
 * never beyond the last level. */
static void check(const char *chain, size_t group, size_t levels, bool by_norm, size_t n)
{
    size_t len = test_there_and_back(chain, n, values, back, n), groups = (n + group - 1) / group;
    unsigned bits = trib_bits_of((uint32_t)(2 * levels + 1));
    ck_assert_uint_eq(len, 2 + (by_norm ? 2 : 0) + 2 * groups + (n * bits + 7) / 8);
    for (size_t first = 0; first < n; first += group) {
        size_t count = n - first < group ? n - first : group;
        double size = group_size(values + first, count, by_norm), step = size / (double)levels;
        if (size == 0) {
            ck_assert(test_squares(back + first, count) == 0);
            continue;
        }
        for (size_t i = first; i < first + count; i++) {
            double off = fabs((double)back[i] - (double)values[i]), level = fabs((double)back[i]) / step;
            double whole = nearbyint(level / (1 + 0x1p-9)); /* the middle of what the step may be */
            if (off > step * (1 + 0x1p-8) || level > (double)levels * (1 + 0x1p-7) ||
                fabs(level - whole * (1 + 0x1p-9)) > whole * 0x1p-9 + 1e-4) {
                ck_abort_msg("%s, element %zu of %zu: %g became %g, step %g", chain, i, n, (double)values[i],
                             (double)back[i], step);
            }
        }
    }
}

START_TEST(next_to_the_value)
{
    const size_t lengths[] = {1, 15, 16, 17, 63, 64, 65, 1000, 4096, 65535, 65536};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t n = lengths[l];
        for (int kind = 0; kind < 3; kind++) {
            test_gaussian(l, values, n);
            for (size_t i = 0; i < n; i++) {
                float scale = kind == 0 ? 1 : ldexpf(1, (int)(i / 50 % 200) - 100); /* a size for each 50 values */
                values[i] = kind == 2 && i / 100 % 2 == 0 ? 0 : values[i] * scale;
            }
            check("q8", 128, 127, false, n);
            check("q4", 64, 7, false, n);
            check("q8:16", 16, 127, false, n);
            check("q4:300", 300, 7, false, n);
            check("q8:65536", 65536, 127, false, n);
            check("qsgd:1", 512, 1, true, n);
            check("qsgd:16,100", 100, 16, true, n);
            check("qsgd:32767,4096", 4096, 32767, true, n);
        }
    }
}
END_TEST

/* Over 4000 seeds the mean of an element is within 5 deviations of it: each of 1200 elements is wrong by chance once in
 * 1.7 million. The deviation of one draw is at most half a step. */
START_TEST(mean_is_kept)
{
    enum { N = 300, SEEDS = 4000 };
    static const struct {
        const char *chain;
        double step;
    } cases[] = {{"q8:300", 1.0 / 127}, {"q4:300", 1.0 / 7}, {"qsgd:3,300", 0}, {"grid:3,1", 2.0 / 7}};
    static double sums[N];
    test_gaussian(8, values, N);
    double largest = group_size(values, N, false);
    for (size_t i = 0; i < N; i++) {
        values[i] = (float)((double)values[i] / largest);
    }
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        double step = cases[c].step > 0 ? cases[c].step : sqrt(test_squares(values, N)) / 3;
        memset(sums, 0, sizeof sums);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            test_there_and_back(cases[c].chain, seed, values, back, N);
            for (size_t i = 0; i < N; i++) {
                sums[i] += (double)back[i];
            }
        }
        double worst = 0;
        for (size_t i = 0; i < N; i++) {
            double off = fabs(sums[i] / SEEDS - (double)values[i]) / (step * (1 + 0x1p-8) / 2 / sqrt(SEEDS));
            worst = off > worst ? off : worst;
        }
        ck_assert_msg(worst < 5, "%s: %g deviations", cases[c].chain, worst);
        ck_assert_msg(worst > 1, "%s: not rounded at random", cases[c].chain);
    }
}
END_TEST

/* Below the least step values are rounded to 0 or to it, and keep their mean too. */
START_TEST(subnormals)
{
    enum { N = 20000 };
    double sum = 0;
    for (size_t i = 0; i < N; i++) {
        values[i] = 0x1p-128F;
    }
    test_there_and_back("q8", 1, values, back, N);
    for (size_t i = 0; i < N; i++) {
        if (back[i] != 0 && back[i] != 0x1p-126F) {
            ck_abort_msg("%a", (double)back[i]);
        }
        sum += (double)back[i];
    }
    ck_assert_double_eq_tol(sum / N * 0x1p128, 1, 0.1);
    values[5] = 0x1p-149F;
    test_there_and_back("q4:16", 1, values + 5, back, 1);
    test_there_and_back("qsgd:5", 1, values + 5, back, 1);
}
END_TEST

START_TEST(largest_floats)
{
    static const char *const chains[] = {"q8", "q4", "qsgd:16"};
    struct test_coded coded;
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < 100; i++) {
            values[i] = i == 70 ? -FLT_MAX / 1.01F : FLT_MAX / 1000;
        }
        test_there_and_back(chains[c], 1, values, back, 100);
        ck_assert_float_eq_tol(back[70] / values[70], 1, c == 2 ? 0.07F : 0.005F);
        values[70] = FLT_MAX; /* the step is rounded up: no level of it may overflow */
        enum trib_status status = test_encode(chains[c], 1, values, 100, &coded);
        ck_assert(status == TRIB_NOT_FINITE || test_decode(&coded, 1, back, 100) == TRIB_OK);
        test_coded_clear(&coded);
    }
    for (size_t i = 0; i < 100; i++) {
        values[i] = FLT_MAX;
    }
    ck_assert_int_eq(test_encode("qsgd:16", 1, values, 100, &coded), TRIB_NOT_FINITE); /* the norm */
    test_coded_clear(&coded);
}
END_TEST

START_TEST(bad_arguments)
{
    static const char *const bad[] = {"q8:15", "q8:65537", "q8:x",       "q8:64,1",  "q4:0",
                                      "qsgd",  "qsgd:0",   "qsgd:32768", "qsgd:3,3", "qsgd:3,16,1"};
    struct trib_error error;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(test_chain_parse(bad[i], &error) == TRIB_INVALID, "%s", bad[i]);
        ck_assert_msg(strncmp(error.message, bad[i], 2) == 0, "%s", error.message);
    }
}
END_TEST

/* bytes[at] = low, high */
static enum trib_status decode_with(const struct test_coded *coded, size_t at, uint16_t bits)
{
    uint8_t kept[2] = {coded->bytes[at], coded->bytes[at + 1]};
    trib_store_u16(coded->bytes + at, bits);
    enum trib_status status = test_decode(coded, 1, back, 1000);
    memcpy(coded->bytes + at, kept, sizeof kept);
    return status;
}

START_TEST(bad_heads)
{
    static const char *const chains[] = {"q8", "q4", "qsgd:16"};
    struct test_coded coded;
    test_gaussian(1, values, 1000);
    for (size_t c = 0; c < 3; c++) {
        ck_assert_int_eq(test_encode(chains[c], 1, values, 1000, &coded), TRIB_OK);
        size_t steps = c == 2 ? 4 : 2;
        ck_assert_int_eq(decode_with(&coded, 0, 14), TRIB_CORRUPT); /* groups of 15 */
        ck_assert_int_eq(decode_with(&coded, 0, 15), TRIB_CORRUPT); /* more groups than there are bytes for */
        ck_assert_int_eq(decode_with(&coded, 0, 65535), TRIB_CORRUPT);
        ck_assert_int_eq(decode_with(&coded, steps, 0xff00), TRIB_NOT_FINITE); /* infinity */
        ck_assert_int_eq(decode_with(&coded, steps, 0xff80), TRIB_NOT_FINITE); /* nan */
        ck_assert_int_eq(decode_with(&coded, steps, 0xffff), TRIB_NOT_FINITE);
        ck_assert_int_eq(decode_with(&coded, steps, 0xfeff), TRIB_NOT_FINITE); /* a float, but its levels are not */
        ck_assert_int_eq(decode_with(&coded, steps, 0), TRIB_OK);
        if (c == 2) {
            ck_assert_int_eq(decode_with(&coded, 2, 0), TRIB_CORRUPT);
            ck_assert_int_eq(decode_with(&coded, 2, 32768), TRIB_CORRUPT);
            ck_assert_int_eq(decode_with(&coded, 2, 65535), TRIB_CORRUPT);
        }
        for (size_t len = coded.len; len-- > 0;) {
            coded.len = len;
            ck_assert_int_eq(test_decode(&coded, 1, back, 1000), TRIB_CORRUPT);
        }
        test_coded_clear(&coded);
    }
}
END_TEST

/* Which bytes every compiler and processor must give, of these quantisers and of lloyd and grid. */
START_TEST(same_bytes_everywhere)
{
    static const struct {
        const char *chain;
        uint64_t hash;
    } known[] = {
        {"q8", UINT64_C(0xd514e8b65c66475a)},        {"q4:100", UINT64_C(0xe4454f607da186ba)},
        {"qsgd:9,50", UINT64_C(0xa95d3793be30703a)}, {"grid:7,8", UINT64_C(0x3398fbbc174bd95f)},
        {"lloyd:1", UINT64_C(0x715089f7824cfa17)},   {"lloyd:2,unbiased", UINT64_C(0x450a574f7f2f1a6a)},
        {"lloyd:3", UINT64_C(0x3415a7d26b77e916)},   {"rotate|lloyd:4,unbiased", UINT64_C(0xfd601b92bb5236d6)},
    };
    for (size_t c = 0; c < sizeof known / sizeof known[0]; c++) {
        struct trib_rng rng = trib_rng_init(c, "bytes", 0, 0);
        struct test_coded coded;
        for (size_t i = 0; i < 6007; i++) { /* sums of uniforms, not normals: no libm */
            values[i] = trib_rng_uniform(&rng) + trib_rng_uniform(&rng) - trib_rng_uniform(&rng);
        }
        ck_assert_int_eq(test_encode(known[c].chain, 1, values, 6007, &coded), TRIB_OK);
        ck_assert_int_eq(test_decode(&coded, 1, back, 6007), TRIB_OK);
        uint64_t hash = trib_hash64(back, 6007 * sizeof *back, trib_hash64(coded.bytes, coded.len, 0));
        test_coded_clear(&coded);
        ck_assert_msg(hash == known[c].hash, "%s: 0x%016llx", known[c].chain, (unsigned long long)hash);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blockwise");
    TCase *tests = tcase_create("blockwise");
    tcase_add_test(tests, next_to_the_value);
    tcase_add_test(tests, mean_is_kept);
    tcase_add_test(tests, subnormals);
    tcase_add_test(tests, largest_floats);
    tcase_add_test(tests, bad_arguments);
    tcase_add_test(tests, bad_heads);
    tcase_add_test(tests, same_bytes_everywhere);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
