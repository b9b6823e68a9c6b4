/* Whole tensors, element by element, in parts on the pool. Private to this block. */
#ifndef TRIB_BACKEND_ELEMENTWISE_H
#define TRIB_BACKEND_ELEMENTWISE_H

#include "geometry.h"
#include "parallel.h"

struct trib_elementwise {
    const float *a, *b;
    float *y; /* may be a */
    size_t n, parts;
    enum trib_activation activation;
    void (*binary)(const float *a, const float *b, float *y, size_t n);
};

static inline struct trib_elementwise trib_elementwise_of(const struct trib_kernel_call *call)
{
    size_t n = trib_tensor_n(&call->inputs[0]);
    return (struct trib_elementwise){
        .a = call->inputs[0].data,
        .b = call->n_inputs > 1 ? call->inputs[1].data : NULL,
        .y = call->outputs[0].data,
        .n = n,
        .parts = trib_parts(n, TRIB_PART_BYTES / sizeof(float)),
    };
}

static inline void trib_elementwise_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct trib_elementwise *e = context;
    size_t from = trib_part_start(e->n, e->parts, part, 16), to = trib_part_start(e->n, e->parts, part + 1, 16);
    e->binary(e->a + from, e->b + from, e->y + from, to - from);
}

/* y = binary(a, b), all of one shape. */
static inline void trib_elementwise_binary(const struct trib_kernel_call *call,
                                           void (*binary)(const float *, const float *, float *, size_t))
{
    struct trib_elementwise e = trib_elementwise_of(call);
    e.binary = binary;
    trib_thread_pool_run(call->pool, e.parts, trib_elementwise_part, &e);
}

#endif
