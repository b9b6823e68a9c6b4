/* The sparsifying stages share the argument SHARE, counts in heads, the exact choice of the largest magnitudes of
 * a whole vector, and putting what was kept back in its place. Private to the codec block; any thread. */
#ifndef TRIB_CODEC_SPARSE_H
#define TRIB_CODEC_SPARSE_H

#include "codec/stage.h"

/* trib_sparse_share is the rows of arguments of a stage that keeps SHARE of the values. */
enum { TRIB_SPARSE_ARGS = 1 };
extern const struct trib_stage_arg trib_sparse_share[TRIB_SPARSE_ARGS];

/* trib_sparse_keeps returns how many of n are kept: ceil(share * n), at least 1. */
uint64_t trib_sparse_keeps(double share, uint64_t n);

/* A count takes 2 bytes, 3 above 65534. */
void trib_sparse_write_count(struct trib_writer *out, size_t count);
/* trib_sparse_read_count says TRIB_CORRUPT for a count that is cut short, above `most`, or not as it is written. */
TRIB_MUST_CHECK enum trib_status trib_sparse_read_count(struct trib_reader *in, size_t most, size_t *count);

/* ---- the largest of a whole vector ---- */

/* A choice is found by its threshold. The threshold is found by selection on the bits of the magnitudes, which order as
 * the magnitudes do: a histogram of the upper 16 bits, one of the lower 15 within the bucket that holds the k-th
 * largest, then a pass that hands out the places of values equal to it, first come first served. Exact: k values are
 * kept, or all that are not zero when these are fewer. The stage's share is args[0]. */
struct trib_sparse_choice {
    uint64_t left;       /* of the k, those still to be found below what is known to be kept */
    uint32_t threshold;  /* magnitudes above are kept */
    uint32_t *ties;      /* [n_blocks] values equal to it that a block keeps, its first ones */
    uint64_t *histogram; /* [2^16] */
    uint64_t kept;       /* of all */
    double sum;          /* of kept magnitudes */
};
extern const struct trib_stage_survey trib_sparse_survey; /* its state is a struct trib_sparse_choice */

/* trib_sparse_pick reduces the block to what is kept: values, positions, n_values, sparse. */
void trib_sparse_pick(const struct trib_sparse_choice *choice, struct trib_block *block);
/* trib_sparse_scatter is the way back: n_values values at their positions among n elements, zeros elsewhere.
 * TRIB_CORRUPT: positions that do not ascend or lie beyond the block. */
TRIB_MUST_CHECK enum trib_status trib_sparse_scatter(struct trib_block *block);

#endif
