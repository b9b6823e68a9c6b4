/* Virtual time: what is due, by its time, and at one time in the order in which it was put in. A binary heap; one
 * thread. */
#ifndef TRIB_SIM_EVENT_HEAP_H
#define TRIB_SIM_EVENT_HEAP_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct trib_event_heap_item {
    int64_t time;
    uint64_t order;
    void *event;
};
/* Zeroed = empty. */
struct trib_event_heap {
    struct trib_event_heap_item *items;
    size_t n, capacity;
    uint64_t next_order;
};

/* Events are borrowed. *order (may be NULL): the place among those of the same time. */
TRIB_MUST_CHECK enum trib_status trib_event_heap_push(struct trib_event_heap *heap, int64_t time, void *event,
                                                      uint64_t *order);
/* The same at a place that is given. */
TRIB_MUST_CHECK enum trib_status trib_event_heap_push_at(struct trib_event_heap *heap, int64_t time, uint64_t order,
                                                         void *event);
/* The first one, or NULL. */
const struct trib_event_heap_item *trib_event_heap_top(const struct trib_event_heap *heap);
void *trib_event_heap_pop(struct trib_event_heap *heap); /* NULL = empty */
void trib_event_heap_clear(struct trib_event_heap *heap);

#endif
