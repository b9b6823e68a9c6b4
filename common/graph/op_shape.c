/* Shape rules of the forward operators, and what they share with those of the gradients (op_shape_gradient.c).
 *
 * Attributes and shapes may come from a peer: every rule checks ranges before it computes, nothing is asserted. The
 * caller (trib_graph_node) puts the operator's name before the messages and checks the output shapes once more. */
#include "op_shape.h"

#include <inttypes.h>
#include <math.h>

/* Window extents, strides and group counts beyond this are mistakes, and would let products leave int64. */
enum { MAX_WINDOW = 65536 };

enum trib_status trib_graph_check_shape(const struct trib_shape *shape, struct trib_error *error)
{
    if (shape->rank < 0 || shape->rank > TRIB_MAX_RANK) {
        return trib_fail(error, TRIB_INVALID, "a shape of rank %d is outside 0..%d", shape->rank, TRIB_MAX_RANK);
    }
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == TRIB_DIM_BATCH && i > 0) {
            return trib_fail(error, TRIB_INVALID, "shape %s: only the first dimension may be the batch (-1)",
                             TRIB_SHOW(shape));
        }
        if (shape->dims[i] < 1 && shape->dims[i] != TRIB_DIM_BATCH) {
            return trib_fail(error, TRIB_INVALID, "shape %s: dimension %d is below 1", TRIB_SHOW(shape), i);
        }
    }
    size_t n;
    struct trib_shape one = trib_shape_bind(shape, 1);
    return trib_shape_elements(&one, &n, error);
}

enum trib_status trib_infer_want_f32(const struct trib_shape_call *call, int n, struct trib_error *error)
{
    for (int i = 0; i < n; i++) {
        if (call->input_dtypes[i] != TRIB_F32) {
            return trib_fail(error, TRIB_MISMATCH, "input %d is %s %s, expected f32", i,
                             trib_dtype_name(call->input_dtypes[i]), TRIB_SHOW(&call->inputs[i]));
        }
    }
    return TRIB_OK;
}

enum trib_status trib_infer_want_rank(const struct trib_shape_call *call, int input, int rank, const char *layout,
                                      struct trib_error *error)
{
    if (call->inputs[input].rank != rank) {
        return trib_fail(error, TRIB_MISMATCH, "input %d is %s, expected rank %d, %s", input,
                         TRIB_SHOW(&call->inputs[input]), rank, layout);
    }
    return TRIB_OK;
}

enum trib_status trib_infer_want_shape(const struct trib_shape_call *call, int input, const char *what,
                                       const struct trib_shape *shape, struct trib_error *error)
{
    if (!trib_shape_equal(&call->inputs[input], shape)) {
        return trib_fail(error, TRIB_MISMATCH, "%s is %s, expected %s", what, TRIB_SHOW(&call->inputs[input]),
                         TRIB_SHOW(shape));
    }
    return TRIB_OK;
}

/* floor((in + 2 padding - kernel) / stride) + 1 */
static enum trib_status window_axis(const struct trib_shape *x, int axis, int64_t kernel, int32_t stride,
                                    int32_t padding, int64_t *out, struct trib_error *error)
{
    const char *name = axis == 0 ? "height" : "width";
    int64_t in = x->dims[1 + axis];
    if (kernel < 1 || kernel > MAX_WINDOW) {
        return trib_fail(error, TRIB_INVALID, "kernel %s %" PRId64 " is outside 1..%d", name, kernel, MAX_WINDOW);
    }
    if (stride < 1 || stride > MAX_WINDOW) {
        return trib_fail(error, TRIB_INVALID, "stride %" PRId32 " (%s) is outside 1..%d", stride, name, MAX_WINDOW);
    }
    /* Padding below the kernel's extent leaves at least one true element in every window. */
    if (padding < 0 || padding >= kernel) {
        return trib_fail(error, TRIB_INVALID, "padding %" PRId32 " (%s) is outside 0..%" PRId64 ", below the kernel",
                         padding, name, kernel - 1);
    }
    int64_t padded = in + 2 * (int64_t)padding;
    if (kernel > padded) {
        return trib_fail(error, TRIB_MISMATCH,
                         "kernel %s %" PRId64 " is larger than the padded input's %" PRId64 " of %s", name, kernel,
                         padded, TRIB_SHOW(x));
    }
    *out = (padded - kernel) / stride + 1;
    return TRIB_OK;
}

