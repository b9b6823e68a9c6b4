/* Evaluation at clients: who is asked and when, what is made of their answers, and every way in which an answer does
 * not come. Training goes on as if nobody were asked. */
#include "round_fixture.h"

#include "base/buf.h"
#include "fail_memory.h"
#include "round/evaluation.h"
#include "round/phases.h"

/* ---- what is asked for ---- */

static struct trib_round_options options_of;

static struct trib_round_options evaluating(double clients)
{
    struct trib_round_options options = usual();
    options.at_clients = (struct trib_evaluate_options){.clients = clients, .deadline_ms = 3000, .max_examples = 1000};
    return options;
}

/* "ask:0/1 tell:1=late done": what this phase asked for in the last step; round and version after the slash. */
static const char *phase_asked(void)
{
    static char text[2048];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < n_actions; i++) {
        const struct trib_round_action *action = &actions[i];
        const char *gap = used ? " " : "";
        if (action->kind == TRIB_ACTION_ASK) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%sask:%" PRIu32 "/%" PRIu64 ".%" PRIu64, gap,
                                     action->client, action->round, action->version);
        } else if (action->kind == TRIB_ACTION_TELL) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%stell:%" PRIu32 "=%s", gap, action->client,
                                     trib_outcome_name(action->outcome));
        } else if (action->kind == TRIB_ACTION_PHASE_DONE) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%sdone", gap);
        } else {
            ck_assert(!action->phase);
            continue;
        }
        ck_assert_str_eq(action->phase, "evaluate");
        ck_assert_uint_lt(used, sizeof text);
    }
    return text;
}
#define EXPECT_PHASE(text) ck_assert_str_eq(phase_asked(), text)

static bool did(enum trib_round_action_kind kind)
{
    for (size_t i = 0; i < n_actions; i++) {
        if (actions[i].kind == kind) {
            return true;
        }
    }
    return false;
}

/* Begin with n clients, and let the two of the cohort make a model. */
static void make_model(void)
{
    for (uint32_t client = 0; client < 8; client++) {
        if (member(client) == TRIB_MEMBER_TASKED) {
            offer(client);
            fold(client);
        }
    }
    commit();
}

static void first_model(const struct trib_round_options *options, uint32_t n)
{
    options_of = *options;
    start(options);
    join_all(n);
    make_model();
}

static void answer_bytes(uint32_t client, uint64_t round, const void *bytes, size_t len)
{
    STEP(.kind = TRIB_EVENT_ANSWER, .client = client, .round = round, .phase = "evaluate", .payload = bytes,
         .payload_len = len);
}

static void answer_with(uint32_t client, uint64_t round, struct trib_evaluate_answer answer)
{
    uint8_t raw[TRIB_EVALUATE_ANSWER_LEN];
    trib_evaluate_answer_write(&answer, raw);
    answer_bytes(client, round, raw, sizeof raw);
}

static void answer(uint32_t client, uint64_t examples, uint64_t correct, double loss)
{
    answer_with(
        client, 1,
        (struct trib_evaluate_answer){
            .examples = examples, .correct = correct, .loss = loss, .accuracy = (double)correct / (double)examples});
}

/* ---- who is asked ---- */

START_TEST(nobody_is_asked_unless_it_is_switched_on)
{
    struct trib_round_options options = evaluating(0);
    first_model(&options, 4);
    EXPECT("committed tell:0=folded tell:1=folded");
    ck_assert_ptr_null(trib_round_evaluation(machine));
}
END_TEST

START_TEST(those_who_are_idle_are_asked_when_a_model_is_committed)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 3);
    EXPECT_PHASE("ask:0/1.1 ask:1/1.1 ask:2/1.1");
    ck_assert_ptr_null(trib_round_evaluation(machine));
    tick_at(now_ms);
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING); /* the next round trains meanwhile */
}
END_TEST

