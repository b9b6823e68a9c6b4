/* The uplink is how clients are asked to code their updates, and which coded updates are taken: codec.up,
 * codec.feedback and what belongs to them, checked against each other once. Fixed after it was made; any thread. */
#ifndef TRIB_INTAKE_UPLINK_H
#define TRIB_INTAKE_UPLINK_H

#include "codec/choose.h"
#include "strategy/strategy.h"

struct trib_uplink {
    bool automatic; /* each client chooses its chain, within the target */
    struct trib_choice_target target;
    struct trib_chain chain; /* when not automatic */
    const char *feedback;    /* "none", "ef", "ef21", "dgc" */
    double momentum;         /* of dgc */
    uint64_t warmup_rounds;
};

/* The settings codec.*, as they are configured; borrowed. */
struct trib_uplink_options {
    const char *up, *feedback;
    double momentum, target_bits;
    int64_t target_ms;
    uint64_t warmup_rounds;
};

/* TRIB_CONFIG names the keys that do not go together. */
TRIB_MUST_CHECK enum trib_status trib_uplink_init(struct trib_uplink *uplink, const struct trib_uplink_options *options,
                                                  const struct trib_strategy *strategy, struct trib_error *error);
/* The codec of this round's tasks. */
void trib_uplink_codec(const struct trib_uplink *uplink, uint64_t round, char text[TRIB_CHAIN_TEXT]);
/* trib_uplink_text is codec.up as it was configured, for log lines. */
const char *trib_uplink_text(const struct trib_uplink *uplink);
/* The first stage that a client must know and that is not among `names`; NULL when it has all. */
const char *trib_uplink_lacks(const struct trib_uplink *uplink, char *const *names, size_t n);
/* The chain whose stages an update must be coded with; NULL: any. */
const struct trib_chain *trib_uplink_chain(const struct trib_uplink *uplink);
/* The longest frame of n values that is taken. */
uint64_t trib_uplink_most_bytes(const struct trib_uplink *uplink, size_t n);

#endif
