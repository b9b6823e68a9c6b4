/* Tables of rows are applied here: reading values by type and bounds, defaults, unknown keys. Any thread; the settings
 * belong to one. */
#include "config_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void *field_of(const struct trib_config_row *row, void *settings)
{
    return (char *)settings + row->offset;
}

double trib_config_row_min(const struct trib_config_row *row)
{
    return row->min;
}

double trib_config_row_max(const struct trib_config_row *row)
{
    return row->max == 0 && row->min >= 0 ? HUGE_VAL : row->max;
}

const struct trib_config_row *trib_config_find_row(const struct trib_config_row *rows, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].key, key) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

bool trib_config_is_first(const struct trib_config_row *rows, size_t index)
{
    return trib_config_find_row(rows, index + 1, rows[index].key) == &rows[index];
}

/* ---- one value ---- */

static int64_t whole(double bound)
{
    return bound >= 0x1p63 ? INT64_MAX : bound < -0x1p63 ? INT64_MIN : (int64_t)bound;
}

static enum trib_status read_bool(const char *text, bool *value, struct trib_error *error)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return TRIB_OK;
        }
    }
    return trib_fail(error, TRIB_CONFIG, "\"%.64s\" is not true or false", text);
}

static enum trib_status read_real(const struct trib_config_row *row, const char *text, double *value,
                                  struct trib_error *error)
{
    double max = trib_config_row_max(row);
    return trib_parse_double(text, row->min, isfinite(max) ? max : DBL_MAX, value, error);
}

static enum trib_status read_quantity(const struct trib_config_row *row, const char *text, int64_t *value,
                                      struct trib_error *error)
{
    int64_t parsed = 0;
    char bound[32];
    if (row->type == TRIB_TYPE_DURATION) {
        TRIB_TRY(trib_parse_duration(text, &parsed, error));
    } else {
        TRIB_TRY(trib_parse_size(text, &parsed, error));
    }
    if (parsed < whole(row->min)) {
        return trib_fail(error, TRIB_CONFIG, "%s is below the minimum %s", text,
                         trib_config_write_number(row, row->min, bound, sizeof bound));
    }
    if (parsed > whole(trib_config_row_max(row))) {
        return trib_fail(error, TRIB_CONFIG, "%s is above the maximum %s", text,
                         trib_config_write_number(row, row->max, bound, sizeof bound));
    }
    *value = parsed;
    return TRIB_OK;
}

/* Text messages never quote the value: it may be a secret. */
static enum trib_status check_text(const struct trib_config_row *row, const char *text, struct trib_error *error)
{
    size_t len = strlen(text);
    if (len == 0 && row->min > 0) {
        return trib_fail(error, TRIB_CONFIG, "must not be empty");
    }
    if (row->max > 0 && (double)len > row->max) {
        return trib_fail(error, TRIB_CONFIG, "is %zu bytes long, above the maximum %.0f", len, row->max);
    }
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t n = trib_utf8_decode(text + at, len - at, &character);
        if (n == 0) {
            return trib_fail(error, TRIB_CONFIG, "is not UTF-8 text (byte %zu)", at + 1);
        }
        at += n;
    }
    return TRIB_OK;
}

static enum trib_status read_text(const struct trib_config_row *row, const char *text, const char *dir, char **value,
                                  struct trib_error *error)
{
    TRIB_TRY(check_text(row, text, error));
    bool resolve = row->type == TRIB_TYPE_PATH && dir && text[0] != '\0' && strcmp(dir, ".") != 0;
    char *copy = resolve ? trib_path_join(dir, text) : trib_strdup(text);
    if (!copy) {
        return trib_fail_no_memory(error);
    }
    trib_free(*value);
    *value = copy;
    return TRIB_OK;
}

static enum trib_status read_choice(const struct trib_config_row *row, const char *text, int *value,
                                    struct trib_error *error)
{
    size_t n = 0;
    for (; row->choices[n]; n++) {
        if (strcmp(text, row->choices[n]) == 0) {
            *value = (int)n;
            return TRIB_OK;
        }
    }
    char list[256] = "";
    for (size_t i = 0, used = 0; i < n && used < sizeof list; i++) {
        int wrote = snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
        used += wrote < 0 ? sizeof list : (size_t)wrote;
    }
    const char *nearest = trib_str_nearest(text, row->choices, n);
    if (nearest) {
        return trib_fail(error, TRIB_CONFIG, "\"%.64s\" is not known; did you mean \"%s\"? It is one of: %s", text,
                         nearest, list);
    }
    return trib_fail(error, TRIB_CONFIG, "\"%.64s\" is not known; it is one of: %s", text, list);
}

