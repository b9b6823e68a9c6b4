/* The rows of server.yaml, and the table that they are composed into together with those of other modules. */
#include "settings_table.h"

#include "codec/choose.h"
#include "codec/feedback.h"
#include "model/zoo.h"
#include "select/selector.h"
#include "strategy/strategy.h"
#include "wire/message.h"

#include <pthread.h>

static const char *const references[] = {
    [TRIB_REFERENCE_LAST_UPDATE] = "last_update", [TRIB_REFERENCE_MAJORITY] = "majority", NULL};
static const char *const weights[] = {
    [TRIB_WEIGHTS_EXAMPLES] = "examples", [TRIB_WEIGHTS_STEPS] = "steps", [TRIB_WEIGHTS_UNIFORM] = "uniform", NULL};
static const char *const losses[] = {"cross_entropy", "mse", NULL};

#define AT(member) offsetof(struct trib_server_settings, member)
#define HOUR       3600000.0

/* ---- names of entries, for help ---- */

const char *trib_server_strategy_names(size_t index)
{
    const struct trib_strategy *const *list;
    return index < trib_strategies(&list) ? list[index]->name : NULL;
}

static const char *model_names(size_t index)
{
    const struct trib_zoo_entry *const *list;
    return index < trib_zoo(&list) ? list[index]->name : NULL;
}

static const char *feedback_names(size_t index)
{
    return index == 0 ? "auto" : index <= TRIB_FEEDBACK_DGC + 1 ? trib_feedback_name(index - 1) : NULL;
}

/* ---- rows ---- */

static const struct trib_config_row general_rows[] = {
    TRIB_ROW("listen", TRIB_TYPE_STRING, AT(listen), "0.0.0.0:7443", 0, 255, NULL, 0,
             "Address and port on which clients are served; port 0 picks a free one."),
    TRIB_ROW("state_dir", TRIB_TYPE_PATH, AT(state_dir), NULL, 0, 4096, NULL, TRIB_ROW_REQUIRED,
             "Folder for the records of the run, its models, and uploads in flight; made when it is missing. A server "
             "that is started again goes on with the run that it finds there."),
    TRIB_ROW("max_clients", TRIB_TYPE_INT, AT(max_clients), "10000", 1, 1000000, NULL, 0,
             "Sessions served at a time; further clients are asked to come back later."),
};

static const struct trib_config_row federation_rows[] = {
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
    {.key = "federation.selector",
     .type = TRIB_TYPE_STRING,
     .offset = AT(selector),
     .fallback = "random",
     .min = 0,
     .max = 64,
     .help = "How a round's clients are chosen: {names}.",
     .names = trib_selector_names},
    TRIB_ROW(
        "federation.max_staleness", TRIB_TYPE_INT, AT(max_staleness), "0", 0, 10000, NULL, 0,
        "Rounds that an update may be behind and still be folded, with less weight; 0 = late updates are dropped."),
    TRIB_ROW("federation.staleness_power", TRIB_TYPE_REAL, AT(staleness_power), "0.5", 0, 10, NULL, 0,
             "An update that is s rounds behind weighs (1 + s) to the power of minus this."),
    TRIB_ROW("federation.buffer", TRIB_TYPE_INT, AT(buffer), "0", 0, 1000000, NULL, 0,
             "Asynchronous rounds: clients_per_round clients are always at work, and so many updates make a version, "
             "whatever over_selection and min_updates; 0 = off."),
    TRIB_ROW("federation.seed", TRIB_TYPE_INT, AT(seed), "1", 0, 9007199254740992.0, NULL, 0,
             "Seed of everything random: initial model, cohorts, shuffling."),
};

static const struct trib_config_row selection_rows[] = {
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
};

static const struct trib_config_row sketch_rows[] = {
    TRIB_ROW("relevance.sketch", TRIB_TYPE_INT, AT(relevance_sketch), "0", 0, 1e9, NULL, 0,
             "Signs that a client offers before it may upload, 1024 for example; 0 = off, all of them when the model "
             "has fewer."),
    TRIB_ROW("relevance.reference", TRIB_TYPE_ENUM, AT(relevance_reference), "last_update", 0, 0, references, 0,
             "What they are compared with: the model's last_update, or the majority of the round's offers."),
};
static const struct trib_config_row skipped_rows[] = {
    TRIB_ROW("relevance.patience", TRIB_TYPE_REAL, AT(relevance_patience), "0.02", 0, 1, NULL, 0,
             "Added to a client's relevance for each time that it was skipped since its last upload, so that no data "
             "are left out for ever; 0 = plain CMFL."),
    TRIB_ROW("relevance.penalty_rounds", TRIB_TYPE_INT, AT(relevance_penalty), "10", 0, 1000000, NULL, 0,
             "A client whose upload contradicts its offer is left out for so many rounds."),
};

