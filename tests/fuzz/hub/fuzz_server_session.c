/* Any messages in any order from a few clients to a server: it sends away who breaks the rules and goes on; it never
 * crashes, ends itself, or says what a client could not read.
 *
 * The input: a byte that picks the settings, then steps: a byte whose lower half is what to do and whose upper half
 * says who does it, and what the step needs. */
#include "small_engine.h"

#include "base/crc.h"
#include "crypto/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N = 15, MOST_STEPS = 200, SLOW_STEPS = 60 };

static const char *const variants[] = {
    "}\n",
    "}\nrelevance: {sketch: 15, rule: constant, threshold: 0.2}\n",
    ", buffer: 2, max_staleness: 2}\n",
    ", selector: oort, clients_per_round: 2}\ncodec: {up: q8, feedback: ef21, down: q8}\nstrategy: {name: ef21}\n",
};

struct input {
    const uint8_t *data;
    size_t len;
};

static uint8_t take_byte(struct input *input)
{
    if (input->len == 0) {
        return 0;
    }
    input->len--;
    return *input->data++;
}

/* With a byte before them that says how many; a copy of its own, so that a read past the end is seen. */
static uint8_t *take_bytes(struct input *input, size_t *len)
{
    size_t wanted = take_byte(input);
    *len = wanted < input->len ? wanted : input->len;
    uint8_t *copy = malloc(*len + 1);
    require(copy);
    memcpy(copy, input->data, *len);
    input->data += *len;
    input->len -= *len;
    return copy;
}

/* ---- the update in a client's hand ---- */

static struct trib_blob *frames[PEERS];

static void make_update(size_t i, uint8_t value)
{
    float update[N];
    struct trib_chain chain;
    struct trib_blob *frame = NULL;
    for (size_t v = 0; v < N; v++) {
        update[v] = ((float)value - 100) * (float)(v + 1) * 0.001f;
    }
    require(trib_chain_parse(peers[i]->codec, &chain, NULL) == TRIB_OK);
    const struct trib_frame_job job = {
        .kind = TRIB_FRAME_UPDATE, .chain = &chain, .schema = peers[i]->schema, .vector = update, .n = N};
    require(trib_frame_encode(&job, &frame, NULL) == TRIB_OK);
    trib_blob_unref(frames[i]);
    frames[i] = frame;
}

/* Whom the engine does not listen to any more the transport would cut off. */
static void hand_over(size_t i, ProtobufCMessage *message)
{
    if (trib_hub_message(engine, &peers[i]->peer, (Tributary__V1__ClientMessage *)(void *)message) != TRIB_OK) {
        small_leave(i);
    }
}

static void say(size_t i, const Tributary__V1__ClientMessage *message)
{
    struct trib_buf bytes = {0};
    ProtobufCMessage *copy = NULL;
    require(trib_message_pack(&message->base, &bytes) == TRIB_OK);
    require(trib_message_unpack(&tributary__v1__client_message__descriptor, bytes.data, bytes.len, &copy, NULL) ==
            TRIB_OK);
    trib_buf_clear(&bytes);
    hand_over(i, copy);
}

static void offer(size_t i, uint8_t flags)
{
    static uint8_t signs[] = {0xff, 0x7f};
    uint8_t digest[32];
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
    Tributary__V1__Blob blob = TRIBUTARY__V1__BLOB__INIT;
    require(trib_sha256(trib_blob_data(frames[i]), trib_blob_len(frames[i]), digest) == TRIB_OK);
    blob.sha256 = trib_message_lend_bytes(digest, sizeof digest);
    blob.len = trib_blob_len(frames[i]);
    offer.round = peers[i]->task_round + (flags & 1);
    offer.examples = 10;
    offer.steps = 3;
    offer.norm = 1;
    offer.update = &blob;
    offer.sketch = trib_message_lend_bytes(signs, flags & 2 ? 1 : sizeof signs);
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    say(i, &message);
}

