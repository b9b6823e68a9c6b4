/* The engine's thread and inbox, and the calls that transport threads make. */
#include "engine_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* An honest client says something about once a second, and the engine's thread never waits for long. */
enum { MESSAGES_PER_PEER = 256 };

int64_t trib_engine_now_ms(const struct trib_engine *engine)
{
    return engine->driver ? engine->driver->now_ms(engine->driver->context) : trib_clock_ms();
}

/* ---- the inbox ---- */

void trib_engine_post(struct trib_engine *engine, struct event *event)
{
    event->next = NULL;
    pthread_mutex_lock(&engine->inbox_mutex);
    *engine->inbox.last = event;
    engine->inbox.last = &event->next;
    pthread_cond_signal(&engine->inbox_cond);
    pthread_mutex_unlock(&engine->inbox_mutex);
}

static struct event *new_event(enum event_kind kind)
{
    struct event *event = trib_calloc(1, sizeof *event);
    if (event) {
        event->kind = kind;
    }
    return event;
}

static void free_event(struct event *event)
{
    if (event->kind == EVENT_MESSAGE) {
        atomic_fetch_sub(&event->peer->queued, 1);
    }
    if (event->peer) {
        event->peer->ops->unref(event->peer);
    }
    if (event->message) {
        trib_message_free(&event->message->base);
    }
    trib_upload_unref(event->upload);
    trib_upload_unref(event->work.upload);
    trib_free(event->work.sketch);
    trib_notes_clear(&event->work.notes);
    trib_buf_clear(&event->work.made);
    trib_free(event);
}

void trib_engine_free_events(struct event_list *list)
{
    while (list->first) {
        struct event *next = list->first->next;
        free_event(list->first);
        list->first = next;
    }
    list->last = &list->first;
}

/* Wait for events until the deadline (monotonic ms, INT64_MAX = for ever) and take them all. */
static struct event *wait_inbox(struct trib_engine *engine, int64_t until_ms)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&engine->inbox_mutex);
    while (!engine->inbox.first) {
        if (until_ms == INT64_MAX) {
            pthread_cond_wait(&engine->inbox_cond, &engine->inbox_mutex);
        } else if (pthread_cond_timedwait(&engine->inbox_cond, &engine->inbox_mutex, &until) != 0) {
            break;
        }
    }
    struct event *events = engine->inbox.first;
    engine->inbox.first = NULL;
    engine->inbox.last = &engine->inbox.first;
    pthread_mutex_unlock(&engine->inbox_mutex);
    return events;
}

/* ---- the thread ---- */

static void on_upload_event(struct trib_engine *engine, const struct event *event)
{
    if (event->ok && !trib_uploads_holds(&engine->uploads, event->upload)) {
        return; /* another upload was granted meanwhile, or the round went on */
    }
    struct trib_round_event step = {.kind = event->ok ? TRIB_EVENT_UPLOADED : TRIB_EVENT_REFUSED,
                                    .client = event->client,
                                    .round = event->round,
                                    .attempt = event->attempt,
                                    .reason = event->reason};
    trib_engine_step(engine, &step);
}

static void on_upload_refused(struct trib_engine *engine, const struct event *event)
{
    uint32_t number;
    trib_log(TRIB_LOG_WARN, "upload", "upload_refused", TRIB_F_STR("node", event->node),
             TRIB_F_STR("status", trib_status_name(event->status)), TRIB_F_STR("reason", event->reason));
    /* An upload for a round that is over is no breach: its sender may be taking part in this one already. */
    bool breach = event->status == TRIB_PROTOCOL || event->status == TRIB_CORRUPT || event->status == TRIB_LIMIT;
    if (breach && trib_engine_find(engine, event->node, &number)) {
        uint64_t attempt = 0, round = trib_round_task_of(engine->round, number, &attempt);
        trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_REFUSED,
                                                            .client = number,
                                                            .round = round,
                                                            .attempt = attempt,
                                                            .reason = event->reason});
    }
}

/* When it is over, those who come are told so, and nothing else happens. */
static void handle_after(struct trib_engine *engine, struct event *event)
{
    if (event->kind == EVENT_CONNECT) {
        trib_engine_on_connect(engine, event);
    } else if (event->kind == EVENT_STOP) {
        engine->linger_until_ms = 0;
    }
}

