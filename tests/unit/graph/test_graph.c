/* Building graphs: what is accepted, what is refused and with which words, and that a refusal changes nothing. */
#include "base/mem.h"
#include "fail_memory.h"
#include "graph_build.h"

#include <math.h>
#include <stdio.h>

static char *printed(const struct trib_graph *graph)
{
    struct trib_buf text = {0};
    ck_assert_int_eq(trib_graph_print(graph, &text), TRIB_OK);
    char *copy = strdup(trib_buf_text(&text));
    trib_buf_clear(&text);
    return copy;
}

START_TEST(prints_a_graph)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4, 4, 1)), w = parameter(graph, "w", TRIB_SHAPE(2, 3, 3, 1));
    trib_value half = constant(graph, 0.5f, TRIB_SCALAR);
    trib_value y = node(graph, TRIB_OP_CONV2D,
                        ATTRIBUTES(.stride = {1, 1}, .padding = {1, 1}, .activation = TRIB_ACTIVATION_RELU), x, w);
    y = node(graph, TRIB_OP_MAX_POOL2D, ATTRIBUTES(.kernel = {2, 2}, .stride = {2, 2}), y);
    y = node(graph, TRIB_OP_MUL, NO_ATTRIBUTES, y, half);
    y = node(graph, TRIB_OP_DROPOUT, ATTRIBUTES(.rate = 0.25f, .stream = 3), y);
    output(graph, "y", y);
    trib_value s = state(graph, "s", TRIB_SHAPE(2, 3, 3, 1));
    must(trib_graph_update_state(graph, s, w, error));
    char *text = printed(graph);
    ck_assert_str_eq(text, "%x: [batch, 4, 4, 1] = input f32\n"
                           "%w: [2, 3, 3, 1] = parameter he_uniform\n"
                           "%2: [] = constant 0.5\n"
                           "%3: [batch, 4, 4, 2] = conv2d(%x, %w) activation=relu stride=1x1 padding=1x1\n"
                           "%4, %5: [batch, 2, 2, 2], [batch, 2, 2, 2] = max_pool2d(%3) kernel=2x2 stride=2x2\n"
                           "%6: [batch, 2, 2, 2] = mul(%4, %2)\n"
                           "%7: [batch, 2, 2, 2] = dropout(%6) stream=3 rate=0.25\n"
                           "%s: [2, 3, 3, 1] = state zeros\n"
                           "output y = %7\n"
                           "update s = %w\n");
    free(text);
    trib_graph_free(graph);
}
END_TEST

START_TEST(finds_names_and_copies)
{
    struct trib_graph *graph = cnn(), *copy = NULL;
    differentiate(graph);
    must(trib_graph_copy(graph, &copy, error));
    char *a = printed(graph), *b = printed(copy);
    ck_assert_str_eq(a, b);
    free(a);
    free(b);
    trib_value value = 0, again = 0;
    ck_assert(trib_graph_find(copy, "gamma", &value));
    ck_assert(trib_graph_find(graph, "gamma", &again));
    ck_assert_uint_eq(value, again);
    ck_assert_str_eq(trib_graph_value(copy, value)->name, "gamma");
    ck_assert(!trib_graph_find(copy, "delta", &value));
    ck_assert(!trib_graph_find_output(copy, "delta", &value));
    ck_assert_ptr_null(trib_graph_value(copy, trib_graph_n_values(copy)));
    ck_assert_ptr_null(trib_graph_node_at(copy, trib_graph_n_nodes(copy)));
    /* The copy lives on its own, and its names are its own. */
    trib_graph_free(graph);
    struct trib_error error = {0};
    ck_assert_int_eq(trib_graph_variable(copy, TRIB_VALUE_STATE, "w1", &TRIB_SCALAR, TRIB_INIT_ZEROS, &value, &error),
                     TRIB_EXISTS);
    ck_assert_str_eq(error.message, "state 'w1': the graph has a value of this name already");
    trib_graph_free(copy);
    trib_graph_free(NULL);
}
END_TEST

