/* Local training: one trainer, one thread at a time; the pool's threads help within a step.
 * The result of a run depends on the model, the recipe, the examples and the seed alone, not on threads, batches
 * compiled earlier, or runs before. */
#include "train/trainer.h"

#include "loss.h"
#include "optimizer.h"
#include "program.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/autograd.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* What a recipe needs: replaced as a whole when another recipe needs something else. */
struct setup {
    struct trib_recipe recipe;
    int64_t batch; /* examples of a full batch */
    struct trib_program program;
    float *x;        /* [batch, example...] */
    void *y;         /* [batch] */
    float *velocity; /* flat; NULL without momentum */
    float *start;    /* flat: the model at the start of the run; NULL without mu */
};
struct trib_trainer {
    struct trib_graph *graph; /* the model alone */
    struct trib_schema schema;
    struct trib_spans spans;
    size_t width; /* logits an example */
    const struct trib_dataset *dataset;
    const struct trib_backend *backend;
    struct trib_thread_pool *pool;
    struct trib_train_limits limits;
    struct setup setup;
    float *gradient; /* flat */
    uint32_t *order; /* of the epoch */
    size_t order_capacity;
};

/* ---- making ---- */

static void clear_setup(struct setup *setup)
{
    trib_program_clear(&setup->program);
    trib_free(setup->x);
    trib_free(setup->y);
    trib_free(setup->velocity);
    trib_free(setup->start);
    *setup = (struct setup){0};
}

/* The model with its loss and gradients. */
static enum trib_status make_training_graph(const struct trib_graph *model, enum trib_loss loss,
                                            struct trib_graph **graph, struct trib_error *error)
{
    struct trib_graph *made = NULL;
    TRIB_TRY(trib_graph_copy(model, &made, error));
    trib_value value = TRIB_NO_VALUE;
    enum trib_status status = trib_loss_attach(made, loss, &value, error);
    if (status == TRIB_OK) {
        status = trib_autograd(made, value, error);
    }
    if (status != TRIB_OK) {
        trib_graph_free(made);
        return status;
    }
    *graph = made;
    return TRIB_OK;
}

/* Bytes beside the arena: the batch, and the flat vectors of gradients, velocity and start. */
static enum trib_status fixed_bytes(const struct trib_trainer *trainer, const struct setup *setup, size_t *bytes,
                                    struct trib_error *error)
{
    size_t vectors = 1 + (setup->recipe.momentum > 0 ? 1 : 0) + (setup->recipe.proximal_mu > 0 ? 1 : 0);
    size_t flat, batch;
    if (!trib_size_mul(trainer->schema.n_floats, vectors * sizeof(float), &flat) ||
        !trib_size_mul((size_t)setup->batch, (trainer->dataset->example_n + 1) * sizeof(float), &batch) ||
        !trib_size_add(flat, batch, bytes)) {
        return trib_fail(error, TRIB_LIMIT, "training needs more memory than this machine can address");
    }
    return TRIB_OK;
}

static enum trib_status make_buffers(const struct trib_trainer *trainer, struct setup *setup, struct trib_error *error)
{
    size_t n = trainer->schema.n_floats, batch = (size_t)setup->batch;
    setup->x = trib_malloc_aligned(batch, trainer->dataset->example_n * sizeof(float));
    setup->y = trib_malloc_aligned(batch, sizeof(float));
    if (setup->recipe.momentum > 0) {
        setup->velocity = trib_malloc_aligned(n, sizeof(float));
    }
    if (setup->recipe.proximal_mu > 0) {
        setup->start = trib_malloc_aligned(n, sizeof(float));
    }
    if (!setup->x || !setup->y || (setup->recipe.momentum > 0 && !setup->velocity) ||
        (setup->recipe.proximal_mu > 0 && !setup->start)) {
        return trib_fail_no_memory(error);
    }
    return TRIB_OK;
}

