/* The store in an SQLite database: write-ahead log, locked for this process alone (so the log's index lives in memory),
 * one transaction at a time. Only the files of this backend know SQL. One thread. */
#include "sqlite_private.h"

#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- errors ---- */

static enum trib_status status_of(int code)
{
    switch (code) { /* extended ones first */
    case SQLITE_IOERR_NOMEM:
        return TRIB_NO_MEMORY;
    case SQLITE_IOERR_CORRUPTFS:
        return TRIB_CORRUPT;
    }
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return TRIB_UNAVAILABLE;
    case SQLITE_FULL:
        return TRIB_NO_SPACE;
    case SQLITE_NOMEM:
        return TRIB_NO_MEMORY;
    case SQLITE_TOOBIG:
        return TRIB_LIMIT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TRIB_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return TRIB_DENIED;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return TRIB_IO;
    default:
        return TRIB_INTERNAL;
    }
}

enum trib_status trib_sqlite_fail(const struct trib_sqlite *store, int code, const char *what, struct trib_error *error)
{
    int primary = code & 0xff;
    int errnum = sqlite3_system_errno(store->db);
    if (primary == SQLITE_BUSY) {
        return trib_fail(error, TRIB_UNAVAILABLE, "%s: another process uses it; stop that one first", store->path);
    }
    if (primary == SQLITE_CANTOPEN && errnum != 0) {
        return trib_fail_errno(error, errnum, "%s: %s", store->path, what);
    }
    bool has_reason = errnum != 0 && primary == SQLITE_IOERR;
    return trib_fail(error, status_of(code), "%s: %s: %s%s%s (SQLite's code %d)", store->path, what,
                     sqlite3_errmsg(store->db), has_reason ? ": " : "", has_reason ? strerror(errnum) : "", code);
}

enum trib_status trib_sqlite_fail_table(const struct trib_sqlite *store, int code, enum trib_store_table_id table,
                                        struct trib_error *error)
{
    char what[64];
    snprintf(what, sizeof what, "table %s", trib_store_layout(table)->name);
    return trib_sqlite_fail(store, code, what, error);
}

enum trib_status trib_sqlite_run(const struct trib_sqlite *store, const char *sql, const char *what,
                                 struct trib_error *error)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? TRIB_OK : trib_sqlite_fail(store, code, what, error);
}

enum trib_status trib_sqlite_number(const struct trib_sqlite *store, const char *sql, int64_t *number,
                                    struct trib_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    enum trib_status status = TRIB_OK;
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        *number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    } else {
        status = trib_sqlite_fail(store, code, "cannot be read", error);
    }
    sqlite3_finalize(statement);
    return status;
}

/* ---- open and close ---- */

static void sqlite_close(struct trib_store *base)
{
    struct trib_sqlite *store = (struct trib_sqlite *)base;
    if (store->db) {
        trib_sqlite_finalize(store);
        sqlite3_close(store->db); /* empties the log into the database and removes it */
    }
    if (store->lock >= 0) {
        (void)trib_disk_close(store->lock);
    }
    trib_free(store->path);
    trib_free(store);
}

/* SQLite's own word for a missing folder is "unable to open database file". */
static enum trib_status check_place(const char *path, bool must_exist, struct trib_error *error)
{
    struct trib_disk_info info;
    char *dir = trib_path_dir(path);
    if (!dir) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    if (trib_disk_path_info(dir, &info) != 0) {
        status = trib_fail_errno(error, errno, "%s: the folder of the state's database", dir);
    } else if (!info.is_dir) {
        status = trib_fail(error, TRIB_INVALID, "%s: is no folder, the state's database cannot be in it", dir);
    } else if (trib_disk_path_info(path, &info) == 0) {
        status = info.is_dir ? trib_fail(error, TRIB_INVALID, "%s: is a folder, not a database", path) : TRIB_OK;
    } else if (errno != ENOENT || must_exist) {
        status = trib_fail_errno(error, errno, "%s: the state's database", path);
    }
    trib_free(dir);
    return status;
}

