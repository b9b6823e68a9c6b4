/* The small federation's server side: its life, its clock, and when it has gone far enough. */
#include "small_server.h"

#include "small_client.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_STEPS = 4000, MOST_STARTS = 60 };

#define LINEAR "model: {name: logistic, example: [4], classes: 3}\n"

const struct small_variant small_variants[] = {
    {"plain", LINEAR "checkpoints: {keep: 2}\n"},
    {"deltas", LINEAR "codec: {up: sign, feedback: ef, down: sign, down_history: 3}\ncheckpoints: {keep: 1}\n"
                      "relevance: {sketch: 15, rule: constant, threshold: 0}\n"},
    {"ef21", LINEAR "codec: {up: q8, feedback: ef21, down: q8}\ncheckpoints: {keep: 1}\n"
                    "strategy: {name: ef21}\n"},
    {"judged", "model: {name: logistic, example: [60], classes: 10}\ncodec: {down: bf16}\n"
               "evaluation: {format: \"synthetic:iid,1,3\"}\ntraining: {proximal_mu: 0.1, proximal_step: 0.1}\n"
               "relevance: {sketch: 200, reference: majority, rule: constant, threshold: 0}\n"},
};
const unsigned n_small_variants = sizeof small_variants / sizeof small_variants[0];

void small_break(struct small_server *server, const char *format, ...)
{
    va_list arguments;
    if (server->broken[0] == '\0') {
        va_start(arguments, format);
        (void)vsnprintf(server->broken, sizeof server->broken, format, arguments);
        va_end(arguments);
    }
}

/* ---- settings ---- */

static enum trib_status read_settings(const char *text, struct trib_server_settings *settings, struct trib_error *error)
{
    const struct trib_config_row *rows;
    struct trib_config_node *tree;
    size_t n = trib_server_rows(&rows);
    TRIB_TRY(trib_config_parse_text("settings", text, strlen(text), &tree, error));
    enum trib_status status = trib_config_apply(tree, rows, n, settings, error);
    if (status != TRIB_OK) {
        trib_config_free(tree);
        return status;
    }
    settings->tree = tree;
    return trib_server_settings_check(settings, error);
}

static int64_t now_ms(void *context)
{
    return ((const struct small_server *)context)->now_ms;
}

static void observed(void *context, const struct trib_fact *fact)
{
    const struct trib_round_record *record = fact->record;
    if (fact->kind != TRIB_FACT_ROUND_ENDED) {
        return;
    }
    struct small_server *server = context;
    if (record->version != server->committed + 1) {
        small_break(server, "version %" PRIu64 " was committed after version %" PRIu64, record->version,
                    server->committed);
    }
    server->committed = record->version;
}

void small_begin(struct small_server *server, const struct small_variant *variant)
{
    char text[1536];
    *server = (struct small_server){.variant = variant, .now_ms = 1000};
    (void)snprintf(text, sizeof text,
                   "state_dir: /state\ntls: {ca: a, certificate: b, key: c}\n"
                   "compute: {backend: reference, threads: 1}\n"
                   "federation: {rounds: %d, min_clients: %d, min_updates: %d, deadline: 60s, idle_timeout: 20s, "
                   "away_timeout: 10s, retry_pause: 1s}\n%s",
                   SMALL_ROUNDS, SMALL_CLIENTS, SMALL_CLIENTS, variant->settings);
    if (read_settings(text, &server->settings, &server->error) != TRIB_OK) {
        small_break(server, "%s: %s", variant->name, server->error.message);
    }
    server->driver = (struct trib_hub_driver){.now_ms = now_ms, .observe = observed, .context = server};
    for (uint32_t i = 0; i < SMALL_CLIENTS; i++) {
        server->clients[i].number = i;
        (void)snprintf(server->clients[i].node, sizeof server->clients[i].node, "client-%" PRIu32, i);
    }
}

void small_clear(struct small_server *server)
{
    small_stop(server, SMALL_FREED);
    trib_server_settings_clear(&server->settings);
}

/* ---- its life ---- */

