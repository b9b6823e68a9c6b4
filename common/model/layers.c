/* A model from the configuration's list of layers: one row of the table each, one table of settings each. Pure
 * functions over a parsed tree; any thread. */
#include "build.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>

enum { LAYERS_MAX = 1000 };

/* What any layer can be told; a layer's rows say which of them it takes. */
struct settings {
    char *layer;
    int64_t channels, kernel, stride, units, groups;
    char *padding;
    bool bias;
    int init;
    double rate, epsilon, momentum;
};
struct layer {
    const char *name;
    enum trib_op op; /* of the layers that are little more than a node */
    const struct trib_config_row *rows;
    size_t n_rows;
    /* `name` is that of the parameters: type and number, as in the messages' layers[number]. A fault in a setting goes
     * to builder->error as any other. */
    void (*add)(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                const char *name, uint32_t number);
};

static const char *const init_names[] = {"zeros", "ones", "he_uniform", "glorot_uniform", NULL};
_Static_assert(sizeof init_names / sizeof init_names[0] == TRIB_INIT_COUNT + 1, "a name for every rule");

#define AT(member) TRIB_ROW_AT(struct settings, member)
#define ROW_LAYER                                                                                                      \
    {                                                                                                                  \
        .key = "layer", .type = TRIB_TYPE_STRING, .offset = AT(layer), .flags = TRIB_ROW_REQUIRED,                     \
        .help = "What it is."                                                                                          \
    }
#define ROW_INT(member, least, most, ...)                                                                              \
    {                                                                                                                  \
        .key = #member, .type = TRIB_TYPE_INT, .offset = AT(member), .min = (least), .max = (most), __VA_ARGS__        \
    }
#define ROW_REAL(member, least, most, ...)                                                                             \
    {                                                                                                                  \
        .key = #member, .type = TRIB_TYPE_REAL, .offset = AT(member), .min = (least), .max = (most), __VA_ARGS__       \
    }
#define ROW_PADDING                                                                                                    \
    {                                                                                                                  \
        .key = "padding", .type = TRIB_TYPE_STRING, .offset = AT(padding), .fallback = "valid", .max = 16,             \
        .help = "Zeros around the image: valid (none), same (the size stays with stride 1), or how many on each side." \
    }
#define ROW_BIAS                                                                                                       \
    {                                                                                                                  \
        .key = "bias", .type = TRIB_TYPE_BOOL, .offset = AT(bias), .fallback = "true", .help = "Add a bias."           \
    }
#define ROW_INIT                                                                                                       \
    {                                                                                                                  \
        .key = "init", .type = TRIB_TYPE_ENUM, .offset = AT(init), .fallback = "he_uniform", .choices = init_names,    \
        .help = "How the weight starts."                                                                               \
    }
#define ROW_KERNEL ROW_INT(kernel, 1, 1024, .flags = TRIB_ROW_REQUIRED, .help = "Height and width of the window.")
#define ROW_EPSILON                                                                                                    \
    ROW_REAL(epsilon, 1e-12, 1, .fallback = "1e-5", .help = "Added to the variance before the square root.")

static const struct trib_config_row plain_rows[] = {ROW_LAYER};
static const struct trib_config_row conv2d_rows[] = {
    ROW_LAYER,   ROW_INT(channels, 1, 65536, .flags = TRIB_ROW_REQUIRED, .help = "Channels of the result."),
    ROW_KERNEL,  ROW_INT(stride, 1, 1024, .fallback = "1", .help = "Step of the window."),
    ROW_PADDING, ROW_BIAS,
    ROW_INIT,
};
static const struct trib_config_row pool_rows[] = {
    ROW_LAYER,
    ROW_KERNEL,
    ROW_INT(stride, 0, 1024, .fallback = "0", .help = "Step of the window; 0 = its size."),
    ROW_PADDING,
};
static const struct trib_config_row linear_rows[] = {
    ROW_LAYER,
    ROW_INT(units, 1, 10000000, .flags = TRIB_ROW_REQUIRED, .help = "Numbers of the result."),
    ROW_BIAS,
    ROW_INIT,
};
static const struct trib_config_row batch_norm_rows[] = {
    ROW_LAYER,
    ROW_EPSILON,
    ROW_REAL(momentum, 0, 1, .fallback = "0.1", .help = "Weight of a batch in the running statistics."),
};
static const struct trib_config_row group_norm_rows[] = {
    ROW_LAYER,
    ROW_EPSILON,
    ROW_INT(groups, 1, 65536, .fallback = "8", .help = "Groups that the channels are divided into."),
};
static const struct trib_config_row dropout_rows[] = {
    ROW_LAYER,
    ROW_REAL(rate, 0, 0.99, .flags = TRIB_ROW_REQUIRED, .help = "Share of the numbers that are dropped."),
};

