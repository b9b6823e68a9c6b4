/* Running the round machine: one event in, its actions out into the world. Engine's thread only. */
#include "engine_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <time.h>

/* Hand work to the worker; when memory is short, wait for better times: the round cannot go on without it. */
static void submit(struct trib_engine *engine, struct work *work)
{
    work->round = trib_round_number(engine->round);
    work->attempt = trib_round_summary(engine->round)->attempt;
    while (trib_engine_submit(engine, work) != TRIB_OK) {
        trib_log(TRIB_LOG_ERROR, "engine", "waiting_for_memory", TRIB_F_INT("round", work->round));
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

static void begin_round(struct trib_engine *engine)
{
    const struct trib_round_summary *s = trib_round_summary(engine->round);
    trib_uploads_discard_all(&engine->uploads);
    engine->evaluation = (struct trib_evaluation){0};
    engine->train_loss_sum = 0;
    engine->train_weight_sum = 0;
    engine->bytes_up_before = atomic_load(&engine->bytes_up);
    engine->bytes_down_before = atomic_load(&engine->bytes_down);
    trib_log(TRIB_LOG_INFO, "round", "round_started", TRIB_F_INT("round", s->round),
             TRIB_F_INT("attempt", s->attempt + 1), TRIB_F_INT("available", s->available),
             TRIB_F_INT("cohort", s->cohort));
    submit(engine, &(struct work){.kind = WORK_BEGIN,
                                  .max_total_weight = (uint64_t)s->cohort * (uint64_t)engine->settings->max_examples});
}

static void fold_upload(struct trib_engine *engine, uint32_t number)
{
    struct client *client = &engine->clients[number];
    uint64_t examples = client->offer_examples, cap = (uint64_t)engine->settings->max_examples;
    bool remembered = (engine->worker.strategy->caps & TRIB_STRATEGY_REMEMBERS) && client->folded_round > 0;
    struct work work = {
        .kind = WORK_FOLD, .client = number, .upload = trib_uploads_take_complete(&engine->uploads, number)};
    work.info.examples = examples;
    client->weight = remembered ? client->weight : examples > cap ? cap : examples;
    work.info.weight = client->weight;
    work.info.first = client->folded_round == 0;
    submit(engine, &work);
}

static void publish(struct trib_engine *engine)
{
    pthread_mutex_lock(&engine->published_mutex);
    struct model old = engine->current;
    engine->current = engine->worker.next;
    engine->worker.next = (struct model){0};
    trib_versions_push(&engine->versions, &engine->current.delta, trib_blob_len(engine->current.raw));
    engine->current.delta.blob = NULL;
    pthread_mutex_unlock(&engine->published_mutex);
    trib_model_clear(&old);
}

static void abandoned(struct trib_engine *engine, const char *reason)
{
    const struct trib_round_summary *s = trib_round_summary(engine->round);
    trib_log(TRIB_LOG_WARN, "round", "round_abandoned", TRIB_F_INT("round", s->round),
             TRIB_F_INT("attempt", s->attempt + 1), TRIB_F_STR("reason", reason), TRIB_F_INT("cohort", s->cohort),
             TRIB_F_INT("offered", s->offered), TRIB_F_INT("folded", s->folded), TRIB_F_INT("rejected", s->rejected),
             TRIB_F_INT("failed", s->failed), TRIB_F_INT("late", s->late));
}

static void finished(struct trib_engine *engine, const char *reason)
{
    uint64_t committed = trib_round_number(engine->round) - 1;
    bool complete = committed >= (uint64_t)engine->settings->rounds;
    atomic_store(&engine->complete, complete);
    trib_log(TRIB_LOG_INFO, "round", "run_finished", TRIB_F_STR("run", engine->run), TRIB_F_STR("reason", reason),
             TRIB_F_INT("rounds", committed));
    trib_engine_goodbye_all(engine, complete ? "the run is finished" : "the server is stopping", complete);
    engine->done = true;
}

static void outcome(struct trib_engine *engine, const struct trib_round_action *action)
{
    const char *node = engine->clients[action->client].node;
    if (action->outcome == TRIB_OUTCOME_FOLDED) {
        engine->clients[action->client].folded_round = action->round;
    } else if (action->outcome == TRIB_OUTCOME_REJECTED) {
        trib_log(TRIB_LOG_WARN, "round", "update_rejected", TRIB_F_INT("round", action->round),
                 TRIB_F_STR("node", node), TRIB_F_STR("reason", action->reason));
    } else if (action->outcome == TRIB_OUTCOME_LATE) {
        trib_log(TRIB_LOG_WARN, "round", "client_late", TRIB_F_INT("round", action->round), TRIB_F_STR("node", node),
                 TRIB_F_STR("reason", action->reason));
    }
    trib_engine_send_outcome(engine, action);
}

static void run_action(struct trib_engine *engine, const struct trib_round_action *action)
{
    switch (action->kind) {
    case TRIB_ACTION_BEGIN:
        begin_round(engine);
        break;
    case TRIB_ACTION_TASK:
        trib_engine_send_task(engine, action->client);
        break;
    case TRIB_ACTION_GRANT:
        trib_engine_send_decision(engine, action->client);
        break;
    case TRIB_ACTION_FOLD:
        fold_upload(engine, action->client);
        break;
    case TRIB_ACTION_DISCARD:
        trib_uploads_discard(&engine->uploads, action->client);
        break;
    case TRIB_ACTION_OUTCOME:
        outcome(engine, action);
        break;
    case TRIB_ACTION_APPLY:
        submit(engine, &(struct work){.kind = WORK_APPLY});
        break;
    case TRIB_ACTION_EVALUATE:
        submit(engine, &(struct work){.kind = WORK_EVALUATE});
        break;
    case TRIB_ACTION_COMMIT:
        submit(engine, &(struct work){.kind = WORK_COMMIT, .summary = *trib_round_summary(engine->round)});
        break;
    case TRIB_ACTION_COMMITTED:
        publish(engine);
        trib_engine_log_committed(engine);
        break;
    case TRIB_ACTION_ABANDONED:
        abandoned(engine, action->reason);
        break;
    case TRIB_ACTION_FINISHED:
        finished(engine, action->reason);
        break;
    }
}

void trib_engine_step(struct trib_engine *engine, struct trib_round_event *event)
{
    const struct trib_round_action *actions;
    const char *ignored;
    size_t n;
    event->now_ms = trib_clock_ms();
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
}

void trib_engine_work_done(struct trib_engine *engine, const struct work *work)
{
    static const enum trib_round_event_kind kinds[] = {[WORK_FOLD] = TRIB_EVENT_FOLDED,
                                                       [WORK_APPLY] = TRIB_EVENT_APPLIED,
                                                       [WORK_EVALUATE] = TRIB_EVENT_EVALUATED,
                                                       [WORK_COMMIT] = TRIB_EVENT_COMMITTED};
    static const char *const names[] = {[WORK_BEGIN] = "begin_failed",
                                        [WORK_FOLD] = "fold_failed",
                                        [WORK_APPLY] = "apply_failed",
                                        [WORK_EVALUATE] = "evaluation_failed",
                                        [WORK_COMMIT] = "commit_failed"};
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
                                                        .reason = work->error.message});
}
