/* One thread, one epoll, non-blocking OpenSSL. Of HTTP/2 only what a gRPC server needs to see; response headers are not
 * decoded, but for the end of the stream. */
#include "raw_h2.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "wire/message.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: raw client: %s\n", __FILE__, __LINE__, #condition);                                \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { FRAME_DATA, FRAME_HEADERS, FRAME_RST = 3, FRAME_SETTINGS, FRAME_PING = 6, FRAME_GOAWAY, FRAME_WINDOW };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { HEAD_LEN = 9, WINDOW = 65535, AGAIN_MS = 20, OVERSIZE_LEN = 64 << 20, FLOOD_AT_A_TIME = 16384 };

struct connection {
    struct connection *next;
    struct raw_pool *pool;
    enum raw_manner manner;
    int node;
    bool again, established, welcomed, done;
    int fd;         /* -1: between two */
    int64_t due_ms; /* what is next to be done unasked: opening again, or loris's byte */
    SSL *ssl;
    struct trib_buf in, out;
    size_t out_at;
    struct trib_buf message; /* of the session, that is coming */
    int64_t window, stream_window;
};
struct raw_pool {
    struct sockaddr_in address;
    char dir[256];
    SSL_CTX *context, *no_cert;
    int epoll, wake;
    pthread_t thread;
    _Atomic(bool) stop;
    pthread_mutex_t lock; /* `added` */
    struct connection *added;
    struct connection *all;
    _Atomic(int64_t) opened, handshaken, welcomed, closed, refused, sent;
};

/* ---- frames ---- */

static void put(struct trib_buf *buf, const void *bytes, size_t len)
{
    NEED(trib_buf_add(buf, bytes, len) == TRIB_OK);
}

