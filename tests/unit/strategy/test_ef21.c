/* EF21's own tests: what is committed counts for ever, what is not leaves no trace. */
#include "strategy/strategy.h"

#include "base/mem.h"
#include "base/rng.h"

#include "test_main.h"

#include <math.h>
#include <string.h>

enum { N = 3, CLIENTS = 3 };
static const uint64_t weights[CLIENTS] = {10, 30, 60};

static const struct trib_strategy *strategy;
static void *state;
static struct trib_error error;

/* What the strategy should know, in long double. */
static long double estimates[CLIENTS][N];
static bool known[CLIENTS];

static void setup(void)
{
    strategy = trib_strategy_find("ef21");
    ck_assert_ptr_nonnull(strategy);
    state = trib_calloc(1, strategy->state_size);
    memset(estimates, 0, sizeof estimates);
    memset(known, 0, sizeof known);
}

static void teardown(void)
{
    strategy->clear(state);
    trib_free(state);
}

/* Fold `differences[c]` of the clients in `who` (a bit each); next = G. */
static void run_round(unsigned who, float differences[CLIENTS][N], bool committed, float next[N])
{
    const struct trib_strategy_options options = {.server_learning_rate = 1};
    ck_assert_int_eq(strategy->begin(state, &options, N, 8, 1000, &error), TRIB_OK);
    for (unsigned c = 0; c < CLIENTS; c++) {
        if (who >> c & 1) {
            struct trib_update_info info = {
                .examples = weights[c], .weight = weights[c], .counted = weights[c], .first = !known[c]};
            ck_assert_int_eq(strategy->fold_begin(state, &info, &error), TRIB_OK);
            strategy->fold(state, &info, 0, differences[c], N);
        }
    }
    double step;
    ck_assert_int_eq(strategy->finish(state, next, &step, &error), TRIB_OK);
    ck_assert(step == 1);
    if (committed) {
        strategy->commit(state);
    }
    for (unsigned c = 0; c < CLIENTS && committed; c++) {
        if (who >> c & 1) {
            known[c] = true;
            for (int j = 0; j < N; j++) {
                estimates[c][j] += (long double)differences[c][j];
            }
        }
    }
}

static void check(const float next[N])
{
    for (int j = 0; j < N; j++) {
        long double sum = 0, weight = 0;
        for (unsigned c = 0; c < CLIENTS; c++) {
            sum += known[c] ? (long double)weights[c] * estimates[c][j] : 0;
            weight += known[c] ? (long double)weights[c] : 0;
        }
        ck_assert_double_le(fabs((double)((long double)next[j] - sum / weight)), 1e-6);
    }
}

START_TEST(the_mean_of_what_every_client_said)
{
    static const unsigned who[] = {1, 3, 4, 7, 2, 5};
    for (unsigned round = 0; round < sizeof who / sizeof who[0]; round++) {
        float differences[CLIENTS][N], next[N];
        for (unsigned c = 0; c < CLIENTS; c++) {
            for (unsigned j = 0; j < N; j++) {
                differences[c][j] = (float)((int)(c * 7 + j * 3 + round * 5) % 11 - 5) / 4.0F;
            }
        }
        run_round(who[round], differences, true, next);
        check(next);
    }
}
END_TEST

START_TEST(what_is_not_committed_leaves_no_trace)
{
    float first[CLIENTS][N] = {{1, 2, 3}, {-1, 0, 1}, {2, 2, 2}}, lost[CLIENTS][N] = {{5, 5, 5}, {5, 5, 5}, {5, 5, 5}};
    float next[N], again[N];
    run_round(1, first, true, next);
    run_round(7, lost, false, next);
    run_round(2, first, true, again);
    check(again);
}
END_TEST

/* The model's bits are those of two roundings: G in float, then (float)(model + rate * G), in double. */
START_TEST(two_roundings_make_the_model)
{
    enum { LENGTH = 2500 };
    static const double rates[] = {1, 0.3, 1.7};
    static float model[LENGTH], values[LENGTH], next[LENGTH], known_mean[LENGTH], mean[LENGTH];
    struct trib_rng rng = trib_rng_init(8, "two_roundings", 0, 0);
    struct trib_accumulator sum;
    double known_weight = 0, step;
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) { /* each round has a client more */
        const struct trib_strategy_options options = {.server_learning_rate = rates[r]};
        double all = known_weight + (double)weights[r];
        ck_assert_int_eq(strategy->begin(state, &options, LENGTH, 8, 1000, &error), TRIB_OK);
        ck_assert_int_eq(trib_accumulator_init(&sum, LENGTH, 8, 1000, &error), TRIB_OK);
        for (size_t c = 0; c <= r; c++) {
            struct trib_update_info info = {
                .examples = weights[c], .weight = weights[c], .counted = weights[c], .first = c == r};
            for (size_t j = 0; j < LENGTH; j++) {
                values[j] = trib_rng_uniform(&rng) - 0.5F;
                model[j] = trib_rng_uniform(&rng) - 0.5F;
            }
            ck_assert_int_eq(strategy->fold_begin(state, &info, &error), TRIB_OK);
            ck_assert_int_eq(trib_accumulator_begin(&sum, info.weight, &error), TRIB_OK);
            strategy->fold(state, &info, 0, values, LENGTH);
            trib_accumulator_add(&sum, info.weight, 0, values, LENGTH);
        }
        trib_accumulator_mean(&sum, 0, LENGTH, mean);
        ck_assert_int_eq(strategy->finish(state, next, &step, &error), TRIB_OK);
        ck_assert(step == rates[r]);
        trib_strategy_apply(model, next, step, LENGTH, next);
        for (size_t j = 0; j < LENGTH; j++) {
            known_mean[j] =
                (float)((known_weight * (double)known_mean[j] + (double)sum.total_weight * (double)mean[j]) / all);
            volatile double exact = (double)model[j] + rates[r] * (double)known_mean[j];
            if (next[j] != (float)exact) {
                ck_abort_msg("round %zu, element %zu is %a, not %a", r, j, (double)next[j], (double)(float)exact);
            }
        }
        strategy->commit(state);
        known_weight = all;
        trib_accumulator_clear(&sum);
    }
}
END_TEST

START_TEST(nothing_folded_is_no_model)
{
    const struct trib_strategy_options options = {.server_learning_rate = 1};
    float next[N];
    double step;
    ck_assert_int_eq(strategy->begin(state, &options, N, 8, 1000, &error), TRIB_OK);
    ck_assert_int_eq(strategy->finish(state, next, &step, &error), TRIB_UNAVAILABLE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ef21");
    TCase *tests = tcase_create("ef21");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_mean_of_what_every_client_said);
    tcase_add_test(tests, what_is_not_committed_leaves_no_trace);
    tcase_add_test(tests, nothing_folded_is_no_model);
    tcase_add_test(tests, two_roundings_make_the_model);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
