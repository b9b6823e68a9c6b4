/* Differentiated graphs: their structure, and for random graphs of simple operators their numbers. The numbers of the
 * others are checked by the backends' conformance tests. */
#include "graph_eval.h"
#include "graph_random.h"

#include <stdio.h>

static void check_gradient_shapes(const struct trib_graph *graph)
{
    const struct trib_graph_link *links;
    size_t n = trib_graph_gradients(graph, &links), parameters = 0;
    for (uint32_t v = 0; v < trib_graph_n_values(graph); v++) {
        parameters += trib_graph_value(graph, v)->kind == TRIB_VALUE_PARAMETER;
    }
    ck_assert_uint_eq(n, parameters);
    for (size_t i = 0; i < n; i++) {
        ck_assert(trib_shape_equal(&trib_graph_value(graph, links[i].state)->shape,
                                   &trib_graph_value(graph, links[i].from)->shape));
    }
}

START_TEST(differentiates_the_mlp)
{
    struct trib_graph *graph = mlp();
    differentiate(graph);
    check_gradient_shapes(graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY_GRAD), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_RELU_GRAD), 2);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_REDUCE_TO), 3);
    /* Three forward, three for the weights, two for the hidden layers: none for x, which wants no gradient. */
    ck_assert_int_eq(count_ops(graph, TRIB_OP_MATMUL), 8);
    trib_graph_free(graph);
}
END_TEST

START_TEST(differentiates_the_cnn)
{
    struct trib_graph *graph = cnn();
    differentiate(graph);
    check_gradient_shapes(graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_CONV2D_GRAD_WEIGHT), 2);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_CONV2D_GRAD_INPUT), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_MAX_POOL2D_GRAD), 2);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_BATCH_NORM_GRAD), 1);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_DROPOUT), 2);
    trib_graph_free(graph);
}
END_TEST

START_TEST(dropout_gradient_has_the_same_mask)
{
    struct trib_graph *graph = cnn();
    differentiate(graph);
    const struct trib_node *first = NULL;
    for (uint32_t i = 0; i < trib_graph_n_nodes(graph); i++) {
        const struct trib_node *at = trib_graph_node_at(graph, i);
        if (at->op == TRIB_OP_DROPOUT) {
            ck_assert(!first || trib_attributes_equal(&first->attributes, &at->attributes));
            first = at;
        }
    }
    trib_graph_free(graph);
}
END_TEST

START_TEST(activation_gradients_read_the_output_but_gelu_its_input)
{
    static const struct {
        enum trib_op op, gradient;
        bool reads_output;
    } cases[] = {
        {TRIB_OP_RELU, TRIB_OP_RELU_GRAD, true},
        {TRIB_OP_TANH, TRIB_OP_TANH_GRAD, true},
        {TRIB_OP_SIGMOID, TRIB_OP_SIGMOID_GRAD, true},
        {TRIB_OP_GELU, TRIB_OP_GELU_GRAD, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trib_graph *graph = new_graph();
        trib_value w = parameter(graph, "w", TRIB_SHAPE(3)), target = input(graph, "t", TRIB_SHAPE(3));
        trib_value y = node(graph, cases[i].op, NO_ATTRIBUTES, w);
        output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, target));
        differentiate(graph);
        trib_value gradient = gradient_of(graph, "w");
        ck_assert_int_eq(producer(graph, gradient), cases[i].gradient);
        const struct trib_node *at = trib_graph_node_at(graph, trib_graph_value(graph, gradient)->node);
        ck_assert_uint_eq(at->inputs[1], cases[i].reads_output ? y : w);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(shared_parameter_adds_its_gradients)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4)), w = parameter(graph, "w", TRIB_SHAPE(4, 4));
    trib_value target = input(graph, "t", TRIB_SHAPE(BATCH, 4));
    x = node(graph, TRIB_OP_MATMUL, NO_ATTRIBUTES, x, w);
    x = node(graph, TRIB_OP_MATMUL, NO_ATTRIBUTES, x, w);
    x = node(graph, TRIB_OP_MATMUL, NO_ATTRIBUTES, x, w);
    output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, x, target));
    differentiate(graph);
    ck_assert_int_eq(count_ops(graph, TRIB_OP_ADD), 2);
    ck_assert_int_eq(producer(graph, gradient_of(graph, "w")), TRIB_OP_ADD);
    trib_graph_free(graph);
}
END_TEST

