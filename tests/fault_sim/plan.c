/* What is drawn of a world before it begins: how many take part, how fast they are, and the server's settings. */
#include "world.h"

#include "base/config.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct scenario scenarios[] = {
    {"quiet", "nothing goes wrong", 0, WITH_FEEDBACK | WITH_DOWNLINK | WITH_SKETCHES | WITH_STALENESS},
    {"network", "connections break, hosts are cut off, slow, or stand still", TROUBLE_NETWORK | TROUBLE_CLOCKS,
     WITH_FEEDBACK | WITH_DOWNLINK | WITH_SKETCHES | WITH_STALENESS},
    {"unruly", "messages are lost, doubled, and out of order", TROUBLE_UNRULY,
     TROUBLE_NETWORK | WITH_FEEDBACK | WITH_DOWNLINK | WITH_STALENESS},
    {"clients", "clients die and come back", TROUBLE_CLIENTS,
     TROUBLE_NETWORK | WITH_FEEDBACK | WITH_DOWNLINK | WITH_SKETCHES | WITH_STALENESS},
    {"adversaries", "peers that lie", TROUBLE_ADVERSARIES,
     TROUBLE_NETWORK | TROUBLE_CLIENTS | WITH_SKETCHES | WITH_STALENESS | WITH_DOWNLINK},
    {"lossless", "faults that cost time and nothing else: the last model's bits are those of the undisturbed run",
     WITH_ALL_CLIENTS | TROUBLE_NETWORK | TROUBLE_CLIENTS | TROUBLE_SERVER,
     TROUBLE_UNRULY | TROUBLE_CLOCKS | WITH_FEEDBACK | WITH_DOWNLINK},
    {"server", "the server dies and comes back", TROUBLE_SERVER,
     TROUBLE_NETWORK | TROUBLE_CLIENTS | WITH_FEEDBACK | WITH_DOWNLINK | WITH_SKETCHES | WITH_STALENESS},
    {"ef21", "EF21, whose server remembers", WITH_EF21 | TROUBLE_SERVER | TROUBLE_CLIENTS,
     TROUBLE_NETWORK | TROUBLE_CLOCKS | WITH_DOWNLINK | WITH_ALL_CLIENTS},
    {"disks", "disks are full and fail", TROUBLE_CLIENT_DISKS | TROUBLE_SERVER_DISK,
     TROUBLE_SERVER | TROUBLE_CLIENTS | WITH_FEEDBACK | WITH_DOWNLINK},
    {"rot", "files of the server change on its disk", TROUBLE_ROT, TROUBLE_SERVER | WITH_DOWNLINK | WITH_SKETCHES},
    {"everything", "all of it", 0,
     TROUBLE_NETWORK | TROUBLE_UNRULY | TROUBLE_CLOCKS | TROUBLE_CLIENTS | TROUBLE_ADVERSARIES | TROUBLE_SERVER |
         TROUBLE_CLIENT_DISKS | TROUBLE_SERVER_DISK | WITH_FEEDBACK | WITH_DOWNLINK | WITH_SKETCHES | WITH_STALENESS},
};
const size_t n_scenarios = sizeof scenarios / sizeof scenarios[0];

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < n_scenarios; i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

static uint64_t below(struct trib_rng *rng, uint64_t n)
{
    return trib_rng_below(rng, n);
}

static unsigned draw_with(const struct scenario *scenario, struct trib_rng *rng)
{
    unsigned with = scenario->always;
    for (unsigned bit = 1; bit <= WITH_ALL_CLIENTS; bit <<= 1) {
        with |= scenario->sometimes & bit && below(rng, 2) ? bit : 0;
    }
    if (with & WITH_STALENESS && with & WITH_SKETCHES && below(rng, 2)) {
        with &= ~(unsigned)WITH_SKETCHES;
    }
    return with;
}

static void draw_client(struct client *client, uint32_t number, uint32_t n_clients, struct trib_rng *rng)
{
    *client = (struct client){.number = number, .tick_ms = INT64_MAX};
    (void)snprintf(client->node, sizeof client->node, "%s-%u", number < n_clients ? "client" : "mallory", number);
    client->examples = 1 + below(rng, 200);
    client->latency_ms = 1 + (int64_t)below(rng, 150);
    client->train_ms = 10 + (int64_t)below(rng, 5000);
    client->spool_limit = below(rng, 2) ? 600 : 0;
    client->chunk_bytes = below(rng, 2) ? 1 << 20 : 32 + below(rng, 100);
}

void plan_draw(struct world *world)
{
    struct plan *plan = &world->plan;
    struct trib_rng rng = trib_rng_init(world->seed, "plan", 0, 0);
    plan->with = draw_with(world->scenario, &rng);
    plan->n_clients = 2 + (uint32_t)below(&rng, MOST_CLIENTS - 1);
    plan->n_adversaries = plan->with & TROUBLE_ADVERSARIES ? 1 + (uint32_t)below(&rng, MOST_ADVERSARIES) : 0;
    plan->rounds = 3 + below(&rng, 8);
    plan->uniform = below(&rng, 3) == 0;
    plan->max_staleness = plan->with & WITH_STALENESS ? 1 + below(&rng, 3) : 0;
    plan->fault_count =
        world->scenario->always == 0 && world->scenario->sometimes < TROUBLE_NETWORK ? 0 : below(&rng, 24);
    plan->fault_ms = 5000 + (int64_t)below(&rng, 90000);
    world->n_peers = plan->n_clients + plan->n_adversaries;
    for (uint32_t i = 0; i < world->n_peers; i++) {
        draw_client(&world->clients[i], i, plan->n_clients, &rng);
    }
}

