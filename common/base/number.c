/* Numbers, durations and sizes out of text: the whole text or nothing. Any thread. */
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Quoted for a message: cut where it is long, and without bytes that could forge lines on a terminal. */
struct quoted {
    char text[64];
};

static struct quoted quote(const char *text)
{
    struct quoted result;
    size_t n = 0;
    result.text[n++] = '"';
    for (; *text != '\0' && n < sizeof result.text - 6; text++) {
        result.text[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
    }
    if (*text != '\0') {
        memcpy(result.text + n, "...", 3);
        n += 3;
    }
    result.text[n++] = '"';
    result.text[n] = '\0';
    return result;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a text that must be a number as a whole; TRIB_LIMIT when it does not fit. */
static enum trib_status read_int(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+' ? 1 : 0);
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    if (!is_digit(digits[0])) {
        return TRIB_INVALID;
    }
    char *end = NULL;
    errno = 0;
    long long parsed = strtoll(text, &end, hexadecimal ? 16 : 10);
    if (end == text || *end != '\0' || (hexadecimal && digits[2] == '\0')) {
        return TRIB_INVALID;
    }
    if (errno == ERANGE) {
        return TRIB_LIMIT;
    }
    *value = parsed;
    return TRIB_OK;
}

enum trib_status trib_parse_int(const char *text, int64_t min, int64_t max, int64_t *value, struct trib_error *error)
{
    int64_t parsed = 0;
    enum trib_status status = read_int(text, &parsed);
    if (status == TRIB_LIMIT) {
        return trib_fail(error, TRIB_INVALID, "%s does not fit a 64-bit number", quote(text).text);
    }
    if (status != TRIB_OK) {
        return trib_fail(error, TRIB_INVALID, "%s is not a whole number", quote(text).text);
    }
    if (parsed < min) {
        return trib_fail(error, TRIB_INVALID, "%" PRId64 " is below the minimum %" PRId64, parsed, min);
    }
    if (parsed > max) {
        return trib_fail(error, TRIB_INVALID, "%" PRId64 " is above the maximum %" PRId64, parsed, max);
    }
    *value = parsed;
    return TRIB_OK;
}

static bool read_double(const char *text, double *value)
{
    if (strspn(text, "0123456789+-.eE") != strlen(text) || !strpbrk(text, "0123456789")) {
        return false;
    }
    char *end = NULL;
    double parsed = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}

enum trib_status trib_parse_double(const char *text, double min, double max, double *value, struct trib_error *error)
{
    double parsed = 0;
    if (!read_double(text, &parsed)) {
        return trib_fail(error, TRIB_INVALID, "%s is not a finite number", quote(text).text);
    }
    if (parsed < min) {
        return trib_fail(error, TRIB_INVALID, "%g is below the minimum %g", parsed, min);
    }
    if (parsed > max) {
        return trib_fail(error, TRIB_INVALID, "%g is above the maximum %g", parsed, max);
    }
    *value = parsed;
    return TRIB_OK;
}

struct unit {
    const char *name;
    int64_t factor;
};

/* number * factor: exact for whole numbers; a fraction must give a whole result. */
static bool scale(const char *number, int64_t factor, int64_t *result)
{
    int64_t whole = 0;
    if (!strchr(number, '.')) {
        return read_int(number, &whole) == TRIB_OK && !__builtin_mul_overflow(whole, factor, result);
    }
    double real = 0;
    if (!read_double(number, &real)) {
        return false;
    }
    double scaled = real * (double)factor;
    double rounded = round(scaled);
    if (rounded >= 0x1p53 || fabs(scaled - rounded) > 1e-6) {
        return false;
    }
    *result = (int64_t)rounded;
    return true;
}

/* Digits, perhaps with a point, perhaps a space, and one of the units. */
static bool parse_quantity(const char *text, const struct unit *units, size_t n, int64_t *result)
{
    char number[32];
    size_t len = strspn(text, "0123456789.");
    if (len == 0 || len >= sizeof number || !is_digit(text[0]) || !is_digit(text[len - 1])) {
        return false;
    }
    memcpy(number, text, len);
    number[len] = '\0';
    const char *name = text + len + (text[len] == ' ' && text[len + 1] != '\0' ? 1 : 0);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, units[i].name) == 0) {
            return scale(number, units[i].factor, result);
        }
    }
    return false;
}

enum trib_status trib_parse_duration(const char *text, int64_t *milliseconds, struct trib_error *error)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t parsed = 0;
    if (!parse_quantity(text, units, sizeof units / sizeof units[0], &parsed)) {
        return trib_fail(error, TRIB_INVALID,
                         "%s is not a duration; write a whole number of milliseconds as in 250ms, 10s, 5m, 2h or 1d",
                         quote(text).text);
    }
    *milliseconds = parsed;
    return TRIB_OK;
}

enum trib_status trib_parse_size(const char *text, int64_t *bytes, struct trib_error *error)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"kB", 1000},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", (int64_t)1 << 10},
        {"MiB", (int64_t)1 << 20},
        {"GiB", (int64_t)1 << 30},
        {"TiB", (int64_t)1 << 40},
    };
    int64_t parsed = 0;
    if (!parse_quantity(text, units, sizeof units / sizeof units[0], &parsed)) {
        return trib_fail(error, TRIB_INVALID,
                         "%s is not a size; write a whole number of bytes as in 512, 64KB, 64KiB or 1.5GB",
                         quote(text).text);
    }
    *bytes = parsed;
    return TRIB_OK;
}
