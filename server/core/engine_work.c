/* The worker: arithmetic and disk work, one piece after the other, in the order in which the engine asked. */
#include "engine_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum trib_status trib_engine_submit(struct trib_engine *engine, const struct work *work)
{
    struct event *event = trib_calloc(1, sizeof *event);
    if (!event) {
        return TRIB_NO_MEMORY;
    }
    event->kind = EVENT_WORK_DONE;
    event->work = *work;
    pthread_mutex_lock(&engine->worker.mutex);
    *engine->worker.queue.last = event;
    engine->worker.queue.last = &event->next;
    pthread_cond_signal(&engine->worker.cond);
    pthread_mutex_unlock(&engine->worker.mutex);
    return TRIB_OK;
}

/* The round's sums are not needed any more; a strategy that remembers keeps the rest. */
static void forget_round(struct trib_engine *engine)
{
    const struct trib_strategy *strategy = engine->worker.strategy;
    if (engine->worker.begun && !(strategy->caps & TRIB_STRATEGY_REMEMBERS)) {
        strategy->clear(engine->worker.state);
    }
    engine->worker.begun = false;
}

static enum trib_status begin(struct trib_engine *engine, struct work *work)
{
    const struct trib_server_settings *s = engine->settings;
    const struct trib_strategy *strategy = engine->worker.strategy;
    struct trib_strategy_options options = {.server_learning_rate = s->server_learning_rate};
    forget_round(engine);
    trib_version_clear(&engine->worker.next);
    TRIB_TRY(strategy->begin(engine->worker.state, &options, engine->schema.n_floats, s->max_abs,
                             work->max_total_weight, &work->error));
    engine->worker.begun = true;
    engine->worker.spoilt = false;
    return TRIB_OK;
}

/* ---- verifying and folding one update ---- */

struct fold {
    struct trib_engine *engine;
    const struct trib_update_info *info;
    const uint8_t *sketch; /* NULL: none was offered */
    struct trib_sketch_plan plan;
    _Atomic(uint64_t) contradictions;
    double max_abs;
    double *squares; /* [blocks]: summed in their order, whichever thread was first */
};

static enum trib_status check_block(void *context, size_t first, const float *values, size_t n,
                                    struct trib_error *error)
{
    struct fold *fold = context;
    float largest = 0;
    double lanes[8] = {0};
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(values[i]);
        largest = magnitude > largest ? magnitude : largest;
        lanes[i % 8] += (double)values[i] * (double)values[i];
    }
    double *sum = &fold->squares[first / TRIB_CODEC_BLOCK];
    for (int i = 0; i < 8; i++) {
        *sum += lanes[i];
    }
    if ((double)largest > fold->max_abs) {
        return trib_fail(error, TRIB_LIMIT, "an element among %zu to %zu has magnitude %g, above strategy.max_abs %g",
                         first, first + n - 1, (double)largest, fold->max_abs);
    }
    if (fold->sketch) {
        atomic_fetch_add(&fold->contradictions,
                         trib_sketch_contradictions(&fold->plan, fold->sketch, first, values, n));
    }
    return TRIB_OK;
}

static enum trib_status fold_block(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    struct fold *fold = context;
    fold->engine->worker.strategy->fold(fold->engine->worker.state, fold->info, first, values, n);
    return TRIB_OK;
}

static enum trib_status check_codec(const struct trib_engine *engine, const struct trib_frame_source *source,
                                    struct trib_error *error)
{
    struct trib_frame_header header;
    TRIB_TRY(trib_frame_parse_header(source, &header, error));
    return trib_uplink_accepts(&engine->uplink, &header.chain, error);
}

static enum trib_status verify_update(struct trib_engine *engine, struct work *work,
                                      const struct trib_frame_source *source, const struct trib_frame_expect *expect)
{
    const struct trib_server_settings *s = engine->settings;
    struct fold fold = {
        .engine = engine,
        .info = &work->info,
        .sketch = work->sketch,
        .plan = trib_sketch_plan(engine->run, work->task_round, engine->relevance.k, engine->schema.n_floats),
        .max_abs = s->max_abs};
    TRIB_TRY(check_codec(engine, source, &work->error));
    size_t n_blocks = engine->schema.n_floats / TRIB_CODEC_BLOCK + 1;
    fold.squares = trib_calloc(n_blocks, sizeof *fold.squares);
    if (!fold.squares) {
        return trib_fail_no_memory(&work->error);
    }
    enum trib_status status = trib_frame_walk(source, expect, engine->pool, check_block, &fold, NULL, &work->error);
    double sum = 0;
    for (size_t i = 0; i < n_blocks; i++) {
        sum += fold.squares[i];
    }
    trib_free(fold.squares);
    TRIB_TRY(status);
    if (fold.contradictions > 0) {
        work->lied = true;
        return trib_fail(&work->error, TRIB_MISMATCH,
                         "the update contradicts the sketch that was offered for it, at %" PRIu64 " of %" PRIu64
                         " positions",
                         (uint64_t)fold.contradictions, fold.plan.k);
    }
    double norm = sqrt(sum);
    if (s->max_norm > 0 && norm > s->max_norm) {
        return trib_fail(&work->error, TRIB_LIMIT, "the update's L2 norm is %g, above strategy.max_norm %g", norm,
                         s->max_norm);
    }
    return TRIB_OK;
}

