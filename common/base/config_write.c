/* Settings are written back to YAML here: the effective values, and the commented sample file. Dotted keys become
 * nested maps, each section once, where the first of its rows stands. Any thread. */
#include "config_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INDENT = 2, COMMENT_WIDTH = 100 };

struct writing {
    const struct trib_config_row *rows;
    size_t n;
    const void *settings; /* NULL for a sample */
    struct trib_buf *yaml;
};

static enum trib_status write_indent(struct trib_buf *yaml, int depth)
{
    return trib_buf_printf(yaml, "%*s", depth * INDENT, "");
}

/* ---- text ---- */

/* What libyaml would not take as it stands, and what could not be told apart by eye. */
static bool needs_escape(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029 ||
           character == 0xfeff || (character & 0xfffe) == 0xfffe;
}

static enum trib_status write_quoted(struct trib_buf *yaml, const char *text)
{
    size_t len = strlen(text);
    TRIB_TRY(trib_buf_add_text(yaml, "\""));
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t n = trib_utf8_decode(text + at, len - at, &character);
        if (n == 0) {
            return TRIB_INVALID; /* checked when it was read */
        }
        if (character == '"' || character == '\\') {
            TRIB_TRY(trib_buf_printf(yaml, "\\%c", (int)character));
        } else if (character == '\n') {
            TRIB_TRY(trib_buf_add_text(yaml, "\\n"));
        } else if (needs_escape(character)) {
            TRIB_TRY(trib_buf_printf(yaml, character > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)character));
        } else {
            TRIB_TRY(trib_buf_add(yaml, text + at, n));
        }
        at += n;
    }
    return trib_buf_add_text(yaml, "\"");
}

/* A path that means the same wherever the file with it is put. */
static enum trib_status write_path(struct trib_buf *yaml, const char *path)
{
    char *here = path[0] == '/' || path[0] == '\0' ? NULL : getcwd(NULL, 0);
    if (!here) {
        return write_quoted(yaml, path);
    }
    char *whole = trib_path_join(here, path);
    enum trib_status status = !whole ? TRIB_NO_MEMORY : write_quoted(yaml, whole);
    trib_free(here);
    trib_free(whole);
    return status;
}

static bool is_simple_key(const char *key)
{
    return strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == strlen(key);
}

static enum trib_status write_key(struct trib_buf *yaml, const char *key)
{
    return is_simple_key(key) ? trib_buf_add_text(yaml, key) : write_quoted(yaml, key);
}

/* ---- trees ---- */

/* Plain text stays plain; a plain scalar that was folded over blank lines holds newlines and cannot. */
static enum trib_status write_scalar(struct trib_buf *yaml, const struct trib_config_node *node)
{
    bool plain = !node->quoted;
    for (const char *at = node->scalar; *at != '\0' && plain; at++) {
        plain = (unsigned char)*at >= 0x20 && *at != 0x7f;
    }
    return plain ? trib_buf_add_text(yaml, node->scalar) : write_quoted(yaml, node->scalar);
}

/* The value behind "key:" or "-", with what separates them, up to its newline. Lists and maps go on lines below. */
static enum trib_status write_node(struct trib_buf *yaml, const struct trib_config_node *node, int depth)
{
    if (node->kind == TRIB_CONFIG_SCALAR) {
        TRIB_TRY(trib_buf_add_text(yaml, " "));
        TRIB_TRY(write_scalar(yaml, node));
        return trib_buf_add_text(yaml, "\n");
    }
    if (!node->first) {
        return trib_buf_add_text(yaml, node->kind == TRIB_CONFIG_LIST ? " []\n" : " {}\n");
    }
    TRIB_TRY(trib_buf_add_text(yaml, "\n"));
    for (const struct trib_config_node *child = node->first; child; child = child->next) {
        TRIB_TRY(write_indent(yaml, depth));
        if (node->kind == TRIB_CONFIG_LIST) {
            TRIB_TRY(trib_buf_add_text(yaml, "-"));
        } else {
            TRIB_TRY(write_key(yaml, child->key));
            TRIB_TRY(trib_buf_add_text(yaml, ":"));
        }
        TRIB_TRY(write_node(yaml, child, depth + 1));
    }
    return TRIB_OK;
}

