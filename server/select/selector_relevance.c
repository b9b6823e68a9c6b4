/* The selector "relevance" prefers those whose updates agreed most with the direction of the model (the relevance of
 * Wang et al. 2019), so that less work is done only to be skipped. A share of the picks goes to those whose relevance
 * is not known yet; the rest are draws in proportion to
 *
 *   weight_i = max(relevance_i * reliability_i, 0.05 max_j relevance_j * reliability_j)
 *
 * By the lower bound each of m known candidates has a chance of at least 0.05 / m in every such draw, and by that of
 * the newcomers' share the unknown have at least one pick in 20 on average: nobody starves. */
#include "sampling.h"
#include "selector_tables.h"

#include "base/mem.h"

#include <math.h>

struct settings {
    double explore;
};
static const struct trib_config_row rows[] = {TRIB_SELECT_EXPLORE_ROW(offsetof(struct settings, explore))};

static const double least_weight = 0.05;

static bool is_known(const struct trib_candidate *candidate)
{
    return isfinite(candidate->relevance);
}

static void weigh(const struct trib_selection *selection, struct trib_select_item *items, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        const struct trib_candidate *candidate = &selection->candidates[items[i].candidate];
        items[i].weight = fmin(fmax(candidate->relevance, 0), 1) * trib_select_reliability(candidate);
        most = fmax(most, items[i].weight);
    }
    for (size_t i = 0; i < n; i++) {
        items[i].weight = fmax(items[i].weight, least_weight * most);
    }
}

static enum trib_status pick(void *state, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)state;
    size_t n_unknown = 0;
    struct trib_select_item *items = trib_select_split(selection, is_known, &n_unknown);
    if (!items) {
        return TRIB_NO_MEMORY;
    }
    const struct settings *settings = selection->settings;
    size_t n = trib_select_explore_n(selection, settings->explore, n_unknown);
    trib_select_explore(selection, items, n_unknown, n, picked);
    struct trib_select_item *known = items + n_unknown;
    weigh(selection, known, selection->n - n_unknown);
    trib_select_draw(selection, "relevance", known, selection->n - n_unknown);
    trib_select_take(known, selection->wanted - n, "drawn by its relevance", picked + n);
    trib_select_sort(picked, selection->wanted);
    trib_free(items);
    return TRIB_OK;
}

const struct trib_selector trib_selector_relevance = {
    .name = "relevance",
    .help = "those whose updates agreed most with the model's direction, and some not tried yet",
    .settings = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct settings)},
    .pick = pick,
};