START_TEST(a_number_or_a_share_of_them)
{
    static const struct {
        double clients;
        uint32_t here, asked;
    } rows[] = {{1, 8, 1}, {3, 8, 3}, {9, 8, 8}, {0.5, 8, 4}, {0.01, 8, 1}, {0.3, 8, 3}, {0.99, 8, 8}, {2.9, 8, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trib_round_options options = evaluating(rows[i].clients);
        uint32_t asked_n = 0;
        first_model(&options, rows[i].here);
        for (size_t a = 0; a < n_actions; a++) {
            asked_n += actions[a].kind == TRIB_ACTION_ASK;
        }
        ck_assert_msg(asked_n == rows[i].asked, "%g of %u: %u were asked", rows[i].clients, rows[i].here, asked_n);
    }
}
END_TEST

START_TEST(the_draw_depends_on_the_seed_and_the_round)
{
    char first[2048];
    int others = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct trib_round_options options = evaluating(3);
        options.seed = seed;
        first_model(&options, 8);
        snprintf(first, sizeof first, "%s", phase_asked());
        first_model(&options, 8);
        ck_assert_str_eq(first, phase_asked());
        options.seed = seed + 1;
        first_model(&options, 8);
        others += strcmp(first, phase_asked()) != 0;
    }
    ck_assert_int_ge(others, 6); /* of 56 threesomes, the same one twice in a row is rare */
}
END_TEST

START_TEST(whoever_is_away_or_filtered_out_is_not_asked)
{
    struct trib_round_options options = evaluating(100);
    start(&options);
    join_all(5);
    leave(3);
    STEP(.kind = TRIB_EVENT_ELIGIBLE, .client = 4, .eligible = false);
    make_model();
    EXPECT_PHASE("ask:0/1.1 ask:1/1.1 ask:2/1.1");
}
END_TEST

START_TEST(only_models_are_evaluated_and_not_all_of_them)
{
    struct trib_round_options options = evaluating(100);
    options.rounds = 5;
    options.evaluate_every = 2;
    options.gate = (struct trib_gate){.rule = TRIB_GATE_CONSTANT, .value = 0.5};
    first_model(&options, 2);
    EXPECT_PHASE(""); /* round 1 */
    tick_at(now_ms);
    offer_of(0, 0.25, 100);
    offer_of(1, 0.25, 100);
    ck_assert(did(TRIB_ACTION_CARRIED)); /* round 2 made none */
    EXPECT_PHASE("");
    for (uint64_t round = 3; round <= 5; round++) {
        tick_at(now_ms);
        make_model();
        EXPECT_PHASE(round == 3   ? ""
                     : round == 4 ? "ask:0/4.3 ask:1/4.3"
                                  : "tell:0=late tell:1=late done ask:0/5.4 ask:1/5.4");
    }
}
END_TEST

/* ---- answers ---- */

START_TEST(answers_are_summed_up)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 3);
    int64_t began_ms = now_ms;
    now_ms += 10;
    answer(2, 100, 50, 2.0);
    EXPECT_PHASE("tell:2=folded");
    answer(0, 300, 240, 0.5);
    EXPECT_PHASE("tell:0=folded");
    ck_assert_ptr_null(trib_round_evaluation(machine));
    now_ms += 10;
    answer(1, 600, 540, 1.0);
    EXPECT_PHASE("tell:1=folded done");
    const struct trib_client_evaluation *evaluation = trib_round_evaluation(machine);
    ck_assert_ptr_nonnull(evaluation);
    ck_assert_uint_eq(evaluation->round, 1);
    ck_assert_uint_eq(evaluation->version, 1);
    ck_assert_uint_eq(evaluation->asked, 3);
    ck_assert_uint_eq(evaluation->answered, 3);
    ck_assert_uint_eq(evaluation->failed + evaluation->rejected + evaluation->late, 0);
    ck_assert_uint_eq(evaluation->examples, 1000);
    ck_assert_uint_eq(evaluation->correct, 830);
    ck_assert_double_eq(evaluation->loss, 0.95);
    ck_assert_double_eq(evaluation->accuracy, 0.83);
    ck_assert_double_eq(evaluation->accuracy_min, 0.5);
    ck_assert_double_eq(evaluation->accuracy_max, 0.9);
    ck_assert_int_eq(evaluation->began_ms, began_ms);
    ck_assert_int_eq(evaluation->closed_ms, began_ms + 20);
}
END_TEST

