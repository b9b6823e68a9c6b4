/* tributary-sim: the command line. The simulation itself is the sim block's. */
#include "base/cli.h"
#include "base/mem.h"
#include "base/str.h"
#include "sim/sim_batch.h"
#include "sim/sim_progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char software[] = "tributary-sim " TRIB_VERSION;
static const char usage[] = "tributary-sim FILE [options]";
static const char about[] =
    "Simulates a federation in one process under virtual time: the server's real engine, real client sessions, real "
    "training and codecs, and clients with drawn speeds, connections and habits. FILE describes the experiment.";

enum { MOST_SEEDS = 1000, SEED_DIGITS = 24 };

struct arguments {
    struct trib_option_list set, variants;
    const char *file, *seeds, *json, *csv, *svg, *log, *log_level;
    int64_t jobs, threads, rounds;
    bool quiet, check, sample, version, help;
};
/* What is to be run. */
struct experiment {
    struct trib_sim_settings *settings; /* [n_variants]: those chosen */
    size_t n_variants;
    uint64_t seeds[MOST_SEEDS];
    size_t n_seeds;
    struct trib_sim_task *tasks; /* [n_tasks]: variant by variant */
    struct trib_sim_curve *curves;
    size_t n_tasks;
    struct trib_sim_progress progress;
    bool quiet;
    /* The settings borrow them. */
    const char *overrides[sizeof((struct trib_option_list *)0)->values / sizeof(char *) + 1];
    char rounds[64];
};

static void complain(const char *message)
{
    fprintf(stderr, "tributary-sim: %s\n", message);
}

static int fail(const struct trib_error *error)
{
    complain(error->message);
    return trib_status_exit_code(error->status);
}

static int print_sample(void)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    struct trib_buf yaml = {0};
    enum trib_status status = trib_config_sample(rows, n, "An experiment for tributary-sim.", &yaml);
    if (status == TRIB_OK && (fputs(trib_buf_text(&yaml), stdout) == EOF || fflush(stdout) == EOF)) {
        status = TRIB_IO;
    }
    trib_buf_clear(&yaml);
    if (status != TRIB_OK) {
        complain(trib_status_text(status));
    }
    return trib_status_exit_code(status);
}

/* ---- what is to be run ---- */

static enum trib_status add_seed(struct experiment *experiment, uint64_t seed, struct trib_error *error)
{
    if (experiment->n_seeds == MOST_SEEDS) {
        return trib_fail(error, TRIB_INVALID, "--seeds: more than %d", (int)MOST_SEEDS);
    }
    experiment->seeds[experiment->n_seeds++] = seed;
    return TRIB_OK;
}

/* "3": the file's seed and the two after it; "3,5,8": these. */
static enum trib_status read_seeds(struct experiment *experiment, const char *text, int64_t first,
                                   struct trib_error *error)
{
    struct trib_error reason;
    int64_t value = 1;
    if (!text || !strchr(text, ',')) {
        if (text && trib_parse_int(text, 1, MOST_SEEDS, &value, &reason) != TRIB_OK) {
            return trib_fail(error, TRIB_INVALID, "--seeds: %s", reason.message);
        }
        for (int64_t i = 0; i < value; i++) {
            TRIB_TRY(add_seed(experiment, (uint64_t)(first + i), error));
        }
        return TRIB_OK;
    }
    while (*text) {
        char digits[SEED_DIGITS];
        size_t len = strcspn(text, ",");
        (void)trib_str_copy(digits, len + 1 < sizeof digits ? len + 1 : sizeof digits, text);
        if (trib_parse_int(digits, 0, (int64_t)1 << 53, &value, &reason) != TRIB_OK) {
            return trib_fail(error, TRIB_INVALID, "--seeds: %s", reason.message);
        }
        TRIB_TRY(add_seed(experiment, (uint64_t)value, error));
        text += len + (text[len] == ',');
    }
    return TRIB_OK;
}

static bool is_chosen(const struct trib_option_list *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->values[i], name) == 0) {
            return true;
        }
    }
    return names->n == 0;
}