START_TEST(setting_again_replaces)
{
    struct trib_graph *graph = new_graph();
    trib_value w = parameter(graph, "w", TRIB_SHAPE(3)), s = state(graph, "s", TRIB_SHAPE(3));
    trib_value a = relu(graph, w), b = relu(graph, a), found = 0;
    output(graph, "y", a);
    output(graph, "y", b);
    must(trib_graph_update_state(graph, s, a, error));
    must(trib_graph_update_state(graph, s, b, error));
    must(trib_graph_set_gradient(graph, w, a, error));
    must(trib_graph_set_gradient(graph, w, b, error));
    const struct trib_graph_link *links;
    ck_assert(trib_graph_find_output(graph, "y", &found));
    ck_assert_uint_eq(found, b);
    ck_assert_uint_eq(trib_graph_updates(graph, &links), 1);
    ck_assert_uint_eq(links[0].from, b);
    ck_assert_uint_eq(trib_graph_gradients(graph, &links), 1);
    ck_assert_uint_eq(links[0].from, b);
    trib_graph_free(graph);
}
END_TEST

/* One graph with a value of each kind that the refusals below need. */
struct samples {
    struct trib_graph *graph;
    trib_value batch784, w200x780, image, kernel, ints, vector, scalar, square, matrix_batch;
};

static struct samples samples(void)
{
    struct samples s = {.graph = new_graph()};
    s.batch784 = input(s.graph, "batch784", TRIB_SHAPE(BATCH, 784));
    s.w200x780 = parameter(s.graph, "w200x780", TRIB_SHAPE(200, 780));
    s.image = input(s.graph, "image", TRIB_SHAPE(BATCH, 28, 28, 3));
    s.kernel = parameter(s.graph, "kernel", TRIB_SHAPE(8, 5, 5, 3));
    s.ints = labels(s.graph, "ints");
    s.vector = parameter(s.graph, "vector", TRIB_SHAPE(3));
    s.scalar = parameter(s.graph, "scalar", TRIB_SCALAR);
    s.square = parameter(s.graph, "square", TRIB_SHAPE(4, 4));
    s.matrix_batch = input(s.graph, "matrix_batch", TRIB_SHAPE(BATCH, 780));
    return s;
}

static void refuse_node(struct samples *s, enum trib_op op, struct trib_attributes attributes, int n_inputs,
                        const trib_value *inputs, enum trib_status status, const char *message)
{
    struct trib_error error = {0};
    uint32_t values = trib_graph_n_values(s->graph), nodes = trib_graph_n_nodes(s->graph);
    ck_assert_int_eq(trib_graph_node(s->graph, op, &attributes, inputs, n_inputs, NULL, &error), status);
    ck_assert_str_eq(error.message, message);
    ck_assert_uint_eq(trib_graph_n_values(s->graph), values);
    ck_assert_uint_eq(trib_graph_n_nodes(s->graph), nodes);
}

#define refuse(s, op, attributes, status, message, ...)                                                                \
    refuse_node((s), (op), (attributes), (int)(sizeof((trib_value[]){__VA_ARGS__}) / sizeof(trib_value)),              \
                (trib_value[]){__VA_ARGS__}, (status), (message))

