/* Examples are normalised and gathered into batches of floats here. Any thread; batches are on the training path. */
#include "data/dataset.h"

#include "base/mem.h"
#include "base/str.h"
#include "reader.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* A length that 1, 2, 3 and 4 channels and the width of any vector unit divide: within a run of it, element j always
 * belongs to channel j % channels, so that one straight loop serves all. */
enum { RUN = 48, MAX_CHANNELS = 4, AUTO_EXAMPLES = 10000, AHEAD = 2 };

struct normal {
    float mean[RUN];
    float inverse_std[RUN];
};

/* ---- rules ---- */
/* Channels that can be normalised one by one; 1 when the example is no image. */
static int channels_of(const struct trib_dataset *dataset)
{
    const struct trib_shape *shape = &dataset->example;
    return shape->rank == 3 && shape->dims[2] <= MAX_CHANNELS ? (int)shape->dims[2] : 1;
}

static double element(const struct trib_dataset *dataset, size_t i)
{
    return dataset->is_u8 ? (double)((const uint8_t *)dataset->data)[i] : (double)((const float *)dataset->data)[i];
}

/* mean = sum(x) / n, deviation = sqrt(sum((x - mean)^2) / n), each channel, in the order of the elements. */
static void normalise_auto(struct trib_dataset *dataset)
{
    int channels = channels_of(dataset);
    size_t n = (dataset->n < AUTO_EXAMPLES ? dataset->n : AUTO_EXAMPLES) * dataset->example_n;
    double count = (double)(n / (size_t)channels);
    for (size_t c = 0; c < (size_t)channels; c++) {
        double sum = 0;
        double squares = 0;
        for (size_t i = c; i < n; i += (size_t)channels) {
            sum += element(dataset, i);
        }
        double mean = sum / count;
        for (size_t i = c; i < n; i += (size_t)channels) {
            double off = element(dataset, i) - mean;
            squares += off * off;
        }
        double deviation = sqrt(squares / count);
        dataset->mean[c] = (float)mean;
        dataset->inverse_std[c] = deviation > 1e-12 ? (float)(1 / deviation) : 1.0f; /* a constant stays at 0 */
    }
    dataset->n_norm = channels;
}

/* "1,2,3" into at most MAX_CHANNELS numbers. */
static enum trib_status parse_list(const char *rule, const char *text, size_t len, double min, double *values, int *n,
                                   struct trib_error *error)
{
    char cell[40];
    int found = 0;
    for (const char *at = text, *end = text + len; at <= end; found++) {
        const char *stop = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        stop = stop ? stop : end;
        size_t cell_len = (size_t)(stop - at);
        if (found == MAX_CHANNELS) {
            return trib_fail(error, TRIB_CONFIG, "normalise %s: at most %d means and deviations", rule, MAX_CHANNELS);
        }
        memcpy(cell, at, cell_len < sizeof cell ? cell_len : 0);
        cell[cell_len < sizeof cell ? cell_len : 0] = '\0';
        if (trib_parse_double(cell, min, 1e30, &values[found], NULL) != TRIB_OK) {
            return trib_fail(error, TRIB_CONFIG, "normalise %s: \"%.*s\" is not a %s; write MEAN,.../DEVIATION,...",
                             rule, (int)(cell_len < 40 ? cell_len : 40), at,
                             min > 0 ? "deviation above 0" : "finite number");
        }
        at = stop + 1;
    }
    *n = found;
    return TRIB_OK;
}

/* Constants for images scaled to 0..1 are often copied onto images of 0..255, where they train badly and silently. */
static bool looks_scaled(const struct trib_dataset *dataset, const double *means, const double *deviations, int n)
{
    if (!dataset->is_u8) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (fabs(means[i]) > 1 || deviations[i] > 1) {
            return false;
        }
    }
    const uint8_t *data = dataset->data;
    size_t count = (dataset->n < AUTO_EXAMPLES ? dataset->n : AUTO_EXAMPLES) * dataset->example_n;
    for (size_t i = 0; i < count; i++) {
        if (data[i] > 1) {
            return true;
        }
    }
    return false;
}

