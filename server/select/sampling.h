/* Selectors share these: weighted sampling without replacement, the share of newcomers, quantiles. Pure. */
#ifndef TRIB_SELECT_SAMPLING_H
#define TRIB_SELECT_SAMPLING_H

#include "select/selector.h"

/* The row of the share of newcomers, for selectors that have one: a double in their struct. */
#define TRIB_SELECT_EXPLORE_ROW(offset)                                                                                \
    TRIB_ROW("selection.explore", TRIB_TYPE_REAL, offset, "0.9", 0, 1, NULL, 0,                                        \
             "share of a round's clients that are new ones, at first; it falls to 0.2, and is never below 0.05.")

/* An item is a candidate in a draw. */
struct trib_select_item {
    uint32_t candidate; /* position in the selection's candidates */
    double weight;
    double luck, rank; /* of the draw */
};

/* trib_select_luck returns a number uniform in (0, 1), from (seed, stream, round, draw, key) alone: who else is there
 * does not matter. */
double trib_select_luck(const struct trib_selection *selection, const char *stream, uint64_t draw, uint64_t key);
/* trib_select_draw orders the items so that, for every k, the first k are k draws without replacement, each with
 * chances in proportion to the weights that are left. Weights that are nan or not above 0 come last, at random. */
void trib_select_draw(const struct trib_selection *selection, const char *stream, struct trib_select_item *items,
                      size_t n);
/* trib_select_split makes one item per candidate, weights 0: those of whom something is known come last. NULL when
 * memory is short. */
struct trib_select_item *trib_select_split(const struct trib_selection *selection,
                                           bool (*is_known)(const struct trib_candidate *), size_t *n_unknown);
/* trib_select_explore_n returns how many of the picks go to the unknown. Their share begins with `explore` and falls by
 * 2 % a round to 0.2; it is never below 0.05, however little is asked for, so that newcomers are tried. A fraction of a
 * pick is a chance of one. What either side cannot fill goes to the other. */
size_t trib_select_explore_n(const struct trib_selection *selection, double explore, size_t n_unknown);
/* trib_select_explore picks `n` of the unknown, at random; the more often one was picked for nothing, the less likely.
 */
void trib_select_explore(const struct trib_selection *selection, struct trib_select_item *items, size_t n_unknown,
                         size_t n, struct trib_pick *picked);
/* trib_select_take turns the first n items into picks; a pick's score is its item's weight. */
void trib_select_take(const struct trib_select_item *items, size_t n, const char *why, struct trib_pick *picked);
/* trib_select_sort brings picks into the order that a selection's result has. */
void trib_select_sort(struct trib_pick *picked, size_t n);
/* trib_select_reliability returns the share of a client's tasks that came to something, with one success more than
 * there were: 1 for newcomers, never 0. */
double trib_select_reliability(const struct trib_candidate *candidate);
/* trib_select_mean_examples returns what to take for the examples of those who did not tell theirs: the mean of those
 * who did; 1 when none did. */
double trib_select_mean_examples(const struct trib_selection *selection);
/* trib_select_sort_values sorts ascending. */
void trib_select_sort_values(double *values, size_t n);
/* trib_select_percentile returns of n sorted values, n > 0, the least one that `percent` of them do not exceed. */
double trib_select_percentile(const double *sorted, size_t n, double percent);

#endif
