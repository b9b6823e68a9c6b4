/* Uploads in flight. */
#include "uploads_private.h"

#include "base/crc.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "crypto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum trib_status trib_uploads_new(const char *state_dir, trib_upload_ended *ended, void *context,
                                  struct trib_uploads **table, struct trib_error *error)
{
    struct trib_uploads *made = trib_calloc(1, sizeof *made);
    enum trib_status status = made ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK && state_dir) {
        made->dir = trib_path_join(state_dir, "uploads");
        status = made->dir ? trib_dir_make(made->dir, error) : trib_fail_no_memory(error);
    }
    if (status != TRIB_OK) {
        trib_free(made ? made->dir : NULL);
        trib_free(made);
        return status;
    }
    pthread_mutex_init(&made->mutex, NULL);
    made->ended = ended;
    made->context = context;
    *table = made;
    return TRIB_OK;
}

static void let_go_of_all(struct trib_uploads *table)
{
    pthread_mutex_lock(&table->mutex);
    struct trib_upload *upload = table->first;
    table->first = NULL;
    pthread_mutex_unlock(&table->mutex);
    while (upload) {
        struct trib_upload *next = upload->next;
        atomic_store(&upload->cancelled, true);
        trib_upload_unref(upload);
        upload = next;
    }
}

void trib_uploads_free(struct trib_uploads *table)
{
    if (table) {
        let_go_of_all(table);
        pthread_mutex_destroy(&table->mutex);
        trib_free(table->dir);
        trib_free(table);
    }
}

void trib_uploads_name_run(struct trib_uploads *table, const char *run)
{
    trib_str_copy(table->run, sizeof table->run, run);
}

void trib_upload_name(const char *node, const uint8_t sha256[32], char name[TRIB_UPLOAD_NAME_LEN])
{
    uint8_t hash[8];
    trib_store_u64(hash, trib_hash64(node, strlen(node), 0));
    trib_hex_encode(hash, sizeof hash, name);
    name[16] = '-';
    trib_hex_encode(sha256, TRIB_SHA256_LEN, name + 17);
}

static enum trib_status open_memory(int *fd, struct trib_error *error)
{
    *fd = memfd_create("upload", MFD_CLOEXEC);
    return *fd >= 0 ? TRIB_OK : trib_fail_errno(error, errno, "memory for an upload");
}

