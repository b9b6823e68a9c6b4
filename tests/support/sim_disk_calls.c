/* The simulated disk's answers to the calls of base/disk.h: what POSIX says, and the faults that were asked for. */
#include "sim_disk_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t MOST_LEN = (uint64_t)1 << 40;

/* ---- every call: the lock, the count, and whether it happens ---- */

enum fate {
    GO,
    FAIL, /* errno says why */
    HALF  /* it happens, but nobody hears of it: the process died */
};

static bool errnum_needs_room(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT;
}

static enum fate injected(struct sim_disk *disk, bool needs_room)
{
    if (disk->fail_errnum == 0) {
        return GO;
    }
    if (disk->fail_after > 0) {
        disk->fail_after--;
        return GO;
    }
    if (errnum_needs_room(disk->fail_errnum) && !needs_room) {
        return GO;
    }
    errno = disk->fail_errnum;
    disk->fail_errnum = disk->fail_sticky ? disk->fail_errnum : 0;
    disk->counts.failures++;
    return FAIL;
}

/* Takes the lock, which finish gives back. */
static enum fate start(struct sim_disk *disk, bool needs_room)
{
    pthread_mutex_lock(&disk->lock);
    disk->counts.operations++;
    if (disk->stopped) {
        errno = EIO;
        return FAIL;
    }
    if (disk->stops && disk->stop_after-- == 0) {
        disk->stopped = true;
        disk->stops = false;
        errno = EIO;
        return trib_rng_below(&disk->rng, 2) == 0 ? HALF : FAIL;
    }
    return injected(disk, needs_room);
}

static int64_t finish(struct sim_disk *disk, enum fate fate, int64_t result)
{
    if (fate == HALF) {
        errno = EIO;
    }
    pthread_mutex_unlock(&disk->lock);
    return fate == GO ? result : -1;
}

static struct sim_open *find_open(struct sim_disk *disk, int fd)
{
    for (size_t i = disk->n_open; i-- > 0;) {
        if (disk->open[i].fd == fd) {
            return &disk->open[i];
        }
    }
    errno = EBADF;
    return NULL;
}

static struct sim_node *find_file(struct sim_disk *disk, int fd, bool for_writing)
{
    const struct sim_open *open = find_open(disk, fd);
    if (!open) {
        return NULL;
    }
    if (open->node->kind == SIM_DIR) {
        errno = for_writing ? EBADF : EISDIR;
        return NULL;
    }
    int mode = open->flags & O_ACCMODE;
    if (mode == (for_writing ? O_RDONLY : O_WRONLY)) {
        errno = EBADF;
        return NULL;
    }
    return open->node;
}

/* ---- descriptors ---- */

static int open_node(struct sim_disk *disk, const char *path, int flags, struct sim_node **node)
{
    struct sim_found found;
    bool exclusive = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
    if (sim_find(disk, path, (flags & O_NOFOLLOW) == 0 && !exclusive, &found) != 0) {
        return -1;
    }
    if (!found.node) {
        if ((flags & O_CREAT) == 0) {
            return sim_fail(ENOENT);
        }
        *node = sim_create(disk, &found, SIM_FILE);
        return 0;
    }
    if (exclusive) {
        return sim_fail(EEXIST);
    }
    if (found.node->kind == SIM_LINK) {
        return sim_fail(ELOOP);
    }
    if (found.node->kind == SIM_DIR && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0)) {
        return sim_fail(EISDIR);
    }
    if (found.node->kind != SIM_DIR && (flags & O_DIRECTORY) != 0) {
        return sim_fail(ENOTDIR);
    }
    *node = found.node;
    return 0;
}

