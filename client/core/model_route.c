/* The route is chosen by what is held, and by bytes. */
#include "client/model_route.h"

#include <string.h>

struct trib_model_route trib_model_route_whole(const struct trib_client_task *task)
{
    return (struct trib_model_route){.way = TRIB_MODEL_WHOLE, .n_blobs = 1, .bytes = task->model_len};
}

/* The deltas from `version` on, if the task lists them all and they are fewer bytes than the model. */
static bool chain_from(const struct trib_client_task *task, uint64_t version, uint64_t max_bytes,
                       struct trib_model_route *route)
{
    uint64_t behind = task->model_version - version;
    if (version > task->model_version || behind > task->n_deltas) {
        return false;
    }
    route->n_blobs = (size_t)behind;
    route->first_delta = task->n_deltas - route->n_blobs;
    route->bytes = 0;
    for (size_t i = route->first_delta; i < task->n_deltas; i++) {
        route->bytes += task->deltas[i].len;
    }
    /* While the chain is added up there are two models and the deltas in memory. */
    return route->bytes < task->model_len && (max_bytes == 0 || 2 * task->model_len + route->bytes <= max_bytes);
}

struct trib_model_route trib_model_route_make(const struct trib_client_task *task, const struct trib_held_model *held,
                                              uint64_t max_bytes)
{
    bool holds = held->run[0] != '\0';
    if (holds && memcmp(held->sha256, task->model_sha256, sizeof held->sha256) == 0) {
        return (struct trib_model_route){.way = TRIB_MODEL_HELD};
    }
    struct trib_model_route route = {.way = TRIB_MODEL_CHAIN};
    /* The version itself with another hash is not what this run calls by that number. */
    if (holds && strcmp(held->run, task->run) == 0 && held->version < task->model_version &&
        chain_from(task, held->version, max_bytes, &route)) {
        return route;
    }
    route.way = TRIB_MODEL_INITIALISED;
    if (task->has_initialisation && chain_from(task, 0, max_bytes, &route)) {
        return route;
    }
    return trib_model_route_whole(task);
}

uint64_t trib_model_route_blob(const struct trib_model_route *route, const struct trib_client_task *task, size_t i,
                               const uint8_t **sha256)
{
    if (route->way == TRIB_MODEL_WHOLE) {
        *sha256 = task->model_sha256;
        return task->model_len;
    }
    const struct trib_client_delta *delta = &task->deltas[route->first_delta + i];
    *sha256 = delta->sha256;
    return delta->len;
}

const char *trib_model_way_name(enum trib_model_way way)
{
    static const char *const names[] = {"whole", "chain", "held", "initialised"};
    return names[way];
}
