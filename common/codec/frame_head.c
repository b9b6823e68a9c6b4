/* Every field of a head comes from a peer or a disk: each is checked before the next one is believed, and nothing is
 * allocated. */
#include "frame_head.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AT_KIND = 4, AT_N_STAGES = 5, AT_STAGES = 6, AT_FLAGS = 14, AT_N_ELEMENTS = 16, AT_SEED = 24, AT_SCHEMA = 32 };
enum { AT_N_BLOCKS = 64, AT_RESERVED = 68, MAX_STAGES = TRIB_CHAIN_STAGES, PIECE_LEN = 4096 };

static const uint8_t magic[4] = {'T', 'R', 'F', '1'};

uint32_t trib_frame_n_blocks(uint64_t n_elements)
{
    return (uint32_t)((n_elements + TRIB_CODEC_BLOCK - 1) / TRIB_CODEC_BLOCK);
}

uint64_t trib_frame_payload_offset(uint32_t n_blocks)
{
    uint64_t len = TRIB_FRAME_FIXED_LEN + (uint64_t)n_blocks * TRIB_FRAME_TABLE_ENTRY;
    return (len + TRIB_FRAME_ALIGNMENT - 1) / TRIB_FRAME_ALIGNMENT * TRIB_FRAME_ALIGNMENT;
}

size_t trib_frame_block_n(uint64_t n_elements, uint32_t block)
{
    uint64_t left = n_elements - (uint64_t)block * TRIB_CODEC_BLOCK;
    return left < TRIB_CODEC_BLOCK ? (size_t)left : TRIB_CODEC_BLOCK;
}

void trib_frame_head_write(const struct trib_frame_header *header, uint8_t *to)
{
    memset(to, 0, (size_t)header->payload_offset);
    memcpy(to, magic, sizeof magic);
    to[AT_KIND] = (uint8_t)header->kind;
    to[AT_N_STAGES] = (uint8_t)header->chain.n;
    for (unsigned i = 0; i < header->chain.n; i++) {
        to[AT_STAGES + i] = header->chain.uses[i].stage->id;
    }
    trib_store_u64(to + AT_N_ELEMENTS, header->n_elements);
    trib_store_u64(to + AT_SEED, header->seed);
    memcpy(to + AT_SCHEMA, header->schema, TRIB_FRAME_HASH_LEN);
    trib_store_u32(to + AT_N_BLOCKS, header->n_blocks);
}

enum trib_status trib_frame_fetch(const struct trib_frame_source *source, uint64_t offset, size_t len, uint8_t *scratch,
                                  const uint8_t **bytes, struct trib_error *error)
{
    if (source->memory) {
        *bytes = source->memory + offset;
        return TRIB_OK;
    }
    TRIB_TRY(source->read(source->context, offset, scratch, len, error));
    *bytes = scratch;
    return TRIB_OK;
}

enum trib_status trib_frame_block_len_check(const struct trib_chain *chain, uint32_t block, size_t n, uint64_t len,
                                            struct trib_error *error)
{
    const struct trib_stage *plain = trib_chain_plain(chain);
    size_t bound = plain ? n * plain->width : trib_chain_bound(n);
    if (plain ? len != bound : len > bound) {
        return trib_fail(error, TRIB_CORRUPT,
                         "frame: block %" PRIu32 " has %" PRIu64 " bytes; codec %s takes %s %zu for %zu elements",
                         block, len, chain->text, plain ? "exactly" : "at most", bound, n);
    }
    return TRIB_OK;
}

static enum trib_status read_chain(const uint8_t *head, struct trib_chain *chain, struct trib_error *error)
{
    int n_stages = head[AT_N_STAGES];
    if (n_stages < 1 || n_stages > MAX_STAGES) {
        return trib_fail(error, TRIB_CORRUPT, "frame: %d coding stages; between 1 and %d are possible", n_stages,
                         MAX_STAGES);
    }
    for (int i = n_stages; i < MAX_STAGES; i++) {
        if (head[AT_STAGES + i] != 0) {
            return trib_fail(error, TRIB_CORRUPT, "frame: codec id %d after the last of %d stages", head[AT_STAGES + i],
                             n_stages);
        }
    }
    enum trib_status status = trib_chain_from_ids(head + AT_STAGES, (size_t)n_stages, chain, error);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "frame");
}

