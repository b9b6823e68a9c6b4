/* Arrays of numbers, from IDX and NumPy files, are turned into examples, labels, targets and keys here. Any thread. */
#include "reader.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} kinds[TRIB_DATA_KIND_COUNT] = {
    [TRIB_DATA_U8] = {"unsigned byte", 1}, [TRIB_DATA_I8] = {"signed byte", 1}, [TRIB_DATA_I16] = {"int16", 2},
    [TRIB_DATA_I32] = {"int32", 4},        [TRIB_DATA_I64] = {"int64", 8},      [TRIB_DATA_F32] = {"float32", 4},
    [TRIB_DATA_F64] = {"float64", 8},
};

size_t trib_data_kind_size(enum trib_data_kind kind)
{
    return kinds[kind].size;
}

const char *trib_data_kind_name(enum trib_data_kind kind)
{
    return kinds[kind].name;
}

bool trib_data_shape_len(const struct trib_shape *shape, size_t element_len, size_t *len)
{
    size_t product = element_len;
    for (int i = 0; i < shape->rank; i++) {
        if (!trib_size_mul(product, (size_t)shape->dims[i], &product)) {
            return false;
        }
    }
    *len = product;
    return true;
}

static bool is_integer(const struct trib_data_array *array)
{
    return array->kind != TRIB_DATA_F32 && array->kind != TRIB_DATA_F64;
}

/* The bits of element i in the low bytes of the result. */
static uint64_t load_bits(const struct trib_data_array *array, size_t i)
{
    size_t size = kinds[array->kind].size;
    const uint8_t *from = array->data + i * size;
    uint64_t bits = 0;
    for (size_t k = 0; k < size; k++) {
        bits |= (uint64_t)from[k] << (8 * (array->big_endian ? size - 1 - k : k));
    }
    return bits;
}

static int64_t load_integer(const struct trib_data_array *array, size_t i)
{
    uint64_t bits = load_bits(array, i);
    switch (array->kind) {
    case TRIB_DATA_U8:
        return (int64_t)bits;
    case TRIB_DATA_I8:
        return (int8_t)(uint8_t)bits;
    case TRIB_DATA_I16:
        return (int16_t)(uint16_t)bits;
    case TRIB_DATA_I32:
        return (int32_t)(uint32_t)bits;
    default:
        return (int64_t)bits;
    }
}

