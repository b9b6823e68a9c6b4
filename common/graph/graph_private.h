/* The graph block's own files share this: the graph's layout, the rules' names, and the rewriting walk of the passes.
 */
#ifndef TRIB_GRAPH_PRIVATE_H
#define TRIB_GRAPH_PRIVATE_H

#include "base/map.h"
#include "graph/graph.h"

struct trib_graph_value {
    struct trib_value_info info;
    uint32_t link; /* parameters: 1 + index into gradients; states: 1 + index into updates; 0 = none */
};

struct trib_graph {
    struct trib_graph_value *values;
    size_t n_values, values_capacity;
    struct trib_node *nodes;
    size_t n_nodes, nodes_capacity;
    struct trib_graph_output *outputs;
    size_t n_outputs, outputs_capacity;
    struct trib_graph_link *updates;
    size_t n_updates, updates_capacity;
    struct trib_graph_link *gradients;
    size_t n_gradients, gradients_capacity;
    struct trib_map *names; /* name -> 1 + number of an input, parameter or state, as a pointer */
    /* Set while autograd runs: which of the first n_wants values need a gradient. Borrowed. */
    const uint8_t *wants_gradient;
    size_t n_wants;
};

/* Rules: one function for each name in op.def's rows. */
#define OP(code, name, ...)                                                                                            \
    enum trib_status trib_infer_##name(const struct trib_shape_call *call, struct trib_error *error);                  \
    enum trib_status trib_grad_##name(struct trib_graph *graph, uint32_t node, const trib_value *grads,                \
                                      trib_value *input_grads, struct trib_error *error);
#include "graph/op.def"
#undef OP

/* A shape inside a message. */
enum { TRIB_SHAPE_TEXT_LEN = 96 };
#define TRIB_SHOW(shape) trib_shape_format((shape), (char[TRIB_SHAPE_TEXT_LEN]){0}, TRIB_SHAPE_TEXT_LEN)

/* A shape that a value of a graph may have: rank 0..4, dimensions >= 1 (the first may be the batch), bounded size. */
TRIB_MUST_CHECK enum trib_status trib_graph_check_shape(const struct trib_shape *shape, struct trib_error *error);

/* An op's uses are the attributes that it reads. */
enum trib_attribute_use {
    TRIB_USES_TRANSPOSE = 1 << 0,
    TRIB_USES_TRAINING = 1 << 1,
    TRIB_USES_ACTIVATION = 1 << 2,
    TRIB_USES_KERNEL = 1 << 3,
    TRIB_USES_STRIDE = 1 << 4,
    TRIB_USES_PADDING = 1 << 5,
    TRIB_USES_GROUPS = 1 << 6,
    TRIB_USES_STREAM = 1 << 7,
    TRIB_USES_EPSILON = 1 << 8,
    TRIB_USES_MOMENTUM = 1 << 9,
    TRIB_USES_FACTOR = 1 << 10,
    TRIB_USES_RATE = 1 << 11,
    TRIB_USES_SHAPE = 1 << 12
};
unsigned trib_op_uses(enum trib_op op);
/* Normal attributes are zero where `op` does not read them (NULL = all zero), so that equal nodes compare equal. */
struct trib_attributes trib_attributes_normal(enum trib_op op, const struct trib_attributes *attributes);

/* False for values that no parameter reaches: a gradient rule need not build theirs. */
bool trib_graph_wants_gradient(const struct trib_graph *graph, trib_value value);

/* Equal graphs have the same values, nodes and links, number for number. */
bool trib_graph_equal(const struct trib_graph *a, const struct trib_graph *b);

TRIB_MUST_CHECK enum trib_status trib_graph_print_node(const struct trib_graph *graph, uint32_t node,
                                                       struct trib_buf *text);
/* "%w" for a named value, "%17" otherwise. */
TRIB_MUST_CHECK enum trib_status trib_graph_print_value(const struct trib_graph *graph, trib_value value,
                                                        struct trib_buf *text);

/* needed[v] != 0 for what outputs, gradients and updates depend on, and for every named value. `needed` holds one
 * zeroed byte per value. */
void trib_graph_mark_needed(const struct trib_graph *graph, uint8_t *needed);
/* readers[v] = how many node inputs, outputs and links read value v. `readers` holds one zeroed count per value. */
void trib_graph_count_readers(const struct trib_graph *graph, uint32_t *readers);

/* One walk from a graph to a rewritten one, in the order of the values' numbers. */
struct trib_rewrite {
    const struct trib_graph *from;
    struct trib_graph *to;
    trib_value *map; /* number in `from` -> number in `to`; TRIB_NO_VALUE = not there (yet) */
    void *context;   /* of the pass */
};
struct trib_rewrite_rules {
    /* Set map[] for every output of `node` that is read later; NULL = copy. */
    enum trib_status (*node)(struct trib_rewrite *rewrite, uint32_t node, struct trib_error *error);
    /* Set map[constant]; NULL = copy. */
    enum trib_status (*constant)(struct trib_rewrite *rewrite, trib_value constant, struct trib_error *error);
};
TRIB_MUST_CHECK enum trib_status trib_graph_rewrite(const struct trib_graph *graph,
                                                    const struct trib_rewrite_rules *rules, void *context,
                                                    struct trib_graph **result, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_rewrite_copy_node(struct trib_rewrite *rewrite, uint32_t node,
                                                        struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_rewrite_copy_constant(struct trib_rewrite *rewrite, trib_value constant,
                                                            struct trib_error *error);
/* The node of op `op` that computes `value` as its first output, or NULL. */
const struct trib_node *trib_graph_producer(const struct trib_graph *graph, trib_value value, enum trib_op op);

extern const struct trib_pass trib_pass_dead_code;
extern const struct trib_pass trib_pass_common_subexpression;
extern const struct trib_pass trib_pass_constant_folding;
extern const struct trib_pass trib_pass_redundant_op;
extern const struct trib_pass trib_pass_fusion;

#endif
