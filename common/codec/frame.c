/* Making frames. */
#include "frame_head.h"

#include "codec_table.h"
#include "finite.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool can_hold(uint64_t n)
{
    return n > 0 && n <= TRIB_FRAME_MAX_ELEMENTS && n <= SIZE_MAX / (2 * sizeof(float));
}

static struct trib_frame_header make_header(enum trib_frame_kind kind, const struct trib_codec *codec, uint64_t seed,
                                            const uint8_t schema[TRIB_FRAME_HASH_LEN], size_t n)
{
    struct trib_frame_header header = {.kind = kind, .codec = codec, .n_elements = n, .seed = seed};
    memcpy(header.schema, schema, TRIB_FRAME_HASH_LEN);
    header.n_blocks = trib_frame_n_blocks(n);
    header.payload_offset = trib_frame_payload_offset(header.n_blocks);
    return header;
}

static void write_block_len(uint8_t *frame, uint32_t block, size_t len)
{
    trib_store_u32(frame + TRIB_FRAME_FIXED_LEN + (size_t)block * TRIB_FRAME_TABLE_ENTRY, (uint32_t)len);
}

static enum trib_status refuse_n(size_t n, struct trib_error *error)
{
    return trib_fail(error, TRIB_INVALID, "frame: %zu elements; between 1 and %" PRIu64 " are possible", n,
                     TRIB_FRAME_MAX_ELEMENTS);
}

/* Which element was it? The first nan or infinity, else the largest magnitude, which was beyond the codec's range. */
static enum trib_status refuse_values(const struct trib_codec *codec, const float *values, size_t first, size_t n,
                                      struct trib_error *error)
{
    size_t worst = 0;
    for (size_t i = 0; i < n && isfinite(values[worst]); i++) {
        if (!(fabsf(values[i]) <= fabsf(values[worst]))) {
            worst = i;
        }
    }
    return trib_fail(error, TRIB_NOT_FINITE, "frame: element %zu is %g, which codec %s cannot carry", first + worst,
                     (double)values[worst], codec->name);
}

/* The most bytes a frame of this header can take; false when that is beyond size_t. */
static bool most_bytes(const struct trib_frame_header *header, size_t *len)
{
    size_t last_n = trib_frame_block_n(header->n_elements, header->n_blocks - 1);
    size_t full = 0;
    if (!trib_size_mul(header->n_blocks - 1, header->codec->bound(TRIB_CODEC_BLOCK), &full)) {
        return false;
    }
    size_t rest = (size_t)header->payload_offset + header->codec->bound(last_n) + TRIB_FRAME_CRC_LEN;
    return trib_size_add(full, rest, len);
}

/* Write head, blocks and CRC; *len bytes of `frame`. */
static enum trib_status encode_blocks(const struct trib_frame_header *header, const float *vector, uint8_t *frame,
                                      size_t capacity, size_t *len, struct trib_error *error)
{
    const struct trib_codec *codec = header->codec;
    size_t at = (size_t)header->payload_offset;
    trib_frame_head_write(header, frame);
    for (uint32_t block = 0; block < header->n_blocks; block++) {
        size_t first = (size_t)block * TRIB_CODEC_BLOCK;
        size_t n = trib_frame_block_n(header->n_elements, block);
        struct trib_codec_context context = {.seed = header->seed, .block = block};
        size_t block_len = 0;
        enum trib_status status =
            codec->encode(&context, vector + first, n, frame + at, capacity - TRIB_FRAME_CRC_LEN - at, &block_len);
        if (status == TRIB_NOT_FINITE) {
            return refuse_values(codec, vector + first, first, n, error);
        }
        if (status != TRIB_OK) {
            return trib_fail(error, status, "frame: codec %s failed at block %" PRIu32 ": %s", codec->name, block,
                             trib_status_text(status));
        }
        write_block_len(frame, block, block_len);
        at += block_len;
    }
    trib_store_u32(frame + at, trib_crc32c(0, frame, at));
    *len = at + TRIB_FRAME_CRC_LEN;
    return TRIB_OK;
}

enum trib_status trib_frame_encode(enum trib_frame_kind kind, const struct trib_codec *codec, uint64_t seed,
                                   const uint8_t schema[TRIB_FRAME_HASH_LEN], const float *vector, size_t n,
                                   struct trib_blob **frame, struct trib_error *error)
{
    if (!can_hold(n)) {
        return refuse_n(n, error);
    }
    struct trib_frame_header header = make_header(kind, codec, seed, schema, n);
    size_t capacity = 0;
    size_t len = 0;
    struct trib_blob *blob = most_bytes(&header, &capacity) ? trib_blob_new(capacity) : NULL;
    if (blob == NULL) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = encode_blocks(&header, vector, trib_blob_fill(blob), capacity, &len, error);
    if (status != TRIB_OK) {
        goto out;
    }
    if (len < capacity) { /* a blob's length is final, and the unused end would be held as long as the frame */
        struct trib_blob *exact = trib_blob_copy(trib_blob_data(blob), len);
        if (exact == NULL) {
            status = trib_fail_no_memory(error);
            goto out;
        }
        trib_blob_unref(blob);
        blob = exact;
    }
    *frame = trib_blob_ref(blob);
out:
    trib_blob_unref(blob);
    return status;
}

size_t trib_frame_raw_len(size_t n, size_t *payload_offset)
{
    if (!can_hold(n)) {
        return 0;
    }
    *payload_offset = (size_t)trib_frame_payload_offset(trib_frame_n_blocks(n));
    return *payload_offset + n * sizeof(float) + TRIB_FRAME_CRC_LEN;
}

enum trib_status trib_frame_seal_raw(enum trib_frame_kind kind, const uint8_t schema[TRIB_FRAME_HASH_LEN], size_t n,
                                     uint8_t *frame, size_t frame_len, struct trib_error *error)
{
    size_t offset = 0;
    size_t len = trib_frame_raw_len(n, &offset);
    if (len == 0) {
        return refuse_n(n, error);
    }
    if (frame_len != len) {
        return trib_fail(error, TRIB_INVALID, "frame: %zu bytes for %zu raw elements, which take %zu", frame_len, n,
                         len);
    }
    struct trib_frame_header header = make_header(kind, &trib_codec_f32, 0, schema, n);
    trib_frame_head_write(&header, frame);
    for (uint32_t block = 0; block < header.n_blocks; block++) {
        write_block_len(frame, block, trib_frame_block_n(n, block) * sizeof(float));
    }
    uint32_t crc = trib_crc32c(0, frame, offset);
    for (uint32_t block = 0; block < header.n_blocks; block++) {
        size_t first = (size_t)block * TRIB_CODEC_BLOCK;
        size_t block_n = trib_frame_block_n(n, block);
        const float *values = (const float *)(const void *)(frame + offset) + first;
        if (!trib_all_finite(values, block_n)) {
            return refuse_values(&trib_codec_f32, values, first, block_n, error);
        }
        crc = trib_crc32c(crc, values, block_n * sizeof(float)); /* while the block is still in the cache */
    }
    trib_store_u32(frame + len - TRIB_FRAME_CRC_LEN, crc);
    return TRIB_OK;
}
