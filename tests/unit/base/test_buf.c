/* The growable buffer, little-endian access and the bounded reader. */
#include "base/buf.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <string.h>

START_TEST(a_buffer_grows)
{
    struct trib_buf buf = {0};
    ck_assert_str_eq(trib_buf_text(&buf), "");
    for (int i = 0; i < 5000; i++) {
        uint8_t byte = (uint8_t)i;
        ck_assert_int_eq(trib_buf_add(&buf, &byte, 1), TRIB_OK);
    }
    ck_assert_uint_eq(buf.len, 5000);
    for (int i = 0; i < 5000; i++) {
        ck_assert_uint_eq(buf.data[i], (uint8_t)i);
    }
    trib_buf_clear(&buf);
    ck_assert_ptr_null(buf.data);
    ck_assert_uint_eq(buf.capacity, 0);
}
END_TEST

START_TEST(text_is_terminated)
{
    struct trib_buf buf = {0};
    ck_assert_int_eq(trib_buf_add_text(&buf, "ab"), TRIB_OK);
    ck_assert_int_eq(trib_buf_printf(&buf, "-%d-%s", 12, "x"), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(&buf, "yz", 2), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(&buf, NULL, 0), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&buf), "ab-12-xyz");
    ck_assert_uint_eq(buf.len, 9);
    /* longer than any first guess */
    ck_assert_int_eq(trib_buf_printf(&buf, "%0500d", 1), TRIB_OK);
    ck_assert_uint_eq(strlen(trib_buf_text(&buf)), 509);
    trib_buf_clear(&buf);
}
END_TEST

START_TEST(a_failed_growth_changes_nothing)
{
    struct trib_buf buf = {0};
    ck_assert_int_eq(trib_buf_add_text(&buf, "kept"), TRIB_OK);
    ck_assert_int_eq(trib_buf_reserve(&buf, SIZE_MAX), TRIB_NO_MEMORY);
    ck_assert_int_eq(trib_buf_reserve(&buf, SIZE_MAX - 4), TRIB_NO_MEMORY);
    fail_memory_after(0, true);
    char big[1000] = {0};
    ck_assert_int_eq(trib_buf_add(&buf, big, sizeof big), TRIB_NO_MEMORY);
    ck_assert_int_eq(trib_buf_printf(&buf, "%01000d", 1), TRIB_NO_MEMORY);
    fail_memory_after(-1, false);
    ck_assert_str_eq(trib_buf_text(&buf), "kept");
    ck_assert_uint_eq(buf.len, 4);
    trib_buf_clear(&buf);
}
END_TEST

START_TEST(numbers_are_little_endian)
{
    uint8_t bytes[8];
    trib_store_u64(bytes, 0x0123456789abcdefu);
    static const uint8_t expected[] = {0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01};
    ck_assert_mem_eq(bytes, expected, 8);
    ck_assert_uint_eq(trib_load_u64(bytes), 0x0123456789abcdefu);
    ck_assert_uint_eq(trib_load_u32(bytes), 0x89abcdefu);
    ck_assert_uint_eq(trib_load_u16(bytes), 0xcdefu);
    ck_assert_uint_eq(trib_load_u32_be(bytes), 0xefcdab89u);
    trib_store_u16(bytes, 0xbeef);
    trib_store_u32(bytes + 2, 0xdeadbeefu);
    ck_assert_uint_eq(trib_load_u16(bytes), 0xbeefu);
    ck_assert_uint_eq(trib_load_u32(bytes + 2), 0xdeadbeefu);
}
END_TEST

START_TEST(a_reader_stops_at_the_end)
{
    static const uint8_t bytes[] = {1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 9};
    struct trib_reader reader = {.data = bytes, .len = sizeof bytes};
    ck_assert_uint_eq(trib_read_u8(&reader), 1);
    ck_assert_uint_eq(trib_read_u16(&reader), 2);
    ck_assert_uint_eq(trib_read_u32(&reader), 3);
    ck_assert_ptr_eq(trib_read_bytes(&reader, 8), bytes + 7);
    ck_assert_ptr_eq(trib_read_bytes(&reader, 0), bytes + 15);
    ck_assert(!reader.failed);
    ck_assert_uint_eq(trib_read_u32(&reader), 0);
    ck_assert(reader.failed);
    /* what would still fit is not given either */
    ck_assert_uint_eq(trib_read_u8(&reader), 0);
    ck_assert_ptr_null(trib_read_bytes(&reader, 1));
    ck_assert_uint_eq(reader.at, 15);
}
END_TEST

START_TEST(a_huge_length_does_not_wrap)
{
    static const uint8_t bytes[4] = {1, 2, 3, 4};
    struct trib_reader reader = {.data = bytes, .len = sizeof bytes, .at = 2};
    ck_assert_ptr_null(trib_read_bytes(&reader, SIZE_MAX));
    ck_assert(reader.failed);
    struct trib_reader empty = {0};
    ck_assert_ptr_nonnull(trib_read_bytes(&empty, 0));
    ck_assert_uint_eq(trib_read_u16(&empty), 0);
    ck_assert(empty.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buf");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_buffer_grows);
    tcase_add_test(tests, text_is_terminated);
    tcase_add_test(tests, a_failed_growth_changes_nothing);
    tcase_add_test(tests, numbers_are_little_endian);
    tcase_add_test(tests, a_reader_stops_at_the_end);
    tcase_add_test(tests, a_huge_length_does_not_wrap);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