/* Its file, with what is there of it already. */
static enum trib_status open_file(const struct trib_uploads *table, struct trib_upload *upload,
                                  const uint8_t sha256[32], uint64_t *found, struct trib_error *error)
{
    char name[TRIB_UPLOAD_NAME_LEN];
    struct trib_disk_info info;
    trib_upload_name(upload->node, sha256, name);
    upload->path = trib_path_join(table->dir, name);
    if (!upload->path) {
        return trib_fail_no_memory(error);
    }
    upload->fd = trib_disk_open(upload->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (upload->fd < 0) {
        return trib_fail_errno(error, errno, "%s: cannot be opened", upload->path);
    }
    if (trib_disk_fd_info(upload->fd, &info) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be examined", upload->path);
    }
    *found = info.len;
    return TRIB_OK;
}

static struct trib_upload *find_client(struct trib_uploads *table, uint32_t client)
{
    struct trib_upload *upload = table->first;
    while (upload && upload->client != client) {
        upload = upload->next;
    }
    return upload;
}

/* Whether this client's earlier upload of the same blob can go on; then *offset is where. *left: it could, but for a
 * call that still has it: the client is here again before its dead connection was noticed. */
static bool resume_upload(struct trib_uploads *table, uint32_t client, uint64_t round, uint64_t attempt,
                          const uint8_t sha256[32], uint64_t len, uint64_t *offset, bool *left)
{
    pthread_mutex_lock(&table->mutex);
    const struct trib_upload *upload = find_client(table, client);
    bool same = upload && upload->round == round && upload->attempt == attempt && upload->receiver.blob_len == len &&
                memcmp(upload->receiver.sha256, sha256, TRIB_SHA256_LEN) == 0;
    bool taken = same && upload->open && !atomic_load(&upload->complete);
    if (same && !taken) {
        *offset = upload->receiver.received;
    }
    pthread_mutex_unlock(&table->mutex);
    *left = taken;
    return same && !taken;
}

/* With one reference. *found: bytes that an earlier process has left of it. */
static enum trib_status new_upload(struct trib_uploads *table, const char *node, uint32_t client,
                                   const uint8_t sha256[32], uint64_t len, struct trib_upload **made, uint64_t *found,
                                   struct trib_error *error)
{
    struct trib_upload *upload = trib_calloc(1, sizeof *upload);
    if (!upload) {
        return trib_fail_no_memory(error);
    }
    upload->table = table;
    upload->client = client;
    upload->fd = -1;
    atomic_init(&upload->refs, 1);
    trib_str_copy(upload->node, sizeof upload->node, node);
    *found = 0;
    enum trib_status status = trib_chunk_receiver_init(&upload->receiver, sha256, len, error);
    if (status == TRIB_OK) {
        status = table->dir ? open_file(table, upload, sha256, found, error) : open_memory(&upload->fd, error);
    }
    if (status != TRIB_OK) {
        trib_upload_unref(upload);
        return status;
    }
    *made = upload;
    return TRIB_OK;
}

static void put_first(struct trib_uploads *table, struct trib_upload *upload, uint64_t round, uint64_t attempt)
{
    upload->round = round;
    upload->attempt = attempt;
    pthread_mutex_lock(&table->mutex);
    upload->next = table->first;
    table->first = upload;
    pthread_mutex_unlock(&table->mutex);
}

/* What is there is hashed anew each time, on a thread of the transport's: a client that makes that happen again and
 * again sends all of it again. */
enum { MOST_TAKEN_OVER = 8 };

enum trib_status trib_uploads_grant(struct trib_uploads *table, const char *node, uint32_t client, uint64_t round,
                                    uint64_t attempt, const uint8_t sha256[32], uint64_t len, uint64_t *offset,
                                    struct trib_error *error)
{
    bool left;
    if (resume_upload(table, client, round, attempt, sha256, len, offset, &left)) {
        return TRIB_OK;
    }
    struct trib_upload *upload = left ? trib_uploads_take(table, client) : NULL;
    unsigned taken_over = upload ? upload->taken_over + 1 : 0;
    if (upload) { /* the call is told at its next chunk; what it still writes is of the same blob */
        atomic_store(&upload->cancelled, true);
        if (taken_over > MOST_TAKEN_OVER) {
            trib_upload_unwanted(upload);
        }
        trib_upload_unref(upload);
        upload = NULL;
    } else {
        trib_uploads_discard(table, client);
    }
    uint64_t found = 0;
    TRIB_TRY(new_upload(table, node, client, sha256, len, &upload, &found, error));
    /* The end is sent again in any case: so it always is an upload that completes it. */
    upload->receiver.received = found < len ? found : len - 1;
    upload->found = upload->doubted = upload->receiver.received > 0;
    upload->taken_over = taken_over;
    *offset = upload->receiver.received;
    put_first(table, upload, round, attempt);
    return TRIB_OK;
}

struct trib_upload *trib_uploads_take(struct trib_uploads *table, uint32_t client)
{
    pthread_mutex_lock(&table->mutex);
    struct trib_upload **link = &table->first;
    while (*link && (*link)->client != client) {
        link = &(*link)->next;
    }
    struct trib_upload *upload = *link;
    if (upload) {
        *link = upload->next;
        upload->next = NULL;
    }
    pthread_mutex_unlock(&table->mutex);
    return upload;
}

struct trib_upload *trib_uploads_take_complete(struct trib_uploads *table, uint32_t client)
{
    struct trib_upload *upload = trib_uploads_take(table, client);
    if (upload && !atomic_load(&upload->complete)) {
        atomic_store(&upload->cancelled, true);
        trib_upload_unwanted(upload);
        trib_upload_unref(upload);
        return NULL;
    }
    return upload;
}

bool trib_uploads_holds(struct trib_uploads *table, const struct trib_upload *upload)
{
    pthread_mutex_lock(&table->mutex);
    bool holds = upload && find_client(table, upload->client) == upload;
    pthread_mutex_unlock(&table->mutex);
    return holds;
}

void trib_uploads_discard(struct trib_uploads *table, uint32_t client)
{
    struct trib_upload *upload = trib_uploads_take(table, client);
    if (upload) {
        atomic_store(&upload->cancelled, true);
        trib_upload_unwanted(upload);
        trib_upload_unref(upload);
    }
}

void trib_upload_unwanted(struct trib_upload *upload)
{
    if (upload->path) {
        (void)trib_disk_unlink(upload->path); /* one that is left is swept away at the next start */
    }
}

struct trib_upload_owner trib_upload_owner(const struct trib_upload *upload)
{
    return (struct trib_upload_owner){.client = upload->client, .round = upload->round, .attempt = upload->attempt};
}

struct trib_upload *trib_upload_ref(struct trib_upload *upload)
{
    atomic_fetch_add(&upload->refs, 1);
    return upload;
}

void trib_upload_unref(struct trib_upload *upload)
{
    if (upload && atomic_fetch_sub(&upload->refs, 1) == 1) {
        if (upload->path && upload->fd >= 0) {
            (void)trib_disk_close(upload->fd);
        } else if (upload->fd >= 0) {
            close(upload->fd);
        }
        trib_free(upload->path);
        trib_chunk_receiver_clear(&upload->receiver);
        trib_free(upload);
    }
}

static enum trib_status read_spool(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    const struct trib_upload *upload = context;
    if (upload->path) {
        return trib_file_pread(upload->fd, to, len, offset, upload->path, error);
    }
    ssize_t got = pread(upload->fd, to, len, (off_t)offset);
    return got == (ssize_t)len ? TRIB_OK : trib_fail_errno(error, got < 0 ? errno : EIO, "an upload in memory");
}

static enum trib_status write_spool(struct trib_upload *upload, const uint8_t *piece, size_t len,
                                    struct trib_error *error)
{
    if (upload->path) {
        return trib_file_pwrite(upload->fd, piece, len, upload->piece_offset, upload->path, error);
    }
    ssize_t put = pwrite(upload->fd, piece, len, (off_t)upload->piece_offset);
    return put == (ssize_t)len ? TRIB_OK : trib_fail_errno(error, put < 0 ? errno : ENOSPC, "an upload in memory");
}

/* The hash of what an earlier process has received. */
static enum trib_status hash_found(struct trib_upload *upload, uint64_t len, struct trib_error *error)
{
    enum { PIECE = 1 << 18 };
    uint8_t *piece = trib_malloc(PIECE);
    enum trib_status status = piece ? TRIB_OK : trib_fail_no_memory(error);
    for (uint64_t at = 0; status == TRIB_OK && at < len; at += PIECE) {
        size_t n = len - at < PIECE ? (size_t)(len - at) : PIECE;
        status = read_spool(upload, at, piece, n, error);
        if (status == TRIB_OK) {
            status = trib_chunk_receiver_hash(&upload->receiver, piece, n, error);
        }
    }
    trib_free(piece);
    return status;
}

/* From the beginning: what was found is of no use. */
static enum trib_status start_over(struct trib_upload *upload, struct trib_error *error)
{
    struct trib_chunk_receiver fresh;
    TRIB_TRY(trib_chunk_receiver_init(&fresh, upload->receiver.sha256, upload->receiver.blob_len, error));
    struct trib_chunk_receiver former = upload->receiver;
    pthread_mutex_lock(&upload->table->mutex); /* a grant looks at what it is to receive */
    upload->receiver = fresh;
    pthread_mutex_unlock(&upload->table->mutex);
    trib_chunk_receiver_clear(&former);
    upload->found = upload->doubted = false;
    return TRIB_OK;
}

enum trib_status trib_uploads_recover(struct trib_uploads *table, const char *node, uint32_t client,
                                      const uint8_t sha256[32], uint64_t len, struct trib_upload **result,
                                      struct trib_error *error)
{
    struct trib_upload *upload = NULL;
    uint64_t found = 0;
    uint8_t digest[TRIB_SHA256_LEN];
    if (!table->dir || len == 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "no upload was kept");
    }
    TRIB_TRY(new_upload(table, node, client, sha256, len, &upload, &found, error));
    enum trib_status status =
        found < len ? trib_fail(error, TRIB_NOT_FOUND, "%s: %" PRIu64 " of %" PRIu64 " bytes", upload->path, found, len)
                    : hash_found(upload, len, error);
    if (status == TRIB_OK && trib_sha256_finish(upload->receiver.hash, digest) != TRIB_OK) {
        status = trib_fail(error, TRIB_INTERNAL, "hashing failed");
    } else if (status == TRIB_OK && memcmp(digest, sha256, sizeof digest) != 0) {
        status = trib_fail(error, TRIB_CORRUPT, "%s: its SHA-256 is not that of the upload", upload->path);
        trib_upload_unwanted(upload);
    } else if (found == 0) {
        trib_upload_unwanted(upload); /* it was made just now */
    }
    if (status != TRIB_OK) {
        trib_upload_unref(upload);
        return status;
    }
    upload->receiver.received = len;
    upload->receiver.complete = true;
    atomic_store(&upload->complete, true);
    *result = upload;
    return TRIB_OK;
}

