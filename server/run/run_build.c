/* Building a run from its settings, and taking up one that was left. Before any event. */
#include "run_private.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "codec/frame.h"
#include "model/zoo.h"
#include "wire/graph_message.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

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

enum trib_status trib_run_explain(const struct trib_server_settings *settings, struct trib_buf *text,
                                  struct trib_error *error)
{
    struct trib_graph *graph;
    TRIB_TRY(read_model(settings, &graph, error));
    enum trib_status status =
        trib_trainer_explain(graph, (enum trib_loss)settings->loss, settings->batch_size, text, error);
    trib_graph_free(graph);
    return status;
}

static enum trib_status build_graph(struct trib_run *run, struct trib_error *error)
{
    TRIB_TRY(read_model(run->settings, &run->graph, error));
    TRIB_TRY(trib_schema_init(&run->schema, run->graph, error));
    TRIB_TRY(trib_graph_pack(run->graph, &run->graph_bytes, error));
    return hash_of(run->graph_bytes.data, run->graph_bytes.len, run->graph_sha256, error);
}

static enum trib_status build_initial_model(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    float *vector = NULL;
    struct trib_blob *raw = trib_sealer_blank(&run->sealer, &vector);
    if (!raw) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory for a model of %zu parameters", run->schema.n_floats);
    }
    enum trib_status status = TRIB_OK;
    if (s->model_initial) {
        status = trib_checkpoint_read(s->model_initial, &run->schema, vector, error);
    } else {
        trib_schema_initialise(&run->schema, (uint64_t)s->seed, vector);
    }
    if (status != TRIB_OK) {
        trib_blob_unref(raw);
        return status;
    }
    struct trib_version initial;
    TRIB_TRY(trib_sealer_seal(&run->sealer, raw, NULL, &initial, error));
    trib_release_publish(run->release, &initial);
    return TRIB_OK;
}

static enum trib_status open_test_set(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    if (!s->evaluation.path && trib_dataset_needs_file(s->evaluation.format)) {
        return TRIB_OK;
    }
    struct trib_dataset_spec spec = trib_dataset_spec_of(&s->evaluation);
    spec.regression = s->loss == TRIB_LOSS_MSE;
    spec.classes = spec.regression ? 0 : s->model_classes;
    enum trib_status status = trib_dataset_open(&spec, &run->test_set, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "evaluation");
    }
    run->has_test_set = true;
    status = trib_dataset_normalise(&run->test_set, s->evaluation.normalise, error);
    if (status == TRIB_OK) {
        status = trib_evaluator_new(run->graph, (enum trib_loss)s->loss, &run->test_set, run->backend, run->pool,
                                    s->evaluation_batch, &run->evaluator, error);
    }
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "evaluation");
}

static enum trib_status open_backend(struct trib_run *run, struct trib_error *error)
{
    const struct trib_compute_settings *compute = &run->settings->compute;
    char names[256];
    run->backend = trib_compute_backend(compute->backend);
    if (!run->backend) {
        return trib_fail(error, TRIB_CONFIG, "compute.backend: \"%s\" is unknown on this machine; known are %s",
                         compute->backend, trib_config_list_names(trib_compute_names, NULL, names, sizeof names));
    }
    if (run->backend->probe) {
        TRIB_TRY(run->backend->probe(error));
    }
    return trib_thread_pool_new((int)compute->threads, &run->pool, error);
}

static enum trib_status build_round(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
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
        .evaluate = run->has_test_set,
        .evaluate_every = (uint64_t)s->evaluation_every,
        .selector = trib_selector_find(s->selector),
        .selector_settings = trib_server_group_settings(s, &trib_selector_find(s->selector)->settings),
        .separation = (uint32_t)s->selection_separation,
        .penalty_rounds = (uint32_t)s->relevance_penalty,
        .buffer = (uint32_t)s->buffer,
        .max_staleness = (uint32_t)s->max_staleness,
        .outlives = run->journal,
    };
    if (s->relevance_sketch > 0) {
        options.gate = s->gate;
        options.patience = s->relevance_patience;
        options.compare_offers = s->relevance_reference == TRIB_REFERENCE_MAJORITY;
    }
    return trib_round_new(&options, &run->round, error);
}

