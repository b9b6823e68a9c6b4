/* Beginnings and ends in block net: stopping, freeing, reconnecting, many calls and threads, memory running short. */
#include "fail_memory.h"
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

START_TEST(stop_with_open_calls)
{
    enum { N_CALLS = 20 };
    struct pair pair;
    struct record records[N_CALLS];
    struct trib_net_call *calls[N_CALLS];
    struct trib_error error = {.status = TRIB_OK};
    pair_start(&pair, NULL, NULL);
    for (int i = 0; i < N_CALLS; i++) {
        record_init(&records[i]);
        calls[i] = open_call(pair.channel, i % 2 == 0 ? "/t.T/Bidi" : "/t.T/Up", 0, &records[i]);
        if (i % 2 == 0) {
            send_text(calls[i], "here");
            trib_net_call_read(calls[i]);
            record_wait(&records[i], records[i].n_messages == 1);
        }
    }
    trib_net_server_stop(pair.server, 20);
    ck_assert_int_eq(pair.service.n_opened, pair.service.n_closed);
    for (int i = 0; i < N_CALLS; i++) {
        record_wait(&records[i], records[i].n_closed == 1);
        ck_assert_int_ne(records[i].status, TRIB_OK);
        trib_net_call_unref(calls[i]);
    }
    trib_net_server_stop(pair.server, 20);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(error.message, "refused"), "%s", error.message);
    pair_stop(&pair);
    for (int i = 0; i < N_CALLS; i++) {
        record_clear(&records[i]);
    }
}
END_TEST

/* Calls that end by themselves within the grace are not disturbed. */
START_TEST(stop_with_grace)
{
    struct pair pair;
    struct record record;
    pair_start(&pair, NULL, NULL);
    struct record *held = &pair.service.held;
    record_init(&record);
    record.greedy = true;
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Hold", 0, &record);
    trib_net_call_read(call);
    record_wait(held, held->call);
    ck_assert_int_eq(trib_net_call_send(record_call(held), "goodbye", 7, NULL, 0, 0), TRIB_OK);
    trib_net_call_finish(record_call(held), TRIB_OK, "done");
    trib_net_server_stop(pair.server, 20000);
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.status, TRIB_OK);
    ck_assert_str_eq(record.last, "goodbye");
    trib_net_call_unref(call);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

/* Freeing the channel ends what is open, each with its closed event. */
START_TEST(free_with_open_calls)
{
    enum { N_CALLS = 10 };
    struct pair pair;
    struct record records[N_CALLS];
    struct trib_net_call *calls[N_CALLS];
    pair_start(&pair, NULL, NULL);
    for (int i = 0; i < N_CALLS; i++) {
        record_init(&records[i]);
        calls[i] = open_call(pair.channel, "/t.T/Bidi", 0, &records[i]);
        trib_net_call_read(calls[i]);
    }
    trib_net_channel_free(pair.channel);
    pair.channel = NULL;
    for (int i = 0; i < N_CALLS; i++) {
        ck_assert_int_eq(records[i].n_closed, 1);
        ck_assert_int_eq(records[i].status, TRIB_CANCELLED);
        trib_net_call_unref(calls[i]);
        record_clear(&records[i]);
    }
    pair_stop(&pair);
}
END_TEST

