/* Models from a list of layers: what they become, and what a user reads after each kind of mistake. */
#include "base/mem.h"
#include "model/schema.h"
#include "model/zoo.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

static const struct trib_model_spec grey = {.example = {.rank = 3, .dims = {28, 28, 1}}, .classes = 10};

/* The text is a whole file with model.layers in it. */
static enum trib_status build(const char *text, const struct trib_model_spec *spec, struct trib_graph **graph,
                              struct trib_error *error)
{
    struct trib_config_node *root = NULL;
    enum trib_status status = trib_config_parse_text("server.yaml", text, strlen(text), &root, error);
    if (status != TRIB_OK) {
        return status;
    }
    const struct trib_config_node *model = trib_config_child(root, "model");
    ck_assert_ptr_nonnull(model);
    const struct trib_config_node *layers = trib_config_child(model, "layers");
    ck_assert_ptr_nonnull(layers);
    status = trib_layers_build(layers, spec, graph, error);
    trib_config_free(root);
    return status;
}

static struct trib_graph *must_build(const char *text, const struct trib_model_spec *spec)
{
    struct trib_graph *graph = NULL;
    struct trib_error error = {0};
    ck_assert_msg(build(text, spec, &graph, &error) == TRIB_OK, "%s", error.message);
    return graph;
}

static const char every_layer[] = "model:\n"
                                  "  layers:\n"
                                  "    - {layer: conv2d, channels: 16, kernel: 5, padding: same, bias: false}\n"
                                  "    - {layer: batch_norm}\n"
                                  "    - {layer: relu}\n"
                                  "    - {layer: max_pool2d, kernel: 2}\n"
                                  "    - {layer: conv2d, channels: 32, kernel: 3, stride: 2, padding: 1}\n"
                                  "    - {layer: group_norm, groups: 4}\n"
                                  "    - {layer: gelu}\n"
                                  "    - {layer: avg_pool2d, kernel: 3, stride: 1, padding: valid}\n"
                                  "    - {layer: global_avg_pool}\n"
                                  "    - {layer: flatten}\n"
                                  "    - {layer: linear, units: 20, bias: false, init: glorot_uniform}\n"
                                  "    - {layer: tanh}\n"
                                  "    - {layer: dropout, rate: 0.25}\n"
                                  "    - {layer: sigmoid}\n"
                                  "    - {layer: linear, units: 10}\n";

START_TEST(every_layer_builds)
{
    struct trib_graph *graph = must_build(every_layer, &grey);
    struct trib_schema schema;
    ck_assert_int_eq(trib_schema_init(&schema, graph, NULL), TRIB_OK);
    static const struct {
        const char *name;
        struct trib_shape shape;
        bool trained;
    } expected[] = {
        {"conv2d0.weight", {.rank = 4, .dims = {16, 5, 5, 1}}, true},
        {"batch_norm1.weight", {.rank = 1, .dims = {16}}, true},
        {"batch_norm1.bias", {.rank = 1, .dims = {16}}, true},
        {"batch_norm1.running_mean", {.rank = 1, .dims = {16}}, false},
        {"batch_norm1.running_var", {.rank = 1, .dims = {16}}, false},
        {"conv2d4.weight", {.rank = 4, .dims = {32, 3, 3, 16}}, true},
        {"conv2d4.bias", {.rank = 1, .dims = {32}}, true},
        {"group_norm5.weight", {.rank = 1, .dims = {32}}, true},
        {"group_norm5.bias", {.rank = 1, .dims = {32}}, true},
        {"linear10.weight", {.rank = 2, .dims = {20, 32}}, true},
        {"linear14.weight", {.rank = 2, .dims = {10, 20}}, true},
        {"linear14.bias", {.rank = 1, .dims = {10}}, true},
    };
    ck_assert_uint_eq(schema.n_tensors, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < schema.n_tensors; i++) {
        ck_assert_str_eq(schema.tensors[i].name, expected[i].name);
        ck_assert(trib_shape_equal(&schema.tensors[i].shape, &expected[i].shape));
        ck_assert_int_eq(schema.tensors[i].trained, expected[i].trained);
    }
    ck_assert_int_eq(schema.tensors[9].init, TRIB_INIT_GLOROT_UNIFORM);
    ck_assert_int_eq(schema.tensors[10].init, TRIB_INIT_HE_UNIFORM);
    const struct trib_graph_link *updates;
    ck_assert_uint_eq(trib_graph_updates(graph, &updates), 2);
    trib_schema_clear(&schema);
    trib_graph_free(graph);
}
END_TEST

