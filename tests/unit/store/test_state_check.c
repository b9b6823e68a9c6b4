/* The check of a state directory: a sound one passes, and each kind of damage is found, and named so that a person
 * knows which file, which table and what. Nothing is changed by looking. */
#include "store/state_check.h"

#include "store/blobs.h"
#include "store/store.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "fail_memory.h"
#include "test_main.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMBER_STATES = 13, VERSIONS = 4 };

static char dir[64], database[96];
static struct trib_blob_name blobs_of[VERSIONS + 1][2]; /* model, delta */
static struct trib_state_summary summary;
static struct trib_error error;
static char findings[8192];

static void remove_tree(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        char child[512];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(child) != 0) {
            remove_tree(child);
        }
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(path);
}

static void put(struct trib_store *store, enum trib_store_table_id table, const void *record)
{
    ck_assert_msg(trib_store_put(store, table, record, &error) == TRIB_OK, "%s", error.message);
}

static void put_version(struct trib_store *store, struct trib_blobs *blobs, const char *run, uint64_t version)
{
    static const char *const kinds[] = {"model", "delta"};
    struct trib_store_versions record = {.version = version, .round = version, .len = 10};
    struct trib_store_rounds round = {.round = version, .outcome = "committed", .version = version};
    trib_str_copy(record.run, sizeof record.run, run);
    trib_str_copy(round.run, sizeof round.run, run);
    put(store, TRIB_STORE_versions, &record);
    put(store, TRIB_STORE_rounds, &round);
    for (int i = 0; i < 2 && version > 2; i++) { /* those of older versions have been swept */
        struct trib_store_version_blobs blob = {.version = version};
        char text[64];
        int len = snprintf(text, sizeof text, "%s %s of %d", run, kinds[i], (int)version);
        ck_assert_int_eq(trib_blobs_put(blobs, text, (size_t)len, &blobs_of[version][i], &error), TRIB_OK);
        trib_str_copy(blob.run, sizeof blob.run, run);
        trib_str_copy(blob.kind, sizeof blob.kind, kinds[i]);
        memcpy(blob.sha256, blobs_of[version][i].sha256, sizeof blob.sha256);
        blob.len = blobs_of[version][i].len;
        put(store, TRIB_STORE_version_blobs, &blob);
    }
}

static void put_records(struct trib_store *store, struct trib_blobs *blobs)
{
    /* the present run's name comes first, its number last */
    const struct trib_store_runs past = {.run = "bb22", .number = 1, .ended = 9},
                                 present = {.run = "aa11", .number = 2};
    const struct trib_store_nodes node = {.node = "boat-7", .joined = 1};
    const struct trib_store_members member = {.run = "aa11", .node = "boat-7", .state = 5};
    const struct trib_store_offers offer = {.run = "aa11", .round = 2, .node = "boat-7"};
    const struct trib_store_outcomes outcome = {.run = "aa11", .round = 2, .node = "boat-7", .outcome = "folded"};
    put(store, TRIB_STORE_runs, &past);
    put(store, TRIB_STORE_runs, &present);
    put(store, TRIB_STORE_nodes, &node);
    put(store, TRIB_STORE_members, &member);
    put(store, TRIB_STORE_offers, &offer);
    put(store, TRIB_STORE_outcomes, &outcome);
    put_version(store, blobs, "bb22", 1);
    for (uint64_t version = 1; version <= VERSIONS; version++) {
        struct trib_store_audit line = {.number = version, .event = "round_committed"};
        put_version(store, blobs, "aa11", version);
        put(store, TRIB_STORE_audit, &line);
    }
}

