/* The session hands events to its two machines, connection and work, and tells each what the other has to know. */
#include "client/session.h"
#include "base/mem.h"
#include "connection.h"
#include "work.h"

struct trib_session {
    const char *node;
    struct trib_connection *connection;
    struct trib_work *work;
    struct trib_turn turn;
};

/* ---- between the two ---- */

/* The work hears of a connection that was lost. */
static void heed_loss(struct trib_session *session, bool lost)
{
    if (lost) {
        trib_work_offline(session->work, &session->turn);
    }
}

static void heed_verdict(struct trib_session *session, const struct trib_work_verdict *verdict)
{
    struct trib_turn *turn = &session->turn;
    if (verdict->ignored) {
        heed_loss(session, trib_connection_ignore(session->connection, turn, verdict->ignored, verdict->why));
    } else if (verdict->breach) {
        trib_connection_drop(session->connection, turn, TRIB_PROTOCOL, verdict->breach);
        heed_loss(session, true);
    } else if (verdict->begun) {
        trib_connection_begin_beat(session->connection, turn->now_ms);
    }
}

/* ---- messages ---- */

static void on_welcome(struct trib_session *session, const Tributary__V1__Welcome *message)
{
    uint32_t chunk_bytes = 0;
    if (trib_connection_welcome(session->connection, &session->turn, message, &chunk_bytes)) {
        heed_loss(session, true);
        return;
    }
    trib_work_welcome(session->work, &session->turn, message->run, chunk_bytes);
    TRIB_REPORT(&session->turn, TRIB_LOG_INFO, "registered", TRIB_F_STR("node", session->node),
                TRIB_F_STR("run", message->run), TRIB_F_STR("server", message->software));
}

static void on_goodbye(struct trib_session *session, const Tributary__V1__Goodbye *message)
{
    struct trib_turn *turn = &session->turn;
    if (!message->final) {
        trib_connection_send_away(session->connection, turn, message->reason, message->retry_seconds);
        heed_loss(session, true);
        return;
    }
    TRIB_REPORT(turn, TRIB_LOG_INFO, "goodbye", TRIB_F_STR("reason", message->reason), TRIB_F_BOOL("final", true));
    trib_work_end(session->work, turn);
    trib_connection_end(session->connection, turn, TRIB_OK, message->reason);
}

static void on_work_message(struct trib_session *session, const Tributary__V1__ServerMessage *message)
{
    struct trib_work_verdict verdict = {0};
    if (trib_connection_state(session->connection) != TRIB_CONNECTION_ONLINE) {
        trib_connection_drop(session->connection, &session->turn, TRIB_PROTOCOL,
                             "the server did not begin with a welcome");
        heed_loss(session, true);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        verdict = trib_work_on_task(session->work, &session->turn, message->task);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION) {
        verdict = trib_work_on_decision(session->work, &session->turn, message->decision);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME) {
        trib_work_on_outcome(session->work, &session->turn, message->outcome);
    }
    heed_verdict(session, &verdict);
}

static void on_message(struct trib_session *session, const struct trib_session_event *event)
{
    const Tributary__V1__ServerMessage *message = event->is.message;
    if (!message || !trib_connection_hears(session->connection, event->job)) {
        return;
    }
    switch (message->kind_case) {
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME:
        on_welcome(session, message->welcome);
        break;
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE:
        on_goodbye(session, message->goodbye);
        break;
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND__NOT_SET: {
        const struct trib_work_verdict verdict = {.ignored = "message",
                                                  .why = "of a kind that this version does not know"};
        heed_verdict(session, &verdict);
        break;
    }
    default:
        on_work_message(session, message);
        break;
    }
}

/* ---- the other events ---- */

/* The client's own end. */
static void leave(struct trib_session *session, const char *goodbye, enum trib_status status, const char *reason)
{
    trib_connection_say_goodbye(session->connection, &session->turn, goodbye);
    trib_work_leave(session->work, &session->turn);
    trib_connection_end(session->connection, &session->turn, status, reason);
}

static void on_tick(struct trib_session *session)
{
    struct trib_connection *connection = session->connection;
    struct trib_work *work = session->work;
    struct trib_turn *turn = &session->turn;
    heed_loss(session, trib_connection_tick(connection, turn));
    trib_work_release(work, turn);
    trib_connection_tell_device(connection, turn, trib_work_busy_with(work));
    trib_work_tick(work, turn);
    if (trib_work_is_confirmed(work)) {
        trib_connection_beat(connection, turn, trib_work_round(work), trib_work_busy_with(work));
    }
}

