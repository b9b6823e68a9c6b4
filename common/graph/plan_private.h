/* The plan's layout, shared by building, reading and printing. */
#ifndef TRIB_GRAPH_PLAN_PRIVATE_H
#define TRIB_GRAPH_PLAN_PRIVATE_H

#include "graph/plan.h"

struct trib_plan {
    struct trib_graph *graph;
    int64_t batch;
    struct trib_placement *placements; /* per value */
    struct trib_step *steps;
    size_t n_steps;
    uint8_t *constants;
    size_t constants_len;
    size_t arena_bytes, unshared_bytes, model_floats, n_inputs;
    struct trib_plan_copy *updates;
    size_t n_updates;
    struct trib_plan_copy *gradient_copies;
    size_t n_gradient_copies;
};

#endif
