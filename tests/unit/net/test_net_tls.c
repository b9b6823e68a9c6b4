/* TLS of block net: who gets in, who does not, and what the person reads who made the mistake. */
#include "net_fixture.h"
#include "test_main.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <sys/socket.h>

static char log_path[320];

static void start(void)
{
    struct trib_error error = {.status = TRIB_OK};
    test_certs_path(certs, "log", log_path, sizeof log_path);
    unlink(log_path);
    struct trib_log_options options = {.level = TRIB_LOG_INFO, .format = TRIB_LOG_LOGFMT, .path = log_path};
    ck_assert_int_eq(trib_log_open(&options, &error), TRIB_OK);
    trib_net_init();
}

static void stop(void)
{
    trib_net_shutdown();
    trib_log_close();
}

/* How many lines of the log hold both texts. */
static int count_logged(const char *event, const char *text)
{
    struct trib_buf content = {.len = 0};
    int n = 0;
    ck_assert_int_eq(trib_file_read(log_path, 1 << 20, &content, NULL), TRIB_OK);
    ck_assert_int_eq(trib_buf_add(&content, "", 1), TRIB_OK);
    char *line = (char *)content.data;
    for (char *end = strchr(line, '\n'); end; end = strchr(line, '\n')) {
        *end = '\0';
        n += strstr(line, event) && strstr(line, text);
        line = end + 1;
    }
    trib_buf_clear(&content);
    return n;
}

/* The server's line may come a little after the client saw the end: read until it is there. */
static bool logged_times(int n, const char *event, const char *text)
{
    int64_t until_ms = trib_clock_ms() + WAIT_S * 1000;
    while (count_logged(event, text) < n && trib_clock_ms() < until_ms) {
        sched_yield();
    }
    return count_logged(event, text) == n;
}

static bool logged(const char *event, const char *text)
{
    return logged_times(1, event, text);
}

/* Where a node's files are exchanged under a running process, the new ones come by rename, key first. */
static void exchange_node(const char *from, const char *to)
{
    static const char *const suffixes[] = {".key", ".crt"};
    struct trib_error error = {.status = TRIB_OK};
    for (int i = 0; i < 2; i++) {
        char source[64];
        char target[64];
        struct trib_buf content = {.len = 0};
        snprintf(source, sizeof source, "%s%s", from, suffixes[i]);
        snprintf(target, sizeof target, "%s%s", to, suffixes[i]);
        ck_assert_int_eq(trib_file_read(in_certs(source), 1 << 20, &content, &error), TRIB_OK);
        FILE *out = test_certs_open(certs, "exchange", "", 0600);
        ck_assert_uint_eq(fwrite(content.data, 1, content.len, out), content.len);
        fclose(out);
        ck_assert_int_eq(rename(in_certs("exchange"), in_certs(target)), 0);
        trib_buf_clear(&content);
    }
}

/* ---- a TLS client made of OpenSSL alone, for what our own client refuses to do ---- */

static int tcp_connect(const struct pair *pair)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)trib_net_server_port(pair->server))};
    struct timeval patience = {.tv_sec = WAIT_S};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Handshake and read: the negotiated version when the server talks to us, "" when it hangs up. */
static void raw_client(const struct pair *pair, const char *node, int max_version, char *version, size_t size)
{
    char byte = 0;
    version[0] = '\0';
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(context);
    SSL_CTX_clear_options(context, SSL_OP_NO_TLSv1_2);
    SSL_CTX_set_max_proto_version(context, max_version);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
    if (node) {
        struct trib_net_tls tls = tls_of("ca.crt", node);
        ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(context, tls.cert_path), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(context, tls.key_path, SSL_FILETYPE_PEM), 1);
    }
    SSL *ssl = SSL_new(context);
    int fd = tcp_connect(pair);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1) {
        trib_str_copy(version, size, SSL_get_version(ssl));
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    ERR_clear_error();
}

/* ---- tests ---- */

START_TEST(only_tls_1_3)
{
    struct pair pair;
    char version[32];
    server_start(&pair, "server", NULL);
    raw_client(&pair, "boat-7", TLS1_3_VERSION, version, sizeof version);
    ck_assert_str_eq(version, "TLSv1.3");
    raw_client(&pair, "boat-7", TLS1_2_VERSION, version, sizeof version);
    ck_assert_str_eq(version, "");
    ck_assert(logged("event=handshake_failed", "1.3 is required"));
    pair_stop(&pair);
}
END_TEST