START_TEST(the_order_of_answers_leaves_no_trace)
{
    static const double losses[4] = {1e16, 0.1, -1e16, 0.3};
    struct trib_client_evaluation before = {0};
    for (uint32_t turn = 0; turn < 4; turn++) {
        struct trib_round_options options = evaluating(100);
        options.min_clients = options.clients_per_round = 4;
        first_model(&options, 4);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t client = (i + turn) % 4;
            answer(client, 7 + client, client, losses[client]);
        }
        const struct trib_client_evaluation *evaluation = trib_round_evaluation(machine);
        ck_assert(turn == 0 || memcmp(&before.loss, &evaluation->loss, sizeof before.loss) == 0);
        before = *evaluation;
    }
}
END_TEST

START_TEST(who_answers_twice_is_counted_once)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 2);
    answer(0, 10, 5, 1.0);
    answer(0, 10, 10, 0.0);
    ck_assert_str_eq(ignored, "it has answered already");
    EXPECT_PHASE("");
    answer(1, 10, 5, 1.0);
    ck_assert_double_eq(trib_round_evaluation(machine)->accuracy, 0.5);
    answer(1, 10, 5, 1.0);
    ck_assert_str_eq(ignored, "nobody waits for its answer");
    EXPECT_PHASE("tell:1=late");
}
END_TEST

START_TEST(garbage_is_rejected)
{
    static const struct {
        struct trib_evaluate_answer answer;
        const char *why;
    } rows[] = {
        {{.examples = 0, .loss = 1}, "number of examples"},
        {{.examples = 1001, .correct = 1001, .loss = 1, .accuracy = 1}, "number of examples"},
        {{.examples = UINT64_MAX, .correct = 0, .loss = 1}, "number of examples"},
        {{.examples = 10, .correct = 11, .loss = 1, .accuracy = 1}, "more examples are right"},
        {{.examples = 10, .correct = 5, .loss = (double)NAN, .accuracy = 0.5}, "loss is not finite"},
        {{.examples = 10, .correct = 5, .loss = (double)INFINITY, .accuracy = 0.5}, "loss is not finite"},
        {{.examples = 10, .correct = 5, .loss = 1, .accuracy = (double)NAN}, "not between 0 and 1"},
        {{.examples = 10, .correct = 10, .loss = 1, .accuracy = 1.0001}, "not between 0 and 1"},
        {{.examples = 10, .correct = 0, .loss = 1, .accuracy = -0.1}, "not between 0 and 1"},
        {{.examples = 10, .correct = 5, .loss = 1, .accuracy = 0.6}, "not the share that is right"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trib_round_options options = evaluating(100);
        first_model(&options, 2);
        answer_with(0, 1, rows[i].answer);
        EXPECT_PHASE("tell:0=rejected");
        ck_assert_msg(strstr(reason(), rows[i].why), "row %zu: %s", i, reason());
        answer(1, 10, 4, 1.0);
        const struct trib_client_evaluation *evaluation = trib_round_evaluation(machine);
        ck_assert_uint_eq(evaluation->rejected, 1);
        ck_assert_uint_eq(evaluation->answered, 1);
        ck_assert_double_eq(evaluation->accuracy, 0.4);
        ck_assert_double_eq(evaluation->accuracy_max, 0.4);
    }
}
END_TEST

START_TEST(bytes_that_are_no_answer_are_rejected)
{
    uint8_t raw[TRIB_EVALUATE_ANSWER_LEN + 1] = {1};
    for (size_t len = 0; len <= sizeof raw; len++) {
        struct trib_round_options options = evaluating(100);
        first_model(&options, 2);
        answer_bytes(0, 1, len > 0 ? raw : NULL, len);
        EXPECT_PHASE("tell:0=rejected");
    }
    trib_evaluate_answer_write(&(struct trib_evaluate_answer){.examples = 1, .correct = 1, .accuracy = 1}, raw);
    raw[0] = 2; /* another version */
    struct trib_round_options options = evaluating(100);
    first_model(&options, 2);
    answer_bytes(0, 1, raw, TRIB_EVALUATE_ANSWER_LEN);
    EXPECT_PHASE("tell:0=rejected");
}
END_TEST

/* Other implementations write it: it never changes. */
START_TEST(an_answers_bytes_are_those_of_every_release)
{
    static const uint8_t golden[TRIB_EVALUATE_ANSWER_LEN] = {1, 0, 0,    0,    4, 3, 0, 0, 0, 0, 0,    0,
                                                             1, 2, 0,    0,    0, 0, 0, 0, 0, 0, 0,    0,
                                                             0, 0, 0xf8, 0xbf, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f};
    uint8_t raw[TRIB_EVALUATE_ANSWER_LEN];
    trib_evaluate_answer_write(
        &(struct trib_evaluate_answer){.examples = 0x304, .correct = 0x201, .loss = -1.5, .accuracy = 0.5}, raw);
    ck_assert_mem_eq(raw, golden, sizeof golden);
}
END_TEST

START_TEST(whoever_cannot_says_so)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 2);
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 0, .round = 1, .phase = "evaluate", .reason = "no examples");
    ck_assert_ptr_null(ignored);
    EXPECT_PHASE("");
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1, .round = 1, .phase = "evaluate", .reason = "no examples");
    EXPECT_PHASE("done");
    const struct trib_client_evaluation *evaluation = trib_round_evaluation(machine);
    ck_assert_uint_eq(evaluation->failed, 2);
    ck_assert(isnan(evaluation->loss) && isnan(evaluation->accuracy) && isnan(evaluation->accuracy_min));
    STEP(.kind = TRIB_EVENT_FAILURE, .client = 1, .round = 1, .reason = "battery"); /* of its task: it has none */
    ck_assert_str_eq(ignored, "the client has nothing to do in this round");
}
END_TEST

