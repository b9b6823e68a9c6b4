/* Power-of-choice: who is drawn follows the examples, who is taken follows the loss. */
#include "select_fixture.h"

static const char poc[] = "power_of_choice";

static bool is_picked(uint32_t candidate, size_t wanted)
{
    for (size_t i = 0; i < wanted; i++) {
        if (picks[i].candidate == candidate) {
            return true;
        }
    }
    return false;
}

START_TEST(the_highest_losses_of_all)
{
    options.candidates = 8;
    for (size_t i = 0; i < 8; i++) {
        candidates[i].loss = (double)((i * 3) % 8) - 4; /* -4 -1 2 -3 0 3 -2 1 */
    }
    pick(poc, 1, 8, 3);
    ck_assert(is_picked(2, 3) && is_picked(5, 3) && is_picked(7, 3));
    ck_assert_double_eq(picks[1].score, 3);
    ck_assert_str_eq(picks[1].why, "highest loss of those drawn");
    candidates[3].loss = NAN;
    candidates[4].loss = INFINITY;
    pick(poc, 1, 8, 3);
    ck_assert(is_picked(3, 3) && is_picked(4, 3) && is_picked(5, 3)); /* the unknown first */
    ck_assert(isnan(picks[0].score) && isnan(picks[1].score));
    ck_assert_str_eq(picks[0].why, "drawn, its loss is not known");
}
END_TEST

START_TEST(as_many_are_drawn_as_asked)
{
    static const struct {
        uint32_t d;
        size_t drawn; /* of 12, with 3 wanted */
    } rows[] = {{0, 6}, {1, 3}, {3, 3}, {5, 5}, {12, 12}, {13, 12}, {UINT32_MAX, 12}};
    for (size_t i = 0; i < 12; i++) {
        candidates[i].loss = (double)i;
    }
    /* Of d drawn, the third highest loss is at least d - 3; over 3000 draws the lowest is met. */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t lowest = 12;
        options.candidates = rows[i].d;
        for (uint64_t draw = 0; draw < 3000; draw++) {
            pick_draw(poc, 1, draw, 12, 3);
            lowest = picks[0].candidate < lowest ? picks[0].candidate : lowest;
        }
        ck_assert_msg(lowest == rows[i].drawn - 3, "d = %u: %u, not %zu", rows[i].d, lowest, rows[i].drawn - 3);
    }
    options.candidates = 0;
    pick(poc, 1, 12, 12);
    pick(poc, 1, 12, 7);
    pick(poc, 1, 1, 1);
    ck_assert_uint_eq(picks[0].candidate, 0);
}
END_TEST

/* d = wanted = 1: the loss decides nothing. One with unknown examples counts as the mean of the others, 400. */
START_TEST(draws_by_examples)
{
    static const double weights[4] = {200, 600, 400, 400};
    double counts[4];
    options.candidates = 1;
    candidates[0].examples = 200;
    candidates[1].examples = 600;
    candidates[2].examples = 400;
    candidates[3].examples = 0;
    candidates[0].loss = 100;
    count_picks(poc, 1, 4, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, weights, 4), chi_square_limit(3));
    candidates[0].examples = candidates[1].examples = candidates[2].examples = 0;
    static const double even[4] = {1, 1, 1, 1};
    count_picks(poc, 2, 4, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, even, 4), chi_square_limit(3));
}
END_TEST

/* d = 2, one wanted, losses 3 > 2 > 1 > 0, examples in proportion to 1 2 3 4. The pair {i, j} is drawn with
 * w_i w_j (1 / (10 - w_i) + 1 / (10 - w_j)) / 10, and i < j is taken. */
START_TEST(chances_of_pairs)
{
    double counts[4], chances[3] = {0};
    options.candidates = 2;
    for (int i = 0; i < 4; i++) {
        candidates[i].examples = (uint64_t)(i + 1) * 100;
        candidates[i].loss = 3 - i;
        for (int j = i + 1; j < 4; j++) {
            chances[i] += (i + 1.0) * (j + 1.0) * (1 / (9.0 - i) + 1 / (9.0 - j)) / 10;
        }
    }
    ck_assert_double_eq_tol(chances[0] + chances[1] + chances[2], 1, 1e-12);
    count_picks(poc, 1, 4, 1, 20000, counts);
    ck_assert_double_eq(counts[3], 0);
    ck_assert_double_lt(chi_square(counts, chances, 3), chi_square_limit(2));
}
END_TEST

/* Among equals the draw decides, not the position. */
START_TEST(equals_are_treated_alike)
{
    static const double even[6] = {1, 1, 1, 1, 1, 1};
    double counts[6];
    options.candidates = 6;
    count_picks(poc, 1, 6, 1, 20000, counts); /* all unknown */
    ck_assert_double_lt(chi_square(counts, even, 6), chi_square_limit(5));
    for (size_t i = 0; i < 6; i++) {
        candidates[i].loss = 2;
    }
    count_picks(poc, 2, 6, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, even, 6), chi_square_limit(5));
}
END_TEST

/* One that never came to anything is drawn with 1/(1 + 9) of its weight: it does not take every round. */
START_TEST(those_that_fail_are_drawn_less)
{
    static const double weights[2] = {0.1, 1};
    double counts[2];
    options.candidates = 1;
    candidates[0].failed = 9;
    count_picks(poc, 1, 2, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, weights, 2), chi_square_limit(1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power_of_choice");
    TCase *tcase = tcase_create("power_of_choice");
    tcase_add_checked_fixture(tcase, reset, NULL);
    tcase_add_test(tcase, the_highest_losses_of_all);
    tcase_add_test(tcase, as_many_are_drawn_as_asked);
    tcase_add_test(tcase, draws_by_examples);
    tcase_add_test(tcase, chances_of_pairs);
    tcase_add_test(tcase, equals_are_treated_alike);
    tcase_add_test(tcase, those_that_fail_are_drawn_less);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
