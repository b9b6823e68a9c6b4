/* What each pass rewrites and what it leaves alone; and that no pass changes what a graph computes. */
#include "base/mem.h"
#include "graph/pass.h"
#include "fail_memory.h"
#include "graph_eval.h"
#include "graph_random.h"

static struct trib_graph *run(const char *name, const struct trib_graph *graph)
{
    const struct trib_pass *const *passes;
    size_t n = trib_passes(&passes);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(passes[i]->name, name) == 0) {
            struct trib_graph *result = NULL;
            must(passes[i]->run(graph, &result, error));
            return result;
        }
    }
    ck_abort_msg("there is no pass %s", name);
    return NULL;
}

/* Run one pass in place of the graph. */
static void rewrite(const char *name, struct trib_graph **graph)
{
    struct trib_graph *result = run(name, *graph);
    trib_graph_free(*graph);
    *graph = result;
}

static trib_value output_of(const struct trib_graph *graph, const char *name)
{
    trib_value value = 0;
    ck_assert(trib_graph_find_output(graph, name, &value));
    return value;
}

static const struct trib_node *made_by(const struct trib_graph *graph, const char *name)
{
    const struct trib_value_info *info = trib_graph_value(graph, output_of(graph, name));
    ck_assert_int_eq(info->kind, TRIB_VALUE_RESULT);
    return trib_graph_node_at(graph, info->node);
}

START_TEST(dead_code_keeps_what_is_needed)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 3)), w = parameter(graph, "w", TRIB_SHAPE(3));
    trib_value s = state(graph, "s", TRIB_SHAPE(3));
    (void)input(graph, "unused_input", TRIB_SHAPE(BATCH, 3));
    (void)parameter(graph, "unused_parameter", TRIB_SHAPE(3));
    (void)state(graph, "unused_state", TRIB_SHAPE(3));
    (void)constant(graph, 3, TRIB_SCALAR);
    (void)relu(graph, relu(graph, x));
    output(graph, "y", node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, x));
    must(trib_graph_update_state(graph, s, node(graph, TRIB_OP_SIGMOID, NO_ATTRIBUTES, w), error));
    must(trib_graph_set_gradient(graph, w, node(graph, TRIB_OP_GELU, NO_ATTRIBUTES, w), error));
    rewrite("dead-code", &graph);
    ck_assert_uint_eq(trib_graph_n_nodes(graph), 3);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_RELU), 0);
    ck_assert_uint_eq(trib_graph_n_values(graph), 9);
    trib_value value = 0;
    ck_assert(trib_graph_find(graph, "unused_input", &value));
    ck_assert(trib_graph_find(graph, "unused_parameter", &value));
    ck_assert(trib_graph_find(graph, "unused_state", &value));
    trib_graph_free(graph);
}
END_TEST

START_TEST(equal_expressions_become_one)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 3)), z = input(graph, "z", TRIB_SHAPE(BATCH, 3));
    trib_value a = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, relu(graph, x), z);
    trib_value b = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, z, relu(graph, x));
    output(graph, "y", node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, a, b));
    output(graph, "c", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, a, constant(graph, 2, TRIB_SCALAR)));
    output(graph, "d", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, b, constant(graph, 2, TRIB_SCALAR)));
    output(graph, "e", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, b, constant(graph, 2, TRIB_SHAPE(3))));
    rewrite("common-subexpression", &graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_RELU), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_ADD), 3);
    ck_assert_uint_eq(made_by(graph, "y")->inputs[0], made_by(graph, "y")->inputs[1]);
    ck_assert_uint_eq(output_of(graph, "c"), output_of(graph, "d"));
    ck_assert_uint_ne(output_of(graph, "c"), output_of(graph, "e"));
    trib_graph_free(graph);
}
END_TEST

