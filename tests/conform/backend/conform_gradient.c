/* The gradient of every differentiable op, through trib_autograd, against central differences on the reference backend.
 *
 * The loss is sum(y * r) for a fixed random r; differences take y from the execution and sum in double. Where a step
 * crosses a kink (relu, a pooled maximum), differences of two sizes disagree and the element is skipped; few may be. */
#include "test_main.h"

#include "backend/backend.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/autograd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum role { ROLE_END, ROLE_PARAMETER, ROLE_STATE, ROLE_POSITIVE_STATE, ROLE_LABELS };

struct gradient_case {
    enum trib_op op;
    struct trib_attributes attributes;
    enum role roles[TRIB_MAX_INPUTS];
    struct trib_shape shapes[TRIB_MAX_INPUTS];
};

#define P ROLE_PARAMETER
#define SHAPE1(a)                                                                                                      \
    {                                                                                                                  \
        1,                                                                                                             \
        {                                                                                                              \
            a                                                                                                          \
        }                                                                                                              \
    }
#define SHAPE2(a, b)                                                                                                   \
    {                                                                                                                  \
        2,                                                                                                             \
        {                                                                                                              \
            a, b                                                                                                       \
        }                                                                                                              \
    }
#define SHAPE4(a, b, c, d)                                                                                             \
    {                                                                                                                  \
        4,                                                                                                             \
        {                                                                                                              \
            a, b, c, d                                                                                                 \
        }                                                                                                              \
    }