START_TEST(clients_without_a_good_certificate)
{
    static const char *const nodes[] = {"expired", "early", "foreign", "sayer"};
    struct pair pair;
    char version[32];
    server_start(&pair, "server", NULL);
    raw_client(&pair, NULL, TLS1_3_VERSION, version, sizeof version);
    ck_assert_str_eq(version, "");
    ck_assert(logged("event=handshake_failed", "the client has no certificate"));
    for (int i = 0; i < 4; i++) {
        raw_client(&pair, nodes[i], TLS1_3_VERSION, version, sizeof version);
        ck_assert_msg(version[0] == '\0', "%s was let in", nodes[i]);
        ck_assert(
            logged_times(i + 1, "event=handshake_failed", "not signed by this node's CA, or is out of its dates"));
    }
    pair_stop(&pair);
}
END_TEST

/* Our own client as well, its CA file knowing both CAs so that only the server objects. */
START_TEST(client_of_foreign_ca)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    server_start(&pair, "server", NULL);
    pair.channel = connect_as(&pair, "both.crt", "foreign", NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(error.message, "the server may be refusing this node"), "%s", error.message);
    ck_assert(logged("event=handshake_failed", "certificate verify failed"));
    ck_assert_int_eq(service_opened(&pair.service), 0);
    pair_stop(&pair);
}
END_TEST

START_TEST(server_of_foreign_ca)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    server_start(&pair, "server", NULL);
    pair.channel = connect_as(&pair, "other.crt", "foreign", NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(error.message, "certificate verify failed"), "%s", error.message);
    pair_stop(&pair);
}
END_TEST

START_TEST(wrong_server_name)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    server_start(&pair, "named", NULL);
    pair.channel = connect_as(&pair, "ca.crt", "boat-7", NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(error.message, "Peer name 127.0.0.1 is not in peer certificate"), "%s", error.message);
    trib_net_channel_free(pair.channel);
    pair.channel = connect_as(&pair, "ca.crt", "boat-7", "server.example", NULL);
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    pair_stop(&pair);
}
END_TEST

START_TEST(plain_text)
{
    struct pair pair;
    struct trib_net_server *open_server = NULL;
    struct trib_error error = {.status = TRIB_OK};
    server_start(&pair, "server", NULL);
    ck_assert_int_eq(trib_net_channel_new(pair.address, NULL, NULL, NULL, &pair.channel, &error), TRIB_OK);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    ck_assert(logged("event=handshake_failed", "the peer does not speak TLS"));
    ck_assert_int_eq(service_opened(&pair.service), 0);
    trib_net_channel_free(pair.channel);
    trib_net_server_free(pair.server);

    /* Both in plain text, as tests may: it works, and nobody is identified. */
    trib_str_copy(pair.service.identity, sizeof pair.service.identity, "unset");
    ck_assert_int_eq(trib_net_server_new("127.0.0.1:0", NULL, NULL, methods, 6, &pair.service, &open_server, &error),
                     TRIB_OK);
    snprintf(pair.address, sizeof pair.address, "127.0.0.1:%d", trib_net_server_port(open_server));
    ck_assert_int_eq(trib_net_channel_new(pair.address, NULL, NULL, NULL, &pair.channel, &error), TRIB_OK);
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert(service_saw(&pair.service, "", "ipv4:127.0.0.1:"));
    pair.server = open_server;
    pair_stop(&pair);
}
END_TEST

/* A certificate that the CA signed but whose name could pass for a path: the connection stands, every call ends. */
START_TEST(hostile_identity)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    server_start(&pair, "server", NULL);
    pair.channel = connect_as(&pair, "ca.crt", "hostile", NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAUTHENTICATED);
    ck_assert_msg(strstr(error.message, "identity has a character"), "%s", error.message);
    ck_assert_int_eq(service_opened(&pair.service), 0);
    pair_stop(&pair);
}
END_TEST

/* A connection that says nothing is dropped when the time for its handshake is over. */
START_TEST(silent_connection)
{
    struct pair pair;
    struct trib_net_limits limits;
    char byte = 0;
    trib_net_limits_default(&limits);
    limits.handshake_timeout_ms = 200;
    server_start(&pair, "server", &limits);
    int fd = tcp_connect(&pair);
    int64_t begun_ms = trib_clock_ms();
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
    ck_assert_int_ge(trib_clock_ms() - begun_ms, 150);
    close(fd);
    /* One still undecided does not keep the server from stopping. */
    fd = tcp_connect(&pair);
    pair_stop(&pair);
    close(fd);
}
END_TEST

