/* Building the engine: the model, its plan, the test set; and sealing a version for publication. */
#include "engine_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "model/zoo.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static enum trib_status hash_of(const void *bytes, size_t len, uint8_t sha256[TRIB_SHA256_LEN],
                                struct trib_error *error)
{
    enum trib_status status = trib_sha256(bytes, len, sha256);
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, status, "hashing: %s", trib_status_text(status));
}

/* ---- from the settings ---- */

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

enum trib_status trib_engine_explain(const struct trib_server_settings *settings, struct trib_buf *text,
                                     struct trib_error *error)
{
    struct trib_graph *graph;
    TRIB_TRY(read_model(settings, &graph, error));
    enum trib_status status =
        trib_trainer_explain(graph, (enum trib_loss)settings->loss, settings->batch_size, text, error);
    trib_graph_free(graph);
    return status;
}

static enum trib_status build_graph(struct trib_engine *engine, struct trib_error *error)
{
    TRIB_TRY(read_model(engine->settings, &engine->graph, error));
    TRIB_TRY(trib_schema_init(&engine->schema, engine->graph, error));
    TRIB_TRY(trib_graph_pack(engine->graph, &engine->plan, error));
    return hash_of(engine->plan.data, engine->plan.len, engine->plan_sha256, error);
}

static enum trib_status build_initial_model(struct trib_engine *engine, struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    float *vector = NULL;
    struct trib_blob *raw = trib_sealer_blank(&engine->sealer, &vector);
    if (!raw) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %zu parameters", engine->schema.n_floats);
    }
    enum trib_status status = TRIB_OK;
    if (s->model_initial) {
        status = trib_checkpoint_read(s->model_initial, &engine->schema, vector, error);
    } else {
        trib_schema_initialise(&engine->schema, (uint64_t)s->seed, vector);
    }
    if (status != TRIB_OK) {
        trib_blob_unref(raw);
        return status;
    }
    struct trib_version initial;
    TRIB_TRY(trib_sealer_seal(&engine->sealer, raw, NULL, &initial, error));
    trib_release_publish(engine->release, &initial);
    return TRIB_OK;
}

static enum trib_status open_test_set(struct trib_engine *engine, struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    if (!s->evaluation_path && trib_dataset_needs_file(s->evaluation_format)) {
        return TRIB_OK;
    }
    struct trib_dataset_spec spec = {.format = s->evaluation_format,
                                     .path = s->evaluation_path,
                                     .labels = s->evaluation_labels,
                                     .split = s->evaluation_split,
                                     .label_column = s->evaluation_label_column,
                                     .classes = s->loss == TRIB_LOSS_MSE ? 0 : s->model_classes,
                                     .regression = s->loss == TRIB_LOSS_MSE};
    enum trib_status status = trib_dataset_open(&spec, &engine->test_set, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "evaluation");
    }
    engine->has_test_set = true;
    status = trib_dataset_normalise(&engine->test_set, s->evaluation_normalise, error);
    if (status == TRIB_OK) {
        status = trib_evaluator_new(engine->graph, (enum trib_loss)s->loss, &engine->test_set, engine->backend,
                                    engine->pool, s->evaluation_batch, &engine->worker.evaluator, error);
    }
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "evaluation");
}

static enum trib_status open_backend(struct trib_engine *engine, struct trib_error *error)
{
    const char *name = engine->settings->backend;
    engine->backend = strcmp(name, "auto") == 0 ? trib_backend_default() : trib_backend_find(name);
    if (!engine->backend) {
        return trib_fail(error, TRIB_CONFIG, "compute.backend: \"%s\" is unknown on this machine; \"auto\" finds one",
                         name);
    }
    if (engine->backend->probe) {
        TRIB_TRY(engine->backend->probe(error));
    }
    return trib_thread_pool_new((int)engine->settings->threads, &engine->pool, error);
}

