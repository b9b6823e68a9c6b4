/* Databases that were not made by this very program: of each released version, of a later one, of somebody else,
 * damaged. What is refused is named, and left as it is. */
#include "store/store.h"

#include "base/file.h"
#include "base/str.h"
#include "test_main.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char dir[64], path[96];
static struct trib_store *store;
static struct trib_error error;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-schema-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state.db", dir);
    error = (struct trib_error){0};
}

static void clean_up(void)
{
    trib_store_close(store);
    store = NULL;
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* By SQLite itself, past the store. */
static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void make_version(int version)
{
    char file[512];
    struct trib_buf sql = {0};
    const char *data = getenv("TRIB_TEST_DATA");
    snprintf(file, sizeof file, "%s/state/version-%d.sql", data ? data : "tests/data", version);
    ck_assert_msg(trib_file_read(file, 1 << 20, &sql, &error) == TRIB_OK, "%s", error.message);
    run_sql(trib_buf_text(&sql));
    trib_buf_clear(&sql);
}

static enum trib_status open_store(void)
{
    return trib_store_open(trib_store_backend_find("sqlite"), path, &store, &error);
}

static void expect_refusal(enum trib_status status, const char *text)
{
    struct trib_buf before = {0}, after = {0};
    ck_assert_int_eq(trib_file_read(path, 1 << 24, &before, &error), TRIB_OK);
    enum trib_status got = open_store();
    ck_assert_msg(got == status, "%s: %s", trib_status_name(got), error.message);
    ck_assert_msg(strstr(error.message, text) && strstr(error.message, "state.db"), "%s", error.message);
    ck_assert_int_eq(trib_file_read(path, 1 << 24, &after, &error), TRIB_OK);
    ck_assert(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
    trib_buf_clear(&before);
    trib_buf_clear(&after);
}

static enum trib_status count_visit(void *context, const void *record, struct trib_error *failure)
{
    (void)record;
    (void)failure;
    ++*(int *)context;
    return TRIB_OK;
}

START_TEST(version_1_is_read)
{
    make_version(1);
    ck_assert_msg(open_store() == TRIB_OK, "%s", error.message);
    for (size_t t = 0; t < TRIB_STORE_TABLES; t++) {
        int n = 0;
        ck_assert_msg(trib_store_each(store, (enum trib_store_table_id)t, NULL, 0, count_visit, &n, &error) == TRIB_OK,
                      "%s", error.message);
        ck_assert_int_eq(n, 1);
    }
    struct trib_store_members member = {.run = "0011aabb", .node = "boat-7"};
    bool found = false;
    ck_assert_int_eq(trib_store_get(store, TRIB_STORE_members, &member, &found, &error), TRIB_OK);
    ck_assert(found && member.state == 2 && member.bytes == 4096 && member.relevance == 0.9 && member.weight == 600);
    ck_assert(member.update_sha256[31] == 0xcd && member.sketch.len == 2 && member.folded_round == 2);
    ck_assert_int_eq(trib_store_check(store, &error), TRIB_OK);
    ck_assert_int_eq(trib_store_begin(store, &error), TRIB_OK);
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_members, &member, &error), TRIB_OK);
    ck_assert_msg(trib_store_end(store, true, NULL, &error) == TRIB_OK, "%s", error.message);
}
END_TEST

START_TEST(an_empty_file_becomes_a_database)
{
    ck_assert_int_eq(trib_file_replace(path, "", 0, &error), TRIB_OK);
    ck_assert_msg(open_store() == TRIB_OK, "%s", error.message);
    trib_store_close(store);
    run_sql("SELECT count(*) FROM audit");
    ck_assert_msg(open_store() == TRIB_OK, "%s", error.message);
}
END_TEST