static void put_frame(struct trib_buf *out, int type, int flags, uint32_t stream, const void *payload, size_t len)
{
    const uint8_t head[HEAD_LEN] = {(uint8_t)(len >> 16),    (uint8_t)(len >> 8),    (uint8_t)len,
                                    (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
                                    (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    put(out, head, sizeof head);
    put(out, payload, len);
}

/* HPACK: a literal without indexing and without Huffman's code. */
static void put_header(struct trib_buf *block, const char *name, const char *value)
{
    const uint8_t name_head[2] = {0, (uint8_t)strlen(name)};
    const uint8_t value_head[1] = {(uint8_t)strlen(value)};
    put(block, name_head, 2);
    put(block, name, strlen(name));
    put(block, value_head, 1);
    put(block, value, strlen(value));
}

static void put_request(struct connection *c, uint32_t stream, const char *path)
{
    struct trib_buf block = {0};
    put_header(&block, ":method", "POST");
    put_header(&block, ":scheme", "https");
    put_header(&block, ":path", path);
    put_header(&block, ":authority", "localhost");
    put_header(&block, "content-type", "application/grpc");
    put_header(&block, "te", "trailers");
    put_frame(&c->out, FRAME_HEADERS, END_HEADERS, stream, block.data, block.len);
    trib_buf_clear(&block);
}

/* One message; its length is claimed to be `claimed`. */
static void put_message(struct connection *c, uint32_t stream, const ProtobufCMessage *message, uint32_t claimed,
                        int flags)
{
    struct trib_buf body = {0};
    NEED(trib_buf_add(&body, "\0\0\0\0\0", 5) == TRIB_OK && trib_message_pack(message, &body) == TRIB_OK);
    uint32_t len = claimed > 0 ? claimed : (uint32_t)body.len - 5;
    for (int i = 0; i < 4; i++) {
        body.data[1 + i] = (uint8_t)(len >> (24 - 8 * i));
    }
    put_frame(&c->out, FRAME_DATA, flags, stream, body.data, body.len);
    c->window -= (int64_t)body.len;
    c->stream_window -= (int64_t)body.len;
    atomic_fetch_add(&c->pool->sent, (int64_t)body.len);
    trib_buf_clear(&body);
}

static void put_hello(struct connection *c)
{
    char node[32];
    char *codecs[] = {trib_message_lend("f32")};
    snprintf(node, sizeof node, "c%d", c->node);
    Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.software = trib_message_lend("load");
    hello.node = node;
    hello.n_codecs = 1;
    hello.codecs = codecs;
    hello.examples = c->manner == RAW_SLOW ? 100 : 1; /* too few to be picked, where the settings say so */
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    put_message(c, 1, &message.base, 0, 0);
}

static void put_nuisance(struct connection *c)
{
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Progress progress = TRIBUTARY__V1__PROGRESS__INIT;
    Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
    Tributary__V1__Blob blob = TRIBUTARY__V1__BLOB__INIT;
    static uint8_t sha256[32] = {1};
    progress.round = offer.round = 1;
    blob.sha256 = trib_message_lend_bytes(sha256, sizeof sha256);
    blob.len = 1000;
    offer.examples = 100;
    offer.update = &blob;
    if (c->manner == RAW_FLOOD) {
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
        message.progress = &progress;
    } else {
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
        message.offer = &offer;
    }
    put_message(c, 1, &message.base, 0, 0);
}

/* ---- what a connection does of its own ---- */

static void begin_http(struct connection *c)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (c->manner == RAW_HALF) {
        put(&c->out, preface, sizeof preface / 2);
        return;
    }
    put(&c->out, preface, sizeof preface - 1);
    put_frame(&c->out, FRAME_SETTINGS, 0, 0, "", 0);
    put_request(c, 1, TRIB_PATH_SESSION);
    if (c->manner != RAW_SILENT) {
        put_hello(c);
    }
}

/* As much as the server's windows let through, so that the flood is not mistaken for a broken peer. */
static void go_on(struct connection *c)
{
    static const uint8_t zeros[16384];
    if (!c->welcomed || c->out.len - c->out_at > FLOOD_AT_A_TIME) {
        return;
    }
    while ((c->manner == RAW_FLOOD || c->manner == RAW_REPLAY) && c->out.len - c->out_at < FLOOD_AT_A_TIME &&
           c->window > 200 && c->stream_window > 200) {
        put_nuisance(c);
    }
    while (c->manner == RAW_OVERSIZE && c->out.len - c->out_at < FLOOD_AT_A_TIME && c->window > (int64_t)sizeof zeros &&
           c->stream_window > (int64_t)sizeof zeros) {
        if (!c->done) {
            c->done = true;
            Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
            put_message(c, 1, &message.base, OVERSIZE_LEN, 0);
        }
        put_frame(&c->out, FRAME_DATA, 0, 1, zeros, sizeof zeros);
        c->window -= (int64_t)sizeof zeros;
        c->stream_window -= (int64_t)sizeof zeros;
        atomic_fetch_add(&c->pool->sent, (int64_t)sizeof zeros);
    }
}

static void on_message(struct connection *c)
{
    struct trib_error error;
    ProtobufCMessage *parsed;
    if (!c->welcomed) {
        c->welcomed = true;
        atomic_fetch_add(&c->pool->welcomed, 1);
    }
    if (c->manner != RAW_SLOW || c->done ||
        trib_message_unpack(&tributary__v1__server_message__descriptor, c->message.data + 5, c->message.len - 5,
                            &parsed, &error) != TRIB_OK) {
        return;
    }
    const Tributary__V1__ServerMessage *said = (const void *)parsed;
    if (said->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        Tributary__V1__DownloadRequest request = TRIBUTARY__V1__DOWNLOAD_REQUEST__INIT;
        request.sha256 = said->task->model->sha256;
        c->done = true;
        put_request(c, 3, TRIB_PATH_DOWNLOAD);
        put_message(c, 3, &request.base, 0, END_STREAM);
    }
    trib_message_free(parsed);
}

/* ---- what comes ---- */

static uint32_t number(const uint8_t *bytes, int n)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void take_data(struct connection *c, const uint8_t *payload, size_t len)
{
    uint8_t grown[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    if (len > 0 && !(c->manner == RAW_SLOW && c->done)) {
        put_frame(&c->out, FRAME_WINDOW, 0, 0, grown, 4);
        put_frame(&c->out, FRAME_WINDOW, 0, 1, grown, 4);
    }
    put(&c->message, payload, len);
    while (c->message.len >= 5 && c->message.len >= 5 + (size_t)number(c->message.data + 1, 4)) {
        size_t used = 5 + (size_t)number(c->message.data + 1, 4);
        size_t rest = c->message.len - used;
        c->message.len = used;
        on_message(c);
        memmove(c->message.data, c->message.data + used, rest);
        c->message.len = rest;
    }
}

static void take_settings(struct connection *c, const uint8_t *payload, size_t len)
{
    for (size_t at = 0; at + 6 <= len; at += 6) {
        if (number(payload + at, 2) == 4) {
            c->stream_window += (int64_t)number(payload + at + 2, 4) - WINDOW;
        }
    }
    put_frame(&c->out, FRAME_SETTINGS, ACK, 0, "", 0);
}

/* False: the connection is over. */
static bool take_frame(struct connection *c, const uint8_t *frame, const uint8_t *payload, size_t len)
{
    int flags = frame[4];
    uint32_t stream = number(frame + 5, 4);
    switch (frame[3]) {
    case FRAME_DATA:
        if (stream == 1) {
            take_data(c, payload, len);
        }
        return true;
    case FRAME_SETTINGS:
        if (!(flags & ACK)) {
            take_settings(c, payload, len);
        }
        return true;
    case FRAME_PING:
        if (!(flags & ACK)) {
            put_frame(&c->out, FRAME_PING, ACK, 0, payload, len);
        }
        return true;
    case FRAME_WINDOW:
        *(stream == 0 ? &c->window : &c->stream_window) += number(payload, 4);
        return true;
    case FRAME_HEADERS:
        if (stream == 1 && (flags & END_STREAM)) {
            atomic_fetch_add(&c->pool->refused, 1);
            return false;
        }
        return true;
    case FRAME_RST:
        return stream != 1;
    case FRAME_GOAWAY:
        return false;
    default:
        return true;
    }
}

static bool take_frames(struct connection *c)
{
    size_t at = 0;
    bool going = true;
    while (going && c->in.len - at >= HEAD_LEN) {
        size_t len = number(c->in.data + at, 3);
        if (c->in.len - at < HEAD_LEN + len) {
            break;
        }
        going = take_frame(c, c->in.data + at, c->in.data + at + HEAD_LEN, len);
        at += HEAD_LEN + len;
    }
    memmove(c->in.data, c->in.data + at, c->in.len - at);
    c->in.len -= at;
    return going;
}

/* ---- sockets ---- */

static void watch(struct connection *c, bool writing)
{
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = c};
    NEED(epoll_ctl(c->pool->epoll, EPOLL_CTL_MOD, c->fd, &event) == 0);
}

static void hang_up(struct connection *c)
{
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
    trib_buf_clear(&c->in);
    trib_buf_clear(&c->out);
    trib_buf_clear(&c->message);
    if (c->welcomed) {
        atomic_fetch_sub(&c->pool->welcomed, 1);
    }
    atomic_fetch_add(&c->pool->closed, 1);
    c->due_ms = c->again ? trib_clock_ms() + AGAIN_MS : INT64_MAX;
}

static void dial(struct connection *c)
{
    struct raw_pool *pool = c->pool;
    int yes = 1;
    c->established = c->welcomed = c->done = false;
    c->out_at = 0;
    c->window = c->stream_window = WINDOW;
    c->due_ms = INT64_MAX;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    NEED(c->fd >= 0);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    NEED(connect(c->fd, (const struct sockaddr *)&pool->address, sizeof pool->address) == 0 || errno == EINPROGRESS);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    NEED(epoll_ctl(pool->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0);
    atomic_fetch_add(&pool->opened, 1);
    if (c->manner == RAW_LORIS || c->manner == RAW_PLAIN) {
        return;
    }
    c->ssl = SSL_new(c->manner == RAW_NO_CERT ? pool->no_cert : pool->context);
    NEED(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1);
    if (c->manner != RAW_NO_CERT) {
        char path[300];
        snprintf(path, sizeof path, "%s/c%d.crt", pool->dir, c->node);
        NEED(SSL_use_certificate_file(c->ssl, path, SSL_FILETYPE_PEM) == 1);
        snprintf(path, sizeof path, "%s/c%d.key", pool->dir, c->node);
        NEED(SSL_use_PrivateKey_file(c->ssl, path, SSL_FILETYPE_PEM) == 1);
    }
    SSL_set_connect_state(c->ssl);
}

/* False: the connection is over. */
static bool flush(struct connection *c)
{
    while (c->out_at < c->out.len) {
        size_t written = 0;
        if (SSL_write_ex(c->ssl, c->out.data + c->out_at, c->out.len - c->out_at, &written) != 1) {
            return SSL_get_error(c->ssl, 0) == SSL_ERROR_WANT_WRITE;
        }
        c->out_at += written;
    }
    trib_buf_clear(&c->out);
    c->out_at = 0;
    return true;
}

static bool receive(struct connection *c)
{
    uint8_t bytes[16384];
    size_t len = 0;
    if (c->manner == RAW_SLOW && c->done) {
        return true;
    }
    while (SSL_read_ex(c->ssl, bytes, sizeof bytes, &len) == 1) {
        put(&c->in, bytes, len);
        if (!take_frames(c)) {
            return false;
        }
    }
    return SSL_get_error(c->ssl, 0) == SSL_ERROR_WANT_READ;
}

static bool shake_hands(struct connection *c)
{
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) {
        c->established = true;
        atomic_fetch_add(&c->pool->handshaken, 1);
        begin_http(c);
        return true;
    }
    int why = SSL_get_error(c->ssl, result);
    return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) && c->manner != RAW_DROP;
}

/* Those without TLS: send something silly, end when the server has had enough. */
static bool be_plain(struct connection *c, uint32_t events)
{
    char bytes[256];
    if (!c->established && (events & EPOLLOUT)) {
        c->established = true;
        c->due_ms = trib_clock_ms();
        if (c->manner == RAW_PLAIN) {
            (void)!send(c->fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL);
        }
        watch(c, false);
    }
    return !(events & EPOLLIN) || recv(c->fd, bytes, sizeof bytes, 0) > 0;
}

static bool serve(struct connection *c, uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP)) {
        return false;
    }
    if (!c->ssl) {
        return be_plain(c, events);
    }
    if (!c->established && !shake_hands(c)) {
        return false;
    }
    if (c->established) {
        if (!receive(c)) {
            return false;
        }
        go_on(c);
        if (!flush(c)) {
            return false;
        }
        go_on(c);
    }
    bool deaf = c->manner == RAW_SLOW && c->done && c->out.len == 0;
    bool writing = c->established ? c->out.len > 0 : SSL_want_write(c->ssl);
    if (deaf) {
        struct epoll_event none = {.events = 0, .data.ptr = c};
        NEED(epoll_ctl(c->pool->epoll, EPOLL_CTL_MOD, c->fd, &none) == 0);
    } else {
        watch(c, writing);
    }
    return true;
}