/* Before the first access: a second process must find it locked, and what is in it runs nothing. */
static enum trib_status prepare_connection(const struct trib_sqlite *store, bool look, struct trib_error *error)
{
    int code = sqlite3_extended_result_codes(store->db, 1);
    static const int switches[][2] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                      {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                      {SQLITE_DBCONFIG_ENABLE_VIEW, 0}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0] && code == SQLITE_OK; i++) {
        code = sqlite3_db_config(store->db, switches[i][0], switches[i][1], NULL);
    }
    if (code == SQLITE_OK && look) {
        code = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    if (code != SQLITE_OK) {
        return trib_sqlite_fail(store, code, "cannot be set up", error);
    }
    return trib_sqlite_run(
        store, look ? "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = 1" : "PRAGMA locking_mode = EXCLUSIVE",
        "cannot be locked", error);
}

/* SQLite answers with the mode that it has got, which is another one where the file system cannot do it. */
static enum trib_status switch_to_log(const struct trib_sqlite *store, struct trib_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    const char *mode = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    enum trib_status status = TRIB_OK;
    if (code != SQLITE_ROW) {
        status = trib_sqlite_fail(store, code, "cannot be given a write-ahead log", error);
    } else if (!mode || strcmp(mode, "wal") != 0) {
        status = trib_fail(error, TRIB_UNSUPPORTED, "%s: its file system allows no write-ahead log", store->path);
    }
    sqlite3_finalize(statement);
    return status;
}

static int note_log(void *context, sqlite3 *db, const char *database, int frames)
{
    (void)db;
    (void)database;
    struct trib_sqlite *store = context;
    store->log_frames = frames;
    return SQLITE_OK;
}

/* The log keeps its size between checkpoints, but not that of one large transaction. Checkpoints are made by end_log:
 * by itself, SQLite would say nothing of one that fails. */
static enum trib_status use_log(struct trib_sqlite *store, struct trib_error *error)
{
    static const char settings[] = "PRAGMA journal_size_limit = 16777216; PRAGMA synchronous = NORMAL";
    TRIB_TRY(switch_to_log(store, error));
    sqlite3_wal_hook(store->db, note_log, store); /* in the place of automatic checkpoints */
    return trib_sqlite_run(store, settings, "cannot be set up", error);
}

/* A new database's name is durable before anything is said to be in it. */
static enum trib_status sync_name(const struct trib_sqlite *store, struct trib_error *error)
{
    char *dir = trib_path_dir(store->path);
    if (!dir) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status =
        trib_disk_sync_dir(dir) == 0 ? TRIB_OK : trib_fail_errno(error, errno, "%s: cannot be synced", dir);
    trib_free(dir);
    return status;
}

static enum trib_status open_to_look(const struct trib_sqlite *store, struct trib_error *error)
{
    int64_t version = 0, newest = trib_sqlite_schema_newest();
    TRIB_TRY(prepare_connection(store, true, error));
    TRIB_TRY(trib_sqlite_schema_version(store, &version, error));
    if (version == 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "%s: is empty, no run has begun", store->path);
    }
    if (version < newest) {
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "%s: is of version %" PRId64 ", which the server brings up to %" PRId64
                         " when it starts; look again after that",
                         store->path, version, newest);
    }
    return trib_sqlite_schema_check(store, error);
}

/* SQLite's own lock comes with its first access, and by then it has believed the log. So the folder is locked first. */
static enum trib_status take_lock(struct trib_sqlite *store, struct trib_error *error)
{
    char *dir = trib_path_dir(store->path);
    if (!dir) {
        return trib_fail_no_memory(error);
    }
    store->lock = trib_disk_open(dir, O_RDONLY | O_DIRECTORY, 0);
    enum trib_status status = TRIB_OK;
    if (store->lock < 0) {
        status = trib_fail_errno(error, errno, "%s: cannot be opened", dir);
    } else if (trib_disk_lock(store->lock) != 0) {
        status = errno == EWOULDBLOCK ? trib_fail(error, TRIB_UNAVAILABLE,
                                                  "%s: another process uses it; stop that one first", store->path)
                                      : trib_fail_errno(error, errno, "%s: cannot be locked", dir);
    }
    trib_free(dir);
    return status;
}

/* A sync that failed leaves a log that reads well and is not all on the disk; a checkpoint from it would be believed
 * (Rebello et al. 2020). A copy of it, synced and then renamed over it, is beyond doubt; so is what a process wrote
 * that was killed before it could sync. */
