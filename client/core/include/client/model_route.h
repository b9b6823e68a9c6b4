/* A route is how a client comes by a task's model with the fewest bytes: the whole of it, the deltas since the version
 * that it holds, nothing at all. Pure functions; any thread. */
#ifndef TRIB_CLIENT_MODEL_ROUTE_H
#define TRIB_CLIENT_MODEL_ROUTE_H

#include "client/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trib_model_way {
    TRIB_MODEL_WHOLE,       /* download the model */
    TRIB_MODEL_CHAIN,       /* download the deltas since the version that is held */
    TRIB_MODEL_HELD,        /* it is the model that is held */
    TRIB_MODEL_INITIALISED, /* make version 0, download the deltas since */
};
struct trib_model_route {
    enum trib_model_way way;
    size_t first_delta; /* of the task's, for a chain */
    size_t n_blobs;     /* to download */
    uint64_t bytes;     /* of them all */
};

/* trib_model_route_make chooses the shortest route from the held model. max_bytes: the owner's limits.max_memory, 0 =
 * none; a chain needs room for two models. */
struct trib_model_route trib_model_route_make(const struct trib_client_task *task, const struct trib_held_model *held,
                                              uint64_t max_bytes);
/* trib_model_route_whole is the route that downloads the model, whatever is held. */
struct trib_model_route trib_model_route_whole(const struct trib_client_task *task);
/* trib_model_route_blob returns the length of the route's blob number i, and its name through *sha256 (which stays the
 * task's). */
uint64_t trib_model_route_blob(const struct trib_model_route *route, const struct trib_client_task *task, size_t i,
                               const uint8_t **sha256);
const char *trib_model_way_name(enum trib_model_way way);

#endif
