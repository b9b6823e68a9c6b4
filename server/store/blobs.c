/* Blobs as files: their folders, reading and checking them, sweeping. All of it through trib_disk_*. */
#include "blobs_private.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { NAME_LEN = 2 * (TRIB_SHA256_LEN - 1) }; /* of a file; two more digits are its folder's name */

static void log_left(const char *path)
{
    trib_log(TRIB_LOG_WARN, "store", "blob_not_removed", TRIB_F_STR("path", path),
             TRIB_F_STR("reason", strerror(errno)));
}

/* ---- listing ---- */

struct names {
    struct trib_buf text; /* each with its NUL */
    enum trib_status status;
};

static bool add_name(void *context, const char *name)
{
    struct names *names = context;
    names->status = trib_buf_add(&names->text, name, strlen(name) + 1);
    return names->status == TRIB_OK;
}

/* All names of a folder at once, so that it may be changed while they are looked at. The caller clears *names. */
static enum trib_status list(const char *path, struct trib_buf *names, struct trib_error *error)
{
    struct names listed = {0};
    int failed = trib_disk_list(path, add_name, &listed);
    if (failed != 0 || listed.status != TRIB_OK) {
        int errnum = errno;
        trib_buf_clear(&listed.text);
        return listed.status != TRIB_OK ? trib_fail_no_memory(error)
                                        : trib_fail_errno(error, errnum, "%s: cannot be listed", path);
    }
    *names = listed.text;
    return TRIB_OK;
}

/* The next name of a list; NULL at its end. */
static const char *next_name(const struct trib_buf *names, size_t *at)
{
    if (*at >= names->len) {
        return NULL;
    }
    const char *name = (const char *)names->data + *at;
    *at += strlen(name) + 1;
    return name;
}

/* ---- open and close ---- */

/* NULL when memory is short. */
static struct trib_blobs *blobs_new(const char *dir)
{
    struct trib_blobs *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return NULL;
    }
    made->parent = trib_strdup(dir);
    made->dir = trib_path_join(dir, "blobs");
    made->tmp = made->dir ? trib_path_join(made->dir, "tmp") : NULL;
    if (!made->parent || !made->dir || !made->tmp) {
        trib_blobs_close(made);
        return NULL;
    }
    return made;
}

void trib_blobs_close(struct trib_blobs *blobs)
{
    if (blobs) {
        trib_free(blobs->parent);
        trib_free(blobs->dir);
        trib_free(blobs->tmp);
        trib_free(blobs);
    }
}

static enum trib_status empty_tmp(const struct trib_blobs *blobs, struct trib_error *error)
{
    struct trib_buf names = {0};
    const char *name;
    TRIB_TRY(list(blobs->tmp, &names, error));
    enum trib_status status = TRIB_OK;
    for (size_t at = 0; status == TRIB_OK && (name = next_name(&names, &at));) {
        char *path = trib_path_join(blobs->tmp, name);
        if (!path) {
            status = trib_fail_no_memory(error);
        } else if (trib_disk_unlink(path) != 0) {
            status = trib_fail_errno(error, errno, "%s: an unfinished file cannot be removed", path);
        }
        trib_free(path);
    }
    trib_buf_clear(&names);
    return status;
}

enum trib_status trib_blobs_open(const char *dir, struct trib_blobs **blobs, struct trib_error *error)
{
    struct trib_blobs *opened = blobs_new(dir);
    if (!opened) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_dir_make(opened->tmp, error);
    if (status == TRIB_OK) {
        status = empty_tmp(opened, error);
    }
    if (status == TRIB_OK && trib_disk_sync_dir(opened->parent) != 0) {
        status = trib_fail_errno(error, errno, "%s: cannot be synced", opened->parent);
    }
    if (status != TRIB_OK) {
        trib_blobs_close(opened);
        return status;
    }
    *blobs = opened;
    return TRIB_OK;
}

enum trib_status trib_blobs_look(const char *dir, struct trib_blobs **blobs, struct trib_error *error)
{
    *blobs = blobs_new(dir);
    return *blobs ? TRIB_OK : trib_fail_no_memory(error);
}

/* ---- names ---- */

char *trib_blobs_path(const struct trib_blobs *blobs, const uint8_t sha256[32])
{
    char hex[2 * TRIB_SHA256_LEN + 1];
    trib_hex_encode(sha256, TRIB_SHA256_LEN, hex);
    return trib_asprintf("%s/%.2s/%s", blobs->dir, hex, hex + 2);
}

