/* A round engine under test and the steps that drive it: one machine, its clock, and what its last step asked for. */
#ifndef TEST_ROUND_FIXTURE_H
#define TEST_ROUND_FIXTURE_H

#include "round/round.h"

#include "base/mem.h"
#include "test_main.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct trib_round *machine;
static int64_t now_ms;
static const struct trib_round_action *actions;
static size_t n_actions;
static const char *ignored;

/* Whoever was picked longest ago, and of those the first by name. */
static enum trib_status pick_in_turn(void *own, const struct trib_selection *selection, struct trib_pick *picked)
{
    const struct trib_candidate *candidates = selection->candidates;
    size_t n = 0;
    (void)own;
    for (uint32_t i = 0; i < selection->n; i++) {
        size_t before = 0;
        for (uint32_t j = 0; j < selection->n; j++) {
            before += candidates[j].last_round < candidates[i].last_round ||
                      (candidates[j].last_round == candidates[i].last_round && j < i);
        }
        if (before < selection->wanted) {
            picked[n++] = (struct trib_pick){.candidate = i, .why = "in turn", .score = (double)NAN};
        }
    }
    return TRIB_OK;
}
static const struct trib_selector in_turn = {.name = "in_turn", .pick = pick_in_turn};

static inline struct trib_round_options usual(void)
{
    return (struct trib_round_options){
        .seed = 1,
        .rounds = 3,
        .first_round = 1,
        .min_clients = 2,
        .clients_per_round = 2,
        .over_selection = 1,
        .min_updates = 1,
        .uploads_in_flight = 2,
        .deadline_ms = 10000,
        .idle_timeout_ms = 4000,
        .away_timeout_ms = 1000,
        .retry_ms = 500,
        .evaluate_every = 1,
        .selector = &in_turn,
    };
}

static inline void start(const struct trib_round_options *options)
{
    struct trib_error error;
    trib_round_free(machine);
    machine = NULL;
    now_ms = 1000;
    ck_assert_msg(trib_round_new(options, &machine, &error) == TRIB_OK, "%s", error.message);
}

static inline void stop(void)
{
    trib_round_free(machine);
    machine = NULL;
}

/* One step; without a round of its own the event is for the client's last task, if it is a client's that has one, and
 * else for the round and attempt that run. */
static inline void step(struct trib_round_event event)
{
    bool personal = event.kind == TRIB_EVENT_OFFER || event.kind == TRIB_EVENT_FAILURE ||
                    event.kind == TRIB_EVENT_UPLOADED || event.kind == TRIB_EVENT_REFUSED;
    event.now_ms = now_ms;
    if (event.round == 0 && personal) {
        event.round = trib_round_task_of(machine, event.client, &event.attempt);
    }
    if (event.round == 0) {
        event.round = trib_round_number(machine);
        event.attempt = trib_round_summary(machine)->attempt;
    }
    ck_assert_int_eq(trib_round_step(machine, &event, &actions, &n_actions, &ignored), TRIB_OK);
}
#define STEP(...) step((struct trib_round_event){__VA_ARGS__})

static inline void join(uint32_t client)
{
    STEP(.kind = TRIB_EVENT_JOINED, .client = client, .examples = 10, .key = client, .eligible = true);
}

static inline void join_all(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        join(i);
    }
}

static inline void offer_of(uint32_t client, double relevance, uint64_t bytes)
{
    STEP(.kind = TRIB_EVENT_OFFER, .client = client, .examples = 10, .relevance = relevance, .bytes = bytes);
}

static inline void offer(uint32_t client)
{
    offer_of(client, (double)NAN, 100);
}

static inline void tick_at(int64_t ms)
{
    now_ms = ms;
    STEP(.kind = TRIB_EVENT_TICK);
}

static inline void leave(uint32_t client)
{
    STEP(.kind = TRIB_EVENT_LEFT, .client = client);
}

static inline void upload(uint32_t client)
{
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = client);
}

static inline void fold(uint32_t client)
{
    STEP(.kind = TRIB_EVENT_UPLOADED, .client = client);
    STEP(.kind = TRIB_EVENT_FOLDED, .client = client, .ok = true);
}

static inline void fold_both(uint32_t a, uint32_t b)
{
    offer(a);
    fold(a);
    offer(b);
    fold(b);
}

