/* The budget of a client's disk: figures and refusals, and threads that take and give at the same time. */
#include "client/disk_budget.h"
#include "test_main.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LIMIT = 1000, SHARE = 300, TURNS = 4000 };

static struct trib_disk_budget *budget;
static struct trib_error error;

static void start(void)
{
    ck_assert_int_eq(trib_disk_budget_new(LIMIT, &budget, &error), TRIB_OK);
}

static void stop(void)
{
    trib_disk_budget_free(budget);
}

/* How many bytes this use could take at most, found by asking; what it takes is as it was. */
static uint64_t room(enum trib_disk_use use, uint64_t taken)
{
    uint64_t least = 0, most = 2 * (uint64_t)LIMIT;
    while (least < most) {
        uint64_t middle = (least + most + 1) / 2;
        if (trib_disk_budget_set(budget, use, middle, &error) == TRIB_OK) {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    trib_disk_budget_note(budget, use, taken);
    return least;
}

START_TEST(what_is_taken_is_missing_to_others)
{
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), LIMIT);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_DOWNLOAD, 600, &error), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_DOWNLOAD, 100, &error), TRIB_OK);
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), LIMIT - 700);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_DOWNLOAD, 301, &error), TRIB_LIMIT);
    ck_assert_str_eq(error.message, "the download takes 1.0 kB; of the owner's limits.disk of 1.0 kB, 0 B are taken");
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), LIMIT - 700);
    trib_disk_budget_give(budget, TRIB_DISK_DOWNLOAD, 200);
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), LIMIT - 500);
    trib_disk_budget_give(budget, TRIB_DISK_DOWNLOAD, 9999); /* no more than all */
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), LIMIT);
}
END_TEST

START_TEST(an_exchange_is_all_or_nothing)
{
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_DOWNLOAD, 600, &error), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_FEEDBACK, 300, &error), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_exchange(budget, TRIB_DISK_MODEL, 701, TRIB_DISK_DOWNLOAD, &error), TRIB_LIMIT);
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), 100);
    ck_assert_int_eq(trib_disk_budget_exchange(budget, TRIB_DISK_MODEL, 700, TRIB_DISK_DOWNLOAD, &error), TRIB_OK);
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), 0);
    ck_assert_uint_eq(room(TRIB_DISK_DOWNLOAD, 0), 0);
    trib_disk_budget_note(budget, TRIB_DISK_MODEL, 0);
    ck_assert_uint_eq(room(TRIB_DISK_UPDATE, 0), 700);
}
END_TEST

/* ---- threads ---- */

static _Atomic(int64_t) held; /* by all threads, of what was allowed; counted up after taking, down before giving */
static _Atomic(int) overdrawn, granted, refused;

static void *take_and_give(void *context)
{
    enum trib_disk_use use = *(const enum trib_disk_use *)context;
    for (int i = 0; i < TURNS; i++) {
        struct trib_error reason;
        if (trib_disk_budget_take(budget, use, SHARE, &reason) != TRIB_OK) {
            atomic_fetch_add(&refused, 1);
            continue;
        }
        atomic_fetch_add(&granted, 1);
        if (atomic_fetch_add(&held, SHARE) + SHARE > LIMIT) {
            atomic_fetch_add(&overdrawn, 1);
        }
        atomic_fetch_sub(&held, SHARE);
        trib_disk_budget_give(budget, use, SHARE);
    }
    return NULL;
}

static void *set_and_exchange(void *context)
{
    (void)context;
    for (int i = 0; i < TURNS; i++) {
        struct trib_error reason;
        if (trib_disk_budget_set(budget, TRIB_DISK_DOWNLOAD, SHARE, &reason) == TRIB_OK &&
            trib_disk_budget_exchange(budget, TRIB_DISK_MODEL, SHARE, TRIB_DISK_DOWNLOAD, &reason) != TRIB_OK) {
            atomic_fetch_add(&overdrawn, 1); /* as much for as much always goes */
        }
        trib_disk_budget_note(budget, TRIB_DISK_DOWNLOAD, 0);
        trib_disk_budget_note(budget, TRIB_DISK_MODEL, 0);
    }
    return NULL;
}

/* Two threads share a use, as a download and the trainer do: no addition may be lost. */
START_TEST(threads_take_and_give)
{
    static const enum trib_disk_use uses[] = {TRIB_DISK_UPDATE, TRIB_DISK_UPDATE, TRIB_DISK_FEEDBACK,
                                              TRIB_DISK_FEEDBACK};
    enum { THREADS = sizeof uses / sizeof uses[0] };
    pthread_t threads[THREADS + 1];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, (void *)(uintptr_t)&uses[i]), 0);
    }
    ck_assert_int_eq(pthread_create(&threads[THREADS], NULL, set_and_exchange, NULL), 0);
    for (int i = 0; i <= THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_int_eq(overdrawn, 0);
    ck_assert_int_eq(granted + refused, THREADS * TURNS);
    ck_assert_int_gt(granted, 0);
    ck_assert_uint_eq(room(TRIB_DISK_MODEL, 0), LIMIT); /* nothing is left over, nothing was given twice */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk_budget");
    TCase *tests = tcase_create("disk_budget");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, what_is_taken_is_missing_to_others);
    tcase_add_test(tests, an_exchange_is_all_or_nothing);
    tcase_add_test(tests, threads_take_and_give);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
