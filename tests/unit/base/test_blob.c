/* Reference-counted bytes, shared between threads. */
#include "base/blob.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <pthread.h>
#include <string.h>

START_TEST(a_blob_holds_bytes)
{
    struct trib_blob *blob = trib_blob_new(1000);
    ck_assert_ptr_nonnull(blob);
    ck_assert_uint_eq(trib_blob_len(blob), 1000);
    ck_assert_uint_eq((uintptr_t)trib_blob_data(blob) % 64, 0);
    memset(trib_blob_fill(blob), 7, 1000);
    ck_assert_uint_eq(trib_blob_data(blob)[999], 7);
    ck_assert_ptr_eq(trib_blob_ref(blob), blob);
    trib_blob_unref(blob);
    ck_assert_uint_eq(trib_blob_data(blob)[0], 7);
    trib_blob_unref(blob);
}
END_TEST

START_TEST(copies_and_adoptions)
{
    struct trib_blob *copy = trib_blob_copy("delta", 5);
    ck_assert_mem_eq(trib_blob_data(copy), "delta", 5);
    trib_blob_unref(copy);
    struct trib_blob *empty = trib_blob_copy(NULL, 0);
    ck_assert_uint_eq(trib_blob_len(empty), 0);
    trib_blob_unref(empty);
    char *bytes = trib_strdup("round");
    struct trib_blob *adopted = trib_blob_adopt(bytes, 5);
    ck_assert_ptr_eq(trib_blob_data(adopted), bytes);
    trib_blob_unref(adopted);
    ck_assert_ptr_null(trib_blob_ref(NULL));
    trib_blob_unref(NULL);
}
END_TEST

START_TEST(short_memory_gives_null)
{
    ck_assert_ptr_null(trib_blob_new(SIZE_MAX));
    char *bytes = trib_strdup("kept");
    fail_memory_after(0, true);
    ck_assert_ptr_null(trib_blob_new(1));
    ck_assert_ptr_null(trib_blob_adopt(bytes, 4));
    fail_memory_after(-1, false);
    ck_assert_str_eq(bytes, "kept");
    trib_free(bytes);
}
END_TEST

static void *use_and_drop(void *argument)
{
    struct trib_blob *blob = argument;
    uintptr_t sum = 0;
    for (int i = 0; i < 2000; i++) {
        struct trib_blob *mine = trib_blob_ref(blob);
        sum += trib_blob_data(mine)[i % 64];
        trib_blob_unref(mine);
    }
    trib_blob_unref(blob);
    return (void *)sum;
}

START_TEST(threads_share_a_blob)
{
    enum { THREADS = 4 };
    struct trib_blob *blob = trib_blob_new(64);
    memset(trib_blob_fill(blob), 1, 64);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_and_drop, trib_blob_ref(blob)), 0);
    }
    trib_blob_unref(blob); /* the last of the threads frees it */
    for (int i = 0; i < THREADS; i++) {
        void *sum = NULL;
        pthread_join(threads[i], &sum);
        ck_assert_uint_eq((uintptr_t)sum, 2000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blob");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_blob_holds_bytes);
    tcase_add_test(tests, copies_and_adoptions);
    tcase_add_test(tests, short_memory_gives_null);
    tcase_add_test(tests, threads_share_a_blob);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
