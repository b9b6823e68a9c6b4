/* A peer is a connected client's session, as the transport sees it. Its functions do not block and may be called from
 * the hub's thread at any time between connect and the peer's last reference. */
#ifndef TRIB_ROSTER_PEER_H
#define TRIB_ROSTER_PEER_H

#include "wire/message.h"

#include <stdatomic.h>

struct trib_peer {
    const struct trib_peer_ops *ops;
    /* The hub's own; zeroed before connect. */
    void *run;                /* that it takes part in; hub's thread */
    uint32_t client;          /* its number there; hub's thread */
    _Atomic(uint32_t) queued; /* messages that wait for the hub */
};
struct trib_peer_ops {
    /* Queue a message; a failure means that the session is ending. */
    enum trib_status (*send)(struct trib_peer *peer, const ProtobufCMessage *message);
    /* Say goodbye and end the session. */
    void (*close)(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds);
    struct trib_peer *(*ref)(struct trib_peer *peer);
    void (*unref)(struct trib_peer *peer);
};

#endif
