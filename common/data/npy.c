/* NumPy's .npy files, versions 1 to 3, are read here: \x93NUMPY, version, header length, a Python dict, the data. Any
 * thread. Source: NumPy, numpy.lib.format; NEP 1. The dict is read by a small parser of its own, never evaluated. */
#include "data/dataset.h"

#include "base/mem.h"
#include "base/str.h"
#include "reader.h"

#include <string.h>

static const struct {
    char descr[4];
    enum trib_data_kind kind;
} types[] = {
    {"|u1", TRIB_DATA_U8},  {"<f4", TRIB_DATA_F32}, {"<f8", TRIB_DATA_F64},
    {"<i4", TRIB_DATA_I32}, {"<i8", TRIB_DATA_I64},
};

static bool find_kind(const char *descr, enum trib_data_kind *kind)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (trib_str_equal(types[i].descr, descr)) {
            *kind = types[i].kind;
            return true;
        }
    }
    return false;
}

/* ---- the header's dict: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ---- */
struct cursor {
    const char *at;
    const char *end;
};
enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4 };
struct header {
    unsigned has;
    char descr[16];
    bool fortran;
    int n_dims; /* may be above TRIB_MAX_RANK; the dims beyond are dropped */
    int64_t dims[TRIB_MAX_RANK];
};

/* Skips white space, also before a word that is not there. */
static bool accept(struct cursor *cursor, const char *word)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\t')) {
        cursor->at++;
    }
    size_t len = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0) {
        return false;
    }
    cursor->at += len;
    return true;
}

static bool read_string(struct cursor *cursor, char *to, size_t size)
{
    const char *quote = accept(cursor, "'") ? "'" : "\"";
    if (quote[0] == '"' && !accept(cursor, quote)) {
        return false;
    }
    const char *stop = memchr(cursor->at, quote[0], (size_t)(cursor->end - cursor->at));
    if (!stop || (size_t)(stop - cursor->at) >= size) {
        return false;
    }
    memcpy(to, cursor->at, (size_t)(stop - cursor->at));
    to[stop - cursor->at] = '\0';
    cursor->at = stop + 1;
    return true;
}

static bool read_dimension(struct cursor *cursor, int64_t *dim)
{
    int64_t value = 0;
    const char *start = cursor->at;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
        if (value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (*cursor->at - '0');
    }
    *dim = value;
    return cursor->at > start;
}

static bool read_shape(struct cursor *cursor, struct header *header)
{
    if (!accept(cursor, "(")) {
        return false;
    }
    while (!accept(cursor, ")")) {
        int64_t dim = 0;
        if (!read_dimension(cursor, &dim) || header->n_dims > 64) { /* NumPy's own bound */
            return false;
        }
        if (header->n_dims < TRIB_MAX_RANK) {
            header->dims[header->n_dims] = dim;
        }
        header->n_dims++;
        if (!accept(cursor, ",")) {
            return accept(cursor, ")");
        }
    }
    return true;
}

static bool read_entry(struct cursor *cursor, struct header *header)
{
    char key[32];
    if (!read_string(cursor, key, sizeof key) || !accept(cursor, ":")) {
        return false;
    }
    if (trib_str_equal(key, "descr") && !(header->has & HAS_DESCR)) {
        header->has |= HAS_DESCR;
        return read_string(cursor, header->descr, sizeof header->descr);
    }
    if (trib_str_equal(key, "fortran_order") && !(header->has & HAS_ORDER)) {
        header->has |= HAS_ORDER;
        header->fortran = accept(cursor, "True");
        return header->fortran || accept(cursor, "False");
    }
    if (trib_str_equal(key, "shape") && !(header->has & HAS_SHAPE)) {
        header->has |= HAS_SHAPE;
        return read_shape(cursor, header);
    }
    return false;
}

static bool read_dict(struct cursor *cursor, struct header *header)
{
    if (!accept(cursor, "{")) {
        return false;
    }
    while (!accept(cursor, "}")) {
        if (!read_entry(cursor, header)) {
            return false;
        }
        if (!accept(cursor, ",")) {
            return accept(cursor, "}");
        }
    }
    return true;
}

/* ---- the file ---- */
/* Where the dict starts and ends, told by the version and length fields. */
static enum trib_status find_header(const char *name, const uint8_t *bytes, size_t len, struct cursor *cursor,
                                    struct trib_error *error)
{
    static const uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    size_t common = len < sizeof magic ? len : sizeof magic;
    if (common > 0 && memcmp(bytes, magic, common) != 0) {
        return trib_fail(error, TRIB_CORRUPT,
                         "%s: not a .npy file: it does not start with 93 'NUMPY'; write it with numpy.save", name);
    }
    if (len < 10 || (bytes[6] > 1 && len < 12)) {
        return trib_fail(error, TRIB_CORRUPT, "%s: truncated: %zu bytes are too few for a .npy header", name, len);
    }
    if (bytes[6] < 1 || bytes[6] > 3) {
        return trib_fail(error, TRIB_UNSUPPORTED, "%s: .npy version %u.%u; 1.0 to 3.0 can be read", name, bytes[6],
                         bytes[7]);
    }
    size_t start = bytes[6] == 1 ? 10 : 12;
    size_t dict_len = bytes[6] == 1 ? trib_load_u16(bytes + 8) : trib_load_u32(bytes + 8);
    if (dict_len > len - start) {
        return trib_fail(error, TRIB_CORRUPT,
                         "%s: truncated: header promises %zu bytes of description, file holds %zu; copy or download it "
                         "again",
                         name, dict_len, len - start);
    }
    cursor->at = (const char *)bytes + start;
    cursor->end = cursor->at + dict_len;
    return TRIB_OK;
}

