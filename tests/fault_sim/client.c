/* A client's process: the real session, with the real files of its worker, on a disk of its own. */
#include "world.h"

#include "client/task_store.h"

#include <string.h>

enum { RECONNECT_MIN_MS = 500, RECONNECT_MAX_MS = 20000 };
static const char state_dir[] = "/state";

static void use_disk(const struct client *client)
{
    trib_disk_use(client->host.disk ? sim_disk_table(client->host.disk) : NULL);
}

const char *client_dir(const struct client *client)
{
    return client->host.disk ? state_dir : NULL;
}

/* ---- what its session wants ---- */

static void exits(struct world *world, struct client *client, const struct trib_session_action *action)
{
    client->ended = true;
    world_note(world, client->number, "goes home", (uint64_t)action->status, 0);
    if (action->status != TRIB_OK) {
        world_break(world, "%s gives up: %s", client->node, action->text);
    }
}

static void report(const struct world *world, const struct client *client, const struct trib_session_action *action)
{
    struct trib_field fields[TRIB_SESSION_MAX_FIELDS + 1];
    if (world->trace && trib_log_enabled(action->level)) {
        fields[0] = TRIB_F_STR("node", client->node);
        memcpy(fields + 1, action->fields, (size_t)action->n_fields * sizeof fields[0]);
        trib_log_fields(action->level, "client", action->event, fields, action->n_fields + 1);
    }
}

static void act(struct world *world, struct client *client, struct trib_session_action *action)
{
    switch (action->kind) {
    case TRIB_SESSION_CONNECT:
        net_connect(world, client, action->job);
        break;
    case TRIB_SESSION_DISCONNECT:
        net_hang_up(world, client, false);
        break;
    case TRIB_SESSION_SEND:
        if (client->conn) {
            net_send(client->conn, true, &action->bytes);
        }
        break;
    case TRIB_SESSION_DOWNLOAD:
        transfer_download(world, client, action);
        break;
    case TRIB_SESSION_TRAIN:
        training_begin(world, client, action);
        break;
    case TRIB_SESSION_UPLOAD:
        transfer_upload(world, client, action);
        break;
    case TRIB_SESSION_CANCEL_TRANSFER:
        transfer_cancel(world, client, true);
        break;
    case TRIB_SESSION_CANCEL_WORK:
        transfer_cancel(world, client, false);
        transfer_drop(client, false);
        training_cancel(world, client, true);
        break;
    case TRIB_SESSION_RELEASE:
        break;
    case TRIB_SESSION_DROP_MODEL:
        trib_model_cache_drop(&client->cache);
        break;
    case TRIB_SESSION_FORGET_UPDATE:
        trib_task_store_forget(client_dir(client));
        break;
    case TRIB_SESSION_SETTLE:
        trib_feedback_store_settle(client->feedback, action->task->run, action->task->round, action->folded);
        break;
    case TRIB_SESSION_REPORT:
        report(world, client, action);
        break;
    case TRIB_SESSION_EXIT:
        exits(world, client, action);
        break;
    }
}

/* What it does once its disk has stopped does not happen. */
static void act_all(struct world *world, struct client *client, struct trib_session_actions *actions)
{
    for (size_t i = 0; i < actions->n && !host_is_dead(&client->host); i++) {
        act(world, client, &actions->list[i]);
    }
    trib_session_actions_clear(actions);
}

void client_step(struct world *world, struct client *client, struct trib_session_event *event)
{
    struct trib_session_actions actions;
    if (!client->session) {
        return;
    }
    actions.n = 0;
    event->now_ms = host_clock(world, &client->host);
    use_disk(client);
    if (!host_is_dead(&client->host)) {
        trib_session_step(client->session, event, &actions);
        act_all(world, client, &actions);
    }
    if (host_is_dead(&client->host)) {
        client->ended = false;
        client_kill(world, client, client->host.power);
    } else if (client->ended) {
        client_free(world, client);
    } else {
        client_plan_tick(world, client);
    }
}

/* ---- time ---- */

void client_plan_tick(struct world *world, struct client *client)
{
    int64_t wake_ms = client->session ? trib_session_wake_ms(client->session) : INT64_MAX;
    if (wake_ms == INT64_MAX) {
        return;
    }
    wake_ms -= client->host.base_ms;
    wake_ms = wake_ms > world->now_ms ? wake_ms : world->now_ms;
    if (wake_ms < client->tick_ms) {
        client->tick_ms = wake_ms;
        world_push(world, wake_ms,
                   &(struct event){.kind = EVENT_TICK, .who = client->number, .life = client->host.life});
    }
}

