/* Training on this node's examples.
 *
 * Memory: the received frame (in memory or spooled), one vector of floats that is first the model, then the trained
 * model, then the update, and the trainer's buffers. The received values are read from their frame a second time to
 * form the difference, instead of being kept; the frame is freed before the update is coded. */
#include "local_training.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "wire/graph_message.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

void trib_local_training_forget(struct trib_local_training *local)
{
    trib_trainer_free(local->trainer);
    local->trainer = NULL;
    if (local->has_plan) {
        trib_schema_clear(&local->schema);
        trib_graph_free(local->graph);
        local->graph = NULL;
        local->has_plan = false;
    }
}

static enum trib_status use_plan(struct trib_local_training *local, const struct trib_client_task *task,
                                 struct trib_error *error)
{
    if (local->has_plan && memcmp(local->plan_sha256, task->plan_sha256, sizeof local->plan_sha256) == 0) {
        return TRIB_OK;
    }
    trib_local_training_forget(local);
    TRIB_TRY(trib_graph_unpack(trib_blob_data(task->plan), trib_blob_len(task->plan), &local->graph, error));
    enum trib_status status = trib_schema_init(&local->schema, local->graph, error);
    if (status != TRIB_OK) {
        trib_graph_free(local->graph);
        local->graph = NULL;
        return status;
    }
    memcpy(local->plan_sha256, task->plan_sha256, sizeof local->plan_sha256);
    local->has_plan = true;
    return TRIB_OK;
}

/* A trainer for this task's recipe, within what the owner's limits leave. */
static enum trib_status use_trainer(struct trib_local_training *local, const struct trib_client_task *task,
                                    size_t held_bytes, struct trib_error *error)
{
    struct trib_train_limits limits;
    TRIB_TRY(trib_limits_for_training(&local->limits, held_bytes, &limits, error));
    if (local->trainer != NULL && limits.max_bytes < local->trainer_bytes) {
        trib_trainer_free(local->trainer);
        local->trainer = NULL;
    }
    if (local->trainer != NULL) {
        return trib_trainer_set_recipe(local->trainer, &task->recipe, error);
    }
    TRIB_TRY(trib_trainer_new(local->graph, &task->recipe, &local->data->dataset, local->backend, local->pool, &limits,
                              &local->trainer, error));
    local->trainer_bytes = limits.max_bytes;
    return TRIB_OK;
}

/* ---- the difference ---- */

struct difference {
    float *vector;
    double sum; /* of squares, in order */
};

static enum trib_status subtract(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    struct difference *difference = context;
    float *vector = difference->vector + first;
    for (size_t i = 0; i < n; i++) {
        vector[i] -= values[i];
        difference->sum += (double)vector[i] * (double)vector[i];
    }
    return TRIB_OK;
}

/* vector := vector - model; its L2 norm. */
static enum trib_status form_update(const struct trib_frame_source *source, const struct trib_frame_expect *expect,
                                    float *vector, double *norm, struct trib_error *error)
{
    struct difference difference = {.vector = vector};
    TRIB_TRY(trib_frame_walk(source, expect, NULL, subtract, &difference, NULL, error));
    double length = sqrt(difference.sum);
    if (!isfinite(length)) { /* squares of finite floats cannot overflow a double */
        return trib_fail(error, TRIB_NOT_FINITE, "training led to values that are not finite numbers");
    }
    *norm = length;
    return TRIB_OK;
}

/* ---- a run ---- */

static enum trib_status check_stop(const _Atomic(bool) *stop, struct trib_error *error)
{
    return atomic_load(stop) ? trib_fail(error, TRIB_CANCELLED, "the task was cancelled") : TRIB_OK;
}

