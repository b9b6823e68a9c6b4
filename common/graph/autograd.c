/* Reverse-mode differentiation: walk the nodes backwards from the loss, apply each one's gradient rule, add up what
 * reaches a value by several paths. */
#include "graph/autograd.h"

#include "base/mem.h"
#include "graph_private.h"

struct backward {
    struct trib_graph *graph;
    trib_value *grads; /* per value of the undifferentiated graph */
    struct trib_error *error;
};

bool trib_graph_wants_gradient(const struct trib_graph *graph, trib_value value)
{
    return !graph->wants_gradient || value >= graph->n_wants || graph->wants_gradient[value];
}

/* A value wants a gradient when it is a parameter or is computed from one; integers never do. */
static void mark_wanted(const struct trib_graph *graph, uint8_t *wants)
{
    for (size_t v = 0; v < graph->n_values; v++) {
        const struct trib_value_info *info = &graph->values[v].info;
        if (info->dtype != TRIB_F32) {
            continue;
        }
        wants[v] = info->kind == TRIB_VALUE_PARAMETER;
        if (info->kind == TRIB_VALUE_RESULT) {
            const struct trib_node *node = &graph->nodes[info->node];
            for (int i = 0; i < node->n_inputs; i++) {
                wants[v] |= wants[node->inputs[i]];
            }
        }
    }
}

static enum trib_status accumulate(struct backward *backward, trib_value value, trib_value gradient)
{
    trib_value *sum = &backward->grads[value];
    if (*sum == TRIB_NO_VALUE) {
        *sum = gradient;
        return TRIB_OK;
    }
    trib_value terms[] = {*sum, gradient};
    return trib_graph_node(backward->graph, TRIB_OP_ADD, NULL, terms, 2, sum, backward->error);
}

static enum trib_status backward_node(struct backward *backward, uint32_t index)
{
    const struct trib_node node = backward->graph->nodes[index]; /* a copy: the rule moves the list */
    const struct trib_op_info *info = trib_op_info(node.op);
    trib_value out[TRIB_MAX_OUTPUTS], in[TRIB_MAX_INPUTS];
    bool reached = false, wanted = false;
    for (int i = 0; i < TRIB_MAX_OUTPUTS; i++) {
        out[i] = i < info->n_outputs ? backward->grads[node.outputs[i]] : TRIB_NO_VALUE;
        reached = reached || out[i] != TRIB_NO_VALUE;
    }
    for (int i = 0; i < TRIB_MAX_INPUTS; i++) {
        in[i] = TRIB_NO_VALUE;
        wanted = wanted || (i < node.n_inputs && trib_graph_wants_gradient(backward->graph, node.inputs[i]));
    }
    if (!reached || !wanted) {
        return TRIB_OK;
    }
    TRIB_TRY(info->gradient(backward->graph, index, out, in, backward->error));
    for (int i = 0; i < node.n_inputs; i++) {
        if (in[i] != TRIB_NO_VALUE && trib_graph_wants_gradient(backward->graph, node.inputs[i])) {
            TRIB_TRY(accumulate(backward, node.inputs[i], in[i]));
        }
    }
    return TRIB_OK;
}

static enum trib_status link_parameters(struct backward *backward, size_t n_values)
{
    struct trib_graph *graph = backward->graph;
    for (size_t v = 0; v < n_values; v++) {
        const struct trib_value_info *info = &graph->values[v].info;
        if (info->kind != TRIB_VALUE_PARAMETER) {
            continue;
        }
        trib_value gradient = backward->grads[v];
        if (gradient == TRIB_NO_VALUE) {
            struct trib_shape shape = info->shape;
            TRIB_TRY(trib_graph_constant(graph, 0, &shape, &gradient, backward->error));
        }
        TRIB_TRY(trib_graph_set_gradient(graph, (trib_value)v, gradient, backward->error));
    }
    return TRIB_OK;
}

static enum trib_status check_loss(const struct trib_graph *graph, trib_value loss, struct trib_error *error)
{
    if (loss >= graph->n_values) {
        return trib_fail(error, TRIB_INVALID, "loss: there is no value %u", loss);
    }
    const struct trib_value_info *info = &graph->values[loss].info;
    if (info->kind != TRIB_VALUE_RESULT || info->dtype != TRIB_F32 || info->shape.rank != 0) {
        return trib_fail(error, TRIB_INVALID, "loss: value %u is %s %s, expected a computed f32 scalar", loss,
                         trib_dtype_name(info->dtype), TRIB_SHOW(&info->shape));
    }
    if (graph->n_gradients > 0) {
        return trib_fail(error, TRIB_EXISTS, "the graph is differentiated already");
    }
    return TRIB_OK;
}

enum trib_status trib_autograd(struct trib_graph *graph, trib_value loss, struct trib_error *error)
{
    TRIB_TRY(check_loss(graph, loss, error));
    size_t n_values = graph->n_values, n_nodes = graph->n_nodes;
    enum trib_status status;
    uint8_t *wants = trib_calloc(n_values, sizeof *wants);
    struct backward backward = {.graph = graph, .error = error};
    backward.grads = trib_calloc(n_values, sizeof *backward.grads);
    if (!wants || !backward.grads) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    for (size_t v = 0; v < n_values; v++) {
        backward.grads[v] = TRIB_NO_VALUE;
    }
    mark_wanted(graph, wants);
    graph->wants_gradient = wants;
    graph->n_wants = n_values;
    status = trib_graph_constant(graph, 1, &TRIB_SCALAR, &backward.grads[loss], error);
    for (size_t i = n_nodes; status == TRIB_OK && i-- > 0;) {
        status = backward_node(&backward, (uint32_t)i);
    }
    if (status == TRIB_OK) {
        status = link_parameters(&backward, n_values);
    }
out:
    graph->wants_gradient = NULL;
    graph->n_wants = 0;
    trib_free(backward.grads);
    trib_free(wants);
    return status;
}
