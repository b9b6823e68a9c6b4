/* The worker thread takes jobs from a mailbox, and looks at two flags between them. */
#include "client/worker.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/client_data.h"
#include "client/local_training.h"
#include "client/task_store.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum job_kind {
    JOB_TRAIN,
    JOB_FORGET, /* the finished update */
    JOB_SETTLE  /* the task's round has an outcome */
};
struct job {
    struct trib_letter letter; /* first */
    enum job_kind kind;
    struct trib_session_event *event; /* prepared, so that the result can always be told */
    struct trib_client_task task;
    struct trib_model_delivery delivery;
    uint64_t number; /* from 1 */
    _Atomic(bool) stop;
    bool folded;
};

struct trib_worker {
    struct trib_worker_config config;
    pthread_t thread;
    struct trib_session_event *data_event;

    struct trib_mailbox jobs; /* and the nudge */
    pthread_mutex_t lock;     /* guards what follows, up to the thread's own part */
    struct trib_letter nudge; /* wakes the thread for the flags */
    bool nudged;              /* the nudge is in the mailbox */
    bool release, drop_model, ending;
    struct job *running;
    uint64_t added, cancelled; /* jobs, and how many of them, the oldest, are to end */

    /* The thread's own. */
    struct trib_client_data data;
    bool has_data;
    struct trib_local_training local;
    struct trib_thread_pool *pool;
};

static void job_free(struct job *job)
{
    trib_session_event_free(job->event);
    trib_model_delivery_clear(&job->delivery);
    trib_blob_unref(job->task.graph);
    trib_free(job);
}

static void give_memory_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* Hand the job's event over; it belongs to the mailbox then. */
static void push_result(struct trib_worker *worker, struct trib_session_event *event, enum trib_status status,
                        const struct trib_error *error)
{
    event->status = status;
    if (status != TRIB_OK) {
        (void)trib_str_copy(event->reason, sizeof event->reason, error->message);
    }
    trib_session_event_post(worker->config.events, event);
}

static void load_data(struct trib_worker *worker)
{
    struct trib_error error = {.message = ""};
    int64_t begun = trib_clock_ms();
    enum trib_status status = trib_client_data_load(worker->config.settings, &worker->data, &error);
    give_memory_back();
    struct trib_session_event *event = worker->data_event;
    worker->data_event = NULL;
    if (status == TRIB_OK) {
        worker->has_data = true;
        const struct trib_dataset *dataset = &worker->data.dataset;
        char shape[64];
        trib_log(TRIB_LOG_INFO, "client", "data_loaded", TRIB_F_INT("examples", dataset->n),
                 TRIB_F_INT("classes", dataset->classes),
                 TRIB_F_STR("example_shape", trib_shape_format(&dataset->example, shape, sizeof shape)),
                 TRIB_F_STR("partition", worker->config.settings->data_partition),
                 TRIB_F_REAL("seconds", (double)(trib_clock_ms() - begun) / 1000));
        event->is.examples = dataset->n;
    }
    push_result(worker, event, status, &error);
}

static void open_cache(struct trib_worker *worker)
{
    struct trib_error error;
    const char *dir = worker->config.settings->state_dir;
    worker->local.cache.budget = worker->config.budget;
    if (dir && trib_model_cache_open(&worker->local.cache, dir, &error) != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, "client", "held_model_not_opened", &error);
    }
}

static enum trib_status open_feedback(struct trib_worker *worker, struct trib_error *error)
{
    const char *dir = worker->config.settings->state_dir;
    return worker->local.feedback ? TRIB_OK : trib_feedback_store_new(dir, &worker->local.feedback, error);
}

static enum trib_status prepare(struct trib_worker *worker, struct trib_error *error)
{
    if (!worker->has_data) {
        return trib_fail(error, TRIB_UNAVAILABLE, "the client's own data are not loaded");
    }
    if (!worker->pool && worker->config.settings->compute.threads != 1) {
        TRIB_TRY(trib_thread_pool_new((int)worker->config.settings->compute.threads, &worker->pool, error));
    }
    TRIB_TRY(open_feedback(worker, error));
    worker->local.backend = worker->config.backend;
    worker->local.pool = worker->pool;
    worker->local.data = &worker->data;
    worker->local.limits = trib_client_settings_limits(worker->config.settings);
    worker->local.budget = worker->config.budget;
    return TRIB_OK;
}

static void forget_update(struct trib_worker *worker)
{
    trib_task_store_forget(worker->config.settings->state_dir);
}

