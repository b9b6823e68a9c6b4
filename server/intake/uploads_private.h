/* The inside of the table of uploads, for its file and its tests. */
#ifndef TRIB_INTAKE_UPLOADS_PRIVATE_H
#define TRIB_INTAKE_UPLOADS_PRIVATE_H

#include "intake/uploads.h"

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
    char run[TRIB_RUN_ID_LEN + 1];
    trib_upload_ended *ended;
    void *context;
};

#endif