/* ---- values ---- */

static const void *field_of(const struct trib_config_row *row, const void *settings)
{
    return (const char *)settings + row->offset;
}

/* Is there no value, so that the key must be left out? */
static bool is_absent(const struct trib_config_row *row, const void *settings)
{
    const void *field = field_of(row, settings);
    switch (row->type) {
    case TRIB_TYPE_STRING:
    case TRIB_TYPE_PATH:
        return !*(char *const *)field;
    case TRIB_TYPE_NODE:
        return !*(const struct trib_config_node *const *)field;
    default:
        return false;
    }
}

/* The value with a leading space, up to its newline. */
static enum trib_status write_value(struct trib_buf *yaml, const struct trib_config_row *row, const void *settings,
                                    int depth)
{
    const void *field = field_of(row, settings);
    char number[48];
    if ((row->flags & TRIB_ROW_SECRET) != 0) {
        return trib_buf_add_text(yaml, " \"***\"\n");
    }
    if (row->type == TRIB_TYPE_NODE) {
        return write_node(yaml, *(const struct trib_config_node *const *)field, depth + 1);
    }
    TRIB_TRY(trib_buf_add_text(yaml, " "));
    switch (row->type) {
    case TRIB_TYPE_BOOL:
        TRIB_TRY(trib_buf_add_text(yaml, *(const bool *)field ? "true" : "false"));
        break;
    case TRIB_TYPE_INT:
        TRIB_TRY(trib_buf_printf(yaml, "%" PRId64, *(const int64_t *)field));
        break;
    case TRIB_TYPE_REAL:
        TRIB_TRY(trib_buf_add_text(yaml, trib_config_write_real(*(const double *)field, number, sizeof number)));
        break;
    case TRIB_TYPE_DURATION:
        TRIB_TRY(trib_buf_add_text(yaml, trib_config_write_duration(*(const int64_t *)field, number, sizeof number)));
        break;
    case TRIB_TYPE_SIZE:
        TRIB_TRY(trib_buf_add_text(yaml, trib_config_write_size(*(const int64_t *)field, number, sizeof number)));
        break;
    case TRIB_TYPE_STRING:
        TRIB_TRY(write_quoted(yaml, *(char *const *)field));
        break;
    case TRIB_TYPE_PATH:
        TRIB_TRY(write_path(yaml, *(char *const *)field));
        break;
    case TRIB_TYPE_ENUM:
        TRIB_TRY(trib_buf_add_text(yaml, row->choices[*(const int *)field]));
        break;
    case TRIB_TYPE_NODE:
    case TRIB_TYPE_ALIAS:
        break;
    }
    return trib_buf_add_text(yaml, "\n");
}

/* ---- comments of the sample file ---- */

/* "A whole number, 1 to 100." */
static enum trib_status describe_bounds(struct trib_buf *text, const struct trib_config_row *row, const char *what)
{
    char low[48], high[48];
    double max = trib_config_row_max(row);
    trib_config_write_number(row, row->min, low, sizeof low);
    if (isfinite(max)) {
        return trib_buf_printf(text, "%s, %s to %s.", what, low, trib_config_write_number(row, max, high, sizeof high));
    }
    return trib_buf_printf(text, "%s, at least %s.", what, low);
}

static enum trib_status describe_type(struct trib_buf *text, const struct trib_config_row *row)
{
    const char *what = row->type == TRIB_TYPE_PATH ? "A path" : "Text";
    switch (row->type) {
    case TRIB_TYPE_BOOL:
        return trib_buf_add_text(text, "true or false.");
    case TRIB_TYPE_INT:
        return describe_bounds(text, row, "A whole number");
    case TRIB_TYPE_REAL:
        return describe_bounds(text, row, "A number");
    case TRIB_TYPE_DURATION:
        return describe_bounds(text, row, "A duration (ms, s, m, h, d)");
    case TRIB_TYPE_SIZE:
        return describe_bounds(text, row, "A size (KB, MiB, ...)");
    case TRIB_TYPE_STRING:
    case TRIB_TYPE_PATH:
        return row->max > 0 ? trib_buf_printf(text, "%s, at most %.0f bytes.", what, row->max)
                            : trib_buf_printf(text, "%s.", what);
    case TRIB_TYPE_ENUM:
        TRIB_TRY(trib_buf_add_text(text, "One of: "));
        for (size_t i = 0; row->choices[i]; i++) {
            TRIB_TRY(trib_buf_printf(text, "%s%s", i == 0 ? "" : ", ", row->choices[i]));
        }
        return trib_buf_add_text(text, ".");
    case TRIB_TYPE_NODE:
        return trib_buf_add_text(text, "A list or a map.");
    case TRIB_TYPE_ALIAS:
        break;
    }
    return TRIB_OK;
}

