/* An observer beside a round engine that knows the rules but none of the code: from the events it gives and the actions
 * it gets it keeps its own books on every client, and checks after each step that the engine's say the same, that what
 * was asked for may be asked for, and that every task and every round has one end. Beside the engine it keeps as well
 * what a store would, throws the engine away, and sees to it that the next one goes on where the disk says. */
#ifndef TEST_ROUND_OBSERVER_H
#define TEST_ROUND_OBSERVER_H

#include "round_keeper.h"

#include "base/buf.h"
#include "base/rng.h"
#include "test_main.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = KEEPER_CLIENTS, MAX_WORK = 64, EVENT_KINDS = TRIB_EVENT_STOP + 1 };

/* Work that the engine asked for and that was not answered yet; it outlives its attempt. */
struct work {
    enum trib_round_event_kind kind;
    uint32_t client;
    uint64_t round, attempt;
};

/* One client, and its last task. */
struct actor {
    bool known, here, eligible;
    uint64_t key, barred_until;
    enum trib_member_state state;
    uint64_t round, attempt; /* of the task */
    uint64_t commits;        /* before it was sent */
    uint64_t tasks;          /* that it had */
    unsigned folds;          /* it was asked to be folded, in this task */
    bool told;               /* how the task ended */
    bool spool;              /* it was granted an upload that was neither taken nor discarded */
    bool passed, unknown;    /* the gate; when there was nothing to compare it with */
    double relevance;
    uint64_t order; /* of its offer */
};

struct totals {
    uint64_t steps, ignored, commits, carried, abandoned, stale, skipped, restarts;
    uint64_t crashes, stops, reopened, folded_again, doubts[2], set_back; /* doubts: by whether the commit was done */
    uint64_t met[TRIB_ROUND_STATE_COUNT][EVENT_KINDS];                    /* state x event */
    uint64_t turns[TRIB_MEMBER_STATE_COUNT][TRIB_MEMBER_STATE_COUNT];     /* member states, from and to */
};

/* The present, as a state of the disk that was written now would tell it. */
struct books {
    struct actor actors[CLIENTS];
    bool open;
    uint64_t number, attempt, commits;
};

struct disk_state {
    struct kept_state kept;
    struct books books;
};

/* A history may not be forgotten whatever happens: the last of a client's tasks that is a part of a durable model. */
struct history {
    uint64_t round, attempt, times;
};

struct observer {
    uint64_t seed;
    struct trib_rng rng;
    struct trib_round_options options;
    struct trib_round *round;
    int64_t now_ms;
    struct work work[MAX_WORK];
    size_t n_work;
    struct actor actors[CLIENTS];
    bool running, committing, finished;
    bool reopens; /* stopped or thrown away amid a round: RESUME goes on with it */
    bool over;    /* there is nothing to go on with */
    uint64_t number, attempt, offers;
    uint64_t commits;                                                /* rounds that made a model */
    uint32_t cohort, folded, skipped, rejected, failed, late, stale; /* in this round */
    struct totals *totals;
    enum trib_round_state was; /* before this step */
    bool known[CLIENTS];
    struct trib_member_snapshot snapshots[CLIENTS]; /* as of the last step */
    /* the disk: as it is; as it was some time since the last commit; as the commit under way will leave it */
    struct disk_state now, before, next;
    struct kept_upload uploads[CLIENTS];
    struct history history[CLIENTS];
    bool dirty[CLIENTS];
};