START_TEST(whoever_was_not_asked_is_not_heard)
{
    struct trib_round_options options = evaluating(2);
    first_model(&options, 4);
    bool was_asked[4] = {false};
    for (size_t i = 0; i < n_actions; i++) {
        if (actions[i].kind == TRIB_ACTION_ASK) {
            was_asked[actions[i].client] = true;
        }
    }
    for (uint32_t client = 0; client < 4; client++) {
        answer(client, 10, 5, 1.0);
        ck_assert(was_asked[client] == !ignored);
    }
    ck_assert_uint_eq(trib_round_evaluation(machine)->answered, 2);
    answer(9, 10, 5, 1.0);
    ck_assert_str_eq(ignored, "unknown client");
    STEP(.kind = TRIB_EVENT_ANSWER, .client = 0, .round = 1, .phase = "sing");
    ck_assert_str_eq(ignored, "unknown phase");
    STEP(.kind = TRIB_EVENT_ANSWER, .client = 0, .round = 1, .phase = "upload");
    ck_assert_str_eq(ignored, "the phase has not asked for it");
    STEP(.kind = TRIB_EVENT_WORK_DONE, .round = 1, .phase = "evaluate");
    ck_assert_str_eq(ignored, "the phase has not asked for it");
}
END_TEST

START_TEST(an_answer_about_another_model_is_late)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 2);
    answer_with(0, 2, (struct trib_evaluate_answer){.examples = 10, .correct = 5, .loss = 1, .accuracy = 0.5});
    ck_assert_str_eq(ignored, "nobody waits for its answer");
    EXPECT_PHASE("tell:0=late");
    ck_assert_uint_eq(actions[0].round, 2);
}
END_TEST

/* ---- answers that do not come ---- */

