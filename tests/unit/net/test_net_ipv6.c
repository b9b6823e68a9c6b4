/* Block net over IPv6: who a call comes from, and a door that counts strangers by their network. Passes with a word
 * where the machine has no IPv6. */
#include "net_fixture.h"
#include "test_main.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 8, MOST = 3 };

static struct sockaddr_in6 loopback(int port)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 address = loopback(0);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool have = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return have;
}

static int raw_connection(int port)
{
    struct sockaddr_in6 address = loopback(port);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Those that the server has reset, once it has reset so many as are expected, or the time is over. */
static int count_reset(const int fds[CONNECTIONS], int expected)
{
    bool gone[CONNECTIONS] = {false};
    int n = 0;
    for (int64_t until_ms = trib_clock_ms() + WAIT_S * 1000; n < expected && trib_clock_ms() < until_ms;) {
        for (int i = 0; i < CONNECTIONS; i++) {
            char byte;
            struct pollfd poller = {.fd = fds[i], .events = POLLIN};
            if (!gone[i] && poll(&poller, 1, 5) == 1 && recv(fds[i], &byte, 1, 0) < 0 && errno == ECONNRESET) {
                gone[i] = true;
                n++;
            }
        }
    }
    return n;
}

START_TEST(calls_and_strangers_over_ipv6)
{
    struct pair pair = {.server = NULL};
    struct trib_net_limits limits;
    struct trib_net_tls tls = tls_of("ca.crt", "server");
    struct trib_error error = {.message = ""};
    int fds[CONNECTIONS];
    if (!have_ipv6()) {
        puts("skipped: no IPv6 here");
        return;
    }
    trib_net_init();
    trib_net_limits_default(&limits);
    limits.max_strangers = MOST;
    limits.connection_rate = 1000;
    record_init(&pair.service.held);
    pthread_mutex_init(&pair.service.lock, NULL);
    enum trib_status status = trib_net_server_new("[::1]:0", &tls, &limits, methods, sizeof methods / sizeof methods[0],
                                                  &pair.service, &pair.server, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    snprintf(pair.address, sizeof pair.address, "[::1]:%d", trib_net_server_port(pair.server));
    pair.channel = connect_as(&pair, "ca.crt", "boat-7", "localhost", NULL);
    for (int i = 0; i < 2 * MOST; i++) { /* a call makes known: no connection counts for long */
        status = echo(pair.channel, &error);
        ck_assert_msg(status == TRIB_OK, "%s", error.message);
    }
    ck_assert_msg(service_saw(&pair.service, "boat-7", "ipv6:[::1]:"), "%s", pair.service.address);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connection(trib_net_server_port(pair.server));
    }
    ck_assert_int_eq(count_reset(fds, CONNECTIONS - MOST), CONNECTIONS - MOST);
    for (int i = 0; i < CONNECTIONS; i++) {
        close(fds[i]);
    }
    pair_stop(&pair);
    trib_net_shutdown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net_ipv6");
    TCase *tests = tcase_create("net_ipv6");
    tcase_add_unchecked_fixture(tests, make_certs, remove_certs);
    tcase_add_test(tests, calls_and_strangers_over_ipv6);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
