/* The server's settings: one table of rows, read from server.yaml and --set. */
#ifndef TRIB_CORE_SETTINGS_H
#define TRIB_CORE_SETTINGS_H

#include "base/config.h"
#include "base/log.h"

struct trib_server_settings {
    char *listen, *state_dir;
    char *tls_ca, *tls_certificate, *tls_key;

    int64_t rounds, min_clients, clients_per_round, min_updates, uploads_in_flight, seed;
    double over_selection;
    int64_t deadline_ms, idle_timeout_ms, away_timeout_ms, retry_ms;
    char *selector;

    char *strategy;
    double server_learning_rate;
    int64_t max_examples;
    double max_abs, max_norm;

    char *model_name, *model_initial;
    const struct trib_config_node *model_layers, *model_example;
    int64_t model_classes;

    int loss;
    int64_t epochs, batch_size, max_steps, decay_every;
    double learning_rate, decay, momentum, weight_decay, clip_norm, proximal_mu;

    char *codec_up, *codec_down, *codec_feedback;
    double codec_target_bits, codec_feedback_momentum;
    int64_t codec_target_ms, codec_warmup_rounds;
    int64_t codec_down_history;
    bool codec_down_feedback;

    char *evaluation_format, *evaluation_path, *evaluation_labels, *evaluation_split, *evaluation_label_column;
    char *evaluation_normalise;
    int64_t evaluation_every, evaluation_batch;

    int64_t checkpoints_keep;
    char *backend;
    int64_t threads;

    int log_level, log_format;
    char *log_file;
    int64_t keepalive_ms, lookahead_bytes, max_clients;

    struct trib_config_node *tree; /* owns what the NODE rows borrow */
};

size_t trib_server_rows(const struct trib_config_row **rows);
/* Read the file, then the overrides ("key=value"), then check what concerns several keys. */
TRIB_MUST_CHECK enum trib_status trib_server_settings_load(const char *path, const char *const *overrides, size_t n,
                                                           struct trib_server_settings *settings,
                                                           struct trib_error *error);
void trib_server_settings_clear(struct trib_server_settings *settings);

#endif
