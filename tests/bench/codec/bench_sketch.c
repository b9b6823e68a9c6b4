/* The benchmark of sketches shows what K signs tell of how far an update agrees with a direction, and what they cost:
 * the estimate against the exact share over many draws of positions, bytes on the wire, and times (the best of several
 * runs).
 *
 * The update agrees with the direction to a different degree in each stretch of the vector, as in the layers of a
 * model. Every third value is lost by the codec, so that both the decoded values and those before coding are looked at.
 */
#include "bench_options.h"

#include "codec/sketch.h"
#include "codec/stage.h"

#include "base/clock.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1660000, LAYERS = 8, DRAWS = 500, RUNS = 7 };

struct vectors {
    float *original, *decoded;
    uint64_t *update, *direction; /* signs, a bit each */
    uint8_t *signs;               /* [N], of the positions */
    uint8_t *a, *b;               /* packed */
    double share;                 /* of equal signs, exact */
};

static void *make(size_t n, size_t size)
{
    void *made = calloc(n, size);
    if (!made) {
        fprintf(stderr, "bench_sketch: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return made;
}

static struct vectors make_vectors(void)
{
    struct vectors made = {.original = make(N, sizeof(float)),
                           .decoded = make(N, sizeof(float)),
                           .update = make(N / 64 + 1, sizeof(uint64_t)),
                           .direction = make(N / 64 + 1, sizeof(uint64_t)),
                           .signs = make(N, 1),
                           .a = make(N / 8 + 1, 1),
                           .b = make(N / 8 + 1, 1)};
    struct trib_rng rng = trib_rng_init(1, "bench", 0, 0);
    uint64_t equal = 0;
    for (size_t i = 0; i < N; i++) {
        double agrees = 0.5 + 0.04 * (double)(i / (N / LAYERS + 1)); /* 0.5 .. 0.78 */
        made.original[i] = trib_rng_uniform(&rng) - 0.5F;
        made.decoded[i] = i % 3 == 0 ? 0.0F : made.original[i];
        uint64_t sign = made.original[i] > 0;
        bool same = trib_rng_uniform64(&rng) < agrees;
        made.update[i / 64] |= sign << (i % 64);
        made.direction[i / 64] |= (same ? sign : 1 - sign) << (i % 64);
        equal += same;
    }
    made.share = (double)equal / N;
    return made;
}

static void clear_vectors(struct vectors *vectors)
{
    free(vectors->original);
    free(vectors->decoded);
    free(vectors->update);
    free(vectors->direction);
    free(vectors->signs);
    free(vectors->a);
    free(vectors->b);
}

static void report(const char *name, const char *what, double value, const char *unit)
{
    printf("sketch_%s_%s %.6g %s\n", name, what, value, unit);
}

static void bench_error(const char *name, uint64_t k, const struct vectors *vectors)
{
    double off = 0, predicted = trib_sketch_error(vectors->share, k, N);
    int within = 0;
    for (uint64_t round = 1; round <= DRAWS; round++) {
        const struct trib_sketch_plan plan = trib_sketch_plan("bench", round, k, N);
        trib_sketch_sample(&plan, vectors->update, vectors->a);
        trib_sketch_sample(&plan, vectors->direction, vectors->b);
        double estimate = (double)trib_sketch_agreement(vectors->a, vectors->b, k) / (double)k;
        double error = fabs(estimate - vectors->share);
        off += error;
        within += error <= 2 * predicted;
    }
    report(name, "mean_error", off / DRAWS, "share");
    report(name, "predicted_standard_error", predicted, "share");
    report(name, "within_two_standard_errors", (double)within / DRAWS, "of_draws");
    report(name, "bytes", (double)trib_sketch_bytes(k), "B");
}

enum step { TAKE, SAMPLE, SCORE, VERIFY, STEPS };
static const char *const step_names[] = {"take", "sample_direction", "score", "verify"};

static uint64_t do_step(enum step step, const struct trib_sketch_plan *plan, const struct vectors *vectors)
{
    uint64_t found = 0;
    if (step == SAMPLE) {
        trib_sketch_sample(plan, vectors->direction, vectors->b);
        return vectors->b[0];
    }
    if (step == SCORE) {
        return trib_sketch_agreement(vectors->a, vectors->b, plan->k);
    }
    for (size_t first = 0; first < N; first += TRIB_CODEC_BLOCK) {
        size_t n = N - first < TRIB_CODEC_BLOCK ? N - first : TRIB_CODEC_BLOCK;
        const float *decoded = vectors->decoded + first;
        if (step == TAKE) {
            trib_sketch_take(plan, vectors->signs, first, vectors->original + first, decoded, n);
        } else {
            found += trib_sketch_contradictions(plan, vectors->a, first, decoded, n);
        }
    }
    if (step == TAKE) {
        trib_sketch_pack(vectors->signs, plan->k, vectors->a);
    }
    return found;
}

static void bench_time(const char *name, uint64_t k, const struct vectors *vectors)
{
    const struct trib_sketch_plan plan = trib_sketch_plan("bench", 1, k, N);
    int64_t best[STEPS];
    for (size_t step = 0; step < STEPS; step++) {
        best[step] = INT64_MAX;
        for (int run = 0; run < RUNS; run++) {
            int64_t start = trib_clock_ns();
            volatile uint64_t used = do_step((enum step)step, &plan, vectors);
            (void)used;
            int64_t took = trib_clock_ns() - start;
            best[step] = took < best[step] ? took : best[step];
        }
        report(name, step_names[step], (double)best[step], "ns");
    }
}

int main(int argc, char **argv)
{
    bench_options(argc, argv, "bench-sketch", "Error and speed of sketches of an update.", NULL, 0);
    static const struct {
        const char *name;
        uint64_t k;
    } sketches[] = {{"256", 256}, {"1024", 1024}, {"4096", 4096}, {"all", N}};
    struct vectors vectors = make_vectors();
    printf("sketch_elements %d values\nsketch_exact_agreement %.6f share\n", N, vectors.share);
    for (size_t i = 0; i < sizeof sketches / sizeof sketches[0]; i++) {
        bench_error(sketches[i].name, sketches[i].k, &vectors);
        bench_time(sketches[i].name, sketches[i].k, &vectors);
    }
    clear_vectors(&vectors);
    return EXIT_SUCCESS;
}
