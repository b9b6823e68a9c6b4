/* Random events against the round engine in all its modes: clients that flap, lie and repeat themselves, clocks that
 * jump, work that fails, answers nobody asked for, and a process that dies at any instant. The observer checks every
 * step; honest clients and time alone have to end what was begun. The seed is in every message. */
#include "selector_options.h"
#include "round_observer.h"

enum { SEEDS = 2500, STEPS = 250, PATIENCE = 400 };

static bool chance(struct observer *o, uint64_t percent)
{
    return trib_rng_below(&o->rng, 100) < percent;
}

static uint64_t below(struct observer *o, uint64_t n)
{
    return trib_rng_below(&o->rng, n);
}

/* ---- options ---- */

static struct trib_gate random_gate(struct observer *o)
{
    return (struct trib_gate){.rule = (enum trib_gate_rule)below(o, TRIB_GATE_RULE_COUNT),
                              .value = trib_rng_uniform64(&o->rng),
                              .share = trib_rng_uniform64(&o->rng),
                              .bytes = below(o, 1000)};
}

static struct trib_round_options random_options(struct observer *o)
{
    const struct trib_selector *const *selectors;
    size_t n = trib_selectors(&selectors);
    struct trib_round_options options = {
        .seed = o->seed,
        .rounds = 1 + below(o, 20),
        .first_round = 1,
        .min_clients = (uint32_t)below(o, 6),
        .clients_per_round = (uint32_t)below(o, 7),
        .over_selection = 1 + trib_rng_uniform64(&o->rng),
        .min_updates = 1,
        .uploads_in_flight = 1 + (uint32_t)below(o, 4),
        .deadline_ms = chance(o, 70) ? 500 + (int64_t)below(o, 4000) : 0,
        .away_timeout_ms = (int64_t)below(o, 800),
        .retry_ms = chance(o, 50) ? (int64_t)below(o, 300) : 0,
        .evaluate = chance(o, 50),
        .evaluate_every = 1 + below(o, 3),
        .selector = selectors[below(o, n)],
        .separation = chance(o, 30) ? (uint32_t)below(o, 3) : 0,
        .penalty_rounds = (uint32_t)below(o, 3),
    };
    const struct selector_options of = {.explore = 0.5, .speed_penalty = 2};
    options.selector_settings = selector_settings(options.selector, &of);
    options.idle_timeout_ms = options.deadline_ms == 0 || chance(o, 60) ? 200 + (int64_t)below(o, 1500) : 0;
    if (options.clients_per_round > 0) {
        options.min_updates = 1 + (uint32_t)below(o, options.clients_per_round);
    }
    if (chance(o, 60)) {
        options.gate = random_gate(o);
        options.compare_offers = chance(o, 40);
    }
    if (chance(o, 50)) {
        options.max_staleness = 1 + (uint32_t)below(o, 3);
        options.buffer = chance(o, 50) ? 1 + (uint32_t)below(o, 6) : 0;
    }
    options.outlives = chance(o, 60);
    return options;
}

/* ---- events ---- */

static double random_relevance(struct observer *o)
{
    return chance(o, 20) ? (double)NAN : (double)below(o, 11) / 10;
}

static void answer_scores(struct observer *o)
{
    struct trib_score scores[CLIENTS];
    size_t n = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (!chance(o, 10)) {
            scores[n++] =
                (struct trib_score){.client = chance(o, 3) ? CLIENTS + i : i, .relevance = random_relevance(o)};
        }
    }
    give(o, (struct trib_round_event){.kind = TRIB_EVENT_SCORED, .scores = scores, .n_scores = n});
}

static void answer_work(struct observer *o, bool honest)
{
    size_t i = (size_t)below(o, o->n_work);
    struct work work = o->work[i];
    o->work[i] = o->work[--o->n_work];
    bool ok = honest || chance(o, 85);
    if (work.kind == TRIB_EVENT_SCORED) {
        answer_scores(o);
        return;
    }
    give(o, (struct trib_round_event){.kind = work.kind,
                                      .client = work.client,
                                      .round = work.round,
                                      .attempt = work.attempt,
                                      .ok = ok,
                                      .harmful = !ok && chance(o, 20),
                                      .lied = !ok && chance(o, 30),
                                      .reason = ok ? NULL : "the worker could not"});
}