static enum trib_status settle_log(const struct trib_sqlite *store, struct trib_error *error)
{
    struct trib_buf log = {0};
    char *path = trib_asprintf("%s-wal", store->path);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_file_read(path, SIZE_MAX, &log, error);
    if (status == TRIB_OK && log.len > 0) {
        status = trib_file_replace(path, log.data, log.len, error);
    }
    trib_buf_clear(&log);
    trib_free(path);
    return status == TRIB_NOT_FOUND ? TRIB_OK : status;
}

static enum trib_status open_to_use(struct trib_sqlite *store, struct trib_error *error)
{
    int64_t version = 0;
    TRIB_TRY(prepare_connection(store, false, error));
    TRIB_TRY(trib_sqlite_schema_version(store, &version, error)); /* nothing is written to what is not ours */
    TRIB_TRY(use_log(store, error));
    if (version < trib_sqlite_schema_newest()) {
        TRIB_TRY(trib_sqlite_schema_migrate(store, version, error));
        TRIB_TRY(sync_name(store, error));
    }
    return trib_sqlite_schema_check(store, error);
}

static enum trib_status prepare_undo(struct trib_sqlite *store, struct trib_error *error)
{
    int code = sqlite3_prepare_v3(store->db, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT, &store->undo, NULL);
    return code == SQLITE_OK ? TRIB_OK : trib_sqlite_fail(store, code, "cannot be set up", error);
}

static enum trib_status open_database(const char *path, bool look, struct trib_store **opened, struct trib_error *error)
{
    TRIB_TRY(check_place(path, look, error));
    struct trib_sqlite *store = trib_calloc(1, sizeof *store);
    if (!store) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    store->lock = -1;
    store->path = trib_strdup(path);
    if (!store->path) {
        status = trib_fail_no_memory(error);
    } else if (!look) {
        status = take_lock(store, error);
        if (status == TRIB_OK) {
            status = settle_log(store, error);
        }
    }
    if (status == TRIB_OK) {
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (look ? 0 : SQLITE_OPEN_CREATE);
        int code = sqlite3_open_v2(path, &store->db, flags, NULL);
        if (code != SQLITE_OK) {
            status = trib_sqlite_fail(store, code, "cannot be opened", error);
        }
    }
    if (status == TRIB_OK) {
        status = look ? open_to_look(store, error) : open_to_use(store, error);
    }
    if (status == TRIB_OK && !look) {
        status = prepare_undo(store, error);
    }
    if (status != TRIB_OK) {
        sqlite_close(&store->base);
        return status;
    }
    *opened = &store->base;
    return TRIB_OK;
}

static enum trib_status sqlite_open(const char *path, struct trib_store **store, struct trib_error *error)
{
    return open_database(path, false, store, error);
}

enum trib_status trib_store_sqlite_look(const char *path, struct trib_store **store, struct trib_error *error)
{
    TRIB_TRY(open_database(path, true, store, error));
    (*store)->backend = &trib_store_sqlite;
    return TRIB_OK;
}

/* ---- transactions ---- */

static void sqlite_undo(struct trib_store *base)
{
    struct trib_sqlite *store = (struct trib_sqlite *)base;
    if (!sqlite3_get_autocommit(store->db)) {
        (void)sqlite3_step(store->undo);
        (void)sqlite3_reset(store->undo);
    }
}

static enum trib_status sqlite_begin(struct trib_store *base, struct trib_error *error)
{
    sqlite_undo(base); /* one whose undoing has failed */
    return trib_sqlite_run((struct trib_sqlite *)base, "BEGIN IMMEDIATE", "no transaction can be begun", error);
}

/* Some errors make SQLite undo the whole transaction: what follows must not become one of its own. */
static enum trib_status check_transaction(const struct trib_sqlite *store, struct trib_error *error)
{
    if (sqlite3_get_autocommit(store->db)) {
        return trib_fail(error, TRIB_IO, "%s: an error before this one has undone the transaction", store->path);
    }
    return TRIB_OK;
}

/* The pages go to the log first, without the mark that makes them count: a disk that is full shows here, where all can
 * still be undone. The commit itself writes one page more, which is no commit as long as a byte of it is missing. */
