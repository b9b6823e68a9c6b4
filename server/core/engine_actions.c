/* Running the round machine: one event in, its actions out into the world. Engine's thread only. */
#include "engine_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

/* A stale update weighs less than it is counted for, in parts of this. */
enum { WEIGHT_PARTS = 64 };

bool trib_engine_may_be_stale(const struct trib_server_settings *settings)
{
    return settings->max_staleness > 0 || settings->buffer > 0;
}

void trib_engine_submit_work(struct trib_engine *engine, struct work *work)
{
    work->round = trib_round_number(engine->round);
    work->attempt = trib_round_summary(engine->round)->attempt;
    while (trib_engine_submit(engine, work) != TRIB_OK) {
        trib_log(TRIB_LOG_ERROR, "engine", "waiting_for_memory", TRIB_F_INT("round", work->round));
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

/* Whose updates may come: this round's cohort, which may be small or none, and those of earlier ones. */
static uint64_t count_at_work(const struct trib_engine *engine)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < engine->n_clients; i++) {
        n += trib_round_is_at_work(trib_round_member(engine->round, i));
    }
    return n;
}

static void begin_round(struct trib_engine *engine)
{
    const struct trib_round_summary *s = trib_round_summary(engine->round);
    engine->evaluation = (struct trib_evaluation){0};
    engine->train_loss_sum = 0;
    engine->train_weight_sum = 0;
    engine->bytes_up_before = atomic_load(&engine->bytes_up);
    engine->bytes_down_before = atomic_load(&engine->bytes_down);
    trib_log(TRIB_LOG_INFO, "round", "round_started", TRIB_F_INT("round", s->round),
             TRIB_F_INT("attempt", s->attempt + 1), TRIB_F_INT("available", s->available),
             TRIB_F_INT("eligible", s->eligible), TRIB_F_INT("cohort", s->cohort));
    /* Without cohorts, clients may still come and be folded into this round. */
    uint64_t updates =
        engine->settings->buffer > 0 ? trib_engine_most_updates(engine->settings) : count_at_work(engine);
    trib_engine_submit_work(
        engine, &(struct work){.kind = WORK_BEGIN, .max_total_weight = trib_engine_most_weight(engine, updates)});
}

uint64_t trib_engine_most_weight(const struct trib_engine *engine, uint64_t updates)
{
    const struct trib_server_settings *s = engine->settings;
    return updates * (uint64_t)s->max_examples * (trib_engine_may_be_stale(s) ? WEIGHT_PARTS : 1);
}

uint64_t trib_engine_most_updates(const struct trib_server_settings *s)
{
    uint64_t clients = (uint64_t)s->max_clients, updates = clients;
    if (s->buffer > 0) { /* and those that are being folded when it is full, or wait for the next */
        updates = (uint64_t)(s->buffer + 2 * s->uploads_in_flight);
    } else if (s->clients_per_round > 0) {
        updates = (uint64_t)(ceil((double)s->clients_per_round * s->over_selection) * (double)(1 + s->max_staleness));
    }
    return updates < clients ? updates : clients; /* nobody is folded twice in a round */
}

/* As many as it claims, but no more than these examples can have taken. */
static uint64_t count_steps(const struct trib_server_settings *s, uint64_t claimed, uint64_t examples)
{
    uint64_t batch = (uint64_t)s->batch_size, epochs = (uint64_t)s->epochs;
    uint64_t an_epoch = examples / batch + (examples % batch > 0);
    uint64_t most = an_epoch > UINT64_MAX / epochs ? UINT64_MAX : an_epoch * epochs;
    if (s->max_steps > 0 && most > (uint64_t)s->max_steps) {
        most = (uint64_t)s->max_steps;
    }
    return claimed < most ? claimed : most;
}

/* What an update weighs before staleness. */
static uint64_t base_weight(const struct trib_engine *engine, const struct client *client)
{
    const struct trib_server_settings *s = engine->settings;
    uint64_t examples = client->offer_examples;
    uint64_t weight = s->weights == TRIB_WEIGHTS_EXAMPLES ? examples
                      : s->weights == TRIB_WEIGHTS_STEPS  ? count_steps(s, client->offer_steps, examples)
                                                          : 1;
    bool remembered = (engine->worker.strategy->caps & TRIB_STRATEGY_REMEMBERS) && client->folded_round > 0;
    return remembered ? client->weight : weight > (uint64_t)s->max_examples ? (uint64_t)s->max_examples : weight;
}

