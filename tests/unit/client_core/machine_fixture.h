/* A turn for one of the session's two machines alone, and a record of what it did in it. */
#ifndef TRIB_TEST_MACHINE_FIXTURE_H
#define TRIB_TEST_MACHINE_FIXTURE_H

#include "../../../client/core/turn.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

struct machine_turn {
    struct trib_turn turn;
    struct trib_session_actions actions;
    char did[TRIB_SESSION_MAX_ACTIONS + 1]; /* a letter each, but for reports */
    char reports[256];                      /* their events, with blanks around each */
    uint64_t job, offset;                   /* of the last action that has a job */
    uint32_t chunk_bytes;
    int said; /* the kind of the last message, 0 = none */
    uint64_t said_round;
    char said_phase[32];
    bool said_device;
    enum trib_status exit_status;
};

static inline void turn_init(struct machine_turn *t)
{
    *t = (struct machine_turn){.turn = {.now_ms = 1000}};
    t->turn.out = &t->actions;
}

static inline void note_said(struct machine_turn *t, const struct trib_buf *bytes)
{
    ProtobufCMessage *unpacked = NULL;
    ck_assert_int_eq(
        trib_message_unpack(&tributary__v1__client_message__descriptor, bytes->data, bytes->len, &unpacked, NULL),
        TRIB_OK);
    const Tributary__V1__ClientMessage *message = (const Tributary__V1__ClientMessage *)(const void *)unpacked;
    t->said = (int)message->kind_case;
    if (message->kind_case == TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS) {
        t->said_round = message->progress->round;
        snprintf(t->said_phase, sizeof t->said_phase, "%s", message->progress->phase);
        t->said_device = message->progress->device;
    } else if (message->kind_case == TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO) {
        t->said_device = message->hello->device;
    }
    trib_message_free(unpacked);
}

/* The letters of what was done since the last call. */
static inline const char *did(struct machine_turn *t)
{
    static const char letters[] = {
        [TRIB_SESSION_CONNECT] = 'C',         [TRIB_SESSION_DISCONNECT] = 'X',  [TRIB_SESSION_SEND] = 'S',
        [TRIB_SESSION_DOWNLOAD] = 'D',        [TRIB_SESSION_TRAIN] = 'T',       [TRIB_SESSION_UPLOAD] = 'U',
        [TRIB_SESSION_CANCEL_TRANSFER] = 't', [TRIB_SESSION_CANCEL_WORK] = 'w', [TRIB_SESSION_RELEASE] = 'r',
        [TRIB_SESSION_FORGET_UPDATE] = 'f',   [TRIB_SESSION_SETTLE] = 's',      [TRIB_SESSION_REPORT] = 'R',
        [TRIB_SESSION_DROP_MODEL] = 'm',      [TRIB_SESSION_EXIT] = 'E',
    };
    size_t n = 0;
    t->said = 0;
    t->said_device = false;
    snprintf(t->reports, sizeof t->reports, " ");
    for (size_t i = 0; i < t->actions.n; i++) {
        const struct trib_session_action *action = &t->actions.list[i];
        if (action->kind == TRIB_SESSION_REPORT) {
            size_t used = strlen(t->reports);
            snprintf(t->reports + used, sizeof t->reports - used, "%s ", action->event);
            continue;
        }
        t->did[n++] = letters[action->kind];
        if (action->kind == TRIB_SESSION_SEND) {
            note_said(t, &action->bytes);
        } else if (action->kind == TRIB_SESSION_EXIT) {
            t->exit_status = action->status;
        } else if (action->job != 0) {
            t->job = action->job;
            t->offset = action->offset;
            t->chunk_bytes = action->chunk_bytes;
        }
    }
    t->did[n] = '\0';
    trib_session_actions_clear(&t->actions);
    return t->did;
}

#define ck_assert_turn_reported(t, event)                                                                              \
    ck_assert_msg(strstr((t)->reports, " " event " "), "no %s in:%s", event, (t)->reports)

#endif
