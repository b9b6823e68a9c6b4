/* The connection's states, and the time that each may take. */
#include "connection.h"
#include "base/mem.h"
#include "client/backoff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CONNECT_WITHIN_MS = 60000,
    GREET_WITHIN_MS = 30000,
    HEALTHY_AFTER_MS = 10000, /* a connection that lasts this long ends the backoff's growth */
    PROGRESS_DEFAULT_S = 10,
    PROGRESS_MAX_S = 3600,
    MOST_RETRY_S = 3600, /* however long a server asks to stay away */
    MAX_IGNORED = 100,   /* out-of-place messages on one connection before it is given up */
    MAX_TAGS = 64,
    MAX_CODECS = 64,
    TELL_DEVICE_EVERY_MS = 60000
};

struct trib_connection {
    /* What Hello says. */
    const char *node, *software;
    const char *const *tags;
    size_t n_tags;
    uint32_t threads;
    uint64_t memory_bytes, examples;

    enum trib_connection_state state;
    uint64_t job; /* of the stream; 0 = none */
    struct trib_backoff backoff;
    int64_t connect_at_ms, greet_by_ms, welcomed_ms;
    unsigned ignored;

    struct trib_device device;      /* as it was last seen */
    struct trib_device told_device; /* what the server knows of it, and since when */
    int64_t told_device_ms;
    int64_t tell_device_at_ms; /* when what has changed is told if nothing else is; 0 = not set */

    int64_t beat_every_ms;
    int64_t beat_at_ms;                /* 0 = it rests */
    char text[TRIB_ERROR_MESSAGE_LEN]; /* of a report, until the next turn */
};

struct trib_connection *trib_connection_new(const struct trib_session_config *config, int64_t now_ms)
{
    struct trib_connection *connection = trib_calloc(1, sizeof *connection);
    if (connection) {
        connection->node = config->node;
        connection->software = config->software;
        connection->tags = config->tags;
        connection->n_tags = config->n_tags < MAX_TAGS ? config->n_tags : MAX_TAGS;
        connection->threads = config->threads;
        connection->memory_bytes = config->memory_bytes;
        connection->device = config->device;
        connection->connect_at_ms = now_ms;
        trib_backoff_init(&connection->backoff, config->reconnect_min_ms, config->reconnect_max_ms, config->seed);
    }
    return connection;
}

void trib_connection_free(struct trib_connection *connection)
{
    trib_free(connection);
}

enum trib_connection_state trib_connection_state(const struct trib_connection *connection)
{
    return connection->state;
}

/* The server can be spoken to. */
static bool stands(const struct trib_connection *connection)
{
    return connection->state == TRIB_CONNECTION_GREETING || connection->state == TRIB_CONNECTION_ONLINE;
}

bool trib_connection_hears(const struct trib_connection *connection, uint64_t job)
{
    return stands(connection) && job == connection->job;
}

int64_t trib_connection_wake_ms(const struct trib_connection *connection)
{
    int64_t wake = INT64_MAX;
    switch (connection->state) {
    case TRIB_CONNECTION_OFFLINE:
        return connection->connect_at_ms;
    case TRIB_CONNECTION_CONNECTING:
    case TRIB_CONNECTION_GREETING:
        return connection->greet_by_ms;
    case TRIB_CONNECTION_ONLINE:
        wake = connection->tell_device_at_ms != 0 ? connection->tell_device_at_ms : wake;
        return connection->beat_at_ms != 0 && connection->beat_at_ms < wake ? connection->beat_at_ms : wake;
    case TRIB_CONNECTION_ENDED:
        break;
    }
    return wake;
}

/* ---- messages ---- */

/* The device for a message that the server learns it from. */
static Tributary__V1__Device *tell(struct trib_connection *connection, int64_t now_ms, Tributary__V1__Device *device)
{
    tributary__v1__device__init(device);
    device->metered = connection->device.metered;
    device->on_battery = connection->device.on_battery;
    device->battery_percent = connection->device.battery_percent;
    connection->told_device = connection->device;
    connection->told_device_ms = now_ms;
    connection->tell_device_at_ms = 0;
    return device;
}

static void send_hello(struct trib_connection *connection, struct trib_turn *turn)
{
    const struct trib_stage *const *codecs;
    size_t n_codecs = trib_stages(&codecs);
    char *names[MAX_CODECS], *tags[MAX_TAGS];
    n_codecs = n_codecs < MAX_CODECS ? n_codecs : MAX_CODECS;
    for (size_t i = 0; i < n_codecs; i++) {
        names[i] = trib_message_lend(codecs[i]->name);
    }
    for (size_t i = 0; i < connection->n_tags; i++) {
        tags[i] = trib_message_lend(connection->tags[i]);
    }
    Tributary__V1__Hello hello;
    tributary__v1__hello__init(&hello);
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.protocol_least = TRIB_PROTOCOL_LEAST;
    hello.software = trib_message_lend(connection->software);
    hello.node = trib_message_lend(connection->node);
    hello.codecs = names;
    hello.n_codecs = n_codecs;
    hello.examples = connection->examples;
    hello.threads = connection->threads;
    hello.memory_bytes = connection->memory_bytes;
    hello.tags = tags;
    hello.n_tags = connection->n_tags;
    Tributary__V1__Device device;
    hello.device = tell(connection, turn->now_ms, &device);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    trib_turn_send(turn, &message);
}

