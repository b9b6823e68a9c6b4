/* A binary heap of events. */
#include "sim/event_heap.h"

#include "base/mem.h"

static bool is_before(const struct trib_event_heap_item *a, const struct trib_event_heap_item *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

enum trib_status trib_event_heap_push_at(struct trib_event_heap *heap, int64_t time, uint64_t order, void *event)
{
    if (heap->n == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : 64;
        struct trib_event_heap_item *items = trib_realloc_array(heap->items, capacity, sizeof *items);
        if (!items) {
            return TRIB_NO_MEMORY;
        }
        heap->items = items;
        heap->capacity = capacity;
    }
    const struct trib_event_heap_item item = {.time = time, .order = order, .event = event};
    size_t at = heap->n++;
    while (at > 0 && is_before(&item, &heap->items[(at - 1) / 2])) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = item;
    return TRIB_OK;
}

enum trib_status trib_event_heap_push(struct trib_event_heap *heap, int64_t time, void *event, uint64_t *order)
{
    uint64_t place = heap->next_order;
    TRIB_TRY(trib_event_heap_push_at(heap, time, place, event));
    heap->next_order++;
    if (order) {
        *order = place;
    }
    return TRIB_OK;
}

const struct trib_event_heap_item *trib_event_heap_top(const struct trib_event_heap *heap)
{
    return heap->n > 0 ? &heap->items[0] : NULL;
}

void *trib_event_heap_pop(struct trib_event_heap *heap)
{
    if (heap->n == 0) {
        return NULL;
    }
    void *event = heap->items[0].event;
    const struct trib_event_heap_item last = heap->items[--heap->n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->n) {
            break;
        }
        if (child + 1 < heap->n && is_before(&heap->items[child + 1], &heap->items[child])) {
            child++;
        }
        if (!is_before(&heap->items[child], &last)) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    if (heap->n > 0) {
        heap->items[at] = last;
    }
    return event;
}

void trib_event_heap_clear(struct trib_event_heap *heap)
{
    trib_free(heap->items);
    *heap = (struct trib_event_heap){0};
}
