/* FedAvg (McMahan et al., 2017), with a server learning rate as in FedOpt's SGD (Reddi et al., 2021), and with
 * stale updates as in FedBuff (Nguyen et al., 2022), which weigh less but are counted in full:
 *
 *   next = model + lr_server * (sum_k w_k delta_k) / (sum_k c_k),  w_k <= c_k
 */
#include "strategy_table.h"

#include "base/mem.h"

#include <math.h>

enum { CHUNK = 1024, DISCARD = 1 << 20 };

struct fedavg {
    struct trib_accumulator sum;
    double learning_rate;
    uint64_t counted; /* sum of c_k */
};

static void clear(void *state)
{
    struct fedavg *fedavg = state;
    trib_accumulator_clear(&fedavg->sum);
}

static enum trib_status begin(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error)
{
    struct fedavg *fedavg = state;
    double learning_rate = options->server_learning_rate;
    clear(state); /* before the new sums are allocated: two of them could be more than there is memory */
    if (!isfinite(learning_rate) || learning_rate <= 0) {
        return trib_fail(error, TRIB_INVALID,
                         "fedavg: server learning rate %g; it must be above 0 (1 = plain averaging)", learning_rate);
    }
    fedavg->learning_rate = learning_rate;
    fedavg->counted = 0;
    return trib_accumulator_init(&fedavg->sum, n, max_abs, max_total_weight, error);
}

static enum trib_status fold_begin(void *state, const struct trib_update_info *info, struct trib_error *error)
{
    struct fedavg *fedavg = state;
    if (info->counted < info->weight) {
        return trib_fail(error, TRIB_INVALID, "fedavg: an update weighs more than it is counted for");
    }
    TRIB_TRY(trib_accumulator_begin(&fedavg->sum, info->weight, error));
    fedavg->counted += info->counted;
    return TRIB_OK;
}

static void fold(void *state, const struct trib_update_info *info, size_t first, const float *values, size_t n)
{
    struct fedavg *fedavg = state;
    trib_accumulator_add(&fedavg->sum, info->weight, first, values, n);
}

static enum trib_status finish(void *state, const float *model, float *next, struct trib_error *error)
{
    struct fedavg *fedavg = state;
    float mean[CHUNK];
    if (fedavg->sum.total_weight == 0) {
        return trib_fail(error, TRIB_UNAVAILABLE, "fedavg: no update arrived, so there is no next model");
    }
    double step = fedavg->learning_rate * ((double)fedavg->sum.total_weight / (double)fedavg->counted);
    for (size_t first = 0; first < fedavg->sum.n; first += CHUNK) {
        size_t n = fedavg->sum.n - first < CHUNK ? fedavg->sum.n - first : CHUNK;
        trib_accumulator_mean(&fedavg->sum, first, n, mean);
        for (size_t j = 0; j < n; j++) {
            next[first + j] = (float)((double)model[first + j] + step * (double)mean[j]);
        }
        /* The sums take twice the memory of the next model: hand them back as it grows. */
        if ((first + CHUNK) % DISCARD == 0) {
            trib_mem_discard(fedavg->sum.sums + (first + CHUNK - DISCARD), DISCARD * sizeof *fedavg->sum.sums);
        }
    }
    return TRIB_OK;
}

const struct trib_strategy trib_strategy_fedavg = {
    .name = "fedavg",
    .help = "weighted average of the updates (McMahan et al., 2017)",
    .caps = TRIB_STRATEGY_ADDITIVE,
    .state_size = sizeof(struct fedavg),
    .begin = begin,
    .fold_begin = fold_begin,
    .fold = fold,
    .finish = finish,
    .clear = clear,
};
