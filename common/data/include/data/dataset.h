/* A dataset is examples held in memory, read from files by one of the readers (dataset_list.def).
 *
 * Examples are kept as the file has them (uint8 or float32) and normalised when a batch is made. A loaded dataset is
 * immutable: many threads may make batches from it. */
#ifndef TRIB_DATA_DATASET_H
#define TRIB_DATA_DATASET_H

#include "base/buf.h"
#include "base/config.h"
#include "tensor/tensor.h"

/* A spec says what to read. Fields that a reader does not use stay NULL. All borrowed. */
struct trib_dataset_spec {
    const char *format;       /* "idx", "cifar", "csv", "npy", "synthetic:HOW" */
    const char *path;         /* features: a file; idx and cifar also take the folder with the usual file names;
                               * synthetic has no use for one */
    const char *labels;       /* idx, npy: the file of labels; NULL when `path` is a folder */
    const char *split;        /* "train" or "test": which files of a folder */
    const char *label_column; /* csv: name or 0-based number; default the last */
    const char *key_column;   /* csv: the column of group keys (by-key partitions) */
    const char *keys;         /* a file with one key an example: idx1 (ubyte, short or int), or text, one a line */
    int64_t classes;          /* 0 = largest label + 1 (cifar: 10); labels at or above it are an error naming the
                               * example. csv with names as labels: exactly as many must occur */
    double max_bytes;         /* refuse to load more; 0 = 4 GiB */
    bool regression;          /* csv, npy: the label column is a float target */
};

struct trib_dataset {
    size_t n;
    struct trib_shape example; /* [784]-like for tables, [height, width, channels] for images */
    size_t example_n;          /* elements an example */
    bool is_u8;                /* data is uint8_t [n, example_n], else float */
    void *data;
    int32_t *labels; /* [n]; NULL for regression */
    float *targets;  /* [n]; NULL for classification */
    int32_t classes;
    int32_t *keys; /* [n] group numbers 0..n_keys-1, or NULL */
    int32_t n_keys;
    float mean[4], inverse_std[4]; /* x' = (x - mean[c]) * inverse_std[c], c = channel (last dimension) when the */
    int n_norm;                    /* example is an image, else one pair for all; 0 = identity (uint8 still /255) */
};

/* A reader is one format's table. */
struct trib_dataset_reader {
    const char *name;
    const char *help;
    bool needs_no_file; /* it draws examples: the format's text is NAME:HOW, the path is not looked at */
    enum trib_status (*read)(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                             struct trib_error *error);
    /* What it has a use for beyond what every reader has: rows into struct trib_dataset_settings. Optional. */
    const struct trib_config_row *rows;
    size_t n_rows;
};
size_t trib_dataset_readers(const struct trib_dataset_reader *const **readers);
/* trib_dataset_needs_file tells whether a spec with this format must name a path; true for unknown ones. */
bool trib_dataset_needs_file(const char *format);

/* trib_dataset_open reads a dataset. Messages name the file and, where there is one, line or example:
 *   train-labels-idx1-ubyte: label 11 of example 52 is outside 0..9
 *   train-images-idx3-ubyte.gz: truncated: header promises 60000 x 784 bytes, file holds 1234567 */
TRIB_MUST_CHECK enum trib_status trib_dataset_open(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                                   struct trib_error *error);
void trib_dataset_clear(struct trib_dataset *dataset);
/* trib_dataset_normalise chooses how values are scaled: "none", "unit" (uint8 / 255), "auto" (mean and deviation of the
 * first <= 10,000 examples, per channel), or "m1,m2,m3/s1,s2,s3" in the units of the file. For a federation every side
 * must use the same, so "auto" is for experiments; the default is "unit". "none" leaves bytes at 0..255. */
TRIB_MUST_CHECK enum trib_status trib_dataset_normalise(struct trib_dataset *dataset, const char *rule,
                                                        struct trib_error *error);
/* trib_dataset_batch writes examples indices[0..n) as floats to x [n, example_n] and their labels to y (int32) or
 * targets to y (float), by the dataset's kind. */
void trib_dataset_batch(const struct trib_dataset *dataset, const uint32_t *indices, size_t n, float *x, void *y);

/* trib_dataset_load_file reads a whole file, decompressed when it is gzip or zstd (told by its magic bytes), at most
 * max_len bytes out. The caller clears `content`, which is overwritten. */
TRIB_MUST_CHECK enum trib_status trib_dataset_load_file(const char *path, size_t max_len, struct trib_buf *content,
                                                        struct trib_error *error);
/* trib_idx_parse and its like are the parsers behind the readers, over bytes (for fuzzing); the dataset takes a copy of
 * what it needs. */
TRIB_MUST_CHECK enum trib_status trib_idx_parse(const char *name, const uint8_t *bytes, size_t len, int *type,
                                                struct trib_shape *shape, const uint8_t **data,
                                                struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_npy_parse(const char *name, const uint8_t *bytes, size_t len, char type[4],
                                                struct trib_shape *shape, const uint8_t **data,
                                                struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_csv_parse(const struct trib_dataset_spec *spec, const char *name,
                                                const uint8_t *bytes, size_t len, struct trib_dataset *dataset,
                                                struct trib_error *error);

#endif
