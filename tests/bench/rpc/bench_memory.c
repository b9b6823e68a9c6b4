/* The server's peak memory with a large model and many uploading clients: it must not grow with them.
 *
 *   bench-memory [--server PROGRAM] [--width W] [--clients N]     model of about W x W parameters, default 10000 */
#include "bench_options.h"
#include "child_server.h"
#include "load_clients.h"

#include "base/cli.h"

#include <signal.h>
#include <stdio.h>

static void bench(const char *program, int width, int clients)
{
    char settings[512];
    snprintf(settings, sizeof settings,
             "federation: {rounds: 2, min_clients: %d, uploads_in_flight: 8, deadline: 30m, idle_timeout: 20m}\n"
             "checkpoints: {keep: 1}\n"
             "model:\n  example: [%d]\n  classes: %d\n  layers: [{layer: linear, units: %d}]\n",
             clients, width, width, width);
    struct bench_server server;
    bench_server_start(&server, program, settings, clients);
    struct load_clients *load = load_clients_start(
        &(struct load_options){.address = server.address, .dir = server.dir, .n = clients, .download = false});
    load_clients_finish(load, 1800000);
    bench_server_finish(&server);
    double model = ((double)width * width + width) * 4;
    printf("memory_%d_clients_model %.0f MB\n", clients, model / 1e6);
    printf("memory_%d_clients_rounds %d rounds\n", clients, server.n_rounds);
    printf("memory_%d_clients_rss_serving %.0f MB\n", clients, server.first_rss_bytes / 1e6);
    printf("memory_%d_clients_rss_peak %.0f MB\n", clients, server.peak_rss_bytes / 1e6);
    printf("memory_%d_clients_peak_per_model %.2f x\n", clients, server.peak_rss_bytes / model);
    for (int i = 0; i < server.n_rounds; i++) {
        printf("memory_%d_clients_round_%d %.1f s (collect %.1f, apply %.1f, commit %.1f)\n", clients, i + 1,
               server.rounds[i].seconds, server.rounds[i].seconds_collect, server.rounds[i].seconds_apply,
               server.rounds[i].seconds_commit);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *program = bench_sibling(argv[0], "tributary-server");
    int64_t clients = 0, width = 10000;
    const struct trib_option options[] = {
        {"server", 0, TRIB_OPTION_STRING, &program, 0, 0, "PROGRAM", "the server to run"},
        {"width", 0, TRIB_OPTION_INT, &width, 10, 30000, "W", "the model has W x W parameters"},
        {"clients", 0, TRIB_OPTION_INT, &clients, 1, 10000, "N", "uploading clients; default 4, 16, 64"},
    };
    bench_options(argc, argv, "bench-memory", "Memory of a server while clients upload a large model.", options,
                  sizeof options / sizeof options[0]);
    signal(SIGPIPE, SIG_IGN);
    trib_net_init();
    static const int defaults[] = {4, 16, 64};
    for (int i = 0; i < (clients > 0 ? 1 : 3); i++) {
        bench(program, (int)width, clients > 0 ? (int)clients : defaults[i]);
    }
    trib_net_shutdown();
    return 0;
}
