/* Packing and unpacking of protobuf messages with bounded allocation. */
#include "wire/message.h"

#include "base/mem.h"

#include <stdint.h>

/* A graph of the smallest nodes, one after the other, takes 22 times its length. */
enum { BYTES_PER_BYTE = 32 };

/* What one parse may still allocate. */
struct budget {
    size_t left;
    bool exceeded, short_memory;
};

static void *budget_alloc(void *context, size_t size)
{
    struct budget *budget = context;
    if (size > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    void *block = trib_malloc(size);
    if (block) {
        budget->left -= size;
    } else {
        budget->short_memory = true;
    }
    return block;
}

static void budget_free(void *context, void *block)
{
    (void)context;
    trib_free(block);
}

char *trib_message_lend(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    return cast.out;
}

ProtobufCBinaryData trib_message_lend_bytes(const uint8_t *bytes, size_t len)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } cast = {.in = bytes};
    return (ProtobufCBinaryData){.data = cast.out, .len = len};
}

enum trib_status trib_message_pack(const ProtobufCMessage *message, struct trib_buf *buf)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    TRIB_TRY(trib_buf_reserve(buf, len));
    buf->len += protobuf_c_message_pack(message, buf->data + buf->len);
    return TRIB_OK;
}

enum trib_status trib_message_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
                                     ProtobufCMessage **message, struct trib_error *error)
{
    size_t limit;
    if (!trib_size_mul(len, BYTES_PER_BYTE, &limit) || !trib_size_add(limit, 65536, &limit)) {
        return trib_fail(error, TRIB_LIMIT, "%s message of %zu bytes is too large", descriptor->short_name, len);
    }
    struct budget budget = {.left = limit};
    ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
    ProtobufCMessage *parsed = protobuf_c_message_unpack(descriptor, &allocator, len, bytes);
    if (!parsed) {
        if (budget.exceeded) {
            return trib_fail(error, TRIB_LIMIT, "%s message of %zu bytes would expand beyond %zu bytes",
                             descriptor->short_name, len, limit);
        }
        if (budget.short_memory) {
            return trib_fail_no_memory(error);
        }
        return trib_fail(error, TRIB_PROTOCOL, "%zu bytes are not a valid %s message", len, descriptor->short_name);
    }
    *message = parsed;
    return TRIB_OK;
}

void trib_message_free(ProtobufCMessage *message)
{
    if (message) {
        struct budget unused = {.left = 0};
        ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &unused};
        protobuf_c_message_free_unpacked(message, &allocator);
    }
}
