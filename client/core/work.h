/* Work is what a client does for a task, from its message to its outcome: downloading, training, ready, offered,
 * uploading, waiting. A pure state machine, one of the session's two (the other is connection.h): calls in, actions out
 * through the turn. It outlives a lost connection, of which it knows no more than that the server has, or has not yet,
 * sent the task on the present one. */
#ifndef TRIB_CLIENT_WORK_H
#define TRIB_CLIENT_WORK_H

#include "turn.h"

enum trib_work_phase {
    TRIB_WORK_NONE,
    TRIB_WORK_DOWNLOADING,
    TRIB_WORK_TRAINING,
    TRIB_WORK_READY, /* the update is finished and not (or no longer) offered */
    TRIB_WORK_OFFERED,
    TRIB_WORK_UPLOADING,
    TRIB_WORK_WAITING /* for the outcome */
};
struct trib_work; /* opaque */

/* A verdict is what becomes of a message from the server. */
struct trib_work_verdict {
    const char *ignored, *why; /* it has no place here; NULL: it has */
    const char *breach;        /* the server breaks the protocol: the connection has to be dropped; NULL: it does not */
    bool begun;                /* a part of the work begins, of which the server hears by the beat */
};

/* trib_work_new begins with what an earlier process has left: the model that it held, and the update that it had
 * finished (NULL: none; references are taken). NULL: no memory. */
struct trib_work *trib_work_new(const struct trib_held_model *held, const struct trib_client_finished *finished,
                                uint64_t memory_bytes);
void trib_work_free(struct trib_work *work); /* NULL is allowed */

enum trib_work_phase trib_work_phase(const struct trib_work *work);
uint64_t trib_work_round(const struct trib_work *work); /* when the phase is not NONE */
/* trib_work_is_confirmed tells whether the server has sent the task on the present connection, so that it makes sense
 * to talk about it. */
bool trib_work_is_confirmed(const struct trib_work *work);
/* trib_work_busy_with names what takes time just now, in the protocol's words; NULL: nothing does. */
const char *trib_work_busy_with(const struct trib_work *work);
/* trib_work_update is the update in hand, borrowed; NULL: there is none. */
const struct trib_client_update *trib_work_update(const struct trib_work *work);
/* trib_work_wake_ms is when trib_work_release or trib_work_tick have something to do; INT64_MAX: never. */
int64_t trib_work_wake_ms(const struct trib_work *work);

/* ---- the connection ---- */

/* A connection stands, to that run; a task of another one ends. chunk_bytes: the longest payload that the server takes.
 */
void trib_work_welcome(struct trib_work *work, struct trib_turn *turn, const char *run, uint32_t chunk_bytes);
/* The connection is gone: transfers end, everything else goes on. */
void trib_work_offline(struct trib_work *work, struct trib_turn *turn);

/* ---- messages: on a connection that stands ---- */

struct trib_work_verdict trib_work_on_task(struct trib_work *work, struct trib_turn *turn,
                                           const Tributary__V1__Task *message);
struct trib_work_verdict trib_work_on_decision(struct trib_work *work, struct trib_turn *turn,
                                               const Tributary__V1__Decision *message);
void trib_work_on_outcome(struct trib_work *work, struct trib_turn *turn, const Tributary__V1__Outcome *message);

/* ---- reports on what was begun; those that are not current are ignored ---- */

void trib_work_on_downloaded(struct trib_work *work, struct trib_turn *turn, const struct trib_session_event *event);
void trib_work_on_trained(struct trib_work *work, struct trib_turn *turn, struct trib_session_event *event);
void trib_work_on_uploaded(struct trib_work *work, struct trib_turn *turn, const struct trib_session_event *event);

/* ---- time, and the end ---- */

/* trib_work_release frees what the next task can do without, once there has been none for a while. */
void trib_work_release(struct trib_work *work, struct trib_turn *turn);
/* trib_work_tick ends a task whose deadline has passed, and tries again what broke off. */
void trib_work_tick(struct trib_work *work, struct trib_turn *turn);
/* trib_work_end frees everything of the task: NONE. */
void trib_work_end(struct trib_work *work, struct trib_turn *turn);
/* trib_work_leave does so at the client's own end: what another process can go on from stays. */
void trib_work_leave(struct trib_work *work, struct trib_turn *turn);

#endif
