/* One event into the round machine, its actions out into the rooms. */
#include "run_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>

struct trib_present trib_run_look(const struct trib_run *run)
{
    return (struct trib_present){.round = run->rooms.round,
                                 .roster = run->rooms.roster,
                                 .parts = &run->rooms.parts,
                                 .proximal = &run->rooms.proximal,
                                 .now_ms = run->host.now_ms(run->host.context),
                                 .wall_ms = run->host.wall_ms(run->host.context)};
}

void trib_run_tell(struct trib_run *run, struct trib_fact *fact)
{
    fact->run = run->rooms.id;
    fact->wall_ms = run->host.wall_ms(run->host.context);
    trib_observers_tell(run->rooms.journal, fact);
    if (run->host.observe) {
        run->host.observe(run->host.context, fact);
    }
}

/* ---- jobs ---- */

/* What one event may ask for, besides the folds of uploads that wait for a round: begin, apply, evaluate or commit, a
 * fold, settle, a batch of rows and the last one. */
enum { JOBS_PER_EVENT = 8 };

bool trib_run_ready(struct trib_run *run)
{
    size_t needed = JOBS_PER_EVENT + trib_round_members_in(run->rooms.round, TRIB_MEMBER_UPLOADED);
    while (run->n_spare < needed) {
        struct trib_job *job = trib_calloc(1, sizeof *job);
        if (!job) {
            return false;
        }
        job->parcel.letter.next = run->spare;
        run->spare = &job->parcel.letter;
        run->n_spare++;
    }
    return trib_round_reserve(run->rooms.round) == TRIB_OK;
}

struct trib_job *trib_run_job(struct trib_run *run, enum trib_job_kind kind)
{
    struct trib_job *job = (struct trib_job *)(void *)run->spare;
    run->spare = job->parcel.letter.next;
    run->n_spare--;
    job->parcel = (struct trib_parcel){.is_job = true};
    job->run = run;
    job->kind = kind;
    job->round = trib_round_number(run->rooms.round);
    job->attempt = trib_round_summary(run->rooms.round)->attempt;
    job->aggregate = run->rooms.aggregate;
    job->journal = run->rooms.journal;
    return job;
}

static void submit(struct trib_run *run, struct trib_job *job)
{
    run->host.submit(run->host.context, job);
}

static void take_back(struct trib_run *run, struct trib_job *job)
{
    trib_job_clear(job);
    if (run->n_spare < JOBS_PER_EVENT) {
        job->parcel.letter.next = run->spare;
        run->spare = &job->parcel.letter;
        run->n_spare++;
    } else {
        trib_free(job);
    }
}

/* ---- a round's end ---- */

static struct trib_round_record make_record(const struct trib_run *run, bool carried)
{
    const struct trib_version *present = trib_release_present(run->rooms.release);
    bool evaluated = run->evaluation.examples > 0;
    return (struct trib_round_record){
        .summary = *trib_round_summary(run->rooms.round),
        .carried = carried,
        .version = present->number,
        .bytes_up = atomic_load(run->host.bytes_up) - run->bytes_up_before,
        .bytes_down = atomic_load(run->host.bytes_down) - run->bytes_down_before,
        .raw_bytes = trib_blob_len(present->raw),
        .train_loss = run->train_weight_sum > 0 ? run->train_loss_sum / run->train_weight_sum : (double)NAN,
        .loss = evaluated ? run->evaluation.loss : (double)NAN,
        .accuracy = evaluated ? run->evaluation.accuracy : (double)NAN,
        .proximal_mu = run->rooms.proximal.mu,
        .codec_up = trib_uplink_text(&run->rooms.uplink),
        .codec_down = run->rooms.sealer.down.text,
        .judged = trib_relevance_positions(run->rooms.relevance) > 0,
        .may_be_stale = trib_server_may_be_stale(run->rooms.settings),
    };
}

/* What adapts from round to round goes by one kind of loss a run: the test set's, where there is one. */
static double loss_of(const struct trib_run *run, const struct trib_round_record *record)
{
    return run->rooms.has_test_set ? record->loss : record->train_loss;
}

static void round_ended(struct trib_run *run, bool carried)
{
    const struct trib_round_record record = make_record(run, carried);
    int64_t now_ms = run->host.now_ms(run->host.context);
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_ROUND_ENDED,
                                           .round = record.summary.round,
                                           .attempt = record.summary.attempt,
                                           .record = &record,
                                           .duration_ms = now_ms - record.summary.began_ms});
    trib_proximal_learn(&run->rooms.proximal, loss_of(run, &record));
}

