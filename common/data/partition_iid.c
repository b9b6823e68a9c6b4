/* The rule "iid" cuts all examples, in random order, into equal parts; "file" gives them all to one client. Any thread.
 */
#include "split.h"

static enum trib_status split_iid(const struct trib_dataset *dataset, size_t n_clients, const char *argument,
                                  uint64_t seed, struct trib_partition *partition, struct trib_error *error)
{
    TRIB_TRY(trib_split_no_argument("iid", argument, error));
    TRIB_TRY(trib_split_init(n_clients, dataset->n, partition, error));
    trib_split_shuffle(dataset, seed, partition->indices);
    for (size_t c = 0; c <= n_clients; c++) {
        partition->offsets[c] = trib_split_at(dataset->n, c, n_clients);
    }
    return TRIB_OK;
}

static enum trib_status split_file(const struct trib_dataset *dataset, size_t n_clients, const char *argument,
                                   uint64_t seed, struct trib_partition *partition, struct trib_error *error)
{
    (void)seed;
    TRIB_TRY(trib_split_no_argument("file", argument, error));
    if (n_clients != 1) {
        return trib_fail(error, TRIB_INVALID,
                         "partition file: gives a client all examples of its own file, so there is 1 client, not %zu; "
                         "to divide one file use iid, shards, dirichlet or by-key",
                         n_clients);
    }
    TRIB_TRY(trib_split_init(1, dataset->n, partition, error));
    for (size_t i = 0; i < dataset->n; i++) {
        partition->indices[i] = (uint32_t)i;
    }
    partition->offsets[1] = dataset->n;
    return TRIB_OK;
}

const struct trib_partition_rule trib_partition_rule_iid = {
    .name = "iid",
    .help = "iid: random equal parts",
    .split = split_iid,
};

const struct trib_partition_rule trib_partition_rule_file = {
    .name = "file",
    .help = "file: all examples, where each client has a file of its own",
    .split = split_file,
};
