/* Gradient rules: for y = op(inputs), append the nodes that turn dy = d(loss)/dy into d(loss)/d(input).
 *
 * A rule copies the node before it appends (appending moves the node list), skips inputs that want no gradient, and
 * is built of the operators in op.def alone, so that a backend needs no code for it. */
#include "graph_private.h"

#include <stddef.h>

/* What every rule starts from. */
struct rule {
    struct trib_graph *graph;
    struct trib_node node;
    trib_value dy; /* gradient of the first output */
    trib_value *input_grads;
    struct trib_error *error;
};

static enum trib_status begin(struct rule *rule, struct trib_graph *graph, uint32_t node, const trib_value *grads,
                              trib_value *input_grads, struct trib_error *error)
{
    *rule = (struct rule){
        .graph = graph, .node = graph->nodes[node], .dy = grads[0], .input_grads = input_grads, .error = error};
    const struct trib_op_info *info = trib_op_info(rule->node.op);
    for (int i = 1; i < info->n_outputs; i++) {
        if (grads[i] != TRIB_NO_VALUE) {
            return trib_fail(error, TRIB_UNSUPPORTED, "%s: no gradient through output %d, only through the first",
                             info->name, i);
        }
    }
    return TRIB_OK;
}

static bool wanted(const struct rule *rule, int input)
{
    return input < rule->node.n_inputs && trib_graph_wants_gradient(rule->graph, rule->node.inputs[input]);
}

static struct trib_shape shape_of(const struct rule *rule, trib_value value)
{
    return rule->graph->values[value].info.shape;
}

static enum trib_status unary(struct rule *rule, enum trib_op op, const struct trib_attributes *attributes,
                              trib_value a, trib_value *result)
{
    return trib_graph_node(rule->graph, op, attributes, &a, 1, result, rule->error);
}

static enum trib_status binary(struct rule *rule, enum trib_op op, const struct trib_attributes *attributes,
                               trib_value a, trib_value b, trib_value *result)
{
    return trib_graph_node(rule->graph, op, attributes, (trib_value[]){a, b}, 2, result, rule->error);
}

/* Sum over what was broadcast; `value` itself when nothing was. */
static enum trib_status reduce(struct rule *rule, trib_value value, const struct trib_shape *shape, trib_value *result)
{
    struct trib_shape from = shape_of(rule, value);
    if (trib_shape_equal(&from, shape)) {
        *result = value;
        return TRIB_OK;
    }
    return unary(rule, TRIB_OP_REDUCE_TO, &(struct trib_attributes){.shape = *shape}, value, result);
}

static enum trib_status not_differentiable(const struct trib_graph *graph, uint32_t node, struct trib_error *error)
{
    return trib_fail(error, TRIB_UNSUPPORTED, "%s: has no gradient of its own",
                     trib_op_info(graph->nodes[node].op)->name);
}

/* ---- products ---- */

/* y = op(a) op(b): da = dy op(b)^T or its transpose, db = op(a)^T dy or its transpose */
enum trib_status trib_grad_matmul(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                  trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    trib_value a = rule.node.inputs[0], b = rule.node.inputs[1];
    bool ta = rule.node.attributes.transpose_a, tb = rule.node.attributes.transpose_b;
    if (wanted(&rule, 0)) {
        struct trib_attributes straight = {.transpose_b = !tb}, turned = {.transpose_a = tb, .transpose_b = true};
        TRIB_TRY(ta ? binary(&rule, TRIB_OP_MATMUL, &turned, b, rule.dy, &input_grads[0])
                    : binary(&rule, TRIB_OP_MATMUL, &straight, rule.dy, b, &input_grads[0]));
    }
    if (wanted(&rule, 1)) {
        struct trib_attributes straight = {.transpose_a = !ta}, turned = {.transpose_a = true, .transpose_b = ta};
        TRIB_TRY(tb ? binary(&rule, TRIB_OP_MATMUL, &turned, rule.dy, a, &input_grads[1])
                    : binary(&rule, TRIB_OP_MATMUL, &straight, a, rule.dy, &input_grads[1]));
    }
    return TRIB_OK;
}

