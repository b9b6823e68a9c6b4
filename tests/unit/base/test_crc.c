/* CRC-32C against published values and a bitwise oracle. */
#include "base/crc.h"
#include "base/rng.h"
#include "test_main.h"

#include <string.h>

/* The kernel for machines without the instruction, which none of the tests' machines may choose. */
#define TRIB_CRC_PORTABLE 1
#define trib_crc32c       portable_crc32c
uint32_t portable_crc32c(uint32_t crc, const void *bytes, size_t len);
#include "../../../common/base/crc.c"
#undef trib_crc32c

static uint32_t bitwise(uint32_t crc, const uint8_t *bytes, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
        }
    }
    return ~crc;
}

START_TEST(published_values)
{
    uint8_t bytes[32];
    ck_assert_uint_eq(trib_crc32c(0, "123456789", 9), 0xe3069283u);
    ck_assert_uint_eq(trib_crc32c(0, "", 0), 0);
    /* RFC 3720, appendix B.4 */
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(trib_crc32c(0, bytes, sizeof bytes), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(trib_crc32c(0, bytes, sizeof bytes), 0x62a8ab43u);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    ck_assert_uint_eq(trib_crc32c(0, bytes, sizeof bytes), 0x46dd794eu);
}
END_TEST

START_TEST(every_length_offset_and_split)
{
    static uint8_t bytes[60000]; /* long enough for kernels that work on several stripes */
    struct trib_rng rng = trib_rng_init(1, "crc", 0, 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)trib_rng_u32(&rng);
    }
    for (size_t len = 0; len < 200; len++) {
        for (size_t offset = 0; offset < 9; offset++) {
            uint32_t expected = bitwise(0, bytes + offset, len);
            ck_assert_uint_eq(trib_crc32c(0, bytes + offset, len), expected);
            ck_assert_uint_eq(portable_crc32c(0, bytes + offset, len), expected);
        }
    }
    uint32_t whole = bitwise(0, bytes, sizeof bytes);
    ck_assert_uint_eq(trib_crc32c(0, bytes, sizeof bytes), whole);
    ck_assert_uint_eq(portable_crc32c(0, bytes, sizeof bytes), whole);
    for (size_t split = 0; split <= sizeof bytes; split += 997) {
        uint32_t first = trib_crc32c(0, bytes, split);
        ck_assert_uint_eq(trib_crc32c(first, bytes + split, sizeof bytes - split), whole);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crc");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, published_values);
    tcase_add_test(tests, every_length_offset_and_split);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
