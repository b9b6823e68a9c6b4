/* The lines of a picture: each variant's runs drawn together. Private to this block; one thread. */
#ifndef TRIB_SIM_PLOT_SERIES_H
#define TRIB_SIM_PLOT_SERIES_H

#include "sim/results.h"

/* A round at which every run of the variant was measured. */
struct trib_plot_sample {
    double spent[TRIB_SIM_METRIC_COUNT]; /* mean over the runs */
    double mean, low, high;              /* accuracy */
};
struct trib_plot_series {
    const struct trib_sim_summary *summary; /* borrowed */
    struct trib_plot_sample *samples;
    size_t n;
};

/* One series for each of n_summaries; *series has as many, and is freed by trib_plot_series_free. Runs that failed are
 * left out. */
TRIB_MUST_CHECK enum trib_status trib_plot_series_make(const struct trib_sim_results *results,
                                                       const struct trib_sim_summary *summaries, size_t n_summaries,
                                                       struct trib_plot_series **series, struct trib_error *error);
void trib_plot_series_free(struct trib_plot_series *series, size_t n);

#endif
