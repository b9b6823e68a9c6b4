/* uniform: rates and errors that are promised, with and without rotation and entropy coder; no bias where none is
 * claimed; vectors of odd kinds; bytes that no encoder writes. */
#include "codec/frame.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const uint8_t schema[TRIB_FRAME_HASH_LEN] = {5};

/* Bits that a value takes, all told; the error as a share of the vector. */
static double bits_of(const char *codec, const float *vector, size_t n, double *error)
{
    float *back = trib_malloc_aligned(n, sizeof *back);
    ck_assert_ptr_nonnull(back);
    double bits = 8.0 * (double)there_and_back(codec, 1, vector, back, n) / (double)n;
    *error = nmse(vector, back, n);
    trib_free(back);
    return bits;
}

/* As Vargaftik et al. (2022) compute for entropy-coded uniform quantisation, and a few per cent for heads. */
START_TEST(rates)
{
    const size_t n = 3 * TRIB_CODEC_BLOCK;
    const struct {
        double bits, biased, unbiased;
    } known[] = {{0.5, 0.6173, 1.613}, {1, 0.3484, 0.5347}, {2, 0.08896, 0.09764}, {4, 0.00556, 0.00559}};
    float *vector = normal_values(n, 1);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char codec[64];
        double error;
        (void)snprintf(codec, sizeof codec, "rotate|uniform:%gbit|range", known[i].bits);
        double bits = bits_of(codec, vector, n, &error);
        ck_assert_msg(bits <= known[i].bits * 1.003 && bits > known[i].bits * 0.99, "%s: %f bits", codec, bits);
        ck_assert_msg(error < known[i].biased * 1.03, "%s: error %f", codec, error);
        (void)snprintf(codec, sizeof codec, "rotate|uniform:%g,unbiased|range", known[i].bits);
        bits = bits_of(codec, vector, n, &error);
        ck_assert_msg(bits <= known[i].bits * 1.003 && bits > known[i].bits * 0.99, "%s: %f bits", codec, bits);
        ck_assert_msg(error < known[i].unbiased * 1.04, "%s: error %f", codec, error);
    }
    trib_free(vector);
}
END_TEST

/* Heavy tails, and blocks of different variance. */
START_TEST(without_rotation)
{
    const size_t n = 3 * TRIB_CODEC_BLOCK + 1000;
    const double rates[] = {0.3, 1, 3};
    float *vector = normal_values(n, 2);
    for (size_t i = 0; i < n; i++) {
        vector[i] *= fabsf(vector[i]) * (i / 3000 % 2 ? 1 : 0.1F) * (float)(1 + i / TRIB_CODEC_BLOCK);
    }
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        const char *before[] = {"", "", "rotate|"}, *after[] = {"", ",unbiased", ""};
        double errors[3];
        for (size_t f = 0; f < 3; f++) {
            char codec[64];
            (void)snprintf(codec, sizeof codec, "%suniform:%g%s|range", before[f], rates[i], after[f]);
            double bits = bits_of(codec, vector, n, &errors[f]);
            ck_assert_msg(bits <= rates[i] && bits > rates[i] * 0.98, "%s: %f bits", codec, bits);
        }
        ck_assert_msg(errors[0] < errors[1] && errors[0] < errors[2], "%g bits: %f %f %f", rates[i], errors[0],
                      errors[1], errors[2]);
    }
    trib_free(vector);
}
END_TEST

/* Max's (1960) errors, for whole bits; a byte of each block's 12 to 19 is beyond them. */
START_TEST(without_coder)
{
    const double errors[] = {0, 0.3634, 0.1188, 0.03744, 0.01154, 0.003495, 0.00104, 0.000304, 0.0000875};
    float *vector = normal_values(TRIB_CODEC_BLOCK, 3);
    for (unsigned bits = 1; bits <= 8; bits++) {
        char codec[32];
        double error;
        (void)snprintf(codec, sizeof codec, "uniform:%u", bits);
        double sent = bits_of(codec, vector, TRIB_CODEC_BLOCK, &error);
        ck_assert_msg(sent < bits + 0.025, "%s: %f bits", codec, sent);
        ck_assert_msg(error < errors[bits] * 1.03, "%s: error %g", codec, error);
    }
    trib_free(vector);
}
END_TEST

