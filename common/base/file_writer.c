/* Durable replacement of a file: write aside, fsync, rename, fsync the directory. A reader sees the old content or
 * the new one, also after a power loss. Any thread; a writer belongs to one. */
#include "base/file.h"
#include "base/disk.h"
#include "base/mem.h"

#include <errno.h>

static bool is_named(int fd, const char *path)
{
    struct trib_disk_info mine, named;
    return trib_disk_fd_info(fd, &mine) == 0 && trib_disk_path_info(path, &named) == 0 && mine.inode == named.inode &&
           mine.device == named.device;
}

/* Open the temporary file and lock it, so that two writers of one path cannot mix their bytes; what a crash left
 * behind is used again. The lock may be won on a file that its owner has renamed or removed meanwhile: then the name
 * leads elsewhere, and it has to be opened once more. */
static enum trib_status open_locked(const char *path, int *fd, struct trib_error *error)
{
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        int opened = trib_disk_open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0640);
        if (opened < 0) {
            return trib_fail_errno(error, errno, "%s: cannot be created", path);
        }
        if (trib_disk_lock(opened) != 0 && errno == EWOULDBLOCK) {
            trib_disk_close(opened);
            return trib_fail(error, TRIB_UNAVAILABLE, "%s: is being written by someone else; try again", path);
        }
        if (is_named(opened, path)) {
            *fd = opened;
            return TRIB_OK;
        }
        trib_disk_close(opened);
    }
    return trib_fail(error, TRIB_UNAVAILABLE, "%s: others keep writing it; try again", path);
}

enum trib_status trib_file_writer_open(struct trib_file_writer *writer, const char *path, struct trib_error *error)
{
    struct trib_file_writer fresh = {.fd = -1};
    enum trib_status status;
    fresh.path = trib_strdup(path);
    fresh.temporary = trib_asprintf("%s.tmp", path);
    if (!fresh.path || !fresh.temporary) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = open_locked(fresh.temporary, &fresh.fd, error);
    if (status == TRIB_OK && trib_disk_truncate(fresh.fd, 0) != 0) {
        status = trib_fail_errno(error, errno, "%s: cannot be emptied", fresh.temporary);
    }
    if (status == TRIB_OK) {
        *writer = fresh;
        return TRIB_OK;
    }
out:
    if (fresh.fd >= 0) {
        trib_disk_close(fresh.fd);
    }
    trib_free(fresh.path);
    trib_free(fresh.temporary);
    return status;
}

enum trib_status trib_file_writer_add(struct trib_file_writer *writer, const void *bytes, size_t len,
                                      struct trib_error *error)
{
    TRIB_TRY(trib_file_pwrite(writer->fd, bytes, len, writer->len, writer->temporary, error));
    writer->len += len;
    return TRIB_OK;
}

static enum trib_status open_dir_of(const char *path, int *fd, struct trib_error *error)
{
    char *dir = trib_path_dir(path);
    if (!dir) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    int opened = trib_disk_open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (opened < 0) {
        status = trib_fail_errno(error, errno, "%s: the directory cannot be opened", dir);
    } else {
        *fd = opened;
    }
    trib_free(dir);
    return status;
}

static void forget(struct trib_file_writer *writer)
{
    trib_free(writer->path);
    trib_free(writer->temporary);
    *writer = (struct trib_file_writer){.fd = -1};
}

/* All that can fail early does so before the rename, so that a failure nearly always means the old content. */
enum trib_status trib_file_writer_commit(struct trib_file_writer *writer, struct trib_error *error)
{
    int dir = -1;
    TRIB_TRY(open_dir_of(writer->path, &dir, error));
    enum trib_status status = TRIB_OK;
    if (trib_disk_sync(writer->fd) != 0) {
        status = trib_fail_errno(error, errno, "%s: cannot be synced", writer->temporary);
        goto out;
    }
    if (trib_disk_rename(writer->temporary, writer->path) != 0) {
        status = trib_fail_errno(error, errno, "%s: cannot be renamed to %s", writer->temporary, writer->path);
        goto out;
    }
    /* The rename is durable once the directory is. Some file systems cannot sync directories and say EINVAL. */
    if (trib_disk_sync(dir) != 0 && errno != EINVAL) {
        status = trib_fail_errno(error, errno, "%s: is replaced, but its directory cannot be synced", writer->path);
    }
    trib_disk_close(writer->fd); /* synced already: nothing is left that closing could report */
    forget(writer);
out:
    trib_disk_close(dir);
    return status;
}

void trib_file_writer_abort(struct trib_file_writer *writer)
{
    if (!writer->temporary) {
        return;
    }
    trib_disk_unlink(writer->temporary); /* before the lock goes, so that it cannot be another writer's file */
    trib_disk_close(writer->fd);
    forget(writer);
}

enum trib_status trib_file_replace(const char *path, const void *bytes, size_t len, struct trib_error *error)
{
    struct trib_file_writer writer;
    TRIB_TRY(trib_file_writer_open(&writer, path, error));
    enum trib_status status = trib_file_writer_add(&writer, bytes, len, error);
    if (status == TRIB_OK) {
        status = trib_file_writer_commit(&writer, error);
    }
    trib_file_writer_abort(&writer);
    return status;
}
