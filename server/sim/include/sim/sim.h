/* One run of a simulated federation: the server's engine, and a client session for each client, in one process under
 * virtual time. What it gives depends on the settings and the seed alone, not on threads or on the machine's speed. */
#ifndef TRIB_SIM_SIM_H
#define TRIB_SIM_SIM_H

#include "sim/results.h"
#include "sim/sim_settings.h"

struct trib_sim_run { /* all borrowed */
    const struct trib_sim_settings *settings;
    uint64_t seed;
    int threads;         /* for training and for the server's arithmetic; 0 = one per core */
    const char *scratch; /* folder for what clients remember; NULL = one is made, and removed at the end */
    /* For each round that ends. NULL: nobody asks. */
    void (*point)(void *context, const struct trib_sim_point *point);
    void *context;
};
/* TRIB_UNAVAILABLE, TRIB_TIMEOUT: the federation came to a standstill or took longer than max_time; what was reached
 * until then has been told. */
TRIB_MUST_CHECK enum trib_status trib_sim_run(const struct trib_sim_run *run, struct trib_error *error);

/* What a start would find wrong with the data, the model and the arithmetic; *examples: that the clients share. */
TRIB_MUST_CHECK enum trib_status trib_sim_check(const struct trib_sim_settings *settings, size_t *examples,
                                                struct trib_error *error);

#endif
