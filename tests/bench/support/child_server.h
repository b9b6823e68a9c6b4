/* A real tributary-server as a child process, with certificates of its own, for benchmarks. */
#ifndef CHILD_SERVER_H
#define CHILD_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { BENCH_MAX_ROUNDS = 8192, BENCH_MAX_COMPLAINTS = 16 };

struct bench_round {
    double bytes_up, bytes_down, seconds, seconds_collect, seconds_apply, seconds_commit;
};
struct bench_complaint {
    char event[48];
    long n;
};
struct bench_server {
    char dir[256], address[64];
    pid_t pid;
    int log_fd;
    pthread_t reader;
    struct bench_round rounds[BENCH_MAX_ROUNDS];
    _Atomic(int) n_rounds;
    struct bench_complaint complaints[BENCH_MAX_COMPLAINTS]; /* warnings and errors, by event; by the reader's thread */
    bool quiet;                                              /* do not print them */
    double peak_rss_bytes;                                   /* VmHWM, read at every committed round */
    double first_rss_bytes;                                  /* when it began to serve */
    int exit_code;
};

/* settings: further lines of YAML (federation:, model: ...). clients: how many certificates to make. Aborts the program
 * on failure. */
void bench_server_start(struct bench_server *server, const char *program, const char *settings, int clients);
/* Wait for the server's own end (its run is finished); fills exit_code; removes the folder. */
void bench_server_finish(struct bench_server *server);
/* Ask the server to end, and wait as above. */
void bench_server_stop(struct bench_server *server);
/* Of the running process. */
double bench_server_rss(const struct bench_server *server);
double bench_server_peak_rss(const struct bench_server *server);
void bench_server_reset_peak(const struct bench_server *server);
double bench_server_cpu_s(const struct bench_server *server);
/* DIR of this program + "/../" + name, for the server's default place in the build tree; static storage. */
const char *bench_sibling(const char *argv0, const char *name);

#endif
