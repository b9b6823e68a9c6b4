/* Building a plan from a graph: which nodes run, and where every value lies.
 *
 * Values that share bytes form a group, named by one of them (a union-find forest): a reshape joins its input's group,
 * an element-wise node whose first input dies there joins it as well. A group is placed as one. */
#include "base/mem.h"
#include "base/str.h"
#include "graph_private.h"
#include "plan_layout.h"
#include "plan_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const size_t UNCLAIMED = SIZE_MAX;

struct builder {
    struct trib_plan *plan;
    const struct trib_graph *graph;
    uint8_t *needed;        /* per value: something reads it, or it is named */
    size_t *bytes;          /* per value: its data, batch bound */
    trib_value *parent;     /* per value: towards its group's name */
    uint32_t *first, *last; /* per group: steps between which it is alive; last = n_steps: until the end */
    size_t *claim;          /* per group: offset in the gradient vector, or UNCLAIMED */
    struct trib_interval *intervals;
    trib_value *interval_groups;
    struct trib_error *error;
};

static trib_value group_of(struct builder *builder, trib_value value)
{
    trib_value *parent = builder->parent;
    while (parent[value] != value) {
        parent[value] = parent[parent[value]];
        value = parent[value];
    }
    return value;
}

static const struct trib_value_info *info_of(const struct builder *builder, trib_value value)
{
    return &builder->graph->values[value].info;
}

/* Nothing overflows below: at most 10^5 values of at most 2^40 elements of 4 bytes, rounded up. */
static size_t aligned(size_t bytes)
{
    return (bytes + TRIB_LAYOUT_ALIGNMENT - 1) / TRIB_LAYOUT_ALIGNMENT * TRIB_LAYOUT_ALIGNMENT;
}

static enum trib_status allocate(struct builder *builder)
{
    struct trib_plan *plan = builder->plan;
    size_t values = builder->graph->n_values, nodes = builder->graph->n_nodes;
    plan->placements = trib_calloc(values, sizeof *plan->placements);
    plan->steps = trib_calloc(nodes, sizeof *plan->steps);
    plan->updates = trib_calloc(builder->graph->n_updates, sizeof *plan->updates);
    plan->gradient_copies = trib_calloc(builder->graph->n_gradients, sizeof *plan->gradient_copies);
    builder->needed = trib_calloc(values, sizeof *builder->needed);
    builder->bytes = trib_calloc(values, sizeof *builder->bytes);
    builder->parent = trib_calloc(values, sizeof *builder->parent);
    builder->first = trib_calloc(values, sizeof *builder->first);
    builder->last = trib_calloc(values, sizeof *builder->last);
    builder->claim = trib_calloc(values, sizeof *builder->claim);
    builder->intervals = trib_calloc(values, sizeof *builder->intervals);
    builder->interval_groups = trib_calloc(values, sizeof *builder->interval_groups);
    bool ok = plan->placements && plan->steps && plan->updates && plan->gradient_copies && builder->needed &&
              builder->bytes && builder->parent && builder->first && builder->last && builder->claim &&
              builder->intervals && builder->interval_groups;
    return ok ? TRIB_OK : trib_fail_no_memory(builder->error);
}

/* Bytes of every value; homes of parameters, states and inputs. */
static enum trib_status place_leaves(struct builder *builder)
{
    struct trib_plan *plan = builder->plan;
    for (size_t v = 0; v < builder->graph->n_values; v++) {
        const struct trib_value_info *info = info_of(builder, (trib_value)v);
        struct trib_shape shape = trib_shape_bind(&info->shape, plan->batch);
        size_t n;
        enum trib_status status = trib_shape_elements(&shape, &n, builder->error);
        if (status != TRIB_OK) {
            return trib_error_prefix(builder->error, status, "batch %" PRId64, plan->batch);
        }
        builder->bytes[v] = n * trib_dtype_size(info->dtype);
        builder->parent[v] = (trib_value)v;
        builder->claim[v] = UNCLAIMED;
        if (info->kind == TRIB_VALUE_INPUT) {
            plan->placements[v] = (struct trib_placement){.home = TRIB_HOME_INPUT, .offset = plan->n_inputs++};
        } else if (info->kind == TRIB_VALUE_PARAMETER || info->kind == TRIB_VALUE_STATE) {
            plan->placements[v] = (struct trib_placement){.home = TRIB_HOME_MODEL, .offset = plan->model_floats};
            plan->model_floats += n;
        }
    }
    return TRIB_OK;
}