START_TEST(server_reloads)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    exchange_node("server", "live");
    server_start(&pair, "live", NULL);
    pair.channel = connect_as(&pair, "ca.crt", "boat-7", "server.example", NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_UNAVAILABLE);
    exchange_node("named", "live");
    enum trib_status status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert(logged("event=tls_reloaded", "live.crt"));
    trib_net_channel_free(pair.channel);

    /* Wrong files are reported, and the former ones serve on. */
    exchange_node("foreign", "live");
    pair.channel = connect_as(&pair, "ca.crt", "boat-7", "server.example", NULL);
    status = echo(pair.channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert(logged("event=tls_reload_failed", "not signed by the CA"));
    pair_stop(&pair);
}
END_TEST

START_TEST(client_reloads)
{
    struct pair pair;
    struct trib_error error = {.status = TRIB_OK};
    exchange_node("boat-7", "mine");
    server_start(&pair, "server", NULL);
    pair.channel = connect_as(&pair, "ca.crt", "mine", NULL, NULL);
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    ck_assert(service_saw(&pair.service, "boat-7", "ipv4:127.0.0.1:"));
    exchange_node("server", "mine");
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    ck_assert(service_saw(&pair.service, "localhost", "ipv4:127.0.0.1:"));
    exchange_node("foreign", "mine");
    ck_assert_int_eq(echo(pair.channel, &error), TRIB_OK);
    ck_assert(logged("event=tls_reload_failed", "not signed by the CA"));
    pair_stop(&pair);
}
END_TEST

static void expect_check(const char *ca, const char *cert, const char *key, bool server, const char *text)
{
    struct trib_net_tls tls = {.ca_path = in_certs(ca), .cert_path = in_certs(cert), .key_path = in_certs(key)};
    struct trib_error error = {.status = TRIB_OK, .message = ""};
    enum trib_status status = trib_net_tls_check(&tls, server, &error);
    if (!text) {
        ck_assert_msg(status == TRIB_OK, "%s", error.message);
        return;
    }
    ck_assert_int_ne(status, TRIB_OK);
    ck_assert_msg(strstr(error.message, text), "%s\nlacks: %s", error.message, text);
    ck_assert_msg(strstr(error.message, certs), "%s: names no file", error.message);
}

static void write_locked_key(const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *out = test_certs_open(certs, name, "", 0600);
    ck_assert_int_eq(PEM_write_PrivateKey(out, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL),
                     1);
    fclose(out);
    EVP_PKEY_free(key);
}

START_TEST(checks)
{
    char line[512];
    test_certs_write_text(certs, "text.crt", 0644, "hello\n");
    test_certs_write_text(certs, "empty.crt", 0644, "");
    test_certs_write_text(certs, "broken.crt", 0644,
                          "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIBAzAKBggqhkjO\n-----END CERTIFICATE-----\n");
    write_locked_key("locked.key");
    expect_check("ca.crt", "server.crt", "server.key", true, NULL);
    expect_check("both.crt", "boat-7.crt", "boat-7.key", false, NULL);
    expect_check("none.crt", "server.crt", "server.key", true, "none.crt: cannot be opened: No such file");
    expect_check("ca.crt", "none.crt", "server.key", true, "none.crt: cannot be opened: No such file");
    expect_check("ca.crt", "server.crt", "none.key", true, "none.key: cannot be opened: No such file");
    expect_check("text.crt", "server.crt", "server.key", true, "text.crt: no certificate in PEM form");
    expect_check("ca.crt", "empty.crt", "server.key", true, "empty.crt: no certificate in PEM form");
    expect_check("ca.crt", "broken.crt", "server.key", true, "broken.crt: damaged");
    expect_check("ca.crt", "server.key", "server.crt", true, "server.key: no certificate in PEM form");
    expect_check("ca.crt", "server.crt", "boat-7.key", true, "boat-7.key: this key does not belong to the certificate");
    expect_check("ca.crt", "expired.crt", "expired.key", false, "expired.crt: the certificate expired on 2");
    expect_check("ca.crt", "early.crt", "early.key", false, "early.crt: the certificate is not yet valid, only from 2");
    expect_check("old.crt", "server.crt", "server.key", true, "old.crt: the certificate expired on 2");
    expect_check("other.crt", "server.crt", "server.key", true,
                 "server.crt: the certificate is not signed by the CA in");
    expect_check("ca.crt", "sayer.crt", "sayer.key", true, NULL);
    expect_check("ca.crt", "sayer.crt", "sayer.key", false, "sayer.crt: this certificate is not meant for a client");
    expect_check("ca.crt", "server.crt", "locked.key", true, "locked.key: the private key is locked by a passphrase");
    snprintf(line, sizeof line, "%s", in_certs("server.key"));
    ck_assert_int_eq(chmod(line, 0604), 0);
    expect_check("ca.crt", "server.crt", "server.key", true, "others can use (mode 0604); run: chmod 600");
    ck_assert_int_eq(chmod(line, 0620), 0); /* who writes it puts in one of his own */
    expect_check("ca.crt", "server.crt", "server.key", true, "others can use (mode 0620); run: chmod 600");
    ck_assert_int_eq(chmod(line, 0640), 0);
    expect_check("ca.crt", "server.crt", "server.key", true, NULL);
    ck_assert_int_eq(chmod(line, 0600), 0);
}
END_TEST

