/* Building and reading graphs. Everything that is appended was checked before: a graph that exists is well-formed. */
#include "graph/graph.h"

#include "base/mem.h"
#include "base/str.h"
#include "graph_private.h"

#include <math.h>
#include <string.h>

enum { MAX_OUTPUTS = 256 };

/* The list with room for `need` items, perhaps moved; NULL, and nothing changed, when memory is short. */
static void *with_room(void *items, size_t *capacity, size_t need, size_t item_size)
{
    if (items && need <= *capacity) {
        return items;
    }
    size_t wanted = need + need / 2 + 8;
    void *moved = trib_realloc_array(items, wanted, item_size);
    if (moved) {
        *capacity = wanted;
    }
    return moved;
}

static bool reserve_values(struct trib_graph *graph, size_t extra)
{
    void *values = with_room(graph->values, &graph->values_capacity, graph->n_values + extra, sizeof *graph->values);
    if (values) {
        graph->values = values;
    }
    return values;
}

static bool reserve_links(struct trib_graph_link **links, size_t n, size_t *capacity)
{
    struct trib_graph_link *moved = with_room(*links, capacity, n + 1, sizeof **links);
    if (moved) {
        *links = moved;
    }
    return moved;
}

struct trib_graph *trib_graph_new(void)
{
    struct trib_graph *graph = trib_calloc(1, sizeof *graph);
    if (graph) {
        graph->names = trib_map_new();
    }
    if (graph && !graph->names) {
        trib_free(graph);
        return NULL;
    }
    return graph;
}

void trib_graph_free(struct trib_graph *graph)
{
    if (!graph) {
        return;
    }
    trib_map_free(graph->names);
    trib_free(graph->values);
    trib_free(graph->nodes);
    trib_free(graph->outputs);
    trib_free(graph->updates);
    trib_free(graph->gradients);
    trib_free(graph);
}

/* A copy of n items; *copy stays NULL for n == 0. */
static bool duplicate(const void *items, size_t n, size_t item_size, void **copy)
{
    *copy = NULL;
    if (n == 0) {
        return true;
    }
    *copy = trib_realloc_array(NULL, n, item_size);
    if (*copy) {
        memcpy(*copy, items, n * item_size);
    }
    return *copy;
}

static bool put_name(struct trib_graph *graph, trib_value value)
{
    void *number = (void *)(uintptr_t)(value + (uintptr_t)1);
    return trib_map_put(graph->names, graph->values[value].info.name, number) == TRIB_OK;
}

enum trib_status trib_graph_copy(const struct trib_graph *graph, struct trib_graph **copy, struct trib_error *error)
{
    struct trib_graph *made = trib_graph_new();
    void *values = NULL, *nodes = NULL, *outputs = NULL, *updates = NULL, *gradients = NULL;
    bool ok = made && duplicate(graph->values, graph->n_values, sizeof *graph->values, &values) &&
              duplicate(graph->nodes, graph->n_nodes, sizeof *graph->nodes, &nodes) &&
              duplicate(graph->outputs, graph->n_outputs, sizeof *graph->outputs, &outputs) &&
              duplicate(graph->updates, graph->n_updates, sizeof *graph->updates, &updates) &&
              duplicate(graph->gradients, graph->n_gradients, sizeof *graph->gradients, &gradients);
    if (made) {
        *made = (struct trib_graph){
            .values = values,
            .values_capacity = graph->n_values,
            .nodes = nodes,
            .nodes_capacity = graph->n_nodes,
            .outputs = outputs,
            .outputs_capacity = graph->n_outputs,
            .updates = updates,
            .updates_capacity = graph->n_updates,
            .gradients = gradients,
            .gradients_capacity = graph->n_gradients,
            .names = made->names,
        };
    }
    for (size_t v = 0; ok && v < graph->n_values; v++) {
        made->n_values = v + 1;
        ok = made->values[v].info.name[0] == '\0' || put_name(made, (trib_value)v);
    }
    if (!ok) {
        trib_graph_free(made);
        return trib_fail_no_memory(error);
    }
    made->n_nodes = graph->n_nodes;
    made->n_outputs = graph->n_outputs;
    made->n_updates = graph->n_updates;
    made->n_gradients = graph->n_gradients;
    *copy = made;
    return TRIB_OK;
}

