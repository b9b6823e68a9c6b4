/* The portable CPU backend is a table of one chooser per op; an op without one runs on the reference kernel. */
#include "blas.h"

#include "tables.h"

static const trib_chooser choosers[TRIB_OP_COUNT] = {
    [TRIB_OP_MATMUL] = trib_blas_choose_matmul,
    [TRIB_OP_LINEAR] = trib_blas_choose_linear,
    [TRIB_OP_CONV2D] = trib_blas_choose_conv2d,
    [TRIB_OP_CONV2D_GRAD_INPUT] = trib_blas_choose_conv2d_grad_input,
    [TRIB_OP_CONV2D_GRAD_WEIGHT] = trib_blas_choose_conv2d_grad_weight,
    [TRIB_OP_MAX_POOL2D] = trib_blas_choose_pool,
    [TRIB_OP_MAX_POOL2D_GRAD] = trib_blas_choose_pool,
    [TRIB_OP_AVG_POOL2D] = trib_blas_choose_pool,
    [TRIB_OP_AVG_POOL2D_GRAD] = trib_blas_choose_pool,
    [TRIB_OP_RELU] = trib_blas_choose_activation,
    [TRIB_OP_TANH] = trib_blas_choose_activation,
    [TRIB_OP_SIGMOID] = trib_blas_choose_activation,
    [TRIB_OP_GELU] = trib_blas_choose_activation,
    [TRIB_OP_RELU_GRAD] = trib_blas_choose_activation,
    [TRIB_OP_TANH_GRAD] = trib_blas_choose_activation,
    [TRIB_OP_SIGMOID_GRAD] = trib_blas_choose_activation,
    [TRIB_OP_GELU_GRAD] = trib_blas_choose_activation,
    [TRIB_OP_ADD] = trib_blas_choose_arithmetic,
    [TRIB_OP_MUL] = trib_blas_choose_arithmetic,
    [TRIB_OP_SCALE] = trib_blas_choose_arithmetic,
    [TRIB_OP_DROPOUT] = trib_blas_choose_arithmetic,
    [TRIB_OP_REDUCE_TO] = trib_blas_choose_reduce,
    [TRIB_OP_BATCH_NORM] = trib_blas_choose_batch_norm,
    [TRIB_OP_BATCH_NORM_GRAD] = trib_blas_choose_batch_norm,
    [TRIB_OP_GROUP_NORM] = trib_blas_choose_group_norm,
    [TRIB_OP_GROUP_NORM_GRAD] = trib_blas_choose_group_norm,
    [TRIB_OP_SOFTMAX_CROSS_ENTROPY] = trib_blas_choose_softmax,
    [TRIB_OP_SOFTMAX_CROSS_ENTROPY_GRAD] = trib_blas_choose_softmax,
};

static void choose(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    *choice = (struct trib_kernel_choice){0};
    if (choosers[call->op]) {
        choosers[call->op](call, threads, choice);
    }
}

const struct trib_backend trib_backend_blas = {
    .name = "blas",
    .help = "CPU: OpenBLAS, vectorised loops, a pool of threads",
    .caps = TRIB_BACKEND_HOST_MEMORY,
    .probe = trib_blas_probe,
    .choose = choose,
    .describe = trib_blas_describe,
};
