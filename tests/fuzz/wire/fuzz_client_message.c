/* Any bytes as what a client says, and as what a server says: parsed within bounds, or refused. What was parsed is
 * written and parsed again to the same bytes. */
#include "wire/graph_message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_recipe(const ProtobufCMessage *message)
{
    const Tributary__V1__ServerMessage *server = (const Tributary__V1__ServerMessage *)(const void *)message;
    struct trib_recipe recipe;
    struct trib_error error;
    if (server->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK && server->task->recipe) {
        error.message[0] = 0;
        require(trib_recipe_from_message(server->task->recipe, &recipe, &error) == TRIB_OK || error.message[0]);
    }
}

static void parse(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size)
{
    ProtobufCMessage *message = NULL, *again = NULL;
    struct trib_error error;
    error.message[0] = 0;
    if (trib_message_unpack(descriptor, data, size, &message, &error) != TRIB_OK) {
        require(!message && error.message[0] != 0);
        return;
    }
    if (descriptor == &tributary__v1__server_message__descriptor) {
        check_recipe(message);
    }
    struct trib_buf first = {0}, second = {0};
    require(trib_message_pack(message, &first) == TRIB_OK);
    if (trib_message_unpack(descriptor, first.data, first.len, &again, &error) == TRIB_OK) {
        require(trib_message_pack(again, &second) == TRIB_OK);
        require(first.len == second.len && (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
    }
    trib_buf_clear(&first);
    trib_buf_clear(&second);
    trib_message_free(message);
    trib_message_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(&tributary__v1__client_message__descriptor, data, size);
    parse(&tributary__v1__server_message__descriptor, data, size);
    return 0;
}
