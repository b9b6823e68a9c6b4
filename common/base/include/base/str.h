/* Strings and checked number parsing. Any thread; no locale. */
#ifndef TRIB_BASE_STR_H
#define TRIB_BASE_STR_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Copy at most size-1 bytes and always terminate; returns false when `from` was cut. */
bool trib_str_copy(char *to, size_t size, const char *from);
bool trib_str_starts_with(const char *text, const char *prefix);
bool trib_str_ends_with(const char *text, const char *suffix);
bool trib_str_equal(const char *a, const char *b); /* NULL equals only NULL */

/* The whole text must be a number in range; otherwise TRIB_INVALID with a message that quotes it. Not written on
 * failure. trib_parse_int accepts decimal and 0x; trib_parse_double refuses nan and inf. */
TRIB_MUST_CHECK enum trib_status trib_parse_int(const char *text, int64_t min, int64_t max, int64_t *value,
                                                struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_parse_double(const char *text, double min, double max, double *value,
                                                   struct trib_error *error);
/* "250ms", "10s", "5m", "2h", "1d" to milliseconds; a bare number is refused, so that units are never guessed. */
TRIB_MUST_CHECK enum trib_status trib_parse_duration(const char *text, int64_t *milliseconds, struct trib_error *error);
/* "512", "64KB", "64KiB", "1.5GB" to bytes; K, M, G, T with B are powers of 1000, with iB powers of 1024. */
TRIB_MUST_CHECK enum trib_status trib_parse_size(const char *text, int64_t *bytes, struct trib_error *error);

/* Print into a caller's array; always terminated. "1.5 MB", "2m03s". */
const char *trib_format_size(double bytes, char *to, size_t size);
const char *trib_format_duration(int64_t milliseconds, char *to, size_t size);
/* Lower-case hexadecimal; `to` holds 2*len+1 bytes. */
void trib_hex_encode(const uint8_t *bytes, size_t len, char *to);
TRIB_MUST_CHECK bool trib_hex_decode(const char *text, uint8_t *bytes, size_t len); /* exactly 2*len digits */

/* The nearest of `n` names to `word` (edit distance <= 2 and a third of its length), or NULL: "did you mean". */
const char *trib_str_nearest(const char *word, const char *const *names, size_t n);

#endif
