/* Reading a task: everything in it comes from a peer and is checked before any work begins. */
#include "session_private.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "client/limits.h"
#include "wire/graph_message.h"

#include <inttypes.h>
#include <string.h>

static struct trib_known_graph *find_graph(struct trib_session *session, const uint8_t sha256[32])
{
    for (size_t i = 0; i < TRIB_KNOWN_GRAPHS; i++) {
        struct trib_known_graph *known = &session->graphs[i];
        if (known->bytes && memcmp(known->sha256, sha256, sizeof known->sha256) == 0) {
            return known;
        }
    }
    return NULL;
}

/* Keep a graph in a free place or in that of the one whose use lies furthest back. */
static enum trib_status keep_graph(struct trib_session *session, const uint8_t sha256[32],
                                   const ProtobufCBinaryData *graph, struct trib_known_graph **kept,
                                   struct trib_error *error)
{
    struct trib_known_graph *place = &session->graphs[0];
    for (size_t i = 1; i < TRIB_KNOWN_GRAPHS && place->bytes; i++) {
        if (!session->graphs[i].bytes || session->graphs[i].used < place->used) {
            place = &session->graphs[i];
        }
    }
    struct trib_blob *bytes = trib_blob_copy(graph->data, graph->len);
    if (!bytes) {
        return trib_fail_no_memory(error);
    }
    trib_blob_unref(place->bytes);
    place->bytes = bytes;
    memcpy(place->sha256, sha256, sizeof place->sha256);
    *kept = place;
    return TRIB_OK;
}

void trib_session_forget_graphs(struct trib_session *session)
{
    for (size_t i = 0; i < TRIB_KNOWN_GRAPHS; i++) {
        trib_blob_unref(session->graphs[i].bytes);
        session->graphs[i] = (struct trib_known_graph){0};
    }
}

static enum trib_status read_graph(struct trib_session *session, const Tributary__V1__Task *message,
                                   struct trib_client_task *task, struct trib_error *error)
{
    struct trib_known_graph *known = find_graph(session, task->graph_sha256);
    if (!known && message->graph.len == 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "the task names a plan that was not sent on this connection");
    }
    if (message->graph.len > 0) {
        uint8_t digest[TRIB_SHA256_LEN];
        if (trib_sha256(message->graph.data, message->graph.len, digest) != TRIB_OK) {
            return trib_fail_no_memory(error);
        }
        if (memcmp(digest, task->graph_sha256, sizeof digest) != 0) {
            return trib_fail(error, TRIB_CORRUPT, "the plan's SHA-256 is not the one that the task names");
        }
    }
    if (!known) {
        TRIB_TRY(keep_graph(session, task->graph_sha256, &message->graph, &known, error));
    }
    known->used = ++session->graph_uses;
    task->graph = trib_blob_ref(known->bytes);
    return TRIB_OK;
}

static enum trib_status read_digest(const ProtobufCBinaryData *from, const char *what, uint8_t to[32],
                                    struct trib_error *error)
{
    if (from->len != 32) {
        return trib_fail(error, TRIB_PROTOCOL, "the task's %s is %zu bytes long, not 32", what, from->len);
    }
    memcpy(to, from->data, 32);
    return TRIB_OK;
}

/* The way to the model that is shorter than the whole of it. Of a longer list than there is room for, the newest. */
static enum trib_status read_deltas(const Tributary__V1__Task *message, struct trib_client_task *task,
                                    struct trib_error *error)
{
    size_t n = message->n_deltas < TRIB_TASK_DELTAS ? message->n_deltas : TRIB_TASK_DELTAS;
    for (size_t i = 0; i < n; i++) {
        const Tributary__V1__Delta *delta = message->deltas[message->n_deltas - n + i];
        struct trib_client_delta *read = &task->deltas[i];
        if (message->model_version < n || delta->from_version != message->model_version - n + i) {
            return trib_fail(error, TRIB_PROTOCOL, "the task's deltas do not lead to its model, version %" PRIu64,
                             message->model_version);
        }
        if (!delta->blob || delta->blob->len == 0 || delta->blob->len > TRIB_MODEL_FRAME_MAX) {
            return trib_fail(error, TRIB_PROTOCOL, "the task's delta from version %" PRIu64 " has no possible length",
                             delta->from_version);
        }
        TRIB_TRY(read_digest(&delta->blob->sha256, "delta hash", read->sha256, error));
        read->from_version = delta->from_version;
        read->len = delta->blob->len;
    }
    task->n_deltas = n;
    if (message->initialisation) {
        task->has_initialisation = true;
        task->initialisation_seed = message->initialisation->seed;
    }
    return TRIB_OK;
}

