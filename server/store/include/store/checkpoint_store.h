/* Committed models on disk: one safetensors file a round under DIR/models, `latest.safetensors` pointing to the last,
 * older ones pruned. A commit is durable before it returns; a failed one leaves what was there. One thread. */
#ifndef TRIB_STORE_CHECKPOINT_STORE_H
#define TRIB_STORE_CHECKPOINT_STORE_H

#include "model/checkpoint.h"

struct trib_checkpoint_store; /* opaque */

/* Makes DIR/models. keep = how many committed models stay (at least 1). */
TRIB_MUST_CHECK enum trib_status trib_checkpoint_store_open(const char *dir, uint32_t keep,
                                                            struct trib_checkpoint_store **store,
                                                            struct trib_error *error);
void trib_checkpoint_store_close(struct trib_checkpoint_store *store);
/* *path (borrowed until the next commit) is the file written. */
TRIB_MUST_CHECK enum trib_status trib_checkpoint_store_commit(struct trib_checkpoint_store *store, uint64_t round,
                                                              const struct trib_schema *schema, const float *model,
                                                              const struct trib_checkpoint_entry *entries,
                                                              size_t n_entries, const char **path,
                                                              struct trib_error *error);

#endif