/* ---- the thread ---- */

static void take_added(struct raw_pool *pool)
{
    uint64_t drained;
    (void)!read(pool->wake, &drained, sizeof drained);
    pthread_mutex_lock(&pool->lock);
    struct connection *c = pool->added;
    pool->added = NULL;
    pthread_mutex_unlock(&pool->lock);
    while (c) {
        struct connection *next = c->next;
        c->next = pool->all;
        pool->all = c;
        dial(c);
        c = next;
    }
}

static void do_due(struct raw_pool *pool, int64_t now_ms)
{
    for (struct connection *c = pool->all; c; c = c->next) {
        if (now_ms < c->due_ms) {
            continue;
        }
        if (c->fd < 0) {
            dial(c);
        } else if (c->manner == RAW_LORIS) {
            c->due_ms = now_ms + 1000;
            (void)!send(c->fd, "\x16", 1, MSG_NOSIGNAL);
        } else {
            c->due_ms = INT64_MAX;
        }
    }
}

static void *run(void *context)
{
    struct raw_pool *pool = context;
    struct epoll_event events[256];
    int64_t looked_ms = 0;
    while (!atomic_load(&pool->stop)) {
        int n = epoll_wait(pool->epoll, events, 256, 20);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            ERR_clear_error();
            if (!c) {
                take_added(pool);
            } else if (c->fd >= 0 && !serve(c, events[i].events)) {
                hang_up(c);
            }
        }
        int64_t now_ms = trib_clock_ms();
        if (now_ms - looked_ms >= AGAIN_MS) {
            looked_ms = now_ms;
            do_due(pool, now_ms);
        }
    }
    return NULL;
}

