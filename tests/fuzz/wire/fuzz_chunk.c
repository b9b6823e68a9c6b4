/* Any bytes as a Chunk message: never a crash, a payload outside of the message, or another answer than protobuf's own
 * parser gives; and what was taken can be written and read again. */
#include "wire/chunk.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void require_same(const struct trib_chunk *a, const struct trib_chunk *b)
{
    require(strcmp(a->run, b->run) == 0 && a->round == b->round && a->has_sha256 == b->has_sha256);
    require(memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0);
    require(a->blob_len == b->blob_len && a->offset == b->offset && a->crc32c == b->crc32c && a->last == b->last);
    require(a->payload_len == b->payload_len);
}

/* What our parser takes, protobuf's takes as well, and reads the same. */
static void compare(const struct trib_chunk *chunk, const uint8_t *data, size_t size, size_t payload_offset)
{
    ProtobufCMessage *parsed;
    struct trib_error error;
    if (trib_message_unpack(&tributary__v1__chunk__descriptor, data, size, &parsed, &error) != TRIB_OK) {
        return; /* it is stricter about what it skips */
    }
    const Tributary__V1__Chunk *other = (const Tributary__V1__Chunk *)(const void *)parsed;
    require(strcmp(chunk->run, other->run) == 0 && chunk->round == other->round);
    require(chunk->blob_len == other->blob_len && chunk->offset == other->offset);
    require(chunk->crc32c == other->crc32c && chunk->last == (other->last != 0));
    require(chunk->payload_len == other->payload.len);
    require(other->payload.len == 0 || memcmp(data + payload_offset, other->payload.data, other->payload.len) == 0);
    trib_message_free(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_chunk chunk, again;
    struct trib_error error;
    size_t payload_offset, head_len = size < TRIB_CHUNK_HEAD_MAX ? size : TRIB_CHUNK_HEAD_MAX;
    uint8_t *head = malloc(head_len ? head_len : 1); /* exactly what is at hand */
    require(head);
    if (head_len > 0) {
        memcpy(head, data, head_len);
    }
    error.message[0] = 0;
    enum trib_status status = trib_chunk_parse(head, head_len, size, &chunk, &payload_offset, &error);
    free(head);
    if (status != TRIB_OK) {
        require(error.message[0] != 0);
        return 0;
    }
    require(payload_offset <= size && chunk.payload_len == size - payload_offset);
    compare(&chunk, data, size, payload_offset);
    uint8_t own[TRIB_CHUNK_HEAD_MAX];
    size_t own_len = trib_chunk_head(&chunk, own), own_offset;
    require(own_len <= TRIB_CHUNK_HEAD_MAX);
    require(trib_chunk_parse(own, own_len, own_len + chunk.payload_len, &again, &own_offset, &error) == TRIB_OK);
    require(own_offset == own_len);
    require_same(&chunk, &again);
    return 0;
}
