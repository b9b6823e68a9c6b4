/* Random events against the round engine, with an observer beside it that knows the rules but none of the code: it
 * learns from the actions alone who is asked to do what, and checks after every step that this is what the engine says,
 * that limits hold, that a round ends in exactly one way and that time alone ends it. The seed is in every message. */
#include "round/round.h"

#include "base/rng.h"
#include "test_main.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 12, SEEDS = 10000, STEPS = 250, MAX_WORK = 64 };

/* Work that the engine asked for and that the "worker" has not answered yet; it outlives its attempt. */
struct work {
    enum trib_round_event_kind kind;
    uint32_t client;
    uint64_t round, attempt;
};

struct observer {
    uint64_t seed;
    uint64_t n_steps;
    struct trib_rng rng;
    struct trib_round_options options;
    struct trib_round *round;
    int64_t now_ms;
    struct work work[MAX_WORK];
    size_t n_work;
    /* what the actions told */
    bool known[CLIENTS], here[CLIENTS];
    enum trib_member_state member[CLIENTS];
    unsigned folds[CLIENTS]; /* in this attempt */
    bool spool[CLIENTS];     /* was granted an upload that was neither folded nor discarded */
    uint32_t queue[CLIENTS]; /* offers that wait, in order */
    size_t n_queue;
    bool running, committing, finished;
    uint32_t wanted, cohort, folded;
    uint64_t number, attempt;
    /* over all seeds */
    uint64_t commits, abandons, finishes, ignored, steps;
};

/* libcheck notes every assertion that holds, which costs more than the engine does. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            ck_abort_msg("seed %" PRIu64 " step %" PRIu64 ": " #condition, o->seed, o->n_steps);                       \
        }                                                                                                              \
    } while (0)

static bool is_pending(enum trib_member_state state)
{
    return state == TRIB_MEMBER_TASKED || state == TRIB_MEMBER_OFFERED || state == TRIB_MEMBER_GRANTED;
}

static uint32_t count(const struct observer *o, enum trib_member_state state)
{
    uint32_t n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        n += o->member[i] == state;
    }
    return n;
}

static void leave_queue(struct observer *o, uint32_t client)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_queue; i++) {
        if (o->queue[i] != client) {
            o->queue[n++] = o->queue[i];
        }
    }
    o->n_queue = n;
}

static void ask(struct observer *o, enum trib_round_event_kind kind, uint32_t client)
{
    NEED(o->n_work < MAX_WORK);
    o->work[o->n_work++] = (struct work){.kind = kind, .client = client, .round = o->number, .attempt = o->attempt};
}

static void end_round(struct observer *o)
{
    NEED(o->running);
    o->running = o->committing = false;
    o->n_queue = 0;
    for (int i = 0; i < CLIENTS; i++) {
        o->member[i] = TRIB_MEMBER_NONE;
        o->folds[i] = 0;
    }
}

/* ---- what an accepted event means ---- */

static void note_event(struct observer *o, const struct trib_round_event *event)
{
    uint32_t client = event->client;
    switch (event->kind) {
    case TRIB_EVENT_JOINED:
        o->known[client] = o->here[client] = true;
        break;
    case TRIB_EVENT_LEFT:
        o->here[client] = false;
        if (is_pending(o->member[client])) {
            leave_queue(o, client);
            o->member[client] = TRIB_MEMBER_TASKED;
        }
        break;
    case TRIB_EVENT_OFFER:
        if (o->member[client] == TRIB_MEMBER_TASKED) {
            o->member[client] = TRIB_MEMBER_OFFERED;
            o->queue[o->n_queue++] = client;
        }
        break;
    case TRIB_EVENT_FAILURE:
        NEED(is_pending(o->member[client]));
        leave_queue(o, client);
        o->member[client] = TRIB_MEMBER_FAILED;
        break;
    case TRIB_EVENT_FOLDED:
        NEED(event->round == o->number && event->attempt == o->attempt && o->member[client] == TRIB_MEMBER_FOLDING);
        if (event->ok) {
            o->member[client] = TRIB_MEMBER_FOLDED;
            o->folded++;
            NEED(++o->folds[client] == 1);
        }
        break;
    case TRIB_EVENT_APPLIED:
    case TRIB_EVENT_EVALUATED:
    case TRIB_EVENT_COMMITTED:
        NEED(event->round == o->number && event->attempt == o->attempt);
        break;
    default:
        break;
    }
}

