/* What is shown on standard error while simulations run: a bar on a terminal, else a line for each run that ends. One
 * thread. */
#ifndef TRIB_SIM_SIM_PROGRESS_H
#define TRIB_SIM_SIM_PROGRESS_H

#include "sim/results.h"

struct trib_sim_progress {
    FILE *to;
    bool terminal;
    size_t runs, ended;
    uint64_t rounds, done; /* of all runs */
    int64_t began_ms, shown_ms;
};
/* rounds: of all runs together */
void trib_sim_progress_begin(struct trib_sim_progress *progress, FILE *to, size_t runs, uint64_t rounds);
/* A run has a new point, or ended before or after its last one: `rounds` is how many it should have had. */
void trib_sim_progress_change(struct trib_sim_progress *progress, const struct trib_sim_curve *curve, bool ended,
                              uint64_t rounds);
void trib_sim_progress_end(struct trib_sim_progress *progress);

#endif
