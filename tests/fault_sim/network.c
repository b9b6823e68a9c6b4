/* Sessions' streams: messages as bytes, in order and with their time on the way, until somebody spoils that. What a
 * side that is gone leaves behind, the other one notices: at once, or after a keepalive when nothing told it. */
#include "world.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { CONNECT_TIMEOUT_MS = 5000 };

/* ---- the way ---- */

bool net_is_cut(const struct world *world, uint32_t who)
{
    return world->clients[who].host.cut_until_ms > world->now_ms || world->server.host.cut_until_ms > world->now_ms;
}

int64_t net_latency(struct world *world, const struct client *client)
{
    int64_t latency_ms = client->latency_ms + (int64_t)host_draw(world, client->number, (uint64_t)client->latency_ms);
    return client->host.slow_until_ms > world->now_ms ? latency_ms * (int64_t)client->host.slow : latency_ms;
}

static struct conn *conn_of(struct trib_peer *peer)
{
    return (struct conn *)(void *)peer;
}

static struct conn *conn_ref(struct conn *conn)
{
    conn->refs++;
    return conn;
}

void conn_unref(struct conn *conn)
{
    if (--conn->refs == 0) {
        trib_free(conn);
    }
}

static void push_message(struct conn *conn, bool to_server, int64_t at_ms, const struct trib_buf *bytes)
{
    struct event event = {
        .kind = to_server ? EVENT_TO_SERVER : EVENT_TO_CLIENT, .who = conn->who, .conn = conn_ref(conn)};
    if (trib_buf_add(&event.bytes, bytes->data, bytes->len) != TRIB_OK) {
        world_break(conn->world, "the simulation is out of memory");
    }
    world_push(conn->world, at_ms, &event);
}

void net_send(struct conn *conn, bool to_server, struct trib_buf *bytes)
{
    struct world *world = conn->world;
    struct client *client = &world->clients[conn->who];
    struct host *host = &client->host;
    int64_t at_ms = world->now_ms + net_latency(world, client), *last_ms;
    bool unruly = host->unruly_until_ms > world->now_ms;
    bool dropped = conn->silent || (unruly && host_draw(world, conn->who, 100) < host->drop);
    last_ms = to_server ? &conn->to_server_ms : &conn->to_client_ms;
    if (unruly && host_draw(world, conn->who, 100) < host->shuffle) {
        at_ms += (int64_t)host_draw(world, conn->who, 3000);
    } else {
        *last_ms = at_ms > *last_ms ? at_ms : *last_ms;
        at_ms = *last_ms;
    }
    if (!dropped) {
        push_message(conn, to_server, at_ms, bytes);
        if (unruly && host_draw(world, conn->who, 100) < host->twice) {
            push_message(conn, to_server, at_ms + (int64_t)host_draw(world, conn->who, 2000), bytes);
        }
    }
    trib_buf_clear(bytes);
}

/* One side's end is gone: when does the other one notice? Not before what was sent has arrived. */
static void tell_other_side(struct conn *conn, enum event_kind kind, bool lost)
{
    struct world *world = conn->world;
    const struct event event = {.kind = kind, .who = conn->who, .conn = conn_ref(conn)};
    int64_t last_ms = kind == EVENT_SERVER_LOST ? conn->to_server_ms : conn->to_client_ms;
    int64_t at_ms = world->now_ms + 1 + world->clients[conn->who].latency_ms;
    at_ms = at_ms > last_ms ? at_ms : last_ms;
    if (lost || conn->silent || net_is_cut(world, conn->who)) {
        at_ms += KEEPALIVE_MS;
    }
    world_push(world, at_ms, &event);
}

/* ---- the engine's view ---- */

static struct trib_peer *op_ref(struct trib_peer *peer)
{
    return &conn_ref(conn_of(peer))->peer;
}

static void op_unref(struct trib_peer *peer)
{
    conn_unref(conn_of(peer));
}

static enum trib_status op_send(struct trib_peer *peer, const ProtobufCMessage *message)
{
    struct conn *conn = conn_of(peer);
    struct world *world = conn->world;
    struct trib_buf bytes = {0};
    if (host_is_dead(&world->server.host)) {
        return TRIB_OK;
    }
    if (!conn->server_open) {
        return TRIB_CANCELLED;
    }
    TRIB_TRY(trib_message_pack(message, &bytes));
    oracle_sent(world, conn->who, (const Tributary__V1__ServerMessage *)(const void *)message);
    net_send(conn, false, &bytes);
    return TRIB_OK;
}

static void op_close(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds)
{
    struct conn *conn = conn_of(peer);
    struct world *world = conn->world;
    Tributary__V1__Goodbye goodbye;
    tributary__v1__goodbye__init(&goodbye);
    goodbye.reason = trib_message_lend(reason);
    goodbye.final = final;
    goodbye.retry_seconds = retry_seconds;
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    if (op_send(peer, &message.base) == TRIB_OK && !host_is_dead(&world->server.host)) {
        world_push(world, world->now_ms + 1,
                   &(struct event){.kind = EVENT_SERVER_LOST, .who = conn->who, .conn = conn_ref(conn)});
    }
}

