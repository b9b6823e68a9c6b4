/* A server keeps its methods armed on every queue; each arriving call becomes a struct trib_net_call. Stopping follows
 * one order, because gRPC aborts the process when a batch starts on a queue that was shut down: refuse new calls, let
 * the open ones end, cancel the rest, wait for our own count of them to reach zero, only then shut the queues down. */
#include "call.h"
#include "door.h"
#include "listen.h"
#include "runtime.h"
#include "tls.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <grpc/support/alloc.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_THREADS = 2,
    /* Pings at a faster pace than this count as misbehaviour of a client. */
    MIN_PING_INTERVAL_MS = 5000,
    /* How often calls are looked through for idle ones, and how many of them are ended at a time. */
    LOOK_MS = 1000,
    /* So long after so many calls have ended, their memory is given back; then not again for a while. */
    TRIM_CALLS = 200,
    TRIM_AFTER_MS = 5000,
    TRIM_EVERY_MS = 30000,
    DUE_AT_A_TIME = 64,
    IDENTITY_LEN = 256,
    ADDRESS_LEN = 128
};

struct method {
    char *path;
    void *registered;
    enum trib_status (*opened)(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                               const struct trib_net_events **events, void **user, struct trib_error *error);
};

/* One request for the next call of one method on one queue; the method NULL stands for every unknown one. */
struct arming {
    struct trib_net_tag tag;
    struct trib_net_server *server;
    const struct method *method;
    struct trib_net_queue *queue;
    grpc_call *transport;
    gpr_timespec deadline;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct trib_net_server {
    struct trib_net_limits limits;
    void *service;
    struct method *methods;
    size_t n_methods;
    struct arming *armings;
    size_t n_armings;
    struct trib_net_tls_source *tls;
    grpc_server *transport;
    struct trib_net_door *door; /* NULL before it listens */
    struct trib_net_queues queues;
    struct trib_net_roster roster; /* holds: armings and the shutdown notice */
    struct trib_net_tag shutdown_tag;
    int64_t looked_ms; /* the tick's, as what follows */
    int64_t shrunk_ms; /* when enough calls had ended; 0: they have not, or memory was given back since */
    size_t most_calls; /* since then */
    int64_t trimmed_ms;
    int port;
    bool stopped;
};

/* ---- arriving calls ---- */

static enum trib_status peer_identity(grpc_call *transport, char *identity, size_t size, struct trib_error *error)
{
    grpc_auth_context *context = grpc_call_auth_context(transport);
    grpc_auth_property_iterator found =
        grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&found);
    enum trib_status status = TRIB_OK;
    if (property) {
        status = trib_net_identity_of_pem(property->value, property->value_length, "client", identity, size, error);
    } else {
        status = trib_fail(error, TRIB_UNAUTHENTICATED, "the connection shows no client certificate");
    }
    grpc_auth_context_release(context);
    return status == TRIB_INVALID || status == TRIB_LIMIT ? TRIB_UNAUTHENTICATED : status;
}

/* gRPC writes brackets as in a URI: ipv6:%5B::1%5D:7443. */
static void peer_address(grpc_call *transport, char *address, size_t size)
{
    char *text = grpc_call_get_peer(transport);
    size_t len = 0;
    for (const char *from = text; *from != '\0' && len + 1 < size; from++) {
        bool bracket = from[0] == '%' && from[1] == '5' && (from[2] == 'B' || from[2] == 'D');
        address[len++] = (char)(!bracket ? from[0] : from[2] == 'B' ? '[' : ']');
        from += bracket ? 2 : 0;
    }
    address[len] = '\0';
    gpr_free(text);
}

