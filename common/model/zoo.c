/* The models by name. Pure functions that append to a graph; any thread. */
#include "build.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>

enum { ZOO_RESNET_GROUPS = 8 };
static const float zoo_epsilon = 1e-5f;

static void conv_relu(struct trib_builder *builder, const char *name, int64_t channels, int32_t kernel)
{
    const struct trib_window window = {
        .channels = channels, .kernel = kernel, .stride = 1, .padding = trib_padding_same(kernel)};
    trib_build_conv2d(builder, name, &window, true, TRIB_INIT_HE_UNIFORM);
    trib_build_activation(builder, TRIB_OP_RELU);
}

static void linear_relu(struct trib_builder *builder, const char *name, int64_t units)
{
    trib_build_linear(builder, name, units, true, TRIB_INIT_HE_UNIFORM);
    trib_build_activation(builder, TRIB_OP_RELU);
}

static void pool2(struct trib_builder *builder)
{
    trib_build_pool(builder, TRIB_OP_MAX_POOL2D, &(struct trib_window){.kernel = 2, .stride = 2});
}

static enum trib_status finish(struct trib_builder *builder, const char *name, const struct trib_model_spec *spec)
{
    trib_build_linear(builder, name, spec->classes, true, TRIB_INIT_GLOROT_UNIFORM);
    return trib_build_end(builder, spec->classes);
}

/* Image models need [height, width, channels] and enough pixels for their pools. */
static enum trib_status need_images(const struct trib_model_spec *spec, int64_t least, struct trib_error *error)
{
    const struct trib_shape *example = &spec->example;
    if (example->rank == 3 && example->dims[0] >= least && example->dims[1] >= least) {
        return TRIB_OK;
    }
    char has[64];
    return trib_fail(error, TRIB_MISMATCH,
                     "takes images [height, width, channels] of at least %lld x %lld, but the examples are %s; use the "
                     "model mlp, which takes any shape, or give the examples as images",
                     (long long)least, (long long)least, trib_shape_format(example, has, sizeof has));
}

/* -> flatten -> out */
static enum trib_status build_logistic(const struct trib_model_spec *spec, struct trib_graph *graph,
                                       struct trib_error *error)
{
    struct trib_builder builder;
    trib_build_start(&builder, spec, graph, error);
    trib_build_flatten(&builder);
    return finish(&builder, "out", spec);
}

/* -> flatten -> 200 -> 200 -> out */
static enum trib_status build_mlp(const struct trib_model_spec *spec, struct trib_graph *graph,
                                  struct trib_error *error)
{
    struct trib_builder builder;
    trib_build_start(&builder, spec, graph, error);
    trib_build_flatten(&builder);
    linear_relu(&builder, "fc1", 200);
    linear_relu(&builder, "fc2", 200);
    return finish(&builder, "fc3", spec);
}

/* [B,H,W,C] -> [B,H/2,W/2,32] -> [B,H/4,W/4,64] -> 512 -> out; 1,663,370 parameters for 28x28x1 and 10 classes */
static enum trib_status build_cnn_mnist(const struct trib_model_spec *spec, struct trib_graph *graph,
                                        struct trib_error *error)
{
    TRIB_TRY(need_images(spec, 4, error));
    struct trib_builder builder;
    trib_build_start(&builder, spec, graph, error);
    conv_relu(&builder, "conv1", 32, 5);
    pool2(&builder);
    conv_relu(&builder, "conv2", 64, 5);
    pool2(&builder);
    trib_build_flatten(&builder);
    linear_relu(&builder, "fc1", 512);
    return finish(&builder, "fc2", spec);
}

/* [B,H,W,C] -> [B,H/2,W/2,32] -> [B,H/4,W/4,64] -> 512 -> out, two convolutions before each pool */
static enum trib_status build_cnn_cifar(const struct trib_model_spec *spec, struct trib_graph *graph,
                                        struct trib_error *error)
{
    TRIB_TRY(need_images(spec, 4, error));
    struct trib_builder builder;
    trib_build_start(&builder, spec, graph, error);
    conv_relu(&builder, "conv1", 32, 3);
    conv_relu(&builder, "conv2", 32, 3);
    pool2(&builder);
    conv_relu(&builder, "conv3", 64, 3);
    conv_relu(&builder, "conv4", 64, 3);
    pool2(&builder);
    trib_build_flatten(&builder);
    linear_relu(&builder, "fc1", 512);
    return finish(&builder, "fc2", spec);
}

/* "stage1.block2" and "conv1" to "stage1.block2.conv1". */
static void join(struct trib_builder *builder, const char *block, const char *part, char name[TRIB_VALUE_NAME_LEN])
{
    int len = snprintf(name, TRIB_VALUE_NAME_LEN, "%s.%s", block, part);
    if (len >= TRIB_VALUE_NAME_LEN && builder->status == TRIB_OK) {
        builder->status = trib_fail(builder->error, TRIB_LIMIT, "the name \"%s.%s\" is too long", block, part);
    }
}

