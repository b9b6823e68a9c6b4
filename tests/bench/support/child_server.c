/* A server process whose log is read through a pipe. */
#include "child_server.h"

#include "test_certs.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: bench server: %s\n", __FILE__, __LINE__, #condition);                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

const char *bench_sibling(const char *argv0, const char *name)
{
    static char path[1024];
    char copy[512];
    snprintf(copy, sizeof copy, "%s", argv0);
    snprintf(path, sizeof path, "%s/../%s", dirname(copy), name);
    return path;
}

static void make_certificates(const char *dir, int clients)
{
    struct test_ca ca = test_certs_ca(dir, "ca", &(struct test_cert){0});
    test_certs_issue(&ca, dir, "server",
                     &(struct test_cert){.common_name = "localhost",
                                         .alternatives = "DNS:localhost,IP:127.0.0.1",
                                         .extended_usage = "serverAuth"});
    for (int i = 0; i < clients; i++) {
        char name[32], uri[64];
        snprintf(name, sizeof name, "c%d", i);
        snprintf(uri, sizeof uri, "URI:tributary://node/c%d", i);
        test_certs_issue(&ca, dir, name,
                         &(struct test_cert){.common_name = name, .alternatives = uri, .extended_usage = "clientAuth"});
    }
    test_certs_ca_free(&ca);
}

static double status_kilobytes(pid_t pid, const char *key)
{
    char path[64], line[256];
    double value = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            (void)sscanf(line + strlen(key), "%lf", &value);
        }
    }
    if (file) {
        fclose(file);
    }
    return value * 1024;
}

static double field(const char *line, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, " %s=", name);
    const char *at = strstr(line, key);
    double value = 0;
    return at && sscanf(at + strlen(key), "%lf", &value) == 1 ? value : 0;
}

static void count_complaint(struct bench_server *server, const char *line)
{
    char event[sizeof server->complaints[0].event] = "";
    const char *at = strstr(line, " event=");
    if (at) {
        (void)sscanf(at, " event=%47[^ \n]", event);
    }
    for (int i = 0; i < BENCH_MAX_COMPLAINTS; i++) {
        struct bench_complaint *complaint = &server->complaints[i];
        if (complaint->n == 0 || strcmp(complaint->event, event) == 0) {
            snprintf(complaint->event, sizeof complaint->event, "%s", event);
            complaint->n += 1 + (long)field(line, "suppressed");
            return;
        }
    }
}

static void take_line(struct bench_server *server, const char *line)
{
    if (strstr(line, "level=warn") || strstr(line, "level=error")) {
        count_complaint(server, line);
        if (!server->quiet) {
            fputs(line, stderr);
        }
    }
    if (!strstr(line, "event=round_committed") || server->n_rounds == BENCH_MAX_ROUNDS) {
        return;
    }
    struct bench_round *round = &server->rounds[server->n_rounds];
    round->bytes_up = field(line, "bytes_up");
    round->bytes_down = field(line, "bytes_down");
    round->seconds = field(line, "seconds");
    round->seconds_collect = field(line, "seconds_collect");
    round->seconds_apply = field(line, "seconds_apply");
    round->seconds_commit = field(line, "seconds_commit");
    double peak = status_kilobytes(server->pid, "VmHWM:");
    server->peak_rss_bytes = peak > server->peak_rss_bytes ? peak : server->peak_rss_bytes;
    server->n_rounds++;
}

static void *read_log(void *context)
{
    struct bench_server *server = context;
    FILE *log = fdopen(server->log_fd, "r");
    char line[4096];
    NEED(log);
    while (fgets(line, sizeof line, log)) {
        take_line(server, line);
    }
    fclose(log);
    return NULL;
}

/* Read byte by byte up to the line that tells the port: nothing of the rest may be lost to a buffer. */
static int read_port(int fd)
{
    char line[4096];
    size_t len = 0;
    for (;;) {
        NEED(read(fd, &line[len], 1) == 1);
        if (line[len] != '\n' && len < sizeof line - 2) {
            len++;
            continue;
        }
        line[len] = 0;
        if (strstr(line, "event=serving")) {
            return (int)field(line, "port");
        }
        if (strstr(line, "level=error")) {
            fprintf(stderr, "%s\n", line);
        }
        len = 0;
    }
}

void bench_server_start(struct bench_server *server, const char *program, const char *settings, int clients)
{
    memset(server, 0, sizeof *server);
    test_certs_dir(server->dir, sizeof server->dir);
    make_certificates(server->dir, clients);
    char path[512];
    snprintf(path, sizeof path, "%s/server.yaml", server->dir);
    FILE *config = fopen(path, "w");
    NEED(config);
    fprintf(config,
            "listen: 127.0.0.1:0\nstate_dir: state\n"
            "tls: {ca: ca.crt, certificate: server.crt, key: server.key}\n%s",
            settings);
    NEED(fclose(config) == 0);
    int ends[2];
    NEED(pipe(ends) == 0);
    server->pid = fork();
    NEED(server->pid >= 0);
    if (server->pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, "--config", path, (char *)NULL);
        perror(program);
        _exit(127);
    }
    close(ends[1]);
    server->log_fd = ends[0];
    snprintf(server->address, sizeof server->address, "127.0.0.1:%d", read_port(ends[0]));
    server->first_rss_bytes = status_kilobytes(server->pid, "VmRSS:");
    NEED(pthread_create(&server->reader, NULL, read_log, server) == 0);
}

void bench_server_finish(struct bench_server *server)
{
    int status;
    NEED(pthread_join(server->reader, NULL) == 0);
    NEED(waitpid(server->pid, &status, 0) == server->pid);
    server->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", server->dir);
    NEED(system(command) == 0);
}

void bench_server_stop(struct bench_server *server)
{
    NEED(kill(server->pid, SIGTERM) == 0);
    bench_server_finish(server);
}

double bench_server_rss(const struct bench_server *server)
{
    return status_kilobytes(server->pid, "VmRSS:");
}

double bench_server_peak_rss(const struct bench_server *server)
{
    return status_kilobytes(server->pid, "VmHWM:");
}

void bench_server_reset_peak(const struct bench_server *server)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)server->pid);
    FILE *file = fopen(path, "w");
    if (file) {
        fputs("5", file);
        fclose(file);
    }
}

double bench_server_cpu_s(const struct bench_server *server)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)server->pid);
    FILE *file = fopen(path, "r");
    if (file) {
        const char *after = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        NEED(after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2);
        fclose(file);
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}