static enum trib_status read_magic(const uint8_t *head, struct trib_error *error)
{
    if (memcmp(head, magic, sizeof magic) == 0) {
        return TRIB_OK;
    }
    if (memcmp(head, magic, sizeof magic - 1) == 0 && head[3] >= '0' && head[3] <= '9') {
        return trib_fail(error, TRIB_UNSUPPORTED, "frame: format version %c; this build reads version %c", head[3],
                         magic[3]);
    }
    return trib_fail(error, TRIB_CORRUPT, "frame: starts with %02x%02x%02x%02x, not with \"TRF1\"", head[0], head[1],
                     head[2], head[3]);
}

/* The fixed part, each field on its own and against the others. */
static enum trib_status read_fixed(const uint8_t *head, struct trib_frame_header *header, struct trib_error *error)
{
    TRIB_TRY(read_magic(head, error));
    if (head[AT_KIND] != TRIB_FRAME_UPDATE && head[AT_KIND] != TRIB_FRAME_MODEL) {
        return trib_fail(error, TRIB_CORRUPT, "frame: kind %d is neither 1 (update) nor 2 (model)", head[AT_KIND]);
    }
    header->kind = (enum trib_frame_kind)head[AT_KIND];
    TRIB_TRY(read_chain(head, &header->chain, error));
    unsigned flags = trib_load_u16(head + AT_FLAGS);
    if (flags != 0) {
        return trib_fail(error, TRIB_UNSUPPORTED, "frame: flags 0x%04x are unknown to this build", flags);
    }
    header->n_elements = trib_load_u64(head + AT_N_ELEMENTS);
    if (header->n_elements == 0) {
        return trib_fail(error, TRIB_CORRUPT, "frame: holds no elements");
    }
    if (header->n_elements > TRIB_FRAME_MAX_ELEMENTS || header->n_elements > SIZE_MAX / sizeof(float)) {
        return trib_fail(error, TRIB_LIMIT, "frame: %" PRIu64 " elements are more than a frame may hold (%" PRIu64 ")",
                         header->n_elements, TRIB_FRAME_MAX_ELEMENTS);
    }
    header->seed = trib_load_u64(head + AT_SEED);
    memcpy(header->schema, head + AT_SCHEMA, TRIB_FRAME_HASH_LEN);
    header->n_blocks = trib_load_u32(head + AT_N_BLOCKS);
    if (header->n_blocks != trib_frame_n_blocks(header->n_elements)) {
        return trib_fail(error, TRIB_CORRUPT, "frame: %" PRIu32 " blocks; %" PRIu64 " elements make %" PRIu32,
                         header->n_blocks, header->n_elements, trib_frame_n_blocks(header->n_elements));
    }
    uint32_t reserved = trib_load_u32(head + AT_RESERVED);
    if (reserved != 0) {
        return trib_fail(error, TRIB_CORRUPT, "frame: reserved field is 0x%08" PRIx32 ", not 0", reserved);
    }
    header->payload_offset = trib_frame_payload_offset(header->n_blocks);
    return TRIB_OK;
}

static const char *kind_name(enum trib_frame_kind kind)
{
    return kind == TRIB_FRAME_UPDATE ? "an update" : "a model";
}

static enum trib_status check_expected(const struct trib_frame_header *header, const struct trib_frame_expect *expect,
                                       struct trib_error *error)
{
    if (header->kind != expect->kind) {
        return trib_fail(error, TRIB_MISMATCH, "frame: holds %s; %s is expected", kind_name(header->kind),
                         kind_name(expect->kind));
    }
    if (expect->schema && memcmp(header->schema, expect->schema, TRIB_FRAME_HASH_LEN) != 0) {
        enum { SHOWN = 6 };
        char theirs[2 * SHOWN + 1], ours[2 * SHOWN + 1];
        trib_hex_encode(header->schema, SHOWN, theirs);
        trib_hex_encode(expect->schema, SHOWN, ours);
        return trib_fail(error, TRIB_MISMATCH, "frame: made for model schema %s..., ours is %s...", theirs, ours);
    }
    if (expect->n_elements != 0 && header->n_elements != expect->n_elements) {
        return trib_fail(error, TRIB_MISMATCH, "frame: %" PRIu64 " elements; %" PRIu64 " are expected",
                         header->n_elements, expect->n_elements);
    }
    return TRIB_OK;
}

