/* The rule "shards:K" sorts examples by label, cuts them into K shards a client and deals these at random: clients see
 * about K classes. Source: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized
 * Data", section 3 (there 200 shards for 100 clients, K = 2). Any thread. */
#include "split.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <string.h>

/* Deal shard order[c * k + j] to client c; a shard is one of n_shards equal cuts of `sorted`. */
static void deal(const uint32_t *sorted, size_t n, const uint32_t *order, size_t k, struct trib_partition *partition)
{
    size_t at = 0;
    size_t n_shards = partition->n_clients * k;
    for (size_t c = 0; c < partition->n_clients; c++) {
        partition->offsets[c] = at;
        for (size_t j = 0; j < k; j++) {
            size_t shard = order[c * k + j];
            size_t start = trib_split_at(n, shard, n_shards);
            size_t count = trib_split_at(n, shard + 1, n_shards) - start;
            memcpy(partition->indices + at, sorted + start, count * sizeof *sorted);
            at += count;
        }
    }
    partition->offsets[partition->n_clients] = at;
}

static enum trib_status split_shards(const struct trib_dataset *dataset, size_t n_clients, const char *argument,
                                     uint64_t seed, struct trib_partition *partition, struct trib_error *error)
{
    int64_t k = 0;
    size_t n_shards = 0;
    TRIB_TRY(trib_split_need_labels("shards", dataset, error));
    if (!argument) {
        return trib_fail(error, TRIB_INVALID,
                         "partition shards: write shards:K with K shards a client, such as shards:2");
    }
    enum trib_status status = trib_parse_int(argument, 1, UINT32_MAX, &k, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "partition shards:K");
    }
    if (!trib_size_mul((size_t)k, n_clients, &n_shards) || n_shards > dataset->n) {
        return trib_fail(error, TRIB_INVALID,
                         "partition shards:%lld: %lld shards for each of %zu clients, but only %zu examples",
                         (long long)k, (long long)k, n_clients, dataset->n);
    }
    uint32_t *sorted = trib_malloc_aligned(dataset->n, sizeof *sorted);
    uint32_t *order = trib_malloc_aligned(n_shards, sizeof *order);
    size_t *starts = trib_malloc_aligned((size_t)dataset->classes + 1, sizeof *starts);
    if (!sorted || !order || !starts) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = trib_split_by_label(dataset, seed, sorted, starts, error);
    if (status == TRIB_OK) {
        status = trib_split_init(n_clients, dataset->n, partition, error);
    }
    if (status == TRIB_OK) {
        struct trib_rng rng = trib_rng_init(seed, "shards", 0, 0);
        for (size_t i = 0; i < n_shards; i++) {
            order[i] = (uint32_t)i;
        }
        trib_rng_shuffle_u32(&rng, order, n_shards);
        deal(sorted, dataset->n, order, (size_t)k, partition);
    }
out:
    trib_free(sorted);
    trib_free(order);
    trib_free(starts);
    return status;
}

const struct trib_partition_rule trib_partition_rule_shards = {
    .name = "shards",
    .help = "shards:K: sorted by label, cut into K shards a client: about K classes each",
    .split = split_shards,
};