/* libcheck notes every assertion that holds, which costs more than the engine does. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            observer_fails(o, #condition);                                                                             \
        }                                                                                                              \
    } while (0)

static inline void observer_fails(const struct observer *o, const char *what)
{
    struct trib_buf text = {0};
    (void)!trib_round_print(o->round, &text);
    ck_abort_msg("seed %" PRIu64 " step %" PRIu64 ": %s\n%s", o->seed, o->totals->steps, what, trib_buf_text(&text));
}

static inline bool is_pending(enum trib_member_state state)
{
    return state == TRIB_MEMBER_TASKED || state == TRIB_MEMBER_OFFERED || state == TRIB_MEMBER_ADMITTED ||
           state == TRIB_MEMBER_GRANTED;
}

static inline bool is_at_work(enum trib_member_state state)
{
    return is_pending(state) || state == TRIB_MEMBER_UPLOADED || state == TRIB_MEMBER_FOLDING;
}

static inline bool waits_for_gate(enum trib_member_state state)
{
    return state == TRIB_MEMBER_OFFERED || state == TRIB_MEMBER_ADMITTED;
}

static inline uint32_t count(const struct observer *o, enum trib_member_state state)
{
    uint32_t n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        n += o->actors[i].state == state;
    }
    return n;
}

static inline uint32_t count_at_work(const struct observer *o)
{
    uint32_t n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        n += is_at_work(o->actors[i].state);
    }
    return n;
}

static inline void turn(struct observer *o, struct actor *actor, enum trib_member_state state)
{
    o->totals->turns[actor->state][state]++;
    actor->state = state;
}

static inline void ask(struct observer *o, enum trib_round_event_kind kind, uint32_t client)
{
    NEED(o->n_work < MAX_WORK);
    o->work[o->n_work++] = (struct work){.kind = kind, .client = client, .round = o->number, .attempt = o->attempt};
}

/* Parts that are over are forgotten, so that their clients may be picked again. */
static inline void release(struct observer *o)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (o->actors[i].state != TRIB_MEMBER_NONE && !is_at_work(o->actors[i].state)) {
            turn(o, &o->actors[i], TRIB_MEMBER_NONE);
        }
    }
}

static inline void end_round(struct observer *o, bool done)
{
    NEED(o->running);
    o->running = o->committing = false;
    o->attempt = done ? 0 : o->attempt + 1;
    o->number += done;
}

/* ---- what an accepted event means; `before` is the state that its client was in ---- */

static inline void note_folded(struct observer *o, const struct trib_round_event *event, struct actor *actor)
{
    NEED(event->round == o->number && event->attempt == o->attempt && actor->state == TRIB_MEMBER_FOLDING);
    if (event->ok) {
        turn(o, actor, TRIB_MEMBER_FOLDED);
        o->folded++;
        o->stale += actor->commits < o->commits;
    } else if (event->lied && !event->harmful && o->options.penalty_rounds > 0) {
        actor->barred_until = o->number + o->options.penalty_rounds;
    }
}

static inline void note_event(struct observer *o, const struct trib_round_event *event)
{
    struct actor *actor = &o->actors[event->client < CLIENTS ? event->client : 0];
    switch (event->kind) {
    case TRIB_EVENT_JOINED:
        actor->known = actor->here = true;
        actor->eligible = event->eligible;
        actor->key = event->key;
        break;
    case TRIB_EVENT_ELIGIBLE:
        NEED(actor->eligible != event->eligible);
        actor->eligible = event->eligible;
        break;
    case TRIB_EVENT_LEFT:
        NEED(actor->here);
        actor->here = false;
        if (is_pending(actor->state)) {
            turn(o, actor, TRIB_MEMBER_TASKED);
        }
        break;
    case TRIB_EVENT_PROGRESS:
        NEED(is_pending(actor->state));
        break;
    case TRIB_EVENT_OFFER:
        NEED(event->round == actor->round);
        if (actor->state == TRIB_MEMBER_TASKED || trib_round_member(o->round, event->client) != TRIB_MEMBER_GRANTED) {
            turn(o, actor, TRIB_MEMBER_OFFERED); /* while it uploads, only if it offers something else */
        }
        actor->relevance = event->relevance;
        actor->order = o->offers++;
        break;
    case TRIB_EVENT_SCORED:
        for (size_t i = 0; i < event->n_scores; i++) {
            if (event->scores[i].client < CLIENTS && o->actors[event->scores[i].client].state == TRIB_MEMBER_OFFERED) {
                o->actors[event->scores[i].client].relevance = event->scores[i].relevance;
            }
        }
        break;
    case TRIB_EVENT_FAILURE:
        NEED(is_pending(actor->state) && event->round == actor->round);
        turn(o, actor, TRIB_MEMBER_FAILED);
        actor->told = true; /* by itself */
        o->failed++;
        break;
    case TRIB_EVENT_UPLOADED:
        NEED(actor->state == TRIB_MEMBER_GRANTED);
        NEED(event->round == actor->round && event->attempt == actor->attempt);
        turn(o, actor, TRIB_MEMBER_UPLOADED);
        break;
    case TRIB_EVENT_REFUSED:
        NEED(is_pending(actor->state) && event->round == actor->round && event->attempt == actor->attempt);
        break;
    case TRIB_EVENT_FOLDED:
        note_folded(o, event, actor);
        break;
    case TRIB_EVENT_APPLIED:
    case TRIB_EVENT_EVALUATED:
    case TRIB_EVENT_COMMITTED:
        NEED(event->round == o->number && event->attempt == o->attempt);
        break;
    case TRIB_EVENT_STOP:
        if (o->running && o->options.outlives && (o->was == TRIB_ROUND_COLLECTING || o->was == TRIB_ROUND_DECIDING)) {
            o->running = false;
            o->reopens = true;
        }
        break;
    case TRIB_EVENT_TICK:
    case TRIB_EVENT_RESUME:
    case TRIB_EVENT_ANSWER:
    case TRIB_EVENT_WORK_DONE:
        break;
    }
}

