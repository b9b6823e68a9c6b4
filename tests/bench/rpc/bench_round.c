/* Rounds without training: a real server process, n connections in this one, a model of about a million parameters that
 * everybody downloads and answers with an update of the same size. Beside it, in the same run: what TLS alone takes for
 * those bytes.
 *
 *   bench-round [--server PROGRAM] [--clients N] [--rounds R] */
#include "bench_options.h"
#include "child_server.h"
#include "load_clients.h"
#include "raw_tls.h"

#include "base/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench(const char *program, int clients, int rounds)
{
    char settings[512];
    snprintf(settings, sizeof settings,
             "federation: {rounds: %d, min_clients: %d, uploads_in_flight: 16}\n"
             "model:\n  example: [1000]\n  classes: 1000\n  layers: [{layer: linear, units: 1000}]\n",
             rounds, clients);
    struct bench_server server;
    bench_server_start(&server, program, settings, clients);
    struct load_clients *load = load_clients_start(
        &(struct load_options){.address = server.address, .dir = server.dir, .n = clients, .download = true});
    load_clients_finish(load, 300000);
    double tls = raw_tls_throughput(server.dir, 256u << 20);
    bench_server_finish(&server);
    double seconds[BENCH_MAX_ROUNDS];
    int n = 0;
    for (int i = 1; i < server.n_rounds; i++) { /* the first one warms up */
        seconds[n++] = server.rounds[i].seconds;
    }
    if (n == 0) {
        fprintf(stderr, "bench-round: the server committed no rounds to measure\n");
        exit(1);
    }
    qsort(seconds, (size_t)n, sizeof seconds[0], compare);
    double median = seconds[n / 2], bytes = server.rounds[1].bytes_up + server.rounds[1].bytes_down;
    printf("round_%d_clients_median %.1f ms\n", clients, median * 1000);
    printf("round_%d_clients_bytes %.0f bytes\n", clients, bytes);
    printf("round_%d_clients_throughput %.0f MB/s\n", clients, bytes / median / 1e6);
    printf("raw_tls_throughput %.0f MB/s\n", tls / 1e6);
    printf("round_%d_clients_ratio_to_tls %.2f x\n", clients, median / (bytes / tls));
}

int main(int argc, char **argv)
{
    const char *program = bench_sibling(argv[0], "tributary-server");
    int64_t clients = 0, rounds = 9;
    const struct trib_option options[] = {
        {"server", 0, TRIB_OPTION_STRING, &program, 0, 0, "PROGRAM", "the server to run"},
        {"clients", 0, TRIB_OPTION_INT, &clients, 1, 10000, "N", "connections; default 10, then 100"},
        {"rounds", 0, TRIB_OPTION_INT, &rounds, 2, BENCH_MAX_ROUNDS, "R", "rounds; the first is not counted"},
    };
    bench_options(argc, argv, "bench-round",
                  "Time of a round with clients that do not train, beside what TLS alone takes.", options,
                  sizeof options / sizeof options[0]);
    signal(SIGPIPE, SIG_IGN);
    trib_net_init();
    if (clients > 0) {
        bench(program, (int)clients, (int)rounds);
    } else {
        bench(program, 10, (int)rounds);
        bench(program, 100, (int)rounds);
    }
    trib_net_shutdown();
    return 0;
}
