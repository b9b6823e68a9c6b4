/* The rotation: its inverse, lengths and angles, what it makes of blocks that are nothing like Gaussian, and its bits,
 * which are part of the frame's format. */
#include "../../../common/codec/hadamard.h"

#include "base/rng.h"

#include "test_chain.h"
#include "test_main.h"

#include <float.h>
#include <math.h>
#include <string.h>

static float values[TRIB_CODEC_BLOCK], before[TRIB_CODEC_BLOCK];
static const size_t lengths[] = {1,   2,   3,   4,    5,    7,    16,   100,   255,   256,   257,
                                 511, 512, 768, 1000, 4095, 4096, 5000, 32768, 40000, 65535, 65536};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

START_TEST(comes_back)
{
    for (size_t l = 0; l < N_LENGTHS; l++) {
        size_t n = lengths[l];
        test_gaussian(l, before, n);
        memcpy(values, before, sizeof values);
        float behind = n < TRIB_CODEC_BLOCK ? values[n] : 0;
        trib_hadamard_rotate(5, l, values, n);
        ck_assert_msg(fabs(test_squares(values, n) / test_squares(before, n) - 1) < 1e-6, "%zu: the norm changed", n);
        ck_assert_msg(n < 3 || test_nmse(before, values, n) > 0.1, "%zu: not rotated", n);
        trib_hadamard_restore(5, l, values, n);
        ck_assert_msg(test_nmse(before, values, n) < 1e-12, "%zu: %g off", n, test_nmse(before, values, n));
        ck_assert(n == TRIB_CODEC_BLOCK || values[n] == behind);
    }
}
END_TEST

/* The images of the unit vectors are orthonormal. */
START_TEST(orthonormal)
{
    static float image[100][100];
    for (size_t n = 1; n <= 100; n += n < 20 ? 1 : 16) {
        for (size_t i = 0; i < n; i++) {
            memset(image[i], 0, sizeof image[i]);
            image[i][i] = 1;
            trib_hadamard_rotate(1, 1, image[i], n);
        }
        for (size_t i = 0; i < n * n; i++) {
            double dot = 0;
            for (size_t k = 0; k < n; k++) {
                dot += (double)image[i / n][k] * (double)image[i % n][k];
            }
            ck_assert_msg(fabs(dot - (i / n == i % n ? 1 : 0)) < 1e-6, "%zu: <%zu, %zu> = %g", n, i / n, i % n, dot);
        }
    }
}
END_TEST

/* ---- anything becomes Gaussian ---- */

/* Normal values have kurtosis 3, and few beyond 1.96 deviations: 5 %. The bounds are 5 standard errors of n draws and
 * more. Each quarter of the block holds its share of the energy. */
static void check_gaussian(const char *what, size_t n)
{
    trib_hadamard_rotate(9, n, values, n);
    double squares = test_squares(values, n), fourth = 0, quarter[4] = {0};
    size_t beyond = 0;
    for (size_t i = 0; i < n; i++) {
        double square = (double)values[i] * (double)values[i] / squares * (double)n;
        fourth += square * square / (double)n;
        beyond += square > 1.96 * 1.96;
        quarter[i * 4 / n] += square / (double)n;
    }
    double error = 1 / sqrt((double)n);
    ck_assert_msg(fabs(fourth - 3) < 25 * error, "%s, %zu: kurtosis %g", what, n, fourth);
    ck_assert_msg(fabs((double)beyond / (double)n - 0.05) < 1.1 * error, "%s, %zu: %zu beyond", what, n, beyond);
    for (size_t q = 0; q < 4; q++) {
        ck_assert_msg(fabs(quarter[q] - 0.25) < 0.01 + 5 * error, "%s, %zu: quarter %zu has %g of the energy", what, n,
                      q, quarter[q]);
    }
}

START_TEST(looks_gaussian)
{
    const size_t sizes[] = {4096, 5000, 6144, 8191, 49152, 65535, 65536};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        for (size_t place = 0; place < 3; place++) {
            memset(values, 0, sizeof values);
            values[place * (n - 1) / 2] = 7;
            check_gaussian("one value", n);
        }
        memset(values, 0, sizeof values);
        values[0] = 1;
        values[n - 1] = 0.9F;
        check_gaussian("two values", n);
        memset(values, 0, sizeof values);
        values[17] = values[17 + 256] = 1;
        check_gaussian("two values that differ in one bit of their place", n);
        for (size_t i = 0; i < n; i++) {
            values[i] = -3;
        }
        check_gaussian("equal values", n);
        for (size_t i = 0; i < n; i++) {
            values[i] = i < n / 2 ? 1000 : i % 2 ? 1e-3F : -1e-3F;
        }
        check_gaussian("half large, half small", n);
    }
}
END_TEST

