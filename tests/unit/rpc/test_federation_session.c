/* The Session stream over real TLS, in front of an engine that is the test's own: who is let in, with which words the
 * others are refused, and what the engine is told. */
#include "../../../server/rpc/service_private.h"
#include "../net/net_fixture.h"
#include "test_main.h"

#include "base/clock.h"
#include "base/log.h"

#include <sched.h>

/* ---- the engine ---- */

static struct {
    pthread_mutex_t lock;
    enum trib_status on_connect, on_message; /* what it answers */
    int connected, messages, disconnected;
    char node[TRIB_NODE_LEN], reason[64];
    struct trib_peer *peer; /* of the last that connected; one reference */
    uint64_t up, down;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum trib_status trib_hub_connect(struct trib_hub *unused, struct trib_peer *peer, const char *node,
                                  const char *address, const Tributary__V1__Hello *hello)
{
    (void)unused;
    (void)address;
    pthread_mutex_lock(&engine.lock);
    enum trib_status status = engine.on_connect;
    engine.connected++;
    trib_str_copy(engine.node, sizeof engine.node, node);
    ck_assert_str_eq(hello->node, node);
    if (status == TRIB_OK) {
        engine.peer = peer->ops->ref(peer);
    }
    pthread_mutex_unlock(&engine.lock);
    return status;
}

enum trib_status trib_hub_message(struct trib_hub *unused, struct trib_peer *peer,
                                  Tributary__V1__ClientMessage *message)
{
    (void)unused;
    (void)peer;
    pthread_mutex_lock(&engine.lock);
    enum trib_status status = engine.on_message;
    engine.messages++;
    pthread_mutex_unlock(&engine.lock);
    trib_message_free(&message->base);
    return status;
}

void trib_hub_disconnect(struct trib_hub *unused, struct trib_peer *peer, const char *reason)
{
    (void)unused;
    (void)peer;
    pthread_mutex_lock(&engine.lock);
    engine.disconnected++;
    trib_str_copy(engine.reason, sizeof engine.reason, reason);
    pthread_mutex_unlock(&engine.lock);
}

void trib_hub_count(struct trib_hub *unused, uint64_t up, uint64_t down)
{
    (void)unused;
    pthread_mutex_lock(&engine.lock);
    engine.up += up;
    engine.down += down;
    pthread_mutex_unlock(&engine.lock);
}

/* What downloads and uploads ask for; there are none here. */
struct trib_blob *trib_hub_blob(struct trib_hub *unused, const uint8_t sha256[32])
{
    (void)unused;
    (void)sha256;
    return NULL;
}

void trib_hub_progress(struct trib_hub *unused, const char *node)
{
    (void)unused;
    (void)node;
}

enum trib_status trib_hub_upload_open(struct trib_hub *unused, const char *node, const struct trib_chunk *first,
                                      struct trib_upload **upload, struct trib_error *reason)
{
    (void)unused;
    (void)first;
    (void)upload;
    return trib_fail(reason, TRIB_NOT_FOUND, "%s: no upload", node);
}

enum trib_status trib_upload_begin(struct trib_upload *upload, const struct trib_chunk *chunk,
                                   struct trib_error *reason)
{
    (void)upload;
    (void)chunk;
    return trib_fail(reason, TRIB_INTERNAL, "no upload");
}

enum trib_status trib_upload_piece(struct trib_upload *upload, const uint8_t *piece, size_t len,
                                   struct trib_error *reason)
{
    (void)upload;
    (void)piece;
    (void)len;
    return trib_fail(reason, TRIB_INTERNAL, "no upload");
}

enum trib_status trib_upload_end(struct trib_upload *upload, const struct trib_chunk *chunk, bool *complete,
                                 struct trib_error *reason)
{
    (void)upload;
    (void)chunk;
    (void)complete;
    return trib_fail(reason, TRIB_INTERNAL, "no upload");
}

uint64_t trib_upload_received(const struct trib_upload *upload)
{
    (void)upload;
    return 0;
}

void trib_upload_close(struct trib_upload *upload, const struct trib_error *fault)
{
    (void)upload;
    (void)fault;
}

void trib_hub_upload_refused(struct trib_hub *unused, const char *node, const struct trib_error *fault)
{
    (void)unused;
    (void)node;
    (void)fault;
}

/* ---- the service ---- */

static const struct trib_net_method session_method = {.path = TRIB_PATH_SESSION, .opened = trib_session_opened};
static struct trib_federation_service service;
static struct trib_net_channel *channel;
static struct trib_error error;

static void start(void)
{
    struct trib_net_tls tls = tls_of("ca.crt", "server"), boat = tls_of("ca.crt", "boat-7");
    const struct trib_node_limits limits = {.calls = 4, .messages = 100, .pause_ms = 1000};
    const struct trib_log_options quiet = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    char address[64];
    ck_assert_int_eq(trib_log_open(&quiet, &error), TRIB_OK);
    trib_net_init();
    engine.on_connect = engine.on_message = TRIB_OK;
    engine.connected = engine.messages = engine.disconnected = 0;
    engine.up = engine.down = 0;
    engine.peer = NULL;
    service = (struct trib_federation_service){
        .nodes = trib_nodes_new(&limits), .hello_ms = 1000 * WAIT_S, .idle_call_ms = 1000 * WAIT_S};
    enum trib_status status =
        trib_net_server_new("127.0.0.1:0", &tls, NULL, &session_method, 1, &service, &service.server, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    snprintf(address, sizeof address, "127.0.0.1:%d", trib_net_server_port(service.server));
    ck_assert_int_eq(trib_net_channel_new(address, NULL, &boat, NULL, &channel, &error), TRIB_OK);
}

static void stop(void)
{
    if (engine.peer) {
        engine.peer->ops->unref(engine.peer);
    }
    trib_net_channel_free(channel);
    trib_net_server_free(service.server);
    trib_nodes_free(service.nodes);
    trib_net_shutdown();
    trib_log_close();
}

/* ---- a client ---- */

static struct record record;
static uint64_t sent; /* bytes */

static void send_message(struct trib_net_call *call, const Tributary__V1__ClientMessage *message)
{
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_message_pack(&message->base, &bytes), TRIB_OK);
    ck_assert_int_eq(trib_net_call_send(call, bytes.data, bytes.len, NULL, 0, 0), TRIB_OK);
    sent += bytes.len;
    trib_buf_clear(&bytes);
}

static void send_hello(struct trib_net_call *call, const char *node, uint32_t protocol, uint32_t least)
{
    Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    hello.node = trib_message_lend(node);
    hello.protocol = protocol;
    hello.protocol_least = least;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    send_message(call, &message);
}

static void send_progress(struct trib_net_call *call)
{
    Tributary__V1__Progress progress = TRIBUTARY__V1__PROGRESS__INIT;
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    progress.round = 1;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    message.progress = &progress;
    send_message(call, &message);
}

static struct trib_net_call *open_session_call(void)
{
    record_init(&record);
    record.greedy = true;
    sent = 0;
    struct trib_net_call *call = open_call(channel, TRIB_PATH_SESSION, 0, &record);
    trib_net_call_read(call);
    return call;
}

/* The call ends so, by the server. */
static void expect_end(struct trib_net_call *call, enum trib_status status, const char *details)
{
    record_wait(&record, record.n_closed == 1);
    ck_assert_msg(record.status == status && strcmp(record.details, details) == 0, "%s: %s",
                  trib_status_name(record.status), record.details);
    trib_net_call_unref(call);
    record_clear(&record);
}

static int count_of(const int *figure)
{
    pthread_mutex_lock(&engine.lock);
    int n = *figure;
    pthread_mutex_unlock(&engine.lock);
    return n;
}

static void wait_for(const int *figure, int n)
{
    int64_t until_ms = trib_clock_ms() + WAIT_S * 1000;
    while (count_of(figure) < n && trib_clock_ms() < until_ms) {
        sched_yield();
    }
    ck_assert_int_eq(count_of(figure), n);
}

/* A Hello that is refused never comes to the engine. */
static void expect_refused(const char *node, uint32_t protocol, uint32_t least, enum trib_status status,
                           const char *details)
{
    struct trib_net_call *call = open_session_call();
    send_hello(call, node, protocol, least);
    expect_end(call, status, details);
    ck_assert_int_eq(count_of(&engine.connected) + count_of(&engine.disconnected), 0);
}

START_TEST(a_node_is_what_its_certificate_says)
{
    expect_refused("boat-8", 1, 0, TRIB_DENIED, "node \"boat-8\" is not what the certificate says (\"boat-7\")");
    expect_refused("", 1, 0, TRIB_DENIED, "node \"\" is not what the certificate says (\"boat-7\")");
    expect_refused("boat-77", 1, 0, TRIB_DENIED, "node \"boat-77\" is not what the certificate says (\"boat-7\")");
    struct trib_net_call *call = open_session_call();
    send_hello(call, "boat-7", 1, 0);
    wait_for(&engine.connected, 1);
    ck_assert_str_eq(engine.node, "boat-7");
    trib_net_call_half_close(call);
    expect_end(call, TRIB_OK, "");
    wait_for(&engine.disconnected, 1);
    ck_assert_str_eq(engine.reason, "session ended");
}
END_TEST

START_TEST(protocols_must_meet)
{
    expect_refused("boat-7", 0, 0, TRIB_UNSUPPORTED,
                   "protocol 0 to 0 are spoken by this client, 1 to 1 by this server: update the client");
    expect_refused("boat-7", 2, 0, TRIB_UNSUPPORTED,
                   "protocol 2 to 2 are spoken by this client, 1 to 1 by this server: update the server");
    expect_refused("boat-7", 9, 2, TRIB_UNSUPPORTED,
                   "protocol 2 to 9 are spoken by this client, 1 to 1 by this server: update the server");
    struct trib_net_call *call = open_session_call();
    send_hello(call, "boat-7", 9, 1); /* it speaks ours as well */
    wait_for(&engine.connected, 1);
    trib_net_call_half_close(call);
    expect_end(call, TRIB_OK, "");
}
END_TEST

START_TEST(the_first_message_is_hello_and_no_other)
{
    struct trib_net_call *call = open_session_call();
    send_progress(call);
    expect_end(call, TRIB_INVALID, "the first message is not Hello");
    ck_assert_int_eq(count_of(&engine.connected) + count_of(&engine.messages), 0);
    call = open_session_call();
    send_hello(call, "boat-7", 1, 0);
    wait_for(&engine.connected, 1);
    send_hello(call, "boat-7", 1, 0);
    expect_end(call, TRIB_INVALID, "a second Hello");
    wait_for(&engine.disconnected, 1);
    ck_assert_int_eq(count_of(&engine.connected), 1);
}
END_TEST

START_TEST(later_messages_go_to_the_engine)
{
    struct trib_net_call *call = open_session_call();
    send_hello(call, "boat-7", 1, 0);
    send_progress(call);
    send_progress(call);
    wait_for(&engine.messages, 2);
    pthread_mutex_lock(&engine.lock);
    ck_assert_uint_eq(engine.up, sent);
    engine.on_message = TRIB_UNAVAILABLE;
    pthread_mutex_unlock(&engine.lock);
    send_progress(call);
    expect_end(call, TRIB_UNAVAILABLE, trib_status_text(TRIB_UNAVAILABLE));
    wait_for(&engine.disconnected, 1);
}
END_TEST

START_TEST(an_engine_that_refuses_is_told_of)
{
    engine.on_connect = TRIB_UNAVAILABLE;
    struct trib_net_call *call = open_session_call();
    send_hello(call, "boat-7", 1, 0);
    expect_end(call, TRIB_UNAVAILABLE, trib_status_text(TRIB_UNAVAILABLE));
    ck_assert_int_eq(count_of(&engine.disconnected), 0); /* it never was connected */
}
END_TEST

/* More than the engine can take: the node has a pause, and is told for how long. */
START_TEST(too_many_messages_mean_a_pause)
{
    struct trib_net_call *call = open_session_call();
    send_hello(call, "boat-7", 1, 0);
    wait_for(&engine.connected, 1);
    pthread_mutex_lock(&engine.lock);
    engine.on_message = TRIB_LIMIT;
    pthread_mutex_unlock(&engine.lock);
    send_progress(call);
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.status, TRIB_LIMIT);
    ck_assert_msg(strstr(record.details, "come back in 1 s"), "%s", record.details);
    trib_net_call_unref(call);
    record_clear(&record);
}
END_TEST

