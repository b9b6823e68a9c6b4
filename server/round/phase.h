/* A phase of a round is one const table: what is asked of members, and what becomes of their answers. The spine
 * (round.c, round_begin.c, round_end.c: plan, close, apply, evaluate, commit, members that come and go) knows phases by
 * this table alone; phase_list.def lists them. All slots but the info may be NULL, and mean nothing then. Within a step
 * nothing can fail: what a phase needs is reserved before it. */
#ifndef TRIB_ROUND_PHASE_H
#define TRIB_ROUND_PHASE_H

#include "round_private.h"

#include "round/phases.h"

#define TRIB_PHASE_EVENT(kind) (UINT32_C(1) << (kind))

struct trib_phase {
    struct trib_phase_info info;
    /* ---- within a round: part of a member's task ---- */
    /* events that are this phase's own; take returns NULL, or why nothing has changed */
    uint32_t events;
    const char *(*take)(struct trib_round *round, const struct trib_round_event *event);
    void (*begin)(struct trib_round *round);                       /* a round opens; no tasks are out yet */
    void (*task)(struct trib_round *round, struct member *member); /* the member gets a new task */
    void (*opened)(struct trib_round *round, int64_t now_ms);      /* the tasks are out; or a round goes on */
    void (*advance)(struct trib_round *round, int64_t now_ms);     /* a member's part may have moved or ended */
    void (*returned)(struct trib_round *round, int64_t now_ms); /* a member fell back to its task: it left or joined */
    void (*drop)(struct trib_round *round, const struct member *member); /* nobody will use what the member does */
    bool (*holds)(const struct trib_round *round); /* enough have answered, but more is on its way: do not close yet */
    bool (*is_busy)(const struct trib_round *round); /* work is under way that has to end before the round closes */
    int64_t (*due)(const struct trib_round *round); /* when a TICK is due while the round collects; INT64_MAX = never */
    /* ---- beside the rounds: asked by ASK, answered by ANSWER ---- */
    size_t state_size, member_size; /* bytes of its own state and of one for each member asked; zeroed, no pointers */
    const char *(*check)(const struct trib_round_options *options); /* why these are refused; NULL = they are not */
    size_t (*most_asked)(const struct trib_round *round);           /* members that `committed` may ask now */
    void (*committed)(struct trib_round *round, struct phase_room *room, int64_t now_ms); /* a model was made */
    /* An answer, or that the member cannot; `at` is its place among those asked. NULL, or why nothing has changed. */
    const char *(*answer)(struct trib_round *round, struct phase_room *room, size_t at,
                          const struct trib_round_event *event);
    const char *(*done)(struct trib_round *round, struct phase_room *room, const struct trib_round_event *event);
    void (*came)(struct trib_round *round, struct phase_room *room, size_t at, int64_t now_ms); /* is here (again) */
    void (*resumed)(struct trib_round *round, struct phase_room *room,
                    int64_t now_ms); /* after a restart, while open */
    void (*tick)(struct trib_round *round, struct phase_room *room, int64_t now_ms);
    int64_t (*timer)(const struct phase_room *room); /* when a TICK is due while it is open; INT64_MAX = never */
    /* Nobody will use further answers: end what is open, and tell them so. */
    void (*end)(struct trib_round *round, struct phase_room *room, int64_t now_ms, enum trib_outcome outcome,
                const char *reason);
    /* The state of an open phase, its round, version and members' keys aside: versioned bytes. load checks them. */
    enum trib_status (*save)(const struct phase_room *room, struct trib_buf *bytes);
    enum trib_status (*load)(struct phase_room *room, struct trib_reader *reader, struct trib_error *error);
};

#define PHASE(name) extern const struct trib_phase trib_phase_##name;
#include "phase_list.def"
#undef PHASE

/* ---- phases.c ---- */
const struct trib_phase *trib_phase_at(size_t index); /* below PHASES */

/* ---- phases.c: the calls of the spine, each to every phase in the order of the list ---- */
const char *trib_phases_take(struct trib_round *round, const struct trib_round_event *event);
void trib_phases_begin(struct trib_round *round);
void trib_phases_task(struct trib_round *round, struct member *member);
void trib_phases_opened(struct trib_round *round, int64_t now_ms);
void trib_phases_advance(struct trib_round *round, int64_t now_ms);
void trib_phases_returned(struct trib_round *round, int64_t now_ms);
void trib_phases_drop(struct trib_round *round, const struct member *member);
bool trib_phases_hold(const struct trib_round *round);
bool trib_phases_busy(const struct trib_round *round);
int64_t trib_phases_due(const struct trib_round *round);

/* ---- phase_rooms.c: the same, for phases beside the rounds ---- */
const char *trib_phases_take_named(struct trib_round *round, const struct trib_round_event *event);
/* Options, room and the memory of both; what a step needs besides: `actions` more of them. */
enum trib_status trib_phases_open_rooms(struct trib_round *round, struct trib_error *error);
void trib_phases_close_rooms(struct trib_round *round);
enum trib_status trib_phases_reserve(struct trib_round *round, size_t *actions);
void trib_phases_committed(struct trib_round *round, int64_t now_ms);
void trib_phases_came(struct trib_round *round, const struct member *member, int64_t now_ms);
void trib_phases_resumed(struct trib_round *round, int64_t now_ms);
void trib_phases_tick(struct trib_round *round, int64_t now_ms);
int64_t trib_phases_timer(const struct trib_round *round);
void trib_phases_end(struct trib_round *round, int64_t now_ms, enum trib_outcome outcome, const char *reason);
bool trib_phases_open(const struct trib_round *round);

/* ---- phase_rooms.c: what phases beside the rounds are made of ---- */
/* trib_phase_open begins with nobody asked. */
void trib_phase_open(struct trib_round *round, struct phase_room *room);
/* trib_phase_add takes a member among those asked, in ascending order of their keys, and asks it; returns its state. */
void *trib_phase_add(struct trib_round *round, struct phase_room *room, const struct member *member);
void *trib_phase_state(const struct phase_room *room, size_t at);
void trib_phase_ask(struct trib_round *round, const struct phase_room *room, size_t at);
void trib_phase_tell(struct trib_round *round, const struct phase_room *room, size_t at, enum trib_outcome outcome,
                     const char *reason);
void trib_phase_work(struct trib_round *round, const struct phase_room *room, uint32_t work);
/* trib_phase_close ends it: its result can be read. */
void trib_phase_close(struct trib_round *round, struct phase_room *room, const char *reason);

/* ---- what the phases of a member's update share ---- */
/* The member that an event of a client is about, or NULL with *ignored set; a client that is behind is told. */
struct member *trib_phase_current_member(struct trib_round *round, const struct trib_round_event *event,
                                         const char **ignored);
/* Write what was decided, and by which relevance and threshold. */
void trib_phase_describe(const struct trib_round *round, const struct member *member, const char *what, char *text,
                         size_t size);

#endif
