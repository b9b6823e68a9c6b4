/* The threads that drive gRPC: each takes completions from its own queue and runs their tags. */
#include "queue.h"

#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static _Thread_local bool on_queue_thread;

bool trib_net_on_queue_thread(void)
{
    return on_queue_thread;
}

static void *drive(void *argument)
{
    grpc_completion_queue *transport = argument;
    on_queue_thread = true;
    for (;;) {
        grpc_event event = grpc_completion_queue_next(transport, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct trib_net_tag *tag = event.tag;
            void (*done)(struct trib_net_tag *, bool) = atomic_load_explicit(&tag->done, memory_order_acquire);
            done(tag, event.success != 0);
        }
    }
}

static int start_one(struct trib_net_queue *queue, int number)
{
    sigset_t all;
    sigset_t before;
    queue->transport = grpc_completion_queue_create_for_next(NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&queue->thread, NULL, drive, queue->transport);
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

enum trib_status trib_net_queues_start(struct trib_net_queues *queues, int n, struct trib_error *error)
{
    struct trib_net_queues made = {.items = trib_calloc((size_t)n, sizeof *made.items), .n = 0};
    if (made.items == NULL) {
        return trib_fail_no_memory(error);
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
