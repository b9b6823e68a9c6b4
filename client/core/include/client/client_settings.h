/* client.yaml: the settings of one client daemon, their bounds and their help. The rows here are what the sample file
 * and --dump-config are made from. */
#ifndef TRIB_CLIENT_SETTINGS_H
#define TRIB_CLIENT_SETTINGS_H

#include "base/config.h"
#include "data/dataset.h"
#include "client/limits.h"

struct trib_client_settings {
    char *node;
    const struct trib_config_node *tag_list; /* in `tree` */
    char *server_address, *server_name;
    char *tls_ca, *tls_certificate, *tls_key;
    char *data_format, *data_path, *data_labels, *data_split, *data_label_column, *data_key_column, *data_keys;
    int64_t data_classes;
    bool data_regression;
    char *data_normalise, *data_partition;
    int64_t data_clients, data_client, data_seed;
    bool device_metered;
    int device_battery; /* enum trib_battery_rule */
    char *training_backend;
    int64_t training_threads;
    int64_t max_epochs, max_ms, max_memory, max_disk;
    char *state_dir;
    int64_t reconnect_min_ms, reconnect_max_ms;
    int log_level, log_format; /* as in base/log.h */
    char *log_file;
    int64_t keepalive_ms, lookahead_bytes;

    /* Not from rows. */
    struct trib_config_node *tree;
    const char **tags; /* n_tags texts, in the tree */
    size_t n_tags;
    const char *const *overrides; /* borrowed, for messages */
    size_t n_overrides;
};

size_t trib_client_rows(const struct trib_config_row **rows);
/* Read a file, apply overrides ("KEY=VALUE", as from --set), check what rows cannot: known names, what belongs
 * together. `settings` needs no initialisation and borrows the overrides; on failure it holds nothing. Touches no file
 * but `path`. */
TRIB_MUST_CHECK enum trib_status trib_client_settings_load(const char *path, const char *const *overrides,
                                                           size_t n_overrides, struct trib_client_settings *settings,
                                                           struct trib_error *error);
/* The same from text; `name` stands where the file's name would. */
TRIB_MUST_CHECK enum trib_status trib_client_settings_parse(const char *name, const char *text, size_t len,
                                                            const char *const *overrides, size_t n_overrides,
                                                            struct trib_client_settings *settings,
                                                            struct trib_error *error);
void trib_client_settings_clear(struct trib_client_settings *settings);
/* A failure about one key, with the file and line where its value comes from, or --set. Status TRIB_CONFIG. */
enum trib_status trib_client_settings_fail(const struct trib_client_settings *settings, const char *key,
                                           struct trib_error *error, const char *format, ...) TRIB_PRINTF(4, 5);
struct trib_client_limits trib_client_settings_limits(const struct trib_client_settings *settings);
struct trib_dataset_spec trib_client_settings_data(const struct trib_client_settings *settings);

#endif
