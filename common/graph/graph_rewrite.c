/* The walk on which the passes are built, and what they ask about a graph. */
#include "base/mem.h"
#include "graph_private.h"

void trib_graph_mark_needed(const struct trib_graph *graph, uint8_t *needed)
{
    for (size_t i = 0; i < graph->n_outputs; i++) {
        needed[graph->outputs[i].value] = 1;
    }
    for (size_t i = 0; i < graph->n_updates; i++) {
        needed[graph->updates[i].from] = 1;
    }
    for (size_t i = 0; i < graph->n_gradients; i++) {
        needed[graph->gradients[i].from] = 1;
    }
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const struct trib_node *node = &graph->nodes[i];
        bool used = false;
        for (int k = 0; k < trib_op_info(node->op)->n_outputs; k++) {
            used = used || needed[node->outputs[k]];
        }
        for (int k = 0; used && k < node->n_inputs; k++) {
            needed[node->inputs[k]] = 1;
        }
    }
    for (size_t v = 0; v < graph->n_values; v++) {
        enum trib_value_kind kind = graph->values[v].info.kind;
        if (kind != TRIB_VALUE_RESULT && kind != TRIB_VALUE_CONSTANT) {
            needed[v] = 1;
        }
    }
}

void trib_graph_count_readers(const struct trib_graph *graph, uint32_t *readers)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        for (int k = 0; k < graph->nodes[i].n_inputs; k++) {
            readers[graph->nodes[i].inputs[k]]++;
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        readers[graph->outputs[i].value]++;
    }
    for (size_t i = 0; i < graph->n_updates; i++) {
        readers[graph->updates[i].from]++;
    }
    for (size_t i = 0; i < graph->n_gradients; i++) {
        readers[graph->gradients[i].from]++;
    }
}

const struct trib_node *trib_graph_producer(const struct trib_graph *graph, trib_value value, enum trib_op op)
{
    const struct trib_value_info *info = &graph->values[value].info;
    if (info->kind != TRIB_VALUE_RESULT || info->output != 0 || graph->nodes[info->node].op != op) {
        return NULL;
    }
    return &graph->nodes[info->node];
}

enum trib_status trib_rewrite_copy_node(struct trib_rewrite *rewrite, uint32_t index, struct trib_error *error)
{
    const struct trib_node *node = &rewrite->from->nodes[index];
    trib_value inputs[TRIB_MAX_INPUTS], outputs[TRIB_MAX_OUTPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        inputs[i] = rewrite->map[node->inputs[i]];
    }
    TRIB_TRY(trib_graph_node(rewrite->to, node->op, &node->attributes, inputs, node->n_inputs, outputs, error));
    for (int i = 0; i < trib_op_info(node->op)->n_outputs; i++) {
        rewrite->map[node->outputs[i]] = outputs[i];
    }
    return TRIB_OK;
}

enum trib_status trib_rewrite_copy_constant(struct trib_rewrite *rewrite, trib_value constant, struct trib_error *error)
{
    const struct trib_value_info *info = &rewrite->from->values[constant].info;
    return trib_graph_constant(rewrite->to, info->constant, &info->shape, &rewrite->map[constant], error);
}

static enum trib_status rewrite_value(struct trib_rewrite *rewrite, const struct trib_rewrite_rules *rules,
                                      trib_value value, struct trib_error *error)
{
    const struct trib_value_info *info = &rewrite->from->values[value].info;
    switch (info->kind) {
    case TRIB_VALUE_INPUT:
        return trib_graph_input(rewrite->to, info->name, info->dtype, &info->shape, &rewrite->map[value], error);
    case TRIB_VALUE_PARAMETER:
    case TRIB_VALUE_STATE:
        return trib_graph_variable(rewrite->to, info->kind, info->name, &info->shape, info->init, &rewrite->map[value],
                                   error);
    case TRIB_VALUE_CONSTANT:
        return (rules->constant ? rules->constant : trib_rewrite_copy_constant)(rewrite, value, error);
    default:
        /* A node's outputs are numbered together: the first stands for the node. */
        return info->output > 0 ? TRIB_OK
                                : (rules->node ? rules->node : trib_rewrite_copy_node)(rewrite, info->node, error);
    }
}

static enum trib_status rewrite_links(struct trib_rewrite *rewrite, struct trib_error *error)
{
    const struct trib_graph *from = rewrite->from;
    const trib_value *map = rewrite->map;
    for (size_t i = 0; i < from->n_outputs; i++) {
        const struct trib_graph_output *output = &from->outputs[i];
        TRIB_TRY(trib_graph_set_output(rewrite->to, output->name, map[output->value], error));
    }
    for (size_t i = 0; i < from->n_updates; i++) {
        const struct trib_graph_link *link = &from->updates[i];
        TRIB_TRY(trib_graph_update_state(rewrite->to, map[link->state], map[link->from], error));
    }
    for (size_t i = 0; i < from->n_gradients; i++) {
        const struct trib_graph_link *link = &from->gradients[i];
        TRIB_TRY(trib_graph_set_gradient(rewrite->to, map[link->state], map[link->from], error));
    }
    return TRIB_OK;
}

enum trib_status trib_graph_rewrite(const struct trib_graph *graph, const struct trib_rewrite_rules *rules,
                                    void *context, struct trib_graph **result, struct trib_error *error)
{
    struct trib_rewrite rewrite = {.from = graph, .to = trib_graph_new(), .context = context};
    rewrite.map = trib_calloc(graph->n_values, sizeof *rewrite.map);
    enum trib_status status = rewrite.to && rewrite.map ? TRIB_OK : trib_fail_no_memory(error);
    for (size_t v = 0; status == TRIB_OK && v < graph->n_values; v++) {
        rewrite.map[v] = TRIB_NO_VALUE;
    }
    for (size_t v = 0; status == TRIB_OK && v < graph->n_values; v++) {
        /* A rule may have mapped a later output of a node; those are visited with the first. */
        status = rewrite_value(&rewrite, rules, (trib_value)v, error);
    }
    if (status == TRIB_OK) {
        status = rewrite_links(&rewrite, error);
    }
    trib_free(rewrite.map);
    if (status != TRIB_OK) {
        trib_graph_free(rewrite.to);
        return status;
    }
    *result = rewrite.to;
    return TRIB_OK;
}
