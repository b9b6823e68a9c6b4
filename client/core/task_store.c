/* The finished update's file is written and read by one table of fields. */
#include "client/task_store.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/feedback_store.h"
#include "client/limits.h"
#include "client/model_spool.h"
#include "codec/sketch.h"
#include "crypto/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { VERSION = 1, RECORD_AT = 24, CRC_FROM = 12, HEAD_MAX = 1024 };
static const char magic[4] = "TRUP", file_name[] = "update", component[] = "client";

/* ---- the record ---- */

enum field_kind {
    NUMBER_4, /* u32, float, enum */
    NUMBER_8, /* u64, i64, double */
    FLAG,     /* bool, in a byte */
    BYTES,
    TEXT /* with its NUL, padded with zeros */
};
struct field {
    enum field_kind kind;
    size_t at, len;
    uint32_t below; /* of an enum; 0 = any number */
};
#define FIELD(kind_, member)                                                                                           \
    {                                                                                                                  \
        .kind = (kind_), .at = offsetof(struct trib_client_finished, member),                                          \
        .len = sizeof(((struct trib_client_finished *)NULL)->member)                                                   \
    }
#define ENUM(member, count)                                                                                            \
    {                                                                                                                  \
        .kind = NUMBER_4, .at = offsetof(struct trib_client_finished, member), .len = sizeof(uint32_t),                \
        .below = (count)                                                                                               \
    }
static const struct field fields[] = {
    FIELD(BYTES, update.sha256),
    FIELD(TEXT, task.run),
    FIELD(NUMBER_8, task.round),
    FIELD(NUMBER_8, task.model_version),
    FIELD(NUMBER_8, task.model_len),
    FIELD(BYTES, task.model_sha256),
    FIELD(BYTES, task.graph_sha256),
    FIELD(NUMBER_8, task.seed),
    FIELD(NUMBER_8, task.sketch_positions),
    FIELD(TEXT, task.codec.text),
    ENUM(task.feedback.kind, TRIB_FEEDBACK_DGC + 1),
    FIELD(NUMBER_8, task.feedback.momentum),
    ENUM(task.recipe.loss, TRIB_LOSS_COUNT),
    ENUM(task.recipe.optimizer, TRIB_OPTIMIZER_COUNT),
    FIELD(NUMBER_4, task.recipe.epochs),
    FIELD(NUMBER_4, task.recipe.batch_size),
    FIELD(NUMBER_4, task.recipe.max_steps),
    FIELD(NUMBER_4, task.recipe.learning_rate),
    FIELD(NUMBER_4, task.recipe.momentum),
    FIELD(NUMBER_4, task.recipe.weight_decay),
    FIELD(NUMBER_4, task.recipe.clip_norm),
    FIELD(NUMBER_4, task.recipe.proximal_mu),
    FIELD(NUMBER_8, update.result.examples),
    FIELD(NUMBER_8, update.result.steps),
    FIELD(NUMBER_8, update.result.examples_seen),
    FIELD(NUMBER_8, update.result.first_loss),
    FIELD(NUMBER_8, update.result.mean_loss),
    FIELD(NUMBER_8, update.result.accuracy),
    FIELD(NUMBER_8, update.result.ms),
    FIELD(FLAG, update.result.stopped_early),
    FIELD(NUMBER_8, update.norm),
    FIELD(TEXT, update.codec),
    FIELD(TEXT, update.codec_reason),
    FIELD(NUMBER_8, update.feedback_round),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };
_Static_assert(sizeof(enum trib_feedback_kind) == sizeof(uint32_t) && sizeof(enum trib_loss) == sizeof(uint32_t) &&
                   sizeof(enum trib_optimizer) == sizeof(uint32_t),
               "enums are read as four bytes");

static size_t head_len(void)
{
    size_t len = RECORD_AT;
    for (size_t i = 0; i < FIELDS; i++) {
        len += fields[i].len;
    }
    return len;
}

static void write_field(const struct field *field, const void *from, uint8_t *to)
{
    uint32_t four;
    uint64_t eight;
    switch (field->kind) {
    case NUMBER_4:
        memcpy(&four, from, sizeof four);
        trib_store_u32(to, four);
        break;
    case NUMBER_8:
        memcpy(&eight, from, sizeof eight);
        trib_store_u64(to, eight);
        break;
    case FLAG:
        *to = *(const bool *)from ? 1 : 0;
        break;
    case BYTES:
        memcpy(to, from, field->len);
        break;
    case TEXT:
        memset(to, 0, field->len);
        memcpy(to, from, strlen(from));
        break;
    }
}

/* False when such a value is never written. */
static bool read_field(const struct field *field, const uint8_t *from, void *to)
{
    uint32_t four;
    uint64_t eight;
    switch (field->kind) {
    case NUMBER_4:
        four = trib_load_u32(from);
        memcpy(to, &four, sizeof four);
        return field->below == 0 || four < field->below;
    case NUMBER_8:
        eight = trib_load_u64(from);
        memcpy(to, &eight, sizeof eight);
        return true;
    case FLAG:
        *(bool *)to = *from == 1;
        return *from <= 1;
    case BYTES:
        memcpy(to, from, field->len);
        return true;
    case TEXT:
        memcpy(to, from, field->len);
        return memchr(from, '\0', field->len);
    }
    return false;
}

