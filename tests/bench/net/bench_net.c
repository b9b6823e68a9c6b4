/* Throughput of block net over mutual TLS on loopback, both directions, in 1 MB messages, next to what OpenSSL alone
 * moves over a socket pair in the same process with a thread at each end. Also the time of one unary exchange. The
 * three transfers take turns, and each counts with its best turn, so that other work on the machine disturbs them
 * alike. */
#include "bench_options.h"

#include "net/net.h"

#include "../../support/test_certs.h"

#include "base/clock.h"
#include "base/mem.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { CHUNK_LEN = 1 << 20, N_CHUNKS = 500, N_UNARY = 2000, N_ROUNDS = 3 };

static char dir[64];

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench-net: %s\n", what);
        abort();
    }
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- the service: one method that sends, one that receives, one that answers ---- */

struct flow {
    struct trib_blob *chunk;
    int left;
    uint64_t n_bytes;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

static void flow_init(struct flow *flow)
{
    memset(flow, 0, sizeof *flow);
    flow->chunk = trib_blob_new(CHUNK_LEN);
    need(flow->chunk, "out of memory");
    memset(trib_blob_fill(flow->chunk), 'x', CHUNK_LEN);
    flow->left = N_CHUNKS;
    pthread_mutex_init(&flow->lock, NULL);
    pthread_cond_init(&flow->changed, NULL);
}

static void flow_clear(struct flow *flow)
{
    trib_blob_unref(flow->chunk);
    pthread_cond_destroy(&flow->changed);
    pthread_mutex_destroy(&flow->lock);
}

static void flow_wait(struct flow *flow)
{
    pthread_mutex_lock(&flow->lock);
    while (!flow->done) {
        pthread_cond_wait(&flow->changed, &flow->lock);
    }
    pthread_mutex_unlock(&flow->lock);
}

static void flow_send(struct flow *flow, struct trib_net_call *call, bool server)
{
    static const uint8_t head[16] = {1};
    while (flow->left > 0) {
        if (trib_net_call_send(call, head, sizeof head, flow->chunk, 0, CHUNK_LEN) != TRIB_OK) {
            return;
        }
        flow->left--;
    }
    if (server) {
        trib_net_call_finish(call, TRIB_OK, NULL);
    } else {
        trib_net_call_half_close(call);
    }
}

/* Touch every piece, as a parser would, without joining them. */
static void flow_receive(struct flow *flow, struct trib_net_message *message)
{
    const uint8_t *piece = NULL;
    size_t at = 0;
    size_t len = 0;
    while (trib_net_message_next(message, &at, &piece, &len)) {
        flow->n_bytes += len;
    }
    trib_net_message_free(message);
}

static void send_more(void *user, struct trib_net_call *call)
{
    flow_send(user, call, true);
}

static void upload_more(void *user, struct trib_net_call *call)
{
    flow_send(user, call, false);
}

static void start_sending(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    trib_net_message_free(message);
    flow_send(user, call, true);
}

static void receive(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    if (message) {
        flow_receive(user, message);
        trib_net_call_read(call);
    } else {
        trib_net_call_finish(call, TRIB_OK, NULL);
    }
}

static void answer(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    if (message) {
        (void)!trib_net_call_send(call, "reply", 5, NULL, 0, 0);
    }
    trib_net_message_free(message);
    trib_net_call_finish(call, TRIB_OK, NULL);
}

static void ignore_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    (void)user;
    (void)call;
    (void)how;
}

static void client_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    struct flow *flow = user;
    (void)call;
    need(how->status == TRIB_OK, how->details);
    pthread_mutex_lock(&flow->lock);
    flow->done = true;
    pthread_cond_signal(&flow->changed);
    pthread_mutex_unlock(&flow->lock);
}

static const struct trib_net_events download_server = {
    .message = start_sending, .writable = send_more, .closed = ignore_closed};
static const struct trib_net_events upload_server = {.message = receive, .closed = ignore_closed};
static const struct trib_net_events unary_server = {.message = answer, .closed = ignore_closed};
static const struct trib_net_events download_client = {.message = receive, .closed = client_closed};
static const struct trib_net_events upload_client = {
    .message = receive, .writable = upload_more, .closed = client_closed};

static enum trib_status opened(const struct trib_net_events *chosen, void *service, struct trib_net_call *call,
                               const struct trib_net_events **events, void **user)
{
    *events = chosen;
    *user = service;
    trib_net_call_read(call);
    return TRIB_OK;
}

