/* A fact is something that has happened in a run, told once to every observer. It is a value that borrows its texts for
 * the call; fields that its kind does not name are 0. A new figure is a field here. */
#ifndef TRIB_JOURNAL_FACT_H
#define TRIB_JOURNAL_FACT_H

#include "journal/round_record.h"

enum trib_fact_kind {
    TRIB_FACT_NODE_REFUSED,    /* node, reason: it may not join */
    TRIB_FACT_NODE_REPLACED,   /* node, old_address, address: another session of it has taken over */
    TRIB_FACT_NODE_JOINED,     /* node, address, software, examples, connected, joined, first_seen_ms */
    TRIB_FACT_NODE_FILTERED,   /* node, reason: it is left out */
    TRIB_FACT_NODE_GOODBYE,    /* node, reason: it has said that it goes */
    TRIB_FACT_NODE_LEFT,       /* node, reason, state (its part in the round), connected */
    TRIB_FACT_RUN_BEGAN,       /* reason: the software */
    TRIB_FACT_RUN_RESUMED,     /* attempt, version, open, members, uploads; reason: the software */
    TRIB_FACT_RUN_FINISHED,    /* round (the last that is done), complete, reason */
    TRIB_FACT_ROUND_STARTED,   /* summary */
    TRIB_FACT_ROUND_ENDED,     /* record: committed, or carried */
    TRIB_FACT_ROUND_ABANDONED, /* summary, reason */
    TRIB_FACT_TASK_SENT,       /* node, reason, version, bytes (of the model), deltas */
    TRIB_FACT_OFFERED,         /* node, offer, relevance, relevance_error */
    TRIB_FACT_SCORED,          /* node, relevance: known only now */
    TRIB_FACT_SELECTED,        /* node, reason: may upload */
    TRIB_FACT_SKIPPED,         /* node, reason, weight */
    TRIB_FACT_FAILED,          /* node, status, reason, current, weight: the client said that it could not */
    TRIB_FACT_OUTCOME,         /* node, outcome, reason, current, weight */
    TRIB_FACT_FOLDED,          /* node, weight; told when the round commits, before it is durable */
    TRIB_FACT_LIED, /* node, reason, times, rounds (that it is left out for): an upload contradicts its offer */
    TRIB_FACT_KINDS
};

struct trib_offer_figures {
    uint64_t examples, steps, len;
    uint8_t sha256[32];
    double loss, norm, seconds;
    bool stopped_early;
    const char *codec, *codec_reason;
};

struct trib_fact {
    enum trib_fact_kind kind;
    const char *run;
    int64_t wall_ms; /* when; set by whoever tells */
    uint64_t round, attempt;
    const char *node, *reason, *status, *address, *old_address, *software, *state;
    uint64_t examples, connected, joined, members, uploads, version, bytes, deltas, times, rounds, weight;
    int64_t first_seen_ms;
    double relevance, relevance_error;
    bool current; /* it is about the client's present task; others cost it nothing, and nobody a line */
    bool complete, open;
    enum trib_outcome outcome;
    int64_t duration_ms; /* ROUND_ENDED: since the round began */
    const struct trib_offer_figures *offer;
    const struct trib_round_summary *summary;
    const struct trib_round_record *record;
};

#endif