static enum trib_status describe(struct trib_buf *text, const struct trib_config_row *row)
{
    char help[TRIB_CONFIG_NAMES_LEN * 2];
    if (row->owners) {
        TRIB_TRY(trib_buf_printf(text, "%s: ", row->owners));
    }
    if (row->help) {
        TRIB_TRY(trib_buf_printf(text, "%s ", trib_config_expand_help(row, help, sizeof help)));
    }
    TRIB_TRY(describe_type(text, row));
    if ((row->flags & TRIB_ROW_REQUIRED) != 0) {
        TRIB_TRY(trib_buf_add_text(text, " Required."));
    } else if (row->fallback) {
        TRIB_TRY(trib_buf_printf(text, " Default: %s.", row->fallback[0] == '\0' ? "empty" : row->fallback));
    } else {
        TRIB_TRY(trib_buf_add_text(text, " No default."));
    }
    if ((row->flags & TRIB_ROW_RELOADABLE) != 0) {
        TRIB_TRY(trib_buf_add_text(text, " Can be changed while it runs."));
    }
    if ((row->flags & TRIB_ROW_SECRET) != 0) {
        TRIB_TRY(trib_buf_add_text(text, " Never shown."));
    }
    return TRIB_OK;
}

/* Comment lines, broken at spaces. */
static enum trib_status write_comment(struct trib_buf *yaml, int depth, const char *text)
{
    size_t column = 0;
    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " \n");
        if (column > 0 && column + 1 + len > COMMENT_WIDTH) {
            TRIB_TRY(trib_buf_add_text(yaml, "\n"));
            column = 0;
        }
        if (column == 0) {
            TRIB_TRY(write_indent(yaml, depth));
            TRIB_TRY(trib_buf_add_text(yaml, "#"));
            column = (size_t)depth * INDENT + 1;
        }
        TRIB_TRY(trib_buf_printf(yaml, " %.*s", (int)len, word));
        column += 1 + len;
        word += len + strspn(word + len, " \n");
    }
    return trib_buf_add_text(yaml, "\n");
}

/* A value of the right form for a key that has no default. */
static enum trib_status write_example(struct trib_buf *yaml, const struct trib_config_row *row)
{
    char number[48];
    switch (row->type) {
    case TRIB_TYPE_BOOL:
        return trib_buf_add_text(yaml, "false");
    case TRIB_TYPE_STRING:
    case TRIB_TYPE_PATH:
        return trib_buf_add_text(yaml, row->max > 0 && row->max < 9 ? "x" : "CHANGE_ME");
    case TRIB_TYPE_ENUM:
        return trib_buf_add_text(yaml, row->choices[0]);
    case TRIB_TYPE_NODE:
        return trib_buf_add_text(yaml, "[]");
    default:
        return trib_buf_add_text(yaml, trib_config_write_number(row, row->min, number, sizeof number));
    }
}

static enum trib_status write_sample_row(struct trib_buf *yaml, const struct trib_config_row *row, const char *name,
                                         int depth)
{
    bool required = (row->flags & TRIB_ROW_REQUIRED) != 0;
    struct trib_buf text = {0};
    enum trib_status status = describe(&text, row);
    if (status == TRIB_OK) {
        status = write_comment(yaml, depth, trib_buf_text(&text));
    }
    trib_buf_clear(&text);
    TRIB_TRY(status);
    TRIB_TRY(write_indent(yaml, depth));
    TRIB_TRY(trib_buf_printf(yaml, "%s%s: ", required ? "" : "# ", name));
    if (!row->fallback) {
        TRIB_TRY(write_example(yaml, row));
    } else if (row->type == TRIB_TYPE_STRING || row->type == TRIB_TYPE_PATH) {
        TRIB_TRY(write_quoted(yaml, row->fallback));
    } else {
        TRIB_TRY(trib_buf_add_text(yaml, row->fallback));
    }
    return trib_buf_add_text(yaml, "\n");
}

