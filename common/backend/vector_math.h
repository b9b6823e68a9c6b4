/* exp, tanh, erf and sigmoid in float arithmetic without branches or calls, so that loops over them vectorise. Private
 * to this block. Errors are a few units in the last place; a NaN stays a NaN. */
#ifndef TRIB_BACKEND_VECTOR_MATH_H
#define TRIB_BACKEND_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2; polynomial of Cephes expf (Moshier 1989). Saturates outside
 * [-87.3, 88.3] rather than leave the range of normal numbers. */
static inline float trib_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it leaves the rounded integer in the low bits */
    x = x > 88.3f ? 88.3f : x;
    x = x < -87.3f ? -87.3f : x;
    float shifted = x * 1.44269504f + magic;
    float n = shifted - magic;
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float trib_sigmoid(float x)
{
    return 1.0f / (1.0f + trib_exp(-x));
}

/* Cephes tanhf: an odd polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel. */
static inline float trib_tanh(float x)
{
    float magnitude = x < 0 ? -x : x, square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    float near = p * square * x + x;
    float far = 1.0f - 2.0f / (trib_exp(2.0f * magnitude) + 1.0f);
    far = x < 0 ? -far : far;
    return magnitude > 0.625f ? far : near;
}

/* Abramowitz and Stegun 7.1.26: at most 1.5e-7 off. */
static inline float trib_erf(float x)
{
    float magnitude = x < 0 ? -x : x;
    float t = 1.0f / (1.0f + 0.3275911f * magnitude);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    float y = 1.0f - p * t * trib_exp(-magnitude * magnitude);
    return x < 0 ? -y : y;
}

#endif
