/* Operators: identity, attributes, and the table of shape and gradient rules. op.def says what each computes. */
#ifndef TRIB_GRAPH_OP_H
#define TRIB_GRAPH_OP_H

#include "tensor/tensor.h"

enum trib_op {
#define OP(code, ...) TRIB_OP_##code,
#include "graph/op.def"
#undef OP
    TRIB_OP_COUNT
};

enum { TRIB_MAX_INPUTS = 5, TRIB_MAX_OUTPUTS = 5 };

enum trib_activation {
    TRIB_ACTIVATION_NONE,
    TRIB_ACTIVATION_RELU,
    TRIB_ACTIVATION_TANH,
    TRIB_ACTIVATION_SIGMOID,
    TRIB_ACTIVATION_GELU,
    TRIB_ACTIVATION_COUNT
};

/* Every attribute that any operator has; those an operator does not use are zero, so that equal nodes compare
 * equal field by field. */
struct trib_attributes {
    bool transpose_a, transpose_b;
    bool training;
    enum trib_activation activation;
    int32_t kernel[2], stride[2], padding[2]; /* height, width */
    int32_t groups;
    uint32_t stream; /* dropout: tells the masks of one graph apart */
    float epsilon, momentum, factor, rate;
    struct trib_shape shape;
};

struct trib_graph;
typedef uint32_t trib_value; /* a value's number within its graph */

struct trib_shape_call {
    const struct trib_attributes *attributes;
    int n_inputs;
    const struct trib_shape *inputs;
    const enum trib_dtype *input_dtypes;
    struct trib_shape *outputs;     /* filled by the rule */
    enum trib_dtype *output_dtypes; /* preset to TRIB_F32 */
};

struct trib_op_info {
    const char *name;
    int min_inputs, max_inputs, n_outputs;
    /* Shapes and types of the outputs, or TRIB_MISMATCH with a message that quotes the shapes. */
    enum trib_status (*infer)(const struct trib_shape_call *call, struct trib_error *error);
    /* Append to `graph` the nodes that compute the gradients of node `node`'s inputs. grads[o] is the gradient of
     * output o (TRIB_NO_VALUE when there is none); fill input_grads[i] (preset to TRIB_NO_VALUE). */
    enum trib_status (*gradient)(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                 trib_value *input_grads, struct trib_error *error);
    bool elementwise; /* output may share its first input's buffer */
};
#define TRIB_NO_VALUE UINT32_MAX

const struct trib_op_info *trib_op_info(enum trib_op op); /* never NULL for op < TRIB_OP_COUNT */
TRIB_MUST_CHECK bool trib_op_find(const char *name, enum trib_op *op);
const char *trib_activation_name(enum trib_activation activation);
bool trib_attributes_equal(const struct trib_attributes *a, const struct trib_attributes *b);

#endif
