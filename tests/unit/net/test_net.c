/* Calls of block net over mutual TLS, server and client in one process: every pattern, every way to end. */
#include "net_fixture.h"
#include "test_main.h"

static void start(void)
{
    trib_net_init();
}

static void stop(void)
{
    trib_net_shutdown();
}

START_TEST(unary)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    pair_start(&pair, NULL, NULL);
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert(service_saw(&pair.service, "boat-7", "ipv4:127.0.0.1:"));
    pair_stop(&pair);
}
END_TEST

/* Forty chunks exceed the send queue, so that the server has to stop and go on when it is told to. */
START_TEST(server_streaming)
{
    struct pair pair;
    struct record record;
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    limits.send_queue_bytes = (size_t)5 * CHUNK_LEN;
    pair_start(&pair, &limits, NULL);
    record_init(&record);
    record.greedy = true;
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Down", 0, &record);
    send_text(call, "40");
    trib_net_call_half_close(call);
    trib_net_call_read(call);
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.status, TRIB_OK);
    ck_assert_str_eq(record.details, "all sent");
    ck_assert_int_eq(record.n_messages, 40);
    ck_assert_uint_eq(record.n_bytes, (size_t)40 * (CHUNK_LEN - 6));
    ck_assert_int_eq(record.last[0], 1);
    ck_assert_int_eq(record.last[4], 'c');
    ck_assert(!record.overlapped);
    trib_net_call_unref(call);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

START_TEST(client_streaming)
{
    struct pair pair;
    struct record record;
    pair_start(&pair, NULL, NULL);
    record_init(&record);
    record.greedy = true;
    struct trib_blob *blob = trib_blob_new(CHUNK_LEN);
    memset(trib_blob_fill(blob), 'u', CHUNK_LEN);
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Up", 0, &record);
    trib_net_call_read(call);
    for (int i = 0; i < 50; i++) {
        int before = record_writable_count(&record);
        while (trib_net_call_send(call, "head", 4, blob, 0, CHUNK_LEN) == TRIB_LIMIT) {
            record_wait(&record, record.n_writable > before);
            before = record_writable_count(&record);
        }
    }
    trib_blob_unref(blob);
    trib_net_call_half_close(call);
    ck_assert_int_eq(trib_net_call_send(call, "late", 4, NULL, 0, 0), TRIB_CANCELLED);
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.status, TRIB_OK);
    ck_assert_str_eq(record.last, "5000200");
    trib_net_call_unref(call);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