bool small_start(struct small_server *server)
{
    const struct trib_hub_setup setup = {.software = "torture", .driver = &server->driver};
    server->error = (struct trib_error){.message = ""};
    server->engine = NULL;
    bool held = torture_hold(false);
    server->status = trib_hub_new_with(&setup, &server->settings, false, &server->engine, &server->error);
    (void)torture_hold(held);
    if (server->status == TRIB_OK) {
        return true;
    }
    server->engine = NULL;
    server->starts_failed++;
    if (server->error.message[0] == '\0') {
        small_break(server, "it could not start and did not say why: %s", trib_status_name(server->status));
    }
    return false;
}

void small_stop(struct small_server *server, enum small_end end)
{
    struct sim_disk *disk = torture_disk();
    if (end == SMALL_KILLED) {
        sim_disk_kill(disk);
    } else if (end == SMALL_POWER_LOST) {
        sim_disk_crash(disk);
    }
    for (uint32_t i = 0; i < SMALL_CLIENTS; i++) {
        small_client_reset(&server->clients[i]);
    }
    bool held = torture_hold(false);
    trib_hub_free(server->engine);
    (void)torture_hold(held);
    server->engine = NULL;
    if (end != SMALL_FREED) {
        sim_disk_start(disk);
    }
}

/* It could not be started, or had to end: try again, and not for ever. */
static void begin_again(struct small_server *server)
{
    torture_wait();
    if (server->starts_failed + server->ends > MOST_STARTS) {
        small_break(server, "it does not start any more: %s", server->error.message);
    }
}

/* One turn of the engine. False: it is gone. */
static bool turn(struct small_server *server)
{
    bool held = torture_hold(false);
    trib_hub_turn(server->engine);
    (void)torture_hold(held);
    if (sim_disk_stopped(torture_disk())) {
        return false;
    }
    enum trib_status status = trib_hub_failure(server->engine, &server->error);
    if (status != TRIB_OK) {
        server->status = status;
        server->ends++;
        small_stop(server, SMALL_FREED);
        begin_again(server);
        return false;
    }
    if (trib_hub_done(server->engine) && !trib_hub_complete(server->engine)) {
        small_break(server, "the run ended after version %" PRIu64, server->committed);
    }
    return true;
}

static void power_comes_back(struct small_server *server)
{
    (void)torture_disarm();
    small_stop(server, SMALL_POWER_LOST);
}

/* Nothing is under way: until something is due. */
static void let_time_pass(struct small_server *server)
{
    int64_t wake_ms = trib_hub_wake_ms(server->engine);
    if (wake_ms == INT64_MAX) {
        small_break(server, "nothing is under way and nothing is due after version %" PRIu64, server->committed);
        return;
    }
    server->now_ms = wake_ms > server->now_ms ? wake_ms : server->now_ms + 1;
}

static void step(struct small_server *server)
{
    bool moved = false;
    if (!server->engine && !small_start(server)) {
        if (sim_disk_stopped(torture_disk())) {
            power_comes_back(server);
        } else {
            begin_again(server);
        }
        return;
    }
    if (sim_disk_stopped(torture_disk()) || !turn(server)) {
        if (sim_disk_stopped(torture_disk())) {
            power_comes_back(server);
        }
        return;
    }
    for (uint32_t i = 0; i < SMALL_CLIENTS && !sim_disk_stopped(torture_disk()); i++) {
        moved = small_client_step(server, &server->clients[i]) || moved;
    }
    if (!moved && !trib_hub_done(server->engine)) {
        let_time_pass(server);
        torture_wait();
    }
}

void small_run(struct small_server *server, uint64_t version, uint64_t uploads)
{
    for (unsigned steps = 0; server->broken[0] == '\0'; steps++) {
        bool complete = server->engine && trib_hub_done(server->engine) && trib_hub_complete(server->engine);
        if (complete || (server->committed >= version && (uploads == 0 || server->uploaded >= uploads))) {
            return;
        }
        if (steps == MOST_STEPS) {
            small_break(server, "%u steps were not enough for version %" PRIu64 ", it is %" PRIu64 ": %s", steps,
                        version, server->committed, server->error.message);
        }
        step(server);
    }
}
