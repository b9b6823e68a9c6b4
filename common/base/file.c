/* Reading files whole, and positioned reads and writes; paths and directories. Any thread. */
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        ssize_t got = read(fd, content->data + content->len, wanted);
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
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return trib_fail_errno(error, errno, "%s: cannot be opened", path);
    }
    struct trib_buf fresh = {0};
    struct stat info;
    enum trib_status status = TRIB_OK;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
        /* Room for all of it and for the read that finds the end. */
        size_t len = (uint64_t)info.st_size < max_len ? (size_t)info.st_size : max_len;
        if (trib_buf_reserve(&fresh, len < SIZE_MAX / 2 ? len + 1 : len) != TRIB_OK) {
            status = trib_fail_no_memory(error);
        }
    }
    if (status == TRIB_OK) {
        status = read_all(fd, path, max_len, &fresh, error);
    }
    close(fd);
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
        ssize_t got = pread(fd, (uint8_t *)to + done, len - done, (off_t)(offset + done));
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
        ssize_t put = pwrite(fd, (const uint8_t *)from + done, len - done, (off_t)(offset + done));
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
static enum trib_status make_one(const char *path, struct trib_error *error)
{
    if (mkdir(path, 0750) == 0) {
        return TRIB_OK;
    }
    int errnum = errno;
    struct stat info;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return TRIB_OK;
        }
        return trib_fail(error, TRIB_EXISTS, "%s: exists and is not a directory", path);
    }
    return trib_fail_errno(error, errnum, "%s: the directory cannot be made", path);
}

enum trib_status trib_dir_make(const char *path, struct trib_error *error)
{
    if (path[0] == '\0') {
        return trib_fail(error, TRIB_INVALID, "a directory's path is empty");
    }
    char *copy = trib_strdup(path);
    if (copy == NULL) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    for (char *at = copy + 1; *at != '\0' && status == TRIB_OK; at++) {
        if (*at == '/' && at[-1] != '/') {
            *at = '\0';
            status = make_one(copy, error);
            *at = '/';
        }
    }
    if (status == TRIB_OK) {
        status = make_one(copy, error);
    }
    trib_free(copy);
    return status;
}

bool trib_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
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
