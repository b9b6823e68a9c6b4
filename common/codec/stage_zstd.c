/* zstd sends positions, symbols and numbers through libzstd, for what repeats itself in ways that statistics of single
 * symbols do not see. The bytes are the same for one version of libzstd and one level, not across versions; any
 * version decodes them.
 *
 * What is compressed: positions as gaps, their low bytes, then their high bytes; then symbols, as many to a byte as fit
 * whole (1, 2, 4 or 8 bits each) or as low bytes and high bytes, or numbers byte plane by byte plane. Its length
 * follows from the block, so that nothing is allocated on the word of a peer, and a frame must say that length, hold
 * the whole in one segment (so that no window is asked for) and use neither dictionary nor checksum. */
#include "stage_table.h"

#include "gaps.h"
#include "pack.h"

#include "base/mem.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { LEVEL_DEFAULT = 3, LEVEL_MOST = 19, MAGIC_LEN = 4, SEGMENT_ONLY = 0x20, SIZE_CODE = 0xc0 };

/* ---- the block as bytes ---- */

struct layout {
    size_t gaps_n;   /* of 2 bytes each */
    size_t body_len; /* of symbols or numbers */
    uint32_t width;  /* alphabet that symbols are packed with: 2, 4, 16, 256; 65536: two planes; 0: numbers */
    size_t len;      /* of the whole */
};

static struct layout make_layout(const struct trib_block *block)
{
    struct layout layout = {.gaps_n = block->sparse && !block->derived ? block->n_values : 0};
    if (block->alphabet == 0) {
        layout.body_len = block->n_values * block->width;
    } else if (block->alphabet > 1) {
        unsigned bits = 1;
        while (bits < trib_bits_of(block->alphabet)) {
            bits *= 2;
        }
        layout.width = UINT32_C(1) << bits;
        layout.body_len = trib_bits_len(block->n_symbols, layout.width);
    }
    layout.len = layout.gaps_n * sizeof(uint16_t) + layout.body_len;
    return layout;
}

static void split_planes(const uint16_t *from, size_t n, uint8_t *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)from[i];
        to[n + i] = (uint8_t)(from[i] >> 8);
    }
}

static void join_planes(const uint8_t *from, size_t n, uint16_t *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint16_t)(from[i] | from[n + i] << 8);
    }
}

static void lay_out(const struct trib_block *block, const struct layout *layout, uint8_t *to)
{
    uint16_t *gaps = (uint16_t *)(void *)block->scratch;
    if (layout->gaps_n > 0) {
        trib_gaps_from_positions(block, gaps);
        split_planes(gaps, layout->gaps_n, to);
        to += layout->gaps_n * sizeof *gaps;
    }
    if (block->alphabet == 0) {
        for (size_t plane = 0; plane < block->width; plane++) {
            for (size_t i = 0; i < block->n_values; i++) {
                *to++ = block->numbers[i * block->width + plane];
            }
        }
    } else if (block->alphabet > UINT8_MAX + 1) {
        split_planes(block->symbols, block->n_symbols, to);
    } else if (block->alphabet > 1) {
        trib_bits_pack(block->symbols, block->n_symbols, layout->width, to);
    }
}

static bool all_below(const uint16_t *symbols, size_t n, uint32_t alphabet)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = symbols[i] > largest ? symbols[i] : largest;
    }
    return largest < alphabet;
}

static enum trib_status take_in(struct trib_block *block, const struct layout *layout, const uint8_t *from)
{
    uint16_t *gaps = (uint16_t *)(void *)block->scratch;
    if (layout->gaps_n > 0) {
        join_planes(from, layout->gaps_n, gaps);
        TRIB_TRY(trib_gaps_to_positions(block, gaps));
        from += layout->gaps_n * sizeof *gaps;
    }
    if (block->alphabet == 0) {
        for (size_t plane = 0; plane < block->width; plane++) {
            for (size_t i = 0; i < block->n_values; i++) {
                block->numbers[i * block->width + plane] = *from++;
            }
        }
        return TRIB_OK;
    }
    if (block->alphabet > UINT8_MAX + 1) {
        join_planes(from, block->n_symbols, block->symbols);
    } else if (block->alphabet > 1) {
        if (!trib_bits_unpack(from, block->n_symbols, layout->width, block->symbols)) {
            return TRIB_CORRUPT;
        }
    } else if (block->n_symbols > 0) {
        memset(block->symbols, 0, block->n_symbols * sizeof *block->symbols);
    }
    return all_below(block->symbols, block->n_symbols, block->alphabet) ? TRIB_OK : TRIB_CORRUPT;
}