void trib_uploads_put(struct trib_uploads *table, struct trib_upload *upload, uint64_t round, uint64_t attempt)
{
    put_first(table, upload, round, attempt);
}

void trib_uploads_remove(struct trib_uploads *table, const char *node, const uint8_t sha256[32])
{
    char name[TRIB_UPLOAD_NAME_LEN];
    trib_upload_name(node, sha256, name);
    char *path = table->dir ? trib_path_join(table->dir, name) : NULL;
    if (path) {
        (void)trib_disk_unlink(path);
    }
    trib_free(path);
}

struct sweep {
    struct trib_uploads *table;
    bool (*keep)(void *context, const char *name);
    void *context;
};

static bool sweep_one(void *context, const char *name)
{
    const struct sweep *sweep = context;
    char *path = sweep->keep(sweep->context, name) ? NULL : trib_path_join(sweep->table->dir, name);
    if (path) {
        (void)trib_disk_unlink(path);
    }
    trib_free(path);
    return true;
}

void trib_uploads_sweep(struct trib_uploads *table, bool (*keep)(void *context, const char *name), void *context)
{
    struct sweep sweep = {.table = table, .keep = keep, .context = context};
    if (table->dir) {
        (void)trib_disk_list(table->dir, sweep_one, &sweep);
    }
}