static bool node_needed(const struct builder *builder, const struct trib_node *node)
{
    bool needed = false;
    for (int i = 0; i < trib_op_info(node->op)->n_outputs; i++) {
        needed = needed || builder->needed[node->outputs[i]];
    }
    return needed;
}

/* Which nodes run, reshapes joined to their inputs, and when each group is alive. */
static void schedule(struct builder *builder)
{
    struct trib_plan *plan = builder->plan;
    const struct trib_graph *graph = builder->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct trib_node *node = &graph->nodes[i];
        if (!node_needed(builder, node)) {
            continue;
        }
        if (node->op == TRIB_OP_RESHAPE) {
            builder->parent[node->outputs[0]] = group_of(builder, node->inputs[0]);
            continue;
        }
        uint32_t step = (uint32_t)plan->n_steps++;
        plan->steps[step].node = (uint32_t)i;
        for (int k = 0; k < node->n_inputs; k++) {
            builder->last[group_of(builder, node->inputs[k])] = step;
        }
        for (int k = 0; k < trib_op_info(node->op)->n_outputs; k++) {
            builder->first[node->outputs[k]] = builder->last[node->outputs[k]] = step;
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        builder->last[group_of(builder, graph->outputs[i].value)] = (uint32_t)plan->n_steps;
    }
    for (size_t i = 0; i < graph->n_updates; i++) {
        builder->last[group_of(builder, graph->updates[i].from)] = (uint32_t)plan->n_steps;
    }
    for (size_t i = 0; i < graph->n_gradients; i++) {
        builder->last[group_of(builder, graph->gradients[i].from)] = (uint32_t)plan->n_steps;
    }
}

/* A computed group that is one parameter's gradient lies in the gradient vector; what cannot is copied there. */
static void claim_gradients(struct builder *builder)
{
    struct trib_plan *plan = builder->plan;
    for (size_t i = 0; i < builder->graph->n_gradients; i++) {
        const struct trib_graph_link *link = &builder->graph->gradients[i];
        trib_value group = group_of(builder, link->from);
        size_t offset = plan->placements[link->state].offset;
        if (info_of(builder, group)->kind == TRIB_VALUE_RESULT && builder->claim[group] == UNCLAIMED) {
            builder->claim[group] = offset;
        } else {
            plan->gradient_copies[plan->n_gradient_copies++] = (struct trib_plan_copy){
                .from = link->from, .model_offset = offset, .n = builder->bytes[link->state] / sizeof(float)};
        }
    }
}

static size_t unshared_bytes(const struct builder *builder)
{
    size_t sum = 0;
    for (size_t v = 0; v < builder->graph->n_values; v++) {
        bool own = info_of(builder, (trib_value)v)->kind == TRIB_VALUE_RESULT && builder->parent[v] == v;
        if (own && builder->needed[v] && builder->claim[v] == UNCLAIMED) {
            sum += aligned(builder->bytes[v]);
        }
    }
    return sum;
}

/* Let element-wise nodes work in place where their first input's group ends with them. */
static void join_in_place(struct builder *builder)
{
    const struct trib_plan *plan = builder->plan;
    for (size_t step = 0; step < plan->n_steps; step++) {
        const struct trib_node *node = &builder->graph->nodes[plan->steps[step].node];
        if (!trib_op_info(node->op)->elementwise) {
            continue;
        }
        trib_value output = group_of(builder, node->outputs[0]);
        trib_value input = group_of(builder, node->inputs[0]);
        if (info_of(builder, input)->kind != TRIB_VALUE_RESULT || builder->last[input] != step ||
            builder->bytes[input] != builder->bytes[output]) {
            continue;
        }
        builder->parent[output] = input;
        builder->last[input] = builder->last[output];
        builder->claim[input] = builder->claim[output];
    }
}

