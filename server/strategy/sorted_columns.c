/* Columns are sorted by Batcher's odd-even merges (Batcher, 1968): a fixed list of comparisons, so that coordinates go
 * through it side by side in a processor's vectors. Every comparison puts the smaller key above, so rows that a power
 * of two has and the updates have not count as larger than all, and are left out. */
#include "sorted_columns.h"

#include "base/clones.h"
#include "base/mem.h"

enum {
    FEW_COLUMNS = 16,  /* at a time: many updates then fit a processor's caches */
    FEW_UPDATES = 128, /* up to so many, TRIB_SORTED_COLUMNS columns at a time: longer loops */
};

static size_t columns_of(size_t n_updates)
{
    return n_updates <= FEW_UPDATES ? TRIB_SORTED_COLUMNS : FEW_COLUMNS;
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Compares n keys, which are whole rows, with the n keys of as many other rows. */
static inline void compare(int32_t *restrict a, int32_t *restrict b, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        int32_t low = a[j] < b[j] ? a[j] : b[j], high = a[j] < b[j] ? b[j] : a[j];
        a[j] = low;
        b[j] = high;
    }
}

/* Merges the sorted halves, `half` rows each, of rows [0, 2 half), of which there are n. */
static inline void merge(int32_t *rows, size_t half, size_t n, size_t columns)
{
    if (n > half) {
        compare(rows, rows + half * columns, least(half, n - half) * columns);
    }
    for (size_t apart = half / 2; apart > 0; apart /= 2) {
        for (size_t from = apart; from + apart < least(2 * half, n); from += 2 * apart) {
            compare(rows + from * columns, rows + (from + apart) * columns, least(apart, n - from - apart) * columns);
        }
    }
}

/* Runs of rows are sorted before they are merged with others, so that most of the work stays in the nearest cache. */
TRIB_CLONES static void sort(int32_t *rows, size_t n, size_t columns)
{
    for (size_t at = 2; at < 2 * n; at += 2) { /* what is whole among rows [0, at) is merged */
        for (size_t len = 2; at % len == 0; len *= 2) {
            if (at - len < n) {
                merge(rows + (at - len) * columns, len / 2, n - (at - len), columns);
            }
            if (len == at && len >= n) {
                return;
            }
        }
    }
}

TRIB_CLONES static void make_keys(const float *values, size_t n, int32_t *keys)
{
    for (size_t j = 0; j < n; j++) {
        int32_t bits;
        memcpy(&bits, values + j, sizeof bits);
        keys[j] = bits ^ ((bits >> 31) & 0x7fffffff);
    }
}

/* The workspace holds keys[n_updates][columns], then values[n_updates][n rounded up to columns]. */
static size_t stride_of(size_t n, size_t columns)
{
    return (n + columns - 1) / columns * columns;
}

size_t trib_sorted_columns_workspace(size_t n_updates, size_t n)
{
    size_t len, columns = columns_of(n_updates);
    if (n > SIZE_MAX - 2 * TRIB_SORTED_COLUMNS || !trib_size_mul(n_updates, stride_of(n, columns) + columns, &len) ||
        !trib_size_mul(len, sizeof(float), &len)) {
        return SIZE_MAX;
    }
    return len;
}

enum trib_status trib_sorted_columns_combine(const struct trib_update_set *set, size_t first, size_t n,
                                             trib_sorted_columns_rule rule, const void *context, float *out,
                                             void *workspace, struct trib_error *error)
{
    size_t n_updates = set->n_updates, columns = columns_of(n_updates), stride = stride_of(n, columns);
    int32_t *keys = workspace;
    float *values = (float *)workspace + n_updates * columns;
    for (size_t i = 0; i < n_updates; i++) {
        TRIB_TRY(trib_update_set_read(set, i, first, n, values + i * stride, error));
        memset(values + i * stride + n, 0, (stride - n) * sizeof *values);
    }
    for (size_t at = 0; at < n; at += columns) {
        float results[TRIB_SORTED_COLUMNS];
        for (size_t i = 0; i < n_updates; i++) {
            make_keys(values + i * stride + at, columns, keys + i * columns);
        }
        sort(keys, n_updates, columns);
        rule(context, keys, n_updates, columns, results);
        memcpy(out + at, results, least(columns, n - at) * sizeof *results);
    }
    return TRIB_OK;
}