static enum trib_status write_pages(const struct trib_sqlite *store, struct trib_error *error)
{
    int code = sqlite3_db_cacheflush(store->db);
    return code == SQLITE_OK || code == SQLITE_BUSY ? TRIB_OK
                                                    : trib_sqlite_fail(store, code, "cannot be written", error);
}

/* Whether a transaction is to be durable shows only at its end, and SQLite wants to know before it begins. So it is
 * committed to the log as it is, and one more that changes nothing syncs the log with all that is before it. A disk too
 * full for that may still take the log's pages into the database, where most have a place already: as good. */
static enum trib_status sync_log(const struct trib_sqlite *store, struct trib_error *error)
{
    char sql[64];
    static const char what[] = "a transaction cannot be made durable";
    TRIB_TRY(trib_sqlite_run(store, "PRAGMA synchronous = FULL", what, error));
    snprintf(sql, sizeof sql, "PRAGMA user_version = %" PRId64, trib_sqlite_schema_newest());
    enum trib_status status = trib_sqlite_run(store, sql, what, error);
    if (status == TRIB_NO_SPACE &&
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK) {
        status = TRIB_OK;
    }
    int code = sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    return status != TRIB_OK || code == SQLITE_OK ? status : trib_sqlite_fail(store, code, what, error);
}

/* A log that has grown goes into the database. It is synced for that, and when this fails, nobody knows what of it is
 * on the disk. */
