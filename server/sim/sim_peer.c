/* Messages between the engine and the sessions: packed as they are on the wire, delivered after their time on it, in
 * order. */
#include "sim_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

static struct sim_peer *peer_of(struct trib_peer *peer)
{
    return (struct sim_peer *)(void *)peer;
}

static struct sim_peer *ref_peer(struct sim_peer *peer)
{
    peer->refs++;
    return peer;
}

void sim_peer_unref(struct sim_peer *peer)
{
    if (--peer->refs == 0) {
        trib_free(peer);
    }
}

static struct trib_peer *op_ref(struct trib_peer *peer)
{
    return &ref_peer(peer_of(peer))->peer;
}

static void op_unref(struct trib_peer *peer)
{
    sim_peer_unref(peer_of(peer));
}

static void count(struct sim *sim, uint64_t up, uint64_t down)
{
    trib_hub_count(sim->engine, up, down);
    sim->total.bytes_up += up;
    sim->total.bytes_down += down;
}

/* When a message of this length, sent now, arrives: never before one that was sent earlier. */
static int64_t arrival(const struct sim_actor *actor, size_t len, double rate, int64_t *last_us)
{
    int64_t at_us = actor->sim->now_us + actor->latency_us + sim_us((double)len / rate);
    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us;
}

/* ---- from the server ---- */

/* The model that a task names. It is looked up when the task is sent: then it is the server's present one. */
static struct trib_blob *model_of(struct sim *sim, const ProtobufCMessage *message)
{
    const Tributary__V1__ServerMessage *sent = (const Tributary__V1__ServerMessage *)(const void *)message;
    if (sent->kind_case != TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK || !sent->task->model ||
        sent->task->model->sha256.len != 32) {
        return NULL;
    }
    return trib_hub_blob(sim->engine, sent->task->model->sha256.data);
}

static enum trib_status op_send(struct trib_peer *to, const ProtobufCMessage *message)
{
    struct sim_peer *peer = peer_of(to);
    struct sim *sim = peer->sim;
    struct sim_actor *actor = &sim->actors[peer->actor];
    if (peer->gone) {
        return TRIB_CANCELLED;
    }
    struct sim_event event = {.kind = SIM_EVENT_TO_CLIENT, .actor = peer->actor, .life = peer->life};
    TRIB_TRY(trib_message_pack(message, &event.bytes));
    count(sim, 0, event.bytes.len);
    if (actor->peer != peer) { /* nobody will read it; the server does not know yet */
        sim_event_clear(&event);
        return TRIB_OK;
    }
    event.peer = ref_peer(peer);
    event.model = model_of(sim, message);
    sim_schedule(sim, arrival(actor, event.bytes.len, actor->download, &actor->to_client_us), &event);
    return TRIB_OK;
}

static void op_close(struct trib_peer *to, const char *reason, bool final, uint32_t retry_seconds)
{
    struct sim_peer *peer = peer_of(to);
    struct sim_actor *actor = &peer->sim->actors[peer->actor];
    Tributary__V1__Goodbye goodbye;
    tributary__v1__goodbye__init(&goodbye);
    goodbye.reason = trib_message_lend(reason);
    goodbye.final = final;
    goodbye.retry_seconds = retry_seconds;
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    if (op_send(to, &message.base) == TRIB_OK && actor->peer == peer) {
        const struct sim_event broken = {.kind = SIM_EVENT_LINK_BROKEN,
                                         .actor = peer->actor,
                                         .life = peer->life,
                                         .job = peer->connection,
                                         .status = TRIB_UNAVAILABLE};
        sim_schedule(peer->sim, arrival(actor, 0, actor->download, &actor->to_client_us), &broken);
    }
}

static const struct trib_peer_ops peer_ops = {
    .send = op_send,
    .close = op_close,
    .ref = op_ref,
    .unref = op_unref,
};

/* ---- from the client ---- */

