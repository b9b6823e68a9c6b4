/* Every row's chain refuses what it cannot carry and what it has not written. */
#include "conform_rows.h"

START_TEST(non_finite_refused)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t l = 0; l < 8; l++) {
        size_t n = lengths[l], bound = trib_chain_bound(n);
        uint8_t *coded = malloc(bound);
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
            for (size_t at = 0; at < n; at += 1 + at / 4) {
                float *vector = make_vector(0, n, 16);
                vector[at] = bad[b];
                size_t len = 12345;
                ck_assert_int_eq(
                    trib_chain_encode_block(&chain, NULL, work, SEED, NUMBER, vector, n, coded, bound, &len),
                    TRIB_NOT_FINITE);
                ck_assert_uint_eq(len, 12345);
                free(vector);
            }
        }
        free(coded);
    }
}
END_TEST

START_TEST(wrong_length_refused)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    const size_t n = 300;
    float *vector = make_vector(0, n, 16);
    size_t capacity = trib_chain_bound(n), len = 0;
    uint8_t *coded = calloc(capacity + 70, 1);
    float *decoded = malloc(n * sizeof *decoded);
    ck_assert_int_eq(encode(&chain, SEED, vector, n, coded, capacity, &len), TRIB_OK);
    for (size_t wrong = 0; wrong < len + 70; wrong++) {
        uint8_t *exact = heap_copy(coded, wrong);
        enum trib_status status = decode(&chain, SEED, exact, wrong, decoded, n);
        bool right = wrong == len ? status == TRIB_OK : status == TRIB_CORRUPT || status == TRIB_NOT_FINITE;
        ck_assert_msg(right, "%s: %zu bytes for %zu: %s", chain.text, wrong, len, trib_status_name(status));
        free(exact);
    }
    free(decoded);
    free(coded);
    free(vector);
}
END_TEST

static void check_answer(enum trib_status status, const float *decoded, size_t n)
{
    bool sound = status == TRIB_OK || status == TRIB_CORRUPT || status == TRIB_NOT_FINITE;
    for (size_t i = 0; i < n && status == TRIB_OK; i++) {
        sound = sound && isfinite(decoded[i]);
    }
    ck_assert(sound);
}

/* Any bytes at any alignment, and sound ones with some changed: an answer, and never a value that is not finite. */
START_TEST(any_bytes)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    struct trib_rng rng = trib_rng_init(3, "bytes", (uint64_t)_i, 0);
    enum { N = 150, MOST = 4 * N + 64 };
    float decoded[N], *vector = make_vector(0, N, 16);
    uint8_t *sound = malloc(trib_chain_bound(N));
    size_t sound_len = 0;
    int refused = 0;
    ck_assert_int_eq(encode(&chain, SEED, vector, N, sound, trib_chain_bound(N), &sound_len), TRIB_OK);
    for (int round = 0; round < 2400 / RARER; round++) {
        size_t shift = trib_rng_below(&rng, 8);
        bool changed = round % 3 != 0;
        size_t len = changed ? sound_len : 1 + trib_rng_below(&rng, MOST);
        uint8_t *bytes = malloc(len + shift);
        unsigned mask = round % 2 ? 0xff : 0x3f; /* the second kind has no exponents of all ones */
        for (size_t i = 0; i < len; i++) {
            bytes[shift + i] = changed ? sound[i] : (uint8_t)(trib_rng_u32(&rng) & mask);
        }
        for (int change = 0; changed && change <= round % 4; change++) {
            bytes[shift + trib_rng_below(&rng, round % 2 ? len : (len < 24 ? len : 24))] ^= (uint8_t)(1 << round % 8);
        }
        enum trib_status status = decode(&chain, SEED, bytes + shift, len, decoded, N);
        check_answer(status, decoded, N);
        refused += status != TRIB_OK;
        free(bytes);
    }
    ck_assert_int_gt(refused, 0);
    free(sound);
    free(vector);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, non_finite_refused, 0, (int)n_rows);
    tcase_add_loop_test(tests, wrong_length_refused, 0, (int)n_rows);
    tcase_add_loop_test(tests, any_bytes, 0, (int)n_rows);
}

int main(void)
{
    return run_conform("codec hostile", add);
}
