/* Shapes, element types, and views of dense row-major arrays. All are values that own nothing. Any thread. */
#ifndef TRIB_TENSOR_TENSOR_H
#define TRIB_TENSOR_TENSOR_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { TRIB_MAX_RANK = 4 };

/* A dimension that is the batch size, not yet known: allowed as dims[0] in graphs, never in a tensor. */
enum { TRIB_DIM_BATCH = -1 };

struct trib_shape {
    int rank; /* 0 = scalar */
    int64_t dims[TRIB_MAX_RANK];
};

enum trib_dtype { TRIB_F32, TRIB_I32, TRIB_DTYPE_COUNT };

struct trib_tensor {
    enum trib_dtype dtype;
    struct trib_shape shape;
    void *data; /* borrowed */
};

#define TRIB_SHAPE(...)                                                                                                \
    ((struct trib_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = {__VA_ARGS__}})
#define TRIB_SCALAR ((struct trib_shape){.rank = 0})

size_t trib_dtype_size(enum trib_dtype dtype);
const char *trib_dtype_name(enum trib_dtype dtype);

bool trib_shape_equal(const struct trib_shape *a, const struct trib_shape *b);
/* Number of elements of a fully known shape; TRIB_INVALID for a negative dimension, TRIB_LIMIT above 2^40. */
TRIB_MUST_CHECK enum trib_status trib_shape_elements(const struct trib_shape *shape, size_t *n,
                                                     struct trib_error *error);
/* The number of elements of a shape that was already checked: 0 when it is not fully known. */
size_t trib_shape_size(const struct trib_shape *shape);
/* A bound shape has `batch` in TRIB_DIM_BATCH's place. */
struct trib_shape trib_shape_bind(const struct trib_shape *shape, int64_t batch);
/* A shape as text, "[batch, 28, 28, 1]"; always terminated. */
const char *trib_shape_format(const struct trib_shape *shape, char *to, size_t size);

#endif
