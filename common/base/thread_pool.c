/* The pool. One job is open at a time; callers queue on a mutex. The caller works along as worker 0.
 *
 * One 64-bit word holds what everyone must agree on: the job's number, whether it is open, and how many workers are
 * inside. A worker enters by a compare-and-swap on that word, so it can never read the fields of a job that is over;
 * parts are handed out by a counter; the caller closes the job once the counter has run out and waits until nobody
 * is inside. A worker that wakes up late finds the job closed and costs nothing.
 *
 * Workers that find no job spin for a while, then sleep. Whoever changes the word looks for sleepers afterwards and
 * whoever goes to sleep announces it before looking at the word (both sequentially consistent), so no wake-up is
 * lost. */
#include "base/thread_pool.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

enum { CACHE_LINE = 64, MOST_THREADS = 1024, SPIN_NS = 20000, SPINS_PER_LOOK = 32 };

/* The word: bits 0..15 workers inside, bit 16 open, bit 17 stopping, bits 32..63 the job's number. */
static const uint64_t INSIDE_MASK = 0xffff;
static const uint64_t OPEN = (uint64_t)1 << 16;
static const uint64_t STOPPING = (uint64_t)1 << 17;
enum { NUMBER_SHIFT = 32 };

struct worker {
    struct trib_thread_pool *pool;
    pthread_t thread;
    int index; /* 1..threads-1 */
};

struct trib_thread_pool {
    _Alignas(CACHE_LINE) atomic_uint_fast64_t word;
    _Alignas(CACHE_LINE) atomic_size_t next; /* the first part that nobody has taken */
    /* The open job; written only while nobody is inside. */
    _Alignas(CACHE_LINE) void (*work)(void *context, size_t part, int worker);
    void *context;
    size_t n;

