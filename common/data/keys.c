/* Keys and text labels are numbered here, and files of keys read. Any thread.
 *
 * Numbers follow the sorted order of what they stand for, so that they do not depend on the order of examples. */
#include "reader.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct text_at {
    const char *text;
    size_t at;
};
struct integer_at {
    int64_t value;
    size_t at;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(((const struct text_at *)a)->text, ((const struct text_at *)b)->text);
}

static int compare_integers(const void *a, const void *b)
{
    int64_t x = ((const struct integer_at *)a)->value;
    int64_t y = ((const struct integer_at *)b)->value;
    return (x > y) - (x < y);
}

enum trib_status trib_data_number_texts(const char *const *texts, size_t n, int32_t *numbers, int32_t *count,
                                        struct trib_error *error)
{
    struct text_at *sorted = trib_malloc_aligned(n, sizeof *sorted);
    if (!sorted) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (struct text_at){.text = texts[i], .at = i};
    }
    qsort(sorted, n, sizeof *sorted, compare_texts);
    int32_t number = -1;
    for (size_t i = 0; i < n; i++) {
        number += i == 0 || strcmp(sorted[i].text, sorted[i - 1].text) != 0;
        numbers[sorted[i].at] = number;
    }
    *count = number + 1;
    trib_free(sorted);
    return TRIB_OK;
}

enum trib_status trib_data_number_integers(const int64_t *values, size_t n, int32_t *numbers, int32_t *count,
                                           struct trib_error *error)
{
    struct integer_at *sorted = trib_malloc_aligned(n, sizeof *sorted);
    if (!sorted) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (struct integer_at){.value = values[i], .at = i};
    }
    qsort(sorted, n, sizeof *sorted, compare_integers);
    int32_t number = -1;
    for (size_t i = 0; i < n; i++) {
        number += i == 0 || sorted[i].value != sorted[i - 1].value;
        numbers[sorted[i].at] = number;
    }
    *count = number + 1;
    trib_free(sorted);
    return TRIB_OK;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t lines = 0;
    for (const char *at = text, *end = text + len; at < end; lines++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        at = stop ? stop + 1 : end;
    }
    return lines;
}

/* Cut `text` (with a NUL at text[len]) into n lines in place; no line may be empty. */
static enum trib_status cut_lines(const char *path, char *text, size_t len, const char **lines, size_t n,
                                  struct trib_error *error)
{
    char *at = text;
    char *end = text + len;
    for (size_t i = 0; i < n; i++) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        char *next = stop + 1;
        if (stop > at && stop[-1] == '\r') {
            stop--;
        }
        if (stop == at) {
            return trib_fail(error, TRIB_CORRUPT, "%s:%zu: empty line; write one key for each example", path, i + 1);
        }
        *stop = '\0';
        lines[i] = at;
        at = next;
    }
    return TRIB_OK;
}

static enum trib_status take_text_keys(const char *path, struct trib_buf *content, struct trib_dataset *dataset,
                                       struct trib_error *error)
{
    size_t len = content->len;
    if (trib_buf_add(content, "", 1) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    char *text = (char *)content->data;
    size_t n = count_lines(text, len);
    if (n != dataset->n) {
        return trib_fail(error, TRIB_MISMATCH, "%s: holds %zu lines, but there are %zu examples; write one key a line",
                         path, n, dataset->n);
    }
    enum trib_status status = TRIB_OK;
    const char **lines = trib_malloc_aligned(n, sizeof *lines);
    int32_t *keys = trib_malloc_aligned(n, sizeof *keys);
    if (!lines || !keys) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = cut_lines(path, text, len, lines, n, error);
    if (status == TRIB_OK) {
        status = trib_data_number_texts(lines, n, keys, &dataset->n_keys, error);
    }
    if (status == TRIB_OK) {
        dataset->keys = keys;
        keys = NULL;
    }
out:
    trib_free(lines);
    trib_free(keys);
    return status;
}

enum trib_status trib_data_read_keys(const char *path, size_t budget, struct trib_dataset *dataset,
                                     struct trib_error *error)
{
    struct trib_buf content = {0};
    TRIB_TRY(trib_dataset_load_file(path, budget, &content, error));
    enum trib_status status = TRIB_OK;
    /* No text holds a NUL byte, every IDX file starts with one. */
    if (content.len > 0 && memchr(content.data, '\0', content.len)) {
        struct trib_data_array array;
        status = trib_data_idx_array(path, &content, &array, error);
        if (status == TRIB_OK) {
            status = trib_data_take_keys(&array, dataset, error);
        }
    } else {
        status = take_text_keys(path, &content, dataset, error);
    }
    trib_buf_clear(&content);
    return status;
}
