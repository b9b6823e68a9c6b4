/* Appending layers to a graph. One builder, one thread. */
#include "build.h"

#include <stdio.h>

static enum trib_status check_spec(const struct trib_model_spec *spec, struct trib_error *error)
{
    if (spec->example.rank < 1 || spec->example.rank > TRIB_MAX_RANK - 1) {
        return trib_fail(error, TRIB_INVALID, "an example has %d dimensions; models take 1 to %d", spec->example.rank,
                         TRIB_MAX_RANK - 1);
    }
    char text[64];
    for (int d = 0; d < spec->example.rank; d++) {
        if (spec->example.dims[d] < 1) {
            return trib_fail(error, TRIB_INVALID, "example shape %s has an empty dimension",
                             trib_shape_format(&spec->example, text, sizeof text));
        }
    }
    size_t n;
    TRIB_TRY(trib_shape_elements(&spec->example, &n, error));
    if (spec->classes < 1 || spec->classes > 10000000) {
        return trib_fail(error, TRIB_INVALID, "classes: %lld is outside 1..10000000", (long long)spec->classes);
    }
    return TRIB_OK;
}

void trib_build_start(struct trib_builder *builder, const struct trib_model_spec *spec, struct trib_graph *graph,
                      struct trib_error *error)
{
    *builder = (struct trib_builder){.graph = graph, .error = error};
    builder->status = check_spec(spec, error);
    if (builder->status != TRIB_OK) {
        return;
    }
    struct trib_shape shape = {.rank = spec->example.rank + 1, .dims = {TRIB_DIM_BATCH}};
    for (int d = 0; d < spec->example.rank; d++) {
        shape.dims[d + 1] = spec->example.dims[d];
    }
    builder->status = trib_graph_input(graph, "x", TRIB_F32, &shape, &builder->at, error);
}

struct trib_shape trib_build_shape(const struct trib_builder *builder)
{
    return trib_graph_value(builder->graph, builder->at)->shape;
}

enum trib_status trib_build_end(struct trib_builder *builder, int64_t classes)
{
    TRIB_TRY(builder->status);
    struct trib_shape shape = trib_build_shape(builder);
    struct trib_shape wanted = TRIB_SHAPE(TRIB_DIM_BATCH, classes);
    if (!trib_shape_equal(&shape, &wanted)) {
        char has[64], wants[64];
        return trib_fail(builder->error, TRIB_MISMATCH, "the model ends with %s where %s is needed, one number a class",
                         trib_shape_format(&shape, has, sizeof has), trib_shape_format(&wanted, wants, sizeof wants));
    }
    return trib_graph_set_output(builder->graph, "logits", builder->at, builder->error);
}

/* Append one node on the value at hand and `n` more inputs, and go on from its first output. */
static void append(struct trib_builder *builder, enum trib_op op, const struct trib_attributes *attributes,
                   const trib_value *more, int n, trib_value outputs[TRIB_MAX_OUTPUTS])
{
    if (builder->status != TRIB_OK) {
        return;
    }
    trib_value inputs[TRIB_MAX_INPUTS] = {builder->at};
    for (int i = 0; i < n; i++) {
        inputs[i + 1] = more[i];
    }
    trib_value made[TRIB_MAX_OUTPUTS];
    builder->status = trib_graph_node(builder->graph, op, attributes, inputs, n + 1, made, builder->error);
    if (builder->status != TRIB_OK) {
        return;
    }
    builder->at = made[0];
    for (int i = 0; outputs && i < trib_op_info(op)->n_outputs; i++) {
        outputs[i] = made[i];
    }
}

static trib_value variable(struct trib_builder *builder, enum trib_value_kind kind, const char *name, const char *part,
                           const struct trib_shape *shape, enum trib_init_rule init)
{
    trib_value value = TRIB_NO_VALUE;
    char full[TRIB_VALUE_NAME_LEN];
    if (builder->status != TRIB_OK) {
        return value;
    }
    int len = snprintf(full, sizeof full, "%s.%s", name, part);
    if (len < 0 || (size_t)len >= sizeof full) {
        builder->status = trib_fail(builder->error, TRIB_LIMIT, "the name \"%s.%s\" is longer than %d bytes", name,
                                    part, TRIB_VALUE_NAME_LEN - 1);
        return value;
    }
    builder->status = trib_graph_variable(builder->graph, kind, full, shape, init, &value, builder->error);
    return value;
}

