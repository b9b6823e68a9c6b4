/* The pool of training threads. */
#include "trainers.h"

#include "base/mem.h"
#include "base/str.h"
#include "client/local_training.h"
#include "sim/event_heap.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { AHEAD_FOR_EACH = 4 }; /* results of a thread that may wait for their time */

struct trainer {
    struct trib_trainers *pool;
    pthread_t thread;
    struct trib_client_data data; /* the shared dataset; the indices are the job's */
    struct trib_local_training local;
    struct trib_feedback_store *none; /* of jobs without error feedback */
};
struct trib_trainers {
    struct trainer *list;
    int n;

    pthread_mutex_t mutex; /* guards what follows, and each job's state */
    pthread_cond_t work, done;
    struct trib_event_heap queue;       /* of jobs, by the end of each */
    const struct trib_sim_job *awaited; /* NULL = none */
    int ahead;                          /* jobs that are running, or done and not collected */
    bool ending;
};

void trib_sim_job_free(struct trib_sim_job *job)
{
    if (job) {
        trib_blob_unref(job->task.graph);
        trib_blob_unref(job->model);
        trib_client_update_clear(&job->update);
        trib_free(job->feedback_dir);
        trib_free(job);
    }
}

/* ---- one job ---- */

static enum trib_status train(struct trainer *trainer, struct trib_sim_job *job, struct trib_error *error)
{
    struct trib_model_delivery delivery = {.route = trib_model_route_whole(&job->task)};
    delivery.spools[0] = trib_model_spool_adopt(job->model);
    if (!delivery.spools[0]) {
        return trib_fail_no_memory(error);
    }
    job->model = NULL; /* the spool's */
    delivery.n_spools = 1;
    trainer->data.indices = job->indices;
    trainer->data.n = job->n;
    enum trib_status status =
        trib_local_training_run(&trainer->local, &job->task, &delivery, &job->stop, &job->update, error);
    trib_model_delivery_clear(&delivery);
    trib_model_cache_drop(&trainer->local.cache);
    if (status != TRIB_OK) { /* what is kept may be half made */
        trib_local_training_forget(&trainer->local);
    }
    return status;
}

static enum trib_status run_job(struct trainer *trainer, struct trib_sim_job *job, struct trib_error *error)
{
    trainer->local.feedback = trainer->none;
    if (!job->feedback_dir) {
        return train(trainer, job, error);
    }
    struct trib_feedback_store *store;
    TRIB_TRY(trib_feedback_store_new(job->feedback_dir, &store, error));
    trainer->local.feedback = store;
    enum trib_status status = train(trainer, job, error);
    trainer->local.feedback = trainer->none;
    trib_feedback_store_free(store);
    return status;
}

/* The job to be done next, or NULL: nothing is there, or enough results wait already. Under the lock. */
static struct trib_sim_job *take_job(struct trib_trainers *pool)
{
    const struct trib_event_heap_item *top;
    while ((top = trib_event_heap_top(&pool->queue))) {
        struct trib_sim_job *job = top->event;
        if (job->dropped) {
            trib_sim_job_free(trib_event_heap_pop(&pool->queue));
        } else if (pool->ahead < pool->n * (AHEAD_FOR_EACH + 1) || job == pool->awaited) {
            return trib_event_heap_pop(&pool->queue);
        } else {
            break;
        }
    }
    return NULL;
}

