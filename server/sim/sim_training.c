/* A client's training: what it does and how long it takes are known when it begins; the result is there when its time
 * has come. */
#include "sim_private.h"

#include "base/mem.h"
#include "base/str.h"
#include "client/feedback_store.h"
#include "scratch.h"
#include "sim/work_plan.h"

#include <string.h>

/* ---- what clients remember ---- */

static enum trib_status use_scratch(struct sim *sim, struct trib_error *error)
{
    if (!sim->scratch) {
        TRIB_TRY(trib_scratch_make(&sim->own_scratch, error));
        sim->scratch = sim->own_scratch;
    }
    return TRIB_OK;
}

static char *feedback_dir(const struct sim_actor *actor)
{
    return trib_asprintf("%s/%u", actor->sim->scratch, actor->number);
}

void sim_settle(struct sim_actor *actor, const struct trib_client_task *task, bool folded)
{
    struct trib_feedback_store *store = NULL;
    struct trib_error error;
    if (!actor->remembers) {
        return;
    }
    sim_train_cancel(actor, true); /* the outcome ends it; nobody else may use the state meanwhile */
    char *dir = feedback_dir(actor);
    if (!dir || trib_feedback_store_new(dir, &store, &error) != TRIB_OK) {
        sim_fail(actor->sim, TRIB_NO_MEMORY);
    } else {
        trib_feedback_store_settle(store, task->run, task->round, folded);
    }
    trib_feedback_store_free(store);
    trib_free(dir);
}

/* ---- beginning ---- */

static struct trib_rng draw_of(const struct sim_actor *actor, const char *what)
{
    return trib_rng_init(actor->sim->seed, what, (uint64_t)actor->number << 32 | actor->part, actor->part_round);
}

static void maybe_drop_out(const struct sim_actor *actor, double seconds)
{
    struct trib_rng rng = draw_of(actor, "dropout");
    if (trib_rng_uniform64(&rng) < actor->sim->settings->dropout) {
        const struct sim_event event = {.kind = SIM_EVENT_DROP_OUT, .actor = actor->number, .life = actor->life};
        sim_schedule(actor->sim, actor->sim->now_us + sim_us(trib_rng_uniform64(&rng) * seconds), &event);
    }
}

/* The model that it holds from now on, as a worker with a state directory would (client/model_cache.h). */
static void hold_model(struct sim_actor *actor, const struct trib_session_action *action)
{
    const struct trib_client_task *task = action->task;
    bool of_use = task->n_deltas > 0 || task->has_initialisation || task->model_version == 0;
    if (!of_use && action->route->way == TRIB_MODEL_WHOLE) {
        return;
    }
    actor->held = (struct trib_held_model){.version = task->model_version};
    (void)trib_str_copy(actor->held.run, sizeof actor->held.run, task->run);
    memcpy(actor->held.sha256, task->model_sha256, sizeof actor->held.sha256);
}

static enum trib_status make_job(struct sim_actor *actor, const struct trib_client_task *task,
                                 const struct trib_sim_work *work, struct trib_sim_job **job, struct trib_error *error)
{
    struct sim *sim = actor->sim;
    if (!actor->model || memcmp(actor->model_sha256, task->model_sha256, sizeof actor->model_sha256) != 0) {
        return trib_fail(error, TRIB_INTERNAL, "the task's model is not at hand");
    }
    struct trib_sim_job *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    if (task->feedback.kind != TRIB_FEEDBACK_NONE) {
        enum trib_status status = use_scratch(sim, error);
        made->feedback_dir = status == TRIB_OK ? feedback_dir(actor) : NULL;
        if (!made->feedback_dir) {
            trib_free(made);
            return status == TRIB_OK ? trib_fail_no_memory(error) : status;
        }
        actor->remembers = true;
    }
    made->task = *task;
    made->task.graph = trib_blob_ref(task->graph);
    made->task.recipe.max_steps = work->max_steps;
    if (made->task.recipe.batch_size > sim->largest) { /* the same batches, without room for more */
        made->task.recipe.batch_size = sim->largest;
    }
    made->model = trib_blob_ref(actor->model);
    made->indices = actor->indices;
    made->n = actor->n;
    *job = made;
    return TRIB_OK;
}

