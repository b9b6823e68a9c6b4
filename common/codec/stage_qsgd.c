/* qsgd is LEVELS levels of the Euclidean norm of each bucket and a sign, rounded at random (Alistarh et al., 2017).
 * Most symbols are near zero where a bucket is long: worth an entropy coder. */
#include "blockwise.h"
#include "stage_table.h"

static const struct trib_stage_arg args[] = {
    {.name = "LEVELS",
     .kind = TRIB_STAGE_ARG_WHOLE,
     .least = 1,
     .most = TRIB_BLOCKWISE_LEVELS_MOST,
     .what = "a number of levels"},
    {.name = "BUCKET",
     .kind = TRIB_STAGE_ARG_WHOLE,
     .optional = true,
     .least = TRIB_BLOCKWISE_GROUP_LEAST,
     .most = TRIB_CODEC_BLOCK,
     .standard = 512,
     .what = "how many values share a norm"},
};

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    struct trib_blockwise shape = {.group = (uint32_t)use->args[1], .levels = (uint32_t)use->args[0], .by_norm = true};
    return trib_blockwise_encode(&shape, true, block, out);
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    return trib_blockwise_open(0, block, in, memory);
}

const struct trib_stage trib_stage_qsgd = {
    .name = "qsgd",
    .id = TRIB_STAGE_ID_qsgd,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH,
    .help = "LEVELS levels of the norm of each BUCKET values (512), rounded at random",
    .args = args,
    .n_args = sizeof args / sizeof args[0],
    .encode = encode,
    .open = open,
    .decode = trib_blockwise_decode,
};