static void random_event(struct observer *o)
{
    /* mostly what moves a round on */
    static const enum trib_round_event_kind kinds[] = {
        TRIB_EVENT_JOINED,   TRIB_EVENT_JOINED,   TRIB_EVENT_LEFT,     TRIB_EVENT_LEFT,      TRIB_EVENT_ELIGIBLE,
        TRIB_EVENT_PROGRESS, TRIB_EVENT_OFFER,    TRIB_EVENT_OFFER,    TRIB_EVENT_OFFER,     TRIB_EVENT_FAILURE,
        TRIB_EVENT_UPLOADED, TRIB_EVENT_UPLOADED, TRIB_EVENT_UPLOADED, TRIB_EVENT_REFUSED,   TRIB_EVENT_TICK,
        TRIB_EVENT_TICK,     TRIB_EVENT_APPLIED,  TRIB_EVENT_FOLDED,   TRIB_EVENT_COMMITTED, TRIB_EVENT_EVALUATED,
        TRIB_EVENT_RESUME};
    uint32_t client = (uint32_t)below(o, CLIENTS);
    struct trib_round_event event = {.kind = kinds[below(o, sizeof kinds / sizeof kinds[0])],
                                     .client = client,
                                     .round = o->actors[client].round,
                                     .attempt = o->actors[client].attempt,
                                     .examples = below(o, 100),
                                     .key = client * UINT64_C(0x9e3779b97f4a7c15),
                                     .ok = true,
                                     .eligible = chance(o, 85),
                                     .loss = trib_rng_uniform64(&o->rng),
                                     .relevance = random_relevance(o),
                                     .bytes = below(o, 300),
                                     .reason = "because"};
    if (event.kind >= TRIB_EVENT_FOLDED && event.kind <= TRIB_EVENT_COMMITTED) {
        event.round = o->number;
        event.attempt = o->attempt + 1 + below(o, 3); /* nobody asked for it */
    } else if (chance(o, 10)) {
        event.round = o->number + below(o, 3) - 1;
    } else if (chance(o, 5)) {
        event.attempt += below(o, 3) - 1;
    }
    if (event.kind != TRIB_EVENT_JOINED && chance(o, 3)) {
        event.client = CLIENTS + (uint32_t)below(o, 100); /* nobody */
    }
    give(o, event);
}

/* What the client would do next; false if that is nothing. */
static bool helpful_event(struct observer *o, uint32_t client)
{
    const struct actor *actor = &o->actors[client];
    struct trib_round_event event = {.client = client,
                                     .round = actor->round,
                                     .attempt = actor->attempt,
                                     .examples = 1 + client,
                                     .key = client * UINT64_C(0x9e3779b97f4a7c15),
                                     .eligible = true,
                                     .loss = 0.5,
                                     .relevance = random_relevance(o),
                                     .bytes = 100 + client};
    if (!actor->here || !actor->eligible) {
        event.kind = TRIB_EVENT_JOINED;
    } else if (actor->state == TRIB_MEMBER_TASKED) {
        event.kind = TRIB_EVENT_OFFER;
    } else if (actor->state == TRIB_MEMBER_GRANTED) {
        event.kind = TRIB_EVENT_UPLOADED;
    } else {
        return false;
    }
    give(o, event);
    return true;
}

static void tick_when_due(struct observer *o)
{
    int64_t due_ms = trib_round_next_tick(o->round);
    NEED(due_ms != INT64_MAX);
    o->now_ms = due_ms > o->now_ms ? due_ms : o->now_ms;
    give(o, (struct trib_round_event){.kind = TRIB_EVENT_TICK});
}

/* ---- what has to end ---- */

/* Fewer than a round may need can be picked while clients are barred. */
static bool enough_to_begin(const struct observer *o)
{
    uint32_t n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        n += o->actors[i].barred_until < o->number;
    }
    return n >= o->options.min_updates && n > 0;
}

/* Honest clients and an honest worker end the round, each in a step or two. */
static void only_honest(struct observer *o)
{
    uint64_t number = o->number;
    for (int i = 0; i < PATIENCE && o->number == number && !o->finished; i++) {
        bool moved = false;
        while (o->n_work > 0 && o->number == number) {
            answer_work(o, true);
            moved = true;
        }
        for (uint32_t client = 0; client < CLIENTS && o->number == number && !o->finished; client++) {
            moved |= helpful_event(o, client);
        }
        if (!moved && o->number == number) {
            if (!enough_to_begin(o)) {
                return;
            }
            tick_when_due(o);
        }
    }
    NEED(o->number > number || o->finished);
}

