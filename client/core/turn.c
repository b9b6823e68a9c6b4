/* Actions of a turn, in the order in which they are to be done. */
#include "turn.h"

#include <assert.h>
#include <string.h>

struct trib_session_action *trib_turn_act(struct trib_turn *turn, enum trib_session_action_kind kind)
{
    struct trib_session_actions *out = turn->out;
    assert(out->n < TRIB_SESSION_MAX_ACTIONS);
    struct trib_session_action *action = &out->list[out->n++];
    *action = (struct trib_session_action){.kind = kind};
    return action;
}

void trib_turn_report(struct trib_turn *turn, enum trib_log_level level, const char *event,
                      const struct trib_field *fields, int n)
{
    assert(n <= TRIB_SESSION_MAX_FIELDS);
    struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_REPORT);
    action->level = level;
    action->event = event;
    memcpy(action->fields, fields, (size_t)n * sizeof *fields);
    action->n_fields = n;
}

void trib_turn_send(struct trib_turn *turn, const Tributary__V1__ClientMessage *message)
{
    struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_SEND);
    if (trib_message_pack(&message->base, &action->bytes) != TRIB_OK) {
        trib_buf_clear(&action->bytes);
        turn->out->n--;
        turn->broken = true;
    }
}

void trib_session_actions_clear(struct trib_session_actions *actions)
{
    for (size_t i = 0; i < actions->n; i++) {
        trib_buf_clear(&actions->list[i].bytes);
    }
    actions->n = 0;
}
