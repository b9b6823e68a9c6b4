/* The backends on register tiles: one per vector width, each taking from OpenBLAS the ops where tiles win. */
#include "tile.h"

#include "blas.h"
#include "tables.h"

#if TRIB_HAS_TILES

#include <stdio.h>
#include <string.h>

void trib_tile_pad(const struct trib_window *window, const float *image, int64_t out_row, size_t rows, size_t width,
                   float *to)
{
    size_t channels = (size_t)window->channels;
    /* Windows may also start inside the image: negative padding skips pixels. */
    int64_t skip = window->padding_width < 0 ? -window->padding_width : 0;
    size_t left = window->padding_width > 0 ? (size_t)window->padding_width : 0;
    size_t there = window->width > skip ? (size_t)(window->width - skip) : 0;
    size_t kept = width - left < there ? width - left : there, right = width - left - kept;
    int64_t first = out_row * window->stride_height - window->padding_height;
    for (size_t r = 0; r < rows; r++, to += width * channels) {
        int64_t h = first + (int64_t)r;
        if (h < 0 || h >= window->height) {
            memset(to, 0, width * channels * sizeof *to);
            continue;
        }
        memset(to, 0, left * channels * sizeof *to);
        memcpy(to + left * channels, image + (size_t)(h * window->width + skip) * channels,
               kept * channels * sizeof *to);
        memset(to + (left + kept) * channels, 0, right * channels * sizeof *to);
    }
}

static const trib_tile_chooser choosers[TRIB_OP_COUNT] = {
    [TRIB_OP_MATMUL] = trib_tile_choose_matmul,
    [TRIB_OP_LINEAR] = trib_tile_choose_linear,
    [TRIB_OP_CONV2D] = trib_tile_choose_conv2d,
    [TRIB_OP_CONV2D_GRAD_INPUT] = trib_tile_choose_conv2d_grad_input,
    [TRIB_OP_CONV2D_GRAD_WEIGHT] = trib_tile_choose_conv2d_grad_weight,
};

static void choose(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                   struct trib_kernel_choice *choice)
{
    *choice = (struct trib_kernel_choice){0};
    if (choosers[call->op]) {
        choosers[call->op](kind, call, threads, choice);
    }
    if (!choice->run) {
        trib_backend_blas.choose(call, threads, choice);
    }
}

static void choose_avx512(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    choose(TRIB_TILE_AVX512, call, threads, choice);
}

static void choose_avx2(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    choose(TRIB_TILE_AVX2, call, threads, choice);
}

static enum trib_status probe_avx512(struct trib_error *error)
{
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("fma")) {
        return trib_fail(error, TRIB_UNAVAILABLE, "this CPU has no AVX-512: choose another backend");
    }
    return trib_blas_probe(error);
}

static enum trib_status probe_avx2(struct trib_error *error)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        return trib_fail(error, TRIB_UNAVAILABLE, "this CPU has no AVX2 with FMA: choose another backend");
    }
    return trib_blas_probe(error);
}

const struct trib_backend trib_backend_avx512 = {
    .name = "avx512",
    .help = "CPU: AVX-512 kernels, OpenBLAS for large products, a pool of threads",
    .caps = TRIB_BACKEND_HOST_MEMORY,
    .probe = probe_avx512,
    .choose = choose_avx512,
    .describe = trib_blas_describe,
};

const struct trib_backend trib_backend_avx2 = {
    .name = "avx2",
    .help = "CPU: AVX2 kernels, OpenBLAS for large products, a pool of threads",
    .caps = TRIB_BACKEND_HOST_MEMORY,
    .probe = probe_avx2,
    .choose = choose_avx2,
    .describe = trib_blas_describe,
};

#endif
