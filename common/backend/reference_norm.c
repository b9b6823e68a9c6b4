/* Reference kernels: batch and group normalisation. Any thread. */
#include "reference.h"

#include "geometry.h"

#include <math.h>

/* The elements that share one mean and variance: `blocks` runs of `width`, `stride` apart, from `first` on. Batch norm:
 * a channel's column, width 1. Group norm: a group's channels of every pixel of one image. */
struct group {
    size_t first, blocks, stride, width;
};

static void group_moments(const float *x, const struct group *group, double *mean, double *variance)
{
    double count = (double)(group->blocks * group->width), sum = 0, squares = 0;
    for (size_t b = 0; b < group->blocks; b++) {
        for (size_t i = 0; i < group->width; i++) {
            sum += (double)x[group->first + b * group->stride + i];
        }
    }
    *mean = sum / count;
    for (size_t b = 0; b < group->blocks; b++) {
        for (size_t i = 0; i < group->width; i++) {
            double away = (double)x[group->first + b * group->stride + i] - *mean;
            squares += away * away;
        }
    }
    *variance = squares / count;
}

/* What normalise_grad needs of one group: dx = gamma s (dy - mean(dy gamma)/gamma - xhat mean(dy gamma xhat)/gamma),
 * written with g = dy gamma as  dx = s (g - mean(g) - xhat mean(g xhat)). */
static void group_grad(const struct trib_kernel_call *call, const struct group *group, double mean, double inverse_std,
                       size_t channel)
{
    const float *dy = call->inputs[0].data, *x = call->inputs[1].data, *gamma = call->inputs[2].data;
    float *dx = call->outputs[0].data;
    double count = (double)(group->blocks * group->width), sum = 0, dot = 0;
    for (size_t b = 0; b < group->blocks; b++) {
        for (size_t i = 0; i < group->width; i++) {
            size_t at = group->first + b * group->stride + i;
            double g = (double)dy[at] * gamma[channel + i];
            sum += g;
            dot += g * ((double)x[at] - mean) * inverse_std;
        }
    }
    for (size_t b = 0; b < group->blocks && dx; b++) {
        for (size_t i = 0; i < group->width; i++) {
            size_t at = group->first + b * group->stride + i;
            double g = (double)dy[at] * gamma[channel + i], normal = ((double)x[at] - mean) * inverse_std;
            dx[at] = (float)(inverse_std * (g - sum / count - normal * dot / count));
        }
    }
}

/* y = gamma (x - mean) / sqrt(var + epsilon) + beta  (Ioffe and Szegedy 2015) */
void trib_reference_batch_norm(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data, *gamma = call->inputs[1].data, *beta = call->inputs[2].data;
    const float *running_mean = call->inputs[3].data, *running_var = call->inputs[4].data;
    size_t rows = trib_tensor_rows(&call->inputs[0]), channels = trib_tensor_columns(&call->inputs[0]);
    double momentum = call->attributes->momentum;
    for (size_t c = 0; c < channels; c++) {
        double mean = running_mean[c], variance = running_var[c];
        double new_mean = mean, new_variance = variance;
        if (call->attributes->training) {
            group_moments(x, &(struct group){c, rows, channels, 1}, &mean, &variance);
            double unbiased = rows > 1 ? variance * (double)rows / (double)(rows - 1) : variance;
            new_mean += momentum * (mean - new_mean);
            new_variance += momentum * (unbiased - new_variance);
        }
        double inverse_std = 1 / sqrt(variance + (double)call->attributes->epsilon);
        double all[5] = {0, mean, inverse_std, new_mean, new_variance};
        for (int o = 1; o < 5; o++) {
            if (call->outputs[o].data) {
                ((float *)call->outputs[o].data)[c] = (float)all[o];
            }
        }
        float *y = call->outputs[0].data;
        for (size_t r = 0; r < rows && y; r++) {
            y[r * channels + c] = (float)(((double)x[r * channels + c] - mean) * inverse_std * gamma[c] + beta[c]);
        }
    }
}

