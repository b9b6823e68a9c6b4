/* All entropy coders: round trips over shapes and distributions, and bytes that no encoder wrote. */
#include "codec/chain.h"

#include "base/rng.h"

#include "test_block.h"
#include "test_main.h"

static struct trib_block given, room;
static uint8_t *bytes;
static struct trib_rng rng;

static void setup(void)
{
    given = test_block_new();
    room = test_block_new();
    bytes = trib_malloc(TEST_BLOCK_ROOM);
    ck_assert(bytes);
    rng = trib_rng_init(16, "entropy", 0, 0);
}

static void teardown(void)
{
    test_block_free(&given);
    test_block_free(&room);
    trib_free(bytes);
}

enum { STAGES = 3 };
static const char *const names[STAGES] = {"range", "golomb", "zstd"};

static struct trib_stage_use use_of(int index)
{
    const struct trib_stage *stage = trib_stage_find(names[index]);
    ck_assert(stage && stage->kind == TRIB_STAGE_ENTROPY);
    return (struct trib_stage_use){.stage = stage, .caps = stage->caps, .args = {3}};
}

enum { UNIFORM, GEOMETRIC, CENTRED, CONSTANT, RAMP, DISTRIBUTIONS };

/* Integer arithmetic alone: the same symbols everywhere. */
static uint16_t draw(int distribution, uint32_t alphabet, size_t i)
{
    uint32_t value = 0;
    switch (distribution) {
    case UNIFORM:
        return (uint16_t)trib_rng_below(&rng, alphabet);
    case GEOMETRIC:
        while (value + 1 < alphabet && trib_rng_u32(&rng) % 4 != 0) {
            value++;
        }
        return (uint16_t)value;
    case CENTRED:
        for (int part = 0; part < 8; part++) {
            value += trib_rng_u32(&rng) % 8;
        }
        value += alphabet / 2;
        return (uint16_t)(value < 28 ? 0 : value - 28 < alphabet ? value - 28 : alphabet - 1);
    case CONSTANT:
        return (uint16_t)(alphabet - 1);
    default:
        return (uint16_t)(i % alphabet);
    }
}

static void give_symbols(size_t n, uint32_t alphabet, int distribution)
{
    given.n = n > 0 ? n : 1;
    given.n_values = given.n_symbols = n;
    given.sparse = given.derived = false;
    given.alphabet = alphabet;
    given.n_segments = 1;
    given.segments[0] = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        given.symbols[i] = draw(distribution, alphabet, i);
    }
}

static void give_positions(size_t n, uint32_t one_in)
{
    given.n = n;
    given.n_values = 0;
    given.sparse = true;
    for (uint32_t i = 0; i < n; i++) {
        if (trib_rng_u32(&rng) % one_in == 0) {
            given.positions[given.n_values++] = i;
        }
    }
}

static void give_numbers(unsigned width)
{
    given.alphabet = 0;
    given.width = width;
    for (size_t i = 0; i < given.n_values * width; i++) {
        given.numbers[i] = (uint8_t)(i % width == width - 1 ? 60 + trib_rng_u32(&rng) % 4 : trib_rng_u32(&rng));
    }
}

START_TEST(lengths_and_alphabets)
{
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 63, 64, 65, 300, 1023, 1025, 4099};
    static const uint32_t alphabets[] = {1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1000, 1024, 1025, 4096, 65535, 65536};
    struct trib_stage_use use = use_of(_i);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t j = 0; j < sizeof alphabets / sizeof alphabets[0]; j++) {
            give_symbols(lengths[i], alphabets[j], (int)(i + j) % DISTRIBUTIONS);
            test_block_round_trip(&use, &given, &room, bytes);
        }
    }
}
END_TEST

START_TEST(whole_blocks)
{
    static const uint32_t alphabets[] = {1, 2, 3, 13, 255, 256, 4096, 65536};
    struct trib_stage_use use = use_of(_i);
    for (size_t j = 0; j < sizeof alphabets / sizeof alphabets[0]; j++) {
        for (int distribution = (int)j % 2; distribution < DISTRIBUTIONS; distribution += 2) {
            give_symbols(TRIB_CODEC_BLOCK - j % 4, alphabets[j], distribution);
            size_t len = test_block_round_trip(&use, &given, &room, bytes);
            ck_assert_uint_le(len, given.n * 2 + 64);
        }
    }
}
END_TEST

