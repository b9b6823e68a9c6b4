/* Every row's chain gives back what it was given, as nearly and in as few bytes as its row says. */
#include "conform_rows.h"

static enum trib_status encode_surveyed(const struct trib_chain *chain, const struct trib_survey *survey,
                                        const float *vector, size_t n, uint8_t *to, size_t capacity, size_t *len)
{
    return trib_chain_encode_block(chain, survey, work, SEED, NUMBER, vector, n, to, capacity, len);
}

static void check_one(size_t row, const float *vector, size_t n)
{
    struct trib_chain chain = chain_of(rows[row].text);
    size_t bound = trib_chain_bound(n), len = 0, again_len = 0;
    uint8_t *first = malloc(bound), *second = malloc(bound);
    float *decoded = malloc(n * sizeof *decoded);
    struct trib_survey *survey;
    struct trib_error error;
    memset(first, 0xaa, bound);
    memset(second, 0x55, bound);
    enum trib_status status = encode(&chain, SEED, vector, n, first, bound, &len);
    ck_assert_msg(status == TRIB_OK, "%s: %zu elements: %s", chain.text, n, trib_status_name(status));
    ck_assert_uint_le(len, bound);
    ck_assert_int_eq(trib_survey_new(&chain, SEED, vector, n, &survey, &error), TRIB_OK);
    ck_assert_int_eq(encode_surveyed(&chain, survey, vector, n, second, bound, &again_len), TRIB_OK);
    ck_assert_uint_eq(len, again_len);
    ck_assert_mem_eq(first, second, len);

    uint8_t *exact = heap_copy(first, len);
    status = decode(&chain, SEED, exact, len, decoded, n);
    ck_assert_msg(status == TRIB_OK, "%s: %zu elements decoded: %s", chain.text, n, trib_status_name(status));
    if (chain.caps & TRIB_CODEC_LOSSLESS) {
        ck_assert_mem_eq(decoded, vector, n * sizeof *vector);
    }
    /* one byte short: as little as the encoding needs is enough, less is refused */
    size_t short_len = 12345;
    uint8_t *small = malloc(len > 0 ? len : 1);
    ck_assert_int_eq(encode_surveyed(&chain, survey, vector, n, small, len, &short_len), TRIB_OK);
    short_len = 12345;
    free(small);
    small = malloc(len > 1 ? len - 1 : 1);
    ck_assert_int_eq(encode_surveyed(&chain, survey, vector, n, small, len - 1, &short_len), TRIB_LIMIT);
    ck_assert_uint_eq(short_len, 12345);
    free(small);
    trib_survey_free(survey);
    free(exact);
    free(decoded);
    free(first);
    free(second);
}

/* Under a sanitizer the two lengths of a whole block take turns with the kinds of vectors. */
static bool is_left_out(size_t l, int kind)
{
    return SANITIZED && l >= SHORT_LENGTHS && kind % 2 != (int)(l - SHORT_LENGTHS);
}

START_TEST(round_trip)
{
    for (size_t l = 0; l < LENGTHS; l++) {
        for (int kind = 0; kind < VECTORS; kind++) {
            if (is_left_out(l, kind)) {
                continue;
            }
            float *vector = make_vector(kind, lengths[l], rows[_i].largest / LARGE_BOUND);
            check_one((size_t)_i, vector, lengths[l]);
            free(vector);
        }
    }
}
END_TEST

START_TEST(error_and_size_are_as_promised)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    static float decoded[GAUSSIAN];
    float *vector = make_vector(0, GAUSSIAN, 16);
    size_t bound = trib_chain_bound(GAUSSIAN), len = 0;
    uint8_t *coded = malloc(bound);
    double error = 0, energy = 0;
    ck_assert_int_eq(encode(&chain, SEED, vector, GAUSSIAN, coded, bound, &len), TRIB_OK);
    ck_assert_int_eq(decode(&chain, SEED, coded, len, decoded, GAUSSIAN), TRIB_OK);
    for (size_t i = 0; i < GAUSSIAN; i++) {
        double difference = (double)decoded[i] - (double)vector[i];
        error += difference * difference;
        energy += (double)vector[i] * (double)vector[i];
    }
    double bits = (double)len * 8 / GAUSSIAN;
    ck_assert_msg(error / energy <= rows[_i].nmse, "%s: NMSE %g", chain.text, error / energy);
    ck_assert_msg(bits <= rows[_i].bits, "%s: %g bits a value", chain.text, bits);
    free(coded);
    free(vector);
}
END_TEST

START_TEST(same_length_where_claimed)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    if (!(chain.caps & TRIB_CODEC_FIXED_LENGTH)) {
        return;
    }
    for (size_t l = 0; l < SHORT_LENGTHS; l++) {
        size_t lens[VECTORS], bound = trib_chain_bound(lengths[l]);
        uint8_t *coded = malloc(bound);
        for (int kind = 0; kind < VECTORS; kind++) {
            float *vector = make_vector(kind, lengths[l], rows[_i].largest / LARGE_BOUND);
            ck_assert_int_eq(encode(&chain, SEED, vector, lengths[l], coded, bound, &lens[kind]), TRIB_OK);
            ck_assert_uint_eq(lens[kind], lens[0]);
            free(vector);
        }
        free(coded);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, round_trip, 0, (int)n_rows);
    tcase_add_loop_test(tests, error_and_size_are_as_promised, 0, (int)n_rows);
    tcase_add_loop_test(tests, same_length_where_claimed, 0, (int)n_rows);
}

int main(void)
{
    return run_conform("codec chains", add);
}
