/* A client's work on a task, without the work: the model as a worker comes by it, an update that is a function of (seed
 * of the task, model, client), coded with feedback and sketch as local training does. */
#include "world.h"

#include "base/mem.h"
#include "base/str.h"
#include "client/task_store.h"
#include "codec/frame.h"
#include "codec/sketch.h"
#include "crypto/hash.h"
#include "wire/graph_message.h"

#include <math.h>
#include <string.h>

/* ---- the plan, and the model ---- */

static enum trib_status use_graph(struct world *world, const struct trib_client_task *task, struct trib_error *error)
{
    struct trib_graph *graph;
    if (world->schema.n_floats > 0) {
        return TRIB_OK;
    }
    TRIB_TRY(trib_graph_unpack(trib_blob_data(task->graph), trib_blob_len(task->graph), &graph, error));
    enum trib_status status = trib_schema_init(&world->schema, graph, error);
    trib_graph_free(graph);
    if (status == TRIB_OK && world->schema.n_floats > MOST_VALUES) {
        world_break(world, "the model has %zu values", world->schema.n_floats);
    }
    return status;
}

/* As in local training: what a server that sends deltas will build upon is held. */
static enum trib_status find_model(struct world *world, struct client *client, const struct trib_client_task *task,
                                   struct trib_model_delivery *delivery, struct trib_model_spool **model,
                                   struct trib_error *error)
{
    struct trib_model_cache *cache = &client->cache;
    if (delivery->route.way == TRIB_MODEL_WHOLE) {
        bool worth = task->n_deltas > 0 || task->has_initialisation || task->model_version == 0;
        *model = delivery->spools[0];
        if (worth) {
            trib_model_cache_put(cache, task, &delivery->spools[0]);
            *model = cache->spool;
        }
        return TRIB_OK;
    }
    enum trib_status status = TRIB_OK;
    if (delivery->route.way != TRIB_MODEL_HELD) {
        status = trib_model_cache_build(cache, &world->schema, task, delivery, NULL, error);
    } else if (!cache->spool || memcmp(cache->held.sha256, task->model_sha256, sizeof cache->held.sha256) != 0) {
        status = trib_fail(error, TRIB_NOT_FOUND, "the model is not held any more");
    }
    delivery->unusable = status != TRIB_OK;
    *model = cache->spool;
    return status;
}

static enum trib_status load_model(struct world *world, struct client *client, const struct trib_client_task *task,
                                   struct trib_model_delivery *delivery, struct trib_error *error)
{
    struct trib_model_spool *model = NULL;
    TRIB_TRY(use_graph(world, task, error));
    if (delivery->n_spools != delivery->route.n_blobs) {
        world_break(world, "%s trains with %zu blobs where %zu were to be downloaded", client->node, delivery->n_spools,
                    delivery->route.n_blobs);
        return trib_fail(error, TRIB_INTERNAL, "what was downloaded is gone");
    }
    TRIB_TRY(find_model(world, client, task, delivery, &model, error));
    const struct trib_frame_source source = trib_model_spool_source(model);
    const struct trib_frame_expect expect = {.kind = TRIB_FRAME_MODEL, .schema = world->schema.hash};
    return trib_frame_decode(&source, &expect, client->training.model, world->schema.n_floats, error);
}

/* ---- training ---- */

/* A step towards where this client's data would have the model, and some noise. Bits that depend on nothing else. */
static void make_delta(const struct world *world, const struct client *client, float *delta)
{
    const struct training *training = &client->training;
    struct trib_rng here = trib_rng_init(world->seed, "optimum", client->number, 0);
    struct trib_rng noise = trib_rng_init(training->task.seed, "noise", training->task.round, 0);
    for (size_t i = 0; i < world->schema.n_floats; i++) {
        float optimum = (float)trib_rng_normal(&here), wobble = 0.05f * (float)trib_rng_normal(&noise);
        delta[i] = 0.2f * (optimum - training->model[i]) + wobble;
    }
}

struct coding {
    struct trib_feedback_coding feedback;
    struct trib_sketch_plan sketch;
    uint8_t signs[MOST_VALUES];
    float decoded[MOST_VALUES];
};

static void see_decoded(void *context, size_t first, const float *values, size_t n)
{
    struct coding *coding = context;
    if (coding->sketch.k > 0) {
        trib_sketch_take(&coding->sketch, coding->signs, first, coding->feedback.vector + first, values, n);
    }
    memcpy(coding->decoded + first, values, n * sizeof *values);
    if (coding->feedback.kind != TRIB_FEEDBACK_NONE) {
        trib_feedback_decoded(&coding->feedback, first, values, n);
    }
}

static double norm_of(const float *vector, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    return sqrt(sum);
}

static enum trib_status encode(const struct world *world, const struct trib_client_task *task, struct coding *coding,
                               float *vector, struct trib_client_update *update, struct trib_error *error)
{
    const size_t n = world->schema.n_floats;
    const struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                       .chain = &task->codec,
                                       .seed = task->seed,
                                       .schema = world->schema.hash,
                                       .vector = vector,
                                       .n = n,
                                       .decoded = see_decoded,
                                       .context = coding};
    TRIB_TRY(trib_frame_encode(&job, &update->frame, error));
    if (coding->sketch.k > 0) {
        update->sketch = trib_blob_new(trib_sketch_bytes(coding->sketch.k));
        if (!update->sketch) {
            return trib_fail_no_memory(error);
        }
        trib_sketch_pack(coding->signs, coding->sketch.k, trib_blob_fill(update->sketch));
    }
    return trib_sha256(trib_blob_data(update->frame), trib_blob_len(update->frame), update->sha256);
}

