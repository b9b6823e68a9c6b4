/* A small strict scanner of JSON, for headers of bounded length: no recursion, no memory of its own, every fault a
 * TRIB_CORRUPT that names the byte. Private to the block. One thread at a time for each scanner. */
#ifndef TRIB_MODEL_JSON_H
#define TRIB_MODEL_JSON_H

#include "base/buf.h"

struct trib_json {
    const uint8_t *data;
    size_t len, at;
    struct trib_error *error;
};

TRIB_MUST_CHECK enum trib_status trib_json_expect(struct trib_json *json, char byte);
/* trib_json_more steps through what lies between brackets, after the opening one: *more is false once `close` was
 * taken. Start with *n = 0; counts the members. */
TRIB_MUST_CHECK enum trib_status trib_json_more(struct trib_json *json, char close, size_t *n, bool *more);
/* A string, decoded to UTF-8 and terminated; what does not fit is checked, dropped and told by *cut. `to` may be NULL
 * with size 0. NUL characters are refused. */
TRIB_MUST_CHECK enum trib_status trib_json_string(struct trib_json *json, char *to, size_t size, bool *cut);
/* A number of decimal digits alone. */
TRIB_MUST_CHECK enum trib_status trib_json_u64(struct trib_json *json, uint64_t *number);
/* At the end only white space may be left. */
TRIB_MUST_CHECK enum trib_status trib_json_end(struct trib_json *json);

/* Append `text` in quotes, escaped; TRIB_INVALID when it is not UTF-8. */
TRIB_MUST_CHECK enum trib_status trib_json_quote(struct trib_buf *buf, const char *text);

#endif