/* As the transport would: what is wrong with it is in the flags. */
static void upload(size_t i, uint8_t flags)
{
    struct trib_upload *upload = NULL;
    struct trib_error error = {.message = ""};
    uint64_t len = trib_blob_len(frames[i]), offset = peers[i]->offset < len ? peers[i]->offset : 0;
    const uint8_t *payload = trib_blob_data(frames[i]) + offset;
    bool half = flags & 4, complete = false;
    struct trib_chunk chunk = {.round = peers[i]->task_round + (flags & 1),
                               .has_sha256 = !(flags & 32),
                               .blob_len = len,
                               .offset = offset + (flags & 2),
                               .last = !half,
                               .payload_len = (size_t)(len - offset) / (half ? 2 : 1)};
    chunk.crc32c = trib_crc32c(0, payload, chunk.payload_len) ^ (flags & 8);
    require(trib_sha256(trib_blob_data(frames[i]), len, chunk.sha256) == TRIB_OK);
    snprintf(chunk.run, sizeof chunk.run, "%s", trib_run_id(trib_hub_run(engine, 0)));
    if (trib_hub_upload_open(engine, small_node(i), &chunk, &upload, &error) != TRIB_OK) {
        trib_hub_upload_refused(engine, small_node(i), &error);
        return;
    }
    enum trib_status status = trib_upload_begin(upload, &chunk, &error);
    if (status == TRIB_OK) {
        status = trib_upload_piece(upload, payload, chunk.payload_len, &error);
    }
    if (status == TRIB_OK && !(flags & 16)) {
        status = trib_upload_end(upload, &chunk, &complete, &error);
    }
    if (status == TRIB_OK && !complete) {
        (void)trib_fail(&error, TRIB_UNAVAILABLE, "the connection broke");
    }
    trib_upload_close(upload, complete ? NULL : &error);
}

/* ---- steps ---- */

static void hello_of(struct input *input, size_t i)
{
    size_t len;
    ProtobufCMessage *message = NULL;
    uint8_t *bytes = take_bytes(input, &len);
    if (trib_message_unpack(&tributary__v1__hello__descriptor, bytes, len, &message, NULL) == TRIB_OK) {
        small_join(i, (const Tributary__V1__Hello *)(const void *)message);
        trib_message_free(message);
    }
    free(bytes);
}

static void message_of(struct input *input, size_t i)
{
    size_t len;
    ProtobufCMessage *message = NULL;
    uint8_t *bytes = take_bytes(input, &len);
    if (peers[i] &&
        trib_message_unpack(&tributary__v1__client_message__descriptor, bytes, len, &message, NULL) == TRIB_OK) {
        hand_over(i, message);
    }
    free(bytes);
}

/* Any bytes as its update. */
static void frame_of(struct input *input, size_t i)
{
    size_t len;
    uint8_t *bytes = take_bytes(input, &len);
    if (len > 0) {
        trib_blob_unref(frames[i]);
        frames[i] = trib_blob_copy(bytes, len);
        require(frames[i]);
    }
    free(bytes);
}

static void restart(void)
{
    struct trib_error error;
    if (settings.state_dir) {
        small_stop();
        require(small_start(&error) == TRIB_OK);
    }
}

static void step(struct input *input)
{
    uint8_t what = take_byte(input);
    size_t i = (what >> 4) % PEERS;
    switch (what & 15) {
    case 0:
        small_join(i, NULL);
        break;
    case 1:
        hello_of(input, i);
        break;
    case 2:
        message_of(input, i);
        break;
    case 3:
        small_leave(i);
        break;
    case 4:
        small_pass(take_byte(input) * 100);
        break;
    case 5:
        if (peers[i] && peers[i]->task_round > 0) {
            make_update(i, take_byte(input));
        }
        break;
    case 6:
        frame_of(input, i);
        break;
    case 7:
        if (peers[i] && frames[i]) {
            offer(i, take_byte(input));
        }
        break;
    case 8:
        if (peers[i] && frames[i]) {
            upload(i, take_byte(input));
        }
        break;
    case 9:
        restart();
        break;
    default:
        break;
    }
    if (!(what & 0x80)) { /* else it happens at the same time as the next */
        small_turn();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .len = size};
    struct trib_error error;
    char *state_dir = NULL;
    uint8_t which = take_byte(&input);
    small_disk_begin();
    small_settings(variants[which % 4]);
    if (!(which & 4)) { /* a disk costs time */
        state_dir = settings.state_dir;
        settings.state_dir = NULL;
    }
    require(small_start(&error) == TRIB_OK);
    for (int steps = 0; input.len > 0 && steps < (settings.state_dir ? SLOW_STEPS : MOST_STEPS); steps++) {
        step(&input);
    }
    require(trib_hub_failure(engine, &error) == TRIB_OK);
    for (size_t i = 0; i < PEERS; i++) {
        trib_blob_unref(frames[i]);
        frames[i] = NULL;
    }
    small_stop();
    if (state_dir) {
        settings.state_dir = state_dir;
    }
    trib_server_settings_clear(&settings);
    fuzz_disk_end();
    return 0;
}
