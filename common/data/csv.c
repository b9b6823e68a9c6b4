/* Tables of comma-separated text are read here: a label column, perhaps a key column, every other column a feature. Any
 * thread.
 *
 * The first record is a header when a column is asked for by name, when none of its features is a number, or when its
 * label is text and the next one is a number. */
#include "data/dataset.h"

#include "base/mem.h"
#include "base/str.h"
#include "csv_text.h"
#include "reader.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NO_COLUMN = -1 };
enum label_kind { LABEL_UNKNOWN, LABEL_NUMBER, LABEL_TEXT };

struct table {
    const struct trib_dataset_spec *spec;
    const char *name;
    struct trib_csv_text text;
    size_t budget;
    size_t columns;
    char **first; /* [columns] cells of the first record */
    size_t first_line;
    bool has_header;    /* then `first` has the names of the columns */
    int64_t label, key; /* columns; key may be NO_COLUMN */
    size_t features;
    enum label_kind label_kind;
    size_t label_line; /* where label_kind was decided */
    size_t n, capacity;
    float *x;        /* [capacity, features] */
    int32_t *labels; /* [capacity] each; those in use are not NULL */
    float *targets;
    const char **label_texts;
    const char **key_texts;
    int64_t largest_label;
};

static bool is_feature(const struct table *table, size_t column)
{
    return (int64_t)column != table->label && (int64_t)column != table->key;
}

/* Digits alone are most of what tables of pixels hold; the rest goes the long way. */
static bool parse_number(const char *cell, double *value)
{
    uint32_t whole = 0;
    size_t len = 0;
    for (; len < 9 && cell[len] >= '0' && cell[len] <= '9'; len++) {
        whole = whole * 10 + (uint32_t)(cell[len] - '0');
    }
    if (len > 0 && cell[len] == '\0') {
        *value = whole;
        return true;
    }
    return trib_parse_double(cell, -(double)FLT_MAX, (double)FLT_MAX, value, NULL) == TRIB_OK;
}

static bool is_number(const char *cell)
{
    double value;
    return parse_number(cell, &value);
}

/* "FILE:LINE: cell 3 of 5 (column "age"): " and the message. */
static enum trib_status fail_cell(const struct table *table, size_t column, enum trib_status status,
                                  struct trib_error *error, const char *what)
{
    char cell[64];
    char named[96] = "";
    char quoted[64];
    if (table->has_header) {
        trib_data_quote(table->first[column], quoted, sizeof quoted);
        (void)snprintf(named, sizeof named, " (column %s)", quoted);
    }
    return trib_fail(error, status, "%s:%zu: cell %zu of %zu%s: %s %s", table->name, table->text.record_line,
                     column + 1, table->columns, named, trib_data_quote(table->text.cells[column], cell, sizeof cell),
                     what);
}

/* ---- columns and header ---- */
static enum trib_status find_column(const struct table *table, const char *option, const char *wanted, int64_t *column,
                                    bool *by_name, struct trib_error *error)
{
    int64_t number = 0;
    char quoted[64];
    if (trib_parse_int(wanted, 0, INT32_MAX, &number, NULL) == TRIB_OK) {
        if ((size_t)number >= table->columns) {
            return trib_fail(error, TRIB_CONFIG, "%s: %s %lld: there are %zu columns, numbered 0 to %zu", table->name,
                             option, (long long)number, table->columns, table->columns - 1);
        }
        *column = number;
        return TRIB_OK;
    }
    for (size_t i = 0; i < table->columns; i++) {
        if (trib_str_equal(table->first[i], wanted)) {
            *column = (int64_t)i;
            *by_name = true;
            return TRIB_OK;
        }
    }
    const char *nearest = trib_str_nearest(wanted, (const char *const *)table->first, table->columns);
    return trib_fail(error, TRIB_CONFIG, "%s:%zu: %s: the first line names no column %s%s%s%s", table->name,
                     table->first_line, option, trib_data_quote(wanted, quoted, sizeof quoted),
                     nearest ? "; did you mean \"" : "; name one of the first line or count from 0",
                     nearest ? nearest : "", nearest ? "\"?" : "");
}