/* Names go into messages, logs and files: printable ASCII without spaces. */
static enum trib_status check_name(const char *what, const char *name, struct trib_error *error)
{
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len >= TRIB_VALUE_NAME_LEN) {
        return trib_fail(error, TRIB_INVALID, "%s: a name has 1 to %d characters, not %zu", what,
                         TRIB_VALUE_NAME_LEN - 1, len);
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return trib_fail(error, TRIB_INVALID, "%s: byte %zu of the name is not a printable ASCII character", what,
                             i);
        }
    }
    return TRIB_OK;
}

static enum trib_status check_room(const struct trib_graph *graph, size_t extra, struct trib_error *error)
{
    if (graph->n_values + extra > TRIB_GRAPH_MAX_VALUES) {
        return trib_fail(error, TRIB_LIMIT, "a graph holds at most %d values", TRIB_GRAPH_MAX_VALUES);
    }
    return TRIB_OK;
}

/* Append an input, parameter or state whose kind, type, shape and rule are in `info`. */
static enum trib_status add_named(struct trib_graph *graph, const char *what, const char *name,
                                  struct trib_value_info info, trib_value *value, struct trib_error *error)
{
    TRIB_TRY(check_name(what, name, error));
    enum trib_status status = trib_graph_check_shape(&info.shape, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "%s '%s'", what, name);
    }
    if (trib_map_get(graph->names, name)) {
        return trib_fail(error, TRIB_EXISTS, "%s '%s': the graph has a value of this name already", what, name);
    }
    TRIB_TRY(check_room(graph, 1, error));
    if (!reserve_values(graph, 1)) {
        return trib_fail_no_memory(error);
    }
    (void)trib_str_copy(info.name, sizeof info.name, name); /* the length was checked */
    trib_value number = (trib_value)graph->n_values;
    graph->values[number] = (struct trib_graph_value){.info = info};
    if (!put_name(graph, number)) {
        return trib_fail_no_memory(error);
    }
    graph->n_values++;
    *value = number;
    return TRIB_OK;
}

enum trib_status trib_graph_input(struct trib_graph *graph, const char *name, enum trib_dtype dtype,
                                  const struct trib_shape *shape, trib_value *value, struct trib_error *error)
{
    if ((unsigned)dtype >= TRIB_DTYPE_COUNT) {
        return trib_fail(error, TRIB_INVALID, "input: element type %d is unknown", (int)dtype);
    }
    struct trib_value_info info = {.kind = TRIB_VALUE_INPUT, .dtype = dtype, .shape = *shape};
    return add_named(graph, "input", name, info, value, error);
}

enum trib_status trib_graph_variable(struct trib_graph *graph, enum trib_value_kind kind, const char *name,
                                     const struct trib_shape *shape, enum trib_init_rule init, trib_value *value,
                                     struct trib_error *error)
{
    if (kind != TRIB_VALUE_PARAMETER && kind != TRIB_VALUE_STATE) {
        return trib_fail(error, TRIB_INVALID, "variable: kind %d is neither parameter nor state", (int)kind);
    }
    const char *what = kind == TRIB_VALUE_PARAMETER ? "parameter" : "state";
    if ((unsigned)init >= TRIB_INIT_COUNT) {
        return trib_fail(error, TRIB_INVALID, "%s: initial rule %d is unknown", what, (int)init);
    }
    if (shape->rank > 0 && shape->dims[0] == TRIB_DIM_BATCH) {
        return trib_fail(error, TRIB_INVALID, "%s: shape %s depends on the batch", what, TRIB_SHOW(shape));
    }
    struct trib_value_info info = {.kind = kind, .dtype = TRIB_F32, .shape = *shape, .init = init};
    return add_named(graph, what, name, info, value, error);
}