START_TEST(different_expressions_stay_apart)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 3));
    output(graph, "a", node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.rate = 0.5f, .stream = 1), x));
    output(graph, "b", node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.rate = 0.5f, .stream = 2), x));
    output(graph, "c", node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 2), x));
    output(graph, "d", node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 3), x));
    output(graph, "e", node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.rate = 0.5f, .stream = 2), x));
    rewrite("common-subexpression", &graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_DROPOUT), 2);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_SCALE), 2);
    ck_assert_uint_eq(output_of(graph, "b"), output_of(graph, "e"));
    trib_graph_free(graph);
}
END_TEST

START_TEST(constants_are_folded)
{
    struct trib_graph *graph = new_graph();
    trib_value two = constant(graph, 2, TRIB_SHAPE(4)), three = constant(graph, 3, TRIB_SCALAR);
    trib_value y = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, two, three);
    y = node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, y, three);
    y = node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = -2), y);
    output(graph, "minus", node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(2, 2)), y));
    output(graph, "zero", relu(graph, y));
    /* What would not be finite is left to the run. */
    trib_value huge = constant(graph, 3e38f, TRIB_SCALAR);
    output(graph, "huge", node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, huge, huge));
    rewrite("constant-folding", &graph);
    const struct trib_value_info *info = trib_graph_value(graph, output_of(graph, "minus"));
    ck_assert_int_eq(info->kind, TRIB_VALUE_CONSTANT);
    ck_assert(info->constant == -30);
    ck_assert(trib_shape_equal(&info->shape, &TRIB_SHAPE(2, 2)));
    info = trib_graph_value(graph, output_of(graph, "zero"));
    ck_assert(info->kind == TRIB_VALUE_CONSTANT && info->constant == 0);
    ck_assert_int_eq(producer(graph, output_of(graph, "huge")), TRIB_OP_MUL);
    trib_graph_free(graph);
}
END_TEST

START_TEST(idle_arithmetic_goes)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 3)), w = parameter(graph, "w", TRIB_SHAPE(3));
    trib_value zero = constant(graph, 0, TRIB_SCALAR), one = constant(graph, 1, TRIB_SCALAR);
    output(graph, "a", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, zero));
    output(graph, "b", node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, x, one));
    output(graph, "c", node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 1), x));
    trib_value y = node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 2), x);
    output(graph, "d", node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 4), y));
    output(graph, "e", node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, x, constant(graph, 5, TRIB_SHAPE(3))));
    output(graph, "f", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, constant(graph, 0, TRIB_SHAPE(3)), w));
    /* A broadcast is not idle, whatever it adds. */
    trib_value zeros = constant(graph, 0, TRIB_SHAPE(4, 3));
    output(graph, "g", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, zeros, w));
    /* The factors' product is no number that a float can hold. */
    y = node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 1e-30f), x);
    output(graph, "h", node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 1e-30f), y));
    rewrite("constant-folding", &graph);
    trib_value named = 0;
    ck_assert(trib_graph_find(graph, "x", &named));
    ck_assert_uint_eq(output_of(graph, "a"), named);
    ck_assert_uint_eq(output_of(graph, "b"), named);
    ck_assert_uint_eq(output_of(graph, "c"), named);
    ck_assert(made_by(graph, "d")->attributes.factor == 8 && made_by(graph, "d")->inputs[0] == named);
    ck_assert_int_eq(made_by(graph, "e")->op, TRIB_OP_SCALE);
    ck_assert_int_eq(made_by(graph, "g")->op, TRIB_OP_ADD);
    ck_assert(made_by(graph, "h")->attributes.factor == 1e-30f && made_by(graph, "h")->inputs[0] != named);
    ck_assert(trib_graph_find(graph, "w", &named));
    ck_assert_uint_eq(output_of(graph, "f"), named);
    trib_graph_free(graph);
}
END_TEST

