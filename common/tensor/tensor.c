/* Shapes and element types. Pure functions; any thread. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>

static const int64_t MAX_ELEMENTS = INT64_C(1) << 40;
enum { SHAPE_TEXT_LEN = 96 }; /* four 20-digit numbers and what stands between them */

static const struct {
    size_t size;
    const char *name;
} dtypes[TRIB_DTYPE_COUNT] = {
    [TRIB_F32] = {.size = sizeof(float), .name = "f32"},
    [TRIB_I32] = {.size = sizeof(int32_t), .name = "i32"},
};

size_t trib_dtype_size(enum trib_dtype dtype)
{
    return (unsigned)dtype < TRIB_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

const char *trib_dtype_name(enum trib_dtype dtype)
{
    return (unsigned)dtype < TRIB_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

bool trib_shape_equal(const struct trib_shape *a, const struct trib_shape *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank && i < TRIB_MAX_RANK; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

enum trib_status trib_shape_elements(const struct trib_shape *shape, size_t *n, struct trib_error *error)
{
    if (shape->rank < 0 || shape->rank > TRIB_MAX_RANK) {
        return trib_fail(error, TRIB_INVALID, "a shape of rank %d is outside 0..%d", shape->rank, TRIB_MAX_RANK);
    }
    bool empty = false;
    int64_t product = 1;
    for (int i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dims[i];
        if (dim < 0) {
            return trib_fail(error, TRIB_INVALID, "shape %s: dimension %d is negative or not known",
                             trib_shape_format(shape, (char[SHAPE_TEXT_LEN]){0}, SHAPE_TEXT_LEN), i);
        }
        empty = empty || dim == 0;
        /* A zero elsewhere does not excuse a product that overflows: every dimension is checked. */
        if (dim > 0 && product > MAX_ELEMENTS / dim) {
            return trib_fail(error, TRIB_LIMIT, "shape %s has more than 2^40 elements",
                             trib_shape_format(shape, (char[SHAPE_TEXT_LEN]){0}, SHAPE_TEXT_LEN));
        }
        product *= dim > 0 ? dim : 1;
    }
    *n = empty ? 0 : (size_t)product;
    return TRIB_OK;
}

size_t trib_shape_size(const struct trib_shape *shape)
{
    size_t n = 0;
    return trib_shape_elements(shape, &n, NULL) == TRIB_OK ? n : 0;
}

struct trib_shape trib_shape_bind(const struct trib_shape *shape, int64_t batch)
{
    struct trib_shape bound = *shape;
    if (bound.rank > 0 && bound.dims[0] == TRIB_DIM_BATCH) {
        bound.dims[0] = batch;
    }
    return bound;
}

/* Append at *len; what does not fit is cut, and the text stays terminated. */
static void put(char *to, size_t size, size_t *len, const char *text)
{
    size_t left = size - 1 - *len;
    int wrote = snprintf(to + *len, left + 1, "%s", text);
    if (wrote > 0) {
        *len += (size_t)wrote < left ? (size_t)wrote : left;
    }
}

const char *trib_shape_format(const struct trib_shape *shape, char *to, size_t size)
{
    if (size == 0) {
        return "";
    }
    size_t len = 0;
    put(to, size, &len, "[");
    for (int i = 0; i < shape->rank && i < TRIB_MAX_RANK; i++) {
        char number[24];
        (void)snprintf(number, sizeof number, "%" PRId64, shape->dims[i]);
        put(to, size, &len, i > 0 ? ", " : "");
        put(to, size, &len, i == 0 && shape->dims[i] == TRIB_DIM_BATCH ? "batch" : number);
    }
    put(to, size, &len, "]");
    return to;
}
