/* This pass fuses a product or convolution with the bias and activation that follow it:
 *   activation(add(matmul(x, w, transpose_b), bias)) -> linear(x, w, bias) activation
 *   activation(add(conv2d(x, w), bias))              -> conv2d(x, w, bias) activation
 * Only when nothing else reads what lies between. The gradients of relu, tanh and sigmoid read the output, so they do
 * not stand in the way; gelu's reads its input, so in a differentiated graph gelu stays apart. */
#include "base/mem.h"
#include "graph/pass.h"
#include "graph_private.h"

/* What a node computes when seen as the end of a fused operator. */
struct chain {
    bool open;     /* there is such a view */
    bool absorbed; /* computed inside the node that follows */
    uint32_t core; /* the matmul, linear or conv2d */
    trib_value bias;
    enum trib_activation activation;
};

static enum trib_activation activation_of(enum trib_op op)
{
    switch (op) {
    case TRIB_OP_RELU:
        return TRIB_ACTIVATION_RELU;
    case TRIB_OP_TANH:
        return TRIB_ACTIVATION_TANH;
    case TRIB_OP_SIGMOID:
        return TRIB_ACTIVATION_SIGMOID;
    case TRIB_OP_GELU:
        return TRIB_ACTIVATION_GELU;
    default:
        return TRIB_ACTIVATION_NONE;
    }
}

/* The bias that `node` would add to a fused operator of this output, or TRIB_NO_VALUE. */
static trib_value bias_of(const struct trib_graph *graph, const struct trib_node *node)
{
    if (node->op != TRIB_OP_ADD) {
        return TRIB_NO_VALUE;
    }
    const struct trib_shape *y = &graph->values[node->inputs[0]].info.shape;
    const struct trib_shape *bias = &graph->values[node->inputs[1]].info.shape;
    return bias->rank == 1 && y->rank > 1 && bias->dims[0] == y->dims[y->rank - 1] ? node->inputs[1] : TRIB_NO_VALUE;
}

static void match(const struct trib_graph *graph, const uint32_t *readers, struct chain *chains)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct trib_node *node = &graph->nodes[i];
        const struct trib_attributes *at = &node->attributes;
        bool product = node->op == TRIB_OP_MATMUL && at->transpose_b && !at->transpose_a;
        if (product || node->op == TRIB_OP_LINEAR || node->op == TRIB_OP_CONV2D) {
            chains[i] = (struct chain){.open = true,
                                       .core = i,
                                       .bias = node->n_inputs == 3 ? node->inputs[2] : TRIB_NO_VALUE,
                                       .activation = at->activation};
            continue;
        }
        enum trib_activation activation = activation_of(node->op);
        trib_value bias = bias_of(graph, node);
        const struct trib_value_info *x = &graph->values[node->inputs[0]].info;
        if ((activation == TRIB_ACTIVATION_NONE && bias == TRIB_NO_VALUE) || x->kind != TRIB_VALUE_RESULT ||
            readers[node->inputs[0]] != 1) {
            continue;
        }
        struct chain *before = &chains[x->node];
        if (!before->open || before->activation != TRIB_ACTIVATION_NONE ||
            (bias != TRIB_NO_VALUE && before->bias != TRIB_NO_VALUE)) {
            continue;
        }
        chains[i] = *before;
        chains[i].activation = activation;
        chains[i].bias = bias != TRIB_NO_VALUE ? bias : before->bias;
        before->absorbed = true;
    }
}

static enum trib_status fuse_node(struct trib_rewrite *rewrite, uint32_t index, struct trib_error *error)
{
    const struct chain *chain = &((const struct chain *)rewrite->context)[index];
    const struct trib_node *node = &rewrite->from->nodes[index];
    if (chain->absorbed) {
        return TRIB_OK;
    }
    if (!chain->open || chain->core == index) {
        return trib_rewrite_copy_node(rewrite, index, error);
    }
    const struct trib_node *core = &rewrite->from->nodes[chain->core];
    struct trib_attributes attributes = core->attributes;
    attributes.activation = chain->activation;
    trib_value inputs[3] = {rewrite->map[core->inputs[0]], rewrite->map[core->inputs[1]]};
    int n_inputs = 2;
    if (chain->bias != TRIB_NO_VALUE) {
        inputs[n_inputs++] = rewrite->map[chain->bias];
    }
    enum trib_op op = core->op == TRIB_OP_CONV2D ? TRIB_OP_CONV2D : TRIB_OP_LINEAR;
    return trib_graph_node(rewrite->to, op, &attributes, inputs, n_inputs, &rewrite->map[node->outputs[0]], error);
}

static enum trib_status run(const struct trib_graph *graph, struct trib_graph **result, struct trib_error *error)
{
    static const struct trib_rewrite_rules rules = {.node = fuse_node};
    uint32_t *readers = trib_calloc(graph->n_values, sizeof *readers);
    struct chain *chains = trib_calloc(graph->n_nodes, sizeof *chains);
    enum trib_status status;
    if (!readers || !chains) {
        status = trib_fail_no_memory(error);
    } else {
        trib_graph_count_readers(graph, readers);
        match(graph, readers, chains);
        status = trib_graph_rewrite(graph, &rules, chains, result, error);
    }
    trib_free(readers);
    trib_free(chains);
    return status;
}

const struct trib_pass trib_pass_fusion = {
    .name = "fusion",
    .help = "join products and convolutions with their bias and activation",
    .run = run,
};
