/* A received message: gRPC's buffer, seen piece by piece in place. One thread at a time. */
#include "net_message.h"

#include "base/mem.h"

#include <grpc/slice.h>

#include <string.h>

struct trib_net_message {
    grpc_byte_buffer *buffer;
    uint8_t *joined; /* all pieces, once somebody asked for them in one run */
    size_t len;
};

static const grpc_slice_buffer *pieces_of(const struct trib_net_message *message)
{
    return &message->buffer->data.raw.slice_buffer;
}

struct trib_net_message *trib_net_message_take(grpc_byte_buffer *buffer)
{
    struct trib_net_message *message = NULL;
    if (buffer->type == GRPC_BB_RAW && buffer->data.raw.compression == GRPC_COMPRESS_NONE) {
        message = trib_malloc(sizeof *message);
    }
    if (!message) {
        grpc_byte_buffer_destroy(buffer);
        return NULL;
    }
    *message = (struct trib_net_message){.buffer = buffer, .joined = NULL, .len = grpc_byte_buffer_length(buffer)};
    return message;
}

size_t trib_net_message_len(const struct trib_net_message *message)
{
    return message->len;
}

bool trib_net_message_next(const struct trib_net_message *message, size_t *at, const uint8_t **piece, size_t *len)
{
    const grpc_slice_buffer *pieces = pieces_of(message);
    if (*at >= pieces->count) {
        return false;
    }
    const grpc_slice *slice = &pieces->slices[*at];
    *piece = GRPC_SLICE_START_PTR(*slice);
    *len = GRPC_SLICE_LENGTH(*slice);
    (*at)++;
    return true;
}

const uint8_t *trib_net_message_flat(struct trib_net_message *message)
{
    const grpc_slice_buffer *pieces = pieces_of(message);
    if (message->joined) {
        return message->joined;
    }
    if (pieces->count == 1) {
        return GRPC_SLICE_START_PTR(pieces->slices[0]);
    }
    uint8_t *joined = trib_malloc(message->len);
    if (!joined) {
        return NULL;
    }
    size_t filled = 0;
    size_t at = 0;
    size_t len = 0;
    const uint8_t *piece = NULL;
    while (trib_net_message_next(message, &at, &piece, &len)) {
        memcpy(joined + filled, piece, len);
        filled += len;
    }
    message->joined = joined;
    return joined;
}

void trib_net_message_free(struct trib_net_message *message)
{
    if (!message) {
        return;
    }
    grpc_byte_buffer_destroy(message->buffer);
    trib_free(message->joined);
    trib_free(message);
}
