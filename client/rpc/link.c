/* The link's life, its slots, and the session stream. */
#include "link_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/message.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum trib_status trib_link_new(const struct trib_link_config *config, struct trib_link **link, struct trib_error *error)
{
    struct trib_link *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->config = *config;
    enum trib_status status = trib_net_channel_new(config->address, config->server_name, config->tls, &made->config.net,
                                                   &made->channel, error);
    if (status != TRIB_OK) {
        trib_free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->closed, &attributes);
    pthread_condattr_destroy(&attributes);
    uint8_t furthest[32];
    bool found = trib_model_spool_longest(config->place.dir, furthest);
    trib_model_spool_tidy(config->place.dir, found ? furthest : NULL);
    *link = made;
    return TRIB_OK;
}

void trib_link_free(struct trib_link *link)
{
    if (!link) {
        return;
    }
    trib_net_channel_free(link->channel); /* every `closed` has run then */
    trib_link_partial_leave(link->partial);
    for (size_t i = 0; i < link->n_complete; i++) {
        trib_model_spool_leave(link->complete[i]);
    }
    pthread_cond_destroy(&link->closed);
    pthread_mutex_destroy(&link->lock);
    trib_free(link);
}

/* ---- calls ---- */

enum trib_status trib_link_call_new(struct trib_link *link, struct trib_link_call **slot,
                                    enum trib_session_event_kind final, uint64_t job, struct trib_link_call **made,
                                    struct trib_error *error)
{
    struct trib_link_call *call = trib_calloc(1, sizeof *call);
    struct trib_session_event *event = trib_session_event_new(final, job);
    if (!call || !event) {
        trib_free(call);
        trib_session_event_free(event);
        (void)trib_fail_no_memory(error);
        return TRIB_NO_MEMORY; /* literally, so that a compiler sees: on TRIB_OK there is a call */
    }
    atomic_init(&call->references, 1);
    call->link = link;
    call->slot = slot;
    call->job = job;
    call->final = event;
    pthread_mutex_init(&call->pump, NULL);
    *made = call;
    return TRIB_OK;
}

void trib_link_call_unref(struct trib_link_call *call)
{
    if (!call || atomic_fetch_sub(&call->references, 1) != 1) {
        return;
    }
    trib_net_call_unref(call->call);
    trib_session_event_free(call->final);
    trib_session_event_free(call->incoming);
    trib_link_partial_leave(call->partial);
    trib_blob_unref(call->frame);
    pthread_mutex_destroy(&call->pump);
    trib_free(call);
}

static struct trib_link_call *call_ref(struct trib_link_call *call)
{
    atomic_fetch_add(&call->references, 1);
    return call;
}

/* Put a call, or NULL, into its slot and let go of the former one, which ends by itself. */
static void put_in_slot(struct trib_link *link, struct trib_link_call **slot, struct trib_link_call *call)
{
    pthread_mutex_lock(&link->lock);
    struct trib_link_call *former = *slot;
    *slot = call ? call_ref(call) : NULL;
    pthread_mutex_unlock(&link->lock);
    if (former) {
        trib_net_call_cancel(former->call);
        trib_link_call_unref(former);
    }
}

/* Another reference to what stands in a slot; NULL when it is empty. */
static struct trib_link_call *in_slot(struct trib_link *link, struct trib_link_call **slot)
{
    pthread_mutex_lock(&link->lock);
    struct trib_link_call *call = !*slot ? NULL : call_ref(*slot);
    pthread_mutex_unlock(&link->lock);
    return call;
}

enum trib_status trib_link_call_start(struct trib_link_call *call, const char *path,
                                      const struct trib_net_events *events, struct trib_error *error)
{
    struct trib_link *link = call->link;
    put_in_slot(link, call->slot, NULL);
    call_ref(call); /* the transport's, until `closed` */
    enum trib_status status = trib_net_channel_call(link->channel, path, 0, events, call, &call->call, error);
    if (status != TRIB_OK) {
        trib_link_call_unref(call);
        return status;
    }
    pthread_mutex_lock(&link->lock);
    if (call->final) { /* not closed meanwhile */
        *call->slot = call_ref(call);
    }
    pthread_mutex_unlock(&link->lock);
    return TRIB_OK;
}

void trib_link_call_fail(struct trib_link_call *call, enum trib_status status, const char *message)
{
    if (!call->settled) {
        call->settled = true;
        call->final->status = status;
        (void)trib_str_copy(call->final->reason, sizeof call->final->reason, message);
    }
    trib_net_call_cancel(call->call);
}

void trib_link_call_note(struct trib_link_call *call, const struct trib_net_close *how)
{
    if (!call->settled) {
        call->final->status = how->status;
        (void)trib_str_copy(call->final->reason, sizeof call->final->reason, how->details);
    }
}

void trib_link_call_done(struct trib_link_call *call)
{
    struct trib_link *link = call->link;
    pthread_mutex_lock(&link->lock);
    struct trib_session_event *final = call->final;
    call->final = NULL;
    bool current = *call->slot == call;
    if (current) {
        *call->slot = NULL;
    }
    pthread_cond_broadcast(&link->closed);
    pthread_mutex_unlock(&link->lock);
    trib_session_event_post(link->config.events, final);
    if (current) {
        trib_link_call_unref(call);
    }
    trib_link_call_unref(call);
}