START_TEST(redundant_operators_go)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4, 4, 2)), w = parameter(graph, "w", TRIB_SHAPE(2, 1, 1, 2));
    trib_value once = relu(graph, x);
    output(graph, "relu", relu(graph, relu(graph, once)));
    output(graph, "sigmoid", relu(graph, node(graph, TRIB_OP_SIGMOID, NO_ATTRIBUTES, x)));
    trib_value pooled = node(graph, TRIB_OP_MAX_POOL2D, ATTRIBUTES(.kernel = {2, 2}, .stride = {2, 2}), once);
    output(graph, "pooled", relu(graph, pooled));
    output(graph, "fused",
           relu(graph,
                node(graph, TRIB_OP_CONV2D, ATTRIBUTES(.stride = {1, 1}, .activation = TRIB_ACTIVATION_RELU), x, w)));
    trib_value flat = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 32)), x);
    output(graph, "there", node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 8, 4)), flat));
    output(graph, "back", node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 4, 4, 2)), flat));
    output(graph, "dropout", node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.stream = 5), x));
    output(graph, "average", node(graph, TRIB_OP_AVG_POOL2D, ATTRIBUTES(.kernel = {1, 1}, .stride = {1, 1}), x));
    output(graph, "maximum", node(graph, TRIB_OP_MAX_POOL2D, ATTRIBUTES(.kernel = {1, 1}, .stride = {1, 1}), x));
    output(graph, "sum", node(graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 4, 4, 2)), x));
    trib_value sum = node(graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SHAPE(4, 2)), x);
    output(graph, "sums", node(graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SHAPE(2)), sum));
    trib_value masked = node(graph, TRIB_OP_RELU_GRAD, NO_ATTRIBUTES, x, once);
    output(graph, "masked", node(graph, TRIB_OP_RELU_GRAD, NO_ATTRIBUTES, masked, once));
    rewrite("redundant-op", &graph);
    rewrite("dead-code", &graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_RELU), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_RESHAPE), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_REDUCE_TO), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_DROPOUT) + count_ops(graph, TRIB_OP_AVG_POOL2D), 0);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_MAX_POOL2D), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_RELU_GRAD), 1);
    static const char *const same[] = {"back", "dropout", "average", "maximum", "sum"};
    trib_value named = 0;
    ck_assert(trib_graph_find(graph, "x", &named));
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        ck_assert_msg(output_of(graph, same[i]) == named, "%s", same[i]);
    }
    trib_graph_free(graph);
}
END_TEST

START_TEST(useful_operators_stay)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4, 4, 2));
    output(graph, "tanh", relu(graph, node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, x)));
    output(graph, "scale", relu(graph, node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = -1), relu(graph, x))));
    output(graph, "stride", node(graph, TRIB_OP_AVG_POOL2D, ATTRIBUTES(.kernel = {1, 1}, .stride = {2, 2}), x));
    output(graph, "whole", node(graph, TRIB_OP_AVG_POOL2D, NO_ATTRIBUTES, x));
    output(graph, "add",
           relu(graph, node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, relu(graph, x), constant(graph, -1, TRIB_SCALAR))));
    /* One mask after another is both masks, as in the gradient of relu(relu(x) + c). */
    trib_value a = node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, x), b = node(graph, TRIB_OP_GELU, NO_ATTRIBUTES, x);
    trib_value masked = node(graph, TRIB_OP_RELU_GRAD, NO_ATTRIBUTES, x, a);
    output(graph, "masks", node(graph, TRIB_OP_RELU_GRAD, NO_ATTRIBUTES, masked, b));
    uint32_t nodes = trib_graph_n_nodes(graph);
    rewrite("redundant-op", &graph);
    ck_assert_uint_eq(trib_graph_n_nodes(graph), nodes);
    trib_graph_free(graph);
}
END_TEST

