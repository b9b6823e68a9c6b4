/* Making a round's model durable: its files first, then one transaction that refers to them. Worker's thread, but for
 * trib_engine_prepare_commit. */
#include "engine_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/model_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the engine's part ---- */

void trib_engine_prepare_commit(struct trib_engine *engine, struct work *work)
{
    if (!trib_engine_remembers(engine)) {
        return;
    }
    struct trib_round_record record = trib_engine_record(engine, false);
    record.version++; /* it is not published yet */
    struct trib_proximal proximal = engine->proximal;
    trib_proximal_learn(&proximal, trib_engine_loss_of(engine, &record));
    trib_engine_gather_notes(engine);
    for (uint32_t i = 0; i < engine->n_clients; i++) {
        trib_engine_note_folded(engine, i);
    }
    trib_engine_note_round(engine, &record);
    trib_engine_note_run(engine, &proximal, true);
    work->at_ms = trib_engine_wall_ms(engine);
    work->notes = engine->notes;
    engine->notes = (struct trib_notes){0};
    engine->committing = true;
}

/* ---- files ---- */

static enum trib_status note_blob(struct trib_engine *engine, struct work *work, const char *kind,
                                  const struct trib_blob_name *name)
{
    struct trib_store_version_blobs row = {.version = engine->worker.next.number, .len = name->len};
    trib_str_copy(row.run, sizeof row.run, engine->run);
    trib_str_copy(row.kind, sizeof row.kind, kind);
    memcpy(row.sha256, name->sha256, sizeof row.sha256);
    trib_notes_put(&work->notes, TRIB_STORE_version_blobs, &row);
    return trib_buf_add(&work->made, name->sha256, sizeof name->sha256) == TRIB_OK ? TRIB_OK
                                                                                   : trib_fail_no_memory(&work->error);
}

static enum trib_status put_blob(struct trib_engine *engine, struct work *work, const char *kind, const void *bytes,
                                 size_t len)
{
    struct trib_blob_name name;
    TRIB_TRY(trib_blobs_put(engine->worker.blobs, bytes, len, &name, &work->error));
    return note_blob(engine, work, kind, &name);
}

static enum trib_status add_to_blob(void *context, const void *bytes, size_t len, struct trib_error *error)
{
    return trib_blob_writer_add(context, bytes, len, error);
}

/* The model, as a checkpoint that others can read as well. */
static enum trib_status put_model(struct trib_engine *engine, struct work *work, struct trib_blob_name *name)
{
    char round[32], folded[32];
    snprintf(round, sizeof round, "%" PRIu64, work->round);
    snprintf(folded, sizeof folded, "%" PRIu32, work->summary.folded);
    const struct trib_checkpoint_entry entries[] = {
        {"run", engine->run}, {"round", round}, {"updates", folded}, {"software", engine->software}};
    struct trib_blob_writer *writer = NULL;
    TRIB_TRY(
        trib_blob_writer_begin(engine->worker.blobs, engine->schema.n_floats * sizeof(float), &writer, &work->error));
    enum trib_status status =
        trib_checkpoint_emit(&engine->schema, engine->worker.next.vector, entries, sizeof entries / sizeof entries[0],
                             add_to_blob, writer, &work->error);
    if (status != TRIB_OK) {
        trib_blob_writer_abort(writer);
        return status;
    }
    TRIB_TRY(trib_blob_writer_end(writer, name, &work->error));
    return note_blob(engine, work, "model", name);
}

static enum trib_status put_strategy(struct trib_engine *engine, struct work *work)
{
    const struct trib_strategy *strategy = engine->worker.strategy;
    size_t len = strategy->saved_len ? strategy->saved_len(engine->worker.state) : 0;
    if (len == 0) {
        return TRIB_OK;
    }
    void *bytes = trib_malloc(len);
    if (!bytes) {
        return trib_fail(&work->error, TRIB_NO_MEMORY, "out of memory for the state of strategy %s", strategy->name);
    }
    strategy->save(engine->worker.state, bytes);
    enum trib_status status = put_blob(engine, work, "strategy", bytes, len);
    trib_free(bytes);
    return status;
}

/* Everything that the next process needs of this version. *name: of the model. */
static enum trib_status put_files(struct trib_engine *engine, struct work *work, struct trib_blob_name *name)
{
    const struct trib_version *next = &engine->worker.next;
    TRIB_TRY(put_model(engine, work, name));
    if (next->delta) {
        TRIB_TRY(put_blob(engine, work, "delta", trib_blob_data(next->delta), trib_blob_len(next->delta)));
    }
    if (next->residual) {
        TRIB_TRY(put_blob(engine, work, "residual", trib_blob_data(next->residual), trib_blob_len(next->residual)));
    }
    if (engine->worker.next_signs) {
        TRIB_TRY(put_blob(engine, work, "signs", engine->worker.next_signs,
                          trib_relevance_signs_len(engine->schema.n_floats)));
    }
    TRIB_TRY(put_strategy(engine, work));
    return trib_blobs_sync(engine->worker.blobs, &work->error);
}

/* ---- what older versions need no more ---- */

struct dropping {
    struct trib_engine *engine;
    struct work *work;
    struct trib_buf hashes; /* of the files that go, 32 bytes each */
    struct trib_buf kept;   /* of those that stay */
};

