/* The round engine: a pure state machine. Events in, actions out; no clock, socket, thread or file.
 *
 *   WAITING     PLAN: not enough clients; picks a cohort and begins a round when there are
 *   COLLECTING  TRAIN, OFFER, COLLECT, FOLD, side by side for each member: tasks are out; offers are let through or not
 *               by the gate; uploads are granted, and folded as they arrive
 *   DECIDING    DECIDE: the offers are being compared with each other
 *   APPLYING    the accumulated update is being applied
 *   EVALUATING  the new model is being evaluated
 *   COMMITTING  the new model is being made durable
 *   FINISHED    all rounds are done, or it was told to stop
 *
 * A round closes when enough members have answered (folded or skipped), when nobody is left who could still deliver,
 * or at its deadline. It then commits if at least min_updates were answered and one was folded; carries the model over
 * if the gate let none through; and is abandoned and begun again with a new cohort otherwise.
 *
 * With max_staleness, members that are not done when a round closes go on, and what they deliver is folded into a
 * later round, by the caller with a weight that falls with its staleness; without, they are late and told so. With a
 * buffer there are no cohorts: clients_per_round clients are always at work, each with the model that was current when
 * it began, and a round closes when `buffer` updates are folded (FedBuff, Nguyen et al. 2022), or when nobody is at
 * work and nobody left to pick. A deadline that comes before any answer begins anew: those whose part is over may be
 * picked again, and the others' work is kept.
 *
 * What a restarted process has to know is recalled from one engine and restored into the next: it goes on in the same
 * attempt of the same round, with the same members, and counts again what was uploaded.
 *
 * An event that does not fit the state (an offer for another round, an upload that was not granted) changes nothing
 * and gives no action but, where the peer should know, an OUTCOME, or a DISCARD of what cannot be used; *ignored then
 * says why.
 *
 * The caller runs every action of a step, in order, before the next step. */
#ifndef TRIB_ROUND_ROUND_H
#define TRIB_ROUND_ROUND_H

#include "base/buf.h"
#include "round/evaluation.h"
#include "select/gate.h"
#include "select/selector.h"

enum trib_round_state {
    TRIB_ROUND_WAITING,
    TRIB_ROUND_COLLECTING,
    TRIB_ROUND_DECIDING,
    TRIB_ROUND_APPLYING,
    TRIB_ROUND_EVALUATING,
    TRIB_ROUND_COMMITTING,
    TRIB_ROUND_FINISHED,
    TRIB_ROUND_STATE_COUNT
};

/* A member's state is where its client's part in the open round stands. */
enum trib_member_state {
#define TRIB_MEMBER_STATE_ROW(name, stored, text, meaning) TRIB_MEMBER_##name,
#include "round/member_states.def"
    TRIB_MEMBER_STATE_COUNT
};

struct trib_round_options {
    uint64_t seed;
    uint64_t rounds;            /* number of the last round */
    uint64_t first_round;       /* 1 .. rounds */
    uint32_t min_clients;       /* available before a round begins; min_updates must be as well */
    uint32_t clients_per_round; /* updates wanted; 0 = of every available client */
    double over_selection;      /* >= 1: cohort = ceil(wanted * this) */
    uint32_t min_updates;       /* to commit */
    uint32_t uploads_in_flight; /* grants at a time */
    int64_t deadline_ms;        /* of a round; 0 = none */
    int64_t idle_timeout_ms;    /* without progress of a member; 0 = none, but max_staleness + 1 deadlines where members
                                   outlive their round */
    int64_t away_timeout_ms;    /* a member that disconnected may come back within this */
    int64_t retry_ms;           /* pause after an abandoned round */
    bool evaluate;              /* whether to ask for EVALUATE */
    uint64_t evaluate_every;    /* rounds; the last one always */
    const struct trib_selector *selector;
    const void *selector_settings; /* what the selector's rows fill; borrowed for the machine's life */
    uint32_t separation;     /* rounds that a client rests after one that it was picked for, unless none could begin */
    uint32_t penalty_rounds; /* that a client is left out after its upload contradicted its offer */
    struct trib_gate gate;
    double patience;        /* added to a client's relevance for each time that it was skipped since its last fold */
    bool compare_offers;    /* the gate needs SCORE: relevance is known only when a round's offers are together */
    uint32_t buffer;        /* updates that close a round, without cohorts; 0 = rounds with cohorts */
    uint32_t max_staleness; /* rounds that an update may be behind */
    bool outlives;          /* what is being collected when it is stopped goes on after a restart: nobody is told */
    struct trib_evaluate_options at_clients;
};

