/* Adaptive mu. */
#include "strategy/proximal.h"

#include <math.h>

enum { FALLS = 5 };

void trib_proximal_learn(struct trib_proximal *proximal, double loss)
{
    if (isnan(loss)) {
        return;
    }
    if (proximal->has_loss && loss > proximal->last_loss) {
        double risen = proximal->mu + proximal->step;
        proximal->mu = risen < proximal->most ? risen : proximal->mu > proximal->most ? proximal->mu : proximal->most;
        proximal->falls = 0;
    } else if (proximal->has_loss && loss < proximal->last_loss && ++proximal->falls == FALLS) {
        proximal->mu = proximal->mu > proximal->step ? proximal->mu - proximal->step : 0;
        proximal->falls = 0;
    }
    proximal->last_loss = loss;
    proximal->has_loss = true;
}
