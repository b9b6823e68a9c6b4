/* Strings, checked numbers, durations, sizes, hexadecimal, near names. */
#include "base/str.h"
#include "test_main.h"

#include <string.h>

START_TEST(copies_are_bounded)
{
    char to[6];
    ck_assert(trib_str_copy(to, sizeof to, "river"));
    ck_assert_str_eq(to, "river");
    ck_assert(!trib_str_copy(to, sizeof to, "rivers"));
    ck_assert_str_eq(to, "river");
    ck_assert(!trib_str_copy(to, 1, "x"));
    ck_assert_str_eq(to, "");
    ck_assert(!trib_str_copy(to, 0, "x"));
}
END_TEST

START_TEST(comparisons)
{
    ck_assert(trib_str_starts_with("cohort", "co"));
    ck_assert(!trib_str_starts_with("co", "cohort"));
    ck_assert(trib_str_ends_with("model.tmp", ".tmp"));
    ck_assert(!trib_str_ends_with("mp", ".tmp"));
    ck_assert(trib_str_equal("a", "a"));
    ck_assert(!trib_str_equal("a", "b"));
    ck_assert(trib_str_equal(NULL, NULL));
    ck_assert(!trib_str_equal(NULL, ""));
}
END_TEST

START_TEST(whole_numbers)
{
    struct trib_error error;
    int64_t value = 77;
    ck_assert_int_eq(trib_parse_int("-12", -100, 100, &value, &error), TRIB_OK);
    ck_assert_int_eq(value, -12);
    ck_assert_int_eq(trib_parse_int("0x1F", 0, 100, &value, &error), TRIB_OK);
    ck_assert_int_eq(value, 31);
    ck_assert_int_eq(trib_parse_int("010", 0, 100, &value, &error), TRIB_OK);
    ck_assert_int_eq(value, 10);
    ck_assert_int_eq(trib_parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &value, &error), TRIB_OK);
    ck_assert_int_eq(value, INT64_MIN);
    value = 77;
    static const char *const wrong[] = {"",  " 1", "1 ",  "1.0", "abc", "-",
                                        "+", "0x", "0xg", "--1", "1e3", "9223372036854775808"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(trib_parse_int(wrong[i], INT64_MIN, INT64_MAX, &value, &error), TRIB_INVALID);
        ck_assert_ptr_nonnull(strstr(error.message, wrong[i]));
    }
    ck_assert_int_eq(trib_parse_int("0", 1, 5, &value, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "0 is below the minimum 1");
    ck_assert_int_eq(trib_parse_int("6", 1, 5, &value, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "6 is above the maximum 5");
    ck_assert_int_eq(trib_parse_int("six", 1, 5, &value, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "\"six\" is not a whole number");
    ck_assert_int_eq(value, 77);
}
END_TEST

START_TEST(messages_quote_safely)
{
    struct trib_error error;
    int64_t value = 0;
    ck_assert_int_eq(trib_parse_int("1\n2\x1b[2J", 0, 9, &value, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "\"1?2?[2J\" is not a whole number");
    char text[1000];
    memset(text, '7', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(trib_parse_int(text, 0, 9, &value, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "777...\" does not fit"));
    ck_assert_int_lt((int)strlen(error.message), 120);
}
END_TEST

START_TEST(real_numbers)
{
    struct trib_error error;
    double value = 7.5;
    ck_assert_int_eq(trib_parse_double("1e-3", 0, 1, &value, &error), TRIB_OK);
    ck_assert_double_eq(value, 1e-3);
    value = 7.5;
    static const char *const wrong[] = {"", "nan", "inf", "-inf", "1e999", "0x1p3", "1,5", " 1", "1 ", ".", "e5", "1e"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(trib_parse_double(wrong[i], -1e300, 1e300, &value, &error), TRIB_INVALID);
    }
    ck_assert_int_eq(trib_parse_double("1.5", 0, 1, &value, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "1.5 is above the maximum 1");
    ck_assert_double_eq(value, 7.5);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *text;
        int64_t ms;
    } right[] = {{"250ms", 250}, {"10s", 10000}, {"5m", 300000}, {"2h", 7200000}, {"1d", 86400000},
                 {"1.5s", 1500}, {"0s", 0},      {"0.1s", 100},  {"1.1s", 1100}};
    struct trib_error error;
    int64_t value = 0;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        ck_assert_int_eq(trib_parse_duration(right[i].text, &value, &error), TRIB_OK);
        ck_assert_int_eq(value, right[i].ms);
    }
    value = 77;
    static const char *const wrong[] = {
        "10", "", "s", "-1s", "1 hour", "1.5ms", "1..5s", ".5s", "5.s", "1w", "10S", "9223372036854775807d", "10s "};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(trib_parse_duration(wrong[i], &value, &error), TRIB_INVALID);
        ck_assert_ptr_nonnull(strstr(error.message, "250ms, 10s, 5m, 2h or 1d"));
    }
    ck_assert_int_eq(value, 77);
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } right[] = {{"512", 512},
                 {"512B", 512},
                 {"64KB", 64000},
                 {"64KiB", 65536},
                 {"1.5GB", 1500000000},
                 {"1.5 MB", 1500000},
                 {"0.5KiB", 512},
                 {"2TiB", (int64_t)2 << 40},
                 {"0", 0},
                 {"9223372036854775807", INT64_MAX}};
    struct trib_error error;
    int64_t value = 0;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        ck_assert_int_eq(trib_parse_size(right[i].text, &value, &error), TRIB_OK);
        ck_assert_int_eq(value, right[i].bytes);
    }
    value = 77;
    static const char *const wrong[] = {"", "KB", "64K", "-1", "1.5", "0.3KiB", "64kib", "8388608TiB", "1 ", "0x10"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(trib_parse_size(wrong[i], &value, &error), TRIB_INVALID);
    }
    ck_assert_int_eq(value, 77);
}
END_TEST

