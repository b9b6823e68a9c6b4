/* The disk in use, and the system's own. Any thread; trib_disk_use before threads start. */
#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- the system's: `disk` is not used ---- */

static int system_open(void *disk, const char *path, int flags, unsigned mode)
{
    (void)disk;
    return open(path, flags | O_CLOEXEC, (mode_t)mode);
}

static int system_close(void *disk, int fd)
{
    (void)disk;
    return close(fd);
}

static ssize_t system_pread(void *disk, int fd, void *to, size_t len, uint64_t offset)
{
    (void)disk;
    ssize_t got = pread(fd, to, len, (off_t)offset);
    return got < 0 && errno == ESPIPE ? read(fd, to, len) : got;
}

static ssize_t system_pwrite(void *disk, int fd, const void *from, size_t len, uint64_t offset)
{
    (void)disk;
    return pwrite(fd, from, len, (off_t)offset);
}

static int system_sync(void *disk, int fd)
{
    (void)disk;
    return fsync(fd);
}

static int system_truncate(void *disk, int fd, uint64_t len)
{
    (void)disk;
    return ftruncate(fd, (off_t)len);
}

static int system_reserve(void *disk, int fd, uint64_t len)
{
    (void)disk;
    if (len == 0) {
        return 0;
    }
    int errnum;
    do {
        errnum = posix_fallocate(fd, 0, (off_t)len);
    } while (errnum == EINTR);
    if (errnum == 0 || errnum == EOPNOTSUPP || errnum == EINVAL) {
        return 0;
    }
    errno = errnum;
    return -1;
}

static int system_lock(void *disk, int fd)
{
    (void)disk;
    return flock(fd, LOCK_EX | LOCK_NB);
}

static void fill_info(const struct stat *from, struct trib_disk_info *info)
{
    *info = (struct trib_disk_info){.len = (uint64_t)from->st_size,
                                    .device = (uint64_t)from->st_dev,
                                    .inode = (uint64_t)from->st_ino,
                                    .is_dir = S_ISDIR(from->st_mode)};
}

static int system_fd_info(void *disk, int fd, struct trib_disk_info *info)
{
    (void)disk;
    struct stat got;
    if (fstat(fd, &got) != 0) {
        return -1;
    }
    fill_info(&got, info);
    return 0;
}

static int system_path_info(void *disk, const char *path, struct trib_disk_info *info)
{
    (void)disk;
    struct stat got;
    if (stat(path, &got) != 0) {
        return -1;
    }
    fill_info(&got, info);
    return 0;
}

static int system_rename(void *disk, const char *from, const char *to)
{
    (void)disk;
    return rename(from, to);
}

static int system_link(void *disk, const char *from, const char *to)
{
    (void)disk;
    return link(from, to);
}

static int system_symlink(void *disk, const char *target, const char *path)
{
    (void)disk;
    return symlink(target, path);
}

static int system_unlink(void *disk, const char *path)
{
    (void)disk;
    return unlink(path);
}

static int system_mkdir(void *disk, const char *path, unsigned mode)
{
    (void)disk;
    return mkdir(path, (mode_t)mode);
}

/* Some file systems cannot sync folders and say EINVAL: their names need none, or none helps. */
static int system_sync_dir(void *disk, const char *path)
{
    (void)disk;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    if (failed != 0 && failed != EINVAL) {
        errno = failed;
        return -1;
    }
    return 0;
}

static int system_list(void *disk, const char *path, trib_disk_visit *visit, void *context)
{
    (void)disk;
    DIR *dir = opendir(path);
    if (!dir) {
        return -1;
    }
    int failed = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            failed = errno;
            break;
        }
        bool is_dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!is_dots && !visit(context, entry->d_name)) {
            break;
        }
    }
    closedir(dir);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

static int64_t system_free_bytes(void *disk, const char *path)
{
    (void)disk;
    struct statvfs got;
    if (statvfs(path, &got) != 0) {
        return -1;
    }
    uint64_t bytes;
    bool too_many = __builtin_mul_overflow((uint64_t)got.f_bavail, (uint64_t)got.f_frsize, &bytes);
    return too_many || bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

static const struct trib_disk system_disk = {
    .open = system_open,
    .close = system_close,
    .pread = system_pread,
    .pwrite = system_pwrite,
    .sync = system_sync,
    .truncate = system_truncate,
    .reserve = system_reserve,
    .lock = system_lock,
    .fd_info = system_fd_info,
    .path_info = system_path_info,
    .rename = system_rename,
    .link = system_link,
    .symlink = system_symlink,
    .unlink = system_unlink,
    .mkdir = system_mkdir,
    .sync_dir = system_sync_dir,
    .list = system_list,
    .free_bytes = system_free_bytes,
};

/* ---- the one in use ---- */

static const struct trib_disk *in_use = &system_disk;

const struct trib_disk *trib_disk_use(const struct trib_disk *disk)
{
    const struct trib_disk *before = in_use == &system_disk ? NULL : in_use;
    in_use = disk ? disk : &system_disk;
    return before;
}

const struct trib_disk *trib_disk_system(void)
{
    return &system_disk;
}

int trib_disk_open(const char *path, int flags, unsigned mode)
{
    return in_use->open(in_use->disk, path, flags, mode);
}

int trib_disk_close(int fd)
{
    int errnum = errno;
    int result = in_use->close(in_use->disk, fd);
    errno = errnum;
    return result;
}

ssize_t trib_disk_pread(int fd, void *to, size_t len, uint64_t offset)
{
    return in_use->pread(in_use->disk, fd, to, len, offset);
}

ssize_t trib_disk_pwrite(int fd, const void *from, size_t len, uint64_t offset)
{
    return in_use->pwrite(in_use->disk, fd, from, len, offset);
}

int trib_disk_sync(int fd)
{
    return in_use->sync(in_use->disk, fd);
}

int trib_disk_truncate(int fd, uint64_t len)
{
    return in_use->truncate(in_use->disk, fd, len);
}

int trib_disk_reserve(int fd, uint64_t len)
{
    return in_use->reserve(in_use->disk, fd, len);
}

int trib_disk_lock(int fd)
{
    return in_use->lock(in_use->disk, fd);
}

int trib_disk_fd_info(int fd, struct trib_disk_info *info)
{
    return in_use->fd_info(in_use->disk, fd, info);
}

int trib_disk_path_info(const char *path, struct trib_disk_info *info)
{
    return in_use->path_info(in_use->disk, path, info);
}

int trib_disk_rename(const char *from, const char *to)
{
    return in_use->rename(in_use->disk, from, to);
}

int trib_disk_link(const char *from, const char *to)
{
    return in_use->link(in_use->disk, from, to);
}

int trib_disk_symlink(const char *target, const char *path)
{
    return in_use->symlink(in_use->disk, target, path);
}

int trib_disk_unlink(const char *path)
{
    return in_use->unlink(in_use->disk, path);
}

int trib_disk_mkdir(const char *path, unsigned mode)
{
    return in_use->mkdir(in_use->disk, path, mode);
}

int trib_disk_sync_dir(const char *path)
{
    return in_use->sync_dir(in_use->disk, path);
}

int trib_disk_list(const char *path, trib_disk_visit *visit, void *context)
{
    return in_use->list(in_use->disk, path, visit, context);
}

int64_t trib_disk_free_bytes(const char *path)
{
    return in_use->free_bytes(in_use->disk, path);
}
