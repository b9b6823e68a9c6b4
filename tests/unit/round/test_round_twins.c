/* Two round engines that are told the same, of which one has its models evaluated at clients: their rounds are the
 * same, action by action and state by state, and whoever was asked is told once what became of it. */
#include "round_fixture.h"

#include "base/buf.h"
#include "base/rng.h"
#include "round/evaluation.h"

enum { SEEDS = 150, STEPS = 500, CLIENTS = 9 };

struct twins {
    uint64_t seed;
    struct trib_rng rng;
    struct trib_round *plain, *evaluating;
    int64_t now_ms;
    uint64_t asked_for[CLIENTS]; /* the round that it has not been told of; 0 = none */
    uint64_t asks, again, tells, done;
};

static uint64_t below(struct twins *t, uint64_t n)
{
    return trib_rng_below(&t->rng, n);
}

#define NEED(t, condition) ck_assert_msg(condition, "seed %" PRIu64 ": %s", (t)->seed, #condition)

/* What the phase asks for is noted and taken out; what is left is the rounds' own. */
static size_t note_phase(struct twins *t, const struct trib_round_action *list, size_t n,
                         const struct trib_round_action **rest)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct trib_round_action *action = &list[i];
        if (!action->phase) {
            rest[kept++] = action;
        } else if (action->kind == TRIB_ACTION_ASK) {
            t->again += t->asked_for[action->client] == action->round;
            t->asked_for[action->client] = action->round;
            t->asks++;
        } else if (action->kind == TRIB_ACTION_TELL) {
            bool waits = t->asked_for[action->client] == action->round;
            NEED(t, waits || action->outcome == TRIB_OUTCOME_LATE);
            t->asked_for[action->client] = waits ? 0 : t->asked_for[action->client];
            t->tells += waits;
        } else {
            NEED(t, action->kind == TRIB_ACTION_PHASE_DONE);
            t->done++;
            for (size_t client = 0; client < CLIENTS; client++) {
                NEED(t, t->asked_for[client] != action->round);
            }
        }
    }
    return kept;
}

static void compare_states(struct twins *t)
{
    struct trib_buf a = {0}, b = {0};
    ck_assert_int_eq(trib_round_print(t->plain, &a), TRIB_OK);
    ck_assert_int_eq(trib_round_print(t->evaluating, &b), TRIB_OK);
    ck_assert_msg(strcmp(trib_buf_text(&a), trib_buf_text(&b)) == 0, "seed %" PRIu64 ":\n%s\n%s", t->seed,
                  trib_buf_text(&a), trib_buf_text(&b));
    trib_buf_clear(&a);
    trib_buf_clear(&b);
}

static void give(struct twins *t, struct trib_round_event event)
{
    const struct trib_round_action *of_plain, *of_evaluating, *rest[256];
    const char *why[2];
    size_t n[2];
    event.now_ms = t->now_ms;
    ck_assert_int_eq(trib_round_step(t->evaluating, &event, &of_evaluating, &n[1], &why[1]), TRIB_OK);
    ck_assert_uint_lt(n[1], sizeof rest / sizeof rest[0]);
    size_t kept = note_phase(t, of_evaluating, n[1], rest);
    if (event.phase) {
        NEED(t, kept == 0);
        compare_states(t);
        return;
    }
    ck_assert_int_eq(trib_round_step(t->plain, &event, &of_plain, &n[0], &why[0]), TRIB_OK);
    NEED(t, n[0] == kept && why[0] == why[1]);
    for (size_t i = 0; i < kept; i++) {
        const struct trib_round_action *a = &of_plain[i], *b = rest[i];
        NEED(t, a->kind == b->kind && a->client == b->client && a->round == b->round && a->attempt == b->attempt);
        NEED(t, a->staleness == b->staleness && strcmp(a->reason, b->reason) == 0);
    }
    compare_states(t);
    NEED(t, trib_round_next_tick(t->evaluating) <= trib_round_next_tick(t->plain));
}

/* ---- events ---- */

static void answer(struct twins *t, uint32_t client)
{
    uint8_t raw[TRIB_EVALUATE_ANSWER_LEN];
    struct trib_evaluate_answer said = {.examples = 1 + below(t, 20), .loss = (double)below(t, 100) / 8};
    said.correct = below(t, said.examples + 1);
    said.accuracy = below(t, 10) == 0 ? 2 : (double)said.correct / (double)said.examples;
    trib_evaluate_answer_write(&said, raw);
    uint64_t round = t->asked_for[client] && below(t, 10) > 0 ? t->asked_for[client] : 1 + below(t, 4);
    bool fails = below(t, 10) == 0;
    if (fails && t->asked_for[client] == round) {
        t->asked_for[client] = 0; /* it ends that by itself */
    }
    give(t, (struct trib_round_event){.kind = fails ? TRIB_EVENT_FAILURE : TRIB_EVENT_ANSWER,
                                      .client = client,
                                      .round = round,
                                      .phase = "evaluate",
                                      .reason = "no examples",
                                      .payload = raw,
                                      .payload_len = below(t, 10) == 0 ? below(t, sizeof raw) : sizeof raw});
}

