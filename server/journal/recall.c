/* The last committed version, from its files: the model, whose hash must be right, and what was kept with it for the
 * next one. Before any other thread. */
#include "journal_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "store/model_files.h"

#include <inttypes.h>
#include <string.h>

/* The blobs of one version; len 0: it has none of that kind. */
struct version_files {
    struct trib_blob_name model, delta, residual, signs, strategy;
};

static enum trib_status look_at_file(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct version_files *files = context;
    const struct trib_store_version_blobs *row = record;
    struct trib_blob_name *name = strcmp(row->kind, "model") == 0      ? &files->model
                                  : strcmp(row->kind, "delta") == 0    ? &files->delta
                                  : strcmp(row->kind, "residual") == 0 ? &files->residual
                                  : strcmp(row->kind, "signs") == 0    ? &files->signs
                                  : strcmp(row->kind, "strategy") == 0 ? &files->strategy
                                                                       : NULL;
    if (name) {
        memcpy(name->sha256, row->sha256, sizeof name->sha256);
        name->len = row->len;
    }
    return TRIB_OK;
}

static enum trib_status find_files(struct trib_journal *journal, uint64_t version, struct version_files *files,
                                   struct trib_error *error)
{
    struct trib_store_version_blobs key = {.version = version};
    *files = (struct version_files){0};
    trib_str_copy(key.run, sizeof key.run, journal->run);
    return trib_store_each(journal->store, TRIB_STORE_version_blobs, &key, 2, look_at_file, files, error);
}

static enum trib_status find_version(struct trib_journal *journal, uint64_t version, struct trib_store_versions *row,
                                     struct trib_error *error)
{
    bool found = false;
    *row = (struct trib_store_versions){.version = version};
    trib_str_copy(row->run, sizeof row->run, journal->run);
    TRIB_TRY(trib_store_get(journal->store, TRIB_STORE_versions, row, &found, error));
    return found ? TRIB_OK
                 : trib_fail(error, TRIB_CORRUPT, "%s: version %" PRIu64 " of run %s is not in the records",
                             journal->options.state_dir, version, journal->run);
}

/* A committed model from its file, as clients know it. */
static enum trib_status read_model(struct trib_journal *journal, const struct trib_recall *to, uint64_t version,
                                   const struct trib_blob_name *name, struct trib_version *model,
                                   struct trib_error *error)
{
    struct trib_store_versions row;
    float *vector = NULL;
    TRIB_TRY(find_version(journal, version, &row, error));
    char *path = trib_blobs_path(journal->blobs, name->sha256);
    struct trib_blob *raw = trib_sealer_blank(to->sealer, &vector);
    enum trib_status status = path && raw ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        status = trib_checkpoint_read(path, journal->options.schema, vector, error);
    }
    if (status != TRIB_OK) {
        trib_blob_unref(raw);
    } else {
        status = trib_sealer_seal(to->sealer, raw, NULL, model, error);
    }
    if (status == TRIB_OK && memcmp(model->sha256, row.sha256, sizeof row.sha256) != 0) {
        trib_version_clear(model);
        status = trib_fail(error, TRIB_CORRUPT, "%s: is not the model that was committed as version %" PRIu64, path,
                           version);
    }
    if (status == TRIB_OK) {
        model->number = version;
    }
    trib_free(path);
    return status;
}

/* The initial model is made again, and must be the one that the run began with. */
static enum trib_status check_initial(struct trib_journal *journal, const struct trib_recall *to,
                                      struct trib_error *error)
{
    struct trib_store_versions row;
    TRIB_TRY(find_version(journal, 0, &row, error));
    if (memcmp(trib_release_present(to->release)->sha256, row.sha256, sizeof row.sha256) == 0) {
        return TRIB_OK;
    }
    return trib_fail(
        error, TRIB_MISMATCH,
        "%s: run %s began with another model: federation.seed or model.initial has changed; set it back, or "
        "begin anew with --new-run",
        journal->options.state_dir, journal->run);
}

static enum trib_status read_blob(struct trib_journal *journal, const struct trib_recall *to,
                                  const struct trib_blob_name *name, uint64_t expected, void **bytes,
                                  struct trib_error *error)
{
    if (name->len != expected) {
        return trib_fail(error, TRIB_CORRUPT, "%s: a file of version %" PRIu64 " has %" PRIu64 " bytes, not %" PRIu64,
                         journal->options.state_dir, trib_release_present(to->release)->number, name->len, expected);
    }
    void *read = trib_malloc_aligned((size_t)name->len, 1);
    if (!read) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_blobs_read(journal->blobs, name, read, error);
    if (status != TRIB_OK) {
        trib_free(read);
        return status;
    }
    *bytes = read;
    return TRIB_OK;
}

/* What the deltas so far have left out. */
static enum trib_status read_residual(struct trib_journal *journal, const struct trib_recall *to,
                                      const struct version_files *files, struct trib_version *model,
                                      struct trib_error *error)
{
    void *bytes = NULL;
    size_t len = journal->options.schema->n_floats * sizeof(float);
    if (files->residual.len == 0 || !to->sealer->feedback || !trib_sealer_makes_deltas(to->sealer)) {
        return TRIB_OK;
    }
    TRIB_TRY(read_blob(journal, to, &files->residual, len, &bytes, error));
    model->residual = trib_blob_adopt(bytes, len);
    if (!model->residual) {
        trib_free(bytes);
        return trib_fail_no_memory(error);
    }
    return TRIB_OK;
}

