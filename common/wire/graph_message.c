/* The graph IR and its message: items in order of definition, so that reading is building. */
#include "wire/graph_message.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

static const char *const init_names[TRIB_INIT_COUNT] = {
    [TRIB_INIT_ZEROS] = "zeros",
    [TRIB_INIT_ONES] = "ones",
    [TRIB_INIT_HE_UNIFORM] = "he_uniform",
    [TRIB_INIT_GLOROT_UNIFORM] = "glorot_uniform",
};

/* ---- writing ---- */

/* Everything one item points to; lives on the stack while the item is packed. */
struct item_parts {
    Tributary__V1__Item item;
    Tributary__V1__Input input;
    Tributary__V1__Variable variable;
    Tributary__V1__Constant constant;
    Tributary__V1__Node node;
    Tributary__V1__Shape shape;
    int64_t dims[TRIB_MAX_RANK];
    uint32_t inputs[TRIB_MAX_INPUTS];
    int32_t kernel[2], stride[2], padding[2];
};

static void fill_shape(struct item_parts *parts, const struct trib_shape *shape)
{
    tributary__v1__shape__init(&parts->shape);
    parts->shape.n_dims = (size_t)shape->rank;
    parts->shape.dims = parts->dims;
    memcpy(parts->dims, shape->dims, sizeof parts->dims);
}

static void fill_pair(int32_t to[2], const int32_t from[2], size_t *n, int32_t **field)
{
    if (from[0] || from[1]) {
        memcpy(to, from, 2 * sizeof to[0]);
        *n = 2;
        *field = to;
    }
}

static void fill_node(struct item_parts *parts, const struct trib_node *node)
{
    Tributary__V1__Node *message = &parts->node;
    const struct trib_attributes *a = &node->attributes;
    tributary__v1__node__init(message);
    message->op = trib_message_lend(trib_op_info(node->op)->name);
    memcpy(parts->inputs, node->inputs, sizeof parts->inputs);
    message->n_inputs = (size_t)node->n_inputs;
    message->inputs = parts->inputs;
    message->transpose_a = a->transpose_a;
    message->transpose_b = a->transpose_b;
    message->training = a->training;
    if (a->activation != TRIB_ACTIVATION_NONE) {
        message->activation = trib_message_lend(trib_activation_name(a->activation));
    }
    fill_pair(parts->kernel, a->kernel, &message->n_kernel, &message->kernel);
    fill_pair(parts->stride, a->stride, &message->n_stride, &message->stride);
    fill_pair(parts->padding, a->padding, &message->n_padding, &message->padding);
    message->groups = a->groups;
    message->stream = a->stream;
    message->epsilon = a->epsilon;
    message->momentum = a->momentum;
    message->factor = a->factor;
    message->rate = a->rate;
    if (a->shape.rank > 0) {
        fill_shape(parts, &a->shape);
        message->shape = &parts->shape;
    }
    parts->item.kind_case = TRIBUTARY__V1__ITEM__KIND_NODE;
    parts->item.node = message;
}

static void fill_variable(struct item_parts *parts, const struct trib_value_info *info)
{
    tributary__v1__variable__init(&parts->variable);
    fill_shape(parts, &info->shape);
    parts->variable.name = trib_message_lend(info->name);
    parts->variable.shape = &parts->shape;
    parts->variable.dtype = (Tributary__V1__DType)info->dtype;
    parts->variable.state = info->kind == TRIB_VALUE_STATE;
    parts->variable.init = trib_message_lend(init_names[info->init]);
    parts->item.kind_case = TRIBUTARY__V1__ITEM__KIND_VARIABLE;
    parts->item.variable = &parts->variable;
}

