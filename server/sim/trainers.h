/* Threads that train simulated clients. Jobs are taken in the order of the virtual time at which they end, so that what
 * is waited for first is done first; only a few results wait ahead of their time, so that memory is that of the
 * threads, not that of the clients. One thread adds, waits and cancels. */
#ifndef TRIB_SIM_TRAINERS_H
#define TRIB_SIM_TRAINERS_H

#include "backend/backend.h"
#include "client/session.h"

struct trib_sim_job {
    /* Set by whoever adds it, who owns it again after trib_trainers_wait. */
    int64_t end_us; /* virtual */
    uint64_t order; /* among those of one time */
    struct trib_client_task task;
    struct trib_blob *model; /* the task's, whole; one reference */
    uint32_t *indices;       /* [n], borrowed: the client's examples */
    size_t n;
    char *feedback_dir; /* owned; NULL = the task asks for no error feedback */
    /* What came of it. */
    enum trib_status status;
    struct trib_error error;
    struct trib_client_update update;
    /* The pool's own. */
    enum { TRIB_SIM_JOB_QUEUED, TRIB_SIM_JOB_RUNNING, TRIB_SIM_JOB_DONE } state;
    bool dropped;
    _Atomic(bool) stop;
};
void trib_sim_job_free(struct trib_sim_job *job); /* NULL is allowed */

struct trib_trainers; /* opaque */

/* All borrowed. */
TRIB_MUST_CHECK enum trib_status trib_trainers_new(int threads, const struct trib_backend *backend,
                                                   const struct trib_dataset *dataset, struct trib_trainers **trainers,
                                                   struct trib_error *error);
/* Jobs that were not waited for are freed. */
void trib_trainers_free(struct trib_trainers *trainers);
/* Takes the job over, unless it fails (TRIB_NO_MEMORY). */
TRIB_MUST_CHECK enum trib_status trib_trainers_add(struct trib_trainers *trainers, struct trib_sim_job *job);
/* Until it is done; no job that was added may end earlier. */
void trib_trainers_wait(struct trib_trainers *trainers, struct trib_sim_job *job);
/* Its result is not wanted: when this returns nobody works on it, and it is the pool's to free. */
void trib_trainers_cancel(struct trib_trainers *trainers, struct trib_sim_job *job);

#endif
