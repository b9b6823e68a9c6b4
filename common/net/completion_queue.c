/* The threads that drive gRPC: each takes completions from its own queue and runs their tags. */
#include "queue.h"

#include "base/clock.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static _Thread_local bool on_queue_thread;

bool trib_net_on_queue_thread(void)
{
    return on_queue_thread;
}

static gpr_timespec wait_of(const struct trib_net_queue *queue, int64_t due_ms)
{
    if (!queue->tick.run) {
        return gpr_inf_future(GPR_CLOCK_REALTIME);
    }
    int64_t wait_ms = due_ms - trib_clock_ms();
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms > 0 ? wait_ms : 0, GPR_TIMESPAN));
}

static int64_t tick_if_due(const struct trib_net_queue *queue, int64_t due_ms)
{
    int64_t now_ms = queue->tick.run ? trib_clock_ms() : 0;
    if (!queue->tick.run || now_ms < due_ms) {
        return due_ms;
    }
    queue->tick.run(queue->tick.context, now_ms);
    return now_ms + TRIB_NET_TICK_MS;
}

static void *drive(void *argument)
{
    const struct trib_net_queue *queue = argument;
    int64_t due_ms = trib_clock_ms() + TRIB_NET_TICK_MS;
    on_queue_thread = true;
    for (;;) {
        grpc_event event = grpc_completion_queue_next(queue->transport, wait_of(queue, due_ms), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct trib_net_tag *tag = event.tag;
            void (*done)(struct trib_net_tag *, bool) = atomic_load_explicit(&tag->done, memory_order_acquire);
            done(tag, event.success != 0);
        }
        due_ms = tick_if_due(queue, due_ms);
    }
}

static int start_one(struct trib_net_queue *queue, int number)
{
    sigset_t all;
    sigset_t before;
    queue->transport = grpc_completion_queue_create_for_next(NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&queue->thread, NULL, drive, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        grpc_completion_queue_shutdown(queue->transport);
        grpc_completion_queue_destroy(queue->transport);
        return failure;
    }
    char name[16];
    snprintf(name, sizeof name, "trib-net-%d", number);
    pthread_setname_np(queue->thread, name);
    return 0;
}

enum trib_status trib_net_queues_start(struct trib_net_queues *queues, int n, const struct trib_net_tick *tick,
                                       struct trib_error *error)
{
    struct trib_net_queues made = {.items = trib_calloc((size_t)n, sizeof *made.items), .n = 0};
    if (!made.items) {
        return trib_fail_no_memory(error);
    }
    if (tick) {
        made.items[0].tick = *tick;
    }
    while (made.n < n) {
        int failure = start_one(&made.items[made.n], made.n);
        if (failure != 0) {
            trib_net_queues_stop(&made);
            return trib_fail_errno(error, failure, "cannot start a network thread");
        }
        made.n++;
    }
    *queues = made;
    return TRIB_OK;
}

void trib_net_queues_stop(struct trib_net_queues *queues)
{
    for (int i = 0; i < queues->n; i++) {
        grpc_completion_queue_shutdown(queues->items[i].transport);
    }
    for (int i = 0; i < queues->n; i++) {
        pthread_join(queues->items[i].thread, NULL);
        grpc_completion_queue_destroy(queues->items[i].transport);
    }
    trib_free(queues->items);
    memset(queues, 0, sizeof *queues);
}