enum trib_status trib_infer_conv2d_shape(const struct trib_shape *x, const struct trib_shape *w,
                                         const struct trib_attributes *attributes, struct trib_shape *y,
                                         struct trib_error *error)
{
    if (x->rank != 4 || w->rank != 4) {
        return trib_fail(error, TRIB_MISMATCH,
                         "expected [batch, height, width, in] and weights [out, height, width, in], got %s and %s",
                         TRIB_SHOW(x), TRIB_SHOW(w));
    }
    if (x->dims[3] != w->dims[3]) {
        return trib_fail(error, TRIB_MISMATCH, "input channels differ: %s with weights %s", TRIB_SHOW(x), TRIB_SHOW(w));
    }
    struct trib_shape shape = {.rank = 4, .dims = {x->dims[0], 0, 0, w->dims[0]}};
    for (int i = 0; i < 2; i++) {
        TRIB_TRY(window_axis(x, i, w->dims[1 + i], attributes->stride[i], attributes->padding[i], &shape.dims[1 + i],
                             error));
    }
    *y = shape;
    return TRIB_OK;
}

enum trib_status trib_infer_pool2d_shape(const struct trib_shape *x, const struct trib_attributes *attributes,
                                         bool may_be_whole, struct trib_shape *y, struct trib_error *error)
{
    if (x->rank != 4) {
        return trib_fail(error, TRIB_MISMATCH, "expected [batch, height, width, channels], got %s", TRIB_SHOW(x));
    }
    struct trib_shape shape = *x;
    bool whole = may_be_whole && attributes->kernel[0] == 0 && attributes->kernel[1] == 0;
    for (int i = 0; i < 2; i++) {
        if (whole) {
            shape.dims[1 + i] = 1;
        } else {
            TRIB_TRY(window_axis(x, i, attributes->kernel[i], attributes->stride[i], attributes->padding[i],
                                 &shape.dims[1 + i], error));
        }
    }
    *y = shape;
    return TRIB_OK;
}

enum trib_status trib_infer_groups(const struct trib_shape *x, int32_t groups, struct trib_error *error)
{
    if (x->rank < 2) {
        return trib_fail(error, TRIB_MISMATCH, "expected [batch, ..., channels], got %s", TRIB_SHOW(x));
    }
    int64_t channels = x->dims[x->rank - 1];
    if (groups < 1 || channels % groups != 0) {
        return trib_fail(error, TRIB_INVALID, "groups %" PRId32 " does not divide the %" PRId64 " channels of %s",
                         groups, channels, TRIB_SHOW(x));
    }
    return TRIB_OK;
}

bool trib_shape_is_trailing(const struct trib_shape *small, const struct trib_shape *large)
{
    if (small->rank > large->rank) {
        return false;
    }
    for (int i = 0; i < small->rank; i++) {
        if (small->dims[i] != large->dims[large->rank - small->rank + i]) {
            return false;
        }
    }
    return true;
}

static enum trib_status check_activation(const struct trib_attributes *attributes, struct trib_error *error)
{
    if ((unsigned)attributes->activation >= TRIB_ACTIVATION_COUNT) {
        return trib_fail(error, TRIB_INVALID, "activation %d is unknown", (int)attributes->activation);
    }
    return TRIB_OK;
}

static enum trib_status check_epsilon(const struct trib_attributes *attributes, struct trib_error *error)
{
    if (!(attributes->epsilon > 0 && attributes->epsilon <= 1)) {
        return trib_fail(error, TRIB_INVALID, "epsilon %g is outside (0, 1]", (double)attributes->epsilon);
    }
    return TRIB_OK;
}

static enum trib_status check_vector(const struct trib_shape_call *call, int input, const char *what, int64_t n,
                                     struct trib_error *error)
{
    struct trib_shape vector = {.rank = 1, .dims = {n}};
    return trib_infer_want_shape(call, input, what, &vector, error);
}

