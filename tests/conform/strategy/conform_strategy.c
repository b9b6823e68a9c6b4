/* Every listed strategy keeps the contract of strategy/strategy.h: the order of updates leaves no trace, the result is
 * what its formula says, mistakes are refused. A strategy without a row in `oracles` fails: say what it computes. */
#include "strategy/combine.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/thread_pool.h"

#include "fail_memory.h"
#include "test_main.h"

#include <math.h>
#include <string.h>

enum { N = 2500, UPDATES = 9 };

/* One round's input. */
struct input {
    float model[N], updates[UPDATES][N];
    struct trib_update_info info[UPDATES];
    struct trib_strategy_options options;
    double max_abs;
    uint64_t max_total_weight;
    uint32_t order[UPDATES]; /* in which the updates come */
};

static long double weighted_mean(const struct input *input, size_t j)
{
    long double sum = 0, weight = 0;
    for (size_t k = 0; k < UPDATES; k++) {
        sum += (long double)input->updates[k][j] * input->info[k].weight;
        weight += input->info[k].weight;
    }
    return sum / weight;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static long double sorted_median(float *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return ((long double)values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* By the default share, a tenth: in integers. */
static long double sorted_trimmed_mean(float *values, size_t n)
{
    size_t out = n / 10;
    long double sum = 0;
    qsort(values, n, sizeof *values, by_value);
    for (size_t i = out; i < n - out; i++) {
        sum += values[i];
    }
    return sum / (n - 2 * out);
}

/* The naive value of element j of the direction; for those that combine, the naive value of a column. */
static const struct oracle {
    const char *name;
    long double (*direction)(const struct input *input, size_t j);
    long double (*column)(float *values, size_t n);
} oracles[] = {
    {"fedavg", weighted_mean, NULL},
    {"ef21", weighted_mean, NULL}, /* in its first round; tests/unit/strategy/test_ef21.c has the others */
    {"median", NULL, sorted_median},
    {"trimmed_mean", NULL, sorted_trimmed_mean},
};

static const struct trib_strategy *strategy_at(int i)
{
    const struct trib_strategy *const *list;
    ck_assert_uint_lt((size_t)i, trib_strategies(&list));
    return list[i];
}

static const struct oracle *oracle_of(const struct trib_strategy *strategy)
{
    for (size_t i = 0; i < sizeof oracles / sizeof oracles[0]; i++) {
        if (trib_str_equal(oracles[i].name, strategy->name)) {
            return &oracles[i];
        }
    }
    ck_abort_msg("strategy %s has no row in oracles[]: say what it computes", strategy->name);
    return NULL;
}

static struct input *make_input(uint64_t seed)
{
    struct input *input = calloc(1, sizeof *input);
    ck_assert_ptr_nonnull(input);
    struct trib_rng rng = trib_rng_init(seed, "strategy", 0, 0);
    input->options.server_learning_rate = seed % 3 == 0 ? 1 : 0.3 * (double)(seed % 7 + 1);
    input->options.gives = TRIB_STRATEGY_NEEDS_SET;
    input->max_abs = 8;
    for (uint32_t k = 0; k < UPDATES; k++) {
        uint64_t examples = 1 + trib_rng_below(&rng, 5000);
        input->order[k] = k;
        input->info[k] =
            (struct trib_update_info){.examples = examples, .weight = examples > 4000 ? 4000 : examples, .first = true};
        input->info[k].counted = input->info[k].weight;
        input->max_total_weight += input->info[k].weight;
        for (size_t j = 0; j < N; j++) {
            double value = trib_rng_normal(&rng) * exp2(-12 + 14 * trib_rng_uniform64(&rng));
            input->updates[k][j] = (float)fmax(-8, fmin(8, value));
        }
    }
    for (size_t j = 0; j < N; j++) {
        input->model[j] = (float)trib_rng_normal(&rng);
    }
    return input;
}

static enum trib_status begin(const struct trib_strategy *strategy, void *state, const struct input *input,
                              struct trib_error *error)
{
    return strategy->begin(state, &input->options, N, input->max_abs, input->max_total_weight, error);
}

static void *begun(const struct trib_strategy *strategy, const struct input *input)
{
    void *state = calloc(1, strategy->state_size);
    struct trib_error error = {0};
    ck_assert_ptr_nonnull(state);
    ck_assert_msg(begin(strategy, state, input, &error) == TRIB_OK, "%s", error.message);
    return state;
}

static void end(const struct trib_strategy *strategy, void *state)
{
    strategy->clear(state);
    strategy->clear(state); /* twice is harmless */
    free(state);
}

/* Fold all updates in their order, each in blocks of random lengths. */
static void fold_all(const struct trib_strategy *strategy, void *state, const struct input *input, struct trib_rng *rng)
{
    struct trib_error error = {0};
    for (size_t i = 0; i < UPDATES; i++) {
        const struct trib_update_info *info = &input->info[input->order[i]];
        ck_assert_msg(strategy->fold_begin(state, info, &error) == TRIB_OK, "%s", error.message);
        for (size_t first = 0; first < N;) {
            size_t n = 1 + trib_rng_below(rng, 700);
            n = n < N - first ? n : N - first;
            strategy->fold(state, info, first, input->updates[input->order[i]] + first, n);
            first += n;
        }
    }
}

static const struct trib_update_info *input_info(const void *context, size_t i)
{
    const struct input *input = context;
    return &input->info[input->order[i]];
}

static enum trib_status input_read(const void *context, size_t i, size_t first, size_t n, float *out,
                                   struct trib_error *error)
{
    (void)error;
    const struct input *input = context;
    memcpy(out, input->updates[input->order[i]] + first, n * sizeof *out);
    return TRIB_OK;
}

static const struct trib_update_set_table input_table = {.info = input_info, .read = input_read};

/* The round's direction and step, after begin. */
static enum trib_status finish(const struct trib_strategy *strategy, void *state, const struct input *input,
                               struct trib_rng *rng, float *direction, double *step)
{
    struct trib_error error = {0};
    if (strategy->caps & TRIB_STRATEGY_NEEDS_SET) {
        const struct trib_update_set set = {
            .table = &input_table, .context = input, .n_updates = UPDATES, .n = N, .block = 160};
        const struct trib_combination combination = {
            .strategy = strategy, .state = state, .set = &set, .memory = 1 + trib_rng_below(rng, 20000)};
        TRIB_TRY(trib_combine(&combination, direction, &error));
    } else {
        fold_all(strategy, state, input, rng);
    }
    return strategy->finish(state, direction, step, &error);
}

START_TEST(table_is_complete)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    ck_assert_ptr_nonnull(strategy->name);
    ck_assert_ptr_nonnull(strategy->help);
    ck_assert_ptr_nonnull(strategy->begin);
    ck_assert_ptr_nonnull(strategy->finish);
    ck_assert_ptr_nonnull(strategy->clear);
    ck_assert_uint_gt(strategy->state_size, 0);
    ck_assert_ptr_eq(trib_strategy_find(strategy->name), strategy);
    ck_assert_ptr_null(trib_strategy_find("no such strategy"));
    ck_assert_ptr_null(trib_strategy_find(NULL));

    /* one of two forms, never both */
    bool combines = strategy->caps & TRIB_STRATEGY_NEEDS_SET;
    ck_assert_int_eq(!strategy->combine, !combines);
    ck_assert_int_eq(!strategy->workspace, !combines);
    ck_assert_int_eq(!strategy->fold_begin, combines);
    ck_assert_int_eq(!strategy->fold, combines);
    ck_assert(!(combines && strategy->caps & TRIB_STRATEGY_ADDITIVE));

    /* what outlives the process comes as a whole */
    bool saves = strategy->save;
    ck_assert_int_eq(!strategy->saved_len, !saves);
    ck_assert_int_eq(!strategy->load, !saves);
    ck_assert(!saves || strategy->caps & TRIB_STRATEGY_REMEMBERS);

    for (size_t i = 0; i < strategy->settings.n_rules; i++) {
        ck_assert_ptr_nonnull(strategy->settings.rules[i].other.key);
        ck_assert_ptr_nonnull(strategy->settings.rules[i].says);
    }
}
END_TEST

/* The rows' own defaults make options that a round can begin with, and give what options without rows give. */
START_TEST(rows_make_options)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    struct trib_error error = {0};
    struct trib_config_node *empty;
    for (size_t i = 0; i < strategy->settings.n_rows; i++) {
        ck_assert_int_eq(strncmp(strategy->settings.rows[i].key, "strategy.", 9), 0);
        ck_assert_uint_lt(strategy->settings.rows[i].offset, strategy->settings.size);
        ck_assert(!(strategy->settings.rows[i].flags & TRIB_ROW_REQUIRED));
    }
    void *own = calloc(1, strategy->settings.size);
    ck_assert_ptr_nonnull(own);
    ck_assert_int_eq(trib_config_parse_text("empty", "", 0, &empty, &error), TRIB_OK);
    ck_assert_msg(trib_config_apply(empty, strategy->settings.rows, strategy->settings.n_rows, own, &error) == TRIB_OK,
                  "%s", error.message);
    struct input *input = make_input(3); /* learning rate 1, which is the default */
    struct trib_rng rng = trib_rng_init(1, "rows", 0, 0);
    static float direction[2][N];
    double step[2] = {0, 0};
    for (int with = 0; with < 2; with++) {
        input->options.own = with ? own : NULL;
        input->options.server_learning_rate = with ? NAN : 1; /* not read then */
        void *state = begun(strategy, input);
        ck_assert_int_eq(finish(strategy, state, input, &rng, direction[with], &step[with]), TRIB_OK);
        end(strategy, state);
    }
    ck_assert_mem_eq(direction[0], direction[1], sizeof direction[0]);
    ck_assert(step[0] == 1 && step[1] == 1);
    trib_config_clear(strategy->settings.rows, strategy->settings.n_rows, own);
    trib_config_free(empty);
    free(input);
    free(own);
}
END_TEST

START_TEST(order_does_not_matter)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    static float first[N], direction[N];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct input *input = make_input(seed);
        struct trib_rng rng = trib_rng_init(seed, "order", 0, 0);
        double first_step = 0, step = 0;
        for (size_t k = 0; k < UPDATES; k++) { /* zeros of both signs, and equals */
            input->updates[k][0] = k % 2 ? -0.0F : 0.0F;
            input->updates[k][1] = (float)(k / 2);
        }
        void *state = begun(strategy, input);
        for (int permutation = 0; permutation < 20; permutation++) {
            struct trib_error error = {0};
            if (permutation > 0) { /* the same state begins again */
                ck_assert_int_eq(begin(strategy, state, input, &error), TRIB_OK);
            }
            ck_assert_int_eq(finish(strategy, state, input, &rng, permutation ? direction : first,
                                    permutation ? &step : &first_step),
                             TRIB_OK);
            if (permutation > 0) {
                ck_assert_mem_eq(direction, first, sizeof direction);
                ck_assert(step == first_step);
            }
            trib_rng_shuffle_u32(&rng, input->order, UPDATES);
        }
        end(strategy, state);
        free(input);
    }
}
END_TEST

