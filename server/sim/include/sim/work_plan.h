/* What a simulated client makes of a task: how many steps it does and how long it takes. Pure functions; any thread. */
#ifndef TRIB_SIM_WORK_PLAN_H
#define TRIB_SIM_WORK_PLAN_H

#include "sim/sim_settings.h"
#include "train/trainer.h"

struct trib_sim_work {
    uint32_t max_steps; /* of the recipe that is trained by; 0 = no limit */
    bool stopped_early; /* by the client, before the end of what was asked for */
    bool never;         /* it works, but never offers */
    double seconds;     /* simulated */
};

/* A client with n examples and so many of them a second; part numbers its parts in this round, from 0. */
struct trib_sim_part {
    uint64_t seed, client, round, part;
    size_t n;
    double speed;
};
struct trib_sim_work trib_sim_work_plan(const struct trib_sim_settings *settings, const struct trib_recipe *recipe,
                                        const struct trib_sim_part *part);
/* Examples that the first `steps` steps meet: batches of `batch`, the last of an epoch with what is left. */
double trib_sim_examples_of_steps(uint64_t steps, size_t n, uint32_t batch);
/* The most steps that meet no more examples than this; at least 1. */
uint64_t trib_sim_steps_of_examples(double examples, size_t n, uint32_t batch);

#endif
