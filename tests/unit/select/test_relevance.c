/* Relevance by itself: agreement with a past update and with a majority, against plain counting. */
#include "select/relevance.h"

#include "base/mem.h"
#include "base/rng.h"
#include "fail_memory.h"
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
        struct trib_relevance *relevance = NULL;
        ck_assert_int_eq(trib_relevance_new(N, sizes[s], false, &relevance, &error), TRIB_OK);
        draw(&rng, before);
        draw(&rng, after);
        draw(&rng, update);
        const struct trib_sketch_plan plan = trib_sketch_plan("run", 3, sizes[s], N);
        sketch_of(&plan, update, packed);
        ck_assert(isnan(trib_relevance_of(relevance, "run", 3, packed)));
        trib_relevance_learn(relevance, trib_relevance_signs(before, after, N));
        uint64_t equal = 0;
        for (uint64_t i = 0; i < plan.k; i++) {
            uint64_t at = trib_sketch_position(&plan, i);
            equal += (update[at] > 0) == (after[at] > before[at]);
        }
        ck_assert_double_eq(trib_relevance_of(relevance, "run", 3, packed), (double)equal / (double)plan.k);
        trib_relevance_learn(relevance, NULL);
        ck_assert(isnan(trib_relevance_of(relevance, "run", 3, packed)));
        trib_relevance_free(relevance);
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
    struct trib_relevance *relevance = NULL;
    const struct trib_sketch_plan plan = trib_sketch_plan("run", 9, K, N);
    ck_assert_int_eq(trib_relevance_new(N, K, true, &relevance, &error), TRIB_OK);
    for (int c = 0; c < CLIENTS; c++) {
        draw(&rng, updates[c]);
        sketch_of(&plan, updates[c], packed[c]);
        sketches[c] = packed[c];
    }
    ck_assert(isnan(trib_relevance_of(relevance, "run", 9, packed[0])));
    trib_relevance_vote(relevance, 9, sketches, CLIENTS);
    ck_assert(isnan(trib_relevance_of(relevance, "run", 10, packed[0]))); /* another round's */
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
        ck_assert_double_eq(trib_relevance_of(relevance, "run", 9, packed[c]), (double)equal / (double)counted);
    }
    const uint8_t *opposed[2] = {packed[0], packed[1]};
    for (size_t i = 0; i < sizeof packed[1]; i++) {
        packed[1][i] = (uint8_t)~packed[0][i];
    }
    trib_relevance_vote(relevance, 11, opposed, 2); /* nothing but ties */
    ck_assert(isnan(trib_relevance_of(relevance, "run", 11, packed[0])));
    trib_relevance_free(relevance);
}
END_TEST

START_TEST(off)
{
    struct trib_relevance *relevance = NULL;
    ck_assert_int_eq(trib_relevance_new(N, 0, false, &relevance, &error), TRIB_OK);
    ck_assert(isnan(trib_relevance_of(relevance, "run", 1, NULL)));
    trib_relevance_free(relevance);
    (void)fail_memory_after(0, true);
    ck_assert_int_eq(trib_relevance_new(N, 9, false, &relevance, &error), TRIB_NO_MEMORY);
    (void)fail_memory_after(-1, false);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("relevance");
    tcase_add_test(tests, agreement_with_the_last_update);
    tcase_add_test(tests, agreement_with_the_majority);
    tcase_add_test(tests, off);
    Suite *suite = suite_create("relevance");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
