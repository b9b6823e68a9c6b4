/* The connection alone: what becomes of it in each state, when it wants to be woken, what it tells. */
#include "../../../client/core/connection.h"
#include "machine_fixture.h"

enum { MIN_MS = 500, MAX_MS = 60000, STATES = TRIB_CONNECTION_ENDED + 1 };

struct fixture {
    struct machine_turn t;
    struct trib_connection *connection;
    uint64_t job; /* of the stream */
    uint32_t chunk_bytes;
};

static char *text_of(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    return cast.out;
}

static bool welcome_with(struct fixture *f, const char *run, uint32_t protocol, uint32_t seconds, uint32_t chunk)
{
    Tributary__V1__Welcome message = TRIBUTARY__V1__WELCOME__INIT;
    message.run = text_of(run);
    message.protocol = protocol;
    message.progress_seconds = seconds;
    message.chunk_bytes = chunk;
    return trib_connection_welcome(f->connection, &f->t.turn, &message, &f->chunk_bytes);
}

static bool welcome(struct fixture *f)
{
    return welcome_with(f, "run-1", TRIB_PROTOCOL_VERSION, 10, 0);
}

static void wake(struct fixture *f)
{
    int64_t at = trib_connection_wake_ms(f->connection);
    ck_assert_int_lt(at, INT64_MAX);
    f->t.turn.now_ms = at > f->t.turn.now_ms ? at : f->t.turn.now_ms;
}

static void bring_to(struct fixture *f, enum trib_connection_state state)
{
    static const char *const tags[] = {"ward-3"};
    const struct trib_session_config config = {.node = "boat-7",
                                               .software = "test 1",
                                               .tags = tags,
                                               .n_tags = 1,
                                               .threads = 2,
                                               .reconnect_min_ms = MIN_MS,
                                               .reconnect_max_ms = MAX_MS,
                                               .seed = 1};
    *f = (struct fixture){.job = 0};
    turn_init(&f->t);
    f->connection = trib_connection_new(&config, f->t.turn.now_ms);
    ck_assert_ptr_nonnull(f->connection);
    if (state == TRIB_CONNECTION_ENDED) {
        trib_connection_end(f->connection, &f->t.turn, TRIB_OK, "");
    } else if (state >= TRIB_CONNECTION_CONNECTING) {
        ck_assert(!trib_connection_tick(f->connection, &f->t.turn));
        ck_assert_str_eq(did(&f->t), "C");
        f->job = f->t.job;
        if (state >= TRIB_CONNECTION_GREETING) {
            trib_connection_connected(f->connection, &f->t.turn, f->job);
        }
        if (state >= TRIB_CONNECTION_ONLINE) {
            ck_assert(!welcome(f));
        }
    }
    (void)did(&f->t);
    ck_assert_int_eq(trib_connection_state(f->connection), state);
}

/* ---- the table ---- */

static bool connected(struct fixture *f)
{
    trib_connection_connected(f->connection, &f->t.turn, f->job);
    return false;
}

static bool connected_late(struct fixture *f)
{
    trib_connection_connected(f->connection, &f->t.turn, f->job + 1);
    return false;
}

static bool disconnected(struct fixture *f)
{
    const struct trib_session_event event = {.job = f->job, .status = TRIB_UNAVAILABLE};
    return trib_connection_disconnected(f->connection, &f->t.turn, &event);
}

static bool disconnected_late(struct fixture *f)
{
    const struct trib_session_event event = {.job = f->job + 1, .status = TRIB_UNAVAILABLE};
    return trib_connection_disconnected(f->connection, &f->t.turn, &event);
}

static bool tick_when_due(struct fixture *f)
{
    if (trib_connection_wake_ms(f->connection) < INT64_MAX) {
        wake(f);
    }
    return trib_connection_tick(f->connection, &f->t.turn);
}

static bool tick_early(struct fixture *f)
{
    f->t.turn.now_ms--;
    return trib_connection_tick(f->connection, &f->t.turn);
}

