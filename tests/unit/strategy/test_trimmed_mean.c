/* The trimmed mean's own tests: how many values each share leaves out, and shares that are refused. The default share
 * is the strategies' conformance. */
#include "strategy/combine.h"

#include "base/mem.h"

#include "test_main.h"

#include <math.h>
#include <string.h>

/* Options as the rows fill them. */
static struct trib_strategy_options options_of(const struct trib_strategy *strategy, const char *trim, void *own)
{
    struct trib_error error;
    struct trib_config_node *tree;
    ck_assert_int_eq(trib_config_parse_text("none", "", 0, &tree, &error), TRIB_OK);
    ck_assert_int_eq(trib_config_apply(tree, strategy->settings.rows, strategy->settings.n_rows, own, &error), TRIB_OK);
    trib_config_free(tree);
    ck_assert_msg(trib_config_set(strategy->settings.rows, strategy->settings.n_rows, own, "strategy.trim", trim,
                                  "test", &error) == TRIB_OK,
                  "%s", error.message);
    return (struct trib_strategy_options){.own = own, .gives = TRIB_STRATEGY_NEEDS_SET};
}

/* Update i is 2^i everywhere: a mean tells which values are in it. */
static const struct trib_update_info *info(const void *context, size_t i)
{
    static const struct trib_update_info one = {.examples = 1, .weight = 1, .counted = 1};
    (void)context, (void)i;
    return &one;
}

static enum trib_status read_powers(const void *context, size_t i, size_t first, size_t n, float *out,
                                    struct trib_error *error)
{
    (void)context, (void)first, (void)error;
    for (size_t j = 0; j < n; j++) {
        out[j] = ldexpf(1, (int)i);
    }
    return TRIB_OK;
}

static const struct trib_update_set_table table = {.info = info, .read = read_powers};

static const struct {
    const char *trim;
    size_t n_updates, left_out;
} shares[] = {
    {"0", 1, 0},     {"0", 7, 0},         {"0.1", 9, 0},       {"0.1", 10, 1},
    {"0.1", 19, 1},  {"0.1", 20, 2},      {"0.3", 10, 3},      {"0.29", 50, 14},
    {"0.35", 20, 7}, {"0.499999", 1, 0},  {"0.499999", 2, 0},  {"0.499999", 3, 1},
    {"0.4", 5, 2},   {"0.499999", 10, 4}, {"0.499999", 11, 5}, {"0.07", 100, 7},
};

START_TEST(shares_leave_out)
{
    const struct trib_strategy *strategy = trib_strategy_find("trimmed_mean");
    void *own = trib_calloc(1, strategy->settings.size), *state = trib_calloc(1, strategy->state_size);
    const struct trib_strategy_options options = options_of(strategy, shares[_i].trim, own);
    size_t n = shares[_i].n_updates, out = shares[_i].left_out;
    const struct trib_update_set set = {.table = &table, .n_updates = n, .n = 5, .block = 16};
    const struct trib_combination combination = {.strategy = strategy, .state = state, .set = &set};
    struct trib_error error;
    float direction[5];
    long double sum = 0;
    for (size_t i = out; i < n - out; i++) {
        sum += ldexpl(1, (int)i);
    }
    ck_assert_int_eq(strategy->begin(state, &options, 5, 64, 100, &error), TRIB_OK);
    ck_assert_int_eq(trib_combine(&combination, direction, &error), TRIB_OK);
    for (int j = 0; j < 5; j++) {
        ck_assert_float_eq_tol(direction[j] / (float)(sum / (n - 2 * out)), 1.0F, 1e-6F);
    }
    strategy->clear(state);
    trib_free(own);
    trib_free(state);
}
END_TEST

START_TEST(shares_refused)
{
    static const double bad[] = {0.5, 0.7, -0.01, NAN, INFINITY};
    const struct trib_strategy *strategy = trib_strategy_find("trimmed_mean");
    void *own = trib_calloc(1, strategy->settings.size), *state = trib_calloc(1, strategy->state_size);
    const struct trib_strategy_options options = options_of(strategy, "0.2", own);
    struct trib_error error;
    size_t offset = 0;
    for (size_t i = 0; i < strategy->settings.n_rows; i++) {
        offset =
            strcmp(strategy->settings.rows[i].key, "strategy.trim") == 0 ? strategy->settings.rows[i].offset : offset;
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memcpy((char *)own + offset, &bad[i], sizeof bad[i]);
        ck_assert_int_eq(strategy->begin(state, &options, 5, 64, 100, &error), TRIB_INVALID);
        ck_assert_ptr_nonnull(strstr(error.message, "below 0.5"));
    }
    ck_assert_int_eq(trib_config_set(strategy->settings.rows, strategy->settings.n_rows, own, "strategy.trim", "0.5",
                                     "test", &error),
                     TRIB_CONFIG);
    trib_free(own);
    trib_free(state);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("trimmed_mean");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, shares_leave_out, 0, (int)(sizeof shares / sizeof shares[0]));
    tcase_add_test(tests, shares_refused);
    Suite *suite = suite_create("trimmed_mean");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
