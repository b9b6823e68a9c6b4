/* Events for the main loop, from any thread. Pushing never fails and never waits: an event is allocated by whoever
 * starts the work that it will report on. */
#ifndef TRIB_SESSION_EVENT_QUEUE_H
#define TRIB_SESSION_EVENT_QUEUE_H

#include "session/session.h"

struct trib_event_queue; /* opaque */

TRIB_MUST_CHECK enum trib_status trib_event_queue_new(struct trib_event_queue **queue, struct trib_error *error);
void trib_event_queue_free(struct trib_event_queue *queue); /* with the events in it; nobody may push any more */
void trib_event_queue_push(struct trib_event_queue *queue, struct trib_session_event *event); /* takes it over */
struct trib_session_event *trib_event_queue_pop(struct trib_event_queue *queue); /* NULL = empty; the caller frees */
int trib_event_queue_fd(const struct trib_event_queue *queue); /* readable while events may be waiting */

#endif
