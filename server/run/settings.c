/* The rows of server.yaml. */
#include "run/settings.h"

#include "base/mem.h"
#include "base/str.h"
#include "codec/choose.h"
#include "select/gate.h"
#include "select/selector.h"
#include "strategy/strategy.h"
#include "intake/uplink.h"
#include "wire/message.h"

#include <inttypes.h>
#include <string.h>

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const references[] = {
    [TRIB_REFERENCE_LAST_UPDATE] = "last_update", [TRIB_REFERENCE_MAJORITY] = "majority", NULL};
static const char *const rules[] = {
    [TRIB_GATE_OPEN] = "none",   [TRIB_GATE_CONSTANT] = "constant", [TRIB_GATE_DECAY] = "decay",
    [TRIB_GATE_SHARE] = "share", [TRIB_GATE_BYTES] = "bytes",       NULL};
static const char *const weights[] = {
    [TRIB_WEIGHTS_EXAMPLES] = "examples", [TRIB_WEIGHTS_STEPS] = "steps", [TRIB_WEIGHTS_UNIFORM] = "uniform", NULL};
static const char *const losses[] = {"cross_entropy", "mse", NULL};

#define AT(member) offsetof(struct trib_server_settings, member)
#define HOUR       3600000.0

static const struct trib_config_row rows[] = {
    TRIB_ROW("listen", TRIB_TYPE_STRING, AT(listen), "0.0.0.0:7443", 0, 255, NULL, 0,
             "Address and port on which clients are served; port 0 picks a free one."),
    TRIB_ROW("state_dir", TRIB_TYPE_PATH, AT(state_dir), NULL, 0, 4096, NULL, TRIB_ROW_REQUIRED,
             "Folder for the records of the run, its models, and uploads in flight; made when it is missing. A server "
             "that is "
             "started again goes on with the run that it finds there."),
    TRIB_ROW("max_clients", TRIB_TYPE_INT, AT(max_clients), "10000", 1, 1000000, NULL, 0,
             "Sessions served at a time; further clients are asked to come back later."),

    TRIB_ROW("tls.ca", TRIB_TYPE_PATH, AT(tls_ca), NULL, 0, 4096, NULL, TRIB_ROW_REQUIRED,
             "PEM file of the CA that signed every node of the federation."),
    TRIB_ROW("tls.certificate", TRIB_TYPE_PATH, AT(tls_certificate), NULL, 0, 4096, NULL, TRIB_ROW_REQUIRED,
             "PEM file of the server's certificate."),
    TRIB_ROW("tls.key", TRIB_TYPE_PATH, AT(tls_key), NULL, 0, 4096, NULL, TRIB_ROW_REQUIRED,
             "PEM file of its private key, readable by the owner only."),

    TRIB_ROW("federation.rounds", TRIB_TYPE_INT, AT(rounds), "10", 1, 1000000, NULL, 0,
             "Rounds to commit before the run ends."),
    TRIB_ROW("federation.min_clients", TRIB_TYPE_INT, AT(min_clients), "2", 1, 1000000, NULL, 0,
             "A round begins when so many clients are connected."),
    TRIB_ROW("federation.clients_per_round", TRIB_TYPE_INT, AT(clients_per_round), "0", 0, 1000000, NULL, 0,
             "Updates wanted in a round; 0 = one of every connected client."),
    TRIB_ROW("federation.over_selection", TRIB_TYPE_REAL, AT(over_selection), "1.3", 1, 10, NULL, 0,
             "Clients asked = clients_per_round times this, so that slow ones do not hold the round up."),
    TRIB_ROW(
        "federation.min_updates", TRIB_TYPE_INT, AT(min_updates), "1", 1, 1000000, NULL, 0,
        "A round with fewer answers at its end (updates, or offers that were skipped) is abandoned and begun again."),
    TRIB_ROW("federation.deadline", TRIB_TYPE_DURATION, AT(deadline_ms), "10m", 100, 30 * 24 * HOUR, NULL, 0,
             "The longest that a round collects updates."),
    TRIB_ROW("federation.idle_timeout", TRIB_TYPE_DURATION, AT(idle_timeout_ms), "60s", 100, 24 * HOUR, NULL, 0,
             "A client that shows no progress for so long is late."),
    TRIB_ROW("federation.away_timeout", TRIB_TYPE_DURATION, AT(away_timeout_ms), "10s", 0, 24 * HOUR, NULL, 0,
             "A client that disconnects in a round may come back within this."),
    TRIB_ROW("federation.retry_pause", TRIB_TYPE_DURATION, AT(retry_ms), "2s", 0, HOUR, NULL, 0,
             "Pause after an abandoned round."),
    TRIB_ROW("federation.linger", TRIB_TYPE_DURATION, AT(linger_ms), "60s", 0, 24 * HOUR, NULL, 0,
             "A server that is started again when its run is complete tells clients so for this long, and ends."),
    TRIB_ROW("federation.uploads_in_flight", TRIB_TYPE_INT, AT(uploads_in_flight), "16", 1, 10000, NULL, 0,
             "Clients that upload at a time; the others wait their turn."),
    TRIB_ROW("federation.selector", TRIB_TYPE_STRING, AT(selector), "random", 0, 64, NULL, 0,
             "How a round's clients are chosen: random, round_robin, oort, power_of_choice or relevance."),
    TRIB_ROW(
        "federation.max_staleness", TRIB_TYPE_INT, AT(max_staleness), "0", 0, 10000, NULL, 0,
        "Rounds that an update may be behind and still be folded, with less weight; 0 = late updates are dropped."),
    TRIB_ROW("federation.staleness_power", TRIB_TYPE_REAL, AT(staleness_power), "0.5", 0, 10, NULL, 0,
             "An update that is s rounds behind weighs (1 + s) to the power of minus this."),
    TRIB_ROW("federation.buffer", TRIB_TYPE_INT, AT(buffer), "0", 0, 1000000, NULL, 0,
             "Asynchronous rounds: clients_per_round clients are always at work, and so many updates make a version, "
             "whatever "
             "over_selection and min_updates; 0 = off."),
    TRIB_ROW("federation.seed", TRIB_TYPE_INT, AT(seed), "1", 0, 9007199254740992.0, NULL, 0,
             "Seed of everything random: initial model, cohorts, shuffling."),

    TRIB_ROW("selection.tags", TRIB_TYPE_NODE, AT(selection_tags), NULL, 0, 0, NULL, 0,
             "Only clients with all of these tags, such as [ward, gpu]."),
    TRIB_ROW("selection.min_examples", TRIB_TYPE_INT, AT(selection_min_examples), "0", 0, 1e12, NULL, 0,
             "Only clients with at least so many examples."),
    TRIB_ROW("selection.min_threads", TRIB_TYPE_INT, AT(selection_min_threads), "0", 0, 4096, NULL, 0,
             "Only clients that train with at least so many threads."),
    TRIB_ROW("selection.min_memory", TRIB_TYPE_SIZE, AT(selection_min_memory), "0", 0, 1e15, NULL, 0,
             "Only clients whose owners allow so much memory, or set no limit."),
    TRIB_ROW("selection.metered", TRIB_TYPE_BOOL, AT(selection_metered), "true", 0, 0, NULL, 0,
             "Also clients whose connection costs money."),
    TRIB_ROW("selection.min_battery", TRIB_TYPE_INT, AT(selection_min_battery), "0", 0, 100, NULL, 0,
             "Of clients that run on battery, only those with so many percent left."),
    TRIB_ROW("selection.separation", TRIB_TYPE_INT, AT(selection_separation), "0", 0, 1000000, NULL, 0,
             "Rounds that a client rests after each in which it took part, as long as there are others."),
    TRIB_ROW(
        "selection.explore", TRIB_TYPE_REAL, AT(selection_explore), "0.9", 0, 1, NULL, 0,
        "oort, relevance: share of a round's clients that are new ones, at first; it falls to 0.2, and is never below "
        "0.05."),
    TRIB_ROW("selection.speed_penalty", TRIB_TYPE_REAL, AT(selection_speed_penalty), "2", 0, 10, NULL, 0,
             "oort: how strongly slow clients are avoided; 0 = not at all."),
    TRIB_ROW(
        "selection.candidates", TRIB_TYPE_INT, AT(selection_candidates), "0", 0, 1000000, NULL, 0,
        "power_of_choice: clients among which those with the highest loss are chosen; 0 = twice as many as wanted."),

    TRIB_ROW(
        "relevance.sketch", TRIB_TYPE_INT, AT(relevance_sketch), "0", 0, 1e9, NULL, 0,
        "Signs that a client offers before it may upload, 1024 for example; 0 = off, all of them when the model has "
        "fewer."),
    TRIB_ROW("relevance.reference", TRIB_TYPE_ENUM, AT(relevance_reference), "last_update", 0, 0, references, 0,
             "What they are compared with: the model's last_update, or the majority of the round's offers."),
    TRIB_ROW("relevance.rule", TRIB_TYPE_ENUM, AT(relevance_rule), "constant", 0, 0, rules, 0,
             "Which updates are uploaded: none (no rule: all), those with a relevance of threshold (constant) or of "
             "threshold "
             "/ "
             "sqrt(round) (decay), the most relevant share, or the most relevant up to so many bytes."),
    TRIB_ROW(
        "relevance.threshold", TRIB_TYPE_REAL, AT(relevance_threshold), "0.5", 0, 1000, NULL, 0,
        "constant, decay: the least share of equal signs; two updates that have nothing in common agree in about 0.5."),
    TRIB_ROW("relevance.share", TRIB_TYPE_REAL, AT(relevance_share), "0.5", 0, 1, NULL, 0,
             "share: of a round's offers, so many are uploaded, at least one."),
    TRIB_ROW("relevance.bytes", TRIB_TYPE_SIZE, AT(relevance_bytes), "1MiB", 1, 1e15, NULL, 0,
             "bytes: a round's uploads may add up to so much."),
    TRIB_ROW("relevance.patience", TRIB_TYPE_REAL, AT(relevance_patience), "0.02", 0, 1, NULL, 0,
             "Added to a client's relevance for each time that it was skipped since its last upload, so that no data "
             "are left "
             "out for ever; 0 = plain CMFL."),
    TRIB_ROW("relevance.penalty_rounds", TRIB_TYPE_INT, AT(relevance_penalty), "10", 0, 1000000, NULL, 0,
             "A client whose upload contradicts its offer is left out for so many rounds."),

    TRIB_ROW("strategy.name", TRIB_TYPE_STRING, AT(strategy), "fedavg", 0, 64, NULL, 0,
             "How updates become the next model."),
    TRIB_ROW("strategy.learning_rate", TRIB_TYPE_REAL, AT(server_learning_rate), "1", 1e-6, 100, NULL, 0,
             "The server's step along the averaged update; 1 = plain averaging."),
    TRIB_ROW("strategy.weights", TRIB_TYPE_ENUM, AT(weights), "examples", 0, 0, weights, 0,
             "What an update weighs by: the client's examples, the steps it took, or all the same (uniform)."),
    TRIB_ROW("strategy.max_examples", TRIB_TYPE_INT, AT(max_examples), "65536", 1, 1e9, NULL, 0,
             "A client weighs by its examples or steps, but no more than by this many."),
    TRIB_ROW("strategy.max_abs", TRIB_TYPE_REAL, AT(max_abs), "64", 1e-3, 1e6, NULL, 0,
             "An update with an element beyond this is rejected."),
    TRIB_ROW("strategy.max_norm", TRIB_TYPE_REAL, AT(max_norm), "0", 0, 1e12, NULL, 0,
             "An update with a larger L2 norm is rejected; 0 = no cap."),

    TRIB_ROW("model.name", TRIB_TYPE_STRING, AT(model_name), NULL, 0, 64, NULL, 0,
             "Architecture: logistic, mlp, cnn-mnist, cnn-cifar or resnet-small; or give model.layers."),
    TRIB_ROW("model.layers", TRIB_TYPE_NODE, AT(model_layers), NULL, 0, 0, NULL, 0,
             "Architecture as a list of layers, for example {layer: linear, units: 10}."),
    TRIB_ROW("model.example", TRIB_TYPE_NODE, AT(model_example), NULL, 0, 0, NULL, 0,
             "Shape of one example: [28, 28, 1] is height, width, channels; [784] a row of numbers."),
    TRIB_ROW("model.classes", TRIB_TYPE_INT, AT(model_classes), NULL, 1, 1e6, NULL, TRIB_ROW_REQUIRED,
             "Classes (or the width of a regression's target)."),
    TRIB_ROW("model.initial", TRIB_TYPE_PATH, AT(model_initial), NULL, 0, 4096, NULL, 0,
             "A checkpoint to start from, instead of random numbers."),

    TRIB_ROW("training.loss", TRIB_TYPE_ENUM, AT(loss), "cross_entropy", 0, 0, losses, 0, "What clients minimise."),
    TRIB_ROW("training.epochs", TRIB_TYPE_INT, AT(epochs), "1", 1, 100000, NULL, 0,
             "Passes of a client over its own data in a round."),
    TRIB_ROW("training.batch_size", TRIB_TYPE_INT, AT(batch_size), "32", 1, 1e6, NULL, 0,
             "Examples in a training step."),
    TRIB_ROW("training.max_steps", TRIB_TYPE_INT, AT(max_steps), "0", 0, 1e9, NULL, 0,
             "Steps in a round; 0 = no limit."),
    TRIB_ROW("training.learning_rate", TRIB_TYPE_REAL, AT(learning_rate), "0.1", 1e-9, 100, NULL, 0,
             "Of the clients' SGD, in the first round."),
    TRIB_ROW("training.decay", TRIB_TYPE_REAL, AT(decay), "1", 1e-3, 1, NULL, 0,
             "The learning rate is multiplied by this every decay_every rounds."),
    TRIB_ROW("training.decay_every", TRIB_TYPE_INT, AT(decay_every), "1", 1, 1e6, NULL, 0, "See training.decay."),
    TRIB_ROW("training.momentum", TRIB_TYPE_REAL, AT(momentum), "0", 0, 0.9999, NULL, 0, "Of the clients' SGD."),
    TRIB_ROW("training.weight_decay", TRIB_TYPE_REAL, AT(weight_decay), "0", 0, 1, NULL, 0,
             "L2 penalty on the weights."),
    TRIB_ROW("training.clip_norm", TRIB_TYPE_REAL, AT(clip_norm), "0", 0, 1e9, NULL, 0,
             "Each step's gradient is scaled down to this L2 norm; 0 = off."),
    TRIB_ROW("training.proximal_mu", TRIB_TYPE_REAL, AT(proximal_mu), "0", 0, 1000, NULL, 0,
             "FedProx: pull towards the round's model; 0 = off."),
    TRIB_ROW("training.proximal_step", TRIB_TYPE_REAL, AT(proximal_step), "0", 0, 1000, NULL, 0,
             "FedProx: proximal_mu grows by this when the loss rises and falls by it after five rounds of falling "
             "loss; 0 = it "
             "stays."),

    TRIB_ROW(
        "codec.up", TRIB_TYPE_STRING, AT(codec_up), "f32", 0, TRIB_CHAIN_TEXT - 1, NULL, 0,
        "Coding of the clients' updates: a chain such as rotate|uniform:2|range, topk:1%|q8|range or f16; or auto."),
    TRIB_ROW("codec.target_bits", TRIB_TYPE_REAL, AT(codec_target_bits), "2", TRIB_CHOICE_MIN_BITS,
             TRIB_CHOICE_MAX_BITS, NULL, 0, "auto: at most so many bits for each value of an update."),
    TRIB_ROW("codec.target_time", TRIB_TYPE_DURATION, AT(codec_target_ms), "0s", 0, HOUR, NULL, 0,
             "auto: an upload should take no longer, so slow clients send fewer bits; 0s = however long it takes."),
    TRIB_ROW("codec.feedback", TRIB_TYPE_STRING, AT(codec_feedback), "auto", 0, 16, NULL, 0,
             "Error feedback at the clients: none, ef, ef21, dgc, or auto (ef with biased codecs, ef21 with strategy "
             "ef21)."),
    TRIB_ROW("codec.feedback_momentum", TRIB_TYPE_REAL, AT(codec_feedback_momentum), "0.9", 0, 0.9999, NULL, 0,
             "dgc: momentum of what clients hold back."),
    TRIB_ROW(
        "codec.warmup_rounds", TRIB_TYPE_INT, AT(codec_warmup_rounds), "0", 0, 1000, NULL, 0,
        "topk, ternary: rounds in which the share of values falls to its final one: 1/4, 1/16, 1/64, 1/256 of them "
        "first."),
    TRIB_ROW(
        "codec.down", TRIB_TYPE_STRING, AT(codec_down), "f32", 0, 255, NULL, 0,
        "Coding of the broadcast: f32 sends the whole model, any other chain the change since the version before."),
    TRIB_ROW("codec.down_history", TRIB_TYPE_INT, AT(codec_down_history), "64", 1, TRIB_TASK_DELTAS, NULL, 0,
             "Changes that are kept for clients that have missed rounds; beyond, they get the whole model."),
    TRIB_ROW("codec.down_feedback", TRIB_TYPE_BOOL, AT(codec_down_feedback), "true", 0, 0, NULL, 0,
             "Error feedback on the broadcast: what one change leaves out becomes a part of the next."),

    TRIB_ROW("evaluation.format", TRIB_TYPE_STRING, AT(evaluation_format), "idx", 0, 64, NULL, 0,
             "Format of the server's own test set: idx, cifar, csv or npy."),
    TRIB_ROW("evaluation.path", TRIB_TYPE_PATH, AT(evaluation_path), NULL, 0, 4096, NULL, 0,
             "The server's own test set; without it, rounds are not evaluated."),
    TRIB_ROW("evaluation.labels", TRIB_TYPE_PATH, AT(evaluation_labels), NULL, 0, 4096, NULL, 0,
             "Its labels, where they are a file of their own."),
    TRIB_ROW("evaluation.split", TRIB_TYPE_STRING, AT(evaluation_split), "test", 0, 64, NULL, 0,
             "Which files of a folder: train or test."),
    TRIB_ROW("evaluation.label_column", TRIB_TYPE_STRING, AT(evaluation_label_column), NULL, 0, 255, NULL, 0,
             "csv: name or number of the label's column."),
    TRIB_ROW("evaluation.normalise", TRIB_TYPE_STRING, AT(evaluation_normalise), "unit", 0, 1024, NULL, 0,
             "As in the clients' data.normalise: none, unit, or m1,m2,m3/s1,s2,s3."),
    TRIB_ROW("evaluation.every", TRIB_TYPE_INT, AT(evaluation_every), "1", 1, 1e6, NULL, 0,
             "Evaluate every so many rounds, and the last."),
    TRIB_ROW("evaluation.batch_size", TRIB_TYPE_INT, AT(evaluation_batch), "250", 1, 1e6, NULL, 0,
             "Examples at a time."),

    TRIB_ROW("checkpoints.keep", TRIB_TYPE_INT, AT(checkpoints_keep), "3", 1, 1e6, NULL, 0,
             "Committed models that stay on disk."),
    TRIB_ROW("state.keep_uploads", TRIB_TYPE_SIZE, AT(keep_uploads), "4GiB", 0, 1e15, NULL, 0,
             "Updates stay on disk, up to so much, until their round is committed, so that a restarted server need not "
             "ask for "
             "them again."),
    TRIB_ROW("state.history", TRIB_TYPE_INT, AT(history_rounds), "200", 1, 1e9, NULL, 0,
             "Rounds of which every offer and its outcome stay in the records."),
    TRIB_ROW("compute.backend", TRIB_TYPE_STRING, AT(backend), "auto", 0, 64, NULL, 0,
             "Arithmetic: auto, blas or reference."),
    TRIB_ROW("compute.threads", TRIB_TYPE_INT, AT(threads), "0", 0, 1024, NULL, 0,
             "Threads for arithmetic; 0 = one per core."),

    TRIB_ROW("log.level", TRIB_TYPE_ENUM, AT(log_level), "info", 0, 0, log_levels, 0, "error, warn, info or debug."),
    TRIB_ROW("log.format", TRIB_TYPE_ENUM, AT(log_format), "logfmt", 0, 0, log_formats, 0, "logfmt or json."),
    TRIB_ROW("log.file", TRIB_TYPE_PATH, AT(log_file), NULL, 0, 4096, NULL, 0,
             "Where to write the log; default standard error."),
    TRIB_ROW("net.keepalive", TRIB_TYPE_DURATION, AT(keepalive_ms), "30s", 0, HOUR, NULL, 0,
             "Ping an idle connection this often; 0s = never."),
    TRIB_ROW("net.lookahead", TRIB_TYPE_SIZE, AT(lookahead_bytes), "4MiB", 0, 1 << 30, NULL, 0,
             "Bytes that a stream may have in flight: 16MiB suits long fat links. 0 = let gRPC adapt, at the price of "
             "memory."),

    TRIB_ROW("limits.calls", TRIB_TYPE_INT, AT(limits_calls), "64", 1, 10000, NULL, 0,
             "Calls that a node may have open at a time: its session, what it downloads and uploads, and those of "
             "connections "
             "that broke and are not known to yet."),
    TRIB_ROW(
        "limits.messages", TRIB_TYPE_INT, AT(limits_messages), "500", 1, 1e6, NULL, 0,
        "Messages and calls of a node in a second, four times as many at once; a node that sends more has to pause."),
    TRIB_ROW("limits.pause", TRIB_TYPE_DURATION, AT(limits_pause_ms), "10s", 0, HOUR, NULL, 0,
             "A node that was over limits.messages may come back after this."),
    TRIB_ROW(
        "limits.upload_rate", TRIB_TYPE_SIZE, AT(limits_upload_rate), "0", 0, 1e12, NULL, 0,
        "Bytes of a node's updates that are taken in a second; the rest waits at the node. 0 = as fast as they come."),
    TRIB_ROW("limits.send_queue", TRIB_TYPE_SIZE, AT(limits_send_queue), "4MiB", 65536, 1 << 30, NULL, 0,
             "Bytes that wait to be sent on a call; a session whose client lets more pile up is ended."),
    TRIB_ROW("limits.memory", TRIB_TYPE_SIZE, AT(limits_memory), "2GiB", 0, 1e15, NULL, 0,
             "Bytes that connections may use for what is on its way in; when they are used up, some are closed. 0 = no "
             "limit."),
    TRIB_ROW("limits.hello", TRIB_TYPE_DURATION, AT(limits_hello_ms), "10s", 100, HOUR, NULL, 0,
             "The longest that a connection may take for its handshake, and then a session for its first message."),
    TRIB_ROW("limits.idle_call", TRIB_TYPE_DURATION, AT(limits_idle_call_ms), "60s", 100, HOUR, NULL, 0,
             "A download or an upload that does not move for so long is ended, and a connection without calls closed."),
    TRIB_ROW("limits.strangers", TRIB_TYPE_INT, AT(limits_strangers), "512", 0, 4096, NULL, 0,
             "Connections of one address that have not shown a certificate yet; 0 = any number, up to 4096 of all "
             "addresses."),
    TRIB_ROW("limits.connections", TRIB_TYPE_INT, AT(limits_connections), "200", 0, 1e6, NULL, 0,
             "New connections of one address in a second, five times as many at once; 0 = any number."),
};

