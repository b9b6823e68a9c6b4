/* Oort: utility, its clipping, the penalty of the slow, the bonus of those unseen for long, exploration and the pacer.
 */
#include "select_fixture.h"

static const char oort[] = "oort";

static void know(size_t i, double loss, double seconds, uint64_t last_round)
{
    candidates[i].loss = loss;
    candidates[i].seconds = seconds;
    candidates[i].last_round = last_round;
    candidates[i].picked = candidates[i].folded = 1;
}

/* Its score when everybody is picked. */
static double score_of(uint64_t round, size_t n, uint32_t i)
{
    pick(oort, round, n, n);
    ck_assert_uint_eq(picks[i].candidate, i);
    return picks[i].score;
}

START_TEST(newcomers_are_explored)
{
    pick(oort, 1, 20, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert(isnan(picks[i].score));
        ck_assert_str_eq(picks[i].why, "not tried yet");
    }
    candidates[0].picked = 2;
    pick(oort, 1, 1, 1);
    ck_assert_str_eq(picks[0].why, "tried, but nothing is known of it");
    know(0, 1, 1, 1);
    pick(oort, 2, 1, 1);
    ck_assert_str_eq(picks[0].why, "drawn by its utility");
}
END_TEST

/* Those that were tried for nothing come back less often: with the weights 1 / (1 + picked). */
START_TEST(exploration_prefers_the_untried)
{
    static const double weights[4] = {1, 0.5, 0.25, 0.1};
    double counts[4];
    candidates[1].picked = candidates[1].failed = 1;
    candidates[2].picked = candidates[2].failed = 3;
    candidates[3].picked = candidates[3].failed = 9;
    count_picks(oort, 1, 4, 1, 20000, counts);
    ck_assert_double_lt(chi_square(counts, weights, 4), chi_square_limit(3));
}
END_TEST

/* Of 10 picks 9 at first, 2 in the end. */
START_TEST(exploration_fades)
{
    static const struct {
        uint64_t round;
        size_t explored;
    } rows[] = {{1, 9}, {200, 2}};
    for (size_t i = 0; i < 20; i++) {
        know(i, 1, 1, 1);
    }
    for (size_t i = 0; i < 2; i++) {
        size_t explored = 0;
        pick(oort, rows[i].round, 40, 10);
        for (size_t j = 0; j < 10; j++) {
            explored += isnan(picks[j].score);
            ck_assert_int_eq(isnan(picks[j].score), picks[j].candidate >= 20);
        }
        ck_assert_uint_eq(explored, rows[i].explored);
    }
}
END_TEST

/* Utilities 100, 200, 300, 500 in round 1, where nobody has a bonus. */
START_TEST(scores_are_normalised_utilities)
{
    static const double losses[4] = {1, -2, 3, 5}, expected[4] = {0, 0.25, 0.5, 1};
    for (size_t i = 0; i < 4; i++) {
        know(i, losses[i], NAN, 1);
    }
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_double_eq_tol(score_of(1, 4, i), expected[i], 1e-12);
    }
    candidates[3].examples = 60; /* as many as 300 */
    ck_assert_double_eq_tol(score_of(1, 4, 2), 1, 1e-12);
    ck_assert_double_eq_tol(score_of(1, 4, 3), 1, 1e-12);
    candidates[3].examples = 0; /* not told: the mean of the others, 100 */
    ck_assert_double_eq_tol(score_of(1, 4, 2), 0.5, 1e-12);
    ck_assert_double_eq_tol(score_of(1, 4, 3), 1, 1e-12);
}
END_TEST

START_TEST(an_outlier_is_clipped)
{
    for (size_t i = 0; i < 40; i++) {
        know(i, (double)i, NAN, 1);
    }
    candidates[17].loss = 1e9;
    pick(oort, 1, 40, 40);
    ck_assert_double_eq_tol(picks[17].score, 1, 1e-12); /* the 38th of 40 utilities is 3800, the highest that counts */
    ck_assert_double_eq_tol(picks[38].score, 1, 1e-12);
    ck_assert_double_eq_tol(picks[19].score, 0.5, 1e-12);
}
END_TEST

/* The bonus is sqrt(0.1 ln R / last_round). */
START_TEST(those_unseen_for_long_gain)
{
    for (size_t i = 0; i < 4; i++) {
        know(i, 1, NAN, (uint64_t)(i * i)); /* 0 is not possible for one whose loss is known; it counts as 1 */
    }
    static const double expected[4] = {0.692517, 0.692517, 0.346259, 0.230839};
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_double_eq_tol(score_of(121, 4, i), 1 + expected[i], 1e-6);
    }
    ck_assert_double_eq(score_of(0, 4, 1), 1);
}
END_TEST

/* T is the 10th percentile: 1 s. Utilities 100, 100 / 2^2, 100 / 4^2, 100. */
START_TEST(the_slow_lose)
{
    static const double seconds[4] = {1, 2, 4, NAN}, expected[4] = {1, 0.2, 0, 1};
    for (size_t i = 0; i < 4; i++) {
        know(i, 1, seconds[i], 1);
    }
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_double_eq_tol(score_of(1, 4, i), expected[i], 1e-12);
    }
    options.speed_penalty = 1;
    ck_assert_double_eq_tol(score_of(1, 4, 1), 1.0 / 3, 1e-12);
    static const double off[] = {0, -1, NAN};
    for (size_t i = 0; i < 3; i++) {
        options.speed_penalty = off[i];
        ck_assert_double_eq(score_of(1, 4, 2), 1);
    }
    options.speed_penalty = INFINITY;
    ck_assert_double_eq(score_of(1, 4, 1), 0);
}
END_TEST

