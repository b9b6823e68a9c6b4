/* Offline storage allocation: greedy best fit over a few orders of the buffers, keeping the best. Large buffers first
 * is the strongest single order (Pisarchyk and Lee 2020); the others sometimes save a gap that it leaves. */
#include "plan_layout.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The cost is quadratic in the buffers; beyond this many only the first order is tried. */
enum { MANY_INTERVALS = 4096 };

struct entry {
    size_t key; /* larger keys come first */
    uint32_t index;
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static size_t key_size(const struct trib_interval *interval)
{
    return interval->size;
}

static size_t key_area(const struct trib_interval *interval)
{
    size_t area;
    return trib_size_mul(interval->size, (size_t)(interval->last - interval->first) + 1, &area) ? area : SIZE_MAX;
}

static size_t key_first(const struct trib_interval *interval)
{
    return UINT32_MAX - interval->first;
}

static size_t key_last(const struct trib_interval *interval)
{
    return interval->last;
}

static size_t (*const keys[])(const struct trib_interval *interval) = {key_size, key_area, key_first, key_last};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

static bool alive_together(const struct trib_interval *a, const struct trib_interval *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The smallest gap that `interval` fits in among those placed (sorted by offset), else the end of the last one that
 * is alive with it. */
static size_t best_offset(const struct trib_interval *intervals, const uint32_t *placed, size_t n_placed,
                          const struct trib_interval *interval)
{
    size_t end = 0, best = 0, best_gap = SIZE_MAX;
    for (size_t i = 0; i < n_placed; i++) {
        const struct trib_interval *other = &intervals[placed[i]];
        if (!alive_together(interval, other)) {
            continue;
        }
        if (other->offset > end && other->offset - end >= interval->size && other->offset - end < best_gap) {
            best = end;
            best_gap = other->offset - end;
        }
        size_t other_end = other->offset + other->size;
        end = other_end > end ? other_end : end;
    }
    return best_gap < SIZE_MAX ? best : end;
}

/* Place all in the order of `entries`; returns the total. `placed` is scratch for n numbers. */
static size_t place(struct trib_interval *intervals, const struct entry *entries, size_t n, uint32_t *placed)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        struct trib_interval *interval = &intervals[entries[i].index];
        interval->offset = best_offset(intervals, placed, i, interval);
        size_t low = 0, high = i;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (intervals[placed[middle]].offset <= interval->offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        memmove(&placed[low + 1], &placed[low], (i - low) * sizeof *placed);
        placed[low] = entries[i].index;
        size_t end = interval->offset + interval->size;
        total = end > total ? end : total;
    }
    return total;
}

enum trib_status trib_layout_assign(struct trib_interval *intervals, size_t n, size_t *total, struct trib_error *error)
{
    struct entry *entries = trib_calloc(n, sizeof *entries);
    uint32_t *placed = trib_calloc(n, sizeof *placed);
    size_t *offsets = trib_calloc(n, sizeof *offsets);
    if (!entries || !placed || !offsets) {
        trib_free(entries);
        trib_free(placed);
        trib_free(offsets);
        return trib_fail_no_memory(error);
    }
    size_t best = SIZE_MAX;
    for (size_t k = 0; k < (n > MANY_INTERVALS ? 1 : N_KEYS); k++) {
        for (size_t i = 0; i < n; i++) {
            entries[i] = (struct entry){.key = keys[k](&intervals[i]), .index = (uint32_t)i};
        }
        qsort(entries, n, sizeof *entries, compare_entries);
        size_t size = place(intervals, entries, n, placed);
        for (size_t i = 0; size < best && i < n; i++) {
            offsets[i] = intervals[i].offset;
        }
        best = size < best ? size : best;
    }
    for (size_t i = 0; i < n; i++) {
        intervals[i].offset = offsets[i];
    }
    *total = best;
    trib_free(entries);
    trib_free(placed);
    trib_free(offsets);
    return TRIB_OK;
}
