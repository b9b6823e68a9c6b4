/* A channel is a client's way to one server: calls that fail fast, one exchange in place.
 *
 * gRPC keeps a channel that could not connect in a failed state for its own backoff time, and answers calls with the
 * old error meanwhile. Here the caller decides when to try: a call that finds the channel failed makes a fresh gRPC
 * channel, and with it a fresh attempt and freshly read certificates. */
#include "call.h"
#include "runtime.h"
#include "tls.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <string.h>

enum {
    /* gRPC's name for it is the least reconnect backoff; it is what a connection attempt may take. */
    CONNECT_TIMEOUT_MS = 20000,
    /* gRPC's own repeated attempts serve nobody; they are made rare. */
    BACKOFF_MS = 120000
};

struct trib_net_channel {
    char *target;
    char *server_name; /* NULL: the target's host */
    struct trib_net_limits limits;
    struct trib_net_tls_source *tls; /* NULL: plain text */
    struct trib_net_queues queues;
    struct trib_net_roster roster;
    pthread_mutex_t lock; /* what follows; taken before the roster's */
    grpc_channel *transport;
    unsigned next_queue;
    bool closing;
};

static enum trib_status make_transport(struct trib_net_channel *channel, grpc_channel **transport,
                                       struct trib_error *error)
{
    struct trib_net_args args = {.n = 0};
    grpc_channel_credentials *credentials = NULL;
    trib_net_args_add_common(&args, &channel->limits);
    trib_net_args_add_int(&args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    trib_net_args_add_int(&args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    trib_net_args_add_int(&args, GRPC_ARG_ENABLE_RETRIES, 0);
    trib_net_args_add_int(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    trib_net_args_add_int(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS);
    trib_net_args_add_int(&args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_MS);
    trib_net_args_add_int(&args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, BACKOFF_MS);
    if (!channel->tls) {
        credentials = grpc_insecure_credentials_create();
    } else {
        TRIB_TRY(trib_net_channel_credentials(channel->tls, &credentials, error));
        if (channel->server_name) {
            trib_net_args_add_text(&args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, channel->server_name);
        }
    }
    grpc_channel_args done = trib_net_args_done(&args);
    *transport = grpc_channel_create(channel->target, credentials, &done);
    grpc_channel_credentials_release(credentials);
    if (!*transport) {
        return trib_fail(error, TRIB_INVALID, "%s: gRPC cannot make a channel to this address", channel->target);
    }
    return TRIB_OK;
}

/* gRPC would take "unix:/path" and more; an address here is host:port. */
static enum trib_status check_address(const char *address, struct trib_error *error)
{
    const char *colon = strrchr(address, ':');
    int64_t port = 0;
    if (!colon || colon == address || strpbrk(address, "/ ,%")) {
        return trib_fail(error, TRIB_INVALID, "server address \"%s\": must be host:port", address);
    }
    if (address[0] != '[' && strchr(address, ':') != colon) {
        return trib_fail(error, TRIB_INVALID, "server address \"%s\": an IPv6 address goes in brackets: [::1]:7443",
                         address);
    }
    if (trib_parse_int(colon + 1, 1, 65535, &port, NULL) != TRIB_OK) {
        return trib_fail(error, TRIB_INVALID, "server address \"%s\": the port must be a number from 1 to 65535",
                         address);
    }
    return TRIB_OK;
}

enum trib_status trib_net_channel_new(const char *address, const char *server_name, const struct trib_net_tls *tls,
                                      const struct trib_net_limits *limits, struct trib_net_channel **channel,
                                      struct trib_error *error)
{
    TRIB_TRY(check_address(address, error));
    struct trib_net_channel *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = TRIB_OK;
    made->limits = trib_net_limits_or_default(limits, 1);
    pthread_mutex_init(&made->lock, NULL);
    trib_net_roster_init(&made->roster);
    made->target = trib_asprintf("dns:///%s", address);
    made->server_name = server_name ? trib_strdup(server_name) : NULL;
    if (!made->target || (server_name && !made->server_name)) {
        status = trib_fail_no_memory(error);
    }
    if (status == TRIB_OK && tls) {
        status = trib_net_tls_source_new(tls, false, &made->tls, error);
    }
    if (status == TRIB_OK) {
        status = trib_net_queues_start(&made->queues, made->limits.threads, NULL, error);
    }
    if (status == TRIB_OK) {
        status = make_transport(made, &made->transport, error);
    }
    if (status != TRIB_OK) {
        trib_net_channel_free(made);
        return status;
    }
    *channel = made;
    return TRIB_OK;
}

void trib_net_channel_free(struct trib_net_channel *channel)
{
    if (!channel) {
        return;
    }
    assert(!trib_net_on_queue_thread());
    /* From here on a closed event that opens the next call is told no. */
    pthread_mutex_lock(&channel->lock);
    channel->closing = true;
    pthread_mutex_unlock(&channel->lock);
    trib_net_roster_cancel(&channel->roster);
    (void)trib_net_roster_wait_all(&channel->roster, INT64_MAX);
    if (channel->transport) {
        grpc_channel_destroy(channel->transport);
    }
    trib_net_queues_stop(&channel->queues);
    trib_net_tls_source_free(channel->tls);
    trib_net_roster_clear(&channel->roster);
    pthread_mutex_destroy(&channel->lock);
    trib_free(channel->target);
    trib_free(channel->server_name);
    trib_free(channel);
}

/* Under the lock. Calls that run on the former gRPC channel go on; it lives until they are done. */
static enum trib_status renew_transport(struct trib_net_channel *channel, struct trib_error *error)
{
    grpc_channel *fresh = NULL;
    bool failed = grpc_channel_check_connectivity_state(channel->transport, 0) == GRPC_CHANNEL_TRANSIENT_FAILURE;
    bool changed = channel->tls && trib_net_tls_source_changed(channel->tls);
    if (!failed && !changed) {
        return TRIB_OK;
    }
    struct trib_error fault = {.status = TRIB_OK, .origin = "", .message = ""};
    enum trib_status status = make_transport(channel, &fresh, &fault);
    if (status == TRIB_OK) {
        grpc_channel_destroy(channel->transport);
        channel->transport = fresh;
    } else if (failed) {
        return trib_fail(error, status, "%s", fault.message);
    } else {
        /* Files in the middle of their exchange; what was read before still serves. */
        trib_net_tls_source_failed(channel->tls);
        trib_log_error(TRIB_LOG_WARN, "net", "tls_reload_failed", &fault);
    }
    return TRIB_OK;
}

static gpr_timespec deadline_after(int64_t deadline_ms)
{
    if (deadline_ms <= 0) {
        return gpr_inf_future(GPR_CLOCK_REALTIME);
    }
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(deadline_ms, GPR_TIMESPAN));
}

/* Under the lock, so that no call joins the roster after the channel began to close. */
static enum trib_status make_call(struct trib_net_channel *channel, const char *path, int64_t deadline_ms,
                                  struct trib_net_call **call, struct trib_error *error)
{
    if (channel->closing) {
        return trib_fail(error, TRIB_CANCELLED, "%s: the channel is closing", channel->target);
    }
    TRIB_TRY(renew_transport(channel, error));
    grpc_slice method = grpc_slice_from_copied_string(path);
    struct trib_net_queue *queue = &channel->queues.items[channel->next_queue++ % (unsigned)channel->queues.n];
    grpc_call *transport = grpc_channel_create_call(channel->transport, NULL, GRPC_PROPAGATE_DEFAULTS, queue->transport,
                                                    method, NULL, deadline_after(deadline_ms), NULL);
    grpc_slice_unref(method);
    *call = trib_net_call_new(transport, false, &channel->limits, &channel->roster);
    return *call ? TRIB_OK : trib_fail_no_memory(error);
}

enum trib_status trib_net_channel_call(struct trib_net_channel *channel, const char *path, int64_t deadline_ms,
                                       const struct trib_net_events *events, void *user, struct trib_net_call **call,
                                       struct trib_error *error)
{
    struct trib_net_call *made = NULL;
    pthread_mutex_lock(&channel->lock);
    enum trib_status status = make_call(channel, path, deadline_ms, &made, error);
    pthread_mutex_unlock(&channel->lock);
    if (!made) {
        return status;
    }
    made->events = events;
    made->user = user;
    /* Events may come before this returns; they find the pointer in place. */
    *call = made;
    status = trib_net_call_start(made, error);
    if (status != TRIB_OK) {
        *call = NULL;
        trib_net_call_unref(made);
    }
    return status;
}

/* ---- one exchange in place ---- */

struct exchange {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    struct trib_net_message *reply;
    struct trib_error result;
};

static void exchange_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct exchange *exchange = user;
    (void)call;
    pthread_mutex_lock(&exchange->lock);
    exchange->reply = message;
    pthread_mutex_unlock(&exchange->lock);
}

static void exchange_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    struct exchange *exchange = user;
    (void)call;
    pthread_mutex_lock(&exchange->lock);
    exchange->result.status = how->status;
    trib_str_copy(exchange->result.message, sizeof exchange->result.message, how->details);
    exchange->closed = true;
    pthread_cond_signal(&exchange->changed);
    pthread_mutex_unlock(&exchange->lock);
}