static void commit(struct trib_run *run)
{
    struct trib_job *job = trib_run_job(run, TRIB_JOB_COMMIT);
    job->updates = trib_round_summary(run->rooms.round)->folded;
    job->made.version = trib_version_ref(&run->made.version);
    job->made.signs = trib_blob_ref(run->made.signs);
    job->made.strategy = trib_blob_ref(run->made.strategy);
    if (run->rooms.journal) {
        struct trib_round_record record = make_record(run, false);
        struct trib_proximal proximal = run->rooms.proximal;
        struct trib_present after = trib_run_look(run);
        record.version++;                                /* it is not published yet */
        trib_journal_gather(run->rooms.journal, &after); /* the present as it is, and then as it will be */
        trib_proximal_learn(&proximal, loss_of(run, &record));
        after.proximal = &proximal;
        job->wall_ms = after.wall_ms;
        trib_journal_take_commit(run->rooms.journal, &after, &record,
                                 after.wall_ms - (after.now_ms - record.summary.began_ms), &job->batch);
    }
    submit(run, job);
}

static void publish(struct trib_run *run)
{
    trib_release_publish(run->rooms.release, &run->made.version);
    trib_relevance_learn(run->rooms.relevance, run->made.signs);
    run->made.signs = NULL;
    trib_made_clear(&run->made);
    submit(run, trib_run_job(run, TRIB_JOB_SETTLE));
    round_ended(run, false);
}

static void abandoned(struct trib_run *run, const char *reason)
{
    const struct trib_round_summary *s = trib_round_summary(run->rooms.round);
    trib_made_clear(&run->made);
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_ROUND_ABANDONED,
                                           .round = s->round,
                                           .attempt = s->attempt,
                                           .summary = s,
                                           .reason = reason});
}

/* ---- the run's end ---- */

/* What clients are told for good must not be forgotten: the last rows are on the disk before. */
static void end_run(struct trib_run *run)
{
    bool complete = atomic_load(&run->complete);
    trib_roster_end_all(run->rooms.roster, complete ? "the run is finished" : "the server is stopping", complete,
                        complete ? 0 : 2);
    run->done = true;
}

static void finished(struct trib_run *run, const char *reason)
{
    uint64_t committed = trib_round_number(run->rooms.round) - 1;
    bool complete = committed >= (uint64_t)run->rooms.settings->rounds;
    atomic_store(&run->complete, complete);
    trib_run_tell(run, &(struct trib_fact){
                           .kind = TRIB_FACT_RUN_FINISHED, .round = committed, .complete = complete, .reason = reason});
    run->ending = true;
    if (!run->rooms.journal) {
        end_run(run);
        return;
    }
    const struct trib_present present = trib_run_look(run);
    struct trib_job *job = trib_run_job(run, TRIB_JOB_NOTE);
    job->durable = true;
    trib_journal_take_last(run->rooms.journal, &present, &job->batch);
    submit(run, job);
}

/* It cannot be known whether what was to be committed is on the disk. To go on could contradict it: the next process
 * looks. */
static void end_in_doubt(struct trib_run *run, const struct trib_job *job)
{
    run->failure = job->error;
    (void)trib_error_prefix(&run->failure, TRIB_IO, "the state directory is in doubt, restart the server");
    trib_log_error(TRIB_LOG_ERROR, "store", "state_in_doubt", &run->failure, TRIB_F_INT("round", job->round));
    trib_roster_end_all(run->rooms.roster, "the server has trouble with its disk", false, 2);
    run->done = true;
}

/* ---- members' ends ---- */

/* What a client says of other rounds than that of its task costs it nothing, and others no line of theirs. One that
 * offers again what was folded has missed its outcome, no more. */
