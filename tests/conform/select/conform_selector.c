/* Every listed selector keeps the contract of select/selector.h: exactly as many positions as wanted, ascending,
 * without repeats, a function of its arguments and of its state, which only report changes; whatever the candidates and
 * the options are. A selector whose choice is uniform has a row in `uniform`, one that knows no chance in `certain`. */
#include "select/selector.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "fail_memory.h"
#include "selector_options.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 300 };

static struct trib_candidate candidates[MOST];
static struct selector_options options;
static unsigned char *state; /* of the selector that is tried */

static const char *const uniform[] = {"random"};
static const char *const certain[] = {"round_robin"}; /* once all had a turn */

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

static bool is_listed(const struct trib_selector *selector, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (trib_str_equal(names[i], selector->name)) {
            return true;
        }
    }
    return false;
}

static bool is_uniform(const struct trib_selector *selector)
{
    return is_listed(selector, uniform, sizeof uniform / sizeof uniform[0]);
}

static void begin_run(const struct trib_selector *selector)
{
    trib_free(state);
    state = trib_calloc(selector->state_size + 1, 1); /* never NULL; one more, to see that it stays what it is */
    ck_assert_ptr_nonnull(state);
}

static void setup(void)
{
    options = (struct selector_options){.explore = 0.9, .speed_penalty = 2};
}

static void teardown(void)
{
    trib_free(state);
    state = NULL;
}

/* Of some all is known, of some nothing; one in three figures is absurd when `absurd`. */
static double draw_figure(struct trib_rng *rng, double scale, bool absurd)
{
    static const double odd[] = {INFINITY, -INFINITY, 0, -1, 1e308, -1e308, 1e-310};
    if (absurd && trib_rng_below(rng, 3) == 0) {
        return odd[trib_rng_below(rng, sizeof odd / sizeof odd[0])];
    }
    return trib_rng_below(rng, 4) == 0 ? NAN : scale * trib_rng_uniform64(rng);
}

static uint64_t draw_count(struct trib_rng *rng, uint64_t most, bool absurd)
{
    return absurd && trib_rng_below(rng, 3) == 0 ? UINT64_MAX : trib_rng_below(rng, most);
}

static void fill_candidates(uint64_t seed, bool absurd)
{
    struct trib_rng rng = trib_rng_init(seed, "candidates", 0, 0);
    for (uint32_t i = 0; i < MOST; i++) {
        candidates[i] = (struct trib_candidate){.client = (uint32_t)trib_rng_below(&rng, 100000),
                                                .key = (uint64_t)i << 32,
                                                .examples = draw_count(&rng, 1000, absurd),
                                                .last_round = draw_count(&rng, 5, absurd),
                                                .picked = draw_count(&rng, 9, absurd),
                                                .folded = draw_count(&rng, 4, absurd),
                                                .skipped = draw_count(&rng, 4, absurd),
                                                .failed = draw_count(&rng, 4, absurd),
                                                .loss = draw_figure(&rng, 3, absurd),
                                                .seconds = draw_figure(&rng, 60, absurd),
                                                .relevance = draw_figure(&rng, 1, absurd)};
    }
    options.explore = absurd ? draw_figure(&rng, 1, true) : 0.9;
    options.speed_penalty = absurd ? draw_figure(&rng, 4, true) : 2;
    options.candidates = absurd ? (uint32_t)trib_rng_u32(&rng) : 0;
}

static struct trib_selection selection_of(uint64_t seed, uint64_t round, size_t n, size_t wanted)
{
    return (struct trib_selection){.seed = seed, .round = round, .candidates = candidates, .n = n, .wanted = wanted};
}

static enum trib_status pick(const struct trib_selector *selector, const struct trib_selection *of,
                             struct trib_pick *picked)
{
    struct trib_selection selection = *of;
    selection.settings = selector_settings(selector, &options);
    return selector->pick(state, &selection, picked);
}

static bool equal_picks(const struct trib_pick *a, const struct trib_pick *b, size_t n)
{
    bool equal = true;
    for (size_t i = 0; i < n; i++) {
        equal = equal && a[i].candidate == b[i].candidate && strcmp(a[i].why, b[i].why) == 0;
        equal = equal && (a[i].score == b[i].score || (isnan(a[i].score) && isnan(b[i].score)));
    }
    return equal;
}

static const char *find_fault(const struct trib_pick *picked, const struct trib_selection *selection)
{
    for (size_t i = 0; i < selection->wanted; i++) {
        if (picked[i].candidate >= selection->n) {
            return "a position that there is not";
        }
        if (i > 0 && picked[i].candidate <= picked[i - 1].candidate) {
            return "not ascending";
        }
        if (!picked[i].why || picked[i].why[0] == 0) {
            return "no reason";
        }
    }
    return picked[selection->wanted].candidate == 12345 ? NULL : "more than wanted";
}