START_TEST(a_goodbye_says_why_and_ends_the_call)
{
    struct trib_net_call *call = open_session_call();
    send_hello(call, "boat-7", 1, 0);
    wait_for(&engine.connected, 1);
    engine.peer->ops->close(engine.peer, "the run is over", true, 17);
    record_wait(&record, record.n_messages == 1);
    Tributary__V1__Goodbye goodbye = TRIBUTARY__V1__GOODBYE__INIT;
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    struct trib_buf expected = {0};
    goodbye.reason = trib_message_lend("the run is over");
    goodbye.final = true;
    goodbye.retry_seconds = 17;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    ck_assert_int_eq(trib_message_pack(&message.base, &expected), TRIB_OK);
    ck_assert_uint_eq(record.n_bytes, expected.len);
    ck_assert_mem_eq(record.last, expected.data, expected.len);
    pthread_mutex_lock(&engine.lock);
    ck_assert_uint_eq(engine.down, expected.len);
    pthread_mutex_unlock(&engine.lock);
    trib_buf_clear(&expected);
    expect_end(call, TRIB_OK, "the run is over");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("federation_session");
    TCase *tests = tcase_create("federation_session");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, make_certs, remove_certs);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, a_node_is_what_its_certificate_says);
    tcase_add_test(tests, protocols_must_meet);
    tcase_add_test(tests, the_first_message_is_hello_and_no_other);
    tcase_add_test(tests, later_messages_go_to_the_engine);
    tcase_add_test(tests, an_engine_that_refuses_is_told_of);
    tcase_add_test(tests, too_many_messages_mean_a_pause);
    tcase_add_test(tests, a_goodbye_says_why_and_ends_the_call);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
