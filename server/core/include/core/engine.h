/* The engine: one thread that owns the round and the client table, runs the round machine's actions, and hands
 * arithmetic and disk work to a worker. Transport-free: peers are handles with functions.
 *
 * Threads. trib_engine_* calls below may come from any thread; they queue an event or take a short lock. */
#ifndef TRIB_CORE_ENGINE_H
#define TRIB_CORE_ENGINE_H

#include "base/blob.h"
#include "core/round_record.h"
#include "core/settings.h"
#include "wire/chunk.h"
#include "wire/message.h"

enum { TRIB_NODE_LEN = 128 };

/* A connected client's session, as the transport sees it. Functions do not block and may be called from the engine's
 * thread at any time between connect and the peer's last reference. */
struct trib_peer {
    const struct trib_peer_ops *ops;
    /* The engine's own; zeroed before connect. */
    uint32_t client;          /* its number; engine's thread */
    _Atomic(uint32_t) queued; /* messages that wait for the engine */
};
struct trib_peer_ops {
    /* Queue a message; a failure means that the session is ending. */
    enum trib_status (*send)(struct trib_peer *peer, const ProtobufCMessage *message);
    /* Say goodbye and end the session. */
    void (*close)(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds);
    struct trib_peer *(*ref)(struct trib_peer *peer);
    void (*unref)(struct trib_peer *peer);
};

struct trib_engine; /* opaque */

/* An engine may be driven without threads, under another clock, as a simulator does: then every call must come from one
 * thread, `turn` does all that is queued, arithmetic included, and `wake` says when something is due next. */
struct trib_engine_driver {
    int64_t (*now_ms)(void *context);
    /* NULL, or called for each round that ends. */
    void (*observed)(void *context, const struct trib_round_record *record);
    void *context;
};
struct trib_engine_setup {
    const char *software;                    /* "tributary-server 0.1.0" */
    const struct trib_engine_driver *driver; /* borrowed; NULL: threads and the system's clock */
    bool new_run;                            /* begin anew, whatever the state directory holds */
};
/* Build everything a run needs: model, plan, test set, folders; or take up the run that the state directory holds,
 * where it was left. Messages name what is wrong. settings are borrowed. With settings->state_dir NULL nothing is
 * written to disk. TRIB_CORRUPT: the state directory is damaged; TRIB_MISMATCH: it is of another run than these
 * settings mean. */
TRIB_MUST_CHECK enum trib_status trib_engine_new(const struct trib_server_settings *settings,
                                                 const struct trib_engine_setup *setup, struct trib_engine **engine,
                                                 struct trib_error *error);
/* To end without trib_engine_stop is what a crash does: the state directory is as the last event left it. */
void trib_engine_free(struct trib_engine *engine);
/* What a start would find wrong with the model, the test set and the arithmetic; touches nothing on disk. */
TRIB_MUST_CHECK enum trib_status trib_engine_check(const struct trib_server_settings *settings,
                                                   struct trib_error *error);
/* The settings' model in words: the training graph before and after each pass, and its memory plan. */
TRIB_MUST_CHECK enum trib_status trib_engine_explain(const struct trib_server_settings *settings, struct trib_buf *text,
                                                     struct trib_error *error);
/* Start the engine's threads; `finished` is called once from the engine's thread when the run is over. */
TRIB_MUST_CHECK enum trib_status trib_engine_start(struct trib_engine *engine, void (*finished)(void *context),
                                                   void *context, struct trib_error *error);
/* For a driver. */
void trib_engine_turn(struct trib_engine *engine);
int64_t trib_engine_wake_ms(const struct trib_engine *engine); /* INT64_MAX: nothing is due */
/* The run is over; right after trib_engine_new: it was complete already. */
bool trib_engine_done(const struct trib_engine *engine);
/* Drain: what is being committed is finished; what is being collected goes on after a restart, or is abandoned where
 * there is no state directory; clients are told goodbye. */
void trib_engine_stop(struct trib_engine *engine);
/* Wait for the threads; after `finished`. */
void trib_engine_join(struct trib_engine *engine);

const char *trib_engine_run_id(const struct trib_engine *engine);
/* The backend that does the arithmetic, in words. */
const char *trib_engine_compute(const struct trib_engine *engine);
/* Whether every round was committed (so that the exit code can tell). */
bool trib_engine_complete(const struct trib_engine *engine);
/* Why it had to end: it cannot know what is on its disk. TRIB_OK: it had not to. After trib_engine_join. */
TRIB_MUST_CHECK enum trib_status trib_engine_failure(const struct trib_engine *engine, struct trib_error *error);

/* ---- sessions ---- */
/* A Hello was received and its node checked against the certificate. Takes its own reference to the peer. hello is
 * copied as far as needed. */
TRIB_MUST_CHECK enum trib_status trib_engine_connect(struct trib_engine *engine, struct trib_peer *peer,
                                                     const char *node, const char *address,
                                                     const Tributary__V1__Hello *hello);
/* Takes ownership of the message, also on failure. TRIB_LIMIT: this peer sends faster than the engine can take it. */
TRIB_MUST_CHECK enum trib_status trib_engine_message(struct trib_engine *engine, struct trib_peer *peer,
                                                     Tributary__V1__ClientMessage *message);
void trib_engine_disconnect(struct trib_engine *engine, struct trib_peer *peer, const char *reason);
/* Bytes that went over the wire, for the round's log line; cheap, callable for every message. */
void trib_engine_count(struct trib_engine *engine, uint64_t bytes_up, uint64_t bytes_down);
/* A bulk transfer of this node moves; to be called about once a second. */
void trib_engine_progress(struct trib_engine *engine, const char *node);

/* ---- bulk ---- */
/* A published blob by its hash, with a reference for the caller; NULL when there is none. */
struct trib_blob *trib_engine_blob(struct trib_engine *engine, const uint8_t sha256[32]);

/* An upload that was granted. Opened by the transport when the first chunk arrives; refers to the spool file. One
 * transport call at a time. */
struct trib_upload;
/* TRIB_NOT_FOUND: nothing was granted to this node; TRIB_MISMATCH: for another run, round or blob; TRIB_EXISTS: another
 * call is sending it. */
TRIB_MUST_CHECK enum trib_status trib_engine_upload_open(struct trib_engine *engine, const char *node,
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

/* An upload call that could not even be opened: what its first chunk was wrong with. Named in the log; a breach of the
 * protocol ends the node's part in the round. */
void trib_engine_upload_refused(struct trib_engine *engine, const char *node, const struct trib_error *fault);

#endif
