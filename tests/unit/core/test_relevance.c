/* Relevance by itself: agreement with a past update and with a majority, against plain counting; and adaptive mu. */
#include "../../../server/core/proximal.h"
#include "../../../server/core/relevance.h"

#include "base/mem.h"
#include "base/rng.h"
#include "test_main.h"

#include <math.h>
#include <string.h>

enum { N = 1003 };
static struct trib_error error;

static void draw(struct trib_rng *rng, float *vector)
{
    for (int i = 0; i < N; i++) {
        vector[i] = trib_rng_below(rng, 8) == 0 ? 0 : (float)trib_rng_normal(rng);
    }
}

static void sketch_of(const struct trib_sketch_plan *plan, const float *vector, uint8_t *packed)
{
    uint8_t signs[N];
    trib_sketch_take(plan, signs, 0, vector, vector, N);
    trib_sketch_pack(signs, plan->k, packed);
}

START_TEST(agreement_with_the_last_update)
{
    static const uint64_t sizes[] = {1, 7, 8, 64, 257, N, N + 5};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct trib_rng rng = trib_rng_init(s, "relevance", 0, 0);
        float before[N], after[N], update[N];
        uint8_t packed[N / 8 + 1];
        struct trib_relevance relevance;
        ck_assert_int_eq(trib_relevance_init(&relevance, N, sizes[s], false, &error), TRIB_OK);
        draw(&rng, before);
        draw(&rng, after);
        draw(&rng, update);
        const struct trib_sketch_plan plan = trib_sketch_plan("run", 3, sizes[s], N);
        sketch_of(&plan, update, packed);
        ck_assert(isnan(trib_relevance_of(&relevance, "run", 3, packed)));
        trib_relevance_learn(&relevance, trib_relevance_signs(before, after, N));
        uint64_t equal = 0;
        for (uint64_t i = 0; i < plan.k; i++) {
            uint64_t at = trib_sketch_position(&plan, i);
            equal += (update[at] > 0) == (after[at] > before[at]);
        }
        ck_assert_double_eq(trib_relevance_of(&relevance, "run", 3, packed), (double)equal / (double)plan.k);
        trib_relevance_learn(&relevance, NULL);
        ck_assert(isnan(trib_relevance_of(&relevance, "run", 3, packed)));
        trib_relevance_clear(&relevance);
    }
}
END_TEST

START_TEST(agreement_with_the_majority)
{
    enum { CLIENTS = 6, K = 77 };
    struct trib_rng rng = trib_rng_init(5, "majority", 0, 0);
    float updates[CLIENTS][N];
    uint8_t packed[CLIENTS][K / 8 + 1];
    const uint8_t *sketches[CLIENTS];
    struct trib_relevance relevance;
    const struct trib_sketch_plan plan = trib_sketch_plan("run", 9, K, N);
    ck_assert_int_eq(trib_relevance_init(&relevance, N, K, true, &error), TRIB_OK);
    for (int c = 0; c < CLIENTS; c++) {
        draw(&rng, updates[c]);
        sketch_of(&plan, updates[c], packed[c]);
        sketches[c] = packed[c];
    }
    ck_assert(isnan(trib_relevance_of(&relevance, "run", 9, packed[0])));
    trib_relevance_vote(&relevance, 9, sketches, CLIENTS);
    ck_assert(isnan(trib_relevance_of(&relevance, "run", 10, packed[0]))); /* another round's */
    for (int c = 0; c < CLIENTS; c++) {
        uint64_t counted = 0, equal = 0;
        for (uint64_t i = 0; i < K; i++) {
            uint64_t at = trib_sketch_position(&plan, i);
            int above = 0;
            for (int o = 0; o < CLIENTS; o++) {
                above += updates[o][at] > 0;
            }
            counted += above * 2 != CLIENTS;
            equal += above * 2 != CLIENTS && (updates[c][at] > 0) == (above * 2 > CLIENTS);
        }
        ck_assert_double_eq(trib_relevance_of(&relevance, "run", 9, packed[c]), (double)equal / (double)counted);
    }
    const uint8_t *opposed[2] = {packed[0], packed[1]};
    for (size_t i = 0; i < sizeof packed[1]; i++) {
        packed[1][i] = (uint8_t)~packed[0][i];
    }
    trib_relevance_vote(&relevance, 11, opposed, 2); /* nothing but ties */
    ck_assert(isnan(trib_relevance_of(&relevance, "run", 11, packed[0])));
    trib_relevance_clear(&relevance);
}
END_TEST

START_TEST(off)
{
    struct trib_relevance relevance;
    ck_assert_int_eq(trib_relevance_init(&relevance, N, 0, false, &error), TRIB_OK);
    ck_assert(isnan(trib_relevance_of(&relevance, "run", 1, NULL)));
    trib_relevance_clear(&relevance);
    (void)trib_mem_fail_after(0, true);
    ck_assert_int_eq(trib_relevance_init(&relevance, N, 9, false, &error), TRIB_NO_MEMORY);
    (void)trib_mem_fail_after(-1, false);
    trib_relevance_clear(&relevance);
}
END_TEST

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
    TCase *tests = tcase_create("relevance");
    tcase_add_test(tests, agreement_with_the_last_update);
    tcase_add_test(tests, agreement_with_the_majority);
    tcase_add_test(tests, off);
    tcase_add_test(tests, adaptive_mu);
    Suite *suite = suite_create("relevance");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