START_TEST(bidi)
{
    struct pair pair;
    struct record record;
    pair_start(&pair, NULL, NULL);
    record_init(&record);
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Bidi", 0, &record);
    for (int i = 1; i <= 30; i++) {
        char text[32];
        snprintf(text, sizeof text, "message %d", i);
        send_text(call, text);
        trib_net_call_read(call);
        record_wait(&record, record.n_messages == i);
        ck_assert_str_eq(record.last, text);
    }
    send_text(call, "");
    trib_net_call_read(call);
    record_wait(&record, record.n_messages == 31);
    trib_net_call_read(call);
    trib_net_call_half_close(call);
    record_wait(&record, record.n_closed == 1);
    ck_assert(record.input_ended);
    ck_assert_int_eq(record.status, TRIB_OK);
    trib_net_call_unref(call);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

/* Over the server's limit but within the client's: only that call fails, the connection stays. */
START_TEST(big_message)
{
    struct pair pair;
    struct trib_net_limits limits;
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_message *reply = NULL;
    trib_net_limits_default(&limits);
    limits.max_message_bytes = 1000;
    pair_start(&pair, &limits, NULL);
    char *big = trib_calloc(1, 3 << 20);
    ck_assert_int_eq(trib_net_channel_unary(pair.channel, "/t.T/Unary", big, 1001, UNARY_MS, &reply, &error),
                     TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "1001 vs. 1000"), "%s", error.message);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    ck_assert_int_eq(trib_net_channel_unary(pair.channel, "/t.T/Unary", big, 3 << 20, UNARY_MS, &reply, &error),
                     TRIB_INVALID);
    ck_assert_ptr_null(reply);
    struct record record;
    record_init(&record);
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Bidi", 0, &record);
    ck_assert_int_eq(trib_net_call_send(call, big, 3 << 20, NULL, 0, 0), TRIB_INVALID);
    ck_assert_int_eq(trib_net_call_send(call, NULL, 0, NULL, 0, 1), TRIB_INVALID);
    trib_net_call_cancel(call);
    record_wait(&record, record.n_closed == 1);
    trib_net_call_unref(call);
    trib_free(big);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

/* The server does not read: the client's queue fills, a send is refused and queues nothing; once the server reads, the
 * client is told that it may go on. */
START_TEST(back_pressure)
{
    struct pair pair;
    struct record record;
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    limits.lookahead_bytes = 65536;
    limits.send_queue_bytes = (size_t)5 * CHUNK_LEN;
    pair_start(&pair, &limits, &limits);
    record_init(&record);
    struct trib_blob *blob = trib_blob_new(CHUNK_LEN);
    memset(trib_blob_fill(blob), 'b', CHUNK_LEN);
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Hold", 0, &record);
    struct record *held = &pair.service.held;
    record_wait(held, held->call);
    int sent = 0;
    while (trib_net_call_send(call, NULL, 0, blob, 0, CHUNK_LEN) == TRIB_OK) {
        sent++;
        ck_assert_int_lt(sent, 1000);
    }
    size_t queued = trib_net_call_queued(call);
    ck_assert_uint_le(queued, limits.send_queue_bytes);
    ck_assert_uint_gt(queued, limits.send_queue_bytes / 2);
    ck_assert_int_eq(trib_net_call_send(call, NULL, 0, blob, 0, CHUNK_LEN), TRIB_LIMIT);
    ck_assert_int_eq(record_writable_count(&record), 0);
    pthread_mutex_lock(&held->lock);
    held->greedy = true;
    pthread_mutex_unlock(&held->lock);
    trib_net_call_read(record_call(held));
    record_wait(&record, record.n_writable == 1);
    ck_assert_int_eq(trib_net_call_send(call, NULL, 0, blob, 0, CHUNK_LEN), TRIB_OK);
    record_wait(held, held->n_messages == sent + 1);
    ck_assert_uint_eq(held->n_bytes, (size_t)(sent + 1) * CHUNK_LEN);
    trib_net_call_half_close(call);
    record_wait(held, held->input_ended);
    trib_net_call_finish(record_call(held), TRIB_OK, NULL);
    record_wait(&record, record.n_closed == 1);
    trib_net_call_unref(call);
    trib_blob_unref(blob);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

START_TEST(unknown_and_refused)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_message *reply = NULL;
    pair_start(&pair, NULL, NULL);
    ck_assert_int_eq(trib_net_channel_unary(pair.channel, "/t.T/Nothing", "", 0, UNARY_MS, &reply, &error),
                     TRIB_UNSUPPORTED);
    ck_assert_str_eq(error.message, "this server has no method /t.T/Nothing");
    ck_assert_int_eq(trib_net_channel_unary(pair.channel, "/t.T/Refuse", "", 0, UNARY_MS, &reply, &error), TRIB_DENIED);
    ck_assert_str_eq(error.message, "boat-7: not today");
    ck_assert_int_eq(trib_net_channel_unary(pair.channel, "/t.T/Hold", "", 0, 50, &reply, &error), TRIB_TIMEOUT);
    pair_stop(&pair);
}
END_TEST

START_TEST(client_cancels)
{
    struct pair pair;
    struct record record;
    pair_start(&pair, NULL, NULL);
    record_init(&record);
    struct record *held = &pair.service.held;
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Hold", 0, &record);
    trib_net_call_read(call);
    record_wait(held, held->call);
    trib_net_call_read(record_call(held));
    trib_net_call_cancel(call);
    trib_net_call_cancel(call);
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.status, TRIB_CANCELLED);
    ck_assert(record.input_ended);
    record_wait(held, held->n_closed == 1);
    ck_assert_int_eq(held->status, TRIB_CANCELLED);
    ck_assert_str_eq(held->details, "the client cancelled or went away");
    ck_assert(held->input_ended);
    /* After the end everything is a polite nothing. */
    ck_assert_int_eq(trib_net_call_send(call, "x", 1, NULL, 0, 0), TRIB_CANCELLED);
    ck_assert_int_eq(trib_net_call_send(record_call(held), "x", 1, NULL, 0, 0), TRIB_CANCELLED);
    trib_net_call_read(call);
    trib_net_call_half_close(call);
    trib_net_call_cancel(call);
    trib_net_call_finish(record_call(held), TRIB_OK, "late");
    ck_assert_uint_eq(trib_net_call_queued(call), 0);
    trib_net_call_unref(call);
    pair_stop(&pair);
    ck_assert_int_eq(record.n_closed, 1);
    record_clear(&record);
}
END_TEST

