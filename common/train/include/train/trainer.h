/* A trainer does local training: a model graph, a recipe and a dataset in; a trained model and its figures out. */
#ifndef TRIB_TRAIN_TRAINER_H
#define TRIB_TRAIN_TRAINER_H

#include "backend/backend.h"
#include "data/dataset.h"
#include "model/schema.h"

enum trib_loss { TRIB_LOSS_CROSS_ENTROPY, TRIB_LOSS_MSE, TRIB_LOSS_COUNT };
enum trib_optimizer { TRIB_OPTIMIZER_SGD, TRIB_OPTIMIZER_COUNT };
const char *trib_loss_name(enum trib_loss loss); /* "cross_entropy", "mse" */
const char *trib_optimizer_name(enum trib_optimizer optimizer);

/* A recipe is what the server asks for; checked by trib_recipe_check before use, since it comes over the wire. */
struct trib_recipe {
    enum trib_loss loss;
    enum trib_optimizer optimizer;
    uint32_t epochs, batch_size; /* epochs over the client's examples; the last batch may be smaller */
    uint32_t max_steps;          /* 0 = no limit */
    float learning_rate;         /* of this round, decay already applied */
    float momentum, weight_decay;
    float clip_norm;   /* of each step's gradient, before decay and the proximal term; 0 = off */
    float proximal_mu; /* FedProx (Li et al. 2020): + mu/2 |w - w_round|^2; 0 = off */
};
TRIB_MUST_CHECK enum trib_status trib_recipe_check(const struct trib_recipe *recipe, struct trib_error *error);

/* The owner's limits; the first that is reached stops the training cleanly at a step's end. 0 = none. */
struct trib_train_limits {
    uint32_t max_epochs;
    int64_t max_ms;
    size_t max_bytes; /* of arena, gradients and momentum: TRIB_LIMIT at construction */
};
struct trib_train_result {
    uint64_t examples; /* distinct examples of the client's dataset */
    uint64_t steps, examples_seen;
    double first_loss, mean_loss; /* mean over the examples of the first / the last epoch, each as its step met it */
    double accuracy;              /* of the last epoch's training batches; nan for regression */
    int64_t ms;
    bool stopped_early; /* a limit or the stop flag; max_steps is the recipe's, not a limit */
};

struct trib_trainer; /* opaque: plans and buffers of one model on one backend; one thread at a time */

/* The graph is a model as the zoo makes it; copied. dataset, backend and pool (may be NULL) are borrowed and live as
 * long; limits may be NULL. Differentiates, runs the passes, compiles for the batch sizes it
 * meets. TRIB_MISMATCH when the dataset's examples or classes do not fit, with both shapes. */
TRIB_MUST_CHECK enum trib_status trib_trainer_new(const struct trib_graph *graph, const struct trib_recipe *recipe,
                                                  const struct trib_dataset *dataset,
                                                  const struct trib_backend *backend, struct trib_thread_pool *pool,
                                                  const struct trib_train_limits *limits, struct trib_trainer **trainer,
                                                  struct trib_error *error);
void trib_trainer_free(struct trib_trainer *trainer);
const struct trib_schema *trib_trainer_schema(const struct trib_trainer *trainer);
/* Change what may differ between rounds without recompiling (learning rate, epochs, mu ...); the batch size and the
 * loss may change too, at the price of compiling again. */
TRIB_MUST_CHECK enum trib_status trib_trainer_set_recipe(struct trib_trainer *trainer, const struct trib_recipe *recipe,
                                                         struct trib_error *error);
/* Train `model` (schema->n_floats, in place) on examples indices[0..n). Shuffles by (seed, epoch); momentum starts at
 * zero. `stop` (may be NULL) is polled between steps; without a single step the losses are nan. A loss, clipped
 * gradient or final model that is not finite ends with TRIB_NOT_FINITE. After a failure the model holds the steps
 * taken so far: throw it away. */
TRIB_MUST_CHECK enum trib_status trib_trainer_run(struct trib_trainer *trainer, const uint32_t *indices, size_t n,
                                                  uint64_t seed, float *model, const _Atomic(bool) *stop,
                                                  struct trib_train_result *result, struct trib_error *error);
/* An explanation shows the passes' work on this graph: before and after each pass, and the memory plan. */
TRIB_MUST_CHECK enum trib_status trib_trainer_explain(const struct trib_graph *graph, enum trib_loss loss,
                                                      int64_t batch, struct trib_buf *text, struct trib_error *error);

#endif
