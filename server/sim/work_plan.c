/* Steps and simulated seconds of a client's part in a round. */
#include "sim/work_plan.h"

#include "base/rng.h"

#include <math.h>

static uint64_t steps_an_epoch(size_t n, uint32_t batch)
{
    return (n + batch - 1) / batch;
}

double trib_sim_examples_of_steps(uint64_t steps, size_t n, uint32_t batch)
{
    uint64_t each = steps_an_epoch(n, batch);
    double rest = (double)(steps % each) * batch; /* below n: the epoch's last step is not among them */
    return (double)(steps / each) * (double)n + rest;
}

uint64_t trib_sim_steps_of_examples(double examples, size_t n, uint32_t batch)
{
    double epochs = floor(examples / (double)n);
    if (epochs > 1e12) {
        epochs = 1e12;
    }
    double rest = examples - epochs * (double)n;
    uint64_t steps = (uint64_t)epochs * steps_an_epoch(n, batch);
    steps += rest < (double)n ? (uint64_t)(rest / batch) : 0;
    return steps > 0 ? steps : 1;
}

/* Steps that a straggler manages: a whole number of epochs below what was asked for (as Li et al. 2020 draw them); of
 * a single epoch, some of its steps. */
static uint64_t straggler_steps(uint64_t asked, const struct trib_recipe *recipe, size_t n, struct trib_rng *rng)
{
    uint64_t each = steps_an_epoch(n, recipe->batch_size);
    uint64_t epochs = asked / each;
    if (epochs > 1) {
        return each * (1 + trib_rng_below(rng, epochs - 1));
    }
    return asked > 1 ? 1 + trib_rng_below(rng, asked - 1) : asked;
}

struct trib_sim_work trib_sim_work_plan(const struct trib_sim_settings *settings, const struct trib_recipe *recipe,
                                        const struct trib_sim_part *part)
{
    struct trib_sim_work work = {0};
    uint64_t asked = recipe->epochs * steps_an_epoch(part->n, recipe->batch_size);
    if (recipe->max_steps > 0 && recipe->max_steps < asked) {
        asked = recipe->max_steps;
    }
    uint64_t steps = asked;
    double examples = trib_sim_examples_of_steps(asked, part->n, recipe->batch_size);
    uint8_t who[16];
    trib_store_u64(who, part->client);
    trib_store_u64(who + 8, part->part);
    struct trib_rng rng = trib_rng_init(part->seed, "straggler", part->round, trib_hash64(who, sizeof who, 0));
    if (trib_rng_uniform64(&rng) < settings->stragglers) {
        work.never = settings->straggler_work == TRIB_STRAGGLER_DROP;
        steps = straggler_steps(asked, recipe, part->n, &rng);
        /* It is slow: the time is that of the whole work. */
    }
    double most = settings->time_limit * part->speed;
    if (settings->time_limit > 0 && examples > most) {
        uint64_t within = trib_sim_steps_of_examples(most, part->n, recipe->batch_size);
        steps = within < steps ? within : steps;
        double met = trib_sim_examples_of_steps(steps, part->n, recipe->batch_size);
        examples = met > most ? met : most;
    }
    work.seconds = examples / part->speed;
    work.stopped_early = steps < asked;
    work.max_steps = work.stopped_early ? (uint32_t)steps : recipe->max_steps;
    return work;
}
