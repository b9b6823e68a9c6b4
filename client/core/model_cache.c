/* The held model: its file, and the chain of deltas that is added to it. */
#include "client/model_cache.h"
#include "base/clones.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { PIECE = 1 << 20, NOTE_LEN = 80, NOTE_VERSION = 8, NOTE_SHA256 = 16, NOTE_RUN = 48 };
static const char file_name[] = "model.frame", component[] = "client";

void trib_model_delivery_clear(struct trib_model_delivery *delivery)
{
    for (size_t i = 0; i < delivery->n_spools; i++) {
        trib_model_spool_free(delivery->spools[i]);
    }
    *delivery = (struct trib_model_delivery){0};
}

/* ---- the note behind the frame ---- */

static void write_note(const struct trib_held_model *held, uint8_t note[NOTE_LEN])
{
    memset(note, 0, NOTE_LEN);
    memcpy(note, "THM1", 4);
    trib_store_u64(note + NOTE_VERSION, held->version);
    memcpy(note + NOTE_SHA256, held->sha256, sizeof held->sha256);
    memcpy(note + NOTE_RUN, held->run, strlen(held->run));
}

/* False when it is no note. */
static bool read_note(const uint8_t note[NOTE_LEN], struct trib_held_model *held)
{
    *held = (struct trib_held_model){.version = trib_load_u64(note + NOTE_VERSION)};
    memcpy(held->sha256, note + NOTE_SHA256, sizeof held->sha256);
    memcpy(held->run, note + NOTE_RUN, NOTE_LEN - NOTE_RUN);
    return memcmp(note, "THM1", 4) == 0;
}

/* The length of the file's frame and what it is. TRIB_NOT_FOUND: there is no such file, or it cannot be read;
 * TRIB_UNSUPPORTED: it is something else. */
static enum trib_status peek(const char *path, uint64_t *frame_len, struct trib_held_model *held)
{
    struct trib_disk_info info;
    uint8_t note[NOTE_LEN];
    struct trib_model_spool *spool = NULL;
    if (trib_disk_path_info(path, &info) != 0) {
        return TRIB_NOT_FOUND;
    }
    if (info.len <= NOTE_LEN) {
        return TRIB_UNSUPPORTED;
    }
    if (trib_model_spool_open(path, info.len, &spool, NULL) != TRIB_OK) {
        return TRIB_NOT_FOUND;
    }
    *frame_len = info.len - NOTE_LEN;
    const struct trib_frame_source source = trib_model_spool_source(spool);
    enum trib_status status = source.read(source.context, *frame_len, note, sizeof note, NULL);
    trib_model_spool_free(spool);
    if (status != TRIB_OK) {
        return TRIB_NOT_FOUND;
    }
    return read_note(note, held) ? TRIB_OK : TRIB_UNSUPPORTED;
}

void trib_model_cache_peek(const char *dir, struct trib_held_model *held)
{
    uint64_t frame_len;
    char *path = !dir ? NULL : trib_path_join(dir, file_name);
    if (!path || peek(path, &frame_len, held) != TRIB_OK) {
        *held = (struct trib_held_model){0};
    }
    trib_free(path);
}

/* ---- the file ---- */

/* Each piece of a frame in turn. */
typedef enum trib_status (*piece_visit)(void *context, const void *piece, size_t len, struct trib_error *error);
static enum trib_status each_piece(struct trib_model_spool *spool, piece_visit visit, void *context,
                                   struct trib_error *error)
{
    const struct trib_frame_source source = trib_model_spool_source(spool);
    if (source.memory) {
        return visit(context, source.memory, (size_t)source.len, error);
    }
    uint8_t *piece = trib_malloc(PIECE);
    enum trib_status status = !piece ? trib_fail_no_memory(error) : TRIB_OK;
    for (uint64_t offset = 0; status == TRIB_OK && offset < source.len; offset += PIECE) {
        size_t len = source.len - offset < PIECE ? (size_t)(source.len - offset) : PIECE;
        status = source.read(source.context, offset, piece, len, error);
        if (status == TRIB_OK) {
            status = visit(context, piece, len, error);
        }
    }
    trib_free(piece);
    return status;
}

