/* Start-up and a commit, with the Nth thing failing, for N = 1, 2, 3 ... until nothing fails any more: each operation
 * of the disk, each allocation of SQLite's, each of ours. Whatever fails, an error of a kind that fits is told, nothing
 * leaks, and what is found afterwards is the state before or the one after, never between; doubt is told when it is the
 * one after in spite of an error. */
#include "store/blobs.h"
#include "store/store.h"

#include "base/mem.h"
#include "fail_disk.h"
#include "fail_memory.h"
#include "sim_disk.h"
#include "sim_disk_vfs.h"
#include "test_main.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* ---- SQLite's memory ---- */

static sqlite3_mem_methods memory; /* the one below */
static int64_t allocations_left = -1;
static bool allocations_fail_on;
static int64_t allocations_failed;

static bool may_allocate(void)
{
    if (allocations_left < 0) {
        return true;
    }
    if (allocations_left > 0) {
        allocations_left--;
        return true;
    }
    allocations_failed++;
    if (!allocations_fail_on) {
        allocations_left = -1;
    }
    return false;
}

static void *failing_malloc(int size)
{
    return may_allocate() ? memory.xMalloc(size) : NULL;
}

static void *failing_realloc(void *old, int size)
{
    return may_allocate() ? memory.xRealloc(old, size) : NULL;
}

/* Before SQLite is used at all. */
static void use_failing_memory(void)
{
    bool got = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) == SQLITE_OK;
    sqlite3_mem_methods methods = memory;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    if (!got || sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) {
        abort();
    }
}

/* ---- what fails ---- */

static struct sim_disk *disk;
static struct fail_disk *failing;

enum kind { DISK_IO, DISK_IO_ON, DISK_FULL, SQLITE_MEMORY, SQLITE_MEMORY_ON, OUR_MEMORY, OUR_MEMORY_ON, KINDS };

static void start_failing(enum kind kind, int64_t after)
{
    allocations_failed = 0;
    switch (kind) {
    case DISK_IO:
    case DISK_IO_ON:
        fail_disk_after(failing, after, EIO, kind == DISK_IO_ON);
        break;
    case DISK_FULL:
        fail_disk_after(failing, after, ENOSPC, true);
        break;
    case SQLITE_MEMORY:
    case SQLITE_MEMORY_ON:
        allocations_left = after;
        allocations_fail_on = kind == SQLITE_MEMORY_ON;
        break;
    default:
        (void)fail_memory_after(after, kind == OUR_MEMORY_ON);
        break;
    }
}

/* Whether anything did; -1: it cannot be known. */
static int stop_failing(enum kind kind)
{
    int64_t failures = fail_disk_failures(failing);
    fail_disk_after(failing, -1, 0, false);
    allocations_left = -1;
    (void)fail_memory_after(-1, false);
    return kind >= OUR_MEMORY ? -1 : failures + allocations_failed > 0;
}

/* ---- the work ---- */

static enum trib_status put_records(struct trib_store *store, const struct trib_blob_name *name,
                                    struct trib_error *error)
{
    struct trib_store_version_blobs blob = {.run = "r", .version = 2, .kind = "model", .len = name->len};
    const struct trib_store_versions version = {.run = "r", .version = 2};
    const struct trib_store_runs run = {.run = "r", .round = 2, .engine_state = {"two", 3}};
    memcpy(blob.sha256, name->sha256, sizeof blob.sha256);
    TRIB_TRY(trib_store_put(store, TRIB_STORE_version_blobs, &blob, error));
    TRIB_TRY(trib_store_put(store, TRIB_STORE_versions, &version, error));
    return trib_store_put(store, TRIB_STORE_runs, &run, error);
}

static enum trib_status commit(struct trib_store *store, struct trib_blobs *blobs, bool *doubtful,
                               struct trib_error *error)
{
    struct trib_blob_name name;
    TRIB_TRY(trib_blobs_put(blobs, "model 2", 7, &name, error));
    TRIB_TRY(trib_blobs_sync(blobs, error));
    TRIB_TRY(trib_store_begin(store, error));
    enum trib_status status = put_records(store, &name, error);
    if (status != TRIB_OK) {
        trib_store_undo(store);
        return status;
    }
    return trib_store_end(store, true, doubtful, error);
}

static enum trib_status start_and_commit(bool *doubtful, struct trib_error *error)
{
    struct trib_store *store = NULL;
    struct trib_blobs *blobs = NULL;
    enum trib_status status = trib_blobs_open("/", &blobs, error);
    if (status == TRIB_OK) {
        status = trib_store_open(trib_store_backend_find("sqlite"), "/state.db", &store, error);
    }
    if (status == TRIB_OK) {
        status = commit(store, blobs, doubtful, error);
    }
    trib_store_close(store);
    trib_blobs_close(blobs);
    return status;
}

