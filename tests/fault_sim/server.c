/* The server's process: the engine on its disk, driven by the world's clock, killed and begun anew. */
#include "world.h"

#include "base/mem.h"

#include <string.h>

enum { RESTART_MS = 1000 };

bool host_is_dead(struct host *host)
{
    return host->disk && sim_disk_stopped(host->disk);
}

static void use_disk(const struct world *world)
{
    trib_disk_use(world->server.host.disk ? sim_disk_table(world->server.host.disk) : NULL);
}

/* ---- its clock ---- */

static int64_t now_ms(void *context)
{
    const struct world *world = context;
    return host_clock(world, &world->server.host);
}

void server_plan_wake(struct world *world)
{
    struct server *server = &world->server;
    int64_t wake_ms = server->engine ? trib_hub_wake_ms(server->engine) : INT64_MAX;
    if (wake_ms == INT64_MAX) {
        return;
    }
    wake_ms -= server->host.base_ms;
    wake_ms = wake_ms > world->now_ms ? wake_ms : world->now_ms;
    if (wake_ms < server->wake_ms) {
        server->wake_ms = wake_ms;
        world_push(world, wake_ms, &(struct event){.kind = EVENT_WAKE, .life = server->host.life});
    }
}

/* ---- its work ---- */

static void observed(void *context, const struct trib_fact *fact)
{
    const struct trib_round_record *record = fact->record;
    if (fact->kind != TRIB_FACT_ROUND_ENDED) {
        return;
    }
    struct world *world = context;
    if (!host_is_dead(&world->server.host)) {
        oracle_observed(world, record);
    }
}

void server_turn(struct world *world)
{
    struct server *server = &world->server;
    struct trib_error error;
    if (!server->engine) {
        return;
    }
    use_disk(world);
    trib_hub_turn(server->engine);
    oracle_turned(world); /* also of the last turn: what was said was said */
    if (host_is_dead(&server->host)) {
        server_kill(world, server->host.power);
    } else if (trib_hub_failure(server->engine, &error) != TRIB_OK) {
        world_note(world, SERVER, "had to end", error.status, 0);
        if (!server->host.forgets) {
            world_break(world, "the server ended itself: %s", error.message);
        }
        server->host.away_ms = RESTART_MS;
        server_kill(world, false);
    } else {
        server_plan_wake(world);
    }
}

/* ---- its life ---- */

static void open_engine(struct world *world)
{
    struct server *server = &world->server;
    struct trib_error error = {.message = ""};
    const struct trib_hub_setup setup = {.software = "fault-sim", .driver = &server->driver};
    enum trib_status status = trib_hub_new_with(&setup, &server->settings, false, &server->engine, &error);
    if (status == TRIB_OK) {
        return;
    }
    server->engine = NULL;
    world_note(world, SERVER, error.message, (uint64_t)status, 0);
    if (status == TRIB_CORRUPT && server->host.rotten) {
        world->refused = true;
        world->totals.refused++;
        return;
    }
    if (host_is_dead(&server->host) || (server->host.forgets && !world_faults_over(world))) {
        return;
    }
    world_break(world, "the server cannot begin: %s: %s", trib_status_name(status), error.message);
}

void server_start(struct world *world)
{
    struct server *server = &world->server;
    if (server->engine) {
        return;
    }
    if (!server->host.disk) {
        trib_free(server->settings.state_dir);
        server->settings.state_dir = NULL;
    }
    server->host.life++;
    server->host.base_ms = (int64_t)host_draw(world, SERVER, 100000000);
    server->wake_ms = INT64_MAX;
    server->driver = (struct trib_hub_driver){.now_ms = now_ms, .observe = observed, .context = world};
    world_note(world, SERVER, "starts", server->host.life, 0);
    if (!server->host.forgets && !server->host.rotten && host_draw(world, SERVER, 3) == 0) {
        records_check_whole(world);
    }
    use_disk(world);
    open_engine(world);
    if (host_is_dead(&server->host)) {
        server_kill(world, server->host.power);
    } else if (server->engine) {
        oracle_restarted(world);
        server_turn(world);
    } else {
        world_push(world, world->now_ms + RESTART_MS, &(struct event){.kind = EVENT_START, .who = SERVER});
    }
}

/* Without a disk there is nothing that it could begin with again. */
void server_kill(struct world *world, bool power)
{
    struct server *server = &world->server;
    if (!server->host.disk || (!server->engine && !host_is_dead(&server->host))) {
        return;
    }
    world_note(world, SERVER, power ? "loses power" : "is killed", server->host.life, 0);
    use_disk(world);
    if (power) {
        sim_disk_crash(server->host.disk);
    } else {
        sim_disk_kill(server->host.disk);
    }
    server->host.life++;
    net_server_gone(world, power);
    transfer_server_gone(world);
    trib_hub_free(server->engine);
    server->engine = NULL;
    sim_disk_start(server->host.disk);
    world->totals.restarts++;
    world_push(world, world->now_ms + 1 + server->host.away_ms, &(struct event){.kind = EVENT_START, .who = SERVER});
}

void server_free(struct world *world)
{
    use_disk(world);
    transfer_server_gone(world);
    trib_hub_free(world->server.engine);
    world->server.engine = NULL;
    trib_disk_use(NULL);
}

/* ---- what arrives ---- */

static enum trib_status greet(struct world *world, struct conn *conn, const Tributary__V1__Hello *hello)
{
    const char *node = world->clients[conn->who].node;
    if (hello->protocol < TRIB_PROTOCOL_VERSION || strcmp(hello->node, node) != 0) {
        return TRIB_PROTOCOL;
    }
    conn->greeted = true;
    return trib_hub_connect(world->server.engine, &conn->peer, node, "simulated", hello);
}

static enum trib_status take(struct world *world, struct conn *conn, Tributary__V1__ClientMessage *message)
{
    bool is_hello = message->kind_case == TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    if (conn->greeted && !is_hello) {
        if (message->kind_case == TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER) {
            oracle_offered(world, conn->who, message->offer);
        }
        return trib_hub_message(world->server.engine, &conn->peer, message);
    }
    enum trib_status status = is_hello && !conn->greeted ? greet(world, conn, message->hello) : TRIB_PROTOCOL;
    trib_message_free(&message->base);
    return status;
}

void server_take(struct world *world, struct conn *conn, const struct trib_buf *bytes)
{
    ProtobufCMessage *message = NULL;
    struct trib_error error;
    if (!world->server.engine || conn->server_life != world->server.host.life) {
        return;
    }
    use_disk(world);
    enum trib_status status =
        trib_message_unpack(&tributary__v1__client_message__descriptor, bytes->data, bytes->len, &message, &error);
    if (status == TRIB_OK) {
        Tributary__V1__ClientMessage *taken = (Tributary__V1__ClientMessage *)(void *)message;
        world_note(world, conn->who, "is heard", (uint64_t)taken->kind_case, 0);
        status = take(world, conn, taken);
    }
    if (status != TRIB_OK) {
        world_note(world, conn->who, "breaks the protocol", (uint64_t)status, 0);
        conn->refs++;
        world_push(world, world->now_ms + 1,
                   &(struct event){.kind = EVENT_SERVER_LOST, .who = conn->who, .conn = conn});
    }
    server_turn(world);
}
