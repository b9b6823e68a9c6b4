/* Tests of rANS: how near it comes to the entropy, which way of coding it falls back to, the bytes that it has always
 * written, and the streams that it refuses. */
#include "base/rng.h"

#include "test_block.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>

static struct trib_block given, room;
static uint8_t *bytes;
static struct trib_stage_use use;
static struct trib_rng rng;

static void setup(void)
{
    given = test_block_new();
    room = test_block_new();
    bytes = trib_malloc(TEST_BLOCK_ROOM);
    use = (struct trib_stage_use){.stage = trib_stage_find("range")};
    ck_assert(bytes && use.stage);
    rng = trib_rng_init(18, "rans", 0, 0);
}

static void teardown(void)
{
    test_block_free(&given);
    test_block_free(&room);
    trib_free(bytes);
}

static void give(size_t n, uint32_t alphabet)
{
    given.n = n;
    given.n_values = given.n_symbols = given.segments[0] = (uint32_t)n;
    given.n_segments = 1;
    given.alphabet = alphabet;
}

/* Bytes that the symbols of a part take by their own frequencies. */
static double entropy_of(const uint16_t *symbols, size_t n)
{
    static double counts[UINT16_MAX + 1];
    double bits = 0;
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < n; i++) {
        counts[symbols[i]]++;
    }
    for (size_t i = 0; i <= UINT16_MAX; i++) {
        bits -= counts[i] > 0 ? counts[i] * log2(counts[i] / (double)n) : 0;
    }
    return bits / 8;
}

/* Rotated values on a grid: indices of a normal variable, in steps of its deviation. */
static void give_grid(size_t n, double step)
{
    uint32_t middle = (uint32_t)ceil(5.5 / step);
    give(n, 2 * middle + 1);
    for (size_t i = 0; i < n; i++) {
        double index = rint(trib_rng_normal(&rng) / step) + middle;
        given.symbols[i] = (uint16_t)(index < 0 ? 0 : index > 2 * middle ? 2 * middle : index);
    }
}

static const double steps[] = {7, 5.0715, 3.4562, 2.42162, 1.08245, 0.522433, 0.259017, 0.06};

START_TEST(near_the_entropy)
{
    give_grid(TRIB_CODEC_BLOCK, steps[_i]);
    double entropy = entropy_of(given.symbols, given.n);
    double over = (double)test_block_round_trip(&use, &given, &room, bytes) - entropy;
    double most = given.alphabet <= 16 ? 30 : given.alphabet <= 64 ? 60 : 120;
    ck_assert_msg(over <= most && over <= 8 + 0.003 * entropy, "step %g, alphabet %u: %.1f bytes over %.1f", steps[_i],
                  (unsigned)given.alphabet, over, entropy);
}
END_TEST

/* Mostly one symbol. */
START_TEST(low_rates)
{
    static const double shares[] = {0.001, 0.002, 0.01, 0.05};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        for (uint32_t alphabet = 2; alphabet <= 6; alphabet += 2) {
            give(TRIB_CODEC_BLOCK, alphabet);
            for (size_t at = 0; at < given.n; at++) {
                bool rare = trib_rng_uniform64(&rng) < shares[i];
                given.symbols[at] = rare ? (uint16_t)trib_rng_below(&rng, alphabet) : 1;
            }
            double entropy = entropy_of(given.symbols, given.n);
            double len = (double)test_block_round_trip(&use, &given, &room, bytes);
            ck_assert_msg(len <= entropy * 1.003 + 12, "%g of %u symbols: %g bytes, entropy %.1f", shares[i],
                          (unsigned)alphabet, len, entropy);
        }
    }
}
END_TEST

START_TEST(falls_back)
{
    give(TRIB_CODEC_BLOCK, 1000); /* one symbol */
    for (size_t i = 0; i < given.n; i++) {
        given.symbols[i] = 999;
    }
    ck_assert_uint_le(test_block_round_trip(&use, &given, &room, bytes), 2);
    for (uint32_t alphabet = 2; alphabet <= 65536; alphabet *= 2) { /* nothing to gain */
        unsigned width = (unsigned)lrint(log2(alphabet));
        for (size_t n = 1; n <= TRIB_CODEC_BLOCK; n *= 16) {
            give(n, alphabet);
            for (size_t i = 0; i < n; i++) {
                given.symbols[i] = (uint16_t)(trib_rng_u32(&rng) % alphabet);
            }
            ck_assert_uint_le(test_block_round_trip(&use, &given, &room, bytes), (n * width + 7) / 8 + 1);
        }
    }
    give(TRIB_CODEC_BLOCK, 65536); /* all different */
    for (size_t i = 0; i < given.n; i++) {
        given.symbols[i] = (uint16_t)(i * 40503);
    }
    ck_assert_uint_le(test_block_round_trip(&use, &given, &room, bytes), 2 * given.n + 1);
}
END_TEST

