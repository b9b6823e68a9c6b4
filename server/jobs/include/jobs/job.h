/* A job is a piece of a run's arithmetic or disk work, with its inputs and results by value and references to immutable
 * blobs: it never looks at the run. Arithmetic and disk have separate queues, each worked off in order by one thread.
 */
#ifndef TRIB_JOBS_JOB_H
#define TRIB_JOBS_JOB_H

#include "base/mailbox.h"
#include "intake/uploads.h"
#include "journal/journal.h"

struct trib_run;

enum trib_job_kind {
    TRIB_JOB_BEGIN,
    TRIB_JOB_FOLD,
    TRIB_JOB_APPLY,
    TRIB_JOB_EVALUATE,
    TRIB_JOB_SETTLE, /* what apply made is committed */
    TRIB_JOB_COMMIT,
    TRIB_JOB_NOTE
};

/* A parcel is what the hub's mailbox holds: jobs that are done, and what comes from outside. */
struct trib_parcel {
    struct trib_letter letter; /* first */
    bool is_job;
};

struct trib_job {
    struct trib_parcel parcel; /* first: in its queue, then back in the hub's mailbox */
    uint64_t ticket;           /* among all jobs of the hub */
    struct trib_run *run;      /* that the answer goes to */
    enum trib_job_kind kind;
    uint64_t round, attempt; /* that it was asked in */
    uint32_t client;         /* FOLD */

    struct trib_aggregate *aggregate; /* the room whose thread this is: arithmetic ... */
    struct trib_journal *journal;     /* ... or disk; NULL: nothing is kept */
    uint64_t max_total_weight;        /* BEGIN */
    struct trib_upload *upload;       /* FOLD: owned; NULL: it is gone */
    uint8_t *sketch;                  /* FOLD: what the update must agree with, owned; NULL: nothing */
    struct trib_fold fold;            /* FOLD */
    struct trib_version base;         /* APPLY: owned references */
    struct trib_made made;            /* EVALUATE, COMMIT: owned references; APPLY: the result */
    uint32_t updates;                 /* COMMIT: that are in it */
    int64_t wall_ms;                  /* COMMIT */
    struct trib_batch batch;          /* COMMIT, NOTE: owned */
    bool durable;                     /* NOTE: the last one, on the disk before anything goes on */

    bool ok;
    struct trib_fold_result folded;
    struct trib_evaluation evaluation;
    bool doubtful; /* COMMIT, NOTE: nobody knows what is on the disk */
    struct trib_error error;
};

bool trib_job_is_disk(enum trib_job_kind kind);
/* Do it, on the thread of its queue. */
void trib_job_do(struct trib_job *job);
/* Drop what it owns, for the next use. */
void trib_job_clear(struct trib_job *job);

#endif