enum trib_status trib_graph_constant(struct trib_graph *graph, float number, const struct trib_shape *shape,
                                     trib_value *value, struct trib_error *error)
{
    struct trib_shape checked = *shape; /* may lie in the list that is about to move */
    enum trib_status status = trib_graph_check_shape(&checked, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "constant");
    }
    if (!isfinite(number)) {
        return trib_fail(error, TRIB_NOT_FINITE, "constant: not a finite number");
    }
    TRIB_TRY(check_room(graph, 1, error));
    if (!reserve_values(graph, 1)) {
        return trib_fail_no_memory(error);
    }
    graph->values[graph->n_values] = (struct trib_graph_value){
        .info = {.kind = TRIB_VALUE_CONSTANT, .dtype = TRIB_F32, .shape = checked, .constant = number}};
    *value = (trib_value)graph->n_values++;
    return TRIB_OK;
}

/* The gradient of max pooling writes where its index says. Only an index that max_pool2d computed for the same
 * windows is sure to stay inside the image; one from a peer's input is not. */
static enum trib_status check_pool_index(const struct trib_graph *graph, const struct trib_attributes *attributes,
                                         trib_value index, struct trib_error *error)
{
    const struct trib_value_info *info = &graph->values[index].info;
    const struct trib_node *pool = info->kind == TRIB_VALUE_RESULT ? &graph->nodes[info->node] : NULL;
    if (!pool || pool->op != TRIB_OP_MAX_POOL2D || info->output != 1) {
        return trib_fail(error, TRIB_MISMATCH, "the index is not the second output of a max_pool2d");
    }
    struct trib_attributes windows = trib_attributes_normal(TRIB_OP_MAX_POOL2D, attributes);
    const struct trib_shape *x = &graph->values[pool->inputs[0]].info.shape;
    if (!trib_attributes_equal(&pool->attributes, &windows) || !trib_shape_equal(x, &attributes->shape)) {
        return trib_fail(error, TRIB_MISMATCH, "the index is of a max_pool2d with other windows or of another shape");
    }
    return TRIB_OK;
}

/* Check a node that would be appended and infer its outputs. */
static enum trib_status infer(const struct trib_graph *graph, const struct trib_op_info *info,
                              const struct trib_node *node, struct trib_shape *shapes, enum trib_dtype *dtypes,
                              struct trib_error *error)
{
    struct trib_shape inputs[TRIB_MAX_INPUTS];
    enum trib_dtype input_dtypes[TRIB_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) {
        inputs[i] = graph->values[node->inputs[i]].info.shape;
        input_dtypes[i] = graph->values[node->inputs[i]].info.dtype;
    }
    struct trib_shape_call call = {.attributes = &node->attributes,
                                   .n_inputs = node->n_inputs,
                                   .inputs = inputs,
                                   .input_dtypes = input_dtypes,
                                   .outputs = shapes,
                                   .output_dtypes = dtypes};
    TRIB_TRY(info->infer(&call, error));
    if (node->op == TRIB_OP_MAX_POOL2D_GRAD) {
        TRIB_TRY(check_pool_index(graph, &node->attributes, node->inputs[1], error));
    }
    for (int i = 0; i < info->n_outputs; i++) {
        TRIB_TRY(trib_graph_check_shape(&shapes[i], error));
    }
    return TRIB_OK;
}

