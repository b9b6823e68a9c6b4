/* What nodes may use: calls, messages, bytes, lines of the log. Time is the test's. */
#include "../../../server/rpc/nodes.h"
#include "fail_memory.h"
#include "test_main.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct trib_node_limits usual = {.calls = 3, .messages = 10, .pause_ms = 5000, .upload_rate = 1000};

static struct trib_nodes *nodes;
static struct trib_error error;

static void start(void)
{
    nodes = trib_nodes_new(&usual);
    ck_assert_ptr_nonnull(nodes);
}

static void stop(void)
{
    trib_nodes_free(nodes);
}

static struct trib_node *enter(const char *name, int64_t now_ms)
{
    struct trib_node *node = NULL;
    enum trib_status status = trib_nodes_enter(nodes, name, "ipv4:10.0.0.1:1", now_ms, &node, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    return node;
}

START_TEST(calls_at_a_time)
{
    struct trib_node *node = enter("a", 0), *other = NULL;
    (void)enter("a", 0);
    (void)enter("a", 0);
    ck_assert_int_eq(trib_nodes_enter(nodes, "a", "ipv4:10.0.0.1:1", 0, &other, &error), TRIB_LIMIT);
    ck_assert_str_eq(error.message, "this node has 3 calls open, as many as it may (limits.calls); end some first");
    ck_assert_ptr_null(other);
    (void)enter("b", 0); /* others are not concerned */
    trib_nodes_leave(nodes, node);
    ck_assert_ptr_eq(enter("a", 0), node);
}
END_TEST

/* Four seconds' worth at once and some more for the connection; then the pause, then it begins anew. */
START_TEST(messages_in_a_second)
{
    struct trib_node *node = enter("a", 1000), *other = NULL;
    int n = 0;
    while (trib_nodes_message(nodes, node, 1000, &error) == TRIB_OK) {
        n++;
    }
    ck_assert_int_eq(n, 40);
    ck_assert_str_eq(error.message, "messages come faster than they can be taken: more than 10 a second "
                                    "(limits.messages); come back in 5 s");
    trib_nodes_leave(nodes, node);
    ck_assert_int_eq(trib_nodes_enter(nodes, "a", "ipv4:10.0.0.1:1", 3500, &other, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "come back in 3 s"), "%s", error.message);
    (void)enter("b", 3500);
    node = enter("a", 6000);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(trib_nodes_message(nodes, node, 6000, &error), TRIB_OK);
    }
}
END_TEST

START_TEST(paused_by_others)
{
    struct trib_node *node = enter("a", 0), *other = NULL;
    ck_assert_int_eq(trib_nodes_pause(nodes, node, 100, &error), TRIB_LIMIT);
    ck_assert_str_eq(error.message, "messages come faster than they can be taken; come back in 5 s");
    ck_assert_int_eq(trib_nodes_enter(nodes, "a", "", 5099, &other, &error), TRIB_LIMIT);
    ck_assert_int_eq(trib_nodes_enter(nodes, "a", "", 5100, &other, &error), TRIB_OK);
}
END_TEST

/* At the rate itself it goes on for ever. */
START_TEST(messages_at_the_rate)
{
    struct trib_node *node = enter("a", 0);
    bool all = true;
    for (int64_t now_ms = 0; now_ms < 1000000; now_ms += 100) {
        all = all && trib_nodes_message(nodes, node, now_ms, &error) == TRIB_OK;
    }
    ck_assert(all);
}
END_TEST

/* A new connection for every call costs more than calls on one. */
START_TEST(connection_after_connection)
{
    int n[2] = {0, 0};
    for (int fresh = 0; fresh < 2; fresh++) {
        char name[16], address[32];
        struct trib_node *node;
        snprintf(name, sizeof name, "n%d", fresh);
        for (int i = 0; i < 1000; i++) {
            snprintf(address, sizeof address, "ipv4:10.0.0.1:%d", fresh ? i : 1);
            if (trib_nodes_enter(nodes, name, address, 0, &node, &error) != TRIB_OK) {
                break;
            }
            trib_nodes_leave(nodes, node);
            n[fresh]++;
        }
    }
    ck_assert_int_eq(n[0], 41);
    ck_assert_int_eq(n[1], 2);
}
END_TEST

