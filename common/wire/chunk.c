/* The Chunk message by hand, and the receiver of a blob cut into chunks. */
#include "wire/chunk.h"

#include "base/str.h"
#include "crypto/hash.h"

#include <inttypes.h>
#include <string.h>

/* Field numbers of tributary.v1.Chunk and the protobuf wire types. */
enum {
    FIELD_RUN = 1,
    FIELD_ROUND,
    FIELD_SHA256,
    FIELD_BLOB_LEN,
    FIELD_OFFSET,
    FIELD_CRC,
    FIELD_LAST,
    FIELD_PAYLOAD = 15
};
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_number(uint8_t *at, unsigned field, uint64_t value)
{
    if (value) {
        at = put_varint(at, field << 3 | WIRE_VARINT);
        at = put_varint(at, value);
    }
    return at;
}

static uint8_t *put_bytes(uint8_t *at, unsigned field, const void *bytes, size_t len)
{
    at = put_varint(at, field << 3 | WIRE_BYTES);
    at = put_varint(at, len);
    memcpy(at, bytes, len);
    return at + len;
}

size_t trib_chunk_head(const struct trib_chunk *chunk, uint8_t head[TRIB_CHUNK_HEAD_MAX])
{
    uint8_t *at = head;
    if (chunk->run[0]) {
        at = put_bytes(at, FIELD_RUN, chunk->run, strnlen(chunk->run, TRIB_RUN_ID_LEN));
    }
    at = put_number(at, FIELD_ROUND, chunk->round);
    if (chunk->has_sha256) {
        at = put_bytes(at, FIELD_SHA256, chunk->sha256, sizeof chunk->sha256);
    }
    at = put_number(at, FIELD_BLOB_LEN, chunk->blob_len);
    at = put_number(at, FIELD_OFFSET, chunk->offset);
    at = put_number(at, FIELD_CRC, chunk->crc32c);
    at = put_number(at, FIELD_LAST, chunk->last);
    at = put_varint(at, FIELD_PAYLOAD << 3 | WIRE_BYTES);
    at = put_varint(at, chunk->payload_len);
    return (size_t)(at - head);
}

/* The head of a message, of which only the first `len` bytes are at hand. */
struct cursor {
    const uint8_t *bytes;
    size_t len, at;
};

static bool get_varint(struct cursor *cursor, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (cursor->at >= cursor->len) {
            return false;
        }
        uint8_t byte = cursor->bytes[cursor->at++];
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = result;
            return true;
        }
    }
    return false;
}

/* A length-delimited field that lies wholly within the head. */
static const uint8_t *get_bytes(struct cursor *cursor, size_t *len)
{
    uint64_t n;
    if (!get_varint(cursor, &n) || n > cursor->len - cursor->at) {
        return NULL;
    }
    const uint8_t *bytes = cursor->bytes + cursor->at;
    cursor->at += n;
    *len = n;
    return bytes;
}

static bool take_bytes(struct cursor *cursor, unsigned field, struct trib_chunk *chunk)
{
    size_t len;
    const uint8_t *bytes = get_bytes(cursor, &len);
    if (!bytes) {
        return false;
    }
    if (field == FIELD_RUN) {
        if (len > TRIB_RUN_ID_LEN || memchr(bytes, 0, len)) {
            return false;
        }
        memcpy(chunk->run, bytes, len);
        chunk->run[len] = 0;
    } else if (field == FIELD_SHA256) {
        if (len != sizeof chunk->sha256) {
            return false;
        }
        memcpy(chunk->sha256, bytes, len);
        chunk->has_sha256 = true;
    }
    return true;
}

static bool take_number(struct cursor *cursor, unsigned field, struct trib_chunk *chunk)
{
    uint64_t value;
    if (!get_varint(cursor, &value)) {
        return false;
    }
    switch (field) {
    case FIELD_ROUND:
        chunk->round = value;
        return true;
    case FIELD_BLOB_LEN:
        chunk->blob_len = value;
        return true;
    case FIELD_OFFSET:
        chunk->offset = value;
        return true;
    case FIELD_CRC:
        chunk->crc32c = (uint32_t)value;
        return value <= UINT32_MAX;
    case FIELD_LAST:
        chunk->last = value != 0;
        return true;
    default:
        return true;
    }
}

/* One field before the payload; false when it is malformed. */
static bool take_field(struct cursor *cursor, uint64_t tag, struct trib_chunk *chunk)
{
    unsigned field = (unsigned)(tag >> 3), type = (unsigned)(tag & 7);
    size_t fixed = type == WIRE_FIXED64 ? 8 : type == WIRE_FIXED32 ? 4 : 0;
    bool number = field == FIELD_ROUND || (field >= FIELD_BLOB_LEN && field <= FIELD_LAST);
    bool text = field == FIELD_RUN || field == FIELD_SHA256;
    if (field == 0 || (number && type != WIRE_VARINT) || (text && type != WIRE_BYTES)) {
        return false;
    }
    if (type == WIRE_VARINT) {
        return take_number(cursor, field, chunk);
    }
    if (type == WIRE_BYTES) {
        return take_bytes(cursor, field, chunk);
    }
    if (!fixed || fixed > cursor->len - cursor->at) {
        return false;
    }
    cursor->at += fixed;
    return true;
}

