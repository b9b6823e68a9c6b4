/* Selectors: which of the available clients take part in a round. One const table each; selector_list.def lists them.
 * Pure: the choice is a function of the arguments and of the selector's own state. */
#ifndef TRIB_SELECT_SELECTOR_H
#define TRIB_SELECT_SELECTOR_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* A client that could be picked; candidates come in an order that depends on their names alone. */
struct trib_candidate {
    uint32_t client;
    uint64_t key;        /* of its name; candidates are sorted by it */
    uint64_t examples;   /* as it told, 0 = unknown */
    uint64_t last_round; /* the last round it was picked for, 0 = never */
};
struct trib_selection {
    uint64_t seed, round, attempt; /* attempt: 0, and one more each time that the same round begins again */
    const struct trib_candidate *candidates;
    size_t n;
    size_t wanted; /* <= n */
};
struct trib_selector {
    const char *name; /* "random" */
    const char *help;
    /* Write `wanted` positions in candidates, ascending, without repeats. */
    enum trib_status (*pick)(const struct trib_selection *selection, uint32_t *picked);
};

size_t trib_selectors(const struct trib_selector *const **list);
const struct trib_selector *trib_selector_find(const char *name); /* NULL when unknown */

#endif
