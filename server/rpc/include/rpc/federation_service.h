/* The gRPC face of the engine: tributary.v1.Federation and grpc.health.v1.Health. */
#ifndef TRIB_RPC_FEDERATION_SERVICE_H
#define TRIB_RPC_FEDERATION_SERVICE_H

#include "hub/hub.h"
#include "net/net.h"

struct trib_federation_service; /* opaque */

/* Listen and serve. The engine is borrowed; it must be started, and outlive the service. */
TRIB_MUST_CHECK enum trib_status trib_federation_service_new(const struct trib_server_settings *settings,
                                                             struct trib_hub *engine,
                                                             struct trib_federation_service **service,
                                                             struct trib_error *error);
int trib_federation_service_port(const struct trib_federation_service *service);
/* Let calls end for up to grace_ms, then cancel them; returns when none is left. */
void trib_federation_service_free(struct trib_federation_service *service, int64_t grace_ms);

#endif