/* Is a task that was out then still out? Who has offered or uploaded and waits for the server may be waiting for a
 * round that cannot begin. */
static bool any_left(const struct observer *o, const struct actor *then)
{
    for (int i = 0; i < CLIENTS; i++) {
        const struct actor *actor = &o->actors[i];
        bool waits = waits_for_gate(actor->state) || actor->state == TRIB_MEMBER_UPLOADED;
        if (actor->tasks == then[i].tasks && is_at_work(actor->state) && (o->running || !waits)) {
            return true;
        }
    }
    return false;
}

/* When all clients fall silent, time ends every task that is out. */
static void only_time(struct observer *o)
{
    const struct trib_round_options *options = &o->options;
    struct actor then[CLIENTS];
    memcpy(then, o->actors, sizeof then);
    int64_t turn_ms = options->deadline_ms + options->idle_timeout_ms + options->away_timeout_ms + options->retry_ms;
    int64_t until_ms = o->now_ms + 3000 + turn_ms * (options->max_staleness + 2) * (CLIENTS + 1);
    while (!o->finished && any_left(o, then)) {
        if (o->n_work > 0) {
            answer_work(o, true);
            continue;
        }
        NEED(trib_round_next_tick(o->round) <= until_ms);
        tick_when_due(o);
        NEED(trib_round_next_tick(o->round) > o->now_ms || trib_round_state(o->round) == TRIB_ROUND_WAITING ||
             o->n_work > 0);
    }
}

/* ---- a run ---- */

static void pass_time(struct observer *o)
{
    if (chance(o, 1)) {
        o->now_ms += (int64_t)below(o, 6000) - 3000; /* the clock was set */
    } else {
        o->now_ms += (int64_t)below(o, 40);
    }
}

/* Once it was told to stop, or has done all. */
static void finish(struct observer *o)
{
    give(o, (struct trib_round_event){.kind = TRIB_EVENT_STOP});
    while (o->n_work > 0) {
        answer_work(o, false);
    }
    NEED(o->finished && trib_round_next_tick(o->round) == INT64_MAX);
    for (int i = 0; i < 20; i++) {
        random_event(o); /* finished is final: the observer sees to it */
    }
}

/* What was written down last is all that there is. */
static void start_again(struct observer *o)
{
    gather(o, &o->now);
    o->totals->stops++;
    restart_from(o, &o->now);
}

static bool crashes_now(struct observer *o)
{
    return o->options.outlives && chance(o, o->committing ? 20 : 2);
}

static void play(struct observer *o)
{
    for (int i = 0; i < STEPS && !o->over && !o->finished; i++) {
        pass_time(o);
        if (crashes_now(o)) {
            crash(o);
        } else if (o->n_work > 0 && chance(o, o->n_work > MAX_WORK / 2 ? 100 : 30)) {
            answer_work(o, false);
        } else if (chance(o, 1) && chance(o, 10)) {
            give(o, (struct trib_round_event){.kind = TRIB_EVENT_STOP});
        } else if (chance(o, 1)) {
            only_time(o);
        } else if (chance(o, 2)) {
            only_honest(o);
        } else if (chance(o, 2)) {
            answer_scores(o); /* nobody may have asked */
        } else if (chance(o, 50)) {
            (void)helpful_event(o, (uint32_t)below(o, CLIENTS));
        } else {
            random_event(o);
        }
    }
}

/* Once more from where it was stopped, if its rounds are not done; and then it is left in peace. */
static void play_all(struct observer *o)
{
    play(o);
    if (o->over) {
        return;
    }
    only_honest(o);
    finish(o);
    if (!o->options.outlives) {
        return;
    }
    start_again(o);
    if (!o->over) {
        only_honest(o);
        finish(o);
    }
}

static void run_seed(uint64_t seed, struct totals *totals)
{
    struct observer observer = {
        .seed = seed, .rng = trib_rng_init(seed, "round", 0, 0), .now_ms = 1000, .number = 1, .totals = totals};
    struct observer *o = &observer;
    struct trib_error error;
    o->options = random_options(o);
    ck_assert_msg(trib_round_new(&o->options, &o->round, &error) == TRIB_OK, "seed %" PRIu64 ": %s", seed,
                  error.message);
    if (o->options.outlives) {
        gather(o, &o->now);
        o->before = o->now;
    }
    play_all(o);
    trib_round_free(o->round);
}