static bool is_kept(const struct trib_engine *engine, const struct trib_store_version_blobs *row)
{
    const struct trib_server_settings *s = engine->settings;
    uint64_t behind = engine->worker.next.number - row->version;
    if (strcmp(row->kind, "model") == 0) {
        return behind < (uint64_t)s->checkpoints_keep;
    }
    return strcmp(row->kind, "delta") == 0 && behind < (uint64_t)s->codec_down_history;
}

static enum trib_status look_at_blob(void *context, const void *record, struct trib_error *error)
{
    struct dropping *dropping = context;
    const struct trib_store_version_blobs *row = record;
    bool kept = is_kept(dropping->engine, row);
    if (!kept) {
        trib_notes_remove(&dropping->work->notes, TRIB_STORE_version_blobs, row, 3);
    }
    return trib_buf_add(kept ? &dropping->kept : &dropping->hashes, row->sha256, sizeof row->sha256) == TRIB_OK
               ? TRIB_OK
               : trib_fail_no_memory(error);
}

bool trib_engine_lists_hash(const struct trib_buf *hashes, const uint8_t *hash)
{
    for (size_t at = 0; at < hashes->len; at += TRIB_SHA256_LEN) {
        if (memcmp(hashes->data + at, hash, TRIB_SHA256_LEN) == 0) {
            return true;
        }
    }
    return false;
}

/* Of these files, those that no version needs: the same bytes may be in two of them. */
static void remove_files(const struct dropping *dropping, const struct trib_buf *hashes, const struct trib_buf *others)
{
    for (size_t at = 0; at < hashes->len; at += TRIB_SHA256_LEN) {
        const uint8_t *hash = hashes->data + at;
        if (!trib_engine_lists_hash(&dropping->kept, hash) && !trib_engine_lists_hash(others, hash)) {
            trib_blobs_remove(dropping->engine->worker.blobs, hash);
        }
    }
}

/* ---- the transaction ---- */

static enum trib_status write_all(struct trib_engine *engine, struct work *work, bool durable)
{
    struct trib_store *store = engine->worker.store;
    if (work->notes.lost) {
        return trib_fail(&work->error, TRIB_NO_MEMORY, "out of memory for what is to be written down");
    }
    uint64_t audit_number = engine->worker.audit_number;
    TRIB_TRY(trib_store_begin(store, &work->error));
    enum trib_status status = trib_notes_write(&work->notes, store, &audit_number, &work->error);
    if (status != TRIB_OK) {
        trib_store_undo(store);
        return status;
    }
    TRIB_TRY(trib_store_end(store, durable, &work->doubtful, &work->error));
    engine->worker.audit_number = audit_number;
    return TRIB_OK;
}

static void note_version(struct trib_engine *engine, struct work *work)
{
    const struct trib_version *next = &engine->worker.next;
    struct trib_store_versions row = {.version = next->number, .round = work->round, .at = work->at_ms};
    trib_str_copy(row.run, sizeof row.run, engine->run);
    row.len = trib_blob_len(next->raw);
    memcpy(row.sha256, next->sha256, sizeof row.sha256);
    trib_notes_put(&work->notes, TRIB_STORE_versions, &row);
}

static enum trib_status write_version(struct trib_engine *engine, struct work *work, struct dropping *dropping,
                                      struct trib_blob_name *model)
{
    struct trib_store_version_blobs of_run = {0};
    trib_str_copy(of_run.run, sizeof of_run.run, engine->run);
    TRIB_TRY(trib_store_each(engine->worker.store, TRIB_STORE_version_blobs, &of_run, 1, look_at_blob, dropping,
                             &work->error));
    TRIB_TRY(put_files(engine, work, model));
    note_version(engine, work);
    return write_all(engine, work, true);
}

/* Names for people: what they point to is durable already, and a start makes them again. */
static void link_model(struct trib_engine *engine, const struct work *work, const struct trib_blob_name *model)
{
    struct trib_error error;
    const struct trib_server_settings *s = engine->settings;
    char *path = trib_blobs_path(engine->worker.blobs, model->sha256);
    enum trib_status status =
        path ? trib_model_files_link(s->state_dir, work->round, path, (uint32_t)s->checkpoints_keep, &error)
             : trib_fail_no_memory(&error);
    if (status != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, "store", "model_not_linked", &error);
    } else {
        trib_log(TRIB_LOG_DEBUG, "store", "checkpoint", TRIB_F_INT("round", work->round), TRIB_F_STR("path", path));
    }
    trib_free(path);
}

enum trib_status trib_engine_commit(struct trib_engine *engine, struct work *work)
{
    struct dropping dropping = {.engine = engine, .work = work};
    struct trib_blob_name model;
    enum trib_status status = TRIB_OK;
    if (trib_engine_remembers(engine)) {
        status = write_version(engine, work, &dropping, &model);
    }
    if (status == TRIB_OK && engine->worker.strategy->commit) {
        engine->worker.strategy->commit(engine->worker.state);
    }
    if (status == TRIB_OK && trib_engine_remembers(engine)) {
        link_model(engine, work, &model);
        remove_files(&dropping, &dropping.hashes, &work->made);
    } else if (!work->doubtful) {
        remove_files(&dropping, &work->made, &dropping.hashes); /* nothing refers to them */
    }
    trib_buf_clear(&work->made);
    trib_buf_clear(&dropping.hashes);
    trib_buf_clear(&dropping.kept);
    return status;
}

enum trib_status trib_engine_write_notes(struct trib_engine *engine, struct work *work)
{
    return write_all(engine, work, work->durable);
}
