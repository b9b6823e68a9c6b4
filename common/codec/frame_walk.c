/* Reading frames block by block. What was checked in the head is checked again where it is used: a spooled file could
 * have changed between the two reads. */
#include "frame_head.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum { TABLE_PIECE = 1024 /* block lengths read at a time */ };

struct walk {
    const struct trib_frame_source *source;
    struct trib_frame_header header;
    uint32_t crc;           /* of everything before `offset` */
    uint64_t offset;        /* of the next block */
    uint8_t *coded;         /* [bound of one block], NULL when the source is in memory */
    float *decoded;         /* [one block] */
    const uint8_t *lengths; /* of blocks from the last multiple of TABLE_PIECE */
    uint8_t table[TABLE_PIECE * TRIB_FRAME_TABLE_ENTRY];
};

static enum trib_status next_len(struct walk *walk, uint32_t block, size_t n, uint32_t *len, struct trib_error *error)
{
    uint32_t at = block % TABLE_PIECE;
    if (at == 0) {
        uint32_t left = walk->header.n_blocks - block;
        size_t piece_len = (left < TABLE_PIECE ? left : TABLE_PIECE) * (size_t)TRIB_FRAME_TABLE_ENTRY;
        uint64_t offset = TRIB_FRAME_FIXED_LEN + (uint64_t)block * TRIB_FRAME_TABLE_ENTRY;
        TRIB_TRY(trib_frame_fetch(walk->source, offset, piece_len, walk->table, &walk->lengths, error));
    }
    uint32_t found = trib_load_u32(walk->lengths + (size_t)at * TRIB_FRAME_TABLE_ENTRY);
    TRIB_TRY(trib_frame_block_len_check(walk->header.codec, block, n, found, error));
    if (found > walk->header.frame_len - TRIB_FRAME_CRC_LEN - walk->offset) {
        return trib_fail(error, TRIB_CORRUPT,
                         "frame: block %" PRIu32 " reaches beyond the end: its table changed "
                         "while it was read",
                         block);
    }
    *len = found;
    return TRIB_OK;
}

static enum trib_status decode_block(struct walk *walk, uint32_t block, size_t n, struct trib_error *error)
{
    uint32_t len = 0;
    const uint8_t *coded;
    TRIB_TRY(next_len(walk, block, n, &len, error));
    TRIB_TRY(trib_frame_fetch(walk->source, walk->offset, len, walk->coded, &coded, error));
    walk->crc = trib_crc32c(walk->crc, coded, len);
    walk->offset += len;
    const struct trib_codec *codec = walk->header.codec;
    struct trib_codec_context context = {.seed = walk->header.seed, .block = block};
    enum trib_status status = codec->decode(&context, coded, len, walk->decoded, n);
    if (status != TRIB_OK) {
        uint64_t first = (uint64_t)block * TRIB_CODEC_BLOCK;
        return trib_fail(error, status, "frame: block %" PRIu32 " (elements %" PRIu64 " to %" PRIu64 ", codec %s): %s",
                         block, first, first + n - 1, codec->name,
                         status == TRIB_NOT_FINITE ? "a value is not finite" : trib_status_text(status));
    }
    return TRIB_OK;
}

static enum trib_status check_crc(struct walk *walk, struct trib_error *error)
{
    uint8_t scratch[TRIB_FRAME_CRC_LEN];
    const uint8_t *bytes;
    if (walk->offset != walk->header.frame_len - TRIB_FRAME_CRC_LEN) {
        return trib_fail(error, TRIB_CORRUPT, "frame: its table changed while it was read");
    }
    TRIB_TRY(trib_frame_fetch(walk->source, walk->offset, sizeof scratch, scratch, &bytes, error));
    uint32_t stored = trib_load_u32(bytes);
    if (stored != walk->crc) {
        return trib_fail(error, TRIB_CORRUPT,
                         "frame: CRC is %08" PRIx32 ", its bytes give %08" PRIx32 ": it was changed on the way", stored,
                         walk->crc);
    }
    return TRIB_OK;
}

static enum trib_status walk_blocks(struct walk *walk, trib_frame_visit visit, void *context, struct trib_error *error)
{
    for (uint32_t block = 0; block < walk->header.n_blocks; block++) {
        size_t n = trib_frame_block_n(walk->header.n_elements, block);
        TRIB_TRY(decode_block(walk, block, n, error));
        if (visit != NULL) {
            TRIB_TRY(visit(context, (size_t)block * TRIB_CODEC_BLOCK, walk->decoded, n, error));
        }
    }
    return check_crc(walk, error);
}

enum trib_status trib_frame_walk(const struct trib_frame_source *source, const struct trib_frame_expect *expect,
                                 trib_frame_visit visit, void *context, struct trib_frame_header *header,
                                 struct trib_error *error)
{
    struct walk walk = {.source = source};
    TRIB_TRY(trib_frame_head_read(source, expect, &walk.header, &walk.crc, error));
    walk.offset = walk.header.payload_offset;
    size_t largest = trib_frame_block_n(walk.header.n_elements, 0);
    walk.decoded = trib_malloc_aligned(largest, sizeof *walk.decoded);
    walk.coded = source->memory != NULL ? NULL : trib_malloc(walk.header.codec->bound(largest));
    enum trib_status status = TRIB_OK;
    if (walk.decoded == NULL || (walk.coded == NULL && source->memory == NULL)) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = walk_blocks(&walk, visit, context, error);
    if (status == TRIB_OK && header != NULL) {
        *header = walk.header;
    }
out:
    trib_free(walk.coded);
    trib_free(walk.decoded);
    return status;
}

static enum trib_status copy_out(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    float *vector = context;
    memcpy(vector + first, values, n * sizeof *values);
    return TRIB_OK;
}

enum trib_status trib_frame_decode(const struct trib_frame_source *source, const struct trib_frame_expect *expect,
                                   float *vector, size_t n, struct trib_error *error)
{
    struct trib_frame_header header;
    uint32_t crc;
    TRIB_TRY(trib_frame_head_read(source, expect, &header, &crc, error));
    if (header.n_elements != n) {
        return trib_fail(error, TRIB_MISMATCH, "frame: %" PRIu64 " elements; the vector has %zu", header.n_elements, n);
    }
    /* the visit is bounded by n even when a spooled file changes under us */
    struct trib_frame_expect exact = {.kind = header.kind, .schema = header.schema, .n_elements = n};
    return trib_frame_walk(source, &exact, copy_out, vector, NULL, error);
}

static enum trib_status read_memory(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    const struct trib_blob *blob = context;
    size_t have = trib_blob_len(blob);
    if (offset > have || len > have - offset) {
        return trib_fail(error, TRIB_CORRUPT, "%zu bytes at %" PRIu64 " of a frame of %zu", len, offset, have);
    }
    memcpy(to, trib_blob_data(blob) + offset, len);
    return TRIB_OK;
}

struct trib_frame_source trib_frame_source_memory(const struct trib_blob *blob)
{
    return (struct trib_frame_source){
        .read = read_memory,
        .context = (void *)(uintptr_t)blob, /* only ever read through */
        .len = trib_blob_len(blob),
        .memory = trib_blob_data(blob),
    };
}
