/* Log lines. A line is built on the stack, without allocation, and leaves in one write; a mutex keeps the file open
 * while it is written. Values are bounded and escaped, so that no peer can forge or flood a line. Any thread. */
#include "base/log.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_LEN = 8192,  /* a whole line with its newline */
    VALUE_LEN = 1024, /* bytes of a text value that are printed; the rest becomes "..." */
    END_LEN = 32      /* kept free for the mark of dropped fields and the end of the line */
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
enum { LEVELS = sizeof level_names / sizeof level_names[0] };

static struct {
    pthread_mutex_t lock; /* guards fd and path */
    int fd;
    char *path; /* NULL = stderr */
    atomic_int level;
    atomic_int format;
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .level = TRIB_LOG_INFO};

static int open_append(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

enum trib_status trib_log_open(const struct trib_log_options *options, struct trib_error *error)
{
    char *path = NULL;
    int fd = STDERR_FILENO;
    if (options->path && options->path[0] != '\0') {
        path = trib_strdup(options->path);
        if (!path) {
            return trib_fail_no_memory(error);
        }
        fd = open_append(path);
        if (fd < 0) {
            int errnum = errno;
            trib_free(path);
            return trib_fail_errno(error, errnum, "%s: the log file cannot be opened", options->path);
        }
    }
    trib_log_close();
    pthread_mutex_lock(&log_state.lock);
    log_state.fd = fd;
    log_state.path = path;
    pthread_mutex_unlock(&log_state.lock);
    atomic_store(&log_state.level, (int)options->level);
    atomic_store(&log_state.format, (int)options->format);
    return TRIB_OK;
}

void trib_log_close(void)
{
    pthread_mutex_lock(&log_state.lock);
    if (log_state.path) {
        close(log_state.fd);
        trib_free(log_state.path);
    }
    log_state.fd = STDERR_FILENO;
    log_state.path = NULL;
    pthread_mutex_unlock(&log_state.lock);
}

void trib_log_reopen(void)
{
    pthread_mutex_lock(&log_state.lock);
    if (log_state.path) {
        int fd = open_append(log_state.path);
        if (fd >= 0) { /* otherwise the old file is better than none */
            close(log_state.fd);
            log_state.fd = fd;
        }
    }
    pthread_mutex_unlock(&log_state.lock);
}

bool trib_log_enabled(enum trib_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

bool trib_log_parse_level(const char *name, enum trib_log_level *level)
{
    for (int i = 0; i < LEVELS; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum trib_log_level)i;
            return true;
        }
    }
    return false;
}

/* ---- a line on the stack ---- */

struct line {
    char text[LINE_LEN];
    size_t len;
    bool full; /* something did not fit; the text is then cut anywhere */
};

static void put_bytes(struct line *line, const char *bytes, size_t len)
{
    if (line->full || len > sizeof line->text - END_LEN - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void put(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

/* Characters that could end a line, drive a terminal or reorder what a person reads. */
static bool must_escape(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
           (character >= 0x200e && character <= 0x200f) || (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069) || character == 0xfeff;
}

/* Text between quotes, by JSON's rules: they serve logfmt as well. Bytes that are not UTF-8 become U+FFFD. */
static void put_quoted(struct line *line, const char *text)
{
    size_t all = strnlen(text, VALUE_LEN + 1);
    size_t len = all > VALUE_LEN ? VALUE_LEN : all;
    put(line, "\"");
    for (size_t at = 0; at < len && !line->full;) {
        uint32_t character = 0;
        size_t n = trib_utf8_decode(text + at, len - at, &character);
        char escape[8];
        if (n == 0) {
            put(line, "\xef\xbf\xbd");
            n = 1;
        } else if (character == '"' || character == '\\') {
            escape[0] = '\\';
            escape[1] = (char)character;
            put_bytes(line, escape, 2);
        } else if (character == '\n') {
            put(line, "\\n");
        } else if (must_escape(character)) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(character & 0xffff));
            put(line, escape);
        } else {
            put_bytes(line, text + at, n);
        }
        at += n;
    }
    put(line, all > VALUE_LEN ? "...\"" : "\"");
}

/* In logfmt a word of plain characters needs no quotes. "null" does: bare, it means that there is none. */
static bool is_bare(const char *text)
{
    size_t len = strnlen(text, VALUE_LEN + 1);
    if (len == 0 || len > VALUE_LEN || strcmp(text, "null") == 0) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '=' || text[i] == '\\') {
            return false;
        }
    }
    return true;
}