static enum trib_status place_results(struct builder *builder)
{
    struct trib_plan *plan = builder->plan;
    size_t n = 0;
    for (size_t v = 0; v < builder->graph->n_values; v++) {
        bool is_group = info_of(builder, (trib_value)v)->kind == TRIB_VALUE_RESULT && builder->parent[v] == v;
        if (!is_group || !builder->needed[v]) {
            continue;
        }
        if (builder->claim[v] != UNCLAIMED) {
            plan->placements[v] = (struct trib_placement){.home = TRIB_HOME_GRADIENT, .offset = builder->claim[v]};
            continue;
        }
        builder->intervals[n] = (struct trib_interval){
            .size = aligned(builder->bytes[v]), .first = builder->first[v], .last = builder->last[v]};
        builder->interval_groups[n++] = (trib_value)v;
    }
    TRIB_TRY(trib_layout_assign(builder->intervals, n, &plan->arena_bytes, builder->error));
    for (size_t i = 0; i < n; i++) {
        plan->placements[builder->interval_groups[i]] =
            (struct trib_placement){.home = TRIB_HOME_ARENA, .offset = builder->intervals[i].offset};
    }
    return TRIB_OK;
}

struct constant {
    uint32_t bits;
    trib_value value;
};

static int compare_constants(const void *left, const void *right)
{
    const struct constant *a = left, *b = right;
    if (a->bits != b->bits) {
        return a->bits < b->bits ? -1 : 1;
    }
    return a->value < b->value ? -1 : a->value > b->value;
}

/* Constants of one number share bytes: as many as the largest of them. *list is in the order of the numbers; its
 * offsets are set in the placements. */
static enum trib_status place_constants(struct builder *builder, struct constant **list, size_t *n)
{
    struct trib_plan *plan = builder->plan;
    struct constant *constants = trib_calloc(builder->graph->n_values, sizeof *constants);
    if (!constants) {
        return trib_fail_no_memory(builder->error);
    }
    size_t count = 0;
    for (size_t v = 0; v < builder->graph->n_values; v++) {
        const struct trib_value_info *info = info_of(builder, (trib_value)v);
        if (info->kind == TRIB_VALUE_CONSTANT && builder->needed[v]) {
            memcpy(&constants[count].bits, &info->constant, sizeof(uint32_t));
            constants[count++].value = (trib_value)v;
        }
    }
    qsort(constants, count, sizeof *constants, compare_constants);
    size_t start = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && constants[i].bits != constants[i - 1].bits) {
            start += aligned(largest);
            largest = 0;
        }
        size_t bytes = builder->bytes[constants[i].value];
        largest = bytes > largest ? bytes : largest;
        plan->placements[constants[i].value] = (struct trib_placement){.home = TRIB_HOME_CONSTANT, .offset = start};
    }
    plan->constants_len = start + aligned(largest);
    *list = constants;
    *n = count;
    return TRIB_OK;
}

static enum trib_status fill_constants(struct builder *builder, const struct constant *list, size_t n)
{
    struct trib_plan *plan = builder->plan;
    plan->constants = trib_malloc_aligned(plan->constants_len > 0 ? plan->constants_len : 1, 1);
    if (!plan->constants) {
        return trib_fail_no_memory(builder->error);
    }
    memset(plan->constants, 0, plan->constants_len);
    size_t filled = 0; /* floats of the current number that are there already */
    for (size_t i = 0; i < n; i++) {
        float *to = (float *)(void *)(plan->constants + plan->placements[list[i].value].offset);
        filled = i > 0 && list[i].bits == list[i - 1].bits ? filled : 0;
        for (; filled < builder->bytes[list[i].value] / sizeof(float); filled++) {
            to[filled] = info_of(builder, list[i].value)->constant;
        }
    }
    return TRIB_OK;
}

