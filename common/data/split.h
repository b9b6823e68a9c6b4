/* The partition rules share these calls. Private to this block; one thread. */
#ifndef TRIB_DATA_SPLIT_H
#define TRIB_DATA_SPLIT_H

#include "data/partition.h"

/* trib_split_init allocates offsets (zeroed) and indices for n_clients over n_examples; the caller clears the partition
 * when it fails later. */
TRIB_MUST_CHECK enum trib_status trib_split_init(size_t n_clients, size_t n_examples, struct trib_partition *partition,
                                                 struct trib_error *error);
/* trib_split_no_argument gives TRIB_INVALID when a rule that takes no argument was given one. */
TRIB_MUST_CHECK enum trib_status trib_split_no_argument(const char *rule, const char *argument,
                                                        struct trib_error *error);
/* trib_split_need_labels gives TRIB_UNSUPPORTED for a dataset without classes. */
TRIB_MUST_CHECK enum trib_status trib_split_need_labels(const char *rule, const struct trib_dataset *dataset,
                                                        struct trib_error *error);
/* trib_split_shuffle writes all indices in random order. */
void trib_split_shuffle(const struct trib_dataset *dataset, uint64_t seed, uint32_t *indices);
/* trib_split_by_label writes all indices sorted by label, in random order within one; class k has indices[starts[k] ..
 * starts[k+1]). */
TRIB_MUST_CHECK enum trib_status trib_split_by_label(const struct trib_dataset *dataset, uint64_t seed,
                                                     uint32_t *indices, size_t *starts, struct trib_error *error);
/* trib_split_at returns where part `part` of `parts` equal ones starts; sizes differ by at most one, the larger ones
 * first. */
size_t trib_split_at(size_t n, size_t part, size_t parts);

#endif
