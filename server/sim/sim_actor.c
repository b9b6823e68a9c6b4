/* A simulated client: the real session, driven by virtual time; its process comes, goes and is killed. */
#include "sim_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { RECONNECT_MIN_MS = 1000, RECONNECT_MAX_MS = 60000 };

/* ---- its process ---- */

static void report(const struct sim_actor *actor, const struct trib_session_action *action)
{
    struct trib_field fields[TRIB_SESSION_MAX_FIELDS + 1];
    /* What is news of one client is a detail of a thousand. */
    enum trib_log_level level = action->level == TRIB_LOG_INFO ? TRIB_LOG_DEBUG : action->level;
    if (trib_log_enabled(level)) {
        fields[0] = TRIB_F_STR("node", actor->node);
        memcpy(fields + 1, action->fields, (size_t)action->n_fields * sizeof fields[0]);
        trib_log_fields(level, "client", action->event, fields, action->n_fields + 1);
    }
}

static void act(struct sim_actor *actor, struct trib_session_action *action)
{
    switch (action->kind) {
    case TRIB_SESSION_CONNECT:
        sim_peer_connect(actor, action->job);
        break;
    case TRIB_SESSION_DISCONNECT:
        sim_peer_hang_up(actor);
        break;
    case TRIB_SESSION_SEND:
        sim_peer_send(actor, &action->bytes);
        break;
    case TRIB_SESSION_DOWNLOAD:
        sim_download(actor, action);
        break;
    case TRIB_SESSION_TRAIN:
        sim_train(actor, action);
        break;
    case TRIB_SESSION_UPLOAD:
        sim_upload(actor, action);
        break;
    case TRIB_SESSION_CANCEL_TRANSFER:
        sim_transfer_cancel(actor, true);
        break;
    case TRIB_SESSION_CANCEL_WORK:
        sim_transfer_cancel(actor, false);
        sim_train_cancel(actor, true);
        break;
    case TRIB_SESSION_RELEASE: /* nothing is kept for one client alone */
        break;
    case TRIB_SESSION_FORGET_UPDATE: /* and no process after this one */
        break;
    case TRIB_SESSION_DROP_MODEL:
        actor->held = (struct trib_held_model){0};
        break;
    case TRIB_SESSION_SETTLE:
        sim_settle(actor, action->task, action->folded);
        break;
    case TRIB_SESSION_REPORT:
        report(actor, action);
        break;
    case TRIB_SESSION_EXIT:
        actor->ended = true;
        break;
    }
}

/* Its session's next TICK. An earlier one that is in the heap already does as well: it looks again. */
static void plan_tick(struct sim_actor *actor)
{
    int64_t wake_ms = trib_session_wake_ms(actor->session);
    if (wake_ms > INT64_MAX / 1000 || wake_ms * 1000 >= actor->tick_us) {
        return;
    }
    const struct sim_event event = {.kind = SIM_EVENT_TICK, .actor = actor->number, .life = actor->life};
    actor->tick_us = wake_ms * 1000 > actor->sim->now_us ? wake_ms * 1000 : actor->sim->now_us;
    sim_schedule(actor->sim, actor->tick_us, &event);
}

/* The end of its process, as if it were killed. */
static void kill_process(struct sim_actor *actor)
{
    if (!actor->session) {
        return;
    }
    sim_transfer_cancel(actor, false);
    sim_train_cancel(actor, false);
    sim_peer_hang_up(actor);
    trib_session_free(actor->session);
    actor->session = NULL;
    actor->life++;
}

void sim_actor_step(struct sim_actor *actor, struct trib_session_event *event)
{
    struct trib_session_actions actions;
    actions.n = 0;
    event->now_ms = actor->sim->now_us / 1000;
    trib_session_step(actor->session, event, &actions);
    for (size_t i = 0; i < actions.n; i++) {
        act(actor, &actions.list[i]);
    }
    trib_session_actions_clear(&actions);
    if (actor->ended) {
        kill_process(actor);
    } else {
        plan_tick(actor);
    }
}

/* Start its process, if it is there and none runs. */
static void start(struct sim_actor *actor)
{
    struct sim *sim = actor->sim;
    if (!actor->present || actor->dropped_out || actor->session || actor->ended) {
        return;
    }
    const struct trib_session_config config = {.node = actor->node,
                                               .software = "tributary-sim",
                                               .threads = 1,
                                               .reconnect_min_ms = RECONNECT_MIN_MS,
                                               .reconnect_max_ms = RECONNECT_MAX_MS,
                                               .seed = trib_hash64(actor->node, strlen(actor->node), sim->seed),
                                               .held = actor->held};
    actor->session = trib_session_new(&config, sim->now_us / 1000);
    if (!actor->session) {
        sim_fail(sim, TRIB_NO_MEMORY);
        return;
    }
    actor->tick_us = INT64_MAX;
    struct trib_session_event data = {.kind = TRIB_SESSION_DATA, .is.examples = actor->n};
    sim_actor_step(actor, &data); /* its first tick, which connects, is planned by this */
}