/* Its file stays until the round is committed, so that a restarted server need not ask for it again; as far as there is
 * room for that. */
static void keep_upload(struct trib_engine *engine, uint32_t number, struct trib_upload *upload)
{
    struct client *client = &engine->clients[number];
    if (!upload || !trib_engine_remembers(engine) || client->kept) {
        return;
    }
    client->kept = engine->kept_bytes + client->offer_len <= (uint64_t)engine->settings->keep_uploads;
    if (client->kept) {
        engine->kept_bytes += client->offer_len;
        trib_engine_note_upload(engine, number);
    } else {
        trib_upload_unwanted(upload);
    }
}

/* Nobody will ask for it again. */
static void let_upload_go(struct trib_engine *engine, uint32_t number)
{
    struct client *client = &engine->clients[number];
    if (client->kept) {
        client->kept = false;
        engine->kept_bytes -= client->offer_len;
        trib_uploads_remove(&engine->uploads, client->node, client->offer_sha256);
    }
}

static void fold_upload(struct trib_engine *engine, const struct trib_round_action *action)
{
    const struct trib_server_settings *s = engine->settings;
    struct client *client = &engine->clients[action->client];
    struct work work = {.kind = WORK_FOLD,
                        .client = action->client,
                        .upload = trib_uploads_take_complete(&engine->uploads, action->client),
                        .sketch = client->sketch,
                        .task_round = action->round};
    client->weight = base_weight(engine, client);
    keep_upload(engine, action->client, work.upload);
    client->sketch = NULL;
    work.info.examples = client->offer_examples;
    work.info.weight = work.info.counted = client->weight;
    work.info.first = client->folded_round == 0;
    if (trib_engine_may_be_stale(s)) {
        work.info.counted *= WEIGHT_PARTS;
        double weight = (double)work.info.counted * pow(1 + (double)action->staleness, -s->staleness_power);
        work.info.weight = weight < 1 ? 1 : (uint64_t)llround(weight);
    }
    trib_engine_submit_work(engine, &work);
}

static void publish(struct trib_engine *engine)
{
    trib_release_publish(engine->release, &engine->worker.next);
    trib_relevance_learn(&engine->relevance, engine->worker.next_signs);
    engine->worker.next_signs = NULL;
}

static void abandoned(struct trib_engine *engine, const char *reason)
{
    const struct trib_round_summary *s = trib_round_summary(engine->round);
    trib_log(TRIB_LOG_WARN, "round", "round_abandoned", TRIB_F_INT("round", s->round),
             TRIB_F_INT("attempt", s->attempt + 1), TRIB_F_STR("reason", reason), TRIB_F_INT("cohort", s->cohort),
             TRIB_F_INT("offered", s->offered), TRIB_F_INT("skipped", s->skipped), TRIB_F_INT("folded", s->folded),
             TRIB_F_INT("rejected", s->rejected), TRIB_F_INT("failed", s->failed), TRIB_F_INT("late", s->late));
}

/* What clients are told for good must not be forgotten: the last notes are on the disk before. */
static void end_run(struct trib_engine *engine)
{
    bool complete = atomic_load(&engine->complete);
    trib_engine_goodbye_all(engine, complete ? "the run is finished" : "the server is stopping", complete);
    engine->done = true;
}

static void finished(struct trib_engine *engine, const char *reason)
{
    uint64_t committed = trib_round_number(engine->round) - 1;
    bool complete = committed >= (uint64_t)engine->settings->rounds;
    atomic_store(&engine->complete, complete);
    trib_engine_audit(engine, complete ? "run_complete" : "run_stopped", committed, "", reason);
    trib_log(TRIB_LOG_INFO, "round", "run_finished", TRIB_F_STR("run", engine->run), TRIB_F_STR("reason", reason),
             TRIB_F_INT("rounds", committed));
    engine->ending = true;
    if (!trib_engine_write_end(engine)) {
        end_run(engine);
    }
}

/* What a client says of other rounds than that of its task costs it nothing, and others no line of theirs. One that
 * offers again what was folded has missed its outcome, no more. */
