/* Curves and their summary over seeds. Values; one thread at a time for each. */
#include "sim/results.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

/* ---- curves ---- */

void trib_sim_curve_init(struct trib_sim_curve *curve, const char *variant, uint64_t seed)
{
    *curve = (struct trib_sim_curve){.seed = seed};
    (void)trib_str_copy(curve->variant, sizeof curve->variant, variant);
}

enum trib_status trib_sim_curve_append(struct trib_sim_curve *curve, const struct trib_sim_point *point)
{
    if (curve->n == curve->capacity) {
        size_t capacity = curve->capacity == 0 ? 64 : curve->capacity * 2;
        void *grown = trib_realloc_array(curve->points, capacity, sizeof *curve->points);
        if (!grown) {
            return TRIB_NO_MEMORY;
        }
        curve->points = grown;
        curve->capacity = capacity;
    }
    curve->points[curve->n++] = *point;
    return TRIB_OK;
}

void trib_sim_curve_clear(struct trib_sim_curve *curve)
{
    trib_free(curve->points);
    *curve = (struct trib_sim_curve){0};
}

/* ---- metrics ---- */

const char *trib_sim_metric_name(enum trib_sim_metric metric)
{
    static const char *const names[TRIB_SIM_METRIC_COUNT] = {
        [TRIB_SIM_ROUNDS] = "rounds",         [TRIB_SIM_UPLOADS] = "uploads", [TRIB_SIM_BYTES_UP] = "bytes_up",
        [TRIB_SIM_BYTES_DOWN] = "bytes_down", [TRIB_SIM_BYTES] = "bytes",     [TRIB_SIM_SECONDS] = "seconds",
    };
    return names[metric];
}

double trib_sim_metric(const struct trib_sim_point *point, enum trib_sim_metric metric)
{
    switch (metric) {
    case TRIB_SIM_ROUNDS:
        return (double)point->round;
    case TRIB_SIM_UPLOADS:
        return (double)point->uploads;
    case TRIB_SIM_BYTES_UP:
        return (double)point->bytes_up;
    case TRIB_SIM_BYTES_DOWN:
        return (double)point->bytes_down;
    case TRIB_SIM_BYTES:
        return (double)point->bytes_up + (double)point->bytes_down;
    case TRIB_SIM_SECONDS:
        return point->seconds;
    case TRIB_SIM_METRIC_COUNT:
        break;
    }
    return NAN;
}

/* ---- summary ---- */

/* A mean in the making; values that are not finite are left out. */
struct tally {
    double sum, min, max;
    size_t n;
};

static void count(struct tally *tally, double value)
{
    if (!isfinite(value)) {
        return;
    }
    tally->min = tally->n == 0 ? value : fmin(tally->min, value);
    tally->max = tally->n == 0 ? value : fmax(tally->max, value);
    tally->sum += value;
    tally->n++;
}

static struct trib_sim_spread spread_of(const struct tally *tally)
{
    if (tally->n == 0) {
        return (struct trib_sim_spread){NAN, NAN, NAN};
    }
    return (struct trib_sim_spread){tally->sum / (double)tally->n, tally->min, tally->max};
}

/* The first point at or above an accuracy; NULL when there is none. */
static const struct trib_sim_point *first_at(const struct trib_sim_curve *curve, double accuracy)
{
    for (size_t i = 0; i < curve->n; i++) {
        if (curve->points[i].accuracy >= accuracy) {
            return &curve->points[i];
        }
    }
    return NULL;
}

static bool is_of(const struct trib_sim_curve *curve, const char *variant)
{
    return curve->error[0] == '\0' && strcmp(curve->variant, variant) == 0;
}

