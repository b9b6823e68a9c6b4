/* The world's clock: what is due, in its order, until every client has gone home or a rule is broken. */
#include "world.h"
#include "sim_disk_vfs.h"

#include "base/buf.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Clocks of 0 mean "not yet" to engine and sessions. */
enum { BEGIN_MS = 1000, MOST_STEPS = 400000, MOST_IDLE = 3000 };

/* ---- events ---- */

static void event_clear(struct event *event)
{
    if (event->conn) {
        conn_unref(event->conn);
    }
    trib_blob_unref(event->blob);
    trib_buf_clear(&event->bytes);
}

void world_push(struct world *world, int64_t at_ms, const struct event *event)
{
    struct event *made = trib_malloc(sizeof *made);
    int64_t due_ms = at_ms > world->now_ms ? at_ms : world->now_ms;
    if (made) {
        *made = *event;
    }
    if (!made || trib_event_heap_push(&world->heap, due_ms, made, NULL) != TRIB_OK) {
        world_break(world, "the simulation is out of memory");
        trib_free(made);
    }
}

void world_put_off(struct world *world, int64_t until_ms, struct event *event)
{
    struct event *later = trib_malloc(sizeof *later);
    if (!later || trib_event_heap_push_at(&world->heap, until_ms, event->order, later) != TRIB_OK) {
        world_break(world, "the simulation is out of memory");
        trib_free(later);
        return;
    }
    *later = *event;
    event->conn = NULL;
    event->blob = NULL;
    event->bytes = (struct trib_buf){0};
}

void world_break(struct world *world, const char *format, ...)
{
    if (world->broken[0]) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->broken, sizeof world->broken, format, arguments);
    va_end(arguments);
    if (world->trace) {
        printf("%9" PRId64 " ms  BROKEN: %s\n", world->now_ms, world->broken);
    }
}

void world_note(struct world *world, uint32_t who, const char *what, uint64_t a, uint64_t b)
{
    uint8_t bytes[32];
    trib_store_u64(bytes, (uint64_t)world->now_ms);
    trib_store_u64(bytes + 8, (uint64_t)who << 32 | (uint64_t)strlen(what));
    trib_store_u64(bytes + 16, a);
    trib_store_u64(bytes + 24, b);
    world->digest = trib_hash64(bytes, sizeof bytes, world->digest);
    world->digest = trib_hash64(what, strlen(what), world->digest);
    if (world->trace) {
        char name[16];
        printf("%9" PRId64 " ms  %-9s %-24s %" PRIu64 " %" PRIu64 "\n", world->now_ms, host_name(who, name), what, a,
               b);
    }
}

uint64_t host_draw(struct world *world, uint32_t who, uint64_t n)
{
    struct host *host = world_host(world, who);
    struct trib_rng rng = trib_rng_init(world->seed, "host", who, host->draws++);
    return trib_rng_below(&rng, n);
}

struct host *world_host(struct world *world, uint32_t who)
{
    return who == SERVER ? &world->server.host : &world->clients[who].host;
}

int64_t host_clock(const struct world *world, const struct host *host)
{
    return world->now_ms + host->base_ms;
}

bool world_faults_over(const struct world *world)
{
    return world->now_ms > world->schedule.end_ms;
}

/* ---- one step ---- */

/* The host at which an event happens; HOSTS: at none. */
static uint32_t place_of(const struct event *event)
{
    switch (event->kind) {
    case EVENT_WAKE:
    case EVENT_TO_SERVER:
    case EVENT_SERVER_LOST:
    case EVENT_DOWN_REQUEST:
    case EVENT_UP_CHUNK:
    case EVENT_UP_LOST:
        return SERVER;
    case EVENT_FAULT:
    case EVENT_HEALED:
    case EVENT_START:
        return HOSTS;
    default:
        return event->who;
    }
}

static void handle(struct world *world, struct event *event)
{
    switch (event->kind) {
    case EVENT_FAULT:
        fault_begin(world, &world->schedule.list[event->a]);
        break;
    case EVENT_HEALED:
        fault_heal(world, event->who);
        break;
    case EVENT_START:
        if (event->who == SERVER) {
            server_start(world);
        } else {
            client_start(world, &world->clients[event->who]);
        }
        break;
    case EVENT_TICK:
        client_tick(world, &world->clients[event->who]);
        break;
    case EVENT_WAKE:
        if (event->life == world->server.host.life) {
            world->server.wake_ms = INT64_MAX;
            server_turn(world);
        }
        break;
    case EVENT_TRAINED:
        training_end(world, &world->clients[event->who], event);
        break;
    case EVENT_MISCHIEF:
        adversary_event(world, &world->clients[event->who]);
        break;
    case EVENT_CONNECTED:
    case EVENT_REFUSED:
    case EVENT_TO_CLIENT:
    case EVENT_TO_SERVER:
    case EVENT_CLIENT_LOST:
    case EVENT_SERVER_LOST:
        net_event(world, event);
        break;
    case EVENT_DOWN_REQUEST:
    case EVENT_DOWN_CHUNK:
    case EVENT_UP_CHUNK:
    case EVENT_UP_LOST:
    case EVENT_TRANSFERRED:
        transfer_event(world, event);
        break;
    }
}

