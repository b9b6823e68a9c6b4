/* Messages of protocol 1, one of each kind with every field set, as a released version has packed them: read by today's
 * parser field by field, and read all the same when a newer peer has put in what is not known here. The captures were
 * made by this very program when that version was released (tests/data/state/make). */
#include "wire/chunk.h"
#include "wire/message.h"

#include "base/crc.h"
#include "golden_files.h"
#include "test_main.h"

static struct trib_error error;
static uint8_t hash_a[32], hash_b[32], some_bytes[] = {1, 0, 255, 7};

#define T(text) trib_message_lend(text)
#define B(bytes)                                                                                                       \
    {                                                                                                                  \
        .data = (bytes), .len = sizeof(bytes)                                                                          \
    }

/* ---- what was said ---- */

static Tributary__V1__Device device = {
    .base = PROTOBUF_C_MESSAGE_INIT(&tributary__v1__device__descriptor),
    .metered = 1,
    .on_battery = 1,
    .battery_percent = 73,
};
static Tributary__V1__Blob blob = {
    .base = PROTOBUF_C_MESSAGE_INIT(&tributary__v1__blob__descriptor),
    .sha256 = B(hash_a),
    .len = 123456789012,
};
static Tributary__V1__Blob delta_blob = {
    .base = PROTOBUF_C_MESSAGE_INIT(&tributary__v1__blob__descriptor),
    .sha256 = B(hash_b),
    .len = 345,
};

typedef void say(Tributary__V1__ClientMessage *to, Tributary__V1__ServerMessage *from);

static void hello(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Hello hello;
    static char *codecs[2], *tags[3];
    (void)server;
    tributary__v1__hello__init(&hello);
    codecs[0] = T("rotate");
    codecs[1] = T("uniform");
    tags[0] = T("ward-3");
    tags[1] = T("harbour");
    tags[2] = T("night");
    hello.protocol = 1;
    hello.software = T("tributary-client 0.1.0");
    hello.node = T("boat-7");
    hello.n_codecs = 2;
    hello.codecs = codecs;
    hello.examples = 60000;
    hello.threads = 16;
    hello.memory_bytes = 8589934592;
    hello.n_tags = 3;
    hello.tags = tags;
    hello.device = &device;
    hello.protocol_least = 1;
    client->kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    client->hello = &hello;
}

static void progress(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Progress progress;
    (void)server;
    tributary__v1__progress__init(&progress);
    progress.round = 12;
    progress.phase = T("train");
    progress.device = &device;
    client->kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    client->progress = &progress;
}

static void offer(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Offer offer;
    (void)server;
    tributary__v1__offer__init(&offer);
    offer.round = 12;
    offer.examples = 600;
    offer.steps = 19;
    offer.loss = 0.75;
    offer.accuracy = 0.875;
    offer.train_seconds = 1.5;
    offer.norm = 2.5;
    offer.update = &blob;
    offer.stopped_early = 1;
    offer.codec = T("rotate|uniform:2|range");
    offer.codec_reason = T("the line is slow");
    offer.feedback_round = 11;
    offer.sketch = (ProtobufCBinaryData)B(some_bytes);
    client->kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    client->offer = &offer;
}

static void failure(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Failure failure;
    (void)server;
    tributary__v1__failure__init(&failure);
    failure.round = 12;
    failure.status = T("not_finite");
    failure.reason = T("the loss of step 3 is nan");
    client->kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE;
    client->failure = &failure;
}

static void goodbye(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Goodbye goodbye;
    tributary__v1__goodbye__init(&goodbye);
    goodbye.reason = T("closing");
    goodbye.final = 1;
    goodbye.retry_seconds = 30;
    client->kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE;
    client->goodbye = &goodbye;
    server->kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE;
    server->goodbye = &goodbye;
}

