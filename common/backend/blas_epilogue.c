/* Bias and activation, applied to a block of results while it is still in the cache. Any thread. */
#include "blas.h"

#include "multiversion.h"

#include <math.h>

TRIB_MULTIVERSION static void add_bias(float *restrict y, size_t rows, size_t columns, size_t stride,
                                       const float *restrict bias)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            y[r * stride + c] += bias[c];
        }
    }
}

TRIB_MULTIVERSION static void add_bias_relu(float *restrict y, size_t rows, size_t columns, size_t stride,
                                            const float *restrict bias)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            float sum = y[r * stride + c] + bias[c];
            y[r * stride + c] = sum < 0 ? 0 : sum;
        }
    }
}

TRIB_MULTIVERSION static void relu(float *y, size_t rows, size_t columns, size_t stride)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            y[r * stride + c] = y[r * stride + c] < 0 ? 0 : y[r * stride + c];
        }
    }
}

void trib_blas_epilogue(float *y, size_t rows, size_t columns, size_t stride, const float *bias,
                        enum trib_activation activation)
{
    if (activation == TRIB_ACTIVATION_RELU) {
        if (bias != NULL) {
            add_bias_relu(y, rows, columns, stride, bias);
        } else {
            relu(y, rows, columns, stride);
        }
        return;
    }
    if (bias != NULL) {
        add_bias(y, rows, columns, stride, bias);
    }
    if (activation != TRIB_ACTIVATION_NONE) {
        for (size_t r = 0; r < rows; r++) {
            trib_blas_activate(activation, y + r * stride, y + r * stride, columns);
        }
    }
}

TRIB_MULTIVERSION void trib_blas_add(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
}

static void tanh_all(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = tanhf(x[i]);
    }
}

static void sigmoid_all(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = 1.0f / (1.0f + expf(-x[i]));
    }
}

/* x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016). */
static void gelu_all(const float *x, float *y, size_t n)
{
    static const float inverse_root_2 = 0.70710678118654752f;
    for (size_t i = 0; i < n; i++) {
        y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * inverse_root_2));
    }
}

TRIB_MULTIVERSION static void relu_all(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] < 0 ? 0 : x[i];
    }
}

void trib_blas_activate(enum trib_activation activation, const float *x, float *y, size_t n)
{
    switch (activation) {
    case TRIB_ACTIVATION_RELU:
        relu_all(x, y, n);
        break;
    case TRIB_ACTIVATION_TANH:
        tanh_all(x, y, n);
        break;
    case TRIB_ACTIVATION_SIGMOID:
        sigmoid_all(x, y, n);
        break;
    case TRIB_ACTIVATION_GELU:
        gelu_all(x, y, n);
        break;
    case TRIB_ACTIVATION_NONE:
    case TRIB_ACTIVATION_COUNT:
        for (size_t i = 0; i < n; i++) {
            y[i] = x[i];
        }
        break;
    }
}