START_TEST(quotes_the_shapes_that_do_not_fit)
{
    struct samples s = samples();
    refuse(&s, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), TRIB_MISMATCH,
           "matmul: inner dimensions differ: [batch, 784] x [200, 780]^T", s.batch784, s.w200x780);
    refuse(&s, TRIB_OP_MATMUL, NO_ATTRIBUTES, TRIB_MISMATCH, "matmul: input 0 is [3], expected rank 2, a matrix",
           s.vector, s.square);
    refuse(&s, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), TRIB_INVALID,
           "matmul: shape [200, -1]: only the first dimension may be the batch (-1)", s.w200x780, s.matrix_batch);
    refuse(&s, TRIB_OP_LINEAR, NO_ATTRIBUTES, TRIB_MISMATCH, "linear: bias is [3], expected [4]", s.square, s.square,
           s.vector);
    refuse(&s, TRIB_OP_CONV2D, ATTRIBUTES(.stride = {1, 1}), TRIB_MISMATCH,
           "conv2d: expected [batch, height, width, in] and weights [out, height, width, in], got [batch, 784] and "
           "[8, 5, 5, 3]",
           s.batch784, s.kernel);
    refuse(&s, TRIB_OP_ADD, NO_ATTRIBUTES, TRIB_MISMATCH,
           "add: shapes differ: [3] and [4, 4]; the second must equal the first, be its trailing dimensions, or be a "
           "scalar",
           s.vector, s.square);
    refuse(&s, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 783)), TRIB_MISMATCH,
           "reshape: [batch, 784] does not have as many elements as [batch, 783]", s.batch784);
    refuse(&s, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(784)), TRIB_MISMATCH,
           "reshape: [batch, 784] does not have as many elements as [784]", s.batch784);
    refuse(&s, TRIB_OP_RELU, NO_ATTRIBUTES, TRIB_MISMATCH, "relu: input 0 is i32 [batch], expected f32", s.ints);
    refuse(&s, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NO_ATTRIBUTES, TRIB_MISMATCH,
           "softmax_cross_entropy: labels are f32, expected i32", s.batch784, s.vector);
    refuse(&s, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NO_ATTRIBUTES, TRIB_MISMATCH,
           "softmax_cross_entropy: the labels' shape is [batch], expected [4]", s.square, s.ints);
    refuse(&s, TRIB_OP_MSE, NO_ATTRIBUTES, TRIB_MISMATCH, "mse: the target is [3], expected [4, 4]", s.square,
           s.vector);
    refuse(&s, TRIB_OP_BATCH_NORM, ATTRIBUTES(.epsilon = 1e-5f), TRIB_MISMATCH,
           "batch_norm: running_var is [], expected [3]", s.image, s.vector, s.vector, s.vector, s.scalar);
    trib_graph_free(s.graph);
}
END_TEST

START_TEST(refuses_attributes_out_of_range)
{
    struct samples s = samples();
    struct trib_attributes at = {0};
    refuse(&s, TRIB_OP_CONV2D, at, TRIB_INVALID, "conv2d: stride 0 (height) is outside 1..65536", s.image, s.kernel);
    at = ATTRIBUTES(.stride = {1, -3});
    refuse(&s, TRIB_OP_CONV2D, at, TRIB_INVALID, "conv2d: stride -3 (width) is outside 1..65536", s.image, s.kernel);
    at = ATTRIBUTES(.stride = {1, 1}, .padding = {5, 0});
    refuse(&s, TRIB_OP_CONV2D, at, TRIB_INVALID, "conv2d: padding 5 (height) is outside 0..4, below the kernel",
           s.image, s.kernel);
    at = ATTRIBUTES(.stride = {1, 1}, .padding = {0, INT32_MIN});
    refuse(&s, TRIB_OP_CONV2D, at, TRIB_INVALID,
           "conv2d: padding -2147483648 (width) is outside 0..4, below the kernel", s.image, s.kernel);
    at = ATTRIBUTES(.stride = {1, 1}, .activation = (enum trib_activation)9);
    refuse(&s, TRIB_OP_CONV2D, at, TRIB_INVALID, "conv2d: activation 9 is unknown", s.image, s.kernel);
    at = ATTRIBUTES(.stride = {1, 1}, .kernel = {29, 2});
    refuse(&s, TRIB_OP_MAX_POOL2D, at, TRIB_MISMATCH,
           "max_pool2d: kernel height 29 is larger than the padded input's 28 of [batch, 28, 28, 3]", s.image);
    at = ATTRIBUTES(.stride = {1, 1});
    refuse(&s, TRIB_OP_MAX_POOL2D, at, TRIB_INVALID, "max_pool2d: kernel height 0 is outside 1..65536", s.image);
    at = ATTRIBUTES(.kernel = {2, 0}, .stride = {1, 1});
    refuse(&s, TRIB_OP_AVG_POOL2D, at, TRIB_INVALID, "avg_pool2d: kernel width 0 is outside 1..65536", s.image);
    at = ATTRIBUTES(.epsilon = 1e-5f);
    refuse(&s, TRIB_OP_GROUP_NORM, at, TRIB_INVALID,
           "group_norm: groups 0 does not divide the 3 channels of [batch, 28, 28, 3]", s.image, s.vector, s.vector);
    at.groups = 2;
    refuse(&s, TRIB_OP_GROUP_NORM, at, TRIB_INVALID,
           "group_norm: groups 2 does not divide the 3 channels of [batch, 28, 28, 3]", s.image, s.vector, s.vector);
    at = ATTRIBUTES(.groups = 3, .epsilon = -1);
    refuse(&s, TRIB_OP_GROUP_NORM, at, TRIB_INVALID, "group_norm: epsilon -1 is outside (0, 1]", s.image, s.vector,
           s.vector);
    at = ATTRIBUTES(.epsilon = 1e-5f, .momentum = 1.5f);
    refuse(&s, TRIB_OP_BATCH_NORM, at, TRIB_INVALID, "batch_norm: momentum 1.5 is outside [0, 1]", s.image, s.vector,
           s.vector, s.vector, s.vector);
    at = ATTRIBUTES(.rate = 1);
    refuse(&s, TRIB_OP_DROPOUT, at, TRIB_INVALID, "dropout: rate 1 is outside [0, 1)", s.image);
    at = ATTRIBUTES(.rate = NAN);
    refuse(&s, TRIB_OP_DROPOUT, at, TRIB_INVALID, "dropout: rate nan is outside [0, 1)", s.image);
    at = ATTRIBUTES(.factor = INFINITY);
    refuse(&s, TRIB_OP_SCALE, at, TRIB_NOT_FINITE, "scale: the factor is not a finite number", s.image);
    at = ATTRIBUTES(.shape = {.rank = 9});
    refuse(&s, TRIB_OP_RESHAPE, at, TRIB_INVALID, "reshape: a shape of rank 9 is outside 0..4", s.image);
    at = ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 0));
    refuse(&s, TRIB_OP_RESHAPE, at, TRIB_INVALID, "reshape: shape [batch, 0]: dimension 1 is below 1", s.image);
    at = ATTRIBUTES(.shape = TRIB_SHAPE(INT64_MAX, INT64_MAX));
    refuse(&s, TRIB_OP_REDUCE_TO, at, TRIB_LIMIT,
           "reduce_to: shape [9223372036854775807, 9223372036854775807] has more than 2^40 elements", s.image);
    trib_graph_free(s.graph);
}
END_TEST