START_TEST(segments)
{
    static const uint32_t splits[][TRIB_BLOCK_SEGMENTS] = {{0, 0, 0, 0},   {1, 0, 0, 1},  {0, 500, 0, 0},
                                                           {500, 0, 1, 2}, {7, 8, 9, 10}, {1000, 30000, 500, 8}};
    struct trib_stage_use use = use_of(_i);
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        uint32_t n = 0;
        given.alphabet = 40;
        given.n_segments = TRIB_BLOCK_SEGMENTS;
        for (unsigned segment = 0; segment < TRIB_BLOCK_SEGMENTS; segment++) {
            given.segments[segment] = splits[i][segment];
            for (uint32_t end = n + splits[i][segment]; n < end; n++) {
                given.symbols[n] = draw((int)segment, given.alphabet, n);
            }
        }
        given.n = given.n_values = given.n_symbols = n;
        test_block_round_trip(&use, &given, &room, bytes);
        /* and with positions in front, of another number */
        give_positions(5000, 37);
        test_block_round_trip(&use, &given, &room, bytes);
        given.sparse = false;
    }
}
END_TEST

START_TEST(sparse)
{
    static const uint32_t one_in[] = {1, 2, 10, 100, 3000, UINT32_C(0x80000000)};
    static const size_t lengths[] = {1, 2, 9, 1000, TRIB_CODEC_BLOCK};
    struct trib_stage_use use = use_of(_i);
    for (size_t i = 0; i < sizeof one_in / sizeof one_in[0]; i++) {
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            give_positions(lengths[j], one_in[i]);
            size_t n_values = given.n_values;
            for (int kind = 0; kind < 4; kind++) {
                give_symbols(n_values, kind == 0 ? 1 : kind == 1 ? 2 : 255, CENTRED);
                given.n = lengths[j];
                given.sparse = true;
                given.derived = kind == 2;
                if (kind == 3) {
                    give_numbers(2);
                }
                test_block_round_trip(&use, &given, &room, bytes);
            }
        }
    }
    /* the first and the last alone */
    give_symbols(2, 3, UNIFORM);
    given.n = TRIB_CODEC_BLOCK;
    given.sparse = true;
    given.positions[0] = 0;
    given.positions[1] = TRIB_CODEC_BLOCK - 1;
    test_block_round_trip(&use, &given, &room, bytes);
    given.n_values = given.n_symbols = given.segments[0] = 1;
    given.positions[0] = TRIB_CODEC_BLOCK - 1;
    test_block_round_trip(&use, &given, &room, bytes);
}
END_TEST

START_TEST(numbers)
{
    static const size_t lengths[] = {0, 1, 2, 3, 17, 4097, TRIB_CODEC_BLOCK};
    struct trib_stage_use use = use_of(_i);
    for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
        for (unsigned width = 2; width <= 4; width += 2) {
            given.n = lengths[j] > 0 ? lengths[j] : 1;
            given.n_values = lengths[j];
            give_numbers(width);
            size_t len = test_block_round_trip(&use, &given, &room, bytes);
            size_t plain_len = lengths[j] * width;
            if (_i == 0 && lengths[j] >= 4097) { /* the upper byte has 2 bits */
                ck_assert_uint_le(len, plain_len - lengths[j] * 3 / 4 + 40);
            }
            ck_assert_uint_le(len, _i == 2 && lengths[j] >= 4097 ? plain_len * 19 / 20 : plain_len + 40);
        }
    }
}
END_TEST

/* Streams of every kind, small enough to spoil thousands of times. */
enum { KINDS = 7 };
static void give_kind(int kind)
{
    size_t n_values;
    switch (kind) {
    case 0:
        give_symbols(700, 9, CENTRED);
        break;
    case 1:
        give_symbols(300, 255, CENTRED);
        break;
    case 2:
        give_symbols(400, 5000, GEOMETRIC);
        break;
    case 3:
        give_positions(3000, 20);
        n_values = given.n_values;
        give_symbols(n_values, 3, UNIFORM);
        given.n = 3000;
        given.sparse = true;
        break;
    case 4:
        give_positions(1000, 2);
        give_numbers(4);
        break;
    case 5:
        give_symbols(600, 3, GEOMETRIC);
        given.n_segments = 3;
        given.segments[0] = 100;
        given.segments[1] = 0;
        given.segments[2] = 500;
        break;
    default:
        give_symbols(50, 200, CONSTANT);
        break;
    }
}

START_TEST(cut_short)
{
    struct trib_stage_use use = use_of(_i);
    for (int kind = 0; kind < KINDS; kind++) {
        give_kind(kind);
        size_t len = test_block_encode(&use, &given, &room, bytes);
        for (size_t cut = 0; cut < len; cut++) {
            enum trib_status status = test_block_open(use.stage, &given, &room, bytes, cut);
            ck_assert(status == TRIB_OK || status == TRIB_CORRUPT);
            if (status == TRIB_OK) {
                test_block_sane(&room);
            }
        }
        memset(bytes + len, 0, 16);
        ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len + 1), TRIB_CORRUPT);
        ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len + 16), TRIB_CORRUPT);
    }
}
END_TEST

