/* reduce_to: sums over leading dimensions, such as the gradient of a bias. Rows are summed in a fixed number of parts,
 * whose sums are added in order. Any thread. */
#include "blas.h"

#include "columns.h"
#include "geometry.h"
#include "parallel.h"

#include <string.h>

/* Narrow rows are taken several at a time, as one row of this many elements, so that vectors fill. */
enum { WIDE = 64 };

struct reduce {
    const float *x;
    float *y;
    size_t columns, rows; /* of x, as it is reduced */
    size_t fold;          /* rows taken as one */
    size_t wide_rows, wide_columns, parts;
    float *sums; /* [parts][wide_columns] */
};

static struct reduce reduce_of(const struct trib_kernel_call *call)
{
    struct reduce e = {.x = call->inputs[0].data, .y = call->outputs[0].data, .sums = call->workspace};
    e.columns = trib_tensor_n(&call->outputs[0]);
    e.rows = trib_tensor_n(&call->inputs[0]) / e.columns;
    e.fold = e.columns < WIDE ? WIDE / e.columns : 1;
    e.wide_rows = e.rows / e.fold;
    e.wide_columns = e.columns * e.fold;
    e.parts = trib_parts(e.wide_rows, TRIB_PART_BYTES / sizeof(float) / e.wide_columns + 1);
    return e;
}

static void sum_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct reduce *e = context;
    size_t from = trib_part_start(e->wide_rows, e->parts, part, 8);
    size_t to = trib_part_start(e->wide_rows, e->parts, part + 1, 8);
    float *sums = e->sums + part * e->wide_columns;
    memset(sums, 0, e->wide_columns * sizeof *sums);
    trib_columns_sum(e->x + from * e->wide_columns, to - from, e->wide_columns, sums);
}

static void run_reduce(const struct trib_kernel_call *call)
{
    struct reduce e = reduce_of(call);
    trib_thread_pool_run(call->pool, e.parts, sum_part, &e);
    for (size_t part = 1; part < e.parts; part++) {
        trib_blas_add(e.sums, e.sums + part * e.wide_columns, e.wide_columns);
    }
    memset(e.y, 0, e.columns * sizeof *e.y);
    trib_columns_sum(e.sums, e.fold, e.columns, e.y);
    size_t done = e.wide_rows * e.fold;
    trib_columns_sum(e.x + done * e.columns, e.rows - done, e.columns, e.y);
}

void trib_blas_choose_reduce(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    struct reduce e = reduce_of(call);
    choice->run = run_reduce;
    choice->workspace_bytes = e.parts * e.wide_columns * sizeof(float);
}
