/* The server's settings are read from server.yaml and --set. Their table is composed of rows of the server's own, of
 * groups that all programs share, and of what the entries of registries (selectors, gate rules, readers, ...) bring. */
#ifndef TRIB_SETTINGS_SETTINGS_H
#define TRIB_SETTINGS_SETTINGS_H

#include "backend/compute.h"
#include "base/config.h"
#include "base/log_settings.h"
#include "base/net_settings.h"
#include "data/dataset_settings.h"
#include "intake/uplink.h"
#include "select/gate.h"

enum trib_reference { TRIB_REFERENCE_LAST_UPDATE, TRIB_REFERENCE_MAJORITY };
enum trib_weights { TRIB_WEIGHTS_EXAMPLES, TRIB_WEIGHTS_STEPS, TRIB_WEIGHTS_UNIFORM };

enum { TRIB_SETTINGS_ROOM = 1024 }; /* bytes for the settings of entries */

struct trib_server_settings {
    char *listen, *state_dir;
    struct trib_tls_settings tls;

    int64_t rounds, min_clients, clients_per_round, min_updates, uploads_in_flight, seed;
    double over_selection;
    int64_t deadline_ms, idle_timeout_ms, away_timeout_ms, retry_ms, linger_ms;
    char *selector;
    int64_t buffer, max_staleness;
    double staleness_power;

    const struct trib_config_node *selection_tags;
    int64_t selection_min_examples, selection_min_threads, selection_min_memory, selection_min_battery;
    bool selection_metered;
    int64_t selection_separation;

    int64_t relevance_sketch, relevance_penalty;
    int relevance_reference; /* enum trib_reference */
    struct trib_gate gate;   /* counts where relevance_sketch is above 0 */
    double relevance_patience;

    char *strategy;
    int weights; /* enum trib_weights */
    int64_t max_examples;
    double max_abs, max_norm;

    char *model_name, *model_initial;
    const struct trib_config_node *model_layers, *model_example;
    int64_t model_classes;

    int loss;
    int64_t epochs, batch_size, max_steps, decay_every;
    double learning_rate, decay, momentum, weight_decay, clip_norm, proximal_mu, proximal_step;

    char *codec_up, *codec_down, *codec_feedback;
    double codec_target_bits, codec_feedback_momentum;
    int64_t codec_target_ms, codec_warmup_rounds;
    int64_t codec_down_history;
    bool codec_down_feedback;

    struct trib_dataset_settings evaluation; /* the test set; its path NULL = none */
    int64_t evaluation_every, evaluation_batch;

    int64_t checkpoints_keep, keep_uploads, history_rounds;
    struct trib_compute_settings compute;

    struct trib_log_settings log;
    struct trib_net_settings net;
    int64_t max_clients;
    int64_t limits_calls, limits_messages, limits_pause_ms, limits_upload_rate, limits_send_queue, limits_memory;
    int64_t limits_hello_ms, limits_idle_call_ms, limits_strangers, limits_connections;

    _Alignas(max_align_t) unsigned char room[TRIB_SETTINGS_ROOM]; /* the entries' own, see trib_server_group_settings */

    struct trib_config_node *tree; /* owns what the NODE rows borrow */
};

/* trib_server_rows returns the whole table. */
size_t trib_server_rows(const struct trib_config_row **rows);
/* trib_server_group_settings returns what an entry's own rows have filled. */
const void *trib_server_group_settings(const struct trib_server_settings *settings,
                                       const struct trib_config_group *group);
/* trib_server_settings_load reads the file, then the overrides ("key=value"), then checks what concerns several keys.
 */
TRIB_MUST_CHECK enum trib_status trib_server_settings_load(const char *path, const char *const *overrides, size_t n,
                                                           struct trib_server_settings *settings,
                                                           struct trib_error *error);
/* trib_server_settings_check looks at what concerns several keys: TRIB_CONFIG names them. */
TRIB_MUST_CHECK enum trib_status trib_server_settings_check(const struct trib_server_settings *settings,
                                                            struct trib_error *error);
/* codec.*, as the uplink takes them. */
struct trib_uplink_options trib_server_uplink(const struct trib_server_settings *settings);
/* trib_server_may_be_stale tells whether updates may be folded into a later round than that of their task. */
bool trib_server_may_be_stale(const struct trib_server_settings *settings);
/* A stale update weighs less than it is counted for, in parts of this. */
enum { TRIB_WEIGHT_PARTS = 64 };
/* trib_server_most_weight is the largest sum of weights of so many updates. */
uint64_t trib_server_most_weight(const struct trib_server_settings *settings, uint64_t updates);
/* trib_server_most_updates is the most updates that a round may fold. */
uint64_t trib_server_most_updates(const struct trib_server_settings *settings);
void trib_server_settings_clear(struct trib_server_settings *settings);

#endif
