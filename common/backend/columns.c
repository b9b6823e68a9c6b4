/* Sums over rows, vectorised over columns. Any thread. */
#include "columns.h"

#include "loops.h"

TRIB_CLONES void trib_columns_sum(const float *restrict x, size_t rows, size_t columns, float *restrict sums)
{
    size_t r = 0;
    for (; r + 8 <= rows; r += 8) {
        const float *at = x + r * columns;
        for (size_t c = 0; c < columns; c++) {
            float low = (at[c] + at[columns + c]) + (at[2 * columns + c] + at[3 * columns + c]);
            float high = (at[4 * columns + c] + at[5 * columns + c]) + (at[6 * columns + c] + at[7 * columns + c]);
            sums[c] += low + high;
        }
    }
    for (; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            sums[c] += x[r * columns + c];
        }
    }
}

TRIB_CLONES void trib_columns_squares(const float *restrict x, const float *restrict mean, size_t rows, size_t columns,
                                      float *restrict sums)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float *at = x + r * columns;
        for (size_t c = 0; c < columns; c++) {
            float a = at[c] - mean[c], b = at[columns + c] - mean[c];
            float d = at[2 * columns + c] - mean[c], e = at[3 * columns + c] - mean[c];
            sums[c] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            float a = x[r * columns + c] - mean[c];
            sums[c] += a * a;
        }
    }
}

TRIB_CLONES void trib_columns_products(const float *restrict dy, const float *restrict x, const float *restrict mean,
                                       size_t rows, size_t columns, float *restrict sums, float *restrict products)
{
    size_t r = 0;
    for (; r + 2 <= rows; r += 2) {
        const float *dy_at = dy + r * columns, *at = x + r * columns;
        for (size_t c = 0; c < columns; c++) {
            sums[c] += dy_at[c] + dy_at[columns + c];
            products[c] += dy_at[c] * (at[c] - mean[c]) + dy_at[columns + c] * (at[columns + c] - mean[c]);
        }
    }
    for (; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            sums[c] += dy[r * columns + c];
            products[c] += dy[r * columns + c] * (x[r * columns + c] - mean[c]);
        }
    }
}

TRIB_CLONES void trib_columns_normalise(const float *restrict x, const float *restrict mean,
                                        const float *restrict scale, const float *restrict shift, size_t rows,
                                        size_t columns, float *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            y[r * columns + c] = (x[r * columns + c] - mean[c]) * scale[c] + shift[c];
        }
    }
}

TRIB_CLONES void trib_columns_normalise_grad(const float *restrict dy, const float *restrict x,
                                             const float *restrict mean, const float *restrict a,
                                             const float *restrict b, const float *restrict d, size_t rows,
                                             size_t columns, float *restrict dx)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            size_t at = r * columns + c;
            dx[at] = dy[at] * a[c] + (x[at] - mean[c]) * b[c] + d[c];
        }
    }
}