/* The mean of many draws is the vector, up to what is left of the error: a fifth above error / draws is more than seven
 * of its standard deviations, sqrt(2 / N). */
static void check_unbiased(const char *codec)
{
    enum { N = 3000, DRAWS = 40 };
    float *vector = normal_values(N, 6), back[N], means[N];
    double sums[N] = {0}, error = 0;
    for (unsigned draw = 0; draw < DRAWS; draw++) {
        (void)there_and_back(codec, draw, vector, back, N);
        error += nmse(vector, back, N) / DRAWS;
        for (size_t i = 0; i < N; i++) {
            sums[i] += (double)back[i] / DRAWS;
        }
    }
    for (size_t i = 0; i < N; i++) {
        means[i] = (float)sums[i];
    }
    ck_assert_msg(nmse(vector, means, N) < 1.2 * error / DRAWS, "%s: %g of %g", codec, nmse(vector, means, N),
                  error / DRAWS);
    trib_free(vector);
}

START_TEST(unbiased)
{
    check_unbiased("rotate|uniform:0.3,unbiased|range");
    check_unbiased("rotate|uniform:2,unbiased|range");
    check_unbiased("uniform:1,unbiased|range");
    check_unbiased("uniform:3,unbiased|range");
    check_unbiased("uniform:1,unbiased");
    check_unbiased("uniform:4,unbiased");
    check_unbiased("rotate|uniform:2,unbiased");
}
END_TEST

/* A block of tiny variance is not dropped where that would be a bias, and costs little where it would not. */
START_TEST(different_variances)
{
    const size_t n = 3 * TRIB_CODEC_BLOCK;
    float *vector = normal_values(n, 4), *back = normal_values(n, 5);
    for (size_t i = 0; i < n; i++) {
        vector[i] *= i < TRIB_CODEC_BLOCK ? 1 : i < 2 * TRIB_CODEC_BLOCK ? 1e-2F : 1e-6F;
    }
    (void)there_and_back("rotate|uniform:1,unbiased|range", 1, vector, back, n);
    for (size_t block = 0; block < 3; block++) {
        double dot = 0, energy = 0;
        for (size_t i = block * TRIB_CODEC_BLOCK; i < (block + 1) * TRIB_CODEC_BLOCK; i++) {
            dot += (double)vector[i] * (double)back[i];
            energy += (double)vector[i] * (double)vector[i];
        }
        ck_assert_double_eq_tol(dot / energy, 1, 0.01);
    }
    /* almost 3 bits for each value of the first block alone */
    (void)there_and_back("rotate|uniform:1|range", 1, vector, back, n);
    ck_assert_msg(nmse(vector, back, n) < 0.026, "error %f", nmse(vector, back, n));
    trib_free(vector);
    trib_free(back);
}
END_TEST

START_TEST(odd_vectors)
{
    enum { N = 3000 };
    const char *codecs[] = {
        "uniform:2|range", "rotate|uniform:2|range", "rotate|uniform:0.1,unbiased|range", "uniform:8,unbiased|range",
        "uniform:1",       "uniform:3,unbiased"};
    float *vector = normal_values(N, 7), *back = normal_values(N, 8);
    const size_t lengths[] = {1, 2, 15, 17, 1000, N};
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            size_t n = lengths[l];
            float same[N] = {0};
            (void)there_and_back(codecs[c], 1, vector, back, n);
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert(nmse(same, back, n) == 0);
            for (size_t i = 0; i < n; i++) {
                same[i] = -7;
            }
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert_msg(c != 0 || nmse(same, back, n) < 1e-4, "%s, %zu", codecs[c], n);
            for (size_t i = 0; i < n; i++) {
                same[i] = i % 7 == 0 ? 1e-41F : -3e-42F;
            }
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert_msg(c > 1 || nmse(same, back, n) < 0.6, "%s, %zu: %f", codecs[c], n, nmse(same, back, n));
            for (size_t i = 0; i < n; i++) {
                same[i] = i == n / 2 ? -1e36F : 0;
            }
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert_msg(c != 0 || nmse(same, back, n) < 1e-4, "%s, %zu", codecs[c], n);
        }
    }
    trib_free(vector);
    trib_free(back);
}
END_TEST