/* Let the service see the call. Its events cannot come before it has chosen them: they run on this very thread. */
static enum trib_status offer_call(struct trib_net_server *server, const struct method *method,
                                   struct trib_net_call *call, grpc_call *transport, struct trib_error *error)
{
    char identity[IDENTITY_LEN] = "";
    char address[ADDRESS_LEN];
    struct trib_net_peer peer = {.identity = identity, .address = address};
    const struct trib_net_events *events = NULL;
    void *user = NULL;
    peer_address(transport, address, sizeof address);
    if (server->tls) {
        TRIB_TRY(peer_identity(transport, identity, sizeof identity, error));
    }
    TRIB_TRY(method->opened(server->service, call, &peer, &events, &user, error));
    assert(events);
    trib_net_door_known(server->door, address);
    call->events = events;
    call->user = user;
    return TRIB_OK;
}

static void serve_call(struct trib_net_server *server, const struct method *method, grpc_call *transport,
                       const char *path)
{
    struct trib_error error = {.status = TRIB_OK, .origin = "", .message = ""};
    struct trib_net_call *call = trib_net_call_new(transport, true, &server->limits, &server->roster);
    if (!call) {
        trib_log(TRIB_LOG_ERROR, "net", "call_dropped", TRIB_F_STR("reason", "out of memory"));
        return;
    }
    enum trib_status status = trib_net_call_start(call, &error);
    if (status != TRIB_OK) {
        trib_log_error(TRIB_LOG_ERROR, "net", "call_dropped", &error);
        trib_net_call_unref(call);
        return;
    }
    if (method) {
        status = offer_call(server, method, call, transport, &error);
    } else {
        status = trib_fail(&error, TRIB_UNSUPPORTED, "this server has no method %s", path);
    }
    if (status != TRIB_OK) {
        trib_net_call_finish(call, status, error.message);
    }
    trib_net_call_unref(call);
}

static void on_arrival(struct trib_net_tag *tag, bool ok);

static void arm(struct arming *arming)
{
    grpc_call_error failure = GRPC_CALL_OK;
    grpc_completion_queue *queue = arming->queue->transport;
    grpc_metadata_array_init(&arming->metadata);
    trib_net_roster_hold(&arming->server->roster);
    if (!arming->method) {
        grpc_call_details_init(&arming->details);
    }
    trib_net_tag_set(&arming->tag, on_arrival);
    if (arming->method) {
        failure = grpc_server_request_registered_call(arming->server->transport, arming->method->registered,
                                                      &arming->transport, &arming->deadline, &arming->metadata, NULL,
                                                      queue, queue, &arming->tag);
    } else {
        failure = grpc_server_request_call(arming->server->transport, &arming->transport, &arming->details,
                                           &arming->metadata, queue, queue, &arming->tag);
    }
    if (failure != GRPC_CALL_OK) {
        trib_log(TRIB_LOG_ERROR, "net", "arming_refused", TRIB_F_INT("grpc_error", failure));
        trib_net_roster_release(&arming->server->roster);
    }
}

static void on_arrival(struct trib_net_tag *tag, bool ok)
{
    struct arming *arming = (struct arming *)(void *)tag;
    struct trib_net_server *server = arming->server;
    char path[256] = "";
    grpc_metadata_array_destroy(&arming->metadata);
    if (!arming->method) {
        snprintf(path, sizeof path, "%.*s", (int)GRPC_SLICE_LENGTH(arming->details.method),
                 (const char *)GRPC_SLICE_START_PTR(arming->details.method));
        grpc_call_details_destroy(&arming->details);
    }
    if (ok) {
        grpc_call *transport = arming->transport;
        arm(arming);
        serve_call(server, arming->method, transport, path);
    }
    /* Last: the call is on the roster by now, so that stopping never sees a gap. */
    trib_net_roster_release(&server->roster);
}

/* ---- what is due ---- */

/* malloc keeps what thousands of connections leave behind, a little in every page. Wait until they have gone. */
static void give_memory_back(struct trib_net_server *server, int64_t now_ms)
{
    size_t n = trib_net_roster_count(&server->roster);
    if (n >= server->most_calls) {
        server->most_calls = n;
        server->shrunk_ms = 0;
    } else if (n + TRIM_CALLS > server->most_calls) {
        return;
    } else if (server->shrunk_ms == 0) {
        server->shrunk_ms = now_ms;
    } else if (now_ms - server->shrunk_ms >= TRIM_AFTER_MS && now_ms - server->trimmed_ms >= TRIM_EVERY_MS) {
        server->most_calls = n;
        server->shrunk_ms = 0;
        server->trimmed_ms = now_ms;
        trib_mem_trim();
    }
}

