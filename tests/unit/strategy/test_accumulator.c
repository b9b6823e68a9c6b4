/* The integer accumulator against a naive one, one value at a time in long double and 128-bit integers: the same bits,
 * whatever vector width the processor offers. */
#include "strategy/accumulator.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread_pool.h"

#include "fail_memory.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct trib_accumulator make(size_t n, double max_abs, uint64_t max_total_weight)
{
    struct trib_accumulator acc;
    struct trib_error error;
    ck_assert_msg(trib_accumulator_init(&acc, n, max_abs, max_total_weight, &error) == TRIB_OK, "%s", error.message);
    return acc;
}

static int64_t naive(float value, uint64_t weight, int shift)
{
    /* llrint rounds ties to even; the long double holds every bit of a float times a power of two */
    __int128 product = (__int128)llrintl(ldexpl((long double)value, shift)) * weight;
    ck_assert(product <= INT64_MAX && product >= INT64_MIN);
    return (int64_t)product;
}

/* Bounds of every kind: usual, large weights, small ones (where 50 bits limit), tiny values, not powers of two. */
static const struct {
    double max_abs;
    uint64_t weight;
    int shift;
} bounds[] = {
    {64, 10 * 65536, 36},       {1, 1, 50},    {64, 1, 44},     {0.75, 1000, 50},   {100, 4096, 43},
    {1, UINT64_C(1) << 42, 20}, {3, 5000, 47}, {1e-30, 7, 149}, {0x1p-126, 1, 149}, {1e6, 1 << 20, 22},
    {1.0000001, 4097, 48},
};
enum { BOUNDS = sizeof bounds / sizeof bounds[0] };

START_TEST(shift)
{
    struct trib_accumulator acc = make(3, bounds[_i].max_abs, bounds[_i].weight);
    ck_assert_int_eq(acc.shift, bounds[_i].shift);
    trib_accumulator_clear(&acc);
}
END_TEST

/* Values that are hard to round: exact ties of both parities, their neighbours, the bounds, zeros, tiny ones. */
static float hard_value(struct trib_rng *rng, double max_abs, int shift)
{
    double unit = ldexp(1, -shift);
    double value;
    switch (trib_rng_below(rng, 8)) {
    case 0:
        value = ((double)trib_rng_below(rng, 1 << 22) + 0.5) * unit;
        break;
    case 1:
        value = (double)nextafterf((float)(((double)trib_rng_below(rng, 1 << 20) + 0.5) * unit),
                                   trib_rng_below(rng, 2) ? 0.0F : 1e30F);
        break;
    case 2:
        value = max_abs;
        break;
    case 3:
        value = trib_rng_below(rng, 2) ? 0 : 0x1p-149;
        break;
    case 4:
        value = max_abs * exp2(-60 * trib_rng_uniform64(rng));
        break;
    default:
        value = max_abs * trib_rng_uniform64(rng);
    }
    value = fmin(value, max_abs);
    float rounded = (float)value;
    if ((double)rounded > max_abs) {
        rounded = nextafterf(rounded, 0);
    }
    return trib_rng_below(rng, 2) ? rounded : -rounded;
}

START_TEST(equals_naive)
{
    enum { N = 5000, UPDATES = 20 };
    struct trib_accumulator acc = make(N, bounds[_i].max_abs, bounds[_i].weight);
    struct trib_rng rng = trib_rng_init(11, "accumulator", (uint64_t)_i, 0);
    static int64_t expected[N];
    static float values[N];
    struct trib_error error;
    memset(expected, 0, sizeof expected);
    uint64_t left = bounds[_i].weight;
    for (int update = 0; update < UPDATES && left > 0; update++) {
        uint64_t weight = update == UPDATES - 1 ? left : 1 + trib_rng_below(&rng, left / 4 + 1);
        left -= weight;
        ck_assert_int_eq(trib_accumulator_begin(&acc, weight, &error), TRIB_OK);
        for (size_t j = 0; j < N; j++) {
            values[j] = hard_value(&rng, bounds[_i].max_abs, acc.shift);
            expected[j] += naive(values[j], weight, acc.shift);
        }
        for (size_t first = 0; first < N;) { /* every alignment and length, none included */
            size_t n = trib_rng_below(&rng, 70);
            n = n > N - first ? N - first : n;
            trib_accumulator_add(&acc, weight, first, values + first, n);
            first += n;
        }
    }
    ck_assert_mem_eq(acc.sums, expected, sizeof expected);
    static float mean[N];
    trib_accumulator_mean(&acc, 0, N, mean);
    for (size_t j = 0; j < N; j++) {
        volatile double quotient = (double)expected[j] / ldexp((double)acc.total_weight, acc.shift);
        if (mean[j] != (float)quotient) {
            ck_abort_msg("mean %zu is %a, not %a", j, (double)mean[j], quotient);
        }
    }
    trib_accumulator_clear(&acc);
}
END_TEST

