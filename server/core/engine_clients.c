/* Clients: sessions coming and going, what they say, and what they are told. Engine's thread only. */
#include "engine_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct client *trib_engine_find(struct trib_engine *engine, const char *node, uint32_t *number)
{
    uintptr_t stored = (uintptr_t)trib_map_get(engine->by_node, node);
    if (stored == 0) {
        return NULL;
    }
    *number = (uint32_t)(stored - 1);
    return &engine->clients[*number];
}

/* The client whose live session this peer is, or NULL: it was replaced or has gone. */
static struct client *client_of(struct trib_engine *engine, const struct trib_peer *peer, uint32_t *number)
{
    if (peer->client >= engine->n_clients || engine->clients[peer->client].peer != peer) {
        return NULL;
    }
    *number = peer->client;
    return &engine->clients[peer->client];
}

struct client *trib_engine_add_client(struct trib_engine *engine, const char *node, uint32_t *number)
{
    if (engine->n_clients == engine->clients_capacity) {
        size_t capacity = engine->clients_capacity ? engine->clients_capacity * 2 : 16;
        struct client *clients = trib_realloc_array(engine->clients, capacity, sizeof *clients);
        if (!clients) {
            return NULL;
        }
        engine->clients = clients;
        engine->clients_capacity = capacity;
    }
    uint32_t next = (uint32_t)engine->n_clients;
    if (trib_map_put(engine->by_node, node, (void *)((uintptr_t)next + 1)) != TRIB_OK) {
        return NULL;
    }
    struct client *client = &engine->clients[engine->n_clients++];
    memset(client, 0, sizeof *client);
    trib_str_copy(client->node, sizeof client->node, node);
    *number = next;
    return client;
}

static size_t count_connected(const struct trib_engine *engine)
{
    size_t n = 0;
    for (size_t i = 0; i < engine->n_clients; i++) {
        n += engine->clients[i].peer ? 1 : 0;
    }
    return n;
}

/* Queue a message to a client; a session that fails is ending and will say so by its disconnect. */
static void send_message(const struct client *client, Tributary__V1__ServerMessage *message)
{
    if (client->peer && client->peer->ops->send(client->peer, &message->base) != TRIB_OK) {
        trib_log(TRIB_LOG_DEBUG, "engine", "send_failed", TRIB_F_STR("node", client->node));
    }
}

static void send_welcome(struct trib_engine *engine, const struct client *client, uint32_t protocol)
{
    Tributary__V1__Welcome welcome;
    tributary__v1__welcome__init(&welcome);
    int64_t progress_ms = engine->settings->idle_timeout_ms / 4;
    welcome.protocol = protocol < TRIB_PROTOCOL_VERSION ? protocol : TRIB_PROTOCOL_VERSION; /* what both know */
    welcome.software = engine->software;
    welcome.run = engine->run;
    welcome.progress_seconds = progress_ms < 1000 ? 1 : (uint32_t)(progress_ms > 30000 ? 30 : progress_ms / 1000);
    welcome.chunk_bytes = TRIB_CHUNK_PAYLOAD;
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME;
    message.welcome = &welcome;
    send_message(client, &message);
}

uint64_t trib_engine_most_examples(const struct trib_engine *engine, uint64_t told)
{
    uint64_t most = (uint64_t)engine->settings->max_examples;
    return told < most ? told : most;
}

static bool is_eligible(const struct client *client)
{
    return !client->filtered && !client->device_filtered;
}

static void log_filtered(const struct client *client)
{
    if (!is_eligible(client)) {
        trib_log(TRIB_LOG_INFO, "engine", "client_filtered", TRIB_F_STR("node", client->node),
                 TRIB_F_STR("reason", client->filtered ? client->filtered : client->device_filtered));
    }
}