/* Why two rounds: after one, the sign of a sum of two patterns is the sign of the larger, and the other value would be
 * lost from every frame, whatever the seed. 1 bit a value; the mean over seeds must keep both. */
START_TEST(few_values_keep_their_mean)
{
    enum { N = 1024, SEEDS = 200 };
    double mean[2] = {0};
    memset(before, 0, sizeof before);
    before[3] = 1;
    before[700] = 0.9F;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        test_there_and_back("rotate|lloyd:1,unbiased", seed, before, values, N);
        mean[0] += (double)values[3] / SEEDS;
        mean[1] += (double)values[700] / SEEDS;
    }
    ck_assert_msg(fabs(mean[0] - 1) < 0.05 && fabs(mean[1] - 0.9) < 0.05, "%g and %g", mean[0], mean[1]);
}
END_TEST

/* ---- bits ---- */

START_TEST(seeds_and_numbers_differ)
{
    static float other[TRIB_CODEC_BLOCK];
    for (size_t l = N_LENGTHS - 5; l < N_LENGTHS; l++) {
        for (uint64_t step = 0; step < 2; step++) {
            test_gaussian(1, values, lengths[l]);
            test_gaussian(1, other, lengths[l]);
            trib_hadamard_rotate(1, 1, values, lengths[l]);
            trib_hadamard_rotate(1 + step, 2 - step, other, lengths[l]);
            double nmse = test_nmse(values, other, lengths[l]);
            ck_assert_msg(fabs(nmse - 2) < 0.2, "%zu: not independent, %g", lengths[l], nmse);
        }
    }
}
END_TEST

/* What every compiler and processor must give, so that frames of one are decoded by another. */
START_TEST(same_bits_everywhere)
{
    const size_t sizes[] = {1, 3, 200, 6000, 65535, 65536};
    const uint64_t known[] = {UINT64_C(0xd6f652a5c489a707), UINT64_C(0xf3a8468a3b1d63c7), UINT64_C(0x141e61f173d7f8fd),
                              UINT64_C(0x1088f59f999d700f), UINT64_C(0x3e715aab2c24302a), UINT64_C(0xfa35eda17e9f8819)};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct trib_rng rng = trib_rng_init(s, "bits", 0, 0);
        for (size_t i = 0; i < sizes[s]; i++) {
            values[i] = trib_rng_uniform(&rng) - 0.5F;
        }
        trib_hadamard_rotate(s, 4, values, sizes[s]);
        uint64_t hash = trib_hash64(values, sizes[s] * sizeof *values, 0);
        trib_hadamard_restore(s, 4, values, sizes[s]);
        hash = trib_hash64(values, sizes[s] * sizeof *values, hash);
        ck_assert_msg(hash == known[s], "%zu: 0x%016llx", sizes[s], (unsigned long long)hash);
    }
}
END_TEST

/* Norms that are no float are refused by the quantiser behind, large ones that are one are not. */
START_TEST(large_values)
{
    static const char *const chains[] = {"rotate|sign",   "rotate|lloyd:2", "rotate|q8",
                                         "rotate|qsgd:4", "rotate|f16",     "rotate|grid:4,1"};
    struct test_coded coded;
    for (size_t c = 0; c < sizeof chains / sizeof chains[0]; c++) {
        for (size_t n = 6000; n <= TRIB_CODEC_BLOCK; n += TRIB_CODEC_BLOCK - 6000) {
            for (size_t i = 0; i < n; i++) {
                before[i] = i % 3 ? FLT_MAX : -FLT_MAX;
            }
            ck_assert_int_eq(test_encode(chains[c], 1, before, n, &coded), TRIB_NOT_FINITE);
            test_coded_clear(&coded);
        }
    }
    memset(before, 0, sizeof before);
    before[1] = FLT_MAX / 2;
    test_there_and_back("rotate|lloyd:4", 1, before, values, TRIB_CODEC_BLOCK);
    ck_assert_float_eq_tol(values[1] / before[1], 1, 0.02F);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rotate");
    TCase *tests = tcase_create("rotate");
    tcase_add_test(tests, comes_back);
    tcase_add_test(tests, orthonormal);
    tcase_add_test(tests, looks_gaussian);
    tcase_add_test(tests, few_values_keep_their_mean);
    tcase_add_test(tests, seeds_and_numbers_differ);
    tcase_add_test(tests, same_bits_everywhere);
    tcase_add_test(tests, large_values);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