/* ---- what an action means ---- */

/* A round goes on: nothing is folded yet, and who was out of it is out of it. */
static inline void note_reopened(struct observer *o)
{
    o->reopens = false;
    o->running = true;
    o->cohort = o->folded = o->stale = 0;
    o->skipped = count(o, TRIB_MEMBER_SKIPPED);
    o->rejected = count(o, TRIB_MEMBER_REJECTED);
    o->failed = count(o, TRIB_MEMBER_FAILED);
    o->late = count(o, TRIB_MEMBER_LATE);
    for (int i = 0; i < CLIENTS; i++) {
        o->cohort += o->actors[i].state != TRIB_MEMBER_NONE && o->actors[i].round == o->number;
    }
    o->totals->reopened++;
}

static inline void note_begin(struct observer *o, const struct trib_round_event *event)
{
    const struct trib_round_summary *s = trib_round_summary(o->round);
    uint32_t here = 0;
    if (o->reopens) {
        NEED(event->kind == TRIB_EVENT_RESUME && !o->running);
        note_reopened(o);
        return;
    }
    NEED(event->kind != TRIB_EVENT_RESUME);
    for (int i = 0; i < CLIENTS; i++) {
        here += o->actors[i].here;
    }
    NEED(!o->running);
    release(o);
    o->running = true;
    o->cohort = o->folded = o->skipped = o->rejected = o->failed = o->late = o->stale = 0;
    NEED(s->round == o->number && s->attempt == o->attempt && s->available == here && s->began_ms == o->now_ms);
    NEED(o->options.buffer > 0 || here >= o->options.min_clients);
}

/* Without cohorts, a deadline with nothing to close lets those be picked again whose part is over. */
static inline void note_restart(struct observer *o)
{
    NEED(o->options.buffer > 0 && o->options.deadline_ms > 0 && o->folded == 0 && o->skipped == 0);
    o->totals->restarts++;
    release(o);
}

/* Not barred; or there are too few without those who are. */
static inline bool may_be_asked(const struct observer *o, const struct actor *asked)
{
    size_t others = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const struct actor *actor = &o->actors[i];
        bool idle = actor->state == TRIB_MEMBER_NONE ||
                    (actor->state == TRIB_MEMBER_TASKED && actor->round == o->number && o->options.buffer == 0);
        others += actor->here && actor->eligible && idle && actor->barred_until < o->number;
    }
    return asked->barred_until < o->number || others < (o->options.buffer > 0 ? 1 : o->options.min_updates);
}

static inline void note_task(struct observer *o, const struct trib_round_event *event,
                             const struct trib_round_action *action)
{
    struct actor *actor = &o->actors[action->client];
    NEED(actor->here && action->reason[0]);
    if (event->kind == TRIB_EVENT_JOINED && event->client == action->client && is_pending(actor->state)) {
        NEED(action->round == actor->round && action->attempt == actor->attempt); /* its own task once more */
        turn(o, actor, TRIB_MEMBER_TASKED);
        return;
    }
    if (actor->state != TRIB_MEMBER_NONE) {
        note_restart(o);
    }
    NEED(actor->state == TRIB_MEMBER_NONE && actor->eligible && may_be_asked(o, actor));
    NEED(o->running && action->round == o->number && action->attempt == o->attempt && action->staleness == 0);
    *actor = (struct actor){.known = true,
                            .here = true,
                            .eligible = true,
                            .key = actor->key,
                            .barred_until = actor->barred_until,
                            .round = action->round,
                            .attempt = action->attempt,
                            .commits = o->commits,
                            .tasks = actor->tasks + 1};
    turn(o, actor, TRIB_MEMBER_TASKED);
    o->cohort++;
}

