/* Listening addresses: their form, and why one could not be taken (gRPC says only that it could not). */
#ifndef TRIB_NET_LISTEN_H
#define TRIB_NET_LISTEN_H

#include "base/status.h"

/* A listening address is "host:port" or "[v6]:port"; port 0 is allowed. */
TRIB_MUST_CHECK enum trib_status trib_net_listen_check(const char *listen, struct trib_error *error);
/* A diagnosis, after gRPC has failed on an address, tries it with plain sockets and reports what the system answers.
 * Never TRIB_OK. */
TRIB_MUST_CHECK enum trib_status trib_net_listen_diagnose(const char *listen, struct trib_error *error);

#endif