/* padding is text: "same", "valid" or a number. */
static bool read_padding(struct trib_builder *builder, const struct settings *settings, int32_t *padding)
{
    int32_t kernel = (int32_t)settings->kernel;
    if (trib_str_equal(settings->padding, "valid")) {
        *padding = 0;
        return true;
    }
    if (trib_str_equal(settings->padding, "same")) {
        if (kernel % 2 == 0) {
            builder->status = trib_fail(builder->error, TRIB_CONFIG,
                                        "padding: same needs an odd kernel, and %d is even; give a number", kernel);
            return false;
        }
        *padding = trib_padding_same(kernel);
        return true;
    }
    int64_t number;
    if (trib_parse_int(settings->padding, 0, settings->kernel - 1, &number, NULL) != TRIB_OK) {
        builder->status = trib_fail(builder->error, TRIB_CONFIG,
                                    "padding: \"%s\" is none of same, valid, and a number from 0 to %d (kernel - 1)",
                                    settings->padding, kernel - 1);
        return false;
    }
    *padding = (int32_t)number;
    return true;
}

static void add_conv2d(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                       const char *name, uint32_t number)
{
    (void)layer;
    (void)number;
    struct trib_window window = {
        .channels = settings->channels, .kernel = (int32_t)settings->kernel, .stride = (int32_t)settings->stride};
    if (read_padding(builder, settings, &window.padding)) {
        trib_build_conv2d(builder, name, &window, settings->bias, (enum trib_init_rule)settings->init);
    }
}

static void add_pool(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                     const char *name, uint32_t number)
{
    (void)name;
    (void)number;
    struct trib_window window = {.kernel = (int32_t)settings->kernel,
                                 .stride = (int32_t)(settings->stride ? settings->stride : settings->kernel)};
    if (read_padding(builder, settings, &window.padding)) {
        trib_build_pool(builder, layer->op, &window);
    }
}

static void add_activation(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                           const char *name, uint32_t number)
{
    (void)settings;
    (void)name;
    (void)number;
    trib_build_activation(builder, layer->op);
}

static void add_linear(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                       const char *name, uint32_t number)
{
    (void)layer;
    (void)number;
    trib_build_linear(builder, name, settings->units, settings->bias, (enum trib_init_rule)settings->init);
}

static void add_batch_norm(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                           const char *name, uint32_t number)
{
    (void)layer;
    (void)number;
    trib_build_batch_norm(builder, name, (float)settings->epsilon, (float)settings->momentum);
}

static void add_group_norm(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                           const char *name, uint32_t number)
{
    (void)layer;
    (void)number;
    trib_build_group_norm(builder, name, (int32_t)settings->groups, (float)settings->epsilon);
}

static void add_dropout(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                        const char *name, uint32_t number)
{
    (void)layer;
    (void)name;
    trib_build_dropout(builder, (float)settings->rate, number);
}

static void add_flatten(struct trib_builder *builder, const struct layer *layer, const struct settings *settings,
                        const char *name, uint32_t number)
{
    (void)layer;
    (void)settings;
    (void)name;
    (void)number;
    trib_build_flatten(builder);
}

static void add_global_avg_pool(struct trib_builder *builder, const struct layer *layer,
                                const struct settings *settings, const char *name, uint32_t number)
{
    (void)layer;
    (void)settings;
    (void)name;
    (void)number;
    trib_build_global_avg_pool(builder);
}

#define ROWS(table) .rows = table, .n_rows = sizeof table / sizeof table[0]
static const struct layer layer_table[] = {
    {.name = "conv2d", ROWS(conv2d_rows), .add = add_conv2d},
    {.name = "max_pool2d", .op = TRIB_OP_MAX_POOL2D, ROWS(pool_rows), .add = add_pool},
    {.name = "avg_pool2d", .op = TRIB_OP_AVG_POOL2D, ROWS(pool_rows), .add = add_pool},
    {.name = "global_avg_pool", ROWS(plain_rows), .add = add_global_avg_pool},
    {.name = "relu", .op = TRIB_OP_RELU, ROWS(plain_rows), .add = add_activation},
    {.name = "tanh", .op = TRIB_OP_TANH, ROWS(plain_rows), .add = add_activation},
    {.name = "sigmoid", .op = TRIB_OP_SIGMOID, ROWS(plain_rows), .add = add_activation},
    {.name = "gelu", .op = TRIB_OP_GELU, ROWS(plain_rows), .add = add_activation},
    {.name = "batch_norm", ROWS(batch_norm_rows), .add = add_batch_norm},
    {.name = "group_norm", ROWS(group_norm_rows), .add = add_group_norm},
    {.name = "dropout", ROWS(dropout_rows), .add = add_dropout},
    {.name = "flatten", ROWS(plain_rows), .add = add_flatten},
    {.name = "linear", ROWS(linear_rows), .add = add_linear},
};
enum { N_LAYERS = sizeof layer_table / sizeof layer_table[0] };