static enum trib_status open_granted(struct trib_uploads *table, const char *node, const struct trib_chunk *first,
                                     struct trib_upload **result, struct trib_error *error)
{
    enum trib_status status = TRIB_OK;
    pthread_mutex_lock(&table->mutex);
    struct trib_upload *upload = table->first;
    while (upload && strcmp(upload->node, node) != 0) {
        upload = upload->next;
    }
    if (!upload) {
        status = trib_fail(error, TRIB_NOT_FOUND, "no upload was granted to node %s", node);
    } else if (strcmp(first->run, table->run) != 0 || first->round != upload->round) {
        status = trib_fail(error, TRIB_MISMATCH,
                           "upload for run \"%s\" round %" PRIu64 "; granted was run \"%s\" round %" PRIu64, first->run,
                           first->round, table->run, upload->round);
    } else if (upload->open) {
        status = trib_fail(error, TRIB_EXISTS, "another call is sending this upload");
    } else {
        upload->open = true;
        atomic_fetch_add(&upload->refs, 1);
        *result = upload;
    }
    pthread_mutex_unlock(&table->mutex);
    return status;
}

enum trib_status trib_uploads_open(struct trib_uploads *table, const char *node, const struct trib_chunk *first,
                                   struct trib_upload **result, struct trib_error *error)
{
    struct trib_upload *upload = NULL;
    enum trib_status status = open_granted(table, node, first, &upload, error);
    if (status != TRIB_OK || !upload) {
        return status;
    }
    if (upload->found && hash_found(upload, upload->receiver.received, error) != TRIB_OK) {
        (void)start_over(upload, error);
        (void)trib_fail(error, TRIB_UNAVAILABLE, "what was received before a restart cannot be read; send all of it");
        trib_upload_close(upload, error);
        return TRIB_UNAVAILABLE;
    }
    upload->found = false;
    *result = upload;
    return TRIB_OK;
}