void trib_engine_on_connect(struct trib_engine *engine, struct event *event)
{
    const struct trib_peer_ops *ops = event->peer->ops;
    uint32_t number;
    if (event->reason[0]) {
        trib_log(TRIB_LOG_WARN, "engine", "client_refused", TRIB_F_STR("node", event->node),
                 TRIB_F_STR("reason", event->reason));
        ops->close(event->peer, event->reason, false, 300); /* its next version may have it */
        return;
    }
    if (engine->done) {
        bool complete = trib_engine_complete(engine);
        ops->close(event->peer, complete ? "the run is finished" : "the server is stopping", complete,
                   complete ? 0 : 2);
        return;
    }
    struct client *client = trib_engine_find(engine, event->node, &number);
    if (!client || !client->peer) {
        if (count_connected(engine) >= (size_t)engine->settings->max_clients) {
            ops->close(event->peer, "the server serves as many clients as it may", false, 60);
            return;
        }
    }
    if (!client) {
        client = trib_engine_add_client(engine, event->node, &number);
    }
    if (!client) {
        ops->close(event->peer, "the server is out of memory", false, 60);
        return;
    }
    if (client->peer) {
        trib_log(TRIB_LOG_WARN, "engine", "client_replaced", TRIB_F_STR("node", client->node),
                 TRIB_F_STR("old", client->address), TRIB_F_STR("new", event->address));
        client->peer->ops->close(client->peer, "another session of this node has taken over", false, 30);
        client->peer->ops->unref(client->peer);
    }
    client->peer = ops->ref(event->peer);
    client->peer->client = number;
    client->plan_sent = client->holds_model = false;
    client->takes_deltas = event->takes_deltas;
    client->examples = event->examples;
    client->filtered = event->filtered;
    client->device_filtered = trib_filter_device(engine->settings, &event->device);
    trib_str_copy(client->address, sizeof client->address, event->address);
    trib_str_copy(client->software, sizeof client->software, event->software);
    client->joined++;
    client->first_seen = client->first_seen > 0 ? client->first_seen : trib_engine_wall_ms(engine);
    trib_engine_note_node(engine, client);
    trib_log(TRIB_LOG_INFO, "engine", "client_joined", TRIB_F_STR("node", client->node),
             TRIB_F_STR("address", client->address), TRIB_F_INT("examples", client->examples),
             TRIB_F_INT("connected", count_connected(engine)));
    log_filtered(client);
    send_welcome(engine, client, event->protocol);
    trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_JOINED,
                                                        .client = number,
                                                        .examples = trib_engine_most_examples(engine, client->examples),
                                                        .eligible = is_eligible(client),
                                                        .key = trib_hash64(client->node, strlen(client->node), 0)});
}

void trib_engine_on_disconnect(struct trib_engine *engine, const struct event *event)
{
    uint32_t number;
    struct client *client = client_of(engine, event->peer, &number);
    if (!client) {
        return;
    }
    enum trib_member_state state = trib_round_member(engine->round, number);
    client->peer->ops->unref(client->peer);
    client->peer = NULL;
    trib_log(TRIB_LOG_INFO, "engine", "client_left", TRIB_F_STR("node", client->node),
             TRIB_F_STR("reason", event->reason), TRIB_F_STR("part_in_round", trib_member_state_name(state)),
             TRIB_F_INT("connected", count_connected(engine)));
    trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_LEFT, .client = number});
}

/* ---- what clients say ---- */

/* A sign of life, and maybe news of the machine. */
static void on_progress(struct trib_engine *engine, uint32_t number, const Tributary__V1__Progress *progress)
{
    struct client *client = &engine->clients[number];
    trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_PROGRESS, .client = number});
    if (!progress->device) {
        return;
    }
    const struct trib_client_device device = trib_device_of(progress->device);
    const char *before = client->device_filtered;
    client->device_filtered = trib_filter_device(engine->settings, &device);
    if (client->device_filtered != before) {
        log_filtered(client);
        trib_engine_step(engine, &(struct trib_round_event){
                                     .kind = TRIB_EVENT_ELIGIBLE, .client = number, .eligible = is_eligible(client)});
    }
}

static void on_failure(struct trib_engine *engine, uint32_t number, const Tributary__V1__Failure *failure)
{
    bool counts = trib_engine_step(
        engine, &(struct trib_round_event){.kind = TRIB_EVENT_FAILURE, .client = number, .round = failure->round});
    engine->clients[number].plan_sent = false; /* for all we know, it has not got it */
    if (counts) {
        trib_engine_forget_sketch(engine, number);
        trib_engine_note_outcome(engine, number, failure->round, "failed", failure->reason);
    }
    trib_log(counts ? TRIB_LOG_WARN : TRIB_LOG_DEBUG, "round", "client_failed", TRIB_F_INT("round", failure->round),
             TRIB_F_STR("node", engine->clients[number].node), TRIB_F_STR("status", failure->status),
             TRIB_F_STR("reason", failure->reason));
}

void trib_engine_on_message(struct trib_engine *engine, struct event *event)
{
    uint32_t number;
    const Tributary__V1__ClientMessage *message = event->message;
    const struct client *client = client_of(engine, event->peer, &number);
    if (!client) {
        return;
    }
    switch (message->kind_case) {
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS:
        on_progress(engine, number, message->progress);
        break;
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER:
        trib_engine_on_offer(engine, number, message->offer);
        break;
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE:
        on_failure(engine, number, message->failure);
        break;
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE:
        trib_log(TRIB_LOG_INFO, "engine", "client_goodbye", TRIB_F_STR("node", client->node),
                 TRIB_F_STR("reason", message->goodbye->reason));
        client->peer->ops->close(client->peer, "goodbye", false, 0);
        break;
    default:
        trib_log(TRIB_LOG_WARN, "engine", "message_ignored", TRIB_F_STR("node", client->node),
                 TRIB_F_INT("kind", message->kind_case));
        break;
    }
}

