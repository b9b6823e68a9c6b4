/* Axes: places of values, ticks at round numbers, units. */
#include "../../../server/sim/plot_scale.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>

/* The labels of the ticks, one after another. */
static const char *ticks_of(const struct trib_plot_scale *scale, int wanted)
{
    static char text[512];
    struct trib_plot_tick ticks[TRIB_PLOT_MAX_TICKS];
    size_t n = trib_plot_ticks(scale, wanted, ticks), len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        double value;
        ck_assert_int_eq(sscanf(ticks[i].label, "%lf", &value), 1);
        ck_assert(fabs(value - ticks[i].value) <= 1e-9 * fabs(ticks[i].value));
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? " " : "", ticks[i].label);
    }
    return text;
}

static const char *linear_ticks(double low, double high, int wanted)
{
    const struct trib_plot_scale scale = trib_plot_linear(low, high, 0, 100);
    return ticks_of(&scale, wanted);
}

static const char *log_ticks(double low, double high, int wanted)
{
    const struct trib_plot_scale scale = trib_plot_log(low, high, 0, 100);
    return ticks_of(&scale, wanted);
}

START_TEST(linear_axes_tick_at_one_two_and_five)
{
    ck_assert_str_eq(linear_ticks(0, 10, 5), "0 2 4 6 8 10");
    ck_assert_str_eq(linear_ticks(0, 5, 5), "0 1 2 3 4 5");
    ck_assert_str_eq(linear_ticks(0, 1, 5), "0.0 0.2 0.4 0.6 0.8 1.0");
    ck_assert_str_eq(linear_ticks(0, 23, 5), "0 5 10 15 20");
    ck_assert_str_eq(linear_ticks(0, 45, 5), "0 10 20 30 40");
    ck_assert_str_eq(linear_ticks(-1, 1, 4), "-1.0 -0.5 0.0 0.5 1.0");
}
END_TEST

/* Three ticks a decade only while they all are about as many as wanted. */
START_TEST(log_axes_tick_by_what_fits)
{
    ck_assert_str_eq(log_ticks(1, 100, 5), "1 2 5 10 20 50 100"); /* 6 in two decades */
    ck_assert_str_eq(log_ticks(1, 100, 4), "1 10 100");
    ck_assert_str_eq(log_ticks(1, 1000, 4), "1 10 100 1000");
    ck_assert_str_eq(log_ticks(1, 1e6, 3), "1 100 10000 1000000");
    ck_assert_str_eq(log_ticks(0.1, 3, 6), "0.1 0.2 0.5 1 2");
}
END_TEST

START_TEST(places_are_between_the_ends)
{
    const struct trib_plot_scale line = trib_plot_linear(10, 20, 100, 0), decades = trib_plot_log(1, 100, 0, 200);
    ck_assert_double_eq(trib_plot_at(&line, 10), 100);
    ck_assert_double_eq(trib_plot_at(&line, 12.5), 75);
    ck_assert_double_eq(trib_plot_at(&line, 9), 100);
    ck_assert_double_eq(trib_plot_at(&line, 21), 0);
    ck_assert_double_eq_tol(trib_plot_at(&decades, 10), 100, 1e-9);
    ck_assert_double_eq_tol(trib_plot_at(&decades, 0.5), 0, 1e-9);
    ck_assert_double_eq_tol(trib_plot_at(&decades, 1000), 200, 1e-9);
}
END_TEST

START_TEST(the_largest_unit_that_is_worth_it)
{
    static const struct trib_plot_unit units[] = {{0, 1, "s"}, {120, 60, "min"}, {7200, 3600, "h"}};
    ck_assert_str_eq(trib_plot_unit_for(units, 3, 0)->name, "s");
    ck_assert_str_eq(trib_plot_unit_for(units, 3, 119)->name, "s");
    ck_assert_str_eq(trib_plot_unit_for(units, 3, 120)->name, "min");
    ck_assert_str_eq(trib_plot_unit_for(units, 3, 7199)->name, "min");
    ck_assert_str_eq(trib_plot_unit_for(units, 3, 1e9)->name, "h");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plot_scale");
    TCase *tests = tcase_create("plot_scale");
    tcase_add_test(tests, linear_axes_tick_at_one_two_and_five);
    tcase_add_test(tests, log_axes_tick_by_what_fits);
    tcase_add_test(tests, places_are_between_the_ends);
    tcase_add_test(tests, the_largest_unit_that_is_worth_it);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
