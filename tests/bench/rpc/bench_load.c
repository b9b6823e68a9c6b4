/* Load and abuse: thousands of sessions on one real server, and bad company for the rounds of well-behaved clients.
 *
 *   bench-load [--server PROGRAM] [--sessions N] [--workers N] [--idle SECONDS] [--only idle|abuse] [--seconds S]
 *
 * idle: N sessions with a certificate each register and stay silent. Then --workers more fetch a model of a million
 * parameters and send updates of it, for two rounds, while the others are there.
 * abuse: twenty clients go round and round with a small model, undisturbed and then with each kind of abuse beside them
 * for some seconds. */
#include "bench_options.h"
#include "child_server.h"
#include "load_clients.h"
#include "raw_h2.h"

#include "base/cli.h"
#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { GOOD = 20, BAD = 40, AT_A_TIME = 256, QUIET_MS = 3000, GONE_MS = 10000 };

struct options {
    const char *program, *only, *abuse;
    int64_t sessions, workers, idle_s, seconds;
};

static void wait_ms(int64_t ms)
{
    int64_t until_ms = trib_clock_ms() + ms;
    while (trib_clock_ms() < until_ms) {
        (void)poll(NULL, 0, 10);
    }
}

static void raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool wait_rounds(struct bench_server *server, int n, int64_t timeout_ms)
{
    int64_t until_ms = trib_clock_ms() + timeout_ms;
    while (server->n_rounds < n && trib_clock_ms() < until_ms) {
        (void)poll(NULL, 0, 10);
    }
    return server->n_rounds >= n;
}

/* ---- many sessions ---- */

/* Nodes from `first` on, no more than AT_A_TIME of them in a handshake. */
static bool add_sessions(struct raw_pool *pool, int first, int n)
{
    bool all = true;
    for (int i = 0; i < n && all; i++) {
        raw_pool_add(pool, RAW_SESSION, first + i, false);
        all = raw_pool_wait_welcomed(pool, i - AT_A_TIME, 60000);
    }
    return all && raw_pool_wait_welcomed(pool, n, 60000);
}

static void register_all(struct bench_server *server, struct raw_pool *pool, int n)
{
    int64_t begun_ms = trib_clock_ms();
    double cpu = bench_server_cpu_s(server);
    bool all = add_sessions(pool, 0, n);
    double seconds = (double)(trib_clock_ms() - begun_ms) / 1000;
    struct raw_counts counts = raw_pool_counts(pool);
    printf("load_%d_registered %lld sessions%s\n", n, (long long)counts.welcomed, all ? "" : " (NOT ALL)");
    printf("load_%d_handshakes %.0f /s\n", n, (double)counts.handshaken / seconds);
    printf("load_%d_handshake_server_cpu %.2f ms\n", n, (bench_server_cpu_s(server) - cpu) * 1000 / n);
}

static void measure_idle(struct bench_server *server, int n, int64_t idle_s)
{
    wait_ms(QUIET_MS);
    double rss = bench_server_rss(server);
    double cpu = bench_server_cpu_s(server);
    printf("load_%d_rss_per_session %.1f KB\n", n, (rss - server->first_rss_bytes) / n / 1000);
    wait_ms(idle_s * 1000);
    printf("load_%d_idle_cpu %.2f %% of a core\n", n, (bench_server_cpu_s(server) - cpu) * 100 / (double)idle_s);
    fflush(stdout);
}

static void broadcast(struct bench_server *server, int n, int workers)
{
    double before = bench_server_rss(server);
    bench_server_reset_peak(server);
    struct load_clients *load = load_clients_start(
        &(struct load_options){.address = server->address, .dir = server->dir, .n = workers, .download = true});
    bool done = wait_rounds(server, 2, 600000);
    double peak = bench_server_peak_rss(server);
    load_clients_leave(load);
    for (int i = 0; done && i < 2; i++) {
        printf("load_%d_round_%d_of_%d %.1f s (collect %.1f)\n", n, i + 1, workers, server->rounds[i].seconds,
               server->rounds[i].seconds_collect);
        printf("load_%d_round_%d_bytes %.0f MB\n", n, i + 1,
               (server->rounds[i].bytes_up + server->rounds[i].bytes_down) / 1e6);
    }
    if (!done) {
        printf("load_%d_rounds_of_%d %d rounds (NOT DONE)\n", n, workers, server->n_rounds);
    }
    wait_ms(GONE_MS);
    double after = bench_server_rss(server);
    printf("load_%d_rss_before_rounds %.0f MB\n", n, before / 1e6);
    printf("load_%d_rss_peak %.0f MB\n", n, peak / 1e6);
    printf("load_%d_rss_after_rounds %.0f MB\n", n, after / 1e6);
}

