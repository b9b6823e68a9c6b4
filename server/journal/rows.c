/* A batch is a list of rows, one allocation each, with their bytes behind them. */
#include "rows.h"

#include "base/mem.h"

#include <stdalign.h>
#include <string.h>

struct trib_note {
    struct trib_note *next;
    enum trib_store_table_id table;
    size_t n_keys; /* > 0: a removal */
    alignas(16) unsigned char record[];
};

static struct trib_store_bytes *bytes_of(const struct trib_store_column *column, void *record)
{
    return (struct trib_store_bytes *)(void *)((unsigned char *)record + column->offset);
}

/* The lengths of a record's bytes, which follow it. */
static size_t bytes_len(const struct trib_store_layout *layout, const void *record)
{
    size_t len = 0;
    for (size_t i = 0; i < layout->n_columns; i++) {
        if (layout->columns[i].kind == TRIB_STORE_KIND_BYTES) {
            struct trib_store_bytes bytes;
            memcpy(&bytes, (const unsigned char *)record + layout->columns[i].offset, sizeof bytes);
            len += bytes.data ? bytes.len : 0;
        }
    }
    return len;
}

static void take_bytes(const struct trib_store_layout *layout, struct trib_note *note)
{
    unsigned char *at = note->record + layout->record_size;
    for (size_t i = 0; i < layout->n_columns; i++) {
        if (layout->columns[i].kind == TRIB_STORE_KIND_BYTES) {
            struct trib_store_bytes *bytes = bytes_of(&layout->columns[i], note->record);
            if (bytes->data && bytes->len > 0) {
                memcpy(at, bytes->data, bytes->len);
                bytes->data = at;
                at += bytes->len;
            }
        }
    }
}

static void add(struct trib_batch *batch, enum trib_store_table_id table, const void *record, size_t n_keys)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    struct trib_note *note = trib_malloc(sizeof *note + layout->record_size + bytes_len(layout, record));
    if (!note) {
        batch->lost = true;
        return;
    }
    *note = (struct trib_note){.table = table, .n_keys = n_keys};
    memcpy(note->record, record, layout->record_size);
    take_bytes(layout, note);
    if (batch->last) {
        batch->last->next = note;
    } else {
        batch->first = note;
    }
    batch->last = note;
}

void trib_batch_put(struct trib_batch *batch, enum trib_store_table_id table, const void *record)
{
    add(batch, table, record, 0);
}

void trib_batch_remove(struct trib_batch *batch, enum trib_store_table_id table, const void *record, size_t n_keys)
{
    add(batch, table, record, n_keys);
}

void trib_batch_clear(struct trib_batch *batch)
{
    while (batch->first) {
        struct trib_note *next = batch->first->next;
        trib_free(batch->first);
        batch->first = next;
    }
    *batch = (struct trib_batch){0};
}

enum trib_status trib_batch_write(const struct trib_batch *batch, struct trib_store *store, uint64_t *audit_number,
                                  struct trib_error *error)
{
    for (struct trib_note *note = batch->first; note; note = note->next) {
        if (note->table == TRIB_STORE_audit) {
            ((struct trib_store_audit *)(void *)note->record)->number = ++*audit_number;
        }
        if (note->n_keys > 0) {
            TRIB_TRY(trib_store_remove(store, note->table, note->record, note->n_keys, NULL, error));
        } else {
            TRIB_TRY(trib_store_put(store, note->table, note->record, error));
        }
    }
    return TRIB_OK;
}