static enum trib_status write_piece(void *context, const void *piece, size_t len, struct trib_error *error)
{
    return trib_file_writer_add(context, piece, len, error);
}

static enum trib_status hash_piece(void *context, const void *piece, size_t len, struct trib_error *error)
{
    enum trib_status status = trib_sha256_add(context, piece, len);
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, status, "hashing failed");
}

static enum trib_status check_hash(struct trib_model_spool *spool, const uint8_t sha256[32], struct trib_error *error)
{
    uint8_t digest[32];
    struct trib_sha256 *hash = trib_sha256_new();
    if (!hash) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = each_piece(spool, hash_piece, hash, error);
    if (status == TRIB_OK && trib_sha256_finish(hash, digest) != TRIB_OK) {
        status = trib_fail(error, TRIB_INTERNAL, "hashing failed");
    }
    trib_sha256_free(hash);
    if (status == TRIB_OK && memcmp(digest, sha256, sizeof digest) != 0) {
        status = trib_fail(error, TRIB_CORRUPT, "its SHA-256 is not the one that it states");
    }
    return status;
}

static enum trib_status write_file(const char *path, const uint8_t note[NOTE_LEN], struct trib_model_spool *spool,
                                   struct trib_error *error)
{
    char *dir = trib_path_dir(path);
    enum trib_status status = !dir ? trib_fail_no_memory(error) : trib_dir_make(dir, error);
    trib_free(dir);
    TRIB_TRY(status);
    struct trib_file_writer writer;
    TRIB_TRY(trib_file_writer_open(&writer, path, error));
    status = each_piece(spool, write_piece, &writer, error);
    if (status == TRIB_OK) {
        status = trib_file_writer_add(&writer, note, NOTE_LEN, error);
    }
    if (status == TRIB_OK) {
        status = trib_file_writer_commit(&writer, error);
    }
    trib_file_writer_abort(&writer);
    return status;
}

static uint64_t len_of(const char *path)
{
    struct trib_disk_info info;
    return trib_disk_path_info(path, &info) == 0 ? info.len : 0;
}

/* Beside the file that is there, or, where the owner leaves no room for both, in its stead. */
static enum trib_status find_room(struct trib_model_cache *cache, uint64_t len, struct trib_error *error)
{
    if (trib_disk_budget_set(cache->budget, TRIB_DISK_MODEL, len + len_of(cache->path), NULL) == TRIB_OK) {
        return TRIB_OK;
    }
    (void)trib_disk_unlink(cache->path);
    trib_disk_budget_note(cache->budget, TRIB_DISK_MODEL, 0);
    return trib_disk_budget_set(cache->budget, TRIB_DISK_MODEL, len, error);
}

/* Write the frame and its note to the file, and read it from there from now on. A download's own file becomes it. */
static enum trib_status save(struct trib_model_cache *cache, struct trib_model_spool **spool, struct trib_error *error)
{
    uint8_t note[NOTE_LEN];
    const uint64_t len = trib_model_spool_source(*spool).len;
    write_note(&cache->held, note);
    enum trib_status status = trib_model_spool_settle(*spool, cache->path, note, sizeof note, NULL);
    if (status != TRIB_OK) {
        TRIB_TRY(find_room(cache, len + NOTE_LEN, error));
        status = write_file(cache->path, note, *spool, error);
    }
    trib_disk_budget_note(cache->budget, TRIB_DISK_MODEL, len_of(cache->path));
    TRIB_TRY(status);
    struct trib_model_spool *saved = NULL;
    TRIB_TRY(trib_model_spool_open(cache->path, len, &saved, error));
    trib_model_spool_free(*spool);
    *spool = saved;
    return TRIB_OK;
}