static enum trib_status choose_columns(struct table *table, bool *by_name, struct trib_error *error)
{
    const struct trib_dataset_spec *spec = table->spec;
    table->label = (int64_t)table->columns - 1;
    table->key = NO_COLUMN;
    if (spec->label_column) {
        TRIB_TRY(find_column(table, "label_column", spec->label_column, &table->label, by_name, error));
    }
    if (spec->key_column) {
        TRIB_TRY(find_column(table, "key_column", spec->key_column, &table->key, by_name, error));
    }
    if (table->label == table->key) {
        return trib_fail(error, TRIB_CONFIG, "%s: column %lld cannot be both the label and the key", table->name,
                         (long long)table->label);
    }
    size_t taken = table->key == NO_COLUMN ? 1 : 2;
    if (table->columns <= taken) {
        return trib_fail(error, TRIB_CORRUPT,
                         "%s:%zu: %zu columns leave no feature beside the label; columns are separated by commas",
                         table->name, table->first_line, table->columns);
    }
    table->features = table->columns - taken;
    return TRIB_OK;
}

/* The first record's cells stay, as names of columns or as an example still to be taken. */
static enum trib_status keep_first(struct table *table, struct trib_error *error)
{
    bool got = false;
    TRIB_TRY(trib_csv_text_next(&table->text, &got, error));
    if (!got) {
        return trib_fail(error, TRIB_CORRUPT, "%s: empty: holds no examples", table->name);
    }
    table->columns = table->text.n_cells;
    table->first_line = table->text.record_line;
    table->first = trib_malloc_aligned(table->columns, sizeof *table->first);
    if (!table->first) {
        return trib_fail_no_memory(error);
    }
    memcpy(table->first, table->text.cells, table->columns * sizeof *table->first);
    return TRIB_OK;
}

static bool first_has_feature_number(const struct table *table)
{
    for (size_t i = 0; i < table->columns; i++) {
        if (is_feature(table, i) && is_number(table->first[i])) {
            return true;
        }
    }
    return false;
}

/* ---- rows ---- */
static enum trib_status grow(struct table *table, struct trib_error *error)
{
    size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    size_t row_len = 0;
    size_t len = 0;
    if (!trib_size_mul(table->features, sizeof(float), &row_len) || !trib_size_mul(row_len, table->n + 1, &len) ||
        len > table->budget) {
        char limit[32];
        return trib_fail(error, TRIB_LIMIT,
                         "%s:%zu: the table needs more than %s of memory; raise max_bytes or split it", table->name,
                         table->text.record_line, trib_format_size((double)table->budget, limit, sizeof limit));
    }
    void *grown = trib_realloc_array(table->x, capacity, row_len);
    if (!grown) {
        return trib_fail_no_memory(error);
    }
    table->x = grown;
#define GROW(member)                                                                                                   \
    do {                                                                                                               \
        grown = trib_realloc_array(table->member, capacity, sizeof *table->member);                                    \
        if (!grown) {                                                                                                  \
            return trib_fail_no_memory(error);                                                                         \
        }                                                                                                              \
        table->member = grown;                                                                                         \
    } while (0)
    GROW(labels);
    GROW(targets);
    GROW(label_texts);
    GROW(key_texts);
#undef GROW
    table->capacity = capacity;
    return TRIB_OK;
}

static enum trib_status take_number_label(struct table *table, double value, struct trib_error *error)
{
    size_t column = (size_t)table->label;
    int64_t limit = table->spec->classes > 0 ? table->spec->classes : TRIB_DATA_MAX_CLASSES;
    if (value != floor(value)) {
        return fail_cell(table, column, TRIB_MISMATCH, error,
                         "is no class, which is a whole number; set regression for targets that are not classes");
    }
    if (value < 0 || value >= (double)limit) {
        return trib_fail(error, TRIB_MISMATCH, "%s:%zu: label %.0f of example %zu is outside 0..%lld", table->name,
                         table->text.record_line, value, table->n, (long long)limit - 1);
    }
    table->labels[table->n] = (int32_t)value;
    table->largest_label = (int64_t)value > table->largest_label ? (int64_t)value : table->largest_label;
    return TRIB_OK;
}

