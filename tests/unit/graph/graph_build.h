/* Building small graphs in tests: every call must succeed. */
#ifndef TRIB_TEST_GRAPH_BUILD_H
#define TRIB_TEST_GRAPH_BUILD_H

#include "graph/autograd.h"
#include "graph/graph.h"
#include "test_main.h"

#include <string.h>

#define BATCH TRIB_DIM_BATCH
#define must(call)                                                                                                     \
    do {                                                                                                               \
        struct trib_error must_error_ = {0};                                                                           \
        struct trib_error *error = &must_error_;                                                                       \
        enum trib_status must_status_ = (call);                                                                        \
        ck_assert_msg(must_status_ == TRIB_OK, "%s: %s", #call, must_error_.message);                                  \
    } while (0)

static inline struct trib_graph *new_graph(void)
{
    struct trib_graph *graph = trib_graph_new();
    ck_assert_ptr_nonnull(graph);
    return graph;
}

static inline trib_value input(struct trib_graph *graph, const char *name, struct trib_shape shape)
{
    trib_value value = 0;
    must(trib_graph_input(graph, name, TRIB_F32, &shape, &value, error));
    return value;
}

static inline trib_value labels(struct trib_graph *graph, const char *name)
{
    trib_value value = 0;
    must(trib_graph_input(graph, name, TRIB_I32, &TRIB_SHAPE(BATCH), &value, error));
    return value;
}

static inline trib_value parameter(struct trib_graph *graph, const char *name, struct trib_shape shape)
{
    trib_value value = 0;
    must(trib_graph_variable(graph, TRIB_VALUE_PARAMETER, name, &shape, TRIB_INIT_HE_UNIFORM, &value, error));
    return value;
}

static inline trib_value state(struct trib_graph *graph, const char *name, struct trib_shape shape)
{
    trib_value value = 0;
    must(trib_graph_variable(graph, TRIB_VALUE_STATE, name, &shape, TRIB_INIT_ZEROS, &value, error));
    return value;
}

static inline trib_value constant(struct trib_graph *graph, float number, struct trib_shape shape)
{
    trib_value value = 0;
    must(trib_graph_constant(graph, number, &shape, &value, error));
    return value;
}

/* The first output of a node with up to five inputs. */
static inline trib_value node_with(struct trib_graph *graph, enum trib_op op, struct trib_attributes attributes,
                                   int n_inputs, const trib_value *inputs)
{
    trib_value outputs[TRIB_MAX_OUTPUTS] = {0};
    must(trib_graph_node(graph, op, &attributes, inputs, n_inputs, outputs, error));
    return outputs[0];
}

#define NO_ATTRIBUTES   ((struct trib_attributes){0})
#define ATTRIBUTES(...) ((struct trib_attributes){__VA_ARGS__})
#define node(graph, op, attributes, ...)                                                                               \
    node_with((graph), (op), (attributes), (int)(sizeof((trib_value[]){__VA_ARGS__}) / sizeof(trib_value)),            \
              (trib_value[]){__VA_ARGS__})

static inline void output(struct trib_graph *graph, const char *name, trib_value value)
{
    must(trib_graph_set_output(graph, name, value, error));
}

/* relu(x w^T + b), not fused. */
static inline trib_value dense(struct trib_graph *graph, trib_value x, const char *weight, const char *bias, int64_t in,
                               int64_t out)
{
    trib_value w = parameter(graph, weight, TRIB_SHAPE(out, in)), b = parameter(graph, bias, TRIB_SHAPE(out));
    trib_value product = node(graph, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), x, w);
    return node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, product, b);
}

static inline trib_value relu(struct trib_graph *graph, trib_value x)
{
    return node(graph, TRIB_OP_RELU, NO_ATTRIBUTES, x);
}