enum trib_status trib_infer_matmul(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_attributes *at = call->attributes;
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    TRIB_TRY(trib_infer_want_rank(call, 0, 2, "a matrix", error));
    TRIB_TRY(trib_infer_want_rank(call, 1, 2, "a matrix", error));
    const int64_t *a = call->inputs[0].dims, *b = call->inputs[1].dims;
    if (a[at->transpose_a ? 0 : 1] != b[at->transpose_b ? 1 : 0]) {
        return trib_fail(error, TRIB_MISMATCH, "inner dimensions differ: %s%s x %s%s", TRIB_SHOW(&call->inputs[0]),
                         at->transpose_a ? "^T" : "", TRIB_SHOW(&call->inputs[1]), at->transpose_b ? "^T" : "");
    }
    call->outputs[0] = TRIB_SHAPE(a[at->transpose_a ? 1 : 0], b[at->transpose_b ? 0 : 1]);
    return TRIB_OK;
}

enum trib_status trib_infer_linear(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, call->n_inputs, error));
    TRIB_TRY(check_activation(call->attributes, error));
    TRIB_TRY(trib_infer_want_rank(call, 0, 2, "[batch, in]", error));
    TRIB_TRY(trib_infer_want_rank(call, 1, 2, "[out, in]", error));
    const int64_t *x = call->inputs[0].dims, *w = call->inputs[1].dims;
    if (x[1] != w[1]) {
        return trib_fail(error, TRIB_MISMATCH, "inner dimensions differ: %s x %s^T", TRIB_SHOW(&call->inputs[0]),
                         TRIB_SHOW(&call->inputs[1]));
    }
    if (call->n_inputs == 3) {
        TRIB_TRY(check_vector(call, 2, "bias", w[0], error));
    }
    call->outputs[0] = TRIB_SHAPE(x[0], w[0]);
    return TRIB_OK;
}

enum trib_status trib_infer_conv2d(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, call->n_inputs, error));
    TRIB_TRY(check_activation(call->attributes, error));
    TRIB_TRY(trib_infer_conv2d_shape(&call->inputs[0], &call->inputs[1], call->attributes, &call->outputs[0], error));
    return call->n_inputs == 3 ? check_vector(call, 2, "bias", call->inputs[1].dims[0], error) : TRIB_OK;
}

enum trib_status trib_infer_max_pool2d(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    TRIB_TRY(trib_infer_pool2d_shape(&call->inputs[0], call->attributes, false, &call->outputs[0], error));
    /* The index output counts within one image, in 32 bits. */
    const int64_t *x = call->inputs[0].dims;
    struct trib_shape image = TRIB_SHAPE(x[1], x[2], x[3]);
    if (trib_shape_size(&image) > INT32_MAX) {
        return trib_fail(error, TRIB_LIMIT, "an image of %s has more than 2^31 elements", TRIB_SHOW(&image));
    }
    call->outputs[1] = call->outputs[0];
    call->output_dtypes[1] = TRIB_I32;
    return TRIB_OK;
}

enum trib_status trib_infer_avg_pool2d(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    return trib_infer_pool2d_shape(&call->inputs[0], call->attributes, true, &call->outputs[0], error);
}

static enum trib_status infer_unary(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    call->outputs[0] = call->inputs[0];
    return TRIB_OK;
}

enum trib_status trib_infer_relu(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_unary(call, error);
}

enum trib_status trib_infer_tanh(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_unary(call, error);
}

enum trib_status trib_infer_sigmoid(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_unary(call, error);
}

enum trib_status trib_infer_gelu(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_unary(call, error);
}

enum trib_status trib_infer_batch_norm(const struct trib_shape_call *call, struct trib_error *error)
{
    static const char *const names[] = {"x", "gamma", "beta", "running_mean", "running_var"};
    const struct trib_shape *x = &call->inputs[0];
    float momentum = call->attributes->momentum;
    TRIB_TRY(trib_infer_want_f32(call, 5, error));
    TRIB_TRY(check_epsilon(call->attributes, error));
    if (!(momentum >= 0 && momentum <= 1)) {
        return trib_fail(error, TRIB_INVALID, "momentum %g is outside [0, 1]", (double)momentum);
    }
    if (x->rank < 2) {
        return trib_fail(error, TRIB_MISMATCH, "expected [batch, ..., channels], got %s", TRIB_SHOW(x));
    }
    for (int i = 1; i < 5; i++) {
        TRIB_TRY(check_vector(call, i, names[i], x->dims[x->rank - 1], error));
        call->outputs[i] = call->inputs[i];
    }
    call->outputs[0] = *x;
    return TRIB_OK;
}