static bool say_goodbye(struct fixture *f)
{
    trib_connection_say_goodbye(f->connection, &f->t.turn, "tired");
    return false;
}

START_TEST(each_state_takes_each_event)
{
    enum { OFF = TRIB_CONNECTION_OFFLINE, CON = TRIB_CONNECTION_CONNECTING, GRE = TRIB_CONNECTION_GREETING };
    enum { ON = TRIB_CONNECTION_ONLINE, END = TRIB_CONNECTION_ENDED };
    static const struct {
        const char *what;
        bool (*event)(struct fixture *f);
        struct {
            int state;       /* afterwards */
            const char *did; /* in the turn */
            bool lost;
        } then[STATES]; /* by the state before: offline, connecting, greeting, online, ended */
    } rows[] = {
        {"connected", connected, {{OFF, "", 0}, {GRE, "S", 0}, {GRE, "", 0}, {ON, "", 0}, {END, "", 0}}},
        {"connected, another job",
         connected_late,
         {{OFF, "", 0}, {CON, "", 0}, {GRE, "", 0}, {ON, "", 0}, {END, "", 0}}},
        {"disconnected", disconnected, {{OFF, "", 0}, {OFF, "", 1}, {OFF, "", 1}, {OFF, "", 1}, {END, "", 0}}},
        {"disconnected, another job",
         disconnected_late,
         {{OFF, "", 0}, {CON, "", 0}, {GRE, "", 0}, {ON, "", 0}, {END, "", 0}}},
        {"tick", tick_when_due, {{CON, "C", 0}, {OFF, "X", 1}, {OFF, "X", 1}, {ON, "", 0}, {END, "", 0}}},
        {"early tick", tick_early, {{OFF, "", 0}, {CON, "", 0}, {GRE, "", 0}, {ON, "", 0}, {END, "", 0}}},
        {"goodbye", say_goodbye, {{OFF, "", 0}, {CON, "", 0}, {GRE, "S", 0}, {ON, "S", 0}, {END, "", 0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int state = 0; state < STATES; state++) {
            struct fixture f;
            bring_to(&f, (enum trib_connection_state)state);
            bool lost = rows[i].event(&f);
            const char *done = did(&f.t);
            ck_assert_msg(strcmp(done, rows[i].then[state].did) == 0, "%s in state %d: did %s", rows[i].what, state,
                          done);
            ck_assert_msg((int)trib_connection_state(f.connection) == rows[i].then[state].state,
                          "%s in state %d: state %d", rows[i].what, state, (int)trib_connection_state(f.connection));
            ck_assert_msg(lost == rows[i].then[state].lost, "%s in state %d: lost %d", rows[i].what, state, lost);
            trib_connection_free(f.connection);
        }
    }
}
END_TEST

START_TEST(only_a_stream_that_stands_is_heard)
{
    static const bool heard[STATES] = {[TRIB_CONNECTION_GREETING] = true, [TRIB_CONNECTION_ONLINE] = true};
    for (int state = 0; state < STATES; state++) {
        struct fixture f;
        bring_to(&f, (enum trib_connection_state)state);
        ck_assert(trib_connection_hears(f.connection, f.job) == heard[state]);
        ck_assert(!trib_connection_hears(f.connection, f.job + 1));
        trib_connection_free(f.connection);
    }
}
END_TEST

/* ---- the welcome ---- */

START_TEST(a_welcome_that_is_none_loses_the_connection)
{
    static const struct {
        const char *run;
        uint32_t protocol;
        bool lost;
    } rows[] = {
        {"run-1", TRIB_PROTOCOL_VERSION, false},    {"run-1", TRIB_PROTOCOL_LEAST, false},
        {"run-1", TRIB_PROTOCOL_VERSION + 1, true}, {"run-1", TRIB_PROTOCOL_LEAST - 1, true},
        {"", TRIB_PROTOCOL_VERSION, true},          {"run 1", TRIB_PROTOCOL_VERSION, true},
        {"run\x7f", TRIB_PROTOCOL_VERSION, true},   {"123456789012345678901234567890123", TRIB_PROTOCOL_VERSION, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        bring_to(&f, TRIB_CONNECTION_GREETING);
        ck_assert_msg(welcome_with(&f, rows[i].run, rows[i].protocol, 10, 0) == rows[i].lost, "row %zu", i);
        ck_assert_str_eq(did(&f.t), rows[i].lost ? "X" : "");
        ck_assert_int_eq(trib_connection_state(f.connection),
                         rows[i].lost ? TRIB_CONNECTION_OFFLINE : TRIB_CONNECTION_ONLINE);
        trib_connection_free(f.connection);
    }
    struct fixture f;
    bring_to(&f, TRIB_CONNECTION_ONLINE);
    ck_assert(welcome(&f)); /* a second one */
    trib_connection_free(f.connection);
}
END_TEST

START_TEST(the_chunk_is_within_bounds)
{
    static const uint32_t said[][2] = {{0, TRIB_CHUNK_PAYLOAD},
                                       {1, TRIB_CHUNK_LEAST},
                                       {TRIB_CHUNK_LEAST + 1, TRIB_CHUNK_LEAST + 1},
                                       {UINT32_MAX, TRIB_CHUNK_PAYLOAD}};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct fixture f;
        bring_to(&f, TRIB_CONNECTION_GREETING);
        ck_assert(!welcome_with(&f, "run-1", TRIB_PROTOCOL_VERSION, 10, said[i][0]));
        ck_assert_uint_eq(f.chunk_bytes, said[i][1]);
        trib_connection_free(f.connection);
    }
}
END_TEST

/* ---- waiting ---- */

START_TEST(a_server_says_how_long_to_stay_away)
{
    struct fixture f;
    bring_to(&f, TRIB_CONNECTION_ONLINE);
    trib_connection_send_away(f.connection, &f.t.turn, "busy", 100);
    ck_assert_str_eq(did(&f.t), "X");
    int64_t wait_ms = trib_connection_wake_ms(f.connection) - f.t.turn.now_ms;
    ck_assert_int_ge(wait_ms, 100000);
    ck_assert_int_le(wait_ms, 110000 + MIN_MS);
    trib_connection_free(f.connection);
    bring_to(&f, TRIB_CONNECTION_ONLINE);
    trib_connection_send_away(f.connection, &f.t.turn, "for ever", UINT32_MAX);
    ck_assert_int_le(trib_connection_wake_ms(f.connection) - f.t.turn.now_ms,
                     3960000 + MIN_MS); /* an hour and a tenth */
    (void)did(&f.t);
    trib_connection_free(f.connection);
}
END_TEST

START_TEST(too_many_ignored_messages_lose_the_connection)
{
    struct fixture f;
    bring_to(&f, TRIB_CONNECTION_ONLINE);
    for (int i = 0; i < 100; i++) {
        ck_assert(!trib_connection_ignore(f.connection, &f.t.turn, "task", "sent twice"));
        ck_assert_str_eq(did(&f.t), "");
    }
    ck_assert(trib_connection_ignore(f.connection, &f.t.turn, "task", "sent twice"));
    ck_assert_str_eq(did(&f.t), "X");
    wake(&f);
    ck_assert(!trib_connection_tick(f.connection, &f.t.turn));
    ck_assert_str_eq(did(&f.t), "C");
    trib_connection_connected(f.connection, &f.t.turn, f.t.job);
    ck_assert(!welcome(&f));
    ck_assert(!trib_connection_ignore(f.connection, &f.t.turn, "task", "sent twice")); /* counted anew */
    (void)did(&f.t);
    trib_connection_free(f.connection);
}
END_TEST

/* ---- the beat and the device ---- */

START_TEST(the_beat_is_told_twice_as_often_as_asked_for)
{
    struct fixture f;
    bring_to(&f, TRIB_CONNECTION_ONLINE);
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), INT64_MAX);
    trib_connection_beat(f.connection, &f.t.turn, 3, "train"); /* it rests */
    ck_assert_str_eq(did(&f.t), "");
    trib_connection_begin_beat(f.connection, f.t.turn.now_ms);
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), f.t.turn.now_ms + 5000);
    trib_connection_beat(f.connection, &f.t.turn, 3, "train"); /* it is not due */
    ck_assert_str_eq(did(&f.t), "");
    wake(&f);
    trib_connection_beat(f.connection, &f.t.turn, 3, "train");
    ck_assert_str_eq(did(&f.t), "S");
    ck_assert_int_eq(f.t.said, TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS);
    ck_assert_uint_eq(f.t.said_round, 3);
    ck_assert_str_eq(f.t.said_phase, "train");
    ck_assert(!f.t.said_device);
    wake(&f);
    trib_connection_beat(f.connection, &f.t.turn, 3, NULL); /* not busy: nothing to say, but it goes on */
    ck_assert_str_eq(did(&f.t), "");
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), f.t.turn.now_ms + 5000);
    trib_connection_rest(f.connection);
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), INT64_MAX);
    trib_connection_begin_beat(f.connection, f.t.turn.now_ms);
    ck_assert(disconnected(&f)); /* the next connection begins without one */
    wake(&f);
    ck_assert(!trib_connection_tick(f.connection, &f.t.turn));
    trib_connection_connected(f.connection, &f.t.turn, f.t.turn.last_job);
    ck_assert(!welcome(&f));
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), INT64_MAX);
    (void)did(&f.t);
    trib_connection_free(f.connection);
}
END_TEST

