/* The registry of backends and the executor: binding, states, gradients, fallbacks, refusals, profiles. */
#include "fail_memory.h"
#include "test_main.h"

#include "backend/backend.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/autograd.h"
#include "graph/pass.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct trib_error error;

static void must(enum trib_status status)
{
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
}

static trib_value node(struct trib_graph *graph, enum trib_op op, const struct trib_attributes *attributes,
                       const trib_value *inputs, int n)
{
    trib_value outputs[TRIB_MAX_OUTPUTS];
    must(trib_graph_node(graph, op, attributes, inputs, n, outputs, &error));
    return outputs[0];
}

static trib_value input(struct trib_graph *graph, const char *name, enum trib_dtype dtype, struct trib_shape shape)
{
    trib_value value = 0;
    must(trib_graph_input(graph, name, dtype, &shape, &value, &error));
    return value;
}

static trib_value variable(struct trib_graph *graph, enum trib_value_kind kind, const char *name,
                           struct trib_shape shape)
{
    trib_value value = 0;
    must(trib_graph_variable(graph, kind, name, &shape, TRIB_INIT_ZEROS, &value, &error));
    return value;
}

/* y = x w^T, loss = sum(y); the graph, its plan and an execution. */
struct small {
    struct trib_graph *graph;
    struct trib_plan *plan;
    struct trib_execution *execution;
    trib_value y, loss;
};

static struct small small_new(bool with_gradient)
{
    struct small s = {.graph = trib_graph_new()};
    ck_assert_ptr_nonnull(s.graph);
    trib_value x = input(s.graph, "x", TRIB_F32, TRIB_SHAPE(TRIB_DIM_BATCH, 2));
    trib_value w = variable(s.graph, TRIB_VALUE_PARAMETER, "w", TRIB_SHAPE(3, 2));
    s.y = node(s.graph, TRIB_OP_MATMUL, &(struct trib_attributes){.transpose_b = true}, (trib_value[]){x, w}, 2);
    s.loss = node(s.graph, TRIB_OP_REDUCE_TO, &(struct trib_attributes){.shape = TRIB_SCALAR}, &s.y, 1);
    must(trib_graph_set_output(s.graph, "y", s.y, &error));
    must(trib_graph_set_output(s.graph, "loss", s.loss, &error));
    if (with_gradient) {
        must(trib_autograd(s.graph, s.loss, &error));
    }
    must(trib_plan_new(s.graph, 2, 0, &s.plan, &error));
    return s;
}

static void small_open(struct small *s, const struct trib_backend *backend)
{
    must(trib_execution_new(backend, s->plan, NULL, &s->execution, &error));
}

static void small_free(struct small *s)
{
    trib_execution_free(s->execution);
    trib_plan_free(s->plan);
    trib_graph_free(s->graph);
}

/* ---- the registry ---- */

START_TEST(every_backend_is_found_by_its_name)
{
    const struct trib_backend *const *list;
    size_t n = trib_backends(&list);
    ck_assert_uint_ge(n, 2);
    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_eq(trib_backend_find(list[i]->name), list[i]);
        ck_assert_uint_gt(strlen(list[i]->help), 0);
        ck_assert_ptr_nonnull(list[i]->choose);
    }
    ck_assert_ptr_null(trib_backend_find("abacus"));
    ck_assert_ptr_null(trib_backend_find(""));
}
END_TEST

START_TEST(the_default_is_the_first_that_works)
{
    const struct trib_backend *const *list;
    size_t n = trib_backends(&list);
    for (size_t i = 0; i < n; i++) {
        if (!list[i]->probe || list[i]->probe(NULL) == TRIB_OK) {
            ck_assert_ptr_eq(trib_backend_default(), list[i]);
            return;
        }
    }
    ck_abort_msg("no backend works");
}
END_TEST

START_TEST(a_backend_describes_its_library)
{
    const struct trib_backend *blas = trib_backend_find("blas");
    ck_assert_ptr_nonnull(blas);
    if (blas->probe(&error) == TRIB_OK) {
        ck_assert_ptr_nonnull(strstr(blas->describe(), "OpenBLAS"));
        ck_assert_ptr_nonnull(strstr(blas->describe(), "core type"));
    }
}
END_TEST

/* ---- running ---- */

