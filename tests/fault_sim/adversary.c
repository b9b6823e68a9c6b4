/* Peers that do not play by the rules: with a certificate of their own, for as long as their fault lasts. They say what
 * a session never would, in any order, and now and then what it would, so that they get far enough to do harm. */
#include "world.h"

#include "base/crc.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "oracle.h"

#include <math.h>
#include <string.h>

enum { MISCHIEF_EVERY_MS = 700, MOST_MISCHIEF = 400 };

static uint64_t draw(struct world *world, const struct client *client, uint64_t n)
{
    return host_draw(world, client->number, n);
}

/* ---- saying something ---- */

static void say(struct world *world, struct client *client, Tributary__V1__ClientMessage *message)
{
    struct trib_buf bytes = {0};
    if (!client->conn || trib_message_pack(&message->base, &bytes) != TRIB_OK) {
        trib_buf_clear(&bytes);
        return;
    }
    if (draw(world, client, 40) == 0) { /* not even a message */
        bytes.data[draw(world, client, bytes.len)] ^= (uint8_t)(1 + draw(world, client, 255));
    }
    net_send(client->conn, true, &bytes);
}

static uint64_t some_round(struct world *world, const struct client *client)
{
    static const uint64_t odd[] = {0, 1, 1000000, UINT64_MAX, (uint64_t)INT64_MAX + 1};
    uint64_t round = client->adversary.round;
    return draw(world, client, 4)   ? round
           : draw(world, client, 2) ? round + draw(world, client, 3) - 1
                                    : odd[draw(world, client, 5)];
}

static void say_hello(struct world *world, struct client *client)
{
    char *codecs[] = {trib_message_lend("f32"),  trib_message_lend("q8"),    trib_message_lend("q4"),
                      trib_message_lend("sign"), trib_message_lend("topk"),  trib_message_lend("f16"),
                      trib_message_lend("bf16"), trib_message_lend("range"), trib_message_lend("uniform")};
    Tributary__V1__ClientMessage message;
    Tributary__V1__Hello hello;
    tributary__v1__client_message__init(&message);
    tributary__v1__hello__init(&hello);
    hello.protocol = draw(world, client, 20) ? TRIB_PROTOCOL_VERSION : (uint32_t)draw(world, client, UINT32_MAX);
    hello.node = draw(world, client, 20) ? client->node : world->clients[0].node;
    hello.software = trib_message_lend("mallory");
    hello.codecs = codecs;
    hello.n_codecs = sizeof codecs / sizeof codecs[0];
    hello.examples = client->examples;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    say(world, client, &message);
}

static double odd_number(struct world *world, const struct client *client)
{
    const double odd[] = {(double)NAN, (double)INFINITY, -1, 1e300, 0, 1e9};
    return draw(world, client, 8) ? 0.5 : odd[draw(world, client, 6)];
}

/* ---- updates ---- */

/* Any bytes; often enough a frame that decodes, with values that may be out of all proportion. */
static struct trib_blob *make_frame(struct world *world, struct client *client)
{
    float vector[MOST_VALUES];
    size_t n = world->oracle->n;
    struct trib_error error;
    struct trib_chain chain;
    struct trib_blob *frame = NULL;
    bool right_codec = draw(world, client, 8) != 0 && client->adversary.codec[0];
    float size = draw(world, client, 6) ? 1.0f : 1e6f;
    uint8_t schema[32];
    memcpy(schema, world->oracle->schema, sizeof schema);
    schema[0] ^= draw(world, client, 10) == 0;
    for (size_t i = 0; i < n; i++) {
        vector[i] = size * ((float)draw(world, client, 2000) / 1000 - 1);
    }
    if (trib_chain_parse(right_codec ? client->adversary.codec : "f32", &chain, &error) == TRIB_OK) {
        const struct trib_frame_job job = {.kind = draw(world, client, 15) ? TRIB_FRAME_UPDATE : TRIB_FRAME_MODEL,
                                           .chain = &chain,
                                           .seed = draw(world, client, 1000),
                                           .schema = schema,
                                           .vector = vector,
                                           .n = draw(world, client, 15) ? n : 1 + draw(world, client, n)};
        (void)!trib_frame_encode(&job, &frame, &error);
    }
    if (frame && draw(world, client, 10) == 0) {
        trib_blob_fill(frame)[draw(world, client, trib_blob_len(frame))] ^= 1;
    }
    return frame ? frame : trib_blob_copy("not a frame", 11);
}

