/* The pool: every part once, whichever the number of threads, callers and parts. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread_pool.h"
#include "fail_memory.h"
#include "test_main.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { MOST_PARTS = 200 };

struct tally {
    int done[MOST_PARTS]; /* plain: the pool itself must order the parts before the caller's return */
    int threads;
    atomic_int wrong_worker;
    atomic_int *busy; /* per worker: no two threads may have one worker's number at a time */
};

static void count_part(void *context, size_t part, int worker)
{
    struct tally *tally = context;
    if (worker < 0 || worker >= tally->threads || atomic_fetch_add(&tally->busy[worker], 1) != 0) {
        atomic_fetch_add(&tally->wrong_worker, 1);
    }
    tally->done[part]++;
    atomic_fetch_sub(&tally->busy[worker], 1);
}

static void run_once(struct trib_thread_pool *pool, atomic_int *busy, size_t n)
{
    struct tally tally = {.threads = trib_thread_pool_threads(pool), .busy = busy};
    trib_thread_pool_run(pool, n, count_part, &tally);
    ck_assert_int_eq(tally.wrong_worker, 0);
    for (size_t i = 0; i < MOST_PARTS; i++) {
        ck_assert_int_eq(tally.done[i], i < n ? 1 : 0);
    }
}

START_TEST(every_part_runs_once)
{
    atomic_int busy[8] = {0};
    for (int threads = 1; threads <= 8; threads++) {
        struct trib_thread_pool *pool = NULL;
        ck_assert_int_eq(trib_thread_pool_new(threads, &pool, NULL), TRIB_OK);
        ck_assert_int_eq(trib_thread_pool_threads(pool), threads);
        for (int repeat = 0; repeat < 50; repeat++) {
            run_once(pool, busy, (size_t)repeat * 4);
            run_once(pool, busy, (size_t)repeat % 3);
        }
        trib_thread_pool_free(pool);
    }
}
END_TEST

/* Not a wait for anything: time goes by. */
static void pass_time(int64_t ns)
{
    for (int64_t until = trib_clock_ns() + ns; trib_clock_ns() < until;) {
        sched_yield();
    }
}

START_TEST(sleeping_workers_wake)
{
    struct trib_thread_pool *pool = NULL;
    atomic_int busy[3] = {0};
    ck_assert_int_eq(trib_thread_pool_new(3, &pool, NULL), TRIB_OK);
    for (int i = 0; i < 20; i++) {
        pass_time(500000); /* past the workers' spinning */
        run_once(pool, busy, 50);
    }
    trib_thread_pool_free(pool);
}
END_TEST

/* Two parts that wait for each other prove that a second thread takes part. */
struct meeting {
    atomic_int arrived;
    atomic_int workers[2];
};

static void meet(void *context, size_t part, int worker)
{
    struct meeting *meeting = context;
    atomic_store(&meeting->workers[part], worker);
    atomic_fetch_add(&meeting->arrived, 1);
    while (atomic_load(&meeting->arrived) < 2) {
        sched_yield();
    }
}

START_TEST(parts_run_in_parallel)
{
    struct trib_thread_pool *pool = NULL;
    ck_assert_int_eq(trib_thread_pool_new(2, &pool, NULL), TRIB_OK);
    for (int i = 0; i < 50; i++) {
        struct meeting meeting = {0};
        trib_thread_pool_run(pool, 2, meet, &meeting);
        ck_assert_int_ne(meeting.workers[0], meeting.workers[1]);
    }
    trib_thread_pool_free(pool);
}
END_TEST

struct caller {
    struct trib_thread_pool *pool;
    atomic_int *busy;
};

static void *call_often(void *argument)
{
    const struct caller *caller = argument;
    for (int i = 0; i < 200; i++) {
        run_once(caller->pool, caller->busy, (size_t)(i % 7));
    }
    return NULL;
}

START_TEST(callers_queue)
{
    struct trib_thread_pool *pool = NULL;
    atomic_int busy[3] = {0};
    ck_assert_int_eq(trib_thread_pool_new(3, &pool, NULL), TRIB_OK);
    pthread_t threads[4];
    struct caller caller = {.pool = pool, .busy = busy};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_often, &caller), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    trib_thread_pool_free(pool);
}
END_TEST

START_TEST(no_pool_runs_in_place)
{
    atomic_int busy[1] = {0};
    ck_assert_int_eq(trib_thread_pool_threads(NULL), 1);
    run_once(NULL, busy, 17);
    trib_thread_pool_free(NULL);
}
END_TEST

START_TEST(thread_counts_are_checked)
{
    struct trib_error error;
    struct trib_thread_pool *pool = NULL;
    ck_assert_int_eq(trib_thread_pool_new(-1, &pool, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_thread_pool_new(100000, &pool, &error), TRIB_INVALID);
    ck_assert_ptr_null(pool);
    for (int64_t nth = 0; nth < 2; nth++) {
        fail_memory_after(nth, false);
        ck_assert_int_eq(trib_thread_pool_new(2, &pool, &error), TRIB_NO_MEMORY);
    }
    fail_memory_after(-1, false);
    ck_assert_ptr_null(pool);
    ck_assert_int_eq(trib_thread_pool_new(0, &pool, &error), TRIB_OK);
    ck_assert_int_ge(trib_thread_pool_threads(pool), 1);
    trib_thread_pool_free(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread_pool");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, every_part_runs_once);
    tcase_add_test(tests, sleeping_workers_wake);
    tcase_add_test(tests, parts_run_in_parallel);
    tcase_add_test(tests, callers_queue);
    tcase_add_test(tests, no_pool_runs_in_place);
    tcase_add_test(tests, thread_counts_are_checked);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
