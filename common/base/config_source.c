/* A value's place is found here: the file and line, or --set, that a key or its former name was given in. Any thread.
 */
#include "config_private.h"

#include <stdio.h>
#include <string.h>

const struct trib_config_node *trib_config_find(const struct trib_config_node *map, const char *key)
{
    if (!map || map->kind != TRIB_CONFIG_MAP) {
        return NULL;
    }
    for (const struct trib_config_node *child = map->first; child; child = child->next) {
        size_t len = strlen(child->key);
        if (strncmp(child->key, key, len) != 0 || (key[len] != '\0' && key[len] != '.')) {
            continue;
        }
        const struct trib_config_node *found = key[len] == '\0' ? child : trib_config_find(child, key + len + 1);
        if (found) {
            return found;
        }
    }
    return NULL;
}

/* The node in the map that counts more. */
static const struct trib_config_node *find_last(const struct trib_config_source *source, const char *key)
{
    const struct trib_config_node *node = trib_config_find(source->maps[1], key);
    return node ? node : trib_config_find(source->maps[0], key);
}

static bool is_overridden(const struct trib_config_source *source, const char *key)
{
    return trib_config_is_overridden(source->overrides, source->n_overrides, key);
}

/* Is the row a former name of the key? */
static bool is_former(const struct trib_config_row *row, const char *key)
{
    return row->type == TRIB_TYPE_ALIAS && strcmp(row->fallback, key) == 0;
}

enum trib_status trib_config_fail_key(const struct trib_config_source *source, const char *key,
                                      struct trib_error *error, const char *format, ...)
{
    char text[TRIB_ERROR_MESSAGE_LEN / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *name = is_overridden(source, key) ? key : NULL;
    const struct trib_config_node *node = find_last(source, key);
    for (size_t i = 0; i < source->n_rows; i++) {
        if (is_former(&source->rows[i], key)) {
            name = !name && is_overridden(source, source->rows[i].key) ? source->rows[i].key : name;
            node = node ? node : find_last(source, source->rows[i].key);
        }
    }
    if (name) {
        return trib_fail(error, TRIB_CONFIG, "--set: %s: %s", name, text);
    }
    if (node) {
        return trib_config_fail(node, error, "%s", text);
    }
    return trib_fail(error, TRIB_CONFIG, "%s%s%s: %s", source->file ? source->file : "", source->file ? ": " : "", key,
                     text);
}

void trib_config_hints(const struct trib_config_source *source, void (*report)(void *context, const char *text),
                       void *context)
{
    char text[TRIB_CONFIG_PATH_LEN * 3];
    for (size_t i = 0; i < source->n_rows; i++) {
        const struct trib_config_row *row = &source->rows[i];
        for (size_t m = 0; m < 2 && row->type == TRIB_TYPE_ALIAS; m++) {
            const struct trib_config_node *node = trib_config_find(source->maps[m], row->key);
            if (node) {
                snprintf(text, sizeof text, "%s:%d: %s is called %s now", node->file, node->line, row->key,
                         row->fallback);
                report(context, text);
            }
        }
        if (row->type == TRIB_TYPE_ALIAS && is_overridden(source, row->key)) {
            snprintf(text, sizeof text, "--set: %s is called %s now", row->key, row->fallback);
            report(context, text);
        }
    }
}
