/* A received model on its way to the trainer: in memory, or in an unnamed file when it is large. One owner; written by
 * one thread at a time, then read. */
#ifndef TRIB_SESSION_MODEL_SPOOL_H
#define TRIB_SESSION_MODEL_SPOOL_H

#include "codec/frame.h"
#include "session/limits.h"

#include <stddef.h>
#include <stdint.h>

struct trib_model_spool; /* opaque */

/* Room for `len` bytes. dir is where a large model's file goes; NULL = memory only. The file has no name, so that
 * nothing stays behind when the process dies. TRIB_LIMIT, TRIB_NO_MEMORY, TRIB_NO_SPACE, TRIB_IO. */
TRIB_MUST_CHECK enum trib_status trib_model_spool_new(uint64_t len, const char *dir,
                                                      const struct trib_client_limits *limits,
                                                      struct trib_model_spool **spool, struct trib_error *error);
/* A spool that is there already: the blob, whose reference it takes (NULL when out of memory; the reference stays the
 * caller's then), or the first `len` bytes of a file, to be read only. */
struct trib_model_spool *trib_model_spool_adopt(struct trib_blob *blob);
TRIB_MUST_CHECK enum trib_status trib_model_spool_open(const char *path, uint64_t len, struct trib_model_spool **spool,
                                                       struct trib_error *error);
void trib_model_spool_free(struct trib_model_spool *spool); /* NULL is allowed */
/* offset + len must lie within the spool (TRIB_INVALID). */
TRIB_MUST_CHECK enum trib_status trib_model_spool_write(struct trib_model_spool *spool, uint64_t offset,
                                                        const void *bytes, size_t len, struct trib_error *error);
struct trib_frame_source trib_model_spool_source(struct trib_model_spool *spool); /* valid as long as the spool */
size_t trib_model_spool_memory(const struct trib_model_spool *spool);             /* bytes held in memory */

#endif
