/* The work on a task, from its message to its outcome. It outlives a lost connection; `confirmed` says that the server
 * has sent the task on the present one, so that talking about it makes sense. */
#include "session_private.h"
#include "base/str.h"

#include <string.h>

enum {
    RETRY_FIRST_MS = 500,     /* after a transfer broke off while the session stands; doubles */
    DEADLINE_GRACE_MS = 5000, /* the server's own clock decides first */
    RELEASE_AFTER_MS = 30000
};

bool trib_session_can_talk(const struct trib_session *session)
{
    return session->link == TRIB_LINK_ONLINE && session->confirmed;
}

static uint64_t begin_job(struct trib_session *session)
{
    session->work_job = ++session->last_job;
    session->retry_at_ms = 0;
    return session->work_job;
}

/* A line that breaks again and again before a whole chunk is through gets smaller ones, and larger ones again once a
 * transfer has come to its end. */
static void line_is_bad(struct trib_session *session)
{
    uint32_t smaller = session->line_chunk_bytes / 8;
    session->line_chunk_bytes = smaller < TRIB_CHUNK_LEAST ? TRIB_CHUNK_LEAST : smaller;
}

static void line_is_good(struct trib_session *session)
{
    uint32_t larger = session->line_chunk_bytes * 2;
    session->line_chunk_bytes = larger > TRIB_CHUNK_PAYLOAD ? TRIB_CHUNK_PAYLOAD : larger;
}

static uint32_t line_chunk(const struct trib_session *session)
{
    return session->line_chunk_bytes < session->chunk_bytes ? session->line_chunk_bytes : session->chunk_bytes;
}

static void begin_download(struct trib_session *session)
{
    struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_DOWNLOAD);
    action->job = begin_job(session);
    action->len = trib_model_route_blob(&session->route, &session->task, session->blobs, &action->sha256);
    action->offset = session->received;
    action->chunk_bytes = line_chunk(session);
    session->phase = TRIB_PHASE_DOWNLOADING;
    session->transferring = true;
}

static void begin_training(struct trib_session *session)
{
    TRIB_REPORT(session, TRIB_LOG_INFO, "downloaded", TRIB_F_INT("round", session->task.round),
                TRIB_F_INT("model_version", session->task.model_version),
                TRIB_F_STR("kind", trib_model_way_name(session->route.way)),
                TRIB_F_INT("blobs", session->route.n_blobs), TRIB_F_INT("bytes", session->route.bytes));
    session->task.upload_rate = session->upload_rate;
    struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_TRAIN);
    action->job = begin_job(session);
    action->task = &session->task;
    action->route = &session->route;
    session->phase = TRIB_PHASE_TRAINING;
}

/* The next blob of the route, or the training once they are all here. */
static void go_on(struct trib_session *session)
{
    session->received = 0;
    if (session->blobs < session->route.n_blobs) {
        begin_download(session);
    } else {
        begin_training(session);
    }
}

static void drop_held(struct trib_session *session)
{
    trib_session_act(session, TRIB_SESSION_DROP_MODEL);
    session->held = (struct trib_held_model){0};
}

static void begin_model(struct trib_session *session)
{
    const struct trib_held_model *held = &session->held;
    session->route = trib_model_route_make(&session->task, held, session->config.memory_bytes);
    session->blobs = 0;
    bool of_use = session->route.way == TRIB_MODEL_HELD || session->route.way == TRIB_MODEL_CHAIN;
    if (held->run[0] != '\0' && !of_use) {
        bool other = strcmp(held->run, session->task.run) != 0;
        (void)trib_str_copy(session->text, sizeof session->text, held->run);
        TRIB_REPORT(session, TRIB_LOG_INFO, "held_model_dropped", TRIB_F_STR("run", session->text),
                    TRIB_F_INT("model_version", held->version),
                    TRIB_F_STR("reason", other ? "the run changed" : "it is no help on the way to the task's model"));
        drop_held(session);
    }
    go_on(session);
}

/* The short way has failed: download the whole model after all. */
static void take_whole(struct trib_session *session, enum trib_status status, const char *reason)
{
    TRIB_REPORT(session, TRIB_LOG_WARN, "deltas_unusable", TRIB_F_INT("round", session->task.round),
                TRIB_F_STR("kind", trib_model_way_name(session->route.way)),
                TRIB_F_STR("status", trib_status_name(status)), TRIB_F_STR("reason", reason));
    if (session->held.run[0] != '\0') {
        drop_held(session);
    }
    session->route = trib_model_route_whole(&session->task);
    session->blobs = 0;
    session->received = 0;
    session->failures = 0;
    session->transferring = false;
    session->phase = TRIB_PHASE_DOWNLOADING;
    if (trib_session_can_talk(session)) {
        begin_download(session);
    } /* else the task's next arrival resumes it */
}