/* ---- what clients are told ---- */

static struct trib_recipe recipe_of_round(const struct trib_server_settings *s, uint64_t round, double proximal_mu)
{
    uint64_t decays = (round - 1) / (uint64_t)s->decay_every;
    return (struct trib_recipe){
        .loss = (enum trib_loss)s->loss,
        .optimizer = TRIB_OPTIMIZER_SGD,
        .epochs = (uint32_t)s->epochs,
        .batch_size = (uint32_t)s->batch_size,
        .max_steps = (uint32_t)s->max_steps,
        .learning_rate = (float)(s->learning_rate * pow(s->decay, (double)decays)),
        .momentum = (float)s->momentum,
        .weight_decay = (float)s->weight_decay,
        .clip_norm = (float)s->clip_norm,
        .proximal_mu = (float)proximal_mu,
    };
}

/* What a task says of the way to its model that is shorter than the whole one. */
struct shortcut {
    struct trib_route route;
    Tributary__V1__Delta deltas[TRIB_TASK_DELTAS], *list[TRIB_TASK_DELTAS];
    Tributary__V1__Blob blobs[TRIB_TASK_DELTAS];
    Tributary__V1__Initialisation initialisation;
};
_Static_assert((int)TRIB_TASK_DELTAS >= (int)TRIB_ROUTE_DELTAS, "a task has room for a route");

/* Name the deltas that lead from the version that this client is known to hold to that of its task, else all that there
 * are; and how version 0 was made, if they begin there. */
static void add_shortcut(const struct trib_engine *engine, const struct client *client, struct shortcut *shortcut,
                         Tributary__V1__Task *task)
{
    struct trib_route *route = &shortcut->route;
    if (!client->takes_deltas || client->task.version != trib_release_present(engine->release)->number) {
        return;
    }
    trib_release_route(engine->release, client->holds_model, client->held, route);
    for (size_t i = 0; i < route->n; i++) {
        tributary__v1__delta__init(&shortcut->deltas[i]);
        tributary__v1__blob__init(&shortcut->blobs[i]);
        shortcut->blobs[i].sha256 = trib_message_lend_bytes(route->deltas[i].sha256, sizeof route->deltas[i].sha256);
        shortcut->blobs[i].len = route->deltas[i].len;
        shortcut->deltas[i].from_version = route->deltas[i].from_version;
        shortcut->deltas[i].blob = &shortcut->blobs[i];
        shortcut->list[i] = &shortcut->deltas[i];
    }
    task->deltas = shortcut->list;
    task->n_deltas = route->n;
    if (trib_sealer_makes_deltas(&engine->sealer) && route->from_seed) {
        tributary__v1__initialisation__init(&shortcut->initialisation);
        shortcut->initialisation.seed = (uint64_t)engine->settings->seed;
        task->initialisation = &shortcut->initialisation;
    }
}

/* A client's task is made of what was current when it was first sent: it may ask for it again later. */
static void set_task(const struct trib_engine *engine, struct client *client)
{
    const struct trib_version *present = trib_release_present(engine->release);
    client->task.version = present->number;
    client->task.model_len = trib_blob_len(present->raw);
    memcpy(client->task.model_sha256, present->sha256, TRIB_SHA256_LEN);
    client->task.proximal_mu = engine->proximal.mu;
}

/* Everything but the model, the recipe and the chain, which the caller lends. */
static void fill_task(const struct trib_engine *engine, const struct client *client, uint64_t round,
                      Tributary__V1__Task *task)
{
    const struct trib_server_settings *s = engine->settings;
    bool may_be_late = s->max_staleness > 0 || s->buffer > 0;
    struct trib_rng rng =
        trib_rng_init((uint64_t)s->seed, "task", round, trib_hash64(client->node, strlen(client->node), 0));
    task->run = trib_message_lend(engine->run);
    task->round = round;
    task->model_version = client->task.version;
    task->plan_sha256 = trib_message_lend_bytes(engine->plan_sha256, TRIB_SHA256_LEN);
    if (!client->plan_sent) {
        task->graph = trib_message_lend_bytes(engine->plan.data, engine->plan.len);
    }
    task->feedback = trib_message_lend(engine->uplink.feedback);
    task->feedback_momentum = engine->uplink.momentum;
    task->folded_round = client->folded_round;
    task->seed = trib_rng_u64(&rng);
    task->deadline_seconds = may_be_late ? 0 : (uint32_t)((s->deadline_ms + 999) / 1000);
    task->sketch_positions = engine->relevance.k;
}

