/* lloyd: its levels against their definition, its scales against theirs, its error and its mean; bytes and values that
 * it must refuse. */
#include "test_chain.h"
#include "test_main.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static float values[TRIB_CODEC_BLOCK], back[TRIB_CODEC_BLOCK];

/* For Gaussian values, by the integrals: in one block of 2^16, three standard errors are 1 to 2 % of each. */
static const struct {
    const char *biased, *unbiased;
    double nmse_biased, nmse_unbiased;
} expected[] = {
    {"lloyd:1", "lloyd:1,unbiased", 0.3634, 0.5708},
    {"lloyd:2", "lloyd:2,unbiased", 0.11748, 0.13312},
    {"lloyd:3", "lloyd:3,unbiased", 0.03455, 0.03578},
    {"lloyd:4", "lloyd:4,unbiased", 0.009501, 0.009592},
};

START_TEST(error_of_theory)
{
    test_gaussian(1, values, TRIB_CODEC_BLOCK);
    for (size_t bits = 1; bits <= 4; bits++) {
        size_t len = test_there_and_back(expected[bits - 1].biased, 1, values, back, TRIB_CODEC_BLOCK);
        ck_assert_uint_eq(len, TRIB_CODEC_BLOCK / 8 * bits + 1 + sizeof(float));
        ck_assert_double_eq_tol(test_nmse(values, back, TRIB_CODEC_BLOCK) / expected[bits - 1].nmse_biased, 1, 0.03);
        test_there_and_back(expected[bits - 1].unbiased, 1, values, back, TRIB_CODEC_BLOCK);
        ck_assert_double_eq_tol(test_nmse(values, back, TRIB_CODEC_BLOCK) / expected[bits - 1].nmse_unbiased, 1, 0.03);
    }
}
END_TEST

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

/* Whatever the values are: with the biased scale the error is orthogonal to what is decoded, y = S c, so that no other
 * scale is better; with the unbiased one <y, x> = |x|^2. And every value went to one of 2^BITS levels, the nearest. */
static void check_scales(size_t bits, size_t n)
{
    test_there_and_back(expected[bits - 1].unbiased, 1, values, back, n);
    ck_assert_double_eq_tol(dot(back, values, n) / test_squares(values, n), 1, 1e-5);
    test_there_and_back(expected[bits - 1].biased, 1, values, back, n);
    ck_assert_double_eq_tol(dot(back, values, n) / test_squares(back, n), 1, 1e-5);
    for (size_t i = 1; i < n; i++) { /* rounding keeps the order */
        bool ordered = values[i] >= values[i - 1] ? back[i] >= back[i - 1] : back[i] <= back[i - 1];
        if (!ordered || (values[i] != 0 && (values[i] > 0) != (back[i] > 0))) {
            ck_abort_msg("%zu bits, element %zu of %zu: %g became %g", bits, i, n, (double)values[i], (double)back[i]);
        }
    }
}

START_TEST(scales)
{
    const size_t lengths[] = {1, 2, 63, 64, 65, 1023, 1024, 1100, 40000};
    const double powers[] = {1, 1e-30, 1e30, 3e-41};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        for (size_t bits = 1; bits <= 4; bits++) {
            test_gaussian(l, values, lengths[l]);
            check_scales(bits, lengths[l]);
            for (size_t i = 0; i < lengths[l]; i++) { /* nothing like Gaussian */
                values[i] = values[i] * values[i] * values[i] + 0.1F;
            }
            check_scales(bits, lengths[l]);
        }
    }
    for (size_t p = 0; p < sizeof powers / sizeof powers[0]; p++) {
        test_gaussian(3, values, 1000);
        for (size_t i = 0; i < 1000; i++) {
            values[i] = (float)((double)values[i] * powers[p]);
        }
        test_there_and_back("lloyd:4", 1, values, back, 1000);
        /* among subnormals there are few floats left to choose from */
        ck_assert_msg(test_nmse(values, back, 1000) < (p == 3 ? 0.4 : 0.012), "%g: %g", powers[p],
                      test_nmse(values, back, 1000));
    }
}
END_TEST

/* The levels, as one sees them: of a value a deviation away from the mean of a block of one deviation. */
START_TEST(levels_of_theory)
{
    enum { N = 40000 };
    test_gaussian(7, values, N);
    for (size_t i = 0; i < 8; i++) {
        values[2 * i] = 0.3F * (float)i + 0.1F;
        values[2 * i + 1] = -values[2 * i];
    }
    const double levels[] = {0.1284, 0.3880, 0.6568, 0.9423, 1.2562, 1.6180, 2.0690, 2.7326};
    test_there_and_back("lloyd:4", 1, values, back, N);
    for (size_t i = 0; i < 16; i++) {
        double nearest = 10;
        for (size_t level = 0; level < 8; level++) {
            double off = fabs(levels[level] - fabs((double)back[i]));
            nearest = off < nearest ? off : nearest;
        }
        ck_assert_msg(nearest < 0.02, "%g became %g", (double)values[i], (double)back[i]);
        ck_assert_msg(fabs((double)values[i] - (double)back[i]) < 0.35, "%g became %g", (double)values[i],
                      (double)back[i]);
    }
}
END_TEST