START_TEST(a_run_computes_outputs_and_gradients)
{
    const struct trib_backend *const *list;
    size_t n = trib_backends(&list);
    for (size_t i = 0; i < n; i++) {
        if (list[i]->probe && list[i]->probe(NULL) != TRIB_OK) {
            continue;
        }
        struct small s = small_new(true);
        small_open(&s, list[i]);
        float x[4] = {1, 2, 3, 4}, w[6] = {1, 0, 0, 1, 1, 1}, gradient[6] = {0};
        struct trib_execution_values run = {.inputs = (const void *[]){x}, .model = w, .gradient = gradient};
        must(trib_execution_run(s.execution, &run, &error));
        const float expected[6] = {1, 2, 3, 3, 4, 7}, expected_gradient[6] = {4, 6, 4, 6, 4, 6};
        ck_assert_mem_eq(trib_execution_data(s.execution, s.y), expected, sizeof expected);
        ck_assert_float_eq(*(const float *)trib_execution_data(s.execution, s.loss), 20);
        ck_assert_mem_eq(gradient, expected_gradient, sizeof expected_gradient);
        small_free(&s);
    }
}
END_TEST

START_TEST(inputs_and_model_may_move_between_runs)
{
    struct small s = small_new(true);
    small_open(&s, trib_backend_default());
    float x[2][4] = {{1, 2, 3, 4}, {0, 1, 0, 1}}, w[2][6] = {{1, 1, 1, 1, 1, 1}, {0, 2, 0, 2, 0, 2}}, gradient[2][6];
    for (int i = 0; i < 2; i++) {
        struct trib_execution_values run = {.inputs = (const void *[]){x[i]}, .model = w[i], .gradient = gradient[i]};
        must(trib_execution_run(s.execution, &run, &error));
        ck_assert_float_eq(*(const float *)trib_execution_data(s.execution, s.loss), i == 0 ? 30 : 12);
    }
    ck_assert_float_eq(gradient[0][0], 4);
    ck_assert_float_eq(gradient[1][0], 0);
    small_free(&s);
}
END_TEST

START_TEST(a_forward_graph_needs_no_gradient_vector)
{
    struct small s = small_new(false);
    small_open(&s, trib_backend_default());
    float x[4] = {1, 2, 3, 4}, w[6] = {1, 1, 1, 1, 1, 1};
    struct trib_execution_values run = {.inputs = (const void *[]){x}, .model = w};
    must(trib_execution_run(s.execution, &run, &error));
    ck_assert_float_eq(*(const float *)trib_execution_data(s.execution, s.loss), 30);
    small_free(&s);
}
END_TEST

START_TEST(what_a_run_lacks_is_named)
{
    struct small s = small_new(true);
    small_open(&s, trib_backend_default());
    float x[4] = {0}, w[6] = {0}, gradient[6] = {0};
    struct trib_execution_values run = {.inputs = (const void *[]){NULL}, .model = w, .gradient = gradient};
    ck_assert_int_eq(trib_execution_run(s.execution, &run, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "graph input 1 of 1"));
    run.inputs = NULL;
    ck_assert_int_eq(trib_execution_run(s.execution, &run, &error), TRIB_INVALID);
    run.inputs = (const void *[]){x};
    run.model = NULL;
    ck_assert_int_eq(trib_execution_run(s.execution, &run, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "no model vector"));
    run.model = w;
    run.gradient = NULL;
    ck_assert_int_eq(trib_execution_run(s.execution, &run, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "no gradient vector"));
    small_free(&s);
}
END_TEST

/* loss = sum(x * w): the gradient of w is the input x itself; and p is a parameter that the loss ignores. */
START_TEST(gradients_that_are_no_results_are_copied)
{
    struct trib_graph *graph = trib_graph_new();
    trib_value x = input(graph, "x", TRIB_F32, TRIB_SHAPE(3));
    trib_value w = variable(graph, TRIB_VALUE_PARAMETER, "w", TRIB_SHAPE(3));
    variable(graph, TRIB_VALUE_PARAMETER, "p", TRIB_SHAPE(2));
    trib_value y = node(graph, TRIB_OP_MUL, NULL, (trib_value[]){x, w}, 2);
    trib_value loss = node(graph, TRIB_OP_REDUCE_TO, &(struct trib_attributes){.shape = TRIB_SCALAR}, &y, 1);
    must(trib_graph_set_output(graph, "loss", loss, &error));
    must(trib_autograd(graph, loss, &error));
    struct trib_graph *optimised;
    must(trib_pass_pipeline(graph, &optimised, NULL, &error));
    struct trib_plan *plan;
    must(trib_plan_new(optimised, 1, 0, &plan, &error));
    struct trib_execution *execution;
    must(trib_execution_new(trib_backend_default(), plan, NULL, &execution, &error));
    float values[3] = {1, 2, 3}, model[5] = {4, 5, 6, 7, 8}, gradient[5] = {9, 9, 9, 9, 9};
    struct trib_execution_values run = {.inputs = (const void *[]){values}, .model = model, .gradient = gradient};
    must(trib_execution_run(execution, &run, &error));
    ck_assert_mem_eq(gradient, ((float[]){1, 2, 3, 0, 0}), sizeof gradient);
    trib_execution_free(execution);
    trib_plan_free(plan);
    trib_graph_free(optimised);
    trib_graph_free(graph);
}
END_TEST