/* A convolution without bias and its group norm, which has one. */
static void conv_norm(struct trib_builder *builder, const char *block, const char *part, const char *norm_part,
                      const struct trib_window *window)
{
    char name[TRIB_VALUE_NAME_LEN];
    join(builder, block, part, name);
    trib_build_conv2d(builder, name, window, false, TRIB_INIT_HE_UNIFORM);
    join(builder, block, norm_part, name);
    trib_build_group_norm(builder, name, ZOO_RESNET_GROUPS, zoo_epsilon);
}

/* y = relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)); the shortcut is x itself, or a 1x1 convolution where the
 * shape changes (He et al. 2016, option B). */
static void residual_block(struct trib_builder *builder, const char *block, int64_t channels, int32_t stride)
{
    trib_value input = builder->at;
    bool same = stride == 1 && builder->status == TRIB_OK && trib_build_shape(builder).dims[3] == channels;
    struct trib_window window = {.channels = channels, .kernel = 3, .stride = stride, .padding = 1};
    conv_norm(builder, block, "conv1", "norm1", &window);
    trib_build_activation(builder, TRIB_OP_RELU);
    window.stride = 1;
    conv_norm(builder, block, "conv2", "norm2", &window);
    trib_value branch = builder->at;
    builder->at = input;
    if (!same) {
        window = (struct trib_window){.channels = channels, .kernel = 1, .stride = stride};
        conv_norm(builder, block, "shortcut", "shortcut_norm", &window);
    }
    trib_build_add(builder, branch);
    trib_build_activation(builder, TRIB_OP_RELU);
}

/* [B,H,W,C] -> [B,H,W,16] -> 2 blocks -> [B,H/2,W/2,32] 2 blocks -> [B,H/4,W/4,64] 2 blocks -> mean -> out. Group
 * norm, since batch statistics of unlike clients do not average (Hsieh et al. 2020). */
static enum trib_status build_resnet_small(const struct trib_model_spec *spec, struct trib_graph *graph,
                                           struct trib_error *error)
{
    TRIB_TRY(need_images(spec, 4, error));
    struct trib_builder builder;
    trib_build_start(&builder, spec, graph, error);
    struct trib_window window = {.channels = 16, .kernel = 3, .stride = 1, .padding = 1};
    conv_norm(&builder, "stem", "conv", "norm", &window);
    trib_build_activation(&builder, TRIB_OP_RELU);
    for (int stage = 0; stage < 3; stage++) {
        for (int block = 0; block < 2; block++) {
            char name[TRIB_VALUE_NAME_LEN];
            snprintf(name, sizeof name, "stage%d.block%d", stage + 1, block + 1);
            residual_block(&builder, name, (int64_t)16 << stage, stage > 0 && block == 0 ? 2 : 1);
        }
    }
    trib_build_global_avg_pool(&builder);
    return finish(&builder, "out", spec);
}

#define MODEL(suffix, model_name, model_help)                                                                          \
    static const struct trib_zoo_entry entry_##suffix = {                                                              \
        .name = model_name, .help = model_help, .build = build_##suffix};
#include "zoo_list.def"
#undef MODEL

static const struct trib_zoo_entry *const zoo[] = {
#define MODEL(suffix, model_name, model_help) &entry_##suffix,
#include "zoo_list.def"
#undef MODEL
};

static const char *const zoo_names[] = {
#define MODEL(suffix, model_name, model_help) model_name,
#include "zoo_list.def"
#undef MODEL
};

size_t trib_zoo(const struct trib_zoo_entry *const **entries)
{
    *entries = zoo;
    return sizeof zoo / sizeof zoo[0];
}

static enum trib_status unknown_model(const char *name, struct trib_error *error)
{
    char list[256] = "";
    size_t len = 0;
    size_t n = sizeof zoo_names / sizeof zoo_names[0];
    for (size_t i = 0; i < n; i++) {
        int more = snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", zoo_names[i]);
        if (more < 0 || (size_t)more >= sizeof list - len) {
            break;
        }
        len += (size_t)more;
    }
    const char *nearest = trib_str_nearest(name, zoo_names, n);
    if (nearest) {
        return trib_fail(error, TRIB_NOT_FOUND, "unknown model \"%.64s\"; did you mean \"%s\"? (models: %s)", name,
                         nearest, list);
    }
    return trib_fail(error, TRIB_NOT_FOUND, "unknown model \"%.64s\" (models: %s)", name, list);
}

enum trib_status trib_zoo_build(const char *name, const struct trib_model_spec *spec, struct trib_graph **graph,
                                struct trib_error *error)
{
    for (size_t i = 0; i < sizeof zoo / sizeof zoo[0]; i++) {
        if (!trib_str_equal(zoo[i]->name, name)) {
            continue;
        }
        struct trib_graph *made = trib_graph_new();
        if (!made) {
            return trib_fail_no_memory(error);
        }
        enum trib_status status = zoo[i]->build(spec, made, error);
        if (status != TRIB_OK) {
            trib_graph_free(made);
            return trib_error_prefix(error, status, "model %s", name);
        }
        *graph = made;
        return TRIB_OK;
    }
    return unknown_model(name, error);
}
