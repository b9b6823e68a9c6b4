/* Shared by the service's files: what its methods need. */
#ifndef TRIB_RPC_SERVICE_PRIVATE_H
#define TRIB_RPC_SERVICE_PRIVATE_H

#include "nodes.h"
#include "rpc/federation_service.h"

struct trib_federation_service {
    struct trib_hub *engine;
    struct trib_net_server *server;
    struct trib_net_tls tls;
    struct trib_nodes *nodes;
    int64_t hello_ms, idle_call_ms;
};

/* Every method begins so: the node counts the call, or refuses it, which is logged. The call then ends by itself when
 * nothing moves on it for limits.idle_call. To be left (trib_nodes_leave) when the call has closed. */
TRIB_MUST_CHECK enum trib_status trib_service_enter(struct trib_federation_service *service, struct trib_net_call *call,
                                                    const struct trib_net_peer *peer, struct trib_node **node,
                                                    struct trib_error *error);
/* A line about what a node did wrong, unless it has had many of them lately. */
void trib_service_complain(struct trib_federation_service *service, const char *event, const struct trib_error *error,
                           const char *node, const char *address);

/* Methods; each is a trib_net_method.opened. */
enum trib_status trib_session_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                     const struct trib_net_events **events, void **user, struct trib_error *error);
enum trib_status trib_download_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                      const struct trib_net_events **events, void **user, struct trib_error *error);
enum trib_status trib_upload_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                    const struct trib_net_events **events, void **user, struct trib_error *error);
enum trib_status trib_health_check_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                          const struct trib_net_events **events, void **user, struct trib_error *error);
enum trib_status trib_health_watch_opened(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                          const struct trib_net_events **events, void **user, struct trib_error *error);

/* Parse a whole received message; frees `message` in every case. */
TRIB_MUST_CHECK enum trib_status trib_service_unpack(const ProtobufCMessageDescriptor *descriptor,
                                                     struct trib_net_message *message, ProtobufCMessage **parsed,
                                                     struct trib_error *error);
/* Pack and queue one message. */
TRIB_MUST_CHECK enum trib_status trib_service_send(struct trib_net_call *call, const ProtobufCMessage *message,
                                                   size_t *sent_len);

#endif
