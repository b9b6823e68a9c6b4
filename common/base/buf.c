/* The growable buffer, and little-endian access. One owner at a time; never frees what a reader borrows. */
#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { SMALLEST_CAPACITY = 64 };

void trib_buf_clear(struct trib_buf *buf)
{
    trib_free(buf->data);
    *buf = (struct trib_buf){0};
}

/* One byte more than asked for is kept, so that a NUL always fits behind the content. */
enum trib_status trib_buf_reserve(struct trib_buf *buf, size_t extra_len)
{
    size_t needed = 0;
    if (!trib_size_add(buf->len, extra_len, &needed) || !trib_size_add(needed, 1, &needed)) {
        return TRIB_NO_MEMORY;
    }
    if (needed <= buf->capacity) {
        return TRIB_OK;
    }
    size_t capacity = buf->capacity < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : buf->capacity;
    if (!trib_size_mul(capacity, 2, &capacity) || capacity < needed) {
        capacity = needed;
    }
    uint8_t *data = trib_realloc_array(buf->data, capacity, 1);
    if (!data) {
        return TRIB_NO_MEMORY;
    }
    buf->data = data;
    buf->capacity = capacity;
    return TRIB_OK;
}

enum trib_status trib_buf_add(struct trib_buf *buf, const void *bytes, size_t len)
{
    TRIB_TRY(trib_buf_reserve(buf, len));
    if (len > 0) {
        memcpy(buf->data + buf->len, bytes, len);
    }
    buf->len += len;
    buf->data[buf->len] = 0;
    return TRIB_OK;
}

enum trib_status trib_buf_add_text(struct trib_buf *buf, const char *text)
{
    return trib_buf_add(buf, text, strlen(text));
}

enum trib_status trib_buf_vprintf(struct trib_buf *buf, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    enum trib_status status = len < 0 ? TRIB_INVALID : trib_buf_reserve(buf, (size_t)len);
    if (status == TRIB_OK) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return status;
}

enum trib_status trib_buf_printf(struct trib_buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum trib_status status = trib_buf_vprintf(buf, format, arguments);
    va_end(arguments);
    return status;
}

const char *trib_buf_text(const struct trib_buf *buf)
{
    return buf->len > 0 ? (const char *)buf->data : "";
}

void trib_store_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

void trib_store_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    to[2] = (uint8_t)(value >> 16);
    to[3] = (uint8_t)(value >> 24);
}

void trib_store_u64(uint8_t *to, uint64_t value)
{
    trib_store_u32(to, (uint32_t)value);
    trib_store_u32(to + 4, (uint32_t)(value >> 32));
}

uint16_t trib_load_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | (unsigned)from[1] << 8);
}

uint32_t trib_load_u32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

uint64_t trib_load_u64(const uint8_t *from)
{
    return trib_load_u32(from) | (uint64_t)trib_load_u32(from + 4) << 32;
}

uint32_t trib_load_u32_be(const uint8_t *from)
{
    return from[3] | (uint32_t)from[2] << 8 | (uint32_t)from[1] << 16 | (uint32_t)from[0] << 24;
}

const uint8_t *trib_read_bytes(struct trib_reader *reader, size_t len)
{
    if (reader->failed || reader->at > reader->len || len > reader->len - reader->at) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = !reader->data ? (const uint8_t *)"" : reader->data + reader->at;
    reader->at += len;
    return bytes;
}

uint8_t trib_read_u8(struct trib_reader *reader)
{
    const uint8_t *bytes = trib_read_bytes(reader, 1);
    return !bytes ? 0 : bytes[0];
}

uint16_t trib_read_u16(struct trib_reader *reader)
{
    const uint8_t *bytes = trib_read_bytes(reader, 2);
    return !bytes ? 0 : trib_load_u16(bytes);
}

uint32_t trib_read_u32(struct trib_reader *reader)
{
    const uint8_t *bytes = trib_read_bytes(reader, 4);
    return !bytes ? 0 : trib_load_u32(bytes);
}