static inline void note_skip(struct observer *o, const struct trib_round_event *event, struct actor *actor)
{
    if (actor->state == TRIB_MEMBER_SKIPPED) { /* it is told again what it has not heard */
        NEED(event->client == (uint32_t)(actor - o->actors));
        return;
    }
    NEED(actor->state == TRIB_MEMBER_OFFERED && !actor->told && !isnan(actor->relevance));
    NEED(o->options.gate.rule != TRIB_GATE_OPEN);
    turn(o, actor, TRIB_MEMBER_SKIPPED);
    actor->told = true;
    o->skipped++;
    o->totals->skipped++;
}

static inline void note_grant(struct observer *o, const struct trib_round_event *event, struct actor *actor)
{
    if (actor->state == TRIB_MEMBER_GRANTED) { /* it asked where to go on */
        NEED(event->kind == TRIB_EVENT_OFFER && event->client == (uint32_t)(actor - o->actors));
        return;
    }
    NEED(o->running && !o->committing && waits_for_gate(actor->state) && !actor->told);
    turn(o, actor, TRIB_MEMBER_GRANTED);
    actor->spool = actor->passed = true;
}

static inline void note_fold(struct observer *o, const struct trib_round_action *action)
{
    struct actor *actor = &o->actors[action->client];
    NEED(actor->state == TRIB_MEMBER_UPLOADED && actor->passed && actor->spool && !actor->told);
    NEED(action->staleness == o->commits - actor->commits && action->staleness <= o->options.max_staleness);
    NEED(++actor->folds == 1);
    turn(o, actor, TRIB_MEMBER_FOLDING);
    actor->spool = false;
    if (trib_rng_below(&o->rng, 100) < 80) { /* is there room to keep it? */
        o->uploads[action->client] = (struct kept_upload){.round = actor->round, .attempt = actor->attempt};
    }
    ask(o, TRIB_EVENT_FOLDED, action->client);
}

static inline void note_outcome(struct observer *o, const struct trib_round_action *action)
{
    struct actor *actor = &o->actors[action->client];
    NEED(action->round == actor->round && action->attempt == actor->attempt && !actor->told);
    NEED(action->reason[0] || action->outcome == TRIB_OUTCOME_FOLDED);
    actor->told = true;
    switch (action->outcome) {
    case TRIB_OUTCOME_LATE:
        NEED(is_pending(actor->state));
        turn(o, actor, TRIB_MEMBER_LATE);
        o->late++;
        break;
    case TRIB_OUTCOME_REJECTED:
        NEED(is_pending(actor->state) || actor->state == TRIB_MEMBER_FOLDING);
        turn(o, actor, TRIB_MEMBER_REJECTED);
        o->rejected++;
        break;
    case TRIB_OUTCOME_FOLDED:
        NEED(actor->state == TRIB_MEMBER_FOLDED && actor->folds == 1 && !o->running);
        break;
    case TRIB_OUTCOME_ABANDONED:
        NEED(is_at_work(actor->state) || actor->state == TRIB_MEMBER_FOLDED);
        turn(o, actor, TRIB_MEMBER_NONE);
        break;
    case TRIB_OUTCOME_SKIPPED:
        NEED(false);
    }
}

/* Folded updates are in a model that will never vanish: none of them was in one before. */
static inline void note_durable(struct observer *o)
{
    for (int i = 0; i < CLIENTS; i++) {
        const struct actor *actor = &o->actors[i];
        struct history *history = &o->history[i];
        if (actor->state == TRIB_MEMBER_FOLDED) {
            NEED(actor->round > history->round ||
                 (actor->round == history->round && actor->attempt > history->attempt));
            *history = (struct history){.round = actor->round, .attempt = actor->attempt, .times = history->times + 1};
        }
    }
}

