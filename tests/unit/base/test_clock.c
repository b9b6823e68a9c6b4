/* Clocks and the time in log lines. */
#include "base/clock.h"
#include "test_main.h"

START_TEST(monotonic_time_never_goes_back)
{
    int64_t last = trib_clock_ns();
    ck_assert_int_gt(last, 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = trib_clock_ns();
        ck_assert_int_ge(now, last);
        last = now;
    }
    int64_t difference = trib_clock_ns() / 1000000 - trib_clock_ms();
    ck_assert(difference > -1000 && difference <= 0);
}
END_TEST

START_TEST(wall_time_is_of_this_age)
{
    ck_assert_int_gt(trib_clock_wall_ms(), 1577836800000); /* 2020 */
}
END_TEST

START_TEST(times_are_rfc_3339)
{
    char to[32];
    ck_assert_str_eq(trib_clock_format(0, to, sizeof to), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(trib_clock_format(1714564800123, to, sizeof to), "2024-05-01T12:00:00.123Z");
    ck_assert_str_eq(trib_clock_format(951782399999, to, sizeof to), "2000-02-28T23:59:59.999Z");
    ck_assert_str_eq(trib_clock_format(-1, to, sizeof to), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(trib_clock_format(INT64_MAX, to, sizeof to), "invalid-time");
    ck_assert_str_eq(trib_clock_format(INT64_MIN, to, sizeof to), "invalid-time");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, monotonic_time_never_goes_back);
    tcase_add_test(tests, wall_time_is_of_this_age);
    tcase_add_test(tests, times_are_rfc_3339);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
