/* A turn is the passage of one event through the session: the moment, the numbers of jobs, and the actions so far. The
 * two machines, connection and work, act through it and through nothing else. */
#ifndef TRIB_CLIENT_TURN_H
#define TRIB_CLIENT_TURN_H

#include "client/session.h"

struct trib_turn {
    int64_t now_ms;
    uint64_t last_job; /* numbers ascend over the session's life */
    struct trib_session_actions *out;
    bool broken; /* memory ran out for a message: the connection cannot be trusted to be in step */
};

struct trib_session_action *trib_turn_act(struct trib_turn *turn, enum trib_session_action_kind kind);
/* trib_turn_report adds a line for the log; its texts have to last until the next turn. */
void trib_turn_report(struct trib_turn *turn, enum trib_log_level level, const char *event,
                      const struct trib_field *fields, int n);
#define TRIB_REPORT(turn, level, event, ...)                                                                           \
    trib_turn_report((turn), (level), (event), (const struct trib_field[]){__VA_ARGS__},                               \
                     (int)(sizeof((const struct trib_field[]){__VA_ARGS__}) / sizeof(struct trib_field)))
/* trib_turn_send packs a message. Out of memory, it sets `broken`. */
void trib_turn_send(struct trib_turn *turn, const Tributary__V1__ClientMessage *message);

#endif
