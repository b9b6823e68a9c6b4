/* A growable byte buffer, and bounded little-endian reading and writing. One owner, one thread at a time. */
#ifndef TRIB_BASE_BUF_H
#define TRIB_BASE_BUF_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* A zeroed struct is an empty buffer. The functions below always put a NUL byte behind the content; who writes into
 * reserved room by hand puts it there too before asking for the text (there is always room for it). */
struct trib_buf {
    uint8_t *data;
    size_t len;
    size_t capacity;
};

void trib_buf_clear(struct trib_buf *buf); /* frees and zeroes */
TRIB_MUST_CHECK enum trib_status trib_buf_reserve(struct trib_buf *buf, size_t extra_len);
TRIB_MUST_CHECK enum trib_status trib_buf_add(struct trib_buf *buf, const void *bytes, size_t len);
TRIB_MUST_CHECK enum trib_status trib_buf_add_text(struct trib_buf *buf, const char *text);
TRIB_MUST_CHECK enum trib_status trib_buf_printf(struct trib_buf *buf, const char *format, ...) TRIB_PRINTF(2, 3);
TRIB_MUST_CHECK enum trib_status trib_buf_vprintf(struct trib_buf *buf, const char *format, va_list arguments)
    TRIB_PRINTF(2, 0);
/* The content as a NUL-terminated string ("" when empty); borrowed. */
const char *trib_buf_text(const struct trib_buf *buf);

void trib_store_u16(uint8_t *to, uint16_t value);
void trib_store_u32(uint8_t *to, uint32_t value);
void trib_store_u64(uint8_t *to, uint64_t value);
uint16_t trib_load_u16(const uint8_t *from);
uint32_t trib_load_u32(const uint8_t *from);
uint64_t trib_load_u64(const uint8_t *from);
uint32_t trib_load_u32_be(const uint8_t *from);

/* A bounded reader: after the first short read `failed` stays true and every value is 0. */
struct trib_reader {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool failed;
};
uint8_t trib_read_u8(struct trib_reader *reader);
uint16_t trib_read_u16(struct trib_reader *reader);
uint32_t trib_read_u32(struct trib_reader *reader);
const uint8_t *trib_read_bytes(struct trib_reader *reader, size_t len); /* NULL when short */

#endif
