/* Graphs as text, for people and for the traces of the passes; and comparing two graphs. */
#include "graph_private.h"

#include <inttypes.h>
#include <string.h>

static const char *const init_names[TRIB_INIT_COUNT] = {
    [TRIB_INIT_ZEROS] = "zeros",
    [TRIB_INIT_ONES] = "ones",
    [TRIB_INIT_HE_UNIFORM] = "he_uniform",
    [TRIB_INIT_GLOROT_UNIFORM] = "glorot_uniform",
};

enum trib_status trib_graph_print_value(const struct trib_graph *graph, trib_value value, struct trib_buf *text)
{
    const struct trib_value_info *info = &graph->values[value].info;
    return info->name[0] != '\0' ? trib_buf_printf(text, "%%%s", info->name)
                                 : trib_buf_printf(text, "%%%" PRIu32, value);
}

static enum trib_status print_pair(struct trib_buf *text, const char *name, const int32_t pair[2])
{
    return pair[0] == 0 && pair[1] == 0 ? TRIB_OK
                                        : trib_buf_printf(text, " %s=%" PRId32 "x%" PRId32, name, pair[0], pair[1]);
}

static enum trib_status print_number(struct trib_buf *text, const char *name, float number, bool used)
{
    return used ? trib_buf_printf(text, " %s=%g", name, (double)number) : TRIB_OK;
}

static enum trib_status print_attributes(const struct trib_node *node, struct trib_buf *text)
{
    const struct trib_attributes *at = &node->attributes;
    unsigned uses = trib_op_uses(node->op);
    if (at->activation != TRIB_ACTIVATION_NONE) {
        TRIB_TRY(trib_buf_printf(text, " activation=%s", trib_activation_name(at->activation)));
    }
    TRIB_TRY(trib_buf_add_text(text, at->transpose_a ? " transpose_a" : ""));
    TRIB_TRY(trib_buf_add_text(text, at->transpose_b ? " transpose_b" : ""));
    TRIB_TRY(trib_buf_add_text(text, at->training ? " training" : ""));
    TRIB_TRY(print_pair(text, "kernel", at->kernel));
    TRIB_TRY(print_pair(text, "stride", at->stride));
    TRIB_TRY(print_pair(text, "padding", at->padding));
    if (uses & TRIB_USES_GROUPS) {
        TRIB_TRY(trib_buf_printf(text, " groups=%" PRId32, at->groups));
    }
    if (uses & TRIB_USES_STREAM) {
        TRIB_TRY(trib_buf_printf(text, " stream=%" PRIu32, at->stream));
    }
    TRIB_TRY(print_number(text, "epsilon", at->epsilon, uses & TRIB_USES_EPSILON));
    TRIB_TRY(print_number(text, "momentum", at->momentum, uses & TRIB_USES_MOMENTUM));
    TRIB_TRY(print_number(text, "factor", at->factor, uses & TRIB_USES_FACTOR));
    return print_number(text, "rate", at->rate, uses & TRIB_USES_RATE);
}

/* The attribute shape is not printed: it is the shape of the first output. */
enum trib_status trib_graph_print_node(const struct trib_graph *graph, uint32_t index, struct trib_buf *text)
{
    const struct trib_node *node = &graph->nodes[index];
    const struct trib_op_info *info = trib_op_info(node->op);
    for (int i = 0; i < info->n_outputs; i++) {
        TRIB_TRY(trib_buf_add_text(text, i > 0 ? ", " : ""));
        TRIB_TRY(trib_graph_print_value(graph, node->outputs[i], text));
    }
    for (int i = 0; i < info->n_outputs; i++) {
        const struct trib_value_info *output = &graph->values[node->outputs[i]].info;
        TRIB_TRY(trib_buf_printf(text, "%s%s", i > 0 ? ", " : ": ", TRIB_SHOW(&output->shape)));
    }
    TRIB_TRY(trib_buf_printf(text, " = %s(", info->name));
    for (int i = 0; i < node->n_inputs; i++) {
        TRIB_TRY(trib_buf_add_text(text, i > 0 ? ", " : ""));
        TRIB_TRY(trib_graph_print_value(graph, node->inputs[i], text));
    }
    TRIB_TRY(trib_buf_add_text(text, ")"));
    return print_attributes(node, text);
}

