/* The list of strategies. Any thread; nothing here changes after the program starts. */
#include "strategy/strategy.h"

#include "strategy_table.h"

#include "base/str.h"

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
