/* FedProx's mu from round to round. */
#include "strategy/proximal.h"

#include "test_main.h"

#include <math.h>

START_TEST(adaptive_mu)
{
    struct trib_proximal proximal = {.mu = 0.15, .step = 0.1, .most = 10};
    static const double losses[] = {1, 2, NAN, 1.9, 1.8, 1.7, 1.6, 1.5, 1.5, 1.6};
    static const double expected[] = {0.15, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.15, 0.15, 0.25};
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        trib_proximal_learn(&proximal, losses[i]);
        ck_assert_double_eq_tol(proximal.mu, expected[i], 1e-12);
    }
    for (int i = 0; i < 30; i++) {
        trib_proximal_learn(&proximal, 1.0 / (i + 2));
    }
    ck_assert_double_eq(proximal.mu, 0); /* never below */
    struct trib_proximal bounded = {.mu = 0.35, .step = 0.1, .most = 0.4};
    trib_proximal_learn(&bounded, 1);
    trib_proximal_learn(&bounded, 2);
    trib_proximal_learn(&bounded, 3);
    ck_assert_double_eq(bounded.mu, 0.4);
    struct trib_proximal fixed = {.mu = 0.3, .most = 10};
    trib_proximal_learn(&fixed, 1);
    trib_proximal_learn(&fixed, 2);
    ck_assert_double_eq(fixed.mu, 0.3);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("proximal");
    tcase_add_test(tests, adaptive_mu);
    Suite *suite = suite_create("proximal");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
