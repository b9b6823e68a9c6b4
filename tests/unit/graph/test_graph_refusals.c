/* Every operator, those of gradients too, with one thing wrong: an input of another type, shape or number, or other
 * attributes. A graph may come from a peer and hold any of them. What is refused leaves no trace in the graph. */
#include "graph_build.h"
#include "test_growth.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* A graph with every operator that a model or its gradient has. */
static trib_value pooled(struct trib_graph *graph, trib_value x)
{
    trib_value w = parameter(graph, "w", TRIB_SHAPE(4, 3, 3, 2)), bias = parameter(graph, "bias", TRIB_SHAPE(4));
    x = node(graph, TRIB_OP_CONV2D, ATTRIBUTES(.stride = {1, 1}, .padding = {1, 1}), x, w, bias);
    trib_value gamma = parameter(graph, "gamma", TRIB_SHAPE(4)), beta = parameter(graph, "beta", TRIB_SHAPE(4));
    x = node(graph, TRIB_OP_GROUP_NORM, ATTRIBUTES(.groups = 2, .epsilon = 1e-5f), x, gamma, beta);
    x = node(graph, TRIB_OP_MAX_POOL2D, ATTRIBUTES(.kernel = {2, 2}, .stride = {2, 2}), x);
    trib_value gamma2 = parameter(graph, "gamma2", TRIB_SHAPE(4)), beta2 = parameter(graph, "beta2", TRIB_SHAPE(4));
    trib_value mean = state(graph, "mean", TRIB_SHAPE(4)), var = state(graph, "var", TRIB_SHAPE(4));
    const struct trib_attributes norm = {.training = true, .epsilon = 1e-5f, .momentum = 0.1f};
    x = node(graph, TRIB_OP_BATCH_NORM, norm, x, gamma2, beta2, mean, var);
    return node(graph, TRIB_OP_AVG_POOL2D, ATTRIBUTES(.kernel = {2, 2}, .stride = {2, 2}), x);
}

static struct trib_graph *everything(bool classes)
{
    struct trib_graph *graph = new_graph();
    trib_value x = pooled(graph, input(graph, "x", TRIB_SHAPE(BATCH, 8, 8, 2)));
    x = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = {.rank = 2, .dims = {BATCH, 16}}), x);
    trib_value w = parameter(graph, "w2", TRIB_SHAPE(6, 16)), bias = parameter(graph, "bias2", TRIB_SHAPE(6));
    x = node(graph, TRIB_OP_LINEAR, ATTRIBUTES(.activation = TRIB_ACTIVATION_RELU), x, w, bias);
    x = node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.rate = 0.5f, .stream = 3), x);
    x = node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, x);
    x = node(graph, TRIB_OP_SIGMOID, NO_ATTRIBUTES, x);
    x = node(graph, TRIB_OP_GELU, NO_ATTRIBUTES, x);
    x = node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, x, parameter(graph, "factors", TRIB_SHAPE(6)));
    x = node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 2), x);
    x = dense(graph, relu(graph, x), "w3", "bias3", 6, 3);
    trib_value loss = classes ? node(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NO_ATTRIBUTES, x, labels(graph, "y"))
                              : node(graph, TRIB_OP_MSE, NO_ATTRIBUTES, x, input(graph, "y", TRIB_SHAPE(BATCH, 3)));
    output(graph, "loss", loss);
    must(trib_autograd(graph, loss, error));
    return graph;
}

/* ---- one thing wrong ---- */

struct tries {
    struct trib_graph *graph;
    int refused, taken;
};

/* Whether the node is taken; a refusal has a reason and adds nothing. */
static bool try_node(struct tries *tries, const struct trib_node *node)
{
    struct trib_error error = {.message = ""};
    uint32_t values = trib_graph_n_values(tries->graph), nodes = trib_graph_n_nodes(tries->graph);
    enum trib_status status =
        trib_graph_node(tries->graph, node->op, &node->attributes, node->inputs, node->n_inputs, NULL, &error);
    if (status == TRIB_OK) {
        tries->taken++;
        return true;
    }
    ck_assert_msg(error.message[0] != '\0', "%s", trib_op_info(node->op)->name);
    ck_assert_uint_eq(trib_graph_n_values(tries->graph), values);
    ck_assert_uint_eq(trib_graph_n_nodes(tries->graph), nodes);
    tries->refused++;
    return false;
}