/* The server goes and another comes to the same port: each call is a fresh attempt, no old error lingers. */
START_TEST(reconnect)
{
    struct pair pair;
    struct service second = {.n_opened = 0};
    struct trib_error error = {.status = TRIB_OK};
    pair_start(&pair, NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    trib_net_server_free(pair.server);
    pair.server = NULL;
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    struct trib_net_tls tls = tls_of("ca.crt", "server");
    record_init(&second.held);
    pthread_mutex_init(&second.lock, NULL);
    enum trib_status status = trib_net_server_new(pair.address, &tls, NULL, methods, 6, &second, &pair.server, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(service_opened(&second), 1);
    pair_stop(&pair);
    record_clear(&second.held);
    pthread_mutex_destroy(&second.lock);
}
END_TEST

static void *churn_worker(void *argument)
{
    struct pair *pair = argument;
    for (int i = 0; i < 50; i++) {
        struct record record;
        record_init(&record);
        record.greedy = i % 3 != 1;
        struct trib_net_call *call = open_call(pair->channel, i % 3 == 0 ? "/t.T/Unary" : "/t.T/Bidi", 0, &record);
        send_text(call, "x");
        if (i % 3 != 1) {
            trib_net_call_half_close(call);
        }
        trib_net_call_read(call);
        if (i % 3 == 1) {
            trib_net_call_cancel(call);
        }
        record_wait(&record, record.n_closed == 1);
        ck_assert(!record.overlapped);
        trib_net_call_unref(call);
        record_clear(&record);
    }
    return NULL;
}

START_TEST(churn)
{
    enum { N_THREADS = 4 };
    struct pair pair;
    pthread_t threads[N_THREADS];
    pair_start(&pair, NULL, NULL);
    for (int i = 0; i < N_THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn_worker, &pair), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pair_stop(&pair);
}
END_TEST

/* One call, many senders. */
static void *sender_worker(void *argument)
{
    for (int i = 0; i < 100; i++) {
        send_text(argument, "from one of four threads");
    }
    return NULL;
}

START_TEST(many_senders)
{
    enum { N_THREADS = 4 };
    struct pair pair;
    struct record record;
    pthread_t threads[N_THREADS];
    pair_start(&pair, NULL, NULL);
    record_init(&record);
    record.greedy = true;
    struct trib_net_call *call = open_call(pair.channel, "/t.T/Bidi", 0, &record);
    trib_net_call_read(call);
    for (int i = 0; i < N_THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, sender_worker, call), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    trib_net_call_half_close(call);
    record_wait(&record, record.n_closed == 1);
    ck_assert_int_eq(record.n_messages, 100 * N_THREADS);
    ck_assert_uint_eq(record.n_bytes, (size_t)100 * N_THREADS * 24);
    trib_net_call_unref(call);
    pair_stop(&pair);
    record_clear(&record);
}
END_TEST

static void *fire_worker(void *argument)
{
    struct pair *pair = argument;
    enum trib_status status = TRIB_OK;
    while (status == TRIB_OK) {
        struct trib_error error = {.status = TRIB_OK};
        status = echo(pair->channel, &error);
    }
    return NULL;
}

/* The server stops while calls keep arriving: all of them end, none is lost between the two threads. */
START_TEST(stop_under_fire)
{
    enum { N_THREADS = 3 };
    for (int round = 0; round < 10; round++) {
        struct pair pair;
        pthread_t threads[N_THREADS];
        struct trib_error error = {.status = TRIB_OK};
        pair_start(&pair, NULL, NULL);
        ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
        for (int i = 0; i < N_THREADS; i++) {
            ck_assert_int_eq(pthread_create(&threads[i], NULL, fire_worker, &pair), 0);
        }
        for (int i = 0; i < round; i++) {
            (void)!echo(pair.channel, &error);
        }
        trib_net_server_stop(pair.server, round % 2 == 0 ? 0 : 1000);
        for (int i = 0; i < N_THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        pair_stop(&pair);
    }
}
END_TEST

struct reopening {
    struct record record;
    struct trib_net_channel *channel;
    enum trib_status second;
};

static void reopen_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    struct reopening *reopening = user;
    struct trib_net_call *next = NULL;
    (void)call;
    (void)how;
    reopening->second =
        trib_net_channel_call(reopening->channel, "/t.T/Hold", 0, &record_events, &reopening->record, &next, NULL);
    trib_net_call_unref(next);
}

/* A closed event that opens the next call cannot keep a channel from closing. */
START_TEST(reopen_while_closing)
{
    static const struct trib_net_events events = {.message = record_message, .closed = reopen_closed};
    struct pair pair;
    struct reopening reopening = {.second = TRIB_OK};
    struct trib_net_call *call = NULL;
    pair_start(&pair, NULL, NULL);
    record_init(&reopening.record);
    reopening.channel = pair.channel;
    ck_assert_int_eq(trib_net_channel_call(pair.channel, "/t.T/Hold", 0, &events, &reopening, &call, NULL), TRIB_OK);
    trib_net_channel_free(pair.channel);
    pair.channel = NULL;
    ck_assert_int_eq(reopening.second, TRIB_CANCELLED);
    trib_net_call_unref(call);
    pair_stop(&pair);
    record_clear(&reopening.record);
}
END_TEST

/* Every allocation of ours fails once, wherever in the exchange it is: the caller gets an answer with a status, and the
 * next exchange works. */
START_TEST(short_of_memory)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    pair_start(&pair, NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    int n_failed = 0;
    int n_clean = 0;
    for (int64_t after = 0; n_clean < 3; after++) {
        fail_memory_after(after, false);
        enum trib_status status = echo(pair.channel, &error);
        fail_memory_after(-1, false);
        n_failed += status != TRIB_OK;
        n_clean = status == TRIB_OK ? n_clean + 1 : 0;
        ck_assert_int_lt(after, 100);
        status = echo(pair.channel, &error);
        ck_assert_msg(status == TRIB_OK, "after allocation %d: %s", (int)after, error.message);
    }
    ck_assert_int_ge(n_failed, 5);

    struct trib_net_tls tls = tls_of("ca.crt", "server");
    struct trib_net_server *server = NULL;
    struct trib_net_channel *channel = NULL;
    for (int64_t after = 0; !server; after++) {
        fail_memory_after(after, false);
        enum trib_status status = trib_net_server_new("127.0.0.1:0", &tls, NULL, methods, 6, NULL, &server, &error);
        fail_memory_after(-1, false);
        ck_assert_int_eq(status, server ? TRIB_OK : TRIB_NO_MEMORY);
    }
    trib_net_server_free(server);
    for (int64_t after = 0; !channel; after++) {
        fail_memory_after(after, false);
        enum trib_status status = trib_net_channel_new("127.0.0.1:1", "x", &tls, NULL, &channel, &error);
        fail_memory_after(-1, false);
        ck_assert_int_eq(status, channel ? TRIB_OK : TRIB_NO_MEMORY);
    }
    trib_net_channel_free(channel);
    pair_stop(&pair);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net_life");
    TCase *life = tcase_create("life");
    tcase_add_unchecked_fixture(life, make_certs, remove_certs);
    tcase_add_checked_fixture(life, start, stop);
    tcase_add_test(life, stop_with_open_calls);
    tcase_add_test(life, stop_with_grace);
    tcase_add_test(life, free_with_open_calls);
    tcase_add_test(life, reconnect);
    tcase_add_test(life, churn);
    tcase_add_test(life, many_senders);
    tcase_add_test(life, stop_under_fire);
    tcase_add_test(life, reopen_while_closing);
    tcase_add_test(life, short_of_memory);
    suite_add_tcase(suite, life);
    return trib_test_run(suite);
}