START_TEST(all_transposes_of_matmul)
{
    for (int k = 0; k < 4; k++) {
        bool ta = k & 1, tb = k & 2;
        struct trib_graph *graph = new_graph();
        trib_value a = parameter(graph, "a", ta ? TRIB_SHAPE(5, 3) : TRIB_SHAPE(3, 5));
        trib_value b = parameter(graph, "b", tb ? TRIB_SHAPE(7, 5) : TRIB_SHAPE(5, 7));
        trib_value y = node(graph, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_a = ta, .transpose_b = tb), a, b);
        output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, input(graph, "t", TRIB_SHAPE(3, 7))));
        differentiate(graph); /* wrong transposes would not fit */
        check_gradient_shapes(graph);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(broadcasts_are_summed_back)
{
    for (int k = 0; k < 2; k++) {
        struct trib_graph *graph = new_graph();
        trib_value x = parameter(graph, "x", TRIB_SHAPE(6, 5)), b = parameter(graph, "b", TRIB_SHAPE(5));
        trib_value s = parameter(graph, "s", TRIB_SCALAR);
        trib_value y = node(graph, k ? TRIB_OP_MUL : TRIB_OP_ADD, NO_ATTRIBUTES, x, b);
        y = node(graph, k ? TRIB_OP_MUL : TRIB_OP_ADD, NO_ATTRIBUTES, y, s);
        output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, input(graph, "t", TRIB_SHAPE(6, 5))));
        differentiate(graph);
        check_gradient_shapes(graph);
        ck_assert_int_eq(producer(graph, gradient_of(graph, "b")), TRIB_OP_REDUCE_TO);
        ck_assert_int_eq(producer(graph, gradient_of(graph, "s")), TRIB_OP_REDUCE_TO);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(reduce_to_spreads_its_gradient)
{
    struct trib_graph *graph = new_graph();
    trib_value x = parameter(graph, "x", TRIB_SHAPE(6, 5));
    trib_value y = node(graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SHAPE(5)), x);
    output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, input(graph, "t", TRIB_SHAPE(5))));
    differentiate(graph);
    check_gradient_shapes(graph);
    trib_graph_free(graph);
}
END_TEST

START_TEST(unused_parameter_gets_zero)
{
    struct trib_graph *graph = mlp();
    (void)parameter(graph, "unused", TRIB_SHAPE(3, 2));
    differentiate(graph);
    const struct trib_value_info *info = trib_graph_value(graph, gradient_of(graph, "unused"));
    ck_assert_int_eq(info->kind, TRIB_VALUE_CONSTANT);
    ck_assert(info->constant == 0);
    ck_assert(trib_shape_equal(&info->shape, &TRIB_SHAPE(3, 2)));
    trib_graph_free(graph);
}
END_TEST

START_TEST(fused_activations_are_differentiated)
{
    for (int a = 0; a < TRIB_ACTIVATION_COUNT; a++) {
        struct trib_graph *graph = new_graph();
        trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 8, 8, 2)), loss;
        trib_value w = parameter(graph, "w", TRIB_SHAPE(4, 3, 3, 2)), b = parameter(graph, "b", TRIB_SHAPE(4));
        trib_value y =
            node(graph, TRIB_OP_CONV2D, ATTRIBUTES(.stride = {2, 2}, .activation = (enum trib_activation)a), x, w, b);
        y = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 36)), y);
        y = node(graph, TRIB_OP_LINEAR, ATTRIBUTES(.activation = (enum trib_activation)a), y,
                 parameter(graph, "v", TRIB_SHAPE(5, 36)), parameter(graph, "c", TRIB_SHAPE(5)));
        loss = node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, input(graph, "t", TRIB_SHAPE(BATCH, 5)));
        struct trib_error error = {0};
        enum trib_status status = trib_autograd(graph, loss, &error);
        if (a == TRIB_ACTIVATION_GELU) {
            ck_assert_int_eq(status, TRIB_UNSUPPORTED);
            ck_assert_str_eq(error.message, "linear: no gradient through a fused gelu, which needs its input; "
                                            "differentiate before fusion");
        } else {
            ck_assert_int_eq(status, TRIB_OK);
            check_gradient_shapes(graph);
        }
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(normalisations_are_differentiated)
{
    for (int k = 0; k < 3; k++) {
        struct trib_graph *graph = new_graph();
        trib_value w = parameter(graph, "w", TRIB_SHAPE(6, 4)), gamma = parameter(graph, "gamma", TRIB_SHAPE(4));
        trib_value beta = parameter(graph, "beta", TRIB_SHAPE(4)), mean = state(graph, "mean", TRIB_SHAPE(4));
        trib_value var = state(graph, "var", TRIB_SHAPE(4));
        struct trib_attributes at = {.training = k == 0, .epsilon = 1e-5f, .momentum = 0.1f, .groups = 2};
        trib_value y = k == 2 ? node(graph, TRIB_OP_GROUP_NORM, at, w, gamma, beta)
                              : node(graph, TRIB_OP_BATCH_NORM, at, w, gamma, beta, mean, var);
        output(graph, "loss", node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, input(graph, "t", TRIB_SHAPE(6, 4))));
        differentiate(graph);
        check_gradient_shapes(graph);
        ck_assert_int_eq(count_ops(graph, TRIB_OP_BATCH_NORM_GRAD), k == 0);
        ck_assert_int_eq(count_ops(graph, TRIB_OP_GROUP_NORM_GRAD), k == 2);
        trib_graph_free(graph);
    }
}
END_TEST

