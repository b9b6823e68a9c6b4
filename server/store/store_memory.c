/* The store in memory: each table a sorted array of records, changes noted so that they can be undone. It is the oracle
 * of tests, and what simulations use: adding at the end is cheap, in the middle it moves pointers. One thread. */
#include "store_private.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

struct table {
    void **rows; /* in the order of their keys */
    size_t n, capacity;
};
/* What undoes a change: a row that came (was NULL) or went or was replaced. */
struct change {
    enum trib_store_table_id table;
    void *was, *is; /* owned: `was`; `is` belongs to the table */
};
struct memory_store {
    struct trib_store base;
    struct table tables[TRIB_STORE_TABLES];
    struct change *changes;
    size_t n_changes, changes_capacity;
};

/* ---- order ---- */

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return left < right ? -1 : left > right;
}

static int compare_keys(const struct trib_store_layout *layout, const void *a, const void *b, size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++) {
        const struct trib_store_column *column = &layout->columns[i];
        const uint8_t *left = (const uint8_t *)a + column->offset, *right = (const uint8_t *)b + column->offset;
        int order = trib_store_text_size(column->kind) > 0 ? strcmp((const char *)left, (const char *)right)
                                                           : compare_numbers(left, right);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

/* The first row that does not come before `record` (after = false) or comes after it, by the first n_keys. */
static size_t bound(const struct table *table, const struct trib_store_layout *layout, const void *record,
                    size_t n_keys, bool after)
{
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(layout, table->rows[middle], record, n_keys);
        if (order < 0 || (after && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- rows ---- */

static size_t bytes_of(const struct trib_store_layout *layout, const void *record)
{
    size_t len = 0;
    for (size_t i = 0; i < layout->n_columns; i++) {
        if (layout->columns[i].kind == TRIB_STORE_KIND_BYTES) {
            struct trib_store_bytes bytes;
            memcpy(&bytes, (const uint8_t *)record + layout->columns[i].offset, sizeof bytes);
            len += bytes.len;
        }
    }
    return len;
}

/* Texts without what stands behind their ends, numbers as SQLite keeps them, and bytes of their own at *end. */
static void copy_value(const struct trib_store_column *column, const void *record, void *row, uint8_t **end)
{
    const uint8_t *from = (const uint8_t *)record + column->offset;
    uint8_t *to = (uint8_t *)row + column->offset;
    struct trib_store_bytes bytes;
    double real;
    switch (column->kind) {
    case TRIB_STORE_KIND_NODE:
    case TRIB_STORE_KIND_RUN:
    case TRIB_STORE_KIND_TEXT:
        memcpy(to, from, strlen((const char *)from));
        break;
    case TRIB_STORE_KIND_HASH:
        memcpy(to, from, TRIB_STORE_HASH_LEN);
        break;
    case TRIB_STORE_KIND_REAL:
        memcpy(&real, from, sizeof real);
        real = isnan(real) ? (double)NAN : real + 0.0;
        memcpy(to, &real, sizeof real);
        break;
    case TRIB_STORE_KIND_BYTES:
        memcpy(&bytes, from, sizeof bytes);
        if (bytes.data) {
            memcpy(*end, bytes.data, bytes.len);
            bytes.data = *end;
            *end += bytes.len;
        }
        memcpy(to, &bytes, sizeof bytes);
        break;
    default:
        memcpy(to, from, sizeof(uint64_t));
        break;
    }
}

/* One block: the record and the bytes that it points to. */
static void *row_new(const struct trib_store_layout *layout, const void *record)
{
    void *row = trib_calloc(1, layout->record_size + bytes_of(layout, record) + 1);
    if (row) {
        uint8_t *end = (uint8_t *)row + layout->record_size;
        for (size_t i = 0; i < layout->n_columns; i++) {
            copy_value(&layout->columns[i], record, row, &end);
        }
    }
    return row;
}

static bool grow(void **items, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) {
        return true;
    }
    size_t wanted = *capacity * 2 > needed ? *capacity * 2 : needed + 8;
    void *grown = trib_realloc_array(*items, wanted, size);
    if (!grown) {
        return false;
    }
    *items = grown;
    *capacity = wanted;
    return true;
}

static bool reserve_changes(struct memory_store *store, size_t n)
{
    void *changes = store->changes;
    bool grown = grow(&changes, &store->changes_capacity, store->n_changes + n, sizeof *store->changes);
    store->changes = changes;
    return grown;
}

static bool reserve_rows(struct table *table, size_t n)
{
    void *rows = table->rows;
    bool grown = grow(&rows, &table->capacity, table->n + n, sizeof *table->rows);
    table->rows = rows;
    return grown;
}

static void insert_row(struct table *table, size_t at, void *row)
{
    memmove(table->rows + at + 1, table->rows + at, (table->n - at) * sizeof *table->rows);
    table->rows[at] = row;
    table->n++;
}

static void take_rows(struct table *table, size_t at, size_t n)
{
    table->n -= n;
    memmove(table->rows + at, table->rows + at + n, (table->n - at) * sizeof *table->rows);
}

/* ---- the backend ---- */

static enum trib_status memory_open(const char *path, struct trib_store **store, struct trib_error *error)
{
    (void)path;
    struct memory_store *opened = trib_calloc(1, sizeof *opened);
    if (!opened) {
        return trib_fail_no_memory(error);
    }
    *store = &opened->base;
    return TRIB_OK;
}

static void forget_changes(struct memory_store *store)
{
    for (size_t i = 0; i < store->n_changes; i++) {
        trib_free(store->changes[i].was);
    }
    store->n_changes = 0;
}

static void memory_close(struct trib_store *base)
{
    struct memory_store *store = (struct memory_store *)base;
    for (size_t t = 0; t < TRIB_STORE_TABLES; t++) {
        for (size_t i = 0; i < store->tables[t].n; i++) {
            trib_free(store->tables[t].rows[i]);
        }
        trib_free(store->tables[t].rows);
    }
    trib_free(store->changes);
    trib_free(store);
}

static enum trib_status memory_begin(struct trib_store *base, struct trib_error *error)
{
    (void)base;
    (void)error;
    return TRIB_OK;
}

static enum trib_status memory_end(struct trib_store *base, bool durable, bool *doubtful, struct trib_error *error)
{
    (void)durable;
    (void)doubtful;
    (void)error;
    forget_changes((struct memory_store *)base);
    return TRIB_OK;
}

/* The last change first. There is room for every row that comes back: arrays do not shrink. */
static void memory_undo(struct trib_store *base)
{
    struct memory_store *store = (struct memory_store *)base;
    while (store->n_changes > 0) {
        struct change change = store->changes[--store->n_changes];
        const struct trib_store_layout *layout = trib_store_layout(change.table);
        struct table *table = &store->tables[change.table];
        size_t at = bound(table, layout, change.was ? change.was : change.is, layout->n_keys, false);
        if (change.is && change.was) {
            table->rows[at] = change.was;
        } else if (change.was) {
            insert_row(table, at, change.was);
        } else {
            take_rows(table, at, 1);
        }
        trib_free(change.is);
    }
}

static enum trib_status memory_put(struct trib_store *base, enum trib_store_table_id id, const void *record,
                                   struct trib_error *error)
{
    struct memory_store *store = (struct memory_store *)base;
    const struct trib_store_layout *layout = trib_store_layout(id);
    struct table *table = &store->tables[id];
    void *row = reserve_rows(table, 1) && reserve_changes(store, 1) ? row_new(layout, record) : NULL;
    if (!row) {
        return trib_fail_no_memory(error);
    }
    struct change change = {.table = id, .is = row};
    size_t at = bound(table, layout, record, layout->n_keys, false);
    if (at < table->n && compare_keys(layout, table->rows[at], record, layout->n_keys) == 0) {
        change.was = table->rows[at];
        table->rows[at] = row;
    } else {
        insert_row(table, at, row);
    }
    store->changes[store->n_changes++] = change;
    return TRIB_OK;
}

static enum trib_status memory_remove(struct trib_store *base, enum trib_store_table_id id, const void *record,
                                      size_t n_keys, uint64_t *removed, struct trib_error *error)
{
    struct memory_store *store = (struct memory_store *)base;
    const struct trib_store_layout *layout = trib_store_layout(id);
    struct table *table = &store->tables[id];
    size_t first = bound(table, layout, record, n_keys, false), end = bound(table, layout, record, n_keys, true);
    if (first < end && !reserve_changes(store, end - first)) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = first; i < end; i++) {
        store->changes[store->n_changes++] = (struct change){.table = id, .was = table->rows[i]};
    }
    if (first < end) {
        take_rows(table, first, end - first);
    }
    *removed = end - first;
    return TRIB_OK;
}

static enum trib_status memory_each(struct trib_store *base, enum trib_store_table_id id, const void *record,
                                    size_t n_keys,
                                    enum trib_status (*visit)(void *context, const void *record,
                                                              struct trib_error *error),
                                    void *context, struct trib_error *error)
{
    const struct table *table = &((struct memory_store *)base)->tables[id];
    const struct trib_store_layout *layout = trib_store_layout(id);
    size_t end = bound(table, layout, record, n_keys, true);
    for (size_t i = bound(table, layout, record, n_keys, false); i < end; i++) {
        TRIB_TRY(visit(context, table->rows[i], error));
    }
    return TRIB_OK;
}

static enum trib_status memory_check(struct trib_store *base, struct trib_error *error)
{
    (void)base;
    (void)error;
    return TRIB_OK;
}

const struct trib_store_backend trib_store_memory = {
    .name = "memory",
    .help = "nothing outlives the process",
    .open = memory_open,
    .close = memory_close,
    .begin = memory_begin,
    .end = memory_end,
    .undo = memory_undo,
    .put = memory_put,
    .remove = memory_remove,
    .each = memory_each,
    .check = memory_check,
};
