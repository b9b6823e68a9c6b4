/* The injector: functions in front of the real ones that count, and fail when it is their turn. */
#include "torture_private.h"

#include "fail_disk.h"
#include "fail_memory.h"
#include "sim_disk_vfs.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 12 };

static struct {
    bool armed, sticky, held;
    enum torture_kind kind;
    uint64_t after, counted; /* counted: of the disk's operations, those before torture_arm */
    uint64_t failures, failures_before;
    int patience;
} state = {.held = true};

static struct {
    uint64_t injected[TORTURE_KIND_COUNT], runs;
} totals;

static struct sim_disk *disk;
static struct fail_disk *failing_disk;

const char *torture_name(enum torture_kind kind)
{
    static const char *const names[] = {
#define TORTURE_NAME(code, name, help) [TORTURE_##code] = name,
        TORTURE_KINDS(TORTURE_NAME)
#undef TORTURE_NAME
    };
    return names[kind];
}

bool torture_may_stick(enum torture_kind kind)
{
    return kind != TORTURE_POWER && kind != TORTURE_DATABASE_DOUBT;
}

bool torture_explains(enum torture_kind kind, enum trib_status status)
{
    switch (kind) {
    case TORTURE_MEMORY:
    case TORTURE_DATABASE_MEMORY: /* a commit in doubt is the disk's fault to whoever waits for it */
        return status == TRIB_NO_MEMORY || status == TRIB_IO;
    case TORTURE_DISK_FULL:
        return status == TRIB_NO_SPACE || status == TRIB_IO;
    case TORTURE_SEND:
        return false;
    default:
        return status == TRIB_IO;
    }
}

/* ---- when ---- */

/* The disks count for themselves. */
static void arm_disks(bool arm)
{
    bool calls = arm && state.kind == TORTURE_DISK_CALL;
    (void)fail_disk_after(failing_disk, calls ? (int64_t)state.after : -1, EIO, state.sticky);
    int errnum = state.kind == TORTURE_DISK_IO ? EIO : ENOSPC;
    bool fails = arm && (state.kind == TORTURE_DISK_IO || state.kind == TORTURE_DISK_FULL);
    sim_disk_fail(disk, state.after, fails ? errnum : 0, state.sticky);
    if (state.kind == TORTURE_POWER) {
        sim_disk_stop_after(disk, arm ? state.after : UINT64_MAX);
    }
}

static bool on_disk(enum torture_kind kind)
{
    return kind == TORTURE_DISK_CALL || kind == TORTURE_DISK_IO || kind == TORTURE_DISK_FULL || kind == TORTURE_POWER;
}

void torture_arm(enum torture_kind kind, uint64_t after, bool sticky)
{
    state.armed = true;
    state.sticky = sticky;
    state.kind = kind;
    state.after = after;
    state.counted = on_disk(kind) ? sim_disk_counts(disk).operations : 0;
    state.failures = 0;
    state.failures_before = sim_disk_counts(disk).failures;
    state.patience = PATIENCE;
    arm_disks(true);
}

static uint64_t count_failures(void)
{
    if (!state.armed) {
        return state.failures;
    }
    switch (state.kind) {
    case TORTURE_DISK_CALL:
        return (uint64_t)fail_disk_failures(failing_disk);
    case TORTURE_DISK_IO:
    case TORTURE_DISK_FULL:
        return sim_disk_counts(disk).failures - state.failures_before;
    case TORTURE_POWER:
        return sim_disk_stopped(disk);
    default:
        return state.failures;
    }
}

bool torture_fired(void)
{
    return count_failures() > 0;
}

uint64_t torture_counted(void)
{
    return on_disk(state.kind) ? sim_disk_counts(disk).operations - state.counted : state.counted;
}

uint64_t torture_disarm(void)
{
    if (state.armed) {
        state.failures = count_failures();
        state.armed = false;
        arm_disks(false);
        totals.injected[state.kind] += state.failures;
    }
    return state.failures;
}

bool torture_hold(bool hold)
{
    bool was = state.held;
    state.held = hold;
    return was;
}

void torture_wait(void)
{
    if (state.armed && state.sticky && torture_fired() && --state.patience == 0) {
        (void)torture_disarm();
    }
}

/* Is it this one's turn? */
bool torture_fails(enum torture_kind kind)
{
    if (!state.armed || state.held || state.kind != kind) {
        return false;
    }
    uint64_t number = state.counted++;
    bool failed = number == state.after || (state.sticky && number > state.after);
    state.failures += failed;
    return failed;
}

