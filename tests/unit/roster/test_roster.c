/* A roster: numbers that stay, sessions that come, are replaced and go, and who may be picked. */
#include "roster/roster.h"

#include "test_main.h"

#include <stdio.h>
#include <string.h>

struct fake {
    struct trib_peer peer; /* first */
    int refs;
    unsigned closed, sent;
    bool final;
    uint32_t retry_seconds;
    char reason[64];
};

static struct trib_error error;
static struct trib_roster *roster;

static enum trib_status send_message(struct trib_peer *peer, const ProtobufCMessage *message)
{
    (void)message;
    ((struct fake *)(void *)peer)->sent++;
    return TRIB_OK;
}

static void close_session(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds)
{
    struct fake *fake = (struct fake *)(void *)peer;
    fake->closed++;
    fake->final = final;
    fake->retry_seconds = retry_seconds;
    snprintf(fake->reason, sizeof fake->reason, "%s", reason);
}

static struct trib_peer *ref(struct trib_peer *peer)
{
    ((struct fake *)(void *)peer)->refs++;
    return peer;
}

static void unref(struct trib_peer *peer)
{
    ((struct fake *)(void *)peer)->refs--;
}

static const struct trib_peer_ops ops = {.send = send_message, .close = close_session, .ref = ref, .unref = unref};

static void set_up(void)
{
    const struct trib_filters filters = {.min_battery = 30};
    ck_assert_int_eq(trib_roster_new(&filters, &roster, &error), TRIB_OK);
}

static void tear_down(void)
{
    trib_roster_free(roster);
}

static uint32_t add(const char *node)
{
    uint32_t number = UINT32_MAX;
    ck_assert_int_eq(trib_roster_add(roster, node, &number), TRIB_OK);
    return number;
}

static void join(uint32_t number, struct fake *fake, const struct trib_introduction *introduction)
{
    *fake = (struct fake){.peer = {.ops = &ops}};
    ck_assert_int_eq(trib_roster_join(roster, number, &fake->peer, introduction, 1000 + number), TRIB_OK);
}

START_TEST(numbers_count_from_0_and_stay)
{
    char node[16];
    uint32_t found;
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(node, sizeof node, "n%u", i);
        ck_assert(!trib_roster_find(roster, node, &found));
        ck_assert_uint_eq(add(node), i);
    }
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(node, sizeof node, "n%u", i);
        ck_assert(trib_roster_find(roster, node, &found));
        ck_assert_uint_eq(found, i);
        ck_assert_str_eq(trib_roster_node(roster, i), node);
    }
    ck_assert_uint_eq(trib_roster_known(roster), 100);
    ck_assert_uint_eq(trib_roster_connected(roster), 0);
}
END_TEST

START_TEST(sessions_come_and_go)
{
    struct fake fake;
    uint32_t a = add("a"), who;
    const struct trib_introduction introduction = {.address = "here", .examples = 7, .takes_deltas = true};
    ck_assert_ptr_null(trib_roster_session(roster, a));
    join(a, &fake, &introduction);
    ck_assert_int_eq(fake.refs, 1);
    ck_assert_uint_eq(trib_roster_connected(roster), 1);
    ck_assert(trib_roster_of_peer(roster, &fake.peer, &who));
    ck_assert_uint_eq(who, a);
    const struct trib_session_facts *facts = trib_roster_session(roster, a);
    ck_assert_str_eq(facts->said.address, "here");
    ck_assert_uint_eq(facts->said.examples, 7);
    ck_assert(facts->said.takes_deltas && !facts->graph_sent && !facts->holds_model);
    trib_roster_note_graph(roster, a, true);
    trib_roster_note_held(roster, a, 12);
    ck_assert(facts->graph_sent && facts->holds_model);
    ck_assert_uint_eq(facts->held, 12);
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    trib_roster_send(roster, a, &message);
    ck_assert_uint_eq(fake.sent, 1);
    trib_roster_end(roster, a, NULL, false, 0);
    ck_assert_int_eq(fake.refs, 0);
    ck_assert_uint_eq(fake.closed, 0);
    ck_assert_uint_eq(trib_roster_connected(roster), 0);
    ck_assert(!trib_roster_of_peer(roster, &fake.peer, &who));
    trib_roster_send(roster, a, &message); /* it is away, and not told */
    ck_assert_uint_eq(fake.sent, 1);
    join(a, &fake, &introduction);
    ck_assert(!trib_roster_session(roster, a)->graph_sent && !trib_roster_session(roster, a)->holds_model);
    ck_assert_uint_eq(trib_roster_joined(roster, a), 2);
    ck_assert_int_eq(trib_roster_first_seen_ms(roster, a), 1000 + (int64_t)a);
    trib_roster_end(roster, a, NULL, false, 0);
}
END_TEST