static void welcome(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Welcome welcome;
    (void)client;
    tributary__v1__welcome__init(&welcome);
    welcome.protocol = 1;
    welcome.software = T("tributary-server 0.1.0");
    welcome.run = T("a7cd64f7b61a9618");
    welcome.progress_seconds = 10;
    welcome.chunk_bytes = 1 << 20;
    server->kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME;
    server->welcome = &welcome;
}

static Tributary__V1__Recipe *the_recipe(void)
{
    static Tributary__V1__Recipe recipe;
    tributary__v1__recipe__init(&recipe);
    recipe.loss = T("cross_entropy");
    recipe.optimizer = T("sgd");
    recipe.epochs = 2;
    recipe.batch_size = 32;
    recipe.max_steps = 1000;
    recipe.learning_rate = 0.125f;
    recipe.momentum = 0.5f;
    recipe.weight_decay = 0.0625f;
    recipe.clip_norm = 4;
    recipe.proximal_mu = 0.25f;
    return &recipe;
}

static void task(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Task task;
    static Tributary__V1__Delta deltas[2], *list[2];
    static Tributary__V1__Initialisation initialisation;
    (void)client;
    for (unsigned i = 0; i < 2; i++) {
        tributary__v1__delta__init(&deltas[i]);
        deltas[i].from_version = 9 + i;
        deltas[i].blob = &delta_blob;
        list[i] = &deltas[i];
    }
    tributary__v1__initialisation__init(&initialisation);
    initialisation.seed = 987654321;
    tributary__v1__task__init(&task);
    task.run = T("a7cd64f7b61a9618");
    task.round = 12;
    task.model = &blob;
    task.model_version = 11;
    task.plan_sha256 = (ProtobufCBinaryData)B(hash_b);
    task.graph = (ProtobufCBinaryData)B(some_bytes);
    task.recipe = the_recipe();
    task.codec = T("rotate|uniform:2|range");
    task.seed = UINT64_MAX;
    task.deadline_seconds = 600;
    task.folded_round = 10;
    task.feedback = T("dgc");
    task.feedback_momentum = 0.875;
    task.n_deltas = 2;
    task.deltas = list;
    task.initialisation = &initialisation;
    task.sketch_positions = 4096;
    server->kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK;
    server->task = &task;
}

static void decision(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Decision decision;
    (void)client;
    tributary__v1__decision__init(&decision);
    decision.round = 12;
    decision.kind = TRIBUTARY__V1__DECISION__KIND__UPLOAD;
    decision.reason = T("relevance 0.61");
    decision.offset = 4294967296;
    server->kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION;
    server->decision = &decision;
}

static void outcome(Tributary__V1__ClientMessage *client, Tributary__V1__ServerMessage *server)
{
    static Tributary__V1__Outcome outcome;
    (void)client;
    tributary__v1__outcome__init(&outcome);
    outcome.round = 12;
    outcome.kind = TRIBUTARY__V1__OUTCOME__KIND__ABANDONED;
    outcome.reason = T("too few updates");
    server->kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME;
    server->outcome = &outcome;
}

static const struct capture {
    const char *name;
    say *say;
    bool from_server;
} captures[] = {
    {"client_hello", hello, false},     {"client_progress", progress, false}, {"client_offer", offer, false},
    {"client_failure", failure, false}, {"client_goodbye", goodbye, false},   {"server_welcome", welcome, true},
    {"server_task", task, true},        {"server_decision", decision, true},  {"server_outcome", outcome, true},
    {"server_goodbye", goodbye, true},
};
enum { CAPTURES = sizeof captures / sizeof captures[0] };

/* The bytes that today's code would send. */
static void pack(const struct capture *capture, struct trib_buf *to)
{
    Tributary__V1__ClientMessage client = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__ServerMessage server = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    capture->say(&client, &server);
    ck_assert_int_eq(trib_message_pack(capture->from_server ? &server.base : &client.base, to), TRIB_OK);
}

