/* Oort is guided selection by utility (Lai, Zhu, Madhyastha, Chowdhury: Oort, 2021). A client whose loss is known has
 *
 *   U_i     = examples_i |loss_i| reliability_i (T / seconds_i)^alpha     the last factor only where seconds_i > T
 *   score_i = normalised(clipped(U_i)) + sqrt(0.1 ln R / last_round_i)    R = this round
 *
 * clipped at the 95th percentile and normalised to 0 .. 1. The picks are drawn in proportion to the scores among those
 * with at least 0.7 of the k-th best one, k = the number wanted; a share of them goes to clients without a known loss,
 * at random, because before a client's first offer nothing is known of its speed, either.
 *
 * T is a percentile of the known seconds. The pacer raises it by 5 points, from 10, when the utility that the last 20
 * rounds folded is less than that of the 20 before: what fast clients have is then used up, and slower ones may come.
 *
 * Where this is not the paper: its |B_i| sqrt(mean of loss^2) becomes the examples times the mean loss, a lower bound
 * of it, for the mean is all that a client tells. Clients that fail lose utility in place of a limit on how often one
 * is picked. The penalty of the slow is part of what is normalised, so that the bonus of those unseen for long (the
 * second term) reaches them, too. */
#include "sampling.h"
#include "selector_tables.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct settings {
    double explore;
    double speed_penalty; /* alpha */
};
static const struct trib_config_row rows[] = {
    TRIB_SELECT_EXPLORE_ROW(offsetof(struct settings, explore)),
    TRIB_ROW("selection.speed_penalty", TRIB_TYPE_REAL, offsetof(struct settings, speed_penalty), "2", 0, 10, NULL, 0,
             "how strongly slow clients are avoided; 0 = not at all."),
};

static const double clip_percent = 95;
static const double cut_off = 0.7;
static const double staleness_scale = 0.1;
enum { PACE_BEGIN = 10, PACE_STEP = 5 };  /* the percentile T */
enum { PACER_WINDOW = 20 };               /* rounds */
static const double most_utility = 1e300; /* so that differences of two are finite */

/* Zeroed when the run starts; no padding, so that it may be kept as bytes. */
struct pacer {
    double utility, before; /* folded in the window that runs and in the one before it */
    uint64_t rounds;        /* reported */
    uint64_t steps;         /* that T was raised by */
};

static double percentile(const struct pacer *pacer)
{
    return PACE_BEGIN + PACE_STEP * (double)pacer->steps;
}

static double statistical_utility(uint64_t examples, double loss)
{
    return fmin((double)examples * fabs(loss), most_utility);
}

static void report(void *state, const void *settings, uint64_t round, const struct trib_member_report *members,
                   size_t n)
{
    (void)settings;
    (void)round;
    struct pacer *pacer = state;
    for (size_t i = 0; i < n; i++) {
        if (members[i].folded && isfinite(members[i].loss)) {
            double utility = statistical_utility(members[i].examples, members[i].loss);
            pacer->utility = fmin(pacer->utility + utility, most_utility);
        }
    }
    pacer->rounds++;
    if (pacer->rounds % PACER_WINDOW == 0) {
        bool fell = pacer->utility < pacer->before; /* not after the first window: before is 0 */
        pacer->steps += fell && percentile(pacer) < 100;
        pacer->before = pacer->utility;
        pacer->utility = 0;
    }
}

static bool is_known(const struct trib_candidate *candidate)
{
    return isfinite(candidate->loss);
}

static bool is_time_known(const struct trib_candidate *candidate)
{
    return isfinite(candidate->seconds) && candidate->seconds > 0;
}

/* T; infinity when no candidate's time is known. Uses [n] values. */
static double preferred_seconds(const struct pacer *pacer, const struct trib_selection *selection, double *values)
{
    size_t n = 0;
    for (size_t i = 0; i < selection->n; i++) {
        if (is_time_known(&selection->candidates[i])) {
            values[n++] = selection->candidates[i].seconds;
        }
    }
    trib_select_sort_values(values, n);
    return n > 0 ? trib_select_percentile(values, n, percentile(pacer)) : INFINITY;
}

