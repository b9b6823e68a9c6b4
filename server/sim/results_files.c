/* Results as JSON and as CSV. One thread. */
#include "sim/results.h"

#include "base/mem.h"
#include "results_text.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum field_kind { FIELD_COUNT, FIELD_REAL, FIELD_FLAG };
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
};

#define FIELD(name, kind)                                                                                              \
    {                                                                                                                  \
#name, FIELD_##kind, offsetof(struct trib_sim_point, name)                                                     \
    }
static const struct field fields[] = {
    FIELD(round, COUNT),      FIELD(version, COUNT),  FIELD(seconds, REAL),   FIELD(bytes_up, COUNT),
    FIELD(bytes_down, COUNT), FIELD(offers, COUNT),   FIELD(uploads, COUNT),  FIELD(skipped, COUNT),
    FIELD(late, COUNT),       FIELD(failed, COUNT),   FIELD(rejected, COUNT), FIELD(stale, COUNT),
    FIELD(cohort, COUNT),     FIELD(folded, COUNT),   FIELD(accuracy, REAL),  FIELD(loss, REAL),
    FIELD(train_loss, REAL),  FIELD(relevance, REAL), FIELD(threshold, REAL), FIELD(carried, FLAG),
};
#undef FIELD
enum { FIELD_N = sizeof fields / sizeof fields[0] };

static void put_number(struct trib_sim_text *text, double value, const char *unknown)
{
    if (isfinite(value)) {
        trib_sim_put(text, "%.12g", value);
    } else {
        trib_sim_put(text, "%s", unknown);
    }
}

static void put_field(struct trib_sim_text *text, const struct field *field, const struct trib_sim_point *point,
                      const char *unknown)
{
    const void *at = (const char *)point + field->offset;
    switch (field->kind) {
    case FIELD_COUNT:
        trib_sim_put(text, "%" PRIu64, *(const uint64_t *)at);
        break;
    case FIELD_REAL:
        put_number(text, *(const double *)at, unknown);
        break;
    case FIELD_FLAG:
        trib_sim_put(text, *(const bool *)at ? "true" : "false");
        break;
    }
}

/* ---- JSON ---- */

static void put_spread(struct trib_sim_text *text, const char *key, const struct trib_sim_spread *spread)
{
    trib_sim_put(text, "\"%s\": {\"mean\": ", key);
    put_number(text, spread->mean, "null");
    trib_sim_put(text, ", \"min\": ");
    put_number(text, spread->min, "null");
    trib_sim_put(text, ", \"max\": ");
    put_number(text, spread->max, "null");
    trib_sim_put(text, "}");
}

static void put_spent(struct trib_sim_text *text, const char *key, const struct trib_sim_spread *spent)
{
    trib_sim_put(text, "\"%s\": {", key);
    for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
        trib_sim_put(text, m == 0 ? "" : ", ");
        put_spread(text, trib_sim_metric_name((enum trib_sim_metric)m), &spent[m]);
    }
    trib_sim_put(text, "}");
}

static void put_reach(struct trib_sim_text *text, const struct trib_sim_reach *reach)
{
    trib_sim_put(text, "      {\"accuracy\": ");
    put_number(text, reach->target, "null");
    trib_sim_put(text, ", \"reached\": %zu,\n       ", reach->reached);
    put_spent(text, "spent", reach->spent);
    trib_sim_put(text, ",\n       \"saving\": {");
    for (int m = 0; m < TRIB_SIM_METRIC_COUNT; m++) {
        trib_sim_put(text, "%s\"%s\": ", m == 0 ? "" : ", ", trib_sim_metric_name((enum trib_sim_metric)m));
        put_number(text, reach->saving[m], "null");
    }
    trib_sim_put(text, "}}");
}

