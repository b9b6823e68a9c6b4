/* A simulation's settings are one file that describes an experiment. Its rows are the rows of server.yaml that say how
 * a federation learns (not where it listens and writes), and rows of its own for the data, the clients and what is
 * compared. */
#ifndef TRIB_SIM_SIM_SETTINGS_H
#define TRIB_SIM_SIM_SETTINGS_H

#include "settings/settings.h"
#include "data/dataset_settings.h"
#include "sim/distribution.h"
#include "sim/results.h"

enum trib_straggler_work {
    TRIB_STRAGGLER_PARTIAL, /* some epochs of those asked for, and offers them */
    TRIB_STRAGGLER_DROP     /* never offers */
};
/* The simulated clients' behaviour, read from the rows. */
struct trib_sim_behaviour {
    struct trib_distribution speed;            /* examples a second, drawn for each client */
    struct trib_distribution upload, download; /* bytes a second */
    struct trib_distribution latency;          /* seconds, one way */
    struct trib_distribution away;             /* seconds, after a drop-out */
    double on_seconds, off_seconds;            /* means; 0 = always there */
};
struct trib_sim_settings {
    char *name, *title;
    int64_t max_time_ms;
    struct trib_dataset_settings data;
    char *data_partition;
    int64_t clients;
    char *speed, *upload, *download, *latency, *availability, *away;
    double dropout, stragglers, time_limit; /* seconds; 0 = none */
    double stop_at;                         /* accuracy; 0 = never */
    int straggler_work;                     /* enum trib_straggler_work */
    const struct trib_config_node *target_list, *variants;
    char *json, *csv, *svg;
    struct trib_server_settings server; /* its tree stays NULL */

    /* Not from rows. */
    struct trib_sim_behaviour behaviour;
    double targets[TRIB_SIM_MAX_TARGETS];
    size_t n_targets;
    char variant[TRIB_SIM_VARIANT_LEN];
    const struct trib_config_node *variant_set; /* NULL = none */
    struct trib_config_node *tree;
    const char *const *overrides; /* borrowed, for messages */
    size_t n_overrides;
};
/* A choice says which part of a file counts. */
struct trib_sim_choice {
    size_t variant;               /* number in the list of variants; without such a list, 0 */
    const char *const *overrides; /* "KEY=VALUE", as from --set: they count more than the file and the variant */
    size_t n_overrides;
};

/* trib_sim_table returns the table, composed at the first call; any thread. trib_sim_rows returns its rows. */
const struct trib_config_table *trib_sim_table(void);
size_t trib_sim_rows(const struct trib_config_row **rows);
/* trib_sim_settings_load reads a file, applies a variant and the overrides, and checks it all, short of the data.
 * TRIB_CONFIG names file, line and key. `settings` needs no initialisation and borrows the overrides; after a failure
 * it holds nothing. */
TRIB_MUST_CHECK enum trib_status trib_sim_settings_load(const char *path, const struct trib_sim_choice *choice,
                                                        struct trib_sim_settings *settings, struct trib_error *error);
/* trib_sim_settings_parse reads a text likewise; `name` stands where the file's name would. */
TRIB_MUST_CHECK enum trib_status trib_sim_settings_parse(const char *name, const char *text, size_t len,
                                                         const struct trib_sim_choice *choice,
                                                         struct trib_sim_settings *settings, struct trib_error *error);
void trib_sim_settings_clear(struct trib_sim_settings *settings);
/* trib_sim_settings_variants returns how many variants the file describes; 1 when it has no list of them. */
size_t trib_sim_settings_variants(const struct trib_sim_settings *settings);
/* trib_sim_settings_fail makes a failure about one key, with the file and line where its value comes from, or --set.
 * Status TRIB_CONFIG. */
enum trib_status trib_sim_settings_fail(const struct trib_sim_settings *settings, const char *key,
                                        struct trib_error *error, const char *format, ...) TRIB_PRINTF(4, 5);
struct trib_dataset_spec trib_sim_settings_data(const struct trib_sim_settings *settings);

#endif
