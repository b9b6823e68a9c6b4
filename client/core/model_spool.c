/* A received model, in memory or in an unlinked file. */
#include "session/model_spool.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Up to here memory is the faster and simpler place. */
static const uint64_t MEMORY_UP_TO = (uint64_t)64 << 20;

struct trib_model_spool {
    uint64_t len;
    struct trib_blob *blob; /* NULL = in the file */
    int fd;
};

static bool belongs_in_file(uint64_t len, const char *dir, const struct trib_client_limits *limits)
{
    if (dir == NULL) {
        return false;
    }
    return len > MEMORY_UP_TO || (limits->max_bytes > 0 && len > (uint64_t)limits->max_bytes / 4);
}

/* An unnamed file of `len` bytes, its space reserved: a full disk is found now and not in the middle. */
static enum trib_status open_file(uint64_t len, const char *dir, int *fd, struct trib_error *error)
{
    TRIB_TRY(trib_dir_make(dir, error));
    char *path = trib_path_join(dir, "download.XXXXXX");
    if (path == NULL) {
        return trib_fail_no_memory(error);
    }
    int opened = mkostemp(path, O_CLOEXEC);
    int errnum = errno;
    if (opened >= 0) {
        unlink(path);
    }
    trib_free(path);
    if (opened < 0) {
        return trib_fail_errno(error, errnum, "%s: no file can be made there for the model", dir);
    }
    errnum = posix_fallocate(opened, 0, (off_t)len);
    if (errnum != 0 && errnum != EOPNOTSUPP && errnum != EINVAL) {
        close(opened);
        return trib_fail_errno(error, errnum, "%s: no room there for a model of %llu bytes", dir,
                               (unsigned long long)len);
    }
    *fd = opened;
    return TRIB_OK;
}

enum trib_status trib_model_spool_new(uint64_t len, const char *dir, const struct trib_client_limits *limits,
                                      struct trib_model_spool **spool, struct trib_error *error)
{
    bool in_file = belongs_in_file(len, dir, limits);
    TRIB_TRY(trib_limits_check_model(limits, len, !in_file, error));
    struct trib_model_spool *made = trib_calloc(1, sizeof *made);
    if (made == NULL) {
        return trib_fail_no_memory(error);
    }
    made->len = len;
    made->fd = -1;
    if (in_file) {
        enum trib_status status = open_file(len, dir, &made->fd, error);
        if (status != TRIB_OK) {
            trib_free(made);
            return status;
        }
    } else {
        made->blob = trib_blob_new((size_t)len);
        if (made->blob == NULL) {
            trib_free(made);
            return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %llu bytes", (unsigned long long)len);
        }
    }
    *spool = made;
    return TRIB_OK;
}

struct trib_model_spool *trib_model_spool_adopt(struct trib_blob *blob)
{
    struct trib_model_spool *made = trib_calloc(1, sizeof *made);
    if (made != NULL) {
        *made = (struct trib_model_spool){.len = trib_blob_len(blob), .blob = blob, .fd = -1};
    }
    return made;
}

enum trib_status trib_model_spool_open(const char *path, uint64_t len, struct trib_model_spool **spool,
                                       struct trib_error *error)
{
    struct trib_model_spool *made = trib_calloc(1, sizeof *made);
    if (made == NULL) {
        return trib_fail_no_memory(error);
    }
    *made = (struct trib_model_spool){.len = len, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (made->fd < 0) {
        int errnum = errno;
        trib_free(made);
        return trib_fail_errno(error, errnum, "%s: cannot be opened", path);
    }
    *spool = made;
    return TRIB_OK;
}

void trib_model_spool_free(struct trib_model_spool *spool)
{
    if (spool == NULL) {
        return;
    }
    trib_blob_unref(spool->blob);
    if (spool->fd >= 0) {
        close(spool->fd);
    }
    trib_free(spool);
}

enum trib_status trib_model_spool_write(struct trib_model_spool *spool, uint64_t offset, const void *bytes, size_t len,
                                        struct trib_error *error)
{
    if (offset > spool->len || len > spool->len - offset) {
        return trib_fail(error, TRIB_INVALID, "bytes beyond the model's length");
    }
    if (spool->blob != NULL) {
        memcpy(trib_blob_fill(spool->blob) + offset, bytes, len);
        return TRIB_OK;
    }
    return trib_file_pwrite(spool->fd, bytes, len, offset, "the model's file", error);
}

static enum trib_status read_file(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    const struct trib_model_spool *spool = context;
    return trib_file_pread(spool->fd, to, len, offset, "the model's file", error);
}

struct trib_frame_source trib_model_spool_source(struct trib_model_spool *spool)
{
    if (spool->blob != NULL) {
        return trib_frame_source_memory(spool->blob);
    }
    return (struct trib_frame_source){.read = read_file, .context = spool, .len = spool->len};
}

size_t trib_model_spool_memory(const struct trib_model_spool *spool)
{
    return spool->blob != NULL ? (size_t)spool->len : 0;
}