static const struct trib_config_row strategy_rows[] = {
    {.key = "strategy.name",
     .type = TRIB_TYPE_STRING,
     .offset = AT(strategy),
     .fallback = "fedavg",
     .min = 0,
     .max = 64,
     .help = "How updates become the next model: {names}.",
     .names = trib_server_strategy_names},
    TRIB_ROW("strategy.weights", TRIB_TYPE_ENUM, AT(weights), "examples", 0, 0, weights, 0,
             "What an update weighs by: the client's examples, the steps it took, or all the same (uniform)."),
    TRIB_ROW("strategy.max_examples", TRIB_TYPE_INT, AT(max_examples), "65536", 1, 1e9, NULL, 0,
             "A client weighs by its examples or steps, but no more than by this many."),
    TRIB_ROW("strategy.max_abs", TRIB_TYPE_REAL, AT(max_abs), "64", 1e-3, 1e6, NULL, 0,
             "An update with an element beyond this is rejected."),
    TRIB_ROW("strategy.max_norm", TRIB_TYPE_REAL, AT(max_norm), "0", 0, 1e12, NULL, 0,
             "An update with a larger L2 norm is rejected; 0 = no cap."),
};

static const struct trib_config_row model_rows[] = {
    {.key = "model.name",
     .type = TRIB_TYPE_STRING,
     .offset = AT(model_name),
     .fallback = NULL,
     .min = 0,
     .max = 64,
     .help = "Architecture: {names}; or give model.layers.",
     .names = model_names},
    TRIB_ROW("model.layers", TRIB_TYPE_NODE, AT(model_layers), NULL, 0, 0, NULL, 0,
             "Architecture as a list of layers, for example {layer: linear, units: 10}."),
    TRIB_ROW("model.example", TRIB_TYPE_NODE, AT(model_example), NULL, 0, 0, NULL, 0,
             "Shape of one example: [28, 28, 1] is height, width, channels; [784] a row of numbers."),
    TRIB_ROW("model.classes", TRIB_TYPE_INT, AT(model_classes), NULL, 1, 1e6, NULL, TRIB_ROW_REQUIRED,
             "Classes (or the width of a regression's target)."),
    TRIB_ROW("model.initial", TRIB_TYPE_PATH, AT(model_initial), NULL, 0, 4096, NULL, 0,
             "A checkpoint to start from, instead of random numbers."),
};

static const struct trib_config_row training_rows[] = {
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
             "loss; 0 = it stays."),
};

static const struct trib_config_row codec_rows[] = {
    TRIB_ROW(
        "codec.up", TRIB_TYPE_STRING, AT(codec_up), "f32", 0, TRIB_CHAIN_TEXT - 1, NULL, 0,
        "Coding of the clients' updates: a chain such as rotate|uniform:2|range, topk:1%|q8|range or f16; or auto."),
    TRIB_ROW("codec.target_bits", TRIB_TYPE_REAL, AT(codec_target_bits), "2", TRIB_CHOICE_MIN_BITS,
             TRIB_CHOICE_MAX_BITS, NULL, 0, "auto: at most so many bits for each value of an update."),
    TRIB_ROW("codec.target_time", TRIB_TYPE_DURATION, AT(codec_target_ms), "0s", 0, HOUR, NULL, 0,
             "auto: an upload should take no longer, so slow clients send fewer bits; 0s = however long it takes."),
    {.key = "codec.feedback",
     .type = TRIB_TYPE_STRING,
     .offset = AT(codec_feedback),
     .fallback = "auto",
     .min = 0,
     .max = 16,
     .help = "Error feedback at the clients: {names}; auto is ef with biased codecs, ef21 with strategy ef21.",
     .names = feedback_names},
    TRIB_ROW("codec.feedback_momentum", TRIB_TYPE_REAL, AT(codec_feedback_momentum), "0.9", 0, 0.9999, NULL, 0,
             "dgc: momentum of what clients hold back."),
    TRIB_ROW("codec.warmup_rounds", TRIB_TYPE_INT, AT(codec_warmup_rounds), "0", 0, 1000, NULL, 0,
             "topk, ternary: rounds in which the share of values falls to its final one: 1/4, 1/16, 1/64, 1/256 of "
             "them first."),
    TRIB_ROW(
        "codec.down", TRIB_TYPE_STRING, AT(codec_down), "f32", 0, 255, NULL, 0,
        "Coding of the broadcast: f32 sends the whole model, any other chain the change since the version before."),
    TRIB_ROW("codec.down_history", TRIB_TYPE_INT, AT(codec_down_history), "64", 1, TRIB_TASK_DELTAS, NULL, 0,
             "Changes that are kept for clients that have missed rounds; beyond, they get the whole model."),
    TRIB_ROW("codec.down_feedback", TRIB_TYPE_BOOL, AT(codec_down_feedback), "true", 0, 0, NULL, 0,
             "Error feedback on the broadcast: what one change leaves out becomes a part of the next."),
};