/* The gradient before a fused activation, from the one after it and the output y. */
static enum trib_status through_activation(struct rule *rule)
{
    trib_value y = rule->node.outputs[0];
    switch (rule->node.attributes.activation) {
    case TRIB_ACTIVATION_NONE:
        return TRIB_OK;
    case TRIB_ACTIVATION_RELU:
        return binary(rule, TRIB_OP_RELU_GRAD, NULL, rule->dy, y, &rule->dy);
    case TRIB_ACTIVATION_TANH:
        return binary(rule, TRIB_OP_TANH_GRAD, NULL, rule->dy, y, &rule->dy);
    case TRIB_ACTIVATION_SIGMOID:
        return binary(rule, TRIB_OP_SIGMOID_GRAD, NULL, rule->dy, y, &rule->dy);
    default:
        return trib_fail(rule->error, TRIB_UNSUPPORTED,
                         "%s: no gradient through a fused %s, which needs its input; differentiate before fusion",
                         trib_op_info(rule->node.op)->name, trib_activation_name(rule->node.attributes.activation));
    }
}

/* y = f(x w^T + bias): with g = dy f', dx = g w, dw = g^T x, dbias = column sums of g */
enum trib_status trib_grad_linear(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                  trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    TRIB_TRY(through_activation(&rule));
    trib_value x = rule.node.inputs[0], w = rule.node.inputs[1];
    if (wanted(&rule, 2)) {
        struct trib_shape bias = shape_of(&rule, rule.node.inputs[2]);
        TRIB_TRY(reduce(&rule, rule.dy, &bias, &input_grads[2]));
    }
    if (wanted(&rule, 1)) {
        TRIB_TRY(
            binary(&rule, TRIB_OP_MATMUL, &(struct trib_attributes){.transpose_a = true}, rule.dy, x, &input_grads[1]));
    }
    return wanted(&rule, 0) ? binary(&rule, TRIB_OP_MATMUL, NULL, rule.dy, w, &input_grads[0]) : TRIB_OK;
}

enum trib_status trib_grad_conv2d(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                  trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    TRIB_TRY(through_activation(&rule));
    trib_value x = rule.node.inputs[0], w = rule.node.inputs[1];
    struct trib_attributes attributes = rule.node.attributes;
    if (wanted(&rule, 2)) {
        struct trib_shape bias = shape_of(&rule, rule.node.inputs[2]);
        TRIB_TRY(reduce(&rule, rule.dy, &bias, &input_grads[2]));
    }
    if (wanted(&rule, 1)) {
        attributes.shape = shape_of(&rule, w);
        TRIB_TRY(binary(&rule, TRIB_OP_CONV2D_GRAD_WEIGHT, &attributes, rule.dy, x, &input_grads[1]));
    }
    if (wanted(&rule, 0)) {
        attributes.shape = shape_of(&rule, x);
        TRIB_TRY(binary(&rule, TRIB_OP_CONV2D_GRAD_INPUT, &attributes, rule.dy, w, &input_grads[0]));
    }
    return TRIB_OK;
}

/* ---- pooling ---- */

enum trib_status trib_grad_max_pool2d(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                      trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    struct trib_attributes attributes = rule.node.attributes;
    attributes.shape = shape_of(&rule, rule.node.inputs[0]);
    return binary(&rule, TRIB_OP_MAX_POOL2D_GRAD, &attributes, rule.dy, rule.node.outputs[1], &input_grads[0]);
}

enum trib_status trib_grad_avg_pool2d(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                      trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    struct trib_attributes attributes = rule.node.attributes;
    attributes.shape = shape_of(&rule, rule.node.inputs[0]);
    return unary(&rule, TRIB_OP_AVG_POOL2D_GRAD, &attributes, rule.dy, &input_grads[0]);
}

/* ---- activations: those that can use their output, so that the input's buffer is free early ---- */

enum trib_status trib_grad_relu(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return binary(&rule, TRIB_OP_RELU_GRAD, NULL, rule.dy, rule.node.outputs[0], &input_grads[0]);
}

