/* A model spool keeps a received blob, in memory or in a file. */
#include "client/model_spool.h"
#include "base/buf.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

/* Up to here it is received anew sooner than looked for. */
static const uint64_t MEMORY_UP_TO = (uint64_t)1 << 20;
enum { NOTE_ROOM = 128 /* in the budget, for the note behind a frame */, NAME_LEN = 9 + 64 };
static const char prefix[] = "download-";
_Static_assert(sizeof prefix - 1 + 64 == NAME_LEN, "a download's name is its prefix and its SHA-256");

struct trib_model_spool {
    uint64_t len;
    struct trib_blob *blob; /* NULL = in the file */
    int fd;
    char *path;                      /* the download's own file; NULL = it has none, or no name any more */
    struct trib_disk_budget *budget; /* where its file is reckoned; NULL = nowhere */
};

static bool belongs_in_file(uint64_t len, const struct trib_spool_place *place)
{
    if (!place->dir) {
        return false;
    }
    return len > MEMORY_UP_TO || (place->limits.max_bytes > 0 && len > (uint64_t)place->limits.max_bytes / 4);
}

static void file_name(const uint8_t sha256[32], char name[NAME_LEN + 1])
{
    memcpy(name, prefix, sizeof prefix);
    trib_hex_encode(sha256, 32, name + sizeof prefix - 1);
}

/* How much of it is there already, and is there room for the rest? */
static enum trib_status look_at_file(int fd, const char *dir, uint64_t len, uint64_t *found, struct trib_error *error)
{
    struct trib_disk_info info;
    if (trib_disk_fd_info(fd, &info) != 0) {
        return trib_fail_errno(error, errno, "%s: the download's file cannot be examined", dir);
    }
    if (info.len > len) { /* with a note behind it, say, after a crash in trib_model_spool_settle */
        if (trib_disk_truncate(fd, len) != 0) {
            return trib_fail_errno(error, errno, "%s: the download's file cannot be cut to its length", dir);
        }
        info.len = len;
    }
    /* A full disk is found now and not in the middle, as far as it can be known. */
    int64_t room = trib_disk_free_bytes(dir);
    if (room >= 0 && (uint64_t)room < len - info.len) {
        return trib_fail(error, TRIB_NO_SPACE, "%s: no room there for a model of %llu bytes: %lld are free", dir,
                         (unsigned long long)len, (long long)room);
    }
    *found = info.len;
    return TRIB_OK;
}

static enum trib_status open_file(struct trib_model_spool *spool, const char *dir, const uint8_t sha256[32],
                                  uint64_t *found, struct trib_error *error)
{
    char name[NAME_LEN + 1];
    TRIB_TRY(trib_dir_make(dir, error));
    file_name(sha256, name);
    char *path = trib_path_join(dir, name);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    int fd = trib_disk_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0640);
    if (fd < 0) {
        status = trib_fail_errno(error, errno, "%s: no file can be made there for the model", dir);
    } else {
        status = look_at_file(fd, dir, spool->len, found, error);
    }
    if (status != TRIB_OK) {
        if (fd >= 0) {
            trib_disk_close(fd);
        }
        trib_free(path);
        return status;
    }
    spool->fd = fd;
    spool->path = path;
    return TRIB_OK;
}

/* In the file, and in the owner's budget. */
static enum trib_status take_file(struct trib_model_spool *spool, const struct trib_spool_place *place,
                                  const uint8_t sha256[32], uint64_t *found, struct trib_error *error)
{
    TRIB_TRY(trib_disk_budget_take(place->budget, TRIB_DISK_DOWNLOAD, spool->len + NOTE_ROOM, error));
    enum trib_status status = open_file(spool, place->dir, sha256, found, error);
    if (status != TRIB_OK) {
        trib_disk_budget_give(place->budget, TRIB_DISK_DOWNLOAD, spool->len + NOTE_ROOM);
        return status;
    }
    spool->budget = place->budget;
    return TRIB_OK;
}

enum trib_status trib_model_spool_new(const struct trib_spool_place *place, const uint8_t sha256[32], uint64_t len,
                                      struct trib_model_spool **spool, uint64_t *found, struct trib_error *error)
{
    bool in_file = belongs_in_file(len, place);
    TRIB_TRY(trib_limits_check_model(&place->limits, len, !in_file, error));
    struct trib_model_spool *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->len = len;
    made->fd = -1;
    uint64_t there = 0;
    if (in_file) {
        enum trib_status status = take_file(made, place, sha256, &there, error);
        if (status != TRIB_OK) {
            trib_free(made);
            return status;
        }
    } else {
        made->blob = trib_blob_new((size_t)len);
        if (!made->blob) {
            trib_free(made);
            return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %llu bytes", (unsigned long long)len);
        }
    }
    *spool = made;
    *found = there;
    return TRIB_OK;
}

struct trib_model_spool *trib_model_spool_adopt(struct trib_blob *blob)
{
    struct trib_model_spool *made = trib_calloc(1, sizeof *made);
    if (made) {
        *made = (struct trib_model_spool){.len = trib_blob_len(blob), .blob = blob, .fd = -1};
    }
    return made;
}

