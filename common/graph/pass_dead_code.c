/* This pass drops nodes and constants that no output, gradient or state update depends on. Inputs, parameters and
 * states stay: they are the model's layout, used or not. */
#include "base/mem.h"
#include "graph/pass.h"
#include "graph_private.h"

static enum trib_status keep_node(struct trib_rewrite *rewrite, uint32_t index, struct trib_error *error)
{
    const uint8_t *needed = rewrite->context;
    const struct trib_node *node = &rewrite->from->nodes[index];
    for (int i = 0; i < trib_op_info(node->op)->n_outputs; i++) {
        if (needed[node->outputs[i]]) {
            return trib_rewrite_copy_node(rewrite, index, error);
        }
    }
    return TRIB_OK;
}

static enum trib_status keep_constant(struct trib_rewrite *rewrite, trib_value constant, struct trib_error *error)
{
    const uint8_t *needed = rewrite->context;
    return needed[constant] ? trib_rewrite_copy_constant(rewrite, constant, error) : TRIB_OK;
}

static enum trib_status run(const struct trib_graph *graph, struct trib_graph **result, struct trib_error *error)
{
    static const struct trib_rewrite_rules rules = {.node = keep_node, .constant = keep_constant};
    uint8_t *needed = trib_calloc(graph->n_values, sizeof *needed);
    if (!needed) {
        return trib_fail_no_memory(error);
    }
    trib_graph_mark_needed(graph, needed);
    enum trib_status status = trib_graph_rewrite(graph, &rules, needed, result, error);
    trib_free(needed);
    return status;
}

const struct trib_pass trib_pass_dead_code = {
    .name = "dead-code",
    .help = "drop what no output, gradient or state update depends on",
    .run = run,
};
