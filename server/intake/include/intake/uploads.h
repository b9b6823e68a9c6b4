/* Uploads in flight are one spool file each under STATE/uploads (memory without a state folder), so that RAM does not
 * grow with the number or size of uploads. A file is named by the node and the hash of what is to be in it, and stays
 * until it is removed: after a restart an upload goes on where it was, and one that is whole need not be sent again.
 * Nothing is synced: what a power loss has spoilt is found by the hash and asked for again.
 *
 * The run's thread grants and discards; transport threads fill. Uploads are reference-counted; the table has one mutex,
 * held briefly. */
#ifndef TRIB_INTAKE_UPLOADS_H
#define TRIB_INTAKE_UPLOADS_H

#include "codec/frame.h"
#include "wire/chunk.h"

struct trib_upload;  /* opaque */
struct trib_uploads; /* opaque */

/* Whose upload it is: a member's, for its task. */
struct trib_upload_owner {
    uint32_t client;
    uint64_t round, attempt;
};
/* A transport thread tells that an upload is whole (fault NULL), or that its peer broke the rules. */
typedef void trib_upload_ended(void *context, struct trib_upload *upload, const struct trib_error *fault);

/* state_dir NULL: in memory. */
TRIB_MUST_CHECK enum trib_status trib_uploads_new(const char *state_dir, trib_upload_ended *ended, void *context,
                                                  struct trib_uploads **table, struct trib_error *error);
void trib_uploads_free(struct trib_uploads *table); /* NULL is allowed; files stay, for the next process */
/* Before anything is granted: uploads must name this run. */
void trib_uploads_name_run(struct trib_uploads *table, const char *run);

/* ---- the run's thread ---- */
/* *offset: where to go on; above 0 when the same blob was granted before, maybe by an earlier process, and its upload
 * broke. */
TRIB_MUST_CHECK enum trib_status trib_uploads_grant(struct trib_uploads *table, const char *node, uint32_t client,
                                                    uint64_t round, uint64_t attempt, const uint8_t sha256[32],
                                                    uint64_t len, uint64_t *offset, struct trib_error *error);
/* Take this client's upload out of the table: the caller gets the table's reference; NULL when there is none. */
struct trib_upload *trib_uploads_take(struct trib_uploads *table, uint32_t client);
/* trib_uploads_take_complete does that for one that is complete; another is discarded, and NULL. */
struct trib_upload *trib_uploads_take_complete(struct trib_uploads *table, uint32_t client);
/* Whether this very upload is still in the table. */
bool trib_uploads_holds(struct trib_uploads *table, const struct trib_upload *upload);
/* An upload that an earlier process had whole, as one that is complete now, with the caller's reference and not in the
 * table: TRIB_NOT_FOUND or TRIB_CORRUPT when it is not, or not as it was. */
TRIB_MUST_CHECK enum trib_status trib_uploads_recover(struct trib_uploads *table, const char *node, uint32_t client,
                                                      const uint8_t sha256[32], uint64_t len,
                                                      struct trib_upload **upload, struct trib_error *error);
/* Put one that was recovered into the table. Takes the reference. */
void trib_uploads_put(struct trib_uploads *table, struct trib_upload *upload, uint64_t round, uint64_t attempt);
/* Remove the file of an upload that was taken and is needed no more. */
void trib_uploads_remove(struct trib_uploads *table, const char *node, const uint8_t sha256[32]);
/* Remove every file for which `keep` says no; at the start. */
void trib_uploads_sweep(struct trib_uploads *table, bool (*keep)(void *context, const char *name), void *context);
enum { TRIB_UPLOAD_NAME_LEN = 16 + 1 + 64 + 1 };
void trib_upload_name(const char *node, const uint8_t sha256[32], char name[TRIB_UPLOAD_NAME_LEN]);
/* Take it out, cancel it and remove its file. */
void trib_uploads_discard(struct trib_uploads *table, uint32_t client);

/* The frame that a whole upload is. */
struct trib_frame_source trib_upload_source(struct trib_upload *upload);
/* Taken out of the table: its file has no name from now on, and goes with the last reference. */
void trib_upload_unwanted(struct trib_upload *upload);
struct trib_upload_owner trib_upload_owner(const struct trib_upload *upload);
struct trib_upload *trib_upload_ref(struct trib_upload *upload);
void trib_upload_unref(struct trib_upload *upload); /* NULL is allowed */

/* ---- transport threads; one call at a time for each upload ---- */
/* TRIB_NOT_FOUND: nothing was granted to this node; TRIB_MISMATCH: for another run, round or blob; TRIB_EXISTS: another
 * call is sending it. */
TRIB_MUST_CHECK enum trib_status trib_uploads_open(struct trib_uploads *table, const char *node,
                                                   const struct trib_chunk *first, struct trib_upload **upload,
                                                   struct trib_error *error);
/* Check a chunk's header; then pass its payload in pieces; then end it. TRIB_CANCELLED when the round went on. */
TRIB_MUST_CHECK enum trib_status trib_upload_begin(struct trib_upload *upload, const struct trib_chunk *chunk,
                                                   struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_upload_piece(struct trib_upload *upload, const uint8_t *piece, size_t len,
                                                   struct trib_error *error);
/* *complete: the whole blob is here and its hash is right; the engine goes on from there. */
TRIB_MUST_CHECK enum trib_status trib_upload_end(struct trib_upload *upload, const struct trib_chunk *chunk,
                                                 bool *complete, struct trib_error *error);
uint64_t trib_upload_received(const struct trib_upload *upload);
/* The transport is done with it, whether complete or not. fault: why it broke, NULL when it did not. A fault of the
 * peer's making ends its part in the round; after a broken connection it may offer again and go on. */
void trib_upload_close(struct trib_upload *upload, const struct trib_error *fault);

#endif
