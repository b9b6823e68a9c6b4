/* client.yaml has the settings of one client daemon. Their table is composed of the client's own rows and of groups
 * that all programs share; the sample file and --dump-config are made from it. */
#ifndef TRIB_CLIENT_SETTINGS_H
#define TRIB_CLIENT_SETTINGS_H

#include "backend/compute.h"
#include "base/config.h"
#include "base/log_settings.h"
#include "base/net_settings.h"
#include "data/dataset_settings.h"
#include "client/limits.h"

struct trib_client_settings {
    char *node;
    const struct trib_config_node *tag_list; /* in `tree` */
    char *server_address, *server_name;
    struct trib_tls_settings tls;
    struct trib_dataset_settings data;
    char *data_partition;
    int64_t data_clients, data_client, data_seed;
    bool device_metered;
    int device_battery; /* enum trib_battery_rule */
    struct trib_compute_settings compute;
    int64_t max_epochs, max_ms, max_memory, max_disk;
    char *state_dir;
    int64_t reconnect_min_ms, reconnect_max_ms;
    struct trib_log_settings log;
    struct trib_net_settings net;
    _Alignas(max_align_t) unsigned char room[256]; /* of entries' own settings */

    /* Not from rows. */
    struct trib_config_node *tree;
    const char **tags; /* n_tags texts, in the tree */
    size_t n_tags;
    const char *const *overrides; /* borrowed, for messages */
    size_t n_overrides;
};

/* trib_client_rows returns the whole table. */
size_t trib_client_rows(const struct trib_config_row **rows);
/* trib_client_settings_load reads a file, applies overrides ("KEY=VALUE", as from --set), and checks what rows cannot:
 * known names, what belongs together. `settings` needs no initialisation and borrows the overrides; on failure it holds
 * nothing. Touches no file but `path`. */
TRIB_MUST_CHECK enum trib_status trib_client_settings_load(const char *path, const char *const *overrides,
                                                           size_t n_overrides, struct trib_client_settings *settings,
                                                           struct trib_error *error);
/* trib_client_settings_parse reads a text likewise; `name` stands where the file's name would. */
TRIB_MUST_CHECK enum trib_status trib_client_settings_parse(const char *name, const char *text, size_t len,
                                                            const char *const *overrides, size_t n_overrides,
                                                            struct trib_client_settings *settings,
                                                            struct trib_error *error);
void trib_client_settings_clear(struct trib_client_settings *settings);
/* trib_client_settings_fail makes a failure about one key, with the file and line where its value comes from, or --set.
 * Status TRIB_CONFIG. */
enum trib_status trib_client_settings_fail(const struct trib_client_settings *settings, const char *key,
                                           struct trib_error *error, const char *format, ...) TRIB_PRINTF(4, 5);
/* trib_client_settings_hints tells of every former name of a key that was given. */
void trib_client_settings_hints(const struct trib_client_settings *settings,
                                void (*report)(void *context, const char *text), void *context);
struct trib_client_limits trib_client_settings_limits(const struct trib_client_settings *settings);

#endif
