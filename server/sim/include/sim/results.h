/* What simulated runs came to: points by round, their summary over seeds, and the files and the table made of them.
 * Values; one thread at a time for each. Nothing here knows how a run is made. */
#ifndef TRIB_SIM_RESULTS_H
#define TRIB_SIM_RESULTS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TRIB_SIM_VARIANT_LEN = 64 };

/* The state of a run when a round has ended. No pointers: its bytes may go through a pipe to a process of the same
 * program (zero the struct first, for the padding). */
struct trib_sim_point {
    uint64_t round, version; /* of the round and of the model after it */
    double seconds;          /* simulated, since the start */
    /* since the start */
    uint64_t bytes_up, bytes_down;
    uint64_t offers, uploads, skipped, late, failed, rejected, stale;
    /* of the round; nan = not known */
    uint64_t cohort, folded;
    double accuracy, loss; /* of the model after it, on the test set */
    double train_loss;     /* of the updates folded */
    double relevance;      /* mean of the offers that were compared, 0 .. 1 */
    double threshold;      /* of the gate */
    bool carried;          /* no update was wanted: the model is the one before */
};

/* One run: a variant with a seed. Points are in the order of the rounds. A zeroed struct is an empty curve. */
struct trib_sim_curve {
    char variant[TRIB_SIM_VARIANT_LEN];
    uint64_t seed;
    struct trib_sim_point *points;
    size_t n, capacity;
    char error[TRIB_ERROR_MESSAGE_LEN]; /* why the run failed; "" = it did not. Of a run that failed the points are
                                         * written, but neither summarised nor drawn */
};
/* Empty, with the name (cut to fit) and the seed. */
void trib_sim_curve_init(struct trib_sim_curve *curve, const char *variant, uint64_t seed);
/* TRIB_NO_MEMORY leaves the curve as it was. */
TRIB_MUST_CHECK enum trib_status trib_sim_curve_append(struct trib_sim_curve *curve,
                                                       const struct trib_sim_point *point);
void trib_sim_curve_clear(struct trib_sim_curve *curve);

/* All that one experiment came to. Borrowed. */
struct trib_sim_results {
    const char *name;                    /* short: "cmfl-mnist" */
    const char *title;                   /* for people; NULL = the name */
    const struct trib_sim_curve *curves; /* [n]; variants in the order of their first curve, the first is what the */
    size_t n;                            /* others are compared with */
    const double *targets;               /* [n_targets] accuracies, 0 .. 1, in the order to be shown */
    size_t n_targets;
};

/* ---- summary: a variant over its seeds ---- */

enum { TRIB_SIM_MAX_TARGETS = 8 }; /* those beyond are drawn but not summarised */

enum trib_sim_metric {
    TRIB_SIM_ROUNDS,
    TRIB_SIM_UPLOADS,
    TRIB_SIM_BYTES_UP,
    TRIB_SIM_BYTES_DOWN,
    TRIB_SIM_BYTES, /* both */
    TRIB_SIM_SECONDS,
    TRIB_SIM_METRIC_COUNT
};
const char *trib_sim_metric_name(enum trib_sim_metric metric); /* "rounds", "uploads", "bytes_up", ... */
double trib_sim_metric(const struct trib_sim_point *point, enum trib_sim_metric metric);

struct trib_sim_spread {
    double mean, min, max; /* nan when there is nothing to take them of */
};
/* When the accuracy was first at or above a target. */
struct trib_sim_reach {
    double target;
    size_t reached;                                      /* seeds that did */
    struct trib_sim_spread spent[TRIB_SIM_METRIC_COUNT]; /* until then, over those seeds */
    double saving[TRIB_SIM_METRIC_COUNT]; /* how many times less than the first variant: its mean / this mean; nan
                                           * unless all runs of both reached it */
};
struct trib_sim_summary {
    const char *variant; /* of the results */
    size_t runs, failed;
    struct trib_sim_spread accuracy;                     /* the last that was measured in each run */
    struct trib_sim_spread best;                         /* the highest */
    struct trib_sim_spread loss;                         /* the last */
    struct trib_sim_spread spent[TRIB_SIM_METRIC_COUNT]; /* by whole runs */
    struct trib_sim_reach reach[TRIB_SIM_MAX_TARGETS];
    size_t n_reach;
};
/* One summary a variant; *summaries is freed with trib_free. */
TRIB_MUST_CHECK enum trib_status trib_sim_summarise(const struct trib_sim_results *results,
                                                    struct trib_sim_summary **summaries, size_t *n,
                                                    struct trib_error *error);

/* ---- output; files appear whole or not at all ---- */

/* {"format": "tributary-sim-1", "name": TEXT, "title": TEXT, "targets": [NUMBER, ...],
 *  "summary": [{"variant": TEXT, "runs": N, "failed": N, "accuracy": SPREAD, "best": SPREAD, "loss": SPREAD,
 *               "total": {METRIC: SPREAD, ...},
 *               "targets": [{"accuracy": NUMBER, "reached": N, "spent": {METRIC: SPREAD, ...},
 *                            "saving": {METRIC: NUMBER, ...}}, ...]}, ...],
 *  "curves": [{"variant": TEXT, "seed": N, "error": TEXT or null, "points": [{FIELD: VALUE, ...}, ...]}, ...]}
 * SPREAD is {"mean": NUMBER, "min": NUMBER, "max": NUMBER}; METRIC as trib_sim_metric_name says; FIELD as in struct
 * trib_sim_point, in its order. What is not known or not finite is null. Keys always come in this order. */
TRIB_MUST_CHECK enum trib_status trib_sim_write_json(const char *path, const struct trib_sim_results *results,
                                                     struct trib_error *error);
/* A header, then a line a point: variant, seed and the fields of struct trib_sim_point; empty where not known. Texts
 * are quoted where they must be (RFC 4180). */
TRIB_MUST_CHECK enum trib_status trib_sim_write_csv(const char *path, const struct trib_sim_results *results,
                                                    struct trib_error *error);
/* A picture: accuracy against rounds, bytes up and down, simulated seconds and uploads; a line a variant (mean over its
 * seeds) in a band from the lowest to the highest. */
TRIB_MUST_CHECK enum trib_status trib_sim_write_svg(const char *path, const struct trib_sim_results *results,
                                                    struct trib_error *error);
/* Tables for a terminal: each variant's accuracy and totals; then, for each target, what was spent until it was first
 * reached and how many times less than the first variant that is ("-" where it was not reached). */
TRIB_MUST_CHECK enum trib_status trib_sim_print_table(FILE *to, const struct trib_sim_results *results,
                                                      struct trib_error *error);

#endif
