/* Selectors share these: weighted sampling without replacement, the share of newcomers, quantiles. Pure. */
#include "sampling.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

static const double explore_decay = 0.98; /* per round; Lai et al. 2021, section 4.4 */
static const double explore_settled = 0.2;
static const double explore_least = 0.05;

double trib_select_luck(const struct trib_selection *selection, const char *stream, uint64_t draw, uint64_t key)
{
    struct trib_rng rng = trib_rng_init(selection->seed, stream, selection->round, draw);
    uint32_t words[4];
    trib_philox(rng.key, key, words);
    uint64_t bits = (uint64_t)words[1] << 32 | words[0];
    return ((double)(bits >> 12) + 0.5) * 0x1p-52; /* 53 bits are exact, and neither end is reached */
}

static int compare_items(const void *a, const void *b)
{
    const struct trib_select_item *x = a, *y = b;
    if (x->rank != y->rank) {
        return x->rank < y->rank ? -1 : 1;
    }
    if (x->luck != y->luck) {
        return x->luck < y->luck ? -1 : 1;
    }
    return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

/* Efraimidis and Spirakis 2006: the largest u^(1/w) first, u uniform. That is the order of log(-log u) - log w,
 * ascending, in which no weight is too large or too small. */
void trib_select_draw(const struct trib_selection *selection, const char *stream, struct trib_select_item *items,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t key = selection->candidates[items[i].candidate].key;
        items[i].luck = log(-log(trib_select_luck(selection, stream, selection->draw, key)));
        items[i].rank = items[i].weight > 0 ? items[i].luck - log(items[i].weight) : INFINITY;
    }
    qsort(items, n, sizeof *items, compare_items);
}

struct trib_select_item *trib_select_split(const struct trib_selection *selection,
                                           bool (*is_known)(const struct trib_candidate *), size_t *n_unknown)
{
    struct trib_select_item *items = trib_calloc(selection->n, sizeof *items);
    if (!items) {
        return NULL;
    }
    size_t unknown = 0, known = selection->n;
    for (size_t i = 0; i < selection->n; i++) {
        size_t at = is_known(&selection->candidates[i]) ? --known : unknown++;
        items[at].candidate = (uint32_t)i;
    }
    *n_unknown = unknown;
    return items;
}

size_t trib_select_explore_n(const struct trib_selection *selection, double explore, size_t n_unknown)
{
    double begin = explore > explore_least ? fmin(explore, 1) : explore_least; /* nan: the least */
    double rounds = selection->round > 1 ? (double)(selection->round - 1) : 0;
    double share = fmax(begin * pow(explore_decay, rounds), fmin(begin, explore_settled));
    double part = share * (double)selection->wanted;
    size_t n = (size_t)part;
    n += trib_select_luck(selection, "explore share", selection->draw, 0) < part - (double)n;
    size_t n_known = selection->n - n_unknown;
    if (n + n_known < selection->wanted) {
        n = selection->wanted - n_known;
    }
    return n < n_unknown ? n : n_unknown;
}

void trib_select_explore(const struct trib_selection *selection, struct trib_select_item *items, size_t n_unknown,
                         size_t n, struct trib_pick *picked)
{
    for (size_t i = 0; i < n_unknown; i++) {
        items[i].weight = 1 / (1 + (double)selection->candidates[items[i].candidate].picked);
    }
    trib_select_draw(selection, "explore", items, n_unknown);
    for (size_t i = 0; i < n; i++) {
        bool tried = selection->candidates[items[i].candidate].picked > 0;
        picked[i] = (struct trib_pick){.candidate = items[i].candidate,
                                       .score = NAN,
                                       .why = tried ? "tried, but nothing is known of it" : "not tried yet"};
    }
}

void trib_select_take(const struct trib_select_item *items, size_t n, const char *why, struct trib_pick *picked)
{
    for (size_t i = 0; i < n; i++) {
        picked[i] = (struct trib_pick){.candidate = items[i].candidate, .score = items[i].weight, .why = why};
    }
}

static int compare_picks(const void *a, const void *b)
{
    const struct trib_pick *x = a, *y = b;
    return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

void trib_select_sort(struct trib_pick *picked, size_t n)
{
    qsort(picked, n, sizeof *picked, compare_picks);
}

double trib_select_reliability(const struct trib_candidate *candidate)
{
    double good = 1 + (double)candidate->folded + (double)candidate->skipped;
    return good / (good + (double)candidate->failed);
}

double trib_select_mean_examples(const struct trib_selection *selection)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < selection->n; i++) {
        sum += (double)selection->candidates[i].examples;
        n += selection->candidates[i].examples > 0;
    }
    return n > 0 ? sum / n : 1;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void trib_select_sort_values(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
}

double trib_select_percentile(const double *sorted, size_t n, double percent)
{
    double rank = ceil(fmin(percent, 100) * (double)n / 100);
    return sorted[rank < 1 ? 0 : (size_t)rank - 1];
}
