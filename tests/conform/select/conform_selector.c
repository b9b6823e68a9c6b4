/* Every listed selector keeps the contract of select/selector.h: exactly as many positions as wanted, ascending,
 * without repeats, and a function of its arguments. A selector whose choice is random has a row in `uniform`. */
#include "select/selector.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 300 };

static struct trib_candidate candidates[MOST];

static const char *const uniform[] = {"random"};

static const struct trib_selector *selector_at(int i)
{
    const struct trib_selector *const *list;
    ck_assert_uint_lt((size_t)i, trib_selectors(&list));
    return list[i];
}

static int count_selectors(void)
{
    const struct trib_selector *const *list;
    return (int)trib_selectors(&list);
}

static bool is_uniform(const struct trib_selector *selector)
{
    for (size_t i = 0; i < sizeof uniform / sizeof uniform[0]; i++) {
        if (trib_str_equal(uniform[i], selector->name)) {
            return true;
        }
    }
    return false;
}

static void fill_candidates(uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "candidates", 0, 0);
    for (uint32_t i = 0; i < MOST; i++) {
        candidates[i] = (struct trib_candidate){.client = (uint32_t)trib_rng_below(&rng, 100000),
                                                .key = (uint64_t)i << 32,
                                                .examples = trib_rng_below(&rng, 1000),
                                                .last_round = trib_rng_below(&rng, 5)};
    }
}

static struct trib_selection selection_of(uint64_t seed, uint64_t round, size_t n, size_t wanted)
{
    return (struct trib_selection){.seed = seed, .round = round, .candidates = candidates, .n = n, .wanted = wanted};
}

static void check_pick(const struct trib_selector *selector, const struct trib_selection *selection)
{
    uint32_t picked[MOST + 1], again[MOST + 1];
    struct trib_candidate before[MOST];
    memcpy(before, candidates, sizeof before);
    memset(picked, 0xa5, sizeof picked);
    memset(again, 0x5a, sizeof again);
    ck_assert_int_eq(selector->pick(selection, picked), TRIB_OK);
    for (size_t i = 0; i < selection->wanted; i++) {
        ck_assert_msg(picked[i] < selection->n, "%s: position %u of %zu", selector->name, picked[i], selection->n);
        ck_assert_msg(i == 0 || picked[i] > picked[i - 1], "%s: not ascending", selector->name);
    }
    ck_assert_uint_eq(picked[selection->wanted], 0xa5a5a5a5); /* and no more than that */
    ck_assert_int_eq(selector->pick(selection, again), TRIB_OK);
    ck_assert_mem_eq(picked, again, selection->wanted * sizeof picked[0]);
    ck_assert_mem_eq(before, candidates, sizeof before);
}

START_TEST(picks_as_many_as_wanted)
{
    static const size_t sizes[][2] = {{1, 1},   {2, 1},   {2, 2},    {7, 3},    {7, 7},
                                      {64, 63}, {300, 1}, {300, 20}, {300, 300}};
    const struct trib_selector *selector = selector_at(_i);
    ck_assert_ptr_eq(trib_selector_find(selector->name), selector);
    ck_assert_str_ne(selector->help, "");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            fill_candidates(seed);
            struct trib_selection selection = selection_of(seed, seed + 1, sizes[i][0], sizes[i][1]);
            check_pick(selector, &selection);
            selection.attempt = 3;
            check_pick(selector, &selection);
        }
    }
}
END_TEST

START_TEST(names_every_client_at_some_time)
{
    const struct trib_selector *selector = selector_at(_i);
    enum { N = 30 };
    bool seen[N] = {false};
    fill_candidates(1);
    for (int i = 0; i < N; i++) {
        candidates[i].last_round = 0;
    }
    for (uint64_t round = 1; round <= 200; round++) {
        uint32_t picked[3];
        struct trib_selection selection = selection_of(1, round, N, 3);
        ck_assert_int_eq(selector->pick(&selection, picked), TRIB_OK);
        for (int i = 0; i < 3; i++) {
            seen[picked[i]] = true;
            candidates[picked[i]].last_round = round;
        }
    }
    for (int i = 0; i < N; i++) {
        ck_assert_msg(seen[i], "%s: position %d was never picked", selector->name, i);
    }
}
END_TEST

START_TEST(short_memory_is_reported)
{
    const struct trib_selector *selector = selector_at(_i);
    struct trib_selection selection = selection_of(1, 1, 50, 10);
    uint32_t picked[50];
    (void)trib_mem_fail_after(0, true);
    enum trib_status status = selector->pick(&selection, picked);
    int64_t allocations = trib_mem_fail_after(-1, false);
    ck_assert_int_eq(status, allocations > 0 ? TRIB_NO_MEMORY : TRIB_OK);
}
END_TEST

static size_t differing(const struct trib_selector *selector, const struct trib_selection *a,
                        const struct trib_selection *b)
{
    uint32_t x[MOST], y[MOST];
    ck_assert_int_eq(selector->pick(a, x), TRIB_OK);
    ck_assert_int_eq(selector->pick(b, y), TRIB_OK);
    size_t n = 0;
    for (size_t i = 0; i < a->wanted; i++) {
        n += x[i] != y[i];
    }
    return n;
}

