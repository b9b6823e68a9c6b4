/* The configuration's texts are made here: exact quantities, lists of names, what an unknown key may have meant, where
 * a value comes from. Any thread. */
#include "config_private.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- exact quantities ---- */

const char *trib_config_write_duration(int64_t milliseconds, char *to, size_t size)
{
    static const struct {
        int64_t factor;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t unit = 0;
    while (milliseconds % units[unit].factor != 0) {
        unit++;
    }
    if (milliseconds == 0) {
        unit = 3; /* 0s */
    }
    snprintf(to, size, "%" PRId64 "%s", milliseconds / units[unit].factor, units[unit].name);
    return to;
}

/* The largest unit that divides the size; of a power of 1000 and one of 1024, what leaves the smaller number. */
const char *trib_config_write_size(int64_t bytes, char *to, size_t size)
{
    static const struct {
        int64_t factor;
        const char *name;
    } units[] = {
        {(int64_t)1 << 40, "TiB"},
        {1000000000000, "TB"},
        {(int64_t)1 << 30, "GiB"},
        {1000000000, "GB"},
        {(int64_t)1 << 20, "MiB"},
        {1000000, "MB"},
        {(int64_t)1 << 10, "KiB"},
        {1000, "KB"},
        {1, ""},
    };
    size_t unit = 0;
    while (bytes % units[unit].factor != 0) {
        unit++;
    }
    if (bytes == 0) {
        unit = sizeof units / sizeof units[0] - 1;
    }
    snprintf(to, size, "%" PRId64 "%s", bytes / units[unit].factor, units[unit].name);
    return to;
}

const char *trib_config_write_real(double value, char *to, size_t size)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(to, size, "%.*g", digits, value);
        double back = 0;
        if (trib_parse_double(to, -HUGE_VAL, HUGE_VAL, &back, NULL) == TRIB_OK && back == value) {
            break;
        }
    }
    return to;
}

const char *trib_config_write_number(const struct trib_config_row *row, double value, char *to, size_t size)
{
    switch (row->type) {
    case TRIB_TYPE_DURATION:
        return trib_config_write_duration((int64_t)value, to, size);
    case TRIB_TYPE_SIZE:
        return trib_config_write_size((int64_t)value, to, size);
    case TRIB_TYPE_INT:
        snprintf(to, size, "%.0f", value);
        return to;
    default:
        return trib_config_write_real(value, to, size);
    }
}

/* ---- unknown keys ---- */

/* The nearest name at the level of the unknown key: among what follows the prefix in each row, up to its next dot. */
static const char *nearest_sibling(const struct trib_config_row *rows, size_t n, const char *key, size_t prefix_len,
                                   char *to, size_t size)
{
    const char *found = NULL;
    char **names = trib_calloc(n, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < n && names; i++) {
        if (rows[i].type != TRIB_TYPE_ALIAS && strncmp(rows[i].key, key, prefix_len) == 0) {
            const char *rest = rows[i].key + prefix_len;
            names[count] = trib_strndup(rest, strcspn(rest, "."));
            if (!names[count]) {
                break;
            }
            count++;
        }
    }
    const char *nearest = count == 0 ? NULL : trib_str_nearest(key + prefix_len, (const char *const *)names, count);
    if (nearest) {
        snprintf(to, size, "%.*s%s", (int)prefix_len, key, nearest);
        found = to;
    }
    for (size_t i = 0; i < count; i++) {
        trib_free(names[i]);
    }
    trib_free(names);
    return found;
}

/* What follows the last dot. */
static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return !dot ? key : dot + 1;
}

/* The row whose whole key (or, if `parts`, its last part) is nearest: right name, wrong section. */
static const char *nearest_row(const struct trib_config_row *rows, size_t n, const char *key, bool parts, char *to,
                               size_t size)
{
    const char *found = NULL;
    const char **names = trib_calloc(n, sizeof *names);
    if (!names) {
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].type != TRIB_TYPE_ALIAS) {
            names[count++] = parts ? last_part(rows[i].key) : rows[i].key;
        }
    }
    const char *nearest = count == 0 ? NULL : trib_str_nearest(parts ? last_part(key) : key, names, count);
    for (size_t i = 0; i < n && nearest && !found; i++) {
        if (nearest == (parts ? last_part(rows[i].key) : rows[i].key)) {
            snprintf(to, size, "%s", rows[i].key);
            found = to;
        }
    }
    trib_free(names);
    return found;
}

const char *trib_config_suggest(const struct trib_config_row *rows, size_t n, const char *key, size_t prefix_len,
                                char *to, size_t size)
{
    const char *found = nearest_sibling(rows, n, key, prefix_len, to, size);
    if (!found) {
        found = nearest_row(rows, n, key, false, to, size);
    }
    return found ? found : nearest_row(rows, n, key, true, to, size);
}

/* ---- names of entries ---- */

bool trib_config_has_name(trib_config_names names, const char *word)
{
    for (size_t i = 0; names(i); i++) {
        if (strcmp(names(i), word) == 0) {
            return true;
        }
    }
    return false;
}

const char *trib_config_list_names(trib_config_names names, const char *last, char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; names(i) && used < size; i++) {
        bool is_last = last && !names(i + 1);
        int wrote = snprintf(to + used, size - used, "%s%s%s%s",
                             i == 0    ? ""
                             : is_last ? " "
                                       : ", ",
                             i > 0 && is_last ? last : "", i > 0 && is_last ? " " : "", names(i));
        used += wrote < 0 ? size : (size_t)wrote;
    }
    return to;
}

const char *trib_config_expand_help(const struct trib_config_row *row, char *to, size_t size)
{
    static const char mark[] = "{names}";
    char list[TRIB_CONFIG_NAMES_LEN];
    const char *help = row->help ? row->help : "no help", *at = row->names ? strstr(help, mark) : NULL;
    if (at) {
        trib_config_list_names(row->names, "or", list, sizeof list);
        snprintf(to, size, "%.*s%s%s", (int)(at - help), help, list, at + strlen(mark));
    } else {
        snprintf(to, size, "%s", help);
    }
    return to;
}

enum trib_status trib_config_check_name(const struct trib_config_source *source, const char *key,
                                        trib_config_names names, const char *word, struct trib_error *error)
{
    const char *list[TRIB_CONFIG_NAMES_MAX];
    char text[TRIB_CONFIG_NAMES_LEN / 2];
    size_t n = 0;
    if (trib_config_has_name(names, word)) {
        return TRIB_OK;
    }
    for (; n < TRIB_CONFIG_NAMES_MAX && names(n); n++) {
        list[n] = names(n);
    }
    const char *nearest = trib_str_nearest(word, list, n);
    if (nearest) {
        return trib_config_fail_key(source, key, error, "\"%.40s\" is not known; did you mean \"%s\"?", word, nearest);
    }
    return trib_config_fail_key(source, key, error, "\"%.40s\" is not known; it is one of: %s", word,
                                trib_config_list_names(names, NULL, text, sizeof text));
}