/* Which turns a member may take; all of them have to be seen, and no other. */
static void check_turns(const struct totals *totals)
{
    static const char *const lawful[TRIB_MEMBER_STATE_COUNT] = {
        [TRIB_MEMBER_NONE] = "T",          [TRIB_MEMBER_TASKED] = "NTOREL",   [TRIB_MEMBER_OFFERED] = "NTAGSREL",
        [TRIB_MEMBER_ADMITTED] = "NTGREL", [TRIB_MEMBER_GRANTED] = "NTOUREL", [TRIB_MEMBER_UPLOADED] = "ND",
        [TRIB_MEMBER_FOLDING] = "NFR",     [TRIB_MEMBER_FOLDED] = "N",        [TRIB_MEMBER_SKIPPED] = "N",
        [TRIB_MEMBER_REJECTED] = "N",      [TRIB_MEMBER_FAILED] = "N",        [TRIB_MEMBER_LATE] = "N"};
    static const char letters[TRIB_MEMBER_STATE_COUNT + 1] = "NTOAGUDFSREL";
    int seen = 0, wanted = 0, wrong = 0;
    for (int from = 0; from < TRIB_MEMBER_STATE_COUNT; from++) {
        wanted += (int)strlen(lawful[from]);
        for (int to = 0; to < TRIB_MEMBER_STATE_COUNT; to++) {
            bool may = strchr(lawful[from], letters[to]), did = totals->turns[from][to] > 0;
            seen += did;
            wrong += may != did;
            if (may != did) {
                printf("%s -> %s: %s\n", trib_member_state_name((enum trib_member_state)from),
                       trib_member_state_name((enum trib_member_state)to), did ? "is not lawful" : "never seen");
            }
        }
    }
    printf("turns of members seen: %d of %d\n", seen, wanted);
    ck_assert_int_eq(wrong, 0);
}

START_TEST(random_events_keep_the_rules)
{
    struct totals totals = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed, &totals);
    }
    int met = 0;
    for (int state = 0; state < TRIB_ROUND_STATE_COUNT; state++) {
        for (int kind = 0; kind < EVENT_KINDS; kind++) {
            met += totals.met[state][kind] > 0;
        }
    }
    printf("seeds 1 to %d: %" PRIu64 " steps, %" PRIu64 " events ignored; rounds: %" PRIu64 " committed, %" PRIu64
           " carried, %" PRIu64 " abandoned, %" PRIu64 " begun anew; updates: %" PRIu64 " stale, %" PRIu64 " skipped\n",
           SEEDS, totals.steps, totals.ignored, totals.commits, totals.carried, totals.abandoned, totals.restarts,
           totals.stale, totals.skipped);
    printf("crashes: %" PRIu64 ", with a commit under way that was done %" PRIu64 ", that was not %" PRIu64
           ", with a loss of power %" PRIu64 "; stops: %" PRIu64 "; rounds that went on: %" PRIu64
           ", uploads folded again: %" PRIu64 "\n",
           totals.crashes, totals.doubts[true], totals.doubts[false], totals.set_back, totals.stops, totals.reopened,
           totals.folded_again);
    printf("states x events met: %d of %d\n", met, TRIB_ROUND_STATE_COUNT * EVENT_KINDS);
    check_turns(&totals);
    ck_assert_uint_gt(totals.commits, SEEDS / 2);
    ck_assert_uint_gt(totals.abandoned, SEEDS / 2);
    ck_assert_uint_gt(totals.carried, SEEDS / 50);
    ck_assert_uint_gt(totals.stale, SEEDS / 10);
    ck_assert_uint_gt(totals.restarts, 0);
    ck_assert_uint_gt(totals.crashes, SEEDS);
    ck_assert_uint_gt(totals.doubts[true], SEEDS / 50);
    ck_assert_uint_gt(totals.doubts[false], SEEDS / 50);
    ck_assert_uint_gt(totals.set_back, SEEDS / 10);
    ck_assert_uint_gt(totals.reopened, SEEDS / 5);
    ck_assert_uint_gt(totals.folded_again, SEEDS / 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_property");
    TCase *tcase = tcase_create("random");
    tcase_add_test(tcase, random_events_keep_the_rules);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
