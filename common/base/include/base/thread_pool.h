/* A pool for arithmetic: run `n` independent parts of one job and wait. Parts are numbered by the caller's own
 * fixed partition, so that no result depends on how many threads there are.
 *
 * Several threads may run jobs on one pool at a time (jobs queue up); a part must not start a job on its own pool. */
#ifndef TRIB_BASE_THREAD_POOL_H
#define TRIB_BASE_THREAD_POOL_H

#include "base/status.h"

#include <stddef.h>

struct trib_thread_pool; /* opaque */

/* threads >= 1 counts the calling thread: 1 starts none and runs everything in place. 0 = one per online core. */
TRIB_MUST_CHECK enum trib_status trib_thread_pool_new(int threads, struct trib_thread_pool **pool,
                                                      struct trib_error *error);
void trib_thread_pool_free(struct trib_thread_pool *pool);
int trib_thread_pool_threads(const struct trib_thread_pool *pool);
/* Call work(context, part, worker) for part = 0..n-1, in any order; worker < threads names the running thread, for
 * per-thread scratch. Returns when all parts are done. A NULL pool runs in place. Waiting threads spin briefly
 * (about 20 us) before they sleep: jobs come in quick succession within a training step. */
void trib_thread_pool_run(struct trib_thread_pool *pool, size_t n, void (*work)(void *context, size_t part, int worker),
                          void *context);

#endif
