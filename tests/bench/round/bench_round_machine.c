/* The cost of an event to the round engine: nanoseconds per event, with the look at its next timer and its changes that
 * follows each, for a cohort of ten among few and among many clients. The best mean of several runs of whole rounds. */
#include "bench_options.h"

#include "round/round.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COHORT = 10, ROUNDS = 200, RUNS = 5, LOOKS = 10 };

enum measure { PROGRESS, OFFER, UPLOAD, FOLD, TICK, LEAVE, JOIN, APPLY, COMMIT, BEGIN, MEASURES };
static const char *const names[MEASURES] = {"progress", "offer", "upload", "fold",   "tick",
                                            "leave",    "join",  "apply",  "commit", "begin"};

struct bench {
    struct trib_round *round;
    uint32_t known, connected;
    int64_t now_ms;
    uint32_t cohort[COHORT];
    size_t n_cohort;
    int64_t ns[MEASURES];
    uint64_t n[MEASURES];
};

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench-round-machine: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* The cheapest selector that there is: the engine is what is measured. */
static enum trib_status pick_first(void *own, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)own;
    for (uint32_t i = 0; i < selection->wanted; i++) {
        picked[i] = (struct trib_pick){.candidate = i, .why = "first", .score = (double)NAN};
    }
    return TRIB_OK;
}
static const struct trib_selector first = {.name = "first", .pick = pick_first};

static void give(struct bench *bench, enum measure measure, struct trib_round_event event)
{
    const struct trib_round_action *actions;
    const uint32_t *changed;
    const char *ignored;
    size_t n;
    event.now_ms = ++bench->now_ms;
    int64_t start = trib_clock_ns();
    must(trib_round_step(bench->round, &event, &actions, &n, &ignored) == TRIB_OK, "out of memory");
    (void)trib_round_next_tick(bench->round);
    (void)trib_round_take_changed(bench->round, &changed);
    if (measure < MEASURES) {
        bench->ns[measure] += trib_clock_ns() - start;
        bench->n[measure]++;
    }
    for (size_t i = 0; i < n; i++) {
        if (actions[i].kind == TRIB_ACTION_TASK && bench->n_cohort < COHORT) {
            bench->cohort[bench->n_cohort++] = actions[i].client;
        }
    }
}

static void join(struct bench *bench, enum measure measure, uint32_t client)
{
    /* spread over the clients, as the hashes of their names would be */
    uint64_t key = (client + 1) * UINT64_C(0x9e3779b97f4a7c15);
    give(bench, measure,
         (struct trib_round_event){
             .kind = TRIB_EVENT_JOINED, .client = client, .examples = 100, .key = key, .eligible = true});
}

static void start(struct bench *bench)
{
    const struct trib_round_options options = {.seed = 1,
                                               .rounds = UINT32_MAX,
                                               .first_round = 1,
                                               .min_clients = COHORT,
                                               .clients_per_round = COHORT,
                                               .over_selection = 1,
                                               .min_updates = 1,
                                               .uploads_in_flight = COHORT,
                                               .deadline_ms = INT32_MAX,
                                               .idle_timeout_ms = INT32_MAX,
                                               .away_timeout_ms = INT32_MAX,
                                               .evaluate_every = 1,
                                               .selector = &first};
    struct trib_error error;
    must(trib_round_new(&options, &bench->round, &error) == TRIB_OK, "no engine");
    for (uint32_t i = 0; i < bench->known; i++) {
        join(bench, MEASURES, i);
        if (i % (bench->known / bench->connected) != 0) {
            give(bench, MEASURES, (struct trib_round_event){.kind = TRIB_EVENT_LEFT, .client = i});
        }
    }
}

static double resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file && fscanf(file, "%lu %lu", &size, &resident) == 2, "no /proc/self/statm");
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* A connected client without a part in the round; all but the cohort's are. */
static bool is_outside(const struct bench *bench, uint32_t client)
{
    return trib_round_member(bench->round, client) == TRIB_MEMBER_NONE;
}

static void deliver(struct bench *bench, uint32_t client)
{
    struct trib_round_event event = {.client = client, .examples = 100, .bytes = 1000, .relevance = (double)NAN};
    event.round = trib_round_number(bench->round);
    event.ok = true;
    for (int i = 0; i < LOOKS; i++) {
        give(bench, PROGRESS, (struct trib_round_event){.kind = TRIB_EVENT_PROGRESS, .client = client});
        give(bench, TICK, (struct trib_round_event){.kind = TRIB_EVENT_TICK});
    }
    event.kind = TRIB_EVENT_OFFER;
    give(bench, OFFER, event);
    event.kind = TRIB_EVENT_UPLOADED;
    give(bench, UPLOAD, event);
    event.kind = TRIB_EVENT_FOLDED;
    give(bench, FOLD, event);
}

static void come_and_go(struct bench *bench, uint32_t turn)
{
    uint32_t stride = bench->known / bench->connected;
    uint32_t client = turn % bench->connected * stride;
    if (is_outside(bench, client)) {
        give(bench, LEAVE, (struct trib_round_event){.kind = TRIB_EVENT_LEFT, .client = client});
        join(bench, JOIN, client);
    }
}

static void play_round(struct bench *bench, uint32_t number)
{
    uint32_t cohort[COHORT];
    must(bench->n_cohort == COHORT, "no whole cohort");
    for (uint32_t i = 0; i < COHORT; i++) {
        cohort[i] = bench->cohort[i];
    }
    bench->n_cohort = 0;
    for (uint32_t i = 0; i < COHORT; i++) {
        come_and_go(bench, number * COHORT + i);
        deliver(bench, cohort[i]);
    }
    struct trib_round_event event = {.round = trib_round_number(bench->round), .ok = true};
    event.kind = TRIB_EVENT_APPLIED;
    give(bench, APPLY, event);
    event.kind = TRIB_EVENT_COMMITTED;
    give(bench, COMMIT, event);
    give(bench, BEGIN, (struct trib_round_event){.kind = TRIB_EVENT_TICK});
}

static void measure(uint32_t known, uint32_t connected)
{
    struct bench bench = {.known = known, .connected = connected, .now_ms = 1000};
    double best[MEASURES], before = resident_bytes();
    start(&bench);
    if (known >= 1000) {
        printf("memory_%" PRIu32 "_of_%" PRIu32 " %.0f bytes/client\n", connected, known,
               (resident_bytes() - before) / known);
    }
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < MEASURES; i++) {
            bench.ns[i] = 0;
            bench.n[i] = 0;
        }
        for (uint32_t i = 0; i < ROUNDS; i++) {
            play_round(&bench, (uint32_t)run * ROUNDS + i);
        }
        for (int i = 0; i < MEASURES; i++) {
            double mean = bench.n[i] ? (double)bench.ns[i] / (double)bench.n[i] : 0;
            best[i] = run == 0 || mean < best[i] ? mean : best[i];
        }
    }
    for (int i = 0; i < MEASURES; i++) {
        if (bench.n[i] > 0) {
            printf("%s_%" PRIu32 "_of_%" PRIu32 " %.0f ns\n", names[i], connected, known, best[i]);
        }
    }
    trib_round_free(bench.round);
}

int main(int argc, char **argv)
{
    bench_options(argc, argv, "bench-round-machine", "Time of an event in the round engine.", NULL, 0);
    measure(12, 12);
    measure(100000, 12);
    measure(100000, 5000);
    return 0;
}
