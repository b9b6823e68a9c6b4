/* The proof of the simulated disk: SQLite, which is made for bad disks, loses nothing on it. Random transactions, an
 * end at a random operation, and after it every transaction whose COMMIT had returned is there, and nothing of others.
 */
#include "sim_disk.h"
#include "sim_disk_vfs.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "test_main.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { IDS = 24, VALUE_LEN = 3000 };

/* What a table holds: id -> length of the value and the byte that it consists of; length 0 = no such row. */
struct table {
    uint32_t len[IDS];
    uint8_t byte[IDS];
};

enum ending { CRASH, KILL };

struct life {
    struct sim_disk *disk;
    struct trib_rng rng;
    const char *journal;
    sqlite3 *db;
    struct table committed, doubtful; /* doubtful: what it is instead if the last COMMIT counted */
    unsigned commits, opened;
};

static bool run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* A sync that failed leaves a log that reads well and is not all on the disk, and a checkpoint from it would be
 * believed (Rebello et al. 2020). A copy of it, synced and then renamed over it, is beyond doubt; so is what a process
 * wrote that was killed before it could sync. */
static bool settle_log(void)
{
    static const char path[] = "/state/state.db-wal";
    struct trib_buf log = {0};
    enum trib_status status = trib_file_read(path, SIZE_MAX, &log, NULL);
    if (status == TRIB_OK && log.len > 0) {
        status = trib_file_replace(path, log.data, log.len, NULL);
    }
    trib_buf_clear(&log);
    return status == TRIB_OK || status == TRIB_NOT_FOUND;
}

static bool open_db(struct life *life)
{
    char sql[64];
    if (!settle_log() || sqlite3_open("/state/state.db", &life->db) != SQLITE_OK) {
        return false;
    }
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", life->journal);
    return run(life->db, "PRAGMA locking_mode=EXCLUSIVE") && run(life->db, sql) &&
           run(life->db, "PRAGMA synchronous=FULL") && run(life->db, "PRAGMA cache_size=10") &&
           run(life->db, "PRAGMA wal_autocheckpoint=0") &&
           run(life->db, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, value BLOB)");
}

/* One change, in the database and in `to`. */
static bool change(struct life *life, struct table *to)
{
    static const char put[] = "INSERT OR REPLACE INTO t VALUES (?1, ?2)", cut[] = "DELETE FROM t WHERE id = ?1";
    uint8_t value[VALUE_LEN];
    size_t id = (size_t)trib_rng_below(&life->rng, IDS);
    bool removes = trib_rng_below(&life->rng, 4) == 0;
    uint32_t len = removes ? 0 : 1 + (uint32_t)trib_rng_below(&life->rng, VALUE_LEN);
    uint8_t byte = removes ? 0 : (uint8_t)trib_rng_u32(&life->rng);
    sqlite3_stmt *statement = NULL;
    memset(value, byte, len);
    bool done = sqlite3_prepare_v2(life->db, removes ? cut : put, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_bind_int64(statement, 1, (sqlite3_int64)id) == SQLITE_OK &&
                (removes || sqlite3_bind_blob(statement, 2, value, (int)len, SQLITE_STATIC) == SQLITE_OK) &&
                sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    to->len[id] = len;
    to->byte[id] = byte;
    return done;
}

/* One of SQLite's own after a COMMIT keeps it to itself when a sync fails, and later COMMITs then promise what they
 * cannot keep. One of ours is the end. */
static bool checkpoint(struct life *life)
{
    return sqlite3_wal_checkpoint_v2(life->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK;
}

/* False ends the life. A transaction that is rolled back is gone for sure. */
static bool transact(struct life *life)
{
    struct table after = life->committed;
    size_t n = 1 + (size_t)trib_rng_below(&life->rng, 6);
    if (!run(life->db, "BEGIN IMMEDIATE")) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!change(life, &after)) {
            return false;
        }
    }
    if (trib_rng_below(&life->rng, 5) == 0) {
        return run(life->db, "ROLLBACK");
    }
    life->doubtful = after;
    if (!run(life->db, "COMMIT")) {
        return false;
    }
    life->committed = after;
    life->commits++;
    return trib_rng_below(&life->rng, 4) > 0 || checkpoint(life);
}