/* The table in pieces: every length possible, and the sum exactly what the source has. */
static enum trib_status read_table(const struct trib_frame_source *source, struct trib_frame_header *header,
                                   uint32_t *crc, struct trib_error *error)
{
    uint8_t scratch[PIECE_LEN];
    const uint32_t entries = PIECE_LEN / TRIB_FRAME_TABLE_ENTRY;
    uint64_t frame_len = header->payload_offset + TRIB_FRAME_CRC_LEN;
    for (uint32_t first = 0; first < header->n_blocks; first += entries) {
        uint32_t n = header->n_blocks - first < entries ? header->n_blocks - first : entries;
        uint64_t offset = TRIB_FRAME_FIXED_LEN + (uint64_t)first * TRIB_FRAME_TABLE_ENTRY;
        const uint8_t *piece;
        TRIB_TRY(trib_frame_fetch(source, offset, n * TRIB_FRAME_TABLE_ENTRY, scratch, &piece, error));
        *crc = trib_crc32c(*crc, piece, n * TRIB_FRAME_TABLE_ENTRY);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t len = trib_load_u32(piece + (size_t)i * TRIB_FRAME_TABLE_ENTRY);
            size_t block_n = trib_frame_block_n(header->n_elements, first + i);
            TRIB_TRY(trib_frame_block_len_check(&header->chain, first + i, block_n, len, error));
            frame_len += len;
        }
    }
    if (frame_len != source->len) {
        return trib_fail(error, TRIB_CORRUPT, "frame: %" PRIu64 " bytes, its lengths add up to %" PRIu64 "%s",
                         source->len, frame_len, source->len < frame_len ? ": it was cut" : "");
    }
    header->frame_len = frame_len;
    return TRIB_OK;
}

static enum trib_status read_padding(const struct trib_frame_source *source, const struct trib_frame_header *header,
                                     uint32_t *crc, struct trib_error *error)
{
    uint8_t scratch[TRIB_FRAME_ALIGNMENT];
    const uint8_t *padding;
    uint64_t offset = TRIB_FRAME_FIXED_LEN + (uint64_t)header->n_blocks * TRIB_FRAME_TABLE_ENTRY;
    size_t len = (size_t)(header->payload_offset - offset);
    if (len == 0) {
        return TRIB_OK;
    }
    TRIB_TRY(trib_frame_fetch(source, offset, len, scratch, &padding, error));
    for (size_t i = 0; i < len; i++) {
        if (padding[i] != 0) {
            return trib_fail(error, TRIB_CORRUPT, "frame: byte %" PRIu64 " of the padding is 0x%02x, not 0", offset + i,
                             padding[i]);
        }
    }
    *crc = trib_crc32c(*crc, padding, len);
    return TRIB_OK;
}

enum trib_status trib_frame_head_read(const struct trib_frame_source *source, const struct trib_frame_expect *expect,
                                      struct trib_frame_header *header, uint32_t *crc, struct trib_error *error)
{
    uint8_t scratch[TRIB_FRAME_FIXED_LEN];
    const uint8_t *head;
    struct trib_frame_header found = {0};
    if (source->len < TRIB_FRAME_FIXED_LEN) {
        return trib_fail(error, TRIB_CORRUPT, "frame: %" PRIu64 " bytes are less than a header (%d)", source->len,
                         TRIB_FRAME_FIXED_LEN);
    }
    TRIB_TRY(trib_frame_fetch(source, 0, TRIB_FRAME_FIXED_LEN, scratch, &head, error));
    TRIB_TRY(read_fixed(head, &found, error));
    if (expect) {
        TRIB_TRY(check_expected(&found, expect, error));
    }
    if (source->len < found.payload_offset + TRIB_FRAME_CRC_LEN) {
        return trib_fail(error, TRIB_CORRUPT,
                         "frame: %" PRIu64 " bytes, header and table alone take %" PRIu64 ": it was cut", source->len,
                         found.payload_offset);
    }
    uint32_t running = trib_crc32c(0, head, TRIB_FRAME_FIXED_LEN);
    TRIB_TRY(read_table(source, &found, &running, error));
    TRIB_TRY(read_padding(source, &found, &running, error));
    *header = found;
    *crc = running;
    return TRIB_OK;
}

enum trib_status trib_frame_parse_header(const struct trib_frame_source *source, struct trib_frame_header *header,
                                         struct trib_error *error)
{
    uint32_t crc;
    return trib_frame_head_read(source, NULL, header, &crc, error);
}
