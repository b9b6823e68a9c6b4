/* The tables that strategy_list.def names, for the files that define them and the one that lists them, with what
 * several of those files share. */
#ifndef TRIB_STRATEGY_TABLE_H
#define TRIB_STRATEGY_TABLE_H

#include "strategy/strategy.h"

#define TRIB_STRATEGY_ROW(strategy) extern const struct trib_strategy trib_strategy_##strategy;
#include "strategy_list.def"
#undef TRIB_STRATEGY_ROW

/* The options of a strategy that has a learning rate and nothing else. */
struct trib_rate_options {
    double learning_rate;
};
/* The row of a learning rate, for an options struct with such a member. */
#define TRIB_STRATEGY_RATE(type)                                                                                       \
    TRIB_ROW("strategy.learning_rate", TRIB_TYPE_REAL, TRIB_ROW_AT(type, learning_rate), "1", 1e-6, 100, NULL, 0,      \
             "the server's step along the averaged update; 1 = plain averaging.")
static inline double trib_strategy_rate(const struct trib_strategy_options *options)
{
    const struct trib_rate_options *own = options->own;
    return own ? own->learning_rate : options->server_learning_rate;
}
/* TRIB_INVALID, in the strategy's name, for a rate that is not a finite number above 0. */
TRIB_MUST_CHECK enum trib_status trib_strategy_check_rate(const char *name, double rate, struct trib_error *error);
/* TRIB_UNSUPPORTED, in the strategy's name, when the caller gives no update sets. */
TRIB_MUST_CHECK enum trib_status trib_strategy_check_set(const char *name, const struct trib_strategy_options *options,
                                                         struct trib_error *error);

#endif
