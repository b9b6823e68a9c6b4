/* Philox against a reference with the published answers, and the distributions. */
#include "base/rng.h"
#include "test_main.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* The whole function, four counter words, written as in the paper: x = (R', L', R, L) with two multipliers. */
static void reference(const uint32_t key_words[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c[4], k[2] = {key_words[0], key_words[1]};
    memcpy(c, counter, sizeof c);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c[0] * 0xd2511f53u, p1 = (uint64_t)c[2] * 0xcd9e8d57u;
        uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k[0], (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k[1],
                            (uint32_t)p0};
        memcpy(c, next, sizeof c);
        k[0] += 0x9e3779b9u;
        k[1] += 0xbb67ae85u;
    }
    memcpy(out, c, sizeof c);
}

/* Random123's kat_vectors for philox4x32 10. */
START_TEST(the_reference_gives_the_published_answers)
{
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        reference(known[i].key, known[i].counter, out);
        ck_assert_mem_eq(out, known[i].answer, sizeof out);
    }
}
END_TEST

START_TEST(philox_is_the_reference)
{
    static const uint64_t counters[] = {0, 1, 0xffffffff, 0x100000000u, 0x123456789abcdefu, UINT64_MAX};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        uint32_t key[2] = {(uint32_t)(i * 0x9876543u), (uint32_t)i};
        uint32_t words[4] = {(uint32_t)counters[i], (uint32_t)(counters[i] >> 32), 0, 0};
        uint32_t expected[4], got[4];
        reference(key, words, expected);
        trib_philox(key, counters[i], got);
        ck_assert_mem_eq(got, expected, sizeof got);
    }
    uint32_t got[4];
    trib_philox((const uint32_t[2]){0, 0}, 0, got);
    ck_assert_uint_eq(got[0], 0x6627e8d5u);
}
END_TEST

START_TEST(a_stream_is_the_blocks_in_order)
{
    struct trib_rng rng = trib_rng_init(42, "dropout", 3, 4);
    uint32_t key[2] = {rng.key[0], rng.key[1]};
    for (uint64_t index = 0; index < 50; index++) {
        uint32_t block[4];
        trib_philox(key, index / 4, block);
        ck_assert_uint_eq(trib_rng_u32(&rng), block[index % 4]);
    }
}
END_TEST

START_TEST(streams_differ_by_every_name)
{
    struct trib_rng streams[] = {
        trib_rng_init(1, "init", 0, 0), trib_rng_init(2, "init", 0, 0), trib_rng_init(1, "shuffle", 0, 0),
        trib_rng_init(1, "init", 1, 0), trib_rng_init(1, "init", 0, 1), trib_rng_init(1, "", 0, 0),
    };
    uint64_t first[sizeof streams / sizeof streams[0]];
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        first[i] = trib_rng_u64(&streams[i]);
        for (size_t j = 0; j < i; j++) {
            ck_assert_uint_ne(first[i], first[j]);
        }
    }
    struct trib_rng again = trib_rng_init(1, "init", 0, 0);
    ck_assert_uint_eq(trib_rng_u64(&again), first[0]);
}
END_TEST

/* Seeds in use depend on these values: they must never change. */
START_TEST(hashes_and_keys_are_stable)
{
    static const char text[] = "abcdefghijklmnop";
    ck_assert_uint_ne(trib_hash64(text, 8, 0), trib_hash64(text, 9, 0));
    ck_assert_uint_ne(trib_hash64(text, 8, 0), trib_hash64(text, 8, 1));
    ck_assert_uint_ne(trib_hash64("", 0, 0), trib_hash64("\0", 1, 0));
    ck_assert_uint_eq(trib_hash64("", 0, 0), 0);
    ck_assert_uint_eq(trib_hash64("hello", 5, 0), 0x1e68d17c457bf117u);
    struct trib_rng rng = trib_rng_init(7, "cohort", 1, 2);
    ck_assert_uint_eq(rng.key[0] | (uint64_t)rng.key[1] << 32, 0x97a9b0df86502d7bu);
}
END_TEST

START_TEST(uniform_numbers_stay_in_range)
{
    struct trib_rng rng = trib_rng_init(5, "uniform", 0, 0);
    double sum = 0, sum64 = 0;
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        float u = trib_rng_uniform(&rng);
        double v = trib_rng_uniform64(&rng);
        ck_assert(u >= 0.0f && u < 1.0f);
        ck_assert(v >= 0.0 && v < 1.0);
        sum += u;
        sum64 += v;
    }
    /* the mean's standard error is 0.29 / sqrt(n) = 0.002 */
    ck_assert_double_eq_tol(sum / n, 0.5, 0.01);
    ck_assert_double_eq_tol(sum64 / n, 0.5, 0.01);
}
END_TEST

