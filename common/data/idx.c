/* IDX files, as MNIST and its kin have them, are read here: 00 00 TYPE RANK, big-endian 32-bit sizes, row-major data.
 * Any thread. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", file format section.
 */
#include "data/dataset.h"

#include "base/mem.h"
#include "base/str.h"
#include "reader.h"

#include <stdio.h>
#include <string.h>

static const struct {
    uint8_t code;
    enum trib_data_kind kind;
} types[] = {
    {0x08, TRIB_DATA_U8},  {0x09, TRIB_DATA_I8},  {0x0b, TRIB_DATA_I16},
    {0x0c, TRIB_DATA_I32}, {0x0d, TRIB_DATA_F32}, {0x0e, TRIB_DATA_F64},
};

static bool find_kind(int code, enum trib_data_kind *kind)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].code == code) {
            *kind = types[i].kind;
            return true;
        }
    }
    return false;
}

/* "60000 x 28 x 28" */
static const char *format_sizes(const struct trib_shape *shape, char *to, size_t size)
{
    size_t at = 0;
    to[0] = '\0';
    for (int i = 0; i < shape->rank && at < size; i++) {
        int len = snprintf(to + at, size - at, "%s%lld", i == 0 ? "" : " x ", (long long)shape->dims[i]);
        at += len > 0 ? (size_t)len : 0;
    }
    return to;
}

static enum trib_status check_magic(const char *name, const uint8_t *bytes, size_t len, struct trib_error *error)
{
    enum trib_data_kind kind;
    if (len < 4) {
        return trib_fail(error, TRIB_CORRUPT, "%s: truncated: %zu bytes are too few for an IDX header", name, len);
    }
    if (bytes[0] != 0 || bytes[1] != 0) {
        return trib_fail(error, TRIB_CORRUPT,
                         "%s: not an IDX file: it starts with %02x %02x %02x %02x instead of 00 00 TYPE RANK", name,
                         bytes[0], bytes[1], bytes[2], bytes[3]);
    }
    if (!find_kind(bytes[2], &kind)) {
        return trib_fail(error, TRIB_CORRUPT, "%s: IDX element type %02x is unknown; there are 08, 09, 0b, 0c, 0d, 0e",
                         name, bytes[2]);
    }
    if (bytes[3] < 1 || bytes[3] > TRIB_MAX_RANK) {
        return trib_fail(error, TRIB_UNSUPPORTED, "%s: IDX array of %u dimensions; 1 to %d can be read", name, bytes[3],
                         TRIB_MAX_RANK);
    }
    return TRIB_OK;
}

enum trib_status trib_idx_parse(const char *name, const uint8_t *bytes, size_t len, int *type, struct trib_shape *shape,
                                const uint8_t **data, struct trib_error *error)
{
    TRIB_TRY(check_magic(name, bytes, len, error));
    struct trib_shape found = {.rank = bytes[3]};
    size_t header_len = 4 + 4 * (size_t)found.rank;
    if (len < header_len) {
        return trib_fail(error, TRIB_CORRUPT, "%s: truncated: its IDX header takes %zu bytes, the file holds %zu", name,
                         header_len, len);
    }
    for (int i = 0; i < found.rank; i++) {
        found.dims[i] = (int64_t)trib_load_u32_be(bytes + 4 + 4 * i);
    }
    enum trib_data_kind kind = TRIB_DATA_U8;
    (void)find_kind(bytes[2], &kind);
    size_t data_len = 0;
    bool fits = trib_data_shape_len(&found, trib_data_kind_size(kind), &data_len);
    if (!fits || data_len != len - header_len) {
        char sizes[64];
        size_t element_len = trib_data_kind_size(kind);
        bool more = fits && data_len < len - header_len;
        return trib_fail(error, TRIB_CORRUPT, "%s: %s: header promises %s %s%s, file holds %zu bytes of data%s", name,
                         more ? "too long" : "truncated", format_sizes(&found, sizes, sizeof sizes),
                         element_len == 1 ? "bytes" : trib_data_kind_name(kind), element_len == 1 ? "" : " elements",
                         len - header_len, more ? "" : "; copy or download it again");
    }
    *type = bytes[2];
    *shape = found;
    *data = bytes + header_len;
    return TRIB_OK;
}

