/* The heap against a list that is searched: what is first after every change, and that memory that is short leaves it
 * whole. */
#include "base/heap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "fail_memory.h"
#include "test_main.h"

#include <inttypes.h>

enum { IDS = 64, STEPS = 20000 };

static struct trib_heap heap;

static void set_up(void)
{
    heap = (struct trib_heap){0};
}

static void clean_up(void)
{
    trib_heap_clear(&heap);
}

START_TEST(the_smallest_is_first)
{
    struct trib_heap_entry first = {.id = 99};
    ck_assert(!trib_heap_first(&heap, &first));
    ck_assert_uint_eq(first.id, 99);
    ck_assert(!trib_heap_has(&heap, 3));
    trib_heap_remove(&heap, 3);
    ck_assert_int_eq(trib_heap_reserve(&heap, 10, 4), TRIB_OK);
    trib_heap_put(&heap, 3, 30);
    trib_heap_put(&heap, 9, -20);
    trib_heap_put(&heap, 1, INT64_MAX);
    trib_heap_put(&heap, 0, INT64_MIN);
    static const uint32_t order[] = {0, 9, 3, 1};
    for (size_t i = 0; i < 4; i++) {
        ck_assert(trib_heap_first(&heap, &first));
        ck_assert_uint_eq(first.id, order[i]);
        trib_heap_remove(&heap, first.id);
        ck_assert(!trib_heap_has(&heap, first.id));
    }
    ck_assert(!trib_heap_first(&heap, &first));
}
END_TEST

START_TEST(equal_keys_go_by_number)
{
    static const uint32_t in[] = {5, 2, 7, 0, 6, 1, 4, 3};
    ck_assert_int_eq(trib_heap_reserve(&heap, 8, 8), TRIB_OK);
    for (size_t i = 0; i < 8; i++) {
        trib_heap_put(&heap, in[i], 1);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct trib_heap_entry first;
        ck_assert(trib_heap_first(&heap, &first));
        ck_assert_uint_eq(first.id, i);
        trib_heap_remove(&heap, i);
    }
}
END_TEST

/* keys[] is what is in it, by number. */
static void check_first(const int64_t *keys, const bool *in)
{
    uint32_t best = IDS;
    size_t n = 0;
    for (uint32_t i = 0; i < IDS; i++) {
        ck_assert_int_eq(trib_heap_has(&heap, i), in[i]);
        best = in[i] && (best == IDS || keys[i] < keys[best]) ? i : best;
        n += in[i];
    }
    struct trib_heap_entry first;
    bool any = trib_heap_first(&heap, &first);
    ck_assert(any == (n > 0) && heap.n == n);
    if (any) {
        ck_assert_uint_eq(first.id, best);
        ck_assert_int_eq(first.key, keys[best]);
    }
}

START_TEST(it_is_what_a_list_would_be)
{
    struct trib_rng rng = trib_rng_init(7, "heap", 0, 0);
    int64_t keys[IDS] = {0};
    bool in[IDS] = {false};
    for (int step = 0; step < STEPS; step++) {
        uint32_t id = (uint32_t)trib_rng_below(&rng, IDS);
        ck_assert_int_eq(trib_heap_reserve(&heap, id + 1, heap.n + 1), TRIB_OK);
        if (trib_rng_below(&rng, 3) == 0) {
            trib_heap_remove(&heap, id);
            in[id] = false;
        } else {
            keys[id] = (int64_t)trib_rng_below(&rng, 40) - 20;
            trib_heap_put(&heap, id, keys[id]);
            in[id] = true;
        }
        if (step % 16 == 0) {
            check_first(keys, in);
        }
    }
}
END_TEST

START_TEST(short_memory_leaves_it_whole)
{
    struct trib_heap_entry first;
    ck_assert_int_eq(trib_heap_reserve(&heap, 2, 2), TRIB_OK);
    trib_heap_put(&heap, 1, 5);
    for (int nth = 0; nth < 2; nth++) {
        (void)fail_memory_after(nth, false);
        ck_assert_int_eq(trib_heap_reserve(&heap, 1000, 1000), TRIB_NO_MEMORY);
        (void)fail_memory_after(-1, false);
        ck_assert(trib_heap_first(&heap, &first) && first.id == 1 && first.key == 5);
    }
    ck_assert_int_eq(trib_heap_reserve(&heap, 1000, 1000), TRIB_OK);
    trib_heap_put(&heap, 999, 4);
    ck_assert(trib_heap_first(&heap, &first) && first.id == 999);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *tests = tcase_create("heap");
    tcase_add_checked_fixture(tests, set_up, clean_up);
    tcase_add_test(tests, the_smallest_is_first);
    tcase_add_test(tests, equal_keys_go_by_number);
    tcase_add_test(tests, it_is_what_a_list_would_be);
    tcase_add_test(tests, short_memory_leaves_it_whole);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
