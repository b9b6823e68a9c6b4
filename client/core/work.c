/* A task's beginning, its end, and what time brings in between. */
#include "work.h"
#include "base/mem.h"
#include "base/str.h"
#include "work_private.h"

#include <string.h>

enum {
    DEADLINE_GRACE_MS = 5000, /* the server's own clock decides first */
    RELEASE_AFTER_MS = 30000
};

static void adopt(struct trib_work *work, const struct trib_client_finished *finished)
{
    work->task = finished->task;
    work->task.graph = NULL; /* it is trained */
    work->update = finished->update;
    work->update.frame = trib_blob_ref(finished->update.frame);
    work->update.sketch = trib_blob_ref(finished->update.sketch);
    work->phase = TRIB_WORK_READY; /* its deadline is known again with the task */
    work->saved = true;
}

struct trib_work *trib_work_new(const struct trib_held_model *held, const struct trib_client_finished *finished,
                                uint64_t memory_bytes)
{
    struct trib_work *work = trib_calloc(1, sizeof *work);
    if (work) {
        work->held = *held;
        work->memory_bytes = memory_bytes;
        work->line_chunk_bytes = TRIB_CHUNK_PAYLOAD;
        work->upload_offset = UINT64_MAX;
        if (finished) {
            adopt(work, finished);
        }
    }
    return work;
}

void trib_work_free(struct trib_work *work)
{
    if (!work) {
        return;
    }
    trib_client_update_clear(&work->update);
    trib_blob_unref(work->task.graph);
    trib_work_forget_graphs(work);
    trib_free(work);
}

enum trib_work_phase trib_work_phase(const struct trib_work *work)
{
    return work->phase;
}

uint64_t trib_work_round(const struct trib_work *work)
{
    return work->task.round;
}

bool trib_work_is_confirmed(const struct trib_work *work)
{
    return work->confirmed;
}

const char *trib_work_busy_with(const struct trib_work *work)
{
    switch (work->phase) {
    case TRIB_WORK_DOWNLOADING:
        return "download";
    case TRIB_WORK_TRAINING:
        return "train";
    case TRIB_WORK_UPLOADING:
        return "upload";
    default:
        return NULL;
    }
}

const struct trib_client_update *trib_work_update(const struct trib_work *work)
{
    return work->update.frame ? &work->update : NULL;
}

uint64_t trib_work_begin_job(struct trib_work *work, struct trib_turn *turn)
{
    work->job = ++turn->last_job;
    work->retry_at_ms = 0;
    return work->job;
}

/* ---- the end ---- */

void trib_work_end(struct trib_work *work, struct trib_turn *turn)
{
    trib_work_forget_update(work, turn);
    if (work->phase == TRIB_WORK_DOWNLOADING || work->phase == TRIB_WORK_TRAINING ||
        work->phase == TRIB_WORK_UPLOADING) {
        trib_turn_act(turn, TRIB_SESSION_CANCEL_WORK);
    }
    if (work->phase != TRIB_WORK_NONE) {
        work->release_at_ms = turn->now_ms + RELEASE_AFTER_MS;
    }
    trib_client_update_clear(&work->update);
    trib_blob_unref(work->task.graph);
    work->task.graph = NULL;
    work->phase = TRIB_WORK_NONE;
    work->confirmed = work->transferring = false;
    work->job = 0;
    work->received = 0;
    work->blobs = 0;
    work->failures = 0;
    work->upload_offset = UINT64_MAX;
    work->retry_at_ms = work->deadline_ms = 0;
}

void trib_work_leave(struct trib_work *work, struct trib_turn *turn)
{
    work->saved = false;
    if (work->phase == TRIB_WORK_DOWNLOADING) {
        trib_turn_act(turn, TRIB_SESSION_CANCEL_TRANSFER);
        work->phase = TRIB_WORK_READY; /* its bytes stay */
    }
    trib_work_end(work, turn);
}

