/* A dataset is opened here: its reader found, what was asked for checked, its keys added. Any thread. */
#include "data/dataset.h"

#include "base/mem.h"
#include "base/str.h"
#include "reader.h"

#include <math.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define READER(name) extern const struct trib_dataset_reader trib_dataset_reader_##name;
#include "dataset_list.def"
#undef READER

static const struct trib_dataset_reader *const reader_list[] = {
#define READER(name) &trib_dataset_reader_##name,
#include "dataset_list.def"
#undef READER
};
enum { READER_N = sizeof reader_list / sizeof reader_list[0] };

size_t trib_dataset_readers(const struct trib_dataset_reader *const **readers)
{
    *readers = reader_list;
    return READER_N;
}

/* A reader that draws its examples is asked for as NAME:HOW. */
static bool is_format(const char *format, const struct trib_dataset_reader *reader)
{
    size_t len = strlen(reader->name);
    return trib_str_equal(format, reader->name) ||
           (reader->needs_no_file && format && strncmp(format, reader->name, len) == 0 && format[len] == ':');
}

static enum trib_status find_reader(const char *format, const struct trib_dataset_reader **reader,
                                    struct trib_error *error)
{
    const char *names[READER_N];
    for (size_t i = 0; i < READER_N; i++) {
        names[i] = reader_list[i]->name;
        if (is_format(format, reader_list[i])) {
            *reader = reader_list[i];
            return TRIB_OK;
        }
    }
    return trib_data_fail_unknown("dataset format", format, names, READER_N, error);
}

bool trib_dataset_needs_file(const char *format)
{
    for (size_t i = 0; i < READER_N; i++) {
        if (is_format(format, reader_list[i])) {
            return !reader_list[i]->needs_no_file;
        }
    }
    return true;
}

static enum trib_status check_spec(const struct trib_dataset_spec *spec, const struct trib_dataset_reader *reader,
                                   struct trib_error *error)
{
    if (!reader->needs_no_file && (!spec->path || spec->path[0] == '\0')) {
        return trib_fail(error, TRIB_CONFIG, "dataset path: missing; name the file or folder to read");
    }
    if (!isfinite(spec->max_bytes) || spec->max_bytes < 0) {
        return trib_fail(error, TRIB_CONFIG, "dataset max_bytes: %g is not a size; 0 means 4 GiB", spec->max_bytes);
    }
    if (spec->keys && spec->key_column) {
        return trib_fail(error, TRIB_CONFIG,
                         "dataset keys and key_column: give one of them, a file of keys or a column of the table");
    }
    return trib_data_check_classes(spec->classes, error);
}

enum trib_status trib_dataset_open(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                   struct trib_error *error)
{
    const struct trib_dataset_reader *reader = NULL;
    struct trib_dataset loaded = {0};
    TRIB_TRY(find_reader(spec->format, &reader, error));
    TRIB_TRY(check_spec(spec, reader, error));
    /* before a reader wonders what kind of path it is */
    if (!reader->needs_no_file && access(spec->path, F_OK) != 0 && errno == ENOENT) {
        return trib_fail(error, TRIB_NOT_FOUND, "%s: no such file; check the dataset's path", spec->path);
    }
    const char *name = reader->needs_no_file ? spec->format : spec->path;
    enum trib_status status = reader->read(spec, &loaded, error);
    if (status != TRIB_OK) {
        goto out;
    }
    /* Partitions and batches number examples with 32 bits. */
    if (loaded.n == 0 || loaded.n > UINT32_MAX) {
        status = trib_fail(error, loaded.n == 0 ? TRIB_CORRUPT : TRIB_LIMIT,
                           "%s: holds %zu examples; between 1 and 4294967295 are possible", name, loaded.n);
        goto out;
    }
    if (spec->keys) {
        status = trib_data_read_keys(spec->keys, trib_data_budget(spec), &loaded, error);
        if (status != TRIB_OK) {
            goto out;
        }
    }
    *dataset = loaded;
    return TRIB_OK;
out:
    trib_dataset_clear(&loaded);
    return status;
}

void trib_dataset_clear(struct trib_dataset *dataset)
{
    trib_free(dataset->data);
    trib_free(dataset->labels);
    trib_free(dataset->targets);
    trib_free(dataset->keys);
    *dataset = (struct trib_dataset){0};
}