static void say_offer(struct world *world, struct client *client)
{
    struct adversary *adversary = &client->adversary;
    const uint64_t examples[] = {0, 1, client->examples, client->examples, UINT64_MAX, 1 << 30};
    uint8_t sha256[TRIB_SHA256_LEN], sketch[1024];
    if (!adversary->frame || draw(world, client, 2)) { /* else the same again */
        trib_blob_unref(adversary->frame);
        adversary->frame = make_frame(world, client);
    }
    if (!adversary->frame ||
        trib_sha256(trib_blob_data(adversary->frame), trib_blob_len(adversary->frame), sha256) != TRIB_OK) {
        return;
    }
    sha256[0] ^= draw(world, client, 12) == 0;
    Tributary__V1__ClientMessage message;
    Tributary__V1__Offer offer;
    Tributary__V1__Blob blob;
    tributary__v1__client_message__init(&message);
    tributary__v1__offer__init(&offer);
    tributary__v1__blob__init(&blob);
    blob.sha256 = trib_message_lend_bytes(sha256, draw(world, client, 20) ? sizeof sha256 : 7);
    blob.len = draw(world, client, 12) ? trib_blob_len(adversary->frame) : draw(world, client, UINT64_MAX);
    for (size_t i = 0; i < sizeof sketch; i++) {
        sketch[i] = (uint8_t)draw(world, client, 256);
    }
    uint64_t positions =
        adversary->sketch_positions < world->oracle->n ? adversary->sketch_positions : world->oracle->n;
    size_t sketch_len = (size_t)(positions + 7) / 8;
    offer.sketch = trib_message_lend_bytes(sketch, draw(world, client, 15) ? sketch_len : draw(world, client, 1024));
    offer.round = some_round(world, client);
    offer.examples = examples[draw(world, client, 6)];
    offer.steps = draw(world, client, 10);
    offer.loss = odd_number(world, client);
    offer.norm = odd_number(world, client);
    offer.train_seconds = odd_number(world, client);
    offer.update = draw(world, client, 20) ? &blob : NULL;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    say(world, client, &message);
}

/* Chunk by chunk, as it was granted or not. */
static enum trib_status send_chunks(struct world *world, struct client *client, uint64_t round, uint64_t offset,
                                    struct trib_upload **upload, bool *complete, struct trib_error *error)
{
    struct adversary *adversary = &client->adversary;
    uint64_t len = trib_blob_len(adversary->frame);
    bool first = true;
    while (offset < len && !*complete) {
        uint64_t left = len - offset, n = left < client->chunk_bytes ? left : client->chunk_bytes;
        const uint8_t *payload = trib_blob_data(adversary->frame) + offset;
        struct trib_chunk chunk = {.offset = draw(world, client, 30) ? offset : draw(world, client, UINT64_MAX),
                                   .payload_len = (size_t)n,
                                   .last = draw(world, client, 20) ? n == left : draw(world, client, 2),
                                   .round = round,
                                   .blob_len = draw(world, client, 20) ? len : draw(world, client, UINT64_MAX),
                                   .has_sha256 = first};
        chunk.crc32c = trib_crc32c(0, payload, (size_t)n) ^ (draw(world, client, 30) == 0);
        TRIB_TRY(trib_sha256(trib_blob_data(adversary->frame), (size_t)len, chunk.sha256));
        (void)trib_str_copy(chunk.run, sizeof chunk.run, adversary->run);
        if (first) {
            TRIB_TRY(trib_hub_upload_open(world->server.engine, client->node, &chunk, upload, error));
        }
        TRIB_TRY(trib_upload_begin(*upload, &chunk, error));
        TRIB_TRY(trib_upload_piece(*upload, payload, (size_t)n, error));
        TRIB_TRY(trib_upload_end(*upload, &chunk, complete, error));
        first = false;
        offset += n;
        if (draw(world, client, 15) == 0) {
            return trib_fail(error, TRIB_UNAVAILABLE, "the connection broke");
        }
    }
    return TRIB_OK;
}

