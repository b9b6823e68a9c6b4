/* Matrix product and linear layer on OpenBLAS, cut into blocks of rows or columns of the result. Any thread. */
#include "blas.h"

#include "geometry.h"
#include "parallel.h"

struct product {
    bool transpose_a, transpose_b;
    size_t m, n, k, lda, ldb;
    const float *a, *b;
    float *c;
    const float *bias; /* [n] or NULL */
    enum trib_activation activation;
    bool by_rows; /* parts are blocks of rows, else of columns */
    size_t parts;
};

static void multiply_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct product *p = context;
    size_t size = p->by_rows ? p->m : p->n;
    size_t from = trib_part_start(size, p->parts, part, 16), to = trib_part_start(size, p->parts, part + 1, 16);
    if (p->by_rows) {
        const float *a = p->a + (p->transpose_a ? from : from * p->lda);
        trib_blas_gemm(p->transpose_a, p->transpose_b, to - from, p->n, p->k, a, p->lda, p->b, p->ldb, 0,
                       p->c + from * p->n, p->n);
        trib_blas_epilogue(p->c + from * p->n, to - from, p->n, p->n, p->bias, p->activation);
    } else {
        const float *b = p->b + (p->transpose_b ? from * p->ldb : from);
        trib_blas_gemm(p->transpose_a, p->transpose_b, p->m, to - from, p->k, p->a, p->lda, b, p->ldb, 0, p->c + from,
                       p->n);
        trib_blas_epilogue(p->c + from, p->m, to - from, p->n, p->bias ? p->bias + from : NULL, p->activation);
    }
}

static void multiply(struct product *p, struct trib_thread_pool *pool)
{
    p->by_rows = p->m >= p->n;
    size_t size = p->by_rows ? p->m : p->n, other = p->by_rows ? p->n : p->m;
    size_t grain = TRIB_PART_MULTIPLIES / (other * p->k + 1) + 1;
    p->parts = trib_parts(size, grain > 32 ? grain : 32);
    trib_thread_pool_run(pool, p->parts, multiply_part, p);
}

/* y[M, N] = op(a) op(b), op(a) [M, K], op(b) [K, N] */
static void run_matmul(const struct trib_kernel_call *call)
{
    bool transpose_a = call->attributes->transpose_a, transpose_b = call->attributes->transpose_b;
    const struct trib_shape *a = &call->inputs[0].shape, *b = &call->inputs[1].shape;
    struct product p = {
        .transpose_a = transpose_a,
        .transpose_b = transpose_b,
        .m = (size_t)a->dims[transpose_a ? 1 : 0],
        .n = (size_t)b->dims[transpose_b ? 0 : 1],
        .k = (size_t)a->dims[transpose_a ? 0 : 1],
        .lda = (size_t)a->dims[1],
        .ldb = (size_t)b->dims[1],
        .a = call->inputs[0].data,
        .b = call->inputs[1].data,
        .c = call->outputs[0].data,
    };
    multiply(&p, call->pool);
}

/* y[B, O] = activation(x[B, I] w[O, I]^T + bias[O]) */
static void run_linear(const struct trib_kernel_call *call)
{
    struct product p = {
        .transpose_b = true,
        .m = trib_tensor_rows(&call->outputs[0]),
        .n = (size_t)call->inputs[1].shape.dims[0],
        .k = (size_t)call->inputs[1].shape.dims[1],
        .lda = (size_t)call->inputs[1].shape.dims[1],
        .ldb = (size_t)call->inputs[1].shape.dims[1],
        .a = call->inputs[0].data,
        .b = call->inputs[1].data,
        .c = call->outputs[0].data,
        .bias = call->n_inputs > 2 ? call->inputs[2].data : NULL,
        .activation = call->attributes->activation,
    };
    multiply(&p, call->pool);
}

void trib_blas_choose_matmul(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)call;
    (void)threads;
    choice->run = run_matmul;
}

void trib_blas_choose_linear(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)call;
    (void)threads;
    choice->run = run_linear;
}
