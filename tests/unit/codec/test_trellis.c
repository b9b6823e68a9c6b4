/* trellis: the search against all sequences there are, the way back, the rates and errors that are promised, and bytes
 * that no encoder writes. */
#include "codec/frame.h"
#include "../../../common/codec/trellis.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LANES = TRIB_TRELLIS_LANES, SHORT = 9 };

/* The machine, as its definition says. */
static unsigned follow(unsigned state, unsigned parity)
{
    unsigned next = state >> 1;
    next ^= state & 1 ? 0103 >> 1 : 0;
    return next ^ (parity ? 024 >> 1 : 0);
}

/* The least cost of all sequences of one machine, by trying both parities everywhere. */
static double best_cost(const double *values, size_t n, unsigned state, double odd_cost)
{
    double best = INFINITY;
    for (unsigned parity = 0; n > 0 && parity < 2; parity++) {
        double kind = (state & 1) + 2 * parity, number = 4 * nearbyint((values[0] - kind) / 4) + kind;
        double here = (values[0] - number) * (values[0] - number) + (state & 1 ? odd_cost : 0);
        double cost = here + best_cost(values + 1, n - 1, follow(state, parity), odd_cost);
        best = cost < best ? cost : best;
    }
    return n == 0 ? 0 : best;
}

START_TEST(search_finds_the_best)
{
    static _Alignas(64) float values[SHORT * LANES];
    static _Alignas(64) int32_t chosen[SHORT * LANES];
    static _Alignas(64) uint32_t memory[SHORT * LANES];
    struct trib_rng rng = trib_rng_init(4, "trellis", 0, 0);
    for (unsigned round = 0; round < 20; round++) {
        double odd_cost = round % 3 * -0.2, spread = round % 2 ? 1 : 40;
        size_t n = LANES * (1 + (size_t)trib_rng_below(&rng, SHORT));
        for (size_t i = 0; i < n; i++) {
            values[i] = (float)(trib_rng_normal(&rng) * spread);
        }
        struct trib_trellis_costs costs = {.factor = 1, .odd_cost = (float)(odd_cost / 16)};
        trib_trellis_search(values, n, costs, chosen, memory);
        for (size_t lane = 0; lane < LANES; lane++) {
            double own[SHORT], cost = 0;
            size_t len = 0;
            unsigned state = 0;
            for (size_t i = lane; i < n; i += LANES) {
                ck_assert_uint_eq((unsigned)chosen[i] & 1, state & 1);
                own[len++] = (double)values[i];
                double error = (double)values[i] - chosen[i];
                cost += error * error + (state & 1 ? odd_cost : 0);
                state = follow(state, (unsigned)(chosen[i] >> 1) & 1);
            }
            ck_assert_double_eq_tol(cost, best_cost(own, len, 0, odd_cost), 1e-3);
        }
    }
}
END_TEST

/* What was chosen, sorted into symbols, comes back; a count that the machines do not ask for does not. */
START_TEST(replay)
{
    enum { N = 1000 };
    static _Alignas(64) float values[1008], back[N];
    static _Alignas(64) int32_t chosen[1008];
    static _Alignas(64) uint32_t memory[1008];
    static float even[201], odd[201];
    uint16_t symbols[N], at[2] = {0};
    struct trib_rng rng = trib_rng_init(5, "trellis", 0, 0);
    for (size_t i = 0; i < N; i++) {
        values[i] = (float)(trib_rng_normal(&rng) * 9);
    }
    trib_trellis_search(values, N, (struct trib_trellis_costs){.factor = 1}, chosen, memory);
    for (size_t i = 0; i < N; i++) {
        at[1] += !(chosen[i] & 1);
    }
    uint16_t n_even = at[1];
    for (size_t i = 0; i < N; i++) {
        symbols[at[chosen[i] & 1]++] = (uint16_t)((chosen[i] >> 1) + 100);
    }
    for (int k = 0; k <= 200; k++) {
        even[k] = (float)(2 * (k - 100));
        odd[k] = even[k] + 1;
    }
    struct trib_trellis_symbols sent = {
        .symbols = symbols, .n = N, .n_even = n_even, .middle = 100, .decoded = {even, odd}};
    ck_assert_int_eq(trib_trellis_replay(&sent, back), TRIB_OK);
    for (size_t i = 0; i < N; i++) {
        ck_assert(back[i] == (float)chosen[i]);
    }
    for (size_t wrong = 0; wrong <= N; wrong += 50) {
        sent.n_even = wrong;
        ck_assert(wrong == n_even || trib_trellis_replay(&sent, back) == TRIB_CORRUPT);
    }
}
END_TEST

