/* Reference kernels, element by element: activations, broadcasting arithmetic, dropout, reshape, reduce_to and the
 * gradients of the activations. Any thread. */
#include "reference.h"

#include "dropout.h"
#include "geometry.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static float relu(float x)
{
    return x < 0 ? 0 : x; /* a NaN stays */
}

static float sigmoid(float x)
{
    return (float)(1 / (1 + exp(-(double)x)));
}

/* x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016). */
static float gelu(float x)
{
    return (float)(0.5 * (double)x * (1 + erf((double)x / sqrt(2))));
}

float trib_reference_activate(enum trib_activation activation, float x)
{
    switch (activation) {
    case TRIB_ACTIVATION_RELU:
        return relu(x);
    case TRIB_ACTIVATION_TANH:
        return (float)tanh((double)x);
    case TRIB_ACTIVATION_SIGMOID:
        return sigmoid(x);
    case TRIB_ACTIVATION_GELU:
        return gelu(x);
    case TRIB_ACTIVATION_NONE:
    case TRIB_ACTIVATION_COUNT:
        break;
    }
    return x;
}

static void activate_all(const struct trib_kernel_call *call, enum trib_activation activation)
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    for (size_t i = 0; i < n; i++) {
        y[i] = trib_reference_activate(activation, x[i]);
    }
}

void trib_reference_relu(const struct trib_kernel_call *call)
{
    activate_all(call, TRIB_ACTIVATION_RELU);
}

void trib_reference_tanh(const struct trib_kernel_call *call)
{
    activate_all(call, TRIB_ACTIVATION_TANH);
}

void trib_reference_sigmoid(const struct trib_kernel_call *call)
{
    activate_all(call, TRIB_ACTIVATION_SIGMOID);
}

void trib_reference_gelu(const struct trib_kernel_call *call)
{
    activate_all(call, TRIB_ACTIVATION_GELU);
}

/* dx = dy where y > 0 */
void trib_reference_relu_grad(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data, *y = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    for (size_t i = 0; i < n; i++) {
        dx[i] = y[i] > 0 ? dy[i] : 0;
    }
}

/* dx = dy (1 - y^2) */
void trib_reference_tanh_grad(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data, *y = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    for (size_t i = 0; i < n; i++) {
        dx[i] = (float)((double)dy[i] * (1 - (double)y[i] * y[i]));
    }
}

/* dx = dy y (1 - y) */
void trib_reference_sigmoid_grad(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data, *y = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    for (size_t i = 0; i < n; i++) {
        dx[i] = (float)((double)dy[i] * y[i] * (1 - (double)y[i]));
    }
}

/* dx = dy (Phi(x) + x phi(x)), phi the normal density */
void trib_reference_gelu_grad(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data, *x = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    for (size_t i = 0; i < n; i++) {
        double at = x[i];
        double distribution = 0.5 * (1 + erf(at / sqrt(2)));
        double density = exp(-0.5 * at * at) / sqrt(2 * pi);
        dx[i] = (float)((double)dy[i] * (distribution + at * density));
    }
}

/* b repeats along a's leading dimensions: element i of a meets element i mod size(b) of b. */
void trib_reference_add(const struct trib_kernel_call *call)
{
    const float *a = call->inputs[0].data, *b = call->inputs[1].data;
    float *y = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]), n_b = trib_tensor_n(&call->inputs[1]);
    for (size_t i = 0; i < n; i++) {
        y[i] = a[i] + b[i % n_b];
    }
}

void trib_reference_mul(const struct trib_kernel_call *call)
{
    const float *a = call->inputs[0].data, *b = call->inputs[1].data;
    float *y = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]), n_b = trib_tensor_n(&call->inputs[1]);
    for (size_t i = 0; i < n; i++) {
        y[i] = a[i] * b[i % n_b];
    }
}

void trib_reference_scale(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] * call->attributes->factor;
    }
}

/* A plan makes reshape an alias; a copy is what remains when it could not. */
void trib_reference_reshape(const struct trib_kernel_call *call)
{
    size_t n = trib_tensor_n(&call->inputs[0]);
    if (call->outputs[0].data != call->inputs[0].data && n > 0) {
        memcpy(call->outputs[0].data, call->inputs[0].data, n * sizeof(float));
    }
}

/* Srivastava et al. 2014, inverted scaling. */
void trib_reference_dropout(const struct trib_kernel_call *call)
{
    struct trib_dropout dropout = trib_dropout_init(call);
    trib_dropout_apply(&dropout, 0, trib_tensor_n(&call->inputs[0]), call->inputs[0].data, call->outputs[0].data);
}

void trib_reference_reduce_to(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[0]), n_y = trib_tensor_n(&call->outputs[0]);
    for (size_t j = 0; j < n_y; j++) {
        double sum = 0;
        for (size_t i = j; i < n; i += n_y) {
            sum += (double)x[i];
        }
        y[j] = (float)sum;
    }
}