void sim_peer_connect(struct sim_actor *actor, uint64_t connection)
{
    sim_peer_hang_up(actor);
    struct sim_peer *peer = trib_calloc(1, sizeof *peer);
    if (!peer) {
        sim_fail(actor->sim, TRIB_NO_MEMORY);
        return;
    }
    *peer = (struct sim_peer){.peer.ops = &peer_ops,
                              .refs = 1,
                              .sim = actor->sim,
                              .actor = actor->number,
                              .life = actor->life,
                              .connection = connection};
    actor->peer = peer;
    actor->to_client_us = actor->to_server_us = 0;
    const struct sim_event event = {.kind = SIM_EVENT_CONNECTED,
                                    .actor = actor->number,
                                    .life = actor->life,
                                    .job = connection,
                                    .peer = ref_peer(peer)};
    sim_schedule(actor->sim, actor->sim->now_us + 2 * actor->latency_us, &event); /* there and back */
}

void sim_peer_send(struct sim_actor *actor, struct trib_buf *bytes)
{
    if (!actor->peer) {
        trib_buf_clear(bytes);
        return;
    }
    const struct sim_event event = {
        .kind = SIM_EVENT_TO_SERVER, .actor = actor->number, .peer = ref_peer(actor->peer), .bytes = *bytes};
    *bytes = (struct trib_buf){0};
    sim_schedule(actor->sim, arrival(actor, event.bytes.len, actor->upload, &actor->to_server_us), &event);
}

void sim_peer_hang_up(struct sim_actor *actor)
{
    struct sim_peer *peer = actor->peer;
    if (!peer) {
        return;
    }
    actor->peer = NULL;
    /* The event takes over the actor's reference. */
    const struct sim_event event = {.kind = SIM_EVENT_PEER_GONE, .actor = actor->number, .peer = peer};
    sim_schedule(actor->sim, arrival(actor, 0, actor->upload, &actor->to_server_us), &event);
}

/* ---- arriving at the server ---- */

static enum trib_status greet(struct sim *sim, struct sim_peer *peer, const Tributary__V1__Hello *hello)
{
    const char *node = sim->actors[peer->actor].node;
    if (hello->protocol != TRIB_PROTOCOL_VERSION || strcmp(hello->node, node) != 0) {
        return TRIB_PROTOCOL;
    }
    peer->greeted = true;
    return trib_hub_connect(sim->engine, &peer->peer, node, "simulated", hello);
}

/* The first message is Hello; every later one is the engine's. */
static enum trib_status take(struct sim *sim, struct sim_peer *peer, Tributary__V1__ClientMessage *message)
{
    bool is_hello = message->kind_case == TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    if (peer->greeted && !is_hello) {
        return trib_hub_message(sim->engine, &peer->peer, message);
    }
    enum trib_status status = is_hello && !peer->greeted ? greet(sim, peer, message->hello) : TRIB_PROTOCOL;
    trib_message_free(&message->base);
    return status;
}

void sim_peer_take(struct sim *sim, struct sim_event *event)
{
    struct sim_peer *peer = event->peer;
    ProtobufCMessage *message = NULL;
    struct trib_error error;
    if (peer->gone) {
        return;
    }
    count(sim, event->bytes.len, 0);
    enum trib_status status = trib_message_unpack(&tributary__v1__client_message__descriptor, event->bytes.data,
                                                  event->bytes.len, &message, &error);
    if (status == TRIB_OK) {
        status = take(sim, peer, (Tributary__V1__ClientMessage *)(void *)message);
    }
    sim->touched = true;
    if (status != TRIB_OK) {
        trib_log(TRIB_LOG_WARN, "sim", "session_refused", TRIB_F_STR("node", sim->actors[peer->actor].node),
                 TRIB_F_STR("status", trib_status_name(status)));
        const struct sim_event broken = {.kind = SIM_EVENT_LINK_BROKEN,
                                         .actor = peer->actor,
                                         .life = peer->life,
                                         .job = peer->connection,
                                         .status = status};
        sim_schedule(sim, sim->now_us + sim->actors[peer->actor].latency_us, &broken);
    }
}

void sim_peer_notice(struct sim *sim, const struct sim_event *event)
{
    struct sim_peer *peer = event->peer;
    if (!peer->gone && peer->greeted) {
        trib_hub_disconnect(sim->engine, &peer->peer, "connection lost");
        sim->touched = true;
    }
    peer->gone = true;
}
