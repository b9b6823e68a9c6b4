/* The model as data: a list of nodes in execution order over numbered values (static single assignment).
 *
 * Built by calls (here), read from its message (wire), differentiated (autograd), rewritten (pass), compiled (plan).
 * Every call checks shapes at once. A failed call leaves the graph as it was. One owner, one thread at a time; a
 * finished graph may be read by many. */
#ifndef TRIB_GRAPH_GRAPH_H
#define TRIB_GRAPH_GRAPH_H

#include "base/buf.h"
#include "graph/op.h"

enum trib_value_kind {
    TRIB_VALUE_INPUT,     /* given at each run: "x", "y" */
    TRIB_VALUE_PARAMETER, /* trained; part of the model */
    TRIB_VALUE_STATE,     /* not trained, but part of the model: running statistics */
    TRIB_VALUE_CONSTANT,  /* one float for all elements, fixed in the graph */
    TRIB_VALUE_RESULT     /* of a node */
};
enum trib_init_rule {
    TRIB_INIT_ZEROS,
    TRIB_INIT_ONES,
    TRIB_INIT_HE_UNIFORM,     /* U(-a, a), a = sqrt(6 / fan_in)  (He et al. 2015) */
    TRIB_INIT_GLOROT_UNIFORM, /* U(-a, a), a = sqrt(6 / (fan_in + fan_out))  (Glorot and Bengio 2010) */
    TRIB_INIT_COUNT
};

enum { TRIB_VALUE_NAME_LEN = 64 };
struct trib_value_info {
    enum trib_value_kind kind;
    enum trib_dtype dtype;
    struct trib_shape shape;        /* dims[0] may be TRIB_DIM_BATCH */
    char name[TRIB_VALUE_NAME_LEN]; /* of inputs, parameters, states; may be empty otherwise */
    enum trib_init_rule init;       /* parameters and states */
    float constant;                 /* constants */
    uint32_t node;                  /* results: the node and which of its outputs */
    int output;
};
struct trib_node {
    enum trib_op op;
    struct trib_attributes attributes;
    int n_inputs;
    trib_value inputs[TRIB_MAX_INPUTS];
    trib_value outputs[TRIB_MAX_OUTPUTS]; /* as many as the op's row says */
};
/* Outputs are named results that a run must produce: "logits", "loss". */
struct trib_graph_output {
    char name[TRIB_VALUE_NAME_LEN];
    trib_value value;
};
/* A link says that after a run `from` is the new content of state `state`; or, in a differentiated graph,
 * `from` is the gradient of parameter `state`. */
struct trib_graph_link {
    trib_value state;
    trib_value from;
};

/* Bounds for graphs that come from elsewhere. */
enum { TRIB_GRAPH_MAX_NODES = 20000, TRIB_GRAPH_MAX_VALUES = 100000 };

struct trib_graph; /* opaque */

struct trib_graph *trib_graph_new(void); /* NULL when memory is short */
void trib_graph_free(struct trib_graph *graph);
TRIB_MUST_CHECK enum trib_status trib_graph_copy(const struct trib_graph *graph, struct trib_graph **copy,
                                                 struct trib_error *error);

TRIB_MUST_CHECK enum trib_status trib_graph_input(struct trib_graph *graph, const char *name, enum trib_dtype dtype,
                                                  const struct trib_shape *shape, trib_value *value,
                                                  struct trib_error *error);
/* kind PARAMETER or STATE; names are unique in the graph; the shape is fully known. */
TRIB_MUST_CHECK enum trib_status trib_graph_variable(struct trib_graph *graph, enum trib_value_kind kind,
                                                     const char *name, const struct trib_shape *shape,
                                                     enum trib_init_rule init, trib_value *value,
                                                     struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_graph_constant(struct trib_graph *graph, float number,
                                                     const struct trib_shape *shape, trib_value *value,
                                                     struct trib_error *error);
/* Append a node; attributes NULL = all zero, those the op does not use are stored as zero. `outputs` (may be NULL)
 * takes as many values as the op has. */
TRIB_MUST_CHECK enum trib_status trib_graph_node(struct trib_graph *graph, enum trib_op op,
                                                 const struct trib_attributes *attributes, const trib_value *inputs,
                                                 int n_inputs, trib_value *outputs, struct trib_error *error);
/* Outputs and links replace an earlier output of that name, or an earlier link of that state or parameter. */
TRIB_MUST_CHECK enum trib_status trib_graph_set_output(struct trib_graph *graph, const char *name, trib_value value,
                                                       struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_graph_update_state(struct trib_graph *graph, trib_value state, trib_value from,
                                                         struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_graph_set_gradient(struct trib_graph *graph, trib_value parameter,
                                                         trib_value gradient, struct trib_error *error);

uint32_t trib_graph_n_values(const struct trib_graph *graph);
uint32_t trib_graph_n_nodes(const struct trib_graph *graph);
/* A value's facts, NULL for a number that the graph does not have; the pointers are valid until the next append. */
const struct trib_value_info *trib_graph_value(const struct trib_graph *graph, trib_value value);
const struct trib_node *trib_graph_node_at(const struct trib_graph *graph, uint32_t node);
size_t trib_graph_outputs(const struct trib_graph *graph, const struct trib_graph_output **outputs);
size_t trib_graph_updates(const struct trib_graph *graph, const struct trib_graph_link **updates);
size_t trib_graph_gradients(const struct trib_graph *graph, const struct trib_graph_link **gradients);
TRIB_MUST_CHECK bool trib_graph_find(const struct trib_graph *graph, const char *name, trib_value *value);
TRIB_MUST_CHECK bool trib_graph_find_output(const struct trib_graph *graph, const char *name, trib_value *value);

/* One line a node, for people: "%7: [batch, 200] = linear(%x, %w, %b) activation=relu". */
TRIB_MUST_CHECK enum trib_status trib_graph_print(const struct trib_graph *graph, struct trib_buf *text);

#endif
