/* A hub has the runs of a process: one thread handles what comes for them from a mailbox, one does their arithmetic,
 * one their disk work. It is transport-free: peers are handles with functions.
 *
 * Threads. The calls under "from any thread" queue an event or take a short lock. */
#ifndef TRIB_HUB_HUB_H
#define TRIB_HUB_HUB_H

#include "run/run.h"

struct trib_hub; /* opaque */

/* A hub may be driven without threads, under another clock, as a simulator does: then every call must come from one
 * thread, trib_hub_turn does all that is queued, arithmetic included, and trib_hub_wake_ms says when something is due.
 */
struct trib_hub_driver {
    int64_t (*now_ms)(void *context);
    /* NULL, or told every fact. */
    void (*observe)(void *context, const struct trib_fact *fact);
    void *context;
};
struct trib_hub_setup {
    const char *software;                 /* "tributary-server 0.1.0" */
    const struct trib_hub_driver *driver; /* borrowed; NULL: threads and the system's clock */
};
TRIB_MUST_CHECK enum trib_status trib_hub_new(const struct trib_hub_setup *setup, struct trib_hub **hub,
                                              struct trib_error *error);
/* Build a run, or take up the one that its state directory holds (run/run.h). settings are borrowed; each run has its
 * own state directory. Before trib_hub_start. */
TRIB_MUST_CHECK enum trib_status trib_hub_open(struct trib_hub *hub, const struct trib_server_settings *settings,
                                               bool new_run, struct trib_error *error);
/* Both: a hub with one run. */
TRIB_MUST_CHECK enum trib_status trib_hub_new_with(const struct trib_hub_setup *setup,
                                                   const struct trib_server_settings *settings, bool new_run,
                                                   struct trib_hub **hub, struct trib_error *error);
/* To end without trib_hub_stop is what a crash does: state directories are as the last event left them. */
void trib_hub_free(struct trib_hub *hub); /* NULL is allowed */
/* Start the hub's threads; `finished` is called once from the hub's thread when all runs are over. */
TRIB_MUST_CHECK enum trib_status trib_hub_start(struct trib_hub *hub, void (*finished)(void *context), void *context,
                                                struct trib_error *error);
/* Drain: what is being committed is finished; what is being collected goes on after a restart, or is abandoned where
 * there is no state directory; clients are told goodbye. From any thread. */
void trib_hub_stop(struct trib_hub *hub);
/* Wait for the threads; after `finished`. */
void trib_hub_join(struct trib_hub *hub);

/* ---- for a driver ---- */
void trib_hub_turn(struct trib_hub *hub);
int64_t trib_hub_wake_ms(const struct trib_hub *hub); /* INT64_MAX: nothing is due */

/* ---- the runs, in the order in which they were opened ---- */
size_t trib_hub_runs(const struct trib_hub *hub);
struct trib_run *trib_hub_run(const struct trib_hub *hub, size_t i);
/* All of them are over; right after trib_hub_open: they were complete already. */
bool trib_hub_done(const struct trib_hub *hub);
bool trib_hub_complete(const struct trib_hub *hub); /* every round of every run was committed */
/* Why a run had to end: it cannot know what is on its disk. TRIB_OK: none had to. After trib_hub_join. */
TRIB_MUST_CHECK enum trib_status trib_hub_failure(const struct trib_hub *hub, struct trib_error *error);

/* ---- sessions: from any thread ---- */
/* A Hello was received and its node checked against the certificate. The session takes part in the run that the Hello
 * names, the first one when it names none; another is refused. Takes its own reference to the peer. hello is
 * copied as far as needed. */
TRIB_MUST_CHECK enum trib_status trib_hub_connect(struct trib_hub *hub, struct trib_peer *peer, const char *node,
                                                  const char *address, const Tributary__V1__Hello *hello);
/* Takes ownership of the message, also on failure. TRIB_LIMIT: this peer sends faster than the hub can take it. */
TRIB_MUST_CHECK enum trib_status trib_hub_message(struct trib_hub *hub, struct trib_peer *peer,
                                                  Tributary__V1__ClientMessage *message);
void trib_hub_disconnect(struct trib_hub *hub, struct trib_peer *peer, const char *reason);
/* Bytes that went over the wire, for the rounds' log lines; cheap, callable for every message. */
void trib_hub_count(struct trib_hub *hub, uint64_t bytes_up, uint64_t bytes_down);
/* A bulk transfer of this node moves; to be called about once a second. */
void trib_hub_progress(struct trib_hub *hub, const char *node);

/* ---- bulk: from any thread ---- */
/* A published blob by its hash, with a reference for the caller; NULL when there is none. */
struct trib_blob *trib_hub_blob(struct trib_hub *hub, const uint8_t sha256[32]);
/* An upload that was granted, opened by the transport when its first chunk arrives (intake/uploads.h). */
TRIB_MUST_CHECK enum trib_status trib_hub_upload_open(struct trib_hub *hub, const char *node,
                                                      const struct trib_chunk *first, struct trib_upload **upload,
                                                      struct trib_error *error);
/* An upload call that could not even be opened: what its first chunk was wrong with. Named in the log; a breach of the
 * protocol ends the node's part in its round. */
void trib_hub_upload_refused(struct trib_hub *hub, const char *node, const struct trib_error *fault);

#endif
