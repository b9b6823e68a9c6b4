/* Shared by the service's files: what its methods need. */
#ifndef TRIB_RPC_SERVICE_PRIVATE_H
#define TRIB_RPC_SERVICE_PRIVATE_H

#include "rpc/federation_service.h"

struct trib_federation_service {
    struct trib_engine *engine;
    struct trib_net_server *server;
    struct trib_net_tls tls;
};

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
