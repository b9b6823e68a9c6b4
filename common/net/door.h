/* A door decides which connections come in at all, before gRPC spends a handshake on them.
 *
 * gRPC 1.51 accepts whatever connects, and stops listening for good when accepting fails once for want of a file
 * descriptor. Its C interface has no place to say otherwise, so this block stands between gRPC and the system's
 * accept4(): what the door does not let in is reset at once, and gRPC never sees an error of accepting.
 * A stranger is a connection that no call has come from yet: nobody knows whose it is. Strangers are counted by
 * address (crowd.h), and so are the connections of a second. */
#ifndef TRIB_NET_DOOR_H
#define TRIB_NET_DOOR_H

#include "net/net.h"

struct trib_net_door;

/* Watch the listening sockets of this port, from before gRPC serves it. */
TRIB_MUST_CHECK enum trib_status trib_net_door_open(int port, const struct trib_net_limits *limits,
                                                    struct trib_net_door **door, struct trib_error *error);
/* trib_net_door_close takes NULL. No thread may be accepting on the port any more. */
void trib_net_door_close(struct trib_net_door *door);
/* A known address ("ipv4:10.0.0.7:51234") is one that a call has come from: its connection is no stranger. */
void trib_net_door_known(struct trib_net_door *door, const char *address);

#endif