/* 784-200-200-10 with outputs "logits" and "loss". */
static inline struct trib_graph *mlp(void)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 784)), y = labels(graph, "y");
    x = relu(graph, dense(graph, x, "w1", "b1", 784, 200));
    x = relu(graph, dense(graph, x, "w2", "b2", 200, 200));
    trib_value logits = dense(graph, x, "w3", "b3", 200, 10);
    output(graph, "logits", logits);
    output(graph, "loss", node(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NO_ATTRIBUTES, logits, y));
    return graph;
}

static inline trib_value convolution(struct trib_graph *graph, trib_value x, const char *weight, const char *bias,
                                     int64_t in, int64_t out)
{
    trib_value w = parameter(graph, weight, TRIB_SHAPE(out, 3, 3, in)), b = parameter(graph, bias, TRIB_SHAPE(out));
    x = node(graph, TRIB_OP_CONV2D, ATTRIBUTES(.stride = {1, 1}, .padding = {1, 1}), x, w);
    return node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, b);
}

/* Two convolutions with batch normalisation, pooling and dropout, one dense layer. */
static inline struct trib_graph *cnn(void)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 28, 28, 1)), y = labels(graph, "y"), out[5];
    x = convolution(graph, x, "w1", "b1", 1, 8);
    trib_value norm[] = {x, parameter(graph, "gamma", TRIB_SHAPE(8)), parameter(graph, "beta", TRIB_SHAPE(8)),
                         state(graph, "mean", TRIB_SHAPE(8)), state(graph, "var", TRIB_SHAPE(8))};
    struct trib_attributes attributes = {.training = true, .epsilon = 1e-5f, .momentum = 0.1f};
    must(trib_graph_node(graph, TRIB_OP_BATCH_NORM, &attributes, norm, 5, out, error));
    must(trib_graph_update_state(graph, norm[3], out[3], error));
    must(trib_graph_update_state(graph, norm[4], out[4], error));
    x = relu(graph, out[0]);
    x = node(graph, TRIB_OP_MAX_POOL2D, ATTRIBUTES(.kernel = {2, 2}, .stride = {2, 2}), x);
    x = relu(graph, convolution(graph, x, "w2", "b2", 8, 16));
    x = node(graph, TRIB_OP_MAX_POOL2D, ATTRIBUTES(.kernel = {2, 2}, .stride = {2, 2}), x);
    x = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 7 * 7 * 16)), x);
    x = node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.rate = 0.5f, .stream = 1), x);
    trib_value logits = dense(graph, x, "w3", "b3", 7 * 7 * 16, 10);
    output(graph, "logits", logits);
    output(graph, "loss", node(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NO_ATTRIBUTES, logits, y));
    return graph;
}

static inline void differentiate(struct trib_graph *graph)
{
    trib_value loss = 0;
    ck_assert(trib_graph_find_output(graph, "loss", &loss));
    must(trib_autograd(graph, loss, error));
}

static inline int count_ops(const struct trib_graph *graph, enum trib_op op)
{
    int n = 0;
    for (uint32_t i = 0; i < trib_graph_n_nodes(graph); i++) {
        n += trib_graph_node_at(graph, i)->op == op;
    }
    return n;
}

/* The gradient linked to a parameter. */
static inline trib_value gradient_of(const struct trib_graph *graph, const char *name)
{
    trib_value value = 0;
    ck_assert(trib_graph_find(graph, name, &value));
    const struct trib_graph_link *links;
    size_t n = trib_graph_gradients(graph, &links);
    for (size_t i = 0; i < n; i++) {
        if (links[i].state == value) {
            return links[i].from;
        }
    }
    ck_abort_msg("'%s' has no gradient", name);
    return 0;
}

static inline enum trib_op producer(const struct trib_graph *graph, trib_value value)
{
    const struct trib_value_info *info = trib_graph_value(graph, value);
    ck_assert_int_eq(info->kind, TRIB_VALUE_RESULT);
    return trib_graph_node_at(graph, info->node)->op;
}

#endif
