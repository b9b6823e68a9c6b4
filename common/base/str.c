/* Strings, UTF-8 and the formatting of quantities. Any thread. */
#include "base/str.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool trib_str_copy(char *to, size_t size, const char *from)
{
    if (size == 0) {
        return false;
    }
    size_t len = strnlen(from, size);
    bool fits = len < size;
    size_t kept = fits ? len : size - 1;
    memcpy(to, from, kept);
    to[kept] = '\0';
    return fits;
}

bool trib_str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool trib_str_ends_with(const char *text, const char *suffix)
{
    size_t text_len = strlen(text), suffix_len = strlen(suffix);
    return suffix_len <= text_len && memcmp(text + text_len - suffix_len, suffix, suffix_len) == 0;
}

bool trib_str_equal(const char *a, const char *b)
{
    if (!a || !b) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

size_t trib_utf8_decode(const char *at, size_t len, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *bytes = (const uint8_t *)at;
    if (bytes[0] < 0x80) {
        *character = bytes[0];
        return 1;
    }
    size_t n = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || n > len) {
        return 0;
    }
    uint32_t value = bytes[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < smallest[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *character = value;
    return n;
}

const char *trib_format_size(double bytes, char *to, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    const size_t last = sizeof units / sizeof units[0] - 1;
    size_t unit = 0;
    /* 999.95 would be printed as 1000.0 */
    while (unit < last && fabs(bytes) >= (unit == 0 ? 1000.0 : 999.95)) {
        bytes /= 1000.0;
        unit++;
    }
    snprintf(to, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return to;
}

const char *trib_format_duration(int64_t milliseconds, char *to, size_t size)
{
    const char *sign = milliseconds < 0 ? "-" : "";
    uint64_t ms = milliseconds < 0 ? 0 - (uint64_t)milliseconds : (uint64_t)milliseconds;
    uint64_t s = ms / 1000;
    if (ms < 1000) {
        snprintf(to, size, "%s%dms", sign, (int)ms);
    } else if (s < 60) {
        snprintf(to, size, "%s%d.%ds", sign, (int)s, (int)(ms % 1000 / 100));
    } else if (s < 3600) {
        snprintf(to, size, "%s%dm%02ds", sign, (int)(s / 60), (int)(s % 60));
    } else if (s < 86400) {
        snprintf(to, size, "%s%dh%02dm", sign, (int)(s / 3600), (int)(s / 60 % 60));
    } else {
        snprintf(to, size, "%s%llud%02dh", sign, (unsigned long long)(s / 86400), (int)(s / 3600 % 24));
    }
    return to;
}

void trib_hex_encode(const uint8_t *bytes, size_t len, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
    to[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool trib_hex_decode(const char *text, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < 2 * len; i++) {
        if (hex_digit(text[i]) < 0) { /* the end of the text is no digit either */
            return false;
        }
    }
    if (text[2 * len] != '\0') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    }
    return true;
}

enum { LONGEST_WORD = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost 1 each. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][LONGEST_WORD + 1];
    size_t *before = rows[0], *last = rows[1], *current = rows[2];
    for (size_t j = 0; j <= b_len; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a_len; i++) {
        current[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t cost = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            cost = smaller(cost, smaller(last[j], current[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                cost = smaller(cost, before[j - 2] + 1);
            }
            current[j] = cost;
        }
        size_t *oldest = before;
        before = last;
        last = current;
        current = oldest;
    }
    return last[b_len];
}

const char *trib_str_nearest(const char *word, const char *const *names, size_t n)
{
    size_t len = strnlen(word, LONGEST_WORD + 1);
    if (len > LONGEST_WORD) {
        return NULL;
    }
    const char *nearest = NULL;
    size_t bound = smaller(2, len / 3) + 1;
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strnlen(names[i], LONGEST_WORD + 1);
        if (name_len > LONGEST_WORD) {
            continue;
        }
        size_t distance = edit_distance(word, len, names[i], name_len);
        if (distance < bound) {
            bound = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