enum trib_status trib_grad_tanh(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return binary(&rule, TRIB_OP_TANH_GRAD, NULL, rule.dy, rule.node.outputs[0], &input_grads[0]);
}

enum trib_status trib_grad_sigmoid(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                   trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return binary(&rule, TRIB_OP_SIGMOID_GRAD, NULL, rule.dy, rule.node.outputs[0], &input_grads[0]);
}

enum trib_status trib_grad_gelu(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return binary(&rule, TRIB_OP_GELU_GRAD, NULL, rule.dy, rule.node.inputs[0], &input_grads[0]);
}

/* ---- normalisation ---- */

static enum trib_status norm_grad(struct rule *rule, enum trib_op op)
{
    const struct trib_node *node = &rule->node;
    trib_value inputs[] = {rule->dy, node->inputs[0], node->inputs[1], node->outputs[1], node->outputs[2]};
    trib_value outputs[3];
    TRIB_TRY(trib_graph_node(rule->graph, op, &node->attributes, inputs, 5, outputs, rule->error));
    for (int i = 0; i < 3; i++) {
        rule->input_grads[i] = wanted(rule, i) ? outputs[i] : TRIB_NO_VALUE;
    }
    return TRIB_OK;
}

/* With fixed statistics, y = (x - mean) s gamma + beta:
 * dx = dy s gamma, dgamma = s (sum(dy x) - mean sum(dy)), dbeta = sum(dy), sums over all rows. */
static enum trib_status fixed_norm_grad(struct rule *rule)
{
    const struct trib_node *node = &rule->node;
    trib_value x = node->inputs[0], gamma = node->inputs[1], mean = node->outputs[1], s = node->outputs[2];
    trib_value sum_dy = TRIB_NO_VALUE, a, b;
    struct trib_shape channels = shape_of(rule, gamma);
    if (wanted(rule, 1) || wanted(rule, 2)) {
        TRIB_TRY(reduce(rule, rule->dy, &channels, &sum_dy));
        rule->input_grads[2] = wanted(rule, 2) ? sum_dy : TRIB_NO_VALUE;
    }
    if (wanted(rule, 1)) {
        TRIB_TRY(binary(rule, TRIB_OP_MUL, NULL, rule->dy, x, &a));
        TRIB_TRY(reduce(rule, a, &channels, &a));
        TRIB_TRY(binary(rule, TRIB_OP_MUL, NULL, mean, sum_dy, &b));
        TRIB_TRY(unary(rule, TRIB_OP_SCALE, &(struct trib_attributes){.factor = -1}, b, &b));
        TRIB_TRY(binary(rule, TRIB_OP_ADD, NULL, a, b, &a));
        TRIB_TRY(binary(rule, TRIB_OP_MUL, NULL, a, s, &rule->input_grads[1]));
    }
    if (wanted(rule, 0)) {
        TRIB_TRY(binary(rule, TRIB_OP_MUL, NULL, gamma, s, &a));
        TRIB_TRY(binary(rule, TRIB_OP_MUL, NULL, rule->dy, a, &rule->input_grads[0]));
    }
    return TRIB_OK;
}

enum trib_status trib_grad_batch_norm(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                      trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    if (rule.node.attributes.training) {
        return norm_grad(&rule, TRIB_OP_BATCH_NORM_GRAD);
    }
    if (wanted(&rule, 3) || wanted(&rule, 4)) {
        return trib_fail(error, TRIB_UNSUPPORTED, "batch_norm: no gradient for the running statistics");
    }
    return fixed_norm_grad(&rule);
}

enum trib_status trib_grad_group_norm(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                      trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return norm_grad(&rule, TRIB_OP_GROUP_NORM_GRAD);
}

/* ---- arithmetic ---- */

enum trib_status trib_grad_add(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                               trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    struct trib_shape b = shape_of(&rule, rule.node.inputs[1]);
    input_grads[0] = wanted(&rule, 0) ? rule.dy : TRIB_NO_VALUE;
    return wanted(&rule, 1) ? reduce(&rule, rule.dy, &b, &input_grads[1]) : TRIB_OK;
}

