/* The window of deltas: what it keeps, what falls out, and how far back it reaches. */
#include "../../../server/release/delta_window.h"

#include "test_main.h"

#include <string.h>

static struct trib_error error;

/* The delta from version `from`, named by it. */
static struct trib_delta delta_of(uint64_t from, size_t len)
{
    struct trib_delta delta = {.from_version = from, .blob = trib_blob_new(len)};
    ck_assert_ptr_nonnull(delta.blob);
    memset(delta.sha256, (int)from + 1, sizeof delta.sha256);
    return delta;
}

static void push(struct trib_delta_window *window, uint64_t from, size_t len, uint64_t whole_len)
{
    const struct trib_delta delta = delta_of(from, len);
    trib_delta_window_push(window, &delta, whole_len);
}

START_TEST(it_keeps_as_many_as_it_may)
{
    struct trib_delta_window versions;
    ck_assert_int_eq(trib_delta_window_init(&versions, 3, &error), TRIB_OK);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 0), 0);
    for (uint64_t from = 0; from < 5; from++) {
        push(&versions, from, 10, 1000);
    }
    ck_assert_uint_eq(versions.n, 3);
    ck_assert_uint_eq(versions.bytes, 30);
    ck_assert_uint_eq(versions.deltas[0].from_version, 2);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 1), 0);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 2), 3);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 4), 1);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 5), 0); /* the present version itself */
    ck_assert_uint_eq(trib_delta_window_since(&versions, 99), 0);
    trib_delta_window_clear(&versions);
    ck_assert_uint_eq(versions.n, 0);
}
END_TEST

START_TEST(a_chain_is_shorter_than_the_whole_model)
{
    struct trib_delta_window versions;
    ck_assert_int_eq(trib_delta_window_init(&versions, 64, &error), TRIB_OK);
    push(&versions, 0, 40, 100);
    push(&versions, 1, 40, 100);
    ck_assert_uint_eq(versions.n, 2);
    push(&versions, 2, 20, 100); /* 100 bytes: no gain any more */
    ck_assert_uint_eq(versions.n, 2);
    ck_assert_uint_eq(versions.bytes, 60);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 0), 0);
    push(&versions, 3, 100, 100); /* longer than all: not even one remains */
    ck_assert_uint_eq(versions.n, 0);
    push(&versions, 4, 99, 100);
    ck_assert_uint_eq(trib_delta_window_since(&versions, 4), 1);
    trib_delta_window_push(&versions, &(struct trib_delta){.from_version = 5}, 100); /* none: the chain is broken */
    ck_assert_uint_eq(versions.n, 0);
    ck_assert_uint_eq(versions.bytes, 0);
    trib_delta_window_clear(&versions);
}
END_TEST

START_TEST(a_blob_in_use_outlives_its_place)
{
    struct trib_delta_window versions;
    uint8_t name[TRIB_SHA256_LEN];
    ck_assert_int_eq(trib_delta_window_init(&versions, 1, &error), TRIB_OK);
    struct trib_delta delta = delta_of(6, 50);
    memcpy(name, delta.sha256, sizeof name);
    memset(trib_blob_fill(delta.blob), 9, 50);
    trib_delta_window_push(&versions, &delta, 100);
    struct trib_blob *held = trib_delta_window_find(&versions, name);
    ck_assert_ptr_eq(held, delta.blob);
    push(&versions, 7, 20, 100);
    ck_assert_ptr_null(trib_delta_window_find(&versions, name));
    ck_assert_uint_eq(trib_blob_data(held)[49], 9);
    trib_blob_unref(held);
    trib_delta_window_clear(&versions);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("versions");
    TCase *tcase = tcase_create("versions");
    tcase_add_test(tcase, it_keeps_as_many_as_it_may);
    tcase_add_test(tcase, a_chain_is_shorter_than_the_whole_model);
    tcase_add_test(tcase, a_blob_in_use_outlives_its_place);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
