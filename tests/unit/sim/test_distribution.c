/* Distributions: their moments, their bounds, and the messages for texts that are none. */
#include "sim/distribution.h"
#include "test_main.h"

#include <math.h>
#include <string.h>

enum { DRAWS = 40000 };

struct moments {
    double mean, variance, least;
};

static struct moments measure(const char *text, bool logarithm)
{
    struct trib_distribution distribution;
    struct trib_error error;
    struct moments moments = {.least = INFINITY};
    double sum = 0, squares = 0;
    ck_assert_msg(trib_distribution_parse(text, &distribution, &error) == TRIB_OK, "%s", error.message);
    struct trib_rng rng = trib_rng_init(7, "moments", 0, 0);
    for (int i = 0; i < DRAWS; i++) {
        double value = trib_distribution_draw(&distribution, &rng);
        moments.least = fmin(moments.least, value);
        value = logarithm ? log(value) : value;
        sum += value;
        squares += value * value;
    }
    moments.mean = sum / DRAWS;
    moments.variance = squares / DRAWS - moments.mean * moments.mean;
    return moments;
}

/* A mean is within 4.5 of its standard errors but for 7 in a million seeds; the seed is fixed. */
static void expect_mean(double mean, double expected, double deviation)
{
    ck_assert_double_le(fabs(mean - expected), 4.5 * deviation / sqrt(DRAWS));
}

START_TEST(moments_are_right)
{
    struct moments fixed = measure("fixed:12.5", false);
    ck_assert_double_eq(fixed.mean, 12.5);
    struct moments uniform = measure("uniform:2,8", false);
    expect_mean(uniform.mean, 5, sqrt(3));
    ck_assert_double_eq_tol(uniform.variance, 3, 0.1);
    ck_assert_double_ge(uniform.least, 2);
    struct moments exponential = measure("exponential:4", false);
    expect_mean(exponential.mean, 4, 4);
    ck_assert_double_ge(exponential.least, 0);
    struct moments lognormal = measure("lognormal:100,0.5", true);
    expect_mean(lognormal.mean, log(100), 0.5);
    ck_assert_double_eq_tol(lognormal.variance, 0.25, 0.01);
    /* The logarithm of a Pareto variable is its least one's and an exponential of mean 1 / alpha. */
    struct moments pareto = measure("pareto:3,1.5", true);
    expect_mean(pareto.mean, log(3) + 1 / 1.5, 1 / 1.5);
    ck_assert_double_ge(pareto.least, 3);
}
END_TEST

START_TEST(wrong_texts_are_named)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"normal:1,2", "known are fixed:X"},
        {"", "known are fixed:X"},
        {"uniform", "write it as uniform:LO,HI"},
        {"uniform:1", "write it as uniform:LO,HI"},
        {"uniform:3,1", "3 is above 1"},
        {"fixed:1,2", "write it as fixed:X"},
        {"fixed:-1", "-1"},
        {"fixed:nan", "nan"},
        {"fixed:1e300", "above the maximum"},
        {"pareto:1,0", "pareto:MIN,ALPHA"},
        {"lognormal:1,x", "lognormal:MEDIAN,SIGMA"},
        {"exponential:", "exponential:MEAN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trib_distribution distribution;
        struct trib_error error;
        ck_assert_msg(trib_distribution_parse(cases[i].text, &distribution, &error) == TRIB_INVALID, "%s",
                      cases[i].text);
        ck_assert_msg(strstr(error.message, cases[i].says), "%s: %s", cases[i].text, error.message);
    }
}
END_TEST

START_TEST(draws_are_bounded)
{
    struct trib_distribution distribution;
    struct trib_rng rng = trib_rng_init(1, "heavy", 0, 0);
    bool sane = true;
    ck_assert_int_eq(trib_distribution_parse("pareto:1,0.05", &distribution, NULL), TRIB_OK);
    for (int i = 0; i < DRAWS; i++) {
        double value = trib_distribution_draw(&distribution, &rng);
        sane = sane && value >= 1 && value <= 1e15;
    }
    ck_assert(sane);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("distribution");
    TCase *tests = tcase_create("distribution");
    tcase_add_test(tests, moments_are_right);
    tcase_add_test(tests, wrong_texts_are_named);
    tcase_add_test(tests, draws_are_bounded);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