START_TEST(the_deadline_ends_it)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 3);
    int64_t due_ms = now_ms + 3000;
    answer(1, 10, 5, 1.0);
    tick_at(now_ms + 1); /* the next round begins: its timers are later */
    ck_assert_int_eq(trib_round_next_tick(machine), due_ms);
    tick_at(due_ms - 1);
    EXPECT_PHASE("");
    tick_at(due_ms);
    EXPECT_PHASE("tell:0=late tell:2=late done");
    ck_assert_str_eq(reason(), "deadline reached");
    ck_assert_int_gt(trib_round_next_tick(machine), due_ms);
    const struct trib_client_evaluation *evaluation = trib_round_evaluation(machine);
    ck_assert_uint_eq(evaluation->late, 2);
    ck_assert_double_eq(evaluation->accuracy, 0.5);
}
END_TEST

START_TEST(who_leaves_is_asked_again_when_it_is_back)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 4);
    leave(3);
    EXPECT_PHASE("");
    join(3);
    EXPECT_PHASE("ask:3/1.1");
    answer(3, 10, 5, 1.0);
    leave(3);
    join(3);
    EXPECT_PHASE(""); /* it has answered */
    join(4);
    EXPECT_PHASE(""); /* it was not asked */
    leave(2);
    answer(0, 10, 5, 1.0);
    answer(1, 10, 5, 1.0);
    ck_assert_ptr_null(trib_round_evaluation(machine));
    tick_at(now_ms + 3000); /* it does not come back */
    EXPECT_PHASE("tell:2=late done");
}
END_TEST

START_TEST(the_next_model_ends_it_before_its_line_is_written)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 2);
    tick_at(now_ms);
    answer(1, 10, 5, 1.0);
    make_model();
    EXPECT_PHASE("tell:0=late done ask:0/2.2 ask:1/2.2");
    bool over = false;
    for (size_t i = 0; i < n_actions; i++) {
        over |= actions[i].kind == TRIB_ACTION_PHASE_DONE;
        ck_assert(actions[i].kind != TRIB_ACTION_COMMITTED || over);
    }
    ck_assert_uint_eq(trib_round_evaluation(machine)->version, 1);
}
END_TEST

START_TEST(the_last_model_is_waited_for)
{
    struct trib_round_options options = evaluating(100);
    options.rounds = 1;
    first_model(&options, 2);
    ck_assert(did(TRIB_ACTION_COMMITTED) && !did(TRIB_ACTION_FINISHED));
    ck_assert_int_eq(state(), TRIB_ROUND_WAITING);
    tick_at(now_ms + 1);
    ck_assert_uint_eq(n_actions, 0); /* there is no round after it */
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms - 1 + 3000);
    answer(0, 10, 5, 1.0);
    answer(1, 10, 5, 1.0);
    EXPECT_PHASE("tell:1=folded done");
    ck_assert(did(TRIB_ACTION_FINISHED));
    ck_assert_str_eq(reason(), "all rounds are done");
    ck_assert_int_eq(trib_round_next_tick(machine), INT64_MAX);
    first_model(&options, 2);
    tick_at(now_ms + 3000);
    EXPECT_PHASE("tell:0=late tell:1=late done");
    ck_assert(did(TRIB_ACTION_FINISHED));
}
END_TEST

START_TEST(to_stop_tells_those_who_were_asked)
{
    struct trib_round_options options = evaluating(100);
    first_model(&options, 2);
    answer(0, 10, 5, 1.0);
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT_PHASE("tell:1=abandoned done");
    ck_assert(did(TRIB_ACTION_FINISHED));
    first_model(&options, 2);
    tick_at(now_ms);
    ck_assert_int_eq(state(), TRIB_ROUND_COLLECTING);
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT_PHASE("tell:0=abandoned tell:1=abandoned done");
    ck_assert(did(TRIB_ACTION_FINISHED) && did(TRIB_ACTION_ABANDONED));
}
END_TEST

START_TEST(a_server_that_stops_amid_a_commit_asks_nobody)
{
    struct trib_round_options options = evaluating(100);
    start(&options);
    join_all(2);
    fold_both(0, 1);
    STEP(.kind = TRIB_EVENT_APPLIED, .ok = true);
    STEP(.kind = TRIB_EVENT_STOP);
    STEP(.kind = TRIB_EVENT_COMMITTED, .ok = true);
    EXPECT("committed tell:0=folded tell:1=folded finished");
}
END_TEST

