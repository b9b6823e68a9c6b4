/* Messages within bounds: nothing that a peer sends may expand, and what is not a message is refused by name. */
#include "wire/message.h"

#include "base/mem.h"
#include "base/rng.h"
#include "wire/graph_message.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

static struct trib_error error;

static enum trib_status unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t len,
                               ProtobufCMessage **message)
{
    /* an exact copy, so that the sanitizer sees a read past the end */
    uint8_t *copy = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    error.message[0] = 0;
    enum trib_status status = trib_message_unpack(descriptor, copy, len, message, &error);
    free(copy);
    ck_assert(status == TRIB_OK || error.message[0]);
    return status;
}

START_TEST(a_message_survives_the_way)
{
    char text[] = "node-7", codec[] = "f16", *codecs[] = {codec, codec};
    Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.node = text;
    hello.n_codecs = 2;
    hello.codecs = codecs;
    hello.examples = UINT64_MAX;
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    struct trib_buf buf = {0};
    ck_assert_int_eq(trib_buf_add(&buf, "before", 6), TRIB_OK);
    ck_assert_int_eq(trib_message_pack(&message.base, &buf), TRIB_OK);
    ProtobufCMessage *parsed;
    ck_assert_int_eq(unpack(&tributary__v1__client_message__descriptor, buf.data + 6, buf.len - 6, &parsed), TRIB_OK);
    const Tributary__V1__ClientMessage *got = (const Tributary__V1__ClientMessage *)(const void *)parsed;
    ck_assert_int_eq(got->kind_case, TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO);
    ck_assert_str_eq(got->hello->node, "node-7");
    ck_assert_uint_eq(got->hello->n_codecs, 2);
    ck_assert_str_eq(got->hello->codecs[1], "f16");
    ck_assert_uint_eq(got->hello->examples, UINT64_MAX);
    trib_message_free(parsed);
    trib_message_free(NULL);
    trib_buf_clear(&buf);
}
END_TEST

START_TEST(an_empty_message_is_one)
{
    ProtobufCMessage *parsed;
    ck_assert_int_eq(unpack(&tributary__v1__client_message__descriptor, "", 0, &parsed), TRIB_OK);
    const Tributary__V1__ClientMessage *got = (const Tributary__V1__ClientMessage *)(const void *)parsed;
    ck_assert_int_eq(got->kind_case, TRIBUTARY__V1__CLIENT_MESSAGE__KIND__NOT_SET);
    trib_message_free(parsed);
}
END_TEST

START_TEST(unknown_fields_are_ignored)
{
    /* Progress{round 5} with a field 99 behind it that a later version may have */
    static const uint8_t bytes[] = {0x08, 5, 0x9a, 0x06, 3, 'x', 'y', 'z'};
    ProtobufCMessage *parsed;
    ck_assert_int_eq(unpack(&tributary__v1__progress__descriptor, bytes, sizeof bytes, &parsed), TRIB_OK);
    ck_assert_uint_eq(((const Tributary__V1__Progress *)(const void *)parsed)->round, 5);
    trib_message_free(parsed);
}
END_TEST

/* Two bytes on the wire become a whole struct and a pointer in memory: many of them are refused before the memory is
 * taken. */
START_TEST(empty_submessages_do_not_expand)
{
    enum { LEN = 1 << 21 };
    uint8_t *bytes = calloc(1, LEN);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < LEN; i += 2) {
        bytes[i] = 1 << 3 | 2; /* items[i] = {} */
    }
    ProtobufCMessage *parsed = NULL;
    ck_assert_int_eq(unpack(&tributary__v1__graph__descriptor, bytes, LEN, &parsed), TRIB_LIMIT);
    ck_assert_ptr_null(parsed);
    ck_assert_ptr_nonnull(strstr(error.message, "would expand beyond"));
    struct trib_graph *graph = NULL;
    ck_assert_int_eq(trib_graph_unpack(bytes, LEN, &graph, &error), TRIB_LIMIT);
    for (size_t i = 0; i < LEN; i += 2) {
        bytes[i] = 4 << 3 | 2; /* hello.codecs[i] = "" */
    }
    enum trib_status status = unpack(&tributary__v1__hello__descriptor, bytes, LEN, &parsed);
    ck_assert(status == TRIB_LIMIT || status == TRIB_OK);
    if (status == TRIB_OK) {
        trib_message_free(parsed);
    }
    free(bytes);
}
END_TEST

START_TEST(what_is_no_message_is_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x08", 1},                                              /* a number that is missing */
        {"\x0a\x05xx", 4},                                        /* a field longer than the message */
        {"\x0a\xff\xff\xff\xff\x0f", 6},                          /* by far */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}, /* a varint without end */
        {"\x00\x01", 2},                                          /* field 0 */
        {"\x0b", 1},                                              /* a group */
        {"\x0f", 1},                                              /* a wire type that does not exist */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ProtobufCMessage *parsed = NULL;
        ck_assert_msg(unpack(&tributary__v1__hello__descriptor, bad[i].bytes, bad[i].len, &parsed) == TRIB_PROTOCOL,
                      "case %zu was taken", i);
        ck_assert_ptr_null(parsed);
    }
    ProtobufCMessage *parsed;
    ck_assert_int_eq(unpack(&tributary__v1__hello__descriptor, "\x08", 1, &parsed), TRIB_PROTOCOL);
    ck_assert_str_eq(error.message, "1 bytes are not a valid Hello message");
}
END_TEST

