/* The ends of what the wire's parsers may meet: sizes near the largest, fields at the very end, half-empty pairs. */
#include "wire/chunk.h"
#include "wire/graph_message.h"

#include "base/crc.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "fail_memory.h"
#include "test_main.h"

#include <string.h>

static struct trib_error error;

static enum trib_status parse_chunk(const void *bytes, size_t len)
{
    struct trib_chunk chunk;
    size_t payload_offset;
    return trib_chunk_parse(bytes, len, len, &chunk, &payload_offset, &error);
}

START_TEST(a_fixed_field_must_be_whole)
{
    static const uint8_t eight[] = {9 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8}, four[] = {9 << 3 | 5, 1, 2, 3, 4};
    for (size_t len = 1; len <= sizeof eight; len++) {
        ck_assert_int_eq(parse_chunk(eight, len), len == sizeof eight ? TRIB_OK : TRIB_PROTOCOL);
    }
    for (size_t len = 1; len <= sizeof four; len++) {
        ck_assert_int_eq(parse_chunk(four, len), len == sizeof four ? TRIB_OK : TRIB_PROTOCOL);
    }
    for (uint8_t type = 3; type < 8; type++) { /* groups and what does not exist */
        const uint8_t tag[] = {(uint8_t)(9 << 3 | type), 0, 0, 0, 0, 0, 0, 0, 0};
        ck_assert_int_eq(parse_chunk(tag, 5), type == 5 ? TRIB_OK : TRIB_PROTOCOL);
    }
}
END_TEST

/* A receiver that goes on with what an earlier life stored has no running hash: its caller verifies the whole. */
START_TEST(a_resumed_receiver_hashes_nothing)
{
    static const uint8_t bytes[20] = "the end of something";
    struct trib_chunk_receiver receiver = {.blob_len = 100, .received = 80, .started = true};
    struct trib_chunk chunk = {
        .offset = 80, .payload_len = sizeof bytes, .last = true, .crc32c = trib_crc32c(0, bytes, sizeof bytes)};
    ck_assert_int_eq(trib_chunk_receiver_begin(&receiver, &chunk, &error), TRIB_OK);
    ck_assert_int_eq(trib_chunk_receiver_hash(&receiver, bytes, sizeof bytes, &error), TRIB_OK);
    ck_assert_int_eq(trib_chunk_receiver_end(&receiver, &chunk, chunk.crc32c, &error), TRIB_OK);
    ck_assert(receiver.complete);
    trib_chunk_receiver_clear(&receiver);
}
END_TEST

START_TEST(a_first_chunk_needs_hash_and_length)
{
    struct trib_chunk_receiver receiver;
    static const uint8_t digest[32] = {1};
    (void)fail_memory_after(0, true);
    enum trib_status status = trib_chunk_receiver_init(&receiver, digest, 10, &error);
    (void)fail_memory_after(-1, false);
    ck_assert_int_eq(status, TRIB_NO_MEMORY);
    ck_assert_int_eq(trib_chunk_receiver_init(&receiver, digest, 10, &error), TRIB_OK);
    struct trib_chunk chunk = {.has_sha256 = true, .payload_len = 10};
    memcpy(chunk.sha256, digest, sizeof digest);
    ck_assert_int_eq(trib_chunk_receiver_begin(&receiver, &chunk, &error), TRIB_PROTOCOL);
    chunk.blob_len = 10;
    ck_assert_int_eq(trib_chunk_receiver_begin(&receiver, &chunk, &error), TRIB_OK);
    chunk.has_sha256 = false;
    ck_assert_int_eq(trib_chunk_receiver_begin(&receiver, &chunk, &error), TRIB_PROTOCOL);
    ck_assert_str_eq(error.message, "the first chunk lacks the blob's hash and length");
    trib_chunk_receiver_clear(&receiver);
}
END_TEST

/* No byte is looked at before the memory that they may take is known. */
START_TEST(a_message_near_the_largest_size_is_refused)
{
    static const uint8_t byte = 0;
    const ProtobufCMessageDescriptor *descriptor = &tributary__v1__client_message__descriptor;
    ProtobufCMessage *message = NULL;
    ck_assert_int_eq(trib_message_unpack(descriptor, &byte, SIZE_MAX, &message, &error), TRIB_LIMIT);
    ck_assert_int_eq(trib_message_unpack(descriptor, &byte, SIZE_MAX / 32, &message, &error), TRIB_LIMIT);
    ck_assert_ptr_null(message);
    ck_assert_ptr_nonnull(strstr(error.message, "is too large"));
}
END_TEST

/* ---- graphs ---- */

static trib_value must_variable(struct trib_graph *graph, const char *name, struct trib_shape shape)
{
    trib_value value = 0;
    ck_assert_msg(trib_graph_variable(graph, TRIB_VALUE_PARAMETER, name, &shape, TRIB_INIT_ZEROS, &value, &error) ==
                      TRIB_OK,
                  "%s", error.message);
    return value;
}

