/* tributary-server: reads its settings, starts the engine and the service, and waits for the run's end or a signal. */
#include "base/cli.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "hub/hub.h"
#include "settings/settings.h"
#include "setup/rooms.h"
#include "rpc/federation_service.h"
#include "store/state_check.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SOFTWARE "tributary-server " TRIB_VERSION

struct arguments {
    const char *config;
    struct trib_option_list overrides;
    bool check, check_state, dump, explain, new_run, sample, version, help;
};

static int fail(const struct trib_error *error)
{
    fprintf(stderr, "tributary-server: %s\n", error->message);
    return trib_status_exit_code(error->status);
}

static int print_buf(struct trib_buf *buf, enum trib_status status)
{
    if (status == TRIB_OK) {
        fputs(trib_buf_text(buf), stdout);
    } else {
        fprintf(stderr, "tributary-server: %s\n", trib_status_text(status));
    }
    trib_buf_clear(buf);
    return trib_status_exit_code(status);
}

static int print_sample(void)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    struct trib_buf yaml = {0};
    return print_buf(&yaml, trib_config_sample(rows, n, "tributary-server settings", &yaml));
}

static int print_settings(const struct trib_server_settings *settings)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    struct trib_buf yaml = {0};
    return print_buf(&yaml, trib_config_dump(rows, n, settings, &yaml));
}

/* What a start would find wrong, short of listening. */
static int check_settings(const struct trib_server_settings *settings, const char *path)
{
    struct trib_error error;
    struct trib_net_tls tls = trib_net_tls_of(&settings->tls);
    enum trib_status status = trib_net_tls_check(&tls, true, &error);
    if (status == TRIB_OK) {
        status = trib_rooms_check(settings, &error);
    }
    if (status != TRIB_OK) {
        return fail(&error);
    }
    printf("%s: settings are valid\n", path);
    return 0;
}

static int explain_model(const struct trib_server_settings *settings)
{
    struct trib_buf text = {0};
    struct trib_error error;
    enum trib_status status = trib_rooms_explain(settings, &text, &error);
    if (status != TRIB_OK) {
        trib_buf_clear(&text);
        return fail(&error);
    }
    return print_buf(&text, status);
}

static void report_state(void *context, bool is_damage, const char *text)
{
    (void)context;
    printf("%s%s\n", is_damage ? "DAMAGED: " : "", text);
}

static int check_state(const struct trib_server_settings *settings)
{
    struct trib_error error;
    struct trib_state_summary summary;
    enum trib_status status =
        trib_state_check(settings->state_dir, TRIB_MEMBER_STATE_COUNT, report_state, NULL, &summary, &error);
    if (status != TRIB_OK) {
        return fail(&error);
    }
    printf("%s: sound: %" PRIu64 " runs, %" PRIu64 " rounds, %" PRIu64 " versions, %" PRIu64 " nodes, %" PRIu64
           " files of %" PRIu64 " bytes\n",
           settings->state_dir, summary.runs, summary.rounds, summary.versions, summary.nodes, summary.blobs,
           summary.blob_bytes);
    return 0;
}

/* ---- running ---- */