/* ---- what an action means ---- */

static void note_begin(struct observer *o)
{
    const struct trib_round_summary *s = trib_round_summary(o->round);
    uint32_t here = 0;
    for (int i = 0; i < CLIENTS; i++) {
        here += o->here[i];
    }
    NEED(!o->running && !o->finished);
    o->running = true;
    o->number = s->round;
    o->attempt = s->attempt;
    o->folded = 0;
    o->cohort = s->cohort;
    o->wanted =
        o->options.clients_per_round == 0 || o->options.clients_per_round > here ? here : o->options.clients_per_round;
    NEED(s->available == here && here >= o->options.min_clients && here >= o->options.min_updates);
    NEED(s->cohort >= o->wanted && s->cohort <= here);
    NEED(s->began_ms == o->now_ms);
}

static void note_outcome(struct observer *o, const struct trib_round_action *action)
{
    uint32_t client = action->client;
    switch (action->outcome) {
    case TRIB_OUTCOME_LATE:
        if (action->round == o->number && o->running && is_pending(o->member[client])) {
            leave_queue(o, client);
            o->member[client] = TRIB_MEMBER_LATE;
        }
        NEED(action->reason[0]);
        break;
    case TRIB_OUTCOME_REJECTED:
        NEED(is_pending(o->member[client]) || o->member[client] == TRIB_MEMBER_FOLDING);
        leave_queue(o, client);
        o->member[client] = TRIB_MEMBER_REJECTED;
        NEED(action->reason[0] && action->round == o->number);
        break;
    case TRIB_OUTCOME_FOLDED:
        NEED(o->folds[client] == 1 && action->round == o->number);
        break;
    case TRIB_OUTCOME_ABANDONED:
        NEED(o->member[client] != TRIB_MEMBER_NONE && action->reason[0] && action->round == o->number);
        break;
    case TRIB_OUTCOME_SKIPPED:
        NEED(false);
    }
}

static void note_grant(struct observer *o, const struct trib_round_event *event, uint32_t client)
{
    if (o->member[client] == TRIB_MEMBER_GRANTED) {
        NEED(event->kind == TRIB_EVENT_OFFER && event->client == client); /* it asked where to go on */
        return;
    }
    NEED(o->n_queue > 0 && o->queue[0] == client);
    leave_queue(o, client);
    o->member[client] = TRIB_MEMBER_GRANTED;
    o->spool[client] = true;
}

static void note_action(struct observer *o, const struct trib_round_event *event,
                        const struct trib_round_action *action)
{
    uint32_t client = action->client;
    bool personal = action->kind >= TRIB_ACTION_TASK && action->kind <= TRIB_ACTION_OUTCOME;
    NEED(!personal || (client < CLIENTS && o->known[client]));
    NEED(!o->finished);
    switch (action->kind) {
    case TRIB_ACTION_BEGIN:
        note_begin(o);
        break;
    case TRIB_ACTION_TASK:
        NEED(o->running && o->here[client]);
        NEED(o->member[client] == TRIB_MEMBER_NONE || is_pending(o->member[client]));
        leave_queue(o, client);
        o->member[client] = TRIB_MEMBER_TASKED;
        break;
    case TRIB_ACTION_GRANT:
        note_grant(o, event, client);
        break;
    case TRIB_ACTION_FOLD:
        NEED(event->kind == TRIB_EVENT_UPLOADED && o->member[client] == TRIB_MEMBER_GRANTED && o->folds[client] == 0);
        NEED(event->round == o->number && event->attempt == o->attempt);
        o->member[client] = TRIB_MEMBER_FOLDING;
        o->spool[client] = false;
        ask(o, TRIB_EVENT_FOLDED, client);
        break;
    case TRIB_ACTION_DISCARD:
        o->spool[client] = false;
        break;
    case TRIB_ACTION_OUTCOME:
        note_outcome(o, action);
        break;
    case TRIB_ACTION_APPLY:
        NEED(o->running && o->folded >= o->options.min_updates && count(o, TRIB_MEMBER_FOLDING) == 0);
        ask(o, TRIB_EVENT_APPLIED, 0);
        break;
    case TRIB_ACTION_EVALUATE:
        NEED(o->options.evaluate);
        ask(o, TRIB_EVENT_EVALUATED, 0);
        break;
    case TRIB_ACTION_COMMIT:
        NEED(o->running && !o->committing);
        o->committing = true;
        ask(o, TRIB_EVENT_COMMITTED, 0);
        break;
    case TRIB_ACTION_COMMITTED:
        NEED(o->committing && event->kind == TRIB_EVENT_COMMITTED && event->ok);
        o->commits++;
        break;
    case TRIB_ACTION_ABANDONED:
        NEED(action->reason[0]);
        end_round(o);
        o->abandons++;
        break;
    case TRIB_ACTION_FINISHED:
        NEED(!o->running || o->committing);
        NEED(action->reason[0]);
        o->finishes++;
        break;
    }
}

