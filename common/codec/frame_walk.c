/* Frames are read block by block here. What was checked in the head is checked again where it is used: a spooled file
 * could have changed between the two reads. */
#include "finite.h"
#include "frame_head.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum { TABLE_PIECE = 1024 /* block lengths read at a time */ };

/* What one block needs while it is decoded; as many as there are threads. */
struct lane {
    struct trib_chain_work *work; /* NULL for plain chains */
    uint8_t *read;                /* [bound of one block], NULL when the source is in memory */
    float *decoded;               /* [one block] */
    const uint8_t *coded;         /* of the present block, `len` bytes */
    uint32_t len;
    struct trib_error error; /* status TRIB_OK: none */
};

struct walk {
    const struct trib_frame_source *source;
    struct trib_thread_pool *pool;
    trib_frame_visit visit;
    void *context;
    struct trib_frame_header header;
    uint32_t crc;       /* of everything before `offset` */
    uint64_t offset;    /* of the next block */
    struct lane *lanes; /* [n_lanes] */
    size_t n_lanes;
    uint32_t first_block;   /* of the lanes' present blocks */
    const uint8_t *lengths; /* of blocks from the last multiple of TABLE_PIECE */
    uint8_t table[TABLE_PIECE * TRIB_FRAME_TABLE_ENTRY];
};

static bool make_lanes(struct walk *walk)
{
    size_t largest = trib_frame_block_n(walk->header.n_elements, 0);
    bool plain = trib_chain_plain(&walk->header.chain);
    walk->n_lanes = !walk->pool ? 1 : (size_t)trib_thread_pool_threads(walk->pool);
    walk->lanes = trib_calloc(walk->n_lanes, sizeof *walk->lanes);
    bool made = walk->lanes;
    for (size_t i = 0; made && i < walk->n_lanes; i++) {
        struct lane *lane = &walk->lanes[i];
        lane->decoded = trib_malloc_aligned(largest, sizeof *lane->decoded);
        lane->read = walk->source->memory ? NULL : trib_malloc_aligned(trib_chain_bound(largest), 1);
        lane->work = plain ? NULL : trib_chain_work_new();
        made = lane->decoded && (lane->read || walk->source->memory) && (lane->work || plain);
    }
    return made;
}

static void free_lanes(struct walk *walk)
{
    for (size_t i = 0; walk->lanes && i < walk->n_lanes; i++) {
        trib_free(walk->lanes[i].decoded);
        trib_free(walk->lanes[i].read);
        trib_chain_work_free(walk->lanes[i].work);
    }
    trib_free(walk->lanes);
}

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
    TRIB_TRY(trib_frame_block_len_check(&walk->header.chain, block, n, found, error));
    if (found > walk->header.frame_len - TRIB_FRAME_CRC_LEN - walk->offset) {
        return trib_fail(error, TRIB_CORRUPT,
                         "frame: block %" PRIu32 " reaches beyond the end: its table changed "
                         "while it was read",
                         block);
    }
    *len = found;
    return TRIB_OK;
}

static enum trib_status read_block(struct walk *walk, uint32_t block, struct lane *lane, struct trib_error *error)
{
    TRIB_TRY(next_len(walk, block, trib_frame_block_n(walk->header.n_elements, block), &lane->len, error));
    TRIB_TRY(trib_frame_fetch(walk->source, walk->offset, lane->len, lane->read, &lane->coded, error));
    walk->crc = trib_crc32c(walk->crc, lane->coded, lane->len);
    walk->offset += lane->len;
    return TRIB_OK;
}

/* The decoded values: raw floats where they lie, everything else in the lane's buffer. */
static enum trib_status decode_block(const struct walk *walk, struct lane *lane, uint32_t block, size_t n,
                                     const float **values)
{
    const struct trib_chain *chain = &walk->header.chain;
    if (chain->caps & TRIB_CODEC_LOSSLESS && trib_chain_plain(chain) && (uintptr_t)lane->coded % sizeof(float) == 0) {
        *values = (const float *)(const void *)lane->coded;
        return trib_all_finite(*values, n) ? TRIB_OK : TRIB_NOT_FINITE;
    }
    *values = lane->decoded;
    return trib_chain_decode_block(chain, lane->work, walk->header.seed, block, lane->coded, lane->len, lane->decoded,
                                   n);
}