START_TEST(refuses_wrong_nodes)
{
    struct samples s = samples();
    refuse(&s, (enum trib_op)TRIB_OP_COUNT, NO_ATTRIBUTES, TRIB_UNSUPPORTED, "operator 31 is unknown", s.image);
    refuse(&s, (enum trib_op) - 1, NO_ATTRIBUTES, TRIB_UNSUPPORTED, "operator -1 is unknown", s.image);
    refuse(&s, TRIB_OP_RELU, NO_ATTRIBUTES, TRIB_INVALID, "relu: 2 inputs are outside 1..1", s.image, s.image);
    refuse(&s, TRIB_OP_RELU, NO_ATTRIBUTES, TRIB_INVALID, "relu: input 0: there is no value 4000000", 4000000);
    trib_graph_free(s.graph);
}
END_TEST

/* A peer could feed any numbers as the index of a pooling gradient, which writes where they point. */
START_TEST(pooling_gradient_takes_only_its_own_index)
{
    struct samples s = samples();
    trib_value dy = input(s.graph, "dy", TRIB_SHAPE(BATCH, 14, 14, 3)), foreign = 0, pool[2];
    must(trib_graph_input(s.graph, "foreign", TRIB_I32, &TRIB_SHAPE(BATCH, 14, 14, 3), &foreign, error));
    struct trib_attributes at = {.kernel = {2, 2}, .stride = {2, 2}};
    must(trib_graph_node(s.graph, TRIB_OP_MAX_POOL2D, &at, &s.image, 1, pool, error));
    at.shape = TRIB_SHAPE(BATCH, 28, 28, 3);
    refuse(&s, TRIB_OP_MAX_POOL2D_GRAD, at, TRIB_MISMATCH,
           "max_pool2d_grad: the index is not the second output of a max_pool2d", dy, foreign);
    struct trib_attributes other = {.kernel = {1, 1}, .stride = {2, 2}, .shape = TRIB_SHAPE(BATCH, 27, 27, 3)};
    refuse(&s, TRIB_OP_MAX_POOL2D_GRAD, other, TRIB_MISMATCH,
           "max_pool2d_grad: the index is of a max_pool2d with other windows or of another shape", dy, pool[1]);
    (void)node(s.graph, TRIB_OP_MAX_POOL2D_GRAD, at, dy, pool[1]);
    trib_graph_free(s.graph);
}
END_TEST

