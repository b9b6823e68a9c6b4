/* The zoo: sizes, names, shapes, what a model refuses, and the inference form. */
#include "base/mem.h"
#include "model/schema.h"
#include "model/zoo.h"
#include "fail_memory.h"
#include "test_main.h"

#include <string.h>

static const struct trib_model_spec grey = {.example = {.rank = 3, .dims = {28, 28, 1}}, .classes = 10};
static const struct trib_model_spec colour = {.example = {.rank = 3, .dims = {32, 32, 3}}, .classes = 10};
static const struct trib_model_spec table = {.example = {.rank = 1, .dims = {784}}, .classes = 10};

static struct trib_graph *build(const char *name, const struct trib_model_spec *spec)
{
    struct trib_graph *graph = NULL;
    struct trib_error error = {0};
    ck_assert_msg(trib_zoo_build(name, spec, &graph, &error) == TRIB_OK, "%s", error.message);
    return graph;
}

static void expect_failure(const char *name, const struct trib_model_spec *spec, enum trib_status status,
                           const char *message)
{
    struct trib_graph *graph = NULL;
    struct trib_error error = {0};
    ck_assert_int_eq(trib_zoo_build(name, spec, &graph, &error), status);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(error.message, message);
}

START_TEST(models_have_their_known_sizes)
{
    static const struct {
        const char *name;
        const struct trib_model_spec *spec;
        size_t n;
    } known[] = {
        {"logistic", &table, 7850},
        {"mlp", &grey, 199210},
        {"cnn-mnist", &grey, 1663370},
        {"cnn-cifar", &colour, 2168362},
        /* stem 464; blocks 2 * 4672, 14528 + 18560, 57728 + 73984; out 650 */
        {"resnet-small", &colour, 175258},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct trib_graph *graph = build(known[i].name, known[i].spec);
        struct trib_schema schema;
        ck_assert_int_eq(trib_schema_init(&schema, graph, NULL), TRIB_OK);
        ck_assert_msg(schema.n_floats == known[i].n, "%s has %zu", known[i].name, schema.n_floats);
        trib_schema_clear(&schema);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(every_model_maps_x_to_logits)
{
    const struct trib_zoo_entry *const *entries;
    size_t n = trib_zoo(&entries);
    ck_assert_uint_eq(n, 5);
    for (size_t i = 0; i < n; i++) {
        struct trib_graph *graph = build(entries[i]->name, &colour);
        trib_value x, logits;
        ck_assert(trib_graph_find(graph, "x", &x));
        ck_assert(trib_graph_find_output(graph, "logits", &logits));
        ck_assert(trib_shape_equal(&trib_graph_value(graph, x)->shape, &TRIB_SHAPE(TRIB_DIM_BATCH, 32, 32, 3)));
        ck_assert(trib_shape_equal(&trib_graph_value(graph, logits)->shape, &TRIB_SHAPE(TRIB_DIM_BATCH, 10)));
        ck_assert_uint_gt(strlen(entries[i]->help), 0);
        trib_graph_free(graph);
    }
}
END_TEST

START_TEST(parameters_have_readable_names_and_documented_layouts)
{
    struct trib_graph *graph = build("cnn-mnist", &grey);
    struct trib_schema schema;
    ck_assert_int_eq(trib_schema_init(&schema, graph, NULL), TRIB_OK);
    static const char *const names[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                        "fc1.weight",   "fc1.bias",   "fc2.weight",   "fc2.bias"};
    ck_assert_uint_eq(schema.n_tensors, 8);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_str_eq(schema.tensors[i].name, names[i]);
        ck_assert(schema.tensors[i].trained);
    }
    ck_assert(trib_shape_equal(&schema.tensors[2].shape, &TRIB_SHAPE(64, 5, 5, 32)));
    ck_assert(trib_shape_equal(&schema.tensors[4].shape, &TRIB_SHAPE(512, 7 * 7 * 64)));
    trib_schema_clear(&schema);
    trib_graph_free(graph);
}
END_TEST

START_TEST(models_are_built_from_plain_nodes)
{
    struct trib_graph *graph = build("mlp", &grey);
    static const enum trib_op ops[] = {TRIB_OP_RESHAPE, TRIB_OP_MATMUL, TRIB_OP_ADD,    TRIB_OP_RELU, TRIB_OP_MATMUL,
                                       TRIB_OP_ADD,     TRIB_OP_RELU,   TRIB_OP_MATMUL, TRIB_OP_ADD};
    ck_assert_uint_eq(trib_graph_n_nodes(graph), sizeof ops / sizeof ops[0]);
    for (uint32_t i = 0; i < trib_graph_n_nodes(graph); i++) {
        ck_assert_int_eq(trib_graph_node_at(graph, i)->op, ops[i]);
    }
    trib_graph_free(graph);
}
END_TEST

START_TEST(what_a_model_cannot_take_is_said_with_shapes_and_advice)
{
    expect_failure("cnn-mnist", &table, TRIB_MISMATCH,
                   "model cnn-mnist: takes images [height, width, channels] of at least 4 x 4, but the examples are "
                   "[784]; use the model mlp, which takes any shape, or give the examples as images");
    const struct trib_model_spec tiny = {.example = {.rank = 3, .dims = {3, 28, 1}}, .classes = 10};
    expect_failure("cnn-cifar", &tiny, TRIB_MISMATCH,
                   "model cnn-cifar: takes images [height, width, channels] of at least 4 x 4, but the examples are "
                   "[3, 28, 1]; use the model mlp, which takes any shape, or give the examples as images");
    expect_failure("cnn-minst", &grey, TRIB_NOT_FOUND,
                   "unknown model \"cnn-minst\"; did you mean \"cnn-mnist\"? (models: logistic, mlp, cnn-mnist, "
                   "cnn-cifar, resnet-small)");
    expect_failure("transformer", &grey, TRIB_NOT_FOUND,
                   "unknown model \"transformer\" (models: logistic, mlp, cnn-mnist, cnn-cifar, resnet-small)");
    const struct trib_model_spec none = {.example = {.rank = 1, .dims = {784}}, .classes = 0};
    expect_failure("mlp", &none, TRIB_INVALID, "model mlp: classes: 0 is outside 1..10000000");
    const struct trib_model_spec empty = {.example = {.rank = 2, .dims = {0, 5}}, .classes = 2};
    expect_failure("mlp", &empty, TRIB_INVALID, "model mlp: example shape [0, 5] has an empty dimension");
    const struct trib_model_spec scalar = {.classes = 2};
    expect_failure("mlp", &scalar, TRIB_INVALID, "model mlp: an example has 0 dimensions; models take 1 to 3");
}
END_TEST

START_TEST(inference_keeps_the_schema)
{
    const struct trib_zoo_entry *const *entries;
    size_t n = trib_zoo(&entries);
    for (size_t i = 0; i < n; i++) {
        struct trib_graph *graph = build(entries[i]->name, &colour), *inference = NULL;
        ck_assert_int_eq(trib_inference_graph(graph, &inference, NULL), TRIB_OK);
        struct trib_schema a, b;
        ck_assert_int_eq(trib_schema_init(&a, graph, NULL), TRIB_OK);
        ck_assert_int_eq(trib_schema_init(&b, inference, NULL), TRIB_OK);
        ck_assert_mem_eq(a.hash, b.hash, TRIB_SHA256_LEN);
        trib_schema_clear(&a);
        trib_schema_clear(&b);
        trib_graph_free(graph);
        trib_graph_free(inference);
    }
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    for (int after = 0;; after++) {
        ck_assert_int_lt(after, 10000);
        struct trib_graph *graph = NULL, *inference = NULL;
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_zoo_build("resnet-small", &colour, &graph, NULL);
        if (status == TRIB_OK) {
            status = trib_inference_graph(graph, &inference, NULL);
        }
        (void)fail_memory_after(-1, false);
        ck_assert(status == TRIB_OK || status == TRIB_NO_MEMORY);
        ck_assert(status == TRIB_OK || !inference);
        trib_graph_free(graph);
        trib_graph_free(inference);
        if (status == TRIB_OK) {
            ck_assert_int_gt(after, 0);
            break;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zoo");
    TCase *tcase = tcase_create("zoo");
    tcase_add_test(tcase, models_have_their_known_sizes);
    tcase_add_test(tcase, every_model_maps_x_to_logits);
    tcase_add_test(tcase, parameters_have_readable_names_and_documented_layouts);
    tcase_add_test(tcase, models_are_built_from_plain_nodes);
    tcase_add_test(tcase, what_a_model_cannot_take_is_said_with_shapes_and_advice);
    tcase_add_test(tcase, inference_keeps_the_schema);
    tcase_add_test(tcase, every_failed_allocation_is_reported);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
