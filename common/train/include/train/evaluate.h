/* Evaluation of a model on a dataset. */
#ifndef TRIB_TRAIN_EVALUATE_H
#define TRIB_TRAIN_EVALUATE_H

#include "train/trainer.h"

struct trib_evaluation {
    uint64_t examples, correct;
    double loss, accuracy; /* means; accuracy is nan for regression */
};
struct trib_evaluator; /* opaque; one thread at a time */

/* An evaluator takes a graph as from the zoo, and turns it into its inference form. batch: examples at a time. */
TRIB_MUST_CHECK enum trib_status trib_evaluator_new(const struct trib_graph *graph, enum trib_loss loss,
                                                    const struct trib_dataset *dataset,
                                                    const struct trib_backend *backend, struct trib_thread_pool *pool,
                                                    int64_t batch, struct trib_evaluator **evaluator,
                                                    struct trib_error *error);
void trib_evaluator_free(struct trib_evaluator *evaluator);
/* The model is a flat vector and is not changed. indices NULL = the whole dataset in order. */
TRIB_MUST_CHECK enum trib_status trib_evaluator_run(struct trib_evaluator *evaluator, const float *model,
                                                    const uint32_t *indices, size_t n,
                                                    struct trib_evaluation *evaluation, struct trib_error *error);

#endif
