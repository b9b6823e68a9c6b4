/* The dataset readers share these checks and messages. Any thread. */
#include "reader.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

size_t trib_data_budget(const struct trib_dataset_spec *spec)
{
    const double most = (double)(SIZE_MAX / 4); /* leaves room to add without overflow */
    double bytes = spec->max_bytes > 0 ? spec->max_bytes : 4294967296.0;
    return bytes < most ? (size_t)bytes : SIZE_MAX / 4;
}

enum trib_status trib_data_reserve(const char *name, size_t count, size_t element_len, size_t budget, void **to,
                                   struct trib_error *error)
{
    size_t len = 0;
    if (!trib_size_mul(count, element_len, &len) || len > budget) {
        char need[32];
        char limit[32];
        return trib_fail(error, TRIB_LIMIT,
                         "%s: needs %s of memory, above the limit of %s; raise max_bytes or split it", name,
                         trib_format_size((double)count * (double)element_len, need, sizeof need),
                         trib_format_size((double)budget, limit, sizeof limit));
    }
    void *block = trib_malloc_aligned(count, element_len);
    if (!block) {
        return trib_fail_no_memory(error);
    }
    *to = block;
    return TRIB_OK;
}

bool trib_data_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum trib_status trib_data_find(const char *dir, const char *name, char **found, struct trib_error *error)
{
    static const char *const suffixes[] = {"", ".gz", ".zst"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char *path = trib_asprintf("%s%s%s%s", dir, trib_str_ends_with(dir, "/") ? "" : "/", name, suffixes[i]);
        if (!path) {
            return trib_fail_no_memory(error);
        }
        if (trib_file_exists(path)) {
            *found = path;
            return TRIB_OK;
        }
        trib_free(path);
    }
    return TRIB_OK;
}

enum trib_status trib_data_refuse(const char *format, const char *option, const char *value, const char *instead,
                                  struct trib_error *error)
{
    if (!value) {
        return TRIB_OK;
    }
    return trib_fail(error, TRIB_CONFIG, "dataset %s: of no use with format %s; %s", option, format, instead);
}

enum trib_status trib_data_fail_unknown(const char *what, const char *word, const char *const *names, size_t n,
                                        struct trib_error *error)
{
    struct trib_buf list = {0};
    char quoted[64];
    enum trib_status status = TRIB_OK;
    for (size_t i = 0; i < n && status == TRIB_OK; i++) {
        status = trib_buf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    const char *nearest = word ? trib_str_nearest(word, names, n) : NULL;
    if (status != TRIB_OK) {
        status = trib_fail_no_memory(error);
    } else if (!word || word[0] == '\0') {
        status = trib_fail(error, TRIB_CONFIG, "%s: missing; there are: %s", what, trib_buf_text(&list));
    } else {
        status = trib_fail(error, TRIB_CONFIG, "%s %s: unknown%s%s%s: %s", what,
                           trib_data_quote(word, quoted, sizeof quoted), nearest ? "; did you mean \"" : "",
                           nearest ? nearest : "", nearest ? "\"? There are" : "; there are", trib_buf_text(&list));
    }
    trib_buf_clear(&list);
    return status;
}

enum trib_status trib_data_split(const struct trib_dataset_spec *spec, bool *train, struct trib_error *error)
{
    static const char *const names[] = {"train", "test"};
    if (!spec->split || trib_str_equal(spec->split, names[0])) {
        *train = true;
        return TRIB_OK;
    }
    if (trib_str_equal(spec->split, names[1])) {
        *train = false;
        return TRIB_OK;
    }
    return trib_data_fail_unknown("dataset split", spec->split, names, 2, error);
}

const char *trib_data_quote(const char *text, char *to, size_t size)
{
    size_t at = 0;
    to[at++] = '"';
    for (; *text != '\0' && at + 5 < size; text++) {
        unsigned char byte = (unsigned char)*text;
        to[at++] = byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
    }
    if (*text != '\0') {
        memcpy(to + at, "...", 3);
        at += 3;
    }
    to[at++] = '"';
    to[at] = '\0';
    return to;
}

enum trib_status trib_data_check_classes(int64_t classes, struct trib_error *error)
{
    if (classes < 0 || classes > TRIB_DATA_MAX_CLASSES) {
        return trib_fail(error, TRIB_CONFIG,
                         "dataset classes: %lld is outside 0..%d; 0 means as many as the largest label asks for",
                         (long long)classes, TRIB_DATA_MAX_CLASSES);
    }
    return TRIB_OK;
}