START_TEST(states_are_updated_in_place)
{
    struct trib_graph *graph = trib_graph_new();
    trib_value x = input(graph, "x", TRIB_F32, TRIB_SHAPE(TRIB_DIM_BATCH, 1));
    trib_value gamma = variable(graph, TRIB_VALUE_PARAMETER, "gamma", TRIB_SHAPE(1));
    trib_value beta = variable(graph, TRIB_VALUE_PARAMETER, "beta", TRIB_SHAPE(1));
    trib_value mean = variable(graph, TRIB_VALUE_STATE, "mean", TRIB_SHAPE(1));
    trib_value var = variable(graph, TRIB_VALUE_STATE, "var", TRIB_SHAPE(1));
    struct trib_attributes attributes = {.training = true, .epsilon = 1e-3f, .momentum = 0.5f};
    trib_value outputs[5];
    must(trib_graph_node(graph, TRIB_OP_BATCH_NORM, &attributes, (trib_value[]){x, gamma, beta, mean, var}, 5, outputs,
                         &error));
    must(trib_graph_set_output(graph, "y", outputs[0], &error));
    must(trib_graph_update_state(graph, mean, outputs[3], &error));
    must(trib_graph_update_state(graph, var, outputs[4], &error));
    struct trib_plan *plan;
    must(trib_plan_new(graph, 2, 0, &plan, &error));
    struct trib_execution *execution;
    must(trib_execution_new(trib_backend_default(), plan, NULL, &execution, &error));
    float values[2] = {1, 3}, model[4] = {1, 0, 0, 1};
    struct trib_execution_values run = {.inputs = (const void *[]){values}, .model = model};
    must(trib_execution_run(execution, &run, &error));
    /* mean 2; unbiased variance 2 */
    ck_assert_mem_eq(model, ((float[]){1, 0, 1, 1.5f}), sizeof model);
    must(trib_execution_run(execution, &run, &error));
    ck_assert_mem_eq(model, ((float[]){1, 0, 1.5f, 1.75f}), sizeof model);
    trib_execution_free(execution);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(dropout_follows_seed_and_step)
{
    struct trib_graph *graph = trib_graph_new();
    trib_value x = input(graph, "x", TRIB_F32, TRIB_SHAPE(64));
    trib_value y = node(graph, TRIB_OP_DROPOUT, &(struct trib_attributes){.rate = 0.5f, .stream = 1}, &x, 1);
    must(trib_graph_set_output(graph, "y", y, &error));
    struct trib_plan *plan;
    must(trib_plan_new(graph, 1, 0, &plan, &error));
    struct trib_execution *execution;
    must(trib_execution_new(trib_backend_default(), plan, NULL, &execution, &error));
    float ones[64], masks[4][64];
    for (int i = 0; i < 64; i++) {
        ones[i] = 1;
    }
    static const uint64_t keys[4][2] = {{1, 1}, {1, 2}, {2, 1}, {1, 1}};
    for (int i = 0; i < 4; i++) {
        struct trib_execution_values run = {.inputs = (const void *[]){ones}, .seed = keys[i][0], .step = keys[i][1]};
        must(trib_execution_run(execution, &run, &error));
        memcpy(masks[i], trib_execution_data(execution, y), sizeof masks[i]);
    }
    ck_assert_mem_eq(masks[0], masks[3], sizeof masks[0]);
    ck_assert_mem_ne(masks[0], masks[1], sizeof masks[0]);
    ck_assert_mem_ne(masks[0], masks[2], sizeof masks[0]);
    trib_execution_free(execution);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

/* ---- choosing kernels ---- */

static void choose_nothing(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)call;
    (void)threads;
    *choice = (struct trib_kernel_choice){0};
}

static struct trib_kernel_call seen;
static int seen_threads;

static void note_call(const struct trib_kernel_call *call)
{
    seen = *call;
    memset(call->workspace, 1, 1000);
}

static void choose_noting(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    ck_assert_ptr_null(call->inputs[0].data);
    seen_threads = threads;
    choice->run = note_call;
    choice->workspace_bytes = 1000;
}

static enum trib_status refuse(struct trib_error *to)
{
    return trib_fail(to, TRIB_UNAVAILABLE, "no such device");
}

START_TEST(in_host_memory_the_reference_fills_gaps)
{
    static const struct trib_backend host = {
        .name = "host", .caps = TRIB_BACKEND_HOST_MEMORY, .choose = choose_nothing};
    struct small s = small_new(false);
    small_open(&s, &host);
    float x[4] = {1, 2, 3, 4}, w[6] = {1, 1, 1, 1, 1, 1};
    struct trib_execution_values run = {.inputs = (const void *[]){x}, .model = w};
    must(trib_execution_run(s.execution, &run, &error));
    ck_assert_float_eq(*(const float *)trib_execution_data(s.execution, s.loss), 30);
    small_free(&s);
}
END_TEST

START_TEST(elsewhere_a_missing_kernel_is_refused_by_name)
{
    static const struct trib_backend device = {.name = "device", .choose = choose_nothing};
    struct small s = small_new(false);
    struct trib_execution *execution = NULL;
    ck_assert_int_eq(trib_execution_new(&device, s.plan, NULL, &execution, &error), TRIB_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.message, "device"));
    ck_assert_ptr_nonnull(strstr(error.message, "matmul"));
    ck_assert_ptr_nonnull(strstr(error.message, "[2, 2]"));
    ck_assert_ptr_null(execution);
    small_free(&s);
}
END_TEST

