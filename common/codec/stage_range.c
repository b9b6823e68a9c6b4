/* range is interleaved rANS (rans.h) of symbols, each segment with statistics of its own; of positions as gaps; of
 * plain numbers byte plane by byte plane, since their upper bytes repeat themselves and their lower ones do not. */
#include "stage_table.h"

#include "gaps.h"
#include "rans.h"

static bool sends_positions(const struct trib_block *block)
{
    return block->sparse && !block->derived;
}

/* The gaps lie in whichever of the block's buffers its alphabet leaves unused. */
static struct trib_rans_part gaps_part(const struct trib_block *block)
{
    uint16_t *gaps = block->alphabet == 0 ? block->symbols : (uint16_t *)(void *)block->numbers;
    return (struct trib_rans_part){
        .symbols = gaps, .n = sends_positions(block) ? block->n_values : 0, .alphabet = (uint32_t)block->n};
}

/* Gaps, then segments: how many parts. */
static unsigned make_parts(const struct trib_block *block, struct trib_rans_part parts[TRIB_RANS_PARTS])
{
    unsigned n = 0;
    uint16_t *symbols = block->symbols;
    parts[n++] = gaps_part(block);
    for (unsigned i = 0; block->alphabet > 0 && i < block->n_segments; i++) {
        parts[n++] = (struct trib_rans_part){.symbols = symbols, .n = block->segments[i], .alphabet = block->alphabet};
        symbols += block->segments[i];
    }
    return n;
}

static struct trib_rans_part plane_part(const struct trib_block *block)
{
    return (struct trib_rans_part){.symbols = block->symbols, .n = block->n_values, .alphabet = UINT8_MAX + 1};
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)use;
    (void)survey;
    struct trib_rans_part parts[TRIB_RANS_PARTS];
    unsigned n_parts = make_parts(block, parts);
    if (sends_positions(block)) {
        trib_gaps_from_positions(block, parts[0].symbols);
    }
    trib_rans_encode(parts, n_parts, block->scratch, out);
    for (unsigned plane = 0; block->alphabet == 0 && plane < block->width; plane++) {
        const struct trib_rans_part part = plane_part(block);
        for (size_t i = 0; i < part.n; i++) {
            part.symbols[i] = block->numbers[i * block->width + plane];
        }
        trib_rans_encode(&part, 1, block->scratch, out);
    }
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    (void)memory;
    struct trib_rans_part parts[TRIB_RANS_PARTS];
    unsigned n_parts = make_parts(block, parts);
    TRIB_TRY(trib_rans_decode(parts, n_parts, block->scratch, in));
    if (sends_positions(block)) {
        TRIB_TRY(trib_gaps_to_positions(block, parts[0].symbols));
    }
    for (unsigned plane = 0; block->alphabet == 0 && plane < block->width; plane++) {
        const struct trib_rans_part part = plane_part(block);
        TRIB_TRY(trib_rans_decode(&part, 1, block->scratch, in));
        for (size_t i = 0; i < part.n; i++) {
            block->numbers[i * block->width + plane] = (uint8_t)part.symbols[i];
        }
    }
    return TRIB_OK;
}

const struct trib_stage trib_stage_range = {
    .name = "range",
    .id = TRIB_STAGE_ID_range,
    .kind = TRIB_STAGE_ENTROPY,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_LOSSLESS,
    .help = "rANS, near the entropy of symbols and positions at any rate; never longer than packed",
    .encode = encode,
    .open = open,
};