enum trib_round_event_kind {
    TRIB_EVENT_JOINED,   /* client, examples, key, eligible: it is here; also after a reconnect */
    TRIB_EVENT_ELIGIBLE, /* client, eligible: whether it may be picked has changed */
    TRIB_EVENT_LEFT,     /* client, reason */
    TRIB_EVENT_PROGRESS, /* client */
    TRIB_EVENT_OFFER,    /* client, round, examples, loss, bytes, relevance */
    TRIB_EVENT_SCORED,   /* scores, n_scores: what a SCORE came to */
    TRIB_EVENT_FAILURE,  /* client, round, reason */
    TRIB_EVENT_UPLOADED, /* client, round, attempt: the whole update is here, unverified */
    TRIB_EVENT_REFUSED,  /* client, round, attempt, reason: what it sent is not what it may send */
    /* what a FOLD, APPLY, EVALUATE or COMMIT came to: round, attempt, ok, reason */
    TRIB_EVENT_FOLDED, /* and client; harmful: the accumulator was spoilt on the way; lied: it is not what was offered
                        */
    TRIB_EVENT_APPLIED,
    TRIB_EVENT_EVALUATED, /* a failed evaluation does not stop the round */
    TRIB_EVENT_COMMITTED,
    TRIB_EVENT_TICK,   /* time has passed */
    TRIB_EVENT_RESUME, /* the first one after trib_round_restore: go on with the round that was open, if one was */
    TRIB_EVENT_STOP,   /* drain: finish what is being committed, abandon what is being collected */
    /* for phases of any kind; a FAILURE with a phase is one, too: the member cannot do what it was asked */
    TRIB_EVENT_ANSWER,   /* client, phase, round (of the ASK), payload, payload_len */
    TRIB_EVENT_WORK_DONE /* phase, round, work, ok, reason: what a WORK came to */
};
struct trib_score {
    uint32_t client;
    double relevance; /* 0 .. 1, nan = unknown */
};
struct trib_round_event {
    enum trib_round_event_kind kind;
    int64_t now_ms;
    uint32_t client;
    uint64_t round, attempt, examples;
    uint64_t key; /* of the node's name: candidates are ordered by it, so that arrival order decides nothing */
    bool ok, harmful, lied, eligible;
    double loss, relevance; /* nan = unknown */
    uint64_t bytes;         /* of the update that is offered */
    const struct trib_score *scores;
    size_t n_scores;
    const char *reason;
    const char *phase;   /* its name; NULL = of no phase but the task's own */
    const void *payload; /* [payload_len] as the phase defines it: untrusted */
    size_t payload_len;
    uint32_t work; /* as the phase numbers it */
};

