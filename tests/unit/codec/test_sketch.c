/* Sketches: where the positions are, that every split into blocks gives the same, and how well a share is estimated. */
#include "codec/sketch.h"
#include "base/mem.h"
#include "base/rng.h"
#include "test_main.h"

#include <math.h>
#include <string.h>

enum { BLOCKS = 5 };
static const char run[] = "run-1";

/* ---- positions ---- */

static const struct {
    uint64_t k, n;
} sizes[] = {{0, 0},
             {0, 10},
             {1, 1},
             {1, 2},
             {3, 3},
             {7, 10},
             {9, 10},
             {64, 1000},
             {999, 1000},
             {1000, 1000},
             {4096, 65537},
             {5000, UINT64_C(1) << 40},
             {4096, (UINT64_C(1) << 40) - 1},
             {3, UINT64_MAX}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

START_TEST(there_is_one_position_in_each_part)
{
    for (uint64_t round = 1; round <= 20; round++) {
        const uint64_t k = sizes[_i].k, n = sizes[_i].n;
        const struct trib_sketch_plan plan = trib_sketch_plan(run, round, k, n);
        bool good = plan.k == k && plan.n == n;
        for (uint64_t i = 0; i < k; i++) {
            uint64_t position = trib_sketch_position(&plan, i);
            __extension__ unsigned __int128 begin = (unsigned __int128)i * n / k,
                                            end = (unsigned __int128)(i + 1) * n / k;
            good = good && position >= begin && position < end && position < n;
        }
        ck_assert_msg(good, "round %d", (int)round);
    }
}
END_TEST

START_TEST(no_more_positions_than_elements)
{
    const struct trib_sketch_plan plan = trib_sketch_plan(run, 1, UINT64_MAX, 77);
    ck_assert_uint_eq(plan.k, 77);
    bool good = true;
    for (uint64_t i = 0; i < plan.k; i++) {
        good = good && trib_sketch_position(&plan, i) == i;
    }
    ck_assert(good);
}
END_TEST

/* The first position that is not before an element, by looking at them all. */
static uint64_t naive_first(const struct trib_sketch_plan *plan, uint64_t element)
{
    uint64_t i = 0;
    while (i < plan->k && trib_sketch_position(plan, i) < element) {
        i++;
    }
    return i;
}

START_TEST(the_first_position_from_an_element_on_is_found)
{
    const struct trib_sketch_plan plan = trib_sketch_plan(run, 5, sizes[_i].k, sizes[_i].n);
    bool good = true;
    for (uint64_t element = 0; element < 1100 && plan.n <= 1000; element++) {
        good = good && trib_sketch_first(&plan, element) == naive_first(&plan, element);
    }
    for (uint64_t i = 0; i < plan.k; i++) {
        uint64_t position = trib_sketch_position(&plan, i);
        good = good && trib_sketch_first(&plan, position) == i && trib_sketch_first(&plan, position + 1) == i + 1;
        good = good && (i == 0 || trib_sketch_first(&plan, trib_sketch_position(&plan, i - 1) + 1) == i);
    }
    ck_assert(good);
    ck_assert_uint_eq(trib_sketch_first(&plan, plan.n), plan.k);
    ck_assert_uint_eq(trib_sketch_first(&plan, UINT64_MAX), plan.k);
}
END_TEST

START_TEST(run_and_round_choose_the_positions)
{
    static const uint64_t golden[] = {197996, 267873, 610841, 979039};
    const struct trib_sketch_plan a = trib_sketch_plan("run-1", 1, 4, 1000000);
    const struct trib_sketch_plan b = trib_sketch_plan("run-1", 2, 4, 1000000);
    const struct trib_sketch_plan c = trib_sketch_plan("run-2", 1, 4, 1000000);
    ck_assert_uint_ne(a.seed, b.seed);
    ck_assert_uint_ne(a.seed, c.seed);
    for (uint64_t i = 0; i < a.k; i++) { /* another build on the other side must find the same */
        ck_assert_uint_eq(trib_sketch_position(&a, i), golden[i]);
    }
}
END_TEST

/* ---- blocks ---- */

struct vectors {
    size_t n;
    float *original, *decoded;
};

/* Decoded values with the original's sign, with another one, and zeros. */
static struct vectors make_vectors(size_t n)
{
    struct vectors made = {
        .n = n, .original = trib_calloc(n, sizeof *made.original), .decoded = trib_calloc(n, sizeof *made.decoded)};
    ck_assert(made.original && made.decoded);
    struct trib_rng rng = trib_rng_init(7, "vectors", n, 0);
    for (size_t i = 0; i < n; i++) {
        uint64_t kind = trib_rng_below(&rng, 4);
        made.original[i] = kind == 3 ? 0.0F : trib_rng_uniform(&rng) - 0.5F;
        made.decoded[i] = kind == 0 ? (float)(i % 3) - 1 : kind == 1 ? made.original[i] : 0.0F;
    }
    return made;
}

static void clear_vectors(struct vectors *vectors)
{
    trib_free(vectors->original);
    trib_free(vectors->decoded);
}

/* The signs by the definition, one byte each. */
static uint8_t *naive_signs(const struct trib_sketch_plan *plan, const struct vectors *vectors)
{
    uint8_t *signs = trib_calloc(plan->k + 1, 1);
    ck_assert_ptr_nonnull(signs);
    for (uint64_t i = 0; i < plan->k; i++) {
        uint64_t position = trib_sketch_position(plan, i);
        float value = vectors->decoded[position];
        signs[i] = (value == 0 ? vectors->original[position] : value) > 0;
    }
    return signs;
}

/* The sketch, and its contradictions against the decoded values, over blocks of these lengths in turn. */
static uint64_t in_blocks(const struct trib_sketch_plan *plan, const struct vectors *vectors, const size_t *lengths,
                          uint8_t *signs, const uint8_t *packed)
{
    uint64_t found = 0;
    size_t turn = 0;
    for (size_t first = 0; first < vectors->n;) {
        size_t left = vectors->n - first, n = lengths[turn++ % BLOCKS];
        n = n < left ? n : left;
        trib_sketch_take(plan, signs, first, vectors->original + first, vectors->decoded + first, n);
        found += trib_sketch_contradictions(plan, packed, first, vectors->decoded + first, n);
        first += n;
    }
    return found;
}

START_TEST(blocks_of_any_length_give_the_same)
{
    static const size_t lengths[][BLOCKS] = {
        {65536, 65536, 65536, 65536, 65536}, {1, 1, 1, 1, 1}, {1, 7, 64, 13, 200}, {3000, 1, 9, 17, 65}};
    static const uint64_t ks[] = {0, 1, 37, 2998, 2999, 3001};
    struct vectors vectors = make_vectors(3001);
    for (size_t which = 0; which < sizeof ks / sizeof ks[0]; which++) {
        const struct trib_sketch_plan plan = trib_sketch_plan(run, 3, ks[which], vectors.n);
        uint8_t *expected = naive_signs(&plan, &vectors), *signs = trib_calloc(plan.k + 1, 1);
        uint8_t packed[400] = {0};
        uint64_t contradictions = 0;
        for (uint64_t i = 0; i < plan.k; i++) { /* every fifth one lies */
            float value = vectors.decoded[trib_sketch_position(&plan, i)];
            unsigned bit = expected[i] ^ (i % 5 == 0);
            packed[i / 8] |= (uint8_t)(bit << (i % 8));
            contradictions += value != 0 && (value > 0) != (bit != 0);
        }
        for (size_t split = 0; split < sizeof lengths / sizeof lengths[0]; split++) {
            memset(signs, 9, plan.k);
            ck_assert_uint_eq(in_blocks(&plan, &vectors, lengths[split], signs, packed), contradictions);
            ck_assert_mem_eq(signs, expected, plan.k);
        }
        ck_assert(plan.k < 37 || contradictions > 0);
        trib_free(signs);
        trib_free(expected);
    }
    clear_vectors(&vectors);
}
END_TEST

START_TEST(who_is_honest_is_not_contradicted)
{
    struct vectors vectors = make_vectors(5000);
    for (uint64_t k = 0; k <= 5000; k += 1250) {
        const struct trib_sketch_plan plan = trib_sketch_plan(run, 4, k, vectors.n);
        uint8_t *signs = naive_signs(&plan, &vectors), packed[625];
        trib_sketch_pack(signs, k, packed);
        ck_assert_uint_eq(trib_sketch_contradictions(&plan, packed, 0, vectors.decoded, vectors.n), 0);
        trib_free(signs);
    }
    clear_vectors(&vectors);
}
END_TEST

/* ---- packed sketches ---- */

START_TEST(bits_are_packed_lowest_first_and_zeros_follow)
{
    uint8_t signs[20], packed[3];
    for (uint64_t k = 0; k <= sizeof signs; k++) {
        for (uint64_t i = 0; i < k; i++) {
            signs[i] = i % 3 == 0;
        }
        memset(packed, 0xff, sizeof packed);
        trib_sketch_pack(signs, k, packed);
        size_t bytes = trib_sketch_bytes(k);
        ck_assert_uint_eq(bytes, (k + 7) / 8);
        for (uint64_t i = 0; i < 8 * sizeof packed; i++) {
            unsigned expected = i >= 8 * bytes ? 1 : i < k && i % 3 == 0;
            ck_assert_uint_eq(packed[i / 8] >> (i % 8) & 1, expected);
        }
    }
}
END_TEST

START_TEST(agreement_counts_equal_bits_and_no_others)
{
    uint8_t a[40], b[40];
    struct trib_rng rng = trib_rng_init(3, "bits", 0, 0);
    for (size_t i = 0; i < sizeof a; i++) {
        a[i] = (uint8_t)trib_rng_u32(&rng);
        b[i] = (uint8_t)trib_rng_u32(&rng);
    }
    for (uint64_t k = 0; k <= 8 * sizeof a; k++) {
        uint64_t equal = 0;
        for (uint64_t i = 0; i < k; i++) {
            equal += (a[i / 8] >> (i % 8) & 1) == (b[i / 8] >> (i % 8) & 1);
        }
        ck_assert_uint_eq(trib_sketch_agreement(a, b, k), equal);
    }
}
END_TEST

START_TEST(a_sample_is_the_sketch_of_a_vector_of_signs)
{
    struct vectors vectors = make_vectors(1003);
    uint64_t words[16];
    memset(words, 0xff, sizeof words); /* with ones beyond the vector's end */
    for (size_t i = 0; i < vectors.n; i++) {
        bool positive = (vectors.decoded[i] == 0 ? vectors.original[i] : vectors.decoded[i]) > 0;
        words[i / 64] &= ~((uint64_t)!positive << (i % 64));
    }
    for (uint64_t k = 0; k <= vectors.n; k += 17) {
        const struct trib_sketch_plan plan = trib_sketch_plan(run, 9, k, vectors.n);
        uint8_t *signs = naive_signs(&plan, &vectors), packed[126], sample[126];
        memset(sample, 0xff, sizeof sample);
        trib_sketch_pack(signs, k, packed);
        trib_sketch_sample(&plan, words, sample);
        ck_assert(memcmp(sample, packed, trib_sketch_bytes(k)) == 0);
        trib_free(signs);
    }
    clear_vectors(&vectors);
}
END_TEST

/* ---- estimates ---- */

/* Two vectors of signs that agree with this probability, in stretches of a random length below `most`. */
static uint64_t make_signs(uint64_t n, double share, uint64_t most, uint64_t *a, uint64_t *b)
{
    struct trib_rng rng = trib_rng_init(11, "signs", most, 0);
    uint64_t agree = 0, left = 0;
    bool same = false;
    memset(a, 0, n / 8 + 8);
    memset(b, 0, n / 8 + 8);
    for (uint64_t i = 0; i < n; i++) {
        if (left-- == 0) {
            left = trib_rng_below(&rng, most);
            same = trib_rng_uniform64(&rng) < share;
        }
        uint64_t sign = trib_rng_u32(&rng) & 1;
        a[i / 64] |= sign << (i % 64);
        b[i / 64] |= (same ? sign : 1 - sign) << (i % 64);
        agree += same;
    }
    return agree;
}

/* Within two standard errors in 90 % of 200 seeds at least. A sound estimate is so in about 95 %, and would fail here
 * for one set of seeds in 700 (21 or more of 200, each with probability 0.05); these seeds are fixed. */
START_TEST(estimates_are_within_two_standard_errors)
{
    enum { N = 100003, SEEDS = 200 };
    static const uint64_t ks[] = {256, 1024, 4096};
    static const uint64_t stretches[] = {1, 3000};
    static uint64_t a[N / 64 + 2], b[N / 64 + 2];
    uint8_t x[512], y[512];
    const uint64_t most = stretches[_i];
    double exact = (double)make_signs(N, 0.62, most, a, b) / N;
    for (size_t which = 0; which < sizeof ks / sizeof ks[0]; which++) {
        const uint64_t k = ks[which];
        double squares = 0, predicted = trib_sketch_error(exact, k, N);
        int within = 0;
        for (uint64_t round = 1; round <= SEEDS; round++) {
            const struct trib_sketch_plan plan = trib_sketch_plan(run, round, k, N);
            trib_sketch_sample(&plan, a, x);
            trib_sketch_sample(&plan, b, y);
            double off = (double)trib_sketch_agreement(x, y, k) / (double)k - exact;
            within += fabs(off) <= 2 * predicted;
            squares += off * off;
        }
        double measured = sqrt(squares / SEEDS);
        ck_assert_msg(within >= SEEDS * 9 / 10, "k %d: %d of %d", (int)k, within, SEEDS);
        /* signs without order: as predicted, within the 5 % that 200 draws can tell, three times over */
        ck_assert_msg(measured < 1.15 * predicted && (most > 1 || measured > 0.85 * predicted), "k %d: %g, not %g",
                      (int)k, measured, predicted);
    }
    const struct trib_sketch_plan all = trib_sketch_plan(run, 1, N, N);
    uint8_t *whole = trib_calloc(2, trib_sketch_bytes(N));
    trib_sketch_sample(&all, a, whole);
    trib_sketch_sample(&all, b, whole + trib_sketch_bytes(N));
    double estimate = (double)trib_sketch_agreement(whole, whole + trib_sketch_bytes(N), N) / N;
    ck_assert_double_eq(estimate, exact);
    trib_free(whole);
}
END_TEST

START_TEST(the_error_has_its_limits)
{
    ck_assert_double_eq_tol(trib_sketch_error(0.5, 100, UINT64_C(1) << 40), 0.05, 1e-9);
    ck_assert_double_eq_tol(trib_sketch_error(0.2, 51, 101), sqrt(0.16 / 51 * 0.5), 1e-12);
    ck_assert_double_eq(trib_sketch_error(0.5, 100, 100), 0);
    ck_assert_double_eq(trib_sketch_error(0.5, 1, 1), 0);
    ck_assert_double_eq(trib_sketch_error(0.5, 0, 100), 0.5);
    ck_assert_double_eq(trib_sketch_error(0, 10, 100), 0);
    ck_assert_double_eq(trib_sketch_error(1.5, 10, 100), 0);
    ck_assert_double_eq(trib_sketch_error(-0.5, 10, 100), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sketch");
    TCase *tests = tcase_create("sketch");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, there_is_one_position_in_each_part, 0, SIZES);
    tcase_add_test(tests, no_more_positions_than_elements);
    tcase_add_loop_test(tests, the_first_position_from_an_element_on_is_found, 0, SIZES);
    tcase_add_test(tests, run_and_round_choose_the_positions);
    tcase_add_test(tests, blocks_of_any_length_give_the_same);
    tcase_add_test(tests, who_is_honest_is_not_contradicted);
    tcase_add_test(tests, bits_are_packed_lowest_first_and_zeros_follow);
    tcase_add_test(tests, agreement_counts_equal_bits_and_no_others);
    tcase_add_test(tests, a_sample_is_the_sketch_of_a_vector_of_signs);
    tcase_add_loop_test(tests, estimates_are_within_two_standard_errors, 0, 2);
    tcase_add_test(tests, the_error_has_its_limits);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
