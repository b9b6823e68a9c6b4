/* The connection's side of a session, and the step that hands events out. */
#include "session_private.h"
#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CONNECT_WITHIN_MS = 60000,
    GREET_WITHIN_MS = 30000,
    HEALTHY_AFTER_MS = 10000, /* a session that lasts this long ends the backoff's growth */
    PROGRESS_DEFAULT_S = 10,
    PROGRESS_MAX_S = 3600,
    MOST_RETRY_S = 3600 /* however long a server asks to stay away */
};

/* ---- events and actions as values ---- */

void trib_session_actions_clear(struct trib_session_actions *actions)
{
    for (size_t i = 0; i < actions->n; i++) {
        trib_buf_clear(&actions->list[i].bytes);
    }
    actions->n = 0;
}

struct trib_session_action *trib_session_act(struct trib_session *session, enum trib_session_action_kind kind)
{
    struct trib_session_actions *out = session->out;
    assert(out->n < TRIB_SESSION_MAX_ACTIONS);
    struct trib_session_action *action = &out->list[out->n++];
    *action = (struct trib_session_action){.kind = kind};
    return action;
}

void trib_session_report(struct trib_session *session, enum trib_log_level level, const char *event,
                         const struct trib_field *fields, int n)
{
    assert(n <= TRIB_SESSION_MAX_FIELDS);
    struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_REPORT);
    action->level = level;
    action->event = event;
    memcpy(action->fields, fields, (size_t)n * sizeof *fields);
    action->n_fields = n;
}

/* ---- the connection ---- */

/* The task is the caller's to end. */
static void end_with(struct trib_session *session, enum trib_status status, const char *text)
{
    session->link = TRIB_LINK_DONE;
    session->connection = 0;
    session->release_at_ms = 0;
    struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_EXIT);
    action->status = status;
    action->text = text;
}

static void connect_now(struct trib_session *session)
{
    session->connection = ++session->last_job;
    session->link = TRIB_LINK_CONNECTING;
    session->greet_by_ms = session->now_ms + CONNECT_WITHIN_MS;
    session->ignored = 0;
    trib_session_act(session, TRIB_SESSION_CONNECT)->job = session->connection;
}

static void went_offline(struct trib_session *session, enum trib_status status, const char *reason, int64_t asked_ms)
{
    if (session->link == TRIB_LINK_ONLINE && session->now_ms - session->welcomed_ms >= HEALTHY_AFTER_MS) {
        trib_backoff_reset(&session->backoff);
    }
    int64_t wait_ms =
        asked_ms >= 0 ? trib_backoff_asked(&session->backoff, asked_ms) : trib_backoff_next(&session->backoff);
    TRIB_REPORT(session, TRIB_LOG_WARN, "disconnected", TRIB_F_STR("status", trib_status_name(status)),
                TRIB_F_STR("reason", reason), TRIB_F_REAL("retry_seconds", (double)wait_ms / 1000));
    session->link = TRIB_LINK_OFFLINE;
    session->connection = 0;
    session->connect_at_ms = session->now_ms + wait_ms;
    trib_session_task_offline(session);
    trib_session_forget_graphs(session); /* the server sends them anew on each connection */
}

void trib_session_drop_link(struct trib_session *session, enum trib_status status, const char *reason, int64_t asked_ms)
{
    trib_session_act(session, TRIB_SESSION_DISCONNECT);
    went_offline(session, status, reason, asked_ms);
}

void trib_session_ignore(struct trib_session *session, const char *what, const char *why)
{
    TRIB_REPORT(session, TRIB_LOG_WARN, "message_ignored", TRIB_F_STR("what", what), TRIB_F_STR("reason", why));
    if (++session->ignored > TRIB_SESSION_MAX_IGNORED) {
        trib_session_drop_link(session, TRIB_PROTOCOL, "too many messages that are out of place", -1);
    }
}

/* ---- messages ---- */

static bool run_is_sane(const char *run)
{
    size_t len = strlen(run);
    if (len == 0 || len > TRIB_RUN_ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (run[i] <= ' ' || run[i] > '~') {
            return false;
        }
    }
    return true;
}

static void refuse_protocol(struct trib_session *session, uint32_t protocol)
{
    snprintf(session->text, sizeof session->text,
             "the server speaks protocol %" PRIu32 ", this client %d to %d: update the %s", protocol,
             TRIB_PROTOCOL_LEAST, TRIB_PROTOCOL_VERSION, protocol > TRIB_PROTOCOL_VERSION ? "client" : "server");
    trib_session_drop_link(session, TRIB_UNSUPPORTED, session->text, -1);
}

