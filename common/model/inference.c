/* A model's graph for evaluation. Reads one graph and makes another; any thread. */
#include "model/zoo.h"

#include "base/mem.h"

/* from[v] of the source graph is map[v] in the copy. */
struct rewrite {
    const struct trib_graph *from;
    struct trib_graph *to;
    trib_value *map;
    struct trib_error *error;
};

static enum trib_status copy_node(const struct rewrite *rewrite, const struct trib_node *node)
{
    trib_value inputs[TRIB_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        inputs[i] = rewrite->map[node->inputs[i]];
    }
    if (node->op == TRIB_OP_DROPOUT) {
        rewrite->map[node->outputs[0]] = inputs[0];
        return TRIB_OK;
    }
    struct trib_attributes attributes = node->attributes;
    if (node->op == TRIB_OP_BATCH_NORM) {
        attributes.training = false;
    }
    trib_value outputs[TRIB_MAX_OUTPUTS];
    TRIB_TRY(trib_graph_node(rewrite->to, node->op, &attributes, inputs, node->n_inputs, outputs, rewrite->error));
    for (int i = 0; i < trib_op_info(node->op)->n_outputs; i++) {
        rewrite->map[node->outputs[i]] = outputs[i];
    }
    return TRIB_OK;
}

/* Values come in order of creation, so that a node's inputs are mapped before it. */
static enum trib_status copy_value(const struct rewrite *rewrite, trib_value v)
{
    const struct trib_value_info *info = trib_graph_value(rewrite->from, v);
    trib_value *to = &rewrite->map[v];
    switch (info->kind) {
    case TRIB_VALUE_INPUT:
        return trib_graph_input(rewrite->to, info->name, info->dtype, &info->shape, to, rewrite->error);
    case TRIB_VALUE_PARAMETER:
    case TRIB_VALUE_STATE:
        return trib_graph_variable(rewrite->to, info->kind, info->name, &info->shape, info->init, to, rewrite->error);
    case TRIB_VALUE_CONSTANT:
        return trib_graph_constant(rewrite->to, info->constant, &info->shape, to, rewrite->error);
    case TRIB_VALUE_RESULT:
        return info->output == 0 ? copy_node(rewrite, trib_graph_node_at(rewrite->from, info->node)) : TRIB_OK;
    }
    return trib_fail(rewrite->error, TRIB_INTERNAL, "value %u is of unknown kind", v);
}

static enum trib_status copy_graph(const struct rewrite *rewrite)
{
    for (trib_value v = 0; v < trib_graph_n_values(rewrite->from); v++) {
        TRIB_TRY(copy_value(rewrite, v));
    }
    const struct trib_graph_output *outputs;
    size_t n = trib_graph_outputs(rewrite->from, &outputs);
    for (size_t i = 0; i < n; i++) {
        TRIB_TRY(trib_graph_set_output(rewrite->to, outputs[i].name, rewrite->map[outputs[i].value], rewrite->error));
    }
    return TRIB_OK;
}

enum trib_status trib_inference_graph(const struct trib_graph *graph, struct trib_graph **inference,
                                      struct trib_error *error)
{
    struct rewrite rewrite = {.from = graph, .to = trib_graph_new(), .error = error};
    rewrite.map = trib_calloc(trib_graph_n_values(graph), sizeof *rewrite.map);
    enum trib_status status = TRIB_NO_MEMORY;
    if (!rewrite.to || !rewrite.map) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = copy_graph(&rewrite);
    if (status == TRIB_OK) {
        *inference = rewrite.to;
        rewrite.to = NULL;
    }
out:
    trib_graph_free(rewrite.to);
    trib_free(rewrite.map);
    return status;
}
