/* Many worlds, in several processes; and one that fails, with fewer faults. */
#ifndef FAULT_SIM_RUNS_H
#define FAULT_SIM_RUNS_H

#include "world.h"

struct runs {
    uint64_t from, to;               /* seeds, both included */
    const struct scenario *scenario; /* NULL: each seed has its own */
    int64_t seconds;
    uint64_t rounds;
    unsigned jobs;
    bool trace, shrink;
};

/* False when a rule was broken. They print what they did. */
bool runs_all(const struct runs *runs);
/* Those of regressions.def. */
bool runs_regressions(void);
/* One world; of scenario lossless also its undisturbed twin, and the two must end alike. *twice: it is run again, and
 * must be the same bit by bit. */
void run_seed(uint64_t seed, const struct scenario *scenario, const struct schedule *faults, bool trace, bool twice,
              struct outcome *outcome);
const struct scenario *scenario_of(uint64_t seed);

/* shrink.c: the fewest faults of a world with which it still fails. */
void shrink(uint64_t seed, const struct scenario *scenario, const struct outcome *failed);

#endif