static void fill_value(struct item_parts *parts, const struct trib_value_info *info)
{
    if (info->kind == TRIB_VALUE_INPUT) {
        tributary__v1__input__init(&parts->input);
        fill_shape(parts, &info->shape);
        parts->input.name = trib_message_lend(info->name);
        parts->input.shape = &parts->shape;
        parts->input.dtype = (Tributary__V1__DType)info->dtype;
        parts->item.kind_case = TRIBUTARY__V1__ITEM__KIND_INPUT;
        parts->item.input = &parts->input;
    } else if (info->kind == TRIB_VALUE_CONSTANT) {
        tributary__v1__constant__init(&parts->constant);
        fill_shape(parts, &info->shape);
        parts->constant.number = info->constant;
        parts->constant.shape = &parts->shape;
        parts->item.kind_case = TRIBUTARY__V1__ITEM__KIND_CONSTANT;
        parts->item.constant = &parts->constant;
    } else {
        fill_variable(parts, info);
    }
}

/* Append field `number` (length-delimited) with one packed message to buf. Graph's own fields are written this way
 * one by one, so that no array of all items is needed. */
static enum trib_status add_field(struct trib_buf *buf, unsigned number, const ProtobufCMessage *message)
{
    uint8_t head[16];
    size_t n = 0;
    head[n++] = (uint8_t)(number << 3 | 2);
    size_t len = protobuf_c_message_get_packed_size(message);
    while (len >= 0x80) {
        head[n++] = (uint8_t)(len | 0x80);
        len >>= 7;
    }
    head[n++] = (uint8_t)len;
    TRIB_TRY(trib_buf_add(buf, head, n));
    return trib_message_pack(message, buf);
}

enum { GRAPH_ITEMS = 1, GRAPH_OUTPUTS = 2, GRAPH_UPDATES = 3 };

static enum trib_status pack_items(const struct trib_graph *graph, struct trib_buf *buf)
{
    uint32_t n = trib_graph_n_values(graph);
    for (trib_value value = 0; value < n; value++) {
        const struct trib_value_info *info = trib_graph_value(graph, value);
        struct item_parts parts;
        tributary__v1__item__init(&parts.item);
        if (info->kind != TRIB_VALUE_RESULT) {
            fill_value(&parts, info);
        } else if (info->output == 0) {
            fill_node(&parts, trib_graph_node_at(graph, info->node));
        } else {
            continue; /* came with its node's first output */
        }
        TRIB_TRY(add_field(buf, GRAPH_ITEMS, &parts.item.base));
    }
    return TRIB_OK;
}

enum trib_status trib_graph_pack(const struct trib_graph *graph, struct trib_buf *buf, struct trib_error *error)
{
    const struct trib_graph_output *outputs;
    const struct trib_graph_link *updates;
    size_t n_outputs = trib_graph_outputs(graph, &outputs), n_updates = trib_graph_updates(graph, &updates);
    size_t before = buf->len;
    enum trib_status status = pack_items(graph, buf);
    for (size_t i = 0; status == TRIB_OK && i < n_outputs; i++) {
        Tributary__V1__Output message;
        tributary__v1__output__init(&message);
        message.name = trib_message_lend(outputs[i].name);
        message.value = outputs[i].value;
        status = add_field(buf, GRAPH_OUTPUTS, &message.base);
    }
    for (size_t i = 0; status == TRIB_OK && i < n_updates; i++) {
        Tributary__V1__StateUpdate message;
        tributary__v1__state_update__init(&message);
        message.state = updates[i].state;
        message.from = updates[i].from;
        status = add_field(buf, GRAPH_UPDATES, &message.base);
    }
    if (status != TRIB_OK) {
        buf->len = before;
        return trib_fail_no_memory(error);
    }
    return TRIB_OK;
}

/* ---- reading ---- */

static enum trib_status read_shape(const Tributary__V1__Shape *message, struct trib_shape *shape,
                                   struct trib_error *error)
{
    *shape = TRIB_SCALAR;
    if (!message) {
        return TRIB_OK;
    }
    if (message->n_dims > TRIB_MAX_RANK) {
        return trib_fail(error, TRIB_LIMIT, "shape of %zu dimensions; at most %d are supported", message->n_dims,
                         (int)TRIB_MAX_RANK);
    }
    shape->rank = (int)message->n_dims;
    for (size_t i = 0; i < message->n_dims; i++) {
        shape->dims[i] = message->dims[i];
    }
    return TRIB_OK;
}