static void begin(struct sim_actor *actor, const struct trib_client_task *task, const struct trib_sim_work *work)
{
    struct sim *sim = actor->sim;
    struct trib_error error = {.message = ""};
    struct trib_sim_job *job = NULL;
    struct sim_event event = {
        .kind = SIM_EVENT_TRAINED, .actor = actor->number, .life = actor->life, .job = actor->training};
    event.status = make_job(actor, task, work, &job, &error);
    if (event.status != TRIB_OK || !job) {
        event.reason = trib_strdup(error.message);
        sim_schedule(sim, sim->now_us, &event);
        return;
    }
    job->end_us = sim->now_us + sim_us(work->seconds);
    job->order = sim_schedule_placed(sim, job->end_us, &event);
    if (trib_trainers_add(sim->trainers, job) != TRIB_OK) {
        trib_sim_job_free(job);
        sim_fail(sim, TRIB_NO_MEMORY);
        return;
    }
    actor->job = job;
}

void sim_train(struct sim_actor *actor, const struct trib_session_action *action)
{
    struct sim *sim = actor->sim;
    const struct trib_client_task *task = action->task;
    sim_train_cancel(actor, false);
    actor->part = task->round == actor->part_round ? actor->part + 1 : 0;
    actor->part_round = task->round;
    const struct trib_sim_part part = {.seed = sim->seed,
                                       .client = actor->number,
                                       .round = task->round,
                                       .part = actor->part,
                                       .n = actor->n,
                                       .speed = actor->speed};
    const struct trib_sim_work work = trib_sim_work_plan(sim->settings, &task->recipe, &part);
    actor->training = action->job;
    actor->training_ms = sim_us(work.seconds) / 1000;
    actor->stopped_early = work.stopped_early;
    hold_model(actor, action);
    maybe_drop_out(actor, work.seconds);
    if (!work.never) {
        begin(actor, task, &work);
    }
}

void sim_train_cancel(struct sim_actor *actor, bool tell)
{
    if (actor->job) {
        trib_trainers_cancel(actor->sim->trainers, actor->job);
        actor->job = NULL;
    }
    if (tell && actor->training) {
        const struct sim_event event = {.kind = SIM_EVENT_TRAINED,
                                        .actor = actor->number,
                                        .life = actor->life,
                                        .job = actor->training,
                                        .status = TRIB_CANCELLED};
        sim_schedule(actor->sim, actor->sim->now_us, &event);
    }
    actor->training = 0;
}

/* ---- ending ---- */

void sim_trained(struct sim_actor *actor, const struct sim_event *event)
{
    struct trib_session_event trained = {
        .kind = TRIB_SESSION_TRAINED, .job = event->job, .status = event->status, .held = actor->held};
    struct trib_sim_job *job = NULL;
    (void)trib_str_copy(trained.reason, sizeof trained.reason,
                        event->reason ? event->reason : trib_status_text(event->status));
    if (event->status == TRIB_OK) {
        if (event->job != actor->training || !actor->job) {
            return; /* it was cancelled, and its session was told */
        }
        job = actor->job;
        actor->job = NULL;
        trib_trainers_wait(actor->sim->trainers, job);
        trained.status = job->status;
        if (job->status == TRIB_OK) {
            trained.is.update = job->update;
            job->update = (struct trib_client_update){0};
            trained.is.update.result.ms = actor->training_ms;
            trained.is.update.result.stopped_early = actor->stopped_early;
        } else {
            (void)trib_str_copy(trained.reason, sizeof trained.reason, job->error.message);
        }
        trib_sim_job_free(job);
        actor->training = 0;
    }
    sim_actor_step(actor, &trained);
    trib_client_update_clear(&trained.is.update); /* unless the session took it */
}
