/* The round engine's state. */
#ifndef TRIB_ROUND_ROUND_PRIVATE_H
#define TRIB_ROUND_ROUND_PRIVATE_H

#include "round/round.h"

struct member {
    bool known, available;
    bool granted; /* to upload, at some time in this round: there may be something to discard */
    enum trib_member_state state;
    int64_t last_progress_ms;
    uint64_t key, examples, last_round;
    uint64_t offer_order; /* of its offer within the round, for grants in order of arrival */
};

struct trib_round {
    struct trib_round_options options;
    enum trib_round_state state;
    bool stopping, closing;
    uint64_t number, attempt, last_round;
    int64_t retry_at_ms;
    uint32_t wanted;
    struct member *members; /* by client number */
    size_t n_members, members_capacity;
    uint64_t offers;
    /* scratch of members_capacity, so that a round can begin without allocating */
    struct trib_candidate *candidates;
    uint32_t *picked;
    struct trib_round_action *actions;
    size_t n_actions, actions_capacity;
    struct trib_round_summary summary;
    char closing_reason[64];
};

#endif
