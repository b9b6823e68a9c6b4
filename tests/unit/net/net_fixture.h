/* What the tests of block net share: certificates of a small federation, a recorder of events that can be waited on,
 * and a service whose methods show one traffic pattern each. */
#ifndef NET_FIXTURE_H
#define NET_FIXTURE_H

#include "net/net.h"
#include "test_certs.h"

#include "base/mem.h"
#include "base/str.h"

#include <check.h>
#include <pthread.h>
#include <time.h>

enum { WAIT_S = 30, UNARY_MS = 20000 };

/* ---- certificates ---- */

static char certs[256];

static inline const char *in_certs(const char *name)
{
    static _Thread_local char paths[8][320];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    return test_certs_path(certs, name, path, sizeof paths[0]);
}

static inline struct trib_net_tls tls_of(const char *ca, const char *node)
{
    char cert[64];
    char key[64];
    snprintf(cert, sizeof cert, "%s.crt", node);
    snprintf(key, sizeof key, "%s.key", node);
    return (struct trib_net_tls){.ca_path = in_certs(ca), .cert_path = in_certs(cert), .key_path = in_certs(key)};
}

/* One file with the certificates of two CAs. */
static inline void write_bundle(const char *name, const struct test_ca *a, const struct test_ca *b)
{
    FILE *out = test_certs_open(certs, name, "", 0644);
    ck_assert(PEM_write_X509(out, a->cert) == 1 && PEM_write_X509(out, b->cert) == 1);
    fclose(out);
}

static inline void make_certs(void)
{
    test_certs_dir(certs, sizeof certs);
    struct test_ca ca = test_certs_ca(certs, "ca", NULL);
    struct test_ca other = test_certs_ca(certs, "other", NULL);
    struct test_ca old = test_certs_ca(certs, "old", &(struct test_cert){.from_s = -7200, .until_s = -3600});
    write_bundle("both.crt", &ca, &other);
    test_certs_write_key(certs, "ca", ca.key);
    test_certs_issue(&ca, certs, "server",
                     &(struct test_cert){.common_name = "server", .alternatives = "DNS:localhost,IP:127.0.0.1"});
    test_certs_issue(&ca, certs, "named",
                     &(struct test_cert){.common_name = "server", .alternatives = "DNS:server.example"});
    test_certs_issue(
        &ca, certs, "boat-7",
        &(struct test_cert){.common_name = "x", .alternatives = "DNS:boat.example,URI:tributary://node/boat-7"});
    test_certs_issue(&ca, certs, "expired",
                     &(struct test_cert){.common_name = "old", .from_s = -7200, .until_s = -3600});
    test_certs_issue(&ca, certs, "early", &(struct test_cert){.common_name = "new", .from_s = 3600, .until_s = 7200});
    test_certs_issue(&ca, certs, "hostile", &(struct test_cert){.common_name = "../../etc/passwd"});
    test_certs_issue(&other, certs, "foreign",
                     &(struct test_cert){.common_name = "foreign", .alternatives = "URI:tributary://node/foreign"});
    test_certs_issue(&ca, certs, "sayer", &(struct test_cert){.common_name = "sayer", .extended_usage = "serverAuth"});
    test_certs_ca_free(&ca);
    test_certs_ca_free(&other);
    test_certs_ca_free(&old);
}

static inline void remove_certs(void)
{
    test_certs_remove(certs);
}

/* ---- events that can be waited on ---- */

struct record {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct trib_net_call *call; /* server side: of the call that was taken, with a reference */
    int n_messages;
    size_t n_bytes;
    char last[256]; /* the beginning of the last message */
    bool input_ended;
    int n_writable;
    int n_closed;
    enum trib_status status;
    int grpc_code;
    char details[1024];
    int inside; /* events running now: more than one is a fault */
    bool overlapped;
    bool greedy; /* ask for the next message at once */
};

