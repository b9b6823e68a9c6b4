/* The finished update: offered, decided on, uploaded, settled by an outcome. */
#include "work_private.h"

static void send_offer(const struct trib_work *work, struct trib_turn *turn)
{
    const struct trib_client_update *update = &work->update;
    Tributary__V1__Blob blob;
    tributary__v1__blob__init(&blob);
    blob.sha256 = trib_message_lend_bytes(update->sha256, sizeof update->sha256);
    blob.len = trib_blob_len(update->frame);
    Tributary__V1__Offer offer;
    tributary__v1__offer__init(&offer);
    offer.round = work->task.round;
    offer.examples = update->result.examples;
    offer.steps = update->result.steps;
    offer.loss = update->result.mean_loss;
    offer.accuracy = update->result.accuracy;
    offer.train_seconds = (double)update->result.ms / 1000;
    offer.norm = update->norm;
    offer.update = &blob;
    offer.stopped_early = update->result.stopped_early;
    offer.feedback_round = update->feedback_round;
    if (update->sketch) {
        offer.sketch = trib_message_lend_bytes(trib_blob_data(update->sketch), trib_blob_len(update->sketch));
    }
    offer.codec = trib_message_lend(update->codec);
    offer.codec_reason = trib_message_lend(update->codec_reason);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    trib_turn_send(turn, &message);
}

void trib_work_offer(struct trib_work *work, struct trib_turn *turn)
{
    send_offer(work, turn);
    work->retry_at_ms = 0;
    work->phase = TRIB_WORK_OFFERED;
}

void trib_work_forget_update(struct trib_work *work, struct trib_turn *turn)
{
    if (work->saved) {
        trib_turn_act(turn, TRIB_SESSION_FORGET_UPDATE);
        work->saved = false;
    }
}

/* Error feedback hears that the update was folded; the update without its state must not be met again before that. That
 * it was not, only the next task can tell: a server that was killed may yet fold what it has given up. */
static void settle(struct trib_work *work, struct trib_turn *turn, bool folded)
{
    trib_work_forget_update(work, turn);
    if (folded && work->task.feedback.kind != TRIB_FEEDBACK_NONE) {
        struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_SETTLE);
        action->task = &work->task;
        action->folded = folded;
    }
}

static void begin_upload(struct trib_work *work, struct trib_turn *turn, uint64_t offset)
{
    if (offset == work->upload_offset) { /* nothing has got through since */
        trib_work_line_is_bad(work);
    }
    work->upload_offset = offset;
    struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_UPLOAD);
    action->job = trib_work_begin_job(work, turn);
    action->task = &work->task;
    action->update = &work->update;
    action->offset = offset;
    action->chunk_bytes = trib_work_line_chunk(work);
    work->upload_began_ms = turn->now_ms;
    work->upload_bytes = trib_blob_len(work->update.frame) - offset;
    work->phase = TRIB_WORK_UPLOADING;
    work->transferring = true;
}

struct trib_work_verdict trib_work_on_decision(struct trib_work *work, struct trib_turn *turn,
                                               const Tributary__V1__Decision *message)
{
    const bool skips = message->kind == TRIBUTARY__V1__DECISION__KIND__SKIP;
    /* A server may remember an offer that was made before a connection was lost. */
    bool offered = work->phase == TRIB_WORK_OFFERED || (skips && work->phase == TRIB_WORK_READY);
    if (!offered || message->round != work->task.round) {
        return (struct trib_work_verdict){.ignored = "decision", .why = "there is no offer of that round"};
    }
    if (skips) {
        TRIB_REPORT(turn, TRIB_LOG_INFO, "skipped", TRIB_F_INT("round", message->round),
                    TRIB_F_STR("reason", message->reason));
        settle(work, turn, false);
        trib_work_end(work, turn); /* no outcome has to follow */
        return (struct trib_work_verdict){0};
    }
    if (message->kind != TRIBUTARY__V1__DECISION__KIND__UPLOAD) {
        return (struct trib_work_verdict){.ignored = "decision", .why = "of a kind that this version does not know"};
    }
    if (message->offset > trib_blob_len(work->update.frame)) {
        return (struct trib_work_verdict){.breach = "the server asks for bytes beyond the update's end"};
    }
    if (message->offset == trib_blob_len(work->update.frame)) { /* an upload whose receipt was lost */
        work->phase = TRIB_WORK_WAITING;
        TRIB_REPORT(turn, TRIB_LOG_INFO, "uploaded_before", TRIB_F_INT("round", message->round),
                    TRIB_F_INT("bytes", message->offset));
        return (struct trib_work_verdict){0};
    }
    begin_upload(work, turn, message->offset);
    return (struct trib_work_verdict){.begun = true};
}