START_TEST(fuses_bias_and_activation)
{
    static const enum trib_op activations[] = {TRIB_OP_RELU, TRIB_OP_TANH, TRIB_OP_SIGMOID, TRIB_OP_GELU};
    for (size_t i = 0; i < 4; i++) {
        struct trib_graph *graph = new_graph();
        trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4, 4, 2));
        x = node(graph, activations[i], NO_ATTRIBUTES, convolution(graph, x, "w", "b", 2, 3));
        x = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 48)), x);
        output(graph, "y", node(graph, activations[i], NO_ATTRIBUTES, dense(graph, x, "v", "c", 48, 5)));
        rewrite("fusion", &graph);
        ck_assert_uint_eq(trib_graph_n_nodes(graph), 3);
        const struct trib_node *conv = trib_graph_node_at(graph, 0), *linear = trib_graph_node_at(graph, 2);
        ck_assert_int_eq(conv->op, TRIB_OP_CONV2D);
        ck_assert_int_eq(linear->op, TRIB_OP_LINEAR);
        ck_assert_int_eq(conv->n_inputs, 3);
        ck_assert_int_eq(linear->n_inputs, 3);
        ck_assert_int_eq(conv->attributes.activation, TRIB_ACTIVATION_RELU + (int)i);
        ck_assert_int_eq(linear->attributes.activation, TRIB_ACTIVATION_RELU + (int)i);
        ck_assert_int_eq(conv->attributes.padding[0], 1);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(fuses_without_bias_and_only_once)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4)), w = parameter(graph, "w", TRIB_SHAPE(4, 4));
    trib_value b = parameter(graph, "b", TRIB_SHAPE(4));
    x = node(graph, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), x, w);
    x = node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, x);
    x = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, b); /* after the activation: no bias */
    x = relu(graph, x);
    x = node(graph, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), x, w);
    x = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, b);
    x = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, b);    /* a second one */
    x = node(graph, TRIB_OP_MATMUL, NO_ATTRIBUTES, x, w); /* weights the other way round */
    output(graph, "y", node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, b));
    rewrite("fusion", &graph);
    static const enum trib_op expected[] = {TRIB_OP_LINEAR, TRIB_OP_ADD,    TRIB_OP_RELU, TRIB_OP_LINEAR,
                                            TRIB_OP_ADD,    TRIB_OP_MATMUL, TRIB_OP_ADD};
    ck_assert_uint_eq(trib_graph_n_nodes(graph), sizeof expected / sizeof expected[0]);
    for (uint32_t i = 0; i < trib_graph_n_nodes(graph); i++) {
        ck_assert_int_eq(trib_graph_node_at(graph, i)->op, expected[i]);
    }
    ck_assert_int_eq(trib_graph_node_at(graph, 0)->n_inputs, 2);
    trib_graph_free(graph);
}
END_TEST

START_TEST(what_others_read_is_not_fused_away)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4)), w = parameter(graph, "w", TRIB_SHAPE(4, 4));
    trib_value b = parameter(graph, "b", TRIB_SHAPE(4));
    trib_value product = node(graph, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), x, w);
    trib_value sum = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, product, b);
    output(graph, "product", product);
    output(graph, "y", relu(graph, sum));
    rewrite("fusion", &graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_LINEAR), 0);
    ck_assert_uint_eq(trib_graph_n_nodes(graph), 3);
    output(graph, "product", made_by(graph, "y")->inputs[0]); /* now the sum is read, the product is not */
    rewrite("fusion", &graph);
    ck_assert_int_eq(made_by(graph, "y")->op, TRIB_OP_RELU);
    ck_assert_int_eq(made_by(graph, "product")->op, TRIB_OP_LINEAR);
    trib_graph_free(graph);
}
END_TEST

