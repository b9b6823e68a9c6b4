/* A session is a client's part in a federation as a pure state machine: events in, actions out. No clock, socket,
 * thread, file or log inside: the daemon drives it over gRPC, a simulator in one process under virtual time.
 *
 * Inside are two machines that know nothing of each other: the connection, and the work on the current task. The work
 * outlives a lost connection: training goes on, a download resumes where it broke off, and a finished update is kept
 * and offered again when the server sends the same task again, also by a client that was started anew and is given what
 * it had finished (trib_session_config.finished). A different task, another run, an outcome or the task's deadline ends
 * it.
 *
 * Every action that starts something carries a job number, and the event that reports on it carries the same number:
 * reports on what is no longer current are ignored, so that late and reordered events do no harm. One thread. */
#ifndef TRIB_CLIENT_SESSION_H
#define TRIB_CLIENT_SESSION_H

#include "base/log.h"
#include "base/mailbox.h"
#include "client/device.h"
#include "client/model_route.h"
#include "client/task.h"
#include "wire/message.h"

/* ---- events ---- */

enum trib_session_event_kind {
    TRIB_SESSION_CONNECTED,    /* job: the stream is open, messages may be sent */
    TRIB_SESSION_DISCONNECTED, /* job; status, reason */
    TRIB_SESSION_MESSAGE,      /* job; message */
    TRIB_SESSION_DOWNLOADED,   /* job; status, reason, received: bytes that are held, also after a failure */
    TRIB_SESSION_TRAINED,      /* job; status, reason; update when TRIB_OK, saved; held; model_unusable */
    TRIB_SESSION_UPLOADED,     /* job; status, reason: of the call; receipt when TRIB_OK */
    TRIB_SESSION_DATA,         /* status, reason; examples: the client's own data are ready, or never will be */
    TRIB_SESSION_DEVICE,       /* device: as it is now, as often as somebody looks */
    TRIB_SESSION_TICK,
    TRIB_SESSION_STOP /* reason: asked to end */
};
struct trib_session_receipt {
    bool accepted;
    enum trib_status status; /* when it was not */
    uint64_t received;
};
struct trib_session_event {
    struct trib_letter letter; /* first: for the mailbox that it waits in */
    enum trib_session_event_kind kind;
    int64_t now_ms;
    uint64_t job;
    enum trib_status status;
    char reason[TRIB_ERROR_MESSAGE_LEN];
    struct trib_held_model held; /* the model that is held from now on, whatever the status */
    bool saved;                  /* the update is kept for another process until FORGET_UPDATE */
    bool model_unusable;         /* what is held and what came do not give the task's model: it takes the whole */
    union {
        Tributary__V1__ServerMessage *message; /* owned by the event */
        struct trib_client_update update;      /* owned by the event, until a step takes it */
        struct trib_session_receipt receipt;
        uint64_t received;
        uint64_t examples;
        struct trib_device device;
    } is;
};
struct trib_session_event *trib_session_event_new(enum trib_session_event_kind kind, uint64_t job); /* or NULL */
void trib_session_event_free(struct trib_session_event *event); /* with what it owns; NULL is allowed */
/* trib_session_event_post hands an event from any thread to the one that steps the session: events are allocated by
 * whoever starts the work that they report on, so that posting cannot fail. Posting takes the event over; whoever pops
 * it (NULL: there is none) frees it. */
void trib_session_event_post(struct trib_mailbox *events, struct trib_session_event *event);
struct trib_session_event *trib_session_event_pop(struct trib_mailbox *events);
/* trib_session_events_clear clears the mailbox with the events that are left; nobody may post any more. */
void trib_session_events_clear(struct trib_mailbox *events);

/* ---- actions ---- */