/* Those outside of the session. */
static void pack_request(struct trib_buf *to)
{
    Tributary__V1__DownloadRequest request = TRIBUTARY__V1__DOWNLOAD_REQUEST__INIT;
    request.sha256 = (ProtobufCBinaryData)B(hash_a);
    request.offset = 123456789;
    request.chunk_bytes = 65536;
    ck_assert_int_eq(trib_message_pack(&request.base, to), TRIB_OK);
}

static void pack_receipt(struct trib_buf *to)
{
    Tributary__V1__UploadReceipt receipt = TRIBUTARY__V1__UPLOAD_RECEIPT__INIT;
    receipt.accepted = 1;
    receipt.status = T("limit");
    receipt.reason = T("more than was offered");
    receipt.received = 123456789012;
    ck_assert_int_eq(trib_message_pack(&receipt.base, to), TRIB_OK);
}

static struct trib_chunk the_chunk(void)
{
    struct trib_chunk chunk = {.run = "a7cd64f7b61a9618",
                               .round = 12,
                               .has_sha256 = true,
                               .blob_len = 123456789012,
                               .offset = 123456789008,
                               .crc32c = trib_crc32c(0, some_bytes, sizeof some_bytes),
                               .last = true,
                               .payload_len = sizeof some_bytes};
    memcpy(chunk.sha256, hash_a, sizeof hash_a);
    return chunk;
}

static void pack_chunk(struct trib_buf *to)
{
    uint8_t head[TRIB_CHUNK_HEAD_MAX];
    struct trib_chunk chunk = the_chunk();
    ck_assert_int_eq(trib_buf_add(to, head, trib_chunk_head(&chunk, head)), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(to, some_bytes, sizeof some_bytes), TRIB_OK);
}

static void set_up(void)
{
    for (unsigned i = 0; i < 32; i++) {
        hash_a[i] = (uint8_t)(i + 1);
        hash_b[i] = (uint8_t)(255 - i);
    }
    error.message[0] = '\0';
}

/* ---- making them ---- */

static void write_capture(const char *name, struct trib_buf *bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.bin", getenv("TRIB_MAKE_GOLDEN"), name);
    ck_assert_int_eq(trib_file_replace(path, bytes->data, bytes->len, &error), TRIB_OK);
    trib_buf_clear(bytes);
}

START_TEST(make_golden)
{
    struct trib_buf bytes = {0};
    set_up();
    for (unsigned i = 0; i < CAPTURES; i++) {
        pack(&captures[i], &bytes);
        write_capture(captures[i].name, &bytes);
    }
    pack_request(&bytes);
    write_capture("download_request", &bytes);
    pack_receipt(&bytes);
    write_capture("upload_receipt", &bytes);
    pack_chunk(&bytes);
    write_capture("chunk", &bytes);
}
END_TEST

/* ---- reading them ---- */

static void read_capture(const char *name, struct trib_buf *bytes)
{
    char file[64], path[512];
    snprintf(file, sizeof file, "wire/%s.bin", name);
    golden_path(file, path, sizeof path);
    ck_assert_msg(trib_file_read(path, 1 << 16, bytes, &error) == TRIB_OK, "%s", error.message);
}

/* What is read is what was said: packed by today's code, both are the same bytes. */
static void expect_read(const char *name, const ProtobufCMessageDescriptor *descriptor, const struct trib_buf *bytes,
                        const struct trib_buf *said)
{
    ProtobufCMessage *message = NULL;
    struct trib_buf read = {0};
    ck_assert_msg(trib_message_unpack(descriptor, bytes->data, bytes->len, &message, &error) == TRIB_OK, "%s: %s", name,
                  error.message);
    ck_assert_int_eq(trib_message_pack(message, &read), TRIB_OK);
    ck_assert_msg(read.len == said->len && memcmp(read.data, said->data, read.len) == 0, "%s: is not what was said",
                  name);
    trib_buf_clear(&read);
    trib_message_free(message);
}

static const ProtobufCMessageDescriptor *descriptor_of(const struct capture *capture)
{
    return capture->from_server ? &tributary__v1__server_message__descriptor
                                : &tributary__v1__client_message__descriptor;
}

