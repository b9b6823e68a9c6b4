/* The gate decides which offered updates are worth uploading, by their relevance (CMFL, Wang et al. 2019). Pure. */
#ifndef TRIB_SELECT_GATE_H
#define TRIB_SELECT_GATE_H

#include "base/config_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trib_gate_rule {
    TRIB_GATE_OPEN,     /* every update is uploaded */
    TRIB_GATE_CONSTANT, /* relevance >= value */
    TRIB_GATE_DECAY,    /* relevance >= value / sqrt(round) */
    TRIB_GATE_SHARE,    /* the most relevant `share` of the round's offers, to the nearest number, at least one */
    TRIB_GATE_BYTES,    /* the most relevant ones, up to the first that no longer fits into `bytes`: none is let through
                           in its place, so that nobody passes for being small. The very first always fits. */
    TRIB_GATE_RULE_COUNT
};
struct trib_gate {
    enum trib_gate_rule rule;
    double value, share;
    uint64_t bytes;
};
struct trib_gate_offer {
    uint32_t client;
    uint64_t key, bytes;
    double relevance; /* 0 .. 1, or nan: nothing to compare it with yet, so it is uploaded under every rule, and it
                         counts for its share and its bytes */
    bool upload;      /* out */
};
/* A cut is what an offer met, for reasons and logs. */
struct trib_gate_cut {
    double threshold;    /* relevance that suffices; nan = any, infinity = none that is known */
    uint64_t bytes_left; /* of BYTES; UINT64_MAX under other rules */
};

/* trib_gate_waits tells whether the rule looks at a round's offers together. Otherwise each is decided when it comes.
 */
bool trib_gate_waits(const struct trib_gate *gate);
/* trib_gate_cut returns the cut that single offers of round `round` meet. Any relevance suffices but under CONSTANT and
 * DECAY; of BYTES nothing is taken yet, and then one offer of any size fits. */
struct trib_gate_cut trib_gate_cut(const struct trib_gate *gate, uint64_t round);
/* trib_gate_decide decides a round's offers, in any order; equal relevance goes by key. Sorts the offers; *cut is then
 * for those that come later: they need the relevance of the last one admitted. Any suffices when `share` is at least 1,
 * when all bytes fitted (and theirs fit, too), and when there were no offers. */
void trib_gate_decide(const struct trib_gate *gate, uint64_t round, struct trib_gate_offer *offers, size_t n,
                      struct trib_gate_cut *cut);
/* trib_gate_admit decides a single offer against a cut, from which it takes its bytes when admitted. */
bool trib_gate_admit(const struct trib_gate *gate, struct trib_gate_cut *cut, double relevance, uint64_t bytes);

/* ---- the rules as settings ---- */

/* A rule's table says what a person reads of the rule, and sets. */
struct trib_gate_rule_table {
    const char *name; /* "share" */
    const char *help; /* which updates it lets through, with its name where that is none of the words */
    struct trib_config_group settings; /* rows into struct trib_gate; keys under "relevance" */
};
/* TRIB_GATE_COMPARES_RULE says what comparing a round's offers does not go with, for the settings of all that does so.
 */
#define TRIB_GATE_COMPARES_RULE                                                                                        \
    {                                                                                                                  \
        TRIB_RULE_FORBIDS, {.key = "federation.buffer", .relation = TRIB_ABOVE, .value = "0"},                         \
            .when = {{.key = "relevance.sketch", .relation = TRIB_ABOVE, .value = "0"}}, .at = "relevance",            \
            .says = "with {key} there is no round whose offers could be compared; use reference: last_update and "     \
                    "rule: constant or decay"                                                                          \
    }
const struct trib_gate_rule_table *trib_gate_rule_find(enum trib_gate_rule rule); /* NULL when unknown */
const char *trib_gate_rule_name(enum trib_gate_rule rule);
/* trib_gate_add_rows adds relevance.rule and the settings of every rule, into a struct trib_gate at `offset`. */
void trib_gate_add_rows(struct trib_config_table *table, size_t offset);

#endif