/* ---- settings ---- */

static void add_codecs(const struct plan *plan, struct trib_rng *rng, char *text, size_t size)
{
    static const char *const biased[] = {"sign", "topk:20%|f16", "q4"};
    static const char *const lossy[] = {"q8", "sign", "bf16", "uniform:4|range"};
    bool ef21 = plan->with & WITH_EF21;
    const char *up = ef21 || plan->with & WITH_FEEDBACK ? biased[below(rng, 3)] : below(rng, 4) ? "f32" : "q8";
    const char *feedback = ef21 ? "ef21" : plan->with & WITH_FEEDBACK ? "ef" : "none";
    const char *down = plan->with & WITH_DOWNLINK ? lossy[below(rng, 4)] : "f32";
    (void)snprintf(text, size, "codec: {up: \"%s\", feedback: %s, down: \"%s\", down_history: %u}\n", up, feedback,
                   down, 1 + (unsigned)below(rng, 6));
}

static void add_relevance(const struct plan *plan, struct trib_rng *rng, char *text, size_t size)
{
    static const char *const rules[] = {"none", "constant", "decay", "share"};
    text[0] = '\0';
    if (plan->with & WITH_SKETCHES) {
        bool stale = plan->max_staleness > 0;
        const char *reference = !stale && below(rng, 2) ? "majority" : "last_update";
        (void)snprintf(text, size, "relevance: {sketch: %u, reference: %s, rule: %s, threshold: 0.4, share: 0.6}\n",
                       4 + (unsigned)below(rng, 40), reference, rules[below(rng, stale ? 3 : 4)]);
    }
}

static void add_federation(struct world *world, struct trib_rng *rng, char *text, size_t size)
{
    struct plan *plan = &world->plan;
    static const char *const selectors[] = {"random", "round_robin", "oort", "power_of_choice", "relevance"};
    const char *selector = selectors[below(rng, 5)];
    uint64_t n = plan->n_clients, per_round = below(rng, 2) ? 0 : 1 + below(rng, n), buffer = 0;
    uint64_t min_clients = 1 + below(rng, n), deadline = 20 + below(rng, 60), idle = 8 + below(rng, 20);
    plan->min_updates = 1 + below(rng, per_round > 0 ? per_round : min_clients);
    if (plan->with & WITH_ALL_CLIENTS) {
        per_round = 0;
        min_clients = plan->min_updates = n;
        deadline = 400;
        idle = 200;
    } else if (plan->max_staleness > 0 && below(rng, 2)) {
        buffer = 1 + below(rng, per_round > 0 ? per_round : n);
    }
    uint64_t away = 1 + below(rng, 20), retry = below(rng, 3);
    plan->turn_ms = (int64_t)(deadline + idle + away + retry) * 1000;
    (void)snprintf(text, size,
                   "federation: {rounds: %" PRIu64 ", seed: %" PRIu64 ", min_clients: %" PRIu64
                   ", clients_per_round: %" PRIu64 ", over_selection: %.1f, min_updates: %" PRIu64
                   ", uploads_in_flight: %u, deadline: %" PRIu64 "s, idle_timeout: %" PRIu64 "s, away_timeout: %" PRIu64
                   "s, retry_pause: %" PRIu64 "s, selector: %s, buffer: %" PRIu64 ", max_staleness: %" PRIu64 "}\n",
                   plan->rounds, world->seed & INT32_MAX, min_clients, per_round, 1 + 0.1 * (double)below(rng, 6),
                   plan->min_updates, 1 + (unsigned)below(rng, 3), deadline, idle, away, retry, selector, buffer,
                   plan->max_staleness);
}

static enum trib_status read_settings(const char *text, struct trib_server_settings *settings, struct trib_error *error)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    struct trib_config_node *tree;
    TRIB_TRY(trib_config_parse_text("simulated", text, strlen(text), &tree, error));
    enum trib_status status = trib_config_apply(tree, rows, n, settings, error);
    if (status != TRIB_OK) {
        trib_config_free(tree);
        return status;
    }
    settings->tree = tree;
    return trib_server_settings_check(settings, error);
}

enum trib_status plan_settings(struct world *world, struct trib_server_settings *settings, struct trib_error *error)
{
    char text[2048], federation[768], codecs[256], relevance[256];
    struct trib_rng rng = trib_rng_init(world->seed, "settings", 0, 0);
    add_federation(world, &rng, federation, sizeof federation);
    add_codecs(&world->plan, &rng, codecs, sizeof codecs);
    add_relevance(&world->plan, &rng, relevance, sizeof relevance);
    (void)snprintf(text, sizeof text,
                   "state_dir: /state\ntls: {ca: a, certificate: b, key: c}\n"
                   "model: {name: logistic, example: [%u], classes: 3}\n"
                   "compute: {backend: reference, threads: 1}\ncheckpoints: {keep: %u}\n"
                   "strategy: {name: %s, max_abs: 16, weights: %s, learning_rate: %s}\n%s%s%s",
                   2 + (unsigned)below(&rng, 12), 1 + (unsigned)below(&rng, 3),
                   world->plan.with & WITH_EF21 ? "ef21" : "fedavg", world->plan.uniform ? "uniform" : "examples",
                   below(&rng, 4) ? "1" : "0.5", federation, codecs, relevance);
    if (world->trace) {
        printf("%s", text);
    }
    return read_settings(text, settings, error);
}