static uint32_t count(const struct trib_graph *graph, enum trib_op op)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < trib_graph_n_nodes(graph); i++) {
        n += trib_graph_node_at(graph, i)->op == op ? 1 : 0;
    }
    return n;
}

START_TEST(inference_drops_what_belongs_to_training)
{
    struct trib_graph *graph = must_build(every_layer, &grey), *inference = NULL;
    ck_assert_uint_eq(count(graph, TRIB_OP_DROPOUT), 1);
    ck_assert_int_eq(trib_inference_graph(graph, &inference, NULL), TRIB_OK);
    ck_assert_uint_eq(count(inference, TRIB_OP_DROPOUT), 0);
    ck_assert_uint_eq(trib_graph_n_nodes(inference), trib_graph_n_nodes(graph) - 1);
    const struct trib_graph_link *updates;
    /* Training writes the statistics that batch norm gives after its output and the batch's own. */
    ck_assert_uint_eq(trib_graph_updates(graph, &updates), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct trib_node *norm = trib_graph_node_at(graph, trib_graph_value(graph, updates[i].from)->node);
        ck_assert_str_eq(trib_graph_value(graph, updates[i].state)->name,
                         i == 0 ? "batch_norm1.running_mean" : "batch_norm1.running_var");
        ck_assert_int_eq(norm->op, TRIB_OP_BATCH_NORM);
        ck_assert_uint_eq(norm->outputs[3 + i], updates[i].from);
        ck_assert_uint_eq(norm->inputs[3 + i], updates[i].state);
    }
    ck_assert_uint_eq(trib_graph_updates(inference, &updates), 0);
    for (uint32_t i = 0; i < trib_graph_n_nodes(inference); i++) {
        ck_assert(!trib_graph_node_at(inference, i)->attributes.training);
    }
    struct trib_schema a, b;
    ck_assert_int_eq(trib_schema_init(&a, graph, NULL), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&b, inference, NULL), TRIB_OK);
    ck_assert_mem_eq(a.hash, b.hash, TRIB_SHA256_LEN);
    trib_schema_clear(&a);
    trib_schema_clear(&b);
    trib_graph_free(graph);
    trib_graph_free(inference);
}
END_TEST

START_TEST(a_dropped_last_layer_leaves_the_output)
{
    const struct trib_model_spec two = {.example = {.rank = 1, .dims = {4}}, .classes = 2};
    struct trib_graph *graph = must_build("model:\n  layers:\n    - {layer: linear, units: 2}\n"
                                          "    - {layer: dropout, rate: 0.5}\n",
                                          &two);
    struct trib_graph *inference = NULL;
    ck_assert_int_eq(trib_inference_graph(graph, &inference, NULL), TRIB_OK);
    trib_value logits;
    ck_assert(trib_graph_find_output(inference, "logits", &logits));
    const struct trib_value_info *info = trib_graph_value(inference, logits);
    ck_assert_int_eq(trib_graph_node_at(inference, info->node)->op, TRIB_OP_ADD);
    trib_graph_free(graph);
    trib_graph_free(inference);
}
END_TEST