static enum trib_status make_setup(const struct trib_trainer *trainer, const struct trib_recipe *recipe,
                                   struct setup *setup, struct trib_error *error)
{
    struct setup made = {.recipe = *recipe, .batch = (int64_t)recipe->batch_size};
    if ((uint64_t)made.batch > trainer->dataset->n) {
        made.batch = (int64_t)trainer->dataset->n; /* no batch can be larger */
    }
    size_t bytes = 0;
    TRIB_TRY(fixed_bytes(trainer, &made, &bytes, error));
    struct trib_graph *graph = NULL;
    TRIB_TRY(make_training_graph(trainer->graph, recipe->loss, &graph, error));
    enum trib_status status = trib_program_init(&made.program, graph, trainer->backend, trainer->pool, error);
    trib_graph_free(graph);
    if (status != TRIB_OK) {
        return status;
    }
    made.program.fixed_bytes = bytes;
    made.program.max_bytes = trainer->limits.max_bytes;
    struct trib_program_slot *slot;
    status = trib_program_slot(&made.program, made.batch, &slot, error);
    if (status == TRIB_OK) {
        status = make_buffers(trainer, &made, error);
    }
    if (status != TRIB_OK) {
        clear_setup(&made);
        return status;
    }
    *setup = made;
    return TRIB_OK;
}

static enum trib_status fill_trainer(struct trib_trainer *trainer, const struct trib_graph *graph,
                                     const struct trib_recipe *recipe, struct trib_error *error)
{
    TRIB_TRY(trib_graph_copy(graph, &trainer->graph, error));
    TRIB_TRY(trib_schema_init(&trainer->schema, graph, error));
    TRIB_TRY(trib_spans_init(&trainer->spans, &trainer->schema, error));
    trib_value logits = TRIB_NO_VALUE;
    TRIB_TRY(trib_loss_find_logits(graph, &logits, error));
    struct trib_shape shape = trib_graph_value(graph, logits)->shape;
    trainer->width = (size_t)shape.dims[1];
    TRIB_TRY(make_setup(trainer, recipe, &trainer->setup, error));
    /* states have no gradient: their places stay zero */
    size_t n = trainer->schema.n_floats;
    trainer->gradient = trib_malloc_aligned(n, sizeof(float));
    if (!trainer->gradient) {
        return trib_fail_no_memory(error);
    }
    memset(trainer->gradient, 0, n * sizeof(float));
    return TRIB_OK;
}

enum trib_status trib_trainer_new(const struct trib_graph *graph, const struct trib_recipe *recipe,
                                  const struct trib_dataset *dataset, const struct trib_backend *backend,
                                  struct trib_thread_pool *pool, const struct trib_train_limits *limits,
                                  struct trib_trainer **trainer, struct trib_error *error)
{
    TRIB_TRY(trib_recipe_check(recipe, error));
    TRIB_TRY(trib_loss_check_dataset(graph, recipe->loss, dataset, error));
    struct trib_trainer *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->dataset = dataset;
    made->backend = backend;
    made->pool = pool;
    if (limits) {
        made->limits = *limits;
    }
    enum trib_status status = fill_trainer(made, graph, recipe, error);
    if (status != TRIB_OK) {
        trib_trainer_free(made);
        return status;
    }
    *trainer = made;
    return TRIB_OK;
}

void trib_trainer_free(struct trib_trainer *trainer)
{
    if (trainer) {
        clear_setup(&trainer->setup);
        trib_spans_clear(&trainer->spans);
        trib_schema_clear(&trainer->schema);
        trib_graph_free(trainer->graph);
        trib_free(trainer->gradient);
        trib_free(trainer->order);
        trib_free(trainer);
    }
}

const struct trib_schema *trib_trainer_schema(const struct trib_trainer *trainer)
{
    return &trainer->schema;
}

enum trib_status trib_trainer_set_recipe(struct trib_trainer *trainer, const struct trib_recipe *recipe,
                                         struct trib_error *error)
{
    TRIB_TRY(trib_recipe_check(recipe, error));
    TRIB_TRY(trib_loss_check_dataset(trainer->graph, recipe->loss, trainer->dataset, error));
    struct setup *setup = &trainer->setup;
    bool same = recipe->loss == setup->recipe.loss && recipe->batch_size == setup->recipe.batch_size &&
                (recipe->momentum <= 0 || setup->velocity) && (recipe->proximal_mu <= 0 || setup->start);
    if (same) {
        setup->recipe = *recipe;
        return TRIB_OK;
    }
    struct setup made;
    TRIB_TRY(make_setup(trainer, recipe, &made, error));
    clear_setup(setup);
    *setup = made;
    return TRIB_OK;
}

/* ---- running ---- */

struct sums {
    uint64_t examples;
    double loss; /* sum over the `counted` examples: those whose label is not ignored */
    uint64_t counted, correct;
};
struct run {
    struct trib_trainer *trainer;
    const uint32_t *indices;
    size_t n;
    uint64_t seed, step;
    uint32_t epoch;
    float *model;
    const _Atomic(bool) *stop;
    int64_t begin_ms;
    bool stopped_early;
    struct trib_error *error;
};