/* ---- coming and going ---- */

static void plan_period(struct sim_actor *actor)
{
    struct sim *sim = actor->sim;
    const struct trib_sim_behaviour *behaviour = &sim->settings->behaviour;
    struct trib_rng rng = trib_rng_init(sim->seed, "availability", actor->number, ++actor->periods);
    double mean = actor->present ? behaviour->on_seconds : behaviour->off_seconds;
    const struct trib_distribution length = {.kind = TRIB_DISTRIBUTION_EXPONENTIAL, .a = mean};
    const struct sim_event event = {.kind = actor->present ? SIM_EVENT_GO : SIM_EVENT_COME, .actor = actor->number};
    sim_schedule(sim, sim->now_us + sim_us(trib_distribution_draw(&length, &rng)), &event);
}

static void drop_out(struct sim_actor *actor)
{
    struct sim *sim = actor->sim;
    struct trib_rng rng = trib_rng_init(sim->seed, "away", actor->number, ++actor->dropouts);
    const struct sim_event event = {.kind = SIM_EVENT_RETURN, .actor = actor->number};
    actor->dropped_out = true;
    sim_schedule(sim, sim->now_us + sim_us(trib_distribution_draw(&sim->settings->behaviour.away, &rng)), &event);
    kill_process(actor);
}

/* What happens whether its process runs or not. False: it is another kind. */
static bool handle_presence(struct sim_actor *actor, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_EVENT_COME:
        actor->present = true;
        plan_period(actor);
        start(actor);
        return true;
    case SIM_EVENT_GO:
        actor->present = false;
        plan_period(actor);
        kill_process(actor);
        return true;
    case SIM_EVENT_RETURN:
        actor->dropped_out = false;
        start(actor);
        return true;
    case SIM_EVENT_TO_SERVER:
        return true;
    case SIM_EVENT_PEER_GONE:
        sim_peer_notice(actor->sim, event);
        return true;
    default:
        return false;
    }
}

/* ---- events of a process ---- */

static void let_go(struct sim_actor *actor)
{
    trib_blob_unref(actor->model);
    actor->model = NULL;
}

/* A task brings its model along; an outcome ends the need for it. */
static void keep_model(struct sim_actor *actor, const Tributary__V1__ServerMessage *message, struct sim_event *event)
{
    bool task = message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK && message->task->model &&
                message->task->model->sha256.len == sizeof actor->model_sha256;
    if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME) {
        let_go(actor);
    } else if (task && event->model) {
        let_go(actor);
        actor->model = event->model;
        event->model = NULL;
        memcpy(actor->model_sha256, message->task->model->sha256.data, sizeof actor->model_sha256);
    }
}

static void take_message(struct sim_actor *actor, struct sim_event *event)
{
    struct trib_session_event message = {.kind = TRIB_SESSION_MESSAGE, .job = event->peer->connection};
    struct trib_error error;
    ProtobufCMessage *unpacked = NULL;
    if (actor->peer != event->peer) {
        return;
    }
    if (trib_message_unpack(&tributary__v1__server_message__descriptor, event->bytes.data, event->bytes.len, &unpacked,
                            &error) != TRIB_OK) {
        sim_fail(actor->sim, error.status);
        return;
    }
    message.is.message = (Tributary__V1__ServerMessage *)(void *)unpacked;
    keep_model(actor, message.is.message, event);
    bool skipped = message.is.message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION &&
                   message.is.message->decision->kind == TRIBUTARY__V1__DECISION__KIND__SKIP;
    sim_actor_step(actor, &message);
    if (skipped) {
        sim_update_unwanted(actor);
    }
    trib_message_free(unpacked);
}

static void break_link(struct sim_actor *actor, const struct sim_event *event)
{
    struct trib_session_event broken = {.kind = TRIB_SESSION_DISCONNECTED, .job = event->job, .status = event->status};
    (void)trib_str_copy(broken.reason, sizeof broken.reason, trib_status_text(event->status));
    if (actor->peer && actor->peer->connection == event->job) {
        sim_peer_hang_up(actor);
    }
    sim_actor_step(actor, &broken);
}