static enum trib_status normalise_by(struct trib_dataset *dataset, const char *rule, const char *slash,
                                     struct trib_error *error)
{
    double means[MAX_CHANNELS];
    double deviations[MAX_CHANNELS];
    int n = 0;
    int n_deviations = 0;
    int channels = channels_of(dataset);
    TRIB_TRY(parse_list(rule, rule, (size_t)(slash - rule), -1e30, means, &n, error));
    TRIB_TRY(parse_list(rule, slash + 1, strlen(slash + 1), 1e-30, deviations, &n_deviations, error));
    if (n != n_deviations || (n != 1 && n != channels)) {
        return trib_fail(error, TRIB_CONFIG,
                         "normalise %s: %d means and %d deviations; the examples want 1 of each, or one for each of "
                         "%d channels",
                         rule, n, n_deviations, channels);
    }
    if (looks_scaled(dataset, means, deviations, n)) {
        return trib_fail(error, TRIB_CONFIG,
                         "normalise %s: the examples are bytes, 0..255, and these numbers are for 0..1; multiply them "
                         "by 255",
                         rule);
    }
    for (int i = 0; i < n; i++) {
        dataset->mean[i] = (float)means[i];
        dataset->inverse_std[i] = (float)(1 / deviations[i]);
    }
    dataset->n_norm = n;
    return TRIB_OK;
}

enum trib_status trib_dataset_normalise(struct trib_dataset *dataset, const char *rule, struct trib_error *error)
{
    const char *slash = strchr(rule, '/');
    if (trib_str_equal(rule, "unit")) {
        dataset->n_norm = 0;
    } else if (trib_str_equal(rule, "none")) {
        dataset->mean[0] = 0;
        dataset->inverse_std[0] = 1;
        dataset->n_norm = 1;
    } else if (trib_str_equal(rule, "auto")) {
        normalise_auto(dataset);
    } else if (slash) {
        return normalise_by(dataset, rule, slash, error);
    } else {
        static const char *const names[] = {"unit", "none", "auto", "MEAN,.../DEVIATION,..."};
        return trib_data_fail_unknown("normalise", rule, names, 4, error);
    }
    return TRIB_OK;
}

/* ---- batches ---- */
static void spread_normal(const struct trib_dataset *dataset, struct normal *normal)
{
    for (int i = 0; i < RUN; i++) {
        bool identity = dataset->n_norm == 0;
        int channel = identity ? 0 : i % dataset->n_norm;
        normal->mean[i] = identity ? 0.0f : dataset->mean[channel];
        normal->inverse_std[i] = !identity ? dataset->inverse_std[channel] : dataset->is_u8 ? 1.0f / 255.0f : 1.0f;
    }
}

/* x' = (x - mean) * inverse_std over one example */
static void normalise_u8(const uint8_t *restrict from, size_t n, const struct normal *restrict normal,
                         float *restrict to)
{
    size_t i = 0;
    for (; i + RUN <= n; i += RUN) {
        for (size_t j = 0; j < RUN; j++) {
            to[i + j] = ((float)from[i + j] - normal->mean[j]) * normal->inverse_std[j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        to[i] = ((float)from[i] - normal->mean[j]) * normal->inverse_std[j];
    }
}

static void normalise_f32(const float *restrict from, size_t n, const struct normal *restrict normal,
                          float *restrict to)
{
    size_t i = 0;
    for (; i + RUN <= n; i += RUN) {
        for (size_t j = 0; j < RUN; j++) {
            to[i + j] = (from[i + j] - normal->mean[j]) * normal->inverse_std[j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        to[i] = (from[i] - normal->mean[j]) * normal->inverse_std[j];
    }
}

/* Examples of a shuffled batch lie anywhere in memory: ask for a later one while this one is worked on. */
static void prefetch(const struct trib_dataset *dataset, uint32_t index)
{
    enum { LINE_LEN = 64, MOST_LEN = 4096 };
    size_t len = dataset->example_n * (dataset->is_u8 ? 1 : sizeof(float));
    const char *from = (const char *)dataset->data + (size_t)index * len;
    for (size_t at = 0; at < len && at < MOST_LEN; at += LINE_LEN) {
        __builtin_prefetch(from + at);
    }
}

void trib_dataset_batch(const struct trib_dataset *dataset, const uint32_t *indices, size_t n, float *x, void *y)
{
    struct normal normal;
    size_t example_n = dataset->example_n;
    spread_normal(dataset, &normal);
    for (size_t i = 0; i < n; i++) {
        assert(indices[i] < dataset->n);
        size_t at = (size_t)indices[i] * example_n;
        if (i + AHEAD < n) {
            prefetch(dataset, indices[i + AHEAD]);
        }
        if (dataset->is_u8) {
            normalise_u8((const uint8_t *)dataset->data + at, example_n, &normal, x + i * example_n);
        } else if (dataset->n_norm == 0) {
            memcpy(x + i * example_n, (const float *)dataset->data + at, example_n * sizeof(float));
        } else {
            normalise_f32((const float *)dataset->data + at, example_n, &normal, x + i * example_n);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (dataset->labels) {
            ((int32_t *)y)[i] = dataset->labels[indices[i]];
        } else {
            ((float *)y)[i] = dataset->targets[indices[i]];
        }
    }
}
