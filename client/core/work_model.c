/* The way to the task's model, blob by blob, and the training once they are all here. */
#include "base/str.h"
#include "work_private.h"

#include <string.h>

void trib_work_begin_download(struct trib_work *work, struct trib_turn *turn)
{
    struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_DOWNLOAD);
    action->job = trib_work_begin_job(work, turn);
    action->len = trib_model_route_blob(&work->route, &work->task, work->blobs, &action->sha256);
    action->offset = work->received;
    action->chunk_bytes = trib_work_line_chunk(work);
    work->phase = TRIB_WORK_DOWNLOADING;
    work->transferring = true;
}

static void begin_training(struct trib_work *work, struct trib_turn *turn)
{
    TRIB_REPORT(turn, TRIB_LOG_INFO, "downloaded", TRIB_F_INT("round", work->task.round),
                TRIB_F_INT("model_version", work->task.model_version),
                TRIB_F_STR("kind", trib_model_way_name(work->route.way)), TRIB_F_INT("blobs", work->route.n_blobs),
                TRIB_F_INT("bytes", work->route.bytes));
    work->task.upload_rate = work->upload_rate;
    struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_TRAIN);
    action->job = trib_work_begin_job(work, turn);
    action->task = &work->task;
    action->route = &work->route;
    work->phase = TRIB_WORK_TRAINING;
}

/* The next blob of the route, or the training once they are all here. */
static void go_on(struct trib_work *work, struct trib_turn *turn)
{
    work->received = 0;
    if (work->blobs < work->route.n_blobs) {
        trib_work_begin_download(work, turn);
    } else {
        begin_training(work, turn);
    }
}

static void drop_held(struct trib_work *work, struct trib_turn *turn)
{
    trib_turn_act(turn, TRIB_SESSION_DROP_MODEL);
    work->held = (struct trib_held_model){0};
}

void trib_work_begin_model(struct trib_work *work, struct trib_turn *turn)
{
    const struct trib_held_model *held = &work->held;
    work->route = trib_model_route_make(&work->task, held, work->memory_bytes);
    work->blobs = 0;
    bool of_use = work->route.way == TRIB_MODEL_HELD || work->route.way == TRIB_MODEL_CHAIN;
    if (held->run[0] != '\0' && !of_use) {
        bool other = strcmp(held->run, work->task.run) != 0;
        (void)trib_str_copy(work->text, sizeof work->text, held->run);
        TRIB_REPORT(turn, TRIB_LOG_INFO, "held_model_dropped", TRIB_F_STR("run", work->text),
                    TRIB_F_INT("model_version", held->version),
                    TRIB_F_STR("reason", other ? "the run changed" : "it is no help on the way to the task's model"));
        drop_held(work, turn);
    }
    go_on(work, turn);
}

/* The short way has failed: download the whole model after all. */
static void take_whole(struct trib_work *work, struct trib_turn *turn, enum trib_status status, const char *reason)
{
    TRIB_REPORT(turn, TRIB_LOG_WARN, "deltas_unusable", TRIB_F_INT("round", work->task.round),
                TRIB_F_STR("kind", trib_model_way_name(work->route.way)),
                TRIB_F_STR("status", trib_status_name(status)), TRIB_F_STR("reason", reason));
    if (work->held.run[0] != '\0') {
        drop_held(work, turn);
    }
    work->route = trib_model_route_whole(&work->task);
    work->blobs = 0;
    work->received = 0;
    work->failures = 0;
    work->transferring = false;
    work->phase = TRIB_WORK_DOWNLOADING;
    if (work->confirmed) {
        trib_work_begin_download(work, turn);
    } /* else the task's next arrival resumes it */
}

/* How far the blob came: more than before, and the line is not that bad. */
static void note_received(struct trib_work *work, uint64_t claimed)
{
    const uint8_t *unused;
    uint64_t len = trib_model_route_blob(&work->route, &work->task, work->blobs, &unused);
    uint64_t received = claimed <= len ? claimed : 0;
    if (received > work->received) {
        work->failures = 0;
    } else {
        trib_work_line_is_bad(work);
    }
    work->received = received;
}

void trib_work_on_downloaded(struct trib_work *work, struct trib_turn *turn, const struct trib_session_event *event)
{
    if (work->phase != TRIB_WORK_DOWNLOADING || event->job != work->job) {
        return;
    }
    if (event->status == TRIB_OK) {
        work->transferring = false;
        work->failures = 0;
        trib_work_line_is_good(work);
        work->blobs++;
        go_on(work, turn);
        return;
    }
    note_received(work, event->is.received);
    if (trib_status_may_retry(event->status) || event->status == TRIB_CORRUPT) {
        trib_work_retry_transfer(work, turn, event->status, event->reason);
    } else if (work->route.way != TRIB_MODEL_WHOLE) {
        trib_turn_act(turn, TRIB_SESSION_CANCEL_WORK); /* and what has arrived goes */
        take_whole(work, turn, event->status, event->reason);
    } else {
        work->transferring = false;
        trib_work_fail(work, turn, event->status, event->reason);
    }
}

static void report_trained(const struct trib_work *work, struct trib_turn *turn)
{
    const struct trib_client_update *update = &work->update;
    const struct trib_train_result *result = &update->result;
    TRIB_REPORT(turn, TRIB_LOG_INFO, "trained", TRIB_F_INT("round", work->task.round),
                TRIB_F_INT("examples", result->examples), TRIB_F_INT("steps", result->steps),
                TRIB_F_REAL("first_loss", result->first_loss), TRIB_F_REAL("loss", result->mean_loss),
                TRIB_F_REAL("accuracy", result->accuracy), TRIB_F_REAL("seconds", (double)result->ms / 1000),
                TRIB_F_REAL("norm", update->norm), TRIB_F_INT("update_bytes", trib_blob_len(update->frame)),
                TRIB_F_INT("sketch_bytes", !update->sketch ? 0 : trib_blob_len(update->sketch)),
                TRIB_F_BOOL("stopped_early", result->stopped_early));
    if (update->codec[0] != '\0') {
        TRIB_REPORT(turn, TRIB_LOG_INFO, "codec_chosen", TRIB_F_INT("round", work->task.round),
                    TRIB_F_STR("codec", update->codec), TRIB_F_STR("reason", update->codec_reason));
    }
}

void trib_work_on_trained(struct trib_work *work, struct trib_turn *turn, struct trib_session_event *event)
{
    work->held = event->held;
    if (work->phase != TRIB_WORK_TRAINING || event->job != work->job) {
        if (event->saved) { /* it was kept while its task ended */
            trib_turn_act(turn, TRIB_SESSION_FORGET_UPDATE);
        }
        return;
    }
    work->job = 0;
    if (event->model_unusable && work->route.way != TRIB_MODEL_WHOLE) {
        take_whole(work, turn, event->status, event->reason);
        return;
    }
    work->phase = TRIB_WORK_READY;
    if (event->status != TRIB_OK) {
        trib_work_fail(work, turn, event->status, event->reason);
        return;
    }
    work->update = event->is.update;
    work->saved = event->saved;
    event->is.update = (struct trib_client_update){0};
    report_trained(work, turn);
    if (work->confirmed) {
        trib_work_offer(work, turn);
    }
}