START_TEST(a_backend_that_does_not_work_says_why)
{
    static const struct trib_backend broken = {.name = "broken", .probe = refuse, .choose = choose_nothing};
    struct small s = small_new(false);
    struct trib_execution *execution = NULL;
    ck_assert_int_eq(trib_execution_new(&broken, s.plan, NULL, &execution, &error), TRIB_UNAVAILABLE);
    ck_assert_str_eq(error.message, "no such device");
    small_free(&s);
}
END_TEST

START_TEST(a_kernel_gets_what_it_asked_for)
{
    static const struct trib_backend noting = {.name = "noting", .choose = choose_noting};
    struct trib_thread_pool *pool;
    must(trib_thread_pool_new(2, &pool, &error));
    struct trib_graph *graph = trib_graph_new();
    trib_value x = input(graph, "x", TRIB_F32, TRIB_SHAPE(TRIB_DIM_BATCH, 4, 4, 1)), outputs[2];
    struct trib_attributes attributes = {.kernel = {2, 2}, .stride = {2, 2}};
    must(trib_graph_node(graph, TRIB_OP_MAX_POOL2D, &attributes, &x, 1, outputs, &error));
    must(trib_graph_set_output(graph, "y", outputs[0], &error));
    struct trib_plan *plan;
    must(trib_plan_new(graph, 3, 0, &plan, &error));
    struct trib_execution *execution;
    must(trib_execution_new(&noting, plan, pool, &execution, &error));
    float values[48] = {0};
    struct trib_execution_values run = {.inputs = (const void *[]){values}, .seed = 5, .step = 6};
    must(trib_execution_run(execution, &run, &error));
    ck_assert_int_eq(seen_threads, 2);
    ck_assert_int_eq(seen.op, TRIB_OP_MAX_POOL2D);
    ck_assert_ptr_eq(seen.pool, pool);
    ck_assert_ptr_eq(seen.inputs[0].data, values);
    ck_assert_int_eq(seen.inputs[0].shape.dims[0], 3);
    ck_assert_ptr_eq(seen.outputs[0].data, trib_execution_data(execution, outputs[0]));
    ck_assert_int_eq(seen.outputs[1].dtype, TRIB_I32);
    ck_assert_uint_eq(seen.seed, 5);
    ck_assert_uint_eq(seen.step, 6);
    ck_assert_uint_eq((uintptr_t)seen.workspace % 64, 0);
    trib_execution_free(execution);
    trib_plan_free(plan);
    trib_graph_free(graph);
    trib_thread_pool_free(pool);
}
END_TEST

/* ---- a whole training step ---- */

