/* The database's tables: made from the layouts, brought up to date by numbered steps, refused when they are somebody
 * else's. PRAGMA user_version counts the steps that were taken; it is part of their transaction. */
#include "sqlite_private.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { APPLICATION_ID = 0x54524942 }; /* "TRIB" */

static const char *const column_types[] = {
    [TRIB_STORE_KIND_INT] = "INTEGER NOT NULL",
    [TRIB_STORE_KIND_TIME] = "INTEGER NOT NULL",
    [TRIB_STORE_KIND_REAL] = "REAL",
    [TRIB_STORE_KIND_NODE] = "TEXT NOT NULL",
    [TRIB_STORE_KIND_RUN] = "TEXT NOT NULL",
    [TRIB_STORE_KIND_TEXT] = "TEXT NOT NULL",
    [TRIB_STORE_KIND_HASH] = "BLOB NOT NULL",
    [TRIB_STORE_KIND_BYTES] = "BLOB",
};

/* Rows lie in the order of their keys, in which they are listed; SQLite itself refuses values of other types. */
static enum trib_status write_create(const struct trib_store_layout *layout, struct trib_buf *sql)
{
    TRIB_TRY(trib_buf_printf(sql, "CREATE TABLE %s (", layout->name));
    for (size_t i = 0; i < layout->n_columns; i++) {
        TRIB_TRY(trib_buf_printf(sql, "%s %s, ", layout->columns[i].name, column_types[layout->columns[i].kind]));
    }
    for (size_t i = 0; i < layout->n_keys; i++) {
        TRIB_TRY(trib_buf_printf(sql, "%s%s", i == 0 ? "PRIMARY KEY (" : ", ", layout->columns[i].name));
    }
    return trib_buf_add_text(sql, ")) STRICT, WITHOUT ROWID");
}

/* Step 1. It makes every column that there is today: later steps add one only where it is missing. */
static enum trib_status create_tables(const struct trib_sqlite *store, struct trib_error *error)
{
    struct trib_buf sql = {0};
    enum trib_status status = TRIB_OK;
    for (size_t t = 0; t < TRIB_STORE_TABLES && status == TRIB_OK; t++) {
        sql.len = 0;
        status = write_create(trib_store_layout((enum trib_store_table_id)t), &sql);
        status = status == TRIB_OK ? trib_sqlite_run(store, trib_buf_text(&sql), "its tables cannot be made", error)
                                   : trib_fail_no_memory(error);
    }
    trib_buf_clear(&sql);
    return status;
}

/* migrations[n] leads from version n to n + 1. What was released never changes. */
static enum trib_status (*const migrations[])(const struct trib_sqlite *store, struct trib_error *error) = {
    create_tables,
};
enum { NEWEST = sizeof migrations / sizeof migrations[0] };

int64_t trib_sqlite_schema_newest(void)
{
    return NEWEST;
}

/* Which program wrote it last: the runs' table names it; a later version may have changed that, too. */
static void last_writer(const struct trib_sqlite *store, char *name, size_t size)
{
    static const char sql[] = "SELECT software FROM runs ORDER BY number DESC LIMIT 1";
    sqlite3_stmt *statement = NULL;
    name[0] = '\0';
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_TEXT) {
        snprintf(name, size, " (%.200s)", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
}

enum trib_status trib_sqlite_schema_version(const struct trib_sqlite *store, int64_t *version, struct trib_error *error)
{
    int64_t application = 0, found = 0, tables = 0;
    TRIB_TRY(trib_sqlite_number(store, "PRAGMA application_id", &application, error));
    TRIB_TRY(trib_sqlite_number(store, "PRAGMA user_version", &found, error));
    TRIB_TRY(trib_sqlite_number(store, "SELECT count(*) FROM sqlite_schema", &tables, error));
    bool is_empty = application == 0 && found == 0 && tables == 0;
    if (!is_empty && application != APPLICATION_ID) {
        return trib_fail(error, TRIB_MISMATCH,
                         "%s: is a database of another program (its application_id is 0x%" PRIx64
                         "): move it away, or use another state_dir",
                         store->path, (uint64_t)application);
    }
    if (found > NEWEST) {
        char writer[TRIB_STORE_TEXT_LEN];
        last_writer(store, writer, sizeof writer);
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "%s: was written by a later version of this program%s: its tables are of version %" PRId64
                         ", this one knows up to %d; start that version, or restore what was saved before it ran",
                         store->path, writer, found, NEWEST);
    }
    if (!is_empty && (found < 1 || tables < TRIB_STORE_TABLES)) {
        return trib_fail(error, TRIB_CORRUPT, "%s: tables are missing (%" PRId64 " of %d, version %" PRId64 ")",
                         store->path, tables, TRIB_STORE_TABLES, found);
    }
    *version = found;
    return TRIB_OK;
}

