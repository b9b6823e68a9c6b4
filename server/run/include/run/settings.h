/* The server's settings: one table of rows, read from server.yaml and --set. */
#ifndef TRIB_RUN_SETTINGS_H
#define TRIB_RUN_SETTINGS_H

#include "base/config.h"
#include "base/log.h"
#include "intake/uplink.h"

enum trib_reference { TRIB_REFERENCE_LAST_UPDATE, TRIB_REFERENCE_MAJORITY };
enum trib_weights { TRIB_WEIGHTS_EXAMPLES, TRIB_WEIGHTS_STEPS, TRIB_WEIGHTS_UNIFORM };

struct trib_server_settings {
    char *listen, *state_dir;
    char *tls_ca, *tls_certificate, *tls_key;

    int64_t rounds, min_clients, clients_per_round, min_updates, uploads_in_flight, seed;
    double over_selection;
    int64_t deadline_ms, idle_timeout_ms, away_timeout_ms, retry_ms, linger_ms;
    char *selector;
    int64_t buffer, max_staleness;
    double staleness_power;

    const struct trib_config_node *selection_tags;
    int64_t selection_min_examples, selection_min_threads, selection_min_memory, selection_min_battery;
    bool selection_metered;
    int64_t selection_separation, selection_candidates;
    double selection_explore, selection_speed_penalty;

    int64_t relevance_sketch, relevance_bytes, relevance_penalty;
    int relevance_reference, relevance_rule; /* enum trib_reference; enum trib_gate_rule */
    double relevance_threshold, relevance_share, relevance_patience;

    char *strategy;
    int weights; /* enum trib_weights */
    double server_learning_rate;
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

    char *evaluation_format, *evaluation_path, *evaluation_labels, *evaluation_split, *evaluation_label_column;
    char *evaluation_normalise;
    int64_t evaluation_every, evaluation_batch;

    int64_t checkpoints_keep, keep_uploads, history_rounds;
    char *backend;
    int64_t threads;

    int log_level, log_format;
    char *log_file;
    int64_t keepalive_ms, lookahead_bytes, max_clients;
    int64_t limits_calls, limits_messages, limits_pause_ms, limits_upload_rate, limits_send_queue, limits_memory;
    int64_t limits_hello_ms, limits_idle_call_ms, limits_strangers, limits_connections;

    struct trib_config_node *tree; /* owns what the NODE rows borrow */
};

size_t trib_server_rows(const struct trib_config_row **rows);
/* Read the file, then the overrides ("key=value"), then check what concerns several keys. */
TRIB_MUST_CHECK enum trib_status trib_server_settings_load(const char *path, const char *const *overrides, size_t n,
                                                           struct trib_server_settings *settings,
                                                           struct trib_error *error);
/* What concerns several keys: TRIB_CONFIG names them. */
TRIB_MUST_CHECK enum trib_status trib_server_settings_check(const struct trib_server_settings *settings,
                                                            struct trib_error *error);
/* codec.*, as the uplink takes them. */
struct trib_uplink_options trib_server_uplink(const struct trib_server_settings *settings);
void trib_server_settings_clear(struct trib_server_settings *settings);

#endif
