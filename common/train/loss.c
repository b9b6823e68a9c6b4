/* Losses: names, their nodes, and whether a dataset suits them. Any thread. */
#include "loss.h"

#include <math.h>

static const struct loss_row {
    const char *name;
    enum trib_op op;
    bool labels; /* of int32, else targets of float */
} losses[TRIB_LOSS_COUNT] = {
    [TRIB_LOSS_CROSS_ENTROPY] = {.name = "cross_entropy", .op = TRIB_OP_SOFTMAX_CROSS_ENTROPY, .labels = true},
    [TRIB_LOSS_MSE] = {.name = "mse", .op = TRIB_OP_MSE},
};

const char *trib_loss_name(enum trib_loss loss)
{
    return (unsigned)loss < TRIB_LOSS_COUNT ? losses[loss].name : "unknown";
}

enum trib_status trib_loss_find_logits(const struct trib_graph *graph, trib_value *value, struct trib_error *error)
{
    if (trib_graph_find_output(graph, "logits", value) || trib_graph_find_output(graph, "prediction", value)) {
        return TRIB_OK;
    }
    return trib_fail(error, TRIB_INVALID, "the model has no output \"logits\" or \"prediction\"");
}

enum trib_status trib_loss_attach(struct trib_graph *graph, enum trib_loss loss, trib_value *value,
                                  struct trib_error *error)
{
    trib_value inputs[2] = {TRIB_NO_VALUE, TRIB_NO_VALUE};
    TRIB_TRY(trib_loss_find_logits(graph, &inputs[0], error));
    struct trib_shape shape = trib_graph_value(graph, inputs[0])->shape;
    if (shape.rank != 2 || shape.dims[0] != TRIB_DIM_BATCH) {
        char has[96];
        return trib_fail(error, TRIB_MISMATCH, "the model ends with %s; a loss takes [batch, width]",
                         trib_shape_format(&shape, has, sizeof has));
    }
    enum trib_dtype dtype = TRIB_F32;
    if (losses[loss].labels) {
        dtype = TRIB_I32;
        shape.rank = 1;
    }
    TRIB_TRY(trib_graph_input(graph, "y", dtype, &shape, &inputs[1], error));
    trib_value outputs[TRIB_MAX_OUTPUTS];
    TRIB_TRY(trib_graph_node(graph, losses[loss].op, NULL, inputs, 2, outputs, error));
    TRIB_TRY(trib_graph_set_output(graph, "loss", outputs[0], error));
    *value = outputs[0];
    return TRIB_OK;
}

/* Row-major examples that differ only by dimensions of 1 are the same numbers in the same order. */
static struct trib_shape without_ones(const struct trib_shape *shape)
{
    struct trib_shape kept = TRIB_SCALAR;
    for (int d = 0; d < shape->rank; d++) {
        if (shape->dims[d] != 1) {
            kept.dims[kept.rank++] = shape->dims[d];
        }
    }
    return kept;
}

/* So are a table's row and an image of one channel; with colours, nobody knows the order in which a row has them. */
static bool examples_fit(const struct trib_shape *model, const struct trib_shape *data)
{
    struct trib_shape a = without_ones(model), b = without_ones(data);
    bool grey = model->rank < 3 || model->dims[model->rank - 1] == 1;
    bool flat = a.rank <= 1 || (b.rank <= 1 && grey);
    return trib_shape_equal(&a, &b) || (flat && trib_shape_size(&a) == trib_shape_size(&b));
}

static enum trib_status check_examples(const struct trib_graph *graph, const struct trib_dataset *dataset,
                                       struct trib_error *error)
{
    trib_value x;
    if (!trib_graph_find(graph, "x", &x) || trib_graph_value(graph, x)->kind != TRIB_VALUE_INPUT) {
        return trib_fail(error, TRIB_INVALID, "the model has no input \"x\"");
    }
    const struct trib_value_info *info = trib_graph_value(graph, x);
    if (info->dtype != TRIB_F32 || info->shape.rank < 2 || info->shape.dims[0] != TRIB_DIM_BATCH) {
        char has[96];
        return trib_fail(error, TRIB_INVALID,
                         "the model's input \"x\" is %s %s where float [batch, example...] is needed",
                         trib_dtype_name(info->dtype), trib_shape_format(&info->shape, has, sizeof has));
    }
    struct trib_shape example = {.rank = info->shape.rank - 1};
    for (int d = 0; d < example.rank; d++) {
        example.dims[d] = info->shape.dims[d + 1];
    }
    if (!examples_fit(&example, &dataset->example)) {
        char wants[96], has[96];
        return trib_fail(error, TRIB_MISMATCH,
                         "the model takes examples of %s, but the dataset's are %s; give the dataset that this model "
                         "is meant for",
                         trib_shape_format(&example, wants, sizeof wants),
                         trib_shape_format(&dataset->example, has, sizeof has));
    }
    return TRIB_OK;
}

enum trib_status trib_loss_check_dataset(const struct trib_graph *graph, enum trib_loss loss,
                                         const struct trib_dataset *dataset, struct trib_error *error)
{
    if (dataset->n == 0) {
        return trib_fail(error, TRIB_INVALID, "the dataset has no examples");
    }
    TRIB_TRY(check_examples(graph, dataset, error));
    trib_value logits = TRIB_NO_VALUE;
    TRIB_TRY(trib_loss_find_logits(graph, &logits, error));
    struct trib_shape shape = trib_graph_value(graph, logits)->shape;
    int64_t width = shape.rank > 0 ? shape.dims[shape.rank - 1] : 1;
    if (losses[loss].labels && !dataset->labels) {
        return trib_fail(error, TRIB_MISMATCH,
                         "the loss %s needs labels, and the dataset has float targets; use the loss mse, or read the "
                         "dataset without regression",
                         losses[loss].name);
    }
    if (losses[loss].labels && dataset->classes > width) {
        return trib_fail(error, TRIB_MISMATCH,
                         "the dataset has %d classes, but the model tells %lld apart; give the dataset that this model "
                         "is meant for, or a model with as many classes",
                         (int)dataset->classes, (long long)width);
    }
    if (!losses[loss].labels && !dataset->targets) {
        return trib_fail(error, TRIB_MISMATCH,
                         "the loss %s needs float targets, and the dataset has labels; use the loss cross_entropy, or "
                         "read the dataset as regression",
                         losses[loss].name);
    }
    if (!losses[loss].labels && width != 1) {
        return trib_fail(error, TRIB_MISMATCH,
                         "the dataset has one target an example, but the model gives %lld numbers; use a model of 1",
                         (long long)width);
    }
    return TRIB_OK;
}

struct trib_hits trib_loss_hits(const float *logits, const int32_t *labels, size_t n, size_t classes)
{
    struct trib_hits hits = {0};
    for (size_t i = 0; i < n; i++) {
        const float *row = logits + i * classes;
        if (labels[i] < 0) {
            continue;
        }
        float best = -INFINITY;
        size_t at = SIZE_MAX;
        for (size_t c = 0; c < classes; c++) {
            if (row[c] > best) {
                best = row[c];
                at = c;
            }
        }
        hits.counted++;
        hits.correct += at == (size_t)labels[i] ? 1 : 0;
    }
    return hits;
}
