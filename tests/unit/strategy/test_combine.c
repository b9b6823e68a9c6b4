/* Combination's own tests: panels that hold little, failures of a set, and cohorts larger than those of the strategies'
 * conformance, which has the results. */
#include "strategy/combine.h"

#include "base/mem.h"
#include "base/rng.h"

#include "fail_memory.h"
#include "test_main.h"

#include <stdlib.h>
#include <string.h>

static const struct trib_strategy_options options = {.server_learning_rate = 1, .gives = TRIB_STRATEGY_NEEDS_SET};

/* Updates of `n` coordinates that count what is read, and fail where they are told to. */
struct source {
    const float *values; /* [n_updates][n] */
    size_t n;
    size_t bad_from, bad_to; /* updates of which reading coordinate `bad_first` fails */
    size_t bad_first;
    size_t *read; /* coordinates read, of update 0 */
};

static const struct trib_update_info *info(const void *context, size_t i)
{
    static const struct trib_update_info one = {.examples = 1, .weight = 1, .counted = 1};
    (void)context, (void)i;
    return &one;
}

static enum trib_status read_values(const void *context, size_t i, size_t first, size_t n, float *out,
                                    struct trib_error *error)
{
    const struct source *source = context;
    if (i >= source->bad_from && i < source->bad_to && first >= source->bad_first) {
        return trib_fail(error, TRIB_IO, "update %zu at %zu", i, first);
    }
    if (i == 0 && source->read) {
        *source->read += n;
    }
    memcpy(out, source->values + i * source->n + first, n * sizeof *out);
    return TRIB_OK;
}

static const struct trib_update_set_table table = {.info = info, .read = read_values};

static float *make_values(size_t n_updates, size_t n)
{
    float *values = malloc(n_updates * n * sizeof *values);
    struct trib_rng rng = trib_rng_init(3, "values", n_updates, n);
    ck_assert_ptr_nonnull(values);
    for (size_t j = 0; j < n_updates * n; j++) {
        values[j] = trib_rng_uniform(&rng) - 0.5F;
    }
    return values;
}

static void *begun(const char *name, const struct trib_strategy **strategy)
{
    struct trib_error error;
    *strategy = trib_strategy_find(name);
    ck_assert_ptr_nonnull(*strategy);
    void *state = trib_calloc(1, (*strategy)->state_size);
    ck_assert_int_eq((*strategy)->begin(state, &options, 1, 8, 1, &error), TRIB_OK);
    return state;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Cohorts around powers of two, where the network changes its shape. */
START_TEST(large_cohorts)
{
    static const size_t cohorts[] = {63, 64, 65, 127, 128, 129, 255, 256, 257, 999, 1000, 1024, 1025};
    enum { N = 70 };
    size_t n_updates = cohorts[_i];
    const struct trib_strategy *strategy;
    void *state = begun("median", &strategy);
    float *values = make_values(n_updates, N), *column = malloc(n_updates * sizeof *column), direction[N];
    const struct source source = {.values = values, .n = N};
    const struct trib_update_set set = {
        .table = &table, .context = &source, .n_updates = n_updates, .n = N, .block = 32};
    struct trib_error error;
    for (size_t memory = 1; memory < 1000000; memory = memory * 99 + 1) {
        const struct trib_combination combination = {
            .strategy = strategy, .state = state, .set = &set, .memory = memory};
        ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_OK);
        for (size_t j = 0; j < N; j++) {
            for (size_t i = 0; i < n_updates; i++) {
                column[i] = values[i * N + j];
            }
            qsort(column, n_updates, sizeof *column, by_value);
            double middle = ((double)column[(n_updates - 1) / 2] + (double)column[n_updates / 2]) / 2;
            ck_assert(direction[j] == (float)middle);
        }
    }
    strategy->clear(state);
    trib_free(state);
    free(values);
    free(column);
}
END_TEST

