/* The parts of the SQLite backend. Private to the block. */
#ifndef TRIB_STORE_SQLITE_PRIVATE_H
#define TRIB_STORE_SQLITE_PRIVATE_H

#include "store_private.h"

#include <sqlite3.h>

enum trib_sqlite_verb { TRIB_SQLITE_PUT, TRIB_SQLITE_REMOVE, TRIB_SQLITE_EACH, TRIB_SQLITE_VERBS };

struct trib_sqlite {
    struct trib_store base;
    sqlite3 *db;
    char *path;
    int lock;           /* descriptor of PATH-lock, which is this process's alone; -1: none */
    int log_frames;     /* in the write-ahead log, after the last commit */
    sqlite3_stmt *undo; /* prepared at once: it must not lack memory when it is needed; NULL: nothing is written */
    /* Prepared when they are first needed; by how many keys select the records. */
    sqlite3_stmt *statements[TRIB_STORE_TABLES][TRIB_SQLITE_VERBS][TRIB_STORE_KEYS_MAX + 1];
};

/* trib_sqlite_fail says a failure of SQLite's as one of ours, with its text: "PATH: WHAT: why". `code` is not
 * SQLITE_OK. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_fail(const struct trib_sqlite *store, int code, const char *what,
                                                  struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_sqlite_fail_table(const struct trib_sqlite *store, int code,
                                                        enum trib_store_table_id table, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_sqlite_run(const struct trib_sqlite *store, const char *sql, const char *what,
                                                 struct trib_error *error);
/* The first value of the first row of a query, 0 when there is none. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_number(const struct trib_sqlite *store, const char *sql, int64_t *number,
                                                    struct trib_error *error);

/* ---- sqlite_statements.c ---- */

/* The statement, with its parameters bound to `record`, which must stay as it is until the statement is released. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_statement(struct trib_sqlite *store, enum trib_store_table_id table,
                                                       enum trib_sqlite_verb verb, const void *record, size_t n_keys,
                                                       sqlite3_stmt **statement, struct trib_error *error);
void trib_sqlite_release(struct trib_sqlite *store, enum trib_store_table_id table, enum trib_sqlite_verb verb,
                         size_t n_keys, sqlite3_stmt *statement);
void trib_sqlite_finalize(struct trib_sqlite *store);
/* The row at which `statement` (EACH) stands. TRIB_CORRUPT: a value that cannot have been put there. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_row(const struct trib_sqlite *store, enum trib_store_table_id table,
                                                 sqlite3_stmt *statement, union trib_store_record *record,
                                                 struct trib_error *error);

/* ---- sqlite_schema.c ---- */

/* The schema's version, when the file is ours; what a later version made is refused. 0: it is empty. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_schema_version(const struct trib_sqlite *store, int64_t *version,
                                                            struct trib_error *error);
int64_t trib_sqlite_schema_newest(void);
/* Bring the schema from `version` to the newest one, in one transaction. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_schema_migrate(const struct trib_sqlite *store, int64_t version,
                                                            struct trib_error *error);
/* Every table has the columns of its layout. */
TRIB_MUST_CHECK enum trib_status trib_sqlite_schema_check(const struct trib_sqlite *store, struct trib_error *error);

#endif