enum trib_status trib_chunk_parse(const uint8_t *head, size_t head_len, size_t message_len, struct trib_chunk *chunk,
                                  size_t *payload_offset, struct trib_error *error)
{
    struct cursor cursor = {.bytes = head, .len = head_len};
    struct trib_chunk parsed = {0};
    while (cursor.at < message_len) {
        uint64_t tag;
        if (!get_varint(&cursor, &tag) || tag > UINT32_MAX) {
            return trib_fail(error, TRIB_PROTOCOL, "malformed chunk: bad tag at byte %zu of %zu", cursor.at,
                             message_len);
        }
        if (tag == (FIELD_PAYLOAD << 3 | WIRE_BYTES)) {
            uint64_t len;
            if (!get_varint(&cursor, &len) || len != message_len - cursor.at) {
                return trib_fail(error, TRIB_PROTOCOL,
                                 "malformed chunk: the payload does not end where the message of %zu bytes ends",
                                 message_len);
            }
            if (len > TRIB_CHUNK_PAYLOAD) {
                return trib_fail(error, TRIB_LIMIT, "chunk payload of %" PRIu64 " bytes is above the limit of %d", len,
                                 (int)TRIB_CHUNK_PAYLOAD);
            }
            parsed.payload_len = len;
            *payload_offset = cursor.at;
            *chunk = parsed;
            return TRIB_OK;
        }
        if (!take_field(&cursor, tag, &parsed)) {
            return trib_fail(error, TRIB_PROTOCOL, "malformed chunk: bad field %u at byte %zu of %zu",
                             (unsigned)(tag >> 3), cursor.at, message_len);
        }
    }
    *payload_offset = message_len; /* proto3 leaves out an empty payload */
    *chunk = parsed;
    return TRIB_OK;
}

enum trib_status trib_chunk_receiver_init(struct trib_chunk_receiver *receiver, const uint8_t sha256[32],
                                          uint64_t blob_len, struct trib_error *error)
{
    struct trib_sha256 *hash = trib_sha256_new();
    if (!hash) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory");
    }
    *receiver = (struct trib_chunk_receiver){.blob_len = blob_len, .hash = hash};
    memcpy(receiver->sha256, sha256, sizeof receiver->sha256);
    return TRIB_OK;
}

void trib_chunk_receiver_clear(struct trib_chunk_receiver *receiver)
{
    trib_sha256_free(receiver->hash);
    *receiver = (struct trib_chunk_receiver){0};
}

enum trib_status trib_chunk_receiver_begin(const struct trib_chunk_receiver *receiver, const struct trib_chunk *chunk,
                                           struct trib_error *error)
{
    if (receiver->complete) {
        return trib_fail(error, TRIB_PROTOCOL, "chunk at offset %" PRIu64 " after the last one", chunk->offset);
    }
    if (!receiver->started && (!chunk->has_sha256 || chunk->blob_len == 0)) {
        return trib_fail(error, TRIB_PROTOCOL, "the first chunk lacks the blob's hash and length");
    }
    if (chunk->has_sha256 && memcmp(chunk->sha256, receiver->sha256, sizeof receiver->sha256) != 0) {
        return trib_fail(error, TRIB_MISMATCH, "the chunk belongs to another blob");
    }
    if (chunk->blob_len != 0 && chunk->blob_len != receiver->blob_len) {
        return trib_fail(error, TRIB_MISMATCH, "blob length is %" PRIu64 ", expected %" PRIu64, chunk->blob_len,
                         receiver->blob_len);
    }
    if (chunk->offset != receiver->received) {
        return trib_fail(error, TRIB_PROTOCOL, "chunk at offset %" PRIu64 ", expected %" PRIu64, chunk->offset,
                         receiver->received);
    }
    if (chunk->payload_len > receiver->blob_len - receiver->received) {
        return trib_fail(error, TRIB_LIMIT, "chunk runs past the end of the blob of %" PRIu64 " bytes",
                         receiver->blob_len);
    }
    if (chunk->payload_len == 0 && !chunk->last) {
        return trib_fail(error, TRIB_PROTOCOL, "empty chunk at offset %" PRIu64, chunk->offset);
    }
    return TRIB_OK;
}

enum trib_status trib_chunk_receiver_hash(struct trib_chunk_receiver *receiver, const uint8_t *piece, size_t len,
                                          struct trib_error *error)
{
    if (receiver->hash && trib_sha256_add(receiver->hash, piece, len) != TRIB_OK) {
        return trib_fail(error, TRIB_INTERNAL, "hashing failed");
    }
    return TRIB_OK;
}

enum trib_status trib_chunk_receiver_end(struct trib_chunk_receiver *receiver, const struct trib_chunk *chunk,
                                         uint32_t crc, struct trib_error *error)
{
    if (crc != chunk->crc32c) {
        return trib_fail(error, TRIB_CORRUPT, "chunk at offset %" PRIu64 ": checksum is %08x, expected %08x",
                         chunk->offset, crc, chunk->crc32c);
    }
    uint64_t received = receiver->received + chunk->payload_len;
    if (chunk->last && received != receiver->blob_len) {
        return trib_fail(error, TRIB_CORRUPT, "the last chunk ends at byte %" PRIu64 " of %" PRIu64, received,
                         receiver->blob_len);
    }
    receiver->started = true;
    receiver->received = received;
    if (!chunk->last) {
        return TRIB_OK;
    }
    uint8_t digest[TRIB_SHA256_LEN];
    if (receiver->hash) {
        if (trib_sha256_finish(receiver->hash, digest) != TRIB_OK) {
            return trib_fail(error, TRIB_INTERNAL, "hashing failed");
        }
        if (memcmp(digest, receiver->sha256, sizeof digest) != 0) {
            return trib_fail(error, TRIB_CORRUPT, "the blob's SHA-256 is not the one that was announced");
        }
    }
    receiver->complete = true;
    return TRIB_OK;
}