/* ---- training does not notice ---- */

START_TEST(cohorts_are_those_that_they_would_be)
{
    static char text[2][8192];
    for (int on = 0; on < 2; on++) {
        struct trib_round_options options = evaluating(on ? 0.5 : 0);
        size_t used = 0;
        options.rounds = 6;
        start(&options);
        join_all(7);
        for (int round = 0; round < 6; round++) {
            for (uint32_t client = 0; client < 7; client++) {
                used += (size_t)snprintf(text[on] + used, sizeof text[on] - used, "%s ",
                                         trib_member_state_name(member(client)));
            }
            make_model();
            tick_at(now_ms + 1);
        }
        ck_assert_uint_lt(used, sizeof text[on]);
    }
    ck_assert_str_eq(text[0], text[1]);
}
END_TEST

/* ---- restarts ---- */

static struct trib_buf saved;

/* Recall all, and make a new engine of it. */
static enum trib_status try_restart(struct trib_error *error)
{
    struct trib_round_snapshot run;
    struct trib_member_snapshot members[8];
    size_t n = 0;
    trib_round_recall(machine, false, &run);
    for (uint32_t i = 0; i < 8; i++) {
        n += trib_round_recall_member(machine, i, &members[n]);
    }
    for (size_t i = 0; i < n; i++) {
        members[i].client = 7 - members[i].client; /* who has which number is decided anew */
    }
    struct trib_round *old = machine;
    machine = NULL;
    int64_t then_ms = now_ms;
    start(&options_of);
    now_ms = then_ms;
    enum trib_status status = trib_round_restore(machine, &run, members, n, error);
    trib_round_free(old);
    return status == TRIB_OK ? trib_round_load_phases(machine, saved.data, saved.len, error) : status;
}

static void save(void)
{
    saved.len = 0;
    ck_assert_int_eq(trib_round_save_phases(machine, &saved), TRIB_OK);
}

static void restart(void)
{
    struct trib_error error;
    save();
    ck_assert_msg(try_restart(&error) == TRIB_OK, "%s", error.message);
    STEP(.kind = TRIB_EVENT_RESUME);
}

static void return_as(uint32_t client, uint64_t key)
{
    STEP(.kind = TRIB_EVENT_JOINED, .client = client, .examples = 10, .key = key, .eligible = true);
}

static void amid_an_evaluation(void)
{
    struct trib_round_options options = evaluating(100);
    options.outlives = true;
    first_model(&options, 4);
    answer(1, 10, 5, 2.0);
    answer_bytes(2, 1, "?", 1);
}

START_TEST(it_goes_on_after_a_restart)
{
    amid_an_evaluation();
    now_ms += 100;
    restart();
    ck_assert_int_eq(trib_round_next_tick(machine), now_ms + 3000);
    return_as(7, 0); /* was 0 */
    EXPECT_PHASE("ask:7/1.1");
    return_as(6, 1);
    EXPECT_PHASE(""); /* its answer was kept */
    return_as(5, 2);
    EXPECT_PHASE("");
    return_as(4, 3);
    EXPECT_PHASE("ask:4/1.1");
    answer(4, 10, 10, 1.0);
    answer(6, 10, 10, 1.0);
    ck_assert_str_eq(ignored, "it has answered already");
    answer(7, 20, 10, 1.0);
    EXPECT_PHASE("tell:7=folded done");
    const struct trib_client_evaluation *evaluation = trib_round_evaluation(machine);
    ck_assert_uint_eq(evaluation->asked, 4);
    ck_assert_uint_eq(evaluation->answered, 3);
    ck_assert_uint_eq(evaluation->rejected, 1);
    ck_assert_uint_eq(evaluation->examples, 40);
    ck_assert_uint_eq(evaluation->correct, 25);
    ck_assert_double_eq(evaluation->loss, 1.25);
}
END_TEST

