/* The list of strategies, and what is the same for all of them. Any thread; nothing here changes after the program
 * starts. */
#include "strategy/strategy.h"

#include "strategy_table.h"

#include "base/clones.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

static const struct trib_strategy *const strategies[] = {
#define TRIB_STRATEGY_ROW(strategy) &trib_strategy_##strategy,
#include "strategy_list.def"
#undef TRIB_STRATEGY_ROW
};

size_t trib_strategies(const struct trib_strategy *const **list)
{
    *list = strategies;
    return sizeof strategies / sizeof strategies[0];
}

const struct trib_strategy *trib_strategy_find(const char *name)
{
    for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
        if (trib_str_equal(strategies[i]->name, name)) {
            return strategies[i];
        }
    }
    return NULL;
}

TRIB_CLONES static void apply(const float *model, const float *direction, double step, size_t n, float *next)
{
    for (size_t j = 0; j < n; j++) {
        next[j] = (float)((double)model[j] + step * (double)direction[j]);
    }
}

void trib_strategy_apply(const float *model, const float *direction, double step, size_t n, float *next)
{
    enum { CHUNK = 1024 };
    for (size_t first = 0; first < n; first += CHUNK) {
        /* through a buffer: a loop whose result may lie on its input is not vectorised */
        float chunk[CHUNK];
        size_t chunk_n = n - first < CHUNK ? n - first : CHUNK;
        apply(model + first, direction + first, step, chunk_n, chunk);
        memcpy(next + first, chunk, chunk_n * sizeof *chunk);
    }
}

enum trib_status trib_strategy_check_rate(const char *name, double rate, struct trib_error *error)
{
    if (!isfinite(rate) || rate <= 0) {
        return trib_fail(error, TRIB_INVALID, "%s: server learning rate %g; it must be above 0 (1 = plain averaging)",
                         name, rate);
    }
    return TRIB_OK;
}

enum trib_status trib_strategy_check_set(const char *name, const struct trib_strategy_options *options,
                                         struct trib_error *error)
{
    if (!(options->gives & TRIB_STRATEGY_NEEDS_SET)) {
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "%s: needs all of a round's updates at once, and they are folded one by one here", name);
    }
    return TRIB_OK;
}