struct trib_uplink_options trib_server_uplink(const struct trib_server_settings *s)
{
    return (struct trib_uplink_options){.up = s->codec_up,
                                        .feedback = s->codec_feedback,
                                        .momentum = s->codec_feedback_momentum,
                                        .target_bits = s->codec_target_bits,
                                        .target_ms = s->codec_target_ms,
                                        .warmup_rounds = (uint64_t)s->codec_warmup_rounds};
}

size_t trib_server_rows(const struct trib_config_row **list)
{
    *list = rows;
    return sizeof rows / sizeof rows[0];
}

/* The keys that name a table's entry. */
static enum trib_status check_names(const struct trib_server_settings *s, struct trib_error *error)
{
    if (!trib_selector_find(s->selector)) {
        return trib_fail(error, TRIB_CONFIG,
                         "federation.selector: \"%s\" is unknown; known are random, round_robin, oort, "
                         "power_of_choice, relevance",
                         s->selector);
    }
    if (!trib_strategy_find(s->strategy)) {
        return trib_fail(error, TRIB_CONFIG, "strategy.name: \"%s\" is unknown; known are fedavg, ef21", s->strategy);
    }
    struct trib_chain chain;
    if (trib_chain_parse(s->codec_down, &chain, error) != TRIB_OK) {
        return trib_error_prefix(error, TRIB_CONFIG, "codec.down");
    }
    struct trib_uplink uplink;
    const struct trib_uplink_options options = trib_server_uplink(s);
    return trib_uplink_init(&uplink, &options, trib_strategy_find(s->strategy), error);
}