static void offer(struct trib_session *session)
{
    trib_session_send_offer(session);
    session->retry_at_ms = 0;
    session->phase = TRIB_PHASE_OFFERED;
}

void trib_session_retry(struct trib_session *session)
{
    if (session->phase == TRIB_PHASE_DOWNLOADING) {
        begin_download(session);
    } else if (session->phase == TRIB_PHASE_READY) {
        offer(session);
    }
}

void trib_session_adopt(struct trib_session *session, const struct trib_client_finished *finished)
{
    session->task = finished->task;
    session->task.graph = NULL; /* it is trained */
    session->update = finished->update;
    session->update.frame = trib_blob_ref(finished->update.frame);
    session->update.sketch = trib_blob_ref(finished->update.sketch);
    session->phase = TRIB_PHASE_READY; /* its deadline is known again with the task */
    session->saved = true;
}

static void forget_update(struct trib_session *session)
{
    if (session->saved) {
        trib_session_act(session, TRIB_SESSION_FORGET_UPDATE);
        session->saved = false;
    }
}

void trib_session_leave_task(struct trib_session *session)
{
    session->saved = false;
    if (session->phase == TRIB_PHASE_DOWNLOADING) {
        trib_session_act(session, TRIB_SESSION_CANCEL_TRANSFER);
        session->phase = TRIB_PHASE_READY; /* its bytes stay */
    }
    trib_session_end_task(session);
}

void trib_session_end_task(struct trib_session *session)
{
    forget_update(session);
    if (session->phase == TRIB_PHASE_DOWNLOADING || session->phase == TRIB_PHASE_TRAINING ||
        session->phase == TRIB_PHASE_UPLOADING) {
        trib_session_act(session, TRIB_SESSION_CANCEL_WORK);
    }
    if (session->phase != TRIB_PHASE_NONE) {
        session->release_at_ms = session->now_ms + RELEASE_AFTER_MS;
    }
    trib_client_update_clear(&session->update);
    trib_blob_unref(session->task.graph);
    session->task.graph = NULL;
    session->phase = TRIB_PHASE_NONE;
    session->confirmed = session->transferring = false;
    session->work_job = 0;
    session->received = 0;
    session->blobs = 0;
    session->failures = 0;
    session->upload_offset = UINT64_MAX;
    session->retry_at_ms = session->progress_at_ms = session->deadline_ms = 0;
}

static void fail_task(struct trib_session *session, enum trib_status status, const char *reason)
{
    TRIB_REPORT(session, TRIB_LOG_ERROR, "failed", TRIB_F_INT("round", session->task.round),
                TRIB_F_STR("status", trib_status_name(status)), TRIB_F_STR("reason", reason));
    if (trib_session_can_talk(session)) {
        /* Trouble of this machine's own may name its files, which are none of the server's business. */
        bool local = status == TRIB_IO || status == TRIB_NO_SPACE || status == TRIB_INTERNAL || status == TRIB_DENIED;
        trib_session_send_failure(session, session->task.round, status, local ? trib_status_text(status) : reason);
    }
    trib_session_end_task(session);
}

/* After a transfer failed: try again a little later, but not for ever without progress. */
static void retry_transfer(struct trib_session *session, enum trib_status status, const char *reason)
{
    session->transferring = false;
    if (session->failures >= TRIB_SESSION_MAX_FAILURES) {
        fail_task(session, status, reason);
        return;
    }
    int64_t wait_ms = (int64_t)RETRY_FIRST_MS << session->failures;
    session->failures++;
    if (!trib_session_can_talk(session)) {
        return; /* the task's next arrival resumes it */
    }
    session->retry_at_ms = session->now_ms + wait_ms;
    TRIB_REPORT(session, TRIB_LOG_WARN, session->phase == TRIB_PHASE_DOWNLOADING ? "download_broken" : "upload_broken",
                TRIB_F_INT("round", session->task.round), TRIB_F_STR("status", trib_status_name(status)),
                TRIB_F_STR("reason", reason), TRIB_F_REAL("retry_seconds", (double)wait_ms / 1000));
}

/* ---- messages ---- */

