/* The disk whose Nth call fails. */
#include "fail_disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct fail_disk {
    struct trib_disk table;
    const struct trib_disk *under;
    pthread_mutex_t lock;
    int64_t after; /* calls that may still happen; negative = all */
    int64_t calls, failures, descriptors;
    int errnum;
    bool sticky;
};

static bool fails(struct fail_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->calls++;
    bool failed = disk->after == 0;
    if (disk->after > 0 || (failed && !disk->sticky)) {
        disk->after--;
    }
    disk->failures += failed;
    int errnum = disk->errnum;
    pthread_mutex_unlock(&disk->lock);
    if (failed) {
        errno = errnum;
    }
    return failed;
}

#define FORWARD(result, call, parameters, arguments)                                                                   \
    static result fail_##call parameters                                                                               \
    {                                                                                                                  \
        struct fail_disk *disk = context;                                                                              \
        return fails(disk) ? -1 : disk->under->call arguments;                                                         \
    }

FORWARD(ssize_t, pread, (void *context, int fd, void *to, size_t len, uint64_t offset),
        (disk->under->disk, fd, to, len, offset))
FORWARD(ssize_t, pwrite, (void *context, int fd, const void *from, size_t len, uint64_t offset),
        (disk->under->disk, fd, from, len, offset))
FORWARD(int, sync, (void *context, int fd), (disk->under->disk, fd))
FORWARD(int, truncate, (void *context, int fd, uint64_t len), (disk->under->disk, fd, len))
FORWARD(int, reserve, (void *context, int fd, uint64_t len), (disk->under->disk, fd, len))
FORWARD(int, lock, (void *context, int fd), (disk->under->disk, fd))
FORWARD(int, fd_info, (void *context, int fd, struct trib_disk_info *info), (disk->under->disk, fd, info))
FORWARD(int, path_info, (void *context, const char *path, struct trib_disk_info *info), (disk->under->disk, path, info))
FORWARD(int, rename, (void *context, const char *from, const char *to), (disk->under->disk, from, to))
FORWARD(int, link, (void *context, const char *from, const char *to), (disk->under->disk, from, to))
FORWARD(int, symlink, (void *context, const char *target, const char *path), (disk->under->disk, target, path))
FORWARD(int, unlink, (void *context, const char *path), (disk->under->disk, path))
FORWARD(int, mkdir, (void *context, const char *path, unsigned mode), (disk->under->disk, path, mode))
FORWARD(int, sync_dir, (void *context, const char *path), (disk->under->disk, path))
FORWARD(int, list, (void *context, const char *path, trib_disk_visit *visit, void *visitor),
        (disk->under->disk, path, visit, visitor))
FORWARD(int64_t, free_bytes, (void *context, const char *path), (disk->under->disk, path))

static void count_descriptors(struct fail_disk *disk, int more)
{
    pthread_mutex_lock(&disk->lock);
    disk->descriptors += more;
    pthread_mutex_unlock(&disk->lock);
}

static int fail_open(void *context, const char *path, int flags, unsigned mode)
{
    struct fail_disk *disk = context;
    int fd = fails(disk) ? -1 : disk->under->open(disk->under->disk, path, flags, mode);
    count_descriptors(disk, fd >= 0);
    return fd;
}

static int fail_close(void *context, int fd)
{
    struct fail_disk *disk = context;
    count_descriptors(disk, -1);
    return disk->under->close(disk->under->disk, fd);
}

struct fail_disk *fail_disk_new(const struct trib_disk *under)
{
    struct fail_disk *disk = calloc(1, sizeof *disk);
    if (!disk || pthread_mutex_init(&disk->lock, NULL) != 0) {
        free(disk);
        return NULL;
    }
    disk->under = under;
    disk->after = -1;
    disk->table = (struct trib_disk){
        .open = fail_open,
        .close = fail_close,
        .pread = fail_pread,
        .pwrite = fail_pwrite,
        .sync = fail_sync,
        .truncate = fail_truncate,
        .reserve = fail_reserve,
        .lock = fail_lock,
        .fd_info = fail_fd_info,
        .path_info = fail_path_info,
        .rename = fail_rename,
        .link = fail_link,
        .symlink = fail_symlink,
        .unlink = fail_unlink,
        .mkdir = fail_mkdir,
        .sync_dir = fail_sync_dir,
        .list = fail_list,
        .free_bytes = fail_free_bytes,
        .disk = disk,
    };
    return disk;
}

void fail_disk_free(struct fail_disk *disk)
{
    if (disk) {
        pthread_mutex_destroy(&disk->lock);
        free(disk);
    }
}

const struct trib_disk *fail_disk_table(struct fail_disk *disk)
{
    return &disk->table;
}

int64_t fail_disk_after(struct fail_disk *disk, int64_t after, int errnum, bool sticky)
{
    pthread_mutex_lock(&disk->lock);
    int64_t calls = disk->calls;
    disk->calls = disk->failures = 0;
    disk->after = after < 0 ? -1 : after;
    disk->errnum = errnum;
    disk->sticky = sticky;
    pthread_mutex_unlock(&disk->lock);
    return calls;
}

int64_t fail_disk_failures(struct fail_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    int64_t failures = disk->failures;
    pthread_mutex_unlock(&disk->lock);
    return failures;
}

int64_t fail_disk_descriptors(struct fail_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    int64_t descriptors = disk->descriptors;
    pthread_mutex_unlock(&disk->lock);
    return descriptors;
}
