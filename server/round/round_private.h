/* The round engine's state, and what its files call in each other: members, their lists, actions; the beginning of a
 * round and its end; and round.c, which takes the events. Phases (phase.h) are called by their table. */
#ifndef TRIB_ROUND_ROUND_PRIVATE_H
#define TRIB_ROUND_ROUND_PRIVATE_H

#include "round/round.h"

#include "base/heap.h"

/* A meaning is what the spine makes of a member's state (member_states.def). */
enum member_meaning { PENDING = 1, WATCHED = 2, DELIVERED = 4, OVER = 8 };

/* A member is a client's part in the rounds. */
struct member {
/* fields that outlive the process */
#define TRIB_MEMBER_FIELD(type, name) type name;
#include "round/member_fields.def"
    /* and fields that do not */
    bool known, available, eligible;
    bool changed;        /* it stands in the list of those that have */
    bool listed;         /* among those with a part */
    bool touched;        /* in this step: its timer may be another */
    uint32_t idle_place; /* in the list of the idle, and one; 0 = not in it */
    bool granted;        /* to upload, at some time in its task: there may be something to discard */
    int64_t last_progress_ms, tasked_ms;
    double bonus;    /* for its patience, as of its last decision */
    const char *why; /* it was picked; static text */
    double score;
};

_Static_assert(sizeof(struct member) <= 304, "every client that is known takes this, 1,000,000 of them as many MB");

/* The lists of members keep what an event would else have to look for among all clients. */
struct lists {
    uint32_t *parts; /* [n_parts] clients whose state is not NONE, and some whose state was not, until it is tidied */
    size_t n_parts;
    bool parts_unsorted;
    uint32_t *idle; /* [n_idle] clients that are here, allowed, and not at work, in no order */
    size_t n_idle;
    uint32_t *touched; /* [n_touched] members whose timers are set when the step is over */
    size_t n_touched;
    uint32_t *expired;         /* scratch */
    struct trib_heap timers;   /* pending members by when they run out of time */
    struct trib_heap admitted; /* members that are ADMITTED, by the order of their offers */
};

enum {
#define PHASE(name) PHASE_##name,
#include "phase_list.def"
#undef PHASE
    PHASES
};

/* A phase's room is what the engine keeps for it: its own state, and one record for each member that it has asked, in
 * the order of their keys, because these outlive the process and the clients' numbers do not. */
struct phase_room {
    bool open;
    uint64_t round, version; /* that it is about */
    void *own;               /* [state_size] */
    struct phase_asked *asked;
    void *states; /* [n_asked] of member_size, one beside each of those asked */
    size_t n_asked, capacity, member_size;
};
struct phase_asked {
    uint64_t key;
    uint32_t client; /* UINT32_MAX: not here since the restart */
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
    struct lists lists;
    uint32_t counts[TRIB_MEMBER_STATE_COUNT], n_available;
    /* of those whose task is of this round, NONE aside; and of these, who was let through and has to come back */
    uint32_t counts_now[TRIB_MEMBER_STATE_COUNT], returning_now;
    uint64_t offers;
    void *selector_state, *next_selector_state; /* next: once the commit is done */
    /* scratch, reserved before a step so that nothing is allocated within it */
    struct trib_candidate *candidates; /* [idle_capacity] */
    struct trib_pick *picks;
    size_t idle_capacity;
    struct trib_gate_offer *gate_offers; /* [parts_capacity] */
    struct trib_member_report *reports;
    size_t parts_capacity;
    uint32_t *changed; /* [n_changed] clients, each once */
    size_t n_changed, changed_capacity;
    struct trib_round_action *actions;
    size_t n_actions, actions_capacity;
    struct trib_round_summary summary;
    char closing_reason[64];
    struct phase_room rooms[PHASES];
    uint64_t phase_changes;
};

