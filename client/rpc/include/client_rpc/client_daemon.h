/* The client daemon is session, link and worker around one main loop. */
#ifndef TRIB_CLIENT_RPC_CLIENT_DAEMON_H
#define TRIB_CLIENT_RPC_CLIENT_DAEMON_H

#include "client/client_settings.h"

enum { TRIB_IDENTITY_MAX = 256 };

/* trib_client_daemon_check checks what rows cannot tell: certificates, the node's identity, the backend, the data
 * files' presence. `identity` receives the node's, as its certificate has it. */
TRIB_MUST_CHECK enum trib_status trib_client_daemon_check(const struct trib_client_settings *settings,
                                                          char identity[TRIB_IDENTITY_MAX], struct trib_error *error);
/* trib_client_daemon_run runs until SIGTERM or SIGINT, a final goodbye, or a failure that trying again cannot mend.
 * Once at a time in a process: it handles SIGTERM, SIGINT and SIGHUP meanwhile. A failure has been logged when this
 * returns. */
TRIB_MUST_CHECK enum trib_status trib_client_daemon_run(const struct trib_client_settings *settings,
                                                        const char *software, struct trib_error *error);

#endif