static enum trib_status make_update(struct world *world, struct client *client, struct trib_client_update *update,
                                    struct trib_error *error)
{
    const struct trib_client_task *task = &client->training.task;
    const size_t n = world->schema.n_floats;
    float delta[MOST_VALUES], vector[MOST_VALUES], meant[MOST_VALUES];
    const struct trib_feedback_round round = {.feedback = task->feedback,
                                              .run = task->run,
                                              .schema = world->schema.hash,
                                              .round = task->round,
                                              .folded_round = task->folded_round};
    uint64_t known = 0;
    make_delta(world, client, delta);
    memcpy(vector, delta, sizeof vector);
    TRIB_TRY(trib_feedback_store_begin(client->feedback, &round, vector, n, &known, error));
    memcpy(meant, vector, sizeof meant);
    struct coding coding = {.feedback = {.kind = task->feedback.kind, .vector = vector},
                            .sketch = trib_sketch_plan(task->run, task->round, task->sketch_positions, n)};
    update->norm = norm_of(vector, n);
    update->feedback_round = task->feedback.kind == TRIB_FEEDBACK_EF21 ? known : 0;
    update->result = (struct trib_train_result){.examples = client->examples,
                                                .steps = 1 + client->examples / 32,
                                                .first_loss = norm_of(delta, n) + 0.1,
                                                .mean_loss = norm_of(delta, n),
                                                .ms = client->train_ms};
    TRIB_TRY(encode(world, task, &coding, vector, update, error));
    TRIB_TRY(trib_feedback_store_keep(client->feedback, vector, error));
    if (!host_is_dead(&client->host)) {
        oracle_coded(world, client, task, update->sha256, delta, meant, coding.decoded);
    }
    return TRIB_OK;
}

/* ---- the worker's part ---- */

/* For another life; what cannot be kept is offered all the same. */
static bool save(struct world *world, const struct client *client, const struct trib_client_update *update)
{
    struct trib_error error;
    const char *dir = client_dir(client);
    enum trib_status status =
        dir ? trib_task_store_save(dir, &client->training.task, update, &error) : TRIB_UNSUPPORTED;
    world_note(world, client->number, status == TRIB_OK ? "keeps its update" : "keeps no update", (uint64_t)status, 0);
    return status == TRIB_OK;
}

static void push_trained(struct world *world, const struct client *client, enum trib_status status, bool unusable,
                         int64_t after_ms)
{
    const struct event event = {.kind = EVENT_TRAINED,
                                .who = client->number,
                                .life = client->host.life,
                                .job = client->training.job,
                                .a = unusable,
                                .status = status};
    world_push(world, world->now_ms + after_ms, &event);
}

void training_begin(struct world *world, struct client *client, const struct trib_session_action *action)
{
    struct trib_error error = {.message = ""};
    training_cancel(world, client, false);
    trib_task_store_forget(client_dir(client)); /* of an earlier task */
    client->training.job = action->job;
    client->training.task = *action->task;
    client->training.task.graph = trib_blob_ref(action->task->graph);
    struct trib_model_delivery delivery = {.route = *action->route};
    delivery.n_spools = transfer_take(client, delivery.spools);
    enum trib_status status = load_model(world, client, action->task, &delivery, &error);
    int64_t took_ms = client->train_ms / 2 + (int64_t)host_draw(world, client->number, (uint64_t)client->train_ms);
    bool slow = client->host.slow_until_ms > world->now_ms;
    push_trained(world, client, status, delivery.unusable,
                 status != TRIB_OK ? 1
                 : slow            ? took_ms * (int64_t)client->host.slow
                                   : took_ms);
    trib_model_delivery_clear(&delivery);
}

static void forget(struct client *client)
{
    trib_blob_unref(client->training.task.graph);
    client->training = (struct training){.job = 0};
}

void training_cancel(struct world *world, struct client *client, bool tell)
{
    if (client->training.job != 0 && tell) {
        push_trained(world, client, TRIB_CANCELLED, false, 1);
    }
    forget(client);
}

void training_end(struct world *world, struct client *client, const struct event *event)
{
    struct trib_session_event trained = {.kind = TRIB_SESSION_TRAINED, .job = event->job, .status = event->status};
    struct trib_error error = {.message = ""};
    bool cancelled = event->status == TRIB_CANCELLED;
    if (client->host.life != event->life || (!cancelled && client->training.job != event->job)) {
        return;
    }
    trib_disk_use(client->host.disk ? sim_disk_table(client->host.disk) : NULL);
    if (event->status == TRIB_OK) {
        trained.status = make_update(world, client, &trained.is.update, &error);
    }
    if (trained.status != TRIB_OK) {
        trib_client_update_clear(&trained.is.update);
        (void)trib_str_copy(trained.reason, sizeof trained.reason, trib_status_text(trained.status));
        world_note(world, client->number, "training fails", (uint64_t)trained.status, 0);
    } else {
        world_note(world, client->number, "has trained", client->training.task.round, 0);
        trained.saved = save(world, client, &trained.is.update);
    }
    trained.model_unusable = trained.status != TRIB_OK && event->a != 0;
    trained.held = client->cache.held;
    if (!cancelled) {
        forget(client);
    }
    client_step(world, client, &trained);
    trib_client_update_clear(&trained.is.update); /* unless the session took it */
}
