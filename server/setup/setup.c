/* Rooms are built from the settings here; nothing of it leaves a trace on disk. */
#include "setup_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "model/zoo.h"
#include "wire/graph_message.h"

#include <inttypes.h>
#include <string.h>

static enum trib_status hash_of(const void *bytes, size_t len, uint8_t sha256[TRIB_SHA256_LEN],
                                struct trib_error *error)
{
    enum trib_status status = trib_sha256(bytes, len, sha256);
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, status, "hashing: %s", trib_status_text(status));
}

/* ---- from the settings ---- */

static struct trib_filters filters_of(const struct trib_server_settings *s)
{
    return (struct trib_filters){.tags = s->selection_tags,
                                 .min_examples = (uint64_t)s->selection_min_examples,
                                 .min_threads = (uint64_t)s->selection_min_threads,
                                 .min_memory = (uint64_t)s->selection_min_memory,
                                 .min_battery = (uint64_t)s->selection_min_battery,
                                 .metered = s->selection_metered};
}

static enum trib_status read_example_shape(const struct trib_config_node *node, struct trib_shape *shape,
                                           struct trib_error *error)
{
    if (node->kind != TRIB_CONFIG_LIST || node->n < 1 || node->n > 3) {
        return trib_config_fail(node, error, "give one to three numbers, such as [28, 28, 1]");
    }
    *shape = (struct trib_shape){.rank = (int)node->n};
    int i = 0;
    for (const struct trib_config_node *item = node->first; item; item = item->next) {
        struct trib_error cause;
        int64_t dim;
        if (item->kind != TRIB_CONFIG_SCALAR || trib_parse_int(item->scalar, 1, 1 << 24, &dim, &cause) != TRIB_OK) {
            return trib_config_fail(item, error, "not a whole number from 1 to %d", 1 << 24);
        }
        shape->dims[i++] = dim;
    }
    return TRIB_OK;
}

static enum trib_status read_model(const struct trib_server_settings *s, struct trib_graph **graph,
                                   struct trib_error *error)
{
    struct trib_model_spec spec = {.classes = s->model_classes};
    TRIB_TRY(read_example_shape(s->model_example, &spec.example, error));
    if (s->model_layers) {
        return trib_layers_build(s->model_layers, &spec, graph, error);
    }
    enum trib_status status = trib_zoo_build(s->model_name, &spec, graph, error);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "model.name");
}

static enum trib_status build_graph(struct trib_rooms *rooms, struct trib_error *error)
{
    TRIB_TRY(read_model(rooms->settings, &rooms->graph, error));
    TRIB_TRY(trib_schema_init(&rooms->schema, rooms->graph, error));
    TRIB_TRY(trib_graph_pack(rooms->graph, &rooms->graph_bytes, error));
    return hash_of(rooms->graph_bytes.data, rooms->graph_bytes.len, rooms->graph_sha256, error);
}

static enum trib_status build_initial_model(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    float *vector = NULL;
    struct trib_blob *raw = trib_sealer_blank(&rooms->sealer, &vector);
    if (!raw) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %zu parameters", rooms->schema.n_floats);
    }
    enum trib_status status = TRIB_OK;
    if (s->model_initial) {
        status = trib_checkpoint_read(s->model_initial, &rooms->schema, vector, error);
    } else {
        trib_schema_initialise(&rooms->schema, (uint64_t)s->seed, vector);
    }
    if (status != TRIB_OK) {
        trib_blob_unref(raw);
        return status;
    }
    struct trib_version initial;
    TRIB_TRY(trib_sealer_seal(&rooms->sealer, raw, NULL, &initial, error));
    trib_release_publish(rooms->release, &initial);
    return TRIB_OK;
}

static enum trib_status open_test_set(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    if (!s->evaluation.path && trib_dataset_needs_file(s->evaluation.format)) {
        return TRIB_OK;
    }
    struct trib_dataset_spec spec = trib_dataset_spec_of(&s->evaluation);
    spec.regression = s->loss == TRIB_LOSS_MSE;
    spec.classes = spec.regression ? 0 : s->model_classes;
    enum trib_status status = trib_dataset_open(&spec, &rooms->test_set, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "evaluation");
    }
    rooms->has_test_set = true;
    status = trib_dataset_normalise(&rooms->test_set, s->evaluation.normalise, error);
    if (status == TRIB_OK) {
        status = trib_evaluator_new(rooms->graph, (enum trib_loss)s->loss, &rooms->test_set, rooms->backend,
                                    rooms->pool, s->evaluation_batch, &rooms->evaluator, error);
    }
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "evaluation");
}

static enum trib_status open_backend(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_compute_settings *compute = &rooms->settings->compute;
    char names[256];
    rooms->backend = trib_compute_backend(compute->backend);
    if (!rooms->backend) {
        return trib_fail(error, TRIB_CONFIG, "compute.backend: \"%s\" is unknown on this machine; known are %s",
                         compute->backend, trib_config_list_names(trib_compute_names, NULL, names, sizeof names));
    }
    if (rooms->backend->probe) {
        TRIB_TRY(rooms->backend->probe(error));
    }
    return trib_thread_pool_new((int)compute->threads, &rooms->pool, error);
}