/* One number for each entry of the last dimension, as biases and normalisations take. */
static trib_value per_channel(struct trib_builder *builder, enum trib_value_kind kind, const char *name,
                              const char *part, enum trib_init_rule init)
{
    if (builder->status != TRIB_OK) {
        return TRIB_NO_VALUE;
    }
    struct trib_shape shape = trib_build_shape(builder);
    struct trib_shape last = TRIB_SHAPE(shape.dims[shape.rank - 1]);
    return variable(builder, kind, name, part, &last, init);
}

static void add_bias(struct trib_builder *builder, const char *name)
{
    trib_value bias = per_channel(builder, TRIB_VALUE_PARAMETER, name, "bias", TRIB_INIT_ZEROS);
    append(builder, TRIB_OP_ADD, NULL, &bias, 1, NULL);
}

/* False after a failure, or when the value at hand has not `rank` dimensions, which is one. */
static bool needs_rank(struct trib_builder *builder, const char *what, int rank, const char *wants, const char *advice)
{
    if (builder->status != TRIB_OK) {
        return false;
    }
    struct trib_shape shape = trib_build_shape(builder);
    if (shape.rank == rank) {
        return true;
    }
    char has[64];
    builder->status = trib_fail(builder->error, TRIB_MISMATCH, "%s takes %s, but is given %s; %s", what, wants,
                                trib_shape_format(&shape, has, sizeof has), advice);
    return false;
}

static bool needs_image(struct trib_builder *builder, const char *what)
{
    return needs_rank(builder, what, 4, "images [batch, height, width, channels]",
                      "image layers come before flatten, and need examples of height, width and channels");
}

void trib_build_linear(struct trib_builder *builder, const char *name, int64_t units, bool bias,
                       enum trib_init_rule init)
{
    if (!needs_rank(builder, "linear", 2, "[batch, features]", "put a flatten layer before it")) {
        return;
    }
    struct trib_shape weight_shape = TRIB_SHAPE(units, trib_build_shape(builder).dims[1]);
    trib_value weight = variable(builder, TRIB_VALUE_PARAMETER, name, "weight", &weight_shape, init);
    struct trib_attributes attributes = {.transpose_b = true};
    append(builder, TRIB_OP_MATMUL, &attributes, &weight, 1, NULL);
    if (bias) {
        add_bias(builder, name);
    }
}

static struct trib_attributes window_attributes(const struct trib_window *window)
{
    return (struct trib_attributes){.kernel = {window->kernel, window->kernel},
                                    .stride = {window->stride, window->stride},
                                    .padding = {window->padding, window->padding}};
}

/* False after a failure, or when the window does not fit into the image, which is one. */
static bool window_fits(struct trib_builder *builder, const char *what, const struct trib_window *window)
{
    if (!needs_image(builder, what)) {
        return false;
    }
    struct trib_shape shape = trib_build_shape(builder);
    int64_t height = shape.dims[1] + 2 * (int64_t)window->padding;
    int64_t width = shape.dims[2] + 2 * (int64_t)window->padding;
    if (height >= window->kernel && width >= window->kernel) {
        return true;
    }
    char has[64];
    builder->status =
        trib_fail(builder->error, TRIB_MISMATCH,
                  "%s: a %d x %d window does not fit into %s; use larger images, a smaller kernel or fewer pools", what,
                  window->kernel, window->kernel, trib_shape_format(&shape, has, sizeof has));
    return false;
}

void trib_build_conv2d(struct trib_builder *builder, const char *name, const struct trib_window *window, bool bias,
                       enum trib_init_rule init)
{
    if (!window_fits(builder, "conv2d", window)) {
        return;
    }
    struct trib_shape weight_shape =
        TRIB_SHAPE(window->channels, window->kernel, window->kernel, trib_build_shape(builder).dims[3]);
    trib_value weight = variable(builder, TRIB_VALUE_PARAMETER, name, "weight", &weight_shape, init);
    /* the kernel's size is the weight's: the attribute belongs to pools */
    struct trib_attributes attributes = window_attributes(window);
    attributes.kernel[0] = attributes.kernel[1] = 0;
    append(builder, TRIB_OP_CONV2D, &attributes, &weight, 1, NULL);
    if (bias) {
        add_bias(builder, name);
    }
}

