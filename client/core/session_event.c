/* Events of a session as letters: made, posted, popped, freed. */
#include "base/mem.h"
#include "client/session.h"

struct trib_session_event *trib_session_event_new(enum trib_session_event_kind kind, uint64_t job)
{
    struct trib_session_event *event = trib_calloc(1, sizeof *event);
    if (event) {
        event->kind = kind;
        event->job = job;
    }
    return event;
}

void trib_session_event_free(struct trib_session_event *event)
{
    if (!event) {
        return;
    }
    if (event->kind == TRIB_SESSION_MESSAGE && event->is.message) {
        trib_message_free(&event->is.message->base);
    } else if (event->kind == TRIB_SESSION_TRAINED) {
        trib_client_update_clear(&event->is.update);
    }
    trib_free(event);
}

void trib_session_event_post(struct trib_mailbox *events, struct trib_session_event *event)
{
    trib_mailbox_post(events, &event->letter);
}

struct trib_session_event *trib_session_event_pop(struct trib_mailbox *events)
{
    return (struct trib_session_event *)(void *)trib_mailbox_pop(events);
}

void trib_session_events_clear(struct trib_mailbox *events)
{
    struct trib_session_event *event;
    while ((event = trib_session_event_pop(events))) {
        trib_session_event_free(event);
    }
    trib_mailbox_clear(events);
}