enum trib_session_action_kind {
    TRIB_SESSION_CONNECT,    /* job: open the stream */
    TRIB_SESSION_DISCONNECT, /* end the stream; no event is awaited */
    TRIB_SESSION_SEND,       /* bytes: a packed ClientMessage */
    TRIB_SESSION_DOWNLOAD,   /* job, sha256, len: a blob, from what the executor holds of it on; `offset` is how much
                                that was when the session last heard of it; payloads of at most chunk_bytes */
    TRIB_SESSION_TRAIN,      /* job, task, route: with the blobs that were downloaded since the last */
    TRIB_SESSION_UPLOAD,     /* job, task, update: from `offset` on, payloads of at most chunk_bytes */
    TRIB_SESSION_CANCEL_TRANSFER, /* download or upload: end it; what was downloaded stays */
    TRIB_SESSION_CANCEL_WORK,     /* download, training, upload: end it and drop what was downloaded */
    TRIB_SESSION_RELEASE,         /* idle for a while: free what the next task can do without */
    TRIB_SESSION_REPORT,          /* a line for the log */
    TRIB_SESSION_DROP_MODEL,      /* the model that is held will not be needed any more */
    TRIB_SESSION_FORGET_UPDATE,   /* what was kept of the update for another process goes; comes before its SETTLE */
    TRIB_SESSION_SETTLE,          /* task, folded: its round has an outcome, which error feedback waits for */
    TRIB_SESSION_EXIT             /* status, text: the client's end */
};
enum { TRIB_SESSION_MAX_ACTIONS = 12, TRIB_SESSION_MAX_FIELDS = 12 };
struct trib_session_action {
    enum trib_session_action_kind kind;
    uint64_t job;
    struct trib_buf bytes;
    const struct trib_client_task *task;
    const struct trib_client_update *update;
    const struct trib_model_route *route;
    const uint8_t *sha256; /* [32] */
    uint64_t len, offset;
    bool folded;
    uint32_t chunk_bytes;
    enum trib_status status;
    const char *text;
    enum trib_log_level level;
    const char *event;
    struct trib_field fields[TRIB_SESSION_MAX_FIELDS];
    int n_fields;
};
/* Actions stand in the order in which they are to be done. Pointers and texts belong to the session and the event that
 * was stepped: carry them out before the next step and before the event is freed. */
struct trib_session_actions {
    struct trib_session_action list[TRIB_SESSION_MAX_ACTIONS];
    size_t n;
};
void trib_session_actions_clear(struct trib_session_actions *actions);

/* ---- the machine ---- */

struct trib_session_config { /* all borrowed for the session's life */
    const char *node;        /* the certificate's identity */
    const char *software;    /* "tributary-client 0.1.0" */
    const char *const *tags;
    size_t n_tags;
    uint32_t threads;
    uint64_t memory_bytes; /* 0 = no limit */
    int64_t reconnect_min_ms, reconnect_max_ms;
    uint64_t seed;               /* of the backoff's jitter */
    struct trib_held_model held; /* from an earlier process */
    /* From an earlier process too, kept there until FORGET_UPDATE; NULL = nothing. Read by trib_session_new alone,
     * which takes references of its own. */
    const struct trib_client_finished *finished;
    struct trib_device device; /* at the start */
};
enum trib_session_state {
    TRIB_STATE_OFFLINE, /* waiting for the next attempt */
    TRIB_STATE_CONNECTING,
    TRIB_STATE_GREETING, /* Hello is sent, Welcome awaited */
    TRIB_STATE_IDLE,
    TRIB_STATE_DOWNLOADING,
    TRIB_STATE_TRAINING,
    TRIB_STATE_OFFERED,
    TRIB_STATE_UPLOADING,
    TRIB_STATE_WAITING_OUTCOME,
    TRIB_STATE_DONE
};
struct trib_session; /* opaque */

struct trib_session *trib_session_new(const struct trib_session_config *config, int64_t now_ms); /* or NULL */
void trib_session_free(struct trib_session *session);
/* trib_session_step takes one event; `actions` (empty or cleared) receives what is to be done. The first TICK connects.
 */
void trib_session_step(struct trib_session *session, struct trib_session_event *event,
                       struct trib_session_actions *actions);
/* trib_session_wake_ms is when the next TICK is due, on the clock of now_ms; INT64_MAX = nothing is waited for. */
int64_t trib_session_wake_ms(const struct trib_session *session);
enum trib_session_state trib_session_state(const struct trib_session *session);
const char *trib_session_state_name(enum trib_session_state state);
/* trib_session_update is the update in hand, finished and not yet settled by an outcome, or NULL; borrowed. For tests
 * and the simulator. */
const struct trib_client_update *trib_session_update(const struct trib_session *session);

#endif