/* ---- the stage ---- */

static const struct trib_stage_arg args[] = {
    {.name = "LEVEL",
     .kind = TRIB_STAGE_ARG_WHOLE,
     .optional = true,
     .least = 1,
     .most = LEVEL_MOST,
     .standard = LEVEL_DEFAULT,
     .what = "a level of compression"},
};

static enum trib_status compress(const uint8_t *from, size_t len, int level, uint8_t *to, size_t capacity,
                                 size_t *to_len)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context) {
        return TRIB_NO_MEMORY;
    }
    size_t result = ZSTD_compressCCtx(context, to, capacity, from, len, level);
    ZSTD_freeCCtx(context);
    if (ZSTD_isError(result)) {
        return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? TRIB_NO_MEMORY : TRIB_INTERNAL;
    }
    *to_len = result;
    return TRIB_OK;
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    struct layout layout = make_layout(block);
    if (layout.len == 0) {
        return TRIB_OK;
    }
    int level = use->args[0] > 0 ? (int)use->args[0] : LEVEL_DEFAULT;
    size_t bound = ZSTD_compressBound(layout.len), len = 0;
    uint8_t *plain = trib_malloc(layout.len + bound);
    if (!plain) {
        return TRIB_NO_MEMORY;
    }
    uint8_t *coded = plain + layout.len;
    lay_out(block, &layout, plain);
    enum trib_status status = compress(plain, layout.len, level, coded, bound, &len);
    if (status == TRIB_OK) {
        trib_write_bytes(out, coded, len);
    }
    trib_free(plain);
    return status;
}

/* Exactly one frame of exactly `len` bytes, of the plain kind that encode writes. */
static enum trib_status decompress(const uint8_t *from, size_t from_len, uint8_t *to, size_t len)
{
    if (from_len <= MAGIC_LEN || (from[MAGIC_LEN] & ~SIZE_CODE) != SEGMENT_ONLY ||
        ZSTD_getFrameContentSize(from, from_len) != len || ZSTD_findFrameCompressedSize(from, from_len) != from_len) {
        return TRIB_CORRUPT;
    }
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context) {
        return TRIB_NO_MEMORY;
    }
    size_t result = ZSTD_decompressDCtx(context, to, len, from, from_len);
    ZSTD_freeDCtx(context);
    if (ZSTD_isError(result) && ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
        return TRIB_NO_MEMORY;
    }
    return result == len ? TRIB_OK : TRIB_CORRUPT;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    (void)memory;
    struct layout layout = make_layout(block);
    if (layout.len == 0) {
        return take_in(block, &layout, (const uint8_t *)"");
    }
    size_t from_len = in->len - in->at;
    const uint8_t *from = trib_read_bytes(in, from_len);
    uint8_t *plain = !from ? NULL : trib_malloc(layout.len);
    if (!plain) {
        return in->failed ? TRIB_CORRUPT : TRIB_NO_MEMORY;
    }
    enum trib_status status = decompress(from, from_len, plain, layout.len);
    if (status == TRIB_OK) {
        status = take_in(block, &layout, plain);
    }
    trib_free(plain);
    return status;
}

const struct trib_stage trib_stage_zstd = {
    .name = "zstd",
    .id = TRIB_STAGE_ID_zstd,
    .kind = TRIB_STAGE_ENTROPY,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_LOSSLESS,
    .help = "libzstd at level 1 to 19 (3 unless given); for what repeats itself",
    .args = args,
    .n_args = sizeof args / sizeof args[0],
    .encode = encode,
    .open = open,
};