/* Alphabets for which a table of frequencies would be larger than what it saves. */
START_TEST(wide_alphabets)
{
    static const struct {
        size_t n;
        double deviation;
        uint32_t alphabet;
        double most; /* times the entropy */
    } cases[] = {{655, 25, 255, 1.09}, {6553, 25, 255, 1.02}, {65536, 300, 4096, 1.005}, {65536, 5000, 65536, 1.09}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double middle = cases[i].alphabet / 2, last = cases[i].alphabet - 1;
        give(cases[i].n, cases[i].alphabet);
        for (size_t at = 0; at < given.n; at++) {
            double index = rint(trib_rng_normal(&rng) * cases[i].deviation + middle);
            given.symbols[at] = (uint16_t)(index < 0 ? 0 : index > last ? last : index);
        }
        double entropy = entropy_of(given.symbols, given.n);
        double len = (double)test_block_round_trip(&use, &given, &room, bytes);
        ck_assert_msg(len < entropy * cases[i].most + 4, "case %zu: %g bytes, entropy %.1f", i, len, entropy);
    }
}
END_TEST

/* Many rare symbols beside many equal ones: each needs a slot, and somebody must give them up. */
START_TEST(crowded_model)
{
    for (uint32_t rare = 100; rare < 1024; rare += 131) {
        give(TRIB_CODEC_BLOCK, 1024);
        for (size_t i = 0; i < given.n; i++) {
            given.symbols[i] = (uint16_t)(i < rare ? i : rare + i % (1024 - rare));
        }
        double entropy = entropy_of(given.symbols, given.n);
        double len = (double)test_block_round_trip(&use, &given, &room, bytes);
        ck_assert_msg(len < entropy * 1.02 + 700, "%u rare symbols: %g bytes, entropy %.1f", (unsigned)rare, len,
                      entropy);
    }
}
END_TEST

/* Two segments that differ take what each takes, and not what both together would. */
START_TEST(segments_have_their_own)
{
    give(TRIB_CODEC_BLOCK, 8);
    given.n_segments = 3;
    given.segments[0] = TRIB_CODEC_BLOCK / 2;
    given.segments[1] = 0;
    given.segments[2] = TRIB_CODEC_BLOCK / 2;
    for (size_t i = 0; i < given.n; i++) {
        uint32_t word = trib_rng_u32(&rng) % 16;
        given.symbols[i] = (uint16_t)((i < given.n / 2 ? 0 : 4) + (word < 12 ? 0 : word - 12));
    }
    double separate = entropy_of(given.symbols, given.n / 2) + entropy_of(given.symbols + given.n / 2, given.n / 2);
    double len = (double)test_block_round_trip(&use, &given, &room, bytes);
    ck_assert_msg(len < separate + 30 && len < entropy_of(given.symbols, given.n), "%g bytes, %g", len, separate);
}
END_TEST

START_TEST(positions)
{
    static const double shares[] = {0.5, 0.1, 0.01, 0.0025, 0.001};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        size_t k = 0;
        for (uint32_t at = 0; at < TRIB_CODEC_BLOCK; at++) {
            if (trib_rng_uniform64(&rng) < shares[i]) {
                given.positions[k++] = at;
            }
        }
        give(k, 1);
        memset(given.symbols, 0, k * sizeof *given.symbols);
        given.n = TRIB_CODEC_BLOCK;
        given.sparse = true;
        double share = (double)k / TRIB_CODEC_BLOCK;
        double entropy = -TRIB_CODEC_BLOCK * (share * log2(share) + (1 - share) * log2(1 - share)) / 8;
        double len = (double)test_block_round_trip(&use, &given, &room, bytes);
        ck_assert_msg(len < entropy * 1.015 + 6, "%zu positions: %g bytes, entropy %.1f", k, len, entropy);
    }
}
END_TEST

