/* Any messages and events in any order to a client's session: it asks only for what can be done, says only what a
 * server can read, and can always be ended.
 *
 * The input: steps, each a byte that says what happens, and what that needs. The events' jobs are those of the last
 * actions, or with the byte's highest bit one that is not current. */
#include "../fuzz_disk.h"
#include "base/str.h"
#include "client/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_STEPS = 400, FRAME_LEN = 100, STALE = 0x80 };

struct input {
    const uint8_t *data;
    size_t len;
};

static struct trib_session *session;
static struct trib_session_actions actions;
static uint64_t connection, work;
static int64_t now_ms;
static bool ended;

static uint8_t take_byte(struct input *input)
{
    if (input->len == 0) {
        return 0;
    }
    input->len--;
    return *input->data++;
}

/* ---- what it asks for ---- */

static void check_said(const struct trib_buf *bytes)
{
    ProtobufCMessage *message = NULL;
    require(trib_message_unpack(&tributary__v1__client_message__descriptor, bytes->data, bytes->len, &message, NULL) ==
            TRIB_OK);
    require(((const Tributary__V1__ClientMessage *)(const void *)message)->kind_case !=
            TRIBUTARY__V1__CLIENT_MESSAGE__KIND__NOT_SET);
    trib_message_free(message);
}

static void check_action(const struct trib_session_action *action)
{
    switch (action->kind) {
    case TRIB_SESSION_CONNECT:
        connection = action->job;
        break;
    case TRIB_SESSION_SEND:
        check_said(&action->bytes);
        break;
    case TRIB_SESSION_DOWNLOAD:
        require(action->sha256 && action->len > 0 && action->offset <= action->len && action->chunk_bytes > 0);
        work = action->job;
        break;
    case TRIB_SESSION_TRAIN:
        require(action->task && action->route && action->task->graph);
        work = action->job;
        break;
    case TRIB_SESSION_UPLOAD:
        require(action->task && action->update && action->update->frame);
        require(action->offset < trib_blob_len(action->update->frame) && action->chunk_bytes > 0);
        work = action->job;
        break;
    case TRIB_SESSION_SETTLE:
        require(action->task);
        break;
    case TRIB_SESSION_EXIT:
        ended = true;
        break;
    default:
        break;
    }
}

static void give(struct trib_session_event *event)
{
    event->now_ms = now_ms;
    trib_session_step(session, event, &actions);
    require(actions.n <= TRIB_SESSION_MAX_ACTIONS);
    for (size_t i = 0; i < actions.n; i++) {
        check_action(&actions.list[i]);
    }
    trib_session_actions_clear(&actions);
    trib_session_event_free(event);
    require(ended == (trib_session_state(session) == TRIB_STATE_DONE));
}

/* ---- what happens ---- */

static struct trib_session_event *event_of(enum trib_session_event_kind kind, uint64_t job, enum trib_status status)
{
    struct trib_session_event *event = trib_session_event_new(kind, job);
    require(event);
    event->status = status;
    (void)trib_str_copy(event->reason, sizeof event->reason, "so it is");
    return event;
}

static void message_of(struct input *input, uint64_t job)
{
    size_t wanted = take_byte(input) | (size_t)take_byte(input) << 8, len = wanted < input->len ? wanted : input->len;
    ProtobufCMessage *message = NULL;
    uint8_t *bytes = malloc(len + 1); /* a copy of its own, so that a read past the end is seen */
    require(bytes);
    memcpy(bytes, input->data, len);
    input->data += len;
    input->len -= len;
    if (trib_message_unpack(&tributary__v1__server_message__descriptor, bytes, len, &message, NULL) == TRIB_OK) {
        struct trib_session_event *event = event_of(TRIB_SESSION_MESSAGE, job, TRIB_OK);
        event->is.message = (Tributary__V1__ServerMessage *)(void *)message;
        give(event);
    }
    free(bytes);
}