static void check_pick(const struct trib_selector *selector, const struct trib_selection *selection)
{
    static struct trib_pick picked[MOST + 1], again[MOST + 1];
    static struct trib_candidate before[MOST];
    unsigned char kept[1024];
    ck_assert_uint_lt(selector->state_size, sizeof kept);
    memcpy(before, candidates, sizeof before);
    memcpy(kept, state, selector->state_size + 1);
    memset(picked, 0, sizeof picked);
    memset(again, 0xff, sizeof again);
    picked[selection->wanted].candidate = 12345;
    ck_assert_int_eq(pick(selector, selection, picked), TRIB_OK);
    const char *fault = find_fault(picked, selection);
    ck_assert_msg(!fault, "%s: %s, %zu of %zu", selector->name, fault, selection->wanted, selection->n);
    ck_assert_int_eq(pick(selector, selection, again), TRIB_OK);
    ck_assert(equal_picks(picked, again, selection->wanted));
    ck_assert_mem_eq(before, candidates, sizeof before);
    ck_assert_mem_eq(kept, state, selector->state_size + 1);
}

static void check_sizes(const struct trib_selector *selector, bool absurd)
{
    static const size_t sizes[][2] = {{0, 0}, {1, 0},   {1, 1},   {2, 1},    {2, 2},    {7, 3},
                                      {7, 7}, {64, 63}, {300, 1}, {300, 20}, {300, 300}};
    static const uint64_t rounds[] = {0, 1, 2, 50, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint64_t seed = 0; seed < 25; seed++) {
            fill_candidates(seed, absurd);
            struct trib_selection selection = selection_of(seed, rounds[seed % 5], sizes[i][0], sizes[i][1]);
            check_pick(selector, &selection);
            selection.draw = 3;
            check_pick(selector, &selection);
        }
    }
}

START_TEST(picks_as_many_as_wanted)
{
    const struct trib_selector *selector = selector_at(_i);
    ck_assert_ptr_eq(trib_selector_find(selector->name), selector);
    ck_assert_str_ne(selector->help, "");
    begin_run(selector);
    check_sizes(selector, false);
    check_sizes(selector, true);
}
END_TEST

/* Client numbers are given in order of arrival: they decide nothing. */
START_TEST(arrival_decides_nothing)
{
    const struct trib_selector *selector = selector_at(_i);
    struct trib_pick picked[50], other[50];
    begin_run(selector);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct trib_selection selection = selection_of(seed, 9, 200, 50);
        fill_candidates(seed, false);
        ck_assert_int_eq(pick(selector, &selection, picked), TRIB_OK);
        for (uint32_t i = 0; i < MOST; i++) {
            candidates[i].client = MOST - i;
        }
        ck_assert_int_eq(pick(selector, &selection, other), TRIB_OK);
        ck_assert(equal_picks(picked, other, 50));
    }
}
END_TEST

/* ---- a small federation, in which what is known comes from having been picked ---- */

static void begin_federation(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        candidates[i] = (struct trib_candidate){.client = (uint32_t)i,
                                                .key = (uint64_t)i * 0x9e3779b97f4a7c15u >> 8 | (uint64_t)i << 56,
                                                .examples = 100 + i * 10,
                                                .loss = NAN,
                                                .seconds = NAN,
                                                .relevance = NAN};
    }
}

/* Every fifth client fails always; the others offer, and are skipped every third time. */
static void play_round(const struct trib_selector *selector, uint64_t round, const struct trib_pick *picked, size_t n)
{
    struct trib_member_report members[MOST];
    for (size_t i = 0; i < n; i++) {
        struct trib_candidate *candidate = &candidates[picked[i].candidate];
        bool fails = candidate->client % 5 == 4, skipped = candidate->picked % 3 == 2;
        candidate->last_round = round;
        candidate->picked++;
        candidate->failed += fails;
        if (!fails) {
            candidate->loss = 3.0 / (double)(candidate->picked + candidate->client % 4);
            candidate->seconds = 1 + candidate->client % 7 * 10;
            candidate->relevance = 0.4 + candidate->client % 6 * 0.1;
            candidate->folded += !skipped;
            candidate->skipped += skipped;
        }
        members[i] = (struct trib_member_report){.examples = candidate->examples,
                                                 .loss = candidate->loss,
                                                 .seconds = candidate->seconds,
                                                 .folded = !fails && !skipped};
    }
    if (selector->report) {
        selector->report(state, selector_settings(selector, &options), round, members, n);
    }
}

static void check_everybody_is_picked(const struct trib_selector *selector, size_t wanted)
{
    enum { N = 30 };
    begin_run(selector);
    begin_federation(N);
    for (uint64_t round = 1; round <= 200; round++) {
        struct trib_pick picked[N];
        struct trib_selection selection = selection_of(1, round, N, wanted);
        ck_assert_int_eq(pick(selector, &selection, picked), TRIB_OK);
        play_round(selector, round, picked, wanted);
    }
    for (int i = 0; i < N; i++) {
        ck_assert_msg(candidates[i].picked > 0, "%s: position %d was never picked", selector->name, i);
    }
}