static enum trib_status sync_folder(struct trib_blobs *blobs, uint8_t first, struct trib_error *error)
{
    char name[3];
    trib_hex_encode(&first, 1, name);
    char *path = trib_path_join(blobs->dir, name);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    if (trib_disk_sync_dir(path) != 0) {
        status = trib_fail_errno(error, errno, "%s: cannot be synced", path);
    } else {
        blobs->unsynced[first] = false;
    }
    trib_free(path);
    return status;
}

enum trib_status trib_blobs_sync(struct trib_blobs *blobs, struct trib_error *error)
{
    for (int first = 0; first < TRIB_BLOB_FOLDERS; first++) {
        if (blobs->unsynced[first]) {
            TRIB_TRY(sync_folder(blobs, (uint8_t)first, error));
        }
    }
    if (blobs->folders_unsynced) {
        if (trib_disk_sync_dir(blobs->dir) != 0) {
            return trib_fail_errno(error, errno, "%s: cannot be synced", blobs->dir);
        }
        blobs->folders_unsynced = false;
    }
    return TRIB_OK;
}

/* ---- reading ---- */

/* Hash a file's bytes piece by piece, into `to` or, when that is NULL, through one piece's room. */
static enum trib_status read_pieces(int fd, const char *path, uint64_t len, uint8_t *to,
                                    uint8_t digest[TRIB_SHA256_LEN], struct trib_error *error)
{
    enum { PIECE = 1 << 20 };
    size_t room_len = len < PIECE ? (size_t)len : PIECE;
    uint8_t *room = to ? to : trib_malloc(room_len);
    struct trib_sha256 *sha = trib_sha256_new();
    enum trib_status status = room && sha ? TRIB_OK : trib_fail_no_memory(error);
    for (uint64_t at = 0; at < len && status == TRIB_OK;) {
        size_t n = len - at < PIECE ? (size_t)(len - at) : PIECE;
        uint8_t *piece = to ? to + at : room;
        status = trib_file_pread(fd, piece, n, at, path, error);
        if (status == TRIB_OK && trib_sha256_add(sha, piece, n) != TRIB_OK) {
            status = trib_fail(error, TRIB_INTERNAL, "%s: cannot be hashed", path);
        }
        at += n;
    }
    if (status == TRIB_OK && trib_sha256_finish(sha, digest) != TRIB_OK) {
        status = trib_fail(error, TRIB_INTERNAL, "%s: cannot be hashed", path);
    }
    trib_sha256_free(sha);
    if (!to) {
        trib_free(room);
    }
    return status;
}

static enum trib_status check_file(int fd, const char *path, const struct trib_blob_name *name, void *to,
                                   struct trib_error *error)
{
    struct trib_disk_info info;
    uint8_t digest[TRIB_SHA256_LEN];
    if (trib_disk_fd_info(fd, &info) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be looked at", path);
    }
    if (info.is_dir || info.len != name->len) {
        return trib_fail(error, TRIB_CORRUPT, "%s: has %" PRIu64 " bytes, and should have %" PRIu64, path, info.len,
                         name->len);
    }
    TRIB_TRY(read_pieces(fd, path, name->len, to, digest, error));
    if (memcmp(digest, name->sha256, sizeof digest) != 0) {
        char hex[2 * TRIB_SHA256_LEN + 1];
        trib_hex_encode(digest, sizeof digest, hex);
        return trib_fail(error, TRIB_CORRUPT, "%s: its bytes have changed: their SHA-256 is %s now", path, hex);
    }
    return TRIB_OK;
}

static enum trib_status read_blob(const struct trib_blobs *blobs, const struct trib_blob_name *name, void *to,
                                  struct trib_error *error)
{
    char *path = trib_blobs_path(blobs, name->sha256);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status;
    int fd = trib_disk_open(path, O_RDONLY, 0);
    if (fd >= 0) {
        status = check_file(fd, path, name, to, error);
        trib_disk_close(fd);
    } else if (errno == ENOENT || errno == ENOTDIR) {
        status = trib_fail(error, TRIB_CORRUPT, "%s: is missing", path);
    } else {
        status = trib_fail_errno(error, errno, "%s: cannot be opened", path);
    }
    trib_free(path);
    return status;
}

enum trib_status trib_blobs_read(const struct trib_blobs *blobs, const struct trib_blob_name *name, void *to,
                                 struct trib_error *error)
{
    uint8_t nothing;
    return read_blob(blobs, name, name->len > 0 ? to : &nothing, error);
}

