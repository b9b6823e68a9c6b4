/* A variant's runs as one line with a band. One thread. */
#include "plot_series.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

static bool is_of(const struct trib_sim_curve *curve, const struct trib_sim_summary *summary)
{
    return curve->error[0] == '\0' && strcmp(curve->variant, summary->variant) == 0;
}

/* The measured point of `round`, at or after *at, which moves there; NULL when there is none. */
static const struct trib_sim_point *point_of(const struct trib_sim_curve *curve, uint64_t round, size_t *at)
{
    while (*at < curve->n && curve->points[*at].round < round) {
        (*at)++;
    }
    bool found = *at < curve->n && curve->points[*at].round == round && isfinite(curve->points[*at].accuracy);
    return found ? &curve->points[*at] : NULL;
}

/* next: [results->n] where the search in each curve goes on */
static bool take_round(const struct trib_sim_results *results, const struct trib_sim_summary *summary, uint64_t round,
                       size_t *next, struct trib_plot_sample *sample)
{
    double runs = (double)(summary->runs - summary->failed);
    *sample = (struct trib_plot_sample){.low = INFINITY, .high = -INFINITY};
    for (size_t c = 0; c < results->n; c++) {
        if (!is_of(&results->curves[c], summary)) {
            continue;
        }
        const struct trib_sim_point *point = point_of(&results->curves[c], round, &next[c]);
        if (!point) {
            return false;
        }
        for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
            sample->spent[m] += trib_sim_metric(point, (enum trib_sim_metric)m) / runs;
        }
        sample->mean += point->accuracy / runs;
        sample->low = fmin(sample->low, point->accuracy);
        sample->high = fmax(sample->high, point->accuracy);
    }
    return true;
}

/* The rounds are those of the variant's first run. */
static enum trib_status fill(const struct trib_sim_results *results, const struct trib_sim_summary *summary,
                             size_t *next, struct trib_plot_series *series, struct trib_error *error)
{
    const struct trib_sim_curve *first = NULL;
    series->summary = summary;
    for (size_t c = results->n; c-- > 0;) {
        next[c] = 0;
        first = is_of(&results->curves[c], summary) ? &results->curves[c] : first;
    }
    if (!first) {
        return TRIB_OK;
    }
    series->samples = trib_calloc(first->n, sizeof *series->samples);
    if (!series->samples) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < first->n; i++) {
        series->n += take_round(results, summary, first->points[i].round, next, &series->samples[series->n]);
    }
    return TRIB_OK;
}

enum trib_status trib_plot_series_make(const struct trib_sim_results *results, const struct trib_sim_summary *summaries,
                                       size_t n_summaries, struct trib_plot_series **series, struct trib_error *error)
{
    enum trib_status status = TRIB_OK;
    size_t *next = trib_calloc(results->n, sizeof *next);
    struct trib_plot_series *made = trib_calloc(n_summaries, sizeof *made);
    if (!next || !made) {
        status = trib_fail_no_memory(error);
    }
    for (size_t v = 0; v < n_summaries && status == TRIB_OK; v++) {
        status = fill(results, &summaries[v], next, &made[v], error);
    }
    trib_free(next);
    if (status != TRIB_OK) {
        trib_plot_series_free(made, n_summaries);
        return status;
    }
    *series = made;
    return TRIB_OK;
}

void trib_plot_series_free(struct trib_plot_series *series, size_t n)
{
    for (size_t v = 0; series && v < n; v++) {
        trib_free(series[v].samples);
    }
    trib_free(series);
}