static void summarise_ends(const struct trib_sim_results *results, struct trib_sim_summary *summary)
{
    struct tally accuracy = {0}, best = {0}, loss = {0}, spent[TRIB_SIM_METRIC_COUNT] = {{0}};
    for (size_t c = 0; c < results->n; c++) {
        const struct trib_sim_curve *curve = &results->curves[c];
        if (!is_of(curve, summary->variant) || curve->n == 0) {
            continue;
        }
        double last = NAN, highest = NAN, last_loss = NAN;
        for (size_t i = 0; i < curve->n; i++) {
            const struct trib_sim_point *point = &curve->points[i];
            last = isfinite(point->accuracy) ? point->accuracy : last;
            highest = fmax(highest, point->accuracy); /* nan only when both are */
            last_loss = isfinite(point->loss) ? point->loss : last_loss;
        }
        count(&accuracy, last);
        count(&best, highest);
        count(&loss, last_loss);
        for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
            count(&spent[m], trib_sim_metric(&curve->points[curve->n - 1], (enum trib_sim_metric)m));
        }
    }
    summary->accuracy = spread_of(&accuracy);
    summary->best = spread_of(&best);
    summary->loss = spread_of(&loss);
    for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
        summary->spent[m] = spread_of(&spent[m]);
    }
}

static void summarise_reach(const struct trib_sim_results *results, const char *variant, double target,
                            struct trib_sim_reach *reach)
{
    struct tally spent[TRIB_SIM_METRIC_COUNT] = {{0}};
    *reach = (struct trib_sim_reach){.target = target};
    for (size_t c = 0; c < results->n; c++) {
        const struct trib_sim_curve *curve = &results->curves[c];
        const struct trib_sim_point *point = is_of(curve, variant) ? first_at(curve, target) : NULL;
        if (!point) {
            continue;
        }
        reach->reached++;
        for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
            count(&spent[m], trib_sim_metric(point, (enum trib_sim_metric)m));
        }
    }
    for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
        reach->spent[m] = spread_of(&spent[m]);
    }
}

static bool all_reached(const struct trib_sim_summary *summary, size_t target)
{
    return summary->runs > summary->failed && summary->reach[target].reached == summary->runs - summary->failed;
}

static void compare(const struct trib_sim_summary *first, struct trib_sim_summary *summary)
{
    for (size_t t = 0; t < summary->n_reach; t++) {
        bool fair = all_reached(first, t) && all_reached(summary, t);
        for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
            double mean = summary->reach[t].spent[m].mean;
            summary->reach[t].saving[m] = fair && mean > 0 ? first->reach[t].spent[m].mean / mean : NAN;
        }
    }
}

static struct trib_sim_summary *find(struct trib_sim_summary *summaries, size_t n, const char *variant)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(summaries[i].variant, variant) == 0) {
            return &summaries[i];
        }
    }
    return NULL;
}

enum trib_status trib_sim_summarise(const struct trib_sim_results *results, struct trib_sim_summary **summaries,
                                    size_t *n, struct trib_error *error)
{
    struct trib_sim_summary *made = trib_calloc(results->n, sizeof *made);
    size_t variants = 0;
    if (!made) {
        return trib_fail_no_memory(error);
    }
    for (size_t c = 0; c < results->n; c++) {
        const struct trib_sim_curve *curve = &results->curves[c];
        struct trib_sim_summary *summary = find(made, variants, curve->variant);
        if (!summary) {
            summary = &made[variants++];
            summary->variant = curve->variant;
        }
        summary->runs++;
        summary->failed += curve->error[0] != '\0';
    }
    for (size_t v = 0; v < variants; v++) {
        summarise_ends(results, &made[v]);
        made[v].n_reach = results->n_targets < TRIB_SIM_MAX_TARGETS ? results->n_targets : TRIB_SIM_MAX_TARGETS;
        for (size_t t = 0; t < made[v].n_reach; t++) {
            summarise_reach(results, made[v].variant, results->targets[t], &made[v].reach[t]);
        }
        compare(&made[0], &made[v]);
    }
    *summaries = made;
    *n = variants;
    return TRIB_OK;
}