static void *trainer_main(void *context)
{
    struct trainer *trainer = context;
    struct trib_trainers *pool = trainer->pool;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->ending) {
        struct trib_sim_job *job = take_job(pool);
        if (!job) {
            pthread_cond_wait(&pool->work, &pool->mutex);
            continue;
        }
        job->state = TRIB_SIM_JOB_RUNNING;
        pool->ahead++;
        pthread_mutex_unlock(&pool->mutex);
        job->status = run_job(trainer, job, &job->error);
        pthread_mutex_lock(&pool->mutex);
        job->state = TRIB_SIM_JOB_DONE;
        pthread_cond_broadcast(&pool->done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* ---- the pool ---- */

/* Signals stay with the thread that drives the simulation. */
static int start_thread(struct trainer *trainer)
{
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    int errnum = pthread_create(&trainer->thread, NULL, trainer_main, trainer);
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    return errnum;
}

static void clear_trainer(struct trainer *trainer)
{
    trib_local_training_forget(&trainer->local);
    trib_model_cache_close(&trainer->local.cache);
    trib_feedback_store_free(trainer->none);
}

static enum trib_status start_trainer(struct trib_trainers *pool, const struct trib_backend *backend,
                                      const struct trib_dataset *dataset, struct trib_error *error)
{
    struct trainer *trainer = &pool->list[pool->n];
    trainer->pool = pool;
    trainer->data.dataset = *dataset;
    trainer->local.backend = backend;
    trainer->local.data = &trainer->data;
    TRIB_TRY(trib_feedback_store_new(NULL, &trainer->none, error));
    int errnum = start_thread(trainer);
    if (errnum != 0) {
        clear_trainer(trainer);
        return trib_fail_errno(error, errnum, "a training thread cannot be started");
    }
    pool->n++;
    return TRIB_OK;
}

enum trib_status trib_trainers_new(int threads, const struct trib_backend *backend, const struct trib_dataset *dataset,
                                   struct trib_trainers **trainers, struct trib_error *error)
{
    struct trib_trainers *made = trib_calloc(1, sizeof *made);
    struct trainer *list = trib_calloc((size_t)threads, sizeof *list);
    if (!made || !list) {
        trib_free(made);
        trib_free(list);
        return trib_fail_no_memory(error);
    }
    made->list = list;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_cond_init(&made->done, NULL);
    enum trib_status status = TRIB_OK;
    for (int i = 0; i < threads && status == TRIB_OK; i++) {
        status = start_trainer(made, backend, dataset, error);
    }
    if (status != TRIB_OK) {
        trib_trainers_free(made);
        return status;
    }
    *trainers = made;
    return TRIB_OK;
}

void trib_trainers_free(struct trib_trainers *trainers)
{
    if (!trainers) {
        return;
    }
    pthread_mutex_lock(&trainers->mutex);
    trainers->ending = true;
    pthread_cond_broadcast(&trainers->work);
    pthread_mutex_unlock(&trainers->mutex);
    for (int i = 0; i < trainers->n; i++) {
        pthread_join(trainers->list[i].thread, NULL);
        clear_trainer(&trainers->list[i]);
    }
    struct trib_sim_job *job;
    while ((job = trib_event_heap_pop(&trainers->queue))) {
        trib_sim_job_free(job);
    }
    trib_event_heap_clear(&trainers->queue);
    pthread_cond_destroy(&trainers->done);
    pthread_cond_destroy(&trainers->work);
    pthread_mutex_destroy(&trainers->mutex);
    trib_free(trainers->list);
    trib_free(trainers);
}

enum trib_status trib_trainers_add(struct trib_trainers *trainers, struct trib_sim_job *job)
{
    pthread_mutex_lock(&trainers->mutex);
    enum trib_status status = trib_event_heap_push_at(&trainers->queue, job->end_us, job->order, job);
    pthread_cond_signal(&trainers->work);
    pthread_mutex_unlock(&trainers->mutex);
    return status;
}

/* Until nobody works on it. Under the lock. */
static void wait_done(struct trib_trainers *trainers, const struct trib_sim_job *job)
{
    while (job->state != TRIB_SIM_JOB_DONE) {
        pthread_cond_wait(&trainers->done, &trainers->mutex);
    }
    trainers->ahead--;
    pthread_cond_broadcast(&trainers->work);
}

void trib_trainers_wait(struct trib_trainers *trainers, struct trib_sim_job *job)
{
    pthread_mutex_lock(&trainers->mutex);
    trainers->awaited = job;
    pthread_cond_broadcast(&trainers->work);
    wait_done(trainers, job);
    trainers->awaited = NULL;
    pthread_mutex_unlock(&trainers->mutex);
}

void trib_trainers_cancel(struct trib_trainers *trainers, struct trib_sim_job *job)
{
    pthread_mutex_lock(&trainers->mutex);
    atomic_store(&job->stop, true);
    job->dropped = true;
    bool queued = job->state == TRIB_SIM_JOB_QUEUED;
    if (!queued) {
        wait_done(trainers, job);
    }
    pthread_mutex_unlock(&trainers->mutex);
    if (!queued) {
        trib_sim_job_free(job);
    }
}
