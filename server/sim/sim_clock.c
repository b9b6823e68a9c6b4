/* Virtual time: events and the heap that holds them. */
#include "sim_private.h"

#include "base/mem.h"

void sim_fail(struct sim *sim, enum trib_status status)
{
    sim->status = sim->status == TRIB_OK ? status : sim->status;
}

void sim_event_clear(struct sim_event *event)
{
    if (event->peer) {
        sim_peer_unref(event->peer);
    }
    trib_buf_clear(&event->bytes);
    trib_blob_unref(event->model);
    trib_free(event->reason);
}

void sim_event_free(struct sim_event *event)
{
    sim_event_clear(event);
    trib_free(event);
}

uint64_t sim_schedule_placed(struct sim *sim, int64_t time_us, const struct sim_event *event)
{
    uint64_t order = 0;
    struct sim_event *made = trib_malloc(sizeof *made);
    if (made) {
        *made = *event;
    }
    if (!made || trib_event_heap_push(&sim->heap, time_us, made, &order) != TRIB_OK) {
        struct sim_event lost = *event;
        sim_event_clear(&lost);
        trib_free(made);
        sim_fail(sim, TRIB_NO_MEMORY);
    }
    return order;
}

void sim_schedule(struct sim *sim, int64_t time_us, const struct sim_event *event)
{
    (void)sim_schedule_placed(sim, time_us, event);
}

int64_t sim_us(double seconds)
{
    return seconds >= 1e9 ? (int64_t)1e15 : seconds > 0 ? (int64_t)(seconds * 1e6) : 0;
}
