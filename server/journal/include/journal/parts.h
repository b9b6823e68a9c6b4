/* A member's part is what a run knows of a client beside the round machine: its last task, its offer for it, and what
 * its updates have come to. Parts are kept by client number, for clients that were picked at least once; most of them
 * are written down in the table `members`. The hub's thread only. */
#ifndef TRIB_JOURNAL_PARTS_H
#define TRIB_JOURNAL_PARTS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trib_part {
    struct { /* its last task, for a client that asks for it again when the model has moved on */
        uint64_t version, model_len;
        uint8_t model_sha256[32];
        double proximal_mu;
    } task;
    uint64_t offer_examples, offer_steps; /* of its offer for that task */
    double offer_loss;
    uint8_t offer_sha256[32];
    uint64_t offer_len;
    uint8_t *sketch;       /* [sketch bytes] that it offered; NULL: none; the part's own */
    uint64_t lies;         /* uploads that contradicted their offers */
    uint64_t weight;       /* of its last update; with a strategy that remembers, of every one */
    uint64_t folded_round; /* the last one that was committed with an update of this client; 0 = none */
    bool kept;             /* what it uploaded for its task is a file, which a restarted server would count */
};

struct trib_parts {
    struct trib_part **list; /* [n] by client; NULL: never picked */
    size_t n;
};

/* The client's part, made when there is none; NULL: out of memory. */
struct trib_part *trib_parts_make(struct trib_parts *parts, uint32_t client);
/* NULL: it was never picked. */
struct trib_part *trib_parts_of(const struct trib_parts *parts, uint32_t client);
/* The offered sketch is not needed any more. */
void trib_part_forget_sketch(struct trib_part *part);
void trib_parts_clear(struct trib_parts *parts);

#endif