/* Rounds begin when `begin` clients are there, but only workers are in them. */
static void write_settings(char *to, size_t size, int n, int begin)
{
    snprintf(to, size,
             "max_clients: %d\nfederation: {rounds: 1000000, min_clients: %d, deadline: 20m, idle_timeout: 10m}\n"
             "selection: {min_examples: 50}\nnet: {keepalive: 0s}\nlimits: {strangers: 0, connections: 0}\n"
             "model:\n  example: [1000]\n  classes: 1000\n  layers: [{layer: linear, units: 1000}]\n",
             n + 100, begin);
}

/* load_clients calls its clients c0 and so on; the silent ones come behind them. */
static void bench_idle(const struct options *options)
{
    char settings[1024];
    int n = (int)options->sessions, workers = (int)options->workers;
    struct bench_server server;
    write_settings(settings, sizeof settings, n, n + 1);
    bench_server_start(&server, options->program, settings, n);
    struct raw_pool *pool = raw_pool_new(server.address, server.dir);
    register_all(&server, pool, n);
    measure_idle(&server, n, options->idle_s);
    raw_pool_free(pool);
    wait_ms(GONE_MS);
    printf("load_%d_rss_when_gone %.1f MB (%.1f MB at first)\n", n, bench_server_rss(&server) / 1e6,
           server.first_rss_bytes / 1e6);
    bench_server_stop(&server);
    if (workers > 0) {
        write_settings(settings, sizeof settings, n, n);
        bench_server_start(&server, options->program, settings, n);
        server.quiet = true;
        pool = raw_pool_new(server.address, server.dir);
        if (!add_sessions(pool, workers, n - workers)) {
            printf("load_%d_registered NOT ALL\n", n);
        }
        broadcast(&server, n, workers);
        printf("load_%d_others_still_there %lld sessions\n", n, (long long)raw_pool_counts(pool).welcomed);
        raw_pool_free(pool);
        bench_server_stop(&server);
    }
}

/* ---- bad company ---- */