static bool device_is_news(const struct trib_connection *connection)
{
    return trib_device_differs(&connection->device, &connection->told_device);
}

static void send_progress(struct trib_connection *connection, struct trib_turn *turn, uint64_t round,
                          const char *busy_with)
{
    Tributary__V1__Progress progress;
    Tributary__V1__Device device;
    tributary__v1__progress__init(&progress);
    progress.round = round;
    progress.phase = trib_message_lend(busy_with);
    if (device_is_news(connection)) {
        progress.device = tell(connection, turn->now_ms, &device);
    }
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    message.progress = &progress;
    trib_turn_send(turn, &message);
}

void trib_connection_say_goodbye(struct trib_connection *connection, struct trib_turn *turn, const char *reason)
{
    if (stands(connection)) {
        Tributary__V1__Goodbye goodbye;
        tributary__v1__goodbye__init(&goodbye);
        goodbye.reason = trib_message_lend(reason);
        Tributary__V1__ClientMessage message;
        tributary__v1__client_message__init(&message);
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE;
        message.goodbye = &goodbye;
        trib_turn_send(turn, &message);
    }
}

/* ---- offline and back ---- */

/* asked_ms < 0: as the backoff says. */
static void went_offline(struct trib_connection *connection, struct trib_turn *turn, enum trib_status status,
                         const char *reason, int64_t asked_ms)
{
    if (connection->state == TRIB_CONNECTION_ONLINE && turn->now_ms - connection->welcomed_ms >= HEALTHY_AFTER_MS) {
        trib_backoff_reset(&connection->backoff);
    }
    int64_t wait_ms =
        asked_ms >= 0 ? trib_backoff_asked(&connection->backoff, asked_ms) : trib_backoff_next(&connection->backoff);
    TRIB_REPORT(turn, TRIB_LOG_WARN, "disconnected", TRIB_F_STR("status", trib_status_name(status)),
                TRIB_F_STR("reason", reason), TRIB_F_REAL("retry_seconds", (double)wait_ms / 1000));
    connection->state = TRIB_CONNECTION_OFFLINE;
    connection->job = 0;
    connection->connect_at_ms = turn->now_ms + wait_ms;
    connection->beat_at_ms = 0;
}

static void drop_for(struct trib_connection *connection, struct trib_turn *turn, enum trib_status status,
                     const char *reason, int64_t asked_ms)
{
    trib_turn_act(turn, TRIB_SESSION_DISCONNECT);
    went_offline(connection, turn, status, reason, asked_ms);
}

void trib_connection_drop(struct trib_connection *connection, struct trib_turn *turn, enum trib_status status,
                          const char *reason)
{
    drop_for(connection, turn, status, reason, -1);
}

void trib_connection_send_away(struct trib_connection *connection, struct trib_turn *turn, const char *reason,
                               uint32_t seconds)
{
    seconds = seconds > MOST_RETRY_S ? MOST_RETRY_S : seconds;
    drop_for(connection, turn, TRIB_UNAVAILABLE, reason, seconds == 0 ? -1 : (int64_t)seconds * 1000);
}

bool trib_connection_ignore(struct trib_connection *connection, struct trib_turn *turn, const char *what,
                            const char *why)
{
    TRIB_REPORT(turn, TRIB_LOG_WARN, "message_ignored", TRIB_F_STR("what", what), TRIB_F_STR("reason", why));
    if (++connection->ignored <= MAX_IGNORED) {
        return false;
    }
    trib_connection_drop(connection, turn, TRIB_PROTOCOL, "too many messages that are out of place");
    return true;
}

void trib_connection_end(struct trib_connection *connection, struct trib_turn *turn, enum trib_status status,
                         const char *text)
{
    connection->state = TRIB_CONNECTION_ENDED;
    connection->job = 0;
    struct trib_session_action *action = trib_turn_act(turn, TRIB_SESSION_EXIT);
    action->status = status;
    action->text = text;
}

bool trib_connection_tick(struct trib_connection *connection, struct trib_turn *turn)
{
    if (connection->state == TRIB_CONNECTION_OFFLINE && turn->now_ms >= connection->connect_at_ms) {
        connection->job = ++turn->last_job;
        connection->state = TRIB_CONNECTION_CONNECTING;
        connection->greet_by_ms = turn->now_ms + CONNECT_WITHIN_MS;
        connection->ignored = 0;
        trib_turn_act(turn, TRIB_SESSION_CONNECT)->job = connection->job;
    } else if ((connection->state == TRIB_CONNECTION_CONNECTING || connection->state == TRIB_CONNECTION_GREETING) &&
               turn->now_ms >= connection->greet_by_ms) {
        trib_connection_drop(connection, turn, TRIB_TIMEOUT, "the server did not answer");
        return true;
    }
    return false;
}

