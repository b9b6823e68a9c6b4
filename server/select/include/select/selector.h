/* A selector chooses which of the available clients take part in a round. One const table each; selector_list.def lists
 * them. Pure: the choice is a function of the arguments and of the selector's own state, never of arrival order. */
#ifndef TRIB_SELECT_SELECTOR_H
#define TRIB_SELECT_SELECTOR_H

#include "base/config_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A candidate is a client that could be picked; candidates come in an order that depends on their names alone. */
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
/* A selection is what a selector is asked. */
struct trib_selection {
    const void *settings;       /* the struct that the selector's rows fill; anything when it has none */
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
/* A report says what a committed round's member turned out to be worth. */
struct trib_member_report {
    uint64_t examples;
    double loss, seconds; /* nan = no offer */
    bool folded;
};
/* A selector is one way to choose. */
struct trib_selector {
    const char *name; /* "random" */
    const char *help;
    struct trib_config_group settings; /* of its own; whole keys, under "selection". Optional */
    size_t state_size; /* bytes of its own state, zeroed at the run's start; holds no pointers; may be 0 */
    /* Fill `wanted` picks, ascending by candidate, without repeats. Only report changes the state. */
    enum trib_status (*pick)(void *state, const struct trib_selection *selection, struct trib_pick *picked);
    /* NULL, or called when a round is committed. */
    void (*report)(void *state, const void *settings, uint64_t round, const struct trib_member_report *members,
                   size_t n);
};

size_t trib_selectors(const struct trib_selector *const **list);
const struct trib_selector *trib_selector_find(const char *name); /* NULL when unknown */
/* trib_selector_names are the names of the list. */
const char *trib_selector_names(size_t index);
/* trib_selectors_add_rows adds every selector's settings to a table, in its room. */
void trib_selectors_add_rows(struct trib_config_table *table);

#endif