static bool read_table(sqlite3 *db, struct table *table)
{
    sqlite3_stmt *statement = NULL;
    bool sane = sqlite3_prepare_v2(db, "SELECT id, value FROM t", -1, &statement, NULL) == SQLITE_OK;
    memset(table, 0, sizeof *table);
    while (sane && sqlite3_step(statement) == SQLITE_ROW) {
        sqlite3_int64 id = sqlite3_column_int64(statement, 0);
        const uint8_t *value = sqlite3_column_blob(statement, 1);
        int len = sqlite3_column_bytes(statement, 1);
        sane = id >= 0 && id < IDS && len > 0;
        for (int i = 1; sane && i < len; i++) {
            sane = value[i] == value[0];
        }
        if (sane) {
            table->len[id] = (uint32_t)len;
            table->byte[id] = value[0];
        }
    }
    return sqlite3_finalize(statement) == SQLITE_OK && sane;
}

static int is_ok(void *context, int n, char **values, char **names)
{
    (void)names;
    *(bool *)context = n == 1 && strcmp(values[0], "ok") == 0;
    return 0;
}

/* NULL = all is well. Then `committed` is what is there. */
static const char *judge(struct life *life)
{
    struct table found;
    bool whole = false;
    if (!open_db(life)) {
        return "cannot be opened";
    }
    if (sqlite3_exec(life->db, "PRAGMA integrity_check", is_ok, &whole, NULL) != SQLITE_OK || !whole) {
        return "is damaged";
    }
    if (!read_table(life->db, &found)) {
        return "has wrong rows";
    }
    bool before = memcmp(&found, &life->committed, sizeof found) == 0;
    if (!before && memcmp(&found, &life->doubtful, sizeof found) != 0) {
        return "lost or mixed transactions";
    }
    life->committed = life->doubtful = found;
    return NULL;
}

static void end_life(struct life *life, enum ending ending)
{
    if (ending == KILL) {
        sim_disk_kill(life->disk);
    } else {
        sim_disk_crash(life->disk);
    }
    sqlite3_close(life->db);
    life->db = NULL;
    sim_disk_start(life->disk);
}

static void begin_world(struct life *life, uint64_t seed, const char *journal)
{
    *life = (struct life){.disk = sim_disk_new(seed), .rng = trib_rng_init(seed, "life", 0, 0), .journal = journal};
    trib_disk_use(sim_disk_table(life->disk));
    sim_disk_vfs_seed(seed);
    ck_assert_int_eq(trib_disk_mkdir("/state", 0750), 0);
    ck_assert_int_eq(trib_disk_sync_dir("/"), 0);
}

static void end_world(struct life *life)
{
    sqlite3_close(life->db);
    trib_disk_use(NULL);
    sim_disk_free(life->disk);
}

/* Several lives on one disk, each ended at some operation, be it in opening. A rollback journal is at an end when it is
 * removed, synced or not: one that a killed process removed comes back when the power goes after that, and undoes what
 * was seen meanwhile. So there is no killing then. */
static unsigned live(uint64_t seed, const char *journal, bool faults)
{
    enum { LIVES = 4, MOST = 40, OPERATIONS = 150 };
    struct life life;
    bool may_kill = strcmp(journal, "WAL") == 0;
    begin_world(&life, seed, journal);
    for (unsigned i = 0; i < LIVES; i++) {
        sim_disk_stop_after(life.disk, trib_rng_below(&life.rng, OPERATIONS));
        if (faults) {
            sim_disk_fail(life.disk, trib_rng_below(&life.rng, OPERATIONS), EIO, false);
        }
        bool lives = open_db(&life);
        for (unsigned t = 0; t < MOST && lives; t++) {
            lives = transact(&life);
        }
        end_life(&life, may_kill && trib_rng_below(&life.rng, 4) == 0 ? KILL : CRASH);
        const char *wrong = judge(&life);
        if (wrong) {
            sim_disk_dump(life.disk, stderr);
            ck_abort_msg("seed %llu, %s, life %u: the database %s: %s", (unsigned long long)seed, journal, i, wrong,
                         sqlite3_errmsg(life.db));
        }
        end_life(&life, CRASH);
    }
    end_world(&life);
    return life.commits;
}

