/* A connection is a client's standing with its server: offline, connecting, greeting, online; when it tries again, what
 * it says of itself, and how often the server hears that work goes on. A pure state machine, one of the session's two
 * (the other is work.h): calls in, actions out through the turn. It knows nothing of tasks.
 *
 * Calls that return `bool` say whether the connection was lost in them: the work has to hear of that. */
#ifndef TRIB_CLIENT_CONNECTION_H
#define TRIB_CLIENT_CONNECTION_H

#include "turn.h"

enum trib_connection_state {
    TRIB_CONNECTION_OFFLINE, /* waiting for the next attempt */
    TRIB_CONNECTION_CONNECTING,
    TRIB_CONNECTION_GREETING, /* Hello is sent, Welcome awaited */
    TRIB_CONNECTION_ONLINE,
    TRIB_CONNECTION_ENDED
};
struct trib_connection; /* opaque */

/* trib_connection_new copies from the session's configuration what it needs; the texts stay borrowed. NULL: no memory.
 */
struct trib_connection *trib_connection_new(const struct trib_session_config *config, int64_t now_ms);
void trib_connection_free(struct trib_connection *connection); /* NULL is allowed */
enum trib_connection_state trib_connection_state(const struct trib_connection *connection);
/* trib_connection_hears tells whether a message that came on the stream of that job may be dealt with. */
bool trib_connection_hears(const struct trib_connection *connection, uint64_t job);
/* trib_connection_wake_ms is when trib_connection_tick, _tell_device or _beat have something to do. */
int64_t trib_connection_wake_ms(const struct trib_connection *connection);

/* ---- what happens to it ---- */

void trib_connection_connected(struct trib_connection *connection, struct trib_turn *turn, uint64_t job);
bool trib_connection_disconnected(struct trib_connection *connection, struct trib_turn *turn,
                                  const struct trib_session_event *event);
/* trib_connection_tick begins an attempt that is due, or gives one up that takes too long. */
bool trib_connection_tick(struct trib_connection *connection, struct trib_turn *turn);
/* trib_connection_welcome reads the server's first message: online, or lost. *chunk_bytes: what the server allows. */
bool trib_connection_welcome(struct trib_connection *connection, struct trib_turn *turn,
                             const Tributary__V1__Welcome *message, uint32_t *chunk_bytes);
/* trib_connection_ignore notes a message that has no place; too many of them and the connection is lost. */
bool trib_connection_ignore(struct trib_connection *connection, struct trib_turn *turn, const char *what,
                            const char *why);
/* trib_connection_drop ends the connection from this side and waits for the next attempt. */
void trib_connection_drop(struct trib_connection *connection, struct trib_turn *turn, enum trib_status status,
                          const char *reason);
/* trib_connection_send_away does so at the server's wish, for so many seconds; 0 = as the backoff says. */
void trib_connection_send_away(struct trib_connection *connection, struct trib_turn *turn, const char *reason,
                               uint32_t seconds);
/* trib_connection_say_goodbye tells the server, where it can hear that. */
void trib_connection_say_goodbye(struct trib_connection *connection, struct trib_turn *turn, const char *reason);
/* trib_connection_end is the client's end: nothing happens to the connection any more. */
void trib_connection_end(struct trib_connection *connection, struct trib_turn *turn, enum trib_status status,
                         const char *text);

/* ---- what it tells ---- */

void trib_connection_set_examples(struct trib_connection *connection, uint64_t examples); /* of the client's own data */
void trib_connection_see_device(struct trib_connection *connection, int64_t now_ms, const struct trib_device *device);
/* trib_connection_tell_device tells what has changed about the device, once that is due. busy: a beat is about to do
 * so. */
void trib_connection_tell_device(struct trib_connection *connection, struct trib_turn *turn, bool busy);
/* The beat tells the server that a task goes on. It begins anew with each part of the work, and rests when the server
 * does not know of any, or the connection is lost. */
void trib_connection_begin_beat(struct trib_connection *connection, int64_t now_ms);
void trib_connection_rest(struct trib_connection *connection);
/* trib_connection_beat says, once it is due, what the client is busy with; NULL: it says nothing this time. */
void trib_connection_beat(struct trib_connection *connection, struct trib_turn *turn, uint64_t round,
                          const char *busy_with);

#endif
