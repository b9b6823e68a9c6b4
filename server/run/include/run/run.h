/* A run is one federation: it gives the round machine its events and executes the machine's actions with the rooms. It
 * is an object of its own, so that a hub can have several. Nothing here blocks: arithmetic and disk work are jobs that
 * the host does elsewhere.
 *
 * Threads: the hub's, but for trib_run_introduce, trib_run_blob, trib_run_upload_open and what is asked about a run
 * that is fixed after it was made. */
#ifndef TRIB_RUN_RUN_H
#define TRIB_RUN_RUN_H

#include "journal/observer.h"
#include "jobs/job.h"
#include "settings/settings.h"

struct trib_run; /* opaque */

/* A host gives what a run needs of whoever has it. */
struct trib_run_host {
    void *context;
    int64_t (*now_ms)(void *context);
    int64_t (*wall_ms)(void *context);
    /* Queue a job, which comes back through trib_run_job_done. */
    void (*submit)(void *context, struct trib_job *job);
    /* From any thread: an upload is whole (with a reference that is the callee's), or it broke the rules (fault). The
     * callee hands it to trib_run_upload_ended on the hub's thread. */
    void (*upload_ended)(void *context, struct trib_run *run, const struct trib_upload_owner *owner,
                         struct trib_upload *upload, const char *fault);
    /* NULL, or told every fact after the listed observers. */
    void (*observe)(void *context, const struct trib_fact *fact);
    const _Atomic(uint64_t) *bytes_up, *bytes_down; /* on the wire so far */
    bool simulated;                                 /* time and run follow from the seed */
};
struct trib_run_setup {
    const struct trib_server_settings *settings; /* borrowed */
    const char *software;                        /* "tributary-server 0.1.0" */
    struct trib_run_host host;
    bool new_run; /* begin anew, whatever the state directory holds */
};

/* Build everything that a run needs: model, graph, test set, folders; or take up the run that the state directory
 * holds, where it was left. Messages name what is wrong. With settings->state_dir NULL nothing is written to disk.
 * TRIB_CORRUPT: the state directory is damaged; TRIB_MISMATCH: it is of another run than these settings mean. */
TRIB_MUST_CHECK enum trib_status trib_run_new(const struct trib_run_setup *setup, struct trib_run **run,
                                              struct trib_error *error);
/* No job of it may be under way. To end without trib_run_stop is what a crash does: the state directory is as the last
 * event left it. */
void trib_run_free(struct trib_run *run); /* NULL is allowed */

/* ---- fixed ---- */
const char *trib_run_id(const struct trib_run *run);
const char *trib_run_compute(const struct trib_run *run); /* the backend that does the arithmetic, in words */
const struct trib_server_settings *trib_run_settings(const struct trib_run *run);
/* trib_run_introduce says what a Hello comes to. refusal: "" or why the client cannot take part. */
void trib_run_introduce(const struct trib_run *run, const Tributary__V1__Hello *hello, const char *address,
                        struct trib_introduction *introduction, char refusal[TRIB_ERROR_MESSAGE_LEN]);
/* A published blob by its hash, with a reference for the caller; NULL when there is none. */
struct trib_blob *trib_run_blob(struct trib_run *run, const uint8_t sha256[32]);
struct trib_uploads *trib_run_uploads(struct trib_run *run);
/* The model that is published; valid until the next event. */
const struct trib_version *trib_run_present(const struct trib_run *run);
const struct trib_schema *trib_run_schema(const struct trib_run *run);

/* ---- events ---- */
/* Reserve all the memory that an event may need, so that none is lost on its way; false: there is not enough now. */
bool trib_run_ready(struct trib_run *run);
void trib_run_resume(struct trib_run *run);
void trib_run_connect(struct trib_run *run, struct trib_peer *peer, const char *node,
                      const struct trib_introduction *introduction, const char *refusal);
void trib_run_message(struct trib_run *run, struct trib_peer *peer, const Tributary__V1__ClientMessage *message);
void trib_run_disconnect(struct trib_run *run, struct trib_peer *peer, const char *reason);
void trib_run_progress(struct trib_run *run, const char *node);
/* Takes the reference to the upload. */
void trib_run_upload_ended(struct trib_run *run, const struct trib_upload_owner *owner, struct trib_upload *upload,
                           const char *fault);
void trib_run_upload_refused(struct trib_run *run, const char *node, enum trib_status status, const char *reason);
/* Takes the job back. */
void trib_run_job_done(struct trib_run *run, struct trib_job *job);
void trib_run_stop(struct trib_run *run);
/* After events: what time has brought, and what is to be written down. */
void trib_run_settle(struct trib_run *run);
int64_t trib_run_wake_ms(const struct trib_run *run); /* when trib_run_settle is due; INT64_MAX: never */

/* ---- its end ---- */
bool trib_run_done(const struct trib_run *run);     /* nothing more happens */
bool trib_run_complete(const struct trib_run *run); /* every round was committed; any thread */
/* Why it had to end: it cannot know what is on its disk. TRIB_OK: it had not to. */
TRIB_MUST_CHECK enum trib_status trib_run_failure(const struct trib_run *run, struct trib_error *error);

#endif