static void on_finished(void *context)
{
    const int *fd = context;
    uint64_t one = 1;
    while (write(*fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* Wait for the end of the run; the first SIGTERM or SIGINT drains, a second one ends at once. */
static void wait_for_end(struct trib_hub *engine, int signal_fd, int finished_fd)
{
    struct pollfd fds[2] = {{.fd = finished_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0) {
            continue; /* interrupted */
        }
        if (fds[0].revents & POLLIN) {
            return;
        }
        int number;
        while ((number = trib_signals_take()) != 0) {
            if (number == SIGHUP) {
                trib_log_reopen();
                continue;
            }
            trib_log(TRIB_LOG_INFO, "server", "stopping",
                     TRIB_F_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
            trib_signals_default();
            trib_hub_stop(engine);
        }
    }
}

static enum trib_status serve(const struct trib_server_settings *settings, struct trib_hub *engine, int signal_fd,
                              int finished_fd, struct trib_error *error)
{
    struct trib_federation_service *service;
    TRIB_TRY(trib_federation_service_new(settings, engine, &service, error));
    enum trib_status status = trib_hub_start(engine, on_finished, &finished_fd, error);
    if (status == TRIB_OK) {
        trib_log(TRIB_LOG_INFO, "server", "serving", TRIB_F_STR("version", TRIB_VERSION),
                 TRIB_F_STR("run", trib_run_id(trib_hub_run(engine, 0))), TRIB_F_STR("listen", settings->listen),
                 TRIB_F_INT("port", trib_federation_service_port(service)), TRIB_F_INT("rounds", settings->rounds),
                 TRIB_F_INT("min_clients", settings->min_clients), TRIB_F_STR("state_dir", settings->state_dir),
                 TRIB_F_STR("compute", trib_run_compute(trib_hub_run(engine, 0))));
        wait_for_end(engine, signal_fd, finished_fd);
    }
    trib_federation_service_free(service, 2000);
    if (status == TRIB_OK) {
        trib_hub_join(engine);
        status = trib_hub_failure(engine, error);
    }
    return status;
}

/* The state directory holds a run that is over. */
static void say_complete(const struct trib_server_settings *settings, const struct trib_hub *engine)
{
    trib_log(TRIB_LOG_INFO, "server", "run_complete", TRIB_F_STR("run", trib_run_id(trib_hub_run(engine, 0))),
             TRIB_F_INT("rounds", settings->rounds), TRIB_F_STR("state_dir", settings->state_dir),
             TRIB_F_STR("next", "raise federation.rounds to go on with it, or start with --new-run"));
}

static enum trib_status run(const struct trib_server_settings *settings, bool new_run, struct trib_error *error)
{
    int signal_fd, finished_fd = eventfd(0, EFD_CLOEXEC);
    if (finished_fd < 0) {
        return trib_fail_errno(error, errno, "cannot wait for the engine");
    }
    enum trib_status status = trib_signals_open(&signal_fd, error);
    if (status != TRIB_OK) {
        close(finished_fd);
        return status;
    }
    struct trib_hub *engine;
    trib_net_init();
    const struct trib_hub_setup setup = {.software = SOFTWARE};
    status = trib_hub_new_with(&setup, settings, new_run, &engine, error);
    if (status == TRIB_OK) {
        if (trib_hub_done(engine)) {
            say_complete(settings, engine);
        }
        status = serve(settings, engine, signal_fd, finished_fd, error);
        trib_hub_free(engine);
    }
    trib_net_shutdown();
    trib_signals_close();
    close(finished_fd);
    return status;
}

static int run_logged(const struct trib_server_settings *settings, bool new_run)
{
    struct trib_error error;
    struct trib_log_options log = trib_log_options_of(&settings->log);
    if (trib_log_open(&log, &error) != TRIB_OK) {
        return fail(&error);
    }
    enum trib_status status = run(settings, new_run, &error);
    if (status != TRIB_OK) {
        trib_log_error(TRIB_LOG_ERROR, "server", "failed", &error);
    }
    trib_log_close();
    return status == TRIB_OK ? 0 : settings->log.file ? fail(&error) : trib_status_exit_code(status);
}

static enum trib_status parse_arguments(int argc, char **argv, struct arguments *arguments, struct trib_error *error)
{
    const struct trib_option options[] = {
        {"config", 'c', TRIB_OPTION_STRING, &arguments->config, 0, 0, "FILE", "settings (required)"},
        {"set", 's', TRIB_OPTION_REPEAT, &arguments->overrides, 0, 0, "KEY=VALUE", "override one setting; repeatable"},
        {"check-config", 0, TRIB_OPTION_FLAG, &arguments->check, 0, 0, NULL, "check the settings and exit"},
        {"check-state", 0, TRIB_OPTION_FLAG, &arguments->check_state, 0, 0, NULL,
         "verify everything in the state directory and exit; the server must not be running"},
        {"new-run", 0, TRIB_OPTION_FLAG, &arguments->new_run, 0, 0, NULL,
         "begin a new run, whatever the state directory holds"},
        {"dump-config", 0, TRIB_OPTION_FLAG, &arguments->dump, 0, 0, NULL, "print the effective settings and exit"},
        {"explain-model", 0, TRIB_OPTION_FLAG, &arguments->explain, 0, 0, NULL,
         "print the training graph, each pass over it and its memory plan, and exit"},
        {"sample-config", 0, TRIB_OPTION_FLAG, &arguments->sample, 0, 0, NULL, "print a commented sample and exit"},
        {"version", 'V', TRIB_OPTION_FLAG, &arguments->version, 0, 0, NULL, "print the version and exit"},
        {"help", 'h', TRIB_OPTION_FLAG, &arguments->help, 0, 0, NULL, "print this help and exit"},
    };
    size_t n = sizeof options / sizeof options[0], operands;
    TRIB_TRY(trib_cli_parse(argc, argv, options, n, NULL, 0, &operands, error));
    if (arguments->help) {
        trib_cli_help(
            stdout, "tributary-server --config FILE [options]",
            "The aggregation server of a federation: serves clients over mutual TLS until its rounds are done.",
            options, n);
    }
    return TRIB_OK;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct trib_error error;
    struct trib_server_settings settings;
    trib_mem_tune_daemon();
    if (parse_arguments(argc, argv, &arguments, &error) != TRIB_OK) {
        return fail(&error);
    }
    if (arguments.help) {
        return 0;
    }
    if (arguments.version) {
        puts(SOFTWARE);
        return 0;
    }
    if (arguments.sample) {
        return print_sample();
    }
    if (!arguments.config) {
        (void)trib_fail(&error, TRIB_INVALID, "--config FILE is missing; --sample-config prints one to start from");
        return fail(&error);
    }
    if (trib_server_settings_load(arguments.config, arguments.overrides.values, arguments.overrides.n, &settings,
                                  &error) != TRIB_OK) {
        return fail(&error);
    }
    int code = 0;
    if (arguments.dump) {
        code = print_settings(&settings);
    } else if (arguments.explain) {
        code = explain_model(&settings);
    } else if (arguments.check_state) {
        code = check_state(&settings);
    } else if (arguments.check) {
        code = check_settings(&settings, arguments.config);
    } else {
        code = run_logged(&settings, arguments.new_run);
    }
    trib_server_settings_clear(&settings);
    return code;
}