static void put_text(struct line *line, enum trib_log_format format, const char *text)
{
    if (!text) {
        put(line, "null");
    } else if (format == TRIB_LOG_LOGFMT && is_bare(text)) {
        put(line, text);
    } else {
        put_quoted(line, text);
    }
}

/* The separator, the key and what stands between it and its value. Keys come from our own code. */
static void put_key(struct line *line, enum trib_log_format format, const char *key)
{
    if (format == TRIB_LOG_JSON) {
        put(line, line->len == 0 ? "{" : ",");
        put_quoted(line, key);
        put(line, ":");
    } else {
        put(line, line->len == 0 ? "" : " ");
        put(line, key);
        put(line, "=");
    }
}

static void put_value(struct line *line, enum trib_log_format format, const struct trib_field *field)
{
    char number[48];
    switch (field->kind) {
    case TRIB_FIELD_INT:
        snprintf(number, sizeof number, "%" PRId64, field->value.integer);
        put(line, number);
        break;
    case TRIB_FIELD_DOUBLE:
        snprintf(number, sizeof number, "%.6g", field->value.real);
        put(line, isfinite(field->value.real) || format == TRIB_LOG_LOGFMT ? number : "null");
        break;
    case TRIB_FIELD_STRING:
        put_text(line, format, field->value.string);
        break;
    case TRIB_FIELD_BOOL:
        put(line, field->value.boolean ? "true" : "false");
        break;
    }
}

/* A field is printed whole or not at all; true when it was. */
static bool put_field(struct line *line, enum trib_log_format format, const struct trib_field *field)
{
    size_t before = line->len;
    put_key(line, format, field->key);
    put_value(line, format, field);
    if (line->full) {
        line->len = before;
        line->full = false;
        return false;
    }
    return true;
}

static void finish(struct line *line, enum trib_log_format format, bool dropped)
{
    const char *mark = !dropped ? "" : format == TRIB_LOG_JSON ? ",\"truncated\":true" : " truncated=true";
    const char *end = format == TRIB_LOG_JSON ? "}\n" : "\n";
    size_t mark_len = strlen(mark), end_len = strlen(end);
    _Static_assert(END_LEN >= sizeof ",\"truncated\":true" + sizeof "}\n", "the end must always fit");
    memcpy(line->text + line->len, mark, mark_len);
    memcpy(line->text + line->len + mark_len, end, end_len);
    line->len += mark_len + end_len;
}

/* A write that fails has nowhere to be reported. */
static void write_line(const struct line *line)
{
    int callers_errno = errno; /* callers may still look at theirs */
    pthread_mutex_lock(&log_state.lock);
    size_t done = 0;
    while (done < line->len) {
        ssize_t put_len = write(log_state.fd, line->text + done, line->len - done);
        if (put_len > 0) {
            done += (size_t)put_len;
        } else if (put_len == 0 || errno != EINTR) {
            break;
        }
    }
    pthread_mutex_unlock(&log_state.lock);
    errno = callers_errno;
}

void trib_log_fields(enum trib_log_level level, const char *component, const char *event,
                     const struct trib_field *fields, int n)
{
    if (!trib_log_enabled(level) || (unsigned)level >= LEVELS) {
        return;
    }
    enum trib_log_format format = (enum trib_log_format)atomic_load_explicit(&log_state.format, memory_order_relaxed);
    char now[32];
    const struct trib_field head[] = {
        TRIB_F_STR("ts", trib_clock_format(trib_clock_wall_ms(), now, sizeof now)),
        TRIB_F_STR("level", level_names[level]),
        TRIB_F_STR("component", component),
        TRIB_F_STR("event", event),
    };
    struct line line;
    line.len = 0;
    line.full = false;
    bool dropped = false;
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        dropped |= !put_field(&line, format, &head[i]);
    }
    for (int i = 0; i < n; i++) {
        dropped |= !put_field(&line, format, &fields[i]);
    }
    finish(&line, format, dropped);
    write_line(&line);
}
