/* The list of open calls of a server or a channel. Any thread. */
#include "incoming_calls.h"
#include "call.h"

#include <time.h>

void trib_net_roster_init(struct trib_net_roster *roster)
{
    pthread_condattr_t attributes;
    *roster = (struct trib_net_roster){.n = 0};
    pthread_mutex_init(&roster->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&roster->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void trib_net_roster_clear(struct trib_net_roster *roster)
{
    pthread_cond_destroy(&roster->changed);
    pthread_mutex_destroy(&roster->lock);
}

static void append(struct trib_net_roster *roster, struct trib_net_call *call)
{
    call->links = (struct trib_net_roster_links){.previous = roster->last, .next = NULL};
    if (roster->last) {
        roster->last->links.next = call;
    } else {
        roster->first = call;
    }
    roster->last = call;
}

static void unlink_call(struct trib_net_roster *roster, struct trib_net_call *call)
{
    if (call->links.previous) {
        call->links.previous->links.next = call->links.next;
    } else {
        roster->first = call->links.next;
    }
    if (call->links.next) {
        call->links.next->links.previous = call->links.previous;
    } else {
        roster->last = call->links.previous;
    }
}

void trib_net_roster_enter(struct trib_net_roster *roster, struct trib_net_call *call)
{
    pthread_mutex_lock(&roster->lock);
    append(roster, call);
    roster->n++;
    pthread_mutex_unlock(&roster->lock);
}

void trib_net_roster_leave(struct trib_net_roster *roster, struct trib_net_call *call)
{
    pthread_mutex_lock(&roster->lock);
    unlink_call(roster, call);
    roster->n--;
    pthread_cond_broadcast(&roster->changed);
    pthread_mutex_unlock(&roster->lock);
}

void trib_net_roster_hold(struct trib_net_roster *roster)
{
    pthread_mutex_lock(&roster->lock);
    roster->n_holds++;
    pthread_mutex_unlock(&roster->lock);
}

void trib_net_roster_release(struct trib_net_roster *roster)
{
    pthread_mutex_lock(&roster->lock);
    roster->n_holds--;
    pthread_cond_broadcast(&roster->changed);
    pthread_mutex_unlock(&roster->lock);
}

static bool wait_for_none(struct trib_net_roster *roster, bool holds_too, int64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000L};
    int failure = 0;
    pthread_mutex_lock(&roster->lock);
    while ((roster->n > 0 || (holds_too && roster->n_holds > 0)) && failure == 0) {
        if (until_ms == INT64_MAX) {
            pthread_cond_wait(&roster->changed, &roster->lock);
        } else {
            failure = pthread_cond_timedwait(&roster->changed, &roster->lock, &until);
        }
    }
    bool none = roster->n == 0 && !(holds_too && roster->n_holds > 0);
    pthread_mutex_unlock(&roster->lock);
    return none;
}

bool trib_net_roster_wait_calls(struct trib_net_roster *roster, int64_t until_ms)
{
    return wait_for_none(roster, false, until_ms);
}

bool trib_net_roster_wait_all(struct trib_net_roster *roster, int64_t until_ms)
{
    return wait_for_none(roster, true, until_ms);
}

void trib_net_roster_cancel(struct trib_net_roster *roster)
{
    pthread_mutex_lock(&roster->lock);
    /* Each turn moves the first call to the end, so that n turns meet all that were there, although the lock is let go
     * in between and calls leave. */
    for (size_t turns = roster->n; turns > 0 && roster->first; turns--) {
        struct trib_net_call *call = trib_net_call_ref(roster->first);
        unlink_call(roster, call);
        append(roster, call);
        pthread_mutex_unlock(&roster->lock);
        trib_net_call_cancel(call);
        trib_net_call_unref(call);
        pthread_mutex_lock(&roster->lock);
    }
    pthread_mutex_unlock(&roster->lock);
}

size_t trib_net_roster_due(struct trib_net_roster *roster, int64_t now_ms, struct trib_net_call **calls, size_t most)
{
    size_t n = 0;
    pthread_mutex_lock(&roster->lock);
    for (struct trib_net_call *call = roster->first; call && n < most; call = call->links.next) {
        if (trib_net_call_is_due(call, now_ms)) {
            calls[n++] = trib_net_call_ref(call);
        }
    }
    pthread_mutex_unlock(&roster->lock);
    return n;
}

size_t trib_net_roster_count(struct trib_net_roster *roster)
{
    pthread_mutex_lock(&roster->lock);
    size_t n = roster->n;
    pthread_mutex_unlock(&roster->lock);
    return n;
}
