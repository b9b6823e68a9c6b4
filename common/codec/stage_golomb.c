/* golomb codes positions as Golomb-Rice coded gaps with the best parameter, symbols and numbers packed as without an
 * entropy coder: the stream of sparse ternary compression (Sattler et al., 2019). */
#include "stage_table.h"

#include "golomb.h"
#include "pack.h"

static uint16_t *gaps_room(const struct trib_block *block)
{
    return (uint16_t *)(void *)block->scratch;
}

static bool sends_positions(const struct trib_block *block)
{
    return block->sparse && !block->derived && block->n_values > 0;
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)use;
    (void)survey;
    struct trib_block rest = *block;
    if (sends_positions(block)) {
        struct trib_bit_writer bits = {.out = out};
        uint16_t *gaps = gaps_room(block);
        uint64_t cost;
        trib_gaps_from_positions(block, gaps);
        unsigned rice = trib_rice_best(gaps, block->n_values, &cost);
        trib_write_u8(out, (uint8_t)rice);
        trib_rice_put(&bits, gaps, block->n_values, rice);
        trib_bit_end(&bits);
    }
    rest.sparse = false;
    trib_pack_block(&rest, out);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    (void)memory;
    struct trib_block rest = *block;
    if (sends_positions(block)) {
        struct trib_bit_reader bits = {.in = in};
        uint16_t *gaps = gaps_room(block);
        unsigned rice = trib_read_u8(in);
        if (rice > TRIB_RICE_MOST || !trib_rice_get(&bits, rice, (uint32_t)block->n, gaps, block->n_values) ||
            !trib_bit_close(&bits)) {
            return TRIB_CORRUPT;
        }
        TRIB_TRY(trib_gaps_to_positions(block, gaps));
    }
    rest.sparse = false;
    return trib_unpack_block(&rest, in);
}

const struct trib_stage trib_stage_golomb = {
    .name = "golomb",
    .id = TRIB_STAGE_ID_golomb,
    .kind = TRIB_STAGE_ENTROPY,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_LOSSLESS,
    .help = "positions as Golomb-Rice coded gaps, symbols packed; simple, good after ternary",
    .encode = encode,
    .open = open,
};
