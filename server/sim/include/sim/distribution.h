/* Distributions written as short texts in a simulation's settings: "fixed:100", "lognormal:100,0.8". Values; any
 * thread. */
#ifndef TRIB_SIM_DISTRIBUTION_H
#define TRIB_SIM_DISTRIBUTION_H

#include "base/rng.h"
#include "base/status.h"

/* "fixed:X", "uniform:LO,HI", "lognormal:MEDIAN,SIGMA" (of the logarithm), "pareto:MIN,ALPHA", "exponential:MEAN" */
enum trib_distribution_kind {
    TRIB_DISTRIBUTION_FIXED,
    TRIB_DISTRIBUTION_UNIFORM,
    TRIB_DISTRIBUTION_LOGNORMAL,
    TRIB_DISTRIBUTION_PARETO,
    TRIB_DISTRIBUTION_EXPONENTIAL,
    TRIB_DISTRIBUTION_KIND_COUNT
};
struct trib_distribution {
    enum trib_distribution_kind kind;
    double a, b; /* the parameters, in the order of the text */
};

/* No draw is ever below 0. TRIB_INVALID: the message says what the text lacks. */
TRIB_MUST_CHECK enum trib_status trib_distribution_parse(const char *text, struct trib_distribution *distribution,
                                                         struct trib_error *error);
double trib_distribution_draw(const struct trib_distribution *distribution, struct trib_rng *rng);

#endif