static long double expected_direction(const struct oracle *oracle, const struct input *input, size_t j)
{
    if (oracle->direction) {
        return oracle->direction(input, j);
    }
    float column[UPDATES];
    for (size_t k = 0; k < UPDATES; k++) {
        column[k] = input->updates[k][j];
    }
    return oracle->column(column, UPDATES);
}

START_TEST(equals_its_formula)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    const struct oracle *oracle = oracle_of(strategy);
    static float next[N];
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct input *input = make_input(seed);
        struct trib_rng rng = trib_rng_init(seed, "formula", 0, 0);
        double step = 0;
        void *state = begun(strategy, input);
        ck_assert_int_eq(finish(strategy, state, input, &rng, next, &step), TRIB_OK);
        trib_strategy_apply(input->model, next, step, N, next);
        for (size_t j = 0; j < N; j++) {
            long double way = (long double)input->options.server_learning_rate * expected_direction(oracle, input, j);
            long double expected = (long double)input->model[j] + way;
            /* one rounding to float of the mean and one of the result */
            long double tolerance = 0x1p-24L * (fabsl(expected) + fabsl(way)) * 1.01L + 0x1p-40L;
            if (!(fabsl((long double)next[j] - expected) <= tolerance)) {
                ck_abort_msg("%s: seed %d, element %zu: %a, not %La", strategy->name, (int)seed, j, (double)next[j],
                             expected);
            }
        }
        end(strategy, state);
        free(input);
    }
}
END_TEST