static void handle(struct trib_engine *engine, struct event *event)
{
    uint32_t number;
    if (engine->done) {
        handle_after(engine, event);
        return;
    }
    switch (event->kind) {
    case EVENT_CONNECT:
        trib_engine_on_connect(engine, event);
        break;
    case EVENT_MESSAGE:
        trib_engine_on_message(engine, event);
        break;
    case EVENT_DISCONNECT:
        trib_engine_on_disconnect(engine, event);
        break;
    case EVENT_PROGRESS:
        if (trib_engine_find(engine, event->node, &number)) {
            trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_PROGRESS, .client = number});
        }
        break;
    case EVENT_UPLOAD_ENDED:
        on_upload_event(engine, event);
        break;
    case EVENT_UPLOAD_REFUSED:
        on_upload_refused(engine, event);
        break;
    case EVENT_WORK_DONE:
        trib_engine_work_done(engine, &event->work);
        break;
    case EVENT_RESUME:
        trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_RESUME});
        break;
    case EVENT_STOP:
        trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_STOP});
        break;
    }
}

static void handle_all(struct trib_engine *engine, struct event *event)
{
    while (event) {
        struct event *next = event->next;
        handle(engine, event);
        free_event(event);
        event = next;
    }
    if (!engine->done && trib_engine_now_ms(engine) >= trib_round_next_tick(engine->round)) {
        trib_engine_step(engine, &(struct trib_round_event){.kind = TRIB_EVENT_TICK});
    }
    trib_engine_write_down(engine);
}

static int64_t next_wake_ms(const struct trib_engine *engine)
{
    if (engine->done) {
        return engine->linger_until_ms;
    }
    int64_t round_ms = trib_round_next_tick(engine->round), notes_ms = trib_engine_notes_due_ms(engine);
    return round_ms < notes_ms ? round_ms : notes_ms;
}

static void *engine_main(void *context)
{
    struct trib_engine *engine = context;
    if (engine->done) { /* clients of a run that was complete at the start: those who missed its end may come */
        engine->linger_until_ms = trib_engine_now_ms(engine) + engine->settings->linger_ms;
    }
    while (!engine->done || trib_engine_now_ms(engine) < engine->linger_until_ms) {
        handle_all(engine, wait_inbox(engine, next_wake_ms(engine)));
    }
    engine->finished(engine->finished_context);
    return NULL;
}

/* ---- without threads ---- */

void trib_engine_turn(struct trib_engine *engine)
{
    bool more = true;
    while (more) {
        struct event *events = wait_inbox(engine, 0);
        more = events;
        handle_all(engine, events);
        while (trib_engine_work_once(engine)) {
            more = true;
        }
        more = more || (!engine->done && trib_engine_wake_ms(engine) <= trib_engine_now_ms(engine));
    }
}

int64_t trib_engine_wake_ms(const struct trib_engine *engine)
{
    return engine->done ? INT64_MAX : next_wake_ms(engine);
}

bool trib_engine_done(const struct trib_engine *engine)
{
    return engine->done;
}

enum trib_status trib_engine_start(struct trib_engine *engine, void (*finished)(void *context), void *context,
                                   struct trib_error *error)
{
    engine->finished = finished;
    engine->finished_context = context;
    int errnum = pthread_create(&engine->worker.thread, NULL, trib_engine_worker, engine);
    if (errnum != 0) {
        return trib_fail_errno(error, errnum, "cannot start the worker thread");
    }
    errnum = pthread_create(&engine->thread, NULL, engine_main, engine);
    if (errnum != 0) {
        pthread_mutex_lock(&engine->worker.mutex);
        engine->worker.stop = true;
        pthread_cond_signal(&engine->worker.cond);
        pthread_mutex_unlock(&engine->worker.mutex);
        pthread_join(engine->worker.thread, NULL);
        return trib_fail_errno(error, errnum, "cannot start the engine thread");
    }
    return TRIB_OK;
}

void trib_engine_stop(struct trib_engine *engine)
{
    struct event *event = atomic_exchange(&engine->stop_event, NULL);
    if (event) {
        event->kind = EVENT_STOP;
        trib_engine_post(engine, event);
    }
}

void trib_engine_join(struct trib_engine *engine)
{
    pthread_join(engine->thread, NULL);
    pthread_mutex_lock(&engine->worker.mutex);
    engine->worker.stop = true;
    pthread_cond_signal(&engine->worker.cond);
    pthread_mutex_unlock(&engine->worker.mutex);
    pthread_join(engine->worker.thread, NULL);
    trib_engine_free_events(&engine->inbox);
}

enum trib_status trib_engine_failure(const struct trib_engine *engine, struct trib_error *error)
{
    if (engine->failure.status != TRIB_OK && error) {
        *error = engine->failure;
    }
    return engine->failure.status;
}

const char *trib_engine_run_id(const struct trib_engine *engine)
{
    return engine->run;
}