void trib_engine_send_task(struct trib_engine *engine, const struct trib_round_action *action)
{
    struct client *client = &engine->clients[action->client];
    struct shortcut shortcut;
    if (action->staleness == 0) {
        set_task(engine, client);
    }
    Tributary__V1__Recipe recipe;
    const struct trib_recipe values = recipe_of_round(engine->settings, action->round, client->task.proximal_mu);
    trib_recipe_to_message(&values, &recipe);
    Tributary__V1__Blob model;
    tributary__v1__blob__init(&model);
    model.sha256 = trib_message_lend_bytes(client->task.model_sha256, TRIB_SHA256_LEN);
    model.len = client->task.model_len;
    Tributary__V1__Task task;
    tributary__v1__task__init(&task);
    fill_task(engine, client, action->round, &task);
    task.model = &model;
    task.recipe = &recipe;
    char codec[TRIB_CHAIN_TEXT];
    trib_uplink_codec(&engine->uplink, action->round, codec);
    task.codec = trib_message_lend(codec);
    add_shortcut(engine, client, &shortcut, &task);
    trib_log(TRIB_LOG_DEBUG, "round", "task", TRIB_F_INT("round", action->round), TRIB_F_STR("node", client->node),
             TRIB_F_STR("reason", action->reason), TRIB_F_INT("model_version", task.model_version),
             TRIB_F_INT("model_bytes", model.len), TRIB_F_INT("deltas", task.n_deltas));
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK;
    message.task = &task;
    send_message(client, &message);
    client->plan_sent = client->peer;
}

/* Tell the engine itself that a client cannot upload, in a step of its own. */
static void post_refusal(struct trib_engine *engine, const struct trib_round_action *grant, const char *reason)
{
    struct event *event = trib_calloc(1, sizeof *event);
    if (!event) {
        return; /* its idle timeout will end its part */
    }
    event->kind = EVENT_UPLOAD_ENDED;
    event->client = grant->client;
    event->round = grant->round;
    event->attempt = grant->attempt;
    trib_str_copy(event->reason, sizeof event->reason, reason);
    trib_engine_post(engine, event);
}

static void send_decision(struct trib_engine *engine, const struct trib_round_action *action,
                          Tributary__V1__Decision__Kind kind, uint64_t offset)
{
    const struct client *client = &engine->clients[action->client];
    Tributary__V1__Decision decision;
    tributary__v1__decision__init(&decision);
    decision.round = action->round;
    decision.kind = kind;
    decision.reason = trib_message_lend(action->reason);
    decision.offset = offset;
    trib_log(TRIB_LOG_DEBUG, "round", kind == TRIBUTARY__V1__DECISION__KIND__UPLOAD ? "selected" : "skipped",
             TRIB_F_INT("round", action->round), TRIB_F_STR("node", client->node),
             TRIB_F_STR("reason", action->reason));
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION;
    message.decision = &decision;
    send_message(client, &message);
}

void trib_engine_send_skip(struct trib_engine *engine, const struct trib_round_action *action)
{
    trib_engine_forget_sketch(engine, action->client);
    trib_engine_note_outcome(engine, action->client, action->round, "skipped", action->reason);
    send_decision(engine, action, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
}

void trib_engine_send_grant(struct trib_engine *engine, const struct trib_round_action *action)
{
    const struct client *client = &engine->clients[action->client];
    struct trib_error error;
    uint64_t offset = 0;
    if (trib_uploads_grant(&engine->uploads, client->node, action->client, action->round, action->attempt,
                           client->offer_sha256, client->offer_len, &offset, &error) != TRIB_OK) {
        trib_log_error(TRIB_LOG_ERROR, "upload", "grant_failed", &error, TRIB_F_STR("node", client->node));
        post_refusal(engine, action, error.message);
        return;
    }
    send_decision(engine, action, TRIBUTARY__V1__DECISION__KIND__UPLOAD, offset);
}

void trib_engine_send_outcome(struct trib_engine *engine, const struct trib_round_action *action)
{
    Tributary__V1__Outcome outcome;
    tributary__v1__outcome__init(&outcome);
    /* One that offers again what was folded has missed its outcome. */
    bool folded = action->outcome == TRIB_OUTCOME_LATE && action->round > 0 &&
                  engine->clients[action->client].folded_round == action->round;
    outcome.round = action->round;
    outcome.kind = (Tributary__V1__Outcome__Kind)(folded ? TRIB_OUTCOME_FOLDED : action->outcome);
    outcome.reason = trib_message_lend(folded ? "" : action->reason);
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME;
    message.outcome = &outcome;
    send_message(&engine->clients[action->client], &message);
}

void trib_engine_goodbye_all(struct trib_engine *engine, const char *reason, bool final)
{
    for (size_t i = 0; i < engine->n_clients; i++) {
        struct client *client = &engine->clients[i];
        if (client->peer) {
            client->peer->ops->close(client->peer, reason, final, final ? 0 : 2);
            client->peer->ops->unref(client->peer);
            client->peer = NULL;
        }
    }
}