void trib_link_cancel(struct trib_link *link, bool keep)
{
    struct trib_link_call *calls[2];
    struct trib_link_partial *partial = NULL;
    struct trib_model_spool *complete[TRIB_TASK_DELTAS];
    size_t n_complete = 0;
    pthread_mutex_lock(&link->lock);
    calls[0] = !link->download ? NULL : call_ref(link->download);
    calls[1] = !link->upload ? NULL : call_ref(link->upload);
    if (!keep) {
        partial = link->partial;
        link->partial = NULL;
        n_complete = link->n_complete;
        memcpy(complete, link->complete, n_complete * sizeof complete[0]);
        link->n_complete = 0;
        if (calls[0]) {
            calls[0]->drop = true;
            if (calls[0]->partial) { /* at once: the next download may be of the same blob */
                trib_model_spool_forget(calls[0]->partial->spool);
            }
        }
    }
    pthread_mutex_unlock(&link->lock);
    for (int i = 0; i < 2; i++) {
        if (calls[i]) {
            trib_net_call_cancel(calls[i]->call);
            trib_link_call_unref(calls[i]);
        }
    }
    trib_link_partial_free(partial);
    for (size_t i = 0; i < n_complete; i++) {
        trib_model_spool_free(complete[i]);
    }
}

/* ---- the session stream ---- */

static void stream_message(void *user, struct trib_net_call *net, struct trib_net_message *message)
{
    (void)net;
    struct trib_link_call *call = user;
    struct trib_error error = {.message = ""};
    ProtobufCMessage *unpacked = NULL;
    if (!message) {
        return; /* `closed` tells why */
    }
    const uint8_t *bytes = trib_net_message_flat(message);
    enum trib_status status = TRIB_NO_MEMORY;
    if (bytes) {
        status = trib_message_unpack(&tributary__v1__server_message__descriptor, bytes, trib_net_message_len(message),
                                     &unpacked, &error);
    }
    trib_net_message_free(message);
    if (status != TRIB_OK) {
        trib_link_call_fail(call, status, !bytes ? trib_status_text(status) : error.message);
        return;
    }
    struct trib_session_event *event = call->incoming;
    call->incoming = NULL;
    event->is.message = (Tributary__V1__ServerMessage *)unpacked;
    trib_session_event_post(call->link->config.events, event);
}

static void stream_closed(void *user, struct trib_net_call *net, const struct trib_net_close *how)
{
    (void)net;
    struct trib_link_call *call = user;
    trib_link_call_note(call, how);
    if (call->final->status == TRIB_OK) {
        trib_link_call_fail(call, TRIB_UNAVAILABLE, "the server ended the session");
    }
    trib_link_call_done(call);
}

static const struct trib_net_events stream_events = {.message = stream_message, .closed = stream_closed};

static enum trib_status ask_for_message(struct trib_link_call *call, struct trib_error *error)
{
    /* One read at a time: nobody else touches `incoming` until it has been asked for. */
    call->incoming = trib_session_event_new(TRIB_SESSION_MESSAGE, call->job);
    if (!call->incoming) {
        return trib_fail_no_memory(error);
    }
    trib_net_call_read(call->call);
    return TRIB_OK;
}

enum trib_status trib_link_connect(struct trib_link *link, uint64_t job, struct trib_error *error)
{
    struct trib_link_call *call = NULL;
    struct trib_session_event *connected = trib_session_event_new(TRIB_SESSION_CONNECTED, job);
    if (!connected) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_link_call_new(link, &link->stream, TRIB_SESSION_DISCONNECTED, job, &call, error);
    if (status != TRIB_OK) {
        trib_session_event_free(connected);
        return status;
    }
    /* First, so that it stands before the call's own events. When the call cannot be started, the failure that is
     * returned makes it stale. */
    trib_session_event_post(link->config.events, connected);
    status = trib_link_call_start(call, TRIB_PATH_SESSION, &stream_events, error);
    if (status == TRIB_OK && ask_for_message(call, NULL) != TRIB_OK) {
        trib_net_call_cancel(call->call);
    }
    trib_link_call_unref(call);
    return status;
}

enum trib_status trib_link_read(struct trib_link *link, uint64_t job, struct trib_error *error)
{
    struct trib_link_call *call = in_slot(link, &link->stream);
    enum trib_status status = TRIB_OK;
    if (call && call->job == job && !call->incoming) {
        status = ask_for_message(call, error);
    }
    trib_link_call_unref(call);
    return status;
}

enum trib_status trib_link_send(struct trib_link *link, const void *bytes, size_t len, struct trib_error *error)
{
    struct trib_link_call *call = in_slot(link, &link->stream);
    if (!call) {
        return TRIB_OK;
    }
    enum trib_status status = trib_net_call_send(call->call, bytes, len, NULL, 0, 0);
    trib_link_call_unref(call);
    if (status == TRIB_OK || status == TRIB_CANCELLED) {
        return TRIB_OK;
    }
    return trib_fail(error, status, "a message to the server could not be queued: %s",
                     status == TRIB_LIMIT ? "it takes none" : trib_status_text(status));
}

void trib_link_disconnect(struct trib_link *link)
{
    put_in_slot(link, &link->stream, NULL);
}

void trib_link_finish(struct trib_link *link, int64_t grace_ms)
{
    struct trib_link_call *call = in_slot(link, &link->stream);
    if (!call) {
        return;
    }
    trib_net_call_half_close(call->call);
    int64_t until_ms = trib_clock_ms() + grace_ms;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&link->lock);
    while (link->stream == call) {
        if (pthread_cond_timedwait(&link->closed, &link->lock, &until) == ETIMEDOUT) {
            break;
        }
    }
    pthread_mutex_unlock(&link->lock);
    trib_link_call_unref(call);
    trib_link_disconnect(link);
}
