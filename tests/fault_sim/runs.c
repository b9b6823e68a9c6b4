/* Seeds one after the other, in as many processes as asked for; what they did is added up. */
#include "runs.h"

#include "base/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORLD_SECONDS = 120, TWICE_EVERY = 64, MOST_FAILURES = 5 };

/* ---- one ---- */

const struct scenario *scenario_of(uint64_t seed)
{
    return &scenarios[seed % n_scenarios];
}

static void compare_with_undisturbed(uint64_t seed, const struct scenario *scenario, struct outcome *outcome)
{
    static struct outcome calm;
    static const struct schedule nothing;
    world_run(seed, scenario, &nothing, false, &calm);
    if (calm.broken[0]) {
        (void)snprintf(outcome->broken, sizeof outcome->broken, "without any fault: %.400s", calm.broken);
    } else if (calm.versions != outcome->versions ||
               memcmp(calm.last_sha256, outcome->last_sha256, sizeof calm.last_sha256) != 0) {
        (void)snprintf(outcome->broken, sizeof outcome->broken,
                       "the last model, version %" PRIu64 ", is not that of the undisturbed run, version %" PRIu64,
                       outcome->versions - 1, calm.versions - 1);
    }
}

static void compare_with_again(uint64_t seed, const struct scenario *scenario, const struct schedule *faults,
                               struct outcome *outcome)
{
    static struct outcome again;
    world_run(seed, scenario, faults, false, &again);
    if (again.digest != outcome->digest || strcmp(again.broken, outcome->broken) != 0) {
        (void)snprintf(outcome->broken, sizeof outcome->broken, "the same seed gave another course of events");
    }
}

static char late[128];

static void told_late(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, late, strlen(late));
    _exit(1);
}

void run_seed(uint64_t seed, const struct scenario *scenario, const struct schedule *faults, bool trace, bool twice,
              struct outcome *outcome)
{
    (void)snprintf(late, sizeof late, "BROKEN: seed %" PRIu64 ", scenario %s: it takes too long\n", seed,
                   scenario->name);
    signal(SIGALRM, told_late);
    alarm(WORLD_SECONDS);
    world_run(seed, scenario, faults, trace, outcome);
    if (!outcome->broken[0] && scenario->always & WITH_ALL_CLIENTS) {
        compare_with_undisturbed(seed, scenario, outcome);
    }
    if (twice) {
        compare_with_again(seed, scenario, faults, outcome);
    }
    alarm(0);
}

/* ---- many ---- */

/* Between the processes. */
struct shared {
    _Atomic(uint64_t) next, failures, rounds;
    struct totals totals[64];
    uint64_t running[64];
};

static void add(struct totals *to, const struct totals *from)
{
    uint64_t *sums = (uint64_t *)(void *)to;
    const uint64_t *values = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++) {
        sums[i] += values[i];
    }
}

static void print_totals(const struct totals *totals, double seconds)
{
    printf("%" PRIu64 " worlds, %" PRIu64 " rounds in %.1f s: %.0f rounds/s; %" PRIu64 " events, %" PRIu64
           " restarts; updates: %" PRIu64 " folded (%" PRIu64 " stale), %" PRIu64 " skipped; %" PRIu64
           " outcomes told; damage refused: %" PRIu64 "\nfaults:",
           totals->worlds, totals->rounds, seconds, (double)totals->rounds / (seconds > 0 ? seconds : 1), totals->steps,
           totals->restarts, totals->folded, totals->stale, totals->skipped, totals->told, totals->refused);
    for (int i = 0; i < FAULT_KIND_COUNT; i++) {
        printf(" %s %" PRIu64, fault_name((enum fault_kind)i), totals->faults[i]);
    }
    printf("\n");
}

static void print_failure(uint64_t seed, const struct scenario *scenario, const struct outcome *outcome)
{
    printf("BROKEN: seed %" PRIu64 ", scenario %s: %s\n  replay: fault_sim --seeds %" PRIu64
           " --scenario %s --trace\n  fewer faults: fault_sim --seeds %" PRIu64 " --scenario %s --shrink\n",
           seed, scenario->name, outcome->broken, seed, scenario->name, seed, scenario->name);
}

