/* One simulated run: data, engine and clients are set up, and time goes on from one thing that is due to the next. */
#include "sim/sim.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "scratch.h"
#include "setup/rooms.h"
#include "sim_private.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* Clocks of 0 mean "not yet" to engine and sessions. */
static const int64_t START_US = 1000000;
enum { MOST_IDLE_TURNS = 1000 };

/* ---- setting up ---- */

static enum trib_status load_data(const struct trib_sim_settings *settings, uint64_t seed, struct trib_dataset *dataset,
                                  struct trib_partition *partition, struct trib_error *error)
{
    const struct trib_dataset_spec spec = trib_sim_settings_data(settings);
    enum trib_status status = trib_dataset_open(&spec, dataset, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "%s: data", settings->tree->file);
    }
    struct trib_error reason;
    if (trib_dataset_normalise(dataset, settings->data.normalise, &reason) != TRIB_OK) {
        return trib_sim_settings_fail(settings, "data.normalise", error, "%s", reason.message);
    }
    status =
        trib_partition_make(settings->data_partition, dataset, (size_t)settings->clients, seed, partition, &reason);
    return status == TRIB_OK ? TRIB_OK
                             : trib_sim_settings_fail(settings, "data.partition", error, "%s", reason.message);
}

static enum trib_status find_backend(const struct trib_sim_settings *settings, const struct trib_backend **backend,
                                     struct trib_error *error)
{
    const char *name = settings->server.compute.backend;
    const struct trib_backend *found = trib_compute_backend(name);
    if (!found) {
        char names[256];
        return trib_sim_settings_fail(settings, "compute.backend", error, "\"%.40s\" is not known; it is one of: %s",
                                      name, trib_config_list_names(trib_compute_names, NULL, names, sizeof names));
    }
    *backend = found;
    return found->probe ? found->probe(error) : TRIB_OK;
}

static int64_t now_ms(void *context)
{
    const struct sim *sim = context;
    return sim->now_us / 1000;
}

static void observe(void *context, const struct trib_fact *fact)
{
    const struct trib_round_record *record = fact->record;
    if (fact->kind != TRIB_FACT_ROUND_ENDED) {
        return;
    }
    struct sim *sim = context;
    const struct trib_round_summary *summary = &record->summary;
    struct trib_sim_point *point = &sim->total;
    point->round = summary->round;
    point->version = record->version;
    point->seconds = (double)(sim->now_us - START_US) / 1e6;
    point->offers += summary->offered;
    point->uploads += summary->uploaded;
    point->skipped += summary->skipped;
    point->late += summary->late;
    point->failed += summary->failed;
    point->rejected += summary->rejected;
    point->stale += summary->stale;
    point->cohort = summary->cohort;
    point->folded = summary->folded;
    point->accuracy = record->accuracy;
    point->loss = record->loss;
    point->train_loss = record->train_loss;
    point->relevance = summary->scored > 0 ? summary->relevance_sum / summary->scored : (double)NAN;
    point->threshold = summary->threshold;
    point->carried = record->carried;
    double enough = sim->settings->stop_at;
    sim->reached = sim->reached || (enough > 0 && record->accuracy >= enough);
    if (sim->point) {
        sim->point(sim->context, point);
    }
}

static int thread_count(int asked)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return asked > 0 ? asked : cores > 0 ? (int)cores : 1;
}

static enum trib_status open_all(struct sim *sim, int threads, struct trib_error *error)
{
    const struct trib_backend *backend = NULL;
    TRIB_TRY(load_data(sim->settings, sim->seed, &sim->dataset, &sim->partition, error));
    TRIB_TRY(find_backend(sim->settings, &backend, error));
    sim->server = sim->settings->server;
    sim->server.seed = (int64_t)sim->seed;
    sim->server.compute.threads = threads;
    sim->driver = (struct trib_hub_driver){.now_ms = now_ms, .observe = observe, .context = sim};
    const struct trib_hub_setup setup = {.software = "tributary-sim", .driver = &sim->driver};
    TRIB_TRY(trib_hub_new_with(&setup, &sim->server, false, &sim->engine, error));
    TRIB_TRY(trib_trainers_new(threads, backend, &sim->dataset, &sim->trainers, error));
    return sim_actors_init(sim, error);
}

