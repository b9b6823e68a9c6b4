/* Every row's chain that claims to be unbiased or additive is. */
#include "conform_rows.h"

enum { BIAS_N = 512, BIAS_SEEDS = 400 / RARER, DIRECTIONS = 8 };

/* E[decode(encode(x))] = x over seeds: the decoded vectors' mean is compared with x along x itself and along random
 * directions. Each comparison is a t-test at 5.5 standard errors: a false alarm in 4e-8 of them, in 1e-6 of the runs of
 * this program, if the seeds were drawn anew; they are not, so it cannot alarm today and not tomorrow. */
START_TEST(unbiased_where_claimed)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    if (!(chain.caps & TRIB_CODEC_UNBIASED)) {
        return;
    }
    float *vector = make_vector(0, BIAS_N, 16), decoded[BIAS_N];
    static float directions[DIRECTIONS + 1][BIAS_N];
    struct trib_rng rng = trib_rng_init(5, "directions", 0, 0);
    for (int d = 0; d <= DIRECTIONS; d++) {
        for (size_t i = 0; i < BIAS_N; i++) {
            directions[d][i] = d == 0 ? vector[i] * 1e3F : (float)trib_rng_normal(&rng);
        }
    }
    uint8_t *coded = malloc(trib_chain_bound(BIAS_N));
    double sums[DIRECTIONS + 1] = {0}, squares[DIRECTIONS + 1] = {0};
    for (uint64_t seed = 1; seed <= BIAS_SEEDS; seed++) {
        size_t len = 0;
        ck_assert_int_eq(encode(&chain, seed, vector, BIAS_N, coded, trib_chain_bound(BIAS_N), &len), TRIB_OK);
        ck_assert_int_eq(decode(&chain, seed, coded, len, decoded, BIAS_N), TRIB_OK);
        for (int d = 0; d <= DIRECTIONS; d++) {
            double along = 0;
            for (size_t i = 0; i < BIAS_N; i++) {
                along += (double)directions[d][i] * ((double)decoded[i] - (double)vector[i]);
            }
            sums[d] += along;
            squares[d] += along * along;
        }
    }
    for (int d = 0; d <= DIRECTIONS; d++) {
        double mean = sums[d] / BIAS_SEEDS, variance = squares[d] / BIAS_SEEDS - mean * mean;
        double allowed = 5.5 * sqrt(fmax(variance, 0) / BIAS_SEEDS) + 1e-6;
        ck_assert_msg(fabs(mean) <= allowed, "%s: direction %d: bias %g, allowed %g", chain.text, d, mean, allowed);
    }
    free(coded);
    free(vector);
}
END_TEST

/* One vector's symbols through the stages, without the bytes. */
static size_t to_symbols(const struct trib_chain *chain, struct trib_block *block, struct trib_writer *heads,
                         const float *vector)
{
    memcpy(block->values, vector, block->n * sizeof *vector);
    block->n_values = block->n;
    heads->len = 0;
    for (unsigned i = 0; i < chain->n && chain->uses[i].stage->kind != TRIB_STAGE_ENTROPY; i++) {
        ck_assert_int_eq(chain->uses[i].stage->encode(&chain->uses[i], NULL, block, heads), TRIB_OK);
    }
    return block->n_symbols;
}

static void from_symbols(const struct trib_chain *chain, struct trib_block *block, const struct trib_writer *heads,
                         const uint16_t *symbols, float *to)
{
    union trib_stage_memory memories[TRIB_CHAIN_STAGES];
    struct trib_reader in = {.data = heads->data, .len = heads->len};
    unsigned n = chain->n - (chain->uses[chain->n - 1].stage->kind == TRIB_STAGE_ENTROPY);
    block->n_values = block->n;
    for (unsigned i = 0; i < n; i++) {
        ck_assert_int_eq(chain->uses[i].stage->open(block, &in, &memories[i]), TRIB_OK);
    }
    memcpy(block->symbols, symbols, block->n_symbols * sizeof *symbols);
    for (unsigned i = n; i-- > 0;) {
        ck_assert_int_eq(chain->uses[i].stage->decode(block, &memories[i]), TRIB_OK);
    }
    memcpy(to, block->values, block->n * sizeof *to);
}

/* Decoding is affine in the symbols: what the symbols of two vectors give, counted from what zeros give, is also what
 * their sums give. */
START_TEST(additive_where_claimed)
{
    struct trib_chain chain = chain_of(rows[_i].text);
    if (!(chain.caps & TRIB_CODEC_ADDITIVE)) {
        return;
    }
    enum { N = 1000 };
    _Alignas(64) static float values[TRIB_CODEC_BLOCK], scratch[TRIB_CODEC_BLOCK], decoded[4][N];
    static uint32_t positions[TRIB_CODEC_BLOCK];
    static uint16_t symbols[TRIB_CODEC_BLOCK], kept[4][N];
    uint8_t bytes[4096];
    struct trib_writer heads = {.data = bytes, .capacity = sizeof bytes};
    struct trib_block block = {
        .seed = SEED, .n = N, .values = values, .positions = positions, .symbols = symbols, .scratch = scratch};
    for (int v = 0; v < 2; v++) {
        float *vector = make_vector(0, N + (size_t)v, 16);
        size_t n = to_symbols(&chain, &block, &heads, vector);
        memcpy(kept[v], symbols, n * sizeof *symbols);
        from_symbols(&chain, &block, &heads, kept[v], decoded[v]);
        free(vector);
    }
    for (size_t i = 0; i < block.n_symbols; i++) {
        kept[2][i] = (uint16_t)(kept[0][i] + kept[1][i]);
    }
    from_symbols(&chain, &block, &heads, kept[2], decoded[2]);
    from_symbols(&chain, &block, &heads, kept[3], decoded[3]); /* zeros */
    double worst = 0;
    for (size_t i = 0; i < N; i++) {
        double sum = (double)decoded[0][i] + (double)decoded[1][i] - (double)decoded[3][i];
        worst = fmax(worst, fabs(sum - (double)decoded[2][i]));
    }
    ck_assert_msg(worst <= 1e-4, "%s: %g off", chain.text, worst);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, unbiased_where_claimed, 0, (int)n_rows);
    tcase_add_loop_test(tests, additive_where_claimed, 0, (int)n_rows);
}

int main(void)
{
    return run_conform("codec claims", add);
}