/* The same bytes with every compiler and instruction set, drawn without libm. Who makes the encoder choose otherwise
 * changes this hash; streams of before must decode still. */
START_TEST(golden)
{
    uint64_t hash = 0;
    for (uint32_t round = 0; round < 24; round++) {
        static const uint32_t alphabets[] = {2, 3, 13, 45, 255, 1024, 4096, 65536};
        give(round < 8 ? 1000 : round < 16 ? 20000 : TRIB_CODEC_BLOCK, alphabets[round % 8]);
        for (size_t i = 0; i < given.n; i++) {
            uint32_t value = 0;
            for (int part = 0; part < 4; part++) {
                value += trib_rng_u32(&rng) % (given.alphabet / 4 + 1);
            }
            given.symbols[i] = (uint16_t)(value < given.alphabet ? value : 0);
            given.positions[i] = (uint32_t)i * 3;
        }
        given.sparse = round < 16;
        given.n = given.sparse ? TRIB_CODEC_BLOCK : given.n;
        size_t len = test_block_round_trip(&use, &given, &room, bytes);
        hash = trib_hash64(bytes, len, hash);
    }
    ck_assert_msg(hash == UINT64_C(0xdcdb85f70188b72f), "the bytes hash to 0x%016llx", (unsigned long long)hash);
}
END_TEST

/* ---- what no encoder writes ---- */

enum { MODE_SYMBOLS = 2, MODE_BUCKETS = 3, MODE_BITS = 3, FINE_BITS = 3 }; /* as a head has them */

/* 655 normal symbols below 255, which buckets code in the fewest bits: the stream's length. */
static size_t give_buckets(void)
{
    give(655, 255);
    for (size_t i = 0; i < given.n; i++) {
        double index = rint(trib_rng_normal(&rng) * 25 + 127);
        given.symbols[i] = (uint16_t)(index < 0 ? 0 : index > 254 ? 254 : index);
    }
    size_t len = test_block_encode(&use, &given, &room, bytes);
    ck_assert_uint_eq(bytes[0] % (1 << MODE_BITS), MODE_BUCKETS);
    return len;
}

/* The centre of the buckets, 8 bits of the head after mode and fineness. */
static void set_centre(uint32_t centre)
{
    unsigned at = MODE_BITS + FINE_BITS;
    uint32_t head = trib_load_u32(bytes);
    trib_store_u32(bytes, (head & ~(UINT32_C(0xff) << at)) | centre << at);
}

/* Every centre of the alphabet decodes to symbols of the alphabet; the next one, which fits into the bits as well,
 * would decode to symbols beyond it. */
START_TEST(centre_beyond_the_alphabet)
{
    size_t len = give_buckets();
    for (uint32_t centre = 0; centre < given.alphabet; centre++) {
        set_centre(centre);
        ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_OK);
        test_block_sane(&room);
    }
    set_centre(given.alphabet);
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_CORRUPT);
}
END_TEST

/* The decoder must end where the encoder began. So no other bytes than the encoder's are taken for symbols: neither in
 * the states in front nor in the words, of which the last is seen by nothing but the final state. */
START_TEST(altered_final_state)
{
    static const size_t lengths[] = {300, 4000, 40000}; /* one, two and four lanes */
    size_t n = lengths[_i];
    give_grid(n, 1);
    size_t len = test_block_encode(&use, &given, &room, bytes);
    ck_assert_uint_eq(bytes[0] % (1 << MODE_BITS), MODE_SYMBOLS);
    size_t from = len > 64 ? len - 64 : 0;
    for (size_t bit = 8 * from; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ck_assert_msg(test_block_open(use.stage, &given, &room, bytes, len) == TRIB_CORRUPT, "bit %zu of %zu", bit,
                      8 * len);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    ck_assert_int_eq(test_block_open(use.stage, &given, &room, bytes, len), TRIB_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rans");
    TCase *tests = tcase_create("rans");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, near_the_entropy, 0, sizeof steps / sizeof steps[0]);
    tcase_add_test(tests, low_rates);
    tcase_add_test(tests, falls_back);
    tcase_add_test(tests, wide_alphabets);
    tcase_add_test(tests, crowded_model);
    tcase_add_test(tests, segments_have_their_own);
    tcase_add_test(tests, positions);
    tcase_add_test(tests, golden);
    tcase_add_test(tests, centre_beyond_the_alphabet);
    tcase_add_loop_test(tests, altered_final_state, 0, 3);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
