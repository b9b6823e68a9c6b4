/* Golomb-Rice codes of positions, against the bits worked out by hand and the formula for the best parameter. */
#include "base/rng.h"

#include "test_block.h"
#include "test_main.h"

#include <math.h>

static struct trib_block given, room;
static uint8_t *bytes;
static struct trib_stage_use use;

static void setup(void)
{
    given = test_block_new();
    room = test_block_new();
    bytes = trib_malloc(TEST_BLOCK_ROOM);
    use = (struct trib_stage_use){.stage = trib_stage_find("golomb")};
    ck_assert(bytes && use.stage);
    given.sparse = true;
    given.alphabet = 1;
    given.n_segments = 1;
}

static void teardown(void)
{
    test_block_free(&given);
    test_block_free(&room);
    trib_free(bytes);
}

static void give(size_t n, const uint32_t *positions, size_t n_values)
{
    given.n = n;
    given.n_values = given.n_symbols = given.segments[0] = (uint32_t)n_values;
    for (size_t i = 0; i < n_values; i++) {
        given.positions[i] = positions[i];
        given.symbols[i] = 0;
    }
}

/* Gaps 4, 0, 7: parameters 1 and 2 take 11 bits, and the smaller is taken: upper parts 2, 0, 3, lower ones 0, 0, 1. */
START_TEST(by_hand)
{
    static const uint32_t positions[] = {4, 5, 13};
    give(16, positions, 3);
    ck_assert_uint_eq(test_block_encode(&use, &given, &room, bytes), 3);
    ck_assert_uint_eq(bytes[0], 1);
    /* first bit lowest: 001 0, 1 0, 0001 1 */
    ck_assert_uint_eq(bytes[1] | bytes[2] << 8, 1 << 2 | 1 << 4 | 1 << 9 | 1 << 10);
    test_block_round_trip(&use, &given, &room, bytes);
}
END_TEST

START_TEST(nothing_to_say)
{
    give(100, NULL, 0);
    ck_assert_uint_eq(test_block_round_trip(&use, &given, &room, bytes), 0);
    static const uint32_t positions[] = {3, 90};
    give(100, positions, 2);
    given.derived = true;
    ck_assert_uint_eq(test_block_round_trip(&use, &given, &room, bytes), 0);
}
END_TEST

/* Positions drawn independently: the parameter is that of Sattler et al. (2019), or next to it, and the length is near
 * the entropy of n draws. */
START_TEST(best_parameter)
{
    static const double shares[] = {0.3, 0.1, 0.03, 0.01, 1.0 / 400, 0.001};
    struct trib_rng rng = trib_rng_init(17, "golomb", 0, 0);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double p = shares[i];
        size_t k = 0;
        for (uint32_t at = 0; at < TRIB_CODEC_BLOCK; at++) {
            if (trib_rng_uniform64(&rng) < p) {
                given.positions[k] = at;
                given.symbols[k++] = 0;
            }
        }
        given.n = TRIB_CODEC_BLOCK;
        given.n_values = given.n_symbols = given.segments[0] = (uint32_t)k;
        size_t len = test_block_round_trip(&use, &given, &room, bytes);
        int formula = 1 + (int)floor(log2(log((sqrt(5) - 1) / 2) / log(1 - p)));
        ck_assert_int_le(abs(bytes[0] - (formula < 0 ? 0 : formula)), 1);
        double share = (double)k / TRIB_CODEC_BLOCK;
        double entropy = -TRIB_CODEC_BLOCK * (share * log2(share) + (1 - share) * log2(1 - share)) / 8;
        ck_assert_msg((double)len < entropy * 1.06 + 3, "p = %g: %zu bytes, entropy %g", p, len, entropy);
    }
}
END_TEST

/* What no encoder writes. */
START_TEST(refusals)
{
    static const uint32_t positions[] = {4, 5, 13};
    give(16, positions, 3);
    size_t len = test_block_encode(&use, &given, &room, bytes);
    uint8_t kept = bytes[0];
    bytes[0] = 16; /* a parameter beyond the numbers */
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_CORRUPT);
    bytes[0] = kept;
    bytes[2] |= 0x80; /* a bit after the last */
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_CORRUPT);
    bytes[2] &= 0x7f;
    given.n = 13; /* the last position is beyond the block */
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_CORRUPT);
    given.n = 14;
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_OK);
    memset(bytes + 1, 0, 1000); /* an upper part that never ends */
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, 1000), TRIB_CORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golomb");
    TCase *tests = tcase_create("golomb");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, by_hand);
    tcase_add_test(tests, nothing_to_say);
    tcase_add_test(tests, best_parameter);
    tcase_add_test(tests, refusals);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
