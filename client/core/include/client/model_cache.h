/* A model cache keeps the model that a client holds between tasks, so that the next one costs a delta only: in memory,
 * or with a folder as the file model.frame, which outlives the daemon. The file is the model's f32 frame and behind it
 * 80 bytes that say what it is:
 *
 *   0   "THM1", u32 0
 *   8   u64 version, little-endian
 *   16  32 bytes SHA-256 of the frame
 *   48  32 bytes run, padded with zeros
 *
 * One thread, but for trib_model_cache_peek. Zeroed = empty, in memory. */
#ifndef TRIB_CLIENT_MODEL_CACHE_H
#define TRIB_CLIENT_MODEL_CACHE_H

#include "base/thread_pool.h"
#include "client/model_route.h"
#include "client/model_spool.h"
#include "client/session.h"
#include "model/schema.h"

struct trib_model_cache {
    char *path;                      /* of the file; NULL = in memory only */
    struct trib_disk_budget *budget; /* borrowed; may be NULL */
    struct trib_held_model held;     /* what `spool` is; run "" = nothing */
    struct trib_model_spool *spool;  /* a frame */
};

/* A delivery is what came for a task: the route's blobs, in order. */
struct trib_model_delivery {
    struct trib_model_route route;
    struct trib_model_spool *spools[TRIB_TASK_DELTAS];
    size_t n_spools;
    bool unusable; /* out: the task's model cannot be made of it and of what is held: only the whole helps */
};
void trib_model_delivery_clear(struct trib_model_delivery *delivery);

/* trib_model_cache_peek reads what the folder's file says that it is, unchecked; run "" when there is none. dir may be
 * NULL. Any thread. */
void trib_model_cache_peek(const char *dir, struct trib_held_model *held);
/* trib_model_cache_open uses the folder, and the file in it if its hash is right and the owner's limits.disk leaves it
 * room; another file goes, with a line in the log. */
TRIB_MUST_CHECK enum trib_status trib_model_cache_open(struct trib_model_cache *cache, const char *dir,
                                                       struct trib_error *error);
void trib_model_cache_close(struct trib_model_cache *cache); /* the file stays */
void trib_model_cache_drop(struct trib_model_cache *cache);  /* hold nothing; the file goes */

/* trib_model_cache_put holds the task's model, received whole: takes *spool over and sets it to NULL. */
void trib_model_cache_put(struct trib_model_cache *cache, const struct trib_client_task *task,
                          struct trib_model_spool **spool);
/* trib_model_cache_build makes the task's model from the held one, or from version 0, and the delivery's deltas, and
 * holds it instead. The
 * result's hash is that of the task's model, else TRIB_MISMATCH; after a failure the cache is as it was. */
TRIB_MUST_CHECK enum trib_status trib_model_cache_build(struct trib_model_cache *cache,
                                                        const struct trib_schema *schema,
                                                        const struct trib_client_task *task,
                                                        const struct trib_model_delivery *delivery,
                                                        struct trib_thread_pool *pool, struct trib_error *error);

#endif
