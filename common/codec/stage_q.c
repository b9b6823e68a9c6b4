/* q8, q4: a byte or half a byte a value, one of 255 or 15 levels fitted to each group's largest magnitude, rounded at
 * random. */
#include "blockwise.h"
#include "stage_table.h"

/* The least NMSE * 4^rate on Gaussian values, where both groups' curves are flat. */
enum { LEVELS_8 = 127, GROUP_8 = 128, LEVELS_4 = 7, GROUP_4 = 64 };

static enum trib_status parse_as(const char *const *texts, size_t n, uint32_t group, uint32_t levels,
                                 struct trib_stage_use *use, struct trib_error *error)
{
    if (n > 1) {
        return trib_fail(error, TRIB_INVALID, "too many arguments; write %s", use->stage->usage);
    }
    use->args[1] = levels;
    return trib_blockwise_parse_group(n > 0 ? texts[0] : NULL, group, &use->args[0], error);
}

static enum trib_status parse_8(const char *const *texts, size_t n, struct trib_stage_use *use,
                                struct trib_error *error)
{
    return parse_as(texts, n, GROUP_8, LEVELS_8, use, error);
}

static enum trib_status parse_4(const char *const *texts, size_t n, struct trib_stage_use *use,
                                struct trib_error *error)
{
    return parse_as(texts, n, GROUP_4, LEVELS_4, use, error);
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    struct trib_blockwise shape = {.group = (uint32_t)use->args[0], .levels = (uint32_t)use->args[1]};
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
    .usage = "q8[:GROUP]",
    .help = "8-bit levels for groups of GROUP values (128), rounded at random; 8.1 bits a value",
    .parse = parse_8,
    .encode = encode,
    .open = open_8,
    .decode = trib_blockwise_decode,
};

const struct trib_stage trib_stage_q4 = {
    .name = "q4",
    .id = TRIB_STAGE_ID_q4,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH,
    .usage = "q4[:GROUP]",
    .help = "4-bit levels for groups of GROUP values (64), rounded at random; 4.25 bits a value",
    .parse = parse_4,
    .encode = encode,
    .open = open_4,
    .decode = trib_blockwise_decode,
};