static enum trib_status read_dtype(Tributary__V1__DType message, enum trib_dtype *dtype, struct trib_error *error)
{
    if (message != TRIBUTARY__V1__DTYPE__DTYPE_F32 && message != TRIBUTARY__V1__DTYPE__DTYPE_I32) {
        return trib_fail(error, TRIB_UNSUPPORTED, "element type %d is not known to this version", (int)message);
    }
    *dtype = message == TRIBUTARY__V1__DTYPE__DTYPE_I32 ? TRIB_I32 : TRIB_F32;
    return TRIB_OK;
}

static enum trib_status read_pair(const char *name, size_t n, const int32_t *from, int32_t to[2],
                                  struct trib_error *error)
{
    if (n != 0 && n != 2) {
        return trib_fail(error, TRIB_PROTOCOL, "%s has %zu numbers; it needs height and width", name, n);
    }
    if (n == 2) {
        memcpy(to, from, 2 * sizeof to[0]);
    }
    return TRIB_OK;
}

static enum trib_status read_activation(const char *name, enum trib_activation *activation, struct trib_error *error)
{
    *activation = TRIB_ACTIVATION_NONE;
    if (!name[0]) {
        return TRIB_OK;
    }
    for (int i = 0; i < TRIB_ACTIVATION_COUNT; i++) {
        if (trib_str_equal(name, trib_activation_name((enum trib_activation)i))) {
            *activation = (enum trib_activation)i;
            return TRIB_OK;
        }
    }
    return trib_fail(error, TRIB_UNSUPPORTED, "activation \"%.40s\" is not known to this version", name);
}

static enum trib_status read_attributes(const Tributary__V1__Node *message, struct trib_attributes *a,
                                        struct trib_error *error)
{
    *a = (struct trib_attributes){
        .transpose_a = message->transpose_a,
        .transpose_b = message->transpose_b,
        .training = message->training,
        .groups = message->groups,
        .stream = message->stream,
        .epsilon = message->epsilon,
        .momentum = message->momentum,
        .factor = message->factor,
        .rate = message->rate,
    };
    TRIB_TRY(read_activation(message->activation, &a->activation, error));
    TRIB_TRY(read_pair("kernel", message->n_kernel, message->kernel, a->kernel, error));
    TRIB_TRY(read_pair("stride", message->n_stride, message->stride, a->stride, error));
    TRIB_TRY(read_pair("padding", message->n_padding, message->padding, a->padding, error));
    return read_shape(message->shape, &a->shape, error);
}

static enum trib_status read_node(const Tributary__V1__Node *message, struct trib_graph *graph,
                                  struct trib_error *error)
{
    enum trib_op op;
    struct trib_attributes attributes;
    if (!trib_op_find(message->op, &op)) {
        return trib_fail(error, TRIB_UNSUPPORTED, "operator \"%.40s\" is not known to this version", message->op);
    }
    if (message->n_inputs > TRIB_MAX_INPUTS) {
        return trib_fail(error, TRIB_LIMIT, "operator %s with %zu inputs", message->op, message->n_inputs);
    }
    for (size_t i = 0; i < message->n_inputs; i++) {
        if (message->inputs[i] >= trib_graph_n_values(graph)) {
            return trib_fail(error, TRIB_PROTOCOL, "operator %s reads value %u, which does not exist yet", message->op,
                             message->inputs[i]);
        }
    }
    TRIB_TRY(read_attributes(message, &attributes, error));
    return trib_graph_node(graph, op, &attributes, message->inputs, (int)message->n_inputs, NULL, error);
}

