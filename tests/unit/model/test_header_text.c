/* The JSON of a checkpoint's header, byte by byte: every character that a string may hold, every one that it may not,
 * and a cut at every place. Headers come from files of others. */
#include "base/mem.h"
#include "model/checkpoint.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

static struct trib_error error;

/* An exact copy, so that a sanitizer sees a read past the end. */
static enum trib_status parse(const char *header, size_t len, uint64_t data_len)
{
    struct trib_checkpoint_tensor *tensors = NULL;
    size_t n = 0;
    uint8_t *exact = trib_malloc(len);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, header, len);
    error.message[0] = '\0';
    enum trib_status status = trib_checkpoint_parse(exact, len, data_len, &tensors, &n, &error);
    ck_assert(status == TRIB_OK || error.message[0] != '\0');
    trib_free(tensors);
    trib_free(exact);
    return status;
}

static enum trib_status parse_string(const char *string)
{
    char header[256];
    int len = snprintf(header, sizeof header, "{\"__metadata__\":{\"a\":\"%s\"}}", string);
    ck_assert_int_lt(len, (int)sizeof header);
    return parse(header, (size_t)len, 0);
}

START_TEST(what_a_string_may_hold)
{
    static const char *const good[] = {
        "",
        "plain",
        "\\\"\\\\\\/\\b\\f\\n\\r\\t",
        "\\u0041",
        "\\u00e9",
        "\\u20ac",
        "\\uABCD",
        "\\uffff",
        "\\ud83d\\ude00",
        "\\uDBFF\\uDFFF",
        "\xc3\xa9",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\x7f",
        "\xc2\x80",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(parse_string(good[i]) == TRIB_OK, "%zu: %s", i, error.message);
    }
}
END_TEST

