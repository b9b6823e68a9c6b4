/* A composed table is the rows of several modules and of the entries of registries, for one program's settings. The
 * rows point into one struct: a module's group fills a struct inside of it, an entry's own settings lie in a room there
 * that is shared out among the entries. Composed once, by one thread; from then on it only is read. */
#ifndef TRIB_BASE_CONFIG_TABLE_H
#define TRIB_BASE_CONFIG_TABLE_H

#include "base/config.h"
#include "base/config_rules.h"

/* A group is what one module or one entry of a registry can be told: its rows, into a struct of its own, and its rules.
 */
struct trib_config_group {
    const struct trib_config_row *rows;
    size_t n_rows;
    size_t size; /* bytes of the struct */
    const struct trib_config_rule *rules;
    size_t n_rules;
};
#define TRIB_GROUP_ROWS(list)  .rows = (list), .n_rows = sizeof(list) / sizeof(list)[0]
#define TRIB_GROUP_RULES(list) .rules = (list), .n_rules = sizeof(list) / sizeof(list)[0]

enum { TRIB_TABLE_ROWS = 256, TRIB_TABLE_PLACES = 128, TRIB_TABLE_TEXT = 8192 };
struct trib_config_table {
    struct trib_config_row rows[TRIB_TABLE_ROWS];
    size_t n;
    struct trib_config_place { /* of a group in the room */
        const struct trib_config_group *group;
        size_t offset;
    } places[TRIB_TABLE_PLACES];
    size_t n_places;
    size_t room_at, room_end; /* what is left of the room */
    char text[TRIB_TABLE_TEXT];
    size_t text_len;
    const char *fault; /* why the table is not whole; NULL = it is */
};

/* trib_config_table_add adds rows whose offsets count from `offset`. `section`, where it is not NULL, and a dot go
 * before their keys. `owner` is the entry that they belong to, NULL for everybody's: a row that is there already, at
 * the same offset, gets one more owner. */
void trib_config_table_add(struct trib_config_table *table, const char *section, const struct trib_config_row *rows,
                           size_t n, size_t offset, const char *owner);
/* trib_config_table_embed adds a group whose struct is a member at `offset`; its rules are for its user to check. */
void trib_config_table_embed(struct trib_config_table *table, const char *section,
                             const struct trib_config_group *group, size_t offset);
/* trib_config_table_place gives an entry's group a place in the room and adds its rows; without any it does nothing. */
void trib_config_table_place(struct trib_config_table *table, const struct trib_config_group *group, const char *owner);
/* trib_config_table_settings returns the struct of a group that was placed; `settings` themselves for one without
 * rows. */
const void *trib_config_table_settings(const struct trib_config_table *table, const struct trib_config_group *group,
                                       const void *settings);
/* trib_config_table_row returns the first row with this key, for one program to change its default or its help; where
 * there is none, the table has a fault and a row that nobody reads is returned. */
struct trib_config_row *trib_config_table_row(struct trib_config_table *table, const char *key);
/* trib_config_table_drop takes out the rows with this key. */
void trib_config_table_drop(struct trib_config_table *table, const char *key);
/* trib_config_table_check fails with TRIB_INTERNAL when there were more rows than room for them, or two that share a
 * key and differ: a mistake of ours that must not pass for one of the user. */
TRIB_MUST_CHECK enum trib_status trib_config_table_check(const struct trib_config_table *table,
                                                         struct trib_error *error);

#endif
