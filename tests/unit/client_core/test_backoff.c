/* Waits between attempts: their range, their growth, their spread. */
#include "client/backoff.h"
#include "test_main.h"

enum { MIN_MS = 500, MAX_MS = 60000 };

static struct trib_backoff make(uint64_t seed)
{
    struct trib_backoff backoff;
    trib_backoff_init(&backoff, MIN_MS, MAX_MS, seed);
    return backoff;
}

START_TEST(waits_stay_within_the_doubling_ceiling)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct trib_backoff backoff = make(seed);
        int64_t ceiling = MIN_MS;
        for (int i = 0; i < 60; i++) {
            ceiling = ceiling * 2 > MAX_MS ? MAX_MS : ceiling * 2;
            int64_t wait = trib_backoff_next(&backoff);
            ck_assert_int_ge(wait, MIN_MS);
            ck_assert_int_le(wait, ceiling);
        }
    }
}
END_TEST

START_TEST(waits_reach_both_ends_of_the_range)
{
    int64_t least = MAX_MS, most = 0;
    struct trib_backoff backoff = make(7);
    for (int i = 0; i < 2000; i++) {
        int64_t wait = trib_backoff_next(&backoff);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    ck_assert_int_lt(least, 3000);
    ck_assert_int_gt(most, 57000);
}
END_TEST

START_TEST(clients_do_not_wait_in_step)
{
    int same = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct trib_backoff a = make(seed), b = make(seed + 1);
        same += trib_backoff_next(&a) == trib_backoff_next(&b);
    }
    ck_assert_int_lt(same, 10);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_waits)
{
    struct trib_backoff a = make(3), b = make(3);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(trib_backoff_next(&a), trib_backoff_next(&b));
    }
}
END_TEST

START_TEST(reset_begins_anew)
{
    struct trib_backoff backoff = make(1);
    for (int i = 0; i < 20; i++) {
        (void)trib_backoff_next(&backoff);
    }
    for (int i = 0; i < 100; i++) {
        trib_backoff_reset(&backoff);
        ck_assert_int_le(trib_backoff_next(&backoff), 2 * MIN_MS);
    }
}
END_TEST

START_TEST(an_asked_wait_is_never_cut_short)
{
    struct trib_backoff backoff = make(1);
    for (int i = 0; i < 1000; i++) {
        int64_t wait = trib_backoff_asked(&backoff, 20000);
        ck_assert_int_ge(wait, 20000);
        ck_assert_int_le(wait, 22000 + MIN_MS);
    }
    ck_assert_int_ge(trib_backoff_asked(&backoff, -5), 0);
}
END_TEST

START_TEST(senseless_bounds_are_mended)
{
    struct trib_backoff backoff;
    trib_backoff_init(&backoff, 0, -1, 1);
    ck_assert_int_eq(trib_backoff_next(&backoff), 1);
    trib_backoff_init(&backoff, INT64_MAX, INT64_MAX, 1);
    ck_assert_int_gt(trib_backoff_next(&backoff), 0);
    ck_assert_int_gt(trib_backoff_asked(&backoff, INT64_MAX), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backoff");
    TCase *tests = tcase_create("backoff");
    tcase_add_test(tests, waits_stay_within_the_doubling_ceiling);
    tcase_add_test(tests, waits_reach_both_ends_of_the_range);
    tcase_add_test(tests, clients_do_not_wait_in_step);
    tcase_add_test(tests, the_same_seed_gives_the_same_waits);
    tcase_add_test(tests, reset_begins_anew);
    tcase_add_test(tests, an_asked_wait_is_never_cut_short);
    tcase_add_test(tests, senseless_bounds_are_mended);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
