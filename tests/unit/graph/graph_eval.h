/* An oracle: evaluates small graphs in double precision, every value in memory of its own. Knows the operators that
 * random graphs are made of. */
#ifndef TRIB_TEST_GRAPH_EVAL_H
#define TRIB_TEST_GRAPH_EVAL_H

#include "base/rng.h"
#include "graph_build.h"

#include <math.h>

enum { EVAL_BATCH = 3 };

struct evaluation {
    const struct trib_graph *graph;
    double **data; /* per value */
    size_t *n;
};

static inline double eval_gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static inline double eval_unary(const struct trib_node *node, double x, size_t index)
{
    switch (node->op) {
    case TRIB_OP_RELU:
        return x > 0 ? x : 0;
    case TRIB_OP_TANH:
        return tanh(x);
    case TRIB_OP_SIGMOID:
        return 1 / (1 + exp(-x));
    case TRIB_OP_GELU:
        return eval_gelu(x);
    case TRIB_OP_SCALE:
        return x * (double)node->attributes.factor;
    case TRIB_OP_DROPOUT:
        if (node->attributes.rate == 0) {
            return x;
        }
        return (index * 7 + node->attributes.stream) % 3 ? x / (1 - (double)node->attributes.rate) : 0;
    default:
        return x;
    }
}

static inline double eval_binary(enum trib_op op, double a, double b)
{
    switch (op) {
    case TRIB_OP_ADD:
        return a + b;
    case TRIB_OP_MUL:
        return a * b;
    case TRIB_OP_RELU_GRAD:
        return b > 0 ? a : 0;
    case TRIB_OP_TANH_GRAD:
        return a * (1 - b * b);
    case TRIB_OP_SIGMOID_GRAD:
        return a * b * (1 - b);
    case TRIB_OP_GELU_GRAD:
        return a * (0.5 * (1 + erf(b / sqrt(2))) + b * exp(-b * b / 2) / sqrt(2 * 3.14159265358979323846));
    default:
        ck_abort_msg("the oracle does not know %s", trib_op_info(op)->name);
        return 0;
    }
}

static inline void eval_product(const struct evaluation *e, const struct trib_node *node)
{
    static const enum trib_op activations[] = {TRIB_OP_RESHAPE, TRIB_OP_RELU, TRIB_OP_TANH, TRIB_OP_SIGMOID,
                                               TRIB_OP_GELU};
    bool linear = node->op == TRIB_OP_LINEAR;
    bool ta = !linear && node->attributes.transpose_a, tb = linear || node->attributes.transpose_b;
    struct trib_shape a = trib_shape_bind(&trib_graph_value(e->graph, node->inputs[0])->shape, EVAL_BATCH);
    struct trib_shape b = trib_shape_bind(&trib_graph_value(e->graph, node->inputs[1])->shape, EVAL_BATCH);
    size_t rows = (size_t)a.dims[ta], inner = (size_t)a.dims[!ta], columns = (size_t)b.dims[!tb];
    const double *left = e->data[node->inputs[0]], *right = e->data[node->inputs[1]];
    struct trib_node activation = {.op = activations[node->attributes.activation]};
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            double sum = node->n_inputs == 3 ? e->data[node->inputs[2]][j] : 0;
            for (size_t k = 0; k < inner; k++) {
                sum += (ta ? left[k * rows + i] : left[i * inner + k]) *
                       (tb ? right[j * inner + k] : right[k * columns + j]);
            }
            e->data[node->outputs[0]][i * columns + j] = eval_unary(&activation, sum, 0);
        }
    }
}