/* The engine lets go of its peers as it stops; what is still on its way goes with the heap. */
static void close_all(struct sim *sim)
{
    if (sim->engine) {
        trib_hub_stop(sim->engine);
        trib_hub_turn(sim->engine);
    }
    sim_actors_clear(sim);
    trib_trainers_free(sim->trainers);
    struct sim_event *event;
    while ((event = trib_event_heap_pop(&sim->heap))) {
        if (event->kind == SIM_EVENT_PEER_GONE && sim->engine) {
            sim_peer_notice(sim, event);
        }
        sim_event_free(event);
    }
    if (sim->engine) {
        trib_hub_turn(sim->engine);
        trib_hub_free(sim->engine);
    }
    trib_event_heap_clear(&sim->heap);
    trib_partition_clear(&sim->partition);
    trib_dataset_clear(&sim->dataset);
    trib_scratch_remove(sim->own_scratch);
}

/* ---- running ---- */

static enum trib_status fail_run(const struct sim *sim, enum trib_status status, const char *why,
                                 struct trib_error *error)
{
    return trib_fail(error, status, "%s after %.6g simulated seconds, with %" PRIu64 " of %" PRId64 " rounds done", why,
                     (double)(sim->now_us - START_US) / 1e6, sim->total.round, sim->server.rounds);
}

/* When something is due next; INT64_MAX: never. */
static int64_t next_us(const struct sim *sim, bool *engine_first)
{
    const struct trib_event_heap_item *top = trib_event_heap_top(&sim->heap);
    *engine_first = !top || sim->wake_us < top->time;
    int64_t due_us = *engine_first ? sim->wake_us : top->time;
    return due_us > sim->now_us ? due_us : sim->now_us;
}

static void turn(struct sim *sim)
{
    sim->touched = false;
    trib_hub_turn(sim->engine);
    int64_t wake_ms = trib_hub_wake_ms(sim->engine);
    sim->wake_us = wake_ms > INT64_MAX / 1000 ? INT64_MAX : wake_ms * 1000;
}

static enum trib_status go_on(struct sim *sim, unsigned *idle, struct trib_error *error)
{
    bool engine_first;
    int64_t due_us = next_us(sim, &engine_first);
    if (due_us == INT64_MAX) {
        return fail_run(sim, TRIB_UNAVAILABLE, "nothing is left that could happen", error);
    }
    if (due_us - START_US > sim->settings->max_time_ms * 1000) {
        return fail_run(sim, TRIB_TIMEOUT, "max_time has passed", error);
    }
    *idle = due_us > sim->now_us || !engine_first ? 0 : *idle + 1;
    sim->now_us = due_us;
    if (*idle > MOST_IDLE_TURNS) {
        return fail_run(sim, TRIB_INTERNAL, "the engine wants to act, but does not,", error);
    }
    if (!engine_first) {
        struct sim_event *event = trib_event_heap_pop(&sim->heap);
        sim_actor_handle(sim, event);
        sim_event_free(event);
    }
    if (engine_first || sim->touched) {
        turn(sim);
    }
    return sim->status == TRIB_OK ? TRIB_OK : fail_run(sim, sim->status, trib_status_text(sim->status), error);
}

static enum trib_status loop(struct sim *sim, struct trib_error *error)
{
    unsigned idle = 0;
    turn(sim);
    while (!sim->reached && !trib_hub_done(sim->engine)) {
        TRIB_TRY(go_on(sim, &idle, error));
    }
    return sim->reached || trib_hub_complete(sim->engine) ? TRIB_OK
                                                          : fail_run(sim, TRIB_INTERNAL, "the engine stopped", error);
}

enum trib_status trib_sim_run(const struct trib_sim_run *run, struct trib_error *error)
{
    struct sim *sim = trib_calloc(1, sizeof *sim);
    if (!sim) {
        return trib_fail_no_memory(error);
    }
    sim->settings = run->settings;
    sim->seed = run->seed;
    sim->now_us = START_US;
    sim->scratch = run->scratch;
    sim->point = run->point;
    sim->context = run->context;
    trib_log(TRIB_LOG_INFO, "sim", "run", TRIB_F_STR("variant", run->settings->variant), TRIB_F_INT("seed", run->seed),
             TRIB_F_INT("clients", run->settings->clients));
    enum trib_status status = open_all(sim, thread_count(run->threads), error);
    if (status == TRIB_OK) {
        status = loop(sim, error);
    }
    close_all(sim);
    trib_free(sim);
    return status;
}

enum trib_status trib_sim_check(const struct trib_sim_settings *settings, size_t *examples, struct trib_error *error)
{
    struct trib_dataset dataset = {0};
    struct trib_partition partition = {0};
    enum trib_status status = load_data(settings, (uint64_t)settings->server.seed, &dataset, &partition, error);
    if (status == TRIB_OK) {
        *examples = dataset.n;
        status = trib_rooms_check(&settings->server, error);
    }
    trib_partition_clear(&partition);
    trib_dataset_clear(&dataset);
    return status;
}
