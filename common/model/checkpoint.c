/* Checkpoint files. The model's bytes go between file and vector directly, so that a large model needs no second copy
 * in memory. Any thread; two writers of one path are the caller's business. */
#include "safetensors.h"

#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static enum trib_status emit_floats(const float *floats, size_t n, trib_checkpoint_sink *sink, void *context,
                                    struct trib_error *error)
{
    return sink(context, floats, n * sizeof *floats, error);
}

static void from_little_endian(float *floats, size_t n)
{
    (void)floats;
    (void)n;
}
#else
static enum trib_status emit_floats(const float *floats, size_t n, trib_checkpoint_sink *sink, void *context,
                                    struct trib_error *error)
{
    uint8_t piece[16384];
    enum { PIECE_N = sizeof piece / sizeof(float) };
    for (size_t at = 0; at < n; at += PIECE_N) {
        size_t count = n - at < PIECE_N ? n - at : PIECE_N;
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, floats + at + i, sizeof bits);
            trib_store_u32(piece + i * sizeof bits, bits);
        }
        TRIB_TRY(sink(context, piece, count * sizeof(float), error));
    }
    return TRIB_OK;
}

static void from_little_endian(float *floats, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[sizeof(float)];
        memcpy(bytes, floats + i, sizeof bytes);
        uint32_t bits = trib_load_u32(bytes);
        memcpy(floats + i, &bits, sizeof bits);
    }
}
#endif

enum trib_status trib_checkpoint_emit(const struct trib_schema *schema, const float *model,
                                      const struct trib_checkpoint_entry *entries, size_t n_entries,
                                      trib_checkpoint_sink *sink, void *context, struct trib_error *error)
{
    struct trib_buf header = {0};
    enum trib_status status = trib_safetensors_header(schema, entries, n_entries, &header, error);
    if (status == TRIB_OK) {
        status = sink(context, header.data, header.len, error);
    }
    if (status == TRIB_OK) {
        status = emit_floats(model, schema->n_floats, sink, context, error);
    }
    trib_buf_clear(&header);
    return status;
}

enum trib_status trib_checkpoint_len(const struct trib_schema *schema, const struct trib_checkpoint_entry *entries,
                                     size_t n_entries, uint64_t *len, struct trib_error *error)
{
    struct trib_buf header = {0};
    enum trib_status status = trib_safetensors_header(schema, entries, n_entries, &header, error);
    if (status == TRIB_OK) {
        *len = header.len + (uint64_t)schema->n_floats * sizeof(float);
    }
    trib_buf_clear(&header);
    return status;
}

static enum trib_status add_to_file(void *context, const void *bytes, size_t len, struct trib_error *error)
{
    return trib_file_writer_add(context, bytes, len, error);
}

enum trib_status trib_checkpoint_write(const char *path, const struct trib_schema *schema, const float *model,
                                       const struct trib_checkpoint_entry *entries, size_t n_entries,
                                       struct trib_error *error)
{
    struct trib_file_writer writer;
    TRIB_TRY(trib_file_writer_open(&writer, path, error));
    enum trib_status status = trib_checkpoint_emit(schema, model, entries, n_entries, add_to_file, &writer, error);
    if (status == TRIB_OK) {
        status = trib_file_writer_commit(&writer, error);
    }
    trib_file_writer_abort(&writer);
    return status;
}

/* An open checkpoint whose header was read and checked. */
struct reader {
    const char *path;
    int fd;
    uint64_t data_offset;
    struct trib_checkpoint_tensor *tensors; /* sorted by name */
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    const struct trib_checkpoint_tensor *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static enum trib_status read_header(struct reader *reader, uint64_t file_len, struct trib_error *error)
{
    uint8_t prefix[TRIB_SAFETENSORS_PREFIX_LEN];
    if (file_len < sizeof prefix) {
        return trib_fail(error, TRIB_CORRUPT, "%" PRIu64 " bytes are no checkpoint", file_len);
    }
    TRIB_TRY(trib_file_pread(reader->fd, prefix, sizeof prefix, 0, reader->path, error));
    uint64_t header_len = trib_load_u64(prefix);
    if (header_len > TRIB_SAFETENSORS_HEADER_MAX) {
        return trib_fail(error, TRIB_CORRUPT,
                         "no safetensors file: the header's length would be %" PRIu64 " bytes, the limit is %d",
                         header_len, TRIB_SAFETENSORS_HEADER_MAX);
    }
    if (header_len > file_len - sizeof prefix) {
        return trib_fail(error, TRIB_CORRUPT, "truncated: the header has %" PRIu64 " bytes, and %" PRIu64 " follow",
                         header_len, file_len - sizeof prefix);
    }
    reader->data_offset = sizeof prefix + header_len;
    uint8_t *header = trib_malloc((size_t)header_len);
    if (!header) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status =
        trib_file_pread(reader->fd, header, (size_t)header_len, sizeof prefix, reader->path, error);
    if (status == TRIB_OK) {
        status = trib_checkpoint_parse(header, (size_t)header_len, file_len - reader->data_offset, &reader->tensors,
                                       &reader->n, error);
    }
    trib_free(header);
    if (status == TRIB_OK && reader->n > 0) {
        qsort(reader->tensors, reader->n, sizeof *reader->tensors, by_name);
    }
    return status;
}

static const struct trib_checkpoint_tensor *find(const struct reader *reader, const char *name)
{
    struct trib_checkpoint_tensor key;
    memcpy(key.name, name, sizeof key.name);
    return reader->n ? bsearch(&key, reader->tensors, reader->n, sizeof key, by_name) : NULL;
}

/* Name a tensor of the file that the schema lacks. */
static enum trib_status fail_extra(const struct reader *reader, const struct trib_schema *schema,
                                   struct trib_error *error)
{
    bool *known = trib_calloc(reader->n, sizeof *known);
    if (!known) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < schema->n_tensors; i++) {
        known[find(reader, schema->tensors[i].name) - reader->tensors] = true;
    }
    size_t extra = 0;
    while (extra + 1 < reader->n && known[extra]) {
        extra++;
    }
    trib_free(known);
    return trib_fail(error, TRIB_MISMATCH,
                     "the file has a tensor \"%s\" that the model lacks (%zu tensors, the model has %zu): it is of "
                     "another model",
                     reader->tensors[extra].name, reader->n, schema->n_tensors);
}

