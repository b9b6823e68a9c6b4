/* A client that is a struct: it connects, and answers tasks and decisions. Its own work is not what is tortured. */
#include "small_client.h"

#include "base/crc.h"
#include "base/mem.h"
#include "base/rng.h"
#include "codec/frame.h"
#include "codec/sketch.h"
#include "crypto/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- its session, as the engine sees it ---- */

static enum trib_status session_send(struct trib_peer *peer, const ProtobufCMessage *message)
{
    struct small_session *session = (struct small_session *)(void *)peer;
    struct trib_buf bytes = {0};
    ProtobufCMessage *copy = NULL;
    if (session->broken || torture_send_fails()) {
        session->broken = true;
        return TRIB_UNAVAILABLE;
    }
    bool held = torture_hold(true);
    enum trib_status status = trib_message_pack(message, &bytes);
    if (status == TRIB_OK) {
        status = trib_message_unpack(&tributary__v1__server_message__descriptor, bytes.data, bytes.len, &copy, NULL);
    }
    trib_buf_clear(&bytes);
    if (status != TRIB_OK || session->n == SMALL_INBOX) {
        abort();
    }
    session->inbox[session->n++] = (Tributary__V1__ServerMessage *)(void *)copy;
    (void)torture_hold(held);
    return TRIB_OK;
}

static void session_close(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds)
{
    (void)reason;
    (void) final;
    (void)retry_seconds;
    ((struct small_session *)(void *)peer)->closed = true;
}

static struct trib_peer *session_ref(struct trib_peer *peer)
{
    ((struct small_session *)(void *)peer)->refs++;
    return peer;
}

static void session_unref(struct trib_peer *peer)
{
    struct small_session *session = (struct small_session *)(void *)peer;
    if (--session->refs == 0) {
        for (unsigned i = 0; i < session->n; i++) {
            trib_message_free(&session->inbox[i]->base);
        }
        free(session);
    }
}

static const struct trib_peer_ops session_ops = {
    .send = session_send, .close = session_close, .ref = session_ref, .unref = session_unref};

/* ---- coming and going ---- */

static bool join(struct small_server *server, struct small_client *client)
{
    Tributary__V1__Hello hello;
    tributary__v1__hello__init(&hello);
    const struct trib_stage *const *stages;
    char *names[UINT8_MAX];
    size_t n_stages = trib_stages(&stages);
    for (size_t i = 0; i < n_stages; i++) {
        names[i] = trib_message_lend(stages[i]->name);
    }
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.software = trib_message_lend("small");
    hello.examples = 100;
    hello.threads = 1;
    hello.n_codecs = n_stages;
    hello.codecs = names;
    struct small_session *session = calloc(1, sizeof *session);
    if (!session) {
        abort();
    }
    session->peer.ops = &session_ops;
    session->refs = 1;
    bool held = torture_hold(false);
    enum trib_status status = trib_hub_connect(server->engine, &session->peer, client->node, "small:1", &hello);
    (void)torture_hold(held);
    if (status == TRIB_OK) {
        client->session = session;
    } else {
        session_unref(&session->peer);
        torture_wait();
    }
    return true;
}

static bool leave(struct small_server *server, struct small_client *client)
{
    bool held = torture_hold(false);
    trib_hub_disconnect(server->engine, &client->session->peer, "gone");
    (void)torture_hold(held);
    session_unref(&client->session->peer);
    client->session = NULL;
    torture_wait();
    return true;
}

void small_client_reset(struct small_client *client)
{
    if (client->session) {
        session_unref(&client->session->peer);
        client->session = NULL;
    }
    trib_blob_unref(client->frame);
    client->frame = NULL;
    client->round = 0;
}

static void say(struct small_server *server, struct small_client *client, Tributary__V1__ClientMessage *message)
{
    struct trib_buf bytes = {0};
    ProtobufCMessage *copy = NULL;
    if (trib_message_pack(&message->base, &bytes) != TRIB_OK ||
        trib_message_unpack(&tributary__v1__client_message__descriptor, bytes.data, bytes.len, &copy, NULL) !=
            TRIB_OK) {
        abort();
    }
    trib_buf_clear(&bytes);
    bool held = torture_hold(false);
    enum trib_status status =
        trib_hub_message(server->engine, &client->session->peer, (Tributary__V1__ClientMessage *)(void *)copy);
    (void)torture_hold(held);
    client->session->broken = client->session->broken || status != TRIB_OK; /* as the transport would have it */
}

/* ---- its update ---- */