START_TEST(garbage_is_survived)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &tributary__v1__client_message__descriptor, &tributary__v1__server_message__descriptor,
        &tributary__v1__graph__descriptor, &tributary__v1__chunk__descriptor,
        &tributary__v1__download_request__descriptor};
    struct trib_rng rng = trib_rng_init(3, "garbage", 0, 0);
    int taken = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[96];
        size_t len = (size_t)trib_rng_below(&rng, sizeof bytes);
        for (size_t j = 0; j < len; j++) {
            /* mostly small numbers: they look like tags and lengths */
            bytes[j] = (uint8_t)trib_rng_below(&rng, trib_rng_below(&rng, 2) ? 32 : 256);
        }
        ProtobufCMessage *parsed = NULL;
        if (trib_message_unpack(kinds[(size_t)i % 5], bytes, len, &parsed, &error) == TRIB_OK) {
            taken++;
            trib_message_free(parsed);
        }
    }
    ck_assert_int_gt(taken, 0);
}
END_TEST

START_TEST(short_memory_is_reported)
{
    Tributary__V1__Goodbye goodbye = TRIBUTARY__V1__GOODBYE__INIT;
    char text[] = "so long";
    goodbye.reason = text;
    struct trib_buf buf = {0};
    ck_assert_int_eq(trib_message_pack(&goodbye.base, &buf), TRIB_OK);
    for (int64_t after = 0;; after++) {
        ProtobufCMessage *parsed = NULL;
        (void)fail_memory_after(after, false);
        enum trib_status status =
            trib_message_unpack(&tributary__v1__goodbye__descriptor, buf.data, buf.len, &parsed, &error);
        (void)fail_memory_after(-1, false);
        if (status == TRIB_OK) {
            ck_assert_int_gt(after, 0);
            trib_message_free(parsed);
            break;
        }
        ck_assert_int_eq(status, TRIB_NO_MEMORY);
        ck_assert_ptr_null(parsed);
    }
    trib_buf_clear(&buf);
}
END_TEST

static enum trib_status read_recipe(const char *loss, const char *optimizer, float rate)
{
    char loss_text[32], optimizer_text[32];
    snprintf(loss_text, sizeof loss_text, "%s", loss);
    snprintf(optimizer_text, sizeof optimizer_text, "%s", optimizer);
    Tributary__V1__Recipe message = TRIBUTARY__V1__RECIPE__INIT;
    message.loss = loss_text;
    message.optimizer = optimizer_text;
    message.epochs = 2;
    message.batch_size = 16;
    message.learning_rate = rate;
    struct trib_recipe recipe;
    return trib_recipe_from_message(&message, &recipe, &error);
}

START_TEST(recipes_are_checked_and_named)
{
    struct trib_recipe recipe = {.loss = TRIB_LOSS_MSE,
                                 .optimizer = TRIB_OPTIMIZER_SGD,
                                 .epochs = 3,
                                 .batch_size = 8,
                                 .max_steps = 9,
                                 .learning_rate = 0.5F,
                                 .momentum = 0.25F,
                                 .weight_decay = 0.125F,
                                 .clip_norm = 2,
                                 .proximal_mu = 0.75F},
                       got;
    Tributary__V1__Recipe message;
    trib_recipe_to_message(&recipe, &message);
    ck_assert_int_eq(trib_recipe_from_message(&message, &got, &error), TRIB_OK);
    ck_assert_mem_eq(&recipe, &got, sizeof got);
    ck_assert_int_eq(read_recipe("cross_entropy", "sgd", 0.1F), TRIB_OK);
    ck_assert_int_eq(read_recipe("hinge", "sgd", 0.1F), TRIB_UNSUPPORTED);
    ck_assert_str_eq(error.message, "loss \"hinge\" is not known to this version");
    ck_assert_int_eq(read_recipe("mse", "adam", 0.1F), TRIB_UNSUPPORTED);
    ck_assert_str_eq(error.message, "optimizer \"adam\" is not known to this version");
    ck_assert_int_ne(read_recipe("mse", "sgd", -1), TRIB_OK);
    ck_assert_int_ne(read_recipe("mse", "sgd", 0.0F / 0.0F), TRIB_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tcase = tcase_create("bounds");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_message_survives_the_way);
    tcase_add_test(tcase, an_empty_message_is_one);
    tcase_add_test(tcase, unknown_fields_are_ignored);
    tcase_add_test(tcase, empty_submessages_do_not_expand);
    tcase_add_test(tcase, what_is_no_message_is_refused);
    tcase_add_test(tcase, garbage_is_survived);
    tcase_add_test(tcase, short_memory_is_reported);
    tcase_add_test(tcase, recipes_are_checked_and_named);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