static const struct {
    const char *name;
    enum raw_manner manner;
} abuses[] = {
    {"storm", RAW_DROP},        {"sessions", RAW_SESSION},
    {"flood", RAW_FLOOD},       {"replay", RAW_REPLAY},
    {"slow", RAW_SLOW},         {"loris", RAW_LORIS},
    {"half_http", RAW_HALF},    {"silent", RAW_SILENT},
    {"oversize", RAW_OVERSIZE}, {"no_certificate", RAW_NO_CERT},
    {"plain", RAW_PLAIN},
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the rounds that ended from `from` on. */
static void print_rounds(const struct bench_server *server, const char *name, int from)
{
    static double seconds[BENCH_MAX_ROUNDS];
    int n = 0;
    for (int i = from; i < server->n_rounds; i++) {
        seconds[n++] = server->rounds[i].seconds;
    }
    qsort(seconds, (size_t)n, sizeof seconds[0], compare);
    printf("abuse_%s_rounds %d rounds\n", name, n);
    if (n > 0) {
        printf("abuse_%s_round_median %.1f ms\n", name, seconds[n / 2] * 1000);
        printf("abuse_%s_round_max %.1f ms\n", name, seconds[n - 1] * 1000);
    }
}

static void suffer(struct bench_server *server, const char *name, enum raw_manner manner, int64_t seconds)
{
    struct raw_pool *pool = raw_pool_new(server->address, server->dir);
    int from = server->n_rounds;
    double cpu = bench_server_cpu_s(server);
    bench_server_reset_peak(server);
    memset(server->complaints, 0, sizeof server->complaints);
    for (int i = 0; i < BAD; i++) {
        /* Half of a storm's handshakes are finished. */
        enum raw_manner kind = manner == RAW_DROP && i % 2 == 0 ? RAW_SILENT : manner;
        raw_pool_add(pool, kind, GOOD + i, true);
    }
    wait_ms(seconds * 1000);
    struct raw_counts counts = raw_pool_counts(pool);
    print_rounds(server, name, from);
    printf("abuse_%s_server_cpu %.0f %% of a core\n", name, (bench_server_cpu_s(server) - cpu) * 100 / (double)seconds);
    printf("abuse_%s_rss_peak %.1f MB\n", name, bench_server_peak_rss(server) / 1e6);
    printf("abuse_%s_connections %lld opened, %lld handshakes, %lld ended, %lld refused with a status, %.1f MB sent\n",
           name, (long long)counts.opened, (long long)counts.handshaken, (long long)counts.closed,
           (long long)counts.refused, (double)counts.sent / 1e6);
    for (int i = 0; i < BENCH_MAX_COMPLAINTS && server->complaints[i].n > 0; i++) {
        printf("abuse_%s_logged %ld %s\n", name, server->complaints[i].n, server->complaints[i].event);
    }
    raw_pool_free(pool);
    wait_ms(500);
    fflush(stdout);
}

static void bench_abuse(const struct options *options)
{
    struct bench_server server;
    bench_server_start(&server, options->program,
                       "max_clients: 1000\n"
                       "federation: {rounds: 1000000, min_clients: 20, clients_per_round: 20, over_selection: 3, "
                       "idle_timeout: 5s, away_timeout: 0s}\n"
                       "selection: {min_examples: 50}\n"
                       "limits: {hello: 2s, idle_call: 3s, pause: 2s, connections: 200}\n"
                       "model:\n  example: [100]\n  classes: 10\n  layers: [{layer: linear, units: 10}]\n",
                       GOOD + BAD);
    server.quiet = true;
    struct load_clients *load = load_clients_start(
        &(struct load_options){.address = server.address, .dir = server.dir, .n = GOOD, .download = true});
    (void)wait_rounds(&server, 5, 30000);
    int from = server.n_rounds;
    double cpu = bench_server_cpu_s(&server);
    wait_ms(options->seconds * 1000);
    print_rounds(&server, "none", from);
    printf("abuse_none_server_cpu %.0f %% of a core\n",
           (bench_server_cpu_s(&server) - cpu) * 100 / (double)options->seconds);
    printf("abuse_none_rss %.1f MB\n", bench_server_rss(&server) / 1e6);
    for (size_t i = 0; i < sizeof abuses / sizeof abuses[0]; i++) {
        if (!options->abuse || strcmp(options->abuse, abuses[i].name) == 0) {
            suffer(&server, abuses[i].name, abuses[i].manner, options->seconds);
        }
    }
    from = server.n_rounds;
    wait_ms(options->seconds * 1000);
    print_rounds(&server, "after", from);
    printf("abuse_after_rss %.1f MB\n", bench_server_rss(&server) / 1e6);
    load_clients_leave(load);
    bench_server_stop(&server);
}

int main(int argc, char **argv)
{
    struct options options = {.program = bench_sibling(argv[0], "tributary-server"),
                              .sessions = 1000,
                              .workers = 500,
                              .idle_s = 20,
                              .seconds = 5};
    const struct trib_option rows[] = {
        {"server", 0, TRIB_OPTION_STRING, &options.program, 0, 0, "PROGRAM", "the server to run"},
        {"only", 0, TRIB_OPTION_STRING, &options.only, 0, 0, "PART", "idle or abuse; default both"},
        {"abuse", 0, TRIB_OPTION_STRING, &options.abuse, 0, 0, "NAME", "one kind only: flood, slow ..."},
        {"sessions", 0, TRIB_OPTION_INT, &options.sessions, 1, 100000, "N", "sessions; default 1000"},
        {"workers", 0, TRIB_OPTION_INT, &options.workers, 0, 5000, "N", "of them, those in rounds; default 500"},
        {"idle", 0, TRIB_OPTION_INT, &options.idle_s, 1, 3600, "S", "seconds of silence; default 20"},
        {"seconds", 0, TRIB_OPTION_INT, &options.seconds, 1, 3600, "S", "seconds of each abuse; default 5"},
    };
    bench_options(argc, argv, "bench-load", "A server with many sessions, and under abuse.", rows,
                  sizeof rows / sizeof rows[0]);
    signal(SIGPIPE, SIG_IGN);
    raise_files();
    trib_net_init();
    if (!options.only || strcmp(options.only, "idle") == 0) {
        bench_idle(&options);
    }
    if (!options.only || strcmp(options.only, "abuse") == 0) {
        bench_abuse(&options);
    }
    trib_net_shutdown();
    return 0;
}