static SSL_CTX *make_context(const char *dir)
{
    char path[300];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    snprintf(path, sizeof path, "%s/ca.crt", dir);
    NEED(context && SSL_CTX_load_verify_file(context, path) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    NEED(SSL_CTX_set_alpn_protos(context, (const uint8_t *)"\2h2", 3) == 0);
    return context;
}

struct raw_pool *raw_pool_new(const char *address, const char *dir)
{
    struct raw_pool *pool = trib_calloc(1, sizeof *pool);
    int port = 0;
    NEED(pool && sscanf(address, "127.0.0.1:%d", &port) == 1);
    snprintf(pool->dir, sizeof pool->dir, "%s", dir);
    pool->address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    pool->context = make_context(dir);
    pool->no_cert = make_context(dir);
    pthread_mutex_init(&pool->lock, NULL);
    pool->epoll = epoll_create1(EPOLL_CLOEXEC);
    pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    NEED(pool->epoll >= 0 && epoll_ctl(pool->epoll, EPOLL_CTL_ADD, pool->wake, &event) == 0);
    NEED(pthread_create(&pool->thread, NULL, run, pool) == 0);
    return pool;
}

void raw_pool_add(struct raw_pool *pool, enum raw_manner manner, int node, bool again)
{
    struct connection *c = trib_calloc(1, sizeof *c);
    uint64_t one = 1;
    NEED(c);
    c->pool = pool;
    c->manner = manner;
    c->node = node;
    c->again = again;
    c->fd = -1;
    pthread_mutex_lock(&pool->lock);
    c->next = pool->added;
    pool->added = c;
    pthread_mutex_unlock(&pool->lock);
    NEED(write(pool->wake, &one, sizeof one) == sizeof one);
}

struct raw_counts raw_pool_counts(struct raw_pool *pool)
{
    return (struct raw_counts){.opened = atomic_load(&pool->opened),
                               .handshaken = atomic_load(&pool->handshaken),
                               .welcomed = atomic_load(&pool->welcomed),
                               .closed = atomic_load(&pool->closed),
                               .refused = atomic_load(&pool->refused),
                               .sent = atomic_load(&pool->sent)};
}

bool raw_pool_wait_welcomed(struct raw_pool *pool, int64_t n, int64_t timeout_ms)
{
    int64_t until_ms = trib_clock_ms() + timeout_ms;
    while (atomic_load(&pool->welcomed) < n && trib_clock_ms() < until_ms) {
        (void)poll(NULL, 0, 5);
    }
    return atomic_load(&pool->welcomed) >= n;
}

void raw_pool_free(struct raw_pool *pool)
{
    atomic_store(&pool->stop, true);
    pthread_join(pool->thread, NULL);
    for (struct connection *c = pool->all, *next; c; c = next) {
        next = c->next;
        if (c->fd >= 0) {
            hang_up(c);
        }
        trib_free(c);
    }
    SSL_CTX_free(pool->context);
    SSL_CTX_free(pool->no_cert);
    close(pool->epoll);
    close(pool->wake);
    pthread_mutex_destroy(&pool->lock);
    trib_free(pool);
}
