/* Completion queues, each driven by one thread of its own. A call belongs to one queue for life, so the completions of
 * one call are handled one after the other without a lock around its events. */
#ifndef TRIB_NET_QUEUE_H
#define TRIB_NET_QUEUE_H

#include "base/status.h"

#include <grpc/grpc.h>

#include <pthread.h>
#include <stdatomic.h>

/* A tag is what gRPC carries through a queue. `done` runs on the queue's thread. */
struct trib_net_tag {
    _Atomic(void (*)(struct trib_net_tag *tag, bool ok)) done;
};
/* A tag is set before it is given to gRPC, and after everything that `done` reads. gRPC's own locks order the two
 * threads; release and acquire say so in terms that the compiler and the race detector can see. */
static inline void trib_net_tag_set(struct trib_net_tag *tag, void (*done)(struct trib_net_tag *tag, bool ok))
{
    atomic_store_explicit(&tag->done, done, memory_order_release);
}

/* A tick is something to do every now and then on a queue's thread. */
enum { TRIB_NET_TICK_MS = 250 };
struct trib_net_tick {
    void (*run)(void *context, int64_t now_ms);
    void *context;
};

struct trib_net_queue {
    grpc_completion_queue *transport;
    struct trib_net_tick tick; /* run NULL: nothing */
    pthread_t thread;
};

struct trib_net_queues {
    struct trib_net_queue *items;
    int n;
};

/* Create n >= 1 queues and start their threads, with every signal blocked in them. tick: of the first one, every
 * TRIB_NET_TICK_MS; NULL = none. */
TRIB_MUST_CHECK enum trib_status trib_net_queues_start(struct trib_net_queues *queues, int n,
                                                       const struct trib_net_tick *tick, struct trib_error *error);
/* Shut down, run what is still in the queues, join the threads. Nothing may start a batch from here on: gRPC aborts the
 * process when a batch meets a queue that was shut down. A zeroed struct is allowed. */
void trib_net_queues_stop(struct trib_net_queues *queues);
/* Whether the calling thread is one of these threads; to wait for an event there would wait forever. */
bool trib_net_on_queue_thread(void);

#endif
