/* A phase of a round is one const table: what is asked of members, and what becomes of their answers. The spine
 * (round.c, round_begin.c, round_end.c: plan, close, apply, evaluate, commit, members that come and go) knows phases by
 * this table alone; phase_list.def lists them. All slots but name and help may be NULL. Within a step nothing can fail:
 * what a phase needs is reserved before it. */
#ifndef TRIB_ROUND_PHASE_H
#define TRIB_ROUND_PHASE_H

#include "round_private.h"

#define TRIB_PHASE_EVENT(kind) (UINT32_C(1) << (kind))

struct trib_phase {
    const char *name; /* "offer" */
    const char *help;
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
};

#define PHASE(name) extern const struct trib_phase trib_phase_##name;
#include "phase_list.def"
#undef PHASE

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

/* ---- what the phases of a member's update share ---- */
/* The member that an event of a client is about, or NULL with *ignored set; a client that is behind is told. */
struct member *trib_phase_current_member(struct trib_round *round, const struct trib_round_event *event,
                                         const char **ignored);
/* Write what was decided, and by which relevance and threshold. */
void trib_phase_describe(const struct trib_round *round, const struct member *member, const char *what, char *text,
                         size_t size);

#endif
