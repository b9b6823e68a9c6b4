/* Half precision: the scalar code against arithmetic in double, and the bulk code, which may be the processor's,
 * against the scalar one. */
#include "codec/half.h"

#include "base/rng.h"

#include "test_main.h"

#include <math.h>
#include <string.h>

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* By definition: a multiple of 2^(exponent - 10), at least of 2^-24, the nearest, ties to even. */
static double nearest_half(double value)
{
    int exponent = 0;
    frexp(value, &exponent); /* |value| in [2^(exponent-1), 2^exponent) */
    int unit = exponent - 1 - 10 < -24 ? -24 : exponent - 1 - 10;
    double rounded = ldexp(rint(ldexp(value, -unit)), unit);
    return fabs(rounded) >= 65536 ? copysign(INFINITY, value) : rounded;
}

static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                       : exponent == 0 ? ldexp(fraction, -24)
                                       : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

START_TEST(every_half)
{
    for (uint32_t half = 0; half <= UINT16_MAX; half++) {
        float value = trib_half_to_float((uint16_t)half);
        if (isnan(half_value((uint16_t)half))) {
            ck_assert(isnan(value));
            ck_assert_uint_eq(trib_half_from_float(value) & 0x7fff, 0x7e00);
            continue;
        }
        ck_assert((double)value == half_value((uint16_t)half));
        ck_assert_int_eq(signbit(value) != 0, half >> 15);
        ck_assert_uint_eq(trib_half_from_float(value), half);
    }
}
END_TEST

/* Millions of values: libcheck is called only to fail, for it writes down every assertion that it passes. */
static void check_rounding(uint32_t bits)
{
    float value = from_bits(bits);
    if (!isfinite(value)) {
        return;
    }
    uint16_t half = trib_half_from_float(value);
    if (half_value(half) != nearest_half((double)value) || half >> 15 != (signbit(value) != 0)) {
        ck_abort_msg("%a became %a", (double)value, half_value(half));
    }
}

/* Around every half, every midpoint of two, and every power of two. */
START_TEST(rounding)
{
    for (uint32_t half = 0; half < 0x7c00; half++) {
        uint32_t low = to_bits((float)half_value((uint16_t)half));
        uint32_t high = half == 0x7bff ? to_bits(65536.0F) : to_bits((float)half_value((uint16_t)(half + 1)));
        uint32_t middle = to_bits((float)(((double)from_bits(low) + (double)from_bits(high)) / 2));
        for (uint32_t d = 0; d < 3; d++) {
            check_rounding(low + d);
            check_rounding(middle - 1 + d);
            check_rounding((middle - 1 + d) | UINT32_C(0x80000000));
            check_rounding(high - d);
        }
    }
    struct trib_rng rng = trib_rng_init(5, "half", 0, 0);
    for (int i = 0; i < 2000000; i++) {
        check_rounding(trib_rng_u32(&rng));
    }
}
END_TEST

START_TEST(limits)
{
    ck_assert_uint_eq(trib_half_from_float(65504.0F), 0x7bff);
    ck_assert_uint_eq(trib_half_from_float(nextafterf(65520.0F, 0)), 0x7bff);
    ck_assert_uint_eq(trib_half_from_float(65520.0F), 0x7c00);
    ck_assert_uint_eq(trib_half_from_float(-65520.0F), 0xfc00);
    ck_assert_uint_eq(trib_half_from_float(0x1p-24F), 1);
    ck_assert_uint_eq(trib_half_from_float(0x1p-25F), 0);
    ck_assert_uint_eq(trib_half_from_float(nextafterf(0x1p-25F, 1)), 1);
    ck_assert_uint_eq(trib_half_from_float(-0.0F), 0x8000);
    ck_assert_uint_eq(trib_half_from_float(INFINITY), 0x7c00);
}
END_TEST

enum { BULK = 4096 };

/* Bulk and scalar agree bit for bit, at every length up to a few vectors and every kind of value. */
START_TEST(bulk_is_scalar)
{
    static float values[BULK], back[BULK];
    static uint8_t packed[2 * BULK];
    struct trib_rng rng = trib_rng_init(6, "half", 0, 0);
    for (int round = 0; round < 500; round++) {
        size_t n = round < 40 ? (size_t)round : BULK;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = trib_rng_u32(&rng);
            /* exponents from -30 to 15, so that most are in range, many subnormal and many ties */
            uint32_t exponent = (97 + bits % 46) << 23;
            uint32_t fraction = (bits >> 8) & UINT32_C(0x7fffff);
            values[i] = from_bits((bits & UINT32_C(0x80000000)) | exponent |
                                  (round % 2 ? fraction : fraction & UINT32_C(0x7ff000)));
        }
        bool finite = true;
        for (size_t i = 0; i < n; i++) {
            finite &= isfinite(half_value(trib_half_from_float(values[i]))) != 0;
        }
        ck_assert_int_eq(trib_half_pack(values, n, packed), finite);
        ck_assert_int_eq(trib_half_unpack(packed, n, back), finite);
        for (size_t i = 0; i < n; i++) {
            uint16_t half = (uint16_t)(packed[2 * i] | packed[2 * i + 1] << 8);
            if (half != trib_half_from_float(values[i]) || to_bits(back[i]) != to_bits(trib_half_to_float(half))) {
                ck_abort_msg("element %zu of %zu: %a: bulk and scalar differ", i, n, (double)values[i]);
            }
        }
    }
}
END_TEST

START_TEST(bulk_refuses)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 65520.0F, -1e30F};
    float values[40];
    uint8_t packed[80];
    for (size_t n = 1; n <= 40; n++) {
        for (size_t at = 0; at < n; at++) {
            for (size_t i = 0; i < 40; i++) {
                values[i] = 65504.0F;
            }
            ck_assert(trib_half_pack(values, n, packed));
            ck_assert(trib_half_unpack(packed, n, values));
            for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
                values[at] = bad[b];
                ck_assert(!trib_half_pack(values, n, packed));
            }
            packed[2 * at + 1] = 0xfc; /* -inf, or a nan when its low byte is not 0 */
            packed[2 * at] = (uint8_t)at;
            ck_assert(!trib_half_unpack(packed, n, values));
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("half");
    TCase *tests = tcase_create("half");
    tcase_add_test(tests, every_half);
    tcase_add_test(tests, rounding);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, bulk_is_scalar);
    tcase_add_test(tests, bulk_refuses);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
