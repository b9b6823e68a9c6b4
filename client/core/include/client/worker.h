/* The worker is the thread that computes for a client: it loads the node's data at once, then trains what it is given,
 * one task at a time. Results come as events (TRIB_SESSION_DATA, TRIB_SESSION_TRAINED) through the mailbox. Any thread
 * may call. */
#ifndef TRIB_CLIENT_WORKER_H
#define TRIB_CLIENT_WORKER_H

#include "backend/backend.h"
#include "client/client_settings.h"
#include "client/model_cache.h"

struct trib_worker; /* opaque */

struct trib_worker_config { /* all borrowed for the worker's life */
    const struct trib_client_settings *settings;
    const struct trib_backend *backend;
    struct trib_mailbox *events;
    struct trib_disk_budget *budget; /* may be NULL */
};
TRIB_MUST_CHECK enum trib_status trib_worker_new(const struct trib_worker_config *config, struct trib_worker **worker,
                                                 struct trib_error *error);
void trib_worker_free(struct trib_worker *worker); /* cancels and waits; NULL is allowed */
/* trib_worker_train has a task trained; its event will carry `job`. Empties `delivery`, also on failure; copies the
 * task and shares its graph. */
TRIB_MUST_CHECK enum trib_status trib_worker_train(struct trib_worker *worker, uint64_t job,
                                                   const struct trib_client_task *task,
                                                   struct trib_model_delivery *delivery, struct trib_error *error);
/* trib_worker_cancel ends what is trained and what waits to be; their events still come. */
void trib_worker_cancel(struct trib_worker *worker);
/* trib_worker_drop_model lets go of the held model, before the next training begins. */
void trib_worker_drop_model(struct trib_worker *worker);
/* trib_worker_forget_update drops, durably, what was kept of a finished update for another process; in its turn, as
 * trib_worker_settle. */
void trib_worker_forget_update(struct trib_worker *worker);
/* trib_worker_settle tells the state of error feedback that a round has an outcome: after what is trained at present,
 * before what comes later. */
void trib_worker_settle(struct trib_worker *worker, const char *run, uint64_t round, bool folded);
/* trib_worker_release frees what the next task can build again, and gives memory back to the system. */
void trib_worker_release(struct trib_worker *worker);

#endif