static inline void record_init(struct record *record)
{
    pthread_condattr_t attributes;
    memset(record, 0, sizeof *record);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&record->lock, NULL);
    pthread_cond_init(&record->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static inline void record_clear(struct record *record)
{
    trib_net_call_unref(record->call);
    pthread_cond_destroy(&record->changed);
    pthread_mutex_destroy(&record->lock);
}

/* Wait until `condition`, which is evaluated under the lock, holds. */
#define record_wait(record, condition)                                                                                 \
    do {                                                                                                               \
        struct timespec until_;                                                                                        \
        int failure_ = 0;                                                                                              \
        clock_gettime(CLOCK_MONOTONIC, &until_);                                                                       \
        until_.tv_sec += WAIT_S;                                                                                       \
        pthread_mutex_lock(&(record)->lock);                                                                           \
        while (!(condition) && failure_ == 0) {                                                                        \
            failure_ = pthread_cond_timedwait(&(record)->changed, &(record)->lock, &until_);                           \
        }                                                                                                              \
        bool held_ = (condition);                                                                                      \
        pthread_mutex_unlock(&(record)->lock);                                                                         \
        ck_assert_msg(held_, "waited in vain for: %s", #condition);                                                    \
    } while (0)

static inline int record_writable_count(struct record *record)
{
    pthread_mutex_lock(&record->lock);
    int n = record->n_writable;
    pthread_mutex_unlock(&record->lock);
    return n;
}

/* The call that method Hold took last. */
static inline struct trib_net_call *record_call(struct record *record)
{
    pthread_mutex_lock(&record->lock);
    struct trib_net_call *call = record->call;
    pthread_mutex_unlock(&record->lock);
    return call;
}

/* Each event enters and leaves; the lock is not held in between, so that overlapping ones meet. */
static inline void record_enter(struct record *record)
{
    pthread_mutex_lock(&record->lock);
    record->overlapped = record->overlapped || record->inside != 0;
    record->inside++;
    pthread_mutex_unlock(&record->lock);
}

static inline void record_leave(struct record *record)
{
    record->inside--;
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
}

static inline void record_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct record *record = user;
    record_enter(record);
    size_t len = message ? trib_net_message_len(message) : 0;
    char first[sizeof record->last] = "";
    if (message) {
        size_t keep = len < sizeof first - 1 ? len : sizeof first - 1;
        memcpy(first, trib_net_message_flat(message), keep);
    }
    bool more = message && record->greedy;
    trib_net_message_free(message);
    if (more) {
        trib_net_call_read(call);
    }
    pthread_mutex_lock(&record->lock);
    if (message) {
        record->n_messages++;
        record->n_bytes += len;
        memcpy(record->last, first, sizeof first);
    } else {
        record->input_ended = true;
    }
    record_leave(record);
}

static inline void record_writable(void *user, struct trib_net_call *call)
{
    struct record *record = user;
    (void)call;
    record_enter(record);
    pthread_mutex_lock(&record->lock);
    record->n_writable++;
    record_leave(record);
}

static inline void record_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    struct record *record = user;
    (void)call;
    record_enter(record);
    pthread_mutex_lock(&record->lock);
    record->n_closed++;
    record->status = how->status;
    record->grpc_code = how->grpc_code;
    trib_str_copy(record->details, sizeof record->details, how->details);
    record_leave(record);
}

static const struct trib_net_events record_events = {
    .message = record_message, .writable = record_writable, .closed = record_closed};

/* ---- the service ---- */

struct service {
    struct record held; /* the call of method Hold */
    pthread_mutex_t lock;
    int n_opened;
    int n_closed;
    char identity[64];
    char address[64];
};

static inline bool service_saw(struct service *service, const char *identity, const char *address)
{
    pthread_mutex_lock(&service->lock);
    bool same = strcmp(service->identity, identity) == 0 && trib_str_starts_with(service->address, address);
    pthread_mutex_unlock(&service->lock);
    return same;
}

static inline int service_opened(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    int n = service->n_opened;
    pthread_mutex_unlock(&service->lock);
    return n;
}

struct session {
    struct service *service;
    uint32_t to_send;
    size_t n_bytes;
    struct trib_blob *chunk;
};

enum { CHUNK_LEN = 100000 };

static inline void session_closed(void *user, struct trib_net_call *call, const struct trib_net_close *how)
{
    struct session *session = user;
    (void)call;
    (void)how;
    pthread_mutex_lock(&session->service->lock);
    session->service->n_closed++;
    pthread_mutex_unlock(&session->service->lock);
    trib_blob_unref(session->chunk);
    trib_free(session);
}

/* Unary: "echo:" and the request. */
static inline void unary_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    if (message) {
        size_t len = trib_net_message_len(message);
        const uint8_t *flat = trib_net_message_flat(message);
        struct trib_blob *reply = flat ? trib_blob_copy(flat, len) : NULL;
        enum trib_status status = reply ? trib_net_call_send(call, "echo:", 5, reply, 0, len) : TRIB_NO_MEMORY;
        trib_blob_unref(reply);
        trib_net_call_finish(call, status, NULL);
    }
    trib_net_message_free(message);
}