static enum trib_status check_budget(const struct builder *builder, size_t max_bytes)
{
    const struct trib_plan *plan = builder->plan;
    size_t total = plan->arena_bytes + plan->constants_len;
    if (max_bytes == 0 || total <= max_bytes) {
        return TRIB_OK;
    }
    char need[32], have[32];
    return trib_fail(builder->error, TRIB_LIMIT,
                     "batch %" PRId64 " needs %s of working memory, the limit is %s; use a smaller batch", plan->batch,
                     trib_format_size((double)total, need, sizeof need),
                     trib_format_size((double)max_bytes, have, sizeof have));
}

/* Every needed value lies where its group does. */
static void spread_placements(struct builder *builder)
{
    for (size_t v = 0; v < builder->graph->n_values; v++) {
        if (builder->needed[v]) {
            builder->plan->placements[v] = builder->plan->placements[group_of(builder, (trib_value)v)];
        }
    }
}

/* Updates are copied one after the other, so none may read a state that another one has replaced by then. */
static enum trib_status list_updates(struct builder *builder)
{
    struct trib_plan *plan = builder->plan;
    for (size_t i = 0; i < builder->graph->n_updates; i++) {
        const struct trib_graph_link *link = &builder->graph->updates[i];
        trib_value group = group_of(builder, link->from);
        if (group == link->state) {
            continue;
        }
        const struct trib_graph_value *source = &builder->graph->values[group];
        if (source->info.kind == TRIB_VALUE_STATE && source->link > 0) {
            return trib_fail(builder->error, TRIB_UNSUPPORTED, "update of '%s': it is state '%s', which changes too",
                             info_of(builder, link->state)->name, source->info.name);
        }
        plan->updates[plan->n_updates++] = (struct trib_plan_copy){.from = link->from,
                                                                   .model_offset = plan->placements[link->state].offset,
                                                                   .n = builder->bytes[link->state] / sizeof(float)};
    }
    return TRIB_OK;
}

static enum trib_status build(struct builder *builder, size_t max_bytes)
{
    struct constant *constants = NULL;
    size_t n_constants = 0;
    TRIB_TRY(allocate(builder));
    trib_graph_mark_needed(builder->graph, builder->needed);
    TRIB_TRY(place_leaves(builder));
    schedule(builder);
    claim_gradients(builder);
    builder->plan->unshared_bytes = unshared_bytes(builder);
    join_in_place(builder);
    TRIB_TRY(place_results(builder));
    TRIB_TRY(list_updates(builder));
    enum trib_status status = place_constants(builder, &constants, &n_constants);
    if (status == TRIB_OK) {
        status = check_budget(builder, max_bytes);
    }
    if (status == TRIB_OK) {
        spread_placements(builder);
        status = fill_constants(builder, constants, n_constants);
    }
    trib_free(constants);
    return status;
}

enum trib_status trib_plan_new(const struct trib_graph *graph, int64_t batch, size_t max_bytes, struct trib_plan **plan,
                               struct trib_error *error)
{
    if (batch < 1) {
        return trib_fail(error, TRIB_INVALID, "batch: %" PRId64 " is below the minimum 1", batch);
    }
    struct builder builder = {.error = error};
    struct trib_plan *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    builder.plan = made;
    made->batch = batch;
    enum trib_status status = trib_graph_copy(graph, &made->graph, error);
    if (status == TRIB_OK) {
        builder.graph = made->graph;
        status = build(&builder, max_bytes);
    }
    trib_free(builder.needed);
    trib_free(builder.bytes);
    trib_free(builder.parent);
    trib_free(builder.first);
    trib_free(builder.last);
    trib_free(builder.claim);
    trib_free(builder.intervals);
    trib_free(builder.interval_groups);
    if (status != TRIB_OK) {
        trib_plan_free(made);
        return status;
    }
    *plan = made;
    return TRIB_OK;
}
