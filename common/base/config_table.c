/* Tables are composed here. What does not fit is left out and noted as the table's fault. Any thread; no allocation. */
#include "base/config_table.h"

#include "base/str.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

static void note_fault(struct trib_config_table *table, const char *fault)
{
    table->fault = table->fault ? table->fault : fault;
}

/* "a" and "b" to "a", separator, "b", kept as long as the table. */
static const char *join(struct trib_config_table *table, const char *a, const char *separator, const char *b)
{
    char *to = table->text + table->text_len;
    size_t left = sizeof table->text - table->text_len;
    int len = snprintf(to, left, "%s%s%s", a, separator, b);
    if (len < 0 || (size_t)len >= left) {
        note_fault(table, "no room for its texts; raise TRIB_TABLE_TEXT");
        return b;
    }
    table->text_len += (size_t)len + 1;
    return to;
}

static struct trib_config_row *find(struct trib_config_table *table, const char *key)
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->rows[i].key, key) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

/* Do two rows with one key read the same texts, and fall back to the same? */
static bool are_alike(const struct trib_config_row *a, const struct trib_config_row *b)
{
    return a->type == b->type && a->min == b->min && a->max == b->max && a->flags == b->flags &&
           a->choices == b->choices && trib_str_equal(a->fallback, b->fallback) && trib_str_equal(a->help, b->help);
}

/* The first row of a key names all who have a use for it. */
static void add_owner(struct trib_config_table *table, struct trib_config_row *row, const char *owner)
{
    if (!row->owners || !owner) {
        row->owners = NULL;
    } else {
        row->owners = join(table, row->owners, ", ", owner);
    }
}

static void add_row(struct trib_config_table *table, struct trib_config_row row)
{
    struct trib_config_row *first = find(table, row.key);
    if (first) {
        if (!are_alike(first, &row) || (first->type == TRIB_TYPE_NODE && first->offset != row.offset)) {
            note_fault(table, join(table, row.key, ": ", "two rows with this key differ"));
        }
        add_owner(table, first, row.owners);
        if (first->offset == row.offset) {
            return;
        }
    }
    if (table->n == TRIB_TABLE_ROWS) {
        note_fault(table, "no room for its rows; raise TRIB_TABLE_ROWS");
        return;
    }
    table->rows[table->n++] = row;
}

void trib_config_table_add(struct trib_config_table *table, const char *section, const struct trib_config_row *rows,
                           size_t n, size_t offset, const char *owner)
{
    for (size_t i = 0; i < n; i++) {
        struct trib_config_row row = rows[i];
        row.key = section ? join(table, section, ".", row.key) : row.key;
        row.offset += row.type == TRIB_TYPE_ALIAS ? 0 : offset;
        row.owners = owner;
        add_row(table, row);
    }
}

void trib_config_table_embed(struct trib_config_table *table, const char *section,
                             const struct trib_config_group *group, size_t offset)
{
    trib_config_table_add(table, section, group->rows, group->n_rows, offset, NULL);
}

void trib_config_table_place(struct trib_config_table *table, const struct trib_config_group *group, const char *owner)
{
    if (group->n_rows == 0) {
        return;
    }
    size_t offset = (table->room_at + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (offset > table->room_end || table->room_end - offset < group->size) {
        note_fault(table, join(table, owner ? owner : "a group", ": ", "no room for its settings"));
        return;
    }
    if (table->n_places == TRIB_TABLE_PLACES) {
        note_fault(table, "too many groups; raise TRIB_TABLE_PLACES");
        return;
    }
    table->places[table->n_places++] = (struct trib_config_place){.group = group, .offset = offset};
    table->room_at = offset + group->size;
    trib_config_table_add(table, NULL, group->rows, group->n_rows, offset, owner);
}

const void *trib_config_table_settings(const struct trib_config_table *table, const struct trib_config_group *group,
                                       const void *settings)
{
    for (size_t i = 0; i < table->n_places; i++) {
        if (table->places[i].group == group) {
            return (const char *)settings + table->places[i].offset;
        }
    }
    return settings;
}

struct trib_config_row *trib_config_table_row(struct trib_config_table *table, const char *key)
{
    struct trib_config_row *row = find(table, key);
    if (!row) {
        note_fault(table, join(table, key, ": ", "no row has this key"));
        row = &table->rows[TRIB_TABLE_ROWS - 1];
    }
    return row;
}

void trib_config_table_drop(struct trib_config_table *table, const char *key)
{
    size_t kept = 0;
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->rows[i].key, key) != 0) {
            table->rows[kept++] = table->rows[i];
        }
    }
    if (kept == table->n) {
        note_fault(table, join(table, key, ": ", "no row has this key"));
    }
    table->n = kept;
}

enum trib_status trib_config_table_check(const struct trib_config_table *table, struct trib_error *error)
{
    return table->fault ? trib_fail(error, TRIB_INTERNAL, "the table of settings: %s", table->fault) : TRIB_OK;
}
