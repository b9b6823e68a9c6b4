/* Shape rules of the operators that only gradients use. As strict as the forward ones: a graph from a peer may hold
 * them too. */
#include "op_shape.h"

enum trib_status trib_infer_reduce_to(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *shape = &call->attributes->shape;
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    TRIB_TRY(trib_graph_check_shape(shape, error));
    if (!trib_shape_is_trailing(shape, &call->inputs[0])) {
        return trib_fail(error, TRIB_MISMATCH, "%s is neither a scalar nor the trailing dimensions of %s",
                         TRIB_SHOW(shape), TRIB_SHOW(&call->inputs[0]));
    }
    call->outputs[0] = *shape;
    return TRIB_OK;
}

static enum trib_status infer_activation_grad(const struct trib_shape_call *call, const char *what,
                                              struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    TRIB_TRY(trib_infer_want_shape(call, 1, what, &call->inputs[0], error));
    call->outputs[0] = call->inputs[0];
    return TRIB_OK;
}

enum trib_status trib_infer_relu_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_activation_grad(call, "y", error);
}

enum trib_status trib_infer_tanh_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_activation_grad(call, "y", error);
}

enum trib_status trib_infer_sigmoid_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_activation_grad(call, "y", error);
}

enum trib_status trib_infer_gelu_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_activation_grad(call, "x", error);
}

enum trib_status trib_infer_conv2d_grad_input(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->attributes->shape;
    struct trib_shape dy;
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    TRIB_TRY(trib_graph_check_shape(x, error));
    TRIB_TRY(trib_infer_conv2d_shape(x, &call->inputs[1], call->attributes, &dy, error));
    TRIB_TRY(trib_infer_want_shape(call, 0, "dy", &dy, error));
    call->outputs[0] = *x;
    return TRIB_OK;
}

enum trib_status trib_infer_conv2d_grad_weight(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *w = &call->attributes->shape;
    struct trib_shape dy;
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    TRIB_TRY(trib_graph_check_shape(w, error));
    TRIB_TRY(trib_infer_conv2d_shape(&call->inputs[1], w, call->attributes, &dy, error));
    TRIB_TRY(trib_infer_want_shape(call, 0, "dy", &dy, error));
    call->outputs[0] = *w;
    return TRIB_OK;
}

enum trib_status trib_infer_max_pool2d_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->attributes->shape;
    struct trib_shape dy;
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    if (call->input_dtypes[1] != TRIB_I32) {
        return trib_fail(error, TRIB_MISMATCH, "the index is %s, expected i32", trib_dtype_name(call->input_dtypes[1]));
    }
    TRIB_TRY(trib_graph_check_shape(x, error));
    TRIB_TRY(trib_infer_pool2d_shape(x, call->attributes, false, &dy, error));
    TRIB_TRY(trib_infer_want_shape(call, 0, "dy", &dy, error));
    TRIB_TRY(trib_infer_want_shape(call, 1, "the index", &dy, error));
    call->outputs[0] = *x;
    return TRIB_OK;
}

enum trib_status trib_infer_avg_pool2d_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->attributes->shape;
    struct trib_shape dy;
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    TRIB_TRY(trib_graph_check_shape(x, error));
    TRIB_TRY(trib_infer_pool2d_shape(x, call->attributes, true, &dy, error));
    TRIB_TRY(trib_infer_want_shape(call, 0, "dy", &dy, error));
    call->outputs[0] = *x;
    return TRIB_OK;
}

/* Inputs dy, x, gamma, mean, inverse_std; outputs dx, dgamma, dbeta. `statistics` = shape of mean and inverse_std. */
static enum trib_status infer_norm_grad(const struct trib_shape_call *call, const struct trib_shape *statistics,
                                        struct trib_error *error)
{
    const struct trib_shape *x = &call->inputs[1];
    struct trib_shape channels = TRIB_SHAPE(x->dims[x->rank - 1]);
    TRIB_TRY(trib_infer_want_f32(call, 5, error));
    TRIB_TRY(trib_infer_want_shape(call, 0, "dy", x, error));
    TRIB_TRY(trib_infer_want_shape(call, 2, "gamma", &channels, error));
    TRIB_TRY(trib_infer_want_shape(call, 3, "mean", statistics, error));
    TRIB_TRY(trib_infer_want_shape(call, 4, "inverse_std", statistics, error));
    call->outputs[0] = *x;
    call->outputs[1] = call->outputs[2] = channels;
    return TRIB_OK;
}

enum trib_status trib_infer_batch_norm_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->inputs[1];
    if (x->rank < 2) {
        return trib_fail(error, TRIB_MISMATCH, "expected x = [batch, ..., channels], got %s", TRIB_SHOW(x));
    }
    return infer_norm_grad(call, &TRIB_SHAPE(x->dims[x->rank - 1]), error);
}

enum trib_status trib_infer_group_norm_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->inputs[1];
    TRIB_TRY(trib_infer_groups(x, call->attributes->groups, error));
    return infer_norm_grad(call, &TRIB_SHAPE(x->dims[0], call->attributes->groups), error);
}

/* The gradient of the loss that reaches a loss operator. */
static enum trib_status want_scalar(const struct trib_shape_call *call, struct trib_error *error)
{
    return trib_infer_want_shape(call, 0, "dloss", &TRIB_SCALAR, error);
}

enum trib_status trib_infer_softmax_cross_entropy_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    TRIB_TRY(want_scalar(call, error));
    TRIB_TRY(trib_infer_want_rank(call, 1, 2, "[batch, classes]", error));
    TRIB_TRY(trib_infer_want_labels(call, 2, call->inputs[1].dims[0], error));
    call->outputs[0] = call->inputs[1];
    return TRIB_OK;
}

enum trib_status trib_infer_mse_grad(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 3, error));
    TRIB_TRY(want_scalar(call, error));
    TRIB_TRY(trib_infer_want_shape(call, 2, "the target", &call->inputs[1], error));
    call->outputs[0] = call->inputs[1];
    return TRIB_OK;
}
