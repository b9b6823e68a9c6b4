/* The models before: how many are kept, by number and by size, and that none is lost or freed early. */
#include "../../../server/release/past_models.h"

#include "test_main.h"

#include <string.h>

static void name_of(uint64_t number, uint8_t sha256[TRIB_SHA256_LEN])
{
    memset(sha256, 0, TRIB_SHA256_LEN);
    memcpy(sha256, &number, sizeof number);
}

static void push(struct trib_past_models *past, uint64_t number, size_t len)
{
    uint8_t sha256[TRIB_SHA256_LEN];
    struct trib_blob *raw = trib_blob_new(len);
    ck_assert_ptr_nonnull(raw);
    name_of(number, sha256);
    trib_past_models_push(past, raw, sha256);
}

static bool holds(const struct trib_past_models *past, uint64_t number)
{
    uint8_t sha256[TRIB_SHA256_LEN];
    name_of(number, sha256);
    struct trib_blob *raw = trib_past_models_find(past, sha256);
    trib_blob_unref(raw);
    return raw;
}

START_TEST(small_ones_by_number)
{
    struct trib_past_models past = {0};
    ck_assert(!holds(&past, 0));
    for (uint64_t i = 0; i < TRIB_PAST_MODELS + 5; i++) {
        push(&past, i, 100);
    }
    ck_assert_uint_eq(past.n, TRIB_PAST_MODELS);
    ck_assert_uint_eq(past.bytes, TRIB_PAST_MODELS * 100);
    ck_assert(!holds(&past, 4) && holds(&past, 5) && holds(&past, TRIB_PAST_MODELS + 4));
    trib_past_models_clear(&past);
    ck_assert_uint_eq(past.n + past.bytes, 0);
}
END_TEST

START_TEST(large_ones_by_size)
{
    struct trib_past_models past = {0};
    for (uint64_t i = 0; i < 4; i++) {
        push(&past, i, TRIB_PAST_BYTES / 2);
    }
    ck_assert(past.n == 2 && holds(&past, 2) && holds(&past, 3));
    push(&past, 4, TRIB_PAST_BYTES + 1); /* the last one, however large */
    ck_assert(past.n == 1 && holds(&past, 4));
    push(&past, 5, 10);
    ck_assert(past.n == 1 && holds(&past, 5));
    trib_past_models_clear(&past);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("past models");
    tcase_add_test(tests, small_ones_by_number);
    tcase_add_test(tests, large_ones_by_size);
    Suite *suite = suite_create("past models");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
