/* The method table, listening and stopping. */
#include "service_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

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

static const struct trib_net_method methods[] = {
    {.path = TRIB_PATH_SESSION, .opened = trib_session_opened},
    {.path = TRIB_PATH_DOWNLOAD, .opened = trib_download_opened},
    {.path = TRIB_PATH_UPLOAD, .opened = trib_upload_opened},
    {.path = TRIB_PATH_HEALTH_CHECK, .opened = trib_health_check_opened},
    {.path = TRIB_PATH_HEALTH_WATCH, .opened = trib_health_watch_opened},
};

enum trib_status trib_federation_service_new(const struct trib_server_settings *settings, struct trib_engine *engine,
                                             struct trib_federation_service **service, struct trib_error *error)
{
    struct trib_federation_service *result = trib_calloc(1, sizeof *result);
    if (!result) {
        return trib_fail_no_memory(error);
    }
    result->engine = engine;
    result->tls = (struct trib_net_tls){
        .ca_path = settings->tls_ca, .cert_path = settings->tls_certificate, .key_path = settings->tls_key};
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    limits.keepalive_ms = settings->keepalive_ms;
    limits.lookahead_bytes = settings->lookahead_bytes;
    enum trib_status status = trib_net_tls_check(&result->tls, true, error);
    if (status == TRIB_OK) {
        status = trib_net_server_new(settings->listen, &result->tls, &limits, methods,
                                     sizeof methods / sizeof methods[0], result, &result->server, error);
    }
    if (status != TRIB_OK) {
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
        trib_free(service);
    }
}
