/* The hash map against a plain array. */
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 500 };
static int values[KEYS];

static const char *key_of(int i, char to[16])
{
    snprintf(to, 16, "client-%d", i);
    return to;
}

START_TEST(put_get_remove)
{
    struct trib_map *map = trib_map_new();
    int a = 1, b = 2;
    ck_assert_ptr_null(trib_map_get(map, "x"));
    ck_assert_ptr_null(trib_map_remove(map, "x"));
    ck_assert_int_eq(trib_map_put(map, "x", &a), TRIB_OK);
    ck_assert_int_eq(trib_map_put(map, "", &b), TRIB_OK);
    ck_assert_uint_eq(trib_map_count(map), 2);
    ck_assert_ptr_eq(trib_map_get(map, "x"), &a);
    ck_assert_ptr_eq(trib_map_get(map, ""), &b);
    ck_assert_int_eq(trib_map_put(map, "x", &b), TRIB_OK);
    ck_assert_uint_eq(trib_map_count(map), 2);
    ck_assert_int_eq(trib_map_put(map, "y", NULL), TRIB_INVALID);
    ck_assert_ptr_eq(trib_map_remove(map, "x"), &b);
    ck_assert_ptr_null(trib_map_get(map, "x"));
    ck_assert_uint_eq(trib_map_count(map), 1);
    trib_map_free(map);
    trib_map_free(NULL);
}
END_TEST

START_TEST(behaves_like_an_array)
{
    struct trib_map *map = trib_map_new();
    int *oracle[KEYS] = {NULL};
    size_t count = 0;
    char key[16];
    struct trib_rng rng = trib_rng_init(1, "map", 0, 0);
    for (int step = 0; step < 40000; step++) {
        int i = (int)trib_rng_below(&rng, KEYS);
        /* long phases of growth and of shrinking */
        bool put = trib_rng_below(&rng, 100) < (step / 5000 % 2 == 0 ? 70u : 30u);
        if (put) {
            int *value = &values[trib_rng_below(&rng, KEYS)];
            ck_assert_int_eq(trib_map_put(map, key_of(i, key), value), TRIB_OK);
            count += !oracle[i];
            oracle[i] = value;
        } else {
            ck_assert_ptr_eq(trib_map_remove(map, key_of(i, key)), oracle[i]);
            count -= oracle[i] ? 1 : 0;
            oracle[i] = NULL;
        }
        ck_assert_uint_eq(trib_map_count(map), count);
        int look = (int)trib_rng_below(&rng, KEYS);
        ck_assert_ptr_eq(trib_map_get(map, key_of(look, key)), oracle[look]);
    }
    for (int i = 0; i < KEYS; i++) {
        ck_assert_ptr_eq(trib_map_get(map, key_of(i, key)), oracle[i]);
    }
    trib_map_free(map);
}
END_TEST

START_TEST(order_depends_on_the_keys_alone)
{
    char key[16];
    struct trib_map *up = trib_map_new(), *down = trib_map_new();
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(trib_map_put(down, key_of(KEYS - 1 - i, key), &values[KEYS - 1 - i]), TRIB_OK);
        ck_assert_int_eq(trib_map_put(up, key_of(i, key), &values[i]), TRIB_OK);
    }
    /* another capacity, and a history of removals */
    for (int i = KEYS; i < 20 * KEYS; i++) {
        ck_assert_int_eq(trib_map_put(down, key_of(i, key), &values[0]), TRIB_OK);
    }
    for (int i = KEYS; i < 20 * KEYS; i++) {
        ck_assert_ptr_nonnull(trib_map_remove(down, key_of(i, key)));
    }
    size_t at_up = 0, at_down = 0, seen = 0;
    const char *key_up, *key_down;
    void *value_up, *value_down;
    while (trib_map_next(up, &at_up, &key_up, &value_up)) {
        ck_assert(trib_map_next(down, &at_down, &key_down, &value_down));
        ck_assert_str_eq(key_up, key_down);
        ck_assert_ptr_eq(value_up, value_down);
        seen++;
    }
    ck_assert(!trib_map_next(down, &at_down, &key_down, &value_down));
    ck_assert_uint_eq(seen, KEYS);
    trib_map_free(up);
    trib_map_free(down);
}
END_TEST

START_TEST(short_memory_changes_nothing)
{
    for (int64_t nth = 0;; nth++) {
        struct trib_map *map = trib_map_new();
        fail_memory_after(nth, false);
        char key[16];
        int put = 0;
        enum trib_status status = TRIB_OK;
        while (put < 100 && status == TRIB_OK) {
            status = trib_map_put(map, key_of(put, key), &values[put]);
            put += status == TRIB_OK;
        }
        fail_memory_after(-1, false);
        ck_assert_uint_eq(trib_map_count(map), put);
        for (int i = 0; i < 100; i++) {
            ck_assert_ptr_eq(trib_map_get(map, key_of(i, key)), i < put ? &values[i] : NULL);
        }
        trib_map_free(map);
        if (status == TRIB_OK) {
            break;
        }
        ck_assert_int_eq(status, TRIB_NO_MEMORY);
    }
    fail_memory_after(0, false);
    ck_assert_ptr_null(trib_map_new());
    fail_memory_after(1, false);
    ck_assert_ptr_null(trib_map_new());
    fail_memory_after(-1, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, put_get_remove);
    tcase_add_test(tests, behaves_like_an_array);
    tcase_add_test(tests, order_depends_on_the_keys_alone);
    tcase_add_test(tests, short_memory_changes_nothing);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
