/* FedAvg with updates that weigh less than they are counted for, as stale ones do. The rest is the strategies'
 * conformance. */
#include "strategy/strategy.h"

#include "base/mem.h"
#include "test_main.h"

#include <math.h>

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
    ck_assert_int_eq(strategy->finish(state, model, next, &error), TRIB_OK);
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

int main(void)
{
    TCase *tests = tcase_create("fedavg");
    tcase_add_test(tests, stale_updates_shrink_the_step);
    tcase_add_test(tests, nobody_weighs_more_than_counted);
    Suite *suite = suite_create("fedavg");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