static void on_welcome(struct trib_session *session, const Tributary__V1__Welcome *message)
{
    if (session->link != TRIB_LINK_GREETING) {
        trib_session_drop_link(session, TRIB_PROTOCOL, "the server sent a second welcome", -1);
        return;
    }
    if (message->protocol < TRIB_PROTOCOL_LEAST || message->protocol > TRIB_PROTOCOL_VERSION) {
        refuse_protocol(session, message->protocol);
        return;
    }
    if (!run_is_sane(message->run)) {
        trib_session_drop_link(session, TRIB_PROTOCOL, "the server's welcome names no valid run", -1);
        return;
    }
    if (session->phase != TRIB_PHASE_NONE &&
        strcmp(message->run, session->task.run) != 0) { /* outcomes name rounds alone */
        trib_session_end_task(session);
    }
    uint32_t seconds = message->progress_seconds == 0 ? PROGRESS_DEFAULT_S : message->progress_seconds;
    seconds = seconds > PROGRESS_MAX_S ? PROGRESS_MAX_S : seconds;
    session->progress_every_ms = (int64_t)seconds * 1000 / 2; /* well before it is due */
    uint32_t chunk = message->chunk_bytes == 0 ? TRIB_CHUNK_PAYLOAD : message->chunk_bytes;
    session->chunk_bytes = chunk < TRIB_CHUNK_LEAST     ? TRIB_CHUNK_LEAST
                           : chunk > TRIB_CHUNK_PAYLOAD ? TRIB_CHUNK_PAYLOAD
                                                        : chunk;
    (void)trib_str_copy(session->run, sizeof session->run, message->run);
    session->link = TRIB_LINK_ONLINE;
    session->welcomed_ms = session->now_ms;
    TRIB_REPORT(session, TRIB_LOG_INFO, "registered", TRIB_F_STR("node", session->config.node),
                TRIB_F_STR("run", session->run), TRIB_F_STR("server", message->software));
}

static void on_goodbye(struct trib_session *session, const Tributary__V1__Goodbye *message)
{
    if (message->final) {
        TRIB_REPORT(session, TRIB_LOG_INFO, "goodbye", TRIB_F_STR("reason", message->reason),
                    TRIB_F_BOOL("final", true));
        trib_session_end_task(session);
        end_with(session, TRIB_OK, message->reason);
        return;
    }
    uint32_t seconds = message->retry_seconds > MOST_RETRY_S ? MOST_RETRY_S : message->retry_seconds;
    trib_session_drop_link(session, TRIB_UNAVAILABLE, message->reason, seconds == 0 ? -1 : (int64_t)seconds * 1000);
}

static void on_message(struct trib_session *session, const struct trib_session_event *event)
{
    const Tributary__V1__ServerMessage *message = event->is.message;
    if (event->job != session->connection || !message ||
        (session->link != TRIB_LINK_GREETING && session->link != TRIB_LINK_ONLINE)) {
        return;
    }
    bool greeted = session->link == TRIB_LINK_ONLINE;
    switch (message->kind_case) {
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME:
        on_welcome(session, message->welcome);
        return;
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE:
        on_goodbye(session, message->goodbye);
        return;
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND__NOT_SET:
        trib_session_ignore(session, "message", "of a kind that this version does not know");
        return;
    default:
        break;
    }
    if (!greeted) {
        trib_session_drop_link(session, TRIB_PROTOCOL, "the server did not begin with a welcome", -1);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        trib_session_on_task(session, message->task);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION) {
        trib_session_on_decision(session, message->decision);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME) {
        trib_session_on_outcome(session, message->outcome);
    }
}

/* ---- the other events ---- */

static void on_connected(struct trib_session *session, const struct trib_session_event *event)
{
    if (event->job == session->connection && session->link == TRIB_LINK_CONNECTING) {
        session->link = TRIB_LINK_GREETING;
        session->greet_by_ms = session->now_ms + GREET_WITHIN_MS;
        trib_session_send_hello(session);
    }
}

static void on_disconnected(struct trib_session *session, const struct trib_session_event *event)
{
    if (session->connection != 0 && event->job == session->connection) {
        went_offline(session, event->status, event->reason, -1);
    }
}

static void on_data(struct trib_session *session, const struct trib_session_event *event)
{
    if (event->status == TRIB_OK) {
        session->examples = event->is.examples;
        return;
    }
    if (session->link == TRIB_LINK_ONLINE || session->link == TRIB_LINK_GREETING) {
        trib_session_send_goodbye(session, "the client's own data cannot be used");
    }
    trib_session_leave_task(session);
    end_with(session, event->status, event->reason);
}

static void on_stop(struct trib_session *session, const struct trib_session_event *event)
{
    if (session->link == TRIB_LINK_ONLINE || session->link == TRIB_LINK_GREETING) {
        trib_session_send_goodbye(session, "the client is stopping");
    }
    trib_session_leave_task(session);
    end_with(session, TRIB_OK, event->reason);
}