/* ---- after every step ---- */

static void check_collecting(const struct observer *o)
{
    uint32_t pending = count(o, TRIB_MEMBER_TASKED) + count(o, TRIB_MEMBER_OFFERED) + count(o, TRIB_MEMBER_GRANTED);
    uint32_t folding = count(o, TRIB_MEMBER_FOLDING), granted = count(o, TRIB_MEMBER_GRANTED);
    NEED(pending + folding > 0);                 /* else it must have closed */
    NEED(o->folded < o->wanted || pending == 0); /* enough: only those being folded are waited for */
    NEED(granted <= o->options.uploads_in_flight);
    NEED(o->n_queue == 0 || granted + folding >= o->options.uploads_in_flight); /* nobody waits for nothing */
    NEED(o->n_queue == count(o, TRIB_MEMBER_OFFERED));
    bool can_wait = folding > 0 && pending == 0;
    NEED(trib_round_next_tick(o->round) != INT64_MAX || can_wait || (granted == 0 && folding > 0));
}

static void check(const struct observer *o)
{
    const struct trib_round_summary *s = trib_round_summary(o->round);
    enum trib_round_state state = trib_round_state(o->round);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (trib_round_member(o->round, i) != o->member[i]) {
            ck_abort_msg("seed %" PRIu64 " step %" PRIu64 ": client %u is %s, but the actions told %s", o->seed,
                         o->n_steps, i, trib_member_state_name(trib_round_member(o->round, i)),
                         trib_member_state_name(o->member[i]));
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        NEED(!o->spool[i] || is_pending(o->member[i])); /* nothing is kept for who cannot deliver any more */
    }
    NEED(o->running == (state >= TRIB_ROUND_COLLECTING && state <= TRIB_ROUND_COMMITTING));
    if (o->running) {
        uint32_t pending = count(o, TRIB_MEMBER_TASKED) + count(o, TRIB_MEMBER_OFFERED) + count(o, TRIB_MEMBER_GRANTED);
        NEED(s->round == o->number && s->attempt == o->attempt && s->cohort == o->cohort);
        NEED(s->folded == o->folded && s->folded == count(o, TRIB_MEMBER_FOLDED));
        NEED(s->rejected == count(o, TRIB_MEMBER_REJECTED) && s->failed == count(o, TRIB_MEMBER_FAILED));
        NEED(s->late == count(o, TRIB_MEMBER_LATE) && s->skipped == 0);
        NEED(s->folded + s->rejected + s->failed + s->late + pending + count(o, TRIB_MEMBER_FOLDING) == s->cohort);
        NEED(s->offered >= s->granted && s->granted >= s->uploaded && s->uploaded >= s->folded);
    }
    if (state == TRIB_ROUND_COLLECTING) {
        check_collecting(o);
    }
    NEED(o->finished == (state == TRIB_ROUND_FINISHED));
}

static void give(struct observer *o, struct trib_round_event event)
{
    const struct trib_round_action *actions;
    const char *ignored;
    size_t n;
    uint64_t abandons = o->abandons, commits = o->commits;
    event.now_ms = o->now_ms;
    NEED(trib_round_step(o->round, &event, &actions, &n, &ignored) == TRIB_OK);
    o->n_steps++;
    o->steps++;
    if (ignored) {
        o->ignored++;
        NEED(ignored[0] && n <= 1);
        NEED(n == 0 || actions[0].kind == TRIB_ACTION_OUTCOME || actions[0].kind == TRIB_ACTION_DISCARD);
    } else {
        note_event(o, &event);
    }
    for (size_t i = 0; i < n; i++) {
        note_action(o, &event, &actions[i]);
    }
    bool spoilt = event.kind == TRIB_EVENT_FOLDED && !ignored && !event.ok && event.harmful;
    NEED(!spoilt || o->abandons > abandons);
    if (o->commits > commits) {
        end_round(o);
    }
    NEED(o->commits - commits + o->abandons - abandons <= 1);
    o->finished = o->finished || (n > 0 && actions[n - 1].kind == TRIB_ACTION_FINISHED);
    check(o);
}