START_TEST(refuses_wrong_leaves_and_links)
{
    struct samples s = samples();
    struct trib_error e = {0};
    struct trib_graph *g = s.graph;
    trib_value v = 0;
    uint32_t before = trib_graph_n_values(g);
    ck_assert_int_eq(trib_graph_input(g, "image", TRIB_F32, &TRIB_SCALAR, &v, &e), TRIB_EXISTS);
    ck_assert_int_eq(trib_graph_input(g, "", TRIB_F32, &TRIB_SCALAR, &v, &e), TRIB_INVALID);
    ck_assert_str_eq(e.message, "input: a name has 1 to 63 characters, not 0");
    ck_assert_int_eq(trib_graph_input(g, NULL, TRIB_F32, &TRIB_SCALAR, &v, &e), TRIB_INVALID);
    ck_assert_int_eq(trib_graph_input(g, "a\nb", TRIB_F32, &TRIB_SCALAR, &v, &e), TRIB_INVALID);
    ck_assert_str_eq(e.message, "input: byte 1 of the name is not a printable ASCII character");
    ck_assert_int_eq(trib_graph_input(g, "n", (enum trib_dtype)9, &TRIB_SCALAR, &v, &e), TRIB_INVALID);
    ck_assert_int_eq(trib_graph_input(g, "n", TRIB_F32, &TRIB_SHAPE(3, -9), &v, &e), TRIB_INVALID);
    ck_assert_str_eq(e.message, "input 'n': shape [3, -9]: dimension 1 is below 1");
    ck_assert_int_eq(trib_graph_variable(g, TRIB_VALUE_PARAMETER, "n", &TRIB_SHAPE(BATCH), TRIB_INIT_ONES, &v, &e),
                     TRIB_INVALID);
    ck_assert_str_eq(e.message, "parameter: shape [batch] depends on the batch");
    ck_assert_int_eq(trib_graph_variable(g, TRIB_VALUE_INPUT, "n", &TRIB_SCALAR, TRIB_INIT_ONES, &v, &e), TRIB_INVALID);
    ck_assert_int_eq(trib_graph_variable(g, TRIB_VALUE_STATE, "n", &TRIB_SCALAR, TRIB_INIT_COUNT, &v, &e),
                     TRIB_INVALID);
    ck_assert_int_eq(trib_graph_constant(g, NAN, &TRIB_SCALAR, &v, &e), TRIB_NOT_FINITE);
    ck_assert_int_eq(trib_graph_constant(g, 1, &TRIB_SHAPE(0), &v, &e), TRIB_INVALID);
    char longest[TRIB_VALUE_NAME_LEN + 1];
    memset(longest, 'a', sizeof longest);
    longest[TRIB_VALUE_NAME_LEN] = '\0';
    ck_assert_int_eq(trib_graph_input(g, longest, TRIB_F32, &TRIB_SCALAR, &v, &e), TRIB_INVALID);
    ck_assert_uint_eq(trib_graph_n_values(g), before);

    ck_assert_int_eq(trib_graph_set_output(g, "o", before, &e), TRIB_INVALID);
    ck_assert_int_eq(trib_graph_set_output(g, longest, s.image, &e), TRIB_INVALID);
    ck_assert_int_eq(trib_graph_update_state(g, s.square, s.square, &e), TRIB_INVALID);
    ck_assert_str_eq(e.message, "update: value 7 is not a state");
    ck_assert_int_eq(trib_graph_set_gradient(g, s.square, s.vector, &e), TRIB_MISMATCH);
    ck_assert_str_eq(e.message, "gradient of 'square': f32 [3] does not fit f32 [4, 4]");
    ck_assert_int_eq(trib_graph_set_gradient(g, s.square, 4000000, &e), TRIB_INVALID);
    longest[TRIB_VALUE_NAME_LEN - 1] = '\0';
    ck_assert_int_eq(trib_graph_input(g, longest, TRIB_F32, &TRIB_SCALAR, &v, &e), TRIB_OK);
    ck_assert(trib_graph_find(g, longest, &v));
    trib_graph_free(g);
}
END_TEST

