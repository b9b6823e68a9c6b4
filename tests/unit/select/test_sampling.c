/* Weighted sampling without replacement has the chances that it is told, and nothing else decides them. */
#include "../../../server/select/sampling.h"

#include "select_fixture.h"

#include <float.h>

enum { DRAWS = 40000 };

static struct trib_select_item items[MOST];

static void draw(uint64_t number, const double *weights, size_t n)
{
    struct trib_selection selection = selection_of(3, n, 0);
    selection.draw = number;
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct trib_select_item){.candidate = (uint32_t)i, .weight = weights[i]};
    }
    trib_select_draw(&selection, "test", items, n);
}

/* The mean of n uniform numbers has the standard deviation 1 / sqrt(12 n); five of these are exceeded with probability
 * 6e-7. Tenths are equally frequent. */
START_TEST(luck_is_uniform_in_every_argument)
{
    enum { N = 40000 };
    double sums[5] = {0}, tenths[5][10] = {{0}}, even[10];
    bool inside = true;
    for (int i = 0; i < 10; i++) {
        even[i] = 1;
    }
    for (uint64_t i = 0; i < N; i++) {
        struct trib_selection seeded = {.seed = i}, round = {.round = i}, same = {0};
        double drawn[5] = {trib_select_luck(&seeded, "test", 0, 0), trib_select_luck(&round, "test", 0, 0),
                           trib_select_luck(&same, "test", i, 0), trib_select_luck(&same, "test", 0, i),
                           trib_select_luck(&same, "test", 0, i << 40)};
        for (int j = 0; j < 5; j++) {
            inside = inside && drawn[j] > 0 && drawn[j] < 1;
            sums[j] += drawn[j];
            tenths[j][(int)(drawn[j] * 10)]++;
        }
    }
    ck_assert(inside);
    for (int j = 0; j < 5; j++) {
        ck_assert_double_lt(fabs(sums[j] / N - 0.5), 5 / sqrt(12.0 * N));
        ck_assert_double_lt(chi_square(tenths[j], even, 10), chi_square_limit(9));
    }
    struct trib_selection same = {0};
    ck_assert(trib_select_luck(&same, "a", 1, 2) == trib_select_luck(&same, "a", 1, 2));
    ck_assert(trib_select_luck(&same, "a", 1, 2) != trib_select_luck(&same, "b", 1, 2));
}
END_TEST

/* The first of a draw is i with w_i / W, the second then j with w_j / (W - w_i). */
START_TEST(chances_are_in_proportion_to_weights)
{
    static const double weights[4] = {1, 2, 3, 6};
    double firsts[4] = {0}, pairs[12] = {0}, expected[12];
    int cell_of[4][4], cells = 0;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            if (i != j) {
                cell_of[i][j] = cells;
                expected[cells++] = weights[i] * weights[j] / (12 - weights[i]);
            }
        }
    }
    for (uint64_t i = 0; i < DRAWS; i++) {
        draw(i, weights, 4);
        firsts[items[0].candidate]++;
        pairs[cell_of[items[0].candidate][items[1].candidate]]++;
    }
    ck_assert_double_lt(chi_square(firsts, weights, 4), chi_square_limit(3));
    ck_assert_double_lt(chi_square(pairs, expected, 12), chi_square_limit(11));
}
END_TEST

START_TEST(weights_of_any_size)
{
    static const double weights[9] = {0, NAN, -1, INFINITY, 1e-300, 1e300, -INFINITY, DBL_MIN, 0};
    double lasts[9] = {0}, even[5] = {1, 1, 1, 1, 1};
    static const int useless[5] = {0, 1, 2, 6, 8};
    bool in_order = true;
    for (uint64_t i = 0; i < DRAWS; i++) {
        draw(i, weights, 9);
        in_order = in_order && items[0].candidate == 3 && items[1].candidate == 5 && items[2].candidate == 4 &&
                   items[3].candidate == 7;
        lasts[items[8].candidate]++;
    }
    ck_assert(in_order);
    double counts[5];
    for (int i = 0; i < 5; i++) {
        counts[i] = lasts[useless[i]];
    }
    ck_assert_double_lt(chi_square(counts, even, 5), chi_square_limit(4));
    draw(0, weights, 0);
    draw(0, weights, 1);
    ck_assert_uint_eq(items[0].candidate, 0);
}
END_TEST

/* Who else is there does not change the order of two. */
START_TEST(others_do_not_matter)
{
    double weights[MOST];
    bool same = true;
    for (uint64_t number = 0; number < 200; number++) {
        size_t rank_of[MOST];
        for (size_t i = 0; i < MOST; i++) {
            weights[i] = (double)(i % 7 + 1);
        }
        draw(number, weights, MOST);
        for (size_t i = 0; i < MOST; i++) {
            rank_of[items[i].candidate] = i;
        }
        draw(number, weights, MOST / 2);
        for (size_t i = 1; i < MOST / 2; i++) {
            same = same && rank_of[items[i].candidate] > rank_of[items[i - 1].candidate];
        }
    }
    ck_assert(same);
}
END_TEST

