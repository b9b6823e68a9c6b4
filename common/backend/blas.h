/* The portable CPU backend: OpenBLAS for products, our own loops for the rest. Private to this block.
 *
 * Each op has a chooser: given shapes it names a kernel and its workspace, or leaves choice->run NULL for the
 * reference kernel. Kernels may be called from any thread, one call at a time per workspace. */
#ifndef TRIB_BACKEND_BLAS_H
#define TRIB_BACKEND_BLAS_H

#include "backend/backend.h"

typedef void (*trib_chooser)(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);

void trib_blas_choose_matmul(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_linear(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_conv2d(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_conv2d_grad_input(const struct trib_kernel_call *call, int threads,
                                        struct trib_kernel_choice *choice);
void trib_blas_choose_conv2d_grad_weight(const struct trib_kernel_call *call, int threads,
                                         struct trib_kernel_choice *choice);
void trib_blas_choose_activation(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_arithmetic(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_reduce(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_batch_norm(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_group_norm(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_pool(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
void trib_blas_choose_softmax(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);

/* ---- blas_library.c: the only file that knows OpenBLAS ---- */

enum trib_status trib_blas_probe(struct trib_error *error);
const char *trib_blas_describe(void);
/* c[m, n] = op(a) op(b) + beta c; row-major with leading dimensions. On the calling thread. */
void trib_blas_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* ---- blas_activation.c ---- */

/* y[rows, columns] = activation(y + bias), in place, with row stride `stride`; bias may be NULL. */
void trib_blas_epilogue(float *y, size_t rows, size_t columns, size_t stride, const float *bias,
                        enum trib_activation activation);
/* to[i] += from[i] */
void trib_blas_add(float *to, const float *from, size_t n);
/* y[i] = activation(x[i]); x may equal y. */
void trib_blas_activate(enum trib_activation activation, const float *x, float *y, size_t n);

#endif