/* Every variant is read and checked, also those that are not chosen: a file is right or wrong as a whole. */
static enum trib_status load_variants(struct experiment *experiment, const struct arguments *arguments,
                                      struct trib_sim_choice *choice, struct trib_error *error)
{
    size_t n = 1;
    for (choice->variant = 0; choice->variant < n; choice->variant++) {
        struct trib_sim_settings settings;
        TRIB_TRY(trib_sim_settings_load(arguments->file, choice, &settings, error));
        n = trib_sim_settings_variants(&settings);
        struct trib_sim_settings *list =
            trib_realloc_array(experiment->settings, experiment->n_variants + 1, sizeof *list);
        if (!list || !is_chosen(&arguments->variants, settings.variant)) {
            trib_sim_settings_clear(&settings);
        } else {
            list[experiment->n_variants++] = settings;
        }
        if (!list) {
            return trib_fail_no_memory(error);
        }
        experiment->settings = list;
    }
    return TRIB_OK;
}

static enum trib_status check_chosen(const struct experiment *experiment, const struct trib_option_list *names,
                                     struct trib_error *error)
{
    for (size_t i = 0; i < names->n; i++) {
        bool found = false;
        for (size_t j = 0; j < experiment->n_variants; j++) {
            found = found || strcmp(experiment->settings[j].variant, names->values[i]) == 0;
        }
        if (!found) {
            return trib_fail(error, TRIB_INVALID, "--variant %s: the file describes no variant of this name",
                             names->values[i]);
        }
    }
    return TRIB_OK;
}

static enum trib_status make_tasks(struct experiment *experiment, struct trib_error *error)
{
    size_t n = experiment->n_variants * experiment->n_seeds;
    experiment->tasks = trib_calloc(n, sizeof *experiment->tasks);
    experiment->curves = trib_calloc(n, sizeof *experiment->curves);
    if (!experiment->tasks || !experiment->curves) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; i < n; i++) {
        experiment->tasks[i] = (struct trib_sim_task){.settings = &experiment->settings[i / experiment->n_seeds],
                                                      .seed = experiment->seeds[i % experiment->n_seeds]};
    }
    experiment->n_tasks = n;
    return TRIB_OK;
}

static enum trib_status load(struct experiment *experiment, const struct arguments *arguments, struct trib_error *error)
{
    struct trib_sim_choice choice = {.overrides = experiment->overrides, .n_overrides = arguments->set.n};
    memcpy(experiment->overrides, arguments->set.values, arguments->set.n * sizeof arguments->set.values[0]);
    if (arguments->rounds > 0) {
        snprintf(experiment->rounds, sizeof experiment->rounds, "federation.rounds=%lld", (long long)arguments->rounds);
        experiment->overrides[choice.n_overrides++] = experiment->rounds;
    }
    TRIB_TRY(load_variants(experiment, arguments, &choice, error));
    TRIB_TRY(check_chosen(experiment, &arguments->variants, error));
    TRIB_TRY(read_seeds(experiment, arguments->seeds, experiment->settings[0].server.seed, error));
    return make_tasks(experiment, error);
}

static void clear(struct experiment *experiment)
{
    for (size_t i = 0; i < experiment->n_tasks; i++) {
        trib_sim_curve_clear(&experiment->curves[i]);
    }
    for (size_t i = 0; i < experiment->n_variants; i++) {
        trib_sim_settings_clear(&experiment->settings[i]);
    }
    trib_free(experiment->curves);
    trib_free(experiment->tasks);
    trib_free(experiment->settings);
}

/* ---- running ---- */

static int check(const struct experiment *experiment)
{
    struct trib_error error = {.message = ""};
    size_t examples = 0;
    for (size_t i = 0; i < experiment->n_variants; i++) {
        if (trib_sim_check(&experiment->settings[i], &examples, &error) != TRIB_OK) {
            return fail(&error);
        }
    }
    printf("the configuration is valid: %lld clients, %zu examples, %zu runs of %zu variants\n",
           (long long)experiment->settings[0].clients, examples, experiment->n_tasks, experiment->n_variants);
    return EXIT_SUCCESS;
}

static void changed(void *context, size_t task, const struct trib_sim_curve *curve, bool ended)
{
    struct experiment *experiment = context;
    if (!experiment->quiet) {
        uint64_t rounds = (uint64_t)experiment->tasks[task].settings->server.rounds;
        trib_sim_progress_change(&experiment->progress, curve, ended, rounds);
    }
}

