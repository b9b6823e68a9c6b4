/* A plan is a graph bound to a batch size and laid out in memory; a backend executes it.
 *
 * Values get one of these homes. Results share one arena: a buffer is given out again as soon as its last reader
 * has run (reshape is an alias; element-wise ops may work in place). Parameters and states lie in one flat float
 * vector in the order of their declaration, without gaps; gradients in a second one with the same offsets. A result
 * that is a gradient is written straight into that vector. */
#ifndef TRIB_GRAPH_PLAN_H
#define TRIB_GRAPH_PLAN_H

#include "graph/graph.h"

enum trib_home {
    TRIB_HOME_NONE,     /* never needed */
    TRIB_HOME_INPUT,    /* offset = index of the input in declaration order */
    TRIB_HOME_MODEL,    /* offset in floats into the flat model vector */
    TRIB_HOME_GRADIENT, /* offset in floats into the flat gradient vector */
    TRIB_HOME_CONSTANT, /* offset in bytes into the plan's constants */
    TRIB_HOME_ARENA     /* offset in bytes, 64-byte aligned */
};
struct trib_placement {
    enum trib_home home;
    size_t offset;
};
struct trib_step {
    uint32_t node; /* of the plan's graph; nodes that move no data (reshape) have no step */
};
struct trib_plan; /* opaque; owns its copy of the graph */

/* trib_plan_new: TRIB_LIMIT when the arena would exceed max_bytes (0 = no limit). */
TRIB_MUST_CHECK enum trib_status trib_plan_new(const struct trib_graph *graph, int64_t batch, size_t max_bytes,
                                               struct trib_plan **plan, struct trib_error *error);
void trib_plan_free(struct trib_plan *plan);

const struct trib_graph *trib_plan_graph(const struct trib_plan *plan);
int64_t trib_plan_batch(const struct trib_plan *plan);
size_t trib_plan_steps(const struct trib_plan *plan, const struct trib_step **steps);
struct trib_placement trib_plan_placement(const struct trib_plan *plan, trib_value value);
struct trib_shape trib_plan_shape(const struct trib_plan *plan, trib_value value); /* batch bound */
size_t trib_plan_arena_bytes(const struct trib_plan *plan);
size_t trib_plan_model_floats(const struct trib_plan *plan);
const uint8_t *trib_plan_constants(const struct trib_plan *plan, size_t *len); /* expanded constant data */
size_t trib_plan_n_inputs(const struct trib_plan *plan);
/* Bytes that results would take without reuse, to show what the plan saves. */
size_t trib_plan_unshared_bytes(const struct trib_plan *plan);
/* Link copies: state updates are (from, model offset, floats) to be copied after the steps. */
struct trib_plan_copy {
    trib_value from;
    size_t model_offset, n;
};
size_t trib_plan_updates(const struct trib_plan *plan, const struct trib_plan_copy **copies);
/* Gradient copies are those that could not be written in place (one value serves twice, is an input, a constant ...).
 */
size_t trib_plan_gradient_copies(const struct trib_plan *plan, const struct trib_plan_copy **copies);
TRIB_MUST_CHECK enum trib_status trib_plan_print(const struct trib_plan *plan, struct trib_buf *text);

#endif