/* ---- round_lists.c. What a step may need is reserved before it: within it nothing can fail. ---- */
enum trib_status trib_round_reserve_member(struct trib_round *round, uint32_t client);
/* trib_round_reserve_step makes room for a step that gives tasks to `more` members besides those with a part. */
enum trib_status trib_round_reserve_step(struct trib_round *round, size_t more);
/* trib_round_most_tasks is the number of tasks that a step may give. */
size_t trib_round_most_tasks(const struct trib_round *round);
/* trib_round_clear_lists frees the lists and the scratch of steps. */
void trib_round_clear_lists(struct trib_round *round);
/* trib_round_list_member puts a member, whose state was another, into the lists where it belongs. */
void trib_round_list_member(struct trib_round *round, struct member *member, enum trib_member_state was);
/* trib_round_list_idle does the same after its presence or its eligibility has changed. */
void trib_round_list_idle(struct trib_round *round, struct member *member);
/* trib_round_touch notes that what a member's timer depends on has changed. */
void trib_round_touch(struct trib_round *round, struct member *member);
/* trib_round_set_timers ends a step: the timers of all who were touched are what they should be. */
void trib_round_set_timers(struct trib_round *round);
/* trib_round_take_expired lists the clients whose time is over, ascending; their timers are gone. */
const uint32_t *trib_round_take_expired(struct trib_round *round, int64_t now_ms, size_t *n);
/* trib_round_begin_counts begins to count who has a task of this round, whose number is new: nobody has. */
void trib_round_begin_counts(struct trib_round *round);

/* ---- round_members.c ---- */
struct member *trib_round_find(struct trib_round *round, uint32_t client);
/* trib_round_note_change notes that the member's snapshot is not what it was. */
void trib_round_note_change(struct trib_round *round, struct member *member);
void trib_round_set_state(struct trib_round *round, struct member *member, enum trib_member_state state);
/* Has the state one of these meanings? */
bool trib_member_means(enum trib_member_state state, enum member_meaning meaning);
/* A member is pending while its part is open, and its next move is its own or a phase's. */
bool trib_round_is_pending(enum trib_member_state state);
/* How many of those counted are in a state with this meaning. */
uint32_t trib_round_count(const uint32_t counts[TRIB_MEMBER_STATE_COUNT], enum member_meaning meaning);
/* trib_round_report_of tells the selector of a member whose part is over. */
struct trib_member_report trib_round_report_of(const struct member *member);
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
/* End a member's part badly: its state, its counters, its outcome. To be late is no failure of the member's by itself:
 * the round may just have had enough. */
void trib_round_reject(struct trib_round *round, struct member *member, const char *reason);
void trib_round_fail(struct trib_round *round, struct member *member);
void trib_round_mark_late(struct trib_round *round, struct member *member, const char *reason);

/* ---- round.c ---- */
/* When a member runs out of time; INT64_MAX = never. */
int64_t trib_round_due_ms(const struct trib_round *round, const struct member *member);
/* After whatever may have ended a member's part: phases go on, the round closes, idle clients are put to work. */
void trib_round_move_on(struct trib_round *round, int64_t now_ms);
/* Is an event what came of work for this attempt? */
bool trib_round_is_current_work(const struct trib_round *round, const struct trib_round_event *event);

/* ---- round_begin.c ---- */
void trib_round_send_task(struct trib_round *round, struct member *member, int64_t now_ms);
/* Begin the next round when there are enough clients and nothing forbids it. */
void trib_round_maybe_begin(struct trib_round *round, int64_t now_ms);
bool trib_round_may_begin(const struct trib_round *round);
/* Here, allowed, and not at work. */
bool trib_round_is_idle(const struct member *member);
/* Tasks are out for this many members. */
uint32_t trib_round_count_at_work(const struct trib_round *round);
/* Without cohorts: put idle clients to work. */
void trib_round_refill(struct trib_round *round, int64_t now_ms);

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
void trib_round_finish(struct trib_round *round, int64_t now_ms, const char *reason);
/* All rounds are done: finish, unless phases are still under way. */
void trib_round_maybe_end(struct trib_round *round, int64_t now_ms);

#endif