/* Within the owner's budget, the update comes before the model that is held. */
static enum trib_status make_room(struct trib_worker *worker, uint64_t len, struct trib_error *error)
{
    struct trib_model_cache *cache = &worker->local.cache;
    enum trib_status status = trib_disk_budget_set(worker->config.budget, TRIB_DISK_UPDATE, len, error);
    if (status == TRIB_OK || cache->held.run[0] == '\0' ||
        trib_disk_budget_exchange(worker->config.budget, TRIB_DISK_UPDATE, len, TRIB_DISK_MODEL, NULL) != TRIB_OK) {
        return status;
    }
    trib_log(TRIB_LOG_WARN, "client", "held_model_dropped", TRIB_F_STR("run", cache->held.run),
             TRIB_F_INT("model_version", cache->held.version), TRIB_F_STR("reason", error->message));
    trib_model_cache_drop(cache);
    return TRIB_OK;
}

/* For another process of this client; what cannot be kept is offered all the same. */
static bool save_update(struct trib_worker *worker, const struct job *job)
{
    struct trib_error error = {.message = ""};
    const char *dir = worker->config.settings->state_dir;
    const struct trib_client_update *update = &job->event->is.update;
    if (!dir || atomic_load(&job->stop)) {
        return false;
    }
    enum trib_status status = make_room(worker, trib_task_store_len(update), &error);
    if (status == TRIB_OK) {
        status = trib_task_store_save(dir, &job->task, update, &error);
    }
    if (status != TRIB_OK) {
        trib_disk_budget_note(worker->config.budget, TRIB_DISK_UPDATE, 0);
        trib_log_error(TRIB_LOG_WARN, "client", "update_not_saved", &error);
        forget_update(worker); /* it may be there in spite of that */
    }
    return status == TRIB_OK;
}

static void run_job(struct trib_worker *worker, struct job *job)
{
    struct trib_error error = {.message = ""};
    forget_update(worker); /* of an earlier task, that was cancelled as it was saved */
    enum trib_status status = prepare(worker, &error);
    if (status == TRIB_OK) {
        status = trib_local_training_run(&worker->local, &job->task, &job->delivery, &job->stop, &job->event->is.update,
                                         &error);
    }
    const bool unusable = status != TRIB_OK && job->delivery.unusable;
    trib_model_delivery_clear(&job->delivery);
    if (status == TRIB_OK) {
        job->event->saved = save_update(worker, job);
    } else { /* what is cached may be half made */
        trib_local_training_forget(&worker->local);
    }
    struct trib_session_event *event = job->event;
    job->event = NULL;
    event->held = worker->local.cache.held;
    event->model_unusable = unusable;
    push_result(worker, event, status, &error);
}

static void settle(struct trib_worker *worker, const struct job *job)
{
    struct trib_error error;
    if (open_feedback(worker, &error) == TRIB_OK) {
        trib_feedback_store_settle(worker->local.feedback, job->task.run, job->task.round, job->folded);
    }
}

static void do_job(struct trib_worker *worker, struct job *job)
{
    switch (job->kind) {
    case JOB_TRAIN:
        run_job(worker, job);
        break;
    case JOB_FORGET:
        forget_update(worker);
        break;
    case JOB_SETTLE:
        settle(worker, job);
        break;
    }
}

/* Whether a flag was set; it is not any more. */
static bool take_flag(struct trib_worker *worker, bool *flag)
{
    pthread_mutex_lock(&worker->lock);
    const bool was_set = *flag;
    *flag = false;
    pthread_mutex_unlock(&worker->lock);
    return was_set;
}

/* The job, unless the worker is ending: then it is only freed. */
static void take_job(struct trib_worker *worker, struct job *job)
{
    pthread_mutex_lock(&worker->lock);
    const bool wanted = !worker->ending;
    worker->running = job;
    if (job->number <= worker->cancelled) {
        atomic_store(&job->stop, true);
    }
    pthread_mutex_unlock(&worker->lock);
    if (wanted) {
        do_job(worker, job);
    }
    pthread_mutex_lock(&worker->lock);
    worker->running = NULL;
    pthread_mutex_unlock(&worker->lock);
    job_free(job);
}

static void release(struct trib_worker *worker)
{
    if (take_flag(worker, &worker->release)) {
        trib_local_training_forget(&worker->local);
        give_memory_back();
    }
}

static void *worker_main(void *argument)
{
    struct trib_worker *worker = argument;
    struct trib_letter *letter;
    load_data(worker);
    open_cache(worker);
    while ((letter = trib_mailbox_wait(&worker->jobs))) {
        const bool nudged = letter == &worker->nudge && take_flag(worker, &worker->nudged);
        if (take_flag(worker, &worker->drop_model)) { /* before any job that waits */
            trib_model_cache_drop(&worker->local.cache);
            give_memory_back();
        }
        if (nudged) {
            release(worker);
        } else {
            take_job(worker, (struct job *)(void *)letter);
        }
    }
    return NULL;
}

/* Signals stay with the main thread. */
static int start_thread(struct trib_worker *worker)
{
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    int errnum = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    if (errnum == 0) {
        pthread_setname_np(worker->thread, "trib-worker");
    }
    return errnum;
}

