/* ternary is sparse ternary compression (Sattler et al., 2019): the largest magnitudes of the whole vector, ceil(SHARE
 * * n) of them, each as its sign times mu = mean |kept|. One bit and a position for each; wants error feedback, and an
 * entropy coder for the positions. */
#include "sparse.h"
#include "stage_table.h"

#include <math.h>
#include <string.h>

struct memory {
    float mu;
};

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    const struct trib_sparse_choice *choice = survey;
    if (block->sparse || use->rotated) { /* it chooses from the whole vector, as it is */
        return TRIB_INVALID;
    }
    trib_sparse_pick(choice, block);
    for (size_t i = 0; i < block->n_values; i++) {
        block->symbols[i] = block->values[i] > 0;
    }
    block->n_symbols = block->n_values;
    block->alphabet = 2;
    trib_sparse_write_count(out, block->n_values);
    if (block->n_values > 0) {
        trib_write_float(out, (float)(choice->sum / (double)choice->kept));
    }
    return TRIB_OK;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    struct memory mine = {0};
    if (block->sparse) {
        return TRIB_CORRUPT;
    }
    TRIB_TRY(trib_sparse_read_count(in, block->n, &block->n_values));
    if (block->n_values > 0 && !trib_read_float(in, &mine.mu)) {
        return in->failed ? TRIB_CORRUPT : TRIB_NOT_FINITE;
    }
    memcpy(memory->bytes, &mine, sizeof mine);
    block->sparse = true;
    block->n_symbols = block->n_values;
    block->alphabet = 2;
    return TRIB_OK;
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    struct memory mine;
    memcpy(&mine, memory->bytes, sizeof mine);
    for (size_t i = 0; i < block->n_values; i++) {
        block->values[i] = block->symbols[i] ? mine.mu : -mine.mu;
    }
    return trib_sparse_scatter(block);
}

static enum trib_status check(struct trib_stage_use *use, struct trib_error *error)
{
    if (use->rotated || use->sparsified) {
        return trib_fail(error, TRIB_INVALID,
                         "picks the largest values itself, from the vector as it is: nothing but an "
                         "entropy coder goes with it");
    }
    return TRIB_OK;
}

const struct trib_stage trib_stage_ternary = {
    .name = "ternary",
    .id = TRIB_STAGE_ID_ternary,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FEEDBACK,
    .help = "signs of the largest magnitudes of the whole vector and their mean (STC); \"ternary:1/400\"",
    .args = trib_sparse_share,
    .n_args = TRIB_SPARSE_ARGS,
    .check = check,
    .survey = &trib_sparse_survey,
    .encode = encode,
    .open = open,
    .decode = decode,
};
