/* Failing one thing after the other: the Nth allocation, disk call, SQLite call or send of what is under test, once or
 * from then on, for N = 0, 1, 2 ... until a run needs fewer. Between, what is under test must give back every block of
 * memory and every descriptor.
 *
 * Failures happen only between torture_hold(false) and torture_hold(true): what a test does for itself does not count.
 * One disk in memory (sim_disk.h) is everybody's, SQLite's included. One thread. */
#ifndef TRIB_TORTURE_H
#define TRIB_TORTURE_H

#include "sim_disk.h"

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/*   code          name             what fails */
#define TORTURE_KINDS(X)                                                                                               \
    X(MEMORY, "memory", "an allocation of ours")                                                                       \
    X(DISK_CALL, "disk_call", "a call of the disk, which does not happen: EIO")                                        \
    X(DISK_IO, "disk_io", "a call of the disk, which may half happen; a sync loses what it was to keep: EIO")          \
    X(DISK_FULL, "disk_full", "a call of the disk that needs room: ENOSPC")                                            \
    X(POWER, "power", "the machine: the power goes in the middle of a call of the disk")                               \
    X(DATABASE_MEMORY, "database_memory", "an allocation of SQLite's")                                                 \
    X(DATABASE_CALL, "database_call", "a call of SQLite, which does not happen")                                       \
    X(DATABASE_DOUBT, "database_doubt", "a commit of SQLite's, which happens and says that it did not")                \
    X(SEND, "send", "a message to a client")

enum torture_kind {
#define TORTURE_ENUM(code, name, help) TORTURE_##code,
    TORTURE_KINDS(TORTURE_ENUM)
#undef TORTURE_ENUM
        TORTURE_KIND_COUNT
};
const char *torture_name(enum torture_kind kind);
/* Does it make sense that it goes on failing? */
bool torture_may_stick(enum torture_kind kind);
/* May what is under test say this when such a thing has failed? */
bool torture_explains(enum torture_kind kind, enum trib_status status);

/* Once a program, before anything else. */
void torture_begin(void);
/* A disk of its own for what follows; the one before goes. */
struct sim_disk *torture_new_disk(uint64_t seed);
struct sim_disk *torture_disk(void);
void torture_free_disk(void);

/* Let `after` things of that kind happen, then fail one (sticky: and all that follow, until patience is at its end). */
void torture_arm(enum torture_kind kind, uint64_t after, bool sticky);
/* Failures since torture_arm; none from here on. */
uint64_t torture_disarm(void);
/* Has anything failed since torture_arm? */
bool torture_fired(void);
/* Things of the armed kind that were counted since torture_arm. */
uint64_t torture_counted(void);
/* Hold failures back (at first) or let them happen; returns what it was. */
bool torture_hold(bool hold);
/* What goes on failing ends after some of these; and of waits for better times (nanosleep), which take no time. */
void torture_wait(void);
/* The next message is lost. */
bool torture_send_fails(void);

/* Blocks and descriptors that are in use now. */
struct torture_use {
    int64_t blocks, descriptors, database_bytes;
};
struct torture_use torture_use(void);

/* ---- all N ---- */
/* Runs one N and reports its faults itself; false: nothing failed any more, the run was clean. */
typedef bool torture_run(void *context, enum torture_kind kind, bool sticky, uint64_t after);
/* Every N with TRIB_TORTURE=all, one alone with TRIB_TORTURE="KIND once|sticky N WHAT", otherwise about `most` of them,
 * spread over all. `things` is how many the calm run counted. Prints a line of what was injected. TRIB_TORTURE_LOG=1
 * shows what the product logs. */
void torture_each(const char *what, enum torture_kind kind, bool sticky, uint64_t things, uint64_t most,
                  torture_run *run, void *context);
/* The sum of all lines. */
void torture_print_totals(void);

#endif