static enum trib_status fold_update(struct trib_engine *engine, struct work *work)
{
    if (!engine->worker.begun || engine->worker.spoilt) {
        work->harmful = true;
        return trib_fail(&work->error, TRIB_UNAVAILABLE, "the round's accumulator is not ready");
    }
    if (!work->upload) {
        return trib_fail(&work->error, TRIB_NOT_FOUND, "the upload is gone");
    }
    if (engine->relevance.k > 0 && !work->sketch) {
        return trib_fail(&work->error, TRIB_MISMATCH, "the sketch that was offered for it is gone");
    }
    struct trib_frame_source source = trib_upload_source(work->upload);
    struct trib_frame_expect expect = {
        .kind = TRIB_FRAME_UPDATE, .schema = engine->schema.hash, .n_elements = engine->schema.n_floats};
    struct fold fold = {.engine = engine, .info = &work->info};
    TRIB_TRY(verify_update(engine, work, &source, &expect));
    TRIB_TRY(engine->worker.strategy->fold_begin(engine->worker.state, &work->info, &work->error));
    enum trib_status status = trib_frame_walk(&source, &expect, engine->pool, fold_block, &fold, NULL, &work->error);
    if (status != TRIB_OK) {
        engine->worker.spoilt = true; /* a part of it is in the sums already */
        work->harmful = true;
    }
    return status;
}

/* ---- the next model ---- */

static bool all_finite(const float *vector, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += vector[i] * 0.0f; /* 0, or nan once an element is not finite */
    }
    return sum == 0.0f;
}

static enum trib_status apply(struct trib_engine *engine, struct work *work)
{
    if (!engine->worker.begun || engine->worker.spoilt) {
        return trib_fail(&work->error, TRIB_INTERNAL, "the round's accumulator is not ready");
    }
    const struct trib_version *present = trib_release_present(engine->release);
    size_t n = engine->schema.n_floats;
    float *next = NULL;
    struct trib_blob *raw = trib_sealer_blank(&engine->sealer, &next);
    if (!raw) {
        return trib_fail(&work->error, TRIB_NO_MEMORY, "out of memory for the next model");
    }
    enum trib_status status =
        engine->worker.strategy->finish(engine->worker.state, present->vector, next, &work->error);
    forget_round(engine);
    if (status == TRIB_OK && !all_finite(next, n)) {
        status = trib_fail(&work->error, TRIB_NOT_FINITE,
                           "the new model is not finite; lower strategy.learning_rate or training.learning_rate");
    }
    if (status != TRIB_OK) {
        trib_blob_unref(raw);
        return status;
    }
    TRIB_TRY(trib_sealer_seal(&engine->sealer, raw, present, &engine->worker.next, &work->error));
    trib_free(engine->worker.next_signs);
    engine->worker.next_signs = NULL;
    if (engine->relevance.k > 0 && !engine->relevance.majority) {
        engine->worker.next_signs = trib_relevance_signs(present->vector, engine->worker.next.vector, n);
        return engine->worker.next_signs ? TRIB_OK : trib_fail_no_memory(&work->error);
    }
    return TRIB_OK;
}

static enum trib_status evaluate(struct trib_engine *engine, struct work *work)
{
    return trib_evaluator_run(engine->worker.evaluator, engine->worker.next.vector, NULL, engine->test_set.n,
                              &engine->worker.evaluation, &work->error);
}

static void do_work(struct trib_engine *engine, struct work *work)
{
    static enum trib_status (*const kinds[])(struct trib_engine *, struct work *) = {
        [WORK_BEGIN] = begin,       [WORK_FOLD] = fold_update,          [WORK_APPLY] = apply,
        [WORK_EVALUATE] = evaluate, [WORK_COMMIT] = trib_engine_commit, [WORK_NOTE] = trib_engine_write_notes,
    };
    work->error.message[0] = 0;
    enum trib_status status = kinds[work->kind](engine, work);
    work->ok = status == TRIB_OK;
    if (!work->ok && !work->error.message[0]) {
        (void)trib_fail(&work->error, status, "%s", trib_status_text(status));
    }
    trib_upload_unref(work->upload);
    work->upload = NULL;
    trib_free(work->sketch);
    work->sketch = NULL;
    trib_notes_clear(&work->notes);
}

/* The first piece of work that waits, or NULL. Under the worker's mutex. */
static struct event *take_work(struct trib_engine *engine)
{
    struct event *event = engine->worker.queue.first;
    if (event) {
        engine->worker.queue.first = event->next;
        if (!event->next) {
            engine->worker.queue.last = &engine->worker.queue.first;
        }
    }
    return event;
}

bool trib_engine_work_once(struct trib_engine *engine)
{
    pthread_mutex_lock(&engine->worker.mutex);
    struct event *event = take_work(engine);
    pthread_mutex_unlock(&engine->worker.mutex);
    if (event) {
        do_work(engine, &event->work);
        trib_engine_post(engine, event);
    }
    return event;
}

void *trib_engine_worker(void *context)
{
    struct trib_engine *engine = context;
    pthread_mutex_lock(&engine->worker.mutex);
    for (;;) {
        struct event *event = take_work(engine);
        if (event) {
            pthread_mutex_unlock(&engine->worker.mutex);
            do_work(engine, &event->work);
            trib_engine_post(engine, event);
            pthread_mutex_lock(&engine->worker.mutex);
        } else if (engine->worker.stop) {
            break;
        } else {
            pthread_cond_wait(&engine->worker.cond, &engine->worker.mutex);
        }
    }
    pthread_mutex_unlock(&engine->worker.mutex);
    return NULL;
}