enum trib_status trib_data_idx_array(const char *name, const struct trib_buf *content, struct trib_data_array *array,
                                     struct trib_error *error)
{
    struct trib_data_array found = {.name = name, .big_endian = true};
    int type = 0;
    TRIB_TRY(trib_idx_parse(name, content->data, content->len, &type, &found.shape, &found.data, error));
    (void)find_kind(type, &found.kind);
    *array = found;
    return TRIB_OK;
}

/* The names in use for one part: as published, and as some archives unpack. */
static enum trib_status find_part(const char *dir, bool train, const char *part, int rank, char **path,
                                  struct trib_error *error)
{
    static const char *const prefixes[2][2] = {{"t10k", "test"}, {"train", "train"}};
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s-%s%cidx%d-ubyte", prefixes[train][i % 2], part, i < 2 ? '-' : '.', rank);
        TRIB_TRY(trib_data_find(dir, name, path, error));
        if (*path) {
            return TRIB_OK;
        }
    }
    return trib_fail(
        error, TRIB_NOT_FOUND,
        "%s: holds no %s-%s-idx%d-ubyte, nor one with .gz or .zst; name the folder of the four MNIST-style "
        "files, or one file each as path and labels",
        dir, prefixes[train][0], part, rank);
}

static enum trib_status find_files(const struct trib_dataset_spec *spec, char **examples, char **labels,
                                   struct trib_error *error)
{
    if (trib_data_is_dir(spec->path)) {
        bool train = true;
        TRIB_TRY(trib_data_refuse("idx and a folder", "labels", spec->labels,
                                  "the folder's own labels are taken; name the file of examples as path", error));
        TRIB_TRY(trib_data_split(spec, &train, error));
        TRIB_TRY(find_part(spec->path, train, "images", 3, examples, error));
        return find_part(spec->path, train, "labels", 1, labels, error);
    }
    if (!spec->labels) {
        return trib_fail(error, TRIB_CONFIG,
                         "dataset labels: missing; with format idx name the file of labels, or as path the folder that "
                         "holds both");
    }
    *examples = trib_strdup(spec->path);
    *labels = trib_strdup(spec->labels);
    return *examples && *labels ? TRIB_OK : trib_fail_no_memory(error);
}

static enum trib_status read_idx(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                 struct trib_error *error)
{
    TRIB_TRY(trib_data_refuse("idx", "label_column", spec->label_column, "it belongs to csv", error));
    TRIB_TRY(trib_data_refuse("idx", "key_column", spec->key_column, "name a file of keys as keys", error));
    TRIB_TRY(trib_data_refuse("idx", "regression", spec->regression ? "" : NULL, "use csv or npy", error));
    char *examples = NULL;
    char *labels = NULL;
    struct trib_buf content = {0};
    struct trib_data_array array;
    size_t budget = trib_data_budget(spec);
    enum trib_status status = find_files(spec, &examples, &labels, error);
    if (status == TRIB_OK) {
        status = trib_dataset_load_file(examples, budget, &content, error);
    }
    if (status == TRIB_OK) {
        status = trib_data_idx_array(examples, &content, &array, error);
    }
    if (status == TRIB_OK) {
        status = trib_data_take_examples(&array, budget, dataset, error);
    }
    trib_buf_clear(&content);
    if (status == TRIB_OK) {
        status = trib_dataset_load_file(labels, budget, &content, error);
    }
    if (status == TRIB_OK) {
        status = trib_data_idx_array(labels, &content, &array, error);
    }
    if (status == TRIB_OK) {
        status = trib_data_take_labels(&array, spec->classes, dataset, error);
    }
    trib_buf_clear(&content);
    trib_free(examples);
    trib_free(labels);
    return status;
}

static const struct trib_config_row rows[] = {
    TRIB_DATA_ROW_LABELS,
    TRIB_DATA_ROW_SPLIT,
};

const struct trib_dataset_reader trib_dataset_reader_idx = {
    .name = "idx",
    .help = "IDX files of MNIST and its kin: a folder with the usual names, or path and labels; plain, .gz or .zst",
    .read = read_idx,
    TRIB_DATA_ROWS(rows),
};
