/* Chunks of bulk streams: the Chunk message's header written and read by hand around a payload that is not copied.
 *
 * Sender:   head_len = trib_chunk_head(&chunk, head); send head bytes, then the payload bytes.
 * Receiver: gather the first TRIB_CHUNK_HEAD_MAX bytes (or fewer) of a message, trib_chunk_parse them; the payload
 *           is the message's last payload_len bytes. */
#ifndef TRIB_WIRE_CHUNK_H
#define TRIB_WIRE_CHUNK_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TRIB_CHUNK_HEAD_MAX = 256,
    TRIB_CHUNK_PAYLOAD = 1 << 20, /* what we send; receivers take up to this */
    TRIB_CHUNK_LEAST = 4096,      /* that a receiver may ask for */
    TRIB_RUN_ID_LEN = 32,
    TRIB_NODE_LEN = 128 /* of a node's name, with its end */
};

struct trib_chunk {
    char run[TRIB_RUN_ID_LEN + 1]; /* "" = absent */
    uint64_t round;
    bool has_sha256;
    uint8_t sha256[32];
    uint64_t blob_len, offset;
    uint32_t crc32c;
    bool last;
    size_t payload_len;
};

/* Encode everything before the payload, its tag and length included; returns the length, <= TRIB_CHUNK_HEAD_MAX. */
size_t trib_chunk_head(const struct trib_chunk *chunk, uint8_t head[TRIB_CHUNK_HEAD_MAX]);
/* Parse a message of message_len bytes of which the first head_len (min(message_len, TRIB_CHUNK_HEAD_MAX)) are at
 * `head`. *payload_offset is where the payload begins in the message; it must reach to its end. Unknown fields before
 * the payload are skipped. TRIB_PROTOCOL with the fault. */
TRIB_MUST_CHECK enum trib_status trib_chunk_parse(const uint8_t *head, size_t head_len, size_t message_len,
                                                  struct trib_chunk *chunk, size_t *payload_offset,
                                                  struct trib_error *error);

/* The receiving side of one blob: checks that chunks continue where the last one ended, their CRC, the total length
 * and, at the end, the SHA-256. It keeps no payload: the caller stores the bytes. */
struct trib_sha256;
struct trib_chunk_receiver {
    uint8_t sha256[32];
    uint64_t blob_len;
    uint64_t received;
    bool started, complete;
    struct trib_sha256 *hash; /* of the bytes so far; NULL when resumed: the caller then verifies the stored whole */
};
TRIB_MUST_CHECK enum trib_status trib_chunk_receiver_init(struct trib_chunk_receiver *receiver,
                                                          const uint8_t sha256[32], uint64_t blob_len,
                                                          struct trib_error *error);
void trib_chunk_receiver_clear(struct trib_chunk_receiver *receiver);
/* Check a chunk's header against the blob and the position so far; before its payload is looked at. */
TRIB_MUST_CHECK enum trib_status trib_chunk_receiver_begin(const struct trib_chunk_receiver *receiver,
                                                           const struct trib_chunk *chunk, struct trib_error *error);
/* After the payload went through trib_crc32c (the caller's pieces) and trib_chunk_receiver_hash: account for it. On the
 * last chunk, checks length and hash; sets `complete`. */
TRIB_MUST_CHECK enum trib_status trib_chunk_receiver_hash(struct trib_chunk_receiver *receiver, const uint8_t *piece,
                                                          size_t len, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_chunk_receiver_end(struct trib_chunk_receiver *receiver,
                                                         const struct trib_chunk *chunk, uint32_t crc,
                                                         struct trib_error *error);

#endif
