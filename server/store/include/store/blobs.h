/* A blob is a content-addressed file: DIR/blobs/HH/REST, named by the SHA-256 of its bytes in hex (HH: its first two
 * digits). Blobs are written beside (DIR/blobs/tmp/), synced, renamed, and the folder synced, before anything may refer
 * to them. They never change. What nothing refers to is swept away. One thread. */
#ifndef TRIB_STORE_BLOBS_H
#define TRIB_STORE_BLOBS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trib_blobs; /* opaque */
struct trib_blob_name {
    uint8_t sha256[32];
    uint64_t len;
};

/* trib_blobs_open makes the folders; what a crash left half written in tmp goes. */
TRIB_MUST_CHECK enum trib_status trib_blobs_open(const char *dir, struct trib_blobs **blobs, struct trib_error *error);
void trib_blobs_close(struct trib_blobs *blobs); /* NULL is allowed */

/* A writer is a blob that is being written. Large pieces are hashed on a thread of the writer's own while they are
 * being written. `begin` asks for `len` bytes' room (0 = unknown): a full disk is found before the work. */
struct trib_blob_writer; /* opaque */
TRIB_MUST_CHECK enum trib_status trib_blob_writer_begin(struct trib_blobs *blobs, uint64_t len,
                                                        struct trib_blob_writer **writer, struct trib_error *error);
/* A piece of TRIB_BLOB_LARGE bytes or more must stay as it is until end or abort; a smaller one may go at once. */
enum { TRIB_BLOB_LARGE = 1 << 20 };
TRIB_MUST_CHECK enum trib_status trib_blob_writer_add(struct trib_blob_writer *writer, const void *bytes, size_t len,
                                                      struct trib_error *error);
/* A blob that has ended is synced and under its name, but the name itself is durable only after trib_blobs_sync. Frees
 * the writer, also on failure. A blob that is there already is as good. */
TRIB_MUST_CHECK enum trib_status trib_blob_writer_end(struct trib_blob_writer *writer, struct trib_blob_name *name,
                                                      struct trib_error *error);
void trib_blob_writer_abort(struct trib_blob_writer *writer); /* NULL is allowed */
/* trib_blobs_put is begin, add and end. */
TRIB_MUST_CHECK enum trib_status trib_blobs_put(struct trib_blobs *blobs, const void *bytes, size_t len,
                                                struct trib_blob_name *name, struct trib_error *error);
/* Make the names of all blobs that were written since durable. */
TRIB_MUST_CHECK enum trib_status trib_blobs_sync(struct trib_blobs *blobs, struct trib_error *error);

/* A blob's path, whether the file is there or not; the caller frees; NULL when memory is short. */
char *trib_blobs_path(const struct trib_blobs *blobs, const uint8_t sha256[32]);
/* trib_blobs_read reads a blob's bytes into to[name->len] and checks them: TRIB_CORRUPT names the file and says what is
 * wrong with it, also when it is missing. */
TRIB_MUST_CHECK enum trib_status trib_blobs_read(const struct trib_blobs *blobs, const struct trib_blob_name *name,
                                                 void *to, struct trib_error *error);
/* trib_blobs_verify checks as trib_blobs_read does, without keeping the bytes; memory does not grow with the file. */
TRIB_MUST_CHECK enum trib_status trib_blobs_verify(const struct trib_blobs *blobs, const struct trib_blob_name *name,
                                                   struct trib_error *error);
/* Remove every blob for which `keep` says no. A blob that cannot be removed is logged and left. */
void trib_blobs_sweep(struct trib_blobs *blobs, bool (*keep)(void *context, const uint8_t sha256[32]), void *context);
void trib_blobs_remove(struct trib_blobs *blobs, const uint8_t sha256[32]);

#endif
