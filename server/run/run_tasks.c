/* Messages to clients: their tasks, and what becomes of them. */
#include "run_private.h"

#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"
#include "wire/graph_message.h"

#include <math.h>
#include <string.h>

void trib_run_send_welcome(struct trib_run *run, uint32_t client)
{
    uint32_t protocol = trib_roster_session(run->rooms.roster, client)->said.protocol;
    Tributary__V1__Welcome welcome;
    tributary__v1__welcome__init(&welcome);
    int64_t progress_ms = run->rooms.settings->idle_timeout_ms / 4;
    welcome.protocol = protocol < TRIB_PROTOCOL_VERSION ? protocol : TRIB_PROTOCOL_VERSION; /* what both know */
    welcome.software = run->rooms.software;
    welcome.run = run->rooms.id;
    welcome.progress_seconds = progress_ms < 1000 ? 1 : (uint32_t)(progress_ms > 30000 ? 30 : progress_ms / 1000);
    welcome.chunk_bytes = TRIB_CHUNK_PAYLOAD;
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME;
    message.welcome = &welcome;
    trib_roster_send(run->rooms.roster, client, &message);
}

static struct trib_recipe recipe_of_round(const struct trib_server_settings *s, uint64_t round, double proximal_mu)
{
    uint64_t decays = (round - 1) / (uint64_t)s->decay_every;
    return (struct trib_recipe){
        .loss = (enum trib_loss)s->loss,
        .optimizer = TRIB_OPTIMIZER_SGD,
        .epochs = (uint32_t)s->epochs,
        .batch_size = (uint32_t)s->batch_size,
        .max_steps = (uint32_t)s->max_steps,
        .learning_rate = (float)(s->learning_rate * pow(s->decay, (double)decays)),
        .momentum = (float)s->momentum,
        .weight_decay = (float)s->weight_decay,
        .clip_norm = (float)s->clip_norm,
        .proximal_mu = (float)proximal_mu,
    };
}

/* What a task says of the way to its model that is shorter than the whole one. */
struct shortcut {
    struct trib_route route;
    Tributary__V1__Delta deltas[TRIB_TASK_DELTAS], *list[TRIB_TASK_DELTAS];
    Tributary__V1__Blob blobs[TRIB_TASK_DELTAS];
    Tributary__V1__Initialisation initialisation;
};
_Static_assert((int)TRIB_TASK_DELTAS >= (int)TRIB_ROUTE_DELTAS, "a task has room for a route");

/* Name the deltas that lead from the version that this client is known to hold to that of its task, else all that there
 * are; and how version 0 was made, if they begin there. */
static void add_shortcut(const struct trib_run *run, const struct trib_session_facts *session,
                         struct shortcut *shortcut, Tributary__V1__Task *task)
{
    struct trib_route *route = &shortcut->route;
    if (!session || !session->said.takes_deltas ||
        task->model_version != trib_release_present(run->rooms.release)->number) {
        return;
    }
    trib_release_route(run->rooms.release, session->holds_model, session->held, route);
    for (size_t i = 0; i < route->n; i++) {
        tributary__v1__delta__init(&shortcut->deltas[i]);
        tributary__v1__blob__init(&shortcut->blobs[i]);
        shortcut->blobs[i].sha256 = trib_message_lend_bytes(route->deltas[i].sha256, sizeof route->deltas[i].sha256);
        shortcut->blobs[i].len = route->deltas[i].len;
        shortcut->deltas[i].from_version = route->deltas[i].from_version;
        shortcut->deltas[i].blob = &shortcut->blobs[i];
        shortcut->list[i] = &shortcut->deltas[i];
    }
    task->deltas = shortcut->list;
    task->n_deltas = route->n;
    if (trib_sealer_makes_deltas(&run->rooms.sealer) && route->from_seed) {
        tributary__v1__initialisation__init(&shortcut->initialisation);
        shortcut->initialisation.seed = (uint64_t)run->rooms.settings->seed;
        task->initialisation = &shortcut->initialisation;
    }
}

/* A client's task is made of what was current when it was first sent: it may ask for it again later. */
static void set_task(const struct trib_run *run, struct trib_part *part)
{
    const struct trib_version *present = trib_release_present(run->rooms.release);
    part->task.version = present->number;
    part->task.model_len = trib_blob_len(present->raw);
    memcpy(part->task.model_sha256, present->sha256, TRIB_SHA256_LEN);
    part->task.proximal_mu = run->rooms.proximal.mu;
}

/* Everything but the model, the recipe and the chain, which the caller lends. */
static void fill_task(const struct trib_run *run, uint32_t client, const struct trib_part *part, uint64_t round,
                      Tributary__V1__Task *task)
{
    const struct trib_server_settings *s = run->rooms.settings;
    const struct trib_session_facts *session = trib_roster_session(run->rooms.roster, client);
    const char *node = trib_roster_node(run->rooms.roster, client);
    struct trib_rng rng = trib_rng_init((uint64_t)s->seed, "task", round, trib_hash64(node, strlen(node), 0));
    task->run = trib_message_lend(run->rooms.id);
    task->round = round;
    task->model_version = part->task.version;
    task->plan_sha256 = trib_message_lend_bytes(run->rooms.graph_sha256, TRIB_SHA256_LEN);
    if (!session || !session->graph_sent) {
        task->graph = trib_message_lend_bytes(run->rooms.graph_bytes.data, run->rooms.graph_bytes.len);
    }
    task->feedback = trib_message_lend(run->rooms.uplink.feedback);
    task->feedback_momentum = run->rooms.uplink.momentum;
    task->folded_round = part->folded_round;
    task->seed = trib_rng_u64(&rng);
    task->deadline_seconds = trib_server_may_be_stale(s) ? 0 : (uint32_t)((s->deadline_ms + 999) / 1000);
    task->sketch_positions = trib_relevance_positions(run->rooms.relevance);
}