/* d(loss)/d(*at) by central differences. */
static double difference(const struct evaluation *e, trib_value loss, double *at, double h)
{
    double centre = *at, above, below;
    *at = centre + h;
    eval_run(e);
    above = e->data[loss][0];
    *at = centre - h;
    eval_run(e);
    below = e->data[loss][0];
    *at = centre;
    return (above - below) / (2 * h);
}

/* Compares every parameter's gradient; returns how many numbers could be compared. */
static int check_numbers(const struct trib_graph *graph, uint64_t seed)
{
    struct evaluation e = eval_begin(graph);
    const struct trib_graph_link *links;
    size_t n = trib_graph_gradients(graph, &links);
    trib_value loss = 0;
    int compared = 0;
    ck_assert(trib_graph_find_output(graph, "loss", &loss));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < e.n[links[i].state]; k++) {
            double coarse = difference(&e, loss, &e.data[links[i].state][k], 1e-5);
            double fine = difference(&e, loss, &e.data[links[i].state][k], 1e-6);
            eval_run(&e);
            double exact = e.data[links[i].from][k];
            /* Where the two differ there is a kink or rounding: nothing to compare with. */
            if (!isfinite(coarse) || !isfinite(fine) || fabs(coarse - fine) > 1e-6 * (1 + fabs(fine))) {
                continue;
            }
            ck_assert_msg(fabs(exact - fine) <= 1e-5 * (1 + fabs(fine)), "seed %lu: d/d%s[%zu] is %g, expected %g",
                          (unsigned long)seed, trib_graph_value(graph, links[i].state)->name, k, exact, fine);
            compared += fabs(fine) > 1e-4;
        }
    }
    eval_end(&e);
    return compared;
}

START_TEST(gradients_equal_differences)
{
    int compared = 0;
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct trib_graph *graph = random_graph(seed, false);
        differentiate(graph);
        compared += check_numbers(graph, seed);
        trib_graph_free(graph);
    }
    ck_assert_int_gt(compared, 1000);
}
END_TEST

static void refuse(struct trib_graph *graph, trib_value loss, enum trib_status status, const char *message)
{
    struct trib_error error = {0};
    ck_assert_int_eq(trib_autograd(graph, loss, &error), status);
    ck_assert_str_eq(error.message, message);
    trib_graph_free(graph);
}

START_TEST(refuses_what_has_no_gradient)
{
    struct trib_graph *graph = mlp();
    trib_value logits = 0;
    ck_assert(trib_graph_find_output(graph, "logits", &logits));
    char message[96];
    snprintf(message, sizeof message, "loss: value %u is f32 [batch, 10], expected a computed f32 scalar", logits);
    refuse(graph, logits, TRIB_INVALID, message);
    refuse(mlp(), 1000, TRIB_INVALID, "loss: there is no value 1000");

    graph = mlp();
    differentiate(graph);
    trib_value loss = 0;
    ck_assert(trib_graph_find_output(graph, "loss", &loss));
    refuse(graph, loss, TRIB_EXISTS, "the graph is differentiated already");

    graph = new_graph();
    trib_value w = parameter(graph, "w", TRIB_SHAPE(3));
    trib_value y = node(graph, TRIB_OP_RELU_GRAD, NO_ATTRIBUTES, w, w);
    loss = node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, y, w);
    refuse(graph, loss, TRIB_UNSUPPORTED, "relu_grad: has no gradient of its own");

    graph = new_graph();
    trib_value outputs[2], in[] = {parameter(graph, "w", TRIB_SHAPE(3, 4)), 0};
    must(trib_graph_input(graph, "y", TRIB_I32, &TRIB_SHAPE(3), &in[1], error));
    must(trib_graph_node(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NULL, in, 2, outputs, error));
    loss = node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, outputs[1], in[0]);
    refuse(graph, loss, TRIB_UNSUPPORTED,
           "softmax_cross_entropy: no gradient through output 1, only through the first");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("autograd");
    TCase *tests = tcase_create("autograd");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, differentiates_the_mlp);
    tcase_add_test(tests, differentiates_the_cnn);
    tcase_add_test(tests, dropout_gradient_has_the_same_mask);
    tcase_add_test(tests, activation_gradients_read_the_output_but_gelu_its_input);
    tcase_add_test(tests, shared_parameter_adds_its_gradients);
    tcase_add_test(tests, all_transposes_of_matmul);
    tcase_add_test(tests, broadcasts_are_summed_back);
    tcase_add_test(tests, reduce_to_spreads_its_gradient);
    tcase_add_test(tests, unused_parameter_gets_zero);
    tcase_add_test(tests, fused_activations_are_differentiated);
    tcase_add_test(tests, normalisations_are_differentiated);
    tcase_add_test(tests, gradients_equal_differences);
    tcase_add_test(tests, refuses_what_has_no_gradient);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