/* The same task again, after a reconnect: go on from where it stands. */
static void resume_task(struct trib_session *session)
{
    static const char *const states[] = {
        [TRIB_PHASE_DOWNLOADING] = "downloading", [TRIB_PHASE_TRAINING] = "training", [TRIB_PHASE_READY] = "trained"};
    TRIB_REPORT(session, TRIB_LOG_INFO, "task_resumed", TRIB_F_STR("run", session->task.run),
                TRIB_F_INT("round", session->task.round), TRIB_F_STR("state", states[session->phase]));
    session->progress_at_ms = session->now_ms + session->progress_every_ms;
    if (session->phase == TRIB_PHASE_READY) {
        offer(session);
    } else if (session->phase == TRIB_PHASE_DOWNLOADING && !session->transferring) {
        begin_download(session);
    }
}

static void begin_task(struct trib_session *session, const struct trib_client_task *task)
{
    session->task = *task;
    session->confirmed = true;
    session->release_at_ms = 0;
    session->progress_at_ms = session->now_ms + session->progress_every_ms;
    TRIB_REPORT(session, TRIB_LOG_INFO, "task", TRIB_F_STR("run", session->task.run), TRIB_F_INT("round", task->round),
                TRIB_F_INT("model_version", task->model_version), TRIB_F_INT("model_bytes", task->model_len),
                TRIB_F_INT("epochs", task->recipe.epochs), TRIB_F_INT("batch_size", task->recipe.batch_size),
                TRIB_F_REAL("learning_rate", task->recipe.learning_rate), TRIB_F_STR("codec", session->task.codec.text),
                TRIB_F_INT("deadline_seconds", task->deadline_seconds));
    begin_model(session);
}

void trib_session_on_task(struct trib_session *session, const Tributary__V1__Task *message)
{
    struct trib_client_task task;
    struct trib_error error;
    enum trib_status status = trib_session_read_task(session, message, &task, &error);
    if (status != TRIB_OK) {
        (void)trib_str_copy(session->text, sizeof session->text, error.message);
        TRIB_REPORT(session, TRIB_LOG_ERROR, "task_refused", TRIB_F_INT("round", message->round),
                    TRIB_F_STR("status", trib_status_name(status)), TRIB_F_STR("reason", session->text));
        trib_session_send_failure(session, message->round, status, session->text);
        trib_session_end_task(session);
        return;
    }
    bool same = session->phase != TRIB_PHASE_NONE && trib_session_same_task(&task, &session->task);
    if (session->phase != TRIB_PHASE_NONE && session->confirmed && task.round < session->task.round) {
        trib_blob_unref(task.graph);
        trib_session_ignore(session, "task", "of an earlier round than the one at hand");
        return;
    }
    if (same && session->confirmed) {
        trib_blob_unref(task.graph);
        trib_session_ignore(session, "task", "sent twice");
        return;
    }
    if (same) {
        trib_blob_unref(task.graph);
        session->confirmed = true;
        session->task.deadline_seconds = task.deadline_seconds;
    } else {
        if (session->phase != TRIB_PHASE_NONE) {
            TRIB_REPORT(session, TRIB_LOG_WARN, "task_replaced", TRIB_F_INT("round", session->task.round),
                        TRIB_F_INT("by_round", task.round));
        }
        trib_session_end_task(session);
    }
    session->deadline_ms =
        task.deadline_seconds == 0 ? 0 : session->now_ms + (int64_t)task.deadline_seconds * 1000 + DEADLINE_GRACE_MS;
    if (same) {
        resume_task(session);
    } else {
        begin_task(session, &task);
    }
}

/* Error feedback hears that the update was folded; the update without its state must not be met again before that. That
 * it was not, only the next task can tell: a server that was killed may yet fold what it has given up. */
static void settle(struct trib_session *session, bool folded)
{
    forget_update(session);
    if (folded && session->task.feedback.kind != TRIB_FEEDBACK_NONE) {
        struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_SETTLE);
        action->task = &session->task;
        action->folded = folded;
    }
}

static void begin_upload(struct trib_session *session, uint64_t offset)
{
    if (offset == session->upload_offset) { /* nothing has got through since */
        line_is_bad(session);
    }
    session->upload_offset = offset;
    struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_UPLOAD);
    action->job = begin_job(session);
    action->task = &session->task;
    action->update = &session->update;
    action->offset = offset;
    action->chunk_bytes = line_chunk(session);
    session->upload_began_ms = session->now_ms;
    session->upload_bytes = trib_blob_len(session->update.frame) - offset;
    session->phase = TRIB_PHASE_UPLOADING;
    session->transferring = true;
    session->progress_at_ms = session->now_ms + session->progress_every_ms;
}