static uint32_t sketch_len(const struct trib_client_update *update)
{
    return !update->sketch ? 0 : (uint32_t)trib_blob_len(update->sketch);
}

/* All that stands before the sketch. Returns its length. */
static size_t write_head(const struct trib_client_finished *finished, uint8_t head[HEAD_MAX])
{
    const struct trib_client_update *update = &finished->update;
    memcpy(head, magic, sizeof magic);
    trib_store_u32(head + 4, VERSION);
    trib_store_u32(head + 12, sketch_len(update));
    trib_store_u64(head + 16, trib_blob_len(update->frame));
    size_t at = RECORD_AT;
    for (size_t i = 0; i < FIELDS; i++) {
        write_field(&fields[i], (const char *)finished + fields[i].at, head + at);
        at += fields[i].len;
    }
    uint32_t crc = trib_crc32c(0, head + CRC_FROM, at - CRC_FROM);
    if (update->sketch) {
        crc = trib_crc32c(crc, trib_blob_data(update->sketch), trib_blob_len(update->sketch));
    }
    trib_store_u32(head + 8, crc);
    return at;
}

/* ---- reading ---- */

static bool is_sane(const struct trib_client_task *task)
{
    return task->run[0] != '\0' && task->round > 0 && task->model_len > 0 && task->model_len <= TRIB_MODEL_FRAME_MAX;
}

/* The record, and how long sketch and frame are. */
static enum trib_status read_head(const uint8_t *head, uint64_t len, struct trib_client_finished *finished,
                                  uint32_t *sketch, uint64_t *frame, struct trib_error *error)
{
    size_t at = RECORD_AT;
    bool sound = true;
    *sketch = trib_load_u32(head + 12);
    *frame = trib_load_u64(head + 16);
    for (size_t i = 0; i < FIELDS; i++) {
        sound = read_field(&fields[i], head + at, (char *)finished + fields[i].at) && sound;
        at += fields[i].len;
    }
    if (!sound || !is_sane(&finished->task)) {
        return trib_fail(error, TRIB_CORRUPT, "it is damaged: its record holds impossible values");
    }
    if (*sketch > TRIB_SKETCH_MAX_BYTES || *frame == 0 || *frame > TRIB_MODEL_FRAME_MAX ||
        len != at + *sketch + *frame) {
        return trib_fail(error, TRIB_CORRUPT, "it is damaged: %" PRIu64 " bytes do not fit its head", len);
    }
    return TRIB_OK;
}

static enum trib_status read_bytes(const struct trib_frame_source *source, uint64_t offset, void *to, size_t len,
                                   struct trib_error *error)
{
    if (source->memory) {
        memcpy(to, source->memory + offset, len);
        return TRIB_OK;
    }
    return source->read(source->context, offset, to, len, error);
}

static enum trib_status read_blob(const struct trib_frame_source *source, uint64_t offset, uint64_t len,
                                  struct trib_blob **blob, struct trib_error *error)
{
    *blob = trib_blob_new((size_t)len);
    if (!*blob) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for an update of %" PRIu64 " bytes", len);
    }
    return read_bytes(source, offset, trib_blob_fill(*blob), (size_t)len, error);
}

