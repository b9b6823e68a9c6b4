/* Evaluation. One evaluator, one thread at a time; the pool's threads help within a batch. */
#include "train/evaluate.h"

#include "loss.h"
#include "program.h"

#include "base/mem.h"
#include "model/zoo.h"

#include <math.h>
#include <string.h>

struct trib_evaluator {
    const struct trib_dataset *dataset;
    enum trib_loss loss;
    size_t batch, width;
    size_t model_floats;
    struct trib_program program;
    uint32_t *order; /* [batch], of the whole dataset's batches */
    float *x;        /* [batch, example...] */
    void *y;         /* [batch] */
};

static enum trib_status make_program(struct trib_evaluator *evaluator, const struct trib_graph *graph,
                                     const struct trib_backend *backend, struct trib_thread_pool *pool,
                                     struct trib_error *error)
{
    struct trib_graph *inference = NULL;
    TRIB_TRY(trib_inference_graph(graph, &inference, error));
    trib_value value = TRIB_NO_VALUE;
    enum trib_status status = trib_loss_attach(inference, evaluator->loss, &value, error);
    if (status == TRIB_OK) {
        status = trib_loss_find_logits(inference, &value, error);
    }
    if (status == TRIB_OK) {
        struct trib_shape shape = trib_graph_value(inference, value)->shape;
        evaluator->width = (size_t)shape.dims[1];
        status = trib_program_init(&evaluator->program, inference, backend, pool, error);
    }
    trib_graph_free(inference);
    TRIB_TRY(status);
    struct trib_program_slot *slot;
    return trib_program_slot(&evaluator->program, (int64_t)evaluator->batch, &slot, error);
}

enum trib_status trib_evaluator_new(const struct trib_graph *graph, enum trib_loss loss,
                                    const struct trib_dataset *dataset, const struct trib_backend *backend,
                                    struct trib_thread_pool *pool, int64_t batch, struct trib_evaluator **evaluator,
                                    struct trib_error *error)
{
    if ((unsigned)loss >= TRIB_LOSS_COUNT || batch < 1) {
        return trib_fail(error, TRIB_INVALID, "loss %d or batch %lld is out of range", (int)loss, (long long)batch);
    }
    TRIB_TRY(trib_loss_check_dataset(graph, loss, dataset, error));
    struct trib_evaluator *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->dataset = dataset;
    made->loss = loss;
    made->batch = (uint64_t)batch < dataset->n ? (size_t)batch : dataset->n;
    enum trib_status status = make_program(made, graph, backend, pool, error);
    if (status == TRIB_OK) {
        made->order = trib_malloc_aligned(made->batch, sizeof *made->order);
        made->x = trib_malloc_aligned(made->batch, dataset->example_n * sizeof(float));
        made->y = trib_malloc_aligned(made->batch, sizeof(float));
        if (!made->order || !made->x || !made->y) {
            status = trib_fail_no_memory(error);
        }
    }
    if (status != TRIB_OK) {
        trib_evaluator_free(made);
        return status;
    }
    *evaluator = made;
    return TRIB_OK;
}

void trib_evaluator_free(struct trib_evaluator *evaluator)
{
    if (evaluator) {
        trib_program_clear(&evaluator->program);
        trib_free(evaluator->order);
        trib_free(evaluator->x);
        trib_free(evaluator->y);
        trib_free(evaluator);
    }
}

/* Add one batch to the figures; loss is a sum over the examples that count. */
static enum trib_status evaluate_batch(struct trib_evaluator *evaluator, float *model, const uint32_t *examples,
                                       size_t batch, struct trib_evaluation *sums, struct trib_error *error)
{
    struct trib_program_slot *slot;
    TRIB_TRY(trib_program_slot(&evaluator->program, (int64_t)batch, &slot, error));
    trib_dataset_batch(evaluator->dataset, examples, batch, evaluator->x, evaluator->y);
    const struct trib_program_run run = {.x = evaluator->x, .y = evaluator->y, .model = model};
    TRIB_TRY(trib_program_run(&evaluator->program, slot, &run, error));
    uint64_t counted = batch;
    if (evaluator->loss == TRIB_LOSS_CROSS_ENTROPY) {
        const float *logits = trib_execution_data(slot->execution, slot->logits);
        struct trib_hits hits = trib_loss_hits(logits, evaluator->y, batch, evaluator->width);
        counted = hits.counted;
        sums->correct += hits.correct;
    }
    sums->examples += counted;
    if (counted > 0) {
        float loss = *(const float *)trib_execution_data(slot->execution, slot->loss);
        sums->loss += (double)loss * (double)counted;
    }
    return TRIB_OK;
}

/* The next examples: the caller's, or those of the dataset in order. */
static const uint32_t *batch_examples(struct trib_evaluator *evaluator, const uint32_t *indices, size_t at,
                                      size_t batch)
{
    if (indices) {
        return indices + at;
    }
    for (size_t i = 0; i < batch; i++) {
        evaluator->order[i] = (uint32_t)(at + i);
    }
    return evaluator->order;
}

enum trib_status trib_evaluator_run(struct trib_evaluator *evaluator, const float *model, const uint32_t *indices,
                                    size_t n, struct trib_evaluation *evaluation, struct trib_error *error)
{
    if (!indices) {
        n = evaluator->dataset->n;
    }
    if (n == 0) {
        return trib_fail(error, TRIB_INVALID, "there are no examples to evaluate on");
    }
    for (size_t i = 0; indices && i < n; i++) {
        if (indices[i] >= evaluator->dataset->n) {
            return trib_fail(error, TRIB_INVALID, "example %u is outside the dataset's %zu", indices[i],
                             evaluator->dataset->n);
        }
    }
    /* an inference graph updates no state, so that nothing is written through this */
    float *unchanged;
    memcpy(&unchanged, &model, sizeof unchanged);
    struct trib_evaluation sums = {0};
    for (size_t at = 0; at < n; at += evaluator->batch) {
        size_t batch = n - at < evaluator->batch ? n - at : evaluator->batch;
        const uint32_t *examples = batch_examples(evaluator, indices, at, batch);
        TRIB_TRY(evaluate_batch(evaluator, unchanged, examples, batch, &sums, error));
    }
    double count = (double)sums.examples;
    sums.accuracy = evaluator->loss == TRIB_LOSS_CROSS_ENTROPY ? (double)sums.correct / count : (double)NAN;
    sums.loss /= count;
    *evaluation = sums;
    return TRIB_OK;
}
