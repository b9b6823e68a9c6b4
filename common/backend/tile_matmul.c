/* Matrix products on tiles, for the thin matrices of training: a batch of rows against weights. Operands are read
 * where they lie. Wide products go to OpenBLAS, whose packing pays for itself there. */
#include "geometry.h"
#include "parallel.h"
#include "tile.h"

#if TRIB_HAS_TILES

/* Beyond these sizes of the side that is walked again and again, OpenBLAS's packing wins. */
enum { MAX_BATCH = 192, MIN_SUM = 4 };

struct product {
    const struct trib_tile_set *set;
    size_t m, n, k;
    const float *a, *b, *bias;
    float *c;
    bool transpose_a, transpose_b, relu;
    bool by_rows; /* parts are blocks of rows of c, else of columns */
    size_t parts, multiple;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* c[rows r.., columns c..] = op(a) b, b [k, n] as it lies */
static void multiply_block(const struct product *p, size_t from_row, size_t to_row, size_t from, size_t to)
{
    struct trib_tile tile = {
        .a_row = p->transpose_a ? 1 : p->k,
        .a_step = p->transpose_a ? p->m : 1,
        .b_step = p->n,
        .c_row = p->n,
        .k = p->k,
        .segments = 1,
    };
    for (size_t c = from; c < to; c += (size_t)tile.columns) {
        tile.columns = (int)smaller(to - c, (size_t)p->set->columns);
        tile.b = p->b + c;
        for (size_t r = from_row; r < to_row; r += (size_t)tile.rows) {
            tile.rows = trib_tile_even(to_row - r, p->set->rows);
            tile.a = p->a + r * tile.a_row;
            tile.c = p->c + r * p->n + c;
            p->set->tile(&tile);
        }
    }
}

/* c[rows, columns from..] = a b^T, both with k running along their rows */
static void dot_block(const struct product *p, size_t from_row, size_t to_row, size_t from, size_t to)
{
    struct trib_dot dot = {.x_row = p->k, .w_row = p->k, .c_row = p->n, .k = p->k, .relu = p->relu};
    for (size_t c = from; c < to; c += TRIB_DOT_COLUMNS) {
        dot.columns = (int)smaller(to - c, TRIB_DOT_COLUMNS);
        dot.w = p->b + c * p->k;
        dot.bias = p->bias ? p->bias + c : NULL;
        for (size_t r = from_row; r < to_row; r += (size_t)dot.rows) {
            dot.rows = trib_tile_even(to_row - r, p->set->dot_rows);
            dot.x = p->a + r * p->k;
            dot.c = p->c + r * p->n + c;
            dot.w_ahead = r == from_row && c + 2 * TRIB_DOT_COLUMNS <= to ? TRIB_DOT_COLUMNS * p->k : 0;
            p->set->dot(&dot);
        }
    }
}

static void multiply_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct product *p = context;
    size_t size = p->by_rows ? p->m : p->n;
    size_t from = trib_part_start(size, p->parts, part, p->multiple);
    size_t to = trib_part_start(size, p->parts, part + 1, p->multiple);
    (p->transpose_b ? dot_block : multiply_block)(p, p->by_rows ? from : 0, p->by_rows ? to : p->m,
                                                  p->by_rows ? 0 : from, p->by_rows ? p->n : to);
}

static void multiply(struct product *p, struct trib_thread_pool *pool)
{
    /* Rows of dw, columns of y and dx: the weights are then read or written once in all. */
    p->by_rows = p->m > p->n || (p->transpose_a && p->m >= (size_t)p->set->rows * 4);
    p->multiple = p->by_rows ? (size_t)p->set->rows : p->transpose_b ? TRIB_DOT_COLUMNS : (size_t)p->set->lanes;
    size_t size = p->by_rows ? p->m : p->n, other = p->by_rows ? p->n : p->m;
    size_t grain = TRIB_PART_MULTIPLIES / (other * p->k + 1) + 1;
    p->parts = trib_parts(size, grain > p->multiple ? grain : p->multiple);
    trib_thread_pool_run(pool, p->parts, multiply_part, p);
}

/* y[M, N] = op(a) op(b), op(a) [M, K], op(b) [K, N] */
static struct product matmul_of(const struct trib_kernel_call *call)
{
    bool transpose_a = call->attributes->transpose_a, transpose_b = call->attributes->transpose_b;
    const struct trib_shape *a = &call->inputs[0].shape, *b = &call->inputs[1].shape;
    return (struct product){
        .m = (size_t)a->dims[transpose_a ? 1 : 0],
        .n = (size_t)b->dims[transpose_b ? 0 : 1],
        .k = (size_t)a->dims[transpose_a ? 0 : 1],
        .transpose_a = transpose_a,
        .transpose_b = transpose_b,
        .a = call->inputs[0].data,
        .b = call->inputs[1].data,
        .c = call->outputs[0].data,
    };
}

static void matmul(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct product p = matmul_of(call);
    p.set = set;
    multiply(&p, call->pool);
}
TRIB_TILE_KERNELS(matmul)

void trib_tile_choose_matmul(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                             struct trib_kernel_choice *choice)
{
    (void)threads;
    struct product p = matmul_of(call);
    /* The side that every tile walks again must stay in cache: the batch, which dw sums over. */
    size_t batch = p.transpose_a ? p.k : p.m;
    if (batch <= MAX_BATCH && !(p.transpose_a && p.transpose_b) && !(p.transpose_a && batch < MIN_SUM)) {
        choice->run = matmul_kernels[kind];
    }
}

/* y[B, O] = activation(x[B, I] w[O, I]^T + bias[O]) */
static void linear(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct product p = {
        .set = set,
        .m = (size_t)call->inputs[0].shape.dims[0],
        .n = (size_t)call->inputs[1].shape.dims[0],
        .k = (size_t)call->inputs[1].shape.dims[1],
        .transpose_b = true,
        .relu = call->attributes->activation == TRIB_ACTIVATION_RELU,
        .a = call->inputs[0].data,
        .b = call->inputs[1].data,
        .c = call->outputs[0].data,
        .bias = call->n_inputs > 2 ? call->inputs[2].data : NULL,
    };
    multiply(&p, call->pool);
}
TRIB_TILE_KERNELS(linear)

void trib_tile_choose_linear(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                             struct trib_kernel_choice *choice)
{
    (void)threads;
    enum trib_activation activation = call->attributes->activation;
    if (call->inputs[0].shape.dims[0] <= MAX_BATCH &&
        (activation == TRIB_ACTIVATION_NONE || activation == TRIB_ACTIVATION_RELU)) {
        choice->run = linear_kernels[kind];
    }
}

#endif
