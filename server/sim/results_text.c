/* Text in the making: quoting for JSON, XML and CSV; files. One thread. */
#include "results_text.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

void trib_sim_put(struct trib_sim_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (text->status == TRIB_OK) {
        text->status = trib_buf_vprintf(&text->buf, format, arguments);
    }
    va_end(arguments);
}

static void put_bytes(struct trib_sim_text *text, const char *bytes, size_t len)
{
    if (text->status == TRIB_OK) {
        text->status = trib_buf_add(&text->buf, bytes, len);
    }
}

/* The character at *at, which moves behind it; U+FFFD for a byte that is not UTF-8. */
static uint32_t next_character(const char **at)
{
    uint32_t character = 0xfffd;
    size_t n = trib_utf8_decode(*at, strlen(*at), &character);
    *at += n == 0 ? 1 : n;
    return n == 0 ? 0xfffd : character;
}

void trib_sim_put_json(struct trib_sim_text *text, const char *from)
{
    put_bytes(text, "\"", 1);
    while (*from != '\0') {
        const char *start = from;
        uint32_t character = next_character(&from);
        if (character == 0xfffd) {
            put_bytes(text, REPLACEMENT, 3);
        } else if (character == '"' || character == '\\') {
            trib_sim_put(text, "\\%c", (int)character);
        } else if (character < 0x20 || character == 0x7f) {
            trib_sim_put(text, "\\u%04x", (unsigned)character);
        } else {
            put_bytes(text, start, (size_t)(from - start));
        }
    }
    put_bytes(text, "\"", 1);
}

void trib_sim_put_xml(struct trib_sim_text *text, const char *from)
{
    while (*from != '\0') {
        const char *start = from;
        uint32_t character = next_character(&from);
        bool white = character == '\t' || character == '\n' || character == '\r';
        if (character == '<' || character == '>' || character == '&' || character == '"' || character == '\'') {
            trib_sim_put(text, "&#%d;", (int)character);
        } else if ((character < 0x20 && !white) || character == 0xfffd || character == 0xfffe || character == 0xffff) {
            put_bytes(text, REPLACEMENT, 3);
        } else {
            put_bytes(text, start, (size_t)(from - start));
        }
    }
}

void trib_sim_put_csv(struct trib_sim_text *text, const char *from)
{
    if (!strpbrk(from, ",\"\r\n")) {
        put_bytes(text, from, strlen(from));
        return;
    }
    put_bytes(text, "\"", 1);
    for (; *from != '\0'; from++) {
        put_bytes(text, *from == '"' ? "\"\"" : from, *from == '"' ? 2 : 1);
    }
    put_bytes(text, "\"", 1);
}

enum trib_status trib_sim_text_save(struct trib_sim_text *text, const char *path, struct trib_error *error)
{
    enum trib_status status = text->status;
    if (status == TRIB_OK) {
        status = trib_file_replace(path, text->buf.data, text->buf.len, error);
    } else {
        status = trib_fail_no_memory(error);
    }
    trib_buf_clear(&text->buf);
    return status;
}