/* ---- the chain ---- */

/* Shannon's bound is 4^-bits; a scalar grid needs 0.25 bit more at the same error, this 0.05 and its heads. */
START_TEST(rates)
{
    const size_t n = 3 * TRIB_CODEC_BLOCK;
    const double bits[] = {0.6, 1, 2, 4};
    float *vector = normal_values(n, 1), *back = normal_values(n, 2);
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        char codec[64];
        double bound = pow(4, -bits[i] + 0.068);
        (void)snprintf(codec, sizeof codec, "rotate|trellis:%gbit|range", bits[i]);
        double sent = 8.0 * (double)there_and_back(codec, 1, vector, back, n) / (double)n;
        ck_assert_msg(sent <= bits[i] && sent > bits[i] * 0.985, "%s: %f bits", codec, sent);
        ck_assert_msg(nmse(vector, back, n) < bound, "%s: error %f", codec, nmse(vector, back, n));
        (void)snprintf(codec, sizeof codec, "rotate|trellis:%g,unbiased|range", bits[i]);
        sent = 8.0 * (double)there_and_back(codec, 1, vector, back, n) / (double)n;
        ck_assert_msg(sent <= bits[i] && sent > bits[i] * 0.985, "%s: %f bits", codec, sent);
        ck_assert_msg(nmse(vector, back, n) < bound / (1 - bound), "%s: error %f", codec, nmse(vector, back, n));
    }
    trib_free(vector);
    trib_free(back);
}
END_TEST

START_TEST(without_rotation)
{
    const size_t n = TRIB_CODEC_BLOCK + 1000;
    float *vector = normal_values(n, 1), *back = normal_values(n, 2);
    for (size_t i = 0; i < n; i++) {
        vector[i] *= fabsf(vector[i]) * (i < 30000 ? 1 : 0.1F);
    }
    double sent = 8.0 * (double)there_and_back("trellis:2|range", 1, vector, back, n) / (double)n;
    ck_assert_msg(sent <= 2 && sent > 1.98, "%f bits", sent);
    ck_assert_msg(nmse(vector, back, n) < 0.04, "error %f", nmse(vector, back, n));
    trib_free(vector);
    trib_free(back);
}
END_TEST

/* The mean of many is the vector: error / draws, and no more than 0.3 above it: more than five of its standard
 * deviations, sqrt(2 / N). */
START_TEST(unbiased)
{
    enum { N = 700, DRAWS = 200 };
    float *vector = normal_values(N, 6), back[N], means[N];
    double sums[N] = {0}, error = 0;
    for (unsigned draw = 0; draw < DRAWS; draw++) {
        (void)there_and_back("rotate|trellis:1,unbiased|range", draw, vector, back, N);
        error += nmse(vector, back, N) / DRAWS;
        for (size_t i = 0; i < N; i++) {
            sums[i] += (double)back[i] / DRAWS;
        }
    }
    for (size_t i = 0; i < N; i++) {
        means[i] = (float)sums[i];
    }
    ck_assert_msg(nmse(vector, means, N) < 1.3 * error / DRAWS, "%g of %g", nmse(vector, means, N), error / DRAWS);
    trib_free(vector);
}
END_TEST