/* Late ones among more than DUE_AT_A_TIME have their turn at the next tick. */
static void tick(void *context, int64_t now_ms)
{
    struct trib_net_server *server = context;
    struct trib_net_call *due[DUE_AT_A_TIME];
    if (now_ms - server->looked_ms < LOOK_MS && atomic_load(&server->roster.n_put_off) == 0) {
        return;
    }
    server->looked_ms = now_ms;
    give_memory_back(server, now_ms);
    size_t n = trib_net_roster_due(&server->roster, now_ms, due, DUE_AT_A_TIME);
    for (size_t i = 0; i < n; i++) {
        trib_net_call_tick(due[i], now_ms);
        trib_net_call_unref(due[i]);
    }
}

/* ---- start ---- */

static enum trib_status copy_methods(struct trib_net_server *server, const struct trib_net_method *methods, size_t n,
                                     struct trib_error *error)
{
    server->methods = trib_calloc(n > 0 ? n : 1, sizeof *server->methods);
    if (!server->methods) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < n; i++) {
        struct method *method = &server->methods[i];
        method->opened = methods[i].opened;
        method->path = trib_strdup(methods[i].path);
        if (!method->path) {
            return trib_fail_no_memory(error);
        }
        server->n_methods++;
    }
    return TRIB_OK;
}