enum trib_status trib_blobs_verify(const struct trib_blobs *blobs, const struct trib_blob_name *name,
                                   struct trib_error *error)
{
    return read_blob(blobs, name, NULL, error);
}

/* ---- all of them ---- */

struct walk {
    const struct trib_blobs *blobs;
    bool lengths; /* are wanted */
    enum trib_status (*visit)(void *context, const struct trib_blob_name *name, struct trib_error *error);
    void *context;
};

static enum trib_status visit_file(const struct walk *walk, struct trib_blob_name *name, struct trib_error *error)
{
    struct trib_disk_info info = {0};
    char *path = trib_blobs_path(walk->blobs, name->sha256);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    bool is_there = !walk->lengths || trib_disk_path_info(path, &info) == 0;
    if (!is_there && errno != ENOENT) { /* capital letters lead to no file of ours */
        status = trib_fail_errno(error, errno, "%s: cannot be looked at", path);
    }
    trib_free(path);
    name->len = info.len;
    return status == TRIB_OK && is_there ? walk->visit(walk->context, name, error) : status;
}

/* Files whose names are no hashes are not ours. */
static enum trib_status walk_folder(const struct walk *walk, const char *folder, struct trib_error *error)
{
    struct trib_blob_name name = {0};
    if (strlen(folder) != 2 || !trib_hex_decode(folder, name.sha256, 1)) {
        return TRIB_OK;
    }
    char *path = trib_path_join(walk->blobs->dir, folder);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    struct trib_buf names = {0};
    const char *file;
    enum trib_status status = list(path, &names, error);
    for (size_t at = 0; status == TRIB_OK && (file = next_name(&names, &at));) {
        if (strlen(file) == NAME_LEN && trib_hex_decode(file, name.sha256 + 1, TRIB_SHA256_LEN - 1)) {
            status = visit_file(walk, &name, error);
        }
    }
    trib_buf_clear(&names);
    trib_free(path);
    return status;
}

static enum trib_status walk_all(const struct walk *walk, struct trib_error *error)
{
    struct trib_buf folders = {0};
    const char *folder;
    enum trib_status status = list(walk->blobs->dir, &folders, error);
    for (size_t at = 0; status == TRIB_OK && (folder = next_name(&folders, &at));) {
        status = walk_folder(walk, folder, error);
    }
    trib_buf_clear(&folders);
    return status;
}

enum trib_status trib_blobs_each(const struct trib_blobs *blobs,
                                 enum trib_status (*visit)(void *context, const struct trib_blob_name *name,
                                                           struct trib_error *error),
                                 void *context, uint64_t *leftovers, struct trib_error *error)
{
    struct trib_buf names = {0};
    const struct walk walk = {.blobs = blobs, .lengths = true, .visit = visit, .context = context};
    TRIB_TRY(walk_all(&walk, error));
    TRIB_TRY(list(blobs->tmp, &names, error));
    *leftovers = 0;
    for (size_t at = 0; next_name(&names, &at);) {
        (*leftovers)++;
    }
    trib_buf_clear(&names);
    return TRIB_OK;
}

/* ---- sweeping ---- */

void trib_blobs_remove(struct trib_blobs *blobs, const uint8_t sha256[32])
{
    char *path = trib_blobs_path(blobs, sha256);
    if (path && trib_disk_unlink(path) != 0 && errno != ENOENT) {
        log_left(path);
    }
    trib_free(path);
}

struct sweep {
    struct trib_blobs *blobs;
    bool (*keep)(void *context, const uint8_t sha256[32]);
    void *context;
};

static enum trib_status sweep_one(void *context, const struct trib_blob_name *name, struct trib_error *error)
{
    const struct sweep *sweep = context;
    (void)error;
    if (!sweep->keep(sweep->context, name->sha256)) {
        trib_blobs_remove(sweep->blobs, name->sha256);
    }
    return TRIB_OK;
}

void trib_blobs_sweep(struct trib_blobs *blobs, bool (*keep)(void *context, const uint8_t sha256[32]), void *context)
{
    struct trib_error error = {0};
    struct sweep sweep = {.blobs = blobs, .keep = keep, .context = context};
    const struct walk walk = {.blobs = blobs, .visit = sweep_one, .context = &sweep};
    if (walk_all(&walk, &error) != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, "store", "blobs_not_swept", &error, TRIB_F_STR("path", blobs->dir));
    }
}
