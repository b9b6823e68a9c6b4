/* The body of a tile, written once for every vector width: included by tile_avx512.c and tile_avx2.c after they defined
 *   TILE_TARGET                 the function attribute that allows the instructions
 *   V, V_LANES, M               vector, its floats, a mask of lanes
 *   V_ZERO V_SET V_LOAD V_STORE V_LOAD_SOME V_STORE_SOME V_FMA V_ADD V_MAX V_SUM4, MASK_OF(n)
 *   TILE_ROWS, TILE_VECTORS, DOT_ROWS   so that all accumulators fit in registers
 * Any thread. */

/* Without this hint these loops are unrolled too late to keep acc in registers. */
#if defined(__clang__)
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TILE_UNROLL _Pragma("GCC unroll 8")
#endif

#define TILE_INLINE static inline __attribute__((always_inline)) TILE_TARGET

/* ---- broadcast a, vector b ---- */

/* The finish is everything that is done to a tile before it is stored; one test for each, not one for each vector. */
TILE_INLINE void tile_finish(const struct trib_tile *t, V acc[TILE_ROWS][TILE_VECTORS], const int rows,
                             const int vectors, M mask)
{
    const bool full = t->columns == vectors * V_LANES;
    if (t->bias) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) {
            const float *from = t->bias + v * V_LANES;
            V bias = v < vectors - 1 ? V_LOAD(from) : V_LOAD_SOME(from, mask);
            TILE_UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r][v] = V_ADD(acc[r][v], bias);
            }
        }
    }
    if (t->accumulate) {
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            const float *c = t->c + (size_t)r * t->c_row;
            TILE_UNROLL
            for (int v = 0; v < vectors; v++) {
                V old = v < vectors - 1 ? V_LOAD(c + v * V_LANES) : V_LOAD_SOME(c + v * V_LANES, mask);
                acc[r][v] = V_ADD(acc[r][v], old);
            }
        }
    }
    if (t->relu) {
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            TILE_UNROLL
            for (int v = 0; v < vectors; v++) {
                acc[r][v] = V_MAX(V_ZERO(), acc[r][v]); /* this way round a NaN stays */
            }
        }
    }
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        float *c = t->c + (size_t)r * t->c_row;
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) {
            if (v < vectors - 1 || full) {
                V_STORE(c + v * V_LANES, acc[r][v]);
            } else {
                V_STORE_SOME(c + v * V_LANES, mask, acc[r][v]);
            }
        }
    }
}

/* The loops over rows and vectors have constant bounds once inlined, so that acc lives in registers. */
TILE_INLINE void tile_fixed(const struct trib_tile *t, const int rows, const int vectors)
{
    V acc[TILE_ROWS][TILE_VECTORS];
    M mask = MASK_OF(t->columns - (vectors - 1) * V_LANES);
    const size_t a_row = t->a_row, a_step = t->a_step, b_step = t->b_step;
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[r][v] = V_ZERO();
            /* c is written last, and often for the first time in this step: have its lines by then. */
            __builtin_prefetch(t->c + (size_t)r * t->c_row + v * V_LANES, 1);
        }
    }
    for (size_t s = 0; s < t->segments; s++) {
        const float *a = t->a + s * t->a_segment, *b = t->b + s * t->b_segment;
        for (size_t k = 0; k < t->k; k++) {
            V right[TILE_VECTORS];
            TILE_UNROLL
            for (int v = 0; v < vectors - 1; v++) {
                right[v] = V_LOAD(b + v * V_LANES);
            }
            right[vectors - 1] = V_LOAD_SOME(b + (vectors - 1) * V_LANES, mask);
            TILE_UNROLL
            for (int r = 0; r < rows; r++) {
                V left = V_SET(a[(size_t)r * a_row]);
                TILE_UNROLL
                for (int v = 0; v < vectors; v++) {
                    acc[r][v] = V_FMA(left, right[v], acc[r][v]);
                }
            }
            a += a_step;
            b += b_step;
        }
    }
    tile_finish(t, acc, rows, vectors, mask);
}

#define TILE_CASE(rows, vectors)                                                                                       \
    TILE_TARGET static void tile_##rows##x##vectors(const struct trib_tile *t)                                         \
    {                                                                                                                  \
        tile_fixed(t, rows, vectors);                                                                                  \
    }
#define TILE_ROW_CASES(vectors)                                                                                        \
    TILE_CASE(1, vectors)                                                                                              \
    TILE_CASE(2, vectors) TILE_CASE(3, vectors) TILE_CASE(4, vectors) TILE_CASE(5, vectors) TILE_CASE(6, vectors)