/* Down: the request is a count in decimal; so many chunks follow, each headed by its number. */
static inline void down_more(void *user, struct trib_net_call *call)
{
    struct session *session = user;
    while (session->to_send > 0) {
        uint8_t head[4] = {(uint8_t)session->to_send, 0, 0, 0};
        enum trib_status status = trib_net_call_send(call, head, sizeof head, session->chunk, 10, CHUNK_LEN - 10);
        if (status != TRIB_OK) {
            return;
        }
        session->to_send--;
    }
    trib_net_call_finish(call, TRIB_OK, "all sent");
}

static inline void down_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct session *session = user;
    if (message) {
        int64_t n = 0;
        char text[16] = "";
        memcpy(text, trib_net_message_flat(message), trib_net_message_len(message));
        ck_assert_int_eq(trib_parse_int(text, 0, 100000, &n, NULL), TRIB_OK);
        session->to_send = (uint32_t)n;
        session->chunk = trib_blob_new(CHUNK_LEN);
        memset(trib_blob_fill(session->chunk), 'c', CHUNK_LEN);
        down_more(user, call);
    }
    trib_net_message_free(message);
}

/* Up: count the bytes until the client half-closes, then tell. */
static inline void up_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    struct session *session = user;
    if (message) {
        const uint8_t *piece = NULL;
        size_t at = 0;
        size_t len = 0;
        size_t sum = 0;
        while (trib_net_message_next(message, &at, &piece, &len)) {
            sum += len;
        }
        ck_assert_uint_eq(sum, trib_net_message_len(message));
        session->n_bytes += sum;
        trib_net_call_read(call);
    } else {
        char text[32];
        int len = snprintf(text, sizeof text, "%zu", session->n_bytes);
        (void)!trib_net_call_send(call, text, (size_t)len, NULL, 0, 0);
        trib_net_call_finish(call, TRIB_OK, NULL);
    }
    trib_net_message_free(message);
}

/* Bidi: every message comes back. */
static inline void bidi_message(void *user, struct trib_net_call *call, struct trib_net_message *message)
{
    (void)user;
    if (message) {
        (void)!trib_net_call_send(call, trib_net_message_flat(message), trib_net_message_len(message), NULL, 0, 0);
        trib_net_call_read(call);
    } else {
        trib_net_call_finish(call, TRIB_OK, NULL);
    }
    trib_net_message_free(message);
}

static const struct trib_net_events unary_events = {.message = unary_message, .closed = session_closed};
static const struct trib_net_events down_events = {
    .message = down_message, .writable = down_more, .closed = session_closed};
static const struct trib_net_events up_events = {.message = up_message, .closed = session_closed};
static const struct trib_net_events bidi_events = {.message = bidi_message, .closed = session_closed};

static inline enum trib_status open_session(struct service *service, struct trib_net_call *call,
                                            const struct trib_net_peer *peer, void **user)
{
    struct session *session = trib_calloc(1, sizeof *session);
    if (!session) {
        return TRIB_NO_MEMORY;
    }
    session->service = service;
    pthread_mutex_lock(&service->lock);
    service->n_opened++;
    trib_str_copy(service->identity, sizeof service->identity, peer->identity);
    trib_str_copy(service->address, sizeof service->address, peer->address);
    pthread_mutex_unlock(&service->lock);
    *user = session;
    trib_net_call_read(call);
    return TRIB_OK;
}

#define OPENED(name)                                                                                                   \
    static inline enum trib_status name##_opened(                                                                      \
        void *service, struct trib_net_call *call, const struct trib_net_peer *peer,                                   \
        const struct trib_net_events **events, void **user, struct trib_error *error)                                  \
    {                                                                                                                  \
        (void)error;                                                                                                   \
        *events = &name##_events;                                                                                      \
        return open_session(service, call, peer, user);                                                                \
    }
OPENED(unary)
OPENED(down)
OPENED(up)
OPENED(bidi)