static double mean_explored(double explore, uint64_t round, size_t n, size_t wanted, size_t n_unknown)
{
    double sum = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct trib_selection selection = selection_of(round, n, wanted);
        selection.draw = i;
        sum += (double)trib_select_explore_n(&selection, explore, n_unknown);
    }
    return sum / DRAWS;
}

/* A fraction of a pick has a variance of at most 1/4: five standard errors of the mean are 0.0125 (6e-7). */
START_TEST(share_of_newcomers)
{
    static const struct {
        double explore;
        uint64_t round;
        size_t n, wanted, n_unknown;
        double expected;
    } rows[] = {
        {0.9, 1, 40, 10, 20, 9},       {0.9, 0, 40, 10, 20, 9},       {0.9, 2, 40, 10, 20, 8.82},
        {0.9, 11, 40, 10, 20, 7.3537}, {0.9, 5000, 40, 10, 20, 2},    {0.1, 1, 40, 10, 20, 1},
        {0.1, 500, 40, 10, 20, 1},     {0, 1, 40, 10, 20, 0.5},       {-3, 1, 40, 10, 20, 0.5},
        {NAN, 1, 40, 10, 20, 0.5},     {INFINITY, 1, 40, 10, 20, 10}, {7, 1, 40, 10, 20, 10},
        {0.9, 1, 40, 10, 3, 3},        {0.9, 1, 40, 10, 0, 0},        {0.1, 1, 40, 10, 40, 10},
        {0.1, 1, 40, 10, 36, 6},       {0.3, 1, 2, 1, 1, 0.3},        {0.9, UINT64_MAX, 40, 10, 20, 2},
        {0.9, 1, 5, 0, 3, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double mean = mean_explored(rows[i].explore, rows[i].round, rows[i].n, rows[i].wanted, rows[i].n_unknown);
        ck_assert_msg(fabs(mean - rows[i].expected) < 0.0125, "row %zu: %g, not %g", i, mean, rows[i].expected);
    }
}
END_TEST

START_TEST(figures_of_candidates)
{
    struct trib_candidate candidate = {0};
    ck_assert_double_eq(trib_select_reliability(&candidate), 1);
    candidate.folded = 2;
    candidate.skipped = 1;
    ck_assert_double_eq(trib_select_reliability(&candidate), 1);
    candidate.failed = 4;
    ck_assert_double_eq(trib_select_reliability(&candidate), 0.5);
    candidate = (struct trib_candidate){.failed = UINT64_MAX, .folded = UINT64_MAX, .skipped = UINT64_MAX};
    ck_assert_double_eq_tol(trib_select_reliability(&candidate), 2.0 / 3, 1e-12);
    struct trib_selection selection = selection_of(1, 3, 1);
    ck_assert_double_eq(trib_select_mean_examples(&selection), 100);
    candidates[0].examples = 0;
    candidates[1].examples = 50;
    ck_assert_double_eq(trib_select_mean_examples(&selection), 75);
    candidates[1].examples = candidates[2].examples = 0;
    ck_assert_double_eq(trib_select_mean_examples(&selection), 1);
    candidates[1].examples = candidates[2].examples = UINT64_MAX;
    ck_assert(isfinite(trib_select_mean_examples(&selection)));
}
END_TEST

START_TEST(percentiles)
{
    double values[20], one = 5;
    for (int i = 0; i < 20; i++) {
        values[i] = (i * 7 + 3) % 20 + 1;
    }
    trib_select_sort_values(values, 20);
    for (int i = 0; i < 20; i++) {
        ck_assert_double_eq(values[i], i + 1);
        ck_assert_double_eq(trib_select_percentile(values, 20, 5 * (i + 1)), i + 1);
    }
    ck_assert_double_eq(trib_select_percentile(values, 20, 0), 1);
    ck_assert_double_eq(trib_select_percentile(values, 20, 51), 11);
    ck_assert_double_eq(trib_select_percentile(values, 20, 700), 20);
    ck_assert_double_eq(trib_select_percentile(&one, 1, 0), 5);
    ck_assert_double_eq(trib_select_percentile(&one, 1, 100), 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampling");
    TCase *tcase = tcase_create("sampling");
    tcase_add_checked_fixture(tcase, reset, NULL);
    tcase_add_test(tcase, luck_is_uniform_in_every_argument);
    tcase_add_test(tcase, chances_are_in_proportion_to_weights);
    tcase_add_test(tcase, weights_of_any_size);
    tcase_add_test(tcase, others_do_not_matter);
    tcase_add_test(tcase, share_of_newcomers);
    tcase_add_test(tcase, figures_of_candidates);
    tcase_add_test(tcase, percentiles);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
