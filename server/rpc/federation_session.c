/* The Session stream: a peer of the engine over one gRPC call.
 *
 * The call's events run on transport threads, the peer's functions on the engine's. Both hold references; the session
 * goes when the last is dropped. */
#include "service_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct session {
    struct trib_peer peer; /* first: a peer is a session */
    _Atomic(int) refs;
    struct trib_federation_service *service;
    struct trib_net_call *call; /* owned reference */
    struct trib_node *node;
    char identity[TRIB_NODE_LEN];
    char address[64];
    bool greeted; /* transport side: Hello was taken */
};

static struct session *session_of(struct trib_peer *peer)
{
    return (struct session *)(void *)peer;
}

static struct trib_peer *session_ref(struct trib_peer *peer)
{
    atomic_fetch_add(&session_of(peer)->refs, 1);
    return peer;
}

static void session_unref(struct trib_peer *peer)
{
    struct session *session = session_of(peer);
    if (atomic_fetch_sub(&session->refs, 1) == 1) {
        trib_net_call_unref(session->call);
        trib_free(session);
    }
}

static enum trib_status session_send(struct trib_peer *peer, const ProtobufCMessage *message)
{
    struct session *session = session_of(peer);
    size_t len;
    enum trib_status status = trib_service_send(session->call, message, &len);
    if (status == TRIB_OK) {
        trib_hub_count(session->service->engine, 0, len);
    } else if (status == TRIB_LIMIT) {
        struct trib_error error;
        (void)trib_fail(&error, status, "it does not read what it is sent (limits.send_queue); disconnecting it");
        trib_service_complain(session->service, "session_slow", &error, session->identity, session->address);
        trib_net_call_abort(session->call, status, "this node does not read what it is sent");
    }
    return status;
}

static void session_close(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds)
{
    struct session *session = session_of(peer);
    Tributary__V1__Goodbye goodbye;
    tributary__v1__goodbye__init(&goodbye);
    char text[TRIB_ERROR_MESSAGE_LEN];
    trib_str_copy(text, sizeof text, reason);
    goodbye.reason = text;
    goodbye.final = final;
    goodbye.retry_seconds = retry_seconds;
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    if (session_send(peer, &message.base) == TRIB_OK) {
        trib_net_call_finish(session->call, TRIB_OK, reason);
    } else {
        trib_net_call_cancel(session->call);
    }
}

static const struct trib_peer_ops peer_ops = {
    .send = session_send,
    .close = session_close,
    .ref = session_ref,
    .unref = session_unref,
};

/* ---- the transport's events ---- */

static enum trib_status check_hello(const struct session *session, const Tributary__V1__Hello *hello,
                                    struct trib_error *error)
{
    uint32_t least = hello->protocol_least > 0 ? hello->protocol_least : hello->protocol;
    bool newer = least > TRIB_PROTOCOL_VERSION;
    if (newer || hello->protocol < TRIB_PROTOCOL_LEAST) {
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "protocol %u to %u are spoken by this client, %d to %d by this server: update the %s", least,
                         hello->protocol, (int)TRIB_PROTOCOL_LEAST, (int)TRIB_PROTOCOL_VERSION,
                         newer ? "server" : "client");
    }
    if (strcmp(hello->node, session->identity) != 0) {
        return trib_fail(error, TRIB_DENIED, "node \"%.100s\" is not what the certificate says (\"%.100s\")",
                         hello->node, session->identity);
    }
    return TRIB_OK;
}

static void refuse(struct session *session, const struct trib_error *error)
{
    trib_service_complain(session->service, "session_refused", error, session->identity, session->address);
    trib_net_call_finish(session->call, error->status, error->message);
}

/* The first message must be Hello; every later one goes to the engine. */
static enum trib_status take(struct session *session, Tributary__V1__ClientMessage *message, struct trib_error *error)
{
    struct trib_hub *engine = session->service->engine;
    bool is_hello = message->kind_case == TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    enum trib_status status = TRIB_OK;
    if (session->greeted && !is_hello) {
        status = trib_hub_message(engine, &session->peer, message);
        return status == TRIB_LIMIT ? trib_nodes_pause(session->service->nodes, session->node, trib_clock_ms(), error)
               : status != TRIB_OK  ? trib_fail(error, status, "%s", trib_status_text(status))
                                    : TRIB_OK;
    }
    if (session->greeted || !is_hello) {
        status =
            trib_fail(error, TRIB_PROTOCOL, session->greeted ? "a second Hello" : "the first message is not Hello");
    } else {
        status = check_hello(session, message->hello, error);
    }
    if (status == TRIB_OK) {
        status = trib_hub_connect(engine, &session->peer, session->identity, session->address, message->hello);
        session->greeted = status == TRIB_OK;
        if (session->greeted) {
            trib_net_call_idle_limit(session->call, 0); /* from here on it may be silent */
        } else {
            status = trib_fail(error, status, "%s", trib_status_text(status));
        }
    }
    trib_message_free(&message->base);
    return status;
}

static void on_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct session *session = user;
    struct trib_error error = {.status = TRIB_OK, .message = ""};
    ProtobufCMessage *parsed;
    if (!message) {
        trib_net_call_finish(call, TRIB_OK, "");
        return;
    }
    trib_hub_count(session->service->engine, trib_net_message_len(message), 0);
    enum trib_status status = trib_nodes_message(session->service->nodes, session->node, trib_clock_ms(), &error);
    if (status != TRIB_OK) {
        trib_net_message_free(message);
    } else {
        status = trib_service_unpack(&tributary__v1__client_message__descriptor, message, &parsed, &error);
    }
    if (status == TRIB_OK) {
        status = take(session, (Tributary__V1__ClientMessage *)(void *)parsed, &error);
    }
    if (status != TRIB_OK) {
        refuse(session, &error);
        return;
    }
    trib_net_call_read(call);
}

static void on_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)call;
    struct session *session = user;
    if (session->greeted) {
        trib_hub_disconnect(session->service->engine, &session->peer,
                            how->status == TRIB_OK ? "session ended" : "connection lost");
    } else if (how->status == TRIB_TIMEOUT) {
        struct trib_error error;
        (void)trib_fail(&error, how->status, "it opened a session and said no Hello in time (limits.hello)");
        trib_service_complain(session->service, "session_silent", &error, session->identity, session->address);
    }
    trib_nodes_leave(session->service->nodes, session->node);
    session_unref(&session->peer);
}

static const struct trib_net_events events_table = {.message = on_message, .closed = on_closed};

enum trib_status trib_session_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                     const struct trib_net_events **events, void **user, struct trib_error *error)
{
    struct trib_federation_service *federation = service;
    struct trib_node *node;
    TRIB_TRY(trib_service_enter(federation, call, peer, &node, error));
    struct session *session = trib_calloc(1, sizeof *session);
    if (!session) {
        trib_nodes_leave(federation->nodes, node);
        return trib_fail_no_memory(error);
    }
    trib_net_call_idle_limit(call, federation->hello_ms);
    session->peer.ops = &peer_ops;
    atomic_init(&session->refs, 1); /* dropped by on_closed */
    session->service = federation;
    session->node = node;
    session->call = trib_net_call_ref(call);
    trib_str_copy(session->identity, sizeof session->identity, peer->identity);
    trib_str_copy(session->address, sizeof session->address, peer->address);
    *events = &events_table;
    *user = session;
    trib_net_call_read(call);
    return TRIB_OK;
}