void trib_work_send_failure(struct trib_turn *turn, uint64_t round, enum trib_status status, const char *reason)
{
    Tributary__V1__Failure failure;
    tributary__v1__failure__init(&failure);
    failure.round = round;
    failure.status = trib_message_lend(trib_status_name(status));
    failure.reason = trib_message_lend(reason);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE;
    message.failure = &failure;
    trib_turn_send(turn, &message);
}

void trib_work_fail(struct trib_work *work, struct trib_turn *turn, enum trib_status status, const char *reason)
{
    TRIB_REPORT(turn, TRIB_LOG_ERROR, "failed", TRIB_F_INT("round", work->task.round),
                TRIB_F_STR("status", trib_status_name(status)), TRIB_F_STR("reason", reason));
    if (work->confirmed) {
        /* Trouble of this machine's own may name its files, which are none of the server's business. */
        bool local = status == TRIB_IO || status == TRIB_NO_SPACE || status == TRIB_INTERNAL || status == TRIB_DENIED;
        trib_work_send_failure(turn, work->task.round, status, local ? trib_status_text(status) : reason);
    }
    trib_work_end(work, turn);
}

/* ---- the beginning ---- */

/* The same task again, after a reconnect: go on from where it stands. */
static void resume(struct trib_work *work, struct trib_turn *turn)
{
    static const char *const states[] = {
        [TRIB_WORK_DOWNLOADING] = "downloading", [TRIB_WORK_TRAINING] = "training", [TRIB_WORK_READY] = "trained"};
    TRIB_REPORT(turn, TRIB_LOG_INFO, "task_resumed", TRIB_F_STR("run", work->task.run),
                TRIB_F_INT("round", work->task.round), TRIB_F_STR("state", states[work->phase]));
    if (work->phase == TRIB_WORK_READY) {
        trib_work_offer(work, turn);
    } else if (work->phase == TRIB_WORK_DOWNLOADING && !work->transferring) {
        trib_work_begin_download(work, turn);
    }
}

static void begin(struct trib_work *work, struct trib_turn *turn, const struct trib_client_task *task)
{
    work->task = *task;
    work->confirmed = true;
    work->release_at_ms = 0;
    TRIB_REPORT(turn, TRIB_LOG_INFO, "task", TRIB_F_STR("run", work->task.run), TRIB_F_INT("round", task->round),
                TRIB_F_INT("model_version", task->model_version), TRIB_F_INT("model_bytes", task->model_len),
                TRIB_F_INT("epochs", task->recipe.epochs), TRIB_F_INT("batch_size", task->recipe.batch_size),
                TRIB_F_REAL("learning_rate", task->recipe.learning_rate), TRIB_F_STR("codec", work->task.codec.text),
                TRIB_F_INT("deadline_seconds", task->deadline_seconds));
    trib_work_begin_model(work, turn);
}

static void refuse(struct trib_work *work, struct trib_turn *turn, uint64_t round, const struct trib_error *error)
{
    (void)trib_str_copy(work->text, sizeof work->text, error->message);
    TRIB_REPORT(turn, TRIB_LOG_ERROR, "task_refused", TRIB_F_INT("round", round),
                TRIB_F_STR("status", trib_status_name(error->status)), TRIB_F_STR("reason", work->text));
    trib_work_send_failure(turn, round, error->status, work->text);
    trib_work_end(work, turn);
}

/* The task that is at hand already: go on with it. */
static void take_again(struct trib_work *work, struct trib_turn *turn, const struct trib_client_task *task,
                       int64_t deadline_ms)
{
    trib_blob_unref(task->graph);
    work->confirmed = true;
    work->task.deadline_seconds = task->deadline_seconds;
    work->deadline_ms = deadline_ms;
    resume(work, turn);
}

static void take_new(struct trib_work *work, struct trib_turn *turn, const struct trib_client_task *task,
                     int64_t deadline_ms)
{
    if (work->phase != TRIB_WORK_NONE) {
        TRIB_REPORT(turn, TRIB_LOG_WARN, "task_replaced", TRIB_F_INT("round", work->task.round),
                    TRIB_F_INT("by_round", task->round));
    }
    trib_work_end(work, turn);
    work->deadline_ms = deadline_ms;
    begin(work, turn, task);
}

