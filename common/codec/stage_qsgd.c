/* qsgd: LEVELS levels of the Euclidean norm of each bucket and a sign, rounded at random (Alistarh et al., 2017). Most
 * symbols are near zero where a bucket is long: worth an entropy coder. */
#include "blockwise.h"
#include "stage_table.h"

#include "base/str.h"

enum { BUCKET = 512 };

static enum trib_status parse(const char *const *texts, size_t n, struct trib_stage_use *use, struct trib_error *error)
{
    int64_t levels;
    if (n < 1 || n > 2) {
        return trib_fail(error, TRIB_INVALID, "needs a number of levels; write %s", use->stage->usage);
    }
    TRIB_TRY(trib_parse_int(texts[0], 1, TRIB_BLOCKWISE_LEVELS_MOST, &levels, error));
    use->args[0] = (double)levels;
    return trib_blockwise_parse_group(n > 1 ? texts[1] : NULL, BUCKET, &use->args[1], error);
}

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
    .usage = "qsgd:LEVELS[,BUCKET]",
    .help = "LEVELS levels of the norm of each BUCKET values (512), rounded at random",
    .parse = parse,
    .encode = encode,
    .open = open,
    .decode = trib_blockwise_decode,
};