static const struct mistake {
    const char *layers, *message;
} mistakes[] = {
    {"    - {layer: conv2d, channels: 16, kernel: 0}\n",
     "server.yaml:3: model.layers[0].kernel: 0 is below the minimum 1"},
    {"    - {layer: relu}\n    - {layer: conv2d, channels: 16, kernel: 3, strid: 2}\n",
     "server.yaml:4: model.layers[1].strid: unknown key; did you mean \"stride\"?"},
    {"    - {layer: conv2d, channels: 16}\n",
     "server.yaml:3: model.layers[0].kernel: is required but missing (Height and width of the window.)"},
    {"    - {layer: con2d, channels: 16}\n",
     "server.yaml:3: model.layers[0].layer: unknown layer \"con2d\"; did you mean \"conv2d\"?"},
    {"    - {layer: attention}\n",
     "server.yaml:3: model.layers[0].layer: unknown layer \"attention\"; there are conv2d max_pool2d avg_pool2d "
     "global_avg_pool relu tanh sigmoid gelu batch_norm group_norm dropout flatten linear"},
    {"    - relu\n", "server.yaml:3: model.layers[0]: must be a map with the key layer, such as {layer: relu}"},
    {"    - {kernel: 3}\n", "server.yaml:3: model.layers[0]: must be a map with the key layer, such as {layer: relu}"},
    {"    - {layer: conv2d, channels: 4, kernel: 4, padding: same}\n",
     "server.yaml:3: model.layers[0]: padding: same needs an odd kernel, and 4 is even; give a number"},
    {"    - {layer: conv2d, channels: 4, kernel: 3, padding: full}\n",
     "server.yaml:3: model.layers[0]: padding: \"full\" is none of same, valid, and a number from 0 to 2 (kernel - "
     "1)"},
    {"    - {layer: linear, units: 10}\n",
     "server.yaml:3: model.layers[0]: linear takes [batch, features], but is given [batch, 28, 28, 1]; put a flatten "
     "layer before it"},
    {"    - {layer: flatten}\n    - {layer: conv2d, channels: 4, kernel: 3}\n",
     "server.yaml:4: model.layers[1]: conv2d takes images [batch, height, width, channels], but is given [batch, "
     "784]; image layers come before flatten, and need examples of height, width and channels"},
    {"    - {layer: max_pool2d, kernel: 16}\n    - {layer: max_pool2d, kernel: 2}\n",
     "server.yaml:4: model.layers[1]: max_pool2d: a 2 x 2 window does not fit into [batch, 1, 1, 1]; use larger "
     "images, a smaller kernel or fewer pools"},
    {"    - {layer: conv2d, channels: 6, kernel: 3}\n    - {layer: group_norm, groups: 4}\n",
     "server.yaml:4: model.layers[1]: group_norm: 6 channels do not divide into 4 groups; choose a divisor"},
    {"    - {layer: dropout, rate: 1.5}\n", "server.yaml:3: model.layers[0].rate: 1.5 is above the maximum 0.99"},
    {"    - {layer: flatten}\n    - {layer: linear, units: 20}\n",
     "server.yaml:2: model.layers: the model ends with [batch, 20] where [batch, 10] is needed, one "
     "number a class; end with {layer: linear, units: 10}"},
};

START_TEST(a_mistake_is_said_with_file_line_layer_and_key)
{
    const struct mistake *mistake = &mistakes[_i];
    char text[512];
    snprintf(text, sizeof text, "model:\n  layers:\n%s", mistake->layers);
    struct trib_graph *graph = NULL;
    struct trib_error error = {0};
    ck_assert_int_eq(build(text, &grey, &graph, &error), TRIB_CONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(error.message, mistake->message);
}
END_TEST

START_TEST(layers_must_be_a_list)
{
    static const char *const texts[] = {"model:\n  layers: mlp\n", "model:\n  layers: []\n",
                                        "model:\n  layers: {layer: relu}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct trib_graph *graph = NULL;
        struct trib_error error = {0};
        ck_assert_int_eq(build(texts[i], &grey, &graph, &error), TRIB_CONFIG);
        ck_assert_str_eq(error.message,
                         "server.yaml:2: model.layers: must be a list of layers, such as - {layer: linear, units: 10}");
    }
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    struct trib_config_node *root = NULL;
    ck_assert_int_eq(trib_config_parse_text("t", every_layer, strlen(every_layer), &root, NULL), TRIB_OK);
    const struct trib_config_node *layers = trib_config_child(trib_config_child(root, "model"), "layers");
    for (int after = 0;; after++) {
        ck_assert_int_lt(after, 10000);
        struct trib_graph *graph = NULL;
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_layers_build(layers, &grey, &graph, NULL);
        (void)fail_memory_after(-1, false);
        trib_graph_free(graph);
        if (status == TRIB_OK) {
            ck_assert_int_gt(after, 0);
            break;
        }
        ck_assert_int_eq(status, TRIB_NO_MEMORY);
        ck_assert_ptr_null(graph);
    }
    trib_config_free(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layers");
    TCase *tcase = tcase_create("layers");
    tcase_add_test(tcase, every_layer_builds);
    tcase_add_test(tcase, inference_drops_what_belongs_to_training);
    tcase_add_test(tcase, a_dropped_last_layer_leaves_the_output);
    tcase_add_loop_test(tcase, a_mistake_is_said_with_file_line_layer_and_key, 0,
                        (int)(sizeof mistakes / sizeof mistakes[0]));
    tcase_add_test(tcase, layers_must_be_a_list);
    tcase_add_test(tcase, every_failed_allocation_is_reported);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
