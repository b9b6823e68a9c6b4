/* A store holds what a server remembers: typed records in tables, behind one const table of functions, with SQLite for
 * the daemon (STATE/state.db) and memory for simulations and as the oracle of tests. Models and other large things are
 * files (store/blobs.h), which records refer to by their hash.
 *
 * Records are plain structs; store_columns.def lists their columns once, and both backends read and write them by that
 * list. One writer, one thread. Changes are made between begin and end; a crash leaves all of a transaction or nothing
 * of it. A transaction that is not durable survives the death of the process, not that of the machine, unless a durable
 * one follows; order is kept in any case. */
#ifndef TRIB_STORE_STORE_H
#define TRIB_STORE_STORE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRIB_STORE_NODE_LEN = 128, TRIB_STORE_TEXT_LEN = 256, TRIB_STORE_RUN_LEN = 32, TRIB_STORE_HASH_LEN = 32 };

/* Bytes are a value of any length; borrowed by put, and valid until the next call of the store when it comes out of it.
 */
struct trib_store_bytes {
    const void *data; /* NULL = none */
    size_t len;
};

/* ---- the records: key columns first ---- */
#define TRIB_COLUMN_FIELD_INT(name)   uint64_t name; /* up to INT64_MAX */
#define TRIB_COLUMN_FIELD_TIME(name)  int64_t name;  /* ms since 1970 */
#define TRIB_COLUMN_FIELD_REAL(name)  double name;   /* nan is kept */
#define TRIB_COLUMN_FIELD_NODE(name)  char name[TRIB_STORE_NODE_LEN];
#define TRIB_COLUMN_FIELD_RUN(name)   char name[TRIB_STORE_RUN_LEN];
#define TRIB_COLUMN_FIELD_TEXT(name)  char name[TRIB_STORE_TEXT_LEN];
#define TRIB_COLUMN_FIELD_HASH(name)  uint8_t name[TRIB_STORE_HASH_LEN];
#define TRIB_COLUMN_FIELD_BYTES(name) struct trib_store_bytes name;
#define TRIB_TABLE(table, help)       struct trib_store_##table {
#define TRIB_KEY(kind, name)          TRIB_COLUMN_FIELD_##kind(name)
#define TRIB_COLUMN(kind, name)       TRIB_COLUMN_FIELD_##kind(name)
#define TRIB_TABLE_END                                                                                                 \
    }                                                                                                                  \
    ;
#include "store/store_columns.def"

enum trib_store_table_id {
#define TRIB_TABLE(table, help) TRIB_STORE_##table,
#define TRIB_KEY(kind, name)
#define TRIB_COLUMN(kind, name)
#define TRIB_TABLE_END
#include "store/store_columns.def"
    TRIB_STORE_TABLES
};

/* Columns and tables as data. */
enum trib_store_kind {
    TRIB_STORE_KIND_INT,
    TRIB_STORE_KIND_TIME,
    TRIB_STORE_KIND_REAL,
    TRIB_STORE_KIND_NODE,
    TRIB_STORE_KIND_RUN,
    TRIB_STORE_KIND_TEXT,
    TRIB_STORE_KIND_HASH,
    TRIB_STORE_KIND_BYTES
};
struct trib_store_column {
    const char *name;
    enum trib_store_kind kind;
    size_t offset; /* in the record */
    bool key;
};
struct trib_store_layout {
    const char *name, *help;
    size_t record_size;
    const struct trib_store_column *columns;
    size_t n_columns, n_keys; /* keys come first */
};
const struct trib_store_layout *trib_store_layout(enum trib_store_table_id table);

/* ---- the store ---- */
struct trib_store; /* opaque */

struct trib_store_backend {
    const char *name; /* "sqlite", "memory" */
    const char *help;
    bool persistent;
    /* path: of the database's file. It is locked for this process alone. TRIB_UNAVAILABLE: another one has it;
     * TRIB_CORRUPT: it is damaged; TRIB_MISMATCH: it is another program's; TRIB_UNSUPPORTED: a later version made it.
     * Nothing is repaired. */
    enum trib_status (*open)(const char *path, struct trib_store **store, struct trib_error *error);
    void (*close)(struct trib_store *store);
    enum trib_status (*begin)(struct trib_store *store, struct trib_error *error);
    /* On failure everything since begin is undone. *doubtful, when not NULL: it cannot be known whether it is (a write
     * to the disk failed in the middle of a commit): stop, and look again after a restart. */
    enum trib_status (*end)(struct trib_store *store, bool durable, bool *doubtful, struct trib_error *error);
    void (*undo)(struct trib_store *store);
    /* Insert, or replace the record with the same key. One that fails may have undone the whole transaction: undo it.
     */
    enum trib_status (*put)(struct trib_store *store, enum trib_store_table_id table, const void *record,
                            struct trib_error *error);
    /* Remove the records whose first n_keys key columns are those of `record`; 0 = all. *removed may be NULL. */
    enum trib_status (*remove)(struct trib_store *store, enum trib_store_table_id table, const void *record,
                               size_t n_keys, uint64_t *removed, struct trib_error *error);
    /* Visit the records whose first n_keys key columns are those of `record`, in the order of their keys (texts by
     * their bytes). A visit that does not return TRIB_OK ends it with that. The store must not be changed meanwhile. */
    enum trib_status (*each)(struct trib_store *store, enum trib_store_table_id table, const void *record,
                             size_t n_keys,
                             enum trib_status (*visit)(void *context, const void *record, struct trib_error *error),
                             void *context, struct trib_error *error);
    /* Look for damage in all of it: TRIB_CORRUPT says what. */
    enum trib_status (*check)(struct trib_store *store, struct trib_error *error);
};
size_t trib_store_backends(const struct trib_store_backend *const **list);
const struct trib_store_backend *trib_store_backend_find(const char *name); /* NULL when unknown */

/* The calls are the same for every backend. */
TRIB_MUST_CHECK enum trib_status trib_store_open(const struct trib_store_backend *backend, const char *path,
                                                 struct trib_store **store, struct trib_error *error);
void trib_store_close(struct trib_store *store); /* NULL is allowed; an open transaction is undone */
TRIB_MUST_CHECK enum trib_status trib_store_begin(struct trib_store *store, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_store_end(struct trib_store *store, bool durable, bool *doubtful,
                                                struct trib_error *error);
void trib_store_undo(struct trib_store *store);
TRIB_MUST_CHECK enum trib_status trib_store_put(struct trib_store *store, enum trib_store_table_id table,
                                                const void *record, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_store_remove(struct trib_store *store, enum trib_store_table_id table,
                                                   const void *record, size_t n_keys, uint64_t *removed,
                                                   struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_store_each(struct trib_store *store, enum trib_store_table_id table,
                                                 const void *record, size_t n_keys,
                                                 enum trib_status (*visit)(void *context, const void *record,
                                                                           struct trib_error *error),
                                                 void *context, struct trib_error *error);
/* trib_store_get fills `record` with the one whose keys it has; *found false: it is unchanged. */
TRIB_MUST_CHECK enum trib_status trib_store_get(struct trib_store *store, enum trib_store_table_id table, void *record,
                                                bool *found, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_store_check(struct trib_store *store, struct trib_error *error);

#endif
