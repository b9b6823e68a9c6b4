/* TLS material: PEM files, their check, their change over time, and gRPC credentials made of them. */
#ifndef TRIB_NET_TLS_H
#define TRIB_NET_TLS_H

#include "base/buf.h"
#include "net/net.h"

#include <grpc/grpc_security.h>
#include <openssl/x509.h>

#include <pthread.h>
#include <time.h>

/* The three files' content, as text. Clearing wipes the key. */
struct trib_net_pem {
    struct trib_buf ca;
    struct trib_buf cert;
    struct trib_buf key;
};
/* Load the three files, and check them (see trib_net_tls_check). */
TRIB_MUST_CHECK enum trib_status trib_net_pem_load(const struct trib_net_tls *tls, bool server,
                                                   struct trib_net_pem *pem, struct trib_error *error);
void trib_net_pem_clear(struct trib_net_pem *pem);

/* The identity that a certificate states, out of a PEM text as gRPC shows the peer's; `origin` names the certificate in
 * messages. */
TRIB_MUST_CHECK enum trib_status trib_net_identity_of_pem(const char *pem, size_t len, const char *origin,
                                                          char *identity, size_t size, struct trib_error *error);

/* A stamp tells one state of a file from another. */
struct trib_net_stamp {
    struct timespec changed;
    uint64_t inode;
    int64_t len;
};
/* A source is paths to TLS files, owned, and the state in which they were last read. */
struct trib_net_tls_source {
    char *ca_path;
    char *cert_path;
    char *key_path;
    bool server;
    pthread_mutex_t lock;                      /* what follows */
    grpc_ssl_server_certificate_config *first; /* read and checked, until gRPC fetches for the first time */
    struct trib_net_stamp stamps[3];
    int64_t retry_ms; /* when files that were wrong are looked at again although they did not change; 0: never */
};
TRIB_MUST_CHECK enum trib_status trib_net_tls_source_new(const struct trib_net_tls *tls, bool server,
                                                         struct trib_net_tls_source **source, struct trib_error *error);
void trib_net_tls_source_free(struct trib_net_tls_source *source); /* NULL is allowed */
/* Whether the files changed since they were last read; counts as read from here on. */
bool trib_net_tls_source_changed(struct trib_net_tls_source *source);
/* A source has failed when its files could not be used: worth another look after a while, for a certificate may become
 * valid, memory come back. */
void trib_net_tls_source_failed(struct trib_net_tls_source *source);

/* Credentials are made by reading the files. A server's credentials keep a pointer to the source and read again when
 * the files changed; files that are wrong then are logged and the former ones stay in use. */
TRIB_MUST_CHECK enum trib_status trib_net_server_credentials(struct trib_net_tls_source *source,
                                                             grpc_server_credentials **credentials,
                                                             struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_net_channel_credentials(struct trib_net_tls_source *source,
                                                              grpc_channel_credentials **credentials,
                                                              struct trib_error *error);
/* Allow TLS 1.3 only, in this whole process; the first call does it, before gRPC makes its first TLS context. */
TRIB_MUST_CHECK enum trib_status trib_net_tls_policy(struct trib_error *error);

#endif
