/* Sums over the rows of a [rows, columns] block and what normalisation does to every row. Private to this block.
 *
 * Sums are added to what `sums` holds, eight rows at a time and column by column: the order depends on the block's
 * shape alone. The calling thread does the work. */
#ifndef TRIB_BACKEND_COLUMNS_H
#define TRIB_BACKEND_COLUMNS_H

#include <stddef.h>

/* sums[c] += sum of x */
void trib_columns_sum(const float *x, size_t rows, size_t columns, float *sums);
/* sums[c] += sum of (x - mean[c])^2 */
void trib_columns_squares(const float *x, const float *mean, size_t rows, size_t columns, float *sums);
/* sums[c] += sum of dy; products[c] += sum of dy (x - mean[c]) */
void trib_columns_products(const float *dy, const float *x, const float *mean, size_t rows, size_t columns, float *sums,
                           float *products);
/* y = (x - mean[c]) scale[c] + shift[c] */
void trib_columns_normalise(const float *x, const float *mean, const float *scale, const float *shift, size_t rows,
                            size_t columns, float *y);
/* dx = dy a[c] + (x - mean[c]) b[c] + d[c] */
void trib_columns_normalise_grad(const float *dy, const float *x, const float *mean, const float *a, const float *b,
                                 const float *d, size_t rows, size_t columns, float *dx);

#endif
