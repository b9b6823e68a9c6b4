/* Tiles of 6 x 16 on AVX2: 12 accumulators, 2 vectors of b, one of a. Any thread; call only where the CPU has it. */
#include "tile.h"

#if TRIB_HAS_TILES

#include <immintrin.h>

#define TILE_TARGET  __attribute__((target("avx2,fma")))
#define TILE_ROWS    6
#define TILE_VECTORS 2
#define DOT_ROWS     3

typedef __m256 V;
typedef __m256i M;
enum { V_LANES = 8 };

static const int lanes_on[2 * V_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};

#define V_ZERO()              _mm256_setzero_ps()
#define V_SET(x)              _mm256_set1_ps(x)
#define V_LOAD(p)             _mm256_loadu_ps(p)
#define V_STORE(p, v)         _mm256_storeu_ps(p, v)
#define V_LOAD_SOME(p, m)     _mm256_maskload_ps(p, m)
#define V_STORE_SOME(p, m, v) _mm256_maskstore_ps(p, m, v)
#define V_FMA(a, b, c)        _mm256_fmadd_ps(a, b, c)
#define V_ADD(a, b)           _mm256_add_ps(a, b)
#define V_MAX(a, b)           _mm256_max_ps(a, b)
#define V_SUM4(a, b, c, d)    sum4(a, b, c, d)
#define MASK_OF(n)            _mm256_loadu_si256((const __m256i *)(const void *)(lanes_on + V_LANES - (n)))

/* {sum a, sum b, sum c, sum d} */
static inline __attribute__((always_inline)) TILE_TARGET __m128 sum4(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

#include "tile_body.h"

const struct trib_tile_set trib_tiles_avx2 = {
    .lanes = V_LANES,
    .rows = TILE_ROWS,
    .columns = V_LANES * TILE_VECTORS,
    .dot_rows = DOT_ROWS,
    .tile = run_tile,
    .dot = run_dot,
};

#endif
