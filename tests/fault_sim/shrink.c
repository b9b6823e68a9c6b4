/* Delta debugging (Zeller and Hildebrandt, 2002) on a world's list of faults: halves, quarters and so on are left out
 * as long as it fails without them; then what is left is made shorter. */
#include "runs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct shrinking {
    uint64_t seed;
    const struct scenario *scenario;
    struct schedule best;
    char broken[512];
    unsigned tries;
};

static bool still_fails(struct shrinking *shrinking, const struct schedule *candidate)
{
    static struct outcome outcome;
    shrinking->tries++;
    run_seed(shrinking->seed, shrinking->scenario, candidate, false, false, &outcome);
    if (!outcome.broken[0]) {
        return false;
    }
    shrinking->best = *candidate;
    memcpy(shrinking->broken, outcome.broken, sizeof shrinking->broken);
    return true;
}

static struct schedule without(const struct schedule *schedule, size_t first, size_t n)
{
    struct schedule less = {.end_ms = schedule->end_ms};
    for (size_t i = 0; i < schedule->n; i++) {
        if (i < first || i >= first + n) {
            less.list[less.n++] = schedule->list[i];
        }
    }
    return less;
}

static bool leave_out(struct shrinking *shrinking, size_t n)
{
    for (size_t first = 0; first < shrinking->best.n; first += n) {
        const struct schedule less = without(&shrinking->best, first, n);
        if (still_fails(shrinking, &less)) {
            return true;
        }
    }
    return false;
}

static bool shorten(struct shrinking *shrinking)
{
    bool any = false;
    for (size_t i = 0; i < shrinking->best.n; i++) {
        struct schedule shorter = shrinking->best;
        shorter.list[i].length_ms /= 4;
        any = (shorter.list[i].length_ms > 10 && still_fails(shrinking, &shorter)) || any;
    }
    return any;
}

void shrink(uint64_t seed, const struct scenario *scenario, const struct outcome *failed)
{
    static struct shrinking shrinking;
    shrinking = (struct shrinking){.seed = seed, .scenario = scenario, .best = failed->schedule};
    memcpy(shrinking.broken, failed->broken, sizeof shrinking.broken);
    for (size_t n = shrinking.best.n; n > 0;) {
        if (!leave_out(&shrinking, n)) {
            n /= 2;
        }
    }
    while (shrinking.tries < 400 && shorten(&shrinking)) {
    }
    printf("seed %" PRIu64 ", after %u tries: %zu of %zu faults are enough for: %s\n", seed, shrinking.tries,
           shrinking.best.n, failed->schedule.n, shrinking.broken);
    schedule_print(&shrinking.best);
}
