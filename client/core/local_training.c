/* A task's training runs on this node's examples.
 *
 * Memory: the received frame (in memory or spooled), one vector of floats that is first the model, then the trained
 * model, then the update, and the trainer's buffers. The received values are read from their frame a second time to
 * form the difference, instead of being kept. The frame is freed before the update is coded, unless it is held for the
 * next task and the owner's limits have room for it. A sketch takes a byte for each of its positions while the update
 * is coded. */
#include "client/local_training.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/sketch.h"
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
    if (local->has_graph) {
        trib_schema_clear(&local->schema);
        trib_graph_free(local->graph);
        local->graph = NULL;
        local->has_graph = false;
    }
}

static enum trib_status use_graph(struct trib_local_training *local, const struct trib_client_task *task,
                                  struct trib_error *error)
{
    if (local->has_graph && memcmp(local->graph_sha256, task->graph_sha256, sizeof local->graph_sha256) == 0) {
        return TRIB_OK;
    }
    trib_local_training_forget(local);
    TRIB_TRY(trib_graph_unpack(trib_blob_data(task->graph), trib_blob_len(task->graph), &local->graph, error));
    enum trib_status status = trib_schema_init(&local->schema, local->graph, error);
    if (status != TRIB_OK) {
        trib_graph_free(local->graph);
        local->graph = NULL;
        return status;
    }
    memcpy(local->graph_sha256, task->graph_sha256, sizeof local->graph_sha256);
    local->has_graph = true;
    return TRIB_OK;
}

/* A trainer for this task's recipe, within what the owner's limits leave. */
static enum trib_status use_trainer(struct trib_local_training *local, const struct trib_client_task *task,
                                    size_t held_bytes, struct trib_error *error)
{
    struct trib_train_limits limits;
    TRIB_TRY(trib_limits_for_training(&local->limits, held_bytes, &limits, error));
    if (local->trainer && limits.max_bytes < local->trainer_bytes) {
        trib_trainer_free(local->trainer);
        local->trainer = NULL;
    }
    if (local->trainer) {
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

static double norm_of(const float *vector, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    return sqrt(sum);
}

/* ---- the task's model ---- */

/* Will this server send deltas to it? Of the first version that it cannot make again, it does not say. */
static bool is_worth_holding(const struct trib_client_task *task)
{
    return task->n_deltas > 0 || task->has_initialisation || task->model_version == 0;
}

/* *model stays the cache's or the delivery's. */
static enum trib_status use_whole(struct trib_local_training *local, const struct trib_client_task *task,
                                  struct trib_model_delivery *delivery, struct trib_model_spool **model,
                                  struct trib_error *error)
{
    if (delivery->n_spools != 1) {
        return trib_fail(error, TRIB_INTERNAL, "the downloaded model is gone");
    }
    *model = delivery->spools[0];
    if (is_worth_holding(task)) {
        trib_model_cache_put(&local->cache, task, &delivery->spools[0]);
        *model = local->cache.spool;
    }
    return TRIB_OK;
}

static enum trib_status use_held(struct trib_local_training *local, const struct trib_client_task *task,
                                 struct trib_model_delivery *delivery, struct trib_model_spool **model,
                                 struct trib_error *error)
{
    enum trib_status status = TRIB_OK;
    if (delivery->route.way != TRIB_MODEL_HELD) {
        if (local->limits.max_bytes > 0) { /* the trainer's share was reckoned without the deltas */
            trib_trainer_free(local->trainer);
            local->trainer = NULL;
        }
        status = trib_model_cache_build(&local->cache, &local->schema, task, delivery, local->pool, error);
        bool unusable = status != TRIB_OK;
        trib_model_delivery_clear(delivery);
        delivery->unusable = unusable;
    } else if (!local->cache.spool ||
               memcmp(local->cache.held.sha256, task->model_sha256, sizeof task->model_sha256) != 0) {
        delivery->unusable = true;
        status = trib_fail(error, TRIB_NOT_FOUND, "the model is not held any more");
    }
    *model = local->cache.spool;
    return status;
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
    TRIB_TRY(trib_trainer_run(local->trainer, local->data->indices, local->data->n, task->seed, vector, stop, result,
                              error));
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
    return plain ? n * plain->width : blocks * trib_chain_bound(TRIB_CODEC_BLOCK < n ? TRIB_CODEC_BLOCK : n);
}

static struct trib_sketch_plan plan_sketch(const struct trib_client_task *task, size_t n)
{
    return trib_sketch_plan(task->run, task->round, task->sketch_positions, n);
}

/* Both the model and the update in memory, or one after the other? *keep: the model is to be held; off when that leaves
 * no room for training. */
static enum trib_status share_memory(struct trib_local_training *local, const struct trib_client_task *task,
                                     size_t model_bytes, bool *keep, struct trib_error *error)
{
    const struct trib_sketch_plan sketch = plan_sketch(task, local->schema.n_floats);
    size_t vector_bytes = local->schema.n_floats * sizeof(float) + (size_t)sketch.k + trib_sketch_bytes(sketch.k) +
                          trib_feedback_store_memory(local->feedback, task->feedback.kind, local->schema.n_floats);
    size_t frame_bytes = update_bound(&task->codec, local->schema.n_floats);
    size_t larger = model_bytes > frame_bytes ? model_bytes : frame_bytes;
    if (*keep && model_bytes > 0) {
        enum trib_status status = use_trainer(local, task, vector_bytes + model_bytes + frame_bytes, error);
        if (status != TRIB_LIMIT) {
            return status;
        }
        *keep = false;
    }
    return use_trainer(local, task, vector_bytes + larger, error);
}

/* Room for the states of error feedback, which the owner's limits.disk gives them before the model that is held. */
static enum trib_status reserve_feedback(struct trib_local_training *local, const struct trib_client_task *task,
                                         bool *keep, struct trib_error *error)
{
    const uint64_t len = trib_feedback_store_disk(local->feedback, task->feedback.kind, local->schema.n_floats);
    struct trib_error fault = {.message = ""};
    enum trib_status status = trib_disk_budget_set(local->budget, TRIB_DISK_FEEDBACK, len, &fault);
    if (status == TRIB_LIMIT && *keep &&
        trib_disk_budget_exchange(local->budget, TRIB_DISK_FEEDBACK, len, TRIB_DISK_MODEL, NULL) == TRIB_OK) {
        /* Its file goes before a state is written. */
        status = TRIB_OK;
        trib_log(TRIB_LOG_WARN, "client", "held_model_dropped", TRIB_F_STR("run", task->run),
                 TRIB_F_INT("model_version", task->model_version), TRIB_F_STR("reason", fault.message));
        *keep = false;
    }
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, status, "%s", fault.message);
}

/* Decode, train, subtract: `vector` holds the update then. */
static enum trib_status make_update(struct trib_local_training *local, const struct trib_client_task *task,
                                    struct trib_model_spool *model, const _Atomic(bool) *stop, float *vector,
                                    bool *keep, struct trib_client_update *update, struct trib_error *error)
{
    size_t n = local->schema.n_floats;
    const struct trib_frame_source source = trib_model_spool_source(model);
    const struct trib_frame_expect expect = {.kind = TRIB_FRAME_MODEL, .schema = local->schema.hash, .n_elements = n};
    enum trib_status status = trib_frame_decode(&source, &expect, vector, n, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "the model that was received");
    }
    TRIB_TRY(check_stop(stop, error));
    TRIB_TRY(share_memory(local, task, trib_model_spool_memory(model), keep, error));
    TRIB_TRY(train(local, task, stop, vector, &update->result, error));
    return form_update(&source, &expect, vector, &update->norm, error);
}