/* The events that a session takes as they are. */
static void pass_on(struct sim_actor *actor, const struct sim_event *event)
{
    struct trib_session_event passed = {.job = event->job, .status = event->status};
    (void)trib_str_copy(passed.reason, sizeof passed.reason, event->reason ? event->reason : "");
    switch (event->kind) {
    case SIM_EVENT_CONNECTED:
        passed.kind = TRIB_SESSION_CONNECTED;
        break;
    case SIM_EVENT_DOWNLOADED:
        passed.kind = TRIB_SESSION_DOWNLOADED;
        passed.is.received = event->received;
        break;
    case SIM_EVENT_UPLOADED:
        passed.kind = TRIB_SESSION_UPLOADED;
        passed.is.receipt = (struct trib_session_receipt){.accepted = true, .received = event->received};
        break;
    default:
        passed.kind = TRIB_SESSION_TICK;
        actor->tick_us = INT64_MAX;
        if (trib_session_wake_ms(actor->session) > actor->sim->now_us / 1000) {
            plan_tick(actor);
            return;
        }
        break;
    }
    sim_actor_step(actor, &passed);
}

void sim_actor_handle(struct sim *sim, struct sim_event *event)
{
    struct sim_actor *actor = &sim->actors[event->actor];
    if (handle_presence(actor, event)) {
        if (event->kind == SIM_EVENT_TO_SERVER) {
            sim_peer_take(sim, event);
        }
        return;
    }
    if (!actor->session || event->life != actor->life) {
        return;
    }
    switch (event->kind) {
    case SIM_EVENT_DROP_OUT:
        drop_out(actor);
        break;
    case SIM_EVENT_TO_CLIENT:
        take_message(actor, event);
        break;
    case SIM_EVENT_LINK_BROKEN:
        break_link(actor, event);
        break;
    case SIM_EVENT_MOVED:
        sim_transfer_moved(actor, event);
        break;
    case SIM_EVENT_TRAINED:
        sim_trained(actor, event);
        break;
    default:
        pass_on(actor, event);
        break;
    }
}

/* ---- all of them ---- */

static double draw(const struct sim_actor *actor, const char *what, const struct trib_distribution *distribution,
                   double least)
{
    struct trib_rng rng = trib_rng_init(actor->sim->seed, what, actor->number, 0);
    double value = trib_distribution_draw(distribution, &rng);
    return value > least ? value : least;
}

static void init_actor(struct sim *sim, struct sim_actor *actor, uint32_t number)
{
    const struct trib_sim_behaviour *behaviour = &sim->settings->behaviour;
    const size_t *offsets = sim->partition.offsets;
    *actor = (struct sim_actor){.sim = sim, .number = number, .present = true, .tick_us = INT64_MAX};
    snprintf(actor->node, sizeof actor->node, "client-%06u", number);
    actor->indices = sim->partition.indices + offsets[number];
    actor->n = offsets[number + 1] - offsets[number];
    sim->largest = actor->n > sim->largest ? (uint32_t)actor->n : sim->largest;
    actor->speed = draw(actor, "speed", &behaviour->speed, 1e-6);
    actor->upload = draw(actor, "upload", &behaviour->upload, 1e-3);
    actor->download = draw(actor, "download", &behaviour->download, 1e-3);
    actor->latency_us = sim_us(draw(actor, "latency", &behaviour->latency, 0));
    if (behaviour->on_seconds > 0) { /* as if it had come and gone for ever */
        struct trib_rng rng = trib_rng_init(sim->seed, "availability", number, 0);
        double share = behaviour->on_seconds / (behaviour->on_seconds + behaviour->off_seconds);
        actor->present = trib_rng_uniform64(&rng) < share;
        plan_period(actor);
    }
}

enum trib_status sim_actors_init(struct sim *sim, struct trib_error *error)
{
    size_t n = sim->partition.n_clients;
    sim->actors = trib_calloc(n, sizeof *sim->actors);
    if (!sim->actors) {
        return trib_fail_no_memory(error);
    }
    for (; sim->n < n; sim->n++) {
        init_actor(sim, &sim->actors[sim->n], (uint32_t)sim->n);
        if (sim->actors[sim->n].n == 0) {
            return trib_sim_settings_fail(sim->settings, "data.partition", error,
                                          "\"%.60s\" leaves client %zu of %zu without an example",
                                          sim->settings->data_partition, sim->n, n);
        }
    }
    for (size_t i = 0; i < n; i++) {
        start(&sim->actors[i]);
    }
    return TRIB_OK;
}

void sim_actors_clear(struct sim *sim)
{
    for (size_t i = 0; i < sim->n; i++) {
        kill_process(&sim->actors[i]);
        trib_blob_unref(sim->actors[i].model);
    }
    trib_free(sim->actors);
    sim->actors = NULL;
    sim->n = 0;
}