START_TEST(a_changed_device_is_told_once_and_not_too_often)
{
    static const struct trib_device metered = {.metered = true};
    struct fixture f;
    bring_to(&f, TRIB_CONNECTION_ONLINE);
    const int64_t told_ms = f.t.turn.now_ms; /* by Hello */
    trib_connection_see_device(f.connection, f.t.turn.now_ms, &metered);
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), told_ms + 60000);
    wake(&f);
    trib_connection_tell_device(f.connection, &f.t.turn, false);
    ck_assert_str_eq(did(&f.t), "S");
    ck_assert(f.t.said_device);
    ck_assert_str_eq(f.t.said_phase, "idle");
    trib_connection_see_device(f.connection, f.t.turn.now_ms, &metered); /* no news */
    ck_assert_int_eq(trib_connection_wake_ms(f.connection), INT64_MAX);
    trib_connection_see_device(f.connection, f.t.turn.now_ms, &(struct trib_device){0});
    wake(&f);
    trib_connection_tell_device(f.connection, &f.t.turn, true); /* the next beat tells it */
    ck_assert_str_eq(did(&f.t), "");
    trib_connection_begin_beat(f.connection, f.t.turn.now_ms);
    wake(&f);
    trib_connection_beat(f.connection, &f.t.turn, 3, "upload");
    ck_assert_str_eq(did(&f.t), "S");
    ck_assert(f.t.said_device);
    trib_connection_free(f.connection);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("connection");
    TCase *tests = tcase_create("connection");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, each_state_takes_each_event);
    tcase_add_test(tests, only_a_stream_that_stands_is_heard);
    tcase_add_test(tests, a_welcome_that_is_none_loses_the_connection);
    tcase_add_test(tests, the_chunk_is_within_bounds);
    tcase_add_test(tests, a_server_says_how_long_to_stay_away);
    tcase_add_test(tests, too_many_ignored_messages_lose_the_connection);
    tcase_add_test(tests, the_beat_is_told_twice_as_often_as_asked_for);
    tcase_add_test(tests, a_changed_device_is_told_once_and_not_too_often);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
