/* fault_sim: worlds by the thousand, each from its seed, until a rule is broken; that seed is told, traced and made
 * smaller on request. */
#include "runs.h"
#include "sim_disk_vfs.h"

#include "base/cli.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    const char *seeds, *scenario;
    int64_t seconds, rounds, jobs;
    bool trace, shrink, help, list, no_regressions;
};

static bool read_arguments(int argc, char **argv, struct arguments *arguments, const struct trib_option **table,
                           size_t *n_table)
{
    static struct trib_option options[9];
    const struct trib_option filled[9] = {
        {"seeds", 's', TRIB_OPTION_STRING, &arguments->seeds, 0, 0, "FROM..TO", "seeds to run (default 1..2000)"},
        {"seconds", 0, TRIB_OPTION_INT, &arguments->seconds, 0, 0, "N", "begin no seed after so long"},
        {"rounds", 0, TRIB_OPTION_INT, &arguments->rounds, 0, 0, "N", "begin no seed after so many rounds"},
        {"scenario", 0, TRIB_OPTION_STRING, &arguments->scenario, 0, 0, "NAME", "one alone; see --list"},
        {"jobs", 'j', TRIB_OPTION_INT, &arguments->jobs, 1, 64, "N", "processes at a time (default 1)"},
        {"trace", 't', TRIB_OPTION_FLAG, &arguments->trace, 0, 0, NULL, "print every event"},
        {"shrink", 0, TRIB_OPTION_FLAG, &arguments->shrink, 0, 0, NULL,
         "find the fewest faults with which a seed fails"},
        {"no-regressions", 0, TRIB_OPTION_FLAG, &arguments->no_regressions, 0, 0, NULL, "without those first"},
        {"list", 0, TRIB_OPTION_FLAG, &arguments->list, 0, 0, NULL, "print scenarios and faults"},
    };
    struct trib_error error;
    size_t n_operands = 0;
    memcpy(options, filled, sizeof options);
    *table = options;
    *n_table = sizeof options / sizeof options[0];
    for (int i = 1; i < argc; i++) {
        arguments->help = arguments->help || strcmp(argv[i], "--help") == 0;
    }
    if (!arguments->help && trib_cli_parse(argc, argv, options, *n_table, NULL, 0, &n_operands, &error) != TRIB_OK) {
        fprintf(stderr, "fault_sim: %s\n", error.message);
        return false;
    }
    return true;
}

static bool read_seeds(const char *text, struct runs *runs)
{
    struct trib_error error;
    char first[32];
    int64_t from, to;
    const char *dots = strstr(text, "..");
    size_t len = dots ? (size_t)(dots - text) : strlen(text);
    if (len >= sizeof first) {
        return false;
    }
    memcpy(first, text, len);
    first[len] = '\0';
    if (trib_parse_int(first, 0, INT64_MAX, &from, &error) != TRIB_OK ||
        trib_parse_int(dots ? dots + 2 : first, from, INT64_MAX, &to, &error) != TRIB_OK) {
        return false;
    }
    runs->from = (uint64_t)from;
    runs->to = (uint64_t)to;
    return true;
}

static void list(void)
{
    static const char *const help[] = {
#define FAULT_HELP(code, name, text) text,
        FAULT_KINDS(FAULT_HELP)
#undef FAULT_HELP
    };
    printf("scenarios:\n");
    for (size_t i = 0; i < n_scenarios; i++) {
        printf("  %-12s %s\n", scenarios[i].name, scenarios[i].help);
    }
    printf("faults:\n");
    for (int i = 0; i < FAULT_KIND_COUNT; i++) {
        printf("  %-12s %s\n", fault_name((enum fault_kind)i), help[i]);
    }
}

static bool quiet_log(bool trace)
{
    const struct trib_log_options options = {.level = trace ? TRIB_LOG_DEBUG : TRIB_LOG_ERROR,
                                             .path = trace ? NULL : "/dev/null"};
    struct trib_error error;
    return trib_log_open(&options, &error) == TRIB_OK;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.seeds = "1..2000", .jobs = 1};
    const struct trib_option *options;
    size_t n_options;
    struct runs runs = {.from = 1};
    if (!read_arguments(argc, argv, &arguments, &options, &n_options)) {
        return 2;
    }
    if (arguments.help || arguments.list) {
        if (arguments.help) {
            trib_cli_help(stdout, "fault_sim [options]", "Runs federations in which everything goes wrong.", options,
                          n_options);
        }
        list();
        return 0;
    }
    if (!read_seeds(arguments.seeds, &runs)) {
        fprintf(stderr, "fault_sim: --seeds %s: give FROM..TO\n", arguments.seeds);
        return 2;
    }
    if (arguments.scenario && !(runs.scenario = scenario_find(arguments.scenario))) {
        fprintf(stderr, "fault_sim: --scenario %s: unknown; see --list\n", arguments.scenario);
        return 2;
    }
    runs.seconds = arguments.seconds;
    runs.rounds = (uint64_t)arguments.rounds;
    runs.jobs = (unsigned)arguments.jobs;
    runs.trace = arguments.trace;
    runs.shrink = arguments.shrink;
    trib_mem_tune_daemon();
    sim_disk_vfs_register();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!quiet_log(runs.trace)) {
        fprintf(stderr, "fault_sim: the log cannot be opened\n");
        return 2;
    }
    bool good = arguments.no_regressions || runs.trace || arguments.scenario || runs_regressions();
    return runs_all(&runs) && good ? 0 : 1;
}
