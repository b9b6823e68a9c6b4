/* FedAvg (McMahan et al., 2017) is the weighted average of the updates, here with a server learning rate as in FedOpt's
 * SGD (Reddi et al., 2021), and with stale updates as in FedBuff (Nguyen et al., 2022), which weigh less but are
 * counted in full:
 *
 *   next = model + lr_server * (sum_k w_k delta_k) / (sum_k c_k),  w_k <= c_k
 *
 * The direction is the mean over the weights, and the step lr_server * (sum_k w_k) / (sum_k c_k). */
#include "strategy_table.h"

#include "base/mem.h"

enum { PIECE = 1 << 20 }; /* sums that are handed back at a time */

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
    clear(state); /* before the new sums are allocated: two of them could be more than there is memory */
    TRIB_TRY(trib_strategy_check_rate("fedavg", trib_strategy_rate(options), error));
    fedavg->learning_rate = trib_strategy_rate(options);
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

static enum trib_status finish(void *state, float *direction, double *step, struct trib_error *error)
{
    struct fedavg *fedavg = state;
    if (fedavg->sum.total_weight == 0) {
        return trib_fail(error, TRIB_UNAVAILABLE, "fedavg: no update arrived, so there is no next model");
    }
    *step = fedavg->learning_rate * ((double)fedavg->sum.total_weight / (double)fedavg->counted);
    for (size_t first = 0; first < fedavg->sum.n; first += PIECE) {
        size_t n = fedavg->sum.n - first < PIECE ? fedavg->sum.n - first : PIECE;
        trib_accumulator_mean(&fedavg->sum, first, n, direction + first);
        /* The sums take twice the memory of the direction: hand them back as it grows. */
        if (n == PIECE) {
            trib_mem_discard(fedavg->sum.sums + first, PIECE * sizeof *fedavg->sum.sums);
        }
    }
    return TRIB_OK;
}

static const struct trib_config_row rows[] = {TRIB_STRATEGY_RATE(struct trib_rate_options)};

const struct trib_strategy trib_strategy_fedavg = {
    .name = "fedavg",
    .help = "weighted average of the updates (McMahan et al., 2017)",
    .caps = TRIB_STRATEGY_ADDITIVE,
    .settings = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct trib_rate_options)},
    .state_size = sizeof(struct fedavg),
    .begin = begin,
    .fold_begin = fold_begin,
    .fold = fold,
    .finish = finish,
    .clear = clear,
};