static enum trib_status choose_codec(const struct trib_client_task *task, const float *vector, size_t n,
                                     struct trib_choice *choice, struct trib_client_update *update,
                                     struct trib_error *error)
{
    TRIB_TRY(trib_choose_chain(&task->target, task->upload_rate, task->seed, vector, n, choice, error));
    (void)trib_str_copy(update->codec, sizeof update->codec, choice->chain.text);
    (void)trib_str_copy(update->codec_reason, sizeof update->codec_reason, choice->reason);
    return TRIB_OK;
}

/* What is learnt from the update while it is coded. */
struct coding {
    struct trib_feedback_coding feedback;
    struct trib_sketch_plan sketch;
    uint8_t *signs; /* [sketch.k]; NULL when that is 0 */
};

static void see_decoded(void *context, size_t first, const float *values, size_t n)
{
    struct coding *coding = context;
    if (coding->signs) { /* first: it looks at the vector, which feedback writes over */
        trib_sketch_take(&coding->sketch, coding->signs, first, coding->feedback.vector + first, values, n);
    }
    if (coding->feedback.kind != TRIB_FEEDBACK_NONE) {
        trib_feedback_decoded(&coding->feedback, first, values, n);
    }
}

/* The update's frame and, if the task asks for one, its sketch. */
static enum trib_status encode(const struct trib_client_task *task, struct trib_frame_job *job, float *vector,
                               struct trib_client_update *update, struct trib_error *error)
{
    struct coding coding = {.feedback = {.kind = task->feedback.kind, .vector = vector},
                            .sketch = plan_sketch(task, job->n)};
    const uint64_t k = coding.sketch.k;
    if (k > 0) {
        coding.signs = trib_malloc((size_t)k);
        update->sketch = trib_blob_new(trib_sketch_bytes(k));
        if (!coding.signs || !update->sketch) {
            trib_free(coding.signs);
            return trib_fail_no_memory(error);
        }
    }
    if (k > 0 || task->feedback.kind != TRIB_FEEDBACK_NONE) {
        job->decoded = see_decoded;
        job->context = &coding;
    }
    enum trib_status status = trib_frame_encode(job, &update->frame, error);
    if (status == TRIB_OK && k > 0) {
        trib_sketch_pack(coding.signs, k, trib_blob_fill(update->sketch));
    }
    trib_free(coding.signs);
    return status;
}

