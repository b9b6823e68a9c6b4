/* A binary heap whose entries know their places. */
#include "base/heap.h"

#include "base/mem.h"

#include <string.h>

static bool is_before(const struct trib_heap_entry *a, const struct trib_heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

enum trib_status trib_heap_reserve(struct trib_heap *heap, size_t n_ids, size_t n)
{
    if (n > heap->capacity) {
        size_t capacity = n + n / 2;
        struct trib_heap_entry *entries = trib_realloc_array(heap->entries, capacity, sizeof *entries);
        if (!entries) {
            return TRIB_NO_MEMORY;
        }
        heap->entries = entries;
        heap->capacity = capacity;
    }
    if (n_ids > heap->n_ids) {
        size_t wider = n_ids + n_ids / 4;
        uint32_t *places = trib_realloc_array(heap->places, wider, sizeof *places);
        if (!places) {
            return TRIB_NO_MEMORY;
        }
        memset(places + heap->n_ids, 0, (wider - heap->n_ids) * sizeof *places);
        heap->places = places;
        heap->n_ids = wider;
    }
    return TRIB_OK;
}

void trib_heap_clear(struct trib_heap *heap)
{
    trib_free(heap->entries);
    trib_free(heap->places);
    *heap = (struct trib_heap){0};
}

static void set(struct trib_heap *heap, size_t at, struct trib_heap_entry entry)
{
    heap->entries[at] = entry;
    heap->places[entry.id] = (uint32_t)at + 1;
}

/* Find the place for an entry that belongs at `at` or nearer to the root. */
static void rise(struct trib_heap *heap, size_t at, struct trib_heap_entry entry)
{
    while (at > 0 && is_before(&entry, &heap->entries[(at - 1) / 2])) {
        set(heap, at, heap->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    set(heap, at, entry);
}

static void sink(struct trib_heap *heap, size_t at, struct trib_heap_entry entry)
{
    for (size_t child = 2 * at + 1; child < heap->n; child = 2 * at + 1) {
        if (child + 1 < heap->n && is_before(&heap->entries[child + 1], &heap->entries[child])) {
            child++;
        }
        if (!is_before(&heap->entries[child], &entry)) {
            break;
        }
        set(heap, at, heap->entries[child]);
        at = child;
    }
    set(heap, at, entry);
}

static void place(struct trib_heap *heap, size_t at, struct trib_heap_entry entry)
{
    if (at > 0 && is_before(&entry, &heap->entries[(at - 1) / 2])) {
        rise(heap, at, entry);
    } else {
        sink(heap, at, entry);
    }
}

void trib_heap_put(struct trib_heap *heap, uint32_t id, int64_t key)
{
    size_t at = heap->places[id] ? heap->places[id] - 1 : heap->n++;
    place(heap, at, (struct trib_heap_entry){.key = key, .id = id});
}

void trib_heap_remove(struct trib_heap *heap, uint32_t id)
{
    if (!trib_heap_has(heap, id)) {
        return;
    }
    size_t at = heap->places[id] - 1;
    heap->places[id] = 0;
    heap->n--;
    if (at < heap->n) { /* the last one fills the gap */
        place(heap, at, heap->entries[heap->n]);
    }
}

bool trib_heap_first(const struct trib_heap *heap, struct trib_heap_entry *first)
{
    if (heap->n == 0) {
        return false;
    }
    *first = heap->entries[0];
    return true;
}

bool trib_heap_has(const struct trib_heap *heap, uint32_t id)
{
    return id < heap->n_ids && heap->places[id] != 0;
}
