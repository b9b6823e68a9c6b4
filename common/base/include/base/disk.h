/* The file system, behind one table: what keeps state calls trib_disk_* and nothing else, so that a simulation can put
 * a disk of its own in their place, which tears, loses and fills up, and a test one whose Nth call fails. Files that
 * are only read and not of our making are opened as ever (data), or through it by base/file.h (configurations).
 *
 * POSIX in all that is not said here: -1 (or NULL) and errno; descriptors are small numbers that only these functions
 * understand. Any thread; trib_disk_use before threads start. */
#ifndef TRIB_BASE_DISK_H
#define TRIB_BASE_DISK_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct trib_disk_info {
    uint64_t len;
    uint64_t device, inode; /* equal for two names or descriptors of the same file */
    bool is_dir;
};
/* One name of a folder; false ends the listing. */
typedef bool trib_disk_visit(void *context, const char *name);

struct trib_disk {
    int (*open)(void *disk, const char *path, int flags, unsigned mode); /* O_CLOEXEC is added */
    int (*close)(void *disk, int fd);
    ssize_t (*pread)(void *disk, int fd, void *to, size_t len, uint64_t offset); /* of a pipe: what comes next */
    ssize_t (*pwrite)(void *disk, int fd, const void *from, size_t len, uint64_t offset);
    int (*sync)(void *disk, int fd); /* fsync */
    int (*truncate)(void *disk, int fd, uint64_t len);
    int (*reserve)(void *disk, int fd, uint64_t len); /* posix_fallocate; 0 as well where it is not supported */
    int (*lock)(void *disk, int fd); /* the whole file, for this descriptor alone until it closes; EWOULDBLOCK */
    int (*fd_info)(void *disk, int fd, struct trib_disk_info *info);
    int (*path_info)(void *disk, const char *path, struct trib_disk_info *info);
    int (*rename)(void *disk, const char *from, const char *to);
    int (*link)(void *disk, const char *from, const char *to); /* another name of the same file */
    int (*symlink)(void *disk, const char *target, const char *path);
    int (*unlink)(void *disk, const char *path);
    int (*mkdir)(void *disk, const char *path, unsigned mode);
    int (*sync_dir)(void *disk, const char *path); /* its names; 0 as well where folders cannot be synced */
    int (*list)(void *disk, const char *path, trib_disk_visit *visit, void *context); /* without . and .. */
    int64_t (*free_bytes)(void *disk, const char *path);                              /* for us */
    void *disk;
};

/* Everybody's disk from now on, borrowed; NULL: the system's. Returns the one before (NULL: the system's). */
const struct trib_disk *trib_disk_use(const struct trib_disk *disk);
/* The system's, to put others on top of it. */
const struct trib_disk *trib_disk_system(void);

int trib_disk_open(const char *path, int flags, unsigned mode);
int trib_disk_close(int fd); /* errno is left alone, so that it may follow a failure */
ssize_t trib_disk_pread(int fd, void *to, size_t len, uint64_t offset);
ssize_t trib_disk_pwrite(int fd, const void *from, size_t len, uint64_t offset);
int trib_disk_sync(int fd);
int trib_disk_truncate(int fd, uint64_t len);
int trib_disk_reserve(int fd, uint64_t len);
int trib_disk_lock(int fd);
int trib_disk_fd_info(int fd, struct trib_disk_info *info);
int trib_disk_path_info(const char *path, struct trib_disk_info *info);
int trib_disk_rename(const char *from, const char *to);
int trib_disk_link(const char *from, const char *to);
int trib_disk_symlink(const char *target, const char *path);
int trib_disk_unlink(const char *path);
int trib_disk_mkdir(const char *path, unsigned mode);
int trib_disk_sync_dir(const char *path);
int trib_disk_list(const char *path, trib_disk_visit *visit, void *context);
int64_t trib_disk_free_bytes(const char *path);

#endif
