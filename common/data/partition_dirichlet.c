/* The rule "dirichlet:ALPHA" makes clients of equal size whose mixtures of classes are drawn from a Dirichlet
 * distribution,
 *
 *   q_c ~ Dirichlet(ALPHA * p),  p = the dataset's class frequencies (they sum to 1),
 *
 * large ALPHA: all alike; small ALPHA: one class each. Examples are drawn without replacement; a class that has run out
 * leaves the mixture, which is renormalised. Every client gets floor(n / clients) examples or one more.
 * Source: Hsu, Qi, Brown 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
 * Classification", section 3. Any thread. */
#include "split.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <math.h>

struct urn {
    size_t classes;
    const size_t *starts; /* [classes + 1] where a class begins in `sorted` */
    const uint32_t *sorted;
    size_t *taken;      /* [classes] */
    double *log_weight; /* [classes] logarithm of the client's mixture, up to a constant */
    double *cumulative; /* [classes] of what is left of it */
};

static size_t left_of(const struct urn *urn, size_t k)
{
    return urn->starts[k + 1] - urn->starts[k] - urn->taken[k];
}

/* log of a Gamma(shape, 1) variate: Gamma(shape + 1) * U^(1/shape), in logarithms because for small shapes the variate
 * itself underflows to 0 for all classes at once. */
static double log_gamma_variate(struct trib_rng *rng, double shape)
{
    double u = 1.0 - trib_rng_uniform64(rng); /* (0, 1] */
    return log(trib_rng_gamma(rng, shape + 1)) + log(u) / shape;
}

/* The mixture over the classes that are left. */
static void renormalise(struct urn *urn)
{
    double most = -INFINITY;
    double sum = 0;
    for (size_t k = 0; k < urn->classes; k++) {
        if (left_of(urn, k) > 0 && urn->log_weight[k] > most) {
            most = urn->log_weight[k];
        }
    }
    for (size_t k = 0; k < urn->classes; k++) {
        sum += left_of(urn, k) > 0 ? exp(urn->log_weight[k] - most) : 0;
        urn->cumulative[k] = sum;
    }
}

/* The first class whose cumulative weight is above `point`; it has weight, and so examples left. */
static size_t find_class(const struct urn *urn, double point)
{
    size_t low = 0;
    size_t high = urn->classes - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (urn->cumulative[middle] > point) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static void draw_client(struct urn *urn, struct trib_rng *rng, double alpha, size_t n, size_t count, uint32_t *to)
{
    for (size_t k = 0; k < urn->classes; k++) {
        double p = (double)(urn->starts[k + 1] - urn->starts[k]) / (double)n;
        urn->log_weight[k] = p > 0 ? log_gamma_variate(rng, alpha * p) : -INFINITY;
    }
    renormalise(urn);
    for (size_t i = 0; i < count; i++) {
        double point = trib_rng_uniform64(rng) * urn->cumulative[urn->classes - 1];
        size_t k = find_class(urn, point);
        to[i] = urn->sorted[urn->starts[k] + urn->taken[k]++];
        if (left_of(urn, k) == 0 && i + 1 < count) {
            renormalise(urn);
        }
    }
}

static enum trib_status parse_alpha(const char *argument, double *alpha, struct trib_error *error)
{
    if (!argument) {
        return trib_fail(error, TRIB_INVALID, "partition dirichlet: write dirichlet:ALPHA, such as dirichlet:0.5");
    }
    enum trib_status status = trib_parse_double(argument, 1e-6, 1e9, alpha, error);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "partition dirichlet:ALPHA");
}

static enum trib_status split_dirichlet(const struct trib_dataset *dataset, size_t n_clients, const char *argument,
                                        uint64_t seed, struct trib_partition *partition, struct trib_error *error)
{
    double alpha = 0;
    TRIB_TRY(trib_split_need_labels("dirichlet", dataset, error));
    TRIB_TRY(parse_alpha(argument, &alpha, error));
    size_t classes = (size_t)dataset->classes;
    uint32_t *sorted = trib_malloc_aligned(dataset->n, sizeof *sorted);
    size_t *starts = trib_malloc_aligned(classes + 1, sizeof *starts);
    struct urn urn = {
        .classes = classes,
        .starts = starts,
        .sorted = sorted,
        .taken = trib_calloc(classes, sizeof *urn.taken),
        .log_weight = trib_malloc_aligned(classes, sizeof *urn.log_weight),
        .cumulative = trib_malloc_aligned(classes, sizeof *urn.cumulative),
    };
    enum trib_status status = TRIB_OK;
    if (!sorted || !starts || !urn.taken || !urn.log_weight || !urn.cumulative) {
        status = trib_fail_no_memory(error);
        goto out;
    }
    status = trib_split_by_label(dataset, seed, sorted, starts, error);
    if (status == TRIB_OK) {
        status = trib_split_init(n_clients, dataset->n, partition, error);
    }
    for (size_t c = 0; c < n_clients && status == TRIB_OK; c++) {
        struct trib_rng rng = trib_rng_init(seed, "dirichlet", c, 0);
        size_t start = trib_split_at(dataset->n, c, n_clients);
        size_t stop = trib_split_at(dataset->n, c + 1, n_clients);
        draw_client(&urn, &rng, alpha, dataset->n, stop - start, partition->indices + start);
        partition->offsets[c + 1] = stop;
    }
out:
    trib_free(sorted);
    trib_free(starts);
    trib_free(urn.taken);
    trib_free(urn.log_weight);
    trib_free(urn.cumulative);
    return status;
}

const struct trib_partition_rule trib_partition_rule_dirichlet = {
    .name = "dirichlet",
    .help = "dirichlet:ALPHA: equal sizes, class mixtures drawn from Dirichlet(ALPHA x class frequencies)",
    .split = split_dirichlet,
};
