/* UTF-8, one character at a time. Any thread. */
#ifndef TRIB_BASE_UTF8_H
#define TRIB_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the character that starts at `at` (`len` bytes remain, > 0), and the character itself; 0 when the bytes
 * are not UTF-8 (overlong forms and surrogates are not). */
size_t trib_utf8_decode(const char *at, size_t len, uint32_t *character);

#endif
