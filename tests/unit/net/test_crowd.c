/* Who counts as one address, how many strangers of it may come, and how fast. Time is the test's. */
#include "../../../common/net/crowd.h"
#include "test_main.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct trib_net_crowd *crowd;
static int fds[64]; /* of connections that are there, so to speak */
enum { FDS = sizeof fds / sizeof fds[0] };

static void start(void)
{
    for (int i = 0; i < FDS; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fds[i], 0);
    }
}

static void stop(void)
{
    trib_net_crowd_free(crowd);
    crowd = NULL;
    for (int i = 0; i < FDS; i++) {
        close(fds[i]);
    }
}

static struct trib_net_place place(const char *host, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct trib_net_place made;
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&address, &v6, sizeof v6);
    } else {
        ck_assert_int_eq(inet_pton(AF_INET, host, &v4.sin_addr), 1);
        memcpy(&address, &v4, sizeof v4);
    }
    ck_assert(trib_net_place_of(&address, &made));
    return made;
}

/* A connection from there; whether it may come in. */
static bool comes(const char *host, int number, int64_t now_ms)
{
    const struct trib_net_place from = place(host, (uint16_t)(1000 + number));
    return !trib_net_crowd_judge(crowd, &from, fds[number], now_ms);
}

START_TEST(addresses_as_they_are_written)
{
    static const char *const hosts[] = {"10.1.2.3", "2001:db8:0:1::7", "::1"};
    static const char *const texts[] = {"ipv4:10.1.2.3:443", "ipv6:[2001:db8:0:1::7]:443", "ipv6:[::1]:443"};
    struct trib_net_place read;
    char host[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        const struct trib_net_place made = place(hosts[i], 443);
        ck_assert(trib_net_place_of_text(texts[i], &read));
        ck_assert_mem_eq(read.ip, made.ip, sizeof made.ip);
        ck_assert_uint_eq(read.port, 443);
        ck_assert_str_eq(trib_net_place_host(&read, host), hosts[i]);
    }
    ck_assert(trib_net_place_of_text("ipv6:[fe80::1%eth0]:5", &read));
    ck_assert_str_eq(trib_net_place_host(&read, host), "fe80::1");
    ck_assert_uint_eq(read.port, 5);
    static const char *const wrong[] = {"",
                                        "ipv4:",
                                        "ipv4:10.1.2.3",
                                        "ipv4:10.1.2.3:65536",
                                        "ipv4:a:1",
                                        "unix:/tmp/a:1",
                                        "ipv6:[10.1.2.3]:1",
                                        "ipv4:10.1.2.3:-1",
                                        "ipv6::",
                                        "ipv6:[1::2::3]:4",
                                        "ipv4:10.1.2.3.4:80"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(!trib_net_place_of_text(wrong[i], &read), "%s", wrong[i]);
    }
    const struct sockaddr_storage other = {.ss_family = AF_UNIX};
    ck_assert(!trib_net_place_of(&other, &read));
}
END_TEST

START_TEST(ipv6_counts_by_its_network)
{
    crowd = trib_net_crowd_new(2, 0);
    ck_assert(comes("2001:db8:0:1::1", 0, 0));
    ck_assert(comes("2001:db8:0:1:ffff:ffff:ffff:ffff", 1, 0));
    const struct trib_net_place third = place("2001:db8:0:1:8000::", 9);
    ck_assert_str_eq(trib_net_crowd_judge(crowd, &third, fds[2], 0),
                     "too many connections of this address have shown no certificate yet (limits.strangers)");
    ck_assert(comes("2001:db8:0:2::1", 3, 0)); /* the next network */
    ck_assert(comes("2001:db8:1:1::1", 4, 0));
    ck_assert_uint_eq(trib_net_crowd_count(crowd), 4);
}
END_TEST

START_TEST(ipv4_counts_by_its_address)
{
    crowd = trib_net_crowd_new(1, 0);
    ck_assert(comes("10.0.0.1", 0, 0));
    ck_assert(!comes("10.0.0.1", 1, 0));
    ck_assert(comes("10.0.0.2", 2, 0));
    ck_assert(!comes("::ffff:10.0.0.2", 3, 0)); /* the same in IPv6's form */
    ck_assert(comes("::ffff:10.0.0.3", 4, 0));
}
END_TEST

START_TEST(the_rate_counts_networks_too)
{
    crowd = trib_net_crowd_new(0, 1);
    for (int i = 0; i < 5; i++) {
        ck_assert(comes(i % 2 ? "2001:db8::1" : "2001:db8::2", i, 0));
    }
    ck_assert(!comes("2001:db8::3", 5, 0));
    ck_assert(comes("2001:db8:0:1::1", 6, 0));
}
END_TEST

