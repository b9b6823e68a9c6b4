/* Limits in block net: calls that do not move, connections that may not come in, batches that gRPC refuses. */
#include "net_fixture.h"
#include "test_main.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void start(void)
{
    trib_net_init();
}

static void stop(void)
{
    trib_net_shutdown();
}

static struct trib_net_limits limits_of_server(void)
{
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    return limits;
}

/* ---- calls that do not move ---- */

/* A held call of which both ends are in the test's hands. */
struct held {
    struct pair pair;
    struct record client;
    struct trib_net_call *call;
    struct record *server;
};

static void held_start(struct held *held, const struct trib_net_limits *limits)
{
    struct trib_net_limits narrow; /* so that the client's side takes in little of what nobody asks for */
    trib_net_limits_default(&narrow);
    narrow.lookahead_bytes = 65536;
    pair_start(&held->pair, limits, &narrow);
    record_init(&held->client);
    held->server = &held->pair.service.held;
    held->call = open_call(held->pair.channel, "/t.T/Hold", 0, &held->client);
    record_wait(held->server, held->server->call);
}

static void held_stop(struct held *held)
{
    trib_net_call_unref(held->call);
    pair_stop(&held->pair);
    record_clear(&held->client);
}

START_TEST(idle_call_is_ended)
{
    struct held held;
    held_start(&held, NULL);
    trib_net_call_read(record_call(held.server));
    trib_net_call_read(held.call);
    trib_net_call_idle_limit(record_call(held.server), 50);
    record_wait(held.server, held.server->n_closed == 1);
    ck_assert_int_eq(held.server->status, TRIB_TIMEOUT);
    ck_assert_msg(strstr(held.server->details, "nothing moved"), "%s", held.server->details);
    record_wait(&held.client, held.client.n_closed == 1);
    ck_assert_int_eq(held.client.status, TRIB_TIMEOUT);
    ck_assert_msg(strstr(held.client.details, "nothing moved"), "%s", held.client.details);
    held_stop(&held);
}
END_TEST

/* With the limit gone nothing ends: a second call on the same server, with a limit, shows that the time has passed. */
START_TEST(idle_limit_taken_back)
{
    struct held held;
    struct record other;
    held_start(&held, NULL);
    struct trib_net_call *first = trib_net_call_ref(record_call(held.server));
    trib_net_call_idle_limit(first, 50);
    trib_net_call_idle_limit(first, 0);
    record_init(&other);
    struct trib_net_call *second = open_call(held.pair.channel, "/t.T/Hold", 0, &other);
    record_wait(held.server, held.server->call != first);
    trib_net_call_read(second);
    trib_net_call_idle_limit(record_call(held.server), 50);
    record_wait(&other, other.n_closed == 1);
    ck_assert_int_eq(other.status, TRIB_TIMEOUT);
    ck_assert_int_eq(trib_net_call_send(first, "still here", 10, NULL, 0, 0), TRIB_OK);
    trib_net_call_read(held.call);
    record_wait(&held.client, held.client.n_messages == 1);
    trib_net_call_finish(first, TRIB_OK, NULL);
    record_wait(&held.client, held.client.n_closed == 1);
    trib_net_call_unref(first);
    trib_net_call_unref(second);
    record_clear(&other);
    held_stop(&held);
}
END_TEST

static void fill_queue(struct trib_net_call *call)
{
    struct trib_blob *chunk = trib_blob_new(CHUNK_LEN);
    memset(trib_blob_fill(chunk), 'x', CHUNK_LEN);
    while (trib_net_call_send(call, NULL, 0, chunk, 0, CHUNK_LEN) == TRIB_OK) {
    }
    trib_blob_unref(chunk);
}

/* A client that reads nothing cannot hold what is queued for it, whether the call goes on or was to end. */
START_TEST(unread_queue_is_dropped)
{
    for (int ending = 0; ending < 2; ending++) {
        struct held held;
        struct trib_net_limits limits = limits_of_server();
        limits.idle_ms = 100;
        held_start(&held, &limits);
        struct trib_net_call *call = record_call(held.server);
        fill_queue(call);
        ck_assert_uint_gt(trib_net_call_queued(call), 0);
        if (ending) {
            trib_net_call_finish(call, TRIB_OK, "goodbye");
        } else {
            trib_net_call_idle_limit(call, 100);
        }
        record_wait(held.server, held.server->n_closed == 1);
        ck_assert_int_eq(held.server->status, TRIB_TIMEOUT);
        ck_assert_uint_eq(trib_net_call_queued(call), 0);
        held_stop(&held);
    }
}
END_TEST

/* The text goes past what is queued. */
START_TEST(abort_with_a_word)
{
    struct held held;
    held_start(&held, NULL);
    fill_queue(record_call(held.server));
    trib_net_call_abort(record_call(held.server), TRIB_DENIED, "enough of this");
    record_wait(held.server, held.server->n_closed == 1);
    held.client.greedy = true; /* what it has got by then comes first */
    trib_net_call_read(held.call);
    record_wait(&held.client, held.client.n_closed == 1);
    ck_assert_uint_lt(held.client.n_bytes, limits_of_server().send_queue_bytes);
    ck_assert_int_eq(held.client.status, TRIB_DENIED);
    ck_assert_str_eq(held.client.details, "enough of this");
    held_stop(&held);
}
END_TEST