#define TILE_ROW_ENTRIES(vectors)                                                                                      \
    {                                                                                                                  \
        tile_1x##vectors, tile_2x##vectors, tile_3x##vectors, tile_4x##vectors, tile_5x##vectors, tile_6x##vectors     \
    }

TILE_ROW_CASES(1)
TILE_ROW_CASES(2)
#if TILE_VECTORS > 2
TILE_ROW_CASES(3)
TILE_ROW_CASES(4)
#endif

static void (*const tile_table[TILE_VECTORS][TILE_ROWS])(const struct trib_tile *) = {
    TILE_ROW_ENTRIES(1),
    TILE_ROW_ENTRIES(2),
#if TILE_VECTORS > 2
    TILE_ROW_ENTRIES(3),
    TILE_ROW_ENTRIES(4),
#endif
};

static void run_tile(const struct trib_tile *t)
{
    tile_table[(t->columns - 1) / V_LANES][t->rows - 1](t);
}

/* ---- rows times rows ---- */

/* A mask of those of TRIB_DOT_COLUMNS that are stored begins in here. */
static const int dot_lanes[2 * TRIB_DOT_COLUMNS] = {-1, -1, -1, -1};

TILE_INLINE void dot_finish(const struct trib_dot *t, __m128 sums, __m128 bias, __m128i mask, int row)
{
    float *c = t->c + (size_t)row * t->c_row;
    sums = _mm_add_ps(sums, bias);
    if (t->relu) {
        sums = _mm_max_ps(_mm_setzero_ps(), sums); /* this way round a NaN stays */
    }
    if (t->columns == TRIB_DOT_COLUMNS) {
        _mm_storeu_ps(c, sums);
    } else {
        _mm_maskstore_ps(c, mask, sums);
    }
}

TILE_INLINE void dot_fixed(const struct trib_dot *t, const int rows)
{
    V acc[DOT_ROWS][TRIB_DOT_COLUMNS];
    const float *w[TRIB_DOT_COLUMNS];
    TILE_UNROLL
    for (int c = 0; c < TRIB_DOT_COLUMNS; c++) {
        /* Columns that are not there repeat the last one; their sums are not stored. */
        w[c] = t->w + (size_t)(c < t->columns ? c : t->columns - 1) * t->w_row;
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            acc[r][c] = V_ZERO();
        }
    }
    size_t k = 0;
    for (; k + V_LANES <= t->k; k += V_LANES) {
        V left[DOT_ROWS];
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            left[r] = V_LOAD(t->x + (size_t)r * t->x_row + k);
        }
        TILE_UNROLL
        for (int c = 0; c < TRIB_DOT_COLUMNS; c++) {
            V right = V_LOAD(w[c] + k);
            __builtin_prefetch(w[c] + k + t->w_ahead);
            TILE_UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r][c] = V_FMA(left[r], right, acc[r][c]);
            }
        }
    }
    if (k < t->k) {
        M mask = MASK_OF((int)(t->k - k));
        TILE_UNROLL
        for (int c = 0; c < TRIB_DOT_COLUMNS; c++) {
            V right = V_LOAD_SOME(w[c] + k, mask);
            TILE_UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r][c] = V_FMA(V_LOAD_SOME(t->x + (size_t)r * t->x_row + k, mask), right, acc[r][c]);
            }
        }
    }
    const void *lanes = dot_lanes + TRIB_DOT_COLUMNS - t->columns;
    __m128i stored = _mm_loadu_si128(lanes);
    __m128 bias = t->bias ? _mm_maskload_ps(t->bias, stored) : _mm_setzero_ps();
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        dot_finish(t, V_SUM4(acc[r][0], acc[r][1], acc[r][2], acc[r][3]), bias, stored, r);
    }
}

#define DOT_CASE(rows)                                                                                                 \
    TILE_TARGET static void dot_##rows(const struct trib_dot *t)                                                       \
    {                                                                                                                  \
        dot_fixed(t, rows);                                                                                            \
    }
DOT_CASE(1)
DOT_CASE(2)
DOT_CASE(3)
#if DOT_ROWS > 3
DOT_CASE(4)
DOT_CASE(5)
DOT_CASE(6)
#endif

static void (*const dot_table[DOT_ROWS])(const struct trib_dot *) = {
    dot_1, dot_2, dot_3,
#if DOT_ROWS > 3
    dot_4, dot_5, dot_6,
#endif
};

static void run_dot(const struct trib_dot *t)
{
    dot_table[t->rows - 1](t);
}
