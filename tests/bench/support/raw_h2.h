/* Thousands of HTTP/2 connections in one thread, as plainly as a server can be spoken to, with good manners or bad
 * ones. gRPC's own client has a thread and a TLS context for each channel, and would never do what most of these do. */
#ifndef BENCH_RAW_H2_H
#define BENCH_RAW_H2_H

#include <stdbool.h>
#include <stdint.h>

enum raw_manner {
    RAW_SESSION,  /* says Hello and stays, silent but for answers to pings */
    RAW_DROP,     /* hangs up in the middle of the handshake */
    RAW_FLOOD,    /* sends Progress as fast as it may */
    RAW_REPLAY,   /* sends the same Offer as fast as it may */
    RAW_SLOW,     /* downloads the model and does not read it */
    RAW_LORIS,    /* TCP: a byte a second */
    RAW_HALF,     /* TLS, and half of HTTP/2's preface */
    RAW_SILENT,   /* opens a session and says nothing */
    RAW_OVERSIZE, /* a message of 64 MB */
    RAW_NO_CERT,  /* TLS without a certificate */
    RAW_PLAIN     /* no TLS */
};
struct raw_counts {
    int64_t opened;     /* connections begun */
    int64_t handshaken; /* of them, with TLS made */
    int64_t welcomed;   /* with a Welcome */
    int64_t closed;     /* that have ended, whoever ended them */
    int64_t refused;    /* by the server's word: a gRPC status other than OK */
    int64_t sent;       /* bytes of messages */
};
struct raw_pool;

/* address: "127.0.0.1:PORT"; dir holds ca.crt and c0.crt, c0.key, c1.crt ... Aborts the program on failure. */
struct raw_pool *raw_pool_new(const char *address, const char *dir);
/* Open a connection as node cN; with `again`, another one whenever it has ended, after a pause of 20 ms. */
void raw_pool_add(struct raw_pool *pool, enum raw_manner manner, int node, bool again);
struct raw_counts raw_pool_counts(struct raw_pool *pool);
/* Wait until so many are welcomed and none of them has closed; false when that took longer. */
bool raw_pool_wait_welcomed(struct raw_pool *pool, int64_t n, int64_t timeout_ms);
void raw_pool_free(struct raw_pool *pool); /* hangs up */

#endif
