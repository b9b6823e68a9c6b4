/* Reading files whole, and positioned reads and writes; paths and directories. Any thread. */
#include "base/file.h"
#include "base/disk.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* Read up to the end or one byte past max_len, which tells that there is more. */
static enum trib_status read_all(int fd, const char *path, size_t max_len, struct trib_buf *content,
                                 struct trib_error *error)
{
    enum { LEAST_READ = 4096 };
    for (;;) {
        if (content->capacity < content->len + 2 && trib_buf_reserve(content, LEAST_READ) != TRIB_OK) {
            return trib_fail_no_memory(error);
        }
        size_t room = content->capacity - 1 - content->len;
        size_t allowed = max_len - content->len;
        size_t wanted = allowed < room ? allowed + 1 : room;
        ssize_t got = trib_disk_pread(fd, content->data + content->len, wanted, content->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return trib_fail_errno(error, errno, "%s: cannot be read", path);
        }
        if ((size_t)got > allowed) {
            return trib_fail(error, TRIB_LIMIT, "%s: is longer than the %zu bytes allowed", path, max_len);
        }
        content->len += (size_t)got;
        content->data[content->len] = 0;
        if (got == 0) {
            return TRIB_OK;
        }
    }
}

enum trib_status trib_file_read(const char *path, size_t max_len, struct trib_buf *content, struct trib_error *error)
{
    int fd = trib_disk_open(path, O_RDONLY, 0);
    if (fd < 0) {
        return trib_fail_errno(error, errno, "%s: cannot be opened", path);
    }
    struct trib_buf fresh = {0};
    struct trib_disk_info info;
    enum trib_status status = TRIB_OK;
    if (trib_disk_fd_info(fd, &info) == 0 && !info.is_dir && info.len > 0) {
        /* Room for all of it and for the read that finds the end. */
        size_t len = info.len < max_len ? (size_t)info.len : max_len;
        if (trib_buf_reserve(&fresh, len < SIZE_MAX / 2 ? len + 1 : len) != TRIB_OK) {
            status = trib_fail_no_memory(error);
        }
    }
    if (status == TRIB_OK) {
        status = read_all(fd, path, max_len, &fresh, error);
    }
    trib_disk_close(fd);
    if (status != TRIB_OK) {
        trib_buf_clear(&fresh);
        return status;
    }
    trib_buf_clear(content);
    *content = fresh;
    return TRIB_OK;
}

enum trib_status trib_file_pread(int fd, void *to, size_t len, uint64_t offset, const char *path,
                                 struct trib_error *error)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = trib_disk_pread(fd, (uint8_t *)to + done, len - done, offset + done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return trib_fail_errno(error, errno, "%s: cannot be read", path);
        }
        if (got == 0) {
            return trib_fail(error, TRIB_CORRUPT, "%s: ends after %zu of %zu bytes at offset %llu", path, done, len,
                             (unsigned long long)offset);
        }
        done += (size_t)got;
    }
    return TRIB_OK;
}

enum trib_status trib_file_pwrite(int fd, const void *from, size_t len, uint64_t offset, const char *path,
                                  struct trib_error *error)
{
    size_t done = 0;
    while (done < len) {
        ssize_t put = trib_disk_pwrite(fd, (const uint8_t *)from + done, len - done, offset + done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return trib_fail_errno(error, put < 0 ? errno : EIO, "%s: cannot be written", path);
        }
        done += (size_t)put;
    }
    return TRIB_OK;
}

/* Make one directory of a path; one that is there already is as good. */
static enum trib_status make_one(const char *path, bool *made, struct trib_error *error)
{
    *made = trib_disk_mkdir(path, 0750) == 0;
    if (*made) {
        return TRIB_OK;
    }
    int errnum = errno;
    struct trib_disk_info info;
    if (trib_disk_path_info(path, &info) == 0) {
        if (info.is_dir) {
            return TRIB_OK;
        }
        return trib_fail(error, TRIB_EXISTS, "%s: exists and is not a directory", path);
    }
    if (errnum == EEXIST && errno != ENOENT) { /* it is there, and cannot be looked at; ENOENT: a link to nowhere */
        errnum = errno;
    }
    return trib_fail_errno(error, errnum, "%s: the directory cannot be made", path);
}

/* What is kept in a directory is lost with it when its own name is not durable. Where a directory was found, and others
 * may change it, it is not always ours to sync. */
static enum trib_status sync_name(const char *path, struct trib_error *error)
{
    char *parent = trib_path_dir(path);
    if (!parent) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    if (trib_disk_sync_dir(parent) != 0 && errno != EACCES && errno != EPERM) {
        status = trib_fail_errno(error, errno, "%s: the directory cannot be synced", parent);
    }
    trib_free(parent);
    return status;
}

/* The last one is synced even if it was there: a process may have been killed between making and syncing it. */
enum trib_status trib_dir_make(const char *path, struct trib_error *error)
{
    if (path[0] == '\0') {
        return trib_fail(error, TRIB_INVALID, "a directory's path is empty");
    }
    char *copy = trib_strdup(path);
    if (!copy) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    bool made = false;
    for (char *at = copy + 1; *at != '\0' && status == TRIB_OK; at++) {
        if (*at == '/' && at[-1] != '/') {
            *at = '\0';
            status = make_one(copy, &made, error);
            if (status == TRIB_OK && made) {
                status = sync_name(copy, error);
            }
            *at = '/';
        }
    }
    if (status == TRIB_OK) {
        status = make_one(copy, &made, error);
    }
    if (status == TRIB_OK) {
        status = sync_name(copy, error);
    }
    trib_free(copy);
    return status;
}

bool trib_file_exists(const char *path)
{
    struct trib_disk_info info;
    return trib_disk_path_info(path, &info) == 0;
}

char *trib_path_join(const char *dir, const char *name)
{
    if (name[0] == '/' || dir[0] == '\0') {
        return trib_strdup(name);
    }
    const char *between = dir[strlen(dir) - 1] == '/' ? "" : "/";
    return trib_asprintf("%s%s%s", dir, between, name);
}

char *trib_path_dir(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') { /* "a/b/" names b */
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len == 0 ? trib_strdup(".") : trib_strndup(path, len);
}
