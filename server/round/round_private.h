/* The round engine's state, and what its files call in each other: members and actions; the beginning of a round; the
 * gate and the grants; the end of a round; and round.c, which takes the events. */
#ifndef TRIB_ROUND_ROUND_PRIVATE_H
#define TRIB_ROUND_ROUND_PRIVATE_H

#include "round/round.h"

/* A member is a client's part in the rounds. */
struct member {
/* what outlives the process */
#define TRIB_MEMBER_FIELD(type, name) type name;
#include "round/member_fields.def"
    /* and what does not */
    bool known, available, eligible;
    bool changed; /* it stands in the list of those that have */
    bool granted; /* to upload, at some time in its task: there may be something to discard */
    int64_t last_progress_ms, tasked_ms;
    double bonus;    /* for its patience, as of its last decision */
    const char *why; /* it was picked; static text */
    double score;
};

struct trib_round {
    struct trib_round_options options;
    enum trib_round_state state;
    bool stopping, closing, decided;
    bool suspended; /* stopped: members' parts go on after a restart */
    bool reopen;    /* and so does the round; restored, RESUME opens it */
    uint64_t number, attempt, last_round;
    uint64_t commits; /* rounds that made a new model; a round that is carried does not */
    uint64_t draws;   /* choices of the selector in this attempt */
    int64_t retry_at_ms, wait_from_ms;
    uint32_t wanted;
    struct trib_gate_cut cut;
    struct member *members; /* by client number */
    size_t n_members, members_capacity;
    uint32_t counts[TRIB_MEMBER_STATE_COUNT], n_available;
    uint64_t offers;
    void *selector_state, *next_selector_state; /* next: once the commit is done */
    /* scratch of members_capacity, so that nothing is allocated within a step */
    struct trib_candidate *candidates;
    struct trib_pick *picks;
    struct trib_gate_offer *gate_offers;
    struct trib_member_report *reports;
    uint32_t *changed; /* [n_changed] clients, each once */
    size_t n_changed;
    struct trib_round_action *actions;
    size_t n_actions, actions_capacity;
    struct trib_round_summary summary;
    char closing_reason[64];
};

/* ---- round_members.c. Room for a step's actions is reserved before it: what appends actions cannot fail. ---- */
enum trib_status trib_round_reserve_actions(struct trib_round *round);
enum trib_status trib_round_reserve_member(struct trib_round *round, uint32_t client);
struct member *trib_round_find(struct trib_round *round, uint32_t client);
/* What outlives the process of it is not what it was. */
void trib_round_note_change(struct trib_round *round, struct member *member);
void trib_round_set_state(struct trib_round *round, struct member *member, enum trib_member_state state);
/* Its part is open, and its next move is its own or the gate's: TASKED, OFFERED, ADMITTED, GRANTED. */
bool trib_round_is_pending(enum trib_member_state state);
bool trib_round_is_asynchronous(const struct trib_round *round);
/* Tasks are out: COLLECTING or DECIDING. */
bool trib_round_is_open(const struct trib_round *round);
struct trib_round_action *trib_round_act(struct trib_round *round, enum trib_round_action_kind kind, uint32_t client);
void trib_round_act_reason(struct trib_round *round, enum trib_round_action_kind kind, const char *reason);
/* An action about a member's own task. */
struct trib_round_action *trib_round_act_task(struct trib_round *round, enum trib_round_action_kind kind,
                                              const struct member *member);
void trib_round_tell(struct trib_round *round, uint32_t client, uint64_t number, enum trib_outcome outcome,
                     const char *reason);
uint32_t trib_round_client(const struct trib_round *round, const struct member *member);
/* Throw away what the member may have uploaded. */
void trib_round_discard(struct trib_round *round, const struct member *member);
/* End a member's part badly: its state, its counters, its outcome. To be late is no failure of the member's by itself:
 * the round may just have had enough. */
void trib_round_reject(struct trib_round *round, struct member *member, const char *reason);
void trib_round_fail(struct trib_round *round, struct member *member);
void trib_round_mark_late(struct trib_round *round, struct member *member, const char *reason);

/* ---- round_begin.c ---- */
void trib_round_send_task(struct trib_round *round, struct member *member, int64_t now_ms);
/* Begin the next round when there are enough clients and nothing forbids it. */
void trib_round_maybe_begin(struct trib_round *round, int64_t now_ms);
bool trib_round_may_begin(const struct trib_round *round);
/* Tasks are out for this many members, and how many could be given one. */
uint32_t trib_round_count_at_work(const struct trib_round *round);
size_t trib_round_count_idle(const struct trib_round *round);
/* Without cohorts: put idle clients to work. */
void trib_round_refill(struct trib_round *round, int64_t now_ms);

/* ---- round_gate.c ---- */
/* A member has offered: decide about it, or let it wait for the others. */
void trib_round_take_offer(struct trib_round *round, struct member *member, int64_t now_ms);
/* It was let through, and offers again what is no worse: it has been counted for the gate. */
bool trib_round_is_as_admitted(const struct member *member, double relevance, uint64_t bytes);
/* Decide the offers that wait for each other, if it is time to. */
void trib_round_check_decide(struct trib_round *round, int64_t now_ms);
void trib_round_take_scores(struct trib_round *round, const struct trib_score *scores, size_t n, int64_t now_ms);
int64_t trib_round_decide_at(const struct trib_round *round); /* INT64_MAX: no time is set */
void trib_round_skip_again(struct trib_round *round, const struct member *member);
/* Let those who were admitted upload, in order of arrival, as far as the limit allows. */
void trib_round_pump_grants(struct trib_round *round, int64_t now_ms);

/* What has been uploaded since the last round closed. */
void trib_round_fold_waiting(struct trib_round *round);

/* ---- round_snapshot.c ---- */
/* The round that was open when the process before this one ended, if one was, is open again. */
void trib_round_resume(struct trib_round *round, int64_t now_ms);

/* ---- round_end.c ---- */
/* The round will be committed: what the selector learns of it. */
void trib_round_report(struct trib_round *round);
void trib_round_check_close(struct trib_round *round, int64_t now_ms);
void trib_round_abandon(struct trib_round *round, int64_t now_ms, const char *reason);
void trib_round_commit_done(struct trib_round *round, int64_t now_ms, bool carried);
/* Members whose part is over may be picked again; those at work go on. */
void trib_round_release_members(struct trib_round *round);
void trib_round_finish(struct trib_round *round, const char *reason);

#endif