/* Hold: the test drives this call itself through the record. */
static inline enum trib_status hold_opened(void *user, struct trib_net_call *call, const struct trib_net_peer *peer,
                                           const struct trib_net_events **events, void **event_user,
                                           struct trib_error *error)
{
    struct service *service = user;
    (void)peer;
    (void)error;
    *events = &record_events;
    *event_user = &service->held;
    pthread_mutex_lock(&service->held.lock);
    trib_net_call_unref(service->held.call);
    service->held.call = trib_net_call_ref(call);
    pthread_cond_broadcast(&service->held.changed);
    pthread_mutex_unlock(&service->held.lock);
    return TRIB_OK;
}

static inline enum trib_status refuse_opened(void *user, struct trib_net_call *call, const struct trib_net_peer *peer,
                                             const struct trib_net_events **events, void **event_user,
                                             struct trib_error *error)
{
    (void)user;
    (void)call;
    (void)events;
    (void)event_user;
    return trib_fail(error, TRIB_DENIED, "%s: not today", peer->identity);
}

static const struct trib_net_method methods[] = {
    {.path = "/t.T/Unary", .opened = unary_opened}, {.path = "/t.T/Down", .opened = down_opened},
    {.path = "/t.T/Up", .opened = up_opened},       {.path = "/t.T/Bidi", .opened = bidi_opened},
    {.path = "/t.T/Hold", .opened = hold_opened},   {.path = "/t.T/Refuse", .opened = refuse_opened},
};

/* ---- one server and one channel ---- */

struct pair {
    struct service service;
    struct trib_net_server *server;
    struct trib_net_channel *channel;
    char address[64];
};

static inline void server_start(struct pair *pair, const char *node, const struct trib_net_limits *limits)
{
    struct trib_net_tls tls = tls_of("ca.crt", node);
    struct trib_error error = {.status = TRIB_OK};
    memset(pair, 0, sizeof *pair);
    record_init(&pair->service.held);
    pthread_mutex_init(&pair->service.lock, NULL);
    enum trib_status status =
        trib_net_server_new("127.0.0.1:0", &tls, limits, methods, sizeof methods / sizeof methods[0], &pair->service,
                            &pair->server, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    snprintf(pair->address, sizeof pair->address, "127.0.0.1:%d", trib_net_server_port(pair->server));
}

static inline struct trib_net_channel *connect_as(const struct pair *pair, const char *ca, const char *node,
                                                  const char *server_name, const struct trib_net_limits *limits)
{
    struct trib_net_tls tls = tls_of(ca, node);
    struct trib_net_channel *channel = NULL;
    struct trib_error error = {.status = TRIB_OK};
    enum trib_status status = trib_net_channel_new(pair->address, server_name, &tls, limits, &channel, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    return channel;
}

static inline void pair_start(struct pair *pair, const struct trib_net_limits *server_limits,
                              const struct trib_net_limits *client_limits)
{
    server_start(pair, "server", server_limits);
    pair->channel = connect_as(pair, "ca.crt", "boat-7", NULL, client_limits);
}

static inline void pair_stop(struct pair *pair)
{
    trib_net_channel_free(pair->channel);
    trib_net_server_free(pair->server);
    ck_assert_int_eq(pair->service.n_opened, pair->service.n_closed);
    ck_assert(!pair->service.held.overlapped);
    record_clear(&pair->service.held);
    pthread_mutex_destroy(&pair->service.lock);
}

static inline struct trib_net_call *open_call(struct trib_net_channel *channel, const char *path, int64_t deadline_ms,
                                              struct record *record)
{
    struct trib_net_call *call = NULL;
    struct trib_error error = {.status = TRIB_OK};
    enum trib_status status = trib_net_channel_call(channel, path, deadline_ms, &record_events, record, &call, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    return call;
}

static inline void send_text(struct trib_net_call *call, const char *text)
{
    ck_assert_int_eq(trib_net_call_send(call, text, strlen(text), NULL, 0, 0), TRIB_OK);
}

/* One exchange with method Unary. */
static inline enum trib_status echo(struct trib_net_channel *channel, struct trib_error *error)
{
    struct trib_net_message *reply = NULL;
    enum trib_status status = trib_net_channel_unary(channel, "/t.T/Unary", "hello", 5, UNARY_MS, &reply, error);
    if (status == TRIB_OK) {
        ck_assert_uint_eq(trib_net_message_len(reply), 10);
        ck_assert_mem_eq(trib_net_message_flat(reply), "echo:hello", 10);
    }
    trib_net_message_free(reply);
    return status;
}

#endif
