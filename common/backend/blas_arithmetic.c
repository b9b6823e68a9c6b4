/* Addition, multiplication (with broadcasting), scaling and dropout, vectorised, in parts on the pool. Any thread. */
#include "blas.h"

#include "dropout.h"
#include "elementwise.h"
#include "loops.h"

TRIB_CLONES static void add(const float *a, const float *b, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = a[i] + b[i];
    }
}

TRIB_CLONES static void mul(const float *a, const float *b, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = a[i] * b[i];
    }
}

TRIB_CLONES static void add_scalar(const float *a, float b, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = a[i] + b;
    }
}

TRIB_CLONES static void mul_scalar(const float *a, float b, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = a[i] * b;
    }
}

/* y = a with b for every run of n_b elements; n_b 1 is a scalar. */
struct broadcast {
    const float *a, *b;
    float *y;
    size_t n_b, runs, parts;
    void (*vector)(const float *, const float *, float *, size_t);
    void (*scalar)(const float *, float, float *, size_t);
};

static void broadcast_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct broadcast *e = context;
    size_t from = trib_part_start(e->runs, e->parts, part, 1), to = trib_part_start(e->runs, e->parts, part + 1, 1);
    if (e->n_b == 1) {
        e->scalar(e->a + from, *e->b, e->y + from, to - from);
        return;
    }
    for (size_t run = from; run < to; run++) {
        e->vector(e->a + run * e->n_b, e->b, e->y + run * e->n_b, e->n_b);
    }
}

static void run_broadcast(const struct trib_kernel_call *call, struct broadcast *e)
{
    e->a = call->inputs[0].data;
    e->b = call->inputs[1].data;
    e->y = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    e->n_b = trib_tensor_n(&call->inputs[1]);
    if (e->n_b == n) {
        trib_elementwise_binary(call, e->vector);
        return;
    }
    e->runs = n / e->n_b;
    e->parts = trib_parts(e->runs, TRIB_PART_BYTES / sizeof(float) / e->n_b + 1);
    trib_thread_pool_run(call->pool, e->parts, broadcast_part, e);
}

static void run_add(const struct trib_kernel_call *call)
{
    struct broadcast e = {.vector = add, .scalar = add_scalar};
    run_broadcast(call, &e);
}

static void run_mul(const struct trib_kernel_call *call)
{
    struct broadcast e = {.vector = mul, .scalar = mul_scalar};
    run_broadcast(call, &e);
}

/* y = x * factor */
static void run_scale(const struct trib_kernel_call *call)
{
    size_t n = trib_tensor_n(&call->inputs[0]);
    struct broadcast e = {.a = call->inputs[0].data,
                          .b = &call->attributes->factor,
                          .y = call->outputs[0].data,
                          .n_b = 1,
                          .runs = n,
                          .parts = trib_parts(n, TRIB_PART_BYTES / sizeof(float)),
                          .scalar = mul_scalar};
    trib_thread_pool_run(call->pool, e.parts, broadcast_part, &e);
}

struct dropout_job {
    struct trib_dropout dropout;
    const float *x;
    float *y;
    size_t n, parts;
};

static void dropout_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct dropout_job *job = context;
    size_t from = trib_part_start(job->n, job->parts, part, 16), to = trib_part_start(job->n, job->parts, part + 1, 16);
    trib_dropout_apply(&job->dropout, from, to - from, job->x + from, job->y + from);
}

static void run_dropout(const struct trib_kernel_call *call)
{
    size_t n = trib_tensor_n(&call->inputs[0]);
    struct dropout_job job = {.dropout = trib_dropout_init(call),
                              .x = call->inputs[0].data,
                              .y = call->outputs[0].data,
                              .n = n,
                              .parts = trib_parts(n, 4096)};
    trib_thread_pool_run(call->pool, job.parts, dropout_part, &job);
}

void trib_blas_choose_arithmetic(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    static const trib_kernel kernels[TRIB_OP_COUNT] = {
        [TRIB_OP_ADD] = run_add,
        [TRIB_OP_MUL] = run_mul,
        [TRIB_OP_SCALE] = run_scale,
        [TRIB_OP_DROPOUT] = run_dropout,
    };
    choice->run = kernels[call->op];
}
