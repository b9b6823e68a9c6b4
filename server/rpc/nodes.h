/* What each node uses of the server, by the name in its certificate, and how much of it it may use. Any thread; one
 * lock, a leaf. Time comes from the caller, so that nothing here waits.
 *
 * A node that is over its rate has a pause: whatever it has open stays, new calls are refused until the pause is over.
 * Nodes that have nothing open are forgotten once they are owed nothing and owe nothing. */
#ifndef TRIB_RPC_NODES_H
#define TRIB_RPC_NODES_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct trib_node_limits {
    int64_t calls;       /* open at a time */
    int64_t messages;    /* of sessions, and calls, in a second; a call from another connection counts as several */
    int64_t pause_ms;    /* for a node that sends more */
    int64_t upload_rate; /* bytes in a second; 0 = any number */
};

struct trib_nodes;
struct trib_node; /* of one name; stays while it has a call open */

struct trib_nodes *trib_nodes_new(const struct trib_node_limits *limits); /* NULL when memory is short */
void trib_nodes_free(struct trib_nodes *nodes);                           /* NULL is allowed; no call may be open */
/* A call opens. TRIB_LIMIT: it may not; the message says why and what to do. To be left when the call has closed. */
TRIB_MUST_CHECK enum trib_status trib_nodes_enter(struct trib_nodes *nodes, const char *name, const char *address,
                                                  int64_t now_ms, struct trib_node **node, struct trib_error *error);
void trib_nodes_leave(struct trib_nodes *nodes, struct trib_node *node);
/* A message of a session has come. TRIB_LIMIT: too many have, the pause begins. */
TRIB_MUST_CHECK enum trib_status trib_nodes_message(struct trib_nodes *nodes, struct trib_node *node, int64_t now_ms,
                                                    struct trib_error *error);
/* The same, found by somebody else: more wait than can be dealt with. Always TRIB_LIMIT. */
TRIB_MUST_CHECK enum trib_status trib_nodes_pause(struct trib_nodes *nodes, struct trib_node *node, int64_t now_ms,
                                                  struct trib_error *error);
/* So many bytes of an upload have come: how long to wait before the next are asked for. */
int64_t trib_nodes_upload(struct trib_nodes *nodes, struct trib_node *node, size_t len, int64_t now_ms);
/* Whether a line about this node's breaches may be logged now: a burst, then one every few seconds. `suppressed`: how
 * many were not since the last. */
bool trib_nodes_may_log(struct trib_nodes *nodes, const char *name, int64_t now_ms, int64_t *suppressed);
size_t trib_nodes_count(struct trib_nodes *nodes);

#endif