static int do_open(struct sim_disk *disk, const char *path, int flags)
{
    struct sim_node *node = NULL;
    if ((flags & O_APPEND) != 0) { /* pwrite and it do not go together */
        return sim_fail(EINVAL);
    }
    if (open_node(disk, path, flags, &node) != 0) {
        return -1;
    }
    if ((flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != O_RDONLY) {
        sim_file_resize(disk, node, 0);
    }
    sim_node_take(disk, node);
    disk->open = sim_grow(disk->open, disk->n_open, &disk->open_capacity, sizeof *disk->open);
    int fd = disk->next_fd++;
    disk->open[disk->n_open++] = (struct sim_open){.fd = fd, .flags = flags, .node = node};
    return fd;
}

static int sim_open(void *context, const char *path, int flags, unsigned mode)
{
    (void)mode;
    struct sim_disk *disk = context;
    enum fate fate = start(disk, (flags & O_CREAT) != 0);
    return (int)finish(disk, fate, fate == FAIL ? -1 : do_open(disk, path, flags));
}

static int do_close(struct sim_disk *disk, int fd)
{
    struct sim_open *open = find_open(disk, fd);
    if (!open) {
        return -1;
    }
    struct sim_node *node = open->node;
    node->locked_by = node->locked_by == fd ? 0 : node->locked_by;
    *open = disk->open[--disk->n_open];
    sim_node_drop(disk, node);
    return 0;
}

static int sim_close(void *context, int fd)
{
    struct sim_disk *disk = context;
    pthread_mutex_lock(&disk->lock);
    int result = disk->stopped ? sim_fail(EIO) : do_close(disk, fd);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

/* ---- content ---- */

static ssize_t do_pread(struct sim_disk *disk, int fd, void *to, size_t len, uint64_t offset)
{
    const struct sim_node *file = find_file(disk, fd, false);
    if (!file) {
        return -1;
    }
    if (len == 0 || offset >= file->len) {
        return 0;
    }
    size_t got = file->len - offset < len ? (size_t)(file->len - offset) : len;
    memcpy(to, file->data + offset, got);
    return (ssize_t)got;
}

static ssize_t sim_pread(void *context, int fd, void *to, size_t len, uint64_t offset)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    return finish(disk, fate, fate == FAIL ? -1 : do_pread(disk, fd, to, len, offset));
}

/* How long a file may get now. */
static uint64_t longest(const struct sim_disk *disk, const struct sim_node *file)
{
    if (disk->capacity == 0) {
        return MOST_LEN;
    }
    return file->len + (disk->counts.held < disk->capacity ? disk->capacity - disk->counts.held : 0);
}

static int no_space(struct sim_disk *disk)
{
    disk->counts.failures++;
    return sim_fail(ENOSPC);
}

static ssize_t do_pwrite(struct sim_disk *disk, int fd, const void *from, size_t len, uint64_t offset)
{
    struct sim_node *file = find_file(disk, fd, true);
    if (!file) {
        return -1;
    }
    if (len > MOST_LEN || offset > MOST_LEN - len) {
        return sim_fail(EFBIG);
    }
    if (len == 0) {
        return 0;
    }
    uint64_t end = longest(disk, file);
    end = end > file->len ? end : file->len;
    if (offset + len > end) {
        if (offset >= end) {
            return no_space(disk);
        }
        len = (size_t)(end - offset);
    }
    sim_file_write(disk, file, from, len, offset);
    return (ssize_t)len;
}

/* One that fails may have put down its first bytes. */
static ssize_t sim_pwrite(void *context, int fd, const void *from, size_t len, uint64_t offset)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    bool partly = fate == HALF || (fate == FAIL && errno == EIO && !disk->stopped);
    if (fate == FAIL && !partly) {
        return finish(disk, fate, -1);
    }
    size_t put = partly ? (size_t)trib_rng_below(&disk->rng, (uint64_t)len + 1) : len;
    ssize_t result = do_pwrite(disk, fd, from, put, offset);
    if (partly) {
        errno = EIO;
    }
    return finish(disk, fate, result);
}

static int do_sync(struct sim_disk *disk, int fd)
{
    const struct sim_open *open = find_open(disk, fd);
    if (!open) {
        return -1;
    }
    if (open->node->kind == SIM_DIR) {
        sim_dir_sync(disk, open->node, open->node->n_changes);
    } else {
        sim_file_sync(open->node);
    }
    disk->counts.syncs++;
    return 0;
}

static int sim_sync(void *context, int fd)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    if (fate == FAIL && !disk->stopped) {
        int errnum = errno;
        const struct sim_open *open = find_open(disk, fd);
        if (open && open->node->kind == SIM_FILE) {
            sim_file_doubt(open->node);
        }
        errno = errnum;
    }
    return (int)finish(disk, fate, fate == FAIL ? -1 : do_sync(disk, fd));
}

static int do_resize(struct sim_disk *disk, int fd, uint64_t len, bool only_grow)
{
    struct sim_node *file = find_file(disk, fd, true);
    if (!file) {
        bool is_open = find_open(disk, fd);
        return sim_fail(is_open && !only_grow ? EINVAL : EBADF);
    }
    if (len > MOST_LEN) {
        return sim_fail(EFBIG);
    }
    if (len > file->len && len > longest(disk, file)) {
        return no_space(disk);
    }
    if (len > file->len || !only_grow) {
        sim_file_resize(disk, file, len);
    }
    return 0;
}

static int sim_truncate(void *context, int fd, uint64_t len)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    return (int)finish(disk, fate, fate == FAIL ? -1 : do_resize(disk, fd, len, false));
}

