/* topk keeps the largest magnitudes of the whole vector (Aji and Heafield, 2017; Stich et al., 2018), exactly
 * ceil(SHARE * n) of them, wherever they lie: a block keeps what it has of them. Biased: what is left out is for error
 * feedback. */
#include "sparse.h"
#include "stage_table.h"

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)use;
    trib_sparse_pick(survey, block);
    trib_sparse_write_count(out, block->n_values);
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    (void)memory;
    block->sparse = true;
    return trib_sparse_read_count(in, block->n, &block->n_values);
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    (void)memory;
    return trib_sparse_scatter(block);
}

const struct trib_stage trib_stage_topk = {
    .name = "topk",
    .id = TRIB_STAGE_ID_topk,
    .kind = TRIB_STAGE_SPARSIFY,
    .caps = TRIB_CODEC_FEEDBACK,
    .help = "only the largest magnitudes of the whole vector; \"topk:1%\", \"topk:1/400\"",
    .args = trib_sparse_share,
    .n_args = TRIB_SPARSE_ARGS,
    .survey = &trib_sparse_survey,
    .encode = encode,
    .open = open,
    .decode = decode,
};
