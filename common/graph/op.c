/* The table of operators, built from op.def. Read-only; any thread. */
#include "graph_private.h"

#include <string.h>

#define BIT(code) (UINT64_C(1) << TRIB_OP_##code)
_Static_assert(TRIB_OP_COUNT <= 64, "ELEMENTWISE is one bit per operator");
/* One output element depends on the same element of the first input (and, for add and mul, on a broadcast one), so
 * the output may take the first input's place. Reshape is not among them: it is an alias. */
#define ELEMENTWISE                                                                                                    \
    (BIT(RELU) | BIT(TANH) | BIT(SIGMOID) | BIT(GELU) | BIT(ADD) | BIT(MUL) | BIT(SCALE) | BIT(DROPOUT) |              \
     BIT(RELU_GRAD) | BIT(TANH_GRAD) | BIT(SIGMOID_GRAD) | BIT(GELU_GRAD))

static const struct trib_op_info infos[TRIB_OP_COUNT] = {
#define OP(code, op_name, min, max, outputs)                                                                           \
    [TRIB_OP_##code] = {.name = #op_name,                                                                              \
                        .min_inputs = (min),                                                                           \
                        .max_inputs = (max),                                                                           \
                        .n_outputs = (outputs),                                                                        \
                        .infer = trib_infer_##op_name,                                                                 \
                        .gradient = trib_grad_##op_name,                                                               \
                        .elementwise = (ELEMENTWISE & BIT(code)) != 0},
#include "graph/op.def"
#undef OP
};

#define OP(code, name, min, max, outputs)                                                                              \
    _Static_assert((max) <= TRIB_MAX_INPUTS && (outputs) <= TRIB_MAX_OUTPUTS && (min) <= (max), #name);
#include "graph/op.def"
#undef OP

static const unsigned uses[TRIB_OP_COUNT] = {
    [TRIB_OP_MATMUL] = TRIB_USES_TRANSPOSE,
    [TRIB_OP_LINEAR] = TRIB_USES_ACTIVATION,
    [TRIB_OP_CONV2D] = TRIB_USES_STRIDE | TRIB_USES_PADDING | TRIB_USES_ACTIVATION,
    [TRIB_OP_MAX_POOL2D] = TRIB_USES_KERNEL | TRIB_USES_STRIDE | TRIB_USES_PADDING,
    [TRIB_OP_AVG_POOL2D] = TRIB_USES_KERNEL | TRIB_USES_STRIDE | TRIB_USES_PADDING,
    [TRIB_OP_BATCH_NORM] = TRIB_USES_TRAINING | TRIB_USES_EPSILON | TRIB_USES_MOMENTUM,
    [TRIB_OP_GROUP_NORM] = TRIB_USES_GROUPS | TRIB_USES_EPSILON,
    [TRIB_OP_SCALE] = TRIB_USES_FACTOR,
    [TRIB_OP_RESHAPE] = TRIB_USES_SHAPE,
    [TRIB_OP_DROPOUT] = TRIB_USES_STREAM | TRIB_USES_RATE,
    [TRIB_OP_REDUCE_TO] = TRIB_USES_SHAPE,
    [TRIB_OP_CONV2D_GRAD_INPUT] = TRIB_USES_STRIDE | TRIB_USES_PADDING | TRIB_USES_SHAPE,
    [TRIB_OP_CONV2D_GRAD_WEIGHT] = TRIB_USES_STRIDE | TRIB_USES_PADDING | TRIB_USES_SHAPE,
    [TRIB_OP_MAX_POOL2D_GRAD] = TRIB_USES_KERNEL | TRIB_USES_STRIDE | TRIB_USES_PADDING | TRIB_USES_SHAPE,
    [TRIB_OP_AVG_POOL2D_GRAD] = TRIB_USES_KERNEL | TRIB_USES_STRIDE | TRIB_USES_PADDING | TRIB_USES_SHAPE,
    [TRIB_OP_GROUP_NORM_GRAD] = TRIB_USES_GROUPS,
};

static const char *const activation_names[TRIB_ACTIVATION_COUNT] = {
    [TRIB_ACTIVATION_NONE] = "none",       [TRIB_ACTIVATION_RELU] = "relu", [TRIB_ACTIVATION_TANH] = "tanh",
    [TRIB_ACTIVATION_SIGMOID] = "sigmoid", [TRIB_ACTIVATION_GELU] = "gelu",
};

const struct trib_op_info *trib_op_info(enum trib_op op)
{
    return (unsigned)op < TRIB_OP_COUNT ? &infos[op] : NULL;
}

bool trib_op_find(const char *name, enum trib_op *op)
{
    for (int i = 0; i < TRIB_OP_COUNT; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            *op = (enum trib_op)i;
            return true;
        }
    }
    return false;
}

