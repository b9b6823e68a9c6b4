/* Codec chains, compared: bits a value with the whole frame counted, error, speed.
 *
 *     bench-codec [CHAIN ...]      default: a list of what there is
 *
 * The vector is Gaussian, of 2^20 values. `nmse` is the squared error of one frame by the squared norm of the vector;
 * `nmse_mean` that of the mean of 8 frames with 8 seeds of the same vector, times 8: for an unbiased chain about nmse,
 * for a biased one up to 8 times as much. MB are 10^6 bytes of float32; one thread, the best of several runs, beside
 * the speed of copying that vector, which fits in a large cache. */
#include "codec/frame.h"

#include "base/clock.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1 << 20, CLIENTS = 8, RUNS = 5 };

static const uint8_t schema[TRIB_FRAME_HASH_LEN];

static const char *const standard[] = {
    "f32",
    "f16",
    "bf16",
    "sign",
    "q8",
    "q4",
    "rotate|sign",
    "rotate|q4",
    "rotate|lloyd:1",
    "rotate|lloyd:2",
    "rotate|lloyd:3",
    "rotate|lloyd:4",
    "rotate|lloyd:1,unbiased",
    "rotate|lloyd:2,unbiased",
    "rotate|lloyd:3,unbiased",
    "rotate|lloyd:4,unbiased",
    "qsgd:16",
    "grid:8,6",
    "rotate|uniform:1|range",
    "rotate|uniform:2|range",
    "rotate|uniform:4|range",
    "topk:1%|q8|range",
    "ternary:1/400|golomb",
};

struct scratch {
    float *vector, *copy, *decoded;
    double *sums;
};

static void *must_allocate(size_t size)
{
    void *block = malloc(size);
    if (block == NULL) {
        fprintf(stderr, "bench_codec: out of memory\n");
        exit(EXIT_FAILURE);
    }
    memset(block, 0, size);
    return block;
}

static void must(const char *chain, enum trib_status status, const struct trib_error *error)
{
    if (status != TRIB_OK) {
        fprintf(stderr, "bench_codec: %s: %s\n", chain, error->message);
        exit(EXIT_FAILURE);
    }
}

static double megabytes_a_second(int64_t ns)
{
    return (double)N * sizeof(float) / ((double)ns * 1e-9) / 1e6;
}

static double squared_error(const struct scratch *scratch, const double *sums, double count)
{
    double error = 0, norm = 0;
    for (size_t i = 0; i < N; i++) {
        double value = (double)scratch->vector[i];
        double off = (sums == NULL ? (double)scratch->decoded[i] : sums[i] / count) - value;
        error += off * off;
        norm += value * value;
    }
    return error / norm;
}

static size_t there_and_back(const char *text, const struct trib_chain *chain, uint64_t seed,
                             const struct scratch *scratch, int64_t *encode_ns, int64_t *decode_ns)
{
    struct trib_error error = {0};
    struct trib_blob *frame = NULL;
    struct trib_frame_job job = {
        .kind = TRIB_FRAME_UPDATE, .chain = chain, .seed = seed, .schema = schema, .vector = scratch->vector, .n = N};
    int64_t start = trib_clock_ns();
    must(text, trib_frame_encode(&job, &frame, &error), &error);
    int64_t encoded = trib_clock_ns();
    struct trib_frame_source source = trib_frame_source_memory(frame);
    must(text, trib_frame_decode(&source, NULL, scratch->decoded, N, &error), &error);
    int64_t decoded = trib_clock_ns();
    *encode_ns = encoded - start < *encode_ns ? encoded - start : *encode_ns;
    *decode_ns = decoded - encoded < *decode_ns ? decoded - encoded : *decode_ns;
    size_t len = trib_blob_len(frame);
    trib_blob_unref(frame);
    return len;
}

static void bench_chain(const char *text, const struct scratch *scratch)
{
    struct trib_chain chain;
    struct trib_error error = {0};
    if (trib_chain_parse(text, &chain, &error) != TRIB_OK) {
        printf("# %s skipped: %s\n", text, error.message);
        return;
    }
    int64_t encode_ns = INT64_MAX, decode_ns = INT64_MAX;
    size_t len = 0;
    memset(scratch->sums, 0, sizeof *scratch->sums * N);
    for (uint64_t client = 0; client < CLIENTS; client++) {
        len = there_and_back(text, &chain, client, scratch, &encode_ns, &decode_ns);
        for (size_t i = 0; i < N; i++) {
            scratch->sums[i] += (double)scratch->decoded[i];
        }
    }
    double nmse = squared_error(scratch, NULL, 1), nmse_mean = squared_error(scratch, scratch->sums, CLIENTS) * CLIENTS;
    for (int run = 0; run < RUNS; run++) {
        there_and_back(text, &chain, 0, scratch, &encode_ns, &decode_ns);
    }
    printf("%s/rate %.4f bits/value\n", text, (double)len * 8 / N);
    printf("%s/nmse %.6g 1\n", text, nmse);
    printf("%s/nmse_mean %.6g 1\n", text, nmse_mean);
    printf("%s/encode %.0f MB/s\n", text, megabytes_a_second(encode_ns));
    printf("%s/decode %.0f MB/s\n", text, megabytes_a_second(decode_ns));
}

static void bench_copy(const struct scratch *scratch)
{
    int64_t best = INT64_MAX;
    for (int run = 0; run < 4 * RUNS; run++) {
        int64_t start = trib_clock_ns();
        memcpy(scratch->copy, scratch->vector, sizeof *scratch->copy * N);
        __asm__ volatile("" : : "r"(scratch->copy) : "memory"); /* the copy is used, as far as the compiler knows */
        int64_t took = trib_clock_ns() - start;
        best = took < best ? took : best;
    }
    printf("copy %.0f MB/s\n", megabytes_a_second(best));
}

int main(int argc, char **argv)
{
    struct scratch scratch = {
        .vector = must_allocate(sizeof(float) * N),
        .copy = must_allocate(sizeof(float) * N),
        .decoded = must_allocate(sizeof(float) * N),
        .sums = must_allocate(sizeof(double) * N),
    };
    struct trib_rng rng = trib_rng_init(1, "bench", 0, 0);
    for (size_t i = 0; i < N; i++) {
        scratch.vector[i] = (float)trib_rng_normal(&rng);
    }
    bench_copy(&scratch);
    for (int i = 1; i < argc; i++) {
        bench_chain(argv[i], &scratch);
    }
    for (size_t i = 0; argc == 1 && i < sizeof standard / sizeof standard[0]; i++) {
        bench_chain(standard[i], &scratch);
    }
    free(scratch.vector);
    free(scratch.copy);
    free(scratch.decoded);
    free(scratch.sums);
    return EXIT_SUCCESS;
}
