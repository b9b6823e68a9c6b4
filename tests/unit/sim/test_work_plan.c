/* Steps and simulated seconds of a client's part: whole work, time limits, stragglers. */
#include "sim/work_plan.h"
#include "test_main.h"

#include <math.h>

static const struct trib_recipe recipe = {.epochs = 5, .batch_size = 10};

/* 27 examples: steps of 10, 10 and 7 an epoch; 9 examples a second. */
static struct trib_sim_part part_of(uint64_t client, uint64_t round)
{
    return (struct trib_sim_part){.seed = 1, .client = client, .round = round, .n = 27, .speed = 9};
}

START_TEST(steps_and_examples)
{
    ck_assert_double_eq(trib_sim_examples_of_steps(0, 27, 10), 0);
    ck_assert_double_eq(trib_sim_examples_of_steps(2, 27, 10), 20);
    ck_assert_double_eq(trib_sim_examples_of_steps(3, 27, 10), 27);
    ck_assert_double_eq(trib_sim_examples_of_steps(5, 27, 10), 47);
    ck_assert_double_eq(trib_sim_examples_of_steps(4, 3, 10), 12); /* less than a batch */
    ck_assert_uint_eq(trib_sim_steps_of_examples(0.5, 27, 10), 1);
    ck_assert_uint_eq(trib_sim_steps_of_examples(26.9, 27, 10), 2);
    ck_assert_uint_eq(trib_sim_steps_of_examples(27, 27, 10), 3);
    bool inverse = true;
    for (uint64_t steps = 1; steps < 200; steps++) {
        double examples = trib_sim_examples_of_steps(steps, 27, 10);
        inverse = inverse && trib_sim_steps_of_examples(examples, 27, 10) == steps;
    }
    ck_assert(inverse);
}
END_TEST

START_TEST(whole_work)
{
    const struct trib_sim_settings settings = {0};
    const struct trib_sim_part part = part_of(0, 1);
    struct trib_sim_work work = trib_sim_work_plan(&settings, &recipe, &part);
    ck_assert_double_eq(work.seconds, 15);
    ck_assert_uint_eq(work.max_steps, 0);
    ck_assert(!work.stopped_early && !work.never);
    struct trib_recipe short_one = recipe;
    short_one.max_steps = 4;
    work = trib_sim_work_plan(&settings, &short_one, &part);
    ck_assert_double_eq_tol(work.seconds, 37.0 / 9, 1e-12);
    ck_assert_uint_eq(work.max_steps, 4);
    ck_assert(!work.stopped_early);
}
END_TEST

START_TEST(time_limit_cuts)
{
    const struct trib_sim_settings settings = {.time_limit = 4}; /* 36 examples: three steps, and not the next one */
    const struct trib_sim_part part = part_of(0, 1);
    struct trib_sim_work work = trib_sim_work_plan(&settings, &recipe, &part);
    ck_assert_uint_eq(work.max_steps, 3);
    ck_assert(work.stopped_early);
    ck_assert_double_eq(work.seconds, 4);
    const struct trib_sim_settings tight = {.time_limit = 0.01}; /* one step at least */
    work = trib_sim_work_plan(&tight, &recipe, &part);
    ck_assert_uint_eq(work.max_steps, 1);
    ck_assert_double_eq_tol(work.seconds, 10.0 / 9, 1e-12);
    const struct trib_sim_settings loose = {.time_limit = 15};
    work = trib_sim_work_plan(&loose, &recipe, &part);
    ck_assert(!work.stopped_early);
}
END_TEST

/* Of 4000 parts, 40 % straggle but for 4.5 standard errors (7 seeds in a million); each with 1 to 4 epochs. */
START_TEST(stragglers_are_drawn)
{
    const struct trib_sim_settings settings = {.stragglers = 0.4};
    int epochs[5] = {0};
    bool sane = true;
    for (uint64_t i = 0; i < 4000; i++) {
        const struct trib_sim_part part = part_of(i % 40, i / 40);
        struct trib_sim_work work = trib_sim_work_plan(&settings, &recipe, &part);
        sane = sane && work.max_steps % 3 == 0 && work.max_steps <= 12 && work.seconds == 15 && !work.never;
        sane = sane && work.stopped_early == (work.max_steps > 0);
        epochs[work.max_steps / 3]++;
    }
    ck_assert(sane);
    ck_assert_double_le(fabs(epochs[0] - 2400.0), 4.5 * sqrt(4000 * 0.4 * 0.6));
    for (int k = 1; k < 5; k++) {
        ck_assert_double_le(fabs(epochs[k] - 400.0), 4.5 * sqrt(4000 * 0.1 * 0.9));
    }
}
END_TEST

START_TEST(stragglers_may_never_offer)
{
    const struct trib_sim_settings settings = {.stragglers = 1, .straggler_work = TRIB_STRAGGLER_DROP};
    struct trib_recipe one = recipe;
    one.epochs = 1;
    const struct trib_sim_part part = part_of(3, 2);
    ck_assert(trib_sim_work_plan(&settings, &recipe, &part).never);
    const struct trib_sim_settings partial = {.stragglers = 1};
    struct trib_sim_work work = trib_sim_work_plan(&partial, &one, &part); /* some of the epoch's steps */
    ck_assert_uint_ge(work.max_steps, 1);
    ck_assert_uint_le(work.max_steps, 2);
    ck_assert(!work.never);
}
END_TEST

START_TEST(draws_belong_to_the_part)
{
    const struct trib_sim_settings settings = {.stragglers = 0.5};
    bool again = true;
    int differ = 0;
    for (uint64_t i = 0; i < 100; i++) {
        struct trib_sim_part part = part_of(i, 1);
        struct trib_sim_work first = trib_sim_work_plan(&settings, &recipe, &part);
        struct trib_sim_work second = trib_sim_work_plan(&settings, &recipe, &part);
        again = again && first.max_steps == second.max_steps;
        part.part = 1; /* the same round, begun again */
        differ += trib_sim_work_plan(&settings, &recipe, &part).max_steps != first.max_steps;
    }
    ck_assert(again);
    ck_assert_int_ge(differ, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work_plan");
    TCase *tests = tcase_create("work_plan");
    tcase_add_test(tests, steps_and_examples);
    tcase_add_test(tests, whole_work);
    tcase_add_test(tests, time_limit_cuts);
    tcase_add_test(tests, stragglers_are_drawn);
    tcase_add_test(tests, stragglers_may_never_offer);
    tcase_add_test(tests, draws_belong_to_the_part);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