/* What a crash has left of a file that was being written. */
static void remove_half_written(const char *path)
{
    char *temporary = trib_asprintf("%s.tmp", path);
    if (temporary) {
        (void)trib_disk_unlink(temporary);
    }
    trib_free(temporary);
}

/* Its room, and its frame's hash. */
static enum trib_status check_file(const struct trib_model_cache *cache, uint64_t len,
                                   const struct trib_held_model *held, struct trib_error *fault)
{
    TRIB_TRY(trib_disk_budget_set(cache->budget, TRIB_DISK_MODEL, len + NOTE_LEN, fault));
    return check_hash(cache->spool, held->sha256, fault);
}

enum trib_status trib_model_cache_open(struct trib_model_cache *cache, const char *dir, struct trib_error *error)
{
    struct trib_error fault = {.message = ""};
    struct trib_held_model held;
    uint64_t len;
    char *path = trib_path_join(dir, file_name);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    trib_model_cache_close(cache);
    cache->path = path;
    remove_half_written(path);
    enum trib_status status = peek(path, &len, &held);
    if (status == TRIB_NOT_FOUND) {
        return TRIB_OK;
    }
    if (status == TRIB_OK) {
        TRIB_TRY(trib_model_spool_open(path, len, &cache->spool, error));
        status = check_file(cache, len, &held, &fault);
    } else {
        (void)trib_fail(&fault, status, "it is no held model of this version");
    }
    if (status != TRIB_OK) {
        trib_log(TRIB_LOG_WARN, component, "held_model_dropped", TRIB_F_STR("path", path),
                 TRIB_F_STR("reason", fault.message));
        trib_model_cache_drop(cache);
        return TRIB_OK;
    }
    cache->held = held;
    return TRIB_OK;
}

static void let_go(struct trib_model_cache *cache)
{
    trib_model_spool_free(cache->spool);
    cache->spool = NULL;
    cache->held = (struct trib_held_model){0};
}

void trib_model_cache_close(struct trib_model_cache *cache)
{
    let_go(cache);
    trib_free(cache->path);
    cache->path = NULL;
}

void trib_model_cache_drop(struct trib_model_cache *cache)
{
    let_go(cache);
    if (cache->path) {
        (void)trib_disk_unlink(cache->path);
    }
    trib_disk_budget_note(cache->budget, TRIB_DISK_MODEL, 0);
}

void trib_model_cache_put(struct trib_model_cache *cache, const struct trib_client_task *task,
                          struct trib_model_spool **spool)
{
    struct trib_error error;
    let_go(cache);
    (void)trib_str_copy(cache->held.run, sizeof cache->held.run, task->run);
    cache->held.version = task->model_version;
    memcpy(cache->held.sha256, task->model_sha256, sizeof cache->held.sha256);
    if (cache->path && save(cache, spool, &error) != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, component, "model_not_saved", &error);
    }
    cache->spool = *spool;
    *spool = NULL;
}

/* ---- adding up a chain ---- */

TRIB_CLONES
static void add(float *to, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] += values[i];
    }
}

static enum trib_status add_block(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    add((float *)context + first, values, n);
    return TRIB_OK;
}

/* The vector that the chain begins with. */
static enum trib_status load_base(const struct trib_model_cache *cache, const struct trib_schema *schema,
                                  const struct trib_client_task *task, const struct trib_model_delivery *delivery,
                                  float *vector, struct trib_error *error)
{
    if (delivery->route.way == TRIB_MODEL_INITIALISED) {
        trib_schema_initialise(schema, task->initialisation_seed, vector);
        return TRIB_OK;
    }
    if (!cache->spool || strcmp(cache->held.run, task->run) != 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "no model of this run is held any more");
    }
    const struct trib_frame_source source = trib_model_spool_source(cache->spool);
    const struct trib_frame_expect expect = {.kind = TRIB_FRAME_MODEL, .schema = schema->hash};
    return trib_frame_decode(&source, &expect, vector, schema->n_floats, error);
}