static enum trib_status check_node(const struct trib_graph *graph, enum trib_op op, const trib_value *inputs,
                                   int n_inputs, struct trib_error *error)
{
    const struct trib_op_info *info = trib_op_info(op);
    if (!info) {
        return trib_fail(error, TRIB_UNSUPPORTED, "operator %d is unknown", (int)op);
    }
    if (n_inputs < info->min_inputs || n_inputs > info->max_inputs) {
        return trib_fail(error, TRIB_INVALID, "%s: %d inputs are outside %d..%d", info->name, n_inputs,
                         info->min_inputs, info->max_inputs);
    }
    for (int i = 0; i < n_inputs; i++) {
        if (inputs[i] >= graph->n_values) {
            return trib_fail(error, TRIB_INVALID, "%s: input %d: there is no value %u", info->name, i, inputs[i]);
        }
    }
    if (graph->n_nodes + 1 > TRIB_GRAPH_MAX_NODES) {
        return trib_fail(error, TRIB_LIMIT, "a graph holds at most %d nodes", TRIB_GRAPH_MAX_NODES);
    }
    return check_room(graph, (size_t)info->n_outputs, error);
}

enum trib_status trib_graph_node(struct trib_graph *graph, enum trib_op op, const struct trib_attributes *attributes,
                                 const trib_value *inputs, int n_inputs, trib_value *outputs, struct trib_error *error)
{
    TRIB_TRY(check_node(graph, op, inputs, n_inputs, error));
    const struct trib_op_info *info = trib_op_info(op);
    struct trib_node node = {.op = op, .attributes = trib_attributes_normal(op, attributes), .n_inputs = n_inputs};
    for (int i = 0; i < n_inputs; i++) {
        node.inputs[i] = inputs[i];
    }
    struct trib_shape shapes[TRIB_MAX_OUTPUTS] = {0};
    enum trib_dtype dtypes[TRIB_MAX_OUTPUTS] = {TRIB_F32, TRIB_F32, TRIB_F32, TRIB_F32, TRIB_F32};
    enum trib_status status = infer(graph, info, &node, shapes, dtypes, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "%s", info->name);
    }
    struct trib_node *nodes = with_room(graph->nodes, &graph->nodes_capacity, graph->n_nodes + 1, sizeof *nodes);
    graph->nodes = nodes ? nodes : graph->nodes;
    if (!nodes || !reserve_values(graph, (size_t)info->n_outputs)) {
        return trib_fail_no_memory(error);
    }
    for (int i = 0; i < info->n_outputs; i++) {
        node.outputs[i] = (trib_value)graph->n_values;
        graph->values[graph->n_values++] = (struct trib_graph_value){.info = {.kind = TRIB_VALUE_RESULT,
                                                                              .dtype = dtypes[i],
                                                                              .shape = shapes[i],
                                                                              .node = (uint32_t)graph->n_nodes,
                                                                              .output = i}};
        if (outputs) {
            outputs[i] = node.outputs[i];
        }
    }
    graph->nodes[graph->n_nodes++] = node;
    return TRIB_OK;
}

enum trib_status trib_graph_set_output(struct trib_graph *graph, const char *name, trib_value value,
                                       struct trib_error *error)
{
    TRIB_TRY(check_name("output", name, error));
    if (value >= graph->n_values) {
        return trib_fail(error, TRIB_INVALID, "output '%s': there is no value %u", name, value);
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0) {
            graph->outputs[i].value = value;
            return TRIB_OK;
        }
    }
    if (graph->n_outputs >= MAX_OUTPUTS) {
        return trib_fail(error, TRIB_LIMIT, "output '%s': a graph has at most %d outputs", name, MAX_OUTPUTS);
    }
    struct trib_graph_output *outputs =
        with_room(graph->outputs, &graph->outputs_capacity, graph->n_outputs + 1, sizeof *outputs);
    if (!outputs) {
        return trib_fail_no_memory(error);
    }
    graph->outputs = outputs;
    struct trib_graph_output *output = &outputs[graph->n_outputs++];
    output->value = value;
    (void)trib_str_copy(output->name, sizeof output->name, name); /* the length was checked */
    return TRIB_OK;
}

