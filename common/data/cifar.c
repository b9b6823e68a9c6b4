/* CIFAR-10 in its binary version is read here: records of one label byte and 3 planes (red, green, blue) of 32 x 32
 * bytes. Any thread. Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and its data
 * set's page. */
#include "data/dataset.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "reader.h"

#include <stdio.h>
#include <string.h>

enum { SIDE = 32, CHANNELS = 3, PLANE_LEN = SIDE * SIDE, IMAGE_LEN = PLANE_LEN * CHANNELS, RECORD_LEN = 1 + IMAGE_LEN };
enum { CLASSES = 10, MAX_FILES = 5 };

struct files {
    char *paths[MAX_FILES];
    struct trib_buf contents[MAX_FILES];
    size_t n;
};

static enum trib_status find_batches(const struct trib_dataset_spec *spec, struct files *files,
                                     struct trib_error *error)
{
    static const char *const names[] = {"data_batch_1", "data_batch_2", "data_batch_3",
                                        "data_batch_4", "data_batch_5", "test_batch"};
    bool train = true;
    TRIB_TRY(trib_data_split(spec, &train, error));
    for (size_t i = train ? 0 : 5; i < (train ? 5 : 6); i++) {
        char name[32];
        char *pickled = NULL;
        (void)snprintf(name, sizeof name, "%s.bin", names[i]);
        TRIB_TRY(trib_data_find(spec->path, name, &files->paths[files->n], error));
        if (files->paths[files->n]) {
            files->n++;
            continue;
        }
        TRIB_TRY(trib_data_find(spec->path, names[i], &pickled, error));
        bool is_pickled = pickled;
        trib_free(pickled);
        return trib_fail(error, TRIB_NOT_FOUND, "%s: holds no %s, nor one with .gz or .zst; %s", spec->path, name,
                         is_pickled ? "it holds CIFAR-10's Python version: download the binary version"
                                    : "name the folder of CIFAR-10's binary version, or a single file");
    }
    return TRIB_OK;
}

static enum trib_status find_files(const struct trib_dataset_spec *spec, struct files *files, struct trib_error *error)
{
    if (trib_data_is_dir(spec->path)) {
        return find_batches(spec, files, error);
    }
    files->paths[0] = trib_strdup(spec->path);
    if (!files->paths[0]) {
        return trib_fail_no_memory(error);
    }
    files->n = 1;
    return TRIB_OK;
}

static enum trib_status load_file(struct files *files, size_t i, size_t budget, size_t *n, struct trib_error *error)
{
    struct trib_buf *content = &files->contents[i];
    TRIB_TRY(trib_dataset_load_file(files->paths[i], budget, content, error));
    if (content->len == 0 || content->len % RECORD_LEN != 0) {
        return trib_fail(error, TRIB_CORRUPT,
                         "%s: truncated, or not CIFAR-10's binary version: %zu bytes are not a multiple of %d, the "
                         "length of an example; copy or download it again",
                         files->paths[i], content->len, RECORD_LEN);
    }
    *n += content->len / RECORD_LEN;
    return TRIB_OK;
}

/* Planes [3, 32, 32] to pixels [32, 32, 3]. */
static void interleave(const uint8_t *restrict planes, uint8_t *restrict pixels)
{
    for (size_t i = 0; i < PLANE_LEN; i++) {
        pixels[3 * i] = planes[i];
        pixels[3 * i + 1] = planes[PLANE_LEN + i];
        pixels[3 * i + 2] = planes[2 * PLANE_LEN + i];
    }
}

static enum trib_status take_records(const char *path, const struct trib_buf *content, int64_t classes, size_t *at,
                                     struct trib_dataset *dataset, struct trib_error *error)
{
    uint8_t *images = dataset->data;
    for (size_t i = 0; i < content->len / RECORD_LEN; i++) {
        const uint8_t *record = content->data + i * RECORD_LEN;
        if (record[0] >= classes) {
            return trib_fail(error, TRIB_MISMATCH, "%s: label %u of example %zu is outside 0..%lld", path, record[0], i,
                             (long long)classes - 1);
        }
        dataset->labels[*at] = record[0];
        interleave(record + 1, images + *at * IMAGE_LEN);
        (*at)++;
    }
    return TRIB_OK;
}

static enum trib_status read_files(const struct trib_dataset_spec *spec, struct files *files,
                                   struct trib_dataset *dataset, struct trib_error *error)
{
    size_t budget = trib_data_budget(spec);
    size_t n = 0;
    TRIB_TRY(find_files(spec, files, error));
    for (size_t i = 0; i < files->n; i++) {
        TRIB_TRY(load_file(files, i, budget - n * RECORD_LEN, &n, error));
    }
    int64_t classes = spec->classes > 0 ? spec->classes : CLASSES;
    TRIB_TRY(trib_data_reserve(spec->path, n, IMAGE_LEN, budget, &dataset->data, error));
    dataset->labels = trib_malloc_aligned(n, sizeof *dataset->labels);
    if (!dataset->labels) {
        return trib_fail_no_memory(error);
    }
    size_t at = 0;
    for (size_t i = 0; i < files->n; i++) {
        TRIB_TRY(take_records(files->paths[i], &files->contents[i], classes, &at, dataset, error));
    }
    dataset->n = n;
    dataset->example = TRIB_SHAPE(SIDE, SIDE, CHANNELS);
    dataset->example_n = IMAGE_LEN;
    dataset->is_u8 = true;
    dataset->classes = (int32_t)classes;
    return TRIB_OK;
}

static enum trib_status read_cifar(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                   struct trib_error *error)
{
    TRIB_TRY(trib_data_refuse("cifar", "labels", spec->labels, "its files hold the labels", error));
    TRIB_TRY(trib_data_refuse("cifar", "label_column", spec->label_column, "it belongs to csv", error));
    TRIB_TRY(trib_data_refuse("cifar", "key_column", spec->key_column, "name a file of keys as keys", error));
    TRIB_TRY(trib_data_refuse("cifar", "regression", spec->regression ? "" : NULL, "use csv or npy", error));
    struct files files = {0};
    enum trib_status status = read_files(spec, &files, dataset, error);
    for (size_t i = 0; i < MAX_FILES; i++) {
        trib_free(files.paths[i]);
        trib_buf_clear(&files.contents[i]);
    }
    return status;
}

static const struct trib_config_row rows[] = {
    TRIB_DATA_ROW_SPLIT,
};

const struct trib_dataset_reader trib_dataset_reader_cifar = {
    .name = "cifar",
    .help = "CIFAR-10's binary version: its folder, or one file of that form; plain, .gz or .zst",
    .read = read_cifar,
    TRIB_DATA_ROWS(rows),
};