static int sim_reserve(void *context, int fd, uint64_t len)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    return (int)finish(disk, fate, fate == FAIL ? -1 : do_resize(disk, fd, len, true));
}

static int do_lock(struct sim_disk *disk, int fd)
{
    const struct sim_open *open = find_open(disk, fd);
    if (!open) {
        return -1;
    }
    if (open->node->locked_by != 0 && open->node->locked_by != fd) {
        return sim_fail(EWOULDBLOCK);
    }
    open->node->locked_by = fd;
    return 0;
}

static int sim_lock(void *context, int fd)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    return (int)finish(disk, fate, fate == FAIL ? -1 : do_lock(disk, fd));
}

/* ---- names ---- */

static void fill_info(const struct sim_disk *disk, const struct sim_node *node, struct trib_disk_info *info)
{
    *info = (struct trib_disk_info){
        .len = node->len, .device = disk->device, .inode = node->number, .is_dir = node->kind == SIM_DIR};
}

static int sim_fd_info(void *context, int fd, struct trib_disk_info *info)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    const struct sim_open *open = fate == GO ? find_open(disk, fd) : NULL;
    if (open) {
        fill_info(disk, open->node, info);
    }
    return (int)finish(disk, fate, open ? 0 : -1);
}

static int sim_path_info(void *context, const char *path, struct trib_disk_info *info)
{
    struct sim_disk *disk = context;
    struct sim_found found;
    enum fate fate = start(disk, false);
    int result = fate == GO ? sim_find(disk, path, true, &found) : -1;
    if (result == 0 && !found.node) {
        result = sim_fail(ENOENT);
    }
    if (result == 0) {
        fill_info(disk, found.node, info);
    }
    return (int)finish(disk, fate, result);
}

static int sim_rename(void *context, const char *from, const char *to)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    return (int)finish(disk, fate, fate == FAIL ? -1 : sim_do_rename(disk, from, to));
}

static int sim_link(void *context, const char *from, const char *to)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    return (int)finish(disk, fate, fate == FAIL ? -1 : sim_do_link(disk, from, to));
}

static int sim_symlink(void *context, const char *target, const char *path)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    return (int)finish(disk, fate, fate == FAIL ? -1 : sim_do_make(disk, path, SIM_LINK, target));
}

static int sim_mkdir(void *context, const char *path, unsigned mode)
{
    (void)mode;
    struct sim_disk *disk = context;
    enum fate fate = start(disk, true);
    return (int)finish(disk, fate, fate == FAIL ? -1 : sim_do_make(disk, path, SIM_DIR, NULL));
}

static int sim_unlink(void *context, const char *path)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    return (int)finish(disk, fate, fate == FAIL ? -1 : sim_do_unlink(disk, path));
}

/* ---- folders ---- */

static int sim_sync_dir(void *context, const char *path)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    struct sim_node *dir = fate == FAIL ? NULL : sim_find_dir(disk, path);
    if (dir) {
        sim_dir_sync(disk, dir, dir->n_changes);
        disk->counts.syncs++;
    }
    return (int)finish(disk, fate, dir ? 0 : -1);
}

static int sim_list(void *context, const char *path, trib_disk_visit *visit, void *visitor)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    const struct sim_node *dir = fate == GO ? sim_find_dir(disk, path) : NULL;
    size_t n = dir ? dir->n_entries : 0;
    char **names = dir ? sim_copy_names(disk, dir) : NULL;
    int result = (int)finish(disk, fate, dir ? 0 : -1);
    bool goes_on = true;
    for (size_t i = 0; i < n; i++) {
        goes_on = goes_on && visit(visitor, names[i]);
        free(names[i]);
    }
    free(names);
    return result;
}

static int64_t sim_free_bytes(void *context, const char *path)
{
    struct sim_disk *disk = context;
    enum fate fate = start(disk, false);
    struct sim_found found;
    int64_t bytes = -1;
    if (fate == GO && sim_find(disk, path, true, &found) == 0) {
        uint64_t held = disk->counts.held;
        bytes = (int64_t)(disk->capacity == 0 ? MOST_LEN : (disk->capacity > held ? disk->capacity - held : 0));
        bytes = !found.node ? sim_fail(ENOENT) : bytes;
    }
    return finish(disk, fate, bytes);
}

const struct trib_disk sim_disk_calls = {
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .reserve = sim_reserve,
    .lock = sim_lock,
    .fd_info = sim_fd_info,
    .path_info = sim_path_info,
    .rename = sim_rename,
    .link = sim_link,
    .symlink = sim_symlink,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .free_bytes = sim_free_bytes,
};