/* Whether the sums of the largest round that these settings allow would fit: asked at the start, not in a round. */
static enum trib_status check_bounds(const struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    const struct trib_strategy_options options = {.own = trib_server_group_settings(s, &run->strategy->settings)};
    void *state = trib_calloc(1, run->strategy->state_size);
    if (!state) {
        return trib_fail_no_memory(error);
    }
    uint64_t most = trib_run_most_weight(s, trib_run_most_updates(s));
    enum trib_status status = run->strategy->begin(state, &options, 1, s->max_abs, most, error);
    run->strategy->clear(state);
    trib_free(state);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "strategy.max_abs, strategy.max_examples");
}

static enum trib_status build_sealer(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    const struct trib_release_options options = {
        .history = (size_t)s->codec_down_history, .keeps_past = trib_run_may_be_stale(s), .remade = !s->model_initial};
    run->sealer.feedback = s->codec_down_feedback;
    run->sealer.seed = (uint64_t)s->seed;
    run->sealer.schema = run->schema.hash;
    run->sealer.n = run->schema.n_floats;
    run->sealer.pool = run->pool;
    return trib_release_new(&options, &run->release, error);
}

static enum trib_status build_relevance(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    const int64_t most = (int64_t)TRIB_SKETCH_MAX_BYTES * 8;
    if (run->schema.n_floats > (uint64_t)most && s->relevance_sketch > most) {
        return trib_fail(error, TRIB_CONFIG, "relevance.sketch: an offer has room for %" PRId64 " signs", most);
    }
    return trib_relevance_new(run->schema.n_floats, (uint64_t)s->relevance_sketch,
                              s->relevance_reference == TRIB_REFERENCE_MAJORITY, &run->relevance, error);
}

static enum trib_status build_aggregate(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    const struct trib_aggregate_options options = {
        .strategy = run->strategy,
        .strategy_options = {.own = trib_server_group_settings(s, &run->strategy->settings)},
        .sealer = run->sealer,
        .rules = {.schema = run->schema.hash,
                  .n = run->schema.n_floats,
                  .chain = trib_uplink_chain(&run->uplink),
                  .max_abs = s->max_abs,
                  .max_norm = s->max_norm,
                  .sketch_positions = trib_relevance_positions(run->relevance),
                  .pool = run->pool},
        .signs = trib_relevance_learns(run->relevance),
        .evaluator = run->evaluator,
        .examples = run->has_test_set ? run->test_set.n : 0};
    return trib_aggregate_new(&options, &run->aggregate, error);
}

/* Everything that leaves no trace on disk. */
static enum trib_status build_compute(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    const struct trib_filters filters = trib_run_filters(s);
    const struct trib_uplink_options uplink = trib_server_uplink(s);
    TRIB_TRY(trib_chain_parse(s->codec_down, &run->sealer.down, error));
    run->strategy = trib_strategy_find(s->strategy);
    TRIB_TRY(trib_uplink_init(&run->uplink, &uplink, run->strategy, error));
    TRIB_TRY(trib_roster_new(&filters, &run->roster, error));
    TRIB_TRY(check_bounds(run, error));
    TRIB_TRY(open_backend(run, error));
    TRIB_TRY(build_graph(run, error));
    TRIB_TRY(open_test_set(run, error));
    TRIB_TRY(build_sealer(run, error));
    run->proximal =
        (struct trib_proximal){.mu = s->proximal_mu, .step = s->proximal_step, .most = 1 / s->learning_rate};
    TRIB_TRY(build_relevance(run, error));
    TRIB_TRY(build_aggregate(run, error));
    return build_initial_model(run, error);
}

/* ---- a run that begins ---- */

/* In a simulation it follows from the seed: so do the positions of sketches. */
static enum trib_status make_run_id(struct trib_run *run, struct trib_error *error)
{
    uint8_t bytes[8];
    if (!run->settings->state_dir || run->host.simulated) {
        struct trib_rng rng = trib_rng_init((uint64_t)run->settings->seed, "run", 0, 0);
        trib_store_u64(bytes, trib_rng_u64(&rng));
    } else if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return trib_fail(error, TRIB_INTERNAL, "no random numbers from the kernel");
    }
    trib_hex_encode(bytes, sizeof bytes, run->id);
    return TRIB_OK;
}

