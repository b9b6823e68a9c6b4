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

/* round_phases.c. Room for a step's actions is reserved before it: what appends actions cannot fail. */
bool trib_round_is_pending(enum trib_member_state state);
uint32_t trib_round_count_available(const struct trib_round *round);
struct trib_round_action *trib_round_act(struct trib_round *round, enum trib_round_action_kind kind, uint32_t client);
void trib_round_tell(struct trib_round *round, uint32_t client, uint64_t number, enum trib_outcome outcome,
                     const char *reason);
enum trib_status trib_round_reserve_actions(struct trib_round *round);
enum trib_status trib_round_reserve_member(struct trib_round *round, uint32_t client);
struct member *trib_round_find(struct trib_round *round, uint32_t client);
void trib_round_discard(struct trib_round *round, uint32_t client);
void trib_round_mark_late(struct trib_round *round, uint32_t client, const char *reason);
void trib_round_forget_cohort(struct trib_round *round);
void trib_round_finish(struct trib_round *round, const char *reason);
void trib_round_abandon(struct trib_round *round, int64_t now_ms, const char *reason);
void trib_round_check_close(struct trib_round *round, int64_t now_ms);
void trib_round_send_task(struct trib_round *round, uint32_t client, int64_t now_ms);
bool trib_round_are_enough(const struct trib_round *round, size_t available);
void trib_round_maybe_begin(struct trib_round *round, int64_t now_ms);
void trib_round_pump_grants(struct trib_round *round, int64_t now_ms);

#endif