static void try_inputs(struct tries *tries, const struct trib_node *sound, const trib_value *others, int n_others)
{
    for (int i = 0; i < sound->n_inputs; i++) {
        const struct trib_value_info info = *trib_graph_value(tries->graph, sound->inputs[i]);
        for (int k = 0; k < n_others; k++) {
            struct trib_node wrong = *sound;
            enum trib_dtype dtype = trib_graph_value(tries->graph, others[k])->dtype;
            wrong.inputs[i] = others[k];
            bool taken = try_node(tries, &wrong);
            ck_assert_msg(!taken || dtype == info.dtype, "%s takes another type as input %d",
                          trib_op_info(sound->op)->name, i);
        }
    }
    struct trib_node fewer = *sound, unknown = *sound, more = *sound;
    fewer.n_inputs = 0;
    more.n_inputs = TRIB_MAX_INPUTS;
    for (int i = sound->n_inputs; i < TRIB_MAX_INPUTS; i++) {
        more.inputs[i] = sound->inputs[0];
    }
    unknown.inputs[0] = UINT32_MAX;
    ck_assert(!try_node(tries, &fewer) && !try_node(tries, &unknown));
    ck_assert(sound->n_inputs == TRIB_MAX_INPUTS || !try_node(tries, &more));
}

static void try_attributes(struct tries *tries, const struct trib_node *sound)
{
    static const struct trib_shape shapes[] = {{.rank = 0},
                                               {.rank = 1, .dims = {7}},
                                               {.rank = 4, .dims = {7, 7, 7, 7}},
                                               {.rank = 2, .dims = {BATCH, BATCH}},
                                               {.rank = 4, .dims = {BATCH, 1, 1, INT64_MAX}},
                                               {.rank = 2, .dims = {0, -5}},
                                               {.rank = TRIB_MAX_RANK + 1},
                                               {.rank = -1}};
    static const int32_t pairs[][2] = {{0, 0}, {-1, 1}, {1, -1}, {INT32_MAX, INT32_MAX}, {1000, 1}};
    static const float numbers[] = {0, -1, 2, FLT_MAX, INFINITY, NAN};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct trib_node wrong = *sound;
        wrong.attributes.shape = shapes[i];
        (void)try_node(tries, &wrong);
    }
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct trib_node kernel = *sound, stride = *sound, padding = *sound;
        memcpy(kernel.attributes.kernel, pairs[i], sizeof pairs[i]);
        memcpy(stride.attributes.stride, pairs[i], sizeof pairs[i]);
        memcpy(padding.attributes.padding, pairs[i], sizeof pairs[i]);
        (void)(try_node(tries, &kernel) + try_node(tries, &stride) + try_node(tries, &padding));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct trib_node epsilon = *sound, momentum = *sound, rate = *sound, factor = *sound;
        epsilon.attributes.epsilon = momentum.attributes.momentum = numbers[i];
        rate.attributes.rate = factor.attributes.factor = numbers[i];
        (void)(try_node(tries, &epsilon) + try_node(tries, &momentum) + try_node(tries, &rate) +
               try_node(tries, &factor));
    }
    struct trib_node groups = *sound, activation = *sound;
    groups.attributes.groups = 3;
    activation.attributes.activation = (enum trib_activation)77;
    (void)(try_node(tries, &groups) + try_node(tries, &activation));
}

START_TEST(nothing_wrong_is_taken_and_no_refusal_leaves_a_trace)
{
    struct tries tries = {.graph = everything(_i == 1)};
    const uint32_t n_nodes = trib_graph_n_nodes(tries.graph);
    const trib_value others[] = {
        constant(tries.graph, 1, TRIB_SCALAR),
        constant(tries.graph, 1, TRIB_SHAPE(5)),
        constant(tries.graph, 1, TRIB_SHAPE(7, 5)),
        constant(tries.graph, 1, TRIB_SHAPE(2, 3, 5, 7)),
        input(tries.graph, "other", TRIB_SHAPE(BATCH, 5)),
        labels(tries.graph, "numbers"),
        input(tries.graph, "images", TRIB_SHAPE(BATCH, 40000, 40000, 2)),
    };
    for (uint32_t i = 0; i < n_nodes; i++) {
        const struct trib_node sound = *trib_graph_node_at(tries.graph, i);
        try_inputs(&tries, &sound, others, sizeof others / sizeof others[0]);
        try_attributes(&tries, &sound);
    }
    printf("%d refused, %d taken\n", tries.refused, tries.taken);
    ck_assert_int_gt(tries.refused, 500);
    trib_graph_free(tries.graph);
}
END_TEST

/* ---- printing ---- */

static enum trib_status print(void *context, struct trib_buf *text)
{
    return trib_graph_print(context, text);
}

START_TEST(a_graph_is_printed_or_memory_is_short)
{
    static const char *const words[] = {"activation=relu", "conv2d_grad_weight", "rate=0.5", "groups=2"};
    struct trib_graph *graph = everything(true);
    struct trib_buf text = {.len = 0};
    ck_assert_int_eq(trib_graph_print(graph, &text), TRIB_OK);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        ck_assert_msg(strstr(trib_buf_text(&text), words[i]), "no %s in %s", words[i], trib_buf_text(&text));
    }
    test_each_growth(print, graph, 0);
    trib_buf_clear(&text);
    trib_graph_free(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph_refusals");
    TCase *tests = tcase_create("graph_refusals");
    tcase_add_loop_test(tests, nothing_wrong_is_taken_and_no_refusal_leaves_a_trace, 0, 2);
    tcase_add_test(tests, a_graph_is_printed_or_memory_is_short);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