/* ---- sections ---- */

static enum trib_status write_section(const struct writing *writing, const char *prefix, size_t prefix_len, int depth);

/* Is this the first row whose key begins with the same `len` bytes? */
static bool is_first_of(const struct writing *writing, size_t index, size_t len)
{
    for (size_t i = 0; i < index; i++) {
        if (writing->rows[i].type != TRIB_TYPE_ALIAS &&
            strncmp(writing->rows[i].key, writing->rows[index].key, len) == 0) {
            return false;
        }
    }
    return true;
}

static enum trib_status write_row(const struct writing *writing, const struct trib_config_row *row, const char *name,
                                  int depth)
{
    struct trib_buf *yaml = writing->yaml;
    if (!writing->settings) {
        return write_sample_row(yaml, row, name, depth);
    }
    if (is_absent(row, writing->settings)) {
        return TRIB_OK;
    }
    TRIB_TRY(write_indent(yaml, depth));
    TRIB_TRY(trib_buf_printf(yaml, "%s:", name));
    return write_value(yaml, row, writing->settings, depth);
}

/* A section's head and rows; nothing at all when no row wrote anything. `key_len` bytes of the key name it. */
static enum trib_status write_subsection(const struct writing *writing, const char *key, size_t prefix_len,
                                         size_t key_len, int depth)
{
    struct trib_buf *yaml = writing->yaml;
    size_t before = yaml->len;
    TRIB_TRY(write_indent(yaml, depth));
    TRIB_TRY(trib_buf_printf(yaml, "%.*s:\n", (int)(key_len - prefix_len), key + prefix_len));
    size_t head = yaml->len;
    TRIB_TRY(write_section(writing, key, key_len + 1, depth + 1));
    if (yaml->len == head) {
        yaml->len = before;
        yaml->data[before] = 0;
    }
    return TRIB_OK;
}

static enum trib_status write_section(const struct writing *writing, const char *prefix, size_t prefix_len, int depth)
{
    bool any = false;
    for (size_t i = 0; i < writing->n; i++) {
        const struct trib_config_row *row = &writing->rows[i];
        if (row->type == TRIB_TYPE_ALIAS || strncmp(row->key, prefix, prefix_len) != 0) {
            continue;
        }
        size_t name_len = strcspn(row->key + prefix_len, ".");
        bool leaf = row->key[prefix_len + name_len] == '\0';
        if (leaf ? !trib_config_is_first(writing->rows, i) : !is_first_of(writing, i, prefix_len + name_len + 1)) {
            continue;
        }
        if (any && !writing->settings) {
            TRIB_TRY(trib_buf_add_text(writing->yaml, "\n"));
        }
        any = true;
        if (leaf) {
            TRIB_TRY(write_row(writing, row, row->key + prefix_len, depth));
        } else {
            TRIB_TRY(write_subsection(writing, row->key, prefix_len, prefix_len + name_len, depth));
        }
    }
    return TRIB_OK;
}

static enum trib_status write_all(const struct writing *writing)
{
    size_t before = writing->yaml->len;
    enum trib_status status = write_section(writing, "", 0, 0);
    if (status != TRIB_OK) {
        writing->yaml->len = before;
    }
    return status;
}

enum trib_status trib_config_dump(const struct trib_config_row *rows, size_t n, const void *settings,
                                  struct trib_buf *yaml)
{
    return write_all(&(struct writing){.rows = rows, .n = n, .settings = settings, .yaml = yaml});
}

enum trib_status trib_config_sample(const struct trib_config_row *rows, size_t n, const char *title,
                                    struct trib_buf *yaml)
{
    size_t before = yaml->len;
    enum trib_status status = write_comment(yaml, 0, title);
    if (status == TRIB_OK) {
        status = trib_buf_add_text(yaml, "\n");
    }
    if (status == TRIB_OK) {
        status = write_all(&(struct writing){.rows = rows, .n = n, .yaml = yaml});
    }
    if (status != TRIB_OK) {
        yaml->len = before;
    }
    return status;
}