enum trib_status trib_setup_round(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    struct trib_round_options options = {
        .seed = (uint64_t)s->seed,
        .rounds = (uint64_t)s->rounds,
        .first_round = 1,
        .min_clients = (uint32_t)s->min_clients,
        .clients_per_round = (uint32_t)s->clients_per_round,
        .over_selection = s->over_selection,
        .min_updates = (uint32_t)s->min_updates,
        .uploads_in_flight = (uint32_t)s->uploads_in_flight,
        .deadline_ms = s->deadline_ms,
        .idle_timeout_ms = s->idle_timeout_ms,
        .away_timeout_ms = s->away_timeout_ms,
        .retry_ms = s->retry_ms,
        .evaluate = rooms->has_test_set,
        .evaluate_every = (uint64_t)s->evaluation_every,
        .selector = trib_selector_find(s->selector),
        .selector_settings = trib_server_group_settings(s, &trib_selector_find(s->selector)->settings),
        .separation = (uint32_t)s->selection_separation,
        .penalty_rounds = (uint32_t)s->relevance_penalty,
        .buffer = (uint32_t)s->buffer,
        .max_staleness = (uint32_t)s->max_staleness,
        .outlives = rooms->journal,
    };
    if (s->relevance_sketch > 0) {
        options.gate = s->gate;
        options.patience = s->relevance_patience;
        options.compare_offers = s->relevance_reference == TRIB_REFERENCE_MAJORITY;
    }
    return trib_round_new(&options, &rooms->round, error);
}

/* Whether the sums of the largest round that these settings allow would fit: asked at the start, not in a round. */
static enum trib_status check_bounds(const struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    const struct trib_strategy_options options = {.own = trib_server_group_settings(s, &rooms->strategy->settings),
                                                  .gives = TRIB_STRATEGY_NEEDS_SET};
    void *state = trib_calloc(1, rooms->strategy->state_size);
    if (!state) {
        return trib_fail_no_memory(error);
    }
    uint64_t most = trib_server_most_weight(s, trib_server_most_updates(s));
    enum trib_status status = rooms->strategy->begin(state, &options, 1, s->max_abs, most, error);
    rooms->strategy->clear(state);
    trib_free(state);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "strategy.max_abs, strategy.max_examples");
}

static enum trib_status build_sealer(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    const struct trib_release_options options = {.history = (size_t)s->codec_down_history,
                                                 .keeps_past = trib_server_may_be_stale(s),
                                                 .remade = !s->model_initial};
    rooms->sealer.feedback = s->codec_down_feedback;
    rooms->sealer.seed = (uint64_t)s->seed;
    rooms->sealer.schema = rooms->schema.hash;
    rooms->sealer.n = rooms->schema.n_floats;
    rooms->sealer.pool = rooms->pool;
    return trib_release_new(&options, &rooms->release, error);
}

static enum trib_status build_relevance(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    const int64_t most = (int64_t)TRIB_SKETCH_MAX_BYTES * 8;
    if (rooms->schema.n_floats > (uint64_t)most && s->relevance_sketch > most) {
        return trib_fail(error, TRIB_CONFIG, "relevance.sketch: an offer has room for %" PRId64 " signs", most);
    }
    return trib_relevance_new(rooms->schema.n_floats, (uint64_t)s->relevance_sketch,
                              s->relevance_reference == TRIB_REFERENCE_MAJORITY, &rooms->relevance, error);
}

static enum trib_status build_aggregate(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    const struct trib_aggregate_options options = {
        .strategy = rooms->strategy,
        .strategy_options = {.own = trib_server_group_settings(s, &rooms->strategy->settings)},
        .sealer = rooms->sealer,
        .rules = {.schema = rooms->schema.hash,
                  .n = rooms->schema.n_floats,
                  .chain = trib_uplink_chain(&rooms->uplink),
                  .max_abs = s->max_abs,
                  .max_norm = s->max_norm,
                  .sketch_positions = trib_relevance_positions(rooms->relevance),
                  .pool = rooms->pool},
        .signs = trib_relevance_learns(rooms->relevance),
        .evaluator = rooms->evaluator,
        .examples = rooms->has_test_set ? rooms->test_set.n : 0};
    return trib_aggregate_new(&options, &rooms->aggregate, error);
}

/* Everything that leaves no trace on disk. */
enum trib_status trib_setup_compute(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    rooms->filters = filters_of(s);
    const struct trib_uplink_options uplink = trib_server_uplink(s);
    TRIB_TRY(trib_chain_parse(s->codec_down, &rooms->sealer.down, error));
    rooms->strategy = trib_strategy_find(s->strategy);
    TRIB_TRY(trib_uplink_init(&rooms->uplink, &uplink, rooms->strategy, error));
    TRIB_TRY(trib_roster_new(&rooms->filters, &rooms->roster, error));
    TRIB_TRY(check_bounds(rooms, error));
    TRIB_TRY(open_backend(rooms, error));
    TRIB_TRY(build_graph(rooms, error));
    TRIB_TRY(open_test_set(rooms, error));
    TRIB_TRY(build_sealer(rooms, error));
    rooms->proximal =
        (struct trib_proximal){.mu = s->proximal_mu, .step = s->proximal_step, .most = 1 / s->learning_rate};
    TRIB_TRY(build_relevance(rooms, error));
    TRIB_TRY(build_aggregate(rooms, error));
    return build_initial_model(rooms, error);
}

enum trib_status trib_rooms_explain(const struct trib_server_settings *settings, struct trib_buf *text,
                                    struct trib_error *error)
{
    struct trib_graph *graph;
    TRIB_TRY(read_model(settings, &graph, error));
    enum trib_status status =
        trib_trainer_explain(graph, (enum trib_loss)settings->loss, settings->batch_size, text, error);
    trib_graph_free(graph);
    return status;
}