void trib_session_on_decision(struct trib_session *session, const Tributary__V1__Decision *message)
{
    const bool skips = message->kind == TRIBUTARY__V1__DECISION__KIND__SKIP;
    /* A server may remember an offer that was made before a connection was lost. */
    bool offered = session->phase == TRIB_PHASE_OFFERED || (skips && session->phase == TRIB_PHASE_READY);
    if (!offered || message->round != session->task.round) {
        trib_session_ignore(session, "decision", "there is no offer of that round");
        return;
    }
    if (skips) {
        TRIB_REPORT(session, TRIB_LOG_INFO, "skipped", TRIB_F_INT("round", message->round),
                    TRIB_F_STR("reason", message->reason));
        settle(session, false);
        trib_session_end_task(session); /* no outcome has to follow */
        return;
    }
    if (message->kind != TRIBUTARY__V1__DECISION__KIND__UPLOAD) {
        trib_session_ignore(session, "decision", "of a kind that this version does not know");
        return;
    }
    if (message->offset > trib_blob_len(session->update.frame)) {
        trib_session_drop_link(session, TRIB_PROTOCOL, "the server asks for bytes beyond the update's end", -1);
        return;
    }
    if (message->offset == trib_blob_len(session->update.frame)) { /* an upload whose receipt was lost */
        session->phase = TRIB_PHASE_WAITING;
        TRIB_REPORT(session, TRIB_LOG_INFO, "uploaded_before", TRIB_F_INT("round", message->round),
                    TRIB_F_INT("bytes", message->offset));
        return;
    }
    begin_upload(session, message->offset);
}