static void hand_out(struct trib_session *session, struct trib_session_event *event)
{
    struct trib_turn *turn = &session->turn;
    switch (event->kind) {
    case TRIB_SESSION_CONNECTED:
        trib_connection_connected(session->connection, turn, event->job);
        break;
    case TRIB_SESSION_DISCONNECTED:
        heed_loss(session, trib_connection_disconnected(session->connection, turn, event));
        break;
    case TRIB_SESSION_MESSAGE:
        on_message(session, event);
        break;
    case TRIB_SESSION_DOWNLOADED:
        trib_work_on_downloaded(session->work, turn, event);
        break;
    case TRIB_SESSION_TRAINED:
        trib_work_on_trained(session->work, turn, event);
        break;
    case TRIB_SESSION_UPLOADED:
        trib_work_on_uploaded(session->work, turn, event);
        break;
    case TRIB_SESSION_DATA:
        if (event->status == TRIB_OK) {
            trib_connection_set_examples(session->connection, event->is.examples);
        } else {
            leave(session, "the client's own data cannot be used", event->status, event->reason);
        }
        break;
    case TRIB_SESSION_DEVICE:
        trib_connection_see_device(session->connection, turn->now_ms, &event->is.device);
        break;
    case TRIB_SESSION_TICK:
        on_tick(session);
        break;
    case TRIB_SESSION_STOP:
        leave(session, "the client is stopping", TRIB_OK, event->reason);
        break;
    }
}

/* ---- the machine ---- */

struct trib_session *trib_session_new(const struct trib_session_config *config, int64_t now_ms)
{
    struct trib_session *session = trib_calloc(1, sizeof *session);
    if (!session) {
        return NULL;
    }
    session->node = config->node;
    session->connection = trib_connection_new(config, now_ms);
    session->work = trib_work_new(&config->held, config->finished, config->memory_bytes);
    if (!session->connection || !session->work) {
        trib_session_free(session);
        return NULL;
    }
    return session;
}

void trib_session_free(struct trib_session *session)
{
    if (session) {
        trib_connection_free(session->connection);
        trib_work_free(session->work);
        trib_free(session);
    }
}

void trib_session_step(struct trib_session *session, struct trib_session_event *event,
                       struct trib_session_actions *actions)
{
    struct trib_turn *turn = &session->turn;
    if (trib_connection_state(session->connection) == TRIB_CONNECTION_ENDED) {
        return;
    }
    turn->now_ms = event->now_ms;
    turn->out = actions;
    hand_out(session, event);
    if (turn->broken) {
        turn->broken = false;
        const enum trib_connection_state state = trib_connection_state(session->connection);
        if (state != TRIB_CONNECTION_OFFLINE && state != TRIB_CONNECTION_ENDED) {
            trib_connection_drop(session->connection, turn, TRIB_NO_MEMORY, "out of memory for a message");
            heed_loss(session, true);
        }
    }
    if (!trib_work_is_confirmed(session->work)) {
        trib_connection_rest(session->connection);
    }
    turn->out = NULL;
}

int64_t trib_session_wake_ms(const struct trib_session *session)
{
    if (trib_connection_state(session->connection) == TRIB_CONNECTION_ENDED) {
        return INT64_MAX;
    }
    const int64_t connection_ms = trib_connection_wake_ms(session->connection);
    const int64_t work_ms = trib_work_wake_ms(session->work);
    return connection_ms < work_ms ? connection_ms : work_ms;
}

enum trib_session_state trib_session_state(const struct trib_session *session)
{
    static const enum trib_session_state by_connection[] = {[TRIB_CONNECTION_OFFLINE] = TRIB_STATE_OFFLINE,
                                                            [TRIB_CONNECTION_CONNECTING] = TRIB_STATE_CONNECTING,
                                                            [TRIB_CONNECTION_GREETING] = TRIB_STATE_GREETING,
                                                            [TRIB_CONNECTION_ONLINE] = TRIB_STATE_IDLE,
                                                            [TRIB_CONNECTION_ENDED] = TRIB_STATE_DONE};
    /* READY: the offer is about to be made (again). */
    static const enum trib_session_state by_phase[] = {[TRIB_WORK_NONE] = TRIB_STATE_IDLE,
                                                       [TRIB_WORK_DOWNLOADING] = TRIB_STATE_DOWNLOADING,
                                                       [TRIB_WORK_TRAINING] = TRIB_STATE_TRAINING,
                                                       [TRIB_WORK_READY] = TRIB_STATE_OFFERED,
                                                       [TRIB_WORK_OFFERED] = TRIB_STATE_OFFERED,
                                                       [TRIB_WORK_UPLOADING] = TRIB_STATE_UPLOADING,
                                                       [TRIB_WORK_WAITING] = TRIB_STATE_WAITING_OUTCOME};
    const enum trib_connection_state state = trib_connection_state(session->connection);
    return state == TRIB_CONNECTION_ONLINE ? by_phase[trib_work_phase(session->work)] : by_connection[state];
}

const char *trib_session_state_name(enum trib_session_state state)
{
    static const char *const names[] = {"offline", "connecting", "greeting",        "idle", "downloading", "training",
                                        "offered", "uploading",  "waiting_outcome", "done"};
    return names[state];
}

const struct trib_client_update *trib_session_update(const struct trib_session *session)
{
    return trib_work_update(session->work);
}
