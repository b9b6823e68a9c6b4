/* A heap of small numbers (clients, runs) by a key each, the smallest first: timers, queues in order of arrival. An
 * entry is found, moved and removed by its number; equal keys go by the number, so that the order never depends on how
 * the entries came in. One thread. */
#ifndef TRIB_BASE_HEAP_H
#define TRIB_BASE_HEAP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trib_heap_entry {
    int64_t key;
    uint32_t id;
};

/* A heap's value; {0} is an empty one. */
struct trib_heap {
    struct trib_heap_entry *entries; /* [n] */
    size_t n, capacity;
    uint32_t *places; /* [n_ids] by id: its place among the entries and one, 0 = not in it */
    size_t n_ids;
};

/* trib_heap_reserve makes room for n entries with ids below n_ids: trib_heap_put cannot fail within it. */
TRIB_MUST_CHECK enum trib_status trib_heap_reserve(struct trib_heap *heap, size_t n_ids, size_t n);
void trib_heap_clear(struct trib_heap *heap);
/* trib_heap_put puts the id in with this key, or moves it there. There must be room. */
void trib_heap_put(struct trib_heap *heap, uint32_t id, int64_t key);
/* trib_heap_remove takes the id out, if it is in. */
void trib_heap_remove(struct trib_heap *heap, uint32_t id);
/* trib_heap_first finds the entry with the smallest key; false: the heap is empty. */
bool trib_heap_first(const struct trib_heap *heap, struct trib_heap_entry *first);
/* trib_heap_has tells whether the id is in. */
bool trib_heap_has(const struct trib_heap *heap, uint32_t id);

#endif