START_TEST(beyond_floats)
{
    const float vector[2] = {3.4e38F, -3.4e38F};
    struct trib_blob *frame = NULL;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "uniform:2", 1, schema, vector, 2, &frame, NULL), TRIB_NOT_FINITE);
}
END_TEST

START_TEST(arguments)
{
    struct trib_chain chain;
    struct trib_error error;
    const char *good[] = {"uniform:2", "uniform:0.1|range", "uniform:2.5bit,unbiased|range",
                          "rotate|uniform:8bit|zstd"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(trib_chain_parse(good[i], &chain, &error) == TRIB_OK, "%s: %s", good[i], error.message);
        bool unbiased = strstr(good[i], "unbiased");
        ck_assert_int_eq((chain.caps & TRIB_CODEC_UNBIASED) != 0, unbiased);
        ck_assert_int_eq((chain.caps & TRIB_CODEC_FEEDBACK) != 0, !unbiased);
    }
    const char *bad[] = {"uniform",          "uniform:0.05|range", "uniform:9|range",
                         "uniform:2,biased", "uniform:nan",        "uniform:2.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(trib_chain_parse(bad[i], &chain, &error) == TRIB_INVALID, "%s", bad[i]);
    }
    ck_assert_str_eq(error.message,
                     "uniform: 2.5 bits are a rate for an entropy coder: add |range, or give whole bits");
}
END_TEST

/* ---- bytes ---- */

static enum trib_status decode(const uint8_t *bytes, size_t len, float to[4])
{
    const uint8_t ids[] = {11};
    struct trib_chain chain;
    ck_assert_int_eq(trib_chain_from_ids(ids, 1, &chain, NULL), TRIB_OK);
    struct trib_chain_work *work = trib_chain_work_new();
    ck_assert_ptr_nonnull(work);
    enum trib_status status = trib_chain_decode_block(&chain, work, 1, 0, bytes, len, to, 4);
    trib_chain_work_free(work);
    return status;
}

/* Four symbols, 2 bits each: 0, 1, 2, 2. */
static size_t make_block(uint8_t *bytes, float scale, uint16_t alphabet)
{
    memcpy(bytes, &scale, sizeof scale);
    trib_store_u16(bytes + 4, alphabet);
    bytes[6] = 64; /* half a step beyond */
    bytes[7] = 0xa4;
    return 8;
}

START_TEST(heads)
{
    uint8_t bytes[9];
    float to[4];
    ck_assert_int_eq(decode(bytes, make_block(bytes, 2, 3), to), TRIB_OK);
    ck_assert(to[0] == -3 && to[1] == 0 && to[2] == 3 && to[3] == 3);
    for (size_t len = 0; len < sizeof bytes; len++) {
        ck_assert_int_eq(decode(bytes, len, to), len == 8 ? TRIB_OK : TRIB_CORRUPT);
    }
    ck_assert_int_eq(decode(bytes, make_block(bytes, 2, 0), to), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, 2, UINT16_MAX), to), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, 0, 3), to), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, -2, 3), to), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, NAN, 3), to), TRIB_NOT_FINITE);
    ck_assert_int_eq(decode(bytes, make_block(bytes, -INFINITY, 3), to), TRIB_NOT_FINITE);
    ck_assert_int_eq(decode(bytes, make_block(bytes, 3e38F, 3), to), TRIB_NOT_FINITE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uniform");
    TCase *tests = tcase_create("uniform");
    tcase_add_test(tests, rates);
    tcase_add_test(tests, without_rotation);
    tcase_add_test(tests, without_coder);
    tcase_add_test(tests, unbiased);
    tcase_add_test(tests, different_variances);
    tcase_add_test(tests, odd_vectors);
    tcase_add_test(tests, beyond_floats);
    tcase_add_test(tests, arguments);
    tcase_add_test(tests, heads);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