START_TEST(nothing_folded)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    struct input *input = make_input(1);
    void *state = begun(strategy, input);
    struct trib_error error = {0};
    static float direction[N];
    double step = 42;
    direction[0] = 42;
    if (strategy->combine) {
        const struct trib_update_set set = {.table = &input_table, .context = input, .n = N, .block = 160};
        const struct trib_combination combination = {.strategy = strategy, .state = state, .set = &set};
        ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_UNAVAILABLE);
    } else {
        ck_assert_int_eq(strategy->finish(state, direction, &step, &error), TRIB_UNAVAILABLE);
    }
    ck_assert_int_eq(strncmp(error.message, strategy->name, strlen(strategy->name)), 0);
    ck_assert_ptr_nonnull(strstr(error.message, "no update"));
    ck_assert(direction[0] == 42 && step == 42);
    end(strategy, state);
    free(input);
}
END_TEST

START_TEST(rates_refused)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    struct trib_error error = {0};
    void *state = calloc(1, strategy->state_size);
    static const double bad_rates[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad_rates / sizeof bad_rates[0]; i++) {
        struct trib_strategy_options options = {.server_learning_rate = bad_rates[i], .gives = TRIB_STRATEGY_NEEDS_SET};
        ck_assert_int_eq(strategy->begin(state, &options, N, 8, 100, &error), TRIB_INVALID);
        ck_assert_ptr_nonnull(strstr(error.message, "learning rate"));
    }
    end(strategy, state);
}
END_TEST

