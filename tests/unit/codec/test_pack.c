/* Bit packing: against one bit at a time, at every width; positions both ways; bytes that no encoder writes. */
#include "../../../common/codec/pack.h"

#include "base/rng.h"

#include "test_main.h"

#include <string.h>

enum { MOST = 4200 /* a few runs and a tail */, GUARD = 0x5a };

static uint16_t symbols[MOST], back[MOST + 1];
static uint8_t packed[4 * MOST], expected[2 * MOST + 1];

/* By definition. */
static void pack_bitwise(size_t n, unsigned bits)
{
    memset(expected, 0, sizeof expected);
    for (size_t i = 0; i < n * bits; i++) {
        unsigned bit = symbols[i / bits] >> i % bits & 1u;
        expected[i / 8] |= (uint8_t)(bit << i % 8);
    }
}

static void check_width(uint32_t alphabet, size_t n)
{
    struct trib_rng rng = trib_rng_init(1, "pack", alphabet, n);
    const unsigned bits = trib_bits_of(alphabet);
    const size_t len = trib_bits_len(n, alphabet);
    for (size_t i = 0; i < n; i++) {
        symbols[i] = (uint16_t)trib_rng_below(&rng, alphabet);
    }
    pack_bitwise(n, bits);
    ck_assert_uint_eq(len, (n * bits + 7) / 8);
    packed[len] = GUARD;
    trib_bits_pack(symbols, n, alphabet, packed);
    ck_assert_msg(memcmp(packed, expected, len) == 0 && packed[len] == GUARD, "%zu of %u packed", n, alphabet);
    back[n] = GUARD;
    uint8_t *exact = malloc(len > 0 ? len : 1); /* a sanitizer sees what reads beyond */
    memcpy(exact, packed, len);
    ck_assert(trib_bits_unpack(exact, n, alphabet, back));
    free(exact);
    ck_assert_msg(memcmp(back, symbols, n * sizeof *back) == 0 && back[n] == GUARD, "%zu of %u unpacked", n, alphabet);
}

START_TEST(every_width)
{
    const size_t lengths[] = {0, 1, 2, 3, 7, 8, 9, 63, 1000, 1023, 1024, 1025, 2048, 3333, MOST};
    for (unsigned bits = 1; bits <= 16; bits++) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            check_width(UINT32_C(1) << bits, lengths[i]);
            check_width((UINT32_C(1) << (bits - 1)) + 1, lengths[i]);
        }
    }
    ck_assert_uint_eq(trib_bits_of(1), 0);
    check_width(1, MOST);
}
END_TEST

/* A symbol beyond the alphabet, wherever it stands; a bit behind the last one. */
START_TEST(refused)
{
    const uint32_t alphabets[] = {3, 15, 255, 1000};
    for (size_t a = 0; a < sizeof alphabets / sizeof alphabets[0]; a++) {
        for (size_t at = 0; at < 1100; at += 91) {
            memset(symbols, 0, sizeof symbols);
            symbols[at] = (uint16_t)(alphabets[a] - 1);
            trib_bits_pack(symbols, 1100, alphabets[a], packed);
            ck_assert(trib_bits_unpack(packed, 1100, alphabets[a], back));
            symbols[at]++;
            trib_bits_pack(symbols, 1100, alphabets[a], packed);
            ck_assert(!trib_bits_unpack(packed, 1100, alphabets[a], back));
        }
    }
    for (unsigned bits = 1; bits < 16; bits++) {
        for (size_t n = 1; n < 20; n++) {
            size_t used = n * bits;
            memset(packed, 0, sizeof packed);
            ck_assert(trib_bits_unpack(packed, n, UINT32_C(1) << bits, back));
            for (size_t bit = used; bit < (used + 7) / 8 * 8; bit++) {
                packed[bit / 8] = (uint8_t)(1u << bit % 8);
                ck_assert(!trib_bits_unpack(packed, n, UINT32_C(1) << bits, back));
            }
        }
    }
}
END_TEST

/* ---- positions ---- */

static uint32_t positions[MOST];
static uint8_t numbers[2 * MOST];

static struct trib_block sparse_block(size_t n, size_t n_values)
{
    return (struct trib_block){
        .n = n, .n_values = n_values, .sparse = true, .positions = positions, .numbers = numbers, .width = 2};
}

static size_t pack_sparse(size_t n, size_t n_values)
{
    struct trib_block block = sparse_block(n, n_values);
    struct trib_writer out = {.data = packed, .capacity = sizeof packed};
    memset(numbers, 7, sizeof numbers);
    trib_pack_block(&block, &out);
    ck_assert(!out.full);
    return out.len;
}

static enum trib_status unpack_sparse(size_t n, size_t n_values, size_t len)
{
    struct trib_block block = sparse_block(n, n_values);
    struct trib_reader in = {.data = packed, .len = len};
    return trib_unpack_block(&block, &in);
}

START_TEST(positions_come_back)
{
    const size_t steps[] = {1, 2, 3, 15, 17, 100, 4000};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        size_t n = 4001, n_values = 0;
        for (size_t at = steps[s] - 1; at < n; at += steps[s]) {
            positions[n_values++] = (uint32_t)at;
        }
        size_t len = pack_sparse(n, n_values), bitmap = (n + 7) / 8, list = 2 * n_values;
        ck_assert_uint_eq(len, (list < bitmap ? list : bitmap) + 2 * n_values);
        memset(positions, 0xff, sizeof positions);
        ck_assert_int_eq(unpack_sparse(n, n_values, len), TRIB_OK);
        for (size_t i = 0; i < n_values; i++) {
            ck_assert_uint_eq(positions[i], (i + 1) * steps[s] - 1);
        }
        ck_assert_int_eq(unpack_sparse(n, n_values, len - 1), TRIB_CORRUPT);
        ck_assert_int_eq(unpack_sparse(n, n_values, 0), TRIB_CORRUPT);
    }
}
END_TEST

START_TEST(positions_refused)
{
    positions[0] = 5;
    positions[1] = 900;
    size_t len = pack_sparse(1000, 2); /* as a list */
    packed[2] = 5;
    packed[3] = 0; /* 5, 5 */
    ck_assert_int_eq(unpack_sparse(1000, 2, len), TRIB_CORRUPT);
    packed[2] = 4; /* 5, 4 */
    ck_assert_int_eq(unpack_sparse(1000, 2, len), TRIB_CORRUPT);
    packed[2] = 0xe8;
    packed[3] = 3; /* 5, 1000 of 1000 */
    ck_assert_int_eq(unpack_sparse(1000, 2, len), TRIB_CORRUPT);
    packed[2] = 0xe7;
    ck_assert_int_eq(unpack_sparse(1000, 2, len), TRIB_OK);

    for (uint32_t i = 0; i < 20; i++) {
        positions[i] = i;
    }
    len = pack_sparse(29, 20); /* as a bitmap */
    packed[2] ^= 0x80;         /* one more */
    ck_assert_int_eq(unpack_sparse(29, 20, len), TRIB_CORRUPT);
    packed[2] ^= 0x88; /* one less */
    ck_assert_int_eq(unpack_sparse(29, 20, len), TRIB_CORRUPT);
    packed[3] ^= 0x10; /* element 28 instead */
    ck_assert_int_eq(unpack_sparse(29, 20, len), TRIB_OK);
    packed[3] ^= 0x30; /* element 29 of 29 */
    ck_assert_int_eq(unpack_sparse(29, 20, len), TRIB_CORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tests = tcase_create("pack");
    tcase_add_test(tests, every_width);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, positions_come_back);
    tcase_add_test(tests, positions_refused);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