START_TEST(below_is_fair)
{
    struct trib_rng rng = trib_rng_init(6, "below", 0, 0);
    int counts[7] = {0};
    const int n = 70000;
    for (int i = 0; i < n; i++) {
        uint64_t drawn = trib_rng_below(&rng, 7);
        ck_assert_uint_lt(drawn, 7);
        counts[drawn]++;
    }
    for (int i = 0; i < 7; i++) {
        ck_assert_int_lt(abs(counts[i] - n / 7), 500); /* five standard deviations */
    }
    ck_assert_uint_eq(trib_rng_below(&rng, 1), 0);
    const uint64_t big = ((uint64_t)3 << 62) + 12345;
    bool high = false;
    for (int i = 0; i < 200; i++) {
        uint64_t drawn = trib_rng_below(&rng, big);
        ck_assert_uint_lt(drawn, big);
        high |= drawn > UINT32_MAX;
    }
    ck_assert(high);
}
END_TEST

START_TEST(normal_numbers_have_their_moments)
{
    struct trib_rng rng = trib_rng_init(8, "normal", 0, 0);
    double sum = 0, squares = 0, fourth = 0;
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double x = trib_rng_normal(&rng);
        ck_assert(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    ck_assert_double_eq_tol(sum / n, 0.0, 0.02);
    ck_assert_double_eq_tol(squares / n, 1.0, 0.03);
    ck_assert_double_eq_tol(fourth / n, 3.0, 0.2);
}
END_TEST

START_TEST(gamma_numbers_have_their_moments)
{
    static const double shapes[] = {0.1, 0.5, 1.0, 3.0, 50.0};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        struct trib_rng rng = trib_rng_init(9, "gamma", k, 0);
        double sum = 0, squares = 0;
        const int n = 50000;
        for (int i = 0; i < n; i++) {
            double x = trib_rng_gamma(&rng, shapes[k]);
            ck_assert(isfinite(x) && x >= 0.0);
            sum += x;
            squares += x * x;
        }
        double mean = sum / n, variance = squares / n - mean * mean;
        ck_assert_double_eq_tol(mean / shapes[k], 1.0, 0.08);
        ck_assert_double_eq_tol(variance / shapes[k], 1.0, 0.2);
    }
    struct trib_rng rng = trib_rng_init(9, "gamma", 0, 0);
    ck_assert_double_eq(trib_rng_gamma(&rng, 0.0), 0.0);
    ck_assert_double_eq(trib_rng_gamma(&rng, NAN), 0.0);
}
END_TEST

START_TEST(a_shuffle_is_a_fair_permutation)
{
    int places[4][4] = {{0}};
    const int n = 8000;
    for (int i = 0; i < n; i++) {
        struct trib_rng rng = trib_rng_init(10, "shuffle", (uint64_t)i, 0);
        uint32_t items[4] = {0, 1, 2, 3};
        trib_rng_shuffle_u32(&rng, items, 4);
        unsigned seen = 0;
        for (int at = 0; at < 4; at++) {
            ck_assert_uint_lt(items[at], 4);
            seen |= 1u << items[at];
            places[items[at]][at]++;
        }
        ck_assert_uint_eq(seen, 15);
    }
    for (int item = 0; item < 4; item++) {
        for (int at = 0; at < 4; at++) {
            ck_assert_int_lt(abs(places[item][at] - n / 4), 200); /* five standard deviations */
        }
    }
    struct trib_rng rng = trib_rng_init(10, "shuffle", 0, 0);
    trib_rng_shuffle_u32(&rng, NULL, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rng");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, the_reference_gives_the_published_answers);
    tcase_add_test(tests, philox_is_the_reference);
    tcase_add_test(tests, a_stream_is_the_blocks_in_order);
    tcase_add_test(tests, streams_differ_by_every_name);
    tcase_add_test(tests, hashes_and_keys_are_stable);
    tcase_add_test(tests, uniform_numbers_stay_in_range);
    tcase_add_test(tests, below_is_fair);
    tcase_add_test(tests, normal_numbers_have_their_moments);
    tcase_add_test(tests, gamma_numbers_have_their_moments);
    tcase_add_test(tests, a_shuffle_is_a_fair_permutation);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