static enum trib_status take_label(struct table *table, const char *cell, struct trib_error *error)
{
    size_t column = (size_t)table->label;
    double value = 0;
    bool number = parse_number(cell, &value);
    if (cell[0] == '\0') {
        return fail_cell(table, column, TRIB_CORRUPT, error, "is no label: the cell is empty");
    }
    if (table->spec->regression) {
        if (!number) {
            return fail_cell(table, column, TRIB_CORRUPT, error, "is not a finite number");
        }
        table->targets[table->n] = (float)value;
        return TRIB_OK;
    }
    enum label_kind kind = number ? LABEL_NUMBER : LABEL_TEXT;
    if (table->label_kind == LABEL_UNKNOWN) {
        table->label_kind = kind;
        table->label_line = table->text.record_line;
    }
    if (table->label_kind != kind) {
        char what[128];
        (void)snprintf(what, sizeof what, "is %s, but line %zu has %s as label; use all numbers or all names",
                       number ? "a number" : "not a number", table->label_line, number ? "a name" : "a number");
        return fail_cell(table, column, TRIB_CORRUPT, error, what);
    }
    table->label_texts[table->n] = cell;
    return number ? take_number_label(table, value, error) : TRIB_OK;
}

static enum trib_status take_record(struct table *table, struct trib_error *error)
{
    char *const *cells = table->text.cells;
    if (table->text.n_cells != table->columns) {
        return trib_fail(error, TRIB_CORRUPT, "%s:%zu: %zu columns, but line %zu has %zu", table->name,
                         table->text.record_line, table->text.n_cells, table->first_line, table->columns);
    }
    if (table->n == table->capacity) {
        TRIB_TRY(grow(table, error));
    }
    float *row = table->x + table->n * table->features;
    for (size_t i = 0; i < table->columns; i++) {
        double value = 0;
        if (!is_feature(table, i)) {
            continue;
        }
        if (!parse_number(cells[i], &value)) {
            return fail_cell(table, i, TRIB_CORRUPT, error,
                             cells[i][0] == '\0' ? "is no number: the cell is empty" : "is not a finite number");
        }
        *row++ = (float)value;
    }
    if (table->key != NO_COLUMN) {
        table->key_texts[table->n] = cells[table->key];
    }
    TRIB_TRY(take_label(table, cells[table->label], error));
    table->n++;
    return TRIB_OK;
}

/* Take the first record as an example: the cells of the text are those of `first` for that long. */
static enum trib_status take_first(struct table *table, struct trib_error *error)
{
    struct trib_csv_text text = table->text;
    table->text.cells = table->first;
    table->text.n_cells = table->columns;
    table->text.record_line = table->first_line;
    enum trib_status status = take_record(table, error);
    table->text = text;
    return status;
}

static enum trib_status read_rows(struct table *table, struct trib_error *error)
{
    bool by_name = false;
    bool got = false;
    TRIB_TRY(keep_first(table, error));
    TRIB_TRY(choose_columns(table, &by_name, error));
    TRIB_TRY(trib_csv_text_next(&table->text, &got, error));
    bool label_turns_number = got && table->text.n_cells == table->columns && !is_number(table->first[table->label]) &&
                              is_number(table->text.cells[table->label]);
    table->has_header = by_name || label_turns_number || !first_has_feature_number(table);
    if (!table->has_header) {
        TRIB_TRY(take_first(table, error));
    }
    while (got) {
        TRIB_TRY(take_record(table, error));
        TRIB_TRY(trib_csv_text_next(&table->text, &got, error));
    }
    if (table->n == 0) {
        return trib_fail(error, TRIB_CORRUPT, "%s:%zu: a header and no examples", table->name, table->first_line);
    }
    return TRIB_OK;
}

/* ---- the dataset ---- */
static enum trib_status settle_labels(struct table *table, int32_t *classes, struct trib_error *error)
{
    int64_t wanted = table->spec->classes;
    if (table->label_kind == LABEL_NUMBER) {
        *classes = (int32_t)(wanted > 0 ? wanted : table->largest_label + 1);
        return TRIB_OK;
    }
    int32_t found = 0;
    TRIB_TRY(trib_data_number_texts(table->label_texts, table->n, table->labels, &found, error));
    /* Names are numbered by their order: a file without all of them would number the others differently than the files
     * of other clients do. */
    if (wanted > 0 && found != wanted) {
        return trib_fail(error, TRIB_MISMATCH,
                         "%s: labels are names, %d different ones, but classes is %lld; names are numbered in sorted "
                         "order, so every file must hold them all: write the class numbers 0..%lld instead",
                         table->name, found, (long long)wanted, (long long)wanted - 1);
    }
    if (found > TRIB_DATA_MAX_CLASSES) {
        return trib_fail(error, TRIB_LIMIT, "%s: %d different labels; is the label in another column?", table->name,
                         found);
    }
    *classes = found;
    return TRIB_OK;
}