START_TEST(who_does_not_come_back_after_a_restart_is_late)
{
    amid_an_evaluation();
    restart();
    return_as(4, 3);
    tick_at(now_ms + 3000);
    EXPECT_PHASE("tell:4=late done"); /* client 0 has no number to tell it by */
    ck_assert_uint_eq(trib_round_evaluation(machine)->late, 2);
}
END_TEST

START_TEST(a_stop_that_is_outlived_tells_nobody)
{
    amid_an_evaluation();
    STEP(.kind = TRIB_EVENT_STOP);
    EXPECT_PHASE("");
    ck_assert(did(TRIB_ACTION_FINISHED));
    restart();
    return_as(7, 0);
    EXPECT_PHASE("ask:7/1.1");
}
END_TEST

START_TEST(what_has_changed_is_told)
{
    struct trib_round_options options = evaluating(100);
    start(&options);
    join_all(2);
    uint64_t before = trib_round_phase_changes(machine);
    make_model();
    ck_assert_uint_gt(trib_round_phase_changes(machine), before);
    before = trib_round_phase_changes(machine);
    tick_at(now_ms);
    leave(0);
    join(0);
    ck_assert_uint_eq(trib_round_phase_changes(machine), before);
    answer(1, 10, 5, 1.0);
    ck_assert_uint_gt(trib_round_phase_changes(machine), before);
    before = trib_round_phase_changes(machine);
    answer(0, 10, 5, 1.0);
    ck_assert_uint_gt(trib_round_phase_changes(machine), before);
    save();
    ck_assert_uint_eq(saved.len, 4); /* nothing is open */
}
END_TEST

/* Every byte cut off and every byte altered: refused, or understood; never more than that. */
START_TEST(damaged_bytes_are_refused)
{
    amid_an_evaluation();
    save();
    size_t whole = saved.len, refused = 0;
    for (size_t len = 1; len < whole; len++) {
        struct trib_error error;
        amid_an_evaluation();
        save();
        saved.len = len;
        enum trib_status status = try_restart(&error);
        ck_assert_msg(status == TRIB_CORRUPT || len == 4, "%zu of %zu bytes: %s", len, whole, trib_status_name(status));
    }
    for (size_t at = 0; at < whole; at++) {
        struct trib_error error;
        amid_an_evaluation();
        save();
        saved.data[at] ^= 0xff;
        enum trib_status status = try_restart(&error);
        ck_assert(status == TRIB_CORRUPT || status == TRIB_OK);
        refused += status == TRIB_CORRUPT;
    }
    ck_assert_uint_gt(refused, whole / 2);
}
END_TEST

/* What is saved begins with u32 version, u32 length and 8 letters of the name, u64 round, u64 version of the model. */
START_TEST(a_model_that_was_not_made_is_refused)
{
    for (int which = 0; which < 4; which++) {
        struct trib_error error;
        amid_an_evaluation();
        save();
        uint8_t *at = saved.data + (which < 2 ? 16 : 24);
        ck_assert_uint_eq(trib_load_u64(at), 1);
        trib_store_u64(at, which == 0 ? 0 : which == 3 ? 1 : 2);
        ck_assert_int_eq(try_restart(&error), which == 3 ? TRIB_OK : TRIB_CORRUPT);
    }
}
END_TEST

/* ---- options and memory ---- */

