/* Group normalisation (Wu and He 2018) with its gradient: an image is a part; sums over images are taken in order.
 * Any thread. */
#include "blas.h"

#include "columns.h"
#include "geometry.h"
#include "parallel.h"

#include <math.h>
#include <string.h>

/* Vectors of [channels] that a worker needs. */
enum { SCRATCH_VECTORS = 6 };

struct group {
    const struct trib_kernel_call *call;
    size_t batch, pixels, channels, groups, width, parts;
    float *scratch; /* [workers][SCRATCH_VECTORS][channels] */
    float *totals;  /* [batch][2][channels]: sum(dy), sum(dy xhat) of each image */
};

static struct group group_of(const struct trib_kernel_call *call)
{
    struct group e = {.call = call, .channels = trib_tensor_columns(&call->inputs[0])};
    e.batch = (size_t)call->inputs[0].shape.dims[0];
    e.pixels = trib_tensor_rows(&call->inputs[0]) / e.batch;
    e.groups = (size_t)call->attributes->groups;
    e.width = e.channels / e.groups;
    e.parts = trib_parts(e.batch, TRIB_PART_BYTES / sizeof(float) / (e.pixels * e.channels) + 1);
    e.totals = call->workspace;
    e.scratch = e.totals ? e.totals + e.batch * 2 * e.channels : NULL;
    return e;
}

/* The sum of a group's channels. */
static double group_sum(const float *values, const float *weights, size_t width)
{
    double sum = 0;
    for (size_t i = 0; i < width; i++) {
        sum += (double)values[i] * (weights ? (double)weights[i] : 1);
    }
    return sum;
}

static void normalise_image(const struct group *e, size_t image, float *scratch)
{
    const struct trib_kernel_call *call = e->call;
    const float *x = (const float *)call->inputs[0].data + image * e->pixels * e->channels;
    const float *gamma = call->inputs[1].data, *beta = call->inputs[2].data;
    float *y = call->outputs[0].data, *means = call->outputs[1].data, *inverse_stds = call->outputs[2].data;
    float *sums = scratch, *mean = sums + e->channels, *scale = mean + e->channels;
    double count = (double)(e->pixels * e->width);
    memset(sums, 0, e->channels * sizeof *sums);
    trib_columns_sum(x, e->pixels, e->channels, sums);
    for (size_t c = 0; c < e->channels; c++) {
        mean[c] = c % e->width == 0 ? (float)(group_sum(sums + c, NULL, e->width) / count) : mean[c - 1];
    }
    memset(sums, 0, e->channels * sizeof *sums);
    trib_columns_squares(x, mean, e->pixels, e->channels, sums);
    for (size_t g = 0; g < e->groups; g++) {
        size_t first = g * e->width;
        double variance = group_sum(sums + first, NULL, e->width) / count;
        double inverse_std = 1 / sqrt(variance + (double)call->attributes->epsilon);
        for (size_t c = first; c < first + e->width; c++) {
            scale[c] = (float)(inverse_std * (double)gamma[c]);
        }
        if (means) {
            means[image * e->groups + g] = mean[first];
        }
        if (inverse_stds) {
            inverse_stds[image * e->groups + g] = (float)inverse_std;
        }
    }
    if (y) {
        trib_columns_normalise(x, mean, scale, beta, e->pixels, e->channels, y + image * e->pixels * e->channels);
    }
}

/* With g = dy gamma: dx = s (g - mean(g) - xhat mean(g xhat)), means over the group */
static void normalise_image_grad(const struct group *e, size_t image, float *scratch)
{
    const struct trib_kernel_call *call = e->call;
    size_t at = image * e->pixels * e->channels;
    const float *dy = (const float *)call->inputs[0].data + at, *x = (const float *)call->inputs[1].data + at;
    const float *gamma = call->inputs[2].data;
    const float *means = (const float *)call->inputs[3].data + image * e->groups;
    const float *inverse_stds = (const float *)call->inputs[4].data + image * e->groups;
    float *dx = call->outputs[0].data;
    float *sums = e->totals + image * 2 * e->channels, *products = sums + e->channels;
    float *mean = scratch, *a = mean + e->channels, *b = a + e->channels, *d = b + e->channels;
    double count = (double)(e->pixels * e->width);
    for (size_t c = 0; c < e->channels; c++) {
        mean[c] = means[c / e->width];
    }
    memset(sums, 0, 2 * e->channels * sizeof *sums);
    trib_columns_products(dy, x, mean, e->pixels, e->channels, sums, products);
    for (size_t g = 0; g < e->groups; g++) {
        size_t first = g * e->width;
        double s = (double)inverse_stds[g];
        double mean_g = group_sum(sums + first, gamma + first, e->width) / count;
        double mean_gx = group_sum(products + first, gamma + first, e->width) * s / count;
        for (size_t c = first; c < first + e->width; c++) {
            a[c] = (float)(s * (double)gamma[c]);
            b[c] = (float)(-s * s * mean_gx);
            d[c] = (float)(-s * mean_g);
            products[c] = (float)((double)products[c] * s);
        }
    }
    if (dx) {
        trib_columns_normalise_grad(dy, x, mean, a, b, d, e->pixels, e->channels, dx + at);
    }
}

static void group_part(void *context, size_t part, int worker)
{
    const struct group *e = context;
    float *scratch = e->scratch + (size_t)worker * SCRATCH_VECTORS * e->channels;
    size_t to = trib_part_start(e->batch, e->parts, part + 1, 1);
    for (size_t image = trib_part_start(e->batch, e->parts, part, 1); image < to; image++) {
        (e->call->op == TRIB_OP_GROUP_NORM ? normalise_image : normalise_image_grad)(e, image, scratch);
    }
}

static void run_group_norm(const struct trib_kernel_call *call)
{
    struct group e = group_of(call);
    trib_thread_pool_run(call->pool, e.parts, group_part, &e);
}

static void run_group_norm_grad(const struct trib_kernel_call *call)
{
    struct group e = group_of(call);
    float *dgamma = call->outputs[1].data, *dbeta = call->outputs[2].data;
    trib_thread_pool_run(call->pool, e.parts, group_part, &e);
    for (size_t c = 0; c < e.channels; c++) {
        double sum = 0, products = 0;
        for (size_t image = 0; image < e.batch; image++) {
            sum += (double)e.totals[image * 2 * e.channels + c];
            products += (double)e.totals[(image * 2 + 1) * e.channels + c];
        }
        if (dgamma) {
            dgamma[c] = (float)products;
        }
        if (dbeta) {
            dbeta[c] = (float)sum;
        }
    }
}

void trib_blas_choose_group_norm(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    struct group e = group_of(call);
    choice->run = call->op == TRIB_OP_GROUP_NORM ? run_group_norm : run_group_norm_grad;
    choice->workspace_bytes = (e.batch * 2 + (size_t)threads * SCRATCH_VECTORS) * e.channels * sizeof(float);
}
