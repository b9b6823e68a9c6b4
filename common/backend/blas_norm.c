/* Batch normalisation (Ioffe and Szegedy 2015) with its gradient: sums over rows in a fixed number of parts, added in
 * order and in double. Any thread. */
#include "blas.h"

#include "columns.h"
#include "geometry.h"
#include "parallel.h"

#include <math.h>
#include <string.h>

/* What a part does with its rows. */
enum pass { PASS_SUM, PASS_SQUARES, PASS_NORMALISE, PASS_PRODUCTS, PASS_GRAD };

struct batch {
    enum pass pass;
    const float *x, *dy, *mean;
    float *y; /* or dx */
    size_t rows, channels, parts;
    float *sums;              /* [parts][2][channels] */
    float *a, *b, *d, *means; /* [channels] each, after the sums */
};

enum { VECTORS = 4 };

static struct batch batch_of(const struct trib_kernel_call *call)
{
    struct batch e = {.rows = trib_tensor_rows(&call->inputs[0]), .channels = trib_tensor_columns(&call->inputs[0])};
    e.parts = trib_parts(e.rows, TRIB_PART_BYTES / sizeof(float) / e.channels + 1);
    e.sums = call->workspace;
    if (e.sums) {
        e.a = e.sums + e.parts * 2 * e.channels;
        e.b = e.a + e.channels;
        e.d = e.b + e.channels;
        e.means = e.d + e.channels;
    }
    return e;
}

static size_t batch_workspace(const struct batch *e)
{
    return (e->parts * 2 + VECTORS) * e->channels * sizeof(float);
}

static void batch_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct batch *e = context;
    size_t from = trib_part_start(e->rows, e->parts, part, 8), to = trib_part_start(e->rows, e->parts, part + 1, 8);
    size_t at = from * e->channels, rows = to - from;
    float *sums = e->sums + part * 2 * e->channels;
    if (e->pass != PASS_NORMALISE && e->pass != PASS_GRAD) {
        memset(sums, 0, 2 * e->channels * sizeof *sums);
    }
    switch (e->pass) {
    case PASS_SUM:
        trib_columns_sum(e->x + at, rows, e->channels, sums);
        break;
    case PASS_SQUARES:
        trib_columns_squares(e->x + at, e->mean, rows, e->channels, sums);
        break;
    case PASS_NORMALISE:
        trib_columns_normalise(e->x + at, e->mean, e->a, e->d, rows, e->channels, e->y + at);
        break;
    case PASS_PRODUCTS:
        trib_columns_products(e->dy + at, e->x + at, e->mean, rows, e->channels, sums, sums + e->channels);
        break;
    case PASS_GRAD:
        trib_columns_normalise_grad(e->dy + at, e->x + at, e->mean, e->a, e->b, e->d, rows, e->channels, e->y + at);
        break;
    }
}

static void run_pass(struct batch *e, enum pass pass, struct trib_thread_pool *pool)
{
    e->pass = pass;
    trib_thread_pool_run(pool, e->parts, batch_part, e);
}

static double total(const struct batch *e, size_t which, size_t channel)
{
    double sum = 0;
    for (size_t part = 0; part < e->parts; part++) {
        sum += (double)e->sums[(part * 2 + which) * e->channels + channel];
    }
    return sum;
}

static void put(const struct trib_tensor *output, size_t at, double value)
{
    if (output->data) {
        ((float *)output->data)[at] = (float)value;
    }
}

/* y = gamma (x - mean) / sqrt(var + epsilon) + beta */
static void run_batch_norm(const struct trib_kernel_call *call)
{
    struct batch e = batch_of(call);
    const float *gamma = call->inputs[1].data, *beta = call->inputs[2].data;
    const float *running_mean = call->inputs[3].data, *running_var = call->inputs[4].data;
    bool training = call->attributes->training;
    double n = (double)e.rows, momentum = (double)call->attributes->momentum;
    e.x = call->inputs[0].data;
    e.y = call->outputs[0].data;
    e.mean = e.means;
    if (training) {
        run_pass(&e, PASS_SUM, call->pool);
    }
    for (size_t c = 0; c < e.channels; c++) {
        e.means[c] = training ? (float)(total(&e, 0, c) / n) : running_mean[c];
    }
    if (training) {
        run_pass(&e, PASS_SQUARES, call->pool);
    }
    for (size_t c = 0; c < e.channels; c++) {
        double old_mean = (double)running_mean[c], old_var = (double)running_var[c];
        double mean = (double)e.means[c], variance = training ? total(&e, 0, c) / n : old_var;
        double unbiased = e.rows > 1 ? variance * n / (n - 1) : variance;
        double inverse_std = 1 / sqrt(variance + (double)call->attributes->epsilon);
        e.a[c] = (float)(inverse_std * (double)gamma[c]);
        e.d[c] = beta[c];
        put(&call->outputs[1], c, mean);
        put(&call->outputs[2], c, inverse_std);
        put(&call->outputs[3], c, training ? old_mean + momentum * (mean - old_mean) : old_mean);
        put(&call->outputs[4], c, training ? old_var + momentum * (unbiased - old_var) : old_var);
    }
    if (e.y) {
        run_pass(&e, PASS_NORMALISE, call->pool);
    }
}

/* With g = dy gamma: dx = s (g - mean(g) - xhat mean(g xhat)), dgamma = sum(dy xhat), dbeta = sum(dy) */
static void run_batch_norm_grad(const struct trib_kernel_call *call)
{
    struct batch e = batch_of(call);
    const float *gamma = call->inputs[2].data, *inverse_stds = call->inputs[4].data;
    e.dy = call->inputs[0].data;
    e.x = call->inputs[1].data;
    e.mean = call->inputs[3].data;
    e.y = call->outputs[0].data;
    run_pass(&e, PASS_PRODUCTS, call->pool);
    for (size_t c = 0; c < e.channels; c++) {
        double s = (double)inverse_stds[c], sum = total(&e, 0, c), products = total(&e, 1, c) * s;
        double scale = (double)gamma[c] * s / (double)e.rows;
        e.a[c] = (float)((double)gamma[c] * s);
        e.b[c] = (float)(-scale * products * s);
        e.d[c] = (float)(-scale * sum);
        put(&call->outputs[1], c, products);
        put(&call->outputs[2], c, sum);
    }
    if (e.y) {
        run_pass(&e, PASS_GRAD, call->pool);
    }
}

void trib_blas_choose_batch_norm(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    struct batch e = batch_of(call);
    choice->run = call->op == TRIB_OP_BATCH_NORM ? run_batch_norm : run_batch_norm_grad;
    choice->workspace_bytes = batch_workspace(&e);
}
