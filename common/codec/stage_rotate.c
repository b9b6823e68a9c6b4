/* rotate is the randomised Hadamard rotation. Whatever the block was, its values then look like draws from one normal
 * distribution, which is what lloyd, sign and uniform are fitted to. Nothing stands in the frame: the signs follow from
 * its seed and the block's number. */
#include "hadamard.h"
#include "stage_table.h"

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)use;
    (void)survey;
    (void)out;
    trib_hadamard_rotate(block->seed, block->number, block->values, block->n_values);
    return TRIB_OK; /* every quantiser refuses what is not finite */
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    (void)block;
    (void)in;
    (void)memory;
    return TRIB_OK;
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    (void)memory;
    trib_hadamard_restore(block->seed, block->number, block->values, block->n_values);
    return TRIB_OK;
}

const struct trib_stage trib_stage_rotate = {
    .name = "rotate",
    .id = TRIB_STAGE_ID_rotate,
    .kind = TRIB_STAGE_TRANSFORM,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_FIXED_LENGTH | TRIB_CODEC_ISOMETRIC,
    .help = "randomised Hadamard rotation of each block: spreads large values, makes any block look Gaussian",
    .encode = encode,
    .open = open,
    .decode = decode,
};