static void log_outcome(struct trib_engine *engine, const struct trib_round_action *action)
{
    const struct client *client = &engine->clients[action->client];
    uint64_t attempt;
    bool its_task = trib_round_task_of(engine->round, action->client, &attempt) == action->round;
    if (action->outcome == TRIB_OUTCOME_REJECTED) {
        trib_log(TRIB_LOG_WARN, "round", "update_rejected", TRIB_F_INT("round", action->round),
                 TRIB_F_STR("node", client->node), TRIB_F_STR("reason", action->reason));
    } else if (action->outcome == TRIB_OUTCOME_LATE) {
        trib_log(its_task ? TRIB_LOG_WARN : TRIB_LOG_DEBUG, "round", "client_late", TRIB_F_INT("round", action->round),
                 TRIB_F_STR("node", client->node), TRIB_F_STR("reason", action->reason));
    }
    if (its_task) {
        trib_engine_note_outcome(engine, action->client, action->round, trib_outcome_name(action->outcome),
                                 action->reason);
    }
}

static void outcome(struct trib_engine *engine, const struct trib_round_action *action)
{
    struct client *client = &engine->clients[action->client];
    if (action->outcome == TRIB_OUTCOME_FOLDED) {
        client->folded_round = action->round; /* noted with the commit */
    } else if (client->folded_round != action->round || action->round == 0) {
        log_outcome(engine, action);
    }
    if (!trib_round_is_at_work(trib_round_member(engine->round, action->client))) {
        trib_engine_forget_sketch(engine, action->client);
        let_upload_go(engine, action->client);
    }
    trib_engine_send_outcome(engine, action);
}

static void start_commit(struct trib_engine *engine)
{
    struct work work = {.kind = WORK_COMMIT, .summary = *trib_round_summary(engine->round)};
    trib_engine_prepare_commit(engine, &work);
    trib_engine_submit_work(engine, &work);
}

static void run_action(struct trib_engine *engine, const struct trib_round_action *action)
{
    switch (action->kind) {
    case TRIB_ACTION_BEGIN:
        begin_round(engine);
        break;
    case TRIB_ACTION_TASK:
        trib_engine_send_task(engine, action);
        break;
    case TRIB_ACTION_SCORE:
        engine->score_due = true;
        break;
    case TRIB_ACTION_SKIP:
        trib_engine_send_skip(engine, action);
        break;
    case TRIB_ACTION_GRANT:
        trib_engine_send_grant(engine, action);
        break;
    case TRIB_ACTION_FOLD:
        fold_upload(engine, action);
        break;
    case TRIB_ACTION_DISCARD:
        trib_uploads_discard(&engine->uploads, action->client);
        let_upload_go(engine, action->client);
        break;
    case TRIB_ACTION_OUTCOME:
        outcome(engine, action);
        break;
    case TRIB_ACTION_APPLY:
        trib_engine_submit_work(engine, &(struct work){.kind = WORK_APPLY});
        break;
    case TRIB_ACTION_EVALUATE:
        trib_engine_submit_work(engine, &(struct work){.kind = WORK_EVALUATE});
        break;
    case TRIB_ACTION_COMMIT:
        start_commit(engine);
        break;
    case TRIB_ACTION_COMMITTED:
        publish(engine);
        trib_engine_round_ended(engine, false);
        break;
    case TRIB_ACTION_CARRIED:
        trib_engine_round_ended(engine, true);
        break;
    case TRIB_ACTION_ABANDONED:
        abandoned(engine, action->reason);
        break;
    case TRIB_ACTION_FINISHED:
        finished(engine, action->reason);
        break;
    }
}

