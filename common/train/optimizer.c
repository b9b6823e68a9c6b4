/* Stochastic gradient descent in one pass over memory: each number is loaded and stored once, whatever the recipe.
 *
 * The loops are plain so that the compiler vectorises them. Every element is computed by itself, and without fused
 * multiply-adds, so that neither the instruction set nor the number of threads changes a bit. */
#include "optimizer.h"

#include "base/clones.h"
#include "base/mem.h"

#include <math.h>

enum {
    SPAN_FLOATS = 16384, /* 64 KB of each vector: fits a core's cache, and large enough to hide a part's cost */
    POOL_FLOATS = 65536, /* below this, waking a thread takes longer than the work */
    NORM_LANES = 16
};

/* ---- spans ---- */

/* Adjacent trained tensors make one run. Calls with items NULL count. */
static size_t cut_spans(const struct trib_schema *schema, struct trib_span *items, size_t *n_floats)
{
    size_t n = 0;
    *n_floats = 0;
    for (size_t i = 0; i < schema->n_tensors;) {
        if (!schema->tensors[i].trained) {
            i++;
            continue;
        }
        size_t begin = schema->tensors[i].offset, end = begin;
        for (; i < schema->n_tensors && schema->tensors[i].trained; i++) {
            end += schema->tensors[i].n;
        }
        for (size_t at = begin; at < end; at += SPAN_FLOATS, n++) {
            if (items) {
                items[n] = (struct trib_span){.offset = at, .n = end - at < SPAN_FLOATS ? end - at : SPAN_FLOATS};
            }
        }
        *n_floats += end - begin;
    }
    return n;
}

enum trib_status trib_spans_init(struct trib_spans *spans, const struct trib_schema *schema, struct trib_error *error)
{
    struct trib_spans made = {0};
    made.n = cut_spans(schema, NULL, &made.n_floats);
    made.items = trib_calloc(made.n, sizeof *made.items);
    made.sums = trib_calloc(made.n, sizeof *made.sums);
    if (!made.items || !made.sums) {
        trib_spans_clear(&made);
        return trib_fail_no_memory(error);
    }
    cut_spans(schema, made.items, &made.n_floats);
    *spans = made;
    return TRIB_OK;
}

void trib_spans_clear(struct trib_spans *spans)
{
    trib_free(spans->items);
    trib_free(spans->sums);
    *spans = (struct trib_spans){0};
}

static void run_spans(const struct trib_spans *spans, struct trib_thread_pool *pool,
                      void (*work)(void *context, size_t part, int worker), void *context)
{
    trib_thread_pool_run(spans->n_floats < POOL_FLOATS ? NULL : pool, spans->n, work, context);
}

/* ---- norm ---- */

/* Lanes of their own, added at the end in a fixed order, are what lets the compiler vectorise the sum. */
TRIB_CLONES static double sum_of_squares(const float *x, size_t n)
{
    double lanes[NORM_LANES] = {0};
    size_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES) {
        for (size_t j = 0; j < NORM_LANES; j++) {
            lanes[j] += (double)x[i + j] * (double)x[i + j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lanes[j] += (double)x[i] * (double)x[i];
    }
    double sum = 0;
    for (size_t j = 0; j < NORM_LANES; j++) {
        sum += lanes[j];
    }
    return sum;
}

struct norm_job {
    const struct trib_spans *spans;
    const float *gradient;
};

static void norm_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct norm_job *job = context;
    const struct trib_span *span = &job->spans->items[part];
    job->spans->sums[part] = sum_of_squares(job->gradient + span->offset, span->n);
}

double trib_spans_norm(const struct trib_spans *spans, struct trib_thread_pool *pool, const float *gradient)
{
    struct norm_job job = {.spans = spans, .gradient = gradient};
    run_spans(spans, pool, norm_part, &job);
    double sum = 0;
    for (size_t i = 0; i < spans->n; i++) {
        sum += spans->sums[i];
    }
    return sqrt(sum);
}

/* ---- steps: w is the model, g the gradient, v the velocity, s the model at the start ---- */

TRIB_CLONES static void step_plain(float *restrict w, const float *restrict g, size_t n, float rate)
{
    for (size_t i = 0; i < n; i++) {
        w[i] -= rate * g[i];
    }
}

TRIB_CLONES static void step_scaled(float *restrict w, const float *restrict g, size_t n, float rate, float scale,
                                    float decay)
{
    for (size_t i = 0; i < n; i++) {
        w[i] -= rate * (scale * g[i] + decay * w[i]);
    }
}

TRIB_CLONES static void step_proximal(float *restrict w, const float *restrict g, const float *restrict s, size_t n,
                                      float rate, float scale, float decay, float mu)
{
    for (size_t i = 0; i < n; i++) {
        w[i] -= rate * (scale * g[i] + decay * w[i] + mu * (w[i] - s[i]));
    }
}

TRIB_CLONES static void step_momentum(float *restrict w, const float *restrict g, float *restrict v, size_t n,
                                      float rate, float scale, float decay, float momentum)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (scale * g[i] + decay * w[i]);
        w[i] -= rate * v[i];
    }
}

TRIB_CLONES static void step_momentum_proximal(float *restrict w, const float *restrict g, float *restrict v,
                                               const float *restrict s, size_t n, float rate, float scale, float decay,
                                               float momentum, float mu)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (scale * g[i] + decay * w[i] + mu * (w[i] - s[i]));
        w[i] -= rate * v[i];
    }
}

struct step_job {
    const struct trib_sgd *sgd;
    const struct trib_spans *spans;
};

static void step_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct step_job *job = context;
    const struct trib_sgd *sgd = job->sgd;
    size_t at = job->spans->items[part].offset, n = job->spans->items[part].n;
    float *w = sgd->model + at, rate = sgd->learning_rate;
    const float *g = sgd->gradient + at;
    if (sgd->momentum > 0 && sgd->mu > 0) {
        step_momentum_proximal(w, g, sgd->velocity + at, sgd->start + at, n, rate, sgd->scale, sgd->weight_decay,
                               sgd->momentum, sgd->mu);
    } else if (sgd->momentum > 0) {
        step_momentum(w, g, sgd->velocity + at, n, rate, sgd->scale, sgd->weight_decay, sgd->momentum);
    } else if (sgd->mu > 0) {
        step_proximal(w, g, sgd->start + at, n, rate, sgd->scale, sgd->weight_decay, sgd->mu);
    } else if (sgd->scale != 1.0f || sgd->weight_decay > 0) {
        step_scaled(w, g, n, rate, sgd->scale, sgd->weight_decay);
    } else {
        step_plain(w, g, n, rate);
    }
}

void trib_sgd_step(const struct trib_sgd *sgd, const struct trib_spans *spans, struct trib_thread_pool *pool)
{
    struct step_job job = {.sgd = sgd, .spans = spans};
    run_spans(spans, pool, step_part, &job);
}
