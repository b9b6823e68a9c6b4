/* The state machine of a call, both sides. Locks: only the call's own, and never around an event or a gRPC batch; what
 * keeps gRPC's object alive across a batch that starts outside the lock is the tag counted before. */
#include "call.h"
#include "net_message.h"
#include "runtime.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <grpc/slice.h>

#include <stdio.h>
#include <string.h>

enum {
    DETAILS_LEN = 1024,
    /* What a queued message costs beside its bytes, so that a flood of tiny ones meets the cap as well. */
    MESSAGE_CHARGE = 256
};

static void moved(struct trib_net_call *call);
static bool take_put_off(struct trib_net_call *call);
static void on_read(struct trib_net_tag *tag, bool ok);
static void on_written(struct trib_net_tag *tag, bool ok);
static void on_end(struct trib_net_tag *tag, bool ok);

#define CALL_OF(tag, member) ((struct trib_net_call *)(void *)((char *)(tag)-offsetof(struct trib_net_call, member)))

/* ---- life ---- */

struct trib_net_call *trib_net_call_new(grpc_call *transport, bool server, const struct trib_net_limits *limits,
                                        struct trib_net_roster *roster)
{
    struct trib_net_call *call = trib_calloc(1, sizeof *call);
    if (!call) {
        grpc_call_unref(transport);
        return NULL;
    }
    atomic_init(&call->references, 1);
    pthread_mutex_init(&call->lock, NULL);
    call->roster = roster;
    call->server = server;
    call->max_message_bytes = limits->max_message_bytes;
    call->send_queue_bytes = limits->send_queue_bytes;
    call->linger_ms = limits->idle_ms;
    call->events = &trib_net_call_ignore;
    call->transport = transport;
    call->headers_sent = !server; /* a client's go with the first batch */
    call->end_details = grpc_empty_slice();
    call->received_details = grpc_empty_slice();
    grpc_metadata_array_init(&call->initial_metadata);
    grpc_metadata_array_init(&call->trailing_metadata);
    trib_net_roster_enter(roster, call);
    return call;
}

struct trib_net_call *trib_net_call_ref(struct trib_net_call *call)
{
    atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed);
    return call;
}

