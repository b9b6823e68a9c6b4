/* The dataset readers share these calls. Private to this block; any thread.
 *
 * A reader fills a zeroed struct trib_dataset; when it fails, trib_dataset_open clears whatever was filled. */
#ifndef TRIB_DATA_READER_H
#define TRIB_DATA_READER_H

#include "data/dataset.h"
#include "data/dataset_settings.h"

/* TRIB_DATA_MAX_CLASSES bounds a classification: more are a wrong column or a broken file. */
enum { TRIB_DATA_MAX_CLASSES = 1 << 20 };

/* trib_data_budget returns the bytes that may be loaded under `spec`. */
size_t trib_data_budget(const struct trib_dataset_spec *spec);
/* trib_data_reserve makes aligned room for count elements; above the budget TRIB_LIMIT with a message that names
 * `name`. */
TRIB_MUST_CHECK enum trib_status trib_data_reserve(const char *name, size_t count, size_t element_len, size_t budget,
                                                   void **to, struct trib_error *error);
bool trib_data_is_dir(const char *path);
/* trib_data_find finds DIR/NAME, or that with .gz or .zst: the first that exists; caller frees. *found stays NULL when
 * none does; then the status is still TRIB_OK. */
TRIB_MUST_CHECK enum trib_status trib_data_find(const char *dir, const char *name, char **found,
                                                struct trib_error *error);
/* trib_data_refuse gives TRIB_CONFIG when `value`, an option that this format has no use for, was given; `instead` says
 * what to do. */
TRIB_MUST_CHECK enum trib_status trib_data_refuse(const char *format, const char *option, const char *value,
                                                  const char *instead, struct trib_error *error);
/* trib_data_fail_unknown gives TRIB_CONFIG: `what` "word" is unknown; the nearest of the names, and all of them. word
 * may be NULL. */
enum trib_status trib_data_fail_unknown(const char *what, const char *word, const char *const *names, size_t n,
                                        struct trib_error *error);
/* trib_data_split tells "train" (also when NULL), true, from "test", false; anything else is TRIB_CONFIG. */
TRIB_MUST_CHECK enum trib_status trib_data_split(const struct trib_dataset_spec *spec, bool *train,
                                                 struct trib_error *error);
/* trib_data_quote writes `text` with control bytes replaced and cut to fit, in double quotes: for messages. Always
 * terminated. */
const char *trib_data_quote(const char *text, char *to, size_t size);

/* ---- rows that several readers have ---- */
#define TRIB_DATA_ROW_LABELS                                                                                           \
    TRIB_ROW("labels", TRIB_TYPE_PATH, offsetof(struct trib_dataset_settings, labels), NULL, 0, 4096, NULL, 0,         \
             "the labels, where they are a file of their own beside that of the examples.")
#define TRIB_DATA_ROW_SPLIT                                                                                            \
    TRIB_ROW("split", TRIB_TYPE_STRING, offsetof(struct trib_dataset_settings, split), "train", 1, 64, NULL, 0,        \
             "which part of a folder or of a drawn set: train or test.")
#define TRIB_DATA_ROW_REGRESSION                                                                                       \
    TRIB_ROW("regression", TRIB_TYPE_BOOL, offsetof(struct trib_dataset_settings, regression), "false", 0, 0, NULL, 0, \
             "the label is a number to be predicted, not a class.")
#define TRIB_DATA_ROWS(list) .rows = (list), .n_rows = sizeof(list) / sizeof(list)[0]

/* ---- arrays of numbers, as IDX and NumPy files hold them ---- */
enum trib_data_kind {
    TRIB_DATA_U8,
    TRIB_DATA_I8,
    TRIB_DATA_I16,
    TRIB_DATA_I32,
    TRIB_DATA_I64,
    TRIB_DATA_F32,
    TRIB_DATA_F64,
    TRIB_DATA_KIND_COUNT
};
size_t trib_data_kind_size(enum trib_data_kind kind);
const char *trib_data_kind_name(enum trib_data_kind kind);

struct trib_data_array {
    const char *name; /* the file, for messages */
    enum trib_data_kind kind;
    bool big_endian;
    struct trib_shape shape;
    const uint8_t *data; /* borrowed, any alignment */
};
/* trib_data_shape_len computes the bytes of an array of this shape; false on overflow. */
TRIB_MUST_CHECK bool trib_data_shape_len(const struct trib_shape *shape, size_t element_len, size_t *len);
/* trib_data_take_examples fills n, example, example_n, is_u8 and data from [n], [n, d], [n, h, w] or [n, h, w, c]. */
TRIB_MUST_CHECK enum trib_status trib_data_take_examples(const struct trib_data_array *array, size_t budget,
                                                         struct trib_dataset *dataset, struct trib_error *error);
/* trib_data_take_labels fills labels and classes from [dataset->n] or [dataset->n, 1] integers. */
TRIB_MUST_CHECK enum trib_status trib_data_take_labels(const struct trib_data_array *array, int64_t classes,
                                                       struct trib_dataset *dataset, struct trib_error *error);
/* trib_data_take_targets fills targets from [dataset->n] or [dataset->n, 1] numbers. */
TRIB_MUST_CHECK enum trib_status trib_data_take_targets(const struct trib_data_array *array,
                                                        struct trib_dataset *dataset, struct trib_error *error);
/* trib_data_take_keys fills keys and n_keys from [dataset->n] integers, numbered in ascending order. */
TRIB_MUST_CHECK enum trib_status trib_data_take_keys(const struct trib_data_array *array, struct trib_dataset *dataset,
                                                     struct trib_error *error);

/* ---- labels and keys ---- */
/* trib_data_check_classes wants spec->classes within 0..TRIB_DATA_MAX_CLASSES. */
TRIB_MUST_CHECK enum trib_status trib_data_check_classes(int64_t classes, struct trib_error *error);
/* trib_data_number_texts numbers texts[0..n) 0, 1, ... in byte order of the distinct ones. */
TRIB_MUST_CHECK enum trib_status trib_data_number_texts(const char *const *texts, size_t n, int32_t *numbers,
                                                        int32_t *count, struct trib_error *error);
/* trib_data_number_integers numbers integers, in ascending order. */
TRIB_MUST_CHECK enum trib_status trib_data_number_integers(const int64_t *values, size_t n, int32_t *numbers,
                                                           int32_t *count, struct trib_error *error);
/* trib_data_read_keys fills keys and n_keys from the file `path`: IDX of rank 1, or text with one key a line. */
TRIB_MUST_CHECK enum trib_status trib_data_read_keys(const char *path, size_t budget, struct trib_dataset *dataset,
                                                     struct trib_error *error);
/* trib_data_idx_array makes an array over the bytes of an IDX file. */
TRIB_MUST_CHECK enum trib_status trib_data_idx_array(const char *name, const struct trib_buf *content,
                                                     struct trib_data_array *array, struct trib_error *error);

#endif
