/* The selector by relevance: its weights, the least chance of each, and newcomers. */
#include "select_fixture.h"

static const char relevance[] = "relevance";

START_TEST(draws_by_relevance)
{
    static const double expected[4] = {0.9, 0.6, 0.3, 0.5 * 3 / 7};
    double counts[4];
    for (size_t i = 0; i < 3; i++) {
        candidates[i].relevance = expected[i];
    }
    candidates[3].relevance = 0.5;
    candidates[3].folded = candidates[3].skipped = 1;
    candidates[3].picked = 9;
    candidates[3].failed = 4; /* reliability 3/7 */
    count_picks(relevance, 1, 4, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, expected, 4), chi_square_limit(3));
    pick(relevance, 1, 4, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_double_eq_tol(picks[i].score, expected[i], 1e-12);
        ck_assert_str_eq(picks[i].why, "drawn by its relevance");
    }
}
END_TEST

/* What lies outside 0 .. 1 is moved there, and nobody has less than 0.05 of the greatest weight. */
START_TEST(nobody_starves)
{
    static const double values[5] = {7, 0, -3, 0.5, 0.01}, expected[5] = {1, 0.05, 0.05, 0.5, 0.05};
    double counts[5];
    for (size_t i = 0; i < 5; i++) {
        candidates[i].relevance = values[i];
    }
    candidates[4].failed = UINT64_MAX;
    count_picks(relevance, 1, 5, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, expected, 5), chi_square_limit(4));
    candidates[0].relevance = 0.1; /* and then 0.005 is the least */
    candidates[1].relevance = 0;
    pick(relevance, 1, 2, 2);
    ck_assert_double_eq_tol(picks[1].score, 0.005, 1e-12);
    for (size_t i = 0; i < 5; i++) {
        candidates[i].relevance = 0;
    }
    static const double even[5] = {1, 1, 1, 1, 1};
    count_picks(relevance, 2, 5, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, even, 5), chi_square_limit(4));
}
END_TEST

/* Round 1 gives newcomers 0.9 of 10 picks, a late one 0.2; an `explore` of 0 still one in 20. */
START_TEST(newcomers_have_their_share)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    double counts[40], newcomers = 0;
    for (size_t i = 0; i < 20; i++) {
        candidates[i].relevance = 0.6;
    }
    for (size_t i = 20; i < 40; i++) {
        candidates[i].relevance = odd[i % 3];
    }
    static const uint64_t rounds[] = {1, 400}, expected[] = {9, 2};
    for (size_t i = 0; i < 2; i++) {
        uint64_t explored = 0;
        pick(relevance, rounds[i], 40, 10);
        for (size_t j = 0; j < 10; j++) {
            explored += picks[j].candidate >= 20;
            ck_assert_int_eq(isnan(picks[j].score), picks[j].candidate >= 20);
            ck_assert_str_eq(picks[j].why, picks[j].candidate >= 20 ? "not tried yet" : "drawn by its relevance");
        }
        ck_assert_uint_eq(explored, expected[i]);
    }
    options.explore = 0;
    count_picks(relevance, 5, 40, 1, 20000, counts);
    for (size_t i = 20; i < 40; i++) {
        newcomers += counts[i];
    }
    const double parts[2] = {newcomers, 20000 - newcomers}, shares[2] = {0.05, 0.95};
    ck_assert_double_lt(chi_square(parts, shares, 2), chi_square_limit(1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selector_relevance");
    TCase *tcase = tcase_create("relevance");
    tcase_add_checked_fixture(tcase, reset, NULL);
    tcase_add_test(tcase, draws_by_relevance);
    tcase_add_test(tcase, nobody_starves);
    tcase_add_test(tcase, newcomers_have_their_share);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