/* With error feedback: the vector becomes what is coded, and then what the next state is made from. */
static enum trib_status code_update(struct trib_local_training *local, const struct trib_client_task *task,
                                    float *vector, struct trib_client_update *update, struct trib_error *error)
{
    const size_t n = local->schema.n_floats;
    const struct trib_feedback_round round = {.feedback = task->feedback,
                                              .run = task->run,
                                              .schema = local->schema.hash,
                                              .round = task->round,
                                              .folded_round = task->folded_round};
    struct trib_choice choice;
    struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                 .chain = &task->codec,
                                 .seed = task->seed,
                                 .schema = local->schema.hash,
                                 .vector = vector,
                                 .n = n,
                                 .pool = local->pool};
    uint64_t known = 0;
    TRIB_TRY(trib_feedback_store_begin(local->feedback, &round, vector, n, &known, error));
    if (task->feedback.kind != TRIB_FEEDBACK_NONE) {
        update->norm = norm_of(vector, n);
    }
    update->feedback_round = task->feedback.kind == TRIB_FEEDBACK_EF21 ? known : 0;
    enum trib_status status = TRIB_OK;
    if (task->choose) {
        status = choose_codec(task, vector, n, &choice, update, error);
        job.chain = &choice.chain;
    }
    if (status == TRIB_OK) {
        status = encode(task, &job, vector, update, error);
    }
    if (status == TRIB_OK) {
        return trib_feedback_store_keep(local->feedback, vector, error);
    }
    /* What ef and dgc have gathered may have grown too large; ef21's only follows the updates. */
    bool to_blame = status == TRIB_NOT_FINITE && task->feedback.kind != TRIB_FEEDBACK_EF21;
    trib_feedback_store_abandon(local->feedback, to_blame ? "with it, an update could not be coded" : NULL);
    return status;
}

enum trib_status trib_local_training_run(struct trib_local_training *local, const struct trib_client_task *task,
                                         struct trib_model_delivery *delivery, const _Atomic(bool) *stop,
                                         struct trib_client_update *update, struct trib_error *error)
{
    struct trib_client_update made = {0};
    struct trib_model_spool *model = NULL;
    TRIB_TRY(check_stop(stop, error));
    TRIB_TRY(use_graph(local, task, error));
    TRIB_TRY((delivery->route.way == TRIB_MODEL_WHOLE ? use_whole : use_held)(local, task, delivery, &model, error));
    bool keep = model == local->cache.spool;
    size_t n = local->schema.n_floats;
    /* Before anything of the model's size is allocated: the frame must be able to hold such a model at all. */
    struct trib_frame_header header;
    const struct trib_frame_source source = trib_model_spool_source(model);
    TRIB_TRY(trib_frame_parse_header(&source, &header, error));
    if (header.n_elements != n) {
        return trib_fail(error, TRIB_MISMATCH, "the model has %" PRIu64 " values, but its plan needs %zu",
                         header.n_elements, n);
    }
    TRIB_TRY(trib_limits_check_sketch(plan_sketch(task, n).k, error));
    struct trib_train_limits unused;
    TRIB_TRY(
        trib_limits_for_training(&local->limits, trib_model_spool_memory(model) + n * sizeof(float), &unused, error));
    float *vector = trib_malloc_aligned(n, sizeof *vector); /* [n_floats] */
    if (!vector) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %zu values", n);
    }
    enum trib_status status = reserve_feedback(local, task, &keep, error);
    if (status == TRIB_OK) {
        status = make_update(local, task, model, stop, vector, &keep, &made, error);
    }
    if (!keep) {
        if (model == local->cache.spool) {
            trib_model_cache_drop(&local->cache);
        }
        trib_model_delivery_clear(delivery);
    }
    if (status == TRIB_OK) {
        status = code_update(local, task, vector, &made, error);
    }
    trib_free(vector);
    if (status == TRIB_OK) {
        status = trib_sha256(trib_blob_data(made.frame), trib_blob_len(made.frame), made.sha256);
        if (status != TRIB_OK) {
            (void)trib_fail(error, status, "the update cannot be hashed: %s", trib_status_text(status));
        }
    }
    if (status != TRIB_OK) {
        trib_client_update_clear(&made);
        return status;
    }
    *update = made;
    return TRIB_OK;
}