START_TEST(bytes_in_a_second)
{
    struct trib_node *node = enter("a", 0);
    ck_assert_int_eq(trib_nodes_upload(nodes, node, 500, 0), 500);
    ck_assert_int_eq(trib_nodes_upload(nodes, node, 500, 500), 500);
    ck_assert_int_eq(trib_nodes_upload(nodes, node, 2000, 500), 2500);
    ck_assert_int_eq(trib_nodes_upload(nodes, node, 100, 100000), 100); /* silence saves nothing up */
    struct trib_node_limits boundless = usual;
    boundless.upload_rate = 0;
    struct trib_nodes *others = trib_nodes_new(&boundless);
    ck_assert_int_eq(trib_nodes_enter(others, "a", "", 0, &node, &error), TRIB_OK);
    ck_assert_int_eq(trib_nodes_upload(others, node, (size_t)1 << 40, 0), 0);
    trib_nodes_leave(others, node);
    trib_nodes_free(others);
}
END_TEST

START_TEST(lines_of_the_log)
{
    int64_t suppressed = -1, hidden = 0;
    int n = 0;
    for (int i = 0; i < 100; i++) {
        n += trib_nodes_may_log(nodes, "a", 0, &suppressed);
    }
    ck_assert_int_eq(n, 50);
    ck_assert(trib_nodes_may_log(nodes, "b", 0, &hidden) && hidden == 0);
    ck_assert(trib_nodes_may_log(nodes, "a", 1000, &suppressed) && suppressed == 50);
    ck_assert(!trib_nodes_may_log(nodes, "a", 1001, &suppressed));
}
END_TEST

/* Any number of names may come; those that left and have no pause go. */
START_TEST(forgetting)
{
    struct trib_node *kept = enter("kept", 0);
    for (int i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        trib_nodes_leave(nodes, enter(name, i * 10));
    }
    ck_assert_uint_le(trib_nodes_count(nodes), 2000);
    ck_assert_ptr_eq(enter("kept", 60000), kept);
    (void)enter("last", 1000000);
    ck_assert_uint_eq(trib_nodes_count(nodes), 2);
}
END_TEST

START_TEST(short_of_memory)
{
    struct trib_node *node = NULL;
    int64_t after = 0;
    for (enum trib_status status = TRIB_NO_MEMORY; status != TRIB_OK; after++) {
        fail_memory_after(after, false);
        status = trib_nodes_enter(nodes, "a", "", 0, &node, &error);
        fail_memory_after(-1, false);
        ck_assert(status == TRIB_OK || status == TRIB_NO_MEMORY);
    }
    ck_assert_int_ge(after, 3);
    trib_nodes_leave(nodes, node);
    for (after = 0; after < 3; after++) {
        fail_memory_after(after, true);
        trib_nodes_free(trib_nodes_new(&usual));
        fail_memory_after(-1, false);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nodes");
    TCase *limits = tcase_create("limits");
    tcase_add_checked_fixture(limits, start, stop);
    tcase_add_test(limits, calls_at_a_time);
    tcase_add_test(limits, messages_in_a_second);
    tcase_add_test(limits, paused_by_others);
    tcase_add_test(limits, messages_at_the_rate);
    tcase_add_test(limits, connection_after_connection);
    tcase_add_test(limits, bytes_in_a_second);
    tcase_add_test(limits, lines_of_the_log);
    tcase_add_test(limits, forgetting);
    tcase_add_test(limits, short_of_memory);
    suite_add_tcase(suite, limits);
    return trib_test_run(suite);
}