#define SCALAR                                                                                                         \
    {                                                                                                                  \
        0,                                                                                                             \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

static const struct gradient_case cases[] = {
    {TRIB_OP_MATMUL, {0}, {P, P}, {SHAPE2(3, 4), SHAPE2(4, 5)}},
    {TRIB_OP_MATMUL, {.transpose_a = true}, {P, P}, {SHAPE2(4, 3), SHAPE2(4, 5)}},
    {TRIB_OP_MATMUL, {.transpose_b = true}, {P, P}, {SHAPE2(3, 4), SHAPE2(5, 4)}},
    {TRIB_OP_MATMUL, {.transpose_a = true, .transpose_b = true}, {P, P}, {SHAPE2(4, 3), SHAPE2(5, 4)}},
    {TRIB_OP_LINEAR, {0}, {P, P}, {SHAPE2(3, 4), SHAPE2(5, 4)}},
    {TRIB_OP_LINEAR, {.activation = TRIB_ACTIVATION_RELU}, {P, P, P}, {SHAPE2(3, 4), SHAPE2(5, 4), SHAPE1(5)}},
    {TRIB_OP_LINEAR, {.activation = TRIB_ACTIVATION_TANH}, {P, P, P}, {SHAPE2(3, 4), SHAPE2(5, 4), SHAPE1(5)}},
    {TRIB_OP_LINEAR, {.activation = TRIB_ACTIVATION_SIGMOID}, {P, P, P}, {SHAPE2(3, 4), SHAPE2(5, 4), SHAPE1(5)}},
    {TRIB_OP_CONV2D,
     {.stride = {1, 1}, .padding = {1, 1}},
     {P, P, P},
     {SHAPE4(2, 5, 4, 3), SHAPE4(4, 3, 3, 3), SHAPE1(4)}},
    {TRIB_OP_CONV2D, {.stride = {2, 1}, .padding = {1, 0}}, {P, P}, {SHAPE4(2, 6, 5, 2), SHAPE4(3, 3, 2, 2)}},
    {TRIB_OP_CONV2D,
     {.stride = {1, 2}, .activation = TRIB_ACTIVATION_RELU},
     {P, P, P},
     {SHAPE4(1, 4, 7, 2), SHAPE4(2, 2, 3, 2), SHAPE1(2)}},
    {TRIB_OP_CONV2D,
     {.stride = {1, 1}, .activation = TRIB_ACTIVATION_TANH},
     {P, P},
     {SHAPE4(2, 3, 3, 2), SHAPE4(3, 1, 1, 2)}},
    {TRIB_OP_MAX_POOL2D, {.kernel = {2, 2}, .stride = {2, 2}}, {P}, {SHAPE4(2, 4, 5, 3)}},
    {TRIB_OP_MAX_POOL2D, {.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 1}}, {P}, {SHAPE4(2, 4, 5, 2)}},
    {TRIB_OP_AVG_POOL2D, {.kernel = {2, 2}, .stride = {2, 2}}, {P}, {SHAPE4(2, 4, 5, 3)}},
    {TRIB_OP_AVG_POOL2D, {.kernel = {3, 3}, .stride = {2, 1}, .padding = {1, 1}}, {P}, {SHAPE4(2, 5, 4, 2)}},
    {TRIB_OP_AVG_POOL2D, {0}, {P}, {SHAPE4(2, 3, 4, 3)}},
    {TRIB_OP_RELU, {0}, {P}, {SHAPE2(4, 7)}},
    {TRIB_OP_TANH, {0}, {P}, {SHAPE2(4, 7)}},
    {TRIB_OP_SIGMOID, {0}, {P}, {SHAPE2(4, 7)}},
    {TRIB_OP_GELU, {0}, {P}, {SHAPE2(4, 7)}},
    {TRIB_OP_BATCH_NORM,
     {.training = true, .epsilon = 1e-2f, .momentum = 0.1f},
     {P, P, P, ROLE_STATE, ROLE_POSITIVE_STATE},
     {SHAPE4(3, 2, 3, 4), SHAPE1(4), SHAPE1(4), SHAPE1(4), SHAPE1(4)}},
    {TRIB_OP_BATCH_NORM,
     {.epsilon = 1e-2f, .momentum = 0.1f},
     {P, P, P, ROLE_STATE, ROLE_POSITIVE_STATE},
     {SHAPE4(3, 2, 3, 4), SHAPE1(4), SHAPE1(4), SHAPE1(4), SHAPE1(4)}},
    {TRIB_OP_GROUP_NORM, {.groups = 2, .epsilon = 1e-2f}, {P, P, P}, {SHAPE4(2, 3, 2, 6), SHAPE1(6), SHAPE1(6)}},
    {TRIB_OP_GROUP_NORM, {.groups = 1, .epsilon = 1e-2f}, {P, P, P}, {SHAPE2(3, 8), SHAPE1(8), SHAPE1(8)}},
    {TRIB_OP_ADD, {0}, {P, P}, {SHAPE2(3, 4), SHAPE2(3, 4)}},
    {TRIB_OP_ADD, {0}, {P, P}, {SHAPE4(2, 3, 2, 4), SHAPE1(4)}},
    {TRIB_OP_ADD, {0}, {P, P}, {SHAPE2(3, 4), SCALAR}},
    {TRIB_OP_MUL, {0}, {P, P}, {SHAPE2(3, 4), SHAPE2(3, 4)}},
    {TRIB_OP_MUL, {0}, {P, P}, {SHAPE4(2, 3, 2, 4), SHAPE2(2, 4)}},
    {TRIB_OP_MUL, {0}, {P, P}, {SHAPE2(3, 4), SCALAR}},
    {TRIB_OP_SCALE, {.factor = -1.5f}, {P}, {SHAPE2(3, 4)}},
    {TRIB_OP_RESHAPE, {.shape = {2, {6, 2}}}, {P}, {SHAPE2(3, 4)}},
    {TRIB_OP_DROPOUT, {.rate = 0.4f, .stream = 2}, {P}, {SHAPE2(5, 9)}},
    {TRIB_OP_REDUCE_TO, {.shape = SHAPE1(4)}, {P}, {SHAPE4(2, 3, 2, 4)}},
    {TRIB_OP_REDUCE_TO, {.shape = SCALAR}, {P}, {SHAPE2(3, 4)}},
    {TRIB_OP_SOFTMAX_CROSS_ENTROPY, {0}, {P, ROLE_LABELS}, {SHAPE2(6, 5), SHAPE1(6)}},
    {TRIB_OP_MSE, {0}, {P, P}, {SHAPE2(3, 4), SHAPE2(3, 4)}},
};
enum { CASES_N = sizeof cases / sizeof cases[0] };

