/* Encode for each client, decode, compare; the clock runs around the first client's frame only. */
#include "chain_measure.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

static const uint8_t schema[TRIB_FRAME_HASH_LEN];

struct comparison {
    const float *vector;
    double *sums;  /* [n]: of the clients' decoded vectors */
    double *error; /* [blocks]: of one client */
};

static enum trib_status compare(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    struct comparison *comparison = context;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = (double)values[i] - (double)comparison->vector[first + i];
        sum += difference * difference;
        comparison->sums[first + i] += (double)values[i];
    }
    comparison->error[first / TRIB_CODEC_BLOCK] = sum;
    return TRIB_OK;
}

static double energy_of(const float *vector, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    return sum;
}

static enum trib_status measure_times(const struct trib_frame_job *job, unsigned runs,
                                      struct trib_chain_figures *figures, struct trib_error *error)
{
    int64_t best_encode = INT64_MAX, best_decode = INT64_MAX;
    for (unsigned run = 0; run < runs; run++) {
        struct trib_blob *frame = NULL;
        int64_t start = trib_clock_ns();
        TRIB_TRY(trib_frame_encode(job, &frame, error));
        int64_t encoded = trib_clock_ns();
        struct trib_frame_source source = trib_frame_source_memory(frame);
        enum trib_status status = trib_frame_walk(&source, NULL, job->pool, NULL, NULL, NULL, error);
        int64_t decoded = trib_clock_ns();
        figures->bits = (double)trib_blob_len(frame) * 8 / (double)job->n;
        trib_blob_unref(frame);
        TRIB_TRY(status);
        best_encode = encoded - start < best_encode ? encoded - start : best_encode;
        best_decode = decoded - encoded < best_decode ? decoded - encoded : best_decode;
    }
    double bytes = (double)job->n * sizeof(float);
    figures->limit = pow(4, -figures->bits);
    figures->encode_mbs = bytes * 1e3 / (double)(best_encode > 0 ? best_encode : 1);
    figures->decode_mbs = bytes * 1e3 / (double)(best_decode > 0 ? best_decode : 1);
    return TRIB_OK;
}

static enum trib_status measure_errors(struct trib_frame_job *job, unsigned clients, struct comparison *comparison,
                                       struct trib_chain_figures *figures, struct trib_error *error)
{
    size_t n_blocks = (job->n + TRIB_CODEC_BLOCK - 1) / TRIB_CODEC_BLOCK;
    double energy = energy_of(job->vector, job->n), sum = 0, mean_error = 0;
    for (unsigned client = 0; client < clients; client++) {
        struct trib_blob *frame = NULL;
        TRIB_TRY(trib_frame_encode(job, &frame, error));
        struct trib_frame_source source = trib_frame_source_memory(frame);
        enum trib_status status = trib_frame_walk(&source, NULL, job->pool, compare, comparison, NULL, error);
        trib_blob_unref(frame);
        TRIB_TRY(status);
        for (size_t block = 0; block < n_blocks; block++) {
            sum += comparison->error[block];
        }
        job->seed++;
    }
    for (size_t i = 0; i < job->n; i++) {
        double difference = comparison->sums[i] / clients - (double)job->vector[i];
        mean_error += difference * difference;
    }
    figures->nmse = energy > 0 ? sum / clients / energy : 0;
    figures->mean_nmse = energy > 0 ? mean_error / energy : 0;
    return TRIB_OK;
}

enum trib_status trib_chain_measure(const struct trib_chain *chain, const struct trib_chain_measure_options *options,
                                    struct trib_chain_figures *figures, struct trib_error *error)
{
    struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                 .chain = chain,
                                 .seed = options->seed,
                                 .schema = schema,
                                 .vector = options->vector,
                                 .n = options->n,
                                 .pool = options->pool};
    struct comparison comparison = {
        .vector = options->vector,
        .sums = trib_calloc(options->n, sizeof *comparison.sums),
        .error = trib_calloc(options->n / TRIB_CODEC_BLOCK + 1, sizeof *comparison.error),
    };
    enum trib_status status = TRIB_OK;
    if (!comparison.sums || !comparison.error) {
        status = trib_fail_no_memory(error);
    }
    if (status == TRIB_OK) {
        status = measure_times(&job, options->runs, figures, error);
    }
    if (status == TRIB_OK) {
        status = measure_errors(&job, options->clients, &comparison, figures, error);
    }
    trib_free(comparison.sums);
    trib_free(comparison.error);
    return status;
}
