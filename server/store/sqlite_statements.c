/* SQL from the layouts: prepared once for each table, verb and number of keys; values bound by their kinds, and read
 * with checks, because a disk may hold anything. */
#include "sqlite_private.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- texts ---- */

static enum trib_status write_columns(const struct trib_store_layout *layout, size_t n, struct trib_buf *sql)
{
    for (size_t i = 0; i < n; i++) {
        TRIB_TRY(trib_buf_printf(sql, "%s%s", i == 0 ? "" : ", ", layout->columns[i].name));
    }
    return TRIB_OK;
}

static enum trib_status write_keys(const struct trib_store_layout *layout, size_t n_keys, struct trib_buf *sql)
{
    for (size_t i = 0; i < n_keys; i++) {
        TRIB_TRY(trib_buf_printf(sql, "%s %s = ?%zu", i == 0 ? " WHERE" : " AND", layout->columns[i].name, i + 1));
    }
    return TRIB_OK;
}

static enum trib_status write_put(const struct trib_store_layout *layout, struct trib_buf *sql)
{
    TRIB_TRY(trib_buf_printf(sql, "REPLACE INTO %s (", layout->name));
    TRIB_TRY(write_columns(layout, layout->n_columns, sql));
    for (size_t i = 0; i < layout->n_columns; i++) {
        TRIB_TRY(trib_buf_printf(sql, "%s?%zu", i == 0 ? ") VALUES (" : ", ", i + 1));
    }
    return trib_buf_add_text(sql, ")");
}

static enum trib_status write_each(const struct trib_store_layout *layout, size_t n_keys, struct trib_buf *sql)
{
    TRIB_TRY(trib_buf_add_text(sql, "SELECT "));
    TRIB_TRY(write_columns(layout, layout->n_columns, sql));
    TRIB_TRY(trib_buf_printf(sql, " FROM %s", layout->name));
    TRIB_TRY(write_keys(layout, n_keys, sql));
    TRIB_TRY(trib_buf_add_text(sql, " ORDER BY "));
    return write_columns(layout, layout->n_keys, sql);
}

static enum trib_status write_sql(const struct trib_store_layout *layout, enum trib_sqlite_verb verb, size_t n_keys,
                                  struct trib_buf *sql)
{
    switch (verb) {
    case TRIB_SQLITE_PUT:
        return write_put(layout, sql);
    case TRIB_SQLITE_EACH:
        return write_each(layout, n_keys, sql);
    default:
        TRIB_TRY(trib_buf_printf(sql, "DELETE FROM %s", layout->name));
        return write_keys(layout, n_keys, sql);
    }
}

static enum trib_status prepare(const struct trib_sqlite *store, enum trib_store_table_id table,
                                enum trib_sqlite_verb verb, size_t n_keys, sqlite3_stmt **statement,
                                struct trib_error *error)
{
    struct trib_buf sql = {0};
    enum trib_status status = write_sql(trib_store_layout(table), verb, n_keys, &sql);
    if (status == TRIB_OK) {
        int code = sqlite3_prepare_v3(store->db, trib_buf_text(&sql), -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
        status = code == SQLITE_OK ? TRIB_OK : trib_sqlite_fail_table(store, code, table, error);
    } else {
        status = trib_fail_no_memory(error);
    }
    trib_buf_clear(&sql);
    return status;
}

/* ---- values that go in ---- */

static int bind_bytes(sqlite3_stmt *statement, int at, struct trib_store_bytes bytes)
{
    if (!bytes.data) {
        return sqlite3_bind_null(statement, at);
    }
    return sqlite3_bind_blob64(statement, at, bytes.data, bytes.len, SQLITE_STATIC);
}

static int bind_value(sqlite3_stmt *statement, int at, const struct trib_store_column *column, const void *record)
{
    const uint8_t *from = (const uint8_t *)record + column->offset;
    struct trib_store_bytes bytes;
    int64_t number;
    double real;
    switch (column->kind) {
    case TRIB_STORE_KIND_REAL:
        memcpy(&real, from, sizeof real);
        return isnan(real) ? sqlite3_bind_null(statement, at) : sqlite3_bind_double(statement, at, real);
    case TRIB_STORE_KIND_NODE:
    case TRIB_STORE_KIND_RUN:
    case TRIB_STORE_KIND_TEXT:
        return sqlite3_bind_text(statement, at, (const char *)from, -1, SQLITE_STATIC);
    case TRIB_STORE_KIND_HASH:
        return sqlite3_bind_blob(statement, at, from, TRIB_STORE_HASH_LEN, SQLITE_STATIC);
    case TRIB_STORE_KIND_BYTES:
        memcpy(&bytes, from, sizeof bytes);
        return bind_bytes(statement, at, bytes);
    default:
        memcpy(&number, from, sizeof number);
        return sqlite3_bind_int64(statement, at, number);
    }
}

enum trib_status trib_sqlite_statement(struct trib_sqlite *store, enum trib_store_table_id table,
                                       enum trib_sqlite_verb verb, const void *record, size_t n_keys,
                                       sqlite3_stmt **statement, struct trib_error *error)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    sqlite3_stmt **kept = &store->statements[table][verb][n_keys];
    sqlite3_stmt *ready = *kept;
    *kept = NULL; /* in use: a visit may want the same one */
    if (!ready) {
        TRIB_TRY(prepare(store, table, verb, n_keys, &ready, error));
    }
    size_t n = verb == TRIB_SQLITE_PUT ? layout->n_columns : n_keys;
    for (size_t i = 0; i < n; i++) {
        int code = bind_value(ready, (int)i + 1, &layout->columns[i], record);
        if (code != SQLITE_OK) {
            sqlite3_finalize(ready);
            return trib_sqlite_fail_table(store, code, table, error);
        }
    }
    *statement = ready;
    return TRIB_OK;
}

