/* The graph and its message: every model of the zoo survives the way unchanged, and a message with anything wrong in it
 * is refused with the fault's name. */
#include "wire/graph_message.h"

#include "base/mem.h"
#include "base/rng.h"
#include "model/schema.h"
#include "model/zoo.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

static struct trib_error error;

static struct trib_graph *zoo_model(int i, const char **name)
{
    const struct trib_zoo_entry *const *entries;
    ck_assert_uint_lt((size_t)i, trib_zoo(&entries));
    bool color = strstr(entries[i]->name, "cifar") || strstr(entries[i]->name, "resnet");
    bool image = color || strstr(entries[i]->name, "cnn");
    struct trib_model_spec spec = {.classes = 10, .example = {.rank = 1, .dims = {784}}};
    if (image) {
        spec.example = color ? (struct trib_shape){.rank = 3, .dims = {32, 32, 3}}
                             : (struct trib_shape){.rank = 3, .dims = {28, 28, 1}};
    }
    struct trib_graph *graph = NULL;
    ck_assert_msg(trib_zoo_build(entries[i]->name, &spec, &graph, &error) == TRIB_OK, "%s", error.message);
    *name = entries[i]->name;
    return graph;
}

static int zoo_size(void)
{
    const struct trib_zoo_entry *const *entries;
    return (int)trib_zoo(&entries);
}

static void pack(const struct trib_graph *graph, struct trib_buf *buf)
{
    ck_assert_msg(trib_graph_pack(graph, buf, &error) == TRIB_OK, "%s", error.message);
}

static void print(const struct trib_graph *graph, struct trib_buf *text)
{
    ck_assert_int_eq(trib_graph_print(graph, text), TRIB_OK);
}

START_TEST(every_zoo_model_survives_the_way)
{
    const char *name;
    struct trib_graph *graph = zoo_model(_i, &name), *got = NULL;
    struct trib_buf first = {0}, second = {0}, text = {0}, got_text = {0};
    struct trib_schema schema, got_schema;
    pack(graph, &first);
    ck_assert_msg(trib_graph_unpack(first.data, first.len, &got, &error) == TRIB_OK, "%s: %s", name, error.message);
    pack(got, &second);
    ck_assert_uint_eq(first.len, second.len);
    ck_assert_mem_eq(first.data, second.data, first.len);
    print(graph, &text);
    print(got, &got_text);
    ck_assert_str_eq(trib_buf_text(&text), trib_buf_text(&got_text));
    ck_assert_int_eq(trib_schema_init(&schema, graph, &error), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&got_schema, got, &error), TRIB_OK);
    ck_assert_mem_eq(schema.hash, got_schema.hash, sizeof schema.hash);
    ck_assert_uint_eq(trib_graph_updates(graph, &(const struct trib_graph_link *){NULL}),
                      trib_graph_updates(got, &(const struct trib_graph_link *){NULL}));
    printf("%s: %zu bytes, %u values\n", name, first.len, trib_graph_n_values(graph));
    trib_schema_clear(&schema);
    trib_schema_clear(&got_schema);
    trib_buf_clear(&first);
    trib_buf_clear(&second);
    trib_buf_clear(&text);
    trib_buf_clear(&got_text);
    trib_graph_free(graph);
    trib_graph_free(got);
}
END_TEST

/* Any byte changed: an error with a message, or another graph that is sound in itself and survives the way. */
START_TEST(a_changed_byte_gives_an_error_or_a_sound_graph)
{
    const char *name;
    struct trib_graph *graph = zoo_model(_i, &name);
    struct trib_buf buf = {0};
    struct trib_rng rng = trib_rng_init(1, "corrupt", (uint64_t)_i, 0);
    int refused = 0, taken = 0;
    pack(graph, &buf);
    for (size_t at = 0; at < buf.len; at += 1 + buf.len / 4000) {
        uint8_t before = buf.data[at];
        buf.data[at] = (uint8_t)(before ^ (1U << trib_rng_below(&rng, 8)));
        struct trib_graph *got = NULL;
        error.message[0] = 0;
        if (trib_graph_unpack(buf.data, buf.len, &got, &error) == TRIB_OK) {
            struct trib_buf again = {0};
            struct trib_graph *third = NULL;
            pack(got, &again);
            ck_assert_msg(trib_graph_unpack(again.data, again.len, &third, &error) == TRIB_OK, "%s byte %zu: %s", name,
                          at, error.message);
            trib_graph_free(third);
            trib_buf_clear(&again);
            taken++;
        } else {
            ck_assert_ptr_null(got);
            ck_assert_str_ne(error.message, "");
            refused++;
        }
        trib_graph_free(got);
        buf.data[at] = before;
    }
    printf("%s: %d changed bytes refused, %d gave another sound graph\n", name, refused, taken);
    ck_assert_int_gt(refused, 0);
    trib_buf_clear(&buf);
    trib_graph_free(graph);
}
END_TEST