static void on_tick(struct trib_session *session)
{
    if (session->link == TRIB_LINK_OFFLINE && session->now_ms >= session->connect_at_ms) {
        connect_now(session);
    } else if ((session->link == TRIB_LINK_CONNECTING || session->link == TRIB_LINK_GREETING) &&
               session->now_ms >= session->greet_by_ms) {
        trib_session_drop_link(session, TRIB_TIMEOUT, "the server did not answer", -1);
    }
    trib_session_task_tick(session);
}

/* ---- the machine ---- */

struct trib_session *trib_session_new(const struct trib_session_config *config, int64_t now_ms)
{
    struct trib_session *session = trib_calloc(1, sizeof *session);
    if (session) {
        session->config = *config;
        session->connect_at_ms = now_ms;
        session->line_chunk_bytes = TRIB_CHUNK_PAYLOAD;
        session->upload_offset = UINT64_MAX;
        session->held = config->held;
        session->device = config->device;
        trib_backoff_init(&session->backoff, config->reconnect_min_ms, config->reconnect_max_ms, config->seed);
        if (config->finished) {
            trib_session_adopt(session, config->finished);
        }
        session->config.finished = NULL; /* not borrowed any longer */
    }
    return session;
}

void trib_session_free(struct trib_session *session)
{
    if (!session) {
        return;
    }
    trib_client_update_clear(&session->update);
    trib_blob_unref(session->task.graph);
    trib_session_forget_graphs(session);
    trib_free(session);
}

void trib_session_step(struct trib_session *session, struct trib_session_event *event,
                       struct trib_session_actions *actions)
{
    if (session->link == TRIB_LINK_DONE) {
        return;
    }
    session->now_ms = event->now_ms;
    session->out = actions;
    switch (event->kind) {
    case TRIB_SESSION_CONNECTED:
        on_connected(session, event);
        break;
    case TRIB_SESSION_DISCONNECTED:
        on_disconnected(session, event);
        break;
    case TRIB_SESSION_MESSAGE:
        on_message(session, event);
        break;
    case TRIB_SESSION_DOWNLOADED:
        trib_session_on_downloaded(session, event);
        break;
    case TRIB_SESSION_TRAINED:
        trib_session_on_trained(session, event);
        break;
    case TRIB_SESSION_UPLOADED:
        trib_session_on_uploaded(session, event);
        break;
    case TRIB_SESSION_DATA:
        on_data(session, event);
        break;
    case TRIB_SESSION_DEVICE:
        trib_session_on_device(session, event);
        break;
    case TRIB_SESSION_TICK:
        on_tick(session);
        break;
    case TRIB_SESSION_STOP:
        on_stop(session, event);
        break;
    }
    if (session->broken) {
        session->broken = false;
        if (session->connection != 0) {
            trib_session_drop_link(session, TRIB_NO_MEMORY, "out of memory for a message", -1);
        }
    }
    session->out = NULL;
}

enum trib_session_state trib_session_state(const struct trib_session *session)
{
    static const enum trib_session_state by_link[] = {[TRIB_LINK_OFFLINE] = TRIB_STATE_OFFLINE,
                                                      [TRIB_LINK_CONNECTING] = TRIB_STATE_CONNECTING,
                                                      [TRIB_LINK_GREETING] = TRIB_STATE_GREETING,
                                                      [TRIB_LINK_ONLINE] = TRIB_STATE_IDLE,
                                                      [TRIB_LINK_DONE] = TRIB_STATE_DONE};
    /* READY: the offer is about to be made (again). */
    static const enum trib_session_state by_phase[] = {[TRIB_PHASE_NONE] = TRIB_STATE_IDLE,
                                                       [TRIB_PHASE_DOWNLOADING] = TRIB_STATE_DOWNLOADING,
                                                       [TRIB_PHASE_TRAINING] = TRIB_STATE_TRAINING,
                                                       [TRIB_PHASE_READY] = TRIB_STATE_OFFERED,
                                                       [TRIB_PHASE_OFFERED] = TRIB_STATE_OFFERED,
                                                       [TRIB_PHASE_UPLOADING] = TRIB_STATE_UPLOADING,
                                                       [TRIB_PHASE_WAITING] = TRIB_STATE_WAITING_OUTCOME};
    return session->link == TRIB_LINK_ONLINE ? by_phase[session->phase] : by_link[session->link];
}

const char *trib_session_state_name(enum trib_session_state state)
{
    static const char *const names[] = {"offline", "connecting", "greeting",        "idle", "downloading", "training",
                                        "offered", "uploading",  "waiting_outcome", "done"};
    return names[state];
}

const struct trib_client_update *trib_session_update(const struct trib_session *session)
{
    return session->update.frame ? &session->update : NULL;
}