START_TEST(quantities_for_people)
{
    char to[32];
    ck_assert_str_eq(trib_format_size(0, to, sizeof to), "0 B");
    ck_assert_str_eq(trib_format_size(999, to, sizeof to), "999 B");
    ck_assert_str_eq(trib_format_size(1500000, to, sizeof to), "1.5 MB");
    ck_assert_str_eq(trib_format_size(999999, to, sizeof to), "1.0 MB");
    ck_assert_str_eq(trib_format_size(2.5e12, to, sizeof to), "2.5 TB");
    ck_assert_str_eq(trib_format_duration(250, to, sizeof to), "250ms");
    ck_assert_str_eq(trib_format_duration(1250, to, sizeof to), "1.2s");
    ck_assert_str_eq(trib_format_duration(123000, to, sizeof to), "2m03s");
    ck_assert_str_eq(trib_format_duration(7500000, to, sizeof to), "2h05m");
    ck_assert_str_eq(trib_format_duration(273600000, to, sizeof to), "3d04h");
    ck_assert_str_eq(trib_format_duration(-123000, to, sizeof to), "-2m03s");
    ck_assert_uint_lt(strlen(trib_format_duration(INT64_MIN, to, sizeof to)), sizeof to);
    char tiny[4];
    ck_assert_str_eq(trib_format_size(1500000, tiny, sizeof tiny), "1.5");
}
END_TEST

START_TEST(hexadecimal)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0xff, 0xa0};
    char text[9];
    uint8_t back[4] = {9, 9, 9, 9};
    trib_hex_encode(bytes, sizeof bytes, text);
    ck_assert_str_eq(text, "007fffa0");
    ck_assert(!trib_hex_decode("007fffa", back, 4));
    ck_assert(!trib_hex_decode("007fffa00", back, 4));
    ck_assert(!trib_hex_decode("007fffg0", back, 4));
    ck_assert_uint_eq(back[0], 9);
    ck_assert(trib_hex_decode("007FFfa0", back, 4));
    ck_assert_mem_eq(back, bytes, 4);
}
END_TEST

START_TEST(near_names)
{
    static const char *const names[] = {"rounds", "round", "batch_size", "lr", "data"};
    const size_t n = sizeof names / sizeof names[0];
    ck_assert_str_eq(trib_str_nearest("rouns", names, n), "rounds");
    ck_assert_str_eq(trib_str_nearest("bacth_size", names, n), "batch_size");
    ck_assert_str_eq(trib_str_nearest("batchsiz", names, n), "batch_size");
    ck_assert_str_eq(trib_str_nearest("round", names, n), "round");
    ck_assert_ptr_null(trib_str_nearest("deadline", names, n));
    ck_assert_ptr_null(trib_str_nearest("xx", names, n)); /* too short to tell */
    ck_assert_ptr_null(trib_str_nearest("", names, n));
    ck_assert_ptr_null(trib_str_nearest("rounds", names, 0));
    char text[200];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert_ptr_null(trib_str_nearest(text, names, n));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("str");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, copies_are_bounded);
    tcase_add_test(tests, comparisons);
    tcase_add_test(tests, whole_numbers);
    tcase_add_test(tests, messages_quote_safely);
    tcase_add_test(tests, real_numbers);
    tcase_add_test(tests, durations);
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, quantities_for_people);
    tcase_add_test(tests, hexadecimal);
    tcase_add_test(tests, near_names);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
