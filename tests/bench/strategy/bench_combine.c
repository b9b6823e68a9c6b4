/* Combination speed: coordinates that come out in a second, for each strategy that combines, with 10, 100 and 1000
 * updates in memory, beside the fold of fedavg over the same values. On one thread and on all; the best of several
 * runs. Lines are "name value unit". */
#include "strategy/combine.h"

#include "base/clock.h"
#include "base/rng.h"
#include "bench_options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1 << 20, BLOCK = 65536, UPDATES_IN_MEMORY = 16, RUNS = 3 };

/* Update i is row i % UPDATES_IN_MEMORY, moved by a little, so that a thousand need no gigabytes. */
static const struct trib_update_info *info(const void *context, size_t i)
{
    static const struct trib_update_info all = {.examples = 600, .weight = 600, .counted = 600};
    (void)context, (void)i;
    return &all;
}

static enum trib_status read_row(const void *context, size_t i, size_t first, size_t n, float *out,
                                 struct trib_error *error)
{
    const float *row = (const float *)context + i % UPDATES_IN_MEMORY * N + first;
    float move = (float)(i / UPDATES_IN_MEMORY) * 0x1p-10F;
    (void)error;
    for (size_t j = 0; j < n; j++) {
        out[j] = row[j] + move;
    }
    return TRIB_OK;
}

static const struct trib_update_set_table table = {.info = info, .read = read_row};

static void must(enum trib_status status, const struct trib_error *error)
{
    if (status != TRIB_OK) {
        fprintf(stderr, "bench_combine: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static void report(const char *name, size_t n_updates, int threads, int64_t best_ns)
{
    printf("%s_%zu_updates_%d_threads %.2f Mcoordinates/s\n", name, n_updates, threads,
           (double)N * 1e3 / (double)best_ns);
    fflush(stdout);
}

struct folding {
    const struct trib_strategy *strategy;
    void *state;
    const struct trib_update_set *set;
    size_t i;
    float *blocks; /* [threads][BLOCK] */
};

static void fold_block(void *context, size_t part, int worker)
{
    struct folding *folding = context;
    float *block = folding->blocks + (size_t)worker * BLOCK;
    struct trib_error error;
    must(trib_update_set_read(folding->set, folding->i, part * BLOCK, BLOCK, block, &error), &error);
    folding->strategy->fold(folding->state, info(NULL, 0), part * BLOCK, block, BLOCK);
}

static int64_t fold(const struct trib_strategy *strategy, void *state, const struct trib_update_set *set,
                    struct trib_thread_pool *pool, float *direction)
{
    struct folding folding = {.strategy = strategy,
                              .state = state,
                              .set = set,
                              .blocks = malloc(sizeof(float) * BLOCK * (size_t)trib_thread_pool_threads(pool))};
    struct trib_error error;
    double step;
    if (!folding.blocks) {
        exit(EXIT_FAILURE);
    }
    int64_t start = trib_clock_ns();
    for (folding.i = 0; folding.i < set->n_updates; folding.i++) {
        must(strategy->fold_begin(state, info(NULL, 0), &error), &error);
        trib_thread_pool_run(pool, N / BLOCK, fold_block, &folding);
    }
    must(strategy->finish(state, direction, &step, &error), &error);
    int64_t took = trib_clock_ns() - start;
    free(folding.blocks);
    return took;
}

static int64_t combine(const struct trib_strategy *strategy, void *state, const struct trib_update_set *set,
                       struct trib_thread_pool *pool, float *direction)
{
    const struct trib_combination combination = {.strategy = strategy, .state = state, .set = set, .pool = pool};
    struct trib_error error;
    int64_t start = trib_clock_ns();
    must(trib_combine(&combination, direction, &error), &error);
    return trib_clock_ns() - start;
}

static void bench(const struct trib_strategy *strategy, const struct trib_update_set *set, int threads,
                  float *direction)
{
    const struct trib_strategy_options options = {.server_learning_rate = 1, .gives = TRIB_STRATEGY_NEEDS_SET};
    struct trib_thread_pool *pool;
    struct trib_error error;
    void *state = calloc(1, strategy->state_size);
    int64_t best = INT64_MAX;
    must(trib_thread_pool_new(threads, &pool, &error), &error);
    for (int run = 0; run < RUNS && state; run++) {
        must(strategy->begin(state, &options, N, 64, UINT64_C(600) * 1000, &error), &error);
        int64_t took = strategy->combine ? combine(strategy, state, set, pool, direction)
                                         : fold(strategy, state, set, pool, direction);
        best = took < best ? took : best;
    }
    report(strategy->name, set->n_updates, trib_thread_pool_threads(pool), best);
    strategy->clear(state);
    free(state);
    trib_thread_pool_free(pool);
}

int main(int argc, char **argv)
{
    bench_options(argc, argv, "bench-combine", "Coordinates that strategies combine in a second.", NULL, 0);
    static const size_t cohorts[] = {10, 100, 1000};
    float *rows = malloc(sizeof *rows * UPDATES_IN_MEMORY * N), *direction = malloc(sizeof *direction * N);
    struct trib_rng rng = trib_rng_init(1, "bench", 0, 0);
    const struct trib_strategy *const *list;
    size_t n = trib_strategies(&list);
    if (!rows || !direction) {
        return EXIT_FAILURE;
    }
    for (size_t j = 0; j < (size_t)UPDATES_IN_MEMORY * N; j++) {
        rows[j] = trib_rng_uniform(&rng) - 0.5F;
    }
    memset(direction, 0, sizeof *direction * N);
    for (size_t c = 0; c < sizeof cohorts / sizeof cohorts[0]; c++) {
        const struct trib_update_set set = {
            .table = &table, .context = rows, .n_updates = cohorts[c], .n = N, .block = BLOCK};
        for (size_t i = 0; i < n; i++) {
            if (list[i]->combine || list[i] == trib_strategy_find("fedavg")) {
                bench(list[i], &set, 1, direction);
                bench(list[i], &set, 0, direction);
            }
        }
    }
    free(rows);
    free(direction);
    return EXIT_SUCCESS;
}
