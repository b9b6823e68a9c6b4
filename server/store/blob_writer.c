/* A blob writer brings a blob to the disk: written beside, hashed at the same time, renamed to its hash. A large piece
 * is hashed on a second thread, so that a disk that is as fast as the hash costs no more than the hash. */
#include "blobs_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct piece {
    const void *bytes;
    size_t len;
};

/* Takes pieces in order. The thread owns `sha` until the queue is empty. */
struct hasher {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct trib_sha256 *sha;
    struct piece pieces[8];
    size_t n; /* waiting, the first one perhaps being hashed */
    bool runs, ends;
    enum trib_status status; /* of what was hashed so far */
};

struct trib_blob_writer {
    struct trib_blobs *blobs;
    struct hasher hasher;
    char *path;
    int fd;
    uint64_t len, reserved;
    bool synced;
};

/* ---- hashing ---- */

static void *hasher_main(void *context)
{
    struct hasher *hasher = context;
    pthread_mutex_lock(&hasher->mutex);
    while (hasher->n > 0 || !hasher->ends) {
        if (hasher->n == 0) {
            pthread_cond_wait(&hasher->changed, &hasher->mutex);
            continue;
        }
        struct piece piece = hasher->pieces[0];
        pthread_mutex_unlock(&hasher->mutex);
        enum trib_status status = trib_sha256_add(hasher->sha, piece.bytes, piece.len);
        pthread_mutex_lock(&hasher->mutex);
        hasher->status = hasher->status == TRIB_OK ? status : hasher->status;
        hasher->n--;
        memmove(hasher->pieces, hasher->pieces + 1, hasher->n * sizeof hasher->pieces[0]);
        pthread_cond_broadcast(&hasher->changed);
    }
    pthread_mutex_unlock(&hasher->mutex);
    return NULL;
}

/* Wait until fewer than `most` pieces are left to hash. */
static void wait_for_room(struct hasher *hasher, size_t most)
{
    while (hasher->n >= most) {
        pthread_cond_wait(&hasher->changed, &hasher->mutex);
    }
}

/* False: there is no thread, and there will be none. */
static bool start_thread(struct hasher *hasher)
{
    if (!hasher->runs) {
        hasher->runs = pthread_create(&hasher->thread, NULL, hasher_main, hasher) == 0;
    }
    return hasher->runs;
}

static void hash_here(struct hasher *hasher, const void *bytes, size_t len)
{
    enum trib_status status = trib_sha256_add(hasher->sha, bytes, len);
    hasher->status = hasher->status == TRIB_OK ? status : hasher->status;
}

/* Pieces that may go at once are hashed before this returns, after all that came before them. */
static void hash_piece(struct hasher *hasher, const void *bytes, size_t len)
{
    if (len < TRIB_BLOB_LARGE || !start_thread(hasher)) {
        if (hasher->runs) {
            pthread_mutex_lock(&hasher->mutex);
            wait_for_room(hasher, 1);
            pthread_mutex_unlock(&hasher->mutex);
        }
        hash_here(hasher, bytes, len);
        return;
    }
    pthread_mutex_lock(&hasher->mutex);
    wait_for_room(hasher, sizeof hasher->pieces / sizeof hasher->pieces[0]);
    hasher->pieces[hasher->n++] = (struct piece){.bytes = bytes, .len = len};
    pthread_cond_broadcast(&hasher->changed);
    pthread_mutex_unlock(&hasher->mutex);
}

/* What waits is hashed first, or dropped. */
static void stop_thread(struct hasher *hasher, bool drop)
{
    if (hasher->runs) {
        pthread_mutex_lock(&hasher->mutex);
        hasher->ends = true;
        hasher->n = drop && hasher->n > 1 ? 1 : hasher->n; /* the first one may be in work */
        pthread_cond_broadcast(&hasher->changed);
        pthread_mutex_unlock(&hasher->mutex);
        pthread_join(hasher->thread, NULL);
        hasher->runs = false;
    }
}

static enum trib_status hasher_init(struct hasher *hasher, struct trib_error *error)
{
    hasher->sha = trib_sha256_new();
    if (!hasher->sha) {
        return trib_fail_no_memory(error);
    }
    pthread_mutex_init(&hasher->mutex, NULL);
    pthread_cond_init(&hasher->changed, NULL);
    return TRIB_OK;
}

static void hasher_clear(struct hasher *hasher)
{
    if (hasher->sha) {
        stop_thread(hasher, true);
        pthread_mutex_destroy(&hasher->mutex);
        pthread_cond_destroy(&hasher->changed);
        trib_sha256_free(hasher->sha);
    }
}

/* ---- writing ---- */

/* The file that it wrote has gone to its place already, or goes now. */
static void writer_free(struct trib_blob_writer *writer)
{
    if (writer->fd >= 0) {
        trib_disk_close(writer->fd);
        trib_disk_unlink(writer->path);
    }
    hasher_clear(&writer->hasher);
    trib_free(writer->path);
    trib_free(writer);
}