static void outcome(struct trib_run *run, const struct trib_round_action *action)
{
    struct trib_part *part = trib_parts_of(&run->rooms.parts, action->client);
    uint64_t attempt, folded_round = part ? part->folded_round : 0;
    bool was_folded = action->round > 0 && folded_round == action->round;
    if (action->outcome == TRIB_OUTCOME_FOLDED && part) {
        part->folded_round = action->round; /* noted with the commit */
    } else if (!was_folded) {
        trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_OUTCOME,
                                               .round = action->round,
                                               .attempt = action->attempt,
                                               .node = trib_roster_node(run->rooms.roster, action->client),
                                               .outcome = action->outcome,
                                               .reason = action->reason,
                                               .current = trib_round_task_of(run->rooms.round, action->client,
                                                                             &attempt) == action->round,
                                               .weight = part ? part->weight : 0});
    }
    if (!trib_round_is_at_work(trib_round_member(run->rooms.round, action->client))) {
        trib_part_forget_sketch(part);
        trib_run_let_upload_go(run, action->client);
    }
    trib_run_send_outcome(run, action, action->outcome == TRIB_OUTCOME_LATE && was_folded);
}

/* ---- actions ---- */

static void apply(struct trib_run *run)
{
    struct trib_job *job = trib_run_job(run, TRIB_JOB_APPLY);
    job->base = trib_version_ref(trib_release_present(run->rooms.release));
    submit(run, job);
}

static void evaluate(struct trib_run *run)
{
    struct trib_job *job = trib_run_job(run, TRIB_JOB_EVALUATE);
    job->made.version = trib_version_ref(&run->made.version);
    submit(run, job);
}

static void run_action(struct trib_run *run, const struct trib_round_action *action)
{
    switch (action->kind) {
    case TRIB_ACTION_BEGIN:
        trib_run_begin_round(run);
        break;
    case TRIB_ACTION_TASK:
        trib_run_send_task(run, action);
        break;
    case TRIB_ACTION_SCORE:
        run->score_due = true;
        break;
    case TRIB_ACTION_SKIP:
        trib_run_send_skip(run, action);
        break;
    case TRIB_ACTION_GRANT:
        trib_run_send_grant(run, action);
        break;
    case TRIB_ACTION_FOLD:
        trib_run_fold(run, action);
        break;
    case TRIB_ACTION_DISCARD:
        trib_uploads_discard(run->rooms.uploads, action->client);
        trib_run_let_upload_go(run, action->client);
        break;
    case TRIB_ACTION_OUTCOME:
        outcome(run, action);
        break;
    case TRIB_ACTION_APPLY:
        apply(run);
        break;
    case TRIB_ACTION_EVALUATE:
        evaluate(run);
        break;
    case TRIB_ACTION_COMMIT:
        commit(run);
        break;
    case TRIB_ACTION_COMMITTED:
        publish(run);
        break;
    case TRIB_ACTION_CARRIED:
        round_ended(run, true);
        break;
    case TRIB_ACTION_ABANDONED:
        abandoned(run, action->reason);
        break;
    case TRIB_ACTION_FINISHED:
        finished(run, action->reason);
        break;
    case TRIB_ACTION_ASK: /* of phases that no setting switches on yet */
    case TRIB_ACTION_TELL:
    case TRIB_ACTION_WORK:
    case TRIB_ACTION_PHASE_DONE:
        break;
    }
}

bool trib_run_step(struct trib_run *run, struct trib_round_event *event)
{
    const struct trib_round_action *actions;
    const char *ignored = NULL;
    size_t n = 0;
    event->now_ms = run->host.now_ms(run->host.context);
    if (trib_round_step(run->rooms.round, event, &actions, &n, &ignored) != TRIB_OK) {
        return false; /* JOINED alone may need more than was reserved */
    }
    if (ignored && event->kind != TRIB_EVENT_PROGRESS && event->kind != TRIB_EVENT_TICK) {
        trib_log(TRIB_LOG_DEBUG, "round", "event_ignored", TRIB_F_INT("kind", event->kind),
                 TRIB_F_INT("client", event->client), TRIB_F_STR("reason", ignored));
    }
    for (size_t i = 0; i < n; i++) {
        run_action(run, &actions[i]);
    }
    if (run->score_due) {
        run->score_due = false;
        trib_run_score(run);
    }
    return !ignored;
}

/* ---- jobs that are done ---- */

static void batch_done(struct trib_run *run, const struct trib_job *job)
{
    trib_journal_batch_done(run->rooms.journal, job->ok, job->durable, run->host.now_ms(run->host.context));
    if (run->ending && job->durable) {
        if (!job->ok) { /* it is complete all the same; after a crash its last carried rounds are done again */
            trib_log_error(TRIB_LOG_ERROR, "store", "end_not_written", &job->error);
        }
        end_run(run);
    } else if (!job->ok) { /* what is not written down costs work after a crash, no more */
        trib_log_error(TRIB_LOG_WARN, "store", "notes_not_written", &job->error);
    }
}