static void describe(struct trib_run *run, bool resumes)
{
    const struct trib_server_settings *s = run->settings;
    struct trib_store_runs row = {.seed = (uint64_t)s->seed, .rounds = (uint64_t)s->rounds};
    memcpy(row.schema, run->schema.hash, sizeof row.schema);
    trib_str_copy(row.run, sizeof row.run, run->id);
    trib_str_copy(row.strategy, sizeof row.strategy, s->strategy);
    trib_str_copy(row.selector, sizeof row.selector, s->selector);
    trib_str_copy(row.software, sizeof row.software, run->software);
    trib_journal_describe(run->journal, &row, resumes, run->host.wall_ms(run->host.context));
}

static bool keep_none(void *context, const char *name)
{
    (void)context;
    (void)name;
    return false;
}

static enum trib_status begin(struct trib_run *run, struct trib_error *error)
{
    TRIB_TRY(make_run_id(run, error));
    trib_uploads_sweep(run->uploads, keep_none, NULL);
    describe(run, false);
    const struct trib_present present = trib_run_look(run);
    return trib_journal_begin(run->journal, trib_release_present(run->release), &present, error);
}

/* ---- a run that goes on ---- */

static enum trib_status check_same(const struct trib_run *run, const struct trib_store_runs *last,
                                   struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    const char *what = memcmp(last->schema, run->schema.hash, sizeof last->schema) != 0 ? "model"
                       : strcmp(last->strategy, s->strategy) != 0                       ? "strategy.name"
                                                                                        : NULL;
    if (what) {
        return trib_fail(
            error, TRIB_MISMATCH,
            "%s: run %s is under way there, with another %s; go on with its settings, give another state_dir, "
            "or begin anew with --new-run",
            s->state_dir, last->run, what);
    }
    if (last->seed != (uint64_t)s->seed || strcmp(last->selector, s->selector) != 0) {
        trib_log(TRIB_LOG_WARN, "store", "settings_changed", TRIB_F_STR("run", last->run),
                 TRIB_F_STR("what", last->seed != (uint64_t)s->seed ? "federation.seed" : "federation.selector"),
                 TRIB_F_STR("effect", "rounds from here on are not those that would have been"));
    }
    return TRIB_OK;
}

struct members {
    struct trib_run *run;
    struct trib_member_snapshot *list;
    size_t n, capacity, uploads;
};

/* Its upload, if it is still whole; else the client is asked for it again. */
static void recover_upload(struct members *members, struct trib_part *part, struct trib_member_snapshot *member)
{
    struct trib_run *run = members->run;
    struct trib_error error;
    struct trib_upload *upload = NULL;
    const char *node = trib_roster_node(run->roster, member->client);
    member->state = TRIB_MEMBER_TASKED;
    bool lacks_sketch = trib_relevance_positions(run->relevance) > 0 && !part->sketch;
    if (lacks_sketch || trib_uploads_recover(run->uploads, node, member->client, part->offer_sha256, part->offer_len,
                                             &upload, &error) != TRIB_OK) {
        trib_log(TRIB_LOG_WARN, "store", "upload_lost", TRIB_F_STR("node", node),
                 TRIB_F_INT("round", member->task_round),
                 TRIB_F_STR("reason", lacks_sketch ? "the sketch that was offered for it is gone" : error.message));
        return;
    }
    trib_uploads_put(run->uploads, upload, member->task_round, member->task_attempt);
    part->kept = true;
    run->kept_bytes += part->offer_len;
    member->state = TRIB_MEMBER_UPLOADED;
    members->uploads++;
}

static enum trib_status take_member(void *context, struct trib_member_snapshot *member, struct trib_part *part,
                                    struct trib_error *error)
{
    struct members *members = context;
    if (members->n == members->capacity) {
        size_t capacity = members->capacity ? members->capacity * 2 : 64;
        struct trib_member_snapshot *list = trib_realloc_array(members->list, capacity, sizeof *list);
        if (!list) {
            return trib_fail_no_memory(error);
        }
        members->list = list;
        members->capacity = capacity;
    }
    if (member->state == TRIB_MEMBER_UPLOADED) {
        recover_upload(members, part, member);
    }
    members->list[members->n++] = *member;
    return TRIB_OK;
}

static bool is_named(void *context, const char *name)
{
    return trib_map_get(context, name);
}