/* A server that folds updates one by one refuses, at its start, a strategy that it could not feed. */
START_TEST(a_set_must_be_given)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    const struct trib_strategy_options options = {.server_learning_rate = 1};
    struct trib_error error = {0};
    void *state = calloc(1, strategy->state_size);
    enum trib_status status = strategy->begin(state, &options, N, 8, 100, &error);
    if (strategy->caps & TRIB_STRATEGY_NEEDS_SET) {
        ck_assert_int_eq(status, TRIB_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(error.message, "all of a round's updates at once"));
    } else {
        ck_assert_int_eq(status, TRIB_OK);
    }
    end(strategy, state);
}
END_TEST

START_TEST(bad_folds_refused)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    struct input *input = make_input(1);
    struct trib_error error = {0};
    void *state = calloc(1, strategy->state_size);
    if (!strategy->fold) { /* nothing is allocated or weighed in begin; combinations have a test of their own */
        end(strategy, state);
        free(input);
        return;
    }
    ck_assert_int_eq(strategy->begin(state, &input->options, N, 0, 100, &error), TRIB_INVALID);
    ck_assert_int_eq(strategy->begin(state, &input->options, N, 8, 0, &error), TRIB_INVALID);
    (void)fail_memory_after(0, true);
    ck_assert_int_eq(strategy->begin(state, &input->options, N, 8, 100, &error), TRIB_NO_MEMORY);
    (void)fail_memory_after(-1, false);

    ck_assert_int_eq(strategy->begin(state, &input->options, N, 8, 100, &error), TRIB_OK);
    struct trib_update_info heavy = {.examples = 101, .weight = 101, .counted = 101}, none = {0};
    ck_assert_int_eq(strategy->fold_begin(state, &heavy, &error), TRIB_LIMIT);
    ck_assert_int_eq(strategy->fold_begin(state, &none, &error), TRIB_INVALID);
    static float direction[N];
    double step;
    ck_assert_int_eq(strategy->finish(state, direction, &step, &error), TRIB_UNAVAILABLE);
    end(strategy, state);
    free(input);
}
END_TEST

