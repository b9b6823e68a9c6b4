/* A task's message comes from a peer: everything in it is checked before any work begins. */
#include "work_private.h"
#include "base/str.h"
#include "client/limits.h"
#include "codec/frame.h"
#include "wire/graph_message.h"

#include <inttypes.h>
#include <string.h>

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

enum trib_status trib_work_read_task(struct trib_work *work, const Tributary__V1__Task *message,
                                     struct trib_client_task *task, struct trib_error *error)
{
    struct trib_client_task read = {0};
    if (strcmp(message->run, work->run) != 0) {
        return trib_fail(error, TRIB_MISMATCH, "the task is of run \"%.40s\", but the server announced \"%s\"",
                         message->run, work->run);
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
    TRIB_TRY(trib_work_take_graph(work, &message->graph, &read, error));
    *task = read;
    return TRIB_OK;
}

bool trib_work_same_task(const struct trib_client_task *a, const struct trib_client_task *b)
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
