/* Register-tiled products for x86 CPUs with wide vectors, and the kernels built on them. Private to this block.
 *
 * OpenBLAS copies both operands into its own order before it multiplies; for the thin products of training (a batch
 * of 32, a window of 5x5 pixels) that costs as much as the product. These tiles read operands where they lie: the
 * left one an element at a time, the right one a row of vectors at a time. */
#ifndef TRIB_BACKEND_TILE_H
#define TRIB_BACKEND_TILE_H

#include "geometry.h"

/* c[rows, columns] = sum over segments s and steps k of
 *     a[s * a_segment + k * a_step + row * a_row] * b[s * b_segment + k * b_step + column]
 * then + bias[column] (may be NULL) and relu, or added to what c holds. rows and columns are at most the set's. */
struct trib_tile {
    const float *a, *b, *bias;
    float *c;
    size_t a_row, a_step, a_segment;
    size_t b_step, b_segment;
    size_t c_row;
    size_t k, segments;
    int rows, columns;
    bool accumulate, relu;
};

/* c[rows, columns] = x[rows, k] w[columns, k]^T, then + bias[column] and relu; columns at most 4. */
struct trib_dot {
    const float *x, *w, *bias;
    float *c;
    size_t x_row, w_row, c_row;
    size_t k;
    size_t w_ahead; /* fetch early what lies this many floats further: the next columns of w, or 0 */
    int rows, columns;
    bool relu;
};

enum { TRIB_DOT_COLUMNS = 4 };

struct trib_tile_set {
    int lanes, rows, columns; /* the largest tile; columns is a multiple of lanes */
    int dot_rows;
    void (*tile)(const struct trib_tile *job);
    void (*dot)(const struct trib_dot *job);
};

#if defined(__x86_64__)
#define TRIB_HAS_TILES 1
extern const struct trib_tile_set trib_tiles_avx512;
extern const struct trib_tile_set trib_tiles_avx2;
#else
#define TRIB_HAS_TILES 0
#endif

/* A kernel has no argument that could say which set to use, so every kernel exists once per set. */
enum trib_tile_kind { TRIB_TILE_AVX512, TRIB_TILE_AVX2, TRIB_TILE_KINDS };

static inline const struct trib_tile_set *trib_tile_set(enum trib_tile_kind kind)
{
#if TRIB_HAS_TILES
    return kind == TRIB_TILE_AVX512 ? &trib_tiles_avx512 : &trib_tiles_avx2;
#else
    (void)kind;
    return NULL;
#endif
}

/* name(set, call) as the table name_kernels[kind] of plain kernels. */
#define TRIB_TILE_KERNELS(name)                                                                                        \
    static void name##_avx512(const struct trib_kernel_call *call)                                                     \
    {                                                                                                                  \
        name(&trib_tiles_avx512, call);                                                                                \
    }                                                                                                                  \
    static void name##_avx2(const struct trib_kernel_call *call)                                                       \
    {                                                                                                                  \
        name(&trib_tiles_avx2, call);                                                                                  \
    }                                                                                                                  \
    static const trib_kernel name##_kernels[TRIB_TILE_KINDS] = {name##_avx512, name##_avx2};

/* Choosers leave choice->run NULL where OpenBLAS does better. */
typedef void (*trib_tile_chooser)(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                                  struct trib_kernel_choice *choice);
void trib_tile_choose_matmul(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                             struct trib_kernel_choice *choice);
void trib_tile_choose_linear(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                             struct trib_kernel_choice *choice);
void trib_tile_choose_conv2d(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                             struct trib_kernel_choice *choice);
void trib_tile_choose_conv2d_grad_input(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                                        struct trib_kernel_choice *choice);
void trib_tile_choose_conv2d_grad_weight(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                                         struct trib_kernel_choice *choice);

/* to[rows, width, channels] = the image's rows that output rows from `out_row` on read, with zeros around the image. */
void trib_tile_pad(const struct trib_window *window, const float *image, int64_t out_row, size_t rows, size_t width,
                   float *to);

/* The next tile's rows when `left` remain and tiles hold at most `most`: even sizes beat full ones and a thin rest. */
static inline int trib_tile_even(size_t left, int most)
{
    size_t tiles = (left + (size_t)most - 1) / (size_t)most;
    return (int)((left + tiles - 1) / tiles);
}

#endif
