/* A call is one RPC, alike at both ends: its send queue, its one pending read, its end.
 *
 * Life: started (the end tag is pending) -> ended (the status or the close is known, nothing is started any more) ->
 * drained (every tag has come back) -> closed (event delivered, gRPC's object released, off the roster). The structure
 * itself stays for as long as anybody holds a reference. */
#ifndef TRIB_NET_CALL_H
#define TRIB_NET_CALL_H

#include "net/net.h"
#include "queue.h"
#include "incoming_calls.h"

#include <grpc/grpc.h>

#include <pthread.h>
#include <stdatomic.h>

struct trib_net_outgoing {
    struct trib_net_outgoing *next;
    grpc_byte_buffer *buffer;
    size_t len;
};

struct trib_net_call {
    atomic_size_t references;
    struct trib_net_roster *roster;
    struct trib_net_roster_links links; /* under the roster's lock */
    bool server;
    size_t max_message_bytes;
    size_t send_queue_bytes;
    int64_t linger_ms; /* of a server's call that is to end */

    /* What the tick looks at without the call's lock. */
    _Atomic(int64_t) idle_limit_ms; /* 0: none */
    _Atomic(int64_t) idle_due_ms;   /* when it is reached; counts only with a limit */
    _Atomic(int64_t) read_at_ms;    /* when a read that was put off is due; 0: none was */

    /* Set before the first event; used by events alone, which all run on the queue's thread. */
    const struct trib_net_events *events;
    void *user;
    bool answered; /* a message has come */

    pthread_mutex_t lock;
    /* Under the lock. */
    grpc_call *transport; /* NULL once closed */
    unsigned outstanding; /* tags that have not come back */
    bool ended;
    bool cancelled;
    bool expired; /* cancelled, at its idle limit */
    bool reading;
    bool no_more_input;
    bool writing;
    bool broken; /* a write failed: what is queued can no longer go out */
    bool was_full;
    bool headers_sent;
    bool end_wanted; /* half-close or status asked for */
    bool end_sent;
    grpc_status_code end_code;
    grpc_slice end_details;
    struct trib_net_outgoing *first;
    struct trib_net_outgoing *last;
    struct trib_net_outgoing *sending;
    size_t queued_bytes; /* of the queue and of `sending` */

    struct trib_net_tag read_tag;
    struct trib_net_tag write_tag;
    struct trib_net_tag end_tag;

    /* Filled by gRPC while a tag is pending. */
    grpc_byte_buffer *incoming;
    grpc_metadata_array initial_metadata;
    grpc_metadata_array trailing_metadata;
    grpc_status_code received_code;
    grpc_slice received_details;
    int peer_cancelled;
};

/* trib_net_call_new makes a call that is not on its way yet, with one reference, on the roster. It takes `transport`
 * over, also when it returns NULL because memory is short. */
struct trib_net_call *trib_net_call_new(grpc_call *transport, bool server, const struct trib_net_limits *limits,
                                        struct trib_net_roster *roster);
/* Start the batch that a call begins with; from here on the call holds a reference of its own until it is closed. On
 * failure (our own bug, by gRPC's contract) it is dismantled: no closed event, off the roster, only to be unref'ed. */
TRIB_MUST_CHECK enum trib_status trib_net_call_start(struct trib_net_call *call, struct trib_error *error);
/* A call is due at a time for one of two reasons: a read that was put off, or the end for want of movement. */
bool trib_net_call_is_due(struct trib_net_call *call, int64_t now_ms);
void trib_net_call_tick(struct trib_net_call *call, int64_t now_ms);
/* Events of calls that nobody serves. */
extern const struct trib_net_events trib_net_call_ignore;

#endif
