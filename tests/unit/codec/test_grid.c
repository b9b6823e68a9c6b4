/* grid: its levels, sums of symbols, independent rounding under one seed, and what it refuses. That the mean is kept
 * stands in test_blockwise. */
#include "../../../common/codec/pack.h"

#include "base/buf.h"

#include "test_chain.h"
#include "test_main.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 5000, HEAD = 1 + sizeof(float) };

static float values[TRIB_CODEC_BLOCK], back[TRIB_CODEC_BLOCK];

static void fill(uint64_t seed, double range)
{
    struct trib_rng rng = trib_rng_init(seed, "grid", 0, 0);
    for (size_t i = 0; i < N; i++) {
        values[i] = (float)((2 * trib_rng_uniform64(&rng) - 1) * range);
    }
    values[0] = (float)range;
    values[1] = -values[0];
}

START_TEST(next_to_the_value)
{
    const double ranges[] = {1, 0.3, 1e-20, 1e20};
    for (unsigned bits = 1; bits <= 16; bits++) {
        for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
            char chain[40];
            snprintf(chain, sizeof chain, "grid:%u,%g", bits, ranges[r]);
            fill(bits, ranges[r]);
            double step = 2 * (double)values[0] / ((double)(1u << bits) - 1);
            ck_assert_uint_eq(test_there_and_back(chain, 1, values, back, N), HEAD + (N * bits + 7) / 8);
            for (size_t i = 0; i < N; i++) {
                double level = ((double)back[i] + (double)values[0]) / step;
                double off = fabs((double)back[i] - (double)values[i]);
                if (off > step * 1.001 || fabs(level - nearbyint(level)) > 0.02 || level < -0.02) {
                    ck_abort_msg("%s: %g became %g", chain, (double)values[i], (double)back[i]);
                }
            }
            ck_assert_float_eq_tol(back[0] / values[0], 1, 1e-6F); /* the ends are levels */
            ck_assert_float_eq_tol(back[1] / values[1], 1, 1e-6F);
        }
    }
}
END_TEST

/* What a secure sum does: symbols of clients who share a seed are added, and the sum decoded as (sum - n offset) step.
 * It is the sum of what each decodes to, and the errors, independent, grow as their root. */
START_TEST(sums_of_symbols)
{
    enum { CLIENTS = 16, BITS = 4 };
    static uint16_t symbols[N];
    static uint32_t sums[N];
    static double exact[N], decoded[N];
    const double range = 2, step = 2 * range / ((1 << BITS) - 1), offset = ((1 << BITS) - 1) / 2.0;
    for (unsigned client = 0; client < CLIENTS; client++) {
        struct test_coded coded;
        fill(7, range); /* much alike, too */
        for (size_t i = 2; i < N; i++) {
            values[i] = values[i] * 0.99F + 0.001F * (float)client;
            exact[i] += (double)values[i];
        }
        ck_assert_int_eq(test_encode("grid:4,2", 5, values, N, &coded), TRIB_OK);
        ck_assert_int_eq(test_decode(&coded, 5, back, N), TRIB_OK);
        ck_assert(trib_bits_unpack(coded.bytes + HEAD, N, 1 << BITS, symbols));
        test_coded_clear(&coded);
        for (size_t i = 2; i < N; i++) {
            sums[i] += symbols[i];
            decoded[i] += (double)back[i];
        }
    }
    double squares = 0;
    for (size_t i = 2; i < N; i++) {
        double sum = ((double)sums[i] - CLIENTS * offset) * step;
        if (fabs(sum - decoded[i]) > 1e-4) {
            ck_abort_msg("element %zu: %g, %g", i, sum, decoded[i]);
        }
        squares += (sum - exact[i]) * (sum - exact[i]) / N;
    }
    /* step^2 / 6 each, over values that lie anywhere between two levels */
    ck_assert_double_eq_tol(squares / (CLIENTS * step * step / 6), 1, 0.2);
}
END_TEST

START_TEST(beyond_its_range)
{
    struct test_coded coded;
    const float beyond[] = {nextafterf(2, 3), -2.1F, 1e30F, -FLT_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        for (size_t at = 0; at < N; at += 613) {
            fill(1, 2);
            values[at] = beyond[i];
            ck_assert_int_eq(test_encode("grid:8,2", 1, values, N, &coded), TRIB_NOT_FINITE);
            test_coded_clear(&coded);
        }
    }
}
END_TEST

START_TEST(refused)
{
    static const char *const bad[] = {"grid",      "grid:4",     "grid:0,1",    "grid:17,1", "grid:4,0",
                                      "grid:4,-1", "grid:4,nan", "grid:4,1e40", "grid:4,1,1"};
    struct trib_error error;
    struct test_coded coded;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(test_chain_parse(bad[i], &error) == TRIB_INVALID, "%s", bad[i]);
        ck_assert_msg(strncmp(error.message, "grid", 4) == 0, "%s", error.message);
    }
    fill(1, 2);
    ck_assert_int_eq(test_encode("grid:8,2", 1, values, N, &coded), TRIB_OK);
    const float steps[] = {NAN, INFINITY, FLT_MAX, 0, -1};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        memcpy(coded.bytes + 1, &steps[i], sizeof steps[i]);
        ck_assert_int_eq(test_decode(&coded, 1, back, N), i < 3 ? TRIB_NOT_FINITE : TRIB_CORRUPT);
    }
    const float one = 1;
    memcpy(coded.bytes + 1, &one, sizeof one);
    for (unsigned bits = 0; bits < 256; bits++) {
        coded.bytes[0] = (uint8_t)bits;
        ck_assert_int_eq(test_decode(&coded, 1, back, N), bits == 8 ? TRIB_OK : TRIB_CORRUPT);
    }
    for (size_t len = coded.len; len-- > 0;) {
        coded.len = len;
        ck_assert_int_eq(test_decode(&coded, 1, back, N), TRIB_CORRUPT);
    }
    test_coded_clear(&coded);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grid");
    TCase *tests = tcase_create("grid");
    tcase_add_test(tests, next_to_the_value);
    tcase_add_test(tests, sums_of_symbols);
    tcase_add_test(tests, beyond_its_range);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