enum trib_status trib_engine_build_round(struct trib_engine *engine, struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
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
        .evaluate = engine->has_test_set,
        .evaluate_every = (uint64_t)s->evaluation_every,
        .selector = trib_selector_find(s->selector),
        .selection = {.explore = s->selection_explore,
                      .speed_penalty = s->selection_speed_penalty,
                      .candidates = (uint32_t)s->selection_candidates},
        .separation = (uint32_t)s->selection_separation,
        .penalty_rounds = (uint32_t)s->relevance_penalty,
        .buffer = (uint32_t)s->buffer,
        .max_staleness = (uint32_t)s->max_staleness,
        .outlives = trib_engine_remembers(engine),
    };
    if (s->relevance_sketch > 0) {
        options.gate = (struct trib_gate){.rule = (enum trib_gate_rule)s->relevance_rule,
                                          .value = s->relevance_threshold,
                                          .share = s->relevance_share,
                                          .bytes = (uint64_t)s->relevance_bytes};
        options.patience = s->relevance_patience;
        options.compare_offers = s->relevance_reference == TRIB_REFERENCE_MAJORITY;
    }
    return trib_round_new(&options, &engine->round, error);
}

static void on_upload_ended(void *context, struct trib_upload *upload, const struct trib_error *fault)
{
    struct trib_engine *engine = context;
    struct event *event = trib_calloc(1, sizeof *event);
    if (!event) {
        trib_log(TRIB_LOG_ERROR, "engine", "event_lost", TRIB_F_STR("reason", "out of memory"));
        return; /* the client's idle timeout will end its part */
    }
    event->kind = EVENT_UPLOAD_ENDED;
    event->client = upload->client;
    event->round = upload->round;
    event->attempt = upload->attempt;
    event->ok = !fault;
    event->upload = fault ? NULL : trib_upload_ref(upload);
    if (fault) {
        trib_str_copy(event->reason, sizeof event->reason, fault->message);
    }
    trib_engine_post(engine, event);
}

enum trib_status trib_engine_open_uploads(struct trib_engine *engine, struct trib_error *error)
{
    return trib_uploads_init(&engine->uploads, engine->settings->state_dir, engine->run, on_upload_ended, engine,
                             error);
}

/* Whether the sums of the largest round that these settings allow would fit: asked at the start, not in a round. */
static enum trib_status check_bounds(struct trib_engine *engine, struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    const struct trib_strategy_options options = {.server_learning_rate = s->server_learning_rate};
    uint64_t most = trib_engine_most_weight(engine, trib_engine_most_updates(s));
    enum trib_status status =
        engine->worker.strategy->begin(engine->worker.state, &options, 1, s->max_abs, most, error);
    engine->worker.strategy->clear(engine->worker.state);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "strategy.max_abs, strategy.max_examples");
}

/* Everything that leaves no trace on disk. */
static enum trib_status build_compute(struct trib_engine *engine, struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    const struct trib_release_options release = {.history = (size_t)s->codec_down_history,
                                                 .keeps_past = trib_engine_may_be_stale(s),
                                                 .remade = !s->model_initial};
    TRIB_TRY(trib_chain_parse(s->codec_down, &engine->sealer.down, error));
    TRIB_TRY(trib_release_new(&release, &engine->release, error));
    engine->worker.strategy = trib_strategy_find(s->strategy);
    TRIB_TRY(trib_uplink_init(&engine->uplink, s, engine->worker.strategy, error));
    engine->worker.state = trib_calloc(1, engine->worker.strategy->state_size);
    engine->by_node = trib_map_new();
    if (!engine->worker.state || !engine->by_node) {
        return trib_fail_no_memory(error);
    }
    TRIB_TRY(check_bounds(engine, error));
    TRIB_TRY(open_backend(engine, error));
    TRIB_TRY(build_graph(engine, error));
    TRIB_TRY(open_test_set(engine, error));
    engine->sealer.feedback = s->codec_down_feedback;
    engine->sealer.seed = (uint64_t)s->seed;
    engine->sealer.schema = engine->schema.hash;
    engine->sealer.n = engine->schema.n_floats;
    engine->sealer.pool = engine->pool;
    engine->proximal =
        (struct trib_proximal){.mu = s->proximal_mu, .step = s->proximal_step, .most = 1 / s->learning_rate};
    const int64_t most = (int64_t)TRIB_SKETCH_MAX_BYTES * 8;
    if (engine->schema.n_floats > (uint64_t)most && s->relevance_sketch > most) {
        return trib_fail(error, TRIB_CONFIG, "relevance.sketch: an offer has room for %" PRId64 " signs", most);
    }
    TRIB_TRY(trib_relevance_init(&engine->relevance, engine->schema.n_floats, (uint64_t)s->relevance_sketch,
                                 s->relevance_reference == TRIB_REFERENCE_MAJORITY, error));
    return build_initial_model(engine, error);
}