/* One thread and no shared memory: the thread sanitizer, under which this takes ten times as long, sees enough in few.
 */
#ifdef __SANITIZE_THREAD__
enum { CHANGES = 3000 };
#else
enum { CHANGES = 20000 };
#endif

START_TEST(single_bytes_changed)
{
    struct trib_stage_use use = use_of(_i);
    int refused = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        give_kind(kind);
        size_t len = test_block_encode(&use, &given, &room, bytes);
        for (int change = 0; change < CHANGES / KINDS + 1; change++) {
            /* half of them where heads are */
            size_t at = (size_t)trib_rng_below(&rng, change % 2 == 0 || len < 40 ? len : 40);
            uint8_t was = bytes[at];
            bytes[at] ^= (uint8_t)(1 + trib_rng_below(&rng, 255));
            enum trib_status status = test_block_open(use.stage, &given, &room, bytes, len);
            ck_assert(status == TRIB_OK || status == TRIB_CORRUPT);
            if (status == TRIB_OK) {
                test_block_sane(&room);
            }
            refused += status != TRIB_OK;
            bytes[at] = was;
        }
    }
    ck_assert_int_gt(refused, 100);
}
END_TEST

START_TEST(garbage)
{
    struct trib_stage_use use = use_of(_i);
    for (int round = 0; round < CHANGES / 4; round++) {
        give_kind(round % KINDS);
        size_t len = (size_t)trib_rng_below(&rng, 300);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(trib_rng_u32(&rng) & (round % 3 == 0 ? 0xff : round % 3 == 1 ? 0x11 : 0xee));
        }
        enum trib_status status = test_block_open(use.stage, &given, &room, bytes, len);
        ck_assert(status == TRIB_OK || status == TRIB_CORRUPT);
        if (status == TRIB_OK) {
            test_block_sane(&room);
        }
    }
}
END_TEST

/* ---- zstd's own ---- */

START_TEST(zstd_levels)
{
    struct trib_chain chain;
    struct trib_error error;
    static const char *const bad[] = {"f16|zstd:0", "f16|zstd:20", "f16|zstd:x", "f16|zstd:", "f16|zstd:3,4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(trib_chain_parse(bad[i], &chain, &error), TRIB_INVALID);
        ck_assert_msg(strstr(error.message, "zstd"), "%s", error.message);
    }
    give_symbols(60000, 65536, UNIFORM);
    for (size_t i = 100; i < 60000; i++) { /* mostly repeats itself, here and there */
        size_t back = 100 + i / 50 % 7;
        given.symbols[i] = i % 50 < 30 && i > back ? given.symbols[i - back] : given.symbols[i] % 3000;
    }
    size_t lens[2];
    static const char *const good[] = {"sign|zstd:1", "sign|zstd:19"};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(trib_chain_parse(good[i], &chain, &error), TRIB_OK);
        lens[i] = test_block_round_trip(&chain.uses[1], &given, &room, bytes);
    }
    ck_assert_uint_lt(lens[1], lens[0]);
    ck_assert_int_eq(trib_chain_parse("f16|zstd", &chain, &error), TRIB_OK);
    ck_assert(chain.uses[1].args[0] == 3);
}
END_TEST

/* Other frames of zstd's format than encode writes. */
START_TEST(zstd_frames)
{
    struct trib_stage_use use = use_of(2);
    give_symbols(1000, 16, GEOMETRIC);
    size_t len = test_block_encode(&use, &given, &room, bytes);
    for (int bit = 0; bit < 6; bit++) { /* window, checksum, dictionary, reserved */
        bytes[4] ^= (uint8_t)(1 << bit);
        ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_CORRUPT);
        bytes[4] ^= (uint8_t)(1 << bit);
    }
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_OK);
    memcpy(bytes + len, bytes, len); /* two frames */
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, 2 * len), TRIB_CORRUPT);
    given.n_symbols = given.segments[0] = 998; /* another length than the frame says */
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_CORRUPT);
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, skippable, sizeof skippable), TRIB_CORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entropy");
    TCase *tests = tcase_create("entropy");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, lengths_and_alphabets, 0, STAGES);
    tcase_add_loop_test(tests, whole_blocks, 0, STAGES);
    tcase_add_loop_test(tests, segments, 0, STAGES);
    tcase_add_loop_test(tests, sparse, 0, STAGES);
    tcase_add_loop_test(tests, numbers, 0, STAGES);
    tcase_add_loop_test(tests, cut_short, 0, STAGES);
    tcase_add_loop_test(tests, single_bytes_changed, 0, STAGES);
    tcase_add_loop_test(tests, garbage, 0, STAGES);
    tcase_add_test(tests, zstd_levels);
    tcase_add_test(tests, zstd_frames);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