static struct trib_graph *network(void)
{
    struct trib_graph *graph = trib_graph_new(), *optimised;
    trib_value x = input(graph, "x", TRIB_F32, TRIB_SHAPE(TRIB_DIM_BATCH, 12, 12, 3));
    trib_value y = input(graph, "y", TRIB_I32, TRIB_SHAPE(TRIB_DIM_BATCH));
    trib_value at = x, outputs[TRIB_MAX_OUTPUTS];
    static const int64_t channels[3] = {3, 20, 36};
    for (int i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        trib_value w = variable(graph, TRIB_VALUE_PARAMETER, name, TRIB_SHAPE(channels[i + 1], 3, 3, channels[i]));
        snprintf(name, sizeof name, "b%d", i);
        trib_value b = variable(graph, TRIB_VALUE_PARAMETER, name, TRIB_SHAPE(channels[i + 1]));
        struct trib_attributes conv = {.stride = {1, 1}, .padding = {1, 1}},
                               pool = {.kernel = {2, 2}, .stride = {2, 2}};
        at = node(graph, TRIB_OP_CONV2D, &conv, (trib_value[]){at, w}, 2);
        at = node(graph, TRIB_OP_ADD, NULL, (trib_value[]){at, b}, 2);
        at = node(graph, TRIB_OP_RELU, NULL, &at, 1);
        at = node(graph, TRIB_OP_MAX_POOL2D, &pool, &at, 1);
    }
    at = node(graph, TRIB_OP_RESHAPE, &(struct trib_attributes){.shape = TRIB_SHAPE(TRIB_DIM_BATCH, 324)}, &at, 1);
    trib_value w = variable(graph, TRIB_VALUE_PARAMETER, "w2", TRIB_SHAPE(10, 324));
    at = node(graph, TRIB_OP_MATMUL, &(struct trib_attributes){.transpose_b = true}, (trib_value[]){at, w}, 2);
    must(trib_graph_node(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NULL, (trib_value[]){at, y}, 2, outputs, &error));
    must(trib_graph_set_output(graph, "loss", outputs[0], &error));
    must(trib_autograd(graph, outputs[0], &error));
    must(trib_pass_pipeline(graph, &optimised, NULL, &error));
    trib_graph_free(graph);
    return optimised;
}

enum { NETWORK_BATCH = 9, NETWORK_STEPS = 4 };

/* A few steps of gradient descent; leaves the model in `model` and returns the last loss. */
static float descend(const struct trib_plan *plan, const struct trib_backend *backend, int threads, float *model)
{
    size_t n = trib_plan_model_floats(plan);
    struct trib_thread_pool *pool;
    must(trib_thread_pool_new(threads, &pool, &error));
    struct trib_execution *execution;
    must(trib_execution_new(backend, plan, pool, &execution, &error));
    float *x = trib_calloc(NETWORK_BATCH * 12 * 12 * 3, sizeof(float)), *gradient = trib_calloc(n, sizeof(float));
    int32_t y[NETWORK_BATCH];
    struct trib_rng rng = trib_rng_init(4, "network", 0, 0);
    for (size_t i = 0; i < n; i++) {
        model[i] = 0.2f * (trib_rng_uniform(&rng) - 0.5f);
    }
    for (size_t i = 0; i < NETWORK_BATCH * 12 * 12 * 3; i++) {
        x[i] = trib_rng_uniform(&rng);
    }
    for (int i = 0; i < NETWORK_BATCH; i++) {
        y[i] = i % 10;
    }
    trib_value loss;
    ck_assert(trib_graph_find_output(trib_plan_graph(plan), "loss", &loss));
    struct trib_execution_values run = {.inputs = (const void *[]){x, y}, .model = model, .gradient = gradient};
    for (int step = 0; step < NETWORK_STEPS; step++) {
        must(trib_execution_run(execution, &run, &error));
        for (size_t i = 0; i < n; i++) {
            model[i] -= 0.1f * gradient[i];
        }
    }
    float last = *(const float *)trib_execution_data(execution, loss);
    trib_execution_free(execution);
    trib_thread_pool_free(pool);
    trib_free(x);
    trib_free(gradient);
    return last;
}

