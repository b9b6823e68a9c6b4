/* Every listed codec keeps the contract of codec/codec.h. A codec without a row in `oracles` fails: its error must be
 * stated before it can be checked. */
#include "codec/codec.h"

#include "base/rng.h"
#include "base/str.h"

#include "test_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The largest |decoded - value| that the codec's format allows. */
static double error_f32(float value)
{
    (void)value;
    return 0;
}

static double error_f16(float value)
{
    return fmax(fabs((double)value) * 0x1p-11, 0x1p-25);
}

static const struct {
    const char *name;
    double (*error)(float value);
    float largest; /* magnitudes up to here can be carried */
} oracles[] = {
    {"f32", error_f32, 3.4028235e38F},
    {"f16", error_f16, 65504},
};

static const struct trib_codec *codec_at(int i)
{
    const struct trib_codec *const *list;
    ck_assert_uint_lt((size_t)i, trib_codecs(&list));
    return list[i];
}

static size_t oracle_of(const struct trib_codec *codec)
{
    for (size_t i = 0; i < sizeof oracles / sizeof oracles[0]; i++) {
        if (trib_str_equal(oracles[i].name, codec->name)) {
            return i;
        }
    }
    ck_abort_msg("codec %s has no row in oracles[]: state its error", codec->name);
    return 0;
}

enum { VECTORS = 5 };
static const size_t lengths[] = {1, 2, 7, 8, 9, 31, 64, 1000, TRIB_CODEC_BLOCK - 1, TRIB_CODEC_BLOCK};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

/* Vectors unlike each other: what updates look like, every magnitude, tiny ones, few non-zeros, extremes. */
static float *make_vector(int kind, size_t n, float largest)
{
    float *vector = malloc(n * sizeof *vector);
    ck_assert_ptr_nonnull(vector);
    struct trib_rng rng = trib_rng_init(17, "codec", (uint64_t)kind, n);
    for (size_t i = 0; i < n; i++) {
        double normal = trib_rng_normal(&rng);
        double exponent = -160 + 320 * trib_rng_uniform64(&rng);
        switch (kind) {
        case 0:
            vector[i] = (float)(normal * 1e-3);
            break;
        case 1:
            vector[i] = (float)fmax(-largest, fmin(largest, normal * exp2(exponent)));
            break;
        case 2:
            vector[i] = (float)(normal * 0x1p-24);
            break;
        case 3:
            vector[i] = trib_rng_below(&rng, 50) ? 0.0F : (float)normal;
            break;
        default: {
            const float extremes[] = {0.0F, -0.0F, largest, -largest, 0x1p-149F, -0x1p-149F, 0x1p-126F, 1.0F};
            vector[i] = extremes[i % 8];
        }
        }
    }
    return vector;
}

/* On the heap with nothing after it, so that a sanitizer sees every byte too far. */
static uint8_t *heap_copy(const uint8_t *from, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, from, len);
    return copy;
}

static const struct trib_codec_context context = {.seed = 99, .block = 3};

static void check_one(const struct trib_codec *codec, const float *vector, size_t n)
{
    size_t oracle = oracle_of(codec);
    size_t bound = codec->bound(n);
    uint8_t *first = malloc(bound), *second = malloc(bound);
    float *decoded = malloc(n * sizeof *decoded);
    size_t len = 0, again_len = 0;
    memset(first, 0xaa, bound);
    memset(second, 0x55, bound);
    ck_assert_int_eq(codec->encode(&context, vector, n, first, bound, &len), TRIB_OK);
    ck_assert_uint_le(len, bound);
    if (codec->caps & TRIB_CODEC_FIXED_LENGTH) {
        ck_assert_uint_eq(len, bound);
    }
    ck_assert_int_eq(codec->encode(&context, vector, n, second, bound, &again_len), TRIB_OK);
    ck_assert_uint_eq(len, again_len);
    ck_assert_mem_eq(first, second, len);

    uint8_t *exact = heap_copy(first, len);
    ck_assert_int_eq(codec->decode(&context, exact, len, decoded, n), TRIB_OK);
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)decoded[i] - (double)vector[i]);
        ck_assert_msg(error <= oracles[oracle].error(vector[i]), "%s: element %zu of %zu: %a became %a", codec->name, i,
                      n, (double)vector[i], (double)decoded[i]);
    }
    if (codec->caps & TRIB_CODEC_LOSSLESS) {
        ck_assert_mem_eq(decoded, vector, n * sizeof *vector);
    }
    /* one byte short: as little as the encoding needs is enough, less is refused */
    size_t short_len = 12345;
    uint8_t *small = malloc(len);
    ck_assert_int_eq(codec->encode(&context, vector, n, small, len, &short_len), TRIB_OK);
    short_len = 12345;
    free(small);
    small = malloc(len > 1 ? len - 1 : 1);
    ck_assert_int_eq(codec->encode(&context, vector, n, small, len - 1, &short_len), TRIB_LIMIT);
    ck_assert_uint_eq(short_len, 12345);
    free(small);
    free(exact);
    free(decoded);
    free(first);
    free(second);
}

