/* One strategy's state, and what may be done with it when. */
#include "aggregate/aggregate.h"

#include "base/mem.h"
#include "select/relevance.h"
#include "strategy/combine.h"

struct trib_aggregate {
    struct trib_aggregate_options options;
    void *state;                 /* the strategy's */
    struct trib_spooled_set set; /* of a strategy that combines: the round's updates */
    bool begun;                  /* the round's sums, or its set, are ready */
    bool spoilt;                 /* ... and not worth anything any more */
};

enum trib_status trib_aggregate_new(const struct trib_aggregate_options *options, struct trib_aggregate **aggregate,
                                    struct trib_error *error)
{
    struct trib_aggregate *made = trib_calloc(1, sizeof *made);
    void *state = trib_calloc(1, options->strategy->state_size);
    if (!made || !state) {
        trib_free(made);
        trib_free(state);
        return trib_fail_no_memory(error);
    }
    made->options = *options;
    made->options.strategy_options.gives = TRIB_STRATEGY_NEEDS_SET;
    made->set.rules = &made->options.rules;
    made->state = state;
    *aggregate = made;
    return TRIB_OK;
}

void trib_aggregate_free(struct trib_aggregate *aggregate)
{
    if (aggregate) {
        trib_spooled_set_clear(&aggregate->set);
        aggregate->options.strategy->clear(aggregate->state);
        trib_free(aggregate->state);
        trib_free(aggregate);
    }
}

/* The round's sums are not needed any more; a strategy that remembers keeps the rest. */
static void forget_round(struct trib_aggregate *aggregate)
{
    const struct trib_strategy *strategy = aggregate->options.strategy;
    trib_spooled_set_clear(&aggregate->set);
    if (aggregate->begun && !(strategy->caps & TRIB_STRATEGY_REMEMBERS)) {
        strategy->clear(aggregate->state);
    }
    aggregate->begun = false;
}

enum trib_status trib_aggregate_begin(struct trib_aggregate *aggregate, uint64_t max_total_weight,
                                      struct trib_error *error)
{
    const struct trib_aggregate_options *o = &aggregate->options;
    forget_round(aggregate);
    TRIB_TRY(o->strategy->begin(aggregate->state, &o->strategy_options, o->rules.n, o->rules.max_abs, max_total_weight,
                                error));
    aggregate->begun = true;
    aggregate->spoilt = false;
    return TRIB_OK;
}

/* ---- one update ---- */

struct folding {
    struct trib_aggregate *aggregate;
    const struct trib_update_info *info;
};

static enum trib_status fold_block(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    const struct folding *folding = context;
    const struct trib_aggregate *aggregate = folding->aggregate;
    aggregate->options.strategy->fold(aggregate->state, folding->info, first, values, n);
    return TRIB_OK;
}

enum trib_status trib_aggregate_fold(struct trib_aggregate *aggregate, const struct trib_fold *fold,
                                     struct trib_fold_result *result, struct trib_error *error)
{
    const struct trib_aggregate_options *o = &aggregate->options;
    const struct trib_frame_expect expect = trib_update_expect(&o->rules);
    struct folding folding = {.aggregate = aggregate, .info = &fold->info};
    *result = (struct trib_fold_result){0};
    if (!aggregate->begun || aggregate->spoilt) {
        result->harmful = true;
        return trib_fail(error, TRIB_UNAVAILABLE, "the round's accumulator is not ready");
    }
    TRIB_TRY(trib_update_verify(&fold->source, &o->rules, &fold->claim, &result->lied, error));
    if (o->strategy->combine) {
        return trib_spooled_set_add(&aggregate->set, fold->upload, &fold->source, &fold->info, error);
    }
    TRIB_TRY(o->strategy->fold_begin(aggregate->state, &fold->info, error));
    enum trib_status status = trib_frame_walk(&fold->source, &expect, o->rules.pool, fold_block, &folding, NULL, error);
    if (status != TRIB_OK) { /* a part of it is in the sums already */
        result->harmful = aggregate->spoilt = true;
    }
    return status;
}

/* ---- the next version ---- */

void trib_made_clear(struct trib_made *made)
{
    trib_version_clear(&made->version);
    trib_blob_unref(made->signs);
    trib_blob_unref(made->strategy);
    *made = (struct trib_made){0};
}

static bool all_finite(const float *vector, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += vector[i] * 0.0f; /* 0, or nan once an element is not finite */
    }
    return sum == 0.0f;
}

