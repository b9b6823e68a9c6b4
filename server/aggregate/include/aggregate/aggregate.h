/* An aggregate is the arithmetic of a run's rounds: updates are folded into its strategy's sums, which become the next
 * version, which is evaluated. Its calls are jobs with inputs and results by value; they come from one thread at a
 * time, in the order of a round: begin, folds, apply, evaluate, save, commit. */
#ifndef TRIB_AGGREGATE_AGGREGATE_H
#define TRIB_AGGREGATE_AGGREGATE_H

#include "intake/spooled_set.h"
#include "release/version.h"
#include "strategy/strategy.h"
#include "train/evaluate.h"

struct trib_aggregate; /* opaque */

struct trib_aggregate_options {
    const struct trib_strategy *strategy;
    struct trib_strategy_options strategy_options;
    struct trib_sealer sealer;
    struct trib_update_rules rules;
    bool signs;                       /* of what leads to a new version: relevance is measured against them */
    struct trib_evaluator *evaluator; /* NULL: versions are not evaluated; borrowed */
    size_t examples;                  /* of the test set */
};
/* options is copied. TRIB_NO_MEMORY. */
TRIB_MUST_CHECK enum trib_status trib_aggregate_new(const struct trib_aggregate_options *options,
                                                    struct trib_aggregate **aggregate, struct trib_error *error);
void trib_aggregate_free(struct trib_aggregate *aggregate); /* NULL is allowed */

/* A round begins: all sums are 0. */
TRIB_MUST_CHECK enum trib_status trib_aggregate_begin(struct trib_aggregate *aggregate, uint64_t max_total_weight,
                                                      struct trib_error *error);
struct trib_fold {
    struct trib_frame_source source;
    struct trib_upload *upload; /* that the source reads; borrowed; NULL: the source outlives the round */
    struct trib_update_info info;
    struct trib_update_claim claim;
};
struct trib_fold_result {
    bool harmful; /* the sums were spoilt on the way: the round cannot be finished */
    bool lied;    /* the update is not what was offered */
};
/* Verify an update, and fold it; with a strategy that combines, keep it until the round is applied. *result is written
 * in any case. */
TRIB_MUST_CHECK enum trib_status trib_aggregate_fold(struct trib_aggregate *aggregate, const struct trib_fold *fold,
                                                     struct trib_fold_result *result, struct trib_error *error);
/* A fold's result is what a round came to; references of the caller's. */
struct trib_made {
    struct trib_version version;
    struct trib_blob *signs;    /* of version - base, trib_relevance_signs; NULL: not asked for */
    struct trib_blob *strategy; /* what the strategy will remember once the version is committed; NULL: nothing */
};
void trib_made_clear(struct trib_made *made);
TRIB_MUST_CHECK enum trib_status trib_aggregate_apply(struct trib_aggregate *aggregate, const struct trib_version *base,
                                                      struct trib_made *made, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_aggregate_evaluate(struct trib_aggregate *aggregate,
                                                         const struct trib_version *version,
                                                         struct trib_evaluation *evaluation, struct trib_error *error);
/* trib_aggregate_commit settles that what apply made is committed. */
void trib_aggregate_commit(struct trib_aggregate *aggregate);
/* Of a run that goes on: what the strategy has saved. */
TRIB_MUST_CHECK enum trib_status trib_aggregate_load(struct trib_aggregate *aggregate, const void *bytes, size_t len,
                                                     struct trib_error *error);
bool trib_aggregate_remembers(const struct trib_aggregate *aggregate); /* trib_aggregate_load has something to load */

#endif