START_TEST(a_cut_message_is_refused_or_shorter)
{
    const char *name;
    struct trib_graph *graph = zoo_model(0, &name);
    struct trib_buf buf = {0};
    pack(graph, &buf);
    for (size_t len = 0; len < buf.len; len++) {
        struct trib_graph *got = NULL;
        if (trib_graph_unpack(buf.data, len, &got, &error) == TRIB_OK) {
            ck_assert_uint_le(trib_graph_n_values(got), trib_graph_n_values(graph));
            trib_graph_free(got);
        }
    }
    trib_buf_clear(&buf);
    trib_graph_free(graph);
}
END_TEST

/* ---- one fault at a time ---- */

/* x [batch, 4] -> matmul with w [4, 3] -> output; s is a state that takes its own value. Everything on the stack. */
struct model {
    Tributary__V1__Graph graph;
    Tributary__V1__Item items[5], *item_list[5];
    Tributary__V1__Input x;
    Tributary__V1__Variable w, s;
    Tributary__V1__Constant one;
    Tributary__V1__Node node;
    Tributary__V1__Shape x_shape, w_shape, s_shape;
    int64_t x_dims[2], w_dims[2], s_dims[1], many_dims[100];
    uint32_t inputs[8];
    int32_t three[3];
    Tributary__V1__Output output, *output_list[1];
    Tributary__V1__StateUpdate update, *update_list[1];
    char text[6][80];
};

static char *text_of(struct model *m, int i, const char *text)
{
    snprintf(m->text[i], sizeof m->text[i], "%s", text);
    return m->text[i];
}

static void set_shape(Tributary__V1__Shape *shape, int64_t *dims, size_t n)
{
    tributary__v1__shape__init(shape);
    shape->n_dims = n;
    shape->dims = dims;
}

static void fill_model(struct model *m)
{
    memset(m, 0, sizeof *m);
    tributary__v1__graph__init(&m->graph);
    memcpy(m->x_dims, (int64_t[]){-1, 4}, sizeof m->x_dims);
    memcpy(m->w_dims, (int64_t[]){4, 3}, sizeof m->w_dims);
    m->s_dims[0] = 3;
    set_shape(&m->x_shape, m->x_dims, 2);
    set_shape(&m->w_shape, m->w_dims, 2);
    set_shape(&m->s_shape, m->s_dims, 1);
    tributary__v1__input__init(&m->x);
    m->x.name = text_of(m, 0, "x");
    m->x.shape = &m->x_shape;
    tributary__v1__variable__init(&m->w);
    m->w.name = text_of(m, 1, "w");
    m->w.shape = &m->w_shape;
    m->w.init = text_of(m, 2, "he_uniform");
    m->s = m->w;
    m->s.name = text_of(m, 3, "s");
    m->s.shape = &m->s_shape;
    m->s.init = text_of(m, 4, "zeros");
    m->s.state = true;
    tributary__v1__constant__init(&m->one);
    m->one.number = 1;
    m->one.shape = &m->s_shape;
    tributary__v1__node__init(&m->node);
    m->node.op = text_of(m, 5, "matmul");
    m->inputs[1] = 1;
    m->node.n_inputs = 2;
    m->node.inputs = m->inputs;
    for (int i = 0; i < 5; i++) {
        tributary__v1__item__init(&m->items[i]);
        m->item_list[i] = &m->items[i];
    }
    m->items[0].kind_case = TRIBUTARY__V1__ITEM__KIND_INPUT;
    m->items[0].input = &m->x;
    m->items[1].kind_case = TRIBUTARY__V1__ITEM__KIND_VARIABLE;
    m->items[1].variable = &m->w;
    m->items[2].kind_case = TRIBUTARY__V1__ITEM__KIND_VARIABLE;
    m->items[2].variable = &m->s;
    m->items[3].kind_case = TRIBUTARY__V1__ITEM__KIND_CONSTANT;
    m->items[3].constant = &m->one;
    m->items[4].kind_case = TRIBUTARY__V1__ITEM__KIND_NODE;
    m->items[4].node = &m->node;
    tributary__v1__output__init(&m->output);
    m->output.name = text_of(m, 0, "x"); /* names of outputs are their own */
    m->output.value = 4;
    m->output_list[0] = &m->output;
    tributary__v1__state_update__init(&m->update);
    m->update.state = 2;
    m->update.from = 3;
    m->update_list[0] = &m->update;
    m->graph.n_items = 5;
    m->graph.items = m->item_list;
    m->graph.n_outputs = m->graph.n_updates = 1;
    m->graph.outputs = m->output_list;
    m->graph.updates = m->update_list;
}

