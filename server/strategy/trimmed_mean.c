/* The coordinate-wise trimmed mean (Yin et al., 2018) is the mean of the updates at each coordinate without the
 * smallest and the largest floor(beta n) of its n values. Up to that many clients may send anything. Weights are
 * ignored: they are what a client says of itself.
 *
 *   next_j = model_j + lr_server * mean(sorted delta_j [b, n - b)),  b = floor(beta n),  0 <= beta < 1/2 */
#include "strategy_table.h"

#include "base/clones.h"
#include "sorted_columns.h"

#include <math.h>

/* Begins as struct trib_rate_options does. */
struct options {
    double learning_rate;
    double trim; /* beta */
};
struct trimmed {
    double learning_rate, trim;
};

static const double default_trim = 0.1;

static void clear(void *state)
{
    struct trimmed *trimmed = state;
    *trimmed = (struct trimmed){0};
}

static enum trib_status begin(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error)
{
    struct trimmed *trimmed = state;
    const struct options *own = options->own;
    double trim = own ? own->trim : default_trim;
    (void)n, (void)max_abs, (void)max_total_weight;
    clear(state);
    TRIB_TRY(trib_strategy_check_set("trimmed_mean", options, error));
    TRIB_TRY(trib_strategy_check_rate("trimmed_mean", trib_strategy_rate(options), error));
    if (!(trim >= 0 && trim < 0.5)) {
        return trib_fail(error, TRIB_INVALID,
                         "trimmed_mean: a share of %g is left out at each end; it must be at least 0 and below 0.5",
                         trim);
    }
    *trimmed = (struct trimmed){.learning_rate = trib_strategy_rate(options), .trim = trim};
    return TRIB_OK;
}

/* Values that are left out at each end. A product such as 0.29 * 100 comes out below the integer that it is meant to
 * be, hence the small addend; at least one value stays. */
static size_t left_out(double trim, size_t n)
{
    size_t most = (n - 1) / 2, wanted = (size_t)floor(trim * (double)n + 1e-9);
    return wanted < most ? wanted : most;
}

/* The sum goes from the smallest value to the largest: one order, whichever the updates came in. */
TRIB_CLONES static void mean(const int32_t *keys, size_t n, size_t columns, float *out)
{
    double sums[TRIB_SORTED_COLUMNS] = {0};
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < columns; j++) {
            sums[j] += (double)trib_sorted_columns_value(keys[i * columns + j]);
        }
    }
    for (size_t j = 0; j < columns; j++) {
        out[j] = (float)(sums[j] / (double)n);
    }
}

static void inner_mean(const void *context, const int32_t *keys, size_t n_updates, size_t columns, float *out)
{
    const struct trimmed *trimmed = context;
    size_t out_each = left_out(trimmed->trim, n_updates);
    mean(keys + out_each * columns, n_updates - 2 * out_each, columns, out);
}

static enum trib_status combine(const void *state, const struct trib_update_set *set, size_t first, size_t n,
                                float *out, void *workspace, struct trib_error *error)
{
    return trib_sorted_columns_combine(set, first, n, inner_mean, state, out, workspace, error);
}

static enum trib_status finish(void *state, float *direction, double *step, struct trib_error *error)
{
    const struct trimmed *trimmed = state;
    (void)direction, (void)error;
    *step = trimmed->learning_rate;
    return TRIB_OK;
}

static const struct trib_config_row rows[] = {
    TRIB_STRATEGY_RATE(struct options),
    TRIB_ROW("strategy.trim", TRIB_TYPE_REAL, TRIB_ROW_AT(struct options, trim), "0.1", 0, 0.499999, NULL, 0,
             "share of the values that is left out at each end of every coordinate, below 0.5."),
};

const struct trib_strategy trib_strategy_trimmed_mean = {
    .name = "trimmed_mean",
    .help = "mean at each coordinate without a share of its smallest and largest values, whatever the updates' weights "
            "(Yin et al., 2018)",
    .caps = TRIB_STRATEGY_NEEDS_SET,
    .settings = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct options)},
    .state_size = sizeof(struct trimmed),
    .begin = begin,
    .workspace = trib_sorted_columns_workspace,
    .combine = combine,
    .finish = finish,
    .clear = clear,
};