static void client_lied(struct trib_run *run, const struct trib_job *job)
{
    struct trib_part *part = trib_parts_of(&run->rooms.parts, job->client);
    part->lies++;
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_LIED,
                                           .round = job->round,
                                           .node = trib_roster_node(run->rooms.roster, job->client),
                                           .reason = job->error.message,
                                           .times = part->lies,
                                           .rounds = (uint64_t)run->rooms.settings->relevance_penalty});
}

/* What a job came to, into the run; false: it is of no round, or of one that was given up. */
static void take_result(struct trib_run *run, struct trib_job *job)
{
    bool current = job->round == trib_round_number(run->rooms.round) &&
                   job->attempt == trib_round_summary(run->rooms.round)->attempt;
    if (job->kind == TRIB_JOB_FOLD && job->ok && current) {
        const struct trib_part *part = trib_parts_of(&run->rooms.parts, job->client);
        run->train_loss_sum += part->offer_loss * (double)job->fold.info.weight;
        run->train_weight_sum += (double)job->fold.info.weight;
    } else if (job->kind == TRIB_JOB_APPLY && job->ok && current) {
        trib_made_clear(&run->made);
        run->made = job->made;
        job->made = (struct trib_made){0};
    } else if (job->kind == TRIB_JOB_EVALUATE && job->ok) {
        run->evaluation = job->evaluation;
    }
}

static void work_done(struct trib_run *run, struct trib_job *job)
{
    static const enum trib_round_event_kind kinds[] = {[TRIB_JOB_FOLD] = TRIB_EVENT_FOLDED,
                                                       [TRIB_JOB_APPLY] = TRIB_EVENT_APPLIED,
                                                       [TRIB_JOB_EVALUATE] = TRIB_EVENT_EVALUATED,
                                                       [TRIB_JOB_COMMIT] = TRIB_EVENT_COMMITTED};
    static const char *const names[] = {[TRIB_JOB_BEGIN] = "begin_failed",
                                        [TRIB_JOB_FOLD] = "fold_failed",
                                        [TRIB_JOB_APPLY] = "apply_failed",
                                        [TRIB_JOB_EVALUATE] = "evaluation_failed",
                                        [TRIB_JOB_COMMIT] = "commit_failed"};
    if (job->kind == TRIB_JOB_COMMIT && run->rooms.journal) {
        trib_journal_commit_done(run->rooms.journal, job->ok, run->host.now_ms(run->host.context));
    }
    if (job->folded.lied) {
        client_lied(run, job);
    }
    if (!job->ok && (job->kind != TRIB_JOB_FOLD || job->folded.harmful)) {
        trib_log_error(TRIB_LOG_ERROR, "round", names[job->kind], &job->error, TRIB_F_INT("round", job->round));
    }
    if (job->kind == TRIB_JOB_BEGIN) {
        return; /* when it failed, no update can be folded and the round will be abandoned for it */
    }
    take_result(run, job);
    trib_run_step(run, &(struct trib_round_event){.kind = kinds[job->kind],
                                                  .client = job->client,
                                                  .round = job->round,
                                                  .attempt = job->attempt,
                                                  .ok = job->ok,
                                                  .harmful = job->folded.harmful,
                                                  .lied = job->folded.lied,
                                                  .reason = job->error.message});
}

void trib_run_job_done(struct trib_run *run, struct trib_job *job)
{
    if (run->done || job->kind == TRIB_JOB_SETTLE) {
        /* nothing more is to be known of it */
    } else if (job->doubtful) {
        end_in_doubt(run, job);
    } else if (job->kind == TRIB_JOB_NOTE) {
        batch_done(run, job);
    } else {
        work_done(run, job);
    }
    take_back(run, job);
}

/* ---- time ---- */

void trib_run_settle(struct trib_run *run)
{
    if (!run->done && run->host.now_ms(run->host.context) >= trib_round_next_tick(run->rooms.round)) {
        trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_TICK});
    }
    const uint32_t *changed;
    if (run->done || !run->rooms.journal) {
        (void)trib_round_take_changed(run->rooms.round, &changed); /* nobody writes it down */
        return;
    }
    const struct trib_present present = trib_run_look(run);
    struct trib_batch batch;
    if (trib_journal_take(run->rooms.journal, &present, &batch)) {
        struct trib_job *job = trib_run_job(run, TRIB_JOB_NOTE);
        job->batch = batch;
        submit(run, job);
    }
}

