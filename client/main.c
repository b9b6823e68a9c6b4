/* tributary-client: the command line. The work is in the block client_rpc's client_daemon. */
#include "base/cli.h"
#include "base/log.h"
#include "base/mem.h"
#include "client/client_data.h"
#include "client_rpc/client_daemon.h"
#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>

static const char software[] = "tributary-client " TRIB_VERSION;
static const char usage[] = "tributary-client --config FILE [options]";
static const char about[] =
    "Takes part in a federation: receives models, trains them on this machine's own data, and sends back the change in "
    "the weights, never the data.";

struct arguments {
    const char *config;
    struct trib_option_list set;
    bool check, dump, sample, version, help;
};

static void complain(const char *message)
{
    fprintf(stderr, "tributary-client: %s\n", message);
}

static int fail(const struct trib_error *error)
{
    complain(error->message);
    return trib_status_exit_code(error->status);
}

/* Print a text to stdout; a full disk or a closed pipe is a failure. */
static int print(struct trib_buf *text, enum trib_status status)
{
    if (status == TRIB_OK && (fputs(trib_buf_text(text), stdout) == EOF || fflush(stdout) == EOF)) {
        status = TRIB_IO;
    }
    trib_buf_clear(text);
    if (status != TRIB_OK) {
        complain(trib_status_text(status));
    }
    return trib_status_exit_code(status);
}

static int print_sample(void)
{
    const struct trib_config_row *rows;
    size_t n = trib_client_rows(&rows);
    struct trib_buf yaml = {0};
    enum trib_status status = trib_config_sample(rows, n, "Configuration of tributary-client.", &yaml);
    return print(&yaml, status);
}

static int print_settings(const struct trib_client_settings *settings)
{
    const struct trib_config_row *rows;
    size_t n = trib_client_rows(&rows);
    struct trib_buf yaml = {0};
    enum trib_status status = trib_config_dump(rows, n, settings, &yaml);
    return print(&yaml, status);
}

static void print_hint(void *context, const char *text)
{
    (void)context;
    complain(text);
}

/* Everything that a start would find out, short of the network. */
static int check(const struct trib_client_settings *settings)
{
    struct trib_error error = {.message = ""};
    struct trib_client_data data;
    char identity[TRIB_IDENTITY_MAX];
    enum trib_status status = trib_client_daemon_check(settings, identity, &error);
    if (status == TRIB_OK) {
        status = trib_client_data_load(settings, &data, &error);
    }
    if (status != TRIB_OK) {
        return fail(&error);
    }
    trib_client_settings_hints(settings, print_hint, NULL);
    printf("the configuration is valid: node %s, %zu examples\n", identity, data.dataset.n);
    trib_client_data_clear(&data);
    return EXIT_SUCCESS;
}

static void log_hint(void *context, const char *text)
{
    (void)context;
    trib_log(TRIB_LOG_WARN, "client", "setting_renamed", TRIB_F_STR("reason", text));
}

static int run(const struct trib_client_settings *settings)
{
    struct trib_error error = {.message = ""};
    const struct trib_log_options options = trib_log_options_of(&settings->log);
    if (trib_log_open(&options, &error) != TRIB_OK) {
        return fail(&error);
    }
    trib_mem_tune_daemon();
    trib_client_settings_hints(settings, log_hint, NULL);
    enum trib_status status = trib_client_daemon_run(settings, software, &error);
    if (status != TRIB_OK && settings->log.file) {
        complain(error.message); /* the log has it too, but it is not before the person who started this */
    }
    trib_log_close();
    return trib_status_exit_code(status);
}

static int with_settings(const struct arguments *arguments)
{
    struct trib_error error = {.message = ""};
    struct trib_client_settings settings;
    if (!arguments->config) {
        complain("--config FILE is required; --sample-config prints a file to begin with, --help tells more");
        return trib_status_exit_code(TRIB_INVALID);
    }
    if (trib_client_settings_load(arguments->config, arguments->set.values, arguments->set.n, &settings, &error) !=
        TRIB_OK) {
        return fail(&error);
    }
    int code = arguments->dump ? print_settings(&settings) : arguments->check ? check(&settings) : run(&settings);
    trib_client_settings_clear(&settings);
    return code;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    const struct trib_option options[] = {
        {.name = "config",
         .letter = 'c',
         .kind = TRIB_OPTION_STRING,
         .value = &arguments.config,
         .placeholder = "FILE",
         .help = "read this configuration (client.yaml)"},
        {.name = "set",
         .letter = 's',
         .kind = TRIB_OPTION_REPEAT,
         .value = &arguments.set,
         .placeholder = "KEY=VALUE",
         .help = "override one key of it; may be repeated"},
        {.name = "check-config",
         .kind = TRIB_OPTION_FLAG,
         .value = &arguments.check,
         .help = "check configuration, certificates and data, then exit"},
        {.name = "dump-config",
         .kind = TRIB_OPTION_FLAG,
         .value = &arguments.dump,
         .help = "print the configuration in effect, then exit"},
        {.name = "sample-config",
         .kind = TRIB_OPTION_FLAG,
         .value = &arguments.sample,
         .help = "print a commented configuration to begin with, then exit"},
        {.name = "version",
         .letter = 'V',
         .kind = TRIB_OPTION_FLAG,
         .value = &arguments.version,
         .help = "print the version, then exit"},
        {.name = "help",
         .letter = 'h',
         .kind = TRIB_OPTION_FLAG,
         .value = &arguments.help,
         .help = "print this help, then exit"},
    };
    const size_t n = sizeof options / sizeof options[0];
    struct trib_error error = {.message = ""};
    size_t n_operands = 0;
    if (trib_cli_parse(argc, argv, options, n, NULL, 0, &n_operands, &error) != TRIB_OK) {
        return fail(&error);
    }
    if (arguments.help) {
        trib_cli_help(stdout, usage, about, options, n);
        return EXIT_SUCCESS;
    }
    if (arguments.version) {
        printf("%s (gRPC %s)\n", software, trib_net_version());
        return EXIT_SUCCESS;
    }
    return arguments.sample ? print_sample() : with_settings(&arguments);
}
