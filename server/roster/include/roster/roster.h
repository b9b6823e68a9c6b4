/* The roster of a run is every node that it knows, by number, and the sessions of those that are connected. A node that
 * is away costs its name and two numbers. The hub's thread only. */
#ifndef TRIB_ROSTER_ROSTER_H
#define TRIB_ROSTER_ROSTER_H

#include "roster/filters.h"
#include "roster/peer.h"
#include "wire/chunk.h"

struct trib_roster; /* opaque */

/* How a client introduces itself: what its Hello says, and what the run makes of it. A value. */
struct trib_introduction {
    char address[64], software[64];
    uint64_t examples;    /* of its own data; 0: it would rather not say */
    uint32_t protocol;    /* the highest that it knows */
    bool takes_deltas;    /* it knows codec.down's stages */
    const char *filtered; /* why it may not be picked, static text; NULL: it may */
    struct trib_client_device device;
};
/* A session, to be looked at. */
struct trib_session_facts {
    struct trib_introduction said;
    const char *device_filtered; /* as said.filtered, for what may change */
    bool graph_sent;             /* in this session */
    bool holds_model;            /* version `held`: it has offered an update of it in this session */
    uint64_t held;
};

TRIB_MUST_CHECK enum trib_status trib_roster_new(const struct trib_filters *filters, struct trib_roster **roster,
                                                 struct trib_error *error);
void trib_roster_free(struct trib_roster *roster); /* NULL is allowed; lets go of all peers */

/* ---- nodes: numbers count from 0 and stay ---- */
TRIB_MUST_CHECK enum trib_status trib_roster_add(struct trib_roster *roster, const char *node, uint32_t *number);
bool trib_roster_find(const struct trib_roster *roster, const char *node, uint32_t *number);
const char *trib_roster_node(const struct trib_roster *roster, uint32_t number);
size_t trib_roster_known(const struct trib_roster *roster);
/* Of an earlier process: when the node was first seen (wall clock), and how often it has joined. */
void trib_roster_recall(struct trib_roster *roster, uint32_t number, int64_t first_seen_ms, uint64_t joined);
int64_t trib_roster_first_seen_ms(const struct trib_roster *roster, uint32_t number);
uint64_t trib_roster_joined(const struct trib_roster *roster, uint32_t number); /* times */

/* ---- sessions ---- */
/* Takes a reference of its own to the peer. The node must be away. */
TRIB_MUST_CHECK enum trib_status trib_roster_join(struct trib_roster *roster, uint32_t number, struct trib_peer *peer,
                                                  const struct trib_introduction *introduction, int64_t wall_ms);
/* The session ends: the peer is told why, unless reason is NULL, and let go of. */
void trib_roster_end(struct trib_roster *roster, uint32_t number, const char *reason, bool final,
                     uint32_t retry_seconds);
void trib_roster_end_all(struct trib_roster *roster, const char *reason, bool final, uint32_t retry_seconds);
size_t trib_roster_connected(const struct trib_roster *roster);
/* NULL while the node is away; valid until its session ends. */
const struct trib_session_facts *trib_roster_session(const struct trib_roster *roster, uint32_t number);
/* Whether this peer is the live session of a node; false: it was replaced or has gone. */
bool trib_roster_of_peer(const struct trib_roster *roster, const struct trib_peer *peer, uint32_t *number);
/* Ask the client to go: its disconnect follows. */
void trib_roster_dismiss(struct trib_roster *roster, uint32_t number, const char *reason);
/* Queue a message. A session that fails is ending and says so by its disconnect; one that is away is not told. */
void trib_roster_send(struct trib_roster *roster, uint32_t number, Tributary__V1__ServerMessage *message);

bool trib_roster_eligible(const struct trib_roster *roster, uint32_t number);
const char *trib_roster_filtered(const struct trib_roster *roster, uint32_t number); /* why; NULL: it may be picked */
/* News of its machine; true: whether it may be picked, or why not, has changed. */
bool trib_roster_device(struct trib_roster *roster, uint32_t number, const struct trib_client_device *device);
void trib_roster_note_graph(struct trib_roster *roster, uint32_t number, bool sent);
void trib_roster_note_held(struct trib_roster *roster, uint32_t number, uint64_t version);

#endif
