/* Random graphs over [batch, 4], [batch, 2, 2] and [batch, 6] with outputs, and a scalar loss as output "loss". */
#ifndef TRIB_TEST_GRAPH_RANDOM_H
#define TRIB_TEST_GRAPH_RANDOM_H

#include "base/rng.h"
#include "graph_build.h"

#include <stdio.h>

struct random_graph {
    struct trib_graph *graph;
    struct trib_rng rng;
    trib_value pool[128];
    size_t n;
    int named;
    bool training_norms; /* batch norms use the batch's statistics, and update states */
};

static inline trib_value pick(struct random_graph *r)
{
    /* Mostly recent values, so that graphs are deep. */
    size_t back =
        trib_rng_below(&r->rng, 4) ? trib_rng_below(&r->rng, r->n < 4 ? r->n : 4) : trib_rng_below(&r->rng, r->n);
    return r->pool[r->n - 1 - back];
}

static inline const struct trib_shape *shape_of(const struct random_graph *r, trib_value value)
{
    return &trib_graph_value(r->graph, value)->shape;
}

static inline trib_value random_variable(struct random_graph *r, bool is_state, struct trib_shape shape)
{
    char name[16];
    snprintf(name, sizeof name, "p%d", r->named++);
    return is_state ? state(r->graph, name, shape) : parameter(r->graph, name, shape);
}

static inline trib_value random_norm(struct random_graph *r, trib_value x, struct trib_shape channels)
{
    trib_value in[5] = {x}, out[5];
    for (int i = 1; i < 5; i++) {
        in[i] = random_variable(r, i > 2, channels);
    }
    struct trib_attributes at = {.training = r->training_norms, .epsilon = 1e-3f, .momentum = 0.1f};
    must(trib_graph_node(r->graph, TRIB_OP_BATCH_NORM, &at, in, 5, out, error));
    if (r->training_norms) {
        must(trib_graph_update_state(r->graph, in[3], out[3], error));
        must(trib_graph_update_state(r->graph, in[4], out[4], error));
    }
    return out[0];
}

static inline trib_value random_binary(struct random_graph *r, trib_value x, struct trib_shape last)
{
    static const float numbers[] = {0, 1, 2, 0.5f, -1};
    enum trib_op op = trib_rng_below(&r->rng, 2) ? TRIB_OP_ADD : TRIB_OP_MUL;
    trib_value other = pick(r);
    switch (trib_rng_below(&r->rng, 4)) {
    case 0:
        other = constant(r->graph, numbers[trib_rng_below(&r->rng, 5)], TRIB_SCALAR);
        break;
    case 1:
        other = random_variable(r, false, last);
        break;
    case 2:
        other = node(r->graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = last), x);
        break;
    default:
        if (!trib_shape_equal(shape_of(r, x), shape_of(r, other))) {
            other = x;
        }
    }
    return node(r->graph, op, NO_ATTRIBUTES, x, other);
}

static inline trib_value random_reshape(struct random_graph *r, trib_value x, struct trib_shape shape)
{
    if (shape.rank == 2 && shape.dims[1] == 4 && trib_rng_below(&r->rng, 3)) {
        shape = TRIB_SHAPE(BATCH, 2, 2);
    } else if (shape.rank == 3) {
        shape = TRIB_SHAPE(BATCH, 4);
    }
    return node(r->graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = shape), x);
}

static inline trib_value random_product(struct random_graph *r, trib_value x, struct trib_shape shape)
{
    if (shape.rank != 2) {
        return random_reshape(r, x, shape);
    }
    struct trib_shape w = TRIB_SHAPE(trib_rng_below(&r->rng, 2) ? 4 : 6, shape.dims[1]);
    trib_value y = node(r->graph, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), x, random_variable(r, false, w));
    return trib_rng_below(&r->rng, 2)
               ? node(r->graph, TRIB_OP_ADD, NO_ATTRIBUTES, y, random_variable(r, false, TRIB_SHAPE(w.dims[0])))
               : y;
}

/* A residual's shape: a relu around another one that something was added to, so that gradients pass two masks. */
static inline trib_value random_residual(struct random_graph *r, trib_value x, struct trib_shape last)
{
    static const float numbers[] = {-0.5f, -0.25f, 0.5f};
    trib_value other = trib_rng_below(&r->rng, 2) ? constant(r->graph, numbers[trib_rng_below(&r->rng, 3)], TRIB_SCALAR)
                                                  : random_variable(r, false, last);
    return relu(r->graph, node(r->graph, TRIB_OP_ADD, NO_ATTRIBUTES, relu(r->graph, x), other));
}

static inline trib_value random_node(struct random_graph *r)
{
    static const float factors[] = {1, 2, 0.5f, -1};
    static const enum trib_op unary[] = {TRIB_OP_RELU, TRIB_OP_TANH, TRIB_OP_SIGMOID, TRIB_OP_GELU};
    trib_value x = pick(r);
    struct trib_shape shape = *shape_of(r, x), last = TRIB_SHAPE(shape.dims[shape.rank - 1]);
    switch (trib_rng_below(&r->rng, 10)) {
    case 0:
    case 1:
        return random_product(r, x, shape);
    case 2:
        return random_reshape(r, x, shape);
    case 3:
        return node(r->graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = factors[trib_rng_below(&r->rng, 4)]), x);
    case 4:
        return node(
            r->graph, TRIB_OP_DROPOUT,
            ATTRIBUTES(.rate = trib_rng_below(&r->rng, 2) ? 0.5f : 0, .stream = (uint32_t)trib_rng_below(&r->rng, 3)),
            x);
    case 5:
        return trib_rng_below(&r->rng, 3) ? relu(r->graph, x) : random_norm(r, x, last);
    case 6:
        return random_residual(r, x, last);
    case 7:
        return node(r->graph, unary[trib_rng_below(&r->rng, 4)], NO_ATTRIBUTES, x);
    default:
        return random_binary(r, x, last);
    }
}

static inline struct trib_graph *random_graph(uint64_t seed, bool training_norms)
{
    struct random_graph r = {
        .graph = new_graph(), .rng = trib_rng_init(seed, "graph", 0, 0), .training_norms = training_norms};
    r.pool[r.n++] = input(r.graph, "x", TRIB_SHAPE(BATCH, 4));
    r.pool[r.n++] = input(r.graph, "z", TRIB_SHAPE(BATCH, 6));
    size_t n = 4 + trib_rng_below(&r.rng, 40);
    for (size_t i = 0; i < n; i++) {
        r.pool[r.n] = random_node(&r);
        r.n++;
    }
    output(r.graph, "last", r.pool[r.n - 1]);
    for (size_t i = trib_rng_below(&r.rng, 3); i > 0; i--) {
        char name[24];
        snprintf(name, sizeof name, "o%zu", i);
        output(r.graph, name, pick(&r));
    }
    trib_value x = node(r.graph, TRIB_OP_SIGMOID, NO_ATTRIBUTES, r.pool[r.n - 1]);
    output(r.graph, "loss", node(r.graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SCALAR), x));
    return r.graph;
}

#endif