/* What the next version is made with, besides the model. */
static enum trib_status read_rest(struct trib_journal *journal, const struct trib_recall *to,
                                  const struct version_files *files, struct trib_error *error)
{
    size_t n = journal->options.schema->n_floats;
    void *bytes = NULL;
    if (files->signs.len > 0 && trib_relevance_learns(to->relevance)) {
        TRIB_TRY(read_blob(journal, to, &files->signs, trib_relevance_signs_len(n), &bytes, error));
        struct trib_blob *signs = trib_blob_adopt(bytes, trib_relevance_signs_len(n));
        if (!signs) {
            trib_free(bytes);
            return trib_fail_no_memory(error);
        }
        trib_relevance_learn(to->relevance, signs);
    }
    if (files->strategy.len > 0 && trib_aggregate_remembers(to->aggregate)) {
        TRIB_TRY(read_blob(journal, to, &files->strategy, files->strategy.len, &bytes, error));
        enum trib_status status = trib_aggregate_load(to->aggregate, bytes, (size_t)files->strategy.len, error);
        trib_free(bytes);
        return status;
    }
    return TRIB_OK;
}

/* The deltas that still lead to the present version, for clients that have missed some. A gap ends the list: clients
 * that are further behind take the whole model. */
static enum trib_status read_deltas(struct trib_journal *journal, const struct trib_recall *to,
                                    struct trib_error *error)
{
    uint64_t present = trib_release_present(to->release)->number;
    uint64_t window = journal->options.delta_history;
    uint64_t first = present > window ? present - window + 1 : 1;
    for (uint64_t version = first; trib_sealer_makes_deltas(to->sealer) && version <= present; version++) {
        struct version_files files;
        struct trib_blob *delta = NULL;
        TRIB_TRY(find_files(journal, version, &files, error));
        if (files.delta.len > 0) {
            delta = trib_blob_new((size_t)files.delta.len);
            if (!delta) {
                return trib_fail_no_memory(error);
            }
            enum trib_status status = trib_blobs_read(journal->blobs, &files.delta, trib_blob_fill(delta), error);
            if (status != TRIB_OK) {
                trib_blob_unref(delta);
                return status;
            }
        }
        trib_release_recall_delta(to->release, version - 1, delta, files.delta.sha256);
    }
    return TRIB_OK;
}

/* Models of a moment ago, for members that outlive their round. */
static enum trib_status read_past(struct trib_journal *journal, const struct trib_recall *to, struct trib_error *error)
{
    uint64_t present = trib_release_present(to->release)->number, kept = journal->options.checkpoints_keep;
    uint64_t version = present >= kept ? present - kept + 1 : 1;
    for (; journal->options.keeps_past && version < present; version++) {
        struct version_files files;
        struct trib_version model;
        TRIB_TRY(find_files(journal, version, &files, error));
        if (files.model.len == 0) {
            continue;
        }
        TRIB_TRY(read_model(journal, to, version, &files.model, &model, error));
        trib_release_recall_past(to->release, trib_blob_ref(model.raw), model.sha256);
        trib_version_clear(&model);
    }
    return TRIB_OK;
}

/* The name that people know the model by, once more. */
static enum trib_status link_again(struct trib_journal *journal, uint64_t version, const struct trib_blob_name *name,
                                   struct trib_error *error)
{
    struct trib_error linked;
    struct trib_store_versions row;
    char *path = trib_blobs_path(journal->blobs, name->sha256);
    enum trib_status status = path ? find_version(journal, version, &row, error) : trib_fail_no_memory(error);
    if (status == TRIB_OK && trib_model_files_link(journal->options.state_dir, row.round, path,
                                                   (uint32_t)journal->options.checkpoints_keep, &linked) != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, "store", "model_not_linked", &linked);
    }
    trib_free(path);
    return status;
}

enum trib_status trib_journal_recall(struct trib_journal *journal, const struct trib_recall *to,
                                     struct trib_error *error)
{
    const uint64_t commits = journal->last.commits;
    struct version_files files;
    struct trib_version model;
    if (commits == 0) {
        return check_initial(journal, to, error);
    }
    TRIB_TRY(find_files(journal, commits, &files, error));
    if (files.model.len == 0) {
        return trib_fail(error, TRIB_CORRUPT, "%s: the model of version %" PRIu64 " is not in the records",
                         journal->options.state_dir, commits);
    }
    TRIB_TRY(read_model(journal, to, commits, &files.model, &model, error));
    enum trib_status status = read_residual(journal, to, &files, &model, error);
    if (status != TRIB_OK) {
        trib_version_clear(&model);
        return status;
    }
    trib_release_recall(to->release, &model);
    TRIB_TRY(link_again(journal, commits, &files.model, error));
    TRIB_TRY(read_rest(journal, to, &files, error));
    TRIB_TRY(read_past(journal, to, error));
    return read_deltas(journal, to, error);
}