static enum trib_status to_dataset(struct table *table, struct trib_dataset *dataset, struct trib_error *error)
{
    int32_t n_keys = 0;
    int32_t classes = 0;
    int32_t *keys = NULL;
    void *data = NULL;
    bool regression = table->spec->regression;
    if (!regression) {
        TRIB_TRY(settle_labels(table, &classes, error));
    }
    enum trib_status status =
        trib_data_reserve(table->name, table->n, table->features * sizeof(float), table->budget, &data, error);
    if (status == TRIB_OK && table->key != NO_COLUMN) {
        keys = trib_malloc_aligned(table->n, sizeof *keys);
        status = !keys ? trib_fail_no_memory(error)
                       : trib_data_number_texts(table->key_texts, table->n, keys, &n_keys, error);
    }
    if (status != TRIB_OK) {
        trib_free(data);
        trib_free(keys);
        return status;
    }
    memcpy(data, table->x, table->n * table->features * sizeof(float));
    dataset->n = table->n;
    dataset->example = TRIB_SHAPE((int64_t)table->features);
    dataset->example_n = table->features;
    dataset->data = data;
    dataset->labels = regression ? NULL : table->labels;
    dataset->targets = regression ? table->targets : NULL;
    dataset->classes = classes;
    dataset->keys = keys;
    dataset->n_keys = n_keys;
    trib_free(regression ? (void *)table->labels : (void *)table->targets);
    table->labels = NULL;
    table->targets = NULL;
    return TRIB_OK;
}

/* text[len] is a NUL; the text is used up. */
static enum trib_status take_text(const struct trib_dataset_spec *spec, const char *name, char *text, size_t len,
                                  struct trib_dataset *dataset, struct trib_error *error)
{
    struct table table = {.spec = spec, .name = name, .budget = trib_data_budget(spec)};
    enum trib_status status = trib_csv_text_init(&table.text, name, text, len, error);
    if (status == TRIB_OK) {
        status = read_rows(&table, error);
    }
    if (status == TRIB_OK) {
        status = to_dataset(&table, dataset, error);
    }
    trib_csv_text_clear(&table.text);
    trib_free(table.first);
    trib_free(table.x);
    trib_free(table.labels);
    trib_free(table.targets);
    trib_free(table.label_texts);
    trib_free(table.key_texts);
    return status;
}

enum trib_status trib_csv_parse(const struct trib_dataset_spec *spec, const char *name, const uint8_t *bytes,
                                size_t len, struct trib_dataset *dataset, struct trib_error *error)
{
    char *text = trib_malloc(len + 1);
    if (!text) {
        return trib_fail_no_memory(error);
    }
    if (len > 0) {
        memcpy(text, bytes, len);
    }
    text[len] = '\0';
    enum trib_status status = take_text(spec, name, text, len, dataset, error);
    trib_free(text);
    return status;
}

static enum trib_status read_csv(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                 struct trib_error *error)
{
    TRIB_TRY(trib_data_refuse("csv", "labels", spec->labels, "name the label's column as label_column", error));
    struct trib_buf content = {0};
    TRIB_TRY(trib_dataset_load_file(spec->path, trib_data_budget(spec), &content, error));
    size_t len = content.len;
    enum trib_status status = trib_buf_add(&content, "", 1) == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        status = take_text(spec, spec->path, (char *)content.data, len, dataset, error);
    }
    trib_buf_clear(&content);
    return status;
}

static const struct trib_config_row rows[] = {
    TRIB_ROW("label_column", TRIB_TYPE_STRING, offsetof(struct trib_dataset_settings, label_column), NULL, 0, 255, NULL,
             0, "the column of labels, by name or number from 0; the last one when not given."),
    TRIB_ROW("key_column", TRIB_TYPE_STRING, offsetof(struct trib_dataset_settings, key_column), NULL, 0, 255, NULL, 0,
             "the column of group keys, by name or number, for the partition by-key."),
    TRIB_DATA_ROW_REGRESSION,
};

const struct trib_dataset_reader trib_dataset_reader_csv = {
    .name = "csv",
    .help = "comma-separated numbers, one example a line, one column the label (number or name) or target; plain, .gz "
            "or .zst",
    .read = read_csv,
    TRIB_DATA_ROWS(rows),
};