static void live_often(const char *journal, uint64_t n, bool faults)
{
    unsigned commits = 0;
    for (uint64_t seed = 1; seed <= n; seed++) {
        commits += live(seed, journal, faults);
    }
    ck_assert_uint_gt(commits, n); /* else it were no test */
}

START_TEST(the_write_ahead_log_survives)
{
    live_often("WAL", 600, false);
}
END_TEST

START_TEST(it_survives_operations_that_fail)
{
    live_often("WAL", 300, true);
}
END_TEST

START_TEST(rollback_journals_survive)
{
    live_often("DELETE", 150, false);
    live_often("TRUNCATE", 150, false);
    live_often("PERSIST", 150, false);
}
END_TEST

/* The proof of the proof: with less than synchronous=FULL transactions are lost on this disk. */
START_TEST(without_syncs_transactions_are_lost)
{
    unsigned lost = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct life life;
        struct table found = {0};
        begin_world(&life, seed, "WAL");
        ck_assert(open_db(&life) && run(life.db, "PRAGMA synchronous=NORMAL"));
        bool lives = true;
        while (lives && life.commits < 3) {
            lives = transact(&life);
        }
        ck_assert(lives);
        end_life(&life, CRASH);
        ck_assert(open_db(&life) && read_table(life.db, &found));
        lost += memcmp(&found, &life.committed, sizeof found) != 0;
        end_world(&life);
    }
    ck_assert(lost > 30);
}
END_TEST

START_TEST(a_database_is_of_one_connection)
{
    struct life life;
    sqlite3 *second = NULL;
    begin_world(&life, 1, "WAL");
    ck_assert(open_db(&life));
    ck_assert_int_eq(sqlite3_open("/state/state.db", &second), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(second, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_BUSY);
    sqlite3_close(second);
    end_world(&life);
}
END_TEST

static int copy_text(void *context, int n, char **values, char **names)
{
    (void)names;
    snprintf(context, 64, "%s", n > 0 && values[0] ? values[0] : "");
    return 0;
}

START_TEST(clock_and_chance_are_the_tests)
{
    struct life life;
    char first[64], second[64], now[64];
    for (int i = 0; i < 2; i++) {
        begin_world(&life, 7, "DELETE");
        ck_assert(open_db(&life));
        sqlite3_exec(life.db, "SELECT hex(randomblob(16))", copy_text, i == 0 ? first : second, NULL);
        end_world(&life);
    }
    ck_assert_str_eq(first, second);
    sim_disk_vfs_clock(1000000000000);
    begin_world(&life, 8, "DELETE");
    ck_assert(open_db(&life));
    sqlite3_exec(life.db, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')", copy_text, now, NULL);
    ck_assert_str_eq(now, "2001-09-09 01:46:40.000");
    end_world(&life);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
    struct life life;
    begin_world(&life, 1, "WAL");
    ck_assert(open_db(&life));
    ck_assert(transact(&life));
    sim_disk_capacity(life.disk, sim_disk_counts(life.disk).held + 100);
    ck_assert(run(life.db, "BEGIN"));
    bool fits = true;
    for (int i = 0; i < 20 && fits; i++) {
        struct table ignored = {0};
        fits = change(&life, &ignored);
    }
    ck_assert_int_eq(sqlite3_exec(life.db, "COMMIT", NULL, NULL, NULL), fits ? SQLITE_FULL : SQLITE_ERROR);
    sim_disk_capacity(life.disk, 0);
    end_life(&life, CRASH);
    ck_assert_ptr_null(judge(&life));
    end_world(&life);
}
END_TEST

int main(void)
{
    sim_disk_vfs_register();
    Suite *suite = suite_create("disk_sqlite");
    TCase *test_case = tcase_create("disk_sqlite");
    tcase_set_timeout(test_case, 240);
    tcase_add_test(test_case, the_write_ahead_log_survives);
    tcase_add_test(test_case, it_survives_operations_that_fail);
    tcase_add_test(test_case, rollback_journals_survive);
    tcase_add_test(test_case, without_syncs_transactions_are_lost);
    tcase_add_test(test_case, a_database_is_of_one_connection);
    tcase_add_test(test_case, clock_and_chance_are_the_tests);
    tcase_add_test(test_case, a_full_disk_is_told);
    suite_add_tcase(suite, test_case);
    return trib_test_run(suite);
}