START_TEST(a_later_version_is_refused_by_name)
{
    make_version(1);
    run_sql("UPDATE runs SET software = 'tributary 9.1'; ALTER TABLE rounds ADD COLUMN more INTEGER;"
            "PRAGMA user_version = 9");
    expect_refusal(TRIB_UNSUPPORTED,
                   "was written by a later version of this program (tributary 9.1): its tables are of "
                   "version 9, this one knows up to 1; start that version");
    printf("%s\n", error.message);
    run_sql("DROP TABLE runs"); /* then its name is not known */
    expect_refusal(TRIB_UNSUPPORTED, "was written by a later version of this program: its tables");
}
END_TEST

START_TEST(another_programs_database_is_refused)
{
    run_sql("CREATE TABLE mine (a)");
    expect_refusal(TRIB_MISMATCH, "is a database of another program");
    run_sql("PRAGMA application_id = 77; PRAGMA user_version = 1");
    expect_refusal(TRIB_MISMATCH, "its application_id is 0x4d");
    printf("%s\n", error.message);
}
END_TEST

START_TEST(tables_that_are_not_as_they_should_be_are_named)
{
    static const struct {
        const char *sql, *message;
    } cases[] = {
        {"DROP TABLE audit", "tables are missing (8 of 9"},
        {"PRAGMA user_version = 0", "tables are missing (9 of 9, version 0)"},
        {"ALTER TABLE rounds DROP COLUMN accuracy", "table rounds: has fewer than 20 columns"},
        {"ALTER TABLE rounds ADD COLUMN more REAL", "table rounds: has more than 20 columns"},
        {"ALTER TABLE nodes RENAME COLUMN joined TO left_",
         "table nodes: its column 6 is left_ INTEGER where joined INTEGER NOT NULL belongs"},
        {"DROP TABLE nodes; CREATE TABLE nodes (node TEXT)", "table nodes: its column 1 is node TEXT where"},
        {"DROP TABLE nodes; CREATE VIEW nodes AS SELECT 1", "table nodes: its column 1 is 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_version(1);
        run_sql(cases[i].sql);
        enum trib_status status = open_store();
        ck_assert_msg(status == TRIB_CORRUPT, "%s: %s", cases[i].sql, trib_status_name(status));
        ck_assert_msg(strstr(error.message, cases[i].message), "%s: %s", cases[i].sql, error.message);
        unlink(path);
    }
}
END_TEST

/* Tables that SQLite did not guard: the types are looser than those of ours, the names are the same. */
START_TEST(values_that_cannot_be_are_named)
{
    static const struct {
        const char *sql, *message;
        enum trib_store_table_id table;
    } cases[] = {
        {"UPDATE runs SET number = -1", "table runs: column number holds a negative number", TRIB_STORE_runs},
        {"UPDATE runs SET run = 'a run whose name is longer than any may be'",
         "table runs: column run holds a text that is too long", TRIB_STORE_runs},
        {"UPDATE runs SET strategy = 'a' || char(0) || 'b'",
         "table runs: column strategy holds a text with a NUL in it", TRIB_STORE_runs},
        {"UPDATE offers SET sha256 = x'00'", "table offers: column sha256 holds no hash of 32 bytes",
         TRIB_STORE_offers},
        {"UPDATE versions SET sha256 = zeroblob(33)", "table versions: column sha256 holds no hash",
         TRIB_STORE_versions},
        {"PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'STRICT, ', ''); "
         "PRAGMA writable_schema = RESET; UPDATE audit SET at = 'x'",
         "table audit: column at holds no integer", TRIB_STORE_audit},
        {"PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'STRICT, ', ''); "
         "PRAGMA writable_schema = RESET; UPDATE rounds SET loss = 'x'",
         "table rounds: column loss holds no real number", TRIB_STORE_rounds},
        {"PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'STRICT, ', ''); "
         "PRAGMA writable_schema = RESET; UPDATE nodes SET software = x'00ff'",
         "table nodes: column software holds no text", TRIB_STORE_nodes},
        {"PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'STRICT, ', ''); "
         "PRAGMA writable_schema = RESET; UPDATE runs SET engine_state = 'text'",
         "table runs: column engine_state holds no bytes", TRIB_STORE_runs},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int n = 0;
        make_version(1);
        run_sql(cases[i].sql);
        ck_assert_msg(open_store() == TRIB_OK, "%s: %s", cases[i].sql, error.message);
        enum trib_status status = trib_store_each(store, cases[i].table, NULL, 0, count_visit, &n, &error);
        ck_assert_msg(status == TRIB_CORRUPT && n == 0, "%s: %s", cases[i].sql, trib_status_name(status));
        ck_assert_msg(strstr(error.message, cases[i].message), "%s: %s", cases[i].sql, error.message);
        ck_assert_int_eq(trib_store_check(store, &error), TRIB_CORRUPT);
        trib_store_close(store);
        store = NULL;
        unlink(path);
    }
}
END_TEST

START_TEST(what_is_no_database_is_refused)
{
    char garbage[8192];
    memset(garbage, 'x', sizeof garbage);
    ck_assert_int_eq(trib_file_replace(path, garbage, sizeof garbage, &error), TRIB_OK);
    expect_refusal(TRIB_CORRUPT, "file is not a database");
    ck_assert_int_eq(trib_file_replace(path, "no database", 11, &error), TRIB_OK);
    expect_refusal(TRIB_CORRUPT, "state.db");
}
END_TEST

/* Cut anywhere, it is refused or found damaged, and never crashes what reads it. */
START_TEST(a_database_cut_anywhere_is_corrupt)
{
    struct trib_buf whole = {0};
    make_version(1);
    ck_assert_int_eq(trib_file_read(path, 1 << 24, &whole, &error), TRIB_OK);
    for (size_t len = 2; len < whole.len; len += len < 4096 ? 163 : 1357) { /* one byte is an empty file to SQLite */
        ck_assert_int_eq(trib_file_replace(path, whole.data, len, &error), TRIB_OK);
        enum trib_status status = open_store();
        if (status == TRIB_OK) {
            status = trib_store_check(store, &error);
            trib_store_close(store);
            store = NULL;
        }
        ck_assert_msg(status == TRIB_CORRUPT, "cut to %zu: %s: %s", len, trib_status_name(status), error.message);
        ck_assert_ptr_nonnull(strstr(error.message, "state.db"));
    }
    trib_buf_clear(&whole);
}
END_TEST

/* A damaged byte may mean anything; it never crashes, and what is answered is a status. */
START_TEST(a_damaged_byte_never_crashes)
{
    struct trib_buf whole = {0};
    make_version(1);
    ck_assert_int_eq(trib_file_read(path, 1 << 24, &whole, &error), TRIB_OK);
    int refused = 0, tried = 0;
    for (size_t at = 0; at < whole.len; at += at < 4096 ? 5 : 97) {
        whole.data[at] ^= 0x81;
        ck_assert_int_eq(trib_file_replace(path, whole.data, whole.len, &error), TRIB_OK);
        enum trib_status status = open_store();
        if (status == TRIB_OK) {
            status = trib_store_check(store, &error);
            trib_store_close(store);
            store = NULL;
        }
        refused += status != TRIB_OK;
        tried++;
        whole.data[at] ^= 0x81;
    }
    printf("%d of %d damages were refused\n", refused, tried);
    ck_assert_int_gt(refused, 0);
    trib_buf_clear(&whole);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_schema");
    TCase *tcase = tcase_create("schema");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, version_1_is_read);
    tcase_add_test(tcase, an_empty_file_becomes_a_database);
    tcase_add_test(tcase, a_later_version_is_refused_by_name);
    tcase_add_test(tcase, another_programs_database_is_refused);
    tcase_add_test(tcase, tables_that_are_not_as_they_should_be_are_named);
    tcase_add_test(tcase, values_that_cannot_be_are_named);
    tcase_add_test(tcase, what_is_no_database_is_refused);
    tcase_add_test(tcase, a_database_cut_anywhere_is_corrupt);
    tcase_add_test(tcase, a_damaged_byte_never_crashes);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