START_TEST(table_is_complete)
{
    const struct trib_codec *codec = codec_at(_i);
    ck_assert_ptr_nonnull(codec->name);
    ck_assert_ptr_nonnull(codec->help);
    ck_assert_ptr_nonnull(codec->bound);
    ck_assert_ptr_nonnull(codec->encode);
    ck_assert_ptr_nonnull(codec->decode);
    ck_assert_uint_ne(codec->id, 0); /* 0 fills the unused places in a frame */
    ck_assert_ptr_eq(trib_codec_find(codec->name), codec);
    ck_assert_ptr_eq(trib_codec_by_id(codec->id), codec);
    /* block lengths are stored in 32 bits */
    ck_assert_uint_le(codec->bound(TRIB_CODEC_BLOCK), UINT32_MAX);
}
END_TEST

START_TEST(unknown_names_and_ids)
{
    ck_assert_ptr_null(trib_codec_find("f64"));
    ck_assert_ptr_null(trib_codec_find(""));
    ck_assert_ptr_null(trib_codec_find(NULL));
    ck_assert_ptr_null(trib_codec_by_id(0));
    ck_assert_ptr_null(trib_codec_by_id(255));
    const struct trib_codec *const *list;
    size_t n = trib_codecs(&list);
    ck_assert_uint_ge(n, 2);
    size_t ids = 0;
    for (unsigned id = 0; id <= UINT8_MAX; id++) {
        ids += trib_codec_by_id((uint8_t)id) != NULL;
    }
    ck_assert_uint_eq(ids, n);
}
END_TEST

START_TEST(round_trip)
{
    const struct trib_codec *codec = codec_at(_i);
    float largest = oracles[oracle_of(codec)].largest;
    for (size_t l = 0; l < LENGTHS; l++) {
        for (int kind = 0; kind < VECTORS; kind++) {
            float *vector = make_vector(kind, lengths[l], largest);
            check_one(codec, vector, lengths[l]);
            free(vector);
        }
    }
}
END_TEST

START_TEST(non_finite_refused)
{
    const struct trib_codec *codec = codec_at(_i);
    float largest = oracles[oracle_of(codec)].largest;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, largest < 1e38F ? largest * 1.01F : NAN};
    for (size_t l = 0; l < 8; l++) {
        size_t n = lengths[l];
        uint8_t *coded = malloc(codec->bound(n));
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
            for (size_t at = 0; at < n; at += 1 + at / 4) {
                float *vector = make_vector(0, n, largest);
                vector[at] = bad[b];
                size_t len = 12345;
                ck_assert_int_eq(codec->encode(&context, vector, n, coded, codec->bound(n), &len), TRIB_NOT_FINITE);
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
    const struct trib_codec *codec = codec_at(_i);
    const size_t n = 40;
    float *vector = make_vector(0, n, 1);
    size_t capacity = codec->bound(n), len = 0;
    uint8_t *coded = calloc(capacity + 70, 1);
    float *decoded = malloc(n * sizeof *decoded);
    ck_assert_int_eq(codec->encode(&context, vector, n, coded, capacity, &len), TRIB_OK);
    for (size_t wrong = 0; wrong < len + 70; wrong++) {
        uint8_t *exact = heap_copy(coded, wrong);
        enum trib_status status = codec->decode(&context, exact, wrong, decoded, n);
        ck_assert_msg(status == (wrong == len ? TRIB_OK : TRIB_CORRUPT), "%s: %zu bytes for %zu: %s", codec->name,
                      wrong, len, trib_status_name(status));
        free(exact);
    }
    free(decoded);
    free(coded);
    free(vector);
}
END_TEST

/* Any bytes at any alignment: an answer, and never a value that is not finite. */
START_TEST(any_bytes)
{
    const struct trib_codec *codec = codec_at(_i);
    struct trib_rng rng = trib_rng_init(3, "bytes", (uint64_t)_i, 0);
    enum { N = 24 };
    size_t len = codec->bound(N);
    int accepted = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        size_t shift = trib_rng_below(&rng, 8);
        uint8_t *bytes = malloc(len + shift);
        float decoded[N];
        unsigned mask = round % 2 ? 0xff : 0x3f; /* the second kind has no exponents of all ones */
        for (size_t i = 0; i < len + shift; i++) {
            bytes[i] = (uint8_t)(trib_rng_u32(&rng) & mask);
        }
        enum trib_status status = codec->decode(&context, bytes + shift, len, decoded, N);
        if (status == TRIB_OK) {
            accepted++;
            for (int i = 0; i < N; i++) {
                ck_assert(isfinite(decoded[i]));
            }
        } else {
            refused++;
            ck_assert(status == TRIB_CORRUPT || status == TRIB_NOT_FINITE);
        }
        free(bytes);
    }
    ck_assert_int_gt(accepted, 0);
    ck_assert_int_gt(refused, 0);
}
END_TEST

int main(void)
{
    const struct trib_codec *const *list;
    int n = (int)trib_codecs(&list);
    Suite *suite = suite_create("codecs");
    TCase *tests = tcase_create("conform");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, unknown_names_and_ids);
    tcase_add_loop_test(tests, table_is_complete, 0, n);
    tcase_add_loop_test(tests, round_trip, 0, n);
    tcase_add_loop_test(tests, non_finite_refused, 0, n);
    tcase_add_loop_test(tests, wrong_length_refused, 0, n);
    tcase_add_loop_test(tests, any_bytes, 0, n);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
