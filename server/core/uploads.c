/* Uploads in flight. */
#include "uploads.h"

#include "base/crc.h"
#include "crypto/hash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum trib_status trib_uploads_init(struct trib_uploads *table, const char *state_dir, const char *run,
                                   void (*ended)(void *context, struct trib_upload *upload,
                                                 const struct trib_error *fault),
                                   void *context, struct trib_error *error)
{
    memset(table, 0, sizeof *table);
    if (state_dir) {
        table->dir = trib_path_join(state_dir, "uploads");
        if (!table->dir) {
            return trib_fail_no_memory(error);
        }
        enum trib_status status = trib_dir_make(table->dir, error);
        if (status != TRIB_OK) {
            trib_free(table->dir);
            table->dir = NULL;
            return status;
        }
    }
    table->ready = true;
    pthread_mutex_init(&table->mutex, NULL);
    trib_str_copy(table->run, sizeof table->run, run);
    table->ended = ended;
    table->context = context;
    return TRIB_OK;
}

void trib_uploads_clear(struct trib_uploads *table)
{
    if (!table->ready) {
        return;
    }
    trib_uploads_discard_all(table);
    pthread_mutex_destroy(&table->mutex);
    trib_free(table->dir);
    table->dir = NULL;
    table->ready = false;
}

/* A file without a name, in memory without a folder: it vanishes with its last descriptor. */
static enum trib_status open_spool(const char *dir, int *fd, struct trib_error *error)
{
    if (!dir) {
        *fd = memfd_create("upload", MFD_CLOEXEC);
        return *fd >= 0 ? TRIB_OK : trib_fail_errno(error, errno, "memory for an upload");
    }
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0) {
        return TRIB_OK;
    }
    char *path = trib_path_join(dir, "upload-XXXXXX"); /* for file systems without O_TMPFILE */
    if (!path) {
        return trib_fail_no_memory(error);
    }
    *fd = mkostemp(path, O_CLOEXEC);
    enum trib_status status = *fd < 0 ? trib_fail_errno(error, errno, "%s", path) : TRIB_OK;
    if (*fd >= 0) {
        unlink(path);
    }
    trib_free(path);
    return status;
}

static struct trib_upload *find_client(struct trib_uploads *table, uint32_t client)
{
    struct trib_upload *upload = table->first;
    while (upload && upload->client != client) {
        upload = upload->next;
    }
    return upload;
}

/* Whether this client's earlier upload of the same blob can go on; then *offset is where. */
static bool resume_upload(struct trib_uploads *table, uint32_t client, uint64_t round, uint64_t attempt,
                          const uint8_t sha256[32], uint64_t len, uint64_t *offset)
{
    pthread_mutex_lock(&table->mutex);
    const struct trib_upload *upload = find_client(table, client);
    bool same = upload && !upload->open && upload->round == round && upload->attempt == attempt &&
                upload->receiver.blob_len == len && memcmp(upload->receiver.sha256, sha256, TRIB_SHA256_LEN) == 0;
    if (same) {
        *offset = upload->receiver.received;
    }
    pthread_mutex_unlock(&table->mutex);
    return same;
}

static struct trib_upload *new_upload(struct trib_uploads *table, const char *node, const uint8_t sha256[32],
                                      uint64_t len, struct trib_error *error)
{
    struct trib_upload *upload = trib_calloc(1, sizeof *upload);
    if (!upload) {
        (void)trib_fail_no_memory(error);
        return NULL;
    }
    upload->table = table;
    atomic_init(&upload->refs, 1);
    trib_str_copy(upload->node, sizeof upload->node, node);
    if (open_spool(table->dir, &upload->fd, error) != TRIB_OK ||
        trib_chunk_receiver_init(&upload->receiver, sha256, len, error) != TRIB_OK) {
        trib_upload_unref(upload);
        return NULL;
    }
    return upload;
}

enum trib_status trib_uploads_grant(struct trib_uploads *table, const char *node, uint32_t client, uint64_t round,
                                    uint64_t attempt, const uint8_t sha256[32], uint64_t len, uint64_t *offset,
                                    struct trib_error *error)
{
    if (resume_upload(table, client, round, attempt, sha256, len, offset)) {
        return TRIB_OK;
    }
    trib_uploads_discard(table, client);
    struct trib_error cause = {.status = TRIB_INTERNAL};
    struct trib_upload *upload = new_upload(table, node, sha256, len, &cause);
    if (!upload) {
        if (error) {
            *error = cause;
        }
        return cause.status;
    }
    upload->client = client;
    upload->round = round;
    upload->attempt = attempt;
    *offset = 0;
    pthread_mutex_lock(&table->mutex);
    upload->next = table->first;
    table->first = upload;
    pthread_mutex_unlock(&table->mutex);
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
        trib_upload_unref(upload);
    }
}

void trib_uploads_discard_all(struct trib_uploads *table)
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

struct trib_upload *trib_upload_ref(struct trib_upload *upload)
{
    atomic_fetch_add(&upload->refs, 1);
    return upload;
}

void trib_upload_unref(struct trib_upload *upload)
{
    if (upload && atomic_fetch_sub(&upload->refs, 1) == 1) {
        if (upload->fd >= 0) {
            close(upload->fd);
        }
        trib_chunk_receiver_clear(&upload->receiver);
        trib_free(upload);
    }
}

enum trib_status trib_uploads_open(struct trib_uploads *table, const char *node, const struct trib_chunk *first,
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
    TRIB_TRY(trib_file_pwrite(upload->fd, piece, len, upload->piece_offset, "upload", error));
    upload->piece_offset += len;
    return TRIB_OK;
}

enum trib_status trib_upload_end(struct trib_upload *upload, const struct trib_chunk *chunk, bool *complete,
                                 struct trib_error *error)
{
    TRIB_TRY(trib_chunk_receiver_end(&upload->receiver, chunk, upload->crc, error));
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

void trib_upload_close(struct trib_upload *upload, const struct trib_error *fault)
{
    if (fault) {
        trib_log_error(TRIB_LOG_WARN, "upload", "upload_broken", fault, TRIB_F_STR("node", upload->node),
                       TRIB_F_INT("round", upload->round), TRIB_F_INT("received", upload->receiver.received));
        bool connection = fault->status == TRIB_CANCELLED || fault->status == TRIB_UNAVAILABLE;
        if (!connection && !atomic_load(&upload->cancelled)) {
            upload->table->ended(upload->table->context, upload, fault);
        }
    }
    pthread_mutex_lock(&upload->table->mutex);
    upload->open = false;
    pthread_mutex_unlock(&upload->table->mutex);
    trib_upload_unref(upload);
}

static enum trib_status read_spool(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    const struct trib_upload *upload = context;
    return trib_file_pread(upload->fd, to, len, offset, "upload", error);
}

struct trib_frame_source trib_upload_source(struct trib_upload *upload)
{
    return (struct trib_frame_source){.read = read_spool, .context = upload, .len = upload->receiver.blob_len};
}