static enum trib_status check_link(const struct trib_graph *graph, const char *what, enum trib_value_kind kind,
                                   trib_value target, trib_value from, struct trib_error *error)
{
    if (target >= graph->n_values || graph->values[target].info.kind != kind) {
        return trib_fail(error, TRIB_INVALID, "%s: value %u is not a %s", what, target,
                         kind == TRIB_VALUE_STATE ? "state" : "parameter");
    }
    const struct trib_value_info *to = &graph->values[target].info;
    if (from >= graph->n_values) {
        return trib_fail(error, TRIB_INVALID, "%s of '%s': there is no value %u", what, to->name, from);
    }
    const struct trib_value_info *source = &graph->values[from].info;
    if (source->dtype != TRIB_F32 || !trib_shape_equal(&source->shape, &to->shape)) {
        return trib_fail(error, TRIB_MISMATCH, "%s of '%s': %s %s does not fit f32 %s", what, to->name,
                         trib_dtype_name(source->dtype), TRIB_SHOW(&source->shape), TRIB_SHOW(&to->shape));
    }
    return TRIB_OK;
}

/* Link `target`, in place of the link it has. */
static enum trib_status set_link(struct trib_graph *graph, struct trib_graph_link **links, size_t *n, size_t *capacity,
                                 trib_value target, trib_value from, struct trib_error *error)
{
    struct trib_graph_value *value = &graph->values[target];
    if (value->link > 0) {
        (*links)[value->link - 1].from = from;
        return TRIB_OK;
    }
    if (!reserve_links(links, *n, capacity)) {
        return trib_fail_no_memory(error);
    }
    (*links)[(*n)++] = (struct trib_graph_link){.state = target, .from = from};
    value->link = (uint32_t)*n;
    return TRIB_OK;
}

enum trib_status trib_graph_update_state(struct trib_graph *graph, trib_value state, trib_value from,
                                         struct trib_error *error)
{
    TRIB_TRY(check_link(graph, "update", TRIB_VALUE_STATE, state, from, error));
    return set_link(graph, &graph->updates, &graph->n_updates, &graph->updates_capacity, state, from, error);
}

enum trib_status trib_graph_set_gradient(struct trib_graph *graph, trib_value parameter, trib_value gradient,
                                         struct trib_error *error)
{
    TRIB_TRY(check_link(graph, "gradient", TRIB_VALUE_PARAMETER, parameter, gradient, error));
    return set_link(graph, &graph->gradients, &graph->n_gradients, &graph->gradients_capacity, parameter, gradient,
                    error);
}

uint32_t trib_graph_n_values(const struct trib_graph *graph)
{
    return (uint32_t)graph->n_values;
}

uint32_t trib_graph_n_nodes(const struct trib_graph *graph)
{
    return (uint32_t)graph->n_nodes;
}

const struct trib_value_info *trib_graph_value(const struct trib_graph *graph, trib_value value)
{
    return value < graph->n_values ? &graph->values[value].info : NULL;
}

const struct trib_node *trib_graph_node_at(const struct trib_graph *graph, uint32_t node)
{
    return node < graph->n_nodes ? &graph->nodes[node] : NULL;
}

size_t trib_graph_outputs(const struct trib_graph *graph, const struct trib_graph_output **outputs)
{
    *outputs = graph->outputs;
    return graph->n_outputs;
}

size_t trib_graph_updates(const struct trib_graph *graph, const struct trib_graph_link **updates)
{
    *updates = graph->updates;
    return graph->n_updates;
}

size_t trib_graph_gradients(const struct trib_graph *graph, const struct trib_graph_link **gradients)
{
    *gradients = graph->gradients;
    return graph->n_gradients;
}

bool trib_graph_find(const struct trib_graph *graph, const char *name, trib_value *value)
{
    void *number = trib_map_get(graph->names, name);
    if (number) {
        *value = (trib_value)((uintptr_t)number - 1);
    }
    return number;
}

bool trib_graph_find_output(const struct trib_graph *graph, const char *name, trib_value *value)
{
    for (size_t i = 0; i < graph->n_outputs; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0) {
            *value = graph->outputs[i].value;
            return true;
        }
    }
    return false;
}