bool trib_engine_step(struct trib_engine *engine, struct trib_round_event *event)
{
    const struct trib_round_action *actions;
    const char *ignored;
    size_t n;
    event->now_ms = trib_engine_now_ms(engine);
    while (trib_round_step(engine->round, event, &actions, &n, &ignored) != TRIB_OK) {
        trib_log(TRIB_LOG_ERROR, "engine", "waiting_for_memory", TRIB_F_INT("round", trib_round_number(engine->round)));
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    if (ignored && event->kind != TRIB_EVENT_PROGRESS && event->kind != TRIB_EVENT_TICK) {
        trib_log(TRIB_LOG_DEBUG, "round", "event_ignored", TRIB_F_INT("kind", event->kind),
                 TRIB_F_INT("client", event->client), TRIB_F_STR("reason", ignored));
    }
    for (size_t i = 0; i < n; i++) {
        run_action(engine, &actions[i]);
    }
    if (engine->score_due) {
        engine->score_due = false;
        trib_engine_score(engine);
    }
    return !ignored;
}

/* It cannot be known whether what was to be committed is on the disk. To go on could contradict it: the next process
 * looks. */
static void end_in_doubt(struct trib_engine *engine, const struct work *work)
{
    engine->failure = work->error;
    (void)trib_error_prefix(&engine->failure, TRIB_IO, "the state directory is in doubt, restart the server");
    trib_log_error(TRIB_LOG_ERROR, "store", "state_in_doubt", &engine->failure, TRIB_F_INT("round", work->round));
    trib_engine_goodbye_all(engine, "the server has trouble with its disk", false);
    engine->done = true;
}

static void notes_done(struct trib_engine *engine, const struct work *work)
{
    engine->noting = engine->noting && work->durable;
    if (engine->ending && work->durable) {
        if (!work->ok) { /* it is complete all the same; after a crash its last carried rounds are done again */
            trib_log_error(TRIB_LOG_ERROR, "store", "end_not_written", &work->error);
        }
        end_run(engine);
    } else if (!work->ok) { /* what is not written down costs work after a crash, no more */
        trib_log_error(TRIB_LOG_WARN, "store", "notes_not_written", &work->error);
        trib_engine_forget_noted(engine);
    }
}

void trib_engine_work_done(struct trib_engine *engine, const struct work *work)
{
    static const enum trib_round_event_kind kinds[] = {[WORK_FOLD] = TRIB_EVENT_FOLDED,
                                                       [WORK_APPLY] = TRIB_EVENT_APPLIED,
                                                       [WORK_EVALUATE] = TRIB_EVENT_EVALUATED,
                                                       [WORK_COMMIT] = TRIB_EVENT_COMMITTED};
    static const char *const names[] = {
        [WORK_BEGIN] = "begin_failed",         [WORK_FOLD] = "fold_failed",     [WORK_APPLY] = "apply_failed",
        [WORK_EVALUATE] = "evaluation_failed", [WORK_COMMIT] = "commit_failed", [WORK_NOTE] = "notes_failed"};
    if (work->doubtful) {
        end_in_doubt(engine, work);
        return;
    }
    if (work->kind == WORK_NOTE) {
        notes_done(engine, work);
        return;
    }
    if (work->kind == WORK_COMMIT) {
        engine->committing = false;
        if (!work->ok) {
            trib_engine_forget_noted(engine);
        }
    }
    if (work->lied) {
        struct client *client = &engine->clients[work->client];
        client->lies++;
        trib_engine_audit(engine, "client_lied", work->round, client->node, work->error.message);
        trib_log(TRIB_LOG_WARN, "round", "client_lied", TRIB_F_INT("round", work->round),
                 TRIB_F_STR("node", client->node), TRIB_F_INT("times", client->lies),
                 TRIB_F_INT("left_out_rounds", engine->settings->relevance_penalty));
    }
    if (!work->ok && (work->kind != WORK_FOLD || work->harmful)) {
        trib_log_error(TRIB_LOG_ERROR, "round", names[work->kind], &work->error, TRIB_F_INT("round", work->round));
    }
    if (work->kind == WORK_BEGIN) {
        return; /* when it failed, no update can be folded and the round will be abandoned for it */
    }
    if (work->kind == WORK_EVALUATE && work->ok) {
        engine->evaluation = engine->worker.evaluation;
    }
    bool current =
        work->round == trib_round_number(engine->round) && work->attempt == trib_round_summary(engine->round)->attempt;
    if (work->kind == WORK_FOLD && work->ok && current) {
        engine->train_loss_sum += engine->clients[work->client].offer_loss * (double)work->info.weight;
        engine->train_weight_sum += (double)work->info.weight;
    }
    trib_engine_step(engine, &(struct trib_round_event){.kind = kinds[work->kind],
                                                        .client = work->client,
                                                        .round = work->round,
                                                        .attempt = work->attempt,
                                                        .ok = work->ok,
                                                        .harmful = work->harmful,
                                                        .lied = work->lied,
                                                        .reason = work->error.message});
}
