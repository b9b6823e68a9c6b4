/* Halves are converted by integer arithmetic, and in bulk by the processor where it can. */
#include "codec/half.h"

#include "base/buf.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#define HAVE_F16C 1
#endif

enum { HALF_EXPONENT = 0x7c00, HALF_QUIET_NAN = 0x7e00 };
enum { FRACTION_DROPPED = 13 /* 23 bits to 10 */, REBIAS = (127 - 15) << 23 /* of exponents, in a float's place */ };

/* Drop the low `shift` bits, to nearest, ties to even: add just under half of the last kept bit, and its own value. */
static uint32_t round_shift(uint32_t bits, unsigned shift)
{
    uint32_t odd = bits >> shift & 1u;
    return (bits + ((1u << (shift - 1)) - 1u) + odd) >> shift;
}

uint16_t trib_half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & UINT32_C(0x7fffffff);
    if (magnitude > UINT32_C(0x7f800000)) {
        return (uint16_t)(sign | HALF_QUIET_NAN);
    }
    if (magnitude >= UINT32_C(0x47800000)) { /* 2^16 and up, infinity */
        return (uint16_t)(sign | HALF_EXPONENT);
    }
    if (magnitude >= UINT32_C(0x38800000)) { /* 2^-14 and up: normal; a carry out of the fraction is right too */
        return (uint16_t)(sign | round_shift(magnitude - REBIAS, FRACTION_DROPPED));
    }
    if (magnitude < UINT32_C(0x33000000)) { /* below 2^-25, half of the smallest subnormal */
        return (uint16_t)sign;
    }
    /* subnormal: a multiple of 2^-24, value = fraction * 2^(exponent - 127 - 23) */
    unsigned exponent = magnitude >> 23;
    uint32_t fraction = (magnitude & UINT32_C(0x7fffff)) | UINT32_C(0x800000);
    return (uint16_t)(sign | round_shift(fraction, 126u - exponent));
}

float trib_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    uint32_t bits;
    float value;
    if (exponent == 0) { /* zero or subnormal: at most 10 bits, exact in a float */
        value = (float)fraction * 0x1p-24F;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    } else if (exponent == 0x1f) {
        bits = sign | UINT32_C(0x7f800000) | fraction << FRACTION_DROPPED;
    } else {
        bits = sign | ((exponent << 23) + REBIAS) | fraction << FRACTION_DROPPED;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool pack_scalar(const float *from, size_t n, uint8_t *to)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = trib_half_from_float(from[i]);
        finite &= (half & HALF_EXPONENT) != HALF_EXPONENT;
        trib_store_u16(to + 2 * i, half);
    }
    return finite;
}

static bool unpack_scalar(const uint8_t *from, size_t n, float *to)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = trib_load_u16(from + 2 * i);
        finite &= (half & HALF_EXPONENT) != HALF_EXPONENT;
        to[i] = trib_half_to_float(half);
    }
    return finite;
}

#ifdef HAVE_F16C

/* Asked once: under a hypervisor the instruction costs microseconds. clang 14's __builtin_cpu_supports has no "f16c";
 * its "avx" also says that the kernel saves the wide registers. */
static bool has_f16c(void)
{
    static _Atomic int answer; /* 0 = not asked; racing threads store the same */
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == 0) {
        unsigned a = 0, b = 0, c = 0, d = 0;
        bool has = __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
        known = has ? 1 : -1;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known > 0;
}

/* 8 halves at a time; the tail goes through the scalar code, which gives the same bits. */
__attribute__((target("avx,f16c"))) static bool pack_f16c(const float *from, size_t n, uint8_t *to)
{
    const __m128i exponent = _mm_set1_epi16(HALF_EXPONENT);
    __m128i bad = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        /* nearest even by the instruction, whatever the thread's rounding mode is */
        __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        bad = _mm_or_si128(bad, _mm_cmpeq_epi16(_mm_and_si128(halves, exponent), exponent));
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * i), halves);
    }
    bool tail_finite = pack_scalar(from + i, n - i, to + 2 * i);
    return _mm_movemask_epi8(bad) == 0 && tail_finite;
}

__attribute__((target("avx,f16c"))) static bool unpack_f16c(const uint8_t *from, size_t n, float *to)
{
    const __m128i exponent = _mm_set1_epi16(HALF_EXPONENT);
    __m128i bad = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * i));
        bad = _mm_or_si128(bad, _mm_cmpeq_epi16(_mm_and_si128(halves, exponent), exponent));
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
    }
    bool tail_finite = unpack_scalar(from + 2 * i, n - i, to + i);
    return _mm_movemask_epi8(bad) == 0 && tail_finite;
}

#endif

bool trib_half_pack(const float *from, size_t n, uint8_t *to)
{
#ifdef HAVE_F16C
    if (has_f16c()) {
        return pack_f16c(from, n, to);
    }
#endif
    return pack_scalar(from, n, to);
}

bool trib_half_unpack(const uint8_t *from, size_t n, float *to)
{
#ifdef HAVE_F16C
    if (has_f16c()) {
        return unpack_f16c(from, n, to);
    }
#endif
    return unpack_scalar(from, n, to);
}