void trib_work_on_outcome(struct trib_work *work, struct trib_turn *turn, const Tributary__V1__Outcome *message)
{
    static const char *const names[] = {"folded", "skipped", "rejected", "late", "abandoned"};
    if (work->phase == TRIB_WORK_NONE || message->round != work->task.round) {
        TRIB_REPORT(turn, TRIB_LOG_DEBUG, "outcome_ignored", TRIB_F_INT("round", message->round),
                    TRIB_F_STR("reason", message->reason));
        return;
    }
    bool known = (size_t)message->kind < sizeof names / sizeof names[0];
    enum trib_log_level level = message->kind == TRIBUTARY__V1__OUTCOME__KIND__REJECTED ? TRIB_LOG_WARN : TRIB_LOG_INFO;
    TRIB_REPORT(turn, level, "outcome", TRIB_F_INT("round", message->round),
                TRIB_F_STR("outcome", known ? names[message->kind] : "unknown"), TRIB_F_STR("reason", message->reason));
    settle(work, turn, message->kind == TRIBUTARY__V1__OUTCOME__KIND__FOLDED);
    trib_work_end(work, turn);
}

/* ---- the upload's report ---- */

/* What is over in no time tells nothing of the network. */
static void measure_upload(struct trib_work *work, int64_t now_ms)
{
    enum { LEAST_BYTES = 4096 };
    int64_t took_ms = now_ms - work->upload_began_ms;
    if (work->upload_bytes >= LEAST_BYTES) {
        work->upload_rate = (double)work->upload_bytes * 1000 / (double)(took_ms > 0 ? took_ms : 1);
    }
}

static void on_receipt(struct trib_work *work, struct trib_turn *turn, const struct trib_session_event *event)
{
    const struct trib_session_receipt *receipt = &event->is.receipt;
    if (receipt->accepted) {
        work->phase = TRIB_WORK_WAITING;
        work->failures = 0;
        TRIB_REPORT(turn, TRIB_LOG_INFO, "uploaded", TRIB_F_INT("round", work->task.round),
                    TRIB_F_INT("bytes", trib_blob_len(work->update.frame)));
        return;
    }
    if (receipt->status == TRIB_CORRUPT || trib_status_may_retry(receipt->status)) {
        work->phase = TRIB_WORK_READY;
        trib_work_retry_transfer(work, turn, receipt->status, event->reason);
        return;
    }
    /* The server has made up its mind; its outcome follows. */
    work->phase = TRIB_WORK_WAITING;
    TRIB_REPORT(turn, TRIB_LOG_WARN, "upload_refused", TRIB_F_INT("round", work->task.round),
                TRIB_F_STR("status", trib_status_name(receipt->status)), TRIB_F_STR("reason", event->reason),
                TRIB_F_INT("received", receipt->received));
}

void trib_work_on_uploaded(struct trib_work *work, struct trib_turn *turn, const struct trib_session_event *event)
{
    if (work->phase != TRIB_WORK_UPLOADING || event->job != work->job) {
        return;
    }
    work->job = 0;
    work->transferring = false;
    if (event->status == TRIB_OK) {
        measure_upload(work, turn->now_ms);
        trib_work_line_is_good(work);
        on_receipt(work, turn, event);
    } else if (trib_status_may_retry(event->status) || event->status == TRIB_CORRUPT) {
        work->phase = TRIB_WORK_READY;
        trib_work_retry_transfer(work, turn, event->status, event->reason);
    } else {
        work->phase = TRIB_WORK_WAITING;
        TRIB_REPORT(turn, TRIB_LOG_WARN, "upload_refused", TRIB_F_INT("round", work->task.round),
                    TRIB_F_STR("status", trib_status_name(event->status)), TRIB_F_STR("reason", event->reason));
    }
}
