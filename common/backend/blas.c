/* The table of the fast CPU backend: one chooser per op; an op without one runs on the reference kernel. */
#include "blas.h"

#include "tables.h"

static const trib_chooser choosers[TRIB_OP_COUNT] = {
    [TRIB_OP_MATMUL] = trib_blas_choose_matmul,
    [TRIB_OP_LINEAR] = trib_blas_choose_linear,
    [TRIB_OP_CONV2D] = trib_blas_choose_conv2d,
    [TRIB_OP_CONV2D_GRAD_INPUT] = trib_blas_choose_conv2d_grad_input,
    [TRIB_OP_CONV2D_GRAD_WEIGHT] = trib_blas_choose_conv2d_grad_weight,
};

static void choose(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    *choice = (struct trib_kernel_choice){0};
    if (choosers[call->op] != NULL) {
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
