/* The optimizer's step over the flat vectors of a model. Private to the block. */
#ifndef TRIB_TRAIN_OPTIMIZER_H
#define TRIB_TRAIN_OPTIMIZER_H

#include "base/thread_pool.h"
#include "model/schema.h"

/* Spans are the trained parts of the flat vector, cut into pieces for the pool; state tensors are not among them. The
 * cuts depend on the schema alone. */
struct trib_span {
    size_t offset, n; /* in floats */
};
struct trib_spans {
    struct trib_span *items;
    double *sums; /* [n], scratch for norms */
    size_t n, n_floats;
};
TRIB_MUST_CHECK enum trib_status trib_spans_init(struct trib_spans *spans, const struct trib_schema *schema,
                                                 struct trib_error *error);
void trib_spans_clear(struct trib_spans *spans);

/* |gradient| over the spans, in double; the order of the sum does not depend on threads. */
double trib_spans_norm(const struct trib_spans *spans, struct trib_thread_pool *pool, const float *gradient);

/* Stochastic gradient descent (with the momentum of Sutskever et al. 2013 as PyTorch writes it):
 *   g = scale * gradient + weight_decay * w + mu * (w - start)
 *   v = momentum * v + g
 *   w = w - learning_rate * v           (g in place of v without momentum) */
struct trib_sgd {
    float learning_rate, momentum, weight_decay, mu;
    float scale;  /* 1, or less where the gradient was clipped */
    float *model; /* all vectors are flat, with the schema's offsets */
    const float *gradient;
    float *velocity;    /* only with momentum */
    const float *start; /* only with mu */
};
void trib_sgd_step(const struct trib_sgd *sgd, const struct trib_spans *spans, struct trib_thread_pool *pool);

#endif