static bool must_end(struct run *run)
{
    const struct trib_trainer *trainer = run->trainer;
    if (run->stop && atomic_load_explicit(run->stop, memory_order_relaxed)) {
        run->stopped_early = true;
        return true;
    }
    /* one step at least, so that a tight limit still gives an update */
    int64_t max_ms = trainer->limits.max_ms;
    if (max_ms > 0 && run->step > 0 && trib_clock_ms() - run->begin_ms >= max_ms) {
        run->stopped_early = true;
        return true;
    }
    uint32_t max_steps = trainer->setup.recipe.max_steps;
    return max_steps > 0 && run->step >= max_steps;
}

/* step counts from 1. */
static enum trib_status fail_not_finite(const struct run *run, uint64_t step, const char *what, double number)
{
    const struct trib_recipe *recipe = &run->trainer->setup.recipe;
    return trib_fail(run->error, TRIB_NOT_FINITE,
                     "training step %" PRIu64 ": %s is %g; lower learning_rate (now %g)%s, and check that the data is "
                     "normalised",
                     step, what, number, (double)recipe->learning_rate,
                     recipe->clip_norm > 0 ? "" : " or set clip_norm");
}

/* How much of the gradient is used: 1, or clip_norm / |gradient| where that is less (Pascanu et al. 2013). */
static enum trib_status clip(const struct run *run, float *scale)
{
    struct trib_trainer *trainer = run->trainer;
    *scale = 1.0f;
    if (trainer->setup.recipe.clip_norm <= 0) {
        return TRIB_OK;
    }
    double norm = trib_spans_norm(&trainer->spans, trainer->pool, trainer->gradient);
    if (!isfinite(norm)) {
        return fail_not_finite(run, run->step + 1, "the gradient's norm", norm);
    }
    double most = (double)trainer->setup.recipe.clip_norm;
    *scale = norm > most ? (float)(most / norm) : 1.0f;
    return TRIB_OK;
}

static enum trib_status optimise(const struct run *run)
{
    struct trib_trainer *trainer = run->trainer;
    const struct trib_recipe *recipe = &trainer->setup.recipe;
    struct trib_sgd sgd = {.learning_rate = recipe->learning_rate,
                           .momentum = recipe->momentum,
                           .weight_decay = recipe->weight_decay,
                           .mu = recipe->proximal_mu,
                           .model = run->model,
                           .gradient = trainer->gradient,
                           .velocity = trainer->setup.velocity,
                           .start = trainer->setup.start};
    TRIB_TRY(clip(run, &sgd.scale));
    trib_sgd_step(&sgd, &trainer->spans, trainer->pool);
    return TRIB_OK;
}

/* One batch of examples: forward, backward, update. */
static enum trib_status take_step(const struct run *run, const uint32_t *examples, size_t batch, struct sums *sums)
{
    struct trib_trainer *trainer = run->trainer;
    struct setup *setup = &trainer->setup;
    struct trib_program_slot *slot;
    TRIB_TRY(trib_program_slot(&setup->program, (int64_t)batch, &slot, run->error));
    trib_dataset_batch(trainer->dataset, examples, batch, setup->x, setup->y);
    const struct trib_program_run program_run = {.x = setup->x,
                                                 .y = setup->y,
                                                 .model = run->model,
                                                 .gradient = trainer->gradient,
                                                 .seed = run->seed,
                                                 .step = run->step};
    TRIB_TRY(trib_program_run(&setup->program, slot, &program_run, run->error));
    float loss = *(const float *)trib_execution_data(slot->execution, slot->loss);
    if (!isfinite(loss)) {
        return fail_not_finite(run, run->step + 1, "the loss", (double)loss);
    }
    struct trib_hits hits = {.counted = batch};
    if (setup->recipe.loss == TRIB_LOSS_CROSS_ENTROPY) {
        const float *logits = trib_execution_data(slot->execution, slot->logits);
        hits = trib_loss_hits(logits, setup->y, batch, trainer->width);
    }
    sums->loss += (double)loss * (double)hits.counted;
    sums->counted += hits.counted;
    sums->correct += hits.correct;
    sums->examples += batch;
    return optimise(run);
}