/* ---- random ---- */

static bool chance(struct observer *o, uint64_t percent)
{
    return trib_rng_below(&o->rng, 100) < percent;
}

static struct trib_round_options random_options(struct observer *o)
{
    const struct trib_selector *const *selectors;
    size_t n = trib_selectors(&selectors);
    struct trib_round_options options = {
        .seed = o->seed,
        .rounds = 1 + trib_rng_below(&o->rng, 6),
        .first_round = 1,
        .min_clients = (uint32_t)trib_rng_below(&o->rng, 6),
        .clients_per_round = (uint32_t)trib_rng_below(&o->rng, 7),
        .over_selection = 1 + trib_rng_uniform64(&o->rng),
        .min_updates = 1,
        .uploads_in_flight = 1 + (uint32_t)trib_rng_below(&o->rng, 4),
        .deadline_ms = chance(o, 70) ? 500 + (int64_t)trib_rng_below(&o->rng, 4000) : 0,
        .away_timeout_ms = (int64_t)trib_rng_below(&o->rng, 800),
        .retry_ms = chance(o, 50) ? (int64_t)trib_rng_below(&o->rng, 300) : 0,
        .evaluate = chance(o, 50),
        .evaluate_every = 1 + trib_rng_below(&o->rng, 3),
        .selector = selectors[trib_rng_below(&o->rng, n)],
    };
    options.idle_timeout_ms =
        options.deadline_ms == 0 || chance(o, 60) ? 200 + (int64_t)trib_rng_below(&o->rng, 1500) : 0;
    if (options.clients_per_round > 0) {
        options.min_updates = 1 + (uint32_t)trib_rng_below(&o->rng, options.clients_per_round);
    }
    return options;
}

static void answer_work(struct observer *o)
{
    size_t i = (size_t)trib_rng_below(&o->rng, o->n_work);
    struct work work = o->work[i];
    o->work[i] = o->work[--o->n_work];
    bool ok = chance(o, 85);
    give(o, (struct trib_round_event){.kind = work.kind,
                                      .client = work.client,
                                      .round = work.round,
                                      .attempt = work.attempt,
                                      .ok = ok,
                                      .harmful = !ok && chance(o, 20),
                                      .reason = ok ? NULL : "the worker could not"});
}

static void random_event(struct observer *o)
{
    /* mostly what moves a round on */
    static const enum trib_round_event_kind kinds[] = {
        TRIB_EVENT_JOINED,   TRIB_EVENT_JOINED,   TRIB_EVENT_JOINED,   TRIB_EVENT_LEFT,      TRIB_EVENT_PROGRESS,
        TRIB_EVENT_OFFER,    TRIB_EVENT_OFFER,    TRIB_EVENT_OFFER,    TRIB_EVENT_OFFER,     TRIB_EVENT_FAILURE,
        TRIB_EVENT_UPLOADED, TRIB_EVENT_UPLOADED, TRIB_EVENT_UPLOADED, TRIB_EVENT_REFUSED,   TRIB_EVENT_TICK,
        TRIB_EVENT_TICK,     TRIB_EVENT_APPLIED,  TRIB_EVENT_FOLDED,   TRIB_EVENT_COMMITTED, TRIB_EVENT_EVALUATED};
    struct trib_round_event event = {
        .kind = kinds[trib_rng_below(&o->rng, sizeof kinds / sizeof kinds[0])],
        .client = (uint32_t)trib_rng_below(&o->rng, chance(o, 3) ? CLIENTS * 2 : CLIENTS),
        .round = trib_round_number(o->round),
        .attempt = o->attempt,
        .examples = trib_rng_below(&o->rng, 100),
        .ok = true,
        .reason = "because",
    };
    if (event.kind == TRIB_EVENT_JOINED) {
        event.client %= CLIENTS;
    }
    event.key = event.client * UINT64_C(0x9e3779b97f4a7c15);
    if (event.kind >= TRIB_EVENT_FOLDED && event.kind <= TRIB_EVENT_COMMITTED) {
        event.attempt += 1 + trib_rng_below(&o->rng, 3); /* nobody asked for it */
    } else if (chance(o, 5)) {
        event.round += trib_rng_below(&o->rng, 3) - 1;
    } else if (chance(o, 5)) {
        event.attempt--;
    }
    give(o, event);
}