/* "task:0 fold:2+1 tell:1=late apply": what the last step asked for; +1: one round behind. */
static inline const char *asked(void)
{
    static const char *const names[] = {"begin",  "task",      "score",   "skip",      "grant",
                                        "fold",   "discard",   "tell",    "apply",     "evaluate",
                                        "commit", "committed", "carried", "abandoned", "finished"};
    static const char *const outcomes[] = {"folded", "skipped", "rejected", "late", "abandoned"};
    static char text[4096];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < n_actions; i++) {
        const struct trib_round_action *action = &actions[i];
        bool personal = action->kind >= TRIB_ACTION_TASK && action->kind <= TRIB_ACTION_OUTCOME &&
                        action->kind != TRIB_ACTION_SCORE;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", names[action->kind]);
        if (personal) {
            used += (size_t)snprintf(text + used, sizeof text - used, ":%" PRIu32, action->client);
        }
        if (personal && action->staleness > 0 && action->kind != TRIB_ACTION_OUTCOME) {
            used += (size_t)snprintf(text + used, sizeof text - used, "+%" PRIu64, action->staleness);
        }
        if (action->kind == TRIB_ACTION_OUTCOME) {
            used += (size_t)snprintf(text + used, sizeof text - used, "=%s", outcomes[action->outcome]);
        }
        ck_assert_uint_lt(used, sizeof text);
    }
    return text;
}

/* Of the last action that has a reason. */
static inline const char *reason(void)
{
    for (size_t i = n_actions; i > 0; i--) {
        if (actions[i - 1].reason[0]) {
            return actions[i - 1].reason;
        }
    }
    return "";
}

#define EXPECT(text) ck_assert_str_eq(asked(), text)

static inline enum trib_round_state state(void)
{
    return trib_round_state(machine);
}

static inline enum trib_member_state member(uint32_t client)
{
    return trib_round_member(machine, client);
}

/* From APPLYING to what the commit leads to. */
static inline void commit(void)
{
    ck_assert_int_eq(state(), TRIB_ROUND_APPLYING);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    if (state() == TRIB_ROUND_EVALUATING) {
        STEP(.kind = TRIB_EVENT_EVALUATED, .ok = true);
    }
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
}

/* Two clients, both tasked in COLLECTING, both folded later; DECIDING is on the way only where offers are compared. */
static inline void go_to(enum trib_round_state wanted)
{
    struct trib_round_options options = usual();
    options.evaluate = true;
    options.compare_offers = wanted == TRIB_ROUND_DECIDING;
    start(&options);
    join(0);
    if (wanted == TRIB_ROUND_WAITING) {
        return;
    }
    join(1);
    if (wanted == TRIB_ROUND_FINISHED) {
        STEP(.kind = TRIB_EVENT_STOP);
    }
    if (wanted == TRIB_ROUND_COLLECTING || wanted == TRIB_ROUND_FINISHED) {
        return;
    }
    offer(0);
    offer(1);
    if (wanted == TRIB_ROUND_DECIDING) {
        return;
    }
    fold(0);
    fold(1);
    if (wanted > TRIB_ROUND_APPLYING) {
        STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    }
    if (wanted > TRIB_ROUND_EVALUATING) {
        STEP(.kind = TRIB_EVENT_EVALUATED, .ok = true);
    }
}

/* Client 0 in the state wanted, among five of which the first four by key are picked: it stays out when its key
 * is the last. One upload at a time, or all of them where others must end before it does. */
static inline void member_to(enum trib_member_state wanted)
{
    struct trib_round_options options = usual();
    bool straggles = wanted == TRIB_MEMBER_UPLOADED;
    options.min_clients = 5;
    options.clients_per_round = straggles ? 2 : 4;
    options.over_selection = straggles ? 2 : 1;
    options.max_staleness = straggles;
    options.uploads_in_flight = straggles ? 3 : 1;
    options.gate.rule = wanted == TRIB_MEMBER_OFFERED ? TRIB_GATE_SHARE : TRIB_GATE_CONSTANT;
    options.gate.value = options.gate.share = 0.5;
    start(&options);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t key = wanted == TRIB_MEMBER_NONE ? (i + 4) % 5 : i;
        STEP(.kind = TRIB_EVENT_JOINED, .client = i, .examples = 10, .key = key, .eligible = true);
    }
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    if (wanted == TRIB_MEMBER_ADMITTED || straggles) {
        offer(1);
    }
    if (wanted == TRIB_MEMBER_FAILED) {
        STEP(.kind = TRIB_EVENT_FAILURE, .reason = "battery");
    } else if (wanted == TRIB_MEMBER_LATE) {
        leave(0);
        tick_at(now_ms + 1000);
        join(0);
    } else if (wanted == TRIB_MEMBER_SKIPPED) {
        offer_of(0, 0.25, 100);
    } else if (wanted != TRIB_MEMBER_NONE && wanted != TRIB_MEMBER_TASKED) {
        offer(0);
    }
    if (wanted == TRIB_MEMBER_REJECTED) {
        STEP(.kind = TRIB_EVENT_REFUSED, .reason = "nan");
    }
    if (straggles) {
        fold(1);
        offer(2);
        fold(2);
        ck_assert_int_eq(state(), TRIB_ROUND_APPLYING);
    }
    if (straggles || wanted == TRIB_MEMBER_FOLDING || wanted == TRIB_MEMBER_FOLDED) {
        upload(0);
    }
    if (wanted == TRIB_MEMBER_FOLDED) {
        STEP(.kind = TRIB_EVENT_FOLDED, .ok = true);
    }
    ck_assert_int_eq(member(0), wanted);
}

#endif