START_TEST(what_a_string_may_not_hold)
{
    static const struct {
        const char *string, *words;
    } bad[] = {
        {"\n", "a control byte within a string"},
        {"\x1f", "a control byte within a string"},
        {"\\x", "unknown escape"},
        {"\\u12", "\\u takes four hexadecimal digits"},
        {"\\u12g4", "\\u takes four hexadecimal digits"},
        {"\\u/000", "\\u takes four hexadecimal digits"},
        {"\\u:000", "\\u takes four hexadecimal digits"},
        {"\\u`000", "\\u takes four hexadecimal digits"},
        {"\\u0000", "\\u names no character"},
        {"\\udc00", "\\u names no character"},
        {"\\udfff", "\\u names no character"},
        {"\\ud800", "half of a surrogate pair"},
        {"\\ud800x", "half of a surrogate pair"},
        {"\\ud800xx", "half of a surrogate pair"},
        {"\\ud800\\n", "half of a surrogate pair"},
        {"\\ud800\\u0041", "half of a surrogate pair"},
        {"\\ud800\\ue000", "half of a surrogate pair"},
        {"\\ud800\\ux", "\\u takes four hexadecimal digits"},
        {"\x80", "not UTF-8"},             /* a continuation */
        {"\xc1\x80", "not UTF-8"},         /* overlong, two bytes */
        {"\xe0\x9f\xbf", "not UTF-8"},     /* three */
        {"\xf0\x8f\xbf\xbf", "not UTF-8"}, /* four */
        {"\xed\xa0\x80", "not UTF-8"},     /* a surrogate */
        {"\xf4\x90\x80\x80", "not UTF-8"}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", "not UTF-8"},
        {"\xff", "not UTF-8"},
        {"\xc3x", "not UTF-8"},
        {"\xe2\x82x", "not UTF-8"},
        {"\xf0\x90\x80x", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(parse_string(bad[i].string) == TRIB_CORRUPT, "%zu was taken", i);
        ck_assert_msg(strstr(error.message, bad[i].words), "%zu: %s", i, error.message);
    }
}
END_TEST

/* No beginning of a header is a header. */
START_TEST(a_header_cut_anywhere_is_corrupt)
{
    static const char header[] =
        " {\"__metadata__\":{\"a\":\"\\u00e9\\ud83d\\ude00\xf0\x90\x80\x80\\n\",\"b\":\"\"},"
        "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"\\u0077v\" : { \"data_offsets\" : [ 24 , 28 ] , \"shape\" : [ ] , \"dtype\" : \"F32\" } }";
    size_t len = sizeof header - 1;
    ck_assert_msg(parse(header, len, 28) == TRIB_OK, "%s", error.message);
    for (size_t cut = 0; cut < len; cut++) {
        ck_assert_msg(parse(header, cut, 28) == TRIB_CORRUPT, "%zu bytes were taken", cut);
    }
}
END_TEST

START_TEST(fields_that_are_missing_or_too_large)
{
    static const struct {
        const char *tensor;
        enum trib_status status;
        const char *words;
    } bad[] = {
        {"\"dtype\":\"F32\",\"shape\":[1]", TRIB_CORRUPT, "lacks its dtype, shape or data_offsets"},
        {"\"dtype\":\"F32\",\"data_offsets\":[0,4]", TRIB_CORRUPT, "lacks its dtype, shape or data_offsets"},
        {"\"shape\":[1],\"data_offsets\":[0,4]", TRIB_CORRUPT, "lacks its dtype, shape or data_offsets"},
        {"\"shape\":[1],\"shape\":[1]", TRIB_CORRUPT, "repeated key \"shape\""},
        {"\"layout\":\"dense\"", TRIB_CORRUPT, "unknown key \"layout\""},
        {"\"a key of more letters than any\":1", TRIB_CORRUPT, "unknown key"},
        {"\"dtype\":\"F32 of more letters than any\"", TRIB_MISMATCH, "is of type"},
        {"\"dtype\":\"BF16\"", TRIB_MISMATCH, "is of type BF16"},
        {"\"shape\":[18446744073709551616]", TRIB_CORRUPT, "the number is too large"},
        {"\"shape\":[9223372036854775808]", TRIB_CORRUPT, "is too large"},
        {"\"shape\":[1,1,1,1,1]", TRIB_MISMATCH, "has more than 4 dimensions"},
        {"\"shape\":[01]", TRIB_CORRUPT, "expected a whole number"},
        {"\"shape\":[-1]", TRIB_CORRUPT, "expected a whole number"},
        {"\"shape\":[1;]", TRIB_CORRUPT, "expected ','"},
        {"\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,0]", TRIB_CORRUPT, "do not lie within"},
        {"\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]", TRIB_CORRUPT, "do not lie within"},
        {"\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]", TRIB_CORRUPT, "takes 8 bytes, but has 4"},
        {"\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]", TRIB_CORRUPT, "is too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char header[256];
        int len = snprintf(header, sizeof header, "{\"w\":{%s}}", bad[i].tensor);
        ck_assert_msg(parse(header, (size_t)len, 8) == bad[i].status, "%s: %s", bad[i].tensor, error.message);
        ck_assert_msg(strstr(error.message, bad[i].words), "%s: %s", bad[i].tensor, error.message);
    }
}
END_TEST

/* Tensors of no elements share their place: they come in the order of their ends, then of their names. */
START_TEST(empty_tensors_are_told_apart)
{
    static const char header[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
                                 "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}";
    struct trib_checkpoint_tensor *tensors = NULL;
    size_t n = 0;
    ck_assert_msg(trib_checkpoint_parse((const uint8_t *)header, sizeof header - 1, 4, &tensors, &n, &error) == TRIB_OK,
                  "%s", error.message);
    ck_assert_uint_eq(n, 3);
    ck_assert_str_eq(tensors[0].name, "a");
    ck_assert_str_eq(tensors[1].name, "b");
    ck_assert_str_eq(tensors[2].name, "c");
    trib_free(tensors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("header_text");
    TCase *tests = tcase_create("header_text");
    tcase_add_test(tests, what_a_string_may_hold);
    tcase_add_test(tests, what_a_string_may_not_hold);
    tcase_add_test(tests, a_header_cut_anywhere_is_corrupt);
    tcase_add_test(tests, fields_that_are_missing_or_too_large);
    tcase_add_test(tests, empty_tensors_are_told_apart);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