static enum trib_status check_tags(const struct trib_config_node *tags, struct trib_error *error)
{
    if (tags && tags->kind != TRIB_CONFIG_LIST) {
        return trib_config_fail(tags, error, "selection.tags: give a list, such as [ward, gpu]");
    }
    for (const struct trib_config_node *tag = tags ? tags->first : NULL; tag; tag = tag->next) {
        if (tag->kind != TRIB_CONFIG_SCALAR) {
            return trib_config_fail(tag, error, "selection.tags: a tag is a word");
        }
    }
    return TRIB_OK;
}

/* Relevance, staleness and buffers: what does not go together. */
static enum trib_status check_decisions(const struct trib_server_settings *s, struct trib_error *error)
{
    bool compares =
        s->relevance_sketch > 0 && (s->relevance_reference == TRIB_REFERENCE_MAJORITY ||
                                    s->relevance_rule == TRIB_GATE_SHARE || s->relevance_rule == TRIB_GATE_BYTES);
    bool differences = trib_strategy_find(s->strategy)->caps & TRIB_STRATEGY_DIFFERENCES;
    if (s->buffer > 0 && compares) {
        return trib_fail(error, TRIB_CONFIG,
                         "relevance: with federation.buffer there is no round whose offers could be compared; use "
                         "reference: last_update and rule: constant or decay");
    }
    if (differences && (s->buffer > 0 || s->max_staleness > 0)) {
        return trib_fail(error, TRIB_CONFIG,
                         "strategy.name: \"%s\" needs every update in its round; it does not go with "
                         "federation.buffer or max_staleness",
                         s->strategy);
    }
    if (differences && s->relevance_sketch > 0) {
        return trib_fail(error, TRIB_CONFIG,
                         "strategy.name: \"%s\" sends differences of updates, whose signs say nothing of their "
                         "relevance; set relevance.sketch: 0",
                         s->strategy);
    }
    if (s->max_staleness > 0 && s->relevance_sketch > 0 && s->relevance_reference == TRIB_REFERENCE_MAJORITY) {
        return trib_fail(error, TRIB_CONFIG,
                         "relevance.reference: offers for different rounds have no majority in common; with "
                         "federation.max_staleness use last_update");
    }
    if (s->buffer > 0 && s->max_staleness == 0) {
        return trib_fail(error, TRIB_CONFIG,
                         "federation.buffer: give max_staleness as well, such as 20: updates are behind as soon as "
                         "another version is made");
    }
    if (s->relevance_sketch > 0 && s->relevance_rule == TRIB_GATE_CONSTANT && s->relevance_threshold > 1) {
        return trib_fail(error, TRIB_CONFIG, "relevance.threshold: no share of equal signs reaches %g; give 0 to 1",
                         s->relevance_threshold);
    }
    if (s->buffer > 0 && s->clients_per_round > 0 && s->buffer > s->clients_per_round) {
        return trib_fail(error, TRIB_CONFIG,
                         "federation.buffer: %" PRId64 " is above clients_per_round %" PRId64
                         ", the clients that are at work at a time; it would never fill",
                         s->buffer, s->clients_per_round);
    }
    return TRIB_OK;
}

