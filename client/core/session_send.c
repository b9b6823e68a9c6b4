/* The client's messages. These, and the update's own chunks, are all that ever leaves the machine. */
#include "session_private.h"

static void send(struct trib_session *session, const Tributary__V1__ClientMessage *message)
{
    struct trib_session_action *action = trib_session_act(session, TRIB_SESSION_SEND);
    if (trib_message_pack(&message->base, &action->bytes) != TRIB_OK) {
        trib_buf_clear(&action->bytes);
        session->out->n--;
        session->broken = true;
    }
}

/* The device for a message that the server learns it from. */
static Tributary__V1__Device *tell_device(struct trib_session *session, Tributary__V1__Device *device)
{
    tributary__v1__device__init(device);
    device->metered = session->device.metered;
    device->on_battery = session->device.on_battery;
    device->battery_percent = session->device.battery_percent;
    session->told_device = session->device;
    session->told_device_ms = session->now_ms;
    session->tell_device_at_ms = 0;
    return device;
}

void trib_session_send_hello(struct trib_session *session)
{
    const struct trib_stage *const *codecs;
    size_t n_codecs = trib_stages(&codecs);
    char *names[64], *tags[TRIB_SESSION_MAX_TAGS];
    const size_t most = sizeof names / sizeof names[0];
    n_codecs = n_codecs < most ? n_codecs : most;
    for (size_t i = 0; i < n_codecs; i++) {
        names[i] = trib_message_lend(codecs[i]->name);
    }
    size_t n_tags = session->config.n_tags < TRIB_SESSION_MAX_TAGS ? session->config.n_tags : TRIB_SESSION_MAX_TAGS;
    for (size_t i = 0; i < n_tags; i++) {
        tags[i] = trib_message_lend(session->config.tags[i]);
    }
    Tributary__V1__Hello hello;
    tributary__v1__hello__init(&hello);
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.protocol_least = TRIB_PROTOCOL_LEAST;
    hello.software = trib_message_lend(session->config.software);
    hello.node = trib_message_lend(session->config.node);
    hello.codecs = names;
    hello.n_codecs = n_codecs;
    hello.examples = session->examples;
    hello.threads = session->config.threads;
    hello.memory_bytes = session->config.memory_bytes;
    hello.tags = tags;
    hello.n_tags = n_tags;
    Tributary__V1__Device device;
    hello.device = tell_device(session, &device);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    send(session, &message);
}

void trib_session_send_progress(struct trib_session *session, uint64_t round, const char *phase)
{
    Tributary__V1__Progress progress;
    Tributary__V1__Device device;
    tributary__v1__progress__init(&progress);
    progress.round = round;
    progress.phase = trib_message_lend(phase);
    if (trib_device_differs(&session->device, &session->told_device)) {
        progress.device = tell_device(session, &device);
    }
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    message.progress = &progress;
    send(session, &message);
}

void trib_session_send_offer(struct trib_session *session)
{
    const struct trib_client_update *update = &session->update;
    Tributary__V1__Blob blob;
    tributary__v1__blob__init(&blob);
    blob.sha256 = trib_message_lend_bytes(update->sha256, sizeof update->sha256);
    blob.len = trib_blob_len(update->frame);
    Tributary__V1__Offer offer;
    tributary__v1__offer__init(&offer);
    offer.round = session->task.round;
    offer.examples = update->result.examples;
    offer.steps = update->result.steps;
    offer.loss = update->result.mean_loss;
    offer.accuracy = update->result.accuracy;
    offer.train_seconds = (double)update->result.ms / 1000;
    offer.norm = update->norm;
    offer.update = &blob;
    offer.stopped_early = update->result.stopped_early;
    offer.feedback_round = update->feedback_round;
    if (update->sketch) {
        offer.sketch = trib_message_lend_bytes(trib_blob_data(update->sketch), trib_blob_len(update->sketch));
    }
    offer.codec = trib_message_lend(update->codec);
    offer.codec_reason = trib_message_lend(update->codec_reason);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    send(session, &message);
}

void trib_session_send_failure(struct trib_session *session, uint64_t round, enum trib_status status,
                               const char *reason)
{
    Tributary__V1__Failure failure;
    tributary__v1__failure__init(&failure);
    failure.round = round;
    failure.status = trib_message_lend(trib_status_name(status));
    failure.reason = trib_message_lend(reason);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE;
    message.failure = &failure;
    send(session, &message);
}

void trib_session_send_goodbye(struct trib_session *session, const char *reason)
{
    Tributary__V1__Goodbye goodbye;
    tributary__v1__goodbye__init(&goodbye);
    goodbye.reason = trib_message_lend(reason);
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    send(session, &message);
}