START_TEST(a_session_that_was_replaced_is_nobody_s)
{
    struct fake first, second;
    uint32_t a = add("a"), who;
    const struct trib_introduction introduction = {0};
    join(a, &first, &introduction);
    trib_roster_end(roster, a, "another has come", false, 30);
    ck_assert_str_eq(first.reason, "another has come");
    ck_assert_uint_eq(first.retry_seconds, 30);
    join(a, &second, &introduction);
    ck_assert(!trib_roster_of_peer(roster, &first.peer, &who));
    ck_assert(trib_roster_of_peer(roster, &second.peer, &who));
    ck_assert_uint_eq(trib_roster_connected(roster), 1);
    trib_roster_end_all(roster, "over", true, 0);
    ck_assert(second.final && !first.final);
    ck_assert_uint_eq(trib_roster_connected(roster), 0);
}
END_TEST

START_TEST(filters_and_news_of_the_machine)
{
    struct fake fake;
    uint32_t a = add("a"), b = add("b");
    const struct trib_introduction left_out = {.filtered = "it lacks a tag", .device = {.metered = true}};
    join(a, &fake, &left_out);
    ck_assert(!trib_roster_eligible(roster, a));
    ck_assert_str_eq(trib_roster_filtered(roster, a), "it lacks a tag"); /* before the metered line */
    const struct trib_introduction fine = {.device = {.metered = false}};
    struct fake other;
    join(b, &other, &fine);
    ck_assert(trib_roster_eligible(roster, b));
    const struct trib_client_device low = {.on_battery = true, .battery_percent = 29},
                                    enough = {.on_battery = true, .battery_percent = 30};
    ck_assert(trib_roster_device(roster, b, &low));
    ck_assert(!trib_roster_device(roster, b, &low)); /* nothing has changed */
    ck_assert_ptr_nonnull(strstr(trib_roster_filtered(roster, b), "battery"));
    ck_assert(trib_roster_device(roster, b, &enough));
    ck_assert(trib_roster_eligible(roster, b));
    trib_roster_end(roster, b, NULL, false, 0);
    ck_assert(!trib_roster_device(roster, b, &low));
    trib_roster_end(roster, a, NULL, false, 0);
}
END_TEST

START_TEST(what_an_earlier_process_knew)
{
    struct fake fake;
    uint32_t a = add("a");
    const struct trib_introduction introduction = {0};
    trib_roster_recall(roster, a, 77, 5);
    join(a, &fake, &introduction);
    ck_assert_int_eq(trib_roster_first_seen_ms(roster, a), 77);
    ck_assert_uint_eq(trib_roster_joined(roster, a), 6);
    trib_roster_end(roster, a, NULL, false, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("roster");
    TCase *tcase = tcase_create("roster");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, numbers_count_from_0_and_stay);
    tcase_add_test(tcase, sessions_come_and_go);
    tcase_add_test(tcase, a_session_that_was_replaced_is_nobody_s);
    tcase_add_test(tcase, filters_and_news_of_the_machine);
    tcase_add_test(tcase, what_an_earlier_process_knew);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