    _Alignas(CACHE_LINE) pthread_mutex_t turn; /* held by the caller whose job is open */
    pthread_mutex_t lock;                      /* for the two conditions only */
    pthread_cond_t opened;
    pthread_cond_t left;
    atomic_int sleepers; /* workers asleep, or about to be */
    atomic_bool caller_sleeping;
    bool spins; /* false where threads would only take each other's cores */
    int threads;
    struct worker *workers; /* threads - 1 of them */
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int online_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

static void take_parts(struct trib_thread_pool *pool, int worker)
{
    for (;;) {
        size_t part = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (part >= pool->n) {
            return;
        }
        pool->work(pool->context, part, worker);
    }
}

/* A job that this worker has not been in yet, or the end. */
static bool has_news(uint64_t word, uint32_t last)
{
    return (word & STOPPING) != 0 || ((word & OPEN) != 0 && (uint32_t)(word >> NUMBER_SHIFT) != last);
}

/* Wait for news: spinning first, then asleep. */
static uint64_t wait_for_news(struct trib_thread_pool *pool, uint32_t last)
{
    uint64_t word = atomic_load(&pool->word);
    if (pool->spins && !has_news(word, last)) {
        int64_t until = trib_clock_ns() + SPIN_NS;
        do {
            for (int i = 0; i < SPINS_PER_LOOK && !has_news(word, last); i++) {
                relax();
                word = atomic_load_explicit(&pool->word, memory_order_relaxed);
            }
        } while (!has_news(word, last) && trib_clock_ns() < until);
    }
    if (has_news(word, last)) {
        return word;
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_news(word = atomic_load(&pool->word), last)) {
        pthread_cond_wait(&pool->opened, &pool->lock);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
    return word;
}

static void leave(struct trib_thread_pool *pool)
{
    uint64_t before = atomic_fetch_sub(&pool->word, 1);
    if ((before & INSIDE_MASK) == 1 && (before & OPEN) == 0 && atomic_load(&pool->caller_sleeping)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->left);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void *worker_main(void *argument)
{
    const struct worker *self = argument;
    struct trib_thread_pool *pool = self->pool;
    uint32_t last = 0;
    for (;;) {
        uint64_t word = wait_for_news(pool, last);
        if ((word & STOPPING) != 0) {
            return NULL;
        }
        /* Enter, unless the job has been closed meanwhile. */
        while (has_news(word, last) && (word & STOPPING) == 0) {
            if (atomic_compare_exchange_weak(&pool->word, &word, word + 1)) {
                last = (uint32_t)(word >> NUMBER_SHIFT);
                take_parts(pool, self->index);
                leave(pool);
                break;
            }
        }
    }
}

/* Publish the job that stands in the fields, and wake as many workers as can help. */
static void open_job(struct trib_thread_pool *pool)
{
    uint32_t number = (uint32_t)(atomic_load_explicit(&pool->word, memory_order_relaxed) >> NUMBER_SHIFT) + 1;
    atomic_store(&pool->word, (uint64_t)number << NUMBER_SHIFT | OPEN);
    int sleepers = atomic_load(&pool->sleepers);
    if (sleepers == 0) {
        return;
    }
    size_t useful = pool->n - 1;
    pthread_mutex_lock(&pool->lock);
    if (useful >= (size_t)sleepers) {
        pthread_cond_broadcast(&pool->opened);
    } else {
        for (size_t i = 0; i < useful; i++) {
            pthread_cond_signal(&pool->opened);
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Let nobody else in, and wait for those inside. */
static void close_job(struct trib_thread_pool *pool)
{
    uint64_t word = atomic_fetch_and(&pool->word, ~OPEN);
    if (pool->spins && (word & INSIDE_MASK) != 0) {
        int64_t until = trib_clock_ns() + SPIN_NS;
        do {
            for (int i = 0; i < SPINS_PER_LOOK && (word & INSIDE_MASK) != 0; i++) {
                relax();
                word = atomic_load(&pool->word);
            }
        } while ((word & INSIDE_MASK) != 0 && trib_clock_ns() < until);
    }
    if ((word & INSIDE_MASK) == 0) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeping, true);
    while ((atomic_load(&pool->word) & INSIDE_MASK) != 0) {
        pthread_cond_wait(&pool->left, &pool->lock);
    }
    atomic_store(&pool->caller_sleeping, false);
    pthread_mutex_unlock(&pool->lock);
}

void trib_thread_pool_run(struct trib_thread_pool *pool, size_t n, void (*work)(void *context, size_t part, int worker),
                          void *context)
{
    if (n == 0) {
        return;
    }
    if (pool) {
        pthread_mutex_lock(&pool->turn);
    }
    if (!pool || pool->threads == 1 || n == 1) {
        for (size_t part = 0; part < n; part++) {
            work(context, part, 0);
        }
    } else {
        pool->work = work;
        pool->context = context;
        pool->n = n;
        atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
        open_job(pool);
        take_parts(pool, 0);
        close_job(pool);
    }
    if (pool) {
        pthread_mutex_unlock(&pool->turn);
    }
}

int trib_thread_pool_threads(const struct trib_thread_pool *pool)
{
    return !pool ? 1 : pool->threads;
}

/* Start the workers; those that did start are counted in `started`. Signals stay with the program's own threads. */
static int start_workers(struct trib_thread_pool *pool, int *started)
{
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    int errnum = 0;
    for (int i = 0; i < pool->threads - 1 && errnum == 0; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .index = i + 1};
        errnum = pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
        if (errnum == 0) {
            pthread_setname_np(pool->workers[i].thread, "trib-pool");
            *started = i + 1;
        }
    }
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    return errnum;
}

static void stop(struct trib_thread_pool *pool, int started)
{
    atomic_fetch_or(&pool->word, STOPPING);
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->opened);
    pthread_cond_destroy(&pool->left);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    trib_free(pool->workers);
    trib_free(pool);
}

enum trib_status trib_thread_pool_new(int threads, struct trib_thread_pool **pool, struct trib_error *error)
{
    if (threads < 0 || threads > MOST_THREADS) {
        return trib_fail(error, TRIB_INVALID, "%d threads: must be 0 (one per core) to %d", threads, MOST_THREADS);
    }
    int cores = online_cores();
    if (threads == 0) {
        threads = cores;
    }
    struct trib_thread_pool *fresh = trib_malloc_aligned(1, sizeof *fresh);
    struct worker *workers = trib_calloc((size_t)threads, sizeof *workers);
    if (!fresh || !workers) {
        trib_free(fresh);
        trib_free(workers);
        return trib_fail_no_memory(error);
    }
    *fresh = (struct trib_thread_pool){.spins = threads <= cores, .threads = threads, .workers = workers};
    pthread_mutex_init(&fresh->turn, NULL);
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->opened, NULL);
    pthread_cond_init(&fresh->left, NULL);
    int started = 0;
    int errnum = start_workers(fresh, &started);
    if (errnum != 0) {
        stop(fresh, started);
        return trib_fail(error, errnum == EAGAIN ? TRIB_LIMIT : TRIB_INTERNAL,
                         "only %d of %d pool threads could be started (error %d); lower the thread count", started + 1,
                         threads, errnum);
    }
    *pool = fresh;
    return TRIB_OK;
}

void trib_thread_pool_free(struct trib_thread_pool *pool)
{
    if (pool) {
        stop(pool, pool->threads - 1);
    }
}
