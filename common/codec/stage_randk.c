/* randk keeps random elements of each block, ceil(SHARE * n) of n, scaled by n/k, so that each keeps its mean (Wangni
 * et al., 2018; Konecny et al., 2016). Which ones follows from seed and block number, by both sides: no positions are
 * sent. */
#include "sparse.h"
#include "stage_table.h"

#include "finite.h"

#include "base/rng.h"

#include <string.h>

/* k of n, each set as likely: Floyd's sampling (Bentley and Floyd, 1987) of whichever is fewer, what is kept or what is
 * left out; read from a map, they ascend. */
static void draw_positions(struct trib_block *block, size_t k)
{
    struct trib_rng rng = trib_rng_init(block->seed, "randk", block->number, 0);
    uint64_t *map = (uint64_t *)(void *)block->scratch; /* 64-byte aligned; 32 bits of room for each bit */
    const size_t n = block->n, words = (n + 63) / 64, drawn = k <= n / 2 ? k : n - k;
    memset(map, 0, words * sizeof *map);
    for (size_t last = n - drawn; last < n; last++) {
        size_t at = trib_rng_below(&rng, last + 1);
        at = map[at / 64] >> at % 64 & 1 ? last : at;
        map[at / 64] |= UINT64_C(1) << at % 64;
    }
    size_t found = 0;
    for (size_t word = 0; word < words; word++) {
        uint64_t bits = drawn == k ? map[word] : ~map[word];
        for (; bits != 0 && found < k; bits &= bits - 1) {
            block->positions[found++] = (uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits));
        }
    }
}

static enum trib_status encode(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out)
{
    (void)survey;
    size_t k = (size_t)trib_sparse_keeps(use->args[0], block->n);
    float scale = (float)((double)block->n / (double)k);
    draw_positions(block, k);
    for (size_t i = 0; i < k; i++) {
        block->values[i] = block->values[block->positions[i]] * scale;
    }
    block->n_values = k;
    block->sparse = block->derived = true;
    trib_sparse_write_count(out, k);
    return trib_all_finite(block->values, k) ? TRIB_OK : TRIB_NOT_FINITE;
}

static enum trib_status open(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory)
{
    (void)memory;
    block->sparse = block->derived = true;
    return trib_sparse_read_count(in, block->n, &block->n_values);
}

static enum trib_status decode(struct trib_block *block, const union trib_stage_memory *memory)
{
    (void)memory;
    draw_positions(block, block->n_values);
    return trib_sparse_scatter(block);
}

const struct trib_stage trib_stage_randk = {
    .name = "randk",
    .id = TRIB_STAGE_ID_randk,
    .kind = TRIB_STAGE_SPARSIFY,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_FIXED_LENGTH,
    .help = "random values, scaled up for those left out; both sides know which; \"randk:10%\"",
    .args = trib_sparse_share,
    .n_args = TRIB_SPARSE_ARGS,
    .encode = encode,
    .open = open,
    .decode = decode,
};