static enum trib_status save_strategy(struct trib_aggregate *aggregate, struct trib_blob **saved,
                                      struct trib_error *error)
{
    const struct trib_strategy *strategy = aggregate->options.strategy;
    size_t len = strategy->saved_len ? strategy->saved_len(aggregate->state) : 0;
    if (len == 0) {
        return TRIB_OK;
    }
    struct trib_blob *bytes = trib_blob_new(len);
    if (!bytes) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for the state of strategy %s", strategy->name);
    }
    strategy->save(aggregate->state, trib_blob_fill(bytes));
    *saved = bytes;
    return TRIB_OK;
}

/* Every update at once, by panels: the direction into next[n]. */
static enum trib_status combine(struct trib_aggregate *aggregate, float *next, struct trib_error *error)
{
    const struct trib_update_set set = trib_spooled_set_view(&aggregate->set);
    const struct trib_combination combination = {.strategy = aggregate->options.strategy,
                                                 .state = aggregate->state,
                                                 .set = &set,
                                                 .pool = aggregate->options.rules.pool};
    return trib_combine(&combination, next, error);
}

static enum trib_status finish(struct trib_aggregate *aggregate, const struct trib_version *base,
                               struct trib_blob **raw, struct trib_error *error)
{
    const struct trib_aggregate_options *o = &aggregate->options;
    float *next = NULL;
    struct trib_blob *made = trib_sealer_blank(&o->sealer, &next);
    if (!made) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for the next model");
    }
    double step = 1;
    enum trib_status status = o->strategy->combine ? combine(aggregate, next, error) : TRIB_OK;
    if (status == TRIB_OK) {
        status = o->strategy->finish(aggregate->state, next, &step, error);
    }
    forget_round(aggregate);
    if (status == TRIB_OK) {
        trib_strategy_apply(base->vector, next, step, o->rules.n, next);
    }
    if (status == TRIB_OK && !all_finite(next, o->rules.n)) {
        status = trib_fail(error, TRIB_NOT_FINITE,
                           "the new model is not finite; lower strategy.learning_rate or training.learning_rate");
    }
    if (status != TRIB_OK) {
        trib_blob_unref(made);
        return status;
    }
    *raw = made;
    return TRIB_OK;
}

enum trib_status trib_aggregate_apply(struct trib_aggregate *aggregate, const struct trib_version *base,
                                      struct trib_made *made, struct trib_error *error)
{
    const struct trib_aggregate_options *o = &aggregate->options;
    struct trib_made result = {0};
    struct trib_blob *raw = NULL;
    if (!aggregate->begun || aggregate->spoilt) {
        return trib_fail(error, TRIB_INTERNAL, "the round's accumulator is not ready");
    }
    TRIB_TRY(finish(aggregate, base, &raw, error));
    TRIB_TRY(trib_sealer_seal(&o->sealer, raw, base, &result.version, error));
    enum trib_status status = TRIB_OK;
    if (o->signs) {
        result.signs = trib_relevance_signs(base->vector, result.version.vector, o->rules.n);
        status = result.signs ? TRIB_OK : trib_fail_no_memory(error);
    }
    if (status == TRIB_OK) {
        status = save_strategy(aggregate, &result.strategy, error);
    }
    if (status != TRIB_OK) {
        trib_made_clear(&result);
        return status;
    }
    *made = result;
    return TRIB_OK;
}

enum trib_status trib_aggregate_evaluate(struct trib_aggregate *aggregate, const struct trib_version *version,
                                         struct trib_evaluation *evaluation, struct trib_error *error)
{
    const struct trib_aggregate_options *o = &aggregate->options;
    return trib_evaluator_run(o->evaluator, version->vector, NULL, o->examples, evaluation, error);
}

void trib_aggregate_commit(struct trib_aggregate *aggregate)
{
    if (aggregate->options.strategy->commit) {
        aggregate->options.strategy->commit(aggregate->state);
    }
}

bool trib_aggregate_remembers(const struct trib_aggregate *aggregate)
{
    return aggregate->options.strategy->load;
}

enum trib_status trib_aggregate_load(struct trib_aggregate *aggregate, const void *bytes, size_t len,
                                     struct trib_error *error)
{
    const struct trib_aggregate_options *o = &aggregate->options;
    return o->strategy->load(aggregate->state, o->rules.n, bytes, len, error);
}