/* U_i of items with a known loss. */
static void estimate_utility(const struct trib_selection *selection, double preferred, struct trib_select_item *items,
                             size_t n)
{
    const struct settings *settings = selection->settings;
    double alpha = settings->speed_penalty, untold = trib_select_mean_examples(selection);
    for (size_t i = 0; i < n; i++) {
        const struct trib_candidate *candidate = &selection->candidates[items[i].candidate];
        double utility = candidate->examples > 0 ? statistical_utility(candidate->examples, candidate->loss)
                                                 : fmin(untold * fabs(candidate->loss), most_utility);
        if (alpha > 0 && is_time_known(candidate) && candidate->seconds > preferred) {
            utility *= pow(preferred / candidate->seconds, alpha);
        }
        items[i].weight = utility * trib_select_reliability(candidate);
    }
}

/* U_i to score_i. Uses [n] values; n > 0. */
static void score(const struct trib_selection *selection, struct trib_select_item *items, size_t n, double *values)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = items[i].weight;
    }
    trib_select_sort_values(values, n);
    double highest = trib_select_percentile(values, n, clip_percent), lowest = values[0];
    double log_round = selection->round > 1 ? log((double)selection->round) : 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t last_round = selection->candidates[items[i].candidate].last_round;
        double clipped = fmin(items[i].weight, highest);
        items[i].weight = highest > lowest ? (clipped - lowest) / (highest - lowest) : 1;
        items[i].weight += sqrt(staleness_scale * log_round / (double)(last_round > 0 ? last_round : 1));
    }
}

/* Move the items with at least 0.7 of the k-th best score to the front; returns how many. Uses [n] values;
 * 0 < k <= n. */
static size_t keep_best(struct trib_select_item *items, size_t n, size_t k, double *values)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = items[i].weight;
    }
    trib_select_sort_values(values, n);
    double least = cut_off * values[n - k];
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].weight >= least) {
            struct trib_select_item moved = items[i];
            items[i] = items[kept];
            items[kept++] = moved;
        }
    }
    return kept;
}

static void exploit(const struct pacer *pacer, const struct trib_selection *selection, struct trib_select_item *items,
                    size_t n, size_t k, double *values, struct trib_pick *picked)
{
    estimate_utility(selection, preferred_seconds(pacer, selection, values), items, n);
    score(selection, items, n, values);
    size_t kept = keep_best(items, n, k, values);
    trib_select_draw(selection, "oort", items, kept);
    trib_select_take(items, k, "drawn by its utility", picked);
}

static enum trib_status pick(void *state, const struct trib_selection *selection, struct trib_pick *picked)
{
    size_t n_unknown = 0;
    struct trib_select_item *items = trib_select_split(selection, is_known, &n_unknown);
    double *values = trib_calloc(selection->n, sizeof *values);
    enum trib_status status = items && values ? TRIB_OK : TRIB_NO_MEMORY;
    if (status != TRIB_OK) {
        goto out;
    }
    const struct settings *settings = selection->settings;
    size_t n = trib_select_explore_n(selection, settings->explore, n_unknown);
    trib_select_explore(selection, items, n_unknown, n, picked);
    if (n < selection->wanted) {
        exploit(state, selection, items + n_unknown, selection->n - n_unknown, selection->wanted - n, values,
                picked + n);
    }
    trib_select_sort(picked, selection->wanted);
out:
    trib_free(items);
    trib_free(values);
    return status;
}

const struct trib_selector trib_selector_oort = {
    .name = "oort",
    .help = "those with the highest utility (examples, loss, speed, time since the last turn), and some not tried yet",
    .settings = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct settings)},
    .state_size = sizeof(struct pacer),
    .pick = pick,
    .report = report,
};
