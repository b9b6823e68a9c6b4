/* FedProx's mu from round to round (Li et al. 2020): fixed, or adapted as in their experiments: it grows by a step when
 * the loss rises, and falls by one after five rounds in a row in which the loss fell. A value. */
#ifndef TRIB_STRATEGY_PROXIMAL_H
#define TRIB_STRATEGY_PROXIMAL_H

#include <stdbool.h>

struct trib_proximal {
    double mu, step; /* step 0 = fixed */
    double most;     /* beyond 1 / learning rate, steps would overshoot */
    double last_loss;
    bool has_loss;
    unsigned falls; /* in a row */
};

/* A round was committed with this loss; nan is passed over. */
void trib_proximal_learn(struct trib_proximal *proximal, double loss);

#endif