enum trib_round_action_kind {
    TRIB_ACTION_BEGIN,     /* a round begins: make the accumulator ready */
    TRIB_ACTION_TASK,      /* client, round, reason: send the task of this round (again); why it was picked */
    TRIB_ACTION_SCORE,     /* compare the offers of the members that wait (OFFERED); answer SCORED */
    TRIB_ACTION_SKIP,      /* client, round, reason: its update is not wanted: tell it */
    TRIB_ACTION_GRANT,     /* client, round, reason: may upload, from where the last try ended */
    TRIB_ACTION_FOLD,      /* client, round (of its task), staleness: verify its upload and fold it; answer FOLDED */
    TRIB_ACTION_DISCARD,   /* client: throw away what it has uploaded */
    TRIB_ACTION_OUTCOME,   /* client, round, outcome, reason: tell it */
    TRIB_ACTION_APPLY,     /* answer APPLIED */
    TRIB_ACTION_EVALUATE,  /* answer EVALUATED */
    TRIB_ACTION_COMMIT,    /* answer COMMITTED */
    TRIB_ACTION_COMMITTED, /* the round is done: log it, publish the model */
    TRIB_ACTION_CARRIED,   /* the round is done and no update was wanted: log it; the model stays */
    TRIB_ACTION_ABANDONED, /* reason: the round is given up: log it, forget its accumulator and new model */
    TRIB_ACTION_FINISHED,  /* reason: nothing more to do; who was still at work has been told ABANDONED */
    /* of phases of any kind: phase, round (that it is about; of an ASK, ANSWER gives it back) */
    TRIB_ACTION_ASK,       /* client, version: ask it (again); answer ANSWER, or FAILURE with the phase */
    TRIB_ACTION_TELL,      /* client, outcome, reason: what became of its answer; FOLDED = it was taken */
    TRIB_ACTION_WORK,      /* work: do it; answer WORK_DONE */
    TRIB_ACTION_PHASE_DONE /* reason: the phase is over, and its result can be read */
};
/* An outcome is what became of a member's part. The numbers are those of Outcome.Kind on the wire; records hold the
 * names. Neither changes. */
enum trib_outcome {
    TRIB_OUTCOME_FOLDED = 0,
    TRIB_OUTCOME_SKIPPED = 1,
    TRIB_OUTCOME_REJECTED = 2,
    TRIB_OUTCOME_LATE = 3,
    TRIB_OUTCOME_ABANDONED = 4
};

enum { TRIB_ROUND_REASON_LEN = 200 };
struct trib_round_action {
    enum trib_round_action_kind kind;
    uint32_t client;
    uint64_t round, attempt; /* that it is about: of the member's task, maybe earlier ones */
    uint64_t staleness;      /* rounds since that task was sent */
    enum trib_outcome outcome;
    const char *phase; /* its name; NULL = of no phase but the task's own */
    uint64_t version;  /* ASK: models made before the one that it is about, and that one */
    uint32_t work;
    char reason[TRIB_ROUND_REASON_LEN];
};

/* A round's summary holds what its log line tells. */
struct trib_round_summary {
    uint64_t round, attempt;
    uint32_t available, eligible, cohort, offered, granted, uploaded, folded, skipped, rejected, failed, late;
    uint32_t stale;       /* of those folded */
    uint64_t staleness;   /* their sum */
    uint32_t scored;      /* offers with a known relevance */
    double relevance_sum; /* of those */
    double threshold;     /* of the gate, as far as it is known; nan = none */
    int64_t began_ms, first_offer_ms, closed_ms, applied_ms, evaluated_ms, committed_ms; /* 0 = not yet */
};

struct trib_round; /* opaque; one thread */

TRIB_MUST_CHECK enum trib_status trib_round_new(const struct trib_round_options *options, struct trib_round **round,
                                                struct trib_error *error);
void trib_round_free(struct trib_round *round);
/* Take one event. *actions (valid until the next step) and *n are what to do; *ignored is NULL or the static text why
 * the event changed nothing. On TRIB_NO_MEMORY the state is unchanged: give the event again. */
TRIB_MUST_CHECK enum trib_status trib_round_step(struct trib_round *round, const struct trib_round_event *event,
                                                 const struct trib_round_action **actions, size_t *n,
                                                 const char **ignored);
/* trib_round_reserve makes room for whatever the next step does; trib_round_reserve_client for a client that has not
 * joined before. After both a step cannot fail. */
TRIB_MUST_CHECK enum trib_status trib_round_reserve(struct trib_round *round);
TRIB_MUST_CHECK enum trib_status trib_round_reserve_client(struct trib_round *round, uint32_t client);
/* When a TICK is due at the latest, INT64_MAX = never. */
int64_t trib_round_next_tick(const struct trib_round *round);