/* relu's gradient reads its output, so the training graph fuses as well; gelu's reads its input. */
START_TEST(training_graphs_fuse)
{
    struct trib_graph *graph = mlp(), *result = NULL;
    differentiate(graph);
    must(trib_pass_pipeline(graph, &result, NULL, error));
    ck_assert_int_eq(count_ops(result, TRIB_OP_LINEAR), 3);
    ck_assert_int_eq(count_ops(result, TRIB_OP_RELU) + count_ops(result, TRIB_OP_ADD), 0);
    ck_assert_int_eq(count_ops(result, TRIB_OP_RELU_GRAD), 2);
    trib_graph_free(graph);
    trib_graph_free(result);

    graph = new_graph();
    trib_value y =
        node(graph, TRIB_OP_GELU, NO_ATTRIBUTES, dense(graph, input(graph, "x", TRIB_SHAPE(BATCH, 4)), "w", "b", 4, 3));
    output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, input(graph, "t", TRIB_SHAPE(BATCH, 3))));
    must(trib_pass_pipeline(graph, &result, NULL, error));
    ck_assert_int_eq(count_ops(result, TRIB_OP_GELU), 0);
    trib_graph_free(result);
    differentiate(graph);
    must(trib_pass_pipeline(graph, &result, NULL, error));
    ck_assert_int_eq(count_ops(result, TRIB_OP_LINEAR), 1);
    ck_assert_int_eq(count_ops(result, TRIB_OP_GELU), 1);
    trib_graph_free(graph);
    trib_graph_free(result);
}
END_TEST

START_TEST(pipeline_traces_and_settles)
{
    struct trib_graph *graph = cnn(), *result = NULL, *again = NULL;
    differentiate(graph);
    struct trib_buf trace = {0}, quiet = {0};
    must(trib_pass_pipeline(graph, &result, &trace, error));
    const char *text = trib_buf_text(&trace);
    ck_assert_ptr_nonnull(strstr(text, "== fusion: join products and convolutions with their bias and activation\n"
                                       "-- before\n%x: [batch, 28, 28, 1] = input f32\n"));
    ck_assert_ptr_nonnull(strstr(text, "-- after\n"));
    ck_assert_ptr_nonnull(strstr(text, ", %w2, %b2) activation=relu stride=1x1 padding=1x1\n"));
    must(trib_pass_pipeline(result, &again, &quiet, error));
    ck_assert_str_eq(trib_buf_text(&quiet), "");
    trib_buf_clear(&trace);
    trib_buf_clear(&quiet);
    trib_graph_free(graph);
    trib_graph_free(result);
    trib_graph_free(again);
}
END_TEST

/* The model's layout: the named values in their order. */
static void check_same_layout(const struct trib_graph *a, const struct trib_graph *b)
{
    uint32_t i = 0, j = 0;
    for (;; i++, j++) {
        for (; i < trib_graph_n_values(a) && trib_graph_value(a, i)->name[0] == '\0'; i++) {
        }
        for (; j < trib_graph_n_values(b) && trib_graph_value(b, j)->name[0] == '\0'; j++) {
        }
        if (i == trib_graph_n_values(a) || j == trib_graph_n_values(b)) {
            break;
        }
        ck_assert_str_eq(trib_graph_value(a, i)->name, trib_graph_value(b, j)->name);
        ck_assert_int_eq(trib_graph_value(a, i)->kind, trib_graph_value(b, j)->kind);
    }
    ck_assert(i == trib_graph_n_values(a) && j == trib_graph_n_values(b));
}

static void check_close(const struct evaluation *a, trib_value x, const struct evaluation *b, trib_value y,
                        uint64_t seed, const char *pass)
{
    ck_assert_uint_eq(a->n[x], b->n[y]);
    for (size_t i = 0; i < a->n[x]; i++) {
        double left = a->data[x][i], right = b->data[y][i];
        double bound = 1e-5 * (1 + fabs(left));
        ck_assert_msg(fabs(left - right) <= bound || (!isfinite(left) && !isfinite(right)),
                      "seed %lu, %s: %g became %g", (unsigned long)seed, pass, left, right);
    }
}