static enum trib_status make_transport(struct trib_net_server *server, struct trib_error *error)
{
    struct trib_net_args args = {.n = 0};
    trib_net_args_add_common(&args, &server->limits);
    trib_net_args_add_int(&args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    trib_net_args_add_int(&args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, server->limits.handshake_timeout_ms);
    trib_net_args_add_int(&args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, MIN_PING_INTERVAL_MS);
    trib_net_args_add_int(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, server->limits.calls_per_connection);
    trib_net_args_add_int(&args, GRPC_ARG_MAX_CONNECTION_IDLE_MS, server->limits.idle_ms);
    grpc_resource_quota *quota = NULL;
    if (server->limits.memory_bytes > 0) {
        quota = grpc_resource_quota_create("server");
        grpc_resource_quota_resize(quota, server->limits.memory_bytes);
        trib_net_args_add_quota(&args, quota);
    }
    grpc_channel_args done = trib_net_args_done(&args);
    server->transport = grpc_server_create(&done, NULL);
    if (quota) {
        grpc_resource_quota_unref(quota);
    }
    for (size_t i = 0; i < server->n_methods; i++) {
        struct method *method = &server->methods[i];
        method->registered =
            grpc_server_register_method(server->transport, method->path, NULL, GRPC_SRM_PAYLOAD_NONE, 0);
        if (!method->registered) {
            return trib_fail(error, TRIB_INVALID, "method %s is registered twice", method->path);
        }
    }
    for (int i = 0; i < server->queues.n; i++) {
        grpc_server_register_completion_queue(server->transport, server->queues.items[i].transport, NULL);
    }
    return TRIB_OK;
}

static enum trib_status add_port(struct trib_net_server *server, const char *listen, struct trib_error *error)
{
    grpc_server_credentials *credentials = NULL;
    if (!server->tls) {
        credentials = grpc_insecure_server_credentials_create();
    } else {
        TRIB_TRY(trib_net_server_credentials(server->tls, &credentials, error));
    }
    trib_net_log_quiet(true);
    server->port = grpc_server_add_http2_port(server->transport, listen, credentials);
    trib_net_log_quiet(false);
    grpc_server_credentials_release(credentials);
    return server->port != 0 ? trib_net_door_open(server->port, &server->limits, &server->door, error)
                             : trib_net_listen_diagnose(listen, error);
}

static enum trib_status start_transport(struct trib_net_server *server, struct trib_error *error)
{
    size_t per_queue = server->n_methods + 1;
    server->armings = trib_calloc(per_queue * (size_t)server->queues.n, sizeof *server->armings);
    if (!server->armings) {
        return trib_fail_no_memory(error);
    }
    grpc_server_start(server->transport);
    for (int q = 0; q < server->queues.n; q++) {
        for (size_t m = 0; m < per_queue; m++) {
            struct arming *arming = &server->armings[server->n_armings++];
            arming->server = server;
            arming->queue = &server->queues.items[q];
            arming->method = m < server->n_methods ? &server->methods[m] : NULL;
            arm(arming);
        }
    }
    return TRIB_OK;
}

enum trib_status trib_net_server_new(const char *listen, const struct trib_net_tls *tls,
                                     const struct trib_net_limits *limits, const struct trib_net_method *methods,
                                     size_t n_methods, void *service, struct trib_net_server **server,
                                     struct trib_error *error)
{
    TRIB_TRY(trib_net_listen_check(listen, error));
    struct trib_net_server *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->limits = trib_net_limits_or_default(limits, DEFAULT_THREADS);
    made->service = service;
    trib_net_roster_init(&made->roster);
    enum trib_status status = copy_methods(made, methods, n_methods, error);
    if (status == TRIB_OK && tls) {
        status = trib_net_tls_source_new(tls, true, &made->tls, error);
    }
    if (status == TRIB_OK) {
        status = trib_net_queues_start(&made->queues, made->limits.threads,
                                       &(struct trib_net_tick){.run = tick, .context = made}, error);
    }
    if (status == TRIB_OK) {
        status = make_transport(made, error);
    }
    if (status == TRIB_OK) {
        status = add_port(made, listen, error);
    }
    if (status == TRIB_OK) {
        status = start_transport(made, error);
    }
    if (status != TRIB_OK) {
        trib_net_server_free(made);
        return status;
    }
    *server = made;
    return TRIB_OK;
}

int trib_net_server_port(const struct trib_net_server *server)
{
    return server->port;
}

/* ---- stop ---- */

static void on_shutdown(struct trib_net_tag *tag, bool ok)
{
    struct trib_net_server *server =
        (struct trib_net_server *)(void *)((char *)tag - offsetof(struct trib_net_server, shutdown_tag));
    (void)ok;
    trib_net_roster_release(&server->roster);
}

void trib_net_server_stop(struct trib_net_server *server, int64_t grace_ms)
{
    assert(!trib_net_on_queue_thread());
    if (!server->transport || server->stopped) {
        return;
    }
    server->stopped = true;
    trib_net_roster_hold(&server->roster);
    trib_net_tag_set(&server->shutdown_tag, on_shutdown);
    grpc_server_shutdown_and_notify(server->transport, server->queues.items[0].transport, &server->shutdown_tag);
    int64_t until_ms = trib_clock_ms() + (grace_ms > 0 ? grace_ms : 0);
    if (!trib_net_roster_wait_calls(&server->roster, until_ms)) {
        trib_log(TRIB_LOG_INFO, "net", "cancelling_calls", TRIB_F_INT("grace_ms", grace_ms));
    }
    /* Connections without calls close by themselves once their peers have read what was sent; closing them at once
     * could reset them and lose a goodbye that is on its way. */
    if (!trib_net_roster_wait_all(&server->roster, until_ms)) {
        grpc_server_cancel_all_calls(server->transport);
        (void)trib_net_roster_wait_all(&server->roster, INT64_MAX);
    }
}

void trib_net_server_free(struct trib_net_server *server)
{
    if (!server) {
        return;
    }
    trib_net_server_stop(server, 0);
    trib_net_queues_stop(&server->queues);
    if (server->transport) {
        grpc_server_destroy(server->transport);
    }
    trib_net_door_close(server->door);
    trib_net_tls_source_free(server->tls);
    trib_net_roster_clear(&server->roster);
    for (size_t i = 0; i < server->n_methods; i++) {
        trib_free(server->methods[i].path);
    }
    trib_free(server->methods);
    trib_free(server->armings);
    trib_free(server);
}
