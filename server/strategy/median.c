/* The coordinate-wise median (Yin et al., 2018) is the middle value of all updates at each coordinate, or the mean of
 * the two middle ones when their number is even. Half of the clients but one may send anything, and no coordinate
 * leaves the range of what the others sent. Weights are ignored: they are what a client says of itself.
 *
 *   next_j = model_j + lr_server * median_k(delta_kj) */
#include "strategy_table.h"

#include "sorted_columns.h"

struct median {
    double learning_rate;
};

static void clear(void *state)
{
    struct median *median = state;
    *median = (struct median){0};
}

static enum trib_status begin(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error)
{
    struct median *median = state;
    (void)n, (void)max_abs, (void)max_total_weight;
    clear(state);
    TRIB_TRY(trib_strategy_check_set("median", options, error));
    TRIB_TRY(trib_strategy_check_rate("median", trib_strategy_rate(options), error));
    median->learning_rate = trib_strategy_rate(options);
    return TRIB_OK;
}

static void middle(const void *context, const int32_t *keys, size_t n_updates, size_t columns, float *out)
{
    (void)context;
    const int32_t *low = keys + (n_updates - 1) / 2 * columns, *high = keys + n_updates / 2 * columns;
    for (size_t j = 0; j < columns; j++) {
        out[j] = (float)(((double)trib_sorted_columns_value(low[j]) + (double)trib_sorted_columns_value(high[j])) / 2);
    }
}

static enum trib_status combine(const void *state, const struct trib_update_set *set, size_t first, size_t n,
                                float *out, void *workspace, struct trib_error *error)
{
    (void)state;
    return trib_sorted_columns_combine(set, first, n, middle, NULL, out, workspace, error);
}

static enum trib_status finish(void *state, float *direction, double *step, struct trib_error *error)
{
    const struct median *median = state;
    (void)direction, (void)error;
    *step = median->learning_rate;
    return TRIB_OK;
}

static const struct trib_config_row rows[] = {TRIB_STRATEGY_RATE(struct trib_rate_options)};

const struct trib_strategy trib_strategy_median = {
    .name = "median",
    .help = "median of the updates at each coordinate, whatever their weights (Yin et al., 2018)",
    .caps = TRIB_STRATEGY_NEEDS_SET,
    .settings = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct trib_rate_options)},
    .state_size = sizeof(struct median),
    .begin = begin,
    .workspace = trib_sorted_columns_workspace,
    .combine = combine,
    .finish = finish,
    .clear = clear,
};