/* Five seconds' worth at once, then by the second; an idle hour is worth no more than five seconds. */
START_TEST(a_meter_fills_up_to_its_cap)
{
    crowd = trib_net_crowd_new(0, 2);
    int n = 0;
    for (int64_t now_ms = 0; now_ms <= 3600000; now_ms += 3600000, n = 0) {
        while (comes("10.0.0.1", n % FDS, now_ms)) {
            n++;
        }
        ck_assert_int_eq(n, 10);
    }
    const struct trib_net_place from = place("10.0.0.1", 9);
    ck_assert_str_eq(trib_net_crowd_judge(crowd, &from, fds[0], 3600000),
                     "too many connections of this address in a short time (limits.connections)");
    ck_assert(!comes("10.0.0.1", 0, 3600499));
    ck_assert(comes("10.0.0.1", 0, 3600500)); /* half a second is one connection */
    ck_assert(!comes("10.0.0.1", 0, 3600999));
    ck_assert(comes("10.0.0.1", 0, 3601000));
}
END_TEST

START_TEST(those_that_are_known_or_gone_are_no_strangers)
{
    crowd = trib_net_crowd_new(2, 0);
    ck_assert(comes("10.0.0.1", 0, 0) && comes("10.0.0.1", 1, 0) && !comes("10.0.0.1", 2, 0));
    struct trib_net_place known = place("10.0.0.1", 1005); /* another port: nobody */
    trib_net_crowd_known(crowd, &known);
    ck_assert(!comes("10.0.0.1", 2, 0));
    known = place("10.0.0.2", 1000);
    trib_net_crowd_known(crowd, &known);
    ck_assert(!comes("10.0.0.1", 2, 0));
    known = place("10.0.0.1", 1000);
    trib_net_crowd_known(crowd, &known);
    ck_assert_uint_eq(trib_net_crowd_count(crowd), 1);
    ck_assert(comes("10.0.0.1", 2, 0) && !comes("10.0.0.1", 3, 0));
    close(fds[1]); /* it hung up; found when there are too many */
    ck_assert(comes("10.0.0.1", 3, 0) && !comes("10.0.0.1", 4, 0));
    /* The number of one that has gone is another file now. */
    int pipes[2];
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    ck_assert_int_eq(dup2(pipes[0], fds[2]), fds[2]);
    ck_assert(comes("10.0.0.1", 4, 0) && !comes("10.0.0.1", 5, 0));
    close(pipes[0]);
    close(pipes[1]);
    fds[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
END_TEST

/* Those that have gone are looked for once a second. */
START_TEST(the_gone_are_swept)
{
    crowd = trib_net_crowd_new(0, 0);
    ck_assert(comes("10.0.0.1", 0, 5000) && comes("10.0.0.2", 1, 5000));
    close(fds[0]);
    ck_assert(comes("10.0.0.3", 2, 5999));
    ck_assert_uint_eq(trib_net_crowd_count(crowd), 3);
    ck_assert(comes("10.0.0.4", 3, 6000));
    ck_assert_uint_eq(trib_net_crowd_count(crowd), 3);
    fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
END_TEST

START_TEST(strangers_of_all_addresses_are_bounded)
{
    crowd = trib_net_crowd_new(3, 0);
    for (int i = 0; i < TRIB_NET_CROWD_STRANGERS; i++) {
        char host[32];
        snprintf(host, sizeof host, "10.1.%d.%d", i / 256, i % 256);
        ck_assert(comes(host, i % FDS, 0));
    }
    const struct trib_net_place late = place("10.9.9.9", 1);
    ck_assert_str_eq(trib_net_crowd_judge(crowd, &late, fds[0], 0),
                     "too many connections have shown no certificate yet");
    const struct trib_net_place known = place("10.1.0.7", 1007);
    trib_net_crowd_known(crowd, &known);
    ck_assert(comes("10.9.9.9", 0, 0));
    ck_assert(!comes("10.9.9.8", 0, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crowd");
    TCase *tests = tcase_create("crowd");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, addresses_as_they_are_written);
    tcase_add_test(tests, ipv6_counts_by_its_network);
    tcase_add_test(tests, ipv4_counts_by_its_address);
    tcase_add_test(tests, the_rate_counts_networks_too);
    tcase_add_test(tests, a_meter_fills_up_to_its_cap);
    tcase_add_test(tests, those_that_are_known_or_gone_are_no_strangers);
    tcase_add_test(tests, the_gone_are_swept);
    tcase_add_test(tests, strangers_of_all_addresses_are_bounded);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