/* Read `text` into the row's field; the message of a failure has no place in it yet. `dir` may be NULL. */
static enum trib_status read_value(const struct trib_config_row *row, const char *text, const char *dir, void *settings,
                                   struct trib_error *error)
{
    void *field = field_of(row, settings);
    switch (row->type) {
    case TRIB_TYPE_BOOL:
        return read_bool(text, field, error);
    case TRIB_TYPE_INT:
        return trib_parse_int(text, whole(row->min), whole(trib_config_row_max(row)), field, error);
    case TRIB_TYPE_REAL:
        return read_real(row, text, field, error);
    case TRIB_TYPE_DURATION:
    case TRIB_TYPE_SIZE:
        return read_quantity(row, text, field, error);
    case TRIB_TYPE_STRING:
    case TRIB_TYPE_PATH:
        return read_text(row, text, dir, field, error);
    case TRIB_TYPE_ENUM:
        return read_choice(row, text, field, error);
    case TRIB_TYPE_NODE:
    case TRIB_TYPE_ALIAS:
        break;
    }
    return trib_fail(error, TRIB_CONFIG, "must be a list or a map, in the configuration file");
}

static void clear_value(const struct trib_config_row *row, void *settings)
{
    void *field = field_of(row, settings);
    switch (row->type) {
    case TRIB_TYPE_BOOL:
        *(bool *)field = false;
        break;
    case TRIB_TYPE_INT:
    case TRIB_TYPE_DURATION:
    case TRIB_TYPE_SIZE:
        *(int64_t *)field = 0;
        break;
    case TRIB_TYPE_REAL:
        *(double *)field = 0;
        break;
    case TRIB_TYPE_STRING:
    case TRIB_TYPE_PATH:
        trib_free(*(char **)field);
        *(char **)field = NULL;
        break;
    case TRIB_TYPE_ENUM:
        *(int *)field = 0;
        break;
    case TRIB_TYPE_NODE:
        *(const struct trib_config_node **)field = NULL;
        break;
    case TRIB_TYPE_ALIAS:
        break;
    }
}

/* The row that an alias stands for; any other row stands for itself. */
static const struct trib_config_row *meant_row(const struct trib_config_row *rows, size_t n,
                                               const struct trib_config_row *row)
{
    return row && row->type == TRIB_TYPE_ALIAS ? trib_config_find_row(rows, n, row->fallback) : row;
}

/* Read `text` into the fields of all rows with the key of `row`. */
static enum trib_status read_everywhere(const struct trib_config_row *rows, size_t n, const struct trib_config_row *row,
                                        const char *text, const char *dir, void *settings, struct trib_error *error)
{
    for (size_t i = (size_t)(row - rows); i < n; i++) {
        if (&rows[i] == row || strcmp(rows[i].key, row->key) == 0) {
            TRIB_TRY(read_value(&rows[i], text, dir, settings, error));
        }
    }
    return TRIB_OK;
}

void trib_config_clear(const struct trib_config_row *rows, size_t n, void *settings)
{
    for (size_t i = 0; i < n; i++) {
        clear_value(&rows[i], settings);
    }
}

/* ---- a map ---- */

struct reading {
    const struct trib_config_row *rows;
    size_t n;
    void *settings;
    char *dir;                             /* of the file, for relative paths */
    const struct trib_config_node **given; /* one for each row: where it was, NULL = nowhere */
    struct trib_error *error;
};

static enum trib_status fail_unknown(const struct reading *reading, const struct trib_config_node *node,
                                     const char *key, size_t prefix_len)
{
    char near[TRIB_CONFIG_PATH_LEN];
    if (trib_config_suggest(reading->rows, reading->n, key, prefix_len, near, sizeof near)) {
        return trib_config_fail(node, reading->error, "unknown key; did you mean \"%s\"?", near);
    }
    return trib_config_fail(node, reading->error, "unknown key");
}

/* The row's value was given before, under this name or another. */
static enum trib_status fail_twice(const struct reading *reading, const struct trib_config_row *row,
                                   const struct trib_config_node *node, const struct trib_config_node *before)
{
    char path[TRIB_CONFIG_PATH_LEN], other[TRIB_CONFIG_PATH_LEN];
    trib_config_path_of(node, path, sizeof path);
    trib_config_path_of(before, other, sizeof other);
    if (strcmp(path, other) == 0) {
        return trib_config_fail(node, reading->error, "given twice, nested and with dots");
    }
    return trib_config_fail(node, reading->error,
                            "the same as %s in line %d: the setting is called %s now; remove one of the two", other,
                            before->line, row->key);
}