/* Spool files that are nobody's go. */
static enum trib_status sweep_uploads(struct members *members, struct trib_error *error)
{
    struct trib_run *run = members->run;
    enum trib_status status = TRIB_OK;
    struct trib_map *names = trib_map_new();
    if (!names) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; status == TRIB_OK && i < members->n; i++) {
        const struct trib_member_snapshot *member = &members->list[i];
        struct trib_part *part = trib_parts_of(&run->parts, member->client);
        char name[TRIB_UPLOAD_NAME_LEN];
        if (trib_round_is_at_work(member->state) && member->has_offered && part->offer_len > 0) {
            trib_upload_name(trib_roster_node(run->roster, member->client), part->offer_sha256, name);
            status = trib_map_put(names, name, part);
        }
    }
    if (status == TRIB_OK) {
        trib_uploads_sweep(run->uploads, is_named, names);
    }
    trib_map_free(names);
    return status == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
}

static enum trib_status restore_round(struct members *members, struct trib_error *error)
{
    struct trib_run *run = members->run;
    const char *selector = run->settings->selector;
    bool same_selector = strcmp(trib_journal_last_run(run->journal)->selector, selector) == 0;
    struct trib_round_snapshot fresh, snapshot;
    trib_journal_snapshot(run->journal, &snapshot);
    trib_round_recall(run->round, false, &fresh);
    if (!same_selector || snapshot.selector_state_len != fresh.selector_state_len) { /* it begins anew */
        snapshot.selector_state = fresh.selector_state;
        snapshot.selector_state_len = fresh.selector_state_len;
    }
    return trib_round_restore(run->round, &snapshot, members->list, members->n, error);
}

static enum trib_status recall_release(struct trib_run *run, struct trib_error *error)
{
    const struct trib_recall recall = {
        .sealer = &run->sealer, .release = run->release, .aggregate = run->aggregate, .relevance = run->relevance};
    return trib_journal_recall(run->journal, &recall, error);
}

static enum trib_status read_members(struct members *members, struct trib_error *error)
{
    struct trib_run *run = members->run;
    TRIB_TRY(trib_journal_recall_members(run->journal, run->roster, &run->parts, take_member, members, error));
    TRIB_TRY(sweep_uploads(members, error));
    return restore_round(members, error);
}

static enum trib_status go_on(struct trib_run *run, struct trib_error *error)
{
    struct members members = {.run = run};
    const struct trib_store_runs *last = trib_journal_last_run(run->journal);
    TRIB_TRY(recall_release(run, error));
    TRIB_TRY(trib_journal_recall_proximal(run->journal, &run->proximal, error));
    enum trib_status status = read_members(&members, error);
    trib_free(members.list);
    TRIB_TRY(status);
    const struct trib_present present = trib_run_look(run);
    TRIB_TRY(trib_journal_resumed(run->journal, &present, error));
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_RUN_RESUMED,
                                           .round = last->round,
                                           .attempt = last->attempt,
                                           .version = last->commits,
                                           .open = last->open,
                                           .members = members.n,
                                           .uploads = members.uploads});
    return TRIB_OK;
}

/* ---- both ---- */

static enum trib_status open_journal(struct trib_run *run, struct trib_error *error)
{
    const struct trib_server_settings *s = run->settings;
    uint64_t positions = trib_relevance_positions(run->relevance);
    const struct trib_journal_options options = {.state_dir = s->state_dir,
                                                 .schema = &run->schema,
                                                 .software = run->software,
                                                 .rounds = (uint64_t)s->rounds,
                                                 .history_rounds = (uint64_t)s->history_rounds,
                                                 .checkpoints_keep = (uint64_t)s->checkpoints_keep,
                                                 .delta_history = (uint64_t)s->codec_down_history,
                                                 .keeps_past = trib_run_may_be_stale(s),
                                                 .sketch_len = positions > 0 ? trib_sketch_bytes(positions) : 0};
    return trib_journal_open(&options, &run->journal, error);
}