struct coding {
    struct trib_sketch_plan plan;
    const float *vector;
    uint8_t signs[SMALL_VALUES];
};

static void see_decoded(void *context, size_t first, const float *values, size_t n)
{
    struct coding *coding = context;
    if (coding->plan.k > 0) {
        trib_sketch_take(&coding->plan, coding->signs, first, coding->vector + first, values, n);
    }
}

/* vector[n] follows from the model, the round and the client. */
static void make_vector(const struct small_client *client, uint64_t round, const float *model, size_t n, float *vector)
{
    struct trib_rng rng = trib_rng_init(client->number, "vector", round, 0);
    for (size_t i = 0; i < n; i++) {
        vector[i] = 0.1f * (float)trib_rng_normal(&rng) - 0.25f * model[i];
    }
}

static enum trib_status code(struct small_client *client, const Tributary__V1__Task *task, const uint8_t *schema,
                             const float *vector, size_t n, struct trib_error *error)
{
    struct trib_chain chain;
    struct coding coding = {.plan = trib_sketch_plan(task->run, task->round, task->sketch_positions, n),
                            .vector = vector};
    TRIB_TRY(trib_chain_parse(task->codec, &chain, error));
    const struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                       .chain = &chain,
                                       .seed = task->seed,
                                       .schema = schema,
                                       .vector = vector,
                                       .n = n,
                                       .decoded = see_decoded,
                                       .context = &coding};
    trib_blob_unref(client->frame);
    client->frame = NULL;
    TRIB_TRY(trib_frame_encode(&job, &client->frame, error));
    client->sketch_len = trib_sketch_bytes(coding.plan.k);
    trib_sketch_pack(coding.signs, coding.plan.k, client->sketch);
    client->round = task->round;
    client->feedback_round = task->folded_round;
    return trib_sha256(trib_blob_data(client->frame), trib_blob_len(client->frame), client->sha256);
}

/* TRIB_NOT_FOUND: the model is not to be had any more, because the task is not. */
static enum trib_status train(struct small_server *server, struct small_client *client, const Tributary__V1__Task *task,
                              struct trib_error *error)
{
    float model[SMALL_VALUES], vector[SMALL_VALUES];
    struct trib_frame_header header;
    struct trib_blob *blob = trib_hub_blob(server->engine, task->model->sha256.data);
    if (!blob) {
        return trib_fail(error, TRIB_NOT_FOUND, "the model of version %" PRIu64 " is gone", task->model_version);
    }
    const struct trib_frame_source source = trib_frame_source_memory(blob);
    enum trib_status status = trib_frame_parse_header(&source, &header, error);
    if (status == TRIB_OK && header.n_elements > SMALL_VALUES) {
        status = trib_fail(error, TRIB_LIMIT, "%" PRIu64 " values", header.n_elements);
    }
    if (status == TRIB_OK) {
        status = trib_frame_decode(&source, NULL, model, (size_t)header.n_elements, error);
    }
    trib_blob_unref(blob);
    TRIB_TRY(status);
    make_vector(client, task->round, model, (size_t)header.n_elements, vector);
    return code(client, task, header.schema, vector, (size_t)header.n_elements, error);
}

static void offer(struct small_server *server, struct small_client *client)
{
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    Tributary__V1__Offer offer;
    tributary__v1__offer__init(&offer);
    Tributary__V1__Blob blob;
    tributary__v1__blob__init(&blob);
    blob.sha256 = trib_message_lend_bytes(client->sha256, sizeof client->sha256);
    blob.len = trib_blob_len(client->frame);
    offer.round = client->round;
    offer.examples = 100 + client->number;
    offer.steps = 3;
    offer.loss = 0.5;
    offer.norm = 1;
    offer.feedback_round = client->feedback_round;
    offer.sketch = trib_message_lend_bytes(client->sketch, client->sketch_len);
    offer.update = &blob;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    say(server, client, &message);
}

static void fail(struct small_server *server, struct small_client *client, uint64_t round)
{
    Tributary__V1__ClientMessage message;
    tributary__v1__client_message__init(&message);
    Tributary__V1__Failure failure;
    tributary__v1__failure__init(&failure);
    failure.round = round;
    failure.status = trib_message_lend("not_found");
    failure.reason = trib_message_lend("the model");
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE;
    message.failure = &failure;
    say(server, client, &message);
}

/* ---- what it is told ---- */