/* Also one at a time, as without cohorts, and when little exploration is asked for. */
START_TEST(names_every_client_at_some_time)
{
    const struct trib_selector *selector = selector_at(_i);
    check_everybody_is_picked(selector, 3);
    check_everybody_is_picked(selector, 1);
    options.explore = 0;
    check_everybody_is_picked(selector, 10);
}
END_TEST

/* The same run twice, reports included, makes the same choices and comes to the same state. */
START_TEST(a_run_can_be_repeated)
{
    enum { N = 30, WANTED = 5, ROUNDS = 60 };
    const struct trib_selector *selector = selector_at(_i);
    static struct trib_pick runs[2][ROUNDS][WANTED];
    unsigned char ends[2][1024];
    for (int run = 0; run < 2; run++) {
        begin_run(selector);
        begin_federation(N);
        for (uint64_t round = 1; round <= ROUNDS; round++) {
            struct trib_selection selection = selection_of(1, round, N, WANTED);
            ck_assert_int_eq(pick(selector, &selection, runs[run][round - 1]), TRIB_OK);
            play_round(selector, round, runs[run][round - 1], WANTED);
        }
        memcpy(ends[run], state, selector->state_size + 1);
    }
    ck_assert(equal_picks(runs[0][0], runs[1][0], (size_t)ROUNDS * WANTED));
    ck_assert_mem_eq(ends[0], ends[1], selector->state_size + 1);
}
END_TEST

START_TEST(short_memory_is_reported)
{
    const struct trib_selector *selector = selector_at(_i);
    struct trib_selection selection = selection_of(1, 1, 50, 10);
    struct trib_pick picked[50];
    enum trib_status status = TRIB_NO_MEMORY;
    begin_run(selector);
    fill_candidates(1, false);
    for (int64_t after = 0; status != TRIB_OK; after++) {
        ck_assert_int_lt(after, 10);
        (void)fail_memory_after(after, false);
        status = pick(selector, &selection, picked);
        int64_t allocations = fail_memory_after(-1, false);
        ck_assert_int_eq(status, allocations > after ? TRIB_NO_MEMORY : TRIB_OK);
    }
}
END_TEST

static size_t differing(const struct trib_selector *selector, const struct trib_selection *a,
                        const struct trib_selection *b)
{
    struct trib_pick x[MOST], y[MOST];
    ck_assert_int_eq(pick(selector, a, x), TRIB_OK);
    ck_assert_int_eq(pick(selector, b, y), TRIB_OK);
    size_t n = 0;
    for (size_t i = 0; i < a->wanted; i++) {
        n += x[i].candidate != y[i].candidate;
    }
    return n;
}

START_TEST(chance_depends_on_seed_round_and_draw)
{
    const struct trib_selector *selector = selector_at(_i);
    begin_run(selector);
    fill_candidates(1, false);
    struct trib_selection base = selection_of(1, 1, 300, 20), seed = base, round = base, draw = base;
    seed.seed = 2;
    round.round = 2;
    draw.draw = 1;
    ck_assert_uint_eq(differing(selector, &base, &base), 0);
    if (!is_listed(selector, certain, sizeof certain / sizeof certain[0])) {
        ck_assert_uint_gt(differing(selector, &base, &seed), 0);
        ck_assert_uint_gt(differing(selector, &base, &round), 0);
        ck_assert_uint_gt(differing(selector, &base, &draw), 0);
    }
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
    begin_run(selector);
    fill_candidates(1, false);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        double counts[N] = {0}, overlap = 0;
        bool before[N] = {false};
        for (uint64_t round = 1; round <= ROUNDS; round++) {
            struct trib_selection selection = selection_of(seed, round, N, WANTED);
            struct trib_pick picked[WANTED];
            bool now[N] = {false};
            ck_assert(pick(selector, &selection, picked) == TRIB_OK);
            for (int i = 0; i < WANTED; i++) {
                counts[picked[i].candidate]++;
                now[picked[i].candidate] = true;
                overlap += before[picked[i].candidate];
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
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, picks_as_many_as_wanted, 0, n);
    tcase_add_loop_test(tcase, arrival_decides_nothing, 0, n);
    tcase_add_loop_test(tcase, names_every_client_at_some_time, 0, n);
    tcase_add_loop_test(tcase, a_run_can_be_repeated, 0, n);
    tcase_add_loop_test(tcase, short_memory_is_reported, 0, n);
    tcase_add_loop_test(tcase, chance_depends_on_seed_round_and_draw, 0, n);
    tcase_add_loop_test(tcase, chance_is_uniform, 0, n);
    tcase_add_test(tcase, names_are_unique_and_unknown_ones_are_refused);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