/* dgamma[c] = sum dy xhat, dbeta[c] = sum dy, over the rows from `first` on; added to what is there. */
static void add_column_sums(const struct trib_kernel_call *call, size_t first, size_t rows, size_t channels, size_t c,
                            double mean, double inverse_std, double *gamma_sum, double *beta_sum)
{
    const float *dy = call->inputs[0].data, *x = call->inputs[1].data;
    for (size_t r = 0; r < rows; r++) {
        size_t at = (first + r) * channels + c;
        *beta_sum += (double)dy[at];
        *gamma_sum += (double)dy[at] * ((double)x[at] - mean) * inverse_std;
    }
}

static void store_column_sums(const struct trib_kernel_call *call, size_t c, double gamma_sum, double beta_sum)
{
    float *dgamma = call->outputs[1].data, *dbeta = call->outputs[2].data;
    if (dgamma) {
        dgamma[c] = (float)gamma_sum;
    }
    if (dbeta) {
        dbeta[c] = (float)beta_sum;
    }
}

void trib_reference_batch_norm_grad(const struct trib_kernel_call *call)
{
    const float *mean = call->inputs[3].data, *inverse_std = call->inputs[4].data;
    size_t rows = trib_tensor_rows(&call->inputs[0]), channels = trib_tensor_columns(&call->inputs[0]);
    for (size_t c = 0; c < channels; c++) {
        double gamma_sum = 0, beta_sum = 0;
        add_column_sums(call, 0, rows, channels, c, (double)mean[c], (double)inverse_std[c], &gamma_sum, &beta_sum);
        group_grad(call, &(struct group){c, rows, channels, 1}, (double)mean[c], (double)inverse_std[c], c);
        store_column_sums(call, c, gamma_sum, beta_sum);
    }
}

/* y = gamma (x - mean) / sqrt(var + epsilon) + beta per image and group  (Wu and He 2018) */
void trib_reference_group_norm(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data, *gamma = call->inputs[1].data, *beta = call->inputs[2].data;
    float *y = call->outputs[0].data, *means = call->outputs[1].data, *inverse_stds = call->outputs[2].data;
    size_t channels = trib_tensor_columns(&call->inputs[0]), batch = (size_t)call->inputs[0].shape.dims[0];
    size_t groups = (size_t)call->attributes->groups, width = channels / groups;
    size_t pixels = batch == 0 ? 0 : trib_tensor_rows(&call->inputs[0]) / batch;
    for (size_t n = 0; n < batch; n++) {
        for (size_t g = 0; g < groups; g++) {
            struct group group = {n * pixels * channels + g * width, pixels, channels, width};
            double mean, variance;
            group_moments(x, &group, &mean, &variance);
            double inverse_std = 1 / sqrt(variance + (double)call->attributes->epsilon);
            if (means) {
                means[n * groups + g] = (float)mean;
            }
            if (inverse_stds) {
                inverse_stds[n * groups + g] = (float)inverse_std;
            }
            for (size_t i = 0; i < pixels * width && y; i++) {
                size_t at = group.first + i / width * channels + i % width, c = g * width + i % width;
                y[at] = (float)(((double)x[at] - mean) * inverse_std * gamma[c] + beta[c]);
            }
        }
    }
}

void trib_reference_group_norm_grad(const struct trib_kernel_call *call)
{
    const float *means = call->inputs[3].data, *inverse_stds = call->inputs[4].data;
    size_t channels = trib_tensor_columns(&call->inputs[0]), batch = (size_t)call->inputs[0].shape.dims[0];
    size_t groups = (size_t)call->attributes->groups, width = channels / groups;
    size_t pixels = batch == 0 ? 0 : trib_tensor_rows(&call->inputs[0]) / batch;
    for (size_t c = 0; c < channels; c++) {
        double gamma_sum = 0, beta_sum = 0;
        for (size_t n = 0; n < batch; n++) {
            size_t g = n * groups + c / width;
            add_column_sums(call, n * pixels, pixels, channels, c, (double)means[g], (double)inverse_stds[g],
                            &gamma_sum, &beta_sum);
        }
        store_column_sums(call, c, gamma_sum, beta_sum);
    }
    for (size_t n = 0; n < batch; n++) {
        for (size_t g = 0; g < groups; g++) {
            struct group group = {n * pixels * channels + g * width, pixels, channels, width};
            group_grad(call, &group, (double)means[n * groups + g], (double)inverse_stds[n * groups + g], g * width);
        }
    }
}