static enum trib_status unknown_layer(const struct trib_config_node *node, struct trib_error *error)
{
    const char *names[N_LAYERS];
    char list[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < N_LAYERS; i++) {
        names[i] = layer_table[i].name;
        int more = snprintf(list + len, sizeof list - len, "%s%s", i ? " " : "", names[i]);
        len += more > 0 && (size_t)more < sizeof list - len ? (size_t)more : 0;
    }
    const char *nearest = trib_str_nearest(node->scalar, names, N_LAYERS);
    if (nearest) {
        return trib_config_fail(node, error, "unknown layer \"%.40s\"; did you mean \"%s\"?", node->scalar, nearest);
    }
    return trib_config_fail(node, error, "unknown layer \"%.40s\"; there are %s", node->scalar, list);
}

/* NULL after a failure, which builder->status then is. */
static const struct layer *find_layer(struct trib_builder *builder, const struct trib_config_node *entry)
{
    const struct trib_config_node *name = entry->kind == TRIB_CONFIG_MAP ? trib_config_child(entry, "layer") : NULL;
    if (!name || name->kind != TRIB_CONFIG_SCALAR) {
        builder->status =
            trib_config_fail(entry, builder->error, "must be a map with the key layer, such as {layer: relu}");
        return NULL;
    }
    for (size_t i = 0; i < N_LAYERS; i++) {
        if (trib_str_equal(layer_table[i].name, name->scalar)) {
            return &layer_table[i];
        }
    }
    builder->status = unknown_layer(name, builder->error);
    return NULL;
}

static enum trib_status add_layer(struct trib_builder *builder, const struct trib_config_node *entry, uint32_t number)
{
    struct trib_error *error = builder->error;
    const struct layer *layer = find_layer(builder, entry);
    if (!layer) {
        return builder->status;
    }
    struct settings settings = {0};
    TRIB_TRY(trib_config_apply(entry, layer->rows, layer->n_rows, &settings, error));
    char name[TRIB_VALUE_NAME_LEN];
    snprintf(name, sizeof name, "%s%u", layer->name, number);
    struct trib_error fault = {0};
    builder->error = &fault;
    layer->add(builder, layer, &settings, name, number);
    builder->error = error;
    trib_config_clear(layer->rows, layer->n_rows, &settings);
    if (builder->status == TRIB_OK || builder->status == TRIB_NO_MEMORY) {
        return builder->status == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
    }
    /* what came from the graph knows nothing of files and lines */
    return trib_config_fail(entry, error, "%s", fault.message);
}

static enum trib_status end_layers(struct trib_builder *builder, const struct trib_config_node *layers, int64_t classes)
{
    struct trib_error *error = builder->error;
    struct trib_error fault = {0};
    builder->error = &fault;
    enum trib_status status = trib_build_end(builder, classes);
    builder->error = error;
    if (status == TRIB_OK || status == TRIB_NO_MEMORY) {
        return status == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
    }
    return trib_config_fail(layers, error, "%s; end with {layer: linear, units: %lld}", fault.message,
                            (long long)classes);
}

static enum trib_status build_layers(const struct trib_config_node *layers, const struct trib_model_spec *spec,
                                     struct trib_graph *graph, struct trib_error *error)
{
    struct trib_builder builder;
    trib_build_start(&builder, spec, graph, error);
    TRIB_TRY(builder.status);
    uint32_t number = 0;
    for (const struct trib_config_node *entry = layers->first; entry; entry = entry->next) {
        TRIB_TRY(add_layer(&builder, entry, number++));
    }
    return end_layers(&builder, layers, spec->classes);
}

enum trib_status trib_layers_build(const struct trib_config_node *layers, const struct trib_model_spec *spec,
                                   struct trib_graph **graph, struct trib_error *error)
{
    if (layers->kind != TRIB_CONFIG_LIST || layers->n == 0) {
        return trib_config_fail(layers, error, "must be a list of layers, such as - {layer: linear, units: 10}");
    }
    if (layers->n > LAYERS_MAX) {
        return trib_config_fail(layers, error, "%zu layers are more than the %d allowed", layers->n, LAYERS_MAX);
    }
    struct trib_graph *made = trib_graph_new();
    if (!made) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = build_layers(layers, spec, made, error);
    if (status != TRIB_OK) {
        trib_graph_free(made);
        return status;
    }
    *graph = made;
    return TRIB_OK;
}