void client_tick(struct world *world, struct client *client)
{
    client->tick_ms = INT64_MAX;
    if (!client->session) {
        return;
    }
    if (trib_session_wake_ms(client->session) > host_clock(world, &client->host)) {
        client_plan_tick(world, client);
        return;
    }
    struct trib_session_event tick = {.kind = TRIB_SESSION_TICK};
    client_step(world, client, &tick);
}

/* ---- messages ---- */

void client_take(struct world *world, struct client *client, struct conn *conn, const struct trib_buf *bytes)
{
    struct trib_session_event event = {.kind = TRIB_SESSION_MESSAGE, .job = conn->job};
    struct trib_error error;
    ProtobufCMessage *message = NULL;
    if (trib_message_unpack(&tributary__v1__server_message__descriptor, bytes->data, bytes->len, &message, &error) !=
        TRIB_OK) {
        world_break(world, "%s cannot read what the server says: %s", client->node, error.message);
        return;
    }
    event.is.message = (Tributary__V1__ServerMessage *)(void *)message;
    world_note(world, client->number, "is told", (uint64_t)event.is.message->kind_case, 0);
    if (client->number >= world->plan.n_clients) {
        adversary_take(world, client, event.is.message);
    } else {
        client_step(world, client, &event);
    }
    trib_message_free(message);
}

/* ---- its life ---- */

static bool open_files(struct world *world, struct client *client)
{
    struct trib_error error;
    const char *dir = client_dir(client);
    client->cache = (struct trib_model_cache){0};
    if (dir && trib_model_cache_open(&client->cache, dir, &error) != TRIB_OK) {
        world_note(world, client->number, error.message, 0, 0);
    }
    if (trib_feedback_store_new(dir, &client->feedback, &error) != TRIB_OK) {
        world_break(world, "%s: %s", client->node, error.message);
        return false;
    }
    return true;
}

static void close_files(struct client *client)
{
    trib_feedback_store_free(client->feedback);
    client->feedback = NULL;
    trib_model_cache_close(&client->cache);
}

void client_start(struct world *world, struct client *client)
{
    struct host *host = &client->host;
    if (client->session || client->ended) {
        return;
    }
    host->life++;
    host->base_ms = (int64_t)host_draw(world, client->number, 100000000);
    client->tick_ms = INT64_MAX;
    world_note(world, client->number, "starts", host->life, 0);
    use_disk(client);
    struct trib_held_model held;
    struct trib_client_finished finished;
    trib_model_cache_peek(client_dir(client), &held);
    bool has_finished = trib_task_store_load(client_dir(client), &finished);
    world_note(world, client->number, "knows from before", has_finished, held.version);
    const struct trib_session_config config = {.node = client->node,
                                               .software = "fault-sim",
                                               .threads = 1,
                                               .reconnect_min_ms = RECONNECT_MIN_MS,
                                               .reconnect_max_ms = RECONNECT_MAX_MS,
                                               .seed = host_draw(world, client->number, UINT64_MAX),
                                               .held = held,
                                               .finished = has_finished ? &finished : NULL};
    client->session = trib_session_new(&config, host_clock(world, host));
    if (has_finished) {
        trib_client_update_clear(&finished.update);
    }
    if (!client->session || !open_files(world, client)) {
        world_break(world, "%s cannot begin", client->node);
        return;
    }
    struct trib_session_event data = {.kind = TRIB_SESSION_DATA, .is.examples = client->examples};
    client_step(world, client, &data);
}

static void end_process(struct world *world, struct client *client, bool lost)
{
    transfer_cancel(world, client, false);
    transfer_drop(client, true);
    training_cancel(world, client, false);
    net_hang_up(world, client, lost);
    trib_session_free(client->session);
    client->session = NULL;
    close_files(client);
    client->host.life++;
}

void client_kill(struct world *world, struct client *client, bool power)
{
    struct host *host = &client->host;
    if (!client->session || client->ended) {
        return;
    }
    world_note(world, client->number, power ? "loses power" : "is killed", host->life, 0);
    use_disk(client);
    if (host->disk && power) {
        sim_disk_crash(host->disk);
    } else if (host->disk) {
        sim_disk_kill(host->disk);
    }
    end_process(world, client, power);
    if (host->disk) {
        sim_disk_start(host->disk);
    } else {
        host->forgets = true;
    }
    world->totals.restarts++;
    world_push(world, world->now_ms + 1 + host->away_ms, &(struct event){.kind = EVENT_START, .who = client->number});
}

void client_free(struct world *world, struct client *client)
{
    use_disk(client);
    if (client->session) {
        end_process(world, client, false);
    }
    net_hang_up(world, client, false);
    transfer_cancel(world, client, false);
    trib_blob_unref(client->adversary.frame);
    trib_blob_unref(client->adversary.offered);
    client->adversary = (struct adversary){.active = false};
}