const char *trib_activation_name(enum trib_activation activation)
{
    return (unsigned)activation < TRIB_ACTIVATION_COUNT ? activation_names[activation] : "unknown";
}

unsigned trib_op_uses(enum trib_op op)
{
    return uses[op];
}

static bool pair_equal(const int32_t a[2], const int32_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

bool trib_attributes_equal(const struct trib_attributes *a, const struct trib_attributes *b)
{
    return a->transpose_a == b->transpose_a && a->transpose_b == b->transpose_b && a->training == b->training &&
           a->activation == b->activation && pair_equal(a->kernel, b->kernel) && pair_equal(a->stride, b->stride) &&
           pair_equal(a->padding, b->padding) && a->groups == b->groups && a->stream == b->stream &&
           a->epsilon == b->epsilon && a->momentum == b->momentum && a->factor == b->factor && a->rate == b->rate &&
           trib_shape_equal(&a->shape, &b->shape);
}

static void copy_pair(int32_t to[2], const int32_t from[2])
{
    to[0] = from[0];
    to[1] = from[1];
}

struct trib_attributes trib_attributes_normal(enum trib_op op, const struct trib_attributes *given)
{
    struct trib_attributes normal = {0};
    unsigned used = uses[op];
    if (!given) {
        return normal;
    }
    if (used & TRIB_USES_TRANSPOSE) {
        normal.transpose_a = given->transpose_a;
        normal.transpose_b = given->transpose_b;
    }
    normal.training = (used & TRIB_USES_TRAINING) && given->training;
    normal.activation = used & TRIB_USES_ACTIVATION ? given->activation : TRIB_ACTIVATION_NONE;
    /* A kernel of 0x0 is the whole image: there is nothing to step over and nothing to pad. */
    bool whole = (used & TRIB_USES_KERNEL) && given->kernel[0] == 0 && given->kernel[1] == 0;
    if (used & TRIB_USES_KERNEL) {
        copy_pair(normal.kernel, given->kernel);
    }
    if ((used & TRIB_USES_STRIDE) && !whole) {
        copy_pair(normal.stride, given->stride);
    }
    if ((used & TRIB_USES_PADDING) && !whole) {
        copy_pair(normal.padding, given->padding);
    }
    normal.groups = used & TRIB_USES_GROUPS ? given->groups : 0;
    normal.stream = used & TRIB_USES_STREAM ? given->stream : 0;
    normal.epsilon = used & TRIB_USES_EPSILON ? given->epsilon : 0;
    normal.momentum = used & TRIB_USES_MOMENTUM ? given->momentum : 0;
    normal.factor = used & TRIB_USES_FACTOR ? given->factor : 0;
    normal.rate = used & TRIB_USES_RATE ? given->rate : 0;
    if (used & TRIB_USES_SHAPE) {
        normal.shape.rank = given->shape.rank;
        for (int i = 0; i < given->shape.rank && i < TRIB_MAX_RANK; i++) {
            normal.shape.dims[i] = given->shape.dims[i];
        }
    }
    return normal;
}