/* What a client would do next. */
static void helpful_event(struct observer *o)
{
    uint32_t client = (uint32_t)trib_rng_below(&o->rng, CLIENTS);
    struct trib_round_event event = {.kind = TRIB_EVENT_PROGRESS,
                                     .client = client,
                                     .round = o->number,
                                     .attempt = o->attempt,
                                     .examples = 1 + client,
                                     .key = client * UINT64_C(0x9e3779b97f4a7c15)};
    if (!o->here[client]) {
        event.kind = TRIB_EVENT_JOINED;
    } else if (!o->running) {
        event.kind = TRIB_EVENT_TICK;
    } else if (o->member[client] == TRIB_MEMBER_TASKED) {
        event.kind = TRIB_EVENT_OFFER;
    } else if (o->member[client] == TRIB_MEMBER_GRANTED) {
        event.kind = TRIB_EVENT_UPLOADED;
    }
    give(o, event);
}

/* Time alone ends a collecting round, once nothing is being folded. */
static void only_time(struct observer *o)
{
    for (int i = 0; trib_round_state(o->round) == TRIB_ROUND_COLLECTING && trib_round_next_tick(o->round) != INT64_MAX;
         i++) {
        int64_t due_ms = trib_round_next_tick(o->round);
        NEED(i < 2 * CLIENTS + 2);
        o->now_ms = due_ms > o->now_ms ? due_ms : o->now_ms;
        give(o, (struct trib_round_event){.kind = TRIB_EVENT_TICK});
        NEED(trib_round_state(o->round) != TRIB_ROUND_COLLECTING || trib_round_next_tick(o->round) > o->now_ms);
    }
    NEED(trib_round_state(o->round) != TRIB_ROUND_COLLECTING || count(o, TRIB_MEMBER_FOLDING) > 0);
}

static void play(struct observer *o)
{
    for (int i = 0; i < STEPS; i++) {
        o->now_ms += (int64_t)trib_rng_below(&o->rng, 40);
        if (o->n_work > 0 && chance(o, o->n_work > MAX_WORK / 2 ? 100 : 30)) {
            answer_work(o);
        } else if (chance(o, 1) && chance(o, 10)) {
            give(o, (struct trib_round_event){.kind = TRIB_EVENT_STOP});
        } else if (chance(o, 1)) {
            only_time(o);
        } else if (chance(o, 60)) {
            helpful_event(o);
        } else {
            random_event(o);
        }
    }
    while (o->n_work > 0) {
        answer_work(o);
        only_time(o);
    }
    give(o, (struct trib_round_event){.kind = TRIB_EVENT_STOP});
    while (o->n_work > 0) {
        answer_work(o);
    }
    NEED(o->finished && trib_round_next_tick(o->round) == INT64_MAX);
    for (int i = 0; i < 20; i++) {
        random_event(o); /* finished is final: check() sees to it */
    }
}

START_TEST(random_events_keep_the_rules)
{
    struct observer total = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct observer observer = {.seed = seed, .rng = trib_rng_init(seed, "round", 0, 0), .now_ms = 1000};
        struct observer *o = &observer;
        struct trib_error error;
        o->options = random_options(o);
        ck_assert_msg(trib_round_new(&o->options, &o->round, &error) == TRIB_OK, "seed %" PRIu64 ": %s", seed,
                      error.message);
        o->number = 1;
        play(o);
        NEED(o->finishes == 1 && o->commits <= o->options.rounds);
        trib_round_free(o->round);
        total.commits += o->commits;
        total.abandons += o->abandons;
        total.ignored += o->ignored;
        total.steps += o->steps;
    }
    printf("seeds 1 to %d: %" PRIu64 " steps, %" PRIu64 " events ignored, %" PRIu64 " rounds committed, %" PRIu64
           " abandoned\n",
           SEEDS, total.steps, total.ignored, total.commits, total.abandons);
    ck_assert_uint_gt(total.commits, SEEDS / 2);
    ck_assert_uint_gt(total.abandons, SEEDS / 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_property");
    TCase *tcase = tcase_create("random");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, random_events_keep_the_rules);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
