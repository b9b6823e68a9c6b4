/* How fast updates are verified and folded, beside the speed of memory measured in the same run. GB are 10^9 bytes of
 * float32 vector (4 bytes an element) whatever the codec, so that the lines compare; the best of several runs. */
#include "bench_options.h"

#include "codec/frame.h"
#include "strategy/accumulator.h"

#include "base/clock.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 16 * 1024 * 1024, RUNS = 7 };

static const uint8_t schema[TRIB_FRAME_HASH_LEN];

static void must(enum trib_status status, const struct trib_error *error)
{
    if (status != TRIB_OK) {
        fprintf(stderr, "bench_fold: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static void report(const char *name, int64_t best_ns)
{
    printf("%s %.2f GB/s\n", name, (double)N * sizeof(float) / (double)best_ns);
}

static void bench_memcpy(const float *vector)
{
    float *copy = malloc(sizeof *copy * N);
    int64_t best = INT64_MAX;
    if (!copy) {
        exit(EXIT_FAILURE);
    }
    memset(copy, 1, sizeof *copy * N);
    for (int run = 0; run < RUNS; run++) {
        int64_t start = trib_clock_ns();
        memcpy(copy, vector, sizeof *copy * N);
        __asm__ volatile("" : : "r"(copy) : "memory"); /* the copy is used, as far as the compiler knows */
        int64_t took = trib_clock_ns() - start;
        best = took < best ? took : best;
    }
    report("memcpy", best);
    free(copy);
}

static enum trib_status fold(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    trib_accumulator_add(context, 600, first, values, n);
    return TRIB_OK;
}

static void bench_frame(const char *codec, const float *vector, struct trib_accumulator *acc)
{
    struct trib_error error = {0};
    struct trib_blob *frame = NULL;
    struct trib_chain chain;
    must(trib_chain_parse(codec, &chain, &error), &error);
    const struct trib_frame_job job = {
        .kind = TRIB_FRAME_UPDATE, .chain = &chain, .seed = 1, .schema = schema, .vector = vector, .n = N};
    int64_t best_encode = INT64_MAX, best_verify = INT64_MAX, best_fold = INT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        trib_blob_unref(frame);
        int64_t start = trib_clock_ns();
        must(trib_frame_encode(&job, &frame, &error), &error);
        int64_t encoded = trib_clock_ns();
        struct trib_frame_source source = trib_frame_source_memory(frame);
        must(trib_frame_walk(&source, NULL, NULL, NULL, NULL, NULL, &error), &error);
        int64_t verified = trib_clock_ns();
        must(trib_frame_walk(&source, NULL, NULL, fold, acc, NULL, &error), &error);
        int64_t folded = trib_clock_ns();
        best_encode = encoded - start < best_encode ? encoded - start : best_encode;
        best_verify = verified - encoded < best_verify ? verified - encoded : best_verify;
        best_fold = folded - verified < best_fold ? folded - verified : best_fold;
    }
    char name[64];
    snprintf(name, sizeof name, "frame_encode_%s", codec);
    report(name, best_encode);
    snprintf(name, sizeof name, "frame_verify_%s", codec);
    report(name, best_verify);
    snprintf(name, sizeof name, "frame_walk_and_fold_%s", codec);
    report(name, best_fold);
    trib_blob_unref(frame);
}

static void bench_accumulator(const float *vector, struct trib_accumulator *acc)
{
    int64_t best_add = INT64_MAX, best_mean = INT64_MAX;
    float *mean = malloc(sizeof *mean * N);
    struct trib_error error = {0};
    if (!mean) {
        exit(EXIT_FAILURE);
    }
    memset(mean, 0, sizeof *mean * N);
    must(trib_accumulator_begin(acc, 600, &error), &error);
    for (int run = 0; run < RUNS; run++) {
        int64_t start = trib_clock_ns();
        trib_accumulator_add(acc, 600, 0, vector, N);
        int64_t added = trib_clock_ns();
        trib_accumulator_mean(acc, 0, N, mean);
        int64_t done = trib_clock_ns();
        best_add = added - start < best_add ? added - start : best_add;
        best_mean = done - added < best_mean ? done - added : best_mean;
    }
    report("accumulator_add", best_add);
    report("accumulator_mean", best_mean);
    free(mean);
}

int main(int argc, char **argv)
{
    bench_options(argc, argv, "bench-fold", "Updates folded a second.", NULL, 0);
    float *vector = malloc(sizeof *vector * N);
    struct trib_accumulator acc;
    struct trib_error error = {0};
    if (!vector) {
        return EXIT_FAILURE;
    }
    struct trib_rng rng = trib_rng_init(1, "bench", 0, 0);
    for (size_t i = 0; i < N; i++) {
        vector[i] = trib_rng_uniform(&rng) - 0.5F;
    }
    must(trib_accumulator_init(&acc, N, 64, 10 * 65536, &error), &error);
    bench_memcpy(vector);
    static const char *const codecs[] = {"f32", "f16", "q8", "q4", "sign", "rotate|lloyd:2", "rotate|uniform:2|range"};
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        bench_frame(codecs[i], vector, &acc);
    }
    bench_accumulator(vector, &acc);
    trib_accumulator_clear(&acc);
    free(vector);
    return EXIT_SUCCESS;
}