START_TEST(graphs_are_bounded)
{
    struct trib_graph *graph = new_graph();
    struct trib_error error = {0};
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 2));
    for (int i = 0; i < TRIB_GRAPH_MAX_NODES; i++) {
        x = relu(graph, x);
    }
    ck_assert_int_eq(trib_graph_node(graph, TRIB_OP_RELU, NULL, &x, 1, &x, &error), TRIB_LIMIT);
    ck_assert_str_eq(error.message, "a graph holds at most 20000 nodes");
    enum trib_status status = TRIB_OK;
    for (int i = 0; status == TRIB_OK && i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "o%d", i);
        status = trib_graph_set_output(graph, name, x, &error);
    }
    ck_assert_int_eq(status, TRIB_LIMIT);
    for (status = TRIB_OK; status == TRIB_OK;) {
        status = trib_graph_constant(graph, 1, &TRIB_SCALAR, &x, &error);
    }
    ck_assert_int_eq(status, TRIB_LIMIT);
    ck_assert_uint_eq(trib_graph_n_values(graph), TRIB_GRAPH_MAX_VALUES);
    trib_graph_free(graph);
}
END_TEST

START_TEST(unused_attributes_are_stored_as_zero)
{
    struct trib_graph *graph = new_graph();
    struct trib_attributes noise;
    memset(&noise, 0, sizeof noise);
    noise = ATTRIBUTES(.transpose_a = true, .training = true, .activation = TRIB_ACTIVATION_GELU, .kernel = {1, 2},
                       .stride = {3, 4}, .padding = {5, 6}, .groups = 7, .stream = 8, .epsilon = 9, .momentum = 10,
                       .factor = 11, .rate = 12, .shape = TRIB_SHAPE(13));
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 6, 6, 2));
    (void)node(graph, TRIB_OP_RELU, noise, x);
    ck_assert(trib_attributes_equal(&trib_graph_node_at(graph, 0)->attributes, &NO_ATTRIBUTES));
    /* Pooling over the whole image has no windows to step by. */
    (void)node(graph, TRIB_OP_AVG_POOL2D, ATTRIBUTES(.stride = {2, 2}, .padding = {1, 1}), x);
    ck_assert(trib_attributes_equal(&trib_graph_node_at(graph, 1)->attributes, &NO_ATTRIBUTES));
    ck_assert(!trib_attributes_equal(&noise, &NO_ATTRIBUTES));
    trib_graph_free(graph);
}
END_TEST

static void expect_shape(struct samples *s, enum trib_op op, struct trib_attributes attributes, trib_value a,
                         trib_value b, int n_inputs, struct trib_shape expected)
{
    trib_value in[] = {a, b}, out[TRIB_MAX_OUTPUTS];
    must(trib_graph_node(s->graph, op, &attributes, in, n_inputs, out, error));
    ck_assert(trib_shape_equal(&trib_graph_value(s->graph, out[0])->shape, &expected));
}

START_TEST(infers_shapes)
{
    struct samples s = samples();
    struct trib_attributes window = {.kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0}};
    expect_shape(&s, TRIB_OP_CONV2D, ATTRIBUTES(.stride = {2, 1}, .padding = {2, 0}), s.image, s.kernel, 2,
                 TRIB_SHAPE(BATCH, 14, 24, 8));
    expect_shape(&s, TRIB_OP_MAX_POOL2D, window, s.image, 0, 1, TRIB_SHAPE(BATCH, 14, 9, 3));
    expect_shape(&s, TRIB_OP_AVG_POOL2D, window, s.image, 0, 1, TRIB_SHAPE(BATCH, 14, 9, 3));
    expect_shape(&s, TRIB_OP_AVG_POOL2D, NO_ATTRIBUTES, s.image, 0, 1, TRIB_SHAPE(BATCH, 1, 1, 3));
    expect_shape(&s, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_b = true), s.matrix_batch, s.w200x780, 2,
                 TRIB_SHAPE(BATCH, 200));
    /* The sum over the batch: both inner dimensions are the batch. */
    expect_shape(&s, TRIB_OP_MATMUL, ATTRIBUTES(.transpose_a = true), s.matrix_batch, s.batch784, 2,
                 TRIB_SHAPE(780, 784));
    expect_shape(&s, TRIB_OP_ADD, NO_ATTRIBUTES, s.image, s.vector, 2, TRIB_SHAPE(BATCH, 28, 28, 3));
    expect_shape(&s, TRIB_OP_MUL, NO_ATTRIBUTES, s.image, s.scalar, 2, TRIB_SHAPE(BATCH, 28, 28, 3));
    expect_shape(&s, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 2352)), s.image, 0, 1,
                 TRIB_SHAPE(BATCH, 2352));
    expect_shape(&s, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 1)), s.ints, 0, 1, TRIB_SHAPE(BATCH, 1));
    ck_assert_int_eq(trib_graph_value(s.graph, trib_graph_n_values(s.graph) - 1)->dtype, TRIB_I32);
    expect_shape(&s, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SHAPE(28, 3)), s.image, 0, 1, TRIB_SHAPE(28, 3));
    trib_graph_free(s.graph);
}
END_TEST