int64_t trib_run_wake_ms(const struct trib_run *run)
{
    if (run->done) {
        return INT64_MAX;
    }
    int64_t round_ms = trib_round_next_tick(run->rooms.round);
    int64_t journal_ms = run->rooms.journal ? trib_journal_due_ms(run->rooms.journal) : INT64_MAX;
    return round_ms < journal_ms ? round_ms : journal_ms;
}

void trib_run_resume(struct trib_run *run)
{
    if (!run->done) {
        trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_RESUME});
    }
}

void trib_run_stop(struct trib_run *run)
{
    if (!run->done) {
        trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_STOP});
    }
}

bool trib_run_done(const struct trib_run *run)
{
    return run->done;
}

bool trib_run_complete(const struct trib_run *run)
{
    return atomic_load(&run->complete);
}

enum trib_status trib_run_failure(const struct trib_run *run, struct trib_error *error)
{
    if (run->failure.status != TRIB_OK && error) {
        *error = run->failure;
    }
    return run->failure.status;
}

/* ---- its life ---- */

static void on_upload_ended(void *context, struct trib_upload *upload, const struct trib_error *fault)
{
    struct trib_run *run = context;
    const struct trib_upload_owner owner = trib_upload_owner(upload);
    run->host.upload_ended(run->host.context, run, &owner, fault ? NULL : trib_upload_ref(upload),
                           fault ? fault->message : NULL);
}

enum trib_status trib_run_new(const struct trib_run_setup *setup, struct trib_run **run, struct trib_error *error)
{
    struct trib_run *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    const struct trib_setup rooms = {.settings = setup->settings,
                                     .software = setup->software,
                                     .clock = {.context = setup->host.context,
                                               .now_ms = setup->host.now_ms,
                                               .wall_ms = setup->host.wall_ms,
                                               .simulated = setup->host.simulated},
                                     .ended = on_upload_ended,
                                     .context = made,
                                     .new_run = setup->new_run};
    made->host = setup->host;
    enum trib_status status = trib_rooms_init(&made->rooms, &rooms, error);
    if (status != TRIB_OK) {
        trib_free(made);
        return status;
    }
    made->done = made->rooms.complete;
    atomic_store(&made->complete, made->done);
    if (made->rooms.resumed) {
        const struct trib_store_runs *last = trib_journal_last_run(made->rooms.journal);
        trib_run_tell(made, &(struct trib_fact){.kind = TRIB_FACT_RUN_RESUMED,
                                                .round = last->round,
                                                .attempt = last->attempt,
                                                .version = last->commits,
                                                .open = last->open,
                                                .members = made->rooms.resumed_members,
                                                .uploads = made->rooms.resumed_uploads});
    }
    *run = made;
    return TRIB_OK;
}

void trib_run_free(struct trib_run *run)
{
    if (!run) {
        return;
    }
    while (run->spare) {
        struct trib_letter *next = run->spare->next;
        trib_free(run->spare);
        run->spare = next;
    }
    trib_rooms_clear(&run->rooms);
    trib_made_clear(&run->made);
    trib_free(run);
}

/* ---- fixed ---- */

const char *trib_run_id(const struct trib_run *run)
{
    return run->rooms.id;
}

const char *trib_run_compute(const struct trib_run *run)
{
    return run->rooms.backend->describe ? run->rooms.backend->describe() : run->rooms.backend->name;
}

const struct trib_server_settings *trib_run_settings(const struct trib_run *run)
{
    return run->rooms.settings;
}

struct trib_blob *trib_run_blob(struct trib_run *run, const uint8_t sha256[32])
{
    return trib_release_blob(run->rooms.release, sha256);
}

struct trib_uploads *trib_run_uploads(struct trib_run *run)
{
    return run->rooms.uploads;
}

const struct trib_version *trib_run_present(const struct trib_run *run)
{
    return trib_release_present(run->rooms.release);
}

const struct trib_schema *trib_run_schema(const struct trib_run *run)
{
    return &run->rooms.schema;
}
