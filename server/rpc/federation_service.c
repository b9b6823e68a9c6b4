/* The method table, listening and stopping. */
#include "service_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

enum trib_status trib_service_unpack(const ProtobufCMessageDescriptor *descriptor, struct trib_net_message *message,
                                     ProtobufCMessage **parsed, struct trib_error *error)
{
    const uint8_t *bytes = trib_net_message_flat(message);
    enum trib_status status = bytes || trib_net_message_len(message) == 0
                                  ? trib_message_unpack(descriptor, bytes, trib_net_message_len(message), parsed, error)
                                  : trib_fail_no_memory(error);
    trib_net_message_free(message);
    return status;
}

enum trib_status trib_service_send(struct trib_net_call *call, const ProtobufCMessage *message, size_t *sent_len)
{
    struct trib_buf buf = {0};
    enum trib_status status = trib_message_pack(message, &buf);
    if (status == TRIB_OK) {
        status = trib_net_call_send(call, buf.data, buf.len, NULL, 0, 0);
    }
    if (sent_len) {
        *sent_len = buf.len;
    }
    trib_buf_clear(&buf);
    return status;
}

/* ---- limits ---- */

void trib_service_complain(struct trib_federation_service *service, const char *event, const struct trib_error *error,
                           const char *node, const char *address)
{
    int64_t suppressed;
    if (trib_nodes_may_log(service->nodes, node, trib_clock_ms(), &suppressed)) {
        trib_log_error(TRIB_LOG_WARN, "rpc", event, error, TRIB_F_STR("node", node), TRIB_F_STR("address", address),
                       TRIB_F_INT("suppressed", suppressed));
    }
}

enum trib_status trib_service_enter(struct trib_federation_service *service, struct trib_net_call *call,
                                    const struct trib_net_peer *peer, struct trib_node **node, struct trib_error *error)
{
    if (!peer->identity[0] || strlen(peer->identity) >= TRIB_NODE_LEN) {
        return trib_fail(error, TRIB_UNAUTHENTICATED, "the certificate names no node, or a too long one");
    }
    enum trib_status status =
        trib_nodes_enter(service->nodes, peer->identity, peer->address, trib_clock_ms(), node, error);
    if (status == TRIB_OK) {
        trib_net_call_idle_limit(call, service->idle_call_ms);
    } else {
        trib_service_complain(service, "call_refused", error, peer->identity, peer->address);
    }
    return status;
}

/* A session is a connection, and a connection a file: allow as many as the system lets us. */
static void allow_files(int64_t clients)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)clients + clients / 4 + 512;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        trib_log(TRIB_LOG_WARN, "rpc", "few_files", TRIB_F_INT("max_clients", clients),
                 TRIB_F_INT("files", limit.rlim_cur),
                 TRIB_F_STR("reason", "this process may not open as many files as max_clients connections take; raise "
                                      "LimitNOFILE (ulimit -n), or lower max_clients"));
    }
}

static const struct trib_net_method methods[] = {
    {.path = TRIB_PATH_SESSION, .opened = trib_session_opened},
    {.path = TRIB_PATH_DOWNLOAD, .opened = trib_download_opened},
    {.path = TRIB_PATH_UPLOAD, .opened = trib_upload_opened},
    {.path = TRIB_PATH_HEALTH_CHECK, .opened = trib_health_check_opened},
    {.path = TRIB_PATH_HEALTH_WATCH, .opened = trib_health_watch_opened},
};

static enum trib_status begin(struct trib_federation_service *service, const struct trib_server_settings *settings,
                              struct trib_error *error)
{
    struct trib_net_limits limits = trib_net_limits_of(&settings->net);
    limits.send_queue_bytes = (size_t)settings->limits_send_queue;
    limits.handshake_timeout_ms = settings->limits_hello_ms;
    limits.idle_ms = settings->limits_idle_call_ms;
    limits.max_strangers = settings->limits_strangers;
    limits.connection_rate = settings->limits_connections;
    limits.memory_bytes = (size_t)settings->limits_memory;
    limits.calls_per_connection = (int)settings->limits_calls + 1; /* one more, so that it is told */
    service->nodes = trib_nodes_new(&(struct trib_node_limits){.calls = settings->limits_calls,
                                                               .messages = settings->limits_messages,
                                                               .pause_ms = settings->limits_pause_ms,
                                                               .upload_rate = settings->limits_upload_rate});
    if (!service->nodes) {
        return trib_fail_no_memory(error);
    }
    TRIB_TRY(trib_net_tls_check(&service->tls, true, error));
    return trib_net_server_new(settings->listen, &service->tls, &limits, methods, sizeof methods / sizeof methods[0],
                               service, &service->server, error);
}

enum trib_status trib_federation_service_new(const struct trib_server_settings *settings, struct trib_hub *engine,
                                             struct trib_federation_service **service, struct trib_error *error)
{
    struct trib_federation_service *result = trib_calloc(1, sizeof *result);
    if (!result) {
        return trib_fail_no_memory(error);
    }
    result->engine = engine;
    result->tls = trib_net_tls_of(&settings->tls);
    result->hello_ms = settings->limits_hello_ms;
    result->idle_call_ms = settings->limits_idle_call_ms;
    allow_files(settings->max_clients);
    enum trib_status status = begin(result, settings, error);
    if (status != TRIB_OK) {
        trib_nodes_free(result->nodes);
        trib_free(result);
        return status;
    }
    *service = result;
    return TRIB_OK;
}

int trib_federation_service_port(const struct trib_federation_service *service)
{
    return trib_net_server_port(service->server);
}

void trib_federation_service_free(struct trib_federation_service *service, int64_t grace_ms)
{
    if (service) {
        trib_net_server_stop(service->server, grace_ms);
        trib_net_server_free(service->server);
        trib_nodes_free(service->nodes);
        trib_free(service);
    }
}