/* Reliability 1 and 2/5: utilities 100 and 40 beside one of 0. */
START_TEST(those_that_fail_lose)
{
    know(0, 1, NAN, 1);
    know(1, 1, NAN, 1);
    know(2, 0, NAN, 1);
    candidates[1].failed = 3;
    ck_assert_double_eq(score_of(1, 3, 0), 1);
    ck_assert_double_eq_tol(score_of(1, 3, 1), 0.4, 1e-12);
}
END_TEST

/* Scores 1, 0.9, 0.8, 0.7, and then nothing near: with one wanted the cut is at 0.7 of the best. */
START_TEST(draws_among_the_best)
{
    static const double losses[6] = {1, 0.9, 0.8, 0.71, 0.6, 0}, weights[4] = {1, 0.9, 0.8, 0.71};
    double counts[6];
    for (size_t i = 0; i < 6; i++) {
        know(i, losses[i], NAN, 1);
    }
    count_picks(oort, 1, 6, 1, 20000, counts);
    ck_assert_double_eq(counts[4] + counts[5], 0);
    ck_assert_double_lt(chi_square(counts, weights, 4), chi_square_limit(3));
    count_picks(oort, 1, 6, 4, 500, counts); /* the cut is at 0.7 * 0.71 */
    ck_assert_double_gt(counts[4], 0);
    ck_assert_double_eq(counts[5], 0);
}
END_TEST

static void report(int rounds, double loss, bool folded)
{
    const struct trib_selector *selector = trib_selector_find(oort);
    struct trib_member_report members[3] = {{.examples = 10, .loss = loss, .seconds = 1, .folded = folded},
                                            {.examples = 10, .loss = NAN, .seconds = NAN, .folded = true},
                                            {.examples = UINT64_MAX, .loss = 1e9, .seconds = 1}};
    for (int i = 0; i < rounds; i++) {
        selector->report(state, selector_settings(selector, &options), (uint64_t)i + 1, members, 3);
    }
}

/* How many of the 20 candidates with 1 .. 20 seconds and equal losses are not too slow. */
static size_t count_preferred(void)
{
    for (size_t i = 0; i < 20; i++) {
        know(i, 1, (double)i + 1, 1);
    }
    pick(oort, 1, 20, 20);
    size_t n = 0;
    for (size_t i = 0; i < 20; i++) {
        n += picks[i].score == 1;
    }
    return n;
}

START_TEST(the_pacer_lets_slower_ones_in)
{
    ck_assert_uint_eq(count_preferred(), 2); /* the 10th percentile of 1 .. 20 s */
    report(20, 5, true);
    ck_assert_uint_eq(count_preferred(), 2);
    report(19, 4, true);
    ck_assert_uint_eq(count_preferred(), 2);
    report(1, 4, true);
    ck_assert_uint_eq(count_preferred(), 3); /* 20 rounds were worth less than the 20 before */
    report(20, 4, true);
    ck_assert_uint_eq(count_preferred(), 3);
    report(20, 6, true);
    ck_assert_uint_eq(count_preferred(), 3);
    report(20, 7, false); /* what is not folded is worth nothing */
    ck_assert_uint_eq(count_preferred(), 4);
    for (int i = 0; i < 60; i++) {
        report(20, 1e6 / (i + 1), true);
    }
    ck_assert_uint_eq(count_preferred(), 20);
}
END_TEST

START_TEST(absurd_candidates)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0, -1, 1e308, -1e308, 1e-320};
    struct trib_rng rng = trib_rng_init(1, "absurd", 0, 0);
    bool sane = true;
    for (uint64_t round = 0; round < 500; round++) {
        for (size_t i = 0; i < MOST; i++) {
            candidates[i].loss = odd[trib_rng_below(&rng, 9)];
            candidates[i].seconds = odd[trib_rng_below(&rng, 9)];
            candidates[i].examples = trib_rng_below(&rng, 2) == 0 ? UINT64_MAX : trib_rng_below(&rng, 3);
            candidates[i].last_round = trib_rng_below(&rng, 2) == 0 ? UINT64_MAX : trib_rng_below(&rng, 3);
            candidates[i].failed = trib_rng_below(&rng, 2) == 0 ? UINT64_MAX : trib_rng_below(&rng, 3);
        }
        options.explore = odd[trib_rng_below(&rng, 9)];
        options.speed_penalty = odd[trib_rng_below(&rng, 9)];
        pick(oort, round, MOST, MOST / 2);
        for (size_t i = 0; i < MOST / 2; i++) {
            sane = sane && (isnan(picks[i].score) || (picks[i].score >= 0 && picks[i].score < 3));
            sane = sane && (i == 0 || picks[i].candidate > picks[i - 1].candidate);
        }
        report(1, odd[trib_rng_below(&rng, 9)], true);
    }
    ck_assert(sane);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("oort");
    TCase *tcase = tcase_create("oort");
    tcase_add_checked_fixture(tcase, reset, NULL);
    tcase_add_test(tcase, newcomers_are_explored);
    tcase_add_test(tcase, exploration_prefers_the_untried);
    tcase_add_test(tcase, exploration_fades);
    tcase_add_test(tcase, scores_are_normalised_utilities);
    tcase_add_test(tcase, an_outlier_is_clipped);
    tcase_add_test(tcase, those_unseen_for_long_gain);
    tcase_add_test(tcase, the_slow_lose);
    tcase_add_test(tcase, those_that_fail_lose);
    tcase_add_test(tcase, draws_among_the_best);
    tcase_add_test(tcase, the_pacer_lets_slower_ones_in);
    tcase_add_test(tcase, absurd_candidates);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