static enum trib_status run_epoch(struct run *run, struct sums *sums, bool *ended)
{
    struct trib_trainer *trainer = run->trainer;
    /* from the given order each time, so that an epoch's order depends on (seed, epoch) alone */
    memcpy(trainer->order, run->indices, run->n * sizeof *trainer->order);
    struct trib_rng rng = trib_rng_init(run->seed, "shuffle", run->epoch, 0);
    trib_rng_shuffle_u32(&rng, trainer->order, run->n);
    size_t full = (size_t)trainer->setup.batch;
    for (size_t at = 0; at < run->n; at += full) {
        if (must_end(run)) {
            *ended = true;
            return TRIB_OK;
        }
        size_t batch = run->n - at < full ? run->n - at : full;
        TRIB_TRY(take_step(run, trainer->order + at, batch, sums));
        run->step++;
    }
    return TRIB_OK;
}

static double mean_loss(const struct sums *sums)
{
    return sums->counted ? sums->loss / (double)sums->counted : (double)NAN;
}

static enum trib_status run_epochs(struct run *run, struct trib_train_result *result)
{
    const struct trib_recipe *recipe = &run->trainer->setup.recipe;
    uint32_t epochs = recipe->epochs, most = run->trainer->limits.max_epochs;
    bool capped = most > 0 && most < epochs, ended = false;
    epochs = capped ? most : epochs;
    struct sums sums = {0};
    result->first_loss = (double)NAN;
    for (run->epoch = 0; run->epoch < epochs && !ended; run->epoch++) {
        struct sums epoch = {0};
        TRIB_TRY(run_epoch(run, &epoch, &ended));
        if (epoch.examples == 0 && run->epoch > 0) {
            break; /* ended before the epoch's first step: the one before was the last */
        }
        result->first_loss = run->epoch == 0 ? mean_loss(&epoch) : result->first_loss;
        result->examples_seen += epoch.examples;
        sums = epoch;
    }
    result->mean_loss = mean_loss(&sums);
    bool labels = recipe->loss == TRIB_LOSS_CROSS_ENTROPY && sums.counted > 0;
    result->accuracy = labels ? (double)sums.correct / (double)sums.counted : (double)NAN;
    result->stopped_early = run->stopped_early || (capped && !ended);
    return TRIB_OK;
}

static enum trib_status prepare(struct trib_trainer *trainer, const uint32_t *indices, size_t n, const float *model,
                                struct trib_error *error)
{
    if (n == 0) {
        return trib_fail(error, TRIB_INVALID, "there are no examples to train on");
    }
    for (size_t i = 0; i < n; i++) {
        if (indices[i] >= trainer->dataset->n) {
            return trib_fail(error, TRIB_INVALID, "example %u is outside the dataset's %zu", indices[i],
                             trainer->dataset->n);
        }
    }
    if (n > trainer->order_capacity) {
        uint32_t *order = trib_realloc_array(trainer->order, n, sizeof *order);
        if (!order) {
            return trib_fail_no_memory(error);
        }
        trainer->order = order;
        trainer->order_capacity = n;
    }
    size_t len = trainer->schema.n_floats * sizeof *model;
    if (trainer->setup.velocity) {
        memset(trainer->setup.velocity, 0, len);
    }
    if (trainer->setup.start) {
        memcpy(trainer->setup.start, model, len);
    }
    return TRIB_OK;
}

/* The last step's update is seen by no loss. */
static enum trib_status check_model(const struct run *run)
{
    double norm = trib_spans_norm(&run->trainer->spans, run->trainer->pool, run->model);
    return isfinite(norm) ? TRIB_OK : fail_not_finite(run, run->step, "the model's norm", norm);
}

enum trib_status trib_trainer_run(struct trib_trainer *trainer, const uint32_t *indices, size_t n, uint64_t seed,
                                  float *model, const _Atomic(bool) *stop, struct trib_train_result *result,
                                  struct trib_error *error)
{
    TRIB_TRY(prepare(trainer, indices, n, model, error));
    struct run run = {.trainer = trainer,
                      .indices = indices,
                      .n = n,
                      .seed = seed,
                      .model = model,
                      .stop = stop,
                      .begin_ms = trib_clock_ms(),
                      .error = error};
    struct trib_train_result made = {.examples = n};
    TRIB_TRY(run_epochs(&run, &made));
    TRIB_TRY(check_model(&run));
    made.steps = run.step;
    made.ms = trib_clock_ms() - run.begin_ms;
    *result = made;
    return TRIB_OK;
}
