/* Clients for load: real sessions, downloads and uploads over mutual TLS, without training. Every client sends the
 * same synthetic update, made once for the model that the first task names. */
#ifndef BENCH_LOAD_CLIENTS_H
#define BENCH_LOAD_CLIENTS_H

#include "net/net.h"

struct load_options {
    const char *address; /* "127.0.0.1:PORT" */
    const char *dir;     /* holds ca.crt and c0.crt, c0.key, c1.crt ... */
    int n;
    bool download; /* fetch and verify the model each round */
};
struct load_clients;

/* Connect n clients; they take part in every round until the server says goodbye. Aborts the program on failure. */
struct load_clients *load_clients_start(const struct load_options *options);
/* Wait until every session has ended (at most timeout_ms, else abort), and free. */
void load_clients_finish(struct load_clients *clients, int64_t timeout_ms);

/* Hang up, whatever they are doing, and free. */
void load_clients_leave(struct load_clients *clients);

#endif