static struct trib_engine *new_engine(const struct trib_server_settings *settings,
                                      const struct trib_engine_setup *setup)
{
    struct trib_engine *engine = trib_calloc(1, sizeof *engine);
    struct event *stop = trib_calloc(1, sizeof *stop);
    if (!engine || !stop) {
        trib_free(engine);
        trib_free(stop);
        return NULL;
    }
    atomic_init(&engine->stop_event, stop);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->inbox_mutex, NULL);
    pthread_cond_init(&engine->inbox_cond, &monotonic);
    pthread_mutex_init(&engine->worker.mutex, NULL);
    pthread_cond_init(&engine->worker.cond, NULL);
    pthread_condattr_destroy(&monotonic);
    engine->inbox.last = &engine->inbox.first;
    engine->worker.queue.last = &engine->worker.queue.first;
    engine->settings = settings;
    engine->driver = setup->driver;
    trib_str_copy(engine->software, sizeof engine->software, setup->software);
    return engine;
}

enum trib_status trib_engine_check(const struct trib_server_settings *settings, struct trib_error *error)
{
    const struct trib_engine_setup setup = {.software = ""};
    struct trib_engine *engine = new_engine(settings, &setup);
    enum trib_status status = engine ? build_compute(engine, error) : trib_fail_no_memory(error);
    trib_engine_free(engine);
    return status;
}

enum trib_status trib_engine_new(const struct trib_server_settings *settings, const struct trib_engine_setup *setup,
                                 struct trib_engine **engine, struct trib_error *error)
{
    struct trib_engine *result = new_engine(settings, setup);
    enum trib_status status = result ? build_compute(result, error) : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        status = trib_engine_open_state(result, setup->new_run, error);
    }
    if (status != TRIB_OK) {
        trib_engine_free(result);
        return status;
    }
    *engine = result;
    return TRIB_OK;
}

void trib_engine_free(struct trib_engine *engine)
{
    if (!engine) {
        return;
    }
    trib_engine_free_events(&engine->inbox);
    trib_engine_free_events(&engine->worker.queue);
    trib_free(atomic_load(&engine->stop_event));
    for (size_t i = 0; i < engine->n_clients; i++) {
        struct trib_peer *peer = engine->clients[i].peer;
        if (peer) {
            peer->ops->unref(peer);
        }
        trib_free(engine->clients[i].sketch);
    }
    trib_uploads_clear(&engine->uploads);
    trib_round_free(engine->round);
    trib_free(engine->clients);
    trib_map_free(engine->by_node);
    if (engine->worker.state) {
        engine->worker.strategy->clear(engine->worker.state);
    }
    trib_free(engine->worker.state);
    trib_evaluator_free(engine->worker.evaluator);
    trib_notes_clear(&engine->notes);
    trib_store_close(engine->worker.store);
    trib_blobs_close(engine->worker.blobs);
    trib_version_clear(&engine->worker.next);
    trib_free(engine->worker.next_signs);
    trib_release_free(engine->release);
    trib_relevance_clear(&engine->relevance);
    trib_schema_clear(&engine->schema);
    trib_buf_clear(&engine->plan);
    trib_graph_free(engine->graph);
    if (engine->has_test_set) {
        trib_dataset_clear(&engine->test_set);
    }
    trib_thread_pool_free(engine->pool);
    pthread_mutex_destroy(&engine->inbox_mutex);
    pthread_cond_destroy(&engine->inbox_cond);
    pthread_mutex_destroy(&engine->worker.mutex);
    pthread_cond_destroy(&engine->worker.cond);
    trib_free(engine);
}