START_TEST(wrong_options_are_refused)
{
    static const struct trib_evaluate_options wrong[] = {{.clients = -1, .deadline_ms = 1, .max_examples = 1},
                                                         {.clients = (double)NAN, .deadline_ms = 1, .max_examples = 1},
                                                         {.clients = 1, .deadline_ms = 0, .max_examples = 1},
                                                         {.clients = 0.5, .deadline_ms = 1, .max_examples = 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct trib_round_options options = usual();
        struct trib_round *round = NULL;
        struct trib_error error;
        options.at_clients = wrong[i];
        ck_assert_int_eq(trib_round_new(&options, &round, &error), TRIB_INVALID);
        ck_assert_ptr_nonnull(strstr(error.message, "the phase evaluate: "));
    }
}
END_TEST

START_TEST(phases_are_listed_with_their_settings)
{
    static const char *const names[] = {"offer", "upload", "evaluate"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(trib_round_phase(i)->name, names[i]);
        ck_assert_ptr_nonnull(trib_round_phase(i)->help);
    }
    ck_assert_ptr_null(trib_round_phase(3));
    ck_assert_uint_eq(trib_round_phase(2)->n_rows, 3);
}
END_TEST

START_TEST(short_memory_leaves_the_state)
{
    for (int nth = 0; nth < 40; nth++) {
        const struct trib_round_action *list;
        size_t n;
        const char *why;
        struct trib_round_options options = evaluating(100);
        start(&options);
        (void)fail_memory_after(nth, true);
        for (uint32_t client = 0; client < 6; client++) {
            struct trib_round_event event = {
                .kind = TRIB_EVENT_JOINED, .now_ms = now_ms, .client = client, .key = client, .eligible = true};
            if (trib_round_step(machine, &event, &list, &n, &why) != TRIB_OK) {
                (void)fail_memory_after(-1, false); /* there is some again */
                ck_assert_int_eq(trib_round_step(machine, &event, &list, &n, &why), TRIB_OK);
            }
        }
        (void)fail_memory_after(-1, false);
        make_model();
        EXPECT_PHASE("ask:0/1.1 ask:1/1.1 ask:2/1.1 ask:3/1.1 ask:4/1.1 ask:5/1.1");
    }
}
END_TEST

static void clean_up(void)
{
    stop();
    trib_buf_clear(&saved);
}

int main(void)
{
    Suite *suite = suite_create("round_evaluate");
    TCase *tests = tcase_create("evaluate");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, NULL, clean_up);
    tcase_add_test(tests, nobody_is_asked_unless_it_is_switched_on);
    tcase_add_test(tests, those_who_are_idle_are_asked_when_a_model_is_committed);
    tcase_add_test(tests, a_number_or_a_share_of_them);
    tcase_add_test(tests, the_draw_depends_on_the_seed_and_the_round);
    tcase_add_test(tests, whoever_is_away_or_filtered_out_is_not_asked);
    tcase_add_test(tests, only_models_are_evaluated_and_not_all_of_them);
    tcase_add_test(tests, answers_are_summed_up);
    tcase_add_test(tests, the_order_of_answers_leaves_no_trace);
    tcase_add_test(tests, who_answers_twice_is_counted_once);
    tcase_add_test(tests, garbage_is_rejected);
    tcase_add_test(tests, bytes_that_are_no_answer_are_rejected);
    tcase_add_test(tests, an_answers_bytes_are_those_of_every_release);
    tcase_add_test(tests, whoever_cannot_says_so);
    tcase_add_test(tests, whoever_was_not_asked_is_not_heard);
    tcase_add_test(tests, an_answer_about_another_model_is_late);
    tcase_add_test(tests, the_deadline_ends_it);
    tcase_add_test(tests, who_leaves_is_asked_again_when_it_is_back);
    tcase_add_test(tests, the_next_model_ends_it_before_its_line_is_written);
    tcase_add_test(tests, the_last_model_is_waited_for);
    tcase_add_test(tests, to_stop_tells_those_who_were_asked);
    tcase_add_test(tests, a_server_that_stops_amid_a_commit_asks_nobody);
    tcase_add_test(tests, cohorts_are_those_that_they_would_be);
    tcase_add_test(tests, it_goes_on_after_a_restart);
    tcase_add_test(tests, who_does_not_come_back_after_a_restart_is_late);
    tcase_add_test(tests, a_stop_that_is_outlived_tells_nobody);
    tcase_add_test(tests, what_has_changed_is_told);
    tcase_add_test(tests, damaged_bytes_are_refused);
    tcase_add_test(tests, a_model_that_was_not_made_is_refused);
    tcase_add_test(tests, wrong_options_are_refused);
    tcase_add_test(tests, phases_are_listed_with_their_settings);
    tcase_add_test(tests, short_memory_leaves_the_state);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