static enum trib_status apply_value(struct reading *reading, const struct trib_config_row *row,
                                    const struct trib_config_node *node)
{
    size_t index = (size_t)(row - reading->rows);
    if (reading->given[index]) {
        return fail_twice(reading, row, node, reading->given[index]);
    }
    bool nothing = node->kind == TRIB_CONFIG_SCALAR && node->scalar[0] == '\0' && !node->quoted;
    if (row->type == TRIB_TYPE_NODE) {
        if (node->kind == TRIB_CONFIG_SCALAR && !nothing) {
            return trib_config_fail(node, reading->error, "must be a list or a map, not a single value");
        }
        if (!nothing) {
            *(const struct trib_config_node **)field_of(row, reading->settings) = node;
            reading->given[index] = node;
        }
        return TRIB_OK;
    }
    if (nothing) {
        return trib_config_fail(node, reading->error, "has no value; give one or remove the line");
    }
    if (node->kind != TRIB_CONFIG_SCALAR) {
        return trib_config_fail(node, reading->error, "must be a single value, not a %s",
                                node->kind == TRIB_CONFIG_LIST ? "list" : "map");
    }
    struct trib_error reason;
    enum trib_status status =
        read_everywhere(reading->rows, reading->n, row, node->scalar, reading->dir, reading->settings, &reason);
    if (status == TRIB_NO_MEMORY) {
        return trib_fail_no_memory(reading->error);
    }
    if (status != TRIB_OK) {
        return trib_config_fail(node, reading->error, "%s", reason.message);
    }
    reading->given[index] = node;
    return TRIB_OK;
}

/* Does any row's key begin with `key` and a dot? */
static bool is_section(const struct reading *reading, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < reading->n; i++) {
        if (strncmp(reading->rows[i].key, key, len) == 0 && reading->rows[i].key[len] == '.') {
            return true;
        }
    }
    return false;
}

/* All children of a map that stands for the keys beginning with `prefix` (with its dot, or ""). */
static enum trib_status apply_map(struct reading *reading, const struct trib_config_node *map, const char *prefix)
{
    for (const struct trib_config_node *child = map->first; child; child = child->next) {
        char key[TRIB_CONFIG_PATH_LEN];
        int len = snprintf(key, sizeof key - 1, "%s%s", prefix, child->key);
        if (len < 0 || (size_t)len >= sizeof key - 1) {
            return trib_config_fail(child, reading->error, "unknown key");
        }
        const struct trib_config_row *row =
            meant_row(reading->rows, reading->n, trib_config_find_row(reading->rows, reading->n, key));
        if (row) {
            TRIB_TRY(apply_value(reading, row, child));
        } else if (!is_section(reading, key)) {
            return fail_unknown(reading, child, key, strlen(prefix));
        } else if (child->kind == TRIB_CONFIG_MAP) {
            key[len] = '.';
            key[len + 1] = '\0';
            TRIB_TRY(apply_map(reading, child, key));
        } else if (child->kind != TRIB_CONFIG_SCALAR || child->scalar[0] != '\0') {
            return trib_config_fail(child, reading->error, "must be a map of keys, indented below it");
        }
    }
    return TRIB_OK;
}

/* Defaults are part of the program: one that does not read back is our own mistake. */
static enum trib_status apply_fallbacks(struct reading *reading)
{
    for (size_t i = 0; i < reading->n; i++) {
        const struct trib_config_row *row = &reading->rows[i];
        if (!row->fallback || row->type == TRIB_TYPE_ALIAS) {
            continue;
        }
        struct trib_error reason;
        enum trib_status status = read_value(row, row->fallback, reading->dir, reading->settings, &reason);
        if (status == TRIB_NO_MEMORY) {
            return trib_fail_no_memory(reading->error);
        }
        if (status != TRIB_OK) {
            return trib_fail(reading->error, TRIB_INTERNAL, "default of %s: %s", row->key, reason.message);
        }
    }
    return TRIB_OK;
}