/* Behind a rotation, over seeds: the sum over elements of (mean - x)^2, by |x|^2, is nmse / SEEDS when the mean is
 * right, within a few % for so many elements; the biased scale leaves its bias as well. */
START_TEST(unbiased_over_rotations)
{
    enum { N = 2000, SEEDS = 60 };
    static double mean[N];
    for (size_t i = 0; i < N; i++) {
        values[i] = i % 10 == 0 ? (float)i : 1; /* far from Gaussian */
    }
    for (size_t bits = 1; bits <= 4; bits++) {
        char chain[64];
        snprintf(chain, sizeof chain, "rotate|%s", expected[bits - 1].unbiased);
        memset(mean, 0, sizeof mean);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            test_there_and_back(chain, seed, values, back, N);
            for (size_t i = 0; i < N; i++) {
                mean[i] += (double)back[i] / SEEDS;
            }
        }
        double error = 0;
        for (size_t i = 0; i < N; i++) {
            error += (mean[i] - (double)values[i]) * (mean[i] - (double)values[i]);
        }
        error *= SEEDS / test_squares(values, N);
        ck_assert_msg(fabs(error / expected[bits - 1].nmse_unbiased - 1) < 0.25, "%s: %g", chain, error);
    }
}
END_TEST

START_TEST(nothing)
{
    memset(values, 0, sizeof values);
    for (size_t bits = 1; bits <= 4; bits++) {
        test_there_and_back(expected[bits - 1].biased, 1, values, back, 777);
        ck_assert(test_squares(back, 777) == 0);
        test_there_and_back(expected[bits - 1].unbiased, 1, values, back, 777);
        ck_assert(test_squares(back, 777) == 0);
    }
}
END_TEST

START_TEST(refused)
{
    static const char *const bad[] = {"lloyd", "lloyd:0", "lloyd:5", "lloyd:x", "lloyd:2,biased", "lloyd:2,unbiased,3"};
    struct trib_error error;
    struct test_coded coded;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(test_chain_parse(bad[i], &error) == TRIB_INVALID, "%s", bad[i]);
        ck_assert_msg(strstr(error.message, "lloyd"), "%s", error.message);
    }
    for (size_t i = 0; i < 100; i++) { /* a block that fits in itself, but not its levels */
        values[i] = i == 0 ? FLT_MAX : FLT_MAX / 2;
    }
    ck_assert_int_eq(test_encode("lloyd:4", 1, values, 100, &coded), TRIB_NOT_FINITE);
    test_coded_clear(&coded);

    test_gaussian(1, values, 100);
    const float scales[] = {NAN, INFINITY, -INFINITY, FLT_MAX};
    ck_assert_int_eq(test_encode("lloyd:2", 1, values, 100, &coded), TRIB_OK);
    for (size_t i = 0; i < 4; i++) {
        memcpy(coded.bytes + 1, &scales[i], sizeof scales[i]);
        ck_assert_int_eq(test_decode(&coded, 1, back, 100), TRIB_NOT_FINITE);
    }
    for (unsigned bits = 0; bits < 256; bits++) {
        coded.bytes[0] = (uint8_t)bits;
        ck_assert(bits == 2 || test_decode(&coded, 1, back, 100) == TRIB_CORRUPT);
    }
    coded.bytes[0] = 2;
    const float negative = -1;
    memcpy(coded.bytes + 1, &negative, sizeof negative);
    ck_assert_int_eq(test_decode(&coded, 1, back, 100), TRIB_CORRUPT);
    for (size_t len = coded.len; len-- > 0;) {
        coded.len = len;
        ck_assert_int_ne(test_decode(&coded, 1, back, 100), TRIB_OK);
    }
    test_coded_clear(&coded);
}
END_TEST

START_TEST(caps)
{
    struct trib_chain chain;
    struct trib_error error = {0};
    ck_assert_int_eq(trib_chain_parse("rotate|lloyd:2", &chain, &error), TRIB_OK);
    ck_assert_uint_eq(chain.caps, TRIB_CODEC_FEEDBACK | TRIB_CODEC_FIXED_LENGTH);
    ck_assert_int_eq(trib_chain_parse("rotate|lloyd:2,unbiased", &chain, &error), TRIB_OK);
    ck_assert_uint_eq(chain.caps, TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lloyd");
    TCase *tests = tcase_create("lloyd");
    tcase_add_test(tests, error_of_theory);
    tcase_add_test(tests, scales);
    tcase_add_test(tests, levels_of_theory);
    tcase_add_test(tests, unbiased_over_rotations);
    tcase_add_test(tests, nothing);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, caps);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
