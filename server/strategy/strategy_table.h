/* The tables that strategy_list.def names, for the files that define them and the one that lists them. */
#ifndef TRIB_STRATEGY_TABLE_H
#define TRIB_STRATEGY_TABLE_H

#include "strategy/strategy.h"

#define TRIB_STRATEGY_ROW(strategy) extern const struct trib_strategy trib_strategy_##strategy;
#include "strategy_list.def"
#undef TRIB_STRATEGY_ROW

#endif