/* The round itself: what is to be done with it, and its end. */
static inline void note_round(struct observer *o, const struct trib_round_event *event,
                              const struct trib_round_action *action)
{
    uint32_t least = o->options.buffer > 0 ? 1 : o->options.min_updates;
    NEED(action->kind == TRIB_ACTION_FINISHED || o->running);
    NEED(action->kind == TRIB_ACTION_FINISHED || (action->round == o->number && action->attempt == o->attempt));
    switch (action->kind) {
    case TRIB_ACTION_APPLY:
        NEED(o->folded > 0 && o->folded + o->skipped >= least && count(o, TRIB_MEMBER_FOLDING) == 0);
        ask(o, TRIB_EVENT_APPLIED, 0);
        break;
    case TRIB_ACTION_EVALUATE:
        NEED(o->options.evaluate && event->kind == TRIB_EVENT_APPLIED);
        ask(o, TRIB_EVENT_EVALUATED, 0);
        break;
    case TRIB_ACTION_COMMIT:
        NEED(!o->committing && (event->kind == TRIB_EVENT_APPLIED || event->kind == TRIB_EVENT_EVALUATED));
        o->committing = true;
        ask(o, TRIB_EVENT_COMMITTED, 0);
        break;
    case TRIB_ACTION_COMMITTED:
        NEED(o->committing && event->kind == TRIB_EVENT_COMMITTED && event->ok && o->folded > 0);
        note_durable(o);
        o->totals->commits++;
        o->totals->stale += o->stale;
        end_round(o, true);
        o->commits++;
        break;
    case TRIB_ACTION_CARRIED:
        NEED(!o->committing && o->folded == 0 && o->skipped > 0 && o->skipped >= least);
        o->totals->carried++;
        end_round(o, true);
        break;
    case TRIB_ACTION_ABANDONED:
        NEED(action->reason[0]);
        o->totals->abandoned++;
        end_round(o, false);
        release(o);
        break;
    default:
        NEED(action->kind == TRIB_ACTION_FINISHED && !o->running && action->reason[0]);
        o->finished = true;
    }
}

static inline void note_action(struct observer *o, const struct trib_round_event *event,
                               const struct trib_round_action *action)
{
    struct actor *actor = &o->actors[action->client];
    NEED(!o->finished && action->client < CLIENTS);
    switch (action->kind) {
    case TRIB_ACTION_BEGIN:
        note_begin(o, event);
        break;
    case TRIB_ACTION_TASK:
        note_task(o, event, action);
        break;
    case TRIB_ACTION_SCORE:
        NEED(o->running && o->options.compare_offers && count(o, TRIB_MEMBER_OFFERED) > 0);
        ask(o, TRIB_EVENT_SCORED, 0);
        break;
    case TRIB_ACTION_SKIP:
        note_skip(o, event, actor);
        break;
    case TRIB_ACTION_GRANT:
        note_grant(o, event, actor);
        break;
    case TRIB_ACTION_FOLD:
        note_fold(o, action);
        break;
    case TRIB_ACTION_DISCARD:
        actor->spool = false;
        break;
    case TRIB_ACTION_OUTCOME:
        note_outcome(o, action);
        break;
    default:
        note_round(o, event, action);
    }
}

/* ---- after every step ---- */

/* The gate tells in one step what it lets through and what not. */
static inline void check_gate(const struct observer *o, const struct trib_round_event *event,
                              const struct trib_round_action *actions, size_t n)
{
    const struct trib_gate *gate = &o->options.gate;
    bool alone = gate->rule == TRIB_GATE_CONSTANT || gate->rule == TRIB_GATE_DECAY;
    double threshold = gate->rule == TRIB_GATE_DECAY ? gate->value / sqrt((double)o->number) : gate->value;
    for (size_t i = 0; i < n && alone && o->options.max_staleness == 0; i++) {
        const struct actor *actor = &o->actors[actions[i].client];
        NEED(actions[i].kind != TRIB_ACTION_SKIP || !o->running || actor->relevance < threshold);
        NEED(actions[i].kind != TRIB_ACTION_GRANT || actor->unknown || !(actor->relevance < threshold));
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n && actions[i].kind == TRIB_ACTION_GRANT; j++) {
            /* of those who were compared nobody is skipped for somebody less relevant; grants go by order of arrival */
            const struct actor *granted = &o->actors[actions[i].client], *other = &o->actors[actions[j].client];
            NEED(actions[j].kind != TRIB_ACTION_SKIP || actions[j].client == event->client ||
                 o->options.max_staleness > 0 || granted->unknown || !(granted->relevance < other->relevance));
            NEED(actions[j].kind != TRIB_ACTION_GRANT || j <= i || granted->order < other->order);
        }
    }
}