void trib_build_pool(struct trib_builder *builder, enum trib_op op, const struct trib_window *window)
{
    if (window_fits(builder, trib_op_info(op)->name, window)) {
        struct trib_attributes attributes = window_attributes(window);
        append(builder, op, &attributes, NULL, 0, NULL);
    }
}

void trib_build_global_avg_pool(struct trib_builder *builder)
{
    if (needs_image(builder, "global_avg_pool")) {
        append(builder, TRIB_OP_AVG_POOL2D, NULL, NULL, 0, NULL);
        trib_build_flatten(builder);
    }
}

void trib_build_flatten(struct trib_builder *builder)
{
    if (builder->status != TRIB_OK) {
        return;
    }
    struct trib_shape shape = trib_build_shape(builder);
    if (shape.rank == 2) {
        return;
    }
    struct trib_shape one = trib_shape_bind(&shape, 1);
    struct trib_attributes attributes = {.shape = TRIB_SHAPE(TRIB_DIM_BATCH, (int64_t)trib_shape_size(&one))};
    append(builder, TRIB_OP_RESHAPE, &attributes, NULL, 0, NULL);
}

void trib_build_activation(struct trib_builder *builder, enum trib_op op)
{
    append(builder, op, NULL, NULL, 0, NULL);
}

void trib_build_group_norm(struct trib_builder *builder, const char *name, int32_t groups, float epsilon)
{
    if (!needs_image(builder, "group_norm")) {
        return;
    }
    struct trib_shape shape = trib_build_shape(builder);
    if (groups < 1 || shape.dims[3] % groups != 0) {
        builder->status = trib_fail(builder->error, TRIB_MISMATCH,
                                    "group_norm: %lld channels do not divide into %d groups; choose a divisor",
                                    (long long)shape.dims[3], groups);
        return;
    }
    trib_value more[2];
    more[0] = per_channel(builder, TRIB_VALUE_PARAMETER, name, "weight", TRIB_INIT_ONES);
    more[1] = per_channel(builder, TRIB_VALUE_PARAMETER, name, "bias", TRIB_INIT_ZEROS);
    struct trib_attributes attributes = {.groups = groups, .epsilon = epsilon};
    append(builder, TRIB_OP_GROUP_NORM, &attributes, more, 2, NULL);
}

void trib_build_batch_norm(struct trib_builder *builder, const char *name, float epsilon, float momentum)
{
    trib_value more[4];
    more[0] = per_channel(builder, TRIB_VALUE_PARAMETER, name, "weight", TRIB_INIT_ONES);
    more[1] = per_channel(builder, TRIB_VALUE_PARAMETER, name, "bias", TRIB_INIT_ZEROS);
    more[2] = per_channel(builder, TRIB_VALUE_STATE, name, "running_mean", TRIB_INIT_ZEROS);
    more[3] = per_channel(builder, TRIB_VALUE_STATE, name, "running_var", TRIB_INIT_ONES);
    struct trib_attributes attributes = {.training = true, .epsilon = epsilon, .momentum = momentum};
    trib_value outputs[TRIB_MAX_OUTPUTS] = {0};
    append(builder, TRIB_OP_BATCH_NORM, &attributes, more, 4, outputs);
    for (int i = 0; i < 2 && builder->status == TRIB_OK; i++) {
        builder->status = trib_graph_update_state(builder->graph, more[2 + i], outputs[3 + i], builder->error);
    }
}

void trib_build_dropout(struct trib_builder *builder, float rate, uint32_t stream)
{
    struct trib_attributes attributes = {.rate = rate, .stream = stream};
    append(builder, TRIB_OP_DROPOUT, &attributes, NULL, 0, NULL);
}

void trib_build_add(struct trib_builder *builder, trib_value other)
{
    append(builder, TRIB_OP_ADD, NULL, &other, 1, NULL);
}
