/* Tiny dataset files in a temporary folder, for the tests of the data block. One folder a test: use data_files_setup
 * and data_files_teardown as a checked fixture. */
#ifndef TRIB_TEST_DATA_FILES_H
#define TRIB_TEST_DATA_FILES_H

#include "base/buf.h"
#include "data/dataset.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char data_dir[256];

static inline void data_files_setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(data_dir, sizeof data_dir, "%s/trib-data-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(data_dir));
}

static inline void data_files_teardown(void)
{
    DIR *dir = opendir(data_dir);
    ck_assert_ptr_nonnull(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            ck_assert_int_eq(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        }
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(data_dir), 0);
}

/* The path of a file in the folder; one of 32 turns, so that those of one test can be in use
 * together. */
static inline const char *data_path(const char *name)
{
    static char paths[32][1024];
    static int turn;
    turn = (turn + 1) % 32;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", data_dir, name);
    return paths[turn];
}

static inline const char *data_write(const char *name, const void *bytes, size_t len)
{
    const char *path = data_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static inline const char *data_write_text(const char *name, const char *text)
{
    return data_write(name, text, strlen(text));
}

static inline void data_gzip(const void *bytes, size_t len, struct trib_buf *to)
{
    z_stream stream = {0};
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&stream, len);
    ck_assert_int_eq(trib_buf_reserve(to, bound), TRIB_OK);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)len;
    stream.next_out = to->data + to->len;
    stream.avail_out = (uInt)bound;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    to->len += stream.total_out;
    deflateEnd(&stream);
}

static inline void data_zstd(const void *bytes, size_t len, struct trib_buf *to)
{
    size_t bound = ZSTD_compressBound(len);
    ck_assert_int_eq(trib_buf_reserve(to, bound), TRIB_OK);
    size_t got = ZSTD_compress(to->data + to->len, bound, bytes, len, 3);
    ck_assert(!ZSTD_isError(got));
    to->len += got;
}

static inline void data_add(struct trib_buf *buf, const void *bytes, size_t len)
{
    ck_assert_int_eq(trib_buf_add(buf, bytes, len), TRIB_OK);
}

/* An IDX header: type, then `rank` sizes. */
static inline void data_idx_header(struct trib_buf *buf, uint8_t type, int rank, const uint32_t *dims)
{
    uint8_t magic[4] = {0, 0, type, (uint8_t)rank};
    data_add(buf, magic, sizeof magic);
    for (int i = 0; i < rank; i++) {
        uint8_t bytes[4] = {(uint8_t)(dims[i] >> 24), (uint8_t)(dims[i] >> 16), (uint8_t)(dims[i] >> 8),
                            (uint8_t)dims[i]};
        data_add(buf, bytes, sizeof bytes);
    }
}

/* n ubyte labels as IDX of rank 1 */
static inline const char *data_write_idx_labels(const char *name, const uint8_t *labels, uint32_t n)
{
    struct trib_buf buf = {0};
    data_idx_header(&buf, 0x08, 1, &n);
    data_add(&buf, labels, n);
    const char *path = data_write(name, buf.data, buf.len);
    trib_buf_clear(&buf);
    return path;
}

/* n images of 2 x 3 bytes, 0, 1, 2, ... throughout */
static inline const char *data_write_idx_images(const char *name, uint32_t n)
{
    struct trib_buf buf = {0};
    uint32_t dims[3] = {n, 2, 3};
    data_idx_header(&buf, 0x08, 3, dims);
    for (uint32_t i = 0; i < n * 6; i++) {
        uint8_t byte = (uint8_t)i;
        data_add(&buf, &byte, 1);
    }
    const char *path = data_write(name, buf.data, buf.len);
    trib_buf_clear(&buf);
    return path;
}

/* A .npy file of the given version around `dict` and the data. */
static inline void data_npy(struct trib_buf *buf, int version, const char *dict, const void *bytes, size_t len)
{
    uint8_t head[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0};
    size_t dict_len = strlen(dict) + 1;
    trib_store_u32(head + 8, (uint32_t)dict_len);
    data_add(buf, head, version == 1 ? 10 : 12);
    data_add(buf, dict, dict_len - 1);
    data_add(buf, "\n", 1);
    data_add(buf, bytes, len);
}

static inline const char *data_write_npy(const char *name, const char *dict, const void *bytes, size_t len)
{
    struct trib_buf buf = {0};
    data_npy(&buf, 1, dict, bytes, len);
    const char *path = data_write(name, buf.data, buf.len);
    trib_buf_clear(&buf);
    return path;
}

static inline struct trib_dataset data_open(const struct trib_dataset_spec *spec)
{
    struct trib_dataset dataset;
    struct trib_error error = {0};
    enum trib_status status = trib_dataset_open(spec, &dataset, &error);
    ck_assert_msg(status == TRIB_OK, "%s: %s", trib_status_name(status), error.message);
    return dataset;
}

/* The message with the temporary folder shown as "$". */
static inline const char *data_message(const struct trib_error *error)
{
    static char text[TRIB_ERROR_MESSAGE_LEN];
    size_t dir_len = strlen(data_dir);
    size_t at = 0;
    for (const char *from = error->message; *from != '\0' && at + 1 < sizeof text;) {
        if (strncmp(from, data_dir, dir_len) == 0) {
            text[at++] = '$';
            from += dir_len;
        } else {
            text[at++] = *from++;
        }
    }
    text[at] = '\0';
    return text;
}

static inline void data_open_fails(const struct trib_dataset_spec *spec, enum trib_status want, const char *message)
{
    struct trib_dataset dataset;
    struct trib_error error = {0};
    memset(&dataset, 0x5a, sizeof dataset);
    struct trib_dataset before = dataset;
    enum trib_status status = trib_dataset_open(spec, &dataset, &error);
    ck_assert_str_eq(data_message(&error), message);
    ck_assert_str_eq(trib_status_name(status), trib_status_name(want));
    ck_assert_int_eq(error.status, want);
    ck_assert_mem_eq(&dataset, &before, sizeof dataset);
}

#endif