enum trib_round_state trib_round_state(const struct trib_round *round);
uint64_t trib_round_number(const struct trib_round *round);
const struct trib_round_summary *trib_round_summary(const struct trib_round *round);
enum trib_member_state trib_round_member(const struct trib_round *round, uint32_t client);
/* trib_round_parts lists the clients whose member state is not NONE, ascending; valid until the next step. */
const uint32_t *trib_round_parts(struct trib_round *round, size_t *n);
/* trib_round_members_in counts the members in this state. */
uint32_t trib_round_members_in(const struct trib_round *round, enum trib_member_state state);
/* A member is at work while its update may still become a part of this round or a later one: TASKED to FOLDING. */
bool trib_round_is_at_work(enum trib_member_state state);
/* The round and the attempt of a client's last task; 0 = it never had one. */
uint64_t trib_round_task_of(const struct trib_round *round, uint32_t client, uint64_t *attempt);
/* ---- what outlives the process ---- */

/* A round's snapshot is the engine itself, without its members. */
struct trib_round_snapshot {
    uint64_t number, attempt, commits, offers, draws;
    bool open;                /* tasks are out: the round goes on, or its updates wait to be committed */
    bool decided;             /* the offers of this round have been compared ... */
    struct trib_gate_cut cut; /* ... and this is what they had to reach */
    uint32_t wanted;
    const void *selector_state; /* [selector's state_size]; borrowed */
    size_t selector_state_len;
};
/* A member's snapshot is its client's part in the open round, and what selectors go by. */
struct trib_member_snapshot {
    uint32_t client;
#define TRIB_MEMBER_FIELD(type, name) type name;
#include "round/member_fields.def"
};
/* trib_round_recall tells the engine as it is; or, from COMMITTING, as it will be when the commit is done
 * (after_commit). */
void trib_round_recall(const struct trib_round *round, bool after_commit, struct trib_round_snapshot *snapshot);
/* False: the client is not known. */
bool trib_round_recall_member(const struct trib_round *round, uint32_t client, struct trib_member_snapshot *snapshot);
/* The clients whose snapshot may have changed since the last call; valid until the next step. */
size_t trib_round_take_changed(struct trib_round *round, const uint32_t **clients);
/* Make a new engine what it was. Nobody is here yet: who was at work may come back within the longer of the idle and
 * the away timeout, and gets the same task. UPLOADED, FOLDING, FOLDED mean that the caller has the whole upload: it is
 * folded again. TRIB_CORRUPT: the snapshot contradicts itself or the options; the engine is of no use then. */
TRIB_MUST_CHECK enum trib_status trib_round_restore(struct trib_round *round,
                                                    const struct trib_round_snapshot *snapshot,
                                                    const struct trib_member_snapshot *members, size_t n,
                                                    struct trib_error *error);

/* trib_round_save_phases adds the state of phases that are under way to the buffer: versioned bytes, to be kept with
 * the round's snapshot, which say nothing but to trib_round_load_phases. */
TRIB_MUST_CHECK enum trib_status trib_round_save_phases(const struct trib_round *round, struct trib_buf *bytes);
/* trib_round_phase_changes counts the changes of what trib_round_save_phases would add. */
uint64_t trib_round_phase_changes(const struct trib_round *round);
/* trib_round_load_phases takes saved bytes back, after trib_round_restore and before RESUME; none at all are right as
 * well. TRIB_CORRUPT: the engine is of no use then. */
TRIB_MUST_CHECK enum trib_status trib_round_load_phases(struct trib_round *round, const void *bytes, size_t len,
                                                        struct trib_error *error);

const char *trib_round_state_name(enum trib_round_state state);
const char *trib_member_state_name(enum trib_member_state state);
/* A state's stored number is what records hold of it; false: no state has this one. */
uint64_t trib_member_state_stored(enum trib_member_state state);
bool trib_member_state_find(uint64_t stored, enum trib_member_state *state);
const char *trib_outcome_name(enum trib_outcome outcome); /* "folded", ... */
/* The whole state, for people and tests. */
TRIB_MUST_CHECK enum trib_status trib_round_print(const struct trib_round *round, struct trib_buf *text);

#endif