static enum trib_status print_leaf(const struct trib_graph *graph, trib_value value, struct trib_buf *text)
{
    const struct trib_value_info *info = &graph->values[value].info;
    TRIB_TRY(trib_graph_print_value(graph, value, text));
    TRIB_TRY(trib_buf_printf(text, ": %s = ", TRIB_SHOW(&info->shape)));
    switch (info->kind) {
    case TRIB_VALUE_INPUT:
        return trib_buf_printf(text, "input %s\n", trib_dtype_name(info->dtype));
    case TRIB_VALUE_PARAMETER:
        return trib_buf_printf(text, "parameter %s\n", init_names[info->init]);
    case TRIB_VALUE_STATE:
        return trib_buf_printf(text, "state %s\n", init_names[info->init]);
    default:
        return trib_buf_printf(text, "constant %g\n", (double)info->constant);
    }
}

static enum trib_status print_links(const struct trib_graph *graph, const char *what,
                                    const struct trib_graph_link *links, size_t n, struct trib_buf *text)
{
    for (size_t i = 0; i < n; i++) {
        TRIB_TRY(trib_buf_printf(text, "%s %s = ", what, graph->values[links[i].state].info.name));
        TRIB_TRY(trib_graph_print_value(graph, links[i].from, text));
        TRIB_TRY(trib_buf_add_text(text, "\n"));
    }
    return TRIB_OK;
}

enum trib_status trib_graph_print(const struct trib_graph *graph, struct trib_buf *text)
{
    for (size_t v = 0; v < graph->n_values; v++) {
        const struct trib_value_info *info = &graph->values[v].info;
        if (info->kind != TRIB_VALUE_RESULT) {
            TRIB_TRY(print_leaf(graph, (trib_value)v, text));
        } else if (info->output == 0) {
            TRIB_TRY(trib_graph_print_node(graph, info->node, text));
            TRIB_TRY(trib_buf_add_text(text, "\n"));
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        TRIB_TRY(trib_buf_printf(text, "output %s = ", graph->outputs[i].name));
        TRIB_TRY(trib_graph_print_value(graph, graph->outputs[i].value, text));
        TRIB_TRY(trib_buf_add_text(text, "\n"));
    }
    TRIB_TRY(print_links(graph, "update", graph->updates, graph->n_updates, text));
    return print_links(graph, "gradient", graph->gradients, graph->n_gradients, text);
}

static bool value_equal(const struct trib_value_info *a, const struct trib_value_info *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && trib_shape_equal(&a->shape, &b->shape) &&
           strcmp(a->name, b->name) == 0 && a->init == b->init && a->constant == b->constant && a->node == b->node &&
           a->output == b->output;
}

static bool node_equal(const struct trib_node *a, const struct trib_node *b)
{
    if (a->op != b->op || a->n_inputs != b->n_inputs || !trib_attributes_equal(&a->attributes, &b->attributes)) {
        return false;
    }
    for (int i = 0; i < a->n_inputs; i++) {
        if (a->inputs[i] != b->inputs[i]) {
            return false;
        }
    }
    return true; /* the outputs' numbers are compared with the values */
}

static bool links_equal(const struct trib_graph_link *a, size_t n_a, const struct trib_graph_link *b, size_t n_b)
{
    bool equal = n_a == n_b;
    for (size_t i = 0; equal && i < n_a; i++) {
        equal = a[i].state == b[i].state && a[i].from == b[i].from;
    }
    return equal;
}

bool trib_graph_equal(const struct trib_graph *a, const struct trib_graph *b)
{
    bool equal = a->n_values == b->n_values && a->n_nodes == b->n_nodes && a->n_outputs == b->n_outputs;
    for (size_t v = 0; equal && v < a->n_values; v++) {
        equal = value_equal(&a->values[v].info, &b->values[v].info);
    }
    for (size_t i = 0; equal && i < a->n_nodes; i++) {
        equal = node_equal(&a->nodes[i], &b->nodes[i]);
    }
    for (size_t i = 0; equal && i < a->n_outputs; i++) {
        equal = a->outputs[i].value == b->outputs[i].value && strcmp(a->outputs[i].name, b->outputs[i].name) == 0;
    }
    return equal && links_equal(a->updates, a->n_updates, b->updates, b->n_updates) &&
           links_equal(a->gradients, a->n_gradients, b->gradients, b->n_gradients);
}