START_TEST(training_gives_the_same_bits_on_any_number_of_threads)
{
    struct trib_graph *graph = network();
    struct trib_plan *plan;
    must(trib_plan_new(graph, NETWORK_BATCH, 0, &plan, &error));
    size_t n = trib_plan_model_floats(plan);
    float *reference = trib_calloc(n, sizeof(float)), *first = trib_calloc(n, sizeof(float));
    float *again = trib_calloc(n, sizeof(float));
    float expected = descend(plan, trib_backend_find("reference"), 1, reference);
    const struct trib_backend *const *list;
    size_t backends = trib_backends(&list);
    for (size_t b = 0; b < backends; b++) {
        if (list[b]->probe && list[b]->probe(NULL) != TRIB_OK) {
            continue;
        }
        float loss = descend(plan, list[b], 1, first);
        ck_assert_msg(fabsf(loss - expected) < 1e-4f, "%s: loss %g, reference %g", list[b]->name, (double)loss,
                      (double)expected);
        for (int threads = 2; threads <= 3; threads++) {
            ck_assert_float_eq(descend(plan, list[b], threads, again), loss);
            ck_assert_msg(memcmp(first, again, n * sizeof(float)) == 0, "%s: %d threads give another model",
                          list[b]->name, threads);
        }
        for (size_t i = 0; i < n; i++) {
            if (!(fabsf(first[i] - reference[i]) < 1e-4f)) {
                ck_abort_msg("%s: parameter %zu is %g, reference %g", list[b]->name, i, (double)first[i],
                             (double)reference[i]);
            }
        }
    }
    trib_free(reference);
    trib_free(first);
    trib_free(again);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

/* ---- the rest ---- */

START_TEST(a_profile_lists_every_step)
{
    struct small s = small_new(false);
    small_open(&s, trib_backend_default());
    float x[4] = {0}, w[6] = {0};
    struct trib_execution_values run = {.inputs = (const void *[]){x}, .model = w};
    must(trib_execution_run(s.execution, &run, &error));
    trib_execution_profile(s.execution, true);
    must(trib_execution_run(s.execution, &run, &error));
    must(trib_execution_run(s.execution, &run, &error));
    struct trib_buf text = {0};
    must(trib_execution_print_profile(s.execution, &text));
    const char *shown = trib_buf_text(&text);
    const char *line = strstr(shown, "matmul");
    ck_assert_ptr_nonnull(line);
    char op[32], a[16], b[16];
    int calls = 0;
    ck_assert_int_eq(sscanf(line, "%31s %15s %15s %d", op, a, b, &calls), 4);
    ck_assert_int_eq(calls, 2);
    ck_assert_ptr_nonnull(strstr(shown, "reduce_to"));
    ck_assert_ptr_nonnull(strstr(shown, "total"));
    trib_buf_clear(&text);
    small_free(&s);
}
END_TEST

START_TEST(short_memory_is_an_error)
{
    struct small s = small_new(true);
    struct trib_execution *execution = NULL;
    enum trib_status status = TRIB_NO_MEMORY;
    for (int after = 0; after < 50 && status != TRIB_OK; after++) {
        fail_memory_after(after, false);
        status = trib_execution_new(trib_backend_default(), s.plan, NULL, &execution, &error);
        fail_memory_after(-1, false);
        if (status != TRIB_OK) {
            ck_assert_int_eq(status, TRIB_NO_MEMORY);
            ck_assert_ptr_null(execution);
        }
    }
    ck_assert_int_eq(status, TRIB_OK);
    trib_execution_free(execution);
    trib_execution_free(NULL);
    small_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("test_execution");
    TCase *tests = tcase_create("execution");
    tcase_add_test(tests, every_backend_is_found_by_its_name);
    tcase_add_test(tests, the_default_is_the_first_that_works);
    tcase_add_test(tests, a_backend_describes_its_library);
    tcase_add_test(tests, a_run_computes_outputs_and_gradients);
    tcase_add_test(tests, inputs_and_model_may_move_between_runs);
    tcase_add_test(tests, a_forward_graph_needs_no_gradient_vector);
    tcase_add_test(tests, what_a_run_lacks_is_named);
    tcase_add_test(tests, gradients_that_are_no_results_are_copied);
    tcase_add_test(tests, states_are_updated_in_place);
    tcase_add_test(tests, dropout_follows_seed_and_step);
    tcase_add_test(tests, in_host_memory_the_reference_fills_gaps);
    tcase_add_test(tests, elsewhere_a_missing_kernel_is_refused_by_name);
    tcase_add_test(tests, a_backend_that_does_not_work_says_why);
    tcase_add_test(tests, a_kernel_gets_what_it_asked_for);
    tcase_add_test(tests, training_gives_the_same_bits_on_any_number_of_threads);
    tcase_add_test(tests, a_profile_lists_every_step);
    tcase_add_test(tests, short_memory_is_an_error);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