void trib_connection_connected(struct trib_connection *connection, struct trib_turn *turn, uint64_t job)
{
    if (connection->state == TRIB_CONNECTION_CONNECTING && job == connection->job) {
        connection->state = TRIB_CONNECTION_GREETING;
        connection->greet_by_ms = turn->now_ms + GREET_WITHIN_MS;
        send_hello(connection, turn);
    }
}

bool trib_connection_disconnected(struct trib_connection *connection, struct trib_turn *turn,
                                  const struct trib_session_event *event)
{
    if (connection->job == 0 || event->job != connection->job) {
        return false;
    }
    went_offline(connection, turn, event->status, event->reason, -1);
    return true;
}

/* ---- the welcome ---- */

static bool run_is_sane(const char *run)
{
    size_t len = strlen(run);
    if (len == 0 || len > TRIB_RUN_ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (run[i] <= ' ' || run[i] > '~') {
            return false;
        }
    }
    return true;
}

/* NULL when the welcome is one; else why not, and its status. */
static const char *check_welcome(struct trib_connection *connection, const Tributary__V1__Welcome *message,
                                 enum trib_status *status)
{
    const uint32_t protocol = message->protocol;
    *status = TRIB_PROTOCOL;
    if (connection->state != TRIB_CONNECTION_GREETING) {
        return "the server sent a second welcome";
    }
    if (protocol < TRIB_PROTOCOL_LEAST || protocol > TRIB_PROTOCOL_VERSION) {
        *status = TRIB_UNSUPPORTED;
        snprintf(connection->text, sizeof connection->text,
                 "the server speaks protocol %" PRIu32 ", this client %d to %d: update the %s", protocol,
                 TRIB_PROTOCOL_LEAST, TRIB_PROTOCOL_VERSION, protocol > TRIB_PROTOCOL_VERSION ? "client" : "server");
        return connection->text;
    }
    return run_is_sane(message->run) ? NULL : "the server's welcome names no valid run";
}

bool trib_connection_welcome(struct trib_connection *connection, struct trib_turn *turn,
                             const Tributary__V1__Welcome *message, uint32_t *chunk_bytes)
{
    enum trib_status status;
    const char *fault = check_welcome(connection, message, &status);
    if (fault) {
        trib_connection_drop(connection, turn, status, fault);
        return true;
    }
    uint32_t seconds = message->progress_seconds == 0 ? PROGRESS_DEFAULT_S : message->progress_seconds;
    seconds = seconds > PROGRESS_MAX_S ? PROGRESS_MAX_S : seconds;
    connection->beat_every_ms = (int64_t)seconds * 1000 / 2; /* well before it is due */
    connection->state = TRIB_CONNECTION_ONLINE;
    connection->welcomed_ms = turn->now_ms;
    const uint32_t chunk = message->chunk_bytes == 0 ? TRIB_CHUNK_PAYLOAD : message->chunk_bytes;
    *chunk_bytes = chunk < TRIB_CHUNK_LEAST     ? TRIB_CHUNK_LEAST
                   : chunk > TRIB_CHUNK_PAYLOAD ? TRIB_CHUNK_PAYLOAD
                                                : chunk;
    return false;
}

/* ---- the device and the beat ---- */

void trib_connection_set_examples(struct trib_connection *connection, uint64_t examples)
{
    connection->examples = examples;
}

void trib_connection_see_device(struct trib_connection *connection, int64_t now_ms, const struct trib_device *device)
{
    connection->device = *device;
    if (connection->state == TRIB_CONNECTION_ONLINE && device_is_news(connection)) {
        int64_t allowed_ms = connection->told_device_ms + TELL_DEVICE_EVERY_MS;
        connection->tell_device_at_ms = allowed_ms > now_ms ? allowed_ms : now_ms;
    }
}

void trib_connection_tell_device(struct trib_connection *connection, struct trib_turn *turn, bool busy)
{
    if (connection->state == TRIB_CONNECTION_ONLINE && connection->tell_device_at_ms != 0 &&
        turn->now_ms >= connection->tell_device_at_ms) {
        connection->tell_device_at_ms = 0;
        if (!busy && device_is_news(connection)) {
            send_progress(connection, turn, 0, "idle");
        }
    }
}

void trib_connection_begin_beat(struct trib_connection *connection, int64_t now_ms)
{
    connection->beat_at_ms = now_ms + connection->beat_every_ms;
}

void trib_connection_rest(struct trib_connection *connection)
{
    connection->beat_at_ms = 0;
}

void trib_connection_beat(struct trib_connection *connection, struct trib_turn *turn, uint64_t round,
                          const char *busy_with)
{
    if (connection->beat_at_ms != 0 && turn->now_ms >= connection->beat_at_ms) {
        if (busy_with) {
            send_progress(connection, turn, round, busy_with);
        }
        trib_connection_begin_beat(connection, turn->now_ms);
    }
}
