/* grpc.health.v1: serving as long as the daemon listens. */
#include "service_private.h"

#include "base/mem.h"

#include <string.h>

static enum trib_status answer(struct trib_net_call *call, const Grpc__Health__V1__HealthCheckRequest *request,
                               struct trib_error *error)
{
    if (request->service[0] && strcmp(request->service, "tributary.v1.Federation") != 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "no service \"%.100s\" here", request->service);
    }
    Grpc__Health__V1__HealthCheckResponse response;
    grpc__health__v1__health_check_response__init(&response);
    response.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    return trib_service_send(call, &response.base, NULL);
}

static enum trib_status take(struct trib_net_call *call, struct trib_net_message *message, struct trib_error *error)
{
    ProtobufCMessage *request;
    TRIB_TRY(trib_service_unpack(&grpc__health__v1__health_check_request__descriptor, message, &request, error));
    enum trib_status status = answer(call, (const Grpc__Health__V1__HealthCheckRequest *)(const void *)request, error);
    trib_message_free(request);
    return status;
}

struct probe {
    struct trib_federation_service *service;
    struct trib_node *node;
};

static void on_check(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    struct trib_error error = {.message = ""};
    enum trib_status status = message ? take(call, message, &error) : TRIB_PROTOCOL;
    trib_net_call_finish(call, status, error.message);
}

/* Watch answers once and stays open until either side ends: the status does not change while we live. */
static void on_watch(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    struct trib_error error = {.message = ""};
    enum trib_status status = message ? take(call, message, &error) : TRIB_PROTOCOL;
    if (status != TRIB_OK) {
        trib_net_call_finish(call, status, error.message);
    } else {
        trib_net_call_idle_limit(call, 0);
    }
}

static void on_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)call;
    (void)how;
    struct probe *probe = user;
    trib_nodes_leave(probe->service->nodes, probe->node);
    trib_free(probe);
}

static const struct trib_net_events check_events = {.message = on_check, .closed = on_closed};
static const struct trib_net_events watch_events = {.message = on_watch, .closed = on_closed};

static enum trib_status opened(struct trib_federation_service *service, struct trib_net_call *call,
                               const struct trib_net_peer *peer, void **user, struct trib_error *error)
{
    struct trib_node *node;
    TRIB_TRY(trib_service_enter(service, call, peer, &node, error));
    struct probe *probe = trib_malloc(sizeof *probe);
    if (!probe) {
        trib_nodes_leave(service->nodes, node);
        return trib_fail_no_memory(error);
    }
    *probe = (struct probe){.service = service, .node = node};
    *user = probe;
    trib_net_call_read(call);
    return TRIB_OK;
}

enum trib_status trib_health_check_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                          const struct trib_net_events **events, void **user, struct trib_error *error)
{
    *events = &check_events;
    return opened(service, call, peer, user, error);
}

enum trib_status trib_health_watch_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                          const struct trib_net_events **events, void **user, struct trib_error *error)
{
    *events = &watch_events;
    return opened(service, call, peer, user, error);
}