static void visit_lane(void *context, size_t part, int worker)
{
    (void)worker;
    struct walk *walk = context;
    struct lane *lane = &walk->lanes[part];
    uint32_t block = walk->first_block + (uint32_t)part;
    uint64_t first = (uint64_t)block * TRIB_CODEC_BLOCK;
    size_t n = trib_frame_block_n(walk->header.n_elements, block);
    const float *values = NULL;
    enum trib_status status = decode_block(walk, lane, block, n, &values);
    if (status != TRIB_OK) {
        (void)trib_fail(&lane->error, status,
                        "frame: block %" PRIu32 " (elements %" PRIu64 " to %" PRIu64 ", codec %s): %s", block, first,
                        first + n - 1, walk->header.chain.text,
                        status == TRIB_NOT_FINITE ? "a value is not finite" : trib_status_text(status));
    } else if (walk->visit) {
        status = walk->visit(walk->context, (size_t)first, values, n, &lane->error);
    }
    lane->error.status = status;
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

/* As many blocks at a time as there are threads. */
static enum trib_status walk_blocks(struct walk *walk, struct trib_error *error)
{
    while (walk->first_block < walk->header.n_blocks) {
        size_t left = walk->header.n_blocks - walk->first_block;
        size_t parts = left < walk->n_lanes ? left : walk->n_lanes;
        for (size_t i = 0; i < parts; i++) {
            TRIB_TRY(read_block(walk, walk->first_block + (uint32_t)i, &walk->lanes[i], error));
        }
        trib_thread_pool_run(walk->pool, parts, visit_lane, walk);
        for (size_t i = 0; i < parts; i++) {
            if (walk->lanes[i].error.status != TRIB_OK) {
                if (error) {
                    *error = walk->lanes[i].error;
                }
                return walk->lanes[i].error.status;
            }
        }
        walk->first_block += (uint32_t)parts;
    }
    return check_crc(walk, error);
}

enum trib_status trib_frame_walk(const struct trib_frame_source *source, const struct trib_frame_expect *expect,
                                 struct trib_thread_pool *pool, trib_frame_visit visit, void *context,
                                 struct trib_frame_header *header, struct trib_error *error)
{
    struct walk walk = {.source = source, .pool = pool, .visit = visit, .context = context};
    TRIB_TRY(trib_frame_head_read(source, expect, &walk.header, &walk.crc, error));
    walk.offset = walk.header.payload_offset;
    enum trib_status status = make_lanes(&walk) ? walk_blocks(&walk, error) : trib_fail_no_memory(error);
    if (status == TRIB_OK && header) {
        *header = walk.header;
    }
    free_lanes(&walk);
    return status;
}

/* The blocks before it are passed over by their lengths. */
static enum trib_status seek_block(struct walk *walk, uint32_t block, struct trib_error *error)
{
    for (uint32_t i = 0; i < block; i++) {
        uint32_t len;
        TRIB_TRY(next_len(walk, i, trib_frame_block_n(walk->header.n_elements, i), &len, error));
        walk->offset += len;
    }
    walk->first_block = block;
    return TRIB_OK;
}

static enum trib_status read_one(struct walk *walk, uint32_t block, struct trib_error *error)
{
    struct lane *lane = walk->lanes;
    TRIB_TRY(seek_block(walk, block, error));
    TRIB_TRY(read_block(walk, block, lane, error));
    visit_lane(walk, 0, 0);
    if (lane->error.status != TRIB_OK && error) {
        *error = lane->error;
    }
    return lane->error.status;
}

struct part {
    size_t n;
    float *values;
};

static enum trib_status copy_part(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error, (void)first;
    const struct part *part = context;
    memcpy(part->values, values, (part->n < n ? part->n : n) * sizeof *values);
    return TRIB_OK;
}

enum trib_status trib_frame_read_block(const struct trib_frame_source *source, const struct trib_frame_expect *expect,
                                       uint32_t block, size_t n, float *values, struct trib_error *error)
{
    struct part part = {.n = n, .values = values};
    struct walk walk = {.source = source, .visit = copy_part, .context = &part};
    TRIB_TRY(trib_frame_head_read(source, expect, &walk.header, &walk.crc, error));
    if (block >= walk.header.n_blocks || n > trib_frame_block_n(walk.header.n_elements, block)) {
        return trib_fail(error, TRIB_INVALID, "frame: %zu elements of block %" PRIu32 " of %" PRIu32, n, block,
                         walk.header.n_blocks);
    }
    walk.offset = walk.header.payload_offset;
    enum trib_status status = make_lanes(&walk) ? read_one(&walk, block, error) : trib_fail_no_memory(error);
    free_lanes(&walk);
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
    return trib_frame_walk(source, &exact, NULL, copy_out, vector, NULL, error);
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