/* Offers wait or are let through; which of them is the engine's to know. */
static inline void check_members(struct observer *o)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct actor *actor = &o->actors[i];
        enum trib_member_state state = trib_round_member(o->round, i);
        if (actor->state == TRIB_MEMBER_OFFERED && state == TRIB_MEMBER_ADMITTED) {
            turn(o, actor, state);
        }
        bool passed = state == TRIB_MEMBER_ADMITTED || state == TRIB_MEMBER_GRANTED;
        actor->unknown = actor->unknown || (passed && isnan(actor->relevance));
        if (state == TRIB_MEMBER_NONE && actor->state > TRIB_MEMBER_FOLDED && o->running) {
            note_restart(o);
        }
        if (state != actor->state) {
            char text[96];
            snprintf(text, sizeof text, "client %" PRIu32 " is %s, but the actions told %s", i,
                     trib_member_state_name(state), trib_member_state_name(actor->state));
            observer_fails(o, text);
        }
        uint64_t attempt = 0;
        NEED(trib_round_task_of(o->round, i, &attempt) == actor->round && attempt == actor->attempt);
        NEED(!actor->spool || is_pending(state) || state == TRIB_MEMBER_UPLOADED); /* nothing is kept in vain */
        NEED(!o->finished || o->options.outlives || !is_at_work(state));
        NEED(!is_at_work(state) || (!actor->told && o->commits - actor->commits <= o->options.max_staleness));
    }
}

static inline void check_round(const struct observer *o)
{
    const struct trib_round_summary *s = trib_round_summary(o->round);
    enum trib_round_state state = trib_round_state(o->round);
    NEED(trib_round_number(o->round) == o->number && o->finished == (state == TRIB_ROUND_FINISHED));
    NEED(o->running == (state > TRIB_ROUND_WAITING && state < TRIB_ROUND_FINISHED));
    if (!o->running) {
        return;
    }
    NEED(s->round == o->number && s->attempt == o->attempt && s->cohort == o->cohort && s->stale == o->stale);
    NEED(s->folded == o->folded && s->skipped == o->skipped && s->rejected == o->rejected);
    NEED(s->failed == o->failed && s->late == o->late);
    if (o->options.max_staleness == 0) { /* every member has one place */
        NEED(count_at_work(o) + s->folded + s->skipped + s->rejected + s->failed + s->late == s->cohort);
    }
    if (state == TRIB_ROUND_COLLECTING || state == TRIB_ROUND_DECIDING) {
        uint32_t granted = count(o, TRIB_MEMBER_GRANTED), folding = count(o, TRIB_MEMBER_FOLDING);
        NEED(granted == 0 || o->options.max_staleness > 0 || granted + folding <= o->options.uploads_in_flight);
        NEED(granted <= o->options.uploads_in_flight);
        bool answered = trib_round_next_tick(o->round) != INT64_MAX; /* else an answer is under way */
        NEED(answered || folding > 0 || state == TRIB_ROUND_DECIDING);
    }
}

/* The engine's own counts are those of its members. */
static inline void check_counts(const struct observer *o, const struct trib_buf *text)
{
    char expected[512] = "\nmembers:";
    size_t used = strlen(expected);
    uint32_t here = 0;
    for (int state = TRIB_MEMBER_TASKED; state < TRIB_MEMBER_STATE_COUNT; state++) {
        uint32_t n = count(o, (enum trib_member_state)state);
        if (n > 0) {
            used += (size_t)snprintf(expected + used, sizeof expected - used, " %s=%" PRIu32,
                                     trib_member_state_name((enum trib_member_state)state), n);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        here += o->actors[i].here;
    }
    snprintf(expected + used, sizeof expected - used, " here=%" PRIu32 " ", here);
    NEED(strstr(trib_buf_text(text), expected));
}

/* Whoever's snapshot is another than before this step stands in the list; once. */
static inline void check_changes(struct observer *o)
{
    const uint32_t *changed;
    bool listed[CLIENTS] = {false};
    size_t n = trib_round_take_changed(o->round, &changed);
    for (size_t i = 0; i < n; i++) {
        NEED(changed[i] < CLIENTS && !listed[changed[i]]);
        listed[changed[i]] = o->dirty[changed[i]] = true;
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct trib_member_snapshot snapshot = {0};
        bool known = trib_round_recall_member(o->round, i, &snapshot);
        bool same = known == o->known[i] && (!known || !member_difference(&snapshot, &o->snapshots[i]));
        NEED(same || listed[i]);
        o->known[i] = known;
        o->snapshots[i] = snapshot;
    }
    NEED(trib_round_take_changed(o->round, &changed) == 0);
}

/* ---- the disk ---- */

static inline void gather(struct observer *o, struct disk_state *to)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (o->dirty[i]) {
            keep_member(&to->kept, o->round, &o->uploads[i], i);
        }
        o->dirty[i] = false;
    }
    keep_run(&to->kept, o->round, false);
    memcpy(to->books.actors, o->actors, sizeof o->actors);
    to->books.open = o->running || o->reopens;
    to->books.number = o->number;
    to->books.attempt = o->attempt;
    to->books.commits = o->commits;
}