static void trained(uint64_t job, uint8_t how)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_TRAINED, job, how & 1 ? TRIB_NOT_FINITE : TRIB_OK);
    event->model_unusable = (how & 3) == 3;
    if (event->status == TRIB_OK) {
        event->is.update.frame = trib_blob_new(FRAME_LEN);
        require(event->is.update.frame);
        memset(trib_blob_fill(event->is.update.frame), 1, FRAME_LEN);
        event->is.update.norm = how;
        event->saved = how & 4;
    }
    (void)trib_str_copy(event->held.run, sizeof event->held.run, how & 8 ? "run-1" : "");
    event->held.version = how >> 4;
    give(event);
}

static void uploaded(uint64_t job, uint8_t how)
{
    static const enum trib_status refusals[] = {TRIB_OK, TRIB_NOT_FOUND, TRIB_MISMATCH, TRIB_CORRUPT};
    struct trib_session_event *event = event_of(TRIB_SESSION_UPLOADED, job, how & 1 ? TRIB_UNAVAILABLE : TRIB_OK);
    event->is.receipt.status = refusals[how >> 1 & 3];
    event->is.receipt.accepted = event->is.receipt.status == TRIB_OK;
    event->is.receipt.received = how;
    give(event);
}

static void downloaded(uint64_t job, uint8_t how)
{
    static const enum trib_status ends[] = {TRIB_OK, TRIB_UNAVAILABLE, TRIB_NOT_FOUND, TRIB_LIMIT};
    struct trib_session_event *event = event_of(TRIB_SESSION_DOWNLOADED, job, ends[how & 3]);
    event->is.received = how;
    give(event);
}

static void look_at_device(uint8_t how)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_DEVICE, 0, TRIB_OK);
    event->is.device = (struct trib_device){.metered = how & 1, .on_battery = how & 2, .battery_percent = how >> 2};
    give(event);
}

static void step(struct input *input)
{
    uint8_t what = take_byte(input);
    uint64_t stale = what & STALE ? 1 : 0;
    int64_t wake_ms = trib_session_wake_ms(session);
    switch (what & 15) {
    case 0:
        now_ms = wake_ms > now_ms && wake_ms < INT64_MAX ? wake_ms : now_ms;
        give(event_of(TRIB_SESSION_TICK, 0, TRIB_OK));
        break;
    case 1:
        give(event_of(TRIB_SESSION_CONNECTED, connection - stale, TRIB_OK));
        break;
    case 2:
        give(event_of(TRIB_SESSION_DISCONNECTED, connection - stale, TRIB_UNAVAILABLE));
        break;
    case 3:
        message_of(input, connection - stale);
        break;
    case 4:
        downloaded(work - stale, take_byte(input));
        break;
    case 5:
        trained(work - stale, take_byte(input));
        break;
    case 6:
        uploaded(work - stale, take_byte(input));
        break;
    case 7:
        now_ms += take_byte(input) * 100;
        break;
    case 8:
        look_at_device(take_byte(input));
        break;
    case 9:
        give(event_of(TRIB_SESSION_DATA, 0, TRIB_OK));
        break;
    case 10:
        give(event_of(TRIB_SESSION_STOP, 0, TRIB_OK));
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tags[] = {"ward-3"};
    const struct trib_session_config config = {.node = "boat-7",
                                               .software = "fuzz",
                                               .tags = tags,
                                               .n_tags = 1,
                                               .threads = 2,
                                               .reconnect_min_ms = 500,
                                               .reconnect_max_ms = 60000,
                                               .seed = 1};
    struct input input = {.data = data, .len = size};
    now_ms = 1000;
    connection = work = 0;
    ended = false;
    session = trib_session_new(&config, now_ms);
    require(session);
    for (int steps = 0; input.len > 0 && steps < MOST_STEPS && !ended; steps++) {
        step(&input);
    }
    trib_session_free(session);
    return 0;
}