START_TEST(no_server_with_wrong_files)
{
    struct trib_net_tls tls = tls_of("ca.crt", "foreign");
    struct trib_net_tls missing = {.ca_path = in_certs("ca.crt"), .cert_path = NULL, .key_path = NULL};
    struct trib_net_server *server = NULL;
    struct trib_net_channel *channel = NULL;
    struct trib_error error = {.status = TRIB_OK};
    ck_assert_int_eq(trib_net_server_new("127.0.0.1:0", &tls, NULL, methods, 6, NULL, &server, &error), TRIB_CONFIG);
    ck_assert_int_eq(trib_net_channel_new("127.0.0.1:1", NULL, &tls, NULL, &channel, &error), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, "not signed by the CA"), "%s", error.message);
    ck_assert_int_eq(trib_net_server_new("127.0.0.1:0", &missing, NULL, methods, 6, NULL, &server, &error),
                     TRIB_CONFIG);
    ck_assert_ptr_null(server);
    ck_assert_ptr_null(channel);
}
END_TEST

START_TEST(identities)
{
    char identity[64];
    char tiny[4] = "abc";
    struct trib_error error = {.status = TRIB_OK};
    ck_assert_int_eq(trib_net_identity_of(in_certs("boat-7.crt"), identity, sizeof identity, &error), TRIB_OK);
    ck_assert_str_eq(identity, "boat-7");
    ck_assert_int_eq(trib_net_identity_of(in_certs("server.crt"), identity, sizeof identity, &error), TRIB_OK);
    ck_assert_str_eq(identity, "localhost");
    ck_assert_int_eq(trib_net_identity_of(in_certs("expired.crt"), identity, sizeof identity, &error), TRIB_OK);
    ck_assert_str_eq(identity, "old");
    ck_assert_int_eq(trib_net_identity_of(in_certs("hostile.crt"), identity, sizeof identity, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_net_identity_of(in_certs("boat-7.crt"), tiny, sizeof tiny, &error), TRIB_LIMIT);
    ck_assert_str_eq(tiny, "abc");
    ck_assert_int_eq(trib_net_identity_of(in_certs("server.key"), identity, sizeof identity, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_net_identity_of(in_certs("none"), identity, sizeof identity, &error), TRIB_NOT_FOUND);

    static const char *const wrong[] = {"URI:tributary://node/", "URI:tributary://node/a/b", "URI:tributary://node/..",
                                        "URI:tributary://node/a b"};
    struct test_ca ca = test_certs_ca(certs, "brief", NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        test_certs_issue(&ca, certs, "wrong", &(struct test_cert){.common_name = "cn", .alternatives = wrong[i]});
        ck_assert_int_eq(trib_net_identity_of(in_certs("wrong.crt"), identity, sizeof identity, &error), TRIB_INVALID);
    }
    test_certs_issue(&ca, certs, "wrong", &(struct test_cert){.common_name = NULL});
    ck_assert_int_eq(trib_net_identity_of(in_certs("wrong.crt"), identity, sizeof identity, &error), TRIB_INVALID);
    ck_assert_msg(strstr(error.message, "names nobody"), "%s", error.message);
    test_certs_ca_free(&ca);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net_tls");
    TCase *tls = tcase_create("tls");
    tcase_add_unchecked_fixture(tls, make_certs, remove_certs);
    tcase_add_checked_fixture(tls, start, stop);
    tcase_add_test(tls, only_tls_1_3);
    tcase_add_test(tls, clients_without_a_good_certificate);
    tcase_add_test(tls, client_of_foreign_ca);
    tcase_add_test(tls, server_of_foreign_ca);
    tcase_add_test(tls, wrong_server_name);
    tcase_add_test(tls, plain_text);
    tcase_add_test(tls, hostile_identity);
    tcase_add_test(tls, silent_connection);
    tcase_add_test(tls, server_reloads);
    tcase_add_test(tls, client_reloads);
    tcase_add_test(tls, checks);
    tcase_add_test(tls, no_server_with_wrong_files);
    tcase_add_test(tls, identities);
    suite_add_tcase(suite, tls);
    return trib_test_run(suite);
}