static enum trib_status check_schema(const struct reader *reader, const struct trib_schema *schema,
                                     struct trib_error *error)
{
    for (size_t i = 0; i < schema->n_tensors; i++) {
        const struct trib_schema_tensor *wanted = &schema->tensors[i];
        const struct trib_checkpoint_tensor *found = find(reader, wanted->name);
        char wants[96], has[96];
        trib_shape_format(&wanted->shape, wants, sizeof wants);
        if (!found) {
            return trib_fail(error, TRIB_MISMATCH,
                             "the model's tensor \"%s\" %s is not in the file: it is of another model", wanted->name,
                             wants);
        }
        if (!trib_shape_equal(&found->shape, &wanted->shape)) {
            return trib_fail(error, TRIB_MISMATCH, "tensor \"%s\" is %s in the file and %s in the model", wanted->name,
                             trib_shape_format(&found->shape, has, sizeof has), wants);
        }
    }
    return reader->n > schema->n_tensors ? fail_extra(reader, schema, error) : TRIB_OK;
}

static enum trib_status read_tensors(const struct reader *reader, const struct trib_schema *schema, float *model,
                                     struct trib_error *error)
{
    for (size_t i = 0; i < schema->n_tensors; i++) {
        const struct trib_schema_tensor *tensor = &schema->tensors[i];
        const struct trib_checkpoint_tensor *found = find(reader, tensor->name);
        float *to = model + tensor->offset;
        if (!found) {
            return trib_fail(error, TRIB_INTERNAL, "tensor \"%s\" was there when it was checked", tensor->name);
        }
        TRIB_TRY(trib_file_pread(reader->fd, to, tensor->n * sizeof *to, reader->data_offset + found->begin,
                                 reader->path, error));
        from_little_endian(to, tensor->n);
    }
    return TRIB_OK;
}

static enum trib_status open_file(const char *path, int *fd, uint64_t *len, struct trib_error *error)
{
    /* not to wait for a writer, should the path be a pipe */
    int opened = trib_disk_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (opened < 0) {
        return trib_fail_errno(error, errno, "%s: cannot open the checkpoint", path);
    }
    struct trib_disk_info info;
    enum trib_status status = TRIB_OK;
    if (trib_disk_fd_info(opened, &info) != 0) {
        status = trib_fail_errno(error, errno, "%s: cannot stat the checkpoint", path);
    } else if (info.is_dir) {
        status = trib_fail(error, TRIB_INVALID, "%s: is a folder, not a checkpoint", path);
    }
    if (status != TRIB_OK) {
        trib_disk_close(opened);
        return status;
    }
    *fd = opened;
    *len = info.len;
    return TRIB_OK;
}

enum trib_status trib_checkpoint_read(const char *path, const struct trib_schema *schema, float *model,
                                      struct trib_error *error)
{
    struct reader reader = {.path = path};
    uint64_t len = 0;
    TRIB_TRY(open_file(path, &reader.fd, &len, error));
    enum trib_status status = read_header(&reader, len, error);
    if (status == TRIB_OK) {
        status = check_schema(&reader, schema, error);
    }
    /* errors of the file itself name it already */
    if (status == TRIB_CORRUPT || status == TRIB_MISMATCH) {
        status = trib_error_prefix(error, status, "%s", path);
    }
    if (status == TRIB_OK) {
        status = read_tensors(&reader, schema, model, error);
    }
    trib_disk_close(reader.fd);
    trib_free(reader.tensors);
    return status;
}

static enum trib_status read_values(const struct reader *reader, uint64_t file_len, float **values, size_t *n,
                                    struct trib_error *error)
{
    size_t count = (size_t)((file_len - reader->data_offset) / sizeof(float));
    if (count == 0) {
        return trib_fail(error, TRIB_INVALID, "%s: a checkpoint without a value", reader->path);
    }
    float *read = trib_malloc_aligned(count, sizeof *read);
    if (!read) {
        return trib_fail(error, TRIB_NO_MEMORY, "%s: out of memory for %zu values", reader->path, count);
    }
    enum trib_status status =
        trib_file_pread(reader->fd, read, count * sizeof *read, reader->data_offset, reader->path, error);
    if (status != TRIB_OK) {
        trib_free(read);
        return status;
    }
    from_little_endian(read, count);
    *values = read;
    *n = count;
    return TRIB_OK;
}

enum trib_status trib_checkpoint_read_values(const char *path, float **values, size_t *n, struct trib_error *error)
{
    struct reader reader = {.path = path};
    uint64_t len = 0;
    TRIB_TRY(open_file(path, &reader.fd, &len, error));
    enum trib_status status = read_header(&reader, len, error);
    if (status == TRIB_CORRUPT) {
        status = trib_error_prefix(error, status, "%s", path);
    }
    if (status == TRIB_OK) {
        status = read_values(&reader, len, values, n, error);
    }
    trib_disk_close(reader.fd);
    trib_free(reader.tensors);
    return status;
}