static enum trib_status open_download(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                      const struct trib_net_events **events, void **user, struct trib_error *error)
{
    (void)peer;
    (void)error;
    return opened(&download_server, service, call, events, user);
}

static enum trib_status open_upload(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                    const struct trib_net_events **events, void **user, struct trib_error *error)
{
    (void)peer;
    (void)error;
    return opened(&upload_server, service, call, events, user);
}

static enum trib_status open_unary(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                                   const struct trib_net_events **events, void **user, struct trib_error *error)
{
    (void)peer;
    (void)error;
    return opened(&unary_server, service, call, events, user);
}

static const struct trib_net_method methods[] = {
    {.path = "/bench.B/Download", .opened = open_download},
    {.path = "/bench.B/Upload", .opened = open_upload},
    {.path = "/bench.B/Unary", .opened = open_unary},
};

/* ---- measuring ---- */

struct figure {
    const char *name;
    double mb_s;        /* best turn */
    double cpu_s_of_gb; /* of both ends, best turn */
};

static void measure(struct figure *figure, int64_t begun_ns, double begun_cpu_s, uint64_t n_bytes)
{
    double mb_s = (double)n_bytes / 1e6 / ((double)(trib_clock_ns() - begun_ns) / 1e9);
    double cpu = (cpu_s() - begun_cpu_s) / ((double)n_bytes / 1e9);
    figure->mb_s = mb_s > figure->mb_s ? mb_s : figure->mb_s;
    figure->cpu_s_of_gb = figure->cpu_s_of_gb == 0 || cpu < figure->cpu_s_of_gb ? cpu : figure->cpu_s_of_gb;
}

static void print_figure(const struct figure *figure)
{
    printf("%s %.0f MB/s\n", figure->name, figure->mb_s);
    printf("%s_cpu %.2f s/GB\n", figure->name, figure->cpu_s_of_gb);
}

static void run_flow(struct trib_net_channel *channel, struct flow *served, bool download, struct figure *figure)
{
    struct flow flow;
    struct trib_net_call *call = NULL;
    struct trib_error error = {.status = TRIB_OK};
    flow_init(&flow);
    served->left = N_CHUNKS;
    served->n_bytes = 0;
    int64_t begun_ns = trib_clock_ns();
    double begun_cpu_s = cpu_s();
    enum trib_status status = trib_net_channel_call(channel, download ? "/bench.B/Download" : "/bench.B/Upload", 0,
                                                    download ? &download_client : &upload_client, &flow, &call, &error);
    need(status == TRIB_OK, error.message);
    trib_net_call_read(call);
    if (download) {
        need(trib_net_call_send(call, "go", 2, NULL, 0, 0) == TRIB_OK, "the request was not taken");
        trib_net_call_half_close(call);
    } else {
        flow_send(&flow, call, false);
    }
    flow_wait(&flow);
    uint64_t n_bytes = download ? flow.n_bytes : served->n_bytes;
    need(n_bytes == (uint64_t)N_CHUNKS * (CHUNK_LEN + 16), "bytes were lost");
    measure(figure, begun_ns, begun_cpu_s, n_bytes);
    trib_net_call_unref(call);
    flow_clear(&flow);
}

static void run_unary(struct trib_net_channel *channel)
{
    int64_t begun_ns = trib_clock_ns();
    for (int i = 0; i < N_UNARY; i++) {
        struct trib_net_message *reply = NULL;
        struct trib_error error = {.status = TRIB_OK};
        need(trib_net_channel_unary(channel, "/bench.B/Unary", "ask", 3, 10000, &reply, &error) == TRIB_OK,
             error.message);
        trib_net_message_free(reply);
    }
    printf("net_unary %.1f us\n", (double)(trib_clock_ns() - begun_ns) / 1e3 / N_UNARY);
}

/* ---- OpenSSL alone ---- */

