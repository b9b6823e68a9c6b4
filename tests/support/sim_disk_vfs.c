/* A virtual file system of SQLite's (sqlite3_vfs, version 1) over base/disk.h. */
#include "sim_disk_vfs.h"

#include "base/disk.h"
#include "base/rng.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LEN = 1024, SECTOR = 512 };

static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER; /* of these three */
static struct trib_rng rng;
static int64_t clock_ms = 946684800000;
static unsigned temporaries;

struct vfs_file {
    sqlite3_file base;
    int fd;
    bool locked;
    bool name_unsynced; /* its folder is synced with it, once */
    char path[PATH_LEN];
};

static struct vfs_file *of(sqlite3_file *file)
{
    return (struct vfs_file *)file;
}

/* ---- files ---- */

static int file_close(sqlite3_file *file)
{
    trib_disk_close(of(file)->fd);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *to, int len, sqlite3_int64 offset)
{
    size_t done = 0, wanted = (size_t)len;
    while (done < wanted) {
        ssize_t got = trib_disk_pread(of(file)->fd, (uint8_t *)to + done, wanted - done, (uint64_t)offset + done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return SQLITE_IOERR_READ;
        }
        if (got == 0) {
            memset((uint8_t *)to + done, 0, wanted - done);
            return SQLITE_IOERR_SHORT_READ;
        }
        done += (size_t)got;
    }
    return SQLITE_OK;
}

static int file_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 offset)
{
    size_t done = 0, wanted = (size_t)len;
    while (done < wanted) {
        ssize_t put =
            trib_disk_pwrite(of(file)->fd, (const uint8_t *)from + done, wanted - done, (uint64_t)offset + done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return put < 0 && errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        }
        done += (size_t)put;
    }
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 len)
{
    return trib_disk_truncate(of(file)->fd, (uint64_t)len) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

/* 0 when the folder that the path is in was synced. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_LEN];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) {
        return trib_disk_sync_dir(".");
    }
    slash[slash == folder ? 1 : 0] = '\0';
    return trib_disk_sync_dir(folder);
}

static int file_sync(sqlite3_file *file, int flags)
{
    (void)flags; /* to sync the data only, or more than fsync does: it is all one here */
    if (trib_disk_sync(of(file)->fd) != 0) {
        return SQLITE_IOERR_FSYNC;
    }
    if (of(file)->name_unsynced) {
        if (sync_folder_of(of(file)->path) != 0) {
            return SQLITE_IOERR_DIR_FSYNC;
        }
        of(file)->name_unsynced = false;
    }
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *len)
{
    struct trib_disk_info info;
    if (trib_disk_fd_info(of(file)->fd, &info) != 0) {
        return SQLITE_IOERR_FSTAT;
    }
    *len = (sqlite3_int64)info.len;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level)
{
    if (level > SQLITE_LOCK_NONE && !of(file)->locked) {
        if (trib_disk_lock(of(file)->fd) != 0) {
            return errno == EWOULDBLOCK ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
        }
        of(file)->locked = true;
    }
    return SQLITE_OK;
}

static int file_unlock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *file, int *reserved)
{
    (void)file; /* nobody else can have it while we are looking */
    *reserved = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return 0;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- the file system ---- */

static void name_temporary(char path[PATH_LEN])
{
    pthread_mutex_lock(&state_lock);
    snprintf(path, PATH_LEN, "sqlite-temporary-%u", temporaries++);
    pthread_mutex_unlock(&state_lock);
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
    static const int with_synced_names = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    (void)vfs;
    struct vfs_file opened = {.fd = -1};
    int how = (flags & SQLITE_OPEN_READWRITE) != 0 ? O_RDWR : O_RDONLY;
    how |= (flags & SQLITE_OPEN_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & SQLITE_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    file->pMethods = NULL;
    if (!path) {
        name_temporary(opened.path);
    } else {
        snprintf(opened.path, sizeof opened.path, "%s", path);
    }
    opened.fd = trib_disk_open(opened.path, how, 0640);
    if (opened.fd < 0) {
        return SQLITE_CANTOPEN;
    }
    if ((flags & SQLITE_OPEN_DELETEONCLOSE) != 0) {
        trib_disk_unlink(opened.path);
    }
    opened.base.pMethods = &file_methods;
    opened.name_unsynced = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & with_synced_names) != 0;
    *of(file) = opened;
    if (out_flags) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    if (trib_disk_unlink(path) != 0) {
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    }
    return sync != 0 && sync_folder_of(path) != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

/* An empty file is as good as none: SQLite's own file system for Unix says so as well, of journals. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    (void)vfs;
    struct trib_disk_info info;
    if (trib_disk_path_info(path, &info) != 0) {
        *result = 0;
        return errno == ENOENT || errno == ENOTDIR ? SQLITE_OK : SQLITE_IOERR_ACCESS;
    }
    *result = flags != SQLITE_ACCESS_EXISTS || info.is_dir || info.len > 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *full)
{
    (void)vfs;
    int len = snprintf(full, (size_t)size, "%s", path);
    return len >= 0 && len < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *bytes)
{
    (void)vfs;
    pthread_mutex_lock(&state_lock);
    for (int i = 0; i < len; i++) {
        bytes[i] = (char)trib_rng_u32(&rng);
    }
    pthread_mutex_unlock(&state_lock);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int vfs_time(sqlite3_vfs *vfs, double *julian_day)
{
    (void)vfs;
    pthread_mutex_lock(&state_lock);
    *julian_day = 2440587.5 + (double)clock_ms / 86400000.0; /* that of 1970-01-01, and the days since */
    pthread_mutex_unlock(&state_lock);
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    (void)vfs;
    (void)size;
    (void)text;
    return errno;
}

static sqlite3_vfs vfs_table = {
    .iVersion = 1,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = PATH_LEN - 1,
    .zName = "trib-disk",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
};

void sim_disk_vfs_register(void)
{
    sim_disk_vfs_seed(0);
    if (sqlite3_vfs_register(&vfs_table, 1) != SQLITE_OK) {
        abort();
    }
}

void sim_disk_vfs_seed(uint64_t seed)
{
    pthread_mutex_lock(&state_lock);
    rng = trib_rng_init(seed, "sqlite", 0, 0);
    pthread_mutex_unlock(&state_lock);
    sqlite3_randomness(0, NULL); /* it asks anew */
}

void sim_disk_vfs_clock(int64_t now_ms)
{
    pthread_mutex_lock(&state_lock);
    clock_ms = now_ms;
    pthread_mutex_unlock(&state_lock);
}