static inline void prepare_commit(struct observer *o)
{
    struct books *books = &o->next.books;
    o->next = o->now;
    gather(o, &o->next);
    keep_commit(&o->next.kept, o->round);
    for (int i = 0; i < CLIENTS; i++) {
        if (books->actors[i].state == TRIB_MEMBER_FOLDED) {
            books->actors[i].state = TRIB_MEMBER_NONE;
        }
    }
    books->open = false;
    books->number++;
    books->attempt = 0;
    books->commits++;
}

/* After each step: mostly it is written down at once, and only a commit waits until it is on the disk. */
static inline void write_down(struct observer *o, const struct trib_round_event *event, bool ignored)
{
    if (o->committing && o->was != TRIB_ROUND_COMMITTING) {
        prepare_commit(o);
    }
    if (o->committing) {
        return;
    }
    bool committed = event->kind == TRIB_EVENT_COMMITTED && !ignored;
    if (committed && event->ok) {
        o->now = o->before = o->next;
    } else if (committed) {
        memset(o->dirty, 1, sizeof o->dirty); /* none of it was written */
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (!has_delivered(o->actors[i].state)) {
            o->uploads[i] = (struct kept_upload){0}; /* it will not be asked for again */
        }
    }
    if (trib_rng_below(&o->rng, 100) < 85) {
        gather(o, &o->now);
    }
    if (trib_rng_below(&o->rng, 100) < 5) {
        o->before = o->now; /* by now it has survived a loss of power, too */
    }
}

/* One event, and all that it has to hold. Every eighth step the state is printed before and after. */
static inline void give(struct observer *o, struct trib_round_event event)
{
    const struct trib_round_action *actions;
    const char *ignored;
    size_t n;
    struct trib_buf before = {0}, after = {0};
    bool prints = o->totals->steps % 8 == 0;
    event.now_ms = o->now_ms;
    o->was = trib_round_state(o->round);
    NEED(!prints || trib_round_print(o->round, &before) == TRIB_OK);
    o->totals->met[o->was][event.kind]++;
    NEED(trib_round_step(o->round, &event, &actions, &n, &ignored) == TRIB_OK);
    NEED(!prints || trib_round_print(o->round, &after) == TRIB_OK);
    NEED(n <= CLIENTS * 4 + 8);
    o->totals->steps++;
    if (ignored) { /* nothing but a word to the client */
        o->totals->ignored++;
        NEED(ignored[0] && n <= 1);
        NEED(n == 0 || (actions[0].client == event.client &&
                        (actions[0].kind == TRIB_ACTION_DISCARD || actions[0].kind == TRIB_ACTION_SKIP ||
                         (actions[0].kind == TRIB_ACTION_OUTCOME && actions[0].outcome == TRIB_OUTCOME_LATE))));
        NEED(!prints || strcmp(trib_buf_text(&before), trib_buf_text(&after)) == 0);
        if (n > 0 && actions[0].kind == TRIB_ACTION_DISCARD) {
            o->actors[event.client].spool = false;
        }
    } else {
        note_event(o, &event);
        for (size_t i = 0; i < n; i++) {
            note_action(o, &event, &actions[i]);
        }
        check_gate(o, &event, actions, n);
        NEED(event.kind != TRIB_EVENT_STOP || !o->reopens || n == 1); /* nobody is told */
        if (o->reopens && event.kind == TRIB_EVENT_RESUME) {
            NEED(o->options.buffer > 0 && count_at_work(o) == 0); /* else it would have been begun */
            o->reopens = false;
        }
        if (!o->running && !o->reopens) {
            NEED(count(o, TRIB_MEMBER_FOLDED) == 0 || trib_round_state(o->round) == TRIB_ROUND_WAITING || o->finished);
            for (int i = 0; i < CLIENTS; i++) {
                NEED(o->actors[i].state != TRIB_MEMBER_FOLDED || o->actors[i].told); /* all of them were told */
            }
            release(o);
        }
    }
    check_members(o);
    check_round(o);
    check_changes(o);
    if (o->options.outlives) {
        write_down(o, &event, ignored);
    }
    if (prints) {
        check_counts(o, &after);
    }
    trib_buf_clear(&before);
    trib_buf_clear(&after);
}