static enum trib_status train(struct trib_local_training *local, const struct trib_client_task *task,
                              const _Atomic(bool) *stop, float *vector, struct trib_train_result *result,
                              struct trib_error *error)
{
    TRIB_TRY(trib_trainer_run(local->trainer, local->data->indices, local->data->dataset.n, task->seed, vector, stop,
                              result, error));
    TRIB_TRY(check_stop(stop, error));
    if (result->steps == 0) {
        return trib_fail(error, TRIB_LIMIT, "the owner's limits left no time for a single step");
    }
    return TRIB_OK;
}

/* What coding may take: plain numbers at once, everything else not more than the floats themselves. */
static size_t update_bound(const struct trib_chain *chain, size_t n)
{
    const struct trib_stage *plain = trib_chain_plain(chain);
    size_t blocks = n / TRIB_CODEC_BLOCK + 1;
    return plain != NULL ? n * plain->width : blocks * trib_chain_bound(TRIB_CODEC_BLOCK < n ? TRIB_CODEC_BLOCK : n);
}

/* Decode, train, subtract: `vector` holds the update then. */
static enum trib_status make_update(struct trib_local_training *local, const struct trib_client_task *task,
                                    struct trib_model_spool *model, const _Atomic(bool) *stop, float *vector,
                                    struct trib_client_update *update, struct trib_error *error)
{
    size_t n = local->schema.n_floats;
    const struct trib_frame_source source = trib_model_spool_source(model);
    const struct trib_frame_expect expect = {.kind = TRIB_FRAME_MODEL, .schema = local->schema.hash, .n_elements = n};
    enum trib_status status = trib_frame_decode(&source, &expect, vector, n, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "the model that was received");
    }
    TRIB_TRY(check_stop(stop, error));
    size_t frame_len = update_bound(&task->codec, n);
    size_t other = trib_model_spool_memory(model) > frame_len ? trib_model_spool_memory(model) : frame_len;
    TRIB_TRY(use_trainer(local, task, n * sizeof *vector + other, error));
    TRIB_TRY(train(local, task, stop, vector, &update->result, error));
    return form_update(&source, &expect, vector, &update->norm, error);
}

enum trib_status trib_local_training_run(struct trib_local_training *local, const struct trib_client_task *task,
                                         struct trib_model_spool **model, const _Atomic(bool) *stop,
                                         struct trib_client_update *update, struct trib_error *error)
{
    struct trib_client_update made = {0};
    TRIB_TRY(check_stop(stop, error));
    TRIB_TRY(use_plan(local, task, error));
    size_t n = local->schema.n_floats;
    /* Before anything of the model's size is allocated: the frame must be able to hold such a model at all. */
    struct trib_frame_header header;
    const struct trib_frame_source source = trib_model_spool_source(*model);
    TRIB_TRY(trib_frame_parse_header(&source, &header, error));
    if (header.n_elements != n) {
        return trib_fail(error, TRIB_MISMATCH, "the model has %" PRIu64 " values, but its plan needs %zu",
                         header.n_elements, n);
    }
    struct trib_train_limits unused;
    TRIB_TRY(
        trib_limits_for_training(&local->limits, trib_model_spool_memory(*model) + n * sizeof(float), &unused, error));
    float *vector = trib_malloc_aligned(n, sizeof *vector); /* [n_floats] */
    if (vector == NULL) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %zu values", n);
    }
    enum trib_status status = make_update(local, task, *model, stop, vector, &made, error);
    trib_model_spool_free(*model);
    *model = NULL;
    if (status == TRIB_OK) {
        const struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                           .chain = &task->codec,
                                           .seed = task->seed,
                                           .schema = local->schema.hash,
                                           .vector = vector,
                                           .n = n,
                                           .pool = local->pool};
        status = trib_frame_encode(&job, &made.frame, error);
    }
    trib_free(vector);
    if (status == TRIB_OK) {
        status = trib_sha256(trib_blob_data(made.frame), trib_blob_len(made.frame), made.sha256);
    }
    if (status != TRIB_OK) {
        trib_client_update_clear(&made);
        return status;
    }
    *update = made;
    return TRIB_OK;
}