static double load_real(const struct trib_data_array *array, size_t i)
{
    if (array->kind == TRIB_DATA_F32) {
        uint32_t bits = (uint32_t)load_bits(array, i);
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    if (array->kind == TRIB_DATA_F64) {
        uint64_t bits = load_bits(array, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    return (double)load_integer(array, i);
}

/* Elements [0, n * row_n) as finite floats. */
static enum trib_status to_floats(const struct trib_data_array *array, size_t n, size_t row_n, float *to,
                                  struct trib_error *error)
{
    for (size_t i = 0; i < n * row_n; i++) {
        double value = load_real(array, i);
        if (!(fabs(value) <= (double)FLT_MAX)) {
            return trib_fail(error, TRIB_NOT_FINITE,
                             "%s: element %zu of example %zu is %g, which is no finite 32-bit float; clean the data",
                             array->name, i % row_n, i / row_n, value);
        }
        to[i] = (float)value;
    }
    return TRIB_OK;
}

static enum trib_status example_shape(const struct trib_data_array *array, struct trib_shape *example,
                                      struct trib_error *error)
{
    const struct trib_shape *shape = &array->shape;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == 0) {
            char text[96];
            return trib_fail(error, TRIB_CORRUPT, "%s: shape %s holds nothing", array->name,
                             trib_shape_format(shape, text, sizeof text));
        }
    }
    switch (shape->rank) {
    case 1:
        *example = TRIB_SHAPE(1);
        return TRIB_OK;
    case 2:
        *example = TRIB_SHAPE(shape->dims[1]);
        return TRIB_OK;
    case 3:
        *example = TRIB_SHAPE(shape->dims[1], shape->dims[2], 1);
        return TRIB_OK;
    case 4:
        *example = TRIB_SHAPE(shape->dims[1], shape->dims[2], shape->dims[3]);
        return TRIB_OK;
    default:
        return trib_fail(error, TRIB_MISMATCH,
                         "%s: a single number; examples want 1 to 4 dimensions, the first being "
                         "the number of examples",
                         array->name);
    }
}

enum trib_status trib_data_take_examples(const struct trib_data_array *array, size_t budget,
                                         struct trib_dataset *dataset, struct trib_error *error)
{
    struct trib_shape example;
    size_t example_n = 0;
    TRIB_TRY(example_shape(array, &example, error));
    bool is_u8 = array->kind == TRIB_DATA_U8;
    size_t row_len = 0;
    if (!trib_data_shape_len(&example, 1, &example_n) ||
        !trib_size_mul(example_n, is_u8 ? 1 : sizeof(float), &row_len)) {
        return trib_fail(error, TRIB_LIMIT, "%s: an example is too large", array->name);
    }
    size_t n = (size_t)array->shape.dims[0];
    void *data = NULL;
    TRIB_TRY(trib_data_reserve(array->name, n, row_len, budget, &data, error));
    if (is_u8) {
        memcpy(data, array->data, n * example_n);
    } else {
        enum trib_status status = to_floats(array, n, example_n, data, error);
        if (status != TRIB_OK) {
            trib_free(data);
            return status;
        }
    }
    dataset->n = n;
    dataset->example = example;
    dataset->example_n = example_n;
    dataset->is_u8 = is_u8;
    dataset->data = data;
    return TRIB_OK;
}

/* One number an example: shape [n] or [n, 1]. */
static enum trib_status check_column(const struct trib_data_array *array, const char *what, size_t n,
                                     struct trib_error *error)
{
    const struct trib_shape *shape = &array->shape;
    if (shape->rank != 1 && !(shape->rank == 2 && shape->dims[1] == 1)) {
        char text[96];
        return trib_fail(error, TRIB_MISMATCH, "%s: shape %s; %s want one number an example, shape [%zu]", array->name,
                         trib_shape_format(shape, text, sizeof text), what, n);
    }
    if ((size_t)shape->dims[0] != n) {
        return trib_fail(error, TRIB_MISMATCH,
                         "%s: holds %lld %s, but there are %zu examples; take the two files of "
                         "one set",
                         array->name, (long long)shape->dims[0], what, n);
    }
    return TRIB_OK;
}

enum trib_status trib_data_take_labels(const struct trib_data_array *array, int64_t classes,
                                       struct trib_dataset *dataset, struct trib_error *error)
{
    TRIB_TRY(check_column(array, "labels", dataset->n, error));
    if (!is_integer(array)) {
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "%s: labels are %s; write whole numbers, or set regression for targets that are not classes",
                         array->name, trib_data_kind_name(array->kind));
    }
    int32_t *labels = trib_malloc_aligned(dataset->n, sizeof *labels);
    if (!labels) {
        return trib_fail_no_memory(error);
    }
    int64_t limit = classes > 0 ? classes : TRIB_DATA_MAX_CLASSES;
    int64_t largest = 0;
    for (size_t i = 0; i < dataset->n; i++) {
        int64_t label = load_integer(array, i);
        if (label < 0 || label >= limit) {
            trib_free(labels);
            return trib_fail(error, TRIB_MISMATCH, "%s: label %lld of example %zu is outside 0..%lld", array->name,
                             (long long)label, i, (long long)(limit - 1));
        }
        labels[i] = (int32_t)label;
        largest = label > largest ? label : largest;
    }
    dataset->labels = labels;
    dataset->classes = (int32_t)(classes > 0 ? classes : largest + 1);
    return TRIB_OK;
}

enum trib_status trib_data_take_targets(const struct trib_data_array *array, struct trib_dataset *dataset,
                                        struct trib_error *error)
{
    TRIB_TRY(check_column(array, "targets", dataset->n, error));
    float *targets = trib_malloc_aligned(dataset->n, sizeof *targets);
    if (!targets) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = to_floats(array, dataset->n, 1, targets, error);
    if (status != TRIB_OK) {
        trib_free(targets);
        return status;
    }
    dataset->targets = targets;
    return TRIB_OK;
}

enum trib_status trib_data_take_keys(const struct trib_data_array *array, struct trib_dataset *dataset,
                                     struct trib_error *error)
{
    TRIB_TRY(check_column(array, "keys", dataset->n, error));
    if (!is_integer(array)) {
        return trib_fail(error, TRIB_UNSUPPORTED, "%s: keys are %s; write whole numbers, or text with one key a line",
                         array->name, trib_data_kind_name(array->kind));
    }
    enum trib_status status = TRIB_OK;
    int64_t *values = trib_malloc_aligned(dataset->n, sizeof *values);
    int32_t *keys = trib_malloc_aligned(dataset->n, sizeof *keys);
    if (!values || !keys) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    for (size_t i = 0; i < dataset->n; i++) {
        values[i] = load_integer(array, i);
    }
    status = trib_data_number_integers(values, dataset->n, keys, &dataset->n_keys, error);
    if (status == TRIB_OK) {
        dataset->keys = keys;
        keys = NULL;
    }
out:
    trib_free(values);
    trib_free(keys);
    return status;
}