/* ---- combinations of cohorts of every size ---- */

enum { MOST_UPDATES = 40, MOST_N = 700 };

struct cohort {
    size_t n_updates, n, block;
    float values[MOST_UPDATES][MOST_N];
};

static const struct trib_update_info *cohort_info(const void *context, size_t i)
{
    static const struct trib_update_info info = {.examples = 1, .weight = 1, .counted = 1};
    (void)context, (void)i;
    return &info;
}

/* Reads within the contract, or fails. */
static enum trib_status cohort_read(const void *context, size_t i, size_t first, size_t n, float *out,
                                    struct trib_error *error)
{
    const struct cohort *cohort = context;
    if (i >= cohort->n_updates || first % cohort->block != 0 || n == 0 || n > cohort->block || first + n > cohort->n) {
        return trib_fail(error, TRIB_INTERNAL, "read(%zu, %zu, %zu) is not within blocks of %zu", i, first, n,
                         cohort->block);
    }
    memcpy(out, cohort->values[i] + first, n * sizeof *out);
    return TRIB_OK;
}

static const struct trib_update_set_table cohort_table = {.info = cohort_info, .read = cohort_read};

enum { KIND_NORMAL, KIND_TIES, KIND_EQUAL, KIND_EXTREME, KINDS };

static void make_cohort(struct cohort *cohort, size_t n_updates, int kind, struct trib_rng *rng)
{
    static const size_t blocks[] = {16, 48, 96, 256, 1024};
    static const float extremes[] = {0, -0.0F, 0x1p-149F, -0x1p-149F, 3e38F, -3e38F, 1, -1};
    cohort->n_updates = n_updates;
    cohort->n = 1 + trib_rng_below(rng, MOST_N);
    cohort->block = blocks[trib_rng_below(rng, 5)];
    for (size_t i = 0; i < n_updates; i++) {
        for (size_t j = 0; j < cohort->n; j++) {
            cohort->values[i][j] = kind == KIND_NORMAL  ? (float)trib_rng_normal(rng)
                                   : kind == KIND_TIES  ? (float)trib_rng_below(rng, 3) - 1
                                   : kind == KIND_EQUAL ? 0.1F * (float)j
                                                        : extremes[trib_rng_below(rng, 8)];
        }
    }
}

static void check_cohort(const struct trib_strategy *strategy, const struct oracle *oracle, const void *state,
                         const struct cohort *cohort, struct trib_thread_pool *pool, struct trib_rng *rng)
{
    const struct trib_update_set set = {.table = &cohort_table,
                                        .context = cohort,
                                        .n_updates = cohort->n_updates,
                                        .n = cohort->n,
                                        .block = cohort->block};
    static const size_t memories[] = {0, 1, 3000, 30000};
    static float direction[MOST_N], again[MOST_N];
    struct trib_error error = {0};
    struct trib_combination combination = {.strategy = strategy, .state = state, .set = &set};
    ck_assert_msg(trib_combine(&combination, direction, &error) == TRIB_OK, "%s", error.message);
    for (size_t j = 0; j < cohort->n; j++) {
        float column[MOST_UPDATES];
        for (size_t i = 0; i < cohort->n_updates; i++) {
            column[i] = cohort->values[i][j];
        }
        long double expected = oracle->column(column, cohort->n_updates), largest = 0;
        for (size_t i = 0; i < cohort->n_updates; i++) {
            largest = fmaxl(largest, fabsl(column[i]));
        }
        if (!(fabsl((long double)direction[j] - expected) <=
              0x1p-24L * fabsl(expected) + 0x1p-46L * largest + 0x1p-149L)) {
            ck_abort_msg("%s: %zu updates, element %zu of %zu: %a, not %La", strategy->name, cohort->n_updates, j,
                         cohort->n, (double)direction[j], expected);
        }
    }
    for (size_t m = 0; m < sizeof memories / sizeof memories[0]; m++) { /* neither memory nor threads leave a trace */
        combination.memory = memories[m];
        combination.pool = trib_rng_below(rng, 2) ? pool : NULL;
        memset(again, 0xff, sizeof again);
        ck_assert_msg(trib_combine(&combination, again, &error) == TRIB_OK, "%s", error.message);
        ck_assert_mem_eq(again, direction, cohort->n * sizeof *again);
    }
}