static enum trib_status read_variable(const Tributary__V1__Variable *message, struct trib_graph *graph,
                                      struct trib_error *error)
{
    struct trib_shape shape;
    enum trib_dtype dtype = TRIB_F32;
    trib_value value;
    TRIB_TRY(read_shape(message->shape, &shape, error));
    TRIB_TRY(read_dtype(message->dtype, &dtype, error));
    if (dtype != TRIB_F32) {
        return trib_fail(error, TRIB_UNSUPPORTED, "variable \"%.40s\" is not of type f32", message->name);
    }
    for (int init = 0; init < TRIB_INIT_COUNT; init++) {
        if (trib_str_equal(message->init, init_names[init])) {
            return trib_graph_variable(graph, message->state ? TRIB_VALUE_STATE : TRIB_VALUE_PARAMETER, message->name,
                                       &shape, (enum trib_init_rule)init, &value, error);
        }
    }
    return trib_fail(error, TRIB_UNSUPPORTED, "initialisation \"%.40s\" is not known to this version", message->init);
}

static enum trib_status read_item(const Tributary__V1__Item *item, struct trib_graph *graph, struct trib_error *error)
{
    struct trib_shape shape;
    enum trib_dtype dtype = TRIB_F32;
    trib_value value;
    switch (item->kind_case) {
    case TRIBUTARY__V1__ITEM__KIND_INPUT:
        TRIB_TRY(read_shape(item->input->shape, &shape, error));
        TRIB_TRY(read_dtype(item->input->dtype, &dtype, error));
        return trib_graph_input(graph, item->input->name, dtype, &shape, &value, error);
    case TRIBUTARY__V1__ITEM__KIND_VARIABLE:
        return read_variable(item->variable, graph, error);
    case TRIBUTARY__V1__ITEM__KIND_CONSTANT:
        TRIB_TRY(read_shape(item->constant->shape, &shape, error));
        return trib_graph_constant(graph, item->constant->number, &shape, &value, error);
    case TRIBUTARY__V1__ITEM__KIND_NODE:
        return read_node(item->node, graph, error);
    default:
        return trib_fail(error, TRIB_UNSUPPORTED, "an item of a kind that this version does not know");
    }
}

static enum trib_status read_graph(const Tributary__V1__Graph *message, struct trib_graph *graph,
                                   struct trib_error *error)
{
    for (size_t i = 0; i < message->n_items; i++) {
        enum trib_status status = read_item(message->items[i], graph, error);
        if (status != TRIB_OK) {
            return trib_error_prefix(error, status, "graph item %zu", i);
        }
    }
    uint32_t n = trib_graph_n_values(graph);
    for (size_t i = 0; i < message->n_outputs; i++) {
        const Tributary__V1__Output *output = message->outputs[i];
        if (output->value >= n) {
            return trib_fail(error, TRIB_PROTOCOL, "output \"%.40s\" names value %u of %u", output->name, output->value,
                             n);
        }
        TRIB_TRY(trib_graph_set_output(graph, output->name, output->value, error));
    }
    for (size_t i = 0; i < message->n_updates; i++) {
        const Tributary__V1__StateUpdate *update = message->updates[i];
        if (update->state >= n || update->from >= n) {
            return trib_fail(error, TRIB_PROTOCOL, "state update %zu names a value that does not exist", i);
        }
        TRIB_TRY(trib_graph_update_state(graph, update->state, update->from, error));
    }
    return TRIB_OK;
}

enum trib_status trib_graph_unpack(const uint8_t *bytes, size_t len, struct trib_graph **graph,
                                   struct trib_error *error)
{
    ProtobufCMessage *message;
    TRIB_TRY(trib_message_unpack(&tributary__v1__graph__descriptor, bytes, len, &message, error));
    struct trib_graph *result = trib_graph_new();
    enum trib_status status =
        result ? read_graph((const Tributary__V1__Graph *)message, result, error) : trib_fail_no_memory(error);
    trib_message_free(message);
    if (status != TRIB_OK) {
        trib_graph_free(result);
        return status;
    }
    *graph = result;
    return TRIB_OK;
}
