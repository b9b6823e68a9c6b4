/* Local training makes a coded update of a received model, a task at a time. The graph and the compiled trainer are
 * kept between tasks, as long as the graph stays the same. One thread. */
#ifndef TRIB_CLIENT_LOCAL_TRAINING_H
#define TRIB_CLIENT_LOCAL_TRAINING_H

#include "backend/backend.h"
#include "client/client_data.h"
#include "client/feedback_store.h"
#include "client/model_cache.h"
#include "client/session.h"

struct trib_local_training {
    /* Set by the owner; borrowed. */
    const struct trib_backend *backend;
    struct trib_thread_pool *pool; /* may be NULL */
    const struct trib_client_data *data;
    struct trib_client_limits limits;
    struct trib_feedback_store *feedback;
    struct trib_disk_budget *budget; /* may be NULL */
    /* Of the last graph; zeroed at first. */
    bool has_graph;
    uint8_t graph_sha256[32];
    struct trib_graph *graph;
    struct trib_schema schema;
    struct trib_trainer *trainer;  /* may be NULL */
    size_t trainer_bytes;          /* the limit that the trainer was built under; 0 = none */
    struct trib_model_cache cache; /* the last task's model */
};

/* trib_local_training_run trains one task. What was delivered is freed as soon as it is not needed any more;
 * delivery->unusable says that only the whole model helps. TRIB_CANCELLED after `stop` was set. */
TRIB_MUST_CHECK enum trib_status trib_local_training_run(struct trib_local_training *local,
                                                         const struct trib_client_task *task,
                                                         struct trib_model_delivery *delivery,
                                                         const _Atomic(bool) *stop, struct trib_client_update *update,
                                                         struct trib_error *error);
void trib_local_training_forget(struct trib_local_training *local); /* graph and trainer */

#endif