enum trib_status trib_grad_mul(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                               trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    trib_value a = rule.node.inputs[0], b = rule.node.inputs[1], product;
    struct trib_shape b_shape = shape_of(&rule, b);
    if (wanted(&rule, 0)) {
        TRIB_TRY(binary(&rule, TRIB_OP_MUL, NULL, rule.dy, b, &input_grads[0]));
    }
    if (wanted(&rule, 1)) {
        TRIB_TRY(binary(&rule, TRIB_OP_MUL, NULL, rule.dy, a, &product));
        TRIB_TRY(reduce(&rule, product, &b_shape, &input_grads[1]));
    }
    return TRIB_OK;
}

enum trib_status trib_grad_scale(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                 trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return unary(&rule, TRIB_OP_SCALE, &rule.node.attributes, rule.dy, &input_grads[0]);
}

enum trib_status trib_grad_reshape(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                   trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    struct trib_attributes back = {.shape = shape_of(&rule, rule.node.inputs[0])};
    return unary(&rule, TRIB_OP_RESHAPE, &back, rule.dy, &input_grads[0]);
}

/* The mask is a function of the attributes and the element's index: the same node on dy applies it again. */
enum trib_status trib_grad_dropout(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                   trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    return unary(&rule, TRIB_OP_DROPOUT, &rule.node.attributes, rule.dy, &input_grads[0]);
}

/* A sum's gradient is dy for every term: spread over zeros of x's shape. */
enum trib_status trib_grad_reduce_to(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                     trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    struct trib_shape x = shape_of(&rule, rule.node.inputs[0]);
    trib_value zeros;
    TRIB_TRY(trib_graph_constant(graph, 0, &x, &zeros, error));
    return binary(&rule, TRIB_OP_ADD, NULL, zeros, rule.dy, &input_grads[0]);
}

/* ---- losses ---- */

enum trib_status trib_grad_softmax_cross_entropy(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                                                 trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    trib_value inputs[] = {rule.dy, rule.node.outputs[1], rule.node.inputs[1]};
    return trib_graph_node(graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY_GRAD, NULL, inputs, 3, &input_grads[0], error);
}

enum trib_status trib_grad_mse(struct trib_graph *graph, uint32_t node, const trib_value *grads,
                               trib_value *input_grads, struct trib_error *error)
{
    struct rule rule;
    TRIB_TRY(begin(&rule, graph, node, grads, input_grads, error));
    for (int i = 0; i < 2; i++) {
        /* The loss is symmetric: the target's gradient is that of the prediction with both exchanged. */
        trib_value inputs[] = {rule.dy, rule.node.inputs[i], rule.node.inputs[1 - i]};
        if (wanted(&rule, i)) {
            TRIB_TRY(trib_graph_node(graph, TRIB_OP_MSE_GRAD, NULL, inputs, 3, &input_grads[i], error));
        }
    }
    return TRIB_OK;
}

/* ---- operators that exist for gradients only ---- */

#define NOT_DIFFERENTIABLE(name)                                                                                       \
    enum trib_status trib_grad_##name(struct trib_graph *graph, uint32_t node, const trib_value *grads,                \
                                      trib_value *input_grads, struct trib_error *error)                               \
    {                                                                                                                  \
        (void)grads;                                                                                                   \
        (void)input_grads;                                                                                             \
        return not_differentiable(graph, node, error);                                                                 \
    }

NOT_DIFFERENTIABLE(relu_grad)
NOT_DIFFERENTIABLE(tanh_grad)
NOT_DIFFERENTIABLE(sigmoid_grad)
NOT_DIFFERENTIABLE(gelu_grad)
NOT_DIFFERENTIABLE(conv2d_grad_input)
NOT_DIFFERENTIABLE(conv2d_grad_weight)
NOT_DIFFERENTIABLE(max_pool2d_grad)
NOT_DIFFERENTIABLE(avg_pool2d_grad)
NOT_DIFFERENTIABLE(batch_norm_grad)
NOT_DIFFERENTIABLE(group_norm_grad)
NOT_DIFFERENTIABLE(softmax_cross_entropy_grad)
NOT_DIFFERENTIABLE(mse_grad)