static enum trib_status check_required(const struct reading *reading, const struct trib_config_node *map)
{
    for (size_t i = 0; i < reading->n; i++) {
        const struct trib_config_row *row = &reading->rows[i];
        if ((row->flags & TRIB_ROW_REQUIRED) != 0 && !reading->given[i] && trib_config_is_first(reading->rows, i)) {
            char path[TRIB_CONFIG_PATH_LEN], help[TRIB_ERROR_MESSAGE_LEN];
            trib_config_path_of(map, path, sizeof path);
            return trib_fail(reading->error, TRIB_CONFIG, "%s:%d: %s%s%s: is required but missing (%s)", map->file,
                             map->line, path, path[0] == '\0' ? "" : ".", row->key,
                             trib_config_expand_help(row, help, sizeof help));
        }
    }
    return TRIB_OK;
}

enum trib_status trib_config_apply(const struct trib_config_node *map, const struct trib_config_row *rows, size_t n,
                                   void *settings, struct trib_error *error)
{
    if (map->kind != TRIB_CONFIG_MAP) {
        return trib_config_fail(map, error, "must be a map of keys");
    }
    struct reading reading = {.rows = rows, .n = n, .settings = settings, .error = error};
    enum trib_status status = TRIB_OK;
    reading.dir = trib_path_dir(map->file);
    reading.given = trib_calloc(n, sizeof *reading.given);
    if (!reading.dir || !reading.given) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = apply_fallbacks(&reading);
    if (status == TRIB_OK) {
        status = apply_map(&reading, map, "");
    }
    if (status == TRIB_OK) {
        status = check_required(&reading, map);
    }
    if (status != TRIB_OK) {
        trib_config_clear(rows, n, settings);
    }
out:
    trib_free(reading.dir);
    trib_free(reading.given);
    return status;
}

enum trib_status trib_config_set(const struct trib_config_row *rows, size_t n, void *settings, const char *key,
                                 const char *value, const char *origin, struct trib_error *error)
{
    const struct trib_config_row *row = meant_row(rows, n, trib_config_find_row(rows, n, key));
    if (!row) {
        char near[TRIB_CONFIG_PATH_LEN];
        bool found = trib_config_suggest(rows, n, key, 0, near, sizeof near);
        return trib_fail(error, TRIB_CONFIG, "%s: %s: unknown key%s%s%s", origin, key, found ? "; did you mean \"" : "",
                         found ? near : "", found ? "\"?" : "");
    }
    struct trib_error reason;
    enum trib_status status = read_everywhere(rows, n, row, value, NULL, settings, &reason);
    if (status == TRIB_NO_MEMORY) {
        return trib_fail_no_memory(error);
    }
    if (status != TRIB_OK) {
        return trib_fail(error, TRIB_CONFIG, "%s: %s: %s", origin, key, reason.message);
    }
    return TRIB_OK;
}

/* A key and its former name in one list: which of them counts nobody could tell. */
static enum trib_status check_aliases(const struct trib_config_row *rows, size_t n, const char *const *overrides,
                                      size_t n_overrides, struct trib_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].type == TRIB_TYPE_ALIAS && trib_config_is_overridden(overrides, n_overrides, rows[i].key) &&
            trib_config_is_overridden(overrides, n_overrides, rows[i].fallback)) {
            return trib_fail(error, TRIB_CONFIG,
                             "--set: %s: the same as --set %s: the setting is called %s now; give one of the two",
                             rows[i].key, rows[i].fallback, rows[i].fallback);
        }
    }
    return TRIB_OK;
}

enum trib_status trib_config_override(const struct trib_config_row *rows, size_t n, void *settings,
                                      const char *const *overrides, size_t n_overrides, struct trib_error *error)
{
    TRIB_TRY(check_aliases(rows, n, overrides, n_overrides, error));
    for (size_t i = 0; i < n_overrides; i++) {
        const char *equals = strchr(overrides[i], '=');
        if (!equals || equals == overrides[i]) {
            return trib_fail(error, TRIB_INVALID, "--set %.100s: write it as KEY=VALUE", overrides[i]);
        }
        char *key = trib_strndup(overrides[i], (size_t)(equals - overrides[i]));
        if (!key) {
            return trib_fail_no_memory(error);
        }
        enum trib_status status = trib_config_set(rows, n, settings, key, equals + 1, "--set", error);
        trib_free(key);
        TRIB_TRY(status);
    }
    return TRIB_OK;
}

bool trib_config_is_overridden(const char *const *overrides, size_t n_overrides, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < n_overrides; i++) {
        if (strncmp(overrides[i], key, len) == 0 && overrides[i][len] == '=') {
            return true;
        }
    }
    return false;
}