START_TEST(combines_any_cohort)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    if (!strategy->combine) {
        return;
    }
    const struct trib_strategy_options options = {.server_learning_rate = 1, .gives = TRIB_STRATEGY_NEEDS_SET};
    struct trib_rng rng = trib_rng_init(5, "cohorts", 0, 0);
    struct trib_thread_pool *pool = NULL;
    struct trib_error error = {0};
    struct cohort *cohort = calloc(1, sizeof *cohort);
    void *state = calloc(1, strategy->state_size);
    ck_assert_int_eq(trib_thread_pool_new(3, &pool, &error), TRIB_OK);
    ck_assert_int_eq(strategy->begin(state, &options, MOST_N, 4e38, 1000, &error), TRIB_OK);
    for (size_t n_updates = 1; n_updates <= MOST_UPDATES; n_updates++) {
        for (int kind = 0; kind < KINDS; kind++) {
            make_cohort(cohort, n_updates, kind, &rng);
            check_cohort(strategy, oracle_of(strategy), state, cohort, pool, &rng);
        }
    }
    end(strategy, state);
    trib_thread_pool_free(pool);
    free(cohort);
}
END_TEST

/* Nans are refused before an update is in a set; if one came through, only its own column would suffer. */
START_TEST(a_nan_stays_in_its_column)
{
    const struct trib_strategy *strategy = strategy_at(_i);
    if (!strategy->combine) {
        return;
    }
    struct input *input = make_input(2);
    struct trib_rng rng = trib_rng_init(6, "nan", 0, 0);
    static float clean[N], direction[N];
    double step;
    void *state = begun(strategy, input);
    ck_assert_int_eq(finish(strategy, state, input, &rng, clean, &step), TRIB_OK);
    input->updates[1][100] = NAN;
    input->updates[3][100] = -NAN;
    ck_assert_int_eq(finish(strategy, state, input, &rng, direction, &step), TRIB_OK);
    direction[100] = clean[100];
    ck_assert_mem_eq(direction, clean, sizeof clean);
    end(strategy, state);
    free(input);
}
END_TEST

int main(void)
{
    const struct trib_strategy *const *list;
    int n = (int)trib_strategies(&list);
    Suite *suite = suite_create("strategies");
    TCase *tests = tcase_create("conform");
    tcase_add_loop_test(tests, table_is_complete, 0, n);
    tcase_add_loop_test(tests, rows_make_options, 0, n);
    tcase_add_loop_test(tests, order_does_not_matter, 0, n);
    tcase_add_loop_test(tests, equals_its_formula, 0, n);
    tcase_add_loop_test(tests, nothing_folded, 0, n);
    tcase_add_loop_test(tests, rates_refused, 0, n);
    tcase_add_loop_test(tests, a_set_must_be_given, 0, n);
    tcase_add_loop_test(tests, bad_folds_refused, 0, n);
    tcase_add_loop_test(tests, combines_any_cohort, 0, n);
    tcase_add_loop_test(tests, a_nan_stays_in_its_column, 0, n);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