const struct trib_peer_ops conn_ops = {.send = op_send, .close = op_close, .ref = op_ref, .unref = op_unref};

/* ---- the client's side ---- */

void net_connect(struct world *world, struct client *client, uint64_t job)
{
    net_hang_up(world, client, false);
    struct event event = {.who = client->number, .life = client->host.life, .job = job};
    int64_t there_and_back_ms = 2 * net_latency(world, client);
    struct conn *conn = trib_calloc(1, sizeof *conn);
    if (!conn) {
        world_break(world, "the simulation is out of memory");
        return;
    }
    *conn = (struct conn){.peer.ops = &conn_ops,
                          .refs = 1,
                          .world = world,
                          .who = client->number,
                          .server_life = world->server.host.life,
                          .job = job};
    bool cut = net_is_cut(world, client->number);
    if (cut || !world->server.engine) {
        conn_unref(conn);
        event.kind = EVENT_REFUSED;
        world_push(world, world->now_ms + (cut ? CONNECT_TIMEOUT_MS : there_and_back_ms), &event);
        return;
    }
    conn->client_open = conn->server_open = true;
    client->conn = conn;
    event.kind = EVENT_CONNECTED;
    event.conn = conn_ref(conn);
    world_push(world, world->now_ms + there_and_back_ms, &event);
}

void net_hang_up(struct world *world, struct client *client, bool lost)
{
    struct conn *conn = client->conn;
    (void)world;
    if (conn) {
        client->conn = NULL;
        conn->client_open = false;
        tell_other_side(conn, EVENT_SERVER_LOST, lost);
        conn_unref(conn);
    }
}

/* ---- the server's process is gone ---- */

void net_server_gone(struct world *world, bool lost)
{
    for (uint32_t i = 0; i < world->n_peers; i++) {
        struct conn *conn = world->clients[i].conn;
        if (conn && conn->server_open) {
            conn->server_open = false;
            tell_other_side(conn, EVENT_CLIENT_LOST, lost);
        }
    }
}

/* ---- events ---- */

static void disconnected(struct world *world, struct client *client, uint64_t job)
{
    struct trib_session_event event = {.kind = TRIB_SESSION_DISCONNECTED, .job = job, .status = TRIB_UNAVAILABLE};
    (void)trib_str_copy(event.reason, sizeof event.reason, "the connection broke");
    client_step(world, client, &event);
}

static void client_lost(struct world *world, struct client *client, struct conn *conn)
{
    if (client->conn == conn) {
        net_hang_up(world, client, false);
        transfer_break(world, client);
        disconnected(world, client, conn->job);
    }
}

static void server_lost(struct world *world, struct conn *conn)
{
    if (!conn->server_open) {
        return;
    }
    conn->server_open = false;
    if (world->server.engine && conn->server_life == world->server.host.life && conn->greeted) {
        world_note(world, conn->who, "is gone, notices the server", 0, 0);
        trib_hub_disconnect(world->server.engine, &conn->peer, "the connection broke");
        server_turn(world);
    }
    if (conn->client_open) {
        tell_other_side(conn, EVENT_CLIENT_LOST, false);
    }
}

/* A message is due: is its way open? If it was cut for long, the connection has had it. */
static bool arrives(struct world *world, struct event *event)
{
    struct conn *conn = event->conn;
    if (conn->silent || !net_is_cut(world, conn->who)) {
        return !conn->silent;
    }
    int64_t client_ms = world->clients[conn->who].host.cut_until_ms, server_ms = world->server.host.cut_until_ms;
    int64_t until_ms = client_ms > server_ms ? client_ms : server_ms;
    if (until_ms - world->now_ms <= PATIENCE_MS) {
        world_put_off(world, until_ms, event);
        return false;
    }
    conn->silent = true;
    tell_other_side(conn, EVENT_CLIENT_LOST, true);
    tell_other_side(conn, EVENT_SERVER_LOST, true);
    return false;
}

static void connected(struct world *world, struct client *client, struct event *event)
{
    if (client->conn == event->conn && client->host.life == event->life) {
        struct trib_session_event connected = {.kind = TRIB_SESSION_CONNECTED, .job = event->job};
        client_step(world, client, &connected);
    }
}

void net_event(struct world *world, struct event *event)
{
    struct client *client = &world->clients[event->who];
    switch (event->kind) {
    case EVENT_CONNECTED:
        connected(world, client, event);
        break;
    case EVENT_REFUSED:
        if (client->host.life == event->life) {
            disconnected(world, client, event->job);
        }
        break;
    case EVENT_CLIENT_LOST:
        client_lost(world, client, event->conn);
        break;
    case EVENT_SERVER_LOST:
        server_lost(world, event->conn);
        break;
    case EVENT_TO_CLIENT:
        if (client->conn == event->conn && arrives(world, event)) {
            client_take(world, client, event->conn, &event->bytes);
        }
        break;
    default:
        if (event->conn->server_open && arrives(world, event)) {
            server_take(world, event->conn, &event->bytes);
        }
        break;
    }
}