bool torture_send_fails(void)
{
    return torture_fails(TORTURE_SEND);
}

int __wrap_nanosleep(const struct timespec *length, struct timespec *left);

int __wrap_nanosleep(const struct timespec *length, struct timespec *left)
{
    (void)length;
    (void)left;
    torture_wait();
    return 0;
}

static bool memory_fails(void)
{
    return torture_fails(TORTURE_MEMORY);
}

/* ---- begin and end ---- */

void torture_begin(void)
{
    struct trib_error error;
    const struct trib_log_options options = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    if (!getenv("TRIB_TORTURE_LOG") && trib_log_open(&options, &error) != TRIB_OK) {
        abort();
    }
    fail_memory_ask(memory_fails);
    torture_begin_database();
}

struct sim_disk *torture_new_disk(uint64_t seed)
{
    torture_free_disk();
    disk = sim_disk_new(seed);
    failing_disk = fail_disk_new(sim_disk_table(disk));
    if (!failing_disk) {
        abort();
    }
    sim_disk_vfs_seed(seed);
    (void)trib_disk_use(fail_disk_table(failing_disk));
    return disk;
}

struct sim_disk *torture_disk(void)
{
    return disk;
}

void torture_free_disk(void)
{
    if (disk) {
        (void)trib_disk_use(NULL);
        fail_disk_free(failing_disk);
        sim_disk_free(disk);
        disk = NULL;
        failing_disk = NULL;
    }
}

struct torture_use torture_use(void)
{
    return (struct torture_use){.blocks = fail_memory_live(),
                                .descriptors = fail_disk_descriptors(failing_disk),
                                .database_bytes = sqlite3_memory_used()};
}

/* ---- all N ---- */

/* A run that never ends is told of, too. */
enum { DEADLINE_S = 20 };
static char present[160];

static void on_alarm(int number)
{
    static const char text[] = "this does not come to an end: ";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)!write(STDERR_FILENO, present, strlen(present));
    abort();
}

/* What TRIB_TORTURE asks for: nothing, "all", or one run, as a failure names it. */
struct wish {
    bool all, one;
    char kind[32], how[16], what[64];
    uint64_t after;
};

static struct wish read_wish(void)
{
    struct wish wish = {.all = false};
    const char *text = getenv("TRIB_TORTURE");
    if (text) {
        wish.all = strcmp(text, "all") == 0;
        wish.one = sscanf(text, "%31s %15s %" SCNu64 " %63[^\n]", wish.kind, wish.how, &wish.after, wish.what) == 4;
    }
    return wish;
}

static bool run_one(const char *what, enum torture_kind kind, bool sticky, uint64_t after, torture_run *run,
                    void *context)
{
    (void)snprintf(present, sizeof present, "%s %s %" PRIu64 " %s\n", torture_name(kind), sticky ? "sticky" : "once",
                   after, what);
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(DEADLINE_S);
    bool fired = run(context, kind, sticky, after);
    (void)alarm(0);
    totals.runs++;
    return fired;
}

void torture_each(const char *what, enum torture_kind kind, bool sticky, uint64_t things, uint64_t most,
                  torture_run *run, void *context)
{
    const struct wish wish = read_wish();
    const char *how = sticky ? "sticky" : "once";
    uint64_t stride = wish.all || things <= most ? 1 : (things + most - 1) / most;
    uint64_t runs = totals.runs, injected = totals.injected[kind], after = 0;
    if (wish.one) {
        if (strcmp(wish.what, what) == 0 && strcmp(wish.kind, torture_name(kind)) == 0 && strcmp(wish.how, how) == 0) {
            (void)run_one(what, kind, sticky, wish.after, run, context);
        }
        return;
    }
    while (run_one(what, kind, sticky, after, run, context)) {
        after += stride;
    }
    printf("%-24s %-15s %-6s of %5" PRIu64 ": runs %5" PRIu64 ", failures %6" PRIu64 "\n", what, torture_name(kind),
           how, things, totals.runs - runs, totals.injected[kind] - injected);
    (void)fflush(stdout);
}

void torture_print_totals(void)
{
    printf("in all: runs %" PRIu64, totals.runs);
    for (int kind = 0; kind < TORTURE_KIND_COUNT; kind++) {
        printf(", %s %" PRIu64, torture_name((enum torture_kind)kind), totals.injected[kind]);
    }
    printf("\n");
}
