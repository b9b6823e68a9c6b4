/* Many simulated runs, several at a time, each in a process of its own: variants and seeds. Main thread only, before
 * any thread is started. */
#ifndef TRIB_SIM_SIM_BATCH_H
#define TRIB_SIM_SIM_BATCH_H

#include "base/log.h"
#include "sim/sim.h"

struct trib_sim_task { /* borrowed */
    const struct trib_sim_settings *settings;
    uint64_t seed;
};
struct trib_sim_batch { /* all borrowed */
    const struct trib_sim_task *tasks;
    size_t n;
    int jobs, threads;    /* runs at a time; threads of each. 0 = as many as there are cores, shared out */
    const char *log_path; /* of the servers and clients; of run i > 0 PATH.i; NULL = no log */
    enum trib_log_level log_level;
    /* A run has a new point, or ended (its curve's error then says how, "" = well). NULL: nobody asks. */
    void (*changed)(void *context, size_t task, const struct trib_sim_curve *curve, bool ended);
    void *context;
};
/* curves[n], empty: one a task. A run that fails does not end the others; its curve says why, and the first one's
 * status is returned. TRIB_CANCELLED: SIGINT or SIGTERM has come, and all of them were ended. */
TRIB_MUST_CHECK enum trib_status trib_sim_batch_run(const struct trib_sim_batch *batch, struct trib_sim_curve *curves,
                                                    struct trib_error *error);

#endif