/* A convolution of 1 x 3 with a fused activation and padding to one side only: every pair has a half that is zero. */
static struct trib_graph *one_convolution(enum trib_activation activation)
{
    struct trib_graph *graph = trib_graph_new();
    ck_assert_ptr_nonnull(graph);
    trib_value inputs[2], output;
    char long_name[TRIB_VALUE_NAME_LEN];
    memset(long_name, 'w', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const struct trib_shape image = {.rank = 4, .dims = {TRIB_DIM_BATCH, 5, 5, 2}};
    ck_assert_int_eq(trib_graph_input(graph, "x", TRIB_F32, &image, &inputs[0], &error), TRIB_OK);
    inputs[1] = must_variable(graph, long_name, (struct trib_shape){.rank = 4, .dims = {3, 1, 3, 2}});
    const struct trib_attributes attributes = {
        .kernel = {1, 3}, .stride = {1, 1}, .padding = {0, 1}, .groups = 1, .activation = activation};
    ck_assert_msg(trib_graph_node(graph, TRIB_OP_CONV2D, &attributes, inputs, 2, &output, &error) == TRIB_OK, "%s",
                  error.message);
    return graph;
}

START_TEST(half_empty_pairs_and_activations_survive)
{
    for (int i = 0; i < TRIB_ACTIVATION_COUNT; i++) {
        struct trib_graph *graph = one_convolution((enum trib_activation)i), *got = NULL;
        struct trib_buf first = {0}, second = {0};
        ck_assert_int_eq(trib_graph_pack(graph, &first, &error), TRIB_OK);
        ck_assert_msg(trib_graph_unpack(first.data, first.len, &got, &error) == TRIB_OK, "%s", error.message);
        ck_assert_int_eq(trib_graph_pack(got, &second, &error), TRIB_OK);
        ck_assert_uint_eq(first.len, second.len);
        ck_assert_mem_eq(first.data, second.data, first.len);
        trib_buf_clear(&first);
        trib_buf_clear(&second);
        trib_graph_free(graph);
        trib_graph_free(got);
    }
}
END_TEST

static enum trib_status unpack_item(Tributary__V1__Item *item)
{
    Tributary__V1__Graph message = TRIBUTARY__V1__GRAPH__INIT;
    struct trib_graph *graph = NULL;
    struct trib_buf bytes = {0};
    message.n_items = 1;
    message.items = &item;
    ck_assert_int_eq(trib_message_pack(&message.base, &bytes), TRIB_OK);
    enum trib_status status = trib_graph_unpack(bytes.data, bytes.len, &graph, &error);
    trib_graph_free(graph);
    trib_buf_clear(&bytes);
    return status;
}

START_TEST(each_kind_of_item_is_checked)
{
    static char name[] = "v", zeros[] = "zeros";
    int64_t dims[20] = {2};
    Tributary__V1__Shape shape = TRIBUTARY__V1__SHAPE__INIT;
    Tributary__V1__Item item = TRIBUTARY__V1__ITEM__INIT;
    Tributary__V1__Input input = TRIBUTARY__V1__INPUT__INIT;
    Tributary__V1__Constant constant = TRIBUTARY__V1__CONSTANT__INIT;
    Tributary__V1__Variable variable = TRIBUTARY__V1__VARIABLE__INIT;
    shape.dims = dims;
    shape.n_dims = 20;
    input.name = variable.name = name;
    variable.init = zeros;
    input.shape = constant.shape = variable.shape = &shape;
    item.kind_case = TRIBUTARY__V1__ITEM__KIND_INPUT;
    item.input = &input;
    ck_assert_int_eq(unpack_item(&item), TRIB_LIMIT);
    item.kind_case = TRIBUTARY__V1__ITEM__KIND_CONSTANT;
    item.constant = &constant;
    ck_assert_int_eq(unpack_item(&item), TRIB_LIMIT);
    shape.n_dims = 1;
    variable.dtype = (Tributary__V1__DType)9;
    item.kind_case = TRIBUTARY__V1__ITEM__KIND_VARIABLE;
    item.variable = &variable;
    ck_assert_int_eq(unpack_item(&item), TRIB_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.message, "graph item 0: element type 9"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire_edges");
    TCase *tests = tcase_create("wire_edges");
    tcase_add_test(tests, a_fixed_field_must_be_whole);
    tcase_add_test(tests, a_resumed_receiver_hashes_nothing);
    tcase_add_test(tests, a_first_chunk_needs_hash_and_length);
    tcase_add_test(tests, a_message_near_the_largest_size_is_refused);
    tcase_add_test(tests, half_empty_pairs_and_activations_survive);
    tcase_add_test(tests, each_kind_of_item_is_checked);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