/* Versions never change, and none that was committed vanishes. */
static void check_task(struct small_server *server, const Tributary__V1__Task *task)
{
    uint64_t version = task->model_version;
    if (version > SMALL_ROUNDS || version < server->committed) {
        small_break(server, "a task of version %" PRIu64 " after version %" PRIu64 " was committed", version,
                    server->committed);
    } else if (server->was_told[version] && memcmp(server->told[version], task->model->sha256.data, 32) != 0) {
        small_break(server, "version %" PRIu64 " is another model than before", version);
    } else {
        /* One that was committed in the moment of a crash is heard of only now. */
        server->committed = version;
        server->was_told[version] = true;
        memcpy(server->told[version], task->model->sha256.data, 32);
    }
}

static void on_task(struct small_server *server, struct small_client *client, const Tributary__V1__Task *task)
{
    struct trib_error error = {.message = ""};
    check_task(server, task);
    enum trib_status status = train(server, client, task, &error);
    if (status == TRIB_OK) {
        offer(server, client);
    } else if (status == TRIB_NOT_FOUND) {
        fail(server, client, task->round);
    } else {
        small_break(server, "%s cannot train: %s", client->node, error.message);
    }
}

enum { PAYLOAD = 64 };

static enum trib_status send_chunk(struct small_server *server, const struct small_client *client, uint64_t offset,
                                   struct trib_upload **upload, bool *complete, struct trib_error *error)
{
    const uint8_t *bytes = trib_blob_data(client->frame) + offset;
    uint64_t left = trib_blob_len(client->frame) - offset;
    struct trib_chunk chunk = {.round = client->round,
                               .has_sha256 = !*upload,
                               .blob_len = trib_blob_len(client->frame),
                               .offset = offset,
                               .last = left <= PAYLOAD,
                               .payload_len = left < PAYLOAD ? (size_t)left : PAYLOAD};
    chunk.crc32c = trib_crc32c(0, bytes, chunk.payload_len);
    memcpy(chunk.sha256, client->sha256, sizeof chunk.sha256);
    (void)snprintf(chunk.run, sizeof chunk.run, "%s", trib_run_id(trib_hub_run(server->engine, 0)));
    if (!*upload) {
        TRIB_TRY(trib_hub_upload_open(server->engine, client->node, &chunk, upload, error));
    }
    TRIB_TRY(trib_upload_begin(*upload, &chunk, error));
    TRIB_TRY(trib_upload_piece(*upload, bytes, chunk.payload_len, error));
    return trib_upload_end(*upload, &chunk, complete, error);
}

/* As the transport does. What breaks is offered again, as a session does after a broken upload. */
static void upload(struct small_server *server, struct small_client *client, uint64_t offset)
{
    struct trib_error error = {.message = ""};
    struct trib_upload *upload = NULL;
    bool complete = false;
    enum trib_status status = TRIB_OK;
    bool held = torture_hold(false);
    for (; status == TRIB_OK && !complete && offset < trib_blob_len(client->frame); offset += PAYLOAD) {
        status = send_chunk(server, client, offset, &upload, &complete, &error);
    }
    if (upload) {
        trib_upload_close(upload, status == TRIB_OK ? NULL : &error);
    } else if (status != TRIB_OK) {
        trib_hub_upload_refused(server->engine, client->node, &error);
    }
    (void)torture_hold(held);
    server->uploaded += complete;
    if (status != TRIB_OK && status != TRIB_CANCELLED && !sim_disk_stopped(torture_disk())) {
        torture_wait();
        offer(server, client);
    }
}

static void take(struct small_server *server, struct small_client *client, const Tributary__V1__ServerMessage *message)
{
    switch (message->kind_case) {
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK:
        on_task(server, client, message->task);
        break;
    case TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION:
        if (message->decision->kind == TRIBUTARY__V1__DECISION__KIND__UPLOAD && client->frame &&
            message->decision->round == client->round && !server->away[client->number]) {
            upload(server, client, message->decision->offset);
        }
        break;
    default:
        break;
    }
}

bool small_client_step(struct small_server *server, struct small_client *client)
{
    struct small_session *session = client->session;
    bool held = torture_hold(true), moved = true;
    if (!session) {
        moved = !trib_hub_done(server->engine) && join(server, client);
    } else if (session->n > 0 && !session->broken) {
        Tributary__V1__ServerMessage *first = session->inbox[0];
        session->n--;
        memmove(session->inbox, session->inbox + 1, session->n * sizeof session->inbox[0]);
        take(server, client, first);
        trib_message_free(&first->base);
    } else if (session->closed || session->broken) {
        moved = leave(server, client);
    } else {
        moved = false;
    }
    (void)torture_hold(held);
    return moved;
}
