/* Activations and their gradients, vectorised; whole tensors on the pool, or a block of results still in the cache.
 * Any thread. */
#include "blas.h"

#include "elementwise.h"
#include "loops.h"
#include "vector_math.h"

static const float inverse_root_2 = 0.70710678118654752f;
static const float inverse_root_2_pi = 0.39894228040143268f;

/* ---- forward ---- */

TRIB_CLONES static void relu(const float *x, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] < 0 ? 0 : x[i];
    }
}

TRIB_CLONES static void tanh_(const float *x, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = trib_tanh(x[i]);
    }
}

TRIB_CLONES static void sigmoid(const float *x, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = trib_sigmoid(x[i]);
    }
}

/* x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016). */
TRIB_CLONES static void gelu(const float *x, float *y, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = 0.5f * x[i] * (1.0f + trib_erf(x[i] * inverse_root_2));
    }
}

void trib_blas_activate(enum trib_activation activation, const float *x, float *y, size_t n)
{
    switch (activation) {
    case TRIB_ACTIVATION_RELU:
        relu(x, y, n);
        break;
    case TRIB_ACTIVATION_TANH:
        tanh_(x, y, n);
        break;
    case TRIB_ACTIVATION_SIGMOID:
        sigmoid(x, y, n);
        break;
    case TRIB_ACTIVATION_GELU:
        gelu(x, y, n);
        break;
    case TRIB_ACTIVATION_NONE:
    case TRIB_ACTIVATION_COUNT:
        if (y != x) {
            memcpy(y, x, n * sizeof *y);
        }
        break;
    }
}

/* ---- after a product ---- */

TRIB_CLONES void trib_blas_add(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
}

TRIB_CLONES static void add_relu(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float sum = y[i] + bias[i];
        y[i] = sum < 0 ? 0 : sum;
    }
}

void trib_blas_epilogue(float *y, size_t rows, size_t columns, size_t stride, const float *bias,
                        enum trib_activation activation)
{
    for (size_t r = 0; r < rows; r++, y += stride) {
        if (bias && activation == TRIB_ACTIVATION_RELU) {
            add_relu(y, bias, columns);
            continue;
        }
        if (bias) {
            trib_blas_add(y, bias, columns);
        }
        if (activation != TRIB_ACTIVATION_NONE) {
            trib_blas_activate(activation, y, y, columns);
        }
    }
}

/* ---- gradients ---- */

TRIB_CLONES static void relu_grad(const float *dy, const float *y, float *dx, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        float g = dy[i]; /* read either way: a branch would keep the loop from vectorising */
        dx[i] = y[i] > 0 ? g : 0;
    }
}

TRIB_CLONES static void tanh_grad(const float *dy, const float *y, float *dx, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        dx[i] = dy[i] * (1.0f - y[i] * y[i]);
    }
}

TRIB_CLONES static void sigmoid_grad(const float *dy, const float *y, float *dx, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        dx[i] = dy[i] * y[i] * (1.0f - y[i]);
    }
}

/* dy (Phi(x) + x phi(x)) */
TRIB_CLONES static void gelu_grad(const float *dy, const float *x, float *dx, size_t n)
{
    TRIB_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        float distribution = 0.5f * (1.0f + trib_erf(x[i] * inverse_root_2));
        float density = inverse_root_2_pi * trib_exp(-0.5f * x[i] * x[i]);
        dx[i] = dy[i] * (distribution + x[i] * density);
    }
}

/* ---- whole tensors ---- */

static void forward_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct trib_elementwise *e = context;
    size_t from = trib_part_start(e->n, e->parts, part, 16), to = trib_part_start(e->n, e->parts, part + 1, 16);
    trib_blas_activate(e->activation, e->a + from, e->y + from, to - from);
}

static void run_forward(const struct trib_kernel_call *call, enum trib_activation activation)
{
    struct trib_elementwise e = trib_elementwise_of(call);
    e.activation = activation;
    trib_thread_pool_run(call->pool, e.parts, forward_part, &e);
}

static void run_relu(const struct trib_kernel_call *call)
{
    run_forward(call, TRIB_ACTIVATION_RELU);
}

static void run_tanh(const struct trib_kernel_call *call)
{
    run_forward(call, TRIB_ACTIVATION_TANH);
}

static void run_sigmoid(const struct trib_kernel_call *call)
{
    run_forward(call, TRIB_ACTIVATION_SIGMOID);
}

static void run_gelu(const struct trib_kernel_call *call)
{
    run_forward(call, TRIB_ACTIVATION_GELU);
}

static void run_relu_grad(const struct trib_kernel_call *call)
{
    trib_elementwise_binary(call, relu_grad);
}

static void run_tanh_grad(const struct trib_kernel_call *call)
{
    trib_elementwise_binary(call, tanh_grad);
}

static void run_sigmoid_grad(const struct trib_kernel_call *call)
{
    trib_elementwise_binary(call, sigmoid_grad);
}

static void run_gelu_grad(const struct trib_kernel_call *call)
{
    trib_elementwise_binary(call, gelu_grad);
}

void trib_blas_choose_activation(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    static const trib_kernel kernels[TRIB_OP_COUNT] = {
        [TRIB_OP_RELU] = run_relu,           [TRIB_OP_TANH] = run_tanh,
        [TRIB_OP_SIGMOID] = run_sigmoid,     [TRIB_OP_GELU] = run_gelu,
        [TRIB_OP_RELU_GRAD] = run_relu_grad, [TRIB_OP_TANH_GRAD] = run_tanh_grad,
        [TRIB_OP_GELU_GRAD] = run_gelu_grad, [TRIB_OP_SIGMOID_GRAD] = run_sigmoid_grad,
    };
    choice->run = kernels[call->op];
}
