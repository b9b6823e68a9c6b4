/* Selectors: which of the available clients take part in a round. One const table each; selector_list.def lists them.
 * Pure: the choice is a function of the arguments and of the selector's own state, never of arrival order. */
#ifndef TRIB_SELECT_SELECTOR_H
#define TRIB_SELECT_SELECTOR_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A client that could be picked; candidates come in an order that depends on their names alone. */
struct trib_candidate {
    uint32_t client;
    uint64_t key;        /* of its name; candidates are sorted by it */
    uint64_t examples;   /* as it told, 0 = unknown */
    uint64_t last_round; /* the last round it was picked for, 0 = never */
    /* Times in this run; failed: refused, given up or silent. */
    uint64_t picked, folded, skipped, failed;
    double loss;      /* of its last offer; nan = unknown, as all below */
    double seconds;   /* from its last task to its offer */
    double relevance; /* of its offers, the latest counting most */
};
/* The selector's settings; each uses what it needs. */
struct trib_selector_options {
    double explore;       /* oort, relevance: share of the picks that goes to clients not tried yet, in round 1; falls
                             from there to 0.2, and is at least 0.05 */
    double speed_penalty; /* oort: alpha, the power of the penalty of slow clients */
    uint32_t candidates;  /* power_of_choice: d; 0 = twice the wanted number */
};
struct trib_selection {
    const struct trib_selector_options *options;
    uint64_t seed, round, draw; /* draw: counts the choices that were made for this round before */
    const struct trib_candidate *candidates;
    size_t n;
    size_t wanted; /* <= n */
};
struct trib_pick {
    uint32_t candidate; /* position in the selection's candidates */
    double score;       /* by which it was chosen, nan when by none */
    const char *why;    /* static text: "drawn at random", "not tried yet", "highest utility" */
};
/* What a committed round's members turned out to be worth. */
struct trib_member_report {
    uint64_t examples;
    double loss, seconds; /* nan = no offer */
    bool folded;
};
struct trib_selector {
    const char *name; /* "random" */
    const char *help;
    size_t state_size; /* bytes of its own state, zeroed at the run's start; holds no pointers; may be 0 */
    /* Fill `wanted` picks, ascending by candidate, without repeats. Only report changes the state. */
    enum trib_status (*pick)(void *state, const struct trib_selection *selection, struct trib_pick *picked);
    /* NULL, or called when a round is committed. */
    void (*report)(void *state, const struct trib_selector_options *options, uint64_t round,
                   const struct trib_member_report *members, size_t n);
};

size_t trib_selectors(const struct trib_selector *const **list);
const struct trib_selector *trib_selector_find(const char *name); /* NULL when unknown */

#endif
