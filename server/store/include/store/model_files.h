/* Committed models under names that people and programs use: DIR/models/round-NNNNNN.safetensors is another name of the
 * model's blob, latest.safetensors points to the last. The names follow from the store: nothing here is synced, what a
 * crash loses is made again at the next start, by the same call. One thread. */
#ifndef TRIB_STORE_MODEL_FILES_H
#define TRIB_STORE_MODEL_FILES_H

#include "base/status.h"

#include <stdint.h>

/* Name the blob at `path` after its round (a hard link, or a relative symbolic one where the file system has none of
 * those, which then lasts only as long as the blob), point latest.safetensors to it, and remove the names of rounds
 * that are `keep` (at least 1) or more before it; names of later rounds, which are of another run, are left alone. What
 * cannot be removed is logged and left. Calling it again changes nothing. */
TRIB_MUST_CHECK enum trib_status trib_model_files_link(const char *dir, uint64_t round, const char *path, uint32_t keep,
                                                       struct trib_error *error);

#endif
