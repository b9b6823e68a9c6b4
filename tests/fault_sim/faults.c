/* A fault begins. Those that last are times until which a host is so and so; those that hurt a process end it. */
#include "world.h"

#include <errno.h>

static void stay(int64_t *until_ms, const struct world *world, const struct fault *fault)
{
    int64_t over_ms = world->now_ms + fault->length_ms;
    *until_ms = over_ms > *until_ms ? over_ms : *until_ms;
}

static void break_connection(struct world *world, uint32_t who, bool half)
{
    struct client *client = &world->clients[who];
    struct conn *conn = client->conn;
    if (!conn) {
        return;
    }
    const struct event client_side = {.kind = EVENT_CLIENT_LOST, .who = who, .conn = conn};
    const struct event server_side = {.kind = EVENT_SERVER_LOST, .who = who, .conn = conn};
    bool client_knows = !half || host_draw(world, who, 2), server_knows = !half || !client_knows;
    conn->refs += 2;
    world_push(world, world->now_ms + (client_knows ? 1 : KEEPALIVE_MS), &client_side);
    world_push(world, world->now_ms + (server_knows ? 1 : KEEPALIVE_MS), &server_side);
    conn->silent = true;
    transfer_break(world, client);
}

/* No stream doubles messages, or changes their order: that nothing worse comes of it than that a client begins anew is
 * enough. Where the last bits are to be the same, messages are lost, no more. */
static void be_unruly(const struct world *world, struct host *host, const struct fault *fault)
{
    bool lossless = world->plan.with & WITH_ALL_CLIENTS;
    host->drop = fault->a % 30;
    host->twice = lossless ? 0 : fault->a / 100 % 40;
    host->shuffle = lossless ? 0 : fault->a / 10000 % 40;
    host->forgets = host->forgets || !lossless;
}

static void end_process(struct world *world, const struct fault *fault, bool power)
{
    world_host(world, fault->who)->away_ms = fault->length_ms;
    if (fault->who == SERVER) {
        server_kill(world, power);
    } else {
        client_kill(world, &world->clients[fault->who], power);
    }
}

/* What its disk does: it works again when the fault is over. */
static void hurt_disk(struct world *world, const struct fault *fault)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS};
    struct host *host = world_host(world, fault->who);
    if (!host->disk) {
        return;
    }
    host->forgets = true;
    if (fault->kind == FAULT_DISK_FULL) {
        sim_disk_capacity(host->disk, sim_disk_counts(host->disk).held + fault->a % 4000 + 1);
    } else {
        sim_disk_fail(host->disk, fault->a % 60, errors[fault->b % 4], fault->b / 4 % 2 != 0);
    }
    world_push(world, world->now_ms + fault->length_ms, &(struct event){.kind = EVENT_HEALED, .who = fault->who});
}

void fault_heal(struct world *world, uint32_t who)
{
    struct host *host = world_host(world, who);
    sim_disk_capacity(host->disk, 0);
    sim_disk_fail(host->disk, 0, 0, false);
    world_note(world, who, "disk is well again", 0, 0);
}

static void strike(struct world *world, const struct fault *fault)
{
    struct host *host = world_host(world, fault->who);
    switch (fault->kind) {
    case FAULT_BREAK:
    case FAULT_HALF_OPEN:
        break_connection(world, fault->who, fault->kind == FAULT_HALF_OPEN);
        break;
    case FAULT_CUT:
        stay(&host->cut_until_ms, world, fault);
        break;
    case FAULT_UNRULY:
        stay(&host->unruly_until_ms, world, fault);
        be_unruly(world, host, fault);
        break;
    case FAULT_SLOW:
        stay(&host->slow_until_ms, world, fault);
        host->slow = 2 + fault->a % 30;
        break;
    case FAULT_STALL:
        stay(&host->stalled_until_ms, world, fault);
        break;
    case FAULT_JUMP:
        host->base_ms += (int64_t)(fault->a % (fault->b % 3 == 0 ? 4000000 : 30000));
        break;
    case FAULT_TRANSFER:
        transfer_break(world, &world->clients[fault->who]);
        break;
    case FAULT_ADVERSARY:
        adversary_begin(world, &world->clients[fault->who], world->now_ms + fault->length_ms);
        break;
    case FAULT_KILL:
    case FAULT_POWER:
        end_process(world, fault, fault->kind == FAULT_POWER);
        break;
    case FAULT_ROT:
        end_process(world, fault, false);
        host->rotten = (!world->server.engine && records_rot(world)) || host->rotten;
        break;
    case FAULT_DISK_STOP:
        if (host->disk) {
            host->power = fault->b % 2 != 0;
            host->away_ms = fault->length_ms;
            sim_disk_stop_after(host->disk, fault->a % (fault->b / 2 % 2 ? 12 : 150));
        }
        break;
    case FAULT_DISK_FULL:
    case FAULT_DISK_FAIL:
        hurt_disk(world, fault);
        break;
    case FAULT_KIND_COUNT:
        break;
    }
}

void fault_begin(struct world *world, const struct fault *fault)
{
    world->totals.faults[fault->kind]++;
    world_note(world, fault->who, fault_name(fault->kind), (uint64_t)fault->length_ms, fault->a);
    strike(world, fault);
    if (fault->kind == FAULT_JUMP && fault->who == SERVER) {
        server_plan_wake(world);
    } else if (fault->kind == FAULT_JUMP) {
        client_plan_tick(world, &world->clients[fault->who]);
    }
}
