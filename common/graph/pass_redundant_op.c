/* This pass drops operators whose result is one of their inputs: relu of what is never negative, a reshape to the same
 * shape, a dropout that drops nothing, pooling over single elements, a sum over nothing. */
#include "base/mem.h"
#include "graph/pass.h"
#include "graph_private.h"

struct context {
    uint32_t *readers;    /* per value of the old graph */
    uint8_t *nonnegative; /* per value of the new graph, which has at most as many */
};

/* Whether every element of a node's first output is >= 0, from what is known of its inputs. */
static bool is_nonnegative(const struct trib_graph *graph, const struct trib_node *node, const uint8_t *known)
{
    switch (node->op) {
    case TRIB_OP_RELU:
    case TRIB_OP_SIGMOID:
        return true;
    case TRIB_OP_LINEAR:
    case TRIB_OP_CONV2D:
        return node->attributes.activation == TRIB_ACTIVATION_RELU ||
               node->attributes.activation == TRIB_ACTIVATION_SIGMOID;
    case TRIB_OP_MAX_POOL2D:
    case TRIB_OP_AVG_POOL2D:
    case TRIB_OP_RESHAPE:
    case TRIB_OP_DROPOUT:
        return known[node->inputs[0]];
    case TRIB_OP_ADD:
    case TRIB_OP_MUL:
        for (int i = 0; i < 2; i++) {
            const struct trib_value_info *info = &graph->values[node->inputs[i]].info;
            if (info->kind == TRIB_VALUE_CONSTANT ? info->constant < 0 : !known[node->inputs[i]]) {
                return false;
            }
        }
        return true;
    default:
        return false;
    }
}

static const struct trib_shape *shape_in(const struct trib_graph *graph, trib_value value)
{
    return &graph->values[value].info.shape;
}

/* Every window is one element, and the windows are all elements. x = shape of the larger side. */
static bool is_single_element_pool(const struct trib_attributes *at, const struct trib_shape *x)
{
    for (int i = 0; i < 2; i++) {
        bool whole = at->kernel[i] == 0 && x->dims[1 + i] == 1;
        if (!whole && (at->kernel[i] != 1 || at->stride[i] != 1)) {
            return false;
        }
    }
    return true;
}

/* The value of the new graph that the node's first output equals, or TRIB_NO_VALUE. */
static trib_value redundant_to(const struct trib_rewrite *rewrite, const struct trib_node *node)
{
    const struct context *context = rewrite->context;
    const struct trib_graph *to = rewrite->to;
    trib_value x = rewrite->map[node->inputs[0]];
    const struct trib_shape *out = shape_in(rewrite->from, node->outputs[0]);
    const struct trib_node *inner;
    bool redundant = false;
    switch (node->op) {
    case TRIB_OP_RELU:
        redundant = context->nonnegative[x];
        break;
    case TRIB_OP_RELU_GRAD:
        inner = trib_graph_producer(to, x, TRIB_OP_RELU_GRAD);
        redundant = inner && inner->inputs[1] == rewrite->map[node->inputs[1]];
        break;
    case TRIB_OP_RESHAPE:
    case TRIB_OP_REDUCE_TO:
        inner = trib_graph_producer(to, x, node->op);
        if (inner && trib_shape_equal(shape_in(to, inner->inputs[0]), out)) {
            return inner->inputs[0];
        }
        redundant = trib_shape_equal(shape_in(to, x), out);
        break;
    case TRIB_OP_DROPOUT:
        redundant = node->attributes.rate == 0;
        break;
    case TRIB_OP_AVG_POOL2D:
        redundant = is_single_element_pool(&node->attributes, shape_in(to, x));
        break;
    case TRIB_OP_MAX_POOL2D:
        redundant =
            context->readers[node->outputs[1]] == 0 && is_single_element_pool(&node->attributes, shape_in(to, x));
        break;
    case TRIB_OP_AVG_POOL2D_GRAD:
    case TRIB_OP_MAX_POOL2D_GRAD:
        redundant = is_single_element_pool(&node->attributes, out);
        break;
    default:
        break;
    }
    return redundant ? x : TRIB_NO_VALUE;
}

static enum trib_status simplify_node(struct trib_rewrite *rewrite, uint32_t index, struct trib_error *error)
{
    struct context *context = rewrite->context;
    const struct trib_node *node = &rewrite->from->nodes[index];
    trib_value same = redundant_to(rewrite, node);
    if (same != TRIB_NO_VALUE) {
        rewrite->map[node->outputs[0]] = same;
        return TRIB_OK;
    }
    bool chains = node->op == TRIB_OP_RESHAPE || node->op == TRIB_OP_REDUCE_TO;
    const struct trib_node *inner =
        chains ? trib_graph_producer(rewrite->to, rewrite->map[node->inputs[0]], node->op) : NULL;
    if (inner) {
        trib_value x = inner->inputs[0];
        TRIB_TRY(
            trib_graph_node(rewrite->to, node->op, &node->attributes, &x, 1, &rewrite->map[node->outputs[0]], error));
    } else {
        TRIB_TRY(trib_rewrite_copy_node(rewrite, index, error));
    }
    const struct trib_node *made = &rewrite->to->nodes[rewrite->to->n_nodes - 1];
    context->nonnegative[made->outputs[0]] = is_nonnegative(rewrite->to, made, context->nonnegative);
    return TRIB_OK;
}

static enum trib_status run(const struct trib_graph *graph, struct trib_graph **result, struct trib_error *error)
{
    static const struct trib_rewrite_rules rules = {.node = simplify_node};
    struct context context = {.readers = trib_calloc(graph->n_values, sizeof *context.readers),
                              .nonnegative = trib_calloc(graph->n_values, sizeof *context.nonnegative)};
    enum trib_status status;
    if (!context.readers || !context.nonnegative) {
        status = trib_fail_no_memory(error);
    } else {
        trib_graph_count_readers(graph, context.readers);
        status = trib_graph_rewrite(graph, &rules, &context, result, error);
    }
    trib_free(context.readers);
    trib_free(context.nonnegative);
    return status;
}

const struct trib_pass trib_pass_redundant_op = {
    .name = "redundant-op",
    .help = "drop operators that return their input unchanged",
    .run = run,
};
