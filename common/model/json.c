/* Scanning and quoting JSON. Bytes come from files: nothing is assumed of them. */
#include "json.h"

#include <string.h>

static enum trib_status fault(struct trib_json *json, const char *what)
{
    return trib_fail(json->error, TRIB_CORRUPT, "header byte %zu: %s", json->at, what);
}

static void skip_space(struct trib_json *json)
{
    while (json->at < json->len && memchr(" \t\r\n", json->data[json->at], 4)) {
        json->at++;
    }
}

/* Skip white space; true when the next byte is `byte`, which is then taken. */
static bool take(struct trib_json *json, char byte)
{
    skip_space(json);
    if (json->at < json->len && json->data[json->at] == (uint8_t)byte) {
        json->at++;
        return true;
    }
    return false;
}

enum trib_status trib_json_expect(struct trib_json *json, char byte)
{
    if (take(json, byte)) {
        return TRIB_OK;
    }
    return trib_fail(json->error, TRIB_CORRUPT, "header byte %zu: expected '%c'", json->at, byte);
}

enum trib_status trib_json_more(struct trib_json *json, char close, size_t *n, bool *more)
{
    if (take(json, close)) {
        *more = false;
        return TRIB_OK;
    }
    if (*n > 0) {
        TRIB_TRY(trib_json_expect(json, ','));
    }
    ++*n;
    *more = true;
    return TRIB_OK;
}

/* Length of the UTF-8 character at the start of `bytes`, 0 when there is none: overlong forms, surrogates and what
 * lies above U+10FFFF are none (RFC 3629). */
static size_t utf8_len(const uint8_t *bytes, size_t len)
{
    uint8_t first = bytes[0];
    if (first < 0x80) {
        return 1;
    }
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || n > len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
        (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f)) {
        return 0;
    }
    return n;
}

static size_t utf8_encode(uint32_t character, uint8_t to[4])
{
    if (character < 0x80) {
        to[0] = (uint8_t)character;
        return 1;
    }
    size_t n = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--) {
        to[i] = (uint8_t)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    to[0] = (uint8_t)(first[n] | character);
    return n;
}

static enum trib_status read_hex4(struct trib_json *json, uint32_t *number)
{
    *number = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        if (json->at >= json->len) {
            return fault(json, "the string does not end");
        }
        uint8_t c = json->data[json->at];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        } else {
            return fault(json, "\\u takes four hexadecimal digits");
        }
        *number = *number << 4 | digit;
    }
    return TRIB_OK;
}

/* After the backslash: the character meant; two \u escapes may make one. */
static enum trib_status read_escape(struct trib_json *json, uint8_t to[4], size_t *n)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (json->at >= json->len) {
        return fault(json, "the string does not end");
    }
    uint8_t c = json->data[json->at];
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter) {
        json->at++;
        to[0] = (uint8_t)meanings[letter - letters];
        *n = 1;
        return TRIB_OK;
    }
    if (c != 'u') {
        return fault(json, "unknown escape");
    }
    json->at++;
    uint32_t character, low;
    TRIB_TRY(read_hex4(json, &character));
    if (character >= 0xd800 && character < 0xdc00) {
        if (json->len - json->at < 2 || json->data[json->at] != '\\' || json->data[json->at + 1] != 'u') {
            return fault(json, "half of a surrogate pair");
        }
        json->at += 2;
        TRIB_TRY(read_hex4(json, &low));
        if (low < 0xdc00 || low > 0xdfff) {
            return fault(json, "half of a surrogate pair");
        }
        character = 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00);
    } else if (character == 0 || (character >= 0xdc00 && character <= 0xdfff)) {
        return fault(json, "\\u names no character that a string may hold");
    }
    *n = utf8_encode(character, to);
    return TRIB_OK;
}

/* One character of a string, decoded. */
static enum trib_status read_character(struct trib_json *json, uint8_t to[4], size_t *n)
{
    const uint8_t *bytes = json->data + json->at;
    if (bytes[0] < 0x20) {
        return fault(json, "a control byte within a string");
    }
    if (bytes[0] == '\\') {
        json->at++;
        return read_escape(json, to, n);
    }
    *n = utf8_len(bytes, json->len - json->at);
    if (*n == 0) {
        return fault(json, "not UTF-8");
    }
    memcpy(to, bytes, *n);
    json->at += *n;
    return TRIB_OK;
}

enum trib_status trib_json_string(struct trib_json *json, char *to, size_t size, bool *cut)
{
    TRIB_TRY(trib_json_expect(json, '"'));
    size_t len = 0;
    bool full = size == 0;
    for (;;) {
        if (json->at >= json->len) {
            return fault(json, "the string does not end");
        }
        if (json->data[json->at] == '"') {
            json->at++;
            break;
        }
        uint8_t character[4];
        size_t n = 0;
        TRIB_TRY(read_character(json, character, &n));
        if (full || n >= size - len) {
            full = true;
            continue;
        }
        memcpy(to + len, character, n);
        len += n;
    }
    if (size > 0) {
        to[len] = '\0';
    }
    *cut = full;
    return TRIB_OK;
}

enum trib_status trib_json_u64(struct trib_json *json, uint64_t *number)
{
    skip_space(json);
    size_t start = json->at;
    uint64_t value = 0;
    for (; json->at < json->len; json->at++) {
        uint8_t c = json->data[json->at];
        if (c < '0' || c > '9') {
            break;
        }
        uint64_t digit = (uint64_t)(c - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return fault(json, "the number is too large");
        }
        value = value * 10 + digit;
    }
    size_t digits = json->at - start;
    if (digits == 0 || (digits > 1 && json->data[start] == '0')) {
        return fault(json, "expected a whole number");
    }
    *number = value;
    return TRIB_OK;
}

enum trib_status trib_json_end(struct trib_json *json)
{
    skip_space(json);
    return json->at == json->len ? TRIB_OK : fault(json, "something follows the closing bracket");
}

enum trib_status trib_json_quote(struct trib_buf *buf, const char *text)
{
    TRIB_TRY(trib_buf_add(buf, "\"", 1));
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    while (left > 0) {
        size_t n = utf8_len(at, left);
        if (n == 0) {
            return TRIB_INVALID;
        }
        if (*at == '"' || *at == '\\') {
            TRIB_TRY(trib_buf_printf(buf, "\\%c", *at));
        } else if (*at < 0x20) {
            TRIB_TRY(trib_buf_printf(buf, "\\u%04x", *at));
        } else {
            TRIB_TRY(trib_buf_add(buf, at, n));
        }
        at += n;
        left -= n;
    }
    return trib_buf_add(buf, "\"", 1);
}