enum trib_status trib_upload_begin(struct trib_upload *upload, const struct trib_chunk *chunk, struct trib_error *error)
{
    if (atomic_load(&upload->cancelled)) {
        return trib_fail(error, TRIB_CANCELLED, "the round went on without this upload");
    }
    upload->crc = 0;
    upload->piece_offset = chunk->offset;
    return trib_chunk_receiver_begin(&upload->receiver, chunk, error);
}

enum trib_status trib_upload_piece(struct trib_upload *upload, const uint8_t *piece, size_t len,
                                   struct trib_error *error)
{
    upload->crc = trib_crc32c(upload->crc, piece, len);
    TRIB_TRY(trib_chunk_receiver_hash(&upload->receiver, piece, len, error));
    TRIB_TRY(write_spool(upload, piece, len, error));
    upload->piece_offset += len;
    return TRIB_OK;
}

enum trib_status trib_upload_end(struct trib_upload *upload, const struct trib_chunk *chunk, bool *complete,
                                 struct trib_error *error)
{
    enum trib_status status = trib_chunk_receiver_end(&upload->receiver, chunk, upload->crc, error);
    if (status == TRIB_CORRUPT && upload->doubted && chunk->last && upload->crc == chunk->crc32c) {
        /* Not its sender's fault: a loss of power has spoilt what was here before. */
        TRIB_TRY(start_over(upload, error));
        return trib_fail(error, TRIB_UNAVAILABLE, "what was received before a restart was damaged; send all of it");
    }
    TRIB_TRY(status);
    *complete = upload->receiver.complete;
    if (*complete) {
        atomic_store(&upload->complete, true);
        upload->table->ended(upload->table->context, upload, NULL);
    }
    return TRIB_OK;
}

uint64_t trib_upload_received(const struct trib_upload *upload)
{
    return upload->receiver.received;
}

/* Is it the sender's doing? Not that a connection broke, nor trouble of this machine's own: it may try again. */
static bool is_breach(enum trib_status status)
{
    return status != TRIB_CANCELLED && status != TRIB_UNAVAILABLE && status != TRIB_NO_SPACE && status != TRIB_IO &&
           status != TRIB_NO_MEMORY;
}

void trib_upload_close(struct trib_upload *upload, const struct trib_error *fault)
{
    if (fault) {
        trib_log_error(TRIB_LOG_WARN, "upload", "upload_broken", fault, TRIB_F_STR("node", upload->node),
                       TRIB_F_INT("round", upload->round), TRIB_F_INT("received", upload->receiver.received));
        if (is_breach(fault->status) && !atomic_load(&upload->cancelled)) {
            upload->table->ended(upload->table->context, upload, fault);
        }
    }
    pthread_mutex_lock(&upload->table->mutex);
    upload->open = false;
    pthread_mutex_unlock(&upload->table->mutex);
    trib_upload_unref(upload);
}

struct trib_frame_source trib_upload_source(struct trib_upload *upload)
{
    return (struct trib_frame_source){.read = read_spool, .context = upload, .len = upload->receiver.blob_len};
}