enum trib_status trib_model_spool_open(const char *path, uint64_t len, struct trib_model_spool **spool,
                                       struct trib_error *error)
{
    struct trib_model_spool *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    *made = (struct trib_model_spool){.len = len, .fd = trib_disk_open(path, O_RDONLY, 0)};
    if (made->fd < 0) {
        int errnum = errno;
        trib_free(made);
        return trib_fail_errno(error, errnum, "%s: cannot be opened", path);
    }
    *spool = made;
    return TRIB_OK;
}

/* The name is not the spool's any more, nor are its bytes the download's. */
static void let_go_of_name(struct trib_model_spool *spool)
{
    trib_free(spool->path);
    spool->path = NULL;
    trib_disk_budget_give(spool->budget, TRIB_DISK_DOWNLOAD, spool->len + NOTE_ROOM);
    spool->budget = NULL;
}

void trib_model_spool_forget(struct trib_model_spool *spool)
{
    if (spool->path) {
        (void)trib_disk_unlink(spool->path); /* what cannot be removed is found again, and of use or tidied away */
        let_go_of_name(spool);
    }
}

void trib_model_spool_leave(struct trib_model_spool *spool)
{
    if (!spool) {
        return;
    }
    let_go_of_name(spool);
    trib_blob_unref(spool->blob);
    if (spool->fd >= 0) {
        trib_disk_close(spool->fd);
    }
    trib_free(spool);
}

void trib_model_spool_free(struct trib_model_spool *spool)
{
    if (spool) {
        trib_model_spool_forget(spool);
        trib_model_spool_leave(spool);
    }
}

enum trib_status trib_model_spool_write(struct trib_model_spool *spool, uint64_t offset, const void *bytes, size_t len,
                                        struct trib_error *error)
{
    if (offset > spool->len || len > spool->len - offset) {
        return trib_fail(error, TRIB_INVALID, "bytes beyond the model's length");
    }
    if (spool->blob) {
        memcpy(trib_blob_fill(spool->blob) + offset, bytes, len);
        return TRIB_OK;
    }
    return trib_file_pwrite(spool->fd, bytes, len, offset, "the model's file", error);
}

enum trib_status trib_model_spool_settle(struct trib_model_spool *spool, const char *path, const void *note,
                                         size_t note_len, struct trib_error *error)
{
    if (!spool->path) {
        return trib_fail(error, TRIB_NOT_FOUND, "the model is in no file of its own");
    }
    TRIB_TRY(trib_file_pwrite(spool->fd, note, note_len, spool->len, spool->path, error));
    if (trib_disk_sync(spool->fd) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be synced", spool->path);
    }
    if (trib_disk_rename(spool->path, path) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be renamed to %s", spool->path, path);
    }
    let_go_of_name(spool);
    char *dir = trib_path_dir(path);
    if (dir) {
        (void)trib_disk_sync_dir(dir); /* what is not there after a crash is downloaded again */
    }
    trib_free(dir);
    return TRIB_OK;
}

static enum trib_status read_file(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    const struct trib_model_spool *spool = context;
    return trib_file_pread(spool->fd, to, len, offset, "the model's file", error);
}

struct trib_frame_source trib_model_spool_source(struct trib_model_spool *spool)
{
    if (spool->blob) {
        return trib_frame_source_memory(spool->blob);
    }
    return (struct trib_frame_source){.read = read_file, .context = spool, .len = spool->len};
}

size_t trib_model_spool_memory(const struct trib_model_spool *spool)
{
    return spool->blob ? (size_t)spool->len : 0;
}

/* ---- what others have left ---- */

/* Gathers the names, each with its NUL: nothing is removed while the folder is being read. */
static bool gather(void *context, const char *name)
{
    struct trib_buf *names = context;
    bool is_one = strlen(name) == NAME_LEN && memcmp(name, prefix, sizeof prefix - 1) == 0;
    return !is_one || trib_buf_add(names, name, NAME_LEN + 1) == TRIB_OK;
}

static uint64_t len_of(const char *path)
{
    struct trib_disk_info info;
    return path && trib_disk_path_info(path, &info) == 0 ? info.len : 0;
}

bool trib_model_spool_longest(const char *dir, uint8_t sha256[32])
{
    uint64_t most = 0;
    struct trib_buf names = {0};
    if (dir) {
        (void)trib_disk_list(dir, gather, &names); /* a folder that is not there holds nothing */
    }
    for (size_t at = 0; at < names.len; at += NAME_LEN + 1) {
        const char *name = (const char *)names.data + at;
        char *path = trib_path_join(dir, name);
        uint64_t len = len_of(path);
        if (len > most && trib_hex_decode(name + sizeof prefix - 1, sha256, 32)) {
            most = len;
        }
        trib_free(path);
    }
    trib_buf_clear(&names);
    return most > 0;
}

void trib_model_spool_tidy(const char *dir, const uint8_t *sha256)
{
    char keep[NAME_LEN + 1] = "";
    struct trib_buf names = {0};
    if (dir) {
        (void)trib_disk_list(dir, gather, &names);
    }
    if (sha256) {
        file_name(sha256, keep);
    }
    for (size_t at = 0; at < names.len; at += NAME_LEN + 1) {
        const char *name = (const char *)names.data + at;
        char *path = strcmp(name, keep) == 0 ? NULL : trib_path_join(dir, name);
        if (path) {
            (void)trib_disk_unlink(path);
        }
        trib_free(path);
    }
    trib_buf_clear(&names);
}