static void check_same_meaning(const struct trib_graph *before, const struct trib_graph *after, uint64_t seed,
                               const char *pass)
{
    check_same_layout(before, after);
    struct evaluation a = eval_begin(before), b = eval_begin(after);
    eval_run(&a);
    eval_run(&b);
    const struct trib_graph_output *outputs, *outputs_after;
    size_t n = trib_graph_outputs(before, &outputs);
    ck_assert_uint_eq(trib_graph_outputs(after, &outputs_after), n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_str_eq(outputs[i].name, outputs_after[i].name);
        check_close(&a, outputs[i].value, &b, outputs_after[i].value, seed, pass);
    }
    const struct trib_graph_link *links, *links_after;
    n = trib_graph_gradients(before, &links);
    ck_assert_uint_eq(trib_graph_gradients(after, &links_after), n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_str_eq(trib_graph_value(before, links[i].state)->name,
                         trib_graph_value(after, links_after[i].state)->name);
        check_close(&a, links[i].from, &b, links_after[i].from, seed, pass);
    }
    eval_end(&a);
    eval_end(&b);
}

/* Random graphs, differentiated or not: each pass alone and the pipeline compute the same. */
START_TEST(passes_keep_the_meaning)
{
    const struct trib_pass *const *passes;
    size_t n = trib_passes(&passes);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct trib_graph *graph = random_graph(seed, false), *result = NULL;
        if (seed % 2) {
            differentiate(graph);
        }
        for (size_t i = 0; i < n; i++) {
            must(passes[i]->run(graph, &result, error));
            check_same_meaning(graph, result, seed, passes[i]->name);
            trib_graph_free(result);
        }
        must(trib_pass_pipeline(graph, &result, NULL, error));
        check_same_meaning(graph, result, seed, "pipeline");
        ck_assert_uint_le(trib_graph_n_nodes(result), trib_graph_n_nodes(graph));
        trib_graph_free(result);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(survives_short_memory)
{
    struct trib_graph *graph = random_graph(7, true);
    differentiate(graph);
    struct trib_buf text = {0};
    bool clean = false;
    for (int n = 0; !clean && n < 20000; n++) {
        struct trib_graph *result = NULL;
        struct trib_error error = {0};
        (void)fail_memory_after(n, false);
        enum trib_status status = trib_pass_pipeline(graph, &result, &text, &error);
        (void)fail_memory_after(-1, false);
        clean = status == TRIB_OK;
        ck_assert(clean || (status == TRIB_NO_MEMORY && !result));
        trib_graph_free(result);
        trib_buf_clear(&text);
    }
    ck_assert(clean);
    trib_graph_free(graph);
}
END_TEST

/* The bounds of a graph are no reason for a pass to take minutes. */
START_TEST(largest_graph_settles)
{
    struct trib_graph *graph = new_graph(), *result = NULL;
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 2));
    for (int i = 0; i < TRIB_GRAPH_MAX_NODES - 3; i++) {
        x = i % 2 ? relu(graph, x) : node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 1), x);
    }
    output(graph, "y", x);
    must(trib_pass_pipeline(graph, &result, NULL, error));
    ck_assert_uint_eq(trib_graph_n_nodes(result), 1);
    trib_graph_free(graph);
    trib_graph_free(result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pass");
    TCase *tests = tcase_create("pass");
    tcase_add_test(tests, dead_code_keeps_what_is_needed);
    tcase_add_test(tests, equal_expressions_become_one);
    tcase_add_test(tests, different_expressions_stay_apart);
    tcase_add_test(tests, constants_are_folded);
    tcase_add_test(tests, idle_arithmetic_goes);
    tcase_add_test(tests, redundant_operators_go);
    tcase_add_test(tests, useful_operators_stay);
    tcase_add_test(tests, fuses_bias_and_activation);
    tcase_add_test(tests, fuses_without_bias_and_only_once);
    tcase_add_test(tests, what_others_read_is_not_fused_away);
    tcase_add_test(tests, training_graphs_fuse);
    tcase_add_test(tests, pipeline_traces_and_settles);
    tcase_add_test(tests, passes_keep_the_meaning);
    tcase_add_test(tests, survives_short_memory);
    tcase_add_test(tests, largest_graph_settles);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