/* The whole weight at the largest value: the sum stays within 2^62 on both sides. */
START_TEST(no_overflow)
{
    struct trib_accumulator acc = make(2, bounds[_i].max_abs, bounds[_i].weight);
    struct trib_error error;
    float largest = (float)bounds[_i].max_abs;
    if ((double)largest > bounds[_i].max_abs) {
        largest = nextafterf(largest, 0);
    }
    float values[2] = {largest, -largest};
    __int128 expected = 0;
    uint64_t left = bounds[_i].weight;
    while (left > 0) {
        uint64_t weight = left / 2 + 1;
        ck_assert_int_eq(trib_accumulator_begin(&acc, weight, &error), TRIB_OK);
        trib_accumulator_add(&acc, weight, 0, values, 2);
        expected += (__int128)llrintl(ldexpl((long double)largest, acc.shift)) * weight;
        left -= weight;
    }
    ck_assert(expected <= (__int128)1 << 62);
    ck_assert(acc.sums[0] == expected && acc.sums[1] == -expected);
    float mean[2];
    trib_accumulator_mean(&acc, 0, 2, mean);
    ck_assert(mean[0] == largest && mean[1] == -largest);
    ck_assert_int_eq(trib_accumulator_begin(&acc, 1, &error), TRIB_LIMIT);
    trib_accumulator_clear(&acc);
}
END_TEST

START_TEST(order_does_not_matter)
{
    enum { N = 3001, UPDATES = 12 };
    struct trib_rng rng = trib_rng_init(12, "order", 0, 0);
    float *updates = malloc(sizeof *updates * N * UPDATES);
    uint64_t weights[UPDATES];
    uint32_t order[UPDATES];
    for (size_t i = 0; i < N * UPDATES; i++) {
        updates[i] = (float)(trib_rng_normal(&rng) * 0.01);
    }
    for (uint32_t k = 0; k < UPDATES; k++) {
        weights[k] = 1 + trib_rng_below(&rng, 60000);
        order[k] = k;
    }
    struct trib_accumulator acc = make(N, 64, 1000000);
    struct trib_error error;
    static int64_t sums[N];
    static float mean[N], again[N];
    for (int permutation = 0; permutation < 30; permutation++) {
        trib_accumulator_reset(&acc);
        ck_assert_uint_eq(acc.n_updates, 0);
        for (size_t k = 0; k < UPDATES; k++) {
            const float *update = updates + (size_t)order[k] * N;
            size_t cut = trib_rng_below(&rng, N + 1); /* two blocks, the second first */
            ck_assert_int_eq(trib_accumulator_begin(&acc, weights[order[k]], &error), TRIB_OK);
            trib_accumulator_add(&acc, weights[order[k]], cut, update + cut, N - cut);
            trib_accumulator_add(&acc, weights[order[k]], 0, update, cut);
        }
        trib_accumulator_mean(&acc, 0, N, permutation == 0 ? mean : again);
        if (permutation == 0) {
            memcpy(sums, acc.sums, sizeof sums);
        } else {
            ck_assert_mem_eq(acc.sums, sums, sizeof sums);
            ck_assert_mem_eq(again, mean, sizeof mean);
        }
        trib_rng_shuffle_u32(&rng, order, UPDATES);
    }
    trib_accumulator_clear(&acc);
    free(updates);
}
END_TEST

START_TEST(mean_over_its_own_memory)
{
    static const size_t sizes[] = {1, 2, 1023, 1024, 1025, 2048, 10001};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        float *values = malloc(n * sizeof *values), *apart = malloc(n * sizeof *apart);
        struct trib_rng rng = trib_rng_init(13, "mean", n, 0);
        for (size_t j = 0; j < n; j++) {
            values[j] = (float)trib_rng_normal(&rng);
        }
        for (size_t piece = 1; piece <= n; piece = piece * 7 + 1) {
            struct trib_accumulator acc = make(n, 64, 100);
            struct trib_error error;
            ck_assert_int_eq(trib_accumulator_begin(&acc, 77, &error), TRIB_OK);
            trib_accumulator_add(&acc, 77, 0, values, n);
            trib_accumulator_mean(&acc, 0, n, apart);
            float *within = (float *)(void *)acc.sums;
            for (size_t first = 0; first < n; first += piece) {
                trib_accumulator_mean(&acc, first, piece < n - first ? piece : n - first, within + first);
            }
            ck_assert_mem_eq(within, apart, n * sizeof *apart);
            trib_accumulator_clear(&acc);
        }
        free(values);
        free(apart);
    }
}
END_TEST