static void put_summary(struct trib_sim_text *text, const struct trib_sim_summary *summary)
{
    trib_sim_put(text, "    {\"variant\": ");
    trib_sim_put_json(text, summary->variant);
    trib_sim_put(text, ", \"runs\": %zu, \"failed\": %zu,\n     ", summary->runs, summary->failed);
    put_spread(text, "accuracy", &summary->accuracy);
    trib_sim_put(text, ",\n     ");
    put_spread(text, "best", &summary->best);
    trib_sim_put(text, ",\n     ");
    put_spread(text, "loss", &summary->loss);
    trib_sim_put(text, ",\n     ");
    put_spent(text, "total", summary->spent);
    trib_sim_put(text, ",\n     \"targets\": [");
    for (size_t t = 0; t < summary->n_reach; t++) {
        trib_sim_put(text, t == 0 ? "\n" : ",\n");
        put_reach(text, &summary->reach[t]);
    }
    trib_sim_put(text, "]}");
}

static void put_curve(struct trib_sim_text *text, const struct trib_sim_curve *curve)
{
    trib_sim_put(text, "    {\"variant\": ");
    trib_sim_put_json(text, curve->variant);
    trib_sim_put(text, ", \"seed\": %" PRIu64 ", \"error\": ", curve->seed);
    if (curve->error[0] != '\0') {
        trib_sim_put_json(text, curve->error);
    } else {
        trib_sim_put(text, "null");
    }
    trib_sim_put(text, ", \"points\": [");
    for (size_t i = 0; i < curve->n; i++) {
        trib_sim_put(text, i == 0 ? "\n      {" : ",\n      {");
        for (size_t f = 0; f < FIELD_N; f++) {
            trib_sim_put(text, "%s\"%s\": ", f == 0 ? "" : ", ", fields[f].name);
            put_field(text, &fields[f], &curve->points[i], "null");
        }
        trib_sim_put(text, "}");
    }
    trib_sim_put(text, "]}");
}

enum trib_status trib_sim_write_json(const char *path, const struct trib_sim_results *results, struct trib_error *error)
{
    struct trib_sim_text text = {0};
    struct trib_sim_summary *summaries = NULL;
    size_t n = 0;
    TRIB_TRY(trib_sim_summarise(results, &summaries, &n, error));
    trib_sim_put(&text, "{\n  \"format\": \"tributary-sim-1\",\n  \"name\": ");
    trib_sim_put_json(&text, results->name);
    trib_sim_put(&text, ",\n  \"title\": ");
    trib_sim_put_json(&text, results->title ? results->title : results->name);
    trib_sim_put(&text, ",\n  \"targets\": [");
    for (size_t t = 0; t < results->n_targets; t++) {
        trib_sim_put(&text, t == 0 ? "" : ", ");
        put_number(&text, results->targets[t], "null");
    }
    trib_sim_put(&text, "],\n  \"summary\": [");
    for (size_t v = 0; v < n; v++) {
        trib_sim_put(&text, v == 0 ? "\n" : ",\n");
        put_summary(&text, &summaries[v]);
    }
    trib_sim_put(&text, "],\n  \"curves\": [");
    for (size_t c = 0; c < results->n; c++) {
        trib_sim_put(&text, c == 0 ? "\n" : ",\n");
        put_curve(&text, &results->curves[c]);
    }
    trib_sim_put(&text, "]\n}\n");
    trib_free(summaries);
    return trib_sim_text_save(&text, path, error);
}

/* ---- CSV ---- */

enum trib_status trib_sim_write_csv(const char *path, const struct trib_sim_results *results, struct trib_error *error)
{
    struct trib_sim_text text = {0};
    trib_sim_put(&text, "variant,seed");
    for (size_t f = 0; f < FIELD_N; f++) {
        trib_sim_put(&text, ",%s", fields[f].name);
    }
    trib_sim_put(&text, "\n");
    for (size_t c = 0; c < results->n; c++) {
        const struct trib_sim_curve *curve = &results->curves[c];
        for (size_t i = 0; i < curve->n; i++) {
            trib_sim_put_csv(&text, curve->variant);
            trib_sim_put(&text, ",%" PRIu64, curve->seed);
            for (size_t f = 0; f < FIELD_N; f++) {
                trib_sim_put(&text, ",");
                put_field(&text, &fields[f], &curve->points[i], "");
            }
            trib_sim_put(&text, "\n");
        }
    }
    return trib_sim_text_save(&text, path, error);
}
