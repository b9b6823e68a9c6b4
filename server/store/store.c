/* The tables' layouts, and the calls that are the same for every backend: they check what goes in, so that both
 * backends accept and refuse the same. One thread. */
#include "store_private.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* ---- layouts ---- */

enum {
#define TRIB_TABLE(table, help) table##_keys = 0
#define TRIB_KEY(kind, name)    +1
#define TRIB_COLUMN(kind, name)
#define TRIB_TABLE_END ,
#include "store/store_columns.def"
};

#define TRIB_TABLE(table, help_)                                                                                       \
    static const struct trib_store_layout *table##_layout(void)                                                        \
    {                                                                                                                  \
        typedef struct trib_store_##table record;                                                                      \
        _Static_assert((int)(table##_keys) <= (int)TRIB_STORE_KEYS_MAX, "too many keys: " #table);                     \
        static const char table_name[] = #table, help[] = help_;                                                       \
        enum { KEYS = table##_keys };                                                                                  \
        static const struct trib_store_column columns[] = {
#define TRIB_KEY(kind_, name_)                                                                                         \
    {.name = #name_, .kind = TRIB_STORE_KIND_##kind_, .offset = offsetof(record, name_), .key = true},
#define TRIB_COLUMN(kind_, name_) {.name = #name_, .kind = TRIB_STORE_KIND_##kind_, .offset = offsetof(record, name_)},
#define TRIB_TABLE_END                                                                                                 \
    }                                                                                                                  \
    ;                                                                                                                  \
    static const struct trib_store_layout layout = {.name = table_name,                                                \
                                                    .help = help,                                                      \
                                                    .record_size = sizeof(record),                                     \
                                                    .columns = columns,                                                \
                                                    .n_columns = sizeof columns / sizeof columns[0],                   \
                                                    .n_keys = KEYS};                                                   \
    return &layout;                                                                                                    \
    }
#include "store/store_columns.def"

const struct trib_store_layout *trib_store_layout(enum trib_store_table_id table)
{
    static const struct trib_store_layout *(*const layouts[])(void) = {
#define TRIB_TABLE(table, help) [TRIB_STORE_##table] = table##_layout,
#define TRIB_KEY(kind, name)
#define TRIB_COLUMN(kind, name)
#define TRIB_TABLE_END
#include "store/store_columns.def"
    };
    return layouts[table]();
}

size_t trib_store_text_size(enum trib_store_kind kind)
{
    static const size_t sizes[] = {[TRIB_STORE_KIND_NODE] = TRIB_STORE_NODE_LEN,
                                   [TRIB_STORE_KIND_RUN] = TRIB_STORE_RUN_LEN,
                                   [TRIB_STORE_KIND_TEXT] = TRIB_STORE_TEXT_LEN,
                                   [TRIB_STORE_KIND_BYTES] = 0};
    return sizes[kind];
}

/* ---- backends ---- */

static const struct trib_store_backend *const backends[] = {
#define BACKEND(name) &trib_store_##name,
#include "store_list.def"
#undef BACKEND
};

size_t trib_store_backends(const struct trib_store_backend *const **list)
{
    *list = backends;
    return sizeof backends / sizeof backends[0];
}

const struct trib_store_backend *trib_store_backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

/* ---- what may go in ---- */

static enum trib_status check_bytes(const struct trib_store_layout *layout, const struct trib_store_column *column,
                                    struct trib_store_bytes bytes, struct trib_error *error)
{
    enum { MOST = 512 << 20 }; /* SQLite's own limit is 10^9 */
    if (!bytes.data && bytes.len > 0) {
        return trib_fail(error, TRIB_INVALID, "%s.%s: %zu bytes of nothing", layout->name, column->name, bytes.len);
    }
    if (bytes.len > MOST) {
        return trib_fail(error, TRIB_LIMIT, "%s.%s: %zu bytes are more than the %d that a record may hold",
                         layout->name, column->name, bytes.len, MOST);
    }
    return TRIB_OK;
}

static enum trib_status check_value(const struct trib_store_layout *layout, const struct trib_store_column *column,
                                    const void *at, struct trib_error *error)
{
    uint64_t number;
    struct trib_store_bytes bytes;
    size_t room = trib_store_text_size(column->kind);
    if (room > 0 && !memchr(at, '\0', room)) {
        return trib_fail(error, TRIB_INVALID, "%s.%s: a text without an end", layout->name, column->name);
    }
    switch (column->kind) {
    case TRIB_STORE_KIND_INT:
        memcpy(&number, at, sizeof number);
        return number <= INT64_MAX ? TRIB_OK
                                   : trib_fail(error, TRIB_INVALID, "%s.%s: %" PRIu64 " is above %" PRId64,
                                               layout->name, column->name, number, INT64_MAX);
    case TRIB_STORE_KIND_BYTES:
        memcpy(&bytes, at, sizeof bytes);
        return check_bytes(layout, column, bytes, error);
    default:
        return TRIB_OK;
    }
}

static enum trib_status check_record(enum trib_store_table_id table, const void *record, size_t n_columns,
                                     struct trib_error *error)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    for (size_t i = 0; i < n_columns; i++) {
        const struct trib_store_column *column = &layout->columns[i];
        TRIB_TRY(check_value(layout, column, (const uint8_t *)record + column->offset, error));
    }
    return TRIB_OK;
}

static enum trib_status check_keys(enum trib_store_table_id table, const void *record, size_t n_keys,
                                   struct trib_error *error)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    if (n_keys > layout->n_keys) {
        return trib_fail(error, TRIB_INVALID, "%s: has %zu keys, not %zu", layout->name, layout->n_keys, n_keys);
    }
    return check_record(table, record, n_keys, error);
}

static enum trib_status check_changing(const struct trib_store *store, struct trib_error *error)
{
    if (!store->changing) {
        return trib_fail(error, TRIB_INTERNAL, "the store is changed outside of a transaction");
    }
    if (store->visits > 0) {
        return trib_fail(error, TRIB_INTERNAL, "the store is changed while its records are visited");
    }
    return TRIB_OK;
}

/* ---- the calls ---- */

enum trib_status trib_store_open(const struct trib_store_backend *backend, const char *path, struct trib_store **store,
                                 struct trib_error *error)
{
    struct trib_store *opened = NULL;
    TRIB_TRY(backend->open(path, &opened, error));
    opened->backend = backend;
    *store = opened;
    return TRIB_OK;
}

void trib_store_close(struct trib_store *store)
{
    if (store) {
        trib_store_undo(store);
        trib_buf_clear(&store->kept);
        store->backend->close(store);
    }
}

enum trib_status trib_store_begin(struct trib_store *store, struct trib_error *error)
{
    if (store->changing) {
        return trib_fail(error, TRIB_INTERNAL, "a transaction is open already");
    }
    TRIB_TRY(store->backend->begin(store, error));
    store->changing = true;
    return TRIB_OK;
}

enum trib_status trib_store_end(struct trib_store *store, bool durable, bool *doubtful, struct trib_error *error)
{
    bool ignored;
    doubtful = doubtful ? doubtful : &ignored;
    *doubtful = false;
    TRIB_TRY(check_changing(store, error));
    store->changing = false;
    return store->backend->end(store, durable, doubtful, error);
}

void trib_store_undo(struct trib_store *store)
{
    if (store->changing) {
        store->changing = false;
        store->backend->undo(store);
    }
}

enum trib_status trib_store_put(struct trib_store *store, enum trib_store_table_id table, const void *record,
                                struct trib_error *error)
{
    TRIB_TRY(check_changing(store, error));
    TRIB_TRY(check_record(table, record, trib_store_layout(table)->n_columns, error));
    return store->backend->put(store, table, record, error);
}

enum trib_status trib_store_remove(struct trib_store *store, enum trib_store_table_id table, const void *record,
                                   size_t n_keys, uint64_t *removed, struct trib_error *error)
{
    uint64_t ignored;
    TRIB_TRY(check_changing(store, error));
    TRIB_TRY(check_keys(table, record, n_keys, error));
    return store->backend->remove(store, table, record, n_keys, removed ? removed : &ignored, error);
}

enum trib_status trib_store_each(struct trib_store *store, enum trib_store_table_id table, const void *record,
                                 size_t n_keys,
                                 enum trib_status (*visit)(void *context, const void *record, struct trib_error *error),
                                 void *context, struct trib_error *error)
{
    TRIB_TRY(check_keys(table, record, n_keys, error));
    store->visits++;
    enum trib_status status = store->backend->each(store, table, record, n_keys, visit, context, error);
    store->visits--;
    return status;
}

/* ---- one record ---- */

struct getting {
    struct trib_store *store;
    const struct trib_store_layout *layout;
    void *record;
    bool found;
};

/* Bytes of a visited record go when the visit ends: those that are got are kept until the next ones. */
static enum trib_status keep_bytes(struct getting *get, uint8_t *record, struct trib_error *error)
{
    struct trib_buf fresh = {0};
    struct trib_store_bytes bytes;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < get->layout->n_columns; i++) {
        if (get->layout->columns[i].kind == TRIB_STORE_KIND_BYTES) {
            memcpy(&bytes, record + get->layout->columns[i].offset, sizeof bytes);
            total += bytes.len + 1; /* one more, so that empty ones have a place as well */
        }
    }
    if (total > 0 && trib_buf_reserve(&fresh, total) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < get->layout->n_columns; i++) {
        uint8_t *column = record + get->layout->columns[i].offset;
        if (get->layout->columns[i].kind != TRIB_STORE_KIND_BYTES) {
            continue;
        }
        memcpy(&bytes, column, sizeof bytes);
        if (bytes.data) {
            memcpy(fresh.data + at, bytes.data, bytes.len);
            bytes.data = fresh.data + at;
            at += bytes.len + 1;
            memcpy(column, &bytes, sizeof bytes);
        }
    }
    trib_buf_clear(&get->store->kept);
    get->store->kept = fresh;
    return TRIB_OK;
}

static enum trib_status take(void *context, const void *record, struct trib_error *error)
{
    struct getting *get = context;
    union trib_store_record copy;
    memcpy(&copy, record, get->layout->record_size);
    TRIB_TRY(keep_bytes(get, (uint8_t *)&copy, error));
    memcpy(get->record, &copy, get->layout->record_size);
    get->found = true;
    return TRIB_OK;
}

enum trib_status trib_store_get(struct trib_store *store, enum trib_store_table_id table, void *record, bool *found,
                                struct trib_error *error)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    struct getting get = {.store = store, .layout = layout, .record = record};
    TRIB_TRY(trib_store_each(store, table, record, layout->n_keys, take, &get, error));
    *found = get.found;
    return TRIB_OK;
}

enum trib_status trib_store_check(struct trib_store *store, struct trib_error *error)
{
    if (store->changing || store->visits > 0) {
        return trib_fail(error, TRIB_INTERNAL, "the store is checked while it is in use");
    }
    return store->backend->check(store, error);
}