enum trib_status trib_session_read_task(struct trib_session *session, const Tributary__V1__Task *message,
                                        struct trib_client_task *task, struct trib_error *error)
{
    struct trib_client_task read = {0};
    if (strcmp(message->run, session->run) != 0) {
        return trib_fail(error, TRIB_MISMATCH, "the task is of run \"%.40s\", but the server announced \"%s\"",
                         message->run, session->run);
    }
    (void)trib_str_copy(read.run, sizeof read.run, message->run);
    if (message->round == 0 || !message->model || !message->recipe) {
        return trib_fail(error, TRIB_PROTOCOL, "the task lacks its %s",
                         message->round == 0 ? "round"
                         : !message->model   ? "model"
                                             : "recipe");
    }
    read.round = message->round;
    read.model_version = message->model_version;
    read.model_len = message->model->len;
    read.seed = message->seed;
    read.deadline_seconds = message->deadline_seconds;
    read.sketch_positions =
        message->sketch_positions < TRIB_FRAME_MAX_ELEMENTS ? message->sketch_positions : TRIB_FRAME_MAX_ELEMENTS;
    TRIB_TRY(read_digest(&message->model->sha256, "model hash", read.model_sha256, error));
    TRIB_TRY(read_digest(&message->plan_sha256, "plan hash", read.graph_sha256, error));
    if (read.model_len == 0 || read.model_len > TRIB_MODEL_FRAME_MAX) {
        return trib_fail(error, TRIB_LIMIT, "a model of %" PRIu64 " bytes is not possible", read.model_len);
    }
    TRIB_TRY(read_deltas(message, &read, error));
    read.choose = trib_choice_is_auto(message->codec);
    if (read.choose) {
        TRIB_TRY(trib_choice_parse(message->codec, &read.target, error));
        (void)trib_str_copy(read.codec.text, sizeof read.codec.text, message->codec);
    } else {
        TRIB_TRY(trib_chain_parse(message->codec, &read.codec, error));
    }
    TRIB_TRY(trib_feedback_read(message->feedback, message->feedback_momentum, &read.feedback, error));
    read.folded_round = message->folded_round;
    TRIB_TRY(trib_recipe_from_message(message->recipe, &read.recipe, error));
    TRIB_TRY(read_graph(session, message, &read, error));
    *task = read;
    return TRIB_OK;
}

/* Would it lead to the same update? */
bool trib_session_same_task(const struct trib_client_task *a, const struct trib_client_task *b)
{
    const struct trib_recipe *x = &a->recipe, *y = &b->recipe;
    bool same_recipe = x->loss == y->loss && x->optimizer == y->optimizer && x->epochs == y->epochs &&
                       x->batch_size == y->batch_size && x->max_steps == y->max_steps &&
                       x->learning_rate == y->learning_rate && x->momentum == y->momentum &&
                       x->weight_decay == y->weight_decay && x->clip_norm == y->clip_norm &&
                       x->proximal_mu == y->proximal_mu;
    return same_recipe && strcmp(a->run, b->run) == 0 && a->round == b->round &&
           strcmp(a->codec.text, b->codec.text) == 0 && a->feedback.kind == b->feedback.kind &&
           a->feedback.momentum == b->feedback.momentum && a->sketch_positions == b->sketch_positions &&
           a->seed == b->seed && a->model_len == b->model_len &&
           memcmp(a->model_sha256, b->model_sha256, sizeof a->model_sha256) == 0 &&
           memcmp(a->graph_sha256, b->graph_sha256, sizeof a->graph_sha256) == 0;
}