START_TEST(odd_vectors)
{
    enum { N = 3000 };
    const char *codecs[] = {"trellis:2|range", "rotate|trellis:2|range", "rotate|trellis:0.6,unbiased|range"};
    float *vector = normal_values(N, 7), *back = normal_values(N, 8);
    const size_t lengths[] = {1, 2, 15, 16, 17, 1000, N};
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            size_t n = lengths[l];
            (void)there_and_back(codecs[c], 1, vector, back, n);
            ck_assert_msg(nmse(vector, back, n) < 6, "%s, %zu: error %f", codecs[c], n, nmse(vector, back, n));
            float same[N] = {0};
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert(nmse(same, back, n) == 0);
            for (size_t i = 0; i < n; i++) {
                same[i] = i % 7 == 0 ? 1e-41F : -3e-42F;
            }
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert_msg(nmse(same, back, n) < 6, "%s, %zu: error %f", codecs[c], n, nmse(same, back, n));
            for (size_t i = 0; i < n; i++) {
                same[i] = i == n / 2 ? -1e30F : 0;
            }
            (void)there_and_back(codecs[c], 1, same, back, n);
            ck_assert_msg(nmse(same, back, n) < 6, "%s, %zu: error %f", codecs[c], n, nmse(same, back, n));
        }
    }
    trib_free(vector);
    trib_free(back);
}
END_TEST

START_TEST(refusals)
{
    struct trib_error error;
    struct trib_chain chain;
    const char *unknown[] = {"trellis|range", "trellis:0.05|range", "trellis:9|range", "trellis:2,some|range"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ck_assert_msg(trib_chain_parse(unknown[i], &chain, &error) == TRIB_INVALID, "%s", unknown[i]);
    }
    static const char *const useless[][2] = {{"rotate|trellis:2", "add |range"},
                                             {"trellis:2,unbiased|range", "put rotate| before it"}};
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        ck_assert_int_eq(trib_chain_parse(useless[i][0], &chain, &error), TRIB_INVALID);
        ck_assert_msg(strstr(error.message, useless[i][1]), "%s", error.message);
    }
}
END_TEST

/* scale, alphabet, offsets of both, count of even numbers, and packed symbols: a chain that only decodes. */
static enum trib_status decode(const uint8_t *bytes, size_t len, size_t n)
{
    const uint8_t ids[] = {12};
    float to[16];
    struct trib_chain chain;
    ck_assert_int_eq(trib_chain_from_ids(ids, 1, &chain, NULL), TRIB_OK);
    struct trib_chain_work *work = trib_chain_work_new();
    ck_assert_ptr_nonnull(work);
    enum trib_status status = trib_chain_decode_block(&chain, work, 1, 0, bytes, len, to, n);
    trib_chain_work_free(work);
    return status;
}

static size_t make_block(uint8_t *bytes, float scale, uint16_t alphabet, uint32_t n_even)
{
    memcpy(bytes, &scale, sizeof scale);
    trib_store_u16(bytes + 4, alphabet);
    memset(bytes + 6, 0, 2);
    trib_store_u32(bytes + 8, n_even);
    bytes[12] = 0x55; /* four symbols, 1 each: zero */
    return 13;
}

START_TEST(corrupt_heads)
{
    uint8_t bytes[13];
    ck_assert_int_eq(decode(bytes, make_block(bytes, 1, 3, 4), 4), TRIB_OK);
    for (size_t len = 0; len < sizeof bytes; len++) {
        (void)make_block(bytes, 1, 3, 4);
        ck_assert_int_eq(decode(bytes, len, 4), TRIB_CORRUPT);
    }
    const uint32_t counts[] = {0, 3, 5, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        ck_assert_int_eq(decode(bytes, make_block(bytes, 1, 3, counts[i]), 4), TRIB_CORRUPT);
    }
    ck_assert_int_eq(decode(bytes, make_block(bytes, 1, 0, 4), 4), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, 1, 4, 4), 4), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, 0, 3, 4), 4), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, -1, 3, 4), 4), TRIB_CORRUPT);
    ck_assert_int_eq(decode(bytes, make_block(bytes, NAN, 3, 4), 4), TRIB_NOT_FINITE);
    ck_assert_int_eq(decode(bytes, make_block(bytes, INFINITY, 3, 4), 4), TRIB_NOT_FINITE);
    ck_assert_int_eq(decode(bytes, make_block(bytes, 3e38F, 3, 4), 4), TRIB_NOT_FINITE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trellis");
    TCase *tests = tcase_create("trellis");
    tcase_add_test(tests, search_finds_the_best);
    tcase_add_test(tests, replay);
    tcase_add_test(tests, rates);
    tcase_add_test(tests, without_rotation);
    tcase_add_test(tests, unbiased);
    tcase_add_test(tests, odd_vectors);
    tcase_add_test(tests, refusals);
    tcase_add_test(tests, corrupt_heads);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