struct trib_work_verdict trib_work_on_task(struct trib_work *work, struct trib_turn *turn,
                                           const Tributary__V1__Task *message)
{
    struct trib_client_task task;
    struct trib_error error;
    enum trib_status status = trib_work_read_task(work, message, &task, &error);
    if (status != TRIB_OK) {
        error.status = status;
        refuse(work, turn, message->round, &error);
        return (struct trib_work_verdict){0};
    }
    const bool at_work = work->phase != TRIB_WORK_NONE, same = at_work && trib_work_same_task(&task, &work->task);
    const bool earlier = at_work && task.round < work->task.round;
    if (work->confirmed && (earlier || same)) {
        trib_blob_unref(task.graph);
        return (struct trib_work_verdict){.ignored = "task",
                                          .why = earlier ? "of an earlier round than the one at hand" : "sent twice"};
    }
    int64_t deadline_ms =
        task.deadline_seconds == 0 ? 0 : turn->now_ms + (int64_t)task.deadline_seconds * 1000 + DEADLINE_GRACE_MS;
    (same ? take_again : take_new)(work, turn, &task, deadline_ms);
    return (struct trib_work_verdict){.begun = true};
}

/* ---- the connection ---- */

void trib_work_welcome(struct trib_work *work, struct trib_turn *turn, const char *run, uint32_t chunk_bytes)
{
    if (work->phase != TRIB_WORK_NONE && strcmp(run, work->task.run) != 0) { /* outcomes name rounds alone */
        trib_work_end(work, turn);
    }
    (void)trib_str_copy(work->run, sizeof work->run, run);
    work->chunk_bytes = chunk_bytes;
}

void trib_work_offline(struct trib_work *work, struct trib_turn *turn)
{
    work->confirmed = false;
    work->retry_at_ms = 0;
    if (work->transferring) {
        trib_turn_act(turn, TRIB_SESSION_CANCEL_TRANSFER);
    }
    if (work->phase == TRIB_WORK_OFFERED || work->phase == TRIB_WORK_UPLOADING || work->phase == TRIB_WORK_WAITING) {
        work->phase = TRIB_WORK_READY;
        work->transferring = false;
        work->job = 0;
    }
    trib_work_forget_graphs(work); /* the server sends them anew on each connection */
}

/* ---- time ---- */

/* It ends work that may be in vain, and what cannot be offered any more. Once the server has the offer it decides how
 * long it waits: it may close a round late, or fold the update into a later one. */
static int64_t deadline_of(const struct trib_work *work)
{
    bool servers_turn = work->confirmed && work->phase != TRIB_WORK_DOWNLOADING && work->phase != TRIB_WORK_TRAINING;
    return servers_turn ? 0 : work->deadline_ms;
}

void trib_work_release(struct trib_work *work, struct trib_turn *turn)
{
    if (work->release_at_ms != 0 && turn->now_ms >= work->release_at_ms) {
        work->release_at_ms = 0;
        trib_turn_act(turn, TRIB_SESSION_RELEASE);
    }
}

void trib_work_tick(struct trib_work *work, struct trib_turn *turn)
{
    int64_t deadline_ms = deadline_of(work);
    if (work->phase != TRIB_WORK_NONE && deadline_ms != 0 && turn->now_ms >= deadline_ms) {
        TRIB_REPORT(turn, TRIB_LOG_WARN, "deadline_passed", TRIB_F_INT("round", work->task.round));
        trib_work_end(work, turn);
    } else if (work->confirmed && work->retry_at_ms != 0 && turn->now_ms >= work->retry_at_ms) {
        if (work->phase == TRIB_WORK_DOWNLOADING) {
            trib_work_begin_download(work, turn);
        } else if (work->phase == TRIB_WORK_READY) {
            trib_work_offer(work, turn);
        }
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return b != 0 && b < a ? b : a;
}

int64_t trib_work_wake_ms(const struct trib_work *work)
{
    int64_t wake = sooner(INT64_MAX, work->confirmed ? work->retry_at_ms : 0);
    return sooner(sooner(wake, deadline_of(work)), work->release_at_ms);
}
