/* Tiles of 6 x 64 on AVX-512: 24 accumulators, 4 vectors of b, one of a. Any thread; call only where the CPU has it. */
#include "tile.h"

#if TRIB_HAS_TILES

#include <immintrin.h>

#define TILE_TARGET  __attribute__((target("avx512f,fma")))
#define TILE_ROWS    6
#define TILE_VECTORS 4
#define DOT_ROWS     6

typedef __m512 V;
typedef __mmask16 M;
enum { V_LANES = 16 };

#define V_ZERO()              _mm512_setzero_ps()
#define V_SET(x)              _mm512_set1_ps(x)
#define V_LOAD(p)             _mm512_loadu_ps(p)
#define V_STORE(p, v)         _mm512_storeu_ps(p, v)
#define V_LOAD_SOME(p, m)     _mm512_maskz_loadu_ps(m, p)
#define V_STORE_SOME(p, m, v) _mm512_mask_storeu_ps(p, m, v)
#define V_FMA(a, b, c)        _mm512_fmadd_ps(a, b, c)
#define V_ADD(a, b)           _mm512_add_ps(a, b)
#define V_MAX(a, b)           _mm512_max_ps(a, b)
#define V_SUM4(a, b, c, d)    sum4(a, b, c, d)
#define MASK_OF(n)            ((M)((1u << (n)) - 1))

/* {sum a, sum b, sum c, sum d}: pairs within 128-bit lanes first, then across lanes. */
static inline __attribute__((always_inline)) TILE_TARGET __m128 sum4(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    __m512 all = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    __m256 half =
        _mm256_add_ps(_mm512_castps512_ps256(all), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(all), 1)));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

#include "tile_body.h"

const struct trib_tile_set trib_tiles_avx512 = {
    .lanes = V_LANES,
    .rows = TILE_ROWS,
    .columns = V_LANES * TILE_VECTORS,
    .dot_rows = DOT_ROWS,
    .tile = run_tile,
    .dot = run_dot,
};

#endif