const char *trib_engine_compute(const struct trib_engine *engine)
{
    return engine->backend->describe ? engine->backend->describe() : engine->backend->name;
}

bool trib_engine_complete(const struct trib_engine *engine)
{
    return atomic_load(&engine->complete);
}

/* ---- from transport threads ---- */

/* Into event->reason, what the client lacks of the update's chain and what it has instead. */
static void check_codecs(const struct trib_engine *engine, const Tributary__V1__Hello *hello, struct event *event)
{
    const char *lacking = trib_uplink_lacks(&engine->uplink, hello->codecs, hello->n_codecs);
    if (!lacking) {
        return;
    }
    size_t used = (size_t)snprintf(event->reason, sizeof event->reason,
                                   "this run needs codec \"%s\", which this client lacks; it has", lacking);
    for (size_t i = 0; i < hello->n_codecs && i < 64 && used < sizeof event->reason; i++) {
        int n = snprintf(event->reason + used, sizeof event->reason - used, " %.32s", hello->codecs[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

enum trib_status trib_engine_connect(struct trib_engine *engine, struct trib_peer *peer, const char *node,
                                     const char *address, const Tributary__V1__Hello *hello)
{
    struct event *event = new_event(EVENT_CONNECT);
    if (!event) {
        return TRIB_NO_MEMORY;
    }
    event->peer = peer->ops->ref(peer);
    trib_str_copy(event->node, sizeof event->node, node);
    trib_str_copy(event->address, sizeof event->address, address);
    trib_str_copy(event->software, sizeof event->software, hello->software);
    event->examples = hello->examples;
    event->protocol = hello->protocol;
    event->filtered = trib_filter_hello(engine->settings, hello);
    event->device = trib_device_of(hello->device);
    check_codecs(engine, hello, event);
    event->takes_deltas = !trib_chain_lacks(&engine->sealer.down, hello->codecs, hello->n_codecs);
    trib_engine_post(engine, event);
    return TRIB_OK;
}

enum trib_status trib_engine_message(struct trib_engine *engine, struct trib_peer *peer,
                                     Tributary__V1__ClientMessage *message)
{
    bool flooded = atomic_load(&peer->queued) >= MESSAGES_PER_PEER;
    struct event *event = flooded ? NULL : new_event(EVENT_MESSAGE);
    if (!event) {
        trib_message_free(&message->base);
        return flooded ? TRIB_LIMIT : TRIB_NO_MEMORY;
    }
    event->peer = peer->ops->ref(peer);
    atomic_fetch_add(&peer->queued, 1);
    event->message = message;
    trib_engine_post(engine, event);
    return TRIB_OK;
}

void trib_engine_disconnect(struct trib_engine *engine, struct trib_peer *peer, const char *reason)
{
    struct event *event = new_event(EVENT_DISCONNECT);
    if (!event) {
        trib_log(TRIB_LOG_ERROR, "engine", "event_lost", TRIB_F_STR("reason", "out of memory"));
        return; /* the client's idle timeout will end its part */
    }
    event->peer = peer->ops->ref(peer);
    trib_str_copy(event->reason, sizeof event->reason, reason);
    trib_engine_post(engine, event);
}

void trib_engine_count(struct trib_engine *engine, uint64_t bytes_up, uint64_t bytes_down)
{
    atomic_fetch_add_explicit(&engine->bytes_up, bytes_up, memory_order_relaxed);
    atomic_fetch_add_explicit(&engine->bytes_down, bytes_down, memory_order_relaxed);
}

void trib_engine_progress(struct trib_engine *engine, const char *node)
{
    struct event *event = new_event(EVENT_PROGRESS);
    if (event) {
        trib_str_copy(event->node, sizeof event->node, node);
        trib_engine_post(engine, event);
    }
}

struct trib_blob *trib_engine_blob(struct trib_engine *engine, const uint8_t sha256[32])
{
    return trib_release_blob(engine->release, sha256);
}

enum trib_status trib_engine_upload_open(struct trib_engine *engine, const char *node, const struct trib_chunk *first,
                                         struct trib_upload **upload, struct trib_error *error)
{
    return trib_uploads_open(&engine->uploads, node, first, upload, error);
}

void trib_engine_upload_refused(struct trib_engine *engine, const char *node, const struct trib_error *fault)
{
    struct event *event = new_event(EVENT_UPLOAD_REFUSED);
    if (event) {
        trib_str_copy(event->node, sizeof event->node, node);
        trib_str_copy(event->reason, sizeof event->reason, fault->message);
        event->status = fault->status;
        trib_engine_post(engine, event);
    }
}
