/* What time brings while a session stands: progress, retries, the deadline, what has changed about the device. */
#include "session_private.h"

enum { TELL_DEVICE_EVERY_MS = 60000 };

void trib_session_on_device(struct trib_session *session, const struct trib_session_event *event)
{
    session->device = event->is.device;
    if (session->link == TRIB_LINK_ONLINE && trib_device_differs(&session->device, &session->told_device)) {
        int64_t allowed_ms = session->told_device_ms + TELL_DEVICE_EVERY_MS;
        session->tell_device_at_ms = allowed_ms > session->now_ms ? allowed_ms : session->now_ms;
    }
}

static const char *busy_with(const struct trib_session *session)
{
    switch (session->phase) {
    case TRIB_PHASE_DOWNLOADING:
        return "download";
    case TRIB_PHASE_TRAINING:
        return "train";
    case TRIB_PHASE_UPLOADING:
        return "upload";
    default:
        return NULL;
    }
}

/* What has changed about the device, where no progress is about to tell it. */
static void tell_device(struct trib_session *session)
{
    if (session->link == TRIB_LINK_ONLINE && session->tell_device_at_ms != 0 &&
        session->now_ms >= session->tell_device_at_ms) {
        session->tell_device_at_ms = 0;
        if (!busy_with(session) && trib_device_differs(&session->device, &session->told_device)) {
            trib_session_send_progress(session, 0, "idle");
        }
    }
}

/* It ends work that may be in vain, and what cannot be offered any more. Once the server has the offer it decides how
 * long it waits: it may close a round late, or fold the update into a later one. */
static int64_t deadline_of(const struct trib_session *session)
{
    bool servers_turn = trib_session_can_talk(session) && session->phase != TRIB_PHASE_DOWNLOADING &&
                        session->phase != TRIB_PHASE_TRAINING;
    return servers_turn ? 0 : session->deadline_ms;
}

void trib_session_task_tick(struct trib_session *session)
{
    if (session->release_at_ms != 0 && session->now_ms >= session->release_at_ms) {
        session->release_at_ms = 0;
        trib_session_act(session, TRIB_SESSION_RELEASE);
    }
    tell_device(session);
    if (session->phase == TRIB_PHASE_NONE) {
        return;
    }
    int64_t deadline_ms = deadline_of(session);
    if (deadline_ms != 0 && session->now_ms >= deadline_ms) {
        TRIB_REPORT(session, TRIB_LOG_WARN, "deadline_passed", TRIB_F_INT("round", session->task.round));
        trib_session_end_task(session);
        return;
    }
    if (!trib_session_can_talk(session)) {
        return;
    }
    if (session->retry_at_ms != 0 && session->now_ms >= session->retry_at_ms) {
        trib_session_retry(session);
    }
    if (session->progress_at_ms != 0 && session->now_ms >= session->progress_at_ms) {
        const char *phase = busy_with(session);
        if (phase) {
            trib_session_send_progress(session, session->task.round, phase);
        }
        session->progress_at_ms = session->now_ms + session->progress_every_ms;
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return b != 0 && b < a ? b : a;
}

int64_t trib_session_wake_ms(const struct trib_session *session)
{
    int64_t wake = INT64_MAX;
    switch (session->link) {
    case TRIB_LINK_DONE:
        return wake;
    case TRIB_LINK_OFFLINE:
        wake = session->connect_at_ms;
        break;
    case TRIB_LINK_CONNECTING:
    case TRIB_LINK_GREETING:
        wake = session->greet_by_ms;
        break;
    case TRIB_LINK_ONLINE:
        wake = sooner(wake, session->tell_device_at_ms);
        if (session->confirmed) {
            wake = sooner(wake, session->retry_at_ms);
            wake = sooner(wake, session->progress_at_ms);
        }
        break;
    }
    return sooner(sooner(wake, deadline_of(session)), session->release_at_ms);
}