/* Those of the deltas that are newer than the base: what is held may have moved on since the route was chosen. */
static enum trib_status add_deltas(uint64_t version, const struct trib_schema *schema,
                                   const struct trib_client_task *task, const struct trib_model_delivery *delivery,
                                   struct trib_thread_pool *pool, float *vector, struct trib_error *error)
{
    const struct trib_frame_expect expect = {
        .kind = TRIB_FRAME_UPDATE, .schema = schema->hash, .n_elements = schema->n_floats};
    for (size_t i = 0; i < delivery->n_spools; i++) {
        uint64_t from = task->deltas[delivery->route.first_delta + i].from_version;
        if (from > version) {
            return trib_fail(error, TRIB_MISMATCH, "the deltas begin at version %llu, the held model is %llu",
                             (unsigned long long)from, (unsigned long long)version);
        }
        if (from == version) {
            const struct trib_frame_source source = trib_model_spool_source(delivery->spools[i]);
            enum trib_status status = trib_frame_walk(&source, &expect, pool, add_block, vector, NULL, error);
            if (status != TRIB_OK) {
                return trib_error_prefix(error, status, "the delta from version %llu", (unsigned long long)from);
            }
            version++;
        }
    }
    return TRIB_OK;
}

/* Fill the raw frame: `len` bytes, of which the vector begins at payload_offset. */
static enum trib_status fill_frame(const struct trib_model_cache *cache, const struct trib_schema *schema,
                                   const struct trib_client_task *task, const struct trib_model_delivery *delivery,
                                   struct trib_thread_pool *pool, uint8_t *frame, size_t payload_offset, size_t len,
                                   struct trib_error *error)
{
    uint8_t digest[32];
    float *vector = (float *)(void *)(frame + payload_offset);
    uint64_t version = delivery->route.way == TRIB_MODEL_INITIALISED ? 0 : cache->held.version;
    TRIB_TRY(load_base(cache, schema, task, delivery, vector, error));
    TRIB_TRY(add_deltas(version, schema, task, delivery, pool, vector, error));
    TRIB_TRY(trib_frame_seal_raw(TRIB_FRAME_MODEL, schema->hash, schema->n_floats, frame, len, error));
    if (trib_sha256(frame, len, digest) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    return memcmp(digest, task->model_sha256, sizeof digest) == 0
               ? TRIB_OK
               : trib_fail(error, TRIB_MISMATCH, "the deltas lead to another model than the server's");
}

enum trib_status trib_model_cache_build(struct trib_model_cache *cache, const struct trib_schema *schema,
                                        const struct trib_client_task *task, const struct trib_model_delivery *delivery,
                                        struct trib_thread_pool *pool, struct trib_error *error)
{
    size_t payload_offset = 0;
    size_t len = trib_frame_raw_len(schema->n_floats, &payload_offset);
    if (len == 0 || len != task->model_len) { /* before anything of that size is allocated */
        return trib_fail(error, TRIB_MISMATCH, "the task's model has %llu bytes, but its plan needs %zu",
                         (unsigned long long)task->model_len, len);
    }
    struct trib_blob *frame = trib_blob_new(len);
    if (!frame) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %zu bytes", len);
    }
    struct trib_model_spool *spool = trib_model_spool_adopt(frame);
    if (!spool) {
        trib_blob_unref(frame);
        return trib_fail_no_memory(error);
    }
    enum trib_status status =
        fill_frame(cache, schema, task, delivery, pool, trib_blob_fill(frame), payload_offset, len, error);
    if (status == TRIB_OK) {
        trib_model_cache_put(cache, task, &spool);
    }
    trib_model_spool_free(spool);
    return status;
}