static SSL *raw_side(SSL_CTX **context, bool server, int fd)
{
    char path[128];
    *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    need(*context, "no TLS context");
    need(SSL_CTX_set_min_proto_version(*context, TLS1_3_VERSION) == 1, "no TLS 1.3");
    need(SSL_CTX_use_certificate_chain_file(*context, test_certs_path(dir, "node.crt", path, sizeof path)) == 1,
         "no certificate");
    need(SSL_CTX_use_PrivateKey_file(*context, test_certs_path(dir, "node.key", path, sizeof path), SSL_FILETYPE_PEM) ==
             1,
         "no key");
    need(SSL_CTX_load_verify_file(*context, test_certs_path(dir, "ca.crt", path, sizeof path)) == 1, "no CA");
    SSL_CTX_set_verify(*context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL *ssl = SSL_new(*context);
    need(ssl && SSL_set_fd(ssl, fd) == 1, "no TLS connection");
    return ssl;
}

static void *raw_sender(void *argument)
{
    SSL_CTX *context = NULL;
    SSL *ssl = raw_side(&context, true, *(int *)argument);
    char *chunk = trib_calloc(1, CHUNK_LEN);
    need(chunk && SSL_accept(ssl) == 1, "the handshake failed");
    for (int i = 0; i < N_CHUNKS; i++) {
        need(SSL_write(ssl, chunk, CHUNK_LEN) == CHUNK_LEN, "a raw write failed");
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
    trib_free(chunk);
    return NULL;
}

static void run_raw(struct figure *figure)
{
    int fds[2];
    pthread_t sender;
    SSL_CTX *context = NULL;
    char *chunk = trib_malloc(CHUNK_LEN);
    uint64_t n_bytes = 0;
    int got = 0;
    need(chunk && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "no socket pair");
    SSL *ssl = raw_side(&context, false, fds[1]);
    need(pthread_create(&sender, NULL, raw_sender, &fds[0]) == 0, "no thread");
    need(SSL_connect(ssl) == 1, "the handshake failed");
    int64_t begun_ns = trib_clock_ns();
    double begun_cpu_s = cpu_s();
    while ((got = SSL_read(ssl, chunk, CHUNK_LEN)) > 0) {
        n_bytes += (uint64_t)got;
    }
    need(n_bytes == (uint64_t)N_CHUNKS * CHUNK_LEN, "bytes were lost");
    measure(figure, begun_ns, begun_cpu_s, n_bytes);
    pthread_join(sender, NULL);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fds[0]);
    close(fds[1]);
    trib_free(chunk);
}

int main(int argc, char **argv)
{
    bench_options(argc, argv, "bench-net",
                  "Bytes and messages a second between a server and a client of the transport.", NULL, 0);
    char paths[3][128];
    char address[64];
    struct flow served;
    struct trib_net_server *server = NULL;
    struct trib_net_channel *channel = NULL;
    struct trib_error error = {.status = TRIB_OK};
    test_certs_dir(dir, sizeof dir);
    struct test_ca ca = test_certs_ca(dir, "ca", NULL);
    test_certs_issue(&ca, dir, "node",
                     &(struct test_cert){.common_name = "node", .alternatives = "IP:127.0.0.1,URI:tributary://node/n"});
    test_certs_ca_free(&ca);
    struct trib_net_tls tls = {.ca_path = test_certs_path(dir, "ca.crt", paths[0], sizeof paths[0]),
                               .cert_path = test_certs_path(dir, "node.crt", paths[1], sizeof paths[1]),
                               .key_path = test_certs_path(dir, "node.key", paths[2], sizeof paths[2])};
    trib_mem_tune_daemon();
    trib_net_init();
    flow_init(&served);
    need(trib_net_server_new("127.0.0.1:0", &tls, NULL, methods, 3, &served, &server, &error) == TRIB_OK,
         error.message);
    snprintf(address, sizeof address, "127.0.0.1:%d", trib_net_server_port(server));
    need(trib_net_channel_new(address, NULL, &tls, NULL, &channel, &error) == TRIB_OK, error.message);
    run_unary(channel);
    struct figure download = {.name = "net_download"};
    struct figure upload = {.name = "net_upload"};
    struct figure raw = {.name = "raw_tls"};
    for (int i = 0; i < N_ROUNDS; i++) {
        run_flow(channel, &served, true, &download);
        run_flow(channel, &served, false, &upload);
        run_raw(&raw);
    }
    print_figure(&download);
    print_figure(&upload);
    print_figure(&raw);
    printf("net_download_to_raw %.2f ratio\n", download.mb_s / raw.mb_s);
    printf("net_upload_to_raw %.2f ratio\n", upload.mb_s / raw.mb_s);
    trib_net_channel_free(channel);
    trib_net_server_free(server);
    trib_net_shutdown();
    flow_clear(&served);
    test_certs_remove(dir);
    return 0;
}
