/* A partition splits one dataset over clients, deterministically from a seed: for experiments, simulation and the
 * quickstart. */
#ifndef TRIB_DATA_PARTITION_H
#define TRIB_DATA_PARTITION_H

#include "data/dataset.h"

/* In a partition client c owns indices[offsets[c] .. offsets[c+1]), which ascend; at least one. Every example belongs
 * to at most one client. */
struct trib_partition {
    size_t n_clients;
    size_t *offsets; /* n_clients + 1 */
    uint32_t *indices;
};
struct trib_partition_rule {
    const char *name; /* "iid", "shards", "dirichlet", "by-key", "file" */
    const char *help;
    /* argument: what follows the colon, or NULL */
    enum trib_status (*split)(const struct trib_dataset *dataset, size_t n_clients, const char *argument, uint64_t seed,
                              struct trib_partition *partition, struct trib_error *error);
};
size_t trib_partition_rules(const struct trib_partition_rule *const **rules);

/* trib_partition_make splits by a rule: "iid"; "shards:K" (sorted by label, cut into n*K shards, K a client: about K
 * classes each, McMahan 2017); "dirichlet:ALPHA" (equal sizes, class mixtures drawn from Dirichlet(ALPHA x class
 * frequencies), Hsu 2019); "by-key" (whole keys dealt to clients, most examples first to the client with the fewest);
 * "file" (all examples: the client's own file; n_clients is 1). TRIB_INVALID names the rule, what is wrong and the
 * rules that exist. */
TRIB_MUST_CHECK enum trib_status trib_partition_make(const char *rule, const struct trib_dataset *dataset,
                                                     size_t n_clients, uint64_t seed, struct trib_partition *partition,
                                                     struct trib_error *error);
void trib_partition_clear(struct trib_partition *partition);

#endif
