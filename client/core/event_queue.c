/* A linked list under a mutex, and an eventfd to wake a poll. */
#include "session/event_queue.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct trib_event_queue {
    pthread_mutex_t lock;
    struct trib_session_event *first, **last;
    int fd;
};

enum trib_status trib_event_queue_new(struct trib_event_queue **queue, struct trib_error *error)
{
    struct trib_event_queue *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->fd < 0) {
        int errnum = errno;
        trib_free(made);
        return trib_fail_errno(error, errnum, "eventfd");
    }
    pthread_mutex_init(&made->lock, NULL);
    made->last = &made->first;
    *queue = made;
    return TRIB_OK;
}

void trib_event_queue_free(struct trib_event_queue *queue)
{
    if (!queue) {
        return;
    }
    struct trib_session_event *event;
    while ((event = trib_event_queue_pop(queue))) {
        trib_session_event_free(event);
    }
    close(queue->fd);
    pthread_mutex_destroy(&queue->lock);
    trib_free(queue);
}

void trib_event_queue_push(struct trib_event_queue *queue, struct trib_session_event *event)
{
    event->next = NULL;
    pthread_mutex_lock(&queue->lock);
    *queue->last = event;
    queue->last = &event->next;
    /* Under the lock, so that a pop which empties the list also takes this signal back. The counter cannot overflow. */
    const uint64_t one = 1;
    ssize_t wrote = write(queue->fd, &one, sizeof one);
    (void)wrote;
    pthread_mutex_unlock(&queue->lock);
}

struct trib_session_event *trib_event_queue_pop(struct trib_event_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct trib_session_event *event = queue->first;
    if (event) {
        queue->first = event->next;
        event->next = NULL;
    }
    if (!queue->first) {
        queue->last = &queue->first;
        uint64_t count;
        ssize_t got = read(queue->fd, &count, sizeof count); /* nothing to read is fine */
        (void)got;
    }
    pthread_mutex_unlock(&queue->lock);
    return event;
}

int trib_event_queue_fd(const struct trib_event_queue *queue)
{
    return queue->fd;
}
