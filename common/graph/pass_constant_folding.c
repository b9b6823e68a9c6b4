/* This pass computes what depends on constants alone, and drops arithmetic that changes nothing: + 0, * 1. A product
 * with a constant becomes a scale, and a scale of a scale one scale. */
#include "graph/pass.h"
#include "graph_private.h"

#include <math.h>

static bool is_constant(const struct trib_rewrite *rewrite, trib_value value, float *number)
{
    const struct trib_value_info *info = &rewrite->to->values[value].info;
    if (info->kind == TRIB_VALUE_CONSTANT) {
        *number = info->constant;
    }
    return info->kind == TRIB_VALUE_CONSTANT;
}

static bool same_shape(const struct trib_rewrite *rewrite, trib_value a, trib_value b)
{
    return trib_shape_equal(&rewrite->to->values[a].info.shape, &rewrite->to->values[b].info.shape);
}

/* The node's only output becomes a constant. Results that leave the numbers are left to the run. */
static enum trib_status fold(struct trib_rewrite *rewrite, uint32_t index, float number, struct trib_error *error)
{
    trib_value output = rewrite->from->nodes[index].outputs[0];
    if (!isfinite(number)) {
        return trib_rewrite_copy_node(rewrite, index, error);
    }
    return trib_graph_constant(rewrite->to, number, &rewrite->from->values[output].info.shape, &rewrite->map[output],
                               error);
}

static enum trib_status replace(struct trib_rewrite *rewrite, uint32_t index, trib_value value)
{
    rewrite->map[rewrite->from->nodes[index].outputs[0]] = value;
    return TRIB_OK;
}

/* One factor for two, unless their product underflows where the two steps would not. */
static bool join_factors(float first, float second, float *product)
{
    *product = first * second;
    return isnormal(*product) || first == 0 || second == 0;
}

static enum trib_status fold_scale(struct trib_rewrite *rewrite, uint32_t index, trib_value x, float factor,
                                   struct trib_error *error)
{
    float number, product;
    if (is_constant(rewrite, x, &number)) {
        return fold(rewrite, index, number * factor, error);
    }
    const struct trib_node *inner = trib_graph_producer(rewrite->to, x, TRIB_OP_SCALE);
    if (inner && join_factors(inner->attributes.factor, factor, &product)) {
        x = inner->inputs[0];
        factor = product;
    }
    if (factor == 1) {
        return replace(rewrite, index, x);
    }
    struct trib_attributes attributes = {.factor = factor};
    trib_value output;
    TRIB_TRY(trib_graph_node(rewrite->to, TRIB_OP_SCALE, &attributes, &x, 1, &output, error));
    return replace(rewrite, index, output);
}

static enum trib_status fold_add(struct trib_rewrite *rewrite, uint32_t index, trib_value a, trib_value b,
                                 struct trib_error *error)
{
    float left = NAN, right = NAN;
    bool left_known = is_constant(rewrite, a, &left), right_known = is_constant(rewrite, b, &right);
    if (left_known && right_known) {
        return fold(rewrite, index, left + right, error);
    }
    if (right_known && right == 0) {
        return replace(rewrite, index, a);
    }
    if (left_known && left == 0 && same_shape(rewrite, a, b)) {
        return replace(rewrite, index, b);
    }
    return trib_rewrite_copy_node(rewrite, index, error);
}

static enum trib_status fold_mul(struct trib_rewrite *rewrite, uint32_t index, trib_value a, trib_value b,
                                 struct trib_error *error)
{
    float factor;
    if (is_constant(rewrite, b, &factor)) {
        return fold_scale(rewrite, index, a, factor, error);
    }
    if (is_constant(rewrite, a, &factor) && same_shape(rewrite, a, b)) {
        return fold_scale(rewrite, index, b, factor, error);
    }
    return trib_rewrite_copy_node(rewrite, index, error);
}

static enum trib_status fold_node(struct trib_rewrite *rewrite, uint32_t index, struct trib_error *error)
{
    const struct trib_node *node = &rewrite->from->nodes[index];
    trib_value x = rewrite->map[node->inputs[0]];
    float number;
    switch (node->op) {
    case TRIB_OP_ADD:
        return fold_add(rewrite, index, x, rewrite->map[node->inputs[1]], error);
    case TRIB_OP_MUL:
        return fold_mul(rewrite, index, x, rewrite->map[node->inputs[1]], error);
    case TRIB_OP_SCALE:
        return fold_scale(rewrite, index, x, node->attributes.factor, error);
    case TRIB_OP_RELU:
        if (is_constant(rewrite, x, &number)) {
            return fold(rewrite, index, number > 0 ? number : 0, error);
        }
        break;
    case TRIB_OP_RESHAPE:
        if (is_constant(rewrite, x, &number)) {
            return fold(rewrite, index, number, error);
        }
        break;
    default:
        break;
    }
    return trib_rewrite_copy_node(rewrite, index, error);
}

static enum trib_status run(const struct trib_graph *graph, struct trib_graph **result, struct trib_error *error)
{
    static const struct trib_rewrite_rules rules = {.node = fold_node};
    return trib_graph_rewrite(graph, &rules, NULL, result, error);
}

const struct trib_pass trib_pass_constant_folding = {
    .name = "constant-folding",
    .help = "compute what depends on constants alone; drop + 0 and * 1",
    .run = run,
};
