/* The injector's part in SQLite: its allocations, and the calls that are made to it. */
#include "torture_private.h"

#include "sim_disk_vfs.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* ---- SQLite's memory ---- */

static sqlite3_mem_methods memory;

static void *database_malloc(int size)
{
    return torture_fails(TORTURE_DATABASE_MEMORY) ? NULL : memory.xMalloc(size);
}

static void *database_realloc(void *block, int size)
{
    return torture_fails(TORTURE_DATABASE_MEMORY) ? NULL : memory.xRealloc(block, size);
}

/* Without the small pools that would serve most of what it asks for. */
void torture_begin_database(void)
{
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK) {
        abort();
    }
    methods = memory;
    methods.xMalloc = database_malloc;
    methods.xRealloc = database_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK) {
        abort();
    }
    sim_disk_vfs_register();
}

/* ---- SQLite's calls ---- */

int __real_sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs);
int __real_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len, sqlite3_stmt **statement, const char **tail);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags, sqlite3_stmt **statement,
                              const char **tail);
int __real_sqlite3_step(sqlite3_stmt *statement);
int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *context,
                        char **message);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len, sqlite3_stmt **statement, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags, sqlite3_stmt **statement,
                              const char **tail);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *context,
                        char **message);

int __wrap_sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs)
{
    if (torture_fails(TORTURE_DATABASE_CALL)) {
        *db = NULL;
        return SQLITE_IOERR;
    }
    return __real_sqlite3_open_v2(path, db, flags, vfs);
}

int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len, sqlite3_stmt **statement, const char **tail)
{
    if (torture_fails(TORTURE_DATABASE_CALL)) {
        *statement = NULL;
        return SQLITE_IOERR;
    }
    return __real_sqlite3_prepare_v2(db, sql, len, statement, tail);
}

int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags, sqlite3_stmt **statement,
                              const char **tail)
{
    if (torture_fails(TORTURE_DATABASE_CALL)) {
        *statement = NULL;
        return SQLITE_IOERR;
    }
    return __real_sqlite3_prepare_v3(db, sql, len, flags, statement, tail);
}

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    return torture_fails(TORTURE_DATABASE_CALL) ? SQLITE_IOERR : __real_sqlite3_step(statement);
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *context,
                        char **message)
{
    if (torture_fails(TORTURE_DATABASE_CALL)) {
        return SQLITE_IOERR;
    }
    int code = __real_sqlite3_exec(db, sql, row, context, message);
    return strcmp(sql, "COMMIT") == 0 && torture_fails(TORTURE_DATABASE_DOUBT) ? SQLITE_IOERR_FSYNC : code;
}