static void set_up(void)
{
    struct trib_store *store = NULL;
    struct trib_blobs *blobs = NULL;
    error = (struct trib_error){0};
    snprintf(dir, sizeof dir, "/tmp/trib-test-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(database, sizeof database, "%s/state.db", dir);
    ck_assert_msg(trib_store_open(trib_store_backend_find("sqlite"), database, &store, &error) == TRIB_OK, "%s",
                  error.message);
    ck_assert_msg(trib_blobs_open(dir, &blobs, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_store_begin(store, &error), TRIB_OK);
    put_records(store, blobs);
    ck_assert_int_eq(trib_store_end(store, true, NULL, &error), TRIB_OK);
    trib_blobs_close(blobs);
    trib_store_close(store);
}

static void clean_up(void)
{
    remove_tree(dir);
}

static void report(void *context, bool is_damage, const char *text)
{
    size_t used = strlen(findings);
    ck_assert_ptr_eq(context, dir);
    snprintf(findings + used, sizeof findings - used, "%s: %s\n", is_damage ? "damage" : "note", text);
}

static enum trib_status check(void)
{
    findings[0] = 0;
    return trib_state_check(dir, MEMBER_STATES, report, dir, &summary, &error);
}

static void expect_damage(const char *text, uint64_t n)
{
    enum trib_status status = check();
    ck_assert_msg(status == TRIB_CORRUPT, "%s: %s", text, trib_status_name(status));
    ck_assert_msg(strstr(findings, text), "\"%s\" is not in: %s", text, findings);
    ck_assert_msg(summary.damages == n, "%d damages: %s", (int)summary.damages, findings);
    ck_assert_ptr_nonnull(strstr(error.message, dir));
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(database, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static const char *blob_path(uint64_t version, int kind)
{
    static char path[256];
    char hex[65];
    trib_hex_encode(blobs_of[version][kind].sha256, 32, hex);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", dir, hex, hex + 2);
    return path;
}

START_TEST(a_sound_state_passes)
{
    struct trib_buf before = {0}, after = {0};
    ck_assert_int_eq(trib_file_read(database, 1 << 24, &before, &error), TRIB_OK);
    ck_assert_msg(check() == TRIB_OK, "%s", findings);
    ck_assert_str_eq(findings, "");
    ck_assert_uint_eq(summary.runs, 2);
    ck_assert_uint_eq(summary.nodes, 1);
    ck_assert_uint_eq(summary.rounds, VERSIONS + 1);
    ck_assert_uint_eq(summary.versions, VERSIONS + 1);
    ck_assert_uint_eq(summary.blobs, 4);
    ck_assert_uint_eq(summary.blob_bytes, 4 * 15);
    ck_assert_uint_eq(summary.unreferenced + summary.leftovers + summary.damages, 0);
    ck_assert_int_eq(trib_file_read(database, 1 << 24, &after, &error), TRIB_OK);
    ck_assert(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
    trib_buf_clear(&before);
    trib_buf_clear(&after);
}
END_TEST

START_TEST(what_a_crash_left_is_no_damage)
{
    char path[128];
    struct trib_blobs *blobs = NULL;
    struct trib_blob_name name;
    ck_assert_int_eq(trib_blobs_open(dir, &blobs, &error), TRIB_OK);
    ck_assert_int_eq(trib_blobs_put(blobs, "nobody's", 8, &name, &error), TRIB_OK);
    trib_blobs_close(blobs);
    snprintf(path, sizeof path, "%s/blobs/tmp/3", dir);
    ck_assert_int_eq(trib_file_replace(path, "half", 4, &error), TRIB_OK);
    ck_assert_msg(check() == TRIB_OK, "%s", findings);
    ck_assert_uint_eq(summary.unreferenced, 1);
    ck_assert_uint_eq(summary.leftovers, 1);
    ck_assert_str_eq(findings, "note: blobs: 1 of 5 are needed by no record; the server sweeps them away\n"
                               "note: blobs/tmp: 1 unfinished files of a crash; they go when the server starts\n");
    ck_assert_int_eq(access(path, F_OK), 0); /* not by the check */
    run_sql("DELETE FROM version_blobs; DELETE FROM versions; DELETE FROM rounds");
    ck_assert_msg(check() == TRIB_OK, "%s", findings);
    ck_assert_ptr_nonnull(strstr(findings, "note: state.db: run aa11 has no model yet"));
}
END_TEST

/* Commits that are only in the log count; the log is left to the server. */
START_TEST(a_log_is_read_and_left)
{
    char log[112], kept[112], kept_log[112];
    struct trib_store *store = NULL;
    struct trib_buf content = {0};
    const struct trib_store_nodes node = {.node = "second"};
    snprintf(log, sizeof log, "%s-wal", database);
    snprintf(kept, sizeof kept, "%s/kept", dir);
    snprintf(kept_log, sizeof kept_log, "%s/kept-wal", dir);
    ck_assert_int_eq(trib_store_open(trib_store_backend_find("sqlite"), database, &store, &error), TRIB_OK);
    ck_assert_int_eq(trib_store_begin(store, &error), TRIB_OK);
    put(store, TRIB_STORE_nodes, &node);
    ck_assert_int_eq(trib_store_end(store, true, NULL, &error), TRIB_OK);
    ck_assert_int_eq(check(), TRIB_UNAVAILABLE); /* the server runs */
    ck_assert_ptr_nonnull(strstr(error.message, "state.db: another process uses it"));
    ck_assert_int_eq(link(log, kept_log), 0); /* as if the process died now */
    ck_assert_int_eq(trib_file_read(log, 1 << 24, &content, &error), TRIB_OK);
    struct trib_buf pages = {0};
    ck_assert_int_eq(trib_file_read(database, 1 << 24, &pages, &error), TRIB_OK);
    trib_store_close(store);
    ck_assert_int_eq(trib_file_replace(database, pages.data, pages.len, &error), TRIB_OK);
    ck_assert_int_eq(trib_file_replace(log, content.data, content.len, &error), TRIB_OK);
    trib_buf_clear(&pages);
    trib_buf_clear(&content);
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(check() == TRIB_OK, "%s%s", findings, error.message);
        ck_assert_uint_eq(summary.nodes, 2);
        ck_assert_int_eq(access(log, F_OK), 0);
    }
}
END_TEST

START_TEST(damaged_records_are_named)
{
    static const struct {
        const char *sql, *text;
    } cases[] = {
        {"UPDATE runs SET run = '../x' WHERE run = 'bb22'; UPDATE versions SET run = '../x' WHERE run = 'bb22';"
         "UPDATE rounds SET run = '../x' WHERE run = 'bb22'",
         "damage: state.db: table runs: \"../x\" is no name of a run"},
        {"UPDATE runs SET open = 2 WHERE number = 1", "table runs: run bb22: number 1, open 2, decided 0 cannot be"},
        {"UPDATE runs SET number = 2", "table runs: aa11 and bb22 have the same number 2"},
        {"UPDATE nodes SET node = ''", "table nodes: a node without a name"},
        {"UPDATE members SET state = 13", "table members: run aa11: node boat-7: a state 13 does not exist"},
        {"UPDATE members SET node = ''", "table members: run aa11: a node without a name"},
        {"UPDATE members SET run = 'zz'", "table members: names a run \"zz\" that is not in table runs"},
        {"UPDATE offers SET run = 'zz'", "table offers: names a run \"zz\""},
        {"UPDATE outcomes SET run = 'zz'", "table outcomes: names a run \"zz\""},
        {"UPDATE rounds SET run = 'zz' WHERE round = 3", "table rounds: names a run \"zz\""},
        {"UPDATE rounds SET outcome = '' WHERE round = 3", "table rounds: run aa11: round 3 has no outcome"},
        {"DELETE FROM versions WHERE run = 'aa11' AND version = 2",
         "table versions: run aa11: version 1 is followed by 3"},
        {"UPDATE versions SET round = 1 WHERE version = 4",
         "table versions: run aa11: version 4 is of a round before that of 3"},
        {"UPDATE versions SET run = 'zz' WHERE run = 'bb22'", "table versions: names a run \"zz\""},
        {"DELETE FROM versions WHERE version = 4",
         "table version_blobs: run aa11: version 4 (model) is not in table versions"},
        {"DELETE FROM version_blobs WHERE version = 4 AND kind = 'model'",
         "table version_blobs: run aa11: version 4, the last one, has no model"},
        {"UPDATE version_blobs SET len = 99 WHERE version = 3 AND kind = 'delta'",
         "has 15 bytes, and the delta of run aa11, version 3 has 99"},
        {"UPDATE version_blobs SET sha256 = zeroblob(32) WHERE version = 3 AND kind = 'delta'",
         "blobs/00/00000000000000000000000000000000000000000000000000000000000000: is missing: the delta of run aa11"},
        {"DELETE FROM audit WHERE number = 2", "table audit: line 1 is followed by 3"},
        {"UPDATE runs SET began = 1, strategy = 'a' || char(0)", "table runs: column strategy holds a text with a NUL"},
    };
    static const uint64_t more[sizeof cases / sizeof cases[0]] = {[14] = 2, [5] = 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_sql(cases[i].sql);
        expect_damage(cases[i].text, more[i] ? more[i] : 1);
        clean_up();
        set_up();
    }
}
END_TEST

START_TEST(damaged_files_are_named)
{
    char message[512];
    struct trib_buf content = {0};
    const char *path = blob_path(4, 0);
    ck_assert_int_eq(trib_file_read(path, 1000, &content, &error), TRIB_OK);
    content.data[7] ^= 1;
    ck_assert_int_eq(trib_file_replace(path, content.data, content.len, &error), TRIB_OK);
    snprintf(message, sizeof message, "damage: %s: its bytes have changed: their SHA-256 is", path);
    expect_damage(message, 1);
    printf("%s%s\n", findings, error.message);
    ck_assert_int_eq(trib_file_replace(path, content.data, content.len - 1, &error), TRIB_OK);
    expect_damage("has 14 bytes, and the model of run aa11, version 4 has 15", 2); /* and another hash */
    ck_assert_int_eq(unlink(path), 0);
    snprintf(message, sizeof message, "damage: %s: is missing: the model of run aa11, version 4", path);
    expect_damage(message, 1);
    trib_buf_clear(&content);
    snprintf(message, sizeof message, "%s/blobs", dir);
    remove_tree(message);
    expect_damage("is missing: the delta of run aa11, version 3", 4);
    ck_assert_ptr_nonnull(strstr(findings, "note: "));
}
END_TEST

/* Without a readable database the blobs are still looked at. */
START_TEST(a_damaged_database_is_named)
{
    struct trib_buf content = {0};
    ck_assert_int_eq(trib_file_read(database, 1 << 24, &content, &error), TRIB_OK);
    memset(content.data + 4096, 0x5a, content.len - 4096);
    ck_assert_int_eq(trib_file_replace(database, content.data, content.len, &error), TRIB_OK);
    enum trib_status status = check();
    ck_assert_msg(status == TRIB_CORRUPT && strstr(findings, "state.db"), "%s", findings);
    printf("%s", findings);
    ck_assert_int_eq(trib_file_replace(database, "garbage that is none", 20, &error), TRIB_OK);
    expect_damage("state.db: cannot be", 1);
    ck_assert_uint_eq(summary.blobs, 4);
    trib_buf_clear(&content);
}
END_TEST

START_TEST(what_is_no_state_is_said)
{
    ck_assert_int_eq(trib_file_replace(database, "", 0, &error), TRIB_OK);
    ck_assert_int_eq(check(), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "state.db: is empty, no run has begun"));
    ck_assert_int_eq(unlink(database), 0);
    ck_assert_int_eq(check(), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "there is no state.db: no server has kept its state here"));
    ck_assert_int_ne(access(database, F_OK), 0); /* none was made */
    char *none = trib_path_join(dir, "none");
    ck_assert_int_eq(trib_state_check(none, MEMBER_STATES, report, dir, &summary, &error), TRIB_NOT_FOUND);
    trib_free(none);
}
END_TEST

START_TEST(another_version_is_said)
{
    run_sql("PRAGMA user_version = 9");
    ck_assert_int_eq(check(), TRIB_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.message, "was written by a later version"));
    ck_assert_str_eq(findings, "");
}
END_TEST

START_TEST(memory_that_is_short_is_told)
{
    for (int after = 0;; after++) {
        ck_assert_int_lt(after, 2000);
        (void)fail_memory_after(after, false);
        enum trib_status status = check();
        (void)fail_memory_after(-1, false);
        if (status == TRIB_OK) {
            break;
        }
        ck_assert_msg(status == TRIB_NO_MEMORY, "%d: %s %s", after, trib_status_name(status), findings);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_check");
    TCase *tcase = tcase_create("check");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, a_sound_state_passes);
    tcase_add_test(tcase, what_a_crash_left_is_no_damage);
    tcase_add_test(tcase, a_log_is_read_and_left);
    tcase_add_test(tcase, damaged_records_are_named);
    tcase_add_test(tcase, damaged_files_are_named);
    tcase_add_test(tcase, a_damaged_database_is_named);
    tcase_add_test(tcase, what_is_no_state_is_said);
    tcase_add_test(tcase, another_version_is_said);
    tcase_add_test(tcase, memory_that_is_short_is_told);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