/* One case as a differentiated graph that can be run. */
struct trial {
    const char *what;
    struct trib_graph *graph;
    struct trib_plan *plan;
    struct trib_execution *execution;
    trib_value y, r;
    float *model, *gradient, *weights;
    int32_t labels[8];
    const void *inputs[2];
    size_t parameters_n, y_n;
};

static void must(const struct trial *trial, enum trib_status status, const struct trib_error *error)
{
    ck_assert_msg(status == TRIB_OK, "%s: %s", trial->what, error->message);
}

static trib_value add_input(struct trial *trial, const struct gradient_case *from, int i)
{
    struct trib_error error = {0};
    char name[16];
    trib_value value = 0;
    snprintf(name, sizeof name, "v%d", i);
    if (from->roles[i] == ROLE_LABELS) {
        must(trial, trib_graph_input(trial->graph, name, TRIB_I32, &from->shapes[i], &value, &error), &error);
        return value;
    }
    enum trib_value_kind kind = from->roles[i] == P ? TRIB_VALUE_PARAMETER : TRIB_VALUE_STATE;
    must(trial, trib_graph_variable(trial->graph, kind, name, &from->shapes[i], TRIB_INIT_ZEROS, &value, &error),
         &error);
    return value;
}

/* loss = sum(y * r) */
static void build(struct trial *trial, const struct gradient_case *from)
{
    struct trib_error error = {0};
    trib_value inputs[TRIB_MAX_INPUTS], outputs[TRIB_MAX_OUTPUTS], loss;
    int n = 0;
    trial->graph = trib_graph_new();
    ck_assert_ptr_nonnull(trial->graph);
    for (; n < TRIB_MAX_INPUTS && from->roles[n] != ROLE_END; n++) {
        inputs[n] = add_input(trial, from, n);
    }
    must(trial, trib_graph_node(trial->graph, from->op, &from->attributes, inputs, n, outputs, &error), &error);
    trial->y = outputs[0];
    struct trib_shape shape = trib_graph_value(trial->graph, trial->y)->shape;
    trial->y_n = trib_shape_size(&shape);
    must(trial, trib_graph_input(trial->graph, "r", TRIB_F32, &shape, &trial->r, &error), &error);
    must(trial, trib_graph_node(trial->graph, TRIB_OP_MUL, NULL, (trib_value[]){trial->y, trial->r}, 2, &loss, &error),
         &error);
    if (shape.rank > 0) {
        struct trib_attributes scalar = {.shape = TRIB_SCALAR};
        must(trial, trib_graph_node(trial->graph, TRIB_OP_REDUCE_TO, &scalar, &loss, 1, &loss, &error), &error);
    }
    must(trial, trib_graph_set_output(trial->graph, "y", trial->y, &error), &error);
    must(trial, trib_autograd(trial->graph, loss, &error), &error);
    must(trial, trib_plan_new(trial->graph, 1, 0, &trial->plan, &error), &error);
    must(trial, trib_execution_new(trib_backend_find("reference"), trial->plan, NULL, &trial->execution, &error),
         &error);
}

/* Numbers away from 0, where relu has its kink. */
static void fill(struct trial *trial, const struct gradient_case *from)
{
    struct trib_rng rng = trib_rng_init(3, "gradient", (uint64_t)(from - cases), 0);
    size_t model_n = trib_plan_model_floats(trial->plan), at = 0;
    trial->model = trib_calloc(model_n, sizeof(float));
    trial->gradient = trib_calloc(model_n, sizeof(float));
    trial->weights = trib_calloc(trial->y_n, sizeof(float));
    ck_assert(trial->model && trial->gradient && trial->weights);
    for (int i = 0; i < TRIB_MAX_INPUTS && from->roles[i] != ROLE_END; i++) {
        if (from->roles[i] == ROLE_LABELS) {
            continue;
        }
        for (size_t j = 0; j < trib_shape_size(&from->shapes[i]); j++) {
            float size = 0.2f + 0.8f * trib_rng_uniform(&rng);
            bool positive = from->roles[i] == ROLE_POSITIVE_STATE || trib_rng_uniform(&rng) < 0.5f;
            trial->model[at++] = positive ? size : -size;
        }
        if (from->roles[i] == P) {
            trial->parameters_n = at;
        }
    }
    ck_assert_uint_eq(at, model_n);
    for (size_t i = 0; i < trial->y_n; i++) {
        trial->weights[i] = 2 * trib_rng_uniform(&rng) - 1;
    }
    for (int i = 0; i < 8; i++) {
        trial->labels[i] = i == 2 ? -1 : (int32_t)trib_rng_below(&rng, 5);
    }
    bool labelled = trib_plan_n_inputs(trial->plan) > 1;
    trial->inputs[0] = labelled ? (const void *)trial->labels : trial->weights;
    trial->inputs[1] = trial->weights;
}