static const struct trib_config_row evaluation_rows[] = {
    TRIB_ROW("evaluation.every", TRIB_TYPE_INT, AT(evaluation_every), "1", 1, 1e6, NULL, 0,
             "Evaluate every so many rounds, and the last."),
    TRIB_ROW("evaluation.batch_size", TRIB_TYPE_INT, AT(evaluation_batch), "250", 1, 1e6, NULL, 0,
             "Examples at a time."),
};

static const struct trib_config_row checkpoints_rows[] = {
    TRIB_ROW("checkpoints.keep", TRIB_TYPE_INT, AT(checkpoints_keep), "3", 1, 1e6, NULL, 0,
             "Committed models that stay on disk."),
};

static const struct trib_config_row state_rows[] = {
    TRIB_ROW("state.keep_uploads", TRIB_TYPE_SIZE, AT(keep_uploads), "4GiB", 0, 1e15, NULL, 0,
             "Updates stay on disk, up to so much, until their round is committed, so that a restarted server need not "
             "ask for them again."),
    TRIB_ROW("state.history", TRIB_TYPE_INT, AT(history_rounds), "200", 1, 1e9, NULL, 0,
             "Rounds of which every offer and its outcome stay in the records."),
};

static const struct trib_config_row limits_rows[] = {
    TRIB_ROW("limits.calls", TRIB_TYPE_INT, AT(limits_calls), "64", 1, 10000, NULL, 0,
             "Calls that a node may have open at a time: its session, what it downloads and uploads, and those of "
             "connections that broke and are not known to yet."),
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

/* ---- the table ---- */

#define ADD(list) trib_config_table_add(&table, NULL, list, sizeof(list) / sizeof(list)[0], 0, NULL)

static struct trib_config_table table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The test set is a dataset of which the model says what it holds. */
static void add_test_set(void)
{
    static const char *const none[] = {"evaluation.key_column", "evaluation.keys", "evaluation.classes",
                                       "evaluation.regression"};
    trib_dataset_add_rows(&table, "evaluation", AT(evaluation));
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        trib_config_table_drop(&table, none[i]);
    }
    trib_config_table_row(&table, "evaluation.split")->fallback = "test";
    trib_config_table_row(&table, "evaluation.path")->help =
        "The server's own test set, a file or a folder; without it, rounds are not evaluated.";
    ADD(evaluation_rows);
}

static void add_strategies(void)
{
    const struct trib_strategy *const *list;
    size_t n = trib_strategies(&list);
    for (size_t i = 0; i < n; i++) {
        trib_config_table_place(&table, &list[i]->settings, list[i]->name);
    }
}

static void compose(void)
{
    table.room_at = AT(room);
    table.room_end = AT(room) + TRIB_SETTINGS_ROOM;
    ADD(general_rows);
    trib_config_table_embed(&table, "tls", &trib_tls_group, AT(tls));
    ADD(federation_rows);
    ADD(selection_rows);
    trib_selectors_add_rows(&table);
    ADD(sketch_rows);
    trib_gate_add_rows(&table, AT(gate));
    ADD(skipped_rows);
    ADD(strategy_rows);
    add_strategies();
    ADD(model_rows);
    ADD(training_rows);
    ADD(codec_rows);
    add_test_set();
    ADD(checkpoints_rows);
    ADD(state_rows);
    trib_compute_add_rows(&table, AT(compute));
    trib_config_table_embed(&table, "log", &trib_log_group, AT(log));
    trib_config_table_embed(&table, "net", &trib_net_group, AT(net));
    ADD(limits_rows);
}

const struct trib_config_table *trib_server_table(void)
{
    (void)pthread_once(&once, compose);
    return &table;
}

size_t trib_server_rows(const struct trib_config_row **list)
{
    *list = trib_server_table()->rows;
    return table.n;
}

const void *trib_server_group_settings(const struct trib_server_settings *settings,
                                       const struct trib_config_group *group)
{
    return trib_config_table_settings(trib_server_table(), group, settings);
}