enum trib_status trib_server_settings_check(const struct trib_server_settings *s, struct trib_error *error)
{
    TRIB_TRY(check_names(s, error));
    TRIB_TRY(check_tags(s->selection_tags, error));
    TRIB_TRY(check_decisions(s, error));
    if (!s->model_name == !s->model_layers) {
        return trib_fail(error, TRIB_CONFIG, "model: give exactly one of model.name and model.layers");
    }
    if (!s->model_example) {
        return trib_fail(error, TRIB_CONFIG,
                         "model.example: missing; give the shape of one example, such as [28, 28, 1]");
    }
    if (s->buffer == 0 && s->clients_per_round > 0 && s->min_updates > s->clients_per_round) {
        return trib_fail(error, TRIB_CONFIG,
                         "federation.min_updates: %" PRId64 " is above clients_per_round %" PRId64
                         "; no round could ever commit",
                         s->min_updates, s->clients_per_round);
    }
    if (s->clients_per_round == 0 && s->min_updates > s->min_clients) {
        return trib_fail(error, TRIB_CONFIG,
                         "federation.min_updates: %" PRId64 " is above min_clients %" PRId64
                         "; a round could begin that cannot commit",
                         s->min_updates, s->min_clients);
    }
    int64_t least = s->min_updates > s->min_clients ? s->min_updates : s->min_clients;
    if (least > s->max_clients) {
        return trib_fail(error, TRIB_CONFIG,
                         "max_clients: %" PRId64 " is below the %" PRId64
                         " clients that a round needs (federation.min_clients, min_updates); no round could ever begin",
                         s->max_clients, least);
    }
    return TRIB_OK;
}

enum trib_status trib_server_settings_load(const char *path, const char *const *overrides, size_t n,
                                           struct trib_server_settings *settings, struct trib_error *error)
{
    struct trib_server_settings result = {0};
    struct trib_config_node *tree;
    TRIB_TRY(trib_config_parse_file(path, &tree, error));
    enum trib_status status = trib_config_apply(tree, rows, sizeof rows / sizeof rows[0], &result, error);
    if (status != TRIB_OK) {
        trib_config_free(tree);
        return status;
    }
    result.tree = tree;
    status = trib_config_override(rows, sizeof rows / sizeof rows[0], &result, overrides, n, error);
    if (status == TRIB_OK) {
        status = trib_server_settings_check(&result, error);
        if (status != TRIB_OK) {
            status = trib_error_prefix(error, status, "%s", path);
        }
    }
    if (status != TRIB_OK) {
        trib_server_settings_clear(&result);
        return status;
    }
    *settings = result;
    return TRIB_OK;
}

void trib_server_settings_clear(struct trib_server_settings *settings)
{
    trib_config_clear(rows, sizeof rows / sizeof rows[0], settings);
    trib_config_free(settings->tree);
    memset(settings, 0, sizeof *settings);
}