START_TEST(it_is_read_as_it_was_said)
{
    const struct capture *capture = &captures[_i];
    struct trib_buf bytes = {0}, said = {0};
    set_up();
    read_capture(capture->name, &bytes);
    pack(capture, &said);
    expect_read(capture->name, descriptor_of(capture), &bytes, &said);
    trib_buf_clear(&bytes);
    trib_buf_clear(&said);
}
END_TEST

START_TEST(requests_and_receipts_are_read)
{
    struct trib_buf bytes = {0}, said = {0};
    set_up();
    read_capture("download_request", &bytes);
    pack_request(&said);
    expect_read("download_request", &tributary__v1__download_request__descriptor, &bytes, &said);
    bytes.len = said.len = 0;
    read_capture("upload_receipt", &bytes);
    pack_receipt(&said);
    expect_read("upload_receipt", &tributary__v1__upload_receipt__descriptor, &bytes, &said);
    trib_buf_clear(&bytes);
    trib_buf_clear(&said);
}
END_TEST

static void expect_chunk(const uint8_t *bytes, size_t len)
{
    struct trib_chunk chunk, said = the_chunk();
    size_t at, head_len = len < TRIB_CHUNK_HEAD_MAX ? len : TRIB_CHUNK_HEAD_MAX;
    ck_assert_msg(trib_chunk_parse(bytes, head_len, len, &chunk, &at, &error) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(chunk.run, said.run);
    ck_assert_uint_eq(chunk.round, said.round);
    ck_assert(chunk.has_sha256 && chunk.last);
    ck_assert_mem_eq(chunk.sha256, said.sha256, sizeof chunk.sha256);
    ck_assert_uint_eq(chunk.blob_len, said.blob_len);
    ck_assert_uint_eq(chunk.offset, said.offset);
    ck_assert_uint_eq(chunk.crc32c, said.crc32c);
    ck_assert_uint_eq(chunk.payload_len, said.payload_len);
    ck_assert_mem_eq(bytes + at, some_bytes, sizeof some_bytes);
}

START_TEST(a_chunk_is_read)
{
    struct trib_buf bytes = {0}, said = {0};
    set_up();
    read_capture("chunk", &bytes);
    expect_chunk(bytes.data, bytes.len);
    pack_chunk(&said);
    expect_read("chunk", &tributary__v1__chunk__descriptor, &bytes, &said);
    trib_buf_clear(&bytes);
    trib_buf_clear(&said);
}
END_TEST

/* ---- with what a newer peer puts in ---- */

/* Fields 1000 to 1003, one of each wire type: a varint, eight bytes, bytes, four bytes. */
static const uint8_t unknown[] = {0xc0, 0x3e, 0x96, 0x01, 0xc9, 0x3e, 1,   2,    3,    4, 5, 6, 7,
                                  8,    0xd2, 0x3e, 3,    'n',  'e',  'w', 0xdd, 0x3e, 9, 9, 9, 9};
enum { UNKNOWN_FIELDS = 4 };

/* Into the message within, whose length is at most two bytes long, and behind it. */
static void add_unknown(const struct trib_buf *bytes, struct trib_buf *to)
{
    size_t at = bytes->data[1] & 0x80 ? 3 : 2, len = bytes->len - at + sizeof unknown;
    const uint8_t head[] = {bytes->data[0], (uint8_t)((len & 0x7f) | 0x80), (uint8_t)(len >> 7)};
    ck_assert_uint_lt(len, 1 << 14);
    ck_assert_int_eq(trib_buf_add(to, head, sizeof head), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(to, bytes->data + at, bytes->len - at), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(to, unknown, sizeof unknown), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(to, unknown, sizeof unknown), TRIB_OK);
}

/* What it would be without those fields. */
static void pack_known(ProtobufCMessage *message, ProtobufCMessage *within, struct trib_buf *to)
{
    ck_assert_uint_eq(message->n_unknown_fields, UNKNOWN_FIELDS);
    ck_assert_uint_eq(within->n_unknown_fields, UNKNOWN_FIELDS);
    message->n_unknown_fields = within->n_unknown_fields = 0;
    ck_assert_int_eq(trib_message_pack(message, to), TRIB_OK);
    message->n_unknown_fields = within->n_unknown_fields = UNKNOWN_FIELDS; /* they are to be freed */
}

START_TEST(what_is_not_known_is_passed_over)
{
    const struct capture *capture = &captures[_i];
    struct trib_buf bytes = {0}, more = {0}, said = {0}, read = {0};
    ProtobufCMessage *message = NULL;
    set_up();
    read_capture(capture->name, &bytes);
    add_unknown(&bytes, &more);
    pack(capture, &said);
    ck_assert_msg(trib_message_unpack(descriptor_of(capture), more.data, more.len, &message, &error) == TRIB_OK, "%s",
                  error.message);
    ProtobufCMessage *within = capture->from_server
                                   ? &((Tributary__V1__ServerMessage *)(void *)message)->task->base
                                   : &((Tributary__V1__ClientMessage *)(void *)message)->hello->base; /* or another */
    pack_known(message, within, &read);
    ck_assert_msg(read.len == said.len && memcmp(read.data, said.data, read.len) == 0, "%s", capture->name);
    trib_message_free(message);
    trib_buf_clear(&bytes);
    trib_buf_clear(&more);
    trib_buf_clear(&said);
    trib_buf_clear(&read);
}
END_TEST

/* A kind of message that is not known here. */
START_TEST(an_unknown_kind_is_read_as_none)
{
    static const uint8_t bytes[] = {0xfa, 0x3e, 2, 8, 1};
    ProtobufCMessage *message = NULL;
    ck_assert_int_eq(
        trib_message_unpack(&tributary__v1__client_message__descriptor, bytes, sizeof bytes, &message, &error),
        TRIB_OK);
    ck_assert_int_eq(((Tributary__V1__ClientMessage *)(void *)message)->kind_case,
                     TRIBUTARY__V1__CLIENT_MESSAGE__KIND__NOT_SET);
    trib_message_free(message);
    ck_assert_int_eq(
        trib_message_unpack(&tributary__v1__server_message__descriptor, bytes, sizeof bytes, &message, &error),
        TRIB_OK);
    ck_assert_int_eq(((Tributary__V1__ServerMessage *)(void *)message)->kind_case,
                     TRIBUTARY__V1__SERVER_MESSAGE__KIND__NOT_SET);
    trib_message_free(message);
}
END_TEST

/* The payload stays the last field. */
START_TEST(a_chunk_with_more_in_it_is_read)
{
    struct trib_buf bytes = {0}, more = {0};
    set_up();
    read_capture("chunk", &bytes);
    size_t payload = 2 + sizeof some_bytes; /* with its tag and length */
    ck_assert_int_eq(trib_buf_add(&more, bytes.data, bytes.len - payload), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(&more, unknown, sizeof unknown), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(&more, bytes.data + bytes.len - payload, payload), TRIB_OK);
    expect_chunk(more.data, more.len);
    trib_buf_clear(&bytes);
    trib_buf_clear(&more);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_wire");
    TCase *tests = tcase_create("protocol 1");
    if (getenv("TRIB_MAKE_GOLDEN")) {
        tcase_add_test(tests, make_golden);
    } else {
        tcase_add_loop_test(tests, it_is_read_as_it_was_said, 0, CAPTURES);
        tcase_add_test(tests, requests_and_receipts_are_read);
        tcase_add_test(tests, a_chunk_is_read);
        tcase_add_loop_test(tests, what_is_not_known_is_passed_over, 0, CAPTURES);
        tcase_add_test(tests, an_unknown_kind_is_read_as_none);
        tcase_add_test(tests, a_chunk_with_more_in_it_is_read);
    }
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
