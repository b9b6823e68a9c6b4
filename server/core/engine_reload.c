/* The last committed version, from its files: the model, whose hash must be right, and what was kept with it for the
 * next one. Before the engine's threads. */
#include "engine_private.h"

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

static enum trib_status find_files(struct trib_engine *engine, uint64_t version, struct version_files *files,
                                   struct trib_error *error)
{
    struct trib_store_version_blobs key = {.version = version};
    *files = (struct version_files){0};
    trib_str_copy(key.run, sizeof key.run, engine->run);
    return trib_store_each(engine->worker.store, TRIB_STORE_version_blobs, &key, 2, look_at_file, files, error);
}

static enum trib_status find_version(struct trib_engine *engine, uint64_t version, struct trib_store_versions *row,
                                     struct trib_error *error)
{
    bool found = false;
    *row = (struct trib_store_versions){.version = version};
    trib_str_copy(row->run, sizeof row->run, engine->run);
    TRIB_TRY(trib_store_get(engine->worker.store, TRIB_STORE_versions, row, &found, error));
    return found ? TRIB_OK
                 : trib_fail(error, TRIB_CORRUPT, "%s: version %" PRIu64 " of run %s is not in the records",
                             engine->settings->state_dir, version, engine->run);
}

/* A committed model from its file, as clients know it. */
static enum trib_status read_model(struct trib_engine *engine, uint64_t version, const struct trib_blob_name *name,
                                   struct trib_version *model, struct trib_error *error)
{
    struct trib_store_versions row;
    float *vector = NULL;
    TRIB_TRY(find_version(engine, version, &row, error));
    char *path = trib_blobs_path(engine->worker.blobs, name->sha256);
    struct trib_blob *raw = trib_sealer_blank(&engine->sealer, &vector);
    enum trib_status status = path && raw ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        status = trib_checkpoint_read(path, &engine->schema, vector, error);
    }
    if (status != TRIB_OK) {
        trib_blob_unref(raw);
    } else {
        status = trib_sealer_seal(&engine->sealer, raw, NULL, model, error);
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
static enum trib_status check_initial(struct trib_engine *engine, struct trib_error *error)
{
    struct trib_store_versions row;
    TRIB_TRY(find_version(engine, 0, &row, error));
    if (memcmp(trib_release_present(engine->release)->sha256, row.sha256, sizeof row.sha256) == 0) {
        return TRIB_OK;
    }
    return trib_fail(
        error, TRIB_MISMATCH,
        "%s: run %s began with another model: federation.seed or model.initial has changed; set it back, or "
        "begin anew with --new-run",
        engine->settings->state_dir, engine->run);
}

static enum trib_status read_blob(struct trib_engine *engine, const struct trib_blob_name *name, uint64_t expected,
                                  void **bytes, struct trib_error *error)
{
    if (name->len != expected) {
        return trib_fail(error, TRIB_CORRUPT, "%s: a file of version %" PRIu64 " has %" PRIu64 " bytes, not %" PRIu64,
                         engine->settings->state_dir, trib_release_present(engine->release)->number, name->len,
                         expected);
    }
    void *read = trib_malloc_aligned((size_t)name->len, 1);
    if (!read) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_blobs_read(engine->worker.blobs, name, read, error);
    if (status != TRIB_OK) {
        trib_free(read);
        return status;
    }
    *bytes = read;
    return TRIB_OK;
}

/* What the deltas so far have left out. */
static enum trib_status read_residual(struct trib_engine *engine, const struct version_files *files,
                                      struct trib_version *model, struct trib_error *error)
{
    void *bytes = NULL;
    size_t len = engine->schema.n_floats * sizeof(float);
    if (files->residual.len == 0 || !engine->sealer.feedback || !trib_sealer_makes_deltas(&engine->sealer)) {
        return TRIB_OK;
    }
    TRIB_TRY(read_blob(engine, &files->residual, len, &bytes, error));
    model->residual = trib_blob_adopt(bytes, len);
    if (!model->residual) {
        trib_free(bytes);
        return trib_fail_no_memory(error);
    }
    return TRIB_OK;
}

/* What the next version is made with, besides the model. */
static enum trib_status read_rest(struct trib_engine *engine, const struct version_files *files,
                                  struct trib_error *error)
{
    const struct trib_strategy *strategy = engine->worker.strategy;
    size_t n = engine->schema.n_floats;
    void *bytes = NULL;
    if (files->signs.len > 0 && engine->relevance.k > 0 && !engine->relevance.majority) {
        TRIB_TRY(read_blob(engine, &files->signs, trib_relevance_signs_len(n), &bytes, error));
        trib_relevance_learn(&engine->relevance, bytes);
    }
    if (files->strategy.len > 0 && strategy->load) {
        TRIB_TRY(read_blob(engine, &files->strategy, files->strategy.len, &bytes, error));
        enum trib_status status = strategy->load(engine->worker.state, n, bytes, (size_t)files->strategy.len, error);
        trib_free(bytes);
        return status;
    }
    return TRIB_OK;
}

/* The deltas that still lead to the present version, for clients that have missed some. A gap ends the list: clients
 * that are further behind take the whole model. */
static enum trib_status read_deltas(struct trib_engine *engine, struct trib_error *error)
{
    uint64_t present = trib_release_present(engine->release)->number;
    uint64_t window = (uint64_t)engine->settings->codec_down_history;
    uint64_t first = present > window ? present - window + 1 : 1;
    for (uint64_t version = first; trib_sealer_makes_deltas(&engine->sealer) && version <= present; version++) {
        struct version_files files;
        struct trib_blob *delta = NULL;
        TRIB_TRY(find_files(engine, version, &files, error));
        if (files.delta.len > 0) {
            delta = trib_blob_new((size_t)files.delta.len);
            if (!delta) {
                return trib_fail_no_memory(error);
            }
            enum trib_status status = trib_blobs_read(engine->worker.blobs, &files.delta, trib_blob_fill(delta), error);
            if (status != TRIB_OK) {
                trib_blob_unref(delta);
                return status;
            }
        }
        trib_release_recall_delta(engine->release, version - 1, delta, files.delta.sha256);
    }
    return TRIB_OK;
}

/* Models of a moment ago, for members that outlive their round. */
static enum trib_status read_past(struct trib_engine *engine, struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    uint64_t present = trib_release_present(engine->release)->number, kept = (uint64_t)s->checkpoints_keep;
    uint64_t version = present >= kept ? present - kept + 1 : 1;
    for (; trib_engine_may_be_stale(engine->settings) && version < present; version++) {
        struct version_files files;
        struct trib_version model;
        TRIB_TRY(find_files(engine, version, &files, error));
        if (files.model.len == 0) {
            continue;
        }
        TRIB_TRY(read_model(engine, version, &files.model, &model, error));
        trib_release_recall_past(engine->release, trib_blob_ref(model.raw), model.sha256);
        trib_version_clear(&model);
    }
    return TRIB_OK;
}

enum trib_status trib_engine_reload(struct trib_engine *engine, const struct trib_store_runs *run,
                                    struct trib_error *error)
{
    struct version_files files;
    struct trib_version model;
    if (run->commits == 0) {
        return check_initial(engine, error);
    }
    TRIB_TRY(find_files(engine, run->commits, &files, error));
    if (files.model.len == 0) {
        return trib_fail(error, TRIB_CORRUPT, "%s: the model of version %" PRIu64 " is not in the records",
                         engine->settings->state_dir, run->commits);
    }
    TRIB_TRY(read_model(engine, run->commits, &files.model, &model, error));
    enum trib_status status = read_residual(engine, &files, &model, error);
    if (status != TRIB_OK) {
        trib_version_clear(&model);
        return status;
    }
    trib_release_recall(engine->release, &model);
    char *path = trib_blobs_path(engine->worker.blobs, files.model.sha256);
    struct trib_error linked;
    struct trib_store_versions row;
    status = path ? find_version(engine, run->commits, &row, error) : trib_fail_no_memory(error);
    if (status == TRIB_OK && trib_model_files_link(engine->settings->state_dir, row.round, path,
                                                   (uint32_t)engine->settings->checkpoints_keep, &linked) != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, "store", "model_not_linked", &linked);
    }
    trib_free(path);
    TRIB_TRY(status);
    TRIB_TRY(read_rest(engine, &files, error));
    TRIB_TRY(read_past(engine, error));
    return read_deltas(engine, error);
}