static enum trib_status open_file(struct trib_blob_writer *writer, uint64_t len, struct trib_error *error)
{
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, writer->blobs->written++);
    writer->path = trib_path_join(writer->blobs->tmp, name);
    if (!writer->path) {
        return trib_fail_no_memory(error);
    }
    writer->fd = trib_disk_open(writer->path, O_RDWR | O_CREAT | O_EXCL, 0640);
    if (writer->fd < 0) {
        return trib_fail_errno(error, errno, "%s: cannot be made", writer->path);
    }
    if (len > 0 && trib_disk_reserve(writer->fd, len) != 0) {
        return trib_fail_errno(error, errno, "%s: no room for %" PRIu64 " bytes", writer->path, len);
    }
    writer->reserved = len;
    return TRIB_OK;
}

enum trib_status trib_blob_writer_begin(struct trib_blobs *blobs, uint64_t len, struct trib_blob_writer **writer,
                                        struct trib_error *error)
{
    struct trib_blob_writer *begun = trib_calloc(1, sizeof *begun);
    if (!begun) {
        return trib_fail_no_memory(error);
    }
    begun->blobs = blobs;
    begun->fd = -1;
    enum trib_status status = hasher_init(&begun->hasher, error);
    if (status == TRIB_OK) {
        status = open_file(begun, len, error);
    }
    if (status != TRIB_OK) {
        writer_free(begun);
        return status;
    }
    *writer = begun;
    return TRIB_OK;
}

enum trib_status trib_blob_writer_add(struct trib_blob_writer *writer, const void *bytes, size_t len,
                                      struct trib_error *error)
{
    if (len == 0) {
        return TRIB_OK;
    }
    hash_piece(&writer->hasher, bytes, len); /* begins here, and goes on while this thread writes */
    TRIB_TRY(trib_file_pwrite(writer->fd, bytes, len, writer->len, writer->path, error));
    writer->len += len;
    return TRIB_OK;
}

void trib_blob_writer_abort(struct trib_blob_writer *writer)
{
    if (writer) {
        writer_free(writer);
    }
}

/* Room that was asked for and not used is given back. */
static enum trib_status sync_file(struct trib_blob_writer *writer, struct trib_error *error)
{
    if (writer->synced) {
        return TRIB_OK;
    }
    if (writer->reserved > writer->len && trib_disk_truncate(writer->fd, writer->len) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be cut to %" PRIu64 " bytes", writer->path, writer->len);
    }
    if (trib_disk_sync(writer->fd) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be synced", writer->path);
    }
    writer->synced = true;
    return TRIB_OK;
}

static enum trib_status make_folder(struct trib_blobs *blobs, uint8_t first, struct trib_error *error)
{
    char name[3];
    if (blobs->made[first]) {
        return TRIB_OK;
    }
    trib_hex_encode(&first, 1, name);
    char *path = trib_path_join(blobs->dir, name);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    if (trib_disk_mkdir(path, 0750) != 0 && errno != EEXIST) {
        status = trib_fail_errno(error, errno, "%s: the folder cannot be made", path);
    } else {
        blobs->made[first] = true;
        blobs->folders_unsynced = true; /* also one that was there: a crash may have come before its sync */
    }
    trib_free(path);
    return status;
}

/* Give the file its name, unless a blob has it already. */
static enum trib_status name_file(struct trib_blob_writer *writer, const struct trib_blob_name *name,
                                  struct trib_error *error)
{
    struct trib_disk_info info;
    TRIB_TRY(make_folder(writer->blobs, name->sha256[0], error));
    char *path = trib_blobs_path(writer->blobs, name->sha256);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    if (trib_disk_path_info(path, &info) != 0 || info.len != name->len) {
        status = sync_file(writer, error);
        if (status == TRIB_OK && trib_disk_rename(writer->path, path) != 0) {
            status = trib_fail_errno(error, errno, "%s: cannot be renamed to %s", writer->path, path);
        }
        if (status == TRIB_OK) {
            trib_disk_close(writer->fd);
            writer->fd = -1;
        }
    }
    if (status == TRIB_OK) {
        writer->blobs->unsynced[name->sha256[0]] = true;
    }
    trib_free(path);
    return status;
}

enum trib_status trib_blob_writer_end(struct trib_blob_writer *writer, struct trib_blob_name *name,
                                      struct trib_error *error)
{
    struct trib_blob_name made = {.len = writer->len};
    struct hasher *hasher = &writer->hasher;
    /* The disk works while the rest is hashed; a small one may turn out to be there already. */
    enum trib_status status = hasher->runs ? sync_file(writer, error) : TRIB_OK;
    stop_thread(hasher, status != TRIB_OK);
    if (status == TRIB_OK) {
        status = hasher->status == TRIB_OK ? trib_sha256_finish(hasher->sha, made.sha256) : hasher->status;
        status = status == TRIB_OK ? name_file(writer, &made, error)
                                   : trib_fail(error, status, "%s: cannot be hashed", writer->path);
    }
    writer_free(writer);
    if (status == TRIB_OK) {
        *name = made;
    }
    return status;
}

enum trib_status trib_blobs_put(struct trib_blobs *blobs, const void *bytes, size_t len, struct trib_blob_name *name,
                                struct trib_error *error)
{
    struct trib_blob_writer *writer;
    TRIB_TRY(trib_blob_writer_begin(blobs, len, &writer, error));
    enum trib_status status = trib_blob_writer_add(writer, bytes, len, error);
    if (status != TRIB_OK) {
        trib_blob_writer_abort(writer);
        return status;
    }
    return trib_blob_writer_end(writer, name, error);
}
