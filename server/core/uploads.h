/* Uploads in flight: one spool file each under STATE/uploads (in memory without a state folder), so that memory does
 * not grow with the number or size of uploads. A file is named by the node and the hash of what is to be in it, and
 * stays until it is removed: after a restart an upload goes on where it was, and one that is whole need not be sent
 * again. Nothing is synced: what a power loss has spoilt is found by the hash and asked for again.
 *
 * The engine grants and discards; transport threads fill. Reference-counted; the table has one mutex, held briefly. */
#ifndef TRIB_CORE_UPLOADS_H
#define TRIB_CORE_UPLOADS_H

#include "codec/frame.h"
#include "core/engine.h"

#include <pthread.h>

struct trib_upload {
    struct trib_uploads *table;
    _Atomic(int) refs;
    char node[TRIB_NODE_LEN];
    uint32_t client;
    uint64_t round, attempt;
    char *path; /* of its file; NULL: in memory */
    int fd;
    struct trib_chunk_receiver receiver;
    unsigned taken_over; /* times that a call went on behind one that had not ended */
    bool found;          /* the first bytes are of an earlier process, and not hashed yet; under the table's mutex */
    bool doubted;        /* ... and not known to be good */
    uint32_t crc;        /* of the chunk that is being received */
    uint64_t piece_offset;
    bool open;               /* a transport call has it; under the table's mutex */
    _Atomic(bool) cancelled; /* discarded by the engine */
    _Atomic(bool) complete;  /* whole and verified: nothing is written any more */
    struct trib_upload *next;
};

struct trib_uploads {
    pthread_mutex_t mutex;
    struct trib_upload *first; /* granted, not discarded; owns one reference each */
    char *dir;                 /* NULL: in memory */
    bool ready;
    char run[TRIB_RUN_ID_LEN + 1];
    /* Called by a transport thread: the upload is whole (fault NULL), or its peer broke the rules. */
    void (*ended)(void *context, struct trib_upload *upload, const struct trib_error *fault);
    void *context;
};

TRIB_MUST_CHECK enum trib_status trib_uploads_init(struct trib_uploads *table, const char *state_dir, const char *run,
                                                   void (*ended)(void *context, struct trib_upload *upload,
                                                                 const struct trib_error *fault),
                                                   void *context, struct trib_error *error);
void trib_uploads_clear(struct trib_uploads *table);
/* *offset: where to go on; above 0 when the same blob was granted before, maybe by an earlier process, and its upload
 * broke. */
TRIB_MUST_CHECK enum trib_status trib_uploads_grant(struct trib_uploads *table, const char *node, uint32_t client,
                                                    uint64_t round, uint64_t attempt, const uint8_t sha256[32],
                                                    uint64_t len, uint64_t *offset, struct trib_error *error);
/* Take this client's upload out of the table: the caller gets the table's reference; NULL when there is none. */
struct trib_upload *trib_uploads_take(struct trib_uploads *table, uint32_t client);
/* The same for one that is complete; another is discarded, and NULL. */
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
void trib_uploads_discard_all(struct trib_uploads *table);
TRIB_MUST_CHECK enum trib_status trib_uploads_open(struct trib_uploads *table, const char *node,
                                                   const struct trib_chunk *first, struct trib_upload **upload,
                                                   struct trib_error *error);
/* Taken by the engine: its file has no name from now on, and goes with the last reference. */
void trib_upload_unwanted(struct trib_upload *upload);
struct trib_upload *trib_upload_ref(struct trib_upload *upload);
void trib_upload_unref(struct trib_upload *upload); /* NULL is allowed */
struct trib_frame_source trib_upload_source(struct trib_upload *upload);

#endif