static void move_client(struct twins *t, uint32_t client)
{
    struct trib_round_event event = {.client = client, .examples = 10, .bytes = 100, .ok = below(t, 10) > 0};
    event.round = trib_round_task_of(t->plain, client, &event.attempt);
    event.relevance = (double)NAN;
    event.reason = "a reason";
    switch (trib_round_member(t->plain, client)) {
    case TRIB_MEMBER_TASKED:
        event.kind = TRIB_EVENT_OFFER;
        break;
    case TRIB_MEMBER_GRANTED:
        event.kind = TRIB_EVENT_UPLOADED;
        break;
    case TRIB_MEMBER_FOLDING:
        event.kind = TRIB_EVENT_FOLDED;
        event.round = trib_round_number(t->plain);
        event.attempt = trib_round_summary(t->plain)->attempt;
        break;
    default:
        event.kind = TRIB_EVENT_PROGRESS;
    }
    give(t, event);
}

static void move_round(struct twins *t)
{
    static const enum trib_round_event_kind kinds[TRIB_ROUND_STATE_COUNT] = {
        [TRIB_ROUND_WAITING] = TRIB_EVENT_TICK,     [TRIB_ROUND_COLLECTING] = TRIB_EVENT_TICK,
        [TRIB_ROUND_APPLYING] = TRIB_EVENT_APPLIED, [TRIB_ROUND_COMMITTING] = TRIB_EVENT_COMMITTED,
        [TRIB_ROUND_FINISHED] = TRIB_EVENT_TICK,
    };
    give(t, (struct trib_round_event){.kind = kinds[trib_round_state(t->plain)],
                                      .round = trib_round_number(t->plain),
                                      .attempt = trib_round_summary(t->plain)->attempt,
                                      .ok = below(t, 8) > 0,
                                      .reason = "a reason"});
}

static void come_or_go(struct twins *t, uint32_t client)
{
    bool comes = below(t, 3) > 0;
    give(t, (struct trib_round_event){.kind = comes ? TRIB_EVENT_JOINED : TRIB_EVENT_LEFT,
                                      .client = client,
                                      .examples = 10,
                                      .key = client * 7919 % 11, /* in another order than the numbers */
                                      .eligible = below(t, 8) > 0});
}

static void play(struct twins *t)
{
    for (int i = 0; i < STEPS; i++) {
        uint32_t client = (uint32_t)below(t, CLIENTS);
        t->now_ms += (int64_t)below(t, 100);
        switch (below(t, 8)) {
        case 0:
            come_or_go(t, client);
            break;
        case 1:
        case 2:
            answer(t, client);
            break;
        case 3:
        case 4:
            move_round(t);
            break;
        default:
            move_client(t, client);
        }
    }
}

static struct trib_round_options options_of(struct twins *t)
{
    struct trib_round_options options = usual();
    options.seed = t->seed;
    options.rounds = 100000;
    options.clients_per_round = 1 + (uint32_t)below(t, 4);
    options.over_selection = 1 + (double)below(t, 3) / 2;
    options.max_staleness = below(t, 2) ? (uint32_t)below(t, 3) : 0;
    options.buffer = below(t, 4) == 0 ? options.clients_per_round : 0;
    options.separation = (uint32_t)below(t, 2);
    return options;
}

START_TEST(rounds_do_not_notice_that_models_are_evaluated)
{
    uint64_t asks = 0, again = 0, tells = 0, done = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct twins t = {.seed = seed, .rng = trib_rng_init(seed, "twins", 0, 0), .now_ms = 1000};
        struct trib_error error;
        struct trib_round_options options = options_of(&t);
        ck_assert_int_eq(trib_round_new(&options, &t.plain, &error), TRIB_OK);
        options.at_clients = (struct trib_evaluate_options){
            .clients = below(&t, 2) ? 0.5 : 3, .deadline_ms = 1 + (int64_t)below(&t, 2000), .max_examples = 18};
        ck_assert_int_eq(trib_round_new(&options, &t.evaluating, &error), TRIB_OK);
        play(&t);
        give(&t, (struct trib_round_event){.kind = TRIB_EVENT_STOP});
        asks += t.asks;
        again += t.again;
        tells += t.tells;
        done += t.done;
        trib_round_free(t.plain);
        trib_round_free(t.evaluating);
    }
    printf("asked %" PRIu64 " times, %" PRIu64 " of them again; told %" PRIu64 "; %" PRIu64 " evaluations\n", asks,
           again, tells, done);
    ck_assert_uint_gt(done, SEEDS);
    ck_assert_uint_gt(again, SEEDS / 2);
    ck_assert_uint_gt(tells, SEEDS * 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_twins");
    TCase *tests = tcase_create("twins");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, rounds_do_not_notice_that_models_are_evaluated);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