static const struct trib_net_events exchange_events = {
    .message = exchange_message, .writable = NULL, .closed = exchange_closed};

/* The deadline is gRPC's: the closed event comes in time whatever happens. */
static void exchange_wait(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    while (!exchange->closed) {
        pthread_cond_wait(&exchange->changed, &exchange->lock);
    }
    pthread_mutex_unlock(&exchange->lock);
}

static enum trib_status exchange_result(struct exchange *exchange, const char *path, struct trib_net_message **reply,
                                        struct trib_error *error)
{
    if (exchange->result.status == TRIB_OK && exchange->reply) {
        *reply = exchange->reply;
        return TRIB_OK;
    }
    trib_net_message_free(exchange->reply);
    if (exchange->result.status == TRIB_OK) {
        return trib_fail(error, TRIB_PROTOCOL, "%s: the server ended the call without a reply", path);
    }
    return trib_fail(error, exchange->result.status, "%s", exchange->result.message);
}

enum trib_status trib_net_channel_unary(struct trib_net_channel *channel, const char *path, const void *request,
                                        size_t len, int64_t timeout_ms, struct trib_net_message **reply,
                                        struct trib_error *error)
{
    struct exchange exchange = {.closed = false};
    struct trib_net_call *call = NULL;
    assert(!trib_net_on_queue_thread());
    if (len > channel->limits.max_message_bytes) {
        return trib_fail(error, TRIB_INVALID, "%s: a request of %zu bytes is over the message limit of %zu", path, len,
                         channel->limits.max_message_bytes);
    }
    pthread_mutex_init(&exchange.lock, NULL);
    pthread_cond_init(&exchange.changed, NULL);
    enum trib_status status = trib_net_channel_call(channel, path, timeout_ms > 0 ? timeout_ms : 1, &exchange_events,
                                                    &exchange, &call, error);
    if (status == TRIB_OK) {
        /* Refused when the call has ended already: then the closed event tells why. */
        enum trib_status sent = trib_net_call_send(call, request, len, NULL, 0, 0);
        trib_net_call_half_close(call);
        trib_net_call_read(call);
        if (sent == TRIB_NO_MEMORY) {
            trib_net_call_cancel(call);
        }
        exchange_wait(&exchange);
        status = exchange_result(&exchange, path, reply, error);
        trib_net_call_unref(call);
    }
    pthread_cond_destroy(&exchange.changed);
    pthread_mutex_destroy(&exchange.lock);
    return status;
}