static enum trib_status end_log(struct trib_sqlite *store, bool *doubtful, struct trib_error *error)
{
    enum { LONG_LOG = 1000 };
    if (store->log_frames < LONG_LOG) {
        return TRIB_OK;
    }
    int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    store->log_frames = 0; /* not again with each transaction */
    if (code == SQLITE_OK || code == SQLITE_BUSY || (code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_NOMEM) {
        return TRIB_OK;
    }
    *doubtful = true;
    return trib_sqlite_fail(store, code, "the log cannot be brought into the database", error);
}

static enum trib_status sqlite_end(struct trib_store *base, bool durable, bool *doubtful, struct trib_error *error)
{
    struct trib_sqlite *store = (struct trib_sqlite *)base;
    TRIB_TRY(check_transaction(store, error));
    enum trib_status status = write_pages(store, error);
    if (status == TRIB_OK) {
        status = trib_sqlite_run(store, "COMMIT", "a transaction cannot be committed", error);
        *doubtful = status != TRIB_OK && status != TRIB_NO_SPACE; /* then its last page is not whole */
    }
    if (status != TRIB_OK) {
        sqlite_undo(base);
        return status;
    }
    if (durable) {
        status = sync_log(store, error);
        *doubtful = status != TRIB_OK; /* it counts already, but may be lost */
    }
    return status == TRIB_OK ? end_log(store, doubtful, error) : status;
}

/* ---- records ---- */

static enum trib_status sqlite_put(struct trib_store *base, enum trib_store_table_id table, const void *record,
                                   struct trib_error *error)
{
    struct trib_sqlite *store = (struct trib_sqlite *)base;
    sqlite3_stmt *statement;
    TRIB_TRY(check_transaction(store, error));
    TRIB_TRY(trib_sqlite_statement(store, table, TRIB_SQLITE_PUT, record, 0, &statement, error));
    int code = sqlite3_step(statement);
    enum trib_status status = code == SQLITE_DONE ? TRIB_OK : trib_sqlite_fail_table(store, code, table, error);
    trib_sqlite_release(store, table, TRIB_SQLITE_PUT, 0, statement);
    return status;
}

static enum trib_status sqlite_remove(struct trib_store *base, enum trib_store_table_id table, const void *record,
                                      size_t n_keys, uint64_t *removed, struct trib_error *error)
{
    struct trib_sqlite *store = (struct trib_sqlite *)base;
    sqlite3_stmt *statement;
    TRIB_TRY(check_transaction(store, error));
    TRIB_TRY(trib_sqlite_statement(store, table, TRIB_SQLITE_REMOVE, record, n_keys, &statement, error));
    int code = sqlite3_step(statement);
    enum trib_status status = TRIB_OK;
    if (code == SQLITE_DONE) {
        *removed = (uint64_t)sqlite3_changes64(store->db);
    } else {
        status = trib_sqlite_fail_table(store, code, table, error);
    }
    trib_sqlite_release(store, table, TRIB_SQLITE_REMOVE, n_keys, statement);
    return status;
}

static enum trib_status sqlite_each(struct trib_store *base, enum trib_store_table_id table, const void *record,
                                    size_t n_keys,
                                    enum trib_status (*visit)(void *context, const void *record,
                                                              struct trib_error *error),
                                    void *context, struct trib_error *error)
{
    struct trib_sqlite *store = (struct trib_sqlite *)base;
    union trib_store_record row;
    sqlite3_stmt *statement;
    TRIB_TRY(trib_sqlite_statement(store, table, TRIB_SQLITE_EACH, record, n_keys, &statement, error));
    enum trib_status status = TRIB_OK;
    int code;
    while (status == TRIB_OK && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        status = code == SQLITE_ROW ? trib_sqlite_row(store, table, statement, &row, error)
                                    : trib_sqlite_fail_table(store, code, table, error);
        if (status == TRIB_OK) {
            status = visit(context, &row, error);
        }
    }
    trib_sqlite_release(store, table, TRIB_SQLITE_EACH, n_keys, statement);
    return status;
}

/* ---- check ---- */

static enum trib_status look_at(void *context, const void *record, struct trib_error *error)
{
    (void)context;
    (void)record;
    (void)error;
    return TRIB_OK;
}

/* Its lines become one, for logs. */
static enum trib_status fail_damaged(const struct trib_sqlite *store, const char *lines, struct trib_error *error)
{
    char text[TRIB_ERROR_MESSAGE_LEN];
    trib_str_copy(text, sizeof text, lines);
    for (char *at = text; (at = strchr(at, '\n'));) {
        *at = ' ';
    }
    return trib_fail(error, TRIB_CORRUPT, "%s: is damaged: %s", store->path, text);
}

/* integrity_check lists as damage, too, what the disk did not give it, which says nothing of what is there. SQLITE_OK:
 * no page is listed so. */
static int code_of_unread(const char *lines)
{
    static const char in_tree[] = "unable to get the page. error code=";
    const char *digit = strstr(lines, in_tree);
    int code = 0;
    if (!digit) {
        return strstr(lines, "failed to get page") ? SQLITE_IOERR_READ : SQLITE_OK;
    }
    for (digit += sizeof in_tree - 1; *digit >= '0' && *digit <= '9' && code < 100000; digit++) {
        code = code * 10 + (*digit - '0');
    }
    int primary = code & 0xff;
    return primary == SQLITE_IOERR || primary == SQLITE_NOMEM || primary == SQLITE_FULL ? code : SQLITE_OK;
}

/* integrity_check says "ok", or what it found; the first few things tell enough. */
static enum trib_status check_pages(const struct trib_sqlite *store, struct trib_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, "PRAGMA integrity_check(3)", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    enum trib_status status = TRIB_OK;
    const char *line = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (code != SQLITE_ROW) {
        status = trib_sqlite_fail(store, code, "cannot be checked", error);
    } else if (!line) {
        status = trib_fail_no_memory(error);
    } else if (code_of_unread(line) != SQLITE_OK) {
        status = trib_fail(error, status_of(code_of_unread(line)), "%s: cannot be checked: a page cannot be read",
                           store->path);
    } else if (strcmp(line, "ok") != 0) {
        status = fail_damaged(store, line, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum trib_status sqlite_check(struct trib_store *base, struct trib_error *error)
{
    TRIB_TRY(check_pages((struct trib_sqlite *)base, error));
    for (size_t t = 0; t < TRIB_STORE_TABLES; t++) {
        TRIB_TRY(sqlite_each(base, (enum trib_store_table_id)t, NULL, 0, look_at, NULL, error));
    }
    return TRIB_OK;
}

const struct trib_store_backend trib_store_sqlite = {
    .name = "sqlite",
    .help = "an SQLite database, in one file of the state's folder",
    .persistent = true,
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .end = sqlite_end,
    .undo = sqlite_undo,
    .put = sqlite_put,
    .remove = sqlite_remove,
    .each = sqlite_each,
    .check = sqlite_check,
};