START_TEST(chance_depends_on_seed_round_and_attempt)
{
    const struct trib_selector *selector = selector_at(_i);
    if (!is_uniform(selector)) {
        return;
    }
    fill_candidates(1);
    struct trib_selection base = selection_of(1, 1, 300, 20), seed = base, round = base, attempt = base;
    seed.seed = 2;
    round.round = 2;
    attempt.attempt = 1;
    ck_assert_uint_gt(differing(selector, &base, &seed), 0);
    ck_assert_uint_gt(differing(selector, &base, &round), 0);
    ck_assert_uint_gt(differing(selector, &base, &attempt), 0);
    ck_assert_uint_eq(differing(selector, &base, &base), 0);
}
END_TEST

/* How often each position is picked over T rounds. Each count has the mean T p and the variance T p (1 - p), p = w/n,
 * and they sum to T w, so that (n-1)/n sum_i (count_i - T p)^2 / (T p (1 - p)) is chi-square with n - 1 = 19 degrees of
 * freedom; above 64.4 it is with probability 1e-6. The overlap of one round with the next has the mean w^2/n = 1.25 and
 * the variance 0.740; five standard errors of its mean over T rounds are 0.048 (probability 6e-7). */
START_TEST(chance_is_uniform)
{
    enum { N = 20, WANTED = 5, ROUNDS = 8000 };
    const struct trib_selector *selector = selector_at(_i);
    if (!is_uniform(selector)) {
        return;
    }
    fill_candidates(1);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        double counts[N] = {0}, overlap = 0;
        bool before[N] = {false};
        for (uint64_t round = 1; round <= ROUNDS; round++) {
            struct trib_selection selection = selection_of(seed, round, N, WANTED);
            uint32_t picked[WANTED];
            bool now[N] = {false};
            ck_assert(selector->pick(&selection, picked) == TRIB_OK);
            for (int i = 0; i < WANTED; i++) {
                counts[picked[i]]++;
                now[picked[i]] = true;
                overlap += before[picked[i]];
            }
            memcpy(before, now, sizeof before);
        }
        double p = (double)WANTED / N, chi_square = 0;
        for (int i = 0; i < N; i++) {
            chi_square += pow(counts[i] - ROUNDS * p, 2) / (ROUNDS * p * (1 - p)) * (N - 1) / N;
        }
        overlap /= ROUNDS - 1;
        printf("%s: seed %d chi-square %.1f (19 degrees of freedom), overlap %.3f (1.25 expected)\n", selector->name,
               (int)seed, chi_square, overlap);
        ck_assert_double_lt(chi_square, 64.4);
        ck_assert_double_lt(fabs(overlap - 1.25), 0.048);
    }
}
END_TEST

/* Nobody is asked again while another waits since an earlier round. */
START_TEST(round_robin_takes_turns)
{
    const struct trib_selector *selector = trib_selector_find("round_robin");
    enum { N = 7 };
    bool is_picked[N];
    memset(candidates, 0, sizeof candidates);
    for (uint64_t round = 1; round <= 21; round++) {
        uint32_t picked[3];
        struct trib_selection selection = selection_of(1, round, N, 3);
        ck_assert_int_eq(selector->pick(&selection, picked), TRIB_OK);
        memset(is_picked, 0, sizeof is_picked);
        for (int i = 0; i < 3; i++) {
            is_picked[picked[i]] = true;
        }
        for (int i = 0; i < N; i++) {
            for (int j = 0; is_picked[i] && j < N; j++) {
                ck_assert(is_picked[j] || candidates[j].last_round >= candidates[i].last_round);
            }
        }
        for (int i = 0; i < 3; i++) {
            candidates[picked[i]].last_round = round;
        }
    }
    for (int i = 0; i < N; i++) {
        ck_assert_uint_ge(candidates[i].last_round, 21 - 3);
    }
}
END_TEST

START_TEST(names_are_unique_and_unknown_ones_are_refused)
{
    int n = count_selectors();
    for (int i = 0; i < n; i++) {
        ck_assert_ptr_eq(trib_selector_find(selector_at(i)->name), selector_at(i));
    }
    ck_assert_ptr_null(trib_selector_find("rnadom"));
    ck_assert_ptr_null(trib_selector_find(""));
    ck_assert_str_eq(selector_at(0)->name, "random"); /* the default comes first */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selectors");
    TCase *tcase = tcase_create("every");
    int n = count_selectors();
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, picks_as_many_as_wanted, 0, n);
    tcase_add_loop_test(tcase, names_every_client_at_some_time, 0, n);
    tcase_add_loop_test(tcase, short_memory_is_reported, 0, n);
    tcase_add_loop_test(tcase, chance_depends_on_seed_round_and_attempt, 0, n);
    tcase_add_loop_test(tcase, chance_is_uniform, 0, n);
    tcase_add_test(tcase, round_robin_takes_turns);
    tcase_add_test(tcase, names_are_unique_and_unknown_ones_are_refused);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
