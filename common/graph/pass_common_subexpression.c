/* This pass computes each expression once: nodes of the same operator, attributes and inputs become one, and so do
 * equal constants. Dropouts with different streams have different attributes and stay apart. */
#include "base/mem.h"
#include "base/rng.h"
#include "graph/pass.h"
#include "graph_private.h"

#include <string.h>

/* Open addressing over values of the new graph: constants, and the first outputs of nodes. */
struct table {
    trib_value *slots; /* TRIB_NO_VALUE = free */
    size_t mask;
};

static uint64_t hash_words(const uint32_t *words, size_t n)
{
    return trib_hash64(words, n * sizeof *words, 0);
}

static uint32_t bits_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* Mixes what commonly tells nodes apart; node_same decides. */
static uint64_t hash_node(const struct trib_node *node)
{
    const struct trib_attributes *at = &node->attributes;
    uint32_t words[TRIB_MAX_INPUTS + 8 + TRIB_MAX_RANK] = {(uint32_t)node->op, (uint32_t)node->n_inputs};
    size_t n = 2;
    for (int i = 0; i < node->n_inputs; i++) {
        words[n++] = node->inputs[i];
    }
    for (int i = 0; i < at->shape.rank; i++) {
        words[n++] = (uint32_t)at->shape.dims[i];
    }
    words[n++] = at->stream;
    words[n++] = bits_of(at->factor);
    words[n++] = bits_of(at->rate);
    words[n++] = bits_of(at->epsilon);
    words[n++] = (uint32_t)at->transpose_a * 2 + at->transpose_b;
    words[n++] = (uint32_t)at->kernel[0] ^ (uint32_t)at->kernel[1] << 8 ^ (uint32_t)at->stride[0] << 16;
    return hash_words(words, n);
}

static uint64_t hash_constant(const struct trib_value_info *info)
{
    uint32_t words[2 + TRIB_MAX_RANK] = {bits_of(info->constant), (uint32_t)info->shape.rank};
    for (int i = 0; i < info->shape.rank; i++) {
        words[2 + i] = (uint32_t)info->shape.dims[i];
    }
    return hash_words(words, 2 + (size_t)info->shape.rank);
}

/* Sums and products of equal shapes do not depend on the order: the smaller number first. */
static struct trib_node canonical(const struct trib_graph *graph, struct trib_node node)
{
    bool commutes = node.op == TRIB_OP_ADD || node.op == TRIB_OP_MUL;
    if (commutes && node.inputs[0] > node.inputs[1] &&
        trib_shape_equal(&graph->values[node.inputs[0]].info.shape, &graph->values[node.inputs[1]].info.shape)) {
        trib_value larger = node.inputs[0];
        node.inputs[0] = node.inputs[1];
        node.inputs[1] = larger;
    }
    return node;
}

static bool node_same(const struct trib_node *a, const struct trib_node *b)
{
    bool same = a->op == b->op && a->n_inputs == b->n_inputs && trib_attributes_equal(&a->attributes, &b->attributes);
    for (int i = 0; same && i < a->n_inputs; i++) {
        same = a->inputs[i] == b->inputs[i];
    }
    return same;
}

static enum trib_status share_node(struct trib_rewrite *rewrite, uint32_t index, struct trib_error *error)
{
    struct table *table = rewrite->context;
    struct trib_node node = rewrite->from->nodes[index];
    for (int i = 0; i < node.n_inputs; i++) {
        node.inputs[i] = rewrite->map[node.inputs[i]];
    }
    node = canonical(rewrite->to, node);
    size_t slot = hash_node(&node) & table->mask;
    for (; table->slots[slot] != TRIB_NO_VALUE; slot = (slot + 1) & table->mask) {
        const struct trib_value_info *other = &rewrite->to->values[table->slots[slot]].info;
        if (other->kind != TRIB_VALUE_RESULT) {
            continue;
        }
        struct trib_node twin = canonical(rewrite->to, rewrite->to->nodes[other->node]);
        if (node_same(&node, &twin)) {
            for (int i = 0; i < trib_op_info(node.op)->n_outputs; i++) {
                rewrite->map[node.outputs[i]] = twin.outputs[i];
            }
            return TRIB_OK;
        }
    }
    TRIB_TRY(trib_rewrite_copy_node(rewrite, index, error));
    table->slots[slot] = rewrite->map[node.outputs[0]];
    return TRIB_OK;
}

static enum trib_status share_constant(struct trib_rewrite *rewrite, trib_value constant, struct trib_error *error)
{
    struct table *table = rewrite->context;
    const struct trib_value_info *info = &rewrite->from->values[constant].info;
    size_t slot = hash_constant(info) & table->mask;
    for (; table->slots[slot] != TRIB_NO_VALUE; slot = (slot + 1) & table->mask) {
        const struct trib_value_info *other = &rewrite->to->values[table->slots[slot]].info;
        if (other->kind == TRIB_VALUE_CONSTANT && bits_of(other->constant) == bits_of(info->constant) &&
            trib_shape_equal(&other->shape, &info->shape)) {
            rewrite->map[constant] = table->slots[slot];
            return TRIB_OK;
        }
    }
    TRIB_TRY(trib_rewrite_copy_constant(rewrite, constant, error));
    table->slots[slot] = rewrite->map[constant];
    return TRIB_OK;
}

static enum trib_status run(const struct trib_graph *graph, struct trib_graph **result, struct trib_error *error)
{
    static const struct trib_rewrite_rules rules = {.node = share_node, .constant = share_constant};
    size_t n_slots = 16;
    while (n_slots < 2 * graph->n_values) {
        n_slots *= 2;
    }
    struct table table = {.slots = trib_calloc(n_slots, sizeof *table.slots), .mask = n_slots - 1};
    if (!table.slots) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < n_slots; i++) {
        table.slots[i] = TRIB_NO_VALUE;
    }
    enum trib_status status = trib_graph_rewrite(graph, &rules, &table, result, error);
    trib_free(table.slots);
    return status;
}

const struct trib_pass trib_pass_common_subexpression = {
    .name = "common-subexpression",
    .help = "compute equal expressions once",
    .run = run,
};