enum { OUTPUTS = 3 };
struct output {
    const char *path; /* NULL = not wanted */
    enum trib_status (*write)(const char *path, const struct trib_sim_results *results, struct trib_error *error);
};

static void list_outputs(const struct experiment *experiment, const struct arguments *arguments,
                         struct output outputs[OUTPUTS])
{
    const struct trib_sim_settings *settings = &experiment->settings[0];
    outputs[0] = (struct output){arguments->json ? arguments->json : settings->json, trib_sim_write_json};
    outputs[1] = (struct output){arguments->csv ? arguments->csv : settings->csv, trib_sim_write_csv};
    outputs[2] = (struct output){arguments->svg ? arguments->svg : settings->svg, trib_sim_write_svg};
}

/* Before hours of work: could its results be written? */
static enum trib_status check_outputs(const struct experiment *experiment, const struct arguments *arguments,
                                      struct trib_error *error)
{
    struct output outputs[OUTPUTS];
    list_outputs(experiment, arguments, outputs);
    for (size_t i = 0; i < OUTPUTS; i++) {
        const char *slash = outputs[i].path ? strrchr(outputs[i].path, '/') : NULL;
        char *folder = slash ? trib_strndup(outputs[i].path, (size_t)(slash - outputs[i].path) + 1) : NULL;
        bool writable = !outputs[i].path || access(folder ? folder : ".", W_OK | X_OK) == 0;
        int errnum = errno;
        trib_free(folder);
        if (!writable) {
            return trib_fail_errno(error, errnum, "%s: nothing can be written there", outputs[i].path);
        }
    }
    return TRIB_OK;
}

static bool all_failed(const struct experiment *experiment)
{
    for (size_t i = 0; i < experiment->n_tasks; i++) {
        if (!experiment->curves[i].error[0]) {
            return false;
        }
    }
    return true;
}

static enum trib_status write_results(const struct experiment *experiment, const struct arguments *arguments,
                                      struct trib_error *error)
{
    const struct trib_sim_settings *settings = &experiment->settings[0];
    struct output outputs[OUTPUTS];
    const struct trib_sim_results results = {.name = settings->name,
                                             .title = settings->title,
                                             .curves = experiment->curves,
                                             .n = experiment->n_tasks,
                                             .targets = settings->targets,
                                             .n_targets = settings->n_targets};
    list_outputs(experiment, arguments, outputs);
    for (size_t i = 0; i < OUTPUTS; i++) {
        if (outputs[i].path) {
            TRIB_TRY(outputs[i].write(outputs[i].path, &results, error));
        }
    }
    return all_failed(experiment) ? TRIB_OK : trib_sim_print_table(stdout, &results, error);
}

static int run(struct experiment *experiment, const struct arguments *arguments, enum trib_log_level level)
{
    struct trib_error error = {.message = ""}, trouble = {.message = ""};
    uint64_t rounds = 0;
    for (size_t i = 0; i < experiment->n_tasks; i++) {
        rounds += (uint64_t)experiment->tasks[i].settings->server.rounds;
    }
    experiment->quiet = arguments->quiet;
    trib_sim_progress_begin(&experiment->progress, stderr, experiment->n_tasks, rounds);
    const struct trib_sim_batch batch = {.tasks = experiment->tasks,
                                         .n = experiment->n_tasks,
                                         .jobs = (int)arguments->jobs,
                                         .threads = (int)arguments->threads,
                                         .log_path = arguments->log,
                                         .log_level = level,
                                         .changed = changed,
                                         .context = experiment};
    enum trib_status status = trib_sim_batch_run(&batch, experiment->curves, &error);
    if (!arguments->quiet) {
        trib_sim_progress_end(&experiment->progress);
    }
    if (status != TRIB_CANCELLED && write_results(experiment, arguments, &trouble) != TRIB_OK) {
        (void)fail(&trouble);
        status = status == TRIB_OK ? trouble.status : status;
    }
    if (error.message[0]) {
        complain(error.message);
    }
    return trib_status_exit_code(status);
}

