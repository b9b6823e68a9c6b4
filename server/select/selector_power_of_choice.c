/* Power-of-choice (Cho, Wang, Joshi 2020) is here the variant "rpow-d" that uses the last known losses: draw d
 * candidates in proportion to their examples, without replacement; of these take the ones whose loss was highest. An
 * unknown loss counts as the highest; among equals the order of the draw decides.
 *
 * The paper's clients never fail. Ours do, and one that always fails keeps its unknown loss: the chance to be drawn is
 * multiplied by the share of its tasks that came to something. */
#include "sampling.h"
#include "selector_tables.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct settings {
    int64_t candidates; /* d */
};
static const struct trib_config_row rows[] = {
    TRIB_ROW("selection.candidates", TRIB_TYPE_INT, offsetof(struct settings, candidates), "0", 0, 1000000, NULL, 0,
             "clients among which those with the highest loss are chosen; 0 = twice as many as wanted."),
};

struct choice {
    double loss;   /* INFINITY = unknown */
    uint32_t turn; /* in the draw */
    uint32_t candidate;
};

static int compare(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->loss != y->loss) {
        return x->loss > y->loss ? -1 : 1;
    }
    return (x->turn > y->turn) - (x->turn < y->turn);
}

static size_t count_drawn(const struct trib_selection *selection)
{
    const struct settings *settings = selection->settings;
    size_t d = (size_t)settings->candidates;
    if (d == 0) {
        d = selection->wanted > selection->n / 2 ? selection->n : 2 * selection->wanted;
    }
    d = d < selection->wanted ? selection->wanted : d;
    return d < selection->n ? d : selection->n;
}

static void draw(const struct trib_selection *selection, struct trib_select_item *items)
{
    double untold = trib_select_mean_examples(selection);
    for (size_t i = 0; i < selection->n; i++) {
        const struct trib_candidate *candidate = &selection->candidates[i];
        double examples = candidate->examples > 0 ? (double)candidate->examples : untold;
        items[i] = (struct trib_select_item){.candidate = (uint32_t)i,
                                             .weight = examples * trib_select_reliability(candidate)};
    }
    trib_select_draw(selection, "power_of_choice", items, selection->n);
}

static enum trib_status pick(void *state, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)state;
    size_t d = count_drawn(selection);
    struct trib_select_item *items = trib_calloc(selection->n, sizeof *items);
    struct choice *choices = trib_calloc(d, sizeof *choices);
    enum trib_status status = items && choices ? TRIB_OK : TRIB_NO_MEMORY;
    if (status != TRIB_OK) {
        goto out;
    }
    draw(selection, items);
    for (size_t i = 0; i < d; i++) {
        double loss = selection->candidates[items[i].candidate].loss;
        choices[i] = (struct choice){
            .loss = isfinite(loss) ? loss : INFINITY, .turn = (uint32_t)i, .candidate = items[i].candidate};
    }
    qsort(choices, d, sizeof *choices, compare);
    for (size_t i = 0; i < selection->wanted; i++) {
        bool known = isfinite(choices[i].loss);
        picked[i] = (struct trib_pick){.candidate = choices[i].candidate,
                                       .score = known ? choices[i].loss : NAN,
                                       .why = known ? "highest loss of those drawn" : "drawn, its loss is not known"};
    }
    trib_select_sort(picked, selection->wanted);
out:
    trib_free(items);
    trib_free(choices);
    return status;
}

const struct trib_selector trib_selector_power_of_choice = {
    .name = "power_of_choice",
    .help = "of some drawn by their examples, those with the highest loss",
    .settings = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct settings)},
    .pick = pick,
};
