/* q8: a byte a value, one of 255 levels fitted to each group's largest magnitude, rounded at random. */
#include "blockwise.h"
#include "stage_table.h"

enum { LEVELS = 127, GROUP = 128 };

static enum trib_status parse(const char *const *texts, size_t n, struct trib_stage_use *use, struct trib_error *error)
{
    if (n > 1) {
        return trib_fail(error, TRIB_INVALID, "too many arguments; write %s", use->stage->usage);
    }
    return trib_blockwise_parse_group(n > 0 ? texts[0] : NULL, GROUP, &use->args[0], error);
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    struct trib_blockwise shape = {.group = (uint32_t)use->args[0], .levels = LEVELS};
    return trib_blockwise_encode(&shape, false, block, out);
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    return trib_blockwise_open(LEVELS, block, in, memory);
}

const struct trib_stage trib_stage_q8 = {
    .name = "q8",
    .id = TRIB_STAGE_ID_q8,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH,
    .usage = "q8[:GROUP]",
    .help = "8-bit levels for groups of GROUP values (128), rounded at random; 8.1 bits a value",
    .parse = parse,
    .encode = encode,
    .open = open,
    .decode = trib_blockwise_decode,
};
