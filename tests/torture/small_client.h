/* What a client of the small federation does. */
#ifndef TRIB_TORTURE_SMALL_CLIENT_H
#define TRIB_TORTURE_SMALL_CLIENT_H

#include "small_server.h"

/* Answer all that has come. False: there was nothing to do. */
bool small_client_step(struct small_server *server, struct small_client *client);
/* Its server is gone: it begins anew. */
void small_client_reset(struct small_client *client);

#endif
