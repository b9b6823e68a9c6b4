/* The heap of events: by time, and within a time first in, first out. */
#include "base/rng.h"
#include "sim/event_heap.h"
#include "test_main.h"

enum { EVENTS = 5000 };

START_TEST(events_come_in_order)
{
    static int names[EVENTS];
    static int64_t times[EVENTS];
    struct trib_event_heap heap = {0};
    struct trib_rng rng = trib_rng_init(3, "heap", 0, 0);
    bool ordered = true;
    for (int i = 0; i < EVENTS; i++) {
        names[i] = i;
        times[i] = (int64_t)trib_rng_below(&rng, 300);
        ck_assert_int_eq(trib_event_heap_push(&heap, times[i], &names[i], NULL), TRIB_OK);
    }
    int last = -1;
    for (int i = 0; i < EVENTS; i++) {
        int64_t time = trib_event_heap_top(&heap)->time;
        const int *name = trib_event_heap_pop(&heap);
        ordered = ordered && times[*name] == time;
        ordered = ordered && (last < 0 || times[last] < time || (times[last] == time && last < *name));
        last = *name;
    }
    ck_assert(ordered);
    ck_assert_ptr_null(trib_event_heap_pop(&heap));
    ck_assert_ptr_null(trib_event_heap_top(&heap));
    trib_event_heap_clear(&heap);
}
END_TEST

START_TEST(pushes_and_pops_mix)
{
    static int names[EVENTS];
    struct trib_event_heap heap = {0};
    struct trib_rng rng = trib_rng_init(4, "heap", 0, 0);
    int64_t now = 0;
    int pushed = 0, popped = 0;
    bool ordered = true;
    while (popped < EVENTS) {
        if (pushed < EVENTS && (heap.n == 0 || trib_rng_below(&rng, 2) == 0)) {
            int64_t time = now + (int64_t)trib_rng_below(&rng, 50); /* never in the past, as in a simulation */
            ck_assert_int_eq(trib_event_heap_push(&heap, time, &names[pushed++], NULL), TRIB_OK);
        } else {
            int64_t time = trib_event_heap_top(&heap)->time;
            ordered = ordered && time >= now && trib_event_heap_pop(&heap);
            now = time;
            popped++;
        }
    }
    ck_assert(ordered);
    trib_event_heap_clear(&heap);
}
END_TEST

START_TEST(places_can_be_given)
{
    int a = 0, b = 0, c = 0;
    uint64_t order = 0;
    struct trib_event_heap heap = {0};
    ck_assert_int_eq(trib_event_heap_push_at(&heap, 5, 9, &a), TRIB_OK);
    ck_assert_int_eq(trib_event_heap_push_at(&heap, 5, 2, &b), TRIB_OK);
    ck_assert_int_eq(trib_event_heap_push(&heap, 4, &c, &order), TRIB_OK);
    ck_assert_uint_eq(order, 0);
    ck_assert_ptr_eq(trib_event_heap_pop(&heap), &c);
    ck_assert_ptr_eq(trib_event_heap_pop(&heap), &b);
    ck_assert_ptr_eq(trib_event_heap_pop(&heap), &a);
    trib_event_heap_clear(&heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_heap");
    TCase *tests = tcase_create("event_heap");
    tcase_add_test(tests, events_come_in_order);
    tcase_add_test(tests, pushes_and_pops_mix);
    tcase_add_test(tests, places_can_be_given);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