enum trib_status trib_worker_new(const struct trib_worker_config *config, struct trib_worker **worker,
                                 struct trib_error *error)
{
    struct trib_worker *made = trib_calloc(1, sizeof *made);
    struct trib_session_event *event = trib_session_event_new(TRIB_SESSION_DATA, 0);
    if (!made || !event) {
        trib_free(made);
        trib_session_event_free(event);
        return trib_fail_no_memory(error);
    }
    made->config = *config;
    made->data_event = event;
    enum trib_status status = trib_mailbox_init(&made->jobs, false, error);
    if (status != TRIB_OK) {
        trib_session_event_free(event);
        trib_free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    int errnum = start_thread(made);
    if (errnum != 0) {
        pthread_mutex_destroy(&made->lock);
        trib_mailbox_clear(&made->jobs);
        trib_session_event_free(event);
        trib_free(made);
        return trib_fail_errno(error, errnum, "the worker thread cannot be started");
    }
    *worker = made;
    return TRIB_OK;
}

void trib_worker_free(struct trib_worker *worker)
{
    if (!worker) {
        return;
    }
    trib_worker_cancel(worker);
    pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    pthread_mutex_unlock(&worker->lock);
    trib_mailbox_close(&worker->jobs); /* the thread empties it and ends */
    pthread_join(worker->thread, NULL);
    trib_local_training_forget(&worker->local);
    trib_model_cache_close(&worker->local.cache);
    trib_feedback_store_free(worker->local.feedback);
    trib_thread_pool_free(worker->pool);
    trib_client_data_clear(&worker->data);
    trib_session_event_free(worker->data_event);
    pthread_mutex_destroy(&worker->lock);
    trib_mailbox_clear(&worker->jobs);
    trib_free(worker);
}

static void add_job(struct trib_worker *worker, struct job *job)
{
    pthread_mutex_lock(&worker->lock);
    job->number = ++worker->added;
    worker->release = worker->release && job->kind != JOB_TRAIN;
    pthread_mutex_unlock(&worker->lock);
    trib_mailbox_post(&worker->jobs, &job->letter);
}

enum trib_status trib_worker_train(struct trib_worker *worker, uint64_t number, const struct trib_client_task *task,
                                   struct trib_model_delivery *delivery, struct trib_error *error)
{
    struct job *job = trib_calloc(1, sizeof *job);
    struct trib_session_event *event = trib_session_event_new(TRIB_SESSION_TRAINED, number);
    if (!job || !event) {
        trib_free(job);
        trib_session_event_free(event);
        trib_model_delivery_clear(delivery);
        return trib_fail_no_memory(error);
    }
    job->event = event;
    job->delivery = *delivery;
    *delivery = (struct trib_model_delivery){0};
    job->task = *task;
    job->task.graph = trib_blob_ref(task->graph);
    add_job(worker, job);
    return TRIB_OK;
}

/* Out of memory, it stays until the next task: its round is over, and nobody asks for it any more. */
void trib_worker_forget_update(struct trib_worker *worker)
{
    trib_disk_budget_note(worker->config.budget, TRIB_DISK_UPDATE, 0);
    struct job *job = trib_calloc(1, sizeof *job);
    if (job) {
        job->kind = JOB_FORGET;
        add_job(worker, job);
    }
}

/* Out of memory, it is not told: the next task's folded_round tells it then. */
void trib_worker_settle(struct trib_worker *worker, const char *run, uint64_t round, bool folded)
{
    struct job *job = trib_calloc(1, sizeof *job);
    if (!job) {
        return;
    }
    (void)trib_str_copy(job->task.run, sizeof job->task.run, run);
    job->task.round = round;
    job->kind = JOB_SETTLE;
    job->folded = folded;
    add_job(worker, job);
}

void trib_worker_cancel(struct trib_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->running) {
        atomic_store(&worker->running->stop, true);
    }
    worker->cancelled = worker->added;
    pthread_mutex_unlock(&worker->lock);
}

/* For the thread to see, soon. */
static void set_flag(struct trib_worker *worker, bool *flag)
{
    pthread_mutex_lock(&worker->lock);
    *flag = true;
    const bool nudge = !worker->nudged;
    worker->nudged = true;
    pthread_mutex_unlock(&worker->lock);
    if (nudge) {
        trib_mailbox_post(&worker->jobs, &worker->nudge);
    }
}

void trib_worker_drop_model(struct trib_worker *worker)
{
    trib_disk_budget_note(worker->config.budget, TRIB_DISK_MODEL, 0); /* so that what comes next has its room at once */
    set_flag(worker, &worker->drop_model);
}

void trib_worker_release(struct trib_worker *worker)
{
    set_flag(worker, &worker->release);
}
