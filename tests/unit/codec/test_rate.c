/* The arithmetic under the rates: logarithms without libm, tables, entropy of symbols, the arguments. */
#include "../../../common/codec/rate.h"

#include "base/rng.h"

#include "test_main.h"

#include <math.h>
#include <string.h>

START_TEST(logarithms)
{
    struct trib_rng rng = trib_rng_init(1, "rate", 0, 0);
    for (int i = 0; i < 20000; i++) {
        double x = ldexp(1 + trib_rng_uniform64(&rng), (int)trib_rng_below(&rng, 600) - 300);
        double y = (trib_rng_uniform64(&rng) - 0.5) * 600;
        if (fabs(trib_rate_log2(x) - log2(x)) > 1e-11 || fabs(trib_rate_exp2(y) / exp2(y) - 1) > 1e-12) {
            ck_abort_msg("log2(%a) = %a, 2^%a = %a", x, trib_rate_log2(x), y, trib_rate_exp2(y));
        }
    }
    ck_assert(trib_rate_log2(1) == 0);
    ck_assert(trib_rate_log2(8) == 3);
    ck_assert(trib_rate_exp2(-3) == 0.125);
}
END_TEST

/* A cubic goes through the points, and gives back a parabola; beyond the ends it stays. */
START_TEST(curves)
{
    const double values[] = {4, 1, 0, 1, 4, 9};
    const struct trib_rate_curve curve = {.values = values, .n = 6, .density = 2, .first = -1};
    ck_assert_double_eq_tol(trib_rate_curve_at(&curve, 1), 0, 1e-12);
    ck_assert_double_eq_tol(trib_rate_curve_at(&curve, 2), 4, 1e-12);
    ck_assert_double_eq_tol(trib_rate_curve_at(&curve, exp2(0.25)), 0.25, 1e-9);
    ck_assert(trib_rate_curve_at(&curve, 1e-30) == 1);
    ck_assert(trib_rate_curve_at(&curve, 1e30) == 4);
}
END_TEST

START_TEST(entropy_of_segments)
{
    uint16_t symbols[] = {0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 4, 4};
    uint32_t counts[5], distinct = 0;
    struct trib_block block = {.symbols = symbols, .n_symbols = 12, .alphabet = 5};
    double whole = trib_rate_of_symbols(&block, counts, &distinct);
    ck_assert_double_eq_tol(whole, 8 * log2(6) + 4 * log2(3), 1e-9);
    ck_assert_uint_eq(distinct, 5);
    block.n_segments = 2;
    block.segments[0] = 8;
    block.segments[1] = 4;
    ck_assert_double_eq_tol(trib_rate_of_symbols(&block, counts, &distinct), 16, 1e-9);
    ck_assert_uint_eq(distinct, 5);
}
END_TEST

START_TEST(sizes)
{
    float values[37];
    double energy = 0;
    for (int i = 0; i < 37; i++) {
        values[i] = (float)(i % 2 ? -i : i) * 1e30F;
        energy += (double)values[i] * (double)values[i];
    }
    struct trib_rate_size size = trib_rate_measure(values, 37);
    ck_assert_double_eq_tol(size.energy / energy, 1, 1e-12);
    ck_assert(size.largest == values[36]);
    size = trib_rate_measure(values, 0);
    ck_assert(size.energy == 0 && size.largest == 0);
}
END_TEST

/* Never less than the step of a block of small variance needs, and one step for all where steps are small. */
START_TEST(unbiased_steps)
{
    ck_assert_double_eq_tol(trib_rate_unbiased_step(0.01), 0.01, 1e-6);
    for (double step = 0.3, last = 0; step < 1e6; last = trib_rate_unbiased_step(step), step *= 1.01) {
        if (!(trib_rate_unbiased_step(step) >= last) || trib_rate_unbiased_step(step) > step + 0.001) {
            ck_abort_msg("%g gives %g", step, trib_rate_unbiased_step(step));
        }
    }
    ck_assert(trib_rate_unbiased_step(1e300) < 8);
}
END_TEST

static const struct trib_stage stage = {.name = "some",
                                        .caps = TRIB_CODEC_FEEDBACK,
                                        .args = trib_rate_args,
                                        .n_args = TRIB_RATE_ARGS,
                                        .examples = "some:2bit"};

static enum trib_status parse(const char *first, const char *second, struct trib_stage_use *use,
                              struct trib_error *error)
{
    const char *texts[] = {first, second};
    *use = (struct trib_stage_use){.stage = &stage, .caps = stage.caps};
    return trib_stage_parse_args(texts, !second ? 1 : 2, use, error);
}

START_TEST(arguments)
{
    struct trib_stage_use use;
    struct trib_error error;
    const char *good[] = {"2", "2bit", "2.0bit", "0.5", "8"};
    const double rates[] = {2, 2, 2, 0.5, 8};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(parse(good[i], NULL, &use, &error), TRIB_OK);
        ck_assert(use.args[0] == rates[i] && use.args[1] == 0);
        ck_assert_uint_eq(use.caps, TRIB_CODEC_FEEDBACK);
        ck_assert_int_eq(parse(good[i], "unbiased", &use, &error), TRIB_OK);
        ck_assert(use.args[0] == rates[i] && use.args[1] > 0);
        ck_assert_uint_eq(use.caps, TRIB_CODEC_UNBIASED);
    }
    const char *bad[] = {
        "", "bit", "0.09", "8.1", "nan", "-1", "2bits", "2 bit", "1111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(parse(bad[i], NULL, &use, &error) == TRIB_INVALID, "%s", bad[i]);
    }
    ck_assert_int_eq(parse("2", "biased", &use, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "\"biased\" is not known; write some:BITS[,unbiased], for example some:2bit");
    ck_assert_int_eq(trib_stage_parse_args(NULL, 0, &use, &error), TRIB_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate");
    TCase *tests = tcase_create("rate");
    tcase_add_test(tests, logarithms);
    tcase_add_test(tests, curves);
    tcase_add_test(tests, entropy_of_segments);
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, unbiased_steps);
    tcase_add_test(tests, arguments);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
