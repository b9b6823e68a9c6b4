/* q8 and q4 are a byte or half a byte a value, one of 255 or 15 levels fitted to each group's largest magnitude,
 * rounded at random. */
#include "blockwise.h"
#include "stage_table.h"

/* The least NMSE * 4^rate on Gaussian values, where both groups' curves are flat. */
enum { LEVELS_8 = 127, GROUP_8 = 128, LEVELS_4 = 7, GROUP_4 = 64 };

#define GROUP_ROW(usual)                                                                                               \
    {                                                                                                                  \
        .name = "GROUP", .kind = TRIB_STAGE_ARG_WHOLE, .optional = true, .least = TRIB_BLOCKWISE_GROUP_LEAST,          \
        .most = TRIB_CODEC_BLOCK, .standard = (usual), .what = "how many values share a scale"                         \
    }

static const struct trib_stage_arg args_8[] = {GROUP_ROW(GROUP_8)};
static const struct trib_stage_arg args_4[] = {GROUP_ROW(GROUP_4)};

static enum trib_status encode_8(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                                 struct trib_writer *out)
{
    (void)survey;
    const struct trib_blockwise shape = {.group = (uint32_t)use->args[0], .levels = LEVELS_8};
    return trib_blockwise_encode(&shape, false, block, out);
}

static enum trib_status encode_4(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                                 struct trib_writer *out)
{
    (void)survey;
    const struct trib_blockwise shape = {.group = (uint32_t)use->args[0], .levels = LEVELS_4};
    return trib_blockwise_encode(&shape, false, block, out);
}

static enum trib_status open_8(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    return trib_blockwise_open(LEVELS_8, block, in, memory);
}

static enum trib_status open_4(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    return trib_blockwise_open(LEVELS_4, block, in, memory);
}

const struct trib_stage trib_stage_q8 = {
    .name = "q8",
    .id = TRIB_STAGE_ID_q8,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH,
    .help = "8-bit levels for groups of GROUP values (128), rounded at random; 8.1 bits a value",
    .args = args_8,
    .n_args = 1,
    .encode = encode_8,
    .open = open_8,
    .decode = trib_blockwise_decode,
};

const struct trib_stage trib_stage_q4 = {
    .name = "q4",
    .id = TRIB_STAGE_ID_q4,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH,
    .help = "4-bit levels for groups of GROUP values (64), rounded at random; 4.25 bits a value",
    .args = args_4,
    .n_args = 1,
    .encode = encode_4,
    .open = open_4,
    .decode = trib_blockwise_decode,
};
