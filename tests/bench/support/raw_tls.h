/* What TLS alone takes: bytes pushed through one OpenSSL connection over loopback, a thread at each end. */
#ifndef BENCH_RAW_TLS_H
#define BENCH_RAW_TLS_H

#include <stdint.h>

/* Bytes per second for `bytes` sent in 1 MiB writes over TLS 1.3. dir holds ca.crt, server.crt and server.key. */
double raw_tls_throughput(const char *dir, uint64_t bytes);

#endif