static enum trib_status read_model(const struct model *m)
{
    struct trib_buf buf = {0};
    struct trib_graph *graph = NULL;
    ck_assert_int_eq(trib_message_pack(&m->graph.base, &buf), TRIB_OK);
    error.message[0] = 0;
    enum trib_status status = trib_graph_unpack(buf.data, buf.len, &graph, &error);
    ck_assert((status == TRIB_OK) == !!graph);
    trib_graph_free(graph);
    trib_buf_clear(&buf);
    return status;
}

#define FAULT(change, status, words)                                                                                   \
    do {                                                                                                               \
        struct model m;                                                                                                \
        fill_model(&m);                                                                                                \
        change;                                                                                                        \
        ck_assert_msg(read_model(&m) == (status), #change ": %s", error.message);                                      \
        ck_assert_msg(strstr(error.message, words), #change ": %s", error.message);                                    \
    } while (0)

static void repeat_dims(struct model *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        m->many_dims[i] = 2;
    }
    m->w_shape.dims = m->many_dims;
    m->w_shape.n_dims = n;
}

START_TEST(every_wrong_field_is_named)
{
    static char swish[] = "swish";
    struct model sound;
    fill_model(&sound);
    ck_assert_msg(read_model(&sound) == TRIB_OK, "%s", error.message);

    FAULT(text_of(&m, 5, "teleport"), TRIB_UNSUPPORTED,
          "graph item 4: operator \"teleport\" is not known to this version");
    FAULT(m.node.activation = swish, TRIB_UNSUPPORTED, "activation \"swish\" is not known to this version");
    FAULT(text_of(&m, 2, "magic"), TRIB_UNSUPPORTED,
          "graph item 1: initialisation \"magic\" is not known to this version");
    FAULT(m.x.dtype = (Tributary__V1__DType)7, TRIB_UNSUPPORTED, "element type 7 is not known to this version");
    FAULT(m.w.dtype = TRIBUTARY__V1__DTYPE__DTYPE_I32, TRIB_UNSUPPORTED, "variable \"w\" is not of type f32");
    FAULT(m.items[3].kind_case = TRIBUTARY__V1__ITEM__KIND__NOT_SET, TRIB_UNSUPPORTED,
          "graph item 3: an item of a kind");
    FAULT(m.inputs[1] = 9, TRIB_PROTOCOL, "operator matmul reads value 9, which does not exist yet");
    FAULT(m.inputs[1] = 4, TRIB_PROTOCOL, "operator matmul reads value 4, which does not exist yet"); /* itself */
    FAULT(m.node.n_inputs = 8, TRIB_LIMIT, "operator matmul with 8 inputs");
    FAULT(m.node.n_inputs = 1, TRIB_INVALID, "1 inputs are outside 2..2");
    FAULT((m.node.n_kernel = 3, m.node.kernel = m.three), TRIB_PROTOCOL, "kernel has 3 numbers");
    FAULT((m.node.n_stride = 1, m.node.stride = m.three), TRIB_PROTOCOL, "stride has 1 numbers");
    FAULT((m.node.n_padding = 3, m.node.padding = m.three), TRIB_PROTOCOL, "padding has 3 numbers");
    FAULT(repeat_dims(&m, 100), TRIB_LIMIT, "shape of 100 dimensions");
    FAULT(m.output.value = 77, TRIB_PROTOCOL, "output \"x\" names value 77 of 5");
    FAULT(m.update.state = 5, TRIB_PROTOCOL, "state update 0 names a value that does not exist");
    FAULT(m.update.from = UINT32_MAX, TRIB_PROTOCOL, "state update 0 names a value that does not exist");
}
END_TEST

/* What the graph's own rules refuse comes back as its own status, with the item's number. */
START_TEST(what_the_graph_refuses_is_refused)
{
    struct model m;
    for (int fault = 0; fault < 11; fault++) {
        fill_model(&m);
        switch (fault) {
        case 0:
            m.w_dims[0] = 5;
            break; /* does not multiply with x */
        case 1:
            m.w_dims[0] = -1;
            break; /* a variable without a size */
        case 2:
            m.w_dims[1] = 0;
            break;
        case 3:
            m.w_dims[1] = INT64_MAX;
            break;
        case 4:
            m.x_dims[1] = INT64_MIN;
            break;
        case 5:
            text_of(&m, 1, "x");
            break; /* a name twice */
        case 6:
            text_of(&m, 1, "");
            break;
        case 7:
            memset(text_of(&m, 1, ""), 'w', 79);
            break; /* a name too long */
        case 8:
            m.update.state = 0;
            break; /* an input is no state */
        case 9:
            m.update.from = 4;
            break; /* another shape */
        default:
            m.w.shape = NULL;
            break; /* a scalar does not multiply */
        }
        ck_assert_msg(read_model(&m) != TRIB_OK, "fault %d was taken", fault);
        ck_assert_str_ne(error.message, "");
    }
}
END_TEST

/* A graph as large as the graph's own bounds allow goes through the message's memory bound. */
START_TEST(a_graph_at_its_bounds_fits_into_the_memory_bound)
{
    struct trib_graph *graph = trib_graph_new(), *got = NULL;
    struct trib_shape shape = {.rank = 2, .dims = {TRIB_DIM_BATCH, 4}};
    trib_value value, output;
    ck_assert_int_eq(trib_graph_input(graph, "x", TRIB_F32, &shape, &value, &error), TRIB_OK);
    for (int i = 0; i < TRIB_GRAPH_MAX_NODES; i++) {
        ck_assert(trib_graph_node(graph, TRIB_OP_RELU, NULL, &value, 1, &output, &error) == TRIB_OK);
        value = output;
    }
    struct trib_buf buf = {0};
    pack(graph, &buf);
    ck_assert_msg(trib_graph_unpack(buf.data, buf.len, &got, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(trib_graph_n_nodes(got), TRIB_GRAPH_MAX_NODES);
    trib_buf_clear(&buf);
    trib_graph_free(graph);
    trib_graph_free(got);
}
END_TEST

START_TEST(short_memory_is_reported)
{
    struct model m;
    struct trib_buf buf = {0}, again = {0};
    struct trib_graph *graph = NULL;
    fill_model(&m);
    ck_assert_int_eq(trib_message_pack(&m.graph.base, &buf), TRIB_OK);
    for (int64_t after = 0;; after++) {
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_graph_unpack(buf.data, buf.len, &graph, &error);
        enum trib_status packed = status == TRIB_OK ? trib_graph_pack(graph, &again, &error) : status;
        (void)fail_memory_after(-1, false);
        ck_assert(status == TRIB_OK || !graph);
        trib_graph_free(graph);
        graph = NULL;
        if (packed == TRIB_OK) {
            break;
        }
        ck_assert_msg(packed == TRIB_NO_MEMORY, "allocation %d: %s", (int)after, error.message);
        ck_assert_uint_eq(again.len, 0);
    }
    ck_assert_uint_eq(buf.len, again.len);
    trib_buf_clear(&buf);
    trib_buf_clear(&again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph_message");
    TCase *tcase = tcase_create("graph");
    tcase_add_loop_test(tcase, every_zoo_model_survives_the_way, 0, zoo_size());
    tcase_add_loop_test(tcase, a_changed_byte_gives_an_error_or_a_sound_graph, 0, zoo_size());
    tcase_add_test(tcase, a_cut_message_is_refused_or_shorter);
    tcase_add_test(tcase, every_wrong_field_is_named);
    tcase_add_test(tcase, what_the_graph_refuses_is_refused);
    tcase_add_test(tcase, a_graph_at_its_bounds_fits_into_the_memory_bound);
    tcase_add_test(tcase, short_memory_is_reported);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
