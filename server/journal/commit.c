/* A commit on the writing thread: files first, synced; then the transaction that refers to them; then what older
 * versions need no more is removed. */
#include "journal_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/model_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One commit under way. */
struct writing {
    struct trib_journal *journal;
    const struct trib_commit *commit;
    struct trib_batch *batch;
    struct trib_buf made;    /* hashes of the files that were written, 32 bytes each */
    struct trib_buf dropped; /* of those that older versions need no more */
    struct trib_buf kept;    /* of those that they do */
};

static const struct trib_version *version_of(const struct writing *writing)
{
    return &writing->commit->made->version;
}

/* ---- files ---- */

static enum trib_status note_blob(struct writing *writing, const char *kind, const struct trib_blob_name *name,
                                  struct trib_error *error)
{
    struct trib_store_version_blobs row = {.version = version_of(writing)->number, .len = name->len};
    trib_str_copy(row.run, sizeof row.run, writing->journal->run);
    trib_str_copy(row.kind, sizeof row.kind, kind);
    memcpy(row.sha256, name->sha256, sizeof row.sha256);
    trib_batch_put(writing->batch, TRIB_STORE_version_blobs, &row);
    return trib_buf_add(&writing->made, name->sha256, sizeof name->sha256) == TRIB_OK ? TRIB_OK
                                                                                      : trib_fail_no_memory(error);
}

/* NULL: the version has none of this kind. */
static enum trib_status put_blob(struct writing *writing, const char *kind, const struct trib_blob *blob,
                                 struct trib_error *error)
{
    struct trib_blob_name name;
    if (!blob) {
        return TRIB_OK;
    }
    TRIB_TRY(trib_blobs_put(writing->journal->blobs, trib_blob_data(blob), trib_blob_len(blob), &name, error));
    return note_blob(writing, kind, &name, error);
}

static enum trib_status add_to_blob(void *context, const void *bytes, size_t len, struct trib_error *error)
{
    return trib_blob_writer_add(context, bytes, len, error);
}

/* The model, as a checkpoint that others can read as well. */
static enum trib_status put_model(struct writing *writing, struct trib_blob_name *name, struct trib_error *error)
{
    const struct trib_journal *journal = writing->journal;
    const struct trib_schema *schema = journal->options.schema;
    char round[32], folded[32];
    snprintf(round, sizeof round, "%" PRIu64, writing->commit->round);
    snprintf(folded, sizeof folded, "%" PRIu32, writing->commit->updates);
    const struct trib_checkpoint_entry entries[] = {
        {"run", journal->run}, {"round", round}, {"updates", folded}, {"software", journal->options.software}};
    struct trib_blob_writer *writer = NULL;
    TRIB_TRY(trib_blob_writer_begin(journal->blobs, schema->n_floats * sizeof(float), &writer, error));
    enum trib_status status = trib_checkpoint_emit(schema, version_of(writing)->vector, entries,
                                                   sizeof entries / sizeof entries[0], add_to_blob, writer, error);
    if (status != TRIB_OK) {
        trib_blob_writer_abort(writer);
        return status;
    }
    TRIB_TRY(trib_blob_writer_end(writer, name, error));
    return note_blob(writing, "model", name, error);
}

/* Everything that the next process needs of this version. *name: of the model. */
static enum trib_status put_files(struct writing *writing, struct trib_blob_name *name, struct trib_error *error)
{
    const struct trib_made *made = writing->commit->made;
    TRIB_TRY(put_model(writing, name, error));
    TRIB_TRY(put_blob(writing, "delta", made->version.delta, error));
    TRIB_TRY(put_blob(writing, "residual", made->version.residual, error));
    TRIB_TRY(put_blob(writing, "signs", made->signs, error));
    TRIB_TRY(put_blob(writing, "strategy", made->strategy, error));
    return trib_blobs_sync(writing->journal->blobs, error);
}

/* ---- what older versions need no more ---- */

static bool is_kept(const struct writing *writing, const struct trib_store_version_blobs *row)
{
    const struct trib_journal_options *o = &writing->journal->options;
    uint64_t behind = version_of(writing)->number - row->version;
    if (strcmp(row->kind, "model") == 0) {
        return behind < o->checkpoints_keep;
    }
    return strcmp(row->kind, "delta") == 0 && behind < o->delta_history;
}