/* The round that the run is in: 1 before, 2 after; what belongs to it is there, and whole. */
static uint64_t look(void)
{
    struct trib_error error = {0};
    struct trib_store *store = NULL;
    struct trib_blobs *blobs = NULL;
    struct trib_store_runs run = {.run = "r"};
    struct trib_store_version_blobs blob = {.run = "r", .version = 2, .kind = "model"};
    bool found[2];
    ck_assert_msg(trib_store_open(trib_store_backend_find("sqlite"), "/state.db", &store, &error) == TRIB_OK, "%s",
                  error.message);
    ck_assert_int_eq(trib_blobs_open("/", &blobs, &error), TRIB_OK);
    ck_assert_msg(trib_store_check(store, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_store_get(store, TRIB_STORE_runs, &run, &found[0], &error), TRIB_OK);
    ck_assert_int_eq(trib_store_get(store, TRIB_STORE_version_blobs, &blob, &found[1], &error), TRIB_OK);
    ck_assert(found[0] && found[1] == (run.round == 2));
    if (found[1]) {
        struct trib_blob_name name = {.len = blob.len};
        memcpy(name.sha256, blob.sha256, sizeof name.sha256);
        ck_assert_msg(trib_blobs_verify(blobs, &name, &error) == TRIB_OK, "%s", error.message);
    }
    trib_blobs_close(blobs);
    trib_store_close(store);
    return run.round;
}

static void make_round_1(void)
{
    struct trib_store *store = NULL;
    const struct trib_store_runs run = {.run = "r", .round = 1};
    ck_assert_int_eq(trib_store_open(trib_store_backend_find("sqlite"), "/state.db", &store, NULL), TRIB_OK);
    ck_assert_int_eq(trib_store_begin(store, NULL), TRIB_OK);
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_runs, &run, NULL), TRIB_OK);
    ck_assert_int_eq(trib_store_end(store, true, NULL, NULL), TRIB_OK);
    trib_store_close(store);
}

static bool fits(enum kind kind, enum trib_status status)
{
    switch (kind) {
    case DISK_IO:
    case DISK_IO_ON:
        return status == TRIB_IO;
    case DISK_FULL: /* of what does not write, too: a failing disk may say anything anywhere */
        return status == TRIB_NO_SPACE || status == TRIB_IO;
    default:
        return status == TRIB_NO_MEMORY;
    }
}

/* True when nothing failed any more. */
static bool torture(enum kind kind, int64_t after)
{
    struct trib_error error = {0};
    bool doubtful = false;
    disk = sim_disk_new((uint64_t)after + 1);
    const struct trib_disk *before = trib_disk_use(sim_disk_table(disk));
    make_round_1();
    failing = fail_disk_new(sim_disk_table(disk));
    ck_assert_ptr_nonnull(failing);
    trib_disk_use(fail_disk_table(failing));
    start_failing(kind, after);
    enum trib_status status = start_and_commit(&doubtful, &error);
    int failed = stop_failing(kind);
    trib_disk_use(sim_disk_table(disk));
    ck_assert_msg(status == TRIB_OK || fits(kind, status), "kind %d, %d: %s: %s", (int)kind, (int)after,
                  trib_status_name(status), error.message);
    if (status == TRIB_OK) {
        sim_disk_crash(disk); /* what was said to be durable is */
        sim_disk_start(disk);
    }
    uint64_t round = look();
    ck_assert_msg(round == 2 ? status == TRIB_OK || doubtful : status != TRIB_OK,
                  "kind %d, %d: round %d after \"%s\"%s", (int)kind, (int)after, (int)round, error.message,
                  doubtful ? ", in doubt" : "");
    trib_disk_use(before);
    fail_disk_free(failing);
    sim_disk_free(disk);
    return failed >= 0 ? failed == 0 : status == TRIB_OK;
}

START_TEST(the_nth_thing_fails)
{
    int64_t n = 0;
    while (!torture((enum kind)_i, n)) {
        n++;
        ck_assert_int_lt(n, 5000);
    }
    printf("kind %d: %d failures\n", _i, (int)n);
    ck_assert_int_gt(n, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_torture");
    TCase *tcase = tcase_create("torture");
    use_failing_memory();
    sim_disk_vfs_register();
    tcase_set_timeout(tcase, 240);
    tcase_add_loop_test(tcase, the_nth_thing_fails, 0, KINDS);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