/* y, mean and inverse_std with the running statistics. */
static inline void eval_fixed_norm(const struct evaluation *e, const struct trib_node *node)
{
    ck_assert(!node->attributes.training);
    size_t channels = e->n[node->inputs[1]];
    for (size_t i = 0; i < e->n[node->inputs[0]]; i++) {
        size_t c = i % channels;
        double s = 1 / sqrt(e->data[node->inputs[4]][c] + (double)node->attributes.epsilon);
        double mean = e->data[node->inputs[3]][c];
        e->data[node->outputs[0]][i] =
            (e->data[node->inputs[0]][i] - mean) * s * e->data[node->inputs[1]][c] + e->data[node->inputs[2]][c];
        e->data[node->outputs[1]][c] = e->data[node->outputs[3]][c] = mean;
        e->data[node->outputs[2]][c] = s;
        e->data[node->outputs[4]][c] = e->data[node->inputs[4]][c];
    }
}

static inline void eval_node(const struct evaluation *e, const struct trib_node *node)
{
    const double *x = e->data[node->inputs[0]];
    size_t n_x = e->n[node->inputs[0]], n_y = e->n[node->outputs[0]];
    double *y = e->data[node->outputs[0]];
    switch (node->op) {
    case TRIB_OP_MATMUL:
    case TRIB_OP_LINEAR:
        eval_product(e, node);
        break;
    case TRIB_OP_BATCH_NORM:
        eval_fixed_norm(e, node);
        break;
    case TRIB_OP_REDUCE_TO:
        memset(y, 0, n_y * sizeof *y);
        for (size_t i = 0; i < n_x; i++) {
            y[i % n_y] += x[i];
        }
        break;
    case TRIB_OP_MSE:
        y[0] = 0;
        for (size_t i = 0; i < n_x; i++) {
            y[0] += pow(x[i] - e->data[node->inputs[1]][i], 2) / (double)n_x;
        }
        break;
    case TRIB_OP_MSE_GRAD:
        for (size_t i = 0; i < n_y; i++) {
            y[i] = x[0] * 2 * (e->data[node->inputs[1]][i] - e->data[node->inputs[2]][i]) / (double)n_y;
        }
        break;
    default:
        for (size_t i = 0; i < n_x; i++) {
            y[i] = node->n_inputs == 1
                       ? eval_unary(node, x[i], i)
                       : eval_binary(node->op, x[i], e->data[node->inputs[1]][i % e->n[node->inputs[1]]]);
        }
    }
}

/* What an input, parameter or state holds: a function of its name, between 0.1 and 1 in size; states are positive. */
static inline void eval_leaf(const struct trib_value_info *info, double *to, size_t n)
{
    struct trib_rng rng = trib_rng_init(1, info->name, 0, 0);
    for (size_t i = 0; i < n; i++) {
        double sign = info->kind == TRIB_VALUE_STATE || trib_rng_below(&rng, 2) ? 1 : -1;
        to[i] = info->kind == TRIB_VALUE_CONSTANT ? (double)info->constant
                                                  : sign * (0.1 + 0.9 * (double)trib_rng_uniform(&rng));
    }
}

static inline struct evaluation eval_begin(const struct trib_graph *graph)
{
    uint32_t values = trib_graph_n_values(graph);
    struct evaluation e = {graph, calloc(values, sizeof(double *)), calloc(values, sizeof(size_t))};
    for (uint32_t v = 0; v < values; v++) {
        const struct trib_value_info *info = trib_graph_value(graph, v);
        struct trib_shape shape = trib_shape_bind(&info->shape, EVAL_BATCH);
        e.n[v] = trib_shape_size(&shape);
        e.data[v] = calloc(e.n[v], sizeof(double));
        if (info->kind != TRIB_VALUE_RESULT) {
            eval_leaf(info, e.data[v], e.n[v]);
        }
    }
    return e;
}

static inline void eval_run(const struct evaluation *e)
{
    for (uint32_t i = 0; i < trib_graph_n_nodes(e->graph); i++) {
        eval_node(e, trib_graph_node_at(e->graph, i));
    }
}

static inline void eval_end(struct evaluation *e)
{
    for (uint32_t v = 0; v < trib_graph_n_values(e->graph); v++) {
        free(e->data[v]);
    }
    free(e->data);
    free(e->n);
}

#endif