static enum trib_status begin_or_go_on(struct trib_run *run, bool new_run, struct trib_error *error)
{
    const struct trib_store_runs *last = trib_journal_last_run(run->journal);
    if (!last && !new_run) {
        TRIB_TRY(trib_journal_check_empty(run->journal, error));
    }
    bool resumes = last && !new_run;
    if (resumes) {
        TRIB_TRY(check_same(run, last, error));
        trib_str_copy(run->id, sizeof run->id, last->run);
        describe(run, true);
        run->done = last->round > (uint64_t)run->settings->rounds;
        atomic_store(&run->complete, run->done);
    }
    TRIB_TRY(build_round(run, error));
    if (run->done) { /* there is nothing to go on with */
        return recall_release(run, error);
    }
    return resumes ? go_on(run, error) : begin(run, error);
}

static void on_upload_ended(void *context, struct trib_upload *upload, const struct trib_error *fault)
{
    struct trib_run *run = context;
    const struct trib_upload_owner owner = trib_upload_owner(upload);
    run->host.upload_ended(run->host.context, run, &owner, fault ? NULL : trib_upload_ref(upload),
                           fault ? fault->message : NULL);
}

static enum trib_status open_state(struct trib_run *run, bool new_run, struct trib_error *error)
{
    const char *dir = run->settings->state_dir;
    if (dir) {
        TRIB_TRY(open_journal(run, error));
    }
    TRIB_TRY(trib_uploads_new(dir, on_upload_ended, run, &run->uploads, error));
    if (dir) {
        TRIB_TRY(begin_or_go_on(run, new_run, error));
        TRIB_TRY(trib_journal_sweep(run->journal, error));
    } else {
        TRIB_TRY(make_run_id(run, error));
        TRIB_TRY(build_round(run, error));
    }
    trib_uploads_name_run(run->uploads, run->id);
    return TRIB_OK;
}

enum trib_status trib_run_check(const struct trib_server_settings *settings, struct trib_error *error)
{
    struct trib_run *run = trib_calloc(1, sizeof *run);
    if (!run) {
        return trib_fail_no_memory(error);
    }
    run->settings = settings;
    enum trib_status status = build_compute(run, error);
    trib_run_free(run);
    return status;
}

enum trib_status trib_run_new(const struct trib_run_setup *setup, struct trib_run **run, struct trib_error *error)
{
    struct trib_run *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->settings = setup->settings;
    made->host = setup->host;
    trib_str_copy(made->software, sizeof made->software, setup->software);
    enum trib_status status = build_compute(made, error);
    if (status == TRIB_OK) {
        status = open_state(made, setup->new_run, error);
    }
    if (status != TRIB_OK) {
        trib_run_free(made);
        return status;
    }
    *run = made;
    return TRIB_OK;
}

static void free_rooms(struct trib_run *run)
{
    trib_roster_free(run->roster);
    trib_uploads_free(run->uploads);
    trib_round_free(run->round);
    trib_aggregate_free(run->aggregate);
    trib_journal_close(run->journal);
    trib_release_free(run->release);
    trib_relevance_free(run->relevance);
}

void trib_run_free(struct trib_run *run)
{
    if (!run) {
        return;
    }
    while (run->spare) {
        struct trib_letter *next = run->spare->next;
        trib_free(run->spare);
        run->spare = next;
    }
    free_rooms(run);
    trib_parts_clear(&run->parts);
    trib_made_clear(&run->made);
    trib_evaluator_free(run->evaluator);
    trib_schema_clear(&run->schema);
    trib_buf_clear(&run->graph_bytes);
    trib_graph_free(run->graph);
    if (run->has_test_set) {
        trib_dataset_clear(&run->test_set);
    }
    trib_thread_pool_free(run->pool);
    trib_free(run);
}

/* ---- fixed ---- */

const char *trib_run_id(const struct trib_run *run)
{
    return run->id;
}

const char *trib_run_compute(const struct trib_run *run)
{
    return run->backend->describe ? run->backend->describe() : run->backend->name;
}

const struct trib_server_settings *trib_run_settings(const struct trib_run *run)
{
    return run->settings;
}

struct trib_blob *trib_run_blob(struct trib_run *run, const uint8_t sha256[32])
{
    return trib_release_blob(run->release, sha256);
}

struct trib_uploads *trib_run_uploads(struct trib_run *run)
{
    return run->uploads;
}

const struct trib_version *trib_run_present(const struct trib_run *run)
{
    return trib_release_present(run->release);
}

const struct trib_schema *trib_run_schema(const struct trib_run *run)
{
    return &run->schema;
}