static int with_arguments(const struct arguments *arguments)
{
    struct trib_error error = {.message = ""};
    struct experiment *experiment = trib_calloc(1, sizeof *experiment);
    enum trib_log_level level = TRIB_LOG_INFO;
    if (!experiment) {
        (void)trib_fail_no_memory(&error);
        return fail(&error);
    }
    int code;
    if (arguments->log_level && !trib_log_parse_level(arguments->log_level, &level)) {
        (void)trib_fail(&error, TRIB_INVALID, "--log-level %s: it is one of error, warn, info, debug",
                        arguments->log_level);
        code = fail(&error);
    } else if (load(experiment, arguments, &error) != TRIB_OK ||
               check_outputs(experiment, arguments, &error) != TRIB_OK) {
        code = fail(&error);
    } else {
        code = arguments->check ? check(experiment) : run(experiment, arguments, level);
    }
    clear(experiment);
    trib_free(experiment);
    return code;
}

static enum trib_status parse_arguments(int argc, char **argv, struct arguments *arguments, struct trib_error *error)
{
    const struct trib_option options[] = {
        {"seeds", 0, TRIB_OPTION_STRING, &arguments->seeds, 0, 0, "N|A,B,...",
         "N seeds from the file's on, or these; each variant runs with every one"},
        {"variant", 0, TRIB_OPTION_REPEAT, &arguments->variants, 0, 0, "NAME", "only this variant; repeatable"},
        {"rounds", 0, TRIB_OPTION_INT, &arguments->rounds, 1, 1000000, "N", "instead of the file's federation.rounds"},
        {"set", 's', TRIB_OPTION_REPEAT, &arguments->set, 0, 0, "KEY=VALUE",
         "override one key, for all variants; repeatable"},
        {"jobs", 'j', TRIB_OPTION_INT, &arguments->jobs, 1, 1024, "N", "runs at a time (default: one a core)"},
        {"threads", 0, TRIB_OPTION_INT, &arguments->threads, 1, 1024, "N",
         "threads of each run (default: the cores, shared out); results do not depend on it"},
        {"json", 0, TRIB_OPTION_STRING, &arguments->json, 0, 0, "FILE", "write every round of every run there"},
        {"csv", 0, TRIB_OPTION_STRING, &arguments->csv, 0, 0, "FILE", "the same as a table"},
        {"svg", 0, TRIB_OPTION_STRING, &arguments->svg, 0, 0, "FILE", "the same as a picture"},
        {"log", 0, TRIB_OPTION_STRING, &arguments->log, 0, 0, "FILE",
         "log of the first run's server and clients; of run i FILE.i"},
        {"log-level", 0, TRIB_OPTION_STRING, &arguments->log_level, 0, 0, "LEVEL",
         "error, warn, info (the default) or debug"},
        {"quiet", 'q', TRIB_OPTION_FLAG, &arguments->quiet, 0, 0, NULL, "show no progress"},
        {"check", 0, TRIB_OPTION_FLAG, &arguments->check, 0, 0, NULL,
         "check the file, the data and the model, and exit"},
        {"sample-config", 0, TRIB_OPTION_FLAG, &arguments->sample, 0, 0, NULL, "print a commented sample and exit"},
        {"version", 'V', TRIB_OPTION_FLAG, &arguments->version, 0, 0, NULL, "print the version and exit"},
        {"help", 'h', TRIB_OPTION_FLAG, &arguments->help, 0, 0, NULL, "print this help and exit"},
    };
    const size_t n = sizeof options / sizeof options[0];
    size_t operands = 0;
    TRIB_TRY(trib_cli_parse(argc, argv, options, n, &arguments->file, 1, &operands, error));
    if (arguments->help) {
        trib_cli_help(stdout, usage, about, options, n);
    }
    return TRIB_OK;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct trib_error error = {.message = ""};
    trib_mem_tune_daemon();
    if (parse_arguments(argc, argv, &arguments, &error) != TRIB_OK) {
        return fail(&error);
    }
    if (arguments.help) {
        return EXIT_SUCCESS;
    }
    if (arguments.version) {
        puts(software);
        return EXIT_SUCCESS;
    }
    if (arguments.sample) {
        return print_sample();
    }
    if (!arguments.file) {
        (void)trib_fail(&error, TRIB_INVALID,
                        "name the file that describes the experiment; --sample-config prints one to begin with");
        return fail(&error);
    }
    return with_arguments(&arguments);
}