START_TEST(reading_later)
{
    struct held held;
    held_start(&held, NULL);
    struct trib_net_call *call = record_call(held.server);
    trib_net_call_idle_limit(call, 50); /* does not count while the server itself puts off */
    int64_t begun_ms = trib_clock_ms();
    trib_net_call_read_after(call, 300);
    send_text(held.call, "patience");
    record_wait(held.server, held.server->n_messages == 1);
    ck_assert_int_ge(trib_clock_ms() - begun_ms, 300);
    trib_net_call_idle_limit(call, 0);
    trib_net_call_read_after(call, 0);
    send_text(held.call, "at once");
    record_wait(held.server, held.server->n_messages == 2);
    trib_net_call_read_after(call, 1000000); /* nobody waits for it */
    trib_net_call_cancel(call);
    record_wait(held.server, held.server->n_closed == 1);
    held_stop(&held);
}
END_TEST

/* A connection without calls is closed, and the next call makes another one. */
START_TEST(idle_connection)
{
    struct pair pair;
    char first[64];
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_limits limits = limits_of_server();
    limits.idle_ms = 100;
    pair_start(&pair, &limits, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    trib_str_copy(first, sizeof first, pair.service.address);
    int64_t until_ms = trib_clock_ms() + WAIT_S * 1000;
    bool closed = false;
    while (!closed && trib_clock_ms() < until_ms) {
        (void)poll(NULL, 0, 150);
        enum trib_status status = echo(pair.channel, &error); /* may meet the connection as it closes */
        closed = status == TRIB_OK && !service_saw(&pair.service, "boat-7", first);
    }
    ck_assert(closed);
    pair_stop(&pair);
}
END_TEST

START_TEST(memory_quota)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_limits limits = limits_of_server();
    limits.memory_bytes = (size_t)64 << 20;
    pair_start(&pair, &limits, NULL);
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    pair_stop(&pair);
}
END_TEST

/* ---- the door ---- */

static int plain_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void plain_connect(const struct pair *pair, int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)trib_net_server_port(pair->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
}

/* Whether the server hangs up; false when it has not within the time. */
static bool is_turned_away(int fd, int wait_ms)
{
    char byte;
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, wait_ms) == 1 && recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET;
}

static int count_turned_away(const int *fds, int n, int expected)
{
    int away = 0;
    int64_t until_ms = trib_clock_ms() + WAIT_S * 1000;
    bool gone[64] = {false};
    while (away < expected && trib_clock_ms() < until_ms) {
        for (int i = 0; i < n; i++) {
            if (!gone[i] && is_turned_away(fds[i], 1)) {
                gone[i] = true;
                away++;
            }
        }
    }
    for (int i = 0; i < n; i++) {
        away += !gone[i] && is_turned_away(fds[i], 20);
    }
    return away;
}

START_TEST(strangers)
{
    enum { N = 12, MOST = 5 };
    struct pair pair;
    int fds[N];
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_limits limits = limits_of_server();
    limits.max_strangers = MOST;
    pair_start(&pair, &limits, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK); /* known from here on */
    for (int i = 0; i < N; i++) {
        fds[i] = plain_socket();
        plain_connect(&pair, fds[i]);
    }
    ck_assert_int_eq(count_turned_away(fds, N, N - MOST), N - MOST);
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    struct trib_net_channel *late = connect_as(&pair, "ca.crt", "boat-7", NULL, NULL);
    ck_assert_int_eq(echo(late, &error), TRIB_UNAVAILABLE);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
    int64_t until_ms = trib_clock_ms() + WAIT_S * 1000;
    do { /* the server sees that they have gone a little later */
        status = echo(late, &error);
    } while (status != TRIB_OK && trib_clock_ms() < until_ms);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    /* Calls make known: many more connections than strangers may be. */
    for (int i = 0; i < 3 * MOST; i++) {
        struct trib_net_channel *more = connect_as(&pair, "ca.crt", "boat-7", NULL, NULL);
        status = echo(more, &error);
        ck_assert_msg(status == TRIB_OK, "%d: %s", i, error.message);
        trib_net_channel_free(more);
    }
    trib_net_channel_free(late);
    pair_stop(&pair);
}
END_TEST

START_TEST(connection_rate)
{
    enum { N = 20, BURST = 5 };
    struct pair pair;
    int fds[N];
    struct trib_net_limits limits = limits_of_server();
    limits.connection_rate = 1;
    pair_start(&pair, &limits, NULL);
    int64_t begun_ms = trib_clock_ms();
    for (int i = 0; i < N; i++) {
        fds[i] = plain_socket();
        plain_connect(&pair, fds[i]);
    }
    int away = count_turned_away(fds, N, N - BURST - 1);
    int earned = (int)((trib_clock_ms() - begun_ms) / 1000) + 1;
    ck_assert_int_ge(away, N - BURST - earned);
    ck_assert_int_le(away, N - BURST);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
    pair_stop(&pair);
}
END_TEST