/* An event at a host that stands still waits. */
static bool waits(struct world *world, struct event *event)
{
    uint32_t place = place_of(event);
    int64_t until_ms = place < HOSTS ? world_host(world, place)->stalled_until_ms : 0;
    if (until_ms <= world->now_ms) {
        return false;
    }
    world_put_off(world, until_ms, event);
    return true;
}

static bool all_home(const struct world *world)
{
    for (uint32_t i = 0; i < world->plan.n_clients; i++) {
        if (!world->clients[i].ended) {
            return false;
        }
    }
    return true;
}

/* Once faults are over, everything has to be over within this. */
static int64_t patience_ms(const struct world *world)
{
    const struct plan *plan = &world->plan;
    return (int64_t)(plan->rounds + 4) * 30 * plan->turn_ms + 3600000;
}

static void loop(struct world *world)
{
    uint64_t idle = 0;
    while (!world->broken[0] && !world->refused && !all_home(world)) {
        const struct trib_event_heap_item *top = trib_event_heap_top(&world->heap);
        if (!top) {
            world_break(world, "stuck: nothing is left that could happen");
            return;
        }
        idle = top->time > world->now_ms ? 0 : idle + 1;
        world->now_ms = top->time;
        uint64_t order = top->order;
        struct event *event = trib_event_heap_pop(&world->heap);
        event->order = order;
        if (!waits(world, event)) {
            handle(world, event);
        }
        event_clear(event);
        trib_free(event);
        if (++world->steps > MOST_STEPS || idle > MOST_IDLE) {
            world_break(world, "stuck: %" PRIu64 " steps, %" PRIu64 " of them without time passing", world->steps,
                        idle);
        } else if (world->now_ms > world->schedule.end_ms + patience_ms(world)) {
            world_break(world, "stuck: %" PRId64 " s after the last fault, some client has not ended",
                        (world->now_ms - world->schedule.end_ms) / 1000);
        }
    }
}

/* ---- a world's life ---- */

static void push_beginnings(struct world *world)
{
    for (size_t i = 0; i < world->schedule.n; i++) {
        world_push(world, world->schedule.list[i].at_ms, &(struct event){.kind = EVENT_FAULT, .a = i});
    }
    world_push(world, BEGIN_MS, &(struct event){.kind = EVENT_START, .who = SERVER});
    for (uint32_t i = 0; i < world->plan.n_clients; i++) {
        world_push(world, BEGIN_MS + 1 + (int64_t)host_draw(world, i, 2000),
                   &(struct event){.kind = EVENT_START, .who = i});
    }
}

static void init_host(struct world *world, uint32_t who)
{
    struct host *host = world_host(world, who);
    *host = (struct host){.slow = 1};
    host->base_ms = (int64_t)host_draw(world, who, 100000000);
    if (who < world->plan.n_clients || who == SERVER) {
        host->disk = sim_disk_new(trib_hash64(&who, sizeof who, world->seed));
    }
}

static bool begin(struct world *world, const struct schedule *faults)
{
    struct trib_error error;
    plan_draw(world);
    for (uint32_t i = 0; i < world->n_peers; i++) {
        init_host(world, i);
    }
    init_host(world, SERVER);
    if (faults) {
        world->schedule = *faults;
    } else {
        schedule_draw(world, &world->schedule);
    }
    if (plan_settings(world, &world->server.settings, &error) != TRIB_OK) {
        world_break(world, "settings: %s", error.message);
        return false;
    }
    if (!oracle_new(world)) {
        world_break(world, "the simulation is out of memory");
        return false;
    }
    push_beginnings(world);
    return true;
}

static void end_processes(struct world *world)
{
    for (uint32_t i = 0; i < world->n_peers; i++) {
        client_free(world, &world->clients[i]);
    }
    server_free(world);
    if (!world->broken[0] && !world->refused && !world->server.host.rotten) {
        records_check_right(world);
    }
}

static void end(struct world *world)
{
    struct event *event;
    while ((event = trib_event_heap_pop(&world->heap))) {
        event_clear(event);
        trib_free(event);
    }
    trib_event_heap_clear(&world->heap);
    oracle_free(world);
    trib_schema_clear(&world->schema);
    trib_server_settings_clear(&world->server.settings);
    for (uint32_t i = 0; i < HOSTS; i++) {
        sim_disk_free(world_host(world, i)->disk);
    }
}

void world_run(uint64_t seed, const struct scenario *scenario, const struct schedule *faults, bool trace,
               struct outcome *outcome)
{
    struct world *world = trib_calloc(1, sizeof *world);
    *outcome = (struct outcome){.broken = "the simulation is out of memory"};
    if (!world) {
        return;
    }
    world->seed = seed;
    world->scenario = scenario;
    world->trace = trace;
    sim_disk_vfs_seed(seed);
    chance_use(world);
    if (begin(world, faults)) {
        loop(world);
    }
    end_processes(world);
    world->totals.worlds = 1;
    world->totals.steps = world->steps;
    if (world->oracle) {
        oracle_result(world, outcome);
    }
    (void)snprintf(outcome->broken, sizeof outcome->broken, "%s", world->broken);
    outcome->digest = world->digest;
    outcome->totals = world->totals;
    outcome->schedule = world->schedule;
    end(world);
    chance_use(NULL);
    trib_free(world);
}
