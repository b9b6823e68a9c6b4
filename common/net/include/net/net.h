/* Block net is gRPC's C core behind callbacks, and the only block that includes its headers. Server and client calls
 * look alike.
 *
 * Threads. Events run on the block's own completion-queue threads. The events of one call never overlap; those of
 * different calls may. An event handler must not block for long (it holds up other calls). Every function here may be
 * called from any thread, also from within an event, except those that wait: trib_net_server_stop,
 * trib_net_server_free, trib_net_channel_free, trib_net_channel_unary, trib_net_shutdown.
 *
 * Ownership. A call is reference-counted: whoever keeps a pointer beyond an event holds a reference. Functions on a
 * call that has ended do nothing and say so by their status. `closed` is the last event of a call and comes exactly
 * once for every call that was opened.
 *
 * Nothing is read unless asked for (trib_net_call_read): that is the back-pressure. What is sent queues up to a cap. */
#ifndef TRIB_NET_NET_H
#define TRIB_NET_NET_H

#include "base/blob.h"
#include "base/net_settings.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Start and stop of gRPC itself, counted; call init before any other function here, after any fork and after the log
 * was opened (gRPC's own messages go there: component net, events grpc and handshake_failed). TLS is 1.3 only from the
 * first server or channel on, for the whole process. */
void trib_net_init(void);
void trib_net_shutdown(void); /* waits */
const char *trib_net_version(void);
/* Test hook: let `after` gRPC batches of this process start, then refuse one (and, if `sticky`, all that follow). A
 * negative number switches it off. Returns the batches counted since the last call. */
int64_t trib_net_fail_after(int64_t after, bool sticky);

/* ---- messages ---- */
struct trib_net_message; /* one received message, in pieces as the transport cut it */
size_t trib_net_message_len(const struct trib_net_message *message);
/* Iterate the pieces in order: start with *at = 0; false at the end. */
bool trib_net_message_next(const struct trib_net_message *message, size_t *at, const uint8_t **piece, size_t *len);
/* A flat message is all its bytes in one run (joined on first use when there is more than one piece); NULL when memory
 * is short. */
const uint8_t *trib_net_message_flat(struct trib_net_message *message);
void trib_net_message_free(struct trib_net_message *message);

/* ---- calls ---- */
struct trib_net_call;
struct trib_net_close {
    enum trib_status status; /* client: what the server answered; server: OK, CANCELLED, or TIMEOUT (idle limit) */
    const char *details;     /* text for people, "" when there is none; borrowed during the event */
    int grpc_code;
};
struct trib_net_events {
    /* A message that was asked for. NULL: the peer half-closed (or the transport broke; closed will tell). The
     * handler owns the message. */
    void (*message)(void *user, struct trib_net_call *call, struct trib_net_message *message);
    /* The send queue has drained to half of its cap or less after it was full; optional. */
    void (*writable)(void *user, struct trib_net_call *call);
    /* The end; optional things may still be freed here. */
    void (*closed)(void *user, struct trib_net_call *call, const struct trib_net_close *how);
};
struct trib_net_call *trib_net_call_ref(struct trib_net_call *call);
void trib_net_call_unref(struct trib_net_call *call); /* NULL is allowed */
/* Ask for the next message; at most one at a time. After the end it brings nothing but the closed event. At the client
 * a failing status may overtake messages that nobody asked for yet. */
void trib_net_call_read(struct trib_net_call *call);
/* Server: ask for the next message, but not before so many ms have passed (a quarter of a second more or less). */
void trib_net_call_read_after(struct trib_net_call *call, int64_t wait_ms);
/* Server: end the call when for so long no message that was asked for has come and none that was sent has been taken.
 * 0: do not (so every call begins, and nothing can be lost by it while nobody waits). A call whose end was asked for
 * has the limits' idle_ms at most. */
void trib_net_call_idle_limit(struct trib_net_call *call, int64_t limit_ms);
/* Queue one message: `head` is copied; then len bytes of blob from offset, by reference (blob NULL = none).
 * TRIB_LIMIT: the queue is full (limits below), nothing was queued, writable will come; TRIB_CANCELLED: the call has
 * ended, or its end was asked for; TRIB_INVALID: longer than max_message_bytes, or not within the blob; TRIB_NO_MEMORY.
 */
TRIB_MUST_CHECK enum trib_status trib_net_call_send(struct trib_net_call *call, const void *head, size_t head_len,
                                                    struct trib_blob *blob, size_t offset, size_t len);
/* Bytes queued and not yet accepted by the transport, with a small charge for each message. */
size_t trib_net_call_queued(struct trib_net_call *call);
/* Client: no more messages will be sent, after those queued. */
void trib_net_call_half_close(struct trib_net_call *call);
/* Server: end the call with a status after the messages queued. details may be NULL; about 1000 bytes of it arrive. The
 * client sees the most general status that shares the gRPC code (status.h). */
void trib_net_call_finish(struct trib_net_call *call, enum trib_status status, const char *details);
/* Either side: end the call now. */
void trib_net_call_cancel(struct trib_net_call *call);
/* Server: end the call now with a status and a text, which go past what is queued. */
void trib_net_call_abort(struct trib_net_call *call, enum trib_status status, const char *details);

/* ---- credentials ---- */
struct trib_net_tls {
    const char *ca_path;   /* PEM of the federation's CA */
    const char *cert_path; /* PEM of this node's certificate (chain) */
    const char *key_path;  /* PEM of its key, no passphrase; refused when others than owner and group can use it */
};
struct trib_net_limits {          /* a zero stands for the default, except where it says otherwise */
    size_t max_message_bytes;     /* default 2 MiB */
    size_t send_queue_bytes;      /* per call, default 4 MiB */
    int64_t keepalive_ms;         /* default 30 s; 0 = off */
    int64_t keepalive_timeout_ms; /* default keepalive_ms, but 5 to 30 s */
    int64_t handshake_timeout_ms; /* server, default 10 s */
    int64_t lookahead_bytes;      /* 0 = gRPC's own flow control with BDP probing; else fixed, probing off */
    int threads;                  /* completion-queue threads, default 2 at the server, 1 at the client */
    /* Server only. */
    int64_t idle_ms; /* the end of connections without calls, and of calls that are ending but do not; default 60 s */
    int64_t max_strangers;    /* connections of one address before their first call is taken; 0 = any number */
    int64_t connection_rate;  /* connections of one address in a second; 0 = any number */
    int calls_per_connection; /* more wait at the client; default 256 */
    size_t memory_bytes;      /* that gRPC may use for connections; beyond, it closes some. 0 = any amount */
};
void trib_net_limits_default(struct trib_net_limits *limits);
/* trib_net_limits_of returns the defaults with what the settings say; trib_net_tls_of the files, their paths borrowed.
 */
struct trib_net_limits trib_net_limits_of(const struct trib_net_settings *settings);
struct trib_net_tls trib_net_tls_of(const struct trib_tls_settings *settings);
/* Read and check the three files as OpenSSL sees them, before gRPC does: messages name file and fault (missing, not
 * PEM, key does not fit the certificate, expired on DATE, not signed by the CA). */
TRIB_MUST_CHECK enum trib_status trib_net_tls_check(const struct trib_net_tls *tls, bool server,
                                                    struct trib_error *error);
/* The node identity within a certificate: its URI SAN "tributary://node/ID" (-> ID), else its first DNS SAN, else CN.
 * TRIB_INVALID when it has blanks, slashes, quotes or anything beyond printable ASCII, or begins with a dot. */
TRIB_MUST_CHECK enum trib_status trib_net_identity_of(const char *cert_path, char *identity, size_t size,
                                                      struct trib_error *error);

/* ---- server ---- */
struct trib_net_peer {
    const char *identity; /* of the verified client certificate, "" without TLS; borrowed during the event */
    const char *address;  /* "ipv4:10.0.0.7:51234" */
};
struct trib_net_method {
    const char *path; /* "/tributary.v1.Federation/Session" */
    /* A call has arrived. Set *events and *user and return TRIB_OK to take it (and then usually ask for the first
     * message), or a failure to end it with that status and the error's message. */
    enum trib_status (*opened)(void *service, struct trib_net_call *call, const struct trib_net_peer *peer,
                               const struct trib_net_events **events, void **user, struct trib_error *error);
};
struct trib_net_server;
/* trib_net_server_new listens at "0.0.0.0:7443", "[::]:7443"; port 0 picks one. Unknown methods answer UNIMPLEMENTED.
 * Methods are copied. TRIB_UNAVAILABLE names the address when it is in use. Certificates are read again at a handshake
 * when their files changed; if the new ones are wrong, that is logged (tls_reload_failed) and the former ones serve on.
 * tls NULL = plain text, for tests on loopback only. limits NULL = defaults. */
TRIB_MUST_CHECK enum trib_status trib_net_server_new(const char *listen, const struct trib_net_tls *tls,
                                                     const struct trib_net_limits *limits,
                                                     const struct trib_net_method *methods, size_t n_methods,
                                                     void *service, struct trib_net_server **server,
                                                     struct trib_error *error);
int trib_net_server_port(const struct trib_net_server *server);
/* Stop accepting, let calls end for up to grace_ms, cancel the rest, wait until every closed event has run. */
void trib_net_server_stop(struct trib_net_server *server, int64_t grace_ms);
void trib_net_server_free(struct trib_net_server *server); /* stops at once if still running */

/* ---- client ---- */
struct trib_net_channel;
/* A channel's address is "host:port". server_name: the name that the server's certificate must carry (NULL = host of
 * address). Connects lazily. Certificate files are checked here, and read again by the first call after they changed or
 * after a connection failed. tls and limits as for a server. */
TRIB_MUST_CHECK enum trib_status trib_net_channel_new(const char *address, const char *server_name,
                                                      const struct trib_net_tls *tls,
                                                      const struct trib_net_limits *limits,
                                                      struct trib_net_channel **channel, struct trib_error *error);
/* trib_net_channel_free cancels what is open and waits until every closed event has run. Not from within an event. */
void trib_net_channel_free(struct trib_net_channel *channel);
/* Open a call. deadline_ms 0 = none. Fails fast when the server cannot be reached (each call is a fresh attempt, of 20
 * s at most): the closed event says why, as clearly as gRPC tells. The caller owns one reference; events may come
 * before this returns, and *call is set before the first. On failure there are no events; TRIB_CANCELLED: the channel
 * is being freed. */
TRIB_MUST_CHECK enum trib_status trib_net_channel_call(struct trib_net_channel *channel, const char *path,
                                                       int64_t deadline_ms, const struct trib_net_events *events,
                                                       void *user, struct trib_net_call **call,
                                                       struct trib_error *error);
/* One unary exchange, waiting at most timeout_ms. The caller frees *reply. On failure the message is the server's. */
TRIB_MUST_CHECK enum trib_status trib_net_channel_unary(struct trib_net_channel *channel, const char *path,
                                                        const void *request, size_t len, int64_t timeout_ms,
                                                        struct trib_net_message **reply, struct trib_error *error);

#endif