enum trib_status trib_infer_group_norm(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->inputs[0];
    TRIB_TRY(trib_infer_want_f32(call, 3, error));
    TRIB_TRY(check_epsilon(call->attributes, error));
    TRIB_TRY(trib_infer_groups(x, call->attributes->groups, error));
    TRIB_TRY(check_vector(call, 1, "gamma", x->dims[x->rank - 1], error));
    TRIB_TRY(check_vector(call, 2, "beta", x->dims[x->rank - 1], error));
    call->outputs[0] = *x;
    call->outputs[1] = call->outputs[2] = TRIB_SHAPE(x->dims[0], call->attributes->groups);
    return TRIB_OK;
}

static enum trib_status infer_broadcast(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    if (!trib_shape_is_trailing(&call->inputs[1], &call->inputs[0])) {
        return trib_fail(error, TRIB_MISMATCH,
                         "shapes differ: %s and %s; the second must equal the first, be its trailing dimensions, or "
                         "be a scalar",
                         TRIB_SHOW(&call->inputs[0]), TRIB_SHOW(&call->inputs[1]));
    }
    call->outputs[0] = call->inputs[0];
    return TRIB_OK;
}

enum trib_status trib_infer_add(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_broadcast(call, error);
}

enum trib_status trib_infer_mul(const struct trib_shape_call *call, struct trib_error *error)
{
    return infer_broadcast(call, error);
}

enum trib_status trib_infer_scale(const struct trib_shape_call *call, struct trib_error *error)
{
    if (!isfinite(call->attributes->factor)) {
        return trib_fail(error, TRIB_NOT_FINITE, "the factor is not a finite number");
    }
    return infer_unary(call, error);
}

enum trib_status trib_infer_reshape(const struct trib_shape_call *call, struct trib_error *error)
{
    const struct trib_shape *x = &call->inputs[0], *shape = &call->attributes->shape;
    TRIB_TRY(trib_graph_check_shape(shape, error));
    bool x_batch = x->rank > 0 && x->dims[0] == TRIB_DIM_BATCH;
    bool to_batch = shape->rank > 0 && shape->dims[0] == TRIB_DIM_BATCH;
    struct trib_shape x_one = trib_shape_bind(x, 1), to_one = trib_shape_bind(shape, 1);
    if (x_batch != to_batch || trib_shape_size(&x_one) != trib_shape_size(&to_one)) {
        return trib_fail(error, TRIB_MISMATCH, "%s does not have as many elements as %s", TRIB_SHOW(x),
                         TRIB_SHOW(shape));
    }
    call->outputs[0] = *shape;
    call->output_dtypes[0] = call->input_dtypes[0];
    return TRIB_OK;
}

enum trib_status trib_infer_dropout(const struct trib_shape_call *call, struct trib_error *error)
{
    float rate = call->attributes->rate;
    if (!(rate >= 0 && rate < 1)) {
        return trib_fail(error, TRIB_INVALID, "rate %g is outside [0, 1)", (double)rate);
    }
    return infer_unary(call, error);
}

enum trib_status trib_infer_softmax_cross_entropy(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 1, error));
    TRIB_TRY(trib_infer_want_rank(call, 0, 2, "[batch, classes]", error));
    TRIB_TRY(trib_infer_want_labels(call, 1, call->inputs[0].dims[0], error));
    call->outputs[0] = TRIB_SCALAR;
    call->outputs[1] = call->inputs[0];
    return TRIB_OK;
}

enum trib_status trib_infer_want_labels(const struct trib_shape_call *call, int input, int64_t rows,
                                        struct trib_error *error)
{
    if (call->input_dtypes[input] != TRIB_I32) {
        return trib_fail(error, TRIB_MISMATCH, "labels are %s, expected i32",
                         trib_dtype_name(call->input_dtypes[input]));
    }
    return check_vector(call, input, "the labels' shape", rows, error);
}

enum trib_status trib_infer_mse(const struct trib_shape_call *call, struct trib_error *error)
{
    TRIB_TRY(trib_infer_want_f32(call, 2, error));
    TRIB_TRY(trib_infer_want_shape(call, 1, "the target", &call->inputs[0], error));
    call->outputs[0] = TRIB_SCALAR;
    return TRIB_OK;
}
