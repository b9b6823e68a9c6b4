/* The rows of a simulation's file are its own, and those of the server that it shares. */
#include "sim/sim_settings.h"

#include "base/str.h"

#include <pthread.h>
#include <string.h>

static const char *const straggler_works[] = {
    [TRIB_STRAGGLER_PARTIAL] = "partial", [TRIB_STRAGGLER_DROP] = "drop", NULL};

#define AT(member) offsetof(struct trib_sim_settings, member)
#define DAY        86400000.0

static const struct trib_config_row experiment_rows[] = {
    TRIB_ROW("name", TRIB_TYPE_STRING, AT(name), "simulation", 1, 60, NULL, 0, "Short name of the experiment."),
    TRIB_ROW("title", TRIB_TYPE_STRING, AT(title), NULL, 0, 200, NULL, 0,
             "What stands above its picture; default the name."),
    TRIB_ROW("max_time", TRIB_TYPE_DURATION, AT(max_time_ms), "365d", 1000, 36500 * DAY, NULL, 0,
             "Simulated time after which a run is given up."),
};
static const struct trib_config_row part_rows[] = {
    {.key = "data.partition",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_partition),
     .fallback = "iid",
     .min = 1,
     .max = 255,
     .help = "How they are dealt: {names}; shards as shards:2 (of two classes each), dirichlet as dirichlet:0.3.",
     .names = trib_partition_rule_names},
};
static const struct trib_config_row client_rows[] = {
    TRIB_ROW("clients.count", TRIB_TYPE_INT, AT(clients), "100", 1, 1000000, NULL, 0, "Clients of the federation."),
    TRIB_ROW("clients.speed", TRIB_TYPE_STRING, AT(speed), "fixed:1000", 1, 100, NULL, 0,
             "Examples that a client trains on in a second, drawn once for each: fixed:X, uniform:LO,HI, "
             "lognormal:MEDIAN,SIGMA, pareto:MIN,ALPHA or exponential:MEAN."),
    TRIB_ROW("clients.upload", TRIB_TYPE_STRING, AT(upload), "fixed:1000000", 1, 100, NULL, 0,
             "Bytes that it sends in a second, drawn likewise."),
    TRIB_ROW("clients.download", TRIB_TYPE_STRING, AT(download), "fixed:10000000", 1, 100, NULL, 0,
             "Bytes that it receives in a second, drawn likewise."),
    TRIB_ROW("clients.latency", TRIB_TYPE_STRING, AT(latency), "fixed:0.03", 1, 100, NULL, 0,
             "Seconds that a message is on its way, drawn likewise."),
    TRIB_ROW("clients.availability", TRIB_TYPE_STRING, AT(availability), "always", 1, 100, NULL, 0,
             "always, or MEAN_ON,MEAN_OFF: seconds that a client stays and stays away, on average (exponential)."),
    TRIB_ROW("clients.dropout", TRIB_TYPE_REAL, AT(dropout), "0", 0, 1, NULL, 0,
             "Chance that a client vanishes while it trains, as if its process were killed."),
    TRIB_ROW("clients.away", TRIB_TYPE_STRING, AT(away), "exponential:60", 1, 100, NULL, 0,
             "Seconds after which it comes back, drawn each time."),
    TRIB_ROW("clients.stragglers", TRIB_TYPE_REAL, AT(stragglers), "0", 0, 1, NULL, 0,
             "Share of all clients' parts in rounds in which the client does not manage the epochs asked for."),
    TRIB_ROW("clients.straggler_work", TRIB_TYPE_ENUM, AT(straggler_work), "partial", 0, 0, straggler_works, 0,
             "What it does then: partial offers as many epochs as it managed, 1 to one less than asked for; drop never "
             "offers."),
    TRIB_ROW("clients.time_limit", TRIB_TYPE_REAL, AT(time_limit), "0", 0, 1e9, NULL, 0,
             "Seconds of training after which a client stops by itself and offers the steps it did; 0 = none."),
    TRIB_ROW("targets", TRIB_TYPE_NODE, AT(target_list), NULL, 0, 0, NULL, 0,
             "Accuracies such as [0.8, 0.95]: what each variant spent until it first reached them is compared."),
    TRIB_ROW("stop_at", TRIB_TYPE_REAL, AT(stop_at), "0", 0, 1, NULL, 0,
             "Accuracy at which a run ends before its last round; 0 = never."),
    TRIB_ROW(
        "variants", TRIB_TYPE_NODE, AT(variants), NULL, 0, 0, NULL, 0,
        "What is compared, for example {name: prox, set: {training.proximal_mu: 1}}: a name and the keys that differ."),
    TRIB_ROW("output.json", TRIB_TYPE_PATH, AT(json), NULL, 0, 4096, NULL, 0,
             "Where every round of every run is written."),
    TRIB_ROW("output.csv", TRIB_TYPE_PATH, AT(csv), NULL, 0, 4096, NULL, 0, "The same as a table."),
    TRIB_ROW("output.svg", TRIB_TYPE_PATH, AT(svg), NULL, 0, 4096, NULL, 0, "The same as a picture."),
};

/* Where a server listens and writes is nothing to a simulation. */
static const char *const left_out[] = {"listen", "state_dir", "max_clients", "tls.", "net.", "log.", "checkpoints."};

static bool is_shared(const struct trib_config_row *row)
{
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++) {
        size_t len = strlen(left_out[i]);
        bool section = left_out[i][len - 1] == '.';
        if (section ? trib_str_starts_with(row->key, left_out[i]) : strcmp(row->key, left_out[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* ---- the table ---- */

#define ADD(list) trib_config_table_add(&table, NULL, list, sizeof(list) / sizeof(list)[0], 0, NULL)

static struct trib_config_table table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What the clients share; the model says what it holds. */
static void add_data(void)
{
    trib_dataset_add_rows(&table, "data", AT(data));
    trib_config_table_drop(&table, "data.classes");
    trib_config_table_drop(&table, "data.regression");
    trib_config_table_row(&table, "data.path")->help =
        "The examples that are dealt out: a file, or a folder with the format's usual names.";
    trib_config_table_row(&table, "data.format")->help =
        "How the examples are stored: {names}; synthetic as synthetic:ALPHA,BETA.";
    trib_config_table_row(&table, "data.normalise")->help =
        "How values are scaled: none, unit, auto, or \"m1,m2,m3/s1,s2,s3\".";
    ADD(part_rows);
}

/* The server's rows, with other words where more is known here. */
static void add_server(void)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    for (size_t i = 0; i < n; i++) {
        if (is_shared(&rows[i])) {
            trib_config_table_add(&table, NULL, &rows[i], 1, AT(server), rows[i].owners);
        }
    }
    struct trib_config_row *row = trib_config_table_row(&table, "federation.min_clients");
    row->fallback = "0";
    row->min = 0;
    row->help = "A round begins when so many clients are connected; 0 = all of them, or as many as clients_per_round "
                "where they come and go.";
    trib_config_table_row(&table, "evaluation.path")->help =
        "The test set; default the test split of the clients' data, where there is one.";
}

static void compose(void)
{
    ADD(experiment_rows);
    add_data();
    ADD(client_rows);
    add_server();
}

const struct trib_config_table *trib_sim_table(void)
{
    (void)pthread_once(&once, compose);
    return &table;
}

size_t trib_sim_rows(const struct trib_config_row **rows)
{
    *rows = trib_sim_table()->rows;
    return table.n;
}
