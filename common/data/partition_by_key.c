/* The rule "by-key" deals whole keys (writers, speakers, devices) to clients: the key with the most examples goes to
 * the client with the fewest, until all are dealt. Keys of equal size come in an order that the seed decides. Any
 * thread. Source: the longest-processing-time rule, Graham 1969. */
#include "split.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>

struct key {
    size_t count;  /* examples */
    uint32_t rank; /* breaks ties */
    uint32_t number;
};
struct load {
    size_t count;
    size_t client;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a;
    const struct key *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static bool is_lighter(const struct load *a, const struct load *b)
{
    return a->count != b->count ? a->count < b->count : a->client < b->client;
}

/* Restore the heap after its top grew. */
static void sift_down(struct load *heap, size_t n)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= n) {
            return;
        }
        child += child + 1 < n && is_lighter(&heap[child + 1], &heap[child]);
        if (!is_lighter(&heap[child], &heap[at])) {
            return;
        }
        struct load moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

/* owner[key] = client */
static enum trib_status deal_keys(const struct trib_dataset *dataset, size_t n_clients, uint64_t seed, uint32_t *owner,
                                  struct trib_error *error)
{
    size_t n_keys = (size_t)dataset->n_keys;
    struct key *keys = trib_calloc(n_keys, sizeof *keys);
    uint32_t *ranks = trib_malloc_aligned(n_keys, sizeof *ranks);
    struct load *heap = trib_malloc_aligned(n_clients, sizeof *heap);
    enum trib_status status = TRIB_OK;
    if (!keys || !ranks || !heap) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    struct trib_rng rng = trib_rng_init(seed, "by-key", 0, 0);
    for (size_t k = 0; k < n_keys; k++) {
        ranks[k] = (uint32_t)k;
    }
    trib_rng_shuffle_u32(&rng, ranks, n_keys);
    for (size_t k = 0; k < n_keys; k++) {
        keys[k].rank = ranks[k];
        keys[k].number = (uint32_t)k;
    }
    for (size_t i = 0; i < dataset->n; i++) {
        keys[dataset->keys[i]].count++;
    }
    qsort(keys, n_keys, sizeof *keys, compare_keys);
    for (size_t c = 0; c < n_clients; c++) {
        heap[c] = (struct load){.count = 0, .client = c}; /* a heap already: equal counts, rising clients */
    }
    for (size_t k = 0; k < n_keys; k++) {
        owner[keys[k].number] = (uint32_t)heap[0].client;
        heap[0].count += keys[k].count;
        sift_down(heap, n_clients);
    }
out:
    trib_free(keys);
    trib_free(ranks);
    trib_free(heap);
    return status;
}

static void place_examples(const struct trib_dataset *dataset, const uint32_t *owner, struct trib_partition *partition)
{
    size_t *offsets = partition->offsets;
    size_t n_clients = partition->n_clients;
    for (size_t i = 0; i < dataset->n; i++) {
        offsets[owner[dataset->keys[i]] + 1]++;
    }
    for (size_t c = 0; c < n_clients; c++) {
        offsets[c + 1] += offsets[c];
    }
    /* offsets[c] walks to where client c + 1 starts, and is set back. */
    for (size_t i = 0; i < dataset->n; i++) {
        partition->indices[offsets[owner[dataset->keys[i]]]++] = (uint32_t)i;
    }
    for (size_t c = n_clients; c > 0; c--) {
        offsets[c] = offsets[c - 1];
    }
    offsets[0] = 0;
}

static enum trib_status split_by_key(const struct trib_dataset *dataset, size_t n_clients, const char *argument,
                                     uint64_t seed, struct trib_partition *partition, struct trib_error *error)
{
    TRIB_TRY(trib_split_no_argument("by-key", argument, error));
    if (!dataset->keys) {
        return trib_fail(error, TRIB_INVALID,
                         "partition by-key: the dataset has no keys; name a file of them as keys, or with csv a "
                         "key_column");
    }
    if (n_clients > (size_t)dataset->n_keys) {
        return trib_fail(error, TRIB_INVALID,
                         "partition by-key: %zu clients, but only %d keys; every client needs at least one", n_clients,
                         dataset->n_keys);
    }
    uint32_t *owner = trib_malloc_aligned((size_t)dataset->n_keys, sizeof *owner);
    if (!owner) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = deal_keys(dataset, n_clients, seed, owner, error);
    if (status == TRIB_OK) {
        status = trib_split_init(n_clients, dataset->n, partition, error);
    }
    if (status == TRIB_OK) {
        place_examples(dataset, owner, partition);
    }
    trib_free(owner);
    return status;
}

const struct trib_partition_rule trib_partition_rule_by_key = {
    .name = "by-key",
    .help = "by-key: whole keys dealt to clients, most examples first to the client with the fewest",
    .split = split_by_key,
};