/* With no descriptor to be had, gRPC would stop accepting for good. */
START_TEST(no_descriptor_left)
{
    enum { N = 3 };
    struct pair pair;
    struct rlimit before;
    struct trib_error error = {.status = TRIB_OK};
    int fds[N];
    int stuffed[64];
    int n_stuffed = 0;
    pair_start(&pair, NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    for (int i = 0; i < N; i++) {
        fds[i] = plain_socket();
    }
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = (rlim_t)fds[N - 1] + 1, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (n_stuffed < 64 && (stuffed[n_stuffed] = dup(fds[0])) >= 0) {
        n_stuffed++;
    }
    ck_assert_int_eq(errno, EMFILE);
    for (int i = 0; i < N; i++) {
        plain_connect(&pair, fds[i]);
    }
    ck_assert_int_eq(count_turned_away(fds, N, N), N);
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (n_stuffed > 0) {
        close(stuffed[--n_stuffed]);
    }
    struct trib_net_channel *late = connect_as(&pair, "ca.crt", "boat-7", NULL, NULL);
    status = echo(late, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
    trib_net_channel_free(late);
    pair_stop(&pair);
}
END_TEST

/* ---- batches that gRPC refuses ---- */

/* One call with a message each way; true when it went well. It ends either way. */
static bool exchange(struct trib_net_channel *channel, const char *path, const char *text, bool half_close)
{
    struct record record;
    struct trib_net_call *call = NULL;
    struct trib_error error = {.status = TRIB_OK};
    record_init(&record);
    record.greedy = true;
    enum trib_status status = trib_net_channel_call(channel, path, 0, &record_events, &record, &call, &error);
    if (status != TRIB_OK) {
        ck_assert_str_ne(error.message, "");
        record_clear(&record);
        return false;
    }
    trib_net_call_read(call);
    status = trib_net_call_send(call, text, strlen(text), NULL, 0, 0);
    ck_assert(status == TRIB_OK || status == TRIB_CANCELLED);
    if (half_close) {
        trib_net_call_half_close(call);
    } else {
        record_wait(&record, record.n_messages > 0 || record.n_closed > 0);
        trib_net_call_half_close(call);
    }
    record_wait(&record, record.n_closed == 1);
    bool well = record.status == TRIB_OK && record.n_messages > 0;
    trib_net_call_unref(call);
    record_clear(&record);
    return well;
}

/* A session, a download, an upload and an exchange in place, over a connection of their own. */
static int run_all(const struct pair *pair)
{
    struct trib_error error = {.status = TRIB_OK};
    struct trib_net_channel *channel = connect_as(pair, "ca.crt", "boat-7", NULL, NULL);
    int well = exchange(channel, "/t.T/Bidi", "a session's message", false);
    well += exchange(channel, "/t.T/Down", "20", true);
    well += exchange(channel, "/t.T/Up", "an upload's chunk", true);
    well += echo(channel, &error) == TRIB_OK;
    trib_net_channel_free(channel);
    return well;
}

START_TEST(refused_batches)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    pair_start(&pair, NULL, NULL);
    (void)trib_net_fail_after(-1, false);
    ck_assert_int_eq(run_all(&pair), 4);
    int64_t most = trib_net_fail_after(-1, false);
    ck_assert_int_ge(most, 30);
    int n_failed = 0;
    for (int64_t after = 0; after < most + 3; after++) {
        (void)trib_net_fail_after(after, false);
        n_failed += run_all(&pair) < 4;
        (void)trib_net_fail_after(-1, false);
        enum trib_status status = echo(pair.channel, &error);
        ck_assert_msg(status == TRIB_OK, "after batch %d: %s", (int)after, error.message);
    }
    ck_assert_int_ge(n_failed, (int)most / 2);
    for (int64_t after = 0; after < most; after += 3) {
        (void)trib_net_fail_after(after, true);
        (void)run_all(&pair);
        (void)trib_net_fail_after(-1, false);
    }
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    pair_stop(&pair);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net_limits");
    TCase *limits = tcase_create("limits");
    tcase_set_timeout(limits, 240);
    tcase_add_unchecked_fixture(limits, make_certs, remove_certs);
    tcase_add_checked_fixture(limits, start, stop);
    tcase_add_test(limits, idle_call_is_ended);
    tcase_add_test(limits, idle_limit_taken_back);
    tcase_add_test(limits, unread_queue_is_dropped);
    tcase_add_test(limits, abort_with_a_word);
    tcase_add_test(limits, reading_later);
    tcase_add_test(limits, idle_connection);
    tcase_add_test(limits, memory_quota);
    tcase_add_test(limits, strangers);
    tcase_add_test(limits, connection_rate);
    tcase_add_test(limits, no_descriptor_left);
    tcase_add_test(limits, refused_batches);
    suite_add_tcase(suite, limits);
    return trib_test_run(suite);
}