static double run(struct trial *trial)
{
    struct trib_error error = {0};
    struct trib_execution_values once = {
        .inputs = trial->inputs, .model = trial->model, .gradient = trial->gradient, .seed = 9, .step = 4};
    must(trial, trib_execution_run(trial->execution, &once, &error), &error);
    const float *y = trib_execution_data(trial->execution, trial->y);
    double loss = 0;
    for (size_t i = 0; i < trial->y_n; i++) {
        loss += (double)y[i] * (double)trial->weights[i];
    }
    return loss;
}

static double difference(struct trial *trial, size_t at, float step)
{
    float before = trial->model[at];
    float high = before + step, low = before - step;
    trial->model[at] = high;
    double up = run(trial);
    trial->model[at] = low;
    double down = run(trial);
    trial->model[at] = before;
    return (up - down) / ((double)high - (double)low);
}

static void check_gradients(struct trial *trial)
{
    run(trial);
    float *gradient = trib_calloc(trial->parameters_n, sizeof(float));
    ck_assert_ptr_nonnull(gradient);
    memcpy(gradient, trial->gradient, trial->parameters_n * sizeof(float));
    size_t skipped = 0;
    for (size_t i = 0; i < trial->parameters_n; i++) {
        double wide = difference(trial, i, 8e-3f), narrow = difference(trial, i, 4e-3f);
        double tolerance = 1e-3 * (1 + fabs(narrow));
        if (fabs(wide - narrow) > tolerance) {
            skipped++;
            continue;
        }
        /* The two sizes together cancel the term in step^2 (Richardson). */
        double expected = (4 * narrow - wide) / 3;
        if (!(fabs(expected - (double)gradient[i]) <= tolerance)) {
            ck_abort_msg("%s: parameter element %zu has gradient %.7g, differences give %.7g", trial->what, i,
                         (double)gradient[i], expected);
        }
    }
    ck_assert_msg(skipped * 10 <= trial->parameters_n, "%s: %zu of %zu elements lie at a kink", trial->what, skipped,
                  trial->parameters_n);
    trib_free(gradient);
}

START_TEST(gradient_agrees_with_differences)
{
    const struct gradient_case *from = &cases[_i];
    char what[64];
    snprintf(what, sizeof what, "%s, case %d", trib_op_info(from->op)->name, _i);
    struct trial trial = {.what = what};
    build(&trial, from);
    fill(&trial, from);
    check_gradients(&trial);
    trib_execution_free(trial.execution);
    trib_plan_free(trial.plan);
    trib_graph_free(trial.graph);
    trib_free(trial.model);
    trib_free(trial.gradient);
    trib_free(trial.weights);
}
END_TEST

START_TEST(every_differentiable_op_has_a_case)
{
    for (int op = 0; op < TRIB_OP_COUNT; op++) {
        const char *name = trib_op_info((enum trib_op)op)->name;
        bool seen = strstr(name, "_grad"); /* exists for gradients only */
        for (size_t i = 0; i < CASES_N; i++) {
            seen = seen || cases[i].op == (enum trib_op)op;
        }
        ck_assert_msg(seen, "no gradient case for %s", name);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conform_gradient");
    TCase *tests = tcase_create("gradients");
    tcase_add_loop_test(tests, gradient_agrees_with_differences, 0, CASES_N);
    tcase_add_test(tests, every_differentiable_op_has_a_case);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
