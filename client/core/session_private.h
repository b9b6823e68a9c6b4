/* Inside the session: its state, and what its files call in each other. */
#ifndef TRIB_SESSION_PRIVATE_H
#define TRIB_SESSION_PRIVATE_H

#include "client/backoff.h"
#include "client/session.h"

enum trib_session_link {
    TRIB_LINK_OFFLINE,
    TRIB_LINK_CONNECTING,
    TRIB_LINK_GREETING,
    TRIB_LINK_ONLINE,
    TRIB_LINK_DONE
};
enum trib_session_phase {
    TRIB_PHASE_NONE,
    TRIB_PHASE_DOWNLOADING, /* with `transferring`: a download runs; without: it waits to be resumed */
    TRIB_PHASE_TRAINING,
    TRIB_PHASE_READY, /* the update is finished and not (or no longer) offered */
    TRIB_PHASE_OFFERED,
    TRIB_PHASE_UPLOADING,
    TRIB_PHASE_WAITING
};

enum {
    TRIB_KNOWN_GRAPHS = 4, /* a server that alternates between a few graphs need not send them again */
    TRIB_SESSION_MAX_TAGS = 64,
    TRIB_SESSION_MAX_IGNORED = 100, /* out-of-place messages on one connection before it is given up */
    TRIB_SESSION_MAX_FAILURES = 5   /* transfers in a row without a byte of progress */
};

struct trib_known_graph {
    uint8_t sha256[32];
    struct trib_blob *bytes; /* NULL = free place */
    uint64_t used;           /* the largest is the latest */
};

struct trib_session {
    struct trib_session_config config;
    uint64_t examples;              /* of the client's own data, once known */
    struct trib_device device;      /* as it was last seen */
    struct trib_device told_device; /* what the server knows of it, and since when */
    int64_t told_device_ms;
    int64_t tell_device_at_ms; /* when what has changed is told if nothing else is; 0 = not set */
    struct trib_backoff backoff;
    uint64_t last_job;
    bool broken; /* memory ran out for a message: the connection cannot be trusted to be in step */

    enum trib_session_link link;
    uint64_t connection; /* its job; 0 = none */
    int64_t connect_at_ms, greet_by_ms, welcomed_ms;
    char run[TRIB_RUN_ID_LEN + 1]; /* of the last Welcome */
    int64_t progress_every_ms;
    uint32_t chunk_bytes;      /* that the server allows */
    uint32_t line_chunk_bytes; /* that get through the line before it breaks, as far as is known */
    unsigned ignored;

    enum trib_session_phase phase;
    struct trib_client_task task;     /* when phase is not NONE */
    struct trib_client_update update; /* from READY on */
    bool saved;                       /* the update is kept for another process */
    bool confirmed;                   /* the server has sent this task on this connection */
    bool transferring;                /* a download's or an upload's event is still to come */
    uint64_t work_job;                /* of the download, training or upload whose event is awaited */
    struct trib_held_model held;      /* what the worker holds between tasks */
    struct trib_model_route route;    /* of the task's model */
    size_t blobs;                     /* of the route that have arrived */
    uint64_t received;                /* bytes that have arrived of the next one */
    double upload_rate;               /* bytes a second, of the last upload that was long enough to tell; 0 = none */
    int64_t upload_began_ms;          /* of the upload that runs */
    uint64_t upload_bytes;
    uint64_t upload_offset; /* where the last upload of this update began; UINT64_MAX: none did */
    unsigned failures;      /* of transfers, in a row */
    int64_t retry_at_ms, progress_at_ms, deadline_ms, release_at_ms; /* 0 = not set */

    struct trib_known_graph graphs[TRIB_KNOWN_GRAPHS];
    uint64_t graph_uses;

    /* Of the step that runs. */
    int64_t now_ms;
    struct trib_session_actions *out;
    char text[TRIB_ERROR_MESSAGE_LEN]; /* of a report, until the next step */
};

/* session.c */
struct trib_session_action *trib_session_act(struct trib_session *session, enum trib_session_action_kind kind);
void trib_session_report(struct trib_session *session, enum trib_log_level level, const char *event,
                         const struct trib_field *fields, int n);
#define TRIB_REPORT(session, level, event, ...)                                                                        \
    trib_session_report((session), (level), (event), (const struct trib_field[]){__VA_ARGS__},                         \
                        (int)(sizeof((const struct trib_field[]){__VA_ARGS__}) / sizeof(struct trib_field)))
/* End the connection from this side and wait for the next attempt; asked_ms < 0 = as the backoff says. */
void trib_session_drop_link(struct trib_session *session, enum trib_status status, const char *reason,
                            int64_t asked_ms);
/* A message that has no place here. */
void trib_session_ignore(struct trib_session *session, const char *what, const char *why);

/* session_task.c: the work on a task */
void trib_session_on_task(struct trib_session *session, const Tributary__V1__Task *message);
void trib_session_on_decision(struct trib_session *session, const Tributary__V1__Decision *message);
void trib_session_on_outcome(struct trib_session *session, const Tributary__V1__Outcome *message);
void trib_session_on_downloaded(struct trib_session *session, const struct trib_session_event *event);
void trib_session_on_trained(struct trib_session *session, struct trib_session_event *event);
void trib_session_on_uploaded(struct trib_session *session, const struct trib_session_event *event);
void trib_session_task_offline(struct trib_session *session); /* the connection is gone */
void trib_session_end_task(struct trib_session *session);     /* NONE, with everything of the task freed */
/* The same at the client's own end: what another process can go on from stays. */
void trib_session_leave_task(struct trib_session *session);
/* Begin with what an earlier process has finished. */
void trib_session_adopt(struct trib_session *session, const struct trib_client_finished *finished);

/* Whether the server has sent the task on the present connection. */
bool trib_session_can_talk(const struct trib_session *session);
void trib_session_retry(struct trib_session *session); /* what broke off: the download, or the offer of an upload */

/* session_tick.c: what time brings */
void trib_session_task_tick(struct trib_session *session);
void trib_session_on_device(struct trib_session *session, const struct trib_session_event *event);

/* session_intake.c: reading a task */
TRIB_MUST_CHECK enum trib_status trib_session_read_task(struct trib_session *session,
                                                        const Tributary__V1__Task *message,
                                                        struct trib_client_task *task, struct trib_error *error);
bool trib_session_same_task(const struct trib_client_task *a, const struct trib_client_task *b);
void trib_session_forget_graphs(struct trib_session *session);

/* session_send.c: what the client says */
void trib_session_send_hello(struct trib_session *session);
void trib_session_send_progress(struct trib_session *session, uint64_t round, const char *phase);
void trib_session_send_offer(struct trib_session *session);
void trib_session_send_failure(struct trib_session *session, uint64_t round, enum trib_status status,
                               const char *reason);
void trib_session_send_goodbye(struct trib_session *session, const char *reason);

#endif
