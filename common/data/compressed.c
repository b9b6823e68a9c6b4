/* Whole files are loaded here, and decompressed when their first bytes say gzip or zstd. Any thread.
 *
 * A few bytes of either can promise terabytes, so the output grows as it comes, never by what a header says, and stops
 * at the caller's limit. */
#include "data/dataset.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "reader.h"

#include <limits.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { CHUNK_LEN = 1 << 18 };

static enum trib_status fail_limit(const char *path, size_t max_len, bool packed, struct trib_error *error)
{
    char limit[32];
    return trib_fail(error, TRIB_LIMIT, "%s: %s more than %s; raise max_bytes if that is meant", path,
                     packed ? "unpacks to" : "holds", trib_format_size((double)max_len, limit, sizeof limit));
}

static enum trib_status fail_truncated(const char *path, const char *kind, size_t len, struct trib_error *error)
{
    return trib_fail(error, TRIB_CORRUPT,
                     "%s: truncated: the %s data ends early, after %zu bytes of content; copy or download it again",
                     path, kind, len);
}

/* Room for more output: at least one byte beyond the limit, so that reaching it can be told from passing it. */
static enum trib_status make_room(struct trib_buf *out, size_t max_len, size_t *room, struct trib_error *error)
{
    size_t want = out->len > CHUNK_LEN ? out->len : CHUNK_LEN;
    size_t left = max_len - out->len + 1;
    if (out->capacity <= out->len && trib_buf_reserve(out, want < left ? want : left) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    *room = out->capacity - out->len < left ? out->capacity - out->len : left;
    return TRIB_OK;
}

static voidpf zlib_alloc(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return trib_calloc(count, size);
}

static void zlib_free(voidpf opaque, voidpf block)
{
    (void)opaque;
    trib_free(block);
}

/* gzip allows several members one after another, and tape tools pad with zeros. */
static bool only_zeros(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static enum trib_status inflate_members(z_stream *stream, const char *path, const struct trib_buf *in, size_t max_len,
                                        struct trib_buf *out, struct trib_error *error)
{
    size_t at = 0;
    for (;;) {
        size_t room = 0;
        TRIB_TRY(make_room(out, max_len, &room, error));
        uInt given = in->len - at < UINT_MAX ? (uInt)(in->len - at) : UINT_MAX;
        uInt space = room < UINT_MAX ? (uInt)room : UINT_MAX;
        stream->next_in = in->data + at;
        stream->avail_in = given;
        stream->next_out = out->data + out->len;
        stream->avail_out = space;
        int rc = inflate(stream, Z_NO_FLUSH);
        at += given - stream->avail_in;
        out->len += space - stream->avail_out;
        if (out->len > max_len) {
            return fail_limit(path, max_len, true, error);
        }
        if (rc == Z_STREAM_END) {
            if (only_zeros(in->data + at, in->len - at)) {
                return TRIB_OK;
            }
            rc = inflateReset(stream);
        } else if (at == in->len && stream->avail_out > 0 && (rc == Z_OK || rc == Z_BUF_ERROR)) {
            return fail_truncated(path, "gzip", out->len, error);
        }
        if (rc == Z_MEM_ERROR) {
            return trib_fail_no_memory(error);
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return trib_fail(error, TRIB_CORRUPT, "%s: damaged gzip data at byte %zu: %s; copy or download it again",
                             path, at, stream->msg ? stream->msg : "broken stream");
        }
    }
}

static enum trib_status unpack_gzip(const char *path, const struct trib_buf *in, size_t max_len, struct trib_buf *out,
                                    struct trib_error *error)
{
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = inflate_members(&stream, path, in, max_len, out, error);
    (void)inflateEnd(&stream);
    return status;
}

static enum trib_status unpack_zstd(const char *path, const struct trib_buf *in, size_t max_len, struct trib_buf *out,
                                    struct trib_error *error)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context) {
        return trib_fail_no_memory(error);
    }
    ZSTD_inBuffer input = {.src = in->data, .size = in->len};
    enum trib_status status = TRIB_OK;
    for (;;) {
        size_t room = 0;
        status = make_room(out, max_len, &room, error);
        if (status != TRIB_OK) {
            break;
        }
        ZSTD_outBuffer output = {.dst = out->data + out->len, .size = room};
        size_t rc = ZSTD_decompressStream(context, &output, &input);
        out->len += output.pos;
        if (ZSTD_isError(rc)) {
            status =
                ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation
                    ? trib_fail_no_memory(error)
                    : trib_fail(error, TRIB_CORRUPT, "%s: damaged zstd data at byte %zu: %s; copy or download it again",
                                path, input.pos, ZSTD_getErrorName(rc));
            break;
        }
        if (out->len > max_len) {
            status = fail_limit(path, max_len, true, error);
            break;
        }
        if (rc == 0 && input.pos == input.size) {
            break;
        }
        if (input.pos == input.size && output.pos < output.size) {
            status = fail_truncated(path, "zstd", out->len, error);
            break;
        }
    }
    (void)ZSTD_freeDCtx(context);
    return status;
}

enum trib_status trib_dataset_load_file(const char *path, size_t max_len, struct trib_buf *content,
                                        struct trib_error *error)
{
    static const uint8_t gzip_magic[] = {0x1f, 0x8b};
    static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    struct trib_buf raw = {0};
    struct trib_buf out = {0};
    if (trib_data_is_dir(path)) {
        return trib_fail(error, TRIB_INVALID, "%s: is a folder where a file is wanted", path);
    }
    if (!trib_file_exists(path)) {
        return trib_fail(error, TRIB_NOT_FOUND, "%s: no such file; check the dataset's path", path);
    }
    max_len = max_len < SIZE_MAX / 4 ? max_len : SIZE_MAX / 4;
    /* What does not compress grows a little; anything above that breaks the limit once unpacked. */
    enum trib_status status = trib_file_read(path, max_len + max_len / 64 + 4096, &raw, error);
    if (status == TRIB_LIMIT) {
        status = fail_limit(path, max_len, false, error);
    }
    if (status != TRIB_OK) {
        goto out;
    }
    if (raw.len >= sizeof gzip_magic && memcmp(raw.data, gzip_magic, sizeof gzip_magic) == 0) {
        status = unpack_gzip(path, &raw, max_len, &out, error);
    } else if (raw.len >= sizeof zstd_magic && memcmp(raw.data, zstd_magic, sizeof zstd_magic) == 0) {
        status = unpack_zstd(path, &raw, max_len, &out, error);
    } else if (raw.len > max_len) {
        status = fail_limit(path, max_len, false, error);
    } else {
        out = raw;
        raw = (struct trib_buf){0};
    }
    if (status == TRIB_OK) {
        *content = out;
        out = (struct trib_buf){0};
    }
out:
    trib_buf_clear(&raw);
    trib_buf_clear(&out);
    return status;
}