static void work(const struct runs *runs, struct shared *shared, unsigned number, int64_t until_ms)
{
    static struct outcome outcome;
    for (;;) {
        uint64_t seed = shared->next++;
        bool enough = (runs->rounds > 0 && shared->rounds >= runs->rounds) || shared->failures >= MOST_FAILURES;
        if (seed > runs->to || enough || trib_clock_ms() > until_ms) {
            return;
        }
        const struct scenario *scenario = runs->scenario ? runs->scenario : scenario_of(seed);
        shared->running[number] = seed;
        run_seed(seed, scenario, NULL, runs->trace, seed % TWICE_EVERY == 0, &outcome);
        shared->running[number] = UINT64_MAX;
        add(&shared->totals[number], &outcome.totals);
        shared->rounds += outcome.totals.rounds;
        if (outcome.broken[0]) {
            shared->failures++;
            print_failure(seed, scenario, &outcome);
            if (runs->shrink) {
                shrink(seed, scenario, &outcome);
            }
        }
    }
}

/* A process that dies takes its world with it: which one, is in what is shared. */
static bool wait_for(pid_t pid, const struct shared *shared, unsigned number)
{
    int status;
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    printf("BROKEN: seed %" PRIu64 ": the process died in it\n", shared->running[number]);
    return false;
}

static bool in_processes(const struct runs *runs, struct shared *shared, int64_t until_ms)
{
    pid_t pids[64];
    bool good = true;
    unsigned n = 0;
    for (; n < runs->jobs; n++) {
        pids[n] = fork();
        if (pids[n] == 0) {
            work(runs, shared, n, until_ms);
            fflush(stdout);
            _exit(0);
        }
        if (pids[n] < 0) {
            printf("BROKEN: no process for job %u\n", n);
            good = false;
            break;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        good = wait_for(pids[i], shared, i) && good;
    }
    return good;
}

bool runs_all(const struct runs *runs)
{
    int64_t begun_ms = trib_clock_ms(), until_ms = runs->seconds > 0 ? begun_ms + runs->seconds * 1000 : INT64_MAX;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        printf("BROKEN: no memory to share\n");
        return false;
    }
    shared->next = runs->from;
    bool good = true;
    if (runs->jobs > 1) {
        good = in_processes(runs, shared, until_ms);
    } else {
        work(runs, shared, 0, until_ms);
    }
    struct totals totals = {0};
    for (unsigned i = 0; i < runs->jobs; i++) {
        add(&totals, &shared->totals[i]);
    }
    uint64_t last = shared->next > runs->to ? runs->to : shared->next - 1;
    printf("seeds %" PRIu64 "..%" PRIu64 ": ", runs->from, last);
    print_totals(&totals, (double)(trib_clock_ms() - begun_ms) / 1000);
    uint64_t failed = shared->failures + !good;
    good = failed == 0;
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n",
           totals.worlds - (failed < totals.worlds ? failed : totals.worlds), failed);
    munmap(shared, sizeof *shared);
    return good;
}

/* ---- those that once failed ---- */

struct regression {
    uint64_t seed;
    const char *scenario, *found;
};
static const struct regression regressions[] = {
#define REGRESSION(seed, scenario, found) {seed, scenario, found},
#include "regressions.def"
#undef REGRESSION
    {0, NULL, NULL}};

bool runs_regressions(void)
{
    static struct outcome outcome;
    bool good = true;
    for (const struct regression *regression = regressions; regression->scenario; regression++) {
        const struct scenario *scenario = scenario_find(regression->scenario);
        if (!scenario) {
            printf("BROKEN: regressions.def: scenario %s is unknown\n", regression->scenario);
            return false;
        }
        run_seed(regression->seed, scenario, NULL, false, false, &outcome);
        if (outcome.broken[0]) {
            printf("again: %s\n", regression->found);
            print_failure(regression->seed, scenario, &outcome);
            good = false;
        }
    }
    return good;
}