START_TEST(nothing_folded)
{
    struct trib_accumulator acc = make(3, 64, 100);
    float mean[3] = {1, 2, 3};
    trib_accumulator_mean(&acc, 0, 3, mean);
    ck_assert(mean[0] == 0 && mean[1] == 0 && mean[2] == 0);
    trib_accumulator_clear(&acc);
    ck_assert_ptr_null(acc.sums);
    trib_accumulator_clear(&acc);
}
END_TEST

START_TEST(weights)
{
    struct trib_accumulator acc = make(1, 64, 100);
    struct trib_error error;
    ck_assert_int_eq(trib_accumulator_begin(&acc, 0, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_accumulator_begin(&acc, 60, &error), TRIB_OK);
    ck_assert_int_eq(trib_accumulator_begin(&acc, 41, &error), TRIB_LIMIT);
    ck_assert_str_eq(error.message, "an update of weight 41 brings the round's total from 60 above its bound, 100");
    ck_assert_int_eq(trib_accumulator_begin(&acc, UINT64_MAX, &error), TRIB_LIMIT);
    ck_assert_uint_eq(acc.total_weight, 60);
    ck_assert_uint_eq(acc.n_updates, 1);
    ck_assert_int_eq(trib_accumulator_begin(&acc, 40, &error), TRIB_OK);
    ck_assert_uint_eq(acc.total_weight, 100);
    trib_accumulator_clear(&acc);
}
END_TEST

START_TEST(bounds_refused)
{
    static const struct {
        double max_abs;
        uint64_t weight;
    } bad[] = {{0, 10},
               {-1, 10},
               {NAN, 10},
               {INFINITY, 10},
               {1, 0},
               {1, UINT64_MAX},
               {1, (UINT64_C(1) << 42) + 1},
               {64, UINT64_C(1) << 37},
               {1e300, 1},
               {0x1p31, 1},
               {0x1p-100, UINT64_C(1) << 43}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct trib_accumulator acc = {.n = 12345};
        struct trib_error error = {0};
        ck_assert_int_eq(trib_accumulator_init(&acc, 1, bad[i].max_abs, bad[i].weight, &error), TRIB_INVALID);
        ck_assert_str_ne(error.message, "");
        ck_assert_uint_eq(acc.n, 12345);
    }
    struct trib_accumulator acc;
    struct trib_error error;
    ck_assert_int_eq(trib_accumulator_init(&acc, 1, 64, UINT64_C(1) << 37, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "accumulator: values up to 64 and a total weight up to 137438953472 leave 19 bits "
                                    "for fractions, 20 are needed: lower one of the two");
    ck_assert_int_eq(trib_accumulator_init(&acc, SIZE_MAX / 4, 1, 1, &error), TRIB_NO_MEMORY);
    (void)fail_memory_after(0, false);
    ck_assert_int_eq(trib_accumulator_init(&acc, 10, 1, 1, &error), TRIB_NO_MEMORY);
    (void)fail_memory_after(-1, false);
}
END_TEST

struct job {
    struct trib_accumulator *acc;
    const float *values;
};
enum { PART = 501 };

static void add_part(void *context, size_t part, int worker)
{
    (void)worker;
    struct job *job = context;
    size_t first = part * PART;
    size_t n = job->acc->n - first < PART ? job->acc->n - first : PART;
    trib_accumulator_add(job->acc, 3, first, job->values + first, n);
}

START_TEST(threads)
{
    enum { N = 20000 };
    static float values[N];
    struct trib_rng rng = trib_rng_init(14, "threads", 0, 0);
    for (size_t j = 0; j < N; j++) {
        values[j] = (float)trib_rng_normal(&rng);
    }
    struct trib_accumulator one = make(N, 64, 1000), many = make(N, 64, 1000);
    struct trib_thread_pool *pool = NULL;
    struct trib_error error;
    ck_assert_int_eq(trib_thread_pool_new(4, &pool, &error), TRIB_OK);
    for (int update = 0; update < 10; update++) {
        struct job job = {.acc = &many, .values = values};
        trib_accumulator_add(&one, 3, 0, values, N);
        trib_thread_pool_run(pool, (N + PART - 1) / PART, add_part, &job);
    }
    ck_assert_mem_eq(one.sums, many.sums, N * sizeof *one.sums);
    trib_thread_pool_free(pool);
    trib_accumulator_clear(&one);
    trib_accumulator_clear(&many);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accumulator");
    TCase *tests = tcase_create("accumulator");
    tcase_add_loop_test(tests, shift, 0, BOUNDS);
    tcase_add_loop_test(tests, equals_naive, 0, BOUNDS);
    tcase_add_loop_test(tests, no_overflow, 0, BOUNDS);
    tcase_add_test(tests, order_does_not_matter);
    tcase_add_test(tests, mean_over_its_own_memory);
    tcase_add_test(tests, nothing_folded);
    tcase_add_test(tests, weights);
    tcase_add_test(tests, bounds_refused);
    tcase_add_test(tests, threads);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