static enum trib_status take_steps(const struct trib_sqlite *store, int64_t version, struct trib_error *error)
{
    char sql[96];
    for (int64_t step = version; step < NEWEST; step++) {
        TRIB_TRY(migrations[step](store, error));
    }
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, NEWEST);
    TRIB_TRY(trib_sqlite_run(store, sql, "its version cannot be written", error));
    return trib_sqlite_run(store, "COMMIT", "its tables cannot be brought up to date", error);
}

enum trib_status trib_sqlite_schema_migrate(const struct trib_sqlite *store, int64_t version, struct trib_error *error)
{
    TRIB_TRY(trib_sqlite_run(store, "BEGIN IMMEDIATE", "cannot be changed", error));
    enum trib_status status = take_steps(store, version, error);
    if (status != TRIB_OK && !sqlite3_get_autocommit(store->db)) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

/* Compare one column of pragma_table_info: name, type, not null, place in the key (0 = none). */
static enum trib_status check_column(const struct trib_sqlite *store, const struct trib_store_layout *layout, size_t i,
                                     sqlite3_stmt *statement, struct trib_error *error)
{
    const struct trib_store_column *column = &layout->columns[i];
    const char *name = (const char *)sqlite3_column_text(statement, 0);
    const char *type = (const char *)sqlite3_column_text(statement, 1);
    size_t type_len = strcspn(column_types[column->kind], " ");
    bool not_null = column_types[column->kind][type_len] != '\0';
    if (!name || !type) {
        return trib_fail_no_memory(error);
    }
    if (strcmp(name, column->name) != 0 || strlen(type) != type_len ||
        memcmp(type, column_types[column->kind], type_len) != 0 || sqlite3_column_int(statement, 2) != not_null ||
        sqlite3_column_int(statement, 3) != (column->key ? (int)i + 1 : 0)) {
        return trib_fail(error, TRIB_CORRUPT, "%s: table %s: its column %zu is %s %s where %s %s belongs", store->path,
                         layout->name, i + 1, name, type, column->name, column_types[column->kind]);
    }
    return TRIB_OK;
}

static enum trib_status check_table(const struct trib_sqlite *store, enum trib_store_table_id table,
                                    sqlite3_stmt *statement, struct trib_error *error)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    size_t n = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && n < layout->n_columns) {
        TRIB_TRY(check_column(store, layout, n, statement, error));
        n++;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return trib_sqlite_fail_table(store, code, table, error);
    }
    if (n < layout->n_columns || code == SQLITE_ROW) {
        return trib_fail(error, TRIB_CORRUPT, "%s: table %s: has %s than %zu columns", store->path, layout->name,
                         code == SQLITE_ROW ? "more" : "fewer", layout->n_columns);
    }
    return TRIB_OK;
}

enum trib_status trib_sqlite_schema_check(const struct trib_sqlite *store, struct trib_error *error)
{
    static const char sql[] = "SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1)";
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK) {
        return trib_sqlite_fail(store, code, "its tables cannot be listed", error);
    }
    enum trib_status status = TRIB_OK;
    for (size_t t = 0; t < TRIB_STORE_TABLES && status == TRIB_OK; t++) {
        enum trib_store_table_id table = (enum trib_store_table_id)t;
        code = sqlite3_bind_text(statement, 1, trib_store_layout(table)->name, -1, SQLITE_STATIC);
        status = code == SQLITE_OK ? check_table(store, table, statement, error)
                                   : trib_sqlite_fail_table(store, code, table, error);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}