/* With memory for every block each coordinate is decoded once; with less, a block's start is decoded again. */
START_TEST(decodes_no_more_than_memory_asks_for)
{
    enum { N = 1000, BLOCK = 256, UPDATES = 10 };
    const struct trib_strategy *strategy;
    void *state = begun("median", &strategy);
    float *values = make_values(UPDATES, N), direction[N];
    size_t read = 0;
    const struct source source = {.values = values, .n = N, .read = &read};
    const struct trib_update_set set = {
        .table = &table, .context = &source, .n_updates = UPDATES, .n = N, .block = BLOCK};
    struct trib_combination combination = {.strategy = strategy, .state = state, .set = &set};
    struct trib_error error;
    ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_OK);
    ck_assert_uint_eq(read, N);
    combination.memory = UPDATES * BLOCK * sizeof(float);
    read = 0;
    ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_OK);
    ck_assert_uint_eq(read, N);
    combination.memory = UPDATES * (BLOCK / 2) * sizeof(float); /* blocks in two parts: 128 + 256 */
    read = 0;
    ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_OK);
    ck_assert_uint_eq(read, 3 * (128 + 256) + 128 + 232);
    strategy->clear(state);
    trib_free(state);
    free(values);
}
END_TEST

/* The failure that is told is that of the first part, however many threads there are. */
START_TEST(a_failure_is_told)
{
    enum { N = 640, UPDATES = 6 };
    const struct trib_strategy *strategy;
    void *state = begun("trimmed_mean", &strategy);
    float *values = make_values(UPDATES, N), direction[N];
    const struct source source = {.values = values, .n = N, .bad_from = 2, .bad_to = 5, .bad_first = 64};
    const struct trib_update_set set = {.table = &table, .context = &source, .n_updates = UPDATES, .n = N, .block = 64};
    struct trib_thread_pool *pool;
    struct trib_error error = {0};
    ck_assert_int_eq(trib_thread_pool_new(4, &pool, &error), TRIB_OK);
    for (int run = 0; run < 20; run++) {
        struct trib_combination combination = {
            .strategy = strategy, .state = state, .set = &set, .pool = run % 2 ? pool : NULL};
        ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_IO);
        ck_assert_str_eq(error.message, "update 2 at 64");
    }
    trib_thread_pool_free(pool);
    strategy->clear(state);
    trib_free(state);
    free(values);
}
END_TEST

START_TEST(memory_runs_out)
{
    enum { N = 640, UPDATES = 6 };
    const struct trib_strategy *strategy;
    void *state = begun("median", &strategy);
    float *values = make_values(UPDATES, N), direction[N];
    const struct source source = {.values = values, .n = N};
    const struct trib_update_set set = {.table = &table, .context = &source, .n_updates = UPDATES, .n = N, .block = 64};
    const struct trib_combination combination = {.strategy = strategy, .state = state, .set = &set, .memory = 1000};
    struct trib_error error;
    enum trib_status status = TRIB_NO_MEMORY;
    int64_t after = 0;
    for (; status != TRIB_OK; after++) {
        (void)fail_memory_after(after, false);
        status = trib_combine(&combination, direction, &error);
        (void)fail_memory_after(-1, false);
        ck_assert(status == TRIB_OK || status == TRIB_NO_MEMORY);
    }
    ck_assert_int_eq(after, 4); /* panel, block, workspace; then all is well */
    strategy->clear(state);
    trib_free(state);
    free(values);
}
END_TEST

START_TEST(blocks_are_whole_grains)
{
    static const size_t bad[] = {0, 1, 15, 24, 100};
    const struct trib_strategy *strategy;
    void *state = begun("median", &strategy);
    float *values = make_values(1, 8), direction[8];
    const struct source source = {.values = values, .n = 8};
    struct trib_error error;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct trib_update_set set = {
            .table = &table, .context = &source, .n_updates = 1, .n = 8, .block = bad[i]};
        const struct trib_combination combination = {.strategy = strategy, .state = state, .set = &set};
        ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_INVALID);
    }
    ck_assert_uint_eq(strategy->workspace(SIZE_MAX / 16, 1024), SIZE_MAX);
    ck_assert_uint_eq(strategy->workspace(2, SIZE_MAX), SIZE_MAX);
    strategy->clear(state);
    trib_free(state);
    free(values);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("combine");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, large_cohorts, 0, 13);
    tcase_add_test(tests, decodes_no_more_than_memory_asks_for);
    tcase_add_test(tests, a_failure_is_told);
    tcase_add_test(tests, memory_runs_out);
    tcase_add_test(tests, blocks_are_whole_grains);
    Suite *suite = suite_create("combine");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
