/* A model spool is a received blob on its way to the trainer: in memory, or, when it is large and there is a folder for
 * it, in a file there that bears the blob's name and outlives the process: what a download got to before a crash is
 * found again. One owner; written by one thread at a time, then read. */
#ifndef TRIB_CLIENT_MODEL_SPOOL_H
#define TRIB_CLIENT_MODEL_SPOOL_H

#include "client/disk_budget.h"
#include "client/limits.h"
#include "codec/frame.h"

#include <stddef.h>
#include <stdint.h>

struct trib_model_spool; /* opaque */

struct trib_spool_place {            /* where blobs go; all borrowed */
    const char *dir;                 /* NULL = memory only */
    struct trib_disk_budget *budget; /* may be NULL */
    struct trib_client_limits limits;
};
/* trib_model_spool_new makes room for `len` bytes of the blob of that name. A file is download-SHA256 in the folder,
 * and grows as it is written: *found receives how many bytes of it are there already, unverified; 0 in memory.
 * TRIB_LIMIT, TRIB_NO_MEMORY, TRIB_NO_SPACE, TRIB_IO. */
TRIB_MUST_CHECK enum trib_status trib_model_spool_new(const struct trib_spool_place *place, const uint8_t sha256[32],
                                                      uint64_t len, struct trib_model_spool **spool, uint64_t *found,
                                                      struct trib_error *error);
/* trib_model_spool_adopt makes a spool of a blob, whose reference it takes (NULL when out of memory; the reference
 * stays the caller's then). */
struct trib_model_spool *trib_model_spool_adopt(struct trib_blob *blob);
/* trib_model_spool_open makes a spool of the first `len` bytes of a file, to be read only. */
TRIB_MUST_CHECK enum trib_status trib_model_spool_open(const char *path, uint64_t len, struct trib_model_spool **spool,
                                                       struct trib_error *error);
/* trib_model_spool_free also takes away the file that trib_model_spool_new made. NULL is allowed. */
void trib_model_spool_free(struct trib_model_spool *spool);
/* trib_model_spool_leave frees the spool, but that file stays, for a later trib_model_spool_new to find. */
void trib_model_spool_leave(struct trib_model_spool *spool);
/* trib_model_spool_forget takes that file's name away at once; the bytes remain, as far as this spool is concerned. */
void trib_model_spool_forget(struct trib_model_spool *spool);
/* trib_model_spool_write: offset + len must lie within the spool (TRIB_INVALID). */
TRIB_MUST_CHECK enum trib_status trib_model_spool_write(struct trib_model_spool *spool, uint64_t offset,
                                                        const void *bytes, size_t len, struct trib_error *error);
/* trib_model_spool_settle makes the whole blob's file durable under another name, with a note behind it, instead of
 * copying it there.
 * TRIB_NOT_FOUND: it is in no file, or the file has no name any more. After a failure the spool is as it was. */
TRIB_MUST_CHECK enum trib_status trib_model_spool_settle(struct trib_model_spool *spool, const char *path,
                                                         const void *note, size_t note_len, struct trib_error *error);
struct trib_frame_source trib_model_spool_source(struct trib_model_spool *spool); /* valid as long as the spool */
size_t trib_model_spool_memory(const struct trib_model_spool *spool);             /* bytes held in memory */

/* trib_model_spool_longest names, of the blobs whose files are in the folder, the one that has come furthest; false
 * when there is none. dir may be NULL. */
bool trib_model_spool_longest(const char *dir, uint8_t sha256[32]);
/* trib_model_spool_tidy takes the files of all blobs but that one away; sha256 NULL: of all. dir may be NULL. */
void trib_model_spool_tidy(const char *dir, const uint8_t *sha256);

#endif