void trib_session_on_outcome(struct trib_session *session, const Tributary__V1__Outcome *message)
{
    static const char *const names[] = {"folded", "skipped", "rejected", "late", "abandoned"};
    if (session->phase == TRIB_PHASE_NONE || message->round != session->task.round) {
        TRIB_REPORT(session, TRIB_LOG_DEBUG, "outcome_ignored", TRIB_F_INT("round", message->round),
                    TRIB_F_STR("reason", message->reason));
        return;
    }
    bool known = (size_t)message->kind < sizeof names / sizeof names[0];
    enum trib_log_level level = message->kind == TRIBUTARY__V1__OUTCOME__KIND__REJECTED ? TRIB_LOG_WARN : TRIB_LOG_INFO;
    TRIB_REPORT(session, level, "outcome", TRIB_F_INT("round", message->round),
                TRIB_F_STR("outcome", known ? names[message->kind] : "unknown"), TRIB_F_STR("reason", message->reason));
    settle(session, message->kind == TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    trib_session_end_task(session);
}

/* ---- the work's own events ---- */

void trib_session_on_downloaded(struct trib_session *session, const struct trib_session_event *event)
{
    if (session->phase != TRIB_PHASE_DOWNLOADING || event->job != session->work_job) {
        return;
    }
    if (event->status == TRIB_OK) {
        session->transferring = false;
        session->failures = 0;
        line_is_good(session);
        session->blobs++;
        go_on(session);
        return;
    }
    const uint8_t *unused;
    uint64_t len = trib_model_route_blob(&session->route, &session->task, session->blobs, &unused);
    uint64_t received = event->is.received <= len ? event->is.received : 0;
    if (received > session->received) {
        session->failures = 0;
    } else {
        line_is_bad(session);
    }
    session->received = received;
    if (!trib_status_may_retry(event->status) && event->status != TRIB_CORRUPT) {
        if (session->route.way != TRIB_MODEL_WHOLE) {
            trib_session_act(session, TRIB_SESSION_CANCEL_WORK); /* and what has arrived goes */
            take_whole(session, event->status, event->reason);
            return;
        }
        session->transferring = false;
        fail_task(session, event->status, event->reason);
        return;
    }
    retry_transfer(session, event->status, event->reason);
}

void trib_session_on_trained(struct trib_session *session, struct trib_session_event *event)
{
    session->held = event->held;
    if (session->phase != TRIB_PHASE_TRAINING || event->job != session->work_job) {
        if (event->saved) { /* it was kept while its task ended */
            trib_session_act(session, TRIB_SESSION_FORGET_UPDATE);
        }
        return;
    }
    session->work_job = 0;
    if (event->model_unusable && session->route.way != TRIB_MODEL_WHOLE) {
        take_whole(session, event->status, event->reason);
        return;
    }
    session->phase = TRIB_PHASE_READY;
    if (event->status != TRIB_OK) {
        fail_task(session, event->status, event->reason);
        return;
    }
    session->update = event->is.update;
    session->saved = event->saved;
    event->is.update = (struct trib_client_update){0};
    const struct trib_train_result *result = &session->update.result;
    TRIB_REPORT(session, TRIB_LOG_INFO, "trained", TRIB_F_INT("round", session->task.round),
                TRIB_F_INT("examples", result->examples), TRIB_F_INT("steps", result->steps),
                TRIB_F_REAL("first_loss", result->first_loss), TRIB_F_REAL("loss", result->mean_loss),
                TRIB_F_REAL("accuracy", result->accuracy), TRIB_F_REAL("seconds", (double)result->ms / 1000),
                TRIB_F_REAL("norm", session->update.norm),
                TRIB_F_INT("update_bytes", trib_blob_len(session->update.frame)),
                TRIB_F_INT("sketch_bytes", !session->update.sketch ? 0 : trib_blob_len(session->update.sketch)),
                TRIB_F_BOOL("stopped_early", result->stopped_early));
    if (session->update.codec[0] != '\0') {
        TRIB_REPORT(session, TRIB_LOG_INFO, "codec_chosen", TRIB_F_INT("round", session->task.round),
                    TRIB_F_STR("codec", session->update.codec), TRIB_F_STR("reason", session->update.codec_reason));
    }
    if (trib_session_can_talk(session)) {
        offer(session);
    }
}

/* What is over in no time tells nothing of the network. */
static void measure_upload(struct trib_session *session)
{
    enum { LEAST_BYTES = 4096 };
    int64_t took_ms = session->now_ms - session->upload_began_ms;
    if (session->upload_bytes >= LEAST_BYTES) {
        session->upload_rate = (double)session->upload_bytes * 1000 / (double)(took_ms > 0 ? took_ms : 1);
    }
}

static void on_receipt(struct trib_session *session, const struct trib_session_event *event)
{
    const struct trib_session_receipt *receipt = &event->is.receipt;
    if (receipt->accepted) {
        session->phase = TRIB_PHASE_WAITING;
        session->failures = 0;
        TRIB_REPORT(session, TRIB_LOG_INFO, "uploaded", TRIB_F_INT("round", session->task.round),
                    TRIB_F_INT("bytes", trib_blob_len(session->update.frame)));
        return;
    }
    if (receipt->status == TRIB_CORRUPT || trib_status_may_retry(receipt->status)) {
        session->phase = TRIB_PHASE_READY;
        retry_transfer(session, receipt->status, event->reason);
        return;
    }
    /* The server has made up its mind; its outcome follows. */
    session->phase = TRIB_PHASE_WAITING;
    TRIB_REPORT(session, TRIB_LOG_WARN, "upload_refused", TRIB_F_INT("round", session->task.round),
                TRIB_F_STR("status", trib_status_name(receipt->status)), TRIB_F_STR("reason", event->reason),
                TRIB_F_INT("received", receipt->received));
}

void trib_session_on_uploaded(struct trib_session *session, const struct trib_session_event *event)
{
    if (session->phase != TRIB_PHASE_UPLOADING || event->job != session->work_job) {
        return;
    }
    session->work_job = 0;
    session->transferring = false;
    if (event->status == TRIB_OK) {
        measure_upload(session);
        line_is_good(session);
        on_receipt(session, event);
    } else if (trib_status_may_retry(event->status) || event->status == TRIB_CORRUPT) {
        session->phase = TRIB_PHASE_READY;
        retry_transfer(session, event->status, event->reason);
    } else {
        session->phase = TRIB_PHASE_WAITING;
        TRIB_REPORT(session, TRIB_LOG_WARN, "upload_refused", TRIB_F_INT("round", session->task.round),
                    TRIB_F_STR("status", trib_status_name(event->status)), TRIB_F_STR("reason", event->reason));
    }
}

void trib_session_task_offline(struct trib_session *session)
{
    session->confirmed = false;
    session->retry_at_ms = session->progress_at_ms = 0;
    if (session->transferring) {
        trib_session_act(session, TRIB_SESSION_CANCEL_TRANSFER);
    }
    if (session->phase == TRIB_PHASE_OFFERED || session->phase == TRIB_PHASE_UPLOADING ||
        session->phase == TRIB_PHASE_WAITING) {
        session->phase = TRIB_PHASE_READY;
        session->transferring = false;
        session->work_job = 0;
    }
}