void trib_run_send_task(struct trib_run *run, const struct trib_round_action *action)
{
    uint32_t client = action->client;
    struct trib_part *part = trib_parts_of(&run->rooms.parts, client);
    struct shortcut shortcut;
    if (action->staleness == 0) {
        set_task(run, part);
    }
    Tributary__V1__Recipe recipe;
    const struct trib_recipe values = recipe_of_round(run->rooms.settings, action->round, part->task.proximal_mu);
    trib_recipe_to_message(&values, &recipe);
    Tributary__V1__Blob model;
    tributary__v1__blob__init(&model);
    model.sha256 = trib_message_lend_bytes(part->task.model_sha256, TRIB_SHA256_LEN);
    model.len = part->task.model_len;
    Tributary__V1__Task task;
    tributary__v1__task__init(&task);
    fill_task(run, client, part, action->round, &task);
    task.model = &model;
    task.recipe = &recipe;
    char codec[TRIB_CHAIN_TEXT];
    trib_uplink_codec(&run->rooms.uplink, action->round, codec);
    task.codec = trib_message_lend(codec);
    add_shortcut(run, trib_roster_session(run->rooms.roster, client), &shortcut, &task);
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_TASK_SENT,
                                           .round = action->round,
                                           .attempt = action->attempt,
                                           .node = trib_roster_node(run->rooms.roster, client),
                                           .reason = action->reason,
                                           .version = task.model_version,
                                           .bytes = model.len,
                                           .deltas = task.n_deltas});
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK;
    message.task = &task;
    trib_roster_send(run->rooms.roster, client, &message);
    trib_roster_note_graph(run->rooms.roster, client, true);
}

static void send_decision(struct trib_run *run, const struct trib_round_action *action, uint64_t offset)
{
    bool upload = action->kind == TRIB_ACTION_GRANT;
    const struct trib_part *part = trib_parts_of(&run->rooms.parts, action->client);
    Tributary__V1__Decision decision;
    tributary__v1__decision__init(&decision);
    decision.round = action->round;
    decision.kind = upload ? TRIBUTARY__V1__DECISION__KIND__UPLOAD : TRIBUTARY__V1__DECISION__KIND__SKIP;
    decision.reason = trib_message_lend(action->reason);
    decision.offset = offset;
    trib_run_tell(run, &(struct trib_fact){.kind = upload ? TRIB_FACT_SELECTED : TRIB_FACT_SKIPPED,
                                           .round = action->round,
                                           .attempt = action->attempt,
                                           .node = trib_roster_node(run->rooms.roster, action->client),
                                           .reason = action->reason,
                                           .weight = part ? part->weight : 0});
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION;
    message.decision = &decision;
    trib_roster_send(run->rooms.roster, action->client, &message);
}

void trib_run_send_skip(struct trib_run *run, const struct trib_round_action *action)
{
    trib_part_forget_sketch(trib_parts_of(&run->rooms.parts, action->client));
    send_decision(run, action, 0);
}

void trib_run_send_grant(struct trib_run *run, const struct trib_round_action *action)
{
    const struct trib_part *part = trib_parts_of(&run->rooms.parts, action->client);
    const char *node = trib_roster_node(run->rooms.roster, action->client);
    struct trib_error error;
    uint64_t offset = 0;
    if (trib_uploads_grant(run->rooms.uploads, node, action->client, action->round, action->attempt, part->offer_sha256,
                           part->offer_len, &offset, &error) != TRIB_OK) {
        trib_log_error(TRIB_LOG_ERROR, "upload", "grant_failed", &error, TRIB_F_STR("node", node));
        const struct trib_upload_owner owner = {
            .client = action->client, .round = action->round, .attempt = action->attempt};
        run->host.upload_ended(run->host.context, run, &owner, NULL, error.message);
        return;
    }
    send_decision(run, action, offset);
}

void trib_run_send_outcome(struct trib_run *run, const struct trib_round_action *action, bool folded)
{
    Tributary__V1__Outcome outcome;
    tributary__v1__outcome__init(&outcome);
    outcome.round = action->round;
    outcome.kind = (Tributary__V1__Outcome__Kind)(folded ? TRIB_OUTCOME_FOLDED : action->outcome);
    outcome.reason = trib_message_lend(folded ? "" : action->reason);
    Tributary__V1__ServerMessage message;
    tributary__v1__server_message__init(&message);
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME;
    message.outcome = &outcome;
    trib_roster_send(run->rooms.roster, action->client, &message);
}