/* ---- a process ends, and another begins ---- */

/* Where a client's part stands in the next process; it is away. */
static inline void take_up(struct observer *o, uint32_t client, const struct actor *then, bool open, bool kept)
{
    struct actor *actor = &o->actors[client];
    uint64_t tasks = actor->tasks; /* what was picked since is not remembered, but it was */
    *actor = *then;
    actor->tasks = tasks;
    actor->known = actor->here = actor->eligible = false;
    actor->folds = 0;
    if (has_delivered(then->state) || is_pending(then->state)) {
        actor->state = kept ? TRIB_MEMBER_UPLOADED : TRIB_MEMBER_TASKED;
        actor->spool = true;
    } else if (!open) {
        actor->state = TRIB_MEMBER_NONE;
    }
    NEED(!kept || has_delivered(then->state));
}

static inline void check_taken_up(struct observer *o, const struct disk_state *disk)
{
    struct trib_round_snapshot snapshot;
    trib_round_recall(o->round, false, &snapshot);
    NEED(snapshot.number == o->number && snapshot.attempt == o->attempt && snapshot.commits == o->commits);
    NEED(snapshot.open == o->reopens && snapshot.open == disk->books.open);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        o->known[i] = trib_round_recall_member(o->round, i, &o->snapshots[i]);
        NEED(o->known[i] == disk->kept.has[i] && (o->known[i] || o->actors[i].round == 0));
        NEED(trib_round_member(o->round, i) == o->actors[i].state);
        NEED(!o->known[i] || o->snapshots[i].folded == o->history[i].times);
    }
}

/* The engine is thrown away, with all that it was at; the next one knows what is on the disk. */
static inline void restart_from(struct observer *o, const struct disk_state *from)
{
    struct disk_state disk = *from;
    struct trib_error error = {0};
    NEED(disk.books.commits >= o->commits && disk.books.number > disk.books.commits);
    if (disk.books.number > o->options.rounds) {
        o->over = true;
        return;
    }
    trib_round_free(o->round);
    o->round = NULL;
    NEED(trib_round_new(&o->options, &o->round, &error) == TRIB_OK);
    NEED(take_kept(&disk.kept, o->uploads, o->round, &error) == TRIB_OK);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        take_up(o, i, &disk.books.actors[i], disk.books.open, o->uploads[i].round != 0);
        o->totals->folded_again += o->uploads[i].round != 0;
    }
    o->number = disk.books.number;
    o->attempt = disk.books.attempt;
    o->commits = disk.books.commits;
    o->reopens = disk.books.open;
    o->running = o->committing = o->finished = false;
    o->n_work = 0;
    o->now = o->before = disk;
    memset(o->dirty, 1, sizeof o->dirty);
    check_taken_up(o, &disk);
    give(o, (struct trib_round_event){.kind = TRIB_EVENT_RESUME});
}

/* At any instant; of a commit under way nobody knows whether it was done. */
static inline void crash(struct observer *o)
{
    bool done = o->committing && trib_rng_below(&o->rng, 2) == 0;
    bool power_lost = !done && trib_rng_below(&o->rng, 4) == 0;
    o->totals->crashes++;
    o->totals->set_back += power_lost;
    if (o->committing) {
        o->totals->doubts[done]++;
    }
    if (done) {
        note_durable(o);
    }
    restart_from(o, done ? &o->next : power_lost ? &o->before : &o->now);
}

#endif