static enum trib_status check_header(const char *name, const struct header *header, struct trib_error *error)
{
    enum trib_data_kind kind;
    char quoted[32];
    if (!find_kind(header->descr, &kind)) {
        return trib_fail(
            error, TRIB_UNSUPPORTED,
            "%s: elements of type %s; |u1, <f4, <f8, <i4 and <i8 can be read: convert with astype, such as "
            "x.astype('<f4')",
            name, trib_data_quote(header->descr, quoted, sizeof quoted));
    }
    if (header->fortran && header->n_dims > 1) {
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "%s: in Fortran order; save numpy.ascontiguousarray(x), which is in C order", name);
    }
    if (header->n_dims > TRIB_MAX_RANK) {
        return trib_fail(error, TRIB_UNSUPPORTED, "%s: array of %d dimensions; up to %d can be read", name,
                         header->n_dims, TRIB_MAX_RANK);
    }
    return TRIB_OK;
}

static enum trib_status read_header(const char *name, struct cursor *cursor, struct header *header,
                                    struct trib_error *error)
{
    if (!read_dict(cursor, header) || header->has != (HAS_DESCR | HAS_ORDER | HAS_SHAPE)) {
        return trib_fail(
            error, TRIB_CORRUPT,
            "%s: the .npy header is no dict of descr (one plain type), fortran_order and shape; structured "
            "arrays cannot be read",
            name);
    }
    return check_header(name, header, error);
}

enum trib_status trib_npy_parse(const char *name, const uint8_t *bytes, size_t len, char type[4],
                                struct trib_shape *shape, const uint8_t **data, struct trib_error *error)
{
    struct cursor cursor = {0};
    struct header header = {0};
    TRIB_TRY(find_header(name, bytes, len, &cursor, error));
    const uint8_t *start = (const uint8_t *)cursor.end;
    TRIB_TRY(read_header(name, &cursor, &header, error));
    struct trib_shape found = {.rank = header.n_dims};
    memcpy(found.dims, header.dims, sizeof found.dims);
    enum trib_data_kind kind = TRIB_DATA_U8;
    (void)find_kind(header.descr, &kind);
    size_t promised = 0;
    size_t held = len - (size_t)(start - bytes);
    bool fits = trib_data_shape_len(&found, trib_data_kind_size(kind), &promised);
    if (!fits || promised != held) {
        char text[96];
        bool more = fits && promised < held;
        return trib_fail(error, TRIB_CORRUPT, "%s: %s: header promises %s of %s, file holds %zu bytes of data%s", name,
                         more ? "too long" : "truncated", trib_shape_format(&found, text, sizeof text), header.descr,
                         held, more ? "" : "; copy or download it again");
    }
    memcpy(type, header.descr, 4);
    *shape = found;
    *data = start;
    return TRIB_OK;
}

static enum trib_status load_array(const char *path, size_t budget, struct trib_buf *content,
                                   struct trib_data_array *array, struct trib_error *error)
{
    char type[4];
    struct trib_data_array found = {.name = path};
    trib_buf_clear(content);
    TRIB_TRY(trib_dataset_load_file(path, budget, content, error));
    TRIB_TRY(trib_npy_parse(path, content->data, content->len, type, &found.shape, &found.data, error));
    (void)find_kind(type, &found.kind);
    *array = found;
    return TRIB_OK;
}

static enum trib_status read_npy(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                 struct trib_error *error)
{
    TRIB_TRY(trib_data_refuse("npy", "label_column", spec->label_column, "name a file of labels as labels", error));
    TRIB_TRY(trib_data_refuse("npy", "key_column", spec->key_column, "name a file of keys as keys", error));
    if (!spec->labels) {
        return trib_fail(error, TRIB_CONFIG, "dataset labels: missing; with format npy name the .npy file of labels");
    }
    struct trib_buf content = {0};
    struct trib_data_array array;
    size_t budget = trib_data_budget(spec);
    enum trib_status status = load_array(spec->path, budget, &content, &array, error);
    if (status == TRIB_OK) {
        status = trib_data_take_examples(&array, budget, dataset, error);
    }
    if (status == TRIB_OK) {
        status = load_array(spec->labels, budget, &content, &array, error);
    }
    if (status == TRIB_OK) {
        status = spec->regression ? trib_data_take_targets(&array, dataset, error)
                                  : trib_data_take_labels(&array, spec->classes, dataset, error);
    }
    trib_buf_clear(&content);
    return status;
}

static const struct trib_config_row rows[] = {
    TRIB_DATA_ROW_LABELS,
    TRIB_DATA_ROW_REGRESSION,
};

const struct trib_dataset_reader trib_dataset_reader_npy = {
    .name = "npy",
    .help = "NumPy .npy arrays: path has the examples first, labels one number each; plain, .gz or .zst",
    .read = read_npy,
    TRIB_DATA_ROWS(rows),
};
