/* FedAvg's own tests: updates that weigh less than they are counted for, as stale ones do. The rest is the
 * strategies' conformance. */
#include "strategy/strategy.h"

#include "base/mem.h"
#include "base/rng.h"

#include "test_main.h"

#include <stdlib.h>

enum { N = 3 };

static const struct trib_strategy_options options = {.server_learning_rate = 1};

/* The model after these two updates of ones and twos. */
static void next_model(struct trib_update_info a, struct trib_update_info b, float next[N])
{
    static const float ones[N] = {1, 1, 1}, twos[N] = {2, 2, 2}, model[N] = {10, 20, 30};
    const struct trib_strategy *strategy = trib_strategy_find("fedavg");
    struct trib_error error;
    void *state = trib_calloc(1, strategy->state_size);
    ck_assert_int_eq(strategy->begin(state, &options, N, 8, 1000, &error), TRIB_OK);
    ck_assert_int_eq(strategy->fold_begin(state, &a, &error), TRIB_OK);
    strategy->fold(state, &a, 0, ones, N);
    ck_assert_int_eq(strategy->fold_begin(state, &b, &error), TRIB_OK);
    strategy->fold(state, &b, 0, twos, N);
    double step;
    ck_assert_int_eq(strategy->finish(state, next, &step, &error), TRIB_OK);
    trib_strategy_apply(model, next, step, N, next);
    strategy->clear(state);
    trib_free(state);
}

/* FedBuff's sum of w / sqrt(1 + s) over the sum of w: an old update moves the model less, and gives its share to
 * nobody. */
START_TEST(stale_updates_shrink_the_step)
{
    float next[N];
    const struct trib_update_info fresh = {.examples = 100, .weight = 100, .counted = 100};
    const struct trib_update_info stale = {.examples = 100, .weight = 50, .counted = 100};
    next_model(fresh, fresh, next);
    ck_assert_float_eq_tol(next[0], 11.5f, 1e-6f);
    next_model(fresh, stale, next);
    ck_assert_float_eq_tol(next[1], 21.0f, 1e-6f);
    next_model(stale, stale, next);
    ck_assert_float_eq_tol(next[2], 30.75f, 1e-6f);
}
END_TEST

START_TEST(nobody_weighs_more_than_counted)
{
    const struct trib_strategy *strategy = trib_strategy_find("fedavg");
    struct trib_error error;
    void *state = trib_calloc(1, strategy->state_size);
    const struct trib_update_info heavy = {.examples = 1, .weight = 2, .counted = 1};
    ck_assert_int_eq(strategy->begin(state, &options, N, 8, 1000, &error), TRIB_OK);
    ck_assert_int_eq(strategy->fold_begin(state, &heavy, &error), TRIB_INVALID);
    strategy->clear(state);
    trib_free(state);
}
END_TEST

/* The model's bits are those of one rounding: (float)(model + step * mean), in double, for any learning rate, any share
 * of stale updates, and lengths around the pieces in which the sums are handed back. */
START_TEST(one_rounding_makes_the_model)
{
    static const size_t lengths[] = {1, 1000, 1025, (1 << 20) - 1, 1 << 20, (1 << 20) + 1500};
    static const double rates[] = {1, 0.3, 1.7, 0.9};
    const struct trib_strategy *strategy = trib_strategy_find("fedavg");
    size_t n = lengths[_i];
    float *model = malloc(n * sizeof *model), *values = malloc(n * sizeof *values), *next = malloc(n * sizeof *next);
    float *mean = malloc(n * sizeof *mean);
    struct trib_rng rng = trib_rng_init(7, "one_rounding", n, 0);
    void *state = trib_calloc(1, strategy->state_size);
    struct trib_accumulator sum;
    struct trib_error error;
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        const struct trib_strategy_options some = {.server_learning_rate = rates[r]};
        uint64_t weight = 0, counted = 0;
        ck_assert_int_eq(strategy->begin(state, &some, n, 64, 1000, &error), TRIB_OK);
        ck_assert_int_eq(trib_accumulator_init(&sum, n, 64, 1000, &error), TRIB_OK);
        for (uint64_t k = 0; k < 3; k++) {
            const struct trib_update_info info = {.examples = 90, .weight = 90 - 20 * k * (r % 2), .counted = 90};
            for (size_t j = 0; j < n; j++) {
                values[j] = trib_rng_uniform(&rng) - 0.5F;
                model[j] = (trib_rng_uniform(&rng) - 0.5F) * (j % 3 == 0 ? 0x1p-8F : 1);
            }
            ck_assert_int_eq(strategy->fold_begin(state, &info, &error), TRIB_OK);
            ck_assert_int_eq(trib_accumulator_begin(&sum, info.weight, &error), TRIB_OK);
            strategy->fold(state, &info, 0, values, n);
            trib_accumulator_add(&sum, info.weight, 0, values, n);
            weight += info.weight;
            counted += info.counted;
        }
        double step = rates[r] * ((double)weight / (double)counted), given;
        trib_accumulator_mean(&sum, 0, n, mean);
        ck_assert_int_eq(strategy->finish(state, next, &given, &error), TRIB_OK);
        ck_assert(given == step);
        trib_strategy_apply(model, next, given, n, next); /* in place */
        for (size_t j = 0; j < n; j++) {
            volatile double exact = (double)model[j] + step * (double)mean[j];
            if (next[j] != (float)exact) {
                ck_abort_msg("element %zu of %zu is %a, not %a", j, n, (double)next[j], (double)(float)exact);
            }
        }
        trib_accumulator_clear(&sum);
    }
    strategy->clear(state);
    trib_free(state);
    free(model);
    free(values);
    free(next);
    free(mean);
}
END_TEST

START_TEST(the_model_may_be_the_result)
{
    float model[] = {1, 2, 3}, direction[] = {8, -8, 0.5F};
    trib_strategy_apply(model, direction, 0.5, 3, model);
    ck_assert(model[0] == 5 && model[1] == -2 && model[2] == 3.25F);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("fedavg");
    tcase_add_test(tests, stale_updates_shrink_the_step);
    tcase_add_test(tests, nobody_weighs_more_than_counted);
    tcase_add_loop_test(tests, one_rounding_makes_the_model, 0, 6);
    tcase_add_test(tests, the_model_may_be_the_result);
    tcase_set_timeout(tests, 120);
    Suite *suite = suite_create("fedavg");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
