/* Checked allocation and the switch that makes it fail. */
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <string.h>

START_TEST(sizes_are_checked)
{
    size_t result = 77;
    ck_assert(!trib_size_mul(SIZE_MAX / 2, 3, &result));
    ck_assert(!trib_size_add(SIZE_MAX, 1, &result));
    ck_assert_uint_eq(result, 77);
    ck_assert(trib_size_mul(6, 7, &result));
    ck_assert_uint_eq(result, 42);
    ck_assert(trib_size_add(40, 3, &result));
    ck_assert_uint_eq(result, 43);
    ck_assert_ptr_null(trib_malloc(SIZE_MAX));
    ck_assert_ptr_null(trib_calloc(SIZE_MAX / 2, 4));
    ck_assert_ptr_null(trib_malloc_aligned(SIZE_MAX, 1));
    ck_assert_ptr_null(trib_malloc_aligned(SIZE_MAX / 8, 16));
}
END_TEST

START_TEST(size_zero_gives_a_pointer)
{
    void *blocks[] = {trib_malloc(0), trib_calloc(0, 8), trib_realloc_array(NULL, 0, 4), trib_malloc_aligned(0, 4)};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        ck_assert_ptr_nonnull(blocks[i]);
        trib_free(blocks[i]);
    }
    trib_free(NULL);
}
END_TEST

START_TEST(aligned_blocks_are_aligned)
{
    for (size_t n = 1; n < 400; n += 13) {
        uint8_t *block = trib_malloc_aligned(n, 3);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq((uintptr_t)block % 64, 0);
        memset(block, 0xa5, 3 * n);
        trib_free(block);
    }
}
END_TEST

START_TEST(a_failed_realloc_leaves_the_old_block)
{
    int *numbers = trib_realloc_array(NULL, 4, sizeof *numbers);
    ck_assert_ptr_nonnull(numbers);
    numbers[3] = 9;
    ck_assert_ptr_null(trib_realloc_array(numbers, SIZE_MAX / 2, sizeof *numbers));
    ck_assert_int_eq(numbers[3], 9);
    trib_free(numbers);
}
END_TEST

START_TEST(strings_are_copied)
{
    char *all = trib_strdup("river");
    char *part = trib_strndup("river", 3);
    char *whole = trib_strndup("river", 30);
    char *made = trib_asprintf("%s-%d", "boat", 7);
    ck_assert_str_eq(all, "river");
    ck_assert_str_eq(part, "riv");
    ck_assert_str_eq(whole, "river");
    ck_assert_str_eq(made, "boat-7");
    trib_free(all);
    trib_free(part);
    trib_free(whole);
    trib_free(made);
}
END_TEST

START_TEST(the_nth_allocation_fails)
{
    fail_memory_after(2, false);
    void *blocks[4] = {trib_malloc(1), trib_calloc(1, 1), trib_strdup("x"), trib_malloc_aligned(1, 1)};
    ck_assert_int_eq(fail_memory_after(-1, false), 4);
    ck_assert_ptr_nonnull(blocks[0]);
    ck_assert_ptr_nonnull(blocks[1]);
    ck_assert_ptr_null(blocks[2]);
    ck_assert_ptr_nonnull(blocks[3]);
    for (int i = 0; i < 4; i++) {
        trib_free(blocks[i]);
    }
}
END_TEST

START_TEST(a_sticky_failure_stays)
{
    fail_memory_after(1, true);
    void *first = trib_malloc(1);
    ck_assert_ptr_nonnull(first);
    for (int i = 0; i < 5; i++) {
        ck_assert_ptr_null(trib_malloc(1));
        ck_assert_ptr_null(trib_realloc_array(first, 2, 1));
    }
    fail_memory_after(-1, false);
    void *second = trib_malloc(1);
    ck_assert_ptr_nonnull(second);
    trib_free(first);
    trib_free(second);
}
END_TEST

START_TEST(a_tuned_process_still_allocates)
{
    trib_mem_tune_daemon();
    for (int i = 0; i < 8; i++) {
        char *chunk = trib_malloc(1 << 20);
        ck_assert_ptr_nonnull(chunk);
        memset(chunk, i, 1 << 20);
        trib_free(chunk);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mem");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, sizes_are_checked);
    tcase_add_test(tests, size_zero_gives_a_pointer);
    tcase_add_test(tests, aligned_blocks_are_aligned);
    tcase_add_test(tests, a_failed_realloc_leaves_the_old_block);
    tcase_add_test(tests, strings_are_copied);
    tcase_add_test(tests, the_nth_allocation_fails);
    tcase_add_test(tests, a_sticky_failure_stays);
    tcase_add_test(tests, a_tuned_process_still_allocates);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