static enum trib_status look_at_blob(void *context, const void *record, struct trib_error *error)
{
    struct writing *writing = context;
    const struct trib_store_version_blobs *row = record;
    bool kept = is_kept(writing, row);
    if (!kept) {
        trib_batch_remove(writing->batch, TRIB_STORE_version_blobs, row, 3);
    }
    return trib_buf_add(kept ? &writing->kept : &writing->dropped, row->sha256, sizeof row->sha256) == TRIB_OK
               ? TRIB_OK
               : trib_fail_no_memory(error);
}

bool trib_journal_lists_hash(const struct trib_buf *hashes, const uint8_t *hash)
{
    for (size_t at = 0; at < hashes->len; at += TRIB_SHA256_LEN) {
        if (memcmp(hashes->data + at, hash, TRIB_SHA256_LEN) == 0) {
            return true;
        }
    }
    return false;
}

/* Of these files, those that no version needs: the same bytes may be in two of them. */
static void remove_files(const struct writing *writing, const struct trib_buf *hashes, const struct trib_buf *others)
{
    for (size_t at = 0; at < hashes->len; at += TRIB_SHA256_LEN) {
        const uint8_t *hash = hashes->data + at;
        if (!trib_journal_lists_hash(&writing->kept, hash) && !trib_journal_lists_hash(others, hash)) {
            trib_blobs_remove(writing->journal->blobs, hash);
        }
    }
}

/* ---- the transaction ---- */

enum trib_status trib_journal_write(struct trib_journal *journal, struct trib_batch *batch, bool durable,
                                    bool *doubtful, struct trib_error *error)
{
    struct trib_store *store = journal->store;
    if (batch->lost) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for what is to be written down");
    }
    uint64_t audit_number = journal->audit_number;
    TRIB_TRY(trib_store_begin(store, error));
    enum trib_status status = trib_batch_write(batch, store, &audit_number, error);
    if (status != TRIB_OK) {
        trib_store_undo(store);
        return status;
    }
    TRIB_TRY(trib_store_end(store, durable, doubtful, error));
    journal->audit_number = audit_number;
    return TRIB_OK;
}

static void note_version(struct writing *writing)
{
    const struct trib_version *version = version_of(writing);
    struct trib_store_versions row = {
        .version = version->number, .round = writing->commit->round, .at = writing->commit->wall_ms};
    trib_str_copy(row.run, sizeof row.run, writing->journal->run);
    row.len = trib_blob_len(version->raw);
    memcpy(row.sha256, version->sha256, sizeof row.sha256);
    trib_batch_put(writing->batch, TRIB_STORE_versions, &row);
}

static enum trib_status write_version(struct writing *writing, struct trib_blob_name *model, bool *doubtful,
                                      struct trib_error *error)
{
    struct trib_store_version_blobs of_run = {0};
    trib_str_copy(of_run.run, sizeof of_run.run, writing->journal->run);
    TRIB_TRY(
        trib_store_each(writing->journal->store, TRIB_STORE_version_blobs, &of_run, 1, look_at_blob, writing, error));
    TRIB_TRY(put_files(writing, model, error));
    note_version(writing);
    return trib_journal_write(writing->journal, writing->batch, true, doubtful, error);
}

/* Names for people: what they point to is durable already, and a start makes them again. */
static void link_model(const struct writing *writing, const struct trib_blob_name *model)
{
    struct trib_error error;
    const struct trib_journal_options *o = &writing->journal->options;
    uint64_t round = writing->commit->round;
    char *path = trib_blobs_path(writing->journal->blobs, model->sha256);
    enum trib_status status =
        path ? trib_model_files_link(o->state_dir, round, path, (uint32_t)o->checkpoints_keep, &error)
             : trib_fail_no_memory(&error);
    if (status != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, "store", "model_not_linked", &error);
    } else {
        trib_log(TRIB_LOG_DEBUG, "store", "checkpoint", TRIB_F_INT("round", round), TRIB_F_STR("path", path));
    }
    trib_free(path);
}

enum trib_status trib_journal_commit(struct trib_journal *journal, const struct trib_commit *commit,
                                     struct trib_batch *batch, bool *doubtful, struct trib_error *error)
{
    struct writing writing = {.journal = journal, .commit = commit, .batch = batch};
    struct trib_blob_name model;
    *doubtful = false;
    enum trib_status status = write_version(&writing, &model, doubtful, error);
    if (status == TRIB_OK) {
        link_model(&writing, &model);
        remove_files(&writing, &writing.dropped, &writing.made);
    } else if (!*doubtful) {
        remove_files(&writing, &writing.made, &writing.dropped); /* nothing refers to them */
    }
    trib_buf_clear(&writing.made);
    trib_buf_clear(&writing.dropped);
    trib_buf_clear(&writing.kept);
    return status;
}