static void upload(struct world *world, struct client *client)
{
    struct adversary *adversary = &client->adversary;
    struct trib_upload *opened = NULL;
    struct trib_error error = {.message = ""};
    uint8_t sha256[TRIB_SHA256_LEN];
    bool complete = false;
    if (!world->server.engine || !adversary->frame || net_is_cut(world, client->number)) {
        return;
    }
    trib_disk_use(world->server.host.disk ? sim_disk_table(world->server.host.disk) : NULL);
    uint64_t round = some_round(world, client), offset = draw(world, client, 6) ? 0 : draw(world, client, 40);
    enum trib_status status = send_chunks(world, client, round, offset, &opened, &complete, &error);
    if (opened) {
        trib_upload_close(opened, status == TRIB_OK ? NULL : &error);
    } else if (status != TRIB_OK) {
        trib_hub_upload_refused(world->server.engine, client->node, &error);
    }
    if (complete && trib_sha256(trib_blob_data(adversary->frame), trib_blob_len(adversary->frame), sha256) == TRIB_OK) {
        oracle_uploaded(world, client->number, round, sha256, adversary->frame);
    }
    world_note(world, client->number, "sends bytes", round, complete);
    server_turn(world);
}

static void download(struct world *world, struct client *client)
{
    uint8_t sha256[TRIB_SHA256_LEN];
    if (world->server.engine) {
        for (size_t i = 0; i < sizeof sha256; i++) {
            sha256[i] = (uint8_t)draw(world, client, 256);
        }
        trib_blob_unref(trib_hub_blob(world->server.engine, sha256));
    }
}

static void say_other(struct world *world, struct client *client)
{
    Tributary__V1__ClientMessage message;
    Tributary__V1__Progress progress;
    Tributary__V1__Failure failure;
    Tributary__V1__Goodbye goodbye;
    tributary__v1__client_message__init(&message);
    tributary__v1__progress__init(&progress);
    tributary__v1__failure__init(&failure);
    tributary__v1__goodbye__init(&goodbye);
    progress.round = failure.round = some_round(world, client);
    switch (draw(world, client, 5)) {
    case 0:
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE;
        message.failure = &failure;
        break;
    case 1:
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE;
        message.goodbye = &goodbye;
        break;
    case 2: /* nothing at all */
        break;
    default:
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
        message.progress = &progress;
        break;
    }
    say(world, client, &message);
}

/* ---- its time ---- */

static void plan(struct world *world, struct client *client)
{
    world_push(world, world->now_ms + 1 + (int64_t)draw(world, client, MISCHIEF_EVERY_MS),
               &(struct event){.kind = EVENT_MISCHIEF, .who = client->number});
}

void adversary_begin(struct world *world, struct client *client, int64_t until_ms)
{
    struct adversary *adversary = &client->adversary;
    bool active = adversary->active;
    adversary->active = true;
    adversary->until_ms = until_ms > adversary->until_ms ? until_ms : adversary->until_ms;
    if (!active) {
        plan(world, client);
    }
}

void adversary_event(struct world *world, struct client *client)
{
    struct adversary *adversary = &client->adversary;
    if (world->now_ms >= adversary->until_ms || ++adversary->steps > MOST_MISCHIEF) {
        adversary->active = false;
        net_hang_up(world, client, draw(world, client, 3) == 0);
        return;
    }
    plan(world, client);
    uint64_t what = draw(world, client, 20);
    if (!client->conn) {
        net_connect(world, client, 1 + adversary->steps);
        if (draw(world, client, 20)) {
            say_hello(world, client);
        }
    } else if (what < 9) {
        say_offer(world, client);
    } else if (what < 15) {
        upload(world, client);
    } else if (what < 17) {
        say_other(world, client);
    } else if (what == 17) {
        download(world, client);
    } else if (draw(world, client, 4) == 0) {
        net_hang_up(world, client, draw(world, client, 2));
    } else if (draw(world, client, 4) == 0) {
        say_hello(world, client);
    }
}

void adversary_take(struct world *world, struct client *client, const Tributary__V1__ServerMessage *message)
{
    struct adversary *adversary = &client->adversary;
    if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        adversary->round = message->task->round;
        adversary->sketch_positions = message->task->sketch_positions;
        (void)trib_str_copy(adversary->run, sizeof adversary->run, message->task->run);
        (void)trib_str_copy(adversary->codec, sizeof adversary->codec, message->task->codec);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION && draw(world, client, 3)) {
        upload(world, client);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE) {
        net_hang_up(world, client, false);
    }
}
