/* Planning a download. */
#include "client/model_plan.h"
#include "client/session.h"

#include <string.h>

struct trib_model_plan trib_model_plan_whole(const struct trib_client_task *task)
{
    return (struct trib_model_plan){.way = TRIB_MODEL_WHOLE, .n_blobs = 1, .bytes = task->model_len};
}

/* The deltas from `version` on, if the task lists them all and they are fewer bytes than the model. */
static bool chain_from(const struct trib_client_task *task, uint64_t version, uint64_t max_bytes,
                       struct trib_model_plan *plan)
{
    uint64_t behind = task->model_version - version;
    if (version > task->model_version || behind > task->n_deltas) {
        return false;
    }
    plan->n_blobs = (size_t)behind;
    plan->first_delta = task->n_deltas - plan->n_blobs;
    plan->bytes = 0;
    for (size_t i = plan->first_delta; i < task->n_deltas; i++) {
        plan->bytes += task->deltas[i].len;
    }
    /* While the chain is added up there are two models and the deltas in memory. */
    return plan->bytes < task->model_len && (max_bytes == 0 || 2 * task->model_len + plan->bytes <= max_bytes);
}

struct trib_model_plan trib_model_plan_make(const struct trib_client_task *task, const struct trib_held_model *held,
                                            uint64_t max_bytes)
{
    bool holds = held->run[0] != '\0';
    if (holds && memcmp(held->sha256, task->model_sha256, sizeof held->sha256) == 0) {
        return (struct trib_model_plan){.way = TRIB_MODEL_HELD};
    }
    struct trib_model_plan plan = {.way = TRIB_MODEL_CHAIN};
    /* The version itself with another hash is not what this run calls by that number. */
    if (holds && strcmp(held->run, task->run) == 0 && held->version < task->model_version &&
        chain_from(task, held->version, max_bytes, &plan)) {
        return plan;
    }
    plan.way = TRIB_MODEL_INITIALISED;
    if (task->has_initialisation && chain_from(task, 0, max_bytes, &plan)) {
        return plan;
    }
    return trib_model_plan_whole(task);
}

uint64_t trib_model_plan_blob(const struct trib_model_plan *plan, const struct trib_client_task *task, size_t i,
                              const uint8_t **sha256)
{
    if (plan->way == TRIB_MODEL_WHOLE) {
        *sha256 = task->model_sha256;
        return task->model_len;
    }
    const struct trib_client_delta *delta = &task->deltas[plan->first_delta + i];
    *sha256 = delta->sha256;
    return delta->len;
}

const char *trib_model_way_name(enum trib_model_way way)
{
    static const char *const names[] = {"whole", "chain", "held", "initialised"};
    return names[way];
}