static enum trib_status check_sums(const uint8_t *head, size_t len, const struct trib_client_update *update,
                                   struct trib_error *error)
{
    uint8_t digest[32];
    uint32_t crc = trib_crc32c(0, head + CRC_FROM, len - CRC_FROM);
    if (update->sketch) {
        crc = trib_crc32c(crc, trib_blob_data(update->sketch), trib_blob_len(update->sketch));
    }
    if (crc != trib_load_u32(head + 8)) {
        return trib_fail(error, TRIB_CORRUPT, "its bytes are not those that were written: the CRC differs");
    }
    if (trib_sha256(trib_blob_data(update->frame), trib_blob_len(update->frame), digest) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    return memcmp(digest, update->sha256, sizeof digest) == 0
               ? TRIB_OK
               : trib_fail(error, TRIB_CORRUPT, "the update's SHA-256 is not the one that its record states");
}

static enum trib_status parse(const struct trib_frame_source *source, struct trib_client_finished *finished,
                              struct trib_error *error)
{
    uint8_t head[HEAD_MAX];
    const size_t len = head_len();
    uint32_t sketch;
    uint64_t frame;
    if (source->len < len) {
        return trib_fail(error, TRIB_CORRUPT, "it is cut: %" PRIu64 " bytes are fewer than its head", source->len);
    }
    TRIB_TRY(read_bytes(source, 0, head, len, error));
    if (memcmp(head, magic, sizeof magic) != 0) {
        return trib_fail(error, TRIB_CORRUPT, "it is no finished update");
    }
    uint32_t version = trib_load_u32(head + 4);
    if (version != VERSION) {
        return trib_fail(error, TRIB_UNSUPPORTED, "it is of version %" PRIu32 "; this client reads version %d", version,
                         VERSION);
    }
    TRIB_TRY(read_head(head, source->len, finished, &sketch, &frame, error));
    if (sketch > 0) {
        TRIB_TRY(read_blob(source, len, sketch, &finished->update.sketch, error));
    }
    TRIB_TRY(read_blob(source, len + sketch, frame, &finished->update.frame, error));
    return check_sums(head, len, &finished->update, error);
}

enum trib_status trib_task_store_parse(const struct trib_frame_source *source, struct trib_client_finished *finished,
                                       struct trib_error *error)
{
    struct trib_client_finished read = {0};
    enum trib_status status = parse(source, &read, error);
    if (status != TRIB_OK) {
        trib_client_update_clear(&read.update);
        return status;
    }
    *finished = read;
    return TRIB_OK;
}

/* ---- the file ---- */

uint64_t trib_task_store_len(const struct trib_client_update *update)
{
    return head_len() + sketch_len(update) + trib_blob_len(update->frame);
}

static enum trib_status write_all(struct trib_file_writer *writer, const struct trib_client_finished *finished,
                                  struct trib_error *error)
{
    uint8_t head[HEAD_MAX];
    const struct trib_client_update *update = &finished->update;
    size_t len = write_head(finished, head);
    TRIB_TRY(trib_file_writer_add(writer, head, len, error));
    if (update->sketch) {
        TRIB_TRY(trib_file_writer_add(writer, trib_blob_data(update->sketch), trib_blob_len(update->sketch), error));
    }
    TRIB_TRY(trib_file_writer_add(writer, trib_blob_data(update->frame), trib_blob_len(update->frame), error));
    return trib_file_writer_commit(writer, error);
}

/* With error feedback an update is good for nothing without the state that was made with it. */
static enum trib_status check_state(const char *dir, const struct trib_client_task *task, struct trib_error *error)
{
    if (task->feedback.kind == TRIB_FEEDBACK_NONE || trib_feedback_store_awaits(dir, task->run, task->round)) {
        return TRIB_OK;
    }
    return trib_fail(error, TRIB_NOT_FOUND, "the state of error feedback that belongs to the update is not there");
}

enum trib_status trib_task_store_save(const char *dir, const struct trib_client_task *task,
                                      const struct trib_client_update *update, struct trib_error *error)
{
    const struct trib_client_finished finished = {.task = *task, .update = *update}; /* no references of its own */
    TRIB_TRY(check_state(dir, task, error));
    TRIB_TRY(trib_dir_make(dir, error));
    char *path = trib_path_join(dir, file_name);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    struct trib_file_writer writer;
    enum trib_status status = trib_file_writer_open(&writer, path, error);
    trib_free(path);
    TRIB_TRY(status);
    status = write_all(&writer, &finished, error);
    trib_file_writer_abort(&writer);
    return status;
}

static enum trib_status read_path(const char *path, struct trib_client_finished *finished, struct trib_error *error)
{
    struct trib_disk_info info;
    struct trib_model_spool *spool = NULL;
    if (trib_disk_path_info(path, &info) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be examined", path);
    }
    TRIB_TRY(trib_model_spool_open(path, info.len, &spool, error));
    const struct trib_frame_source source = trib_model_spool_source(spool);
    enum trib_status status = trib_task_store_parse(&source, finished, error);
    trib_model_spool_free(spool);
    return status;
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

bool trib_task_store_load(const char *dir, struct trib_client_finished *finished)
{
    struct trib_error error = {.message = ""};
    char *path = !dir ? NULL : trib_path_join(dir, file_name);
    if (path) {
        remove_half_written(path);
    }
    if (!path || !trib_file_exists(path)) {
        trib_free(path);
        return false;
    }
    enum trib_status status = read_path(path, finished, &error);
    if (status == TRIB_OK) {
        status = check_state(dir, &finished->task, &error);
        if (status != TRIB_OK) {
            trib_client_update_clear(&finished->update);
        }
    }
    if (status == TRIB_OK) {
        trib_log(TRIB_LOG_INFO, component, "update_found", TRIB_F_STR("run", finished->task.run),
                 TRIB_F_INT("round", finished->task.round), TRIB_F_INT("bytes", trib_blob_len(finished->update.frame)));
    } else {
        bool passing = trib_status_may_retry(status); /* it says nothing of the file: the next start may read it */
        trib_log(TRIB_LOG_WARN, component, passing ? "update_not_read" : "update_dropped", TRIB_F_STR("path", path),
                 TRIB_F_STR("reason", error.message));
        if (!passing) {
            trib_task_store_forget(dir);
        }
    }
    trib_free(path);
    return status == TRIB_OK;
}

void trib_task_store_forget(const char *dir)
{
    char *path = !dir ? NULL : trib_path_join(dir, file_name);
    if (path && trib_disk_unlink(path) == 0) {
        (void)trib_disk_sync_dir(dir); /* an update that comes back is found out by its state, or by its task */
    }
    trib_free(path);
}