void trib_sqlite_release(struct trib_sqlite *store, enum trib_store_table_id table, enum trib_sqlite_verb verb,
                         size_t n_keys, sqlite3_stmt *statement)
{
    sqlite3_stmt **kept = &store->statements[table][verb][n_keys];
    sqlite3_reset(statement); /* its error, if any, was met when it was stepped */
    sqlite3_clear_bindings(statement);
    if (!*kept) {
        *kept = statement;
    } else {
        sqlite3_finalize(statement);
    }
}

void trib_sqlite_finalize(struct trib_sqlite *store)
{
    sqlite3_stmt *statement;
    while ((statement = sqlite3_next_stmt(store->db, NULL))) {
        sqlite3_finalize(statement);
    }
}

/* ---- values that come out ---- */

static enum trib_status fail_value(const struct trib_sqlite *store, const struct trib_store_layout *layout, size_t i,
                                   const char *what, struct trib_error *error)
{
    return trib_fail(error, TRIB_CORRUPT, "%s: table %s: column %s holds %s", store->path, layout->name,
                     layout->columns[i].name, what);
}

/* NULL when it is as it should be. */
static const char *read_number(sqlite3_stmt *statement, int i, enum trib_store_kind kind, uint8_t *to)
{
    int64_t number = sqlite3_column_int64(statement, i);
    if (sqlite3_column_type(statement, i) != SQLITE_INTEGER) {
        return "no integer";
    }
    if (number < 0 && kind == TRIB_STORE_KIND_INT) {
        return "a negative number";
    }
    memcpy(to, &number, sizeof number);
    return NULL;
}

static const char *read_real(sqlite3_stmt *statement, int i, uint8_t *to)
{
    int type = sqlite3_column_type(statement, i);
    double real = type == SQLITE_NULL ? (double)NAN : sqlite3_column_double(statement, i);
    if (type != SQLITE_NULL && type != SQLITE_FLOAT) {
        return "no real number";
    }
    memcpy(to, &real, sizeof real);
    return NULL;
}

static const char *read_text(sqlite3_stmt *statement, int i, size_t room, uint8_t *to)
{
    if (sqlite3_column_type(statement, i) != SQLITE_TEXT) {
        return "no text";
    }
    const void *text = sqlite3_column_blob(statement, i); /* its bytes as they are */
    size_t len = (size_t)sqlite3_column_bytes(statement, i);
    if (len >= room) {
        return "a text that is too long";
    }
    if (len > 0 && (!text || memchr(text, '\0', len))) {
        return "a text with a NUL in it";
    }
    if (len > 0) {
        memcpy(to, text, len);
    }
    to[len] = '\0';
    return NULL;
}

static const char *read_bytes(sqlite3_stmt *statement, int i, enum trib_store_kind kind, uint8_t *to)
{
    int type = sqlite3_column_type(statement, i);
    struct trib_store_bytes bytes = {.data = sqlite3_column_blob(statement, i),
                                     .len = (size_t)sqlite3_column_bytes(statement, i)};
    if (kind == TRIB_STORE_KIND_HASH) {
        if (type != SQLITE_BLOB || !bytes.data || bytes.len != TRIB_STORE_HASH_LEN) {
            return "no hash of 32 bytes";
        }
        memcpy(to, bytes.data, bytes.len);
        return NULL;
    }
    if (type != SQLITE_BLOB && type != SQLITE_NULL) {
        return "no bytes";
    }
    if (type == SQLITE_BLOB && bytes.len == 0) {
        bytes.data = ""; /* some, though of no length */
    }
    memcpy(to, &bytes, sizeof bytes);
    return NULL;
}

enum trib_status trib_sqlite_row(const struct trib_sqlite *store, enum trib_store_table_id table,
                                 sqlite3_stmt *statement, union trib_store_record *record, struct trib_error *error)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    memset(record, 0, layout->record_size);
    for (size_t i = 0; i < layout->n_columns; i++) {
        const struct trib_store_column *column = &layout->columns[i];
        uint8_t *to = (uint8_t *)record + column->offset;
        const char *wrong;
        switch (column->kind) {
        case TRIB_STORE_KIND_INT:
        case TRIB_STORE_KIND_TIME:
            wrong = read_number(statement, (int)i, column->kind, to);
            break;
        case TRIB_STORE_KIND_REAL:
            wrong = read_real(statement, (int)i, to);
            break;
        case TRIB_STORE_KIND_HASH:
        case TRIB_STORE_KIND_BYTES:
            wrong = read_bytes(statement, (int)i, column->kind, to);
            break;
        default:
            wrong = read_text(statement, (int)i, trib_store_text_size(column->kind), to);
            break;
        }
        if (sqlite3_errcode(store->db) == SQLITE_NOMEM) {
            return trib_fail_no_memory(error);
        }
        if (wrong) {
            return fail_value(store, layout, i, wrong, error);
        }
    }
    return TRIB_OK;
}
