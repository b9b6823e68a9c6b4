/* The smallest federation that writes every kind of file: the real engine on the torture's disk, driven without
 * threads, and two clients that are structs. What they send follows from round, client and model alone, and a round
 * waits for both: every version's bits are the same however often it was begun again.
 *
 * The engine's calls are made with failures let go (torture_hold); what the clients do for themselves is not. */
#ifndef TRIB_TORTURE_SMALL_SERVER_H
#define TRIB_TORTURE_SMALL_SERVER_H

#include "torture.h"

#include "base/blob.h"
#include "hub/hub.h"

enum { SMALL_CLIENTS = 2, SMALL_ROUNDS = 2, SMALL_VALUES = 700, SMALL_INBOX = 64 };

struct small_variant {
    const char *name;
    const char *settings; /* YAML, beside what all have in common */
};
extern const struct small_variant small_variants[];
extern const unsigned n_small_variants;

struct small_session {
    struct trib_peer peer; /* first: a peer is a session */
    unsigned refs;
    Tributary__V1__ServerMessage *inbox[SMALL_INBOX];
    unsigned n;
    bool closed, broken;
};
struct small_client {
    uint32_t number;
    char node[16];
    struct small_session *session; /* NULL: it has to connect */
    uint64_t round;                /* that its update is of; 0 = it has none */
    struct trib_blob *frame;
    uint8_t sha256[32], sketch[SMALL_VALUES / 8 + 1];
    size_t sketch_len;
    uint64_t examples, feedback_round;
};
enum small_end { SMALL_FREED, SMALL_KILLED, SMALL_POWER_LOST };

struct small_server {
    const struct small_variant *variant;
    struct trib_server_settings settings;
    struct trib_hub_driver driver;
    struct trib_hub *engine; /* NULL: it does not run */
    struct small_client clients[SMALL_CLIENTS];
    int64_t now_ms;
    bool away[SMALL_CLIENTS];           /* it does not upload what it is asked for */
    uint64_t committed;                 /* the last version that was said to be */
    uint64_t uploaded;                  /* uploads that were complete */
    uint8_t told[SMALL_ROUNDS + 1][32]; /* the models that tasks named */
    bool was_told[SMALL_ROUNDS + 1];
    enum trib_status status; /* of the last start, or why the engine had to end */
    struct trib_error error;
    unsigned starts_failed, ends;
    char broken[512]; /* the first rule that did not hold; "" = none */
};

void small_begin(struct small_server *server, const struct small_variant *variant);
void small_clear(struct small_server *server);
/* A rule does not hold; the first one counts. */
void small_break(struct small_server *server, const char *format, ...) TRIB_PRINTF(2, 3);

/* One attempt; false: server->status and error say why. */
bool small_start(struct small_server *server);
void small_stop(struct small_server *server, enum small_end end);
/* Until the version is committed (and, with `uploads`, until so many were complete in all), starting the server as
 * often as it takes. The power that goes comes back. */
void small_run(struct small_server *server, uint64_t version, uint64_t uploads);

#endif
