/* The store of blobs, as its reader and its writer share it. Private to the block. */
#ifndef TRIB_STORE_BLOBS_PRIVATE_H
#define TRIB_STORE_BLOBS_PRIVATE_H

#include "store/blobs.h"

#include "base/disk.h"

enum { TRIB_BLOB_FOLDERS = 256 };

struct trib_blobs {
    char *parent, *dir, *tmp;         /* DIR, DIR/blobs, DIR/blobs/tmp */
    uint64_t written;                 /* numbers the files in tmp */
    bool made[TRIB_BLOB_FOLDERS];     /* the folder is there */
    bool unsynced[TRIB_BLOB_FOLDERS]; /* names in it may not be durable */
    bool folders_unsynced;            /* folders' own names */
};

/* A look makes nothing, and removes nothing. */
TRIB_MUST_CHECK enum trib_status trib_blobs_look(const char *dir, struct trib_blobs **blobs, struct trib_error *error);
/* Visit every blob by name and length; *leftovers = what writers left in tmp. */
TRIB_MUST_CHECK enum trib_status trib_blobs_each(const struct trib_blobs *blobs,
                                                 enum trib_status (*visit)(void *context,
                                                                           const struct trib_blob_name *name,
                                                                           struct trib_error *error),
                                                 void *context, uint64_t *leftovers, struct trib_error *error);

#endif