void trib_net_call_unref(struct trib_net_call *call)
{
    if (!call || atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    pthread_mutex_destroy(&call->lock);
    trib_free(call);
}

static void free_outgoing(struct trib_net_outgoing *list)
{
    while (list) {
        struct trib_net_outgoing *next = list->next;
        grpc_byte_buffer_destroy(list->buffer);
        trib_free(list);
        list = next;
    }
}

/* Under the lock: take the queue away; the caller frees it outside. */
static struct trib_net_outgoing *take_queue(struct trib_net_call *call)
{
    struct trib_net_outgoing *list = call->first;
    call->first = NULL;
    call->last = NULL;
    call->queued_bytes = call->sending ? call->sending->len : 0;
    return list;
}

/* The last step of a call that is drained: release what is gRPC's and leave the roster. */
static void dismantle(struct trib_net_call *call)
{
    pthread_mutex_lock(&call->lock);
    grpc_call *transport = call->transport;
    struct trib_net_outgoing *unsent = take_queue(call);
    call->transport = NULL;
    call->ended = true;
    pthread_mutex_unlock(&call->lock);
    free_outgoing(unsent);
    grpc_metadata_array_destroy(&call->initial_metadata);
    grpc_metadata_array_destroy(&call->trailing_metadata);
    grpc_slice_unref(call->received_details);
    grpc_slice_unref(call->end_details);
    grpc_call_unref(transport);
    (void)take_put_off(call);
    trib_net_roster_leave(call->roster, call);
}

enum trib_status trib_net_call_start(struct trib_net_call *call, struct trib_error *error)
{
    grpc_op ops[3];
    size_t n_ops = 0;
    memset(ops, 0, sizeof ops);
    if (call->server) {
        ops[n_ops].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[n_ops++].data.recv_close_on_server.cancelled = &call->peer_cancelled;
    } else {
        ops[n_ops++].op = GRPC_OP_SEND_INITIAL_METADATA;
        ops[n_ops].op = GRPC_OP_RECV_INITIAL_METADATA;
        ops[n_ops++].data.recv_initial_metadata.recv_initial_metadata = &call->initial_metadata;
        ops[n_ops].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
        ops[n_ops].data.recv_status_on_client.trailing_metadata = &call->trailing_metadata;
        ops[n_ops].data.recv_status_on_client.status = &call->received_code;
        ops[n_ops++].data.recv_status_on_client.status_details = &call->received_details;
    }
    pthread_mutex_lock(&call->lock);
    call->outstanding = 1;
    grpc_call *transport = call->transport;
    pthread_mutex_unlock(&call->lock);
    trib_net_call_ref(call);
    trib_net_tag_set(&call->read_tag, on_read);
    trib_net_tag_set(&call->write_tag, on_written);
    trib_net_tag_set(&call->end_tag, on_end);
    grpc_call_error failure = trib_net_start_batch(transport, ops, n_ops, &call->end_tag);
    if (failure != GRPC_CALL_OK) {
        dismantle(call);
        trib_net_call_unref(call);
        return trib_fail(error, TRIB_INTERNAL, "gRPC refused to start a call (error %d)", (int)failure);
    }
    return TRIB_OK;
}

static void copy_details(grpc_slice slice, char *to, size_t size)
{
    size_t len = GRPC_SLICE_LENGTH(slice) < size - 1 ? GRPC_SLICE_LENGTH(slice) : size - 1;
    memcpy(to, GRPC_SLICE_START_PTR(slice), len);
    to[len] = '\0';
}

/* With TLS 1.3 a client has finished its handshake before the server looks at its certificate: a refusal arrives as a
 * connection that breaks, without a reason. Say what else a broken connection may mean. */
static const char *hint_of(const struct trib_net_call *call, const char *details)
{
    bool broke = strstr(details, "Socket closed") || strstr(details, "Connection reset") ||
                 strstr(details, "Broken pipe") || strstr(details, "GOAWAY");
    if (call->received_code != GRPC_STATUS_UNAVAILABLE || call->answered || call->initial_metadata.count > 0 ||
        !broke) {
        return "";
    }
    return "; the connection broke before the server answered: if this repeats, the server may be refusing this "
           "node (its certificate, or the TLS version); the server's log says why";
}

static void deliver_closed(struct trib_net_call *call)
{
    char received[DETAILS_LEN];
    char details[DETAILS_LEN * 2];
    struct trib_net_close how = {.status = TRIB_OK, .details = details, .grpc_code = GRPC_STATUS_OK};
    if (!call->server) {
        copy_details(call->received_details, received, sizeof received);
        snprintf(details, sizeof details, "%s%s", received, hint_of(call, received));
        how.grpc_code = (int)call->received_code;
        how.status = trib_status_from_grpc(how.grpc_code);
    } else if (call->expired) {
        how.grpc_code = GRPC_STATUS_DEADLINE_EXCEEDED;
        how.status = TRIB_TIMEOUT;
        how.details = "nothing moved on this call for too long";
    } else if (call->peer_cancelled) {
        how.grpc_code = GRPC_STATUS_CANCELLED;
        how.status = TRIB_CANCELLED;
        how.details = call->cancelled ? "cancelled by this server" : "the client cancelled or went away";
    } else {
        how.details = "";
    }
    call->events->closed(call->user, call, &how);
}

/* A tag has been dealt with. The last one closes the call. */
static void release_tag(struct trib_net_call *call)
{
    pthread_mutex_lock(&call->lock);
    bool drained = --call->outstanding == 0;
    pthread_mutex_unlock(&call->lock);
    if (drained) {
        deliver_closed(call);
        dismantle(call);
        trib_net_call_unref(call);
    }
}

static void on_end(struct trib_net_tag *tag, bool ok)
{
    struct trib_net_call *call = CALL_OF(tag, end_tag);
    (void)ok; /* this batch says how the call ended; it always succeeds */
    pthread_mutex_lock(&call->lock);
    call->ended = true;
    struct trib_net_outgoing *unsent = take_queue(call);
    pthread_mutex_unlock(&call->lock);
    free_outgoing(unsent);
    release_tag(call);
}

/* ---- cancelling ---- */

/* details NULL: gRPC's plain cancelling. */
static void cancel(struct trib_net_call *call, bool expired, grpc_status_code code, const char *details)
{
    grpc_call *transport = NULL;
    pthread_mutex_lock(&call->lock);
    if (!call->ended && !call->cancelled) {
        call->cancelled = true;
        call->expired = expired;
        transport = call->transport;
        grpc_call_ref(transport);
    }
    struct trib_net_outgoing *unsent = take_queue(call);
    pthread_mutex_unlock(&call->lock);
    free_outgoing(unsent);
    if (!transport) {
        return;
    }
    if (details) {
        grpc_call_cancel_with_status(transport, code, details, NULL);
    } else {
        grpc_call_cancel(transport, NULL);
    }
    grpc_call_unref(transport);
}

void trib_net_call_cancel(struct trib_net_call *call)
{
    cancel(call, false, GRPC_STATUS_CANCELLED, NULL);
}

void trib_net_call_abort(struct trib_net_call *call, enum trib_status status, const char *details)
{
    cancel(call, false, (grpc_status_code)trib_status_to_grpc(status), details);
}

/* ---- what is due ---- */

static void moved(struct trib_net_call *call)
{
    int64_t limit_ms = atomic_load(&call->idle_limit_ms);
    if (limit_ms > 0) {
        atomic_store(&call->idle_due_ms, trib_clock_ms() + limit_ms);
    }
}

void trib_net_call_idle_limit(struct trib_net_call *call, int64_t limit_ms)
{
    atomic_store(&call->idle_due_ms, trib_clock_ms() + limit_ms);
    atomic_store(&call->idle_limit_ms, limit_ms);
}

void trib_net_call_read_after(struct trib_net_call *call, int64_t wait_ms)
{
    if (wait_ms > 0) {
        atomic_fetch_add(&call->roster->n_put_off, 1);
        atomic_store(&call->read_at_ms, trib_clock_ms() + wait_ms);
    } else {
        trib_net_call_read(call);
    }
}

bool trib_net_call_is_due(struct trib_net_call *call, int64_t now_ms)
{
    int64_t read_at_ms = atomic_load(&call->read_at_ms);
    if (read_at_ms != 0) {
        return now_ms >= read_at_ms;
    }
    return atomic_load(&call->idle_limit_ms) > 0 && now_ms >= atomic_load(&call->idle_due_ms);
}

/* Whoever takes the time away does what was put off, or drops it. */
static bool take_put_off(struct trib_net_call *call)
{
    bool taken = atomic_exchange(&call->read_at_ms, 0) != 0;
    if (taken) {
        atomic_fetch_sub(&call->roster->n_put_off, 1);
    }
    return taken;
}

void trib_net_call_tick(struct trib_net_call *call, int64_t now_ms)
{
    if (!trib_net_call_is_due(call, now_ms)) {
        return;
    }
    if (take_put_off(call)) {
        moved(call);
        trib_net_call_read(call);
    } else {
        cancel(call, true, GRPC_STATUS_DEADLINE_EXCEEDED,
               "nothing moved on this call for too long; it may be tried again");
    }
}

/* gRPC refuses a batch only when this file breaks its rules. The call cannot go on. */
static void batch_refused(struct trib_net_call *call, const char *what, grpc_call_error failure)
{
    trib_log(TRIB_LOG_ERROR, "net", "batch_refused", TRIB_F_STR("what", what), TRIB_F_INT("grpc_error", failure));
    trib_net_call_cancel(call);
    release_tag(call);
}

/* ---- reading ---- */

void trib_net_call_read(struct trib_net_call *call)
{
    pthread_mutex_lock(&call->lock);
    bool start = !call->reading && !call->no_more_input && !call->ended && !call->cancelled;
    if (start) {
        call->reading = true;
        call->outstanding++;
    }
    grpc_call *transport = call->transport;
    pthread_mutex_unlock(&call->lock);
    if (!start) {
        return;
    }
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &call->incoming;
    grpc_call_error failure = trib_net_start_batch(transport, &op, 1, &call->read_tag);
    if (failure != GRPC_CALL_OK) {
        batch_refused(call, "read", failure);
    }
}

static void on_read(struct trib_net_tag *tag, bool ok)
{
    struct trib_net_call *call = CALL_OF(tag, read_tag);
    struct trib_net_message *message = NULL;
    bool came = call->incoming;
    if (came) {
        message = trib_net_message_take(call->incoming);
        call->incoming = NULL;
    }
    if (came && !message) {
        trib_net_call_cancel(call);
    } else if (came) {
        moved(call);
    }
    call->answered = call->answered || came;
    pthread_mutex_lock(&call->lock);
    call->reading = false;
    call->no_more_input = !ok || !message;
    pthread_mutex_unlock(&call->lock);
    call->events->message(call->user, call, message);
    release_tag(call);
}

/* ---- writing ---- */

/* Under the lock: put what is due next into one batch, so that headers, the last message and the end share a write. */
static size_t next_batch(struct trib_net_call *call, grpc_op ops[3])
{
    size_t n_ops = 0;
    bool due = call->first || (call->end_wanted && !call->end_sent);
    if (!due || call->writing || call->ended || call->cancelled || call->broken) {
        return 0;
    }
    if (!call->headers_sent) {
        call->headers_sent = true;
        ops[n_ops++].op = GRPC_OP_SEND_INITIAL_METADATA;
    }
    if (call->first) {
        call->sending = call->first;
        call->first = call->sending->next;
        call->sending->next = NULL;
        if (!call->first) {
            call->last = NULL;
        }
        ops[n_ops].op = GRPC_OP_SEND_MESSAGE;
        ops[n_ops++].data.send_message.send_message = call->sending->buffer;
    }
    if (!call->first && call->end_wanted) {
        call->end_sent = true;
        if (call->server) {
            ops[n_ops].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
            ops[n_ops].data.send_status_from_server.status = call->end_code;
            ops[n_ops++].data.send_status_from_server.status_details = &call->end_details;
        } else {
            ops[n_ops++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        }
    }
    call->writing = true;
    call->outstanding++;
    return n_ops;
}

static void pump(struct trib_net_call *call)
{
    grpc_op ops[3];
    memset(ops, 0, sizeof ops);
    pthread_mutex_lock(&call->lock);
    size_t n_ops = next_batch(call, ops);
    grpc_call *transport = call->transport;
    pthread_mutex_unlock(&call->lock);
    if (n_ops == 0) {
        return;
    }
    grpc_call_error failure = trib_net_start_batch(transport, ops, n_ops, &call->write_tag);
    if (failure != GRPC_CALL_OK) {
        pthread_mutex_lock(&call->lock);
        struct trib_net_outgoing *unsent = call->sending;
        call->sending = NULL;
        pthread_mutex_unlock(&call->lock);
        free_outgoing(unsent);
        batch_refused(call, "write", failure);
    }
}

static void on_written(struct trib_net_tag *tag, bool ok)
{
    struct trib_net_call *call = CALL_OF(tag, write_tag);
    struct trib_net_outgoing *unsent = NULL;
    pthread_mutex_lock(&call->lock);
    struct trib_net_outgoing *sent = call->sending;
    call->sending = NULL;
    call->writing = false;
    if (sent) {
        call->queued_bytes -= sent->len;
    }
    if (!ok) {
        call->broken = true;
        unsent = take_queue(call);
    }
    bool writable = ok && call->was_full && call->queued_bytes <= call->send_queue_bytes / 2;
    if (writable) {
        call->was_full = false;
    }
    pthread_mutex_unlock(&call->lock);
    free_outgoing(sent);
    free_outgoing(unsent);
    if (ok) {
        moved(call);
    }
    pump(call);
    if (writable && call->events->writable) {
        call->events->writable(call->user, call);
    }
    release_tag(call);
}

static void blob_unref(void *blob)
{
    trib_blob_unref(blob);
}

/* gRPC may look at a user-data slice until after the write's tag; the reference taken here goes when gRPC lets go. */
static struct trib_net_outgoing *make_outgoing(const void *head, size_t head_len, struct trib_blob *blob, size_t offset,
                                               size_t len)
{
    struct trib_net_outgoing *outgoing = trib_malloc(sizeof *outgoing);
    grpc_slice slices[2];
    size_t n = 0;
    if (!outgoing) {
        return NULL;
    }
    if (head_len > 0) {
        slices[n++] = grpc_slice_from_copied_buffer(head, head_len);
    }
    if (len > 0) {
        /* gRPC's signature lacks the const; it only reads. */
        union {
            const uint8_t *in;
            void *out;
        } bytes = {.in = trib_blob_data(blob) + offset};
        slices[n++] = grpc_slice_new_with_user_data(bytes.out, len, blob_unref, trib_blob_ref(blob));
    }
    *outgoing = (struct trib_net_outgoing){
        .next = NULL, .buffer = grpc_raw_byte_buffer_create(slices, n), .len = head_len + len + MESSAGE_CHARGE};
    for (size_t i = 0; i < n; i++) {
        grpc_slice_unref(slices[i]);
    }
    return outgoing;
}

/* Under the lock. A message that alone is over the cap may still go when nothing else waits. */
static enum trib_status may_queue(struct trib_net_call *call, size_t len)
{
    if (call->ended || call->cancelled || call->broken || call->end_wanted) {
        return TRIB_CANCELLED;
    }
    bool full = call->queued_bytes > 0 &&
                (call->queued_bytes >= call->send_queue_bytes || len > call->send_queue_bytes - call->queued_bytes);
    if (full) {
        call->was_full = true;
        return TRIB_LIMIT;
    }
    return TRIB_OK;
}

enum trib_status trib_net_call_send(struct trib_net_call *call, const void *head, size_t head_len,
                                    struct trib_blob *blob, size_t offset, size_t len)
{
    size_t total = 0;
    if (!trib_size_add(head_len, len, &total) || total > call->max_message_bytes ||
        (len > 0 && (!blob || offset > trib_blob_len(blob) || len > trib_blob_len(blob) - offset))) {
        return TRIB_INVALID;
    }
    /* Asked first, so that a full queue costs no copy; asked again below, as other threads may send too. */
    pthread_mutex_lock(&call->lock);
    enum trib_status status = may_queue(call, total + MESSAGE_CHARGE);
    pthread_mutex_unlock(&call->lock);
    TRIB_TRY(status);
    struct trib_net_outgoing *outgoing = make_outgoing(head, head_len, blob, offset, len);
    if (!outgoing) {
        return TRIB_NO_MEMORY;
    }
    pthread_mutex_lock(&call->lock);
    status = may_queue(call, total + MESSAGE_CHARGE);
    if (status == TRIB_OK) {
        if (call->last) {
            call->last->next = outgoing;
        } else {
            call->first = outgoing;
        }
        call->last = outgoing;
        call->queued_bytes += outgoing->len;
    }
    pthread_mutex_unlock(&call->lock);
    if (status != TRIB_OK) {
        free_outgoing(outgoing);
        return status;
    }
    pump(call);
    return TRIB_OK;
}

size_t trib_net_call_queued(struct trib_net_call *call)
{
    pthread_mutex_lock(&call->lock);
    size_t queued = call->queued_bytes;
    pthread_mutex_unlock(&call->lock);
    return queued;
}

static void want_end(struct trib_net_call *call, grpc_status_code code, const char *details)
{
    /* Headers have a size limit at the receiver: a longer text would lose the status itself. */
    grpc_slice text =
        details ? grpc_slice_from_copied_buffer(details, strnlen(details, DETAILS_LEN - 1)) : grpc_empty_slice();
    pthread_mutex_lock(&call->lock);
    bool first = !call->end_wanted && !call->ended;
    if (first) {
        call->end_wanted = true;
        call->end_code = code;
        call->end_details = text;
    }
    pthread_mutex_unlock(&call->lock);
    if (first && call->server && atomic_load(&call->idle_limit_ms) == 0) {
        trib_net_call_idle_limit(call, call->linger_ms); /* what is queued may never be read */
    }
    if (first) {
        pump(call);
    } else {
        grpc_slice_unref(text);
    }
}

void trib_net_call_half_close(struct trib_net_call *call)
{
    if (!call->server) {
        want_end(call, GRPC_STATUS_OK, NULL);
    }
}

void trib_net_call_finish(struct trib_net_call *call, enum trib_status status, const char *details)
{
    if (call->server) {
        want_end(call, (grpc_status_code)trib_status_to_grpc(status), details);
    }
}

/* ---- calls that nobody serves ---- */

static void ignore_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    (void)call;
    trib_net_message_free(message);
}

static void ignore_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)user;
    (void)call;
    (void)how;
}

const struct trib_net_events trib_net_call_ignore = {
    .message = ignore_message, .writable = NULL, .closed = ignore_closed};