START_TEST(knows_its_operators)
{
    for (int i = 0; i < TRIB_OP_COUNT; i++) {
        enum trib_op op;
        const struct trib_op_info *info = trib_op_info((enum trib_op)i);
        ck_assert_ptr_nonnull(info);
        ck_assert(info->infer && info->gradient);
        ck_assert(trib_op_find(info->name, &op));
        ck_assert_int_eq(op, i);
    }
    enum trib_op op;
    ck_assert(!trib_op_find("no_such", &op));
    ck_assert_ptr_null(trib_op_info(TRIB_OP_COUNT));
    ck_assert(trib_op_info(TRIB_OP_RELU)->elementwise && !trib_op_info(TRIB_OP_MATMUL)->elementwise);
    ck_assert_str_eq(trib_activation_name(TRIB_ACTIVATION_TANH), "tanh");
}
END_TEST

/* Fail every allocation once: an error, and the graph is as it was. */
START_TEST(survives_short_memory)
{
    bool clean = false;
    for (int n = 0; !clean && n < 1000; n++) {
        struct trib_graph *graph = new_graph();
        trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 2)), w = parameter(graph, "w", TRIB_SHAPE(2));
        char *before = printed(graph);
        (void)fail_memory_after(n, false);
        struct trib_graph *copy = NULL;
        struct trib_error error = {0};
        enum trib_status status = trib_graph_copy(graph, &copy, &error);
        trib_value y = x, s;
        for (int i = 0; status == TRIB_OK && i < 20; i++) {
            char name[16];
            snprintf(name, sizeof name, "s%d", i);
            status = trib_graph_variable(copy, TRIB_VALUE_STATE, name, &TRIB_SHAPE(2), TRIB_INIT_ONES, &s, &error);
            if (status == TRIB_OK) {
                status = trib_graph_node(copy, TRIB_OP_ADD, NULL, (trib_value[]){y, w}, 2, &y, &error);
            }
            if (status == TRIB_OK) {
                status = trib_graph_set_output(copy, name, y, &error);
            }
            if (status == TRIB_OK) {
                status = trib_graph_update_state(copy, s, s, &error);
            }
        }
        clean = status == TRIB_OK;
        (void)fail_memory_after(-1, false);
        ck_assert(clean || status == TRIB_NO_MEMORY);
        if (copy) {
            char *text = printed(copy); /* whatever it holds is consistent */
            free(text);
        }
        char *after = printed(graph);
        ck_assert_str_eq(before, after);
        free(before);
        free(after);
        trib_graph_free(copy);
        trib_graph_free(graph);
    }
    ck_assert(clean);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *tests = tcase_create("graph");
    tcase_add_test(tests, prints_a_graph);
    tcase_add_test(tests, finds_names_and_copies);
    tcase_add_test(tests, setting_again_replaces);
    tcase_add_test(tests, quotes_the_shapes_that_do_not_fit);
    tcase_add_test(tests, refuses_attributes_out_of_range);
    tcase_add_test(tests, refuses_wrong_nodes);
    tcase_add_test(tests, pooling_gradient_takes_only_its_own_index);
    tcase_add_test(tests, refuses_wrong_leaves_and_links);
    tcase_add_test(tests, graphs_are_bounded);
    tcase_add_test(tests, unused_attributes_are_stored_as_zero);
    tcase_add_test(tests, infers_shapes);
    tcase_add_test(tests, knows_its_operators);
    tcase_add_test(tests, survives_short_memory);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
