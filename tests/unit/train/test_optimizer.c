/* The optimizer's step against its formula, for every kind of recipe, in several spans with gaps between them. */
#include "../../../common/train/optimizer.h"
#include "test_main.h"

#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { N = 400, SPANS = 3 };

static struct trib_span items[SPANS] = {{3, 130}, {140, 7}, {200, 190}};
static double sums[SPANS];
static const struct trib_spans spans = {.items = items, .sums = sums, .n = SPANS, .n_floats = N};

static bool in_spans(size_t at)
{
    for (size_t i = 0; i < SPANS; i++) {
        if (at >= items[i].offset && at < items[i].offset + items[i].n) {
            return true;
        }
    }
    return false;
}

static void fill(float *to, const char *what)
{
    struct trib_rng rng = trib_rng_init(7, what, 0, 0);
    for (size_t i = 0; i < N; i++) {
        to[i] = 2 * trib_rng_uniform(&rng) - 1;
    }
}

/* Each recipe takes two steps: velocity and start matter in the second one. */
START_TEST(a_step_is_its_formula)
{
    float model[N], gradient[N], velocity[N] = {0}, start[N];
    double w[N], v[N] = {0};
    struct trib_thread_pool *pool = NULL;
    ck_assert_int_eq(trib_thread_pool_new(2, &pool, NULL), TRIB_OK);
    fill(model, "model");
    fill(gradient, "gradient");
    fill(start, "start");
    const struct trib_sgd sgd = {.learning_rate = 0.25f,
                                 .momentum = _i & 1 ? 0.5f : 0,
                                 .mu = _i & 2 ? 0.125f : 0,
                                 .weight_decay = _i & 4 ? 0.0625f : 0,
                                 .scale = _i & 8 ? 0.75f : 1,
                                 .model = model,
                                 .gradient = gradient,
                                 .velocity = velocity,
                                 .start = start};
    for (size_t i = 0; i < N; i++) {
        w[i] = (double)model[i];
    }
    for (int step = 0; step < 2; step++) {
        trib_sgd_step(&sgd, &spans, step == 0 ? NULL : pool);
        for (size_t i = 0; i < N; i++) {
            if (in_spans(i)) {
                double g = (double)sgd.scale * (double)gradient[i] + (double)sgd.weight_decay * w[i] +
                           (double)sgd.mu * (w[i] - (double)start[i]);
                v[i] = (double)sgd.momentum * v[i] + g;
                w[i] -= (double)sgd.learning_rate * v[i];
            }
            if (!(fabs((double)model[i] - w[i]) <= 1e-6)) {
                ck_abort_msg("recipe %d, step %d: number %zu is %.9g, expected %.9g", _i, step, i, (double)model[i],
                             w[i]);
            }
        }
    }
    trib_thread_pool_free(pool);
}
END_TEST

START_TEST(the_norm_is_of_the_spans)
{
    float gradient[N];
    double sum = 0;
    fill(gradient, "gradient");
    for (size_t i = 0; i < N; i++) {
        sum += in_spans(i) ? (double)gradient[i] * (double)gradient[i] : 0;
    }
    double norm = trib_spans_norm(&spans, NULL, gradient);
    ck_assert(fabs(norm - sqrt(sum)) <= 1e-9 * norm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer");
    TCase *tests = tcase_create("optimizer");
    tcase_add_loop_test(tests, a_step_is_its_formula, 0, 16);
    tcase_add_test(tests, the_norm_is_of_the_spans);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