START_TEST(server_cancels_and_finishes)
{
    struct pair pair;
    struct record record;
    pair_start(&pair, NULL, NULL);
    struct record *held = &pair.service.held;

    record_init(&record);
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Hold", 0, &record);
    record_wait(held, held->call);
    trib_net_call_cancel(record_call(held));
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_ne(record.status, TRIB_OK);
    record_wait(held, held->n_closed == 1);
    ck_assert_int_eq(held->status, TRIB_CANCELLED);
    ck_assert_str_eq(held->details, "cancelled by this server");
    trib_net_call_unref(call);
    record_clear(&record);

    /* A status that the server gives while the client still sends; and the client's reference outlives the channel. */
    record_init(&record);
    struct trib_net_call *former = record_call(held);
    call = open_call(pair.channel, "/t.T/Hold", 0, &record);
    record_wait(held, held->call != former);
    trib_net_call_finish(record_call(held), TRIB_MISMATCH, "schema differs");
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.status, TRIB_MISMATCH);
    ck_assert_str_eq(record.details, "schema differs");
    record_wait(held, held->n_closed == 2);
    ck_assert_int_eq(held->status, TRIB_OK);
    pair_stop(&pair);
    ck_assert_int_eq(trib_net_call_send(call, "x", 1, NULL, 0, 0), TRIB_CANCELLED);
    trib_net_call_unref(call);
    record_clear(&record);
}
END_TEST

START_TEST(addresses)
{
    struct pair pair;
    struct trib_net_server *second = NULL;
    struct trib_net_channel *channel = NULL;
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_tls tls = tls_of("ca.crt", "server");
    server_start(&pair, "server", NULL);
    char expected[256];
    snprintf(expected, sizeof expected,
             "listen: %s: address already in use; choose another port or stop the other process", pair.address);
    ck_assert_int_eq(trib_net_server_new(pair.address, &tls, NULL, methods, 6, NULL, &second, &error),
                     TRIB_UNAVAILABLE);
    ck_assert_str_eq(error.message, expected);
    ck_assert_int_eq(trib_net_server_new("192.0.2.1:7443", &tls, NULL, methods, 6, NULL, &second, &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "listen: 192.0.2.1:7443: this machine has no such address");
    ck_assert_int_eq(trib_net_server_new("7443", &tls, NULL, methods, 6, NULL, &second, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_net_server_new("a:b", &tls, NULL, methods, 6, NULL, &second, &error), TRIB_INVALID);
    ck_assert_ptr_null(second);
    static const char *const wrong[] = {"", "host", ":1", "host:", "host:0", "host:65536", "unix:/tmp/x:1", "::1:7443"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(trib_net_channel_new(wrong[i], NULL, &tls, NULL, &channel, &error), TRIB_INVALID);
        ck_assert_msg(strstr(error.message, "server address"), "%s", error.message);
    }
    pair_stop(&pair);
}
END_TEST

/* Nobody listens, and a name that does not exist: the text says so. */
START_TEST(unreachable)
{
    struct trib_net_tls tls = tls_of("ca.crt", "boat-7");
    struct trib_net_channel *channel = NULL;
    struct trib_error error = {.status = TRIB_OK};
    ck_assert_int_eq(trib_net_channel_new("127.0.0.1:1", NULL, &tls, NULL, &channel, &error), TRIB_OK);
    ck_assert_int_eq(echo(channel, &error), TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(error.message, "Connection refused"), "%s", error.message);
    trib_net_channel_free(channel);
    trib_net_channel_free(NULL);
    trib_net_call_unref(NULL);
    trib_net_message_free(NULL);
    trib_net_server_free(NULL);
    ck_assert_str_ne(trib_net_version(), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *calls = tcase_create("calls");
    tcase_add_unchecked_fixture(calls, make_certs, remove_certs);
    tcase_add_checked_fixture(calls, start, stop);
    tcase_add_test(calls, unary);
    tcase_add_test(calls, server_streaming);
    tcase_add_test(calls, client_streaming);
    tcase_add_test(calls, bidi);
    tcase_add_test(calls, big_message);
    tcase_add_test(calls, back_pressure);
    tcase_add_test(calls, unknown_and_refused);
    tcase_add_test(calls, client_cancels);
    tcase_add_test(calls, server_cancels_and_finishes);
    tcase_add_test(calls, addresses);
    tcase_add_test(calls, unreachable);
    suite_add_tcase(suite, calls);
    return trib_test_run(suite);
}
